/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: clauses of all allocators (G) and of pages (VM), the process's
 * malloc, samples of contents, tables. Synthetic events, see model_test.h.
 */
#include "model_test.h"

/* Clauses that the tests of this file must break. */
static bool
is_mine(const char *clause)
{
	return (
	    strncmp(clause, "G-", 2) == 0 || strncmp(clause, "VM-", 3) == 0);
}

/* --- G --- */

static void
g2_objects_lie_apart_in_held_pages(void **state)
{
	uint64_t s = slab(0);

	(void)state;
	kmalloc_at(s, 64, M_WAITOK);
	kmalloc_at(s + 64, 64, M_WAITOK);
	kfree_at(s);
	kmalloc_at(s, 64, M_WAITOK);
	CLEAN();
	kmalloc_at(s + 32, 32, M_WAITOK);
	BROKEN("G-2", "kmalloc/G-2/kmalloc/overlap");

	s = slab(0);
	kmalloc_at(s, 8192, M_WAITOK);
	CLEAN();
	kmalloc_at(s + PAGE + 128, 128, M_WAITOK);
	BROKEN("G-2", "kmalloc/G-2/kmalloc/overlap");

	s = slab(0);
	kmalloc_at(s + SLAB, 64, M_WAITOK);
	BROKEN("G-2", "kmalloc/G-2/kmalloc/not-held");

	s = slab(0);
	model_vm_free(m, 0, s + SLAB / 2, SLAB / 2 / PAGE);
	BROKEN("G-2", "kmalloc/G-2/end of run/live");
}

static void
g2_pages_of_live_objects_stay(void **state)
{
	struct call c = begin_kmalloc(0, 3 * PAGE, 0, M_WAITOK);

	(void)state;
	pages(0, arena, 3);
	returns(&c, arena);
	c = begin_kfree(0, arena, 0);
	model_vm_free(m, 0, arena, 3);
	returns(&c, 0);
	CLEAN();
	c = begin_kmalloc(0, 3 * PAGE, 0, M_WAITOK);
	pages(0, arena, 3);
	returns(&c, arena);
	c = begin_kmalloc(1, 64, 0, M_WAITOK);
	model_vm_free(m, 1, arena + PAGE, 1);
	BROKEN("G-2", "kmalloc/G-2/kmalloc/live");
}

static void
g2_contents_stay(void **state)
{
	uint64_t s = slab(0);

	(void)state;
	kmalloc_at(s, 100, M_WAITOK);
	CLEAN();
	bytes(s)[103] ^= 1;
	kfree_at(s);
	BROKEN("G-2", "kmalloc/G-2/kfree/contents");
	s = slab(0);
	kmalloc_at(s, 100, M_WAITOK);
	model_end(m);
	CLEAN();
	bytes(s)[50] ^= 1;
	model_end(m);
	BROKEN("G-2", "kmalloc/G-2/end of run/contents");
}

static void
g3_legal_calls_do_not_panic(void **state)
{
	uint64_t s = slab(0);
	struct call c;

	(void)state;
	kmalloc_at(s, 64, M_WAITOK);
	c = begin_kfree(0, s, 0);
	panics(&c, W_ASSERT);
	BROKEN("G-3", "kmalloc/G-3/kfree/assert");
	c = begin_kmalloc(0, 64, 0, M_WAITOK);
	panics(&c, W_POISON);
	BROKEN("G-3", "kmalloc/G-3/kmalloc/poison");
}

static void
g3_page_misuse(void **state)
{
	static const struct {
		uint64_t n, align;
		uint32_t flags;
	} bad[] = {
		{ 0, 0, VM_ALLOC_NORMAL },
		{ 1, 3 * PAGE, VM_ALLOC_NORMAL },
		{ 1, 2 * KA_SLAB_SIZE, VM_ALLOC_NORMAL },
		{ 1, 0, 0 },
		{ 1, 0, VM_ALLOC_ZERO },
		{ 1, 0, VM_ALLOC_NORMAL | VM_ALLOC_SYSTEM },
		{ 1, 0, VM_ALLOC_NORMAL | 0x10 },
	};
	struct call c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = begin_page_alloc(0, bad[i].n, bad[i].align, bad[i].flags);
		panics(&c, W_BAD_ARG);
	}
	page_alloc_at(arena, 1, 16, VM_ALLOC_NORMAL);
	page_free_at(arena, 1);
	c = begin_page_free(0, arena, 1);
	panics(&c, W_FOREIGN);
	c = begin_page_free(0, 0, 0);
	panics(&c, W_FOREIGN);
	CLEAN();
	c = begin_page_alloc(0, 0, 0, VM_ALLOC_NORMAL);
	returns(&c, 0);
	BROKEN("G-3", "vm_page/G-3/vm_page_alloc/undetected");
	c = begin_page_alloc(0, 1, 0, VM_ALLOC_NORMAL);
	panics(&c, W_BAD_ARG);
	BROKEN("G-3", "vm_page/G-3/vm_page_alloc/bad-argument");
	c = begin_page_free(0, arena, 1);
	returns(&c, 0);
	BROKEN("G-3", "vm_page/G-3/vm_page_free/undetected");
	page_alloc_at(arena, 2, 0, VM_ALLOC_NORMAL);
	c = begin_page_free(0, arena, 2);
	panics(&c, W_FOREIGN);
	BROKEN("G-3", "vm_page/G-3/vm_page_free/foreign");
}

static void
g4_only_waitok_sleeps(void **state)
{
	struct call c = begin_kmalloc(0, 64, 0, M_WAITOK);

	(void)state;
	pages_fail(0, 1, true, true);
	model_sleep(m, 0);
	model_idle(m);
	model_wake(m, 0);
	pages(0, arena, 16);
	returns(&c, arena);
	CLEAN();
	c = begin_kmalloc(0, 64, 0, M_NOWAIT);
	model_sleep(m, 0);
	BROKEN("G-4", "kmalloc/G-4/kmalloc/sleeps");
	c = begin_kfree(0, slab(1) + SLAB - 8, 0);
	model_sleep(m, 0);
	BROKEN("G-4", "kmalloc/G-4/kfree/sleeps");
	c = begin_kmalloc(0, 64, 0, M_NOWAIT);
	panics(&c, W_SLEEP);
	BROKEN("G-4", "kmalloc/G-4/kmalloc/sleep");
}

static void
g5_sleepers_wait_for_what_is_not_there(void **state)
{
	struct call c;

	(void)state;
	leave_free(10);
	c = begin_kmalloc(1, 64, 0, M_WAITOK);
	pages_fail(1, 16, false, false);
	model_sleep(m, 1);
	model_idle(m);
	model_end(m);
	CLEAN();
	page_free_at(arena + 10 * PAGE, PAGES - 10);
	model_idle(m);
	BROKEN("G-5", "kmalloc/G-5/kmalloc/lost-wakeup");

	/* A failure that will not last is no reason to sleep on. */
	c = begin_kmalloc(1, 64, 0, M_WAITOK);
	pages_fail(1, 16, true, false);
	model_sleep(m, 1);
	model_end(m);
	BROKEN("G-5", "kmalloc/G-5/kmalloc/lost-wakeup");

	c = begin_kmalloc(1, 64, 0, M_WAITOK);
	model_sleep(m, 1);
	model_idle(m);
	BROKEN("G-5", "kmalloc/G-5/kmalloc/no-cause");

	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 1, 1);
	model_sleep(m, 1);
	(void)begin_kmalloc(0, 64, 0, M_WAITOK);
	model_idle(m); /* somebody runs: no verdict */
	CLEAN();
	kalloc();
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 1, 1);
	model_sleep(m, 1);
	model_idle(m);
	BROKEN("G-5", "kmalloc/G-5/kmalloc_destroy/no-cause");
	(void)c;
}

static void
g6_failure_keeps_pages(void **state)
{
	struct call c = begin_page_alloc(0, 4, 0, VM_ALLOC_NORMAL);

	(void)state;
	pages_fail(0, 4, true, false);
	returns(&c, 0);
	CLEAN();
	c = begin_page_alloc(0, 4, 0, VM_ALLOC_NORMAL);
	pages(0, arena, 4);
	returns(&c, 0);
	BROKEN("G-6", "vm_page/G-6/vm_page_alloc/pages-lost");
}

static void
g7_free_pages_are_counted(void **state)
{
	(void)state;
	model_check_pages(m, PAGES);
	page_alloc_at(arena, 5, 0, VM_ALLOC_NORMAL);
	model_check_pages(m, PAGES - 5);
	CLEAN();
	model_check_pages(m, PAGES - 4);
	BROKEN("G-7", "kmalloc/G-7/end of run/free-pages");
}

static void
g8_all_pages_come_back(void **state)
{
	uint64_t s = slab(0);

	(void)state;
	kfree_at(s + SLAB - 8);
	model_vm_free(m, 0, s, SLAB / PAGE);
	page_alloc_at(s, 2, 0, VM_ALLOC_NORMAL); /* the trace's own */
	model_check_empty(m);
	CLEAN();
	s = slab(1);
	kfree_at(s + SLAB - 8);
	model_check_empty(m);
	BROKEN("G-8", "kmalloc/G-8/end of run/pages-held");
}

/* --- VM --- */

static void
vm1_runs_are_of_the_budget(void **state)
{
	(void)state;
	page_alloc_at(arena + SLAB, 3, SLAB, VM_ALLOC_NORMAL);
	page_alloc_at(arena + (PAGES - 1) * PAGE, 1, 0, VM_ALLOC_NORMAL);
	page_free_at(arena + SLAB, 3);
	CLEAN();
	page_alloc_at(arena + PAGE, 1, 2 * PAGE, VM_ALLOC_NORMAL);
	BROKEN("VM-1", "vm_page/VM-1/vm_page_alloc/align");
	page_alloc_at(arena + (PAGES - 1) * PAGE, 2, 0, VM_ALLOC_NORMAL);
	BROKEN("VM-1", "vm_page/VM-1/vm_page_alloc/outside");
	page_alloc_at(arena - PAGE, 1, 0, VM_ALLOC_NORMAL);
	BROKEN("VM-1", "vm_page/VM-1/vm_page_alloc/outside");
	page_alloc_at(arena, 4, 0, VM_ALLOC_NORMAL);
	page_alloc_at(arena + 3 * PAGE, 4, 0, VM_ALLOC_NORMAL);
	BROKEN("VM-1", "vm_page/VM-1/vm_page_alloc/held-already");
	model_vm_free(m, 0, arena, 1);
	BROKEN("VM-1", "vm_page/VM-1/end of run/not-held");
	page_alloc_at(arena, 4, 0, VM_ALLOC_NORMAL);
	model_vm_free(m, 0, arena + 3 * PAGE, 2);
	BROKEN("VM-1", "vm_page/VM-1/end of run/not-held");
	/* Pages of the trace are not for kmalloc to give back. */
	page_alloc_at(arena, 4, 0, VM_ALLOC_NORMAL);
	(void)begin_kmalloc(1, 8, 0, M_WAITOK);
	model_vm_free(m, 1, arena, 4);
	BROKEN("G-2", "kmalloc/G-2/kmalloc/not-own");
}

static void
vm1_the_budget_without_an_arena(void **state)
{
	const struct model_config config = {
		.cpus = 1,
		.threads = 1,
		.pages = 8,
	};

	(void)state;
	model_reset(m, &config);
	page_alloc_at(arena, 8, 0, VM_ALLOC_NORMAL);
	CLEAN();
	page_alloc_at(arena + SLAB, 1, 0, VM_ALLOC_NORMAL);
	BROKEN("VM-1", "vm_page/VM-1/vm_page_alloc/budget");
}

static void
vm2_pages_never_sleep(void **state)
{
	struct call c = begin_page_alloc(0, 1, 0, VM_ALLOC_NORMAL);

	(void)state;
	pages_fail(0, 1, true, true);
	returns(&c, 0);
	CLEAN();
	c = begin_page_alloc(0, 1, 0, VM_ALLOC_NORMAL);
	model_sleep(m, 0);
	BROKEN("VM-2", "vm_page/VM-2/vm_page_alloc/sleeps");
}

static void
vm3_depths(void **state)
{
	struct call c;

	(void)state;
	leave_free(9);
	page_alloc_at(arena, 1, 0, VM_ALLOC_NORMAL);
	c = begin_page_alloc(0, 1, 0, VM_ALLOC_NORMAL);
	pages_fail(0, 1, false, false);
	returns(&c, 0);
	page_alloc_at(arena + PAGE, 6, 0, VM_ALLOC_SYSTEM);
	page_alloc_at(arena + 7 * PAGE, 2, 0, VM_ALLOC_INTERRUPT);
	CLEAN();

	kalloc();
	leave_free(8);
	page_alloc_at(arena, 1, 0, VM_ALLOC_NORMAL);
	BROKEN("VM-3", "vm_page/VM-3/vm_page_alloc/too-deep");
	leave_free(9);
	c = begin_page_alloc(0, 1, 0, VM_ALLOC_NORMAL);
	pages_fail(0, 1, false, false);
	returns(&c, 0);
	BROKEN("VM-3", "vm_page/VM-3/vm_page_alloc/refused");

	/* Enough pages, but not in one run: 128 pages, every other one. */
	for (uint64_t i = 0; i < PAGES; i += 2)
		page_alloc_at(arena + i * PAGE, 1, 0, VM_ALLOC_INTERRUPT);
	c = begin_page_alloc(0, 2, 0, VM_ALLOC_NORMAL);
	pages_fail(0, 2, false, false);
	returns(&c, 0);
	CLEAN();
	page_free_at(arena + (PAGES - 2) * PAGE, 1);
	c = begin_page_alloc(0, 3, 0, VM_ALLOC_NORMAL);
	pages_fail(0, 3, false, false);
	BROKEN("VM-3", "vm_page/VM-3/vm_page_alloc/refused");

	c = begin_kmalloc(0, 3 * PAGE, 0, M_SYSWAIT);
	model_vm_alloc(m, 0, arena, 3, 0, VM_ALLOC_SYSTEM, false, false);
	returns(&c, arena);
	CLEAN();
	c = begin_kmalloc(0, 3 * PAGE, 0, M_WAITOK);
	model_vm_alloc(
	    m, 0, arena + 3 * PAGE, 3, 0, VM_ALLOC_SYSTEM, false, false);
	BROKEN("VM-3", "vm_page/VM-3/kmalloc/flags");
}

static void
vm4_zero_is_honoured(void **state)
{
	(void)state;
	page_alloc_at(arena, 2, 0, VM_ALLOC_NORMAL | VM_ALLOC_ZERO);
	page_free_at(arena, 2);
	page_alloc_at(arena, 2, 0, VM_ALLOC_NORMAL);
	CLEAN();
	page_free_at(arena, 2);
	page_alloc_at(arena, 2, 0, VM_ALLOC_NORMAL | VM_ALLOC_ZERO);
	BROKEN("VM-4", "vm_page/VM-4/vm_page_alloc/nonzero");
	page_alloc_at(arena, 2, 0, VM_ALLOC_NORMAL);
	bytes(arena)[5000] ^= 1;
	page_free_at(arena, 2);
	BROKEN("G-2", "vm_page/G-2/vm_page_free/contents");
}

static void
vm6_refusals_have_a_cause(void **state)
{
	struct call c = begin_page_alloc(0, PAGES + 1, 0, VM_ALLOC_NORMAL);

	(void)state;
	returns(&c, 0);
	c = begin_kmalloc(0, 64, 0, M_RNOWAIT);
	pages_fail(0, 16, true, false);
	returns(&c, 0);
	CLEAN();
	c = begin_page_alloc(0, 1, 0, VM_ALLOC_NORMAL);
	returns(&c, 0);
	BROKEN("VM-6", "vm_page/VM-6/vm_page_alloc/no-cause");
	c = begin_page_alloc(0, 1, 0, VM_ALLOC_NORMAL);
	returns(&c, arena);
	BROKEN("VM-6", "vm_page/VM-6/vm_page_alloc/not-observed");
	page_alloc_at(arena, 1, 0, VM_ALLOC_NORMAL);
	c = begin_page_free(0, arena, 1);
	returns(&c, 0);
	BROKEN("VM-6", "vm_page/VM-6/vm_page_free/not-observed");
	c = begin_kmalloc(0, 64, 0, M_RNOWAIT);
	returns(&c, 0);
	BROKEN("VM-6", "vm_page/VM-6/kmalloc/no-cause");
	/* Another thread's failure is no cause. */
	c = begin_kmalloc(0, 64, 0, M_RNOWAIT);
	(void)begin_kmalloc(1, 64, 0, M_RNOWAIT);
	pages_fail(1, 16, true, false);
	returns(&c, 0);
	BROKEN("VM-6", "vm_page/VM-6/kmalloc/no-cause");
}

static void
vm7_no_slab_is_hoarded_while_one_sleeps(void **state)
{
	struct call c;
	uint64_t s;

	(void)state;
	s = slab(0);
	page_alloc_at(arena + SLAB, PAGES - 16 - 10, 0, VM_ALLOC_INTERRUPT);
	c = begin_kmalloc(1, 3 * PAGE, 0, M_WAITOK);
	pages_fail(1, 16, false, false);
	model_sleep(m, 1);
	model_idle(m);
	CLEAN();
	kfree_at(s + SLAB - 8);
	model_idle(m);
	BROKEN("VM-7", "vm_page/VM-7/kmalloc/hoarded");

	/* A slab whose only object is being resized by a sleeper is not. */
	s = slab(0);
	page_alloc_at(arena + SLAB, PAGES - 16 - 10, 0, VM_ALLOC_INTERRUPT);
	c = begin_krealloc(1, s + SLAB - 8, 16, M_WAITOK);
	pages_fail(1, 16, false, false);
	model_sleep(m, 1);
	model_idle(m);
	CLEAN();
	(void)c;
}

/* --- the process's malloc, samples, the machinery --- */

static void
malloc_kind(void **state)
{
	struct call c;

	(void)state;
	fresh(MODEL_MALLOC, MODEL_CONTENTS_FULL);
	kmalloc_at(arena + 8, 1, M_WAITOK);
	kmalloc_at(arena + 16, 24, M_WAITOK);
	kmalloc_at(arena + 48, 0, 0);
	kmalloc_at(0, 0, 0);
	kmalloc_at(0, 100, M_WAITOK);
	usable(arena + 16, 40);
	kfree_at(arena + 8);
	kfree_at(0);
	krealloc_to(arena + 16, 30, arena + 16);
	memcpy(bytes(arena + 64), bytes(arena + 16), 30);
	krealloc_to(arena + 16, 3 * SLAB, arena + 64);
	krealloc_to(arena + 64, 0, 0);
	model_end(m);
	CLEAN();
	kmalloc_at(arena + 8, 16, M_WAITOK);
	BROKEN("KM-4", "malloc/KM-4/kmalloc/align");
	fresh(MODEL_MALLOC, MODEL_CONTENTS_FULL);
	kmalloc_at(arena + 48, 0, 0);
	kmalloc_at(arena + 48, 0, 0);
	BROKEN("G-2", "malloc/G-2/kmalloc/overlap");
	fresh(MODEL_MALLOC, MODEL_CONTENTS_FULL);
	bytes(arena)[21] = 1;
	c = begin_kmalloc(0, 21, 0, M_ZERO);
	returns(&c, arena);
	CLEAN();
	kfree_at(arena);
	memset(bytes(arena), 0, 22);
	bytes(arena)[20] = 1;
	c = begin_kmalloc(0, 21, 0, M_ZERO);
	returns(&c, arena);
	BROKEN("KM-8", "malloc/KM-8/kmalloc/nonzero");
	fresh(MODEL_MALLOC, MODEL_CONTENTS_FULL);
	kmalloc_at(arena, 21, 0);
	usable(arena, 20);
	BROKEN("KM-3", "malloc/KM-3/kmalloc_usable_size/usable-size");
	fresh(MODEL_MALLOC, MODEL_CONTENTS_FULL);
	kmalloc_at(arena, 21, 0);
	memcpy(bytes(arena + 64), bytes(arena), 20);
	krealloc_to(arena, 40, arena + 64);
	BROKEN("KM-11", "malloc/KM-11/krealloc/prefix");
}

static void
sampled_contents(void **state)
{
	static const unsigned ends[] = { 0, 15, 1000 - 16, 999 };
	uint64_t s;
	unsigned i, seen = 0;

	(void)state;
	for (i = 0; i < 4; i++) {
		fresh(MODEL_KALLOC, MODEL_CONTENTS_SAMPLED);
		s = slab(0);
		kmalloc_at(s, 1000, M_WAITOK);
		memcpy(bytes(s + 2048), bytes(s), 1024);
		krealloc_to(s, 2000, s + 2048);
		memcpy(bytes(s), bytes(s + 2048), 2048);
		krealloc_to(s + 2048, 1000, s);
		CLEAN();
		bytes(s)[ends[i] < 500 ? ends[i] : ends[i] + 24] ^= 1;
		kfree_at(s);
		BROKEN("G-2", "kmalloc/G-2/kfree/contents");
	}
	/* One line between the ends is seen, too. */
	for (i = 16; i < 1008; i += 8) {
		fresh(MODEL_KALLOC, MODEL_CONTENTS_SAMPLED);
		s = slab(0);
		kmalloc_at(s, 1000, M_WAITOK);
		bytes(s)[i] ^= 1;
		kfree_at(s);
		if (model_finding(m) != NULL)
			seen++;
	}
	assert_int_equal(seen, 8);
	fresh(MODEL_KALLOC, MODEL_CONTENTS_NONE);
	s = slab(0);
	kmalloc_at(s, 1000, M_WAITOK);
	bytes(s)[0] ^= 1;
	kfree_at(s);
	CLEAN();
}

/* Words are compared one by one, or by many: each byte is seen, and what one
 * has written the other reads. */
static void
full_contents(void **state)
{
	static const unsigned sizes[] = { 64, 128, 248, 256, 264, 1000, 8192 };
	unsigned i, k;
	uint64_t s;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (k = 0; k < sizes[i]; k++) {
			fresh(MODEL_KALLOC, MODEL_CONTENTS_FULL);
			s = slab(0);
			kmalloc_at(s, sizes[i], M_WAITOK);
			bytes(s)[k] ^= 1;
			kfree_at(s);
			assert_non_null(model_finding(m));
		}
		fresh(MODEL_KALLOC, MODEL_CONTENTS_FULL);
		s = slab(0);
		kmalloc_at(s, sizes[i], M_WAITOK);
		memcpy(bytes(s + 16384), bytes(s), 56);
		krealloc_to(s, 56, s + 16384);
		memcpy(bytes(s), bytes(s + 16384), 56);
		krealloc_to(s + 16384, 1000, s);
		kfree_at(s);
		CLEAN();
	}
}

static bool
collect(void *arg, const struct model_object *o)
{
	uint64_t *sum = arg;

	assert_true(o->addr > sum[0]);
	sum[0] = o->addr;
	sum[1]++;
	sum[2] += o->bytes;
	return (sum[1] < 5);
}

static void
live_objects_come_in_order(void **state)
{
	uint64_t s = slab(0), sum[3] = { 0, 0, 0 };
	struct model_counts counts;

	(void)state;
	kmalloc_at(s + 256, 64, M_WAITOK);
	kmalloc_at(s, 64, M_WAITOK);
	kmalloc_at(s + 128, 64, M_WAITOK);
	model_each_live(m, collect, sum);
	assert_int_equal(sum[1], 4);
	assert_int_equal(sum[2], 3 * 64 + 8);
	page_alloc_at(s + SLAB, 2, 0, VM_ALLOC_NORMAL);
	kmalloc_at(s + 512, 64, M_WAITOK);
	memset(sum, 0, sizeof(sum));
	model_each_live(m, collect, sum);
	assert_int_equal(sum[1], 5); /* stopped */
	model_counts(m, &counts);
	assert_int_equal(counts.live, 5);
	assert_int_equal(counts.live_bytes, 4 * 64 + 8);
	assert_int_equal(counts.page_allocs, 2);
	CLEAN();
}

static void
reports_and_the_first_finding_stay(void **state)
{
	(void)state;
	model_report(m, "KM-12", "quiesce", "a sound list", "a hole");
	model_report(m, "KM-1", "quiesce", "other", "other");
	kmalloc_at(arena, 64, M_WAITOK); /* broken, too */
	assert_string_equal(model_finding(m)->found, "a hole");
	assert_string_equal(model_finding(m)->operation, "quiesce");
	BROKEN("KM-12", "kmalloc/KM-12/quiesce/reported");
	CLEAN();
}

/* Collisions and holes: what is live is found, whatever went before it. */
static void
addresses_are_found_again(void **state)
{
	static uint64_t at[8192];
	uint64_t rng = 1, i, k, swap, s = 0;
	struct model_counts counts;
	struct call c;

	(void)state;
	c = begin_type_op(TRACE_OP_KMALLOC_SET_UNLIMITED, 0, 0);
	returns(&c, 0);
	for (i = 0; i < 8192; i++) {
		if (i % 1023 == 0)
			s = slab((unsigned)(i / 1023));
		at[i] = kmalloc_at(s + i % 1023 * 64, 64, M_WAITOK);
	}
	for (i = 8192; i > 0; i--) {
		rng = rng * UINT64_C(6364136223846793005) + 1;
		k = (rng >> 33) % i;
		swap = at[k];
		at[k] = at[i - 1];
		kfree_at(swap);
		if (i % 3 == 0) {
			kmalloc_at(swap, 64, M_WAITOK);
			kfree_at(swap);
		}
	}
	CLEAN();
	model_counts(m, &counts);
	assert_int_equal(counts.live, s / SLAB - arena / SLAB + 1);
}

/* Many objects, types and regions: tables grow; the next run is clean. */
static void
tables_grow(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 2; i < 900; i++)
		type_make(i);
	for (i = 0; i < 15; i++)
		(void)slab(i);
	CLEAN();
	fresh(MODEL_MALLOC, MODEL_CONTENTS_FULL);
	for (i = 0; i < BUDGET / 16; i++)
		kmalloc_at(arena + i * 16, 16, 0);
	for (i = 0; i < BUDGET / 16; i += 2)
		kfree_at(arena + i * 16);
	for (i = 1; i < BUDGET / 16; i += 2)
		kfree_at(arena + i * 16);
	CLEAN();
	kmalloc_at(arena + 64, 16, 0);
	model_end(m);
	CLEAN();
	kalloc();
	kmalloc_at(slab(0) + 64, 64, M_WAITOK);
	kfree_at(arena + 64);
	CLEAN();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(g2_objects_lie_apart_in_held_pages),
		T(g2_pages_of_live_objects_stay),
		T(g2_contents_stay),
		T(g3_legal_calls_do_not_panic),
		T(g3_page_misuse),
		T(g4_only_waitok_sleeps),
		T(g5_sleepers_wait_for_what_is_not_there),
		T(g6_failure_keeps_pages),
		T(g7_free_pages_are_counted),
		T(g8_all_pages_come_back),
		T(vm1_runs_are_of_the_budget),
		T(vm1_the_budget_without_an_arena),
		T(vm2_pages_never_sleep),
		T(vm3_depths),
		T(vm4_zero_is_honoured),
		T(vm6_refusals_have_a_cause),
		T(vm7_no_slab_is_hoarded_while_one_sleeps),
		T(malloc_kind),
		T(sampled_contents),
		T(full_contents),
		T(live_objects_come_in_order),
		T(reports_and_the_first_finding_stay),
		T(addresses_are_found_again),
		T(tables_grow),
		T(every_clause_was_broken),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
