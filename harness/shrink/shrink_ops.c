/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fewer operations.
 *
 * Coarse: what follows the finding, whole threads, whole kinds of operations,
 * whole owners (a type, cache, pipe or zone with all that names it), then
 * delta debugging (Zeller and Hildebrandt, 2002) with chunks that halve, from
 * the end. Fine: single operations until none can go (1-minimal), pairs, and
 * one register in another's place.
 *
 * An operation that names a register depends on the operation that defined
 * it, which is the last before that did: registers are reused. What depends
 * on what is dropped is dropped with it.
 */
#include <string.h>

#include "shrink_int.h"

#define PAIRS_MAX 40u /* operations of which all pairs are tried */

void
shrink__deps(struct shrink *s)
{
	const size_t cap = s->nops_max + 1;
	size_t i;
	unsigned a;

	memset(s->defined, 0xff, TRACE_CLASS_COUNT * cap * sizeof(*s->defined));
	for (i = 0; i < s->best.nops; i++) {
		const struct trace_op *op = &s->best.op[i];
		const struct trace_opdef *def = &trace_ops[op->code];

		for (a = 0; a < TRACE_ARGS_MAX; a++) {
			int class =
			    a < def->nargs ? trace_kind_class(def->arg[a]) : -1;

			s->dep[i][a] = class >= 0 && op->arg[a] < cap ?
			    s->defined[(size_t) class * cap + op->arg[a]] :
			    -1;
		}
		if (def->out >= 0)
			s->defined[(size_t)def->out * cap + op->out] =
			    (int32_t)i;
	}
}

/* Deviations are at a thread's so-manieth operation: those of operations that
 * are dropped go, those after move up. */
static void
move_deviations(struct shrink *s, struct trace_header *h)
{
	uint32_t i, n = 0;

	for (i = 0; i < h->ndeviations; i++) {
		struct trace_deviation d = h->deviation[i];
		uint32_t op = 0, gone = 0;
		size_t at;

		for (at = 0; at < s->best.nops && op < d.op; at++) {
			if (s->best.op[at].thread != d.thread)
				continue;
			op++;
			gone += s->drop[at];
			if (op == d.op && s->drop[at])
				break;
		}
		if (at < s->best.nops && op == d.op && s->drop[at])
			continue;
		d.op -= gone;
		s->deviation[n++] = d;
	}
	h->deviation = s->deviation;
	h->ndeviations = n;
}

bool
shrink__try_drop(struct shrink *s)
{
	struct trace_header h;
	size_t i, n = 0;
	unsigned a;

	for (i = 0; i < s->best.nops; i++) {
		for (a = 0; a < TRACE_ARGS_MAX; a++)
			if (s->dep[i][a] >= 0 && s->drop[s->dep[i][a]])
				s->drop[i] = 1;
		if (!s->drop[i])
			s->op[n++] = s->best.op[i];
	}
	if (n == s->best.nops || n == 0)
		return (false);
	h = s->best.header;
	move_deviations(s, &h);
	if (!shrink__try(s, &h, s->op, n))
		return (false);
	shrink__deps(s);
	return (true);
}

static void
drop_none(struct shrink *s)
{
	memset(s->drop, 0, s->best.nops);
}

/* What comes after the operation of the finding, and a bit more each time. */
static bool
drop_tail(struct shrink *s)
{
	const uint64_t line = s->verdict.finding.line;
	size_t i, n = s->best.nops, keep = 0;

	for (i = 0; line != 0 && i < n; i++)
		if (s->best.op[i].line == line)
			keep = i + 1;
	for (; keep != 0 && keep < n; keep += 1 + (n - keep) / 2) {
		memset(s->drop, 0, keep);
		memset(s->drop + keep, 1, n - keep);
		if (shrink__try_drop(s))
			return (true);
	}
	return (false);
}

static bool
drop_threads(struct shrink *s)
{
	bool any = false;
	uint32_t t;
	size_t i;

	for (t = s->best.header.threads; t-- > 0 && shrink__goes_on(s);) {
		for (i = 0; i < s->best.nops; i++)
			s->drop[i] = s->best.op[i].thread == t;
		any |= shrink__try_drop(s);
	}
	return (any);
}

static bool
drop_kinds(struct shrink *s)
{
	bool any = false;
	unsigned group, code;
	size_t i;

	for (group = 0; group < TRACE_GROUP_COUNT; group++) {
		for (i = 0; i < s->best.nops; i++)
			s->drop[i] =
			    trace_ops[s->best.op[i].code].group == group;
		any |= shrink__try_drop(s);
	}
	for (code = 0; code < TRACE_OP_COUNT && shrink__goes_on(s); code++) {
		for (i = 0; i < s->best.nops; i++)
			s->drop[i] = s->best.op[i].code == code;
		any |= shrink__try_drop(s);
	}
	return (any);
}

/* Everything that a register defined here stands for; objects too. */
static bool
drop_registers(struct shrink *s, bool objects)
{
	bool any = false;
	size_t i;

	for (i = s->best.nops; i-- > 0 && shrink__goes_on(s);) {
		int out;

		if (i >= s->best.nops)
			continue;
		out = trace_ops[s->best.op[i].code].out;
		if (out < 0 ||
		    (!objects && out <= TRACE_RUN && out != TRACE_TYPE))
			continue;
		drop_none(s);
		s->drop[i] = 1;
		any |= shrink__try_drop(s);
	}
	return (any);
}

/* All chunks of a size, from the end. */
static bool
drop_chunks(struct shrink *s, size_t chunk)
{
	bool any = false;
	size_t at = s->best.nops;

	while (at > 0 && shrink__goes_on(s)) {
		size_t lo = at > chunk ? at - chunk : 0;

		drop_none(s);
		memset(s->drop + lo, 1, at - lo);
		any |= shrink__try_drop(s);
		at = lo < s->best.nops ? lo : s->best.nops;
	}
	return (any);
}

bool
shrink__ops_coarse(struct shrink *s)
{
	bool any;
	size_t chunk;

	s->doing = "operations";
	shrink__deps(s);
	any = drop_tail(s);
	any |= drop_threads(s);
	any |= drop_kinds(s);
	any |= drop_registers(s, false);
	for (chunk = s->best.nops / 2; chunk > 1 && shrink__goes_on(s);
	     chunk /= 2)
		any |= drop_chunks(s, chunk);
	return (any);
}

/* Two at a time: neither can go alone where one makes up for the other. */
static bool
drop_pairs(struct shrink *s)
{
	bool any = false;
	size_t i, j;

	for (i = 0; i < s->best.nops && s->best.nops <= PAIRS_MAX; i++)
		for (j = i + 1; j < s->best.nops && shrink__goes_on(s); j++) {
			drop_none(s);
			s->drop[i] = s->drop[j] = 1;
			any |= shrink__try_drop(s);
			if (i >= s->best.nops)
				break;
		}
	return (any);
}

/* What names the register defined by j names that of i, and j goes. */
static bool
merge(struct shrink *s, size_t i, size_t j)
{
	size_t k, n = 0;
	unsigned a;

	for (k = 0; k < s->best.nops; k++) {
		if (k == j)
			continue;
		s->op[n] = s->best.op[k];
		for (a = 0; a < TRACE_ARGS_MAX; a++)
			if (s->dep[k][a] == (int32_t)j)
				s->op[n].arg[a] = s->best.op[i].out;
		n++;
	}
	if (!shrink__try(s, &s->best.header, s->op, n))
		return (false);
	shrink__deps(s);
	return (true);
}

/* One type, cache, pipe, zone or object does for two. */
static bool
merge_registers(struct shrink *s)
{
	bool any = false;
	size_t i, j;

	for (j = s->best.nops; j-- > 1 && shrink__goes_on(s);)
		for (i = 0; i < j && j < s->best.nops; i++) {
			int out = trace_ops[s->best.op[j].code].out;

			if (out < 0 || out != trace_ops[s->best.op[i].code].out)
				continue;
			if (out == TRACE_OBJ && s->best.nops > PAIRS_MAX)
				continue;
			if (merge(s, i, j)) {
				any = true;
				break;
			}
		}
	return (any);
}

bool
shrink__ops_fine(struct shrink *s)
{
	bool any = false, again;

	s->doing = "single operations";
	shrink__deps(s);
	do {
		again = drop_chunks(s, 1);
		any |= again;
	} while (again && shrink__goes_on(s));
	any |= drop_registers(s, true);
	any |= merge_registers(s);
	any |= drop_pairs(s);
	return (any);
}
