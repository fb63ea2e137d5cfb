/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MALLOC_DEFINE is what kernel code has: in C and in C++, seen by others or
 * static, with a declaration before it or after it.
 */
#include <string.h>

#include <kalloc/kmalloc.h>

MALLOC_DECLARE(M_SEEN);
MALLOC_DEFINE(M_SEEN, "seen", "a type that others see");
MALLOC_DECLARE(M_SEEN);
static MALLOC_DEFINE(M_OWN, "own", "a type of this file");

static void
count_line(void *arg, const char *line)
{
	if (strstr(line, "seen") != NULL || strstr(line, "own") != NULL)
		++*(int *)arg;
}

int
main(void)
{
	struct kalloc_config config;
	void *seen, *own;
	int lines = 0;

	memset(&config, 0, sizeof(config));
	if (kalloc_boot(&config) != 0)
		return (1);
	seen = kmalloc(100, M_SEEN, M_WAITOK);
	own = kmalloc(100, M_OWN, M_WAITOK | M_ZERO);
	kmalloc_vmstat(count_line, &lines);
	kfree(seen, M_SEEN);
	kfree(own, M_OWN);
	if (kalloc_halt(false, NULL, NULL) != 0)
		return (2);
	return (lines == 2 ? 0 : 3);
}
