/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A subject: who is tested. libkalloc under the simulation, libkalloc on real
 * threads, the malloc of the process, or a deliberately broken one, all behind
 * one table of functions. Adding an operation is one row in trace/ops.def and
 * one function in a subject's table of operations.
 */
#ifndef KALAB_SUBJECT_H
#define KALAB_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/call.h"

/* What a subject needs to know of the run. */
struct subject_config {
	uint32_t cpus, threads;
	uint64_t pages, reserve_system, reserve_interrupt;
	uint32_t slabs_keep, debug;
	/*
	 * The page layer's observable point, called under its lock. On an
	 * allocation before it is made: returns 0 to let it pass, 1 to make it
	 * fail, 2 to make it fail and say that waiting is of use only after
	 * pages were freed. observe_done tells what came of it.
	 */
	int (*page_try)(
	    void *arg, uint64_t npages, uint64_t align, uint32_t flags);
	void (*page_alloc)(void *arg, uint64_t addr, uint64_t npages,
	    uint64_t align, uint32_t flags, int injected);
	void (*page_free)(void *arg, uint64_t addr, uint64_t npages);
	/*
	 * The library called back. callback: what it is about is told; false:
	 * the callback is to fail, if it can. callback_done: with its result.
	 * nested: does a call within the running one, as the library itself
	 * does when it calls kmalloc.
	 */
	bool (*callback)(void *arg, struct callback *);
	void (*callback_done)(void *arg, struct callback *);
	void (*nested)(void *arg, struct call *);
	void *arg;
};

struct subject_type_stats {
	uint64_t calls, inuse, memuse, limit;
};

enum subject_caps {
	SUBJECT_PAGES = 1,   /* has a page layer: VM clauses apply */
	SUBJECT_STATS = 2,   /* keeps statistics: KM-5 */
	SUBJECT_MISUSE = 4,  /* detects misuse: G-3, KM-10, KM-16 */
	SUBJECT_AUDIT = 8,   /* has an audit of its structures */
	SUBJECT_SIM = 16,    /* honours the schedule points of the simulation */
	SUBJECT_MAP = 32,    /* can draw its slabs */
	SUBJECT_OWNERS = 64, /* has objcaches, mpipes and zones */
	SUBJECT_COMMITS =
	    128 /* tells of its commit points, and can be believed */
};

struct subject {
	const char *name, *about;
	unsigned caps;
	/* 0, or a positive errno. */
	int (*boot)(const struct subject_config *);
	/* Frees all, also what is held. Reports nothing. */
	void (*halt)(void);
	/* Does the call: fills ret and why. May sleep in the simulation. */
	void (*exec)(struct call *);
	/* Misuse: an address of the kind that was never allocated. */
	uint64_t (*wild)(enum trace_wild);
	/* Optional, by caps. Only at quiescence. */
	bool (*type_stats)(uint32_t type, struct subject_type_stats *ret_s);
	/* Of a cache, pipe or zone; false: there is none. */
	bool (*owner_stats)(
	    enum trace_class, uint32_t handle, struct owner_stats *ret_s);
	/* The extent of a boot zone's memory, taken for a call before it. */
	uint64_t (*static_memory)(const struct call *);
	uint64_t (*free_pages)(void);
	/* Runs of pages since boot: got, refused, given back. */
	void (*page_counts)(
	    uint64_t *ret_allocs, uint64_t *ret_failures, uint64_t *ret_frees);
	uint64_t (*arena)(void); /* address of the budget's first page */
	/* NULL: sound. Otherwise the id of the first broken invariant, and
	 * what was found, in a static buffer. */
	const char *(*audit)(const char **ret_found);
	/* Gives back all that is cached and destroys what the trace left
	 * over of types, so that only page runs are held (G-8). */
	void (*trim)(void);
	/* Ends the system as a program does, which it refuses while anything
	 * is in use: 0, or a positive errno. Each thing in use is told. */
	int (*leave)(void (*told)(void *arg, const char *name, uint64_t count,
			 uint64_t bytes),
	    void *arg);
	/* The name that a type, cache, pipe or zone was given. */
	const char *(*name_of)(enum trace_class, uint32_t handle);
	/* Draws the memory as text through put(). */
	void (*map)(void (*put)(void *arg, const char *line), void *arg);
	/* Prints statistics as the kernel's tools do: vmstat -m, vmstat -z. */
	void (*tables)(void (*put)(void *arg, const char *line), void *arg);
};

/* Where libkalloc's panics belong to: the running frame, if it is not the OS
 * thread's last. */
void subject_kalloc_set_thread(uint32_t (*fn)(void));

/* All subjects that this program has, NULL terminated. */
extern const struct subject *const subjects[];
const struct subject *subject_by_name(const char *);

#endif
