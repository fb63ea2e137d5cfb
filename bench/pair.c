/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One allocation and one free in a loop, of one allocator, chosen when this is
 * compiled (allocator.h). The size is known only at run time; flags are
 * constants, as in kernel code (KM-1).
 *
 * usage: pair COUNT [SIZE]; prints nanoseconds a pair.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "allocator.h"

static double
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec * 1e9 + (double)ts.tv_nsec);
}

int
main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000000, i;
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 64;
	double began;

	setup(size);
	began = now_ns();
	for (i = 0; i < n; i++) {
		void *p = GET(size);

		__asm__ volatile("" : : "r"(p) : "memory");
		PUT(p);
	}
	(void)printf("%.2f\n", (now_ns() - began) / (double)n);
	return (0);
}
