/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads and choices.
 *
 * Control goes from the caller to a thread's fiber and back: a resumption is
 * two switches. A thread that goes on after a point has made none. Everything
 * here is compiled without sanitizers: what the library does is checked, what
 * the simulation does is not part of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fiber.h"
#include "sim_draw.h"
#include "sim_int.h"
#include "sim_sync.h"
#include "util/kept.h"

#define SOLO_POINTS_MAX 10000u /* of a call that runs alone, if not told */

int ka_sim_armed, ka_sim_weak;
struct ka_cpu *ka_sim_cpu;
uint8_t ka_sim_in_section;
uint32_t ka_sim_locks;
const struct ka_mutex *ka_sim_lock_last;
uint32_t ka_sim_self = SIM_NONE;
uint64_t ka_sim_value;
uint32_t ka_sim_shared;
int ka_sim_commits;

struct sim sim;
const char sim__world;

static struct fiber *sim_main;
/* Who has the word, or had it last. */
static struct sim_thread *sim_resumed = sim.thread;
static bool sim_entered;
static uint32_t sim_begun; /* threads that ever began something are below */
#ifndef SIM_TSAN
static struct fiber *sim_free[SIM_ALL_MAX]; /* that nobody is on */
static uint32_t sim_nfree;
#endif
static char *sim_cpu_base;
static size_t sim_cpu_stride;

/* ---- Sets -------------------------------------------------------------- */

static inline uint32_t
bits_count(uint64_t x)
{
	/* Of four bits each number is a digit here. */
	if (KA_LIKELY(x < 16))
		return (UINT64_C(0x4332322132212110) >> x * 4 & 7);
	/* Without the instruction for it the compiler makes it a call. */
	x -= x >> 1 & UINT64_C(0x5555555555555555);
	x = (x & UINT64_C(0x3333333333333333)) +
	    (x >> 2 & UINT64_C(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return ((uint32_t)(x * UINT64_C(0x0101010101010101) >> 56));
}

static inline uint32_t
set_count(const uint64_t *set, uint32_t words)
{
	uint32_t w, n = bits_count(set[0]);

	for (w = 1; w < words; w++)
		n += bits_count(set[w]);
	return (n);
}

static inline bool
set_any(const uint64_t *set, uint32_t words)
{
	uint64_t any = set[0];
	uint32_t w;

	for (w = 1; w < words; w++)
		any |= set[w];
	return (any != 0);
}

/* Of a set of the first four, the k-th. */
static const uint8_t nth_of_four[16][4] = { { 0 }, { 0 }, { 1 }, { 0, 1 },
	{ 2 }, { 0, 2 }, { 1, 2 }, { 0, 1, 2 }, { 3 }, { 0, 3 }, { 1, 3 },
	{ 0, 1, 3 }, { 2, 3 }, { 0, 2, 3 }, { 1, 2, 3 }, { 0, 1, 2, 3 } };

/* The k-th of n, from 0. */
static inline uint32_t
set_nth(const uint64_t *set, uint32_t words, uint32_t n, uint32_t k)
{
	uint32_t i, w = 0, in;
	uint64_t bits = set[0];

	while (KA_UNLIKELY(words > 1) && (in = bits_count(set[w])) <= k) {
		k -= in;
		n -= in;
		bits = set[++w];
	}
	if (KA_LIKELY(bits < 16))
		return (w * 64 + nth_of_four[bits][k]);
	for (i = 1; i < n && i < 64; i++)
		bits &= bits - (i <= k); /* how often depends on n, not on k */
	return (w * 64 + (uint32_t)__builtin_ctzll(bits));
}

/* ---- Choices ----------------------------------------------------------- */

static __attribute__((noinline)) const struct sim_deviation *
due_slow(struct sim_thread *t)
{
	const struct sim_config *c = &sim.config;
	uint32_t self = (uint32_t)(t - sim.thread);

	for (; t->deviation < c->ndeviations; t->deviation++) {
		const struct sim_deviation *d = &c->deviation[t->deviation];

		if (d->thread != self || d->op > t->op ||
		    (d->op == t->op && d->point > t->point))
			return (NULL);
		if (d->op == t->op && d->point == t->point)
			return (d);
	}
	return (NULL);
}

/* The deviation that is due at the thread's place, if any. */
static inline const struct sim_deviation *
due(struct sim_thread *t)
{
	return (KA_LIKELY(t->deviation >= sim.config.ndeviations) ?
		NULL :
		due_slow(t));
}

static __attribute__((noinline)) void
record_grow(void)
{
	uint32_t cap = sim.record_cap == 0 ? 64 : sim.record_cap * 2;
	struct sim_deviation *d = realloc(sim.record, cap * sizeof(*d));

	if (d == NULL)
		abort(); /* a few bytes: nothing works any more */
	sim.record = d;
	sim.record_cap = cap;
}

static inline void
record(const struct sim_thread *t, struct sim_alternative to)
{
	struct sim_deviation *d;

	if (KA_UNLIKELY(sim.nrecord == sim.record_cap))
		record_grow();
	d = &sim.record[sim.nrecord++];
	d->thread = (uint32_t)(t - sim.thread);
	d->op = t->op;
	d->point = t->point;
	d->to = to;
}

/* Begins to put a question together: to do the default. */
void
sim__question(void)
{
	sim.nalternatives = 1;
	sim.nruns = 0;
	sim.alternative[0] = (struct sim_alternative) { SIM_GO, 0 };
}

void
sim__alternative(enum sim_do what, uint32_t n)
{
	sim.alternative[sim.nalternatives++] =
	    (struct sim_alternative) { (uint16_t)what, (uint16_t)n };
}

static uint32_t
find(struct sim_alternative to)
{
	uint32_t i;

	for (i = 1; i < sim.nalternatives; i++)
		if (sim.alternative[i].what == to.what &&
		    sim.alternative[i].n == to.n)
			return (i);
	return (0);
}

/* Another than the default was chosen. */
static inline void
deviates(const struct sim_thread *t, struct sim_alternative to)
{
	if (sim.config.record)
		record(t, to);
	if (KA_LIKELY(sim.config.on_deviation == NULL))
		return;
	sim_sync_look(false);
	sim.config.on_deviation(sim.config.arg, (uint32_t)(t - sim.thread), to);
	sim_sync_look(true);
}

static inline uint32_t
ask(struct sim_thread *t, uint32_t running, bool stopped)
{
	const struct sim_deviation *d = due(t);
	struct sim_strategy *s = sim.config.strategy;
	uint32_t chosen = 0;

	if (sim.quiet)
		return (0);
	if (KA_UNLIKELY(d != NULL)) {
		chosen = find(d->to);
	} else if (s != NULL && sim.nalternatives > 1 && s->skips != 0) {
		s->skips--;
	} else if (s != NULL && sim.nalternatives > 1 && !s->ends) {
		struct sim_question q = { (uint32_t)(t - sim.thread), t->op,
			t->point, running, stopped, sim.nalternatives,
			sim.nruns, sim.alternative };

		sim_sync_look(false);
		chosen = s->choose(s, &q);
		sim_sync_look(true);
		if (KA_UNLIKELY(chosen == SIM_PRUNE)) {
			sim.pruned = true;
			return (chosen);
		}
	}
	if (chosen != 0)
		deviates(t, sim.alternative[chosen]);
	return (chosen);
}

uint32_t
sim__ask(struct sim_thread *t, uint32_t running, bool stopped)
{
	return (ask(t, running, stopped));
}

/* The same where a number is enough. */
static bool
draw_one(struct sim_thread *t, enum sim_do what, uint32_t n)
{
	struct sim_strategy *s = sim.config.strategy;

	if (sim.quiet ||
	    sim__draw_single(s, what == SIM_FAIL ? 1 : s->delay, 1) == 0)
		return (false);
	deviates(t, (struct sim_alternative) { (uint16_t)what, (uint16_t)n });
	return (true);
}

bool
sim__ask_one(enum sim_do what, uint32_t n)
{
	const struct sim_strategy *s = sim.config.strategy;
	struct sim_thread *t = &sim.thread[ka_sim_self];
	uint32_t chosen;

	t->point++;
	if (sim.draws && (what == SIM_DELAY || what == SIM_FAIL))
		return (draw_one(t, what, n));
	if (s != NULL && s->ends && due(t) == NULL)
		return (false);
	sim__question();
	sim__alternative(what, n);
	chosen = ask(t, ka_sim_self, false);
	if (chosen == SIM_PRUNE)
		sim__stop_with(SIM_PREEMPTED);
	return (chosen == 1);
}

/* One for each in the set; how many. */
static uint32_t
set_alternatives(enum sim_do what, const uint64_t *set, uint32_t words)
{
	uint32_t w, before = sim.nalternatives;
	uint64_t bits;

	for (w = 0; w < words; w++)
		for (bits = set[w]; bits != 0; bits &= bits - 1)
			sim__alternative(
			    what, w * 64 + (uint32_t)__builtin_ctzll(bits));
	return (sim.nalternatives - before);
}

static void
wake_alternatives(void)
{
	uint32_t i;

	for (i = 0; i < sim.total; i++)
		if (sim.thread[i].state == SIM_ASLEEP &&
		    sim.thread[i].wakes < SIM_WAKES_MAX &&
		    sim.thread[i].chan->sleepers != 0)
			sim__alternative(SIM_WAKE, i);
}

/* What may be done at any time, whoever runs. */
static inline void
common_alternatives(void)
{
	(void)set_alternatives(SIM_FLUSH, sim.buffered, sim.cpu_words);
	if ((sim.config.may & SIM_MAY_WAKE) != 0)
		wake_alternatives();
}

static void wake_one(uint32_t thread);

/* Does what was chosen, if it is not about who runs. */
static bool
do_common(struct sim_alternative a)
{
	switch (a.what) {
	case SIM_FLUSH:
		sim__flush_one(a.n);
		return (true);
	case SIM_WAKE:
		wake_one(a.n);
		return (true);
	default:
		return (false);
	}
}

static void
wake_one(uint32_t thread)
{
	struct sim_thread *t = &sim.thread[thread];

	/* As a wake-up with nothing behind it: the channel no longer counts
	 * it, and it will look for itself. */
	((struct ka_chan *)(uintptr_t)t->chan)->sleepers--;
	sim__state(thread, SIM_READY);
	t->wakes++;
	if (sim.config.hash)
		sim__event(t, SIM_CHANGES, t->chan);
	sim__tell(sim.config.on_wake, thread);
}

/*
 * What the thread itself may do besides. One that has been moved is at the same
 * point: it is not again.
 */
static void
own_alternatives(const struct sim_thread *t, enum ka_sim_point kind, bool moved)
{
	const struct sim_config *c = &sim.config;
	uint32_t i;

	if ((c->may & SIM_MAY_MIGRATE) != 0 && kind == KA_SIM_SECTION &&
	    !ka_sim_in_section && !moved && t->moves < SIM_MOVES_MAX)
		for (i = 0; i < c->cpus; i++)
			if (i != t->cpu && sim.holder[i] == SIM_NONE)
				sim__alternative(SIM_MIGRATE, i);
	if ((c->may & SIM_MAY_SOLO) == 0 || c->nonblocking == NULL)
		return;
	sim_sync_look(false);
	if (c->nonblocking(c->arg, ka_sim_self))
		sim__alternative(SIM_SOLO, 0);
	sim_sync_look(true);
}

static inline uint64_t
hindered(uint32_t word)
{
	uint64_t self =
	    ka_sim_self / 64 == word ? UINT64_C(1) << ka_sim_self % 64 : 0;
	uint64_t inside = ka_sim_in_section ? UINT64_MAX : 0;

	/* Whoever runs is in its CPU's section by the port's word. */
	return (sim.blocked[word] |
	    (sim.on[sim_resumed->cpu][word] & ~self & inside));
}

/* Who could run instead. */
static __attribute__((noinline)) void
ask_others(uint64_t *set)
{
	const struct sim_config *c = &sim.config;

	sim_sync_look(false);
	c->others(c->arg, set);
	sim_sync_look(true);
	sim__set(set, ka_sim_self, false);
}

/* The same, without a question if it is known. */
static inline void
others(uint64_t *set)
{
	const struct sim_able *able = sim.config.able;
	uint32_t w = 0;

	if (able == NULL || able->ask) {
		ask_others(set);
		return;
	}
	do {
		set[w] = ((sim.ready[w] & able->goes_on[w]) | able->begins[w]) &
		    ~hindered(w);
	} while (KA_UNLIKELY(++w < sim.words));
	sim__set(set, ka_sim_self, false);
}

static uint32_t
ask_at_point(struct sim_thread *t, enum ka_sim_point kind, bool moved,
    struct sim_alternative *ret_a)
{
	uint64_t set[SIM_SET_WORDS];
	uint32_t chosen;

	ask_others(set);
	sim__question();
	sim.nruns = set_alternatives(SIM_RUN, set, sim.words);
	common_alternatives();
	if ((sim.config.may & (SIM_MAY_MIGRATE | SIM_MAY_SOLO)) != 0)
		own_alternatives(t, kind, moved);
	chosen = ask(t, ka_sim_self, false);
	if (chosen != SIM_PRUNE)
		*ret_a = sim.alternative[chosen];
	return (chosen);
}

/* What is neither to go on nor to let another run. False: ask again, something
 * was done that changes who may run. */
static bool
do_at_point(struct sim_thread *t, struct sim_alternative a, bool *moved)
{
	switch (a.what) {
	case SIM_MIGRATE:
		*moved = true;
		t->moves++;
		sim_migrate(ka_sim_self, a.n);
		return (false);
	case SIM_SOLO:
		sim.solo = ka_sim_self;
		sim.solo_points = 0;
		return (true);
	default:
		(void)do_common(a);
		return (false);
	}
}

/* A call that runs alone is at one more point. */
static void
solo_point(void)
{
	const uint64_t max =
	    sim.config.alone_max != 0 ? sim.config.alone_max : SOLO_POINTS_MAX;
	char found[80];

	if (++sim.solo_points <= max)
		return;
	(void)snprintf(found, sizeof(found),
	    "it passed %llu schedule points and goes on",
	    (unsigned long long)max);
	sim__wrong("G-4", "not-alone",
	    "a call that does not block ends when it runs alone", found);
}

/* What is about to be done is part of what has happened; a store that may be
 * delayed is when it is known whether it is. */
static void
note(struct sim_thread *t, enum ka_sim_point kind, const volatile void *obj)
{
	if (kind == KA_SIM_STORE && ka_sim_weak && sim.config.memory == SIM_TSO)
		return;
	sim__event(t, kind == KA_SIM_LOAD ? SIM_SEES : SIM_CHANGES,
	    kind == KA_SIM_SECTION ? ka_sim_cpu : obj);
}

/* Points are passed again and again, and no operation ends: the thread may
 * never come back by itself. */
static __attribute__((noreturn, noinline)) void
livelock(void)
{
	sim__wrong("G-4", "livelock", "some operation ends",
	    "points are passed again and again, and none does");
	sim_abandon();
}

static void preempt(struct sim_thread *, uint32_t to);

/*
 * At a point where numbers are enough, and the default is not a matter of
 * course. Nothing here depends on who can run but the numbers: which of three
 * threads is no branch that could be predicted.
 */
static __attribute__((noinline)) void
draw_at_point(struct sim_thread *t)
{
	struct sim_strategy *s = sim.config.strategy;
	uint64_t set[SIM_SET_WORDS];
	uint32_t runs, more, chosen;

	do {
		uint32_t cpu;

		others(set);
		runs = set_count(set, sim.words);
		more = set_count(sim.buffered, sim.cpu_words);
		if (runs + more == 0)
			return;
		chosen = sim__draw(s, runs, more);
		if (chosen == 0)
			return;
		if (KA_LIKELY(chosen <= runs)) {
			uint32_t to = set_nth(set, sim.words, runs, chosen - 1);

			deviates(t,
			    (struct sim_alternative) { SIM_RUN, (uint16_t)to });
			preempt(t, to);
			return;
		}
		cpu = set_nth(
		    sim.buffered, sim.cpu_words, more, chosen - 1 - runs);
		deviates(
		    t, (struct sim_alternative) { SIM_FLUSH, (uint16_t)cpu });
		sim__flush_one(cpu);
		t->point++;
	} while (!sim__stays(s));
}

/* Is this one of the points at which the default is known to be wanted? That
 * there would be a question is all that matters. */
static bool
skips(struct sim_strategy *s)
{
	uint64_t set[SIM_SET_WORDS];

	if (s->skips == 0 ||
	    (sim.config.may &
		(SIM_MAY_WAKE | SIM_MAY_MIGRATE | SIM_MAY_SOLO)) != 0)
		return (false);
	others(set);
	if (set_any(set, sim.words) || set_any(sim.buffered, sim.cpu_words))
		s->skips--;
	return (true);
}

/* The question is put in full. */
static __attribute__((noinline)) void
go_by_question(struct sim_thread *t, enum ka_sim_point kind)
{
	struct sim_strategy *s = sim.config.strategy;
	bool moved = false;

	for (;;) {
		struct sim_alternative a;
		uint32_t chosen;

		if (KA_UNLIKELY(sim.solo == ka_sim_self)) {
			solo_point();
			return;
		}
		if (due(t) == NULL &&
		    (s == NULL || s->ends || sim__stays(s) || skips(s)))
			return;
		chosen = ask_at_point(t, kind, moved, &a);
		if (chosen == 0)
			return;
		if (KA_UNLIKELY(chosen == SIM_PRUNE)) {
			sim__stop_with(SIM_PREEMPTED);
		} else if (KA_LIKELY(a.what == SIM_RUN)) {
			preempt(t, a.n);
			return;
		} else if (do_at_point(t, a, &moved)) {
			return;
		}
		if (sim.quiet)
			return;
		t->point++;
	}
}

void
ka_sim_point(enum ka_sim_point kind, const volatile void *obj,
    const struct ka_site *site)
{
	struct sim_thread *t = sim_resumed;

	if (KA_UNLIKELY(ka_sim_self == SIM_NONE || sim.held)) {
		if (sim.held && sim.config.hash && ka_sim_self != SIM_NONE)
			note(t, kind, obj);
		return;
	}
	t->site = site;
	if (KA_UNLIKELY(++sim.points > sim.points_end))
		livelock();
	t->point++; /* also in quiet: a place is the same without */
	if (!sim.quiet) {
		if (!sim.draws)
			go_by_question(t, kind);
		else if (!sim__stays(sim.config.strategy))
			draw_at_point(t);
	}
	if (sim.config.hash)
		note(t, kind, obj);
}

void
ka_sim_tell(const struct ka_cpu *cpu)
{
	if (ka_sim_self != SIM_NONE && sim.config.hash)
		sim__event(&sim.thread[ka_sim_self], SIM_CHANGES, cpu);
}

bool
sim_page_fails(void)
{
	static const struct ka_site site = { "the page layer", "vm_page_alloc",
		0 };

	if (!ka_sim_armed || ka_sim_self == SIM_NONE || sim.held)
		return (false);
	sim.thread[ka_sim_self].site = &site;
	if (sim.config.hash)
		sim__event(&sim.thread[ka_sim_self], SIM_CHANGES, &sim__world);
	return (
	    (sim.config.may & SIM_MAY_FAIL) != 0 && sim__ask_one(SIM_FAIL, 0));
}

uint32_t
sim_pick(const uint32_t *list, uint32_t n, uint32_t usual)
{
	struct sim_thread *t = &sim.thread[sim.last == SIM_NONE ? 0 : sim.last];
	struct sim_strategy *s = sim.config.strategy;
	uint32_t i, chosen;

	if (!ka_sim_armed)
		return (usual);
	t->point++;
	if (sim.quiet)
		return (usual);
	if (n == 1 && sim.draws && set_count(sim.buffered, sim.cpu_words) == 0)
		return (usual);
	if (due(t) == NULL && (s == NULL || s->ends))
		return (usual);
	sim__question();
	for (i = 0; i < n; i++)
		if (list[i] != usual)
			sim__alternative(SIM_RUN, list[i]);
	sim.nruns = sim.nalternatives - 1;
	common_alternatives();
	chosen = ask(t, usual, true);
	if (chosen == 0)
		return (usual);
	if (chosen == SIM_PRUNE)
		return (SIM_NONE);
	if (do_common(sim.alternative[chosen]))
		return (SIM_NONE);
	return (sim.alternative[chosen].n);
}

void
sim_calm(void)
{
	(void)sim_settle();
	sim.config.strategy = NULL;
	sim.config.ndeviations = 0;
	sim.draws = false;
	sim.solo = SIM_NONE;
	ka_sim_armed = SIM_ALWAYS_ARMED;
	ka_sim_weak = 0;
}

uint32_t
sim_next(void)
{
	uint32_t next = sim.next;

	sim.next = SIM_NONE;
	return (next);
}

bool
sim_pruned(void)
{
	return (sim.pruned);
}

bool
sim_settle(void)
{
	bool any = false;
	uint32_t i;

	if (!ka_sim_weak || sim.config.memory != SIM_TSO)
		return (false);
	for (i = 0; i < sim.config.cpus; i++) {
		any |= sim__buffered(i) != 0;
		sim__flush_cpu(i);
	}
	return (any);
}

static int
by_place(const void *a, const void *b)
{
	const struct sim_deviation *x = a, *y = b;

	if (x->thread != y->thread)
		return (x->thread < y->thread ? -1 : 1);
	if (x->op != y->op)
		return (x->op < y->op ? -1 : 1);
	return (x->point < y->point ? -1 : x->point > y->point);
}

const struct sim_deviation *
sim_record(uint32_t *ret_n)
{
	if (sim.nrecord > 1)
		qsort(sim.record, sim.nrecord, sizeof(*sim.record), by_place);
	*ret_n = sim.nrecord;
	return (sim.record);
}

/* What the caller is told, he judges by what he was told before. */
static void
tells(enum sim_event event)
{
	if (sim.config.hash && ka_sim_self != SIM_NONE)
		sim__event(&sim.thread[ka_sim_self], event, &sim__world);
}

void
sim_tells(void)
{
	tells(SIM_CHANGES);
}

void
sim__tell(void (*fn)(void *, uint32_t), uint32_t thread)
{
	if (fn == NULL)
		return;
	tells(SIM_SEES);
	sim_sync_look(false);
	fn(sim.config.arg, thread);
	sim_sync_look(true);
}

_Static_assert((int)SIM_COMMIT_KIND_COUNT == (int)KA_COMMIT_KIND_COUNT &&
	(int)SIM_COMMIT_PIPE == (int)KA_COMMIT_PIPE &&
	(int)SIM_COMMIT_WHAT_COUNT == (int)KA_COMMIT_WHAT_COUNT &&
	(int)SIM_COMMIT_ROOM == (int)KA_COMMIT_ROOM,
    "commit points");

void
ka_sim_commit(enum ka_commit_kind kind, enum ka_commit_what what,
    const void *object, uint64_t n)
{
	tells(SIM_SEES);
	sim_sync_look(false);
	sim.config.on_commit(sim.config.arg, ka_sim_self,
	    (enum sim_commit_kind)kind, (enum sim_commit_what)what, object, n);
	sim_sync_look(true);
}

void
sim__wrong(const char *clause, const char *state, const char *expected,
    const char *found)
{
	if (sim.wrong || sim.config.on_wrong == NULL)
		return;
	sim.wrong = true;
	sim_sync_look(false);
	sim.config.on_wrong(sim.config.arg, clause, state, expected, found);
	sim_sync_look(true);
}

/* ---- Threads ----------------------------------------------------------- */

/* A CPU that changes to another thread orders what they do; and operations
 * are in the order in which the laboratory sees them. */
static void
gives_up(const struct sim_thread *t, enum sim_stop reason)
{
	sim_sync_release(&sim.holder[t->cpu]);
	if (reason == SIM_DONE)
		sim_sync_release(&sim__world);
	if (!ka_sim_weak || sim.config.memory != SIM_C11)
		return;
	sim__c11_release(&sim.holder[t->cpu]);
	if (reason == SIM_DONE)
		sim__c11_release(&sim__world);
}

static void
takes_up(const struct sim_thread *t)
{
	sim_sync_acquire(&sim.holder[t->cpu]);
	if (t->point == 0) { /* it begins */
		sim_sync_acquire(&sim__world);
		sim_sync_acquire(t); /* who started it: ka_thread_start */
	}
	if (!ka_sim_weak || sim.config.memory != SIM_C11)
		return;
	if (sim.config.hash)
		sim__event_cpu(&sim.thread[ka_sim_self]);
	sim__c11_acquire(ka_sim_self, &sim.holder[t->cpu]);
}

/* The thread stops in the CPU's section: no other there goes on; or, by
 * SIM_NONE, it goes on itself. */
static void
hold_cpu(uint32_t cpu, uint32_t thread)
{
	uint32_t w;

	sim.holder[cpu] = thread;
	w = 0;
	do {
		if (thread != SIM_NONE)
			sim.blocked[w] |= sim.on[cpu][w];
		else
			sim.blocked[w] &= ~sim.on[cpu][w];
	} while (++w < sim.words);
	if (thread != SIM_NONE)
		sim__set(sim.blocked, thread, false);
}

/* The running thread stops. */
static inline void
leave(struct sim_thread *t, enum sim_stop reason)
{
	t->in_section = ka_sim_in_section;
	t->locks = ka_sim_locks;
	t->shared = ka_sim_shared;
	if (t->in_section)
		hold_cpu(t->cpu, ka_sim_self);
	sim.reason = reason;
	gives_up(t, reason);
	if (ka_sim_weak) {
		if (sim__has_buffered(sim__applied))
			sim__memory_unapply();
		sim__applied = SIM_NONE;
	}
}

void
sim__stop_with(enum sim_stop reason)
{
	struct sim_thread *t = sim_resumed;

	leave(t, reason);
	fiber_switch(t->fiber, sim_main);
	/* Another, if this was the operation's end. */
	takes_up(sim_resumed);
}

static void sim_body(void *);

/*
 * An operation is done on the fiber that was given back last, whoever's it is:
 * its stack is warm, and a run of many threads has as many fibers as
 * operations that are under way. For ThreadSanitizer a fiber is a thread: each
 * keeps its own.
 */
static void
fiber_take(struct sim_thread *t)
{
#ifdef SIM_TSAN
	if (t->own == NULL)
		t->own = fiber_create(sim_body, NULL);
	t->fiber = t->own;
#else
	t->fiber = sim_nfree != 0 ? sim_free[--sim_nfree] :
				    fiber_create(sim_body, NULL);
#endif
	if (t->fiber == NULL)
		abort(); /* not even a stack: nothing works any more */
}

static void
set_cpu(const struct sim_thread *t)
{
	ka_sim_cpu =
	    (struct ka_cpu *)(void *)(sim_cpu_base + t->cpu * sim_cpu_stride);
}

/* The thread goes on. */
static inline void
arrive(struct sim_thread *t, uint32_t thread)
{
	ka_sim_self = thread;
	set_cpu(t);
	ka_sim_in_section = t->in_section;
	ka_sim_locks = t->locks;
	ka_sim_shared = t->shared;
	if (sim.holder[t->cpu] != SIM_NONE)
		hold_cpu(t->cpu, SIM_NONE);
	if (t->state != SIM_READY)
		sim__state(thread, SIM_READY);
	sim.switches++;
	sim.next = SIM_NONE;
	sim.last = thread;
	if (ka_sim_weak) {
		sim__applied = t->cpu;
		if (sim__has_buffered(t->cpu))
			sim__memory_apply();
	}
	if (t->fiber == NULL)
		fiber_take(t);
	sim_resumed = t;
}

static bool
passes(uint32_t to)
{
	bool yes;

	if (sim.config.passes == NULL || sim__raced)
		return (false);
	sim_sync_look(false);
	yes = sim.config.passes(sim.config.arg, ka_sim_self, to);
	sim_sync_look(true);
	return (yes);
}

/* The running thread is preempted. Nearly always the other's fiber goes on
 * without a detour: it is one switch, and no returns that nobody predicts. */
static void
preempt(struct sim_thread *t, uint32_t to)
{
	struct sim_thread *other = &sim.thread[to];

	if (!passes(to)) {
		sim.next = to;
		sim__stop_with(SIM_PREEMPTED);
		return;
	}
	leave(t, SIM_PREEMPTED);
	arrive(other, to);
	fiber_switch(t->fiber, other->fiber);
	takes_up(sim_resumed);
}

/* Of a fiber: one operation after the other, each of whoever is resumed. */
static void
sim_body(void *arg)
{
	static const struct ka_site end = { "the operation's end", "", 0 };

	(void)arg;
	sim_sync_look(false);
	takes_up(sim_resumed);
	for (;;) {
		struct sim_thread *t = sim_resumed;
		bool library = (size_t)(t - sim.thread) >= sim.config.threads;

#ifdef SIM_TSAN
		t->library = false;
#endif
		if (library)
			sim_library(true);
		t->fn(t->arg);
		if (library)
			sim_library(false);
		/* What it stored is seen when it has ended; until then others
		 * may go on without having seen it. */
		if (ka_sim_weak && sim__buffered(t->cpu) != 0)
			ka_sim_point(KA_SIM_FENCE, NULL, &end);
		sim__state(ka_sim_self, SIM_IDLE);
		sim__stop_with(SIM_DONE);
	}
}

#ifdef SIM_TSAN
/* What was done in the run before was before what is done after it. */
static void
tell_world(void *arg)
{
	(void)arg;
	sim_sync_release(&sim__world);
}

/* Who begins anew although it never came to its end must not find a count of
 * the end before: it would not be looked at any more. */
static void
forget(void *arg)
{
	const struct sim_thread *t = arg;

	tell_world(NULL);
	if (t->fiber != NULL && !t->library)
		sim_sync_look(true);
}
#endif

static void
fiber_give(struct sim_thread *t)
{
#ifndef SIM_TSAN
	sim_free[sim_nfree++] = t->fiber;
#endif
	t->fiber = NULL;
}

/* What the thread was in the middle of is abandoned. */
static void
thread_stop(struct sim_thread *t)
{
	if (t->fiber != NULL) {
		fiber_restart(t->fiber, sim_body, NULL);
		fiber_give(t);
	}
	sim__state((uint32_t)(t - sim.thread), SIM_IDLE);
}

/* The thread is on the CPU, whatever it was on. */
static void
put_on(uint32_t thread, uint32_t cpu)
{
	struct sim_thread *t = &sim.thread[thread];

	sim__set(sim.on[t->cpu], thread, false);
	t->cpu = cpu;
	sim__set(sim.on[cpu], thread, true);
	sim__set(sim.blocked, thread,
	    sim.holder[cpu] != SIM_NONE && sim.holder[cpu] != thread);
}

static void
threads_reset(const struct sim_config *config)
{
	uint32_t i;

	/* Of a larger run before, too: they must not come back to life. */
	for (i = 0; i < sim_begun; i++) {
		struct sim_thread *t = &sim.thread[i];

#ifdef SIM_TSAN
		if (t->own != NULL)
			fiber_visit(sim_main, t->own, forget, t);
#endif
		thread_stop(t);
		t->nheld = 0;
	}
	memset(sim.blocked, 0, sizeof(sim.blocked));
	for (i = 0; i < config->cpus; i++) {
		sim.holder[i] = SIM_NONE;
		memset(sim.on[i], 0, sizeof(sim.on[i]));
	}
	for (i = 0; i < config->threads; i++) {
		struct sim_thread *t = &sim.thread[i];

		t->in_section = 0;
		t->locks = 0;
		put_on(i, config->thread_cpu[i]);
		t->op = t->point = 0;
		t->deviation = config->ndeviations;
		t->hash = 0;
		t->nheld = 0;
		t->site = NULL;
	}
}

void
sim_enter(void)
{
	if (!sim_entered)
		sim_sync_look(false);
	sim_entered = true;
}

/* As many points again may be passed until an operation ends. */
static void
bound_points(void)
{
	const uint64_t max = sim.config.points_max;

	sim.points_end = max == 0 ? UINT64_MAX : sim.points + max;
}

int
sim_reset(const struct sim_config *config)
{
	const uint32_t lists =
	    SIM_MAY_WAKE | SIM_MAY_MIGRATE | SIM_MAY_SOLO; /* choose() only */
	uint32_t i;

	if (sim_main == NULL)
		sim_main = fiber_main();
	sim_enter();
	if (sim_main == NULL)
		return (ENOMEM);
	threads_reset(config);
	for (i = config->ndeviations; i-- > 0;)
		sim.thread[config->deviation[i].thread].deviation = i;
	sim.held = sim.quiet = sim.pruned = sim.wrong = false;
	sim.config = *config;
	sim.total = config->threads;
	sim.words = (config->threads + 63) / 64;
	sim.cpu_words = (config->cpus + 63) / 64;
	memset(sim.buffered, 0, sizeof(sim.buffered));
	sim.draws = config->strategy != NULL && config->strategy->draws &&
	    config->ndeviations == 0 && (config->may & lists) == 0;
	sim.next = sim.last = sim.solo = SIM_NONE;
	sim.points = sim.switches = 0;
	bound_points();
	sim.nrecord = 0;
	ka_sim_armed = SIM_ALWAYS_ARMED || config->strategy != NULL ||
	    config->ndeviations != 0 || config->counts;
	ka_sim_weak = ka_sim_armed && config->memory != SIM_SC;
	ka_sim_commits = config->on_commit != NULL;
	ka_sim_self = SIM_NONE;
	ka_sim_in_section = 0;
	sim__locks_reset();
	if (!sim__watched)
		sim_watch_stacks();
	if (ka_sim_weak)
		sim__memory_reset();
	if (config->hash)
		sim__hash_reset();
	return (0);
}

/* What threads did in the run, also those that are asleep in it, was before
 * what is done now. */
void
sim_leave(void)
{
	if (!sim_entered)
		return;
#ifdef SIM_TSAN
	for (uint32_t i = 0; i < sim_begun; i++)
		if (sim.thread[i].own != NULL)
			fiber_visit(
			    sim_main, sim.thread[i].own, tell_world, NULL);
	sim_sync_acquire(&sim__world);
#endif
	sim_sync_look(true);
	sim_entered = false;
}

void
sim_start(uint32_t thread, uint32_t op, void (*fn)(void *), void *arg)
{
	struct sim_thread *t = kept(&sim.thread[thread]);

	if (thread >= sim_begun)
		sim_begun = thread + 1;
	t->fn = fn;
	t->arg = arg;
	sim__state(thread, SIM_READY);
	t->op = op;
	t->point = 0;
	t->wakes = t->moves = 0;
	t->site = NULL;
	if (ka_sim_weak && sim.config.memory == SIM_C11)
		sim__c11_acquire(thread, &sim__world);
	if (sim.config.hash)
		sim__event(t, SIM_CHANGES, &sim__world);
}

/* A thread's operation has ended: whoever is told of it sees what it did. */
static void
done(struct sim_thread *t, uint32_t thread)
{
	fiber_give(t);
	if (ka_sim_weak && sim.config.memory == SIM_TSO)
		sim__flush_cpu(t->cpu);
	if (sim.config.hash)
		sim__event(t, SIM_CHANGES, &sim__world);
	if (sim.solo == thread)
		sim.solo = SIM_NONE;
	if (KA_UNLIKELY(ka_sim_armed)) /* else no points are passed */
		bound_points();
}

enum sim_stop
sim_resume(uint32_t thread)
{
	struct sim_thread *t = kept(&sim.thread[thread]);

	arrive(t, thread);
	fiber_switch(sim_main, t->fiber);
	t = sim_resumed;
	thread = sim.last;
	ka_sim_self = SIM_NONE;
	ka_sim_in_section = 0;
	if (sim__raced)
		sim__wrong("G-3", "data-race",
		    "accesses of two threads to one place are ordered",
		    "a data race: ThreadSanitizer's report has the places");
	sim__raced = false;
	if (sim.reason == SIM_DONE)
		done(t, thread);
	else if (sim.reason == SIM_BLOCKED && sim.solo == thread)
		sim.solo = SIM_NONE; /* others must go on for it to */
	return (sim.reason);
}

uint32_t
sim_last(void)
{
	return (sim.last);
}

enum sim_state
sim_state(uint32_t thread)
{
	return (sim.thread[thread].state);
}

bool
sim_may_run(uint32_t thread)
{
	const struct sim_thread *t = &sim.thread[thread];
	uint32_t holder = sim.holder[t->cpu];

	if (t->state == SIM_LOCK || t->state == SIM_ASLEEP)
		return (false);
	/* Whoever runs is in its CPU's section by the port's word. */
	if (ka_sim_self != SIM_NONE && ka_sim_in_section &&
	    thread != ka_sim_self && t->cpu == sim.thread[ka_sim_self].cpu)
		return (false);
	return (holder == SIM_NONE || holder == thread);
}

uint64_t
sim_runnable(uint32_t word, bool spinning)
{
	return (
	    (spinning ? sim.spin[word] : sim.ready[word]) & ~hindered(word));
}

uint32_t
sim_cpu(uint32_t thread)
{
	return (sim.thread[thread].cpu);
}

void
sim_migrate(uint32_t thread, uint32_t cpu)
{
	struct sim_thread *t = &sim.thread[thread];

	if (ka_sim_weak && sim.config.memory == SIM_TSO)
		sim__flush_cpu(t->cpu); /* a CPU's switch is a fence */
	if (ka_sim_self == thread)
		gives_up(t, SIM_PREEMPTED);
	put_on(thread, cpu);
	if (ka_sim_self == thread)
		takes_up(t);
	if (ka_sim_weak && ka_sim_self == thread) {
		sim__applied = cpu; /* the other's buffer is empty now */
		sim__memory_apply();
	}
	if (ka_sim_self == thread)
		set_cpu(t);
	if (sim.config.on_migrate != NULL) {
		sim_sync_look(false);
		sim.config.on_migrate(sim.config.arg, thread, cpu);
		sim_sync_look(true);
	}
}

uint32_t
sim_current(void)
{
	return (ka_sim_self);
}

uint32_t
sim_solo(void)
{
	return (sim.solo);
}

void
sim_solo_anew(void)
{
	sim.solo_points = 0;
}

uint32_t
sim_shared(void)
{
	return (ka_sim_shared);
}

uint64_t
sim_points(void)
{
	return (sim.points);
}

uint64_t
sim_switches(void)
{
	return (sim.switches);
}

uint32_t
sim_threads(void)
{
	return (sim.total);
}

void
sim_library(bool library)
{
	sim_sync_look(library);
#ifdef SIM_TSAN
	if (ka_sim_self != SIM_NONE)
		sim.thread[ka_sim_self].library = library;
#else
	(void)library;
#endif
}

void
sim_hold(bool held)
{
	sim.held = held;
}

void
sim_quiet(bool quiet)
{
	sim.quiet = quiet;
}

void
sim_catch_up(void)
{
	sim_sync_acquire(&sim__world);
	if (ka_sim_weak && sim.config.memory == SIM_C11)
		sim__c11_acquire(ka_sim_self, &sim__world);
}

void
sim_abandon(void)
{
	static const struct ka_chan nothing = { 0, "nothing any more" };

	for (;;) {
		sim__state(ka_sim_self, SIM_ASLEEP);
		sim.thread[ka_sim_self].chan = &nothing;
		sim__stop_with(SIM_BLOCKED);
	}
}

/* ---- The port ---------------------------------------------------------- */

void
ka_sim_cpus(struct ka_cpu *first, size_t stride, unsigned n)
{
	(void)n;
	sim_cpu_base = (char *)first;
	sim_cpu_stride = stride;
	ka_sim_cpu = first; /* for what boot and halt do */
}

/* Has anybody else a lock, or a CPU's section? It is left after a few steps:
 * waiting for it is not waiting for ever. */
static bool
others_inside(void)
{
	uint32_t i;

	for (i = 0; i < sim.total; i++)
		if (i != ka_sim_self &&
		    (sim.thread[i].nheld != 0 ||
			(sim.thread[i].state != SIM_IDLE &&
			    sim.thread[i].in_section)))
			return (true);
	return (false);
}

void
ka_sim_pause(const struct ka_site *site)
{
	struct sim_thread *t;

	if (ka_sim_self == SIM_NONE)
		abort(); /* nobody else can run: it would wait for ever */
	t = &sim.thread[ka_sim_self];
	t->site = site;
	sim.points++;
	if (ka_sim_weak && sim.config.memory == SIM_TSO)
		sim__flush_cpu(t->cpu);
	if (sim.solo == ka_sim_self) {
		sim.solo = SIM_NONE;
		if (!others_inside())
			sim__wrong("G-4", "not-alone",
			    "a call that does not block ends when it runs "
			    "alone",
			    "it waits in a loop, and no other thread has a "
			    "lock or is in a section");
	}
	sim__state(ka_sim_self, SIM_SPIN);
	sim__stop_with(SIM_SPINNING);
	/* What it waits for it looks at again. */
	if (sim.config.hash)
		sim__event(t, SIM_CHANGES, t);
}

/* On the first number whose thread has ended; it runs when the schedule lets
 * it. Its CPU is by its number. */
/* A thread begins after all that its maker has done. */
static void
started(const struct sim_thread *t)
{
	if (ka_sim_self == SIM_NONE)
		return;
	sim_sync_release(t);
	if (!ka_sim_weak)
		return;
	if (sim.config.memory == SIM_TSO)
		sim__flush_cpu(sim.thread[ka_sim_self].cpu);
	else if (sim.config.memory == SIM_C11) {
		sim__c11_release(t);
		sim__c11_acquire((uint32_t)(t - sim.thread), t);
	}
}

int
ka_thread_start(
    struct ka_thread *kt, const char *name, void (*fn)(void *), void *arg)
{
	uint32_t i = sim.config.threads;
	struct sim_thread *t;

	(void)name;
	while (i < sim.total && sim.thread[i].state != SIM_IDLE)
		i++;
	if (i == sim.config.threads + SIM_DAEMONS_MAX)
		return (EAGAIN);
	t = &sim.thread[i];
	t->in_section = 0;
	t->locks = 0;
	if (i == sim.total) {
		sim.total++;
		sim.words = (sim.total + 63) / 64;
		t->op = 0;
		t->deviation = 0;
		while (t->deviation < sim.config.ndeviations &&
		    sim.config.deviation[t->deviation].thread != i)
			t->deviation++;
		t->hash = 0;
		t->nheld = 0;
	}
	put_on(i, i % sim.config.cpus);
	t->start++;
	kt->id = i << 16 | t->start;
	sim_start(i, t->op + 1, fn, arg);
	started(t);
	return (0);
}

/* The thread ends by itself. */
void
ka_thread_join(struct ka_thread *kt)
{
	struct sim_thread *t = &sim.thread[kt->id >> 16];

	if (ka_sim_self == SIM_NONE && t->state != SIM_IDLE) {
		sim_sync_acquire(&sim.holder[t->cpu]); /* where it stopped */
		thread_stop(t);			       /* halt */
	}
	/* Its number may be another's by now. */
	while (t->state != SIM_IDLE && t->start == (uint16_t)kt->id)
		ka_pause();
	if (ka_sim_self == SIM_NONE)
		return;
	sim_sync_acquire(&sim__world);
	if (ka_sim_weak && sim.config.memory == SIM_C11)
		sim__c11_acquire(ka_sim_self, &sim__world);
}
