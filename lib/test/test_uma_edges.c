/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: the zone allocator where little is left: no memory for its own records,
 * callbacks that undo what the allocator does, several at one time at one item
 * (ZN-4, ZN-10, ZN-12, ZN-15, G-3, G-6).
 * Method: mappings of the library are refused; what another CPU would do
 * between two steps is done by hand, through the private headers.
 */
#define KALLOC_TEST_MAPS
#include "kalloc_test.h"

#include <stdatomic.h>

#include "zone_int.h"

static const struct kalloc_config two_cpus = { .ncpus = 2, .pages = 2048 };

static uma_zone_t mine, other;

static uma_zone_t
make(size_t size, uint32_t flags)
{
	uma_zone_t z =
	    uma_zcreate("edge", size, NULL, NULL, NULL, NULL, 0, flags);

	assert_non_null(z);
	return (z);
}

/* ---- Callbacks that undo ------------------------------------------------ */

static uma_zone_t undone; /* whose callbacks free the item themselves */

static int
ctor_frees_and_refuses(void *item, size_t size, void *udata, int flags)
{
	(void)size;
	(void)flags;
	if (udata == NULL)
		return (0);
	uma_zfree(undone, item);
	return (1);
}

static void
dtor_frees(void *item, size_t size, void *udata)
{
	(void)size;
	if (udata == NULL)
		return;
	uma_zfree(undone, item);
}

static void
callbacks_may_not_free_their_item(void **state)
{
	struct uma_zone_stats before;
	void *p;

	(void)state;
	boot(&two_cpus);
	undone = uma_zcreate("ctor", 64, ctor_frees_and_refuses, NULL, NULL,
	    NULL, 0, UMA_ZONE_NOBUCKET);
	p = uma_zalloc(undone, M_WAITOK);
	assert_why(
	    DOUBLE_FREE, sink = uma_zalloc_arg(undone, undone, M_WAITOK));
	before = zstats(undone);
	assert_int_equal(before.used, 1);
	uma_zfree(undone, p);
	uma_zdestroy(undone);
	undone = uma_zcreate(
	    "dtor", 64, NULL, dtor_frees, NULL, NULL, 0, UMA_ZONE_NOBUCKET);
	p = uma_zalloc(undone, M_WAITOK);
	assert_why(DOUBLE_FREE, uma_zfree_arg(undone, p, undone));
	assert_int_equal(zstats(undone).used, 0);
	audit();
	uma_zdestroy(undone);
	halt();
}

static int
init_frees(void *item, size_t size, int flags)
{
	(void)size;
	(void)flags;
	uma_zfree(undone, item);
	return (0);
}

/* An item that is being made is not yet any. */
static void
an_item_in_its_init_is_foreign(void **state)
{
	static char arena[640];

	(void)state;
	boot(&two_cpus);
	undone = uma_zcreate("init", 64, NULL, NULL, init_frees, NULL, 0, 0);
	assert_why(FOREIGN, sink = uma_zalloc(undone, M_WAITOK));
	assert_int_equal(zstats(undone).used, 0);
	/* Who leaves so leaves what he was making: a forced halt ends it. */
	assert_why(FOREIGN,
	    sink = uma_zcreate_static("init", 64, NULL, NULL, init_frees, NULL,
		0, 0, arena, sizeof(arena)));
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
	boot(&two_cpus);
	mine = uma_zcreate_static(
	    "again", 64, NULL, NULL, NULL, NULL, 0, 0, arena, sizeof(arena));
	sink = uma_zalloc(mine, M_NOWAIT);
	assert_true((char *)sink >= arena && (char *)sink < arena + 640);
	uma_zfree(mine, sink);
	uma_zdestroy(mine);
	halt();
}

static int
init_stops_caching(void *item, size_t size, int flags)
{
	(void)item;
	(void)size;
	(void)flags;
	uma_zone_set_maxcache(undone, 0);
	return (0);
}

/* What was got for the caches goes back when there are none any more. */
static void
caches_may_end_while_they_are_filled(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	undone = uma_zcreate(
	    "maxcache", 64, NULL, NULL, init_stops_caching, NULL, 0, 0);
	p = uma_zalloc(undone, M_WAITOK);
	assert_int_equal(zstats(undone).used, 1);
	assert_int_equal(zstats(undone).cached, 0);
	assert_int_equal(zstats(undone).free, zstats(undone).ipers - 1);
	audit();
	uma_zfree(undone, p);
	uma_zdestroy(undone);
	halt();
}

static int
init_lowers(void *item, size_t size, int flags)
{
	(void)item;
	(void)size;
	(void)flags;
	uma_zone_set_maxcache(undone, 9);
	return (0);
}

/* Or as many as they still take: one for each magazine of the depot. */
static void
caches_may_shrink_while_they_are_filled(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	undone =
	    uma_zcreate("maxcache", 64, NULL, NULL, init_lowers, NULL, 0, 0);
	p = uma_zalloc(undone, M_WAITOK);
	assert_int_equal(zstats(undone).bucket, 1);
	assert_int_equal(zstats(undone).cached, 3);
	assert_int_equal(zstats(undone).free, zstats(undone).ipers - 4);
	audit();
	uma_zfree(undone, p);
	uma_zdestroy(undone);
	halt();
}

static unsigned imported, released;

static int
import_some(void *arg, void **store, int n, int flags)
{
	int i, most = *(int *)arg;

	(void)flags;
	for (i = 0; i < n && i < most; i++)
		store[i] = (void *)(uintptr_t)(++imported * 8);
	return (most < 0 ? most : i);
}

static void
release_some(void *arg, void **store, int n)
{
	(void)arg;
	(void)store;
	released += (unsigned)n;
}

/* A source of pointers may fail, and so may the constructor of one. */
static void
cache_zones_may_be_refused(void **state)
{
	int most = -1;

	(void)state;
	boot(&two_cpus);
	undone = uma_zcache_create("pointers", 8, ctor_frees_and_refuses, NULL,
	    NULL, NULL, import_some, release_some, &most, 0);
	assert_null(uma_zalloc(undone, M_WAITOK));
	assert_null(uma_zalloc(undone, M_NOWAIT));
	assert_int_equal(zstats(undone).failures, 2);
	uma_zdestroy(undone);
	most = 1;
	undone = uma_zcache_create("refused", 8, ctor_frees_and_refuses, NULL,
	    NULL, NULL, import_some, release_some, &most, UMA_ZONE_NOBUCKET);
	other = make(64, 0); /* what the constructor frees */
	sink = uma_zalloc(undone, M_WAITOK);
	assert_non_null(sink);
	assert_int_equal(zstats(undone).used, 1);
	uma_zfree(undone, sink);
	assert_int_equal(released, imported);
	uma_zdestroy(other);
	uma_zdestroy(undone);
	assert_why(BAD_ARG,
	    sink = uma_zcache_create(
		"bad", 8, NULL, NULL, NULL, NULL, import_some, NULL, NULL, 0));
	halt();
}

static int
ctor_refuses(void *item, size_t size, void *udata, int flags)
{
	(void)item;
	(void)size;
	(void)udata;
	(void)flags;
	return (1);
}

static void
a_refused_pointer_goes_back(void **state)
{
	int most = 5;

	(void)state;
	boot(&two_cpus);
	imported = released = 0;
	undone = uma_zcache_create("refuses", 8, ctor_refuses, NULL, NULL, NULL,
	    import_some, release_some, &most, UMA_ZONE_NOBUCKET);
	assert_null(uma_zalloc(undone, M_WAITOK));
	assert_int_equal(imported, 1);
	assert_int_equal(released, 1);
	assert_int_equal(zstats(undone).used, 0);
	audit();
	uma_zdestroy(undone);
	halt();
}

/* ---- Sources ------------------------------------------------------------- */

static char *source_at; /* what allocf gives */
static unsigned source_freed;

static void *
source_alloc(uma_zone_t zone, size_t bytes, int flags)
{
	(void)zone;
	(void)bytes;
	(void)flags;
	return (source_at);
}

static void
source_free(void *mem, size_t bytes)
{
	(void)bytes;
	must(mem == source_at);
	source_freed++;
}

static char source_memory[4 * 4096] __attribute__((aligned(8192)));

/* What a source gives is looked at, and given back where it is not taken. */
static void
sources_are_looked_at(void **state)
{
	uma_zone_t first;

	(void)state;
	boot(&two_cpus);
	first = make(100, 0);
	uma_zone_set_allocf(first, source_alloc);
	source_at = source_memory;
	sink = uma_zalloc(first, M_WAITOK);
	assert_ptr_equal(sink, source_memory);
	/* The waste behind the last of 39 is no item. */
	assert_why(FOREIGN, uma_zfree(first, source_memory + 4056));
	assert_why(INTERIOR, uma_zfree(first, source_memory + 4055));
	mine = make(100, 0);
	uma_zone_set_allocf(mine, source_alloc);
	uma_zone_set_freef(mine, source_free);
	source_freed = 0;
	assert_why(BAD_ARG, other = uma_zalloc(mine, M_NOWAIT)); /* in use */
	assert_int_equal(source_freed, 0); /* it is the other zone's */
	source_at = source_memory + 4096 + 8;
	assert_why(BAD_ARG, other = uma_zalloc(mine, M_NOWAIT));
	assert_int_equal(source_freed, 1);
	source_at = source_memory + 4096;
	maps = 0;
	refuse_map = 1;
	assert_null(uma_zalloc(mine, M_NOWAIT)); /* nothing to note it in */
	refuse_map = 0;
	assert_int_equal(source_freed, 2);
	assert_ptr_equal(uma_zalloc(mine, M_NOWAIT), source_at);
	uma_zfree(mine, source_at);
	uma_zfree(first, sink);
	uma_zdestroy(first); /* it has no freef */
	first = make(100, 0);
	uma_zone_set_allocf(first, source_alloc);
	source_at = source_memory + 8192;
	maps = 0;
	refuse_map = 1;
	assert_null(uma_zalloc(first, M_NOWAIT));
	refuse_map = 0;
	uma_zdestroy(first);
	(void)kalloc_halt(true, NULL, NULL);
}

static bool
is_mapped(void *p)
{
	return (msync(p, 1, MS_ASYNC) == 0 || errno != ENOMEM);
}

/* Nothing is left of what was noted for memory that is not taken. */
static void
refused_memory_is_not_noted(void **state)
{
	(void)state;
	boot(&two_cpus);
	other = make(100, 0);
	uma_zone_set_allocf(other, source_alloc);
	source_at = source_memory;
	sink = uma_zalloc(other, M_WAITOK);
	mine = make(100, 0);
	uma_zone_set_allocf(mine, source_alloc);
	nmapped = 0;
	assert_why(BAD_ARG, sink = uma_zalloc(mine, M_NOWAIT)); /* in use */
	assert_int_equal(nmapped, 1);
	assert_false(is_mapped(mapped[0]));
	(void)kalloc_halt(true, NULL, NULL);
}

/* Where there is a source, and no freef, slabs stay; where there is none, they
 * go back to the page layer, whatever was set before. */
static void
slabs_stay_without_freef(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = make(100, 0);
	uma_zone_set_allocf(mine, source_alloc);
	source_at = source_memory;
	uma_zfree(mine, uma_zalloc(mine, M_WAITOK));
	uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(zstats(mine).slabs, 1);
	uma_zdestroy(mine);
	mine = make(100, 0);
	uma_zone_set_allocf(mine, source_alloc);
	uma_zone_set_allocf(mine, NULL);
	p = uma_zalloc(mine, M_WAITOK);
	assert_ptr_not_equal(p, source_memory);
	uma_zfree(mine, p);
	uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(zstats(mine).slabs, 0);
	/* A slab that nobody used is one: it is too late for a source. */
	uma_zdestroy(mine);
	mine = make(100, 0);
	uma_prealloc(mine, 1);
	assert_why(BUSY, uma_zone_set_allocf(mine, source_alloc));
	assert_why(BUSY, uma_zone_set_freef(mine, source_free));
	uma_zdestroy(mine);
	halt();
}

/* A secondary zone of one with a source caches its items, too. */
static void
a_source_is_shared(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = make(100, 0);
	uma_zone_set_allocf(mine, source_alloc);
	source_at = source_memory;
	other = uma_zsecond_create("second", NULL, NULL, NULL, NULL, mine);
	p = uma_zalloc(other, M_WAITOK);
	assert_ptr_equal(p, source_memory);
	uma_zfree(other, p);
	assert_true(zstats(other).cached > 0);
	assert_ptr_equal(uma_zalloc(other, M_WAITOK), p);
	assert_why(WRONG_ZONE, uma_zfree(mine, p));
	uma_zfree(other, p);
	assert_why(DOUBLE_FREE, uma_zfree(other, p));
	audit();
	uma_zdestroy(other);
	uma_zdestroy(mine);
	halt();
}

/* Other combinations of what a zone is and where its slabs come from. */
static void
sources_go_with_every_flag(void **state)
{
	static const uint32_t flags[] = { UMA_ZONE_NOFREE, UMA_ZONE_NOBUCKET };
	static char arena[640];
	size_t pages;
	unsigned i;
	void *p;

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < 2; i++) {
		mine = make(100, flags[i]);
		source_at = source_memory;
		source_freed = 0;
		uma_zone_set_allocf(mine, source_alloc);
		uma_zone_set_freef(mine, source_free);
		p = uma_zalloc(mine, M_WAITOK);
		uma_zfree(mine, p);
		uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
		assert_int_equal(source_freed, flags[i] != UMA_ZONE_NOFREE);
		audit();
		uma_zdestroy(mine);
		assert_int_equal(source_freed, 1);
	}
	/* A freef alone is for nothing: pages go where they came from. */
	pages = vm_free_pages();
	mine = make(100, 0);
	uma_zone_set_freef(mine, source_free);
	p = uma_zalloc(mine, M_WAITOK);
	uma_zfree(mine, p);
	uma_zdestroy(mine);
	assert_int_equal(source_freed, 1);
	assert_int_equal(vm_free_pages(), pages);
	/* A zone on static memory has all that it will have. */
	mine = uma_zcreate_static(
	    "static", 64, NULL, NULL, NULL, NULL, 0, 0, arena, sizeof(arena));
	assert_why(BUSY, uma_zone_set_allocf(mine, source_alloc));
	uma_zdestroy(mine);
	halt();
}

/* ---- Static memory --------------------------------------------------------- */

static int
init_refuses(void *item, size_t size, int flags)
{
	(void)size;
	(void)flags;
	return (*(char *)item == 'x');
}

static void
static_memory_is_checked(void **state)
{
	static char arena[800000] __attribute__((aligned(64)));
	void *p;

	(void)state;
	boot(&two_cpus);
	assert_why(BAD_ARG,
	    sink = uma_zcreate_static(
		"none", 8, NULL, NULL, NULL, NULL, 7, 0, NULL, 800));
	assert_why(BAD_ARG,
	    sink = uma_zcreate_static(
		"aligned", 8, NULL, NULL, NULL, NULL, 63, 0, arena + 1, 63));
	assert_why(BAD_ARG,
	    sink = uma_zcreate_static("many", 8, NULL, NULL, NULL, NULL, 7, 0,
		arena, (size_t)1 << 40));
	/* As many as there may be are too many for the memory only. */
	maps = 0;
	refuse_map = 1;
	assert_null(uma_zcreate_static("most", 8, NULL, NULL, NULL, NULL, 7, 0,
	    arena, (size_t)UINT32_MAX * 8));
	assert_int_equal(maps, 1);
	/* The record of so many items has no room in the library's own data. */
	maps = 0;
	refuse_map = 1;
	assert_null(uma_zcreate_static(
	    "large", 8, NULL, NULL, NULL, NULL, 7, 0, arena, sizeof(arena)));
	assert_int_equal(maps, 1);
	refuse_map = 0;
	mine = uma_zcreate_static(
	    "large", 8, NULL, NULL, NULL, NULL, 7, 0, arena, sizeof(arena));
	assert_int_equal(zstats(mine).free, 100000);
	p = uma_zalloc(mine, M_NOWAIT);
	uma_zfree(mine, p);
	assert_why(DOUBLE_FREE, uma_zfree(mine, p));
	uma_zdestroy(mine);
	/* An init that refuses, without a fini, refuses the zone. */
	arena[128] = 'x';
	assert_null(uma_zcreate_static(
	    "refused", 64, NULL, NULL, init_refuses, NULL, 63, 0, arena, 640));
	arena[128] = 0;
	mine = uma_zcreate_static(
	    "taken", 64, NULL, NULL, init_refuses, NULL, 63, 0, arena, 640);
	assert_int_equal(zstats(mine).free, 10);
	uma_zdestroy(mine);
	halt();
}

static uma_zone_t
make_static(char *arena, size_t nitems)
{
	return (uma_zcreate_static(
	    "static", 8, NULL, NULL, NULL, NULL, 7, 0, arena, nitems * 8));
}

/* Takes all items of a zone, writes to them, and gives them back. */
static void
use_all(uma_zone_t zone, size_t nitems)
{
	static void *p[33000 + 1];
	size_t n = 0;

	while ((p[n] = uma_zalloc(zone, M_NOWAIT)) != NULL)
		memset(p[n++], 0xff, 8);
	assert_int_equal(n, nitems);
	audit();
	while (n > 0)
		uma_zfree(zone, p[--n]);
}

/* A small zone on static memory needs nothing of the system, which may not be
 * there yet (ZN-30), however many there were and whatever was wrong with them;
 * nor does it share its record with another. */
static void
small_records_need_no_memory(void **state)
{
	static char arena[2][8 * 500] __attribute__((aligned(8)));
	unsigned i;
	size_t n;

	(void)state;
	boot(&two_cpus);
	maps = 0;
	refuse_map = 1;
	for (i = 0; i < 200; i++) {
		mine = make_static(arena[0], 500);
		assert_non_null(mine);
		assert_why(BAD_ARG, other = make_static(arena[0] + 8, 499));
		assert_int_equal(zstats(mine).free, 500);
		uma_zdestroy(mine);
	}
	for (n = 300; n <= 500; n++) {
		mine = make_static(arena[0], n);
		other = make_static(arena[1], n);
		use_all(mine, n);
		use_all(other, n);
		uma_zdestroy(mine);
		uma_zdestroy(other);
	}
	assert_int_equal(maps, 0);
	refuse_map = 0;
	halt();
}

/* A record may take all the room that there is for them. */
static void
a_record_may_take_all_room(void **state)
{
	static char arena[8 * 33000] __attribute__((aligned(8)));
	static char small[80] __attribute__((aligned(8)));
	size_t n;

	(void)state;
	boot(&two_cpus);
	for (n = 30000; n <= 33000; n += 100) {
		mine = make_static(arena, n);
		other = make_static(small, 10);
		use_all(mine, n);
		use_all(other, 10);
		uma_zdestroy(mine);
		uma_zdestroy(other);
	}
	halt();
}

/* Every item that is free is found, wherever the last ones were. */
static void
large_zones_lose_no_item(void **state)
{
	static char arena[8 * 9000] __attribute__((aligned(8)));
	static void *p[9000];
	unsigned n, i;

	(void)state;
	boot(&two_cpus);
	mine = make_static(arena, COUNT_OF(p));
	for (n = 0; n < COUNT_OF(p); n++)
		p[n] = uma_zalloc(mine, M_NOWAIT);
	/* 64 a word of bits: one of every word, then another of a later one. */
	for (i = 0; i + 128 < n; i += 64) {
		uma_zfree(mine, p[i]);
		uma_zfree(mine, p[i + 64]);
		assert_ptr_equal(uma_zalloc(mine, M_NOWAIT), p[i]);
		assert_ptr_equal(uma_zalloc(mine, M_NOWAIT), p[i + 64]);
		assert_null(uma_zalloc(mine, M_NOWAIT));
	}
	while (n > 0)
		uma_zfree(mine, p[--n]);
	uma_zdestroy(mine);
	halt();
}

/* An item that is being made is foreign, whatever was noted where its record
 * is now. */
static void
records_begin_as_nothing(void **state)
{
	static char arena[8 * 1024] __attribute__((aligned(8)));

	(void)state;
	boot(&two_cpus);
	mine = make_static(arena, 1024);
	use_all(mine, 1024);
	uma_zdestroy(mine);
	undone = make(64, 0);
	assert_why(FOREIGN,
	    sink = uma_zcreate_static(
		"init", 64, NULL, NULL, init_frees, NULL, 0, 0, arena, 640));
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
}

/* What lives through a halt is found after it, each of many. */
static void
static_items_are_found_after_a_halt(void **state)
{
	static char arena[9][80] __attribute__((aligned(8)));
	uma_zone_t zone[COUNT_OF(arena)];
	void *p[COUNT_OF(arena)];
	unsigned i;

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(arena); i++) {
		zone[i] = make_static(arena[i], 10);
		p[i] = uma_zalloc(zone[i], M_NOWAIT);
		assert_non_null(p[i]);
	}
	assert_int_equal(kalloc_halt(false, NULL, NULL), 0);
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(arena); i++) {
		uma_zfree(zone[i], p[i]);
		assert_why(DOUBLE_FREE, uma_zfree(zone[i], p[i]));
		uma_zdestroy(zone[i]);
	}
	halt();
}

/* A secondary zone of a static one ends with its system. */
static void
forced_halts_keep_static_items_only(void **state)
{
	static char arena[640];
	struct ka_mutex locked;
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = uma_zcreate_static(
	    "static", 64, NULL, NULL, NULL, NULL, 0, 0, arena, sizeof(arena));
	other = uma_zsecond_create("second", NULL, NULL, NULL, NULL, mine);
	p = uma_zalloc(other, M_NOWAIT);
	assert_non_null(p);
	/* As a thread that is no more left it; nor is anything called back. */
	ka_mutex_init(&locked, "locked");
	ka_mutex_lock(&locked);
	memcpy(&mine->z_keg->k_lock, &locked, sizeof(locked));
	ka_mutex_unlock(&locked);
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
	assert_why(WRONG_ZONE, uma_zfree(mine, p));
	uma_zfree(other, p);
	uma_zdestroy(other);
	assert_int_equal(zstats(mine).free, 10);
	uma_zdestroy(mine);
	boot(&two_cpus);
	halt();
}

/* ---- Systems --------------------------------------------------------------- */

/* G-6: a boot that is refused any of its memory is no boot; and a halt gives
 * back all that a boot had. */
static void
a_boot_has_its_memory_or_none(void **state)
{
	unsigned n, i;
	int error;

	(void)state;
	(void)ka_panic_set_handler(catch_panic);
	for (n = 1;; n++) {
		maps = 0;
		refuse_map = n;
		nmapped = 0;
		error = kalloc_boot(&two_cpus);
		refuse_map = 0;
		if (maps < n)
			break;
		assert_int_equal(error, ENOMEM);
		assert_false(kalloc_is_up());
	}
	assert_int_equal(error, 0);
	assert_int_equal(nmapped, n - 1);
	halt();
	for (i = 0; i < nmapped; i++)
		assert_false(is_mapped(mapped[i]));
}

static void
pointers_beyond_the_arena_are_foreign(void **state)
{
	size_t bytes = two_cpus.pages * KA_PAGE_SIZE;
	unsigned i;
	char *base;

	(void)state;
	boot(&two_cpus);
	mine = make(64, 0);
	base = vm__base();
	for (i = 1; i < 64; i++) {
		assert_why(FOREIGN, uma_zfree(mine, base + i * bytes));
		assert_why(FOREIGN, uma_zfree(mine, base - i * bytes));
	}
	uma_zdestroy(mine);
	halt();
}

static unsigned inits, finis;

static int
count_init(void *item, size_t size, int flags)
{
	(void)item;
	(void)size;
	(void)flags;
	inits++;
	return (0);
}

static void
count_fini(void *item, size_t size)
{
	(void)item;
	(void)size;
	finis++;
}

/* Every item ends, also one that a secondary zone has cached (ZN-2). */
static void
a_halt_ends_every_item(void **state)
{
	(void)state;
	boot(&two_cpus);
	inits = finis = 0;
	mine =
	    uma_zcreate("ends", 64, NULL, NULL, count_init, count_fini, 0, 0);
	other = uma_zsecond_create("second", NULL, NULL, NULL, NULL, mine);
	uma_zfree(other, uma_zalloc(other, M_WAITOK));
	assert_true(zstats(other).cached > 0);
	assert_int_equal(kalloc_halt(false, NULL, NULL), 0);
	assert_true(inits > 0);
	assert_int_equal(finis, inits);
}

/* Any record may serve again, also the next in turn when it is the last. */
static void
the_last_record_may_be_the_next(void **state)
{
	static uma_zone_t all[ZONES_MAX];
	struct uma_zone *next;
	unsigned n;

	(void)state;
	boot(&two_cpus);
	for (n = 0; n < ZONES_MAX; n++) {
		all[n] = make(64, UMA_ZONE_NOBUCKET);
		mine = all[n];
	}
	assert_null(uma_zcreate("none", 64, NULL, NULL, NULL, NULL, 0, 0));
	next = &zone_table[mine->z_id % ZONES_MAX];
	uma_zdestroy(next);
	assert_ptr_equal(make(64, UMA_ZONE_NOBUCKET), next);
	for (n = 0; n < ZONES_MAX; n++)
		uma_zdestroy(all[n]);
	halt();
}

/* Flags that are none are told, whatever paths a zone has. */
static void
wrong_flags_are_told_without_caches(void **state)
{
	(void)state;
	boot(&two_cpus);
	mine = make(64, UMA_ZONE_NOBUCKET);
	assert_why(
	    BAD_FLAGS, sink = uma_zalloc(mine, M_WAITOK | (int)0x80000000));
	assert_why(
	    BAD_FLAGS, sink = uma_zalloc(mine, M_NOWAIT | (int)0x80000000));
	/* Nor has a secondary zone caches that its primary must not have. */
	other = uma_zsecond_create("second", NULL, NULL, NULL, NULL, mine);
	assert_int_equal(zstats(other).bucket, 0);
	uma_zfree(other, uma_zalloc(other, M_WAITOK));
	assert_int_equal(zstats(other).cached, 0);
	uma_zdestroy(other);
	uma_zdestroy(mine);
	halt();
}

/* ---- Limits ----------------------------------------------------------------- */

/* A zone that is over its maximum may get a lower one, or another chance. */
static void
a_maximum_may_be_lowered_twice(void **state)
{
	void *p[8];
	unsigned i;

	(void)state;
	boot(&two_cpus);
	mine = make(64, 0);
	for (i = 0; i < 8; i++)
		p[i] = uma_zalloc(mine, M_WAITOK);
	uma_zone_set_max(mine, 5);
	uma_zone_set_max(mine, 3);
	audit();
	assert_null(uma_zalloc(mine, M_NOWAIT));
	for (i = 0; i < 5; i++)
		uma_zfree(mine, p[i]);
	assert_null(uma_zalloc(mine, M_NOWAIT)); /* three are held */
	uma_zfree(mine, p[5]);
	p[5] = uma_zalloc(mine, M_NOWAIT);
	assert_non_null(p[5]);
	for (i = 5; i < 8; i++)
		uma_zfree(mine, p[i]);
	audit();
	uma_zdestroy(mine);
	halt();
}

static void
a_warning_is_said_again_later(void **state)
{
	char text[64] = "";
	FILE *f = tmpfile();
	unsigned turn;
	int fd;
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = make(64, UMA_ZONE_NOBUCKET);
	uma_zone_set_max(mine, 1);
	uma_zone_set_warning(mine, "full");
	p = uma_zalloc(mine, M_WAITOK);
	(void)fflush(stderr);
	fd = dup(STDERR_FILENO);
	(void)dup2(fileno(f), STDERR_FILENO);
	for (turn = 0; turn < 4; turn++) {
		sink = uma_zalloc(mine, M_NOWAIT);
		if (turn == 1)
			mine->z_warned -= 300; /* five minutes ago */
	}
	(void)dup2(fd, STDERR_FILENO);
	(void)close(fd);
	rewind(f);
	(void)!fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	assert_string_equal(text, "edge: full\nedge: full\n");
	uma_zfree(mine, p);
	uma_zdestroy(mine);
	halt();
}

/* ZN-14: less than what was preallocated already is nothing more. */
static void
a_smaller_prealloc_changes_nothing(void **state)
{
	struct uma_zone_stats s;

	(void)state;
	boot(&two_cpus);
	mine = make(64, 0);
	uma_prealloc(mine, 200);
	s = zstats(mine);
	assert_true(s.free >= 200);
	uma_prealloc(mine, 100);
	assert_int_equal(zstats(mine).slabs, s.slabs);
	assert_int_equal(zstats(mine).free, s.free);
	uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
	uma_zdestroy(mine);
	halt();
}

/* VM-7: who may not wait takes what kmalloc keeps on his CPU. */
static void
nowait_takes_what_its_cpu_keeps(void **state)
{
	void *all[64];
	unsigned n;

	(void)state;
	boot(&(struct kalloc_config) { .ncpus = 2, .pages = 64 });
	mine = make(4096, 0);
	kfree(kmalloc(64, M_TEMP, M_WAITOK), M_TEMP);
	for (n = 0; (all[n] = vm_page_alloc(1, 0, VM_ALLOC_INTERRUPT)) != NULL;)
		n++;
	assert_int_equal(n, 64 - 16);
	sink = uma_zalloc(mine, M_NOWAIT);
	assert_non_null(sink);
	assert_int_equal(zstats(mine).failures, 0);
	uma_zfree(mine, sink);
	uma_zdestroy(mine);
	while (n > 0)
		vm_page_free(all[--n], 1);
	halt();
}

static void
zones_need_memory_for_their_caches(void **state)
{
	(void)state;
	boot(&two_cpus);
	maps = 0;
	refuse_map = 1;
	assert_null(uma_zcreate("none", 64, NULL, NULL, NULL, NULL, 0, 0));
	assert_int_equal(maps, 1);
	refuse_map = 0;
	mine = make(64, 0);
	uma_zdestroy(mine);
	/* And who ends one that is ended, as two may at one time, is told. */
	assert_why(BAD_HANDLE, zone__destroy(mine));
	halt();
}

/* ---- Two at one item ---------------------------------------------------------- */

static void
items_of_nobody_are_told(void **state)
{
	void *p, *q, *bad;

	(void)state;
	boot(&two_cpus);
	mine = make(64, UMA_ZONE_NOBUCKET);
	other = make(64, UMA_ZONE_NOBUCKET);
	p = uma_zalloc(mine, M_WAITOK);
	q = uma_zalloc(other, M_WAITOK);
	/* On its way back, its slab is another keg's by now, or no slab. */
	bad = q;
	assert_ptr_equal(zone__keg_put(mine->z_keg, &bad, 1), q);
	bad = &bad;
	assert_ptr_equal(zone__keg_put(mine->z_keg, &bad, 1), &bad);
	zone__find(p)->sl_state = ZONE_SLAB_NONE;
	bad = p;
	assert_ptr_equal(zone__keg_put(mine->z_keg, &bad, 1), p);
	zone__find(p)->sl_state = ZONE_SLAB_PARTIAL;
	assert_false(zone__claim(&bad, ZONE_WORD_FREE, mine->z_id));
	assert_false(zone__claim(p, ZONE_WORD_FREE, mine->z_id));
	audit();
	uma_zfree(mine, p);
	uma_zfree(other, q);
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

/* The same as in an arena's zone, where every path is a slow one. */
static void
an_item_from_elsewhere_in_two_magazines(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = make(100, 0);
	uma_zone_set_allocf(mine, source_alloc);
	source_at = source_memory;
	p = uma_zalloc(mine, M_WAITOK);
	assert_false(zone__claim(p, ZONE_WORD_FREE, mine->z_id));
	assert_false(zone__claim((char *)p + 4056, mine->z_id, 0));
	assert_false(zone__claim((char *)p + 1, mine->z_id, 0));
	uma_zfree(mine, p);
	assert_int_equal(mag__put(&mine->z_cache, p), MAG_DONE);
	assert_ptr_equal(uma_zalloc(mine, M_WAITOK), p);
	assert_why(DOUBLE_FREE, sink = uma_zalloc(mine, M_WAITOK));
	assert_ptr_equal(caught.addr, p);
	(void)kalloc_halt(true, NULL, NULL);
}

static void *moved_item;

/* Takes an item, which brings along what a CPU without owner has. */
static void
fini_allocates(void *item, size_t size)
{
	(void)item;
	(void)size;
	if (moved_item == NULL)
		moved_item = uma_zalloc(other, M_NOWAIT);
}

static void *
cache_six(void *arg)
{
	void *p[6];
	unsigned i;

	(void)arg;
	for (i = 0; i < 6; i++)
		must((p[i] = uma_zalloc(other, M_WAITOK)) != NULL);
	for (i = 0; i < 6; i++)
		uma_zfree(other, p[i]);
	return (NULL);
}

/* Two CPUs have items of a secondary zone. */
static void
cached_by_two(uma_fini *fini)
{
	void *p;

	boot(&two_cpus);
	mine = make(64, 0);
	other = uma_zsecond_create("moves", NULL, NULL, NULL, fini, mine);
	uma_zone_set_maxcache(other, 1000);
	p = uma_zalloc(other, M_WAITOK);
	thread_run(cache_six, NULL);
	uma_zfree(other, p);
	moved_item = NULL;
}

/* One item moved, which is held, and no other was left. */
static void
nothing_is_cached(void)
{
	assert_non_null(moved_item);
	assert_int_equal(zstats(other).cached, 0);
	assert_int_equal(zstats(other).used, 1);
	audit();
	uma_zfree(other, moved_item);
	uma_zdestroy(other);
	uma_zdestroy(mine);
	halt();
}

/* What moves while a closed cache is drained is found as well. */
static void
a_drain_finds_what_moves(void **state)
{
	(void)state;
	cached_by_two(fini_allocates);
	uma_zone_set_max(other, 4);
	nothing_is_cached();
}

/* The same for a get that has looked at the size of buckets already. */
static void
fini_gets_late(void *item, size_t size)
{
	(void)item;
	(void)size;
	if (moved_item != NULL)
		return;
	moved_item = mag__get(&other->z_cache);
	must(moved_item != NULL &&
	    zone__claim(moved_item, ZONE_WORD_FREE, other->z_id));
}

static void
lower_maxcache(void)
{
	uma_zone_set_maxcache(other, 0);
}

static void
reserve_some(void)
{
	uma_zone_reserve(mine, 1);
}

/* Without buckets nobody looks into the caches: nothing stays there (ZN-6,
 * ZN-14). */
static void
no_bucket_leaves_nothing(void **state)
{
	static void (*const lower[])(void) = { reserve_some, lower_maxcache };
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT_OF(lower); i++) {
		cached_by_two(fini_gets_late);
		/* As if all this came since uma_zone_reserve() looked. */
		mine->z_own_keg.k_used = 0;
		lower[i]();
		nothing_is_cached();
	}
}

/* ---- One thread looks, another ends ------------------------------------------- */

static void
fini_waits_for_the_end(void *item, size_t size)
{
	(void)item;
	(void)size;
	must(wait_until(ka_load(&mine->z_state, ACQUIRE) == ZONE_ENDING));
	sleep_ms(20);
}

static void *
reclaim_main(void *arg)
{
	(void)arg;
	uma_reclaim(UMA_RECLAIM_DRAIN_CPU);
	return (NULL);
}

static bool
is_walked(void)
{
	bool is;

	ka_mutex_lock(&zone_lock);
	is = mine->z_refs != 0;
	ka_mutex_unlock(&zone_lock);
	return (is);
}

/* By force a system ends under who walks over its zones; the next system's do
 * not wait for him. */
static void
walkers_end_with_their_system(void **state)
{
	uint16_t id;

	(void)state;
	boot(&two_cpus);
	mine = make(64, 0);
	id = mine->z_id;
	mine->z_refs = 1;
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
	boot(&two_cpus);
	/* Records are taken in turn. */
	do
		mine = make(64, 0);
	while (mine->z_id != id && (uma_zdestroy(mine), true));
	assert_int_equal(mine->z_refs, 0);
	uma_zdestroy(mine);
	halt();
}

/* Who ends a zone waits for those who walk over all. */
static void
an_end_waits_for_walkers(void **state)
{
	pthread_t t;
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = uma_zcreate(
	    "walked", 4096, NULL, NULL, NULL, fini_waits_for_the_end, 0, 0);
	p = uma_zalloc(mine, M_WAITOK);
	uma_zfree(mine, p);
	t = thread_start(reclaim_main, NULL);
	assert_true(wait_until(is_walked()));
	uma_zdestroy(mine);
	thread_join(t);
	assert_why(BAD_HANDLE, uma_zone_get_cur(mine));
	halt();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(callbacks_may_not_free_their_item),
		cmocka_unit_test(an_item_in_its_init_is_foreign),
		cmocka_unit_test(caches_may_end_while_they_are_filled),
		cmocka_unit_test(caches_may_shrink_while_they_are_filled),
		cmocka_unit_test(cache_zones_may_be_refused),
		cmocka_unit_test(a_refused_pointer_goes_back),
		cmocka_unit_test(sources_are_looked_at),
		cmocka_unit_test(refused_memory_is_not_noted),
		cmocka_unit_test(slabs_stay_without_freef),
		cmocka_unit_test(a_source_is_shared),
		cmocka_unit_test(sources_go_with_every_flag),
		cmocka_unit_test(static_memory_is_checked),
		cmocka_unit_test(small_records_need_no_memory),
		cmocka_unit_test(a_record_may_take_all_room),
		cmocka_unit_test(large_zones_lose_no_item),
		cmocka_unit_test(records_begin_as_nothing),
		cmocka_unit_test(static_items_are_found_after_a_halt),
		cmocka_unit_test(forced_halts_keep_static_items_only),
		cmocka_unit_test(a_boot_has_its_memory_or_none),
		cmocka_unit_test(pointers_beyond_the_arena_are_foreign),
		cmocka_unit_test(a_halt_ends_every_item),
		cmocka_unit_test(the_last_record_may_be_the_next),
		cmocka_unit_test(wrong_flags_are_told_without_caches),
		cmocka_unit_test(a_maximum_may_be_lowered_twice),
		cmocka_unit_test(a_warning_is_said_again_later),
		cmocka_unit_test(a_smaller_prealloc_changes_nothing),
		cmocka_unit_test(nowait_takes_what_its_cpu_keeps),
		cmocka_unit_test(zones_need_memory_for_their_caches),
		cmocka_unit_test(items_of_nobody_are_told),
		cmocka_unit_test(an_item_from_elsewhere_in_two_magazines),
		cmocka_unit_test(a_drain_finds_what_moves),
		cmocka_unit_test(no_bucket_leaves_nothing),
		cmocka_unit_test(an_end_waits_for_walkers),
		cmocka_unit_test(walkers_end_with_their_system),
	};

	return (cmocka_run_group_tests_name("uma-edges", tests, NULL, NULL));
}
