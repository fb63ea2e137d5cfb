/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model_zone: what zones of both interfaces may do (ZN).
 *
 * 1. Lineage
 *
 *    The zone allocator is modelled as a set of items that are held, what is
 *    in those that are not, and how many there may be; that slabs, buckets
 *    and magazines lie between, only intervals show. What an item's contents
 *    are after an allocation is the promise of zone(9) of 2008 that later
 *    texts dropped, so that it is followed byte by byte here.
 *
 * 2. Nouns
 *
 *    A *keg* is the slabs of a primary zone, shared with its *secondaries*;
 *    its counts are in the primary's record. A *slab* is a run of pages that a
 *    call of a zone of the keg took. An *item* is known from the first event
 *    that names it until its slab goes: that is its *epoch*. A *token* is an
 *    item of a cache zone: a number, never dereferenced.
 *
 *      register --table--> zone --> keg (a zone)
 *      address  --hash---> item, chained with tokens of the same number
 *      run      --table--> slab --list--> items, the latest first
 *      frame    --table--> the call's part in this
 *
 * 3. States of an item
 *
 *      1 free    in the slab, a cache, or on the way between
 *      2 out     1 -> 2 when a constructor begins; 2 -> 1 if it refuses
 *      3 held    1 or 2 -> 3 at the return of an allocation
 *      4 dying   3 -> 4 at the invocation of a free, if there is a destructor
 *                4 -> 1 when that is done; 3 -> 1 without one
 *      5 call    1 -> 5 -> 1 around init and fini
 *
 *    Beside it: initialised by the keg, finalised, initialised by a
 *    secondary, constructed. Contents of a free item are a pattern that its
 *    holder, or a callback, wrote; zero; or not known after fini.
 *
 * 4. Paths
 *
 *    zalloc: at the return the address must lie in a slab of the keg, apart
 *    from all that is live, aligned; initialised and constructed as the zone
 *    promises, with the contents kept. Then its holder writes. NULL must have
 *    a cause (model_zone_alloc.c). zfree: at the invocation the item is found
 *    by address, verified, and is free from then on, but for a destructor.
 *
 * 5. Concurrency
 *
 *    Held is certain from the return of zalloc to the invocation of zfree. A
 *    condition that a call needs at some instant is kept as a past (struct
 *    mzone), so that no call looks at another. Items in caches of other CPUs
 *    are bounded by what the zone says of its buckets, and by which CPUs have
 *    touched it since a drain. Exact judgement is for calls that were sole,
 *    but for those of caches that wait for them: what these have is held. Of
 *    static memory there are items besides the units of a maximum; a call
 *    takes one of each, at instants of their own.
 *
 * 6. Invariants
 *
 *    I-MZ-1  held of a zone counts the items in state held of it; keg_held
 *            sums it over the zones of the keg
 *    I-MZ-2  an item of memory lies in the list of exactly one slab
 *    I-MZ-3  pages of a keg counts the pages of its slabs, static ones aside
 *
 * 7. Failure
 *
 *    If a nested call panics out of a callback, nobody knows what the zone
 *    still counts: judging ends without a finding. The same if a trace races
 *    with itself in freeing.
 *
 * 8. Observability
 *
 *    Words name the zone by its register and items by their place.
 *
 * References: Bonwick, The slab allocator, 1994; Bonwick and Adams, Magazines
 * and vmem, 2001; zone(9) of FreeBSD 8.
 */
#include "model_zone.h"

/* --- life cycle --- */

bool
model__zn_init(struct model *m)
{
	m->zn = model__map(sizeof(*m->zn));
	return (m->zn != NULL && zn__items_init(m->zn) &&
	    model__pool_init(&m->zn->zone, sizeof(struct mzone), 64) &&
	    model__pool_init(&m->zn->slab, sizeof(struct mslab), 256) &&
	    model__pool_init(&m->zn->reg[0], sizeof(uint32_t), 1024) &&
	    model__pool_init(&m->zn->reg[1], sizeof(uint32_t), 1024));
}

static void
pool_end(struct mpool *p)
{
	if (p->base != NULL)
		model__pool_fini(p);
}

void
model__zn_fini(struct model *m)
{
	if (m->zn == NULL)
		return;
	zn__items_fini(m->zn);
	pool_end(&m->zn->zone);
	pool_end(&m->zn->slab);
	pool_end(&m->zn->reg[0]);
	pool_end(&m->zn->reg[1]);
	model__unmap(m->zn, sizeof(*m->zn));
}

void
model__zn_reset(struct model *m)
{
	m->zn->zone.high = 1;
	m->zn->reg[0].high = m->zn->reg[1].high = 0;
	zn__items_reset(m);
}

/* --- registers and words --- */

static struct mpool *
register_map(const struct model *m, enum trace_class class)
{
	return (&m->zn->reg[class == TRACE_VMZONE]);
}

uint32_t
zn__zone_of(const struct model *m, enum trace_class class, uint32_t handle)
{
	const struct mpool *map = register_map(m, class);

	return (handle >= map->high ? 0 : ((uint32_t *)map->base)[handle]);
}

static bool
register_bind(struct model *m, enum trace_class class, uint32_t reg, uint32_t z)
{
	struct mpool *map = register_map(m, class);
	uint32_t *to;

	if (reg == TRACE_NOREG)
		return (true);
	if (reg >= map->cap && !model__pool_grow(map, (size_t)reg + 1)) {
		model__out_of_memory(m);
		return (false);
	}
	to = map->base;
	while (map->high <= reg)
		to[map->high++] = 0;
	to[reg] = z;
	return (true);
}

struct mtext
zn__text(const struct model *m, const struct mzone *z)
{
	struct mtext t;

	(void)m;
	(void)snprintf(t.s, sizeof(t.s), "%c%" PRIu32 " of %" PRIu64 " bytes",
	    trace_class_letter(z->class), z->reg, z->size);
	return (t);
}

struct mtext
model__zn_call_text(
    const struct model *m, const struct mthread *th, const struct call *c)
{
	const struct mtext at = model__addr_text(m, th->addr);
	uint32_t z = zn__zone_of(m, th->class, c->handle);
	struct mtext t, zone = { "no zone" };

	if (z != 0)
		zone = zn__text(m, zn_zone(m, z));
	if (th->addr != 0)
		(void)snprintf(
		    t.s, sizeof(t.s), "%.60s to %.60s", at.s, zone.s);
	else
		(void)snprintf(t.s, sizeof(t.s),
		    "%.60s, size %" PRIu64 ", number %" PRId32
		    ", flags 0x%" PRIx32,
		    zone.s, c->size, c->n[0], c->flags);
	return (t);
}

const char *
model__zn_clause(const struct mthread *th, int why)
{
	uint32_t expect = th->expect | UINT32_C(1) << (unsigned)why % 32;

	switch (th->code) {
	case TRACE_OP_UMA_ZCREATE_STATIC:
	case TRACE_OP_UMA_ZCREATE:
	case TRACE_OP_UMA_ZSECOND_CREATE:
	case TRACE_OP_UMA_ZCACHE_CREATE:
	case TRACE_OP_ZINIT:
	case TRACE_OP_ZBOOTINIT:
		return ("ZN-13");
	case TRACE_OP_ZINITNA:
		return ("ZN-31");
	case TRACE_OP_UMA_ZALLOC:
	case TRACE_OP_UMA_ZALLOC_ARG:
	case TRACE_OP_ZALLOC:
		return (why == MODEL_WHY_LIMIT	       ? "ZN-32" :
			(expect & WHY(BAD_FLAGS)) != 0 ? "ZN-4" :
							 "G-3");
	case TRACE_OP_UMA_ZFREE:
	case TRACE_OP_UMA_ZFREE_ARG:
	case TRACE_OP_UMA_ZFREE_INTERIOR:
	case TRACE_OP_UMA_ZFREE_WILD:
	case TRACE_OP_ZFREE:
		return ((th->expect & WHY(BAD_HANDLE)) != 0 ? "G-3" : "ZN-12");
	case TRACE_OP_UMA_ZDESTROY:
		return ((expect & WHY(BUSY)) != 0 ? "ZN-11" : "G-3");
	case TRACE_OP_ZDESTROY:
		return ((expect & (WHY(BUSY) | WHY(BAD_ARG))) != 0 ? "ZN-32" :
								     "G-3");
	case TRACE_OP_UMA_ZONE_SET_MAX:
		return ((expect & WHY(BAD_ARG)) != 0 ? "ZN-5" : "G-3");
	case TRACE_OP_UMA_ZONE_RESERVE:
	case TRACE_OP_UMA_PREALLOC:
		return ((expect & WHY(BUSY)) != 0 ? "ZN-14" : "G-3");
	default:
		return ("G-3");
	}
}

/* --- pasts and outcomes --- */

bool
zn__was_sole(const struct model *m, const struct mthread *th)
{
	return (
	    m->inflight == 1u + th->caches_below && model__was_alone(m, th));
}

void
zn__moves(struct mzone *z)
{
	uint64_t others = z->allocs == 0 ? 0 : z->allocs - 1;

	if (z->held < z->max_hi)
		z->room_until = z->event;
	if (z->held + z->frees + others >= z->max_lo)
		z->full_until = z->event;
	if (z->held < z->items)
		z->free_until = z->event;
	if (z->held + z->frees + others >= z->items)
		z->gone_until = z->event;
	if (z->waits > 1)
		z->wait_until = z->event;
	if (z->ops > 0)
		z->op_until = z->event;
	z->event++;
}

void
zn__joins(struct mzone *z, struct mzframe *f)
{
	zn__moves(z);
	f->begun = z->event;
}

void
zn__parts(struct mzone *z, const struct mzframe *f)
{
	zn__moves(z);
	if (f->begun > z->lowered_at)
		return;
	MODEL_ASSERT(z->early > 0);
	z->early--;
	z->early_until = z->event;
}

bool
zn__outcome(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);

	if (c->why != 0 && f->calling != 0) {
		m->judging = false;
		return (false);
	}
	if ((th->expect >> (unsigned)c->why % 32 & 1) != 0) {
		m->counts.panics += c->why != 0;
		return (true);
	}
	if (c->why == MODEL_WHY_BAD_HANDLE && f->zone != 0 &&
	    (!z->alive || z->ending > 0))
		return (true);
	if (th->expect == WHY(NONE)) {
		model__wrong_panic(m, th, c);
		return (false);
	}
	th->misuse = true;
	model__misuse_return(m, th, c);
	return (false);
}

void
zn__op_begin(struct model *m, struct mthread *th)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);

	th->may_sleep = true;
	if (f->zone == 0)
		return;
	zn__moves(z);
	z->ops++;
	f->op = true;
}

void
zn__op_end(struct model *m, struct mthread *th)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);

	if (!f->op)
		return;
	zn__moves(z);
	MODEL_ASSERT(z->ops > 0);
	z->ops--;
	f->op = false;
}

/* --- making --- */

static uint32_t
create_expect(const struct model *m, const struct call *c)
{
	bool size = c->size == 0 || c->size > UMA_SIZE_MAX;
	uint32_t z;

	switch (c->code) {
	case TRACE_OP_UMA_ZCREATE_STATIC:
	case TRACE_OP_UMA_ZCREATE:
		return (size || (c->num & (c->num + 1)) != 0 ||
			    c->num >= KA_SLAB_SIZE ||
			    (c->flags & ~(uint32_t)UMA_ZONE_VALID) != 0 ?
			WHY(BAD_ARG) :
			WHY(NONE));
	case TRACE_OP_UMA_ZCACHE_CREATE:
		return ((c->flags & ~(uint32_t)UMA_ZONE_VALID) != 0 ?
			WHY(BAD_ARG) :
			c->size > UMA_SIZE_MAX ? WHY(BAD_ARG) | WHY(NONE) :
						 WHY(NONE));
	case TRACE_OP_UMA_ZSECOND_CREATE:
		z = zn__zone_of(m, TRACE_ZONE, c->handle2);
		if (z == 0 || !zn_zone(m, z)->alive)
			return (WHY(BAD_HANDLE));
		if (zn_zone(m, z)->kind == MZONE_UMA)
			return (WHY(NONE));
		return (WHY(NONE) | WHY(BAD_ARG) | WHY(BAD_HANDLE));
	case TRACE_OP_ZINIT:
		return (size || (c->flags & ~(uint32_t)ZONE_VALID) != 0 ||
			    ((c->flags & ZONE_INTERRUPT) != 0 && c->n[0] < 1) ?
			WHY(BAD_ARG) :
			WHY(NONE));
	default: /* zbootinit: what no items are, nothing says */
		if (size)
			return (WHY(BAD_ARG));
		return (c->n[0] < 1 ? WHY(BAD_ARG) | WHY(NONE) : WHY(NONE));
	}
}

/* What the zone is, from its creation. */
static void
zone_is(struct model *m, struct mzone *z, uint32_t index, const struct call *c)
{
	const struct mzone *primary = zn_zone(m, 0);

	z->keg = index;
	z->size = c->size;
	z->hooks = c->hooks;
	z->flags = c->flags;
	z->align = GRANULE;
	switch (c->code) {
	case TRACE_OP_UMA_ZCREATE_STATIC:
	case TRACE_OP_UMA_ZCREATE:
		z->kind = MZONE_UMA;
		if (c->num + 1 > z->align)
			z->align = c->num + 1;
		break;
	case TRACE_OP_UMA_ZCACHE_CREATE:
		z->kind = MZONE_CACHE;
		z->keg = 0;
		break;
	case TRACE_OP_UMA_ZSECOND_CREATE:
		primary = zn_zone(m, zn__zone_of(m, TRACE_ZONE, c->handle2));
		z->kind = primary->keg == 0 ? MZONE_CACHE : MZONE_SECOND;
		z->spoiled = primary->keg == 0;
		z->keg = primary->keg;
		z->size = primary->size;
		z->align = primary->align;
		break;
	default:
		z->kind = MZONE_OLD;
		z->hooks = 0;
		z->size = (c->size + GRANULE - 1) & ~(uint64_t)(GRANULE - 1);
		/* How static items are laid out, their size alone says. */
		if (c->code == TRACE_OP_ZBOOTINIT && z->size != c->size) {
			z->size = c->size;
			z->loose = true;
		}
		break;
	}
}

static void
zone_made(struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t i = model__pool_take(&m->zn->zone);
	struct mzone *z = zn_zone(m, i);
	uint64_t stride;

	if (i == 0) {
		model__out_of_memory(m);
		return;
	}
	*z = (struct mzone) { .class = th->class,
		.alive = true,
		.reg = c->handle,
		.line = c->line,
		.max_lo = ZN_NO_LIMIT,
		.maxcache = UINT64_MAX,
		.max_hi = ZN_NO_LIMIT,
		.items = ZN_NO_LIMIT,
		.event = 1,
		.take_event = 1,
		.zones = 1,
		.counted = model__counted(m, th, MODEL_COMMIT_ZONE) };
	zone_is(m, z, i, c);
	if (c->code == TRACE_OP_ZBOOTINIT) {
		z->boot = true;
		z->statics = c->n[0] < 0 ? 0 : (uint64_t)c->n[0];
		z->max_lo = z->max_hi = z->statics;
		z->flags = 0;
	} else if (c->code == TRACE_OP_ZINIT &&
	    (c->flags & ZONE_INTERRUPT) != 0) {
		z->max_lo = z->max_hi = (uint64_t)c->n[0];
		z->limited = true;
	}
	if (!register_bind(m, th->class, c->handle, i))
		return;
	stride = z->size;
	if (c->code == TRACE_OP_UMA_ZCREATE_STATIC) {
		z->boot = true;
		z->items = z->statics = (uint64_t)(uint32_t)c->n[0];
		stride = (z->size + z->align - 1) / z->align * z->align;
	}
	if (z->boot)
		(void)zn__static_make(m, th, z, c->addr, stride * z->statics);
}

/* Slabs may be taken for a secondary from now on. */
static void
keg_is_shared(struct model *m, const struct mzone *z)
{
	struct mzone *keg = zn_keg(m, z);

	zn__moves(keg);
	keg->shared = true;
	keg->unbound = true;
	keg->credit = 0;
}

/* Its creation begins: from when on it counts for its primary is not known. */
static void
second_begins(struct model *m, const struct call *c)
{
	uint32_t z = zn__zone_of(m, TRACE_ZONE, c->handle2);

	if (z != 0 && zn_zone(m, z)->alive && zn_zone(m, z)->keg != 0)
		keg_is_shared(m, zn_zone(m, z));
}

/* It was made: now it counts for its primary. */
static void
zone_described(struct model *m, struct mzone *z)
{
	struct mzone *keg = zn_keg(m, z);

	if (z->described)
		return;
	z->described = true;
	if (z->kind != MZONE_SECOND)
		return;
	keg->zones++;
	keg_is_shared(m, z);
}

static bool
geometry_holds(
    struct model *m, const struct mzone *z, const struct owner_stats *st)
{
	bool limited = z->max_lo == z->max_hi && z->max_lo != ZN_NO_LIMIT;

	if (z->kind == MZONE_UMA && !z->boot &&
	    (st->ipers == 0 || st->ppera == 0 || st->rsize < z->size ||
		st->ipers > st->ppera * PAGE / st->rsize)) {
		model__fail(m, NULL, "ZN-17", "geometry");
		model__expected(
		    m, "slabs that hold items of %s", zn__text(m, z).s);
		model__found(m,
		    "%" PRIu64 " items of %" PRIu64 " bytes on %" PRIu64
		    " pages",
		    st->ipers, st->rsize, st->ppera);
	} else if (z->class == TRACE_ZONE && limited && z->maxers == 0 &&
	    z->max_lo < 2 * (uint64_t)m->config.cpus && st->capacity != 0) {
		model__fail(m, NULL, "ZN-6", "caches");
		model__expected(m,
		    "no caches: the maximum of %s is %" PRIu64 ", with %" PRIu32
		    " CPUs",
		    zn__text(m, z).s, z->max_lo, m->config.cpus);
		model__found(m, "buckets of %" PRIu64 " items", st->capacity);
	} else if (z->class == TRACE_ZONE && st->capacity != 0 &&
	    (z->flags & UMA_ZONE_NOBUCKET) != 0) {
		model__fail(m, NULL, "ZN-6", "no-bucket");
		model__expected(
		    m, "no caches: %s has NOBUCKET", zn__text(m, z).s);
		model__found(m, "buckets of %" PRIu64 " items", st->capacity);
	} else {
		return (true);
	}
	return (false);
}

void
model__zn_describe(struct model *m, enum trace_class class, uint32_t handle,
    const struct owner_stats *st)
{
	uint32_t i = zn__zone_of(m, class, handle);
	struct mzone *z = zn_zone(m, i);

	if (i == 0 || !z->alive || !geometry_holds(m, z, st))
		return;
	zone_described(m, z);
	z->capacity = st->capacity;
	z->rsize = st->rsize;
	z->ipers = st->ipers;
	z->ppera = st->ppera;
}

/* --- completing: zinitna --- */

static void
complete_begin(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);

	th->expect = 0;
	if (f->zone == 0 || !z->alive)
		th->expect |= WHY(BAD_HANDLE);
	if ((c->flags & ~(uint32_t)ZONE_VALID) != 0 ||
	    ((c->flags & ZONE_INTERRUPT) != 0 && c->n[0] < 1))
		th->expect |= WHY(BAD_ARG);
	if (th->expect != 0)
		return;
	/* It may become complete while this is under way. */
	th->expect = z->boot ? WHY(NONE) | WHY(BUSY) : WHY(BUSY);
	zn__max_begin(m, th,
	    (c->flags & ZONE_INTERRUPT) != 0 ? (uint64_t)c->n[0] + z->statics :
					       ZN_NO_LIMIT);
}

static void
complete_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzone *z = zn_zone(m, zn_frame(m, th)->zone);

	if (z->boot && model__was_alone(m, th) && (th->expect & WHY(NONE)) != 0)
		th->expect = WHY(NONE);
	if (!zn__outcome(m, th, c))
		return;
	zn__max_end(m, th, c->why == 0);
	if (c->why != 0)
		return;
	if (!z->boot) {
		/* A second time: what holds then, nothing says. */
		z->max_race = true;
		z->max_lo = 0;
		z->max_hi = ZN_NO_LIMIT;
	}
	z->boot = false;
	z->completed = z->statics > 0;
	z->flags = c->flags;
	z->limited = (c->flags & ZONE_INTERRUPT) != 0;
}

/* --- ending --- */

static void
destroy_begin(struct model *m, struct mthread *th)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);

	zn__op_begin(m, th);
	if (f->zone == 0 || !z->alive) {
		th->expect = WHY(BAD_HANDLE);
		return;
	}
	z->ending++;
	f->event = z->event;
	th->expect = 0;
	if (z->held > 0 || (z->kind == MZONE_UMA && z->zones > 1))
		th->expect |= WHY(BUSY);
	if (z->kind == MZONE_OLD && (z->flags & ZONE_DESTROYABLE) == 0)
		th->expect |= WHY(BAD_ARG);
	if (th->expect == 0)
		th->expect = WHY(NONE);
	if (z->allocs + z->frees > 0 || z->ending > 1)
		th->expect |= WHY(BUSY) | WHY(NONE);
}

/* The zone has ended: has it given everything back? */
static void
zone_ended(struct model *m, struct mthread *th, struct mzone *z)
{
	struct mzone *keg = zn_keg(m, z);
	uint64_t left = z->pages;
	const char *what = "pages held";

	z->alive = false;
	if (z->kind == MZONE_SECOND) {
		zn__moves(keg);
		keg->zones -= z->described && keg->zones > 0;
		left = zn_has(z, TRACE_HOOK_FINI) ? z->zinited : 0;
		what = "items initialised";
	} else if (z->kind == MZONE_CACHE) {
		left = z->spoiled ? 0 : z->tokens;
		what = "pointers not released";
	}
	if (z->static_run != 0)
		zn__static_end(m, z);
	if (left == 0 || z->allocs + z->frees > 0)
		return;
	model__fail(m, th, "ZN-11", "kept");
	model__expected(m, "all of %s given back", zn__text(m, z).s);
	model__found(m, "%" PRIu64 " %s", left, what);
}

/* A call that ends a secondary zone of it may have done so already. */
static bool
second_is_ending(struct model *m, const struct mzone *z)
{
	uint32_t i;

	for (i = 1; i < m->zn->zone.high; i++) {
		const struct mzone *s = zn_zone(m, i);

		if (s->kind == MZONE_SECOND && s->alive && s->ending > 0 &&
		    zn_keg(m, s) == z)
			return (true);
	}
	return (false);
}

static void
destroy_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);
	bool alive = f->op && z->alive;

	if (alive && (z->event != f->event || second_is_ending(m, z)))
		th->expect |= WHY(BUSY) | WHY(NONE);
	zn__op_end(m, th);
	if (f->zone != 0 && z->ending > 0)
		z->ending--;
	if (zn__outcome(m, th, c) && c->why == 0 && alive)
		zone_ended(m, th, z);
}

/* --- dispatch --- */

void
model__zn_begin(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);

	*f = (struct mzframe) { .zone = zn__zone_of(m, th->class, c->handle),
		.cpu = c->cpu,
		.udata = c->udata };
	th->skip = !model__is_kalloc(m);
	if (th->skip)
		return;
	switch (c->code) {
	case TRACE_OP_UMA_ZALLOC:
	case TRACE_OP_UMA_ZALLOC_ARG:
	case TRACE_OP_ZALLOC:
		zn__alloc_begin(m, th, c);
		break;
	case TRACE_OP_UMA_ZFREE:
	case TRACE_OP_UMA_ZFREE_ARG:
	case TRACE_OP_UMA_ZFREE_INTERIOR:
	case TRACE_OP_UMA_ZFREE_WILD:
	case TRACE_OP_ZFREE:
		zn__free_begin(m, th, c);
		break;
	case TRACE_OP_UMA_ZCREATE:
	case TRACE_OP_UMA_ZCREATE_STATIC:
	case TRACE_OP_UMA_ZSECOND_CREATE:
	case TRACE_OP_UMA_ZCACHE_CREATE:
	case TRACE_OP_ZINIT:
	case TRACE_OP_ZBOOTINIT:
		f->zone = 0;
		th->may_sleep = true;
		th->expect = create_expect(m, c);
		if (c->code == TRACE_OP_UMA_ZSECOND_CREATE)
			second_begins(m, c);
		break;
	case TRACE_OP_ZINITNA:
		complete_begin(m, th, c);
		break;
	case TRACE_OP_UMA_ZDESTROY:
	case TRACE_OP_ZDESTROY:
		destroy_begin(m, th);
		break;
	default:
		zn__limit_begin(m, th, c);
		break;
	}
}

/* The call no longer initialises the slabs that it took. */
static void
took_ends(struct model *m, const struct mzframe *f)
{
	struct mzone *keg = zn_zone(m, f->keg_took);

	if (f->keg_took == 0)
		return;
	zn__take_moves(keg);
	MODEL_ASSERT(keg->taking > 0);
	keg->taking--;
}

void
model__zn_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);

	switch (c->code) {
	case TRACE_OP_UMA_ZALLOC:
	case TRACE_OP_UMA_ZALLOC_ARG:
	case TRACE_OP_ZALLOC:
		zn__alloc_end(m, th, c);
		break;
	case TRACE_OP_UMA_ZFREE:
	case TRACE_OP_UMA_ZFREE_ARG:
	case TRACE_OP_UMA_ZFREE_INTERIOR:
	case TRACE_OP_UMA_ZFREE_WILD:
	case TRACE_OP_ZFREE:
		zn__free_end(m, th, c);
		break;
	case TRACE_OP_UMA_ZCREATE:
	case TRACE_OP_UMA_ZCREATE_STATIC:
	case TRACE_OP_UMA_ZSECOND_CREATE:
	case TRACE_OP_UMA_ZCACHE_CREATE:
	case TRACE_OP_ZINIT:
	case TRACE_OP_ZBOOTINIT:
		if (zn__outcome(m, th, c) && c->why == 0)
			zone_made(m, th, c);
		break;
	case TRACE_OP_ZINITNA:
		complete_end(m, th, c);
		break;
	case TRACE_OP_UMA_ZDESTROY:
	case TRACE_OP_ZDESTROY:
		destroy_end(m, th, c);
		break;
	default:
		zn__limit_end(m, th, c);
		break;
	}
	took_ends(m, f);
}

uint64_t
model__zn_kept(const struct model *m)
{
	uint64_t pages = 0;
	uint32_t i;

	for (i = 1; i < m->zn->zone.high; i++) {
		const struct mzone *z = zn_zone(m, i);

		if (z->alive && z->kind == MZONE_OLD &&
		    (z->flags & ZONE_DESTROYABLE) == 0)
			pages += z->pages;
	}
	return (pages);
}

void
model__zn_at_end(struct model *m)
{
	uint32_t i;

	/* Calls that sleep may be about to change an item. */
	if (m->inflight > 0)
		return;
	for (i = 1; i < m->zn->item.high && m->judging; i++) {
		const struct mitem *it = zn_item(m, i);
		const uint8_t *p = (const uint8_t *)(uintptr_t)it->addr;
		uint64_t size, at;

		if (!it->used || it->space != 0 || it->state != MITEM_FREE ||
		    it->bytes != MBYTES_PATTERN)
			continue;
		size = zn_zone(m, zn_slab(m, it->run)->keg)->size;
		at = model__verify(m, p, size, it->seed, UINT64_MAX);
		if (at == UINT64_MAX)
			continue;
		model__fail(m, NULL, "ZN-33", "written");
		model__expected(m, "the free item at %s as it was left",
		    model__addr_text(m, it->addr).s);
		model__found(m, "byte %" PRIu64 " of %" PRIu64 " is 0x%02x", at,
		    size, p[at]);
	}
}
