/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to triage:
 *
 *   triage.c        the order of things, processes
 *   triage_work.c   what is done to one input, in a process of its own
 *   campaign_db.c   what is kept
 */
#ifndef KALAB_TRIAGE_INT_H
#define KALAB_TRIAGE_INT_H

#include "campaign_int.h"
#include "triage.h"

/* An input to be looked at. */
struct triage_item {
	int64_t finding;
	char target[40], file[24];
	char signature[160];	     /* confirmed; of the second pass */
	char program[CAMPAIGN_PATH]; /* that confirmed it; "": kalab */
	char kept[CAMPAIGN_PATH];    /* what an unfinished triage kept */
	struct triage_row row;	     /* its number; of that triage */
};

enum triage_done {
	TRIAGE_NOTHING, /* the process ended before it said anything */
	TRIAGE_SHOWN,
	TRIAGE_CLEAN,
	TRIAGE_CANNOT /* outcome.error says why */
};

/* Shared with the process that does the work. */
struct triage_outcome {
	enum triage_done done;
	uint64_t ops;
	char error[320];
	struct triage_row row; /* id, findings and trace are the parent's */
};

struct triage {
	const struct triage_options *options;
	struct campaign_db *db;
	int lock;
	double began, until; /* until 0: no limit */
	uint32_t failed;     /* items that could not be looked at */
};

/* Does the input still show something, and what? */
void triage_judge(
    const struct triage *, const struct triage_item *, struct triage_outcome *);
/* Makes it small and writes it to the file. seconds 0: as long as it takes. */
void triage_shrink(const struct triage *, const struct triage_item *,
    const char *kept, double seconds, struct triage_outcome *);

/* triage_bytes.c. The file `kept` gets what is left of the input `from`; not
 * complete: time ran out, or it was interrupted. False: errno. */
#define TRIAGE_PROGRAM_TIME 30u /* seconds of one run of a program */
bool triage_shrink_bytes(const struct triage *, const struct triage_item *,
    const char *from, const char *kept, double seconds, bool *ret_complete);

/* campaign_db.c. False after a message, all of them. */
/* Findings of which nobody has seen whether they come again. Ends early when
 * the function says false, and then says false. */
bool campaign_db_unjudged(struct campaign_db *,
    bool (*fn)(void *arg, const struct triage_item *), void *arg);
bool campaign_db_judged(struct campaign_db *, int64_t finding,
    const char *signature, const char *program, uint64_t ops);
/* Of each confirmed signature without a finished triage the least input. */
bool campaign_db_untriaged(struct campaign_db *,
    bool (*fn)(void *arg, const struct triage_item *), void *arg);
/* The number that the next row gets. */
bool campaign_db_triage_next(struct campaign_db *, int64_t *ret_id);
bool campaign_db_triaged(
    struct campaign_db *, int64_t finding, const struct triage_row *);
bool campaign_db_triage_list(struct campaign_db *,
    bool (*fn)(void *arg, const struct triage_row *), void *arg);
bool campaign_db_triage_counts(
    struct campaign_db *, uint64_t *ret_not_again, uint64_t *ret_left);

#endif
