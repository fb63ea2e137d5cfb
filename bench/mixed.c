/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocations and frees of one allocator as they mix in use, chosen when this is
 * compiled (allocator.h). Sizes and victims are drawn before the clock starts,
 * the same for everyone.
 *
 * usage: mixed USE OBJECTS SIZE COUNT; prints nanoseconds a pair.
 *   ring    so many objects; the oldest is freed and another of 1 to SIZE bytes
 *           is allocated
 *   random  the same, and who is freed is drawn
 *   burst   so many of SIZE bytes, then all are freed in that order
 *   shuffle the same, freed in a random order
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocator.h"

#define DRAWN 65536u /* sizes and victims: a power of two */

static uint64_t rng = 1;
static uint32_t size_of[DRAWN], victim[DRAWN];

static uint32_t
draw(uint32_t n)
{
	rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return ((uint32_t)((rng >> 32) * n >> 32));
}

static double
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec * 1e9 + (double)ts.tv_nsec);
}

static void
replace(void **object, uint32_t n, uint64_t count, bool random)
{
	uint64_t i;

	for (i = 0; i < count; i++) {
		uint32_t at = random ? victim[i % DRAWN] : (uint32_t)(i % n);

		PUT(object[at]);
		object[at] = GET(size_of[i % DRAWN]);
	}
}

static void
bursts(void **object, uint32_t n, size_t size, uint64_t count, bool shuffle)
{
	uint64_t i;
	uint32_t k;

	for (i = 0; i < count; i += n) {
		for (k = 0; k < n; k++)
			object[k] = GET(size);
		for (k = 0; k < n; k++)
			PUT(object[shuffle ? victim[k] : k]);
	}
}

/* Each of n once, in a random order. */
static void
permute(uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		victim[i] = i;
	for (i = n; i > 1; i--) {
		uint32_t k = draw(i), was = victim[i - 1];

		victim[i - 1] = victim[k];
		victim[k] = was;
	}
}

int
main(int argc, char **argv)
{
	uint64_t count = argc > 4 ? strtoull(argv[4], NULL, 0) : 0, i;
	uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 0;
	size_t size = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	const char *use = argc > 1 ? argv[1] : "";
	bool ring = strcmp(use, "ring") == 0, any = strcmp(use, "random") == 0;
	bool shuffle = strcmp(use, "shuffle") == 0;
	void **object;
	double began;

	if (count == 0 || n == 0 || n > DRAWN || size == 0 ||
	    !(ring || any || shuffle || strcmp(use, "burst") == 0)) {
		(void)fprintf(stderr,
		    "usage: mixed ring|random|burst|shuffle OBJECTS SIZE "
		    "COUNT\n");
		return (2);
	}
	setup(size);
	object = calloc(n, sizeof(*object));
	if (object == NULL)
		return (1);
	for (i = 0; i < DRAWN; i++) {
		size_of[i] = 1 + draw((uint32_t)size);
		victim[i] = draw(n);
	}
	if (shuffle)
		permute(n);
	for (i = 0; (ring || any) && i < n; i++)
		object[i] = GET(size_of[i]);
	began = now_ns();
	if (ring || any)
		replace(object, n, count, any);
	else
		bursts(object, n, size, count, shuffle);
	(void)printf("%.2f\n", (now_ns() - began) / (double)count);
	return (0);
}
