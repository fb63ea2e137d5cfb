/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab defects, what its files share: cli_defects.c has the corpus, the jobs
 * and the report, cli_defects_engine.c and cli_defects_explore.c the engines
 * that search, cli_defects_db.c the database.
 */
#ifndef KALAB_CLI_DEFECTS_H
#define KALAB_CLI_DEFECTS_H

#include "cli.h"

#include <limits.h>

#define AUDIT_EVERY "50" /* operations */

enum defect_state {
	DEFECT_WAITING,
	DEFECT_NOT_BUILT,
	DEFECT_NOT_FOUND,
	DEFECT_FOUND,
	DEFECT_INTERRUPTED
};

struct defect {
	char id[64], allocator[16], kind[16], needs[16], clauses[160];
	char path[PATH_MAX];
	char trace[PATH_MAX]; /* of the finding */
	/* What came of it. */
	enum defect_state state;
	char clause[16];
	uint64_t seed, executions, shrunk;
	double seconds;
	bool right;   /* a clause of its header */
	bool healthy; /* the finding's trace passes on the healthy library */
	char why[256];
};

struct defects {
	struct defect *defect; /* shared */
	uint64_t n, jobs, budget, first_seed;
	uint64_t *next; /* shared: to be taken by a job */
	const char *build, *source, *corpus, *engine;
	const char *fuzzing;  /* where the engine's programs were built */
	const char *database; /* NULL: none */
	char scratch[PATH_MAX];
	bool json, keep;
	char **names; /* NULL terminated; none: all */
};

/* Runs a program with what it says in a file, and more in its environment: words
 * "name=value", NULL terminated, or NULL. Its status, or -1. */
int defects_program(
    char *const argv[], char *const environment[], const char *out);
void defects_text(const char *name, char *buf, size_t size);
/* Builds a program with the defect into a directory. False: d says why. */
bool defects_build(const struct defects *, struct defect *, const char *build,
    const char *dir, const char *target);
/* "...: finding: clause X": the clause, or "died". False: it is no finding. */
bool defects_clause(struct defect *, const char *text);
/* A word among words. */
bool defects_has_word(const char *words, const char *word);

/* Searches with the fuzzing engine of c->engine: fills in what came of it and
 * leaves the finding's trace in the directory. */
void defects_engine(const struct defects *, struct defect *, const char *dir);

/* The same, with the explorer over the scenarios. */
void defects_explore(const struct defects *, struct defect *, const char *dir);

/* Adds what came of all to c->database. False, with a message: it cannot. */
bool defects_save(const struct defects *);

const char *defects_verdict(const struct defect *);

#endif
