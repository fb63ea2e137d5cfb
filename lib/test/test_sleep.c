/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: who waits for pages is woken by every free that helps (G-5, KM-7), and
 * takes what others hoard before it sleeps (VM-7).
 * Method: a budget so tiny that callers must wait. They are seen to sleep, then
 * something is freed, here or there; a time limit stands for "never".
 */
#include "kalloc_test.h"

#include <stdatomic.h>

#include "kmalloc_int.h"

MALLOC_DEFINE(M_SHARE, "share", "what threads hand to each other");

/* Takes all 64 pages as chunks of 8192 bytes, on the calling thread's CPU;
 * the last of 33 is NULL. */
static unsigned
take_all_pages(void **p)
{
	unsigned n = 0;

	while ((p[n] = kmalloc(8192, M_SHARE, M_INTNOWAIT)) != NULL)
		n++;
	assert_int_equal(vm_free_pages(), 0);
	return (n);
}

struct sleeper {
	size_t size;
	int flags;
	void *p;
};

static void *
sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	s->p = kmalloc(s->size, M_SHARE, s->flags);
	return (NULL);
}

static void *
free_share(void *p)
{
	kfree(p, M_SHARE);
	return (NULL);
}

/* A sleeper takes what it can: a chunk, or pages, whoever frees them. */
static void
sleepers_are_woken_by_a_free(void **state)
{
	static const size_t wants[] = { 8192, 8000, 64, 20000, 65536 };
	struct malloc_type *const types[] = { M_SHARE, M_TEMP, M_CACHE,
		M_DEVBUF };
	unsigned w, mode, i, n;
	void *p[33];

	(void)state;
	for (w = 0; w < COUNT_OF(wants); w++)
		for (mode = 0; mode < 3; mode++) {
			struct sleeper s = { wants[w], M_WAITOK, NULL };
			pthread_t t;

			boot_for(
			    M_SHARE, 3, 64, mode == 2 ? KA_DEBUG_POISON : 0);
			/* Of all types that there are something is counted:
			 * a sleeper must not take it for a slab. */
			for (i = 0; i < COUNT_OF(types); i++) {
				kmalloc_raise_limit(types[i], 64 * 8192);
				kfree(
				    kmalloc(576, types[i], M_WAITOK), types[i]);
			}
			n = take_all_pages(p);
			t = thread_start(sleeper_main, &s);
			assert_true(wait_until(vm_stats().waits >= 1));
			audit();
			/* One chunk is enough for the first two. */
			for (i = 0; i < (w < 2 ? 1 : n); i++) {
				if (mode == 1)
					thread_run(free_share, p[i]);
				else
					kfree(p[i], M_SHARE);
			}
			thread_join(t);
			assert_non_null(s.p);
			kfree(s.p, M_SHARE);
			for (; i < n; i++)
				kfree(p[i], M_SHARE);
			halt_unused(M_SHARE);
		}
}

/* Every one of many, and each only as often as something was freed. */
static void
every_sleeper_gets_its_chunk(void **state)
{
	enum {
		N = 6
	};
	struct sleeper s[N];
	pthread_t t[N];
	void *p[33];
	unsigned i, n;

	(void)state;
	boot_for(M_SHARE, 3, 64, 0);
	n = take_all_pages(p);
	for (i = 0; i < N; i++) {
		s[i] = (struct sleeper) { 8192, M_WAITOK, NULL };
		t[i] = thread_start(sleeper_main, &s[i]);
	}
	assert_true(wait_until(vm_stats().waits >= N));
	for (i = 0; i < N; i++)
		kfree(p[i], M_SHARE);
	for (i = 0; i < N; i++) {
		thread_join(t[i]);
		assert_non_null(s[i].p);
		kfree(s[i].p, M_SHARE);
	}
	for (i = N; i < n; i++)
		kfree(p[i], M_SHARE);
	halt_unused(M_SHARE);
}

static void *
struggle_main(void *arg)
{
	static const size_t size[] = { 64, 3000, 8192, 9000, 20000, 50 };
	uint32_t seed = 9 + *(unsigned *)arg;
	unsigned i;

	for (i = 0; i < 150; i++) {
		size_t n = size[next_random(&seed) % COUNT_OF(size)];
		unsigned char *p = kmalloc(n, M_SHARE, M_WAITOK);

		must(p != NULL);
		memset(p, (int)i, n);
		if (i % 8 == 0)
			(void)sched_yield();
		must(all_are(p, (int)i, n));
		kfree(p, M_SHARE);
	}
	return (NULL);
}

/* Who holds one object at a time cannot deadlock, however small the budget. */
static void
waiting_threads_make_progress(void **state)
{
	enum {
		N = 5
	};
	unsigned ncpus, i, id[N];
	pthread_t t[N];

	(void)state;
	for (ncpus = 1; ncpus <= 5; ncpus += 2) {
		boot_for(M_SHARE, ncpus, KALLOC_PAGES_MIN, 0);
		for (i = 0; i < N; i++) {
			id[i] = i;
			t[i] = thread_start(struggle_main, &id[i]);
		}
		for (i = 0; i < N; i++)
			thread_join(t[i]);
		halt_unused(M_SHARE);
	}
}

static atomic_uint hoard_phase;

static void *
hoard_main(void *arg)
{
	void *p[33];
	unsigned i, n;

	(void)arg;
	n = take_all_pages(p);
	for (i = 0; i < n; i++)
		kfree(p[i], M_SHARE);
	atomic_store(&hoard_phase, 1);
	while (atomic_load(&hoard_phase) == 1)
		sleep_ms(1);
	kfree(kmalloc(100, M_SHARE, M_WAITOK), M_SHARE);
	return (NULL);
}

/* VM-7: before a caller sleeps, what any CPU hoards is given back. */
static void
hoarded_slabs_are_taken_before_sleeping(void **state)
{
	const struct kalloc_config config = {
		.ncpus = 2, .pages = 64, .slabs_keep = 16
	};
	pthread_t t;
	void *p;

	(void)state;
	boot(&config);
	kmalloc_raise_limit(M_SHARE, 64 * 8192);
	atomic_store(&hoard_phase, 0);
	t = thread_start(hoard_main, NULL);
	assert_true(wait_until(atomic_load(&hoard_phase) == 1));
	assert_int_equal(vm_free_pages(), 0);
	p = kmalloc(64 * 4096, M_SHARE, M_WAITOK);
	assert_non_null(p);
	assert_int_equal(vm_stats().waits, 0);
	kfree(p, M_SHARE);
	atomic_store(&hoard_phase, 2);
	thread_join(t);
	halt_unused(M_SHARE);
}

/*
 * A chunk comes back to the caller's own CPU after the caller looked there and
 * before anybody knows that it will wait: no wake-up comes. The observer holds
 * the caller at that place until another thread has freed the chunk.
 */
static atomic_uint own_phase;
static void *own_chunk;

static void *
own_free_main(void *arg)
{
	(void)arg;
	while (atomic_load(&own_phase) != 1)
		(void)sched_yield();
	kfree(own_chunk, M_SHARE);
	atomic_store(&own_phase, 2);
	return (NULL);
}

static enum vm_observe
own_try(void *arg, size_t npages, size_t align, unsigned flags)
{
	unsigned expected = 0;

	(void)arg;
	(void)npages;
	(void)align;
	(void)flags;
	if (atomic_compare_exchange_strong(&own_phase, &expected, 1))
		while (atomic_load(&own_phase) != 2)
			(void)sched_yield();
	return (VM_OBSERVE_PASS);
}

static void *
own_main(void *arg)
{
	const struct vm_observer o = { .ask = own_try };
	void *p[33], *q;
	unsigned i, n;
	pthread_t t;

	(void)arg;
	n = take_all_pages(p);
	own_chunk = p[n - 1];
	atomic_store(&own_phase, 0);
	t = thread_start(own_free_main, NULL);
	vm_page_observe(&o);
	q = kmalloc(8192, M_SHARE, M_WAITOK);
	must(q == own_chunk);
	kfree(q, M_SHARE);
	for (i = 0; i < n - 1; i++)
		kfree(p[i], M_SHARE);
	thread_join(t);
	return (NULL);
}

static void
a_chunk_that_comes_before_the_sleep_is_found(void **state)
{
	unsigned ncpus;

	(void)state;
	for (ncpus = 1; ncpus <= 2; ncpus++) {
		boot_for(M_SHARE, ncpus, 64, 0);
		thread_run(own_main, NULL);
		assert_int_equal(vm_stats().waits, 0);
		vm_page_observe(NULL);
		halt_unused(M_SHARE);
	}
}

/* Of a slab that its owner has not used up, nor laid out to its end. */
static void *
carve_main(void *arg)
{
	char *p[32];
	unsigned i;

	for (i = 0; i < 32; i++)
		must((p[i] = kmalloc(64, M_SHARE, M_WAITOK)) != NULL);
	*(char **)arg = p[0];
	atomic_store(&hoard_phase, 1);
	while (atomic_load(&hoard_phase) != 2)
		(void)sched_yield();
	for (i = 0; i < 32; i++)
		kfree(p[i], M_SHARE);
	return (NULL);
}

static void
a_slab_is_taken_though_no_chunk_is_laid_out(void **state)
{
	char *first = NULL, *p;
	void *all[64];
	unsigned n;
	pthread_t t;

	(void)state;
	boot_for(M_SHARE, 2, 64, 0);
	kfree(kmalloc(8192, M_SHARE, M_WAITOK), M_SHARE); /* CPU 0 */
	(void)kmalloc_trim();
	atomic_store(&hoard_phase, 0);
	t = thread_start(carve_main, &first);
	assert_true(wait_until(atomic_load(&hoard_phase) == 1));
	for (n = 0; (all[n] = vm_page_alloc(1, 0, VM_ALLOC_INTERRUPT)) != NULL;)
		n++;
	p = kmalloc(64, M_SHARE, M_WAITOK);
	assert_int_equal(p - first, 32 * 64);
	assert_int_equal(vm_stats().waits, 0);
	audit();
	atomic_store(&hoard_phase, 2);
	thread_join(t);
	kfree(p, M_SHARE);
	while (n > 0)
		vm_page_free(all[--n], 1);
	halt_unused(M_SHARE);
}

struct holder {
	size_t size;
	unsigned keep; /* of two */
	atomic_uint step;
};

/* Has a slab of its own, in which a chunk is in use or none. */
static void *
holder_main(void *arg)
{
	struct holder *h = arg;
	void *p[2];
	unsigned i;

	for (i = 0; i < 2; i++)
		p[i] = kmalloc(h->size, M_SHARE, M_WAITOK);
	for (i = h->keep; i < 2; i++)
		kfree(p[i], M_SHARE);
	atomic_store(&h->step, 1);
	while (atomic_load(&h->step) == 1)
		(void)sched_yield();
	for (i = 0; i < h->keep; i++)
		kfree(p[i], M_SHARE);
	return (NULL);
}

/* Who waits has the slabs of all CPUs that have a chunk for him: those in use
 * become his, those that are not go back (VM-7). */
static void
slabs_are_collected_from_other_cpus(void **state)
{
	static const size_t sizes[] = { 64, 8192 };
	size_t i, keep, free_pages;
	pthread_t t;
	void *p;

	(void)state;
	for (i = 0; i < COUNT_OF(sizes); i++)
		for (keep = 0; keep < 2; keep++) {
			struct holder h = { sizes[i], (unsigned)keep, 0 };

			boot_for(M_SHARE, 2, 64, 0);
			kfree(kmalloc(16, M_SHARE, M_WAITOK), M_SHARE);
			t = thread_start(holder_main, &h);
			assert_true(wait_until(atomic_load(&h.step) == 1));
			free_pages = vm_free_pages();
			assert_false(km__collect(KA_KMALLOC_MAX + 1, M_SHARE));
			assert_true(km__collect(sizes[i], M_SHARE));
			audit();
			p = kmalloc(sizes[i], M_SHARE, M_NOWAIT);
			assert_int_equal(kmalloc_usable_size(p), sizes[i]);
			assert_int_equal(vm_free_pages(), free_pages);
			audit();
			kfree(p, M_SHARE);
			atomic_store(&h.step, 2);
			thread_join(t);
			halt_unused(M_SHARE);
		}
}

static atomic_uint last_step;

/* Takes what is left of the type's limit, when it is told to. */
static void *
last_main(void *arg)
{
	void *p[2];

	(void)arg;
	p[0] = kmalloc(8192, M_SHARE, M_WAITOK);
	atomic_store(&last_step, 1);
	while (atomic_load(&last_step) == 1)
		(void)sched_yield();
	p[1] = kmalloc(8192, M_SHARE, M_NOWAIT);
	must(p[1] != NULL);
	atomic_store(&last_step, 3);
	while (atomic_load(&last_step) == 3)
		(void)sched_yield();
	kfree(p[0], M_SHARE);
	kfree(p[1], M_SHARE);
	return (NULL);
}

/* While the slab is being had. */
static enum vm_observe
last_try(void *arg, size_t npages, size_t align, unsigned flags)
{
	unsigned expected = 1;

	(void)arg;
	(void)npages;
	(void)align;
	(void)flags;
	if (atomic_compare_exchange_strong(&last_step, &expected, 2))
		while (atomic_load(&last_step) != 3)
			(void)sched_yield();
	return (VM_OBSERVE_PASS);
}

/*
 * Somebody waits for pages. A slab that was had in vain, since the type is at
 * its limit by then, does not stay with him who had it (VM-7, G-5). Of a type
 * with debug options: it keeps no grant.
 */
static void
a_slab_had_in_vain_goes_back_while_somebody_waits(void **state)
{
	const struct kalloc_config config = { .ncpus = 2, .pages = 256 };
	const struct vm_observer o = { .ask = last_try };
	size_t free_pages;
	pthread_t t;
	void *rest;

	(void)state;
	boot(&config);
	kmalloc_set_debug(M_SHARE, KA_DEBUG_POISON);
	kmalloc_raise_limit(M_SHARE, 128 * 1024);
	kfree(kmalloc(16, M_SHARE, M_WAITOK), M_SHARE); /* cpu 0 */
	atomic_store(&last_step, 0);
	t = thread_start(last_main, NULL);
	assert_true(wait_until(atomic_load(&last_step) == 1));
	rest = kmalloc(128 * 1024 - 2 * 8192, M_SHARE, M_WAITOK);
	cpu__shortage_begin();
	free_pages = vm_free_pages();
	vm_page_observe(&o);
	assert_null(kmalloc(64, M_SHARE, M_NOWAIT));
	vm_page_observe(NULL);
	assert_int_equal(last_step, 3);
	assert_int_equal(vm_free_pages(), free_pages);
	cpu__shortage_end();
	audit();
	atomic_store(&last_step, 4);
	thread_join(t);
	kfree(rest, M_SHARE);
	halt_unused(M_SHARE);
}

/* Who is cancelled while it sleeps for pages gets them first: the page layer's
 * lock is not left behind, nor is it counted as waiting for ever. */
static void *
cancelled_main(void *arg)
{
	struct sleeper *s = arg;

	s->p = kmalloc(s->size, M_SHARE, s->flags);
	for (;;)
		pthread_testcancel();
	return (NULL);
}

static void
a_cancelled_sleeper_holds_nobody_up(void **state)
{
	struct sleeper s = { 8192, M_WAITOK, NULL };
	unsigned n, i;
	void *p[33];
	pthread_t t;

	(void)state;
	boot_for(M_SHARE, 2, 64, 0);
	n = take_all_pages(p);
	t = thread_start(cancelled_main, &s);
	assert_true(wait_until(vm_stats().waits >= 1));
	assert_int_equal(pthread_cancel(t), 0);
	sleep_ms(20);
	(void)signal(SIGALRM, time_is_up);
	(void)alarm(TIME_LIMIT); /* for the lock */
	kfree(p[--n], M_SHARE);
	thread_join(t);
	assert_non_null(s.p);
	kfree(s.p, M_SHARE);
	for (i = 0; i < n; i++)
		kfree(p[i], M_SHARE);
	halt_unused(M_SHARE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cancelled_sleeper_holds_nobody_up),
		cmocka_unit_test(sleepers_are_woken_by_a_free),
		cmocka_unit_test(every_sleeper_gets_its_chunk),
		cmocka_unit_test(waiting_threads_make_progress),
		cmocka_unit_test(hoarded_slabs_are_taken_before_sleeping),
		cmocka_unit_test(a_chunk_that_comes_before_the_sleep_is_found),
		cmocka_unit_test(a_slab_is_taken_though_no_chunk_is_laid_out),
		cmocka_unit_test(slabs_are_collected_from_other_cpus),
		cmocka_unit_test(
		    a_slab_had_in_vain_goes_back_while_somebody_waits),
	};

	return (cmocka_run_group_tests_name("sleep", tests, NULL, NULL));
}
