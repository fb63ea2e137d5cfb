/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that free an address or ask about one, and their misuse.
 *
 * What a call may end in is a set, computed when it begins. If no other
 * thread is active until it returns, that set is exact.
 *
 * A trace may also race with itself: one thread frees what another thread has
 * freed, or will get in a moment. Then the subject, not the model, decides
 * which of the two calls is the double free; every answer is legal as long as
 * the account is even: as many frees succeed at an address as objects ended
 * there. Such calls are *stale*: they name an address that was not certainly
 * live under their type. A stale free that succeeds must have taken
 *
 *   an object that became live there since,
 *   the object of another free in flight, which then becomes stale itself, or
 *   an object that an allocation in flight has not returned yet (stolen).
 *
 * A race of krealloc with a free of the same object leaves nothing certain:
 * the model stops judging the run.
 */
#include "model_int.h"

/* What naming an address may end in, types aside. */
static uint32_t
address_expect(struct model *m, uint64_t addr, bool plain)
{
	uint32_t o;

	if (addr == 0)
		return (WHY(NULL_FREE));
	if (addr == ZERO_PTR)
		return (WHY(NONE));
	o = model__object_find(m, addr);
	if (model__is_zone_page(m, addr))
		return (
		    WHY(FOREIGN) | (o == 0 && plain ? WHY(DOUBLE_FREE) : 0));
	if (o != 0)
		return (model__object(m, o)->run ? WHY(FOREIGN) : WHY(NONE));
	if (!model__is_kmalloc_page(m, addr))
		return (WHY(FOREIGN) | (plain ? WHY(DOUBLE_FREE) : 0));
	if (model__granule_is_live(m, addr))
		return (WHY(INTERIOR));
	if (model__was_freed(m, addr))
		return (WHY(DOUBLE_FREE));
	return (WHY_STALE);
}

uint32_t
model__free_expect(struct model *m, const struct mthread *th, bool plain)
{
	uint32_t expect = address_expect(m, th->addr, plain);
	uint32_t o;

	if (th->addr == ZERO_PTR)
		return (model__type_is_alive(m, th->type) ?
			expect :
			expect | WHY(BAD_TYPE));
	if (expect == WHY(NONE)) {
		o = model__object_find(m, th->addr);
		if (model__object(m, o)->type != th->type)
			expect = WHY(WRONG_TYPE);
	}
	if (!model__type_is_alive(m, th->type))
		expect = (expect & ~WHY(NONE)) | WHY(BAD_TYPE);
	return (expect);
}

/* Does the other call have an object at the address, or free it too? */
static bool
is_rival(const struct model *m, const struct mthread *th,
    const struct mthread *u, uint64_t addr)
{
	if (u == th || !u->busy)
		return (false);
	if (u->object != 0 && model__object(m, u->object)->addr == addr)
		return (true);
	return (u->stale && u->addr == addr);
}

bool
model__has_rival(const struct model *m, const struct mthread *th, uint64_t addr)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++)
		if (is_rival(m, th, &m->thread[t], addr))
			return (true);
	return (false);
}

/* Marks all calls that are after the same object as th. */
static void
contest(struct model *m, struct mthread *th, uint64_t addr)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		struct mthread *u = &m->thread[t];

		if (!is_rival(m, th, u, addr))
			continue;
		th->contested = true;
		if (u->code == TRACE_OP_KREALLOC ||
		    th->code == TRACE_OP_KREALLOC)
			m->judging = false;
	}
}

void
model__stale_begin(struct model *m, struct mthread *th)
{
	uint32_t t;

	th->misuse = true;
	th->stale = true;
	m->nstale++;
	if (m->inflight < 2)
		return;
	for (t = 0; t < m->frames; t++)
		m->thread[t].lower_min = 0;
	contest(m, th, th->addr);
}

void
model__stale_end(struct model *m, struct mthread *th)
{
	if (!th->stale)
		return;
	MODEL_ASSERT(m->nstale > 0);
	th->stale = false;
	m->nstale--;
}

void
model__take(struct model *m, struct mthread *th, uint32_t object)
{
	const struct mobject *o = model__object(m, object);

	if (MODEL_UNLIKELY(m->nstale > 0))
		contest(m, th, o->addr);
	if (m->config.contents != MODEL_CONTENTS_NONE && !th->contested &&
	    !model__contents_kept(m, th, object))
		return;
	th->object = object;
	model__object_leave(m, object);
	if (model__is_kalloc(m))
		model__type_free_begin(m, o->type, o->usable);
}

bool
model__take_undo(struct model *m, struct mthread *th)
{
	uint32_t object = th->object;
	const struct mobject *o = model__object(m, object);

	th->object = 0;
	if (model__is_kalloc(m))
		model__type_free_undo(m, o->type, o->usable);
	return (model__object_enter(m, th, object));
}

void
model__take_done(struct model *m, struct mthread *th)
{
	uint32_t object = th->object;
	const struct mobject *o = model__object(m, object);

	th->object = 0;
	if (model__is_kalloc(m))
		model__type_free_end(m, o->type, o->usable);
	model__object_release(m, object);
	m->counts.frees++;
}

/*
 * A race had an effect: an object was ended by a call that its owner knows
 * nothing of. What is in the memory of the calls in flight is open.
 */
static void
contents_open(struct model *m)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++)
		m->thread[t].contested = true;
}

/* The stale free turns out to be the free of a certain object. */
static void
stale_gets(struct model *m, struct mthread *th, uint32_t object)
{
	contents_open(m);
	th->guessed = true;
	model__stale_end(m, th);
	th->misuse = false;
	th->expect = WHY(NONE);
	th->object = object;
}

/* The live object that the stale free may have taken, or 0. */
static uint32_t
stale_target(const struct model *m, const struct mthread *th)
{
	uint32_t o = model__object_find(m, th->addr);

	if (o == 0 || model__object(m, o)->run ||
	    model__object(m, o)->type != th->type)
		return (0);
	return (o);
}

bool
model__stale_took(struct model *m, uint64_t lo, uint64_t hi)
{
	bool took = false;
	uint32_t t, o;

	for (t = 0; t < m->frames; t++) {
		struct mthread *u = &m->thread[t];

		if (!u->busy || !u->stale || u->addr < lo || u->addr >= hi)
			continue;
		if (u->code == TRACE_OP_KREALLOC) {
			m->judging = false;
			return (false);
		}
		o = stale_target(m, u);
		if (o == 0)
			continue;
		model__object_leave(m, o);
		model__type_free_begin(m, u->type, model__object(m, o)->usable);
		stale_gets(m, u, o);
		took = true;
	}
	return (took);
}

bool
model__stale_takes(struct model *m, const struct mthread *th, uint32_t object)
{
	struct mobject *o = model__object(m, object);
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		struct mthread *u = &m->thread[t];

		if (!u->busy || !u->stale || u->addr != o->addr ||
		    u->type != th->type)
			continue;
		if (u->code == TRACE_OP_KREALLOC ||
		    th->code == TRACE_OP_KREALLOC) {
			m->judging = false;
			return (true);
		}
		o->state = MOBJECT_TRANSIT;
		model__type_add(m, o->type, o->usable);
		model__type_free_begin(m, o->type, o->usable);
		stale_gets(m, u, object);
		return (true);
	}
	return (false);
}

bool
model__was_stolen(struct model *m, const struct mthread *th, uint64_t addr)
{
	uint32_t i;

	for (i = 0; i < m->nstolen; i++) {
		if (m->stolen[i].addr != addr || m->stolen[i].type != th->type)
			continue;
		m->stolen[i] = m->stolen[--m->nstolen];
		return (true);
	}
	return (false);
}

/* A stale free took what an allocation in flight has yet to return. */
static bool
steal(struct model *m, const struct mthread *th)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		const struct mthread *u = &m->thread[t];

		if (u == th || !u->busy || u->type != th->type ||
		    !(u->allocating || u->stale))
			continue;
		if (u->stale && u->code != TRACE_OP_KREALLOC)
			continue;
		contents_open(m);
		if (u->stale || m->nstolen == STOLEN_MAX)
			m->judging = false;
		else
			m->stolen[m->nstolen++] = (struct mstolen) { th->addr,
				th->line, th->type, th->id };
		return (true);
	}
	return (false);
}

/* Another call that has the object of a stale free in transit. */
static struct mthread *
owner_in_flight(struct model *m, const struct mthread *th)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		struct mthread *u = &m->thread[t];

		if (u != th && u->busy && u->object != 0 &&
		    model__object(m, u->object)->addr == th->addr &&
		    model__object(m, u->object)->type == th->type)
			return (u);
	}
	return (NULL);
}

/*
 * A stale free succeeded: which object was it? False: there was none. One
 * that another free in flight has is preferred to one that is live: that
 * other free becomes stale, and may still turn out to have ended the live one.
 */
static bool
stale_succeeded(struct model *m, struct mthread *th)
{
	struct mthread *u = owner_in_flight(m, th);
	uint32_t o = stale_target(m, th);

	if (u != NULL) {
		stale_gets(m, th, u->object);
		u->object = 0;
		u->expect = WHY_STALE | WHY(WRONG_TYPE);
		model__stale_begin(m, u);
	} else if (o != 0) {
		model__object_leave(m, o);
		model__type_free_begin(
		    m, th->type, model__object(m, o)->usable);
		stale_gets(m, th, o);
	} else {
		return (steal(m, th));
	}
	model__take_done(m, th);
	return (true);
}

/* A free of a live object lost it to a stale one that is still in flight. */
static bool
hand_over(struct model *m, struct mthread *th)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		struct mthread *u = &m->thread[t];

		if (u == th || !u->busy || !u->stale || u->addr != th->addr ||
		    u->type != th->type)
			continue;
		if (u->code == TRACE_OP_KREALLOC) {
			m->judging = false;
			return (true);
		}
		stale_gets(m, u, th->object);
		th->object = 0;
		return (true);
	}
	return (false);
}

void
model__kfree_begin(struct model *m, struct mthread *th, const struct call *c)
{
	bool plain = th->code != TRACE_OP_KFREE_WILD;
	uint32_t o;

	th->addr = c->addr;
	if (th->code == TRACE_OP_KFREE_INTERIOR) {
		th->addr += c->size;
		plain = c->size == 0;
	}
	o = th->addr == 0 || th->addr == ZERO_PTR ?
	    0 :
	    model__object_find(m, th->addr);
	if (!model__is_kalloc(m)) {
		th->skip = o == 0;
		if (o != 0)
			model__take(m, th, o);
		return;
	}
	if (MODEL_UNLIKELY(
		o != 0 && !model__object_is_loose(model__object(m, o)))) {
		m->judging = false;
		return;
	}
	if (MODEL_LIKELY(o != 0 && model__object(m, o)->type == th->type &&
		model__type_is_alive(m, th->type))) {
		model__take(m, th, o);
		return;
	}
	th->expect = model__free_expect(m, th, plain);
	th->seed = o == 0 ? 0 : model__object(m, o)->seed;
	if (th->addr == ZERO_PTR)
		return;
	if (th->addr == 0 || !model__type_is_alive(m, th->type))
		th->misuse = true;
	else
		model__stale_begin(m, th);
}

/* A live object is there under another type, all the time. */
static bool
is_wrong_type_still(struct model *m, const struct mthread *th)
{
	uint32_t o = model__object_find(m, th->addr);

	return (th->expect == WHY(WRONG_TYPE) && o != 0 &&
	    model__object(m, o)->seed == th->seed &&
	    !model__has_rival(m, th, th->addr));
}

bool
model__stale_panicked(struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t why = UINT32_C(1) << c->why % 32;

	if ((th->expect & why) != 0 || model__type_ended_under(m, th, c))
		return (true);
	if (model__was_alone(m, th) || is_wrong_type_still(m, th))
		return (false);
	return (((WHY_STALE | WHY(WRONG_TYPE)) & why) != 0);
}

/* The free of an object ended in a panic: who ended the object? */
static void
owner_panicked(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mobject *o = model__object(m, th->object);
	uint32_t why = UINT32_C(1) << c->why % 32;

	if (model__type_ended_under(m, th, c)) {
		(void)model__take_undo(m, th);
	} else if (((WHY_STALE | WHY(WRONG_TYPE)) & why) == 0) {
		model__wrong_panic(m, th, c);
	} else if (hand_over(m, th)) {
		return;
	} else if (th->guessed) {
		/* Nobody: that it was stale and took the object was wrong. */
		if (model__take_undo(m, th))
			model__fill(
			    m, (void *)(uintptr_t)o->addr, o->usable, o->seed);
	} else {
		model__wrong_panic(m, th, c);
	}
}

static void
kfree_panicked(struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t why = UINT32_C(1) << c->why % 32;

	m->counts.panics++;
	if (th->object != 0)
		owner_panicked(m, th, c);
	else if (th->stale ? !model__stale_panicked(m, th, c) :
			     (th->expect & why) == 0)
		model__misuse_return(m, th, c);
}

void
model__kfree_end(struct model *m, struct mthread *th, const struct call *c)
{
	if (c->why != 0)
		kfree_panicked(m, th, c);
	else if (MODEL_LIKELY(th->object != 0))
		model__take_done(m, th);
	else if (th->misuse &&
	    (!th->stale || model__was_alone(m, th) ||
		is_wrong_type_still(m, th) || !stale_succeeded(m, th)))
		model__misuse_return(m, th, c);
	model__stale_end(m, th);
}

void
model__usable_begin(struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t o;

	th->addr = c->addr;
	if (c->addr == 0 || c->addr == ZERO_PTR)
		return;
	o = model__object_find(m, c->addr);
	if (o != 0 && !model__object(m, o)->run &&
	    !model__is_zone_page(m, c->addr)) {
		th->seed = model__object(m, o)->seed;
		return;
	}
	th->expect = address_expect(m, c->addr, true);
	th->misuse = true;
	th->skip = !model__is_kalloc(m) ||
	    (m->inflight > 1 && model__has_rival(m, th, c->addr));
}

static void
usable_is(struct model *m, const struct mthread *th, uint64_t least,
    uint64_t most, uint64_t found)
{
	if (least <= found && found <= most)
		return;
	model__fail(m, th, most == 0 ? "KM-9" : "KM-3", "usable-size");
	model__expected(m, "%s%" PRIu64 " usable bytes at %s",
	    least == most ? "" : "at least ", least,
	    model__addr_text(m, th->addr).s);
	model__found(m, "%" PRIu64, found);
}

void
model__usable_end(struct model *m, struct mthread *th, const struct call *c)
{
	const struct mobject *o;
	uint32_t i;

	if (th->misuse) {
		if (model__was_alone(m, th))
			model__misuse_return(m, th, c);
		return;
	}
	i = th->seed == 0 ? 0 : model__object_find(m, th->addr);
	o = model__object(m, i);
	if (th->seed != 0 && (i == 0 || o->seed != th->seed))
		return; /* freed meanwhile: the trace races with itself */
	if (c->why != 0)
		model__wrong_panic(m, th, c);
	else if (th->seed == 0)
		usable_is(m, th, 0, 0, c->ret);
	else if (model__is_kalloc(m))
		usable_is(m, th, o->usable, o->usable, c->ret);
	else
		usable_is(m, th, o->requested, UINT64_MAX, c->ret);
}
