/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: caches over a zone. Synthetic events, see model_test.h and
 * model_zone_test.h: two allocators are played, and every call that the one
 * makes of the other is judged as a call of its own.
 */
#include "model_zone_test.h"

#define CAPACITY 4u
#define BOTH	 (HOOK(CTOR) | HOOK(DTOR))
#define ABOVE(t) ((t) + THREADS) /* the frame of nested calls */

/* The clauses have tests of their own; here is what the two have together. */
static bool
is_mine(const char *clause)
{
	return (strcmp(clause, "OC-1") == 0);
}

static uint64_t base; /* items of zone 0 from here */

static uint64_t
at(unsigned i)
{
	return (base + i * ITEM);
}

static struct call
occall(enum trace_opcode code, uint32_t thread)
{
	struct call c = call(code, thread);

	c.handle2 = TRACE_NOREG;
	c.cpu = thread;
	return (c);
}

static void
create(uint32_t handle, uint32_t zone, uint32_t hooks, int32_t limit)
{
	struct call c = occall(TRACE_OP_OBJCACHE_CREATE_ZONE, 0);
	struct owner_stats st = { .limit = (uint64_t)limit,
		.capacity = CAPACITY };

	c.handle = handle;
	c.handle2 = zone;
	c.size = ITEM;
	c.n[0] = limit;
	c.hooks = hooks;
	invoke(&c);
	returns(&c, 1);
	model_describe(m, TRACE_CACHE, handle, &st);
}

/* Zone 0 of which one item was had and given back, and cache 0 over it. */
static void
cache_over_zone(uint32_t hooks)
{
	kalloc();
	zcreate(0, ITEM, 0, 0, 0);
	base = zslab(0, 32);
	zfree_at(0, base);
	create(0, 0, hooks, 0);
}

static struct callback
backend(enum trace_hook hook, uint32_t thread, uint64_t addr, uint32_t flags)
{
	struct callback cb = { .hook = hook,
		.class = TRACE_CACHE,
		.thread = thread,
		.addr = addr,
		.flags = flags };

	model_callback(m, &cb);
	return (cb);
}

static struct call
begin_get(uint32_t thread, uint32_t flags)
{
	struct call c = occall(TRACE_OP_OBJCACHE_GET, thread);

	c.flags = flags;
	invoke(&c);
	return (c);
}

static struct call
begin_nested(uint32_t thread, uint32_t zone, uint32_t flags)
{
	struct call c = zcall(TRACE_OP_UMA_ZALLOC, ABOVE(thread), zone);

	c.flags = flags;
	c.cpu = thread;
	invoke(&c);
	return (c);
}

/* The backend asks the zone, which answers; 0: it refuses. */
static void
zone_gives(uint32_t zone, uint64_t addr, uint32_t flags)
{
	struct callback cb = backend(TRACE_HOOK_ALLOC, 0, 0, flags);
	struct call c = begin_nested(0, zone, flags);

	returns(&c, addr);
	cb_done(&cb, addr);
}

static void
zone_takes(uint64_t addr)
{
	struct callback cb = backend(TRACE_HOOK_FREE, 0, addr, 0);
	struct call c = zcall(TRACE_OP_UMA_ZFREE, ABOVE(0), 0);

	c.addr = addr;
	invoke(&c);
	returns(&c, 0);
	cb_done(&cb, 1);
}

static void
constructs(uint64_t addr, uint32_t flags, uint64_t ok)
{
	struct callback cb = backend(TRACE_HOOK_CTOR, 0, addr, flags);

	cb_done(&cb, ok);
}

static void
get_new(uint64_t addr)
{
	struct call c = begin_get(0, M_WAITOK);

	zone_gives(0, addr, M_WAITOK);
	constructs(addr, M_WAITOK, 1);
	returns(&c, addr);
}

static void
get(uint64_t addr)
{
	struct call c = begin_get(0, M_WAITOK);

	returns(&c, addr);
}

static struct call
begin_give(enum trace_opcode code, uint64_t addr)
{
	struct call c = occall(code, 0);

	c.addr = addr;
	invoke(&c);
	return (c);
}

static void
put(uint64_t addr)
{
	struct call c = begin_give(TRACE_OP_OBJCACHE_PUT, addr);

	returns(&c, 0);
}

static void
destroys_and_frees(uint64_t addr)
{
	struct callback cb = backend(TRACE_HOOK_DTOR, 0, addr, 0);

	cb_done(&cb, 1);
	zone_takes(addr);
}

static void
retire(uint64_t addr)
{
	struct call c = begin_give(TRACE_OP_OBJCACHE_DTOR, addr);

	destroys_and_frees(addr);
	returns(&c, 0);
}

/* --- what they have together --- */

static void
objects_are_items(void **state)
{
	struct call c;

	(void)state;
	cache_over_zone(BOTH);
	get_new(at(0));
	get_new(at(1));
	put(at(0));
	/* To the zone it is held, cached or not. */
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 2);
	assert_true(model_is_cached(m, at(0), 0));
	assert_true(model_is_cached(m, at(1), 0));
	assert_true(model_is_owned(m, at(0)));
	assert_false(model_is_cached(m, at(0), 1));
	assert_false(model_is_cached(m, at(2), 0));
	get(at(0));
	retire(at(0));
	assert_false(model_is_cached(m, at(0), 0));
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 1);
	zalloc_at(0, at(0), M_WAITOK); /* as it was left */
	assert_false(model_is_cached(m, at(0), 0));
	zfree_at(0, at(0));
	put(at(1));
	c = occall(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	destroys_and_frees(at(1));
	returns(&c, 0);
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 0);
	model_end(m);
	CLEAN();
	cache_over_zone(BOTH);
	get_new(at(0));
	put(at(0));
	op(TRACE_OP_UMA_ZONE_GET_CUR, 0, 0, 0);
	BROKEN("ZN-16", "zone/ZN-16/uma_zone_get_cur/current");
}

static void
the_backend_is_the_zone(void **state)
{
	struct callback cb;
	struct call c;

	(void)state;
	cache_over_zone(BOTH);
	zalloc_at(0, at(5), M_WAITOK);
	c = begin_get(0, M_WAITOK);
	cb = backend(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	cb_done(&cb, at(6)); /* the zone was not asked */
	BROKEN("OC-1", "objcache/OC-1/objcache_get/not-fresh");
	cache_over_zone(BOTH);
	zcreate(1, ITEM, 0, 0, 0);
	(void)begin_get(0, M_WAITOK);
	cb = backend(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	c = begin_nested(0, 1, M_WAITOK);
	zpages(ABOVE(0), arena, 1);
	returns(&c, arena);
	cb_done(&cb, arena);
	BROKEN("OC-1", "objcache/OC-1/objcache_get/not-fresh");
	cache_over_zone(0);
	(void)begin_get(0, M_WAITOK);
	cb = backend(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	c = begin_kmalloc(ABOVE(0), ITEM, 0, M_WAITOK);
	pages(ABOVE(0), arena, SLAB / PAGE);
	returns(&c, arena);
	cb_done(&cb, arena);
	BROKEN("OC-1", "objcache/OC-1/objcache_get/not-fresh");
	cache_over_zone(0);
	c = begin_get(0, M_WAITOK);
	zone_gives(0, at(0), M_WAITOK);
	returns(&c, at(0));
	c = begin_give(TRACE_OP_OBJCACHE_DTOR, at(0));
	cb = backend(TRACE_HOOK_FREE, 0, at(0), 0);
	cb_done(&cb, 1); /* it has it still */
	BROKEN("OC-1", "objcache/OC-1/objcache_dtor/not-freed");
}

static void
what_the_zone_refuses(void **state)
{
	struct call c;

	(void)state;
	cache_over_zone(BOTH);
	set_max(0, 1);
	get_new(at(0));
	c = begin_get(0, M_NOWAIT);
	zone_gives(0, 0, M_NOWAIT);
	returns(&c, 0);
	put(at(0));
	zalloc_at(0, 0, M_NOWAIT); /* what is cached is held */
	CLEAN();
	/* With one call of a cache around it a call is alone: what other CPUs
	 * may cache explains nothing if none has touched the zone. */
	kalloc();
	zcreate(0, ITEM, 0, 0, 8);
	set_max(0, 4);
	base = zslab(0, 32);
	zfree_at(0, base);
	create(0, 0, 0, 0);
	(void)begin_get(0, M_NOWAIT);
	(void)backend(TRACE_HOOK_ALLOC, 0, 0, M_NOWAIT);
	c = begin_nested(0, 0, M_NOWAIT);
	returns(&c, 0);
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/no-cause");
	/* The zone gave something, and the cache does not. */
	cache_over_zone(0);
	c = begin_get(0, M_NOWAIT);
	zone_gives(0, at(0), M_NOWAIT);
	returns(&c, 0);
	BROKEN("OC-5", "objcache/OC-5/objcache_get/null-no-cause");
}

static void
contents_are_the_caches(void **state)
{
	struct call c;

	(void)state;
	/* From the zone to the constructor, from put to get, and back. */
	cache_over_zone(BOTH);
	c = begin_get(0, M_WAITOK);
	zone_gives(0, at(0), M_WAITOK);
	bytes(at(0))[3] ^= 1;
	constructs(at(0), M_WAITOK, 1);
	BROKEN("OC-1", "objcache/OC-1/objcache_get/contents");
	cache_over_zone(BOTH);
	get_new(at(0));
	put(at(0));
	bytes(at(0))[ITEM - 1] ^= 1;
	get(at(0));
	BROKEN("OC-4", "objcache/OC-4/objcache_get/contents");
	cache_over_zone(BOTH);
	get_new(at(0));
	retire(at(0));
	bytes(at(0))[0] ^= 1;
	zalloc_at(0, at(0), M_WAITOK);
	BROKEN("ZN-1", "zone/ZN-1/uma_zalloc/contents");
	/* What its constructor refused is the zone's again, as it was. */
	cache_over_zone(BOTH);
	c = begin_get(0, M_WAITOK);
	zone_gives(0, at(0), M_WAITOK);
	constructs(at(0), M_WAITOK, 0);
	zone_takes(at(0));
	returns(&c, 0);
	zalloc_at(0, at(0), M_WAITOK);
	CLEAN();
	/* Zeroed memory is the zone's to give. */
	cache_over_zone(BOTH | HOOK(ZERO));
	c = begin_get(0, M_WAITOK);
	(void)backend(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	c = begin_nested(0, 0, M_WAITOK | M_ZERO);
	bytes(at(1))[5] = 1;
	returns(&c, at(1));
	BROKEN("ZN-9", "zone/ZN-9/uma_zalloc/nonzero");
}

static void
a_get_sleeps_in_its_zone(void **state)
{
	struct call c;

	(void)state;
	cache_over_zone(0);
	set_max(0, 1);
	zalloc_at(0, at(0), M_WAITOK);
	(void)begin_get(1, M_WAITOK);
	(void)backend(TRACE_HOOK_ALLOC, 1, 0, M_WAITOK);
	(void)begin_nested(1, 0, M_WAITOK);
	model_sleep(m, ABOVE(1));
	model_idle(m);
	CLEAN();
	c = begin_zfree(0, 0, at(0));
	returns(&c, 0);
	model_idle(m);
	BROKEN("ZN-7", "zone/ZN-7/uma_zalloc/item-free");
	/* What another cache's call has of the zone is held, wherever it waits. */
	cache_over_zone(0);
	set_max(0, 2);
	(void)begin_get(2, M_WAITOK);
	(void)backend(TRACE_HOOK_ALLOC, 2, 0, M_WAITOK);
	c = begin_nested(2, 0, M_WAITOK);
	returns(&c, at(0));
	c = begin_kmalloc(ABOVE(2), SLAB, 0, M_WAITOK);
	pages_fail(ABOVE(2), 16, true, true);
	model_sleep(m, ABOVE(2));
	(void)begin_get(1, M_WAITOK);
	(void)backend(TRACE_HOOK_ALLOC, 1, 0, M_WAITOK);
	(void)begin_nested(1, 0, M_WAITOK);
	model_sleep(m, ABOVE(1));
	model_idle(m);
	BROKEN("ZN-7", "zone/ZN-7/uma_zalloc/item-free");
	/* A call that may not wait does not, nor does its zone's. */
	cache_over_zone(0);
	(void)begin_get(1, M_NOWAIT);
	(void)backend(TRACE_HOOK_ALLOC, 1, 0, M_NOWAIT);
	(void)begin_nested(1, 0, M_NOWAIT);
	model_sleep(m, ABOVE(1));
	BROKEN("G-4", "zone/G-4/uma_zalloc/sleeps");
}

static bool
holds(void *arg, const struct model_object *o)
{
	enum trace_class *owner = arg;

	*owner = o->owner;
	return (false);
}

/* A callback panics: the item is left over, and the zone's. */
static void
what_is_left_over_is_the_zones(void **state)
{
	enum trace_class owner = TRACE_OBJ;
	struct call c, n;

	(void)state;
	cache_over_zone(BOTH);
	c = begin_get(0, M_WAITOK);
	zone_gives(0, at(0), M_WAITOK);
	(void)backend(TRACE_HOOK_CTOR, 0, at(0), M_WAITOK);
	n = begin_kmalloc(ABOVE(0), 16, TRACE_NOREG, M_WAITOK);
	panics(&n, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	CLEAN();
	model_each_live(m, holds, &owner);
	assert_int_equal(owner, TRACE_ZONE);
	zfree_at(0, at(0));
	CLEAN();
}

static void
arguments(void **state)
{
	struct call c;

	(void)state;
	cache_over_zone(0);
	c = occall(TRACE_OP_OBJCACHE_CREATE_ZONE, 0);
	c.handle = 1;
	c.handle2 = 0;
	c.size = ITEM;
	c.n[0] = -1;
	invoke(&c);
	panics(&c, W_BAD_ARG);
	CLEAN();
	c.line = ++line;
	invoke(&c);
	returns(&c, 1);
	BROKEN("G-3", "objcache/G-3/objcache_create_zone/undetected");
	/* In use, and all of it cached. */
	cache_over_zone(BOTH);
	get_new(at(0));
	put(at(0));
	c = zcall(TRACE_OP_UMA_ZDESTROY, 0, 0);
	invoke(&c);
	panics(&c, W_BUSY);
	CLEAN();
	c.line = ++line;
	invoke(&c);
	returns(&c, 0);
	BROKEN("ZN-11", "zone/ZN-11/uma_zdestroy/undetected");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(objects_are_items),
		T(the_backend_is_the_zone),
		T(what_the_zone_refuses),
		T(contents_are_the_caches),
		T(a_get_sleeps_in_its_zone),
		T(what_is_left_over_is_the_zones),
		T(arguments),
		T(every_clause_was_broken),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
