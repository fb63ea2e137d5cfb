/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: objcaches. Synthetic events, see model_test.h.
 *
 * The cache that is played has magazines of CAPACITY objects, so that with two
 * CPUs SLACK objects may exist beyond the limit.
 */
#include "model_test.h"

#define CAPACITY 4u
#define SLACK	 (2 * 2 * CAPACITY)
#define SIZE	 64u
#define BIT(h)	 (1u << TRACE_HOOK_##h)
#define BOTH	 (BIT(CTOR) | BIT(DTOR))
#define ABOVE(t) ((t) + THREADS) /* the frame of nested calls */

/* Clauses that the tests of this file must break. */
static bool
is_mine(const char *clause)
{
	return (strncmp(clause, "OC-", 3) == 0);
}

static uint64_t base; /* objects are slots of SIZE bytes from here */

static uint64_t
at(unsigned i)
{
	return (base + i * SIZE);
}

/* --- the cache that is played --- */

static void
restart(uint32_t debug, uint32_t cpus)
{
	const struct model_config config = {
		.kind = MODEL_KALLOC,
		.contents = MODEL_CONTENTS_FULL,
		.cpus = cpus,
		.threads = THREADS,
		.pages = PAGES,
		.reserve_system = 8,
		.reserve_interrupt = 2,
		.debug = debug,
		.arena = arena,
	};

	memset((void *)(uintptr_t)arena, 0, BUDGET);
	line = 0;
	model_reset(m, &config);
	type_make(0);
	type_make(1);
}

static struct call
begin_oc(enum trace_opcode code, uint32_t thread)
{
	struct call c = call(code, thread);

	c.handle2 = TRACE_NOREG;
	return (c);
}

static struct owner_stats
described(int32_t limit)
{
	return ((struct owner_stats) {
	    .limit = (uint64_t)limit,
	    .capacity = CAPACITY,
	    .quota = limit == 0 ? 0 : limit + (int64_t)SLACK,
	    .quota_total = limit == 0 ? 0 : limit + (int64_t)SLACK,
	});
}

static void
create(uint32_t handle, uint32_t hooks, int32_t limit)
{
	struct call c = begin_oc(TRACE_OP_OBJCACHE_CREATE, 0);
	const struct owner_stats st = described(limit);

	c.handle = handle;
	c.type = 0;
	c.size = SIZE;
	c.n[0] = limit;
	c.hooks = hooks;
	invoke(&c);
	returns(&c, 1);
	model_describe(m, TRACE_CACHE, handle, &st);
}

/* A slab, and cache 0. */
static void
cache(uint32_t hooks, int32_t limit)
{
	base = slab(0);
	create(0, hooks, limit);
}

static struct callback
calls_back(enum trace_hook hook, uint32_t thread, uint64_t addr, uint32_t flags)
{
	struct callback cb;

	memset(&cb, 0, sizeof(cb));
	cb.hook = hook;
	cb.class = TRACE_CACHE;
	cb.thread = thread;
	cb.addr = addr;
	cb.flags = flags;
	model_callback(m, &cb);
	return (cb);
}

static void
done(struct callback *cb, uint64_t ret)
{
	cb->ret = ret;
	model_callback_done(m, cb);
}

/* The backend gives an object; the kmalloc in it is the laboratory's. */
static void
backend_gives(uint32_t thread, uint64_t addr, uint32_t flags, uint32_t more)
{
	struct callback cb = calls_back(TRACE_HOOK_ALLOC, thread, 0, flags);
	struct call c = begin_kmalloc(ABOVE(thread), SIZE, 0, flags | more);

	returns(&c, addr);
	done(&cb, addr);
}

static void
backend_fails(uint32_t thread, uint32_t flags)
{
	struct callback cb = calls_back(TRACE_HOOK_ALLOC, thread, 0, flags);

	done(&cb, 0);
}

static void
constructs(uint32_t thread, uint64_t addr, uint32_t flags, uint64_t ok)
{
	struct callback cb = calls_back(TRACE_HOOK_CTOR, thread, addr, flags);

	done(&cb, ok);
}

static void
destroys(uint32_t thread, uint64_t addr)
{
	struct callback cb = calls_back(TRACE_HOOK_DTOR, thread, addr, 0);

	done(&cb, 0);
}

static void
backend_takes(uint32_t thread, uint64_t addr)
{
	struct callback cb = calls_back(TRACE_HOOK_FREE, thread, addr, 0);
	struct call c = begin_kfree(ABOVE(thread), addr, 0);

	returns(&c, 0);
	done(&cb, 0);
}

static struct call
begin_get(uint32_t thread, uint32_t flags)
{
	struct call c = begin_oc(TRACE_OP_OBJCACHE_GET, thread);

	c.flags = flags;
	invoke(&c);
	return (c);
}

static struct call
begin_give(enum trace_opcode code, uint32_t thread, uint64_t addr)
{
	struct call c = begin_oc(code, thread);

	c.addr = addr;
	invoke(&c);
	return (c);
}

/* A get that constructs; one that does not; one that is refused. */
static void
get_new(uint64_t addr)
{
	struct call c = begin_get(0, M_WAITOK);

	backend_gives(0, addr, M_WAITOK, 0);
	constructs(0, addr, M_WAITOK, 1);
	returns(&c, addr);
}

static void
get(uint64_t addr, uint32_t flags)
{
	struct call c = begin_get(0, flags);

	returns(&c, addr);
}

static void
put(uint64_t addr)
{
	struct call c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, addr);

	returns(&c, 0);
}

static void
destroy(void)
{
	struct call c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);

	invoke(&c);
	returns(&c, 0);
}

/* Gets objects until all that may exist do. */
static void
fill_up(unsigned first, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		get_new(at(first + i));
}

static void
bad_handle(enum trace_opcode code)
{
	struct call c = begin_oc(code, 0);

	c.handle = TRACE_NOREG;
	c.addr = at(0);
	c.flags = M_WAITOK;
	invoke(&c);
	panics(&c, W_BAD_HANDLE);
	CLEAN();
	c.line = ++line;
	invoke(&c);
	returns(&c, 0);
}

/* --- the clauses --- */

static void
life_of_a_cache(void **state)
{
	struct owner_stats st = described(8);
	struct call c;

	(void)state;
	cache(BOTH, 8);
	get_new(at(0));
	get_new(at(1));
	put(at(0));
	get(at(0), M_NOWAIT);
	put(at(1));
	st.used = st.cached = 1;
	st.quota -= 2;
	st.requests = 3;
	model_check_owner(m, TRACE_CACHE, 0, &st);
	model_end(m);
	c = begin_give(TRACE_OP_OBJCACHE_DTOR, 0, at(0));
	destroys(0, at(0));
	backend_takes(0, at(0));
	returns(&c, 0);
	c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	destroys(0, at(1));
	backend_takes(0, at(1));
	returns(&c, 0);
	c = begin_get(0, M_WAITOK);
	panics(&c, W_BAD_HANDLE);
	CLEAN();
	create(0, 0, 0);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(0), M_WAITOK, 0);
	returns(&c, at(0));
	put(at(0));
	c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	backend_takes(0, at(0));
	returns(&c, 0);
	CLEAN();
}

static void
held_and_cached_are_told_apart(void **state)
{
	unsigned i;

	(void)state;
	cache(BOTH, 8);
	get_new(at(0));
	get_new(at(1));
	put(at(1));
	for (i = 0; i < 2; i++) {
		get(at(0), M_WAITOK);
		BROKEN("G-2", "objcache/G-2/objcache_get/overlap");
		cache(BOTH, 8);
		get_new(at(0));
	}
	bytes(at(0))[5] ^= 1;
	put(at(0));
	BROKEN("G-2", "objcache/G-2/objcache_put/contents");
}

static void
oc1_the_backend(void **state)
{
	struct callback cb;
	struct call c;

	(void)state;
	cache(BIT(CTOR) | BIT(DTOR) | BIT(ZERO), 8);
	c = begin_get(0, M_WAITOK);
	memset(bytes(at(0)), 0, SIZE);
	backend_gives(0, at(0), M_WAITOK, M_ZERO);
	constructs(0, at(0), M_WAITOK, 1);
	returns(&c, at(0));
	CLEAN();
	/* Without M_ZERO. */
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(1), M_WAITOK, 0);
	BROKEN("OC-1", "objcache/OC-1/objcache_get/asked-for");

	/* Zeroed, and written before the constructor. */
	cache(BOTH | BIT(ZERO), 8);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(0), M_WAITOK, M_ZERO);
	bytes(at(0))[9] = 1;
	constructs(0, at(0), M_WAITOK, 1);
	BROKEN("OC-1", "objcache/OC-1/objcache_get/contents");

	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	(void)calls_back(TRACE_HOOK_ALLOC, 0, 0, M_NOWAIT);
	BROKEN("OC-1", "objcache/OC-1/objcache_get/flags");

	cache(BOTH, 8);
	get_new(at(0));
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(0));
	(void)calls_back(TRACE_HOOK_ALLOC, 0, 0, 0);
	BROKEN("OC-1", "objcache/OC-1/objcache_put/backend");

	/* Another size, another object than the backend's. */
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	c = begin_kmalloc(ABOVE(0), SIZE - 8, 0, M_WAITOK);
	returns(&c, at(0));
	done(&cb, at(0));
	BROKEN("OC-1", "objcache/OC-1/objcache_get/asked-for");
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	returns(&c, at(3));
	BROKEN("OC-1", "objcache/OC-1/objcache_get/not-ready");

	/* The backend keeps what it was given. */
	cache(0, 8);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(0), M_WAITOK, 0);
	returns(&c, at(0));
	c = begin_give(TRACE_OP_OBJCACHE_DTOR, 0, at(0));
	cb = calls_back(TRACE_HOOK_FREE, 0, at(0), 0);
	done(&cb, 0);
	BROKEN("OC-1", "objcache/OC-1/objcache_dtor/not-freed");
}

static void
oc3_pairs(void **state)
{
	struct callback cb;
	struct call c;

	(void)state;
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(0), M_WAITOK, 0);
	returns(&c, at(0));
	BROKEN("OC-3", "objcache/OC-3/objcache_get/unconstructed");

	cache(BOTH, 8);
	get_new(at(0));
	put(at(0));
	c = begin_get(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_CTOR, 0, at(0), M_WAITOK);
	BROKEN("OC-3", "objcache/OC-3/objcache_get/constructs");

	cache(BOTH, 8);
	get_new(at(0));
	c = begin_give(TRACE_OP_OBJCACHE_DTOR, 0, at(0));
	cb = calls_back(TRACE_HOOK_FREE, 0, at(0), 0);
	BROKEN("OC-3", "objcache/OC-3/objcache_dtor/frees");

	cache(BOTH, 8);
	get_new(at(0));
	c = begin_give(TRACE_OP_OBJCACHE_DTOR, 0, at(0));
	destroys(0, at(0));
	destroys(0, at(0));
	BROKEN("OC-3", "objcache/OC-3/objcache_dtor/destroys");

	/* What is held is nobody's to destroy. */
	cache(BOTH, 8);
	get_new(at(0));
	get_new(at(1));
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(1));
	cb = calls_back(TRACE_HOOK_DTOR, 0, at(0), 0);
	BROKEN("OC-3", "objcache/OC-3/objcache_put/destroys");

	cache(BOTH, 8);
	get_new(at(0));
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(0));
	destroys(0, at(0));
	returns(&c, 0);
	BROKEN("OC-3", "objcache/OC-3/objcache_put/not-freed");

	cache(BOTH, 8);
	cb = calls_back(TRACE_HOOK_CTOR, 1, at(0), M_WAITOK);
	BROKEN("OC-3", "objcache/OC-3/callback/outside");

	/* One CPU: what is cached is found. */
	restart(0, 1);
	cache(BOTH, 0);
	get_new(at(0));
	put(at(0));
	c = begin_get(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	BROKEN("OC-3", "objcache/OC-3/objcache_get/cached");
	(void)cb;
}

static void
oc4_contents_are_kept(void **state)
{
	struct call c;

	(void)state;
	cache(BOTH, 8);
	get_new(at(0));
	put(at(0));
	bytes(at(0))[17] ^= 1;
	get(at(0), M_WAITOK);
	BROKEN("OC-4", "objcache/OC-4/objcache_get/contents");

	cache(BOTH, 8);
	get_new(at(0));
	put(at(0));
	bytes(at(0))[17] ^= 1;
	c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	destroys(0, at(0));
	BROKEN("OC-4", "objcache/OC-4/objcache_destroy/contents");

	/* What the constructor left, too. */
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(0), M_WAITOK, 0);
	constructs(0, at(0), M_WAITOK, 1);
	bytes(at(0))[0] ^= 1;
	returns(&c, at(0));
	BROKEN("OC-4", "objcache/OC-4/objcache_get/contents");

	cache(BOTH, 8);
	get_new(at(0));
	put(at(0));
	bytes(at(0))[17] ^= 1;
	model_end(m);
	BROKEN("G-2", "kmalloc/G-2/end of run/contents");
}

static void
oc5_null_has_a_cause(void **state)
{
	struct call c;

	(void)state;
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	backend_fails(0, M_WAITOK);
	returns(&c, 0);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(0), M_WAITOK, 0);
	constructs(0, at(0), M_WAITOK, 0);
	backend_takes(0, at(0));
	returns(&c, 0);
	c = begin_get(0, M_WAITOK | M_ZERO);
	panics(&c, W_BAD_FLAGS);
	c = begin_get(0, 0);
	panics(&c, W_BAD_FLAGS);
	CLEAN();
	c = begin_get(0, M_WAITOK | M_ZERO);
	returns(&c, 0);
	BROKEN("OC-5", "objcache/OC-5/objcache_get/undetected");

	cache(BOTH, 0);
	get(0, M_NOWAIT);
	BROKEN("OC-5", "objcache/OC-5/objcache_get/null-no-cause");
	cache(BOTH, 8);
	get(0, M_WAITOK);
	BROKEN("OC-5", "objcache/OC-5/objcache_get/null-no-cause");

	/* At the limit who may wait waits. */
	cache(BOTH, 1);
	fill_up(0, 1 + SLACK);
	get(0, M_WAITOK | M_NULLOK);
	CLEAN();
	get(0, M_WAITOK);
	BROKEN("OC-5", "objcache/OC-5/objcache_get/null-no-cause");

	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(0), M_WAITOK, 0);
	constructs(0, at(0), M_WAITOK, 0);
	returns(&c, 0);
	BROKEN("OC-5", "objcache/OC-5/objcache_get/memory-kept");

	cache(BOTH, 8);
	get_new(at(0));
	put(at(0));
	c = begin_get(0, M_WAITOK);
	backend_fails(0, M_WAITOK);
	returns(&c, at(0));
	BROKEN("OC-5", "objcache/OC-5/objcache_get/failed-object");
}

static void
oc5_a_backend_may_panic(void **state)
{
	struct callback cb;
	struct call c, k;
	struct owner_stats st = described(8);

	(void)state;
	create(0, BOTH, 8);
	use(LIMIT / SLAB + 1);
	c = begin_get(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	k = begin_kmalloc(ABOVE(0), SIZE, 0, M_WAITOK);
	panics(&k, W_LIMIT);
	panics(&c, W_LIMIT);
	CLEAN();
	/* A unit of the quota may be gone, not two. */
	st.quota--;
	model_check_owner(m, TRACE_CACHE, 0, &st);
	CLEAN();
	st.quota--;
	model_check_owner(m, TRACE_CACHE, 0, &st);
	BROKEN("OC-7", "objcache/OC-7/end of run/quota");
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	panics(&c, W_LIMIT);
	BROKEN("KM-6", "objcache/KM-6/objcache_get/limit");
	(void)cb;
}

static void
oc6_the_limit(void **state)
{
	struct callback cb;
	struct call c, other;

	(void)state;
	cache(BOTH, 2);
	get_new(at(0));
	CLEAN();
	get(0, M_NOWAIT);
	BROKEN("OC-6", "objcache/OC-6/objcache_get/null-below-limit");

	/* Two held: legal, although there is slack. One held, one on its way. */
	cache(BOTH, 2);
	fill_up(0, 2);
	get(0, M_NOWAIT);
	put(at(1));
	other = begin_get(1, M_WAITOK);
	get(0, M_NOWAIT);
	CLEAN();
	returns(&other, at(1));
	other = begin_give(TRACE_OP_OBJCACHE_PUT, 1, at(1));
	get(0, M_NOWAIT);
	CLEAN();
	returns(&other, 0);
	get(0, M_NOWAIT);
	BROKEN("OC-6", "objcache/OC-6/objcache_get/null-below-limit");

	/* It was so at some time of the call. */
	cache(BOTH, 1);
	get_new(at(0));
	c = begin_get(1, M_NOWAIT);
	put(at(0));
	returns(&c, 0);
	CLEAN();

	/* More than limit and slack. */
	fill_up(1, SLACK);
	CLEAN();
	get(at(0), M_WAITOK);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(SLACK + 1), M_WAITOK, 0);
	BROKEN("OC-6", "objcache/OC-6/objcache_get/too-many");

	/* A sleep below the limit, though it did not last. */
	cache(BOTH, 2);
	get_new(at(0));
	c = begin_get(0, M_WAITOK);
	model_sleep(m, 0);
	other = begin_get(1, M_NOWAIT);
	backend_fails(1, M_NOWAIT);
	model_wake(m, 0);
	returns(&other, 0);
	backend_gives(0, at(1), M_WAITOK, 0);
	constructs(0, at(1), M_WAITOK, 1);
	returns(&c, at(1));
	CLEAN();
	put(at(0));
	put(at(1));
	get(at(0), M_WAITOK);
	c = begin_get(0, M_WAITOK);
	model_sleep(m, 0);
	model_wake(m, 0);
	returns(&c, at(1));
	BROKEN("OC-6", "objcache/OC-6/objcache_get/slept-below-limit");
	(void)cb;
}

static void
oc6_the_limit_changes(void **state)
{
	struct owner_stats st;
	struct call c, g;

	(void)state;
	cache(BOTH, 4);
	fill_up(0, 2);
	g = begin_get(1, M_NOWAIT);
	c = begin_oc(TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT, 0);
	c.n[0] = 1;
	invoke(&c);
	returns(&g, 0); /* the lower limit may have been in effect */
	returns(&c, 0);
	st = described(1);
	model_describe(m, TRACE_CACHE, 0, &st);
	get(0, M_NOWAIT);
	CLEAN();
	c.n[0] = 0;
	c.line = ++line;
	invoke(&c);
	returns(&c, 0);
	get(0, M_NOWAIT);
	BROKEN("OC-5", "objcache/OC-5/objcache_get/null-no-cause");

	cache(BOTH, 4);
	c = begin_oc(TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT, 0);
	c.n[0] = -1;
	invoke(&c);
	panics(&c, W_BAD_ARG);
	CLEAN();
	st = described(4);
	st.quota_total--;
	model_check_owner(m, TRACE_CACHE, 0, &st);
	BROKEN("OC-6", "objcache/OC-6/end of run/quota_total");
}

static void
oc7_quota_is_constant(void **state)
{
	struct owner_stats st = described(8);

	(void)state;
	cache(BOTH, 8);
	get_new(at(0));
	st.used = st.requests = 1;
	st.quota -= 2;
	model_check_owner(m, TRACE_CACHE, 0, &st);
	BROKEN("OC-7", "objcache/OC-7/end of run/quota");
	cache(BOTH, 8);
	st = described(8);
	st.used = 1;
	model_check_owner(m, TRACE_CACHE, 0, &st);
	BROKEN("G-7", "kmalloc/G-7/end of run/used");
	cache(BOTH, 8);
	st = described(8);
	st.failures = 1;
	model_check_owner(m, TRACE_CACHE, 0, &st);
	BROKEN("G-7", "kmalloc/G-7/end of run/failures");
}

static void
oc8_sleepers(void **state)
{
	struct callback cb;
	struct call c, g, k;

	(void)state;
	cache(BOTH, 1);
	fill_up(0, 1 + SLACK);
	c = begin_get(1, M_WAITOK);
	model_sleep(m, 1);
	model_idle(m);
	CLEAN();
	put(at(0));
	model_idle(m);
	BROKEN("OC-8", "objcache/OC-8/objcache_get/cached");

	/* Destroyed instead of cached: the limit is not reached then. */
	cache(BOTH, 1);
	fill_up(0, 1 + SLACK);
	c = begin_get(1, M_WAITOK);
	model_sleep(m, 1);
	model_idle(m);
	g = begin_give(TRACE_OP_OBJCACHE_DTOR, 0, at(0));
	destroys(0, at(0));
	backend_takes(0, at(0));
	returns(&g, 0);
	CLEAN();
	model_idle(m);
	BROKEN("OC-8", "objcache/OC-8/objcache_get/below-limit");

	/* Another get has the unit, and sleeps in its backend. */
	restart(0, 2);
	cache(BOTH, 1);
	fill_up(0, SLACK);
	leave_free(20);
	g = begin_get(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	k = begin_kmalloc(ABOVE(0), 8192, 0, M_WAITOK);
	model_vm_alloc(m, ABOVE(0), 0, 16, SLAB, VM_ALLOC_NORMAL, true, true);
	model_sleep(m, ABOVE(0));
	c = begin_get(1, M_WAITOK);
	model_sleep(m, 1);
	model_end(m);
	CLEAN();
	/* With another limit there would be a unit for both. */
	restart(0, 2);
	cache(BOTH, 2);
	fill_up(0, SLACK);
	g = begin_get(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	k = begin_kmalloc(ABOVE(0), 8192, 0, M_WAITOK);
	model_vm_alloc(m, ABOVE(0), 0, 16, SLAB, VM_ALLOC_NORMAL, true, true);
	model_sleep(m, ABOVE(0));
	c = begin_get(1, M_WAITOK);
	model_sleep(m, 1);
	model_end(m);
	BROKEN("OC-8", "objcache/OC-8/objcache_get/below-limit");
	(void)c, (void)k, (void)cb;
}

static void
oc9_puts_do_not_fail(void **state)
{
	struct call c;

	(void)state;
	cache(BOTH, 8);
	get_new(at(0));
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(0));
	panics(&c, W_BUSY);
	BROKEN("OC-9", "objcache/OC-9/objcache_put/busy");
	/* Whatever it says: a put takes no memory, of no limit. */
	cache(BOTH, 8);
	get_new(at(0));
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(0));
	panics(&c, W_LIMIT);
	BROKEN("OC-9", "objcache/OC-9/objcache_put/limit");
	cache(BOTH, 8);
	get_new(at(0));
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(0));
	model_sleep(m, 0);
	BROKEN("G-4", "objcache/G-4/objcache_put/sleeps");
	cache(BOTH, 1);
	fill_up(0, 1);
	c = begin_get(0, M_WAITOK | M_NULLOK);
	model_sleep(m, 0);
	BROKEN("G-4", "objcache/G-4/objcache_get/sleeps");
	(void)c;
}

static void
oc10_destroy(void **state)
{
	struct callback cb;
	struct call c;

	(void)state;
	cache(BOTH, 8);
	get_new(at(0));
	c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	panics(&c, W_BUSY);
	CLEAN();
	destroy();
	BROKEN("OC-10", "objcache/OC-10/objcache_destroy/undetected");
	cache(BOTH, 8);
	get_new(at(0));
	put(at(0));
	destroy();
	BROKEN("OC-10", "objcache/OC-10/objcache_destroy/objects-left");
	cache(BOTH, 8);
	get_new(at(0));
	c = begin_give(TRACE_OP_OBJCACHE_DTOR, 0, at(0));
	returns(&c, 0);
	BROKEN("OC-10", "objcache/OC-10/objcache_dtor/not-destroyed");
	cache(BOTH, 8);
	c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	panics(&c, W_BUSY);
	BROKEN("OC-10", "objcache/OC-10/objcache_destroy/busy");
	/* Misuse is told first. */
	cache(BOTH, 8);
	get_new(at(0));
	get_new(at(1));
	put(at(1));
	c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	cb = calls_back(TRACE_HOOK_DTOR, 0, at(1), 0);
	BROKEN("OC-10", "objcache/OC-10/objcache_destroy/callback");
	(void)cb;
}

static struct call
begin_reclaim(void)
{
	struct call c = begin_oc(TRACE_OP_OBJCACHE_RECLAIMLIST, 0);

	c.handle2 = 1;
	c.flags = M_NOWAIT;
	invoke(&c);
	return (c);
}

static void
takes_of(uint32_t handle, uint64_t addr)
{
	struct callback cb;
	struct call c;

	memset(&cb, 0, sizeof(cb));
	cb.class = TRACE_CACHE;
	cb.handle = handle;
	cb.addr = addr;
	cb.hook = TRACE_HOOK_FREE;
	model_callback(m, &cb);
	c = begin_kfree(ABOVE(0), addr, 0);
	returns(&c, 0);
	done(&cb, 0);
}

/* Two caches without callbacks; objects of the first are at(0..), of the
 * second at(100..), and are cached. */
static void
two_caches(unsigned a, unsigned b)
{
	struct callback cb;
	struct call c, k;
	unsigned i;

	cache(0, 8);
	create(1, 0, 0);
	for (i = 0; i < a + b; i++) {
		uint64_t addr = i < a ? at(i) : at(100 + i - a);

		c = begin_oc(TRACE_OP_OBJCACHE_GET, 0);
		c.flags = M_WAITOK;
		c.handle = i < a ? 0 : 1;
		invoke(&c);
		memset(&cb, 0, sizeof(cb));
		cb.class = TRACE_CACHE;
		cb.handle = c.handle;
		cb.hook = TRACE_HOOK_ALLOC;
		cb.flags = M_WAITOK;
		model_callback(m, &cb);
		k = begin_kmalloc(ABOVE(0), SIZE, 0, M_WAITOK);
		returns(&k, addr);
		done(&cb, addr);
		returns(&c, addr);
		k = begin_oc(TRACE_OP_OBJCACHE_PUT, 0);
		k.handle = c.handle;
		k.addr = addr;
		invoke(&k);
		returns(&k, 0);
	}
}

static void
oc11_reclaim(void **state)
{
	struct owner_stats st = described(8);
	struct call c, g;

	(void)state;
	two_caches(2, 1);
	c = begin_reclaim();
	takes_of(0, at(0));
	takes_of(0, at(1));
	returns(&c, 1);
	c = begin_reclaim();
	takes_of(1, at(100));
	returns(&c, 1);
	c = begin_reclaim();
	returns(&c, 0);
	CLEAN();
	c = begin_reclaim();
	returns(&c, 1);
	BROKEN("OC-11", "objcache/OC-11/objcache_reclaimlist/returns");
	two_caches(1, 1);
	c = begin_reclaim();
	takes_of(0, at(0));
	takes_of(1, at(100));
	returns(&c, 1);
	BROKEN("OC-11", "objcache/OC-11/objcache_reclaimlist/went-on");
	two_caches(1, 1);
	c = begin_reclaim();
	takes_of(1, at(100));
	returns(&c, 1);
	BROKEN("OC-11", "objcache/OC-11/objcache_reclaimlist/order");
	two_caches(0, 1);
	c = begin_reclaim();
	returns(&c, 0);
	BROKEN("OC-11", "objcache/OC-11/objcache_reclaimlist/kept-all");
	/* Somebody may have had what was cached in his hand. */
	two_caches(1, 0);
	c = begin_reclaim();
	g = begin_get(1, M_WAITOK);
	returns(&c, 0);
	returns(&g, at(0));
	CLEAN();
	/* A refusal while what is cached is being reclaimed. */
	put(at(0));
	c = begin_reclaim();
	g = begin_get(1, M_NOWAIT);
	returns(&g, 0);
	takes_of(0, at(0));
	returns(&c, 1);
	CLEAN();
	st.capacity++;
	model_describe(m, TRACE_CACHE, 0, &st);
	BROKEN("OC-11", "objcache/OC-11/end of run/capacity");
}

static void
oc12_misuse(void **state)
{
	struct call c;

	(void)state;
	cache(BOTH, 8);
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, 0);
	panics(&c, W_NULL_FREE);
	CLEAN();
	put(0);
	BROKEN("OC-12", "objcache/OC-12/objcache_put/undetected");
	restart(KA_DEBUG_AUDIT, 2);
	cache(BOTH, 8);
	get_new(at(0));
	put(at(0));
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(0));
	panics(&c, W_DOUBLE_FREE);
	c = begin_give(TRACE_OP_OBJCACHE_DTOR, 0, at(5));
	panics(&c, W_FOREIGN);
	CLEAN();
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(0));
	panics(&c, W_FOREIGN);
	BROKEN("OC-12", "objcache/OC-12/objcache_put/wrong-panic");
	restart(KA_DEBUG_AUDIT, 2);
	cache(BOTH, 8);
	put(at(7));
	BROKEN("OC-12", "objcache/OC-12/objcache_put/undetected");
}

static void
g3_handles_and_arguments(void **state)
{
	static const struct {
		enum trace_opcode code;
		const char *signature;
	} op[] = {
		{ TRACE_OP_OBJCACHE_GET,
		    "objcache/G-3/objcache_get/undetected" },
		{ TRACE_OP_OBJCACHE_PUT,
		    "objcache/G-3/objcache_put/undetected" },
		{ TRACE_OP_OBJCACHE_DESTROY,
		    "objcache/G-3/objcache_destroy/undetected" },
		{ TRACE_OP_OBJCACHE_RECLAIMLIST,
		    "objcache/G-3/objcache_reclaimlist/undetected" },
	};
	struct call c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(op) / sizeof(op[0]); i++) {
		bad_handle(op[i].code);
		BROKEN("G-3", op[i].signature);
	}
	c = begin_oc(TRACE_OP_OBJCACHE_CREATE, 0);
	c.type = 0;
	c.size = SIZE;
	c.n[0] = -1;
	invoke(&c);
	panics(&c, W_BAD_ARG);
	CLEAN();
	invoke(&c);
	returns(&c, 1);
	BROKEN("G-3", "objcache/G-3/objcache_create/undetected");
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	panics(&c, W_ASSERT);
	BROKEN("G-3", "objcache/G-3/objcache_get/assert");
}

/* A put makes its object anybody's at once, and may destroy another. */
static void
two_threads(void **state)
{
	struct call p, g, q;

	(void)state;
	cache(BOTH, 8);
	fill_up(0, 3);
	p = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(0));
	g = begin_get(1, M_NOWAIT);
	returns(&g, at(0));
	q = begin_give(TRACE_OP_OBJCACHE_PUT, 1, at(1));
	destroys(0, at(1));
	backend_takes(0, at(1));
	returns(&p, 0);
	returns(&q, 0);
	CLEAN();
	/* Two misses at one time, and a callback that uses the cache. */
	g = begin_get(0, M_WAITOK);
	p = begin_get(1, M_WAITOK);
	backend_gives(0, at(4), M_WAITOK, 0);
	backend_gives(1, at(5), M_WAITOK, 0);
	constructs(1, at(5), M_WAITOK, 1);
	returns(&p, at(5));
	{
		struct callback cb =
		    calls_back(TRACE_HOOK_CTOR, 0, at(4), M_WAITOK);
		struct call n = begin_get(ABOVE(0), M_NOWAIT);

		backend_fails(ABOVE(0), M_NOWAIT);
		returns(&n, 0);
		done(&cb, 1);
	}
	returns(&g, at(4));
	model_end(m);
	CLEAN();
	/* kfree of what a cache has: nothing can be told any more. */
	kfree_at(at(5));
	kmalloc_at(at(5), SIZE, M_WAITOK);
	kmalloc_at(at(5), SIZE, M_WAITOK);
	CLEAN();
}

/* A constructor's own kmalloc panics: what it had in its hand is an object of
 * kmalloc again. */
static void
a_constructor_may_panic(void **state)
{
	struct callback cb;
	struct call c, k;

	(void)state;
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(0), M_WAITOK, 0);
	cb = calls_back(TRACE_HOOK_CTOR, 0, at(0), M_WAITOK);
	k = begin_kmalloc(ABOVE(0), SIZE, 7, M_WAITOK);
	panics(&k, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	kfree_at(at(0));
	get_new(at(0));
	put(at(0));
	CLEAN();
	c = begin_get(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	panics(&c, W_BAD_TYPE);
	BROKEN("G-3", "objcache/G-3/objcache_get/bad-type");
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	backend_gives(0, at(0), M_WAITOK, 0);
	cb = calls_back(TRACE_HOOK_CTOR, 0, at(0), M_NOWAIT);
	BROKEN("OC-1", "objcache/OC-1/objcache_get/flags");
	(void)cb;
}

/* The type ends under the cache: it is not judged any more, kmalloc is. */
static void
opaque_caches(void **state)
{
	struct callback cb;
	struct call c, k;

	(void)state;
	cache(BOTH, 8);
	fill_up(0, 2);
	put(at(1));
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 0);
	returns(&c, 3);
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, at(0));
	destroys(0, at(0));
	cb = calls_back(TRACE_HOOK_FREE, 0, at(0), 0);
	k = begin_kfree(ABOVE(0), at(0), 0);
	panics(&k, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	get(at(1), M_NOWAIT);
	put(at(1));
	c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	destroys(0, at(1));
	cb = calls_back(TRACE_HOOK_FREE, 0, at(1), 0);
	k = begin_kfree(ABOVE(0), at(1), 0);
	panics(&k, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	model_end(m);
	CLEAN();
	kmalloc_at(at(1), SIZE, M_WAITOK);
	BROKEN("KM-5", "kmalloc/KM-5/kmalloc/undetected");
	/* Objects of no bytes. */
	c = begin_oc(TRACE_OP_OBJCACHE_CREATE, 0);
	c.type = 0;
	invoke(&c);
	returns(&c, 1);
	c = begin_get(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	k = begin_kmalloc(ABOVE(0), 0, 0, M_WAITOK);
	returns(&k, ZERO_PTR);
	done(&cb, ZERO_PTR);
	returns(&c, ZERO_PTR);
	put(ZERO_PTR);
	CLEAN();
}

static void
odds_and_ends(void **state)
{
	struct call c, g;

	(void)state;
	/* A raised limit is good for a get in flight. */
	cache(BOTH, 1);
	fill_up(0, 1 + SLACK);
	g = begin_get(1, M_WAITOK);
	model_sleep(m, 1);
	c = begin_oc(TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT, 0);
	c.n[0] = 2;
	invoke(&c);
	model_wake(m, 1);
	backend_gives(1, at(30), M_WAITOK, 0);
	constructs(1, at(30), M_WAITOK, 1);
	returns(&g, at(30));
	returns(&c, 0);
	CLEAN();
	c.line = ++line;
	invoke(&c);
	panics(&c, W_ASSERT);
	BROKEN("G-3", "objcache/G-3/objcache_set_cluster_limit/assert");

	/* Nothing to wait for. */
	cache(BOTH, 1);
	c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	model_sleep(m, 0);
	model_idle(m);
	BROKEN("G-5", "objcache/G-5/objcache_destroy/no-cause");

	/* Without debug options a double put is not for anybody to notice. */
	cache(BOTH, 8);
	get_new(at(0));
	put(at(0));
	put(at(0));
	get(at(9), M_WAITOK);
	CLEAN();
	kalloc();

	/* The second cache of a list may be looked at, or not. */
	cache(BOTH, 8);
	c = begin_oc(TRACE_OP_OBJCACHE_RECLAIMLIST, 0);
	c.flags = M_NOWAIT;
	invoke(&c);
	panics(&c, W_BAD_HANDLE);
	c.line = ++line;
	invoke(&c);
	returns(&c, 0);
	CLEAN();
	c.line = ++line;
	invoke(&c);
	panics(&c, W_BUSY);
	BROKEN("G-3", "objcache/G-3/objcache_reclaimlist/busy");
}

/* What one call leaves behind must not excuse the next one. */
static void
nothing_lingers(void **state)
{
	struct owner_stats st = described(2);
	struct call c, g;

	(void)state;
	cache(BOTH, 2);
	get_new(at(0));
	c = begin_get(0, 0);
	panics(&c, W_BAD_FLAGS);
	c = begin_get(0, M_WAITOK);
	backend_fails(0, M_WAITOK);
	returns(&c, 0);
	st.used = st.requests = st.failures = 1;
	st.quota--;
	model_check_owner(m, TRACE_CACHE, 0, &st);
	CLEAN();
	get(0, M_NOWAIT);
	BROKEN("OC-6", "objcache/OC-6/objcache_get/null-below-limit");

	two_caches(1, 0);
	c = begin_reclaim();
	takes_of(0, at(0));
	returns(&c, 1);
	get(0, M_NOWAIT);
	BROKEN("OC-6", "objcache/OC-6/objcache_get/null-below-limit");

	cache(BOTH, 1);
	fill_up(0, 2);
	c = begin_oc(TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT, 0);
	c.n[0] = 4;
	invoke(&c);
	returns(&c, 0);
	get(0, M_NOWAIT);
	BROKEN("OC-6", "objcache/OC-6/objcache_get/null-below-limit");

	/* A get that waits may have what others cached in its hand. */
	cache(BOTH, 3);
	fill_up(0, 3);
	g = begin_get(1, M_WAITOK);
	put(at(0));
	put(at(1));
	get(0, M_NOWAIT);
	CLEAN();
	returns(&g, at(0));
	get(0, M_NOWAIT);
	BROKEN("OC-6", "objcache/OC-6/objcache_get/null-below-limit");
}

static void
more_misuse(void **state)
{
	static const struct {
		int32_t limit;
		uint32_t type;
		uint64_t size;
		enum why why;
	} bad[] = { { 0, 7, SIZE, W_BAD_TYPE }, { 0, 0, 0, W_BAD_ARG } };
	struct callback cb;
	struct call c;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		c = begin_oc(TRACE_OP_OBJCACHE_CREATE, 0);
		c.type = bad[i].type;
		c.size = bad[i].size;
		invoke(&c);
		panics(&c, bad[i].why);
	}
	c = begin_get(0, 0);
	panics(&c, W_BAD_FLAGS);
	c = begin_give(TRACE_OP_OBJCACHE_PUT, 0, 0);
	panics(&c, W_NULL_FREE);
	c = begin_oc(TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT, 0);
	c.n[0] = -1;
	invoke(&c);
	panics(&c, W_BAD_ARG);
	c = begin_oc(TRACE_OP_OBJCACHE_HOOK, 0);
	invoke(&c);
	returns(&c, 0);
	two_caches(0, 0);
	c = begin_oc(TRACE_OP_OBJCACHE_RECLAIMLIST, 0);
	c.handle2 = 1;
	invoke(&c);
	panics(&c, W_BAD_FLAGS);
	CLEAN();
	c = begin_get(0, M_WAITOK);
	backend_fails(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	BROKEN("OC-1", "objcache/OC-1/objcache_get/backend-again");
	cache(BOTH, 8);
	fill_up(0, 2);
	put(at(1));
	c = begin_give(TRACE_OP_OBJCACHE_DTOR, 0, at(0));
	cb = calls_back(TRACE_HOOK_DTOR, 0, at(1), 0);
	BROKEN("OC-3", "objcache/OC-3/objcache_dtor/destroys");
	(void)cb;
}

/* The type ends, and what goes back to it panics, in every call. */
static void
types_that_end(void **state)
{
	struct callback cb;
	struct call c, k;
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++) {
		kalloc();
		two_caches(1, 0);
		c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 0);
		returns(&c, 2);
		if (i == 0) {
			c = begin_reclaim();
		} else {
			c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
			invoke(&c);
		}
		cb = calls_back(TRACE_HOOK_FREE, 0, at(0), 0);
		k = begin_kfree(ABOVE(0), at(0), 0);
		panics(&k, W_BAD_TYPE);
		panics(&c, W_BAD_TYPE);
		CLEAN();
		get(at(0), M_NOWAIT); /* not judged any more */
		CLEAN();
	}
	/* What a get lost may be found by destroy. */
	kalloc();
	cache(BOTH, 8);
	c = begin_get(0, M_WAITOK);
	cb = calls_back(TRACE_HOOK_ALLOC, 0, 0, M_WAITOK);
	k = begin_kmalloc(ABOVE(0), SIZE, 7, M_WAITOK);
	panics(&k, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	c = begin_oc(TRACE_OP_OBJCACHE_DESTROY, 0);
	invoke(&c);
	panics(&c, W_BUSY);
	destroy();
	CLEAN();
	(void)cb;
}

#define OC2_GET "objcache/OC-2/objcache_get/shared"
#define OC2_PUT "objcache/OC-2/objcache_put/shared"

/* Of object i, which the cache has, or has held. */
static void
gets(unsigned i, uint32_t cpu, uint32_t flags, uint32_t shared)
{
	struct call c = begin_oc(TRACE_OP_OBJCACHE_GET, 0);

	c.cpu = cpu;
	c.handle = 0;
	c.flags = flags;
	invoke(&c);
	returns_sharing(&c, at(i), shared);
}

static void
puts_back(unsigned i, uint32_t cpu, uint32_t shared)
{
	struct call c = begin_oc(TRACE_OP_OBJCACHE_PUT, 0);

	c.cpu = cpu;
	c.handle = 0;
	c.addr = at(i);
	invoke(&c);
	returns_sharing(&c, 0, shared);
}

/* A cache, and so many objects of it, held. */
static void
held(unsigned n)
{
	unsigned i;

	cache(0, 0);
	for (i = 0; i < n; i++) {
		struct call c = begin_get(0, M_NOWAIT);

		backend_gives(0, at(i), M_NOWAIT, M_NULLOK);
		c.shared = 4;
		returns(&c, at(i));
	}
}

static void
oc2_hits_share_nothing(void **state)
{
	(void)state;
	held(2);
	puts_back(0, 0, 2); /* nobody knows how full the magazine is */
	gets(0, 0, M_NOWAIT, 0);
	puts_back(0, 0, 0);
	puts_back(1, 0, 2); /* of the room one is known of */
	gets(1, 0, M_WAITOK, 0);
	gets(0, 0, M_WAITOK, 2);
	assert_int_equal(hits(), 3);
	CLEAN();
	kalloc();
	held(1);
	puts_back(0, 0, 2);
	gets(0, 0, M_NOWAIT, 1);
	BROKEN("OC-2", OC2_GET);
	held(1);
	puts_back(0, 0, 2);
	gets(0, 0, M_NOWAIT, 0);
	puts_back(0, 0, 1);
	BROKEN("OC-2", OC2_PUT);
	/* Elsewhere it is another magazine. */
	held(1);
	puts_back(0, 0, 2);
	gets(0, 1, M_NOWAIT, 3);
	CLEAN();
	/* One that may wait takes it out of whichever it is in. */
	kalloc();
	held(2);
	puts_back(0, 1, 2);
	gets(0, 0, M_WAITOK, 9);
	puts_back(0, 0, 2);
	puts_back(1, 1, 2);
	gets(1, 1, M_WAITOK, 0);
	assert_int_equal(hits(), 1);
	CLEAN();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(life_of_a_cache),
		T(held_and_cached_are_told_apart),
		T(oc1_the_backend),
		T(oc3_pairs),
		T(oc4_contents_are_kept),
		T(oc5_null_has_a_cause),
		T(oc5_a_backend_may_panic),
		T(oc6_the_limit),
		T(oc6_the_limit_changes),
		T(oc7_quota_is_constant),
		T(oc8_sleepers),
		T(oc9_puts_do_not_fail),
		T(oc10_destroy),
		T(oc11_reclaim),
		T(oc12_misuse),
		T(g3_handles_and_arguments),
		T(two_threads),
		T(a_constructor_may_panic),
		T(opaque_caches),
		T(odds_and_ends),
		T(nothing_lingers),
		T(more_misuse),
		T(types_that_end),
		T(oc2_hits_share_nothing),
		T(every_clause_was_broken),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
