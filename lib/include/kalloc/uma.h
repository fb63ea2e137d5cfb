/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The zone allocator, UMA interface: zones of items of one size, after zone(9)
 * of FreeBSD 8 (2008). The older interface of the same zones is zone.h.
 *
 * An item's first allocation is zero, or what uminit left; every later one of
 * the same item has the contents of its last free (ZN-1), all bytes of them:
 * no word of a free item is used by the zone (ZN-33). This holds while its
 * slab lives; a slab that went back to the page layer and came again starts
 * from zero.
 */
#ifndef KALLOC_UMA_H
#define KALLOC_UMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kalloc/kalloc.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct uma_zone *uma_zone_t;

/*
 * Callbacks run without any lock of the library (G-9).
 *   ctor, dtor    at each zalloc and zfree, with the argument of the _arg form
 *                 (ZN-2). ctor returns 0, or an errno: the allocation fails.
 *   uminit, fini  when slabs are obtained and released (ZN-3); uminit returns
 *                 0, or an errno: the slab is given back.
 *   import        of a cache zone: up to count pointers into store; returns how
 *                 many. release takes count back.
 */
typedef int uma_ctor(void *item, size_t size, void *udata, int flags);
typedef void uma_dtor(void *item, size_t size, void *udata);
typedef int uma_init(void *item, size_t size, int flags);
typedef void uma_fini(void *item, size_t size);
typedef int uma_import(void *arg, void **store, int count, int flags);
typedef void uma_release(void *arg, void **store, int count);
/* Another source of slabs than the page layer: bytes is a multiple of the page
 * size; must be zero and page aligned; NULL on failure. */
typedef void *uma_alloc(uma_zone_t, size_t bytes, int flags);
typedef void uma_free(void *mem, size_t bytes);
typedef void uma_maxaction(uma_zone_t);

/*
 * Makes a zone.
 *
 *   name   the pointer is kept: it must live as long as the zone (ZN-16)
 *   size   of an item, 1 byte to 1 MiB (ZN-13)
 *   align  a mask: 2^k - 1, up to KA_SLAB_SIZE - 1; UMA_ALIGN_ names
 *   flags  UMA_ZONE_ flags
 *
 * Returns the zone; NULL if no system runs, if there are 1023 zones, or if
 * bookkeeping memory cannot be had from the system. Misuse: size 0 or too large, align not a mask, flags with other
 * bits: KA_WHY_BAD_ARG.
 */
uma_zone_t uma_zcreate(const char *name, size_t size, uma_ctor *, uma_dtor *,
    uma_init *, uma_fini *, size_t align, uint32_t flags);
/* A zone on the caller's memory, also before kalloc_boot(): it has as many
 * items as fit, never grows, and gives NULL beyond them (ZN-30). The memory
 * must be zero for ZN-1 to hold. Its bookkeeping lies elsewhere. uminit runs
 * here, on every item; if it refuses: NULL. The zone lives through halts, with
 * the items that are held; it has no caches, so that every item can be had on
 * every CPU, and M_WAITOK does not wait for one. Misuse, besides: no room for
 * one item, or memory of another zone: KA_WHY_BAD_ARG. */
uma_zone_t uma_zcreate_static(const char *name, size_t size, uma_ctor *,
    uma_dtor *, uma_init *, uma_fini *, size_t align, uint32_t flags,
    void *arena, size_t bytes);
/* A second front end on the primary's items, with its own ctor and dtor,
 * limit and caches; zinit and zfini run when items come from and go back to
 * the primary's slabs (ZN-15). Misuse: a primary without slabs, which is a
 * cache zone: KA_WHY_BAD_ARG. */
uma_zone_t uma_zsecond_create(const char *name, uma_ctor *, uma_dtor *,
    uma_init *zinit, uma_fini *zfini, uma_zone_t primary);
/* A zone of pointers that import() brings and release() takes; they need not
 * be memory (ZN-15), so that no free is checked and M_ZERO is misuse:
 * KA_WHY_BAD_FLAGS. size is told to the callbacks only. An import that brings
 * none is a refusal: NULL, also with M_WAITOK. Misuse: no import or release,
 * or an import that brings more than it was asked for: KA_WHY_BAD_ARG. */
uma_zone_t uma_zcache_create(const char *name, size_t size, uma_ctor *,
    uma_dtor *, uma_init *zinit, uma_fini *zfini, uma_import *, uma_release *,
    void *arg, uint32_t flags);
/*
 * Ends an empty zone and frees all its memory (ZN-11). Context: may wait for
 * another thread that walks over all zones; not from a callback of the zone.
 * Misuse: items are held, or secondary zones live: KA_WHY_BUSY, and the zone
 * is as it was.
 */
void uma_zdestroy(uma_zone_t);

/*
 * Allocates. flags: exactly one of M_WAITOK and M_NOWAIT (or M_RNOWAIT), with
 * M_ZERO: the item is zero before ctor runs (ZN-9); M_USE_RESERVE: the zone's
 * reserve and the page layer's system reserve; M_USE_INTERRUPT_RESERVE.
 *
 * Returns NULL with M_NOWAIT when no item can be had, and with any flags when
 * ctor, uminit, zinit, import or allocf refused (ZN-4, ZN-10). At the maximum,
 * and while pages are short, M_WAITOK sleeps (ZN-7). M_NOWAIT looks at what the
 * CPU and the zone cache, not at other CPUs' caches (ZN-6); it may also fail
 * while another thread has the last slab that the maximum allows in its uminit
 * or fini.
 * Misuse: other flags: KA_WHY_BAD_FLAGS; no such zone: KA_WHY_BAD_HANDLE.
 */
void *uma_zalloc_arg(uma_zone_t, void *udata, int flags)
    __attribute__((warn_unused_result));
void *uma_zalloc(uma_zone_t, int flags) __attribute__((warn_unused_result));
/*
 * Frees, on any CPU. NULL: nothing happens. Context: never blocks, but for
 * what dtor does. Misuse (ZN-12): free already: KA_WHY_DOUBLE_FREE; another
 * zone's: KA_WHY_WRONG_ZONE; inside of an item: KA_WHY_INTERIOR; no item:
 * KA_WHY_FOREIGN.
 */
void uma_zfree_arg(uma_zone_t, void *item, void *udata);
void uma_zfree(uma_zone_t, void *item);

/* Items at most: held, cached by CPUs and by the zone (ZN-5); 0: no limit. At
 * any time; returns the maximum in effect, which is n. A raise wakes sleepers;
 * lowering below use takes nothing away and hands nothing out until use is
 * below it (ZN-8). Misuse: negative: KA_WHY_BAD_ARG. */
int uma_zone_set_max(uma_zone_t, int nitems);
int uma_zone_get_max(uma_zone_t);
/* Items held; exact at quiescence (ZN-16). */
int uma_zone_get_cur(uma_zone_t);
/* Items that caches hold at most: 0: no caches. Every CPU's part may hold as
 * much, so that few items are none: see bucket of the statistics. Misuse:
 * negative: KA_WHY_BAD_ARG. */
void uma_zone_set_maxcache(uma_zone_t, int nitems);
/* The next nitems allocations need no page (ZN-14), beside the reserve. What is
 * in slabs already counts. Such slabs stay through TRIM and DRAIN until they
 * are used, but not while anybody waits for pages. When uminit refuses it is
 * done. Context: may block. Misuse: negative, or a cache zone: KA_WHY_BAD_ARG. */
void uma_prealloc(uma_zone_t, int nitems);
/* So many items stay for allocations with M_USE_RESERVE (ZN-14), which M_NOWAIT
 * contains, when no page can be had; does not itself allocate. Before the first
 * allocation: otherwise KA_WHY_BUSY. */
void uma_zone_reserve(uma_zone_t, int nitems);
/* Gives memory back: TRIM what the zone caches and has not been asked for since
 * the last TRIM (caches hold more than there were allocations), DRAIN all
 * that the zone caches, DRAIN_CPU also what CPUs cache. Then wholly free slabs
 * beyond the reserve. Misuse: another request: KA_WHY_BAD_ARG. */
void uma_zone_reclaim(uma_zone_t, int req);
void uma_reclaim(int req); /* all zones */
/* Before the first slab, and not of a zone that shares its slabs: otherwise
 * KA_WHY_BUSY. Context: no other thread may use the zone. Such zones have no
 * fast path. Without a freef slabs are never given back; a freef is not called
 * for what allocf did not give. Memory that is not aligned to a page (and the
 * zone's align) or in use: KA_WHY_BAD_ARG. */
void uma_zone_set_allocf(uma_zone_t, uma_alloc *);
void uma_zone_set_freef(uma_zone_t, uma_free *);
/* When an allocation meets the maximum: a line to standard error, at most one
 * in five minutes; a function, called without lock in the context of the
 * allocation, at least once an episode, at most once a call. NULL: none. */
void uma_zone_set_warning(uma_zone_t, const char *warning);
void uma_zone_set_maxaction(uma_zone_t, uma_maxaction *);

struct uma_zone_stats {
	const char *name;
	uint64_t size, rsize, align; /* rsize: of an item with its padding */
	uint64_t ipers, ppera;	     /* items and pages of a slab */
	uint64_t limit;		     /* 0: none */
	uint64_t used;		     /* held */
	uint64_t cached;	     /* in caches of CPUs and of the zone */
	uint64_t free;		     /* in slabs */
	uint64_t slabs, pages;
	uint64_t requests, failures,
	    sleeps;	 /* calls of zalloc; NULL returned */
	uint64_t bucket; /* items of a bucket now; 0: no caches */
	uint64_t reserve;
};
void uma_zone_get_stats(uma_zone_t, struct uma_zone_stats *ret_s);
/* All zones of both interfaces in turn: pass n = 0, 1, ... until false. */
bool uma_stats(unsigned n, struct uma_zone_stats *ret_s);
/* A table like `vmstat -z`, a line a call of put() (ZN-17). */
void uma_vmstat(void (*put)(void *arg, const char *line), void *arg);

/* Checks the invariants of all zones, as vm_page_audit(). */
const char *uma_audit(const char **ret_found);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
