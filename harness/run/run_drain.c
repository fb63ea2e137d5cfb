/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a run: everything is given back to whom it is of, caches, pipes
 * and zones are ended, and nothing may be left of pages (G-8).
 */
#include "run_int.h"

#include <kalloc/flags.h>

#include <stdlib.h>
#include <string.h>

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

/* Lets the threads that the library started run until they stop. */
static void
drain_daemons(struct run_state *s)
{
	uint32_t i, ran;

	do {
		ran = 0;
		for (i = s->nthreads; i < sim_threads(); i++)
			if (sim_state(i) != SIM_IDLE && sim_may_run(i)) {
				(void)sim_resume(i);
				ran++;
			}
	} while (ran != 0 && model_finding(s->model) == NULL);
}

/* One call on thread 0, which has nothing else to do. */
static void
drain_call(struct run_state *s, const struct call *proto)
{
	struct run_thread *t = &s->thread[0];
	struct call *c = &t->call;

	*c = *proto;
	c->cpu = sim_cpu(0);
	sim_start(0, 0, run__call, t);
	for (;;) {
		if (sim_may_run(0) && sim_resume(0) == SIM_DONE)
			break;
		drain_daemons(s);
		if (model_finding(s->model) != NULL)
			return;
		if (sim_state(0) != SIM_READY && sim_state(0) != SIM_SPIN) {
			model_report(s->model, "G-5", trace_ops[c->code].name,
			    "to return: nothing else runs",
			    "it is asleep or waits for a lock");
			return;
		}
	}
	drain_daemons(s);
}

static void
drain_object(struct run_state *s, const struct model_object *o)
{
	static const enum trace_opcode give[TRACE_CLASS_COUNT] = {
		[TRACE_OBJ] = TRACE_OP_KFREE,
		[TRACE_CACHE] = TRACE_OP_OBJCACHE_PUT,
		[TRACE_PIPE] = TRACE_OP_MPIPE_FREE,
		[TRACE_ZONE] = TRACE_OP_UMA_ZFREE,
		[TRACE_VMZONE] = TRACE_OP_ZFREE,
	};
	struct call c = { .code =
			      o->run ? TRACE_OP_VM_PAGE_FREE : give[o->owner],
		.addr = o->addr,
		.pages = o->bytes / KA_PAGE_SIZE,
		.type = o->type,
		.handle = o->handle,
		.handle2 = TRACE_NOREG };

	drain_call(s, &c);
}

/* Items of zones of tokens are no memory: what no register names stays. */
static void
drain_tokens(struct run_state *s)
{
	uint32_t i;

	for (i = 0; i < s->nregs[TRACE_OBJ]; i++) {
		struct reg *r = &s->reg[TRACE_OBJ][i];
		struct call c = { .code = TRACE_OP_UMA_ZFREE,
			.addr = r->addr,
			.type = TRACE_NOREG,
			.handle = r->handle,
			.handle2 = TRACE_NOREG };

		if (r->state != REG_LIVE || r->owner != TRACE_ZONE ||
		    !s->owner[TRACE_ZONE][r->handle].tokens ||
		    s->reg[TRACE_ZONE][r->handle].state != REG_LIVE ||
		    model_finding(s->model) != NULL)
			continue;
		drain_call(s, &c);
		r->state = REG_ENDED;
	}
}

/* Secondary zones have higher numbers than their primaries, or are defined
 * later: the last ones first, until no more can be ended. */
static void
drain_owners(struct run_state *s, int class, enum trace_opcode code)
{
	uint32_t i;
	bool any;

	do {
		any = false;
		for (i = s->nregs[class]; i-- > 0;) {
			struct reg *r = &s->reg[class][i];
			struct call c = { .code = code,
				.type = TRACE_NOREG,
				.handle = i,
				.handle2 = TRACE_NOREG };
			struct owner_stats st;

			if (r->state != REG_LIVE ||
			    model_finding(s->model) != NULL ||
			    !s->subject->owner_stats(
				(enum trace_class) class, i, &st) ||
			    (class != TRACE_PIPE && st.used != 0))
				continue;
			drain_call(s, &c);
			if (s->thread[0].call.why == 0) {
				r->state = REG_ENDED;
				any = true;
			}
		}
	} while (any);
}

static bool
owners_left(const struct run_state *s)
{
	int class;
	uint32_t i;

	for (class = TRACE_CACHE; class < TRACE_CLASS_COUNT; class ++)
		for (i = 0; i < s->nregs[class]; i++)
			if (s->reg[class][i].state == REG_LIVE)
				return (true);
	return (false);
}

static void
drain_all_owners(struct run_state *s)
{
	uint32_t i;

	drain_tokens(s);
	drain_owners(s, TRACE_PIPE, TRACE_OP_MPIPE_DONE);
	drain_owners(s, TRACE_CACHE, TRACE_OP_OBJCACHE_DESTROY);
	drain_owners(s, TRACE_ZONE, TRACE_OP_UMA_ZDESTROY);
	for (i = 0; i < s->nregs[TRACE_VMZONE]; i++)
		if (s->reg[TRACE_VMZONE][i].state == REG_LIVE &&
		    (s->owner[TRACE_VMZONE][i].flags & ZONE_DESTROYABLE) == 0)
			return; /* such a zone stays: so do all */
	drain_owners(s, TRACE_VMZONE, TRACE_OP_ZDESTROY);
}

void
run__drain(struct run_state *s)
{
	struct drain_list l = { 0 };
	bool orphans = false;
	int pass;
	size_t i;

	run__halt_refused(s);
	if (model_finding(s->model) != NULL)
		return;
	s->drain = true;
	sim_calm();
	model_each_live(s->model, drain_collect, &l);
	s->result->left = l.n;
	/* Memory of kmalloc last: caches and pipes charge its types. */
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < l.n && model_finding(s->model) == NULL; i++) {
			const struct model_object *o = &l.object[i];

			if ((o->owner == TRACE_OBJ) != (pass == 1) ||
			    (o->owner == TRACE_ZONE &&
				s->owner[TRACE_ZONE][o->handle].tokens))
				continue;
			if (!o->run && pass == 1 &&
			    (o->type >= s->nregs[TRACE_TYPE] ||
				s->reg[TRACE_TYPE][o->type].state != REG_LIVE))
				orphans = true; /* its type has ended */
			else
				drain_object(s, o);
		}
		if (pass == 0 && model_finding(s->model) == NULL &&
		    (s->subject->caps & SUBJECT_OWNERS) != 0)
			drain_all_owners(s);
	}
	free(l.object);
	if (model_finding(s->model) != NULL || orphans)
		return;
	if (s->subject->trim != NULL)
		s->subject->trim();
	run__quiesce(s);
	if ((s->subject->caps & SUBJECT_PAGES) != 0 && !owners_left(s))
		model_check_empty(s->model);
	if (model_finding(s->model) == NULL)
		run__halt(s);
}
