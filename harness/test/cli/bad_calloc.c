/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A broken malloc for LD_PRELOAD: calloc() of one object of 4242 bytes is not
 * zero, nor, with BAD_CALLOC_ODD in the environment, is one of an odd size
 * from 1001. Nothing but a trace asks for these.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool
is_bad(size_t size)
{
	if (size == 4242)
		return (true);
	return (size % 2 == 1 && size > 1000 &&
	    getenv("BAD_CALLOC_ODD") != NULL);
}

__attribute__((visibility("default"))) void *
calloc(size_t n, size_t size)
{
	void *volatile p;

	if (size != 0 && n > SIZE_MAX / size)
		return (NULL);
	p = malloc(n * size);
	if (p != NULL)
		memset(p, n == 1 && is_bad(size) ? 0x5a : 0, n * size);
	return (p);
}
