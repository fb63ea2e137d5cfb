/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shrinker: of a trace that fails, the smallest that fails the same way.
 *
 * What is kept is the *signature*: allocator, clause, operation and class of
 * state of a finding; of a run that kills its process, the signal and what was
 * said last. Everything else may go: operations, threads, arguments, objects,
 * configuration, faults, the schedule.
 *
 * A *candidate* is a smaller trace. It runs in a child process, since it may
 * kill it or not come back. Where the trace has a random schedule or faults by
 * number, removing an operation moves every later choice; a candidate
 * therefore fails if any of several *variants* of it does: other seeds of the
 * same kind of schedule, other numbers of the fault.
 *
 * Nothing is drawn and nothing depends on time but a limit: the same trace
 * shrinks to the same trace.
 */
#ifndef KALAB_SHRINK_H
#define KALAB_SHRINK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "run/run.h"
#include "trace/trace.h"

enum shrink_outcome {
	SHRINK_RUNS_CLEAN, /* the run ended without a finding */
	SHRINK_FINDS,
	SHRINK_DIES,  /* the process died of it */
	SHRINK_HANGS, /* no end within the limit, and no finding of it */
	SHRINK_CANNOT /* the harness could not, or the input is bad */
};

/* What came of a candidate. */
struct shrink_verdict {
	enum shrink_outcome outcome;
	struct finding finding; /* of a death too: what can be said of it */
	char waits[1024];
	/* Where in the library the finding's thread went on last, of
	 * shrink_judge() only; "": it was never interrupted. */
	char source[96];
	uint64_t switches;
	struct trace_error error;
};

struct shrink_progress {
	size_t ops_before, ops_now;
	uint64_t runs;
	const char *doing;
};

struct shrink_options {
	/* Of these: subject, contents, audit_every, orders. */
	struct run_options run;
	bool twice;	/* each candidate twice: a difference is the finding */
	double seconds; /* stop after so long, with the best so far; 0: never */
	double hang;	/* seconds without an end; 0: 5 */
	/* What each process is told of by a tool it runs under is in the file of
	 * this name, a dot and its number; NULL: on standard error, or nowhere. */
	const char *log;
	const volatile sig_atomic_t *stop; /* or when this is set */
	void (*progress)(void *arg, const struct shrink_progress *);
	void *arg;
};

enum shrink_status {
	SHRINK_DONE,	/* nothing can be taken away any more */
	SHRINK_STOPPED, /* the best so far */
	SHRINK_CLEAN,	/* the trace does not fail */
	SHRINK_FAILED	/* result.verdict.error */
};

struct shrink_result {
	struct shrink_verdict verdict; /* of the shrunk trace */
	char signature[96];
	size_t ops_before, ops_after;
	uint64_t candidates, runs, deaths;
	double seconds;
};

/*
 * Shrinks *t in place; it is canonical afterwards. When it does not fail or
 * the harness cannot, it is as it was. Forks: the caller has one thread, and
 * has done no run in this process.
 */
enum shrink_status shrink(struct trace *t, const struct shrink_options *,
    struct shrink_result *ret_r);

/*
 * A trace that fails, by its own schedule, as one that does by the fewest
 * deviations from the order of its operations: *t gets them in place of its
 * schedule. Proven: all schedules with fewer were tried, within the limit of
 * time. False, and *t as it was: it dies of the finding, or its schedule has
 * more deviations than a trace can.
 */
struct shrink_deviations {
	uint32_t n;
	bool proven;
	uint64_t executions;
};
bool shrink_fewest(struct trace *t, const struct shrink_options *,
    const char *signature, struct shrink_deviations *ret_d);

/*
 * shrink(); and where its schedule is drawn, the result again as the fewest
 * deviations, after which there may be more to leave out. What was found out
 * about deviations is in *ret_d.
 */
enum shrink_status shrink_pinned(struct trace *t, const struct shrink_options *,
    struct shrink_result *ret_r, struct shrink_deviations *ret_d);

/* One run of the trace as it is, in a process of its own. */
void shrink_judge(const struct trace *, const struct shrink_options *,
    struct shrink_verdict *ret_v);

/* Writes the trace as text, with what it shows and how to replay it as
 * comments. name "-" is standard output. 0, or -1 and an error. */
int shrink_write(const struct trace *, const struct shrink_result *,
    const char *name, const char *replay, struct trace_error *ret_err);

#endif
