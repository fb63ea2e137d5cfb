/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Traces from nothing: a seed gives a trace, always the same one.
 *
 * Swarm: each seed draws its own weights, with some kinds of operations left
 * out altogether, its own mix of sizes and flags, page budget, faults, debug
 * options and schedule, so that a campaign of short runs meets corners that
 * one mixture would drown.
 */
#ifndef KALAB_GEN_H
#define KALAB_GEN_H

#include <stdint.h>

#include "trace/trace.h"

struct gen_options {
	uint64_t seed;
	uint32_t ops;
	uint32_t cpus, threads; /* 0: drawn */
	bool kmalloc_only;	/* and pages: no other allocator */
};

/* Initialises and fills *ret_t. 0 or ENOMEM. */
int gen_trace(const struct gen_options *, struct trace *ret_t);

/*
 * What a run draws its values from: mostly small ones, those at which something
 * changes, rarely others. Who changes traces draws from one as well.
 */
struct gen_mix {
	uint64_t rng;
	struct trace_header *header; /* of the trace that values are for */
	uint8_t size_mix[8]; /* which kinds of sizes the run draws from */
	uint32_t nsizes;
	uint32_t zero, nowait; /* of 16 allocations, so many with the flag */
	uint32_t misuse;       /* 1 of so many is misuse; 0: none */
	uint32_t live_target;  /* above it, allocations turn into frees */
	/* A few threads want more of one cache, pipe or zone than there is: its
	 * limit is met, and waited at, all the time. */
	bool tight;
	bool wide;    /* limits are of the size of what caches keep */
	bool large;   /* items of about a page: refusals of pages are met */
	bool starved; /* somebody else has most pages */
};

/* The header must outlive the mix. */
void gen_mix_draw(struct gen_mix *, uint64_t seed, struct trace_header *);
/* All arguments but registers and strings. */
void gen_values(struct gen_mix *, struct trace_op *);
/* CPUs and threads, drawn if they are 0, pages, reserves, what is kept, debug
 * options, schedule, memory. */
void gen_header(
    struct gen_mix *, struct trace_header *, uint32_t cpus, uint32_t threads);
void gen_fault(struct gen_mix *, struct trace_fault *);

/* How often an operation is drawn when the swarm leaves it in; 0: only where
 * the generator itself puts it. */
extern const uint8_t gen_weight[TRACE_OP_COUNT];

#endif
