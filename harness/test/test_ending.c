/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ends while others use it, which no trace does: something is in use all
 * the time, something else comes on one CPU and goes on another. However the
 * counts of the CPUs are summed meanwhile, that the first is in use must show
 * (ZN-11, OC-10, KM-17). Under all schedules of two deviations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <kalloc/kalloc.h>
#include <kalloc/kmalloc.h>
#include <kalloc/objcache.h>
#include <kalloc/uma.h>

#include "port/port.h"
#include "protocol/protocol.h"
#include "sim/sim.h"

static uma_zone_t zone;
static struct objcache *cache;
static struct malloc_type *type;
static char *passed; /* from the thread that gets to the one that puts */
static char gone;    /* passed is it: it ended before anything was got */
static jmp_buf out[PROTOCOL_THREADS_MAX];

/* A misuse ends the thread; the one that ends things is to meet it. */
#define LEAVES_BY_MISUSE() (setjmp(out[sim_current()]) != 0)

static void
on_panic(const struct ka_panic_info *info)
{
	(void)info;
	longjmp(out[sim_current()], 1);
}

static void
boot(void)
{
	const struct kalloc_config config = { .ncpus = 3, .pages = 128 };

	assert_int_equal(kalloc_boot(&config), 0);
	(void)ka_panic_set_handler(on_panic);
	passed = NULL;
	type = NULL;
	kmalloc_create(&type, "ends");
}

static void
halt(void)
{
	(void)kalloc_halt(true, NULL, NULL);
	(void)ka_panic_set_handler(NULL);
}

static void
zone_setup(bool mended)
{
	(void)mended;
	if (kalloc_is_up())
		halt();
	boot();
	zone = uma_zcreate("ends", 256, NULL, NULL, NULL, NULL, 7, 0);
	assert_non_null(uma_zalloc(zone, M_WAITOK));
}

static void
cache_setup(bool mended)
{
	(void)mended;
	if (kalloc_is_up())
		halt();
	boot();
	cache = objcache_create_simple(type, 64);
	assert_non_null(objcache_get(cache, M_WAITOK));
}

static void
type_setup(bool mended)
{
	(void)mended;
	if (kalloc_is_up())
		halt();
	boot();
	assert_non_null(kmalloc(64, type, M_WAITOK));
}

static void
pass(void *p)
{
	ka_store(&passed, p, RELEASE);
}

/* NULL: nothing comes. */
static void *
take(void)
{
	char *p;

	while ((p = ka_load(&passed, ACQUIRE)) == NULL)
		ka_pause();
	return (p == &gone ? NULL : p);
}

/* The second time an object is had from the CPU's cache, and counted there. */
static void
zone_get(void)
{
	if (LEAVES_BY_MISUSE()) {
		pass(&gone);
		return;
	}
	uma_zfree(zone, uma_zalloc(zone, M_WAITOK));
	pass(uma_zalloc(zone, M_WAITOK));
}

static void
zone_put(void)
{
	void *p = take();

	if (p != NULL && !LEAVES_BY_MISUSE())
		uma_zfree(zone, p);
}

static void
zone_end(void)
{
	if (LEAVES_BY_MISUSE())
		return;
	uma_zdestroy(zone);
	protocol_fail("the zone ended, and an item is held");
}

static void
cache_get(void)
{
	if (LEAVES_BY_MISUSE()) {
		pass(&gone);
		return;
	}
	objcache_put(cache, objcache_get(cache, M_WAITOK));
	pass(objcache_get(cache, M_WAITOK));
}

static void
cache_put(void)
{
	void *p = take();

	if (p != NULL && !LEAVES_BY_MISUSE())
		objcache_put(cache, p);
}

static void
cache_end(void)
{
	if (LEAVES_BY_MISUSE())
		return;
	objcache_destroy(cache);
	protocol_fail("the cache ended, and an object is held");
}

static void
type_get(void)
{
	if (LEAVES_BY_MISUSE()) {
		pass(&gone);
		return;
	}
	pass(kmalloc(64, type, M_WAITOK));
}

static void
type_put(void)
{
	void *p = take();

	if (p != NULL && !LEAVES_BY_MISUSE())
		kfree(p, type);
}

static void
type_end(void)
{
	struct malloc_type *ends = type;

	if (kmalloc_destroy(&ends) == 0)
		protocol_fail("the type ended, and an object in use is not "
			      "reported");
}

/* A large object is on its way back; its type ends, and another has its place. */
static void *late;
static struct malloc_type *next;

static void
late_setup(bool mended)
{
	(void)mended;
	if (kalloc_is_up())
		halt();
	boot();
	next = NULL;
	late = kmalloc(3 * 4096, type, M_WAITOK);
	assert_non_null(late);
}

static void
late_free(void)
{
	if (!LEAVES_BY_MISUSE())
		kfree(late, type);
}

static void
late_end(void)
{
	struct malloc_type *ends = type;

	(void)kmalloc_destroy(&ends);
	kmalloc_create(&next, "next");
	assert_non_null(kmalloc(3 * 4096, next, M_WAITOK));
}

static const char *
next_has_one(uint32_t asleep)
{
	struct kmalloc_stats s;

	(void)asleep;
	kmalloc_type_stats(next, &s);
	return (s.inuse == 1 && s.memuse == 3 * 4096 ?
		NULL :
		"another type is charged for what was freed");
}

static const char *
nothing_left(uint32_t asleep)
{
	return (asleep == 0 ? NULL : "a thread sleeps");
}

static double
now(void)
{
	return (0);
}

static void
explored_clean(const struct protocol *p)
{
	const struct explore_options o = { .kind = EXPLORE_BOUND,
		.bound = 2,
		.memory = TRACE_MEMORY_SC,
		.jobs = 1,
		.points_max = 10000,
		.now = now };
	struct protocol_world w;
	struct explore e;

	protocol_world(&w, p);
	assert_int_equal(explore_init(&e, &w.world, &o), 0);
	if (explore_go(&e) == RUN_FINDING)
		fail_msg("%s: %s", p->name, e.result.finding.found);
	assert_true(e.count.complete);
	assert_true(e.count.executions > 50);
	explore_fini(&e);
	protocol_world_fini(&w);
	halt();
}

static void
a_zone_with_an_item_held_does_not_end(void **state)
{
	static const struct protocol p = { .name = "zone",
		.about = "a zone of which an item is held",
		.clause = "ZN-11",
		.threads = 3,
		.cpus = 3,
		.setup = zone_setup,
		.body = { zone_get, zone_put, zone_end },
		.check = nothing_left };

	(void)state;
	explored_clean(&p);
}

static void
a_cache_with_an_object_held_does_not_end(void **state)
{
	static const struct protocol p = { .name = "objcache",
		.about = "a cache of which an object is held",
		.clause = "OC-10",
		.threads = 3,
		.cpus = 3,
		.setup = cache_setup,
		.body = { cache_get, cache_put, cache_end },
		.check = nothing_left };

	(void)state;
	explored_clean(&p);
}

static void
a_type_with_an_object_in_use_reports_it(void **state)
{
	static const struct protocol p = { .name = "type",
		.about = "a type of which an object is in use",
		.clause = "KM-17",
		.threads = 3,
		.cpus = 3,
		.setup = type_setup,
		.body = { type_get, type_put, type_end },
		.check = nothing_left };

	(void)state;
	explored_clean(&p);
}

static void
what_is_freed_late_is_not_charged_to_another_type(void **state)
{
	static const struct protocol p = { .name = "late",
		.about = "a type that took an ended one's place",
		.clause = "KM-17",
		.threads = 2,
		.cpus = 3,
		.setup = late_setup,
		.body = { late_free, late_end },
		.check = next_has_one };

	(void)state;
	explored_clean(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_zone_with_an_item_held_does_not_end),
		cmocka_unit_test(a_cache_with_an_object_held_does_not_end),
		cmocka_unit_test(a_type_with_an_object_in_use_reports_it),
		cmocka_unit_test(
		    what_is_freed_late_is_not_charged_to_another_type),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
