/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Delays at the points of the port, and which processor a thread is on.
 *
 * The library of this program is compiled with KA_PORT_STRESS: it calls
 * ka_stress_point() where the simulation would ask who runs next. Most calls
 * do nothing, some wait for a moment, few give the processor away or sleep. How
 * many do what is drawn for each run, since a delay that is right for one race
 * hides another. Nothing here orders threads, so that ThreadSanitizer sees
 * what it would see without.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <time.h>

#include "stress_int.h"
#include "util/random.h"

void ka_stress_point(void);

/* Of 65536 points so many: spin, yield, sleep. Set while nothing runs. */
static uint32_t some_spin, some_yield, some_sleep;
static cpu_set_t processors;
static int nprocessors;
static bool spread; /* threads have a processor each, in turn */
static _Atomic uint64_t delayed;
static __thread uint64_t rng;
static __thread uint64_t mine;

static void
spin(unsigned n)
{
	while (n-- > 0)
		__asm__ volatile("" ::: "memory");
}

void
ka_stress_point(void)
{
	uint32_t draw;

	if (rng == 0)
		return; /* a thread that delays nobody */
	draw = (uint32_t)(random_next(&rng) >> 32);
	if ((draw & 65535) >= some_spin + some_yield + some_sleep)
		return;
	mine++;
	if ((draw & 65535) < some_sleep) {
		struct timespec t = { 0, 1000 + (draw >> 16) };

		(void)nanosleep(&t, NULL);
	} else if ((draw & 65535) < some_sleep + some_yield) {
		(void)sched_yield();
	} else {
		spin(draw >> 20);
	}
}

void
stress__delays(uint64_t seed, bool any)
{
	uint64_t draw = seed;

	some_spin = any ? 65536u >> (3 + random_below(&draw, 8)) : 0;
	some_yield = any ? 65536u >> (5 + random_below(&draw, 10)) : 0;
	some_sleep = any ? 65536u >> (10 + random_below(&draw, 7)) : 0;
	spread = random_below(&draw, 3) != 0;
	if (nprocessors == 0) {
		if (sched_getaffinity(0, sizeof(processors), &processors) != 0)
			CPU_ZERO(&processors);
		nprocessors = CPU_COUNT(&processors);
	}
	delayed = 0;
}

void
stress__pin(uint32_t cpu)
{
	cpu_set_t set;
	int i, n;

	if (!spread || nprocessors < 2)
		return;
	n = (int)(cpu % (uint32_t)nprocessors);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &processors) && n-- == 0)
			break;
	CPU_ZERO(&set);
	CPU_SET(i, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* The thread begins, with a seed, or ends, with 0. */
void
stress__delay_thread(uint64_t seed)
{
	rng = seed;
	if (seed == 0) {
		(void)atomic_fetch_add_explicit(
		    &delayed, mine, memory_order_relaxed);
		mine = 0;
	}
}

uint64_t
stress__delayed(void)
{
	return (delayed);
}
