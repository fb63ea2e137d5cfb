/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stores and loads see without a single memory: C11's atomics as
 * operational semantics with views (Kang and others, A promising semantics for
 * relaxed-memory concurrency, 2017; Lahav and others, Repairing sequential
 * consistency in C/C++11, 2017), without promises: a load never sees a store
 * that is later in its own thread or depends on it, so that load buffering,
 * which RC11 forbids, does not happen.
 *
 * A *location* has its stores in modification order, each with a *rank* that
 * grows along it. A *view* is a rank for each location: nothing older is seen.
 * Each thread has one; a store carries the view that whoever acquires it gets.
 *
 *   load      sees any store that is not older than the view; which is a
 *             choice, the newest is the default
 *   store     comes last in the order, or by choice before newer ones that the
 *             thread has not seen, but not between a read-modify-write and
 *             what it read
 *   rmw       sees the last and comes after it; it is acquire and release
 *   seq_cst   one more view, of what the seq_cst accesses and fences before
 *             have stored or seen; a seq_cst load sees nothing older
 *
 * Locks, sections of one CPU and operations' ends and beginnings carry views
 * too. Memory itself always has the last value. A location that plain stores
 * have changed (a structure is set up anew) begins anew.
 */
#include <stdlib.h>
#include <string.h>

#include "sim_int.h"
#include "sim_sync.h"

#define LOCATIONS_MAX 256u
#define STORES_MAX    8u  /* of a location; older ones are forgotten */
#define OBJECTS_MAX   64u /* locks and the like that carry views */
#define RANK_STEP     (UINT64_C(1) << 24)
#define INDEX_SIZE    (4 * LOCATIONS_MAX)

struct view {
	uint64_t rank[LOCATIONS_MAX];
};

struct store {
	uint64_t value, rank;
	bool rmw; /* nothing comes between it and the one before */
	struct view view;
};

struct location {
	const volatile void *addr;
	size_t size;
	uint32_t n; /* stores, the newest last */
	uint64_t floor;
	struct store store[STORES_MAX];
};

static struct location *location;
static uint32_t nlocations;
/* By address: number of the location plus one, of this run. */
static struct {
	uint32_t run, at;
} slot[INDEX_SIZE];
static uint32_t slot_run;
/* Locations beyond those that are kept track of are as memory has them, and
 * all of their accesses are ordered: less than C11 allows, never more. */
static const char untracked;
static struct thread_views {
	struct view now;     /* what it has seen */
	struct view pending; /* what it saw without acquiring it */
	struct view fenced;  /* what it had seen at its last fence */
} * views;
static struct view seq_cst;
static struct {
	const void *object;
	struct view view;
} carried[OBJECTS_MAX];
static uint32_t ncarried;

static void
join(struct view *to, const struct view *from)
{
	uint32_t i;

	for (i = 0; i < nlocations; i++)
		if (to->rank[i] < from->rank[i])
			to->rank[i] = from->rank[i];
}

/* Of locations that there are not yet a view has nothing. */
static void
copy(struct view *to, const struct view *from)
{
	sim_sync_move(to->rank, from->rank, nlocations * sizeof(*to->rank));
}

void
sim__c11_reset(void)
{
	if (location == NULL)
		location = calloc(LOCATIONS_MAX, sizeof(*location));
	if (views == NULL)
		views = calloc(SIM_ALL_MAX, sizeof(*views));
	if (location == NULL || views == NULL)
		abort();
	memset(
	    views, 0, (sim.config.threads + SIM_DAEMONS_MAX) * sizeof(*views));
	memset(&seq_cst, 0, sizeof(seq_cst));
	nlocations = 0;
	ncarried = 0;
	slot_run++;
}

/* Where the address is, or is to be. */
static uint32_t *
slot_of(const volatile void *addr)
{
	uint32_t i =
	    (uint32_t)(((uintptr_t)addr * UINT64_C(0x9e3779b97f4a7c15)) >> 40);

	for (;; i++) {
		i %= INDEX_SIZE;
		if (slot[i].run != slot_run) {
			slot[i].run = slot_run;
			slot[i].at = 0;
		}
		if (slot[i].at == 0 || location[slot[i].at - 1].addr == addr)
			return (&slot[i].at);
	}
}

/* Without memcpy(), which ThreadSanitizer sees wherever it is called from. */
static uint64_t
in_memory(const volatile void *addr, size_t size)
{
	switch (size) {
	case 1:
		return (*(const volatile uint8_t *)addr);
	case 2:
		return (*(const volatile uint16_t *)addr);
	case 4:
		return (*(const volatile uint32_t *)addr);
	default:
		return (*(const volatile uint64_t *)addr);
	}
}

static struct store *
append(struct location *l, uint64_t value, bool rmw)
{
	uint64_t rank = l->n == 0 ? l->floor : l->store[l->n - 1].rank;
	struct store *s;

	if (l->n == STORES_MAX) {
		l->n--;
		sim_sync_move(
		    &l->store[0], &l->store[1], l->n * sizeof(*l->store));
	}
	s = &l->store[l->n++];
	s->value = value;
	s->rank = rank + RANK_STEP;
	s->rmw = rmw;
	return (s);
}

/* All that came before is gone, for everybody. */
static void
begin_anew(struct location *l, uint64_t value)
{
	if (l->n != 0)
		l->floor = l->store[l->n - 1].rank;
	l->n = 0;
	memset(&append(l, value, false)->view, 0, sizeof(struct view));
	l->floor = l->store[0].rank;
}

/* NULL: more locations than are kept track of; they are as memory has them. */
static struct location *
location_of(const volatile void *addr, size_t size)
{
	uint32_t i, *at = slot_of(addr);
	struct location *l;

	if (*at == 0 && nlocations == LOCATIONS_MAX)
		return (NULL);
	if (*at != 0) {
		l = &location[*at - 1];
	} else {
		l = &location[nlocations];
		*at = ++nlocations;
		for (i = 0; i < sim.config.threads + SIM_DAEMONS_MAX; i++) {
			views[i].now.rank[nlocations - 1] = 0;
			views[i].pending.rank[nlocations - 1] = 0;
			views[i].fenced.rank[nlocations - 1] = 0;
		}
		seq_cst.rank[nlocations - 1] = 0;
		for (i = 0; i < ncarried; i++)
			carried[i].view.rank[nlocations - 1] = 0;
		for (i = 0; i + 1 < nlocations; i++) {
			uint32_t j;

			for (j = 0; j < location[i].n; j++)
				location[i].store[j].view.rank[nlocations - 1] =
				    0;
		}
		l->addr = addr;
		l->n = 0;
		l->floor = 0;
	}
	l->size = size;
	if (l->n == 0 || l->store[l->n - 1].value != in_memory(addr, size))
		begin_anew(l, in_memory(addr, size));
	return (l);
}

static bool
is_acquire(int order)
{
	return (order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE);
}

static bool
is_release(int order)
{
	return (order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL ||
	    order == __ATOMIC_SEQ_CST);
}

/* Which of n, counted back from the newest; 0 is the default. */
static uint32_t
choose(enum sim_do what, uint32_t n)
{
	struct sim_thread *t = &sim.thread[ka_sim_self];
	uint32_t i, chosen;

	if (n < 2 || sim.held)
		return (0);
	t->point++;
	sim__question();
	for (i = 1; i < n; i++)
		sim__alternative(what, i);
	chosen = sim__ask(t, ka_sim_self, false);
	if (chosen == SIM_PRUNE)
		sim__stop_with(SIM_PREEMPTED);
	if (sim.config.hash && chosen != 0)
		sim__event_chose(t, what, chosen);
	return (chosen);
}

/* What all that is sequentially consistent has seen: a fence changes it, an
 * access is before or after one. */
static void
in_order(enum sim_event event)
{
	if (sim.config.hash)
		sim__event(&sim.thread[ka_sim_self], event, &seq_cst);
}

static void
saw(struct thread_views *v, const struct location *l, const struct store *s,
    bool acquire)
{
	uint32_t at = (uint32_t)(l - location);

	if (v->now.rank[at] < s->rank)
		v->now.rank[at] = s->rank;
	join(&v->pending, &s->view);
	if (acquire)
		join(&v->now, &s->view);
}

bool
sim__c11_load(const volatile void *addr, size_t size, int order)
{
	struct thread_views *v = &views[ka_sim_self];
	struct location *l = location_of(addr, size);
	uint64_t least;
	uint32_t at, n = 0;
	struct store *s;

	if (l == NULL) {
		sim__c11_acquire(ka_sim_self, &untracked);
		return (false);
	}
	at = (uint32_t)(l - location);
	least = v->now.rank[at];
	if (order == __ATOMIC_SEQ_CST && least < seq_cst.rank[at])
		least = seq_cst.rank[at];
	while (n < l->n && (n == 0 || l->store[l->n - 1 - n].rank >= least))
		n++;
	s = &l->store[l->n - 1 - choose(SIM_READ, n)];
	saw(v, l, s, is_acquire(order));
	if (order == __ATOMIC_SEQ_CST)
		in_order(SIM_SEES);
	if (order == __ATOMIC_SEQ_CST && seq_cst.rank[at] < s->rank)
		seq_cst.rank[at] = s->rank;
	ka_sim_value = s->value;
	return (true);
}

/* Makes room before the k newest stores. */
static struct store *
insert(struct location *l, uint32_t k, uint64_t value)
{
	uint32_t at;
	struct store *s;

	if (l->n == STORES_MAX) {
		l->n--;
		sim_sync_move(
		    &l->store[0], &l->store[1], l->n * sizeof(*l->store));
	}
	at = l->n - k;
	sim_sync_move(&l->store[at + 1], &l->store[at], k * sizeof(*l->store));
	l->n++;
	s = &l->store[at];
	s->value = value;
	s->rmw = false;
	s->rank = l->store[at - 1].rank +
	    (l->store[at + 1].rank - l->store[at - 1].rank) / 2;
	return (s);
}

bool
sim__c11_store(volatile void *addr, size_t size, uint64_t value, int order)
{
	struct thread_views *v = &views[ka_sim_self];
	struct location *l = location_of(addr, size);
	uint32_t at, k, n = 1;
	uint64_t least;
	struct store *s;

	if (l == NULL) {
		sim__c11_release(&untracked);
		return (false);
	}
	at = (uint32_t)(l - location);
	least = v->now.rank[at];
	if (order == __ATOMIC_SEQ_CST && least < seq_cst.rank[at])
		least = seq_cst.rank[at];
	/* Before the n-th newest, if the one before that may be behind us. */
	while (n < l->n && n < STORES_MAX - 1 && !l->store[l->n - n].rmw &&
	    l->store[l->n - n].rank > least)
		n++;
	k = choose(SIM_INSERT, n);
	s = k == 0 ? append(l, value, false) : insert(l, k, value);
	copy(&s->view, is_release(order) ? &v->now : &v->fenced);
	s->view.rank[at] = s->rank;
	v->now.rank[at] = s->rank;
	if (order == __ATOMIC_SEQ_CST)
		in_order(SIM_SEES);
	if (order == __ATOMIC_SEQ_CST && seq_cst.rank[at] < s->rank)
		seq_cst.rank[at] = s->rank;
	return (k != 0);
}

void
sim__c11_rmw(volatile void *addr, size_t size)
{
	struct location *l = location_of(addr, size);

	if (l != NULL) {
		saw(&views[ka_sim_self], l, &l->store[l->n - 1], true);
		return;
	}
	sim__c11_acquire(ka_sim_self, &untracked);
	sim__c11_release(&untracked);
}

void
sim__c11_rmw_done(volatile void *addr, size_t size)
{
	struct thread_views *v = &views[ka_sim_self];
	uint64_t value = in_memory(addr, size);
	struct location *l;
	struct view before;
	struct store *s;
	uint32_t i = *slot_of(addr);

	if (i-- == 0)
		return;
	l = &location[i];
	/* Whoever acquires it acquires what it saw (release sequence), also if
	 * it wrote what was there. */
	copy(&before, &l->store[l->n - 1].view);
	s = append(l, value, true);
	v->now.rank[i] = s->rank;
	copy(&s->view, &v->now);
	join(&s->view, &before);
}

void
sim__c11_fence(bool all)
{
	struct thread_views *v = &views[ka_sim_self];
	uint32_t i;

	in_order(SIM_CHANGES);
	join(&v->now, &v->pending);
	join(&v->now, &seq_cst);
	for (i = 0; all && i < sim.total; i++) {
		join(&views[i].now, &views[i].pending);
		join(&v->now, &views[i].now);
	}
	for (i = 0; all && i < sim.total; i++) {
		join(&views[i].now, &v->now);
		copy(&views[i].fenced, &views[i].now);
	}
	copy(&seq_cst, &v->now);
	copy(&v->fenced, &v->now);
}

static struct view *
carried_by(const void *object)
{
	uint32_t i;

	for (i = 0; i < ncarried; i++)
		if (carried[i].object == object)
			return (&carried[i].view);
	if (i == OBJECTS_MAX) /* more: they share one, which orders more */
		return (&carried[0].view);
	ncarried++;
	carried[i].object = object;
	memset(&carried[i].view, 0, sizeof(carried[i].view));
	return (&carried[i].view);
}

void
sim__c11_acquire(uint32_t thread, const void *object)
{
	join(&views[thread].now, carried_by(object));
}

void
sim__c11_release(const void *object)
{
	join(carried_by(object), &views[ka_sim_self].now);
}
