/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interval checker of real threads: what it must say of histories that
 * are written here, and that it accuses no history that some order explains.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "history/history.h"
#include "util/random.h"

#define LIMITED                                                                \
	{                                                                      \
		.least = 2, .most = 2, .over = "MP-2", .refused = "MP-1"       \
	}

static struct history_event
event(enum history_kind kind, uint64_t from, uint64_t to)
{
	return ((struct history_event) {
	    .kind = kind, .from = from, .to = to, .units = 1, .name = "" });
}

static struct history_event
life(uint64_t addr, uint64_t bytes, uint64_t from, uint64_t to)
{
	struct history_event e = event(HISTORY_LIFE, from, to);

	e.owner = HISTORY_NOBODY;
	e.addr = addr;
	e.bytes = bytes;
	return (e);
}

/* The clause that is said to be broken, or "". */
static const char *
clause(const struct history_event *e, size_t n, struct history_owner o)
{
	static struct history_finding f;

	return (history_check(e, n, &o, 1, &f) ? "" : f.clause);
}

static void
history_lives_overlap(void **state)
{
	const struct history_owner o = LIMITED;
	struct history_event e[] = { life(4096, 64, 1, 6), life(4160, 8, 2, 9),
		life(4159, 1, 7, 8) };

	(void)state;
	assert_string_equal(clause(e, 3, o), "");
	e[2].from = 5; /* the last byte of the first, which still lives */
	assert_string_equal(clause(e, 3, o), "G-2");
	e[0] = life(4096, 1 << 20, 1, 6);
	assert_string_equal(clause(e, 3, o), "G-2");
}

static void
history_maximum(void **state)
{
	const struct history_owner o = LIMITED;
	struct history_event e[] = { event(HISTORY_TAKE, 1, 2),
		event(HISTORY_TAKE, 3, 4), event(HISTORY_TAKE, 5, 8),
		event(HISTORY_GIVE, 6, 7) };

	(void)state;
	/* The third may have come after the free began. */
	assert_string_equal(clause(e, 4, o), "");
	e[3].from = 9;
	e[3].to = 10;
	assert_string_equal(clause(e, 4, o), "MP-2");
}

static void
history_refusal(void **state)
{
	struct history_owner o = LIMITED;
	struct history_event e[] = { event(HISTORY_TAKE, 1, 2),
		event(HISTORY_TAKE, 3, 6), event(HISTORY_REFUSED, 5, 8),
		event(HISTORY_GIVE, 9, 10) };

	(void)state;
	assert_string_equal(clause(e, 4, o), "");
	/* Before the second began there was one for certain. */
	e[1].from = 20;
	e[1].to = 21;
	assert_string_equal(clause(e, 4, o), "MP-1");
	e[2].excused = true;
	assert_string_equal(clause(e, 4, o), "");
	e[2].excused = false;
	o.slack = 1;
	assert_string_equal(clause(e, 4, o), "");
	o.slack = 0;
	o.shy_of_others = true;
	assert_string_equal(clause(e, 4, o), "MP-1");
	e[3].kind = HISTORY_OTHER;
	e[3].from = 7;
	assert_string_equal(clause(e, 4, o), "");
	o.shy_of_others = false;
	o.shy = true;
	assert_string_equal(clause(e, 4, o), "");
	e[3].from = 9;
	assert_string_equal(clause(e, 4, o), "MP-1");
	o.refuses_freely = true;
	assert_string_equal(clause(e, 4, o), "");
	e[2].waits = true;
	assert_string_equal(clause(e, 4, o), "MP-1");
}

/* Two refusals at one time may each have had the last one in hand. */
static void
history_refusals_meet(void **state)
{
	struct history_owner o = LIMITED;
	struct history_event e[] = { event(HISTORY_TAKE, 1, 2),
		event(HISTORY_REFUSED, 3, 6), event(HISTORY_REFUSED, 4, 7) };

	(void)state;
	assert_string_equal(clause(e, 3, o), "");
	assert_string_equal(clause(e, 2, o), "MP-1");
}

static void
history_limit_changes(void **state)
{
	struct history_owner o = LIMITED;
	struct history_event e[] = { event(HISTORY_TAKE, 1, 2),
		event(HISTORY_TAKE, 3, 4), event(HISTORY_LIMIT, 5, 8),
		event(HISTORY_TAKE, 6, 7) };

	(void)state;
	e[2].least = e[2].most = 3;
	assert_string_equal(clause(e, 4, o), "");
	e[2].least = e[2].most = 1;
	assert_string_equal(clause(e, 4, o), "MP-2");
	e[3].kind = HISTORY_REFUSED;
	assert_string_equal(clause(e, 4, o), "");
	/* After a raise that has returned there is room. */
	e[2].least = e[2].most = 3;
	e[3].from = 9;
	e[3].to = 10;
	assert_string_equal(clause(e, 4, o), "MP-1");
	e[3].kind = HISTORY_TAKE;
	assert_string_equal(clause(e, 4, o), "");
}

static void
history_units(void **state)
{
	struct history_owner o = LIMITED;
	struct history_event e[] = { event(HISTORY_TAKE, 1, 2),
		event(HISTORY_TAKE, 3, 4), event(HISTORY_REFUSED, 5, 6) };

	(void)state;
	o.least = o.most = 100;
	e[0].units = 60;
	e[1].units = 41;
	assert_string_equal(clause(e, 2, o), "MP-2");
	e[1].units = 40;
	assert_string_equal(clause(e, 3, o), "");
	e[1].units = 39;
	assert_string_equal(clause(e, 3, o), "MP-1");
}

/* ---- Random histories -------------------------------------------------- */

#define EVENTS 24
#define STEPS  (EVENTS * 3)

/*
 * Calls of a pool of two, done in a random order at one instant each, between
 * a beginning and an end that are drawn: some order explains each of them.
 */
static size_t
explained(uint64_t *rng, struct history_event *e, uint32_t spread)
{
	uint64_t at[3];
	uint32_t held = 0, i, k, n = 0;
	uint64_t now = 10;

	for (i = 0; i < EVENTS; i++) {
		bool give = held > 0 && random_below(rng, 2) == 0;

		/* Its instant, and a beginning and an end around it. */
		now += 1000;
		at[0] = now - 1 - random_below(rng, spread) * 2;
		at[1] = now + 1 + random_below(rng, spread) * 2;
		if (at[0] > now)
			at[0] = 1 + i;
		e[n] = event(give ? HISTORY_GIVE :
			held == 2 ? HISTORY_REFUSED :
				    HISTORY_TAKE,
		    at[0] * 64 + i, at[1] * 64 + i);
		held += e[n].kind == HISTORY_TAKE;
		held -= give;
		/* What is freed was had: not before its allocation ended. */
		for (k = 0; give && k < n; k++)
			if (e[k].kind == HISTORY_TAKE && e[k].addr == 0 &&
			    e[k].to < e[n].from) {
				e[k].addr = 1;
				break;
			}
		if (give && k == n) {
			held++;
			continue;
		}
		n++;
	}
	return (n);
}

static void
history_accuses_nobody(void **state)
{
	struct history_event e[EVENTS];
	const struct history_owner o = LIMITED;
	uint64_t rng = 7;
	uint32_t i, refusals = 0;
	size_t k, n;

	(void)state;
	for (i = 0; i < 20000; i++) {
		n = explained(&rng, e, 4000);
		for (k = 0; k < n; k++)
			refusals += e[k].kind == HISTORY_REFUSED;
		assert_string_equal(clause(e, n, o), "");
	}
	assert_true(refusals > 20000);
}

/* The same with one outcome changed: many of them no order explains. */
static void
history_sees_most(void **state)
{
	struct history_event e[EVENTS];
	const struct history_owner o = LIMITED;
	uint32_t i, seen = 0;
	uint64_t rng = 8;
	size_t n, at;

	(void)state;
	for (i = 0; i < 5000; i++) {
		n = explained(&rng, e, 700);
		at = random_below(&rng, (uint32_t)n);
		while (e[at].kind == HISTORY_GIVE)
			at = (at + 1) % n;
		e[at].kind =
		    e[at].kind == HISTORY_TAKE ? HISTORY_REFUSED : HISTORY_TAKE;
		seen += clause(e, n, o)[0] != '\0';
	}
	print_message("%u of 5000 changed histories are rejected\n", seen);
	assert_true(seen > 2500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(history_lives_overlap),
		cmocka_unit_test(history_maximum),
		cmocka_unit_test(history_refusal),
		cmocka_unit_test(history_refusals_meet),
		cmocka_unit_test(history_limit_changes),
		cmocka_unit_test(history_units),
		cmocka_unit_test(history_accuses_nobody),
		cmocka_unit_test(history_sees_most),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
