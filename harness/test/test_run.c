/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run does what the header says: faults are injected where they are to be,
 * deviations are obeyed, another schedule is another, and what happens below
 * the calls is in the hash of events.
 */
#include "broken_test.h"
#include "sim/strategy.h"

#define MAKE HEAD "0 m0 = kmalloc_create \"t\"\n"
#define RUNS                                                                   \
	"0 g0 = vm_page_alloc 1 0 NORMAL\n0 g1 = vm_page_alloc 1 0 NORMAL\n"   \
	"0 g2 = vm_page_alloc 1 0 NORMAL\n0 g3 = vm_page_alloc 1 0 NORMAL\n"

static uint64_t
failures(const char *text)
{
	struct run_result r;

	replay(healthy, text, &r);
	assert_int_equal(r.status, RUN_CLEAN);
	return (r.counts.page_failures);
}

static void
faults_are_injected(void **state)
{
	(void)state;
	assert_int_equal(failures(HEAD RUNS), 0);
	assert_int_equal(failures(HEAD "fault page once 2\n" RUNS), 1);
	assert_int_equal(failures(HEAD "fault page once 9\n" RUNS), 0);
	assert_int_equal(failures(HEAD "fault page from 2\n" RUNS), 3);
	assert_int_equal(failures(HEAD "fault page prob 1/1 7\n" RUNS), 4);
	assert_in_range(failures(HEAD "fault page prob 1/2 7\n" RUNS), 1, 3);
}

/* Who ran when; the operations are the same. */
static uint64_t
schedule_of(const char *text, uint64_t perturb)
{
	struct run_options o = { .subject = healthy,
		.perturb = perturb != 0,
		.perturb_seed = perturb };
	struct trace_reader *reader;
	struct run_source source;
	struct run_result r;
	struct trace_error e;

	assert_int_equal(
	    trace_reader_open_mem(&reader, "test", text, strlen(text), &e), 0);
	source = run_source_reader(reader);
	run(&source, &o, &r);
	sim_enter();
	trace_reader_close(reader);
	assert_int_equal(r.status, RUN_CLEAN);
	return (r.schedule);
}

#define TWO                                                                    \
	"0 m0 = kmalloc_create \"t\"\n0 p0 = kmalloc 64 m0 WAITOK\n"           \
	"1 p1 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n1 kfree p1 m0\n"          \
	"0 p2 = kmalloc 640 m0 WAITOK\n1 p3 = kmalloc 640 m0 WAITOK\n"

static void
deviations_are_obeyed(void **state)
{
	uint64_t as_it_is = schedule_of(HEAD TWO, 0), seed, other = 0;

	(void)state;
	assert_true(schedule_of(HEAD TWO, 0) == as_it_is);
	assert_true(
	    schedule_of(HEAD "deviate 0 2 3 run 1\n" TWO, 0) != as_it_is);
	for (seed = 1; seed <= 10; seed++)
		other += schedule_of(HEAD TWO, seed) != as_it_is;
	assert_in_range(other, 8, 10);
}

/* What a trace may not do to a zone while there is a cache over it. */
#define OVER_ZONE                                                              \
	HEAD "0 z0 = uma_zcreate \"z\" 64 7 0 0\n"                             \
	     "0 c0 = objcache_create_zone \"c\" z0 8 0 0\n"
#define CACHED "0 p0 = objcache_get c0 NOWAIT\n0 objcache_put c0 p0\n"

static uint64_t
left_out(const char *text)
{
	struct run_result r;

	replay(healthy, text, &r);
	assert_int_equal(r.status, RUN_CLEAN);
	return (r.skipped);
}

static void
caches_keep_their_zone(void **state)
{
	(void)state;
	assert_int_equal(left_out(OVER_ZONE "0 uma_zdestroy z0\n"), 1);
	assert_int_equal(left_out(OVER_ZONE "0 uma_zone_set_source z0\n"), 1);
	assert_int_equal(
	    left_out(OVER_ZONE "0 objcache_destroy c0\n0 uma_zdestroy z0\n"),
	    0);
	assert_int_equal(left_out(OVER_ZONE "0 z1 = uma_zsecond_create \"s\" "
					    "z0 0\n0 uma_zdestroy z1\n"),
	    0);
	/* Tokens are no memory. */
	assert_int_equal(
	    left_out(HEAD "0 z0 = uma_zcache_create \"t\" 8 9 0 0\n"
			  "0 c0 = objcache_create_zone \"c\" z0 8 0 0\n"),
	    1);
	/* The zone cannot tell that what it is given is the cache's. */
	assert_int_equal(left_out(OVER_ZONE "0 p0 = objcache_get c0 NOWAIT\n"
					    "0 uma_zfree z0 p0\n"),
	    1);
	assert_int_equal(left_out(OVER_ZONE CACHED "0 uma_zfree z0 p0\n"), 1);
	assert_int_equal(
	    left_out(OVER_ZONE CACHED "0 uma_zfree_interior z0 p0 0\n"), 1);
	assert_int_equal(
	    left_out(OVER_ZONE CACHED "0 uma_zfree_interior z0 p0 8\n"), 0);
	assert_int_equal(left_out(OVER_ZONE "0 p0 = uma_zalloc z0 NOWAIT\n"
					    "0 uma_zfree z0 p0\n"
					    "0 p1 = objcache_get c0 NOWAIT\n"
					    "0 uma_zfree z0 p0\n"),
	    1);
	/* Any other zone can. */
	assert_int_equal(
	    left_out(OVER_ZONE CACHED "0 z1 = uma_zcreate \"z\" 64 7 0 0\n"
				      "0 uma_zfree z1 p0\n"),
	    0);
	assert_int_equal(left_out(OVER_ZONE CACHED
			     "0 m0 = kmalloc_create \"t\"\n0 kfree p0 m0\n"),
	    1);
}

static void
hears(void *arg, const struct run_step *step)
{
	(void)arg;
	(void)step;
}

/* How the word is passed from thread to thread. */
enum way {
	BY_NUMBERS, /* as is usual */
	BY_LISTS,   /* the strategy is asked with a list of who could run */
	BY_THE_LOOP /* no thread passes the word to another by itself */
};

static struct run_result
drawn(
    const struct trace *t, enum strategy_kind kind, uint64_t seed, enum way way)
{
	struct run_options o = { .subject = healthy,
		.memory = TRACE_MEMORY_TSO };
	struct run_source source;
	struct strategy strategy;
	struct run_result r;
	struct run_mem mem;

	o.strategy = strategy_begin(&strategy, kind, seed, 3, 0);
	if (way == BY_LISTS)
		strategy.base.draws = false;
	if (way == BY_THE_LOOP)
		o.story = hears;
	source = run_source_mem(&mem, t);
	run(&source, &o, &r);
	sim_enter();
	assert_int_equal(r.status, RUN_CLEAN);
	return (r);
}

static void
ways_agree(const struct trace *t)
{
	int kind;
	uint64_t seed;

	for (kind = STRATEGY_RANDOM; kind <= STRATEGY_STICKY; kind++)
		for (seed = 1; seed <= 20; seed++) {
			struct run_result r[3];
			int way;

			for (way = BY_NUMBERS; way <= BY_THE_LOOP; way++)
				r[way] = drawn(t, (enum strategy_kind)kind,
				    seed, (enum way)way);
			for (way = BY_LISTS; way <= BY_THE_LOOP; way++) {
				assert_true(
				    r[way].schedule == r[BY_NUMBERS].schedule);
				assert_true(r[way].hash == r[BY_NUMBERS].hash);
				assert_int_equal(
				    r[way].switches, r[BY_NUMBERS].switches);
			}
		}
}

/* With few threads, and with more than a word of a set has; on CPUs of their
 * own and on shared ones. */
static void
shortcuts_change_nothing(void **state)
{
	static const unsigned threads[] = { 3, 7, 150 };
	unsigned i, k, n;

	(void)state;
	for (i = 0; i < 3; i++) {
		char text[16384];
		struct trace_reader *reader;
		struct trace_error e;
		struct trace t;

		n = (unsigned)snprintf(text, sizeof(text),
		    "kalab-trace 1\ncpus %u\nthreads %u\npages 4096\n"
		    "0 m0 = kmalloc_create \"t\"\n",
		    i == 0 ? 3 : 5, threads[i]);
		for (k = 0; k < 2 * threads[i]; k++)
			n += (unsigned)snprintf(text + n, sizeof(text) - n,
			    k < threads[i] ? "%u p%u = kmalloc 64 m0 WAITOK\n" :
					     "%u kfree p%u m0\n",
			    k % threads[i], (k + k / threads[i]) % threads[i]);
		assert_int_equal(
		    trace_reader_open_mem(&reader, "test", text, n, &e), 0);
		assert_int_equal(trace_load(&t, reader, &e), 0);
		ways_agree(&t);
		trace_fini(&t);
		trace_reader_close(reader);
	}
}

/* The calls' results are the same, the pages below are not. */
static void
takes_and_gives_back(struct call *c)
{
	struct call page = { .code = TRACE_OP_VM_PAGE_ALLOC,
		.thread = c->thread,
		.num = 1,
		.flags = VM_ALLOC_NORMAL };

	if (c->code == TRACE_OP_KMALLOC_TRIM) {
		healthy->exec(&page);
		page.code = TRACE_OP_VM_PAGE_FREE;
		page.addr = page.ret;
		page.pages = 1;
		healthy->exec(&page);
	}
	healthy->exec(c);
}

static void
pages_are_in_the_hash(void **state)
{
	static const char text[] = MAKE "0 kmalloc_trim\n";
	struct subject other = *healthy;
	struct run_result a, b;

	(void)state;
	other.exec = takes_and_gives_back;
	replay(healthy, text, &a);
	replay(&other, text, &b);
	assert_int_equal(a.status, RUN_CLEAN);
	assert_int_equal(b.status, RUN_CLEAN);
	assert_int_equal(a.ops, b.ops);
	assert_true(a.hash != b.hash);
}

/* What the interface shows of a trace (G-11). */
static uint64_t
visible(const struct subject *subject, const char *text)
{
	struct run_result r;

	replay(subject, text, &r);
	assert_int_equal(r.status, RUN_CLEAN);
	return (r.visible);
}

#define SHOWS                                                                  \
	"0 m0 = kmalloc_create \"t\"\n0 p0 = kmalloc 64 m0 WAITOK\n"           \
	"0 kmalloc_usable_size p0\n1 p1 = kmalloc 9000 m0 WAITOK\n"            \
	"0 kfree p0 m0\n0 kmalloc_trim\n"                                      \
	"0 c0 = objcache_create \"c\" m0 64 0 0 ctor|dtor\n"                   \
	"0 p2 = objcache_get c0 NOWAIT\n0 objcache_put c0 p2\n"                \
	"0 p3 = objcache_get c0 NOWAIT\n"

/* An answer that the model allows, and that is another one. */
static void
never_caches(struct call *c)
{
	if (c->code == TRACE_OP_OBJCACHE_PUT)
		c->code = TRACE_OP_OBJCACHE_DTOR;
	healthy->exec(c);
	if (c->code == TRACE_OP_OBJCACHE_DTOR)
		c->code = TRACE_OP_OBJCACHE_PUT;
}

static void
what_is_visible(void **state)
{
	struct subject broken = *healthy;
	const uint64_t plain = visible(healthy, HEAD SHOWS);

	(void)state;
	/* Not where things lie. */
	assert_true(visible(healthy, HEAD "debug 7\n" SHOWS) == plain);
	assert_true(visible(healthy, HEAD "debug 7\nkeep 0\n" SHOWS) == plain);
	/* But a number, a panic and a callback. */
	assert_true(
	    visible(healthy, HEAD SHOWS "0 kmalloc_limit m0\n") != plain);
	assert_true(visible(healthy, HEAD SHOWS "0 objcache_put c0 null\n") !=
	    visible(healthy, HEAD SHOWS "0 objcache_put c0 p3\n"));
	broken.exec = never_caches;
	assert_true(visible(&broken, HEAD SHOWS) != plain);
}

/* How many calls of a trace were judged as hits (KM-1, OC-2). */
static uint64_t
hits(const char *text)
{
	struct run_result r;

	replay(healthy, text, &r);
	assert_int_equal(r.status, RUN_CLEAN);
	return (r.counts.hits);
}

#define PAIR	   "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n"
#define PAIR_OC	   "0 p0 = objcache_get c0 NOWAIT\n0 objcache_put c0 p0\n"
#define TIMES4(x)  x x x x
#define TIMES24(x) TIMES4(x x x x x x)

static void
hits_are_judged(void **state)
{
	(void)state;
	/* All but the first allocation, which asks for a grant. */
	assert_int_equal(hits(MAKE TIMES4(PAIR)), 7);
	/* It got 17, and asks once more. */
	assert_int_equal(hits(MAKE TIMES24(PAIR)), 46);
	/* On the other CPU a free is another's. */
	assert_int_equal(
	    hits(MAKE "0 p0 = kmalloc 64 m0 WAITOK\n1 kfree p0 m0\n" PAIR), 1);
	/* The first pair makes the object. */
	assert_int_equal(
	    hits(MAKE
		"0 c0 = objcache_create \"c\" m0 64 0 0 0\n" TIMES4(PAIR_OC)),
	    6);
	/* Debug options close the fast paths. */
	assert_int_equal(
	    hits(HEAD "debug 7\n0 m0 = kmalloc_create \"t\"\n" TIMES4(PAIR)),
	    0);
}

/* What a CPU without owner has is taken before pages are asked for, of which
 * there is none. */
static void
an_exit_leaves_slabs_to_all(void **state)
{
	static const char *const text[] = { "0 quiesce\n", "0 thread_exit\n" };
	char trace[512];
	struct run_result r;
	unsigned exits;

	(void)state;
	for (exits = 0; exits < 2; exits++) {
		(void)snprintf(trace, sizeof(trace),
		    "kalab-trace 1\ncpus 2\nthreads 2\npages 32\n"
		    "reserve 0 0\n"
		    "0 m0 = kmalloc_create \"a\"\n"
		    "0 p0 = kmalloc 2048 m0 NOWAIT\n"
		    "0 g0 = vm_page_alloc 16 0 INTERRUPT\n%s"
		    "1 p1 = kmalloc 2048 m0 NOWAIT\n",
		    text[exits]);
		replay(healthy, trace, &r);
		assert_int_equal(r.status, RUN_CLEAN);
		assert_int_equal(r.counts.page_failures != 0, exits == 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hits_are_judged),
		cmocka_unit_test(what_is_visible),
		cmocka_unit_test(faults_are_injected),
		cmocka_unit_test(deviations_are_obeyed),
		cmocka_unit_test(caches_keep_their_zone),
		cmocka_unit_test(shortcuts_change_nothing),
		cmocka_unit_test(pages_are_in_the_hash),
		cmocka_unit_test(an_exit_leaves_slabs_to_all),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
