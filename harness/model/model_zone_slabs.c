/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Zones: pages that come and go, and who sleeps for want of them.
 *
 * A run of pages that a call of a zone took is a slab of the zone's keg, from
 * the observable point on. When its pages go, by whomever, the epochs of its
 * items end: nobody may have one in hand, and what was initialised has been
 * finalised. Static memory is a slab that never goes and is not counted.
 */
#include "model_zone.h"

#define DEPTHS (VM_ALLOC_NORMAL | VM_ALLOC_SYSTEM | VM_ALLOC_INTERRUPT)

uint32_t
zn__run_at(const struct model *m, uint64_t addr)
{
	const struct mregion *r = model__region(m, addr >> REGION_SHIFT);
	unsigned page = (unsigned)(addr / PAGE % REGION_PAGES);

	if (r == NULL || (r->kmalloc >> page & 1) == 0 ||
	    model__run(m, r->run[page])->owner != MOWNER_ZONE)
		return (0);
	return (r->run[page]);
}

bool
zn__slabs_move(const struct mzone *keg)
{
	return (keg->taking > 0 ||
	    (keg->ppera != 0 &&
		keg->pages / keg->ppera * keg->ipers >=
		    keg->keg_held + keg->ipers));
}

void
zn__take_moves(struct mzone *keg)
{
	if (zn__slabs_move(keg))
		keg->take_until = keg->take_event;
	keg->take_event++;
}

static bool
slab_make(struct model *m, const struct mthread *th, uint32_t run, uint32_t keg)
{
	if (run >= m->zn->slab.cap &&
	    !model__pool_grow(&m->zn->slab, (size_t)run + 1)) {
		model__out_of_memory(m);
		return (false);
	}
	*zn_slab(m, run) = (struct mslab) { .keg = keg,
		.frame = (uint32_t)(th - m->thread),
		.activity = th->activity };
	return (true);
}

/* --- static memory --- */

bool
zn__static_make(struct model *m, struct mthread *th, struct mzone *z,
    uint64_t addr, uint64_t bytes)
{
	uint64_t npages = (bytes + PAGE - 1) / PAGE;

	if (addr == 0 || npages == 0)
		return (true);
	z->static_run = model__run_static(m, th, addr, npages);
	return (z->static_run != 0 && slab_make(m, th, z->static_run, z->keg));
}

bool
zn__is_loose(const struct model *m, const struct mzone *z, uint64_t addr)
{
	return (z->loose && z->static_run != 0 &&
	    zn__run_at(m, addr) == z->static_run);
}

static void
items_forget(struct model *m, uint32_t run, uint64_t addr, uint64_t end)
{
	uint32_t i, next;

	for (i = zn_slab(m, run)->first; i != 0; i = next) {
		next = zn_item(m, i)->next;
		if (zn_item(m, i)->addr >= addr && zn_item(m, i)->addr < end)
			zn__item_drop(m, i);
	}
}

void
zn__static_end(struct model *m, struct mzone *z)
{
	items_forget(m, z->static_run, 0, UINT64_MAX);
	model__run_static_end(m, z->static_run);
	z->static_run = 0;
}

/* --- pages come --- */

/* How deep the call may dig for pages. */
uint32_t
zn__depth(const struct mthread *th, const struct mzone *z)
{
	bool old = z->kind == MZONE_OLD;
	uint32_t own = old ? z->flags : th->flags;

	if ((own & (old ? ZONE_INTERRUPT : M_USE_INTERRUPT_RESERVE)) != 0)
		return (VM_ALLOC_INTERRUPT);
	if ((own & (old ? ZONE_USE_RESERVE : M_USE_RESERVE)) != 0)
		return (VM_ALLOC_SYSTEM);
	return (VM_ALLOC_NORMAL);
}

/* Most pages that the keg may have; UINT64_MAX if ZN-5 does not say. */
static uint64_t
pages_bound(const struct mzone *keg)
{
	uint64_t items = keg->max_hi - keg->statics;

	if (keg->max_hi == ZN_NO_LIMIT || keg->unbound || keg->shared ||
	    keg->max_race || keg->ipers == 0 || keg->max_hi < keg->statics)
		return (UINT64_MAX);
	return (
	    keg->ppera * ((items + keg->ipers - 1) / keg->ipers + keg->asked));
}

/* May the call take these pages? Counted already. False: finding. */
static bool
pages_may_come(
    struct model *m, struct mthread *th, const struct mzone *z, uint32_t flags)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *keg = zn_keg(m, z);
	bool takes = f->joined || th->code == TRACE_OP_UMA_PREALLOC;

	if (!takes || z->keg == 0 || keg->boot) {
		model__fail(m, th, keg->boot ? "ZN-30" : "ZN-14", "pages");
		model__expected(
		    m, "a call of %s that needs no page", zn__text(m, z).s);
	} else if ((flags & VM_ALLOC_ZERO) == 0) {
		model__fail(m, th, "ZN-1", "not-zeroed");
		model__expected(m, "pages with ZERO for %s", zn__text(m, z).s);
	} else if ((flags & DEPTHS) > zn__depth(th, z)) {
		model__fail(m, th, "VM-3", "flags");
		model__expected(
		    m, "no deeper than the flags of the call allow");
	} else if (f->credited && zn__was_sole(m, th)) {
		model__fail(m, th, "ZN-14", "prealloc-page");
		model__expected(m, "no page: items of %s were preallocated",
		    zn__text(m, z).s);
	} else if (keg->pages > pages_bound(keg)) {
		model__fail(m, th, "ZN-5", "slabs");
		model__expected(m,
		    "at most %" PRIu64 " pages for %" PRIu64 " items of %s",
		    pages_bound(keg), keg->max_hi, zn__text(m, z).s);
	} else {
		return (true);
	}
	model__found(m,
	    "pages taken with flags 0x%" PRIx32 ", %" PRIu64 " in all", flags,
	    keg->pages);
	return (false);
}

void
model__zn_pages(
    struct model *m, struct mthread *th, uint32_t run, uint32_t flags)
{
	struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	struct mzone *keg = zn_keg(m, z);

	if (!slab_make(m, th, run, f->zone == 0 ? 0 : z->keg))
		return;
	if (f->zone == 0) {
		model__fail(m, th, "ZN-14", "pages");
		model__expected(m, "a call that takes no page");
		model__found(
		    m, "%" PRIu64 " pages taken", model__run(m, run)->npages);
		return;
	}
	if (z->keg != 0) {
		zn__take_moves(keg);
		keg->pages += model__run(m, run)->npages;
		if (keg->pages > keg->pages_most)
			keg->pages_most = keg->pages;
	}
	if (!pages_may_come(m, th, z, flags) || f->keg_took != 0)
		return;
	keg->taking++;
	f->keg_took = z->keg;
}

/* --- pages go --- */

static void
fail_item_goes(struct model *m, const struct mthread *th, const char *clause,
    const char *state, const char *expected, const struct mitem *it)
{
	model__fail(m, th, clause, state);
	model__expected(m, "%s", expected);
	model__found(m, "the pages of the item at %s go",
	    model__addr_text(m, it->addr).s);
}

static bool
item_may_go(struct model *m, const struct mthread *th, const struct mzone *keg,
    const struct mitem *it)
{
	const struct mzone *second = zn_zone(m, it->zinit);

	if (it->state != MITEM_FREE)
		fail_item_goes(m, th, "G-2", "in-hand",
		    "pages of which nobody has an item", it);
	else if (it->inited && zn_has(keg, TRACE_HOOK_FINI))
		fail_item_goes(m, th, "ZN-3", "not-finalised",
		    "fini for every item that was initialised", it);
	else if (it->zinit != 0 && zn_has(second, TRACE_HOOK_FINI))
		fail_item_goes(m, th, "ZN-15", "not-finalised",
		    "fini of the secondary zone for what it initialised", it);
	else
		return (true);
	return (false);
}

/* What goes is beyond the reserve (ZN-14): it needs no page later. Items that
 * calls are about to free are back in the keg already. */
static bool
reserve_stays(
    struct model *m, const struct mthread *th, const struct mzone *keg)
{
	uint64_t items;

	/* Who began before may have them in hand. */
	if (keg->reserve_lo == 0 || keg->shared || keg->ipers == 0 ||
	    th == NULL || th->activity <= keg->reserve_set)
		return (true);
	items = zn_keg_items(keg, keg->pages);
	if (items + keg->frees >= keg->keg_held + keg->reserve_lo)
		return (true);
	model__fail(m, th, "ZN-14", "reserve-goes");
	model__expected(m,
	    "%" PRIu64 " free items of %s to stay as the reserve",
	    keg->reserve_lo, zn__text(m, keg).s);
	model__found(m,
	    "%" PRIu64 " items are left, of which %" PRIu64 " are held", items,
	    keg->keg_held);
	return (false);
}

/* Part of a slab, or all of it, goes. */
static void
slab_goes(struct model *m, const struct mthread *th, uint32_t run,
    uint64_t addr, uint64_t end)
{
	struct mslab *slab = zn_slab(m, run);
	struct mzone *keg = zn_zone(m, slab->keg);
	bool ends = th != NULL && th->busy && th->code == TRACE_OP_UMA_ZDESTROY;
	uint32_t i;

	if (keg->static_run == run ||
	    ((keg->flags & UMA_ZONE_NOFREE) != 0 && keg->kind == MZONE_UMA &&
		!ends && !slab->failed)) {
		model__fail(m, th, "ZN-14", "kept-pages");
		model__expected(m, "slabs of %s to stay", zn__text(m, keg).s);
		model__found(m, "pages at %s go", model__addr_text(m, addr).s);
		return;
	}
	for (i = slab->first; i != 0; i = zn_item(m, i)->next)
		if (zn_item(m, i)->addr >= addr && zn_item(m, i)->addr < end &&
		    !item_may_go(m, th, keg, zn_item(m, i)))
			return;
	items_forget(m, run, addr, end);
	zn__take_moves(keg);
	keg->pages -= (end - addr) / PAGE;
	if (!ends && !slab->failed && !reserve_stays(m, th, keg))
		return;
	/* Of what nobody has used yet all is preallocated. */
	if (!ends && !slab->failed && !keg->tried && m->sleeping == 0 &&
	    th != NULL && th->busy && zn_frame(m, th)->gentle) {
		model__fail(m, th, "ZN-14", "preallocated-goes");
		model__expected(m,
		    "slabs that %s has preallocated and not used to stay",
		    zn__text(m, keg).s);
		model__found(m, "pages at %s go", model__addr_text(m, addr).s);
		return;
	}
	keg->gone += !slab->failed;
	keg->credit = 0;
}

void
model__zn_pages_go(
    struct model *m, const struct mthread *th, uint64_t addr, uint64_t npages)
{
	uint64_t at = addr, end = addr + npages * PAGE;

	while (at < end && m->judging) {
		uint32_t run = zn__run_at(m, at);
		uint64_t from = at;

		if (run == 0 || zn_slab(m, run)->keg == 0) {
			at += PAGE;
			continue;
		}
		while (at < end && zn__run_at(m, at) == run)
			at += PAGE;
		slab_goes(m, th, run, from, at);
	}
}

/* --- who sleeps --- */

/* A call that waits for another one in a callback of it, and may have in hand
 * what nobody holds. What a cache's call has of zones is held by it. */
bool
zn__somebody_is_suspended(const struct model *m)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++)
		if (m->thread[t].busy && m->thread[t].suspended &&
		    trace_ops[m->thread[t].code].group != TRACE_G_OC)
			return (true);
	return (false);
}

/* A call that preallocates keeps what it has so far, or two of them could take
 * each other's slabs for ever. */
static bool
is_preallocating(struct model *m, uint32_t keg)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		struct mthread *th = &m->thread[t];

		if (th->busy && th->code == TRACE_OP_UMA_PREALLOC &&
		    zn_zone(m, zn_frame(m, th)->zone)->keg == keg)
			return (true);
	}
	return (false);
}

void
model__zn_hoarded(struct model *m, struct mthread *sleeper, uint64_t npages)
{
	uint32_t i;

	if (zn__somebody_is_suspended(m))
		return;
	for (i = 1; i < m->run.high; i++) {
		const struct mrun *run = model__run(m, i);
		const struct mslab *slab = zn_slab(m, i);
		const struct mzone *keg;

		if (!run->used || run->owner != MOWNER_ZONE || run->live > 0)
			continue;
		keg = zn_zone(m, slab->keg);
		if (slab->keg == 0 || keg->reserve_hi > 0 ||
		    is_preallocating(m, slab->keg) || keg->static_run == i ||
		    (keg->kind == MZONE_UMA &&
			(keg->flags & UMA_ZONE_NOFREE) != 0) ||
		    (m->thread[slab->frame].busy &&
			m->thread[slab->frame].activity == slab->activity))
			continue;
		model__fail(m, sleeper, "VM-7", "hoarded-zone");
		model__expected(m,
		    "no wholly free slab kept while a caller sleeps for "
		    "%" PRIu64 " pages",
		    npages);
		model__found(m, "%" PRIu64 " pages at %s held by %s",
		    run->npages, model__addr_text(m, run->addr).s,
		    zn__text(m, keg).s);
		return;
	}
}

static void
fail_sleeper(struct model *m, const struct mthread *th, const char *state)
{
	const struct mzone *z = zn_zone(m, zn_frame(m, th)->zone);

	model__fail(m, th, "ZN-7", state);
	model__expected(m,
	    "to go on: nothing else runs, and %" PRIu64
	    " items of %s are held, maximum %" PRIu64,
	    z->held, zn__text(m, z).s,
	    z->max_lo == ZN_NO_LIMIT ? 0 : z->max_lo);
	model__found(m, "asleep, %s, and %" PRIu64 " pages are free",
	    th->page_failed ? "after a page allocation failed" :
			      "no page allocation failed",
	    m->config.pages - m->held);
}

/* Have the keg's zones maxima that allow it one more slab? Room that is set aside
 * for preallocations and a reserve is not counted. */
static bool
has_room(const struct model *m, const struct mzone *keg)
{
	uint64_t need = 0;
	uint32_t i;

	if (!keg->shared || !keg->limited)
		return (true); /* the zone's own maximum has been looked at */
	if (keg->ipers == 0 || keg->ppera == 0)
		return (false);
	for (i = 1; i < m->zn->zone.high; i++) {
		const struct mzone *z = zn_zone(m, i);

		if (!z->alive || z->keg == 0 || zn_keg(m, z) != keg)
			continue;
		if (z->max_lo == ZN_NO_LIMIT)
			return (true);
		need += (z->max_lo + keg->ipers - 1) / keg->ipers;
	}
	return (keg->pages / keg->ppera < need);
}

/* Pages that the call wants, or room for them in its keg: a maximum may have
 * been lowered below what another zone of it has. */
static void
pages_sleeper(struct model *m, struct mthread *th)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	const struct mzone *keg = zn_keg(m, z);

	/* Whatever failed before, pages would be of no use to it now. */
	if (!has_room(m, keg))
		return;
	if (!th->page_failed)
		fail_sleeper(m, th, "no-cause");
	else if (th->page_hard)
		return;
	else if (model__pages_could(m, th, zn__depth(th, z)))
		fail_sleeper(m, th, "lost-wakeup");
	else
		model__hoarded(m, th, th->fail_pages);
}

void
model__zn_sleeper(struct model *m, struct mthread *th)
{
	const struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	const struct mzone *keg = zn_keg(m, z);
	uint64_t away;

	if (th->code == TRACE_OP_UMA_PREALLOC) {
		pages_sleeper(m, th);
		return;
	}
	if (!f->joined) {
		model__fail(m, th, "G-5", "no-cause");
		model__expected(m, "to go on: nothing else runs");
		model__found(m, "asleep");
		return;
	}
	/* Calls that wait in callbacks have items that nobody holds yet. */
	if (zn__somebody_is_suspended(m) || z->held >= z->max_lo)
		return;
	if (z->kind == MZONE_CACHE) {
		fail_sleeper(m, th, "lost-wakeup");
		return;
	}
	away = keg->keg_held;
	if ((th->flags & M_USE_RESERVE) == 0)
		away += keg->reserve_hi;
	if (keg->ipers != 0 && zn_keg_items(keg, keg->pages) > away)
		fail_sleeper(m, th, "item-free");
	else
		pages_sleeper(m, th);
}
