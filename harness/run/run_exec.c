/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Doing one operation: registers to arguments, the call between its two
 * announcements, the result to registers and into the event hash; and what is
 * observed of pages on the way.
 */
#include "run_int.h"

#include <kalloc/flags.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/random.h"

void
run__mix(struct run_state *s, uint64_t value)
{
	s->hash = (s->hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	s->hash ^= s->hash >> 29;
}

struct run_plan run_plan[TRACE_OP_COUNT];

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
		p->stray = code == TRACE_OP_KFREE_INTERIOR ||
		    code == TRACE_OP_KFREE_WILD;
		p->own = code == TRACE_OP_MIGRATE || code == TRACE_OP_QUIESCE;
		for (i = 0; i < def->nargs; i++) {
			int class = trace_kind_class(def->arg[i]);

			p->kind[i] = (uint8_t)def->arg[i];
			if (class < 0)
				continue;
			p->reg[p->nregs].arg = (uint8_t)i;
			p->reg[p->nregs].class = (uint8_t) class;
			p->reg[p->nregs].writes =
			    trace_kind_writes(def->arg[i]);
			p->reg[p->nregs++].ends = trace_kind_ends(def->arg[i]);
		}
	}
}

/* ---- Registers --------------------------------------------------------- */

static bool
regs_grow_slow(struct run_state *s, int class, uint32_t index)
{
	uint32_t cap = s->nregs[class];
	struct reg *reg;

	cap = cap == 0 ? 64 : cap;
	while (cap <= index)
		cap *= 2;
	reg = realloc(s->reg[class], cap * sizeof(*reg));
	if (reg == NULL)
		return (false);
	memset(
	    reg + s->nregs[class], 0, (cap - s->nregs[class]) * sizeof(*reg));
	s->reg[class] = reg;
	s->nregs[class] = cap;
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

/* ---- Arguments --------------------------------------------------------- */

/* An object or run argument; false: the operation has nothing to work on. */
static bool
resolve_memory(struct run_state *s, const struct trace_op *op, int class,
    uint64_t index, struct call *c)
{
	const struct reg *r;

	if (index == TRACE_NOREG)
		return (true);
	r = &s->reg[class][index];
	c->addr = r->state == REG_NULL ? 0 : r->addr;
	c->pages = r->pages;
	if (r->state == REG_NULL)
		return (op->code == TRACE_OP_KREALLOC);
	if (r->state == REG_LIVE)
		return (true);
	/* Ended: misuse on purpose, where the subject can tell. */
	return (
	    r->state == REG_ENDED && (s->subject->caps & SUBJECT_MISUSE) != 0);
}

static inline bool
resolve_arg(
    struct run_state *s, const struct trace_op *op, unsigned i, struct call *c)
{
	enum trace_kind kind = (enum trace_kind)run_plan[op->code].kind[i];
	uint64_t value = op->arg[i];

	switch (kind) {
	case TRACE_K_OBJ_USE:
	case TRACE_K_OBJ_MOD:
	case TRACE_K_OBJ_END:
		return (resolve_memory(s, op, TRACE_OBJ, value, c));
	case TRACE_K_RUN_USE:
	case TRACE_K_RUN_END:
		return (resolve_memory(s, op, TRACE_RUN, value, c));
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
			c->num = value;
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
	default:
		return (true);
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
	switch (op->code) {
	case TRACE_OP_KMALLOC_LIMIT:
	case TRACE_OP_KMALLOC_RAISE_LIMIT:
	case TRACE_OP_KMALLOC_SET_UNLIMITED:
	case TRACE_OP_KMALLOC_TRIM:
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
	for (i = 0; i < plan->nregs; i++) {
		uint64_t index = op->arg[plan->reg[i].arg];

		if (plan->reg[i].class != TRACE_TYPE && index != TRACE_NOREG &&
		    s->reg[plan->reg[i].class][index].state == REG_ENDED)
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

bool
run__resolve(struct run_state *s, const struct trace_op *op, struct call *c)
{
	const struct run_plan *plan = &run_plan[op->code];
	unsigned i;

	memset(c, 0, sizeof(*c));
	c->code = (enum trace_opcode)op->code;
	c->thread = op->thread;
	c->cpu = sim_cpu(op->thread);
	c->line = op->line;
	c->type = TRACE_NOREG;
	if (!s->offers_all && !is_offered(s, op))
		return (false);
	for (i = 0; i < plan->nargs; i++)
		if (!resolve_arg(s, op, i, c))
			return (false);
	if (plan->out == TRACE_TYPE) {
		/* A declared type is not declared over. */
		if (s->reg[TRACE_TYPE][op->out].state == REG_LIVE)
			return (false);
		c->type = op->out;
		return (op->out < KA_TYPES_MAX - 8);
	}
	if (op->code == TRACE_OP_KFREE_WILD && !resolve_wild(s, c))
		return (false);
	return ((s->subject->caps & SUBJECT_MISUSE) != 0 || !is_misuse(op, c));
}

/* ---- The call ---------------------------------------------------------- */

void
run__call(void *thread)
{
	struct run_thread *t = thread;

	model_invoke(run_state.model, &t->call);
	run_state.subject->exec(&t->call);
	model_return(run_state.model, &t->call);
}

/* Addresses are renamed to their place in the arena; without one they are
 * nobody's business but for being one. */
static uint64_t
relative(const struct run_state *s, uint64_t addr)
{
	if (s->arena == 0)
		return (addr != 0);
	if (addr - s->arena < (uint64_t)s->header->pages * KA_PAGE_SIZE)
		return (addr - s->arena);
	return (addr);
}

static void
finish_define(
    struct run_state *s, const struct trace_op *op, const struct call *c)
{
	struct reg *r = &s->reg[trace_ops[op->code].out][op->out];

	r->addr = c->ret;
	r->pages = (uint32_t)c->num;
	if (trace_ops[op->code].out == TRACE_TYPE)
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

	if (c->code == TRACE_OP_KFREE_INTERIOR)
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

void
run__finish(
    struct run_state *s, const struct trace_op *op, const struct call *c)
{
	const struct run_plan *plan = &run_plan[op->code];
	unsigned i;

	if (s->solo == op->thread)
		finish_stray(s, c);
	if (plan->out >= 0)
		finish_define(s, op, c);
	if (op->code == TRACE_OP_KREALLOC)
		finish_realloc(s, op, c);
	for (i = 0; i < plan->nregs && c->why == 0; i++) {
		uint64_t index = op->arg[plan->reg[i].arg];

		if (plan->reg[i].ends && index != TRACE_NOREG)
			s->reg[plan->reg[i].class][index].state = REG_ENDED;
	}
	s->result->ops++;
	run__mix(s, s->thread[op->thread].first->ordinal);
	run__mix(s, relative(s, c->ret));
	run__mix(s, (uint64_t)c->why);
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
	for (i = 0; i < s->header->nfaults; i++) {
		const struct trace_fault *f = &s->header->fault[i];

		if (f->mode == TRACE_FAULT_ONCE && s->page_calls == f->k)
			verdict = verdict > 1 ? verdict : 1;
		if (f->mode == TRACE_FAULT_FROM && s->page_calls >= f->k)
			verdict = 2;
		if (f->mode == TRACE_FAULT_PROB &&
		    random_next(&s->fault_rng[i]) % f->den < f->num)
			verdict = verdict > 1 ? verdict : 1;
	}
	return (verdict);
}

void
run__page_alloc(void *arg, uint64_t addr, uint64_t npages, uint64_t align,
    uint32_t flags, int injected)
{
	struct run_state *s = arg;
	uint32_t thread = sim_current();

	run__mix(s, relative(s, addr) + npages);
	model_vm_alloc(s->model, thread == SIM_NONE ? 0 : thread, addr, npages,
	    align, flags, injected != 0, injected == 2);
}

void
run__page_free(void *arg, uint64_t addr, uint64_t npages)
{
	struct run_state *s = arg;
	uint32_t thread = sim_current();

	run__mix(s, ~relative(s, addr) - npages);
	model_vm_free(s->model, thread == SIM_NONE ? 0 : thread, addr, npages);
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
	if ((s->subject->caps & SUBJECT_PAGES) != 0)
		model_check_pages(s->model, s->subject->free_pages());
}

struct drain_list {
	struct model_object *object;
	size_t n, cap;
};

static bool
drain_collect(void *arg, const struct model_object *o)
{
	struct drain_list *l = arg;

	if (l->n == l->cap) {
		size_t cap = l->cap == 0 ? 256 : l->cap * 2;
		struct model_object *grown =
		    realloc(l->object, cap * sizeof(*grown));

		if (grown == NULL)
			return (false);
		l->object = grown;
		l->cap = cap;
	}
	l->object[l->n++] = *o;
	return (true);
}

/* One call on thread 0, which has nothing else to do. */
static void
drain_call(struct run_state *s, const struct model_object *o)
{
	struct run_thread *t = &s->thread[0];
	struct call *c = &t->call;

	memset(c, 0, sizeof(*c));
	c->code = o->run ? TRACE_OP_VM_PAGE_FREE : TRACE_OP_KFREE;
	c->addr = o->addr;
	c->pages = o->bytes / KA_PAGE_SIZE;
	c->type = o->type;
	c->cpu = sim_cpu(0);
	sim_start(0, run__call, t);
	while (sim_resume(0) != SIM_DONE)
		continue;
}

void
run__drain(struct run_state *s)
{
	struct drain_list l = { 0 };
	bool orphans = false;
	size_t i;

	s->drain = true;
	model_each_live(s->model, drain_collect, &l);
	s->result->left = l.n;
	for (i = 0; i < l.n && model_finding(s->model) == NULL; i++) {
		const struct model_object *o = &l.object[i];

		if (!o->run &&
		    (o->type >= s->nregs[TRACE_TYPE] ||
			s->reg[TRACE_TYPE][o->type].state != REG_LIVE))
			orphans = true; /* its type has ended */
		else
			drain_call(s, o);
	}
	free(l.object);
	if (model_finding(s->model) != NULL || orphans)
		return;
	if (s->subject->trim != NULL)
		s->subject->trim();
	run__quiesce(s);
	if ((s->subject->caps & SUBJECT_PAGES) != 0)
		model_check_empty(s->model);
}
