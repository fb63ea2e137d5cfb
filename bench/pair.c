/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One allocation and one free in a loop: kmalloc linked statically, or, built
 * with USE_MALLOC, the malloc of the process through the dynamic linker. The
 * size is known only at run time; kmalloc's flags are a constant, as in
 * kernel code (KM-1).
 *
 * usage: pair COUNT [SIZE]; prints nanoseconds a pair.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef USE_MALLOC
#define GET(size) malloc(size)
#define PUT(p)	  free(p)
#else
#include <kalloc/kmalloc.h>
MALLOC_DEFINE(M_PAIR, "pair", "benchmark");
#define GET(size) kmalloc((size), M_PAIR, M_WAITOK)
#define PUT(p)	  kfree((p), M_PAIR)
#endif

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

#ifndef USE_MALLOC
	struct kalloc_config config = { 0 };

	if (kalloc_boot(&config) != 0)
		return (1);
#endif
	began = now_ns();
	for (i = 0; i < n; i++) {
		void *p = GET(size);

		__asm__ volatile("" : : "r"(p) : "memory");
		PUT(p);
	}
	(void)printf("%.2f\n", (now_ns() - began) / (double)n);
	return (0);
}
