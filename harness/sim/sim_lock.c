/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What threads wait for: locks, channels, and the order in which locks are
 * taken.
 *
 * Locks are of one class if they have one name. The order is a graph between
 * classes: an edge from each that is held to the one that is taken. A circle
 * in it is a deadlock that some schedule has, whether or not this one met it;
 * the graph is that of one run, or of all since the process began.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_int.h"
#include "sim_sync.h"

#define CLASSES_MAX 64u

static const char *lock_class[CLASSES_MAX];
static uint32_t lock_classes;
static uint64_t lock_after[CLASSES_MAX]; /* classes taken while it was held */
static const struct ka_site *lock_site[CLASSES_MAX][CLASSES_MAX][2];

/* ---- The order of locks ------------------------------------------------ */

void
sim__locks_reset(void)
{
	if (!sim.config.locks_stay)
		memset(lock_after, 0, sizeof(lock_after));
}

static uint32_t
class_of(const struct ka_mutex *m)
{
	uint32_t i;

	/* Nearly always it is the same literal. */
	for (i = 0; i < lock_classes; i++)
		if (lock_class[i] == m->name)
			return (i);
	for (i = 0; i < lock_classes; i++)
		if (strcmp(lock_class[i], m->name) == 0)
			return (i);
	if (i == CLASSES_MAX)
		return (CLASSES_MAX - 1); /* more than the library has */
	lock_class[i] = m->name;
	lock_classes++;
	return (i);
}

/* Is there a way from one class to another? */
static bool
reaches(uint32_t from, uint32_t to, uint64_t seen)
{
	uint64_t next = lock_after[from] & ~seen;

	if ((lock_after[from] >> to & 1) != 0)
		return (true);
	while (next != 0) {
		uint32_t i = (uint32_t)__builtin_ctzll(next);

		next &= next - 1;
		seen |= UINT64_C(1) << i;
		if (reaches(i, to, seen))
			return (true);
	}
	return (false);
}

static void
reversed(uint32_t held, uint32_t taken, const struct ka_site *held_at,
    const struct ka_site *taken_at)
{
	char expected[256], found[256];
	const struct ka_site *const *other = lock_site[taken][held];

	if (other[0] != NULL)
		(void)snprintf(expected, sizeof(expected),
		    "lock \"%s\" before \"%s\", as at %s:%u and %s:%u",
		    lock_class[taken], lock_class[held], other[0]->file,
		    other[0]->line, other[1]->file, other[1]->line);
	else
		(void)snprintf(expected, sizeof(expected),
		    "lock \"%s\" before \"%s\", as over others between",
		    lock_class[taken], lock_class[held]);
	(void)snprintf(found, sizeof(found),
	    "\"%s\", taken at %s:%u, is held while \"%s\" is taken at %s:%u",
	    lock_class[held], held_at->file, held_at->line, lock_class[taken],
	    taken_at->file, taken_at->line);
	sim__wrong("G-5", "lock-order", expected, found);
}

static void
note_order(const struct sim_thread *t, const struct ka_mutex *m,
    const struct ka_site *site)
{
	uint32_t i, taken = class_of(m);

	for (i = 0; i < t->nheld; i++) {
		uint32_t held = class_of(t->held[i]);

		if (held == taken)
			continue; /* by address, as the library does */
		if ((lock_after[held] >> taken & 1) != 0)
			continue;
		if (reaches(taken, held, 0))
			reversed(held, taken, t->held_at[i], site);
		lock_after[held] |= UINT64_C(1) << taken;
		lock_site[held][taken][0] = t->held_at[i];
		lock_site[held][taken][1] = site;
	}
}

/* ---- Locks ------------------------------------------------------------- */

void
ka_sim_lock_slow(struct ka_mutex *m, const struct ka_site *site)
{
	struct sim_thread *t = &sim.thread[ka_sim_self];

	if (ka_sim_self == SIM_NONE)
		return; /* halt: whoever has it will never run again */
	if (ka_sim_in_section)
		abort(); /* no lock is taken in a section: cpu.h */
	t->site = site;
	m->waiters++;
	while (m->owner != 0) {
		sim__state(ka_sim_self, SIM_LOCK);
		t->lock = m;
		sim__stop_with(SIM_BLOCKED);
	}
	m->waiters--;
}

const char ka_sim_ended[] = "ended";

/* On the host nobody knows what it does then, nor whose it is by now. */
static void
ended(const struct ka_site *site)
{
	char found[256];

	(void)snprintf(found, sizeof(found),
	    "thread %u takes one at %s:%u that is no more", ka_sim_self,
	    site->file, site->line);
	sim__wrong(
	    "G-5", "lock-ended", "no lock is taken after its end", found);
}

void
ka_sim_locked(struct ka_mutex *m, const struct ka_site *site)
{
	struct sim_thread *t = &sim.thread[ka_sim_self];

	if (ka_sim_self == SIM_NONE)
		return;
	if (m->name == ka_sim_ended)
		ended(site);
	sim_sync_acquire(m);
	if (ka_sim_weak && sim.config.memory == SIM_TSO)
		sim__flush_cpu(t->cpu);
	else if (ka_sim_weak)
		sim__c11_acquire(ka_sim_self, m);
	if (sim.config.hash)
		sim__event(t, SIM_CHANGES, m);
	if (t->nheld != 0)
		note_order(t, m, site);
	if (t->nheld < SIM_HELD_MAX) {
		t->held[t->nheld] = m;
		t->held_at[t->nheld++] = site;
	}
}

/* Only who has a lock gives it up: else somebody else is in the middle of what
 * it protects, or nobody was. */
static void
owned(const struct ka_mutex *m)
{
	char expected[128], found[128];

	if (m->owner == ka_sim_self + 1)
		return;
	(void)snprintf(expected, sizeof(expected),
	    "lock \"%s\" is given up by who has it", m->name);
	if (m->owner == 0)
		(void)snprintf(found, sizeof(found),
		    "thread %u gives it up, and nobody has it", ka_sim_self);
	else
		(void)snprintf(found, sizeof(found),
		    "thread %u gives it up, and thread %u has it", ka_sim_self,
		    m->owner - 1);
	sim__wrong("G-5", "not-owned", expected, found);
}

void
ka_sim_unlocking(struct ka_mutex *m)
{
	struct sim_thread *t = &sim.thread[ka_sim_self];
	uint32_t i;

	if (ka_sim_self == SIM_NONE)
		return;
	owned(m);
	sim_sync_release(m);
	if (ka_sim_weak && sim.config.memory == SIM_TSO)
		sim__flush_cpu(t->cpu);
	else if (ka_sim_weak)
		sim__c11_release(m);
	if (sim.config.hash)
		sim__event(t, SIM_CHANGES, m);
	for (i = t->nheld; i-- > 0;)
		if (t->held[i] == m) {
			if (i == --t->nheld)
				break;
			sim_sync_move(&t->held[i], &t->held[i + 1],
			    (t->nheld - i) * sizeof(t->held[0]));
			sim_sync_move(&t->held_at[i], &t->held_at[i + 1],
			    (t->nheld - i) * sizeof(t->held_at[0]));
			break;
		}
}

/* All who wait become runnable; the schedule says who is first. */
void
ka_sim_unlock_slow(struct ka_mutex *m)
{
	uint32_t i;

	for (i = 0; i < sim.total; i++) {
		const struct sim_thread *t = &sim.thread[i];

		if (t->state == SIM_LOCK && t->lock == m)
			sim__state(i, SIM_READY);
	}
}

/* ---- Channels ---------------------------------------------------------- */

void
ka_sim_sleep(struct ka_chan *c, struct ka_mutex *m, const struct ka_site *site)
{
	struct sim_thread *t = &sim.thread[ka_sim_self];

	if (ka_sim_self == SIM_NONE || ka_sim_in_section)
		abort();
	KA_SIM_AT(KA_SIM_SLEEP, c, site);
	t->site = site;
	sim__tell(sim.config.on_sleep, ka_sim_self);
	c->sleepers++;
	if (ka_sim_armed) {
		if (sim.config.hash)
			sim__event(t, SIM_CHANGES, c);
		ka_sim_unlocking(m);
	}
	sim__state(ka_sim_self, SIM_ASLEEP);
	t->chan = c;
	m->owner = 0;
	ka_sim_locks--;
	if (m->waiters != 0)
		ka_sim_unlock_slow(m);
	sim__stop_with(SIM_BLOCKED);
	ka_sim_mutex_lock(m, site);
}

static void
wake(struct ka_chan *c, uint32_t thread)
{
	c->sleepers--;
	sim__state(thread, SIM_READY);
	sim.thread[thread].wakes = 0;
	sim__tell(sim.config.on_wake, thread);
}

/* One of those who sleep on the channel: the first, or another by choice. */
static uint32_t
choose_sleeper(const struct ka_chan *c)
{
	struct sim_thread *t = &sim.thread[ka_sim_self];
	uint32_t i, first = SIM_NONE, chosen;

	sim__question();
	for (i = 0; i < sim.total; i++) {
		if (sim.thread[i].state != SIM_ASLEEP ||
		    sim.thread[i].chan != c)
			continue;
		if (first == SIM_NONE)
			first = i;
		else
			sim__alternative(SIM_WAKE, i);
	}
	if (sim.nalternatives < 2 || !ka_sim_armed || ka_sim_self == SIM_NONE)
		return (first);
	t->point++;
	chosen = sim__ask(t, ka_sim_self, false);
	if (chosen == SIM_PRUNE)
		sim__stop_with(SIM_PREEMPTED);
	return (chosen == 0 ? first : sim.alternative[chosen].n);
}

void
ka_sim_wake(struct ka_chan *c, bool one, const struct ka_site *site)
{
	uint32_t i;

	KA_SIM_AT(KA_SIM_WAKE, c, site);
	if (c->sleepers == 0)
		return;
	if (one) {
		wake(c, choose_sleeper(c));
		return;
	}
	for (i = 0; i < sim.total; i++)
		if (sim.thread[i].state == SIM_ASLEEP &&
		    sim.thread[i].chan == c)
			wake(c, i);
}

bool
sim_holds(char *buf, size_t size)
{
	if (ka_sim_in_section) {
		(void)snprintf(buf, size, "it is in the section of CPU %u",
		    sim.thread[ka_sim_self].cpu);
		return (true);
	}
	if (ka_sim_locks == 0)
		return (false);
	(void)snprintf(buf, size, "it holds %u lock%s, and took \"%s\" last",
	    ka_sim_locks, ka_sim_locks == 1 ? "" : "s", ka_sim_lock_last->name);
	return (true);
}

/* ---- Who waits for what ------------------------------------------------ */

static uint32_t
waits_for(uint32_t thread)
{
	const struct sim_thread *t = &sim.thread[thread];

	if (t->state != SIM_LOCK || t->lock->owner == 0)
		return (SIM_NONE);
	return (t->lock->owner - 1);
}

uint32_t
sim_deadlock(uint32_t *list)
{
	uint32_t i, at, n, steps;

	for (i = 0; i < sim.total; i++) {
		at = i;
		for (steps = 0; steps <= sim.total && at != SIM_NONE; steps++)
			at = waits_for(at);
		if (at == SIM_NONE)
			continue;
		/* After so many steps it is in the circle. */
		for (n = 0; n == 0 || list[0] != at; at = waits_for(at))
			list[n++] = at;
		return (n);
	}
	return (0);
}

bool
sim_describe(uint32_t thread, char *buf, size_t size)
{
	const struct sim_thread *t = &sim.thread[thread];

	switch (t->state) {
	case SIM_LOCK:
		(void)snprintf(buf, size,
		    "thread %u waits for lock \"%s\", held by thread %u",
		    thread, t->lock->name, t->lock->owner - 1);
		return (true);
	case SIM_ASLEEP:
		(void)snprintf(buf, size, "thread %u sleeps on \"%s\"", thread,
		    t->chan->name);
		return (true);
	case SIM_SPIN:
		(void)snprintf(buf, size, "thread %u spins", thread);
		return (true);
	default:
		return (false);
	}
}

bool
sim_where(uint32_t thread, struct sim_place *ret_place)
{
	const struct sim_thread *t = &sim.thread[thread];

	if (t->site == NULL)
		return (false);
	ret_place->file = t->site->file;
	ret_place->function = t->site->function;
	ret_place->line = t->site->line;
	ret_place->state = t->state;
	return (true);
}
