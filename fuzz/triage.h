/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Triage: of what a campaign found, each thing once, small, and with what is
 * known of it; see triage.c.
 */
#ifndef KALAB_TRIAGE_H
#define KALAB_TRIAGE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRIAGE_JOBS_MAX	   64u
#define TRIAGE_REPLAYS_MAX 1000u
#define TRIAGE_REPLAYS	   5u

struct triage_options {
	const char *directory; /* of the campaign */
	/* Traces that are put into the campaign first. */
	char *const *file;
	uint32_t files;
	bool make; /* the directory is made if it is not there */
	/* Directories of the targets' programs, separated by colons. */
	const char *bin;
	uint32_t jobs;	  /* processes */
	uint32_t replays; /* 0: TRIAGE_REPLAYS */
	double seconds;	  /* in all, 0: no limit */
	bool quiet;	  /* no progress line */
	const char *log;  /* as of struct shrink_options */
	const volatile sig_atomic_t *stop;
};

/* A finding that went through triage. Strings are the row's own. */
struct triage_row {
	int64_t id;	   /* what people name it by */
	uint64_t findings; /* inputs that show it */
	char signature[160];
	char target[40], clause[12], operation[32];
	char expected[192], found[192], source[96];
	char program[1024]; /* the only one that shows it; "": kalab does */
	char trace[1100];   /* what is kept: a path */
	char input[1100];   /* what it was made of: a path */
	uint64_t line;	    /* in that file; 0: the end of the run */
	uint32_t thread;
	uint64_t ops_before, ops_after;
	/* Replays of the input as it was found, and of what is kept. */
	uint32_t replays, shown_first, shown;
	double seconds;
	bool complete; /* it is as small as it gets */
};

struct triage_list {
	struct triage_row *row;
	size_t n;
	uint64_t not_again; /* inputs that showed nothing any more */
	uint64_t left;	    /* that could not be looked at yet */
};

/*
 * Confirms, deduplicates and shrinks what is new, and lists all that is known,
 * by number. 0, or 2 after one line on standard error; what was done until
 * then is kept. The list is to be given back by triage_list_fini(). Forks: the
 * caller has one thread, and has done no run in this process.
 */
int triage_run(const struct triage_options *, struct triage_list *ret_l);
/* Lists what is known and does nothing. 0 or 2, as above. */
int triage_list(const char *directory, struct triage_list *ret_l);
void triage_list_fini(struct triage_list *);

#endif
