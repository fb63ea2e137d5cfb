/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: the older interface of the zone allocator (ZN-30 to ZN-33).
 * Method: zones on static memory before boot, completed after it, through
 * several systems; exact counts; every misuse.
 */
#define KALLOC_TEST_MAPS
#include "kalloc_test.h"

#include <errno.h>

static const struct kalloc_config two_cpus = { .ncpus = 2, .pages = 256 };

static unsigned
take_all(vm_zone_t z, void **p, unsigned max)
{
	unsigned n = 0;

	while (n < max && (p[n] = zalloc(z)) != NULL)
		n++;
	return (n);
}

static void
give_all(vm_zone_t z, void **p, unsigned n)
{
	while (n > 0)
		zfree(z, p[--n]);
}

static void
no_system(void)
{
	(void)ka_panic_set_handler(catch_panic);
	if (kalloc_is_up())
		(void)kalloc_halt(true, NULL, NULL);
}

static unsigned nleaks;

static void
count_leak(void *arg, const struct kalloc_leak *leak)
{
	(void)arg;
	assert_string_equal(leak->name, "boot");
	nleaks += (unsigned)leak->count;
}

/* Exactly its items before boot; then, completed, it grows (ZN-30, ZN-31). */
static void
a_zone_works_before_boot(void **state)
{
	static char items[30][36];
	struct vm_zone z = { NULL };
	void *p[300];
	unsigned i, n, round;

	(void)state;
	no_system();
	zbootinit(&z, "boot", 36, items, 30);
	for (round = 0; round < 3; round++) {
		n = take_all(&z, p, 300);
		assert_int_equal(n, 30);
		for (i = 0; i < n; i++) {
			assert_true((char *)p[i] >= items[0] &&
			    (char *)p[i] <= items[29]);
			assert_int_equal(((char *)p[i] - items[0]) % 36, 0);
			assert_true(all_are(p[i], (int)round, 36));
			memset(p[i], (int)round + 1, 36);
		}
		assert_int_equal(zinitna(&z, "early", 36, 10, 0), 0);
		boot(&two_cpus);
		assert_null(zalloc(&z));
		assert_int_equal(zinitna(&z, "boot", 36, 10, 0), 1);
		n += take_all(&z, p + n, 170);
		assert_int_equal(n, 200);
		assert_true(all_are(p[199], 0, 36));
		audit();
		assert_why(BUSY,
		    sink = (void *)(intptr_t)zinitna(&z, "boot", 36, 10, 0));
		nleaks = 0;
		assert_int_equal(kalloc_halt(false, count_leak, NULL), EBUSY);
		assert_int_equal(nleaks, 170);
		/* Static items may be held over a halt. */
		if (round < 2)
			give_all(&z, p + 30, 170);
		assert_int_equal(kalloc_halt(round == 2, NULL, NULL), 0);
		assert_null(zalloc(&z));
		if (round == 2)
			assert_why(FOREIGN, zfree(&z, p[50]));
		give_all(&z, p, 30);
	}
	assert_why(DOUBLE_FREE, zfree(&z, p[4]));
	assert_why(INTERIOR, zfree(&z, (char *)p[4] + 1));
	assert_why(FOREIGN, zfree(&z, &z));
	/* Other memory, the same storage: it lives. */
	assert_why(BUSY, zbootinit(&z, "again", 36, items, 30));
}

/* With ZONE_INTERRUPT the maximum is exact (ZN-32, X25). */
static void
an_interrupt_zone_has_its_entries(void **state)
{
	static const long entries[] = { 1, 3, 4, 50, 200 };
	static char items[8][40];
	unsigned i, turn;
	void *p[300];

	(void)state;
	for (i = 0; i < COUNT_OF(entries); i++) {
		struct vm_zone z = { NULL };
		vm_zone_t y;

		no_system();
		boot(&two_cpus);
		y = zinit("interrupt", 40, entries[i],
		    ZONE_INTERRUPT | ZONE_DESTROYABLE);
		assert_non_null(y);
		zbootinit(&z, "boot", 40, items, 8);
		assert_int_equal(zinitna(&z, "boot", 40, entries[i],
				     ZONE_INTERRUPT | ZONE_DESTROYABLE),
		    1);
		for (turn = 0; turn < 3; turn++) {
			assert_int_equal(take_all(y, p, 300), entries[i]);
			give_all(y, p, (unsigned)entries[i]);
			assert_int_equal(take_all(&z, p, 300), entries[i] + 8);
			give_all(&z, p, (unsigned)entries[i] + 8);
			audit();
		}
		zdestroy(y);
		zdestroy(&z);
		halt();
	}
}

/* A halt makes it what zbootinit() made it: without a maximum (ZN-31). */
static void
a_halt_forgets_the_entries(void **state)
{
	static char items[8][40];
	struct vm_zone z = { NULL };
	void *p[100];

	(void)state;
	no_system();
	boot(&two_cpus);
	zbootinit(&z, "boot", 40, items, 8);
	assert_int_equal(zinitna(&z, "boot", 40, 4, ZONE_INTERRUPT), 1);
	assert_int_equal(take_all(&z, p, 100), 12);
	give_all(&z, p, 12);
	uma_reclaim(UMA_RECLAIM_DRAIN_CPU);
	halt();
	boot(&two_cpus);
	assert_int_equal(zinitna(&z, "boot", 40, 4, ZONE_DESTROYABLE), 1);
	assert_int_equal(take_all(&z, p, 100), 100);
	give_all(&z, p, 100);
	zdestroy(&z);
	halt();
}

static unsigned asked; /* the page layer, for pages */

static enum vm_observe
count_and_refuse(void *arg, size_t npages, size_t align, unsigned flags)
{
	(void)arg;
	(void)npages;
	(void)align;
	(void)flags;
	asked++;
	return (VM_OBSERVE_FAIL);
}

/* Where no CPU has a cache there is nothing to look at before it gives up: it
 * asks for pages once. */
static void
a_zone_without_caches_asks_once(void **state)
{
	const struct vm_observer none = { .ask = count_and_refuse };
	static char items[2][40];
	struct vm_zone z = { NULL };
	void *p[3];

	(void)state;
	boot(&two_cpus);
	zbootinit(&z, "boot", 40, items, 2);
	assert_int_equal(zinitna(&z, "boot", 40, 1, ZONE_DESTROYABLE), 1);
	asked = 0;
	vm_page_observe(&none);
	assert_int_equal(take_all(&z, p, 3), 2);
	vm_page_observe(NULL);
	assert_int_equal(asked, 1);
	give_all(&z, p, 2);
	zdestroy(&z);
	halt();
}

struct hoard {
	vm_zone_t z;
	unsigned n;
};

static void *
hoard_main(void *arg)
{
	struct hoard *h = arg;
	void *p[300];

	h->n = take_all(h->z, p, 100);
	give_all(h->z, p, h->n);
	return (NULL);
}

/* What other CPUs cache is had before zalloc() gives up (X25). */
static void
nothing_is_hoarded(void **state)
{
	static const uint32_t flags[] = { ZONE_INTERRUPT,
		ZONE_INTERRUPT | ZONE_PANICFAIL };
	unsigned f;
	void *p[300];

	(void)state;
	for (f = 0; f < COUNT_OF(flags); f++) {
		struct hoard h;
		pthread_t t;

		boot(&two_cpus);
		h.z = zinit("hoard", 64, 100, flags[f] | ZONE_DESTROYABLE);
		zfree(h.z, zalloc(h.z)); /* this thread has its CPU */
		t = thread_start(hoard_main, &h);
		thread_join(t);
		assert_int_equal(h.n, 100);
		assert_int_equal(take_all(h.z, p, 100), 100);
		if ((flags[f] & ZONE_PANICFAIL) != 0)
			assert_why(LIMIT, sink = zalloc(h.z));
		else
			assert_null(zalloc(h.z));
		give_all(h.z, p, 100);
		zdestroy(h.z);
		halt();
	}
}

/* How deep zones dig (ZN-32). */
static void
flags_say_how_deep_to_dig(void **state)
{
	static const struct kalloc_config config = { .ncpus = 1,
		.pages = 64,
		.reserve_system = 20,
		.reserve_interrupt = 8 };
	static const struct {
		uint32_t flags;
		unsigned pages;
	} of[] = { { 0, 44 }, { ZONE_USE_RESERVE, 56 }, { ZONE_INTERRUPT, 64 },
		{ ZONE_INTERRUPT | ZONE_USE_RESERVE, 64 } };
	unsigned i;
	void *p[100];

	(void)state;
	for (i = 0; i < COUNT_OF(of); i++) {
		vm_zone_t z;

		boot(&config);
		z = zinit("deep", 4096, 99, of[i].flags | ZONE_DESTROYABLE);
		assert_int_equal(take_all(z, p, 100), of[i].pages);
		assert_why(BUSY, zdestroy(z));
		give_all(z, p, of[i].pages);
		zdestroy(z);
		halt();
	}
}

static void
contents_are_kept(void **state)
{
	unsigned char *p;
	vm_zone_t z;

	(void)state;
	boot(&two_cpus);
	z = zinit("contents", 20, 0, ZONE_DESTROYABLE);
	p = zalloc(z);
	assert_true(all_are(p, 0, 20));
	memset(p, 0x5a, 20);
	zfree(z, p);
	assert_ptr_equal(zalloc(z), p);
	assert_true(all_are(p, 0x5a, 20)); /* every byte (ZN-33) */
	zfree(z, p);
	zdestroy(z);
	halt();
}

static void
misuse_is_found(void **state)
{
	static char items[64];
	struct vm_zone none = { NULL }, copy, storage = { NULL };
	vm_zone_t z, y;
	void *p;

	(void)state;
	boot(&two_cpus);
	assert_why(BAD_ARG, sink = zinit("bad", 0, 1, 0));
	assert_why(BAD_ARG, sink = zinit("bad", UMA_SIZE_MAX + 1, 1, 0));
	assert_why(BAD_ARG, sink = zinit("bad", 8, 1, 0x4));
	assert_why(BAD_ARG, sink = zinit("bad", 8, 0, ZONE_INTERRUPT));
	assert_why(BAD_ARG, sink = zinit("bad", 8, -1, ZONE_INTERRUPT));
	assert_why(BAD_ARG, zbootinit(&none, "bad", 8, items, 0));
	assert_why(BAD_ARG, zbootinit(&none, "bad", 8, NULL, 1));
	assert_why(BAD_ARG, zbootinit(&none, "bad", 0, items, 1));
	z = zinit("stays", 24, 1, 0);
	y = zinit("goes", 24, 1, ZONE_DESTROYABLE);
	copy = *z;
	p = zalloc(z);
	assert_why(NULL_FREE, zfree(z, NULL));
	assert_why(WRONG_ZONE, zfree(y, p));
	assert_why(INTERIOR, zfree(z, (char *)p + 8));
	assert_why(BAD_HANDLE, zfree(&copy, (char *)p + 8));
	assert_why(BAD_HANDLE, zfree(&copy, p));
	assert_why(BAD_HANDLE, sink = zalloc(&copy));
	assert_ptr_equal(caught.addr, &copy);
	assert_why(BAD_HANDLE, sink = zalloc(&none));
	assert_why(BAD_HANDLE, sink = zalloc(NULL));
	assert_why(BAD_HANDLE, zfree(&none, p));
	assert_why(BAD_HANDLE, zdestroy(&none));
	assert_why(BAD_ARG, zdestroy(z));
	zfree(z, p);
	assert_why(DOUBLE_FREE, zfree(z, p));
	assert_why(BAD_ARG, zdestroy(z));
	zfree(y, zalloc(y));
	zdestroy(y);
	assert_why(BAD_HANDLE, sink = zalloc(y));
	assert_why(BAD_HANDLE, zdestroy(y));
	zbootinit(&storage, "boot", 32, items, 2);
	assert_why(BAD_ARG,
	    sink = (void *)(intptr_t)zinitna(&storage, "boot", 33, 1, 0));
	assert_int_equal(zinitna(&storage, "boot", 32, 1, ZONE_DESTROYABLE), 1);
	zdestroy(&storage);
	assert_null(storage.z_private);
	assert_int_equal(zinitna(&storage, "anew", 32, 1, ZONE_DESTROYABLE), 1);
	uma_reclaim(UMA_RECLAIM_DRAIN_CPU);
	halt();
	/* What an ended system left in it is no zone. */
	assert_why(BAD_HANDLE, sink = zalloc(&storage));
	assert_why(BAD_HANDLE, sink = zalloc(z));
	assert_ptr_equal(caught.addr, z);
	boot(&two_cpus);
	assert_int_equal(zinitna(&storage, "next", 32, 1, ZONE_DESTROYABLE), 1);
	zdestroy(&storage);
	halt();
}

/* What there is no room for is not made, and nothing is left of it. */
static void
what_cannot_be_made_is_told(void **state)
{
	static char items[8][64];
	static uma_zone_t all[1100];
	struct vm_zone z = { NULL }, copy;
	unsigned n;
	vm_zone_t y;

	(void)state;
	no_system();
	assert_null(zinit("no system", 64, 0, 0));
	assert_int_equal(zinitna(&z, "no system", 64, 0, 0), 0);
	assert_null(z.z_private);
	boot(&two_cpus);
	maps = 0;
	refuse_map = 1;
	assert_null(zinit("no memory", 64, 0, 0));
	refuse_map = 0;
	assert_why(
	    BAD_HANDLE, zbootinit(NULL, "nowhere", 64, items, COUNT_OF(items)));
	assert_why(BAD_HANDLE,
	    sink = (void *)(intptr_t)zinitna(NULL, "nowhere", 64, 0, 0));
	assert_why(
	    BAD_ARG, zbootinit(&z, "many", 64, items, (long)UINT32_MAX + 1));
	/* A copy of a zone's storage is another zone's. */
	assert_int_equal(zinitna(&z, "first", 64, 0, ZONE_DESTROYABLE), 1);
	copy = z;
	assert_int_equal(zinitna(&copy, "second", 64, 0, ZONE_DESTROYABLE), 1);
	assert_ptr_not_equal(copy.z_private, z.z_private);
	zdestroy(&copy);
	zdestroy(&z);
	for (n = 0; n < COUNT_OF(all); n++) {
		all[n] = uma_zcreate(
		    "all", 64, NULL, NULL, NULL, NULL, 0, UMA_ZONE_NOBUCKET);
		if (all[n] == NULL)
			break;
	}
	assert_true(n > 1000 && n < COUNT_OF(all));
	assert_why(
	    LIMIT, zbootinit(&z, "one more", 64, items, COUNT_OF(items)));
	assert_null(zinit("one more", 64, 0, 0));
	audit();
	/* Any record may serve again. */
	uma_zdestroy(all[5]);
	y = zinit("in its place", 64, 0, ZONE_DESTROYABLE);
	assert_non_null(y);
	zdestroy(y);
	all[5] = all[--n];
	while (n > 0)
		uma_zdestroy(all[--n]);
	halt();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_zone_works_before_boot),
		cmocka_unit_test(an_interrupt_zone_has_its_entries),
		cmocka_unit_test(a_halt_forgets_the_entries),
		cmocka_unit_test(a_zone_without_caches_asks_once),
		cmocka_unit_test(nothing_is_hoarded),
		cmocka_unit_test(flags_say_how_deep_to_dig),
		cmocka_unit_test(contents_are_kept),
		cmocka_unit_test(misuse_is_found),
		cmocka_unit_test(what_cannot_be_made_is_told),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
