/* SPDX-License-Identifier: BSD-2-Clause */
/* The zone allocator's statistics, report at halt, and auditor. */
#include <stdio.h>
#include <string.h>

#include "zone_int.h"

/* ---- Statistics ---------------------------------------------------------- */

static void
stats_keg(struct zone_keg *keg, struct uma_zone_stats *s)
{
	ka_mutex_lock(&keg->k_lock);
	s->rsize = keg->k_rsize;
	s->align = keg->k_align;
	s->ipers = keg->k_ipers;
	s->ppera = keg->k_ppera;
	s->free = keg->k_free;
	s->slabs = keg->k_slabs;
	s->pages = keg->k_slabs * keg->k_ppera;
	s->reserve = keg->k_reserve;
	ka_mutex_unlock(&keg->k_lock);
}

static void
stats_get(struct uma_zone *zone, struct uma_zone_stats *ret_s)
{
	struct mag_sum sum = { 0 };
	uint64_t gets, none;

	memset(ret_s, 0, sizeof(*ret_s));
	ret_s->name = zone->z_name;
	ret_s->size = zone->z_size;
	ret_s->rsize = zone->z_size;
	if (zone->z_keg != NULL)
		stats_keg(zone->z_keg, ret_s);
	if ((zone->z_flags & ZF_CACHED) != 0)
		mag__sum(&zone->z_cache, &sum);
	gets = sum.gets + ka_load(&zone->z_gets, RELAXED);
	ret_s->used = zone__used(zone);
	ret_s->cached = sum.cached;
	none = ka_load(&zone->z_failures, RELAXED);
	ret_s->failures = none + ka_load(&zone->z_ctor_failures, RELAXED);
	ret_s->sleeps = ka_load(&zone->z_sleeps, RELAXED);
	/* A constructor that refused had an item. */
	ret_s->requests = gets + none;
	ka_mutex_lock(&zone->z_lock);
	ret_s->limit = zone->z_max;
	ka_mutex_unlock(&zone->z_lock);
	/* Last, with nothing to wait for after it: not older than the limit. */
	ret_s->bucket = ka_load(&zone->z_bucket, RELAXED);
}

void
uma_zone_get_stats(uma_zone_t zone, struct uma_zone_stats *ret_s)
{
	zone__check(zone, "uma_zone_get_stats");
	stats_get(zone, ret_s);
}

/* The zone that comes after so many; it may be ending. */
struct stats_walk {
	unsigned left;
	bool found;
	struct uma_zone_stats *ret_s;
};

static void
stats_one(struct uma_zone *zone, void *arg)
{
	struct stats_walk *walk = arg;

	if (walk->found || walk->left-- != 0)
		return;
	walk->found = true;
	stats_get(zone, walk->ret_s);
}

bool
uma_stats(unsigned n, struct uma_zone_stats *ret_s)
{
	struct stats_walk walk = { n, false, ret_s };

	zone__each(stats_one, &walk);
	return (walk.found);
}

void
uma_vmstat(void (*put)(void *arg, const char *line), void *arg)
{
	struct uma_zone_stats s;
	char line[160];
	unsigned n;

	put(arg,
	    "ITEM                   SIZE    LIMIT     USED     FREE          "
	    "REQ     FAIL    SLEEP");
	for (n = 0; uma_stats(n, &s); n++) {
		(void)snprintf(line, sizeof(line),
		    "%-20.40s %6llu %8llu %8llu %8llu %12llu %8llu %8llu",
		    s.name, (unsigned long long)s.size,
		    (unsigned long long)s.limit, (unsigned long long)s.used,
		    (unsigned long long)(s.cached + s.free),
		    (unsigned long long)s.requests,
		    (unsigned long long)s.failures,
		    (unsigned long long)s.sleeps);
		put(arg, line);
	}
}

/* ---- At halt --------------------------------------------------------------- */

/* Items in use that the end of the system takes: static ones live on. */
static uint64_t
zone_outstanding(struct uma_zone *zone)
{
	struct zone_keg *keg = zone->z_keg;
	const struct zone_slab *slab;
	uint64_t n = 0;
	unsigned i;

	if ((zone->z_flags & ZF_STATIC) == 0)
		return (zone__held(zone));
	if (keg != &zone->z_own_keg)
		return (0);
	for (i = 0; i < ZONE_SLAB_STATES; i++)
		for (slab = keg->k_list[i]; slab != NULL; slab = slab->sl_next)
			if ((slab->sl_flags & ZONE_SLAB_STATIC) == 0)
				n += slab->sl_items - slab->sl_nfree;
	return (n);
}

bool
zone__report(void (*report)(void *, const struct kalloc_leak *), void *arg)
{
	struct uma_zone *zone;
	struct kalloc_leak leak;
	bool any = false;
	unsigned id;

	for (id = 1; id <= zone_high; id++) {
		zone = zone__at(id);
		if (zone == NULL)
			continue;
		leak.name = zone->z_name;
		leak.count = zone_outstanding(zone);
		leak.bytes = leak.count * zone->z_size;
		if (leak.count == 0)
			continue;
		any = true;
		if (report != NULL)
			report(arg, &leak);
	}
	return (any);
}

/* ---- Audit ----------------------------------------------------------------- */

static char audit_text[200];

#define AUDIT(cond, id, ...)                                                   \
	do {                                                                   \
		if (!(cond)) {                                                 \
			(void)snprintf(                                        \
			    audit_text, sizeof(audit_text), __VA_ARGS__);      \
			return (id);                                           \
		}                                                              \
	} while (0)

/* Held items of each zone, by id, as the owner words say. */
static uint64_t audit_held[ZONES_MAX + 1];

static bool
item_is_free(const struct zone_slab *slab, size_t i)
{
	return ((slab->sl_bits[i / 64] >> i % 64 & 1) != 0);
}

/* I-ZN-1 */
static const char *
audit_slab(const struct zone_keg *keg, const struct zone_slab *slab)
{
	const char *name = keg->k_zone->z_name;
	const struct uma_zone *zone;
	size_t i, nfree = 0;
	uint16_t word;

	for (i = 0; i < slab->sl_items; i++) {
		word = KM_READ(*zone_item_word(slab, i));
		if (item_is_free(slab, i)) {
			nfree++;
			AUDIT(word == ZONE_WORD_FREE, "I-ZN-1",
			    "zone %s: free item %zu of a slab has word %#x",
			    name, i, word);
		}
		if (word == ZONE_WORD_FREE)
			continue;
		zone = word == 0 || word > ZONES_MAX ? NULL : zone__at(word);
		AUDIT(zone != NULL && zone->z_keg == keg, "I-ZN-1",
		    "zone %s: item %zu of a slab has word %#x, no zone of its "
		    "keg",
		    name, i, word);
		audit_held[word]++;
	}
	AUDIT(nfree == slab->sl_nfree, "I-ZN-1",
	    "zone %s: a slab counts %u free items and has %zu", name,
	    slab->sl_nfree, nfree);
	return (NULL);
}

/* I-ZN-2 */
static const char *
audit_keg(const struct zone_keg *keg)
{
	const char *id = NULL, *name = keg->k_zone->z_name;
	const struct zone_slab *slab;
	uint64_t slabs = 0, items = 0, nfree = 0;
	unsigned state;

	for (state = 0; state < ZONE_SLAB_STATES && id == NULL; state++)
		for (slab = keg->k_list[state]; slab != NULL && id == NULL;
		     slab = slab->sl_next) {
			unsigned is = slab->sl_nfree == 0 ? ZONE_SLAB_FULL :
			    slab->sl_nfree == slab->sl_items ?
							    ZONE_SLAB_WHOLE :
							    ZONE_SLAB_PARTIAL;

			AUDIT(slab->sl_state == state && is == state &&
				slab->sl_keg == keg,
			    "I-ZN-2",
			    "zone %s: a slab in state %u with %u of %u items "
			    "free is on list %u",
			    name, slab->sl_state, slab->sl_nfree,
			    slab->sl_items, state);
			slabs += (slab->sl_flags & ZONE_SLAB_STATIC) == 0;
			items += slab->sl_items;
			nfree += slab->sl_nfree;
			id = audit_slab(keg, slab);
		}
	if (id != NULL)
		return (id);
	AUDIT(slabs == keg->k_slabs && items == keg->k_items &&
		nfree == keg->k_free,
	    "I-ZN-2",
	    "zone %s: counts %llu slabs, %llu items, %llu free, and has %llu, "
	    "%llu, %llu",
	    name, (unsigned long long)keg->k_slabs,
	    (unsigned long long)keg->k_items, (unsigned long long)keg->k_free,
	    (unsigned long long)slabs, (unsigned long long)items,
	    (unsigned long long)nfree);
	return (NULL);
}

struct audit_cached {
	struct uma_zone *zone;
	uint64_t n;
	const void *bad;
};

static void
audit_cached_one(void *arg, void *item)
{
	struct audit_cached *c = arg;
	struct zone_slab *slab;
	bool start, good = false;
	size_t i;

	c->n++;
	if (c->zone->z_keg == NULL)
		return;
	slab = zone__find(item);
	if (slab != NULL) {
		good = slab->sl_keg == c->zone->z_keg &&
		    zone__index(slab, item, &i, &start) && start &&
		    !item_is_free(slab, i) &&
		    KM_READ(*zone_item_word(slab, i)) == ZONE_WORD_FREE;
		zone__unfind(slab);
	}
	if (!good)
		c->bad = item;
}

/* I-ZN-3, I-ZN-4, I-ZN-5 */
static const char *
audit_zone(struct uma_zone *zone, const char **ret_found)
{
	struct audit_cached cached = { zone, 0, NULL };
	uint64_t held = zone__held(zone);
	const char *id;

	if ((zone->z_flags & ZF_CACHED) != 0) {
		id = mag__audit(&zone->z_cache, ret_found);
		if (id != NULL)
			return (id);
		mag__each(&zone->z_cache, audit_cached_one, &cached);
	}
	AUDIT(cached.bad == NULL, "I-ZN-3",
	    "zone %s: cached item %p is not between slab and holder",
	    zone->z_name, cached.bad);
	AUDIT(zone->z_count == held + cached.n, "I-ZN-4",
	    "zone %s: %llu units, %llu held and %llu cached", zone->z_name,
	    (unsigned long long)zone->z_count, (unsigned long long)held,
	    (unsigned long long)cached.n);
	AUDIT(zone->z_max == 0 || zone->z_count <= zone->z_max ||
		(cached.n == 0 &&
		    (zone->z_over || (zone->z_flags & ZF_CACHED) == 0)),
	    "I-ZN-4", "zone %s: %llu units at a maximum of %llu, %llu cached",
	    zone->z_name, (unsigned long long)zone->z_count,
	    (unsigned long long)zone->z_max, (unsigned long long)cached.n);
	AUDIT(zone->z_keg == NULL || audit_held[zone->z_id] == held, "I-ZN-5",
	    "zone %s: %llu items held, but %llu words are its id", zone->z_name,
	    (unsigned long long)held,
	    (unsigned long long)audit_held[zone->z_id]);
	return (NULL);
}

/* I-ZN-7. Pages of slabs that are being made or ended may be a zone's; those of
 * a source never are. A zone may have been left in its making, or in its end, by
 * a panic of its callbacks. */
static const char *
audit_pages(void)
{
	uint64_t listed = 0, moving = 0, n = 0;
	size_t at, pages = vm__bytes() / KA_PAGE_SIZE;
	const struct zone_keg *keg;
	unsigned i;

	for (i = 0; i < zone_high; i++) {
		keg = &zone_table[i].z_own_keg;
		if (zone_table[i].z_state == ZONE_FREE ||
		    zone_table[i].z_keg != keg || keg->k_allocf != NULL)
			continue;
		listed += keg->k_slabs * keg->k_ppera;
		moving += keg->k_moving * keg->k_ppera;
	}
	for (at = vm__info_next(0); at < pages; at = vm__info_next(at + 1))
		n += vm__info(vm__base() + at * KA_PAGE_SIZE)->owner ==
		    VM_OWNER_ZONE;
	AUDIT(n >= listed && n <= listed + moving, "I-ZN-7",
	    "%llu pages are zones', %llu those of slabs, %llu on their way",
	    (unsigned long long)n, (unsigned long long)listed,
	    (unsigned long long)moving);
	return (NULL);
}

const char *
uma_audit(const char **ret_found)
{
	const char *id = zone__slab_audit(ret_found);
	struct uma_zone *zone;
	unsigned i;

	if (id != NULL)
		return (id);
	*ret_found = audit_text;
	if (zone_high != 0)
		memset(audit_held, 0, sizeof(audit_held));
	for (i = 1; i <= zone_high && id == NULL; i++) {
		zone = zone__at(i);
		if (zone != NULL && zone->z_keg == &zone->z_own_keg)
			id = audit_keg(zone->z_keg);
	}
	for (i = 1; i <= zone_high && id == NULL; i++) {
		zone = zone__at(i);
		if (zone != NULL)
			id = audit_zone(zone, ret_found);
	}
	return (id != NULL || !kalloc_is_up() ? id : audit_pages());
}
