/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run: subject and model in lockstep over a trace, under the simulation.
 *
 * Data flows one way: operations come from a source, one at a time; the
 * schedule says whose turn it is; the call is announced to the model, done by
 * the subject, and its result judged. The verdict is clean, or the first
 * broken clause. The same source and options give the same verdict, the same
 * event hash and the same counts, always (G-10).
 *
 * Operations that name the same register keep the order of the trace under
 * every schedule: readers of a register wait for its writers, and a writer for
 * both. An operation whose turn it is but whose thread is blocked waits in the
 * thread's queue; the other threads go on.
 */
#ifndef KALAB_RUN_H
#define KALAB_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"
#include "sim/sim.h"
#include "subject/subject.h"
#include "trace/call.h"
#include "trace/trace.h"

enum run_status {
	RUN_CLEAN,
	RUN_FINDING,
	RUN_BAD_INPUT,	 /* run_result.error says where and what; the rest of
	                    the result is of the operations before */
	RUN_INTERRUPTED, /* by run_options.stop; counts are of the part done */
	RUN_PRUNED,	 /* by the strategy: what follows is known */
	RUN_FAILED	 /* the harness could not: run_result.error */
};

/* Where operations come from: 1 and an operation, 0 at the end, -1 an error. */
struct run_source {
	int (*next)(
	    void *arg, struct trace_op *ret_op, struct trace_error *ret_err);
	void *arg;
	const struct trace_header *header;
};

/* A line of a run's story: a thread goes on, or something else is done. */
enum run_step_kind {
	RUN_STEP_RUNS,	    /* thread goes on, or begins an operation */
	RUN_STEP_DEVIATION, /* at thread's place, deviation */
};

enum run_why {
	RUN_WHY_FIRST,	   /* nobody ran before */
	RUN_WHY_DONE,	   /* the one before has ended its operation */
	RUN_WHY_PREEMPTED, /* was preempted */
	RUN_WHY_SPINS,
	RUN_WHY_LOCK,
	RUN_WHY_SLEEPS
};

struct run_step {
	enum run_step_kind kind;
	enum run_why why;
	uint32_t thread;
	const struct trace_op *op; /* of the thread; NULL: the library's own */
	const struct trace_header *header;
	const char *file; /* where it stands; NULL: at the beginning */
	const char *function;
	uint32_t file_line;
	struct trace_deviation deviation;
	/* The one before: where it stopped. */
	uint32_t before;
	const char *before_file, *before_function;
	uint32_t before_line;
};

/*
 * A failure that the run injects besides the trace's own, at a *point*: a place
 * where something is asked for that may fail. Each kind has its points, counted
 * from 1 in the order in which the run comes to them.
 */
enum run_fault {
	RUN_FAULT_PAGE,	   /* an allocation of the page layer */
	RUN_FAULT_BACKEND, /* of objcache, of a cache zone, of an mpipe that
	                      grows: memory that must not be waited for */
	RUN_FAULT_CTOR,	   /* a constructor of objcache or a zone */
	RUN_FAULT_INIT,	   /* a zone's init */
	RUN_FAULT_COUNT
};

/*
 * An operation that gives nothing because of it is done again at once, without
 * failures, and the second result is what the trace goes on with: the model
 * judges it, so that it is something unless there is another reason. Whoever
 * sleeps at the end because of it is helped by a page that is taken and given
 * back by the last thread of the header, which the trace must not use.
 */
struct run_inject {
	enum run_fault kind;
	uint64_t k; /* 0: none, points are counted only */
	bool on;    /* that point and all later ones */
};

struct run_injected {
	uint64_t points[RUN_FAULT_COUNT];
	uint64_t fired;	  /* failures */
	uint64_t retries; /* operations done again */
	uint64_t refused; /* of them, with the model's consent, in vain */
	bool helped;	  /* a sleeper was */
};

const char *run_fault_name(enum run_fault);

/*
 * All runs of a sweep, one after the other: the first without a failure, then
 * for each kind and each point with that one failing, and with it and all
 * after it. Begin with all zero, run with `at`, ask for the next with what the
 * run did; false: that was the last.
 */
struct run_sweep {
	struct run_inject at;
};
bool run_sweep_next(struct run_sweep *, const struct run_injected *did);

struct run_options {
	const struct subject *subject;
	enum model_contents contents;
	uint64_t audit_every; /* operations; 0: only at quiescence */
	/* Another schedule than the trace's. */
	bool perturb;
	uint64_t perturb_seed;
	/* A strategy instead of the trace's schedule and deviations, with its
	 * memory model and choices (trace.h). */
	struct sim_strategy *strategy;
	enum trace_memory memory;
	uint32_t may;
	bool quiet_first;    /* nothing is asked before the first quiesce */
	uint64_t points_max; /* without an operation's end; 0: very many */
	bool counts;	     /* points, also where nothing is chosen */
	bool record;	     /* run_result.deviation, of a finding ... */
	bool record_clean;   /* ... and of a run without one */
	bool hash_events;    /* for strategies that ask for sim_hash() */
	bool locks_stay;     /* order of locks: of all runs of the process */
	uint64_t ops_max;    /* stop before operation ops_max + 1; 0: all */
	bool orders;   /* search an order of overlapping calls: run_history.c */
	bool no_audit; /* not even at quiescence: it costs the whole budget */
	const struct run_inject *inject; /* NULL: nothing */
	bool no_halt;  /* do not ask for the system's end: run_halt.c */
	bool no_drain; /* leave what is live: for a picture at the end */
	/* Told at every change of thread and at every deviation. */
	void (*story)(void *arg, const struct run_step *);
	/* Called when an operation has ended, and now and then. */
	void (*result)(void *arg, const struct trace_op *, const struct call *);
	void (*progress)(void *arg, uint64_t ops);
	/* Called with model_state() when an operation has ended. */
	void (*state)(void *arg, uint64_t state);
	/* Called at the end, before anything is taken down. */
	void (*at_end)(void *arg, const struct subject *);
	void *arg;
	const volatile sig_atomic_t *stop;
};

struct run_result {
	enum run_status status;
	struct finding finding;
	struct trace_error error;
	uint64_t hash; /* of all events, addresses relative to the arena */
	/* The input was bad: what came before has ended and was judged, so that
	 * the status may be a finding's. */
	bool cut;
	uint64_t ops; /* operations that ended */
	uint64_t
	    skipped; /* that could not be done: an allocation before failed */
	uint64_t
	    blocked; /* threads asleep at the end, with the model's consent */
	uint64_t not_run; /* operations of those threads, after */
	uint64_t left;	  /* objects and runs live at the end of the trace */
	struct run_injected injected;
	uint64_t points, switches;
	uint64_t schedule; /* hash of who ran when */
	/* Of what the interface shows of each operation and each callback,
	 * where addresses are but there or not: for runs of one order. */
	uint64_t visible;
	uint64_t strays;  /* frees and resizings by an address at random */
	uint64_t windows; /* of overlapping calls, for which an order was */
	uint64_t windows_long; /* searched; of them, too many calls for it */
	struct model_counts counts;
	char waits[1024]; /* who waited for what at the end, a line each */
	/* What deviated from the default, if it was to be recorded: valid
	 * until the next run. */
	const struct trace_deviation *deviation;
	uint32_t ndeviations;
};

/* Runs. The result is complete whatever the status. */
void run(const struct run_source *, const struct run_options *,
    struct run_result *ret_r);

/* For whoever catches a signal that a run dies of: the deviations so far, at
 * most max; how many. */
uint32_t run_recorded(struct trace_deviation *, uint32_t max);

/* Sources: a reader, a trace in memory. The struct must outlive the run. */
struct run_mem {
	const struct trace *trace;
	size_t at;
};
struct run_source run_source_reader(struct trace_reader *);
struct run_source run_source_mem(struct run_mem *, const struct trace *);

#endif
