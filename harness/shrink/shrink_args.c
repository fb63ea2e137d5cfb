/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Smaller arguments: of numbers the least that still fails, first for all
 * operations that have the same value (two sizes of one class go together),
 * then for each alone; of sets fewer bits; of words, strings and CPUs the
 * first that does.
 */
#include <string.h>

#include "shrink_int.h"

/* Arguments with the value become another: of one operation, or of all that
 * have it in an argument of the kind. */
struct place {
	size_t i;
	unsigned a;
	bool all;
	enum trace_kind kind;
	uint64_t value;
};

static bool
try_value(struct shrink *s, const struct place *p, uint64_t value)
{
	size_t i;
	unsigned a;

	if (!shrink__goes_on(s))
		return (false);
	memcpy(s->op, s->best.op, s->best.nops * sizeof(*s->op));
	if (!p->all)
		s->op[p->i].arg[p->a] = value;
	for (i = 0; p->all && i < s->best.nops; i++) {
		const struct trace_opdef *def = &trace_ops[s->op[i].code];

		for (a = 0; a < def->nargs; a++)
			if (def->arg[a] == p->kind &&
			    s->op[i].arg[a] == p->value)
				s->op[i].arg[a] = value;
	}
	return (shrink__try(s, &s->best.header, s->op, s->best.nops));
}

/* The least that fails, if smaller values fail where larger ones do not. */
static void
least(struct shrink *s, struct place *p)
{
	static const uint64_t often[] = { 0, 1, 2, 8, 16, 64, 4096 };
	uint64_t lo = 0, hi = p->value;
	unsigned i;

	for (i = 0; i < sizeof(often) / sizeof(*often) && often[i] < hi; i++) {
		if (try_value(s, p, often[i])) {
			hi = p->value = often[i];
			break;
		}
		lo = often[i];
	}
	while (hi - lo > 1 && shrink__goes_on(s)) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (try_value(s, p, mid))
			hi = p->value = mid;
		else
			lo = mid;
	}
}

/* Signed: of a negative number, 0, then its opposite, then -1. */
static void
least_int(struct shrink *s, struct place *p)
{
	int32_t v = (int32_t)(uint32_t)p->value;

	if (v >= 0) {
		least(s, p);
	} else if (!try_value(s, p, 0)) {
		if (v != INT32_MIN && try_value(s, p, (uint32_t)-v)) {
			p->value = (uint32_t)-v;
			least(s, p);
		} else if (v != -1) {
			(void)try_value(s, p, UINT32_MAX);
		}
	}
}

static void
fewer_bits(struct shrink *s, struct place *p)
{
	uint64_t bit;

	if (p->value == 0 || try_value(s, p, 0))
		return;
	for (bit = UINT64_C(1) << 15; bit != 0; bit >>= 1)
		if ((p->value & bit) != 0 && try_value(s, p, p->value & ~bit))
			p->value &= ~bit;
}

static void
first_that_does(struct shrink *s, struct place *p)
{
	uint64_t v;

	for (v = 0; v < p->value; v++)
		if (try_value(s, p, v))
			return;
}

static void
shorter(struct shrink *s, struct place *p)
{
	if (s->short_str != UINT32_MAX && p->value != s->short_str)
		(void)try_value(s, p, s->short_str);
}

static void
smaller(struct shrink *s, struct place *p)
{
	switch (p->kind) {
	case TRACE_K_SIZE:
	case TRACE_K_NUM:
		least(s, p);
		break;
	case TRACE_K_INT:
		least_int(s, p);
		break;
	case TRACE_K_FLAGS:
	case TRACE_K_VMFLAGS:
	case TRACE_K_MPFLAGS:
	case TRACE_K_UMAFLAGS:
	case TRACE_K_ZONEFLAGS:
	case TRACE_K_HOOKS:
		fewer_bits(s, p);
		break;
	case TRACE_K_CPU:
	case TRACE_K_RECLAIM:
		first_that_does(s, p);
		break;
	case TRACE_K_STR:
		shorter(s, p);
		break;
	default:
		break;
	}
}

bool
shrink__args(struct shrink *s)
{
	bool any = false;
	unsigned a;
	size_t i;
	int all;

	s->doing = "arguments";
	for (all = 1; all >= 0; all--)
		for (i = 0; i < s->best.nops && shrink__goes_on(s); i++)
			for (a = 0; a < trace_ops[s->best.op[i].code].nargs;
			     a++) {
				struct place p = { .i = i,
					.a = a,
					.all = all != 0,
					.kind = trace_ops[s->best.op[i].code]
						    .arg[a],
					.value = s->best.op[i].arg[a] };
				const uint64_t before = p.value;

				smaller(s, &p);
				any |= s->best.op[i].arg[a] != before;
			}
	return (any);
}
