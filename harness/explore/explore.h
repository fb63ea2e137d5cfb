/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exploring: a trace, or another world of threads, under many schedules.
 *
 * A *world* is what is executed: it is run once for each execution, with a
 * strategy, and says how it ended. Traces are worlds (explore_trace); so are
 * protocols (protocol/), which have no trace.
 */
#ifndef KALAB_EXPLORE_H
#define KALAB_EXPLORE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "explore/search.h"
#include "model/model.h"
#include "run/run.h"
#include "sim/strategy.h"
#include "trace/trace.h"

enum explore_kind {
	EXPLORE_RECORDED, /* one execution, without a deviation */
	EXPLORE_RANDOM,
	EXPLORE_STICKY, /* stickiness drawn for each execution */
	EXPLORE_PCT,
	EXPLORE_BOUND, /* all with 0, 1, .. bound deviations */
	EXPLORE_EXHAUSTIVE /* all, up to the order of what is independent */,
	EXPLORE_KIND_COUNT
};

const char *explore_kind_name(enum explore_kind);
int explore_kind_by_name(const char *); /* or -1 */

/* How one execution is to be. */
struct explore_how {
	struct sim_strategy *strategy; /* NULL: the deviations */
	enum trace_memory memory;
	uint32_t may;	   /* TRACE_MAY_ bits */
	bool hash;	   /* the strategy asks for sim_hash() */
	bool record_clean; /* the deviations also of what shows nothing */
	bool locks_stay;
	const struct trace_deviation *deviation; /* without a strategy */
	uint32_t ndeviations;
	uint64_t points_max;
	const volatile sig_atomic_t *stop;
	void (*state)(void *arg, uint64_t state);
	void (*story)(void *arg, const struct run_step *);
	void *arg;
};

struct explore_world {
	/* Executes. The result's deviations are valid until the next time. */
	void (*execute)(struct explore_world *, const struct explore_how *,
	    struct run_result *ret_r);
};

/* A trace as a world; it must outlive it. */
struct explore_trace {
	struct explore_world world;
	const struct trace *trace;
	const struct run_options *run; /* subject, audits, contents */
	struct trace_header header;    /* of the execution: borrowed */
	bool has_quiesce; /* what is before the first is not explored */
};
void explore_trace_world(
    struct explore_trace *, const struct trace *, const struct run_options *);

struct explore_options {
	enum explore_kind kind;
	uint32_t bound; /* BOUND */
	uint32_t depth; /* PCT: at most; drawn for each execution */
	uint64_t seed;
	enum trace_memory memory;
	uint32_t may;
	uint64_t runs;	      /* of this job at most; 0: no end */
	double until;	      /* when it is over (now() below); 0: no end */
	uint32_t jobs, index; /* how many share the work, and which this is */
	uint64_t points_max;
	const volatile sig_atomic_t *stop;
	double (*now)(void);
	void (*state)(void *arg, uint64_t state);
	void (*schedule)(void *arg, uint64_t schedule);
	/* Now and then. */
	void (*progress)(void *arg);
	void *arg;
};

/* What has been done; also what is to be known to go on. */
struct explore_count {
	uint64_t executions; /* begun */
	uint64_t schedules;  /* searches: different ones; else executions */
	uint64_t pruned;     /* ended early: the rest was known */
	uint64_t points, ops, blocked;
	uint64_t windows, windows_long;	     /* run_result's */
	uint64_t slack_used, slack_declared; /* the most: model_counts' */
	uint32_t level;	     /* BOUND: deviations of the paths being walked */
	double done;	     /* about which part is done */
	bool complete;	     /* all of the kind there are */
	uint64_t deviations; /* of the finding */
};

struct explore {
	struct explore_options options;
	struct explore_world *world;
	struct explore_count count;
	struct search search;
	struct strategy strategy;
	struct run_result result;	   /* of the last execution */
	struct trace_deviation *deviation; /* of the finding; owned */
	uint32_t ndeviations;
	double found_at; /* seconds into it */
};

/* 0 or ENOMEM. */
int explore_init(
    struct explore *, struct explore_world *, const struct explore_options *);
void explore_fini(struct explore *);
/* Goes on until a finding, the end of the space, of the time or of the runs, or
 * until it is stopped. */
enum run_status explore_go(struct explore *);
/* State of a search that is not complete, to go on with later. */
bool explore_save(const struct explore *, FILE *);
bool explore_load(struct explore *, FILE *);

/*
 * Fewer deviations that show the same signature: first each is left out that
 * can be, then all schedules with fewer are searched, so that what is returned
 * is the fewest there are, if ret_f->proven. The list is replaced. If it does
 * not show it itself, as what two executions tell together, it stays.
 */
struct explore_fewest {
	uint64_t executions;
	bool shown; /* by the deviations, in an execution alone */
	bool proven;
};
int explore_fewest(struct explore_world *, const struct explore_options *,
    const char *signature, struct trace_deviation **deviation, uint32_t *n,
    struct explore_fewest *ret_f);

#endif
