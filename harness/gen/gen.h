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

#endif
