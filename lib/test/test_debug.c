/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: redzone, poison and audit trail find what they are for, and change
 * nothing else (G-11).
 * Method: damage of single bytes, at every place where an option promises to
 * look; and one fixed script, run under all combinations of options, whose
 * results must be the same byte for byte.
 */
#define KALLOC_TEST_MAPS
#define KALLOC_TEST_UNMAPS
#include "kalloc_test.h"

#include <stdatomic.h>

#include "kmalloc_int.h"

MALLOC_DEFINE(M_PLAIN, "plain", "a type with the system's options");
MALLOC_DEFINE(M_CHECK, "check", "a type with options of its own");

static void
boot_debug(unsigned debug)
{
	const struct kalloc_config config = {
		.ncpus = 2, .pages = 2048, .debug = debug
	};

	boot(&config);
}

/* Of the chunk that really is there. */
static size_t
slab_chunk(const void *p)
{
	return (km_slab_at(p)->s_size);
}

/* ---- Redzone ---------------------------------------------------------- */

static void
redzone_sees_every_byte_behind_an_object(void **state)
{
	size_t size, k, real;
	unsigned char *p, was;
	unsigned c;

	(void)state;
	boot_debug(KA_DEBUG_REDZONE);
	for (c = 0; c < KM_CLASSES - 1; c++) {
		size = km_class_size[c];
		p = kmalloc(size, M_PLAIN, M_WAITOK);
		assert_int_equal(kmalloc_usable_size(p), size);
		real = slab_chunk(p);
		assert_true(real >= size + 8);
		memset(p, 0xff, size);
		for (k = size; k < real;
		     k += k + 1 < real && k >= size + 16 ? real - k - 1 : 1) {
			was = p[k];
			p[k] ^= 1;
			assert_why(REDZONE, kfree(p, M_PLAIN));
			assert_ptr_equal(caught.addr, p);
			p[k] = was;
			audit();
		}
		assert_int_equal(stats(M_PLAIN).inuse, 1);
		kfree(p, M_PLAIN);
		assert_int_equal(stats(M_PLAIN).memuse, 0);
	}
	/* The largest chunk has no room for one. */
	p = kmalloc(8192, M_PLAIN, M_WAITOK);
	memset(p, 0xff, 8192);
	kfree(p, M_PLAIN);
	halt();
}

/* The bytes up to the chunk's size are the caller's: all may be used. */
static void
redzone_begins_behind_the_usable_size(void **state)
{
	size_t size, n;
	char *p;

	(void)state;
	boot_debug(KA_DEBUG_ALL);
	for (size = 1; size <= 9000; size += 37) {
		p = kmalloc(size, M_PLAIN, M_NOWAIT);
		n = kmalloc_usable_size(p);
		memset(p, 0x77, n);
		p = krealloc(p, size / 2 + 1, M_PLAIN, M_WAITOK);
		memset(p, 0x66, kmalloc_usable_size(p));
		kfree(p, M_PLAIN);
	}
	halt();
}

static void *
redzone_thread(void *p)
{
	must(strcmp(why_of(kfree(p, M_PLAIN)), "redzone") == 0);
	((char *)p)[64] ^= 1;
	kfree(p, M_PLAIN);
	return (NULL);
}

static void
redzone_is_checked_by_remote_frees(void **state)
{
	char *p;

	(void)state;
	boot_debug(KA_DEBUG_REDZONE);
	p = kmalloc(64, M_PLAIN, M_WAITOK);
	p[64] ^= 1;
	thread_run(redzone_thread, p);
	assert_int_equal(stats(M_PLAIN).inuse, 0);
	halt();
}

static void
krealloc_checks_the_redzone(void **state)
{
	char *p;

	(void)state;
	boot_debug(KA_DEBUG_REDZONE);
	p = kmalloc(100, M_PLAIN, M_WAITOK);
	p[104] ^= 1;
	assert_why(REDZONE, sink = krealloc(p, 0, M_PLAIN, M_WAITOK));
	p[104] ^= 1;
	assert_null(krealloc(p, 0, M_PLAIN, M_WAITOK));
	halt();
}

/*
 * A debug type's allocation that failed for pages leaves nothing behind that
 * would let a later one pass by an ordinary slab.
 */
static void
redzone_outlasts_a_failed_allocation(void **state)
{
	void *all, *keep, *hole;
	size_t n;
	char *p;

	(void)state;
	boot_debug(0);
	kmalloc_set_debug(M_CHECK, KA_DEBUG_REDZONE);
	keep = kmalloc(64, M_PLAIN, M_WAITOK);
	hole = kmalloc(64, M_PLAIN, M_WAITOK);
	kfree(hole, M_PLAIN);
	n = vm_free_pages();
	all = vm_page_alloc(n, 0, VM_ALLOC_NORMAL);
	assert_non_null(all);
	assert_null(kmalloc(64, M_CHECK, M_NOWAIT));
	vm_page_free(all, n);
	p = kmalloc(64, M_CHECK, M_NOWAIT);
	assert_true(slab_chunk(p) > 64);
	p[64] ^= 1;
	assert_why(REDZONE, kfree(p, M_CHECK));
	p[64] ^= 1;
	kfree(p, M_CHECK);
	kfree(keep, M_PLAIN);
	halt();
}

/* What CPUs were granted before options are set does not pass them by,
 * of whatever class. */
static void
redzone_holds_for_what_was_granted_before(void **state)
{
	static const size_t sizes[] = { 8, 64, 4096 };
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t size = sizes[i];
		void *keep;
		char *p;

		boot_debug(0);
		keep = kmalloc(size, M_PLAIN, M_WAITOK); /* its slab stays */
		kfree(kmalloc(size, M_CHECK, M_WAITOK), M_CHECK);
		kmalloc_set_debug(M_CHECK, KA_DEBUG_REDZONE);
		p = kmalloc(size, M_CHECK, M_WAITOK);
		p[size] ^= 1;
		assert_why(REDZONE, kfree(p, M_CHECK));
		p[size] ^= 1;
		kfree(p, M_CHECK);
		kfree(keep, M_PLAIN);
		halt();
	}
}

/* ---- Poison ----------------------------------------------------------- */

static void
poison_sees_every_byte_of_a_free_object(void **state)
{
	static const size_t sizes[] = { 8, 24, 100, 1000, 8192 };
	unsigned char *p, *q, was;
	unsigned i;
	size_t k, n;

	(void)state;
	boot_debug(KA_DEBUG_POISON);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		n = sizes[i];
		for (k = 0; k < n; k += k < 16 || k + 2 > n ? 1 : n - 1 - k) {
			q = kmalloc(n, M_PLAIN, M_WAITOK);
			p = kmalloc(n, M_PLAIN, M_WAITOK);
			memset(p, 0x12, n);
			kfree(p, M_PLAIN);
			was = p[k];
			assert_int_not_equal(was, 0x12);
			p[k] ^= 0x40;
			assert_why(
			    POISON, sink = kmalloc(n, M_PLAIN, M_WAITOK));
			assert_ptr_equal(caught.addr, p);
			p[k] = was;
			audit();
			assert_int_equal(stats(M_PLAIN).inuse, 1);
			sink = kmalloc(n, M_PLAIN, M_WAITOK);
			assert_ptr_equal(sink, p);
			kfree(p, M_PLAIN);
			kfree(q, M_PLAIN);
		}
	}
	halt();
}

static void
poison_hides_what_was_there(void **state)
{
	unsigned char *p, *q;

	(void)state;
	boot_debug(KA_DEBUG_POISON);
	q = kmalloc(500, M_PLAIN, M_WAITOK);
	p = kmalloc(500, M_PLAIN, M_WAITOK);
	assert_true(all_are(p, 0xa5, 512));
	memset(p, 0x33, 512);
	kfree(p, M_PLAIN);
	assert_true(all_are(p, 0xdf, 512));
	assert_ptr_equal(kmalloc(500, M_PLAIN, M_WAITOK), p);
	assert_true(all_are(p, 0xa5, 512));
	kfree(p, M_PLAIN);
	assert_ptr_equal(kmalloc(500, M_PLAIN, M_WAITOK | M_ZERO), p);
	assert_true(all_are(p, 0, 512));
	kfree(p, M_PLAIN);
	kfree(q, M_PLAIN);
	halt();
}

static void *
free_plain(void *p)
{
	kfree(p, M_PLAIN);
	return (NULL);
}

static void
poison_is_written_by_remote_frees(void **state)
{
	unsigned char *p, *q;

	(void)state;
	boot_debug(KA_DEBUG_POISON);
	q = kmalloc(8192, M_PLAIN, M_WAITOK);
	p = kmalloc(8192, M_PLAIN, M_WAITOK);
	memset(p, 0, 8192);
	thread_run(free_plain, p);
	assert_true(all_are(p, 0xdf, 8192));
	p[4000] = 0;
	(void)kmalloc_trim(); /* drains */
	assert_why(POISON, sink = kmalloc(8192, M_PLAIN, M_WAITOK));
	kfree(q, M_PLAIN);
	halt();
}

/* ---- Audit trail ------------------------------------------------------ */

static void
check_event(const struct ka_trail_event *e, uint64_t after)
{
	assert_true(e->serial > after);
	assert_true(e->cpu < 2);
	assert_in_range(e->nframes, 1, KA_TRAIL_FRAMES);
	assert_non_null(e->frame[0]);
}

static void
trail_tells_last_allocation_and_free(void **state)
{
	struct ka_trail t;
	uint64_t last = 0;
	unsigned round;
	char *p, *q;

	(void)state;
	boot_debug(KA_DEBUG_AUDIT);
	q = kmalloc(64, M_PLAIN, M_WAITOK);
	for (round = 0; round < 3; round++) {
		p = kmalloc(64, M_PLAIN, M_WAITOK);
		assert_true(kmalloc_trail(p, &t));
		check_event(&t.alloc, last);
		if (round == 0)
			assert_int_equal(t.free.serial, 0);
		else
			assert_true(t.free.serial < t.alloc.serial);
		assert_int_equal(t.alloc.cpu, 0);
		last = t.alloc.serial;
		if (round == 1)
			thread_run(free_plain, p);
		else
			kfree(p, M_PLAIN);
		assert_true(kmalloc_trail(p, &t));
		assert_int_equal(t.alloc.serial, last);
		check_event(&t.free, last);
		assert_int_equal(t.free.cpu, round == 1);
		last = t.free.serial;
		kfree(kmalloc(10, M_PLAIN, M_WAITOK), M_PLAIN);
		(void)kmalloc_trim();
	}
	assert_why(DOUBLE_FREE, kfree(p, M_PLAIN));
	assert_true(caught.has_trail);
	assert_memory_equal(&caught.trail, &t, sizeof(t));
	assert_why(WRONG_TYPE, kfree(q, M_CHECK));
	assert_true(caught.has_trail);
	assert_int_equal(caught.trail.free.serial, 0);
	kfree(q, M_PLAIN);
	halt();
}

/* Damage is where the trail is needed most. */
static void
panics_of_damage_have_the_trail(void **state)
{
	char *p, *q;

	(void)state;
	boot_debug(KA_DEBUG_ALL);
	q = kmalloc(64, M_PLAIN, M_WAITOK);
	p = kmalloc(64, M_PLAIN, M_WAITOK);
	p[64] ^= 1;
	assert_why(REDZONE, kfree(p, M_PLAIN));
	assert_true(caught.has_trail);
	check_event(&caught.trail.alloc, 0);
	p[64] ^= 1;
	kfree(p, M_PLAIN);
	p[3] ^= 1;
	assert_why(POISON, sink = kmalloc(64, M_PLAIN, M_WAITOK));
	assert_true(caught.has_trail);
	check_event(&caught.trail.free, caught.trail.alloc.serial);
	kfree(q, M_PLAIN);
	halt();
}

static void
trail_is_only_where_it_was_asked_for(void **state)
{
	struct ka_trail t;
	void *p, *run;

	(void)state;
	boot_debug(KA_DEBUG_POISON | KA_DEBUG_REDZONE);
	p = kmalloc(64, M_PLAIN, M_WAITOK);
	assert_false(kmalloc_trail(p, &t));
	kfree(p, M_PLAIN);
	halt();
	boot_debug(KA_DEBUG_AUDIT);
	kmalloc_set_debug(M_CHECK, KA_DEBUG_POISON);
	p = kmalloc(20000, M_CHECK, M_WAITOK);
	run = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
	assert_false(kmalloc_trail(p, &t));
	assert_false(kmalloc_trail(run, &t));
	assert_false(kmalloc_trail(&t, &t));
	assert_false(kmalloc_trail(NULL, &t));
	assert_false(kmalloc_trail(ZERO_LENGTH_PTR, &t));
	kfree(p, M_CHECK);
	vm_page_free(run, 1);
	halt();
}

/* ---- Whole pages ------------------------------------------------------- */

static const size_t large_sizes[] = { 8193, 12288, 20000, 65536, 1 << 20 };

static void
redzone_is_behind_whole_pages(void **state)
{
	static const size_t at[] = { 0, 1, 2000, 4095 };
	unsigned i, k;
	size_t n;
	char *p;

	(void)state;
	boot_debug(KA_DEBUG_REDZONE);
	kmalloc_set_unlimited(M_PLAIN);
	for (i = 0; i < COUNT_OF(large_sizes); i++) {
		p = kmalloc(large_sizes[i], M_PLAIN, M_WAITOK);
		n = kmalloc_usable_size(p);
		assert_int_equal(n, (large_sizes[i] + 4095) / 4096 * 4096);
		assert_int_equal(stats(M_PLAIN).memuse, n + i * 24);
		memset(p, 0xff, n);
		for (k = 0; k < COUNT_OF(at); k++) {
			p[n + at[k]] ^= 1;
			assert_why(REDZONE, kfree(p, M_PLAIN));
			assert_ptr_equal(caught.addr, p);
			p[n + at[k]] ^= 1;
			audit();
		}
		/* Behind the object is nothing, as without the option. */
		assert_why(FOREIGN, kfree(p + n, M_PLAIN));
		assert_why(INTERIOR, kfree(p + n - 4096, M_PLAIN));
		p = krealloc(p, n + 1, M_PLAIN, M_WAITOK);
		assert_int_equal((unsigned char)p[n - 1], 0xff);
		p[kmalloc_usable_size(p)] ^= 1;
		assert_why(REDZONE, sink = krealloc(p, 20, M_PLAIN, M_WAITOK));
		p[kmalloc_usable_size(p)] ^= 1;
		kfree(p, M_PLAIN);
		audit();
	}
	/* krealloc took what it copied to before it looked. */
	assert_int_equal(stats(M_PLAIN).inuse, COUNT_OF(large_sizes));
	(void)kalloc_halt(true, NULL, NULL);
}

/* What can be had without the option can be had with it (G-11). */
static void
redzone_goes_without_where_pages_are_short(void **state)
{
	size_t n;
	char *p;

	(void)state;
	boot_debug(KA_DEBUG_ALL);
	kmalloc_set_unlimited(M_PLAIN);
	n = vm_free_pages();
	p = kmalloc(n * 4096, M_PLAIN, M_NOWAIT);
	assert_non_null(p);
	assert_int_equal(vm_free_pages(), 0);
	kfree(p, M_PLAIN);
	p = kmalloc(n * 4096, M_PLAIN, M_WAITOK);
	kfree(p, M_PLAIN);
	assert_int_equal(vm_free_pages(), n);
	halt();
}

static void
poison_sees_what_is_written_on_free_pages(void **state)
{
	unsigned i;
	size_t n, k;
	char *p;

	(void)state;
	boot_debug(KA_DEBUG_POISON);
	kmalloc_set_unlimited(M_PLAIN);
	for (i = 0; i < COUNT_OF(large_sizes); i++) {
		n = large_sizes[i];
		for (k = 0; k<n; k += k + 2> n ? 1 : n - 1 - k) {
			p = kmalloc(n, M_PLAIN, M_WAITOK);
			assert_int_equal(p[k], p[k + 1 == n ? 0 : k + 1]);
			memset(p, 0x12, n);
			kfree(p, M_PLAIN);
			assert_int_not_equal(p[k], 0x12);
			p[k] ^= 0x40;
			assert_why(
			    POISON, sink = kmalloc(n, M_PLAIN, M_WAITOK));
			assert_ptr_equal(caught.addr, p);
			audit();
			assert_int_equal(stats(M_PLAIN).inuse, 0);
			assert_int_equal(vm_free_pages(), 2048);
			p = kmalloc(n, M_PLAIN, M_WAITOK);
			assert_non_null(p);
			kfree(p, M_PLAIN);
		}
	}
	/* A slab is made of the same pages. */
	p = kmalloc(65536, M_PLAIN, M_WAITOK);
	kfree(p, M_PLAIN);
	p[100] ^= 1;
	assert_why(POISON, sink = kmalloc(64, M_PLAIN, M_WAITOK));
	audit();
	p = kmalloc(64, M_PLAIN, M_WAITOK);
	kfree(p, M_PLAIN);
	halt();
}

/* Pages that somebody else had meanwhile may hold what he left. */
static void
poison_ends_with_the_next_owner(void **state)
{
	char *p, *run;

	(void)state;
	boot_debug(KA_DEBUG_POISON);
	p = kmalloc(65536, M_PLAIN, M_WAITOK);
	kfree(p, M_PLAIN);
	run = vm_page_alloc(8, 0, VM_ALLOC_NORMAL);
	assert_ptr_equal(run, p);
	memset(run, 7, 8 * 4096);
	vm_page_free(run, 8);
	p = kmalloc(65536, M_PLAIN, M_WAITOK);
	assert_ptr_equal(run, p);
	kfree(p, M_PLAIN);
	halt();
}

static void
trail_of_whole_pages(void **state)
{
	struct ka_trail t, u;
	char *p;

	(void)state;
	boot_debug(KA_DEBUG_ALL);
	p = kmalloc(20000, M_PLAIN, M_WAITOK);
	assert_true(kmalloc_trail(p, &t));
	check_event(&t.alloc, 0);
	assert_int_equal(t.free.serial, 0);
	assert_true(kmalloc_trail(p + 9000, &u));
	assert_int_equal(u.alloc.serial, t.alloc.serial);
	p[kmalloc_usable_size(p)] ^= 1;
	assert_why(REDZONE, kfree(p, M_PLAIN));
	assert_int_equal(caught.trail.alloc.serial, t.alloc.serial);
	p[kmalloc_usable_size(p)] ^= 1;
	kfree(p, M_PLAIN);
	assert_true(kmalloc_trail(p, &t));
	check_event(&t.free, t.alloc.serial);
	/* Both are told when the pages turn out to be written. */
	p[9000] ^= 1;
	assert_why(POISON, sink = kmalloc(40000, M_PLAIN, M_WAITOK));
	assert_ptr_equal(caught.addr, p);
	assert_int_equal(caught.trail.free.serial, t.free.serial);
	/* A run of pages at its place is not that object. */
	assert_ptr_equal(vm_page_alloc(1, 0, VM_ALLOC_NORMAL), p);
	assert_false(kmalloc_trail(p, &t));
	vm_page_free(p, 1);
	halt();
}

/* There is one for every page of the largest budget. */
static void
trail_of_the_largest_budget(void **state)
{
	const struct kalloc_config config = {
		.ncpus = 1, .pages = KALLOC_PAGES_MAX, .debug = KA_DEBUG_AUDIT
	};
	struct ka_trail t;
	char *run, *p;

	(void)state;
	boot(&config);
	run = vm_page_alloc(KALLOC_PAGES_MAX - 5, 0, VM_ALLOC_NORMAL);
	assert_non_null(run);
	p = kmalloc(20000, M_PLAIN, M_WAITOK);
	assert_true(kmalloc_trail(p, &t));
	check_event(&t.alloc, 0);
	kfree(p, M_PLAIN);
	vm_page_free(run, KALLOC_PAGES_MAX - 5);
	halt();
}

/* Trail and marks of large objects are a service: without memory there are
 * none, and with it there are. */
static void
large_objects_do_without_memory_for_options(void **state)
{
	struct ka_trail t;
	char *p;

	(void)state;
	boot_debug(0);
	kmalloc_set_debug(M_PLAIN, KA_DEBUG_AUDIT);
	kmalloc_set_debug(M_CHECK, KA_DEBUG_POISON);
	maps = 0;
	refuse_map = 1;
	p = kmalloc(20000, M_PLAIN, M_WAITOK);
	assert_int_equal(maps, 1);
	assert_false(kmalloc_trail(p, &t));
	maps = 0;
	kfree(p, M_PLAIN);
	assert_int_equal(maps, 1);
	p = kmalloc(20000, M_CHECK, M_WAITOK);
	maps = 0;
	kfree(p, M_CHECK);
	assert_int_equal(maps, 1);
	refuse_map = 0;
	p[9000] ^= 1;
	assert_ptr_equal(kmalloc(20000, M_CHECK, M_WAITOK), p);
	kfree(p, M_CHECK);
	p[9000] ^= 1;
	assert_why(POISON, sink = kmalloc(20000, M_CHECK, M_WAITOK));
	assert_false(caught.has_trail);
	/* There is a trail now, but that object was not in it. */
	sink = kmalloc(40000, M_PLAIN, M_WAITOK);
	assert_true(kmalloc_trail(sink, &t));
	p = kmalloc(20000, M_CHECK, M_WAITOK);
	kfree(p, M_CHECK);
	p[9000] ^= 1;
	assert_why(POISON, p = kmalloc(20000, M_CHECK, M_WAITOK));
	assert_ptr_equal(caught.addr, p);
	assert_false(caught.has_trail);
	kfree(sink, M_PLAIN);
	halt();
}

static char *raced;

static void
alloc_meanwhile(void)
{
	raced = kmalloc(20000, M_PLAIN, M_WAITOK);
}

static void
free_meanwhile(void)
{
	kfree(raced, M_PLAIN);
}

/* Two who are the first make the trail, and the marks, once. */
static void
the_first_large_objects_may_be_two(void **state)
{
	struct ka_trail t, u;
	int64_t before;
	char *p;

	(void)state;
	boot_debug(0);
	halt();
	before = mapped_bytes;
	boot_debug(KA_DEBUG_AUDIT | KA_DEBUG_POISON);
	kmalloc_set_unlimited(M_PLAIN);
	map_hook = alloc_meanwhile;
	p = kmalloc(20000, M_PLAIN, M_WAITOK);
	assert_null(map_hook);
	assert_true(kmalloc_trail(raced, &t));
	assert_true(kmalloc_trail(p, &u));
	check_event(&t.alloc, 0);
	check_event(&u.alloc, t.alloc.serial);
	map_hook = free_meanwhile;
	kfree(p, M_PLAIN);
	assert_null(map_hook);
	p[5000] ^= 1;
	assert_why(POISON, sink = kmalloc(20000, M_PLAIN, M_WAITOK));
	assert_true(kmalloc_trail(p, &u));
	raced[5000] ^= 1;
	assert_why(POISON, sink = kmalloc(60000, M_PLAIN, M_WAITOK));
	assert_ptr_equal(caught.addr, raced);
	halt();
	assert_int_equal(mapped_bytes, before);
}

/* Whatever was granted to the type before does not go by the options. */
static void
options_may_come_after_the_first_use(void **state)
{
	char *p;

	(void)state;
	boot_debug(0);
	p = kmalloc(64, M_CHECK, M_WAITOK);
	assert_why(BUSY, kmalloc_set_debug(M_CHECK, KA_DEBUG_REDZONE));
	kfree(p, M_CHECK);
	kmalloc_set_debug(M_CHECK, KA_DEBUG_REDZONE);
	p = kmalloc(64, M_CHECK, M_WAITOK);
	assert_true(slab_chunk(p) > 64);
	p[64] ^= 1;
	assert_why(REDZONE, kfree(p, M_CHECK));
	p[64] ^= 1;
	kfree(p, M_CHECK);
	kmalloc_set_debug(M_CHECK, 0);
	p = kmalloc(64, M_CHECK, M_WAITOK);
	assert_int_equal(slab_chunk(p), 64);
	kfree(p, M_CHECK);
	halt();
}

static atomic_uint user_step;

/* Its CPU was granted objects before the options. */
static void *
user_main(void *arg)
{
	char *p;

	(void)arg;
	kfree(kmalloc(64, M_CHECK, M_WAITOK), M_CHECK);
	atomic_store(&user_step, 1);
	must(wait_until(atomic_load(&user_step) == 2));
	p = kmalloc(64, M_CHECK, M_WAITOK);
	p[64] ^= 1;
	must(strcmp(why_of(kfree(p, M_CHECK)), "redzone") == 0);
	p[64] ^= 1;
	kfree(p, M_CHECK);
	return (NULL);
}

/* Nor does what was granted on another CPU, or without one. */
static void
options_are_for_all_cpus(void **state)
{
	unsigned ncpus, class = km_class_of[64];
	pthread_t t;

	(void)state;
	for (ncpus = 1; ncpus <= 2; ncpus++) {
		const struct kalloc_config config = { .ncpus = ncpus,
			.pages = 2048 };
		const struct km_use *use;

		boot(&config);
		kfree(kmalloc(64, M_CHECK, M_WAITOK), M_CHECK);
		atomic_store(&user_step, 0);
		t = thread_start(user_main, NULL);
		assert_true(wait_until(atomic_load(&user_step) == 1));
		use = cpu_use(cpu_at(1), M_CHECK->ks_cookie);
		assert_true(use->u_left[class] > 0);
		kmalloc_set_debug(M_CHECK, KA_DEBUG_REDZONE);
		assert_int_equal(use->u_left[class], 0);
		atomic_store(&user_step, 2);
		thread_join(t);
		halt();
	}
}

/* ---- Per type --------------------------------------------------------- */

static void
options_of_a_type_are_its_own(void **state)
{
	unsigned char *p, *q;
	struct ka_trail t;

	(void)state;
	boot_debug(0);
	kmalloc_set_debug(M_CHECK, KA_DEBUG_ALL);
	p = kmalloc(64, M_CHECK, M_WAITOK);
	q = kmalloc(64, M_PLAIN, M_WAITOK);
	assert_true(slab_chunk(p) > 64);
	assert_int_equal(slab_chunk(q), 64);
	assert_ptr_not_equal(km_slab_at(p), km_slab_at(q));
	assert_true(kmalloc_trail(p, &t));
	assert_false(kmalloc_trail(q, &t));
	p[64] ^= 1;
	assert_why(REDZONE, kfree(p, M_CHECK));
	p[64] ^= 1;
	kfree(p, M_CHECK);
	kfree(q, M_PLAIN);
	halt();
	boot_debug(KA_DEBUG_ALL);
	kmalloc_set_debug(M_CHECK, 0);
	p = kmalloc(64, M_CHECK, M_WAITOK);
	q = kmalloc(64, M_PLAIN, M_WAITOK);
	assert_int_equal(slab_chunk(p), 64);
	assert_true(slab_chunk(q) > 64);
	kfree(p, M_CHECK);
	kfree(q, M_PLAIN);
	halt();
}

/* ---- The same results (G-11) ------------------------------------------ */

struct record {
	size_t len;
	char text[200000];
};

static void note(struct record *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
note(struct record *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	r->len += (size_t)vsnprintf(
	    r->text + r->len, sizeof(r->text) - r->len, fmt, ap);
	va_end(ap);
	assert_true(r->len < sizeof(r->text));
}

static void
note_stats(struct record *r)
{
	struct kmalloc_stats s = stats(M_CHECK);

	note(r, "calls %llu inuse %llu memuse %llu limit %llu\n",
	    (unsigned long long)s.calls, (unsigned long long)s.inuse,
	    (unsigned long long)s.memuse, (unsigned long long)s.limit);
	audit();
}

/* What is promised of an address, without the address. */
static void
note_object(struct record *r, const unsigned char *p, size_t contents)
{
	size_t align = (uintptr_t)p & -(uintptr_t)p, k;
	size_t usable = kmalloc_usable_size(p), chunk = usable & -usable;
	uint32_t sum = 0;

	if (chunk > 4096)
		chunk = 4096;
	for (k = 0; k < contents; k++)
		sum = sum * 31 + p[k];
	note(r, "usable %zu aligned %d sum %x\n", usable, align >= chunk, sum);
}

struct script_slot {
	unsigned char *p;
	size_t known; /* bytes whose contents are known */
};

static void
script_alloc(struct record *r, struct script_slot *s, uint32_t *seed)
{
	static const int flags[] = { M_WAITOK, M_NOWAIT, M_WAITOK | M_ZERO,
		M_NOWAIT | M_ZERO, M_WAITOK | M_POWEROF2,
		M_NOWAIT | M_CACHEALIGN | M_ZERO };
	int f = flags[next_random(seed) % COUNT_OF(flags)];
	size_t size = next_random(seed) % (1u << next_random(seed) % 16);

	s->p = kmalloc(size, M_CHECK, f);
	s->known = (f & M_ZERO) != 0 ? kmalloc_usable_size(s->p) : 0;
	if (size == 0) {
		note(r, "zero %d\n", s->p == ZERO_LENGTH_PTR);
		kfree(s->p, M_CHECK);
		s->p = NULL;
		return;
	}
	if ((f & M_CACHEALIGN) != 0)
		note(r, "line %d\n", (uintptr_t)s->p % 64 == 0);
	note_object(r, s->p, s->known);
	memset(s->p, (int)size, size);
	if (s->known < size)
		s->known = size;
}

static void
script_realloc(struct record *r, struct script_slot *s, uint32_t *seed)
{
	size_t size = next_random(seed) % (1u << next_random(seed) % 15);

	s->p = krealloc(s->p, size, M_CHECK, M_WAITOK);
	if (size == 0) {
		note(r, "null %d\n", s->p == NULL);
		s->p = NULL;
		return;
	}
	if (s->known > kmalloc_usable_size(s->p))
		s->known = kmalloc_usable_size(s->p);
	note_object(r, s->p, s->known);
}

static void
script_misuse(struct record *r, unsigned char *p)
{
	note(r, "%s ", why_of(kfree(p, M_PLAIN)));
	note(r, "%s ", why_of(kfree(p + 1, M_CHECK)));
	note(r, "%s ", why_of(sink = krealloc(p, 8, M_PLAIN, M_WAITOK)));
	note(r, "%s ", why_of(sink = kmalloc(SIZE_MAX, M_CHECK, M_WAITOK)));
	note(r, "%d\n", kmalloc(SIZE_MAX - 70, M_CHECK, M_NOWAIT) == NULL);
}

static void
alloc_at_limit(void)
{
	sink = kmalloc_powerof2(9000, M_CHECK, M_RNOWAIT);
}

static void
run_script(struct record *r)
{
	enum {
		SLOTS = 100
	};
	struct script_slot slot[SLOTS] = { { NULL, 0 } };
	uint32_t seed = 2026;
	unsigned i;

	for (i = 0; i < 6000; i++) {
		struct script_slot *s = &slot[next_random(&seed) % SLOTS];

		if (s->p == NULL) {
			script_alloc(r, s, &seed);
		} else if (next_random(&seed) % 3 == 0) {
			script_realloc(r, s, &seed);
		} else {
			note_object(r, s->p, s->known);
			if (i % 50 == 0)
				script_misuse(r, s->p);
			kfree(s->p, M_CHECK);
			s->p = NULL;
		}
		if (i % 100 == 0)
			note_stats(r);
	}
	slot[0].p = krealloc(slot[0].p, 3, M_CHECK, M_NOWAIT);
	for (i = 0; i < SLOTS; i++)
		if (slot[i].p != NULL)
			kfree(slot[i].p, M_CHECK);
	sink = kstrndup("some words", 6, M_CHECK);
	note_object(r, sink, 7);
	kfree(sink, M_CHECK);
	sink = kmalloc(200 * 4096, M_CHECK, M_WAITOK);
	sink = krealloc(sink, 210 * 4096, M_CHECK, M_WAITOK);
	/* Whole pages have no grants: the limit is exact. */
	note(r, "limit %d ", kmalloc(9000, M_CHECK, M_NOWAIT) == NULL);
	note(r, "%s\n", why_of(alloc_at_limit()));
	kfree(sink, M_CHECK);
	note_stats(r);
}

static void
results_are_those_of_the_plain_build(void **state)
{
	static struct record plain, with;
	unsigned debug, mode;

	(void)state;
	boot_debug(0);
	run_script(&plain);
	halt();
	assert_true(plain.len > 10000);
	for (mode = 0; mode < 2; mode++)
		for (debug = 0; debug <= KA_DEBUG_ALL; debug++) {
			boot_debug(mode == 0 ? debug : 0);
			if (mode == 1)
				kmalloc_set_debug(M_CHECK, debug);
			memset(&with, 0, sizeof(with));
			run_script(&with);
			halt();
			assert_string_equal(plain.text, with.text);
		}
}

static void *_Atomic trailed;
static atomic_bool trails_end;

/* An object that is soon free, of a slab that is soon given back. */
static void *
trim_main(void *arg)
{
	void *p;

	(void)arg;
	while (!atomic_load(&trails_end)) {
		p = kmalloc(64, M_CHECK, M_WAITOK);
		atomic_store(&trailed, p);
		kfree(p, M_CHECK);
		(void)kmalloc_trim();
	}
	return (NULL);
}

/* ... and who asks meanwhile what is remembered of it may be told nothing. */
static void
trails_are_read_while_slabs_go(void **state)
{
	unsigned long i, told = 0;
	struct ka_trail t;
	pthread_t th;

	(void)state;
#ifdef KA_TSAN
	skip(); /* what is told of an object that changes is not ordered */
#endif
	boot_debug(KA_DEBUG_AUDIT);
	atomic_store(&trails_end, false);
	th = thread_start(trim_main, NULL);
	for (i = 0; i < 30000000 || (told == 0 && i < 200000000); i++)
		told += kmalloc_trail(atomic_load(&trailed), &t);
	atomic_store(&trails_end, true);
	thread_join(th);
	assert_true(told != 0);
	/* What is in a slab's place is not remembered by its trail. */
	sink = kmalloc(64, M_CHECK, M_WAITOK);
	assert_true(kmalloc_trail(sink, &t));
	assert_int_equal(t.free.serial, 0);
	kfree(sink, M_CHECK);
	halt();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(redzone_sees_every_byte_behind_an_object),
		cmocka_unit_test(redzone_begins_behind_the_usable_size),
		cmocka_unit_test(redzone_is_checked_by_remote_frees),
		cmocka_unit_test(redzone_holds_for_what_was_granted_before),
		cmocka_unit_test(krealloc_checks_the_redzone),
		cmocka_unit_test(redzone_outlasts_a_failed_allocation),
		cmocka_unit_test(poison_sees_every_byte_of_a_free_object),
		cmocka_unit_test(poison_hides_what_was_there),
		cmocka_unit_test(poison_is_written_by_remote_frees),
		cmocka_unit_test(trail_tells_last_allocation_and_free),
		cmocka_unit_test(panics_of_damage_have_the_trail),
		cmocka_unit_test(trail_is_only_where_it_was_asked_for),
		cmocka_unit_test(redzone_is_behind_whole_pages),
		cmocka_unit_test(redzone_goes_without_where_pages_are_short),
		cmocka_unit_test(poison_sees_what_is_written_on_free_pages),
		cmocka_unit_test(poison_ends_with_the_next_owner),
		cmocka_unit_test(trail_of_whole_pages),
		cmocka_unit_test(trail_of_the_largest_budget),
		cmocka_unit_test(large_objects_do_without_memory_for_options),
		cmocka_unit_test(the_first_large_objects_may_be_two),
		cmocka_unit_test(options_may_come_after_the_first_use),
		cmocka_unit_test(options_are_for_all_cpus),
		cmocka_unit_test(options_of_a_type_are_its_own),
		cmocka_unit_test(trails_are_read_while_slabs_go),
		cmocka_unit_test(results_are_those_of_the_plain_build),
	};

	return (cmocka_run_group_tests_name("debug", tests, NULL, NULL));
}
