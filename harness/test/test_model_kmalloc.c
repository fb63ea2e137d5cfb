/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: sizes, alignment, types, limits and flags of kmalloc (KM-1 to
 * KM-9). Synthetic events, see model_test.h.
 */
#include "model_test.h"

/* Clauses that the tests of this file must break. */
static bool
is_mine(const char *clause)
{
	return (strncmp(clause, "KM-", 3) == 0 && atoi(clause + 3) < 10);
}

/* --- KM --- */

static void
takes(uint64_t addr, uint64_t size, uint32_t shared)
{
	struct call c = begin_kmalloc(0, size, 0, M_WAITOK);

	returns_sharing(&c, addr, shared);
}

static void
gives(uint64_t addr, uint32_t shared)
{
	struct call c = begin_kfree(0, addr, 0);

	returns_sharing(&c, 0, shared);
}

#define KM1_FREE  "kmalloc/KM-1/kfree/shared"
#define KM1_ALLOC "kmalloc/KM-1/kmalloc/shared"

/* Chunks of one size, one after the other: the first asks for a grant, whatever
 * is freed goes to the slab that they come from. */
static void
km1_hits_share_nothing(void **state)
{
	uint64_t s = slab(0);
	unsigned i;

	(void)state;
	assert_int_equal(hits(), 0);
	takes(s, 64, 3);
	gives(s, 0);
	assert_int_equal(hits(), 1);
	for (i = 0; i < 3; i++) {
		takes(s, 64, 0);
		gives(s, 0);
	}
	assert_int_equal(hits(), 7);
	CLEAN();
	takes(s, 64, 0);
	gives(s, 1);
	BROKEN("KM-1", KM1_FREE);
	s = slab(0);
	takes(s, 64, 3);
	gives(s, 0);
	takes(s, 64, 1);
	BROKEN("KM-1", KM1_ALLOC);
	/* Nothing was freed to it: it may be empty. */
	s = slab(0);
	takes(s, 64, 3);
	takes(s + 64, 64, 3);
	CLEAN();
	/* A grant of 64 KiB, or less, is used up. */
	kalloc();
	s = slab(0);
	takes(s, 4096, 3);
	gives(s, 0);
	takes(s, 4096, 3);
	gives(s, 0);
	takes(s, 4096, 3);
	assert_int_equal(hits(), 2);
	CLEAN();
}

/* What comes between the allocation and its free, or into it: the slab need not
 * be the CPU's current one any more, or the CPU is closed. */

static void
comes_nothing(struct call *c)
{
	invoke(c);
}

static void
comes_trim(struct call *c)
{
	struct call trim = call(TRACE_OP_KMALLOC_TRIM, 0);

	invoke(&trim);
	returns(&trim, 0);
	invoke(c);
}

static void
comes_shortage(struct call *c)
{
	struct call alloc = begin_page_alloc(0, PAGES, 0, VM_ALLOC_NORMAL);

	pages_fail(0, PAGES, false, false);
	returns(&alloc, 0);
	invoke(c);
}

static void
comes_question(struct call *c)
{
	model_check_pages(m, PAGES - SLAB / PAGE);
	invoke(c);
}

static void
comes_migration(struct call *c)
{
	invoke(c);
	model_migrate(m, 0, 1);
}

static void
comes_another(struct call *c)
{
	struct call limit = call(TRACE_OP_KMALLOC_LIMIT, 1);

	invoke(c);
	limit.type = 0;
	invoke(&limit);
	returns(&limit, LIMIT);
}

static void
is_another(struct call *c)
{
	struct call limit = call(TRACE_OP_KMALLOC_LIMIT, 1);

	limit.type = 0;
	invoke(&limit);
	invoke(c);
	returns(&limit, LIMIT);
}

static void
comes_elsewhere(struct call *c)
{
	c->cpu = 1;
	invoke(c);
}

static void
km1_not_judged(void **state)
{
	static void (*const comes[])(struct call *) = { comes_trim,
		comes_shortage, comes_question, comes_migration, comes_another,
		is_another, comes_elsewhere, comes_nothing };
	struct call c;
	uint64_t s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(comes) / sizeof(*comes); i++) {
		kalloc();
		s = slab(0);
		takes(s, 64, 3);
		c = call(TRACE_OP_KFREE, 0);
		c.addr = s;
		c.type = 0;
		comes[i](&c);
		returns_sharing(&c, 0, 4);
		if (comes[i] == comes_nothing)
			break; /* that it is these that make the difference */
		assert_int_equal(hits(), 0);
		CLEAN();
	}
	BROKEN("KM-1", KM1_FREE);
}

/* Near the limit each allocation is looked at. */
static void
km1_grants_end(void **state)
{
	uint64_t s, i;

	(void)state;
	kalloc();
	use(1);
	s = slab(1);
	takes(s, 64, 3);
	gives(s, 0);
	for (i = 0; i < 100; i++) {
		takes(s, 64, 0);
		gives(s, 0);
	}
	/* All that was known of is used up. */
	takes(s, 64, 3);
	gives(s, 0);
	CLEAN();
	kalloc();
	s = slab(0);
	for (i = 0; i < 200; i++) { /* of all sizes, so that much is granted */
		takes(s + 4096, 64 + 8 * (i % 4), 3);
		gives(s + 4096, 0);
	}
	takes(s, 1024, 3);
	gives(s, 0);
	takes(s, 1024, 3);
	CLEAN();
}

static void
km3_size_classes(void **state)
{
	static const uint64_t want[][2] = {
		{ 1, 8 },
		{ 8, 8 },
		{ 9, 16 },
		{ 120, 120 },
		{ 121, 128 },
		{ 127, 128 },
		{ 128, 128 },
		{ 129, 144 },
		{ 255, 256 },
		{ 256, 256 },
		{ 257, 288 },
		{ 511, 512 },
		{ 513, 576 },
		{ 1023, 1024 },
		{ 1025, 1152 },
		{ 2047, 2048 },
		{ 2049, 2304 },
		{ 4095, 4096 },
		{ 4097, 4608 },
		{ 7681, 8192 },
		{ 8192, 8192 },
	};
	uint64_t s = slab(0);
	struct call c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		kmalloc_at(s, want[i][0], M_WAITOK);
		usable(s, want[i][1]);
		kfree_at(s);
	}
	CLEAN();
	kalloc();
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		kmalloc_at(slab(0), want[i][0], M_WAITOK);
		usable(s, want[i][1] + 8);
		BROKEN("KM-3", "kmalloc/KM-3/kmalloc_usable_size/usable-size");
	}
	s = slab(0);
	c = begin_kmalloc(0, 8193, 0, M_WAITOK);
	pages(0, arena + SLAB, 3);
	returns(&c, arena + SLAB);
	usable(arena + SLAB, 3 * PAGE);
	CLEAN();
	usable(arena + SLAB, 8704);
	BROKEN("KM-3", "kmalloc/KM-3/kmalloc_usable_size/usable-size");
}

static void
aligned(uint64_t off, uint64_t size, uint32_t flags)
{
	(void)slab(0);
	kmalloc_at(arena + off, size, flags);
}

#define KM4 "kmalloc/KM-4/kmalloc/align"

static void
km4_alignment(void **state)
{
	(void)state;
	aligned(24, 24, M_WAITOK);
	CLEAN();
	kalloc();
	aligned(4, 24, M_WAITOK);
	BROKEN("KM-4", KM4);
	aligned(16, 32, M_WAITOK);
	BROKEN("KM-4", KM4);
	aligned(192, 192, M_WAITOK);
	CLEAN();
	kalloc();
	aligned(PAGE, 8192, M_WAITOK);
	CLEAN();
	kalloc();
	aligned(PAGE, 8192, M_WAITOK | M_POWEROF2);
	BROKEN("KM-4", KM4);
	aligned(512, 8192, M_WAITOK);
	BROKEN("KM-4", KM4);
	aligned(64, 24, M_WAITOK | M_CACHEALIGN);
	usable(arena + 64, 64);
	CLEAN();
	kalloc();
	aligned(96, 24, M_WAITOK | M_CACHEALIGN);
	BROKEN("KM-4", KM4);
	aligned(128, 65, M_WAITOK | M_POWEROF2);
	usable(arena + 128, 128);
	CLEAN();
	kalloc();
	aligned(192, 65, M_WAITOK | M_POWEROF2);
	BROKEN("KM-4", KM4);
	aligned(64, 5, M_WAITOK | M_POWEROF2 | M_CACHEALIGN);
	usable(arena + 64, 64);
	CLEAN();
	kalloc();
	aligned(0, 3 * PAGE, M_WAITOK | M_POWEROF2);
	usable(arena, 4 * PAGE);
	CLEAN();
	kalloc();
	aligned(PAGE, 3 * PAGE, M_WAITOK | M_POWEROF2);
	BROKEN("KM-4", KM4);
}

static void
km4_alignment_of_kin(void **state)
{
	struct call c = call(TRACE_OP_KMALLOC_CACHEALIGN, 0);

	(void)state;
	c.size = 65;
	c.type = 0;
	c.flags = M_WAITOK;
	invoke(&c);
	pages(0, arena, 16);
	returns(&c, arena + 128);
	usable(arena + 128, 128);
	CLEAN();
	c.code = TRACE_OP_KMALLOC_POWEROF2;
	c.size = 33;
	invoke(&c);
	returns(&c, arena + 1024 + 32);
	BROKEN("KM-4", "kmalloc/KM-4/kmalloc_powerof2/align");
}

static void
km5_statistics(void **state)
{
	uint64_t s = slab(0);
	struct call c;

	(void)state;
	stats(1, 0, 0, 0);
	stats(0, 1, 1, 8);
	kmalloc_at(s, 100, M_WAITOK);
	stats(0, 2, 2, 112);
	kmalloc_at(ZERO_PTR, 0, M_WAITOK);
	stats(0, 3, 2, 112);
	c = begin_kmalloc(0, 64, 0, M_RNOWAIT);
	pages_fail(0, 16, true, false);
	returns(&c, 0);
	stats(0, 4, 2, 112);
	krealloc_to(s, 97, s); /* in place: no call */
	stats(0, 4, 2, 112);
	memcpy(bytes(s + 128), bytes(s), 64);
	krealloc_to(s, 64, s + 128);
	stats(0, 5, 2, 72);
	krealloc_to(s + 128, 0, 0);
	stats(0, 5, 1, 8);
	c = begin_kmalloc(0, 64, 0, 0);
	panics(&c, W_BAD_FLAGS);
	stats(0, 5, 1, 8);
	CLEAN();
	stats(0, 6, 1, 8);
	BROKEN("KM-5", "kmalloc/KM-5/end of run/calls");
	(void)slab(0);
	stats(0, 1, 0, 8);
	BROKEN("KM-5", "kmalloc/KM-5/end of run/inuse");
	(void)slab(0);
	stats(0, 1, 1, 16);
	BROKEN("KM-5", "kmalloc/KM-5/end of run/memuse");
}

static void
km5_statistics_with_a_sleeper(void **state)
{
	struct call c;

	(void)state;
	(void)slab(0);
	c = begin_kmalloc(1, 64, 0, M_WAITOK);
	pages_fail(1, 16, true, true);
	model_sleep(m, 1);
	stats(0, 1, 1, 8);
	stats(0, 2, 1, 72);
	CLEAN();
	stats(0, 3, 1, 8);
	BROKEN("KM-5", "kmalloc/KM-5/end of run/calls");
	(void)c;
}

static void
km5_types_are_declared(void **state)
{
	uint64_t s = slab(0);
	struct call c = begin_kmalloc(0, 64, 7, M_WAITOK);

	(void)state;
	panics(&c, W_BAD_TYPE);
	c = begin_kmalloc(0, 64, TRACE_NOREG, 0);
	panics(&c, W_BAD_FLAGS);
	c = begin_kmalloc(0, 64, TRACE_NOREG, 0);
	panics(&c, W_BAD_TYPE);
	c = begin_kfree(0, s + SLAB - 8, TRACE_NOREG);
	panics(&c, W_BAD_TYPE);
	c = begin_type_op(TRACE_OP_KMALLOC_LIMIT, 0, 9);
	panics(&c, W_BAD_TYPE);
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 1);
	returns(&c, 0);
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 1);
	panics(&c, W_BAD_TYPE);
	type_make(1); /* another type under the same register */
	c = begin_kmalloc(0, 64, 1, M_WAITOK);
	returns(&c, s);
	CLEAN();
	c = begin_kmalloc(0, 64, 7, M_WAITOK);
	returns(&c, s + 64);
	BROKEN("KM-5", "kmalloc/KM-5/kmalloc/undetected");
	c = begin_kmalloc(0, 64, 7, M_WAITOK);
	panics(&c, W_BAD_FLAGS);
	BROKEN("KM-5", "kmalloc/KM-5/kmalloc/wrong-panic");
}

static void
km6_refusals_at_the_limit(void **state)
{
	struct call c;

	(void)state;
	use(2); /* 128 KiB of 102.4 KiB */
	c = begin_kmalloc(0, 64, 0, M_WAITOK | M_NULLOK);
	returns(&c, 0);
	c = begin_kmalloc(0, 64, 0, M_WAITOK);
	panics(&c, W_LIMIT);
	c = begin_kmalloc(0, 64, 0, M_RNOWAIT);
	panics(&c, W_LIMIT);
	stats(0, 5, 2, 2 * SLAB);
	CLEAN();
	kfree_at(arena);
	c = begin_kmalloc(0, 64, 0, M_WAITOK | M_NULLOK);
	returns(&c, 0);
	BROKEN("KM-6", "kmalloc/KM-6/kmalloc/null-below-limit");
	c = begin_kmalloc(0, 64, 0, M_WAITOK);
	panics(&c, W_LIMIT);
	BROKEN("KM-6", "kmalloc/KM-6/kmalloc/panic-limit");
	use(2);
	c = begin_kmalloc(0, 64, 0, M_WAITOK | M_NULLOK);
	panics(&c, W_LIMIT);
	BROKEN("KM-6", "kmalloc/KM-6/kmalloc/panic-limit");
	/* Beyond the limit, its batch and a request a CPU. */
	use(3);
	CLEAN();
	use(0);
	c = begin_kmalloc(0, SLAB, 0, M_WAITOK);
	pages(0, arena + 3 * SLAB, 16);
	returns(&c, arena + 3 * SLAB);
	CLEAN();
	c = begin_kmalloc(0, 64, 0, M_WAITOK);
	pages(0, arena + 4 * SLAB, 16);
	returns(&c, arena + 4 * SLAB);
	BROKEN("KM-6", "kmalloc/KM-6/kmalloc/over-limit");
}

static void
km6_refusals_and_calls_in_flight(void **state)
{
	struct call a, b, f;

	(void)state;
	/* b may be charged already: a's refusal is legal. */
	use(1);
	a = begin_kmalloc(0, 64, 0, M_RNOWAIT | M_NULLOK);
	b = begin_kmalloc(1, SLAB, 0, M_WAITOK);
	returns(&a, 0);
	CLEAN();
	/* The free may not be subtracted yet. */
	pages(1, arena + SLAB, 16);
	returns(&b, arena + SLAB);
	f = begin_kfree(1, arena, 0);
	a = begin_kmalloc(0, 64, 0, M_RNOWAIT | M_NULLOK);
	returns(&a, 0);
	returns(&f, 0);
	CLEAN();
	a = begin_kmalloc(0, 64, 0, M_RNOWAIT | M_NULLOK);
	returns(&a, 0);
	BROKEN("KM-6", "kmalloc/KM-6/kmalloc/null-below-limit");
	/* A success is legal if a free began meanwhile. */
	use(4);
	a = begin_kmalloc(0, 64, 0, M_WAITOK);
	f = begin_kfree(1, arena, 0);
	pages(0, arena + 5 * SLAB, 16);
	returns(&a, arena + 5 * SLAB);
	CLEAN();
}

static void
km6_the_limit(void **state)
{
	struct call c = begin_type_op(TRACE_OP_KMALLOC_LIMIT, 0, 0);

	(void)state;
	returns(&c, LIMIT);
	c = call(TRACE_OP_KMALLOC_RAISE_LIMIT, 0);
	c.type = 0;
	c.size = LIMIT + 1000;
	invoke(&c);
	returns(&c, 0);
	c.size = 10;
	invoke(&c);
	returns(&c, 0);
	c = begin_type_op(TRACE_OP_KMALLOC_LIMIT, 0, 0);
	returns(&c, LIMIT + 1000);
	c = begin_type_op(TRACE_OP_KMALLOC_SET_UNLIMITED, 0, 0);
	returns(&c, 0);
	c = begin_type_op(TRACE_OP_KMALLOC_LIMIT, 0, 0);
	returns(&c, BUDGET);
	CLEAN();
	c = begin_type_op(TRACE_OP_KMALLOC_LIMIT, 0, 0);
	returns(&c, LIMIT + 1000);
	BROKEN("KM-6", "kmalloc/KM-6/kmalloc_limit/limit");
	/* It is never lowered. */
	c = call(TRACE_OP_KMALLOC_RAISE_LIMIT, 0);
	c.type = 0;
	c.size = 10;
	invoke(&c);
	returns(&c, 0);
	c = begin_type_op(TRACE_OP_KMALLOC_LIMIT, 0, 0);
	returns(&c, 10);
	BROKEN("KM-6", "kmalloc/KM-6/kmalloc_limit/limit");
}

static void
km7_families(void **state)
{
	struct call c = begin_kmalloc(0, 64, 0, 0);

	(void)state;
	panics(&c, W_BAD_FLAGS);
	c = begin_kmalloc(0, 64, 0, M_WAITOK | M_RNOWAIT);
	panics(&c, W_BAD_FLAGS);
	c = begin_kmalloc(0, 64, 0, M_WAITOK | M_PASSIVE_ZERO);
	panics(&c, W_BAD_FLAGS);
	CLEAN();
	c = begin_kmalloc(0, 64, 0, M_ZERO);
	returns(&c, 0);
	BROKEN("KM-7", "kmalloc/KM-7/kmalloc/undetected");
	c = begin_kmalloc(0, 64, 0, M_ZERO);
	panics(&c, W_BAD_TYPE);
	BROKEN("KM-7", "kmalloc/KM-7/kmalloc/wrong-panic");
	c = begin_kmalloc(0, 64, 0, M_WAITOK);
	pages_fail(0, 16, true, false);
	returns(&c, 0);
	BROKEN("KM-7", "kmalloc/KM-7/kmalloc/null-waitok");
	c = begin_kmalloc(0, 64, 0, M_WAITOK | M_NULLOK);
	pages_fail(0, 16, true, false);
	returns(&c, 0);
	BROKEN("KM-7", "kmalloc/KM-7/kmalloc/null-waitok");
}

static void
km8_zero(void **state)
{
	uint64_t s = slab(0);
	unsigned at;

	(void)state;
	kmalloc_at(s, 100, M_WAITOK | M_ZERO);
	kfree_at(s);
	memset(bytes(s), 0, 104);
	kmalloc_at(s, 100, M_WAITOK | M_ZERO);
	CLEAN();
	for (at = 0; at < 104; at++) {
		kalloc();
		s = slab(0);
		bytes(s)[at] = 1;
		kmalloc_at(s, 100, M_WAITOK | M_ZERO);
		BROKEN("KM-8", "kmalloc/KM-8/kmalloc/nonzero");
	}
	(void)slab(0);
	bytes(s)[104] = 1; /* not its own */
	kmalloc_at(s, 100, M_WAITOK | M_ZERO);
	CLEAN();
}

static void
km9_size_zero(void **state)
{
	struct call c;

	(void)state;
	kmalloc_at(ZERO_PTR, 0, M_WAITOK | M_POWEROF2 | M_CACHEALIGN);
	usable(ZERO_PTR, 0);
	usable(0, 0);
	kfree_at(ZERO_PTR);
	krealloc_to(0, 0, ZERO_PTR);
	krealloc_to(ZERO_PTR, 0, ZERO_PTR);
	use(2); /* limits do not apply */
	kmalloc_at(ZERO_PTR, 0, M_WAITOK);
	stats(0, 6, 2, 2 * SLAB);
	CLEAN();
	kalloc();
	kmalloc_at(slab(0), 0, M_WAITOK);
	BROKEN("KM-9", "kmalloc/KM-9/kmalloc/zero-size");
	kmalloc_at(0, 0, M_WAITOK);
	BROKEN("KM-9", "kmalloc/KM-9/kmalloc/null");
	kmalloc_at(ZERO_PTR, 8, M_WAITOK);
	BROKEN("KM-9", "kmalloc/KM-9/kmalloc/not-zero-size");
	usable(ZERO_PTR, 8);
	BROKEN("KM-9", "kmalloc/KM-9/kmalloc_usable_size/usable-size");
	c = begin_kfree(0, ZERO_PTR, 0);
	panics(&c, W_FOREIGN);
	BROKEN("G-3", "kmalloc/G-3/kfree/foreign");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(km1_hits_share_nothing),
		T(km1_not_judged),
		T(km1_grants_end),
		T(km3_size_classes),
		T(km4_alignment),
		T(km4_alignment_of_kin),
		T(km5_statistics),
		T(km5_statistics_with_a_sleeper),
		T(km5_types_are_declared),
		T(km6_refusals_at_the_limit),
		T(km6_refusals_and_calls_in_flight),
		T(km6_the_limit),
		T(km7_families),
		T(km8_zero),
		T(km9_size_zero),
		T(every_clause_was_broken),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
