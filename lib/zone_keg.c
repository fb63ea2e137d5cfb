/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kegs of the zone allocator: slabs of one kind of items, and the lists that
 * they are on. The theory is in zone.c.
 *
 * k_lock protects the lists, the bits and the counts. Nothing that calls out
 * is done under it: a slab that is being initialised or finalised is on no
 * list and counted in k_moving, and whoever put it on a list, or ended it,
 * moves k_event for those who found no room meanwhile.
 *
 * Owner words of a slab on a list are not zero at its items' starts; they are
 * set after it was put on its list and cleared before it is taken off, so that
 * what a forced halt finds on lists is all that it has to clear.
 */
#include "zone_int.h"

static size_t
round_up(size_t n, size_t to)
{
	return ((n + to - 1) / to * to);
}

/*
 * Pages of a slab: as few as possible, but not an eighth of them may be waste
 * unless an item is larger than 8 pages; up to 16 pages.
 */
void
zone__keg_layout(struct zone_keg *keg, size_t size, size_t align)
{
	size_t pages, most = VM_SLAB_PAGES, bytes;

	keg->k_size = size;
	keg->k_align = align + 1 < ZONE_GRANULE ? ZONE_GRANULE : align + 1;
	keg->k_rsize = round_up(size, keg->k_align);
	pages = round_up(keg->k_rsize, KA_PAGE_SIZE) / KA_PAGE_SIZE;
	keg->k_ppera = (uint32_t)pages;
	if (pages > most / 2)
		most = pages;
	/* unreached: for every size there is such a number of pages. */
	for (; pages <= most; pages++) {
		bytes = pages * KA_PAGE_SIZE;
		if (bytes % keg->k_rsize * 8 > bytes)
			continue;
		keg->k_ppera = (uint32_t)pages;
		break;
	}
	keg->k_ipers =
	    (uint32_t)(keg->k_ppera * (size_t)KA_PAGE_SIZE / keg->k_rsize);
	KA_ASSERT(keg->k_ipers > 0 && keg->k_ipers <= ZONE_PAGE_ITEMS);
}

void
zone__keg_init(struct zone_keg *keg, struct uma_zone *zone)
{
	ka_mutex_init(&keg->k_lock, "keg");
	ka_chan_init(&keg->k_chan, "keg");
	keg->k_zone = zone;
	keg->k_bound = UINT64_MAX;
}

void
zone__keg_fini(struct zone_keg *keg)
{
	ka_mutex_fini(&keg->k_lock);
	ka_chan_fini(&keg->k_chan);
}

static void
keg_event(struct zone_keg *keg)
{
	keg->k_event++;
	if (keg->k_waiters != 0)
		ka_chan_wake_all(&keg->k_chan);
}

void
zone__kick(void)
{
	if (zone_arena.a_granules != 0 && ka_load(&cpu_shortage, SEQ_CST) != 0)
		vm__kick();
}

/* ---- Lists --------------------------------------------------------------- */

static void
slab_insert(struct zone_keg *keg, struct zone_slab *slab)
{
	struct zone_slab **head;

	slab->sl_state = slab->sl_nfree == 0 ? ZONE_SLAB_FULL :
	    slab->sl_nfree == slab->sl_items ? ZONE_SLAB_WHOLE :
					       ZONE_SLAB_PARTIAL;
	head = &keg->k_list[slab->sl_state];
	slab->sl_next = *head;
	slab->sl_prev = head;
	if (slab->sl_next != NULL)
		slab->sl_next->sl_prev = &slab->sl_next;
	*head = slab;
}

static void
slab_remove(struct zone_slab *slab)
{
	*slab->sl_prev = slab->sl_next;
	if (slab->sl_next != NULL)
		slab->sl_next->sl_prev = slab->sl_prev;
	slab->sl_next = NULL;
	slab->sl_prev = NULL;
	slab->sl_state = ZONE_SLAB_NONE;
}

/* Moves it to the list that it belongs on now. */
static void
slab_relist(struct zone_keg *keg, struct zone_slab *slab)
{
	if (slab->sl_nfree > 1 && slab->sl_nfree < slab->sl_items)
		return;
	slab_remove(slab);
	slab_insert(keg, slab);
}

static void
slab_set_words(struct zone_slab *slab, uint16_t value)
{
	size_t i;

	for (i = 0; i < slab->sl_items; i++)
		ka_store(zone_item_word(slab, i), value, RELAXED);
}

void
zone__keg_publish(struct zone_keg *keg, struct zone_slab *slab)
{
	slab_insert(keg, slab);
	slab_set_words(slab, ZONE_WORD_FREE);
	keg->k_items += slab->sl_items;
	keg->k_free += slab->sl_items;
	if ((slab->sl_flags & ZONE_SLAB_STATIC) == 0)
		keg->k_slabs++;
	keg_event(keg);
}

/* A wholly free slab leaves the keg; it is to be ended with nothing locked. */
static void
keg_detach(
    struct zone_keg *keg, struct zone_slab *slab, struct zone_slab **dead)
{
	KA_ASSERT(slab->sl_nfree == slab->sl_items);
	slab_set_words(slab, ZONE_WORD_NONE);
	slab_remove(slab);
	keg->k_items -= slab->sl_items;
	keg->k_free -= slab->sl_items;
	if (keg->k_pre > keg->k_free)
		keg->k_pre = keg->k_free;
	if ((slab->sl_flags & ZONE_SLAB_STATIC) == 0)
		keg->k_slabs--;
	keg->k_moving++;
	slab->sl_next = *dead;
	*dead = slab;
}

/* Are callbacks run where slabs come and go? */
static bool
keg_calls_out(const struct zone_keg *keg)
{
	return (keg->k_init != NULL || keg->k_fini != NULL ||
	    keg->k_allocf != NULL || keg->k_freef != NULL);
}

/* Unlocks, and ends the slabs that were detached: with nothing locked, unless
 * there is nothing to call. */
static void
keg_end_dead(struct zone_keg *keg, struct zone_slab *dead)
{
	bool calls_out = keg_calls_out(keg);
	struct zone_slab *slab;

	while ((slab = dead) != NULL) {
		dead = slab->sl_next;
		slab->sl_next = NULL;
		if (calls_out)
			ka_mutex_unlock(&keg->k_lock);
		zone__slab_end(slab);
		if (calls_out)
			ka_mutex_lock(&keg->k_lock);
		keg->k_moving--;
		keg_event(keg);
	}
	ka_mutex_unlock(&keg->k_lock);
}

/* ---- Items ----------------------------------------------------------------- */

static size_t
slab_take_bit(struct zone_slab *slab)
{
	size_t w = slab->sl_hint, bit;

	while (slab->sl_bits[w] == 0)
		w++;
	bit = (unsigned)__builtin_ctzll(slab->sl_bits[w]);
	slab->sl_bits[w] &= slab->sl_bits[w] - 1;
	slab->sl_hint = (uint32_t)w;
	slab->sl_nfree--;
	slab->sl_unused = 0;
	return (w * 64 + bit);
}

/* Takes free items, but leaves so many in the keg. */
static unsigned
keg_take(struct zone_keg *keg, void **store, unsigned want, uint64_t leave)
{
	struct zone_slab *slab;
	unsigned n = 0;

	while (n < want && keg->k_free > leave) {
		slab = keg->k_list[ZONE_SLAB_PARTIAL];
		if (slab == NULL)
			slab = keg->k_list[ZONE_SLAB_WHOLE];
		KA_ASSERT(slab != NULL && slab->sl_nfree > 0);
		while (n < want && keg->k_free > leave && slab->sl_nfree > 0) {
			store[n++] = zone_item(slab, slab_take_bit(slab));
			keg->k_free--;
		}
		slab_remove(slab);
		slab_insert(keg, slab);
		keg->k_used = 1;
	}
	return (n);
}

/*
 * One more slab: where callbacks are to run, it unlocks and locks again. Where
 * none are, nobody ever sees the keg with a slab that is not yet there.
 */
static enum zone_result
keg_grow(struct zone_keg *keg, struct zone_request *rq)
{
	bool calls_out = keg_calls_out(keg);
	struct zone_slab *slab = NULL;
	enum zone_result r;

	if (!keg->k_grows)
		return (ZONE_END);
	if (keg->k_slabs + keg->k_moving >= keg->k_bound) {
		ka_commit(
		    KA_COMMIT_ZONE, KA_COMMIT_ROOM, keg->k_zone, keg->k_slabs);
		return (ZONE_NO_ROOM);
	}
	keg->k_moving++;
	if (calls_out)
		ka_mutex_unlock(&keg->k_lock);
	r = zone__slab_make(keg, rq->zr_flags, &slab, &rq->zr_verdict);
	if (calls_out)
		ka_mutex_lock(&keg->k_lock);
	keg->k_moving--;
	if (r == ZONE_GOT) {
		slab->sl_unused = rq->zr_prealloc != 0;
		zone__keg_publish(keg, slab);
	} else {
		keg_event(keg);
	}
	return (r);
}

/*
 * While preallocated items last they go one at a time, so that no CPU's cache
 * keeps what was meant for another (ZN-14); so do those of the reserve.
 */
enum zone_result
zone__keg_get(struct zone_keg *keg, struct zone_request *rq, void **store,
    unsigned want, unsigned *ret_n)
{
	enum zone_result r = ZONE_GOT;
	bool grown = false;
	unsigned n;

	ka_mutex_lock(&keg->k_lock);
	for (;;) {
		n = keg_take(
		    keg, store, keg->k_pre != 0 ? 1 : want, keg->k_reserve);
		if (n != 0)
			break;
		r = keg_grow(keg, rq);
		if (r != ZONE_GOT)
			break;
		grown = true;
	}
	if (n != 0 && keg->k_pre != 0)
		keg->k_pre--;
	if (n == 0 && (rq->zr_flags & M_USE_RESERVE) != 0)
		n = keg_take(keg, store, 1, 0);
	ka_mutex_unlock(&keg->k_lock);
	if (grown)
		zone__kick();
	*ret_n = n;
	return (n != 0 ? ZONE_GOT : r);
}

/*
 * While another's slab is on its way that may not come, or that goes, there is
 * room when that is over. Otherwise a maximum was lowered: what it keeps from
 * being allocated needs no slab, and nobody knows when that ends.
 */
enum zone_result
zone__keg_prefill(struct zone_keg *keg, struct zone_request *rq)
{
	enum zone_result r = ZONE_GOT;
	bool grown = false;

	ka_mutex_lock(&keg->k_lock);
	while (keg->k_free < keg->k_reserve + rq->zr_prealloc) {
		r = keg_grow(keg, rq);
		if (r == ZONE_NO_ROOM && keg->k_moving == 0)
			r = ZONE_END;
		if (r != ZONE_GOT)
			break;
		grown = true;
	}
	if (r == ZONE_GOT && keg->k_pre < rq->zr_prealloc)
		keg->k_pre = rq->zr_prealloc;
	ka_mutex_unlock(&keg->k_lock);
	if (grown)
		zone__kick();
	return (r);
}

static bool
keg_may_end(const struct zone_keg *keg, const struct zone_slab *slab,
    enum zone_keep keep)
{
	if (keep == ZONE_KEEP_NOTHING)
		return (true);
	if (keg->k_nofree || (slab->sl_flags & ZONE_SLAB_STATIC) != 0 ||
	    (keep == ZONE_KEEP_UNUSED && slab->sl_unused))
		return (false);
	return (
	    keg->k_free - slab->sl_items >= keg->k_reserve + keg->k_filling);
}

/* False: the item is in the keg already, or was, with its slab. */
static bool
keg_put_item(struct zone_keg *keg, struct zone_slab *slab, const void *item,
    bool shortage, struct zone_slab **dead)
{
	size_t index;
	bool start;

	if (slab->sl_keg != keg || slab->sl_state == ZONE_SLAB_NONE)
		return (false);
	(void)zone__index(slab, item, &index, &start);
	KA_ASSERT(start);
	if ((slab->sl_bits[index / 64] >> index % 64 & 1) != 0)
		return (false);
	slab->sl_bits[index / 64] |= UINT64_C(1) << index % 64;
	if (slab->sl_hint > index / 64)
		slab->sl_hint = (uint32_t)(index / 64);
	slab->sl_nfree++;
	keg->k_free++;
	slab_relist(keg, slab);
	/* Its pages help those who wait. */
	if (shortage && slab->sl_state == ZONE_SLAB_WHOLE &&
	    keg_may_end(keg, slab, ZONE_KEEP_RESERVE))
		keg_detach(keg, slab, dead);
	return (true);
}

void *
zone__keg_put(struct zone_keg *keg, void **store, unsigned n)
{
	struct zone_slab *slab, *dead = NULL;
	bool shortage =
	    zone_arena.a_granules != 0 && ka_load(&cpu_shortage, RELAXED) != 0;
	void *bad = NULL;
	unsigned i;

	ka_mutex_lock(&keg->k_lock);
	for (i = 0; i < n; i++) {
		slab = zone__find(store[i]);
		if (slab == NULL) {
			bad = store[i];
			continue;
		}
		/* It cannot go while an item of it is not back. */
		zone__unfind(slab);
		if (!keg_put_item(keg, slab, store[i], shortage, &dead))
			bad = store[i];
	}
	keg_event(keg);
	keg_end_dead(keg, dead);
	zone__kick();
	return (bad);
}

uint64_t
zone__keg_event(struct zone_keg *keg)
{
	uint64_t event;

	ka_mutex_lock(&keg->k_lock);
	event = keg->k_event;
	ka_mutex_unlock(&keg->k_lock);
	return (event);
}

void
zone__keg_wait(struct zone_keg *keg, uint64_t event)
{
	ka_mutex_lock(&keg->k_lock);
	keg->k_waiters++;
	while (keg->k_event == event)
		ka_chan_sleep(&keg->k_chan, &keg->k_lock);
	keg->k_waiters--;
	ka_mutex_unlock(&keg->k_lock);
}

void
zone__keg_bound(struct zone_keg *keg, uint64_t slabs)
{
	uint64_t reserve;

	ka_mutex_lock(&keg->k_lock);
	reserve = (keg->k_reserve + keg->k_ipers - 1) / keg->k_ipers;
	keg->k_bound =
	    slabs == UINT64_MAX ? slabs : slabs + keg->k_asked + reserve;
	keg_event(keg);
	ka_mutex_unlock(&keg->k_lock);
}

void
zone__keg_reclaim(struct zone_keg *keg, enum zone_keep keep)
{
	struct zone_slab *slab, *next, *dead = NULL;

	ka_mutex_lock(&keg->k_lock);
	for (slab = keg->k_list[ZONE_SLAB_WHOLE]; slab != NULL; slab = next) {
		next = slab->sl_next;
		if (keg_may_end(keg, slab, keep))
			keg_detach(keg, slab, &dead);
	}
	if (keep == ZONE_KEEP_RESERVE && dead != NULL)
		keg->k_pre = 0;
	keg_end_dead(keg, dead);
}

/*
 * At a forced halt: locks may be held by threads that are no more. Of static
 * slabs the items in use stay so.
 */
void
zone__keg_drop(struct zone_keg *keg)
{
	struct zone_slab *slab, *next, *keep = NULL;
	unsigned i;

	for (i = 0; i < ZONE_SLAB_STATES; i++) {
		for (slab = keg->k_list[i]; slab != NULL; slab = next) {
			next = slab->sl_next;
			if ((slab->sl_flags & ZONE_SLAB_STATIC) != 0) {
				slab->sl_next = keep;
				keep = slab;
				continue;
			}
			slab_set_words(slab, ZONE_WORD_NONE);
		}
		keg->k_list[i] = NULL;
	}
	keg->k_items = 0;
	keg->k_free = 0;
	for (; (slab = keep) != NULL;) {
		keep = slab->sl_next;
		slab_insert(keg, slab);
		keg->k_items += slab->sl_items;
		keg->k_free += slab->sl_nfree;
	}
	keg->k_slabs = 0;
	keg->k_moving = 0;
	keg->k_waiters = 0;
	keg->k_closed = 0;
	keg->k_pre = 0;
	ka_mutex_init(&keg->k_lock, "keg");
	ka_chan_init(&keg->k_chan, "keg");
}
