/* SPDX-License-Identifier: BSD-2-Clause */
/* What the generator draws values from; see gen.h. */
#include <stdio.h>
#include <string.h>

#include <kalloc/flags.h>

#include "gen/gen_int.h"
#include "util/random.h"

const uint8_t gen_weight[TRACE_OP_COUNT] = {
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
	[TRACE_OP_OBJCACHE_CREATE] = 1,
	[TRACE_OP_OBJCACHE_CREATE_ZONE] = 1,
	[TRACE_OP_OBJCACHE_GET] = 40,
	[TRACE_OP_OBJCACHE_PUT] = 40,
	[TRACE_OP_OBJCACHE_DTOR] = 3,
	[TRACE_OP_OBJCACHE_DESTROY] = 1,
	[TRACE_OP_OBJCACHE_RECLAIMLIST] = 2,
	[TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT] = 1,
	[TRACE_OP_OBJCACHE_HOOK] = 1,
	[TRACE_OP_MPIPE_INIT] = 1,
	[TRACE_OP_MPIPE_DONE] = 1,
	[TRACE_OP_MPIPE_ALLOC_NOWAIT] = 24,
	[TRACE_OP_MPIPE_ALLOC_WAITOK] = 8,
	[TRACE_OP_MPIPE_ALLOC_CALLBACK] = 4,
	[TRACE_OP_MPIPE_WAIT] = 1,
	[TRACE_OP_MPIPE_FREE] = 34,
	[TRACE_OP_MPIPE_HOOK] = 1,
	[TRACE_OP_UMA_ZCREATE] = 1,
	[TRACE_OP_UMA_ZSECOND_CREATE] = 1,
	[TRACE_OP_UMA_ZCACHE_CREATE] = 1,
	[TRACE_OP_UMA_ZCREATE_STATIC] = 1,
	[TRACE_OP_UMA_ZONE_SET_SOURCE] = 1,
	[TRACE_OP_UMA_ZDESTROY] = 1,
	[TRACE_OP_UMA_ZALLOC] = 40,
	[TRACE_OP_UMA_ZALLOC_ARG] = 6,
	[TRACE_OP_UMA_ZFREE] = 40,
	[TRACE_OP_UMA_ZFREE_ARG] = 6,
	[TRACE_OP_UMA_ZFREE_INTERIOR] = 1,
	[TRACE_OP_UMA_ZFREE_WILD] = 1,
	[TRACE_OP_UMA_ZONE_SET_MAX] = 2,
	[TRACE_OP_UMA_ZONE_GET_MAX] = 1,
	[TRACE_OP_UMA_ZONE_GET_CUR] = 1,
	[TRACE_OP_UMA_ZONE_SET_MAXCACHE] = 1,
	[TRACE_OP_UMA_PREALLOC] = 1,
	[TRACE_OP_UMA_ZONE_RESERVE] = 1,
	[TRACE_OP_UMA_ZONE_RECLAIM] = 2,
	[TRACE_OP_UMA_RECLAIM] = 1,
	[TRACE_OP_UMA_HOOK] = 1,
	[TRACE_OP_ZBOOTINIT] = 1,
	[TRACE_OP_ZINIT] = 1,
	[TRACE_OP_ZINITNA] = 1,
	[TRACE_OP_ZDESTROY] = 1,
	[TRACE_OP_ZALLOC] = 16,
	[TRACE_OP_ZFREE] = 16,
	[TRACE_OP_MIGRATE] = 3,
	[TRACE_OP_QUIESCE] = 1,
};

static uint32_t
below(struct gen_mix *g, uint32_t n)
{
	return (random_below(&g->rng, n));
}

static bool
one_in(struct gen_mix *g, uint32_t n)
{
	return (n != 0 && below(g, n) == 0);
}

static uint64_t
draw_size(struct gen_mix *g)
{
	uint64_t size;

	if (g->large && !one_in(g, 3))
		return (one_in(g, 2) ?
			(uint64_t)2048 << below(g, 3) :
			KA_KMALLOC_MAX + below(g, 2 * KA_PAGE_SIZE));
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
		if (one_in(g, 8)) /* small in 32 bits */
			return ((UINT64_C(1) << 32) + below(g, 600));
		return (one_in(g, 2) ? 0 : UINT64_C(1) << below(g, 40));
	}
}

static uint64_t
draw_flags(struct gen_mix *g, enum trace_opcode code)
{
	static const uint32_t nowait[] = { M_NOWAIT, M_INTNOWAIT,
		M_RNOWAIT | M_NULLOK };
	static const uint32_t waitok[] = { M_WAITOK | M_NULLOK,
		M_WAITOK | M_NULLOK, M_INTWAIT | M_NULLOK, M_SYSWAIT | M_NULLOK,
		M_WAITOK, M_SYSWAIT };
	uint64_t flags;

	if (one_in(g, g->misuse))
		return (below(g, 0x10000));
	flags = below(g, 16) < g->nowait ? nowait[below(g, 3)] :
					   waitok[below(g, 6)];
	if (below(g, 16) < g->zero && code != TRACE_OP_KREALLOC)
		flags |= M_ZERO;
	if (one_in(g, 24))
		flags |= M_POWEROF2;
	if (one_in(g, 24))
		flags |= M_CACHEALIGN;
	return (flags);
}

static uint64_t
draw_vmflags(struct gen_mix *g)
{
	static const uint32_t depth[] = { VM_ALLOC_NORMAL, VM_ALLOC_NORMAL,
		VM_ALLOC_SYSTEM, VM_ALLOC_INTERRUPT };

	if (one_in(g, g->misuse))
		return (below(g, 32));
	return (depth[below(g, 4)] | (one_in(g, 3) ? VM_ALLOC_ZERO : 0));
}

static uint64_t
draw_str(struct gen_mix *g)
{
	char name[TRACE_STR_MAX + 1];

	(void)snprintf(name, sizeof(name), "type-%u", below(g, 1000));
	return (trace_str_intern(g->header, name, strlen(name)));
}

/* Sizes of what caches, pipes and zones have: mostly small. */
static uint64_t
draw_item_size(struct gen_mix *g)
{
	if (one_in(g, g->misuse))
		return (draw_size(g));
	if (g->large && one_in(g, 2))
		return ((uint64_t)1024 << below(g, g->starved ? 2 : 4));
	if (g->large)
		return (KA_KMALLOC_MAX + below(g, KA_PAGE_SIZE));
	switch (below(g, 8)) {
	case 0:
		return (1 + below(g, (one_in(g, 16) ? 40 : 3) * KA_PAGE_SIZE));
	case 1:
		return ((uint64_t)8 << below(g, 10));
	default:
		return (1 + below(g, 600));
	}
}

/* Of a tight run: a few, or about as many as the caches of all CPUs keep; no
 * limit where it is pages that are few. */
static uint64_t
draw_tight(struct gen_mix *g, enum trace_opcode code, unsigned i)
{
	if (code == TRACE_OP_UMA_PREALLOC)
		return (1 + below(g, 4));
	if (code == TRACE_OP_MPIPE_INIT)
		return (i == 2 ? 1 + below(g, 3) : 1 + below(g, 6));
	if (g->starved && trace_ops[code].group != TRACE_G_MP && one_in(g, 2))
		return (0);
	if (g->wide && code == TRACE_OP_UMA_ZONE_SET_MAX)
		return (one_in(g, 3) ? 2 * g->header->cpus + below(g, 6) :
				       8 * g->header->cpus + below(g, 4));
	return (1 + below(g, 6));
}

/* Limits, numbers to keep, of a pipe's buffers, of a zone's items. */
static uint64_t
draw_int(struct gen_mix *g, enum trace_opcode code, unsigned i)
{
	int32_t value;

	if (one_in(g, g->misuse))
		return ((uint32_t)(int32_t)(below(g, 64) - 32));
	if (g->tight)
		return (draw_tight(g, code, i));
	switch (code) {
	case TRACE_OP_MPIPE_INIT:
		value =
		    i == 2 ? (int32_t)below(g, 12) : (int32_t)below(g, 24) - 4;
		break;
	case TRACE_OP_UMA_ZONE_RESERVE:
		value = (int32_t)below(g, 20);
		break;
	case TRACE_OP_ZINIT:
	case TRACE_OP_ZINITNA:
	case TRACE_OP_ZBOOTINIT:
		value = 1 + (int32_t)below(g, 40);
		break;
	default:
		value = one_in(g, 4) ?
		    0 :
		    (int32_t)below(g, 1u << (1 + below(g, 8)));
		break;
	}
	return ((uint32_t)value);
}

static uint64_t
draw_hooks(struct gen_mix *g, enum trace_opcode code)
{
	uint32_t both = 1u << TRACE_HOOK_CTOR | 1u << TRACE_HOOK_DTOR;
	uint64_t hooks = one_in(g, 2) ? both : below(g, 4);

	if (trace_ops[code].group == TRACE_G_ZN) {
		if (one_in(g, g->tight ? 2 : 3))
			hooks |= 1u << TRACE_HOOK_INIT | 1u << TRACE_HOOK_FINI;
		if (one_in(g, 8))
			hooks |= 1u << TRACE_HOOK_MAXACTION;
		return (hooks);
	}
	if (code == TRACE_OP_MPIPE_INIT && one_in(g, 3))
		return (0);
	if (code != TRACE_OP_MPIPE_INIT && one_in(g, 6))
		hooks |= 1u << TRACE_HOOK_ZERO;
	if (code != TRACE_OP_MPIPE_INIT && one_in(g, 16))
		hooks |= 1u << TRACE_HOOK_EMPTY;
	return (hooks);
}

static uint64_t
draw_hook(struct gen_mix *g, enum trace_opcode code)
{
	static const uint8_t cache[] = { TRACE_HOOK_CTOR, TRACE_HOOK_DTOR,
		TRACE_HOOK_ALLOC, TRACE_HOOK_FREE };
	static const uint8_t pipe[] = { TRACE_HOOK_CTOR, TRACE_HOOK_DTOR,
		TRACE_HOOK_CALLBACK, TRACE_HOOK_CALLBACK };
	static const uint8_t zone[] = { TRACE_HOOK_CTOR, TRACE_HOOK_DTOR,
		TRACE_HOOK_INIT, TRACE_HOOK_FINI, TRACE_HOOK_IMPORT,
		TRACE_HOOK_RELEASE, TRACE_HOOK_MAXACTION, TRACE_HOOK_CTOR };

	if (code == TRACE_OP_OBJCACHE_HOOK)
		return (cache[below(g, 4)]);
	if (code == TRACE_OP_MPIPE_HOOK)
		return (pipe[below(g, 4)]);
	return (zone[below(g, 8)]);
}

/* A pipe with a constructor keeps what it constructed. */
uint64_t
gen__mpflags(struct gen_mix *g, uint64_t hooks)
{
	static const uint32_t keep[] = { MPF_NOZERO, MPF_CACHEDATA, MPF_NOZERO,
		MPF_CACHEDATA, MPF_NOZERO | MPF_CACHEDATA };
	uint64_t flags = 0;

	if (one_in(g, g->misuse))
		return (below(g, 32));
	if (hooks != 0 || one_in(g, 2))
		flags = keep[below(g, sizeof(keep) / sizeof(*keep))];
	if (one_in(g, 4))
		flags |= MPF_INT;
	if (one_in(g, 3))
		flags |= MPF_CALLBACK;
	return (flags);
}

static uint64_t
draw_umaflags(struct gen_mix *g)
{
	if (one_in(g, g->misuse))
		return (below(g, 0x10000));
	return (one_in(g, 12) ? UMA_ZONE_NOFREE :
		one_in(g, 8)  ? UMA_ZONE_NOBUCKET :
				0);
}

static uint64_t
draw_zoneflags(struct gen_mix *g)
{
	uint64_t flags = one_in(g, 8) ? 0 : ZONE_DESTROYABLE;

	if (one_in(g, g->misuse))
		return (below(g, 0x80));
	if (one_in(g, 3))
		flags |= ZONE_INTERRUPT;
	if (one_in(g, 8))
		flags |= ZONE_PANICFAIL;
	if (one_in(g, 4))
		flags |= ZONE_USE_RESERVE;
	return (flags);
}

static uint64_t
draw_num(struct gen_mix *g, enum trace_opcode code, unsigned i)
{
	if (code == TRACE_OP_UMA_ZCREATE && one_in(g, 16))
		return (((uint64_t)1 << (12 + below(g, 5))) - 1);
	if (code == TRACE_OP_UMA_ZCREATE ||
	    code == TRACE_OP_UMA_ZCREATE_STATIC) /* the alignment's mask */
		return (one_in(g, 3) ? ((uint64_t)1 << below(g, 13)) - 1 : 7);
	if (code == TRACE_OP_UMA_ZCACHE_CREATE)
		return (below(g, 200));
	if (trace_ops[code].group >= TRACE_G_OC)
		return (1 + below(g, 8));
	if (code == TRACE_OP_KSTRNDUP)
		return (below(g, 40));
	if (i == 0)
		return (one_in(g, g->misuse) ? 0 : 1 + below(g, 20));
	return (one_in(g, 2) ? 0 : UINT64_C(1) << below(g, 18));
}

/* Flags that an allocator does not take. */
static uint32_t
draw_strip(struct gen_mix *g, enum trace_opcode code)
{
	uint32_t align = M_POWEROF2 | M_CACHEALIGN;

	if (one_in(g, g->misuse))
		return (align);

	return (trace_ops[code].group == TRACE_G_ZN ? align : align | M_ZERO);
}

/* Registers are not drawn here. */
uint64_t
gen__value(struct gen_mix *g, enum trace_opcode code, unsigned i)
{
	enum trace_kind kind = trace_ops[code].arg[i];

	switch (kind) {
	case TRACE_K_SIZE:
		return (trace_ops[code].out > TRACE_RUN ? draw_item_size(g) :
							  draw_size(g));
	case TRACE_K_NUM:
		return (draw_num(g, code, i));
	case TRACE_K_FLAGS:
		return (trace_ops[code].group == TRACE_G_KM ?
			draw_flags(g, code) :
			draw_flags(g, code) & ~(uint64_t)draw_strip(g, code));
	case TRACE_K_INT:
		return (draw_int(g, code, i));
	case TRACE_K_HOOKS:
		return (draw_hooks(g, code));
	case TRACE_K_HOOK:
		return (draw_hook(g, code));
	case TRACE_K_ACTION:
		return (below(g, TRACE_ACTION_COUNT));
	case TRACE_K_RECLAIM:
		return (one_in(g, g->misuse) ? TRACE_RECLAIM_NONE :
					       1 + below(g, 3));
	case TRACE_K_MPFLAGS:
		return (0); /* by the hooks: gen__mpflags() */
	case TRACE_K_UMAFLAGS:
		return (draw_umaflags(g));
	case TRACE_K_ZONEFLAGS:
		return (draw_zoneflags(g));
	case TRACE_K_VMFLAGS:
		return (draw_vmflags(g));
	case TRACE_K_STR:
		return (draw_str(g));
	case TRACE_K_CPU:
		return (below(g, g->header->cpus));
	case TRACE_K_WILD:
		return (below(g, TRACE_WILD_COUNT));
	default:
		return (TRACE_NOREG);
	}
}

void
gen__amounts(struct gen_mix *g)
{
	g->nsizes = 1 + below(g, 8);
	for (uint32_t i = 0; i < g->nsizes; i++)
		g->size_mix[i] = (uint8_t)below(g, 8);
	g->zero = below(g, 17);
	g->nowait = below(g, 17);
	/* Where pages are few, callers that wait soon all wait: mostly others,
	 * so that the run goes on; but now and then let them. */
	if (g->header->pages < 1024 * g->header->cpus && !one_in(g, 4))
		g->nowait = 14 + below(g, 3);
	g->misuse = one_in(g, 2) ? 0 : 16u << below(g, 5);
	g->live_target = 1 + below(g, 1u << (2 + below(g, 7)));
}

void
gen_fault(struct gen_mix *g, struct trace_fault *f)
{
	f->mode = (enum trace_fault_mode)below(g, TRACE_FAULT_MODE_COUNT);
	f->k = 1 + below(g, g->large ? 12 : 40);
	f->num = 1;
	f->den = 2u << below(g, g->large ? 3 : 6);
	f->seed = random_next(&g->rng);
}

void
gen_header(
    struct gen_mix *g, struct trace_header *h, uint32_t cpus, uint32_t threads)
{
	h->cpus = cpus != 0 ? cpus : 1 + below(g, 4);
	h->threads = threads != 0 ? threads : 1 + below(g, 6);
	h->pages = TRACE_PAGES_MIN * h->cpus << below(g, 8);
	h->reserve_system = below(g, h->pages / 4);
	h->reserve_interrupt = below(g, h->reserve_system + 1);
	h->slabs_keep = below(g, 4);
	h->debug = one_in(g, 4) ? below(g, KA_DEBUG_ALL + 1) : 0;
	h->sched = (enum trace_sched_mode)below(g, TRACE_SCHED_MODE_COUNT);
	h->sched_seed = random_next(&g->rng);
	h->sticky = 2u << below(g, 5);
	h->memory = TRACE_MEMORY_SC;
	h->may = 0;
	if (h->sched != TRACE_SCHED_RECORDED && one_in(g, 2))
		h->memory = TRACE_MEMORY_TSO;
	if (h->sched != TRACE_SCHED_RECORDED && one_in(g, 2))
		h->may = below(g, TRACE_MAY_ALL + 1);
}

void
gen_mix_draw(struct gen_mix *g, uint64_t seed, struct trace_header *header)
{
	memset(g, 0, sizeof(*g));
	g->rng = seed;
	g->header = header;
	g->tight = one_in(g, 2);
	g->wide = one_in(g, 2);
	g->large = g->tight && one_in(g, 3);
	g->starved = one_in(g, 8);
	gen__amounts(g);
}

void
gen_values(struct gen_mix *g, struct trace_op *op)
{
	const struct trace_opdef *const def = &trace_ops[op->code];

	for (unsigned i = 0; i < def->nargs; i++)
		if (trace_kind_class(def->arg[i]) < 0 &&
		    def->arg[i] != TRACE_K_STR)
			op->arg[i] =
			    gen__value(g, (enum trace_opcode)op->code, i);
	if (op->code == TRACE_OP_MPIPE_INIT)
		op->arg[4] = gen__mpflags(g, op->arg[5]);
}
