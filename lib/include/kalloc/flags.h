/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flag values of libkalloc.
 *
 * This is the only header of the library that the laboratory's model may
 * include: it holds numbers, no declarations. The M_ values are those of the
 * DragonFly lineage (sys/malloc.h), so that kernel code and kernel traces keep
 * their meaning.
 */
#ifndef KALLOC_FLAGS_H
#define KALLOC_FLAGS_H

#define M_RNOWAIT		0x0001 /* never block; may return NULL */
#define M_WAITOK		0x0002 /* may block while pages are short */
#define M_ZERO			0x0100 /* all usable bytes are zero (KM-8) */
#define M_USE_RESERVE		0x0200 /* pages down to the system depth */
#define M_NULLOK		0x0400 /* NULL, not a panic, at the type's limit */
#define M_PASSIVE_ZERO		0x0800 /* internal to the lineage: misuse here */
#define M_USE_INTERRUPT_RESERVE 0x1000 /* pages down to the last one */
#define M_POWEROF2		0x2000 /* round up to, align to, a power of two */
#define M_CACHEALIGN		0x4000 /* align to the cache line */

#define M_NOWAIT  (M_RNOWAIT | M_NULLOK | M_USE_RESERVE)
#define M_INTWAIT (M_WAITOK | M_USE_RESERVE | M_USE_INTERRUPT_RESERVE)
#define M_INTNOWAIT                                                            \
	(M_RNOWAIT | M_NULLOK | M_USE_RESERVE | M_USE_INTERRUPT_RESERVE)
#define M_SYSWAIT   (M_WAITOK | M_USE_RESERVE)
#define M_SYSNOWAIT (M_RNOWAIT | M_NULLOK | M_USE_RESERVE)

/* The flags that a caller may pass; any other bit is misuse (KM-7, G-3). */
#define M_VALID                                                                \
	(M_RNOWAIT | M_WAITOK | M_ZERO | M_USE_RESERVE | M_NULLOK |            \
	    M_USE_INTERRUPT_RESERVE | M_POWEROF2 | M_CACHEALIGN)

/* vm_page_alloc(): how deep to dig (VM-3), and ZERO (VM-4). */
#define VM_ALLOC_NORMAL	   0x01
#define VM_ALLOC_SYSTEM	   0x02
#define VM_ALLOC_INTERRUPT 0x04
#define VM_ALLOC_ZERO	   0x08

#define KA_PAGE_SIZE   4096u  /* VM-1 */
#define KA_SLAB_SIZE   65536u /* size and alignment of a slab, in bytes */
#define KA_KMALLOC_MAX 8192u  /* above: whole pages (KM-2) */
#define KA_CACHE_LINE  64u
#define KA_TYPES_MAX   1023u /* malloc types at one time */

/* kmalloc(0): the one distinguished pointer that owns no memory (KM-9). */
#define ZERO_LENGTH_PTR ((void *)-8)

/* Debug options, per type or for all (kalloc_config.debug). */
#define KA_DEBUG_REDZONE 0x01 /* guard bytes behind every chunk */
#define KA_DEBUG_POISON	 0x02 /* fill at allocation and free, verify */
#define KA_DEBUG_AUDIT	 0x04 /* remember the last alloc and free */
#define KA_DEBUG_ALL	 0x07

/* mpipe_init() */
#define MPF_CACHEDATA 0x0001 /* contents are kept; fresh buffers are zero */
#define MPF_NOZERO    0x0002 /* contents are kept; nothing is zeroed */
#define MPF_INT	      0x0004 /* growth may use the page reserves */
#define MPF_CALLBACK  0x0010 /* mpipe_alloc_callback() may be used */
#define MPF_VALID     0x0017

/* uma_zcreate() */
#define UMA_ZONE_ZINIT	0x0002 /* accepted: items are zero at first anyhow */
#define UMA_ZONE_NOFREE 0x0020 /* slabs never go back, but at zdestroy */
#define UMA_ZONE_NOBUCKET                                                      \
	0x0400 /* no caches: every call takes the slab's lock */
#define UMA_ZONE_VALID 0x0422

#define UMA_ALIGN_PTR	7u
#define UMA_ALIGN_LONG	7u
#define UMA_ALIGN_INT	3u
#define UMA_ALIGN_SHORT 1u
#define UMA_ALIGN_CHAR	0u
#define UMA_ALIGN_CACHE (KA_CACHE_LINE - 1)
#define UMA_SIZE_MAX	(1u << 20) /* of an item (ZN-13) */

/* uma_zone_reclaim() */
#define UMA_RECLAIM_DRAIN     1
#define UMA_RECLAIM_DRAIN_CPU 2
#define UMA_RECLAIM_TRIM      3

/* zinit(), with the lineage's values */
#define ZONE_INTERRUPT	 0x0001
#define ZONE_PANICFAIL	 0x0002
#define ZONE_USE_RESERVE 0x0020
#define ZONE_DESTROYABLE 0x0040
#define ZONE_VALID	 0x0063

/* Why ka_panic() was called (G-3). Order is part of the trace format. */
#define KA_WHY_TABLE(X)                                                        \
	X(NONE, "none", "no panic")                                            \
	X(ASSERT, "assert", "an invariant of the library is broken")           \
	X(BAD_FLAGS, "bad-flags", "flags are not a legal combination")         \
	X(BAD_TYPE, "bad-type", "the malloc type is not declared")             \
	X(WRONG_TYPE, "wrong-type", "freed under another type than allocated") \
	X(NULL_FREE, "null-free", "kfree of NULL")                             \
	X(DOUBLE_FREE, "double-free", "the object is free already")            \
	X(INTERIOR, "interior", "the pointer is inside of an object")          \
	X(FOREIGN, "foreign", "the pointer was never allocated here")          \
	X(LIMIT, "limit",                                                      \
	    "the type is at its limit and M_NULLOK is not given")              \
	X(OVERFLOW, "overflow", "the size overflows in rounding")              \
	X(REDZONE, "redzone", "bytes behind the object were written")          \
	X(POISON, "poison", "a free object was written")                       \
	X(BAD_ARG, "bad-argument", "an argument is out of its range")          \
	X(SLEEP, "sleep", "a call that may not block would sleep")             \
	X(BUSY, "busy", "something is still in use")                           \
	X(WRONG_ZONE, "wrong-zone", "freed to another zone than allocated")    \
	X(BAD_HANDLE, "bad-handle", "no such pipe or zone")

#endif
