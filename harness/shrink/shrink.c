/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of the steps; see shrink.h.
 *
 * First the trace as it is: it must fail, and its signature is what is kept.
 * Then rounds, from the coarse to the fine, until a round takes nothing away.
 * Each step only ever replaces the best trace by one that was seen to fail
 * with the signature, so that to stop at any time leaves a valid result.
 *
 * A candidate that fails is run again by a *cold* child, one that has run
 * nothing before: memory that an earlier run left behind must not make a
 * failure. Most candidates do not fail, and cost one run in a warm child.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shrink_int.h"

#define FAILED_MAX (1u << 16) /* candidates that are remembered */
#define ROUNDS_MAX 20u	      /* each is to take something away */
#define TELL_EVERY 0.1	      /* seconds */

bool
shrink__goes_on(struct shrink *s)
{
	const struct shrink_options *o = s->options;
	const double now = shrink__now();

	if (o->progress != NULL && now - s->told > TELL_EVERY) {
		struct shrink_progress p = { .ops_before =
						 s->result->ops_before,
			.ops_now = s->best.nops,
			.runs = s->server.runs,
			.doing = s->doing };

		s->told = now;
		o->progress(o->arg, &p);
	}
	if ((o->stop != NULL && *o->stop) ||
	    (o->seconds > 0 && now - s->began > o->seconds))
		s->stopped = true;
	return (!s->stopped);
}

/* ---- Candidates that were tried ---------------------------------------- */

static uint64_t
mix(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *p = bytes;
	size_t i;

	for (i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return (hash ^ hash >> 29);
}

/* Of what makes a run: not of the lines that operations stood in. */
static uint64_t
hash_of(const struct trace_header *h, const struct trace_op *op, size_t nops)
{
	uint32_t numbers[] = { h->cpus, h->threads, h->pages, h->reserve_system,
		h->reserve_interrupt, h->slabs_keep, h->debug, h->sched,
		h->sticky, h->nfaults, h->ndeviations, h->memory, h->may };
	uint64_t hash =
	    mix(UINT64_C(0xcbf29ce484222325), numbers, sizeof(numbers));
	size_t i;

	hash = mix(hash, &h->sched_seed, sizeof(h->sched_seed));
	hash = mix(hash, h->thread_cpu, sizeof(h->thread_cpu));
	for (i = 0; i < h->nfaults; i++) {
		const struct trace_fault *f = &h->fault[i];
		uint64_t fault[] = { f->mode, f->k, f->num, f->den, f->seed };

		hash = mix(hash, fault, sizeof(fault));
	}
	if (h->ndeviations != 0)
		hash = mix(
		    hash, h->deviation, h->ndeviations * sizeof(*h->deviation));
	for (i = 0; i < nops; i++) {
		uint32_t words[] = { op[i].code, op[i].thread, op[i].out };

		hash = mix(hash, words, sizeof(words));
		hash = mix(hash, op[i].arg, sizeof(op[i].arg));
	}
	return (hash != 0 ? hash : 1);
}

/* ---- The best ---------------------------------------------------------- */

static void
keep(struct shrink *s, const struct trace_header *h, const struct trace_op *op,
    size_t nops)
{
	struct trace_header *b = &s->best.header;
	struct trace_deviation *room = b->deviation;
	char **str = b->str;
	const uint32_t nstrs = b->nstrs, cap = b->strs_cap;

	if (h->ndeviations != 0 && h->deviation != room)
		memcpy(room, h->deviation, h->ndeviations * sizeof(*room));
	*b = *h;
	b->deviation = room;
	b->str = str;
	b->nstrs = nstrs;
	b->strs_cap = cap;
	if (op != s->best.op)
		memcpy(s->best.op, op, nops * sizeof(*op));
	s->best.nops = nops;
}

/* Does it fail of its own, in a child that has run nothing before? */
static bool
confirm(struct shrink *s, const struct trace_header *h,
    const struct trace_op *op, size_t nops, const char *signature,
    struct shrink_verdict *ret_v)
{
	struct shrink__variant v;
	uint32_t which;

	shrink__variant_of(h, &v);
	return (shrink__server_run(
	    &s->cold, h, op, nops, &v, 1, signature, ret_v, &which));
}

bool
shrink__try(struct shrink *s, const struct trace_header *h,
    const struct trace_op *op, size_t nops)
{
	struct shrink__variant variant[SHRINK__VARIANTS_MAX];
	const uint64_t hash = hash_of(h, op, nops);
	uint64_t *slot = &s->failed[hash % FAILED_MAX];
	struct trace_header shown = *h;
	struct shrink_verdict v;
	uint32_t n, at, which;

	if (*slot == hash || !shrink__goes_on(s))
		return (false);
	s->result->candidates++;
	n = shrink__variants(h, nops, variant);
	for (at = 0; at < n; at += which + 1) {
		if (!shrink__server_run(&s->server, h, op, nops, variant + at,
			n - at, s->signature, &v, &which))
			break;
		shrink__variant_apply(&variant[at + which], &shown);
		/* What a failure leaves behind may make the next one. */
		shrink__server_renew(&s->server);
		if (!confirm(s, &shown, op, nops, s->signature, &v))
			continue;
		s->verdict = v;
		keep(s, &shown, op, nops);
		return (true);
	}
	*slot = hash;
	return (false);
}

bool
shrink__try_calmer(struct shrink *s, const struct trace_header *h)
{
	struct shrink__variant variant;
	struct shrink_verdict v;
	uint32_t which;

	shrink__variant_of(h, &variant);
	if (!shrink__goes_on(s) ||
	    !shrink__server_run(&s->server, h, s->best.op, s->best.nops,
		&variant, 1, s->signature, &v, &which))
		return (false);
	shrink__server_renew(&s->server);
	if (v.switches >= s->verdict.switches ||
	    !confirm(s, h, s->best.op, s->best.nops, s->signature, &v) ||
	    v.switches >= s->verdict.switches)
		return (false);
	s->verdict = v;
	keep(s, h, s->best.op, s->best.nops);
	return (true);
}

/* ---- The whole --------------------------------------------------------- */

static bool
one_round(struct shrink *s)
{
	bool any = shrink__ops_coarse(s);

	/* What makes a run quick comes before what needs many runs. */
	any |= shrink__schedule(s);
	any |= shrink__config(s);
	any |= shrink__threads(s);
	any |= shrink__args(s);
	any |= shrink__ops_fine(s);
	any |= shrink__threads(s);
	return (any);
}

static void
scratch_fini(struct shrink *s)
{
	free(s->op);
	free(s->deviation);
	free(s->dep);
	free(s->defined);
	free(s->drop);
	free(s->failed);
}

static bool
scratch_init(struct shrink *s)
{
	const size_t n = s->best.nops + 1;

	s->nops_max = s->best.nops;
	s->op = malloc(n * sizeof(*s->op));
	s->deviation =
	    malloc((s->best.header.ndeviations + 1) * sizeof(*s->deviation));
	s->dep = malloc(n * sizeof(*s->dep));
	s->defined = malloc(TRACE_CLASS_COUNT * n * sizeof(*s->defined));
	s->drop = malloc(n);
	s->failed = calloc(FAILED_MAX, sizeof(*s->failed));
	return (s->op != NULL && s->deviation != NULL && s->dep != NULL &&
	    s->defined != NULL && s->drop != NULL && s->failed != NULL);
}

static int
trace_copy(struct trace *ret_t, const struct trace *t)
{
	size_t i;

	trace_init(ret_t);
	if (trace_header_copy(&ret_t->header, &t->header) != 0)
		return (ENOMEM);
	for (i = 0; i < t->nops; i++)
		if (trace_append(ret_t, &t->op[i]) != 0) {
			trace_fini(ret_t);
			return (ENOMEM);
		}
	return (0);
}

/* From a trace that fails to one that fails, canonical and confirmed. */
static enum shrink_status
reduce(struct shrink *s)
{
	unsigned rounds = 0;

	while (one_round(s) && shrink__goes_on(s) && ++rounds < ROUNDS_MAX)
		continue;
	return (s->stopped ? SHRINK_STOPPED : SHRINK_DONE);
}

/* Canonical, and seen to fail as such; no step may follow. */
static bool
settle(struct shrink *s)
{
	size_t i;

	if (trace_canonicalize(&s->best) == SIZE_MAX)
		return (false);
	for (i = 0; i < s->best.nops; i++)
		s->best.op[i].line = i + 1;
	return (confirm(s, &s->best.header, s->best.op, s->best.nops,
	    s->signature, &s->verdict));
}

static enum shrink_status
failed(struct shrink *s, int error)
{
	s->result->verdict.outcome = SHRINK_CANNOT;
	trace_error_set(
	    &s->result->verdict.error, "kalab", 0, 0, "%s", strerror(error));
	return (SHRINK_FAILED);
}

/* With the server open. */
static enum shrink_status
shrink_open(struct shrink *s)
{
	struct shrink_verdict whole;
	enum shrink_status status;

	if (!confirm(s, &s->best.header, s->best.op, s->best.nops, NULL,
		&s->verdict)) {
		s->result->verdict = s->verdict;
		return (s->verdict.outcome == SHRINK_CANNOT ? SHRINK_FAILED :
							      SHRINK_CLEAN);
	}
	(void)snprintf(s->signature, sizeof(s->signature), "%s",
	    s->verdict.finding.signature);
	if (s->verdict.outcome == SHRINK_HANGS && s->server.hang > 1)
		s->server.hang = s->cold.hang =
		    1; /* every candidate that shows it costs it */
	whole = s->verdict;
	status = reduce(s);
	/* What depends on the numbers of registers is kept whole. */
	if (!settle(s)) {
		s->unsettled = true;
		s->verdict = whole;
		status = SHRINK_STOPPED;
	}
	s->result->verdict = s->verdict;
	return (status);
}

/* The caller gets the best. */
static enum shrink_status
hand_over(struct shrink *s, struct trace *t, enum shrink_status status)
{
	struct trace smaller;

	if (trace_copy(&smaller, &s->best) != 0)
		return (failed(s, ENOMEM));
	trace_fini(t);
	*t = smaller;
	return (status);
}

static int
servers_open(struct shrink *s)
{
	int error = shrink__server_open(&s->server, s->options, &s->best);

	if (error != 0)
		return (error);
	error = shrink__server_open(&s->cold, s->options, &s->best);
	if (error != 0)
		shrink__server_close(&s->server);
	s->cold.cold = true;
	return (error);
}

enum shrink_status
shrink(struct trace *t, const struct shrink_options *o,
    struct shrink_result *ret_r)
{
	struct shrink s = { .options = o, .result = ret_r };
	enum shrink_status status;
	int error;

	memset(ret_r, 0, sizeof(*ret_r));
	s.began = s.told = shrink__now();
	s.doing = "the trace itself";
	if (trace_canonicalize(t) == SIZE_MAX || trace_copy(&s.best, t) != 0)
		return (failed(&s, ENOMEM));
	s.short_str = trace_str_intern(&s.best.header, "a", 1);
	ret_r->ops_before = t->nops;
	error = scratch_init(&s) ? servers_open(&s) : ENOMEM;
	if (error == 0) {
		status = shrink_open(&s);
		shrink__server_close(&s.server);
		shrink__server_close(&s.cold);
		if (!s.unsettled &&
		    (status == SHRINK_DONE || status == SHRINK_STOPPED))
			status = hand_over(&s, t, status);
	} else {
		status = failed(&s, error);
	}
	ret_r->ops_after = t->nops;
	ret_r->runs = s.server.runs + s.cold.runs;
	ret_r->deaths = s.server.deaths + s.cold.deaths;
	ret_r->seconds = shrink__now() - s.began;
	(void)snprintf(
	    ret_r->signature, sizeof(ret_r->signature), "%s", s.signature);
	scratch_fini(&s);
	trace_fini(&s.best);
	return (status);
}
