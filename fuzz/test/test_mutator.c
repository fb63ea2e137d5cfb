/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mutator: whatever it is given, what it gives is canonical, within the
 * bound, and a function of its arguments; each kind of mutation comes to
 * pass; and what it inserts is worth running.
 *
 * Properties are checked over a walk: each result is the next input, beside
 * inputs of random bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutator.h"
#include "run/run.h"
#include "util/random.h"

#define ROUNDS 4000u
#define MAX    600u
#define ALL    ((1u << TRACE_GROUP_COUNT) - 1)

static void
load(struct trace *ret_t, const uint8_t *data, size_t size)
{
	struct trace_reader *r;
	struct trace_error e;

	assert_int_equal(trace_reader_open_payload(&r, data, size, &e), 0);
	assert_int_equal(trace_load(ret_t, r, &e), 0);
	trace_reader_close(r);
}

/* The bytes are what the trace that they are encodes to. */
static void
check_canonical(const uint8_t *data, size_t size)
{
	struct trace t;
	uint8_t *again;
	size_t n;

	load(&t, data, size);
	assert_int_equal(trace_encode(&t, &again, &n), 0);
	assert_int_equal(n, size);
	assert_memory_equal(again, data, n);
	free(again);
	trace_fini(&t);
}

static size_t
random_bytes(uint64_t *random, uint8_t *data)
{
	const size_t size = random_below(random, MAX);

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)random_next(random);
	return (size);
}

static void
results_decode_to_themselves(void **state)
{
	uint8_t data[MAX], out[MAX], other[MAX];
	uint64_t random = 1, done[MUTATOR_COUNT] = { 0 };
	size_t size = 0, n, m = 0;

	(void)state;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		const size_t max = 32 + random_below(&random, MAX - 32);

		if (i % 16 == 0)
			size = random_bytes(&random, data);
		if (i % 4 == 0)
			n = mutator_cross(
			    data, size, other, m, out, max, i, ALL, done);
		else
			n = mutator_mutate(data, size, out, max, i, ALL, done);
		assert_in_range(n, 1, max);
		check_canonical(out, n);
		memcpy(other, data, size);
		m = size;
		memcpy(data, out, n);
		size = n;
	}
	for (unsigned kind = 0; kind < MUTATOR_COUNT; kind++)
		assert_true(done[kind] > ROUNDS / 100);
}

static void
a_seed_gives_one_result(void **state)
{
	uint8_t data[MAX], a[MAX], b[MAX];
	uint64_t random = 2;
	unsigned different = 0;

	(void)state;
	for (uint32_t i = 0; i < 300; i++) {
		const size_t size = random_bytes(&random, data);
		const size_t n =
		    mutator_mutate(data, size, a, MAX, i, ALL, NULL);

		assert_int_equal(
		    mutator_mutate(data, size, b, MAX, i, ALL, NULL), n);
		assert_memory_equal(a, b, n);
		assert_int_equal(mutator_cross(data, size, data, size / 2, a,
				     MAX, i, ALL, NULL),
		    mutator_cross(
			data, size, data, size / 2, b, MAX, i, ALL, NULL));
		if (mutator_mutate(data, size, b, MAX, i + 1, ALL, NULL) != n ||
		    memcmp(a, b, n) != 0)
			different++;
	}
	assert_true(different > 250);
}

static void
in_place_is_the_same(void **state)
{
	uint8_t data[MAX], out[MAX];
	uint64_t random = 3;

	(void)state;
	for (uint32_t i = 0; i < 300; i++) {
		const size_t size = random_bytes(&random, data);
		const size_t n =
		    mutator_mutate(data, size, out, MAX, i, ALL, NULL);

		assert_int_equal(
		    mutator_mutate(data, size, data, MAX, i, ALL, NULL), n);
		assert_memory_equal(data, out, n);
	}
}

/* How many positions of both traces have other operations. */
static size_t
codes_differ(const struct trace *a, const struct trace *b)
{
	size_t n = 0;

	for (size_t i = 0; i < a->nops && i < b->nops; i++)
		n += a->op[i].code != b->op[i].code;
	return (n);
}

static bool
headers_equal(const struct trace *a, const struct trace *b)
{
	const struct trace_header *x = &a->header, *y = &b->header;

	return (x->cpus == y->cpus && x->threads == y->threads &&
	    x->pages == y->pages && x->reserve_system == y->reserve_system &&
	    x->slabs_keep == y->slabs_keep && x->debug == y->debug &&
	    x->sched == y->sched && x->sched_seed == y->sched_seed &&
	    x->sticky == y->sticky && x->nfaults == y->nfaults &&
	    memcmp(x->fault, y->fault, sizeof(x->fault)) == 0 &&
	    memcmp(x->thread_cpu, y->thread_cpu,
		x->threads * sizeof(x->thread_cpu[0])) == 0);
}

/* The one kind that was done, once; -1: others too. */
static int
only_kind(const uint64_t done[MUTATOR_COUNT])
{
	int kind = -1;

	for (int i = 0; i < MUTATOR_COUNT; i++) {
		if (done[i] == 0)
			continue;
		if (kind >= 0 || done[i] > 1)
			return (-1);
		kind = i;
	}
	return (kind);
}

static void
check_kind(int kind, const struct trace *a, const struct trace *b,
    unsigned changed[MUTATOR_COUNT])
{
	const bool header = kind == MUTATOR_CONFIG || kind == MUTATOR_FAULT ||
	    kind == MUTATOR_SCHEDULE;

	if (kind == MUTATOR_INSERT || kind == MUTATOR_PAIR ||
	    kind == MUTATOR_DUPLICATE)
		assert_true(b->nops > a->nops);
	else if (kind == MUTATOR_REMOVE)
		assert_true(b->nops < a->nops);
	else
		assert_true(b->nops <= a->nops);
	if (header || kind == MUTATOR_THREAD || kind == MUTATOR_VALUE ||
	    kind == MUTATOR_FLAGS || kind == MUTATOR_REGISTER) {
		assert_int_equal(a->nops, b->nops);
		assert_int_equal(codes_differ(a, b), 0);
	}
	if (!header)
		assert_true(headers_equal(a, b));
	for (size_t i = 0; i < a->nops && i < b->nops; i++) {
		const struct trace_op *x = &a->op[i], *y = &b->op[i];

		if (kind == MUTATOR_THREAD)
			assert_memory_equal(x->arg, y->arg, sizeof(x->arg));
		else if (kind != MUTATOR_CONFIG && kind != MUTATOR_SCHEDULE &&
		    kind != MUTATOR_FAULT && a->nops == b->nops &&
		    codes_differ(a, b) == 0 && kind != MUTATOR_SWAP)
			assert_int_equal(x->thread, y->thread);
	}
	changed[kind] += header	 ? !headers_equal(a, b) :
	    kind == MUTATOR_SWAP ? codes_differ(a, b) != 0 :
				   true;
}

/* From one trace, results of which one mutation was made: it did that. */
static void
a_kind_does_what_it_says(void **state)
{
	unsigned seen[MUTATOR_COUNT] = { 0 };
	uint8_t data[4096], out[4096];
	size_t size = 0;
	struct trace a, b;

	(void)state;
	for (uint32_t i = 0; i < 150; i++)
		size = mutator_mutate(
		    data, size, data, sizeof(data), i, ALL, NULL);
	load(&a, data, size);
	assert_true(a.header.threads > 1 && a.nops > 10);
	for (uint32_t i = 0; i < 3000; i++) {
		uint64_t done[MUTATOR_COUNT] = { 0 };
		const size_t n =
		    mutator_mutate(data, size, out, sizeof(out), i, ALL, done);
		const int kind = only_kind(done);

		if (kind < 0)
			continue;
		load(&b, out, n);
		check_kind(kind, &a, &b, seen);
		trace_fini(&b);
	}
	trace_fini(&a);
	for (int i = 0; i < MUTATOR_SPLICE; i++)
		assert_true(seen[i] > 10);
}

static void
too_little_room_is_nothing(void **state)
{
	uint8_t out[4] = { 0x55, 0x55, 0x55, 0x55 };
	const uint8_t data[] = { 0 };

	(void)state;
	assert_int_equal(mutator_mutate(data, 1, out, 0, 1, ALL, NULL), 0);
	assert_int_equal(out[0], 0x55);
}

static void
only_the_groups_asked_for_are_inserted(void **state)
{
	const uint32_t groups = 1u << TRACE_G_KM | 1u << TRACE_G_MP;
	uint8_t data[MAX];
	size_t size = 0;
	struct trace t;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		size = mutator_mutate(data, size, data, MAX, i, groups, NULL);
	load(&t, data, size);
	assert_true(t.nops > 5);
	for (size_t i = 0; i < t.nops; i++)
		assert_true((groups >> trace_ops[t.op[i].code].group & 1) != 0);
	trace_fini(&t);
}

/*
 * From nothing to traces in which every operation is done some time: makers
 * are there, and objects go back to where they came from. A mutator that does
 * not know the table makes traces of which nearly all is skipped.
 */
static void
what_is_inserted_is_run(void **state)
{
	static struct run_result r;
	const struct run_options options = { .subject = subjects[0],
		.contents = MODEL_CONTENTS_FULL };
	bool seen[TRACE_OP_COUNT] = { false };
	uint64_t ops = 0, skipped = 0;
	uint8_t data[4096];
	size_t size = 0;

	(void)state;
	for (uint32_t i = 0; i < 9000; i++) {
		struct run_source source;
		struct run_mem mem;
		struct trace t;

		if (i % 60 == 0)
			size = 0;
		size = mutator_mutate(
		    data, size, data, sizeof(data), i, ALL, NULL);
		if (i % 20 != 19)
			continue;
		load(&t, data, size);
		t.header.nfaults = 0;
		source = run_source_mem(&mem, &t);
		run(&source, &options, &r);
		assert_int_equal(r.status, RUN_CLEAN);
		ops += r.ops;
		skipped += r.skipped;
		for (size_t k = 0; k < t.nops; k++)
			seen[t.op[k].code] = true;
		trace_fini(&t);
	}
	for (unsigned i = 0; i < TRACE_OP_COUNT; i++)
		if (!seen[i])
			fail_msg("%s is never inserted", trace_ops[i].name);
	if (skipped >= ops / 4 * 3)
		fail_msg("%llu of %llu operations skipped",
		    (unsigned long long)skipped,
		    (unsigned long long)(ops + skipped));
}

/*
 * What grows from nothing is as what the generator makes: pipes are small, and
 * there are a few dozen operations at most.
 */
static void
what_grows_is_as_generated(void **state)
{
	uint64_t ops = 0, pipes = 0, large = 0, traces = 0;
	uint8_t data[4096];
	size_t size = 0;

	(void)state;
	for (uint32_t i = 0; i < 18000; i++) {
		struct trace t;

		if (i % 60 == 0)
			size = 0;
		size = mutator_mutate(
		    data, size, data, sizeof(data), i, ALL, NULL);
		if (i % 60 != 59)
			continue;
		load(&t, data, size);
		traces++;
		ops += t.nops;
		for (size_t k = 0; k < t.nops; k++) {
			const struct trace_op *op = &t.op[k];

			if (op->code != TRACE_OP_MPIPE_INIT)
				continue;
			pipes++;
			large += (int32_t)op->arg[2] > 32;
		}
		trace_fini(&t);
	}
	assert_true(pipes > 100);
	if (large * 10 > pipes || ops > traces * 24)
		fail_msg("%llu of %llu pipes are large, %llu operations in "
			 "%llu traces",
		    (unsigned long long)large, (unsigned long long)pipes,
		    (unsigned long long)ops, (unsigned long long)traces);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_decode_to_themselves),
		cmocka_unit_test(a_seed_gives_one_result),
		cmocka_unit_test(in_place_is_the_same),
		cmocka_unit_test(a_kind_does_what_it_says),
		cmocka_unit_test(too_little_room_is_nothing),
		cmocka_unit_test(only_the_groups_asked_for_are_inserted),
		cmocka_unit_test(what_is_inserted_is_run),
		cmocka_unit_test(what_grows_is_as_generated),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
