/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that allocate: kmalloc and its kin, kstrdup, krealloc.
 *
 * What a size costs is computed here in closed form, from KM-3 and KM-4:
 *
 *   M_CACHEALIGN  a size below 64 becomes 64, others the next multiple of 64
 *   M_POWEROF2    the next power of two; with M_CACHEALIGN at least 64
 *   up to 8192    a chunk: below 128 the next multiple of 8, from 128 on the
 *                 next multiple of an eighth of the power of two below
 *   above         whole pages
 *
 * A size that overflows in rounding, or that needs more pages than the budget
 * has, cannot be had (KM-15). Everything that a call may be charged for is
 * the usable size: chunk or pages.
 */
#include <string.h>

#include "model_int.h"

#define FINE_MAX     128u /* granularity 8 below */
#define FINE	     8u
#define EIGHTHS	     8u
#define MALLOC_ALIGN 16u

static bool
round_up(uint64_t *size, uint64_t to)
{
	if (*size > UINT64_MAX - (to - 1))
		return (false);
	*size = (*size + to - 1) / to * to;
	return (true);
}

static bool
round_power2(uint64_t *size)
{
	if (*size > UINT64_C(1) << 63)
		return (false);
	if (*size > 1)
		*size = UINT64_C(1) << (64 - __builtin_clzll(*size - 1));
	return (true);
}

static uint64_t
chunk_of(uint64_t size)
{
	uint64_t grain = FINE;

	if (size >= FINE_MAX)
		grain = (UINT64_C(1) << (63 - __builtin_clzll(size))) / EIGHTHS;
	return ((size + grain - 1) & ~(grain - 1));
}

static uint64_t
at_most(uint64_t x, uint64_t max)
{
	return (x < max ? x : max);
}

/* Charge and alignment of a request. False: it cannot be had. */
static bool
layout(const struct model_config *config, uint64_t size, uint32_t flags,
    uint64_t *ret_charge, uint64_t *ret_align)
{
	bool power2 = (flags & M_POWEROF2) != 0;
	uint64_t charge, align;

	if (power2 && !round_power2(&size))
		return (false);
	if ((flags & M_CACHEALIGN) != 0 && !round_up(&size, KA_CACHE_LINE))
		return (false);
	if (size <= KA_KMALLOC_MAX) {
		charge = chunk_of(size);
		align = at_most(charge & -charge, PAGE);
	} else {
		if ((size - 1) / PAGE >= config->pages)
			return (false);
		charge = (size + PAGE - 1) / PAGE * PAGE;
		align = PAGE;
	}
	if (power2 && size > align)
		align = at_most(size, KA_SLAB_SIZE);
	if ((flags & M_CACHEALIGN) != 0 && align < KA_CACHE_LINE)
		align = KA_CACHE_LINE;
	*ret_charge = charge;
	*ret_align = align;
	return (true);
}

static uint32_t
flags_of(const struct call *c)
{
	switch (c->code) {
	case TRACE_OP_KMALLOC_CACHEALIGN:
		return (c->flags | M_CACHEALIGN);
	case TRACE_OP_KMALLOC_POWEROF2:
		return (c->flags | M_POWEROF2);
	case TRACE_OP_KSTRDUP:
	case TRACE_OP_KSTRNDUP:
		return (M_WAITOK);
	default:
		return (c->flags);
	}
}

static uint64_t
string_length(const struct call *c)
{
	if (c->str == NULL)
		return (0);
	return (c->code == TRACE_OP_KSTRNDUP ? strnlen(c->str, c->num) :
					       strlen(c->str));
}

static bool
is_string(const struct mthread *th)
{
	return (th->code == TRACE_OP_KSTRDUP || th->code == TRACE_OP_KSTRNDUP);
}

/* Misuse in flags and type. */
static uint32_t
arguments_expect(const struct model *m, const struct mthread *th)
{
	bool waitok = (th->flags & M_WAITOK) != 0;
	bool nowait = (th->flags & M_RNOWAIT) != 0;
	uint32_t expect = 0;

	if (!model__is_kalloc(m))
		return (0);
	if ((th->flags & ~(uint32_t)M_VALID) != 0 || waitok == nowait ||
	    (th->code == TRACE_OP_KREALLOC && (th->flags & M_ZERO) != 0))
		expect |= WHY(BAD_FLAGS);
	if (!model__type_is_alive(m, th->type))
		expect |= WHY(BAD_TYPE);
	return (expect);
}

static inline __attribute__((always_inline)) void
alloc_begin(struct model *m, struct mthread *th, uint64_t size)
{
	th->requested = size;
	th->allocating = true;
	th->may_sleep = (th->flags & M_WAITOK) != 0;
	th->align = 1;
	if (!model__is_kalloc(m)) {
		th->charge = size;
		th->align = size >= MALLOC_ALIGN ? MALLOC_ALIGN : GRANULE;
		return;
	}
	if (size != 0)
		th->overflow = !layout(
		    &m->config, size, th->flags, &th->charge, &th->align);
	model__type_joins(m, th);
}

static void
alloc_parts(struct model *m, struct mthread *th)
{
	if (th->allocating && model__is_kalloc(m))
		model__type_parts(m, th);
	th->allocating = false;
}

static void
alloc_counts(struct model *m, const struct mthread *th)
{
	if (model__is_kalloc(m))
		model__type(m, th->type)->calls++;
}

void
model__kmalloc_begin(struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t expect;

	th->flags = flags_of(c);
	expect = arguments_expect(m, th);
	if (MODEL_UNLIKELY(expect != 0)) {
		th->expect = expect;
		th->misuse = true;
		return;
	}
	alloc_begin(m, th, is_string(th) ? string_length(c) + 1 : c->size);
}

/* --- refusals --- */

static void
fail_refusal(struct model *m, const struct mthread *th, const char *clause,
    const char *state)
{
	const struct mtype *t = model__type(m, th->type);
	bool null =
	    (th->flags & M_NULLOK) != 0 && (th->limit_seen || th->overflow);

	model__fail(m, th, clause, state);
	model__expected(m,
	    "%s%" PRIu64 " bytes for m%u, which uses %" PRIu64 " of %" PRIu64
	    "; %s",
	    null ? "NULL, as M_NULLOK allows: " : "", th->requested, t->reg,
	    t->memuse, t->limit_lo,
	    th->overflow	? "the size cannot be had at all" :
		th->page_failed ? "a page allocation failed" :
				  "no page allocation failed");
}

/* Pages were short. Others' calls may have moved things meanwhile. */
static void
judge_nowait(struct model *m, struct mthread *th)
{
	if (!model__was_alone(m, th))
		return;
	model__judge_kept(m, th, model__depth_of(th->flags));
	if (!m->judging || !model__chunk_could_be_had(m, th, true))
		return;
	model__fail(m, th, "KM-12", "stranded");
	model__expected(m,
	    "a chunk of %" PRIu64 " bytes of a slab within reach that has one",
	    th->charge);
	model__found(m, "NULL, for want of pages");
}

/* NULL: what allowed it? */
static void
alloc_refused(struct model *m, struct mthread *th)
{
	bool nullok = (th->flags & M_NULLOK) != 0;
	bool nowait = (th->flags & M_RNOWAIT) != 0;
	const char *clause, *state;

	m->counts.refusals++;
	if (!model__is_kalloc(m))
		return;
	if (th->requested == 0) {
		clause = "KM-9";
		state = "null";
	} else if (th->overflow) {
		if (nullok || nowait)
			return;
		clause = "KM-15";
		state = "null";
	} else if (nowait && th->page_failed) {
		judge_nowait(m, th);
		return;
	} else if (nullok && th->limit_seen) {
		return;
	} else if (th->page_failed || (!nullok && !nowait)) {
		clause = "KM-7";
		state = "null-waitok";
	} else {
		clause = nullok ? "KM-6" : "VM-6";
		state = nullok ? "null-below-limit" : "no-cause";
	}
	fail_refusal(m, th, clause, state);
	model__found(m, "NULL");
}

/* A panic that stands for a refusal is legal; others are not. */
static void
alloc_panicked(struct model *m, struct mthread *th, const struct call *c)
{
	bool nullok = (th->flags & M_NULLOK) != 0;
	bool nowait = (th->flags & M_RNOWAIT) != 0;
	bool limit = c->why == MODEL_WHY_LIMIT && th->limit_seen && !nullok;
	bool overflow =
	    c->why == MODEL_WHY_OVERFLOW && th->overflow && !nullok && !nowait;

	m->counts.panics++;
	if (limit || overflow) {
		alloc_counts(m, th);
		return;
	}
	if (model__type_ended_under(m, th, c))
		return;
	if (c->why == MODEL_WHY_LIMIT || c->why == MODEL_WHY_OVERFLOW) {
		bool is_limit = c->why == MODEL_WHY_LIMIT;

		fail_refusal(m, th, is_limit ? "KM-6" : "KM-15",
		    is_limit ? "panic-limit" : "panic-overflow");
		model__found(m, "panic %s", model__why_name((unsigned)c->why));
		return;
	}
	model__wrong_panic(m, th, c);
}

/* --- births --- */

/* What is wrong with the place; true if nothing is. */
static __attribute__((noinline)) bool
place_is_right(struct model *m, const struct mthread *th, uint64_t addr)
{
	uint64_t bound;

	if (addr == ZERO_PTR && model__is_kalloc(m)) {
		model__fail(m, th, "KM-9", "not-zero-size");
		model__expected(
		    m, "an address of %" PRIu64 " bytes", th->charge);
		model__found(m, "ZERO_LENGTH_PTR");
	} else if (th->overflow) {
		model__fail(m, th, "KM-15", "success");
		model__expected(m,
		    "failure: %" PRIu64 " bytes cannot be had "
		    "of %" PRIu64 " pages",
		    th->requested, m->config.pages);
		model__found(m, "%s", model__addr_text(m, addr).s);
	} else if ((addr & (th->align - 1)) != 0) {
		model__fail(m, th, "KM-4", "align");
		model__expected(m, "%" PRIu64 " bytes aligned to %" PRIu64,
		    th->charge, th->align);
		model__found(m, "%s", model__addr_text(m, addr).s);
	} else if (model__is_kalloc(m) &&
	    th->lower_min >= model__type(m, th->type)->limit_hi &&
	    model__type_was_over(m, th, &bound)) {
		model__fail(m, th, "KM-6", "over-limit");
		model__expected(m,
		    "refusal: m%u used at least %" PRIu64
		    " bytes all the time, %" PRIu64 " is the most that may be",
		    model__type(m, th->type)->reg, th->lower_min, bound);
		model__found(m, "%" PRIu64 " bytes more", th->charge);
	} else {
		return (true);
	}
	return (false);
}

/* Nearly always nothing is near to being wrong, and is not looked at closer. */
static inline bool
place_holds(struct model *m, const struct mthread *th, uint64_t addr)
{
	return (MODEL_LIKELY(addr != ZERO_PTR && !th->overflow &&
		    (addr & (th->align - 1)) == 0 && model__is_kalloc(m) &&
		    th->lower_min < model__type(m, th->type)->limit_hi) ||
	    place_is_right(m, th, addr));
}

static bool
is_zero(struct model *m, const struct mthread *th, const struct mobject *o)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)o->addr;
	uint64_t at;

	if ((th->flags & M_ZERO) == 0 || th->contested)
		return (true);
	at = model__nonzero(m, p, o->usable, o->seed);
	if (MODEL_LIKELY(at == UINT64_MAX))
		return (true);
	model__fail(m, th, "KM-8", "nonzero");
	model__expected(m, "%" PRIu64 " zero bytes at %s", o->usable,
	    model__addr_text(m, o->addr).s);
	model__found(m, "byte %" PRIu64 " is 0x%02x", at, p[at]);
	return (false);
}

static bool
is_copy(struct model *m, const struct mthread *th, const struct call *c,
    const struct mobject *o)
{
	const char *p = (const char *)(uintptr_t)o->addr;
	uint64_t n = o->requested - 1;

	if (!is_string(th) || th->contested ||
	    m->config.contents == MODEL_CONTENTS_NONE ||
	    (p[n] == '\0' && (n == 0 || memcmp(p, c->str, n) == 0)))
		return (true);
	model__fail(m, th, "KM-11", "string");
	model__expected(m,
	    "a copy of the %" PRIu64 " characters and a terminating zero", n);
	model__found(m, "other bytes at %s", model__addr_text(m, o->addr).s);
	return (false);
}

/* The first bytes of a block that krealloc returned are those of the old. */
static bool
is_prefix(struct model *m, const struct mthread *th, uint64_t addr,
    uint64_t usable, const struct mobject *old)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)addr;
	uint64_t at = th->contested ?
	    UINT64_MAX :
	    model__verify(m, p, old->usable, old->seed, usable);

	if (MODEL_LIKELY(at == UINT64_MAX))
		return (true);
	model__fail(m, th, "KM-11", "prefix");
	model__expected(m, "the first %" PRIu64 " bytes of %s",
	    at_most(old->usable, usable), model__object_text(m, old).s);
	model__found(m, "byte %" PRIu64 " at %s is 0x%02x, not 0x%02x", at,
	    model__addr_text(m, addr).s, p[at],
	    model__pattern_byte(old->seed, at));
	return (false);
}

static bool
is_zero_size(struct model *m, const struct mthread *th, uint64_t ret)
{
	if (ret == ZERO_PTR)
		return (true);
	model__fail(m, th, "KM-9", "zero-size");
	model__expected(m, "ZERO_LENGTH_PTR for no bytes");
	model__found(m, "%s", model__addr_text(m, ret).s);
	return (false);
}

/* An object comes to life; its index, or 0 if there is none or a finding. */
static uint32_t
alloc_born(struct model *m, struct mthread *th, const struct call *c)
{
	struct mobject *o;
	uint32_t i;

	if (th->requested == 0 && model__is_kalloc(m)) {
		(void)is_zero_size(m, th, c->ret);
		return (0);
	}
	if (MODEL_UNLIKELY(m->nstolen > 0) && model__was_stolen(m, th, c->ret))
		return (0);
	if (!place_holds(m, th, c->ret))
		return (0);
	i = model__object_new(m);
	if (i == 0)
		return (0);
	if (MODEL_UNLIKELY(m->base == 0))
		m->base = c->ret & ~(PAGE - 1);
	o = model__object(m, i);
	o->addr = c->ret;
	o->usable = th->charge;
	o->requested = th->requested;
	o->line = c->line;
	o->type = th->type;
	o->thread = th->id;
	if (!model__object_enter(m, th, i))
		return (0);
	if (MODEL_UNLIKELY(m->nstale > 0) && model__has_rival(m, th, o->addr))
		th->contested = true;
	m->counts.allocs++;
	if (model__is_kalloc(m))
		model__type_add(m, th->type, th->charge);
	return (i);
}

/* Its holder writes; a cache or pipe that asked for zero bytes does not. */
static void
alloc_written(struct model *m, const struct mthread *th, struct mobject *o)
{
	if (MODEL_UNLIKELY(th->id >= m->config.threads) &&
	    (th->flags & M_ZERO) != 0)
		o->bytes = MBYTES_ZERO;
	else
		model__fill(m, (void *)(uintptr_t)o->addr, o->usable, o->seed);
}

static void
alloc_fill(struct model *m, const struct mobject *o)
{
	model__fill(m, (void *)(uintptr_t)o->addr, o->usable, o->seed);
}

/* The end of a call that allocates, krealloc that acts as kmalloc too. */
void
model__kmalloc_end(struct model *m, struct mthread *th, const struct call *c)
{
	struct mobject *o;
	uint32_t i;

	alloc_parts(m, th);
	if (MODEL_UNLIKELY(th->misuse)) {
		model__misuse_return(m, th, c);
		return;
	}
	if (MODEL_UNLIKELY(c->why != 0)) {
		alloc_panicked(m, th, c);
		return;
	}
	alloc_counts(m, th);
	if (c->ret == 0) {
		if (th->requested != 0 || model__is_kalloc(m))
			alloc_refused(m, th);
		return;
	}
	i = alloc_born(m, th, c);
	if (i == 0)
		return;
	o = model__object(m, i);
	if (is_zero(m, th, o) && is_copy(m, th, c, o))
		alloc_written(m, th, o);
}

/* --- krealloc --- */

void
model__krealloc_begin(struct model *m, struct mthread *th, const struct call *c)
{
	bool fresh = c->addr == 0 || c->addr == ZERO_PTR;
	uint32_t o = fresh ? 0 : model__object_find(m, c->addr);

	th->flags = flags_of(c);
	th->addr = c->addr;
	th->requested = c->size;
	if (o != 0 && !model__object_is_loose(model__object(m, o))) {
		m->judging = false;
		return;
	}
	if (!model__is_kalloc(m)) {
		th->skip = !fresh && o == 0;
	} else {
		uint32_t expect = arguments_expect(m, th);

		if (!fresh)
			expect |= model__free_expect(m, th, true);
		th->expect = expect == 0 ? WHY(NONE) : expect;
		if ((expect & ~WHY(NONE)) != 0) {
			th->expect &= ~WHY(NONE);
			th->misuse = true;
			if ((expect & (WHY(BAD_FLAGS) | WHY(BAD_TYPE))) == 0) {
				th->seed =
				    o == 0 ? 0 : model__object(m, o)->seed;
				model__stale_begin(m, th);
			}
			return;
		}
	}
	if (th->skip)
		return;
	if (o != 0)
		model__take(m, th, o);
	if (m->judging && (o == 0 || c->size != 0))
		alloc_begin(m, th, c->size);
}

/* The old block is as it was (KM-11). */
static void
krealloc_failed(struct model *m, struct mthread *th)
{
	uint32_t object = th->object;
	const struct mobject *o = model__object(m, object);

	if (m->judging && model__take_undo(m, th))
		(void)is_prefix(m, th, o->addr, o->usable, o);
}

/* size 0: freed, NULL. */
static void
krealloc_freed(struct model *m, struct mthread *th, const struct call *c)
{
	if (c->why != 0) {
		if (!model__type_ended_under(m, th, c))
			model__wrong_panic(m, th, c);
		else if (model__take_undo(m, th))
			m->counts.panics++;
		return;
	}
	model__take_done(m, th);
	if (c->ret == 0)
		return;
	if (model__is_kalloc(m)) {
		model__fail(m, th, "KM-11", "size-zero");
		model__expected(m, "NULL: size 0 frees");
		model__found(m, "%s", model__addr_text(m, c->ret).s);
		return;
	}
	th->charge = 0;
	th->align = 1;
	(void)alloc_born(m, th, c);
}

static void
krealloc_stayed(struct model *m, struct mthread *th)
{
	struct mobject *o = model__object(m, th->object);
	bool aligned = (o->addr & (th->align - 1)) == 0;
	uint64_t usable = th->charge;

	if (model__is_kalloc(m) &&
	    (th->overflow || usable != o->usable || !aligned)) {
		model__fail(m, th, "KM-11", aligned ? "stayed" : "align");
		if (aligned)
			model__expected(m,
			    "%s to move: %" PRIu64 " bytes need %" PRIu64,
			    model__object_text(m, o).s, th->requested, usable);
		else
			model__expected(m, "%s aligned to %" PRIu64,
			    model__object_text(m, o).s, th->align);
		model__found(
		    m, "it stayed at %s", model__addr_text(m, o->addr).s);
		return;
	}
	if (!is_prefix(m, th, o->addr, usable, o))
		return;
	o->requested = th->requested;
	if (!model__is_kalloc(m))
		o->usable = usable;
	if (model__take_undo(m, th) && !model__is_kalloc(m))
		alloc_fill(m, o);
}

static void
krealloc_moved(struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t i = alloc_born(m, th, c);
	const struct mobject *old = model__object(m, th->object), *o;

	if (!m->judging)
		return;
	if (i == 0) { /* stolen at once, by a race of the trace */
		model__take_done(m, th);
		return;
	}
	o = model__object(m, i);
	if (o->addr < old->addr + old->usable &&
	    old->addr < o->addr + o->usable && model__is_kalloc(m)) {
		model__fail(m, th, "G-2", "overlap");
		model__expected(m, "memory apart from the old block, %s",
		    model__object_text(m, old).s);
		model__found(m, "%s", model__object_text(m, o).s);
		return;
	}
	if (!is_prefix(m, th, o->addr, o->usable, old))
		return;
	alloc_fill(m, o);
	model__take_done(m, th);
}

void
model__krealloc_end(struct model *m, struct mthread *th, const struct call *c)
{
	if (th->stale) {
		bool race = !model__was_alone(m, th);

		if (c->why != 0 && model__stale_panicked(m, th, c))
			m->counts.panics++;
		else if (c->why == 0 && race)
			m->judging = false;
		else
			model__misuse_return(m, th, c);
		model__stale_end(m, th);
		return;
	}
	if (th->object == 0) {
		model__kmalloc_end(m, th, c);
		return;
	}
	alloc_parts(m, th);
	if (th->requested == 0) {
		krealloc_freed(m, th, c);
	} else if (c->why != 0) {
		alloc_panicked(m, th, c);
		krealloc_failed(m, th);
	} else if (c->ret == model__object(m, th->object)->addr) {
		krealloc_stayed(m, th);
	} else {
		alloc_counts(m, th);
		if (c->ret == 0) {
			alloc_refused(m, th);
			krealloc_failed(m, th);
		} else {
			krealloc_moved(m, th, c);
		}
	}
}
