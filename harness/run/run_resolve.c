/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Before the call: what an operation's registers and numbers are as arguments,
 * and whether it can be done at all.
 */
#include "run_int.h"

#include <kalloc/flags.h>

#include <string.h>

/*
 * May a call of another allocator than kmalloc be told this object? A zone is
 * not told what a cache over it has: to free it is misuse that nobody can tell.
 * A cache without debug options knows its objects only by what it is told, and
 * so does a zone of tokens.
 */
static __attribute__((noinline)) bool
may_name_owned(const struct run_state *s, const struct trace_op *op,
    const struct reg *r, const struct call *c)
{
	enum trace_group group = trace_ops[op->code].group;
	bool own = r->owner == (uint8_t)run_plan[op->code].class &&
	    r->handle == c->handle && r->state == REG_LIVE;

	if (group == TRACE_G_OC)
		/* One whose backend gives nothing is filled by strangers. */
		return (own ||
		    (s->header->debug != 0 &&
			(s->owner[TRACE_CACHE][c->handle].hooks >>
				TRACE_HOOK_EMPTY &
			    1) == 0));
	if (group == TRACE_G_ZN && run_plan[op->code].class == TRACE_ZONE &&
	    r->owner == TRACE_CACHE && r->state == REG_LIVE &&
	    s->owner[TRACE_CACHE][r->handle].zone == c->handle)
		return (false);
	if (group == TRACE_G_ZN && run_plan[op->code].class == TRACE_ZONE &&
	    s->owner[TRACE_ZONE][c->handle].tokens)
		return (own && !run_plan[op->code].stray);
	return (true);
}

/*
 * May the call be told this object? kmalloc is told only its own: what a cache
 * or a pipe has is memory of kmalloc under it, and to free it is misuse that
 * nobody can tell.
 */
static inline bool
may_name(const struct run_state *s, const struct trace_op *op,
    enum trace_group group, const struct reg *r, const struct call *c)
{
	return (group == TRACE_G_KM ? r->owner == TRACE_OBJ :
				      may_name_owned(s, op, r, c));
}

/* A cache, pipe or zone; false: there is none. Only an ended pipe can be named:
 * its storage is the caller's. */
static bool
resolve_handle(struct run_state *s, const struct trace_op *op,
    enum trace_kind kind, uint64_t index, struct call *c)
{
	int class = trace_kind_class(kind);
	uint32_t *handle = c->handle == TRACE_NOREG ? &c->handle : &c->handle2;
	const struct reg *r;

	if (index == TRACE_NOREG)
		return (op->code == TRACE_OP_OBJCACHE_RECLAIMLIST &&
		    c->handle != TRACE_NOREG);
	r = &s->reg[class][index];
	*handle = (uint32_t)index;
	return (r->state == REG_LIVE ||
	    (r->state == REG_ENDED && class == TRACE_PIPE));
}

/* An object or run argument; false: the operation has nothing to work on. */
static inline __attribute__((always_inline)) bool
resolve_memory(struct run_state *s, const struct trace_op *op,
    enum trace_group group, int class, uint64_t index, struct call *c)
{
	const struct reg *r;

	if (index == TRACE_NOREG)
		return (true);
	r = &s->reg[class][index];
	c->addr = r->state == REG_NULL ? 0 : r->addr;
	c->pages = r->pages;
	if (r->state == REG_NULL)
		return (op->code == TRACE_OP_KREALLOC);
	if (class == TRACE_OBJ && !may_name(s, op, group, r, c))
		return (false);
	if (r->state == REG_LIVE)
		return (true);
	/* Ended: misuse on purpose, where the subject can tell. */
	return (
	    r->state == REG_ENDED && (s->subject->caps & SUBJECT_MISUSE) != 0);
}

/* Arguments that only the other allocators have. */
static bool
resolve_other(struct run_state *s, const struct trace_op *op,
    enum trace_kind kind, uint64_t value, struct call *c)
{
	switch (kind) {
	case TRACE_K_INT:
		c->n[c->nints++ & 1] = (int32_t)(uint32_t)value;
		return (true);
	case TRACE_K_MPFLAGS:
	case TRACE_K_UMAFLAGS:
	case TRACE_K_ZONEFLAGS:
		c->flags = (uint32_t)value;
		return (true);
	case TRACE_K_HOOKS:
		c->hooks = (uint32_t)value;
		return (true);
	case TRACE_K_RECLAIM:
		c->reclaim = (enum trace_reclaim)value;
		return (true);
	default:
		if (trace_kind_class(kind) > TRACE_RUN)
			return (resolve_handle(s, op, kind, value, c));
		return (true);
	}
}

static inline __attribute__((always_inline)) bool
resolve_arg(struct run_state *s, const struct trace_op *op,
    enum trace_group group, unsigned i, enum trace_kind kind, struct call *c)
{
	uint64_t value = op->arg[i];

	switch (kind) {
	case TRACE_K_OBJ_USE:
	case TRACE_K_OBJ_MOD:
	case TRACE_K_OBJ_END:
		return (resolve_memory(s, op, group, TRACE_OBJ, value, c));
	case TRACE_K_RUN_USE:
	case TRACE_K_RUN_END:
		return (resolve_memory(s, op, group, TRACE_RUN, value, c));
	case TRACE_K_TYPE_USE:
	case TRACE_K_TYPE_MOD:
	case TRACE_K_TYPE_END:
		c->type = TRACE_NOREG;
		if (value != TRACE_NOREG &&
		    s->reg[TRACE_TYPE][value].state == REG_LIVE)
			c->type = (uint32_t)value;
		return (true);
	case TRACE_K_SIZE:
		c->size = value;
		return (true);
	case TRACE_K_NUM:
		if (i > 0 && op->code == TRACE_OP_VM_PAGE_ALLOC)
			c->align = value;
		else
			c->num = c->udata = value;
		return (true);
	case TRACE_K_FLAGS:
	case TRACE_K_VMFLAGS:
		c->flags = (uint32_t)value;
		return (true);
	case TRACE_K_STR:
		c->str = trace_str(s->header, value);
		return (true);
	case TRACE_K_WILD:
		c->wild = (uint32_t)value;
		return (true);
	case TRACE_K_NONE:
		return (true);
	default:
		return (resolve_other(s, op, kind, value, c));
	}
}

#define RESOLVE(group, i, kind)                                                \
	resolve_arg(s, op, TRACE_G_##group, i, TRACE_K_##kind, c)

/* A case for each row of the table: what a kind means is known to it. */
static inline bool
resolve_args(struct run_state *s, const struct trace_op *op, struct call *c)
{
	switch (op->code) {
#define OP(id, opname, opgroup, opout, a0, a1, a2, a3, a4, a5, ophelp)         \
	case TRACE_OP_##id:                                                    \
		return (RESOLVE(opgroup, 0, a0) && RESOLVE(opgroup, 1, a1) &&  \
		    RESOLVE(opgroup, 2, a2) && RESOLVE(opgroup, 3, a3) &&      \
		    RESOLVE(opgroup, 4, a4) && RESOLVE(opgroup, 5, a5));
#include "trace/ops.def"
#undef OP
	default:
		__builtin_unreachable();
	}
}

/* Would it be misuse, as far as the arguments tell? */
static bool
is_misuse(const struct trace_op *op, const struct call *c)
{
	uint32_t family = c->flags & (M_RNOWAIT | M_WAITOK);

	switch (op->code) {
	case TRACE_OP_KMALLOC:
	case TRACE_OP_KMALLOC_CACHEALIGN:
	case TRACE_OP_KMALLOC_POWEROF2:
		return (c->type == TRACE_NOREG ||
		    (c->flags & ~(uint32_t)M_VALID) != 0 || family == 0 ||
		    family == (M_RNOWAIT | M_WAITOK));
	case TRACE_OP_KREALLOC:
		return (c->type == TRACE_NOREG ||
		    (c->flags & ~(uint32_t)(M_VALID & ~M_ZERO)) != 0 ||
		    family == 0 || family == (M_RNOWAIT | M_WAITOK));
	case TRACE_OP_KFREE:
		return (c->addr == 0 || c->type == TRACE_NOREG);
	case TRACE_OP_KSTRDUP:
	case TRACE_OP_KSTRNDUP:
		return (c->type == TRACE_NOREG);
	case TRACE_OP_KFREE_INTERIOR:
	case TRACE_OP_KFREE_WILD:
		return (true);
	default:
		return (false);
	}
}

/* Does the subject have what the operation is about? */
static bool
is_offered(const struct run_state *s, const struct trace_op *op)
{
	if (trace_ops[op->code].group == TRACE_G_VM)
		return ((s->subject->caps & SUBJECT_PAGES) != 0);
	if (trace_ops[op->code].group >= TRACE_G_OC)
		return ((s->subject->caps & SUBJECT_OWNERS) != 0);
	switch (op->code) {
	case TRACE_OP_KMALLOC_LIMIT:
	case TRACE_OP_KMALLOC_RAISE_LIMIT:
	case TRACE_OP_KMALLOC_SET_UNLIMITED:
	case TRACE_OP_KMALLOC_TRIM:
	case TRACE_OP_THREAD_EXIT:
		return ((s->subject->caps & SUBJECT_STATS) != 0);
	default:
		return (true);
	}
}

bool
run__is_stray(const struct run_state *s, const struct trace_op *op)
{
	const struct run_plan *plan = &run_plan[op->code];
	unsigned i;

	if (plan->stray)
		return (true);
	for (i = 0; i < plan->nmemory; i++) {
		unsigned n = plan->memory[i];
		uint64_t index = op->arg[plan->reg[n].arg];
		const struct reg *r;

		if (index == TRACE_NOREG)
			continue;
		r = &s->reg[plan->reg[n].class][index];
		if (r->state == REG_ENDED)
			return (true);
		/* Given back to who did not give it out. */
		if (plan->gives_back &&
		    (r->owner != (uint8_t)plan->class ||
			r->handle != op->arg[0]))
			return (true);
	}
	return (false);
}

/* The wild address; 0: there is none of the kind. */
static bool
resolve_wild(struct run_state *s, struct call *c)
{
	if (s->subject->wild == NULL)
		return (false);
	if (c->wild == TRACE_WILD_PAGE) {
		c->addr = model_free_page(s->model);
		return (c->addr != 0);
	}
	c->addr = s->subject->wild((enum trace_wild)c->wild);
	return (true);
}

/* Does a cache or pipe take its memory under the type? It may not end. */
static bool
type_is_used(const struct run_state *s, uint32_t type)
{
	int class;
	uint32_t i;

	for (class = TRACE_CACHE; class <= TRACE_PIPE; class ++)
		for (i = 0; i < s->nregs[class]; i++)
			if (s->reg[class][i].state == REG_LIVE &&
			    s->owner[class][i].type == type)
				return (true);
	return (false);
}

/* Are a cache's objects items of the zone? It may not end, nor get a source, for
 * which nobody else may use it: who calls the cache does. */
static bool
zone_is_used(const struct run_state *s, uint32_t zone)
{
	uint32_t i;

	for (i = 0; i < s->nregs[TRACE_CACHE]; i++)
		if (s->reg[TRACE_CACHE][i].state == REG_LIVE &&
		    s->owner[TRACE_CACHE][i].zone == zone)
			return (true);
	return (false);
}

/* Pipes that have a support thread, or are just being made with one. */
static unsigned
callback_pipes(const struct run_state *s)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < s->nregs[TRACE_PIPE]; i++)
		n += s->reg[TRACE_PIPE][i].state != REG_ENDED &&
		    (s->owner[TRACE_PIPE][i].flags & MPF_CALLBACK) != 0;
	return (n);
}

/* Zones that have callbacks: the subject has functions for so many. */
#define ZONES_CALLED_MAX 32u
static unsigned
zones_called(const struct run_state *s)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < s->nregs[TRACE_ZONE]; i++)
		n += s->reg[TRACE_ZONE][i].state == REG_LIVE &&
		    s->owner[TRACE_ZONE][i].hooks != 0;
	return (n);
}

/* What would cost more memory than any budget of the laboratory is left out. */
static bool
is_modest(const struct run_state *s, const struct call *c)
{
	switch (c->code) {
	case TRACE_OP_OBJCACHE_CREATE:
		/* Objects of no bytes are all the same one (KM-9). */
		return (c->type != TRACE_NOREG && c->size != 0 &&
		    c->n[0] <= 1 << 20 && c->n[1] <= 1 << 16);
	case TRACE_OP_OBJCACHE_CREATE_ZONE:
		/* Tokens are no memory: nobody could write to such an object. */
		return (!s->owner[TRACE_ZONE][c->handle].tokens &&
		    c->n[0] <= 1 << 20 && c->n[1] <= 1 << 16);
	case TRACE_OP_MPIPE_INIT:
		return (c->type != TRACE_NOREG && c->n[0] <= 1024 &&
		    ((c->flags & MPF_CALLBACK) == 0 ||
			callback_pipes(s) < CALL_DAEMONS_MAX));
	case TRACE_OP_UMA_ZCREATE:
	case TRACE_OP_UMA_ZSECOND_CREATE:
		return (c->hooks == 0 || zones_called(s) < ZONES_CALLED_MAX);
	case TRACE_OP_UMA_ZCACHE_CREATE:
		return (c->num <= 65536 &&
		    (c->hooks == 0 || zones_called(s) < ZONES_CALLED_MAX));
	case TRACE_OP_UMA_ZCREATE_STATIC:
		/* Its init would run in here, of items of a zone that is not
		 * there yet. */
		return ((c->hooks &
			    ~(1u << TRACE_HOOK_CTOR | 1u << TRACE_HOOK_DTOR)) ==
			0 &&
		    (c->num & (c->num + 1)) == 0 && c->num < KA_SLAB_SIZE &&
		    (c->hooks == 0 || zones_called(s) < ZONES_CALLED_MAX) &&
		    c->size != 0 && c->size <= UMA_SIZE_MAX && c->n[0] > 0);
	case TRACE_OP_ZBOOTINIT:
		return (c->size != 0 && c->size <= UMA_SIZE_MAX && c->n[0] > 0);
	default:
		return (true);
	}
}

/* A cache, pipe or zone is to be made. Its callbacks run before it is. */
static bool
resolve_maker(struct run_state *s, const struct trace_op *op, struct call *c)
{
	int class = run_plan[op->code].out;
	struct run_owner *o = &s->owner[class][op->out];

	if (s->reg[class][op->out].state == REG_LIVE || op->out >= 4096 ||
	    !is_modest(s, c))
		return (false);
	c->handle2 = c->handle;
	c->handle = op->out;
	if (c->code == TRACE_OP_OBJCACHE_CREATE_ZONE)
		c->size = s->owner[TRACE_ZONE][c->handle2].size;
	if (c->code == TRACE_OP_ZBOOTINIT ||
	    c->code == TRACE_OP_UMA_ZCREATE_STATIC) {
		c->addr = s->subject->static_memory(c);
		if (c->addr == 0)
			return (false);
		if (s->boot_memory == 0)
			s->boot_memory = c->addr;
	}
	s->reg[class][op->out].state = REG_UNDEFINED; /* was it ended */
	memset(o, 0, sizeof(*o));
	o->type = c->type;
	o->flags = c->flags;
	o->hooks = c->hooks;
	o->size = c->code == TRACE_OP_UMA_ZSECOND_CREATE ?
	    s->owner[TRACE_ZONE][c->handle2].size :
	    c->size;
	o->zone =
	    c->code == TRACE_OP_OBJCACHE_CREATE_ZONE ? c->handle2 : TRACE_NOREG;
	o->tokens = c->code == TRACE_OP_UMA_ZCACHE_CREATE;
	o->statics = c->code == TRACE_OP_UMA_ZCREATE_STATIC;
	return (true);
}

/* Is it about slabs or a second front end of a static zone, which has what it
 * has? */
static bool
asks_static(const struct run_state *s, const struct trace_op *op)
{
	unsigned at = op->code == TRACE_OP_UMA_ZSECOND_CREATE ? 1 : 0;

	switch (op->code) {
	case TRACE_OP_UMA_ZSECOND_CREATE:
	case TRACE_OP_UMA_PREALLOC:
	case TRACE_OP_UMA_ZONE_RESERVE:
	case TRACE_OP_UMA_ZONE_SET_SOURCE:
		return (s->owner[TRACE_ZONE][op->arg[at]].statics);
	default:
		return (false);
	}
}

/* What few operations need besides their arguments. */
static bool
resolve_special(struct run_state *s, const struct trace_op *op, struct call *c)
{
	const struct run_plan *plan = &run_plan[op->code];

	if (plan->out == TRACE_TYPE) {
		/* A declared type is not declared over. */
		if (s->reg[TRACE_TYPE][op->out].state == REG_LIVE)
			return (false);
		c->type = op->out;
		return (op->out < KA_TYPES_MAX - 8);
	}
	if (asks_static(s, op))
		return (false);
	if (plan->out > TRACE_RUN && !resolve_maker(s, op, c))
		return (false);
	if (plan->stray && plan->class == TRACE_ZONE &&
	    s->owner[TRACE_ZONE][c->handle].tokens)
		return (false); /* it knows no wrong pointer */
	if ((op->code == TRACE_OP_KFREE_WILD ||
		op->code == TRACE_OP_UMA_ZFREE_WILD) &&
	    !resolve_wild(s, c))
		return (false);
	if ((op->code == TRACE_OP_KMALLOC_DESTROY ||
		op->code == TRACE_OP_MALLOC_UNINIT) &&
	    (s->types_stay || type_is_used(s, c->type)))
		return (false);
	if ((op->code == TRACE_OP_UMA_ZDESTROY ||
		op->code == TRACE_OP_UMA_ZONE_SET_SOURCE) &&
	    zone_is_used(s, c->handle))
		return (false);
	if (op->code == TRACE_OP_ZINITNA)
		c->size = s->owner[TRACE_VMZONE][c->handle].size;
	s->sources |= op->code == TRACE_OP_UMA_ZONE_SET_SOURCE;
	return (true);
}

/* Misuse that nobody can tell: a stray operation names memory that is just what
 * it takes, and which a cache or a pipe has. */
static bool
hits_owned(const struct run_state *s, const struct call *c)
{
	bool inside = c->code == TRACE_OP_KFREE_INTERIOR ||
	    c->code == TRACE_OP_UMA_ZFREE_INTERIOR;
	uint64_t addr = c->addr + (inside ? c->size : 0);

	if (trace_ops[c->code].group == TRACE_G_KM)
		return (model_is_owned(s->model, addr));
	return (run_plan[c->code].class == TRACE_ZONE &&
	    model_is_cached(s->model, addr, c->handle));
}

bool
run__resolve(struct run_state *s, const struct trace_op *op, struct call *c)
{
	const struct run_plan *plan = &run_plan[op->code];

	s->stray = false;
	call_clear(c);
	c->code = (enum trace_opcode)op->code;
	c->thread = op->thread;
	c->cpu = sim_cpu(op->thread);
	c->line = op->line;
	c->type = c->handle = c->handle2 = TRACE_NOREG;
	if (!s->offers_all && !is_offered(s, op))
		return (false);
	if (!resolve_args(s, op, c))
		return (false);
	if (plan->special) {
		if (!resolve_special(s, op, c))
			return (false);
		if (plan->out == TRACE_TYPE)
			return (true);
	}
	s->stray = run__is_stray(s, op);
	/*
	 * Pages of a source are had as the trace's are: nobody can tell. The
	 * trace's own may have been freed under an older name.
	 */
	if (s->sources && op->code == TRACE_OP_VM_PAGE_FREE &&
	    (s->stray || !model_pages_are_traces(s->model, c->addr, c->pages)))
		return (false);
	if (s->stray && hits_owned(s, c))
		return (false);
	if (op->code == TRACE_OP_MPIPE_ALLOC_CALLBACK)
		c->udata = ++s->callbacks;
	return ((s->subject->caps & SUBJECT_MISUSE) != 0 || !is_misuse(op, c));
}
