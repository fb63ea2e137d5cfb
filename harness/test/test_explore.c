/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Searches and strategies on protocols whose answer is known: the broken ones
 * are found, at their fewest deviations; of the mended ones the whole space is
 * walked and is clean; a search divided or gone on with is the same search.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/protocol.h"

static double
now(void)
{
	return (0);
}

static struct explore_options
options_of(const struct protocol *p, enum explore_kind kind)
{
	struct explore_options o = { .kind = kind,
		.bound = 5,
		.depth = 5,
		.seed = 1,
		.memory = p->memory,
		.may = p->may,
		.jobs = 1,
		.points_max = 10000,
		.now = now };

	return (o);
}

static enum run_status
explore(const struct protocol *p, const struct explore_options *o,
    struct explore *ret_e, struct protocol_world *w)
{
	protocol_world(w, p);
	assert_int_equal(explore_init(ret_e, &w->world, o), 0);
	return (explore_go(ret_e));
}

static void
broken_ones_are_found_at_their_fewest(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < protocols_count; i++) {
		const struct protocol *p = &protocols[i];
		struct explore_options o = options_of(p, EXPLORE_BOUND);
		struct protocol_world w;
		struct explore e;

		if (p->holds)
			continue;
		if (explore(p, &o, &e, &w) != RUN_FINDING)
			fail_msg("%s is not found", p->name);
		if (e.ndeviations != p->deviations)
			fail_msg("%s: %u deviations, expected %u", p->name,
			    e.ndeviations, p->deviations);
		assert_string_equal(e.result.finding.clause, p->clause);
		explore_fini(&e);
		protocol_world_fini(&w);
	}
}

static void
every_strategy_that_draws_finds_them(void **state)
{
	static const enum explore_kind kinds[] = { EXPLORE_RANDOM,
		EXPLORE_STICKY, EXPLORE_PCT };
	uint32_t i, k, fewest;

	(void)state;
	for (i = 0; i < protocols_count; i++)
		for (k = 0; k < 3; k++) {
			const struct protocol *p = &protocols[i];
			struct explore_options o = options_of(p, kinds[k]);
			struct explore_fewest f;
			struct protocol_world w;
			struct explore e;

			if (p->holds)
				continue;
			o.runs = 20000;
			if (explore(p, &o, &e, &w) != RUN_FINDING)
				fail_msg("%s is not found by %s", p->name,
				    explore_kind_name(kinds[k]));
			/* Whatever it took comes down to the fewest. */
			fewest = e.ndeviations;
			assert_int_equal(explore_fewest(&w.world, &o,
					     e.result.finding.signature,
					     &e.deviation, &fewest, &f),
			    0);
			assert_true(f.proven);
			assert_int_equal(fewest, p->deviations);
			explore_fini(&e);
			protocol_world_fini(&w);
		}
}

/* A memory model stronger than where it breaks, and the mended one. */
static void
whole_spaces_are_clean(void **state)
{
	uint32_t i;
	int m;

	(void)state;
	for (i = 0; i < protocols_count; i++)
		for (m = 0; m < TRACE_MEMORY_COUNT; m++) {
			const struct protocol *p = &protocols[i];
			struct explore_options o =
			    options_of(p, EXPLORE_EXHAUSTIVE);
			struct protocol_world w;
			struct explore e;

			o.memory = (enum trace_memory)m;
			if (!p->holds && o.memory >= p->memory)
				continue;
			/* Migration and store buffers: too many for a test. */
			if (o.may != 0 && m == TRACE_MEMORY_TSO) {
				o.kind = EXPLORE_BOUND;
				o.bound = 3;
			}
			if (explore(p, &o, &e, &w) != RUN_CLEAN)
				fail_msg("%s under %s: %s", p->name,
				    trace_memory_name(o.memory),
				    e.result.finding.found);
			assert_true(e.count.complete);
			assert_true(e.count.schedules > 1);
			explore_fini(&e);
			protocol_world_fini(&w);
		}
}

static void
a_search_divides(void **state)
{
	const struct protocol *p = protocol_by_name("mpipe-pending-mended");
	struct explore_options o = options_of(p, EXPLORE_BOUND);
	uint64_t whole, parts = 0;
	struct protocol_world w;
	struct explore e;
	uint32_t i;

	(void)state;
	o.bound = 3;
	assert_int_equal(explore(p, &o, &e, &w), RUN_CLEAN);
	whole = e.count.schedules;
	explore_fini(&e);
	protocol_world_fini(&w);
	o.jobs = 3;
	for (i = 0; i < 3; i++) {
		o.index = i;
		assert_int_equal(explore(p, &o, &e, &w), RUN_CLEAN);
		assert_true(e.count.complete);
		parts += e.count.schedules;
		explore_fini(&e);
		protocol_world_fini(&w);
	}
	assert_int_equal(parts, whole);
}

/* Ended and gone on with again and again, it is what it is in one go. */
static void
go_on(const struct protocol *p, enum explore_kind kind)
{
	struct explore_options o = options_of(p, kind);
	struct explore_count whole;
	struct protocol_world w;
	struct explore e;
	FILE *f = NULL;

	o.bound = 2;
	assert_int_equal(explore(p, &o, &e, &w), RUN_CLEAN);
	whole = e.count;
	explore_fini(&e);
	for (o.runs = 17;; o.runs += 17) {
		assert_int_equal(explore_init(&e, &w.world, &o), 0);
		if (f != NULL) {
			rewind(f);
			assert_true(explore_load(&e, f));
			(void)fclose(f);
		}
		assert_int_equal(explore_go(&e), RUN_CLEAN);
		if (e.count.complete)
			break;
		f = tmpfile();
		assert_non_null(f);
		assert_true(explore_save(&e, f));
		explore_fini(&e);
	}
	assert_int_equal(e.count.executions, whole.executions);
	assert_int_equal(e.count.schedules, whole.schedules);
	assert_int_equal(e.count.pruned, whole.pruned);
	explore_fini(&e);
	protocol_world_fini(&w);
}

static void
a_search_goes_on(void **state)
{
	(void)state;
	go_on(protocol_by_name("fence-mended"), EXPLORE_BOUND);
	go_on(protocol_by_name("fence-mended"), EXPLORE_EXHAUSTIVE);
	go_on(protocol_by_name("wake-one-mended"), EXPLORE_EXHAUSTIVE);
}

/* A file that is something else is not gone on from. */
static void
damaged_states_are_refused(void **state)
{
	const struct protocol *p = protocol_by_name("fence-mended");
	struct explore_options o = options_of(p, EXPLORE_EXHAUSTIVE);
	struct protocol_world w;
	struct explore e;
	FILE *f = tmpfile();

	(void)state;
	protocol_world(&w, p);
	assert_non_null(f);
	assert_int_equal(explore_init(&e, &w.world, &o), 0);
	assert_true(fputs("no state", f) >= 0);
	rewind(f);
	assert_false(explore_load(&e, f));
	(void)fclose(f);
	explore_fini(&e);
}

/* The same seed is the same execution; another is another. */
static void
seeds_are_schedules(void **state)
{
	const struct protocol *p = protocol_by_name("wake-one-mended");
	uint64_t seen[3];
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct explore_options o = options_of(p, EXPLORE_RANDOM);
		struct protocol_world w;
		struct explore e;

		o.runs = 1;
		o.seed = i == 2 ? 7 : 3;
		assert_int_equal(explore(p, &o, &e, &w), RUN_CLEAN);
		seen[i] = e.result.schedule;
		explore_fini(&e);
		protocol_world_fini(&w);
	}
	assert_int_equal(seen[0], seen[1]);
	assert_int_not_equal(seen[0], seen[2]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_ones_are_found_at_their_fewest),
		cmocka_unit_test(every_strategy_that_draws_finds_them),
		cmocka_unit_test(whole_spaces_are_clean),
		cmocka_unit_test(a_search_divides),
		cmocka_unit_test(a_search_goes_on),
		cmocka_unit_test(damaged_states_are_refused),
		cmocka_unit_test(seeds_are_schedules),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
