/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Zones: maximum, reserve, preallocation, reclaim, and what is reported.
 *
 * A change of the maximum takes effect at some instant of its call: until it
 * returns there are two, and if two changes overlap nobody knows which was the
 * last until one runs alone. So it is with the reserve, which is the keg's.
 *
 * What prealloc promises is kept as a credit: so many allocations need no
 * page. It ends where caches of other CPUs or zones, a maximum, or pages that
 * went make the promise void.
 */
#include "model_zone.h"

/* --- the maximum --- */

/* Calls on static memory that are under way may meet the maximum, and wait. */
static void
may_wait_now(struct model *m, struct mzone *z)
{
	uint32_t i;

	for (i = 0; i < m->frames; i++) {
		struct mthread *th = &m->thread[i];

		if (!th->busy || trace_ops[th->code].group != TRACE_G_ZN ||
		    !zn_frame(m, th)->joined ||
		    zn_zone(m, zn_frame(m, th)->zone) != z || th->may_sleep ||
		    (th->flags & M_WAITOK) == 0)
			continue;
		th->may_sleep = true;
		z->waits++;
	}
}

void
zn__max_begin(struct model *m, struct mthread *th, uint64_t max)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);

	zn__op_begin(m, th);
	z->max_event++;
	z->max_race = z->maxers > 0;
	z->maxers++;
	f->lowers = max < z->max_hi;
	if (f->lowers) {
		z->lowered |= z->touched != 0 || z->held > 0;
		z->over |= z->touched != 0 && !z->boot; /* that has no caches */
	}
	if (z->boot && max != ZN_NO_LIMIT)
		may_wait_now(m, z);
	f->max_new = max;
	if (max < z->max_lo)
		z->max_lo = max;
	if (max > z->max_hi)
		z->max_hi = max;
	keg->limited |= z->keg != 0 && max != ZN_NO_LIMIT;
	keg->credit = 0;
	/* ZN-5 bounds the slabs if the maximum came first and stays. */
	if (z->keg != 0 && (keg->tried || z->maxers > 1 || z->max_event > 1))
		keg->unbound = true;
}

void
zn__max_end(struct model *m, struct mthread *th, bool done)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);

	if (!f->op)
		return;
	zn__op_end(m, th);
	MODEL_ASSERT(z->maxers > 0);
	z->max_event++;
	if (f->lowers) {
		z->lowered_at = z->event;
		z->early = z->allocs + z->frees;
	}
	/* Who tried meanwhile may have done so before there was one. */
	keg->unbound |= z->keg != 0 && keg->tried;
	if (f->lowers && z->touched != 0) {
		z->lowered = true;
		z->over |= !z->boot;
	}
	if (--z->maxers > 0)
		return;
	if (done && !z->max_race)
		z->max_lo = z->max_hi = f->max_new;
}

static void
set_max_begin(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);

	if (f->zone == 0 || !zn_zone(m, f->zone)->alive)
		th->expect = WHY(BAD_HANDLE);
	if (c->n[0] < 0)
		th->expect = (th->expect & ~WHY(NONE)) | WHY(BAD_ARG);
	if (th->expect == WHY(NONE))
		zn__max_begin(
		    m, th, c->n[0] == 0 ? ZN_NO_LIMIT : (uint64_t)c->n[0]);
}

static void
set_max_end(struct model *m, struct mthread *th, const struct call *c)
{
	if (!zn__outcome(m, th, c))
		return;
	zn__max_end(m, th, c->why == 0);
	if (c->why != 0 || (int32_t)c->ret == c->n[0])
		return;
	model__fail(m, th, "ZN-5", "returned");
	model__expected(m, "the maximum in effect: %" PRId32, c->n[0]);
	model__found(m, "%" PRId32, (int32_t)c->ret);
}

static void
get_max_end(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	uint64_t max = c->ret == 0 ? ZN_NO_LIMIT : c->ret;

	if (!zn__outcome(m, th, c) || c->why != 0 || z->maxers > 0 ||
	    z->max_event != f->max_event || z->max_race || max == z->max_lo)
		return;
	model__fail(m, th, "ZN-16", "max");
	model__expected(m, "the maximum of %s: %" PRIu64, zn__text(m, z).s,
	    z->max_lo == ZN_NO_LIMIT ? 0 : z->max_lo);
	model__found(m, "%" PRIu64, c->ret);
}

static void
get_cur_end(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzone *z = zn_zone(m, zn_frame(m, th)->zone);

	if (!zn__outcome(m, th, c) || c->why != 0 || !zn__was_sole(m, th) ||
	    z->spoiled || c->ret == z->held)
		return;
	model__fail(m, th, "ZN-16", "current");
	model__expected(
	    m, "%" PRIu64 " items of %s held", z->held, zn__text(m, z).s);
	model__found(m, "%" PRIu64, c->ret);
}

/* --- reserve and preallocation --- */

static uint64_t
slabs_for(const struct mzone *keg, int32_t items)
{
	uint64_t ipers = keg->ipers == 0 ? 1 : keg->ipers;

	return (items <= 0 ? 0 : ((uint64_t)items + ipers - 1) / ipers);
}

/* Arguments on which the contract is silent may be misuse. */
static uint32_t
ahead_expect(const struct model *m, const struct mzone *z, int32_t n)
{
	(void)m;
	if (!z->alive)
		return (WHY(BAD_HANDLE));
	if (n < 0 || z->keg == 0 || z->kind == MZONE_SECOND)
		return (WHY(NONE) | WHY(BAD_ARG));
	return (WHY(NONE));
}

static void
source_is_set(struct mzone *keg)
{
	keg->credit = 0;
	keg->sourced = true;
}

/* Before the first slab only, and of a zone that shares none. */
static void
source_begin(struct model *m, struct mthread *th)
{
	struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);

	th->expect = WHY(NONE);
	if (f->zone == 0 || !z->alive)
		th->expect = WHY(BAD_HANDLE);
	else if (z->keg == 0)
		th->expect = WHY(BAD_ARG);
	else if (keg->used || keg->pages > 0)
		/* Its pages may be on their way out. */
		th->expect = WHY(BUSY) |
		    (keg->used || zn__was_sole(m, th) ? 0 : WHY(NONE));
	else if (keg->tried || keg->shared)
		th->expect |= WHY(BUSY);
	f->has_slabs = th->expect == WHY(BUSY) && !keg->used;
	if ((th->expect & WHY(NONE)) == 0 && !f->has_slabs)
		return;
	zn__op_begin(m, th);
	if (!f->has_slabs)
		source_is_set(keg);
}

static void
source_end(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);
	bool sole = zn__was_sole(m, th);

	zn__op_end(m, th);
	/* Another call may have given the slabs back meanwhile. */
	if (f->has_slabs && !sole && c->why == 0) {
		th->expect |= WHY(NONE);
		source_is_set(zn_keg(m, zn_zone(m, f->zone)));
	}
	/* Another call may have been the first meanwhile, or may be making a
	 * secondary zone. */
	if ((th->expect & WHY(NONE)) != 0 && !sole)
		th->expect |= WHY(BUSY);
	(void)zn__outcome(m, th, c);
}

/* Until the call returns the reserve may be the old one or the new one. */
static void
reserve_changes(struct mzframe *f, struct mzone *keg, int32_t n)
{
	uint64_t reserve = n < 0 ? 0 : (uint64_t)n;

	f->reserving = true;
	f->reserve_lo = keg->reserve_lo;
	f->reserve_hi = keg->reserve_hi;
	keg->reserve_race = keg->reservers > 0;
	keg->reservers++;
	if (reserve < keg->reserve_lo)
		keg->reserve_lo = reserve;
	if (reserve > keg->reserve_hi)
		keg->reserve_hi = reserve;
}

/* Of two at once, by whatever zones of the keg, nobody knows which was last. */
static void
reserve_changed(const struct model *m, struct mzframe *f, struct mzone *keg,
    int32_t n, bool done)
{
	if (!f->reserving)
		return;
	f->reserving = false;
	keg->reserve_set = m->activity;
	MODEL_ASSERT(keg->reservers > 0);
	if (--keg->reservers > 0 || keg->reserve_race)
		return;
	if (done) {
		keg->reserve_lo = keg->reserve_hi = n < 0 ? 0 : (uint64_t)n;
	} else {
		keg->reserve_lo = f->reserve_lo;
		keg->reserve_hi = f->reserve_hi;
	}
}

static void
reserve_begin(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);

	th->expect =
	    f->zone == 0 ? WHY(BAD_HANDLE) : ahead_expect(m, z, c->n[0]);
	if ((th->expect & WHY(NONE)) == 0)
		return;
	if (z->keg != 0 && keg->used)
		th->expect = (th->expect & ~WHY(NONE)) | WHY(BUSY);
	else if (z->keg != 0 && (keg->tried || keg->shared))
		th->expect |= WHY(BUSY);
	zn__op_begin(m, th);
	if (z->keg == 0)
		return;
	keg->asked += slabs_for(keg, c->n[0]);
	reserve_changes(zn_frame(m, th), keg, c->n[0]);
}

static void
reserve_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);

	zn__op_end(m, th);
	reserve_changed(m, f, keg, c->n[0], c->why == 0);
	/* Another call may have been the first meanwhile. */
	if ((th->expect & WHY(NONE)) != 0 && z->keg != 0 &&
	    (keg->tried || keg->used || keg->shared))
		th->expect |= WHY(BUSY);
	if (zn__outcome(m, th, c) && c->why == 0 && z->keg != 0)
		keg->credit = 0;
}

static void
prealloc_begin(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);

	th->expect =
	    f->zone == 0 ? WHY(BAD_HANDLE) : ahead_expect(m, z, c->n[0]);
	if ((th->expect & WHY(NONE)) == 0)
		return;
	zn__op_begin(m, th);
	if (z->keg == 0)
		return;
	keg->asked += slabs_for(keg, c->n[0]);
	keg->tried |= c->n[0] > 0;
	f->gone = keg->gone;
}

static bool
fail_short(struct model *m, const struct mthread *th, const struct mzone *z,
    uint64_t n)
{
	const struct mzone *keg = zn_keg(m, z);

	model__fail(m, th, "ZN-14", "prealloc-short");
	model__expected(
	    m, "%" PRIu64 " free items in slabs of %s", n, zn__text(m, z).s);
	model__found(m,
	    "%" PRIu64 " items in %" PRIu64 " pages, %" PRIu64 " held",
	    zn_keg_items(keg, keg->pages), keg->pages, keg->keg_held);
	return (true);
}

/* Whatever others did meanwhile: no slab went, and there are too few. A maximum
 * keeps more from being allocated. */
static bool
is_short_of_slabs(struct model *m, const struct mthread *th,
    const struct mzone *z, uint64_t n)
{
	const struct mzone *keg = zn_keg(m, z);

	if (z->max_lo < n)
		n = z->max_lo;
	return (keg->gone == zn_frame(m, th)->gone && !keg->shared &&
	    !keg->sourced && !keg->boot && zn_keg_items(keg, keg->pages) < n &&
	    fail_short(m, th, z, n));
}

static void
prealloc_end(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);
	uint64_t n = c->n[0] < 0 ? 0 : (uint64_t)c->n[0], items;

	zn__op_end(m, th);
	model__count_sleep(&z->sleeps, th, true);
	if (!zn__outcome(m, th, c) || c->why != 0 || z->keg == 0 || n == 0 ||
	    f->refused || th->page_failed || keg->ipers == 0 ||
	    is_short_of_slabs(m, th, z, n) || !zn__was_sole(m, th))
		return;
	items = zn_keg_items(keg, keg->pages);
	/* What a maximum keeps from being allocated needs no page either. */
	if (items < keg->keg_held + keg->reserve_lo + n && !keg->limited) {
		(void)fail_short(m, th, z, n);
		return;
	}
	if (keg->reserve_hi > 0 || keg->shared)
		return;
	keg->credit = n;
	keg->credit_zone = f->zone;
	keg->credit_cpu = UINT32_MAX;
}

void
zn__credit_spend(
    struct model *m, struct mthread *th, struct mzone *z, struct mzframe *f)
{
	struct mzone *keg = zn_keg(m, z);

	if (keg->credit == 0)
		return;
	if (keg->credit_cpu == UINT32_MAX)
		keg->credit_cpu = f->cpu;
	/* Items that other CPUs or zones cache are out of reach. */
	if (m->inflight > 1u + th->caches_below || keg->credit_cpu != f->cpu ||
	    keg->credit_zone != f->zone) {
		keg->credit = 0;
		return;
	}
	keg->credit--;
	f->credited = true;
}

/* --- migration --- */

void
model__zn_migrate(struct model *m, struct mthread *th, uint32_t cpu)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);

	if (f->zone == 0)
		return;
	/* What it has done may be on either CPU. */
	z->touched |= UINT64_C(1) << f->cpu % 64 | UINT64_C(1) << cpu % 64;
	f->cpu = cpu;
	f->moved = true;
	if (z->keg != 0)
		zn_keg(m, z)->credit = 0;
}

/* --- reclaim --- */

static void
reclaim_begin(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);
	bool all = c->code == TRACE_OP_UMA_RECLAIM;
	uint32_t i;

	f->max_new = 0;
	th->may_sleep = true;
	if (!all && (f->zone == 0 || !zn_zone(m, f->zone)->alive))
		th->expect = WHY(BAD_HANDLE);
	if (c->reclaim == TRACE_RECLAIM_NONE)
		th->expect = (th->expect & ~WHY(NONE)) | WHY(BAD_ARG);
	if (th->expect != WHY(NONE))
		return;
	f->gentle = c->reclaim != TRACE_RECLAIM_DRAIN_CPU;
	if (!all)
		zn__op_begin(m, th);
	else
		f->max_new = m->zn->zone.high;
	for (i = 1; i < f->max_new; i++) {
		zn__moves(zn_zone(m, i));
		zn_zone(m, i)->ops++;
	}
}

/* Pages of slabs with so many items as the reserve may be. */
static uint64_t
reserve_pages(const struct mzone *keg)
{
	uint64_t ipers = keg->ipers == 0 ? 1 : keg->ipers;

	return ((keg->reserve_hi + ipers - 1) / ipers * keg->ppera);
}

/* Nothing of the keg is held: then no page is, but for the reserve. */
static bool
keg_is_drained(struct model *m, struct mthread *th, const struct mzone *keg)
{
	if (keg->kind != MZONE_UMA || !keg->alive || keg->keg_held > 0 ||
	    (keg->flags & UMA_ZONE_NOFREE) != 0 ||
	    keg->pages <= reserve_pages(keg) ||
	    (keg->reserve_hi > 0 && keg->ppera == 0))
		return (true);
	model__fail(m, th, "ZN-14", "pages-kept");
	model__expected(m,
	    "%" PRIu64 " pages of %s: nothing is held, %" PRIu64 " reserved",
	    reserve_pages(keg), zn__text(m, keg).s, keg->reserve_hi);
	model__found(m, "%" PRIu64 " pages", keg->pages);
	return (false);
}

static void
reclaim_end(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mzframe *f = zn_frame(m, th);
	bool all = c->code == TRACE_OP_UMA_RECLAIM;
	bool drained = c->reclaim == TRACE_RECLAIM_DRAIN_CPU && c->why == 0 &&
	    zn__was_sole(m, th);
	uint32_t i;

	zn__op_end(m, th);
	/* Those that were made meanwhile are not among them. */
	for (i = 1; i < f->max_new; i++) {
		zn__moves(zn_zone(m, i));
		zn_zone(m, i)->ops--;
	}
	if (!zn__outcome(m, th, c) || !drained)
		return;
	for (i = 1; i < m->zn->zone.high && m->judging; i++) {
		struct mzone *z = zn_zone(m, i);

		if (!all && i != f->zone)
			continue;
		z->touched = 0;
		z->over = false;
		if (all || z->zones == 1)
			(void)keg_is_drained(m, th, z);
	}
}

/* Of two that set it at one time nobody knows which is last. */
static void
set_maxcache_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzone *z = zn_zone(m, zn_frame(m, th)->zone);

	zn__op_end(m, th);
	if (!zn__outcome(m, th, c) || c->why != 0)
		return;
	z->maxcache = zn__was_sole(m, th) ? (uint64_t)c->n[0] : UINT64_MAX;
}

/* --- the rest of the calls --- */

void
zn__limit_begin(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);

	f->max_event =
	    f->zone == 0 || z->maxers > 0 ? UINT64_MAX : z->max_event;
	switch (c->code) {
	case TRACE_OP_UMA_ZONE_SET_MAX:
		set_max_begin(m, th, c);
		return;
	case TRACE_OP_UMA_ZONE_RESERVE:
		reserve_begin(m, th, c);
		return;
	case TRACE_OP_UMA_ZONE_SET_SOURCE:
		source_begin(m, th);
		return;
	case TRACE_OP_UMA_PREALLOC:
		prealloc_begin(m, th, c);
		return;
	case TRACE_OP_UMA_ZONE_RECLAIM:
	case TRACE_OP_UMA_RECLAIM:
		reclaim_begin(m, th, c);
		return;
	default:
		break;
	}
	if (f->zone == 0 || !z->alive)
		th->expect = WHY(BAD_HANDLE);
	else if (c->code == TRACE_OP_UMA_ZONE_SET_MAXCACHE)
		zn__op_begin(m, th);
	if (c->code == TRACE_OP_UMA_ZONE_SET_MAXCACHE && c->n[0] < 0)
		th->expect |= WHY(BAD_ARG);
	/* Asking, and setting what a callback does, are no more than that. */
	th->may_sleep = c->code == TRACE_OP_UMA_ZONE_SET_MAXCACHE;
	if (c->code == TRACE_OP_UMA_HOOK)
		th->expect |= WHY(NONE);
}

void
zn__limit_end(struct model *m, struct mthread *th, const struct call *c)
{
	switch (c->code) {
	case TRACE_OP_UMA_ZONE_SET_MAX:
		set_max_end(m, th, c);
		return;
	case TRACE_OP_UMA_ZONE_RESERVE:
		reserve_end(m, th, c);
		return;
	case TRACE_OP_UMA_ZONE_SET_SOURCE:
		source_end(m, th, c);
		return;
	case TRACE_OP_UMA_PREALLOC:
		prealloc_end(m, th, c);
		return;
	case TRACE_OP_UMA_ZONE_RECLAIM:
	case TRACE_OP_UMA_RECLAIM:
		reclaim_end(m, th, c);
		return;
	case TRACE_OP_UMA_ZONE_GET_MAX:
		get_max_end(m, th, c);
		return;
	case TRACE_OP_UMA_ZONE_GET_CUR:
		get_cur_end(m, th, c);
		return;
	case TRACE_OP_UMA_ZONE_SET_MAXCACHE:
		set_maxcache_end(m, th, c);
		return;
	default:
		zn__op_end(m, th);
		(void)zn__outcome(m, th, c);
		return;
	}
}

/* --- what is reported --- */

static bool
stat_is(struct model *m, const struct mzone *z, const char *state,
    uint64_t least, uint64_t most, uint64_t found)
{
	if (least <= found && found <= most)
		return (true);
	model__fail(m, NULL, "ZN-17", state);
	model__expected(m, "%s: %s %" PRIu64, zn__text(m, z).s, state, least);
	model__found(m, "%" PRIu64, found);
	return (false);
}

/* Items that are nobody's: they add up. */
static void
check_items(
    struct model *m, const struct mzone *z, const struct owner_stats *st)
{
	uint64_t sum = st->used + st->cached + st->free;

	if (z->kind == MZONE_CACHE && !z->spoiled) {
		if (st->used + st->cached == z->tokens)
			return;
		model__fail(m, NULL, "ZN-15", "conservation");
		model__expected(m, "%" PRIu64 " pointers held or cached by %s",
		    z->tokens, zn__text(m, z).s);
		model__found(m, "%" PRIu64 " held, %" PRIu64 " cached",
		    st->used, st->cached);
	} else if (z->kind == MZONE_UMA && !z->shared && !z->boot &&
	    z->ipers != 0 &&
	    stat_is(m, z, "pages", z->pages, z->pages, st->slabs * z->ppera)) {
		(void)stat_is(m, z, "items", zn_keg_items(z, z->pages),
		    zn_keg_items(z, z->pages), sum);
	}
}

void
model__zn_check(struct model *m, enum trace_class class, uint32_t handle,
    const struct owner_stats *st)
{
	uint32_t i = zn__zone_of(m, class, handle);
	const struct mzone *z = zn_zone(m, i);
	bool fixed = z->max_lo == z->max_hi && !z->max_race;
	uint64_t max = z->max_lo == ZN_NO_LIMIT ? 0 : z->max_lo;

	if (i == 0 || !z->alive || z->spoiled ||
	    z->allocs + z->frees + z->ops > 0)
		return;
	if (!stat_is(m, z, "used", z->held, z->held, st->used) ||
	    !stat_is(m, z, "requests", z->requests, z->requests + z->vague,
		st->requests) ||
	    !stat_is(m, z, "failures", z->failures, z->failures + z->vague,
		st->failures))
		return;
	model__sleeps_hold(m, class, handle, &z->sleeps, st->sleeps);
	if (!m->judging)
		return;
	if (class == TRACE_ZONE && fixed &&
	    !stat_is(m, z, "limit", max, max, st->limit))
		return;
	if (fixed && max != 0 && !z->lowered &&
	    st->used + st->cached > z->max_lo) {
		model__fail(m, NULL, "ZN-5", "cached");
		model__expected(m,
		    "at most %" PRIu64 " items of %s held or cached", max,
		    zn__text(m, z).s);
		model__found(m, "%" PRIu64 " held, %" PRIu64 " cached",
		    st->used, st->cached);
		return;
	}
	if (st->cached > z->maxcache) {
		model__fail(m, NULL, "ZN-6", "maxcache");
		model__expected(m, "at most %" PRIu64 " items cached by %s",
		    z->maxcache, zn__text(m, z).s);
		model__found(m, "%" PRIu64, st->cached);
		return;
	}
	check_items(m, z, st);
}
