/* SPDX-License-Identifier: BSD-2-Clause */
/* Executing a protocol. */
#include "protocol.h"

#include <stdlib.h>
#include <string.h>

#include "port/port.h"
#include "sim/sim.h"

static const struct protocol *current;
static const struct explore_how *current_how;
static const char *failure;
static char cpu_area[PROTOCOL_THREADS_MAX][4096];
static uint32_t last;
static enum run_why why;
static struct run_result *result;

const struct protocol *
protocol_by_name(const char *name)
{
	uint32_t i;

	for (i = 0; i < protocols_count; i++)
		if (strcmp(protocols[i].name, name) == 0)
			return (&protocols[i]);
	return (NULL);
}

void
protocol_fail(const char *what)
{
	if (failure == NULL)
		failure = what;
}

uint32_t
protocol_cpu(void)
{
	return (sim_cpu(sim_current()));
}

static void
body(void *arg)
{
	current->body[(uintptr_t)arg]();
}

static uint32_t
runnable(uint32_t *list, enum sim_state state)
{
	uint32_t i, n = 0;

	for (i = 0; i < current->threads; i++)
		if (sim_state(i) == state && i != sim_current() &&
		    sim_may_run(i) &&
		    (sim_solo() == SIM_NONE || sim_solo() == i))
			list[n++] = i;
	return (n);
}

static void
others(void *arg, uint64_t *set)
{
	(void)arg;
	set[0] = sim_runnable(0, false);
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
tell(struct run_step *s, uint32_t thread)
{
	s->thread = thread;
	s->before = last;
	where(thread, &s->file, &s->function, &s->file_line);
	where(last, &s->before_file, &s->before_function, &s->before_line);
	current_how->story(current_how->arg, s);
}

static struct trace_deviation
to_trace(const struct sim_deviation *d)
{
	struct trace_deviation to = { d->thread, d->op, d->point,
		(enum trace_deviate)(d->to.what - 1), d->to.n };

	return (to);
}

static void
on_deviation(void *arg, uint32_t thread, struct sim_alternative a)
{
	struct sim_deviation d = { .thread = thread, .to = a };
	struct run_step s = { .kind = RUN_STEP_DEVIATION,
		.deviation = to_trace(&d) };

	(void)arg;
	tell(&s, thread);
}

/* A thread gets the word. */
static void
note_turn(uint32_t thread)
{
	result->schedule = (result->schedule ^ thread ^ sim_points() << 16) *
	    UINT64_C(0x9e3779b97f4a7c15);
}

/* As the loop would, without it. */
static bool
passes(void *arg, uint32_t from, uint32_t to)
{
	(void)arg;
	if (current_how->story != NULL || failure != NULL)
		return (false);
	last = from;
	why = RUN_WHY_PREEMPTED;
	note_turn(to);
	return (true);
}

static void
resume(uint32_t thread)
{
	enum sim_stop stop;

	if (current_how->story != NULL &&
	    (thread != last || why != RUN_WHY_PREEMPTED)) {
		struct run_step s = { .kind = RUN_STEP_RUNS,
			.why = last == SIM_NONE ? RUN_WHY_FIRST : why };

		tell(&s, thread);
	}
	stop = sim_resume(thread);
	last = thread = sim_last();
	why = stop == SIM_DONE		  ? RUN_WHY_DONE :
	    stop == SIM_PREEMPTED	  ? RUN_WHY_PREEMPTED :
	    stop == SIM_SPINNING	  ? RUN_WHY_SPINS :
	    sim_state(thread) == SIM_LOCK ? RUN_WHY_LOCK :
					    RUN_WHY_SLEEPS;
}

/* ---- Executing --------------------------------------------------------- */

static void
on_wrong(void *arg, const char *clause, const char *state, const char *expected,
    const char *found)
{
	static char text[256];

	(void)arg;
	(void)clause;
	(void)expected;
	(void)snprintf(text, sizeof(text), "%s: %.200s", state, found);
	protocol_fail(text);
}

/* Who goes on; SIM_NONE: look again, or nobody can (*ret_end). */
static uint32_t
pick(uint32_t *spins, bool *ret_end)
{
	uint32_t list[PROTOCOL_THREADS_MAX], n, thread = sim_next();

	if (thread != SIM_NONE)
		return (thread);
	n = runnable(list, SIM_READY);
	if (n != 0) {
		*spins = 0;
		return (sim_pick(list, n, list[0]));
	}
	(void)sim_settle();
	n = runnable(list, SIM_SPIN);
	*ret_end = n == 0;
	return (n == 0 ? SIM_NONE : list[++*spins % n]);
}

/* Until nobody can go on. */
static void
loop(struct run_result *r)
{
	uint32_t thread, spins = 0;
	bool end = false;

	while (failure == NULL && spins < 1000 && !end && !sim_pruned()) {
		thread = pick(&spins, &end);
		if (thread == SIM_NONE)
			continue;
		note_turn(thread);
		resume(thread);
	}
	if (sim_pruned())
		r->status = RUN_PRUNED;
	else if (failure == NULL && !end)
		protocol_fail("the threads only spin");
}

static void
judge(const struct protocol *p, struct run_result *r)
{
	uint32_t i, asleep = 0;

	for (i = 0; i < p->threads && failure == NULL; i++) {
		if (sim_state(i) == SIM_ASLEEP)
			asleep |= 1u << i;
		else if (sim_state(i) == SIM_LOCK)
			protocol_fail("deadlock");
	}
	if (failure == NULL)
		failure = p->check(asleep);
	if (failure == NULL)
		return;
	r->status = RUN_FINDING;
	(void)snprintf(
	    r->finding.clause, sizeof(r->finding.clause), "%s", p->clause);
	(void)snprintf(
	    r->finding.operation, sizeof(r->finding.operation), "%s", p->name);
	(void)snprintf(
	    r->finding.expected, sizeof(r->finding.expected), "%s", p->about);
	(void)snprintf(
	    r->finding.found, sizeof(r->finding.found), "%s", failure);
	(void)snprintf(r->finding.signature, sizeof(r->finding.signature),
	    "protocol/%s/%s", p->clause, p->name);
}

static bool
obey(struct protocol_world *w, const struct explore_how *how,
    struct sim_config *c)
{
	uint32_t i;

	free(w->obeyed);
	w->obeyed = calloc((size_t)how->ndeviations + 1, sizeof(*w->obeyed));
	if (w->obeyed == NULL)
		return (false);
	for (i = 0; i < how->ndeviations; i++) {
		const struct trace_deviation *d = &how->deviation[i];

		w->obeyed[i] = (struct sim_deviation) { d->thread, d->op,
			d->point, { (uint16_t)(d->what + 1), (uint16_t)d->n } };
	}
	c->deviation = w->obeyed;
	c->ndeviations = how->ndeviations;
	return (true);
}

static void
keep_record(struct protocol_world *w, struct run_result *r)
{
	uint32_t i, n;
	const struct sim_deviation *d = sim_record(&n);

	free(w->recorded);
	w->recorded = calloc((size_t)n + 1, sizeof(*w->recorded));
	if (w->recorded == NULL)
		return;
	for (i = 0; i < n; i++)
		w->recorded[i] = to_trace(&d[i]);
	r->deviation = w->recorded;
	r->ndeviations = n;
}

static void
execute(struct explore_world *world, const struct explore_how *how,
    struct run_result *r)
{
	static const uint16_t cpus[PROTOCOL_THREADS_MAX] = { 0, 1, 2, 3 };
	struct protocol_world *w = (struct protocol_world *)(void *)world;
	const struct protocol *p = w->protocol;
	uint16_t place[PROTOCOL_THREADS_MAX];
	struct sim_config c = { .cpus = p->cpus,
		.threads = p->threads,
		.memory = (enum sim_memory)how->memory,
		.may = how->may,
		.thread_cpu = place,
		.strategy = how->strategy,
		.record = true,
		.hash = how->hash,
		.points_max = how->points_max,
		.counts = true,
		.others = others,
		.passes = passes,
		.on_wrong = on_wrong };
	uint32_t i;

	memset(r, 0, sizeof(*r));
	current = p;
	current_how = how;
	result = r;
	failure = NULL;
	last = SIM_NONE;
	if (how->story != NULL)
		c.on_deviation = on_deviation;
	for (i = 0; i < p->threads; i++)
		place[i] = cpus[i] % p->cpus;
	ka_sim_cpus((struct ka_cpu *)(void *)cpu_area, sizeof(cpu_area[0]),
	    PROTOCOL_THREADS_MAX);
	if (!obey(w, how, &c) || sim_reset(&c) != 0) {
		r->status = RUN_FAILED;
		trace_error_set(&r->error, "kalab", 0, 0, "out of memory");
		return;
	}
	p->setup(p->holds);
	for (i = 0; i < p->threads; i++)
		sim_start(i, 1, body, (void *)(uintptr_t)i);
	loop(r);
	if (r->status == RUN_CLEAN)
		judge(p, r);
	r->points = sim_points();
	sim_leave();
	if (r->status == RUN_FINDING || how->record_clean)
		keep_record(w, r);
	if (how->state != NULL)
		how->state(how->arg, r->schedule);
}

void
protocol_world(struct protocol_world *w, const struct protocol *p)
{
	memset(w, 0, sizeof(*w));
	w->world.execute = execute;
	w->protocol = p;
}

void
protocol_world_fini(struct protocol_world *w)
{
	free(w->recorded);
	free(w->obeyed);
	memset(w, 0, sizeof(*w));
}
