/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulation: virtual CPUs and threads, one step at a time.
 *
 * Threads are fibers of one OS thread. A thread is given a function to do
 * (sim_start) and resumed until it *stops*: it has done it, it was preempted
 * at a schedule point, it spins, or it blocks.
 *
 * Whatever could go one way or another is a *choice* among *alternatives*: who
 * runs, on which CPU, when a store leaves its CPU's buffer, which of several
 * stores a load sees, who wakes for no reason, whether a page allocation
 * fails. Alternative 0 is the *default*: go on, or what the caller would do.
 * All others are *deviations*. One place asks (sim_ask), a *strategy* answers,
 * so that no strategy is blind to any of it.
 *
 * A deviation is named by its place, which is the thread, its operation and
 * the so-manieth point in that operation, and by what is done there, never by
 * an index: it means the same when other operations have gone, and one whose
 * place or thing no longer exists is nothing.
 *
 * What a thread is on a virtual CPU: threads of one CPU share its per-CPU
 * data; while one of them is in the CPU's section the others do not run. A
 * thread that sleeps or waits for a lock is really not runnable, so that a
 * lost wake-up and a deadlock are facts.
 *
 * One simulation in a process. Resetting it costs what was used.
 */
#ifndef KALAB_SIM_H
#define KALAB_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_THREADS_MAX 256u
#define SIM_DAEMONS_MAX 8u /* threads that the library starts */
#define SIM_NONE	UINT32_MAX

/* A set of threads: thread i is bit i % 64 of word i / 64. */
#define SIM_SET_WORDS ((SIM_THREADS_MAX + SIM_DAEMONS_MAX + 63) / 64)

enum sim_do {
	SIM_GO,	     /* the default */
	SIM_RUN,     /* thread n runs */
	SIM_FLUSH,   /* CPU n's oldest store reaches memory */
	SIM_MIGRATE, /* the thread goes to CPU n */
	SIM_WAKE,    /* thread n wakes for no reason */
	SIM_DELAY,   /* the store stays in the CPU's buffer */
	SIM_READ,    /* the load sees the n-th store before the newest */
	SIM_INSERT,  /* the store is ordered before the n newest */
	SIM_FAIL,    /* the page allocation fails */
	SIM_SOLO,    /* the thread runs alone to its operation's end */
	SIM_DO_COUNT
};

struct sim_alternative {
	uint16_t what; /* enum sim_do */
	uint16_t n;
};

/* Which kinds of deviations are offered, besides who runs. */
#define SIM_MAY_MIGRATE 1u
#define SIM_MAY_WAKE	2u
#define SIM_MAY_FAIL	4u
#define SIM_MAY_SOLO	8u

enum sim_memory {
	SIM_SC,	 /* sequentially consistent */
	SIM_TSO, /* store buffers, as x86 and SPARC have them */
	SIM_C11, /* store histories and views: C11 without load buffering */
	SIM_MEMORY_COUNT
};

struct sim_deviation {
	uint32_t thread;
	uint32_t op;	/* of the thread, from 1; 0: before any */
	uint32_t point; /* in the operation, from 1 */
	struct sim_alternative to;
};

/* What is asked. */
struct sim_question {
	uint32_t thread, op, point; /* the place */
	uint32_t running;	    /* who runs by default */
	bool stopped;		    /* nobody runs; the place is the last's */
	uint32_t n;		    /* alternatives, at least 2 */
	uint32_t runs;		    /* of them SIM_RUN; they come first */
	const struct sim_alternative *alternative;
};

#define SIM_PRUNE UINT32_MAX /* an answer: this run is of no further use */

/*
 * Who answers. All state of a strategy is behind choose(), but of those that
 * draw: what they answer at a schedule point is a matter of numbers, so many
 * threads that could run and so many other things to do, and is drawn without
 * a question being put together (sim_draw.h). They answer as choose() does.
 */
struct sim_strategy {
	uint32_t (*choose)(struct sim_strategy *, const struct sim_question *);
	bool draws;	 /* false: choose() is asked, at each point */
	uint32_t sticks; /* at all points but one in so many, at random, the
			    default is taken without a question; 0: at none */
	uint32_t delay;	 /* of 8 stores that may be delayed, so many are */
	uint64_t rng;
	/* Of those that are asked: so many questions that would be put now get
	 * the default; from here on all do. */
	uint32_t skips;
	bool ends;
};

/*
 * Who could run, as far as the caller keeps it, so that he is not asked at each
 * point: those that go on if they are READY, and those that are IDLE and could
 * begin.
 */
struct sim_able {
	bool ask; /* it is not known by now, or not that simple: others() */
	uint64_t goes_on[SIM_SET_WORDS], begins[SIM_SET_WORDS];
};

/* Where a thread is in the library's source. */
struct ka_site;

/* Commit points, as in port.h. */
enum sim_commit_kind {
	SIM_COMMIT_ZONE,
	SIM_COMMIT_CACHE,
	SIM_COMMIT_PIPE,
	SIM_COMMIT_KIND_COUNT
};
enum sim_commit_what {
	SIM_COMMIT_BEGIN,
	SIM_COMMIT_LIMIT,
	SIM_COMMIT_TAKE,
	SIM_COMMIT_GIVE,
	SIM_COMMIT_FULL,
	SIM_COMMIT_ROOM,
	SIM_COMMIT_WHAT_COUNT
};

struct sim_config {
	uint32_t cpus, threads;
	enum sim_memory memory;
	uint32_t may;		       /* SIM_MAY_ bits */
	const uint16_t *thread_cpu;    /* where threads begin */
	struct sim_strategy *strategy; /* NULL: the default, always */
	/* Obeyed before the strategy is asked; sorted by place. */
	const struct sim_deviation *deviation;
	uint32_t ndeviations;
	bool record;	     /* keep the deviations: sim_record() */
	bool hash;	     /* keep the hash of what has happened */
	uint64_t points_max; /* without an operation's end; 0: no bound */
	bool counts;	     /* points, also where nothing is chosen */
	uint64_t alone_max;  /* of a call that runs alone; 0: 10000 */
	bool locks_stay;     /* the order of locks is that of all runs so far */
	/* Who could run, the running thread or not: a set, of as many words as
	 * sim_threads() are. */
	void (*others)(void *arg, uint64_t *set);
	const struct sim_able *able; /* NULL: others() is always asked */
	/* The running thread is preempted for another. True: that one goes on
	 * at once, and whoever called sim_resume() is not asked, who would
	 * have done just that. NULL: he always is. */
	bool (*passes)(void *arg, uint32_t from, uint32_t to);
	/* Is the thread in a call that may not block? For SIM_SOLO. */
	bool (*nonblocking)(void *arg, uint32_t thread);
	/* Told before a thread sleeps on a channel, and when it is woken. */
	void (*on_sleep)(void *arg, uint32_t thread);
	void (*on_wake)(void *arg, uint32_t thread);
	/* Told at a commit point of the library; thread may be SIM_NONE. */
	void (*on_commit)(void *arg, uint32_t thread, enum sim_commit_kind,
	    enum sim_commit_what, const void *object, uint64_t n);
	/* Told when a thread has come to another CPU. */
	void (*on_migrate)(void *arg, uint32_t thread, uint32_t cpu);
	/* Told of every deviation, before it is done. */
	void (*on_deviation)(
	    void *arg, uint32_t thread, struct sim_alternative);
	/* Something of the schedule itself is wrong: a clause, a state class
	 * and a sentence. */
	void (*on_wrong)(void *arg, const char *clause, const char *state,
	    const char *expected, const char *found);
	void *arg;
};

enum sim_stop {
	SIM_DONE,      /* the function returned */
	SIM_PREEMPTED, /* at a schedule point: sim_next() says for whom */
	SIM_SPINNING,  /* waits in a loop for others to do something */
	SIM_BLOCKED    /* for a lock, or asleep */
};

enum sim_state {
	SIM_IDLE,  /* nothing to do */
	SIM_READY, /* in the middle of something, runnable */
	SIM_SPIN,  /* the same, but better after others */
	SIM_LOCK,  /* waits for a lock */
	SIM_ASLEEP /* on a channel */
};

/*
 * Threads that the library starts (ka_thread_start) have the numbers
 * config.threads .. sim_threads() - 1; those that have ended are IDLE.
 */
uint32_t sim_threads(void);

/* Ends the run before, if any, and begins one. 0 or ENOMEM. The strategy and
 * the deviations must outlive the run. */
int sim_reset(const struct sim_config *);

/* A run is set up, or is over and what was booted for it is halted: between
 * the two the caller is the simulation's. sim_reset enters too. */
void sim_enter(void);
void sim_leave(void);

/* Pages that the library has mapped for itself (ka_os_map) and not given back. */
uint64_t sim_mapped(void);

/* The thread's op-th operation (for the places of deviations). */
void sim_start(uint32_t thread, uint32_t op, void (*fn)(void *), void *arg);
/* Who stopped, and why, may be another: sim_last(), config.passes. */
enum sim_stop sim_resume(uint32_t thread);
uint32_t sim_last(void);

/*
 * Who runs next, when nobody does: one of the n threads of the list, of which
 * `usual` is the default. SIM_NONE: something else was done (a store has left
 * a buffer, somebody woke): look again who can run. Also when the run is
 * pruned.
 */
uint32_t sim_pick(const uint32_t *list, uint32_t n, uint32_t usual);
/* From here on nothing but defaults: the run is over but for cleaning up. */
void sim_calm(void);
/* Whom the thread that stopped last was preempted for; asking forgets it. */
uint32_t sim_next(void);
/* The strategy wants no more of this run. */
bool sim_pruned(void);
/* All buffered stores reach memory; false: there was none. */
bool sim_settle(void);
/* Is the page allocation that is being asked about to fail? */
bool sim_page_fails(void);

enum sim_state sim_state(uint32_t thread);
/* May it be resumed now? READY or SPIN, and no other is in its CPU's section;
 * for an idle thread: could it be started? */
bool sim_may_run(uint32_t thread);
/* All threads that may be resumed now, the running one too, and are READY, or
 * those that are in SPIN: the given word of the set. */
uint64_t sim_runnable(uint32_t word, bool spinning);
uint32_t sim_cpu(uint32_t thread);
void sim_migrate(uint32_t thread, uint32_t cpu);
/* The running thread, or SIM_NONE. */
uint32_t sim_current(void);
/* The thread that runs alone (SIM_SOLO), or SIM_NONE. */
uint32_t sim_solo(void);
/* What it does now is not its call's: the call's points are counted anew. */
void sim_solo_anew(void);

/* While held, the running thread is not preempted at points: for questions of
 * the laboratory, whose answer is to be of one moment. It may still block. */
void sim_hold(bool);

/* While quiet, nothing is asked: the default is done. */
void sim_quiet(bool);

/* The running thread sees what has ended so far, as one that begins an
 * operation does: the caller lets it use what another has made. */
void sim_catch_up(void);

/* The running thread never goes on: its run is over. Does not return. */
void sim_abandon(void) __attribute__((noreturn));

/*
 * The laboratory's part of a call ends, or begins again: between the two is
 * the library's, which is what races are looked for in.
 */
void sim_library(bool);

/* From now on a thread that overflows its stack is a finding of the run. The
 * first reset does this; after others have set handlers of SIGSEGV it is to be
 * done again. */
void sim_watch_stacks(void);

/* Locks that the running thread has taken so far, atomic read-modify-writes,
 * fences and sequentially consistent accesses that it made: what differs
 * between two questions is what was done in between. */
uint32_t sim_shared(void);

/* Schedule points passed so far in the run, and switches. */
uint64_t sim_points(void);
uint64_t sim_switches(void);

/* What has happened so far, up to the order of what is independent (config.hash
 * asked for it): equal for runs that differ in nothing else. */
uint64_t sim_hash(void);

/* The running thread tells the caller what is judged by its place among all
 * that is told: the order of two such is no matter of indifference, nor is that
 * of one and an operation's begin or end. */
void sim_tells(void);

/* The deviations of the run so far, sorted by place (config.record). Valid
 * until the next reset. */
const struct sim_deviation *sim_record(uint32_t *ret_n);

/* Has the running thread a lock, or is it in a section? Which, as text. */
bool sim_holds(char *buf, size_t size);

/* Who waits for what, as text: "thread 2 waits for lock "vm" of thread 1".
 * One thread; false if it does not wait. */
bool sim_describe(uint32_t thread, char *buf, size_t size);
/* Threads that wait for each other's locks, in a circle; how many (0: none).
 * The list has room for all. */
uint32_t sim_deadlock(uint32_t *list);
/* Where a thread stopped: a source line; false if it is not known. */
struct sim_place {
	const char *file, *function;
	uint32_t line;
	enum sim_state state;
};
bool sim_where(uint32_t thread, struct sim_place *ret_place);

#endif
