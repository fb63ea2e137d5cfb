/* SPDX-License-Identifier: BSD-2-Clause */
/* A target that ends in every way there is: fuzz/test/afl-ends. */
#include <stdlib.h>
#include <unistd.h>

#include "fuzz_target.h"

static volatile unsigned turns;

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
	default:
		turns++;
	}
}

const struct fuzz_target fuzz_target = { .name = "ends", .bytes = bytes };
