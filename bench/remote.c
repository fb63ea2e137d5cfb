/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads: one allocates, the other frees, through a ring of pointers
 * with one producer and one consumer.
 *
 * usage: remote COUNT [SIZE]; prints nanoseconds an object.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "allocator.h"

#define RING 1024u

static void *ring[RING];
static uint64_t head __attribute__((aligned(64)));
static uint64_t tail __attribute__((aligned(64)));

static double
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec * 1e9 + (double)ts.tv_nsec);
}

static void *
consume(void *arg)
{
	uint64_t n = *(uint64_t *)arg, i, seen = 0;

	for (i = 0; i < n; i++) {
		while (seen == i) {
			seen = __atomic_load_n(&head, __ATOMIC_ACQUIRE);
			if (seen == i)
				sched_yield();
		}
		PUT(ring[i % RING]);
		__atomic_store_n(&tail, i + 1, __ATOMIC_RELEASE);
	}
	return (NULL);
}

int
main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000000, i;
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 64;
	uint64_t freed = 0;
	pthread_t thread;
	double began;

	setup(size);
	began = now_ns();
	if (pthread_create(&thread, NULL, consume, &n) != 0)
		return (1);
	for (i = 0; i < n; i++) {
		void *p;

		while (i - freed == RING) {
			freed = __atomic_load_n(&tail, __ATOMIC_ACQUIRE);
			if (i - freed == RING)
				sched_yield();
		}
		p = GET(size);
		if (p == NULL) /* a pipe's nowait: never within nnom */
			return (1);
		ring[i % RING] = p;
		__atomic_store_n(&head, i + 1, __ATOMIC_RELEASE);
	}
	(void)pthread_join(thread, NULL);
	(void)printf("%.2f\n", (now_ns() - began) / (double)n);
	return (0);
}
