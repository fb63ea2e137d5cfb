/* SPDX-License-Identifier: BSD-2-Clause */
/* The random generator; see gen.h. */
#include "gen/gen_int.h"

#include <errno.h>
#include <string.h>

#include <kalloc/flags.h>

#include "util/random.h"

#define END_OPS	 64u  /* kept for ending what is there */
#define LIVE_MAX 512u /* registers of a class that a run uses */

struct gen {
	struct gen_mix mix;
	struct trace *t;
	uint32_t weight[TRACE_OP_COUNT], weights;
	uint8_t live[TRACE_CLASS_COUNT][LIVE_MAX];
	uint32_t type_of[LIVE_MAX];    /* of an object's register: of kmalloc */
	uint64_t size_of[LIVE_MAX];    /* the same: what was asked */
	uint8_t class_of[LIVE_MAX];    /* TRACE_OBJ, or of who made it */
	uint32_t owner_of[LIVE_MAX];   /* and its register */
	bool group[TRACE_GROUP_COUNT]; /* the run has the allocator */
	bool layered;		       /* its caches are over a zone */
	uint32_t maker;	 /* the operation that makes the zone; 0: any */
	bool ends;	 /* what there is ends in the end */
	uint32_t by;	 /* the thread that does it, and 1; 0: any */
	uint32_t takers; /* so many threads mostly take, the others mostly give
			  * back; 0: all do both */
	uint32_t nregs[TRACE_CLASS_COUNT], nlive[TRACE_CLASS_COUNT];
};

static uint32_t
below(struct gen *g, uint32_t n)
{
	return (random_below(&g->mix.rng, n));
}

static bool
one_in(struct gen *g, uint32_t n)
{
	return (n != 0 && below(g, n) == 0);
}

/* A register of the class: a live one, unless misuse is due or none is. */
static uint64_t
draw_reg(struct gen *g, int class)
{
	uint32_t i, at;

	if (g->nregs[class] == 0)
		return (TRACE_NOREG);
	at = below(g, g->nregs[class]);
	if (one_in(g, g->mix.misuse))
		return (one_in(g, 8) ? TRACE_NOREG : at);
	for (i = 0; i < g->nregs[class]; i++, at++)
		if (g->live[class][at % g->nregs[class]])
			return (at % g->nregs[class]);
	return (TRACE_NOREG);
}

/* A register to define: one that is not live, if possible. */
static uint32_t
draw_out(struct gen *g, int class)
{
	uint32_t i, at;

	if (g->nregs[class] < LIVE_MAX &&
	    (g->nlive[class] == g->nregs[class] || one_in(g, 4)))
		return (g->nregs[class]);
	at = below(g, g->nregs[class]);
	for (i = 0; i < g->nregs[class]; i++, at++)
		if (!g->live[class][at % g->nregs[class]])
			return (at % g->nregs[class]);
	return (at % g->nregs[class]);
}

static void
set_live(struct gen *g, int class, uint64_t reg, bool live)
{
	if (reg == TRACE_NOREG || g->live[class][reg] == live)
		return;
	g->live[class][reg] = live;
	g->nlive[class] += live ? 1u : -1u;
}

static uint64_t
draw_arg(struct gen *g, enum trace_opcode code, unsigned i)
{
	const int class = trace_kind_class(trace_ops[code].arg[i]);

	return (class >= 0 ? draw_reg(g, class) : gen__value(&g->mix, code, i));
}

/* Frees name the type that the object was allocated under, unless not. */
static void
match_type(struct gen *g, struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	uint64_t obj = TRACE_NOREG;
	unsigned i;

	for (i = 0; i < def->nargs; i++) {
		int class = trace_kind_class(def->arg[i]);

		if (class == TRACE_OBJ)
			obj = op->arg[i];
		if (class == TRACE_TYPE && obj != TRACE_NOREG &&
		    !one_in(g, g->mix.misuse))
			op->arg[i] = g->type_of[obj];
	}
}

/* The object of a give-back is one of a cache's, pipe's or zone's, which is
 * named with it; flags of a pipe are such that its hooks are legal. */
static void
match_owner(struct gen *g, struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	int class = trace_kind_class(def->arg[0]);
	uint32_t i, at;
	bool misuse;

	if (op->code == TRACE_OP_MPIPE_INIT)
		op->arg[4] = gen__mpflags(&g->mix, op->arg[5]);
	if (class <= TRACE_RUN || def->nargs < 2 ||
	    trace_kind_class(def->arg[1]) != TRACE_OBJ)
		return;
	misuse = one_in(g, g->mix.misuse);
	if (misuse && one_in(g, 2))
		return;
	op->arg[1] = TRACE_NOREG;
	at = g->nregs[TRACE_OBJ] == 0 ? 0 : below(g, g->nregs[TRACE_OBJ]);
	for (i = 0; i < g->nregs[TRACE_OBJ]; i++, at++) {
		uint32_t p = at % g->nregs[TRACE_OBJ];

		/* Misuse: once more. */
		if (g->live[TRACE_OBJ][p] == misuse || g->class_of[p] != class)
			continue;
		op->arg[0] = g->owner_of[p];
		op->arg[1] = p;
		return;
	}
}

/* An operation of kmalloc works on objects of kmalloc. */
static void
match_kmalloc(struct gen *g, struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	uint32_t i, at, p;

	if (def->group != TRACE_G_KM || def->nargs == 0 ||
	    trace_kind_class(def->arg[0]) != TRACE_OBJ ||
	    op->arg[0] == TRACE_NOREG || g->class_of[op->arg[0]] == TRACE_OBJ)
		return;
	at = (uint32_t)op->arg[0];
	op->arg[0] = TRACE_NOREG;
	for (i = 0; i < g->nregs[TRACE_OBJ]; i++, at++) {
		p = at % g->nregs[TRACE_OBJ];
		if (g->live[TRACE_OBJ][p] && g->class_of[p] == TRACE_OBJ) {
			op->arg[0] = p;
			return;
		}
	}
}

/* A resize that may leave the object where it is, unless it has to move to be
 * aligned. */
static void
match_size(struct gen *g, struct trace_op *op)
{
	if (op->code != TRACE_OP_KREALLOC || op->arg[0] == TRACE_NOREG ||
	    !one_in(g, 3))
		return;
	op->arg[1] = g->size_of[op->arg[0]];
	if (one_in(g, 4))
		op->arg[3] |= M_POWEROF2;
}

/* Is there anything that the operation could work on? */
static bool
has_operands(const struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	unsigned i;

	for (i = 0; i < def->nargs; i++)
		if (trace_kind_class(def->arg[i]) >= 0 &&
		    op->arg[i] == TRACE_NOREG &&
		    def->arg[i] != TRACE_K_OBJ_MOD &&
		    !(op->code == TRACE_OP_OBJCACHE_RECLAIMLIST && i == 1))
			return (false);
	return (true);
}

static void
note(struct gen *g, const struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	unsigned i;

	for (i = 0; i < def->nargs; i++) {
		int class = trace_kind_class(def->arg[i]);

		if (trace_kind_ends(def->arg[i]))
			set_live(g, class, op->arg[i], false);
		if (class == TRACE_TYPE && def->out == TRACE_OBJ)
			g->type_of[op->out] = (uint32_t)op->arg[i];
		if (def->arg[i] == TRACE_K_SIZE && def->out == TRACE_OBJ)
			g->size_of[op->out] = op->arg[i];
	}
	if (op->code == TRACE_OP_KREALLOC && op->arg[0] != TRACE_NOREG)
		g->size_of[op->arg[0]] = op->arg[1];
	if (def->out < 0)
		return;
	if (def->out == TRACE_OBJ) {
		int class = def->nargs > 0 ? trace_kind_class(def->arg[0]) : -1;

		g->class_of[op->out] =
		    class > TRACE_RUN ? (uint8_t) class : TRACE_OBJ;
		g->owner_of[op->out] =
		    class > TRACE_RUN ? (uint32_t)op->arg[0] : 0;
	}
	if (op->out == g->nregs[def->out])
		g->nregs[def->out]++;
	set_live(g, def->out, op->out, true);
}

/* What is held of a cache, pipe or zone goes back, by any threads: it is about
 * to end, and with something held that is misuse. */
static int
give_all(struct gen *g, int class, uint64_t handle)
{
	static const enum trace_opcode give[TRACE_CLASS_COUNT] = {
		[TRACE_CACHE] = TRACE_OP_OBJCACHE_PUT,
		[TRACE_PIPE] = TRACE_OP_MPIPE_FREE,
		[TRACE_ZONE] = TRACE_OP_UMA_ZFREE,
		[TRACE_VMZONE] = TRACE_OP_ZFREE,
	};
	uint32_t p;

	for (p = 0; p < g->nregs[TRACE_OBJ]; p++) {
		struct trace_op op = { .code = (uint16_t)give[class],
			.out = TRACE_NOREG,
			.arg = { handle, p } };

		if (!g->live[TRACE_OBJ][p] || g->class_of[p] != class ||
		    g->owner_of[p] != handle)
			continue;
		op.thread = (uint16_t)below(g, g->t->header.threads);
		op.line = g->t->nops + 1;
		note(g, &op);
		if (trace_append(g->t, &op) != 0)
			return (ENOMEM);
	}
	return (0);
}

/* Who does it: mostly as the threads' parts are. */
static uint16_t
draw_thread(struct gen *g, enum trace_opcode code)
{
	uint32_t threads = g->t->header.threads;

	if (g->by != 0)
		return ((uint16_t)(g->by - 1));
	if (g->takers == 0 || one_in(g, 8))
		return ((uint16_t)below(g, threads));
	if (trace_ops[code].out == TRACE_OBJ)
		return ((uint16_t)below(g, g->takers));
	return ((uint16_t)(g->takers + below(g, threads - g->takers)));
}

static int
emit(struct gen *g, enum trace_opcode code)
{
	const struct trace_opdef *def = &trace_ops[code];
	struct trace_op op = { .code = (uint16_t)code, .out = TRACE_NOREG };
	unsigned i;

	op.thread = draw_thread(g, code);
	for (i = 0; i < def->nargs; i++)
		op.arg[i] = draw_arg(g, code, i);
	match_kmalloc(g, &op);
	match_type(g, &op);
	match_owner(g, &op);
	match_size(g, &op);
	if (!has_operands(&op) && !one_in(g, g->mix.misuse))
		return (0);
	if (def->nargs > 0 && trace_kind_ends(def->arg[0]) &&
	    trace_kind_class(def->arg[0]) > TRACE_RUN &&
	    op.arg[0] != TRACE_NOREG && !one_in(g, 4) &&
	    give_all(g, trace_kind_class(def->arg[0]), op.arg[0]) != 0)
		return (ENOMEM);
	if (def->out >= 0)
		op.out = draw_out(g, def->out);
	op.line = g->t->nops + 1;
	note(g, &op);
	return (trace_append(g->t, &op));
}

/* How some live object is given back. */
static enum trace_opcode
draw_give(struct gen *g)
{
	static const enum trace_opcode give[TRACE_CLASS_COUNT] = {
		[TRACE_OBJ] = TRACE_OP_KFREE,
		[TRACE_CACHE] = TRACE_OP_OBJCACHE_PUT,
		[TRACE_PIPE] = TRACE_OP_MPIPE_FREE,
		[TRACE_ZONE] = TRACE_OP_UMA_ZFREE,
		[TRACE_VMZONE] = TRACE_OP_ZFREE,
	};
	uint64_t p = draw_reg(g, TRACE_OBJ);

	return (give[p == TRACE_NOREG ? TRACE_OBJ : g->class_of[p]]);
}

/* An allocation that the swarm has left in. */
static enum trace_opcode
draw_take(struct gen *g, enum trace_opcode other)
{
	uint32_t total = 0, at, code;

	for (code = 0; code < TRACE_OP_COUNT; code++)
		if (trace_ops[code].out == TRACE_OBJ)
			total += g->weight[code];
	if (total == 0)
		return (other);
	at = below(g, total);
	for (code = 0; code < TRACE_OP_COUNT; code++) {
		if (trace_ops[code].out != TRACE_OBJ)
			continue;
		if (at < g->weight[code])
			break;
		at -= g->weight[code];
	}
	return ((enum trace_opcode)code);
}

static enum trace_opcode
draw_code(struct gen *g)
{
	uint32_t at = below(g, g->weights), code;

	for (code = 0; at >= g->weight[code]; code++)
		at -= g->weight[code];
	/* What lives stays near the run's target. */
	if (trace_ops[code].out == TRACE_OBJ &&
	    g->nlive[TRACE_OBJ] > g->mix.live_target)
		return (draw_give(g));
	/* Of a tight run also from below: the limit is where things happen. */
	if (g->mix.tight && trace_ops[code].nargs > 1 &&
	    trace_ops[code].arg[1] == TRACE_K_OBJ_END &&
	    g->nlive[TRACE_OBJ] + 3 < g->mix.live_target)
		return (draw_take(g, (enum trace_opcode)code));
	if (trace_ops[code].out == TRACE_RUN && g->nlive[TRACE_RUN] > 24)
		return (TRACE_OP_VM_PAGE_FREE);
	return ((enum trace_opcode)code);
}

/* Which allocators take part: now all of them, now one alone. */
static void
draw_groups(struct gen *g, bool kmalloc_only)
{
	uint32_t which = one_in(g, 4) ? 15 : 1 + below(g, 15);

	g->mix.tight = !one_in(g, 3) && !kmalloc_only;
	if (kmalloc_only)
		which = 1;
	if (g->mix.tight)
		which = 1u << below(g, 4);
	/* Of kmalloc it is pages that are too few. */
	g->mix.starved =
	    (g->mix.tight && which == 1) || one_in(g, g->mix.tight ? 4 : 12);
	/* Caches over a zone, which is what there is too little of. */
	g->layered = g->mix.tight && which == 2 && one_in(g, 2);
	g->group[TRACE_G_TH] = true;
	g->group[TRACE_G_VM] =
	    g->mix.starved || (!g->mix.tight && one_in(g, 2));
	g->group[TRACE_G_KM] = (which & 1) != 0;
	g->group[TRACE_G_OC] = (which & 2) != 0;
	g->group[TRACE_G_MP] = (which & 4) != 0;
	g->group[TRACE_G_ZN] = (which & 8) != 0 || g->layered;
}

/* Limits and callbacks change often, and what is there stays. */
static uint32_t
tight_weight(enum trace_opcode code)
{
	switch (code) {
	case TRACE_OP_OBJCACHE_HOOK:
	case TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT:
	case TRACE_OP_MPIPE_HOOK:
	case TRACE_OP_UMA_HOOK:
	case TRACE_OP_UMA_ZONE_SET_MAX:
		return (6);
	case TRACE_OP_MPIPE_ALLOC_WAITOK:
		return (24);
	case TRACE_OP_MPIPE_ALLOC_CALLBACK:
		return (8);
	case TRACE_OP_MIGRATE:
	case TRACE_OP_QUIESCE:
		return (0);
	default:
		return (trace_ops[code].out > TRACE_RUN ? 0 : gen_weight[code]);
	}
}

/* What a tight run is about, and who takes part how. */
static void
draw_world(struct gen *g, const struct gen_options *o)
{
	static const enum trace_opcode makers[] = { TRACE_OP_UMA_ZCREATE,
		TRACE_OP_UMA_ZCREATE, TRACE_OP_UMA_ZCREATE,
		TRACE_OP_UMA_ZCREATE, TRACE_OP_UMA_ZCACHE_CREATE,
		TRACE_OP_UMA_ZCREATE_STATIC, TRACE_OP_ZBOOTINIT,
		TRACE_OP_ZINIT };
	struct trace_header *h = &g->t->header;
	uint32_t i;

	if (g->mix.tight && o->cpus == 0 && !one_in(g, 4))
		h->cpus = 1 + below(g, 2);
	if (g->mix.tight && o->threads == 0 && !one_in(g, 8))
		h->threads = one_in(g, 2) ? 2 : 3 + below(g, 2);
	if (g->mix.tight && h->sched == TRACE_SCHED_RECORDED && !one_in(g, 3))
		h->sched = (enum trace_sched_mode)(TRACE_SCHED_RANDOM +
		    below(g, TRACE_SCHED_MODE_COUNT - TRACE_SCHED_RANDOM));
	for (i = 0; i < h->threads; i++)
		h->thread_cpu[i] = (uint16_t)(i % h->cpus);
	if (g->mix.tight && g->group[TRACE_G_ZN] && !one_in(g, 3))
		g->maker = makers[below(g, sizeof(makers) / sizeof(*makers))];
	if (g->layered && g->maker != 0)
		g->maker = one_in(g, 4) ? TRACE_OP_UMA_ZCREATE_STATIC :
					  TRACE_OP_UMA_ZCREATE;
	g->mix.wide = one_in(g, 2);
	g->mix.large = g->mix.tight &&
	    (g->mix.starved || one_in(g, g->group[TRACE_G_MP] ? 2 : 3));
	if (h->threads > 1 && one_in(g, g->mix.tight || g->mix.starved ? 2 : 8))
		g->takers = h->threads == 2 ? 1 : 2 + below(g, h->threads - 2);
	if (g->mix.tight || g->mix.starved) {
		h->pages = TRACE_PAGES_MIN * h->cpus
		    << (g->mix.starved ? 0 : below(g, 4));
		h->reserve_system = below(g, 4);
		h->reserve_interrupt = below(g, h->reserve_system + 1);
	}
}

static void
draw_weights(struct gen *g, const struct gen_options *o)
{
	uint32_t total = 0;
	unsigned i;

	draw_groups(g, o->kmalloc_only);
	draw_world(g, o);

	for (i = 0; i < TRACE_OP_COUNT; i++) {
		uint32_t w = g->mix.tight ? tight_weight((enum trace_opcode)i) :
					    gen_weight[i];

		if (i == TRACE_OP_THREAD_EXIT)
			continue; /* gen_exit() */
		if (!g->group[trace_ops[i].group])
			w = 0;
		if (i != TRACE_OP_KMALLOC && i != TRACE_OP_KFREE &&
		    one_in(g, 3))
			w = 0;
		g->weight[i] = w * (1 + below(g, 4));
		g->weights += g->weight[i];
	}
	/* The swarm may leave nothing in of an allocator that is alone. */
	for (i = 0; i < TRACE_OP_COUNT && g->weights == 0; i++)
		g->weight[i] = g->group[trace_ops[i].group] ? gen_weight[i] : 0;
	for (i = 0; i < TRACE_OP_COUNT && g->weights == 0; i++)
		total += g->weight[i];
	g->weights += total;
	gen__amounts(&g->mix);
	if (g->mix.tight) {
		g->mix.live_target =
		    1 + below(g, g->group[TRACE_G_OC] ? 40 : 12);
		g->mix.nowait = below(g, 8);
	}
}

/* The owners of a tight run end while the last calls are under way. */
static int
end_owners(struct gen *g)
{
	static const enum trace_opcode end[] = { TRACE_OP_OBJCACHE_DESTROY,
		TRACE_OP_MPIPE_DONE, TRACE_OP_UMA_ZDESTROY, TRACE_OP_ZDESTROY };
	unsigned i, n;

	for (i = 0; i < sizeof(end) / sizeof(*end); i++) {
		int class = trace_kind_class(trace_ops[end[i]].arg[0]);

		for (n = 0; n < 4 && g->nlive[class] != 0; n++)
			if (emit(g, end[i]) != 0)
				return (ENOMEM);
	}
	return (0);
}

/* Does the run begin with some of these? */
static bool
is_made(const struct gen *g, enum trace_opcode code)
{
	if (code == TRACE_OP_OBJCACHE_CREATE)
		return (!g->layered);
	if (trace_ops[code].group == TRACE_G_OC)
		return (true);
	return (g->maker == 0 || code == g->maker);
}

/* The types, caches, pipes and zones that there are from the beginning. */
static int
begin_owners(struct gen *g)
{
	uint32_t i, n, ntypes = 1 + below(g, 4);

	for (i = 0; i < ntypes; i++) {
		if (emit(g, TRACE_OP_KMALLOC_CREATE) != 0)
			return (ENOMEM);
		if (one_in(g, 2) &&
		    emit(g, TRACE_OP_KMALLOC_SET_UNLIMITED) != 0)
			return (ENOMEM);
	}
	for (i = 0; i < TRACE_OP_COUNT; i++) {
		if (trace_ops[i].out <= TRACE_RUN ||
		    !g->group[trace_ops[i].group] ||
		    !is_made(g, (enum trace_opcode)i))
			continue;
		for (n = 0; n < (g->mix.tight ? 1 : 2); n++)
			if (emit(g, (enum trace_opcode)i) != 0)
				return (ENOMEM);
	}
	return (0);
}

/* A zone's maximum comes before its first item; in half of the runs it then
 * stays, and bounds its slabs. */
static int
begin_maxima(struct gen *g)
{
	if (!g->mix.tight || !g->group[TRACE_G_ZN] || one_in(g, 3))
		return (0);
	if (emit(g, TRACE_OP_UMA_ZONE_SET_MAX) != 0)
		return (ENOMEM);
	if (one_in(g, 2) && g->weights > g->weight[TRACE_OP_UMA_ZONE_SET_MAX]) {
		g->weights -= g->weight[TRACE_OP_UMA_ZONE_SET_MAX];
		g->weight[TRACE_OP_UMA_ZONE_SET_MAX] = 0;
	}
	return (emit(g, TRACE_OP_QUIESCE));
}

/* What may be held of it until somebody has to wait. Where there is no limit,
 * enough that caches have something. */
static uint32_t
room_of(struct gen *g, const struct trace_op *op)
{
	uint32_t some = g->mix.starved ? below(g, 12) : 0;
	int32_t limit;

	switch (op->code) {
	case TRACE_OP_KMALLOC_CREATE:
		return (g->group[TRACE_G_KM] ? some : 0);
	case TRACE_OP_OBJCACHE_CREATE: /* and the least that caches keep */
		limit = (int32_t)op->arg[3];
		return (limit <= 0 ? some :
				     (uint32_t)limit + 8 * g->t->header.cpus);
	case TRACE_OP_OBJCACHE_CREATE_ZONE:
		limit = (int32_t)op->arg[2];
		return (limit <= 0 ? some :
				     (uint32_t)limit + 8 * g->t->header.cpus);
	case TRACE_OP_MPIPE_INIT:
		limit = (int32_t)op->arg[3];
		if (limit >= 0 && limit < (int32_t)op->arg[2])
			limit = (int32_t)op->arg[2];
		return (limit < 0 ? some : (uint32_t)limit);
	case TRACE_OP_UMA_ZONE_SET_MAX:
		limit = (int32_t)op->arg[1];
		return (limit <= 0 ? some : (uint32_t)limit);
	default:
		return (0);
	}
}

/* All but a few are taken before anybody has to wait for one. */
static int
begin_full(struct gen *g)
{
	static const enum trace_opcode take[TRACE_GROUP_COUNT] = {
		[TRACE_G_KM] = TRACE_OP_KMALLOC,
		[TRACE_G_OC] = TRACE_OP_OBJCACHE_GET,
		[TRACE_G_MP] = TRACE_OP_MPIPE_ALLOC_NOWAIT,
		[TRACE_G_ZN] = TRACE_OP_UMA_ZALLOC,
	};
	uint32_t i, n, room, nowait = g->mix.nowait, took = g->t->nops;

	for (i = 0; i < took; i++) {
		room = room_of(g, &g->t->op[i]);
		if (room > 80)
			continue;
		g->mix.nowait = 16;
		g->mix.live_target = room + below(g, 4);
		for (n = below(g, 3); n < room; n++)
			if (emit(g, take[trace_ops[g->t->op[i].code].group]) !=
			    0)
				return (ENOMEM);
		g->mix.nowait = nowait;
	}
	return (one_in(g, 2) ? emit(g, TRACE_OP_QUIESCE) : 0);
}

/* What the first calls that go on from there ask for is refused. */
static int
begin_refusing(struct gen *g)
{
	static const uint8_t cache[] = { TRACE_HOOK_CTOR, TRACE_HOOK_ALLOC };
	static const uint8_t zone[] = { TRACE_HOOK_CTOR, TRACE_HOOK_INIT,
		TRACE_HOOK_IMPORT };
	bool oc = g->group[TRACE_G_OC] && !(g->layered && one_in(g, 2));
	struct trace_op op = { .code = oc ? TRACE_OP_OBJCACHE_HOOK :
					    TRACE_OP_UMA_HOOK,
		.out = TRACE_NOREG };

	op.arg[0] = draw_reg(g, oc ? TRACE_CACHE : TRACE_ZONE);
	if (op.arg[0] == TRACE_NOREG)
		return (0);
	op.arg[1] = oc ? cache[below(g, 2)] : zone[below(g, 3)];
	op.arg[2] = TRACE_ACTION_REFUSE;
	op.arg[3] = one_in(g, 4) ? 2 : 1;
	op.arg[4] = 1 + below(g, 3);
	op.line = g->t->nops + 1;
	return (trace_append(g->t, &op));
}

/* The last ones are asked for at one time. */
static int
begin_contest(struct gen *g)
{
	for (g->by = 1; g->by <= g->t->header.threads; g->by++) {
		enum trace_opcode code = draw_take(g, TRACE_OP_COUNT);

		if (code == TRACE_OP_COUNT || one_in(g, 4))
			continue;
		if (emit(g, code) != 0)
			return (ENOMEM);
	}
	g->by = 0;
	return (0);
}

/* Somebody takes nearly all pages, in pieces of all sizes. */
static int
begin_starving(struct gen *g)
{
	uint32_t spare = below(g, one_in(g, 2) ? 4 : 24), left, n;

	for (left = g->t->header.pages - spare; left > 0; left -= n) {
		struct trace_op op = { .code = TRACE_OP_VM_PAGE_ALLOC };

		n = left > 16 ? 16 : left > 1 ? left / 2 : 1;
		op.arg[0] = n;
		op.arg[2] = VM_ALLOC_NORMAL;
		op.out = draw_out(g, TRACE_RUN);
		op.line = g->t->nops + 1;
		note(g, &op);
		if (trace_append(g->t, &op) != 0)
			return (ENOMEM);
	}
	return (0);
}

/* So many operations at most: a short tight run is over when its first sleepers
 * are judged, and another begins. */
static uint32_t
draw_length(struct gen *g, uint32_t ops)
{
	uint32_t short_ops = g->t->nops + 8 + below(g, ops / 8 + 1);

	g->ends = g->mix.tight;
	if (g->mix.tight && !one_in(g, 4) && short_ops < ops) {
		g->ends = one_in(g, 4);
		return (short_ops);
	}
	return (g->mix.tight && ops > 2 * END_OPS ? ops - END_OPS : ops);
}

/* In a quarter of the runs threads exit. That is drawn apart, so that what else
 * there is is that of a run without. */
static int
gen_exit(struct gen *g, uint64_t *rng, bool exits)
{
	struct trace_op op = { .code = TRACE_OP_THREAD_EXIT,
		.out = TRACE_NOREG };

	if (!exits || random_below(rng, 12) != 0)
		return (0);
	op.thread = (uint16_t)random_below(rng, g->t->header.threads);
	op.line = g->t->nops + 1;
	return (trace_append(g->t, &op));
}

int
gen_trace(const struct gen_options *o, struct trace *ret_t)
{
	struct gen g = { .mix = { .rng = o->seed, .header = &ret_t->header },
		.t = ret_t };
	uint64_t rng = o->seed ^ UINT64_C(0x65786974); /* "exit" */
	const bool exits = random_below(&rng, 4) == 0;
	uint32_t i, most;

	trace_init(ret_t);
	gen_header(&g.mix, &ret_t->header, o->cpus, o->threads);
	draw_weights(&g, o);
	if (one_in(&g, g.mix.large ? 2 : 4)) {
		ret_t->header.nfaults = 1;
		gen_fault(&g.mix, &ret_t->header.fault[0]);
	}
	if (begin_owners(&g) != 0 || begin_maxima(&g) != 0 ||
	    (g.mix.tight && !one_in(&g, 3) && begin_full(&g) != 0) ||
	    (g.mix.tight && one_in(&g, 2) && begin_refusing(&g) != 0) ||
	    (g.mix.starved && begin_starving(&g) != 0) ||
	    (g.mix.tight && !one_in(&g, 3) && begin_contest(&g) != 0))
		return (ENOMEM);
	/* Bounded: an operation without operands is drawn again. */
	most = draw_length(&g, o->ops);
	for (i = 0; ret_t->nops < most && i < o->ops * 8; i++)
		if (emit(&g, draw_code(&g)) != 0 ||
		    gen_exit(&g, &rng, exits) != 0)
			return (ENOMEM);
	if (g.ends && end_owners(&g) != 0)
		return (ENOMEM);
	if (ret_t->nops > o->ops)
		ret_t->nops = o->ops;
	return (0);
}
