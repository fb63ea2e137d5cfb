/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A broken malloc for LD_PRELOAD: calloc() of one object of 4242 bytes is not
 * zero, nor, with BAD_CALLOC_ODD in the environment, is one of an odd size
 * from 1001. Nothing but a trace asks for these. With BAD_CALLOC_ONCE in the
 * environment the first object of an odd size is refused, and no other.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void *__libc_calloc(size_t, size_t); /* glibc's own */

static bool
is_bad(size_t size)
{
	if (size == 4242)
		return (true);
	return (
	    size % 2 == 1 && size > 1000 && getenv("BAD_CALLOC_ODD") != NULL);
}

static bool
is_refused(size_t size)
{
	static bool once;

	if (once || size % 2 == 0 || getenv("BAD_CALLOC_ONCE") == NULL)
		return (false);
	once = true;
	return (true);
}

__attribute__((visibility("default"))) void *
calloc(size_t n, size_t size)
{
	void *p;

	if (n == 1 && is_refused(size))
		return (NULL);
	p = __libc_calloc(n, size);
	if (p != NULL && n == 1 && is_bad(size))
		memset(p, 0x5a, size);
	return (p);
}
