/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objcache: per-CPU caches of constructed objects over any backing allocator.
 *
 * Use it for objects that are expensive to construct and come and go often.
 * An object is constructed when it comes from the backend and destroyed when
 * it goes back; in between, get and put only move it (OC-3). What an object
 * held when it was put is what it holds when a get returns it (OC-4).
 *
 * Each CPU has two magazines of objects, all CPUs share a depot of magazines
 * (OC-2); after J. Bonwick and J. Adams, Magazines and Vmem, USENIX 2001, and
 * objcache(9) of DragonFly BSD.
 */
#ifndef KALLOC_OBJCACHE_H
#define KALLOC_OBJCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kalloc/kmalloc.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct objcache;

/*
 * Callbacks run without any lock of the library and outside of sections: they
 * may allocate, free, and, with M_WAITOK in ocflags, sleep (G-9).
 *
 *   ctor   makes an object of raw memory; false: it could not, and must have
 *          left nothing behind. The memory goes back without dtor (OC-5).
 *   dtor   the opposite, before the memory goes back.
 *   alloc  memory for one object, or NULL. allocator_args is what the
 *          creation was given; ocflags are those of the get.
 *   free   takes it back. Must not block.
 */
typedef bool objcache_ctor_fn(void *obj, void *privdata, int ocflags);
typedef void objcache_dtor_fn(void *obj, void *privdata);
typedef void *objcache_alloc_fn(void *allocator_args, int ocflags);
typedef void objcache_free_fn(void *obj, void *allocator_args);

/* allocator_args of the kmalloc backends. */
struct objcache_malloc_args {
	size_t objsize;
	struct malloc_type *mtype;
};

/* Backends: kmalloc; kmalloc with M_ZERO; and none, for caches that are filled
 * by objcache_put() only. */
void *objcache_malloc_alloc(void *allocator_args, int ocflags);
void *objcache_malloc_alloc_zero(void *allocator_args, int ocflags);
void objcache_malloc_free(void *obj, void *allocator_args);
void *objcache_nop_alloc(void *allocator_args, int ocflags);
void objcache_nop_free(void *obj, void *allocator_args);

/*
 * Makes a cache.
 *
 *   name           copied, cut to 31 characters
 *   cluster_limit  objects that can be held at one time, from any one CPU
 *                  (OC-6): the cache adds to it what may lie in magazines;
 *                  0: no limit. Negative is misuse.
 *   nom_cache      objects that it should keep cached, at most; 0: half of the
 *                  limit, or 128 without one, or more if the object's size
 *                  is known and small; more than 65536: that many.
 *                  Negative is misuse.
 *   ctor, dtor     may be NULL
 *   alloc, free    the backend; NULL is misuse
 *
 * Returns the cache. NULL only if bookkeeping memory cannot be had from the
 * system, or none runs. Misuse: KA_WHY_BAD_ARG.
 */
struct objcache *objcache_create(const char *name, int cluster_limit,
    int nom_cache, objcache_ctor_fn *ctor, objcache_dtor_fn *dtor,
    void *privdata, objcache_alloc_fn *alloc, objcache_free_fn *free,
    void *allocator_args);
/* Over kmalloc, no limit, nothing constructed. */
struct objcache *objcache_create_simple(struct malloc_type *, size_t objsize);
/* Over kmalloc. */
struct objcache *objcache_create_mbacked(struct malloc_type *, size_t objsize,
    int cluster_limit, int nom_cache, objcache_ctor_fn *ctor,
    objcache_dtor_fn *dtor, void *privdata);

/*
 * Takes an object.
 *
 * ocflags: M_ flags, exactly one family, for the backend and the constructor.
 * Returns NULL if the backend or the constructor failed, also with M_WAITOK;
 * and at the limit, unless M_WAITOK is given without M_NULLOK: then it sleeps
 * until an object is put on any CPU or quota returns (OC-5, OC-8).
 * Misuse: M_ZERO, or not one family: KA_WHY_BAD_FLAGS. Here and below: a cache
 * that is NULL, or destroyed, is not found out, and the process may die.
 */
void *objcache_get(struct objcache *, int ocflags)
    __attribute__((warn_unused_result));
/*
 * Gives an object back, constructed, on any CPU. Never fails (OC-9): it is
 * cached, or destroyed and freed when no magazine has room.
 * Context: never blocks. Misuse (OC-12): NULL: KA_WHY_NULL_FREE; with debug
 * options on, an object that is not held: KA_WHY_DOUBLE_FREE or
 * KA_WHY_FOREIGN.
 */
void objcache_put(struct objcache *, void *obj);
/* Gives an object back to be destroyed and not cached (OC-10). */
void objcache_dtor(struct objcache *, void *obj);
/*
 * Destroys every cached object and the cache (OC-10).
 * Misuse: objects are held: KA_WHY_BUSY, and the cache is as it was.
 */
void objcache_destroy(struct objcache *);
/*
 * Frees cached objects: of each cache in turn those of the calling CPU, then
 * those of the depot, then those of the other CPUs; stops after the first
 * cache that had any. Returns whether it freed any. The caches can cache as
 * much afterwards as before (OC-11). ocflags: M_WAITOK or M_NOWAIT.
 */
bool objcache_reclaimlist(struct objcache *list[], int nlist, int ocflags);
/* Another limit, as for creation; a raised one wakes sleepers, a lowered one
 * takes nothing away. */
void objcache_set_cluster_limit(struct objcache *, int cluster_limit);

/* Statistics; exact at quiescence (G-7). OC-7: quota + used + cached +
 * constructing is quota_total whenever there is a limit. */
struct objcache_stats {
	char name[32];
	uint64_t limit;	     /* as asked; 0: none */
	uint64_t requested;  /* gets that returned an object */
	uint64_t used;	     /* held */
	uint64_t cached;     /* in magazines */
	uint64_t exhausted;  /* gets that met the limit */
	uint64_t failed;     /* gets that returned NULL */
	uint64_t allocated;  /* objects that came from the backend, ever */
	uint64_t sleeps;     /* gets that slept */
	int64_t quota;	     /* objects that may still come; 0 without limit */
	int64_t quota_total; /* limit plus what magazines of CPUs hold */
	unsigned magazine;   /* capacity of one */
};
void objcache_get_stats(struct objcache *, struct objcache_stats *ret_s);
/* All caches in turn: pass n = 0, 1, ... until false. */
bool objcache_stats(unsigned n, struct objcache_stats *ret_s);

/* Checks the invariants of all caches, as vm_page_audit(). */
const char *objcache_audit(const char **ret_found);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
