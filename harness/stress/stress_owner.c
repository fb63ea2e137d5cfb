/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Malloc types, caches, pipes and zones: made and ended, and by what the
 * history of each is judged.
 */
#include "stress_int.h"

#include <kalloc/flags.h>
#include <kalloc/kalloc.h>

#include "history/owner.h"

#define OWNERS_MAX     4096u /* registers of a class, as the subject's */
#define CALLBACK_PIPES (CALL_DAEMONS_MAX - 1)
#define CALLED_ZONES   32u

static _Atomic uint32_t callback_pipes, called_zones;

static bool
is_modest(const struct call *c)
{
	uint64_t n = c->n[0] < 0 ? 0 : (uint64_t)c->n[0];

	switch (c->code) {
	case TRACE_OP_OBJCACHE_CREATE:
		return (c->size != 0 && c->size <= SIZE_MAX_B && n <= 1 << 20 &&
		    c->n[1] <= 1 << 16);
	case TRACE_OP_OBJCACHE_CREATE_ZONE:
		return (n <= 1 << 20 && c->n[1] <= 1 << 16);
	case TRACE_OP_MPIPE_INIT:
		return (n <= 1024 && c->size <= SIZE_MAX_B &&
		    n * c->size <= BYTES_MAX_B);
	case TRACE_OP_UMA_ZCACHE_CREATE:
		return (c->num <= 65536);
	case TRACE_OP_UMA_ZCREATE_STATIC:
		return (c->n[0] > 0 && (c->num & (c->num + 1)) == 0);
	case TRACE_OP_ZBOOTINIT:
		return (c->size != 0 && c->size <= UMA_SIZE_MAX && c->n[0] > 0);
	case TRACE_OP_ZINIT:
		return (c->size <= UMA_SIZE_MAX);
	default:
		return (true);
	}
}

static void
judge_by(struct owner *o, const struct call *c)
{
	struct history_owner *h = &stress.howner[o->id];
	struct owner_stats st = { 0 };

	if (o->class == TRACE_TYPE) {
		*h = (struct history_owner) { .least = HISTORY_NO_LIMIT,
			.most = HISTORY_NO_LIMIT,
			.over = "KM-6",
			.refused = "KM-7",
			.refuses_freely = stress.trace.header.debug != 0 };
	} else {
		(void)stress.subject->owner_stats(o->class, o->reg, &st);
		history_owner_of(
		    h, o->class, o->boot ? (uint64_t)c->n[0] : 0, &st);
		h->refuses_freely = o->root != o;
	}
	/* Magazines of others may hold what a cache has beyond its limit. */
	atomic_store(
	    &o->sleeps_at, o->class == TRACE_CACHE ? h->least : h->most);
}

void
stress__slack(struct owner *o)
{
	uint64_t now, was = atomic_load(&o->slack);
	struct owner_stats st;

	if (o->class < TRACE_ZONE || o->boot ||
	    !stress.subject->owner_stats(o->class, o->reg, &st))
		return;
	now = 2 * st.capacity * (stress.ncpus + 1);
	while (was < now && !atomic_compare_exchange_weak(&o->slack, &was, now))
		continue;
}

static struct owner *
owner_new(enum trace_class class, uint32_t reg)
{
	uint32_t id = atomic_fetch_add(&stress.nowners, 1);
	struct owner *o = &stress.owner[id];

	o->class = class;
	o->id = id;
	o->reg = reg;
	o->root = o;
	return (o);
}

/* Its limits are known when a type is declared: they are the budget's. */
static void
judge_type(struct owner *o, uint64_t limit)
{
	struct history_owner *h = &stress.howner[o->id];

	h->least = limit;
	h->most = limit + limit / 16 + 2ull * SIZE_MAX_B * (stress.ncpus + 1);
}

static void
made(struct owner *o, const struct call *c)
{
	struct subject_type_stats st;

	judge_by(o, c);
	stress__slack(o);
	if (o->class == TRACE_TYPE && stress.subject->type_stats(o->reg, &st))
		judge_type(o, st.limit);
	if (o->type != NULL) {
		(void)atomic_fetch_add(&o->type->users, 1);
		atomic_store(&o->type->lenient, true);
	}
	if (o->zone != NULL)
		(void)atomic_fetch_add(&o->zone->users, 1);
	if (o->root != o) {
		atomic_store(&o->root->shared, true);
		atomic_store(&o->root->lenient, true);
	}
	atomic_store(&o->alive, true);
}

/* Too many pipes with a thread, or zones with callbacks? Counts it if not. */
static bool
too_many(const struct call *c)
{
	bool zone = trace_ops[c->code].out == TRACE_ZONE && c->hooks != 0;
	bool pipe =
	    c->code == TRACE_OP_MPIPE_INIT && (c->flags & MPF_CALLBACK) != 0;
	_Atomic uint32_t *n = zone ? &called_zones : &callback_pipes;

	if (!zone && !pipe)
		return (false);
	if (atomic_fetch_add(n, 1) < (zone ? CALLED_ZONES : CALLBACK_PIPES))
		return (false);
	(void)atomic_fetch_sub(n, 1);
	return (true);
}

static void
uncount(const struct owner *o)
{
	if (o->class == TRACE_ZONE && o->hooks != 0)
		(void)atomic_fetch_sub(&called_zones, 1);
	if (o->class == TRACE_PIPE && (o->flags & MPF_CALLBACK) != 0)
		(void)atomic_fetch_sub(&callback_pipes, 1);
}

void
stress__make(struct caller *w, const struct trace_op *op, struct call *c)
{
	enum trace_class class = (enum trace_class)trace_ops[op->code].out;
	struct reg *r = &stress.regs[class][op->out];
	struct owner *o, *type = NULL, *primary = NULL, *zone = NULL;

	if ((r->owner != NULL && r->owner->alive) || op->out >= OWNERS_MAX ||
	    (class == TRACE_TYPE && op->out >= KA_TYPES_MAX - 8) ||
	    !is_modest(c))
		return;
	if (op->code == TRACE_OP_OBJCACHE_CREATE ||
	    op->code == TRACE_OP_MPIPE_INIT)
		type = stress__named(
		    op, op->code == TRACE_OP_MPIPE_INIT ? 0 : 1, c);
	if (op->code == TRACE_OP_UMA_ZSECOND_CREATE)
		primary = stress__named(op, 1, c);
	if (op->code == TRACE_OP_OBJCACHE_CREATE_ZONE)
		zone = stress__named(op, 1, c);
	if ((primary != NULL && primary->boot) ||
	    (zone != NULL && zone->tokens))
		return;
	if ((class <= TRACE_PIPE && class != TRACE_TYPE && type == NULL &&
		zone == NULL) ||
	    (op->code == TRACE_OP_UMA_ZSECOND_CREATE && primary == NULL) ||
	    too_many(c))
		return;
	o = owner_new(class, op->out);
	o->type = type;
	o->zone = zone;
	if (zone != NULL)
		c->size = zone->size;
	o->hooks = c->hooks;
	o->flags = c->flags;
	o->size = primary != NULL ? primary->size : c->size;
	o->tokens = op->code == TRACE_OP_UMA_ZCACHE_CREATE;
	o->boot = op->code == TRACE_OP_ZBOOTINIT ||
	    op->code == TRACE_OP_UMA_ZCREATE_STATIC;
	if (primary != NULL)
		o->root = primary->root;
	r->owner = o;
	c->handle2 = c->handle;
	c->handle = op->out;
	if (class == TRACE_TYPE)
		c->type = op->out;
	if (o->boot) {
		c->addr = stress.subject->static_memory(c);
		if (c->addr == 0)
			return;
	}
	if (stress__exec(w, c) && (class == TRACE_TYPE || c->ret != 0))
		made(o, c);
	else
		uncount(o);
}

void
stress__unmake(struct caller *w, const struct trace_op *op, struct call *c)
{
	struct owner *o = stress__named(op, 0, c);

	if (o == NULL || o->held != 0 || o->asked != o->called)
		return;
	/* Who helps a sleeper says so first, and looks whether it is alive. */
	atomic_store(&o->alive, false);
	if (o->users != 0) {
		atomic_store(&o->alive, true);
		return;
	}
	if (!stress__exec(w, c)) {
		/* Secondary zones live, or a zone is not to be destroyed. */
		if (o->class < TRACE_ZONE)
			stress__fail(op, "G-3", "it is not in use",
			    ka_why_name((enum ka_why)c->why));
		atomic_store(&o->alive, true);
		return;
	}
	if (o->class == TRACE_TYPE && c->ret != 0)
		stress__fail(
		    op, "KM-17", "nothing in use of the type", "something is");
	if (o->type != NULL)
		(void)atomic_fetch_sub(&o->type->users, 1);
	if (o->zone != NULL)
		(void)atomic_fetch_sub(&o->zone->users, 1);
	stress__check_pairs(o);
	uncount(o);
}
