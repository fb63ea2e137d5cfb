/* SPDX-License-Identifier: BSD-2-Clause */
/* The run's private parts: run.c schedules, run_resolve.c and run_exec.c do
 * operations. */
#ifndef KALAB_RUN_INT_H
#define KALAB_RUN_INT_H

#include "run/run.h"
#include "sim/sim.h"
#include "sim/strategy.h"

#define RUN_POINTS_MAX 10000000u	    /* schedule points without an end */
#define RUN_REGS_MAX   (TRACE_ARGS_MAX + 1) /* registers of an operation */

/*
 * Of what is found by an index several times an operation: its size, a power of
 * two. To find it is a shift then, and compilers do that again and again rather
 * than keep the place.
 */
#define RUN_INDEXED(size) __attribute__((aligned(size)))

enum reg_state {
	REG_UNDEFINED,
	REG_LIVE,
	REG_NULL, /* the allocation failed */
	REG_ENDED
};

/* Tickets make operations on a register keep the order of the trace. */
struct reg {
	uint64_t addr;
	uint32_t pages;
	uint32_t reads, reads_done, writes, writes_done;
	uint8_t state;
	uint8_t owner;	 /* of an object: enum trace_class of who made it */
	uint32_t handle; /* and its register; TRACE_OBJ has none */
};

/* What a callback of a cache, pipe or zone is to do, by the trace. */
struct run_hook {
	uint64_t calls;	      /* so far */
	uint64_t from, count; /* armed: these of them, from 1 */
	enum trace_action action;
};
struct run_owner {
	struct run_hook hook[TRACE_HOOK_COUNT];
	uint32_t type; /* what an action charges */
	uint32_t zone; /* of a cache over one, or TRACE_NOREG */
	uint32_t flags, hooks;
	uint64_t size;
	bool ending;  /* a call is at it */
	bool tokens;  /* a cache zone: its items are not memory */
	bool statics; /* a zone of the UMA interface on static memory */
};

struct reg_use {
	uint8_t class, writes;
	uint32_t index;
	uint32_t need_reads, need_writes; /* to be done before */
};

/* What the table says of an operation, laid out for the loop. */
struct run_plan {
	uint8_t nregs, nargs;
	int8_t out;	 /* class, or -1 */
	bool stray;	 /* always: kfree_interior, kfree_wild */
	bool own;	 /* the run's own: migrate, quiesce, hooks */
	int8_t class;	 /* of the cache, pipe or zone that it is on, or -1 */
	bool ends_owner; /* ends it */
	bool gives_back; /* ends an object of it */
	bool describes;	 /* makes it, or may change its geometry */
	bool special;	 /* more than its arguments is to be resolved */
	uint8_t nmemory, nends;
	uint8_t memory[TRACE_ARGS_MAX]; /* of reg: objects and runs */
	uint8_t ending[TRACE_ARGS_MAX]; /* of reg: what it ends */
	struct {
		uint8_t arg, class;
		bool writes, ends;
	} reg[TRACE_ARGS_MAX];
} RUN_INDEXED(64);

_Static_assert(sizeof(struct run_plan) == 64, "see RUN_INDEXED");

extern struct run_plan run_plan[TRACE_OP_COUNT];
void run__plan(void);

/* An operation that was read and has not ended. */
struct pending {
	struct pending *next;
	struct trace_op op;
	uint64_t ordinal;
	uint32_t nuses;
	struct reg_use use[RUN_REGS_MAX];
};

struct run_thread {
	struct pending *first, **last; /* its queue; the first may be running */
	bool busy;		       /* in the middle of the first */
	uint32_t ops;		       /* begun so far */
	bool failed;	/* a failure was injected into its operation */
	bool retries;	/* its operation is done again: nothing fails */
	uint32_t turns; /* that the first has had */
	uint64_t since; /* operations of all, when it began */
	struct call call;
} RUN_INDEXED(256);

_Static_assert(sizeof(struct run_thread) == 256, "see RUN_INDEXED");

struct run_state {
	const struct run_source *source;
	const struct run_options *options;
	const struct subject *subject;
	const struct trace_header *header;
	struct run_result *result;
	struct model *model;
	struct reg *reg[TRACE_CLASS_COUNT];
	uint32_t nregs[TRACE_CLASS_COUNT]; /* of the run */
	uint32_t room[TRACE_CLASS_COUNT];  /* for so many, of all runs */
	struct run_owner *owner[TRACE_CLASS_COUNT]; /* as many as reg */
	uint64_t untold; /* refusals of pages that the library did not see */
	struct run_thread thread[TRACE_THREADS_MAX];
	uint32_t nthreads; /* of the trace */
	uint32_t total;	   /* with those that the library may start */
	uint8_t depth[CALL_THREADS_MAX];	/* calls that a thread is in */
	uint32_t called_back[CALL_THREADS_MAX]; /* in its outermost call */
	uint64_t callbacks; /* mpipe_alloc_callback so far */
	struct pending *pool;
	uint32_t queued, busy; /* operations read; threads in the middle */
	/* Sets: who has some of these, and those that the library may start;
	 * who does not do the first of them yet, and of them those of whom it
	 * depends on what others do whether they could. */
	struct sim_able able;
	uint64_t waiting[SIM_SET_WORDS], unsure[SIM_SET_WORDS];
	bool unlisted; /* in no set: who does the one operation that there is */
	uint32_t window; /* operations to read ahead */
	uint64_t ordinal;
	uint32_t spins; /* turns in which everybody has only spun */
	uint64_t end_points, end_switches; /* when an operation ended last */
	uint64_t points_max;		   /* without an operation's end */
	bool ended;			   /* the source has no more */
	bool barrier;	 /* a quiesce operation waits for all before it */
	bool offers_all; /* the subject has every operation */
	bool drain;	 /* past the end: faults are off */
	bool stray;	 /* the operation that was resolved last */
	bool types_stay; /* a callback may charge any: none ends any more */
	uint32_t solo;	 /* thread that nobody may interrupt, or SIM_NONE */
	bool sources;	 /* a zone has slabs that only it knows from runs */
	bool solo_slept; /* it has, see run__may_join */
	uint64_t arena, arena_bytes;
	uint64_t boot_memory; /* the first boot zone's */
	uint64_t hash;
	uint64_t page_calls; /* allocations so far, for faults */
	uint64_t page_tries; /* since an operation ended */
	uint64_t fault_rng[TRACE_FAULTS_MAX];
	struct sim_deviation *deviation;
	struct strategy strategy;
	uint32_t last; /* who was resumed last, and why it stopped */
	enum run_why why;
	struct trace_deviation *recorded;
};

extern struct run_state run_state; /* one run at a time in a process */

/* run_exec.c */
bool run__regs_enter(struct run_state *, struct pending *);
bool run__regs_reach(struct run_state *, struct pending *);
bool run__regs_ready(const struct run_state *, const struct pending *);
void run__regs_leave(struct run_state *, const struct pending *);
bool run__may_join(const struct run_state *, uint32_t thread);
/* The first operation of the thread has ended. */
void run__finish(struct run_state *, const struct run_thread *);
void run__call(void *thread); /* the body that a fiber does */
int run__page_try(void *, uint64_t npages, uint64_t align, uint32_t flags);
void run__page_alloc(void *, uint64_t addr, uint64_t npages, uint64_t align,
    uint32_t flags, int injected);
void run__page_free(void *, uint64_t addr, uint64_t npages);
void run__faults_reset(struct run_state *);
void run__mix(struct run_state *, uint64_t value);
/* It is seen from outside: run_result.visible. */
void run__show(struct run_state *, uint64_t where, uint64_t value);
uint64_t run__relative(const struct run_state *, uint64_t addr);
/* Audits and compares statistics; nothing may be in flight. */
void run__quiesce(struct run_state *);
void run__audit(struct run_state *);

/* run_resolve.c */
/* Could it free what another call is just getting? See run.c. */
bool run__is_stray(const struct run_state *, const struct trace_op *);
/* Resolves the operation's registers, and whether it is stray. False: it is to
 * be skipped. */
bool run__resolve(struct run_state *, const struct trace_op *, struct call *);
/* run_inject.c */
/* The run is at a point of the kind: is it to fail? */
bool run__fault(struct run_state *, enum run_fault);
/* A call that the library makes of kmalloc, which may be made to fail. */
void run__backend(struct run_state *, struct call *);
/* The thread's operation has failed only because it was made to: it is laid
 * out once more. */
bool run__again(struct run_state *, uint32_t thread);
/* Nobody can go on because something was made to fail: ends the failures, and
 * tells those who sleep. False: there is no such reason. */
bool run__help(struct run_state *);

/* May the word be passed to the other at once? For struct sim_config. */
bool run__passes(void *, uint32_t from, uint32_t to);

/* run_schedule.c */
/* Sets the simulation up. False: out of memory. */
bool run__schedule(struct run_state *, bool *ret_recorded);
/* Is the thread in a call that does not block? For struct sim_config. */
bool run__nonblocking(void *, uint32_t thread);
/* What deviated, for the result. */
void run__schedule_end(struct run_state *);
/* The threads that can go on, or begin an operation, or that spin; false: none.
 * It is asked at each schedule point. */
bool run__can_go_on(struct run_state *, bool spinning, uint64_t *set);
void run__tell(struct run_state *, uint32_t thread);
/* run_callback.c */
/* The frame that the running thread is in; of a thread. */
uint32_t run__frame(const struct run_state *, uint32_t thread);
bool run__callback(void *, struct callback *);
void run__callback_done(void *, struct callback *);
void run__nested(void *, struct call *);
void run__do(struct run_state *, struct call *); /* a call on this thread */
void run__hook_arm(struct run_state *, const struct trace_op *);
/* A cache, pipe or zone was made by the call. */
void run__owner_made(struct run_state *, const struct call *);
uint32_t run__current_frame(void);
/* run_history.c: is there an order of the calls? Between a call's invocation
 * and its return; an allocation that failed for another reason than the limit
 * is excused. */
void run__history_reset(void);
void run__history_begin(struct run_state *, const struct call *);
void run__history_end(struct run_state *, const struct call *);
void run__history_excuse(uint32_t frame);
/* What has not ended never will. */
void run__history_finish(struct run_state *);
/* run_halt.c */
/* The system was booted; its end is asked for while something is in use, and
 * when all was given back; it has ended: G-1. */
void run__booted(struct run_state *);
void run__halt_refused(struct run_state *);
void run__halt(struct run_state *);
void run__halted(struct run_state *, uint64_t mapped_before);
/* run_drain.c */
/* Frees all that is live, trims, and checks that nothing is left (G-8). */
void run__drain(struct run_state *);

#endif
