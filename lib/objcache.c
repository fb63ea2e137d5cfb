/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objcache: constructed objects in per-CPU magazines over any backend.
 *
 * 1. Lineage. DragonFly's kern_objcache.c. Areas of divergence:
 *    a. A get that sleeps at the limit first takes what any CPU caches, and
 *       while it sleeps the cache is closed: every put goes to the depot and
 *       wakes it (OC-8). There, a put on another CPU wakes nobody (defect H2).
 *    b. Quota returns, and wakes, by every path: failed backend (defect V1),
 *       failed constructor, overflow of a put, objcache_dtor(), reclaim, a
 *       raised limit.
 *    c. Magazines never leave the cache: reclaim takes objects one by one, so
 *       that a destructor may sleep or come back here (defect V2), and the
 *       cache holds as much afterwards (OC-11).
 *    d. destroy tests that nothing is held.
 *
 * 2. Nouns. An object is *held* (by the program), *cached* (in a magazine) or
 *    *constructing*: on its way from or to the backend, in callbacks. *Live*
 *    is all three; the *quota* is what is left of the limit and the slack for
 *    magazines: limit + 2 * ncpus * capacity (OC-6). The slack is what other
 *    CPUs may keep from the caller: the spare CPU counts for the caller's own.
 *
 * 3. States of a cache: open; closed while callers sleep in it (magazine.h).
 *
 * 4. Paths. get: the CPU's magazine; the slow paths of magazine.c; backend and
 *    constructor; sleep. put: magazine; depot; destructor and backend.
 *
 * 5. Concurrency. The depot's lock protects all counters here, and is what
 *    sleepers sleep with. A sleeper closes the cache, then looks into the
 *    depot, every CPU and the quota under the depot's lock: whatever gets into
 *    the cache, or returns quota, after that takes the same lock and sees the
 *    sleeper. Callbacks run with nothing locked (G-9).
 *    Lock order: registry, depot, CPU.
 *
 * 6. Invariants, checked by objcache_audit(), at quiescence:
 *    I-OC-1  quota + held + cached + constructing is the total (OC-7)
 *    I-OC-2  no object is cached twice
 *    I-OC-3  with debug options, an object is known as cached exactly if it is
 *    and those of magazine.h.
 *
 * 7. Failure. Backend and constructor; nothing but `failed' changes then. A
 *    callback that leaves by longjmp(3), out of a misuse of its own, leaves its
 *    object constructing: it shows, and its quota is gone.
 *
 * 8. Observability: objcache_stats().
 *
 * With debug options a cache is never open, and knows of all its objects
 * whether they are held (OC-12). An object that no get returned, in a cache
 * over objcache_nop_alloc(), is *donated* by its put; it counts as held
 * before, so that `used' says less by it.
 *
 * References: J. Bonwick and J. Adams, Magazines and Vmem, USENIX 2001;
 * objcache(9) of DragonFly BSD.
 */
#include <kalloc/objcache.h>

#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "magazine.h"
#include "ptr_map.h"
#include "system_int.h"

#define OC_CAPACITY_MIN 4
#define OC_CAPACITY_MAX 128
#define OC_NOM_DEFAULT	128
#define OC_NOM_MAX	65536
#define OC_DEBUG_ROOM	64u

enum oc_state {
	OC_HELD,
	OC_CACHED
};

struct objcache {
	struct mag_cache oc_mags; /* first: the fast paths read it */
	objcache_ctor_fn *oc_ctor;
	objcache_dtor_fn *oc_dtor;
	void *oc_priv;
	objcache_alloc_fn *oc_alloc;
	objcache_free_fn *oc_free;
	void *oc_args;
	struct objcache_malloc_args oc_malloc; /* of those over kmalloc */
	/* Under the depot's lock. */
	struct ka_chan oc_chan;
	uint32_t oc_waiters;
	int64_t oc_limit, oc_slack; /* 0: no limit */
	int64_t oc_live;
	uint64_t oc_constructing;
	uint64_t oc_gets, oc_puts; /* not counted in slots */
	uint64_t oc_allocated, oc_exhausted, oc_failed, oc_sleeps;
	struct ptr_map oc_objects; /* debug: enum oc_state of each */
	bool oc_debug;		   /* oc_objects is complete */
	/* Under oc_lock. */
	struct objcache *oc_next;
	char oc_name[32];
};

static struct ka_mutex oc_lock = KA_MUTEX_INITIALIZER;
static struct objcache *oc_list; /* in the order of creation */

#define OC_FAMILY     (M_RNOWAIT | M_WAITOK)
#define OC_FAST_FLAGS (M_VALID & ~M_ZERO)
/* For flags - 1: what must not be set; as KM_NOT_FAST in kmalloc.c. */
#define OC_NOT_FAST (2u | ~(unsigned)OC_FAST_FLAGS)

static void *oc_get_slow(struct objcache *, int) KA_NOINLINE;
static void oc_put_slow(struct objcache *, void *) KA_NOINLINE;

void *
objcache_get(struct objcache *oc, int ocflags)
{
	if (KA_LIKELY((((unsigned)ocflags - 1) & OC_NOT_FAST) == 0)) {
		struct ka_cpu *cpu = ka_section_enter();
		void *obj;

		if (KA_LIKELY(mag_pop(mag_slot(&oc->oc_mags, cpu), &obj))) {
			ka_section_exit(cpu);
			return (obj);
		}
		ka_section_exit(cpu);
	}
	return (oc_get_slow(oc, ocflags));
}

void
objcache_put(struct objcache *oc, void *obj)
{
	if (KA_LIKELY(obj != NULL)) {
		struct ka_cpu *cpu = ka_section_enter();

		if (KA_LIKELY(mag_push(mag_slot(&oc->oc_mags, cpu), obj))) {
			ka_section_exit(cpu);
			return;
		}
		ka_section_exit(cpu);
	}
	oc_put_slow(oc, obj);
}

/* ---- Known objects: with debug options -------------------------------- */

/* All functions of this section: under the depot's lock. */

static bool
oc_debug_grow(struct objcache *oc)
{
	struct ptr_map more;

	if (ptr_map__init(&more, 2 * oc->oc_objects.room) != 0)
		return (false);
	ptr_map__copy(&more, &oc->oc_objects);
	ptr_map__fini(&oc->oc_objects);
	oc->oc_objects = more;
	return (true);
}

/* Without memory to know objects by, none is checked any more. */
static void
oc_debug_set(struct objcache *oc, void *obj, enum oc_state state)
{
	struct ptr_map_slot *slot;

	if (!oc->oc_debug)
		return;
	slot = ptr_map__find(&oc->oc_objects, obj);
	if (slot != NULL) {
		slot->value = state;
		return;
	}
	if (oc->oc_objects.count >= oc->oc_objects.room && !oc_debug_grow(oc)) {
		oc->oc_debug = false;
		return;
	}
	ptr_map__insert(&oc->oc_objects, obj, state);
}

static void
oc_debug_forget(struct objcache *oc, void *obj)
{
	struct ptr_map_slot *slot;

	if (!oc->oc_debug)
		return;
	slot = ptr_map__find(&oc->oc_objects, obj);
	if (slot != NULL)
		ptr_map__remove(&oc->oc_objects, slot);
}

/* May it be given back? */
static enum ka_why
oc_debug_check(struct objcache *oc, void *obj)
{
	struct ptr_map_slot *slot;

	if (!oc->oc_debug)
		return (KA_WHY_NONE);
	slot = ptr_map__find(&oc->oc_objects, obj);
	if (slot == NULL)
		return (oc->oc_alloc == objcache_nop_alloc ? KA_WHY_NONE :
							     KA_WHY_FOREIGN);
	return (slot->value == OC_HELD ? KA_WHY_NONE : KA_WHY_DOUBLE_FREE);
}

/* ---- From and to the backend ------------------------------------------ */

/* Under the depot's lock: something is to be had. */
static void
oc_wake(struct objcache *oc)
{
	if (oc->oc_waiters != 0)
		ka_chan_wake_all(&oc->oc_chan);
}

/* The object or its quota did not stay constructing after all. */
static void
oc_unreserve(struct objcache *oc, bool failed)
{
	mag__lock(&oc->oc_mags);
	oc->oc_constructing--;
	ka_commit(KA_COMMIT_CACHE, KA_COMMIT_GIVE, oc, 1);
	oc->oc_live--;
	if (failed)
		oc->oc_failed++;
	oc_wake(oc);
	mag__unlock(&oc->oc_mags);
}

/* Destroys an object that counts as constructing. */
static void
oc_retire(struct objcache *oc, void *obj)
{
	if (oc->oc_dtor != NULL)
		oc->oc_dtor(obj, oc->oc_priv);
	oc->oc_free(obj, oc->oc_args);
	oc_unreserve(oc, false);
}

/* A new object, for which the caller has quota. */
static void *
oc_construct(struct objcache *oc, int flags)
{
	void *obj = oc->oc_alloc(oc->oc_args, flags);

	if (obj != NULL && oc->oc_ctor != NULL &&
	    !oc->oc_ctor(obj, oc->oc_priv, flags)) {
		oc->oc_free(obj, oc->oc_args);
		obj = NULL;
	}
	if (obj == NULL) {
		oc_unreserve(oc, true);
		return (NULL);
	}
	mag__lock(&oc->oc_mags);
	oc->oc_constructing--;
	oc->oc_allocated++;
	oc->oc_gets++;
	oc_debug_set(oc, obj, OC_HELD);
	mag__unlock(&oc->oc_mags);
	return (obj);
}

/* ---- Slow paths ------------------------------------------------------- */

static void
oc_check_flags(int flags, int valid, const char *caller)
{
	int family = flags & OC_FAMILY;

	if ((flags & ~valid) != 0 || family == 0 || family == OC_FAMILY)
		ka_misuse(KA_WHY_BAD_FLAGS, NULL,
		    "%s: flags %#x, expected one of M_WAITOK and M_NOWAIT, and "
		    "not M_ZERO",
		    caller, (unsigned)flags);
}

/* Objects that there may be at a time (OC-6). */
static uint64_t
oc_most(const struct objcache *oc)
{
	return (oc->oc_limit == 0 ? UINT64_MAX :
				    (uint64_t)(oc->oc_limit + oc->oc_slack));
}

/* Under the depot's lock: quota for one object. */
static bool
oc_reserve(struct objcache *oc)
{
	if ((uint64_t)oc->oc_live >= oc_most(oc)) {
		ka_commit(KA_COMMIT_CACHE, KA_COMMIT_FULL, oc, 0);
		return (false);
	}
	ka_commit(KA_COMMIT_CACHE, KA_COMMIT_TAKE, oc, 1);
	oc->oc_live++;
	oc->oc_constructing++;
	return (true);
}

static void
oc_count_get(struct objcache *oc, void *obj)
{
	oc->oc_gets++;
	oc_debug_set(oc, obj, OC_HELD);
}

/* At the limit, and the caller may sleep: an object, or NULL and quota. */
static void *
oc_wait(struct objcache *oc)
{
	bool slept = false;
	void *obj;

	mag__close(&oc->oc_mags);
	mag__lock(&oc->oc_mags);
	oc->oc_waiters++;
	for (;;) {
		obj = mag__take_any(&oc->oc_mags);
		if (obj != NULL || oc_reserve(oc))
			break;
		if (!slept)
			oc->oc_sleeps++;
		slept = true;
		ka_chan_sleep(&oc->oc_chan, &oc->oc_mags.c_lock);
	}
	oc->oc_waiters--;
	if (obj != NULL)
		oc_count_get(oc, obj);
	mag__unlock(&oc->oc_mags);
	mag__reopen(&oc->oc_mags);
	return (obj);
}

static void *
oc_get_slow(struct objcache *oc, int flags)
{
	bool reserved, wait = (flags & (M_WAITOK | M_NULLOK)) == M_WAITOK;
	void *obj;

	oc_check_flags(flags, OC_FAST_FLAGS, "objcache_get");
	obj = mag__get(&oc->oc_mags);
	if (obj != NULL) {
		if (km_debug != 0) {
			mag__lock(&oc->oc_mags);
			oc_debug_set(oc, obj, OC_HELD);
			mag__unlock(&oc->oc_mags);
		}
		return (obj);
	}
	mag__lock(&oc->oc_mags);
	reserved = oc_reserve(oc);
	if (!reserved) {
		/* Since we looked, some may have come to the depot. */
		obj = mag__depot_get(&oc->oc_mags);
		if (obj != NULL)
			oc_count_get(oc, obj);
		else
			oc->oc_exhausted++;
		if (obj == NULL && !wait)
			oc->oc_failed++;
	}
	mag__unlock(&oc->oc_mags);
	if (obj == NULL && !reserved && wait) {
		obj = oc_wait(oc);
		reserved = obj == NULL;
	}
	return (reserved ? oc_construct(oc, flags) : obj);
}

/* The object is the cache's from here on: misuse is told before. */
static void
oc_give(struct objcache *oc, void *obj, const char *caller, bool retire)
{
	enum ka_why why;

	if (obj == NULL)
		ka_misuse(KA_WHY_NULL_FREE, NULL, "%s: cache \"%s\": NULL",
		    caller, oc->oc_name);
	mag__lock(&oc->oc_mags);
	why = oc_debug_check(oc, obj);
	if (why == KA_WHY_NONE && retire) {
		oc_debug_forget(oc, obj);
		oc->oc_constructing++;
		oc->oc_puts++;
	} else if (why == KA_WHY_NONE) {
		oc_debug_set(oc, obj, OC_CACHED);
	}
	mag__unlock(&oc->oc_mags);
	if (why != KA_WHY_NONE)
		ka_misuse(why, obj, "%s: cache \"%s\": %p: %s", caller,
		    oc->oc_name, obj, ka_why_text(why));
}

static void
oc_put_slow(struct objcache *oc, void *obj)
{
	enum mag_outcome outcome;

	if (obj == NULL || km_debug != 0)
		oc_give(oc, obj, "objcache_put", false);
	outcome = mag__put(&oc->oc_mags, obj);
	if (outcome == MAG_DONE)
		return;
	mag__lock(&oc->oc_mags);
	oc->oc_puts++;
	if (outcome == MAG_CLOSED && mag__depot_put(&oc->oc_mags, obj)) {
		oc_wake(oc);
		mag__unlock(&oc->oc_mags);
		return;
	}
	oc_debug_forget(oc, obj);
	oc->oc_constructing++;
	mag__unlock(&oc->oc_mags);
	oc_retire(oc, obj);
}

void
objcache_dtor(struct objcache *oc, void *obj)
{
	oc_give(oc, obj, "objcache_dtor", true);
	oc_retire(oc, obj);
}

/* ---- Reclaim ---------------------------------------------------------- */

/*
 * Destroys up to max cached objects of a CPU, or with NULL of the depot. One at
 * a time: what a destructor does here in between does not matter. Who puts
 * meanwhile does not keep us for ever.
 */
static bool
oc_drain(struct objcache *oc, struct ka_cpu *cpu, uint64_t max)
{
	uint64_t n;
	void *obj;

	for (n = 0; n < max && mag__take(&oc->oc_mags, cpu, &obj, 1) != 0;
	     n++) {
		mag__lock(&oc->oc_mags);
		oc_debug_forget(oc, obj);
		oc->oc_constructing++;
		mag__unlock(&oc->oc_mags);
		oc_retire(oc, obj);
	}
	return (n != 0);
}

static bool
oc_reclaim(struct objcache *oc)
{
	const struct mag_cache *mags = &oc->oc_mags;
	uint64_t slot = 2 * mags->c_capacity;
	struct ka_cpu *self = ka_cpu_self();
	bool any = oc_drain(oc, self, slot);
	unsigned i;

	if (oc_drain(oc, NULL, (uint64_t)mags->c_count * mags->c_capacity))
		any = true;
	for (i = 0; i <= cpu_count; i++)
		if (cpu_at(i) != self && oc_drain(oc, cpu_at(i), slot))
			any = true;
	return (any);
}

bool
objcache_reclaimlist(struct objcache *list[], int nlist, int ocflags)
{
	int i;

	oc_check_flags(ocflags, OC_FAST_FLAGS, "objcache_reclaimlist");
	for (i = 0; i < nlist; i++)
		if (oc_reclaim(list[i]))
			return (true);
	return (false);
}

void
objcache_set_cluster_limit(struct objcache *oc, int cluster_limit)
{
	if (cluster_limit < 0)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "objcache_set_cluster_limit: cache \"%s\": %d", oc->oc_name,
		    cluster_limit);
	mag__lock(&oc->oc_mags);
	oc->oc_limit = cluster_limit;
	ka_commit(KA_COMMIT_CACHE, KA_COMMIT_LIMIT, oc, oc_most(oc));
	oc_wake(oc);
	mag__unlock(&oc->oc_mags);
}

/* ---- Life ------------------------------------------------------------- */

/* What to keep when nobody says: enough that magazines are as large as those of
 * a zone, if the objects' size is known; see oc_sizes(). */
static int
oc_nom_default(size_t objsize)
{
	int nom = 0;

	if (objsize != 0)
		nom = 2 * ((int)mag__capacity_of(objsize) - 1) *
		    ((int)cpu_count + 1);
	return (nom < OC_NOM_DEFAULT ? OC_NOM_DEFAULT : nom);
}

/* How many objects a magazine holds, and how many magazines the depot has. */
static void
oc_sizes(int limit, int nom, size_t objsize, uint32_t *ret_capacity,
    uint32_t *ret_depot)
{
	int capacity, depot;

	if (limit == 0 && nom == 0)
		nom = oc_nom_default(objsize);
	if (nom == 0)
		nom = limit / 2;
	if (limit != 0 && nom > limit)
		nom = limit;
	if (nom == 0)
		nom = OC_NOM_DEFAULT;
	if (nom > OC_NOM_MAX)
		nom = OC_NOM_MAX;
	capacity = nom / ((int)cpu_count + 1) / 2 + 1;
	if (capacity < OC_CAPACITY_MIN)
		capacity = OC_CAPACITY_MIN;
	if (capacity > OC_CAPACITY_MAX)
		capacity = OC_CAPACITY_MAX;
	depot = nom / capacity + 1;
	*ret_capacity = (uint32_t)capacity;
	*ret_depot = depot < 2 ? 2 : (uint32_t)depot;
}

static void
oc_free_memory(struct objcache *oc)
{
	if (oc->oc_mags.c_slots != NULL)
		mag__fini(&oc->oc_mags);
	ptr_map__fini(&oc->oc_objects);
	ka_chan_fini(&oc->oc_chan);
	ka_os_unmap(oc, sizeof(*oc));
}

/* A cache that nobody knows yet. objsize: 0 if it is not known. */
static struct objcache *
oc_make(const char *name, int limit, int nom, size_t objsize)
{
	struct objcache *oc;
	uint32_t capacity, depot;

	if (limit < 0 || nom < 0)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "objcache_create: \"%s\": limit %d, nom_cache %d", name,
		    limit, nom);
	oc = kalloc_is_up() ? ka_os_map(sizeof(*oc)) : NULL;
	if (oc == NULL)
		return (NULL);
	oc_sizes(limit, nom, objsize, &capacity, &depot);
	ka_chan_init(&oc->oc_chan, "objcache");
	oc->oc_debug = km_debug != 0;
	if (mag__init(&oc->oc_mags, capacity, depot,
		km_debug != 0 ? MAG_SLOW : 0) != 0 ||
	    (oc->oc_debug &&
		ptr_map__init(&oc->oc_objects, OC_DEBUG_ROOM) != 0)) {
		oc_free_memory(oc);
		return (NULL);
	}
	oc->oc_limit = limit;
	oc->oc_slack = (int64_t)2 * cpu_count * capacity;
	(void)snprintf(oc->oc_name, sizeof(oc->oc_name), "%s", name);
	return (oc);
}

static struct objcache *
oc_register(struct objcache *oc)
{
	struct objcache **link;

	ka_mutex_lock(&oc_lock);
	for (link = &oc_list; *link != NULL; link = &(*link)->oc_next)
		continue;
	*link = oc;
	ka_commit(KA_COMMIT_CACHE, KA_COMMIT_BEGIN, oc, oc_most(oc));
	ka_mutex_unlock(&oc_lock);
	return (oc);
}

struct objcache *
objcache_create(const char *name, int cluster_limit, int nom_cache,
    objcache_ctor_fn *ctor, objcache_dtor_fn *dtor, void *privdata,
    objcache_alloc_fn *alloc, objcache_free_fn *free, void *allocator_args)
{
	struct objcache *oc;

	if (alloc == NULL || free == NULL)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "objcache_create: \"%s\": no backend", name);
	oc = oc_make(name, cluster_limit, nom_cache, 0);
	if (oc == NULL)
		return (NULL);
	oc->oc_ctor = ctor;
	oc->oc_dtor = dtor;
	oc->oc_priv = privdata;
	oc->oc_alloc = alloc;
	oc->oc_free = free;
	oc->oc_args = allocator_args;
	return (oc_register(oc));
}

struct objcache *
objcache_create_mbacked(struct malloc_type *type, size_t objsize,
    int cluster_limit, int nom_cache, objcache_ctor_fn *ctor,
    objcache_dtor_fn *dtor, void *privdata)
{
	struct objcache *oc;

	km__type_check(type, "objcache_create_mbacked");
	oc = oc_make(type->ks_shortdesc, cluster_limit, nom_cache, objsize);
	if (oc == NULL)
		return (NULL);
	oc->oc_malloc.objsize = objsize;
	oc->oc_malloc.mtype = type;
	oc->oc_ctor = ctor;
	oc->oc_dtor = dtor;
	oc->oc_priv = privdata;
	oc->oc_alloc = objcache_malloc_alloc;
	oc->oc_free = objcache_malloc_free;
	oc->oc_args = &oc->oc_malloc;
	return (oc_register(oc));
}

struct objcache *
objcache_create_simple(struct malloc_type *type, size_t objsize)
{
	return (objcache_create_mbacked(type, objsize, 0, 0, NULL, NULL, NULL));
}

/* Held objects, if that can be told: donated ones make it less. */
static uint64_t
oc_used(const struct objcache *oc, const struct mag_sum *sum)
{
	int64_t used = (int64_t)(sum->gets + oc->oc_gets) -
	    (int64_t)(sum->puts + oc->oc_puts);

	return (used < 0 ? 0 : (uint64_t)used);
}

void
objcache_destroy(struct objcache *oc)
{
	struct objcache **link;
	struct mag_sum sum;
	uint64_t used;

	mag__close(&oc->oc_mags);
	mag__lock(&oc->oc_mags);
	mag__sum_locked(&oc->oc_mags, &sum);
	used = oc_used(oc, &sum);
	mag__unlock(&oc->oc_mags);
	if (used != 0) {
		mag__reopen(&oc->oc_mags);
		ka_misuse(KA_WHY_BUSY, NULL,
		    "objcache_destroy: cache \"%s\": %llu objects are held",
		    oc->oc_name, (unsigned long long)used);
	}
	while (oc_reclaim(oc))
		continue;
	ka_mutex_lock(&oc_lock);
	for (link = &oc_list; *link != oc; link = &(*link)->oc_next)
		continue;
	*link = oc->oc_next;
	ka_mutex_unlock(&oc_lock);
	oc_free_memory(oc);
}

/* ---- Backends --------------------------------------------------------- */

void *
objcache_malloc_alloc(void *allocator_args, int ocflags)
{
	const struct objcache_malloc_args *args = allocator_args;

	return (ka_backend_kmalloc(args->objsize, args->mtype, ocflags));
}

void *
objcache_malloc_alloc_zero(void *allocator_args, int ocflags)
{
	const struct objcache_malloc_args *args = allocator_args;

	return (
	    ka_backend_kmalloc(args->objsize, args->mtype, ocflags | M_ZERO));
}

void
objcache_malloc_free(void *obj, void *allocator_args)
{
	const struct objcache_malloc_args *args = allocator_args;

	ka_backend_kfree(obj, args->mtype);
}

void *
objcache_nop_alloc(void *allocator_args, int ocflags)
{
	(void)allocator_args;
	(void)ocflags;
	return (NULL);
}

void
objcache_nop_free(void *obj, void *allocator_args)
{
	(void)obj;
	(void)allocator_args;
}

/* ---- Looking ---------------------------------------------------------- */

void
objcache_get_stats(struct objcache *oc, struct objcache_stats *ret_s)
{
	struct mag_sum sum;

	memset(ret_s, 0, sizeof(*ret_s));
	memcpy(ret_s->name, oc->oc_name, sizeof(ret_s->name));
	/* With the rest: of an object that comes to be held by a slot, and
	 * leaves past it, only the second would be seen in between. */
	mag__lock(&oc->oc_mags);
	mag__sum_locked(&oc->oc_mags, &sum);
	ret_s->limit = (uint64_t)oc->oc_limit;
	ret_s->requested = sum.gets + oc->oc_gets;
	ret_s->used = oc_used(oc, &sum);
	ret_s->cached = sum.cached;
	ret_s->exhausted = oc->oc_exhausted;
	ret_s->failed = oc->oc_failed;
	ret_s->allocated = oc->oc_allocated;
	ret_s->sleeps = oc->oc_sleeps;
	if (oc->oc_limit != 0) {
		ret_s->quota_total = oc->oc_limit + oc->oc_slack;
		ret_s->quota = ret_s->quota_total - oc->oc_live;
	}
	ret_s->magazine = oc->oc_mags.c_capacity;
	mag__unlock(&oc->oc_mags);
}

bool
objcache_stats(unsigned n, struct objcache_stats *ret_s)
{
	struct objcache *oc;

	ka_mutex_lock(&oc_lock);
	for (oc = oc_list; oc != NULL && n > 0; oc = oc->oc_next)
		n--;
	if (oc != NULL)
		objcache_get_stats(oc, ret_s);
	ka_mutex_unlock(&oc_lock);
	return (oc != NULL);
}

struct oc_audit {
	struct ptr_map seen;
	const struct objcache *oc;
	const char *id, *found;
};

static void
oc_audit_object(void *arg, void *obj)
{
	struct oc_audit *a = arg;
	struct ptr_map_slot *known;

	if (ptr_map__find(&a->seen, obj) != NULL) {
		a->id = "I-OC-2";
		a->found = "an object is cached twice";
		return;
	}
	ptr_map__insert(&a->seen, obj, 0);
	if (!a->oc->oc_debug)
		return;
	known = ptr_map__find(&a->oc->oc_objects, obj);
	if (known == NULL || known->value != OC_CACHED) {
		a->id = "I-OC-3";
		a->found = "a cached object is not known as such";
	}
}

static const char *
oc_audit(struct objcache *oc, const char **ret_found)
{
	struct oc_audit a = { .oc = oc };
	struct mag_sum sum;
	int64_t used;

	a.id = mag__audit(&oc->oc_mags, ret_found);
	if (a.id != NULL)
		return (a.id);
	mag__sum(&oc->oc_mags, &sum);
	used = (int64_t)(sum.gets + oc->oc_gets - sum.puts - oc->oc_puts);
	if (oc->oc_live != used + (int64_t)(sum.cached + oc->oc_constructing)) {
		*ret_found = "held, cached and constructing are not what lives";
		return ("I-OC-1");
	}
	if (ptr_map__init(&a.seen, (uint32_t)sum.cached + 1) != 0)
		return (NULL);
	mag__each(&oc->oc_mags, oc_audit_object, &a);
	ptr_map__fini(&a.seen);
	if (a.id != NULL)
		*ret_found = a.found;
	return (a.id);
}

const char *
objcache_audit(const char **ret_found)
{
	const char *id = NULL;
	struct objcache *oc;

	ka_mutex_lock(&oc_lock);
	for (oc = oc_list; oc != NULL && id == NULL; oc = oc->oc_next)
		id = oc_audit(oc, ret_found);
	ka_mutex_unlock(&oc_lock);
	return (id);
}

/* What kmalloc's types do not report themselves: objects that are held, and
 * cached ones that came from elsewhere. */
bool
objcache__report(void (*report)(void *, const struct kalloc_leak *), void *arg)
{
	struct objcache_stats s;
	struct objcache *oc;
	bool any = false;

	ka_mutex_lock(&oc_lock);
	for (oc = oc_list; oc != NULL; oc = oc->oc_next) {
		struct kalloc_leak leak = { .name = oc->oc_name };

		objcache_get_stats(oc, &s);
		leak.count = s.used;
		if (oc->oc_free == objcache_malloc_free) {
			const struct objcache_malloc_args *args = oc->oc_args;

			leak.bytes = s.used * args->objsize;
		} else {
			leak.count += s.cached;
		}
		if (leak.count == 0)
			continue;
		any = true;
		if (report != NULL)
			report(arg, &leak);
	}
	ka_mutex_unlock(&oc_lock);
	return (any);
}

void
objcache__halt(void)
{
	struct objcache *oc;

	ka_mutex_init(&oc_lock, "objcaches");
	while ((oc = oc_list) != NULL) {
		oc_list = oc->oc_next;
		oc_free_memory(oc);
	}
}
