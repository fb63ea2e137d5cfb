/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a run costs besides its operations: boot, 16 operations, halt, in one
 * process, over and over; and the same with the final drain, in which all that
 * is live is freed and no page may be left. Prints microseconds a run: median
 * and range of rounds.
 *
 * usage: reset [ROUNDS [plain]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run/run.h"

#define ROUNDS 21
#define RUNS   2000

static int rounds = ROUNDS; /* fewer under an instruction counter */

static const char text[] =
    "kalab-trace 1\ncpus 4\nthreads 4\npages 4096\n"
    "0 m0 = kmalloc_create \"a\"\n"
    "1 p0 = kmalloc 64 m0 WAITOK\n2 p1 = kmalloc 64 m0 WAITOK\n"
    "3 p2 = kmalloc 200 m0 NOWAIT\n0 p3 = kmalloc 1000 m0 WAITOK|ZERO\n"
    "1 kfree p1 m0\n2 kfree p0 m0\n3 p0 = kmalloc 64 m0 WAITOK\n"
    "0 p1 = kmalloc 300 m0 WAITOK\n1 krealloc p1 500 m0 WAITOK\n"
    "2 kfree p2 m0\n3 kfree p3 m0\n0 kfree p0 m0\n1 kfree p1 m0\n"
    "2 p0 = kmalloc 64 m0 WAITOK\n3 kfree p0 m0\n";

static double
now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y ? -1 : x > y);
}

static int
measure(const struct trace *t, const struct run_options *o, const char *what)
{
	double round[ROUNDS];
	int i, k;

	for (i = 0; i < rounds; i++) {
		double began = now_us();

		for (k = 0; k < RUNS; k++) {
			struct run_result result;
			struct run_source s;
			struct run_mem mem;

			s = run_source_mem(&mem, t);
			run(&s, o, &result);
			if (result.status != RUN_CLEAN || result.ops != 16)
				return (1);
		}
		round[i] = (now_us() - began) / RUNS;
	}
	qsort(round, (size_t)rounds, sizeof(*round), by_value);
	(void)printf("%.2f us a run of 16 operations%s (%.2f to %.2f)\n",
	    round[rounds / 2], what, round[0], round[rounds - 1]);
	return (0);
}

int
main(int argc, char **argv)
{
	struct run_options o = { .subject = subject_by_name("kalloc"),
		.no_audit = true,
		.no_drain = true };
	struct trace_reader *r;
	struct trace_error e;
	struct trace t;

	if (argc > 1)
		rounds = atoi(argv[1]);
	if (rounds < 1 || rounds > ROUNDS)
		return (2);
	if (trace_reader_open_mem(&r, "reset", text, strlen(text), &e) != 0 ||
	    trace_load(&t, r, &e) != 0)
		return (2);
	if (measure(&t, &o, "") != 0)
		return (1);
	if (argc > 2)
		return (0);
	o.no_drain = false;
	return (measure(&t, &o, " and a drain"));
}
