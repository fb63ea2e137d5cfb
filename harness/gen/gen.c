/* SPDX-License-Identifier: BSD-2-Clause */
/* The random generator; see gen.h. */
#include "gen/gen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <kalloc/flags.h>

#include "util/random.h"

/* How often an operation is drawn when the swarm leaves it in; 0: only where
 * the generator itself puts it. */
static const uint8_t base_weight[TRACE_OP_COUNT] = {
	[TRACE_OP_KMALLOC_CREATE] = 1,
	[TRACE_OP_KMALLOC_DESTROY] = 1,
	[TRACE_OP_MALLOC_INIT] = 1,
	[TRACE_OP_MALLOC_UNINIT] = 1,
	[TRACE_OP_KMALLOC] = 60,
	[TRACE_OP_KMALLOC_CACHEALIGN] = 4,
	[TRACE_OP_KMALLOC_POWEROF2] = 4,
	[TRACE_OP_KFREE] = 60,
	[TRACE_OP_KREALLOC] = 12,
	[TRACE_OP_KSTRDUP] = 3,
	[TRACE_OP_KSTRNDUP] = 3,
	[TRACE_OP_KMALLOC_USABLE_SIZE] = 4,
	[TRACE_OP_KMALLOC_LIMIT] = 1,
	[TRACE_OP_KMALLOC_RAISE_LIMIT] = 1,
	[TRACE_OP_KMALLOC_SET_UNLIMITED] = 1,
	[TRACE_OP_KMALLOC_TRIM] = 2,
	[TRACE_OP_KFREE_INTERIOR] = 1,
	[TRACE_OP_KFREE_WILD] = 1,
	[TRACE_OP_VM_PAGE_ALLOC] = 6,
	[TRACE_OP_VM_PAGE_FREE] = 6,
	[TRACE_OP_MIGRATE] = 3,
	[TRACE_OP_QUIESCE] = 1,
};

#define LIVE_MAX 512u /* registers of a class that a run uses */

struct gen {
	uint64_t rng;
	struct trace *t;
	uint32_t weight[TRACE_OP_COUNT], weights;
	uint8_t size_mix[8]; /* which kinds of sizes the run draws from */
	uint32_t nsizes;
	uint32_t zero, nowait; /* of 16 allocations, so many with the flag */
	uint32_t misuse;       /* 1 of so many is misuse; 0: none */
	uint32_t live_target;  /* above it, allocations turn into frees */
	uint8_t live[TRACE_CLASS_COUNT][LIVE_MAX];
	uint32_t type_of[LIVE_MAX]; /* of an object's register */
	uint32_t nregs[TRACE_CLASS_COUNT], nlive[TRACE_CLASS_COUNT];
};

static uint32_t
below(struct gen *g, uint32_t n)
{
	return (random_below(&g->rng, n));
}

static bool
one_in(struct gen *g, uint32_t n)
{
	return (n != 0 && below(g, n) == 0);
}

static uint64_t
draw_size(struct gen *g)
{
	uint64_t size;

	switch (g->size_mix[below(g, g->nsizes)]) {
	case 0:
		return (1 + below(g, 64));
	case 1:
		return (1 + below(g, 512));
	case 2:
		return (1 + below(g, KA_KMALLOC_MAX));
	case 3: /* around the ends of classes */
		size = (uint64_t)8 << below(g, 11);
		return (size - 1 + below(g, 3));
	case 4:
		return (KA_KMALLOC_MAX + below(g, 5 * KA_PAGE_SIZE));
	case 5: /* around whole pages */
		size = (1 + below(g, 24)) * (uint64_t)KA_PAGE_SIZE;
		return (size - 1 + below(g, 3));
	case 6: /* one size for the run: a full slab soon */
		return (g->live_target * 8 % KA_KMALLOC_MAX + 1);
	default:
		if (one_in(g, 8)) /* the top of the range */
			return (UINT64_MAX - below(g, 3 * KA_PAGE_SIZE));
		return (one_in(g, 2) ? 0 : UINT64_C(1) << below(g, 40));
	}
}

static uint64_t
draw_flags(struct gen *g, enum trace_opcode code)
{
	static const uint32_t nowait[] = { M_NOWAIT, M_INTNOWAIT,
		M_RNOWAIT | M_NULLOK };
	static const uint32_t waitok[] = { M_WAITOK | M_NULLOK,
		M_WAITOK | M_NULLOK, M_INTWAIT | M_NULLOK, M_WAITOK };
	uint64_t flags;

	if (one_in(g, g->misuse))
		return (below(g, 0x10000));
	flags = below(g, 16) < g->nowait ? nowait[below(g, 3)] :
					   waitok[below(g, 4)];
	if (below(g, 16) < g->zero && code != TRACE_OP_KREALLOC)
		flags |= M_ZERO;
	if (one_in(g, 24))
		flags |= M_POWEROF2;
	if (one_in(g, 24))
		flags |= M_CACHEALIGN;
	return (flags);
}

static uint64_t
draw_vmflags(struct gen *g)
{
	static const uint32_t depth[] = { VM_ALLOC_NORMAL, VM_ALLOC_NORMAL,
		VM_ALLOC_SYSTEM, VM_ALLOC_INTERRUPT };

	if (one_in(g, g->misuse))
		return (below(g, 32));
	return (depth[below(g, 4)] | (one_in(g, 3) ? VM_ALLOC_ZERO : 0));
}

/* A register of the class: a live one, unless misuse is due or none is. */
static uint64_t
draw_reg(struct gen *g, int class)
{
	uint32_t i, at;

	if (g->nregs[class] == 0)
		return (TRACE_NOREG);
	at = below(g, g->nregs[class]);
	if (one_in(g, g->misuse))
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
draw_str(struct gen *g)
{
	char name[TRACE_STR_MAX + 1];

	(void)snprintf(name, sizeof(name), "type-%u", below(g, 1000));
	return (trace_str_intern(&g->t->header, name, strlen(name)));
}

static uint64_t
draw_num(struct gen *g, enum trace_opcode code, unsigned i)
{
	if (code == TRACE_OP_KSTRNDUP)
		return (below(g, 40));
	if (i == 0)
		return (one_in(g, g->misuse) ? 0 : 1 + below(g, 20));
	return (one_in(g, 2) ? 0 : UINT64_C(1) << below(g, 17));
}

static uint64_t
draw_arg(struct gen *g, enum trace_opcode code, unsigned i)
{
	enum trace_kind kind = trace_ops[code].arg[i];

	switch (kind) {
	case TRACE_K_SIZE:
		return (draw_size(g));
	case TRACE_K_NUM:
		return (draw_num(g, code, i));
	case TRACE_K_FLAGS:
		return (draw_flags(g, code));
	case TRACE_K_VMFLAGS:
		return (draw_vmflags(g));
	case TRACE_K_STR:
		return (draw_str(g));
	case TRACE_K_CPU:
		return (below(g, g->t->header.cpus));
	case TRACE_K_WILD:
		return (below(g, TRACE_WILD_COUNT));
	default:
		return (draw_reg(g, trace_kind_class(kind)));
	}
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
		    !one_in(g, g->misuse))
			op->arg[i] = g->type_of[obj];
	}
}

/* Is there anything that the operation could work on? */
static bool
has_operands(const struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	unsigned i;

	for (i = 0; i < def->nargs; i++)
		if (trace_kind_class(def->arg[i]) >= 0 &&
		    op->arg[i] == TRACE_NOREG && def->arg[i] != TRACE_K_OBJ_MOD)
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
	}
	if (def->out < 0)
		return;
	if (op->out == g->nregs[def->out])
		g->nregs[def->out]++;
	set_live(g, def->out, op->out, true);
}

static int
emit(struct gen *g, enum trace_opcode code)
{
	const struct trace_opdef *def = &trace_ops[code];
	struct trace_op op = { .code = (uint16_t)code, .out = TRACE_NOREG };
	unsigned i;

	op.thread = (uint16_t)below(g, g->t->header.threads);
	for (i = 0; i < def->nargs; i++)
		op.arg[i] = draw_arg(g, code, i);
	match_type(g, &op);
	if (!has_operands(&op) && !one_in(g, g->misuse))
		return (0);
	if (def->out >= 0)
		op.out = draw_out(g, def->out);
	op.line = g->t->nops + 1;
	note(g, &op);
	return (trace_append(g->t, &op));
}

static enum trace_opcode
draw_code(struct gen *g)
{
	uint32_t at = below(g, g->weights), code;

	for (code = 0; at >= g->weight[code]; code++)
		at -= g->weight[code];
	/* What lives stays near the run's target. */
	if (trace_ops[code].out == TRACE_OBJ &&
	    g->nlive[TRACE_OBJ] > g->live_target)
		return (TRACE_OP_KFREE);
	if (trace_ops[code].out == TRACE_RUN && g->nlive[TRACE_RUN] > 24)
		return (TRACE_OP_VM_PAGE_FREE);
	return ((enum trace_opcode)code);
}

static void
draw_weights(struct gen *g)
{
	unsigned i;

	for (i = 0; i < TRACE_OP_COUNT; i++) {
		uint32_t w = base_weight[i];

		if (i != TRACE_OP_KMALLOC && i != TRACE_OP_KFREE &&
		    one_in(g, 3))
			w = 0;
		g->weight[i] = w * (1 + below(g, 4));
		g->weights += g->weight[i];
	}
	g->nsizes = 1 + below(g, 8);
	for (i = 0; i < g->nsizes; i++)
		g->size_mix[i] = (uint8_t)below(g, 8);
	g->zero = below(g, 17);
	g->nowait = below(g, 17);
	/* Where pages are few, callers that wait soon all wait: mostly others,
	 * so that the run goes on; but now and then let them. */
	if (g->t->header.pages < 1024 * g->t->header.cpus && !one_in(g, 4))
		g->nowait = 14 + below(g, 3);
	g->misuse = one_in(g, 2) ? 0 : 16u << below(g, 5);
	g->live_target = 1 + below(g, 1u << (2 + below(g, 7)));
}

static void
draw_faults(struct gen *g, struct trace_header *h)
{
	struct trace_fault *f = &h->fault[0];

	if (!one_in(g, 4))
		return;
	h->nfaults = 1;
	f->mode = (enum trace_fault_mode)below(g, TRACE_FAULT_MODE_COUNT);
	f->k = 1 + below(g, 40);
	f->num = 1;
	f->den = 2u << below(g, 6);
	f->seed = random_next(&g->rng);
}

static void
draw_header(struct gen *g, const struct gen_options *o)
{
	struct trace_header *h = &g->t->header;
	uint32_t i;

	h->cpus = o->cpus != 0 ? o->cpus : 1 + below(g, 4);
	h->threads = o->threads != 0 ? o->threads : 1 + below(g, 6);
	h->pages = TRACE_PAGES_MIN * h->cpus << below(g, 8);
	h->reserve_system = below(g, h->pages / 4);
	h->reserve_interrupt = below(g, h->reserve_system + 1);
	h->slabs_keep = below(g, 4);
	h->debug = one_in(g, 4) ? below(g, KA_DEBUG_ALL + 1) : 0;
	h->sched = (enum trace_sched_mode)below(g, TRACE_SCHED_MODE_COUNT);
	h->sched_seed = random_next(&g->rng);
	h->sticky = 2u << below(g, 5);
	for (i = 0; i < h->threads; i++)
		h->thread_cpu[i] = (uint16_t)(i % h->cpus);
	draw_faults(g, h);
}

int
gen_trace(const struct gen_options *o, struct trace *ret_t)
{
	struct gen g = { .rng = o->seed, .t = ret_t };
	uint32_t i, ntypes;

	trace_init(ret_t);
	draw_header(&g, o);
	draw_weights(&g);
	ntypes = 1 + below(&g, 4);
	for (i = 0; i < ntypes; i++) {
		if (emit(&g, TRACE_OP_KMALLOC_CREATE) != 0)
			return (ENOMEM);
		if (one_in(&g, 2) &&
		    emit(&g, TRACE_OP_KMALLOC_SET_UNLIMITED) != 0)
			return (ENOMEM);
	}
	/* Bounded: an operation without operands is drawn again. */
	for (i = 0; ret_t->nops < o->ops && i < o->ops * 8; i++)
		if (emit(&g, draw_code(&g)) != 0)
			return (ENOMEM);
	return (0);
}
