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
#include "subject/subject.h"
#include "trace/call.h"
#include "trace/trace.h"

enum run_status {
	RUN_CLEAN,
	RUN_FINDING,
	RUN_BAD_INPUT,	 /* run_result.error says where and what */
	RUN_INTERRUPTED, /* by run_options.stop; counts are of the part done */
	RUN_FAILED	 /* the harness could not: run_result.error */
};

/* Where operations come from: 1 and an operation, 0 at the end, -1 an error. */
struct run_source {
	int (*next)(
	    void *arg, struct trace_op *ret_op, struct trace_error *ret_err);
	void *arg;
	const struct trace_header *header;
};

struct run_options {
	const struct subject *subject;
	enum model_contents contents;
	uint64_t audit_every; /* operations; 0: only at quiescence */
	/* Another schedule than the trace's. */
	bool perturb;
	uint64_t perturb_seed;
	uint64_t ops_max; /* stop before operation ops_max + 1; 0: all */
	bool no_audit; /* not even at quiescence: it costs the whole budget */
	bool no_drain; /* leave what is live: for a picture at the end */
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
	uint64_t ops;  /* operations that ended */
	uint64_t
	    skipped; /* that could not be done: an allocation before failed */
	uint64_t
	    blocked; /* threads asleep at the end, with the model's consent */
	uint64_t not_run; /* operations of those threads, after */
	uint64_t left;	  /* objects and runs live at the end of the trace */
	uint64_t points, switches;
	uint64_t schedule; /* hash of who ran when */
	struct model_counts counts;
	char waits[1024]; /* who waited for what at the end, a line each */
};

/* Runs. The result is complete whatever the status. */
void run(const struct run_source *, const struct run_options *,
    struct run_result *ret_r);

/* Sources: a reader, a trace in memory. The struct must outlive the run. */
struct run_mem {
	const struct trace *trace;
	size_t at;
};
struct run_source run_source_reader(struct trace_reader *);
struct run_source run_source_mem(struct run_mem *, const struct trace *);

#endif
