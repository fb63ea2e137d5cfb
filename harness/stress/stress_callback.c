/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the library calls back, in a thread of the trace or in one of its own.
 *
 * A constructor fills, a destructor looks whether what it is given is still
 * filled; both are counted, and who refuses has a reason. What else a callback
 * does is what the trace says, as in run_callback.c.
 */
#include "stress_int.h"

#include <kalloc/flags.h>

#define ACTION_BYTES	 48u
#define ACTION_DEPTH_MAX (CALL_DEPTH_MAX - 2) /* calls below an action */

void
stress__hook_arm(const struct trace_op *op)
{
	int class = trace_kind_class(trace_ops[op->code].arg[0]);
	struct owner *o;
	struct hook *h;

	if (op->arg[0] == TRACE_NOREG)
		return;
	o = stress__owner((enum trace_class) class, (uint32_t)op->arg[0]);
	if (o == NULL)
		return;
	h = &o->hook[op->arg[1]];
	h->count = 0;
	h->action = (int)op->arg[2];
	h->from = h->calls + (op->arg[3] == 0 ? 1 : op->arg[3]);
	h->count = op->arg[4];
}

static enum trace_action
hook_due(struct hook *h)
{
	uint64_t call =
	    atomic_fetch_add_explicit(&h->calls, 1, memory_order_relaxed) + 1;

	if (call < h->from || call - h->from >= h->count)
		return (TRACE_ACTION_NONE);
	return ((enum trace_action)h->action);
}

static void
broken(const struct caller *w, const char *clause, const char *expected)
{
	stress__fail(w == NULL ? NULL : w->op, clause, expected,
	    "its contents have changed");
}

/* Before: what is destroyed is as its last owner, or its constructor, left it. */
static void
look(const struct caller *w, const struct owner *o, const struct callback *cb)
{
	bool made = (o->hooks >> TRACE_HOOK_CTOR & 1) != 0;
	bool inited = (o->hooks >> TRACE_HOOK_INIT & 1) != 0;

	if ((cb->hook != TRACE_HOOK_DTOR && cb->hook != TRACE_HOOK_FINI) ||
	    o->tokens || stress__is_filled(cb->addr, cb->size))
		return;
	if (cb->hook == TRACE_HOOK_DTOR && made && o->class == TRACE_CACHE)
		broken(w, "OC-4", "an object that is destroyed as it was put");
	if (cb->hook == TRACE_HOOK_DTOR && made && o->class == TRACE_PIPE)
		broken(w, "MP-5", "a buffer that is ended as it was freed");
	/* Zero is what M_ZERO made of it before its constructor refused. */
	if (cb->hook == TRACE_HOOK_FINI && inited &&
	    !stress__is_zero(cb->addr, cb->size))
		broken(w, "ZN-1", "an item that is ended as it was freed");
}

static void
act(struct caller *w, struct owner *o, enum trace_action action)
{
	struct owner *type = o->type != NULL ? o->type : stress.action_type;

	if (w->depth > ACTION_DEPTH_MAX)
		return;
	if (action == TRACE_ACTION_KMALLOC)
		stress__take_and_give(w, type, ACTION_BYTES, M_NOWAIT);
	else if (action == TRACE_ACTION_SELF && o->alive)
		stress__take_and_give(
		    w, o, o->size, o->class == TRACE_PIPE ? 0 : M_NOWAIT);
}

bool
stress__callback(void *arg, struct callback *cb)
{
	struct owner *o = stress__owner(cb->class, cb->handle);
	struct caller *w = stress__self();
	enum trace_action action;
	bool refused;

	(void)arg;
	if (o == NULL)
		return (true); /* it ends */
	look(w, o, cb);
	action = hook_due(&o->hook[cb->hook]);
	if (cb->hook == TRACE_HOOK_CALLBACK) {
		(void)atomic_fetch_add(&o->called, 1);
		if (action == TRACE_ACTION_NONE)
			action = TRACE_ACTION_SELF; /* what it was asked for */
	}
	if (w != NULL) {
		refused = w->refused;
		act(w, o, action);
		w->refused = refused; /* that was the action's */
	}
	return (action != TRACE_ACTION_REFUSE);
}

static void
count(_Atomic int64_t *n, int64_t by)
{
	(void)atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

void
stress__callback_done(void *arg, struct callback *cb)
{
	struct owner *o = stress__owner(cb->class, cb->handle);
	struct caller *w = stress__self();

	(void)arg;
	switch (cb->hook) {
	case TRACE_HOOK_CTOR:
	case TRACE_HOOK_INIT:
	case TRACE_HOOK_ALLOC:
	case TRACE_HOOK_IMPORT:
		if (cb->ret == 0 && w != NULL)
			w->refused = true;
		break;
	default:
		break;
	}
	if (o == NULL)
		return;
	if (cb->hook == TRACE_HOOK_CALLBACK)
		(void)atomic_fetch_add(&o->answered, 1);
	if (cb->ret != 0 && !o->tokens &&
	    (cb->hook == TRACE_HOOK_INIT ||
		(cb->hook == TRACE_HOOK_CTOR && o->class != TRACE_ZONE)))
		stress__fill(cb->addr, cb->size, stress__seed());
	if (cb->hook == TRACE_HOOK_CTOR && cb->ret != 0)
		count(&o->constructed, 1);
	else if (cb->hook == TRACE_HOOK_DTOR)
		count(&o->constructed, -1);
	else if (cb->hook == TRACE_HOOK_INIT && cb->ret != 0)
		count(&o->initialised, 1);
	else if (cb->hook == TRACE_HOOK_FINI)
		count(&o->initialised, -1);
}
