/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The schedule: the recorded one if it fails so; else, of a few seeds, the one
 * that fails with the fewest switches between threads; of forced choices as
 * few as can be. And variants: what else to try of a candidate whose choices
 * have moved.
 */
#include <string.h>

#include "shrink_int.h"

#define FEW_OPS	 12u
#define SOME_OPS 256u

void
shrink__variant_of(const struct trace_header *h, struct shrink__variant *v)
{
	uint32_t i;

	memset(v, 0, sizeof(*v));
	v->sched = h->sched;
	v->seed = h->sched_seed;
	for (i = 0; i < h->nfaults; i++)
		v->k[i] = h->fault[i].k;
}

void
shrink__variant_apply(const struct shrink__variant *v, struct trace_header *h)
{
	uint32_t i;

	h->sched = v->sched;
	h->sched_seed = v->seed;
	for (i = 0; i < h->nfaults; i++) {
		if (h->fault[i].mode == TRACE_FAULT_PROB)
			continue;
		h->fault[i].k = v->k[i] != 0 ? v->k[i] : 1;
	}
}

/* The n-th other number of a fault: a few below it, then as a whole. */
static uint64_t
other_k(uint64_t k, uint32_t n)
{
	if (n < 8)
		return (k > n ? k - n : 1);
	return (k * (64 - n) / 64 + 1);
}

uint32_t
shrink__variants(const struct trace_header *h, size_t nops,
    struct shrink__variant ret_v[SHRINK__VARIANTS_MAX])
{
	uint32_t i, f, n = nops <= FEW_OPS ? 32 : nops <= SOME_OPS ? 12 : 8;
	bool numbered = false;

	for (f = 0; f < h->nfaults; f++)
		numbered |= h->fault[f].mode != TRACE_FAULT_PROB;
	if (h->sched == TRACE_SCHED_RECORDED && !numbered)
		n = 1;
	for (i = 0; i < n; i++) {
		shrink__variant_of(h, &ret_v[i]);
		if (i == 0)
			continue;
		if (h->sched != TRACE_SCHED_RECORDED)
			ret_v[i].seed = i;
		for (f = 0; f < h->nfaults; f++)
			ret_v[i].k[f] = other_k(h->fault[f].k,
			    h->sched == TRACE_SCHED_RECORDED ? i : i / 2);
	}
	return (n);
}

static bool
recorded(struct shrink *s)
{
	struct trace_header h = s->best.header;

	if (h.sched == TRACE_SCHED_RECORDED && h.ndeviations == 0)
		return (false);
	h.memory = TRACE_MEMORY_SC;
	h.may = 0;
	h.sched = TRACE_SCHED_RECORDED;
	h.sched_seed = 0;
	h.sticky = 1;
	h.ndeviations = 0;
	return (shrink__try(s, &h, s->best.op, s->best.nops));
}

/* A stronger memory model, fewer kinds of choices. */
static bool
plainer(struct shrink *s)
{
	struct trace_header h = s->best.header;
	bool any = false;
	uint32_t bit;

	for (; h.memory != TRACE_MEMORY_SC; h = s->best.header) {
		h.memory--;
		if (!shrink__try(s, &h, s->best.op, s->best.nops))
			break;
		any = true;
	}
	for (bit = 1; bit <= TRACE_MAY_ALL; bit <<= 1) {
		h = s->best.header;
		if ((h.may & bit) == 0)
			continue;
		h.may &= ~bit;
		any |= shrink__try(s, &h, s->best.op, s->best.nops);
	}
	return (any);
}

/* Of all small seeds of both kinds the one with the fewest switches. */
static bool
calmest(struct shrink *s)
{
	static const uint32_t sticky[] = { 0, 2, 4, 8, 16, 32 };
	struct trace_header h;
	bool any = false;
	unsigned i;

	if (s->best.header.sched == TRACE_SCHED_RECORDED)
		return (false);
	for (i = 0; i < sizeof(sticky) / sizeof(*sticky); i++) {
		h = s->best.header;
		h.sched =
		    sticky[i] != 0 ? TRACE_SCHED_STICKY : TRACE_SCHED_RANDOM;
		h.sticky = sticky[i] != 0 ? sticky[i] : 1;
		for (h.sched_seed = 1; h.sched_seed <= 32; h.sched_seed++)
			any |= shrink__try_calmer(s, &h);
	}
	return (any);
}

/* Forced choices: halves, quarters, ... , single ones. */
static bool
fewer_deviations(struct shrink *s)
{
	bool any = false;
	uint32_t chunk, at;

	for (chunk = s->best.header.ndeviations; chunk > 0; chunk /= 2)
		for (at = 0;
		     at < s->best.header.ndeviations && shrink__goes_on(s);) {
			struct trace_header h = s->best.header;
			uint32_t n = h.ndeviations - at;

			n = n < chunk ? n : chunk;
			memcpy(s->deviation, h.deviation,
			    h.ndeviations * sizeof(*h.deviation));
			memmove(s->deviation + at, s->deviation + at + n,
			    (h.ndeviations - at - n) * sizeof(*h.deviation));
			h.ndeviations -= n;
			h.deviation = s->deviation;
			if (shrink__try(s, &h, s->best.op, s->best.nops))
				any = true;
			else
				at += n;
		}
	return (any);
}

bool
shrink__schedule(struct shrink *s)
{
	bool any;

	s->doing = "schedule";
	if (recorded(s))
		return (true);
	any = plainer(s);
	any |= fewer_deviations(s);
	any |= calmest(s);
	return (any);
}
