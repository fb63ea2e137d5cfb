/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the model of zones share beyond model_test.h: a zone
 * allocator that they play. Slabs are one page, without anything but items.
 */
#ifndef KALAB_MODEL_ZONE_TEST_H
#define KALAB_MODEL_ZONE_TEST_H

#include "model_test.h"

#define HOOK(id) (UINT32_C(1) << TRACE_HOOK_##id)
#define ITEM	 64u
#define IPERS	 ((unsigned)(PAGE / ITEM))

/* --- calls --- */

HELPER struct call
zcall(enum trace_opcode code, uint32_t thread, uint32_t reg)
{
	struct call c = call(code, thread);

	c.handle = reg;
	c.handle2 = TRACE_NOREG;
	return (c);
}

HELPER struct owner_stats
geometry(uint64_t size, uint64_t capacity)
{
	uint64_t rsize = (size + 7) & ~UINT64_C(7);
	uint64_t ppera = (rsize + PAGE - 1) / PAGE;

	return ((struct owner_stats) { .rsize = rsize,
	    .ppera = ppera,
	    .ipers = ppera * PAGE / rsize,
	    .capacity = capacity });
}

HELPER void
describe(uint32_t reg, uint64_t size, uint64_t capacity)
{
	struct owner_stats st = geometry(size, capacity);

	model_describe(m, TRACE_ZONE, reg, &st);
}

/* A zone of the UMA interface. */
HELPER void
zcreate(uint32_t reg, uint64_t size, uint32_t hooks, uint32_t flags,
    uint64_t capacity)
{
	struct call c = zcall(TRACE_OP_UMA_ZCREATE, 0, reg);

	c.str = "zone";
	c.size = size;
	c.num = 7;
	c.hooks = hooks;
	c.flags = flags;
	invoke(&c);
	returns(&c, 1);
	describe(reg, size, capacity);
}

HELPER void
zsecond(uint32_t reg, uint32_t primary, uint32_t hooks)
{
	struct call c = zcall(TRACE_OP_UMA_ZSECOND_CREATE, 0, reg);

	c.str = "second";
	c.handle2 = primary;
	c.hooks = hooks;
	invoke(&c);
	returns(&c, 1);
	describe(reg, ITEM, 0);
}

HELPER void
zcache(uint32_t reg, uint32_t hooks)
{
	struct call c = zcall(TRACE_OP_UMA_ZCACHE_CREATE, 0, reg);
	const struct owner_stats st = { 0 };

	c.str = "cache";
	c.size = ITEM;
	c.num = 100;
	c.hooks = hooks;
	invoke(&c);
	returns(&c, 1);
	model_describe(m, TRACE_ZONE, reg, &st);
}

HELPER struct call
begin_op(enum trace_opcode code, uint32_t thread, uint32_t reg, int32_t n)
{
	struct call c = zcall(code, thread, reg);

	c.n[0] = n;
	invoke(&c);
	return (c);
}

HELPER void
op(enum trace_opcode code, uint32_t reg, int32_t n, uint64_t ret)
{
	struct call c = begin_op(code, 0, reg, n);

	returns(&c, ret);
}

HELPER void
set_max(uint32_t reg, int32_t n)
{
	op(TRACE_OP_UMA_ZONE_SET_MAX, reg, n, (uint64_t)n);
}

HELPER struct call
begin_zalloc(uint32_t thread, uint32_t reg, uint32_t flags)
{
	struct call c = zcall(TRACE_OP_UMA_ZALLOC, thread, reg);

	c.flags = flags;
	c.cpu = thread;
	invoke(&c);
	return (c);
}

HELPER struct call
begin_zfree(uint32_t thread, uint32_t reg, uint64_t addr)
{
	struct call c = zcall(TRACE_OP_UMA_ZFREE, thread, reg);

	c.addr = addr;
	c.cpu = thread;
	invoke(&c);
	return (c);
}

HELPER void
zalloc_at(uint32_t reg, uint64_t addr, uint32_t flags)
{
	struct call c = begin_zalloc(0, reg, flags);

	returns(&c, addr);
}

HELPER void
zfree_at(uint32_t reg, uint64_t addr)
{
	struct call c = begin_zfree(0, reg, addr);

	returns(&c, 0);
}

/* --- pages --- */

HELPER void
zpages(uint32_t thread, uint64_t addr, uint64_t n)
{
	model_vm_alloc(m, thread, addr, n, 0, VM_ALLOC_NORMAL | VM_ALLOC_ZERO,
	    false, false);
	memset(bytes(addr), 0, n * PAGE);
}

/* Allocates from a new slab at page number i of the arena. */
HELPER uint64_t
zslab(uint32_t reg, unsigned i)
{
	struct call c = begin_zalloc(0, reg, M_WAITOK);

	zpages(0, arena + i * PAGE, 1);
	returns(&c, arena + i * PAGE);
	return (arena + i * PAGE);
}

/* --- callbacks --- */

HELPER struct callback
begin_cb(enum trace_hook hook, uint32_t thread, uint32_t reg, uint64_t addr)
{
	struct callback cb = { .hook = hook,
		.class = TRACE_ZONE,
		.handle = reg,
		.thread = thread,
		.addr = addr,
		.size = ITEM,
		.flags = M_WAITOK };

	model_callback(m, &cb);
	return (cb);
}

HELPER void
cb_done(struct callback *cb, uint64_t ret)
{
	cb->ret = ret;
	model_callback_done(m, cb);
}

HELPER void
callback(enum trace_hook hook, uint32_t reg, uint64_t addr, uint64_t ret)
{
	struct callback cb = begin_cb(hook, 0, reg, addr);

	cb_done(&cb, ret);
}

/* A slab of which every item is initialised, within a call of thread 0. */
HELPER void
init_slab(uint32_t reg, uint64_t addr)
{
	unsigned i;

	zpages(0, addr, 1);
	for (i = 0; i < IPERS; i++)
		callback(TRACE_HOOK_INIT, reg, addr + i * ITEM, 1);
}

HELPER void
fini_slab(uint32_t reg, uint64_t addr)
{
	unsigned i;

	for (i = 0; i < IPERS; i++)
		callback(TRACE_HOOK_FINI, reg, addr + i * ITEM, 0);
	model_vm_free(m, 0, addr, 1);
}

#endif
