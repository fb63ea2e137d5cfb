/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc's private parts. What other modules may call has two underscores.
 *
 * Lock order: c_lock of one CPU, then the page layer's (cpu.h).
 */
#ifndef KA_KMALLOC_INT_H
#define KA_KMALLOC_INT_H

#include <kalloc/kmalloc.h>

#include "cpu.h"
#include "vm_page_int.h"

/*
 * States of a slab, kept in s_state, changed under c_lock of s_cpu:
 *   1 CURRENT  the CPU allocates its class from it
 *   2 PARTIAL  on c_partial: some chunk is free, some is not
 *   3 FULL     no chunk is free; on no list, only its chunks refer to it
 *   4 FREE     wholly free, kept on c_free
 *   5 MOVING   on its way to another CPU's c_partial
 *   0 NONE     no slab: its pages are the page layer's
 */
enum slab_state {
	SLAB_NONE,
	SLAB_CURRENT,
	SLAB_PARTIAL,
	SLAB_FULL,
	SLAB_FREE,
	SLAB_MOVING
};

/*
 * A chunk's entry. e_owner: while allocated, the type's cookie plus the
 * chunk's offset in the slab, so that one comparison tells double free, wrong
 * type and interior pointer; OWNER_FREE; or OWNER_REMOTE and the next of the
 * remote list.
 */
struct slab_entry {
	uint32_t e_owner;
	uint16_t e_debug; /* requested class + 1, ENTRY_POISONED */
};

#define OWNER_FREE     0x7fffffffu
#define OWNER_REMOTE   0x80000000u
#define ENTRY_POISONED 0x8000u

#define SLAB_CHUNKS_MAX (KA_SLAB_SIZE / 8)
#define SLAB_NOT_FULL	UINT64_MAX /* s_full that is never reached */

/*
 * Out of the slab's pages, so that no overrun reaches it: one for each slot of
 * the arena, KM_SLAB_STRIDE apart.
 */
struct ka_slab {
	struct slab_entry s_entry[SLAB_CHUNKS_MAX + 1];
	/* What other CPUs read when they free a chunk: changes seldom. */
	uint64_t s_key __attribute__((aligned(128))); /* s_base plus the CPU's
	                     key, or SLAB_KEY_SLOW */
	char *s_use;	  /* the CPU's counter of this class, less a cookie */
	uintptr_t s_base; /* first byte of the slab's pages */
	uint32_t s_recip; /* 2^32 / s_size, rounded up */
	uint32_t s_size;  /* of a chunk */
	uint32_t s_max;	  /* chunks in all */
	uint16_t s_class;
	uint16_t s_cpu;	   /* whose it is */
	uint32_t s_handle; /* of its chunk 0, in remote lists */
	/* What the owner changes all the time. */
	uint64_t s_nfree
	    __attribute__((aligned(128))); /* chunks on the stack */
	uint64_t s_full;   /* a free that makes s_nfree this is slow */
	uint32_t s_carved; /* chunks that were ever on the stack */
	uint8_t s_state;
	struct ka_slab *s_next, **s_prev; /* on a list */
	struct ka_trail *s_trail;	  /* KA_DEBUG_AUDIT: one a chunk; the
					     slot's, until halt */
	/*
	 * The free chunks: s_stack[0 .. s_nfree - 1]. Whole addresses: what
	 * comes off is what kmalloc returns, what goes on is what kfree was
	 * given, and processors that hand a store's value to the next load
	 * without waiting do so for words of 32 and 64 bits, not of 16.
	 */
	uintptr_t s_stack[SLAB_CHUNKS_MAX];
};

/* A multiple of the page, and two lines: what is used of all slabs most would
 * otherwise have its place in the same few sets of the cache. */
#define KM_SLAB_STRIDE                                                         \
	((sizeof(struct ka_slab) + KA_PAGE_SIZE - 1) / KA_PAGE_SIZE *          \
		KA_PAGE_SIZE +                                                 \
	    128)
KA_STATIC_ASSERT(
    KM_SLAB_STRIDE % _Alignof(struct ka_slab) == 0, "headers are aligned");

/* The slab that is none: no chunk is free, no key matches. */
extern struct ka_slab kmalloc_no_slab;

/* Slab of every 64 KiB of address space modulo 4 GiB, never NULL: what is no
 * slab has the one that matches nothing. */
extern struct ka_slab *km_slab_of[65536];
extern const uint8_t km_class_of[KA_KMALLOC_MAX + 1];
extern const uint16_t km_class_size[KM_CLASSES];
extern unsigned km_slabs_keep;
extern unsigned km_debug;

/*
 * What is left to do when nothing is locked any more: slabs to give back (no
 * lock is taken in a section), and a chunk that was freed twice. km__todo()
 * does it; every function below that takes one may add to it.
 */
struct km_todo {
	struct ka_slab *dead;
	uintptr_t bad;
	bool moved;   /* chunks are to be had that no list had for a while */
	size_t ndead; /* slabs that were ever on dead */
};

/* Of an address that is no chunk's the place may change just now. */
KA_INLINE struct ka_slab *
km_slab_at(const void *addr)
{
	return (__atomic_load_n(
	    &km_slab_of[(uint32_t)(uintptr_t)addr >> 16], __ATOMIC_RELAXED));
}

KA_INLINE uint32_t
km_index(const struct ka_slab *slab, uintptr_t addr)
{
	return (
	    (uint32_t)((addr & (KA_SLAB_SIZE - 1)) * (uint64_t)slab->s_recip >>
		32));
}

/*
 * Links a chunk to the remote list of a CPU, which is, or was, its own. Its entry is claimed already and
 * has `head` as its link; see kmalloc.c section 5.
 */
KA_INLINE void
km_remote_push(
    struct ka_cpu *target, struct ka_slab *slab, uint32_t index, uint32_t head)
{
	uint32_t seen = head;

	while (!ka_cas(&target->c_remote, &seen, slab->s_handle + index))
		ka_store(&slab->s_entry[index].e_owner, OWNER_REMOTE | seen,
		    RELAXED);
}

/*
 * Frees a chunk that `owner` still owns to its CPU: lock-free, in the section
 * of the caller. False: it is not owned so any more. The claim is a plain store:
 * two who free one chunk at one time may both make it, and km__drain() finds
 * out.
 */
KA_INLINE bool
km_remote_free(
    struct ka_cpu *target, struct ka_slab *slab, uint32_t index, uint32_t owner)
{
	struct slab_entry *e = &slab->s_entry[index];
	uint32_t head;

	head = ka_load(&target->c_remote, ACQUIRE);
	if (KA_UNLIKELY(ka_load(&e->e_owner, RELAXED) != owner))
		return (false);
	ka_store(&e->e_owner, OWNER_REMOTE | head, RELAXED);
	km_remote_push(target, slab, index, head);
	return (true);
}

/* The same, of a chunk with debug options: claimed for good. */
KA_INLINE bool
km_remote_free_debug(struct ka_slab *slab, uint32_t index, uint32_t owner)
{
	struct ka_cpu *target = cpu_at(ka_load(&slab->s_cpu, ACQUIRE));
	uint32_t head = ka_load(&target->c_remote, ACQUIRE);

	if (!ka_cas(&slab->s_entry[index].e_owner, &owner, OWNER_REMOTE | head))
		return (false);
	km_remote_push(target, slab, index, head);
	return (true);
}

/* Counters that only the owner writes and anybody reads. */
#ifdef KA_TSAN
#define KM_ADD(x, n)                                                           \
	({                                                                     \
		__typeof__(x) km_sum =                                         \
		    __atomic_load_n(&(x), __ATOMIC_RELAXED);                   \
		km_sum += (__typeof__(x))(n);                                  \
		__atomic_store_n(&(x), km_sum, __ATOMIC_RELAXED);              \
		km_sum;                                                        \
	})
#else
#define KM_ADD(x, n) ((x) += (__typeof__(x))(n))
#endif
/* A word that others may change, where one instruction reads it anyhow: plain,
 * so that it can be an operand; a schedule point in the simulation. */
#if defined(KA_TSAN) || defined(KA_PORT_SIM)
#define KM_PEEK(x) ka_load(&(x), RELAXED)
#else
#define KM_PEEK(x) (x)
#endif
#define KM_READ(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
/* Before all that is read after it. */
#define KM_READ_FIRST(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)

/* The part of ks_loose that is bytes; of the rest see type_loose(). */
#define KM_LOOSE_BYTES ((UINT64_C(1) << 48) - 1)

/* km_slab.c: under c_lock of the CPU (cpu__lock_self, cpu__visit). */
bool km__fill(struct ka_cpu *, unsigned class, struct km_todo *);
void km__push(
    struct ka_cpu *, struct ka_slab *, uint32_t index, struct km_todo *);
void km__adopt(
    struct ka_cpu *, struct ka_slab *, unsigned class, struct km_todo *);
/* No chunk was taken after all: while pages are short, what is wholly free
 * goes. */
void km__unused(struct ka_cpu *, unsigned class, struct km_todo *);
void km__drain(struct ka_cpu *, struct km_todo *);
void km__todo(struct km_todo *);
/* The same, but with nothing locked. */
struct ka_slab *km__slab_get(unsigned class, int flags, bool *ret_again);
void km__whole(struct ka_slab *);
size_t km__reclaim(struct ka_cpu *, struct km_todo *);
/* Looks for a free chunk for such a request on all CPUs, and moves its slab to
 * the caller's: for who waits for pages. */
bool km__collect(size_t size, const struct malloc_type *);
void *km__pages(size_t npages, size_t align, int flags);
unsigned km__depth(int flags); /* of the page layer */
void km__slab_halt(void);
int km__slab_reserve(size_t slots);
unsigned km__chunk_size(unsigned class);
void kmalloc__flush(struct ka_cpu *);

/* malloc_type.c */
void km__type_boot(bool *up);
void km__type_halt(void);
void km__type_check(const struct malloc_type *, const char *caller);
bool km__type_grant(struct ka_cpu *, struct malloc_type *, unsigned class);
/* A counter of the class, of a type's cookie, is no longer zero. */
void km__type_touch(uint32_t cookie, unsigned class);
/* No chunk was taken after all: no grant may stay that is more than the CPU's
 * part; of a debug type none at all. */
void km__type_revoke(struct ka_cpu *, struct malloc_type *, unsigned class);
bool km__type_admit(struct malloc_type *, uint64_t bytes);
/* kmalloc goes on refusing until the page layer's event count moves. */
bool km__type_is_full(struct malloc_type *);
/* It refuses now, if only for what others have in hand. */
bool km__type_refuses(struct malloc_type *);
/* In between every request that is forgotten moves that count. */
void km__type_watch(struct malloc_type *);
void km__type_unwatch(struct malloc_type *);
void km__type_forget(struct malloc_type *, uint64_t bytes);
void km__type_each(void (*fn)(void *, struct malloc_type *), void *arg);
/* Is it the id of a type, declared or ended with objects in use? */
bool km__type_is_id(uint32_t id);
/* Objects of ended types that are still in use. */
uint64_t km__type_stale_objects(void);

/* kmalloc.c: what large objects share. A refusal; a call that failed is
 * counted; what is wrong with an address that could not be freed. */
void *km__refuse(struct malloc_type *, int flags);
void km__count_call(struct malloc_type *);
void km__misused(const void *, const char *caller)
    __attribute__((noreturn, cold));
/* Reports what is wrong with an address; the trail may be NULL. */
void km__panic(enum ka_why, const void *, const char *caller,
    const struct ka_trail *) __attribute__((noreturn, cold));

/* km_large.c: objects of whole pages; align in bytes. */
void *km__large_alloc(
    size_t npages, size_t align, struct malloc_type *, int flags);
void km__large_free(void *, struct malloc_type *, struct vm_info *);

/* km_debug.c: objects of types with debug options. Chunks: under c_lock. Large
 * objects: with nothing locked. */
unsigned km__debug_class(unsigned class, unsigned debug);
void km__debug_carve(struct ka_slab *, uint32_t first, uint32_t n);
void km__debug_slab_halt(struct ka_slab *);
enum ka_why km__debug_alloc(struct ka_slab *, uint32_t index, unsigned class,
    unsigned debug, unsigned cpu);
enum ka_why km__debug_free(
    struct ka_slab *, uint32_t index, unsigned debug, unsigned cpu);
unsigned km__debug_usable(const struct ka_slab *, uint32_t index);
bool km__debug_trail(const void *addr, struct ka_trail *ret_trail);
void km__debug_large_alloc(
    char *p, size_t npages, bool guarded, unsigned debug);
/* With the guard's page, if it has one. */
void km__debug_large_free(char *p, size_t npages, unsigned debug);
/* Is the redzone as it was? */
bool km__debug_guard_holds(const char *p, size_t npages);
/* Pages that were just had: were they written since they were poisoned? Then
 * they are given back, and that is a panic; with nothing locked. */
bool km__debug_pages(const char *p, size_t npages);
void km__debug_pages_panic(char *p, size_t npages)
    __attribute__((noreturn, cold));
void km__debug_halt(void);

bool kmalloc__report(
    void (*report)(void *, const struct kalloc_leak *), void *arg);

#endif
