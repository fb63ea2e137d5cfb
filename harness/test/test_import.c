/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: a recording of a kernel becomes the trace that it should. Method:
 * small recordings by hand, in each format, and the text that must come out;
 * a piece of a real recording; damaged recordings, which may fail with one
 * line or come out as a valid trace, and nothing else.
 *
 * Data is beside this file, found by KALAB_SOURCE_ROOT. KALAB_TEST_TRACES may
 * name a directory of whole recordings (*.txt.xz); all of them are imported.
 */
#include <kalloc/flags.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "import/import.h"
#include "trace_test.h"

/* The header of what has one CPU; lines about threads follow. */
#define HEADER(cpus, threads)                                                  \
	"kalab-trace 1\ncpus " cpus "\nthreads " threads                       \
	"\npages 4096\nreserve 32 8\nkeep 2\ndebug 0\n"                        \
	"schedule recorded\n"
#define HEADER1 HEADER("1", "1")
#define TYPE(m, name)                                                          \
	"0 " m " = kmalloc_create \"" name "\"\n"                              \
	"0 kmalloc_set_unlimited " m "\n"

/* A line of task 7 on CPU 0. */
#define LINE "            sh-7       [000] .....  12.000001: "
#define KMALLOC(ptr, size)                                                     \
	LINE "kmalloc: call_site=f+0x1/0x2 ptr=" ptr " bytes_req=" size        \
	     " bytes_alloc=64 gfp_flags=GFP_KERNEL node=-1\n"
#define KFREE(ptr) LINE "kfree: call_site=f+0x1/0x2 ptr=" ptr "\n"
#define GFP(flags)                                                             \
	LINE "kmalloc: call_site=f+0x1/0x2 ptr=a1 bytes_req=8 "                \
	     "bytes_alloc=8 gfp_flags=" flags "\n" KFREE("a1")
#define PREFIX(prefix)                                                         \
	prefix "kmalloc: call_site=f+0x1/0x2 ptr=00000000000000b1 "            \
	       "bytes_req=8 bytes_alloc=8 gfp_flags=GFP_KERNEL\n"

#define EXCERPT "data/import-excerpt.txt.xz"
#define NOTHING                                                                \
	"no allocation event found, expected lines "                           \
	"like 'task-pid [cpu] flags time: kmalloc: ...'"

static struct import_report report; /* of the last import that went well */

/* The import as a file of this form, or NULL and *ret_error. */
static char *
import_bytes(const void *bytes, size_t size, const struct import_options *o,
    enum trace_form form, size_t *ret_size, struct trace_error *ret_error)
{
	struct trace_writer *w;
	struct trace_op op;
	struct import *im;
	char *out;
	int got;

	if (import_open_mem(&im, "test", bytes, size, o, ret_error) != 0)
		return (NULL);
	FILE *fp = open_memstream(&out, ret_size);
	assert_non_null(fp);
	assert_int_equal(trace_writer_open_stream(
			     &w, fp, form, import_header(im), ret_error),
	    0);
	uint64_t ops = 0;
	while ((got = import_next(im, &op, ret_error)) > 0) {
		assert_int_equal(trace_writer_op(w, &op), 0);
		assert_int_equal(op.line, ++ops);
	}
	assert_int_equal(trace_writer_close(w, ret_error), 0);
	assert_int_equal(fclose(fp), 0);
	report = *import_report(im);
	import_close(im);
	if (got < 0) {
		free(out);
		return (NULL);
	}
	assert_int_equal(report.ops, ops);
	return (out);
}

static void
assert_text(
    const char *input, const struct import_options *o, const char *expected)
{
	struct trace_error error = { .file = "" };
	char line[600];
	size_t size;

	char *text =
	    import_bytes(input, strlen(input), o, TRACE_TEXT, &size, &error);
	if (text == NULL) {
		trace_error_format(&error, line, sizeof(line));
		fail_msg("%s", line);
	}
	assert_string_equal(text, expected);
	free(text);
}

/* The flags of the one allocation that comes out of this. */
static void
assert_flags(const char *input, uint64_t flags, uint64_t vm_flags)
{
	struct trace_error error;
	struct trace_op op;
	struct import *im;

	assert_int_equal(
	    import_open_mem(&im, "test", input, strlen(input), NULL, &error),
	    0);
	while (import_next(im, &op, &error) > 0) {
		if (op.code == TRACE_OP_KMALLOC)
			assert_int_equal(op.arg[2], flags);
		if (op.code == TRACE_OP_VM_PAGE_ALLOC)
			assert_int_equal(op.arg[2], vm_flags);
	}
	report = *import_report(im);
	import_close(im);
}

static void
assert_fails_bytes(const void *input, size_t size,
    const struct import_options *o, const char *expected)
{
	struct trace_error error;
	char line[600];

	assert_null(
	    import_bytes(input, size, o, TRACE_TEXT, &(size_t) { 0 }, &error));
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(line, expected);
}

static void
assert_fails(
    const char *input, const struct import_options *o, const char *expected)
{
	assert_fails_bytes(input, strlen(input), o, expected);
}

/* Imports twice, and reads back what comes out, in both forms. */
static bool
check_import(const void *bytes, size_t size, struct trace_error *ret_error)
{
	struct trace t[2];
	size_t n[2], again;

	for (int form = 0; form < 2; form++) {
		char *a = import_bytes(bytes, size, NULL, (enum trace_form)form,
		    &n[form], ret_error);
		if (a == NULL)
			return (false);
		char *b = import_bytes(bytes, size, NULL, (enum trace_form)form,
		    &again, ret_error);
		assert_non_null(b);
		assert_int_equal(n[form], again);
		assert_memory_equal(a, b, again);
		assert_int_equal(
		    trace_test_parse(a, again, &t[form], ret_error), 0);
		free(a);
		free(b);
	}
	assert_int_equal(t[0].nops, t[1].nops);
	assert_int_equal(t[0].nops, report.ops);
	/* Nothing names a register that is not defined. */
	assert_int_equal(trace_canonicalize(&t[0]), 0);
	trace_fini(&t[0]);
	trace_fini(&t[1]);
	return (true);
}

static void
ftrace_lines_become_operations(void **state)
{
	(void)state;
	assert_text(
	    "# tracer: nop\n#\n"
	    "# entries-in-buffer/entries-written: 4/4   #P:1\n\n" LINE
	    "kmem_cache_alloc: call_site=getname.part.0+0x24/0x1f0 "
	    "ptr=00000000ebc3b1bf name=names_cache bytes_req=4096 "
	    "bytes_alloc=4096 gfp_flags=GFP_KERNEL node=-1 "
	    "accounted=false\n" LINE
	    "kmalloc: call_site=lsm_blob_alloc+0x3b/0x60 "
	    "ptr=0000000087a328da bytes_req=11 bytes_alloc=16 "
	    "gfp_flags=GFP_KERNEL_ACCOUNT|__GFP_ZERO node=-1 "
	    "accounted=true\n" LINE
	    "kmem_cache_free: call_site=vfs_fstatat+0x71/0xb0 "
	    "ptr=00000000ebc3b1bf name=names_cache\n" LINE
	    "kmem_cache_alloc_node: call_site=x+0x1/0x2 [mod] ptr=1234 "
	    "name=my cache bytes_req=0x20 bytes_alloc=32 "
	    "gfp_flags=GFP_ATOMIC node=0\n" LINE
	    "kmalloc_node: call_site=lsm_blob_alloc+0x50/0x60 [mod] ptr=0x77 "
	    "bytes_req=65537 bytes_alloc=64 "
	    "gfp_flags=GFP_NOWAIT node=0\n" LINE
	    "kfree: call_site=y+0x1/0x2 ptr=0000000000001234\n",
	    NULL,
	    HEADER1 "0 z0 = uma_zcreate \"names_cache\" 4096 7 0 0\n"
		    "0 p0 = uma_zalloc z0 WAITOK\n" TYPE("m0",
			"lsm_blob_alloc") "0 p1 = kmalloc 11 m0 WAITOK|ZERO\n"
					  "0 uma_zfree z0 p0\n"
					  "0 z1 = uma_zcreate \"my cache\" 32 "
					  "7 0 0\n"
					  "0 p0 = uma_zalloc z1 INTNOWAIT\n"
					  "0 p2 = kmalloc 65537 m0 NOWAIT\n"
					  "0 uma_zfree z1 p0\n");
	assert_int_equal(report.lines, 10);
	assert_int_equal(report.events, 6);
	assert_int_equal(report.unparsed, 0);
	assert_int_equal(report.caches, 2);
	assert_int_equal(report.call_sites, 1);
	assert_int_equal(report.live, 2);
	assert_int_equal(report.live_peak, 3);
}

static void
trace_cmd_lines_become_operations(void **state)
{
	(void)state;
	assert_text("version = 6\ncpus=2\nCPU 1 is empty\n"
		    "          <idle>-0     [000]  2947.097621: kmalloc: "
		    "             (alloc_fdtable+0x55) call_site=ffffffff8135a "
		    "ptr=0xffff888100 bytes_req=56 bytes_alloc=64 "
		    "gfp_flags=GFP_KERNEL|GFP_ZERO\n"
		    "          <idle>-0     [000]  2947.097622: kfree: "
		    "               (foo) [FAILED TO PARSE] call_site=0xf "
		    "ptr=0xffff888100\n"
		    "          <idle>-0     [000]  2947.097623: kfree: "
		    "               (foo) call_site=ffff ptr=0xffff888100\r\n",
	    NULL,
	    HEADER1 TYPE(
		"m0", "alloc_fdtable") "0 p0 = kmalloc 56 m0 WAITOK|ZERO\n"
				       "0 kfree p0 m0\n");
	assert_int_equal(report.unparsed, 1);
	assert_int_equal(report.unparsed_line, 5);
}

static void
old_kernels_have_no_names_of_caches(void **state)
{
	(void)state;
	assert_text(LINE
	    "kmem_cache_alloc: call_site=ffffffff811f0a11 "
	    "ptr=ffff88003b7d8000 bytes_req=192 bytes_alloc=192 "
	    "gfp_flags=GFP_WAIT|GFP_IO|GFP_ZERO\n" LINE
	    "kmem_cache_alloc: call_site=0xffffffff811f0a22 "
	    "ptr=(null) bytes_req=192 bytes_alloc=192 "
	    "gfp_flags=GFP_ATOMIC\n" LINE
	    "kmem_cache_free: call_site=ffffffff811ef0 "
	    "ptr=ffff88003b7d8000\n" LINE
	    "kfree: call_site=ffffffff81 ptr=          (null)\n" LINE
	    "kfree: call_site=ffffffff81 ptr=(null)\n",
	    NULL,
	    HEADER1 TYPE(
		"m0", "ffffffff811f0a11") "0 p0 = kmalloc 192 m0 WAITOK|ZERO\n"
					  "0 kfree p0 m0\n");
	assert_int_equal(report.allocs_failed, 1);
	assert_int_equal(report.frees_null, 1);
	assert_int_equal(report.unparsed, 1);
}

static void
prefixes_in_all_their_forms(void **state)
{
	static const char *const good[] = {
		PREFIX("  sh-7 [000] ..... 1.5: "),
		PREFIX("sh-7 [000] .... 1.5: "),
		PREFIX("a-b [1] c-d-7   [000] .N.1 1.5: "),
		PREFIX("kworker/0:1-ev [0]-7 [000] d..2. 1.5: "),
		PREFIX(" <...>-7 (-------) [000] ..... 1.5: "),
		PREFIX(" sh-7 (   12) [000] ..... 1.5: "),
		PREFIX(" sh-7 [000] 1.5: "),
		PREFIX(" sh-7 [000] 12345678901: "),
		PREFIX("\tsh-7\t[000]\t.....\t1.5:\t"),
		PREFIX(" sh-7 [000] ..... 1.5: kmem:"),
		PREFIX(" : - [ ]-7 [0] ..... 1.5: "),
	};
	static const char *const bad[] = {
		PREFIX(""),
		PREFIX(" sh [000] ..... 1.5: "),
		PREFIX(" sh-x [000] ..... 1.5: "),
		PREFIX(" sh-7[000] ..... 1.5: "),
		PREFIX(" sh-7 [] ..... 1.5: "),
		PREFIX(" sh-7 [a] ..... 1.5: "),
		PREFIX(" sh-7 [000 ..... 1.5: "),
		PREFIX(" sh-7 [000] ......... 1.5: "),
		PREFIX(" sh-7 [000] ..... x.5: "),
		PREFIX(" sh-7 [000] ..... 1.5 "),
		PREFIX(" sh-7 [000] ..... 1.: "),
		PREFIX(" sh-99999999999 [000] ..... 1.5: "),
		PREFIX(" sh-7 [99999999999] ..... 1.5: "),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_text(good[i], NULL,
		    HEADER1 TYPE("m0", "f") "0 p0 = kmalloc 8 m0 WAITOK\n");
	for (size_t i = 0; i < COUNT(bad); i++) {
		char text[512];

		snprintf(text, sizeof(text), "%s%s", KMALLOC("1", "1"), bad[i]);
		assert_text(text, NULL,
		    HEADER1 TYPE("m0", "f") "0 p0 = kmalloc 1 m0 WAITOK\n");
		assert_int_equal(report.unparsed, 1);
		assert_int_equal(report.unparsed_line, 2);
	}
}

static void
gfp_flags_become_m_flags(void **state)
{
	static const struct {
		const char *text;
		unsigned flags;
		bool unknown;
	} rows[] = {
		{ GFP("GFP_KERNEL"), M_WAITOK, false },
		{ GFP("GFP_NOFS"), M_WAITOK, false },
		{ GFP("GFP_NOIO|__GFP_ZERO"), M_WAITOK | M_ZERO, false },
		{ GFP("GFP_USER|__GFP_NOWARN"), M_WAITOK, false },
		{ GFP("GFP_NOWAIT"), M_NOWAIT, false },
		{ GFP("0"), M_NOWAIT, false },
		{ GFP("none"), M_NOWAIT, false },
		{ GFP("GFP_NOWAIT|__GFP_FS|__GFP_NORETRY"), M_NOWAIT, false },
		{ GFP("GFP_ATOMIC|__GFP_ZERO"), M_INTNOWAIT | M_ZERO, false },
		{ GFP("__GFP_HIGH"), M_INTNOWAIT, false },
		{ GFP("GFP_NOWAIT|__GFP_NOFAIL"), M_WAITOK, false },
		{ GFP("GFP_NOFS|__GFP_NOFAIL|__GFP_NORETRY"), M_WAITOK, false },
		{ GFP("GFP_KERNEL|__GFP_NORETRY"), M_WAITOK | M_NULLOK, false },
		{ GFP("GFP_KERNEL|__GFP_RETRY_MAYFAIL"), M_WAITOK | M_NULLOK,
		    false },
		{ GFP("GFP_KERNEL|GFP_REPEAT"), M_WAITOK | M_NULLOK, false },
		{ GFP("0xcc0"), M_WAITOK, false },
		{ GFP("0xdc0"), M_WAITOK | M_ZERO, false },
		{ GFP("0x820"), M_INTNOWAIT, false },
		{ GFP("0x800"), M_NOWAIT, false },
		{ GFP("GFP_NOWAIT|0x400|0x10000"), M_WAITOK | M_NULLOK, false },
		{ GFP("GFP_KERNEL|0x100"), M_WAITOK | M_ZERO, false },
		{ GFP("3264"), M_WAITOK, false },
		{ GFP("GFP_KERNEL|__GFP_NEW"), M_WAITOK, true },
		{ GFP("GFP_KERNEL|0xg"), M_WAITOK, true },
		{ GFP("0x1ffffffff"), M_NOWAIT, true },
		{ GFP("||"), M_NOWAIT, true },
		{ GFP(""), M_NOWAIT, true },
		{ GFP("KERNEL"), M_NOWAIT, true },
		{ LINE "kmalloc: ptr=a1 bytes_req=8\n", M_NOWAIT, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_flags(rows[i].text, rows[i].flags, 0);
		assert_int_equal(report.allocs, 1);
		assert_int_equal(report.gfp_unknown, rows[i].unknown);
	}
}

static void
pages_become_runs(void **state)
{
	(void)state;
	assert_text(LINE
	    "mm_page_alloc: page=00000000c0a1 pfn=0x0 order=0 "
	    "migratetype=0 gfp_flags=GFP_KERNEL|__GFP_ZERO\n" LINE
	    "mm_page_alloc: page=00000000c0a2 pfn=0x18 order=3 "
	    "migratetype=0 gfp_flags=GFP_ATOMIC\n" LINE
	    "mm_page_alloc: page=ffffea0000aa pfn=512 order=9 "
	    "migratetype=1 gfp_flags=GFP_NOWAIT|__GFP_COMP\n" LINE
	    "mm_page_alloc: page=(null) pfn=0xffffffffffffffff order=4 "
	    "migratetype=0 gfp_flags=GFP_NOWAIT\n" LINE
	    "mm_page_free_batched: page=00000000c0a1 pfn=0x0 order=0\n" LINE
	    "mm_page_free: page=00000000dead pfn=0x0 order=0\n" LINE
	    "mm_page_free: page=00000000c0a2 pfn=24 order=3\n" LINE
	    "mm_page_free: page=00000000c0a2 pfn=24 order=3\n" LINE
	    "mm_page_alloc: page=ffffea0000aa pfn=512 order=0 "
	    "migratetype=1 gfp_flags=GFP_KERNEL\n" LINE
	    "mm_page_alloc: page=ffff pfn=9 order=21 "
	    "migratetype=1 gfp_flags=GFP_KERNEL\n"
	    /* An object at the address of a page is another thing. */
	    KMALLOC("201", "1") KFREE("201"),
	    NULL,
	    HEADER1 "0 g0 = vm_page_alloc 1 0 NORMAL|ZERO\n"
		    "0 g1 = vm_page_alloc 8 32768 INTERRUPT\n"
		    "0 g2 = vm_page_alloc 512 65536 SYSTEM\n"
		    "0 vm_page_free g0\n"
		    "0 vm_page_free g1\n"
		    "0 vm_page_free g2\n"
		    "0 g0 = vm_page_alloc 1 0 NORMAL\n" TYPE(
			"m0", "f") "0 p0 = kmalloc 1 m0 WAITOK\n"
				   "0 kfree p0 m0\n");
	assert_int_equal(report.page_allocs, 4);
	assert_int_equal(report.page_frees, 2);
	assert_int_equal(report.frees_unknown, 1);
	assert_int_equal(report.frees_lost, 1);
	assert_int_equal(report.allocs_failed, 1);
	assert_int_equal(report.ignored, 1);
	assert_int_equal(report.unparsed, 1);
}

static void
registers_are_the_lowest_free_ones(void **state)
{
	(void)state;
	assert_text(KMALLOC("a1", "1") KMALLOC("a2", "2") KMALLOC("a3", "3")
			KFREE("a2") KFREE("a1") KMALLOC("a4", "4")
			    KMALLOC("a5", "5") KMALLOC("a6", "6"),
	    NULL,
	    HEADER1 TYPE("m0", "f") "0 p0 = kmalloc 1 m0 WAITOK\n"
				    "0 p1 = kmalloc 2 m0 WAITOK\n"
				    "0 p2 = kmalloc 3 m0 WAITOK\n"
				    "0 kfree p1 m0\n"
				    "0 kfree p0 m0\n"
				    "0 p0 = kmalloc 4 m0 WAITOK\n"
				    "0 p1 = kmalloc 5 m0 WAITOK\n"
				    "0 p3 = kmalloc 6 m0 WAITOK\n");
	assert_int_equal(report.bytes_peak, 18);
}

static void
what_the_recording_lacks_is_counted(void **state)
{
	(void)state;
	assert_text(KFREE("b0") KMALLOC("b1",
			"1") "CPU:0 [LOST 42 EVENTS]\nCPU:1 [LOST EVENTS]\n"
			     "CPU:0 [7 EVENTS DROPPED]\n" KMALLOC("b1", "2")
				 KFREE("0000000000000000") KFREE("0x0")
				     KFREE("10") KFREE("b1") KFREE("b1") LINE
	    "sched_switch: prev_comm=a prev_pid=1 ==> next_comm=b\n" LINE
	    "kmalloc: call_site=f+0x1/0x2 ptr=0 bytes_req=8 "
	    "gfp_flags=GFP_ATOMIC\n",
	    NULL,
	    HEADER1 TYPE("m0", "f") "0 p0 = kmalloc 1 m0 WAITOK\n"
				    "0 kfree p0 m0\n"
				    "0 p0 = kmalloc 2 m0 WAITOK\n"
				    "0 kfree p0 m0\n");
	assert_int_equal(report.frees_unknown, 2);
	assert_int_equal(report.frees_lost, 1);
	assert_int_equal(report.frees_null, 3);
	assert_int_equal(report.allocs_failed, 1);
	assert_int_equal(report.ignored, 1);
	assert_int_equal(report.lost_gaps, 3);
	assert_int_equal(report.lost_events, 49);
	assert_int_equal(report.allocs, 2);
	assert_int_equal(report.frees, 1);
	assert_int_equal(report.events, 9);
}

/* A line of any task, CPU and flags. */
#define AT(task, cpu, flags, ptr)                                              \
	task " [" cpu "] " flags " 1.0: kmalloc: call_site=f ptr=" ptr         \
	     " bytes_req=8 gfp_flags=GFP_KERNEL\n"

static void
contexts_have_threads_of_their_own(void **state)
{
	(void)state;
	assert_text(AT("<idle>-0", "001", ".....", "1") AT("<idle>-0", "000",
			".....", "2") AT("sh-7", "001", "..s1.", "3") AT("sh-7",
			"001", "d.h1.", "4") AT("sh-7", "001", "d.H1.", "5")
			AT("sh-7", "001", "..z..", "6") AT("sh-7", "001",
			    "d..1.", "7") AT("sh-8", "001", "..s1.", "8")
			    AT("sh-8", "001", "d.Ls1.", "9"),
	    NULL,
	    HEADER("2", "6") "thread 0 cpu 1\nthread 1 cpu 0\n"
			     "thread 2 cpu 1\nthread 4 cpu 1\n" TYPE(
				 "m0", "f") "0 p0 = kmalloc 8 m0 WAITOK\n"
					    "1 p1 = kmalloc 8 m0 WAITOK\n"
					    "2 p2 = kmalloc 8 m0 INTNOWAIT\n"
					    "3 p3 = kmalloc 8 m0 INTNOWAIT\n"
					    "3 p4 = kmalloc 8 m0 INTNOWAIT\n"
					    "4 p5 = kmalloc 8 m0 INTNOWAIT\n"
					    "5 p6 = kmalloc 8 m0 WAITOK\n"
					    "2 p7 = kmalloc 8 m0 INTNOWAIT\n"
					    "2 p8 = kmalloc 8 m0 INTNOWAIT\n");
}

static void
tasks_migrate_and_threads_are_recycled(void **state)
{
	const struct import_options two = { .threads_max = 2, .cpus = 4 };

	(void)state;
	assert_text(
	    AT("a-1", "000", ".....", "1") AT("b-2", "003", ".....", "2") AT(
		"a-1", "002", ".....", "3") AT("c-3", "002", ".....", "4")
		AT("a-1", "006", ".....", "5") AT("b-2", "000", ".....", "6"),
	    &two,
	    HEADER("4", "2") "thread 1 cpu 3\n" TYPE("m0",
		"f") "0 p0 = kmalloc 8 m0 WAITOK\n"
		     "1 p1 = kmalloc 8 m0 WAITOK\n"
		     "0 migrate 2\n"
		     "0 p2 = kmalloc 8 m0 WAITOK\n"
		     "1 migrate 2\n" /* c takes the thread of b */
		     "1 p3 = kmalloc 8 m0 WAITOK\n"
		     "0 p4 = kmalloc 8 m0 WAITOK\n" /* CPU 6 is CPU 2 of four */
		     "1 migrate 0\n"		    /* b that of c */
		     "1 p5 = kmalloc 8 m0 WAITOK\n");
	assert_int_equal(report.threads_recycled, 2);
	assert_int_equal(report.migrations, 3);
}

/* All CPUs, all contexts: no thread is left for tasks unless NMIs share. */
static void
threads_are_enough_for_any_machine(void **state)
{
	static const char *const flags[] = { ".....", "..s..", "..h..",
		"..z.." };
	char *text;
	size_t size;
	FILE *fp = open_memstream(&text, &size);

	(void)state;
	assert_non_null(fp);
	for (unsigned cpu = 0; cpu < TRACE_CPUS_MAX; cpu++) {
		for (unsigned i = 0; i < COUNT(flags); i++)
			fprintf(fp,
			    "x-0 [%03u] %s 1.0: kmalloc: call_site=f ptr=%x "
			    "bytes_req=8 gfp_flags=GFP_KERNEL\n",
			    cpu, flags[i], 256 + cpu * 4 + i);
	}
	for (unsigned i = 0; i < 300; i++)
		fprintf(fp, "x-%u [000] ..... 1.0: kfree: ptr=%x\n", i + 1,
		    256 + i);
	assert_int_equal(fclose(fp), 0);
	const struct import_options many = { .threads_max = 256 };
	struct trace_error error;
	char *out =
	    import_bytes(text, size, &many, TRACE_BINARY, &size, &error);
	assert_non_null(out);
	assert_int_equal(report.cpus, 64);
	assert_int_equal(report.threads, 256);
	assert_int_equal(report.frees, 256);
	free(out);
	free(text);
}

static void
types_beyond_the_most_are_folded(void **state)
{
	char *text, name[TRACE_STR_MAX + 1] = "";
	struct trace_op op;
	struct trace_error error;
	struct import *im;
	uint64_t last = 0;
	size_t size;
	FILE *fp = open_memstream(&text, &size);

	(void)state;
	assert_non_null(fp);
	for (unsigned i = 0; i < 2 * 1000; i++)
		fprintf(fp,
		    "x-1 [000] ..... 1.0: kmalloc: call_site=site_%u+0x1/0x2 "
		    "ptr=%x bytes_req=8 gfp_flags=GFP_KERNEL\n",
		    i % 1000, i + 1);
	assert_int_equal(fclose(fp), 0);
	assert_int_equal(
	    import_open_mem(&im, "test", text, size, NULL, &error), 0);
	while (import_next(im, &op, &error) > 0) {
		if (op.code == TRACE_OP_KMALLOC_CREATE)
			snprintf(name, sizeof(name), "%s",
			    trace_str(import_header(im), op.arg[0]));
		if (op.code == TRACE_OP_KMALLOC)
			last = op.arg[1];
	}
	assert_string_equal(name, "other");
	assert_int_equal(last, IMPORT_TYPES_MAX - 1);
	assert_int_equal(import_report(im)->types, IMPORT_TYPES_MAX);
	assert_int_equal(
	    import_report(im)->types_folded, 1000 - (IMPORT_TYPES_MAX - 1));
	assert_int_equal(import_report(im)->call_sites, 1000);
	import_close(im);
	free(text);
}

static void
pages_are_enough(void **state)
{
	const struct import_options forty = { .pages = 40 };

	(void)state;
	/* Twice 8 MiB and 4 MiB of slack: more than the 16 MiB at least. */
	assert_text(KMALLOC("1", "8388608"), NULL,
	    "kalab-trace 1\ncpus 1\nthreads 1\npages 8192\nreserve 32 8\n"
	    "keep 2\ndebug 0\nschedule recorded\n" TYPE(
		"m0", "f") "0 p0 = kmalloc 8388608 m0 WAITOK\n");
	assert_int_equal(report.size_classes, 0);
	assert_text(KMALLOC("1", "18446744073709551615"), NULL,
	    "kalab-trace 1\ncpus 1\nthreads 1\npages 1048576\nreserve 32 8\n"
	    "keep 2\ndebug 0\nschedule recorded\n" TYPE(
		"m0", "f") "0 p0 = kmalloc 0xffffffffffffffff m0 WAITOK\n");
	assert_text(KMALLOC("1", "1") KMALLOC("2", "8") KMALLOC("3", "9")
			KMALLOC("4", "8192") KMALLOC("5", "128")
			    KMALLOC("6", "129") KMALLOC("7", "0"),
	    &forty,
	    "kalab-trace 1\ncpus 1\nthreads 1\npages 40\nreserve 10 2\n"
	    "keep 2\ndebug 0\nschedule recorded\n" TYPE(
		"m0", "f") "0 p0 = kmalloc 1 m0 WAITOK\n"
			   "0 p1 = kmalloc 8 m0 WAITOK\n"
			   "0 p2 = kmalloc 9 m0 WAITOK\n"
			   "0 p3 = kmalloc 8192 m0 WAITOK\n"
			   "0 p4 = kmalloc 128 m0 WAITOK\n"
			   "0 p5 = kmalloc 129 m0 WAITOK\n"
			   "0 p6 = kmalloc 0 m0 WAITOK\n");
	assert_int_equal(report.size_classes, 5);
}

static void
bad_input_is_one_clear_error(void **state)
{
	static const char garbage[] = "\0\1\2\n[\n-1 [\0] \xff\n";
	const struct import_options from = { .from = "perf" };
	const struct import_options cpus = { .cpus = 65 };
	const struct import_options threads = { .threads_max = 257 };
	const struct import_options pages = { .pages = 31 };

	(void)state;
	assert_fails("", NULL, "test: " NOTHING);
	assert_fails("# tracer: nop\n\n", NULL, "test: " NOTHING);
	assert_fails("hello\n", NULL, "test:1:1: " NOTHING);
	assert_fails("#\n sh-7 [000] x\n", NULL, "test:2:14: " NOTHING);
	assert_fails(KFREE("1"), NULL, "test: " NOTHING);
	assert_fails_bytes(
	    garbage, sizeof(garbage), NULL, "test:1:1: " NOTHING);
	assert_fails("\027\010Dtracing6\n", NULL,
	    "test: byte 0: is a trace.dat file, expected the text that "
	    "'trace-cmd report' makes of it");
	assert_fails(AT("a-1", "064", ".....", "1"), NULL,
	    "test:1:6: CPU 64 is out of range, expected at most 63");
	assert_fails("", &from, "test: unknown format 'perf', expected ftrace");
	assert_fails("", &cpus, "test: CPUs out of range, expected 1 to 64");
	assert_fails(
	    "", &threads, "test: threads out of range, expected 1 to 256");
	assert_fails(
	    "", &pages, "test: pages out of range, expected 32 to 1048576");
}

static void
lines_that_are_cut_or_endless_are_not_parsed(void **state)
{
	const size_t size = 600000;
	char *text = malloc(size);
	struct trace_error error;
	size_t out_size;

	(void)state;
	assert_text(KMALLOC("1", "1") "     sh-7    [000] ..... 1.0: kfree: "
				      "call_site=f ptr=1",
	    NULL, HEADER1 TYPE("m0", "f") "0 p0 = kmalloc 1 m0 WAITOK\n");
	assert_int_equal(report.lines, 2);
	assert_int_equal(report.unparsed, 1);

	assert_non_null(text);
	memset(text, 'x', size);
	memcpy(text, KMALLOC("1", "1"), strlen(KMALLOC("1", "1")));
	memcpy(text + 500000, "\n" KFREE("1"), strlen("\n" KFREE("1")));
	char *out =
	    import_bytes(text, size, NULL, TRACE_TEXT, &out_size, &error);
	assert_non_null(out);
	assert_int_equal(report.lines, 4);
	assert_int_equal(report.unparsed, 2);
	assert_int_equal(report.frees, 1);
	free(out);
	free(text);
}

/* The excerpt's bytes, packed. */
static size_t
read_excerpt(uint8_t *buf, size_t size)
{
	const char *root = getenv("KALAB_SOURCE_ROOT");
	const char *slash = strrchr(__FILE__, '/');
	char name[1024];

	if (root != NULL)
		snprintf(name, sizeof(name), "%s/harness/test/" EXCERPT, root);
	else
		snprintf(name, sizeof(name), "%.*s" EXCERPT,
		    slash == NULL ? 0 : (int)(slash + 1 - __FILE__), __FILE__);
	FILE *fp = fopen(name, "r");
	if (fp == NULL)
		fail_msg("cannot open %s", name);
	const size_t got = fread(buf, 1, size, fp);
	assert_true(feof(fp));
	assert_int_equal(fclose(fp), 0);
	return (got);
}

static void
real_recordings_are_imported(void **state)
{
	static uint8_t packed[65536];
	const size_t size = read_excerpt(packed, sizeof(packed));
	struct trace_error error;

	(void)state;
	assert_true(check_import(packed, size, &error));
	assert_int_equal(report.lines, 312);
	assert_int_equal(report.events, 300);
	assert_int_equal(report.unparsed, 0);
	assert_int_equal(report.gfp_unknown, 0);
	for (size_t cut = 0; cut < size; cut += 61) {
		struct import *im;

		assert_int_equal(
		    import_open_mem(&im, "test", packed, cut, NULL, &error),
		    -1);
		if (cut > 6)
			assert_string_equal(error.what,
			    "xz data is truncated, expected more bytes");
	}
}

static void
whole_recordings_are_imported(void **state)
{
	const char *dir = getenv("KALAB_TEST_TRACES");
	struct trace_error error;
	char name[1024];

	(void)state;
	if (dir == NULL)
		skip();
	DIR *d = opendir(dir);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (strstr(e->d_name, ".txt.xz") == NULL)
			continue;
		snprintf(name, sizeof(name), "%s/%s", dir, e->d_name);
		print_message("%s\n", name);
		assert_int_equal(import_run(name, NULL, "/dev/null",
				     TRACE_BINARY, &report, &error),
		    0);
		assert_int_equal(report.unparsed, 0);
	}
	assert_int_equal(closedir(d), 0);
}

/* Files */

static char scratch[] = "/tmp/kalab-import-test-XXXXXX";

static int
make_scratch(void **state)
{
	(void)state;
	return (mkdtemp(scratch) == NULL);
}

static int
remove_scratch(void **state)
{
	(void)state;
	return (rmdir(scratch));
}

static void
progress(void *cookie, uint64_t done, uint64_t total)
{
	uint64_t *const calls = cookie;

	assert_true(total == 0 || done <= total);
	++*calls;
}

/* More than memory holds of it: the temporary file. */
static char *
long_recording(unsigned pairs, size_t *ret_size)
{
	char *text;
	FILE *fp = open_memstream(&text, ret_size);

	assert_non_null(fp);
	for (unsigned i = 0; i < pairs; i++)
		fprintf(fp,
		    "x-%u [000] ..... 1.0: kmalloc: call_site=f ptr=%x "
		    "bytes_req=%u gfp_flags=GFP_KERNEL\n"
		    "x-1 [001] ..... 1.0: kfree: call_site=f ptr=%x\n",
		    i % 100 + 1, i + 256, i % 1000,
		    i < 5000 ? 0xfffffff : i - 5000 + 256);
	assert_int_equal(fclose(fp), 0);
	return (text);
}

static void
long_recordings_use_a_temporary_file(void **state)
{
	struct trace_error error;
	volatile sig_atomic_t stop = 0;
	uint64_t calls = 0;
	const struct import_options o = {
		.progress = progress, .cookie = &calls, .stop = &stop
	};
	size_t size, out_size;
	char *text = long_recording(100000, &size);

	(void)state;
	assert_true(check_import(text, size, &error));
	assert_int_equal(report.events, 200000);
	assert_int_equal(report.live, 5000);
	assert_int_equal(report.live_peak, 5001);
	char *out = import_bytes(text, size, &o, TRACE_TEXT, &out_size, &error);
	assert_non_null(out);
	free(out);
	assert_true(calls >= 80);
	stop = 1;
	assert_fails_bytes(text, size, &o, "test: interrupted");
	assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
	assert_fails_bytes(text, size, NULL,
	    "test: cannot spool events: No such file or directory");
	assert_int_equal(unsetenv("TMPDIR"), 0);
	free(text);
}

/* Stops in the second pass. */
static void
stop_later(void *cookie, uint64_t done, uint64_t total)
{
	volatile sig_atomic_t *const stop = cookie;

	if (done > total / 2 + total / 8)
		*stop = 1;
}

static void
files_are_written_whole_or_not_at_all(void **state)
{
	volatile sig_atomic_t stop = 0;
	const struct import_options o = { .progress = stop_later,
		.cookie = (void *)(uintptr_t)&stop,
		.stop = &stop };
	struct trace_error error;
	char in[64], out[64];
	size_t size;
	char *text = long_recording(50000, &size);
	struct trace t;
	struct trace_reader *r;

	(void)state;
	snprintf(in, sizeof(in), "%s/in", scratch);
	snprintf(out, sizeof(out), "%s/out", scratch);
	FILE *fp = fopen(in, "w");
	assert_non_null(fp);
	assert_int_equal(fwrite(text, 1, size, fp), size);
	assert_int_equal(fclose(fp), 0);
	assert_int_equal(
	    import_run(in, &o, out, TRACE_BINARY, &report, &error), -1);
	assert_string_equal(error.what, "interrupted");
	assert_int_equal(access(out, F_OK), -1);
	assert_int_equal(
	    import_run(in, NULL, out, TRACE_BINARY, &report, &error), 0);
	assert_int_equal(trace_reader_open(&r, out, &error), 0);
	assert_int_equal(trace_load(&t, r, &error), 0);
	trace_reader_close(r);
	assert_int_equal(t.nops, report.ops);
	trace_fini(&t);
	assert_int_equal(unlink(in), 0);
	assert_int_equal(
	    import_run(in, NULL, out, TRACE_BINARY, &report, &error), -1);
	assert_string_equal(
	    error.what, "cannot open: No such file or directory");
	assert_int_equal(unlink(out), 0);
	free(text);
}

/* Damage */

static uint64_t random_state = 1;

/* SplitMix64. */
static uint64_t
draw(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31);
}

/* Changes a few places: bytes, numbers, whole pieces moved. */
static void
mutate(char *text, size_t size)
{
	static const char bytes[] = "0123456789af \n\t[]()-:=|.#x\0\xff";

	for (uint64_t n = 1 + draw() % 16; n > 0; n--) {
		const size_t at = draw() % size, from = draw() % size;
		size_t length = 1 + draw() % 64;

		if (length > size - at)
			length = size - at;
		if (length > size - from)
			length = size - from;
		switch (draw() % 4) {
		case 0:
			memmove(text + at, text + from, length);
			break;
		case 1:
			memset(text + at, bytes[draw() % sizeof(bytes)],
			    length % 8);
			break;
		default:
			text[at] = bytes[draw() % sizeof(bytes)];
			break;
		}
	}
}

/* The damaged input in a block of its own, so that ASan sees its ends. */
static unsigned
import_damaged(const char *text, size_t size)
{
	struct trace_error error = { .file = "" };
	char line[600];
	char *copy = malloc(size + (size == 0));

	assert_non_null(copy);
	memcpy(copy, text, size);
	if (size > 0)
		mutate(copy, size);
	const bool good = check_import(copy, size, &error);
	if (!good) {
		trace_error_format(&error, line, sizeof(line));
		assert_non_null(strstr(line, "expected"));
	}
	free(copy);
	return (good);
}

static void
damaged_recordings_never_crash(void **state)
{
	static const char text[] =
	    "# tracer: nop\nversion = 6\ncpus=2\nCPU 1 is empty\n" KMALLOC(
		"a1", "1") KMALLOC("ffff888100003f00", "4096")
		AT("a [0] b-1", "001", "d.h1.", "3")
		    KFREE("a1") "CPU:0 [LOST 42 EVENTS]\n" AT("<idle>-0", "003",
			"..s..", "4") GFP("GFP_KERNEL|0x100|__GFP_NOFAIL")
			KFREE("(null)") LINE
	    "mm_page_alloc: page=00000000c0a2 pfn=0x18 order=3 "
	    "migratetype=0 gfp_flags=GFP_ATOMIC\n" LINE
	    "mm_page_free: page=00000000c0a2 pfn=24 order=3\n" LINE
	    "kmem_cache_alloc: call_site=x+0x1/0x2 [mod] ptr=1234 "
	    "name=my cache bytes_req=0x20 bytes_alloc=32 "
	    "gfp_flags=GFP_ATOMIC node=0\n";
	const char *seed = getenv("KALAB_SEED"), *n = getenv("KALAB_ROUNDS");
	const unsigned rounds =
	    1500 * (n == NULL ? 1 : (unsigned)strtoul(n, NULL, 0));
	unsigned good = 0;

	(void)state;
	if (seed != NULL)
		random_state = strtoull(seed, NULL, 0);
	print_message("KALAB_SEED=%llu\n", (unsigned long long)random_state);
	for (unsigned i = 0; i < rounds; i++) {
		const size_t size =
		    draw() % 4 == 0 ? draw() % sizeof(text) : sizeof(text) - 1;

		good += import_damaged(text, size);
	}
	assert_true(good > rounds / 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ftrace_lines_become_operations),
		cmocka_unit_test(trace_cmd_lines_become_operations),
		cmocka_unit_test(old_kernels_have_no_names_of_caches),
		cmocka_unit_test(prefixes_in_all_their_forms),
		cmocka_unit_test(gfp_flags_become_m_flags),
		cmocka_unit_test(pages_become_runs),
		cmocka_unit_test(registers_are_the_lowest_free_ones),
		cmocka_unit_test(what_the_recording_lacks_is_counted),
		cmocka_unit_test(contexts_have_threads_of_their_own),
		cmocka_unit_test(tasks_migrate_and_threads_are_recycled),
		cmocka_unit_test(threads_are_enough_for_any_machine),
		cmocka_unit_test(types_beyond_the_most_are_folded),
		cmocka_unit_test(pages_are_enough),
		cmocka_unit_test(bad_input_is_one_clear_error),
		cmocka_unit_test(lines_that_are_cut_or_endless_are_not_parsed),
		cmocka_unit_test(real_recordings_are_imported),
		cmocka_unit_test(whole_recordings_are_imported),
		cmocka_unit_test(long_recordings_use_a_temporary_file),
		cmocka_unit_test(files_are_written_whole_or_not_at_all),
		cmocka_unit_test(damaged_recordings_never_crash),
	};

	return (cmocka_run_group_tests_name(
	    "import", tests, make_scratch, remove_scratch));
}
