/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Campaigns: fuzzing engines, started and supervised; see campaign.c.
 */
#ifndef KALAB_CAMPAIGN_H
#define KALAB_CAMPAIGN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define CAMPAIGN_TARGETS_MAX 8u
#define CAMPAIGN_JOBS_MAX    64u

enum campaign_engine {
	CAMPAIGN_LIBFUZZER,
	CAMPAIGN_AFL,
	CAMPAIGN_ENGINES
};

struct campaign_options {
	const char *directory;
	/* Of this machine: instances of AFL++ are called so, with a number. */
	const char *name;
	/* Directories of executables and seeds, separated by colons. */
	const char *bin;
	const char *target[CAMPAIGN_TARGETS_MAX]; /* names */
	uint32_t targets;
	bool engine[CAMPAIGN_ENGINES];
	uint32_t jobs;
	uint64_t seconds; /* 0: until it is stopped */
	bool quiet;	  /* no status line */
	const volatile sig_atomic_t *stop;
};

/*
 * Runs a campaign until it is stopped. 0: no finding in it, 1: some, 2: it
 * cannot be run, or goes on no longer; then one line on standard error says
 * why. *ret_ran: it ran, and what it found is recorded.
 */
int campaign_run(const struct campaign_options *, bool *ret_ran);

/* The verb that messages begin with; "fuzz" at first. */
extern const char *campaign_verb;

/* The file in one of the directories, which colons separate; "" if there is
 * none. */
void campaign_find(const char *bin, const char *name, char path[1024]);

/* The groups of operations that a target runs, as its replay driver in one of
 * the directories says; 0: none, or there is no such program. */
uint32_t campaign_groups(const char *bin, const char *target);

/* "libfuzzer", "afl". */
const char *campaign_engine_name(enum campaign_engine);

#endif
