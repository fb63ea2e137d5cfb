/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab-stress, private parts.
 *
 *   stress.c           command line, one run
 *   stress_thread.c    tickets, threads, who is stuck and how he is helped
 *   stress_call.c      an operation becomes a call of the subject
 *   stress_owner.c     caches, pipes, zones: made, ended, what bounds them
 *   stress_memory.c    contents, lives
 *   stress_callback.c  what the library calls back
 *   stress_end.c       everything is given back and counted
 *   stress_delay.c     delays at the port's points, processors
 */
#ifndef KALAB_STRESS_INT_H
#define KALAB_STRESS_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "history/history.h"
#include "stress/stress.h"
#include "subject/subject.h"
#include "trace/trace.h"

#define USES_MAX    (TRACE_ARGS_MAX + 1)
#define SIZE_MAX_B  (1u << 20) /* larger ones could wait for others' frees */
#define BYTES_MAX_B (1u << 24) /* the same, of all that a call asks for */
#define PATTERN_K   UINT64_C(0x9e3779b97f4a7c15)
#define ACTION_TYPE (KA_TYPES_MAX - 1) /* what callbacks charge */
/* Threads of the trace, then those of the library, then the main thread. */
#define STRESS_CALLERS	   CALL_THREADS_MAX
#define STRESS_CALLER_MAIN (STRESS_CALLERS - 1)

/* What a callback is to do, by the trace: as struct run_hook. */
struct hook {
	_Atomic uint64_t calls, from, count;
	_Atomic int action;
};

/*
 * A malloc type, cache, pipe or zone. Its number is that of the history's
 * owner. It stays when it has ended: a register may then name another.
 */
#define LIMITS_AT_ONCE 8u

struct owner {
	enum trace_class class;
	uint32_t id, reg;
	struct owner *root; /* of zones that share slabs: the primary */
	struct owner *type; /* that it charges */
	struct owner *zone; /* of a cache: whose items its objects are */
	uint32_t flags, hooks;
	uint64_t size;
	_Atomic uint64_t held;	    /* objects; certainly, at rest */
	_Atomic uint64_t sleeps_at; /* who waits may sleep if so many are */
	/* Calls that set its limit, of which any may have been the last. */
	struct limit_call {
		uint64_t from, to, least;
	} limits[LIMITS_AT_ONCE];
	uint32_t nlimits;
	/* Of a type: owners that charge it; of a zone: caches over it; and who
	 * helps a sleeper by what a cache has. */
	_Atomic uint32_t users;
	_Atomic bool shared;	/* zones: there are secondary ones */
	_Atomic bool lenient;	/* its refusals are not judged */
	_Atomic uint64_t slack; /* as in struct history_owner */
	_Atomic bool lowered, alive;
	bool tokens, boot;
	struct hook hook[TRACE_HOOK_COUNT];
	_Atomic int64_t constructed, initialised;
	/* mpipe callbacks: asked for, begun, done */
	_Atomic uint64_t asked, called, answered;
};

/* A register, and the tickets that keep the order of the trace. */
struct reg {
	_Atomic uint32_t reads_done, writes_done;
	uint32_t reads, writes; /* issued, when tickets are made */
	uint64_t addr, bytes, units, seed, born;
	struct owner *owner; /* that gave the object; or that is meant */
	_Atomic bool live;
};

struct use {
	struct reg *reg;
	uint32_t need_reads, need_writes;
	bool writes;
};

struct job {
	const struct trace_op *op;
	struct use use[USES_MAX];
	uint32_t nuses;
	struct job *next; /* of the same thread */
};

/* Who makes calls: a thread of the trace, one of the library, or the main
 * thread. */
struct caller {
	uint32_t index, depth;
	uint64_t rng;
	const struct trace_op *op;
	bool refused; /* a callback or the backend did, in the running call */
	struct owner *_Atomic waits; /* the call may sleep at its limit */
	struct history_event *event;
	size_t nevents, cap;
	pthread_t thread;
	struct job *first, **last;
};

struct stress {
	const struct subject *subject;
	struct trace trace;
	struct reg *regs[TRACE_CLASS_COUNT];
	struct owner *owner;
	struct history_owner *howner;
	_Atomic uint32_t nowners;
	uint32_t owners_cap;
	struct caller caller[STRESS_CALLERS];
	struct owner *action_type;
	uint32_t ncpus;
	_Atomic uint64_t now, ended, seeds, rescues;
	_Atomic bool failed;
};
extern struct stress stress;

/* stress.c: the first finding is printed, later ones are not. */
void stress__fail(const struct trace_op *, const char *clause,
    const char *expected, const char *found);
uint64_t stress__stamp(void);

/* stress_thread.c */
void stress__prepare(uint64_t seed);
/* All operations; false: a finding. */
bool stress__threads(void);
void stress__free_jobs(void);
/* The calling thread's; NULL: none. */
struct caller *stress__self(void);
void stress__set_self(struct caller *);

/* stress_call.c */
void stress__op(struct caller *, const struct trace_op *);
/* Does the call; false: it ended in a panic that misuse would deserve. */
bool stress__exec(struct caller *, struct call *);
/* Gives the register's object back, if nobody did. */
bool stress__give(struct caller *, struct reg *, enum trace_opcode);
enum trace_opcode stress__giver(enum trace_class);
/* An object of the owner for a callback's action, given back at once. */
void stress__take_and_give(
    struct caller *, struct owner *, uint64_t size, uint32_t flags);
/* A call that a cache's backend makes of its zone. */
void stress__nested(void *, struct call *);
/* The objects that a cache keeps go back to its backend; false: it has none. */
bool stress__reclaim(struct caller *, struct owner *);
struct owner *stress__owner(enum trace_class, uint32_t reg);
/* The owner that an argument names, alive; NULL: none. Sets the call's. */
struct owner *stress__named(
    const struct trace_op *, unsigned arg, struct call *);

/* stress_owner.c */
void stress__make(struct caller *, const struct trace_op *, struct call *);
/* Ends it; what of it is held stays: it is not ended then. */
void stress__unmake(struct caller *, const struct trace_op *, struct call *);
/* What its caches may keep from a caller now, or could before. */
void stress__slack(struct owner *);

/* stress_memory.c */
void stress__fill(uint64_t addr, uint64_t bytes, uint64_t seed);
bool stress__holds(uint64_t addr, uint64_t bytes, uint64_t seed);
/* Is it what some fill left? */
bool stress__is_filled(uint64_t addr, uint64_t bytes);
bool stress__is_zero(uint64_t addr, uint64_t bytes);
uint64_t stress__seed(void);
struct history_event *stress__event(struct caller *, enum history_kind,
    const struct owner *, uint64_t from, uint64_t to);

/* stress_callback.c */
bool stress__callback(void *, struct callback *);
void stress__callback_done(void *, struct callback *);
void stress__hook_arm(const struct trace_op *);

/* stress_end.c */
void stress__end(void);
/* It has ended: what was constructed was destroyed. */
void stress__check_pairs(struct owner *);

/* stress_delay.c */
void stress__delays(uint64_t seed, bool any);
void stress__delay_thread(uint64_t seed);
/* The calling thread goes to a processor that it may use. */
void stress__pin(uint32_t cpu);
uint64_t stress__delayed(void);

#endif
