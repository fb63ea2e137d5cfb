/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shrinker, on subjects that are broken in ways that are known: what it
 * leaves fails with the same signature, is 1-minimal, names no object that it
 * has not, and is the same each time.
 *
 * A broken subject is libkalloc behind a function that spoils one result; the
 * traces are random ones, on which the healthy subject is clean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <kalloc/flags.h>

#define KA_PORT_SIM
#include "gen/gen.h"
#include "port/port.h"
#include "shrink/shrink.h"

static const struct subject *healthy;

#include "no_order_test.h"

/* ---- Breakages --------------------------------------------------------- */

static void
forgets_zero(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC && (c->flags & M_ZERO) != 0 &&
	    c->ret != 0 && c->size > 700 && c->size < 8192)
		((char *)c->ret)[c->size - 1] = 1;
}

static void
loses_prefix(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KREALLOC && c->ret != 0 && c->size > 64 &&
	    c->addr != 0 && c->why == 0)
		((char *)c->ret)[3] ^= 0x40;
}

/*
 * Two defects: the trace meets the one that needs more operations first. What
 * is left without them meets the other, which the shrinker must not take for
 * the same.
 */
static void
two_defects(struct call *c)
{
	static uint32_t trims;

	if (c->code == TRACE_OP_KMALLOC_CREATE)
		trims = 0;
	if (c->code == TRACE_OP_KMALLOC_TRIM)
		trims++;
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC && c->size == 3000 && c->ret != 0) {
		if (trims >= 3)
			((char *)c->ret)[c->size - 1] = 1; /* KM-8 */
		else
			c->ret += 8; /* KM-4 */
	}
}

static void
aborts(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC && c->size > 1000 && c->ret != 0) {
		(void)fprintf(stderr, "assertion \"x %p\" failed at 17\n",
		    (void *)c->ret);
		abort();
	}
}

static void
hangs(struct call *c)
{
	healthy->exec(c);
	for (; c->code == TRACE_OP_KMALLOC_TRIM;)
		__asm__ volatile("" ::: "memory");
}

static struct ka_mutex mutex[2] = { KA_MUTEX_INITIALIZER,
	KA_MUTEX_INITIALIZER };

static void
deadlocks(struct call *c)
{
	int first = c->thread & 1;

	if (c->code == TRACE_OP_KFREE) {
		ka_mutex_lock(&mutex[first]);
		ka_mutex_lock(&mutex[!first]);
		ka_mutex_unlock(&mutex[!first]);
		ka_mutex_unlock(&mutex[first]);
	}
	healthy->exec(c);
}

/* A failed allocation that the flags do not allow: needs the fault. */
static void
null_at_failure(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_VM_PAGE_ALLOC && c->ret == 0 && c->why == 0)
		c->why = 1;
}

/* ---- Tools ------------------------------------------------------------- */

static struct subject broken;

static void
options_init(struct shrink_options *o, void (*exec)(struct call *))
{
	static const int deadly[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS,
		SIGABRT };
	unsigned i;

	/* cmocka's handlers would go on with the tests in a child. */
	for (i = 0; i < sizeof(deadly) / sizeof(*deadly); i++)
		(void)signal(deadly[i], SIG_DFL);
	broken = *healthy;
	broken.exec = exec;
	memset(o, 0, sizeof(*o));
	o->run.subject = &broken;
	o->hang = 30; /* of a slow build: a hang is told from slowness */
}

/* What a run of the trace finds; "" if nothing. In a child of its own. */
static void
signature_of(
    const struct trace *t, const struct shrink_options *o, char sig[96])
{
	struct shrink_options once = *o;
	struct shrink_result r;
	struct trace copy;
	size_t i;
	volatile sig_atomic_t stop = 1; /* the run, and no step */

	trace_init(&copy);
	assert_int_equal(trace_header_copy(&copy.header, &t->header), 0);
	for (i = 0; i < t->nops; i++)
		assert_int_equal(trace_append(&copy, &t->op[i]), 0);
	once.stop = &stop;
	sig[0] = '\0';
	if (shrink(&copy, &once, &r) != SHRINK_CLEAN)
		memcpy(sig, r.signature, sizeof(r.signature));
	trace_fini(&copy);
}

static void
load_text(const char *text, struct trace *ret_t)
{
	struct trace_reader *reader;
	struct trace_error e;

	assert_int_equal(
	    trace_reader_open_mem(&reader, "text", text, strlen(text), &e), 0);
	assert_int_equal(trace_load(ret_t, reader, &e), 0);
	trace_reader_close(reader);
}

/* Of the seeds from one on the first whose trace fails as is wanted. */
static void
failing_trace(const struct shrink_options *o, uint32_t ops, const char *with,
    struct trace *ret_t)
{
	struct gen_options g = { .ops = ops, .kmalloc_only = true };
	char sig[96];

	for (g.seed = 1; g.seed < 60; g.seed++) {
		assert_int_equal(gen_trace(&g, ret_t), 0);
		signature_of(ret_t, o, sig);
		if (strstr(sig, with) != NULL)
			return;
		trace_fini(ret_t);
	}
	fail_msg("no seed fails with %s", with);
}

/* Without any one operation, and what depends on it, it fails otherwise. */
static void
assert_one_minimal(const struct trace *t, const struct shrink_options *o,
    const char *signature)
{
	char sig[96];
	size_t i, j;

	for (i = 0; i < t->nops; i++) {
		struct trace less;

		trace_init(&less);
		trace_header_fini(&less.header);
		assert_int_equal(
		    trace_header_copy(&less.header, &t->header), 0);
		for (j = 0; j < t->nops; j++)
			if (j != i)
				assert_int_equal(
				    trace_append(&less, &t->op[j]), 0);
		(void)trace_canonicalize(&less);
		sig[0] = '\0';
		if (less.nops != 0)
			signature_of(&less, o, sig);
		assert_string_not_equal(sig, signature);
		trace_fini(&less);
	}
}

/* Shrinks, and checks what always holds of the result. */
static void
shrinks(struct trace *t, const struct shrink_options *o, const char *with,
    size_t most, struct shrink_result *ret_r)
{
	char before[96], after[96];

	signature_of(t, o, before);
	assert_non_null(strstr(before, with));
	assert_int_equal(shrink(t, o, ret_r), SHRINK_DONE);
	assert_string_equal(ret_r->signature, before);
	assert_string_equal(ret_r->verdict.finding.signature, before);
	signature_of(t, o, after);
	assert_string_equal(after, before);
	assert_true(t->nops <= most);
	assert_int_equal(ret_r->ops_after, t->nops);
	/* Canonical: nothing names what is not there. */
	assert_int_equal(trace_canonicalize(t), 0);
	if (t->header.sched == TRACE_SCHED_RECORDED)
		assert_one_minimal(t, o, before);
}

/* Under Valgrind: what others do as well, and takes long there. */
static void
not_under_valgrind(void)
{
	if (getenv("KALAB_VALGRIND") != NULL)
		skip();
}

/* ---- Tests ------------------------------------------------------------- */

static void
long_trace_to_its_few_operations(void **state)
{
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;

	(void)state;
	options_init(&o, forgets_zero);
	failing_trace(&o, 600, "KM-8", &t);
	shrinks(&t, &o, "KM-8", 2, &r);
	assert_true(r.ops_before > 500);
	assert_int_equal(t.nops, 2);
	assert_int_equal(t.op[1].code, TRACE_OP_KMALLOC);
	assert_int_equal(t.op[1].arg[0], 701); /* the least that fails */
	assert_int_equal(t.header.cpus, 1);
	assert_int_equal(t.header.threads, 1);
	assert_int_equal(t.header.sched, TRACE_SCHED_RECORDED);
	assert_int_equal(t.header.pages, TRACE_PAGES_MIN);
	assert_int_equal(t.header.reserve_system, 0);
	trace_fini(&t);
}

static void
what_is_needed_stays(void **state)
{
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;

	(void)state;
	options_init(&o, loses_prefix);
	failing_trace(&o, 400, "KM-11", &t);
	shrinks(&t, &o, "KM-11", 4, &r);
	assert_int_equal(t.op[t.nops - 1].code, TRACE_OP_KREALLOC);
	trace_fini(&t);
}

static void
signature_stays(void **state)
{
	static const char text[] =
	    "kalab-trace 1\npages 256\n"
	    "0 m0 = kmalloc_create \"t\"\n"
	    "0 p0 = kmalloc 64 m0 WAITOK\n"
	    "0 kmalloc_trim\n0 kfree p0 m0\n0 kmalloc_trim\n"
	    "0 p0 = kmalloc 99 m0 WAITOK\n"
	    "0 kmalloc_trim\n0 kmalloc_trim\n"
	    "0 p1 = kmalloc 3000 m0 WAITOK|ZERO\n"
	    "0 kfree p1 m0\n";
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;

	(void)state;
	options_init(&o, two_defects);
	load_text(text, &t);
	/* The type, three trims, the allocation: four trims are one more. */
	shrinks(&t, &o, "KM-8", 5, &r);
	assert_int_equal(t.nops, 5);
	trace_fini(&t);
}

static void
same_each_time(void **state)
{
	struct shrink_options o;
	struct shrink_result r[2];
	uint8_t *bytes[2];
	struct trace t;
	size_t size[2];
	unsigned i;

	(void)state;
	not_under_valgrind();
	options_init(&o, loses_prefix);
	for (i = 0; i < 2; i++) {
		failing_trace(&o, 200, "KM-11", &t);
		assert_int_equal(shrink(&t, &o, &r[i]), SHRINK_DONE);
		assert_int_equal(trace_encode(&t, &bytes[i], &size[i]), 0);
		trace_fini(&t);
	}
	assert_int_equal(size[0], size[1]);
	assert_memory_equal(bytes[0], bytes[1], size[0]);
	assert_true(r[0].candidates == r[1].candidates);
	free(bytes[0]);
	free(bytes[1]);
}

static void
death_is_a_failure(void **state)
{
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;

	(void)state;
	not_under_valgrind();
	options_init(&o, aborts);
	failing_trace(&o, 100, "died/", &t);
	/* The address and the line are not part of the signature. */
	shrinks(&t, &o, "died/signal-6/\"x-N\"-failed-at-N", 2, &r);
	assert_true(r.deaths > 2);
	assert_int_equal(r.verdict.outcome, SHRINK_DIES);
	assert_int_equal(t.op[1].arg[0], 1001);
	trace_fini(&t);
}

static void
hang_is_a_failure(void **state)
{
	static const char text[] = "kalab-trace 1\npages 64\n"
				   "0 m0 = kmalloc_create \"t\"\n"
				   "0 p0 = kmalloc 64 m0 WAITOK\n"
				   "0 kmalloc_trim\n";
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;

	(void)state;
	options_init(&o, hangs);
	o.hang = 0.5;
	load_text(text, &t);
	assert_int_equal(shrink(&t, &o, &r), SHRINK_DONE);
	assert_string_equal(r.signature, "died/hang/-");
	assert_int_equal(t.nops, 1);
	assert_int_equal(t.op[0].code, TRACE_OP_KMALLOC_TRIM);
	trace_fini(&t);
}

static void
schedule_is_searched(void **state)
{
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;

	(void)state;
	options_init(&o, deadlocks);
	failing_trace(&o, 150, "G-5/", &t);
	shrinks(&t, &o, "G-5/", 8, &r);
	assert_true(t.header.sched != TRACE_SCHED_RECORDED);
	assert_int_equal(t.header.threads, 2);
	trace_fini(&t);
}

static void
fault_becomes_the_first(void **state)
{
	static const char text[] =
	    "kalab-trace 1\npages 256\nfault page once 4\nfault page once 9\n"
	    "0 g0 = vm_page_alloc 1 0 NORMAL\n0 g1 = vm_page_alloc 1 0 NORMAL\n"
	    "0 g2 = vm_page_alloc 1 0 NORMAL\n0 g3 = vm_page_alloc 3 0 NORMAL\n"
	    "0 g4 = vm_page_alloc 1 0 NORMAL\n";
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;

	(void)state;
	options_init(&o, null_at_failure);
	load_text(text, &t);
	shrinks(&t, &o, "vm_page", 1, &r);
	assert_int_equal(t.header.nfaults, 1);
	assert_int_equal(t.header.fault[0].k, 1);
	trace_fini(&t);
}

static void
what_has_no_order_is_shrunk(void **state)
{
	static const char text[] =
	    "kalab-trace 1\nthreads 2\ncpus 2\n0 m0 = kmalloc_create \"t\"\n"
	    "0 p8 = kmalloc 64 m0 WAITOK\n0 kfree p8 m0\n" NO_ORDER;
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;

	(void)state;
	options_init(&o, takes_effect_and_again_not);
	broken.owner_stats = counts_its_refusal;
	broken.caps &= ~(unsigned)SUBJECT_COMMITS;
	load_text(text, &t);
	assert_int_equal(shrink(&t, &o, &r), SHRINK_CLEAN);
	o.run.orders = true;
	shrinks(&t, &o, "MP-1", 7, &r);
	trace_fini(&t);
}

static void
clean_trace_is_none(void **state)
{
	static const char text[] = "kalab-trace 1\n"
				   "0 m0 = kmalloc_create \"t\"\n"
				   "0 p0 = kmalloc 64 m0 WAITOK\n";
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;

	(void)state;
	options_init(&o, healthy->exec);
	load_text(text, &t);
	assert_int_equal(shrink(&t, &o, &r), SHRINK_CLEAN);
	assert_int_equal(t.nops, 2);
	trace_fini(&t);
}

static void
time_is_kept(void **state)
{
	struct shrink_options o;
	struct shrink_result r;
	struct trace t;
	char sig[96];

	(void)state;
	options_init(&o, forgets_zero);
	failing_trace(&o, 600, "KM-8", &t);
	o.seconds = 0.005;
	assert_int_equal(shrink(&t, &o, &r), SHRINK_STOPPED);
	o.seconds = 0;
	signature_of(&t, &o, sig);
	assert_string_equal(sig, r.signature);
	trace_fini(&t);
}

static int
setup(void **state)
{
	(void)state;
	healthy = subject_by_name("kalloc");
	return (healthy == NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_trace_to_its_few_operations),
		cmocka_unit_test(what_is_needed_stays),
		cmocka_unit_test(signature_stays),
		cmocka_unit_test(same_each_time),
		cmocka_unit_test(death_is_a_failure),
		cmocka_unit_test(hang_is_a_failure),
		cmocka_unit_test(schedule_is_searched),
		cmocka_unit_test(fault_becomes_the_first),
		cmocka_unit_test(what_has_no_order_is_shrunk),
		cmocka_unit_test(clean_trace_is_none),
		cmocka_unit_test(time_is_kept),
	};

	return (cmocka_run_group_tests(tests, setup, NULL));
}
