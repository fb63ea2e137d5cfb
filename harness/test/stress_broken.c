/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does kalab-stress see anything? Each case is a subject that is libkalloc but
 * for one thing, which it does wrong now and then, and the clause that must be
 * reported. A run is a process of its own, since a finding ends it.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kalloc/flags.h>
#include <kalloc/kmalloc.h>

#include "stress/stress.h"

extern const struct subject subject_kalloc;

static _Atomic uint64_t calls;
static _Atomic uint64_t last;

static bool
now_and_then(uint64_t n)
{
	return (atomic_fetch_add(&calls, 1) % n == n - 1);
}

/* A buffer of the guaranteed ones is refused. */
static void
refuses_guarantee(struct call *c)
{
	if (c->code == TRACE_OP_MPIPE_ALLOC_NOWAIT && now_and_then(3))
		return;
	subject_kalloc.exec(c);
}

/* An object of a cache that is far from its limit is refused. */
static void
refuses_object(struct call *c)
{
	if (c->code == TRACE_OP_OBJCACHE_GET && now_and_then(3))
		return;
	subject_kalloc.exec(c);
}

/* A zone is told another maximum. */
static void
raises_maximum(struct call *c)
{
	struct call other = *c;

	if (c->code != TRACE_OP_UMA_ZONE_SET_MAX || c->n[0] <= 0) {
		subject_kalloc.exec(c);
		return;
	}
	other.n[0] += 64;
	subject_kalloc.exec(&other);
	c->ret = (uint64_t)c->n[0];
	c->why = other.why;
}

/* An object is given out that somebody has. */
static void
gives_twice(struct call *c)
{
	uint64_t other;

	subject_kalloc.exec(c);
	if (c->code != TRACE_OP_KMALLOC || c->ret == 0)
		return;
	/* It may have ended meanwhile: then it is no object at all. */
	other = atomic_exchange(&last, c->ret);
	if (other != 0 && now_and_then(2) &&
	    kmalloc_usable_size((void *)other) ==
		kmalloc_usable_size((void *)c->ret))
		c->ret = other;
}

/* A byte of a free object changes. */
static void
writes_free(struct call *c)
{
	if (c->code == TRACE_OP_OBJCACHE_PUT && now_and_then(2))
		((char *)c->addr)[8] ^= 1;
	subject_kalloc.exec(c);
}

static void
forgets_zero(struct call *c)
{
	subject_kalloc.exec(c);
	if (c->code == TRACE_OP_UMA_ZALLOC && (c->flags & M_ZERO) != 0 &&
	    c->ret != 0)
		*(char *)c->ret = 1;
}

static void
accuses(struct call *c)
{
	subject_kalloc.exec(c);
	if (c->code == TRACE_OP_ZFREE && now_and_then(10))
		c->why = KA_WHY_DOUBLE_FREE;
}

static bool
counts_wrong(enum trace_class class, uint32_t handle, struct owner_stats *ret_s)
{
	bool there = subject_kalloc.owner_stats(class, handle, ret_s);

	if (there && class == TRACE_PIPE)
		ret_s->used++;
	return (there);
}

static bool
loses_quota(enum trace_class class, uint32_t handle, struct owner_stats *ret_s)
{
	bool there = subject_kalloc.owner_stats(class, handle, ret_s);

	if (there && class == TRACE_CACHE && ret_s->limit != 0)
		ret_s->quota--;
	return (there);
}

static const struct broken {
	const char *name, *clause, *trace;
	void (*exec)(struct call *);
	bool (*owner_stats)(
	    enum trace_class, uint32_t handle, struct owner_stats *);
} cases[] = {
	{ "refuses-guarantee", "MP-1", "mp-nominal.trace", refuses_guarantee,
	    NULL },
	{ "refuses-object", "OC-6", "oc-life.trace", refuses_object, NULL },
	{ "raises-maximum", "ZN-5", "zn-maximum.trace", raises_maximum, NULL },
	{ "gives-twice", "G-2", "km-remote-frees.trace", gives_twice, NULL },
	{ "writes-free", "OC-4", "oc-life.trace", writes_free, NULL },
	{ "forgets-zero", "ZN-9", "zn-life.trace", forgets_zero, NULL },
	{ "accuses", "G-3", "zn-boot.trace", accuses, NULL },
	{ "counts-wrong", "G-7", "all-together.trace", NULL, counts_wrong },
	{ "loses-quota", "OC-7", "oc-limit.trace", NULL, loses_quota },
};

/* In a process of its own: what it prints. */
static int
run(const struct broken *b, const char *trace, char *text, size_t size)
{
	char name[] = "kalab-stress", runs[] = "--runs", ten[] = "10";
	char *argv[] = { name, runs, ten, NULL, NULL };
	struct subject s = subject_kalloc;
	int to[2], status = 0;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(to) != 0)
		return (-1);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)dup2(to[1], 1);
		argv[3] = (char *)(uintptr_t)trace;
		if (b->exec != NULL)
			s.exec = b->exec;
		if (b->owner_stats != NULL)
			s.owner_stats = b->owner_stats;
		status = stress_main(&s, 4, argv);
		(void)fflush(stdout);
		_exit(status);
	}
	(void)close(to[1]);
	while (used + 1 < size &&
	    (n = read(to[0], text + used, size - used - 1)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	(void)close(to[0]);
	(void)waitpid(pid, &status, 0);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

int
main(void)
{
	const char *top = getenv("KALAB_SOURCE_ROOT");
	char trace[512], text[4096], line[64];
	unsigned i, bad = 0;
	int status;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(trace, sizeof(trace), "%s/corpus/seeds/%s",
		    top == NULL ? "." : top, cases[i].trace);
		(void)snprintf(
		    line, sizeof(line), "clause %s is broken", cases[i].clause);
		status = run(&cases[i], trace, text, sizeof(text));
		if (status == 1 && strstr(text, line) != NULL) {
			(void)printf("%s: %s\n", cases[i].name, line);
			continue;
		}
		(void)printf("%s: expected %s, found, status %d:\n%s\n",
		    cases[i].name, line, status, text);
		bad++;
	}
	return (bad == 0 ? 0 : 1);
}
