/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objcaches: OC-1 to OC-12.
 *
 * An object of a cache is an object of kmalloc, or an item of a zone, that the
 * cache has taken over from its backend. To a zone it is held as any item, until
 * the backend gives it back; what is in it meanwhile is the cache's promise. Its
 * stages:
 *
 *      raw      -> refused   the constructor said no; freed without destructor
 *      raw      -> ready     constructed: in a magazine, or on its way there
 *      ready    -> held      a get returned it
 *      held     -> ready     a put began
 *      held     -> ending    objcache_dtor() began
 *      ready, ending -> ended -> freeing    destructor, backend
 *
 * A put makes its object ready at its invocation already: from then on any
 * get may return it. So that an object is *cached* is certain only when no
 * call is in flight.
 *
 * The limit L counts held objects (OC-6). How many others may have at most, at
 * an instant, is
 *
 *      held + gets in flight - 1 + puts in flight + lost
 *
 * and a refusal, or a sleep, needs an instant of its call at which that was L
 * or more. Whether there was one is told by one number a cache: the last of
 * its events after which that held. While a reclaim is in flight, or a get
 * that waits and therefore collects from other CPUs, cached objects may be in
 * nobody's reach: then every refusal is legal.
 *
 * A callback that panics (its kmalloc may, at a type's limit) takes its unit
 * of the quota with it: *lost*. If that happens on the way back to the
 * backend, nobody knows what the cache has lost; it is *opaque* then and not
 * judged any more.
 */
#include <string.h>

#include "model_int.h"

#define NO_LIMIT UINT64_MAX

struct mcache {
	bool alive, opaque;
	bool described; /* capacity is known */
	bool collected; /* a get may have objects of other CPUs in its hand */
	uint32_t reg, hooks;
	uint32_t zone; /* that it is over, or TRACE_NOREG */
	struct msleeps sleeps;
	uint64_t size;
	uint64_t limit_lo, limit_hi; /* apart while a change is in flight, and
	                                after two that were at one time */
	uint64_t setting;	     /* changes in flight */
	bool raced;
	uint64_t capacity, slack;
	uint64_t held, cached;
	uint64_t outside;				/* of the backend */
	uint64_t getting, putting, reclaiming, waiting; /* calls in flight */
	uint64_t lost;
	uint32_t counted; /* model_commit.c; 0: by no commit points */
	uint64_t gets, refusals;
	uint64_t events, full_at;
};

enum moc_phase {
	MOC_NOTHING,
	MOC_ASKED, /* the backend */
	MOC_RAW,
	MOC_MADE,
	MOC_REFUSED,
	MOC_DONE /* the backend has it again, or had none */
};

/* The call of a frame. */
struct mocframe {
	uint64_t begun; /* events of the cache then */
	uint64_t object, seed;
	uint64_t total; /* most that quota_total was during the call */
	uint32_t handle2;
	uint32_t freed[2]; /* objects, of handle and handle2 */
	uint32_t ended;	   /* destroyed and not yet freed */
	uint8_t phase;
	bool failed; /* backend or constructor did */
	bool in_callback;
	bool counted;  /* in getting or putting */
	bool alone[2]; /* on the cache, when it began */
	bool had[2];   /* cached objects, when it began */
	uint64_t begun2;
};

struct moc {
	struct mpool cache; /* by register + 1 */
	struct mocframe frame[CALL_FRAMES_MAX];
};

bool
model__oc_init(struct model *m)
{
	m->oc = model__map(sizeof(*m->oc));
	return (m->oc != NULL &&
	    model__pool_init(&m->oc->cache, sizeof(struct mcache), 64));
}

void
model__oc_fini(struct model *m)
{
	if (m->oc == NULL)
		return;
	model__pool_fini(&m->oc->cache);
	model__unmap(m->oc, sizeof(*m->oc));
	m->oc = NULL;
}

void
model__oc_reset(struct model *m)
{
	m->oc->cache.high = 1;
}

/* --- caches --- */

/* The cache of a register, also an ended one; NULL: there was none. */
static struct mcache *
cache_of(const struct model *m, uint32_t reg)
{
	return (model__by_reg(&m->oc->cache, reg));
}

static struct mcache *
cache_alive(const struct model *m, uint32_t reg)
{
	struct mcache *oc = cache_of(m, reg);

	return (oc != NULL && oc->alive ? oc : NULL);
}

static bool
has_hook(const struct mcache *oc, enum trace_hook hook)
{
	return ((oc->hooks >> hook & 1) != 0);
}

uint32_t
model__oc_zone(const struct model *m, uint32_t cache)
{
	const struct mcache *oc = cache_of(m, cache);

	return (oc == NULL ? TRACE_NOREG : oc->zone);
}

/* It came from the backend, and nobody has taken it over. */
static bool
is_backends(const struct mcache *oc, const struct mobject *o)
{
	if (oc->zone == TRACE_NOREG)
		return (o->owner == TRACE_OBJ && !o->run);
	return (o->owner == TRACE_ZONE && o->handle == oc->zone && !o->run);
}

/* The object is the backend's again, and nothing more. */
static void
disown(const struct mcache *oc, struct mobject *o)
{
	model__object_disown(o);
	if (oc->zone == TRACE_NOREG)
		return;
	o->owner = TRACE_ZONE;
	o->handle = oc->zone;
}

static uint64_t
limit_of(int32_t n)
{
	return (n > 0 ? (uint64_t)n : NO_LIMIT);
}

static uint64_t
total_of(const struct mcache *oc, uint64_t limit)
{
	return (
	    limit == NO_LIMIT || !oc->described ? NO_LIMIT : limit + oc->slack);
}

static bool
is_full(const struct mcache *oc)
{
	uint64_t used = oc->held + oc->getting + oc->putting + oc->lost;

	return (used > oc->limit_lo || oc->reclaiming > 0 || oc->collected);
}

/* Something about the cache has changed. */
static void
event(struct mcache *oc)
{
	oc->events++;
	if (oc->waiting == 0)
		oc->collected = false;
	if (!is_full(oc))
		return;
	oc->full_at = oc->events;
	if (oc->waiting > 0 && oc->limit_lo != NO_LIMIT)
		oc->collected = true;
}

static uint64_t
calls_on(const struct mcache *oc)
{
	return (oc->getting + oc->putting + oc->reclaiming);
}

/* --- objects --- */

static const char *
stage_name(const struct mobject *o)
{
	static const char *const names[] = {
		[MSTAGE_NONE] = "is not a cache's",
		[MSTAGE_RAW] = "is not constructed",
		[MSTAGE_REFUSED] = "was refused by its constructor",
		[MSTAGE_READY] = "is cached",
		[MSTAGE_HELD] = "is held",
		[MSTAGE_ENDING] = "was given to objcache_dtor",
		[MSTAGE_ENDED] = "is destroyed",
		[MSTAGE_FREEING] = "went to the backend",
	};

	return (names[o->stage]);
}

static struct mobject *
object_of(const struct model *m, const struct mcache *oc, uint64_t addr)
{
	uint32_t i = addr == 0 ? 0 : model__object_find(m, addr);
	struct mobject *o = model__object(m, i);

	if (i == 0 || o->owner != TRACE_CACHE || o->handle != oc->reg)
		return (NULL);
	return (o);
}

static void
fail_object(struct model *m, const struct mthread *th, const struct mcache *oc,
    const char *clause, const char *state, uint64_t addr, const char *expected)
{
	const struct mobject *o = object_of(m, oc, addr);

	model__fail(m, th, clause, state);
	model__expected(m, "c%u: %s", oc->reg, expected);
	if (o != NULL)
		model__found(m, "%s, which %s", model__object_text(m, o).s,
		    stage_name(o));
	else
		model__found(
		    m, "%s, no object of it", model__addr_text(m, addr).s);
}

/* The object is as the last one who had it left it. False: finding. */
static bool
is_kept(struct model *m, const struct mthread *th, const struct mobject *o,
    const char *clause, const char *by)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)o->addr;
	bool zero = o->bytes == MBYTES_ZERO;
	uint64_t at = UINT64_MAX;

	if (zero)
		at = model__nonzero(m, p, o->usable, o->seed);
	else if (o->bytes == MBYTES_PATTERN)
		at = model__verify(m, p, o->usable, o->seed, UINT64_MAX);
	if (MODEL_LIKELY(at == UINT64_MAX))
		return (true);
	model__fail(m, th, clause, "contents");
	model__expected(m, "%s as %s left it", model__object_text(m, o).s, by);
	model__found(m, "byte %" PRIu64 " is 0x%02x, not 0x%02x", at, p[at],
	    zero ? 0 : model__pattern_byte(o->seed, at));
	return (false);
}

/* --- calls begin --- */

static uint32_t
flags_expect(uint32_t flags)
{
	uint32_t family = flags & (M_WAITOK | M_RNOWAIT);

	if ((flags & ~(uint32_t)(M_VALID & ~M_ZERO)) != 0 || family == 0 ||
	    family == (M_WAITOK | M_RNOWAIT))
		return (WHY(BAD_FLAGS));
	return (0);
}

static void
misuse(struct mthread *th, uint32_t expect)
{
	if (expect == 0)
		return;
	th->expect = expect;
	th->misuse = (expect & WHY(NONE)) == 0;
}

static bool
is_create(unsigned code)
{
	return (code == TRACE_OP_OBJCACHE_CREATE ||
	    code == TRACE_OP_OBJCACHE_CREATE_ZONE);
}

static void
create_begins(const struct model *m, struct mthread *th, const struct call *c)
{
	th->may_sleep = true;
	if (c->n[0] < 0 || c->n[1] < 0)
		misuse(th, WHY(BAD_ARG));
	else if (c->code == TRACE_OP_OBJCACHE_CREATE_ZONE)
		return;
	/* Only a backend needs them, and it tells by itself. */
	else if (!model__type_is_alive(m, th->type))
		misuse(th, WHY(NONE) | WHY(BAD_TYPE));
	else if (c->size == 0)
		misuse(th, WHY(NONE) | WHY(BAD_ARG));
}

/* M_WAITOK without M_NULLOK waits at the limit; others do not (OC-5). */
static bool
waits(const struct mthread *th)
{
	return ((th->flags & (M_WAITOK | M_NULLOK)) == M_WAITOK);
}

static void
get_begins(struct mthread *th, struct mocframe *f, struct mcache *oc)
{
	misuse(th, flags_expect(th->flags));
	if (th->misuse)
		return;
	th->may_sleep = waits(th);
	f->total = total_of(oc, oc->limit_hi);
	f->alone[0] = calls_on(oc) == 0;
	f->had[0] = oc->cached > 0;
	f->counted = true;
	oc->getting++;
	oc->waiting += waits(th);
	event(oc);
	f->begun = oc->events;
}

/* An address that is not held is given back. */
static void
stray_begins(struct model *m, struct mthread *th, const struct mcache *oc,
    const struct mobject *o)
{
	if (th->addr == 0)
		misuse(th, WHY(NULL_FREE));
	else if (m->config.debug == 0 || has_hook(oc, TRACE_HOOK_EMPTY))
		m->judging = false; /* nobody promised to notice (OC-12) */
	else if (o != NULL && o->stage == MSTAGE_READY)
		misuse(th, WHY(DOUBLE_FREE));
	else
		misuse(th, WHY(DOUBLE_FREE) | WHY(FOREIGN));
}

static void
put_begins(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct call *c)
{
	struct mobject *o = object_of(m, oc, c->addr);
	bool dtor = c->code == TRACE_OP_OBJCACHE_DTOR;

	th->addr = c->addr;
	if (o == NULL || o->stage != MSTAGE_HELD) {
		stray_begins(m, th, oc, o);
		return;
	}
	if (!model__contents_kept(m, th, model__object_find(m, c->addr)))
		return;
	o->stage = dtor ? MSTAGE_ENDING : MSTAGE_READY;
	o->kept = true;
	f->object = o->addr;
	f->seed = o->seed;
	f->counted = true;
	oc->held--;
	oc->cached += !dtor;
	oc->putting++;
	event(oc);
	f->begun = oc->events;
}

static void
destroy_begins(struct mthread *th, const struct mcache *oc)
{
	th->may_sleep = true;
	if (oc->held > 0)
		misuse(th, WHY(BUSY));
	else if (oc->lost > 0 || calls_on(oc) > 0)
		misuse(th, WHY(NONE) | WHY(BUSY));
}

static void
reclaim_begins(const struct model *m, struct mthread *th, struct mocframe *f,
    const struct call *c)
{
	struct mcache *oc[2];
	unsigned i;

	oc[0] = cache_alive(m, c->handle);
	oc[1] = cache_alive(m, c->handle2);
	th->may_sleep = (th->flags & M_WAITOK) != 0;
	th->skip = (oc[0] != NULL && oc[0]->opaque) ||
	    (oc[1] != NULL && oc[1]->opaque);
	if (oc[0] == NULL)
		misuse(th, WHY(BAD_HANDLE) | flags_expect(th->flags));
	else if (oc[1] == NULL)
		misuse(
		    th, WHY(NONE) | WHY(BAD_HANDLE) | flags_expect(th->flags));
	else if (flags_expect(th->flags) != 0)
		misuse(th, WHY(NONE) | WHY(BAD_FLAGS));
	if (th->misuse || th->skip)
		return;
	f->counted = true;
	for (i = 0; i < 2; i++) {
		if (oc[i] == NULL || (i == 1 && oc[1] == oc[0]))
			continue;
		f->alone[i] = calls_on(oc[i]) == 0;
		f->had[i] = oc[i]->cached > 0;
		oc[i]->reclaiming++;
		event(oc[i]);
	}
	f->begun = oc[0]->events;
	f->begun2 = oc[1] == NULL ? 0 : oc[1]->events;
}

static void
limit_begins(struct model *m, struct mthread *th, struct mcache *oc,
    const struct call *c)
{
	uint64_t limit = limit_of(c->n[0]);
	uint32_t t;

	th->may_sleep = true;
	if (c->n[0] < 0) {
		misuse(th, WHY(BAD_ARG));
		return;
	}
	if (limit < oc->limit_lo)
		oc->limit_lo = limit;
	if (limit > oc->limit_hi)
		oc->limit_hi = limit;
	oc->raced = oc->setting++ != 0;
	event(oc);
	for (t = 0; t < m->frames; t++)
		if (m->thread[t].busy && m->thread[t].handle == oc->reg &&
		    m->thread[t].code == TRACE_OP_OBJCACHE_GET &&
		    m->oc->frame[t].total < total_of(oc, oc->limit_hi))
			m->oc->frame[t].total = total_of(oc, oc->limit_hi);
}

void
model__oc_begin(struct model *m, struct mthread *th, const struct call *c)
{
	struct mocframe *f = &m->oc->frame[th->id];
	struct mcache *oc = cache_alive(m, c->handle);

	memset(f, 0, sizeof(*f));
	f->handle2 =
	    c->code == TRACE_OP_OBJCACHE_RECLAIMLIST ? c->handle2 : TRACE_NOREG;
	th->flags = c->flags;
	if (c->code == TRACE_OP_OBJCACHE_HOOK) {
		th->skip = true; /* the laboratory's own */
		return;
	}
	if (is_create(c->code)) {
		create_begins(m, th, c);
		return;
	}
	if (c->code == TRACE_OP_OBJCACHE_RECLAIMLIST) {
		reclaim_begins(m, th, f, c);
		return;
	}
	if (oc == NULL) {
		misuse(th, WHY(BAD_HANDLE));
		if (c->code == TRACE_OP_OBJCACHE_GET)
			th->expect |= flags_expect(c->flags);
		else if (c->code == TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT)
			th->expect |= c->n[0] < 0 ? WHY(BAD_ARG) : 0;
		else if (c->addr == 0)
			th->expect |= WHY(NULL_FREE);
		return;
	}
	th->skip = oc->opaque;
	if (th->skip)
		th->may_sleep = true;
	else if (c->code == TRACE_OP_OBJCACHE_GET)
		get_begins(th, f, oc);
	else if (c->code == TRACE_OP_OBJCACHE_DESTROY)
		destroy_begins(th, oc);
	else if (c->code == TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT)
		limit_begins(m, th, oc, c);
	else
		put_begins(m, th, f, oc, c);
}

/* --- callbacks --- */

static bool
alloc_asked(struct model *m, struct mthread *th, struct mocframe *f,
    const struct mcache *oc, const struct callback *cb)
{
	const char *state = NULL, *clause = "OC-1";

	if (th->code != TRACE_OP_OBJCACHE_GET) {
		state = "backend";
	} else if (cb->flags != th->flags) {
		state = "flags";
	} else if (f->phase != MOC_NOTHING) {
		state = "backend-again";
	} else if (m->config.cpus == 1 && f->alone[0] && f->had[0] &&
	    oc->events == f->begun) {
		clause = "OC-3";
		state = "cached";
	}
	f->phase = MOC_ASKED;
	if (state == NULL)
		return (true);
	model__fail(m, th, clause, state);
	model__expected(m,
	    "the backend asked once, by a get of c%u that finds nothing, with "
	    "flags 0x%x",
	    oc->reg, th->flags);
	model__found(m, "it is asked with 0x%x, %" PRIu64 " objects cached",
	    cb->flags, oc->cached);
	return (false);
}

static void
constructed(struct mcache *oc, struct mocframe *f, struct mobject *o)
{
	f->phase = MOC_MADE;
	o->stage = MSTAGE_READY;
	oc->cached++;
}

static bool
backend_obeyed(struct model *m, const struct mthread *th,
    const struct mcache *oc, const struct mobject *o)
{
	/* An item's first bytes are judged by its zone, and its holder's since. */
	bool zero = has_hook(oc, TRACE_HOOK_ZERO) && oc->zone == TRACE_NOREG;

	if (o->requested != oc->size || (zero && o->bytes != MBYTES_ZERO)) {
		model__fail(m, th, "OC-1", "asked-for");
		model__expected(m, "%" PRIu64 "%s bytes of the backend of c%u",
		    oc->size, zero ? " zero" : "", oc->reg);
		model__found(m, "%" PRIu64 " bytes, %s", o->requested,
		    o->bytes == MBYTES_ZERO ? "zero" : "not zero");
		return (false);
	}
	return (true);
}

/* The backend has answered. */
static void
alloc_answered(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct callback *cb)
{
	uint32_t i = cb->ret == 0 ? 0 : model__object_find(m, cb->ret);
	struct mobject *o = model__object(m, i);

	if (cb->ret == 0) {
		f->failed = true;
		f->phase = MOC_DONE;
		return;
	}
	if (cb->ret == ZERO_PTR) { /* objects of no bytes are all one */
		oc->opaque = th->skip = true;
		return;
	}
	if (i == 0 || !is_backends(oc, o)) {
		fail_object(
		    m, th, oc, "OC-1", "not-fresh", cb->ret, "fresh memory");
		return;
	}
	if (!backend_obeyed(m, th, oc, o))
		return;
	o->owner = TRACE_CACHE;
	o->handle = oc->reg;
	o->kept = true;
	o->stage = MSTAGE_RAW;
	f->object = o->addr;
	f->seed = o->seed;
	f->phase = MOC_RAW;
	oc->outside++;
	if (oc->outside > f->total &&
	    oc->outside > total_of(oc, oc->limit_hi)) {
		model__fail(m, th, "OC-6", "too-many");
		model__expected(m,
		    "at most %" PRIu64 " objects of c%u outside of the backend",
		    f->total, oc->reg);
		model__found(m, "%" PRIu64, oc->outside);
		return;
	}
	if (!has_hook(oc, TRACE_HOOK_CTOR))
		constructed(oc, f, o);
}

static void
ctor_begins(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct callback *cb)
{
	const struct mobject *o = object_of(m, oc, cb->addr);

	if (o == NULL || o->stage != MSTAGE_RAW || f->phase != MOC_RAW ||
	    f->object != cb->addr)
		fail_object(m, th, oc, "OC-3", "constructs", cb->addr,
		    "a constructor only for what the backend just gave");
	else if (cb->flags != th->flags) {
		model__fail(m, th, "OC-1", "flags");
		model__expected(m, "the flags of the get, 0x%x", th->flags);
		model__found(m, "its constructor is told 0x%x", cb->flags);
	} else {
		(void)is_kept(m, th, o, "OC-1", "the backend");
	}
}

static void
ctor_ends(struct model *m, struct mocframe *f, struct mcache *oc,
    const struct callback *cb)
{
	struct mobject *o = object_of(m, oc, cb->addr);

	if (o == NULL || o->stage != MSTAGE_RAW)
		return;
	if (cb->ret != 0) {
		constructed(oc, f, o);
		model__object_fill(m, o);
		return;
	}
	f->failed = true;
	f->phase = MOC_REFUSED;
	o->stage = MSTAGE_REFUSED;
}

/* The object leaves the cache for good: may it, in this call? */
static bool
may_leave(
    const struct mthread *th, const struct mocframe *f, const struct mobject *o)
{
	if (th->code == TRACE_OP_OBJCACHE_DTOR)
		return (o->stage == MSTAGE_ENDING && o->addr == th->addr);
	return (o->stage == MSTAGE_READY ||
	    (o->stage == MSTAGE_ENDING && o->addr == f->object));
}

static void
dtor_begins(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct callback *cb)
{
	struct mobject *o = object_of(m, oc, cb->addr);

	if (o == NULL || !may_leave(th, f, o)) {
		fail_object(m, th, oc, "OC-3", "destroys", cb->addr,
		    "a destructor once, for what nobody holds");
		return;
	}
	if (!is_kept(m, th, o, "OC-4", "its last holder"))
		return;
	oc->cached -= o->stage == MSTAGE_READY;
	o->stage = MSTAGE_ENDED;
	f->object = o->addr;
	f->ended++;
}

static bool
may_free(const struct mthread *th, const struct mcache *oc,
    const struct mocframe *f, const struct mobject *o)
{
	if (o->stage == MSTAGE_REFUSED)
		return (f->object == o->addr);
	if (has_hook(oc, TRACE_HOOK_DTOR))
		return (o->stage == MSTAGE_ENDED && f->ended > 0);
	return (may_leave(th, f, o));
}

static void
free_begins(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct callback *cb)
{
	struct mobject *o = object_of(m, oc, cb->addr);
	uint32_t i = cb->handle == th->handle ? 0 : 1;

	if (o == NULL || !may_free(th, oc, f, o)) {
		fail_object(m, th, oc, "OC-3", "frees", cb->addr,
		    "a free of what was refused or destroyed just now");
		return;
	}
	oc->cached -= o->stage == MSTAGE_READY;
	f->ended -= o->stage == MSTAGE_ENDED;
	f->freed[i]++;
	if (f->phase == MOC_REFUSED)
		f->phase = MOC_DONE;
	f->object = o->addr;
	f->seed = o->seed;
	o->stage = MSTAGE_FREEING;
	oc->outside--;
}

static void
free_ends(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct callback *cb)
{
	const struct mobject *o = object_of(m, oc, cb->addr);

	if (o != NULL && o->seed == f->seed && o->stage == MSTAGE_FREEING)
		fail_object(m, th, oc, "OC-1", "not-freed", cb->addr,
		    "the backend to free the object");
}

/* Of a cache that is not judged: only what keeps kmalloc's account true. */
static void
opaque_callback(struct model *m, struct mcache *oc, const struct callback *cb)
{
	uint64_t addr = cb->hook == TRACE_HOOK_ALLOC ? cb->ret : cb->addr;
	uint32_t i = addr == 0 ? 0 : model__object_find(m, addr);
	struct mobject *o = model__object(m, i);

	if (i == 0 || (!is_backends(oc, o) && o->owner != TRACE_CACHE))
		return;
	if (cb->hook == TRACE_HOOK_ALLOC) {
		o->owner = TRACE_CACHE;
		o->handle = oc->reg;
		o->kept = true;
		o->stage = MSTAGE_READY;
		o->bytes = MBYTES_OPEN;
	} else if (cb->hook == TRACE_HOOK_FREE) {
		o->stage = MSTAGE_FREEING;
		o->bytes = MBYTES_OPEN;
	}
}

/* The callback runs in a call that may make it. False: not judged further. */
static bool
callback_belongs(struct model *m, const struct mthread *th,
    const struct mocframe *f, const struct mcache *oc,
    const struct callback *cb)
{
	bool own = th->busy && trace_ops[th->code].group == TRACE_G_OC &&
	    (cb->handle == th->handle || cb->handle == f->handle2) &&
	    !is_create(th->code);

	if (oc != NULL && own && !th->misuse)
		return (true);
	if (oc != NULL && own) {
		bool destroy = th->code == TRACE_OP_OBJCACHE_DESTROY;

		model__fail(m, th, destroy ? "OC-10" : "G-3", "callback");
		model__expected(m, "misuse to be told before anything is done");
	} else {
		model__fail_outside(m, "OC-3", "callback", "outside");
		model__expected(m, "callbacks only in calls on their cache");
	}
	model__found(m, "a callback of c%u", cb->handle);
	return (false);
}

/* The constructors' argument, or the backend's, where the other one belongs. */
static void
told_another(struct model *m, const struct mthread *th, const struct mcache *oc,
    const struct callback *cb)
{
	bool backend =
	    cb->hook == TRACE_HOOK_ALLOC || cb->hook == TRACE_HOOK_FREE;

	model__fail(m, th, backend ? "OC-1" : "OC-3", "argument");
	model__expected(m, "%s of c%u to be told its own argument",
	    trace_hook_name(cb->hook), oc->reg);
	model__found(m, "%s",
	    backend ? "that of the constructors" : "that of the backend");
}

void
model__oc_callback(
    struct model *m, struct mthread *th, const struct callback *cb)
{
	struct mcache *oc = cache_of(m, cb->handle);
	struct mocframe *f = &m->oc->frame[cb->thread];

	if (!callback_belongs(m, th, f, oc, cb))
		return;
	f->in_callback = true;
	if (th->skip || oc->opaque) {
		opaque_callback(m, oc, cb);
		return;
	}
	if (cb->udata != 0)
		told_another(m, th, oc, cb);
	else if (cb->hook == TRACE_HOOK_ALLOC)
		(void)alloc_asked(m, th, f, oc, cb);
	else if (cb->hook == TRACE_HOOK_CTOR)
		ctor_begins(m, th, f, oc, cb);
	else if (cb->hook == TRACE_HOOK_DTOR)
		dtor_begins(m, th, f, oc, cb);
	else if (cb->hook == TRACE_HOOK_FREE)
		free_begins(m, th, f, oc, cb);
}

void
model__oc_callback_done(
    struct model *m, struct mthread *th, const struct callback *cb)
{
	struct mcache *oc = cache_of(m, cb->handle);
	struct mocframe *f = &m->oc->frame[cb->thread];

	f->in_callback = false;
	if (oc == NULL || !th->busy)
		return;
	if (th->skip || oc->opaque) {
		opaque_callback(m, oc, cb);
		return;
	}
	if (cb->hook == TRACE_HOOK_ALLOC) {
		alloc_answered(m, th, f, oc, cb);
		if (oc->opaque)
			opaque_callback(m, oc, cb);
	} else if (cb->hook == TRACE_HOOK_CTOR) {
		ctor_ends(m, f, oc, cb);
	} else if (cb->hook == TRACE_HOOK_DTOR) {
		struct mobject *o = object_of(m, oc, cb->addr);

		if (o != NULL && o->stage == MSTAGE_ENDED)
			model__object_fill(m, o);
	} else if (cb->hook == TRACE_HOOK_FREE) {
		free_ends(m, th, f, oc, cb);
	}
}

/* --- calls end --- */

/* A panic that a callback brought up from a call of its own is no verdict on
 * the cache; what the callback had in its hand is lost to it. */
static bool
came_from_above(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct call *c)
{
	struct mobject *o;

	if (c->why == 0 || oc == NULL || !f->in_callback ||
	    (th->nested_why >> (unsigned)c->why % 32 & 1) == 0)
		return (false);
	m->counts.panics++;
	oc->lost++;
	oc->opaque = oc->opaque || th->code != TRACE_OP_OBJCACHE_GET;
	o = object_of(m, oc, f->object);
	if (o != NULL && o->stage != MSTAGE_READY && o->stage != MSTAGE_HELD) {
		oc->outside -= o->stage != MSTAGE_FREEING;
		disown(oc, o);
	}
	return (true);
}

static void
create_ends(struct model *m, struct mthread *th, const struct call *c)
{
	struct mcache *oc;

	if (th->misuse ||
	    (c->why != 0 && (th->expect >> (unsigned)c->why % 32 & 1) == 0)) {
		model__misuse_return(m, th, c);
		return;
	}
	if (c->why != 0 || c->handle == TRACE_NOREG) {
		m->counts.panics += c->why != 0;
		return;
	}
	oc = model__by_reg_make(m, &m->oc->cache, c->handle);
	if (oc == NULL)
		return;
	*oc = (struct mcache) {
		.alive = true,
		.reg = c->handle,
		.hooks = c->hooks,
		.zone = c->code == TRACE_OP_OBJCACHE_CREATE_ZONE ? c->handle2 :
								   TRACE_NOREG,
		.size = c->size,
		.limit_lo = limit_of(c->n[0]),
		.limit_hi = limit_of(c->n[0]),
		.counted = model__counted(m, th, MODEL_COMMIT_CACHE),
	};
}

static void
get_refused(struct model *m, struct mthread *th, const struct mocframe *f,
    struct mcache *oc)
{
	bool seen = oc->full_at >= f->begun &&
	    (oc->counted == 0 || oc->counted == th->full);

	m->counts.refusals++;
	oc->refusals++;
	if (f->failed || (seen && !waits(th)))
		return;
	if (waits(th) || oc->limit_hi == NO_LIMIT)
		model__fail(m, th, "OC-5", "null-no-cause");
	else
		model__fail(m, th, "OC-6", "null-below-limit");
	model__expected(m,
	    "an object of c%u: neither backend nor constructor failed, %" PRIu64
	    " are held, the limit is %" PRId64 "%s",
	    oc->reg, oc->held,
	    oc->limit_lo == NO_LIMIT ? 0 : (int64_t)oc->limit_lo,
	    seen ? ", and it may wait" : "");
	model__found(m, "NULL");
}

static void
get_returned(struct model *m, struct mthread *th, const struct mocframe *f,
    struct mcache *oc, const struct call *c)
{
	struct mobject *o = object_of(m, oc, c->ret);

	if (f->failed) {
		model__fail(m, th, "OC-5", "failed-object");
		model__expected(m,
		    "NULL: the backend or the constructor of c%u failed",
		    oc->reg);
		model__found(m, "%s", model__addr_text(m, c->ret).s);
		return;
	}
	if (o == NULL || o->stage != MSTAGE_READY) {
		bool held = o != NULL && o->stage == MSTAGE_HELD;

		fail_object(m, th, oc,
		    held	  ? "G-2" :
			o == NULL ? "OC-1" :
				    "OC-3",
		    held ? "overlap" : "not-ready", c->ret,
		    "a constructed object that nobody holds");
		return;
	}
	if (!is_kept(m, th, o, "OC-4", "the constructor or the last put"))
		return;
	o->stage = MSTAGE_HELD;
	o->kept = false;
	o->line = c->line;
	o->thread = th->id;
	oc->cached--;
	oc->held++;
	oc->gets++;
	model__count_covers(
	    m, th, oc->counted, oc->held, "the cache's objects");
	if (oc->limit_hi != NO_LIMIT && oc->held > oc->limit_hi)
		model__slack(m, oc->held - oc->limit_hi, oc->slack);
	model__object_fill(m, o);
}

/* What a get may not leave behind. */
static bool
get_is_tidy(struct model *m, struct mthread *th, const struct mocframe *f,
    struct mcache *oc)
{
	if (f->phase == MOC_RAW || f->phase == MOC_REFUSED) {
		bool raw = f->phase == MOC_RAW;

		fail_object(m, th, oc, raw ? "OC-3" : "OC-5",
		    raw ? "unconstructed" : "memory-kept", f->object,
		    raw ? "a constructor for every object" :
			  "what was refused to go back to the backend");
		return (false);
	}
	if (th->slept && oc->full_at < f->begun) {
		model__fail(m, th, "OC-6", "slept-below-limit");
		model__expected(m,
		    "no sleep: the limit of c%u is %" PRIu64 ", %" PRIu64
		    " are held",
		    oc->reg, oc->limit_lo, oc->held);
		model__found(m, "its thread slept");
		return (false);
	}
	return (true);
}

static void
get_ends(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct call *c)
{
	if (came_from_above(m, th, f, oc, c))
		;
	else if (c->why != 0)
		model__wrong_panic(m, th, c);
	else if (!get_is_tidy(m, th, f, oc))
		return;
	else if (c->ret == 0)
		get_refused(m, th, f, oc);
	else
		get_returned(m, th, f, oc, c);
	if (!m->judging)
		return;
	oc->getting--;
	oc->waiting -= waits(th);
	event(oc);
}

static void
put_ends(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct call *c)
{
	const struct mobject *o = object_of(m, oc, th->addr);

	if (came_from_above(m, th, f, oc, c))
		;
	else if (c->why != 0)
		model__wrong_panic(m, th, c);
	else if (f->ended > 0)
		fail_object(m, th, oc, "OC-3", "not-freed", f->object,
		    "a destroyed object to be freed");
	else if (th->code == TRACE_OP_OBJCACHE_DTOR && o != NULL &&
	    o->stage == MSTAGE_ENDING && o->seed == f->seed)
		fail_object(m, th, oc, "OC-10", "not-destroyed", th->addr,
		    "objcache_dtor to destroy the object");
	if (!m->judging)
		return;
	oc->putting--;
	event(oc);
}

static void
destroy_ends(struct model *m, struct mthread *th, struct mocframe *f,
    struct mcache *oc, const struct call *c)
{
	if (came_from_above(m, th, f, oc, c))
		return;
	if (c->why != 0) {
		if ((th->expect >> (unsigned)c->why % 32 & 1) == 0)
			model__wrong_panic(m, th, c);
		return;
	}
	if (f->ended > 0 || oc->outside > 0) {
		model__fail(m, th, "OC-10", "objects-left");
		model__expected(m,
		    "every cached object of c%u destroyed and freed", oc->reg);
		model__found(m, "%" PRIu64 " objects outside of the backend",
		    oc->outside + f->ended);
		return;
	}
	oc->alive = false;
}

static const char *
reclaim_broke(const struct mocframe *f, const struct mcache *a,
    const struct mcache *b, bool ret)
{
	bool any = f->freed[0] + f->freed[1] > 0;
	bool alone_a = f->alone[0] && a->events == f->begun;
	bool alone_b = b != NULL && f->alone[1] && b->events == f->begun2;

	if (ret != any)
		return ("returns");
	if (f->freed[0] > 0 && f->freed[1] > 0)
		return ("went-on");
	if (f->freed[1] > 0 && alone_a && f->had[0])
		return ("order");
	if (!any && ((alone_a && f->had[0]) || (alone_b && f->had[1])))
		return ("kept-all");
	return (NULL);
}

static void
reclaim_ends(struct model *m, struct mthread *th, struct mocframe *f,
    const struct call *c)
{
	struct mcache *a = cache_of(m, th->handle);
	struct mcache *b = cache_alive(m, f->handle2);
	const char *broke = NULL;

	if (came_from_above(m, th, f, a, c)) {
		if (b != NULL)
			b->opaque = true;
	} else if (c->why != 0) {
		if ((th->expect >> (unsigned)c->why % 32 & 1) == 0)
			model__wrong_panic(m, th, c);
	} else {
		broke = f->ended > 0 ? "not-freed" :
				       reclaim_broke(f, a, b, c->ret != 0);
		if (broke == NULL && model__was_alone(m, th) &&
		    ((f->freed[0] != 0 && a->cached != 0) ||
			(f->freed[1] != 0 && b != NULL && b->cached != 0)))
			broke = "left";
	}
	if (broke != NULL) {
		model__fail(m, th, "OC-11", broke);
		model__expected(m,
		    "all cached objects freed of the first of c%u and c%u that "
		    "has any, and true exactly if any was",
		    th->handle, f->handle2);
		model__found(m, "%u and %u freed, %s", f->freed[0], f->freed[1],
		    c->ret != 0 ? "true" : "false");
	}
	a->reclaiming--;
	event(a);
	if (b == NULL || a == b)
		return;
	b->reclaiming--;
	event(b);
}

static void
limit_ends(struct model *m, struct mthread *th, struct mcache *oc,
    const struct call *c)
{
	if (c->why != 0) {
		model__wrong_panic(m, th, c);
		return;
	}
	MODEL_ASSERT(oc->setting > 0);
	oc->setting--;
	if (!oc->raced)
		oc->limit_lo = oc->limit_hi = limit_of(c->n[0]);
	event(oc);
}

void
model__oc_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mocframe *f = &m->oc->frame[th->id];
	struct mcache *oc = cache_of(m, th->handle);

	if (is_create(c->code))
		create_ends(m, th, c);
	else if (th->misuse)
		model__misuse_return(m, th, c);
	else if (c->code == TRACE_OP_OBJCACHE_RECLAIMLIST)
		reclaim_ends(m, th, f, c);
	else if (c->code == TRACE_OP_OBJCACHE_GET) {
		if (oc != NULL)
			model__count_sleep(&oc->sleeps, th, false);
		get_ends(m, th, f, oc, c);
	} else if (c->code == TRACE_OP_OBJCACHE_DESTROY)
		destroy_ends(m, th, f, oc, c);
	else if (c->code == TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT)
		limit_ends(m, th, oc, c);
	else
		put_ends(m, th, f, oc, c);
}

/* --- sleepers --- */

/* Other calls on the cache that are in a callback: each has a unit of quota.
 * UINT64_MAX: one of them may have any number of objects. */
static uint64_t
calls_in_callbacks(const struct model *m, const struct mcache *oc)
{
	uint64_t n = 0;
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		const struct mthread *u = &m->thread[t];
		const struct mocframe *f = &m->oc->frame[t];

		if (!u->busy || trace_ops[u->code].group != TRACE_G_OC ||
		    (u->handle != oc->reg && f->handle2 != oc->reg) ||
		    !f->in_callback)
			continue;
		if (u->code != TRACE_OP_OBJCACHE_GET)
			return (UINT64_MAX);
		n++;
	}
	return (n);
}

void
model__oc_sleeper(struct model *m, struct mthread *th)
{
	const struct mcache *oc = cache_of(m, th->handle);
	uint64_t busy;

	if (th->code != TRACE_OP_OBJCACHE_GET || oc == NULL) {
		model__fail(m, th, "G-5", "no-cause");
		model__expected(m, "to go on: there is nothing to wait for");
		model__found(m, "asleep, and nothing else runs");
		return;
	}
	busy = calls_in_callbacks(m, oc);
	if (busy == UINT64_MAX || oc->opaque)
		return;
	if (busy > 0 || oc->cached == 0) {
		if (oc->held + oc->lost + busy >= total_of(oc, oc->limit_lo))
			return;
		model__fail(m, th, "OC-8", "below-limit");
	} else {
		model__fail(m, th, "OC-8", "cached");
	}
	model__expected(m,
	    "to go on: %" PRIu64 " objects of c%u are held, %" PRIu64
	    " cached, the limit is %" PRId64,
	    oc->held, oc->reg, oc->cached,
	    oc->limit_lo == NO_LIMIT ? 0 : (int64_t)oc->limit_lo);
	model__found(m, "asleep, and nothing else runs");
}

/* --- what the subject reports --- */

static void
report_is(struct model *m, const struct mcache *oc, const char *clause,
    const char *what, uint64_t want, uint64_t found)
{
	if (!m->judging || want == found)
		return;
	model__fail(m, NULL, clause, what);
	model__expected(m, "%s of c%u: %" PRIu64, what, oc->reg, want);
	model__found(m, "%" PRIu64, found);
}

void
model__oc_describe(struct model *m, enum trace_class class, uint32_t handle,
    const struct owner_stats *st)
{
	struct mcache *oc = cache_alive(m, handle);

	(void)class;
	if (oc == NULL || oc->opaque)
		return;
	if (oc->described)
		report_is(
		    m, oc, "OC-11", "capacity", oc->capacity, st->capacity);
	oc->capacity = st->capacity;
	oc->slack = 2 * m->config.cpus * st->capacity;
	oc->described = true;
	/* The limit may have been changed again since: see check. */
}

static void
limit_is(struct model *m, const struct mcache *oc, const struct owner_stats *st)
{
	uint64_t limit = oc->limit_lo == NO_LIMIT ? 0 : oc->limit_lo;

	if (oc->limit_lo != oc->limit_hi)
		return;
	report_is(m, oc, "G-7", "limit", limit, st->limit);
	if (limit != 0)
		report_is(m, oc, "OC-6", "quota_total", limit + oc->slack,
		    (uint64_t)st->quota_total);
}

void
model__oc_check(struct model *m, enum trace_class class, uint32_t handle,
    const struct owner_stats *st)
{
	struct mcache *oc = cache_alive(m, handle);
	int64_t sum;

	if (oc == NULL || oc->opaque || oc->putting + oc->reclaiming > 0)
		return;
	model__oc_describe(m, class, handle, st);
	limit_is(m, oc, st);
	report_is(m, oc, "G-7", "used", oc->held, st->used);
	model__sleeps_hold(m, TRACE_CACHE, oc->reg, &oc->sleeps, st->sleeps);
	if (calls_in_callbacks(m, oc) > 0)
		return;
	report_is(m, oc, "G-7", "cached", oc->cached, st->cached);
	report_is(m, oc, "G-7", "requests", oc->gets, st->requests);
	report_is(m, oc, "G-7", "failures", oc->refusals, st->failures);
	if (!m->judging || st->limit == 0)
		return;
	sum = st->quota + (int64_t)(st->used + st->cached);
	if (sum <= st->quota_total &&
	    sum >= st->quota_total - (int64_t)oc->lost)
		return;
	model__fail(m, NULL, "OC-7", "quota");
	model__expected(m,
	    "quota, held and cached objects of c%u to be %" PRId64, oc->reg,
	    st->quota_total);
	model__found(m, "%" PRId64 " + %" PRIu64 " + %" PRIu64, st->quota,
	    st->used, st->cached);
}

/* Contents are verified with those of all live objects. */
void
model__oc_at_end(struct model *m)
{
	(void)m;
}
