/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fibers: stacks that a thread switches between, known to the sanitizers and
 * to Valgrind. Stacks have a guard page and are used again.
 */
#ifndef KALAB_FIBER_H
#define KALAB_FIBER_H

#include <stddef.h>

struct fiber;

/* The fiber of the caller itself; one for a thread. NULL: no memory. */
struct fiber *fiber_main(void);
/* A fiber that will call fn(arg) at the first switch to it; fn never returns.
 * NULL: no memory. */
struct fiber *fiber_create(void (*fn)(void *), void *arg);
/* Abandons whatever the fiber was doing: it begins anew. */
void fiber_restart(struct fiber *, void (*fn)(void *), void *arg);
/* Calls fn(arg) as if the fiber did, for ThreadSanitizer. */
void fiber_visit(
    struct fiber *from, struct fiber *to, void (*fn)(void *), void *arg);
void fiber_switch(struct fiber *from, struct fiber *to);

#endif
