/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failures that a run is told to inject, one at a time (run.h: run_inject), and
 * what is asked of the library after them: that the same operation succeeds
 * when nothing fails any more, and that who sleeps can be helped.
 */
#include "run_int.h"

#include <kalloc/flags.h>

const char *
run_fault_name(enum run_fault kind)
{
	static const char *const names[RUN_FAULT_COUNT] = { "page", "backend",
		"ctor", "init" };

	return (names[kind]);
}

bool
run_sweep_next(struct run_sweep *w, const struct run_injected *did)
{
	struct run_inject *at = &w->at;

	if (at->k == 0 || at->on) {
		at->k++;
		at->on = false;
	} else if (did->fired != 0) {
		at->on = true;
	} else {
		if (++at->kind == RUN_FAULT_COUNT)
			return (false);
		at->k = 1;
	}
	return (true);
}

bool
run__fault(struct run_state *s, enum run_fault kind)
{
	const struct run_inject *in = s->options->inject;
	struct run_injected *did = &s->result->injected;
	uint32_t thread = sim_current();
	uint64_t at;

	if (in == NULL || s->drain || did->helped)
		return (false);
	if (thread < s->nthreads && s->thread[thread].retries)
		return (false);
	at = ++did->points[kind];
	if (in->k == 0 || in->kind != kind || at < in->k ||
	    (at > in->k && !in->on))
		return (false);
	did->fired++;
	if (thread < s->nthreads)
		s->thread[thread].failed = true;
	return (true);
}

/*
 * Does a pipe ask for a buffer that it can do without? A call that waits is
 * refused once: it relies on kmalloc to give what it has, sooner or later.
 */
static bool
may_give_nothing(
    const struct run_state *s, uint32_t thread, const struct call *c)
{
	const struct run_thread *t = &s->thread[thread];

	if (c->code != TRACE_OP_KMALLOC || (c->flags & M_WAITOK) != 0 ||
	    thread >= s->nthreads || s->depth[thread] != 1)
		return (false);
	switch (t->call.code) {
	case TRACE_OP_MPIPE_ALLOC_WAITOK:
	case TRACE_OP_MPIPE_WAIT:
		return (!t->failed);
	default:
		return (trace_ops[t->call.code].group == TRACE_G_MP);
	}
}

/*
 * kmalloc fails for certain if it is asked for more than there is. The model is
 * told the pipe's own question, and that no page was to be had for as long as
 * anybody likes to wait.
 */
static void
refuse(struct run_state *s, uint32_t thread, struct call *c)
{
	struct call more;

	c->cpu = sim_cpu(thread);
	c->line = s->thread[thread].call.line;
	c->thread = thread + s->depth[thread]++ * s->total;
	model_invoke(s->model, c);
	more = *c;
	more.size = ((uint64_t)s->header->pages + 1) * KA_PAGE_SIZE;
	more.flags |= M_NULLOK;
	sim_library(true);
	s->subject->exec(&more);
	sim_library(false);
	c->ret = more.ret;
	c->why = more.why;
	s->untold++;
	model_vm_alloc(
	    s->model, c->thread, 0, 1, 0, VM_ALLOC_NORMAL, true, true);
	model_return(s->model, c);
	s->depth[thread]--;
}

void
run__backend(struct run_state *s, struct call *c)
{
	uint32_t thread = sim_current();

	if (thread != SIM_NONE && may_give_nothing(s, thread, c) &&
	    run__fault(s, RUN_FAULT_BACKEND))
		refuse(s, thread, c);
	else
		run__nested(s, c);
}

/* Did the call give nothing, where it gives something as a rule? */
static bool
gave_nothing(const struct trace_op *op, const struct call *c)
{
	if (c->why != 0 || c->ret != 0)
		return (false);
	if (op->code == TRACE_OP_KREALLOC)
		return (c->size != 0);
	return (trace_ops[op->code].out >= 0 &&
	    trace_ops[op->code].out != TRACE_TYPE);
}

bool
run__again(struct run_state *s, uint32_t thread)
{
	struct run_thread *t = &s->thread[thread];
	struct run_injected *did = &s->result->injected;
	const struct trace_op *op = &t->first->op;

	if (t->retries)
		did->refused += gave_nothing(op, &t->call);
	if (!t->failed || t->retries || s->solo == thread ||
	    model_finding(s->model) != NULL || !gave_nothing(op, &t->call))
		return (false);
	if (!run__resolve(s, op, &t->call))
		return (false);
	t->retries = true;
	did->retries++;
	return (true);
}

/* One call on a thread that has no other; false: it does not return. */
static bool
help_call(struct run_state *s, uint32_t thread, struct call *c)
{
	struct run_thread *t = &s->thread[thread];

	c->cpu = sim_cpu(thread);
	t->call = *c;
	sim_start(thread, 0, run__call, t);
	while (sim_may_run(thread))
		if (sim_resume(thread) == SIM_DONE) {
			*c = t->call;
			return (true);
		}
	return (false);
}

/* Somebody may have woken for no reason while help was given in vain. */
static bool
somebody_can(struct run_state *s)
{
	uint64_t set[SIM_SET_WORDS];

	return (run__can_go_on(s, false, set));
}

bool
run__help(struct run_state *s)
{
	struct run_injected *did = &s->result->injected;
	uint32_t thread = s->nthreads - 1;
	struct call c = { .code = TRACE_OP_VM_PAGE_ALLOC,
		.num = 1,
		.flags = VM_ALLOC_INTERRUPT,
		.type = TRACE_NOREG,
		.handle = TRACE_NOREG,
		.handle2 = TRACE_NOREG };

	if (did->fired == 0 || did->helped || s->busy == 0 ||
	    s->thread[thread].ops != 0 || s->thread[thread].first != NULL ||
	    model_finding(s->model) != NULL)
		return (false);
	did->helped = true;
	if (!help_call(s, thread, &c) || c.ret == 0)
		return (somebody_can(s));
	c.code = TRACE_OP_VM_PAGE_FREE;
	c.addr = c.ret;
	c.pages = 1;
	c.ret = 0;
	return (help_call(s, thread, &c));
}
