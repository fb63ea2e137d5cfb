/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Canaries of the sanitizers and of Valgrind: for each a fault that it alone
 * can see. Built as the laboratory is, so that a build which has lost its
 * sanitizer, or its ability to fail, is seen; ci/canaries runs them and wants
 * the report of just that detector.
 *
 *   canary         a line for each: name, detector, what its report says
 *   canary NAME    does the fault; "survived" if nothing has ended it
 */
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the compiler cannot know. */
static void *(*volatile get)(size_t) = malloc;
static volatile size_t sixteen = 16;
static volatile int most = INT_MAX;
static volatile uintptr_t sink;
static int shared;

/* The block has room for it, in any malloc: no crash. */
static void
heap_overflow(void)
{
	volatile char *p = get(sixteen + 1);

	if (p == NULL)
		return;
	memset((void *)(uintptr_t)p, 0, 17);
	sink = (uintptr_t)p[sixteen + 1];
	free((void *)(uintptr_t)p);
}

static void
use_after_free(void)
{
	volatile char *p = get(sixteen);

	if (p == NULL)
		return;
	p[8] = 1;
	sink = (uintptr_t)p;
	free((void *)(uintptr_t)p);
	sink = (uintptr_t)((volatile char *)sink)[8];
}

static void
stack_overflow(void)
{
	volatile char buf[16], *p = buf;

	memset((void *)(uintptr_t)buf, 0, sizeof(buf));
	sink = (uintptr_t)p[sixteen] & 0;
}

static void
leak(void)
{
	volatile char *p = get(sixteen * 1000);

	if (p != NULL)
		p[0] = 1;
	sink = ~(uintptr_t)p & 1;
	p = NULL;
}

static void
overflow(void)
{
	sink = (uintptr_t)(most + (int)(sixteen / 16));
}

static void
misaligned(void)
{
	static char bytes[32];
	uint32_t *p = (uint32_t *)(void *)(bytes + sixteen + 1);

	sink = *p;
}

/* A branch on what was never written, of a block that was used before. */
static void
uninitialised(void)
{
	volatile char *p = get(sixteen);

	if (p == NULL)
		return;
	if (p[3] == 77)
		sink = 1;
	free((void *)(uintptr_t)p);
}

static void *
adds(void *arg)
{
	(void)arg;
	shared++;
	return (NULL);
}

/* Both are over before anybody looks: the sum is always right, nearly. */
static void
race(void)
{
	pthread_t one, other;

	if (pthread_create(&one, NULL, adds, NULL) != 0)
		return;
	if (pthread_create(&other, NULL, adds, NULL) == 0)
		(void)pthread_join(other, NULL);
	(void)pthread_join(one, NULL);
	sink = (uintptr_t)shared & 0;
}

static const struct canary {
	const char *name, *detector, *report;
	void (*fn)(void);
} canaries[] = {
	{ "heap-overflow", "address", "heap-buffer-overflow", heap_overflow },
	{ "use-after-free", "address", "heap-use-after-free", use_after_free },
	{ "stack-overflow", "address", "stack-buffer-overflow",
	    stack_overflow },
	{ "leak", "address", "LeakSanitizer: detected memory leaks", leak },
	{ "overflow", "undefined", "signed integer overflow", overflow },
	{ "misaligned", "undefined", "misaligned address", misaligned },
	{ "race", "thread", "ThreadSanitizer: data race", race },
	{ "uninitialised", "memory", "use-of-uninitialized-value",
	    uninitialised },
	{ "uninitialised", "valgrind",
	    "Conditional jump or move depends on uninitialised value",
	    uninitialised },
	{ "use-after-free", "valgrind", "Invalid read of size 1",
	    use_after_free },
	{ "leak", "valgrind", "definitely lost", leak },
};

int
main(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < sizeof(canaries) / sizeof(*canaries); i++) {
		const struct canary *c = &canaries[i];

		if (argc < 2) {
			(void)printf(
			    "%s\t%s\t%s\n", c->name, c->detector, c->report);
		} else if (strcmp(argv[1], c->name) == 0) {
			c->fn();
			(void)printf("survived\n");
			return (0);
		}
	}
	return (argc < 2 ? 0 : 2);
}
