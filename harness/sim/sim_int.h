/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulation's private parts. sim.c has threads and choices, sim_lock.c
 * what threads wait for, sim_memory.c what stores and loads see, sim_c11.c the
 * same without a single memory, sim_hash.c what has happened, sim_os.c memory
 * of the system.
 */
#ifndef KALAB_SIM_INT_H
#define KALAB_SIM_INT_H

#include "port/port.h"
#include "sim/sim.h"

#define SIM_ALL_MAX  (SIM_THREADS_MAX + SIM_DAEMONS_MAX)
#define SIM_HELD_MAX 8u

/* A sleeper wakes for no reason so many times, until it is woken or begins
 * another operation: a world in which sleepers wake for ever has no end. */
#define SIM_WAKES_MAX 4u

/* A thread goes to another CPU so many times in an operation: one that is moved
 * whenever it has found out where it is gets nowhere. */
#define SIM_MOVES_MAX 16u

/* Its size is a power of two: it is found by its number, by a shift. */
#define SIM_INDEXED __attribute__((aligned(256)))

struct sim_thread {
	struct fiber *fiber; /* NULL: in the middle of nothing */
#ifdef SIM_TSAN
	struct fiber *own;
#endif
	void (*fn)(void *);
	void *arg;
	enum sim_state state;
	uint32_t cpu;
	uint8_t in_section;
	uint8_t wakes; /* for no reason, since the last with one */
	uint8_t moves; /* to another CPU, in the operation */
	uint32_t locks;
	uint32_t shared;    /* see ka_sim_shared */
	uint16_t start;	    /* of a started thread: how many had the number */
	uint32_t op, point; /* where it is, for deviations */
	uint32_t deviation; /* index of its next one */
	const struct ka_mutex *lock; /* LOCK: waits for it */
	const struct ka_chan *chan;  /* ASLEEP: on it */
	const struct ka_site *site;  /* of its last point */
	uint64_t hash;		     /* of what it did and saw */
	const struct ka_mutex *held[SIM_HELD_MAX];
	const struct ka_site *held_at[SIM_HELD_MAX];
	uint32_t nheld;
#ifdef SIM_TSAN
	bool library; /* it is in the library's part: sim_library() */
#endif
} SIM_INDEXED;

struct sim {
	struct sim_config config;
	bool draws;	/* numbers are all that the strategy needs */
	uint32_t words; /* of sets of the run's threads, and of its CPUs */
	uint32_t cpu_words;
	/* Threads that are READY, and in SPIN; that are kept from running by
	 * another that has stopped in their CPU's section; of each CPU. */
	uint64_t ready[SIM_SET_WORDS], spin[SIM_SET_WORDS];
	uint64_t blocked[SIM_SET_WORDS];
	uint64_t on[SIM_THREADS_MAX + 1][SIM_SET_WORDS];
	uint32_t total; /* threads of the run, started ones too */
	enum sim_stop reason;
	bool held, quiet, pruned, wrong;
	uint32_t next; /* whom the thread that stopped was preempted for */
	uint32_t last; /* who ran last */
	uint32_t solo;
	uint64_t solo_points;
	uint64_t points, switches;
	uint64_t points_end; /* so many, if no operation ends before */
	uint32_t nalternatives, nruns; /* of the question being put */
	struct sim_alternative alternative[SIM_ALL_MAX * 3];
	struct sim_deviation *record;
	uint32_t nrecord, record_cap;
	struct sim_thread thread[SIM_ALL_MAX];
	uint32_t
	    holder[SIM_THREADS_MAX + 1]; /* by CPU: who is in its section */
	/* Bit: the CPU has stores in its buffer. */
	uint64_t buffered[SIM_THREADS_MAX / 64 + 1];
};

extern struct sim sim;

static inline void
sim__set(uint64_t *set, uint32_t i, bool in)
{
	uint64_t bit = UINT64_C(1) << i % 64;

	set[i / 64] = (set[i / 64] & ~bit) | (in ? bit : 0);
}

static inline void
sim__state(uint32_t thread, enum sim_state state)
{
	enum sim_state before = sim.thread[thread].state;

	sim.thread[thread].state = state;
	sim__set(sim.ready, thread, state == SIM_READY);
	if (KA_UNLIKELY(before == SIM_SPIN || state == SIM_SPIN))
		sim__set(sim.spin, thread, state == SIM_SPIN);
}

/* sim.c */
void sim__stop_with(enum sim_stop);
/* Begins a question: alternatives are added to the default. */
void sim__question(void);
/* Asks for one of the alternatives that were put together (sim.alternative);
 * its index, or SIM_PRUNE. */
uint32_t sim__ask(struct sim_thread *, uint32_t running, bool stopped);
/* One alternative besides the default. */
bool sim__ask_one(enum sim_do, uint32_t n);
void sim__alternative(enum sim_do, uint32_t n);
/* Calls the laboratory, if it wants to know. */
void sim__tell(void (*fn)(void *, uint32_t), uint32_t thread);
void sim__wrong(const char *clause, const char *state, const char *expected,
    const char *found);

static inline bool
sim__has_buffered(uint32_t cpu)
{
	return ((sim.buffered[cpu / 64] >> cpu % 64 & 1) != 0);
}

/* sim_stack.c: somebody has called sim_watch_stacks(). */
extern bool sim__watched;

/* sim_race.c: a data race was reported. */
extern bool sim__raced;

/* sim_lock.c */
void sim__locks_reset(void);

/* sim_memory.c */
void sim__memory_reset(void);
/* Whose buffer is laid over what all see, or SIM_NONE. It is laid there, and
 * taken off: by who sets this. */
extern uint32_t sim__applied;
void sim__memory_apply(void);
void sim__memory_unapply(void);
void sim__flush_one(uint32_t cpu);
void sim__flush_cpu(uint32_t cpu);
uint32_t sim__buffered(uint32_t cpu); /* stores in its buffer */

/* sim_c11.c */
void sim__c11_reset(void);
bool sim__c11_load(const volatile void *, size_t, int order);
bool sim__c11_store(volatile void *, size_t, uint64_t value, int order);
void sim__c11_rmw(volatile void *, size_t);
void sim__c11_rmw_done(volatile void *, size_t);
void sim__c11_fence(bool all);
/* What goes through a lock, a section or a channel. */
void sim__c11_acquire(uint32_t thread, const void *);
void sim__c11_release(const void *);

/* sim_hash.c */
enum sim_event {
	SIM_SEES,    /* what was last done to the object */
	SIM_CHANGES, /* the object */
};
void sim__hash_reset(void);
void sim__event(struct sim_thread *, enum sim_event, const volatile void *);
/* A store that has not reached memory; and when it does. */
void sim__event_delay(struct sim_thread *, const volatile void *);
void sim__event_flush(uint32_t cpu, const volatile void *);
/* A deviation that is the thread's own: which of several stores it meets. */
void sim__event_chose(struct sim_thread *, enum sim_do, uint32_t n);
/* Is about to run; where views matter, what ran on its CPU before it is in its
 * view. */
void sim__event_cpu(struct sim_thread *);

/* The order of operations' beginnings and ends, and of what the observers are
 * told, is an object like any other. */
extern const char sim__world;

#endif
