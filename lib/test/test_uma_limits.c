/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: what limits a zone is exact, and over when it is over: caches are open
 * again (ZN-5 to ZN-8), slabs are those that the maxima, the reserve and what
 * was preallocated need (ZN-5, ZN-14), and no more.
 * Method: caches of one item a magazine, slabs of one or two items, so that
 * every item and every slab counts; the statistics say where each item is.
 */
#include "kalloc_test.h"

static const struct kalloc_config two_cpus = { .ncpus = 2, .pages = 2048 };
#define ONE_EACH 9 /* items: one for every magazine of two CPUs */

static uma_zone_t mine, other;

static uma_zone_t
make(size_t size, uint32_t flags)
{
	uma_zone_t zone =
	    uma_zcreate("limits", size, NULL, NULL, NULL, NULL, 0, flags);

	assert_non_null(zone);
	return (zone);
}

/* A zone whose magazines hold an item each, and so many items of it. */
static uma_zone_t
make_one_each(size_t size, void **p, unsigned n)
{
	uma_zone_t zone = make(size, 0);

	uma_zone_set_maxcache(zone, ONE_EACH);
	assert_int_equal(zstats(zone).bucket, 1);
	while (n > 0)
		assert_non_null(p[--n] = uma_zalloc(zone, M_WAITOK));
	assert_int_equal(zstats(zone).cached, 0);
	return (zone);
}

static void
take(uma_zone_t zone, void **p, unsigned n)
{
	while (n > 0)
		assert_non_null(p[--n] = uma_zalloc(zone, M_WAITOK));
}

static void
give(uma_zone_t zone, void **p, unsigned n)
{
	while (n > 0)
		uma_zfree(zone, p[--n]);
}

static void *
alloc_main(void *arg)
{
	*(void **)arg = uma_zalloc(mine, M_WAITOK);
	return (NULL);
}

/* ---- The maximum ---------------------------------------------------------- */

/* A zone that is not over any more caches again, and keeps doing so. */
static void
a_raised_maximum_opens_the_caches(void **state)
{
	static const int to[] = { 0, 8, 20 };
	unsigned i;
	void *p[8];

	(void)state;
	for (i = 0; i < COUNT_OF(to); i++) {
		boot(&two_cpus);
		mine = make_one_each(64, p, 8);
		uma_zone_set_max(mine, 5);
		uma_zone_set_max(mine, to[i]);
		uma_zfree(mine, p[7]);
		assert_int_equal(zstats(mine).cached, 1);
		uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
		uma_zfree(mine, p[6]);
		assert_int_equal(zstats(mine).cached, 1);
		give(mine, p, 6);
		uma_zdestroy(mine);
		halt();
	}
}

/* Set once more while it is over, it is over once. */
static void
a_zone_is_over_once(void **state)
{
	void *p[8];

	(void)state;
	boot(&two_cpus);
	mine = make_one_each(64, p, 8);
	uma_zone_set_max(mine, 6);
	uma_zone_set_max(mine, 5);
	give(mine, p + 5, 3);
	assert_int_equal(zstats(mine).cached, 0);
	uma_zfree(mine, p[4]);
	assert_int_equal(zstats(mine).cached, 1);
	give(mine, p, 4);
	uma_zdestroy(mine);
	halt();
}

/* What is cached stays so where the maximum allows it. */
static void
a_maximum_that_is_kept_drains_nothing(void **state)
{
	static const int to[] = { 0, 8, 20 };
	unsigned i;
	void *p[8];

	(void)state;
	for (i = 0; i < COUNT_OF(to); i++) {
		boot(&two_cpus);
		mine = make_one_each(64, p, 8);
		give(mine, p + 4, 4);
		assert_int_equal(zstats(mine).cached, 4);
		uma_zone_set_max(mine, to[i]);
		assert_int_equal(zstats(mine).bucket, 1);
		assert_int_equal(zstats(mine).cached, 4);
		give(mine, p, 4);
		uma_zdestroy(mine);
		halt();
	}
}

/* ZN-16: a call that is woken for nothing and sleeps on has slept once. */
static void
a_call_sleeps_once(void **state)
{
	void *p, *got = NULL;
	pthread_t t;

	(void)state;
	boot(&two_cpus);
	mine = make(64, UMA_ZONE_NOBUCKET);
	uma_zone_set_max(mine, 1);
	p = uma_zalloc(mine, M_WAITOK);
	t = thread_start(alloc_main, &got);
	assert_true(wait_until(zstats(mine).sleeps == 1));
	sleep_ms(2);
	uma_zone_set_max(mine, 1);
	sleep_ms(20);
	uma_zfree(mine, p);
	thread_join(t);
	assert_int_equal(zstats(mine).sleeps, 1);
	uma_zfree(mine, got);
	uma_zdestroy(mine);
	halt();
}

static void *helps; /* what the action gives back */
static unsigned actions;

static void
action_helps(uma_zone_t zone)
{
	actions++;
	uma_zfree(zone, helps);
	helps = NULL;
}

/* A call tells of the maximum once, also when it gets an item after that. */
static void
a_call_tells_of_the_maximum_once(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = make(64, UMA_ZONE_NOBUCKET);
	uma_zone_set_max(mine, 1);
	uma_zone_set_maxaction(mine, action_helps);
	actions = 0;
	helps = uma_zalloc(mine, M_WAITOK);
	p = uma_zalloc(mine, M_WAITOK);
	assert_non_null(p);
	assert_int_equal(actions, 1);
	uma_zfree(mine, p);
	uma_zdestroy(mine);
	halt();
}

/* ---- Slabs ------------------------------------------------------------------ */

/*
 * mine holds six items, of two a slab, at a maximum that was lowered to one:
 * with what the other zone and all else is allowed, that is every slab that
 * there may be.
 */
static void
there_is_no_room(void **p)
{
	take(mine, p, 6);
	uma_zone_set_max(mine, 1);
}

static void
make_two(uint32_t flags)
{
	mine = make(2048, flags);
	assert_int_equal(zstats(mine).ipers, 2);
	uma_zone_set_max(mine, 6);
	other = uma_zsecond_create("other", NULL, NULL, NULL, NULL, mine);
	uma_zone_set_max(other, 2);
}

static void
end_two(void **p)
{
	assert_int_equal(zstats(mine).slabs, 3);
	assert_null(uma_zalloc(other, M_NOWAIT));
	assert_int_equal(zstats(mine).slabs, 3);
	give(mine, p, 6);
	uma_zdestroy(other);
	uma_zdestroy(mine);
	halt();
}

/* A zone that ended needs no slabs. */
static void
an_ended_zone_allows_no_slab(void **state)
{
	uma_zone_t third;
	void *p[6];

	(void)state;
	boot(&two_cpus);
	make_two(UMA_ZONE_NOBUCKET);
	third = uma_zsecond_create("third", NULL, NULL, NULL, NULL, mine);
	there_is_no_room(p);
	uma_zdestroy(third);
	end_two(p);
}

/* What was preallocated allows its own slabs, beside those of the maxima. */
static void
prealloc_allows_its_slabs_only(void **state)
{
	void *p[6];

	(void)state;
	boot(&two_cpus);
	make_two(UMA_ZONE_NOBUCKET);
	uma_prealloc(mine, 2);
	assert_int_equal(zstats(mine).slabs, 1);
	there_is_no_room(p);
	end_two(p);
}

/* The reserve needs slabs beside those of the maximum (ZN-14). */
static void
a_reserve_allows_its_slabs(void **state)
{
	void *p[2];

	(void)state;
	boot(&two_cpus);
	mine = make(2048, 0);
	uma_zone_set_max(mine, 2);
	uma_zone_reserve(mine, 2);
	assert_non_null(p[0] = uma_zalloc(mine, M_RNOWAIT));
	assert_non_null(p[1] = uma_zalloc(mine, M_RNOWAIT));
	assert_int_equal(zstats(mine).slabs, 2);
	assert_int_equal(zstats(mine).free, 2);
	give(mine, p, 2);
	uma_zdestroy(mine);
	halt();
}

/* What a cache has would be out of the reserve: no zone of the keg has one. */
static void
zones_with_a_reserve_do_not_cache(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = make(64, 0);
	other = uma_zsecond_create("other", NULL, NULL, NULL, NULL, mine);
	assert_true(zstats(mine).bucket > 0);
	uma_zone_reserve(other, 4);
	assert_int_equal(zstats(mine).bucket, 0);
	assert_int_equal(zstats(other).bucket, 0);
	p = uma_zalloc(mine, M_WAITOK);
	uma_zfree(mine, p);
	assert_int_equal(zstats(mine).cached, 0);
	uma_zdestroy(other);
	uma_zdestroy(mine);
	halt();
}

static void *
wait_for_room(void *arg)
{
	*(void **)arg = uma_zalloc(other, M_WAITOK);
	return (NULL);
}

/* Who finds no room sleeps until an item of any of the keg's zones is back; the
 * zones may be without caches. */
static void
room_comes_without_caches(void **state)
{
	void *p[6], *got = NULL;
	pthread_t t;

	(void)state;
	boot(&two_cpus);
	make_two(UMA_ZONE_NOBUCKET);
	there_is_no_room(p);
	t = thread_start(wait_for_room, &got);
	assert_true(wait_until(zstats(other).sleeps == 1));
	uma_zfree(mine, p[5]);
	thread_join(t);
	assert_non_null(got);
	uma_zfree(other, got);
	give(mine, p, 5);
	uma_zdestroy(other);
	uma_zdestroy(mine);
	halt();
}

/* What the keg's other zones cache is room; they cache again after that. */
static void
room_is_what_others_cache(void **state)
{
	void *p[4], *q[8], *got = NULL;
	uma_zone_t over;

	(void)state;
	boot(&two_cpus);
	mine = make_one_each(2048, NULL, 0);
	uma_zone_set_max(mine, 4);
	other = uma_zsecond_create("other", NULL, NULL, NULL, NULL, mine);
	uma_zone_set_maxcache(other, ONE_EACH);
	uma_zone_set_max(other, 4);
	over = uma_zsecond_create("over", NULL, NULL, NULL, NULL, mine);
	uma_zone_set_maxcache(over, ONE_EACH);
	uma_zone_set_max(over, 8);
	take(over, q, 8);
	uma_zone_set_max(over, 4);
	take(mine, p, 4);
	give(mine, p, 4);
	assert_int_equal(zstats(mine).cached, 4);
	assert_int_equal(zstats(mine).slabs, 6);
	assert_int_equal(zstats(mine).free, 0);
	thread_run(wait_for_room, &got);
	assert_non_null(got);
	assert_int_equal(zstats(mine).slabs, 6);
	assert_int_equal(zstats(mine).cached, 0);
	/* Nobody waits any more. */
	take(mine, p, 1);
	give(mine, p, 1);
	assert_int_equal(zstats(mine).cached, 1);
	uma_zfree(other, got);
	assert_int_equal(zstats(other).cached, 1);
	give(over, q, 8);
	audit();
	uma_zdestroy(over);
	uma_zdestroy(other);
	uma_zdestroy(mine);
	halt();
}

/* ---- What was preallocated ---------------------------------------------------- */

/* So many items go one at a time; the caches are filled by what comes next. */
static void
prealloc_is_used_up(void **state)
{
	void *p[3];

	(void)state;
	boot(&two_cpus);
	mine = make(64, 0);
	uma_prealloc(mine, 2);
	take(mine, p, 2);
	assert_int_equal(zstats(mine).cached, 0);
	take(mine, p + 2, 1);
	assert_true(zstats(mine).cached > 0);
	give(mine, p, 3);
	uma_zdestroy(mine);
	halt();
}

/* A zone with no item cached, a whole slab that was used, and all of another
 * for what was preallocated. */
static void
make_preallocated(void)
{
	void *p;

	mine = make(64, 0);
	p = uma_zalloc(mine, M_WAITOK);
	uma_prealloc(mine, 2);
	uma_zfree(mine, p);
	uma_zone_set_maxcache(mine, 0);
	uma_zone_set_maxcache(mine, 1000);
	assert_true(zstats(mine).bucket > 1);
	assert_int_equal(zstats(mine).slabs, 2);
	assert_int_equal(zstats(mine).free, 2 * zstats(mine).ipers);
}

/* What TRIM leaves of it is still everybody's, and goes one at a time. */
static void
prealloc_stays_through_trim(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	make_preallocated();
	uma_zone_reclaim(mine, UMA_RECLAIM_TRIM);
	assert_int_equal(zstats(mine).slabs, 1);
	p = uma_zalloc(mine, M_WAITOK);
	assert_int_equal(zstats(mine).cached, 0);
	uma_zfree(mine, p);
	uma_zdestroy(mine);
	halt();
}

/* So is it after a DRAIN_CPU that found nothing to give back, but not after
 * one that did. */
static void
prealloc_ends_with_its_slabs(void **state)
{
	unsigned more;
	void *p[3];

	(void)state;
	for (more = 0; more < 2; more++) {
		boot(&two_cpus);
		mine = make(64, 0);
		uma_prealloc(mine, 1);
		take(mine, p, 1);
		uma_prealloc(mine, more ? 100 : 10);
		assert_int_equal(zstats(mine).slabs, 1 + more);
		uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
		assert_int_equal(zstats(mine).slabs, 1);
		take(mine, p + 1, 1);
		assert_int_equal(zstats(mine).cached > 0, more);
		give(mine, p, 2);
		uma_zdestroy(mine);
		halt();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_raised_maximum_opens_the_caches),
		cmocka_unit_test(a_zone_is_over_once),
		cmocka_unit_test(a_maximum_that_is_kept_drains_nothing),
		cmocka_unit_test(a_call_sleeps_once),
		cmocka_unit_test(a_call_tells_of_the_maximum_once),
		cmocka_unit_test(an_ended_zone_allows_no_slab),
		cmocka_unit_test(prealloc_allows_its_slabs_only),
		cmocka_unit_test(a_reserve_allows_its_slabs),
		cmocka_unit_test(zones_with_a_reserve_do_not_cache),
		cmocka_unit_test(room_comes_without_caches),
		cmocka_unit_test(room_is_what_others_cache),
		cmocka_unit_test(prealloc_is_used_up),
		cmocka_unit_test(prealloc_stays_through_trim),
		cmocka_unit_test(prealloc_ends_with_its_slabs),
	};

	return (cmocka_run_group_tests_name("uma-limits", tests, NULL, NULL));
}
