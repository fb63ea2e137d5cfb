/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model of zones: contents, callbacks, ends, misuse, static memory.
 * Synthetic events, see model_zone_test.h.
 */
#include "model_zone_test.h"

/* Clauses that the tests of this file must break. */
static bool
is_mine(const char *clause)
{
	static const char *const mine[] = { "ZN-1", "ZN-2", "ZN-3", "ZN-9",
		"ZN-10", "ZN-11", "ZN-12", "ZN-13", "ZN-15", "ZN-30", "ZN-31",
		"ZN-32", "ZN-33" };
	size_t i;

	for (i = 0; i < sizeof(mine) / sizeof(mine[0]); i++)
		if (strcmp(clause, mine[i]) == 0)
			return (true);
	return (false);
}

static void
zn1_contents(void **state)
{
	struct call c;
	uint64_t p;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	zalloc_at(0, p + ITEM, M_WAITOK);
	zfree_at(0, p);
	zalloc_at(0, p, M_WAITOK);
	zfree_at(0, p);
	zfree_at(0, p + ITEM);
	/* A new epoch begins with zero. */
	model_vm_free(m, 0, p, 1);
	(void)zslab(0, 0);
	CLEAN();
	kalloc();
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	bytes(p + ITEM)[ITEM - 1] = 1;
	zalloc_at(0, p + ITEM, M_WAITOK);
	BROKEN("ZN-1", "zone/ZN-1/uma_zalloc/nonzero");
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	zalloc_at(0, p + ITEM, M_WAITOK);
	zfree_at(0, p);
	memset(bytes(p), 0, 8); /* a link, as in older zones */
	zalloc_at(0, p, M_WAITOK);
	BROKEN("ZN-1", "zone/ZN-1/uma_zalloc/contents");
	zcreate(0, ITEM, 0, 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	model_vm_alloc(m, 0, arena, 1, 0, VM_ALLOC_NORMAL, false, false);
	BROKEN("ZN-1", "zone/ZN-1/uma_zalloc/not-zeroed");
	zcreate(0, ITEM, HOOK(INIT), 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	init_slab(0, arena);
	memset(bytes(arena), 0, ITEM); /* what init left is gone */
	returns(&c, arena);
	BROKEN("ZN-1", "zone/ZN-1/uma_zalloc/contents");
}

static void
zn1_the_holder_is_alone(void **state)
{
	struct call c, d;
	uint64_t p;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	bytes(p)[5] ^= 1;
	zfree_at(0, p);
	BROKEN("G-2", "zone/G-2/uma_zfree/contents");
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	zalloc_at(0, p, M_WAITOK);
	BROKEN("G-2", "zone/G-2/uma_zalloc/overlap");
	/* Handed out while its free is in flight: it may be free already. */
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	c = begin_zfree(1, 0, p);
	d = begin_zalloc(0, 0, M_WAITOK);
	returns(&d, p);
	returns(&c, 0);
	CLEAN();
	zcreate(1, ITEM, 0, 0, 0);
	zalloc_at(1, p + ITEM, M_WAITOK);
	BROKEN("G-2", "zone/G-2/uma_zalloc/not-own-slab");
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	c = begin_kfree(0, p, 0);
	panics(&c, W_FOREIGN);
	c = begin_kfree(0, p + 8, 0);
	panics(&c, W_FOREIGN);
	CLEAN();
	zcreate(1, ITEM, 0, 0, 0);
	p = zslab(1, 1);
	model_vm_free(m, 0, p, 1);
	BROKEN("G-2", "kmalloc/G-2/end of run/live");
}

static void
zn2_ctor_and_dtor(void **state)
{
	uint32_t hooks = HOOK(CTOR) | HOOK(DTOR);
	struct callback cb;
	struct call c;

	(void)state;
	zcreate(0, ITEM, hooks, 0, 0);
	c = zcall(TRACE_OP_UMA_ZALLOC_ARG, 0, 0);
	c.flags = M_WAITOK;
	c.udata = 7;
	invoke(&c);
	zpages(0, arena, 1);
	cb = (struct callback) { .hook = TRACE_HOOK_CTOR,
		.class = TRACE_ZONE,
		.addr = arena,
		.size = ITEM,
		.udata = 7,
		.flags = M_WAITOK };
	model_callback(m, &cb);
	cb_done(&cb, 1);
	returns(&c, arena);
	c = begin_zfree(0, 0, arena);
	callback(TRACE_HOOK_DTOR, 0, arena, 1);
	returns(&c, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	callback(TRACE_HOOK_CTOR, 0, arena, 1);
	returns(&c, arena);
	CLEAN();
	c = begin_zfree(0, 0, arena);
	returns(&c, 0);
	BROKEN("ZN-2", "zone/ZN-2/uma_zfree/no-dtor");
	zcreate(0, ITEM, hooks, 0, 0);
	(void)zslab(0, 0);
	BROKEN("ZN-2", "zone/ZN-2/uma_zalloc/not-constructed");
	zcreate(0, ITEM, hooks, 0, 0);
	c = zcall(TRACE_OP_UMA_ZALLOC_ARG, 0, 0);
	c.flags = M_WAITOK;
	c.udata = 8;
	invoke(&c);
	zpages(0, arena, 1);
	model_callback(m, &cb);
	BROKEN("ZN-2", "zone/ZN-2/uma_zalloc_arg/argument");
	zcreate(0, ITEM, hooks, 0, 0);
	c = begin_zalloc(0, 0, M_NOWAIT);
	zpages(0, arena, 1);
	callback(TRACE_HOOK_CTOR, 0, arena, 1);
	BROKEN("ZN-2", "zone/ZN-2/uma_zalloc/flags");
}

static void
zn2_alternation(void **state)
{
	struct callback cb;
	struct call c;

	(void)state;
	zcreate(0, ITEM, HOOK(CTOR) | HOOK(DTOR), 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena, 1);
	callback(TRACE_HOOK_CTOR, 0, arena, 1);
	callback(TRACE_HOOK_CTOR, 0, arena, 1);
	BROKEN("ZN-2", "zone/ZN-2/uma_zalloc/ctor-again");
	zcreate(0, ITEM, HOOK(DTOR), 0, 0);
	(void)zslab(0, 0);
	c = begin_zfree(0, 0, arena);
	callback(TRACE_HOOK_DTOR, 0, arena, 1);
	callback(TRACE_HOOK_DTOR, 0, arena, 1);
	BROKEN("ZN-2", "zone/ZN-2/uma_zfree/dtor-again");
	/* Two calls at once have two items. */
	zcreate(0, ITEM, HOOK(CTOR), 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena, 1);
	cb = begin_cb(TRACE_HOOK_CTOR, 0, 0, arena);
	(void)begin_zalloc(1, 0, M_WAITOK);
	(void)begin_cb(TRACE_HOOK_CTOR, 1, 0, arena + ITEM);
	cb_done(&cb, 1);
	returns(&c, arena);
	CLEAN();
	kalloc();
	zcreate(0, ITEM, HOOK(CTOR), 0, 0);
	(void)begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena, 1);
	(void)begin_cb(TRACE_HOOK_CTOR, 0, 0, arena);
	(void)begin_zalloc(1, 0, M_WAITOK);
	(void)begin_cb(TRACE_HOOK_CTOR, 1, 0, arena);
	BROKEN("G-2", "zone/G-2/uma_zalloc/overlap");
}

static void
zn3_init_and_fini(void **state)
{
	uint32_t hooks = HOOK(INIT) | HOOK(FINI);
	struct call c;
	unsigned i;

	(void)state;
	zcreate(0, ITEM, hooks, 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	init_slab(0, arena);
	returns(&c, arena);
	zfree_at(0, arena);
	/* Also in a call of another allocator. */
	(void)begin_kmalloc(0, 64, 0, M_WAITOK);
	fini_slab(0, arena);
	CLEAN();
	kalloc();
	for (i = 0; i < 3; i++) {
		zcreate(0, ITEM, hooks, 0, 0);
		c = begin_zalloc(0, 0, M_WAITOK);
		if (i == 0) { /* not at all */
			zpages(0, arena, 1);
			returns(&c, arena);
			BROKEN("ZN-3", "zone/ZN-3/uma_zalloc/not-initialised");
			continue;
		}
		init_slab(0, arena);
		if (i == 1) {
			callback(TRACE_HOOK_INIT, 0, arena, 1);
			BROKEN("ZN-3", "zone/ZN-3/uma_zalloc/init-twice");
			continue;
		}
		returns(&c, arena);
		zalloc_at(0, arena + ITEM, M_WAITOK);
		CLEAN();
		kalloc();
	}
}

static void
zn3_pairs(void **state)
{
	uint32_t hooks = HOOK(INIT) | HOOK(FINI);
	struct call c;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		zcreate(0, ITEM, hooks, 0, 0);
		c = begin_zalloc(0, 0, M_WAITOK);
		init_slab(0, arena);
		returns(&c, arena + ITEM);
		c = zcall(TRACE_OP_UMA_RECLAIM, 0, TRACE_NOREG);
		c.reclaim = TRACE_RECLAIM_DRAIN;
		if (i == 0) {
			invoke(&c);
			callback(TRACE_HOOK_FINI, 0, arena + ITEM, 1);
			BROKEN("ZN-3", "zone/ZN-3/uma_reclaim/fini-held");
			continue;
		}
		zfree_at(0, arena + ITEM);
		invoke(&c);
		if (i == 1) {
			model_vm_free(m, 0, arena, 1);
			BROKEN("ZN-3", "zone/ZN-3/uma_reclaim/not-finalised");
			continue;
		}
		callback(TRACE_HOOK_FINI, 0, arena, 1);
		if (i == 2) {
			callback(TRACE_HOOK_FINI, 0, arena, 1);
			BROKEN("ZN-3", "zone/ZN-3/uma_reclaim/fini-unpaired");
			continue;
		}
		returns(&c, 0);
		zalloc_at(0, arena, M_WAITOK);
		BROKEN("ZN-3", "zone/ZN-3/uma_zalloc/finalised");
	}
	zcreate(0, ITEM, hooks, 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena, 1);
	bytes(arena)[3] = 1;
	callback(TRACE_HOOK_INIT, 0, arena, 1);
	BROKEN("ZN-1", "zone/ZN-1/uma_zalloc/nonzero");
}

static void
zn9_zero_before_the_ctor(void **state)
{
	struct call c;
	uint64_t p;

	(void)state;
	zcreate(0, ITEM, HOOK(CTOR), 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena, 1);
	callback(TRACE_HOOK_CTOR, 0, arena, 1);
	returns(&c, arena);
	zfree_at(0, arena);
	c = begin_zalloc(0, 0, M_WAITOK | M_ZERO);
	memset(bytes(arena), 0, ITEM);
	callback(TRACE_HOOK_CTOR, 0, arena, 1);
	returns(&c, arena);
	zfree_at(0, arena);
	CLEAN();
	c = begin_zalloc(0, 0, M_WAITOK | M_ZERO);
	callback(TRACE_HOOK_CTOR, 0, arena, 1);
	BROKEN("ZN-9", "zone/ZN-9/uma_zalloc/nonzero");
	/* The ctor's work is wiped. */
	zcreate(0, ITEM, HOOK(CTOR), 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK | M_ZERO);
	zpages(0, arena, 1);
	callback(TRACE_HOOK_CTOR, 0, arena, 1);
	memset(bytes(arena), 0, ITEM);
	returns(&c, arena);
	BROKEN("ZN-1", "zone/ZN-1/uma_zalloc/contents");
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	zfree_at(0, p);
	zalloc_at(0, p, M_WAITOK | M_ZERO);
	BROKEN("ZN-9", "zone/ZN-9/uma_zalloc/nonzero");
}

static void
zn10_refusals(void **state)
{
	uint32_t hooks = HOOK(CTOR) | HOOK(DTOR);
	struct call c;
	unsigned i;

	(void)state;
	zcreate(0, ITEM, hooks, 0, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena, 1);
	callback(TRACE_HOOK_CTOR, 0, arena, 0);
	returns(&c, 0);
	/* Nothing was written: it is as it was. */
	c = begin_zalloc(0, 0, M_WAITOK);
	callback(TRACE_HOOK_CTOR, 0, arena, 1);
	returns(&c, arena);
	CLEAN();
	for (i = 0; i < 3; i++) {
		kalloc();
		zcreate(0, ITEM, hooks, 0, 0);
		c = begin_zalloc(0, 0, M_WAITOK);
		zpages(0, arena, 1);
		callback(TRACE_HOOK_CTOR, 0, arena, 0);
		if (i == 0) {
			callback(TRACE_HOOK_DTOR, 0, arena, 1);
			BROKEN("ZN-10", "zone/ZN-10/uma_zalloc/dtor-again");
		} else if (i == 1) {
			callback(TRACE_HOOK_CTOR, 0, arena, 1);
			BROKEN("ZN-10", "zone/ZN-10/uma_zalloc/ctor-again");
		} else {
			returns(&c, arena);
			BROKEN("ZN-10", "zone/ZN-10/uma_zalloc/ctor-ignored");
		}
	}
	/* init: fini of those before, in reverse. */
	for (i = 0; i < 2; i++) {
		zcreate(0, ITEM, HOOK(INIT) | HOOK(FINI), 0, 0);
		c = begin_zalloc(0, 0, M_WAITOK);
		zpages(0, arena, 1);
		callback(TRACE_HOOK_INIT, 0, arena, 1);
		callback(TRACE_HOOK_INIT, 0, arena + ITEM, 1);
		callback(TRACE_HOOK_INIT, 0, arena + 2 * ITEM, 0);
		if (i == 0) {
			callback(TRACE_HOOK_FINI, 0, arena + ITEM, 1);
			callback(TRACE_HOOK_FINI, 0, arena, 1);
			model_vm_free(m, 0, arena, 1);
			returns(&c, 0);
			CLEAN();
			kalloc();
		} else {
			callback(TRACE_HOOK_FINI, 0, arena, 1);
			BROKEN("ZN-10", "zone/ZN-10/uma_zalloc/order");
		}
	}
}

static void
zn11_ends(void **state)
{
	struct call c, d;
	uint64_t p;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	c = begin_op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	panics(&c, W_BUSY);
	zfree_at(0, p);
	c = begin_op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	model_vm_free(m, 0, p, 1);
	returns(&c, 0);
	c = begin_zalloc(0, 0, M_WAITOK);
	panics(&c, W_BAD_HANDLE);
	c = begin_op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	panics(&c, W_BAD_HANDLE);
	zcreate(0, ITEM, 0, 0, 0);
	zsecond(1, 0, 0);
	c = begin_op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	panics(&c, W_BUSY);
	op(TRACE_OP_UMA_ZDESTROY, 1, 0, 0);
	op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	/* The secondary's end is in flight, and may be done already. */
	zcreate(0, ITEM, 0, 0, 0);
	zsecond(1, 0, 0);
	d = begin_op(TRACE_OP_UMA_ZDESTROY, 1, 1, 0);
	op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	returns(&d, 0);
	CLEAN();
	/* A free that ends during the call: both are right. */
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	c = begin_op(TRACE_OP_UMA_ZDESTROY, 1, 0, 0);
	zfree_at(0, p);
	panics(&c, W_BUSY);
	CLEAN();
	op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	BROKEN("ZN-11", "zone/ZN-11/uma_zdestroy/kept");
	zcreate(0, ITEM, 0, 0, 0);
	(void)zslab(0, 0);
	op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	BROKEN("ZN-11", "zone/ZN-11/uma_zdestroy/undetected");
	zcreate(0, ITEM, 0, 0, 0);
	zsecond(1, 0, 0);
	op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	BROKEN("ZN-11", "zone/ZN-11/uma_zdestroy/undetected");
	zcreate(0, ITEM, 0, 0, 0);
	c = begin_op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
	panics(&c, W_BUSY);
	BROKEN("ZN-11", "zone/ZN-11/uma_zdestroy/busy");
}

/* Frees what is not to be freed: the panic that is right, then none. */
static void
misuse(enum trace_opcode code, uint32_t reg, uint64_t addr, uint64_t size,
    enum why why)
{
	struct call c = zcall(code, 0, reg);

	c.addr = addr;
	c.size = size;
	invoke(&c);
	if (why == W_NONE)
		returns(&c, 0);
	else
		panics(&c, why);
}

static void
zn12_misuse(void **state)
{
	static const struct {
		enum trace_opcode code;
		uint32_t reg;
		uint64_t off, size;
		enum why why;
	} row[] = {
		{ TRACE_OP_UMA_ZFREE, 0, 0, 0, W_DOUBLE_FREE },
		{ TRACE_OP_UMA_ZFREE, 1, ITEM, 0, W_WRONG_ZONE },
		{ TRACE_OP_UMA_ZFREE_INTERIOR, 0, ITEM, 8, W_INTERIOR },
		{ TRACE_OP_UMA_ZFREE_INTERIOR, 0, ITEM, 1, W_INTERIOR },
		{ TRACE_OP_UMA_ZFREE_WILD, 0, 100 * PAGE, 0, W_FOREIGN },
		{ TRACE_OP_UMA_ZFREE, 0, 100 * PAGE, 0, W_DOUBLE_FREE },
		{ TRACE_OP_UMA_ZFREE, 0, 4 * SLAB, 0, W_FOREIGN },
	};
	size_t i;
	unsigned bad;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		for (bad = 0; bad < 2; bad++) {
			uint64_t p;

			kmalloc_at(slab(4), 64, M_WAITOK);
			zcreate(0, ITEM, 0, 0, 0);
			zcreate(1, ITEM, 0, 0, 0);
			p = zslab(0, 0);
			zalloc_at(0, p + ITEM, M_WAITOK);
			zfree_at(0, p);
			misuse(TRACE_OP_UMA_ZFREE, 0, 0, 0, W_NONE);
			misuse(row[i].code, row[i].reg, p + row[i].off,
			    row[i].size, bad ? W_NONE : row[i].why);
			if (bad)
				BROKEN("ZN-12",
				    row[i].code == TRACE_OP_UMA_ZFREE ?
					"zone/ZN-12/uma_zfree/undetected" :
					row[i].size != 0 ?
					"zone/ZN-12/uma_zfree_interior/undetected" :
					"zone/ZN-12/uma_zfree_wild/undetected");
			else
				CLEAN();
			kalloc();
		}
	}
	zcreate(0, ITEM, 0, 0, 0);
	misuse(TRACE_OP_UMA_ZFREE, 0, 0, 0, W_NULL_FREE);
	BROKEN("ZN-12", "zone/ZN-12/uma_zfree/null-free");
	/* A slab that has gone back, and is somebody else's now. */
	zcreate(0, ITEM, 0, 0, 0);
	zfree_at(0, zslab(0, 0));
	model_vm_free(m, 0, arena, 1);
	misuse(TRACE_OP_UMA_ZFREE, 0, arena, 0, W_FOREIGN);
	misuse(TRACE_OP_UMA_ZFREE, 0, arena, 0, W_DOUBLE_FREE);
	CLEAN();
}

static void
zn13_arguments(void **state)
{
	static const struct {
		uint64_t size, align;
		uint32_t flags;
		enum why why;
	} row[] = { { 1, 0, 0, W_NONE },
		{ UMA_SIZE_MAX, KA_SLAB_SIZE - 1, UMA_ZONE_NOFREE, W_NONE },
		{ 0, 0, 0, W_BAD_ARG }, { UMA_SIZE_MAX + 1, 0, 0, W_BAD_ARG },
		{ 8, 6, 0, W_BAD_ARG },
		{ 8, 2 * KA_SLAB_SIZE - 1, 0, W_BAD_ARG },
		{ 8, 0, 0x1, W_BAD_ARG } };
	struct call c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		c = zcall(TRACE_OP_UMA_ZCREATE, 0, (uint32_t)i);
		c.size = row[i].size;
		c.num = row[i].align;
		c.flags = row[i].flags;
		invoke(&c);
		if (row[i].why == W_NONE) {
			returns(&c, 1);
		} else {
			panics(&c, row[i].why);
			CLEAN();
			invoke(&c);
			returns(&c, 1);
			BROKEN("ZN-13", "zone/ZN-13/uma_zcreate/undetected");
		}
	}
	c = zcall(TRACE_OP_UMA_ZCREATE, 0, 0);
	c.size = 8;
	c.num = 127;
	invoke(&c);
	returns(&c, 1);
	c = begin_zalloc(0, 0, M_WAITOK);
	zpages(0, arena, 1);
	returns(&c, arena + 128);
	CLEAN();
	zalloc_at(0, arena + 64, M_WAITOK);
	BROKEN("ZN-13", "zone/ZN-13/uma_zalloc/align");
}

static void
zn15_secondaries(void **state)
{
	uint32_t hooks = HOOK(INIT) | HOOK(FINI);
	struct call c;
	unsigned i;

	(void)state;
	for (i = 0; i < 5; i++) {
		zcreate(0, ITEM, 0, 0, 0);
		zsecond(1, 0, hooks);
		(void)zslab(0, 0);
		c = begin_zalloc(0, 1, M_WAITOK);
		if (i == 1) {
			returns(&c, arena + ITEM);
			BROKEN(
			    "ZN-15", "zone/ZN-15/uma_zalloc/not-initialised");
			continue;
		}
		callback(TRACE_HOOK_INIT, 1, arena + ITEM, 1);
		if (i == 2) {
			callback(TRACE_HOOK_INIT, 1, arena + ITEM, 1);
			BROKEN("ZN-15", "zone/ZN-15/uma_zalloc/init-twice");
			continue;
		}
		returns(&c, arena + ITEM);
		zfree_at(1, arena + ITEM);
		if (i == 3) {
			zalloc_at(0, arena + ITEM, M_WAITOK);
			BROKEN(
			    "ZN-15", "zone/ZN-15/uma_zalloc/not-initialised");
			continue;
		}
		c = begin_op(TRACE_OP_UMA_ZDESTROY, 0, 1, 0);
		if (i == 4) {
			returns(&c, 0);
			BROKEN("ZN-11", "zone/ZN-11/uma_zdestroy/kept");
			continue;
		}
		callback(TRACE_HOOK_FINI, 1, arena + ITEM, 1);
		returns(&c, 0);
		zalloc_at(0, arena + ITEM, M_WAITOK);
		CLEAN();
		kalloc();
	}
}

static void
import(uint32_t reg, uint64_t first, uint64_t n)
{
	uint64_t store[8], i;
	struct callback cb = { .hook = TRACE_HOOK_IMPORT,
		.class = TRACE_ZONE,
		.handle = reg,
		.size = 8,
		.store = store };

	for (i = 0; i < n; i++)
		store[i] = first + i;
	model_callback(m, &cb);
	cb_done(&cb, n);
}

static void
release(uint32_t reg, uint64_t first, uint64_t n)
{
	uint64_t store[8], i;
	struct callback cb = { .hook = TRACE_HOOK_RELEASE,
		.class = TRACE_ZONE,
		.handle = reg,
		.size = n,
		.store = store };

	for (i = 0; i < n; i++)
		store[i] = first + i;
	model_callback(m, &cb);
	cb_done(&cb, 0);
}

static void
zn15_cache_zones(void **state)
{
	struct owner_stats st = {
		.used = 1, .cached = 1, .requests = 2, .failures = 1
	};
	struct call c;
	unsigned i;

	(void)state;
	for (i = 0; i < 6; i++) {
		zcache(0, 0);
		zcache(1, 0);
		c = begin_zalloc(0, 1, M_WAITOK);
		import(1, 1000, 2);
		returns(&c, 1001); /* equal numbers of another zone */
		c = begin_zalloc(0, 0, M_WAITOK);
		import(0, 0, 0);
		returns(&c, 0);
		c = begin_zalloc(0, 0, M_NOWAIT);
		import(0, 1000, 2);
		returns(&c, i == 1 ? 1002 : 1000);
		if (i == 1) {
			BROKEN("ZN-15", "zone/ZN-15/uma_zalloc/not-imported");
			continue;
		}
		model_check_owner(m, TRACE_ZONE, 0, &st);
		CLEAN();
		if (i == 2) {
			zalloc_at(0, 1000, M_WAITOK);
			BROKEN("ZN-15", "zone/ZN-15/uma_zalloc/overlap");
			continue;
		}
		if (i == 3) {
			st.cached = 0;
			model_check_owner(m, TRACE_ZONE, 0, &st);
			st.cached = 1;
			BROKEN("ZN-15", "zone/ZN-15/end of run/conservation");
			continue;
		}
		if (i == 4) {
			(void)begin_op(TRACE_OP_UMA_ZONE_RECLAIM, 0, 0, 0);
			release(0, 1000, 1);
			BROKEN("ZN-15",
			    "zone/ZN-15/uma_zone_reclaim/release-held");
			continue;
		}
		zfree_at(0, 1000);
		c = begin_op(TRACE_OP_UMA_ZDESTROY, 0, 0, 0);
		release(0, 1000, i == 5 ? 1 : 2);
		returns(&c, 0);
		if (i == 5)
			BROKEN("ZN-11", "zone/ZN-11/uma_zdestroy/kept");
		else
			CLEAN();
		kalloc();
	}
}

/* --- the older interface --- */

static uint8_t memory[2 * KA_PAGE_SIZE] __attribute__((aligned(KA_PAGE_SIZE)));

static struct call
begin_old(enum trace_opcode code, uint32_t thread, uint64_t addr)
{
	struct call c = zcall(code, thread, 0);

	c.addr = addr;
	invoke(&c);
	return (c);
}

static void
old_at(uint64_t addr)
{
	struct call c = begin_old(TRACE_OP_ZALLOC, 0, 0);

	returns(&c, addr);
}

/* A zone of so many static items. */
static uint64_t
zboot(int32_t n)
{
	struct call c = zcall(TRACE_OP_ZBOOTINIT, 0, 0);
	struct owner_stats st = geometry(ITEM, 4);

	memset(memory, 0, sizeof(memory));
	c.addr = (uint64_t)(uintptr_t)memory;
	c.size = ITEM;
	c.n[0] = n;
	invoke(&c);
	returns(&c, 1);
	model_describe(m, TRACE_VMZONE, 0, &st);
	return (c.addr);
}

static void
zn30_static_items(void **state)
{
	uint64_t p = zboot(2);
	struct call c;

	(void)state;
	old_at(p);
	old_at(p + ITEM);
	old_at(0);
	c = begin_old(TRACE_OP_ZFREE, 0, 0);
	panics(&c, W_NULL_FREE);
	c = begin_old(TRACE_OP_ZFREE, 0, p);
	returns(&c, 0);
	c = begin_old(TRACE_OP_ZFREE, 0, p);
	panics(&c, W_DOUBLE_FREE);
	old_at(p);
	CLEAN();
	old_at(p + 2 * ITEM);
	BROKEN("ZN-30", "zone/ZN-30/zalloc/over-limit");
	p = zboot(2);
	old_at(p);
	old_at(0);
	BROKEN("ZN-30", "zone/ZN-30/zalloc/no-cause");
	(void)zboot(2);
	(void)begin_old(TRACE_OP_ZALLOC, 0, 0);
	zpages(0, arena, 1);
	BROKEN("ZN-30", "zone/ZN-30/zalloc/pages");
	p = zboot(2);
	old_at(p);
	c = begin_old(TRACE_OP_ZFREE, 0, p);
	returns(&c, 0);
	bytes(p)[0] ^= 1;
	old_at(p);
	BROKEN("ZN-1", "zone/ZN-1/zalloc/contents");
	p = zboot(2);
	model_vm_free(m, 0, p, 1);
	BROKEN("VM-1", "vm_page/VM-1/end of run/not-held");
}

static void
complete(int32_t n, uint32_t flags)
{
	struct call c = zcall(TRACE_OP_ZINITNA, 0, 0);

	c.n[0] = n;
	c.flags = flags;
	invoke(&c);
	returns(&c, 1);
}

static void
zn31_completed(void **state)
{
	uint64_t p = zboot(2);
	struct call c;

	(void)state;
	old_at(p);
	complete(5, 0);
	old_at(p + ITEM);
	c = begin_old(TRACE_OP_ZALLOC, 0, 0);
	zpages(0, arena, 1);
	returns(&c, arena);
	CLEAN();
	kalloc();
	p = zboot(2);
	old_at(p);
	old_at(p + ITEM);
	complete(5, 0);
	old_at(0);
	BROKEN("ZN-31", "zone/ZN-31/zalloc/no-cause");
	p = zboot(2);
	complete(1, ZONE_INTERRUPT);
	old_at(p);
	old_at(p + ITEM);
	c = begin_old(TRACE_OP_ZALLOC, 0, 0);
	model_vm_alloc(m, 0, arena, 1, 0, VM_ALLOC_INTERRUPT | VM_ALLOC_ZERO,
	    false, false);
	returns(&c, arena);
	old_at(0);
	CLEAN();
	old_at(arena + ITEM);
	BROKEN("ZN-32", "zone/ZN-32/zalloc/over-limit");
}

static void
zinit(int32_t n, uint32_t flags)
{
	struct call c = zcall(TRACE_OP_ZINIT, 0, 0);
	struct owner_stats st = geometry(ITEM, 0);

	c.size = ITEM;
	c.n[0] = n;
	c.flags = flags;
	invoke(&c);
	returns(&c, 1);
	model_describe(m, TRACE_VMZONE, 0, &st);
}

static void
zn32_flags(void **state)
{
	struct call c;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		zinit(1, ZONE_INTERRUPT | ZONE_PANICFAIL);
		c = begin_old(TRACE_OP_ZALLOC, 0, 0);
		zpages(0, arena, 1);
		returns(&c, arena);
		c = begin_old(TRACE_OP_ZALLOC, 0, 0);
		if (i == 0) {
			panics(&c, W_LIMIT);
			CLEAN();
			kalloc();
		} else if (i == 1) {
			returns(&c, 0);
			BROKEN("ZN-32", "zone/ZN-32/zalloc/null-panicfail");
		} else {
			returns(&c, arena + ITEM);
			BROKEN("ZN-32", "zone/ZN-32/zalloc/over-limit");
		}
	}
	zinit(1, 0);
	c = begin_old(TRACE_OP_ZALLOC, 0, 0);
	pages_fail(0, 1, true, false);
	panics(&c, W_LIMIT);
	BROKEN("ZN-32", "zone/ZN-32/zalloc/limit");
	zinit(1, 0);
	c = begin_old(TRACE_OP_ZDESTROY, 0, 0);
	panics(&c, W_BAD_ARG);
	zinit(1, ZONE_DESTROYABLE);
	c = begin_old(TRACE_OP_ZDESTROY, 0, 0);
	returns(&c, 0);
	CLEAN();
	zinit(1, 0);
	c = begin_old(TRACE_OP_ZDESTROY, 0, 0);
	returns(&c, 0);
	BROKEN("ZN-32", "zone/ZN-32/zdestroy/undetected");
	zinit(1, 0);
	c = begin_old(TRACE_OP_ZALLOC, 0, 0);
	model_sleep(m, 0);
	BROKEN("G-4", "zone/G-4/zalloc/sleeps");
	zinit(1, 0);
	c = begin_old(TRACE_OP_ZALLOC, 0, 0);
	model_vm_alloc(
	    m, 0, arena, 1, 0, VM_ALLOC_SYSTEM | VM_ALLOC_ZERO, false, false);
	BROKEN("VM-3", "vm_page/VM-3/zalloc/flags");
}

static void
zn33_free_items_stay(void **state)
{
	uint64_t p;

	(void)state;
	zcreate(0, ITEM, 0, 0, 0);
	p = zslab(0, 0);
	zfree_at(0, p);
	model_end(m);
	CLEAN();
	bytes(p)[ITEM - 1] ^= 1;
	model_end(m);
	BROKEN("ZN-33", "zone/ZN-33/end of run/written");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(zn1_contents),
		T(zn1_the_holder_is_alone),
		T(zn2_ctor_and_dtor),
		T(zn2_alternation),
		T(zn3_init_and_fini),
		T(zn3_pairs),
		T(zn9_zero_before_the_ctor),
		T(zn10_refusals),
		T(zn11_ends),
		T(zn12_misuse),
		T(zn13_arguments),
		T(zn15_secondaries),
		T(zn15_cache_zones),
		T(zn30_static_items),
		T(zn31_completed),
		T(zn32_flags),
		T(zn33_free_items_stay),
		T(every_clause_was_broken),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
