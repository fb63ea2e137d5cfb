/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: each cache of a recording becomes the allocator that the map says, made
 * with what the whole recording tells of it. Method: small recordings by hand
 * and the text that must come out; maps that are none. Real recordings under
 * every kind are in cli/import-map.sh.
 */
#include <kalloc/flags.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "import/import.h"
#include "trace_test.h"

#define HEADER                                                                 \
	"kalab-trace 1\ncpus 1\nthreads 1\npages 4096\nreserve 32 8\n"         \
	"keep 2\ndebug 0\nschedule recorded\n"
#define TYPE(m, name)                                                          \
	"0 " m " = kmalloc_create \"" name "\"\n"                              \
	"0 kmalloc_set_unlimited " m "\n"

/* A line of task 7 on CPU 0, and of its softirq. */
#define LINE "            sh-7       [000] .....  12.000001: "
#define SOFT "            sh-7       [000] ..s1.  12.000001: "
#define ALLOC_AT(line, name, ptr, size, gfp)                                   \
	line "kmem_cache_alloc: call_site=f+0x1/0x2 ptr=" ptr " name=" name    \
	     " bytes_req=" size " bytes_alloc=64 gfp_flags=" gfp " node=-1\n"
#define ALLOC(name, ptr, size) ALLOC_AT(LINE, name, ptr, size, "GFP_KERNEL")
#define FREE(name, ptr)                                                        \
	LINE "kmem_cache_free: call_site=f+0x1/0x2 ptr=" ptr " name=" name "\n"
#define KMALLOC(ptr, size)                                                     \
	LINE "kmalloc: call_site=g+0x1/0x2 ptr=" ptr " bytes_req=" size        \
	     " bytes_alloc=64 gfp_flags=GFP_KERNEL node=-1\n"
#define KFREE(ptr) LINE "kfree: call_site=g+0x1/0x2 ptr=" ptr "\n"

#define PIPE(m, q, size, flags, hooks, p)                                      \
	"0 " q " = mpipe_init " m " " size " 4 -1 " flags " " hooks "\n"       \
	"0 " p " = mpipe_alloc_waitok " q "\n"

static struct import_report report; /* of the last import that went well */

/* The import as text, or NULL. */
static char *
import_text(const char *input, size_t size, const char *const *maps,
    struct trace_error *ret_error)
{
	static struct import_map map[IMPORT_MAPS_MAX];
	struct import_options o = { .map = map };
	struct trace_writer *w;
	struct trace_op op;
	struct import *im;
	size_t text_size;
	char *text;
	int got;

	for (; maps != NULL && maps[o.nmaps] != NULL; o.nmaps++)
		assert_null(import_map_parse(maps[o.nmaps], &map[o.nmaps]));
	if (import_open_mem(&im, "test", input, size, &o, ret_error) != 0)
		return (NULL);
	FILE *fp = open_memstream(&text, &text_size);
	assert_non_null(fp);
	assert_int_equal(trace_writer_open_stream(
			     &w, fp, TRACE_TEXT, import_header(im), ret_error),
	    0);
	uint64_t ops = 0;
	while ((got = import_next(im, &op, ret_error)) > 0) {
		assert_int_equal(trace_writer_op(w, &op), 0);
		ops++;
	}
	assert_int_equal(got, 0);
	assert_int_equal(trace_writer_close(w, ret_error), 0);
	assert_int_equal(fclose(fp), 0);
	report = *import_report(im);
	assert_int_equal(report.ops, ops);
	import_close(im);
	return (text);
}

static void
assert_text(const char *input, const char *const *maps, const char *expected)
{
	struct trace_error error = { .file = "" };
	struct trace t;

	char *text = import_text(input, strlen(input), maps, &error);
	if (text == NULL)
		fail_msg("%s", error.what);
	assert_string_equal(text, expected);
	/* It is a trace, and names nothing that is not defined. */
	assert_int_equal(trace_test_parse(text, strlen(text), &t, &error), 0);
	assert_int_equal(trace_canonicalize(&t), 0);
	assert_int_equal(t.nops, report.ops);
	trace_fini(&t);
	free(text);
}

static void
caches_become_zones(void **state)
{
	(void)state;
	/* A zone is as large as the largest; kfree gives to the owner too. */
	assert_text(ALLOC("a", "a1", "40") ALLOC("a", "a2", "48")
			ALLOC_AT(LINE, "a", "a3", "8", "GFP_ATOMIC|__GFP_ZERO")
			    FREE("a", "a1") KFREE("a2") KMALLOC("a4", "9"),
	    NULL,
	    HEADER "0 z0 = uma_zcreate \"a\" 48 7 0 0\n"
		   "0 p0 = uma_zalloc z0 WAITOK\n"
		   "0 p1 = uma_zalloc z0 WAITOK\n"
		   "0 p2 = uma_zalloc z0 INTNOWAIT|ZERO\n"
		   "0 uma_zfree z0 p0\n"
		   "0 uma_zfree z0 p1\n" TYPE(
		       "m0", "g") "0 p0 = kmalloc 9 m0 WAITOK\n");
	assert_int_equal(report.zones, 1);
	assert_int_equal(report.types, 1);
	assert_int_equal(report.constructed, 0);
}

static void
each_kind_has_its_operations(void **state)
{
	static const char *const maps[] = { "c*=objcache", "q=mpipe", "b=zinit",
		"m=kmalloc", "z=uma", NULL };

	(void)state;
	assert_text(
	    ALLOC_AT(LINE, "cz", "a1", "32", "GFP_KERNEL|__GFP_ZERO") ALLOC(
		"q", "a2", "64") ALLOC_AT(LINE, "q", "a3", "64", "GFP_NOWAIT")
		ALLOC_AT(LINE, "b", "a4", "20", "GFP_ATOMIC")
		    ALLOC("m", "a5", "100") ALLOC("z", "a6", "8")
			ALLOC("c", "a7", "16") FREE("cz", "a1") FREE("q", "a2")
			    FREE("q", "a3") FREE("b", "a4") FREE("m", "a5")
				FREE("z", "a6") FREE("c", "a7"),
	    maps,
	    HEADER TYPE("m0",
		"cz") "0 c0 = objcache_create \"cz\" m0 32 0 0 "
		      "zero\n"
		      "0 p0 = objcache_get c0 WAITOK\n" TYPE("m1",
			  "q") "0 q0 = mpipe_init m1 64 4 -1 NOZERO 0\n"
			       "0 p1 = mpipe_alloc_waitok q0\n"
			       "0 p2 = mpipe_alloc_nowait q0\n"
			       "0 b0 = zinit \"b\" 20 1 USE_RESERVE|DESTROYABLE\n"
			       "0 p3 = zalloc b0\n" TYPE("m2",
				   "m") "0 p4 = kmalloc 100 m2 WAITOK\n"
					"0 z0 = uma_zcreate \"z\" 8 7 0 0\n"
					"0 p5 = uma_zalloc z0 WAITOK\n" TYPE(
					    "m3",
					    "c") "0 c1 = objcache_create \"c\" m3 "
						 "16 0 0 0\n"
						 "0 p6 = objcache_get c1 WAITOK\n"
						 "0 objcache_put c0 p0\n"
						 "0 mpipe_free q0 p1\n"
						 "0 mpipe_free q0 p2\n"
						 "0 zfree b0 p3\n"
						 "0 kfree p4 m2\n"
						 "0 uma_zfree z0 p5\n"
						 "0 objcache_put c1 p6\n");
	assert_int_equal(report.types, 4);
	assert_int_equal(report.zones, 1);
	assert_int_equal(report.objcaches, 2);
	assert_int_equal(report.pipes, 1);
	assert_int_equal(report.vmzones, 1);
	assert_int_equal(report.caches, 6);
}

static void
constructors_are_callbacks(void **state)
{
	static const char *const objcache[] = { "*=objcache", NULL };
	static const char *const mpipe[] = { "*=mpipe", NULL };
	static const char *const zinit[] = { "*=zinit", NULL };
	static const char input[] =
	    ALLOC("ext4_inode_cache", "a1", "900") ALLOC_AT(
		LINE, "lsm_inode_cache", "a2", "32", "GFP_NOFS|__GFP_ZERO");

	(void)state;
	assert_text(input, NULL,
	    HEADER "0 z0 = uma_zcreate \"ext4_inode_cache\" 900 7 init|fini 0\n"
		   "0 p0 = uma_zalloc z0 WAITOK\n"
		   "0 z1 = uma_zcreate \"lsm_inode_cache\" 32 7 0 0\n"
		   "0 p1 = uma_zalloc z1 WAITOK|ZERO\n");
	assert_int_equal(report.constructed, 1);
	assert_text(input, objcache,
	    HEADER TYPE("m0",
		"ext4_inode_cache") "0 c0 = objcache_create \"ext4_inode_cache\" m0 900 0 0 "
				    "ctor|dtor\n"
				    "0 p0 = objcache_get c0 WAITOK\n" TYPE("m1",
					"lsm_inode_cache") "0 c1 = objcache_create \"lsm_inode_cache\" m1 32 0 0 "
							   "zero\n"
							   "0 p1 = objcache_get c1 WAITOK\n");
	assert_int_equal(report.constructed, 1);
	assert_text(input, mpipe,
	    HEADER TYPE("m0", "ext4_inode_cache") PIPE("m0", "q0", "900",
		"NOZERO", "ctor|dtor", "p0") TYPE("m1", "lsm_inode_cache")
		PIPE("m1", "q1", "32", "CACHEDATA", "0", "p1"));
	assert_text(input, zinit,
	    HEADER "0 b0 = zinit \"ext4_inode_cache\" 900 1 DESTROYABLE\n"
		   "0 p0 = zalloc b0\n"
		   "0 b1 = zinit \"lsm_inode_cache\" 32 1 DESTROYABLE\n"
		   "0 p1 = zalloc b1\n");
	assert_int_equal(report.constructed, 0);
}

/* The laboratory can give only so many zones callbacks. */
static void
constructed_zones_are_bounded(void **state)
{
	static char input[8192];
	struct trace_error error;
	size_t n = 0;
	unsigned hooked = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		n += (size_t)snprintf(input + n, sizeof(input) - n,
		    "sh-7 [000] ..... 1.0: kmem_cache_alloc: call_site=f "
		    "ptr=%x name=x%u_inode_cache bytes_req=64 "
		    "gfp_flags=GFP_KERNEL\n",
		    256 + i, i);
	char *text = import_text(input, n, NULL, &error);
	assert_non_null(text);
	for (const char *p = text; (p = strstr(p, "init|fini")) != NULL; p++)
		hooked++;
	assert_int_equal(hooked, 16);
	assert_int_equal(report.constructed, 16);
	assert_int_equal(report.zones, 20);
	free(text);
}

/* So many lines of a cache's objects, all live. */
static char *
many(unsigned objects, const char *flags, size_t *ret_size)
{
	char *text;
	FILE *fp = open_memstream(&text, ret_size);

	assert_non_null(fp);
	for (unsigned i = 0; i < objects; i++)
		fprintf(fp,
		    "sh-7 [000] ..... 1.0: kmem_cache_alloc: call_site=f "
		    "ptr=%x name=q bytes_req=64 gfp_flags=%s\n",
		    256 + i, flags);
	assert_int_equal(fclose(fp), 0);
	return (text);
}

static void
pipes_guarantee_a_quarter(void **state)
{
	static const struct {
		unsigned objects;
		const char *flags, *expected;
	} rows[] = {
		{ 1, "GFP_KERNEL", "mpipe_init m0 64 4 -1 NOZERO 0\n" },
		{ 19, "GFP_KERNEL", "mpipe_init m0 64 4 -1 NOZERO 0\n" },
		{ 20, "GFP_NOWAIT", "mpipe_init m0 64 5 -1 NOZERO 0\n" },
		{ 5000, "GFP_ATOMIC",
		    "mpipe_init m0 64 1024 -1 NOZERO|INT 0\n" },
	};
	static const char *const maps[] = { "q=mpipe", NULL };
	struct trace_error error;
	size_t size;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *input = many(rows[i].objects, rows[i].flags, &size);
		char *text = import_text(input, size, maps, &error);

		assert_non_null(text);
		if (strstr(text, rows[i].expected) == NULL)
			fail_msg("no %s in %.300s", rows[i].expected, text);
		free(text);
		free(input);
	}
}

/* What counts is what is live at once. */
static void
pipes_guarantee_no_more_than_was_live(void **state)
{
	static const char *const maps[] = { "q=mpipe", NULL };
	static char input[16384];
	struct trace_error error;
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		n += (size_t)snprintf(input + n, sizeof(input) - n, "%s%s",
		    ALLOC("q", "a1", "64"), FREE("q", "a1"));
	assert_true(n < sizeof(input));
	char *text = import_text(input, n, maps, &error);
	assert_non_null(text);
	assert_non_null(strstr(text, "mpipe_init m0 64 4 -1 NOZERO 0\n"));
	free(text);
}

static void
interrupts_do_not_wait(void **state)
{
	static const char *const maps[] = { "q=mpipe", "c=objcache", NULL };

	(void)state;
	assert_text(ALLOC_AT(SOFT, "q", "a1", "64", "GFP_KERNEL") ALLOC_AT(
			SOFT, "c", "a2", "64", "GFP_KERNEL|__GFP_ZERO")
			ALLOC_AT(SOFT, "z", "a3", "64", "GFP_NOFS") ALLOC_AT(
			    SOFT, "z", "a4", "64", "GFP_NOWAIT|__GFP_ZERO"),
	    maps,
	    HEADER TYPE("m0",
		"q") "0 q0 = mpipe_init m0 64 4 -1 NOZERO|INT 0\n"
		     "0 p0 = mpipe_alloc_nowait q0\n" TYPE("m1",
			 "c") "0 c0 = objcache_create \"c\" m1 64 0 0 zero\n"
			      "0 p1 = objcache_get c0 INTNOWAIT\n"
			      "0 z0 = uma_zcreate \"z\" 64 7 0 0\n"
			      "0 p2 = uma_zalloc z0 INTNOWAIT\n"
			      "0 p3 = uma_zalloc z0 NOWAIT|ZERO\n");
}

static void
the_first_map_that_matches_counts(void **state)
{
	static const char *const maps[] = { "bio-[0-9]*=kmalloc", "bio*=zinit",
		"?=kmalloc", "a=b=uma", "*=zinit", NULL };

	(void)state;
	assert_text(ALLOC("bio-184", "a1", "8") ALLOC("biovec", "a2", "8")
			ALLOC("x", "a3", "8") ALLOC("a=b", "a4", "8"),
	    maps,
	    HEADER TYPE("m0", "bio-184") "0 p0 = kmalloc 8 m0 WAITOK\n"
					 "0 b0 = zinit \"biovec\" 8 1 "
					 "DESTROYABLE\n"
					 "0 p1 = zalloc b0\n" TYPE("m1",
					     "x") "0 p2 = kmalloc 8 m1 WAITOK\n"
						  "0 z0 = uma_zcreate \"a=b\" "
						  "8 7 0 0\n"
						  "0 p3 = uma_zalloc z0 "
						  "WAITOK\n");
}

/* A cache of no bytes, or of more than a zone may have, is kmalloc's. */
static void
odd_sizes_are_of_kmalloc(void **state)
{
	(void)state;
	assert_text(ALLOC("none", "a1", "0") ALLOC("some", "a2", "1048576"),
	    NULL,
	    HEADER TYPE("m0", "none") "0 p0 = kmalloc 0 m0 WAITOK\n"
				      "0 z0 = uma_zcreate \"some\" 1048576 7 0 "
				      "0\n"
				      "0 p1 = uma_zalloc z0 WAITOK\n");
	assert_text(ALLOC("much", "a1", "1048577"), NULL,
	    HEADER TYPE("m0", "much") "0 p0 = kmalloc 1048577 m0 WAITOK\n");
	assert_int_equal(report.zones, 0);
}

/* Enough caches that what they hoard needs more than the least budget. */
static void
pages_are_enough_for_caches(void **state)
{
	static const char *const kinds[] = { "*=uma", "*=objcache", "*=mpipe",
		"*=zinit", "*=kmalloc" };
	static const unsigned pages[] = { 16384, 4096, 8192, 16384, 4096 };
	struct trace_error error;
	char *input;
	size_t size;
	FILE *fp = open_memstream(&input, &size);

	(void)state;
	assert_non_null(fp);
	for (unsigned i = 0; i < 400; i++)
		fprintf(fp,
		    "sh-7 [000] ..... 1.0: kmem_cache_alloc: call_site=f "
		    "ptr=%x name=c%u bytes_req=6000 gfp_flags=GFP_KERNEL\n",
		    256 + i, i);
	assert_int_equal(fclose(fp), 0);
	for (size_t i = 0; i < COUNT(kinds); i++) {
		const char *const maps[] = { kinds[i], NULL };
		char *text = import_text(input, size, maps, &error);

		assert_non_null(text);
		print_message("%s: %llu pages\n", kinds[i],
		    (unsigned long long)report.pages);
		assert_int_equal(report.pages, pages[i]);
		free(text);
	}
	free(input);
}

static void
bad_maps_are_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "expected PATTERN=KIND" },
		{ "bio", "expected PATTERN=KIND" },
		{ "=uma", "empty pattern" },
		{ "bio=",
		    "unknown kind, expected uma, objcache, mpipe, zinit or "
		    "kmalloc" },
		{ "bio=UMA",
		    "unknown kind, expected uma, objcache, mpipe, zinit or "
		    "kmalloc" },
		{ "bio=uma ",
		    "unknown kind, expected uma, objcache, mpipe, zinit or "
		    "kmalloc" },
		{ "a[bc=uma", "pattern has a [ without its ]" },
		{ "a[=uma", "pattern has a [ without its ]" },
		{ "a[]=uma", "pattern has a [ without its ]" },
		{ "a[!]=uma", "pattern has a [ without its ]" },
		{ "a[[:digit:]=uma", "pattern has a [ without its ]" },
		{ "a[[:digit]=uma", "pattern has a [ without its ]" },
		{ "a[\\]=uma", "pattern has a [ without its ]" },
		{ "a\\=uma", "pattern ends in a backslash" },
		{ "1234567890123456789012345678901234567890"
		  "123456789012345678901234=uma",
		    "pattern too long, expected at most 63 characters" },
		/* These are good. */
		{ "*=uma", NULL },
		{ "a\\[=zinit", NULL },
		{ "a[]]=mpipe", NULL },
		{ "a[!]b]c[^x]=objcache", NULL },
		{ "a[[:digit:]]b[[.-.]]=kmalloc", NULL },
		{ "]=uma", NULL },
		{ "1234567890123456789012345678901234567890"
		  "12345678901234567890123=uma",
		    NULL },
	};
	struct import_map map;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *why = import_map_parse(rows[i].text, &map);

		if ((why == NULL) != (rows[i].why == NULL))
			fail_msg("\"%s\": %s", rows[i].text, why);
		if (why != NULL)
			assert_string_equal(why, rows[i].why);
	}
}

/* Options that no command line makes. */
static void
bad_options_are_refused(void **state)
{
	const struct import_map odd = { .pattern = "*",
		.kind = IMPORT_KIND_COUNT };
	const struct import_options kind = { .map = &odd, .nmaps = 1 };
	const struct import_options count = { .map = &odd, .nmaps = 65 };
	static const char input[] = ALLOC("a", "a1", "8");
	struct trace_error error;
	struct import *im;

	(void)state;
	assert_int_equal(
	    import_open_mem(&im, "test", input, strlen(input), &kind, &error),
	    -1);
	assert_string_equal(error.what, "unknown kind of a map");
	assert_int_equal(
	    import_open_mem(&im, "test", input, strlen(input), &count, &error),
	    -1);
	assert_string_equal(error.what, "maps out of range, expected 0 to 64");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caches_become_zones),
		cmocka_unit_test(each_kind_has_its_operations),
		cmocka_unit_test(constructors_are_callbacks),
		cmocka_unit_test(constructed_zones_are_bounded),
		cmocka_unit_test(pipes_guarantee_a_quarter),
		cmocka_unit_test(pipes_guarantee_no_more_than_was_live),
		cmocka_unit_test(interrupts_do_not_wait),
		cmocka_unit_test(the_first_map_that_matches_counts),
		cmocka_unit_test(odd_sizes_are_of_kmalloc),
		cmocka_unit_test(pages_are_enough_for_caches),
		cmocka_unit_test(bad_maps_are_refused),
		cmocka_unit_test(bad_options_are_refused),
	};

	return (cmocka_run_group_tests_name("import-map", tests, NULL, NULL));
}
