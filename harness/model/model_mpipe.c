/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mpipes: MP-1 to MP-9.
 *
 * A buffer is an object of kmalloc that a call of the pipe asked for itself:
 * a kmalloc in the frame above that call, and not in a callback. Its stages:
 *
 *      raw   -> ready    constructed (at once, without a constructor)
 *      ready -> held     an allocation returned it
 *      held  -> ready    a free began
 *      ready -> ended -> freeing    deconstructed, on its way to kmalloc
 *
 * Only the bytes that the pipe was made for are written and verified: what a
 * pipe keeps, or zeroes, is them (MP-5). What lies behind is open.
 *
 * What calls in flight may have done makes intervals. A refusal or a sleep
 * needs, in its call, an instant at which
 *
 *      MP-1  held + allocations in flight - 1 + frees in flight >= nnom
 *      MP-2  no more buffers were ready than the calls in flight may have in
 *            their hands; and the pipe may have had nmax buffers, or the
 *            growth of this very call failed.
 *
 * For each of the three a pipe remembers the last event after which it held.
 * If growth failed and the call was refused, the first two must have held then
 * or later: a buffer that came back before, and stayed, is one that a shortage
 * cannot refuse.
 *
 * A callback (MP-4) is certainly pending from the return of its call until it
 * is called; it may come while the call is still in flight. Of two, the order
 * is certain if one call returned before the other began.
 */
#include <string.h>

#include "model_int.h"

#define NO_MAX UINT64_MAX

/* A callback that is due. */
struct mdue {
	uint64_t udata, line;
	uint64_t asked, queued; /* events when its call began and returned */
	uint32_t next;		/* in the order of queued */
};

struct mpipe {
	bool alive, opaque;
	uint32_t reg, hooks, flags, type;
	struct msleeps sleeps;
	uint64_t size;
	uint64_t nnom, nmax;
	uint64_t total; /* buffers; also raw ones */
	uint64_t ready, held;
	uint64_t getting, putting, waiting; /* calls in flight */
	uint64_t growing;		    /* kmallocs of the pipe in flight */
	uint64_t grown;	  /* calls in flight that have a new buffer */
	uint64_t taken;	  /* ready, but a mpipe_wait has grown them */
	uint64_t lost;	  /* room claimed by a growth that panicked */
	uint64_t claimed; /* calls that keep room while they wait to grow it */
	uint64_t requests, refusals;
	uint64_t events, used_at, empty_at, max_at;
	uint64_t pending, calling; /* callbacks */
	uint32_t due, due_last;
	uint32_t counted; /* model_commit.c; 0: by no commit points */
};

/* How the last growth in a call went. */
enum mgrowth {
	MGROWTH_NONE,
	MGROWTH_DONE,
	MGROWTH_PAGES, /* there were none */
	MGROWTH_LIMIT  /* or another cause that the pipe does not see end */
};

struct mmpframe {
	uint64_t begun;	    /* events of the pipe then */
	uint64_t failed_at; /* and when a growth failed last */
	uint64_t seed, udata;
	uint64_t fail_pages, fail_align;
	uint64_t ready; /* buffers when a free began */
	uint32_t freed; /* buffers to kmalloc */
	uint8_t growth; /* how the last one went */
	bool failed;	/* one did */
	bool fail_hard;
	bool at_limit; /* and because of the limit of: */
	uint32_t type;
	bool in_callback, growing, grown, taken, claimed, called;
	bool alone;
};

struct mmp {
	struct mpool pipe; /* by register + 1 */
	struct mpool due;
	uint32_t due_free;
	struct mmpframe frame[CALL_FRAMES_MAX];
};

bool
model__mp_init(struct model *m)
{
	m->mp = model__map(sizeof(*m->mp));
	return (m->mp != NULL &&
	    model__pool_init(&m->mp->pipe, sizeof(struct mpipe), 64) &&
	    model__pool_init(&m->mp->due, sizeof(struct mdue), 64));
}

void
model__mp_fini(struct model *m)
{
	if (m->mp == NULL)
		return;
	model__pool_fini(&m->mp->pipe);
	model__pool_fini(&m->mp->due);
	model__unmap(m->mp, sizeof(*m->mp));
	m->mp = NULL;
}

void
model__mp_reset(struct model *m)
{
	m->mp->pipe.high = m->mp->due.high = 1;
	m->mp->due_free = 0;
}

/* --- pipes --- */

/* The pipe of a register, also an ended one; NULL: there was none. */
static struct mpipe *
pipe_of(const struct model *m, uint32_t reg)
{
	return (model__by_reg(&m->mp->pipe, reg));
}

/* How deep into the pages its growth goes. */
static uint32_t
depth_of(const struct mpipe *p)
{
	return (
	    (p->flags & MPF_INT) != 0 ? VM_ALLOC_INTERRUPT : VM_ALLOC_SYSTEM);
}

uint32_t
model__mp_depth(const struct model *m, const struct mthread *th)
{
	const struct mpipe *p = pipe_of(m, th->handle);

	if (p == NULL || p->opaque || th->misuse ||
	    m->mp->frame[th->id].in_callback)
		return (VM_ALLOC_INTERRUPT);
	return (depth_of(p));
}

static struct mpipe *
pipe_alive(const struct model *m, uint32_t reg)
{
	struct mpipe *p = pipe_of(m, reg);

	return (p != NULL && p->alive ? p : NULL);
}

static bool
has_hook(const struct mpipe *p, enum trace_hook hook)
{
	return ((p->hooks >> hook & 1) != 0);
}

/* Are contents kept on reuse? Otherwise they are zero. */
static bool
keeps(const struct mpipe *p)
{
	return ((p->flags & (MPF_NOZERO | MPF_CACHEDATA)) != 0);
}

static bool
is_alloc(uint16_t code)
{
	return (code == TRACE_OP_MPIPE_ALLOC_NOWAIT ||
	    code == TRACE_OP_MPIPE_ALLOC_WAITOK ||
	    code == TRACE_OP_MPIPE_ALLOC_CALLBACK);
}

/* Something about the pipe has changed. */
static void
event(struct mpipe *p)
{
	uint64_t hands = p->getting + p->putting;

	p->events++;
	if (p->held + hands > p->nnom)
		p->used_at = p->events;
	if (hands + p->taken > p->ready)
		p->empty_at = p->events;
	if (p->nmax != NO_MAX &&
	    p->total + hands + p->waiting + p->lost > p->nmax + p->grown)
		p->max_at = p->events;
}

static uint64_t
calls_on(const struct mpipe *p)
{
	return (p->getting + p->putting + p->waiting + p->calling);
}

/* --- buffers --- */

static const char *
stage_name(const struct mobject *o)
{
	static const char *const names[] = {
		[MSTAGE_NONE] = "is not a pipe's",
		[MSTAGE_RAW] = "is not constructed",
		[MSTAGE_REFUSED] = "was refused",
		[MSTAGE_READY] = "is free",
		[MSTAGE_HELD] = "is held",
		[MSTAGE_ENDING] = "is ending",
		[MSTAGE_ENDED] = "is deconstructed",
		[MSTAGE_FREEING] = "went to kmalloc",
	};

	return (names[o->stage]);
}

static struct mobject *
buffer_of(const struct model *m, const struct mpipe *p, uint64_t addr)
{
	uint32_t i = addr == 0 ? 0 : model__object_find(m, addr);
	struct mobject *o = model__object(m, i);

	if (i == 0 || o->owner != TRACE_PIPE || o->handle != p->reg)
		return (NULL);
	return (o);
}

static void
fail_buffer(struct model *m, const struct mthread *th, const struct mpipe *p,
    const char *clause, const char *state, uint64_t addr, const char *expected)
{
	const struct mobject *o = buffer_of(m, p, addr);

	model__fail(m, th, clause, state);
	model__expected(m, "q%u: %s", p->reg, expected);
	if (o != NULL)
		model__found(m, "%s, which %s", model__object_text(m, o).s,
		    stage_name(o));
	else
		model__found(
		    m, "%s, no buffer of it", model__addr_text(m, addr).s);
}

static void
fill(struct model *m, struct mobject *o)
{
	o->seed = ++m->allocs * MODEL_SEED_STEP;
	o->inside = MBYTES_PATTERN;
	model__fill(m, (void *)(uintptr_t)o->addr, o->requested, o->seed);
}

/* The buffer is as who had it last left it, or zero. False: finding. */
static bool
is_kept(struct model *m, const struct mthread *th, const struct mobject *o,
    const char *clause, const char *by)
{
	const uint8_t *b = (const uint8_t *)(uintptr_t)o->addr;
	bool zero = o->inside == MBYTES_ZERO;
	uint64_t at = UINT64_MAX;

	if (zero)
		at = model__nonzero(m, b, o->requested, o->seed);
	else if (o->inside == MBYTES_PATTERN)
		at = model__verify(m, b, o->requested, o->seed, UINT64_MAX);
	if (MODEL_LIKELY(at == UINT64_MAX))
		return (true);
	model__fail(m, th, clause, zero ? "nonzero" : "contents");
	model__expected(
	    m, "%s %s", model__object_text(m, o).s, zero ? "to be zero" : by);
	model__found(m, "byte %" PRIu64 " is 0x%02x, not 0x%02x", at, b[at],
	    zero ? 0 : model__pattern_byte(o->seed, at));
	return (false);
}

/* --- the pipe's own kmalloc and kfree --- */

static bool
is_own(const struct model *m, const struct mthread *th, const struct mpipe *p)
{
	return (p != NULL && !m->mp->frame[th->id].in_callback && !th->skip);
}

/* May the pipe ask kmalloc for this? */
static bool
growth_obeys(struct model *m, const struct mthread *th, const struct mpipe *p,
    const struct call *c)
{
	bool init = th->code == TRACE_OP_MPIPE_INIT;
	/* On their way to kmalloc: by frees, and by waits that have grown. */
	uint64_t back = p->putting + p->taken;
	bool deep = (c->flags & M_USE_INTERRUPT_RESERVE) != 0;
	const char *clause = NULL, *state = NULL;

	if (th->misuse) {
		clause = "G-3";
		state = "allocates";
	} else if (!init && !is_alloc(th->code) &&
	    th->code != TRACE_OP_MPIPE_WAIT) {
		clause = "MP-2";
		state = "allocates";
	} else if (c->size != p->size || c->type != p->type) {
		clause = "MP-2";
		state = "size";
	} else if (!th->may_sleep && (c->flags & M_WAITOK) != 0) {
		clause = "G-4";
		state = "growth-waits";
	} else if (deep != ((p->flags & MPF_INT) != 0) && (deep || !init)) {
		clause = "MP-8";
		state = "reserve";
	} else if (p->total >= back &&
	    p->total - back >= (init ? p->nnom : p->nmax)) {
		clause = "MP-2";
		state = "too-many";
	} else {
		return (true);
	}
	model__fail(m, th, clause, state);
	model__expected(m,
	    "growth of q%u by %" PRIu64 " bytes%s, below its maximum, only in "
	    "calls that need it",
	    p->reg, p->size,
	    (p->flags & MPF_INT) != 0 ? ", with the reserves" : "");
	model__found(m,
	    "kmalloc of %" PRIu64 " bytes with flags 0x%x, %" PRIu64
	    " buffers exist",
	    c->size, c->flags, p->total);
	return (false);
}

static void
shrink_begins(struct model *m, const struct mthread *th, struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	uint32_t i = model__object_find(m, c->addr);
	struct mobject *o = buffer_of(m, p, c->addr);
	enum mstage from =
	    has_hook(p, TRACE_HOOK_DTOR) ? MSTAGE_ENDED : MSTAGE_READY;

	/* A kmalloc of the pipe's own that is no buffer would be its own. */
	if (o == NULL && i != 0 && model__object(m, i)->owner == TRACE_OBJ)
		return;
	if (o == NULL || o->stage != from || th->misuse) {
		fail_buffer(m, th, p, th->misuse ? "MP-9" : "MP-6", "frees",
		    c->addr, "only a buffer that is free and deconstructed");
		return;
	}
	if (keeps(p) && from == MSTAGE_READY &&
	    !is_kept(m, th, o, "MP-5", "as its last holder left it"))
		return;
	p->ready -= from == MSTAGE_READY;
	p->total--;
	f->freed++;
	f->seed = o->seed;
	o->stage = MSTAGE_FREEING;
	event(p);
}

void
model__mp_nested_begin(
    struct model *m, struct mthread *th, const struct call *c)
{
	struct mpipe *p = pipe_of(m, th->handle);
	struct mmpframe *f = &m->mp->frame[th->id];

	if (!is_own(m, th, p)) {
		uint32_t i = model__object_find(m, c->addr);

		/* Not judged any more; kmalloc's account goes on. */
		if (p != NULL && p->opaque && c->code == TRACE_OP_KFREE &&
		    buffer_of(m, p, c->addr) != NULL)
			model__object(m, i)->stage = MSTAGE_FREEING;
		return;
	}
	if (c->code == TRACE_OP_KFREE) {
		shrink_begins(m, th, f, p, c);
	} else if (c->code == TRACE_OP_KMALLOC) {
		f->growing = growth_obeys(m, th, p, c);
		p->growing += f->growing;
	}
}

/* A buffer can be had from now on. */
static void
born(struct mpipe *p, const struct mthread *th, struct mmpframe *f,
    struct mobject *o)
{
	o->stage = MSTAGE_READY;
	p->ready++;
	if (th->code == TRACE_OP_MPIPE_WAIT && !f->taken) {
		f->taken = true;
		p->taken++;
	}
	event(p);
}

/* Who may wait keeps the room that it has claimed, until it has grown or got
 * another buffer. */
static void
claim(struct mpipe *p, struct mmpframe *f, bool claimed)
{
	p->claimed += claimed;
	p->claimed -= f->claimed;
	f->claimed = claimed;
}

static void
growth_failed(
    struct mmpframe *f, const struct mpipe *p, const struct mthread *nested)
{
	f->failed = true;
	f->failed_at = p->events;
	f->growth = MGROWTH_LIMIT;
	f->at_limit = nested->limit_seen && !nested->overflow;
	f->type = nested->type;
	if (nested->limit_seen || nested->overflow || !nested->page_failed)
		return;
	f->growth = MGROWTH_PAGES;
	f->fail_pages = nested->fail_pages;
	f->fail_align = nested->fail_align;
	f->fail_hard = nested->page_hard;
}

void
model__mp_nested_end(struct model *m, struct mthread *th,
    const struct mthread *nested, const struct call *c)
{
	struct mpipe *p = pipe_of(m, th->handle);
	struct mmpframe *f = &m->mp->frame[th->id];
	struct mobject *o;
	uint32_t i;

	if (!is_own(m, th, p) || c->code != TRACE_OP_KMALLOC || !f->growing)
		return;
	f->growing = false;
	p->growing--;
	i = c->ret == 0 || c->why != 0 ? 0 : model__object_find(m, c->ret);
	if (i == 0) {
		growth_failed(f, p, nested);
		claim(p, f, th->may_sleep);
		return;
	}
	f->growth = MGROWTH_DONE;
	claim(p, f, false);
	if (th->code != TRACE_OP_MPIPE_INIT && !f->grown) {
		f->grown = true;
		p->grown++;
	}
	o = model__object(m, i);
	o->owner = TRACE_PIPE;
	o->handle = p->reg;
	o->kept = true;
	o->inside = (p->flags & MPF_NOZERO) != 0 ? MBYTES_OPEN : MBYTES_ZERO;
	o->bytes = MBYTES_OPEN;
	o->stage = MSTAGE_RAW;
	p->total++;
	if (has_hook(p, TRACE_HOOK_CTOR))
		event(p);
	else
		born(p, th, f, o);
}

/* --- callbacks --- */

static void
ctor_begins(struct model *m, struct mthread *th, struct mpipe *p,
    const struct callback *cb)
{
	const struct mobject *o = buffer_of(m, p, cb->addr);

	if (o == NULL || o->stage != MSTAGE_RAW)
		fail_buffer(m, th, p, "MP-6", "constructs", cb->addr,
		    "a constructor once for what came from kmalloc");
	else
		(void)is_kept(m, th, o, "MP-5", "");
}

static void
dtor_begins(struct model *m, struct mthread *th, struct mpipe *p,
    const struct callback *cb)
{
	struct mobject *o = buffer_of(m, p, cb->addr);

	if (o == NULL || o->stage != MSTAGE_READY) {
		fail_buffer(m, th, p, "MP-6", "deconstructs", cb->addr,
		    "a deconstructor once for what nobody holds");
		return;
	}
	if (keeps(p) &&
	    !is_kept(m, th, o, "MP-5", "as its last holder left it"))
		return;
	o->stage = MSTAGE_ENDED;
	p->ready--;
	event(p);
}

static struct mdue *
due_at(const struct model *m, uint32_t i)
{
	return ((struct mdue *)m->mp->due.base + i);
}

static void
fail_callback(struct model *m, const struct mpipe *p, const char *state,
    uint64_t udata, const char *expected)
{
	const struct mdue *first = due_at(m, p->due);

	model__fail_outside(m, "MP-4", "callback", state);
	if (p->due != 0)
		model__expected(m,
		    "q%u: %s; %" PRIu64 " of line %" PRIu64 " is the first",
		    p->reg, expected, first->udata, first->line);
	else
		model__expected(
		    m, "q%u: %s; none is pending", p->reg, expected);
	model__found(m, "callback %" PRIu64, udata);
}

/* Takes a pending callback off; 0: it is not there. */
static uint64_t
due_take(struct model *m, struct mpipe *p, uint64_t udata)
{
	uint32_t i = p->due, before = 0;

	while (i != 0 && due_at(m, i)->udata != udata) {
		before = i;
		i = due_at(m, i)->next;
	}
	if (i == 0)
		return (0);
	if (before == 0)
		p->due = due_at(m, i)->next;
	else
		due_at(m, before)->next = due_at(m, i)->next;
	if (p->due_last == i)
		p->due_last = before;
	due_at(m, i)->next = m->mp->due_free;
	m->mp->due_free = i;
	p->pending--;
	return (due_at(m, i)->asked);
}

/* The call in flight that asks for this callback; NULL: none. */
static struct mmpframe *
asker_in_flight(const struct model *m, const struct mpipe *p, uint64_t udata)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		const struct mthread *u = &m->thread[t];

		if (u->busy && u->code == TRACE_OP_MPIPE_ALLOC_CALLBACK &&
		    u->handle == p->reg && !u->skip && !u->misuse &&
		    m->mp->frame[t].udata == udata)
			return (&m->mp->frame[t]);
	}
	return (NULL);
}

static void
called_back(struct model *m, struct mpipe *p, const struct callback *cb)
{
	uint32_t thread = cb->thread % m->config.threads;
	uint64_t asked = due_take(m, p, cb->udata);
	struct mmpframe *f = NULL;

	p->calling++;
	if (m->config.trace_threads != 0 && thread < m->config.trace_threads) {
		fail_callback(m, p, "thread", cb->udata,
		    "callbacks in the support thread");
		return;
	}
	if (asked == 0) {
		f = asker_in_flight(m, p, cb->udata);
		if (f == NULL || f->called) {
			fail_callback(m, p, "unasked", cb->udata,
			    "each callback once after its call");
			return;
		}
		f->called = true;
		asked = f->begun;
	}
	if (p->due != 0 && due_at(m, p->due)->queued < asked)
		fail_callback(
		    m, p, "order", cb->udata, "callbacks first in, first out");
}

void
model__mp_callback(
    struct model *m, struct mthread *th, const struct callback *cb)
{
	struct mpipe *p = pipe_of(m, cb->handle);
	bool own = th->busy && trace_ops[th->code].group == TRACE_G_MP &&
	    th->handle == cb->handle;

	if (p == NULL || p->opaque)
		return;
	if (cb->hook == TRACE_HOOK_CALLBACK) {
		called_back(m, p, cb);
		return;
	}
	if (own && th->misuse) {
		bool end = th->code == TRACE_OP_MPIPE_DONE;

		model__fail(m, th, end ? "MP-9" : "G-3", "callback");
		model__expected(m, "misuse to be told before anything is done");
		model__found(m, "a callback of q%u", cb->handle);
		return;
	}
	if (!own) {
		model__fail_outside(m, "MP-6", "callback", "outside");
		model__expected(m, "callbacks only in calls on their pipe");
		model__found(m, "a callback of q%u", cb->handle);
		return;
	}
	m->mp->frame[cb->thread].in_callback = true;
	if (th->skip)
		return;
	if (cb->hook == TRACE_HOOK_CTOR)
		ctor_begins(m, th, p, cb);
	else if (cb->hook == TRACE_HOOK_DTOR)
		dtor_begins(m, th, p, cb);
}

void
model__mp_callback_done(
    struct model *m, struct mthread *th, const struct callback *cb)
{
	struct mpipe *p = pipe_of(m, cb->handle);
	struct mmpframe *f = &m->mp->frame[cb->thread];
	struct mobject *o;

	if (p == NULL || p->opaque)
		return;
	if (cb->hook == TRACE_HOOK_CALLBACK) {
		p->calling -= p->calling > 0;
		return;
	}
	f->in_callback = false;
	o = buffer_of(m, p, cb->addr);
	if (cb->hook != TRACE_HOOK_CTOR || th->skip || o == NULL ||
	    o->stage != MSTAGE_RAW)
		return;
	fill(m, o);
	born(p, th, f, o);
}

/* --- calls begin --- */

static void
misuse(struct mthread *th, uint32_t expect)
{
	if (expect == 0)
		return;
	th->expect = expect;
	th->misuse = (expect & WHY(NONE)) == 0;
}

static void
init_begins(struct model *m, struct mthread *th, const struct call *c)
{
	bool constructs = (c->hooks >> TRACE_HOOK_CTOR & 1) != 0;
	bool kept = (c->flags & (MPF_NOZERO | MPF_CACHEDATA)) != 0;
	uint32_t expect = 0;
	struct mpipe *p;

	th->may_sleep = true;
	if ((c->flags & ~(uint32_t)MPF_VALID) != 0 || (constructs && !kept))
		expect |= WHY(BAD_FLAGS);
	if (c->size == 0)
		expect |= WHY(BAD_ARG);
	if (!model__type_is_alive(m, th->type))
		expect |= WHY(BAD_TYPE);
	p = pipe_of(m, c->handle);
	if (p != NULL && p->alive)
		expect |= WHY(BUSY);
	misuse(th, expect);
	if (th->misuse || c->handle == TRACE_NOREG)
		return;
	p = model__by_reg_make(m, &m->mp->pipe, c->handle);
	if (p == NULL)
		return;
	*p = (struct mpipe) {
		.reg = c->handle,
		.hooks = c->hooks,
		.flags = c->flags,
		.type = c->type,
		.size = c->size,
		.nnom = c->n[0] < 1 ? 1 : (uint64_t)c->n[0],
		.nmax = c->n[1] < 0 ? NO_MAX : (uint64_t)c->n[1],
	};
	if (p->nmax < p->nnom)
		p->nmax = p->nnom;
}

static void
done_begins(const struct model *m, struct mthread *th, const struct mpipe *p,
    const struct call *c)
{
	bool ends = pipe_of(m, c->handle) != NULL;

	th->may_sleep = true;
	if (p == NULL)
		misuse(th, ends ? WHY(NONE) : WHY(NONE) | WHY(BAD_HANDLE));
	else if (p->held > 0 || p->pending > 0) {
		/* What a support thread has may be given back meanwhile. */
		bool moves = p->calling > 0 || (p->held == 0 && p->ready > 0);

		misuse(th, WHY(BUSY) | (moves ? WHY(NONE) : 0));
	} else if (calls_on(p) > 0) {
		misuse(th, WHY(BUSY) | WHY(NONE));
	}
}

static void
alloc_begins(struct mthread *th, struct mmpframe *f, struct mpipe *p,
    const struct call *c)
{
	if (c->code == TRACE_OP_MPIPE_ALLOC_CALLBACK &&
	    (p->flags & MPF_CALLBACK) == 0) {
		misuse(th, WHY(BAD_FLAGS));
		return;
	}
	th->may_sleep = c->code == TRACE_OP_MPIPE_ALLOC_WAITOK;
	p->getting++;
	event(p);
	f->begun = p->events;
	f->udata = c->udata;
}

static void
free_begins(struct model *m, struct mthread *th, struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	struct mobject *o = buffer_of(m, p, c->addr);

	th->addr = c->addr;
	if (c->addr == 0)
		return;
	if (o == NULL || o->stage != MSTAGE_HELD) {
		uint32_t expect = WHY(FOREIGN);

		if (o != NULL && o->stage == MSTAGE_READY)
			expect = WHY(DOUBLE_FREE);
		else if (o != NULL)
			expect |= WHY(DOUBLE_FREE);
		misuse(th, expect);
		return;
	}
	if (!is_kept(m, th, o, "G-2", "as its holder left it"))
		return;
	f->alone = calls_on(p) == 0;
	f->ready = p->ready;
	o->stage = MSTAGE_READY;
	o->kept = true;
	o->inside = keeps(p) ? o->inside : MBYTES_ZERO;
	p->held--;
	p->ready++;
	p->putting++;
	event(p);
	f->begun = p->events;
}

void
model__mp_begin(struct model *m, struct mthread *th, const struct call *c)
{
	struct mmpframe *f = &m->mp->frame[th->id];
	struct mpipe *p = pipe_alive(m, c->handle);

	memset(f, 0, sizeof(*f));
	if (c->code == TRACE_OP_MPIPE_HOOK) {
		th->skip = true; /* the laboratory's own */
	} else if (p != NULL && p->opaque) {
		th->skip = th->may_sleep = true;
	} else if (c->code == TRACE_OP_MPIPE_INIT) {
		init_begins(m, th, c);
	} else if (c->code == TRACE_OP_MPIPE_DONE) {
		done_begins(m, th, p, c);
	} else if (p == NULL) {
		misuse(th, WHY(BAD_HANDLE));
	} else if (c->code == TRACE_OP_MPIPE_FREE) {
		free_begins(m, th, f, p, c);
	} else if (c->code == TRACE_OP_MPIPE_WAIT) {
		th->may_sleep = true;
		p->waiting++;
		event(p);
		f->begun = p->events;
	} else {
		alloc_begins(th, f, p, c);
	}
}

/* --- calls end --- */

/* What is left of a pipe that could not be made. */
static void
disown_all(struct model *m, const struct mpipe *p)
{
	uint32_t i;

	for (i = 1; i < m->object.high; i++) {
		struct mobject *o = model__object(m, i);

		if (o->state == MOBJECT_LIVE && o->owner == TRACE_PIPE &&
		    o->handle == p->reg)
			model__object_disown(o);
	}
}

static bool
nested_panic(const struct mthread *th, const struct call *c)
{
	return (
	    c->why != 0 && (th->nested_why >> (unsigned)c->why % 32 & 1) != 0);
}

static void
init_panicked(struct model *m, struct mthread *th, const struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	bool limit = c->why == MODEL_WHY_LIMIT && f->growth == MGROWTH_LIMIT;
	uint64_t kept = p->total;

	if (!limit && !nested_panic(th, c)) {
		model__wrong_panic(m, th, c);
		return;
	}
	m->counts.panics++;
	disown_all(m, p);
	p->total = p->ready = 0;
	if (kept == 0 || f->in_callback)
		return;
	model__fail(m, th, "G-6", "buffers-kept");
	model__expected(
	    m, "no buffer kept of q%u, which could not be made", p->reg);
	model__found(m, "%" PRIu64, kept);
}

static void
init_ends(struct model *m, struct mthread *th, const struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	if (c->why != 0) {
		init_panicked(m, th, f, p, c);
		return;
	}
	p->alive = true;
	p->counted = model__counted(m, th, MODEL_COMMIT_PIPE);
	if (p->total == p->nnom && p->ready == p->nnom)
		return;
	model__fail(m, th, p->ready < p->total ? "MP-6" : "MP-1", "filled");
	model__expected(
	    m, "%" PRIu64 " buffers of q%u, constructed", p->nnom, p->reg);
	model__found(
	    m, "%" PRIu64 " buffers, %" PRIu64 " ready", p->total, p->ready);
}

static void
done_ends(struct model *m, struct mthread *th, const struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	const char *clause = NULL;

	if (c->why != 0) {
		if ((th->expect >> (unsigned)c->why % 32 & 1) != 0) {
			m->counts.panics++;
		} else if (nested_panic(th, c)) {
			m->counts.panics++;
			p->opaque = true;
			disown_all(m, p);
		} else {
			model__wrong_panic(m, th, c);
		}
		return;
	}
	if (p == NULL || !p->alive)
		return;
	p->alive = false;
	if (p->pending > 0)
		clause = "MP-4";
	else if (p->held > 0)
		clause = "MP-9";
	else if (p->total > 0)
		clause = "MP-6";
	if (clause == NULL)
		return;
	model__fail(m, th, clause, "left");
	model__expected(
	    m, "no buffer and no callback of q%u after its end", p->reg);
	model__found(m,
	    "%" PRIu64 " buffers, %" PRIu64 " held, %" PRIu64
	    " callbacks pending, %u freed",
	    p->total, p->held, p->pending, f->freed);
}

/* NULL, or a sleep: what allowed it? False: finding. */
static bool
was_justified(struct model *m, struct mthread *th, const struct mmpframe *f,
    const struct mpipe *p, const char *state)
{
	bool refused = state[0] == 'n' && f->failed;
	uint64_t since = refused ? f->failed_at : f->begun;
	bool used = p->used_at >= since;
	bool empty = p->empty_at >= since;
	bool full = p->max_at >= f->begun &&
	    (p->counted == 0 || p->counted == th->full);
	bool grown = full || f->failed;
	bool waitok = th->code == TRACE_OP_MPIPE_ALLOC_WAITOK;

	if (used && empty && grown)
		return (true);
	model__fail(m, th, !used ? "MP-1" : waitok ? "MP-3" : "MP-2", state);
	model__expected(m,
	    "a buffer of q%u: %" PRIu64 " held, %" PRIu64 " free of %" PRIu64
	    ", guaranteed %" PRIu64 "; growth %s",
	    p->reg, p->held, p->ready, p->total, p->nnom,
	    f->failed ? "failed" :
		grown ? "is at the maximum" :
			"was possible");
	model__found(m, "%s",
	    state[0] == 'n'	? "NULL" :
		state[0] == 's' ? "its thread slept" :
				  "a panic of its growth");
	return (false);
}

static void
queue(struct model *m, struct mpipe *p, const struct mmpframe *f,
    const struct mthread *th)
{
	uint32_t i = m->mp->due_free;

	if (f->called)
		return;
	if (i != 0)
		m->mp->due_free = due_at(m, i)->next;
	else if ((i = model__pool_take(&m->mp->due)) == 0) {
		model__out_of_memory(m);
		return;
	}
	*due_at(m, i) = (struct mdue) { .udata = f->udata,
		.line = th->line,
		.asked = f->begun,
		.queued = p->events };
	if (p->due == 0)
		p->due = i;
	else
		due_at(m, p->due_last)->next = i;
	p->due_last = i;
	p->pending++;
}

static void
alloc_refused(struct model *m, struct mthread *th, const struct mmpframe *f,
    struct mpipe *p)
{
	m->counts.refusals++;
	p->refusals++;
	if (th->code == TRACE_OP_MPIPE_ALLOC_WAITOK) {
		model__fail(m, th, "MP-3", "null");
		model__expected(m, "a buffer of q%u", p->reg);
		model__found(m, "NULL");
		return;
	}
	if (was_justified(m, th, f, p, "null") &&
	    th->code == TRACE_OP_MPIPE_ALLOC_CALLBACK)
		queue(m, p, f, th);
}

static void
alloc_returned(struct model *m, struct mthread *th, const struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	struct mobject *o = buffer_of(m, p, c->ret);

	if (o == NULL || o->stage != MSTAGE_READY) {
		bool held = o != NULL && o->stage == MSTAGE_HELD;

		fail_buffer(m, th, p,
		    held	  ? "G-2" :
			o == NULL ? "MP-2" :
				    "MP-6",
		    held ? "overlap" : "not-ready", c->ret,
		    "a constructed buffer that nobody holds");
		return;
	}
	if (f->called) {
		fail_callback(m, p, "got-one", f->udata,
		    "no callback after a call that got a buffer");
		return;
	}
	if (!is_kept(m, th, o, "MP-5", "as it was constructed or left"))
		return;
	o->stage = MSTAGE_HELD;
	o->kept = false;
	o->line = c->line;
	o->thread = th->id;
	p->ready--;
	p->held++;
	fill(m, o);
	model__count_covers(m, th, p->counted, p->held, "the pipe's buffers");
	if (p->held <= p->nmax)
		return;
	model__fail(m, th, "MP-2", "too-many");
	model__expected(
	    m, "at most %" PRIu64 " buffers of q%u held", p->nmax, p->reg);
	model__found(m, "%" PRIu64, p->held);
}

/* Only growth may panic, of a type that has ended or is at its limit. */
static bool
growth_panicked(struct model *m, struct mthread *th, const struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	if (!nested_panic(th, c))
		return (false);
	m->counts.panics++;
	p->lost++;
	(void)was_justified(m, th, f, p, "panic");
	return (true);
}

static void
alloc_ends(struct model *m, struct mthread *th, struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	if (c->why != 0) {
		if (!growth_panicked(m, th, f, p, c))
			model__wrong_panic(m, th, c);
	} else if (th->slept && !was_justified(m, th, f, p, "slept")) {
		return;
	} else if (c->ret == 0) {
		alloc_refused(m, th, f, p);
	} else {
		alloc_returned(m, th, f, p, c);
	}
	if (!m->judging)
		return;
	p->requests++;
	p->getting--;
	p->grown -= f->grown;
	claim(p, f, false);
	event(p);
}

/* A free gives to the array while that has room, else to kmalloc. */
static void
free_went(struct model *m, struct mthread *th, const struct mmpframe *f,
    const struct mpipe *p)
{
	bool kept = f->freed == 0;

	if (!f->alone ||
	    p->events !=
		f->begun + f->freed * (1u + has_hook(p, TRACE_HOOK_DTOR)) ||
	    kept == (f->ready < p->nnom))
		return;
	model__fail(m, th, "MP-7", kept ? "kept" : "freed");
	model__expected(m,
	    "%s: %" PRIu64
	    " buffers of q%u were free, there is room for %" PRIu64,
	    kept ? "the buffer to go to kmalloc" : "the buffer to be kept",
	    f->ready, p->reg, p->nnom);
	model__found(m, "%u buffers freed", f->freed);
}

static void
free_ends(struct model *m, struct mthread *th, struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	struct mobject *o = buffer_of(m, p, th->addr);

	if (c->why != 0) {
		if (nested_panic(th, c)) {
			m->counts.panics++;
			p->opaque = true;
			if (o != NULL && o->stage != MSTAGE_READY)
				model__object_disown(o);
		} else {
			model__wrong_panic(m, th, c);
		}
	} else if (th->addr != 0) {
		free_went(m, th, f, p);
	}
	if (!m->judging || th->addr == 0)
		return;
	p->putting--;
	event(p);
}

static void
wait_ends(struct model *m, struct mthread *th, struct mmpframe *f,
    struct mpipe *p, const struct call *c)
{
	if (c->why != 0 && !growth_panicked(m, th, f, p, c))
		model__wrong_panic(m, th, c);
	p->waiting--;
	p->taken -= f->taken;
	p->grown -= f->grown;
	claim(p, f, false);
	event(p);
	if (!m->judging || c->why != 0 || p->ready != 0 || p->opaque ||
	    !model__was_alone(m, th))
		return;
	model__fail(m, th, "MP-3", "none-free");
	model__expected(m, "to wait until a buffer of q%u is free", p->reg);
	model__found(m, "a return, and all %" PRIu64 " are held", p->total);
}

void
model__mp_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mmpframe *f = &m->mp->frame[th->id];
	struct mpipe *p = pipe_of(m, th->handle);

	if (th->misuse)
		model__misuse_return(m, th, c);
	else if (c->code == TRACE_OP_MPIPE_DONE)
		done_ends(m, th, f, p, c);
	else if (p == NULL)
		return;
	else if (c->code == TRACE_OP_MPIPE_INIT)
		init_ends(m, th, f, p, c);
	else if (c->code == TRACE_OP_MPIPE_FREE)
		free_ends(m, th, f, p, c);
	else if (c->code == TRACE_OP_MPIPE_WAIT)
		wait_ends(m, th, f, p, c);
	else
		alloc_ends(m, th, f, p, c);
	if (m->judging && p != NULL && !th->misuse &&
	    (c->code == TRACE_OP_MPIPE_ALLOC_WAITOK ||
		c->code == TRACE_OP_MPIPE_WAIT))
		model__count_sleep(
		    &p->sleeps, th, f->failed || !model__was_alone(m, th));
}

/* --- sleepers --- */

/* Is the type below its limit for certain? */
static bool
type_allows(struct model *m, const struct mmpframe *f)
{
	const struct mtype *t = model__type(m, f->type);

	return (
	    t->alive && t->ending == 0 && model__usage_upper(t) < t->limit_lo);
}

/* The type's limit refused the sleeper. Is there room, and a slab or pages? */
static bool
limit_allows(struct model *m, const struct mthread *th,
    const struct mmpframe *f, const struct mpipe *p)
{
	bool large = p->size > KA_KMALLOC_MAX;
	uint64_t bytes = large ? p->size : KA_SLAB_SIZE;

	if (th->page_failed || !type_allows(m, f))
		return (false);
	return (model__pages_can(m, (bytes + PAGE - 1) / PAGE,
	    large ? 0 : KA_SLAB_SIZE, depth_of(p)));
}

/* Is there room, and has the sleeper been told that there are no pages? */
static bool
wants_pages(struct model *m, const struct mthread *th, const struct mmpframe *f,
    const struct mpipe *p)
{
	uint64_t others = p->claimed - f->claimed;

	return (p->total + p->growing + p->lost + others < p->nmax &&
	    !f->growing && f->growth == MGROWTH_PAGES && !f->fail_hard &&
	    (!th->page_failed || !th->page_hard) && type_allows(m, f));
}

/* kmalloc refused the sleeper. Could it have what it asked for now? */
static bool
could_grow(struct model *m, const struct mthread *th, const struct mmpframe *f,
    const struct mpipe *p)
{
	uint64_t others = p->claimed - f->claimed;

	if (p->total + p->growing + p->lost + others >= p->nmax)
		return (false);
	if (f->growing) /* asleep in kmalloc, which is judged there */
		return (false);
	if (f->growth < MGROWTH_PAGES)
		return (true);
	if (f->growth == MGROWTH_LIMIT)
		return (f->at_limit && limit_allows(m, th, f, p));
	/* It may have seen since that the type is at its limit. */
	if (f->fail_hard || (th->page_failed && th->page_hard) ||
	    !type_allows(m, f))
		return (false);
	return (model__pages_can(m, f->fail_pages, f->fail_align, depth_of(p)));
}

void
model__mp_sleeper(struct model *m, struct mthread *th)
{
	const struct mpipe *p = pipe_of(m, th->handle);
	const struct mmpframe *f = &m->mp->frame[th->id];
	bool ready;

	if (f->in_callback || th->misuse || p == NULL || p->opaque)
		return;
	/* Who fills a pipe waits for pages; who ends one, for its thread. */
	if (th->code == TRACE_OP_MPIPE_INIT || th->code == TRACE_OP_MPIPE_DONE)
		return;
	/* The support thread is about to use the pipe. */
	if (p->calling > 0 || (p->pending > 0 && p->ready > 0))
		return;
	ready = p->ready > p->taken;
	if (!ready && !could_grow(m, th, f, p)) {
		if (wants_pages(m, th, f, p))
			model__hoarded(m, th, f->fail_pages);
		return;
	}
	model__fail(m, th, p->held < p->nnom && ready ? "MP-1" : "MP-3",
	    ready ? "free" : "growth");
	model__expected(m,
	    "to go on: %" PRIu64 " of %" PRIu64 " buffers of q%u are free",
	    p->ready, p->total, p->reg);
	model__found(m, "asleep, and nothing else runs");
}

/* --- what the subject reports --- */

static void
report_is(struct model *m, const struct mpipe *p, const char *clause,
    const char *what, uint64_t want, uint64_t found)
{
	if (!m->judging || want == found)
		return;
	model__fail(m, NULL, clause, what);
	model__expected(m, "%s of q%u: %" PRIu64, what, p->reg, want);
	model__found(m, "%" PRIu64, found);
}

void
model__mp_describe(struct model *m, enum trace_class class, uint32_t handle,
    const struct owner_stats *st)
{
	const struct mpipe *p = pipe_alive(m, handle);

	(void)class;
	if (p == NULL || p->opaque)
		return;
	report_is(m, p, "MP-2", "nnom", p->nnom, st->nnom);
	report_is(m, p, "MP-2", "nmax", p->nmax, st->nmax);
}

void
model__mp_check(struct model *m, enum trace_class class, uint32_t handle,
    const struct owner_stats *st)
{
	const struct mpipe *p = pipe_alive(m, handle);

	if (p == NULL || p->opaque || p->putting + p->growing + p->lost > 0)
		return;
	model__mp_describe(m, class, handle, st);
	report_is(m, p, "G-7", "total", p->total, st->total);
	if (p->calling == 0)
		report_is(m, p, "G-7", "pending", p->pending, st->pending);
	report_is(m, p, "G-7", "failures", p->refusals, st->failures);
	model__sleeps_hold(m, TRACE_PIPE, p->reg, &p->sleeps, st->sleeps);
	report_is(
	    m, p, "G-7", "requests", p->requests + p->getting, st->requests);
	if (p->ready + p->held < p->total) /* a constructor sleeps */
		return;
	report_is(m, p, "G-7", "free", p->ready, st->free);
	if (st->used != 0)
		report_is(m, p, "G-7", "used", p->held, st->used);
}

/* Everybody has done what there was to do: callbacks, too (MP-4). */
static void
pipe_at_end(struct model *m, const struct mpipe *p)
{
	const struct mdue *first = due_at(m, p->due);

	if (p->pending == 0 || p->ready <= p->taken || calls_on(p) > 0)
		return;
	model__fail(m, NULL, "MP-4", "lost");
	model__expected(m,
	    "callback %" PRIu64 " of q%u, asked for in line %" PRIu64
	    ": %" PRIu64 " buffers are free",
	    first->udata, p->reg, first->line, p->ready);
	model__found(m, "it was not called");
}

void
model__mp_at_end(struct model *m)
{
	uint32_t i;

	for (i = 1; i < m->mp->pipe.high && m->judging; i++)
		if (pipe_of(m, i - 1)->alive && !pipe_of(m, i - 1)->opaque)
			pipe_at_end(m, pipe_of(m, i - 1));
	for (i = 1; i < m->object.high && m->judging; i++) {
		const struct mobject *o = model__object(m, i);

		if (o->state == MOBJECT_LIVE && o->owner == TRACE_PIPE &&
		    (o->stage == MSTAGE_HELD || o->stage == MSTAGE_READY))
			(void)is_kept(m, NULL, o,
			    o->stage == MSTAGE_HELD ? "G-2" : "MP-5",
			    "as its holder left it");
	}
}
