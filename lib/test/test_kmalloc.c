/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: one thread's view of kmalloc keeps KM-2 to KM-15, G-6 and G-8.
 * Method: the rules of kalloc/kmalloc.h, written again here, for every size
 * and flag; contents and statistics followed by hand. Systems and types are in
 * test_kalloc.c, misuse in test_misuse.c, debug options in test_debug.c,
 * threads in test_threads.c.
 */
#include "kalloc_test.h"

#include "kmalloc_int.h"

MALLOC_DEFINE(M_ONE, "one", "the type of most tests");
MALLOC_DEFINE(M_TWO, "two", "another type");

static const struct kalloc_config one_cpu = { .ncpus = 1, .pages = 4096 };

#define LIMIT_OF(config) ((uint64_t)(config).pages * 4096 / 10)

/* ---- Sizes (KM-2, KM-3, KM-4) ----------------------------------------- */

/* The chunk of a size, as KM-3 has it. */
static size_t
chunk_rule(size_t size)
{
	static const struct {
		size_t below, step;
	} rule[] = { { 128, 8 }, { 256, 16 }, { 512, 32 }, { 1024, 64 },
		{ 2048, 128 }, { 4096, 256 }, { 8193, 512 } };
	unsigned i;

	for (i = 0; i < COUNT_OF(rule); i++)
		if (size < rule[i].below)
			return ((size + rule[i].step - 1) / rule[i].step *
			    rule[i].step);
	return ((size + 4095) / 4096 * 4096);
}

static size_t
power_rule(size_t size)
{
	size_t power = 1;

	while (power < size)
		power *= 2;
	return (power);
}

/* What an address must be a multiple of. */
static size_t
align_rule(size_t chunk)
{
	size_t align = chunk & -chunk;

	return (align < 4096 ? align : 4096);
}

static void
class_tables_are_the_rule(void **state)
{
	size_t size;
	unsigned c;

	(void)state;
	assert_int_equal(km_class_of[0], KM_CLASS_NONE);
	for (size = 1; size <= KA_KMALLOC_MAX; size++)
		assert_int_equal(
		    km_class_size[km_class_of[size]], chunk_rule(size));
	for (c = 1; c < KM_CLASSES; c++)
		assert_true(km_class_size[c] > km_class_size[c - 1]);
}

static void
check_object(char *p, size_t chunk, size_t align)
{
	assert_non_null(p);
	assert_int_equal(kmalloc_usable_size(p), chunk);
	assert_int_equal((uintptr_t)p % align, 0);
	memset(p, 0x5a, chunk);
}

static void
every_size_gets_its_chunk(void **state)
{
	size_t size, chunk, power;
	char *p, *q;

	(void)state;
	boot(&one_cpu);
	for (size = 1; size <= 20000; size += size < 300 ? 1 : 13) {
		chunk = chunk_rule(size);
		p = kmalloc(size, M_ONE, M_WAITOK);
		q = kmalloc(size, M_ONE, M_NOWAIT);
		check_object(p, chunk, align_rule(chunk));
		check_object(q, chunk, align_rule(chunk));
		assert_int_equal(stats(M_ONE).memuse, 2 * chunk);
		kfree(p, M_ONE);
		kfree(q, M_ONE);
		p = kmalloc_cachealign(size, M_ONE, M_WAITOK);
		chunk = chunk_rule((size + 63) / 64 * 64);
		check_object(p, chunk, 64);
		kfree(p, M_ONE);
		power = power_rule(size);
		p = kmalloc_powerof2(size, M_ONE, M_NOWAIT);
		check_object(p, chunk_rule(power), power);
		kfree(p, M_ONE);
	}
	assert_int_equal(stats(M_ONE).memuse, 0);
	halt();
}

/* The boundaries of every class and of whole pages, for sure. */
static void
class_boundaries_are_exact(void **state)
{
	unsigned c;
	size_t size;
	char *p;

	(void)state;
	boot(&one_cpu);
	for (c = 0; c < KM_CLASSES; c++)
		for (size = km_class_size[c] - 1u;
		     size <= km_class_size[c] + 1u; size++) {
			p = kmalloc(size, M_ONE, M_WAITOK);
			check_object(
			    p, chunk_rule(size), align_rule(chunk_rule(size)));
			kfree(p, M_ONE);
		}
	(void)kmalloc_trim();
	p = kmalloc(8193, M_ONE, M_WAITOK);
	assert_int_equal(vm_free_pages(), one_cpu.pages - 3);
	kfree(p, M_ONE);
	assert_int_equal(vm_free_pages(), one_cpu.pages);
	halt();
}

static void
powers_of_two_are_aligned_to_themselves(void **state)
{
	char *p[3];
	size_t size, align;
	unsigned i;

	(void)state;
	boot(&one_cpu);
	for (size = 1; size <= 262144; size *= 2) {
		align = size < 65536 ? size : 65536;
		for (i = 0; i < 3; i++) {
			/* Off the alignment, so that luck does not help. */
			sink = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
			p[i] = kmalloc(i == 2 ? size : size / 2 + 1, M_ONE,
			    M_WAITOK | M_POWEROF2 | (i == 1 ? M_ZERO : 0));
			assert_int_equal((uintptr_t)p[i] % align, 0);
			assert_true(kmalloc_usable_size(p[i]) >= size);
			vm_page_free(sink, 1);
		}
		for (i = 0; i < 3; i++)
			kfree(p[i], M_ONE);
		p[0] =
		    kmalloc(size, M_ONE, M_WAITOK | M_POWEROF2 | M_CACHEALIGN);
		assert_int_equal((uintptr_t)p[0] % (size < 64 ? 64 : align), 0);
		kfree(p[0], M_ONE);
	}
	halt();
}

/* Many objects of many sizes at once: none overlaps another (G-2). */
static void
live_objects_do_not_overlap(void **state)
{
	enum {
		N = 600
	};
	static char *p[N];
	static size_t n[N];
	uint32_t seed = 99;
	unsigned i, k;

	(void)state;
	boot(&one_cpu);
	kmalloc_set_unlimited(M_ONE);
	for (i = 0; i < 20000; i++) {
		k = next_random(&seed) % N;
		if (p[k] != NULL) {
			assert_true(all_are(p[k], (int)k, n[k]));
			kfree(p[k], M_ONE);
			p[k] = NULL;
		} else {
			p[k] = kmalloc(1 +
				next_random(&seed) %
				    (1u << next_random(&seed) % 15),
			    M_ONE, M_WAITOK);
			n[k] = kmalloc_usable_size(p[k]);
			memset(p[k], (int)k, n[k]);
		}
		if (i % 1000 == 0)
			audit();
	}
	for (k = 0; k < N; k++)
		if (p[k] != NULL) {
			assert_true(all_are(p[k], (int)k, n[k]));
			kfree(p[k], M_ONE);
		}
	halt();
}

/* ---- M_ZERO, size 0 (KM-8, KM-9) -------------------------------------- */

static void
zero_covers_all_usable_bytes(void **state)
{
	static const int flags[] = { M_WAITOK, M_NOWAIT, M_WAITOK | M_POWEROF2,
		M_WAITOK | M_CACHEALIGN };
	static const size_t sizes[] = { 1, 8, 100, 127, 129, 1000, 4000, 5000,
		8190, 8192, 8193, 20000 };
	unsigned i, f, round;
	char *p, *dirty;

	(void)state;
	boot(&one_cpu);
	for (i = 0; i < COUNT_OF(sizes); i++)
		for (f = 0; f < COUNT_OF(flags); f++)
			for (round = 0; round < 4; round++) {
				dirty = kmalloc(sizes[i], M_ONE, flags[f]);
				memset(dirty, 0xff, kmalloc_usable_size(dirty));
				kfree(dirty, M_ONE);
				if (round == 1)
					(void)kmalloc_trim();
				p = kmalloc(sizes[i], M_ONE, flags[f] | M_ZERO);
				assert_true(
				    all_are(p, 0, kmalloc_usable_size(p)));
				memset(p, 0xff, kmalloc_usable_size(p));
				kfree(p, M_ONE);
			}
	halt();
}

static void
size_zero_owns_nothing(void **state)
{
	static const int flags[] = { M_WAITOK, M_NOWAIT, M_INTWAIT, M_INTNOWAIT,
		M_SYSWAIT, M_SYSNOWAIT, M_RNOWAIT, M_WAITOK | M_ZERO,
		M_WAITOK | M_NULLOK, M_NOWAIT | M_POWEROF2,
		M_NOWAIT | M_CACHEALIGN | M_ZERO | M_POWEROF2 };
	struct kmalloc_stats s;
	void *all, *first;
	unsigned i;

	(void)state;
	boot(&one_cpu);
	all = vm_page_alloc(one_cpu.pages, 0, VM_ALLOC_NORMAL);
	first = kmalloc(0, M_ONE, M_WAITOK);
	assert_ptr_equal(first, ZERO_LENGTH_PTR);
	assert_non_null(first);
	for (i = 0; i < COUNT_OF(flags); i++)
		assert_ptr_equal(kmalloc(0, M_ONE, flags[i]), first);
	assert_int_equal(kmalloc_usable_size(first), 0);
	assert_int_equal(kmalloc_usable_size(NULL), 0);
	kfree(first, M_ONE);
	kfree(first, M_ONE);
	s = stats(M_ONE);
	assert_int_equal(s.inuse, 0);
	assert_int_equal(s.memuse, 0);
	assert_int_equal(s.calls, COUNT_OF(flags) + 1);
	vm_page_free(all, one_cpu.pages);
	/* Limits do not apply. */
	all = kmalloc(one_cpu.pages / 2 * 4096, M_ONE, M_WAITOK);
	assert_null(kmalloc(1, M_ONE, M_NOWAIT));
	assert_ptr_equal(kmalloc(0, M_ONE, M_WAITOK), first);
	kfree(all, M_ONE);
	halt();
}

/* ---- Limits (KM-6) ---------------------------------------------------- */

static void
default_limit_is_a_tenth(void **state)
{
	struct malloc_type *type = NULL;

	(void)state;
	boot(&one_cpu);
	kmalloc_create(&type, "made");
	assert_int_equal(kmalloc_limit(M_ONE), LIMIT_OF(one_cpu));
	assert_int_equal(kmalloc_limit(type), LIMIT_OF(one_cpu));
	assert_int_equal(stats(type).limit, LIMIT_OF(one_cpu));
	kmalloc_raise_limit(type, 1000);
	assert_int_equal(kmalloc_limit(type), LIMIT_OF(one_cpu));
	kmalloc_raise_limit(type, LIMIT_OF(one_cpu) + 1);
	assert_int_equal(kmalloc_limit(type), LIMIT_OF(one_cpu) + 1);
	kmalloc_set_unlimited(type);
	assert_int_equal(kmalloc_limit(type), one_cpu.pages * 4096);
	kmalloc_raise_limit(type, one_cpu.pages * 8192);
	kmalloc_set_unlimited(type);
	kmalloc_raise_limit(type, 0);
	assert_int_equal(kmalloc_limit(type), one_cpu.pages * 8192);
	assert_int_equal(kmalloc_limit(M_ONE), LIMIT_OF(one_cpu));
	assert_int_equal(kmalloc_destroy(&type), 0);
	halt();
}

/* Allocates until NULL; the objects are linked through their first word. */
static void *
fill_to_limit(struct malloc_type *type, size_t size, int flags)
{
	void **head = NULL, **p;

	while ((p = kmalloc(size, type, flags)) != NULL) {
		*p = head;
		head = p;
	}
	return (head);
}

static void *
free_some(void *list, struct malloc_type *type, size_t n)
{
	void **head = list;

	while (head != NULL && n-- > 0) {
		void **next = *head;

		kfree(head, type);
		head = next;
	}
	return (head);
}

static void
limit_is_kept_and_comes_back(void **state)
{
	static const size_t sizes[] = { 8, 64, 1000, 8192, 8193, 50000 };
	const uint64_t limit = LIMIT_OF(one_cpu);
	unsigned i, round;

	(void)state;
	boot(&one_cpu);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		size_t chunk = chunk_rule(sizes[i]);
		void *list = NULL;

		for (round = 0; round < 3; round++) {
			struct kmalloc_stats s;

			list = fill_to_limit(M_ONE, sizes[i],
			    round == 1 ? M_NOWAIT : M_WAITOK | M_NULLOK);
			s = stats(M_ONE);
			assert_true(s.memuse >= limit);
			assert_true(s.memuse <= limit + limit / 16 + 2 * chunk);
			assert_why(
			    LIMIT, sink = kmalloc(sizes[i], M_ONE, M_WAITOK));
			assert_why(
			    LIMIT, sink = kmalloc(sizes[i], M_ONE, M_RNOWAIT));
			assert_int_equal(stats(M_ONE).calls, s.calls + 2);
			assert_int_equal(stats(M_ONE).inuse, s.inuse);
			/* Another type has its own. */
			sink = kmalloc(sizes[i], M_TWO, M_WAITOK);
			kfree(sink, M_TWO);
			while (stats(M_ONE).memuse >= limit)
				list = free_some(list, M_ONE, 1);
			sink = kmalloc(sizes[i], M_ONE, M_WAITOK);
			assert_non_null(sink);
			kfree(sink, M_ONE);
			(void)free_some(list, M_ONE, SIZE_MAX);
		}
		assert_int_equal(stats(M_ONE).memuse, 0);
		audit();
	}
	halt();
}

static void
raised_limit_takes_effect_at_once(void **state)
{
	void *list, *p;

	(void)state;
	boot(&one_cpu);
	list = fill_to_limit(M_ONE, 4096, M_NOWAIT);
	kmalloc_raise_limit(M_ONE, stats(M_ONE).memuse + 1);
	p = kmalloc(4096, M_ONE, M_WAITOK);
	assert_non_null(p);
	assert_null(kmalloc(4096, M_ONE, M_NOWAIT));
	kmalloc_set_unlimited(M_ONE);
	kfree(kmalloc(100 * 4096, M_ONE, M_WAITOK), M_ONE);
	kfree(p, M_ONE);
	(void)free_some(list, M_ONE, SIZE_MAX);
	halt();
}

/* Bytes that M_ONE may still have of a CPU before the limit is tested. */
static uint64_t
granted(unsigned cpu)
{
	const struct km_use *use = cpu_use(cpu_at(cpu), M_ONE->ks_cookie);
	uint64_t bytes = 0;
	unsigned c;

	for (c = 0; c < KM_CLASSES; c++)
		bytes += (uint64_t)use->u_left[c] * km_class_size[c];
	return (bytes);
}

static uint64_t
loosely(const struct malloc_type *type)
{
	return (type->ks_loose & KM_LOOSE_BYTES);
}

static void *
use_one(void *arg)
{
	(void)arg;
	kfree(kmalloc(8, M_ONE, M_WAITOK), M_ONE);
	return (NULL);
}

/*
 * The batch by which usage may exceed the limit: of a CPU's part of a sixteenth
 * of it, half of what is not granted already. At the limit the count is based
 * anew, on what is in use and what all CPUs may still have. The part is such
 * that a byte more or less would be seen.
 */
static void
grants_are_half_of_what_is_left(void **state)
{
	static const size_t sizes[] = { 8, 64, 1024, 8192 };
	const uint64_t part = 65536, limit = 16 * 3 * part;
	const struct kalloc_config two_cpus = { .ncpus = 2, .pages = 4096 };
	const struct km_use *use;
	uint64_t loose = 0, left, n;
	void *p[COUNT_OF(sizes)], *large;
	unsigned i, class;

	(void)state;
	boot(&two_cpus);
	kmalloc_raise_limit(M_ONE, limit);
	use = cpu_use(cpu_at(0), M_ONE->ks_cookie);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		class = km_class_of[sizes[i]];
		n = (part - granted(0)) / 2 / sizes[i];
		n = n == 0 ? 1 : n;
		p[i] = kmalloc(sizes[i], M_ONE, M_WAITOK);
		assert_int_equal(use->u_granted[class], n);
		assert_int_equal(use->u_left[class], n - 1);
		loose += n * sizes[i];
		assert_int_equal(loosely(M_ONE), loose);
	}
	thread_run(use_one, NULL);
	assert_int_equal(granted(1), part / 2 - 8);
	/* The count stays where it was when the large object goes. */
	large = kmalloc(limit, M_ONE, M_WAITOK);
	kfree(large, M_ONE);
	assert_true(loosely(M_ONE) >= limit);
	left = granted(0) + granted(1);
	n = stats(M_ONE).memuse;
	sink = kmalloc(128, M_ONE, M_WAITOK);
	assert_int_equal(loosely(M_ONE), n + left + 128);
	/* A failure for pages leaves a grant where it is. */
	n = vm_free_pages();
	large = vm_page_alloc(n, 0, VM_ALLOC_NORMAL);
	assert_null(kmalloc(2048, M_ONE, M_NOWAIT));
	assert_true(use->u_left[km_class_of[2048]] > 0);
	vm_page_free(large, n);
	kfree(sink, M_ONE);
	for (i = 0; i < COUNT_OF(sizes); i++)
		kfree(p[i], M_ONE);
	halt();
}

static void *
use_much(void *arg)
{
	void **p = arg;

	for (unsigned i = 0; i < 1024; i++)
		p[i] = kmalloc(8192, M_ONE, M_WAITOK | M_NULLOK);
	return (NULL);
}

/* Usage is tested exactly: at the limit there is none, whoever has it. */
static void
at_the_limit_is_full(void **state)
{
	static void *p[1024];
	const uint64_t limit = 1024 * 4096;
	void *large, *chunk;
	unsigned n = 0;

	(void)state;
	boot(&one_cpu);
	kmalloc_raise_limit(M_ONE, limit);
	large = kmalloc(limit - 4096 * 3, M_ONE, M_WAITOK);
	assert_int_equal(loosely(M_ONE), limit - 4096 * 3);
	chunk = kmalloc(4096 * 3, M_ONE, M_WAITOK);
	assert_int_equal(loosely(M_ONE), limit);
	assert_null(kmalloc(8, M_ONE, M_WAITOK | M_NULLOK));
	assert_null(kmalloc(9000, M_ONE, M_WAITOK | M_NULLOK));
	/* What is freed is not what the count says until the limit is met. */
	kfree(chunk, M_ONE);
	assert_int_equal(loosely(M_ONE), limit);
	kfree(large, M_ONE);
	large = kmalloc(4096 * 5, M_ONE, M_WAITOK);
	assert_int_equal(loosely(M_ONE), 4096 * 5);
	kfree(large, M_ONE);
	large = kmalloc(4096 * 3, M_ONE, M_WAITOK);
	assert_int_equal(loosely(M_ONE), 4096 * 8);
	kfree(large, M_ONE);
	/* A thread without a CPU has it all. */
	thread_run(use_much, p);
	assert_null(kmalloc(8, M_ONE, M_WAITOK | M_NULLOK));
	while (n < COUNT_OF(p) && p[n] != NULL)
		kfree(p[n++], M_ONE);
	assert_in_range(n, limit / 8192, limit / 8192 + limit / 16 / 8192 + 2);
	halt();
}

/* How many may pass before the next test, at the edges. */
static void
grants_end_at_the_limit(void **state)
{
	const uint64_t limit = one_cpu.pages * UINT64_C(4096);
	const uint64_t n = limit / 2048 / 16 / 2 / 2;
	struct km_use *use;
	unsigned class;
	void *p;

	(void)state;
	boot(&one_cpu);
	kmalloc_set_unlimited(M_ONE);
	use = cpu_use(cpu_at(0), M_ONE->ks_cookie);
	/* As many as fit below it. */
	class = km_class_of[2048];
	M_ONE->ks_loose = limit - n * 2048;
	p = kmalloc(2048, M_ONE, M_WAITOK);
	assert_int_equal(use->u_granted[class], n);
	kfree(p, M_ONE);
	/* One, if that is too many by a byte. */
	class = km_class_of[4096];
	M_ONE->ks_loose = limit - n / 4 * 4096 + 1;
	p = kmalloc(4096, M_ONE, M_WAITOK);
	assert_int_equal(use->u_granted[class], 1);
	kfree(p, M_ONE);
	/* Never more than 4096. */
	M_ONE->ks_loose = 0;
	p = kmalloc(8, M_ONE, M_WAITOK);
	assert_int_equal(use->u_granted[km_class_of[8]], 4096);
	kfree(p, M_ONE);
	/* What is in hand counts where the count is based anew, to the last. */
	class = km_class_of[1024];
	use->u_left[class] = 1;
	use->u_granted[class] = 1;
	M_ONE->ks_classes |= UINT64_C(1) << class;
	M_ONE->ks_loose = limit;
	p = kmalloc(4096 * 3, M_ONE, M_WAITOK);
	assert_int_equal(loosely(M_ONE),
	    4096 * 3 + 1024 + (n - 1) * 2048 + UINT64_C(4095) * 8);
	use->u_left[class] = 0;
	use->u_granted[class] = 0;
	kfree(p, M_ONE);
	halt();
}

/* Bytes that do not fit the count are more than there are: no limit is near. */
static void
a_count_that_is_full_stays_full(void **state)
{
	uint64_t changes;
	void *p[2];

	(void)state;
	boot(&one_cpu);
	kmalloc_raise_limit(M_ONE, UINT64_MAX);
	M_ONE->ks_loose = KM_LOOSE_BYTES - 1;
	p[0] = kmalloc(100 * 1024, M_ONE, M_WAITOK);
	assert_int_equal(loosely(M_ONE), KM_LOOSE_BYTES);
	changes = M_ONE->ks_loose >> 48;
	assert_int_equal(changes, 1);
	p[1] = kmalloc(100 * 1024, M_ONE, M_WAITOK);
	assert_int_equal(loosely(M_ONE), KM_LOOSE_BYTES);
	assert_int_equal(M_ONE->ks_loose >> 48, 2);
	kfree(p[0], M_ONE);
	kfree(p[1], M_ONE);
	halt();
}

/* ---- What cannot be had (KM-15, G-6) ---------------------------------- */

static void
sizes_at_the_top_fail_cleanly(void **state)
{
	static const int extra[] = { 0, M_ZERO, M_POWEROF2, M_CACHEALIGN,
		M_POWEROF2 | M_CACHEALIGN };
	struct vm_page_stats before;
	unsigned e;
	size_t i;

	(void)state;
	boot(&one_cpu);
	kmalloc_set_unlimited(M_ONE);
	before = vm_stats();
	for (e = 0; e < COUNT_OF(extra); e++)
		for (i = 0; i < 64 + 3 * 64; i++) {
			size_t size = i < 64 ?
			    SIZE_MAX - i :
			    ((size_t)1 << (i / 3 % 64)) + i % 3 - 1;

			if (size <= one_cpu.pages * 4096)
				continue;
			assert_null(kmalloc(size, M_ONE, M_NOWAIT | extra[e]));
			assert_null(kmalloc(size, M_ONE, M_RNOWAIT | extra[e]));
			assert_null(kmalloc(
			    size, M_ONE, M_WAITOK | M_NULLOK | extra[e]));
			assert_why(OVERFLOW,
			    sink = kmalloc(size, M_ONE, M_WAITOK | extra[e]));
		}
	assert_int_equal(stats(M_ONE).inuse, 0);
	assert_int_equal(vm_free_pages(), before.free);
	/* The whole budget is no overflow. */
	sink = kmalloc(one_cpu.pages * 4096, M_ONE, M_WAITOK);
	assert_non_null(sink);
	kfree(sink, M_ONE);
	halt();
}

static void
failure_for_pages_changes_nothing(void **state)
{
	static const size_t sizes[] = { 8, 500, 8192, 9000, 65536 };
	unsigned i, round;
	void *all;

	(void)state;
	boot(&one_cpu);
	all = vm_page_alloc(one_cpu.pages, 0, VM_ALLOC_NORMAL);
	for (round = 0; round < 100; round++)
		for (i = 0; i < COUNT_OF(sizes); i++) {
			assert_null(kmalloc(sizes[i], M_ONE, M_NOWAIT));
			assert_null(kmalloc(sizes[i], M_ONE, M_INTNOWAIT));
		}
	assert_int_equal(stats(M_ONE).inuse, 0);
	assert_int_equal(stats(M_ONE).memuse, 0);
	assert_int_equal(stats(M_ONE).calls, 200 * COUNT_OF(sizes));
	assert_int_equal(vm_free_pages(), 0);
	audit();
	vm_page_free(all, one_cpu.pages);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		/* No quota was lost: the limit is where it was. */
		void *list = fill_to_limit(M_ONE, sizes[i], M_NOWAIT);

		assert_true(stats(M_ONE).memuse >= LIMIT_OF(one_cpu));
		(void)free_some(list, M_ONE, SIZE_MAX);
	}
	halt();
}

/* ---- krealloc, strings (KM-11) ---------------------------------------- */

static void
krealloc_keeps_the_common_prefix(void **state)
{
	static const size_t sizes[] = { 1, 8, 9, 64, 120, 128, 129, 1000, 8192,
		8193, 12288, 30000 };
	unsigned i, j, k;

	(void)state;
	boot(&one_cpu);
	for (i = 0; i < COUNT_OF(sizes); i++)
		for (j = 0; j < COUNT_OF(sizes); j++) {
			unsigned char *p = kmalloc(sizes[i], M_ONE, M_WAITOK);
			size_t had = kmalloc_usable_size(p), has, common;

			for (k = 0; k < had; k++)
				p[k] = (unsigned char)(k * 7 + i);
			p = krealloc(p, sizes[j], M_ONE,
			    k % 2 == 0 ? M_WAITOK : M_NOWAIT);
			has = kmalloc_usable_size(p);
			assert_int_equal(has, chunk_rule(sizes[j]));
			common = had < has ? had : has;
			for (k = 0; k < common; k++)
				assert_int_equal(
				    p[k], (unsigned char)(k * 7 + i));
			memset(p, 1, has);
			assert_int_equal(stats(M_ONE).inuse, 1);
			assert_int_equal(stats(M_ONE).memuse, has);
			kfree(p, M_ONE);
		}
	halt();
}

/* What fits where it is stays there, and needs no memory. */
static void
krealloc_in_the_same_chunk_stays(void **state)
{
	static const size_t sizes[][2] = { { 100, 97 }, { 100, 104 },
		{ 8192, 7681 }, { 7681, 8192 }, { 20000, 16385 },
		{ 20000, 20480 } };
	size_t free_pages;
	void *rest, *p;
	unsigned i;

	(void)state;
	boot(&one_cpu);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		p = kmalloc(sizes[i][0], M_ONE, M_WAITOK);
		free_pages = vm_free_pages();
		rest = vm_page_alloc(free_pages, 0, VM_ALLOC_NORMAL);
		assert_non_null(rest);
		assert_ptr_equal(krealloc(p, sizes[i][1], M_ONE, M_NOWAIT), p);
		assert_int_equal(stats(M_ONE).inuse, 1);
		vm_page_free(rest, free_pages);
		kfree(p, M_ONE);
		(void)kmalloc_trim();
	}
	halt();
}

static void
krealloc_of_nothing_and_to_nothing(void **state)
{
	void *p;

	(void)state;
	boot(&one_cpu);
	p = krealloc(NULL, 100, M_ONE, M_WAITOK);
	assert_int_equal(kmalloc_usable_size(p), 104);
	assert_null(krealloc(p, 0, M_ONE, M_WAITOK));
	assert_int_equal(stats(M_ONE).inuse, 0);
	p = krealloc(ZERO_LENGTH_PTR, 9000, M_ONE, M_NOWAIT);
	assert_int_equal(kmalloc_usable_size(p), 12288);
	assert_null(krealloc(p, 0, M_ONE, M_NOWAIT));
	assert_ptr_equal(krealloc(NULL, 0, M_ONE, M_WAITOK), ZERO_LENGTH_PTR);
	assert_ptr_equal(
	    krealloc(ZERO_LENGTH_PTR, 0, M_ONE, M_WAITOK), ZERO_LENGTH_PTR);
	assert_int_equal(stats(M_ONE).inuse, 0);
	halt();
}

static void
krealloc_failure_keeps_the_old(void **state)
{
	static const size_t sizes[] = { 60, 5000, 20000 };
	size_t free_pages;
	void *rest, *p;
	unsigned i;

	(void)state;
	boot(&one_cpu);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		p = kmalloc(sizes[i], M_ONE, M_WAITOK);
		memset(p, 0x42, kmalloc_usable_size(p));
		assert_null(krealloc(p, SIZE_MAX, M_ONE, M_NOWAIT));
		assert_why(OVERFLOW,
		    sink = krealloc(p, SIZE_MAX - 100, M_ONE, M_WAITOK));
		free_pages = vm_free_pages();
		rest = vm_page_alloc(free_pages, 0, VM_ALLOC_NORMAL);
		assert_non_null(rest);
		assert_null(krealloc(p, 40000, M_ONE, M_NOWAIT));
		vm_page_free(rest, free_pages);
		rest = kmalloc(LIMIT_OF(one_cpu) + 1, M_ONE, M_WAITOK);
		assert_null(krealloc(p, 40000, M_ONE, M_WAITOK | M_NULLOK));
		assert_why(LIMIT, sink = krealloc(p, 40000, M_ONE, M_WAITOK));
		kfree(rest, M_ONE);
		assert_true(all_are(p, 0x42, kmalloc_usable_size(p)));
		assert_int_equal(kmalloc_usable_size(p), chunk_rule(sizes[i]));
		assert_int_equal(stats(M_ONE).inuse, 1);
		kfree(p, M_ONE);
		(void)kmalloc_trim();
	}
	halt();
}

/* *Stronger*: also when the block could stay. */
static void
krealloc_honours_alignment(void **state)
{
	static const size_t sizes[] = { 64, 96, 128, 192, 512, 4096, 6000, 8192,
		12288, 16384, 65536 };
	unsigned i, n;
	char *p[8], *page;

	(void)state;
	boot(&one_cpu);
	/* Off the alignment, so that luck does not help. */
	page = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		size_t power = power_rule(sizes[i]);
		size_t align = power < 65536 ? power : 65536;

		for (n = 0; n < 8; n++)
			p[n] = kmalloc(sizes[i], M_ONE, M_WAITOK);
		for (n = 0; n < 8; n++) {
			memset(p[n], (int)n, sizes[i]);
			p[n] = krealloc(p[n], sizes[i], M_ONE,
			    M_WAITOK |
				(n % 2 == 0 ? M_CACHEALIGN : M_POWEROF2));
			assert_true(all_are(p[n], (int)n, sizes[i]));
			assert_int_equal(
			    (uintptr_t)p[n] % (n % 2 == 0 ? 64 : align), 0);
			assert_true(kmalloc_usable_size(p[n]) >=
			    (n % 2 == 0 ? sizes[i] : power));
		}
		for (n = 0; n < 8; n++)
			kfree(p[n], M_ONE);
	}
	vm_page_free(page, 1);
	halt();
}

static void
strings_are_copied(void **state)
{
	static const char text[] = "a string of a few words";
	char *p;
	size_t i;

	(void)state;
	boot(&one_cpu);
	assert_null(kstrdup(NULL, M_ONE));
	assert_null(kstrndup(NULL, 7, M_ONE));
	assert_int_equal(stats(M_ONE).calls, 0);
	p = kstrdup(text, M_ONE);
	assert_string_equal(p, text);
	assert_int_equal(kmalloc_usable_size(p), 24);
	kfree(p, M_ONE);
	p = kstrdup("", M_ONE);
	assert_string_equal(p, "");
	kfree(p, M_ONE);
	for (i = 0; i <= sizeof(text) + 2; i++) {
		size_t len = i < sizeof(text) - 1 ? i : sizeof(text) - 1;

		p = kstrndup(text, i, M_ONE);
		assert_int_equal(strlen(p), len);
		assert_memory_equal(p, text, len);
		assert_int_equal(kmalloc_usable_size(p), chunk_rule(len + 1));
		kfree(p, M_ONE);
	}
	p = kstrndup(text, SIZE_MAX, M_ONE);
	assert_string_equal(p, text);
	kfree(p, M_ONE);
	/* Nothing behind maxlen is read. */
	p = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
	memset(p, 'x', 4096);
	sink = kstrndup(p + 4090, 6, M_ONE);
	assert_string_equal((char *)sink, "xxxxxx");
	kfree(sink, M_ONE);
	vm_page_free(p, 1);
	halt();
}

/* ---- Statistics (KM-5) ------------------------------------------------ */

static void
statistics_charge_whole_chunks(void **state)
{
	static const size_t sizes[] = { 1, 9, 130, 3000, 8192, 8193, 100000 };
	void *p[COUNT_OF(sizes)];
	uint64_t memuse = 0;
	unsigned i;

	(void)state;
	boot(&one_cpu);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		p[i] = kmalloc(sizes[i], M_ONE, M_WAITOK);
		memuse += chunk_rule(sizes[i]);
		assert_int_equal(stats(M_ONE).inuse, i + 1);
		assert_int_equal(stats(M_ONE).memuse, memuse);
		assert_int_equal(stats(M_ONE).calls, i + 1);
		assert_int_equal(stats(M_TWO).calls, 0);
	}
	assert_null(kmalloc(SIZE_MAX, M_ONE, M_NOWAIT));
	assert_int_equal(stats(M_ONE).calls, COUNT_OF(sizes) + 1);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		kfree(p[i], M_ONE);
		memuse -= chunk_rule(sizes[i]);
		assert_int_equal(stats(M_ONE).memuse, memuse);
	}
	assert_int_equal(stats(M_ONE).inuse, 0);
	assert_int_equal(stats(M_ONE).calls, COUNT_OF(sizes) + 1);
	halt();
}

struct lines {
	unsigned n;
	char line[8][200];
};

static void
put_line(void *arg, const char *line)
{
	struct lines *l = arg;

	assert_true(l->n < 8);
	assert_null(strchr(line, '\n'));
	(void)snprintf(l->line[l->n++], sizeof(l->line[0]), "%s", line);
}

static void
vmstat_is_a_table(void **state)
{
	struct lines l = { 0 };
	void *p, *q;

	(void)state;
	boot(&one_cpu);
	p = kmalloc(3000, M_TWO, M_WAITOK);
	q = kmalloc(100000, M_ONE, M_WAITOK);
	sink = kmalloc(0, M_ONE, M_WAITOK);
	kmalloc_vmstat(put_line, &l);
	assert_int_equal(l.n, 4);
	assert_string_equal(l.line[0],
	    "                Type      InUse     "
	    "MemUse      Limit     Requests");
	for (unsigned i = 1; i <= 2; i++)
		assert_true(strcmp(l.line[i],
				"                 one          1       "
				"100K      1638K            2") == 0 ||
		    strcmp(l.line[i],
			"                 two          1         "
			"3K      1638K            1") == 0);
	assert_string_not_equal(l.line[1], l.line[2]);
	assert_string_equal(l.line[3],
	    "               Total          2       "
	    "103K                       3");
	memset(&l, 0, sizeof(l));
	kmalloc_map(put_line, &l);
	assert_int_equal(l.n, 1);
	assert_non_null(strstr(l.line[0], "3072 bytes current"));
	kfree(p, M_TWO);
	kfree(q, M_ONE);
	halt();
}

/* ---- Pages come back (KM-14, G-8) ------------------------------------- */

static size_t
slabs_in_use(void)
{
	return ((one_cpu.pages - vm_free_pages()) / 16);
}

static void
free_slabs_go_back(void **state)
{
	enum {
		N = 64
	};
	static void *p[N];
	unsigned keep, i, c;
	size_t n;

	(void)state;
	for (keep = 0; keep <= 6; keep += 3) {
		struct kalloc_config config = one_cpu;

		config.slabs_keep = keep;
		boot(&config);
		kmalloc_set_unlimited(M_ONE);
		for (c = 0; c < 2; c++) {
			for (i = 0; i < N; i++)
				p[i] = kmalloc(
				    c == 0 ? 8192 : 4096, M_ONE, M_WAITOK);
			assert_true(slabs_in_use() >= (c == 0 ? 8 : 4));
			for (i = 0; i < N; i++)
				kfree(p[i], M_ONE);
			/* One a class, and what is kept. */
			assert_true(slabs_in_use() <= keep + c + 1);
			audit();
		}
		n = slabs_in_use();
		assert_int_equal(kmalloc_trim(), n);
		assert_int_equal(slabs_in_use(), 0);
		assert_int_equal(kmalloc_trim(), 0);
		p[0] = kmalloc(8, M_ONE, M_WAITOK);
		assert_int_equal(kmalloc_trim(), 0);
		assert_int_equal(slabs_in_use(), 1);
		kfree(p[0], M_ONE);
		assert_int_equal(kmalloc_trim(), 1);
		halt();
	}
}

/* All chunks of a slab are had before there is another; and what a CPU keeps
 * before the page layer is asked. */
static void
slabs_are_used_up_before_others_are_had(void **state)
{
	const struct kalloc_config config = {
		.ncpus = 1, .pages = 64, .slabs_keep = 1
	};
	static void *p[1024];
	uint64_t allocs;
	void *rest;
	unsigned i;

	(void)state;
	boot(&config);
	kmalloc_set_unlimited(M_ONE);
	p[0] = kmalloc(64, M_ONE, M_WAITOK);
	rest = vm_page_alloc(48, 0, VM_ALLOC_NORMAL);
	assert_non_null(rest);
	for (i = 1; i < 1024; i++) {
		p[i] = kmalloc(64, M_ONE, M_NOWAIT);
		assert_non_null(p[i]);
	}
	assert_null(kmalloc(64, M_ONE, M_NOWAIT));
	vm_page_free(rest, 48);
	for (i = 0; i < 1024; i++)
		kfree(p[i], M_ONE);
	(void)kmalloc_trim();
	for (i = 0; i < 9; i++)
		p[i] = kmalloc(8192, M_ONE, M_WAITOK);
	for (i = 0; i < 8; i++)
		kfree(p[i], M_ONE); /* the first slab is kept */
	allocs = vm_stats().allocs;
	p[0] = kmalloc(640, M_ONE, M_WAITOK);
	assert_int_equal(vm_stats().allocs, allocs);
	audit();
	kfree(p[0], M_ONE);
	kfree(p[8], M_ONE);
	halt();
}

/*
 * What a free writes is its own chunk's. Where the bookkeeping of one slab ends
 * that of the next begins: twice the index of the chunk of 8 bytes is there
 * that of the chunk of 72 bytes, and both are at the same offset.
 */
static void
a_free_is_of_its_own_chunk(void **state)
{
	static char *p[8192], *q[910];
	const size_t off = 36864; /* 4608 * 8, 512 * 72 */
	unsigned i;

	(void)state;
	boot(&one_cpu);
	kmalloc_set_unlimited(M_ONE);
	p[0] = kmalloc(8, M_ONE, M_WAITOK);
	q[0] = kmalloc(72, M_ONE, M_WAITOK);
	assert_int_equal(q[0] - p[0], KA_SLAB_SIZE);
	for (i = 1; i < 8192; i++)
		p[i] = kmalloc(8, M_ONE, M_WAITOK);
	for (i = 1; i < 910; i++)
		q[i] = kmalloc(72, M_ONE, M_WAITOK);
	assert_ptr_equal(p[4608], p[0] + off);
	assert_ptr_equal(q[512], q[0] + off);
	kfree(p[4608], M_ONE);
	audit();
	assert_int_equal(kmalloc_usable_size(q[512]), 72);
	for (i = 0; i < 8192; i++)
		if (i != 4608)
			kfree(p[i], M_ONE);
	for (i = 0; i < 910; i++)
		kfree(q[i], M_ONE);
	halt();
}

/* No slab is lost in any order of frees. */
static void
every_order_of_frees_empties_the_slabs(void **state)
{
	static const size_t sizes[] = { 8, 24, 640, 8192 };
	static void *p[20000];
	uint32_t seed = 3;
	unsigned i, order;
	size_t n, k, count;

	(void)state;
	boot(&one_cpu);
	for (i = 0; i < COUNT_OF(sizes); i++)
		for (order = 0; order < 3; order++) {
			count = 65536 * 3 / sizes[i];
			if (count > COUNT_OF(p))
				count = COUNT_OF(p);
			for (n = 0; n < count; n++)
				p[n] = kmalloc(sizes[i], M_ONE, M_WAITOK);
			for (n = count; n > 0; n--) {
				k = order == 0 ? n - 1 :
				    order == 1 ? count - n :
						 next_random(&seed) % n;
				kfree(p[k], M_ONE);
				if (order == 2)
					p[k] = p[n - 1];
			}
			assert_true(slabs_in_use() <= i + 1);
			audit();
		}
	(void)kmalloc_trim();
	assert_int_equal(slabs_in_use(), 0);
	halt();
}

/* ---- The auditor ------------------------------------------------------ */

static void
auditor_names_what_is_broken(void **state)
{
	const char *found;
	struct ka_slab *slab;
	struct km_use *use;
	char *p, *q;

	(void)state;
	boot(&one_cpu);
	p = kmalloc(64, M_ONE, M_WAITOK);
	q = kmalloc(64, M_ONE, M_WAITOK);
	kfree(q, M_ONE);
	slab = km_slab_at(p);
	use = cpu_use(cpu_at(0), M_ONE->ks_cookie);
	audit();
	slab->s_state = SLAB_PARTIAL;
	assert_string_equal(kmalloc_audit(&found), "I-KM-1");
	slab->s_state = SLAB_NONE; /* its chunk is nobody's */
	assert_string_equal(kmalloc_audit(&found), "I-KM-4");
	slab->s_state = SLAB_CURRENT;
	slab->s_nfree--;
	assert_string_equal(kmalloc_audit(&found), "I-KM-2");
	slab->s_nfree++;
	slab->s_entry[1].e_owner++;
	assert_string_equal(kmalloc_audit(&found), "I-KM-2");
	slab->s_entry[1].e_owner--;
	slab->s_entry[0].e_owner += 8;
	assert_string_equal(kmalloc_audit(&found), "I-KM-3");
	slab->s_entry[0].e_owner -= 8;
	slab->s_entry[0].e_owner += 500u << 16;
	assert_string_equal(kmalloc_audit(&found), "I-KM-3");
	slab->s_entry[0].e_owner -= 500u << 16;
	use->u_freed[7]++;
	assert_string_equal(kmalloc_audit(&found), "I-KM-4");
	assert_non_null(strstr(found, "0 objects in use, 1 chunks"));
	use->u_freed[7]--;
	kfree(p, M_ONE);
	halt();
}

/* How many slabs a CPU keeps, and how many it says. */
static void
auditor_names_kept_slabs(void **state)
{
	struct kalloc_config config = one_cpu;
	const char *found;
	unsigned i;
	void *p[9];

	(void)state;
	config.slabs_keep = 1;
	boot(&config);
	for (i = 0; i < 9; i++)
		p[i] = kmalloc(8192, M_ONE, M_WAITOK);
	for (i = 0; i < 9; i++)
		kfree(p[i], M_ONE);
	assert_int_equal(cpu_at(0)->c_free_count, 1);
	audit();
	cpu_at(0)->c_free_count = 0;
	assert_string_equal(kmalloc_audit(&found), "I-KM-6");
	assert_non_null(strstr(found, "keeps 1 free slabs and counts 0"));
	cpu_at(0)->c_free_count = 1;
	km_slabs_keep = 0;
	assert_string_equal(kmalloc_audit(&found), "I-KM-6");
	assert_non_null(strstr(found, "of at most 0"));
	km_slabs_keep = 1;
	halt();
}

/* What only those who wait for pages may leave behind while they do. */
static void
auditor_names_what_waiters_left(void **state)
{
	const char *found;

	(void)state;
	boot(&one_cpu);
	kfree(kmalloc(8, M_ONE, M_WAITOK), M_ONE);
	audit();
	cpu_shortage++;
	assert_string_equal(kmalloc_audit(&found), "I-KM-7");
	assert_non_null(strstr(found, "short for 1"));
	cpu_shortage--;
	M_ONE->ks_watched += 2;
	assert_string_equal(kmalloc_audit(&found), "I-KM-7");
	assert_non_null(strstr(found, "watched by 2"));
	M_ONE->ks_watched -= 2;
	audit();
	halt();
}

/* Where a slab is, and where its state says that it is. */
static void
auditor_names_slabs_out_of_place(void **state)
{
	struct ka_cpu *cpu;
	struct ka_slab *slab;
	const char *found;
	unsigned class;
	char *p;

	(void)state;
	boot(&one_cpu);
	p = kmalloc(64, M_ONE, M_WAITOK);
	cpu = cpu_at(0);
	slab = km_slab_at(p);
	class = slab->s_class;
	cpu->c_partial[class].first = slab;
	assert_string_equal(kmalloc_audit(&found), "I-KM-1");
	assert_non_null(strstr(found, "current slab of class 7 is on"));
	cpu->c_partial[class].first = NULL;
	cpu->c_free = slab;
	assert_string_equal(kmalloc_audit(&found), "I-KM-1");
	assert_non_null(strstr(found, "is among the kept ones"));
	cpu->c_free = NULL;
	cpu->c_slab[class] = &kmalloc_no_slab;
	assert_string_equal(kmalloc_audit(&found), "I-KM-1");
	assert_non_null(strstr(found, "is not its cpu's current one"));
	slab->s_state = SLAB_PARTIAL;
	assert_string_equal(kmalloc_audit(&found), "I-KM-1");
	assert_non_null(strstr(found, "is not on its cpu's partial list"));
	slab->s_state = SLAB_FREE;
	assert_string_equal(kmalloc_audit(&found), "I-KM-1");
	assert_non_null(strstr(found, "is not among the kept ones"));
	slab->s_state = SLAB_FULL;
	assert_string_equal(kmalloc_audit(&found), "I-KM-5");
	slab->s_state = SLAB_CURRENT;
	cpu->c_slab[class] = slab;
	audit();
	kfree(p, M_ONE);
	halt();
}

/* What a slab counts, and whose its chunks are. */
static void
auditor_names_counts_and_owners(void **state)
{
	struct malloc_type *ended = NULL;
	struct ka_slab *slab;
	uint32_t was, id;
	uintptr_t top;
	const char *found;
	char *p;

	(void)state;
	boot(&one_cpu);
	kmalloc_create(&ended, "ended");
	id = ended->ks_cookie >> 16;
	(void)kmalloc_destroy(&ended);
	p = kmalloc(64, M_ONE, M_WAITOK);
	slab = km_slab_at(p);
	was = (uint32_t)slab->s_nfree;
	slab->s_nfree = slab->s_carved + 1;
	assert_string_equal(kmalloc_audit(&found), "I-KM-2");
	slab->s_nfree = was;
	was = slab->s_carved;
	slab->s_carved = slab->s_max + 1;
	assert_string_equal(kmalloc_audit(&found), "I-KM-2");
	slab->s_carved = was;
	top = slab->s_stack[0];
	slab->s_stack[0] = slab->s_base + slab->s_carved * slab->s_size;
	assert_string_equal(kmalloc_audit(&found), "I-KM-2");
	assert_non_null(strstr(found, "was never carved"));
	slab->s_stack[0] = slab->s_base - slab->s_size;
	assert_string_equal(kmalloc_audit(&found), "I-KM-2");
	assert_non_null(strstr(found, "was never carved"));
	slab->s_stack[0] = top + 8;
	assert_string_equal(kmalloc_audit(&found), "I-KM-2");
	assert_non_null(strstr(found, "is within chunk"));
	slab->s_stack[0] = slab->s_stack[1]; /* the count still agrees */
	assert_string_equal(kmalloc_audit(&found), "I-KM-2");
	assert_non_null(strstr(found, "is on the stack twice"));
	slab->s_stack[0] = top;
	was = slab->s_entry[0].e_owner;
	slab->s_entry[0].e_owner = was & 0xffff;
	assert_string_equal(kmalloc_audit(&found), "I-KM-3");
	slab->s_entry[0].e_owner = (was & 0xffff) | id << 16;
	assert_string_equal(kmalloc_audit(&found), "I-KM-3");
	assert_non_null(strstr(found, "owned by no type"));
	slab->s_entry[0].e_owner = was;
	audit();
	kfree(p, M_ONE);
	halt();
}

/*
 * Between a check and what follows it another CPU may come; here what it does
 * is done before. Nothing is changed then.
 */
static void
what_others_did_meanwhile_is_seen(void **state)
{
	char *p[9], *large;
	struct ka_slab *slab;
	unsigned i;

	(void)state;
	boot_for(M_ONE, 2, 4096, 0);
	for (i = 0; i < 9; i++)
		p[i] = kmalloc(8192, M_ONE, M_WAITOK);
	slab = km_slab_at(p[0]);
	assert_int_equal(slab->s_state, SLAB_FULL);
	km__whole(slab);
	assert_int_equal(slab->s_state, SLAB_FULL);
	kfree(p[0], M_ONE);
	assert_int_equal(slab->s_state, SLAB_PARTIAL);
	km__whole(slab); /* a chunk is had again */
	assert_int_equal(slab->s_state, SLAB_PARTIAL);
	slab->s_cpu = 1;
	km__whole(slab); /* it is another CPU's */
	assert_int_equal(slab->s_state, SLAB_PARTIAL);
	slab->s_cpu = 0;
	audit();
	assert_false(km_remote_free_debug(
	    slab, 1, slab->s_entry[1].e_owner + (1u << 16)));
	assert_false(km_remote_free(
	    cpu_at(1), slab, 1, slab->s_entry[1].e_owner + (1u << 16)));
	audit();
	large = kmalloc(20000, M_ONE, M_WAITOK);
	kfree(large, M_ONE);
	assert_why(FOREIGN, km__large_free(large, M_ONE, vm__info(large)));
	assert_int_equal(stats(M_ONE).inuse, 8);
	for (i = 1; i < 9; i++)
		kfree(p[i], M_ONE);
	halt_unused(M_ONE);
}

/*
 * A free that makes a slab wholly free looks at it again when it has left its
 * section. Here somebody trims in between: the slab goes, is counted, and the
 * look finds nothing to do.
 */
static void
a_slab_that_is_whole_may_be_trimmed_first(void **state)
{
	struct ka_slab *slab;
	size_t free_pages;
	unsigned i;
	char *p[9];

	(void)state;
	boot_for(M_ONE, 2, 4096, 0);
	for (i = 0; i < 9; i++)
		p[i] = kmalloc(8192, M_ONE, M_WAITOK);
	slab = km_slab_at(p[0]);
	for (i = 0; i < 7; i++)
		kfree(p[i], M_ONE);
	slab->s_full = SLAB_NOT_FULL; /* the look is left out */
	kfree(p[7], M_ONE);
	assert_int_equal(slab->s_nfree, slab->s_carved);
	assert_int_equal(slab->s_state, SLAB_PARTIAL);
	free_pages = vm_free_pages();
	assert_int_equal(kmalloc_trim(), 1);
	assert_int_equal(vm_free_pages(), free_pages + 16);
	km__whole(slab);
	assert_int_equal(vm_free_pages(), free_pages + 16);
	audit();
	for (i = 0; i < 8; i++) {
		p[i] = kmalloc(8192, M_ONE, M_WAITOK);
		assert_int_equal(kmalloc_usable_size(p[i]), 8192);
	}
	audit();
	for (i = 0; i < 9; i++)
		kfree(p[i], M_ONE);
	halt_unused(M_ONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(class_tables_are_the_rule),
		cmocka_unit_test(every_size_gets_its_chunk),
		cmocka_unit_test(class_boundaries_are_exact),
		cmocka_unit_test(powers_of_two_are_aligned_to_themselves),
		cmocka_unit_test(live_objects_do_not_overlap),
		cmocka_unit_test(zero_covers_all_usable_bytes),
		cmocka_unit_test(size_zero_owns_nothing),
		cmocka_unit_test(default_limit_is_a_tenth),
		cmocka_unit_test(limit_is_kept_and_comes_back),
		cmocka_unit_test(raised_limit_takes_effect_at_once),
		cmocka_unit_test(grants_are_half_of_what_is_left),
		cmocka_unit_test(a_count_that_is_full_stays_full),
		cmocka_unit_test(at_the_limit_is_full),
		cmocka_unit_test(grants_end_at_the_limit),
		cmocka_unit_test(sizes_at_the_top_fail_cleanly),
		cmocka_unit_test(failure_for_pages_changes_nothing),
		cmocka_unit_test(krealloc_keeps_the_common_prefix),
		cmocka_unit_test(krealloc_in_the_same_chunk_stays),
		cmocka_unit_test(krealloc_of_nothing_and_to_nothing),
		cmocka_unit_test(krealloc_failure_keeps_the_old),
		cmocka_unit_test(krealloc_honours_alignment),
		cmocka_unit_test(strings_are_copied),
		cmocka_unit_test(statistics_charge_whole_chunks),
		cmocka_unit_test(vmstat_is_a_table),
		cmocka_unit_test(free_slabs_go_back),
		cmocka_unit_test(slabs_are_used_up_before_others_are_had),
		cmocka_unit_test(a_free_is_of_its_own_chunk),
		cmocka_unit_test(every_order_of_frees_empties_the_slabs),
		cmocka_unit_test(auditor_names_what_is_broken),
		cmocka_unit_test(auditor_names_kept_slabs),
		cmocka_unit_test(auditor_names_what_waiters_left),
		cmocka_unit_test(auditor_names_slabs_out_of_place),
		cmocka_unit_test(auditor_names_counts_and_owners),
		cmocka_unit_test(what_others_did_meanwhile_is_seen),
		cmocka_unit_test(a_slab_that_is_whole_may_be_trimmed_first),
	};

	return (cmocka_run_group_tests_name("kmalloc", tests, NULL, NULL));
}
