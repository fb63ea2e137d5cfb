/* SPDX-License-Identifier: BSD-2-Clause */
/* A target that ends in every way there is: fuzz/test/afl-ends, afl-late. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_target.h"

static volatile unsigned turns;

static void
spin(long ns)
{
	struct timespec a, b;

	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	do
		(void)clock_gettime(CLOCK_MONOTONIC, &b);
	while (
	    (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec < ns);
}

static void
bytes(const uint8_t *data, size_t size)
{
	switch (size == 0 ? 0 : data[0]) {
	case 'c':
		abort();
	case 'h':
		for (;;)
			turns++;
	case 'x':
		_exit(3);
	case 's': /* so many microseconds */
		spin(size < 3 ? 0 : (data[1] * 256 + data[2]) * 1000L);
		break;
	default:
		turns++;
	}
}

const struct fuzz_target fuzz_target = { .name = "ends", .bytes = bytes };
