/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Corpora: what the entries of directories reach, and the least of them that
 * reaches as much; see corpus.c.
 */
#ifndef KALAB_CORPUS_H
#define KALAB_CORPUS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuzz/fuzz_target.h"

enum corpus_form {
	CORPUS_TEXT,
	CORPUS_BINARY, /* a container; either may be packed */
	CORPUS_INPUT   /* of an engine: a bare payload */
};

enum corpus_end {
	CORPUS_CLEAN,
	CORPUS_FINDING, /* or it died, or hung: signature */
	CORPUS_FAILED	/* the harness could not */
};

struct corpus_entry {
	char *path;
	const char *name; /* in it */
	enum corpus_form form;
	enum corpus_end end;
	char signature[96];
	uint64_t bytes, ops, threads, hash;
	uint64_t group[TRACE_GROUP_COUNT]; /* operations of each */
	/* What it showed: hashes in order, with the kind in the low bits. */
	uint64_t *feature;
	size_t nfeatures;
	const struct corpus_entry *twin; /* an earlier one with its events */
	bool edges;			 /* an engine's merge keeps it */
	bool kept;
	size_t bound; /* scratch of corpus_minimize() */
};

struct corpus {
	struct corpus_entry *entry;
	size_t n, cap;
	/* Of all entries together; by kind. */
	uint64_t features, kind[FUZZ_SPECIES_COUNT];
	size_t findings, signatures, twins, kept;
};

struct corpus_options {
	uint32_t groups; /* of inputs: operations that the target runs */
	const volatile sig_atomic_t *stop;
	void (*progress)(void *arg, size_t done, size_t all);
	void *arg;
};

/* The trace of an entry. 0, or -1 after one line in `why`. */
int corpus_load(const struct corpus_entry *, uint32_t groups,
    struct trace *ret_t, char *why, size_t size);
/*
 * Reads and runs the files of a directory, by name, without those that begin
 * with "." or end in ".md". Each is run by a process of its own. 0, or -1 after
 * one line in `why`: a directory without entries, an entry that is no trace
 * (only names without an extension may be inputs of engines), or interrupted.
 */
int corpus_add(struct corpus *, const char *directory,
    const struct corpus_options *, char *why, size_t size);
/*
 * Asks libFuzzer's program of a target which entries its coverage of code
 * needs, and marks them: corpus_minimize() keeps them. 0, or -1 after one line
 * in `why`.
 */
int corpus_merge(
    struct corpus *, const char *exe, uint32_t groups, char *why, size_t size);
/* Counts, finds twins, and marks what is kept: of each signature the least
 * entry, and then, as often as there is one, the entry that shows most of what
 * is not shown yet. False: out of memory. */
bool corpus_minimize(struct corpus *);
void corpus_fini(struct corpus *);

/* A copy of a file, at once or not at all. False after errno. */
bool corpus_copy(const char *from, const char *to);

#endif
