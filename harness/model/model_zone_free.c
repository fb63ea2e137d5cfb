/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Zones: calls that free, and their misuse (ZN-12).
 *
 * The item is found by its address, never by the register. What a call may end
 * in is a set, computed when it begins: exact where the item's record tells,
 * wider where the slab's geometry or the next owner of its pages decides. A
 * free that is not of an item that its zone holds runs alone in every trace
 * that does not race with itself; if such a trace lets it succeed, judging
 * ends.
 *
 * What a cache zone is given, nobody looks at: once that was nothing of its
 * own, it is judged no more.
 */
#include "model_zone.h"

static bool
is_plain(const struct mthread *th, const struct call *c)
{
	return (th->code != TRACE_OP_UMA_ZFREE_WILD &&
	    !(th->code == TRACE_OP_UMA_ZFREE_INTERIOR && c->size != 0));
}

/* The item that begins where an item of the slab would that covers addr. */
static uint32_t
item_around(const struct model *m, uint32_t run, uint64_t addr)
{
	const struct mzone *keg = zn_zone(m, zn_slab(m, run)->keg);
	uint64_t base = model__run(m, run)->addr, i;

	if (keg->rsize == 0)
		return (0);
	i = zn__item_find(m, base + (addr - base) / keg->rsize * keg->rsize, 0);
	return (i != 0 && addr - zn_item(m, i)->addr < keg->size ? i : 0);
}

/* An address in a slab, at which no item is held. */
static uint32_t
slab_expect(const struct model *m, uint32_t zone, uint32_t run, uint64_t addr)
{
	const struct mzone *z = zn_zone(m, zone);
	bool own = zn_slab(m, run)->keg == z->keg;
	uint32_t i = zn__item_find(m, addr, 0);
	uint32_t around;

	if (i != 0 && own && zn_item(m, i)->zone == zone)
		return (WHY(DOUBLE_FREE));
	if (i != 0)
		return (WHY(DOUBLE_FREE) | WHY(WRONG_ZONE) |
		    (own ? 0 : WHY(FOREIGN)));
	around = item_around(m, run, addr);
	if (around != 0 && zn_item(m, around)->state == MITEM_HELD &&
	    zn_item(m, around)->zone == zone)
		return (WHY(INTERIOR));
	if (own)
		return (WHY_STALE |
		    (z->zones > 1 || z->shared ? WHY(WRONG_ZONE) : 0));
	return (WHY_STALE | WHY(WRONG_ZONE));
}

/* An address that is no item which a zone holds. */
static uint32_t
stray_expect(struct model *m, const struct mthread *th, uint32_t zone,
    const struct call *c)
{
	uint32_t plain = is_plain(th, c) ? WHY(DOUBLE_FREE) : 0;
	uint32_t o = model__object_find(m, th->addr);
	uint32_t run = zn__run_at(m, th->addr);

	if (run != 0 && zn_slab(m, run)->keg != 0)
		return (slab_expect(m, zone, run, th->addr));
	/* Live for somebody else, or another's memory by now. */
	return (WHY(FOREIGN) | (o == 0 ? plain : 0));
}

static uint32_t
free_expect(struct model *m, struct mthread *th, uint32_t zone, uint32_t item,
    const struct call *c)
{
	const struct mzone *z = zn_zone(m, zone);
	bool old = th->code == TRACE_OP_ZFREE;
	uint32_t expect = 0;

	if (th->addr == 0)
		expect = old ? WHY(NULL_FREE) : WHY(NONE);
	if (zone == 0 || !z->alive)
		return (expect | WHY(BAD_HANDLE));
	if (expect != 0)
		return (expect);
	if (item != 0 && zn_item(m, item)->state == MITEM_HELD)
		return (zn_item(m, item)->zone == zone ? WHY(NONE) :
							 WHY(WRONG_ZONE));
	if (z->kind == MZONE_CACHE)
		return (WHY(NONE) | WHY_STALE | WHY(WRONG_ZONE));
	return (stray_expect(m, th, zone, c));
}

/* The item is no longer held: its contents are what the holder left. */
static void
take(struct model *m, struct mthread *th, uint32_t item)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);
	struct mitem *it = zn_item(m, item);
	struct mobject *o = model__object(m, it->object);

	if (!model__contents_kept(m, th, it->object))
		return;
	it->seed = o->seed;
	it->bytes = o->bytes;
	if (z->kind == MZONE_CACHE || zn__is_loose(m, z, it->addr))
		o->state = MOBJECT_TRANSIT;
	else
		model__object_leave(m, it->object);
	model__object_release(m, it->object);
	zn__joins(z, f);
	MODEL_ASSERT(z->held > 0);
	z->held--;
	z->held_reserved -= it->reserved;
	z->frees++;
	z->touched |= UINT64_C(1) << f->cpu % 64;
	if (z->keg != 0) {
		zn__take_moves(zn_keg(m, z));
		zn_keg(m, z)->keg_held--;
	}
	f->taken = true;
	it->object = 0;
	it->reserved = false;
	it->state = MITEM_FREE;
	it->ctored &= zn_has(z, TRACE_HOOK_DTOR);
	if (!zn_has(z, TRACE_HOOK_DTOR))
		return;
	it->state = MITEM_DYING;
	it->frame = th->id;
	f->item = item;
}

void
zn__free_begin(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);
	const struct mzone *z = zn_zone(m, f->zone);
	uint32_t item;

	if (c->code != TRACE_OP_UMA_ZFREE_ARG)
		f->udata = 0;
	th->addr = c->addr;
	if (th->code == TRACE_OP_UMA_ZFREE_INTERIOR)
		th->addr += c->size;
	item = zn__item_find(
	    m, th->addr, z->kind == MZONE_CACHE && f->zone != 0 ? f->zone : 0);
	th->expect = free_expect(m, th, f->zone, item, c);
	if (th->expect != WHY(NONE) || th->addr == 0)
		return;
	take(m, th, item);
}

/* Misuse that another call in flight may have changed. */
static void
stray_ends(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);
	uint32_t stale = WHY_STALE | WHY(WRONG_ZONE);
	bool races = !model__was_alone(m, th) && (th->expect & stale) != 0;

	if (races && c->why == 0) {
		m->judging = false;
		return;
	}
	if (races)
		th->expect |= stale;
	if (zn__outcome(m, th, c) && c->why == 0 && f->zone != 0 &&
	    z->kind == MZONE_CACHE && th->addr != 0)
		z->spoiled = true;
}

void
zn__free_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mzframe *f = zn_frame(m, th);
	struct mzone *z = zn_zone(m, f->zone);

	if (!f->taken) {
		stray_ends(m, th, c);
		return;
	}
	zn__parts(z, f);
	MODEL_ASSERT(z->frees > 0);
	z->frees--;
	if (!zn__outcome(m, th, c))
		return;
	if (c->why != 0) {
		/* The zone ended under it: whose the item is, who knows. */
		m->judging = false;
		return;
	}
	m->counts.frees++;
	if (f->item == 0 || zn_item(m, f->item)->state != MITEM_DYING ||
	    zn_item(m, f->item)->frame != th->id)
		return;
	model__fail(m, th, "ZN-2", "no-dtor");
	model__expected(m, "the destructor of %s to run", zn__text(m, z).s);
	model__found(m, "a return without it");
}
