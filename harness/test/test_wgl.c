/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exact check of small histories: what it must say of some that are
 * written here; that it says what trying all orders says, of thousands of
 * random ones; and how much of it the interval sweep sees, which must accuse
 * none that has an order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "history/wgl.h"
#include "util/random.h"

static struct history_event
event(enum history_kind kind, uint64_t from, uint64_t to)
{
	return ((struct history_event) {
	    .kind = kind, .from = from, .to = to, .units = 1, .name = "" });
}

#define TAKE(from, to)	  event(HISTORY_TAKE, from, to)
#define GIVE(from, to)	  event(HISTORY_GIVE, from, to)
#define REFUSED(from, to) event(HISTORY_REFUSED, from, to)

static struct history_owner
pool(uint64_t most)
{
	return ((struct history_owner) {
	    .least = most, .most = most, .over = "MP-2", .refused = "MP-1" });
}

static bool
linearizable(const struct history_event *e, size_t n,
    const struct history_owner *o, uint64_t held)
{
	enum wgl_verdict v = wgl_check(e, n, o, held, NULL);

	assert_int_not_equal(v, WGL_TOO_LONG);
	return (v == WGL_LINEARIZABLE);
}

static bool
sweep_accepts(
    const struct history_event *e, size_t n, const struct history_owner *o)
{
	struct history_finding f;

	return (history_check(e, n, o, 1, &f));
}

static void
wgl_takes_and_gives(void **state)
{
	const struct history_owner o = pool(1);
	struct history_event e[] = { TAKE(1, 2), TAKE(3, 6), GIVE(4, 5) };

	(void)state;
	assert_true(linearizable(e, 3, &o, 0));
	assert_false(linearizable(e, 3, &o, 1));
	assert_false(linearizable(e, 2, &o, 0));
	e[2] = GIVE(7, 8);
	assert_false(linearizable(e, 3, &o, 0));
}

/*
 * The free has taken effect for the second take; it has not for the refusal
 * after that. Each alone is right, and to the sweep both are.
 */
static void
wgl_sees_what_intervals_do_not(void **state)
{
	const struct history_owner o = pool(1);
	const struct history_event e[] = { TAKE(1, 2), GIVE(3, 20), TAKE(4, 5),
		GIVE(6, 7), REFUSED(8, 9) };
	const struct history_event *last;

	(void)state;
	assert_true(sweep_accepts(e, 5, &o));
	assert_int_equal(wgl_check(e, 5, &o, 0, &last), WGL_NOT);
	assert_ptr_equal(last, &e[4]);
	assert_true(linearizable(e, 4, &o, 0));
}

static void
wgl_slack_and_limits(void **state)
{
	struct history_owner o = pool(2);
	struct history_event e[] = { TAKE(1, 2), REFUSED(3, 6),
		event(HISTORY_LIMIT, 4, 5) };

	(void)state;
	assert_false(linearizable(e, 2, &o, 0));
	o.slack = 1;
	assert_true(linearizable(e, 2, &o, 0));
	o.slack = 0;
	e[2].least = e[2].most = 1;
	assert_true(linearizable(e, 3, &o, 0));
	e[2] = event(HISTORY_LIMIT, 7, 8);
	e[2].least = e[2].most = 1;
	assert_false(linearizable(e, 3, &o, 0));
}

/* What has not ended may have taken effect, or not. */
static void
wgl_calls_that_have_not_ended(void **state)
{
	const struct history_owner o = pool(1);
	struct history_event e[] = { TAKE(1, UINT64_MAX), REFUSED(2, 3) };

	(void)state;
	assert_true(linearizable(e, 2, &o, 0));
	e[1].kind = HISTORY_TAKE;
	assert_true(linearizable(e, 2, &o, 0));
	e[0].from = 4;
	e[1].kind = HISTORY_REFUSED;
	assert_false(linearizable(e, 2, &o, 0));
}

/* Of two that are refused at one time, each may have had the last in hand. */
static void
wgl_hands(void **state)
{
	struct history_owner o = pool(1);
	struct history_event e[] = { REFUSED(1, 4), REFUSED(2, 5) };

	(void)state;
	assert_false(linearizable(e, 2, &o, 0));
	o.hands = true;
	assert_true(linearizable(e, 2, &o, 0));
	assert_false(linearizable(e, 1, &o, 0)); /* not its own */
	e[1] = REFUSED(5, 6); /* after what the first had in hand was back */
	assert_false(linearizable(e, 2, &o, 0));
	/* A constructor said no: nobody asks why, and others may have missed
	 * what it was given. */
	o.hands = false;
	e[0].excused = true;
	assert_false(linearizable(e, 2, &o, 0));
	e[1] = REFUSED(2, 3);
	assert_true(linearizable(e, 2, &o, 0));
}

static void
wgl_too_long(void **state)
{
	struct history_event e[WGL_CALLS_MAX + 1];
	const struct history_owner o = pool(WGL_CALLS_MAX);
	unsigned i;

	(void)state;
	for (i = 0; i <= WGL_CALLS_MAX; i++)
		e[i] = TAKE(i + 1, 100 + i);
	assert_int_equal(
	    wgl_check(e, WGL_CALLS_MAX, &o, 0, NULL), WGL_LINEARIZABLE);
	assert_int_equal(
	    wgl_check(e, 12, &o, WGL_CALLS_MAX - 11, NULL), WGL_NOT);
	assert_int_equal(
	    wgl_check(e, WGL_CALLS_MAX + 1, &o, 0, NULL), WGL_TOO_LONG);
}

/* ---- Random histories -------------------------------------------------- */

#define CALLS 7u

/* All orders, one after the other. */
static bool
some_order(const struct history_event *e, unsigned n, uint64_t most,
    uint64_t held, unsigned done)
{
	unsigned i, k;

	if (done == (1u << n) - 1)
		return (true);
	for (i = 0; i < n; i++) {
		uint64_t now = held;

		if ((done >> i & 1) != 0)
			continue;
		for (k = 0; k < n; k++)
			if ((done >> k & 1) == 0 && e[k].to < e[i].from)
				break;
		if (k < n)
			continue;
		if (e[i].kind == HISTORY_TAKE && now++ >= most)
			continue;
		if (e[i].kind == HISTORY_GIVE && now-- == 0)
			continue;
		if (e[i].kind == HISTORY_REFUSED && now < most)
			continue;
		if (some_order(e, n, most, now, done | 1u << i))
			return (true);
	}
	return (false);
}

/*
 * Three threads, each with calls one after the other; who gives has what he
 * gives, so that no order could give too early.
 */
static unsigned
draw(uint64_t *rng, struct history_event *e)
{
	uint64_t now[3] = { 0, 0, 0 };
	unsigned has[3] = { 0, 0, 0 }, n = 0;

	while (n < CALLS) {
		unsigned t = random_below(rng, 3);
		uint64_t from = now[t] + 1 + random_below(rng, 8);
		uint64_t to = from + 1 + random_below(rng, 20);
		unsigned what = random_below(rng, 3);

		now[t] = to;
		if (what == 0 && has[t] == 0)
			what = 1;
		has[t] += what == 1;
		has[t] -= what == 0;
		e[n] = event(what == 0 ? HISTORY_GIVE :
			what == 1      ? HISTORY_TAKE :
					 HISTORY_REFUSED,
		    from * 64 + n, to * 64 + n);
		n++;
	}
	return (n);
}

static void
wgl_is_what_all_orders_say(void **state)
{
	unsigned i, n, most, orders = 0, none = 0, seen = 0;
	struct history_event e[CALLS];
	struct history_owner o;
	uint64_t rng = 3;

	(void)state;
	for (i = 0; i < 20000; i++) {
		bool order;

		n = draw(&rng, e);
		most = 1 + random_below(&rng, 2);
		o = pool(most);
		order = some_order(e, n, most, 0, 0);
		assert_int_equal(linearizable(e, n, &o, 0), order);
		orders += order;
		none += !order;
		if (order)
			assert_true(sweep_accepts(e, n, &o));
		else
			seen += !sweep_accepts(e, n, &o);
	}
	print_message("%u histories have an order, the sweep accuses none; of "
		      "%u that have none it rejects %u (%u %%)\n",
	    orders, none, seen, seen * 100 / none);
	assert_true(orders > 1000);
	assert_true(none > 1000);
	assert_true(seen * 100 > none * 80);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wgl_takes_and_gives),
		cmocka_unit_test(wgl_sees_what_intervals_do_not),
		cmocka_unit_test(wgl_slack_and_limits),
		cmocka_unit_test(wgl_calls_that_have_not_ended),
		cmocka_unit_test(wgl_hands),
		cmocka_unit_test(wgl_too_long),
		cmocka_unit_test(wgl_is_what_all_orders_say),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
