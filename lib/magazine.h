/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-CPU caches of pointers, after Bonwick's magazine layer: what objcache
 * and the zone allocator have in front of their shared parts.
 *
 * 1. Lineage. J. Bonwick and J. Adams, Magazines and Vmem, USENIX 2001, and
 *    DragonFly's kern_objcache.c. Areas of divergence: all magazines of a cache
 *    are made with it, so that no put ever needs memory; a magazine never
 *    leaves its cache, drains take objects out of it; a CPU's part can be
 *    closed from outside.
 *
 * 2. Nouns. A *magazine* is an array with a count of *rounds*. A *cache* has
 *    two magazines for each CPU, in the CPU's *slot*, and a shared *depot* of
 *    magazines, which are empty, or have rounds ("full"). A slot is *open*
 *    while its s_fast is its loaded magazine; a *closed* slot has a magazine
 *    there that is empty and has no capacity, so that every fast path falls
 *    through to the slow one without a test of its own.
 *
 * 3. States of a slot: 0 closed -> 1 open at the owner's slow paths, unless
 *    the cache is closed or slow; 1 -> 0 by visitors. Slot 0 (threads without
 *    CPU) and that of the spare CPU are never open.
 *
 * 4. Paths. Fast, in the CPU's section: pop or push in s_fast, count. Slow:
 *    under the CPU's lock the two magazines change roles; failing that, under
 *    the depot's lock as well, one is exchanged. A get that finds nothing then
 *    collects what CPUs without owner have.
 *
 * 5. Concurrency. s_fast and the loaded magazine belong to the owner's section
 *    while the slot is open, to the CPU's lock while it is closed; the rest of
 *    the slot to the CPU's lock. Order: depot, CPU. The depot comes first since
 *    a CPU that locks itself is in its section, where nothing may be locked.
 *    Who closes a cache first says so and then visits every CPU: a put that
 *    has not seen it is over before the visit, so that nothing gets into a
 *    slot after mag__close() has returned.
 *
 * 6. Invariants, checked by mag__audit():
 *    I-MG-1  rounds never exceed the capacity a magazine was made for
 *    I-MG-2  every magazine is in one slot or in the depot
 *    I-MG-3  a magazine has rounds exactly if it is on the depot's full list,
 *            if it is in the depot; no round is NULL
 *    I-MG-4  an open slot's s_fast is its loaded magazine
 *
 * 7. Failure: mag__init() only.
 *
 * 8. Observability: mag__sum(), through the statistics of its users.
 */
#ifndef KA_MAGAZINE_H
#define KA_MAGAZINE_H

#include "cpu.h"
#include "kmalloc_int.h"

struct magazine {
	uint32_t m_rounds, m_capacity;
	struct magazine *m_next; /* in the depot */
	void *m_object[];
};

/* What a closed slot has: nothing to pop, no room to push. */
extern struct magazine mag_none;

#define MAG_SLOT_STRIDE CPU_SLOT_STRIDE

struct mag_slot {
	struct magazine *s_fast; /* s_loaded while open, else &mag_none */
	uint64_t s_gets, s_puts; /* written by the owner, read by anybody */
	struct magazine *s_loaded, *s_previous; /* under c_lock */
} __attribute__((aligned(64)));
KA_STATIC_ASSERT(sizeof(struct mag_slot) == MAG_SLOT_STRIDE, "a slot a line");

/* mag__init() */
#define MAG_SHORTAGE 0x1u /* is closed while callers wait for pages, too */
#define MAG_SLOW     0x2u /* slots are never opened: every call is slow */

struct mag_cache {
	char *c_slots; /* first: the fast paths read it */
	/* Constant, but for the capacity, which changes seldom. */
	bool c_shortage;	/* MAG_SHORTAGE */
	bool c_slow;		/* MAG_SLOW; may be set until the first call */
	uint32_t *c_closed_too; /* NULL, or closed while that is not 0, too */
	uint32_t c_capacity;	/* in use; under c_lock */
	uint32_t c_made_for;	/* at most */
	uint32_t c_count;	/* magazines, of slots and depot */
	uint32_t c_bytes_each;
	char *c_magazines; /* the first of them */
	size_t c_bytes;	   /* of the block at c_slots */
	/* The depot: on lines that no fast path reads. */
	struct ka_mutex c_lock __attribute__((aligned(KA_CACHE_LINE)));
	struct magazine *c_full, *c_empty;
	uint32_t c_closed; /* by so many; changed with nothing locked */
} __attribute__((aligned(KA_CACHE_LINE)));

KA_INLINE struct mag_slot *
mag_slot(const struct mag_cache *cache, const struct ka_cpu *cpu)
{
	return ((struct mag_slot *)(void *)(cache->c_slots + cpu->c_slot));
}

/* Rounds are the owner's, but others may peek at them. */
KA_INLINE void
mag_set_rounds(struct magazine *m, uint32_t n)
{
	__atomic_store_n(&m->m_rounds, n, __ATOMIC_RELAXED);
}

/* Fast paths, in the CPU's section. False: take the slow path. */
KA_INLINE bool
mag_pop(struct mag_slot *slot, void **ret_object)
{
	struct magazine *m = KM_PEEK(slot->s_fast);
	uint32_t n = m->m_rounds;

	if (KA_UNLIKELY(n == 0))
		return (false);
	mag_set_rounds(m, n - 1);
	KM_ADD(slot->s_gets, 1);
	*ret_object = m->m_object[n - 1];
	return (true);
}

KA_INLINE bool
mag_push(struct mag_slot *slot, void *object)
{
	struct magazine *m = KM_PEEK(slot->s_fast);
	uint32_t n = m->m_rounds;

	if (KA_UNLIKELY(n >= m->m_capacity))
		return (false);
	m->m_object[n] = object;
	mag_set_rounds(m, n + 1);
	KM_ADD(slot->s_puts, 1);
	return (true);
}

/* Objects of a magazine by the object's size, as in UMA but for a smaller
 * maximum. */
uint32_t mag__capacity_of(size_t size);

/*
 * Makes a cache, with so many magazines in the depot beyond the two of each
 * CPU. The system must be up. Returns 0 or ENOMEM.
 */
int mag__init(
    struct mag_cache *, uint32_t capacity, uint32_t depot, unsigned flags);
/* Ends it. What is in it is forgotten: drain it before. */
void mag__fini(struct mag_cache *);

/*
 * The slow paths, with nothing locked: objects of the calling CPU, the depot
 * and CPUs without owner; room of the calling CPU and the depot. They open the
 * slot. Both count in the slot, as the fast paths do. mag__put() puts nothing
 * into a closed cache.
 */
enum mag_outcome {
	MAG_DONE,
	MAG_FULL,
	MAG_CLOSED
};
void *mag__get(struct mag_cache *);
enum mag_outcome mag__put(struct mag_cache *, void *object);

/*
 * Closes a cache: when it returns, no object gets into any slot or the depot
 * but by mag__depot_put(). Calls nest. Objects stay where they are.
 */
void mag__close(struct mag_cache *);
void mag__reopen(struct mag_cache *);
/* The rest of it, after *c_closed_too was counted up. */
void mag__close_slots(struct mag_cache *);
/* Is it closed, by whatever reason? */
bool mag__is_closed(struct mag_cache *);

/*
 * Draining: takes up to max objects of a CPU, or with NULL of the depot.
 * Nothing may be locked; the CPU's slot is closed until its owner's next slow
 * path. Returns how many; counts nothing.
 */
unsigned mag__take(
    struct mag_cache *, struct ka_cpu *, void **objects, unsigned max);

/* The depot's lock, and what may be done under it. Nothing here is counted. */
void mag__lock(struct mag_cache *);
void mag__unlock(struct mag_cache *);
void *mag__depot_get(struct mag_cache *);
bool mag__depot_put(struct mag_cache *, void *object);
/* One object of the depot, else of any CPU; NULL: at this instant nothing is
 * in the cache, provided that it is closed. */
void *mag__take_any(struct mag_cache *);

/* Lets magazines hold less than they were made for, or as much again. What
 * they hold beyond stays: drain. 0: nothing is cached. Nothing locked. */
void mag__set_capacity(struct mag_cache *, uint32_t capacity);

/* Sums over CPUs: exact at quiescence. While others get and put, gets less puts
 * is no less than what was held at some instant of the call. */
struct mag_sum {
	uint64_t gets, puts, cached;
};
void mag__sum(struct mag_cache *, struct mag_sum *ret_sum);
/* With mag__lock() held. */
void mag__sum_locked(struct mag_cache *, struct mag_sum *ret_sum);

/* Checks the invariants, as vm_page_audit(). */
const char *mag__audit(struct mag_cache *, const char **ret_found);
/* Every object in it, for audits: no other thread may be in the library. */
void mag__each(
    struct mag_cache *, void (*fn)(void *arg, void *object), void *arg);

#endif
