/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to the campaign driver:
 *
 *   campaign.c           the loop: slots, time, status
 *   campaign_engine.c    processes: start, probe, stop, orphans; their figures
 *   campaign_files.c     corpora and findings, as files
 *   campaign_estimate.c  the chance that the next execution shows news
 *   campaign_db.c        the database; all SQL is there
 */
#ifndef KALAB_CAMPAIGN_INT_H
#define KALAB_CAMPAIGN_INT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "campaign.h"
#include "fuzz_shared.h"

#define CAMPAIGN_PATH	   1024u
#define CAMPAIGN_NAME	   24u	 /* letters of a machine's name, at most */
#define CAMPAIGN_INPUT_MAX 1024u /* bytes of an input that engines make */

/* A target of the campaign, and its directory. */
struct campaign_target {
	const char *name;
	char exe[CAMPAIGN_ENGINES][CAMPAIGN_PATH]; /* "": none */
	char mutator[CAMPAIGN_PATH];		   /* of AFL++; "": none */
	char groups[16]; /* of operations, for the mutator */
	char directory[CAMPAIGN_PATH];
	struct fuzz_shared *shared;
	struct timespec corpus; /* when it changed last, if all is noticed */
};

/* A job: a process of an engine on a target, again and again. */
struct campaign_slot {
	struct campaign_target *target;
	enum campaign_engine engine;
	uint32_t index;
	pid_t pid;   /* 0: none */
	int64_t row; /* in the database */
	double started;
	uint32_t failures; /* in a row: ended at once, and with no finding */
	uint64_t edges, features, corpus; /* last figures */
	bool dead;
};

struct campaign_db;

struct campaign {
	const struct campaign_options *options;
	struct campaign_target target[CAMPAIGN_TARGETS_MAX];
	struct campaign_slot slot[CAMPAIGN_JOBS_MAX];
	uint32_t slots, combination; /* next one of target and engine */
	struct campaign_db *db;
	int lock;
	double began, slice;
	uint64_t executions_before; /* of earlier runs of the campaign */
	uint64_t findings, signatures, entries;
};

/* One line to standard error; returns 2. */
int campaign_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
double campaign_now(void); /* seconds, monotonic */
/* Puts a path together. False, and a message, if it is too long. */
bool campaign_path(char path[CAMPAIGN_PATH], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* campaign_estimate.c: the estimate by Good and Turing, of n executions in
 * which f1 species were seen once and f2 twice, and its 95 % interval. */
struct campaign_estimate {
	double chance, low, high;
};
struct campaign_estimate campaign_estimate(
    uint64_t n, uint64_t f1, uint64_t f2);

/* campaign_engine.c */
/* Runs it with one argument or two (NULL: none); its output in buf. The status
 * of waitpid(2), or -1. seconds: it is killed then, and the status is
 * SIGKILL's. */
int campaign_run_quietly(const char *exe, const char *first, const char *second,
    unsigned seconds, char *buf, size_t size);
/* Finds executables; runs each once. False after a message. */
bool campaign_engines_find(struct campaign *);
/* Ends what an earlier run of this campaign left running. */
void campaign_orphans_end(struct campaign *);
bool campaign_engine_start(struct campaign *, struct campaign_slot *);
/* Notices that it ended. True: it did. */
bool campaign_engine_ended(
    struct campaign *, struct campaign_slot *, int *ret_status);
void campaign_engines_stop(struct campaign *);
void campaign_engine_figures(struct campaign_slot *);
/* The last line of what the slot's process said. */
void campaign_engine_last_words(
    const struct campaign_slot *, char *buf, size_t size);
/*
 * Runs an executable on one input: the signature of what it finds. False: the
 * input is clean. seconds is how long it may take.
 */
bool campaign_engine_judge(
    const char *exe, const char *input, unsigned seconds, char signature[160]);

/* campaign_files.c */
/* A file of elsewhere goes into the directory, at once or not at all, under
 * the hash of its contents. */
bool campaign_adopt(const char *path, const char *directory, char hash[17]);
bool campaign_make_directory(const char *name);
bool campaign_directories(struct campaign *);
/* Takes notice of new corpus entries, feeds AFL++'s to libFuzzer; of new
 * findings, which are judged, recorded and told. False: the disk is full or
 * the like; a message was printed. */
bool campaign_sweep(struct campaign *);

/* campaign_db.c. False after a message, all of them. */
/* An old database is brought up to date. make: one that is not there is made. */
bool campaign_db_open(struct campaign_db **ret_db, const char *file, bool make);
void campaign_db_close(struct campaign_db *);
bool campaign_db_begin(struct campaign_db *);
bool campaign_db_commit(struct campaign_db *);
bool campaign_db_run_began(struct campaign_db *, const char *what);
bool campaign_db_run_ended(struct campaign_db *, int status);
bool campaign_db_engine_began(struct campaign_db *,
    const struct campaign_slot *, uint64_t ticks, int64_t *ret_row);
bool campaign_db_engine_ended(struct campaign_db *, int64_t row, int status);
/* Those that have not ended. */
bool campaign_db_orphans(struct campaign_db *,
    void (*fn)(void *arg, int64_t row, pid_t pid, uint64_t ticks), void *arg);
/* *ret_new: it was not known. */
bool campaign_db_entry(struct campaign_db *, const char *target,
    const char *name, uint64_t size, const char *engine, bool *ret_new);
bool campaign_db_finding(struct campaign_db *, const char *target,
    const char *engine, const char *file, const char *signature,
    bool *ret_first);
/* Whether the finding of the file is known. */
bool campaign_db_finding_known(struct campaign_db *, const char *target,
    const char *file, bool *ret_known);
bool campaign_db_counts(struct campaign_db *, uint64_t *ret_entries,
    uint64_t *ret_findings, uint64_t *ret_signatures);
bool campaign_db_progress(struct campaign_db *, const struct campaign_target *,
    uint64_t edges, uint64_t features);

#endif
