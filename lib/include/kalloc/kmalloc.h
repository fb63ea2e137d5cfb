/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc: memory of any size, charged to a declared malloc type.
 *
 * Use it for everything that has no allocator of its own. Up to 8 KiB an
 * object is a chunk of a per-CPU slab; above, whole pages (KM-1, KM-2).
 *
 * Flags: exactly one of the two families.
 *
 *   M_WAITOK    blocks while pages are short; below the type's limit it never
 *               returns NULL (KM-7). M_INTWAIT, M_SYSWAIT: and uses reserves.
 *   M_NOWAIT    never blocks; may return NULL. Contains M_NULLOK and
 *               M_USE_RESERVE, as in the lineage. M_INTNOWAIT: and the last
 *               page. M_RNOWAIT alone panics at the limit.
 *   M_ZERO      all kmalloc_usable_size() bytes are zero (KM-8)
 *   M_NULLOK    at the type's limit: NULL. Without it: KA_WHY_LIMIT (KM-6)
 *   M_POWEROF2  size and alignment are rounded up to a power of two, the
 *               alignment to at most KA_SLAB_SIZE (KM-4)
 *   M_CACHEALIGN  the address is a multiple of KA_CACHE_LINE; the size is
 *               rounded up to one
 *
 * Misuse, in every function: flags with other bits, or neither or both
 * families: KA_WHY_BAD_FLAGS; a type that is not declared: KA_WHY_BAD_TYPE.
 */
#ifndef KALLOC_KMALLOC_H
#define KALLOC_KMALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kalloc/kalloc.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * A malloc type: a name, a limit, statistics. Fields are private to the
 * library; declare with MALLOC_DEFINE or make with kmalloc_create().
 */
struct malloc_type {
	uint32_t ks_magic;  /* KA_TYPE_MAGIC while declared */
	uint32_t ks_cookie; /* id << 16: what a chunk's owner is told by */
	uint32_t ks_debug;  /* KA_DEBUG_ bits */
	const char *ks_shortdesc;
	const char *ks_longdesc;
	uint64_t ks_limit;	     /* bytes (KM-6) */
	uint64_t ks_loose;	     /* changes << 48 | usage, at most */
	uint64_t ks_large;	     /* bytes of whole pages, ever admitted */
	uint64_t ks_waiting;	     /* of them, of who waits until served */
	uint32_t ks_watched;	     /* so many wait for a forgotten one */
	uint64_t ks_classes;	     /* bit a size class that was ever used */
	struct malloc_type *ks_next; /* declared before boot */
	char ks_name[32];	     /* of kmalloc_create() */
	uint8_t ks_heap;	     /* made by kmalloc_create() */
};

#define KA_TYPE_MAGIC 877983977u /* the lineage's M_MAGIC */

/*
 * MALLOC_DEFINE(M_FOO, "foo", "what foo is") defines and declares a type, at
 * file scope, also as static; it lives through boots. MALLOC_DECLARE(M_FOO) is
 * for headers. The name decays to the pointer that the functions take.
 */
#define MALLOC_DECLARE(type) extern struct malloc_type type[1]
#define MALLOC_DEFINE(type, shortdesc, longdesc)                               \
	struct malloc_type type[1];                                            \
	__attribute__((constructor)) static void type##_ka_init(void)          \
	{                                                                      \
		type->ks_shortdesc = (shortdesc);                              \
		type->ks_longdesc = (longdesc);                                \
		malloc_init(type);                                             \
	}                                                                      \
	struct malloc_type

MALLOC_DECLARE(M_CACHE);
MALLOC_DECLARE(M_DEVBUF);
MALLOC_DECLARE(M_TEMP);

/*
 * Declares a type in the caller's storage, whose description is set; before
 * or after boot. A second call does nothing.
 * Misuse: more than KA_TYPES_MAX types: KA_WHY_BAD_ARG.
 */
void malloc_init(struct malloc_type *);

/*
 * Ends a type: waits for remote frees in flight (KM-17), then reports how
 * many objects are still in use; they stay allocated and cannot be freed any
 * more. Returns that number. The next boot does not declare the type again,
 * also if it was declared before this one: its storage may go away.
 * Context: may block.
 */
size_t malloc_uninit(struct malloc_type *);

/* The same on the library's storage: *ret_type is set only if it was NULL,
 * and set to NULL again. descr is copied, cut to 31 characters. */
void kmalloc_create(struct malloc_type **ret_type, const char *descr);
size_t kmalloc_destroy(struct malloc_type **type);

/* Debug options of one type, instead of the system's: KA_DEBUG_ bits, at any
 * time while no object of it is in use; every later allocation has them.
 * Context: no other thread may be in a call with the type. Misuse: with objects
 * in use: KA_WHY_BUSY. */
void kmalloc_set_debug(struct malloc_type *, unsigned debug);

/*
 * Allocates.
 *
 * Returns an address; ZERO_LENGTH_PTR for size 0 (KM-9); NULL only where the
 * flags allow it: pages are short (M_NOWAIT), the type is at its limit
 * (M_NULLOK), or the size cannot be had at all: it overflows in rounding or
 * exceeds the budget (M_NULLOK or M_NOWAIT; otherwise KA_WHY_OVERFLOW)
 * (KM-15).
 * Context: blocks only with M_WAITOK.
 */
void *kmalloc(size_t size, struct malloc_type *, int flags)
    __attribute__((malloc, warn_unused_result));
/*
 * Where the flags are a constant without M_ZERO and alignment, as nearly
 * everywhere, they are checked at compile time, as the lineage's inline
 * kmalloc does. Not for direct use; (kmalloc)(...) is the plain function.
 */
void *ka_kmalloc_plain(size_t size, struct malloc_type *, int flags)
    __attribute__((malloc, warn_unused_result));
#define KA_FLAGS_PLAIN(flags)                                                  \
	(__builtin_constant_p(flags) &&                                        \
	    ((flags) &                                                         \
		~(M_RNOWAIT | M_WAITOK | M_USE_RESERVE | M_NULLOK |            \
		    M_USE_INTERRUPT_RESERVE)) == 0 &&                          \
	    (((flags) & (M_RNOWAIT | M_WAITOK)) == M_RNOWAIT ||                \
		((flags) & (M_RNOWAIT | M_WAITOK)) == M_WAITOK))
#define kmalloc(size, type, flags)                                             \
	(KA_FLAGS_PLAIN(flags) ? ka_kmalloc_plain((size), (type), (flags)) :   \
				 (kmalloc)((size), (type), (flags)))

void *kmalloc_cachealign(size_t size, struct malloc_type *, int flags)
    __attribute__((malloc, warn_unused_result));
void *kmalloc_powerof2(size_t size, struct malloc_type *, int flags)
    __attribute__((malloc, warn_unused_result));

/*
 * Frees, on any CPU (KM-12). ZERO_LENGTH_PTR: nothing happens.
 * Context: never blocks.
 * Misuse (KM-10, KM-16): NULL: KA_WHY_NULL_FREE; another type than at the
 * allocation: KA_WHY_WRONG_TYPE; freed already: KA_WHY_DOUBLE_FREE; inside of
 * an object: KA_WHY_INTERIOR; never allocated: KA_WHY_FOREIGN.
 */
void kfree(void *, struct malloc_type *);

/*
 * Resizes (KM-11). NULL or ZERO_LENGTH_PTR: as kmalloc(). Size 0: frees and
 * returns NULL. On failure NULL, and the old object is as it was.
 * Misuse: M_ZERO: KA_WHY_BAD_FLAGS; and as kfree().
 */
void *krealloc(void *, size_t size, struct malloc_type *, int flags)
    __attribute__((warn_unused_result));

/* Copies of a string; str NULL: NULL. Context: M_WAITOK. */
char *kstrdup(const char *str, struct malloc_type *)
    __attribute__((malloc, warn_unused_result));
char *kstrndup(const char *str, size_t maxlen, struct malloc_type *)
    __attribute__((malloc, warn_unused_result));

/* Bytes that may be used (KM-3); 0 for NULL and ZERO_LENGTH_PTR. Misuse: as
 * kfree() but for the type. */
size_t kmalloc_usable_size(const void *);

/*
 * Limits (KM-6), in bytes: at first a tenth of the budget. raise_limit only
 * raises, 0 means the whole budget; set_unlimited sets the whole budget,
 * unless the limit is higher already. Usage may exceed the limit by a
 * sixteenth of it and one request a CPU: counting batches.
 */
uint64_t kmalloc_limit(struct malloc_type *);
void kmalloc_raise_limit(struct malloc_type *, uint64_t bytes);
void kmalloc_set_unlimited(struct malloc_type *);

/* Gives every wholly free slab of every CPU back to the page layer, also the
 * one that each size class keeps (KM-14). Runs while others allocate.
 * Returns the number of slabs. */
size_t kmalloc_trim(void);

/* Statistics of a type (KM-5), summed over CPUs: exact at quiescence, in
 * between they may lag, and are never negative (G-7). */
struct kmalloc_stats {
	uint64_t calls;	 /* attempts, also failed ones and size 0 */
	uint64_t inuse;	 /* objects */
	uint64_t memuse; /* bytes, of whole chunks and pages */
	uint64_t limit;
};
void kmalloc_type_stats(struct malloc_type *, struct kmalloc_stats *ret_s);

/* A table like `vmstat -m`, a line a call of put(); types without calls are
 * left out. */
void kmalloc_vmstat(void (*put)(void *arg, const char *line), void *arg);

/* The slabs as text, a line a call of put(). Context: no other thread may be
 * inside of the library. */
void kmalloc_map(void (*put)(void *arg, const char *line), void *arg);

/* Last allocation and free of an object with KA_DEBUG_AUDIT; false if there
 * is nothing remembered. Of an object that is freed or allocated meanwhile what
 * is told may be of either. */
bool kmalloc_trail(const void *, struct ka_trail *ret_trail);

/* Checks the allocator's invariants, as vm_page_audit(). */
const char *kmalloc_audit(const char **ret_found);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
