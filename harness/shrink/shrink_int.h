/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to harness/shrink/.
 *
 *   shrink.c           the order of the steps, what is kept
 *   shrink_server.c    candidates in a child process
 *   shrink_ops.c       fewer operations
 *   shrink_args.c      smaller arguments
 *   shrink_config.c    a smaller header, fewer threads and faults
 *   shrink_pin.c       the schedule as deviations, and once more
 *   shrink_schedule.c  the schedule; variants of a candidate
 *   shrink_write.c     the result as people read it
 *
 * A step looks at s->best, builds candidates in s->op, and calls
 * shrink__try(), which replaces s->best by a candidate that fails with the
 * signature. A step returns when none of its candidates does.
 */
#ifndef KALAB_SHRINK_INT_H
#define KALAB_SHRINK_INT_H

#include <stdio.h>
#include <sys/types.h>

#include "shrink/shrink.h"

#define SHRINK__VARIANTS_MAX 64u

/* What a variant has of its own. */
struct shrink__variant {
	enum trace_sched_mode sched;
	uint64_t seed;
	uint64_t k[TRACE_FAULTS_MAX]; /* of faults with a number */
};

/* Shared with the child. */
struct shrink__shared {
	struct trace_header header; /* strings are those of the fork */
	struct shrink__variant variant[SHRINK__VARIANTS_MAX];
	uint32_t nvariants, first; /* those from first on are to be run */
	uint32_t at;		   /* the one that runs, or that showed it */
	size_t nops;
	char signature[96]; /* wanted; empty: any */
	struct shrink_verdict verdict;
	/* Then deviations, then operations: offsets into bytes. */
	size_t deviations_at, ops_at;
	_Alignas(16) unsigned char bytes[];
};

struct shrink__server {
	const struct shrink_options *options;
	const struct trace *trace; /* whose strings the child has */
	struct shrink__shared *shared;
	size_t shared_size;
	int to, from; /* pipes; -1: no child */
	pid_t pid;
	FILE *talk; /* what a child says on standard error */
	bool cold;  /* a child for every candidate */
	bool told;  /* verdicts tell of the source */
	uint64_t runs, deaths;
	double hang;
};

/* 0 or a positive errno. The trace must outlive it, and get no strings. */
int shrink__server_open(struct shrink__server *, const struct shrink_options *,
    const struct trace *);
void shrink__server_close(struct shrink__server *);
/* The next request has a new child. */
void shrink__server_renew(struct shrink__server *);
/*
 * Runs variants of a candidate until one shows the signature (NULL: any
 * failure). True: *ret_v is what it showed, *ret_variant which one.
 */
bool shrink__server_run(struct shrink__server *, const struct trace_header *,
    const struct trace_op *, size_t nops, const struct shrink__variant *,
    uint32_t nvariants, const char *signature, struct shrink_verdict *ret_v,
    uint32_t *ret_variant);

struct shrink {
	const struct shrink_options *options;
	struct shrink_result *result;
	struct trace best;
	struct shrink_verdict verdict; /* of best */
	struct shrink__server server, cold;
	char signature[96];
	const char *doing;
	double began, told;
	bool stopped;
	bool unsettled; /* what is smaller fails, but not as it is written */
	/* Room for a candidate: as many operations as best had at first. */
	struct trace_op *op;
	struct trace_deviation *deviation;
	int32_t (*dep)[TRACE_ARGS_MAX]; /* shrink__deps() */
	int32_t *defined; /* its scratch: per class, per register */
	size_t nops_max;
	uint8_t *drop;
	uint32_t short_str; /* index of a short string, or UINT32_MAX */
	/* Hashes of candidates that did not show it. */
	uint64_t *failed;
};

/* False once time is over or the user said stop. */
bool shrink__goes_on(struct shrink *);
/* Does the candidate show the signature? Then it is s->best. */
bool shrink__try(struct shrink *, const struct trace_header *,
    const struct trace_op *, size_t nops);
/* The same for exactly this header, if it also has fewer switches. */
bool shrink__try_calmer(struct shrink *, const struct trace_header *);
double shrink__now(void);

/*
 * s->dep[i][a]: which operation of s->best defined what argument a of
 * operation i names, or -1.
 */
void shrink__deps(struct shrink *);
/* Tries s->best without what s->drop marks, and without what names a register
 * of it. */
bool shrink__try_drop(struct shrink *);

/* Each returns whether anything became smaller. */
bool shrink__ops_coarse(struct shrink *);
bool shrink__ops_fine(struct shrink *);
bool shrink__args(struct shrink *);
bool shrink__config(struct shrink *);
bool shrink__threads(struct shrink *);
bool shrink__schedule(struct shrink *);

/* The variants of a candidate; how many. */
uint32_t shrink__variants(const struct trace_header *, size_t nops,
    struct shrink__variant ret_v[SHRINK__VARIANTS_MAX]);
void shrink__variant_apply(
    const struct shrink__variant *, struct trace_header *);
void shrink__variant_of(const struct trace_header *, struct shrink__variant *);

#endif
