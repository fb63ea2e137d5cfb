/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls within calls: what the library calls back, what the trace makes of
 * it, and the calls that the library makes of kmalloc.
 *
 * A thread's calls are a stack; each has a frame of its own (call.h), told to
 * the model as any call is. What a callback does besides what it is for
 * (enum trace_action) is done only where the stack has room for it and for
 * what it calls itself.
 */
#include "run_int.h"

#include <kalloc/flags.h>

#include <string.h>

#define ACTION_BYTES	 48u
#define CALLBACKS_MAX	 1000000u /* of one call: more than any has items */
#define ACTION_DEPTH_MAX (CALL_DEPTH_MAX - 2) /* calls below an action */

uint32_t
run__frame(const struct run_state *s, uint32_t thread)
{
	unsigned depth;

	if (thread == SIM_NONE)
		return (0);
	depth = s->depth[thread];
	return (depth == 0 ? thread : thread + (depth - 1) * s->total);
}

uint32_t
run__current_frame(void)
{
	return (run__frame(&run_state, sim_current()));
}

static bool
look(struct run_state *s, enum trace_class class, uint32_t handle,
    struct owner_stats *ret_st)
{
	bool seen;

	if (s->subject->owner_stats == NULL)
		return (false);
	sim_hold(true);
	seen = s->subject->owner_stats(class, handle, ret_st);
	sim_hold(false);
	return (seen);
}

/* One call of the running thread, announced and judged. */
void
run__do(struct run_state *s, struct call *c)
{
	const struct run_plan *plan = &run_plan[c->code];
	uint32_t shared, thread = sim_current();
	struct owner_stats st;
	bool described;

	c->thread = thread + s->depth[thread] * s->total;
	if (plan->ends_owner)
		s->owner[plan->class][c->handle].ending = true;
	if (s->depth[thread]++ == 0)
		s->called_back[thread] = 0;
	sim_tells();
	model_invoke(s->model, c);
	if (s->options->orders)
		run__history_begin(s, c);
	shared = sim_shared();
	sim_library(true);
	s->subject->exec(c);
	sim_library(false);
	c->shared = sim_shared() - shared;
	/* Looked at before the call's end is told: the look may wait for a lock,
	 * and others would be judged by what was before. */
	described = plan->describes && c->why == 0 &&
	    (plan->out <= TRACE_RUN || c->ret != 0) &&
	    (c->code != TRACE_OP_OBJCACHE_RECLAIMLIST || s->busy == 1) &&
	    look(s, (enum trace_class)plan->class, c->handle, &st);
	sim_tells();
	model_return(s->model, c);
	if (s->options->orders)
		run__history_end(s, c);
	if (described)
		model_describe(
		    s->model, (enum trace_class)plan->class, c->handle, &st);
	if (plan->ends_owner && c->why != 0)
		s->owner[plan->class][c->handle].ending = false;
	s->depth[thread]--;
}

void
run__nested(void *arg, struct call *c)
{
	struct run_state *s = arg;
	uint32_t thread = sim_current();

	if (thread == SIM_NONE || s->depth[thread] == CALL_DEPTH_MAX) {
		s->subject->exec(c);
		return;
	}
	c->cpu = sim_cpu(thread);
	if (s->depth[thread] != 0 && thread < s->nthreads)
		c->line = s->thread[thread].call.line;
	run__do(s, c);
}

/* ---- What the trace makes of callbacks --------------------------------- */

void
run__hook_arm(struct run_state *s, const struct trace_op *op)
{
	int class = run_plan[op->code].class;
	struct run_hook *h;

	if (op->arg[0] == TRACE_NOREG ||
	    s->reg[class][op->arg[0]].state != REG_LIVE)
		return;
	h = &s->owner[class][op->arg[0]].hook[op->arg[1]];
	h->action = (enum trace_action)op->arg[2];
	s->types_stay |= h->action == TRACE_ACTION_KMALLOC;
	h->from = h->calls + (op->arg[3] == 0 ? 1 : op->arg[3]);
	h->count = op->arg[4];
}

static enum trace_action
hook_due(struct run_hook *h)
{
	h->calls++;
	if (h->calls < h->from || h->calls - h->from >= h->count)
		return (TRACE_ACTION_NONE);
	return (h->action);
}

static void
act_kmalloc(struct run_state *s, const struct run_owner *o, bool may_wait)
{
	struct call c = { .code = TRACE_OP_KMALLOC,
		.size = ACTION_BYTES,
		.type = o->type,
		.handle = TRACE_NOREG,
		.flags = may_wait ? M_WAITOK | M_NULLOK : M_NOWAIT };
	uint32_t i;

	for (i = 0; i < s->nregs[TRACE_TYPE] && c.type == TRACE_NOREG; i++)
		/* None that an operation is to end, or is just ending. */
		if (s->reg[TRACE_TYPE][i].state == REG_LIVE &&
		    s->reg[TRACE_TYPE][i].writes ==
			s->reg[TRACE_TYPE][i].writes_done)
			c.type = i;
	if (c.type == TRACE_NOREG)
		return;
	sim_catch_up(); /* the type may have been made since the call began */
	run__nested(s, &c);
	if (c.ret == 0 || c.why != 0)
		return;
	c.code = TRACE_OP_KFREE;
	c.addr = c.ret;
	c.flags = 0;
	c.size = c.ret = 0;
	run__nested(s, &c);
}

static void
act_self(struct run_state *s, const struct callback *cb)
{
	static const enum trace_opcode take[TRACE_CLASS_COUNT] = {
		[TRACE_CACHE] = TRACE_OP_OBJCACHE_GET,
		[TRACE_PIPE] = TRACE_OP_MPIPE_ALLOC_NOWAIT,
		[TRACE_ZONE] = TRACE_OP_UMA_ZALLOC,
	};
	static const enum trace_opcode give[TRACE_CLASS_COUNT] = {
		[TRACE_CACHE] = TRACE_OP_OBJCACHE_PUT,
		[TRACE_PIPE] = TRACE_OP_MPIPE_FREE,
		[TRACE_ZONE] = TRACE_OP_UMA_ZFREE,
	};
	struct call c = { .code = take[cb->class],
		.type = TRACE_NOREG,
		.handle = cb->handle,
		.handle2 = TRACE_NOREG,
		.flags = cb->class == TRACE_PIPE ? 0 : M_NOWAIT };

	run__nested(s, &c);
	if (c.ret == 0 || c.why != 0)
		return;
	c.code = give[cb->class];
	c.addr = c.ret;
	c.flags = 0;
	c.ret = 0;
	run__nested(s, &c);
}

/* May what the callback does wait? Its call may, and it is told so. */
static bool
may_wait(const struct callback *cb)
{
	return (cb->class != TRACE_PIPE && (cb->flags & M_WAITOK) != 0 &&
	    (cb->hook == TRACE_HOOK_CTOR || cb->hook == TRACE_HOOK_INIT ||
		cb->hook == TRACE_HOOK_ALLOC || cb->hook == TRACE_HOOK_IMPORT));
}

/* What is being made or ended is not there for what a callback does. */
static bool
is_whole(const struct run_state *s, const struct callback *cb)
{
	return (s->reg[cb->class][cb->handle].state == REG_LIVE &&
	    !s->owner[cb->class][cb->handle].ending);
}

/* Where a callback may fail, a sweep may make it. */
static bool
is_made_to_fail(struct run_state *s, const struct callback *cb)
{
	switch (cb->hook) {
	case TRACE_HOOK_CTOR:
		return (
		    cb->class != TRACE_PIPE && run__fault(s, RUN_FAULT_CTOR));
	case TRACE_HOOK_INIT:
		return (run__fault(s, RUN_FAULT_INIT));
	case TRACE_HOOK_ALLOC:
	case TRACE_HOOK_IMPORT:
		return (run__fault(s, RUN_FAULT_BACKEND));
	default:
		return (false);
	}
}

bool
run__callback(void *arg, struct callback *cb)
{
	struct run_state *s = arg;
	uint32_t thread = sim_current();
	enum trace_action action;
	struct run_owner *o;
	char found[96];

	if (thread == SIM_NONE)
		return (true);
	if (s->depth[thread] != 0 && ++s->called_back[thread] > CALLBACKS_MAX) {
		model_report(s->model, "G-4", "livelock", "a call to end",
		    "it calls back again and again");
		sim_abandon();
	}
	o = &s->owner[cb->class][cb->handle];
	cb->thread = run__frame(s, thread);
	if (sim_holds(found, sizeof(found)))
		model_report(s->model, "G-9", trace_hook_name(cb->hook),
		    "a callback is called with nothing locked, and outside of "
		    "sections",
		    found);
	run__mix(s, (uint64_t)cb->hook << 32 ^ run__relative(s, cb->addr));
	run__show(s, (uint64_t)cb->class << 32 | cb->handle, cb->hook);
	sim_tells();
	model_callback(s->model, cb);
	action = hook_due(&o->hook[cb->hook]);
	if (cb->hook == TRACE_HOOK_CALLBACK && action == TRACE_ACTION_NONE)
		action = TRACE_ACTION_SELF; /* what it was asked for */
	if (s->depth[thread] <= ACTION_DEPTH_MAX) {
		/* How often that is done is not the library's fault (G-4); how
		 * often it is refused is. */
		if (action == TRACE_ACTION_KMALLOC ||
		    action == TRACE_ACTION_SELF)
			sim_solo_anew();
		if (action == TRACE_ACTION_KMALLOC)
			act_kmalloc(s, o, may_wait(cb));
		else if (action == TRACE_ACTION_SELF && is_whole(s, cb))
			act_self(s, cb);
	}
	return (action != TRACE_ACTION_REFUSE && !is_made_to_fail(s, cb));
}

void
run__callback_done(void *arg, struct callback *cb)
{
	struct run_state *s = arg;

	if (sim_current() == SIM_NONE)
		return;
	run__mix(s, run__relative(s, cb->ret));
	if (cb->ret == 0)
		run__history_excuse(cb->thread);
	sim_tells();
	model_callback_done(s->model, cb);
}
