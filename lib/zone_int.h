/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The zone allocator's private parts; the theory is in zone.c. What other
 * modules may call has two underscores.
 *
 *   zone_slab.c   slabs: where items are, and who holds them
 *   zone_keg.c    kegs: slabs of one kind of items, shared by zones
 *   zone.c        zones: limits, caches, callbacks, waiting
 *   zone_audit.c  statistics, halt report, auditor
 *   uma.c zinit.c the two front ends
 */
#ifndef KA_ZONE_INT_H
#define KA_ZONE_INT_H

#include <kalloc/uma.h>
#include <kalloc/zone.h>

#include "kmalloc_int.h"
#include "magazine.h"
#include "vm_page_int.h"

#define ZONES_MAX  1023u
#define ZONE_BATCH 128u /* items that move at one time */

/*
 * Owner words: one for each 8 bytes of the arena, where an item may begin; in
 * slabs outside of the arena one for each item.
 */
#define ZONE_WORD_NONE 0u      /* no item begins here */
#define ZONE_WORD_FREE 0xffffu /* an item that nobody holds */
/* Anything else: the id of the zone whose user holds the item. */
#define ZONE_ID_NONE 0xfffeu /* matches no word */

#define ZONE_GRANULE 8u

/*
 * What the fast paths need of the arena; all zero while no system runs. An
 * item's address is a multiple of 8, so that a quarter of it is the distance of
 * its word from that of address 0, in bytes; compilers see that.
 */
struct zone_arena {
	uintptr_t a_base;
	uint64_t a_granules;
	uint16_t *a_words;
	uintptr_t a_word_0;
};
extern struct zone_arena zone_arena;
KA_STATIC_ASSERT(ZONE_GRANULE / sizeof(uint16_t) == 4, "a quarter");

/* The index of an address's owner word. False: it is not in the arena, or not
 * aligned: the bits that should be 0 become the highest ones. */
KA_INLINE bool
zone_word_index(const void *p, uint64_t *ret_index)
{
	uint64_t off = (uintptr_t)p - zone_arena.a_base;

	*ret_index = off / ZONE_GRANULE | off << 61;
	return (*ret_index < zone_arena.a_granules);
}

KA_INLINE uint16_t *
zone_word(const void *p)
{
	uint64_t i;

	return (zone_word_index(p, &i) ? &zone_arena.a_words[i] : NULL);
}

/* States of a slab, changed under its keg's lock. */
enum zone_slab_state {
	ZONE_SLAB_NONE,	   /* no slab, or between page layer and keg */
	ZONE_SLAB_PARTIAL, /* some item is free, some is not */
	ZONE_SLAB_FULL,	   /* no item is free */
	ZONE_SLAB_WHOLE,   /* all items are free */
	ZONE_SLAB_STATES
};

#define ZONE_SLAB_OUTSIDE 0x1u /* memory is not the page layer's */
#define ZONE_SLAB_STATIC  0x2u /* memory is the caller's: stays */

#define ZONE_PAGE_ITEMS 512u /* of a slab in the arena, at most */

/*
 * A slab: of the arena's, one for each page, used for the first page of a
 * slab. Those outside have theirs, with words and bits, in a block of their
 * own, and are found through a treap.
 */
struct zone_slab {
	struct zone_slab *sl_next, **sl_prev; /* on one of the keg's lists */
	struct zone_keg *sl_keg;
	char *sl_base;	    /* first item */
	uint16_t *sl_words; /* its owner word */
	uint64_t *sl_bits;  /* a bit an item: it is free, in the slab */
	size_t sl_bytes;    /* outside: of items, for the treap */
	uint32_t sl_stride; /* bytes from item to item */
	uint32_t sl_step;   /* words from item to item */
	uint32_t sl_items;  /* in all */
	uint32_t sl_nfree;  /* bits that are set */
	uint32_t sl_hint;   /* no bit is set in words of bits before it */
	uint8_t sl_state;   /* enum zone_slab_state */
	uint8_t sl_unused;  /* preallocated, and nothing taken since */
	uint8_t sl_flags;   /* ZONE_SLAB_; constant */
	size_t sl_block;    /* outside: bytes of this block */
	struct zone_slab *sl_left, *sl_right; /* outside: the treap */
	uint64_t sl_own_bits[ZONE_PAGE_ITEMS / 64];
};

struct zone_keg {
	struct ka_mutex k_lock;
	struct ka_chan k_chan; /* k_event moved */
	struct zone_slab *k_list[ZONE_SLAB_STATES];
	uint64_t k_slabs;   /* on the lists, without static ones */
	uint64_t k_moving;  /* being initialised or finalised */
	uint64_t k_bound;   /* of k_slabs + k_moving (ZN-5) */
	uint64_t k_asked;   /* slabs that prealloc and reserve asked for */
	uint64_t k_items;   /* of slabs on the lists */
	uint64_t k_free;    /* of them free */
	uint64_t k_reserve; /* items for M_USE_RESERVE only */
	uint64_t k_filling; /* items that preallocations under way ask for */
	uint64_t k_pre;	    /* preallocated items not yet taken */
	uint64_t k_event;   /* something changed for who waits for room */
	uint32_t k_waiters;
	uint32_t k_closed; /* its zones' caches are, for so many that wait */
	uint32_t k_zones;  /* that share it; under zone_lock */
	uint8_t k_used;	   /* items were taken */
	uint8_t k_grows;   /* by slabs; otherwise static items only */
	uint8_t k_nofree;
	/* Constant. */
	size_t k_size, k_rsize, k_align;
	uint32_t k_ipers, k_ppera;
	uma_init *k_init;
	uma_fini *k_fini;
	uma_alloc *k_allocf;
	uma_free *k_freef;
	struct uma_zone *k_zone; /* whose it is */
};

/* What an attempt came to. */
enum zone_result {
	ZONE_GOT,
	ZONE_AT_MAX,   /* the zone's maximum */
	ZONE_NO_PAGES, /* the page layer refused */
	ZONE_NO_ROOM,  /* the keg has as many slabs as its zones allow */
	ZONE_REFUSED,  /* a callback refused */
	ZONE_END       /* the zone does not grow */
};

/* An attempt: what is wanted, and what to wait for when it fails. */
struct zone_request {
	struct uma_zone *zr_zone;
	int zr_flags;
	uint64_t zr_prealloc;	    /* not 0: so many free items, no item */
	void *zr_item;		    /* result of ZONE_GOT */
	enum vm_observe zr_verdict; /* of ZONE_NO_PAGES */
	bool zr_met_max, zr_slept;
};

/* z_state */
enum zone_state {
	ZONE_FREE,
	ZONE_MAKING,
	ZONE_LIVE,
	ZONE_ENDING
};

/* z_flags */
#define ZF_CACHED 0x01u /* z_cache exists */
#define ZF_IMPORT 0x04u /* a cache zone: pointers are not looked at */
#define ZF_OLD	  0x10u /* of zinit's family */
#define ZF_STATIC 0x20u /* lives through halts */

struct uma_zone {
	/* Hot. */
	struct mag_cache z_cache;
	uint32_t z_open;    /* ZONE_OPEN: uma_zalloc() may be fast */
	uint16_t z_fast_id; /* z_id, or ZONE_ID_NONE: no fast uma_zfree() */
	uint16_t z_id;
	/* Constant, but for z_arena before the first allocation: who walks over
	 * all zones does not look at it. */
	bool z_arena; /* every item that it caches is the arena's */
	uint32_t z_flags;
	struct zone_keg *z_keg; /* NULL: ZF_IMPORT */
	const char *z_name;
	size_t z_size;
	uma_ctor *z_ctor;
	uma_dtor *z_dtor;
	uma_init *z_init; /* zinit, zfini */
	uma_fini *z_fini;
	uma_import *z_import;
	uma_release *z_release;
	void *z_arg;
	uint32_t z_uma_flags, z_old_flags;
	int z_alloc_flags; /* of zalloc() */
	struct vm_zone *z_storage, z_old;
	/* Under z_lock. */
	struct ka_mutex z_lock;
	struct ka_chan z_chan; /* z_event moved */
	uint64_t z_max;	       /* 0: none */
	uint64_t z_count;      /* items outside of the keg */
	uint64_t z_event;      /* z_count fell, or z_max rose */
	uint32_t z_sleepers;   /* at the maximum */
	bool z_over;	       /* z_count > z_max: closed since */
	uint64_t z_maxcache;   /* UINT64_MAX: none */
	uint64_t z_trim_gets;  /* allocations until the last TRIM */
	const char *z_warning;
	uint64_t z_warned; /* at; 0: never */
	uma_maxaction *z_maxaction;
	/* Shared: what passed by the caches. */
	uint64_t z_gets, z_puts;
	uint64_t z_failures;	  /* calls that got no item ... */
	uint64_t z_ctor_failures; /* and those whose ctor refused it */
	uint64_t z_sleeps;
	uint32_t z_bucket; /* capacity now */
	struct zone_keg z_own_keg;
	/* Under zone_lock; last: outlive what is above. */
	uint32_t z_state;
	uint32_t z_refs; /* walkers that are at it */
};

extern struct uma_zone zone_table[ZONES_MAX];
extern struct ka_mutex zone_lock; /* z_state, z_refs, k_zones */
extern unsigned zone_high;	  /* greatest id in use since boot */
struct uma_zone *zone__at(unsigned id);

/* ---- The fast paths --------------------------------------------------- */

#define ZONE_FAMILY (M_RNOWAIT | M_WAITOK)
#define ZONE_FAST_FLAGS                                                        \
	(ZONE_FAMILY | M_USE_RESERVE | M_NULLOK | M_USE_INTERRUPT_RESERVE)
#define ZONE_VALID_FLAGS (ZONE_FAST_FLAGS | M_ZERO)
/*
 * For flags - 1, as KM_NOT_FAST in kmalloc.c; but the highest bit, which no
 * valid flags have, is turned over, so that what is compared with z_open is not
 * 0: memory that is no zone, and all zero, is not open.
 */
#define ZONE_NOT_FAST (2u | ~(unsigned)ZONE_FAST_FLAGS)
#define ZONE_OPEN     0x80000000u
#define ZONE_CLOSED   1u /* equal to nothing under the mask */
KA_STATIC_ASSERT((ZONE_NOT_FAST & ZONE_CLOSED) == 0, "no flags open it");

KA_INLINE bool
zone_is_fast(const struct uma_zone *zone, int flags)
{
	return (((((unsigned)flags - 1) ^ ZONE_OPEN) & ZONE_NOT_FAST) ==
	    zone->z_open);
}

void zone__twice(struct uma_zone *, void *item) __attribute__((noreturn, cold));

/*
 * Takes an item of the CPU's magazine, which becomes the caller's, if the zone
 * is ZF_CACHED and has z_arena. An item that is owned although it was cached was
 * freed twice at one time, on two CPUs.
 */
KA_INLINE bool
zone_pop(struct uma_zone *zone, void **ret_item)
{
	struct ka_cpu *cpu = ka_section_enter();
	uint16_t *word;
	void *item;

	if (KA_UNLIKELY(!mag_pop(mag_slot(&zone->z_cache, cpu), &item))) {
		ka_section_exit(cpu);
		return (false);
	}
	word = (uint16_t *)(zone_arena.a_word_0 +
	    (uintptr_t)item / ZONE_GRANULE * 2);
	if (KA_UNLIKELY(KM_PEEK(*word) != ZONE_WORD_FREE)) {
		ka_section_exit(cpu);
		zone__twice(zone, item);
	}
	ka_store(word, zone->z_id, RELAXED);
	ka_section_exit(cpu);
	*ret_item = item;
	return (true);
}

/* Puts an item that the zone's user holds; false: take the slow path. */
KA_INLINE bool
zone_push(struct uma_zone *zone, void *item, uint16_t id)
{
	struct ka_cpu *cpu;
	uint16_t *word;
	uint64_t i;
	bool done;

	if (KA_UNLIKELY(!zone_word_index(item, &i)))
		return (false);
	word = &zone_arena.a_words[i];
	cpu = ka_section_enter();
	done = KA_LIKELY(KM_PEEK(*word) == id) &&
	    KA_LIKELY(mag_push(mag_slot(&zone->z_cache, cpu), item));
	if (done)
		ka_store(word, (uint16_t)ZONE_WORD_FREE, RELAXED);
	ka_section_exit(cpu);
	return (done);
}

/* ---- zone_slab.c ------------------------------------------------------ */

int zone__slab_boot(size_t pages);
void zone__slab_halt(void);
/* Finds a zone's slab. Outside of the arena its lock is held until
 * zone__unfind(). NULL: no slab. */
struct zone_slab *zone__find(const void *p);
void zone__unfind(const struct zone_slab *);
/* The item that contains an address: false if there is none. */
bool zone__index(const struct zone_slab *, const void *p, size_t *ret_index,
    bool *ret_start);
KA_INLINE char *
zone_item(const struct zone_slab *slab, size_t index)
{
	return (slab->sl_base + index * slab->sl_stride);
}
KA_INLINE uint16_t *
zone_item_word(const struct zone_slab *slab, size_t index)
{
	return (&slab->sl_words[index * slab->sl_step]);
}
/* Changes an item's owner word from one value to another; false: it was not
 * that one, or there is no such item. */
bool zone__claim(const void *item, uint16_t from, uint16_t to);
/* Makes a slab whose items are initialised and that is on no list. */
enum zone_result zone__slab_make(struct zone_keg *, int flags,
    struct zone_slab **ret_slab, enum vm_observe *ret_verdict);
/* The same in static memory. NULL: no memory, refused, or overlapping. */
struct zone_slab *zone__slab_static(struct zone_keg *, char *base, size_t items,
    size_t stride, bool *ret_overlap);
/* Finalises the items and gives the memory back. */
void zone__slab_end(struct zone_slab *);
const char *zone__slab_audit(const char **ret_found);
unsigned zone__depth(int flags);

/* ---- zone_keg.c ------------------------------------------------------- */

void zone__keg_layout(struct zone_keg *, size_t size, size_t align);
void zone__keg_init(struct zone_keg *, struct uma_zone *);
void zone__keg_fini(struct zone_keg *);
/* Under k_lock: items of a new slab can be had from now on. */
void zone__keg_publish(struct zone_keg *, struct zone_slab *);
/* Up to want items that are nobody's. */
enum zone_result zone__keg_get(struct zone_keg *, struct zone_request *,
    void **store, unsigned want, unsigned *ret_n);
enum zone_result zone__keg_prefill(struct zone_keg *, struct zone_request *);
/* Items go back; returns one that was back already, or NULL. */
void *zone__keg_put(struct zone_keg *, void **store, unsigned n);
/* Those who wait for pages look again: items or slabs are to be had. */
void zone__kick(void);
/* Waiting for items, or room for a slab: until the event count moves. */
uint64_t zone__keg_event(struct zone_keg *);
void zone__keg_wait(struct zone_keg *, uint64_t event);
/* Sets how many slabs the zones' maxima need; UINT64_MAX: any number. */
void zone__keg_bound(struct zone_keg *, uint64_t slabs);

enum zone_keep {
	ZONE_KEEP_UNUSED,  /* and the reserve */
	ZONE_KEEP_RESERVE, /* also when NOFREE: nothing goes */
	ZONE_KEEP_NOTHING  /* the end of the keg */
};
/* Wholly free slabs go back. */
void zone__keg_reclaim(struct zone_keg *, enum zone_keep);
/* Forgets all slabs but static ones, without callbacks. */
void zone__keg_drop(struct zone_keg *);

/* ---- zone.c ----------------------------------------------------------- */

/* What a new zone is made of. */
struct zone_spec {
	const char *name;
	size_t size, align;
	uma_ctor *ctor;
	uma_dtor *dtor;
	uma_init *init; /* of the keg; of a secondary or cache zone: zinit */
	uma_fini *fini;
	uma_import *import;
	uma_release *release;
	void *arg;
	struct uma_zone *primary;
	uint32_t uma_flags, flags; /* ZF_ */
	char *arena;		   /* static items, and how many */
	size_t items, stride;
};
struct uma_zone *zone__create(const struct zone_spec *);
void zone__destroy(struct uma_zone *);
void zone__check(const struct uma_zone *, const char *caller);
void *zone__alloc(struct uma_zone *, void *udata, int flags);
void *zone__alloc_last(struct uma_zone *, int flags);
/* As uma_zfree_arg(), but not fast and not for NULL. */
void zone__free(struct uma_zone *, void *item, void *udata, const char *);
void zone__set_max(struct uma_zone *, uint64_t max);
void zone__set_bucket(struct uma_zone *);
void zone__set_source(struct uma_zone *, uma_alloc *, uma_free *);
void zone__prealloc(struct uma_zone *, uint64_t items);
void zone__rebound(struct zone_keg *);
void zone__drain(struct uma_zone *);
void zone__reclaim(struct uma_zone *, int req);
/* Calls fn for every zone that lives; it may end or make zones. */
void zone__each(void (*fn)(struct uma_zone *, void *arg), void *arg);
uint64_t zone__held(struct uma_zone *);
uint64_t zone__used(struct uma_zone *);

int zone__boot(size_t pages);
/* Ends all zones but static ones; force: without callbacks. */
void zone__halt(bool force);
#ifdef KA_PORT_SIM
void zone__forget(void);
#endif
bool zone__report(
    void (*report)(void *, const struct kalloc_leak *), void *arg);
/* Gives back what all zones cache and do not need. */
void zone__reclaim_all(void);

#endif
