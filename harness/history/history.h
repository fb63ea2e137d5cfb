/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interval checker: was what happened on real threads allowed?
 *
 * Nobody knows the order in which calls of several threads took effect. Known
 * is when each began and ended, by a clock that all threads share. So two
 * numbers are kept for each owner (a malloc type, cache, pipe or zone), at
 * each instant: what *certainly* was held, from the return of its allocation
 * to the beginning of its free; and what *possibly* was, from the beginning of
 * the one to the return of the other, calls that were refused included.
 * Whatever the order was, an allocation needs an instant of its call at which
 * certainly fewer than the maximum were held by others, and a refusal one at
 * which possibly the limit was reached by others. A history for which there is
 * no such instant was not allowed under any order; the reverse does not hold,
 * the checker may miss something, but it never accuses wrongly.
 *
 * It knows histories only, neither threads nor the library.
 */
#ifndef KALAB_HISTORY_H
#define KALAB_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_NO_LIMIT (UINT64_MAX / 4)
#define HISTORY_NOBODY	 UINT32_MAX

enum history_kind {
	HISTORY_LIFE,	 /* an object's: from the return of its allocation to
	                    the beginning of its free */
	HISTORY_TAKE,	 /* a call that allocated */
	HISTORY_REFUSED, /* one that did not */
	HISTORY_GIVE,	 /* one that freed */
	HISTORY_LIMIT,	 /* one that changed the limit */
	HISTORY_OTHER	 /* one that moves what is cached: reclaim, prealloc */
};

struct history_event {
	uint64_t from, to; /* instants, all different */
	enum history_kind kind;
	uint32_t owner;	      /* index; HISTORY_NOBODY: of a LIFE only */
	bool excused;	      /* REFUSED: for another reason than the limit */
	bool waits;	      /* the call waits at the limit: no refusal then */
	uint64_t units;	      /* TAKE, REFUSED, GIVE: how much of the limit */
	uint64_t addr, bytes; /* LIFE */
	uint64_t least, most; /* LIMIT: as in history_owner */
	uint64_t line;	      /* of the operation, for the finding */
	uint32_t thread;
	const char *name; /* of the operation */
};

/* Who gives out. */
struct history_owner {
	uint64_t least; /* so much can be held before a refusal is legal */
	uint64_t most;	/* never more than that is held */
	uint64_t slack; /* of least: what caches may keep from a caller */
	/* A refusal is legal as well while another call of the owner, or one
	 * that waits, or moves what is cached, is under way. */
	bool shy, shy_of_waiters, shy_of_others;
	bool refuses_freely; /* not judged */
	bool
	    hands; /* a call that is refused may have had some in hand (wgl.h) */
	const char *over;    /* clause: more than the most is held */
	const char *refused; /* clause: a refusal without a cause */
};

struct history_finding {
	char clause[12];
	char found[160];
	const struct history_event *event;
};

/* Events in any order. False: a finding. Aborts if memory runs out. */
bool history_check(const struct history_event *, size_t n,
    const struct history_owner *, size_t nowners,
    struct history_finding *ret_f);

#endif
