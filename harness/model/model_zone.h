/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the model of zones; only the files model_zone*.c include this.
 *
 *   model_zone.c        life cycle, dispatch, making and ending zones
 *   model_zone_limit.c  maximum, reserve, preallocation, reclaim, statistics
 *   model_zone_alloc.c  calls that allocate: what may come back
 *   model_zone_free.c   calls that free, and their misuse
 *   model_zone_items.c  items, their contents, callbacks
 *   model_zone_slabs.c  pages, slabs, sleepers
 *
 * See model_zone.c for the theory.
 */
#ifndef KALAB_MODEL_ZONE_H
#define KALAB_MODEL_ZONE_H

#include "model_int.h"

#define ZN_NO_LIMIT UINT64_MAX

enum mzone_kind {
	MZONE_UMA,
	MZONE_SECOND, /* of the slabs of another */
	MZONE_CACHE,  /* of pointers that are brought */
	MZONE_OLD     /* of the family of zinit */
};

/*
 * A zone; with the fields of its keg, the slabs, if it is no secondary.
 *
 * A past of a condition is kept as the last event at which it held: event
 * moves with every change, and a call asks whether it held since its begin.
 */
struct mzone {
	uint8_t kind;  /* enum mzone_kind */
	uint8_t class; /* TRACE_ZONE, TRACE_VMZONE */
	bool alive;
	bool described; /* it was certainly made */
	bool lowered;	/* its maximum was lowered once, in use */
	bool over;	/* and what was cached then may be still */
	bool max_race;	/* two changes of it were in flight at once */
	bool boot;	/* static items only */
	struct msleeps sleeps;
	uint64_t maxcache; /* UINT64_MAX: none, or nobody knows */
	bool told;	   /* maxaction was called, and nothing changed since */
	bool loose;	   /* its static items are not of whole granules */
	bool completed;	   /* it was, and grows by pages now */
	bool spoiled;	   /* a cache zone that was given what it had not */
	uint32_t reg;
	uint32_t counted; /* model_commit.c; 0: by no commit points */
	uint32_t keg;	  /* the zone with the slabs; 0: a cache zone */
	uint32_t hooks;	  /* bits of enum trace_hook */
	uint32_t flags;	  /* of its creation */
	uint64_t size;	  /* bytes of an item whose contents are kept */
	uint64_t align;	  /* bytes */
	uint64_t line;

	uint64_t max_lo, max_hi; /* in effect; apart while it changes */
	uint64_t items;		 /* that there are, of static memory alone */
	uint64_t max_event;	 /* moves when a change begins or ends */
	uint32_t maxers;	 /* changes in flight */

	uint64_t held;		/* certainly */
	uint64_t held_reserved; /* of them, allocated with USE_RESERVE */
	uint64_t tokens;	/* of a cache zone: brought, not released */
	uint64_t zinited;	/* items that its own init has, fini not */
	uint64_t requests, failures;
	uint64_t vague;	  /* requests that ended in a panic */
	uint64_t touched; /* CPUs that may cache items of it, a bit each */
	uint32_t allocs, frees; /* calls in flight */
	uint32_t waits;		/* of allocs, those that may sleep */
	uint32_t ops;		/* others that move items or limits */
	uint32_t ending;	/* destroys in flight */
	uint64_t event;
	uint64_t room_until; /* held was below the maximum */
	uint64_t full_until; /* it could be at the maximum */
	uint64_t free_until; /* of items of static memory not all were held */
	uint64_t gone_until; /* all of them could be */
	uint64_t wait_until; /* another could wait for an item */
	uint64_t op_until;   /* one of ops was in flight */
	/* Calls that began before the maximum was lowered may have as many
	 * units in hand as that allowed. */
	uint64_t lowered_at, early_until;
	uint32_t early; /* of allocs and frees */

	uint64_t capacity, rsize, ipers, ppera; /* what it says of itself */

	/* The keg. */
	uint64_t pages, pages_most;
	uint64_t gone; /* slabs so far, but those whose init had refused */
	uint64_t keg_held;
	uint64_t statics;		 /* items in static memory */
	uint64_t reserve_lo, reserve_hi; /* apart while it may be either */
	uint64_t reserve_set;		 /* m->activity then */
	uint32_t reservers;		 /* changes in flight */
	bool reserve_race;		 /* two were at once */
	uint64_t asked;			 /* slabs, by prealloc and reserve */
	uint64_t credit; /* allocations that need no page (ZN-14) */
	uint32_t credit_zone, credit_cpu;
	uint32_t zones;	     /* that share it and are alive */
	uint32_t taking;     /* calls in flight that took pages */
	uint64_t take_event; /* moves with that, pages and keg_held */
	uint64_t take_until; /* a slab could be on its way */
	uint32_t static_run;
	bool shared;  /* there was a secondary */
	bool tried;   /* somebody allocated or preallocated */
	bool sourced; /* its slabs come from functions, or may */
	bool used;    /* somebody has got an item */
	bool limited; /* a zone of it had a maximum */
	bool unbound; /* ZN-5 does not bound its pages */
};

enum mitem_state {
	MITEM_FREE,
	MITEM_OUT, /* constructed in a call that has not returned it yet */
	MITEM_HELD,
	MITEM_DYING, /* freed, and its destructor has not run yet */
	MITEM_CALL   /* init or fini is at it */
};

/* An item that was seen: of a slab, while the slab lives; or a token. */
struct mitem {
	uint64_t addr;
	uint64_t seed;	/* of what is in it while nobody holds it */
	uint32_t space; /* 0: memory; otherwise the cache zone of the token */
	uint32_t chain; /* another at the same address */
	uint32_t run;	/* of its slab */
	uint32_t next, prev; /* in the slab, the latest first */
	uint32_t object;     /* while it is held */
	uint32_t zone;	     /* that held it last */
	uint32_t zinit;	     /* the zone whose own init it has */
	uint16_t frame;	     /* OUT, DYING: of the call */
	uint8_t state;	     /* enum mitem_state */
	uint8_t bytes;	     /* enum mbytes */
	bool used;
	bool inited;
	bool finied;
	bool ctored;
	bool reserved; /* held, by an allocation with USE_RESERVE */
};

/* A run of pages of a zone. */
struct mslab {
	uint32_t keg;	   /* 0: of nobody that is known */
	uint32_t first;	   /* item */
	uint32_t frame;	   /* of the call that took it */
	uint64_t activity; /* of that call: it is unlike any other's */
	bool failed;	   /* init refused one of its items */
};

/* What a frame does for a zone, beyond struct mthread. */
struct mzframe {
	uint32_t zone;
	uint32_t item; /* in its hands: OUT or DYING */
	uint32_t cpu;
	bool moved; /* it began on another */
	uint64_t udata;
	uint64_t event, take_event, max_event; /* of zone and keg at begin */
	uint64_t begun;			       /* of the zone: when it joined */
	uint64_t max_new;
	bool lowers;			 /* and it is less than what it was */
	uint64_t reserve_lo, reserve_hi; /* of the keg at begin */
	uint64_t gone;			 /* the same */
	uint32_t keg_took;		 /* it took pages for this keg */
	bool joined;			 /* it is counted in allocs */
	bool taken;			 /* it is counted in frees */
	bool op;			 /* it is counted in ops */
	bool reserving; /* it is counted in the keg's reservers */
	bool has_slabs; /* of whose zone a source is to be set */
	bool refused;	/* a callback refused in it */
	bool ctor_refused, ctor_ran;
	bool told;     /* maxaction was called in it */
	bool gentle;   /* a reclaim that leaves what was preallocated */
	bool credited; /* it needs no page if it stays alone (ZN-14) */
	/* Also of frames in which other calls are. */
	uint8_t calling;   /* enum trace_hook + 1 of the callback that runs */
	uint32_t callitem; /* it is at */
};

struct mzn {
	struct mpool zone, item, slab, reg[2];
	struct mhash by_item;
	uint32_t item_free;
	struct mzframe frame[CALL_FRAMES_MAX];
};

static inline struct mzone *
zn_zone(const struct model *m, uint32_t i)
{
	return ((struct mzone *)m->zn->zone.base + i);
}

static inline struct mitem *
zn_item(const struct model *m, uint32_t i)
{
	return ((struct mitem *)m->zn->item.base + i);
}

static inline struct mslab *
zn_slab(const struct model *m, uint32_t run)
{
	return ((struct mslab *)m->zn->slab.base + run);
}

static inline struct mzframe *
zn_frame(const struct model *m, const struct mthread *th)
{
	return (&m->zn->frame[th - m->thread]);
}

static inline bool
zn_has(const struct mzone *z, enum trace_hook hook)
{
	return ((z->hooks >> hook & 1) != 0);
}

static inline struct mzone *
zn_keg(const struct model *m, const struct mzone *z)
{
	return (zn_zone(m, z->keg));
}

/* Items that its slabs and static memory have; 0 if its geometry is unknown. */
static inline uint64_t
zn_keg_items(const struct mzone *keg, uint64_t pages)
{
	return (keg->statics +
	    (keg->ppera == 0 ? 0 : pages / keg->ppera) * keg->ipers);
}

/* model_zone.c */
/* Zone of a register, alive or ended last; 0: none. */
uint32_t zn__zone_of(
    const struct model *, enum trace_class class, uint32_t handle);
/* "z3, items of 64 bytes" */
struct mtext zn__text(const struct model *, const struct mzone *);
/* Nothing else was in flight during the whole call. */
bool zn__was_sole(const struct model *, const struct mthread *);
/* Did the call end in something that th->expect allows? False: what it did is
 * unknown, or a finding. A panic that is allowed is counted. */
bool zn__outcome(struct model *, struct mthread *, const struct call *);
/* Call before held, calls in flight or the maximum change. */
void zn__moves(struct mzone *);
/* A call of allocs or frees begins, or ends. */
void zn__joins(struct mzone *, struct mzframe *);
void zn__parts(struct mzone *, const struct mzframe *);
/* An operation that moves items or limits begins, ends. */
void zn__op_begin(struct model *, struct mthread *);
void zn__op_end(struct model *, struct mthread *);

/* model_zone_limit.c */
void zn__max_begin(struct model *, struct mthread *, uint64_t max);
void zn__max_end(struct model *, struct mthread *, bool done);
void zn__limit_begin(struct model *, struct mthread *, const struct call *);
void zn__limit_end(struct model *, struct mthread *, const struct call *);
/* Does it still owe allocations without a page (ZN-14)? */
void zn__credit_spend(
    struct model *, struct mthread *, struct mzone *, struct mzframe *);

/* model_zone_alloc.c */
void zn__alloc_begin(struct model *, struct mthread *, const struct call *);
void zn__alloc_end(struct model *, struct mthread *, const struct call *);

/* model_zone_free.c */
void zn__free_begin(struct model *, struct mthread *, const struct call *);
void zn__free_end(struct model *, struct mthread *, const struct call *);

/* model_zone_items.c */
bool zn__items_init(struct mzn *);
void zn__items_fini(struct mzn *);
void zn__items_reset(struct model *);
/* Record of an address (space 0) or a token; 0: none. */
uint32_t zn__item_find(const struct model *, uint64_t addr, uint32_t space);
/* 0: no memory. */
uint32_t zn__item_make(
    struct model *, uint64_t addr, uint32_t space, uint32_t run);
void zn__item_drop(struct model *, uint32_t item);
/* The item of a zone at an address, made if it was never seen. 0: finding. */
uint32_t zn__item_at(
    struct model *, struct mthread *, const struct mzone *, uint64_t addr);
/* The zone may hand it out: nobody has it, and init came first. */
bool zn__item_is_ready(struct model *, struct mthread *, const struct mzone *,
    const struct mitem *);
/* It has what it had, or zero with zeroed. False: finding. */
bool zn__item_kept(struct model *, struct mthread *, const struct mzone *,
    const struct mitem *, bool zeroed);

/* model_zone_slabs.c */
/* Run of zones' pages at an address; 0: none. */
uint32_t zn__run_at(const struct model *, uint64_t addr);
bool zn__static_make(struct model *, struct mthread *, struct mzone *,
    uint64_t addr, uint64_t bytes);
void zn__static_end(struct model *, struct mzone *);
/* A static item that may share a granule with its neighbours: it is in no
 * bitmap, and any address of the memory may be one. */
bool zn__is_loose(const struct model *, const struct mzone *, uint64_t addr);
/* A slab of the keg may be on its way between page layer and keg: a call in
 * flight took one, or one may be wholly free and about to go. */
bool zn__slabs_move(const struct mzone *keg);
/* How deep the call may dig for pages. */
uint32_t zn__depth(const struct mthread *, const struct mzone *);
/* Some call waits in a callback: it may have units, slabs, items in hand. */
bool zn__somebody_is_suspended(const struct model *);
/* Call before what decides that changes. */
void zn__take_moves(struct mzone *keg);

#endif
