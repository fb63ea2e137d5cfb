/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The UMA interface of the zone allocator: arguments are checked here, the
 * rest is zone.c's. The fast paths of uma_zalloc() and uma_zfree() are those
 * of zone_int.h.
 */
#include "zone_int.h"

/* ---- Zones ------------------------------------------------------------- */

static void
check_layout(const char *name, size_t size, size_t align, uint32_t flags)
{
	if (size == 0 || size > UMA_SIZE_MAX)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "uma_zcreate: zone %s: size %zu, expected 1 to %u", name,
		    size, UMA_SIZE_MAX);
	if ((align & (align + 1)) != 0 || align >= KA_SLAB_SIZE)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "uma_zcreate: zone %s: align %#zx, expected a mask up to "
		    "%#x",
		    name, align, KA_SLAB_SIZE - 1);
	if ((flags & ~(uint32_t)UMA_ZONE_VALID) != 0)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "uma_zcreate: zone %s: flags %#x", name, flags);
}

static void
check_count(const struct uma_zone *zone, int nitems, const char *caller)
{
	zone__check(zone, caller);
	if (nitems < 0)
		ka_misuse(KA_WHY_BAD_ARG, NULL, "%s: zone %s: %d items", caller,
		    zone->z_name, nitems);
}

/* For what only zones with slabs have. */
static void
check_keg(const struct uma_zone *zone, const char *caller)
{
	if (zone->z_keg == NULL)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "%s: zone %s has no slabs of its own", caller,
		    zone->z_name);
}

uma_zone_t
uma_zcreate(const char *name, size_t size, uma_ctor *ctor, uma_dtor *dtor,
    uma_init *uminit, uma_fini *fini, size_t align, uint32_t flags)
{
	const struct zone_spec spec = { .name = name,
		.size = size,
		.align = align,
		.ctor = ctor,
		.dtor = dtor,
		.init = uminit,
		.fini = fini,
		.uma_flags = flags };

	check_layout(name, size, align, flags);
	return (zone__create(&spec));
}

uma_zone_t
uma_zcreate_static(const char *name, size_t size, uma_ctor *ctor,
    uma_dtor *dtor, uma_init *uminit, uma_fini *fini, size_t align,
    uint32_t flags, void *arena, size_t bytes)
{
	struct zone_spec spec = { .name = name,
		.size = size,
		.align = align,
		.ctor = ctor,
		.dtor = dtor,
		.init = uminit,
		.fini = fini,
		.uma_flags = flags,
		.flags = ZF_STATIC };
	uintptr_t base = (uintptr_t)arena, skip;
	size_t unit;

	check_layout(name, size, align, flags);
	unit = align + 1 < ZONE_GRANULE ? ZONE_GRANULE : align + 1;
	skip = (unit - base % unit) % unit;
	spec.stride = (size + unit - 1) / unit * unit;
	if (arena != NULL && skip < bytes)
		spec.items = (bytes - skip) / spec.stride;
	if (spec.items == 0 || spec.items > UINT32_MAX)
		ka_misuse(KA_WHY_BAD_ARG, arena,
		    "uma_zcreate_static: zone %s: %zu items in %zu bytes", name,
		    spec.items, bytes);
	spec.arena = (char *)arena + skip;
	return (zone__create(&spec));
}

uma_zone_t
uma_zsecond_create(const char *name, uma_ctor *ctor, uma_dtor *dtor,
    uma_init *init, uma_fini *fini, uma_zone_t primary)
{
	struct zone_spec spec = { .name = name,
		.ctor = ctor,
		.dtor = dtor,
		.init = init,
		.fini = fini,
		.primary = primary };

	zone__check(primary, "uma_zsecond_create");
	check_keg(primary, "uma_zsecond_create");
	spec.uma_flags = primary->z_uma_flags;
	spec.flags = primary->z_flags & ZF_STATIC;
	return (zone__create(&spec));
}

uma_zone_t
uma_zcache_create(const char *name, size_t size, uma_ctor *ctor, uma_dtor *dtor,
    uma_init *init, uma_fini *fini, uma_import *import, uma_release *release,
    void *arg, uint32_t flags)
{
	const struct zone_spec spec = { .name = name,
		.size = size,
		.ctor = ctor,
		.dtor = dtor,
		.init = init,
		.fini = fini,
		.import = import,
		.release = release,
		.arg = arg,
		.uma_flags = flags,
		.flags = ZF_IMPORT };

	if (import == NULL || release == NULL ||
	    (flags & ~(uint32_t)UMA_ZONE_VALID) != 0)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "uma_zcache_create: zone %s: flags %#x%s", name, flags,
		    import == NULL || release == NULL ?
			", no import or release" :
			"");
	return (zone__create(&spec));
}

void
uma_zdestroy(uma_zone_t zone)
{
	zone__check(zone, "uma_zdestroy");
	zone__destroy(zone);
}

/* ---- Items ------------------------------------------------------------- */

KA_INLINE void *
zalloc_inline(uma_zone_t zone, void *udata, int flags)
{
	void *item;

	if (KA_LIKELY(zone != NULL) && KA_LIKELY(zone_is_fast(zone, flags)) &&
	    KA_LIKELY(zone_pop(zone, &item)))
		return (item);
	return (zone__alloc(zone, udata, flags));
}

void *
uma_zalloc_arg(uma_zone_t zone, void *udata, int flags)
{
	return (zalloc_inline(zone, udata, flags));
}

void *
uma_zalloc(uma_zone_t zone, int flags)
{
	return (zalloc_inline(zone, NULL, flags));
}

static void KA_NOINLINE
free_slow(uma_zone_t zone, void *item, void *udata)
{
	zone__check(zone, "uma_zfree");
	if (item != NULL)
		zone__free(zone, item, udata, "uma_zfree");
}

KA_INLINE void
zfree_inline(uma_zone_t zone, void *item, void *udata)
{
	if (KA_LIKELY(zone != NULL) &&
	    KA_LIKELY(zone_push(zone, item, zone->z_fast_id)))
		return;
	free_slow(zone, item, udata);
}

void
uma_zfree_arg(uma_zone_t zone, void *item, void *udata)
{
	zfree_inline(zone, item, udata);
}

void
uma_zfree(uma_zone_t zone, void *item)
{
	zfree_inline(zone, item, NULL);
}

/* ---- Properties -------------------------------------------------------- */

int
uma_zone_set_max(uma_zone_t zone, int nitems)
{
	check_count(zone, nitems, "uma_zone_set_max");
	zone__set_max(zone, (uint64_t)nitems);
	return (nitems);
}

int
uma_zone_get_max(uma_zone_t zone)
{
	uint64_t max;

	zone__check(zone, "uma_zone_get_max");
	ka_mutex_lock(&zone->z_lock);
	max = zone->z_max;
	ka_mutex_unlock(&zone->z_lock);
	return ((int)max);
}

int
uma_zone_get_cur(uma_zone_t zone)
{
	zone__check(zone, "uma_zone_get_cur");
	return ((int)zone__used(zone));
}

void
uma_zone_set_maxcache(uma_zone_t zone, int nitems)
{
	check_count(zone, nitems, "uma_zone_set_maxcache");
	ka_mutex_lock(&zone->z_lock);
	zone->z_maxcache = (uint64_t)nitems;
	ka_mutex_unlock(&zone->z_lock);
	zone__set_bucket(zone);
}

void
uma_prealloc(uma_zone_t zone, int nitems)
{
	check_count(zone, nitems, "uma_prealloc");
	check_keg(zone, "uma_prealloc");
	zone__prealloc(zone, (uint64_t)nitems);
}

/* Has the keg been used? Under k_lock. */
static void
check_cold(bool used, const struct uma_zone *zone, const char *caller)
{
	if (used)
		ka_misuse(KA_WHY_BUSY, zone, "%s: zone %s is in use already",
		    caller, zone->z_name);
}

/* What a cache has is out of the reserve: zones with one have none (ZN-14). */
static void
reserve_rebucket(struct uma_zone *zone, void *keg)
{
	if (zone->z_keg == keg)
		zone__set_bucket(zone);
}

void
uma_zone_reserve(uma_zone_t zone, int nitems)
{
	struct zone_keg *keg;
	bool used;

	check_count(zone, nitems, "uma_zone_reserve");
	check_keg(zone, "uma_zone_reserve");
	keg = zone->z_keg;
	ka_mutex_lock(&keg->k_lock);
	used = keg->k_used;
	if (!used)
		ka_store(&keg->k_reserve, (uint64_t)nitems, RELAXED);
	ka_mutex_unlock(&keg->k_lock);
	check_cold(used, zone, "uma_zone_reserve");
	zone__rebound(keg);
	zone__each(reserve_rebucket, keg);
	/* A lower one leaves items and slabs to others. */
	zone__kick();
}

/* Of a zone that never had a slab, and that shares its keg with no other. */
static struct zone_keg *
cold_keg(struct uma_zone *zone, const char *caller)
{
	struct zone_keg *keg;
	bool used, shared;

	zone__check(zone, caller);
	check_keg(zone, caller);
	keg = zone->z_keg;
	/* Another's secondary zone may just be ending. */
	ka_mutex_lock(&zone_lock);
	shared = keg->k_zones > 1;
	ka_mutex_unlock(&zone_lock);
	ka_mutex_lock(&keg->k_lock);
	used = keg->k_used || keg->k_slabs + keg->k_moving != 0;
	ka_mutex_unlock(&keg->k_lock);
	check_cold(used || shared || !keg->k_grows, zone, caller);
	return (keg);
}

void
uma_zone_set_allocf(uma_zone_t zone, uma_alloc *allocf)
{
	struct zone_keg *keg = cold_keg(zone, "uma_zone_set_allocf");

	zone__set_source(zone, allocf, keg->k_freef);
}

void
uma_zone_set_freef(uma_zone_t zone, uma_free *freef)
{
	struct zone_keg *keg = cold_keg(zone, "uma_zone_set_freef");

	zone__set_source(zone, keg->k_allocf, freef);
}

void
uma_zone_reclaim(uma_zone_t zone, int req)
{
	zone__check(zone, "uma_zone_reclaim");
	if (req != UMA_RECLAIM_DRAIN && req != UMA_RECLAIM_DRAIN_CPU &&
	    req != UMA_RECLAIM_TRIM)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "uma_zone_reclaim: zone %s: request %d", zone->z_name, req);
	zone__reclaim(zone, req);
}

static void
reclaim_one(struct uma_zone *zone, void *arg)
{
	zone__reclaim(zone, *(int *)arg);
}

void
uma_reclaim(int req)
{
	if (req != UMA_RECLAIM_DRAIN && req != UMA_RECLAIM_DRAIN_CPU &&
	    req != UMA_RECLAIM_TRIM)
		ka_misuse(KA_WHY_BAD_ARG, NULL, "uma_reclaim: request %d", req);
	zone__each(reclaim_one, &req);
}

void
uma_zone_set_warning(uma_zone_t zone, const char *warning)
{
	zone__check(zone, "uma_zone_set_warning");
	ka_mutex_lock(&zone->z_lock);
	zone->z_warning = warning;
	ka_mutex_unlock(&zone->z_lock);
}

void
uma_zone_set_maxaction(uma_zone_t zone, uma_maxaction *action)
{
	zone__check(zone, "uma_zone_set_maxaction");
	ka_mutex_lock(&zone->z_lock);
	zone->z_maxaction = action;
	ka_mutex_unlock(&zone->z_lock);
}
