/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the simulation costs: a switch of fibers, in nanoseconds, and
 * executions a second: of three threads that lock, increment and unlock ten
 * times each (sequentially consistent, random), and of three that allocate and
 * free twice each with the real kmalloc, in TSO, with the model and full
 * contents, at random and in the order of the search of up to two deviations.
 * Each execution is checked. Medians and ranges of rounds.
 *
 * usage: schedules [ROUNDS [SWITCHES [EXECUTIONS]]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore/explore.h"
#include "port/port.h"
#include "protocol/protocol.h"
#include "sim/fiber.h"

#define ROUNDS_MAX 101

static int rounds = 11;

static double
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y ? -1 : x > y);
}

static void
print(const char *what, const char *format, double *v)
{
	qsort(v, (size_t)rounds, sizeof(*v), by_value);
	(void)printf("%-28s ", what);
	(void)printf(format, v[rounds / 2], v[0], v[rounds - 1]);
	(void)printf("\n");
}

/* ---- Switches ----------------------------------------------------------- */

static struct fiber *self, *other;

static void
back(void *arg)
{
	(void)arg;
	for (;;)
		fiber_switch(other, self);
}

static int
measure_switch(unsigned long n)
{
	double round[ROUNDS_MAX];
	unsigned long k;
	int i;

	self = fiber_main();
	other = fiber_create(back, NULL);
	if (self == NULL || other == NULL)
		return (2);
	for (i = 0; i < rounds; i++) {
		double began = now();

		for (k = 0; k < n; k += 2)
			fiber_switch(self, other);
		round[i] = (now() - began) / (double)n * 1e9;
	}
	print("fiber switch", "%.2f ns (%.2f to %.2f)", round);
	return (0);
}

/* ---- Executions --------------------------------------------------------- */

static int
measure_world(const char *what, struct explore_world *world,
    enum explore_kind kind, enum trace_memory memory, unsigned long n)
{
	double round[ROUNDS_MAX];
	int i;

	for (i = 0; i < rounds; i++) {
		struct explore_options o = { .kind = kind,
			.seed = (uint64_t)i + 1,
			.memory = memory,
			.bound = 2,
			.runs = n,
			.jobs = 1,
			.points_max = 100000 };
		struct explore e;
		double began;

		if (explore_init(&e, world, &o) != 0)
			return (2);
		began = now();
		if (explore_go(&e) != RUN_CLEAN || e.count.executions != n) {
			(void)fprintf(
			    stderr, "%s: %s\n", what, e.result.finding.found);
			return (1);
		}
		round[i] = (double)n / (now() - began) / 1e3;
		explore_fini(&e);
	}
	print(what, "%.0f k/s (%.0f to %.0f)", round);
	return (0);
}

static struct ka_mutex lock;
static uint32_t counter;

static void
lock_setup(bool is_mended)
{
	(void)is_mended;
	ka_mutex_init(&lock, "counter");
	counter = 0;
}

static void
lock_body(void)
{
	int i;

	for (i = 0; i < 10; i++) {
		ka_mutex_lock(&lock);
		counter++;
		ka_mutex_unlock(&lock);
	}
}

static const char *
lock_check(uint32_t asleep)
{
	return (asleep != 0 || counter != 30 ? "an increment was lost" : NULL);
}

static const struct protocol lock_protocol = {
	.name = "lock",
	.about = "a counter under a lock",
	.source = "",
	.clause = "",
	.holds = true,
	.threads = 3,
	.cpus = 3,
	.setup = lock_setup,
	.body = { lock_body, lock_body, lock_body },
	.check = lock_check,
};

static const char text[] =
    "kalab-trace 1\ncpus 3\nthreads 3\npages 4096\n"
    "0 m0 = kmalloc_create \"a\"\n"
    "0 p0 = kmalloc 64 m0 WAITOK\n1 p1 = kmalloc 64 m0 WAITOK\n"
    "2 p2 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n1 kfree p1 m0\n"
    "2 kfree p2 m0\n0 p0 = kmalloc 64 m0 WAITOK\n"
    "1 p1 = kmalloc 64 m0 WAITOK\n2 p2 = kmalloc 64 m0 WAITOK\n"
    "0 kfree p0 m0\n1 kfree p1 m0\n2 kfree p2 m0\n";

static int
measure_kmalloc(unsigned long n)
{
	struct run_options run = { .subject = subject_by_name("kalloc"),
		.no_drain = true,
		.no_audit = true };
	struct explore_trace world;
	struct trace_reader *r;
	struct trace_error e;
	struct trace t;
	int status;

	if (trace_reader_open_mem(&r, "schedules", text, strlen(text), &e) !=
		0 ||
	    trace_load(&t, r, &e) != 0)
		return (2);
	explore_trace_world(&world, &t, &run);
	status = measure_world("3 threads, 2 alloc and free", &world.world,
	    EXPLORE_RANDOM, TRACE_MEMORY_TSO, n);
	if (status == 0)
		status = measure_world("the same, sticky", &world.world,
		    EXPLORE_STICKY, TRACE_MEMORY_TSO, n);
	if (status == 0)
		status = measure_world("the same, in order", &world.world,
		    EXPLORE_BOUND, TRACE_MEMORY_TSO, n);
	trace_fini(&t);
	trace_reader_close(r);
	return (status);
}

int
main(int argc, char **argv)
{
	unsigned long switches = 10000000, executions = 20000;
	struct protocol_world world;

	if (argc > 1)
		rounds = atoi(argv[1]);
	if (argc > 2)
		switches = strtoul(argv[2], NULL, 0);
	if (argc > 3)
		executions = strtoul(argv[3], NULL, 0);
	if (rounds < 1 || rounds > ROUNDS_MAX || switches < 2 || executions < 1)
		return (2);
	if (measure_switch(switches) != 0)
		return (1);
	protocol_world(&world, &lock_protocol);
	if (measure_world("3 threads, 10 increments", &world.world,
		EXPLORE_RANDOM, TRACE_MEMORY_SC, executions) != 0)
		return (1);
	protocol_world_fini(&world);
	return (measure_kmalloc(executions));
}
