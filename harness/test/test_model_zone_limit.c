/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model of zones: maximum, refusals, sleepers, reserve, preallocation,
 * reclaim, what is reported. Synthetic events, see model_zone_test.h.
 */
#include "model_zone_test.h"

/* Clauses that the tests of this file must break. */
static bool
is_mine(const char *clause)
{
	static const char *const mine[] = { "ZN-4", "ZN-5", "ZN-6", "ZN-7",
		"ZN-8", "ZN-14", "ZN-16", "ZN-17" };
	size_t i;

	for (i = 0; i < sizeof(mine) / sizeof(mine[0]); i++)
		if (strcmp(clause, mine[i]) == 0)
			return (true);
	return (false);
}

/* Items first .. first + n of the slab at page 0 are held. */
static void
hold(uint32_t reg, unsigned first, unsigned n)
{
	unsigned i;

	for (i = first; i < first + n; i++)
		zalloc_at(reg, arena + i * ITEM, M_WAITOK);
}

static void
zn4_refusals(void **state)
{
	struct call c;

	(void)state;
	zcreate(0, ITEM, HOOK(CTOR), 0, 0);
	c = begin_zalloc(0, 0, M_NOWAIT);
	pages_fail(0, 1, true, false);
	returns(&c, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena, 1);
	callback(TRACE_HOOK_CTOR, 0, arena, 0);
	returns(&c, 0);
	c = begin_zalloc(0, 0, M_WAITOK | M_RNOWAIT);
	panics(&c, W_BAD_FLAGS);
	c = begin_zalloc(0, 0, M_WAITOK | M_POWEROF2);
	panics(&c, W_BAD_FLAGS);
	c = begin_zalloc(0, 7, M_WAITOK);
	panics(&c, W_BAD_HANDLE);
	CLEAN();
	c = begin_zalloc(0, 0, M_WAITOK | M_RNOWAIT);
	returns(&c, arena);
	BROKEN("ZN-4", "zone/ZN-4/uma_zalloc/undetected");
	zcreate(0, ITEM, 0, 0, 0);
	c = begin_zalloc(0, 0, M_NOWAIT);
	returns(&c, 0);
	BROKEN("ZN-4", "zone/ZN-4/uma_zalloc/no-cause");
	zcreate(0, ITEM, 0, 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	pages_fail(0, 1, true, false);
	returns(&c, 0);
	BROKEN("ZN-4", "zone/ZN-4/uma_zalloc/null-waitok");
	/* A page was asked for although items were free. */
	zcreate(0, ITEM, 0, 0, 0);
	(void)zslab(0, 0);
	c = begin_zalloc(0, 0, M_NOWAIT);
	pages_fail(0, 1, true, false);
	returns(&c, 0);
	BROKEN("ZN-4", "zone/ZN-4/uma_zalloc/items-free");
	/* Those that another CPU caches are out of reach. */
	zcreate(0, ITEM, 0, 0, IPERS);
	(void)zslab(0, 0);
	c = begin_zalloc(1, 0, M_NOWAIT);
	pages_fail(1, 1, true, false);
	returns(&c, 0);
	CLEAN();
	c = begin_zalloc(1, 0, M_NOWAIT);
	model_sleep(m, 1);
	BROKEN("G-4", "zone/G-4/uma_zalloc/sleeps");
}

static void
zn5_maximum(void **state)
{
	struct call c, d, e;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	set_max(0, 3);
	(void)zslab(0, 0);
	hold(0, 1, 2);
	c = begin_zalloc(0, 0, M_NOWAIT);
	returns(&c, 0);
	/* A free in flight may have given its unit back, or not yet. */
	c = begin_zfree(1, 0, arena);
	d = begin_zalloc(0, 0, M_NOWAIT);
	returns(&d, 0);
	d = begin_zalloc(0, 0, M_NOWAIT);
	returns(&d, arena);
	returns(&c, 0);
	/* A raise in flight holds already, or not yet. */
	c = begin_op(TRACE_OP_UMA_ZONE_SET_MAX, 1, 0, 5);
	zalloc_at(0, arena + 3 * ITEM, M_NOWAIT);
	d = begin_zalloc(0, 0, M_NOWAIT);
	returns(&d, 0);
	returns(&c, 5);
	zalloc_at(0, arena + 4 * ITEM, M_NOWAIT);
	/* Of two calls, the one that came to late is refused. */
	zfree_at(0, arena);
	c = begin_zalloc(0, 0, M_NOWAIT);
	d = begin_zalloc(1, 0, M_NOWAIT);
	returns(&c, arena);
	returns(&d, 0);
	CLEAN();
	zalloc_at(0, arena + 5 * ITEM, M_NOWAIT);
	BROKEN("ZN-5", "zone/ZN-5/uma_zalloc/over-limit");
	zcreate(0, ITEM, 0, 0, 0);
	c = begin_op(TRACE_OP_UMA_ZONE_SET_MAX, 0, 0, 3);
	returns(&c, 64);
	BROKEN("ZN-5", "zone/ZN-5/uma_zone_set_max/returned");
	zcreate(0, ITEM, 0, 0, 0);
	c = begin_op(TRACE_OP_UMA_ZONE_SET_MAX, 0, 0, -1);
	panics(&c, W_BAD_ARG);
	CLEAN();
	c = begin_op(TRACE_OP_UMA_ZONE_SET_MAX, 0, 0, -1);
	returns(&c, 0);
	BROKEN("ZN-5", "zone/ZN-5/uma_zone_set_max/undetected");
	/* Two take the last item at one time: one too many. */
	zcreate(0, ITEM, 0, 0, 0);
	set_max(0, 1);
	c = begin_zalloc(0, 0, M_NOWAIT);
	d = begin_zalloc(1, 0, M_NOWAIT);
	zpages(0, arena, 1);
	returns(&c, arena);
	e = begin_zalloc(2, 0, M_NOWAIT);
	returns(&e, 0);
	CLEAN();
	e = begin_zalloc(2, 0, M_NOWAIT);
	returns(&e, arena + ITEM);
	BROKEN("ZN-5", "zone/ZN-5/uma_zalloc/over-limit");
	(void)d;
}

static void
zn5_slabs(void **state)
{
	struct call c, d, e;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	set_max(0, (int32_t)IPERS + 1);
	op(TRACE_OP_UMA_PREALLOC, 0, 0, 0);
	(void)zslab(0, 0);
	(void)zslab(0, 1);
	CLEAN();
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena + 2 * PAGE, 1);
	BROKEN("ZN-5", "zone/ZN-5/uma_zalloc/slabs");
	/* In use before: no bound. */
	zcreate(0, ITEM, 0, 0, 0);
	(void)zslab(0, 0);
	set_max(0, 2);
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena + PAGE, 1);
	returns(&c, arena + PAGE);
	CLEAN();
	/* Nor if two began to grow before the maximum was in effect. */
	kalloc();
	zcreate(0, ITEM, 0, 0, 0);
	c = begin_op(TRACE_OP_UMA_ZONE_SET_MAX, 1, 0, 2);
	d = begin_zalloc(0, 0, M_WAITOK);
	e = begin_zalloc(2, 0, M_WAITOK);
	returns(&c, 2);
	zpages(0, arena, 1);
	zpages(2, arena + PAGE, 1);
	returns(&d, arena);
	returns(&e, arena + PAGE);
	CLEAN();
}

static void
zn6_other_caches(void **state)
{
	struct call c;

	(void)state;
	zcreate(0, ITEM, 0, 0, 2);
	set_max(0, 10);
	describe(0, ITEM, 2);
	(void)zslab(0, 0);
	hold(0, 1, 5);
	/* CPU 0 may cache 4 of the 10. */
	c = begin_zalloc(1, 0, M_NOWAIT);
	returns(&c, 0);
	CLEAN();
	c = begin_zalloc(0, 0, M_NOWAIT);
	returns(&c, arena + 6 * ITEM);
	zfree_at(0, arena + 6 * ITEM);
	zfree_at(0, arena + 5 * ITEM);
	c = begin_zalloc(1, 0, M_NOWAIT);
	returns(&c, 0);
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/no-cause");
	zcreate(0, ITEM, 0, 0, 0);
	set_max(0, 3);
	describe(0, ITEM, 2);
	BROKEN("ZN-6", "zone/ZN-6/end of run/caches");
	zcreate(0, ITEM, 0, 0, 2);
	set_max(0, 10);
	(void)zslab(0, 0);
	hold(0, 1, 5);
	c = zcall(TRACE_OP_UMA_ZONE_RECLAIM, 0, 0);
	c.reclaim = TRACE_RECLAIM_DRAIN_CPU;
	invoke(&c);
	returns(&c, 0);
	c = begin_zalloc(1, 0, M_NOWAIT);
	returns(&c, 0);
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/no-cause");
}

static void
zn7_sleepers(void **state)
{
	struct call c;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	set_max(0, 1);
	(void)zslab(0, 0);
	c = begin_zalloc(1, 0, M_WAITOK);
	model_sleep(m, 1);
	model_idle(m);
	CLEAN();
	zfree_at(0, arena);
	model_idle(m);
	BROKEN("ZN-7", "zone/ZN-7/uma_zalloc/item-free");
	/* Woken, it takes the item. */
	zcreate(0, ITEM, 0, 0, 0);
	set_max(0, 1);
	(void)zslab(0, 0);
	c = begin_zalloc(1, 0, M_WAITOK);
	model_sleep(m, 1);
	zfree_at(0, arena);
	model_wake(m, 1);
	returns(&c, arena);
	model_idle(m);
	/* While it sleeps, others are refused. */
	c = begin_zalloc(1, 0, M_WAITOK);
	model_sleep(m, 1);
	zfree_at(0, arena);
	c = begin_zalloc(0, 0, M_NOWAIT);
	returns(&c, 0);
	CLEAN();
	kalloc();
	/* The maximum was raised. */
	zcreate(0, ITEM, 0, 0, 0);
	set_max(0, 1);
	(void)zslab(0, 0);
	c = begin_zalloc(1, 0, M_WAITOK);
	model_sleep(m, 1);
	set_max(0, 2);
	model_idle(m);
	BROKEN("ZN-7", "zone/ZN-7/uma_zalloc/item-free");
	zcreate(0, ITEM, 0, 0, 0);
	c = begin_zalloc(1, 0, M_WAITOK);
	model_sleep(m, 1);
	model_idle(m);
	BROKEN("ZN-7", "zone/ZN-7/uma_zalloc/no-cause");
}

/* One zone of the keg has two slabs; the other's call needs a third. */
static void
needs_a_third_slab(uint64_t ipers, bool page_fails)
{
	kalloc();
	zcreate(0, ITEM, 0, 0, 0);
	zsecond(1, 0, 0);
	set_max(0, (int32_t)(2 * ipers));
	set_max(1, 1);
	(void)zslab(0, 0);
	hold(0, 1, (unsigned)ipers - 1);
	(void)zslab(0, 1);
	hold(0, PAGE / ITEM + 1, (unsigned)ipers - 1);
	(void)begin_zalloc(1, 1, M_WAITOK);
	if (page_fails)
		pages_fail(1, 1, true, false);
	model_sleep(m, 1);
}

static void
zn7_sleepers_for_room(void **state)
{
	const uint64_t ipers = PAGE / ITEM;
	int fails;

	(void)state;
	for (fails = 0; fails < 2; fails++) {
		/* By the maxima the keg may have three slabs. */
		needs_a_third_slab(ipers, fails);
		model_idle(m);
		if (fails)
			BROKEN("ZN-7", "zone/ZN-7/uma_zalloc/lost-wakeup");
		else
			BROKEN("ZN-7", "zone/ZN-7/uma_zalloc/no-cause");
		/* The other has more than it may have by now. */
		needs_a_third_slab(ipers, fails);
		set_max(0, (int32_t)ipers);
		model_idle(m);
		CLEAN();
	}
}

static void
zn7_sleepers_for_pages(void **state)
{
	struct call c;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	page_alloc_at(arena + PAGE, PAGES - 1, 0, VM_ALLOC_INTERRUPT);
	c = begin_zalloc(1, 0, M_WAITOK);
	pages_fail(1, 1, false, false);
	model_sleep(m, 1);
	model_idle(m);
	CLEAN();
	page_free_at(arena + PAGE, PAGES - 1);
	model_idle(m);
	BROKEN("ZN-7", "zone/ZN-7/uma_zalloc/lost-wakeup");
	/* A wholly free slab is hoarded while kmalloc waits. */
	zcreate(0, ITEM, 0, 0, 0);
	(void)zslab(0, 0);
	page_alloc_at(arena + PAGE, PAGES - 1, 0, VM_ALLOC_INTERRUPT);
	c = begin_kmalloc(1, 64, 0, M_WAITOK);
	pages_fail(1, 16, false, false);
	model_sleep(m, 1);
	model_idle(m);
	CLEAN();
	zfree_at(0, arena);
	model_idle(m);
	BROKEN("VM-7", "vm_page/VM-7/kmalloc/hoarded-zone");
	zcreate(0, ITEM, 0, UMA_ZONE_NOFREE, 0);
	zfree_at(0, zslab(0, 0));
	page_alloc_at(arena + PAGE, PAGES - 1, 0, VM_ALLOC_INTERRUPT);
	c = begin_kmalloc(1, 64, 0, M_WAITOK);
	pages_fail(1, 16, false, false);
	model_sleep(m, 1);
	model_idle(m);
	CLEAN();
	(void)c;
}

/* A call that began before the maximum was lowered has units for a bucketful in
 * hand, so that another is refused; not when it is over. */
static void
zn8_lowered_beside_a_call(void **state)
{
	struct call c, d;

	(void)state;
	zcache(0, 0);
	c = begin_zalloc(1, 0, M_NOWAIT);
	set_max(0, 2);
	d = begin_zalloc(0, 0, M_NOWAIT);
	returns(&d, 0);
	CLEAN();
	returns(&c, 0);
	CLEAN();
	d = begin_zalloc(0, 0, M_NOWAIT);
	returns(&d, 0);
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/no-cause");
	/* Nor for one that began after it. */
	zcache(0, 0);
	set_max(0, 2);
	c = begin_zalloc(1, 0, M_NOWAIT);
	d = begin_zalloc(0, 0, M_NOWAIT);
	returns(&d, 0);
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/no-cause");
}

static void
zn8_lowered(void **state)
{
	struct call c;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	(void)zslab(0, 0);
	hold(0, 1, 3);
	set_max(0, 2);
	c = begin_zalloc(0, 0, M_NOWAIT);
	returns(&c, 0);
	zfree_at(0, arena);
	zfree_at(0, arena + ITEM);
	zfree_at(0, arena + 2 * ITEM);
	zalloc_at(0, arena, M_NOWAIT);
	CLEAN();
	set_max(0, 1);
	zalloc_at(0, arena + ITEM, M_NOWAIT);
	BROKEN("ZN-8", "zone/ZN-8/uma_zalloc/over-limit");
}

static void
zn14_prealloc(void **state)
{
	struct call c;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		zcreate(0, ITEM, 0, 0, 0);
		c = begin_op(TRACE_OP_UMA_PREALLOC, 0, 0, (int32_t)IPERS);
		if (i == 1) {
			returns(&c, 0);
			BROKEN(
			    "ZN-14", "zone/ZN-14/uma_prealloc/prealloc-short");
			continue;
		}
		zpages(0, arena, 1);
		returns(&c, 0);
		hold(0, 0, IPERS - 1);
		if (i == 0)
			hold(0, IPERS - 1, 1);
		if (i == 3) /* beyond another CPU's reach: no promise */
			(void)begin_kmalloc(1, 64, 0, M_WAITOK);
		c = begin_zalloc(0, 0, M_WAITOK);
		zpages(0, arena + PAGE, 1);
		if (i == 2) {
			BROKEN("ZN-14", "zone/ZN-14/uma_zalloc/prealloc-page");
			continue;
		}
		returns(&c, arena + PAGE);
		CLEAN();
		kalloc();
	}
}

static void
zn14_reserve(void **state)
{
	struct call c;

	(void)state;
	zcreate(0, 1024, 0, 0, 0);
	op(TRACE_OP_UMA_ZONE_RESERVE, 0, 2, 0);
	(void)zslab(0, 0);
	zalloc_at(0, arena + 1024, M_WAITOK);
	c = begin_zalloc(0, 0, M_RNOWAIT);
	pages_fail(0, 1, true, false);
	returns(&c, 0);
	zalloc_at(0, arena + 2048, M_RNOWAIT | M_USE_RESERVE);
	zalloc_at(0, arena + 3072, M_RNOWAIT | M_USE_RESERVE);
	c = begin_op(TRACE_OP_UMA_ZONE_RESERVE, 0, 0, 3);
	panics(&c, W_BUSY);
	CLEAN();
	c = begin_op(TRACE_OP_UMA_ZONE_RESERVE, 0, 0, 3);
	returns(&c, 0);
	BROKEN("ZN-14", "zone/ZN-14/uma_zone_reserve/undetected");
	zcreate(0, 1024, 0, 0, 0);
	op(TRACE_OP_UMA_ZONE_RESERVE, 0, 2, 0);
	(void)zslab(0, 0);
	zalloc_at(0, arena + 1024, M_WAITOK);
	zalloc_at(0, arena + 2048, M_WAITOK);
	BROKEN("ZN-14", "zone/ZN-14/uma_zalloc/reserve");
	zcreate(0, 1024, 0, 0, 0);
	op(TRACE_OP_UMA_ZONE_RESERVE, 0, 2, 0);
	(void)zslab(0, 0);
	zalloc_at(0, arena + 1024, M_WAITOK);
	c = begin_zalloc(0, 0, M_RNOWAIT | M_USE_RESERVE);
	pages_fail(0, 1, true, false);
	returns(&c, 0);
	BROKEN("ZN-14", "zone/ZN-14/uma_zalloc/items-free");
}

static void
reclaim(uint32_t reg, enum trace_reclaim how, uint64_t goes)
{
	struct call c = zcall(reg == TRACE_NOREG ? TRACE_OP_UMA_RECLAIM :
						   TRACE_OP_UMA_ZONE_RECLAIM,
	    0, reg);

	c.reclaim = how;
	invoke(&c);
	if (goes != 0)
		model_vm_free(m, 0, goes, 1);
	returns(&c, 0);
}

/* Who begins later may have what was preallocated first, or take its slab. */
static void
zn14_prealloc_taken_by_others(void **state)
{
	struct call c, d;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		zcreate(0, ITEM, 0, 0, 0);
		c = begin_op(TRACE_OP_UMA_PREALLOC, 0, 0, 1);
		zpages(0, arena, 1);
		returns(&c, 0);
		c = begin_zalloc(0, 0, i < 2 ? M_WAITOK : M_NOWAIT);
		if (i % 2 == 0) {
			d = zcall(TRACE_OP_UMA_RECLAIM, 1, TRACE_NOREG);
			d.reclaim = TRACE_RECLAIM_DRAIN_CPU;
			invoke(&d);
			model_vm_free(m, 1, arena, 1);
			returns(&d, 0);
		}
		if (i < 2)
			zpages(0, arena + PAGE, 1);
		else
			pages_fail(0, 1, true, false);
		if (i == 1) {
			BROKEN("ZN-14", "zone/ZN-14/uma_zalloc/prealloc-page");
			continue;
		}
		if (i == 2)
			zpages(0, arena + PAGE, 1);
		returns(&c, i == 3 ? arena : arena + PAGE);
		if (i == 3) {
			BROKEN("ZN-14", "zone/ZN-14/uma_zalloc/prealloc-page");
			continue;
		}
		CLEAN();
		kalloc();
	}
}

/* Of two reserves that are set at once nobody knows which is in effect. */
static void
zn14_reserves_at_once(void **state)
{
	struct call c, d, e;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		zcreate(0, ITEM, 0, 0, 4);
		c = begin_op(TRACE_OP_UMA_ZONE_RESERVE, 0, 0, 14);
		d = begin_op(TRACE_OP_UMA_ZONE_RESERVE, 1, 0, 0);
		returns(&c, 0);
		returns(&d, 0);
		e = begin_op(TRACE_OP_UMA_PREALLOC, 0, 0, 20);
		zpages(0, arena, 1);
		if (i == 2) /* no reserve wants as much as that */
			zpages(0, arena + PAGE, 1);
		returns(&e, 0);
		if (i == 1) /* the last one, alone: there is none */
			op(TRACE_OP_UMA_ZONE_RESERVE, 0, 0, 0);
		if (i == 3) { /* the same on its way: any may be */
			e = begin_op(TRACE_OP_UMA_ZONE_RESERVE, 1, 0, 0);
			c = begin_op(TRACE_OP_UMA_ZONE_RESERVE, 2, 0, 3);
			returns(&e, 0);
			returns(&c, 0);
		}
		reclaim(TRACE_NOREG, TRACE_RECLAIM_DRAIN_CPU, 0);
		if (i == 1 || i == 2) {
			BROKEN("ZN-14", "zone/ZN-14/uma_reclaim/pages-kept");
			continue;
		}
		CLEAN();
		kalloc();
	}
}

static void
zn14_reclaim(void **state)
{
	struct call c = zcall(TRACE_OP_UMA_RECLAIM, 0, TRACE_NOREG);

	(void)state;
	invoke(&c);
	panics(&c, W_BAD_ARG);
	zcreate(0, ITEM, 0, 0, 4);
	zfree_at(0, zslab(0, 0));
	reclaim(0, TRACE_RECLAIM_TRIM, 0);
	reclaim(0, TRACE_RECLAIM_DRAIN, 0);
	reclaim(0, TRACE_RECLAIM_DRAIN_CPU, arena);
	(void)zslab(0, 0);
	reclaim(TRACE_NOREG, TRACE_RECLAIM_DRAIN_CPU, 0);
	CLEAN();
	zfree_at(0, arena);
	reclaim(0, TRACE_RECLAIM_DRAIN_CPU, 0);
	BROKEN("ZN-14", "zone/ZN-14/uma_zone_reclaim/pages-kept");
	zcreate(0, ITEM, 0, 0, 4);
	zfree_at(0, zslab(0, 0));
	reclaim(TRACE_NOREG, TRACE_RECLAIM_DRAIN_CPU, 0);
	BROKEN("ZN-14", "zone/ZN-14/uma_reclaim/pages-kept");
	zcreate(0, ITEM, 0, 0, 4);
	(void)begin_op(TRACE_OP_UMA_ZONE_RECLAIM, 0, 0, 0);
	kalloc();
	zcreate(0, ITEM, 0, 0, 4);
	c = zcall(TRACE_OP_UMA_ZONE_RECLAIM, 0, 0);
	c.reclaim = TRACE_RECLAIM_TRIM;
	invoke(&c);
	zpages(0, arena, 1);
	BROKEN("ZN-14", "zone/ZN-14/uma_zone_reclaim/pages");
	zcreate(0, ITEM, 0, UMA_ZONE_NOFREE, 4);
	zfree_at(0, zslab(0, 0));
	reclaim(0, TRACE_RECLAIM_DRAIN_CPU, 0);
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 0);
	CLEAN();
	reclaim(0, TRACE_RECLAIM_DRAIN_CPU, arena);
	BROKEN("ZN-14", "zone/ZN-14/uma_zone_reclaim/kept-pages");
}

static void
zn16_asking(void **state)
{
	struct call c;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	op(TRACE_OP_UMA_ZONE_GET_MAX, 0, 0, 0);
	set_max(0, 7);
	op(TRACE_OP_UMA_ZONE_GET_MAX, 0, 0, 7);
	(void)zslab(0, 0);
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 1);
	/* Nobody knows while another call is in flight. */
	c = begin_zfree(1, 0, arena);
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 1);
	returns(&c, 0);
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 0);
	c = begin_op(TRACE_OP_UMA_ZONE_GET_MAX, 1, 0, 0);
	set_max(0, 9);
	returns(&c, 7);
	CLEAN();
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 1);
	BROKEN("ZN-16", "zone/ZN-16/uma_zone_get_cur/current");
	zcreate(0, ITEM, 0, 0, 0);
	set_max(0, 7);
	op(TRACE_OP_UMA_ZONE_GET_MAX, 0, 0, 64);
	BROKEN("ZN-16", "zone/ZN-16/uma_zone_get_max/max");
}

static void
report(uint64_t used, uint64_t cached, uint64_t free, uint64_t requests,
    uint64_t failures, uint64_t limit)
{
	struct owner_stats st = geometry(ITEM, 4);

	st.used = used;
	st.cached = cached;
	st.free = free;
	st.requests = requests;
	st.failures = failures;
	st.limit = limit;
	st.slabs = 1;
	model_check_owner(m, TRACE_ZONE, 0, &st);
}

static void
zn17_statistics(void **state)
{
	static const struct {
		int used, cached, free, requests, failures, limit;
		const char *state;
	} row[] = { { 0, 0, 0, 0, 0, 0, NULL }, { 1, 0, -1, 0, 0, 0, "used" },
		{ 0, 1, 0, 0, 0, 0, "items" }, { 0, 0, 0, 1, 0, 0, "requests" },
		{ 0, 0, 0, 0, -1, 0, "failures" },
		{ 0, 0, 0, 0, 0, 1, "limit" } };
	struct owner_stats st = geometry(ITEM, 0);
	char signature[64];
	struct call c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		zcreate(0, ITEM, 0, 0, 4);
		set_max(0, 40);
		(void)zslab(0, 0);
		c = begin_zalloc(0, 0, M_NOWAIT);
		pages_fail(0, 1, true, false);
		returns(&c, arena + ITEM);
		zfree_at(0, arena);
		c = begin_kmalloc(0, 64, 0, M_WAITOK);
		c = begin_zalloc(1, 0, M_NOWAIT);
		pages_fail(1, 1, true, false);
		returns(&c, 0);
		report((uint64_t)(1 + row[i].used),
		    (uint64_t)(1 + row[i].cached),
		    (uint64_t)((int)IPERS - 2 + row[i].free),
		    (uint64_t)(3 + row[i].requests),
		    (uint64_t)(1 + row[i].failures),
		    (uint64_t)(40 + row[i].limit));
		if (row[i].state == NULL) {
			CLEAN();
			kalloc();
			continue;
		}
		(void)snprintf(signature, sizeof(signature),
		    "zone/ZN-17/end of run/%s", row[i].state);
		BROKEN("ZN-17", signature);
	}
	zcreate(0, ITEM, 0, 0, 4);
	set_max(0, 10);
	(void)zslab(0, 0);
	report(1, 10, IPERS - 11, 1, 0, 10);
	BROKEN("ZN-5", "zone/ZN-5/end of run/cached");
	zcreate(0, ITEM, 0, 0, 0);
	st.ipers++;
	model_describe(m, TRACE_ZONE, 0, &st);
	BROKEN("ZN-17", "zone/ZN-17/end of run/geometry");
}

/* A nested misuse leaves a callback by panic: nobody judges any more. */
static void
callbacks_left_by_a_panic(void **state)
{
	struct call c;

	(void)state;
	zcreate(0, ITEM, HOOK(CTOR), 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena, 1);
	(void)begin_cb(TRACE_HOOK_CTOR, 0, 0, arena);
	panics(&c, W_BAD_TYPE);
	CLEAN();
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 99);
	CLEAN();
}

/* Undestroyable zones keep their pages at the end; others may not. */
static void
g8_pages_of_zones(void **state)
{
	struct call c = zcall(TRACE_OP_ZINIT, 0, 0);

	(void)state;
	c.size = ITEM;
	invoke(&c);
	returns(&c, 1);
	c = zcall(TRACE_OP_ZALLOC, 0, 0);
	invoke(&c);
	zpages(0, arena, 1);
	returns(&c, arena);
	model_check_empty(m);
	CLEAN();
	zcreate(0, ITEM, 0, 0, 0);
	(void)zslab(0, 1);
	model_check_empty(m);
	BROKEN("G-8", "kmalloc/G-8/end of run/pages-held");
}

/*
 * A toy zone under random schedules: each call takes effect at one instant
 * between its invocation and its return. Nothing that it does is a finding;
 * with a defect, something is.
 */
enum toy_defect {
	TOY_SOUND,
	TOY_ONE_TOO_MANY,
	TOY_LOST_WAKEUP,
	TOY_SPURIOUS_NULL,
	TOY_LINKED, /* a word of a free item is used */
	TOY_DEFECTS
};

enum toy_state {
	TOY_IDLE,
	TOY_INVOKED,
	TOY_ASLEEP,
	TOY_DONE
};

#define TOY_ITEMS (2 * IPERS)

static struct {
	enum toy_defect defect;
	uint64_t seed, max, out, result[THREADS];
	bool slab[2];
	bool used[TOY_ITEMS]; /* not free: held, or on the way */
	uint64_t held[TOY_ITEMS], nheld;
	enum toy_state state[THREADS];
	struct call call[THREADS];
} toy;

static uint64_t
draw(uint64_t n)
{
	toy.seed =
	    toy.seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return ((toy.seed >> 33) % n);
}

static void
toy_wake(void)
{
	uint32_t t;

	for (t = 0; t < THREADS; t++) {
		if (toy.state[t] != TOY_ASLEEP || toy.defect == TOY_LOST_WAKEUP)
			continue;
		model_wake(m, t);
		toy.state[t] = TOY_INVOKED;
	}
}

static void
toy_invoke(uint32_t t)
{
	uint64_t at, what = draw(8);
	struct call *c = &toy.call[t];

	if (what == 0) {
		*c = begin_op(
		    TRACE_OP_UMA_ZONE_SET_MAX, t, 0, 1 + (int32_t)draw(6));
	} else if (what == 1) {
		*c = begin_op(TRACE_OP_UMA_ZONE_GET_CUR, t, 0, 0);
	} else if (what < 5 && toy.nheld > 0) {
		at = draw(toy.nheld);
		*c = begin_zfree(t, 0, toy.held[at]);
		toy.held[at] = toy.held[--toy.nheld];
	} else {
		*c = begin_zalloc(t, 0, what == 7 ? M_WAITOK : M_NOWAIT);
	}
	toy.state[t] = TOY_INVOKED;
}

/* A free item, of a new slab if need be; TOY_ITEMS if that failed. */
static uint64_t
toy_item(uint32_t t)
{
	uint64_t i, first = draw(TOY_ITEMS), n;

	for (n = 0; n < TOY_ITEMS; n++) {
		i = (first + n) % TOY_ITEMS;
		if (toy.slab[i / IPERS] && !toy.used[i])
			return (i);
	}
	if ((toy.call[t].flags & M_WAITOK) == 0 && draw(3) == 0) {
		pages_fail(t, 1, true, false);
		return (TOY_ITEMS);
	}
	i = draw(2);
	zpages(t, arena + i * PAGE, 1);
	toy.slab[i] = true;
	return (i * IPERS);
}

static void
toy_alloc(uint32_t t)
{
	uint64_t extra = toy.defect == TOY_ONE_TOO_MANY, i;

	toy.result[t] = 0;
	toy.state[t] = TOY_DONE;
	if (toy.defect == TOY_SPURIOUS_NULL && draw(9) == 0)
		return;
	if (toy.out >= toy.max + extra) {
		if ((toy.call[t].flags & M_WAITOK) == 0)
			return;
		model_sleep(m, t);
		toy.state[t] = TOY_ASLEEP;
		return;
	}
	i = toy_item(t);
	if (i == TOY_ITEMS)
		return;
	toy.used[i] = true;
	toy.out++;
	toy.result[t] = arena + i * ITEM;
}

static void
toy_free(uint32_t t)
{
	uint64_t i = (toy.call[t].addr - arena) / ITEM, n;

	toy.used[i] = false;
	toy.out--;
	if (toy.defect == TOY_LINKED)
		memset(bytes(toy.call[t].addr), 0, 8);
	for (n = 0; n < IPERS && !toy.used[i / IPERS * IPERS + n];)
		n++;
	if (n == IPERS && draw(2) == 0) {
		model_vm_free(m, t, arena + i / IPERS * PAGE, 1);
		toy.slab[i / IPERS] = false;
	}
	toy_wake();
}

static void
toy_commit(uint32_t t)
{
	const struct call *c = &toy.call[t];

	toy.result[t] = 0;
	if (c->code == TRACE_OP_UMA_ZALLOC) {
		toy_alloc(t);
		return;
	}
	toy.state[t] = TOY_DONE;
	if (c->code == TRACE_OP_UMA_ZFREE) {
		toy_free(t);
	} else if (c->code == TRACE_OP_UMA_ZONE_SET_MAX) {
		toy.max = toy.result[t] = (uint64_t)c->n[0];
		toy_wake();
	} else {
		toy.result[t] = toy.out;
	}
}

static void
toy_step(uint32_t t)
{
	bool idle = true;

	switch (toy.state[t]) {
	case TOY_IDLE:
		toy_invoke(t);
		break;
	case TOY_INVOKED:
		toy_commit(t);
		break;
	case TOY_ASLEEP:
		break;
	case TOY_DONE:
		returns(&toy.call[t], toy.result[t]);
		toy.state[t] = TOY_IDLE;
		if (toy.call[t].code == TRACE_OP_UMA_ZALLOC &&
		    toy.result[t] != 0)
			toy.held[toy.nheld++] = toy.result[t];
		break;
	}
	for (t = 0; t < THREADS; t++)
		idle = idle &&
		    (toy.state[t] == TOY_IDLE || toy.state[t] == TOY_ASLEEP);
	if (idle)
		model_idle(m);
}

/* True: a finding. */
static bool
toy_run(uint64_t seed, enum toy_defect defect)
{
	unsigned i;

	memset(&toy, 0, sizeof(toy));
	toy.seed = seed;
	toy.defect = defect;
	toy.max = 1 + seed % 5;
	kalloc();
	zcreate(0, ITEM, 0, 0, 0);
	set_max(0, (int32_t)toy.max);
	for (i = 0; i < 400 && model_finding(m) == NULL; i++)
		toy_step((uint32_t)draw(THREADS));
	model_end(m);
	return (model_finding(m) != NULL);
}

static void
schedules_at_random(void **state)
{
	unsigned defect, seed, caught;

	(void)state;
	for (seed = 0; seed < 1500; seed++) {
		if (toy_run(seed, TOY_SOUND))
			print_error("seed %u\n", seed);
		CLEAN();
	}
	for (defect = TOY_SOUND + 1; defect < TOY_DEFECTS; defect++) {
		caught = 0;
		for (seed = 0; seed < 100; seed++)
			caught += toy_run(seed, (enum toy_defect)defect);
		if (caught < 60)
			print_error("defect %u: %u of 100\n", defect, caught);
		assert_true(caught >= 60);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(zn4_refusals),
		T(zn5_maximum),
		T(zn5_slabs),
		T(zn6_other_caches),
		T(zn7_sleepers),
		T(zn7_sleepers_for_pages),
		T(zn7_sleepers_for_room),
		T(zn8_lowered),
		T(zn8_lowered_beside_a_call),
		T(zn14_prealloc),
		T(zn14_reserve),
		T(zn14_prealloc_taken_by_others),
		T(zn14_reserves_at_once),
		T(zn14_reclaim),
		T(zn16_asking),
		T(zn17_statistics),
		T(callbacks_left_by_a_panic),
		T(g8_pages_of_zones),
		T(schedules_at_random),
		T(every_clause_was_broken),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
