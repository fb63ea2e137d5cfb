/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mutants: a library in which one thing is wrong, and whether the laboratory
 * sees it.
 *
 * All mutants are compiled into one program (ci/mutate-build), whose library
 * looks at ka_mutant, the number of the one that is on. A *trial* is a child
 * process with one of them on, which does what the laboratory does, in stages,
 * cheapest first, until something is wrong: replays, sweeps, random traces, and
 * for what has to do with other threads, explorations. Everything is bounded
 * and from fixed seeds, so that a trial's verdict is the same every time, but
 * for mutants that do not end, which are stopped by a clock.
 */
#ifndef KALAB_MUTATE_H
#define KALAB_MUTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/trace.h"

struct mutate_mutant {
	uint32_t number, line;
	const char *file, *function, *operator, * key, *was, *becomes;
};

struct mutate_table {
	char *text; /* owned; the strings are in it */
	struct mutate_mutant *mutant;
	size_t n;
};

/* 0, or an errno; EINVAL: it is no such table. */
int mutate_table_read(struct mutate_table *ret_t, const char *path);
void mutate_table_fini(struct mutate_table *);

/* What the trials replay: traces that are kept in memory. */
struct mutate_corpus {
	struct trace *trace;
	size_t n, cap;
	size_t scenarios; /* the last so many of n */
};

/* Loads a trace; one of more operations than are of use is left out. */
int mutate_corpus_add(struct mutate_corpus *, const char *path, bool scenario,
    struct trace_error *ret_err);
void mutate_corpus_fini(struct mutate_corpus *);

enum mutate_by {
	MUTATE_SURVIVES,
	MUTATE_CLAUSE, /* a clause of the model */
	MUTATE_AUDIT,  /* the library's own audit */
	MUTATE_HANG,   /* livelock, or no end */
	MUTATE_DIED,   /* an assertion, a crash */
	MUTATE_UNIT,   /* a unit test of the library */
	MUTATE_BY_COUNT
};

enum mutate_stage {
	MUTATE_REPLAY,
	MUTATE_SWEEP,
	MUTATE_RANDOM,
	MUTATE_EXPLORE,
	MUTATE_UNITS,
	MUTATE_STAGE_COUNT
};

struct mutate_verdict {
	enum mutate_by by;
	enum mutate_stage stage; /* that saw it, or the last */
	bool met;		 /* what was mutated has been run */
	bool done;		 /* the trial has come to its end */
	bool tried;		 /* so have the unit tests: it is a verdict */
	char signature[96];	 /* or the signal, or the test */
};

const char *mutate_by_name(enum mutate_by);
const char *mutate_stage_name(enum mutate_stage);
/* Whose a source of the library is: "kmalloc", "zones", "common". */
const char *mutate_allocator(const char *file);

/* Are there mutants in this program? */
bool mutate_can(void);

/* A trial; ret_v is in memory that is shared with children. 0 or an errno. */
int mutate_trial(const struct mutate_corpus *, const struct mutate_mutant *,
    struct mutate_verdict *ret_v);

/* The unit tests of the mutant's allocator, in a directory, with the mutant on,
 * until one fails. */
void mutate_units(const char *dir, const struct mutate_mutant *,
    struct mutate_verdict *ret_v);

#endif
