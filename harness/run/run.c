/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose turn it is: the loop that reads operations, queues them by thread,
 * and resumes threads of the simulation until all is done or something is
 * wrong. See run.h.
 *
 * In recorded order the operation that was read next runs next, to its end,
 * unless its thread is blocked or it needs a register of an operation that is:
 * then it waits in its thread's queue. Under the other schedules a window of
 * operations is read ahead and any thread that can go on may be chosen.
 *
 * A *stray* operation frees or resizes by an address that is not, or no longer,
 * its register's: misuse on purpose. It runs alone, with no other call under
 * way but sleepers that are in no callback: between the moment when an
 * allocation owns a chunk and the moment when it returns, a stray free of just
 * that chunk is no misuse that any allocator could tell from a right one.
 */
#include "run_int.h"

#include <kalloc/flags.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/kept.h"

#define WINDOW_BLOCKED 65536u /* queued behind blocked threads at most */
#define STARVES_TURNS  1000u  /* of a call, while others end so many */
#define STARVES_OPS    1000u
#define SPINS_MAX      1000000u
#define SWITCHES_MAX   1000000u /* changes of thread without one */
#define PROGRESS_EVERY 65536u

struct run_state run_state;

static void
fail(struct run_state *s, const char *what)
{
	s->result->status = RUN_FAILED;
	trace_error_set(&s->result->error, "kalab", 0, 0, "%s", what);
}

static struct pending *
pending_get(struct run_state *s)
{
	struct pending *p = s->pool;

	if (p == NULL)
		return (malloc(sizeof(*p)));
	s->pool = p->next;
	return (p);
}

static void
pending_put(struct run_state *s, struct pending *p)
{
	p->next = s->pool;
	s->pool = p;
}

/* Reads one operation. NULL: none came. */
static struct pending *
pull_op(struct run_state *s)
{
	struct pending *p;
	int got;

	if (s->options->ops_max != 0 && s->ordinal >= s->options->ops_max) {
		s->ended = true;
		return (NULL);
	}
	p = pending_get(s);
	if (p == NULL) {
		fail(s, "out of memory");
		return (NULL);
	}
	got = s->source->next(s->source->arg, &p->op, &s->result->error);
	if (got <= 0) {
		pending_put(s, p);
		s->ended = true;
		s->result->cut = got < 0;
		return (NULL);
	}
	p->ordinal = ++s->ordinal;
	p->next = NULL;
	return (p);
}

static inline void
set_add(uint64_t *set, uint32_t thread)
{
	set[thread / 64] |= UINT64_C(1) << thread % 64;
}

static inline void
set_remove(uint64_t *set, uint32_t thread)
{
	set[thread / 64] &= ~(UINT64_C(1) << thread % 64);
}

static inline void
enqueue(struct run_state *s, struct pending *p)
{
	struct run_thread *t = &s->thread[p->op.thread];

	*t->last = p;
	t->last = &p->next;
	s->queued++;
}

/* The thread, which has something to do, joins the sets. */
static void
list(struct run_state *s, uint32_t thread)
{
	set_add(s->able.goes_on, thread);
	if (!s->thread[thread].busy)
		set_add(s->waiting, thread);
}

/* Reads one operation into its thread's queue. False: none came. */
static bool
pull(struct run_state *s)
{
	struct pending *p;

	if (s->ended || s->barrier)
		return (false);
	p = pull_op(s);
	if (p == NULL)
		return (false);
	if (!run__regs_enter(s, p)) {
		fail(s, "out of memory");
		return (false);
	}
	s->barrier = p->op.code == TRACE_OP_QUIESCE;
	enqueue(s, p);
	list(s, p->op.thread);
	return (true);
}

static inline void
dequeue(struct run_state *s, struct run_thread *t, uint32_t thread)
{
	struct pending *p = t->first;

	t->first = p->next;
	if (t->first == NULL) {
		t->last = &t->first;
		if (!s->unlisted) {
			set_remove(s->able.goes_on, thread);
			set_remove(s->waiting, thread);
		}
	} else {
		set_add(s->waiting, thread);
	}
	run__regs_leave(s, p);
	pending_put(s, p);
	s->queued--;
}

/* Is a thread that the library started in the middle of something? */
static bool
daemon_runs(const struct run_state *s)
{
	uint32_t i;

	for (i = s->nthreads; i < sim_threads(); i++)
		if (sim_state(i) != SIM_IDLE && sim_state(i) != SIM_ASLEEP)
			return (true);
	return (false);
}

/* Nothing may be in flight but sleepers: are they right to sleep? */
static inline void
judge_idle(struct run_state *s)
{
	if (model_may_be_idle(s->model) && !daemon_runs(s))
		model_idle(s->model);
}

static void
op_ended(struct run_state *s, uint32_t thread)
{
	struct run_thread *t = kept(&s->thread[thread]);

	run__finish(s, t);
	dequeue(s, t, thread);
	if (s->options->audit_every != 0 && s->busy == 0 && !daemon_runs(s) &&
	    s->result->ops % s->options->audit_every == 0)
		run__audit(s);
	judge_idle(s);
	if (s->options->state != NULL)
		s->options->state(s->options->arg, model_state(s->model));
	if (s->options->progress != NULL &&
	    s->result->ops % PROGRESS_EVERY == 0)
		s->options->progress(s->options->arg, s->result->ops);
}

/* Operations that are the run's own. */
static void
begin_own(struct run_state *s, uint32_t thread)
{
	const struct trace_op *op = &s->thread[thread].first->op;

	if (op->code == TRACE_OP_MIGRATE) {
		sim_migrate(thread, (uint32_t)op->arg[0]);
	} else if (op->code != TRACE_OP_QUIESCE) {
		run__hook_arm(s, op);
	} else {
		run__quiesce(s);
		s->barrier = false;
		sim_quiet(false);
	}
}

/* Begins the first operation of an idle thread's queue. */
static void
begin(struct run_state *s, uint32_t thread)
{
	struct run_thread *t = kept(&s->thread[thread]);

	t->ops++;
	t->failed = t->retries = false;
	if (run_plan[t->first->op.code].own) {
		memset(&t->call, 0, sizeof(t->call));
		begin_own(s, thread);
		op_ended(s, thread);
		return;
	}
	if (!run__resolve(s, &t->first->op, &t->call)) {
		const struct trace_opdef *def = &trace_ops[t->first->op.code];

		if (def->out == TRACE_OBJ || def->out == TRACE_RUN)
			s->reg[def->out][t->first->op.out].state = REG_NULL;
		s->result->skipped++;
		dequeue(s, t, thread);
		return;
	}
	if (s->stray) {
		s->result->strays++;
		s->solo = thread;
		s->solo_slept = false;
	}
	t->busy = true;
	if (!s->unlisted)
		set_remove(s->waiting, thread);
	s->able.ask = true;
	t->turns = 0;
	t->since = s->result->ops;
	s->busy++;
	sim_start(thread, t->ops, run__call, t);
}

/* Gives a thread the word until it stops, or the one that it was passed to. */
static enum sim_stop
resume(struct run_state *s, uint32_t *thread_io)
{
	uint32_t thread = *thread_io;
	enum sim_stop stop;

	if (s->options->story != NULL)
		run__tell(s, thread);
	stop = sim_resume(thread);
	*thread_io = s->last = thread = sim_last();
	s->why = stop == SIM_DONE	  ? RUN_WHY_DONE :
	    stop == SIM_PREEMPTED	  ? RUN_WHY_PREEMPTED :
	    stop == SIM_SPINNING	  ? RUN_WHY_SPINS :
	    sim_state(thread) == SIM_LOCK ? RUN_WHY_LOCK :
					    RUN_WHY_SLEEPS;
	return (stop);
}

/*
 * A call that does not block has had its turns, and others have ended one
 * operation after the other: it starves. That it had turns is what makes it the
 * library's fault, and not the schedule's.
 */
static void
judge_starving(struct run_state *s, uint32_t thread)
{
	struct run_thread *t = &s->thread[thread];
	uint64_t others = s->result->ops - t->since;
	char found[96];

	if (++t->turns < STARVES_TURNS || others < STARVES_OPS ||
	    !run__nonblocking(s, thread))
		return;
	(void)snprintf(found, sizeof(found),
	    "%u turns, while others ended %llu operations, and it goes on",
	    t->turns, (unsigned long long)others);
	model_report(s->model, "G-4", trace_ops[t->first->op.code].name,
	    "a call that does not block ends in some turns", found);
}

/* A thread gets the word. */
static void
note_turn(struct run_state *s, uint32_t thread)
{
	s->result->schedule =
	    (s->result->schedule ^ thread ^ sim_points() << 16) *
	    UINT64_C(0x9e3779b97f4a7c15);
}

static void
step(struct run_state *s, uint32_t thread)
{
	struct run_thread *t;
	enum sim_stop stop;

	note_turn(s, thread);
	if (thread < s->nthreads && !s->thread[thread].busy) {
		begin(s, thread);
		if (!s->thread[thread].busy)
			return;
	}
	stop = resume(s, &thread);
	if (thread >= s->nthreads) {
		judge_idle(s);
		return;
	}
	t = kept(&s->thread[thread]);
	if (stop == SIM_DONE) {
		if ((t->failed || t->retries) && run__again(s, thread)) {
			sim_start(thread, t->ops, run__call, t);
			return;
		}
		t->busy = false;
		s->busy--;
		op_ended(s, thread);
		if (s->solo == thread)
			s->solo = SIM_NONE;
	} else {
		judge_starving(s, thread);
		if (s->solo == thread && sim_state(thread) == SIM_ASLEEP)
			s->solo_slept = true;
		if (s->busy != 0)
			judge_idle(s);
	}
}

/* No call is under way but of sleepers, which own nothing: one that sleeps in a
 * callback may have just what a stray operation names. */
static bool
is_alone(const struct run_state *s)
{
	uint32_t i;

	for (i = 0; s->busy != 0 && i < s->nthreads; i++)
		if (s->thread[i].busy &&
		    (sim_state(i) != SIM_ASLEEP || s->depth[i] > 1))
			return (false);
	return (!daemon_runs(s));
}

/*
 * While a stray operation runs nobody else does. One that sleeps, a krealloc,
 * has found an object to be there, and holds it: who is in the middle of a call
 * may go on, and a call begins when the stray one has ended.
 */
bool
run__may_join(const struct run_state *s, uint32_t thread)
{
	if (s->solo == SIM_NONE || s->solo == thread)
		return (true);
	return (
	    s->solo_slept && (thread >= s->nthreads || s->thread[thread].busy));
}

/* May an idle thread begin the operation? A barrier's own waits for all others.
 */
static bool
can_begin(const struct run_state *s, const struct pending *p)
{
	if (p->op.code == TRACE_OP_QUIESCE)
		return (s->queued == 1 && !daemon_runs(s));
	return (run__regs_ready(s, p) &&
	    (!run__is_stray(s, &p->op) || is_alone(s)));
}

/* Someone is to be alone: it may be this thread. */
static bool
may_go_on(const struct run_state *s, uint32_t thread)
{
	return (run__may_join(s, thread) &&
	    (sim_solo() == SIM_NONE || sim_solo() == thread));
}

static uint64_t
leave_alone(const struct run_state *s, uint32_t word, uint64_t set)
{
	uint64_t bits;

	for (bits = set; bits != 0; bits &= bits - 1)
		if (!may_go_on(s, word * 64 + (uint32_t)__builtin_ctzll(bits)))
			set &= ~(bits & -bits);
	return (set);
}

/* Of those who wait, who could begin: whatever others are in the middle of, or
 * by what they are. It is looked for whenever the loop looks who can go on, and
 * holds until then: where an operation ends or is read, the loop is next. */
static void
find_beginners(struct run_state *s)
{
	uint64_t bits, any = 0;
	uint32_t w;

	for (w = 0; w * 64 < s->nthreads; w++) {
		s->able.begins[w] = s->unsure[w] = 0;
		for (bits = s->waiting[w]; bits != 0; bits &= bits - 1) {
			const struct pending *p =
			    s->thread[w * 64 + (uint32_t)__builtin_ctzll(bits)]
				.first;

			if (!run__regs_ready(s, p))
				continue;
			if (p->op.code == TRACE_OP_QUIESCE ||
			    run__is_stray(s, &p->op))
				s->unsure[w] |= bits & -bits;
			else
				s->able.begins[w] |= bits & -bits;
		}
		any |= s->unsure[w];
	}
	s->able.ask = any != 0 || s->solo != SIM_NONE;
}

static uint64_t
who_begins(const struct run_state *s, uint32_t word)
{
	uint64_t bits, set = 0;

	for (bits = s->able.begins[word] | s->unsure[word]; bits != 0;
	     bits &= bits - 1) {
		uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(bits);

		if (sim_may_run(i) &&
		    ((s->unsure[word] & bits & -bits) == 0 ||
			can_begin(s, s->thread[i].first)))
			set |= bits & -bits;
	}
	return (set);
}

bool
run__can_go_on(struct run_state *s, bool spinning, uint64_t *set)
{
	const uint32_t threads = sim_threads();
	const bool alone = s->solo != SIM_NONE || sim_solo() != SIM_NONE;
	uint64_t any = 0;
	uint32_t w = 0;

	find_beginners(s);
	do {
		uint64_t can = sim_runnable(w, spinning) & s->able.goes_on[w];

		if (!spinning)
			can |= who_begins(s, w);
		if (alone)
			can = leave_alone(s, w, can);
		any |= set[w] = can;
	} while (++w * 64 < threads);
	return (any != 0);
}

static uint32_t
candidates(struct run_state *s, uint32_t *list, bool spinning)
{
	uint64_t set[SIM_SET_WORDS], bits;
	uint32_t w, n = 0;

	if (!run__can_go_on(s, spinning, set))
		return (0);
	for (w = 0; w * 64 < sim_threads(); w++)
		for (bits = set[w]; bits != 0; bits &= bits - 1)
			list[n++] = w * 64 + (uint32_t)__builtin_ctzll(bits);
	return (n);
}

/* In recorded order: who is in the middle, then who was read first. */
static uint32_t
pick_recorded(const struct run_state *s, const uint32_t *list, uint32_t n)
{
	uint32_t i, best = list[0];

	if (list[n - 1] >= s->nthreads)
		return (list[n - 1]); /* what the library does for itself */
	for (i = 1; i < n; i++) {
		const struct run_thread *a = &s->thread[list[i]];
		const struct run_thread *b = &s->thread[best];

		if (a->busy != b->busy ? a->busy :
					 a->first->ordinal < b->first->ordinal)
			best = list[i];
	}
	return (best);
}

/*
 * SIM_NONE: nobody can go on. Whoever only spins is let go on in turn, when
 * nobody else can.
 */
static uint32_t
pick(struct run_state *s)
{
	uint32_t list[CALL_THREADS_MAX], n, thread = sim_next();

	if (thread != SIM_NONE) {
		s->spins = 0;
		return (thread);
	}
	for (;;) {
		while (s->queued < s->window && pull(s))
			continue;
		n = candidates(s, list, false);
		while (n == 0 && s->queued < WINDOW_BLOCKED && pull(s))
			n = candidates(s, list, false);
		if (n == 0)
			break;
		s->spins = 0;
		thread = sim_pick(list, n, pick_recorded(s, list, n));
		if (thread != SIM_NONE || sim_pruned())
			return (thread);
	}
	(void)sim_settle();
	n = candidates(s, list, true);
	return (n == 0 ? SIM_NONE : list[++s->spins % n]);
}

/* Does much happen, but no operation's end? */
static inline bool
goes_round(const struct run_state *s)
{
	return (s->spins > SPINS_MAX ||
	    sim_switches() - s->end_switches > SWITCHES_MAX ||
	    sim_points() - s->end_points > s->points_max);
}

/*
 * A thread is preempted for another: the loop would judge the one, find
 * nothing, and give the other the word. Where it would do more than that it is
 * left to it.
 */
bool
run__passes(void *arg, uint32_t from, uint32_t to)
{
	struct run_state *s = arg;

	if (from >= s->nthreads || to >= s->nthreads || !s->thread[from].busy ||
	    !s->thread[to].busy || s->options->story != NULL ||
	    s->thread[from].turns + 1 >= STARVES_TURNS ||
	    (s->options->stop != NULL && *s->options->stop) ||
	    model_finding(s->model) != NULL ||
	    s->result->status == RUN_FAILED || sim_pruned() || goes_round(s) ||
	    model_may_be_idle(s->model))
		return (false);
	s->thread[from].turns++;
	s->last = from;
	s->why = RUN_WHY_PREEMPTED;
	s->spins = 0;
	note_turn(s, to);
	return (true);
}

static bool
go_on(struct run_state *s)
{
	if (model_finding(s->model) != NULL || s->result->status == RUN_FAILED)
		return (false);
	if (sim_pruned()) {
		s->result->status = RUN_PRUNED;
		return (false);
	}
	if (s->options->stop != NULL && *s->options->stop) {
		s->result->status = RUN_INTERRUPTED;
		return (false);
	}
	if (goes_round(s)) {
		model_report(s->model, "G-4", "livelock", "some operation ends",
		    "threads only spin, or sleep and wake, and no operation "
		    "ends");
		return (false);
	}
	return (true);
}

/*
 * The ordinary case of recorded order: nothing is under way, the operation
 * runs to its end. It takes tickets for its registers, and its thread joins the
 * sets of those who could go on, only if it does not, before the next one is
 * read. False: there is none.
 */
static bool
step_alone(struct run_state *s)
{
	struct pending *p;
	uint32_t thread;

	if (s->ended)
		return (false);
	p = pull_op(s);
	if (p == NULL)
		return (false);
	if (!run__regs_reach(s, p)) {
		fail(s, "out of memory");
		return (false);
	}
	thread = p->op.thread;
	enqueue(s, p);
	s->unlisted = true;
	step(s, thread);
	s->unlisted = false;
	if (s->queued == 0)
		return (true);
	list(s, thread);
	if (!run__regs_enter(s, p)) {
		fail(s, "out of memory");
		return (false);
	}
	return (true);
}

/* Until nobody can go on. */
static void
loop(struct run_state *s, bool recorded)
{
	uint64_t ops = 0;
	uint32_t thread;

	while (go_on(s)) {
		/* The ordinary case of recorded order, without a search. */
		if (recorded && s->queued == 0 && !daemon_runs(s)) {
			if (!step_alone(s))
				break;
		} else {
			thread = pick(s);
			if (thread == SIM_NONE) {
				if (sim_pruned())
					s->result->status = RUN_PRUNED;
				else if (run__help(s))
					continue;
				break;
			}
			step(s, thread);
		}
		if (s->result->ops != ops) {
			ops = s->result->ops;
			s->end_points = sim_points();
			s->end_switches = sim_switches();
		}
	}
}

/* ---- The end ----------------------------------------------------------- */

/* A circle of threads that wait for each other's locks comes first. */
static void
describe_circle(struct run_state *s)
{
	uint32_t list[CALL_THREADS_MAX], i, n = sim_deadlock(list);
	size_t used = 0, size = sizeof(s->result->waits);

	for (i = 0; i <= n && n != 0; i++) {
		int got = snprintf(s->result->waits + used, size - used,
		    i == 0     ? "circle: thread %u" :
			i == n ? " -> thread %u\n" :
				 " -> thread %u",
		    list[i % n]);

		if (got < 0 || (size_t)got >= size - used)
			return;
		used += (size_t)got;
	}
}

static void
describe_waits(struct run_state *s)
{
	size_t used = strlen(s->result->waits);
	size_t size = sizeof(s->result->waits);
	uint32_t i;

	for (i = 0; i < sim_threads(); i++) {
		char line[128];
		int n;

		if (i < s->nthreads && !s->thread[i].busy)
			continue;
		if (!sim_describe(i, line, sizeof(line)))
			continue;
		if (i < s->nthreads)
			n = snprintf(s->result->waits + used, size - used,
			    "%s in %s of line %llu\n", line,
			    trace_ops[s->thread[i].first->op.code].name,
			    (unsigned long long)s->thread[i].first->op.line);
		else
			n = snprintf(s->result->waits + used, size - used,
			    "%s, a support thread\n", line);
		if (n < 0 || (size_t)n >= size - used)
			return;
		used += (size_t)n;
	}
}

/* Somebody is still in the middle of something and nobody can go on. */
static void
judge_blocked(struct run_state *s)
{
	uint32_t i, locked = 0;

	for (i = 0; i < s->nthreads; i++) {
		if (!s->thread[i].busy)
			continue;
		s->result->blocked++;
		locked += sim_state(i) != SIM_ASLEEP;
	}
	describe_circle(s);
	describe_waits(s);
	model_idle(s->model);
	if (locked != 0)
		model_report(s->model, "G-5", "deadlock",
		    "every thread goes on, or sleeps for want of memory",
		    s->result->waits);
	s->result->not_run = s->queued - s->busy;
}

static void
finish(struct run_state *s)
{
	const struct finding *f;

	if (s->result->status == RUN_CLEAN && model_finding(s->model) == NULL) {
		if (s->busy != 0) {
			judge_blocked(s);
			model_end(s->model);
		} else {
			run__quiesce(s);
			model_end(s->model);
		}
	}
	if (s->options->orders && model_finding(s->model) == NULL &&
	    s->result->status == RUN_CLEAN)
		run__history_finish(s);
	model_counts(s->model, &s->result->counts);
	if (s->options->at_end != NULL)
		s->options->at_end(s->options->arg, s->subject);
	if (s->result->status == RUN_CLEAN && s->busy == 0 &&
	    !s->options->no_drain && model_finding(s->model) == NULL)
		run__drain(s);
	s->result->hash = s->hash;
	s->result->points = sim_points();
	s->result->switches = sim_switches();
	f = model_finding(s->model);
	if (f == NULL && s->result->status == RUN_CLEAN && s->result->cut)
		s->result->status = RUN_BAD_INPUT;
	if (f != NULL) {
		s->result->status = RUN_FINDING;
		s->result->finding = *f;
		if (s->busy != 0 && s->result->waits[0] == '\0')
			describe_waits(s);
	}
	if (f != NULL ? s->options->record : s->options->record_clean)
		run__schedule_end(s);
}

/* ---- The beginning ----------------------------------------------------- */

/* What the library calls: the laboratory's part of the call (sim_library). */

static int
on_page_try(void *arg, uint64_t npages, uint64_t align, uint32_t flags)
{
	int verdict;

	sim_library(false);
	verdict = run__page_try(arg, npages, align, flags);
	sim_library(true);
	return (verdict);
}

static void
on_page_alloc(void *arg, uint64_t addr, uint64_t npages, uint64_t align,
    uint32_t flags, int injected)
{
	sim_library(false);
	run__page_alloc(arg, addr, npages, align, flags, injected);
	sim_library(true);
}

static void
on_page_free(void *arg, uint64_t addr, uint64_t npages)
{
	sim_library(false);
	run__page_free(arg, addr, npages);
	sim_library(true);
}

static bool
on_callback(void *arg, struct callback *cb)
{
	bool go;

	sim_library(false);
	go = run__callback(arg, cb);
	sim_library(true);
	return (go);
}

static void
on_callback_done(void *arg, struct callback *cb)
{
	sim_library(false);
	run__callback_done(arg, cb);
	sim_library(true);
}

static void
on_nested(void *arg, struct call *c)
{
	sim_library(false);
	run__backend(arg, c);
	sim_library(true);
}

static bool
begin_subject(struct run_state *s)
{
	const struct trace_header *h = s->header;
	struct subject_config sc = { .cpus = h->cpus,
		.threads = h->threads,
		.pages = h->pages,
		.reserve_system = h->reserve_system,
		.reserve_interrupt = h->reserve_interrupt,
		.slabs_keep = h->slabs_keep,
		.debug = h->debug,
		.page_try = on_page_try,
		.page_alloc = on_page_alloc,
		.page_free = on_page_free,
		.callback = on_callback,
		.callback_done = on_callback_done,
		.nested = on_nested,
		.arg = s };
	struct model_config mc = { .kind = MODEL_KALLOC,
		.contents = s->options->contents,
		.cpus = h->cpus,
		.threads = s->total,
		.trace_threads = s->nthreads,
		.pages = h->pages,
		.reserve_system = h->reserve_system,
		.reserve_interrupt = h->reserve_interrupt,
		.debug = h->debug,
		.views = (s->options->strategy != NULL ?
				 s->options->memory :
				 h->memory) == TRACE_MEMORY_C11 };
	int error = s->subject->boot(&sc);

	if (error != 0) {
		fail(s,
		    error == ENOMEM ?
			"the subject cannot be booted: out of memory" :
			"the subject refuses the configuration");
		return (false);
	}
	if ((s->subject->caps & SUBJECT_PAGES) != 0)
		mc.arena = s->arena = s->subject->arena();
	else
		mc.kind = MODEL_MALLOC;
	model_reset(s->model, &mc);
	run__booted(s);
	return (true);
}

static void
state_reset(struct run_state *s)
{
	struct model *model = s->model;
	struct pending *pool = s->pool;
	struct reg *reg[TRACE_CLASS_COUNT];
	struct run_owner *owner[TRACE_CLASS_COUNT];
	uint32_t i, room[TRACE_CLASS_COUNT];

	/* What was grown is kept from run to run, and cleared when it is used. */
	memcpy(reg, s->reg, sizeof(reg));
	memcpy(owner, s->owner, sizeof(owner));
	memcpy(room, s->room, sizeof(room));
	for (i = 0; i < s->nthreads; i++)
		while (s->thread[i].first != NULL) {
			struct pending *p = s->thread[i].first;

			s->thread[i].first = p->next;
			p->next = pool;
			pool = p;
		}
	free(s->deviation);
	free(s->recorded);
	memset(s, 0, offsetof(struct run_state, thread));
	memset(
	    &s->nthreads, 0, sizeof(*s) - offsetof(struct run_state, nthreads));
	s->model = model;
	s->pool = pool;
	memcpy(s->reg, reg, sizeof(reg));
	memcpy(s->owner, owner, sizeof(owner));
	memcpy(s->room, room, sizeof(room));
}

void
run(const struct run_source *source, const struct run_options *options,
    struct run_result *ret_r)
{
	struct run_state *s = &run_state;
	uint64_t mapped;
	bool recorded;
	uint32_t i;

	sim_enter();
	state_reset(s);
	memset(ret_r, 0, sizeof(*ret_r));
	s->source = source;
	s->options = options;
	s->subject = options->subject;
	s->header = source->header;
	s->result = ret_r;
	s->nthreads = s->header->threads;
	s->total = s->nthreads + CALL_DAEMONS_MAX;
	s->arena_bytes = (uint64_t)s->header->pages * KA_PAGE_SIZE;
	s->points_max =
	    options->points_max != 0 ? options->points_max : RUN_POINTS_MAX;
	s->solo = s->last = SIM_NONE;
	s->sources = false;
	for (i = s->nthreads; i < s->total; i++)
		set_add(s->able.goes_on, i);
	s->able.ask = true;
	for (i = 0; i < s->nthreads; i++) {
		s->thread[i].first = NULL;
		s->thread[i].last = &s->thread[i].first;
		s->thread[i].busy = false;
		s->thread[i].ops = 0;
		s->thread[i].failed = s->thread[i].retries = false;
	}
	if (s->model == NULL)
		s->model = model_create();
	if (s->model == NULL || !run__schedule(s, &recorded)) {
		fail(s, "out of memory");
		sim_leave();
		return;
	}
	run__plan();
	subject_kalloc_set_thread(run__current_frame);
	s->offers_all = (s->subject->caps & SUBJECT_PAGES) != 0 &&
	    (s->subject->caps & SUBJECT_STATS) != 0 &&
	    (s->subject->caps & SUBJECT_OWNERS) != 0;
	run__faults_reset(s);
	run__history_reset();
	mapped = sim_mapped();
	if (!begin_subject(s)) {
		sim_leave();
		return;
	}
	loop(s, recorded && s->window == 1);
	finish(s);
	s->subject->halt();
	run__halted(s, mapped);
	sim_leave();
}

static int
reader_next(void *arg, struct trace_op *ret_op, struct trace_error *ret_err)
{
	return (trace_reader_next(arg, ret_op, ret_err));
}

struct run_source
run_source_reader(struct trace_reader *r)
{
	struct run_source s = { reader_next, r, trace_reader_header(r) };

	return (s);
}

static int
mem_next(void *arg, struct trace_op *ret_op, struct trace_error *ret_err)
{
	struct run_mem *m = arg;

	(void)ret_err;
	if (m->at == m->trace->nops)
		return (0);
	*ret_op = m->trace->op[m->at++];
	return (1);
}

struct run_source
run_source_mem(struct run_mem *m, const struct trace *t)
{
	struct run_source s = { mem_next, m, &t->header };

	m->trace = t;
	m->at = 0;
	return (s);
}
