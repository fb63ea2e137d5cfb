/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the model. Nothing outside of harness/model includes this.
 *
 * Functions by the file that defines them; all take the model first:
 *
 *   model_pool.c      tables that grow, the hash of addresses
 *   model_contents.c  fill, verify, zero
 *   model_live.c      objects by address, the bitmap of what is live
 *   model_pages.c     the page monitor, vm_page_alloc and vm_page_free
 *   model_type.c      malloc types, statistics, limits
 *   model_kmalloc.c   calls that allocate: kmalloc and its kin, krealloc
 *   model_free.c      calls that free or name an address, and their misuse
 *   model_hit.c       calls that what is shared has no part in
 *   model_objcache.c  objcaches
 *   model_mpipe.c     mpipes
 *   model_zone.c      zones of both interfaces; see model_zone.h
 *   model_finding.c   what is said when a clause is broken
 *   model.c           life cycle, dispatch, sleepers, end of run, clauses
 *
 * See model.c for the theory.
 */
#ifndef KALAB_MODEL_INT_H
#define KALAB_MODEL_INT_H

#include <inttypes.h>

#include <kalloc/flags.h>

#include "model.h"

/* Always on: a model that is wrong must not judge. */
#define MODEL_ASSERT(e)                                                        \
	((e) ? (void)0 : model__assert_failed(#e, __FILE__, __LINE__))
void model__assert_failed(const char *what, const char *file, int line)
    __attribute__((noreturn, cold));

#define MODEL_LIKELY(e)	  __builtin_expect(!!(e), 1)
#define MODEL_UNLIKELY(e) __builtin_expect(!!(e), 0)

/* Of what is found by an index many times a call: its size, a power of two, so
 * that it is found by a shift. */
#define MODEL_INDEXED(size) __attribute__((aligned(size)))

/* Why a call ended in a panic: the numbers of flags.h. */
enum model_why {
#define MODEL_WHY(id, name, text) MODEL_WHY_##id,
	KA_WHY_TABLE(MODEL_WHY)
#undef MODEL_WHY
	MODEL_WHY_COUNT
};

/* A set of them; WHY(NONE) is a normal return. */
#define WHY(id)	  (UINT32_C(1) << MODEL_WHY_##id)
#define WHY_STALE (WHY(DOUBLE_FREE) | WHY(INTERIOR) | WHY(FOREIGN))

_Static_assert(MODEL_WHY_COUNT <= 32, "a set of reasons is 32 bits");

#define PAGE		((uint64_t)KA_PAGE_SIZE)
#define GRANULE		8u /* of the bitmap of what is live */
#define REGION_SHIFT	16 /* 64 KiB */
#define REGION_PAGES	16u
#define REGION_GRANULES ((1u << REGION_SHIFT) / GRANULE)
#define PAGE_WORDS	(KA_PAGE_SIZE / GRANULE / 64u)
#define REGION_WORDS	(REGION_PAGES * PAGE_WORDS)
#define ZERO_PTR	((uint64_t)-8) /* ZERO_LENGTH_PTR */

_Static_assert((UINT64_C(1) << REGION_SHIFT) == REGION_PAGES * PAGE,
    "a region is 16 pages");

/* A table that grows by doubling and never moves back to the system. */
struct mpool {
	void *base;
	size_t elem;   /* bytes of one */
	size_t cap;    /* in elements */
	uint32_t high; /* first index never used in this run; 0 is null */
};

/* Address -> index. A slot of another epoch is empty: reset costs nothing. */
struct mslot {
	uint64_t key;
	uint32_t index;
	uint32_t epoch;
};
struct mhash {
	struct mslot *slot;
	size_t mask;
	unsigned bits;
	unsigned shift;	     /* 64 - bits */
	uint32_t used, room; /* it grows when so many are used */
};

/* A live object, or one in transit; or a run of pages of the trace. */
struct mobject {
	uint64_t addr;
	uint64_t usable; /* bytes that are filled; charged to the type */
	uint64_t requested;
	uint64_t seed; /* of the pattern; never the same twice in a run */
	uint64_t line;
	uint32_t type; /* index of a type; 0 for runs */
	uint32_t link; /* FREE: the next one; else the region that it begins
	                  in, by which it need not be looked for; 0: unknown */
	uint16_t thread;
	uint8_t state; /* enum mobject_state */
	uint8_t run;
	uint8_t bytes;	 /* enum mbytes: what is in it */
	uint8_t owner;	 /* enum trace_class: see model_object */
	bool kept;	 /* a cache or pipe has it, and nobody holds it */
	uint8_t stage;	 /* enum mstage: of an object of a cache or pipe */
	uint32_t handle; /* of the owner */
	uint8_t inside;	 /* enum mbytes, of a pipe's: in the bytes asked for */
};
enum mbytes {
	MBYTES_PATTERN, /* of the seed */
	MBYTES_ZERO,
	MBYTES_OPEN /* nobody knows */
};
/* What the cache or pipe has done with its object. */
enum mstage {
	MSTAGE_NONE,	/* of no cache or pipe */
	MSTAGE_RAW,	/* came from the backend or kmalloc */
	MSTAGE_REFUSED, /* its constructor refused */
	MSTAGE_READY,	/* constructed; anybody may get it */
	MSTAGE_HELD,
	MSTAGE_ENDING, /* objcache_dtor() has it */
	MSTAGE_ENDED,  /* its destructor ran */
	MSTAGE_FREEING /* on its way back to kmalloc */
};
enum mobject_state {
	MOBJECT_FREE,
	MOBJECT_LIVE,
	MOBJECT_TRANSIT
};

/* Who holds a run of pages. */
enum mowner {
	MOWNER_KMALLOC,
	MOWNER_TRACE, /* vm_page_alloc of the trace */
	MOWNER_ZONE,  /* a zone's slabs: class and handle tell whose */
	MOWNER_TYPE,  /* taken while a type was declared: may hold anything */
	MOWNER_BOOT   /* taken outside of calls */
};

/* What the page layer gave out at once. */
struct mrun {
	uint64_t addr;
	uint64_t span;	 /* pages that it had */
	uint64_t npages; /* of them, still held */
	uint64_t live;	 /* granules of live objects in it */
	uint32_t next;	 /* free list */
	uint8_t owner;
	uint8_t used;
	uint8_t class;	 /* ZONE: TRACE_ZONE or TRACE_VMZONE */
	uint32_t handle; /* ZONE: its register */
	uint32_t cpu;	 /* KMALLOC: that it is likely a slab of */
	uint64_t moves;	 /* the same: m->moves then */
} MODEL_INDEXED(64);

/* 64 KiB of addresses, aligned. Masks have a bit a page. */
struct mregion {
	uint64_t key;		 /* addr >> REGION_SHIFT */
	uint16_t kmalloc, trace; /* held by */
	uint16_t full;		 /* live as a whole: its bits are not set */
	uint16_t dirty;		 /* bits may be set below */
	uint32_t run[REGION_PAGES];
	/* A bit a granule. One word more: two are read at a time. */
	uint64_t live[REGION_WORDS + 1]; /* in a live object */
	uint64_t freed[REGION_WORDS];	 /* where a freed object began */
};

/*
 * A malloc type. What is certain is exact; calls in flight make intervals:
 * usage is at least memuse and at most memuse + alloc_bytes + free_bytes.
 */
struct mtype {
	uint64_t calls, inuse, memuse;
	uint64_t alloc_bytes, free_bytes; /* of calls in flight */
	uint64_t limit_lo, limit_hi;	  /* apart while a raise is in flight */
	uint64_t charge_max; /* largest charge that was asked for */
	uint64_t events;     /* moves when a call begins on it */
	uint64_t full_at;    /* with views: when it was last at its limit */
	uint32_t flying;     /* calls in flight that will be counted */
	uint32_t free_count; /* of calls in flight */
	uint32_t reg;
	uint32_t first;	 /* thread + 1: allocations in flight */
	uint32_t ending; /* destroys in flight */
	bool alive, heap;
	/* For KM-1, see model_hit.c: allocations that it certainly has left
	 * until the next test of its limit, and of what. */
	bool hit_opaque;
	uint8_t hit_cpu;
	uint32_t hit_size, hit_left;
	uint64_t hit_classes; /* of chunks, that it ever used */
	uint64_t hit_granted; /* bytes at most, that were tested so far */
} MODEL_INDEXED(128);
_Static_assert(sizeof(struct mtype) == 128, "see MODEL_INDEXED");

/*
 * The call that a thread is in. What every call needs zeroed comes first; the
 * rest is set by who uses it.
 */
struct mthread {
	/* zeroed when a call begins */
	bool busy, asleep;
	bool may_sleep;
	bool skip;	 /* not judged */
	bool misuse;	 /* the call is to panic, or to do nothing */
	bool allocating; /* its request was rounded and joined its type */
	bool listed;	 /* in the type's list */
	bool overflow;	 /* the size cannot be had (KM-15) */
	bool limit_seen; /* usage may have been at the limit (KM-6) */
	bool stale;	 /* a free of an address that was not live */
	bool contested;	 /* a race of the trace: its contents are open */
	bool guessed;	 /* that a stale free ended its object */
	bool page_failed, page_hard; /* a page allocation of the call */
	bool got_lost;	/* what vm_page_alloc got was freed by another */
	bool freed_run; /* vm_page_free did */
	uint64_t addr;	/* that the call frees, resizes or asks about */
	uint64_t seed;	/* of the object at addr when the call began */
	uint64_t requested, charge;
	uint32_t object; /* in transit */
	uint32_t flags;
	uint64_t got_addr;
	uint32_t nested_why; /* panics that calls of the frame above ended in */
	/* Counts of commit points, 0: none; see model_commit.c. */
	uint32_t counted; /* that the call began */
	uint32_t full;	  /* that the call has found full */
	bool no_room;	  /* a keg had as many slabs as it may have */
	bool suspended;	  /* its thread is in a call of a frame above */
	bool slept;	  /* the call itself, not one of a frame above */
	/* Calls of caches that wait for this one, a zone's: all that they have
	 * of the zone is held. */
	uint8_t caches_below;
	/* set when a call begins */
	uint16_t code, id;
	uint32_t expect;     /* set of enum model_why */
	uint32_t type;	     /* index; 0: none */
	uint32_t next, prev; /* thread + 1, in the type's list */
	uint32_t fail_flags;
	bool quiet;	    /* nobody else was active then, but caches below */
	uint8_t class;	    /* of handle, in a call of the other allocators */
	bool fail_injected; /* of page_failed: the laboratory's doing */
	uint32_t handle;
	uint64_t line;
	uint32_t cpu;	    /* of the whole call; UINT32_MAX: of no one */
	uint64_t activity;  /* of the model when the call began */
	uint64_t disturbed; /* the same */
	uint32_t hit_size;  /* of the chunk that it frees; 0: it frees none */
	/* set where they mean something */
	uint64_t align;
	uint64_t lower_min; /* least that the type's usage certainly was */
	uint64_t events;    /* of the type, when the call began */
	uint64_t limit_lo;
	uint64_t fail_pages, fail_align;
	union {
		uint64_t got_pages;
		uint64_t held; /* of the model, when a trim began */
	};
} MODEL_INDEXED(256);
_Static_assert(sizeof(struct mthread) == 256, "see MODEL_INDEXED");
#define MTHREAD_ZEROED 80u
_Static_assert(offsetof(struct mthread, code) == MTHREAD_ZEROED,
    "what is zeroed is five vectors");

/* Calls of a cache, pipe or zone that have slept, and those that may have been
 * counted as such and did not. */
struct msleeps {
	uint64_t slept, vague;
};

/* A stale free returned: an allocation in flight must return this. */
#define STOLEN_MAX 16u
struct mstolen {
	uint64_t addr, line;
	uint32_t type, thread;
};

/* The slab that a CPU takes chunks of a size from. What is known of it is of
 * the time since which nothing has disturbed it. */
#define HIT_SIZES 8u /* that are known at a time */
struct mhot {
	uint64_t since;
	uint64_t region; /* of the last chunk */
	uint32_t size;
	uint32_t chunks; /* given back to it and not taken again, at least */
};
/* A CPU's magazine of a cache, in the same way. */
#define HIT_MAGS 64u
struct mmag {
	uint64_t since;
	uint32_t handle, cpu;
	uint32_t rounds, room; /* at least */
};
struct mhit {
	uint64_t disturbed; /* moves when what is known no longer is */
	struct mhot hot[TRACE_CPUS_MAX][HIT_SIZES];
	struct mmag mag[HIT_MAGS];
};

struct model {
	struct model_config config;
	bool judging;
	bool has_finding;
	bool writing; /* the finding that is being said */
	uint32_t epoch;
	uint64_t allocs;   /* seeds are made of it */
	uint64_t base;	   /* addresses are shown relative to it */
	uint64_t activity; /* moves when a call begins or a sleeper wakes */
	uint32_t inflight, sleeping, nstale;
	uint32_t frames; /* one past the last that was used */
	uint32_t object_free, run_free;
	uint32_t nstolen;
	uint32_t types_used;   /* alive, or ended with objects */
	uint64_t held;	       /* pages */
	uint64_t held_kmalloc; /* of them, by kmalloc and its types */
	uint64_t runs_empty;   /* runs of kmalloc without a live object */
	uint64_t moves;	       /* times that slabs may have changed CPUs */
	bool exited; /* a CPU may have no owner: anybody's call takes what it
	                has, and it is visited at any time */
	struct mpool object, run, region, type, typereg, sort;
	struct mhash by_addr, by_region;
	struct mstolen stolen[STOLEN_MAX];
	struct model_counts counts;
	struct finding finding;
	struct mhit hit;
	struct mthread thread[CALL_FRAMES_MAX];
	/* The other allocators, each behind the functions of its file. */
	struct moc *oc;		/* model_objcache.c */
	struct mmp *mp;		/* model_mpipe.c */
	struct mzn *zn;		/* model_zone.c */
	struct mcommit *commit; /* model_commit.c */
};

/* Text that is returned by value, for arguments of printf. */
struct mtext {
	char s[160];
};

/* model.c */
/* No other thread was active from the call's beginning until now. */
bool model__was_alone(const struct model *, const struct mthread *);
/* A chunk for the call; near: that it reaches without waiting. */
bool model__chunk_could_be_had(
    struct model *, const struct mthread *, bool near);

/* The call ends: has it slept? May it have been about to? */
static inline void
model__count_sleep(struct msleeps *s, const struct mthread *th, bool vague)
{
	s->slept += th->slept;
	s->vague += !th->slept && vague;
}
/* Is the number of sleeps one that it may be? Otherwise finding. */
void model__sleeps_hold(struct model *, enum trace_class, uint32_t handle,
    const struct msleeps *, uint64_t found);

/* model_commit.c */
bool model__commit_init(struct model *);
void model__commit_fini(struct model *);
void model__commit_reset(struct model *);
/* The count of what the call has made; 0: there is none. */
uint32_t model__counted(
    const struct model *, struct mthread *, enum model_commit_kind);
/* So many are held: no fewer are counted. */
void model__count_covers(struct model *, const struct mthread *,
    uint32_t counted, uint64_t held, const char *of);

/* model_finding.c */
extern const char *const model__op_name[TRACE_OP_COUNT];
const char *model__why_name(unsigned why);
/* A finding outside of calls, with a name for what was going on. */
void model__fail_outside(struct model *, const char *clause,
    const char *operation, const char *state);
/* Starts the finding; then say what was expected and what was found. th may
 * be NULL: the end of the run. */
void model__fail(struct model *, const struct mthread *th, const char *clause,
    const char *state);
void model__expected(struct model *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void model__found(struct model *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct mtext model__addr_text(const struct model *, uint64_t addr);
struct mtext model__object_text(const struct model *, const struct mobject *);
void model__out_of_memory(struct model *);
/* A panic where none, or another, was expected. */
void model__wrong_panic(
    struct model *, const struct mthread *, const struct call *);
/* A call of which misuse is expected: was it detected? */
void model__misuse_return(
    struct model *, struct mthread *, const struct call *);

/* model_pool.c */
void *model__map(size_t bytes); /* zeroed; NULL if there is no memory */
void model__unmap(void *, size_t bytes);
bool model__pool_init(struct mpool *, size_t elem, size_t cap);
void model__pool_fini(struct mpool *);
bool model__pool_grow(struct mpool *, size_t want);
/* A table by register + 1: the register's, zeroed when it is the first one;
 * NULL if there is no memory, which is a finding. */
void *model__by_reg_make(struct model *, struct mpool *, uint32_t reg);
bool model__hash_init(struct mhash *, unsigned bits);
void model__hash_fini(struct mhash *);
bool model__hash_grow(struct mhash *, uint32_t epoch);
void model__hash_clear(struct mhash *);

#define MODEL_SEED_STEP UINT64_C(0xd1342543de82ef95)
#define MODEL_FIBONACCI UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio */

static inline size_t
model__hash_home(const struct mhash *h, uint64_t key)
{
	return ((size_t)((key * MODEL_FIBONACCI) >> h->shift));
}

/* Slot of the key, or the empty slot where it would be. */
static inline size_t
model__hash_slot(const struct mhash *h, uint32_t epoch, uint64_t key)
{
	size_t i = model__hash_home(h, key);

	while (h->slot[i].epoch == epoch && h->slot[i].key != key)
		i = (i + 1) & h->mask;
	return (i);
}

static inline uint32_t
model__hash_find(const struct mhash *h, uint32_t epoch, uint64_t key)
{
	const struct mslot *s = &h->slot[model__hash_slot(h, epoch, key)];

	return (s->epoch == epoch ? s->index : 0);
}

static inline bool
model__hash_insert(
    struct mhash *h, uint32_t epoch, uint64_t key, uint32_t index)
{
	size_t i;

	if (MODEL_UNLIKELY(h->used >= h->room) && !model__hash_grow(h, epoch))
		return (false);
	i = model__hash_slot(h, epoch, key);
	MODEL_ASSERT(h->slot[i].epoch != epoch);
	h->slot[i] = (struct mslot) { key, index, epoch };
	h->used++;
	return (true);
}

static inline bool
model__hash_remove(struct mhash *h, uint32_t epoch, uint64_t key)
{
	const size_t mask = h->mask;
	size_t hole = model__hash_slot(h, epoch, key), i = hole;

	if (h->slot[hole].epoch != epoch)
		return (false);
	for (;;) {
		size_t home;

		i = (i + 1) & mask;
		if (h->slot[i].epoch != epoch)
			break;
		home = model__hash_home(h, h->slot[i].key);
		/* Moves back unless its home is behind the hole. */
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		h->slot[hole] = h->slot[i];
		hole = i;
	}
	h->slot[hole].epoch = epoch - 1;
	MODEL_ASSERT(h->used > 0);
	h->used--;
	return (true);
}

static inline struct mobject *
model__object(const struct model *m, uint32_t i)
{
	return ((struct mobject *)m->object.base + i);
}

static inline struct mrun *
model__run(const struct model *m, uint32_t i)
{
	return ((struct mrun *)m->run.base + i);
}

static inline struct mregion *
model__region_at(const struct model *m, uint32_t i)
{
	return ((struct mregion *)m->region.base + i);
}

static inline struct mtype *
model__type(const struct model *m, uint32_t i)
{
	return ((struct mtype *)m->type.base + i);
}

static inline bool
model__is_kalloc(const struct model *m)
{
	return (m->config.kind == MODEL_KALLOC);
}

/* Index of an unused element, or 0 if there is no memory. */
static inline uint32_t
model__pool_take(struct mpool *p)
{
	if (MODEL_UNLIKELY(p->high >= p->cap) &&
	    !model__pool_grow(p, (size_t)p->high + 1))
		return (0);
	return (p->high++);
}

/* Of a table by register + 1; NULL: there never was one. */
static inline void *
model__by_reg(const struct mpool *p, uint32_t reg)
{
	if (reg == TRACE_NOREG || reg + 1 >= p->high)
		return (NULL);
	return ((char *)p->base + (reg + 1) * p->elem);
}

/* model_contents.c: p may have any alignment. */
void model__fill_bytes(
    enum model_contents, void *p, uint64_t bytes, uint64_t seed);
uint64_t model__verify_bytes(enum model_contents, const void *p, uint64_t bytes,
    uint64_t seed, uint64_t limit);
uint64_t model__nonzero_bytes(
    enum model_contents, const void *p, uint64_t bytes, uint64_t seed);

static inline void
model__fill(const struct model *m, void *p, uint64_t bytes, uint64_t seed)
{
	if (m->config.contents != MODEL_CONTENTS_NONE)
		model__fill_bytes(m->config.contents, p, bytes, seed);
}

/* The first wrong byte below limit of what fill() wrote, or UINT64_MAX. */
static inline uint64_t
model__verify(const struct model *m, const void *p, uint64_t bytes,
    uint64_t seed, uint64_t limit)
{
	if (m->config.contents == MODEL_CONTENTS_NONE)
		return (UINT64_MAX);
	return (model__verify_bytes(m->config.contents, p, bytes, seed, limit));
}

/* The first byte that is not zero, or UINT64_MAX. */
static inline uint64_t
model__nonzero(
    const struct model *m, const void *p, uint64_t bytes, uint64_t seed)
{
	if (m->config.contents == MODEL_CONTENTS_NONE)
		return (UINT64_MAX);
	return (model__nonzero_bytes(m->config.contents, p, bytes, seed));
}

uint8_t model__pattern_byte(uint64_t seed, uint64_t at);

/* model_live.c */
/* Forgets all bits of a page: nothing is live in it. */
void model__page_forget(struct mregion *, unsigned page);
struct mregion *model__region_make(struct model *, uint64_t key);
/* Makes the object live: where it lies must be held by kmalloc and not be
 * live. False, with a finding, if not. */
bool model__object_enter(struct model *, struct mthread *, uint32_t object);
/* It ceases to be live: state TRANSIT. */
void model__object_leave(struct model *, uint32_t object);
/* Enters and leaves without the bitmap: runs of the trace. */
bool model__run_enter(struct model *, uint32_t object);
void model__run_leave(struct model *, uint32_t object);
bool model__granule_is_live(struct model *, uint64_t addr);
bool model__was_freed(struct model *, uint64_t addr);
bool model__is_kmalloc_page(struct model *, uint64_t addr);
/* Memory of a zone, of which kmalloc knows nothing. */
bool model__is_zone_page(const struct model *, uint64_t addr);
bool model__contents_kept(struct model *, const struct mthread *, uint32_t);
void model__live_reset(struct model *);

static inline uint32_t
model__object_find(const struct model *m, uint64_t addr)
{
	return (model__hash_find(&m->by_addr, m->epoch, addr));
}

/* Index of a record with a seed of its own, or 0. */
static inline uint32_t
model__object_new(struct model *m)
{
	uint32_t i = m->object_free;
	struct mobject *o = model__object(m, i);

	if (i != 0) {
		m->object_free = o->link;
		MODEL_ASSERT(o->state == MOBJECT_FREE);
	} else {
		i = model__pool_take(&m->object);
		if (i == 0) {
			model__out_of_memory(m);
			return (0);
		}
		o = model__object(m, i);
		o->state = MOBJECT_FREE;
	}
	o->seed = ++m->allocs * MODEL_SEED_STEP;
	o->bytes = MBYTES_PATTERN;
	o->owner = TRACE_OBJ;
	o->kept = false;
	o->stage = MSTAGE_NONE;
	return (i);
}

/*
 * May a call of kmalloc end or move the object? Not one that a cache or pipe
 * has: a trace that does that anyhow breaks the cache or pipe, and nothing
 * that follows can be judged.
 */
static inline bool
model__object_is_loose(const struct mobject *o)
{
	return (o->stage == MSTAGE_NONE || o->stage == MSTAGE_FREEING);
}

/* The object is one of kmalloc again, and nothing more. */
static inline void
model__object_disown(struct mobject *o)
{
	o->owner = TRACE_OBJ;
	o->kept = false;
	o->stage = MSTAGE_NONE;
}

static inline void
model__object_release(struct model *m, uint32_t object)
{
	struct mobject *o = model__object(m, object);

	MODEL_ASSERT(o->state == MOBJECT_TRANSIT);
	o->state = MOBJECT_FREE;
	o->link = m->object_free;
	m->object_free = object;
}

/* The region of an address; NULL, or 0, if nothing was ever there. */
static inline uint32_t
model__region_find(const struct model *m, uint64_t key)
{
	return (model__hash_find(&m->by_region, m->epoch, key));
}

static inline struct mregion *
model__region(const struct model *m, uint64_t key)
{
	uint32_t i = model__region_find(m, key);

	return (i == 0 ? NULL : model__region_at(m, i));
}

/* model_pages.c */
void model__page_run_release(struct model *, uint32_t run);
/* Forgets what was freed in the pages of a run. */
void model__run_forget(struct model *, uint32_t run);

static inline bool
model__run_is_counted(const struct mrun *run)
{
	return (run->owner == MOWNER_KMALLOC);
}

static inline void
model__run_gains(struct model *m, uint32_t i, uint64_t granules)
{
	struct mrun *run = model__run(m, i);

	if (run->live == 0 && model__run_is_counted(run)) {
		MODEL_ASSERT(m->runs_empty > 0);
		m->runs_empty--;
	}
	run->live += granules;
}

static inline void
model__run_loses(struct model *m, uint32_t i, uint64_t granules)
{
	struct mrun *run = model__run(m, i);

	MODEL_ASSERT(run->live >= granules);
	run->live -= granules;
	if (MODEL_LIKELY(run->live != 0))
		return;
	if (model__run_is_counted(run))
		m->runs_empty++;
	model__run_forget(m, i);
}

/* Could the page layer satisfy this now? */
bool model__pages_can(
    struct model *, uint64_t npages, uint64_t align, uint32_t flags);
/* The same, of what the call was refused last, at the depth that is its own. */
bool model__pages_could(struct model *, const struct mthread *, uint32_t depth);
/* How deep M_ flags let a call dig (VM-3). */
uint32_t model__depth_of(uint32_t flags);
/* Pages were short, and the call might not wait: finding, unless its own CPU
 * gave back what it kept, and that was tried (VM-7). Who calls has seen that no
 * other was active meanwhile. */
void model__judge_kept(struct model *, struct mthread *, uint32_t depth);
/* Memory outside of the budget, as a run of the call's zone that is not
 * counted; 0: finding. It ends. */
uint32_t model__run_static(
    struct model *, struct mthread *, uint64_t addr, uint64_t npages);
void model__run_static_end(struct model *, uint32_t run);
/* Near a limit so much slack explains an answer, of so much. */
static inline void
model__slack(struct model *m, uint64_t used, uint64_t declared)
{
	if (used <= m->counts.slack_used)
		return;
	m->counts.slack_used = used;
	m->counts.slack_declared = declared;
}

/* A run of kmalloc that holds nothing, or 0; for VM-7 and KM-14. */
/* Does an object in transit lie in the run? A krealloc that sleeps has one. */
bool model__run_has_transit(struct model *, uint32_t run);
uint32_t model__run_hoarded(struct model *);
/* Anybody keeps one, kmalloc or a zone (VM-7): finding. */
void model__hoarded(struct model *, struct mthread *sleeper, uint64_t npages);
void model__page_alloc_begin(
    struct model *, struct mthread *, const struct call *);
void model__page_alloc_end(
    struct model *, struct mthread *, const struct call *);
void model__page_free_begin(
    struct model *, struct mthread *, const struct call *);
void model__page_free_end(
    struct model *, struct mthread *, const struct call *);

/* model_type.c */
void model__type_create_end(
    struct model *, struct mthread *, const struct call *);
void model__type_destroy_begin(struct model *, struct mthread *);
void model__type_destroy_end(
    struct model *, struct mthread *, const struct call *);
void model__limit_begin(struct model *, struct mthread *, const struct call *);
void model__limit_end(struct model *, struct mthread *, const struct call *);
/* A BAD_TYPE that is legal because the type ends while the call runs. */
bool model__type_ended_under(
    const struct model *, const struct mthread *, const struct call *);
/* The calls in flight on a type see its usage change. */
void model__type_observe(struct model *, const struct mtype *);
void model__type_free_undo(struct model *, uint32_t type, uint64_t bytes);
/* Was usage certainly over what KM-6 allows during the whole call? */
bool model__type_was_over(
    const struct model *, const struct mthread *, uint64_t *ret_bound);

/* The hot part of model_type.c. */

static inline uint32_t
model__type_of(const struct model *m, uint32_t reg)
{
	if (MODEL_UNLIKELY(reg >= m->typereg.high))
		return (0);
	return (((const uint32_t *)m->typereg.base)[reg]);
}

static inline bool
model__type_is_alive(const struct model *m, uint32_t type)
{
	return (type != 0 && model__type(m, type)->alive);
}

static inline uint64_t
model__usage_upper(const struct mtype *t)
{
	return (t->memuse + t->alloc_bytes + t->free_bytes);
}

/* Usage is about to fall, or the limit to rise. */
static inline void
model__type_falls(const struct model *m, struct mtype *t)
{
	if (MODEL_UNLIKELY(m->config.views) &&
	    model__usage_upper(t) >= t->limit_lo)
		t->full_at = m->activity;
}

/* Was it at its limit since the call began that the thread's call is part of?
 */
static inline bool
model__type_was_full(
    const struct model *m, const struct mtype *t, const struct mthread *th)
{
	const struct mthread *outer = &m->thread[th->id % m->config.threads];

	return (m->config.views && outer != th && outer->busy &&
	    t->full_at >= outer->activity);
}

/* The call of a thread begins to allocate th->charge bytes. */
static inline void
model__type_joins(struct model *m, struct mthread *th)
{
	struct mtype *t = model__type(m, th->type);

	t->events++;
	t->flying++;
	if (th->requested == 0)
		return;
	if (th->charge > t->charge_max)
		t->charge_max = th->charge;
	t->alloc_bytes += th->charge;
	if (MODEL_UNLIKELY(t->first != 0))
		model__type_observe(m, t);
	th->limit_seen = model__usage_upper(t) - th->charge >= t->limit_lo ||
	    model__type_was_full(m, t, th);
	m->counts.limits += th->limit_seen;
	th->lower_min = m->nstale > 0 ? 0 : t->memuse;
	th->listed = true;
	th->prev = 0;
	th->next = t->first;
	if (t->first != 0)
		m->thread[t->first - 1].prev = th->id + 1u;
	t->first = th->id + 1u;
}

/* It has ended, whatever came of it. */
static inline void
model__type_parts(struct model *m, struct mthread *th)
{
	struct mtype *t = model__type(m, th->type);

	MODEL_ASSERT(t->flying > 0);
	t->flying--;
	if (!th->listed)
		return;
	th->listed = false;
	MODEL_ASSERT(t->alloc_bytes >= th->charge);
	model__type_falls(m, t);
	t->alloc_bytes -= th->charge;
	if (th->prev != 0)
		m->thread[th->prev - 1].next = th->next;
	else
		t->first = th->next;
	if (th->next != 0)
		m->thread[th->next - 1].prev = th->prev;
}

static inline void
model__type_add(struct model *m, uint32_t type, uint64_t bytes)
{
	struct mtype *t = model__type(m, type);

	if (t->inuse++ == 0 && !t->alive)
		m->types_used++;
	t->memuse += bytes;
}

static inline void
model__type_free_begin(struct model *m, uint32_t type, uint64_t bytes)
{
	struct mtype *t = model__type(m, type);

	MODEL_ASSERT(t->inuse > 0);
	MODEL_ASSERT(t->memuse >= bytes);
	if (--t->inuse == 0 && !t->alive)
		m->types_used--;
	t->events++;
	t->memuse -= bytes;
	t->free_count++;
	t->free_bytes += bytes;
	if (MODEL_UNLIKELY(t->first != 0))
		model__type_observe(m, t);
}

static inline void
model__type_free_end(struct model *m, uint32_t type, uint64_t bytes)
{
	struct mtype *t = model__type(m, type);

	MODEL_ASSERT(t->free_count > 0);
	MODEL_ASSERT(t->free_bytes >= bytes);
	t->free_count--;
	model__type_falls(m, t);
	t->free_bytes -= bytes;
}

/* model_kmalloc.c */
void model__kmalloc_begin(
    struct model *, struct mthread *, const struct call *);
void model__kmalloc_end(struct model *, struct mthread *, const struct call *);
void model__krealloc_begin(
    struct model *, struct mthread *, const struct call *);
void model__krealloc_end(struct model *, struct mthread *, const struct call *);

/* model_hit.c: a call begins, which disturbs or not, and does if another is in
 * flight; it has ended. */
void model__hit_end(struct model *, struct mthread *, const struct call *);

static inline void
model__hit_begin(struct model *m, struct mthread *th, bool disturbs)
{
	th->disturbed = m->hit.disturbed;
	m->hit.disturbed += disturbs || m->inflight != 1;
	th->hit_size = 0;
	if (th->code == TRACE_OP_KFREE && th->object != 0)
		th->hit_size = (uint32_t)model__object(m, th->object)->usable;
}

/*
 * The other allocators. Each of the files has the same set of functions:
 *
 *   init, fini, reset   of its tables; init false: no memory
 *   begin, end          of a call of its group; th->class and th->handle are
 *                       set, th is otherwise as for any call
 *   callback, callback_done   see model.h; th is the frame's call, or is not
 *                       busy (a support thread)
 *   sleeper             the call sleeps and nothing else is in flight: a
 *                       finding if it need not. Called for its own calls.
 *   describe, check     see model.h
 *   at_end              the end of the run, before all is drained
 */
#define MODEL_ALLOCATOR(p)                                                     \
	bool model__##p##_init(struct model *);                                \
	void model__##p##_fini(struct model *);                                \
	void model__##p##_reset(struct model *);                               \
	void model__##p##_begin(                                               \
	    struct model *, struct mthread *, const struct call *);            \
	void model__##p##_end(                                                 \
	    struct model *, struct mthread *, const struct call *);            \
	void model__##p##_callback(                                            \
	    struct model *, struct mthread *, const struct callback *);        \
	void model__##p##_callback_done(                                       \
	    struct model *, struct mthread *, const struct callback *);        \
	void model__##p##_sleeper(struct model *, struct mthread *);           \
	void model__##p##_describe(struct model *, enum trace_class,           \
	    uint32_t handle, const struct owner_stats *);                      \
	void model__##p##_check(struct model *, enum trace_class,              \
	    uint32_t handle, const struct owner_stats *);                      \
	void model__##p##_at_end(struct model *)
MODEL_ALLOCATOR(oc);
MODEL_ALLOCATOR(mp);
MODEL_ALLOCATOR(zn);
/* The zone whose items are the objects of a cache, or TRACE_NOREG. */
uint32_t model__oc_zone(const struct model *, uint32_t cache);
/* The depth to which a call of a pipe may ask for pages itself (MP-8). */
uint32_t model__mp_depth(const struct model *, const struct mthread *);
/* A call begins, or has ended, in the frame above a call of a pipe; it may be
 * the pipe's own kmalloc or kfree. */
void model__mp_nested_begin(
    struct model *, struct mthread *pipe_call, const struct call *);
void model__mp_nested_end(struct model *, struct mthread *pipe_call,
    const struct mthread *, const struct call *);
/* Pages of a zone came, or pages of anybody go: before they do. */
void model__zn_pages(
    struct model *, struct mthread *, uint32_t run, uint32_t flags);
void model__zn_pages_go(
    struct model *, const struct mthread *, uint64_t addr, uint64_t npages);
void model__zn_migrate(struct model *, struct mthread *, uint32_t cpu);
/* A zone keeps a slab in which nothing is held, while somebody sleeps for so
 * many pages (VM-7): finding. */
void model__zn_hoarded(
    struct model *, struct mthread *sleeper, uint64_t npages);
/* Pages of zones that cannot be ended. */
uint64_t model__zn_kept(const struct model *);
/* The call in words; the clause that demands its end, or forbids this one. */
struct mtext model__zn_call_text(
    const struct model *, const struct mthread *, const struct call *);
const char *model__zn_clause(const struct mthread *, int why);

/* The object has new contents: a pattern of its own, written now; or what it
 * is said to be. */
void model__object_fill(struct model *, struct mobject *);

/* model_free.c */
void model__kfree_begin(struct model *, struct mthread *, const struct call *);
void model__kfree_end(struct model *, struct mthread *, const struct call *);
void model__usable_begin(struct model *, struct mthread *, const struct call *);
void model__usable_end(struct model *, struct mthread *, const struct call *);
/* What a call that frees addr under the type may end in. */
uint32_t model__free_expect(struct model *, const struct mthread *, bool plain);
/* Takes the live object at th->addr into transit, its contents verified. */
void model__take(struct model *, struct mthread *, uint32_t object);
/* It is as it was. False: finding. */
bool model__take_undo(struct model *, struct mthread *);
/* It is gone. */
void model__take_done(struct model *, struct mthread *);
/* A call frees or resizes what is not certainly live under its type. */
void model__stale_begin(struct model *, struct mthread *);
void model__stale_end(struct model *, struct mthread *);
/* Misuse of an address came out as expected, or as a race explains. */
bool model__stale_panicked(
    struct model *, struct mthread *, const struct call *);
/* Another call in flight has the object at this address in transit, or
 * frees it too. */
bool model__has_rival(
    const struct model *, const struct mthread *, uint64_t addr);
/* Stale frees in flight may have taken objects here; true if one did. */
bool model__stale_took(struct model *, uint64_t lo, uint64_t hi);
/* A stale free in flight has taken the object that the call returns. */
bool model__stale_takes(
    struct model *, const struct mthread *, uint32_t object);
/* A stale free that returned took what this call now returns. */
bool model__was_stolen(struct model *, const struct mthread *, uint64_t addr);

#endif
