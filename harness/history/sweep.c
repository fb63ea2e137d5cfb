/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interval checker; see history.h.
 *
 * Two sweeps over time. In the first a bit for each byte tells what is
 * certainly live; addresses are made dense first, so that a bit is there for
 * what was used only. In the second each owner has its numbers, and each
 * condition is kept as the last instant at which it held: whether it held
 * within a call costs one comparison. Times are those of events: a state
 * lasts from one event to the next, so that it is looked at before each.
 */
#include "history/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An end of an event. */
struct edge {
	uint64_t at;
	const struct history_event *e;
	bool end;
};

static void *
need(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (p == NULL)
		abort();
	return (p);
}

static int
by_time(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->at != y->at)
		return (x->at < y->at ? -1 : 1);
	return ((int)y->end - (int)x->end);
}

static struct edge *
edges(const struct history_event *e, size_t n, bool lives, size_t *ret_n)
{
	struct edge *edge = need(2 * n, sizeof(*edge));
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		if ((e[i].kind == HISTORY_LIFE) != lives)
			continue;
		edge[k++] = (struct edge) { e[i].from, &e[i], false };
		edge[k++] = (struct edge) { e[i].to, &e[i], true };
	}
	qsort(edge, k, sizeof(*edge), by_time);
	*ret_n = k;
	return (edge);
}

static bool
fail(struct history_finding *f, const char *clause,
    const struct history_event *e, const char *found)
{
	(void)snprintf(f->clause, sizeof(f->clause), "%s", clause);
	(void)snprintf(f->found, sizeof(f->found), "%s", found);
	f->event = e;
	return (false);
}

/* ---- Lives ------------------------------------------------------------- */

/* Addresses from base on are bytes from dense on. */
struct stretch {
	uint64_t base, end, dense;
};

static int
by_address(const void *a, const void *b)
{
	const struct stretch *x = a, *y = b;

	return (x->base < y->base ? -1 : x->base > y->base);
}

/* What lives lie in: disjoint, in order. */
static struct stretch *
stretches(const struct history_event *e, size_t n, size_t *ret_n)
{
	struct stretch *s = need(n, sizeof(*s));
	uint64_t dense = 0;
	size_t i, k = 0, last = 0;

	for (i = 0; i < n; i++)
		if (e[i].kind == HISTORY_LIFE)
			s[k++] = (struct stretch) { e[i].addr,
				e[i].addr + e[i].bytes, 0 };
	qsort(s, k, sizeof(*s), by_address);
	for (i = 1; i < k; i++) {
		if (s[i].base > s[last].end)
			s[++last] = s[i];
		else if (s[i].end > s[last].end)
			s[last].end = s[i].end;
	}
	*ret_n = k == 0 ? 0 : last + 1;
	for (i = 0; i < *ret_n; i++) {
		s[i].dense = dense;
		dense += s[i].end - s[i].base;
	}
	s[*ret_n].dense = dense;
	return (s);
}

static uint64_t
dense_of(const struct stretch *s, size_t n, uint64_t addr)
{
	size_t lo = 0, hi = n;

	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (s[mid].base <= addr)
			lo = mid;
		else
			hi = mid;
	}
	return (s[lo].dense + addr - s[lo].base);
}

/* Sets or clears bits; true: one of them was so already. */
static bool
turn(uint8_t *bits, uint64_t at, uint64_t n, bool set)
{
	bool was = false;

	while (n > 0) {
		uint8_t mask = (uint8_t)(1u << at % 8);
		uint64_t step = 1;

		if (at % 8 == 0 && n >= 8) {
			mask = 0xff;
			step = 8;
		}
		was |= (bits[at / 8] & mask) != 0;
		if (set)
			bits[at / 8] |= mask;
		else
			bits[at / 8] &= (uint8_t)~mask;
		at += step;
		n -= step;
	}
	return (was);
}

static bool
check_lives(const struct history_event *e, size_t n, struct history_finding *f)
{
	size_t nedges, nstretches, i;
	struct stretch *s = stretches(e, n, &nstretches);
	struct edge *edge = edges(e, n, true, &nedges);
	uint8_t *bits = need(s[nstretches].dense / 8 + 1, 1);
	bool ok = true;

	for (i = 0; i < nedges && ok; i++) {
		const struct history_event *l = edge[i].e;
		uint64_t at = dense_of(s, nstretches, l->addr);

		if (turn(bits, at, l->bytes, !edge[i].end) && !edge[i].end)
			ok = fail(f, "G-2", l,
			    "two objects were live in the same bytes");
	}
	free(bits);
	free(edge);
	free(s);
	return (ok);
}

/* ---- Limits ------------------------------------------------------------ */

struct count {
	uint64_t surely, possibly;
	uint64_t least_lo, most_hi;
	uint64_t new_least, new_most; /* of the change that is under way */
	uint32_t changing, calls, waiting, others;
	bool raced;
	/* The last instant at which a call that excuses a refusal was under
	 * way: another one, or one that moves what is cached. */
	uint64_t last_excuse, last_other;
};

/*
 * Room since an instant. What counts for a call is the most room that there
 * was at any instant since it began: a stack in which instants grow and rooms
 * shrink has it, since less room before more is of no interest.
 */
struct low {
	uint64_t at, room;
};

struct sweep {
	const struct history_owner *owner;
	struct count count;
	struct low *low;
	size_t nlow, cap;
};

/* From here on there is so much room as counts tell. */
static void
low_push(struct sweep *s, uint64_t at)
{
	const struct count *c = &s->count;
	uint64_t room = c->surely > c->most_hi ? 0 : c->most_hi - c->surely;

	while (s->nlow > 0 && s->low[s->nlow - 1].room <= room)
		at = s->low[--s->nlow].at;
	if (s->nlow == s->cap) {
		s->cap = s->cap == 0 ? 16 : s->cap * 2;
		s->low = realloc(s->low, s->cap * sizeof(*s->low));
		if (s->low == NULL)
			abort();
	}
	s->low[s->nlow++] = (struct low) { at, room };
}

/* The most room there was at any instant since. */
static uint64_t
room_since(const struct sweep *s, uint64_t since)
{
	size_t lo = 0, hi = s->nlow;

	/* An entry lasts until the next one: the first that reaches into the
	 * span has the most room of it. */
	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (s->low[mid].at <= since)
			lo = mid;
		else
			hi = mid;
	}
	return (s->low[lo].room);
}

static void
limit_edge(struct sweep *s, const struct history_event *e, bool end)
{
	struct count *c = &s->count;

	if (!end) {
		c->raced = c->changing > 0;
		c->changing++;
		c->new_least = e->least;
		c->new_most = e->most;
		if (e->least < c->least_lo)
			c->least_lo = e->least;
		if (e->most > c->most_hi)
			c->most_hi = e->most;
		return;
	}
	/* Of two at one time nobody knows which was the last. */
	if (--c->changing > 0 || c->raced)
		return;
	c->least_lo = c->new_least;
	c->most_hi = c->new_most;
}

/* The state that lasted up to now. */
static void
look(struct sweep *s, uint64_t at)
{
	struct count *c = &s->count;

	if (s->owner->shy ? c->calls > 1 :
			    s->owner->shy_of_waiters && c->waiting > 0)
		c->last_excuse = at;
	if (c->others + c->changing > 0)
		c->last_other = at;
}

static bool
judge_take(
    struct sweep *s, const struct history_event *e, struct history_finding *f)
{
	char found[160];
	uint64_t room = room_since(s, e->from);

	if (room >= e->units)
		return (true);
	(void)snprintf(found, sizeof(found),
	    "%" PRIu64 " given out where, at every instant of the call, at "
	    "most %" PRIu64 " were left of %" PRIu64,
	    e->units, room, s->count.most_hi);
	return (fail(f, s->owner->over, e, found));
}

/*
 * A call under way that will be refused, and the least that others possibly
 * left it at any instant so far. Each call leaves itself out.
 */
struct open {
	const struct history_event *e;
	uint64_t left;
};

static bool
judge_refusal(struct sweep *s, const struct history_event *e, int64_t left,
    struct history_finding *f)
{
	const struct history_owner *o = s->owner;
	char found[160];

	if (e->excused || (o->refuses_freely && !e->waits))
		return (true);
	if (e->waits)
		return (fail(f, o->refused, e,
		    "refused, and not by a callback, where it was to wait"));
	if (left < (int64_t)(e->units + o->slack))
		return (true);
	if ((o->shy || o->shy_of_waiters) && s->count.last_excuse > e->from)
		return (true);
	if (o->shy_of_others && s->count.last_other > e->from)
		return (true);
	(void)snprintf(found, sizeof(found),
	    "refused %" PRIu64 " where, at every instant of the call, at least "
	    "%" PRId64 " were left (%" PRIu64 " of them may be in caches)",
	    e->units, left, o->slack);
	return (fail(f, o->refused, e, found));
}

/* ---- Both -------------------------------------------------------------- */

struct opens {
	struct open *open;
	size_t n, cap;
};

static void
open_call(struct opens *o, const struct history_event *e)
{
	if (o->n == o->cap) {
		o->cap = o->cap == 0 ? 64 : o->cap * 2;
		o->open = realloc(o->open, o->cap * sizeof(*o->open));
		if (o->open == NULL)
			abort();
	}
	o->open[o->n++] = (struct open) { e, UINT64_MAX };
}

/* Every refused call of the owner: how much was left for it now, at least. */
static void
open_look(struct opens *o, const struct sweep *s, uint32_t owner)
{
	size_t i;

	for (i = 0; i < o->n; i++) {
		struct open *c = &o->open[i];
		uint64_t others, left;

		if (c->e->owner != owner)
			continue;
		others = s->count.possibly - c->e->units;
		left =
		    s->count.least_lo > others ? s->count.least_lo - others : 0;
		if (left < c->left)
			c->left = left;
	}
}

static int64_t
open_close(struct opens *o, const struct history_event *e)
{
	uint64_t left;
	size_t i;

	for (i = 0; o->open[i].e != e; i++)
		continue;
	left = o->open[i].left;
	o->open[i] = o->open[--o->n];
	return ((int64_t)(left > HISTORY_NO_LIMIT ? HISTORY_NO_LIMIT : left));
}

static void
begin_edge(struct sweep *s, struct opens *o, const struct history_event *e)
{
	struct count *c = &s->count;

	c->calls++;
	c->waiting += e->waits;
	switch (e->kind) {
	case HISTORY_TAKE:
	case HISTORY_REFUSED:
		c->possibly += e->units;
		if (e->kind == HISTORY_REFUSED)
			open_call(o, e);
		break;
	case HISTORY_GIVE:
		c->surely -= e->units;
		break;
	case HISTORY_LIMIT:
		limit_edge(s, e, false);
		break;
	default:
		c->others++;
		break;
	}
}

static bool
end_edge(struct sweep *s, struct opens *o, const struct history_event *e,
    struct history_finding *f)
{
	struct count *c = &s->count;
	bool ok = true;

	switch (e->kind) {
	case HISTORY_TAKE:
		ok = judge_take(s, e, f);
		c->surely += e->units;
		break;
	case HISTORY_REFUSED:
		ok = judge_refusal(s, e, open_close(o, e), f);
		c->possibly -= e->units;
		break;
	case HISTORY_GIVE:
		c->possibly -= e->units;
		break;
	case HISTORY_LIMIT:
		limit_edge(s, e, true);
		break;
	default:
		c->others--;
		break;
	}
	c->calls--;
	c->waiting -= e->waits;
	return (ok);
}

static bool
check_limits(const struct history_event *e, size_t n,
    const struct history_owner *owner, size_t nowners,
    struct history_finding *f)
{
	struct sweep *sweep = need(nowners, sizeof(*sweep));
	struct opens opens = { NULL, 0, 0 };
	size_t nedges, i;
	struct edge *edge = edges(e, n, false, &nedges);
	bool ok = true;

	for (i = 0; i < nowners; i++) {
		sweep[i].owner = &owner[i];
		sweep[i].count.least_lo = owner[i].least;
		sweep[i].count.most_hi = owner[i].most;
		low_push(&sweep[i], 0);
	}
	for (i = 0; i < nedges && ok; i++) {
		struct sweep *s = &sweep[edge[i].e->owner];
		uint32_t who = edge[i].e->owner;

		look(s, edge[i].at);
		if (edge[i].end)
			ok = end_edge(s, &opens, edge[i].e, f);
		else
			begin_edge(s, &opens, edge[i].e);
		low_push(s, edge[i].at);
		open_look(&opens, s, who);
	}
	for (i = 0; i < nowners; i++)
		free(sweep[i].low);
	free(sweep);
	free(opens.open);
	free(edge);
	return (ok);
}

bool
history_check(const struct history_event *e, size_t n,
    const struct history_owner *owner, size_t nowners,
    struct history_finding *ret_f)
{
	memset(ret_f, 0, sizeof(*ret_f));
	return (check_lives(e, n, ret_f) &&
	    check_limits(e, n, owner, nowners, ret_f));
}
