/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A search in depth for an order; see wgl.h. A state is the set of steps that
 * are done: what is held follows from it, and the limit from the last change,
 * which is the rest of the state. States that were seen are not entered again.
 */
#include "history/wgl.h"

#include <stdlib.h>
#include <string.h>

/* A step of a call: one instant. A refused call has up to three. */
enum step_kind {
	STEP_TAKE,
	STEP_REFUSE,
	STEP_GIVE,
	STEP_LIMIT,
	STEP_HAND,   /* a refused call has some in hand */
	STEP_RETURN, /* and no more; after its STEP_HAND */
};

struct step {
	const struct history_event *e;
	enum step_kind kind;
	bool optional;
	uint32_t call;
};

#define STEPS_MAX 63u

struct seen {
	uint64_t done;
	uint32_t limit;
	bool used;
};

struct wgl {
	const struct history_owner *owner;
	struct step step[STEPS_MAX];
	uint32_t nsteps;
	uint64_t required; /* steps that must be done */
	uint64_t held;
	struct seen *seen;
	uint32_t nseen, cap;
	uint32_t reached; /* most required steps that were done, ever */
	const struct history_event *last;
};

/* True: it was there. */
static bool
remember(struct wgl *w, uint64_t done, uint32_t limit)
{
	uint64_t h =
	    (done ^ (uint64_t)limit << 57) * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t i = (uint32_t)(h >> 32) & (w->cap - 1), k;

	for (; w->seen[i].used; i = (i + 1) & (w->cap - 1))
		if (w->seen[i].done == done && w->seen[i].limit == limit)
			return (true);
	w->seen[i] = (struct seen) { done, limit, true };
	if (++w->nseen * 2 < w->cap)
		return (false);
	{
		struct seen *old = w->seen;
		uint32_t n = w->cap;

		w->cap *= 4;
		w->nseen = 0;
		w->seen = calloc(w->cap, sizeof(*w->seen));
		if (w->seen == NULL)
			abort();
		for (k = 0; k < n; k++)
			if (old[k].used)
				(void)remember(w, old[k].done, old[k].limit);
		free(old);
	}
	return (false);
}

static bool
is_done(uint64_t done, uint32_t step)
{
	return ((done >> step & 1) != 0);
}

/* What is held after these steps; of a call's own hand it knows nothing. */
static uint64_t
held_after(const struct wgl *w, uint64_t done, uint32_t but_call)
{
	uint64_t held = w->held;
	uint32_t i;

	for (i = 0; i < w->nsteps; i++) {
		const struct step *s = &w->step[i];

		if (!is_done(done, i))
			continue;
		if (s->kind == STEP_TAKE ||
		    (s->kind == STEP_HAND && s->call != but_call))
			held += s->e->units;
		else if (s->kind == STEP_GIVE ||
		    (s->kind == STEP_RETURN && s->call != but_call))
			held -= s->e->units;
	}
	return (held);
}

/* May the step be next: nothing that must be done before is left? */
static bool
is_next(const struct wgl *w, uint64_t done, uint32_t step)
{
	const struct step *s = &w->step[step];
	uint32_t i;

	if (is_done(done, step))
		return (false);
	if (s->kind == STEP_RETURN && !is_done(done, step - 1))
		return (false);
	for (i = 0; i < w->nsteps; i++) {
		const struct step *o = &w->step[i];

		/* What may be left out is not made up for later. */
		if (s->optional && is_done(done, i) && o->e->from > s->e->to)
			return (false);
		if (is_done(done, i) || i == step || o->e->to >= s->e->from)
			continue;
		/* It has ended before: done, or never; what it has in hand it
		 * must have given back. */
		if (!o->optional)
			return (false);
		if (o->kind == STEP_RETURN && is_done(done, i - 1))
			return (false);
	}
	return (true);
}

static bool
is_legal(const struct wgl *w, uint64_t done, uint32_t step, uint64_t least,
    uint64_t most)
{
	const struct step *s = &w->step[step];

	switch (s->kind) {
	case STEP_TAKE:
	case STEP_HAND:
		return (held_after(w, done, UINT32_MAX) + s->e->units <= most);
	case STEP_REFUSE:
		return (held_after(w, done, s->call) + s->e->units +
			w->owner->slack >
		    least);
	default:
		return (true);
	}
}

static enum wgl_verdict
search(struct wgl *w, uint64_t done, uint32_t limit)
{
	const struct history_event *l =
	    limit == 0 ? NULL : w->step[limit - 1].e;
	uint64_t least = l == NULL ? w->owner->least : l->least;
	uint64_t most = l == NULL ? w->owner->most : l->most;
	uint32_t i, n = (uint32_t)__builtin_popcountll(done & w->required);

	if ((done & w->required) == w->required)
		return (WGL_LINEARIZABLE);
	if (remember(w, done, limit))
		return (WGL_NOT);
	if (w->nseen > WGL_STATES_MAX)
		return (WGL_TOO_LONG);
	for (i = 0; i < w->nsteps; i++) {
		enum wgl_verdict v;

		if (!is_next(w, done, i))
			continue;
		if (!is_legal(w, done, i, least, most)) {
			if (n >= w->reached && !w->step[i].optional) {
				w->reached = n;
				w->last = w->step[i].e;
			}
			continue;
		}
		v = search(w, done | UINT64_C(1) << i,
		    w->step[i].kind == STEP_LIMIT ? i + 1 : limit);
		if (v != WGL_NOT)
			return (v);
	}
	return (WGL_NOT);
}

static void
add(struct wgl *w, const struct history_event *e, enum step_kind kind,
    bool optional, uint32_t call)
{
	if (!optional)
		w->required |= UINT64_C(1) << w->nsteps;
	w->step[w->nsteps++] = (struct step) { e, kind, optional, call };
}

/* False: too many. */
static bool
add_call(struct wgl *w, const struct history_event *e, uint32_t call)
{
	bool open = e->to == UINT64_MAX;

	if (call >= WGL_CALLS_MAX || w->nsteps + 3 > STEPS_MAX)
		return (false);
	switch (e->kind) {
	case HISTORY_TAKE:
		add(w, e, STEP_TAKE, open, call);
		break;
	case HISTORY_GIVE:
		add(w, e, STEP_GIVE, open, call);
		break;
	case HISTORY_LIMIT:
		add(w, e, STEP_LIMIT, open, call);
		break;
	case HISTORY_REFUSED:
		if (!e->excused)
			add(w, e, STEP_REFUSE, open, call);
		if (e->excused || w->owner->hands) {
			add(w, e, STEP_HAND, true, call);
			add(w, e, STEP_RETURN, true, call);
		}
		break;
	default:
		break;
	}
	return (true);
}

enum wgl_verdict
wgl_check(const struct history_event *e, size_t n,
    const struct history_owner *owner, uint64_t held,
    const struct history_event **ret_last)
{
	struct wgl w = { .owner = owner, .held = held, .cap = 64 };
	enum wgl_verdict v;
	size_t i;

	for (i = 0; i < n; i++)
		if (!add_call(&w, &e[i], (uint32_t)i))
			return (WGL_TOO_LONG);
	w.seen = calloc(w.cap, sizeof(*w.seen));
	if (w.seen == NULL)
		abort();
	v = search(&w, 0, 0);
	free(w.seen);
	if (ret_last != NULL)
		*ret_last = w.last;
	return (v);
}
