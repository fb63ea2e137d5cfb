/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: the trace language is what kalab-trace(5) says, example by example.
 * Method: a trace with every operation and header line in all forms, the bytes
 * of the binary form as constants, edits that canonicalize must make valid,
 * and the manual page's own example. Errors are in test_trace_error.c, files
 * in test_trace_file.c, properties in test_trace_fuzz.c.
 */
#include <kalloc/flags.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "trace_test.h"

/* The same trace as people write it. */
static const char all_ops_loose[] =
    "kalab-trace 0x1 # the first line\n"
    "# A comment, \xc3\xa9 and \xe2\x82\xac and \xf0\x9f\x98\x80 included.\n"
    "\n"
    " \t \n"
    "keep 5\n"
    "threads 3\n"
    "cpus 2\n"
    "debug audit|1\n"
    "pages\t0x100\t# hexadecimal\n"
    "reserve 0x20 0x8\n"
    "fault page once 3\n"
    "thread 2 cpu 1\n"
    "fault page from 18446744073709551615\n"
    "thread 0 cpu 1\n"
    "schedule sticky 8 17\n"
    "thread 1 cpu 1\n"
    "fault page prob 1/64 17#\n"
    "memory tso\n"
    "may wake|migrate\n"
    "deviate 0 5 1 run 2\n"
    "deviate 0 0xffffffff 0xffffffff delay\n"
    "deviate 2 0 0xffffffff insert 0xffff\n"
    "deviate 263 0 1 solo\n"
    "# The first operation ends the header.\n"
    "0 m7 = kmalloc_create \"temp\"# no blank needed\n"
    "0 m3=malloc_init\"a \\\"quoted\\\" \\\\ # name\"\n"
    " 1\tp90 = kmalloc 18446744073709551615 m7 ZERO|WAITOK\n"
    "1 p16777215 =kmalloc_cachealign 0x40 m3 SYSNOWAIT|NULLOK\n"
    "2 p7= kmalloc_powerof2 65 m3 INTWAIT|POWEROF2|INTWAIT|8\n"
    "2 kfree p90 m7\n"
    "0 kfree null null\n"
    "0 krealloc p16777215 0xFFFFffff m3 0x0\n"
    "0 krealloc p16777215 4294967296 m3 32768   \n"
    "0 p90 = kstrdup \"temp\" m7\n"
    "0 p0 = kstrndup \"other\" 3 m7\n"
    "0 kmalloc_usable_size p0\n"
    "0 kmalloc_limit m7\n"
    "0 kmalloc_raise_limit m7 1048576\n"
    "0 kmalloc_set_unlimited m3\n"
    "\n"
    "1 kmalloc_trim\n"
    "1 kfree_interior p0 8 m7\n"
    "1 kfree_wild null m7\n"
    "1 kfree_wild stack m7\n"
    "1 kfree_wild static m7\n"
    "1 kfree_wild unmapped m7\n"
    "1 kfree_wild page m7\n"
    "1 kfree_wild high m7\n"
    "2 g100 = vm_page_alloc 4 65536 0x8|SYSTEM\n"
    "2 vm_page_free g100\n"
    "2 migrate 1\n"
    "2 thread_exit\n"
    "0 kmalloc_destroy m7\n"
    "0 malloc_uninit m3\n"
    "0 m7 = kmalloc_create \"again\"\n"
    "0 c5 = objcache_create \"cache\" m7 96 40 -1 dtor|0x1\n"
    "1 p90 = objcache_get c5 NOWAIT\n"
    "1 objcache_put c5 p90\n"
    "1 objcache_dtor c5 null\n"
    "0 objcache_reclaimlist c5 null WAITOK\n"
    "0 objcache_set_cluster_limit c5 -2147483648\n"
    "0 objcache_hook c5 alloc refuse 3 2\n"
    "0 objcache_destroy c5\n"
    "0 q16777215 = mpipe_init m7 512 4 2147483647 NOZERO|CALLBACK ctor\n"
    "0 p90 = mpipe_alloc_nowait q16777215\n"
    "1 p16777215 = mpipe_alloc_waitok q16777215\n"
    "1 p7 = mpipe_alloc_callback q16777215\n"
    "1 mpipe_wait q16777215\n"
    "1 mpipe_free q16777215 p16777215\n"
    "1 mpipe_hook q16777215 callback self 1 4294967295\n"
    "0 mpipe_done q16777215\n"
    "0 z4 = uma_zcreate \"zone\" 64 7 ctor|init|maxaction NOFREE\n"
    "0 z2 = uma_zsecond_create \"second\" z4 dtor|fini\n"
    "0 z9 = uma_zcache_create \"tokens\" 8 100 0 NOBUCKET\n"
    "0 z11 = uma_zcreate_static \"early\" 0x28 7 ctor 0 0xc\n"
    "0 uma_zone_set_source z11\n"
    "0 c90 = objcache_create_zone \"over\" z2 0x10 4 ctor|dtor|zero\n"
    "1 p90 = uma_zalloc z4 WAITOK|ZERO\n"
    "1 p16777215 = uma_zalloc_arg z2 NOWAIT 77\n"
    "1 uma_zfree z4 p90\n"
    "1 uma_zfree_arg z2 p16777215 78\n"
    "1 uma_zfree_interior z4 p7 4\n"
    "1 uma_zfree_wild z4 page\n"
    "0 uma_zone_set_max z4 17\n"
    "0 uma_zone_get_max z4\n"
    "0 uma_zone_get_cur z4\n"
    "0 uma_zone_set_maxcache z4 0\n"
    "0 uma_prealloc z4 9\n"
    "0 uma_zone_reserve z4 3\n"
    "0 uma_zone_reclaim z4 drain_cpu\n"
    "0 uma_reclaim trim  # all\n"
    "0 uma_hook z4 ctor kmalloc 1 2\n"
    "0 uma_zdestroy z2\n"
    "0 b3 = zbootinit \"boot\" 40 16\n"
    "0 b9 = zinit \"zinit\" 96 200 INTERRUPT|PANICFAIL\n"
    "0 zinitna b3 \"boot\" 50 USE_RESERVE\n"
    "1 p90 = zalloc b3\n"
    "1 zfree b3 p90\n"
    "0 zdestroy b9\n"
    "0 quiesce";

static void
table_is_consistent(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TRACE_OP_COUNT; i++) {
		const struct trace_opdef *def = &trace_ops[i];

		assert_int_equal(
		    trace_op_by_name(def->name, strlen(def->name)), i);
		assert_int_equal(trace_op_by_name(def->name,
				     strlen(def->name) - 1) == (int)i,
		    0);
		assert_in_range(strlen(def->name), 1, 32);
		assert_in_range(def->nargs, 0, TRACE_ARGS_MAX);
		assert_in_range(def->group, 0, TRACE_GROUP_COUNT - 1);
		assert_true(def->out >= -1 && def->out < TRACE_CLASS_COUNT);
		assert_true(strlen(def->help) > 0);
		/* No name may look like a register or a number. */
		assert_true(def->name[0] >= 'a' && def->name[0] <= 'z');
		assert_true(def->name[1] < '0' || def->name[1] > '9');
		for (unsigned j = 0; j < TRACE_ARGS_MAX; j++)
			assert_int_equal(
			    def->arg[j] == TRACE_K_NONE, j >= def->nargs);
	}
	assert_int_equal(trace_op_by_name("", 0), -1);
	assert_int_equal(trace_op_by_name("kmalloc ", 8), -1);
}

static void
kinds_have_names_and_classes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TRACE_KIND_COUNT; i++) {
		const enum trace_kind kind = (enum trace_kind)i;

		assert_string_not_equal(trace_kind_name(kind), "?");
		if (trace_kind_ends(kind))
			assert_true(trace_kind_writes(kind));
		if (trace_kind_writes(kind))
			assert_true(trace_kind_class(kind) >= 0);
	}
	assert_int_equal(trace_kind_class(TRACE_K_OBJ_MOD), TRACE_OBJ);
	assert_int_equal(trace_kind_class(TRACE_K_TYPE_END), TRACE_TYPE);
	assert_int_equal(trace_kind_class(TRACE_K_RUN_USE), TRACE_RUN);
	assert_int_equal(trace_kind_class(TRACE_K_SIZE), -1);
	assert_true(trace_kind_writes(TRACE_K_OBJ_MOD));
	assert_false(trace_kind_ends(TRACE_K_OBJ_MOD));
	assert_false(trace_kind_writes(TRACE_K_OBJ_USE));
	assert_true(trace_kind_ends(TRACE_K_RUN_END));
	assert_string_equal(trace_kind_name(TRACE_KIND_COUNT), "?");
	assert_string_equal(trace_wild_name(TRACE_WILD_HIGH), "high");
	assert_string_equal(trace_wild_name(TRACE_WILD_COUNT), "?");
	assert_string_equal(trace_sched_name(TRACE_SCHED_RANDOM), "random");
	assert_string_equal(trace_sched_name(TRACE_SCHED_MODE_COUNT), "?");
	assert_string_equal(trace_group_name(TRACE_G_VM), "vm_page");
	assert_string_equal(trace_group_name(TRACE_GROUP_COUNT), "?");
}

static void
flags_format_composites_first(void **state)
{
	static const struct {
		uint64_t flags;
		const char *text;
	} rows[] = {
		{ 0, "0" },
		{ M_WAITOK | M_ZERO, "WAITOK|ZERO" },
		{ M_NOWAIT, "NOWAIT" },
		{ M_NOWAIT | M_ZERO, "NOWAIT|ZERO" },
		{ M_INTNOWAIT, "INTNOWAIT" },
		{ M_INTWAIT, "INTWAIT" },
		{ M_SYSWAIT, "SYSWAIT" },
		{ M_RNOWAIT, "RNOWAIT" },
		{ M_RNOWAIT | M_NULLOK, "RNOWAIT|NULLOK" },
		{ M_WAITOK | M_USE_INTERRUPT_RESERVE,
		    "WAITOK|USE_INTERRUPT_RESERVE" },
		{ 0x00f8, "0xf8" },
		{ 0xffff,
		    "INTNOWAIT|WAITOK|ZERO|PASSIVE_ZERO|POWEROF2|CACHEALIGN|"
		    "0x80fc" },
		{ 0x100000002, "WAITOK|0x100000000" },
	};
	char buf[128];

	(void)state;
	for (unsigned i = 0; i < COUNT(rows); i++)
		assert_string_equal(
		    trace_flags_format(rows[i].flags, buf, sizeof(buf)),
		    rows[i].text);
	assert_string_equal(
	    trace_vmflags_format(
		VM_ALLOC_SYSTEM | VM_ALLOC_ZERO | 0x10, buf, sizeof(buf)),
	    "SYSTEM|ZERO|0x10");
	assert_string_equal(trace_vmflags_format(0, buf, sizeof(buf)), "0");
	/* Cut, never overrun. */
	assert_string_equal(trace_flags_format(0xffff, buf, 8), "INTNOWA");
	assert_string_equal(trace_flags_format(0xffff, buf, 1), "");
}

static void
all_flags_survive_text(void **state)
{
	struct trace t;
	char text[256], flags[128], vmflags[128];

	(void)state;
	for (unsigned i = 0; i <= 0xffff; i += 1 + i % 7) {
		snprintf(text, sizeof(text),
		    "kalab-trace 1\n0 p0 = kmalloc 1 null %s\n"
		    "0 g0 = vm_page_alloc 1 0 %s\n",
		    trace_flags_format(i, flags, sizeof(flags)),
		    trace_vmflags_format(i, vmflags, sizeof(vmflags)));
		trace_test_must_parse(text, &t);
		assert_int_equal(t.op[0].arg[2], i);
		assert_int_equal(t.op[1].arg[2], i);
		trace_fini(&t);
	}
}

static void
header_defaults(void **state)
{
	struct trace t, parsed;

	(void)state;
	trace_init(&t);
	trace_test_must_parse("kalab-trace 1\n", &parsed);
	assert_true(trace_test_equal(&t, &parsed));
	trace_test_assert_prints(&t,
	    "kalab-trace 1\ncpus 1\nthreads 1\npages 4096\nreserve 32 8\n"
	    "keep 2\ndebug 0\nschedule recorded\n");
	trace_fini(&parsed);
	/* The reserves follow a small budget. */
	trace_test_must_parse("kalab-trace 1\npages 32", &parsed);
	assert_int_equal(parsed.header.reserve_system, 8);
	assert_int_equal(parsed.header.reserve_interrupt, 2);
	trace_fini(&parsed);
	trace_test_must_parse("kalab-trace 1\nthreads 5\ncpus 2\n", &parsed);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(parsed.header.thread_cpu[i], i % 2);
	trace_fini(&parsed);
	trace_fini(&t);
}

static void
every_operation_in_every_form(void **state)
{
	bool seen[TRACE_OP_COUNT] = { false };
	struct trace t, loose, again;
	struct trace_error error;
	size_t size;

	(void)state;
	trace_test_must_parse(all_ops, &t);
	trace_test_must_parse(all_ops_loose, &loose);
	for (size_t i = 0; i < t.nops; i++)
		seen[t.op[i].code] = true;
	for (unsigned i = 0; i < TRACE_OP_COUNT; i++) {
		if (!seen[i])
			fail_msg("all_ops has no %s", trace_ops[i].name);
	}
	trace_test_assert_prints(&t, all_ops);
	trace_test_assert_prints(&loose, all_ops);
	assert_true(trace_test_equal(&t, &loose));
	assert_int_equal(t.op[0].line, 20);
	assert_int_equal(loose.op[0].line, 25);
	char *binary = trace_test_bytes(&t, TRACE_BINARY, &size);
	assert_int_equal(trace_test_parse(binary, size, &again, &error), 0);
	assert_true(trace_test_equal(&t, &again));
	assert_int_equal(again.op[0].line, 1);
	free(binary);
	trace_fini(&again);
	uint8_t *payload;
	assert_int_equal(trace_encode(&t, &payload, &size), 0);
	trace_test_decode(payload, size, &again);
	assert_true(trace_test_equal(&t, &again));
	free(payload);
	trace_fini(&again);
	assert_int_equal(trace_canonicalize(&loose), 0);
	assert_true(trace_test_equal(&t, &loose));
	trace_fini(&loose);
	trace_fini(&t);
}

static void
op_format_is_a_line(void **state)
{
	struct trace t;
	char buf[128];

	(void)state;
	trace_test_must_parse(all_ops, &t);
	trace_op_format(&t.header, &t.op[2], buf, sizeof(buf));
	assert_string_equal(
	    buf, "1 p0 = kmalloc 0xffffffffffffffff m0 WAITOK|ZERO");
	trace_op_format(&t.header, &t.op[2], buf, 10);
	assert_string_equal(buf, "1 p0 = km");
	t.op[2].code = TRACE_OP_COUNT;
	trace_op_format(&t.header, &t.op[2], buf, sizeof(buf));
	assert_string_equal(buf, "1 ?");
	trace_fini(&t);
}

/* Payload and container are formats: these bytes may not change. */
static void
binary_form_is_stable(void **state)
{
	static const char text[] = "kalab-trace 1\ncpus 2\nthreads 3\n"
				   "0 m0 = kmalloc_create \"temp\"\n"
				   "0 p0 = kmalloc 64 m0 WAITOK\n"
				   "0 p1 = kmalloc 300 m0 WAITOK|ZERO\n"
				   "2 kfree p0 m0\n"
				   "2 p0 = kstrdup \"temp\" null\n"
				   "1 kfree p1 m0\n";
	static const uint8_t payload[] = {
		0x03, 1, 2,			 /* cpus, threads */
		0, 0, 3, 't', 'e', 'm', 'p', 0,	 /* kmalloc_create */
		4, 64, 1, 2, 0,			 /* kmalloc, new p0 */
		4, 0xac, 0x02, 1, 0x82, 0x02, 0, /* kmalloc, new p1 */
		0x87, 2, 2, 1,			 /* thread 2: kfree */
		9, 1, 0, 2,			 /* kstrdup to p0 */
		0x87, 1, 2, 1,			 /* p1 is one before p0 */
	};
	static const uint8_t head[] = { 0x89, 'K', 'A', 'L', 0x0d, 0x0a, 0x1a,
		0x0a, 1, 0, 0, 0, sizeof(payload), 0, 0, 0 };
	struct trace t;
	uint8_t *bytes;
	size_t size;

	(void)state;
	trace_test_must_parse(text, &t);
	assert_int_equal(trace_encode(&t, &bytes, &size), 0);
	assert_int_equal(size, sizeof(payload));
	assert_memory_equal(bytes, payload, size);
	free(bytes);
	char *file = trace_test_bytes(&t, TRACE_BINARY, &size);
	assert_int_equal(size, sizeof(head) + sizeof(payload) + 8 + 20);
	assert_memory_equal(file, head, sizeof(head));
	assert_memory_equal(file + sizeof(head), payload, sizeof(payload));
	/* XXH64 of the payload, seed 0, and of the total, seed 1. */
	static const uint8_t tail[] = {
		0x98,
		0xf1,
		0x8e,
		0x5e,
		0x46,
		0xa3,
		0xf0,
		0x30,
		0,
		0,
		0,
		0,
		35,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0x48,
		0xc3,
		0xf0,
		0x1a,
		0x81,
		0x25,
		0x52,
		0xd2,
	};
	assert_memory_equal(
	    file + sizeof(head) + sizeof(payload), tail, sizeof(tail));
	free(file);
	trace_fini(&t);
}

static void
payload_is_total(void **state)
{
	struct trace t;

	(void)state;
	trace_test_decode(NULL, 0, &t);
	trace_test_assert_prints(&t,
	    "kalab-trace 1\ncpus 1\nthreads 1\npages 4096\nreserve 32 8\n"
	    "keep 2\ndebug 0\nschedule recorded\n");
	trace_fini(&t);
	/* Unknown registers: null. Wild values: modulo. Cut off: zeros. */
	static const uint8_t bytes[] = {
		0x01,
		64, /* 64 modulo 64 is 1 CPU */
		7,
		200,
		1,
		9, /* no registers */
		0x94,
		3,
		77,		     /* opcode 20; both modulo 1 */
		TRACE_OP_COUNT + 15, /* kmalloc_trim */
		17,
		11,
		5, /* 11 modulo 6 */
		2,
		0,
		34,
		0,
		0x80,
		'x', /* length 34 modulo 32 + 1 */
		0,
		4,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		1,
		0xff,
		0xff,
		0xff,
	};
	trace_test_decode(bytes, sizeof(bytes), &t);
	trace_test_assert_valid(&t);
	trace_test_assert_prints(&t,
	    "kalab-trace 1\ncpus 1\nthreads 1\npages 4096\nreserve 32 8\n"
	    "keep 2\ndebug 0\nschedule recorded\n"
	    "0 kfree null null\n"
	    "0 migrate 0\n"
	    "0 kmalloc_trim\n"
	    "0 kfree_wild high null\n"
	    "0 m0 = malloc_init \" Ax\"\n"
	    "0 p0 = kmalloc 0xffffffffffffffff m0 INTNOWAIT|WAITOK|ZERO|"
	    "PASSIVE_ZERO|POWEROF2|CACHEALIGN|0x80fc\n");
	for (size_t i = 0; i < t.nops; i++)
		assert_int_equal(t.op[i].line, i + 1);
	trace_fini(&t);
	/* Every prefix is a trace too. */
	for (size_t size = 0; size <= sizeof(bytes); size++) {
		trace_test_decode(bytes, size, &t);
		trace_test_assert_valid(&t);
		assert_true(t.nops <= size);
		trace_fini(&t);
	}
}

static void
strings_are_interned(void **state)
{
	struct trace_header h, copy;
	char s[32];

	(void)state;
	trace_header_init(&h);
	assert_int_equal(trace_str_intern(&h, "one", 3), 0);
	assert_int_equal(trace_str_intern(&h, "two", 3), 1);
	assert_int_equal(trace_str_intern(&h, "onetwo", 3), 0);
	assert_int_equal(trace_str_intern(&h, "o", 1), 2);
	assert_int_equal(trace_str_intern(&h, "", 0), 3);
	assert_string_equal(trace_str(&h, 3), "?");
	assert_int_equal(trace_str_intern(&h, "a\n\xff", 3), 4);
	assert_string_equal(trace_str(&h, 4), "a??");
	assert_int_equal(
	    trace_str_intern(&h, "123456789012345678901234567890123456", 36),
	    5);
	assert_string_equal(
	    trace_str(&h, 5), "12345678901234567890123456789012");
	assert_string_equal(trace_str(&h, 6), "?");
	for (unsigned i = 6; i < 65536; i++) {
		snprintf(s, sizeof(s), "name-%u", i);
		assert_int_equal(trace_str_intern(&h, s, strlen(s)), i);
	}
	/* Full: what is known is found, what is new is refused. */
	assert_int_equal(trace_str_intern(&h, "two", 3), 1);
	assert_int_equal(trace_str_intern(&h, "name-65535", 10), 65535);
	assert_true(trace_str_intern(&h, "new", 3) == UINT32_MAX);
	assert_int_equal(trace_header_copy(&copy, &h), 0);
	assert_true(trace_test_headers_equal(&h, &copy));
	assert_int_equal(trace_str_intern(&copy, "name-777", 8), 777);
	trace_header_fini(&copy);
	trace_header_fini(&h);
}

/* Full table of strings: text refuses a new one, the payload wraps around. */
static void
too_many_strings(void **state)
{
	struct trace_error error;
	struct trace t;
	char line[600], *text;
	size_t size;
	FILE *fp = open_memstream(&text, &size);

	(void)state;
	assert_non_null(fp);
	fputs("kalab-trace 1\n", fp);
	for (unsigned i = 0; i < 65536; i++)
		fprintf(fp, "0 m0 = malloc_init \"%u\"\n", i);
	assert_int_equal(fflush(fp), 0);
	assert_int_equal(trace_test_parse(text, size, &t, &error), 0);
	uint8_t *payload;
	size_t payload_size;
	assert_int_equal(trace_encode(&t, &payload, &payload_size), 0);
	trace_fini(&t);
	static const uint8_t tail[] = { 2, 0, 1, 2, 1, 1, 2, 2, 1, 2, 0x81,
		0x80, 0x04, 1 };
	payload = realloc(payload, payload_size + sizeof(tail));
	assert_non_null(payload);
	memcpy(payload + payload_size, tail, sizeof(tail));
	trace_test_decode(payload, payload_size + sizeof(tail), &t);
	assert_int_equal(t.nops, 65540);
	assert_int_equal(t.op[65536].arg[0], 65535);
	assert_int_equal(t.op[65537].arg[0], 65535);
	assert_int_equal(t.op[65538].arg[0], 65534);
	assert_int_equal(t.op[65539].arg[0], 65535);
	trace_fini(&t);
	free(payload);
	fputs("0 m0 = malloc_init \"new\"\n", fp);
	assert_int_equal(fclose(fp), 0);
	assert_int_equal(trace_test_parse(text, size, &t, &error), -1);
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(line,
	    "test:65538:20: too many different strings, expected at most "
	    "65536");
	free(text);
}

/* Reads one form and writes the other, operation by operation. */
static void
readers_feed_writers(void **state)
{
	struct trace_error error;
	struct trace_reader *r;
	struct trace_writer *w;
	struct trace_op op;
	char *bytes, *text;
	size_t size, text_size;
	FILE *fp = open_memstream(&bytes, &size);

	(void)state;
	assert_non_null(fp);
	assert_int_equal(
	    trace_reader_open_mem(&r, "test", all_ops, strlen(all_ops), &error),
	    0);
	assert_int_equal(trace_writer_open_stream(&w, fp, TRACE_BINARY,
			     trace_reader_header(r), &error),
	    0);
	while (trace_reader_next(r, &op, &error) == 1)
		assert_int_equal(trace_writer_op(w, &op), 0);
	assert_int_equal(trace_writer_comment(w, "not in binary"), 0);
	assert_int_equal(trace_writer_close(w, &error), 0);
	assert_int_equal(fclose(fp), 0);
	trace_reader_close(r);

	fp = open_memstream(&text, &text_size);
	assert_non_null(fp);
	assert_int_equal(
	    trace_reader_open_mem(&r, "test", bytes, size, &error), 0);
	assert_int_equal(trace_writer_open_stream(&w, fp, TRACE_TEXT,
			     trace_reader_header(r), &error),
	    0);
	while (trace_reader_next(r, &op, &error) == 1)
		assert_int_equal(trace_writer_op(w, &op), 0);
	assert_int_equal(trace_writer_close(w, &error), 0);
	assert_int_equal(fclose(fp), 0);
	trace_reader_close(r);
	assert_string_equal(text, all_ops);
	free(text);
	free(bytes);
}

static void
comments_stay_comments(void **state)
{
	char comment[3000], *text;
	struct trace_error error;
	struct trace_writer *w;
	struct trace t, again;
	size_t size;
	FILE *fp = open_memstream(&text, &size);

	(void)state;
	assert_non_null(fp);
	trace_init(&t);
	assert_int_equal(
	    trace_writer_open_stream(&w, fp, TRACE_TEXT, &t.header, &error), 0);
	assert_int_equal(trace_writer_comment(w, "one\ntwo\n\nfour\n"), 0);
	assert_int_equal(trace_writer_comment(w, ""), 0);
	assert_int_equal(
	    trace_writer_comment(w, "\xc3\xa9 \xc3( \x1b \x80\tx"), 0);
	memset(comment, 'x', sizeof(comment));
	comment[sizeof(comment) - 1] = '\0';
	assert_int_equal(trace_writer_comment(w, comment), 0);
	assert_int_equal(trace_writer_close(w, &error), 0);
	assert_int_equal(fclose(fp), 0);
	assert_non_null(strstr(text,
	    "recorded\n# one\n# two\n#\n# four\n#\n"
	    "# \xc3\xa9 ?( ? ??x\n# xxx"));
	assert_int_equal(trace_test_parse(text, size, &again, &error), 0);
	assert_true(trace_test_equal(&t, &again));
	trace_fini(&again);
	trace_fini(&t);
	free(text);
}

static void
invalid_operations_are_refused(void **state)
{
	static const struct trace_op bad[] = {
		{ .code = TRACE_OP_COUNT },
		{ .code = TRACE_OP_QUIESCE, .thread = 1 },
		{ .code = TRACE_OP_MIGRATE, .arg = { 1 } },
		{ .code = TRACE_OP_KFREE, .arg = { 0, TRACE_NOREG } },
		{ .code = TRACE_OP_KFREE, .arg = { UINT64_MAX, TRACE_NOREG } },
		{ .code = TRACE_OP_KFREE_WILD,
		    .arg = { TRACE_WILD_COUNT, TRACE_NOREG } },
		{ .code = TRACE_OP_KMALLOC,
		    .arg = { 1, TRACE_NOREG, 0x10000 } },
		{ .code = TRACE_OP_KMALLOC,
		    .out = TRACE_NOREG,
		    .arg = { 1, TRACE_NOREG, 0 } },
		{ .code = TRACE_OP_KMALLOC,
		    .out = TRACE_REGS_MAX,
		    .arg = { 1, TRACE_NOREG, 0 } },
		{ .code = TRACE_OP_MALLOC_INIT, .arg = { 0 } },
	};
	uint8_t *bytes;
	size_t size;

	(void)state;
	for (unsigned i = 0; i < COUNT(bad); i++) {
		struct trace t;

		trace_init(&t);
		assert_int_equal(trace_append(&t, &bad[i]), 0);
		if (trace_encode(&t, &bytes, &size) != EINVAL)
			fail_msg("bad operation %u was encoded", i);
		/* Moved into range, or dropped: valid in any case. */
		const size_t dropped = trace_canonicalize(&t);
		assert_int_equal(dropped + t.nops, 1);
		trace_test_assert_valid(&t);
		trace_fini(&t);
	}
}

static void
canonicalize_makes_edits_valid(void **state)
{
	struct trace t;

	(void)state;
	trace_test_must_parse("kalab-trace 1\nthreads 3\ncpus 3\n"
			      "deviate 0 1 1 run 1\ndeviate 2 1 1 delay\n"
			      "0 m0 = malloc_init \"a\"\n"
			      "0 m1 = malloc_init \"b\"\n"
			      "2 p0 = kmalloc 1 m0 0\n"
			      "0 p1 = kmalloc 2 m1 0\n"
			      "0 p2 = kstrdup \"c\" m0\n"
			      "0 kfree p0 m0\n"
			      "0 kfree p1 m1\n"
			      "2 migrate 2\n"
			      "0 kfree p2 m1\n",
	    &t);
	/* Without the first type: what names it goes, and what needs that. */
	memmove(&t.op[0], &t.op[1], (t.nops - 1) * sizeof(t.op[0]));
	t.nops--;
	t.header.threads = 2;
	t.header.cpus = 2;
	assert_int_equal(trace_canonicalize(&t), 4);
	trace_test_assert_valid(&t);
	trace_test_assert_prints(&t,
	    "kalab-trace 1\ncpus 2\nthreads 2\npages 4096\nreserve 32 8\n"
	    "keep 2\ndebug 0\nschedule recorded\ndeviate 0 1 1 run 1\n"
	    "0 m0 = malloc_init \"b\"\n"
	    "0 p0 = kmalloc 2 m0 0\n"
	    "0 kfree p0 m0\n"
	    "0 migrate 0\n");
	assert_int_equal(t.header.nstrs, 1);
	assert_int_equal(trace_canonicalize(&t), 0);
	trace_fini(&t);
	trace_init(&t);
	assert_int_equal(trace_canonicalize(&t), 0);
	assert_int_equal(t.nops, 0);
	trace_fini(&t);
}

static void
headers_are_repaired(void **state)
{
	struct trace t;

	(void)state;
	trace_test_must_parse(
	    "kalab-trace 1\nthreads 2\ndeviate 0 1 1 run 1\ndeviate 0 2 1 fail\n"
	    "deviate 1 0 0 wake 0\n",
	    &t);
	struct trace_header *const h = &t.header;
	h->cpus = 1000;
	h->threads = 300;
	h->pages = 1;
	h->reserve_system = 99;
	h->reserve_interrupt = 99;
	h->slabs_keep = 999;
	h->debug = ~0u;
	h->sched = TRACE_SCHED_STICKY;
	h->sticky = 0;
	h->thread_cpu[1] = 77;
	h->nfaults = 4;
	h->fault[0] = (struct trace_fault) { TRACE_FAULT_ONCE, 0, 5, 5, 5 };
	h->fault[1] = (struct trace_fault) { TRACE_FAULT_PROB, 9, 7, 5, 1 };
	h->fault[2] = (struct trace_fault) { TRACE_FAULT_FROM, 9, 7, 5, 1 };
	h->fault[3] =
	    (struct trace_fault) { TRACE_FAULT_MODE_COUNT, 1, 1, 1, 1 };
	/* Unsorted and doubled. */
	h->deviation[0] =
	    (struct trace_deviation) { 1, 7, 3, TRACE_DEVIATE_FAIL, 9 };
	h->deviation[1] =
	    (struct trace_deviation) { 0, 7, 3, TRACE_DEVIATE_RUN, 9 };
	h->deviation[2] =
	    (struct trace_deviation) { 1, 7, 3, TRACE_DEVIATE_FAIL, 9 };
	assert_int_equal(trace_canonicalize(&t), 0);
	trace_test_assert_valid(&t);
	assert_int_equal(h->cpus, 64);
	assert_int_equal(h->threads, 256);
	assert_int_equal(h->pages, 32);
	assert_int_equal(h->nfaults, 2);
	assert_int_equal(h->fault[0].num, 5);
	assert_int_equal(h->fault[1].k, 9);
	assert_int_equal(h->ndeviations, 2);
	assert_int_equal(h->deviation[0].thread, 0);
	trace_fini(&t);
}

/* The example of the manual page is a trace; so is its documentation true. */
static void
manual_page_examples_parse(void **state)
{
	const char *root = getenv("KALAB_SOURCE_ROOT");
	char path[4096], line[256], text[4096] = "";
	bool inside = false;
	unsigned examples = 0;
	struct trace t;

	(void)state;
	snprintf(path, sizeof(path), "%s/docs/man/kalab-trace.5",
	    root != NULL ? root : ".");
	FILE *fp = fopen(path, "r");
	if (fp == NULL)
		fail_msg("%s: set KALAB_SOURCE_ROOT", path);
	while (fgets(line, sizeof(line), fp) != NULL) {
		if (strcmp(line, "kalab-trace 1\n") == 0)
			inside = true;
		if (inside && strcmp(line, ".Ed\n") == 0) {
			inside = false;
			trace_test_must_parse(text, &t);
			assert_true(t.nops >= 5);
			if (examples++ == 0)
				assert_int_equal(t.header.nfaults, 1);
			trace_fini(&t);
			text[0] = '\0';
		}
		if (inside)
			strcat(text, line);
	}
	assert_int_equal(fclose(fp), 0);
	assert_true(examples >= 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_consistent),
		cmocka_unit_test(kinds_have_names_and_classes),
		cmocka_unit_test(flags_format_composites_first),
		cmocka_unit_test(all_flags_survive_text),
		cmocka_unit_test(header_defaults),
		cmocka_unit_test(every_operation_in_every_form),
		cmocka_unit_test(op_format_is_a_line),
		cmocka_unit_test(binary_form_is_stable),
		cmocka_unit_test(payload_is_total),
		cmocka_unit_test(strings_are_interned),
		cmocka_unit_test(too_many_strings),
		cmocka_unit_test(readers_feed_writers),
		cmocka_unit_test(comments_stay_comments),
		cmocka_unit_test(invalid_operations_are_refused),
		cmocka_unit_test(canonicalize_makes_edits_valid),
		cmocka_unit_test(headers_are_repaired),
		cmocka_unit_test(manual_page_examples_parse),
	};

	return (cmocka_run_group_tests_name("trace", tests, NULL, NULL));
}
