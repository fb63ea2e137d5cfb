/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the simulation says of a run besides clauses of an allocator: who waits
 * for whom in a deadlock, an order of locks that two executions reverse, a call
 * that does not end when it runs alone, that goes on for ever, that starves.
 */
#include "broken_test.h"

#include "explore/explore.h"

#define MAKE HEAD "0 m0 = kmalloc_create \"a\"\n"
#define TWO                                                                    \
	MAKE "0 p0 = kmalloc 64 m0 WAITOK\n0 p1 = kmalloc 64 m0 WAITOK\n"      \
	     "0 quiesce\n0 kfree p0 m0\n1 kfree p1 m0\n"

/* Under a strategy, with the order of locks of all runs. */
static void
explore_text(const struct subject *subject, const char *text,
    enum explore_kind kind, uint32_t may, uint64_t points,
    struct run_result *ret_r)
{
	struct run_options run = { .subject = subject };
	struct explore_options o = { .kind = kind,
		.bound = 2,
		.seed = 1,
		.runs = 300,
		.may = may,
		.jobs = 1,
		.points_max = points };
	struct explore_trace world;
	struct trace_reader *reader;
	struct trace_error error;
	struct explore e;
	struct trace t;

	seen = 0;
	memset(mutex, 0, sizeof(mutex));
	mutex[0].name = "a";
	mutex[1].name = "b";
	assert_int_equal(
	    trace_reader_open_mem(&reader, "test", text, strlen(text), &error),
	    0);
	assert_int_equal(trace_load(&t, reader, &error), 0);
	explore_trace_world(&world, &t, &run);
	assert_int_equal(explore_init(&e, &world.world, &o), 0);
	(void)explore_go(&e);
	*ret_r = e.result;
	ret_r->deviation = NULL;
	explore_fini(&e);
	trace_fini(&t);
	trace_reader_close(reader);
}

static void
must_be(const struct run_result *r, const char *clause, const char *state)
{
	assert_int_equal(r->status, RUN_FINDING);
	assert_string_equal(r->finding.clause, clause);
	if (strstr(r->finding.signature, state) == NULL)
		fail_msg("%s: expected %s", r->finding.signature, state);
}

/* Each thread takes the locks in its own order, the second when the other has
 * its first. */
static void
takes_locks_crosswise(struct call *c)
{
	uint32_t own = c->thread % 2;

	healthy->exec(c);
	if (c->code != TRACE_OP_KFREE)
		return;
	ka_mutex_lock(&mutex[own]);
	seen++;
	while (seen < 2)
		ka_pause();
	ka_mutex_lock(&mutex[1 - own]);
	ka_mutex_unlock(&mutex[1 - own]);
	ka_mutex_unlock(&mutex[own]);
}

static void
deadlock_names_its_circle(void **state)
{
	struct subject broken = *healthy;
	struct run_result r;

	(void)state;
	broken.exec = takes_locks_crosswise;
	replay(&broken, TWO, &r);
	assert_int_equal(r.status, RUN_FINDING);
	assert_string_equal(r.finding.clause, "G-5");
	assert_non_null(
	    strstr(r.waits, "circle: thread 1 -> thread 0 -> thread 1\n"));
	assert_non_null(strstr(r.waits,
	    "thread 0 waits for lock \"b\", held by thread 1 in kfree"));
}

/* What has a quiesce operation is explored from there; deviations are found
 * again in a run that is not quiet before it (G-10). */
static void
places_are_those_of_any_run(void **state)
{
	static const enum explore_kind kinds[] = { EXPLORE_RECORDED,
		EXPLORE_BOUND, EXPLORE_EXHAUSTIVE, EXPLORE_RANDOM,
		EXPLORE_STICKY };
	struct run_result r;
	size_t k;

	(void)state;
	for (k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		explore_text(healthy, TWO, kinds[k], 0, 10000, &r);
		assert_string_equal(r.finding.signature, "");
		assert_true(r.status == RUN_CLEAN || r.status == RUN_PRUNED);
	}
}

static void
takes_a_lock_now_and_then(struct call *c)
{
	static uint32_t frees;

	healthy->exec(c);
	if (c->code != TRACE_OP_KFREE || frees++ / 2 % 2 == 0)
		return;
	ka_mutex_lock(&mutex[0]);
	ka_mutex_unlock(&mutex[0]);
}

static void
what_goes_another_way_is_a_finding(void **state)
{
	struct subject broken = *healthy;
	struct run_result r;

	(void)state;
	broken.exec = takes_a_lock_now_and_then;
	explore_text(&broken, TWO, EXPLORE_RANDOM, 0, 10000, &r);
	must_be(&r, "G-10", "deviations/hash");
}

/* In one execution one order, in another one the other; nobody waits. */
static void
reverses_its_locks(struct call *c)
{
	static uint32_t first, frees;

	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC_CREATE)
		frees = 0;
	if (c->code != TRACE_OP_KFREE)
		return;
	if (frees++ == 0)
		first = c->thread;
	if (frees == 1) /* the second may wait for the first */
		return;
	ka_mutex_lock(&mutex[first]);
	ka_mutex_lock(&mutex[1 - first]);
	ka_mutex_unlock(&mutex[1 - first]);
	ka_mutex_unlock(&mutex[first]);
}

static void
lock_order_is_of_all_executions(void **state)
{
	struct subject broken = *healthy;
	struct run_result r;

	(void)state;
	explore_text(healthy, TWO, EXPLORE_BOUND, 0, 0, &r);
	assert_int_equal(r.status, RUN_CLEAN);
	broken.exec = reverses_its_locks;
	explore_text(&broken, TWO, EXPLORE_BOUND, 0, 0, &r);
	must_be(&r, "G-5", "lock-order");
	assert_non_null(strstr(r.finding.found, "\"a\""));
	assert_non_null(strstr(r.finding.found, "\"b\""));
}

/* The second free goes on when the first has ended. Together they end. */
static void
waits_for_another(struct call *c)
{
	healthy->exec(c);
	if (c->code != TRACE_OP_KFREE)
		return;
	if (c->thread == 0)
		seen++;
	while (c->thread == 1 && seen == 0)
		ka_pause();
	if (c->thread == 1)
		seen = 0;
}

static void
calls_alone_end(void **state)
{
	struct subject broken = *healthy;
	struct run_result r;

	(void)state;
	broken.exec = waits_for_another;
	replay(&broken, TWO, &r);
	assert_int_equal(r.status, RUN_CLEAN);
	explore_text(healthy, TWO, EXPLORE_BOUND, TRACE_MAY_SOLO, 0, &r);
	assert_int_equal(r.status, RUN_CLEAN);
	explore_text(&broken, TWO, EXPLORE_BOUND, TRACE_MAY_SOLO, 0, &r);
	must_be(&r, "G-4", "not-alone");
}

/* Never waits for anybody, and never ends. */
static void
goes_on_for_ever(struct call *c)
{
	healthy->exec(c);
	while (c->code == TRACE_OP_KFREE) {
		ka_mutex_lock(&mutex[0]);
		ka_mutex_unlock(&mutex[0]);
	}
}

static void
livelock_has_a_bound(void **state)
{
	struct subject broken = *healthy;
	struct run_result r;

	(void)state;
	broken.exec = goes_on_for_ever;
	explore_text(&broken, TWO, EXPLORE_BOUND, 0, 5000, &r);
	must_be(&r, "G-4", "livelock");
	assert_true(r.points >= 5000);
	assert_true(r.points < 50000);
}

/* Thread 0 tries again and again, while the other gets on. */
static void
starves_at_thread_0(struct call *c)
{
	healthy->exec(c);
	while (c->thread == 0 && c->code == TRACE_OP_KFREE && seen < 3000) {
		ka_mutex_lock(&mutex[0]);
		ka_mutex_unlock(&mutex[0]);
	}
	seen += c->thread == 1;
}

static void
starvation(void **state)
{
	static char text[200000];
	struct subject broken = *healthy;
	struct run_result r;
	size_t used;
	int i;

	(void)state;
	used = (size_t)snprintf(text, sizeof(text),
	    HEAD "schedule random 3\n"
		 "0 m0 = kmalloc_create \"a\"\n"
		 "0 p0 = kmalloc 64 m0 WAITOK\n"
		 "0 quiesce\n0 kfree p0 m0\n");
	for (i = 0; i < 2000; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "1 p1 = kmalloc 64 m0 NOWAIT\n1 kfree p1 m0\n");
	replay(healthy, text, &r);
	assert_int_equal(r.status, RUN_CLEAN);
	broken.exec = starves_at_thread_0;
	replay(&broken, text, &r);
	assert_int_equal(r.status, RUN_FINDING);
	assert_string_equal(r.finding.clause, "G-4");
	assert_string_equal(r.finding.operation, "kfree");
	assert_non_null(strstr(r.finding.found, "turns, while others ended"));
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||     \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#ifndef SANITIZED
static uint32_t __attribute__((noinline)) recurses(volatile uint32_t depth)
{
	volatile char room[512];

	room[depth % sizeof(room)] = (char)depth;
	return (depth == 0 ? 0 : recurses(depth + 1) + (uint32_t)room[3]);
}

static void
recurses_without_end(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KFREE && c->thread == 1)
		seen += recurses(1);
}

/* Recurses without end: the process lives, and runs what comes next. */
static void
stack_overflow_is_a_finding(void **state)
{
	struct subject broken = *healthy;
	struct run_result r;
	int i;

	(void)state;
	sim_watch_stacks(); /* cmocka sets handlers for each test */
	for (i = 0; i < 3; i++) {
		broken.exec = recurses_without_end;
		replay(&broken, TWO, &r);
		must_be(&r, "G-3", "stack-overflow");
		assert_non_null(strstr(r.finding.found, "thread 1"));
		replay(healthy, TWO, &r);
		assert_int_equal(r.status, RUN_CLEAN);
	}
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deadlock_names_its_circle),
		cmocka_unit_test(places_are_those_of_any_run),
		cmocka_unit_test(what_goes_another_way_is_a_finding),
		cmocka_unit_test(lock_order_is_of_all_executions),
		cmocka_unit_test(calls_alone_end),
		cmocka_unit_test(livelock_has_a_bound),
		cmocka_unit_test(starvation),
#ifndef SANITIZED
		cmocka_unit_test(stack_overflow_is_a_finding),
#endif
	};

	return (cmocka_run_group_tests(tests, setup, NULL));
}
