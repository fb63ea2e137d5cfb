/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/random.h"

#define PROGRESS_EVERY 256u
#define AGAIN_EVERY    64u /* of so many executions one is done again */

static const char *const kind_names[] = {
	[EXPLORE_RECORDED] = "recorded",
	[EXPLORE_RANDOM] = "random",
	[EXPLORE_STICKY] = "sticky",
	[EXPLORE_PCT] = "pct",
	[EXPLORE_BOUND] = "bound",
	[EXPLORE_EXHAUSTIVE] = "exhaustive",
};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == EXPLORE_KIND_COUNT,
    "a strategy has no name");

const char *
explore_kind_name(enum explore_kind kind)
{
	return (kind_names[kind]);
}

int
explore_kind_by_name(const char *name)
{
	int i;

	for (i = 0; i < EXPLORE_KIND_COUNT; i++)
		if (strcmp(kind_names[i], name) == 0)
			return (i);
	return (-1);
}

/* ---- A trace as a world ------------------------------------------------ */

static void
trace_execute(struct explore_world *w, const struct explore_how *how,
    struct run_result *ret_r)
{
	struct explore_trace *t = (struct explore_trace *)(void *)w;
	struct run_options options = *t->run;
	struct run_source source;
	struct run_mem mem;

	source = run_source_mem(&mem, t->trace);
	t->header = t->trace->header;
	t->header.sched = TRACE_SCHED_RECORDED;
	t->header.memory = how->memory;
	t->header.may = how->may;
	t->header.deviation =
	    (struct trace_deviation *)(uintptr_t)how->deviation;
	t->header.ndeviations = how->ndeviations;
	source.header = &t->header;
	options.strategy = how->strategy;
	options.memory = how->memory;
	options.may = how->may;
	options.hash_events = how->hash;
	options.locks_stay = how->locks_stay;
	options.points_max = how->points_max;
	options.counts = true;
	options.quiet_first = t->has_quiesce && how->strategy != NULL;
	options.record = true;
	options.record_clean = how->record_clean;
	options.no_halt = true; /* no schedule is left to choose then */
	options.stop = how->stop;
	options.state = how->state;
	options.story = how->story;
	options.arg = how->arg;
	run(&source, &options, ret_r);
}

void
explore_trace_world(struct explore_trace *t, const struct trace *trace,
    const struct run_options *run)
{
	size_t i;

	memset(t, 0, sizeof(*t));
	t->world.execute = trace_execute;
	t->trace = trace;
	t->run = run;
	for (i = 0; i < trace->nops; i++)
		t->has_quiesce |= trace->op[i].code == TRACE_OP_QUIESCE;
}

/* ---- Executions -------------------------------------------------------- */

int
explore_init(struct explore *e, struct explore_world *world,
    const struct explore_options *options)
{
	memset(e, 0, sizeof(*e));
	e->options = *options;
	e->world = world;
	return (search_init(&e->search, options->kind == EXPLORE_EXHAUSTIVE, 0,
	    options->jobs, options->index));
}

void
explore_fini(struct explore *e)
{
	search_fini(&e->search);
	free(e->deviation);
	memset(e, 0, sizeof(*e));
}

static bool
is_search(enum explore_kind kind)
{
	return (kind == EXPLORE_BOUND || kind == EXPLORE_EXHAUSTIVE);
}

/* The strategy of the next execution. */
static struct sim_strategy *
begin(struct explore *e)
{
	const struct explore_options *o = &e->options;
	uint64_t rng = o->seed +
	    (e->count.executions * o->jobs + o->index) *
		UINT64_C(0xd1342543de82ef95);
	uint64_t seed = random_next(&rng);

	switch (o->kind) {
	case EXPLORE_RANDOM:
		return (
		    strategy_begin(&e->strategy, STRATEGY_RANDOM, seed, 0, 0));
	case EXPLORE_STICKY:
		return (strategy_begin(&e->strategy, STRATEGY_STICKY, seed,
		    2u << random_below(&rng, 5), 0));
	case EXPLORE_PCT:
		return (strategy_begin(&e->strategy, STRATEGY_PCT, seed,
		    1 + random_below(&rng, o->depth), e->strategy.asked));
	case EXPLORE_BOUND:
	case EXPLORE_EXHAUSTIVE:
		search_begin(&e->search);
		return (&e->search.base);
	default:
		return (NULL);
	}
}

static bool
keep_deviations(struct explore *e)
{
	const struct run_result *r = &e->result;
	struct trace_deviation *d =
	    calloc((size_t)r->ndeviations + 1, sizeof(*d));

	if (d == NULL)
		return (false);
	if (r->ndeviations != 0)
		memcpy(d, r->deviation, r->ndeviations * sizeof(*d));
	free(e->deviation);
	e->deviation = d;
	e->ndeviations = r->ndeviations;
	return (true);
}

/* Two executions that were to be one (G-10). */
static void
differ(struct run_result *r, const char *how)
{
	r->status = RUN_FINDING;
	memset(&r->finding, 0, sizeof(r->finding));
	(void)snprintf(r->finding.clause, sizeof(r->finding.clause), "G-10");
	(void)snprintf(
	    r->finding.operation, sizeof(r->finding.operation), "explore");
	(void)snprintf(r->finding.signature, sizeof(r->finding.signature),
	    "explore/G-10/%s", how);
}

static void
strayed(struct run_result *r)
{
	differ(r, "schedule/strayed");
	(void)snprintf(r->finding.expected, sizeof(r->finding.expected),
	    "the same questions after the same answers");
	(void)snprintf(r->finding.found, sizeof(r->finding.found),
	    "a schedule that was repeated went another way");
}

static void
count(struct explore *e)
{
	const struct explore_options *o = &e->options;
	const struct run_result *r = &e->result;

	e->count.points += r->points;
	e->count.ops += r->ops;
	e->count.blocked += r->blocked != 0;
	e->count.windows += r->windows;
	e->count.windows_long += r->windows_long;
	if (r->counts.slack_used > e->count.slack_used)
		e->count.slack_used = r->counts.slack_used;
	if (r->counts.slack_declared > e->count.slack_declared)
		e->count.slack_declared = r->counts.slack_declared;
	if (r->status == RUN_PRUNED)
		e->count.pruned++;
	else if (o->kind != EXPLORE_BOUND ||
	    (e->search.deviations == e->search.bound &&
		(e->search.deviations != 0 || o->index == 0)))
		e->count.schedules++;
	if (o->schedule != NULL && r->status != RUN_PRUNED)
		o->schedule(o->arg, r->schedule);
}

/* Not what the execution was, whose deviations it has. */
static void
went_otherwise(struct run_result *r, const struct run_result *again)
{
	differ(r, "deviations/hash");
	(void)snprintf(r->finding.expected, sizeof(r->finding.expected),
	    "hash %016" PRIx64 ", %" PRIu64 " operations", r->hash, r->ops);
	(void)snprintf(r->finding.found, sizeof(r->finding.found),
	    "hash %016" PRIx64 ", %" PRIu64
	    " operations by the deviations alone",
	    again->hash, again->ops);
}

/*
 * Deviations are all that is written down of a finding: what they are of must
 * come again by them alone, whoever chose them.
 */
static void
do_again(struct explore *e)
{
	const struct explore_options *o = &e->options;
	struct explore_how how = { .memory = o->memory,
		.may = o->may,
		.points_max = o->points_max,
		.stop = o->stop };
	struct run_result again, *r = &e->result;

	if (!keep_deviations(e)) {
		r->status = RUN_FAILED;
		trace_error_set(&r->error, "kalab", 0, 0, "out of memory");
		return;
	}
	how.deviation = e->deviation;
	how.ndeviations = e->ndeviations;
	e->world->execute(e->world, &how, &again);
	r->deviation = e->deviation;
	if (again.status != RUN_INTERRUPTED &&
	    (again.status != r->status || again.hash != r->hash ||
		again.schedule != r->schedule || again.ops != r->ops))
		went_otherwise(r, &again);
}

static void
execute(struct explore *e)
{
	const struct explore_options *o = &e->options;
	struct explore_how how = { .memory = o->memory,
		.may = o->may,
		.hash = o->kind == EXPLORE_EXHAUSTIVE,
		.locks_stay = true,
		.points_max = o->points_max,
		.record_clean = e->count.executions % AGAIN_EVERY == 0,
		.stop = o->stop,
		.state = o->state,
		.arg = o->arg };

	how.strategy = begin(e);
	e->count.executions++;
	e->world->execute(e->world, &how, &e->result);
	if (is_search(o->kind) && search_strayed(&e->search) &&
	    e->result.status != RUN_INTERRUPTED)
		strayed(&e->result);
	count(e);
	if (how.record_clean && e->result.status == RUN_CLEAN)
		do_again(e);
}

/* Is there another execution to do? */
static bool
next(struct explore *e)
{
	switch (e->options.kind) {
	case EXPLORE_BOUND:
		if (search_next(&e->search))
			return (true);
		if (e->search.bound == e->options.bound)
			break;
		e->count.level = ++e->search.bound;
		e->search.repeat = 0;
		return (true);
	case EXPLORE_EXHAUSTIVE:
		if (search_next(&e->search))
			return (true);
		break;
	case EXPLORE_RECORDED:
		break;
	default:
		return (true);
	}
	e->count.complete = true;
	return (false);
}

static bool
is_over(const struct explore *e)
{
	const struct explore_options *o = &e->options;

	return ((o->stop != NULL && *o->stop) ||
	    (o->runs != 0 && e->count.executions >= o->runs) ||
	    (o->until > 0 && e->count.executions % 16 == 0 &&
		o->now() > o->until));
}

enum run_status
explore_go(struct explore *e)
{
	const struct explore_options *o = &e->options;

	while (!e->count.complete && !is_over(e)) {
		execute(e);
		switch (e->result.status) {
		case RUN_CLEAN:
		case RUN_PRUNED:
			break;
		case RUN_INTERRUPTED:
			/* It was not done: it is repeated. */
			e->count.executions--;
			return (RUN_INTERRUPTED);
		case RUN_FINDING:
			if (!keep_deviations(e))
				e->result.status = RUN_FAILED;
			e->count.deviations = e->ndeviations;
			return (e->result.status);
		default:
			return (e->result.status);
		}
		if (is_search(o->kind) &&
		    e->count.executions % PROGRESS_EVERY == 0)
			e->count.done = search_done(&e->search);
		if (o->progress != NULL &&
		    e->count.executions % PROGRESS_EVERY == 0)
			o->progress(o->arg);
		if (!next(e))
			break;
	}
	if (e->count.complete)
		e->count.done = 1;
	return (RUN_CLEAN);
}

bool
explore_save(const struct explore *e, FILE *f)
{
	return (fwrite(&e->count, sizeof(e->count), 1, f) == 1 &&
	    search_save(&e->search, f));
}

/* The bound may be another than then: what was complete goes on with more
 * deviations, and what is at more has all that are asked for. */
static void
bound_again(struct explore *e)
{
	const uint32_t bound = e->options.bound;

	if (e->search.bound > bound) {
		e->count.complete = true;
	} else if (e->count.complete && e->search.bound < bound) {
		e->count.complete = false;
		e->count.level = ++e->search.bound;
		e->search.repeat = 0;
	}
}

bool
explore_load(struct explore *e, FILE *f)
{
	if (fread(&e->count, sizeof(e->count), 1, f) != 1 ||
	    !search_load(&e->search, f))
		return (false);
	if (e->options.kind == EXPLORE_BOUND)
		bound_again(e);
	return (true);
}

/* ---- The fewest deviations --------------------------------------------- */

/* Do these deviations show it? */
static bool
shows(struct explore_world *w, const struct explore_options *o,
    const char *signature, const struct trace_deviation *d, uint32_t n)
{
	struct explore_how how = { .memory = o->memory,
		.may = o->may,
		.deviation = d,
		.ndeviations = n,
		.points_max = o->points_max };
	struct run_result r;

	w->execute(w, &how, &r);
	return (r.status == RUN_FINDING &&
	    strcmp(r.finding.signature, signature) == 0);
}

/* Leaves out, in ever smaller pieces, what is not needed. */
static uint32_t
leave_out(struct explore_world *w, const struct explore_options *o,
    const char *signature, struct trace_deviation *d, uint32_t n,
    struct trace_deviation *work, uint64_t *executions)
{
	uint32_t piece, at, before = n;

	for (piece = (n + 1) / 2; piece > 0 && n > 0;
	     piece = piece > 1 || n == before ? piece / 2 : 1) {
		before = n;
		for (at = 0; at < n;) {
			uint32_t gone = at + piece > n ? n - at : piece;

			memcpy(work, d, at * sizeof(*d));
			memcpy(work + at, d + at + gone,
			    (n - at - gone) * sizeof(*d));
			++*executions;
			if (shows(w, o, signature, work, n - gone)) {
				memcpy(d, work, (n - gone) * sizeof(*d));
				n -= gone;
			} else {
				at += piece;
			}
			if ((o->stop != NULL && *o->stop) ||
			    (o->until > 0 && o->now() > o->until))
				return (n);
		}
	}
	return (n);
}

int
explore_fewest(struct explore_world *w, const struct explore_options *options,
    const char *signature, struct trace_deviation **deviation, uint32_t *n,
    struct explore_fewest *ret_f)
{
	struct explore_options o = *options;
	struct trace_deviation *work = calloc((size_t)*n + 1, sizeof(*work));
	struct explore e;

	memset(ret_f, 0, sizeof(*ret_f));
	if (work == NULL)
		return (ENOMEM);
	ret_f->executions++;
	ret_f->shown = shows(w, &o, signature, *deviation, *n);
	if (!ret_f->shown) {
		free(work);
		return (0);
	}
	*n = leave_out(
	    w, &o, signature, *deviation, *n, work, &ret_f->executions);
	free(work);
	if (*n == 0) {
		ret_f->proven = true;
		return (0);
	}
	o.kind = EXPLORE_BOUND;
	o.bound = *n - 1;
	o.jobs = 1;
	o.index = 0;
	o.state = o.schedule = NULL;
	o.progress = NULL;
	if (explore_init(&e, w, &o) != 0)
		return (ENOMEM);
	for (;;) {
		enum run_status status = explore_go(&e);

		if (status != RUN_FINDING) {
			ret_f->proven = e.count.complete;
			break;
		}
		if (strcmp(e.result.finding.signature, signature) == 0) {
			free(*deviation);
			*deviation = e.deviation;
			*n = e.ndeviations;
			e.deviation = NULL;
			ret_f->proven = true; /* all with fewer were before */
			break;
		}
		if (!next(&e)) { /* something else: go on past it */
			ret_f->proven = true;
			break;
		}
	}
	ret_f->executions += e.count.executions;
	explore_fini(&e);
	return (0);
}
