/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strategies that search in order: every schedule of a kind, one after the
 * other, none twice.
 *
 * A search is a depth-first walk over the tree of answers. The path is what was
 * answered in the execution before; the next one repeats it up to the last
 * question that has another answer left, gives that, and the default from there
 * on. A *bounded* search leaves out paths of more than so many deviations; an
 * *exhaustive* one has no bound, and ends an execution where it comes to what
 * an earlier one went on from (sim_hash()). What is known beforehand need not
 * be asked: in a bounded search the answers are the default up to the next
 * deviation of the path, and after the last that the bound allows.
 *
 * Searches divide: of n, the i-th takes the paths whose first deviation is at a
 * question that is i modulo n. Each of them has the path without one.
 */
#ifndef KALAB_SEARCH_H
#define KALAB_SEARCH_H

#include <stdio.h>

#include "sim/sim.h"

struct search_node {
	uint16_t n, chosen;
};

struct search {
	struct sim_strategy base;
	bool exhaustive;
	uint32_t bound;	      /* deviations at most */
	uint32_t jobs, index; /* how many searches, and which this is */
	/* The path: answered before, and how much of it is to be repeated. */
	struct search_node *node;
	uint32_t n, cap, repeat;
	uint32_t at;	     /* of this execution */
	uint32_t deviations; /* of this execution so far */
	uint32_t length;     /* the most questions that were put */
	bool strayed;	     /* see search_strayed() */
	uint64_t place;	     /* exhaustive: of the last question */
	/* Hashes of what was gone on from. */
	uint64_t *seen;
	uint64_t nseen, seen_cap;
};

/* 0 or ENOMEM. search_fini may be called on zeroes. */
int search_init(struct search *, bool exhaustive, uint32_t bound, uint32_t jobs,
    uint32_t index);
void search_fini(struct search *);
/* Before each execution. */
void search_begin(struct search *);
/* After one that came to its end: did other questions come than before? */
bool search_strayed(const struct search *);
/* After each: is there another path? */
bool search_next(struct search *);
/* About which part of the paths is done, 0 to 1. */
double search_done(const struct search *);

/* What a search knows, to go on later. False: the file says no more, or
 * something else. */
bool search_save(const struct search *, FILE *);
bool search_load(struct search *, FILE *);

#endif
