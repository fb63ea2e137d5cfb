/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The zone allocator: items of one size, constructed if one likes, with the
 * contents that they had when they were freed.
 *
 * 1. Lineage. UMA of FreeBSD for the structure (zones, kegs, slabs, buckets)
 *    and the interface of uma.c; DragonFly's vm_zone for that of zinit.c.
 *    Areas of divergence, each with its reason:
 *    a. No bookkeeping is in items or in their pages: a free item keeps every
 *       byte (ZN-33), and no overrun reaches a header.
 *    b. An *owner word* for each place where an item may begin says who holds
 *       it: one comparison at free tells double free, wrong zone, interior and
 *       foreign pointers, always (ZN-12).
 *    c. Buckets are magazines that are made with the zone (magazine.h), so
 *       that no free ever needs memory.
 *    d. Units are counted where items leave and enter the keg, whether there
 *       is a maximum or not; so a maximum may be set at any time (ZN-5).
 *    e. A caller that waits first takes what all CPUs cache, and closes the
 *       caches, so that every free after that is seen (ZN-7).
 *    f. Nothing that calls out is done with anything locked (G-9).
 *
 * 2. Nouns. A *zone* hands out *items*; it has callbacks, a maximum and
 *    caches. A *keg* has the *slabs*; a *secondary* zone shares another's keg,
 *    a *cache zone* has none but import and release. A zone's *units* are its
 *    items outside of the keg: held, cached, or on their way. A zone is *over*
 *    while it has more units than a maximum that was lowered allows.
 *
 *      CPU    | loaded, previous magazine |   fast paths
 *      depot  | full and empty magazines  |   the zone's cache
 *      units  | z_count of z_max          |
 *      keg    | slabs: partial, full, whole |
 *      pages  | page layer, allocf, or static memory |
 *
 *    Tables, one entry for each page of the budget: owner words (8 bytes of
 *    the arena each) and slab headers; a slab's pages are VM_OWNER_ZONE.
 *
 * 3. States. Of a slab: zone_int.h. Of an item: in its slab (bit set, word
 *    FREE) -> cached or on its way (bit clear, word FREE) -> held (word is the
 *    zone's id) -> back again either way. Of a zone: free -> making -> live ->
 *    ending -> free; its record is never anything else, so that stale handles
 *    are found (ids are used in turn, not the last one first).
 *
 * 4. Paths. Allocation: pop the CPU's magazine in its section, own the word.
 *    Failing that: magazines of the CPU, the depot, CPUs without owner; then
 *    units for a bucketful, that many items of the keg, which grows by one
 *    slab if it has none; what is not needed goes to the depot. Free: compare
 *    the word, set it FREE, push. Failing that: depot; then back to the keg.
 *    Where a constructor, a destructor or M_ZERO is to be done, the slow entry
 *    does it around the same pop and push.
 *
 * 5. Concurrency. Lock order: zone_lock, the depot's, c_lock; zone_lock,
 *    z_lock; zone_lock, k_lock, outside_lock; k_lock, the page layer's, where
 *    a keg without callbacks makes and ends its slabs. z_lock and k_lock are
 *    never held together, nor with a cache's or c_lock. Owner words: plain in sections, compare and
 *    swap elsewhere; an item that two CPUs free at one time may get into two
 *    magazines, and is found when it is popped the second time.
 *    Waiting, each for one thing and holding nothing: for a unit (z_event), for
 *    room in the keg (k_event), for pages (the page layer's event count, which
 *    items that come back to a keg move as well). An attempt that fails gives
 *    its units back before it waits. Each event count is read before what it
 *    stands for is tried. Whoever waits for units has the zone's caches
 *    closed, who waits for room those of all the keg's zones; while anybody
 *    waits for pages all zones' are.
 *
 * 6. Invariants, checked by uma_audit():
 *    I-ZN-1  a slab's count of free items is that of its bits; a free item's
 *            word is FREE, any other is FREE or an id of the keg's zones
 *    I-ZN-2  slabs are on the list of their state; the keg's counts are theirs
 *    I-ZN-3  a cached item's bit is clear, its word FREE
 *    I-ZN-4  units are held plus cached items; not above the maximum but when
 *            the zone is over, and then nothing is cached
 *    I-ZN-5  as many words are a zone's id as it has items held
 *    I-ZN-6  zone_slab.c
 *    I-ZN-7  the arena's pages that are VM_OWNER_ZONE are those of the kegs'
 *            slabs
 *
 * 7. Failure. Pages (VM-6), the maximum, callbacks. What a failed attempt took
 *    is given back by the way it came (ZN-10). A callback that refuses ends the
 *    call: nothing is tried twice because of it (ZN-4).
 *
 * 8. Observability: uma_zone_get_stats(), uma_stats(), uma_vmstat().
 *
 * References: J. Bonwick, The Slab Allocator, USENIX Summer 1994; J. Bonwick
 * and J. Adams, Magazines and Vmem, USENIX 2001; zone(9) of FreeBSD 8 and of
 * DragonFly BSD.
 */
#include <string.h>

#include "zone_int.h"

struct uma_zone zone_table[ZONES_MAX];
struct ka_mutex zone_lock = KA_MUTEX_INITIALIZER;
static struct ka_chan zone_chan; /* z_refs of a zone that ends fell to 0 */
unsigned zone_high;
static unsigned zone_last; /* id that was used last */

/* ---- Misuse ---------------------------------------------------------- */

struct uma_zone *
zone__at(unsigned id)
{
	struct uma_zone *zone = &zone_table[id - 1];

	/* Not always under the lock, and then another may be ending: who looks
	 * for his own zone does not care. */
	return (__atomic_load_n(&zone->z_state, __ATOMIC_ACQUIRE) == ZONE_LIVE ?
		zone :
		NULL);
}

static void __attribute__((noreturn, cold))
zone_bad_handle(const struct uma_zone *zone, const char *caller)
{
	ka_misuse(KA_WHY_BAD_HANDLE, zone, "%s: %p is no zone", caller,
	    (const void *)zone);
}

void
zone__check(const struct uma_zone *zone, const char *caller)
{
	uintptr_t off = (uintptr_t)zone - (uintptr_t)zone_table;

	if (off >= sizeof(zone_table) || off % sizeof(*zone) != 0 ||
	    ka_load(&zone->z_state, ACQUIRE) != ZONE_LIVE)
		zone_bad_handle(zone, caller);
}

void
zone__twice(struct uma_zone *zone, void *item)
{
	ka_misuse(KA_WHY_DOUBLE_FREE, item,
	    "uma: %s: %p was freed twice at one time", zone->z_name, item);
}

static enum ka_why
zone_why(const struct zone_slab *slab, const void *item)
{
	uint16_t word;
	size_t index;
	bool start;

	if (!zone__index(slab, item, &index, &start))
		return (KA_WHY_FOREIGN);
	word = ka_load(zone_item_word(slab, index), RELAXED);
	if (word == ZONE_WORD_NONE)
		return (KA_WHY_FOREIGN);
	if (!start)
		return (KA_WHY_INTERIOR);
	return (
	    word == ZONE_WORD_FREE ? KA_WHY_DOUBLE_FREE : KA_WHY_WRONG_ZONE);
}

/* Tells what is wrong with an item that could not be freed. */
static void __attribute__((noreturn, cold))
zone_misused(struct uma_zone *zone, const void *item, const char *caller)
{
	struct zone_slab *slab = zone__find(item);
	enum ka_why why = KA_WHY_FOREIGN;

	if (slab != NULL) {
		why = zone_why(slab, item);
		zone__unfind(slab);
	}
	ka_misuse(why, item, "%s: zone %s: %p: %s", caller, zone->z_name, item,
	    ka_why_text(why));
}

/* ---- Units ----------------------------------------------------------- */

/* Units for up to so many items; 0: the maximum is reached. */
static unsigned
units_take(struct uma_zone *zone, unsigned want)
{
	ka_mutex_lock(&zone->z_lock);
	if (zone->z_max != 0) {
		if (zone->z_count >= zone->z_max)
			want = 0;
		else if (want > zone->z_max - zone->z_count)
			want = (unsigned)(zone->z_max - zone->z_count);
	}
	zone->z_count += want;
	ka_commit(KA_COMMIT_ZONE, want == 0 ? KA_COMMIT_FULL : KA_COMMIT_TAKE,
	    zone, want);
	ka_mutex_unlock(&zone->z_lock);
	return (want);
}

/* Of a zone that nobody can use yet, or any more. */
static void
units_tell_all(const struct uma_zone *zone)
{
	ka_commit(KA_COMMIT_ZONE, KA_COMMIT_BEGIN, zone,
	    zone->z_max == 0 ? UINT64_MAX : zone->z_max);
	ka_commit(KA_COMMIT_ZONE, KA_COMMIT_TAKE, zone, zone->z_count);
	(void)zone;
}

/* Something changed for who waits for a unit; under z_lock. */
static void
units_event(struct uma_zone *zone)
{
	zone->z_event++;
	if (zone->z_sleepers != 0)
		ka_chan_wake_all(&zone->z_chan);
}

static void
units_give(struct uma_zone *zone, unsigned n)
{
	bool reopen = false;

	if (n == 0)
		return;
	ka_mutex_lock(&zone->z_lock);
	KA_ASSERT(zone->z_count >= n);
	zone->z_count -= n;
	ka_commit(KA_COMMIT_ZONE, KA_COMMIT_GIVE, zone, n);
	/* Without a maximum it is not over: zone__set_max(). */
	if (zone->z_over && zone->z_count <= zone->z_max) {
		zone->z_over = false;
		reopen = (zone->z_flags & ZF_CACHED) != 0;
	}
	units_event(zone);
	ka_mutex_unlock(&zone->z_lock);
	if (reopen)
		mag__reopen(&zone->z_cache);
}

/* ---- Items from below, and back ---------------------------------------- */

/* Items that nobody holds go back to where they came from. */
static void
zone_release(struct uma_zone *zone, void **store, unsigned n)
{
	void *bad = NULL;
	unsigned i;

	if (n == 0)
		return;
	for (i = 0; zone->z_fini != NULL && i < n; i++)
		zone->z_fini(store[i], zone->z_size);
	if (zone->z_keg == NULL)
		zone->z_release(zone->z_arg, store, (int)n);
	else
		bad = zone__keg_put(zone->z_keg, store, n);
	units_give(zone, n);
	if (bad != NULL)
		zone__twice(zone, bad);
}

/* The zone's own init, of a secondary or cache zone: what comes after the
 * first that refuses goes back unseen (ZN-15). */
static unsigned
zone_init_items(struct uma_zone *zone, void **store, unsigned n, int flags)
{
	unsigned i;

	if (zone->z_init == NULL)
		return (n);
	for (i = 0; i < n; i++)
		if (zone->z_init(store[i], zone->z_size, flags) != 0)
			break;
	if (i == n)
		return (n);
	if (zone->z_keg == NULL)
		zone->z_release(zone->z_arg, store + i, (int)(n - i));
	else
		(void)zone__keg_put(zone->z_keg, store + i, n - i);
	return (i);
}

/* Up to n items, for which there are units. */
static enum zone_result
zone_import(struct zone_request *rq, void **store, unsigned n, unsigned *ret_n)
{
	struct uma_zone *zone = rq->zr_zone;
	enum zone_result r = ZONE_GOT;
	int got;

	*ret_n = 0;
	if (zone->z_keg != NULL) {
		r = zone__keg_get(zone->z_keg, rq, store, n, ret_n);
	} else {
		got = zone->z_import(zone->z_arg, store, (int)n, rq->zr_flags);
		if (got > (int)n) {
			units_give(zone, n);
			ka_misuse(KA_WHY_BAD_ARG, NULL,
			    "uma: %s: import gave %d pointers of %u",
			    zone->z_name, got, n);
		}
		*ret_n = got < 0 ? 0 : (unsigned)got;
	}
	if (r != ZONE_GOT || *ret_n == 0)
		return (r == ZONE_GOT ? ZONE_REFUSED : r);
	*ret_n = zone_init_items(zone, store, *ret_n, rq->zr_flags);
	return (*ret_n == 0 ? ZONE_REFUSED : ZONE_GOT);
}

/* Items that are not needed now: into the depot, else back. */
static void
zone_stash(struct uma_zone *zone, void **store, unsigned n)
{
	unsigned i = 0;

	if (n == 0)
		return;
	mag__lock(&zone->z_cache);
	/* Who closes a cache drains the depot after it, under this lock. */
	if (!mag__is_closed(&zone->z_cache))
		while (i < n && mag__depot_put(&zone->z_cache, store[i]))
			i++;
	mag__unlock(&zone->z_cache);
	zone_release(zone, store + i, n - i);
}

/* How many items at one time, of a zone that caches. */
static unsigned
zone_batch(struct uma_zone *zone)
{
	unsigned n = ka_load(&zone->z_bucket, RELAXED);

	if (n == 0 || mag__is_closed(&zone->z_cache))
		return (1);
	return (n);
}

/* One attempt past the caches. */
static enum zone_result
zone_try(struct zone_request *rq)
{
	struct uma_zone *zone = rq->zr_zone;
	void *store[ZONE_BATCH];
	enum zone_result r;
	unsigned n, got;

	if (rq->zr_prealloc != 0)
		return (zone__keg_prefill(zone->z_keg, rq));
	n = units_take(zone, zone_batch(zone));
	if (n == 0) {
		rq->zr_met_max = true;
		return (ZONE_AT_MAX);
	}
	r = zone_import(rq, store, n, &got);
	units_give(zone, n - got);
	if (r != ZONE_GOT)
		return (r);
	rq->zr_item = store[0];
	zone_stash(zone, store + 1, got - 1);
	return (ZONE_GOT);
}

/* ---- Draining ------------------------------------------------------------ */

/* Of a CPU, or with NULL of the depot, up to so many items. */
static void
zone_drain_part(struct uma_zone *zone, struct ka_cpu *cpu, uint64_t max)
{
	void *store[ZONE_BATCH];
	unsigned n, want;

	while (max > 0) {
		want = max < ZONE_BATCH ? (unsigned)max : ZONE_BATCH;
		n = mag__take(&zone->z_cache, cpu, store, want);
		zone_release(zone, store, n);
		if (n < want)
			break;
		max -= n;
	}
}

/*
 * All that is cached. While it is closed nothing gets in, but a get may move
 * what is in it from where this has not been to where it has: so that in the
 * end one looks everywhere at one instant.
 */
void
zone__drain(struct uma_zone *zone)
{
	void *item;
	unsigned i;

	if ((zone->z_flags & ZF_CACHED) == 0)
		return;
	zone_drain_part(zone, NULL, UINT64_MAX);
	for (i = 0; i <= cpu_count; i++)
		zone_drain_part(zone, cpu_at(i), UINT64_MAX);
	while (mag__is_closed(&zone->z_cache)) {
		mag__lock(&zone->z_cache);
		item = mag__take_any(&zone->z_cache);
		mag__unlock(&zone->z_cache);
		if (item == NULL)
			break;
		zone_release(zone, &item, 1);
	}
}

/*
 * TRIM: what is cached beyond the number of allocations since the last one
 * goes, as far as the depot has it.
 */
static void
zone_trim(struct uma_zone *zone)
{
	struct mag_sum sum;
	uint64_t recent;

	mag__sum(&zone->z_cache, &sum);
	ka_mutex_lock(&zone->z_lock);
	recent = sum.gets - zone->z_trim_gets;
	zone->z_trim_gets = sum.gets;
	ka_mutex_unlock(&zone->z_lock);
	if (sum.cached > recent)
		zone_drain_part(zone, NULL, sum.cached - recent);
}

void
zone__reclaim(struct uma_zone *zone, int req)
{
	if ((zone->z_flags & ZF_CACHED) == 0)
		;
	else if (req == UMA_RECLAIM_TRIM)
		zone_trim(zone);
	else if (req == UMA_RECLAIM_DRAIN)
		zone_drain_part(zone, NULL, UINT64_MAX);
	else
		zone__drain(zone);
	if (zone->z_keg != NULL)
		zone__keg_reclaim(zone->z_keg,
		    req == UMA_RECLAIM_DRAIN_CPU ? ZONE_KEEP_RESERVE :
						   ZONE_KEEP_UNUSED);
}

void
zone__each(void (*fn)(struct uma_zone *, void *arg), void *arg)
{
	struct uma_zone *zone;
	unsigned id;

	for (id = 1; id <= ka_load(&zone_high, RELAXED); id++) {
		ka_mutex_lock(&zone_lock);
		zone = zone__at(id);
		if (zone != NULL)
			zone->z_refs++;
		ka_mutex_unlock(&zone_lock);
		if (zone == NULL)
			continue;
		fn(zone, arg);
		ka_mutex_lock(&zone_lock);
		if (--zone->z_refs == 0 && zone->z_state == ZONE_ENDING)
			ka_chan_wake_all(&zone_chan);
		ka_mutex_unlock(&zone_lock);
	}
}

static void
zone_drain_one(struct uma_zone *zone, void *arg)
{
	(void)arg;
	zone__drain(zone);
}

static void
zone_shrink_one(struct uma_zone *zone, void *not_of)
{
	if (zone->z_keg != NULL && zone->z_keg != not_of)
		zone__keg_reclaim(zone->z_keg, ZONE_KEEP_RESERVE);
}

/* Also items of zones that give no slab back: who waits may want an item. The
 * slabs of one keg may have to stay. */
static void
zone_reclaim_but(struct zone_keg *not_of)
{
	if (ka_load(&zone_high, RELAXED) == 0)
		return;
	zone__each(zone_drain_one, NULL);
	zone__each(zone_shrink_one, not_of);
}

void
zone__reclaim_all(void)
{
	zone_reclaim_but(NULL);
}

/* ---- Waiting --------------------------------------------------------------- */

static void
zone_slept(struct zone_request *rq)
{
	if (!rq->zr_slept)
		(void)ka_add(&rq->zr_zone->z_sleeps, 1);
	rq->zr_slept = true;
}

/*
 * At the maximum. From here on every free passes the caches by and moves the
 * event count; what was cached before is drained, at every turn, since a cache
 * may have been refilled while it was still open.
 */
static enum zone_result
zone_wait_units(struct zone_request *rq)
{
	struct uma_zone *zone = rq->zr_zone;
	bool cached = (zone->z_flags & ZF_CACHED) != 0;
	enum zone_result r;
	uint64_t event;

	if (cached)
		mag__close(&zone->z_cache);
	ka_mutex_lock(&zone->z_lock);
	zone->z_sleepers++;
	ka_mutex_unlock(&zone->z_lock);
	for (;;) {
		ka_mutex_lock(&zone->z_lock);
		event = zone->z_event;
		ka_mutex_unlock(&zone->z_lock);
		zone__drain(zone);
		r = zone_try(rq);
		if (r != ZONE_AT_MAX)
			break;
		zone_slept(rq);
		ka_mutex_lock(&zone->z_lock);
		while (zone->z_event == event)
			ka_chan_sleep(&zone->z_chan, &zone->z_lock);
		ka_mutex_unlock(&zone->z_lock);
	}
	ka_mutex_lock(&zone->z_lock);
	zone->z_sleepers--;
	ka_mutex_unlock(&zone->z_lock);
	if (cached)
		mag__reopen(&zone->z_cache);
	return (r);
}

/*
 * Pages are short, as in km_pages_wait(). Slabs of the zone itself stay when
 * it is preallocating: they are what it makes.
 */
static enum zone_result
zone_wait_pages(struct zone_request *rq)
{
	struct zone_keg *keg = rq->zr_zone->z_keg;
	size_t align = keg->k_align > KA_PAGE_SIZE ? keg->k_align : 0;
	enum zone_result r;
	uint64_t event;

	cpu__shortage_begin();
	for (;;) {
		event = vm__event();
		(void)kmalloc_trim();
		zone_reclaim_but(rq->zr_prealloc != 0 ? keg : NULL);
		r = zone_try(rq);
		if (r != ZONE_NO_PAGES)
			break;
		zone_slept(rq);
		vm__wait(event, keg->k_ppera, align, zone__depth(rq->zr_flags),
		    rq->zr_verdict);
	}
	cpu__shortage_end();
	return (r);
}

static void
zone_close_of(struct uma_zone *zone, void *keg)
{
	if (zone->z_keg == keg && (zone->z_flags & ZF_CACHED) != 0)
		mag__close_slots(&zone->z_cache);
}

static void
zone_drain_of(struct uma_zone *zone, void *keg)
{
	if (zone->z_keg == keg)
		zone__drain(zone);
}

/*
 * The keg has all the slabs that its zones' maxima allow, and no free item: a
 * slab is being made or ended, or a maximum was lowered below what its zone
 * has, so that the others have less than theirs. From here on frees of all its
 * zones pass the caches by and move the keg's event count; as zone_wait_units()
 * otherwise.
 */
static enum zone_result
zone_wait_room(struct zone_request *rq)
{
	struct zone_keg *keg = rq->zr_zone->z_keg;
	enum zone_result r;
	uint64_t event;

	(void)ka_add(&keg->k_closed, 1);
	zone__each(zone_close_of, keg);
	for (;;) {
		event = zone__keg_event(keg);
		zone__each(zone_drain_of, keg);
		r = zone_try(rq);
		if (r != ZONE_NO_ROOM)
			break;
		zone_slept(rq);
		zone__keg_wait(keg, event);
	}
	(void)ka_add(&keg->k_closed, (uint32_t)-1);
	return (r);
}

static enum zone_result
zone_wait(struct zone_request *rq, enum zone_result r)
{
	switch (r) {
	case ZONE_AT_MAX:
		return (zone_wait_units(rq));
	case ZONE_NO_PAGES:
		return (zone_wait_pages(rq));
	default:
		return (zone_wait_room(rq));
	}
}

/* The zone's warning and maxaction, at most once a call. */
static void
zone_tell_max(struct uma_zone *zone)
{
	uint64_t now = ka_os_seconds() + 1;
	uma_maxaction *action;
	const char *warning = NULL;

	ka_mutex_lock(&zone->z_lock);
	if (zone->z_warning != NULL &&
	    (zone->z_warned == 0 || now - zone->z_warned >= 300)) {
		warning = zone->z_warning;
		zone->z_warned = now;
	}
	action = zone->z_maxaction;
	ka_mutex_unlock(&zone->z_lock);
	if (warning != NULL) {
		ka_os_write_error(zone->z_name);
		ka_os_write_error(": ");
		ka_os_write_error(warning);
		ka_os_write_error("\n");
	}
	if (action != NULL)
		action(zone);
}

/* Gives back what kmalloc keeps on the caller's CPU: with nothing locked, since
 * it may find a chunk that was freed twice, and panic. */
static bool
zone_reclaim_own(void)
{
	struct km_todo todo = { 0 };
	size_t n = km__reclaim(ka_cpu_self(), &todo);

	km__todo(&todo);
	return (n != 0);
}

/* An item past the caches, as the flags allow to wait. Who may not wait for
 * pages gives back what its own CPU keeps, and tries once more (VM-7). */
static void *
zone_get(struct uma_zone *zone, int flags)
{
	struct zone_request rq = { .zr_zone = zone, .zr_flags = flags };
	enum zone_result r = zone_try(&rq);
	bool told = false;

	if (r == ZONE_NO_PAGES && (flags & M_WAITOK) == 0 && zone_reclaim_own())
		r = zone_try(&rq);
	for (;;) {
		if (rq.zr_met_max && !told) {
			told = true;
			zone_tell_max(zone);
		}
		if (r == ZONE_GOT)
			return (rq.zr_item);
		if (r == ZONE_REFUSED || r == ZONE_END ||
		    (flags & M_WAITOK) == 0)
			return (NULL);
		r = zone_wait(&rq, r);
	}
}

void
zone__prealloc(struct uma_zone *zone, uint64_t items)
{
	struct zone_request rq = {
		.zr_zone = zone, .zr_flags = M_WAITOK, .zr_prealloc = items
	};
	struct zone_keg *keg = zone->z_keg;
	enum zone_result r;

	if (items == 0)
		return;
	ka_mutex_lock(&keg->k_lock);
	keg->k_asked += (items + keg->k_ipers - 1) / keg->k_ipers;
	/* What it has so far stays: two that wait for pages would otherwise
	 * take each other's for ever. */
	keg->k_filling += items;
	ka_mutex_unlock(&keg->k_lock);
	zone__rebound(keg);
	r = zone_try(&rq);
	while (r == ZONE_NO_PAGES || r == ZONE_NO_ROOM)
		r = zone_wait(&rq, r);
	ka_mutex_lock(&keg->k_lock);
	keg->k_filling -= items;
	ka_mutex_unlock(&keg->k_lock);
	zone__kick();
}

/* ---- Allocation --------------------------------------------------------------- */

static void
zone_check_flags(const struct uma_zone *zone, int flags)
{
	int family = flags & ZONE_FAMILY;

	if ((flags & ~ZONE_VALID_FLAGS) != 0 || family == 0 ||
	    family == ZONE_FAMILY)
		ka_misuse(KA_WHY_BAD_FLAGS, NULL,
		    "uma_zalloc: zone %s: flags %#x, expected one of M_WAITOK "
		    "and M_NOWAIT",
		    zone->z_name, (unsigned)flags);
	if ((flags & M_ZERO) != 0 && (zone->z_flags & ZF_IMPORT) != 0)
		ka_misuse(KA_WHY_BAD_FLAGS, NULL,
		    "uma_zalloc: zone %s: M_ZERO, but its items are not memory",
		    zone->z_name);
}

/* An item that nobody holds becomes the caller's. */
static void *
zone_own(struct uma_zone *zone, void *item)
{
	if (zone->z_keg != NULL &&
	    !zone__claim(item, ZONE_WORD_FREE, zone->z_id))
		zone__twice(zone, item);
	return (item);
}

static void *
zone_get_any(struct uma_zone *zone, int flags)
{
	void *item;

	if ((zone->z_flags & ZF_CACHED) != 0 &&
	    ka_load(&zone->z_bucket, RELAXED) != 0) {
		if (zone->z_arena) {
			if (zone_pop(zone, &item))
				return (item);
		}
		item = mag__get(&zone->z_cache);
		if (item != NULL)
			return (zone_own(zone, item));
	}
	item = zone_get(zone, flags);
	if (item == NULL)
		return (NULL);
	(void)ka_add(&zone->z_gets, 1);
	return (zone_own(zone, item));
}

/* What ctor refused goes back by the caches, so that no count of it stays. */
static void *
zone_ctor_refused(struct uma_zone *zone, void *item)
{
	(void)ka_add(&zone->z_ctor_failures, 1);
	if (zone->z_keg != NULL &&
	    !zone__claim(item, zone->z_id, ZONE_WORD_FREE))
		zone_misused(zone, item, "uma_zalloc: ctor");
	(void)ka_add(&zone->z_puts, 1);
	zone_release(zone, &item, 1);
	return (NULL);
}

void *
zone__alloc(struct uma_zone *zone, void *udata, int flags)
{
	void *item;

	zone__check(zone, "uma_zalloc");
	zone_check_flags(zone, flags);
	item = zone_get_any(zone, flags);
	if (item == NULL) {
		(void)ka_add(&zone->z_failures, 1);
		return (NULL);
	}
	if ((flags & M_ZERO) != 0)
		memset(item, 0, zone->z_size);
	if (zone->z_ctor != NULL &&
	    zone->z_ctor(item, zone->z_size, udata, flags) != 0)
		return (zone_ctor_refused(zone, item));
	return (item);
}

/*
 * What any CPU caches, else past the caches. They are closed meanwhile: when
 * there is nothing in them, what comes back goes past them, too. One item is
 * taken, and not all that there are: of two who look at one time the second
 * would miss what the first has in hand.
 */
static void *
zone_get_last(struct uma_zone *zone, int flags)
{
	void *item;

	mag__close(&zone->z_cache);
	mag__lock(&zone->z_cache);
	item = mag__take_any(&zone->z_cache);
	mag__unlock(&zone->z_cache);
	if (item == NULL)
		item = zone_get(zone, flags);
	mag__reopen(&zone->z_cache);
	if (item == NULL)
		return (NULL);
	(void)ka_add(&zone->z_gets, 1);
	return (zone_own(zone, item));
}

/* The same without constructor; nothing is refused that somebody caches. */
void *
zone__alloc_last(struct uma_zone *zone, int flags)
{
	void *item = zone_get_any(zone, flags);

	if (item == NULL && (zone->z_flags & ZF_CACHED) != 0)
		item = zone_get_last(zone, flags);
	if (item == NULL)
		(void)ka_add(&zone->z_failures, 1);
	return (item);
}

/* ---- Freeing --------------------------------------------------------------- */

static bool
zone_holds(const struct uma_zone *zone, const void *item)
{
	const uint16_t *word = zone_word(item);
	struct zone_slab *slab;
	bool holds = false, start;
	size_t index;

	if (word != NULL && ka_load(word, RELAXED) == zone->z_id)
		return (true);
	slab = zone__find(item);
	if (slab == NULL)
		return (false);
	if ((slab->sl_flags & ZONE_SLAB_OUTSIDE) != 0 &&
	    zone__index(slab, item, &index, &start) && start)
		holds =
		    ka_load(zone_item_word(slab, index), RELAXED) == zone->z_id;
	zone__unfind(slab);
	return (holds);
}

/* Puts into the caches; when they are full, a bucketful of the depot makes
 * room, unless that is one item, as this is. */
static bool
zone_cache_put(struct uma_zone *zone, void *item)
{
	unsigned bucket = ka_load(&zone->z_bucket, RELAXED);
	enum mag_outcome outcome;

	if (bucket == 0)
		return (false);
	outcome = mag__put(&zone->z_cache, item);
	if (outcome == MAG_FULL && bucket > 1) {
		zone_drain_part(zone, NULL, bucket);
		outcome = mag__put(&zone->z_cache, item);
	}
	return (outcome == MAG_DONE);
}

void
zone__free(struct uma_zone *zone, void *item, void *udata, const char *caller)
{
	bool cached = (zone->z_flags & ZF_CACHED) != 0;

	if (zone->z_keg != NULL && !zone_holds(zone, item))
		zone_misused(zone, item, caller);
	if (zone->z_dtor != NULL)
		zone->z_dtor(item, zone->z_size, udata);
	if (cached && zone->z_arena && zone_push(zone, item, zone->z_id))
		return;
	if (zone->z_keg != NULL &&
	    !zone__claim(item, zone->z_id, ZONE_WORD_FREE))
		zone_misused(zone, item, caller);
	if (cached && zone_cache_put(zone, item))
		return;
	(void)ka_add(&zone->z_puts, 1);
	zone_release(zone, &item, 1);
}

/* ---- Limits ------------------------------------------------------------------ */

static void
zone_add_need(struct uma_zone *zone, const struct zone_keg *keg, uint64_t *need)
{
	uint64_t max;

	if (zone->z_keg != keg)
		return;
	ka_mutex_lock(&zone->z_lock);
	max = zone->z_max;
	ka_mutex_unlock(&zone->z_lock);
	if (max == 0 || *need == UINT64_MAX)
		*need = UINT64_MAX;
	else
		*need += (max + keg->k_ipers - 1) / keg->k_ipers;
}

/* How many slabs the keg may have follows from its zones' maxima. */
void
zone__rebound(struct zone_keg *keg)
{
	struct uma_zone *zone;
	uint64_t need = 0;
	unsigned id;

	ka_mutex_lock(&zone_lock);
	for (id = 1; id <= zone_high; id++) {
		zone = zone__at(id);
		if (zone != NULL)
			zone_add_need(zone, keg, &need);
	}
	zone__keg_bound(keg, need);
	ka_mutex_unlock(&zone_lock);
}

/* The capacity of magazines that the limits allow now. */
static uint32_t
bucket_now(struct uma_zone *zone)
{
	uint32_t n = zone->z_cache.c_made_for;
	uint64_t max, maxcache, cpus = 2 * (uint64_t)cpu_count;

	ka_mutex_lock(&zone->z_lock);
	max = zone->z_max;
	maxcache = zone->z_maxcache;
	ka_mutex_unlock(&zone->z_lock);
	if ((max != 0 && max < cpus) ||
	    (zone->z_keg != NULL &&
		ka_load(&zone->z_keg->k_reserve, RELAXED) != 0))
		return (0);
	if (max != 0 && max / cpus / 2 < n)
		n = max / cpus < 2 ? 1 : (uint32_t)(max / cpus / 2);
	if (maxcache / zone->z_cache.c_count < n)
		n = (uint32_t)(maxcache / zone->z_cache.c_count);
	return (n);
}

/* True: it is smaller, and what is cached has to go. */
static bool
set_bucket(struct uma_zone *zone)
{
	uint32_t was, now;

	if ((zone->z_flags & ZF_CACHED) == 0)
		return (false);
	ka_mutex_lock(&zone_lock);
	was = zone->z_bucket;
	now = bucket_now(zone);
	if (now != was) {
		mag__set_capacity(&zone->z_cache, now);
		ka_store(&zone->z_bucket, now, RELAXED);
	}
	ka_mutex_unlock(&zone_lock);
	return (now < was);
}

/* The caches are closed while they are drained, so that nothing stays that a get
 * moves which looked before: without buckets nobody would look for it. */
void
zone__set_bucket(struct uma_zone *zone)
{
	if (!set_bucket(zone))
		return;
	mag__close(&zone->z_cache);
	zone__drain(zone);
	mag__reopen(&zone->z_cache);
}

/*
 * The caches are closed meanwhile, so that nothing is cached by the old rule
 * after it; they stay closed while the zone is over.
 */
void
zone__set_max(struct uma_zone *zone, uint64_t max)
{
	bool cached = (zone->z_flags & ZF_CACHED) != 0, over, reopen = false;

	if (cached)
		mag__close(&zone->z_cache);
	ka_mutex_lock(&zone->z_lock);
	zone->z_max = max;
	ka_commit(
	    KA_COMMIT_ZONE, KA_COMMIT_LIMIT, zone, max == 0 ? UINT64_MAX : max);
	units_event(zone);
	over = max != 0 && zone->z_count > max;
	if (zone->z_over && !over) {
		zone->z_over = false;
		reopen = true;
	}
	ka_mutex_unlock(&zone->z_lock);
	if (zone->z_keg != NULL)
		zone__rebound(zone->z_keg);
	if (cached && reopen)
		mag__reopen(&zone->z_cache);
	if (set_bucket(zone))
		zone__drain(zone);
	if (over)
		zone__drain(zone);
	reopen = true;
	ka_mutex_lock(&zone->z_lock);
	if (zone->z_max != 0 && zone->z_count > zone->z_max && !zone->z_over) {
		zone->z_over = true;
		reopen = false;
	}
	ka_mutex_unlock(&zone->z_lock);
	if (cached && reopen)
		mag__reopen(&zone->z_cache);
}

/* Which fast paths a zone that caches has: only items of the arena have owner
 * words there, and callbacks are the slow entries' business. */
static void
zone_set_fast(struct uma_zone *zone, bool arena)
{
	zone->z_cache.c_slow = !arena;
	zone->z_arena = arena;
	zone->z_open = arena && zone->z_ctor == NULL ? ZONE_OPEN : ZONE_CLOSED;
	zone->z_fast_id =
	    arena && zone->z_dtor == NULL ? zone->z_id : ZONE_ID_NONE;
}

/* Where slabs come from; of a zone that has none yet. Items that are not the
 * arena's are never had fast. Without freef slabs stay. */
void
zone__set_source(struct uma_zone *zone, uma_alloc *allocf, uma_free *freef)
{
	struct zone_keg *keg = zone->z_keg;
	bool arena = allocf == NULL;

	ka_mutex_lock(&keg->k_lock); /* a reclaim of all may be here */
	keg->k_allocf = allocf;
	keg->k_freef = freef;
	keg->k_nofree = (zone->z_uma_flags & UMA_ZONE_NOFREE) != 0 ||
	    (allocf != NULL && freef == NULL);
	ka_mutex_unlock(&keg->k_lock);
	if ((zone->z_flags & ZF_CACHED) != 0)
		zone_set_fast(zone, arena);
}

/* ---- Life ------------------------------------------------------------------------ */

uint64_t
zone__held(struct uma_zone *zone)
{
	struct mag_sum sum = { 0 };
	uint64_t gets, puts = ka_load(&zone->z_puts, RELAXED);

	if ((zone->z_flags & ZF_CACHED) != 0)
		mag__sum(&zone->z_cache, &sum);
	puts += sum.puts;
	gets = sum.gets + ka_load(&zone->z_gets, RELAXED);
	return (gets > puts ? gets - puts : 0);
}

/* For reports: while others are at it, what is counted one after the other may
 * not fit; but nobody ever holds more than there are units. */
uint64_t
zone__used(struct uma_zone *zone)
{
	uint64_t held = zone__held(zone), units;

	ka_mutex_lock(&zone->z_lock);
	units = zone->z_count;
	ka_mutex_unlock(&zone->z_lock);
	return (held < units ? held : units);
}

/* A free record, whose id was not used for as long as possible. */
static struct uma_zone *
zone_pick(void)
{
	struct uma_zone *zone = NULL;
	unsigned i, id;

	ka_mutex_lock(&zone_lock);
	for (i = 0; i < ZONES_MAX; i++) {
		id = (zone_last + i) % ZONES_MAX + 1;
		if (zone_table[id - 1].z_state == ZONE_FREE)
			break;
	}
	if (i < ZONES_MAX) {
		zone = &zone_table[id - 1];
		memset(zone, 0, offsetof(struct uma_zone, z_state));
		zone->z_id = (uint16_t)id;
		zone->z_open = ZONE_CLOSED;
		zone->z_fast_id = ZONE_ID_NONE;
		ka_store(&zone->z_state, ZONE_MAKING, RELAXED);
		zone_last = id;
		if (zone_high < id)
			ka_store(&zone_high, id, RELAXED);
	}
	ka_mutex_unlock(&zone_lock);
	return (zone);
}

static void
zone_put_back(struct uma_zone *zone)
{
	ka_mutex_fini(&zone->z_lock);
	ka_chan_fini(&zone->z_chan);
	if (zone->z_keg == &zone->z_own_keg)
		zone__keg_fini(zone->z_keg);
	zone->z_open = ZONE_CLOSED;
	zone->z_fast_id = ZONE_ID_NONE;
	zone->z_storage = NULL;
	zone->z_old.z_private = NULL;
	ka_mutex_lock(&zone_lock);
	ka_store(&zone->z_state, ZONE_FREE, RELEASE);
	while (zone_high > 0 && zone_table[zone_high - 1].z_state == ZONE_FREE)
		ka_store(&zone_high, zone_high - 1, RELAXED);
	ka_mutex_unlock(&zone_lock);
}

static void
zone_set_keg(struct uma_zone *zone, const struct zone_spec *spec)
{
	struct zone_keg *keg;

	if (spec->import != NULL)
		return;
	if (spec->primary != NULL) {
		zone->z_keg = spec->primary->z_keg;
		zone->z_size = zone->z_keg->k_size;
		zone->z_init = spec->init;
		zone->z_fini = spec->fini;
		return;
	}
	keg = &zone->z_own_keg;
	zone->z_keg = keg;
	zone__keg_init(keg, zone);
	zone__keg_layout(keg, spec->size, spec->align);
	keg->k_init = spec->init;
	keg->k_fini = spec->fini;
	keg->k_nofree = (spec->uma_flags & UMA_ZONE_NOFREE) != 0;
	keg->k_grows = (spec->flags & ZF_STATIC) == 0;
	keg->k_zones = 1;
}

static bool
zone_set_cache(struct uma_zone *zone)
{
	bool arena = zone->z_keg != NULL && zone->z_keg->k_allocf == NULL;

	if ((zone->z_flags & ZF_STATIC) != 0 ||
	    (zone->z_uma_flags & UMA_ZONE_NOBUCKET) != 0)
		return (true);
	if (mag__init(&zone->z_cache, mag__capacity_of(zone->z_size),
		cpu_count + 1, MAG_SHORTAGE) != 0)
		return (false);
	zone->z_bucket = zone->z_cache.c_made_for;
	if (zone->z_keg != NULL)
		zone->z_cache.c_closed_too = &zone->z_keg->k_closed;
	zone->z_flags |= ZF_CACHED;
	zone_set_fast(zone, arena);
	return (true);
}

static bool
zone_set_arena(struct uma_zone *zone, const struct zone_spec *spec)
{
	struct zone_slab *slab;
	bool overlap;

	if (spec->arena == NULL)
		return (true);
	slab = zone__slab_static(
	    zone->z_keg, spec->arena, spec->items, spec->stride, &overlap);
	if (overlap) {
		zone_put_back(zone);
		ka_misuse(KA_WHY_BAD_ARG, spec->arena,
		    "uma: %s: its memory is another zone's", spec->name);
	}
	if (slab == NULL)
		return (false);
	ka_mutex_lock(&zone->z_keg->k_lock);
	zone__keg_publish(zone->z_keg, slab);
	ka_mutex_unlock(&zone->z_keg->k_lock);
	return (true);
}

struct uma_zone *
zone__create(const struct zone_spec *spec)
{
	struct uma_zone *zone;

	if ((spec->flags & ZF_STATIC) == 0 && !kalloc_is_up())
		return (NULL);
	zone = zone_pick();
	if (zone == NULL)
		return (NULL);
	ka_mutex_init(&zone->z_lock, "zone");
	ka_chan_init(&zone->z_chan, "zone");
	zone->z_name = spec->name;
	zone->z_size = spec->size;
	zone->z_ctor = spec->ctor;
	zone->z_dtor = spec->dtor;
	zone->z_uma_flags = spec->uma_flags;
	zone->z_flags = spec->flags;
	zone->z_maxcache = UINT64_MAX;
	if (spec->import != NULL) {
		zone->z_init = spec->init;
		zone->z_fini = spec->fini;
		zone->z_import = spec->import;
		zone->z_release = spec->release;
		zone->z_arg = spec->arg;
	}
	zone_set_keg(zone, spec);
	if (!zone_set_arena(zone, spec) || !zone_set_cache(zone)) {
		zone_put_back(zone);
		return (NULL);
	}
	ka_mutex_lock(&zone_lock);
	if (spec->primary != NULL)
		zone->z_keg->k_zones++;
	units_tell_all(zone);
	ka_store(&zone->z_state, ZONE_LIVE, RELEASE);
	ka_mutex_unlock(&zone_lock);
	if (zone->z_keg != NULL)
		zone__rebound(zone->z_keg);
	if (spec->primary != NULL)
		zone__set_bucket(zone); /* the keg may have a reserve */
	return (zone);
}

/* Of a zone that nobody uses any more: all but its record. */
static void
zone_end(struct uma_zone *zone)
{
	struct zone_keg *keg = zone->z_keg;

	zone__drain(zone);
	if (keg == &zone->z_own_keg)
		zone__keg_reclaim(keg, ZONE_KEEP_NOTHING);
	if ((zone->z_flags & ZF_CACHED) != 0)
		mag__fini(&zone->z_cache);
	if (keg != NULL && keg != &zone->z_own_keg) {
		zone__rebound(keg);
		ka_mutex_lock(&zone_lock);
		keg->k_zones--; /* and now the primary may end */
		ka_mutex_unlock(&zone_lock);
	}
	zone_put_back(zone);
}

/* May wait for others that walk over all zones. */
void
zone__destroy(struct uma_zone *zone)
{
	uint64_t held = 0;
	uint32_t second = 0;
	bool live;

	ka_mutex_lock(&zone_lock);
	live = zone->z_state == ZONE_LIVE; /* another may have been faster */
	if (live)
		held = zone__held(zone);
	if (live && zone->z_keg == &zone->z_own_keg)
		second = zone->z_keg->k_zones - 1;
	if (live && held == 0 && second == 0) {
		ka_store(&zone->z_state, ZONE_ENDING, RELAXED);
		while (zone->z_refs != 0)
			ka_chan_sleep(&zone_chan, &zone_lock);
	}
	ka_mutex_unlock(&zone_lock);
	/* Its record may be a later zone's by now. */
	if (!live)
		zone_bad_handle(zone, "uma_zdestroy");
	if (held != 0 || second != 0)
		ka_misuse(KA_WHY_BUSY, zone,
		    "uma_zdestroy: zone %s: %llu items are held, %u secondary "
		    "zones live",
		    zone->z_name, (unsigned long long)held, second);
	zone_end(zone);
}

int
zone__boot(size_t pages)
{
	ka_mutex_init(&zone_lock, "zones");
	ka_chan_init(&zone_chan, "zones");
	return (zone__slab_boot(pages));
}

/* What a static zone has after a halt: its static items. */
static void
zone_keep_static(struct uma_zone *zone, bool force)
{
	struct zone_keg *keg = zone->z_keg;
	uint64_t used;

	/* Of a secondary zone it is the primary's business. */
	if (keg == &zone->z_own_keg && force)
		zone__keg_drop(keg);
	else if (keg == &zone->z_own_keg)
		zone__keg_reclaim(keg, ZONE_KEEP_RESERVE);
	used = keg->k_items - keg->k_free;
	if (keg->k_zones == 1) {
		zone->z_count = used;
		zone->z_puts = zone->z_gets - used;
	}
	if ((zone->z_flags & ZF_OLD) != 0) {
		keg->k_grows = 0;
		zone->z_max = 0;
		zone->z_old_flags = 0;
	}
	zone->z_sleepers = 0;
	zone->z_over = false;
	zone->z_refs = 0;
	ka_mutex_init(&zone->z_lock, "zone");
	ka_chan_init(&zone->z_chan, "zone");
	units_tell_all(zone);
}

static void
zone_halt_one(struct uma_zone *zone, bool force)
{
	if (zone->z_state == ZONE_LIVE && (zone->z_flags & ZF_STATIC) != 0) {
		zone_keep_static(zone, force);
		return;
	}
	if (!force) {
		zone_end(zone);
		return;
	}
	if (zone->z_keg == &zone->z_own_keg)
		zone__keg_drop(zone->z_keg);
	/* A thread that is no more may have been in the middle of its end. */
	if ((zone->z_flags & ZF_CACHED) != 0 && zone->z_cache.c_slots != NULL)
		mag__fini(&zone->z_cache);
	zone_put_back(zone);
}

/* Secondary zones go before the kegs that they share. */
void
zone__halt(bool force)
{
	struct uma_zone *zone;
	unsigned id, pass, high = zone_high;
	bool second;

	ka_mutex_init(&zone_lock, "zones");
	for (pass = 0; pass < 2; pass++)
		for (id = 1; id <= high; id++) {
			zone = &zone_table[id - 1];
			second = zone->z_keg != &zone->z_own_keg;
			/* Of walkers that are no more. */
			if (force)
				zone->z_refs = 0;
			if (zone->z_state == ZONE_FREE || second != (pass == 0))
				continue;
			zone_halt_one(zone, force);
		}
	zone__slab_halt();
	zone_last = zone_high;
}

#ifdef KA_PORT_SIM
/* Static zones outlive a system; a laboratory has many systems, and its traces
 * must not see those before: also what was held of them is forgotten. */
void
zone__forget(void)
{
	struct uma_zone *zone;
	struct zone_slab *slab;
	unsigned id, i, high = zone_high;

	for (id = 1; id <= high; id++) {
		zone = &zone_table[id - 1];
		if (zone->z_state == ZONE_FREE)
			continue;
		for (i = 0; i < ZONE_SLAB_STATES; i++)
			while ((slab = zone->z_own_keg.k_list[i]) != NULL) {
				zone->z_own_keg.k_list[i] = slab->sl_next;
				slab->sl_keg->k_fini = NULL;
				zone__slab_end(slab);
			}
		zone_put_back(zone);
	}
	/* Who was stopped in zone_put_back() did not get to it. */
	zone_high = zone_last = 0;
}
#endif
