/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: the estimate of a campaign, at its edges and against counting; and that
 * what a program says is heard.
 * Method: a program that ends between two looks is one that waitpid() finds after
 * a while.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "campaign_int.h"
#include "util/random.h"

static void
edges(void **state)
{
	struct campaign_estimate e = campaign_estimate(0, 0, 0);

	(void)state;
	assert_true(e.chance == 1 && e.low == 0 && e.high == 1);
	e = campaign_estimate(1000, 0, 0);
	assert_true(e.chance == 0 && e.low == 0);
	assert_true(e.high > 0.0029 && e.high < 0.0031);
	e = campaign_estimate(1, 5, 0);
	assert_true(e.chance == 1 && e.high == 1);
	e = campaign_estimate(10000, 100, 50);
	assert_true(e.chance > 0.0099 && e.chance < 0.0101);
	assert_true(e.low < e.chance && e.chance < e.high);
	assert_true(e.low > 0.007 && e.high < 0.013);
}

/* Species k has the chance 2^-(k+1): after n draws the chance of a new one is
 * known, and lies in the interval nearly always. */
static void
interval_holds(void **state)
{
	uint64_t random = 1;
	unsigned inside = 0;

	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		unsigned seen[64] = { 0 };
		uint64_t f1 = 0, f2 = 0;
		double truth = 0;

		for (unsigned i = 0; i < 200; i++)
			/* Zipf over many, so that some are left unseen. */
			seen[random_below(&random,
			    1 +
				random_below(
				    &random, 1 + random_below(&random, 64)))]++;
		for (unsigned k = 0; k < 64; k++) {
			f1 += seen[k] == 1;
			f2 += seen[k] == 2;
		}
		for (unsigned i = 0; i < 4000; i++)
			truth +=
			    seen[random_below(&random,
				1 +
				    random_below(&random,
					1 + random_below(&random, 64)))] == 0;
		const struct campaign_estimate e =
		    campaign_estimate(200, f1, f2);
		inside += truth / 4000 >= e.low && truth / 4000 <= e.high;
	}
	assert_in_range(inside, 340, 400);
}

pid_t __real_waitpid(pid_t, int *, int);
pid_t __wrap_waitpid(pid_t, int *, int);

pid_t
__wrap_waitpid(pid_t pid, int *status, int options)
{
	(void)usleep(200000);
	return (__real_waitpid(pid, status, options));
}

static void
what_is_said_last_is_heard(void **state)
{
	char said[64] = "";

	(void)state;
	assert_int_equal(campaign_run_quietly("/bin/echo", "this", "and that",
			     20, said, sizeof(said)),
	    0);
	assert_string_equal(said, "this and that\n");
	/* More than is kept is read, and lets nobody wait. */
	assert_int_equal(campaign_run_quietly("/bin/sh", "-c", "seq 1 30000",
			     20, said, sizeof(said)),
	    0);
	assert_int_equal(strlen(said), sizeof(said) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges),
		cmocka_unit_test(interval_holds),
		cmocka_unit_test(what_is_said_last_is_heard),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
