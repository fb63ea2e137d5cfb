/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Malloc types: who is declared, what is charged, and the limit.
 *
 * A register of the trace names a type as long as it is declared; declared
 * again, it is another type. Objects remember the type, not the register.
 *
 * Usage is an interval while calls are in flight. An allocation in flight may
 * or may not be charged already, a free in flight may or may not be
 * subtracted already:
 *
 *   memuse <= usage <= memuse + alloc_bytes + free_bytes
 *
 * A refusal is legal if at some instant of its call the upper end, without
 * the call itself, was at the limit; a success is illegal if during the whole
 * call the lower end was beyond the limit and what KM-6 adds to it. The upper
 * end rises only when an allocation begins, the lower end falls only when a
 * free begins: only then are the calls in flight on the type looked at.
 */
#include "model_int.h"

#define LIMIT_DEFAULT_DIV 10u /* of the budget */
#define LIMIT_BATCH_DIV	  16u /* KM-6: the counting batch */
/* The library may refuse to declare more types at once than about this. */
#define TYPES_SURE 1000u

bool
model__type_ended_under(
    const struct model *m, const struct mthread *th, const struct call *c)
{
	const struct mtype *t = model__type(m, th->type);

	return (c->why == MODEL_WHY_BAD_TYPE && th->type != 0 &&
	    (t->ending > 0 || !t->alive));
}

static void
type_bind(struct model *m, uint32_t reg, uint32_t type)
{
	uint32_t *map;

	if (reg == TRACE_NOREG)
		return;
	if (reg >= m->typereg.cap &&
	    !model__pool_grow(&m->typereg, (size_t)reg + 1)) {
		model__out_of_memory(m);
		return;
	}
	map = m->typereg.base;
	while (m->typereg.high <= reg)
		map[m->typereg.high++] = 0;
	map[reg] = type;
}

void
model__type_create_end(
    struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t i = 0;

	if (model__is_kalloc(m) && c->why != 0) {
		if (c->why == MODEL_WHY_BAD_ARG && m->types_used >= TYPES_SURE)
			m->counts.panics++;
		else
			model__wrong_panic(m, th, c);
	} else {
		i = model__pool_take(&m->type);
		if (i == 0) {
			model__out_of_memory(m);
			return;
		}
		*model__type(m, i) = (struct mtype) {
			.limit_lo = m->config.pages * PAGE / LIMIT_DEFAULT_DIV,
			.limit_hi = m->config.pages * PAGE / LIMIT_DEFAULT_DIV,
			.reg = c->type,
			.alive = true,
			.heap = th->code == TRACE_OP_KMALLOC_CREATE,
		};
		m->types_used++;
	}
	type_bind(m, c->type, i);
}

void
model__type_destroy_begin(struct model *m, struct mthread *th)
{
	struct mtype *t = model__type(m, th->type);

	th->may_sleep = true;
	th->skip = !model__is_kalloc(m);
	if (th->skip)
		return;
	if (!model__type_is_alive(m, th->type)) {
		th->expect = WHY(BAD_TYPE);
		th->misuse = true;
		return;
	}
	/* By the other function than made it: allowed, or misuse. */
	if (t->heap != (th->code == TRACE_OP_KMALLOC_DESTROY))
		th->expect |= WHY(BAD_TYPE) | WHY(BAD_ARG);
	if (t->ending > 0)
		th->expect |= WHY(BAD_TYPE);
	t->ending++;
	/* Exact only if nothing else is going on with the type. */
	t->events++;
	th->events = t->free_count + t->flying != 0 ? 0 : t->events;
}

void
model__type_destroy_end(
    struct model *m, struct mthread *th, const struct call *c)
{
	struct mtype *t = model__type(m, th->type);

	if (th->misuse) {
		model__misuse_return(m, th, c);
		return;
	}
	t->ending--;
	if (c->why != 0) {
		if ((th->expect >> c->why % 32 & 1) != 0 || !t->alive)
			m->counts.panics++;
		else
			model__wrong_panic(m, th, c);
		return;
	}
	if (t->alive && t->inuse == 0)
		m->types_used--;
	t->alive = false;
	if (th->events == t->events && c->ret != t->inuse) {
		model__fail(m, th, "KM-17", "still-in-use");
		model__expected(m,
		    "%" PRIu64 " objects of m%u reported as "
		    "still in use",
		    t->inuse, t->reg);
		model__found(m, "%" PRIu64, c->ret);
	}
}

/* --- limits --- */

static bool
is_raise(const struct mthread *th)
{
	return (th->code != TRACE_OP_KMALLOC_LIMIT);
}

static uint64_t
raised_to(const struct model *m, const struct mthread *th)
{
	if (th->code == TRACE_OP_KMALLOC_SET_UNLIMITED || th->requested == 0)
		return (m->config.pages * PAGE);
	return (th->requested);
}

void
model__limit_begin(struct model *m, struct mthread *th, const struct call *c)
{
	struct mtype *t = model__type(m, th->type);
	uint64_t bytes;

	th->skip = !model__is_kalloc(m);
	if (th->skip)
		return;
	if (!model__type_is_alive(m, th->type)) {
		th->expect = WHY(BAD_TYPE);
		th->misuse = true;
		return;
	}
	th->requested = c->size;
	th->limit_lo = t->limit_lo;
	bytes = raised_to(m, th);
	if (is_raise(th) && bytes > t->limit_hi)
		t->limit_hi = bytes;
}

void
model__limit_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mtype *t = model__type(m, th->type);

	if (th->misuse || c->why != 0) {
		if (!th->misuse && model__type_ended_under(m, th, c))
			m->counts.panics++;
		else
			model__misuse_return(m, th, c);
		return;
	}
	if (is_raise(th)) {
		uint64_t bytes = raised_to(m, th);

		model__type_falls(m, t);
		if (bytes > t->limit_lo)
			t->limit_lo = bytes;
	} else if (c->ret < th->limit_lo || c->ret > t->limit_hi) {
		model__fail(m, th, "KM-6", "limit");
		model__expected(m, "the limit of m%u: %" PRIu64 " bytes",
		    t->reg, t->limit_hi);
		model__found(m, "%" PRIu64 " bytes", c->ret);
	}
}

/* --- usage --- */

static uint64_t
sum(uint64_t a, uint64_t b)
{
	return (a > UINT64_MAX - b ? UINT64_MAX : a + b);
}

/* The others in flight see the upper end rise, or the lower end fall. */
void
model__type_observe(struct model *m, const struct mtype *t)
{
	uint32_t i;

	for (i = t->first; i != 0;) {
		struct mthread *u = &m->thread[i - 1];

		if (model__usage_upper(t) - u->charge >= t->limit_lo)
			u->limit_seen = true;
		if (t->memuse < u->lower_min)
			u->lower_min = t->memuse;
		i = u->next;
	}
}

/* The free did nothing: certain again. */
void
model__type_free_undo(struct model *m, uint32_t type, uint64_t bytes)
{
	model__type_free_end(m, type, bytes);
	model__type_add(m, type, bytes);
}

bool
model__type_was_over(
    const struct model *m, const struct mthread *th, uint64_t *ret_bound)
{
	const struct mtype *t = model__type(m, th->type);
	uint64_t room = sum(t->limit_hi, t->limit_hi / LIMIT_BATCH_DIV);
	uint64_t each;

	if (__builtin_mul_overflow(t->charge_max, m->config.cpus, &each))
		each = UINT64_MAX;
	*ret_bound = sum(room, each);
	return (th->lower_min >= *ret_bound);
}

/* --- quiescence --- */

static bool
between(uint64_t x, uint64_t lo, uint64_t hi)
{
	return (lo <= x && x <= hi);
}

static void
check_one(struct model *m, uint32_t reg, const char *what, uint64_t found,
    const uint64_t bound[2])
{
	bool limit = what[0] == 'l';

	if (m->has_finding || between(found, bound[0], bound[1]))
		return;
	model__fail(m, NULL, limit ? "KM-6" : "KM-5", what);
	if (bound[0] == bound[1])
		model__expected(m, "%s of m%u: %" PRIu64, what, reg, bound[0]);
	else
		model__expected(m,
		    "%s of m%u: %" PRIu64 " to %" PRIu64 ", with calls asleep",
		    what, reg, bound[0], bound[1]);
	model__found(m, "%" PRIu64, found);
}

void
model_check_type(
    struct model *m, uint32_t reg, const struct model_type_stats *s)
{
	uint32_t i = model__type_of(m, reg);
	const struct mtype *t = model__type(m, i);

	if (!m->judging || !model__is_kalloc(m) || i == 0 || !t->alive)
		return;
	check_one(m, reg, "calls", s->calls,
	    (uint64_t[2]) { t->calls, t->calls + t->flying });
	check_one(m, reg, "inuse", s->inuse,
	    (uint64_t[2]) { t->inuse, t->inuse + t->flying + t->free_count });
	check_one(m, reg, "memuse", s->memuse,
	    (uint64_t[2]) { t->memuse, model__usage_upper(t) });
	check_one(m, reg, "limit", s->limit,
	    (uint64_t[2]) { t->limit_lo, t->limit_hi });
}
