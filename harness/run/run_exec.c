/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Doing one operation: the order of registers, the result to registers and
 * into the event hash; and what is observed of pages on the way.
 */
#include "run_int.h"

#include <kalloc/flags.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/random.h"

#define PAGE_TRIES_MAX 100000u /* without an operation's end */

static inline uint64_t
mixed(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return (hash ^ hash >> 29);
}

void
run__mix(struct run_state *s, uint64_t value)
{
	s->hash = mixed(s->hash, value);
}

/* A sum, whatever the order. */
void
run__show(struct run_state *s, uint64_t where, uint64_t value)
{
	uint64_t hash = (where ^ value * UINT64_C(0xd1342543de82ef95)) *
	    UINT64_C(0x9e3779b97f4a7c15);

	s->result->visible += hash ^ hash >> 29;
}

struct run_plan run_plan[TRACE_OP_COUNT];

/* What the table does not say of caches, pipes and zones. */
static void
plan_owner(struct run_plan *p, unsigned code)
{
	switch (code) {
	case TRACE_OP_OBJCACHE_PUT:
	case TRACE_OP_OBJCACHE_DTOR:
	case TRACE_OP_MPIPE_FREE:
	case TRACE_OP_UMA_ZFREE:
	case TRACE_OP_UMA_ZFREE_ARG:
	case TRACE_OP_ZFREE:
		p->gives_back = true;
		break;
	case TRACE_OP_UMA_ZFREE_INTERIOR:
	case TRACE_OP_UMA_ZFREE_WILD:
	case TRACE_OP_KFREE_INTERIOR:
	case TRACE_OP_KFREE_WILD:
		p->stray = true;
		break;
	case TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT:
	case TRACE_OP_OBJCACHE_RECLAIMLIST:
	case TRACE_OP_UMA_ZONE_SET_MAX:
	case TRACE_OP_UMA_ZONE_SET_MAXCACHE:
	case TRACE_OP_UMA_ZONE_RESERVE:
	case TRACE_OP_UMA_ZONE_SET_SOURCE:
	case TRACE_OP_ZINITNA:
		p->describes = true;
		break;
	case TRACE_OP_OBJCACHE_HOOK:
	case TRACE_OP_MPIPE_HOOK:
	case TRACE_OP_UMA_HOOK:
		p->own = true;
		break;
	default:
		break;
	}
	if (p->out > TRACE_RUN) {
		p->class = p->out;
		p->describes = true;
	}
}

/* What is to be looked at besides arguments: see resolve_special(). */
static bool
plan_special(const struct run_plan *p, unsigned code)
{
	switch (code) {
	case TRACE_OP_KFREE_WILD:
	case TRACE_OP_UMA_ZFREE_WILD:
	case TRACE_OP_KMALLOC_DESTROY:
	case TRACE_OP_MALLOC_UNINIT:
	case TRACE_OP_UMA_ZDESTROY:
	case TRACE_OP_MPIPE_ALLOC_CALLBACK:
	case TRACE_OP_UMA_PREALLOC:
	case TRACE_OP_UMA_ZONE_RESERVE:
	case TRACE_OP_UMA_ZONE_SET_SOURCE:
	case TRACE_OP_ZINITNA:
		return (true);
	default:
		return (p->out == TRACE_TYPE || p->out > TRACE_RUN || p->stray);
	}
}

void
run__plan(void)
{
	unsigned code, i;

	if (run_plan[TRACE_OP_QUIESCE].own)
		return;
	for (code = 0; code < TRACE_OP_COUNT; code++) {
		const struct trace_opdef *def = &trace_ops[code];
		struct run_plan *p = &run_plan[code];

		p->out = (int8_t)def->out;
		p->nargs = def->nargs;
		p->class = -1;
		p->own = code == TRACE_OP_MIGRATE || code == TRACE_OP_QUIESCE;
		for (i = 0; i < def->nargs; i++) {
			int class = trace_kind_class(def->arg[i]);

			if (class < 0)
				continue;
			if (class == TRACE_OBJ || class == TRACE_RUN)
				p->memory[p->nmemory++] = p->nregs;
			if (trace_kind_ends(def->arg[i]))
				p->ending[p->nends++] = p->nregs;
			p->reg[p->nregs].arg = (uint8_t)i;
			p->reg[p->nregs].class = (uint8_t) class;
			p->reg[p->nregs].writes =
			    trace_kind_writes(def->arg[i]);
			p->reg[p->nregs++].ends = trace_kind_ends(def->arg[i]);
			if (class > TRACE_RUN && p->class < 0)
				p->class = (int8_t) class;
			p->ends_owner |=
			    class > TRACE_RUN && trace_kind_ends(def->arg[i]);
		}
		plan_owner(p, code);
		p->special = plan_special(p, code);
	}
}

/* ---- Registers --------------------------------------------------------- */

static bool
room_grow(struct run_state *s, int class, uint32_t room)
{
	struct reg *reg = realloc(s->reg[class], room * sizeof(*reg));
	struct run_owner *owner;

	if (reg == NULL)
		return (false);
	s->reg[class] = reg;
	if (class > TRACE_RUN) {
		owner = realloc(s->owner[class], room * sizeof(*owner));
		if (owner == NULL)
			return (false);
		s->owner[class] = owner;
	}
	s->room[class] = room;
	return (true);
}

static bool
regs_grow_slow(struct run_state *s, int class, uint32_t index)
{
	uint32_t had = s->nregs[class], n = had;

	/* Few have many caches; what there is room for is cleared. */
	if (n == 0)
		n = class > TRACE_RUN ? 2 : 16;

	while (n <= index)
		n *= 2;
	if (n > s->room[class] && !room_grow(s, class, n))
		return (false);
	memset(s->reg[class] + had, 0, (n - had) * sizeof(**s->reg));
	if (class > TRACE_RUN)
		memset(
		    s->owner[class] + had, 0, (n - had) * sizeof(**s->owner));
	s->nregs[class] = n;
	return (true);
}

static inline bool
regs_grow(struct run_state *s, int class, uint32_t index)
{
	return (index < s->nregs[class] || regs_grow_slow(s, class, index));
}

static bool
use_add(struct run_state *s, struct pending *p, int class, uint64_t index,
    bool writes)
{
	struct reg_use *u;
	struct reg *r;
	uint32_t i;

	if (index == TRACE_NOREG)
		return (true);
	if (!regs_grow(s, class, (uint32_t)index))
		return (false);
	for (i = 0; i < p->nuses; i++)
		if (p->use[i].class == class && p->use[i].index == index)
			break;
	u = &p->use[i];
	r = &s->reg[class][index];
	if (i == p->nuses) {
		p->nuses++;
		u->class = (uint8_t) class;
		u->index = (uint32_t)index;
		u->writes = false;
		u->need_writes = r->writes;
		u->need_reads = r->reads;
		r->reads++;
	}
	if (writes && !u->writes) {
		u->writes = true;
		r->reads--;
		r->writes++;
	}
	return (true);
}

/* Takes tickets for every register of the operation; false: no memory. */
bool
run__regs_enter(struct run_state *s, struct pending *p)
{
	const struct run_plan *plan = &run_plan[p->op.code];
	unsigned i;

	p->nuses = 0;
	for (i = 0; i < plan->nregs; i++)
		if (!use_add(s, p, plan->reg[i].class,
			p->op.arg[plan->reg[i].arg], plan->reg[i].writes))
			return (false);
	return (plan->out < 0 || use_add(s, p, plan->out, p->op.out, true));
}

/* Makes room for the registers of an operation that takes no tickets. */
bool
run__regs_reach(struct run_state *s, struct pending *p)
{
	const struct run_plan *plan = &run_plan[p->op.code];
	unsigned i;

	p->nuses = 0;
	for (i = 0; i < plan->nregs; i++) {
		uint64_t index = p->op.arg[plan->reg[i].arg];

		if (index != TRACE_NOREG &&
		    !regs_grow(s, plan->reg[i].class, (uint32_t)index))
			return (false);
	}
	return (plan->out < 0 || regs_grow(s, plan->out, p->op.out));
}

bool
run__regs_ready(const struct run_state *s, const struct pending *p)
{
	uint32_t i;

	for (i = 0; i < p->nuses; i++) {
		const struct reg_use *u = &p->use[i];
		const struct reg *r = &s->reg[u->class][u->index];

		if (r->writes_done != u->need_writes)
			return (false);
		if (u->writes && r->reads_done != u->need_reads)
			return (false);
	}
	return (true);
}

void
run__regs_leave(struct run_state *s, const struct pending *p)
{
	uint32_t i;

	for (i = 0; i < p->nuses; i++) {
		struct reg *r = &s->reg[p->use[i].class][p->use[i].index];

		if (p->use[i].writes)
			r->writes_done++;
		else
			r->reads_done++;
	}
}

/* ---- The call ---------------------------------------------------------- */

void
run__call(void *thread)
{
	struct run_thread *t = thread;

	run__do(&run_state, &t->call);
}

#define BOOT_MEMORY_MAX (UINT64_C(1) << 24) /* more than subjects have */

/* Addresses are renamed to their place in the arena; without one they are
 * nobody's business but for being one. */
uint64_t
run__relative(const struct run_state *s, uint64_t addr)
{
	if (s->arena == 0)
		return (addr != 0);
	if (addr - s->arena < s->arena_bytes)
		return (addr - s->arena);
	if (s->boot_memory != 0 && addr - s->boot_memory < BOOT_MEMORY_MAX)
		return (UINT64_C(1) << 60 | (addr - s->boot_memory));
	return (addr);
}

static void
finish_define(struct run_state *s, const struct run_plan *plan,
    const struct trace_op *op, const struct call *c)
{
	struct reg *r = &s->reg[plan->out][op->out];

	r->addr = c->ret;
	r->pages = (uint32_t)c->num;
	r->owner = TRACE_OBJ;
	r->handle = c->handle;
	if (plan->class > TRACE_RUN)
		r->owner = (uint8_t)plan->class;
	if (plan->out > TRACE_RUN) {
		r->state =
		    c->why == 0 && c->ret != 0 ? REG_LIVE : REG_UNDEFINED;
		if (r->state != REG_LIVE)
			s->owner[r->owner][op->out].flags = 0;
	} else if (plan->out == TRACE_TYPE)
		r->state = c->why == 0 ? REG_LIVE : REG_UNDEFINED;
	else
		r->state = c->ret != 0 && c->why == 0 ? REG_LIVE : REG_NULL;
}

/* krealloc: the register follows the object. */
static void
finish_realloc(
    struct run_state *s, const struct trace_op *op, const struct call *c)
{
	struct reg *r;

	if (op->arg[0] == TRACE_NOREG || c->why != 0)
		return;
	r = &s->reg[TRACE_OBJ][op->arg[0]];
	if (c->ret != 0) {
		r->addr = c->ret;
		r->state = REG_LIVE;
		r->owner = TRACE_OBJ; /* whoever refused it before */
		r->handle = TRACE_NOREG;
	} else if (c->size == 0 && c->addr != 0) {
		r->state = REG_ENDED;
	}
}

/* A stray free that hit somebody's object: his register has ended with it. */
static void
finish_stray(struct run_state *s, const struct call *c)
{
	uint64_t addr = c->addr;
	uint32_t i;

	if (c->code == TRACE_OP_KFREE_INTERIOR ||
	    c->code == TRACE_OP_UMA_ZFREE_INTERIOR)
		addr += c->size;
	if (c->code == TRACE_OP_KMALLOC_USABLE_SIZE || c->why != 0)
		return;
	if (c->code == TRACE_OP_KREALLOC && c->ret == 0 && c->size != 0)
		return; /* it failed: the object is as it was */
	for (i = 0; i < s->nregs[TRACE_OBJ]; i++)
		if (s->reg[TRACE_OBJ][i].state == REG_LIVE &&
		    s->reg[TRACE_OBJ][i].addr == addr)
			s->reg[TRACE_OBJ][i].state = REG_ENDED;
}

/* What the call has shown: whether there is an object, or the number. What
 * kmalloc_trim gives back is slabs, of which debug options have others. */
static inline uint64_t
visible(const struct run_plan *plan, unsigned code, uint64_t ret)
{
	if (plan->out >= 0 || code == TRACE_OP_KREALLOC)
		return (ret != 0);
	return (code == TRACE_OP_KMALLOC_TRIM ? 0 : ret);
}

void
run__finish(struct run_state *s, const struct run_thread *t)
{
	const struct trace_op *op = &t->first->op;
	const struct call *c = &t->call;
	/* Read once: for all that a compiler knows, each store may change it. */
	const unsigned code = op->code;
	const uint32_t thread = op->thread;
	const uint64_t ret = c->ret;
	const int why = c->why;
	const struct run_plan *plan = &run_plan[code];
	uint64_t hash;
	unsigned i;

	if (s->solo == thread)
		finish_stray(s, c);
	if (plan->out >= 0)
		finish_define(s, plan, op, c);
	if (code == TRACE_OP_KREALLOC)
		finish_realloc(s, op, c);
	for (i = 0; i < plan->nends && why == 0; i++) {
		unsigned n = plan->ending[i];
		uint64_t index = op->arg[plan->reg[n].arg];

		if (index != TRACE_NOREG)
			s->reg[plan->reg[n].class][index].state = REG_ENDED;
	}
	s->result->ops++;
	run__show(s, (uint64_t)thread << 32 | t->ops,
	    visible(plan, code, ret) << 8 | (uint64_t)why);
	s->page_tries = 0;
	hash = mixed(s->hash, t->first->ordinal);
	hash = mixed(hash, run__relative(s, ret));
	s->hash = mixed(hash, (uint64_t)why);
	if (s->options->result != NULL)
		s->options->result(s->options->arg, op, c);
}

/* ---- Pages ------------------------------------------------------------- */

void
run__faults_reset(struct run_state *s)
{
	uint32_t i;

	s->page_calls = 0;
	for (i = 0; i < s->header->nfaults; i++)
		s->fault_rng[i] = s->header->fault[i].seed;
}

int
run__page_try(void *arg, uint64_t npages, uint64_t align, uint32_t flags)
{
	struct run_state *s = arg;
	int verdict = 0;
	uint32_t i;

	(void)npages;
	(void)align;
	(void)flags;
	s->page_calls++;
	if (s->drain)
		return (0);
	if (++s->page_tries > PAGE_TRIES_MAX) {
		model_report(s->model, "G-4", "livelock", "some operation ends",
		    "pages are asked for again and again");
		sim_abandon();
	}
	if (sim_page_fails())
		return (1);
	if (run__fault(s, RUN_FAULT_PAGE))
		return (s->options->inject->on ? 2 : 1);
	for (i = 0; i < s->header->nfaults; i++) {
		const struct trace_fault *f = &s->header->fault[i];

		if (f->mode == TRACE_FAULT_ONCE && s->page_calls == f->k)
			verdict = verdict > 1 ? verdict : 1;
		if (f->mode == TRACE_FAULT_FROM && s->page_calls >= f->k)
			verdict = 2;
		/* One that is certain stays: nothing waits for its end. */
		if (f->mode == TRACE_FAULT_PROB &&
		    random_next(&s->fault_rng[i]) % f->den < f->num)
			verdict = verdict > 1 || f->num == f->den ? 2 : 1;
	}
	return (verdict);
}

void
run__page_alloc(void *arg, uint64_t addr, uint64_t npages, uint64_t align,
    uint32_t flags, int injected)
{
	struct run_state *s = arg;
	uint32_t thread = sim_current();

	run__mix(s, run__relative(s, addr) + npages);
	if (addr == 0 && thread != SIM_NONE)
		run__history_excuse(run__frame(s, thread));
	sim_tells();
	model_vm_alloc(s->model, run__frame(s, thread), addr, npages, align,
	    flags, injected != 0, injected == 2);
}

void
run__page_free(void *arg, uint64_t addr, uint64_t npages)
{
	struct run_state *s = arg;
	uint32_t thread = sim_current();

	run__mix(s, ~run__relative(s, addr) - npages);
	sim_tells();
	model_vm_free(s->model, run__frame(s, thread), addr, npages);
}

/* ---- Quiescence -------------------------------------------------------- */

void
run__audit(struct run_state *s)
{
	const char *found = "", *id;

	if ((s->subject->caps & SUBJECT_AUDIT) == 0 || s->options->no_audit)
		return;
	id = s->subject->audit(&found);
	if (id == NULL)
		return;
	{
		char text[128];

		(void)snprintf(text, sizeof(text), "invariant %s", id);
		model_report(s->model, "G-3", "audit", text, found);
	}
}

static void
quiesce_owners(struct run_state *s)
{
	int class;
	uint32_t i;

	if ((s->subject->caps & SUBJECT_OWNERS) == 0)
		return;
	for (class = TRACE_CACHE; class < TRACE_CLASS_COUNT; class ++)
		for (i = 0; i < s->nregs[class]; i++) {
			struct owner_stats st;

			if (s->reg[class][i].state == REG_LIVE &&
			    s->subject->owner_stats(
				(enum trace_class) class, i, &st))
				model_check_owner(
				    s->model, (enum trace_class) class, i, &st);
		}
}

static void
quiesce_pages(struct run_state *s)
{
	uint64_t allocs, failures, frees;

	model_check_pages(s->model, s->subject->free_pages());
	s->subject->page_counts(&allocs, &failures, &frees);
	model_check_page_counts(s->model, allocs, failures + s->untold, frees);
}

void
run__quiesce(struct run_state *s)
{
	uint32_t i;

	run__audit(s);
	if ((s->subject->caps & SUBJECT_STATS) != 0)
		for (i = 0; i < s->nregs[TRACE_TYPE]; i++) {
			struct subject_type_stats st;
			struct model_type_stats mt;

			if (s->reg[TRACE_TYPE][i].state != REG_LIVE ||
			    !s->subject->type_stats(i, &st))
				continue;
			mt.calls = st.calls;
			mt.inuse = st.inuse;
			mt.memuse = st.memuse;
			mt.limit = st.limit;
			model_check_type(s->model, i, &mt);
		}
	quiesce_owners(s);
	if ((s->subject->caps & SUBJECT_PAGES) != 0)
		quiesce_pages(s);
}
