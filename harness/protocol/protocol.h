/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protocols: the few lines that an allocator's correctness under concurrency
 * hangs on, each on its own, as worlds to explore: those of the originals that
 * are broken, and each mended.
 *
 * A protocol is a few threads that each do one thing, written against the port
 * as the library is, and a check of what is left when nobody can go on.
 */
#ifndef KALAB_PROTOCOL_H
#define KALAB_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "explore/explore.h"

#define PROTOCOL_THREADS_MAX 4u

struct protocol {
	const char *name;
	const char *about;	  /* what it is, in a line */
	const char *source;	  /* where it is from */
	const char *clause;	  /* that it breaks, or keeps */
	bool holds;		  /* it does */
	enum trace_memory memory; /* the strongest in which it breaks */
	uint32_t may;		  /* what else must be chosen: TRACE_MAY_ */
	uint32_t deviations;	  /* the fewest that break it */
	uint32_t threads, cpus;
	void (*setup)(bool mended);
	void (*body[PROTOCOL_THREADS_MAX])(void);
	/* Nobody can go on: is it right? NULL, or what is wrong. Asleep is a
	 * set of threads. */
	const char *(*check)(uint32_t asleep);
};

extern const struct protocol protocols[];
extern const uint32_t protocols_count;
const struct protocol *protocol_by_name(const char *); /* or NULL */

/* For bodies: something is wrong already. */
void protocol_fail(const char *what);
/* The CPU that the running thread is on, as a kernel's curcpu. */
uint32_t protocol_cpu(void);

struct protocol_world {
	struct explore_world world;
	const struct protocol *protocol;
	struct trace_deviation *recorded;
	struct sim_deviation *obeyed;
};
void protocol_world(struct protocol_world *, const struct protocol *);
void protocol_world_fini(struct protocol_world *);

#endif
