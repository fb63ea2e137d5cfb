/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The schedule of a run: what the trace or the caller says of it, as the
 * simulation wants it; what the simulation tells, to the model; and the story.
 */
#include "run_int.h"

#include <kalloc/flags.h>

#include <stdlib.h>
#include <string.h>

#define WINDOW_FREE 256u /* read ahead when the schedule is free */

_Static_assert((int)TRACE_DEVIATE_COUNT + 1 == (int)SIM_DO_COUNT,
    "what the trace and the simulation call deviations");
_Static_assert((int)TRACE_MEMORY_COUNT == (int)SIM_MEMORY_COUNT &&
	(int)TRACE_MEMORY_C11 == (int)SIM_C11,
    "memory models");
_Static_assert(TRACE_MAY_MIGRATE == SIM_MAY_MIGRATE &&
	TRACE_MAY_WAKE == SIM_MAY_WAKE && TRACE_MAY_FAIL == SIM_MAY_FAIL &&
	TRACE_MAY_SOLO == SIM_MAY_SOLO,
    "choices");
_Static_assert((int)STRATEGY_KIND_COUNT == (int)TRACE_SCHED_MODE_COUNT &&
	(int)STRATEGY_PCT == (int)TRACE_SCHED_PCT,
    "schedules");

/* ---- What the simulation tells ----------------------------------------- */

static void
on_sleep(void *arg, uint32_t thread)
{
	struct run_state *s = arg;

	model_sleep(s->model, run__frame(s, thread));
}

static void
on_wake(void *arg, uint32_t thread)
{
	struct run_state *s = arg;

	model_wake(s->model, run__frame(s, thread));
}

_Static_assert((int)SIM_COMMIT_KIND_COUNT == (int)MODEL_COMMIT_KIND_COUNT &&
	(int)SIM_COMMIT_PIPE == (int)MODEL_COMMIT_PIPE &&
	(int)SIM_COMMIT_WHAT_COUNT == (int)MODEL_COMMIT_WHAT_COUNT &&
	(int)SIM_COMMIT_ROOM == (int)MODEL_COMMIT_ROOM,
    "commit points");

static void
on_commit(void *arg, uint32_t thread, enum sim_commit_kind kind,
    enum sim_commit_what what, const void *object, uint64_t n)
{
	struct run_state *s = arg;

	model_commit(s->model,
	    thread == SIM_NONE ? SIM_NONE : run__frame(s, thread),
	    (enum model_commit_kind)kind, (enum model_commit_what)what,
	    (uint64_t)(uintptr_t)object, n);
}

static void
on_migrate(void *arg, uint32_t thread, uint32_t cpu)
{
	struct run_state *s = arg;

	model_migrate(s->model, run__frame(s, thread), cpu);
}

static void
on_wrong(void *arg, const char *clause, const char *state, const char *expected,
    const char *found)
{
	struct run_state *s = arg;

	model_report(s->model, clause, state, expected, found);
}

/* Is the thread in a call that promises not to block (G-4)? */
bool
run__nonblocking(void *arg, uint32_t thread)
{
	const struct run_state *s = arg;
	const struct call *c;

	if (thread >= s->nthreads || !s->thread[thread].busy)
		return (false);
	c = &s->thread[thread].call;
	switch (c->code) {
	case TRACE_OP_KFREE:
	case TRACE_OP_OBJCACHE_PUT:
	case TRACE_OP_MPIPE_ALLOC_NOWAIT:
	case TRACE_OP_MPIPE_FREE:
	case TRACE_OP_UMA_ZFREE:
	case TRACE_OP_ZFREE:
	case TRACE_OP_VM_PAGE_ALLOC:
	case TRACE_OP_VM_PAGE_FREE:
		return (true);
	case TRACE_OP_KMALLOC:
	case TRACE_OP_OBJCACHE_GET:
	case TRACE_OP_UMA_ZALLOC:
		return ((c->flags & M_WAITOK) == 0);
	default:
		return (false);
	}
}

static void
others(void *arg, uint64_t *set)
{
	run__can_go_on(arg, false, set);
}

/* ---- Deviations -------------------------------------------------------- */

/* The library's threads follow those of the trace in the simulation. */
static uint32_t
to_sim(const struct run_state *s, uint32_t thread)
{
	return (thread < TRACE_THREADS_MAX ?
		thread :
		thread - TRACE_THREADS_MAX + s->nthreads);
}

static uint32_t
to_trace(const struct run_state *s, uint32_t thread)
{
	return (thread < s->nthreads ?
		thread :
		thread - s->nthreads + TRACE_THREADS_MAX);
}

static bool
names_thread(uint32_t what)
{
	return (what == SIM_RUN || what == SIM_WAKE);
}

static bool
deviations(struct run_state *s, struct sim_config *c)
{
	const struct trace_header *h = s->header;
	uint32_t i;

	if (h->ndeviations == 0 || s->options->strategy != NULL)
		return (true);
	s->deviation = calloc(h->ndeviations, sizeof(*s->deviation));
	if (s->deviation == NULL)
		return (false);
	for (i = 0; i < h->ndeviations; i++) {
		const struct trace_deviation *d = &h->deviation[i];
		struct sim_deviation *to = &s->deviation[i];

		to->thread = to_sim(s, d->thread);
		to->op = d->op;
		to->point = d->point;
		to->to.what = (uint16_t)(d->what + 1);
		to->to.n =
		    (uint16_t)(names_thread(to->to.what) ? to_sim(s, d->n) :
							   d->n);
	}
	c->deviation = s->deviation;
	c->ndeviations = h->ndeviations;
	return (true);
}

static struct trace_deviation
deviation_of(const struct run_state *s, const struct sim_deviation *d)
{
	struct trace_deviation to = { to_trace(s, d->thread), d->op, d->point,
		(enum trace_deviate)(d->to.what - 1),
		names_thread(d->to.what) ? to_trace(s, d->to.n) : d->to.n };

	return (to);
}

void
run__schedule_end(struct run_state *s)
{
	uint32_t i, n;
	const struct sim_deviation *d = sim_record(&n);

	if (n == 0)
		return;
	s->recorded = calloc(n, sizeof(*s->recorded));
	if (s->recorded == NULL)
		return;
	for (i = 0; i < n; i++)
		s->recorded[i] = deviation_of(s, &d[i]);
	s->result->deviation = s->recorded;
	s->result->ndeviations = n;
}

uint32_t
run_recorded(struct trace_deviation *to, uint32_t max)
{
	uint32_t i, n;
	const struct sim_deviation *d = sim_record(&n);

	for (i = 0; i < n && i < max; i++)
		to[i] = deviation_of(&run_state, &d[i]);
	return (i);
}

/* ---- The story --------------------------------------------------------- */

static void
where(uint32_t thread, const char **ret_file, const char **ret_function,
    uint32_t *ret_line)
{
	struct sim_place p;

	if (thread == SIM_NONE || !sim_where(thread, &p))
		return;
	*ret_file = p.file;
	*ret_function = p.function;
	*ret_line = p.line;
}

static void
tell(struct run_state *s, struct run_step *step, uint32_t thread)
{
	step->header = s->header;
	step->thread = to_trace(s, thread);
	if (thread < s->nthreads && s->thread[thread].first != NULL)
		step->op = &s->thread[thread].first->op;
	where(thread, &step->file, &step->function, &step->file_line);
	s->options->story(s->options->arg, step);
}

void
run__tell(struct run_state *s, uint32_t thread)
{
	struct run_step step = { .kind = RUN_STEP_RUNS,
		.why = s->last == SIM_NONE ? RUN_WHY_FIRST : s->why };

	if (thread == s->last && s->why == RUN_WHY_PREEMPTED)
		return; /* it just goes on */
	step.before = s->last == SIM_NONE ? SIM_NONE : to_trace(s, s->last);
	where(s->last, &step.before_file, &step.before_function,
	    &step.before_line);
	tell(s, &step, thread);
}

static void
on_deviation(void *arg, uint32_t thread, struct sim_alternative a)
{
	struct run_state *s = arg;
	struct run_step step = { .kind = RUN_STEP_DEVIATION };
	struct sim_deviation d = { .thread = thread, .to = a };

	step.deviation = deviation_of(s, &d);
	tell(s, &step, thread);
}

/* ---- Setting up -------------------------------------------------------- */

static void
choose_strategy(struct run_state *s, struct sim_config *c)
{
	const struct trace_header *h = s->header;
	const struct run_options *o = s->options;

	if (o->strategy != NULL) {
		c->strategy = o->strategy;
		c->memory = (enum sim_memory)o->memory;
		c->may = o->may;
		return;
	}
	c->memory = (enum sim_memory)h->memory;
	c->may = h->may;
	if (!o->perturb) {
		c->strategy = strategy_begin(&s->strategy,
		    (enum strategy_kind)h->sched, h->sched_seed, h->sticky, 0);
		return;
	}
	/* Stickiness is drawn too: no one value is best. */
	c->strategy = strategy_begin(&s->strategy, STRATEGY_STICKY,
	    o->perturb_seed,
	    2u << (o->perturb_seed * UINT64_C(0x9e3779b97f4a7c15) >> 62), 0);
}

bool
run__schedule(struct run_state *s, bool *ret_recorded)
{
	const struct trace_header *h = s->header;
	struct sim_config c = { .cpus = h->cpus,
		.threads = h->threads,
		.thread_cpu = h->thread_cpu,
		.others = others,
		.able = &s->able,
		.passes = run__passes,
		.nonblocking = run__nonblocking,
		.on_sleep = on_sleep,
		.on_wake = on_wake,
		.on_migrate = on_migrate,
		.on_wrong = on_wrong,
		.record = s->options->record,
		.hash = s->options->hash_events,
		.locks_stay = s->options->locks_stay,
		.points_max = s->options->points_max != 0 ?
		    s->options->points_max :
		    RUN_POINTS_MAX,
		.counts = s->options->counts,
		/* Each item of each page that a zone's reserve asks for is
		 * marked: two bytes for one. */
		.alone_max = 10000 + 2048 * (uint64_t)s->header->pages,
		.arg = s };

	if (s->options->story != NULL)
		c.on_deviation = on_deviation;
	if ((s->subject->caps & SUBJECT_COMMITS) != 0)
		c.on_commit = on_commit;
	choose_strategy(s, &c);
	if (!deviations(s, &c))
		return (false);
	*ret_recorded = c.strategy == NULL && c.ndeviations == 0;
	s->window = *ret_recorded ? 1 : WINDOW_FREE;
	if (sim_reset(&c) != 0)
		return (false);
	sim_quiet(s->options->quiet_first);
	return (true);
}
