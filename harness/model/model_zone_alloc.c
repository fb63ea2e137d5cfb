/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Zones: calls that allocate, and what they may come to.
 *
 * A success needs room: at some instant of the call fewer items were certainly
 * held than the maximum in effect. A refusal needs a cause:
 *
 *   a callback refused in the call, or brought no pointer;
 *   a page allocation of the call failed, unless nothing else was in flight
 *     and more items were free than caches and the reserve keep away;
 *   the maximum: with caches, items may be stuck in those of the CPUs that
 *     have touched the zone since it was drained (ZN-6);
 *   others in flight that wait, initialise slabs, or move items and limits.
 */
#include "model_zone.h"

#define ALLOC_FLAGS                                                            \
	(M_RNOWAIT | M_WAITOK | M_ZERO | M_USE_RESERVE | M_NULLOK |            \
	    M_USE_INTERRUPT_RESERVE)

static bool
is_old(const struct mthread *th)
{
	return (th->code == TRACE_OP_ZALLOC);
}

/* --- begin --- */

/* Which ends are misuse, and which the contract leaves open. */
static uint32_t
alloc_expect(const struct mthread *th, const struct mzone *z, bool alive)
{
	bool waitok = (th->flags & M_WAITOK) != 0;
	bool nowait = (th->flags & M_RNOWAIT) != 0;
	uint32_t expect = alive ? 0 : WHY(BAD_HANDLE);

	if (is_old(th))
		return (expect != 0 ? expect : WHY(NONE));
	if (waitok == nowait || (th->flags & ~(uint32_t)ALLOC_FLAGS) != 0)
		expect |= WHY(BAD_FLAGS);
	if (expect != 0)
		return (expect);
	if ((waitok && (th->flags & M_NULLOK) != 0) ||
	    (z->kind == MZONE_CACHE && (th->flags & M_ZERO) != 0))
		return (WHY(NONE) | WHY(BAD_FLAGS));
	return (WHY(NONE));
}

void
zn__alloc_begin(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);

	th->flags = is_old(th) ? M_RNOWAIT : c->flags;
	if (c->code != TRACE_OP_UMA_ZALLOC_ARG)
		f->udata = 0;
	th->expect = alloc_expect(th, z, f->zone != 0 && z->alive);
	if ((th->expect & WHY(NONE)) == 0)
		return;
	/* Of static memory there is no more to come: it waits at a maximum. */
	th->may_sleep = (th->flags & M_WAITOK) != 0 &&
	    (!z->boot || z->max_lo != ZN_NO_LIMIT);
	zn__joins(z, f);
	z->allocs++;
	z->waits += th->may_sleep;
	z->touched |= UINT64_C(1) << f->cpu % 64;
	f->joined = true;
	f->event = z->event;
	if (z->keg == 0)
		return;
	f->take_event = keg->take_event;
	keg->tried = true;
	zn__credit_spend(m, th, z, f);
}

static void
alloc_parts(struct model *m, struct mthread *th)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);

	MODEL_ASSERT(z->allocs > 0);
	zn__parts(z, f);
	z->allocs--;
	z->waits -= th->may_sleep;
	model__count_sleep(&z->sleeps, th,
	    th->may_sleep && (th->page_failed || !model__was_alone(m, th)));
	f->joined = false;
}

/* --- refusals --- */

/* Items that caches may keep from the call's CPU. */
static uint64_t
stranded(const struct model *m, const struct mzone *z, const struct mzframe *f)
{
	uint64_t own = f->moved ? 0 : UINT64_C(1) << f->cpu % 64;
	uint64_t others = z->touched & ~own;
	uint64_t n = (uint64_t)__builtin_popcountll(others);

	/* Static items are all served (ZN-30); zalloc looks at all CPUs; small
	 * maxima are exact. */
	if (z->boot || z->class == TRACE_VMZONE ||
	    (z->class == TRACE_ZONE &&
		z->max_hi < 2 * (uint64_t)m->config.cpus))
		return (0);
	if (n > m->config.cpus - 1)
		n = m->config.cpus - 1;
	return (2 * z->capacity * n);
}

/* Do commit points say whether its maximum refused? */
static bool
zn_is_counted(const struct mzone *z)
{
	return (z->counted != 0 && z->class == TRACE_ZONE && !z->boot);
}

/* Could the zone be at its maximum at some instant of the call? */
static bool
was_at_maximum(struct model *m, const struct mthread *th)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	const struct mzone *keg = zn_keg(m, z);

	if (zn_is_counted(z) && th->full != z->counted)
		return (false);
	if (z->max_lo == ZN_NO_LIMIT)
		return (z->full_until >= f->event);
	if (zn__was_sole(m, th) && !z->over) {
		if (z->held + stranded(m, z, f) < z->max_lo)
			return (false);
		if (z->held < z->max_lo && !th->page_failed)
			model__slack(m, z->max_lo - z->held, stranded(m, z, f));
		return (true);
	}
	if (z->held + z->frees + z->allocs - 1 >= z->max_lo ||
	    z->full_until >= f->event ||
	    z->early > (f->begun <= z->lowered_at ? 1u : 0u) ||
	    z->early_until >= f->event)
		return (true);
	/* Whole buckets may be on their way, or in caches as before. */
	if (z->capacity == 0 && !z->over)
		return (false);
	if (z->kind == MZONE_CACHE)
		return (z->tokens >= z->max_lo);
	return (
	    keg->ipers == 0 || zn_keg_items(keg, keg->pages_most) >= z->max_lo);
}

/* Could all items of static memory be had at some instant of the call? */
static bool
were_gone(const struct model *m, const struct mthread *th)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);

	return (z->held + z->frees + z->allocs - 1 >= z->items ||
	    z->gone_until >= f->event);
}

static bool
was_full(struct model *m, const struct mthread *th)
{
	return (were_gone(m, th) || was_at_maximum(m, th));
}

/* Others in flight that explain a refusal at a maximum. */
#define SLAB_HOOKS (1u << TRACE_HOOK_INIT | 1u << TRACE_HOOK_FINI)

static bool
was_disturbed(const struct model *m, const struct mthread *th)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	const struct mzone *keg = zn_keg(m, z);

	bool sole = zn__was_sole(m, th) && !zn__somebody_is_suspended(m);

	/* Who was not told that there is no unit left, or no room for a slab,
	 * was refused for nothing, whatever others did. */
	if (zn_is_counted(z) && th->full != z->counted && !th->no_room)
		return (false);
	if (!sole && (z->ops > 0 || z->op_until >= f->event))
		return (true);
	/* Anybody who is short of pages may have what the caches had in hand. */
	if (!sole && z->capacity != 0 && z->max_lo != ZN_NO_LIMIT)
		return (true);
	if (z->keg == 0 || !keg->limited)
		return (!sole && z->max_lo != ZN_NO_LIMIT &&
		    (z->waits > (th->may_sleep ? 1u : 0u) ||
			z->wait_until >= f->event));
	/* Where slabs have callbacks, one that comes or goes counts before its
	 * pages do and after. */
	if (!sole && (keg->sourced || (keg->hooks & SLAB_HOOKS) != 0))
		return (true);
	if (keg->shared ||
	    (keg->reserve_hi > 0 && (th->flags & M_USE_RESERVE) == 0))
		return (true);
	return (!sole &&
	    (z->waits > 0 || z->wait_until >= f->event || zn__slabs_move(keg) ||
		keg->take_until >= f->take_event));
}

/* Free items that the call could have had without a page. */
static uint64_t
items_at_hand(struct model *m, const struct mthread *th)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	const struct mzone *keg = zn_keg(m, z);
	uint64_t away = keg->keg_held + stranded(m, z, f), items;

	/* Zones that share a keg have caches, unless it has a reserve. */
	if (!zn__was_sole(m, th) || z->keg == 0 ||
	    (keg->shared && keg->reserve_lo == 0) || keg->ipers == 0 ||
	    was_full(m, th))
		return (0);
	if ((th->flags & M_USE_RESERVE) == 0)
		away += keg->reserve_hi;
	items = zn_keg_items(keg, keg->pages);
	return (items > away ? items - away : 0);
}

static const char *
refusal_clause(const struct mzone *z)
{
	if (z->boot && (z->class == TRACE_VMZONE || z->max_lo >= z->items))
		return ("ZN-30");
	if (z->completed)
		return ("ZN-31");
	return (z->class == TRACE_ZONE && z->max_lo != ZN_NO_LIMIT ? "ZN-6" :
								     "ZN-4");
}

static void
fail_refusal(struct model *m, const struct mthread *th, const char *clause,
    const char *state)
{
	const struct mzone *z = zn_zone(m, zn_frame(m, th)->zone);

	model__fail(m, th, clause, state);
	model__expected(m,
	    "an item of %s, of which %" PRIu64 " are held, maximum %" PRIu64
	    "; %s",
	    zn__text(m, z).s, z->held, z->max_lo == ZN_NO_LIMIT ? 0 : z->max_lo,
	    th->page_failed ? "a page allocation failed" :
			      "no page allocation failed");
}

/* NULL, or the panic that stands for it. False: finding. */
static bool
refusal_holds(struct model *m, struct mthread *th)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	const char *state = NULL, *clause = refusal_clause(z);

	if (f->refused)
		return (true);
	if ((th->flags & M_WAITOK) != 0 && !z->boot) {
		clause = "ZN-4";
		state = "null-waitok";
	} else if ((th->flags & M_WAITOK) != 0) {
		/* At a maximum it would have waited. */
		if (were_gone(m, th))
			return (true);
		clause = "ZN-30";
		state = "no-cause";
	} else if (th->page_failed) {
		if (items_at_hand(m, th) == 0) {
			/* What an init or a ctor did is not known here. */
			if (zn__was_sole(m, th) &&
			    !zn__somebody_is_suspended(m))
				model__judge_kept(m, th, zn__depth(th, z));
			return (true);
		}
		clause = zn_keg(m, z)->reserve_hi > 0 ? "ZN-14" : clause;
		state = "items-free";
	} else {
		if (was_full(m, th) || was_disturbed(m, th))
			return (true);
		state = "no-cause";
	}
	fail_refusal(m, th, clause, state);
	return (false);
}

static void
alloc_refused(struct model *m, struct mthread *th)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);

	m->counts.refusals++;
	z->requests++;
	z->failures++;
	if (is_old(th) && (z->flags & ZONE_PANICFAIL) != 0) {
		fail_refusal(m, th, "ZN-32", "null-panicfail");
		model__found(m, "NULL, not panic limit");
	} else if (!refusal_holds(m, th)) {
		model__found(m, "NULL");
	} else if (m->judging && zn_has(z, TRACE_HOOK_MAXACTION) && !z->told &&
	    zn_is_counted(z) && th->full == z->counted && !f->refused &&
	    zn__was_sole(m, th)) {
		model__fail(m, th, "ZN-5", "maxaction-never");
		model__expected(m,
		    "maxaction, once while %s is at its maximum of %" PRIu64,
		    zn__text(m, z).s, z->max_lo);
		model__found(m, "NULL");
	} else if (f->item != 0) {
		model__fail(m, th, "ZN-10", "item-lost");
		model__expected(m, "the item that was constructed");
		model__found(m, "NULL");
	}
}

/* --- births --- */

static const char *
room_clause(const struct mzone *z)
{
	if (z->boot && (z->class == TRACE_VMZONE || z->held >= z->items))
		return ("ZN-30");
	if (z->class == TRACE_VMZONE)
		return ("ZN-32");
	return (z->lowered ? "ZN-8" : "ZN-5");
}

/* During the whole call no unit of the maximum was free, or no item of static
 * memory: a call takes the one and then the other. */
static bool
has_no_room(const struct mzone *z, const struct mzframe *f)
{
	return ((z->held >= z->max_hi && z->room_until < f->event) ||
	    (z->held >= z->items && z->free_until < f->event));
}

/* May a call of the zone return this address now? */
static bool
place_holds(struct model *m, const struct mthread *th, uint64_t addr)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);

	if (f->ctor_refused) {
		model__fail(m, th, "ZN-10", "ctor-ignored");
		model__expected(m, "NULL: the constructor refused");
	} else if (z->kind != MZONE_CACHE && (addr & (z->align - 1)) != 0 &&
	    !zn__is_loose(m, z, addr)) {
		model__fail(m, th, "ZN-13", "align");
		model__expected(
		    m, "an address aligned to %" PRIu64 " bytes", z->align);
	} else if (has_no_room(z, f)) {
		model__fail(m, th, room_clause(z), "over-limit");
		model__expected(m,
		    "refusal: %" PRIu64
		    " items of %s were held all the time, maximum %" PRIu64,
		    z->held, zn__text(m, z).s,
		    z->max_hi < z->items ? z->max_hi : z->items);
	} else if (f->credited && th->page_failed && zn__was_sole(m, th)) {
		model__fail(m, th, "ZN-14", "prealloc-page");
		model__expected(m,
		    "no page asked for: items of %s were "
		    "preallocated",
		    zn__text(m, z).s);
	} else {
		return (true);
	}
	model__found(m, "%s",
	    z->kind == MZONE_CACHE ? "a pointer" : model__addr_text(m, addr).s);
	return (false);
}

/* The reserve is for those who may use it (ZN-14). */
static bool
reserve_holds(struct model *m, const struct mthread *th)
{
	const struct mzone *z = zn_zone(m, zn_frame(m, th)->zone);
	const struct mzone *keg = zn_keg(m, z);
	uint64_t normal = z->held - z->held_reserved;

	if (z->keg == 0 || keg->reserve_lo == 0 || keg->shared ||
	    keg->ipers == 0 || (th->flags & M_USE_RESERVE) != 0 ||
	    !zn__was_sole(m, th) ||
	    normal + keg->reserve_lo <= zn_keg_items(keg, keg->pages))
		return (true);
	model__fail(m, th, "ZN-14", "reserve");
	model__expected(m,
	    "%" PRIu64 " of %" PRIu64 " items of %s left for USE_RESERVE",
	    keg->reserve_lo, zn_keg_items(keg, keg->pages), zn__text(m, z).s);
	model__found(m, "%" PRIu64 " held by others", normal);
	return (false);
}

/* Construction was what the zone promises (ZN-2). */
static bool
was_constructed(struct model *m, const struct mthread *th, uint32_t item)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);

	if (zn_has(z, TRACE_HOOK_CTOR) ? f->item == item && f->ctor_ran :
					 f->item == 0)
		return (true);
	model__fail(m, th, "ZN-2", "not-constructed");
	model__expected(m, "the item that the constructor of %s was given",
	    zn__text(m, z).s);
	model__found(m, "%s, constructed: %s",
	    z->kind == MZONE_CACHE ?
		"a pointer" :
		model__addr_text(m, zn_item(m, item)->addr).s,
	    f->item == 0 ? "none" : "another");
	return (false);
}

static void
item_held(struct model *m, struct mthread *th, struct mitem *it, uint32_t o)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);

	zn__moves(z);
	z->told = false;
	z->held++;
	model__count_covers(m, th, z->counted, z->held, zn__text(m, z).s);
	it->state = MITEM_HELD;
	it->object = o;
	it->zone = f->zone;
	it->used = true;
	it->reserved = (th->flags & M_USE_RESERVE) != 0;
	z->held_reserved += it->reserved;
	f->item = 0;
	if (z->keg != 0) {
		zn__take_moves(keg);
		keg->keg_held++;
		keg->used = true;
	}
	m->counts.allocs++;
}

/* The record that others know the item by; 0: no memory, or finding. */
static uint32_t
object_born(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	uint32_t i = model__object_new(m);
	struct mobject *o = model__object(m, i);

	if (i == 0)
		return (0);
	o->addr = c->ret;
	o->usable = o->requested = z->size;
	o->line = c->line;
	o->type = 0;
	o->thread = th->id;
	o->owner = z->class;
	o->handle = z->reg;
	if (z->kind != MZONE_CACHE && !zn__is_loose(m, z, c->ret))
		return (model__object_enter(m, th, i) ? i : 0);
	o->run = 0;
	o->state = MOBJECT_LIVE;
	if (z->kind == MZONE_CACHE) {
		/* A number, not memory: it has no contents. */
		o->usable = 0;
		o->bytes = MBYTES_OPEN;
	}
	return (i);
}

static void
alloc_born(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);
	bool zeroed = (th->flags & M_ZERO) != 0 && !f->ctor_ran;
	uint32_t i, o;

	z->requests++;
	if (z->spoiled || !place_holds(m, th, c->ret))
		return;
	i = zn__item_at(m, th, z, c->ret);
	if (i == 0 ||
	    (f->item != i && !zn__item_is_ready(m, th, z, zn_item(m, i))) ||
	    !was_constructed(m, th, i))
		return;
	o = object_born(m, th, c);
	if (o == 0 || !zn__item_kept(m, th, z, zn_item(m, i), zeroed))
		return;
	if (z->kind != MZONE_CACHE)
		model__object_fill(m, model__object(m, o));
	item_held(m, th, zn_item(m, i), o);
	(void)reserve_holds(m, th);
}

/* --- end --- */

static void
alloc_panicked(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzone *z = zn_zone(m, zn_frame(m, th)->zone);

	if (c->why == MODEL_WHY_LIMIT && is_old(th) &&
	    (z->flags & ZONE_PANICFAIL) != 0) {
		m->counts.panics++;
		z->vague++;
		if (!refusal_holds(m, th))
			model__found(m, "panic limit");
		return;
	}
	(void)zn__outcome(m, th, c);
}

void
zn__alloc_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);

	if (!f->joined) {
		(void)zn__outcome(m, th, c);
		return;
	}
	if (c->why != 0)
		alloc_panicked(m, th, c);
	else if (c->ret == 0)
		alloc_refused(m, th);
	else
		alloc_born(m, th, c);
	alloc_parts(m, th);
}
