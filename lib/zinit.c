/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The older interface of the zone allocator, zinit and its family. A zone of
 * it is a zone of zone.c without callbacks; struct vm_zone points to it, and
 * it points back, so that a copy or what is left of an ended zone is found.
 *
 * zalloc() never waits. Unlike its lineage it looks at what all CPUs cache
 * before it gives up, so that nothing is refused that somebody has put back.
 */
#include "zone_int.h"

/* The zone, or NULL: there is none (any more). */
static struct uma_zone *
zone_of(const struct vm_zone *z)
{
	struct uma_zone *zone = z->z_private;
	unsigned id;

	if (zone == NULL)
		return (NULL);
	for (id = 1; id <= ka_load(&zone_high, RELAXED); id++)
		if (zone__at(id) == zone && zone->z_storage == z)
			return (zone);
	return (NULL);
}

static struct uma_zone *
zone_check(struct vm_zone *z, const char *caller)
{
	struct uma_zone *zone = z == NULL ? NULL : z->z_private;

	if (zone != NULL)
		zone__check(zone, caller);
	if (zone == NULL || zone->z_storage != z)
		ka_misuse(KA_WHY_BAD_HANDLE, z, "%s: %p is no zone", caller,
		    (void *)z);
	return (zone);
}

static void
check_args(const char *caller, const char *name, size_t size, long nentries,
    uint32_t flags)
{
	if (size == 0 || size > UMA_SIZE_MAX)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "%s: zone %s: size %zu, expected 1 to %u", caller, name,
		    size, UMA_SIZE_MAX);
	if ((flags & ~(uint32_t)ZONE_VALID) != 0)
		ka_misuse(KA_WHY_BAD_ARG, NULL, "%s: zone %s: flags %#x",
		    caller, name, flags);
	if ((flags & ZONE_INTERRUPT) != 0 && nentries < 1)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "%s: zone %s: %ld entries with ZONE_INTERRUPT", caller,
		    name, nentries);
}

/* What zinit() says of a zone, whose items are static ones so far. */
static void
zone_complete(struct uma_zone *zone, long nentries, uint32_t flags)
{
	uint64_t items = zone->z_keg->k_items;

	zone->z_old_flags = flags;
	zone->z_alloc_flags = M_RNOWAIT;
	if ((flags & ZONE_USE_RESERVE) != 0)
		zone->z_alloc_flags |= M_USE_RESERVE;
	if ((flags & ZONE_INTERRUPT) != 0) {
		zone->z_alloc_flags |= M_USE_RESERVE | M_USE_INTERRUPT_RESERVE;
		zone__set_max(zone, (uint64_t)nentries + items);
	}
	ka_mutex_lock(&zone->z_keg->k_lock);
	zone->z_keg->k_grows = 1;
	ka_mutex_unlock(&zone->z_keg->k_lock);
}

static struct uma_zone *
zone_make(struct vm_zone *z, const char *name, size_t size, long nentries,
    uint32_t flags)
{
	const struct zone_spec spec = {
		.name = name, .size = size, .flags = ZF_OLD
	};
	struct uma_zone *zone = zone__create(&spec);

	if (zone == NULL)
		return (NULL);
	zone->z_storage = z != NULL ? z : &zone->z_old;
	zone->z_storage->z_private = zone;
	zone_complete(zone, nentries, flags);
	return (zone);
}

vm_zone_t
zinit(const char *name, size_t size, long nentries, uint32_t flags)
{
	struct uma_zone *zone;

	check_args("zinit", name, size, nentries, flags);
	zone = zone_make(NULL, name, size, nentries, flags);
	return (zone == NULL ? NULL : zone->z_storage);
}

int
zinitna(
    vm_zone_t z, const char *name, size_t size, long nentries, uint32_t flags)
{
	struct uma_zone *zone;

	check_args("zinitna", name, size, nentries, flags);
	if (z == NULL)
		ka_misuse(
		    KA_WHY_BAD_HANDLE, z, "zinitna: zone %s: no storage", name);
	zone = zone_of(z);
	if (zone == NULL)
		return (zone_make(z, name, size, nentries, flags) != NULL);
	if (zone->z_keg->k_grows)
		ka_misuse(KA_WHY_BUSY, z, "zinitna: zone %s is complete",
		    zone->z_name);
	if (size != zone->z_size)
		ka_misuse(KA_WHY_BAD_ARG, z,
		    "zinitna: zone %s: size %zu, but its items have %zu", name,
		    size, zone->z_size);
	if (!kalloc_is_up())
		return (0);
	zone->z_name = name;
	zone_complete(zone, nentries, flags);
	return (1);
}

void
zbootinit(vm_zone_t z, const char *name, size_t size, void *item, long nitems)
{
	struct zone_spec spec = { .name = name,
		.size = size,
		.flags = ZF_OLD | ZF_STATIC,
		.arena = item,
		.stride = size };
	struct uma_zone *zone;

	check_args("zbootinit", name, size, 0, 0);
	if (z == NULL)
		ka_misuse(KA_WHY_BAD_HANDLE, z,
		    "zbootinit: zone %s: no storage", name);
	if (item == NULL || nitems < 1 || nitems > (long)UINT32_MAX)
		ka_misuse(KA_WHY_BAD_ARG, item,
		    "zbootinit: zone %s: %ld items at %p", name, nitems, item);
	if (zone_of(z) != NULL)
		ka_misuse(
		    KA_WHY_BUSY, z, "zbootinit: zone %s lives already", name);
	spec.items = (size_t)nitems;
	zone = zone__create(&spec);
	if (zone == NULL)
		ka_misuse(KA_WHY_LIMIT, z,
		    "zbootinit: zone %s: there are %u zones", name, ZONES_MAX);
	zone->z_alloc_flags = M_RNOWAIT;
	zone->z_storage = z;
	z->z_private = zone;
}

void
zdestroy(vm_zone_t z)
{
	struct uma_zone *zone = zone_check(z, "zdestroy");

	if ((zone->z_old_flags & ZONE_DESTROYABLE) == 0)
		ka_misuse(KA_WHY_BAD_ARG, z,
		    "zdestroy: zone %s is not ZONE_DESTROYABLE", zone->z_name);
	zone__destroy(zone);
	z->z_private = NULL;
}

static void *KA_NOINLINE
zalloc_slow(vm_zone_t z)
{
	struct uma_zone *zone = zone_check(z, "zalloc");
	void *item = zone__alloc_last(zone, zone->z_alloc_flags);

	if (item == NULL && (zone->z_old_flags & ZONE_PANICFAIL) != 0)
		ka_misuse(KA_WHY_LIMIT, z, "zalloc: zone %s has no item",
		    zone->z_name);
	return (item);
}

/* NULL: take the slow path. What z_private points to is a zone's record, if
 * anything, but it may be another zone's by now. */
KA_INLINE struct uma_zone *
zone_fast(const struct vm_zone *z)
{
	struct uma_zone *zone = KA_LIKELY(z != NULL) ? z->z_private : NULL;

	return (KA_LIKELY(zone != NULL) && KA_LIKELY(zone->z_storage == z) ?
		zone :
		NULL);
}

void *
zalloc(vm_zone_t z)
{
	struct uma_zone *zone = zone_fast(z);
	void *item;

	if (KA_LIKELY(zone != NULL) && KA_LIKELY(zone->z_open == ZONE_OPEN) &&
	    KA_LIKELY(zone_pop(zone, &item)))
		return (item);
	return (zalloc_slow(z));
}

static void KA_NOINLINE
zfree_slow(vm_zone_t z, void *item)
{
	struct uma_zone *zone = zone_check(z, "zfree");

	if (item == NULL)
		ka_misuse(KA_WHY_NULL_FREE, NULL, "zfree: zone %s: NULL",
		    zone->z_name);
	zone__free(zone, item, NULL, "zfree");
}

void
zfree(vm_zone_t z, void *item)
{
	struct uma_zone *zone = zone_fast(z);

	if (KA_LIKELY(zone != NULL) &&
	    KA_LIKELY(zone_push(zone, item, zone->z_fast_id)))
		return;
	zfree_slow(z, item);
}
