/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: the zone allocator with several threads: who waits for a maximum or for
 * pages is woken by whatever helps (ZN-7, ZN-8, VM-7, G-5; B3, B24), no item is
 * lost or given twice, what a thread cached outlives it.
 * Method: callers are seen to sleep, then something is freed, here or there; a
 * time limit stands for "never". And a stress under which nothing may be found.
 */
#include "kalloc_test.h"

#include <sched.h>
#include <stdatomic.h>

static uma_zone_t zone;

static void
boot_cpus(unsigned ncpus, size_t pages)
{
	const struct kalloc_config config = { .ncpus = ncpus, .pages = pages };

	boot(&config);
}

static unsigned
take_all(void **p, unsigned max)
{
	unsigned n = 0;

	while (n < max && (p[n] = uma_zalloc(zone, M_INTNOWAIT)) != NULL)
		n++;
	return (n);
}

static void *
alloc_main(void *arg)
{
	*(void **)arg = uma_zalloc(zone, M_WAITOK);
	return (NULL);
}

static void *
free_main(void *arg)
{
	uma_zfree(zone, arg);
	return (NULL);
}

static void *
raise_main(void *arg)
{
	uma_zone_set_max(zone, (int)(intptr_t)arg);
	return (NULL);
}

/* ---- At the maximum -------------------------------------------------------- */

static int
refuse_marked(void *item, size_t size, void *udata, int flags)
{
	(void)item;
	(void)size;
	(void)flags;
	if (udata == NULL)
		return (0);
	/* Refuses when it is told to. */
	while (!atomic_load((atomic_bool *)udata))
		sleep_ms(1);
	return (1);
}

static void *
refused_main(void *arg)
{
	must(uma_zalloc_arg(zone, arg, M_NOWAIT) == NULL);
	return (NULL);
}

static atomic_uint refuse_turn, refused_turn;

static int
refuse_all(void *item, size_t size, void *udata, int flags)
{
	(void)item;
	(void)size;
	(void)udata;
	(void)flags;
	return (1);
}

#define REFUSALS 3000u

static void *
refusing_main(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 1; i <= REFUSALS; i++) {
		while (atomic_load(&refuse_turn) < i)
			(void)sched_yield();
		must(uma_zalloc(zone, M_NOWAIT) == NULL);
		atomic_store(&refused_turn, i);
	}
	return (NULL);
}

/* G-7: no count is ever less than nothing: a call whose constructor refused is
 * counted three times. */
static void
requests_are_never_negative(void **state)
{
	struct uma_zone_stats s;
	unsigned i, negative = 0;
	pthread_t t;

	(void)state;
	boot_cpus(2, 1024);
	atomic_store(&refuse_turn, 0);
	atomic_store(&refused_turn, 0);
	t = thread_start(refusing_main, NULL);
	for (i = 1; i <= REFUSALS; i++) {
		zone = uma_zcreate(
		    "refuses", 64, refuse_all, NULL, NULL, NULL, 7, 0);
		atomic_store(&refuse_turn, i);
		do {
			uma_zone_get_stats(zone, &s);
			negative += s.requests > 1;
		} while (atomic_load(&refused_turn) < i);
		uma_zdestroy(zone);
	}
	thread_join(t);
	assert_int_equal(negative, 0);
	halt();
}

static void *
free_all_main(void *arg)
{
	void **p = arg;

	for (; *p != NULL; p++)
		uma_zfree(zone, *p);
	return (NULL);
}

/* ZN-6: no other CPU has a cache, and a thread without a CPU none that it may
 * keep things in. */
static void
a_thread_without_a_cpu_keeps_nothing(void **state)
{
	void *p[401];
	unsigned i;

	(void)state;
	for (i = 2; i <= 400; i += i < 20 ? 1 : 190) {
		boot_cpus(1, 1024);
		zone = uma_zcreate("alone", 64, NULL, NULL, NULL, NULL, 7, 0);
		uma_zone_set_max(zone, (int)i);
		assert_int_equal(take_all(p, i + 1), i);
		p[i] = NULL;
		thread_run(free_all_main, p);
		assert_int_equal(take_all(p, i + 1), i);
		p[i] = NULL;
		(void)free_all_main(p);
		uma_zdestroy(zone);
		halt();
	}
}

enum wake {
	WAKE_FREE,
	WAKE_FREE_THERE,
	WAKE_RAISE,
	WAKE_UNLIMIT,
	WAKE_REFUSED_CTOR,
	WAKES
};

/* One sleeper, each way to wake it. */
static void
sleepers_are_woken_by_every_path(void **state)
{
	static const int maxima[] = { 1, 5, 40, 200 };
	unsigned m, how, n;
	void *p[200], *got;
	atomic_bool refuse;
	pthread_t t, r = 0;

	(void)state;
	for (m = 0; m < COUNT_OF(maxima); m++)
		for (how = 0; how < WAKES; how++) {
			bool ctor = how == WAKE_REFUSED_CTOR;

			boot_cpus(3, 256);
			zone =
			    uma_zcreate("max", 64, ctor ? refuse_marked : NULL,
				NULL, NULL, NULL, 7, 0);
			uma_zone_set_max(zone, maxima[m]);
			atomic_init(&refuse, false);
			n = take_all(p, COUNT_OF(p));
			assert_int_equal(n, maxima[m]);
			if (ctor) { /* one of them is in a constructor */
				uma_zfree(zone, p[--n]);
				uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
				r = thread_start(refused_main, &refuse);
				assert_true(wait_until(
				    uma_zone_get_cur(zone) == maxima[m]));
			}
			got = NULL;
			t = thread_start(alloc_main, &got);
			assert_true(wait_until(zstats(zone).sleeps == 1));
			assert_null(uma_zalloc(zone, M_NOWAIT));
			if (how == WAKE_FREE)
				uma_zfree(zone, p[--n]);
			else if (how == WAKE_FREE_THERE)
				thread_run(free_main, p[--n]);
			else if (how == WAKE_RAISE)
				thread_run(raise_main,
				    (void *)(intptr_t)(maxima[m] + 1));
			else if (how == WAKE_UNLIMIT)
				thread_run(raise_main, NULL);
			else
				atomic_store(&refuse, true);
			thread_join(t);
			if (ctor)
				thread_join(r);
			assert_non_null(got);
			uma_zfree(zone, got);
			while (n > 0)
				uma_zfree(zone, p[--n]);
			uma_zdestroy(zone);
			halt();
		}
}

/* Items that others cached are no reason to sleep. */
static void *
hoard_main(void *arg)
{
	void *p[100];
	unsigned n = take_all(p, 100);

	(void)arg;
	while (n > 0)
		uma_zfree(zone, p[--n]);
	return (NULL);
}

static void *
hoard_and_stay(void *arg)
{
	atomic_int *phase = arg;

	(void)hoard_main(NULL);
	atomic_store(phase, 1);
	while (atomic_load(phase) == 1)
		sleep_ms(1);
	return (NULL);
}

static void
what_others_cache_is_taken(void **state)
{
	atomic_int phase = 0;
	unsigned i, n;
	void *p[100];
	pthread_t t;

	(void)state;
	boot_cpus(3, 256);
	zone = uma_zcreate("hoard", 64, NULL, NULL, NULL, NULL, 7, 0);
	uma_zone_set_max(zone, 100);
	t = thread_start(hoard_and_stay, &phase);
	assert_true(wait_until(atomic_load(&phase) == 1));
	n = take_all(p, 100);
	assert_true(n >= 100 - 2 * zstats(zone).bucket * 2); /* ZN-6 */
	for (i = n; i < 100; i++)
		assert_non_null(p[i] = uma_zalloc(zone, M_WAITOK));
	assert_int_equal(zstats(zone).sleeps, 0);
	audit();
	for (i = 0; i < 100; i++)
		uma_zfree(zone, p[i]);
	atomic_store(&phase, 2);
	thread_join(t);
	/* The thread is gone: what it cached is not (B40). */
	thread_run(hoard_main, NULL);
	uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(take_all(p, 100), 100);
	for (i = 0; i < 100; i++)
		uma_zfree(zone, p[i]);
	uma_zdestroy(zone);
	halt();
}

/* Many sleepers, one item: each gets its turn (B3). */
static atomic_uint turns;

static void *
turns_main(void *arg)
{
	unsigned i;
	void *p;

	(void)arg;
	for (i = 0; i < 50; i++) {
		p = uma_zalloc(zone, M_WAITOK);
		must(p != NULL);
		atomic_fetch_add(&turns, 1);
		must(uma_zone_get_cur(zone) <= 2);
		uma_zfree(zone, p);
	}
	return (NULL);
}

static void
every_sleeper_has_its_turn(void **state)
{
	pthread_t t[5];
	unsigned i;

	(void)state;
	boot_cpus(3, 256);
	zone = uma_zcreate("turns", 64, NULL, NULL, NULL, NULL, 7, 0);
	uma_zone_set_max(zone, 2);
	atomic_init(&turns, 0);
	for (i = 0; i < COUNT_OF(t); i++)
		t[i] = thread_start(turns_main, NULL);
	for (i = 0; i < COUNT_OF(t); i++)
		thread_join(t[i]);
	assert_int_equal(atomic_load(&turns), 250);
	uma_zdestroy(zone);
	halt();
}

/* ---- Growth ------------------------------------------------------------------- */

static atomic_int growth; /* 0 init waits, 1 it may go on, 2 it refuses */
static atomic_uint inits;

static int
slow_init(void *item, size_t size, int flags)
{
	(void)item;
	(void)size;
	(void)flags;
	atomic_fetch_add(&inits, 1);
	while (atomic_load(&growth) == 0)
		sleep_ms(1);
	return (atomic_load(&growth) == 2);
}

/*
 * While one thread makes the last slab that the maximum allows, nobody makes
 * another (ZN-5); when it is there, or is not to be, who waited goes on.
 */
static void
slabs_are_no_more_than_needed(void **state)
{
	void *got[3];
	pthread_t t[3];
	int end;
	unsigned i, n;

	(void)state;
	for (end = 1; end <= 2; end++) {
		boot_cpus(4, 64);
		zone = uma_zcreate(
		    "growth", 1000, NULL, NULL, slow_init, NULL, 7, 0);
		uma_zone_set_max(zone, 4);
		atomic_store(&growth, 0);
		atomic_store(&inits, 0);
		for (i = 0; i < 3; i++) {
			got[i] = NULL;
			t[i] = thread_start(alloc_main, &got[i]);
		}
		assert_true(wait_until(atomic_load(&inits) == 1));
		assert_true(wait_until(zstats(zone).sleeps == 2));
		assert_null(uma_zalloc(zone, M_NOWAIT));
		assert_int_equal(vm_free_pages(), 63);
		atomic_store(&growth, end);
		for (i = 0, n = 0; i < 3; i++) {
			thread_join(t[i]);
			n += got[i] != NULL;
			uma_zfree(zone, got[i]);
		}
		assert_int_equal(n, end == 1 ? 3 : 0);
		assert_int_equal(vm_free_pages(), end == 1 ? 63 : 64);
		assert_int_equal(atomic_load(&inits), end == 1 ? 4 : 3);
		uma_zdestroy(zone);
		halt();
	}
}

static void
slow_fini(void *item, size_t size)
{
	(void)item;
	(void)size;
	atomic_fetch_add(&inits, 1);
	while (atomic_load(&growth) == 0)
		sleep_ms(1);
}

static void *
reclaim_main(void *arg)
{
	(void)arg;
	uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
	return (NULL);
}

/* The same while the last slab that it allows is on its way back. */
static void
a_slab_that_goes_still_counts(void **state)
{
	void *got = NULL;
	pthread_t t[2];

	(void)state;
	boot_cpus(4, 64);
	zone = uma_zcreate("ends", 1000, NULL, NULL, NULL, slow_fini, 7, 0);
	uma_zone_set_max(zone, 4);
	atomic_store(&growth, 0);
	atomic_store(&inits, 0);
	uma_zfree(zone, uma_zalloc(zone, M_WAITOK));
	t[0] = thread_start(reclaim_main, NULL);
	assert_true(wait_until(atomic_load(&inits) == 1));
	assert_null(uma_zalloc(zone, M_NOWAIT));
	t[1] = thread_start(alloc_main, &got);
	assert_true(wait_until(zstats(zone).sleeps == 1));
	assert_int_equal(vm_free_pages(), 63);
	atomic_store(&growth, 1);
	thread_join(t[0]);
	thread_join(t[1]);
	assert_non_null(got);
	uma_zfree(zone, got);
	uma_zdestroy(zone);
	halt();
}

static void *
take_some(void *arg)
{
	unsigned i, n = *(unsigned *)arg;
	void *p[50];

	for (i = 0; i < n; i++)
		must((p[i] = uma_zalloc(zone, M_RNOWAIT)) != NULL);
	while (i > 0)
		uma_zfree(zone, p[--i]);
	return (NULL);
}

static enum vm_observe
refuse(void *arg, size_t npages, size_t align, unsigned flags)
{
	(void)arg;
	(void)npages;
	(void)align;
	(void)flags;
	return (VM_OBSERVE_FAIL);
}

/* Whoever comes next: no CPU's cache takes what was preallocated (ZN-14). */
static void
prealloc_is_for_every_cpu(void **state)
{
	const struct vm_observer none = { .ask = refuse };
	unsigned left = 30;
	void *p[10];

	(void)state;
	boot_cpus(2, 64);
	zone = uma_zcreate("prealloc", 64, NULL, NULL, NULL, NULL, 7, 0);
	uma_prealloc(zone, 40);
	vm_page_observe(&none);
	assert_int_equal(take_all(p, 10), 10);
	thread_run(take_some, &left);
	vm_page_observe(NULL);
	for (left = 0; left < 10; left++)
		uma_zfree(zone, p[left]);
	uma_zdestroy(zone);
	halt();
}

/* ---- Pages --------------------------------------------------------------------- */

/* A waiter for pages takes an item that is freed, pages that are freed, and
 * what kmalloc keeps. */
static void
waiters_for_pages_are_woken(void **state)
{
	static const size_t sizes[] = { 64, 3000, 8192 };
	unsigned s, how, n, i;
	void *p[8000], *got, *pages;
	pthread_t t;

	(void)state;
	for (s = 0; s < COUNT_OF(sizes); s++)
		for (how = 0; how < 3; how++) {
			boot_cpus(3, 64);
			pages = vm_page_alloc(16, 0, VM_ALLOC_NORMAL);
			zone = uma_zcreate(
			    "pages", sizes[s], NULL, NULL, NULL, NULL, 7, 0);
			n = take_all(p, COUNT_OF(p));
			assert_true(n >= 20 && n < COUNT_OF(p));
			got = NULL;
			t = thread_start(alloc_main, &got);
			assert_true(wait_until(vm_stats().waits >= 1));
			if (how == 0)
				uma_zfree(zone, p[--n]);
			else if (how == 1)
				thread_run(free_main, p[--n]);
			else
				vm_page_free(pages, 16);
			thread_join(t);
			assert_non_null(got);
			uma_zfree(zone, got);
			if (how != 2)
				vm_page_free(pages, 16);
			for (i = 0; i < n; i++)
				uma_zfree(zone, p[i]);
			uma_zdestroy(zone);
			halt();
		}
}

static struct malloc_pipe pipe_a;

static void *
pipe_main(void *arg)
{
	*(void **)arg = mpipe_alloc_waitok(&pipe_a);
	return (NULL);
}

/* A slab that the last free makes whole is pages for whoever waits for them,
 * also if he does not look for slabs himself (VM-7, MP-3). */
static void
a_slab_that_is_whole_is_pages(void **state)
{
	void *all[64], *item, *held, *got = NULL;
	unsigned n = 0;
	pthread_t t;

	(void)state;
	boot_cpus(2, 64);
	kmalloc_raise_limit(M_TEMP, (size_t)64 * 8192);
	memset(&pipe_a, 0, sizeof(pipe_a));
	mpipe_init(&pipe_a, M_TEMP, 9000, 1, 2, 0, NULL, NULL, NULL);
	held = mpipe_alloc_waitok(&pipe_a);
	zone = uma_zcreate("whole", 3 * 4096, NULL, NULL, NULL, NULL, 0, 0);
	assert_int_equal(zstats(zone).ppera, 3);
	item = uma_zalloc(zone, M_WAITOK);
	while ((all[n] = vm_page_alloc(1, 0, VM_ALLOC_INTERRUPT)) != NULL)
		n++;
	t = thread_start(pipe_main, &got);
	assert_true(wait_until(vm_stats().waits >= 1));
	uma_zfree(zone, item);
	thread_join(t);
	assert_non_null(got);
	mpipe_free(&pipe_a, got);
	mpipe_free(&pipe_a, held);
	mpipe_done(&pipe_a);
	uma_zdestroy(zone);
	while (n > 0)
		vm_page_free(all[--n], 1);
	halt();
}

/* A zone without caches, at its maximum. */
static void
sleepers_need_no_caches(void **state)
{
	void *p, *got = NULL;
	pthread_t t;

	(void)state;
	boot_cpus(2, 256);
	zone = uma_zcreate(
	    "bare", 64, NULL, NULL, NULL, NULL, 0, UMA_ZONE_NOBUCKET);
	uma_zone_set_max(zone, 1);
	p = uma_zalloc(zone, M_WAITOK);
	t = thread_start(alloc_main, &got);
	assert_true(wait_until(zstats(zone).sleeps == 1));
	uma_zfree(zone, p);
	thread_join(t);
	assert_non_null(got);
	uma_zfree(zone, got);
	uma_zdestroy(zone);
	halt();
}

/* Pages that are free, but not as the items are aligned, are no reason to go
 * on (ZN-13). */
static void
waiters_for_pages_need_them_aligned(void **state)
{
	void *page[65], *got = NULL;
	unsigned n, i;
	pthread_t t;

	(void)state;
	boot_cpus(2, 64);
	zone = uma_zcreate("aligned", 8192, NULL, NULL, NULL, NULL, 16383, 0);
	for (n = 0;
	     (page[n] = vm_page_alloc(1, 0, VM_ALLOC_INTERRUPT)) != NULL;)
		n++;
	assert_int_equal(n, 64);
	t = thread_start(alloc_main, &got);
	assert_true(wait_until(vm_stats().waits >= 1));
	/* Four in a row, but not those. */
	for (i = 2; i < 6; i++)
		vm_page_free(page[i], 1);
	sleep_ms(5);
	assert_null(__atomic_load_n(&got, __ATOMIC_RELAXED));
	for (i = 6; i < 8; i++)
		vm_page_free(page[i], 1);
	thread_join(t);
	assert_int_equal((uintptr_t)got % 16384, 0);
	uma_zfree(zone, got);
	uma_zdestroy(zone);
	for (i = 0; i < n; i++)
		if (i < 2 || i >= 8)
			vm_page_free(page[i], 1);
	halt();
}

static void *
kmalloc_main(void *arg)
{
	*(void **)arg = kmalloc(60000, M_TEMP, M_WAITOK);
	return (NULL);
}

/* VM-7, both ways: what nobody holds is given back before anybody sleeps. */
static void
waiters_take_what_is_hoarded(void **state)
{
	void *p[8000], *k[70], *got = NULL;
	unsigned n, i;
	pthread_t t;

	(void)state;
	boot_cpus(2, 64);
	kmalloc_raise_limit(M_TEMP, 1 << 20);
	zone = uma_zcreate("hoard", 64, NULL, NULL, NULL, NULL, 7, 0);
	n = take_all(p, COUNT_OF(p));
	assert_int_equal(n, 4096);
	for (i = 0; i < n; i++)
		uma_zfree(zone, p[i]);
	assert_int_equal(vm_free_pages(), 0);
	got = kmalloc(60000, M_TEMP, M_WAITOK);
	assert_non_null(got);
	kfree(got, M_TEMP);
	for (n = 0; n < 70; n++)
		if ((k[n] = kmalloc(2000, M_TEMP, M_INTNOWAIT)) == NULL)
			break;
	while (n > 0)
		kfree(k[--n], M_TEMP);
	for (n = 0; n < 8000; n++) /* to the last page, without sleep */
		p[n] = n < 4096 ? uma_zalloc(zone, M_WAITOK) : NULL;
	assert_int_equal(zstats(zone).sleeps, 0);
	assert_int_equal(vm_stats().waits, 0);
	/* A kmalloc that waits is woken by frees to a zone. */
	t = thread_start(kmalloc_main, &got);
	assert_true(wait_until(vm_stats().waits >= 1));
	for (i = 0; i < 4096; i++)
		uma_zfree(zone, p[i]);
	thread_join(t);
	assert_non_null(got);
	kfree(got, M_TEMP);
	uma_zdestroy(zone);
	halt();
}

/* ---- Stress ------------------------------------------------------------------------ */

#define WORKERS 4
#define SHARED	64
static _Atomic(void *) shared[3][SHARED];
static uma_zone_t many[3]; /* the last two share a keg */
static atomic_bool stop;

static int
stress_init(void *item, size_t size, int flags)
{
	(void)flags;
	must(all_are(item, 0, size));
	((unsigned char *)item)[0] = 1;
	return (0);
}

static void
stress_fini(void *item, size_t size)
{
	(void)size;
	must(((unsigned char *)item)[0] == 1);
	((unsigned char *)item)[0] = 0;
}

static int
stress_ctor(void *item, size_t size, void *udata, int flags)
{
	(void)size;
	(void)udata;
	(void)flags;
	must(((unsigned char *)item)[0] == 1);
	if (((uintptr_t)item >> 6) % 13 == 0)
		return (1);
	((unsigned char *)item)[0] = 2;
	return (0);
}

static void
stress_dtor(void *item, size_t size, void *udata)
{
	(void)size;
	(void)udata;
	must(((unsigned char *)item)[0] == 2);
	((unsigned char *)item)[0] = 1;
}

/* Items change hands through the table: who puts one there gets another. */
static void *
stress_main(void *arg)
{
	uint32_t r = (uint32_t)(uintptr_t)arg * 7919 + 1;
	unsigned i, turns_left = 4000;
	void *p, *old;

	while (turns_left-- > 0) {
		unsigned z = next_random(&r) % 3;

		i = next_random(&r) % SHARED;
		p = NULL;
		if (next_random(&r) % 3 != 0)
			p = uma_zalloc(many[z], M_NOWAIT);
		old = atomic_exchange(&shared[z][i], p);
		uma_zfree(many[z], old);
	}
	return (NULL);
}

/* Meanwhile limits change and everything is given back. */
static void *
trouble_main(void *arg)
{
	uint32_t r = 99;

	(void)arg;
	while (!atomic_load(&stop)) {
		unsigned z = next_random(&r) % 3;
		int max = (int)(next_random(&r) % 80);

		uma_zone_set_max(many[z], max);
		must(uma_zone_get_max(many[z]) == max);
		uma_zone_reclaim(many[z], (int)(1 + next_random(&r) % 3));
		(void)kmalloc_trim();
		sleep_ms(1);
	}
	return (NULL);
}

static void
nothing_is_lost_under_stress(void **state)
{
	pthread_t t[WORKERS], trouble;
	unsigned i, z;

	(void)state;
	boot_cpus(3, 128);
	many[0] = uma_zcreate("plain", 300, NULL, NULL, NULL, NULL, 7, 0);
	many[1] = uma_zcreate(
	    "primary", 64, NULL, NULL, stress_init, stress_fini, 7, 0);
	many[2] = uma_zsecond_create(
	    "second", stress_ctor, stress_dtor, NULL, NULL, many[1]);
	atomic_init(&stop, false);
	trouble = thread_start(trouble_main, NULL);
	for (i = 0; i < WORKERS; i++)
		t[i] = thread_start(stress_main, (void *)(uintptr_t)i);
	for (i = 0; i < WORKERS; i++)
		thread_join(t[i]);
	atomic_store(&stop, true);
	thread_join(trouble);
	audit();
	for (z = 0; z < 3; z++)
		for (i = 0; i < SHARED; i++)
			uma_zfree(
			    many[z], atomic_exchange(&shared[z][i], NULL));
	audit();
	for (z = 3; z > 0; z--) {
		assert_int_equal(uma_zone_get_cur(many[z - 1]), 0);
		uma_zdestroy(many[z - 1]);
	}
	assert_int_equal(vm_free_pages(), 128);
	halt();
}

/* Zones are made and ended while others walk over all of them. */
static void *
walk_main(void *arg)
{
	struct uma_zone_stats s;
	unsigned n;

	(void)arg;
	while (!atomic_load(&stop)) {
		uma_reclaim(UMA_RECLAIM_DRAIN_CPU);
		for (n = 0; uma_stats(n, &s); n++)
			must(s.used <= 10);
	}
	return (NULL);
}

static void *
fly_main(void *arg)
{
	unsigned i, j;
	void *p[10];

	(void)arg;
	for (i = 0; i < 150; i++) {
		uma_zone_t z =
		    uma_zcreate("fly", 100, NULL, NULL, NULL, NULL, 7, 0);

		for (j = 0; j < 10; j++)
			must((p[j] = uma_zalloc(z, M_WAITOK)) != NULL);
		for (j = 0; j < 10; j++)
			uma_zfree(z, p[j]);
		uma_zdestroy(z);
	}
	return (NULL);
}

static void
zones_end_while_others_look(void **state)
{
	pthread_t t[2], w;
	unsigned i;

	(void)state;
	boot_cpus(3, 128);
	atomic_init(&stop, false);
	w = thread_start(walk_main, NULL);
	for (i = 0; i < 2; i++)
		t[i] = thread_start(fly_main, NULL);
	for (i = 0; i < 2; i++)
		thread_join(t[i]);
	atomic_store(&stop, true);
	thread_join(w);
	assert_int_equal(vm_free_pages(), 128);
	halt();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_without_a_cpu_keeps_nothing),
		cmocka_unit_test(requests_are_never_negative),
		cmocka_unit_test(sleepers_are_woken_by_every_path),
		cmocka_unit_test(what_others_cache_is_taken),
		cmocka_unit_test(every_sleeper_has_its_turn),
		cmocka_unit_test(slabs_are_no_more_than_needed),
		cmocka_unit_test(a_slab_that_goes_still_counts),
		cmocka_unit_test(prealloc_is_for_every_cpu),
		cmocka_unit_test(waiters_for_pages_are_woken),
		cmocka_unit_test(waiters_take_what_is_hoarded),
		cmocka_unit_test(nothing_is_lost_under_stress),
		cmocka_unit_test(zones_end_while_others_look),
		cmocka_unit_test(a_slab_that_is_whole_is_pages),
		cmocka_unit_test(sleepers_need_no_caches),
		cmocka_unit_test(waiters_for_pages_need_them_aligned),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
