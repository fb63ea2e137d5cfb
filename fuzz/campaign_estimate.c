/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How likely the next execution is to show something new.
 *
 * Good (1953): of n executions, if f1 species were seen in one of them only,
 * the chance is about f1 / n. The interval is Esty's (1983), of the normal
 * approximation: its variance is (f1 (1 - f1/n) + 2 f2) / n^2. While nothing
 * was seen but more than once the rule of three bounds it: 3 / n.
 *
 * A fuzzer chooses its inputs by what it has seen, so executions are no
 * independent draws, and those that load a corpus again see nothing new: the
 * estimate is of how the campaign goes on as it does, not a bound on what
 * there is.
 */
#include <math.h>

#include "campaign_int.h"

#define Z 1.96 /* 95 % */

struct campaign_estimate
campaign_estimate(uint64_t n, uint64_t f1, uint64_t f2)
{
	struct campaign_estimate e = { 1, 0, 1 };
	double half;

	if (n == 0)
		return (e);
	e.chance = (double)f1 / (double)n;
	if (e.chance > 1)
		e.chance = 1; /* an execution may show many */
	half =
	    Z * sqrt((double)f1 * (1 - e.chance) + 2 * (double)f2) / (double)n;
	e.low = e.chance > half ? e.chance - half : 0;
	e.high = e.chance + half;
	if (f1 == 0 && e.high < 3 / (double)n)
		e.high = 3 / (double)n;
	if (e.high > 1)
		e.high = 1;
	return (e);
}
