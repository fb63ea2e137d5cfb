/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: krealloc, misuse, trimming, ends of types (KM-10 and on), and
 * traces that race with themselves. Synthetic events, see model_test.h.
 */
#include "model_test.h"

/* Clauses that the tests of this file must break. */
static bool
is_mine(const char *clause)
{
	return (strncmp(clause, "KM-", 3) == 0 && atoi(clause + 3) >= 10);
}

static void
km10_null_and_wrong_type(void **state)
{
	uint64_t s = slab(0);
	struct call c = begin_kfree(0, 0, 0);

	(void)state;
	panics(&c, W_NULL_FREE);
	c = begin_kfree(0, 0, 5);
	panics(&c, W_BAD_TYPE);
	kmalloc_at(s, 64, M_WAITOK);
	c = begin_kfree(0, s, 1);
	panics(&c, W_WRONG_TYPE);
	kfree_at(s);
	CLEAN();
	c = begin_kfree(0, 0, 0);
	returns(&c, 0);
	BROKEN("KM-10", "kmalloc/KM-10/kfree/undetected");
	kmalloc_at(slab(0), 64, M_WAITOK);
	c = begin_kfree(0, s, 1);
	returns(&c, 0);
	BROKEN("KM-10", "kmalloc/KM-10/kfree/undetected");
	kmalloc_at(slab(0), 64, M_WAITOK);
	c = begin_kfree(0, s, 1);
	panics(&c, W_DOUBLE_FREE);
	BROKEN("KM-10", "kmalloc/KM-10/kfree/wrong-panic");
	/* Still so if others are active, as long as the object stays. */
	kmalloc_at(slab(0), 64, M_WAITOK);
	c = begin_kfree(0, s, 1);
	(void)begin_kmalloc(1, 64, 1, M_WAITOK);
	returns(&c, 0);
	BROKEN("KM-10", "kmalloc/KM-10/kfree/undetected");
}

static void
km11_prefix(void **state)
{
	uint64_t s = slab(0);

	(void)state;
	kmalloc_at(s, 100, M_WAITOK);
	memcpy(bytes(s + 208), bytes(s), 104);
	krealloc_to(s, 200, s + 208);
	memcpy(bytes(s), bytes(s + 208), 48);
	krealloc_to(s + 208, 48, s);
	kfree_at(s);
	krealloc_to(0, 64, s + 64);
	krealloc_to(ZERO_PTR, 64, s + 128);
	CLEAN();
	kmalloc_at(slab(1), 100, M_WAITOK);
	s = arena + SLAB;
	memcpy(bytes(s + 208), bytes(s), 103);
	krealloc_to(s, 200, s + 208);
	BROKEN("KM-11", "kmalloc/KM-11/krealloc/prefix");
	kmalloc_at(slab(0), 200, M_WAITOK);
	s = arena;
	memcpy(bytes(s + 256), bytes(s), 47);
	krealloc_to(s, 48, s + 256);
	BROKEN("KM-11", "kmalloc/KM-11/krealloc/prefix");
}

static void
km11_staying(void **state)
{
	uint64_t s = slab(0);
	struct call c;

	(void)state;
	kmalloc_at(s, 100, M_WAITOK);
	krealloc_to(s, 98, s);
	usable(s, 104);
	CLEAN();
	krealloc_to(s, 90, s);
	BROKEN("KM-11", "kmalloc/KM-11/krealloc/stayed");
	kmalloc_at(slab(0) + 64, 64, M_WAITOK);
	kmalloc_at(s + 128 + 16, 48, M_WAITOK);
	c = begin_krealloc(0, s + 64, 40, M_WAITOK | M_CACHEALIGN);
	returns(&c, s + 64);
	CLEAN();
	kalloc();
	kmalloc_at(slab(0) + 208, 16, M_WAITOK);
	c = begin_krealloc(0, s + 208, 16, M_WAITOK | M_CACHEALIGN);
	returns(&c, s + 208);
	BROKEN("KM-11", "kmalloc/KM-11/krealloc/align");
	kmalloc_at(slab(0) + 192, 192, M_WAITOK);
	kmalloc_at(s + 3 * 320, 320, M_WAITOK);
	c = begin_krealloc(0, s + 3 * 320, 320, M_WAITOK | M_CACHEALIGN);
	returns(&c, s + 3 * 320);
	CLEAN();
	kalloc();
	kmalloc_at(slab(0) + 3 * PAGE, 8192, M_WAITOK);
	c = begin_krealloc(0, s + 3 * PAGE, 8000, M_WAITOK | M_POWEROF2);
	returns(&c, s + 3 * PAGE);
	BROKEN("KM-11", "kmalloc/KM-11/krealloc/align");
}

static void
km11_failing(void **state)
{
	uint64_t s = slab(0);
	struct call c;

	(void)state;
	kmalloc_at(s, 100, M_WAITOK);
	c = begin_krealloc(0, s, 3 * PAGE, M_RNOWAIT);
	pages_fail(0, 3, true, false);
	returns(&c, 0);
	stats(0, 3, 2, 112);
	kfree_at(s);
	kmalloc_at(s, 100, M_WAITOK);
	c = begin_krealloc(0, s, BUDGET + 1, M_WAITOK);
	panics(&c, W_OVERFLOW);
	kfree_at(s);
	CLEAN();
	kmalloc_at(s, 100, M_WAITOK);
	c = begin_krealloc(0, s, 3 * PAGE, M_RNOWAIT);
	pages_fail(0, 3, true, false);
	bytes(s)[7] ^= 1;
	returns(&c, 0);
	BROKEN("KM-11", "kmalloc/KM-11/krealloc/prefix");
	kmalloc_at(slab(0), 100, M_WAITOK);
	c = begin_krealloc(0, s, 100, M_WAITOK | M_ZERO);
	panics(&c, W_BAD_FLAGS);
	CLEAN();
	c = begin_krealloc(0, s, 100, M_WAITOK | M_ZERO);
	returns(&c, s);
	BROKEN("KM-11", "kmalloc/KM-11/krealloc/undetected");
	kmalloc_at(slab(0), 100, M_WAITOK);
	krealloc_to(s, 0, s);
	BROKEN("KM-11", "kmalloc/KM-11/krealloc/size-zero");
	kmalloc_at(slab(0), 100, M_WAITOK);
	krealloc_to(s, 64, s + 64);
	BROKEN("G-2", "kmalloc/G-2/krealloc/overlap");
}

static void
km11_strings(void **state)
{
	uint64_t s = slab(0);
	struct call c = call(TRACE_OP_KSTRNDUP, 0);

	(void)state;
	c.type = 0;
	c.str = "a string";
	c.num = 3;
	invoke(&c);
	memcpy(bytes(s), "a s", 4);
	returns(&c, s);
	usable(s, 8);
	c = call(TRACE_OP_KSTRDUP, 0);
	c.type = 0;
	c.str = "a string";
	invoke(&c);
	memcpy(bytes(s + 16), "a string", 9);
	returns(&c, s + 16);
	kfree_at(s + 16);
	CLEAN();
	invoke(&c);
	memcpy(bytes(s + 16), "a strinG", 9);
	returns(&c, s + 16);
	BROKEN("KM-11", "kmalloc/KM-11/kstrdup/string");
	(void)slab(0);
	c.code = TRACE_OP_KSTRNDUP;
	c.num = 3;
	invoke(&c);
	memcpy(bytes(s), "a string", 9);
	returns(&c, s);
	BROKEN("KM-11", "kmalloc/KM-11/kstrndup/string");
}

static void
km14_trim(void **state)
{
	uint64_t s = slab(0);
	struct call c;

	(void)state;
	c = begin_type_op(TRACE_OP_KMALLOC_TRIM, 0, TRACE_NOREG);
	returns(&c, 0);
	kfree_at(s + SLAB - 8);
	c = begin_type_op(TRACE_OP_KMALLOC_TRIM, 0, TRACE_NOREG);
	model_vm_free(m, 0, s, 16);
	returns(&c, 1);
	CLEAN();
	kfree_at(slab(0) + SLAB - 8);
	c = begin_type_op(TRACE_OP_KMALLOC_TRIM, 0, TRACE_NOREG);
	(void)begin_kmalloc(1, 8, 0, M_WAITOK);
	returns(&c, 0); /* another call may have it */
	CLEAN();
	kalloc();
	kfree_at(slab(0) + SLAB - 8);
	c = begin_type_op(TRACE_OP_KMALLOC_TRIM, 0, TRACE_NOREG);
	returns(&c, 0);
	BROKEN("KM-14", "kmalloc/KM-14/kmalloc_trim/hoarded");
}

/* Chunks are left in a slab that its CPU had when its thread exited. */
static void
km12_another_has_it(void **state)
{
	struct call c;

	(void)state;
	(void)slab(0);
	c = call(TRACE_OP_THREAD_EXIT, 0);
	invoke(&c);
	returns(&c, 0);
	c = begin_kmalloc(0, 8, 0, M_NOWAIT);
	model_vm_alloc(m, 0, 0, SLAB / PAGE, SLAB, VM_ALLOC_NORMAL, true, true);
	returns(&c, 0);
	CLEAN();
}

static void
km15_overflow(void **state)
{
	static const uint64_t sizes[] = { BUDGET + 1, UINT64_MAX,
		UINT64_MAX - 4094, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1 };
	struct call c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t rounding = i % 2 == 0 ? M_POWEROF2 : M_CACHEALIGN;

		c = begin_kmalloc(0, sizes[i], 0, M_RNOWAIT | rounding);
		returns(&c, 0);
		c = begin_kmalloc(0, sizes[i], 0, M_WAITOK | M_NULLOK);
		returns(&c, 0);
		c = begin_kmalloc(0, sizes[i], 0, M_WAITOK | rounding);
		panics(&c, W_OVERFLOW);
	}
	stats(0, 15, 0, 0);
	c = begin_kmalloc(0, BUDGET, 0, M_RNOWAIT);
	pages_fail(0, PAGES, false, false);
	returns(&c, 0);
	CLEAN();
	c = begin_kmalloc(0, BUDGET + 1, 0, M_WAITOK);
	returns(&c, 0);
	BROKEN("KM-15", "kmalloc/KM-15/kmalloc/null");
	c = begin_kmalloc(0, UINT64_MAX, 0, M_NOWAIT);
	panics(&c, W_OVERFLOW);
	BROKEN("KM-15", "kmalloc/KM-15/kmalloc/panic-overflow");
	(void)slab(0);
	kmalloc_at(arena, UINT64_MAX - 8, M_WAITOK);
	BROKEN("KM-15", "kmalloc/KM-15/kmalloc/success");
	c = begin_kmalloc(0, 64, 0, M_WAITOK);
	panics(&c, W_OVERFLOW);
	BROKEN("KM-15", "kmalloc/KM-15/kmalloc/panic-overflow");
}

static struct call
begin_interior(uint64_t addr, uint64_t off)
{
	struct call c = call(TRACE_OP_KFREE_INTERIOR, 0);

	c.addr = addr;
	c.size = off;
	c.type = 0;
	invoke(&c);
	return (c);
}

static struct call
begin_wild(uint64_t addr)
{
	struct call c = call(TRACE_OP_KFREE_WILD, 0);

	c.addr = addr;
	c.type = 0;
	invoke(&c);
	return (c);
}

static void
km16_what_was_never_allocated(void **state)
{
	uint64_t s = slab(0);
	struct call c;

	(void)state;
	kmalloc_at(s, 64, M_WAITOK);
	kmalloc_at(s + 64, 64, M_WAITOK);
	kfree_at(s);
	c = begin_kfree(0, s, 0);
	panics(&c, W_DOUBLE_FREE);
	c = begin_interior(s + 64, 1);
	panics(&c, W_INTERIOR);
	c = begin_interior(s + 64, 0);
	returns(&c, 0);
	c = begin_wild(0);
	panics(&c, W_NULL_FREE);
	c = begin_wild(arena + 2 * SLAB);
	panics(&c, W_FOREIGN);
	c = begin_interior(s, 2048); /* never cut: anything of the three */
	panics(&c, W_INTERIOR);
	CLEAN();
	c = begin_wild(arena + 2 * SLAB);
	panics(&c, W_DOUBLE_FREE);
	BROKEN("KM-16", "kmalloc/KM-16/kfree_wild/wrong-panic");
	kmalloc_at(slab(0), 64, M_WAITOK);
	c = begin_interior(s, 32);
	returns(&c, 0);
	BROKEN("KM-16", "kmalloc/KM-16/kfree_interior/undetected");
	kmalloc_at(slab(0), 64, M_WAITOK);
	c = begin_interior(s, 32);
	panics(&c, W_DOUBLE_FREE);
	BROKEN("KM-16", "kmalloc/KM-16/kfree_interior/wrong-panic");
	kmalloc_at(slab(0), 64, M_WAITOK);
	kfree_at(s);
	kfree_at(s);
	BROKEN("KM-16", "kmalloc/KM-16/kfree/undetected");
	kmalloc_at(slab(0), 64, M_WAITOK);
	kfree_at(s);
	c = begin_kfree(0, s, 0);
	panics(&c, W_FOREIGN);
	BROKEN("KM-16", "kmalloc/KM-16/kfree/wrong-panic");
}

static void
km16_double_free_of_what_is_gone(void **state)
{
	uint64_t s = slab(0);
	struct call c;

	(void)state;
	kmalloc_at(s, 64, M_WAITOK);
	kfree_at(s + SLAB - 8);
	kfree_at(s); /* the slab is wholly free now */
	c = begin_kfree(0, s, 0);
	panics(&c, W_FOREIGN);
	kmalloc_at(s + 1024, 512, M_WAITOK); /* and cut anew */
	c = begin_kfree(0, s, 0);
	panics(&c, W_INTERIOR);
	kfree_at(s + 1024);
	model_vm_free(m, 0, s, 16);
	c = begin_kfree(0, s, 0);
	panics(&c, W_DOUBLE_FREE);
	page_alloc_at(s, 1, 0, VM_ALLOC_NORMAL);
	c = begin_kfree(0, s, 0);
	panics(&c, W_FOREIGN);
	/* Live again: a legal free of the newer object. */
	page_free_at(s, 1);
	kmalloc_at(slab(0), 64, M_WAITOK);
	kfree_at(s);
	CLEAN();
	model_vm_free(m, 0, s, 16);
	BROKEN("G-2", "kmalloc/G-2/end of run/live");
	c = begin_krealloc(0, slab(0), 10, M_WAITOK);
	panics(&c, W_DOUBLE_FREE);
	c = call(TRACE_OP_KMALLOC_USABLE_SIZE, 0);
	c.addr = s;
	invoke(&c);
	panics(&c, W_FOREIGN);
	CLEAN();
	c = begin_krealloc(0, s, 10, M_WAITOK);
	returns(&c, s);
	BROKEN("KM-16", "kmalloc/KM-16/krealloc/undetected");
}

static void
km17_still_in_use(void **state)
{
	uint64_t s = slab(0);
	struct call c;

	(void)state;
	kmalloc_at(s, 64, M_WAITOK);
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 0);
	returns(&c, 2);
	c = begin_kfree(0, s, 0);
	panics(&c, W_BAD_TYPE);
	model_end(m);
	CLEAN();
	(void)slab(1);
	BROKEN("KM-5", "kmalloc/KM-5/kmalloc/undetected");
	(void)slab(0);
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 0);
	returns(&c, 0);
	BROKEN("KM-17", "kmalloc/KM-17/kmalloc_destroy/still-in-use");
}

/* --- traces that race with themselves --- */

static void
races_two_frees(void **state)
{
	uint64_t s = slab(0);
	struct call a, b;

	(void)state;
	/* Either may win. */
	kmalloc_at(s, 64, M_WAITOK);
	a = begin_kfree(0, s, 0);
	b = begin_kfree(1, s, 0);
	panics(&a, W_DOUBLE_FREE);
	returns(&b, 0);
	kmalloc_at(s, 64, M_WAITOK);
	a = begin_kfree(0, s, 0);
	b = begin_kfree(1, s, 0);
	returns(&b, 0);
	panics(&a, W_DOUBLE_FREE);
	kmalloc_at(s, 64, M_WAITOK);
	a = begin_kfree(0, s, 0);
	b = begin_kfree(1, s, 0);
	returns(&a, 0);
	panics(&b, W_DOUBLE_FREE);
	stats(0, 4, 1, 8);
	CLEAN();
	/* Not both, and not none. */
	kmalloc_at(s, 64, M_WAITOK);
	a = begin_kfree(0, s, 0);
	b = begin_kfree(1, s, 0);
	returns(&a, 0);
	returns(&b, 0);
	BROKEN("KM-16", "kmalloc/KM-16/kfree/undetected");
	kmalloc_at(slab(0), 64, M_WAITOK);
	a = begin_kfree(0, s, 0);
	b = begin_kfree(1, s, 0);
	panics(&b, W_DOUBLE_FREE);
	panics(&a, W_DOUBLE_FREE);
	BROKEN("G-3", "kmalloc/G-3/kfree/double-free");
}

static void
races_stale_free_takes_a_new_object(void **state)
{
	uint64_t s = slab(0);
	struct call a, b, c;

	(void)state;
	kmalloc_at(s, 64, M_WAITOK);
	kfree_at(s);
	/* Before the allocation returns. */
	a = begin_kmalloc(0, 64, 0, M_WAITOK);
	b = begin_kfree(1, s, 0);
	returns(&b, 0);
	returns(&a, s);
	stats(0, 3, 1, 8);
	/* After it. */
	b = begin_kfree(1, s, 0);
	a = begin_kmalloc(0, 64, 0, M_WAITOK);
	returns(&a, s);
	returns(&b, 0);
	stats(0, 4, 1, 8);
	/* And it is allocated again before the stale free returns. */
	b = begin_kfree(1, s, 0);
	kmalloc_at(s, 64, M_WAITOK);
	kmalloc_at(s, 64, M_WAITOK);
	returns(&b, 0);
	stats(0, 6, 2, 72);
	CLEAN();
	/* The pages go before the stale free returns. */
	kfree_at(s);
	kfree_at(s + SLAB - 8);
	b = begin_kfree(1, s, 0);
	kmalloc_at(s, 64, M_WAITOK);
	model_vm_free(m, 1, s, 16);
	returns(&b, 0);
	stats(0, 7, 0, 0);
	CLEAN();
	/* No allocation returned it. */
	(void)slab(0);
	a = begin_kmalloc(0, 64, 0, M_WAITOK);
	b = begin_kfree(1, s, 0);
	returns(&b, 0);
	returns(&a, s + 64);
	BROKEN("KM-16", "kmalloc/KM-16/kmalloc/undetected");
	c = begin_kfree(0, slab(0), 0);
	(void)begin_kfree(1, s + SLAB - 8, 0);
	returns(&c, 0);
	BROKEN("KM-16", "kmalloc/KM-16/kfree/undetected");
}

static void
races_krealloc_ends_the_judgement(void **state)
{
	uint64_t s = slab(0);
	struct call a, b;

	(void)state;
	kmalloc_at(s, 64, M_WAITOK);
	a = begin_krealloc(0, s, 128, M_WAITOK);
	b = begin_kfree(1, s, 0);
	returns(&b, 0);
	returns(&a, s);
	CLEAN();
	kalloc();
	(void)slab(0);
	kmalloc_at(s, 64, M_WAITOK);
	/* Memory of a krealloc in flight may be handed out again ... */
	a = begin_krealloc(0, s, 128, M_WAITOK);
	b = begin_kmalloc(1, 64, 0, M_WAITOK);
	returns(&b, s);
	memset(bytes(s + 128), 0, 128);
	CLEAN();
	/* ... but then it cannot have stayed. */
	returns(&a, 0);
	BROKEN("KM-7", "kmalloc/KM-7/krealloc/null-waitok");
	(void)slab(0);
	kmalloc_at(s, 64, M_WAITOK);
	a = begin_krealloc(0, s, 60, M_WAITOK);
	b = begin_kmalloc(1, 64, 0, M_WAITOK);
	memcpy(bytes(arena + 1024), bytes(s), 64);
	returns(&b, s);
	memcpy(bytes(s), bytes(arena + 1024), 64);
	returns(&a, s);
	BROKEN("G-2", "kmalloc/G-2/krealloc/overlap");
}

static void
races_a_type_ends(void **state)
{
	uint64_t s = slab(0);
	struct call a, b, d;

	(void)state;
	kmalloc_at(s, 64, M_WAITOK);
	a = begin_kmalloc(0, 64, 0, M_WAITOK);
	b = begin_kfree(1, s, 0);
	d = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 2, 0);
	returns(&d, 17); /* others were at it: any number */
	panics(&a, W_BAD_TYPE);
	panics(&b, W_BAD_TYPE);
	model_end(m);
	CLEAN();
}

/* --- refusals of who may not wait --- */

static void
km12_no_chunk_is_stranded(void **state)
{
	struct call c;

	(void)state;
	(void)slab(0);
	page_alloc_at(arena + SLAB, PAGES - 16, 0, VM_ALLOC_INTERRUPT);
	c = begin_kmalloc(0, 64, 0, M_RNOWAIT | M_NULLOK);
	model_vm_alloc(m, 0, 0, 16, SLAB, VM_ALLOC_NORMAL, false, false);
	returns(&c, 0);
	CLEAN();
	c = begin_kmalloc(0, 8, 0, M_RNOWAIT | M_NULLOK);
	model_vm_alloc(m, 0, 0, 16, SLAB, VM_ALLOC_NORMAL, false, false);
	returns(&c, 0);
	BROKEN("KM-12", "kmalloc/KM-12/kmalloc/stranded");
}

static void
vm7_pages_given_back_are_asked_for(void **state)
{
	struct call c;
	uint64_t s;

	(void)state;
	s = slab(0);
	page_alloc_at(arena + SLAB, PAGES - 16, 0, VM_ALLOC_INTERRUPT);
	kfree_at(s + SLAB - 8);
	c = begin_kmalloc(0, 3 * PAGE, 0, M_RNOWAIT | M_NULLOK);
	pages_fail(0, 3, false, false);
	model_vm_free(m, 0, s, 16);
	returns(&c, 0);
	BROKEN("VM-7", "vm_page/VM-7/kmalloc/not-tried-again");
}

static void
vm3_flags_are_dug_to(void **state)
{
	struct call c;

	(void)state;
	page_alloc_at(arena, PAGES - 5, 0, VM_ALLOC_INTERRUPT);
	c = begin_kmalloc(0, 3 * PAGE, 0, M_NOWAIT);
	pages_fail(0, 3, false, false);
	returns(&c, 0);
	BROKEN("VM-3", "vm_page/VM-3/kmalloc/too-shallow");
}

static void
races_two_page_frees(void **state)
{
	struct call a, b;

	(void)state;
	page_alloc_at(arena, 2, 0, VM_ALLOC_NORMAL);
	a = begin_page_free(0, arena, 2);
	b = begin_page_free(1, arena, 2);
	panics(&b, W_FOREIGN);
	model_vm_free(m, 0, arena, 2);
	returns(&a, 0);
	CLEAN();
}

/* --- a subject at random --- */

#define SLOTS 12u

/*
 * A correct allocator of 64 byte chunks, small enough to be seen to be
 * correct. A call takes effect at one step between its invocation and its
 * return; threads are interleaved at random, and the trace races with itself:
 * it frees any address at any time, under any type.
 */
struct toy {
	uint64_t rng;
	bool held;	    /* the slab's pages */
	int8_t slot[SLOTS]; /* type, or -1 */
	uint64_t calls[2];
	bool deaf;    /* a defect: some double frees go unnoticed */
	bool resizes; /* krealloc, too: a race with it ends the judgement */
	struct {
		struct call c;
		int state; /* 0 idle, 1 invoked, 2 took effect */
		uint64_t ret;
		enum why why;
	} thread[THREADS];
};

static uint32_t
toy_random(struct toy *t, uint32_t n)
{
	t->rng = t->rng * UINT64_C(6364136223846793005) + 1442695040888963407;
	return ((uint32_t)(t->rng >> 33) % n);
}

static void
toy_alloc(struct toy *t, uint32_t i)
{
	uint32_t k = toy_random(t, SLOTS), n;

	if (!t->held) {
		pages(i, arena, 16);
		t->held = true;
	}
	t->thread[i].ret = 0;
	t->calls[t->thread[i].c.type]++;
	for (n = 0; n < SLOTS; n++, k = (k + 1) % SLOTS) {
		if (t->slot[k] >= 0)
			continue;
		t->slot[k] = (int8_t)t->thread[i].c.type;
		t->thread[i].ret = arena + k * 64;
		return;
	}
	pages_fail(i, 16, true, false);
}

static void
toy_free(struct toy *t, uint32_t i)
{
	uint32_t k = (uint32_t)(t->thread[i].c.addr - arena) / 64, n;

	if (!t->held) {
		t->thread[i].why = W_FOREIGN;
	} else if (t->slot[k] < 0) {
		if (!t->deaf || toy_random(t, 4) != 0)
			t->thread[i].why = W_DOUBLE_FREE;
	} else if (t->slot[k] != (int8_t)t->thread[i].c.type) {
		t->thread[i].why = W_WRONG_TYPE;
	} else {
		t->slot[k] = -1;
		for (n = 0; n < SLOTS && t->slot[n] < 0; n++)
			;
		if (n == SLOTS && toy_random(t, 2) == 0) {
			model_vm_free(m, i, arena, 16);
			t->held = false;
		}
	}
}

/* Stays or moves, as it likes; the size is that of all chunks. */
static void
toy_resize(struct toy *t, uint32_t i)
{
	uint32_t k = (uint32_t)(t->thread[i].c.addr - arena) / 64;
	uint64_t from = t->thread[i].c.addr;

	if (t->held && t->slot[k] == (int8_t)t->thread[i].c.type) {
		t->thread[i].ret = from;
		if (toy_random(t, 2) == 0)
			return;
		toy_alloc(t, i);
		if (t->thread[i].ret == 0)
			return;
		memcpy(bytes(t->thread[i].ret), bytes(from), 64);
	}
	toy_free(t, i);
}

static void
toy_step(struct toy *t, uint32_t i, bool last)
{
	struct call *c = &t->thread[i].c;

	if (t->thread[i].state == 2) {
		if (t->thread[i].why != W_NONE)
			panics(c, t->thread[i].why);
		else
			returns(c, t->thread[i].ret);
		t->thread[i].state = 0;
	} else if (t->thread[i].state == 1) {
		t->thread[i].why = W_NONE;
		t->thread[i].ret = 0;
		if (c->code == TRACE_OP_KMALLOC)
			toy_alloc(t, i);
		else if (c->code == TRACE_OP_KREALLOC)
			toy_resize(t, i);
		else
			toy_free(t, i);
		t->thread[i].state = 2;
	} else if (!last) {
		uint32_t type = toy_random(t, 8) == 0;

		uint64_t addr = arena + toy_random(t, SLOTS) * 64;

		if (t->resizes && toy_random(t, 8) == 0)
			*c = begin_krealloc(i, addr, 64, M_RNOWAIT);
		else if (toy_random(t, 2) == 0)
			*c = begin_kmalloc(i, 64, type, M_RNOWAIT);
		else
			*c = begin_kfree(i, addr, type);
		t->thread[i].state = 1;
	}
}

static void
toy_quiesce(struct toy *t)
{
	uint64_t live[2] = { 0, 0 };
	uint32_t i;

	for (i = 0; i < 2 * THREADS; i++)
		toy_step(t, i % THREADS, true);
	for (i = 0; i < SLOTS; i++)
		if (t->slot[i] >= 0)
			live[t->slot[i]]++;
	stats(0, t->calls[0], live[0], live[0] * 64);
	stats(1, t->calls[1], live[1], live[1] * 64);
	model_check_pages(m, PAGES - (t->held ? 16 : 0));
	model_end(m);
}

/* Runs the toy; true if the model found something. */
static bool
toy_run(uint64_t seed, bool deaf, bool resizes)
{
	struct toy t = { .rng = seed, .deaf = deaf, .resizes = resizes };
	unsigned step;

	memset(t.slot, -1, sizeof(t.slot));
	kalloc();
	for (step = 0; step < 300; step++) {
		toy_step(&t, toy_random(&t, THREADS), false);
		if (toy_random(&t, 60) == 0)
			toy_quiesce(&t);
	}
	toy_quiesce(&t);
	return (model_finding(m) != NULL);
}

static void
races_at_random(void **state)
{
	unsigned seed, caught = 0;

	(void)state;
	for (seed = 0; seed < 2000; seed++) {
		if (toy_run(seed, false, seed % 2))
			print_error("seed %u\n", seed);
		CLEAN();
		caught += toy_run(seed, true, false);
	}
	/* What the defect does is made good by another race at times. */
	assert_in_range(caught, 1700, 2000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(km10_null_and_wrong_type),
		T(km11_prefix),
		T(km11_staying),
		T(km11_failing),
		T(km11_strings),
		T(km14_trim),
		T(km12_another_has_it),
		T(km15_overflow),
		T(km16_what_was_never_allocated),
		T(km16_double_free_of_what_is_gone),
		T(km17_still_in_use),
		T(races_two_frees),
		T(races_stale_free_takes_a_new_object),
		T(races_krealloc_ends_the_judgement),
		T(races_a_type_ends),
		T(races_two_page_frees),
		T(km12_no_chunk_is_stranded),
		T(vm7_pages_given_back_are_asked_for),
		T(vm3_flags_are_dug_to),
		T(races_at_random),
		T(every_clause_was_broken),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
