/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: the page layer keeps VM-1 to VM-7.
 * Method: the public interface on small budgets, boundary by boundary; a
 * random walk against an array of who has which page; the auditor is shown
 * damage that it must see.
 */
#define KALLOC_TEST_MAPS
#include "kalloc_test.h"

#include "vm_page_int.h"

MALLOC_DEFINE(M_PAGES, "pages-test", "what shares the budget with runs");

static void
runs_are_aligned_and_apart(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 7, 15, 16, 17, 33, 64, 65 };
	const struct kalloc_config config = { .ncpus = 1, .pages = 1000 };
	char *run[17][COUNT_OF(sizes)] = { { NULL } };
	unsigned a, i;

	(void)state;
	boot(&config);
	for (a = 0; a <= 16; a++) {
		size_t align = a == 0 ? 0 : (size_t)1 << a;
		size_t real = align < 4096 ? 4096 : align;

		for (i = 0; i < COUNT_OF(sizes); i++) {
			char *p =
			    vm_page_alloc(sizes[i], align, VM_ALLOC_NORMAL);

			if (p == NULL)
				continue;
			assert_int_equal((uintptr_t)p % real, 0);
			memset(p, (int)(a * 16 + i), sizes[i] * 4096);
			run[a][i] = p;
		}
		audit();
	}
	for (a = 0; a <= 16; a++)
		for (i = 0; i < COUNT_OF(sizes); i++) {
			if (run[a][i] == NULL)
				continue;
			assert_true(all_are(
			    run[a][i], (int)(a * 16 + i), sizes[i] * 4096));
			vm_page_free(run[a][i], sizes[i]);
		}
	halt();
}

/* VM-1: the budget, whatever its remainder by slots and words. */
static void
every_page_of_the_budget_can_be_had(void **state)
{
	static const size_t budgets[] = { 32, 33, 47, 63, 64, 65, 100, 127, 128,
		1000 };
	unsigned b;
	size_t i;

	(void)state;
	for (b = 0; b < COUNT_OF(budgets); b++) {
		const struct kalloc_config config = { .ncpus = 1,
			.pages = budgets[b] };
		char *lowest = NULL;

		boot(&config);
		for (i = 0; i < budgets[b]; i++) {
			char *p = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);

			assert_non_null(p);
			if (lowest == NULL || p < lowest)
				lowest = p;
			*p = 1;
		}
		assert_ptr_equal(vm_stats().base, lowest);
		assert_null(vm_page_alloc(1, 0, VM_ALLOC_INTERRUPT));
		assert_int_equal(vm_free_pages(), 0);
		audit();
		for (i = 0; i < budgets[b]; i++)
			vm_page_free(lowest + i * 4096, 1);
		for (i = 0; i < budgets[b] / 16; i++)
			assert_non_null(
			    vm_page_alloc(16, 65536, VM_ALLOC_NORMAL));
		assert_null(vm_page_alloc(16, 65536, VM_ALLOC_NORMAL));
		for (i = 0; i < budgets[b] / 16; i++)
			vm_page_free(lowest + i * 65536, 16);
		sink = vm_page_alloc(budgets[b], 0, VM_ALLOC_NORMAL);
		assert_ptr_equal(sink, lowest);
		vm_page_free(lowest, budgets[b]);
		assert_null(vm_page_alloc(budgets[b] + 1, 0, VM_ALLOC_NORMAL));
		assert_null(vm_page_alloc(SIZE_MAX, 0, VM_ALLOC_NORMAL));
		halt();
	}
}

/* No slot is free: nor is there one behind the last. */
static void
used_slots_are_not_had(void **state)
{
	const struct kalloc_config config = { .ncpus = 1, .pages = 16384 };
	static void *run[1024];
	unsigned i;

	(void)state;
	boot(&config);
	for (i = 0; i < 1024; i++) {
		run[i] = vm_page_alloc(15, 65536, VM_ALLOC_NORMAL);
		assert_non_null(run[i]);
	}
	assert_int_equal(vm_free_pages(), 1024);
	assert_null(vm_page_alloc(16, 65536, VM_ALLOC_NORMAL));
	audit();
	for (i = 0; i < 1024; i++)
		vm_page_free(run[i], 15);
	halt();
}

static void
scattered_pages_are_no_run(void **state)
{
	const struct kalloc_config config = { .ncpus = 1, .pages = 64 };
	char *base;
	unsigned i;

	(void)state;
	boot(&config);
	base = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
	for (i = 1; i < 64; i++)
		assert_non_null(vm_page_alloc(1, 0, VM_ALLOC_NORMAL));
	for (i = 0; i < 64; i += 2)
		vm_page_free(base + i * 4096, 1);
	assert_int_equal(vm_free_pages(), 32);
	assert_null(vm_page_alloc(2, 0, VM_ALLOC_NORMAL));
	vm_page_free(base + 31 * 4096, 1);
	assert_null(vm_page_alloc(2, 65536, VM_ALLOC_NORMAL));
	assert_null(vm_page_alloc(2, 16384, VM_ALLOC_NORMAL));
	/* 30, 31, 32 are free. */
	assert_ptr_equal(
	    vm_page_alloc(3, 8192, VM_ALLOC_NORMAL), base + 30 * 4096);
	audit();
	vm_page_free(base + 30 * 4096, 3);
	for (i = 1; i < 64; i += 2)
		if (i != 31)
			vm_page_free(base + i * 4096, 1);
	halt();
}

/* VM-3: the last page that each depth may take, one at a time and in runs. */
static void
depths_stop_at_their_reserve(void **state)
{
	const struct kalloc_config config = { .ncpus = 1,
		.pages = 64,
		.reserve_system = 16,
		.reserve_interrupt = 5 };
	static const struct {
		unsigned flags;
		size_t left;
	} depth[] = { { VM_ALLOC_NORMAL, 16 }, { VM_ALLOC_SYSTEM, 5 },
		{ VM_ALLOC_INTERRUPT, 0 } };
	unsigned d;
	char *base, *at;

	(void)state;
	boot(&config);
	assert_int_equal(vm_stats().reserve_system, 16);
	assert_int_equal(vm_stats().reserve_interrupt, 5);
	for (d = 0; d < 3; d++) {
		size_t n = 64 - depth[d].left;

		assert_null(vm_page_alloc(n + 1, 0, depth[d].flags));
		base = vm_page_alloc(n, 0, depth[d].flags);
		assert_non_null(base);
		assert_null(vm_page_alloc(1, 0, depth[d].flags));
		vm_page_free(base, n);
	}
	base = at = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
	for (d = 0; d < 3; d++) {
		while (vm_free_pages() > depth[d].left) {
			at = vm_page_alloc(1, 0, depth[d].flags);
			assert_non_null(at);
		}
		assert_null(vm_page_alloc(1, 0, depth[d].flags));
		assert_int_equal(vm_free_pages(), depth[d].left);
	}
	vm_page_free(at, 1);
	assert_null(vm_page_alloc(1, 0, VM_ALLOC_NORMAL));
	assert_null(vm_page_alloc(1, 0, VM_ALLOC_SYSTEM));
	assert_ptr_equal(vm_page_alloc(1, 0, VM_ALLOC_INTERRUPT), at);
	for (d = 0; d < 64; d++)
		vm_page_free(base + d * 4096, 1);
	halt();
}

static void
kmalloc_flags_choose_the_depth(void **state)
{
	const struct kalloc_config config = { .ncpus = 1,
		.pages = 64,
		.reserve_system = 16,
		.reserve_interrupt = 4 };
	static const struct {
		int flags;
		size_t left;
	} depth[] = { { M_RNOWAIT | M_NULLOK, 16 }, { M_NOWAIT, 4 },
		{ M_SYSNOWAIT, 4 }, { M_INTNOWAIT, 0 } };
	void *p[16];
	unsigned d, n;

	(void)state;
	boot(&config);
	kmalloc_set_unlimited(M_PAGES);
	for (d = 0; d < COUNT_OF(depth); d++) {
		for (n = 0; n < 16; n++) {
			p[n] = kmalloc(16384, M_PAGES, depth[d].flags);
			if (p[n] == NULL)
				break;
		}
		assert_int_equal(vm_free_pages(), depth[d].left);
		while (n-- > 0)
			kfree(p[n], M_PAGES);
	}
	halt();
}

/* VM-4 */
static void
zero_is_honoured_on_recycled_pages(void **state)
{
	const struct kalloc_config config = { .ncpus = 1, .pages = 128 };
	uint32_t seed = 7;
	unsigned i;

	(void)state;
	boot(&config);
	for (i = 0; i < 300; i++) {
		size_t n = 1 + next_random(&seed) % 40;
		unsigned zero = next_random(&seed) % 2 ? VM_ALLOC_ZERO : 0;
		char *p = vm_page_alloc(n, 0, VM_ALLOC_NORMAL | zero);
		char *q =
		    vm_page_alloc(1, 65536, VM_ALLOC_SYSTEM | VM_ALLOC_ZERO);

		assert_non_null(p);
		assert_non_null(q);
		if (zero != 0)
			assert_true(all_are(p, 0, n * 4096));
		assert_true(all_are(q, 0, 4096));
		memset(p, 0xee, n * 4096);
		memset(q, 0xdd, 4096);
		vm_page_free(p, n);
		vm_page_free(q, 1);
	}
	halt();
}

/* ---- The observer (VM-6) ---------------------------------------------- */

struct watch {
	unsigned tries, allocs, refused, frees;
	unsigned fail_at, fail_to; /* of tries, from 1 */
	enum vm_observe fail_as;
	size_t held, npages_last, align_last;
	unsigned flags_last;
	void *addr_last;
};

static enum vm_observe
watch_try(void *arg, size_t npages, size_t align, unsigned flags)
{
	struct watch *w = arg;

	w->tries++;
	w->npages_last = npages;
	w->align_last = align;
	w->flags_last = flags;
	return (w->tries >= w->fail_at && w->tries <= w->fail_to ?
		w->fail_as :
		VM_OBSERVE_PASS);
}

static void
watch_alloc(void *arg, void *addr, size_t npages, size_t align, unsigned flags,
    enum vm_observe verdict)
{
	struct watch *w = arg;
	bool injected = w->tries >= w->fail_at && w->tries <= w->fail_to;

	assert_int_equal(npages, w->npages_last);
	assert_int_equal(align, w->align_last);
	assert_int_equal(flags, w->flags_last);
	assert_int_equal(verdict, injected ? w->fail_as : VM_OBSERVE_PASS);
	if (verdict != VM_OBSERVE_PASS)
		assert_null(addr);
	w->addr_last = addr;
	if (addr != NULL) {
		w->allocs++;
		w->held += npages;
	} else {
		w->refused++;
	}
}

static void
watch_free(void *arg, void *addr, size_t npages)
{
	struct watch *w = arg;

	w->frees++;
	w->held -= npages;
	w->addr_last = addr;
}

static void
watch_start(struct watch *w, unsigned fail_at, unsigned fail_to,
    enum vm_observe fail_as)
{
	const struct vm_observer o = { .ask = watch_try,
		.alloc = watch_alloc,
		.free = watch_free,
		.arg = w };

	memset(w, 0, sizeof(*w));
	w->fail_at = fail_at;
	w->fail_to = fail_to;
	w->fail_as = fail_as;
	vm_page_observe(&o);
}

static void
observer_sees_every_allocation_and_free(void **state)
{
	const struct kalloc_config config = { .ncpus = 1, .pages = 64 };
	struct watch w;
	void *p, *q, *chunk;

	(void)state;
	boot(&config);
	watch_start(&w, 0, 0, VM_OBSERVE_PASS);
	p = vm_page_alloc(3, 8192, VM_ALLOC_SYSTEM | VM_ALLOC_ZERO);
	assert_ptr_equal(w.addr_last, p);
	assert_int_equal(w.npages_last, 3);
	assert_int_equal(w.align_last, 8192);
	assert_int_equal(w.flags_last, VM_ALLOC_SYSTEM | VM_ALLOC_ZERO);
	q = kmalloc(12000, M_PAGES, M_WAITOK);
	assert_ptr_equal(w.addr_last, q);
	assert_int_equal(w.npages_last, 3);
	assert_int_equal(w.flags_last, VM_ALLOC_NORMAL);
	chunk = kmalloc(64, M_PAGES, M_NOWAIT);
	assert_int_equal(w.npages_last, 16);
	assert_int_equal(w.align_last, 65536);
	assert_int_equal(w.held, 64 - vm_free_pages());
	assert_null(vm_page_alloc(64, 0, VM_ALLOC_NORMAL));
	assert_int_equal(w.refused, 1);
	kfree(chunk, M_PAGES);
	kfree(q, M_PAGES);
	vm_page_free(p, 3);
	assert_ptr_equal(w.addr_last, p);
	(void)kmalloc_trim();
	assert_int_equal(w.held, 0);
	assert_int_equal(w.allocs, 3);
	assert_int_equal(w.frees, 3);
	vm_page_observe(NULL);
	p = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
	vm_page_free(p, 1);
	assert_int_equal(w.tries, 4);
	watch_start(&w, 1, UINT32_MAX, VM_OBSERVE_FAIL);
	halt(); /* removes it */
	boot(&config);
	p = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
	assert_non_null(p);
	vm_page_free(p, 1);
	halt();
}

/* Fails call k once, and from k on; every failure is the observer's (G-6). */
static void
observer_fails_once_and_from_k(void **state)
{
	const struct kalloc_config config = { .ncpus = 1, .pages = 256 };
	unsigned k, mode, i;

	(void)state;
	boot(&config);
	for (mode = 0; mode < 4; mode++)
		for (k = 1; k <= 6; k++) {
			unsigned to = mode % 2 == 0 ? k : UINT32_MAX;
			struct watch w;
			void *p[6];

			watch_start(&w, k, to,
			    mode < 2 ? VM_OBSERVE_FAIL : VM_OBSERVE_FAIL_HARD);
			for (i = 0; i < 6; i++) {
				bool refused = i + 1 >= k && i + 1 <= to;

				p[i] =
				    vm_page_alloc(i + 1, 0, VM_ALLOC_INTERRUPT);
				assert_int_equal(p[i] == NULL, refused);
				audit();
			}
			assert_int_equal(w.refused, to == k ? 1 : 7 - k);
			assert_int_equal(w.held, 256 - vm_free_pages());
			vm_page_observe(NULL);
			for (i = 0; i < 6; i++)
				if (p[i] != NULL)
					vm_page_free(p[i], i + 1);
			assert_int_equal(vm_free_pages(), 256);
		}
	halt();
}

/* An injected failure that does not last is no reason to sleep (KM-7). */
static void
waitok_outlasts_injected_failures(void **state)
{
	const struct kalloc_config config = { .ncpus = 1, .pages = 64 };
	static const size_t sizes[] = { 16, 8192, 8193, 20000 };
	struct watch w;
	unsigned i, k;
	void *p;

	(void)state;
	boot(&config);
	kmalloc_set_unlimited(M_PAGES);
	for (i = 0; i < COUNT_OF(sizes); i++)
		for (k = 1; k <= 5; k++) {
			watch_start(&w, 1, k, VM_OBSERVE_FAIL);
			p = kmalloc(sizes[i], M_PAGES, M_WAITOK);
			assert_non_null(p);
			assert_int_equal(w.refused, k);
			kfree(p, M_PAGES);
			(void)kmalloc_trim();
			watch_start(&w, 1, k, VM_OBSERVE_FAIL);
			p = kmalloc(sizes[i], M_PAGES, M_NOWAIT);
			assert_null(p);
			assert_int_equal(stats(M_PAGES).inuse, 0);
			vm_page_observe(NULL);
		}
	assert_int_equal(vm_stats().waits, 0);
	halt();
}

/* ---- Waiting (VM-2, VM-5) --------------------------------------------- */

struct waiter {
	size_t npages, align;
	unsigned flags;
	unsigned rounds; /* of vm_wait() */
	void *p;
};

static void *
waiter_main(void *arg)
{
	struct waiter *w = arg;

	while ((w->p = vm_page_alloc(w->npages, w->align, w->flags)) == NULL) {
		vm_wait(w->npages, w->align, w->flags);
		w->rounds++;
	}
	return (NULL);
}

static void
a_free_wakes_every_waiter(void **state)
{
	const struct kalloc_config config = { .ncpus = 2,
		.pages = 64,
		.reserve_system = 8,
		.reserve_interrupt = 4 };
	struct waiter w[3] = { { 4, 0, VM_ALLOC_NORMAL, 0, NULL },
		{ 4, 0, VM_ALLOC_SYSTEM, 0, NULL },
		{ 8, 65536, VM_ALLOC_INTERRUPT, 0, NULL } };
	pthread_t t[3];
	unsigned i, round;
	char *base;

	(void)state;
	for (round = 0; round < 20; round++) {
		boot(&config);
		base = vm_page_alloc(64, 0, VM_ALLOC_INTERRUPT);
		for (i = 0; i < 3; i++)
			t[i] = thread_start(waiter_main, &w[i]);
		if (round % 2 == 0)
			assert_true(wait_until(vm_stats().waits >= 3));
		vm_page_free(base, 64);
		for (i = 0; i < 3; i++) {
			thread_join(t[i]);
			vm_page_free(w[i].p, w[i].npages);
		}
		halt();
	}
}

static void
vm_wait_returns_when_it_need_not_wait(void **state)
{
	const struct kalloc_config config = {
		.ncpus = 1, .pages = 64, .reserve_system = 8
	};

	(void)state;
	boot(&config);
	sink = vm_page_alloc(50, 0, VM_ALLOC_NORMAL);
	vm_wait(6, 0, VM_ALLOC_NORMAL);
	vm_wait(14, 0, VM_ALLOC_SYSTEM);
	assert_int_equal(vm_stats().waits, 0);
	vm_page_free(sink, 50);
	halt();
}

/* What a waiter could not use wakes it, and it sleeps again. */
static void
vm_wait_survives_small_frees(void **state)
{
	const struct kalloc_config config = { .ncpus = 2, .pages = 64 };
	struct waiter w = { 16, 65536, VM_ALLOC_NORMAL, 0, NULL };
	char *base;
	pthread_t t;
	unsigned i;

	(void)state;
	boot(&config);
	base = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
	for (i = 1; i < 64; i++)
		sink = vm_page_alloc(1, 0, VM_ALLOC_NORMAL);
	t = thread_start(waiter_main, &w);
	for (i = 0; i < 16; i++) {
		assert_true(wait_until(vm_stats().waits > i));
		vm_page_free(base + (16 + i) * 4096, 1);
	}
	thread_join(t);
	assert_ptr_equal(w.p, base + 65536);
	vm_page_free(w.p, 16);
	for (i = 0; i < 64; i++)
		if (i < 16 || i >= 32)
			vm_page_free(base + i * 4096, 1);
	halt();
}

/* ---- The rest --------------------------------------------------------- */

static void
statistics_count_each_outcome_once(void **state)
{
	const struct kalloc_config config = { .ncpus = 1,
		.pages = 40,
		.reserve_system = 8,
		.reserve_interrupt = 2 };
	struct vm_page_stats s;
	void *p, *q;

	(void)state;
	boot(&config);
	p = vm_page_alloc(30, 0, VM_ALLOC_NORMAL);
	assert_null(vm_page_alloc(3, 0, VM_ALLOC_NORMAL));
	q = vm_page_alloc(8, 0, VM_ALLOC_SYSTEM);
	assert_null(vm_page_alloc(1, 0, VM_ALLOC_SYSTEM));
	s = vm_stats();
	assert_int_equal(s.pages, 40);
	assert_int_equal(s.free, 2);
	assert_int_equal(s.allocs, 2);
	assert_int_equal(s.failures, 2);
	assert_int_equal(s.frees, 0);
	vm_page_free(p, 30);
	vm_page_free(q, 8);
	s = vm_stats();
	assert_int_equal(s.free, 40);
	assert_int_equal(s.frees, 2);
	assert_int_equal(s.allocs, 2);
	halt();
	boot(&config);
	s = vm_stats();
	assert_int_equal(s.allocs + s.frees + s.failures + s.waits, 0);
	halt();
}

static void
misuse_changes_nothing(void **state)
{
	const struct kalloc_config config = { .ncpus = 1, .pages = 64 };
	static char elsewhere[8192];
	struct vm_page_stats before, after;
	char *p, *large;

	(void)state;
	boot(&config);
	p = vm_page_alloc(4, 16384, VM_ALLOC_NORMAL);
	large = kmalloc(16384, M_PAGES, M_WAITOK);
	before = vm_stats();
	assert_why(BAD_ARG, vm_page_alloc(0, 0, VM_ALLOC_NORMAL));
	assert_why(BAD_ARG, vm_page_alloc(1, 0, 0));
	assert_why(BAD_ARG, vm_page_alloc(1, 0, VM_ALLOC_ZERO));
	assert_why(
	    BAD_ARG, vm_page_alloc(1, 0, VM_ALLOC_NORMAL | VM_ALLOC_SYSTEM));
	assert_why(BAD_ARG, vm_page_alloc(1, 0, VM_ALLOC_NORMAL | 0x10));
	assert_why(BAD_ARG, vm_page_alloc(1, 3, VM_ALLOC_NORMAL));
	assert_why(BAD_ARG, vm_page_alloc(1, 12288, VM_ALLOC_NORMAL));
	assert_why(BAD_ARG, vm_page_alloc(1, 131072, VM_ALLOC_NORMAL));
	assert_why(BAD_ARG, vm_wait(0, 0, VM_ALLOC_NORMAL));
	assert_why(BAD_ARG, vm_wait(1, 0, 7));
	assert_why(BAD_ARG, vm_wait(1, 5, VM_ALLOC_NORMAL));
	assert_why(BAD_ARG, vm_page_free(p, 0));
	assert_why(BAD_ARG, vm_page_free(p, 3));
	assert_why(BAD_ARG, vm_page_free(p, 5));
	assert_why(FOREIGN, vm_page_free(p + 4096, 3));
	assert_why(FOREIGN, vm_page_free(p + 1, 4));
	assert_why(FOREIGN, vm_page_free(NULL, 1));
	assert_why(FOREIGN, vm_page_free(elsewhere, 1));
	assert_why(FOREIGN, vm_page_free((void *)-4096, 1));
	assert_why(FOREIGN, vm_page_free(large, 4));
	assert_why(FOREIGN, vm_page_free(p + 65536 * 2, 1));
	after = vm_stats();
	assert_memory_equal(&before, &after, sizeof(after));
	audit();
	vm_page_free(p, 4);
	assert_why(FOREIGN, vm_page_free(p, 4)); /* freed already */
	kfree(large, M_PAGES);
	halt();
	assert_why(FOREIGN, vm_page_free(p, 4));
}

/* VM-7: a caller that may not wait takes back what its own CPU keeps. */
static void
kept_slabs_give_way_to_large_requests(void **state)
{
	const struct kalloc_config config = {
		.ncpus = 1, .pages = 96, .slabs_keep = 4
	};
	void *p[6];
	unsigned i;

	(void)state;
	boot(&config);
	kmalloc_set_unlimited(M_PAGES);
	for (i = 0; i < 6; i++)
		p[i] = kmalloc(16u << i, M_PAGES, M_NOWAIT);
	assert_int_equal(vm_free_pages(), 0);
	for (i = 0; i < 6; i++)
		kfree(p[i], M_PAGES);
	p[0] = kmalloc(96 * 4096, M_PAGES, M_NOWAIT);
	assert_non_null(p[0]);
	kfree(p[0], M_PAGES);
	halt();
}

/* Who has which page, as an array. */
static void
random_walk_keeps_to_the_map(void **state)
{
	enum {
		PAGES = 300,
		RUNS = 64
	};
	const struct kalloc_config config = { .ncpus = 1,
		.pages = PAGES,
		.reserve_system = 30,
		.reserve_interrupt = 10 };
	static const unsigned depth[] = { VM_ALLOC_NORMAL, VM_ALLOC_SYSTEM,
		VM_ALLOC_INTERRUPT };
	static const size_t reserve[] = { 30, 10, 0 };
	struct {
		char *p;
		size_t n;
	} run[RUNS] = { { NULL, 0 } };
	size_t held = 0, r;
	uint32_t seed = 12345;
	unsigned i;

	(void)state;
	boot(&config);
	for (i = 0; i < 20000; i++) {
		r = next_random(&seed) % RUNS;
		if (run[r].p != NULL) {
			assert_true(all_are(
			    run[r].p, (int)r, run[r].n == 1 ? 4096 : 64));
			vm_page_free(run[r].p, run[r].n);
			held -= run[r].n;
			run[r].p = NULL;
		} else {
			unsigned d = next_random(&seed) % 3;
			size_t n = 1 + next_random(&seed) % 12;

			size_t align = (size_t)1 << next_random(&seed) % 17;

			run[r].n = n;
			run[r].p = vm_page_alloc(n, align, depth[d]);
			if (run[r].p != NULL) {
				held += n;
				assert_true(PAGES - held >= reserve[d]);
				memset(run[r].p, (int)r, n * 4096);
			} else if (n == 1 && align <= 4096) {
				assert_true(PAGES - held <= reserve[d]);
			}
		}
		assert_int_equal(vm_free_pages(), PAGES - held);
		if (i % 64 == 0)
			audit();
	}
	for (r = 0; r < RUNS; r++)
		if (run[r].p != NULL)
			vm_page_free(run[r].p, run[r].n);
	halt();
}

static void
auditor_names_what_is_broken(void **state)
{
	const struct kalloc_config config = { .ncpus = 1, .pages = 64 };
	const char *found = NULL;
	struct vm_info *info;
	char *p;

	(void)state;
	boot(&config);
	vm_page_free(vm_page_alloc(8, 0, VM_ALLOC_NORMAL), 8);
	p = vm_page_alloc(2, 0, VM_ALLOC_NORMAL);
	info = vm__info(p);
	info->npages = 3;
	assert_string_equal(vm_page_audit(&found), "I-VM-4");
	assert_non_null(found);
	info->npages = 2;
	info[5].owner = VM_OWNER_RUN;
	info[5].npages = 1;
	assert_string_equal(vm_page_audit(&found), "I-VM-4");
	info[5].owner = VM_OWNER_NONE;
	audit();
	info[5].owner = VM_OWNER_RUN; /* beyond the budget */
	info[5].npages = 100;
	assert_string_equal(vm_page_audit(&found), "I-VM-4");
	info[5].owner = VM_OWNER_NONE;
	audit();
	vm_page_free(p, 2);
	halt();
}

/* Bits are the page layer's own; what it frees twice breaks them. */
static void
auditor_names_bits_and_counts(void **state)
{
	const struct kalloc_config config = { .ncpus = 1, .pages = 2048 };
	const char *found = NULL;
	uint64_t *slot, *used, word;
	char *p, *q;

	(void)state;
	nmapped = 0;
	boot(&config);
	used = mapped[5]; /* KA_OS_BITMAPS */
	slot = used + 2048 / 64;
	p = vm_page_alloc(1000, 0, VM_ALLOC_NORMAL);
	q = vm_page_alloc(80, 0, VM_ALLOC_NORMAL);
	vm_page_free(vm_page_alloc(8, 0, VM_ALLOC_NORMAL), 8);
	assert_int_equal(used[15], ~UINT64_C(0));
	assert_int_equal(used[16], (UINT64_C(1) << 56) - 1);
	audit();
	used[16] ^= UINT64_C(1) << 63; /* the last that was ever given out */
	assert_string_equal(vm_page_audit(&found), "I-VM-1");
	used[16] ^= UINT64_C(1) << 63;
	used[17] ^= 1;
	assert_string_equal(vm_page_audit(&found), "I-VM-5");
	used[17] ^= 1;
	used[30] ^= 1;
	assert_string_equal(vm_page_audit(&found), "I-VM-5");
	used[30] ^= 1;
	used[0] ^= 4; /* of a run, and of what is below vm_low */
	assert_string_equal(vm_page_audit(&found), "I-VM-3");
	used[0] ^= 4;
	slot[0] ^= 1;
	assert_string_equal(vm_page_audit(&found), "I-VM-2");
	slot[0] ^= 1;
	word = slot[1];
	slot[1] = ~UINT64_C(0);
	assert_string_equal(vm_page_audit(&found), "I-VM-2");
	slot[1] = word;
	audit();
	vm_page_free(p, 1000);
	vm_page_free(q, 80);
	assert_null(vm_page_audit(&found));
	halt();
}

static void
without_a_system_there_are_no_pages(void **state)
{
	(void)state;
	if (kalloc_is_up())
		(void)kalloc_halt(true, NULL, NULL);
	assert_null(vm_page_alloc(1, 0, VM_ALLOC_NORMAL));
}

/* Nor of the last one anything. */
static void
a_system_leaves_no_statistics(void **state)
{
	const struct kalloc_config config = { .ncpus = 1,
		.pages = 64,
		.reserve_system = 8,
		.reserve_interrupt = 4 };
	static const struct vm_page_stats none;
	struct vm_page_stats s;

	(void)state;
	boot(&config);
	vm_page_free(vm_page_alloc(2, 0, VM_ALLOC_NORMAL), 2);
	assert_null(vm_page_alloc(64, 0, VM_ALLOC_NORMAL));
	halt();
	memset(&s, 0xff, sizeof(s));
	vm_page_stats(&s);
	assert_memory_equal(&s, &none, sizeof(s));
}

/* Who waits for pages takes back what kmalloc and zones keep wholly free, here
 * and on other CPUs, before it sleeps (VM-7); and what is freed meanwhile. */
static void *
hoard_main(void *arg)
{
	void *p[3];
	unsigned i;

	for (i = 0; i < 3; i++)
		p[i] = kmalloc(2000 * (i + 1), M_TEMP, M_WAITOK);
	for (i = 0; i < 3; i++)
		kfree(p[i], M_TEMP);
	if (arg == NULL)
		return (NULL);
	/* And ends when it is told to. */
	while (atomic_load((atomic_bool *)arg))
		sleep_ms(1);
	return (NULL);
}

static void
vm_wait_takes_back_what_is_kept(void **state)
{
	const struct kalloc_config config = {
		.ncpus = 3, .pages = 128, .slabs_keep = 2
	};
	struct waiter w = { 128, 0, VM_ALLOC_NORMAL, 0, NULL };
	atomic_bool stays = true;
	uma_zone_t zone;
	pthread_t t, u;

	(void)state;
	boot(&config);
	kmalloc_set_unlimited(M_TEMP);
	t = thread_start(hoard_main, &stays);
	(void)hoard_main(NULL);
	zone = uma_zcreate("z", 64, NULL, NULL, NULL, NULL, 7, 0);
	uma_zfree(zone, uma_zalloc(zone, M_WAITOK));
	assert_true(
	    wait_until(stats(M_TEMP).calls == 6 && stats(M_TEMP).inuse == 0));
	assert_true(vm_free_pages() < 128);
	u = thread_start(waiter_main, &w);
	thread_join(u);
	vm_page_free(w.p, 128);
	/* A chunk that is freed while it waits, where no page is given back. */
	sink = kmalloc(64, M_TEMP, M_WAITOK);
	w = (struct waiter) { 128, 0, VM_ALLOC_NORMAL, 0, NULL };
	u = thread_start(waiter_main, &w);
	assert_true(wait_until(vm_stats().waits >= 1));
	audit();
	kfree(sink, M_TEMP);
	thread_join(u);
	vm_page_free(w.p, 128);
	atomic_store(&stays, false);
	thread_join(t);
	uma_zdestroy(zone);
	halt();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_aligned_and_apart),
		cmocka_unit_test(every_page_of_the_budget_can_be_had),
		cmocka_unit_test(used_slots_are_not_had),
		cmocka_unit_test(scattered_pages_are_no_run),
		cmocka_unit_test(depths_stop_at_their_reserve),
		cmocka_unit_test(kmalloc_flags_choose_the_depth),
		cmocka_unit_test(zero_is_honoured_on_recycled_pages),
		cmocka_unit_test(observer_sees_every_allocation_and_free),
		cmocka_unit_test(observer_fails_once_and_from_k),
		cmocka_unit_test(waitok_outlasts_injected_failures),
		cmocka_unit_test(a_free_wakes_every_waiter),
		cmocka_unit_test(vm_wait_returns_when_it_need_not_wait),
		cmocka_unit_test(vm_wait_survives_small_frees),
		cmocka_unit_test(statistics_count_each_outcome_once),
		cmocka_unit_test(misuse_changes_nothing),
		cmocka_unit_test(kept_slabs_give_way_to_large_requests),
		cmocka_unit_test(random_walk_keeps_to_the_map),
		cmocka_unit_test(auditor_names_what_is_broken),
		cmocka_unit_test(auditor_names_bits_and_counts),
		cmocka_unit_test(without_a_system_there_are_no_pages),
		cmocka_unit_test(a_system_leaves_no_statistics),
		cmocka_unit_test(vm_wait_takes_back_what_is_kept),
	};

	return (cmocka_run_group_tests_name("vm_page", tests, NULL, NULL));
}
