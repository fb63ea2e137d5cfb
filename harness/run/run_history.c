/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is there an order? The model judges each call by intervals, which is enough
 * for long runs and never wrong about what it rejects, but it accepts answers
 * that exclude each other (test_wgl.c). Where run_options.orders asks for it,
 * the calls of each cache, pipe and zone are kept as well, until none of them
 * is in flight: a *window*. If it has few calls, an order is searched for.
 *
 * What the contract lets an implementation do besides is left out of it, as in
 * the model: the refusal of a zone that shares its slabs, has callbacks of
 * slabs, a reserve or a maximum that was lowered; refusals beside calls that
 * move what is cached; those that a callback, a backend or the page layer
 * caused.
 */
#include "run_int.h"

#include <kalloc/flags.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/owner.h"
#include "history/wgl.h"

/* The reasons' numbers, from the one table of them. */
enum {
#define WHY(id, name, text) WHY_##id,
	KA_WHY_TABLE(WHY)
#undef WHY
};

struct window {
	struct history_owner owner;
	uint64_t held;	   /* before the window */
	uint64_t capacity; /* of a magazine or bucket */
	uint64_t most;	   /* of a cache: the greatest owner.most so far */
	uint64_t items;	   /* of a zone of the UMA interface on static memory */
	struct history_event event[WGL_CALLS_MAX];
	uint32_t n, inflight;
	bool known, judged; /* it was made; refusals are judged */
	bool calm;	    /* nothing in it moves what is cached, or waits */
	bool limits;	    /* its limit changes in it */
};

static struct window *windows[TRACE_CLASS_COUNT];
static uint32_t nwindows[TRACE_CLASS_COUNT];
static uint64_t now;
/* Of each frame: its call's event, in the window of its handle. */
static struct {
	uint32_t event;
	bool open, excused;
	bool drains; /* counted in drainers */
} frames[CALL_FRAMES_MAX];
/* Calls in flight that may have in hand what zones cache: those that wait for
 * pages, and reclaims of all. */
static uint32_t drainers;

static struct window *
window_of(enum trace_class class, uint32_t handle)
{
	uint32_t n = nwindows[class];
	struct window *w;

	if (handle < n)
		return (&windows[class][handle]);
	while (n <= handle)
		n = n == 0 ? 16 : n * 2;
	w = realloc(windows[class], n * sizeof(*w));
	if (w == NULL)
		abort();
	memset(w + nwindows[class], 0, (n - nwindows[class]) * sizeof(*w));
	windows[class] = w;
	nwindows[class] = n;
	return (&w[handle]);
}

void
run__history_reset(void)
{
	int class;
	uint32_t i;

	for (class = 0; class < TRACE_CLASS_COUNT; class ++)
		for (i = 0; i < nwindows[class]; i++)
			windows[class][i].known = false;
	memset(frames, 0, sizeof(frames));
	drainers = 0;
	now = 0;
}

/* Something moves in all zones, or in all that there is. */
static void disturb(enum trace_class class)
{
	uint32_t i;

	for (i = 0; i < nwindows[class]; i++)
		if (windows[class][i].known)
			windows[class][i].calm = false;
}

static void
drains(uint32_t frame)
{
	drainers += !frames[frame].drains;
	frames[frame].drains = true;
	disturb(TRACE_ZONE);
	disturb(TRACE_VMZONE);
}

void
run__history_excuse(uint32_t frame)
{
	if (frame >= CALL_FRAMES_MAX)
		return;
	frames[frame].excused = true;
	drains(frame);
}

/* What a call is to its owner; HISTORY_LIFE: nothing. */
static enum history_kind
kind_of(enum trace_opcode code)
{
	switch (code) {
	case TRACE_OP_OBJCACHE_GET:
	case TRACE_OP_MPIPE_ALLOC_NOWAIT:
	case TRACE_OP_MPIPE_ALLOC_WAITOK:
	case TRACE_OP_MPIPE_ALLOC_CALLBACK:
	case TRACE_OP_UMA_ZALLOC:
	case TRACE_OP_UMA_ZALLOC_ARG:
	case TRACE_OP_ZALLOC:
		return (HISTORY_TAKE);
	case TRACE_OP_OBJCACHE_PUT:
	case TRACE_OP_OBJCACHE_DTOR:
	case TRACE_OP_MPIPE_FREE:
	case TRACE_OP_UMA_ZFREE:
	case TRACE_OP_UMA_ZFREE_ARG:
	case TRACE_OP_ZFREE:
		return (HISTORY_GIVE);
	case TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT:
	case TRACE_OP_UMA_ZONE_SET_MAX:
	case TRACE_OP_ZINITNA:
		return (HISTORY_LIMIT);
	case TRACE_OP_UMA_ZONE_GET_MAX:
	case TRACE_OP_UMA_ZONE_GET_CUR:
	case TRACE_OP_MPIPE_WAIT:
		return (HISTORY_LIFE);
	default:
		return (HISTORY_OTHER);
	}
}

static bool
waits(const struct call *c)
{
	if (c->code == TRACE_OP_OBJCACHE_GET)
		return ((c->flags & (M_WAITOK | M_NULLOK)) == M_WAITOK);
	return ((c->code == TRACE_OP_UMA_ZALLOC ||
		    c->code == TRACE_OP_UMA_ZALLOC_ARG) &&
	    (c->flags & M_WAITOK) != 0);
}

/* ---- The order --------------------------------------------------------- */

static void
no_order(struct run_state *s, enum trace_class class, uint32_t handle,
    const struct window *w, const struct history_event *last)
{
	char expected[160], found[160];
	bool took = last != NULL && last->kind == HISTORY_TAKE;

	(void)snprintf(expected, sizeof(expected),
	    "an order of the %" PRIu32 " overlapping calls of %c%" PRIu32
	    " in which each is right, %" PRIu64 " held before",
	    w->n, trace_class_letter(class), handle, w->held);
	(void)snprintf(found, sizeof(found),
	    "none: line %" PRIu64 ", thread %" PRIu32 " %s", last->line,
	    last->thread, took ? "was given one too many" : "was refused");
	model_report(s->model, took ? w->owner.over : w->owner.refused,
	    last->name, expected, found);
}

static uint32_t
calls_of(const struct window *w)
{
	return (w->n < WGL_CALLS_MAX ? w->n : WGL_CALLS_MAX);
}

/* Refusals that are not judged are as if a callback had caused them. */
static void
excuse(struct window *w)
{
	uint32_t i;

	for (i = 0; i < calls_of(w); i++)
		if (!w->judged || !w->calm)
			w->event[i].excused = true;
}

static void
judge(struct run_state *s, enum trace_class class, uint32_t handle,
    struct window *w)
{
	const struct history_event *last = NULL;
	struct history_owner owner = w->owner;
	enum wgl_verdict v;
	uint32_t i;

	excuse(w);
	/* A lower limit takes nothing away from a cache. */
	for (i = 0; i < calls_of(w) && class == TRACE_CACHE; i++)
		if (w->event[i].kind == HISTORY_LIMIT)
			w->event[i].most = w->most;
	/* Each of the others may have a bucketful in hand; of one item that is
	 * what it returns. */
	if (owner.shy && w->capacity > 1)
		owner.slack += (w->n - 1) * w->capacity;
	s->result->windows++;
	v = w->n > WGL_CALLS_MAX ?
	    WGL_TOO_LONG :
	    wgl_check(w->event, w->n, &owner, w->held, &last);
	if (v == WGL_TOO_LONG)
		s->result->windows_long++;
	else if (v == WGL_NOT && last != NULL)
		no_order(s, class, handle, w, last);
}

/* What it says of itself now. False: it is not there any more. */
static bool
look(struct run_state *s, enum trace_class class, uint32_t handle,
    struct window *w, uint64_t boot_items)
{
	struct owner_stats st;
	bool there;

	sim_hold(true);
	there = s->subject->owner_stats(class, handle, &st);
	sim_hold(false);
	if (!there)
		return (false);
	history_owner_of(&w->owner, class, boot_items, &st);
	if (w->items != 0 && st.limit != 0 && st.limit < w->owner.most)
		w->owner.least = w->owner.most = st.limit;
	w->capacity = st.capacity > w->capacity ? st.capacity : w->capacity;
	w->most = w->owner.most > w->most ? w->owner.most : w->most;
	if (class == TRACE_CACHE)
		w->owner.most = w->most;
	if (class == TRACE_ZONE &&
	    w->owner.least >= 2 * (uint64_t)s->header->cpus)
		w->owner.slack = 2 * w->capacity * (s->header->cpus - 1);
	return (true);
}

static void
close_window(
    struct run_state *s, enum trace_class class, uint32_t handle, bool ended)
{
	struct window *w = window_of(class, handle);
	uint64_t least = w->owner.least;
	uint32_t i;

	judge(s, class, handle, w);
	/* A long window has counted already. */
	for (i = 0; i < calls_of(w) && !ended; i++) {
		w->held += w->event[i].kind == HISTORY_TAKE;
		w->held -= w->event[i].kind == HISTORY_GIVE;
	}
	if (w->limits && !ended) {
		w->known = look(s, class, handle, w, w->items);
		/* What is cached beyond a lower maximum is given to nobody. */
		if (class == TRACE_ZONE && w->owner.least < least)
			w->judged = false;
	}
	w->n = 0;
	w->calm = drainers == 0;
	w->limits = false;
}

/* ---- Calls ------------------------------------------------------------- */

void
run__history_begin(struct run_state *s, const struct call *c)
{
	const struct run_plan *plan = &run_plan[c->code];
	enum history_kind kind;
	struct history_event *e;
	struct window *w;

	frames[c->thread].open = frames[c->thread].excused = false;
	if (c->code == TRACE_OP_UMA_RECLAIM ||
	    c->code == TRACE_OP_KMALLOC_TRIM ||
	    c->code == TRACE_OP_THREAD_EXIT ||
	    c->code == TRACE_OP_MPIPE_ALLOC_WAITOK ||
	    c->code == TRACE_OP_MPIPE_WAIT)
		drains(c->thread);
	if (plan->class <= TRACE_RUN || plan->out > TRACE_RUN ||
	    c->handle == TRACE_NOREG)
		return;
	if (c->code == TRACE_OP_OBJCACHE_RECLAIMLIST)
		disturb(TRACE_CACHE);
	w = window_of((enum trace_class)plan->class, c->handle);
	kind = kind_of(c->code);
	if (!w->known || kind == HISTORY_LIFE)
		return;
	if (kind == HISTORY_OTHER || waits(c))
		w->calm = false;
	if (c->code == TRACE_OP_UMA_ZONE_RESERVE ||
	    c->code == TRACE_OP_UMA_ZONE_SET_SOURCE ||
	    (c->code == TRACE_OP_UMA_ZONE_SET_MAX &&
		s->owner[TRACE_ZONE][c->handle].statics))
		w->judged = false;
	w->limits |= kind == HISTORY_LIMIT;
	w->inflight++;
	frames[c->thread].open = true;
	frames[c->thread].event = w->n++;
	if (w->n > WGL_CALLS_MAX)
		return;
	e = &w->event[w->n - 1];
	*e = (struct history_event) { .from = ++now,
		.to = UINT64_MAX,
		.kind = kind,
		.units = 1,
		.line = c->line,
		.thread = c->thread % s->total,
		.name = trace_ops[c->code].name };
	if (kind == HISTORY_LIMIT) {
		uint64_t n =
		    c->n[0] <= 0 ? HISTORY_NO_LIMIT : (uint64_t)c->n[0];

		e->least = c->code == TRACE_OP_ZINITNA ? 0 : n;
		e->most = c->code == TRACE_OP_UMA_ZONE_SET_MAX ||
			n == HISTORY_NO_LIMIT ?
		    n :
		    n + 2 * w->capacity * s->header->cpus;
		if (c->code == TRACE_OP_ZINITNA)
			e->most = HISTORY_NO_LIMIT;
		/* The unit may be from before it, and the item from after it:
		 * to have both at one instant is not promised. */
		if (w->items != 0)
			e->most = w->items;
		w->most = e->most > w->most ? e->most : w->most;
	}
}

/* How it ended. A panic changes nothing; it was misuse, or a refusal. */
static void
ends(struct window *w, struct history_event *e, const struct call *c,
    bool excused)
{
	e->to = ++now;
	if (c->why != 0 && e->kind != HISTORY_TAKE) {
		e->kind = HISTORY_OTHER;
		w->calm = false;
	} else if (e->kind == HISTORY_TAKE && c->ret == 0) {
		e->kind = HISTORY_REFUSED;
		/* A pipe that cannot grow refuses nothing that it guarantees. */
		e->excused =
		    (excused && c->code != TRACE_OP_MPIPE_ALLOC_NOWAIT &&
			c->code != TRACE_OP_MPIPE_ALLOC_CALLBACK) ||
		    (c->why != 0 && c->why != WHY_LIMIT);
	}
}

static void
made(struct run_state *s, const struct call *c)
{
	enum trace_class class = (enum trace_class)run_plan[c->code].out;
	struct window *w = window_of(class, c->handle);

	memset(w, 0, sizeof(*w));
	if (c->code == TRACE_OP_UMA_ZCREATE_STATIC)
		w->items = (uint64_t)c->n[0];
	w->known = look(s, class, c->handle, w,
	    c->code == TRACE_OP_ZBOOTINIT ||
		    c->code == TRACE_OP_UMA_ZCREATE_STATIC ?
		(uint64_t)c->n[0] :
		0);
	w->calm = drainers == 0;
	w->judged = class != TRACE_ZONE ||
	    c->code == TRACE_OP_UMA_ZCREATE_STATIC ||
	    (c->code == TRACE_OP_UMA_ZCREATE &&
		(c->hooks & (1u << TRACE_HOOK_INIT | 1u << TRACE_HOOK_FINI)) ==
		    0);
	if (c->code == TRACE_OP_UMA_ZSECOND_CREATE &&
	    c->handle2 < nwindows[TRACE_ZONE])
		windows[TRACE_ZONE][c->handle2].judged = false;
}

void
run__history_end(struct run_state *s, const struct call *c)
{
	enum trace_class class = (enum trace_class)run_plan[c->code].class;
	uint32_t at = frames[c->thread].event;
	struct window *w;

	drainers -= frames[c->thread].drains;
	frames[c->thread].drains = false;
	if (run_plan[c->code].out > TRACE_RUN) {
		if (c->why == 0 && c->ret != 0)
			made(s, c);
		return;
	}
	if (!frames[c->thread].open)
		return;
	frames[c->thread].open = false;
	w = window_of(class, c->handle);
	if (at < WGL_CALLS_MAX)
		ends(w, &w->event[at], c, frames[c->thread].excused);
	else {
		w->held += kind_of(c->code) == HISTORY_TAKE && c->ret != 0;
		w->held -= kind_of(c->code) == HISTORY_GIVE && c->why == 0;
	}
	if (--w->inflight > 0)
		return;
	if (run_plan[c->code].ends_owner && c->why == 0)
		w->known = false;
	else
		close_window(s, class, c->handle, false);
}

void
run__history_finish(struct run_state *s)
{
	int class;
	uint32_t i;

	for (class = TRACE_CACHE; class < TRACE_CLASS_COUNT; class ++)
		for (i = 0; i < nwindows[class]; i++)
			if (windows[class][i].known && windows[class][i].n != 0)
				close_window(
				    s, (enum trace_class) class, i, true);
}
