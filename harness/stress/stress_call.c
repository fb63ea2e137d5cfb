/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An operation becomes a call of the subject, and the call an event of the
 * history.
 *
 * Misuse of objects is left out: a register names an object to whoever gave it
 * out, and once. What an argument alone makes misuse is done, and refused by a
 * panic, which changes nothing. What would need a large part of the budget is
 * left out: nobody could tell a shortage of pages from a defect.
 */
#include "stress_int.h"

#include <kalloc/flags.h>
#include <kalloc/kmalloc.h>

#include <stdio.h>
#include <string.h>

struct owner *
stress__owner(enum trace_class class, uint32_t reg)
{
	return (stress.regs[class][reg].owner);
}

/* ---- The call ---------------------------------------------------------- */

bool
stress__exec(struct caller *w, struct call *c)
{
	char found[96];

	c->thread = w->index + w->depth * STRESS_CALLERS;
	w->depth++;
	if (w->depth == 1)
		w->refused = false;
	stress.subject->exec(c);
	w->depth--;
	switch (c->why) {
	case KA_WHY_NONE:
		return (true);
	case KA_WHY_BAD_FLAGS:
	case KA_WHY_BAD_ARG:
	case KA_WHY_BAD_TYPE:
	case KA_WHY_BAD_HANDLE:
	case KA_WHY_BUSY:
	case KA_WHY_LIMIT:
	case KA_WHY_OVERFLOW:
		return (false);
	default:
		(void)snprintf(found, sizeof(found), "panic %s",
		    ka_why_name((enum ka_why)c->why));
		stress__fail(w->op, "G-3", "no panic: it is no misuse", found);
		return (false);
	}
}

/* Arguments of the operation but for objects and runs. */
static void
fill_call(const struct trace_op *op, struct call *c)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	unsigned i;

	memset(c, 0, sizeof(*c));
	c->code = (enum trace_opcode)op->code;
	c->line = op->line;
	c->type = c->handle = c->handle2 = TRACE_NOREG;
	for (i = 0; i < def->nargs; i++) {
		uint64_t v = op->arg[i];

		switch (def->arg[i]) {
		case TRACE_K_SIZE:
			c->size = v;
			break;
		case TRACE_K_NUM:
			if (i > 0 && op->code == TRACE_OP_VM_PAGE_ALLOC)
				c->align = v;
			else
				c->num = c->udata = v;
			break;
		case TRACE_K_FLAGS:
		case TRACE_K_VMFLAGS:
		case TRACE_K_MPFLAGS:
		case TRACE_K_UMAFLAGS:
		case TRACE_K_ZONEFLAGS:
			c->flags = (uint32_t)v;
			break;
		case TRACE_K_STR:
			c->str = trace_str(&stress.trace.header, v);
			break;
		case TRACE_K_INT:
			c->n[c->nints++ & 1] = (int32_t)(uint32_t)v;
			break;
		case TRACE_K_HOOKS:
			c->hooks = (uint32_t)v;
			break;
		case TRACE_K_RECLAIM:
			c->reclaim = (enum trace_reclaim)v;
			break;
		default:
			break;
		}
	}
}

struct owner *
stress__named(const struct trace_op *op, unsigned arg, struct call *c)
{
	int class = trace_kind_class(trace_ops[op->code].arg[arg]);
	struct owner *o;

	if (class < 0 || op->arg[arg] == TRACE_NOREG)
		return (NULL);
	o = stress__owner((enum trace_class) class, (uint32_t)op->arg[arg]);
	if (o == NULL || !o->alive)
		return (NULL);
	if (class == TRACE_TYPE)
		c->type = o->reg;
	else if (c->handle == TRACE_NOREG)
		c->handle = o->reg;
	else
		c->handle2 = o->reg;
	return (o);
}

/* ---- Taking and giving ------------------------------------------------- */

/* Has an allocation what the contract says of its contents? */
static void
check_fresh(const struct caller *w, const struct owner *o, const struct call *c,
    uint64_t bytes)
{
	bool ctor = (o->hooks >> TRACE_HOOK_CTOR & 1) != 0;
	bool zero, filled, kept;

	if (o->tokens || (o->class == TRACE_TYPE && (c->flags & M_ZERO) == 0))
		return;
	zero = stress__is_zero(c->ret, bytes);
	filled = zero || stress__is_filled(c->ret, bytes);
	kept = ctor ? !zero && filled : filled;
	if (o->class == TRACE_TYPE && !zero)
		stress__fail(
		    w->op, "KM-8", "zeroes", "a byte that is not zero");
	if (o->class == TRACE_CACHE && ctor && !kept && bytes >= 8)
		stress__fail(w->op, "OC-4", "an object as it was put",
		    "its contents have changed");
	if (o->class == TRACE_PIPE &&
	    (o->flags & (MPF_NOZERO | MPF_CACHEDATA)) == 0 && !zero)
		stress__fail(
		    w->op, "MP-5", "zeroes", "a byte that is not zero");
	if (o->class == TRACE_PIPE && bytes >= 8 && !kept &&
	    (ctor || (o->flags & MPF_CACHEDATA) != 0))
		stress__fail(w->op, "MP-5", "a buffer as it was freed",
		    "its contents have changed");
	if (o->class == TRACE_ZONE && (c->flags & M_ZERO) != 0 && !zero)
		stress__fail(
		    w->op, "ZN-9", "zeroes", "a byte that is not zero");
	if (o->class >= TRACE_ZONE && !filled)
		stress__fail(w->op, "ZN-1", "an item as it was freed",
		    "its contents have changed");
}

static uint64_t
bytes_of(const struct owner *o, const struct call *c)
{
	if (o->class == TRACE_TYPE)
		return (kmalloc_usable_size((void *)c->ret));
	return (o->tokens ? 1 : o->size);
}

static bool
may_sleep(const struct owner *o, const struct call *c)
{
	if (o->class == TRACE_PIPE)
		return (c->code == TRACE_OP_MPIPE_ALLOC_WAITOK);
	return (!o->boot &&
	    (o->class == TRACE_CACHE || o->class == TRACE_ZONE) &&
	    (c->flags & M_WAITOK) != 0 &&
	    (o->class == TRACE_ZONE || (c->flags & M_NULLOK) == 0));
}

/* An allocation of the owner, with its event; 0: refused. */
static uint64_t
take(struct caller *w, struct owner *o, struct call *c, uint64_t *ret_born)
{
	bool outer_refused = w->refused, fine, sleeps = may_sleep(o, c);
	struct owner *outer = w->waits;
	struct history_event *e;
	uint64_t from, bytes = 0;

	if (sleeps)
		w->waits = o;
	w->refused = false;
	from = stress__stamp();
	fine = stress__exec(w, c);
	*ret_born = stress__stamp();
	w->waits = outer;
	if (c->ret == (uintptr_t)ZERO_LENGTH_PTR)
		return (0);
	if (c->ret != 0)
		bytes = bytes_of(o, c);
	e = stress__event(w, c->ret != 0 ? HISTORY_TAKE : HISTORY_REFUSED, o,
	    from, *ret_born);
	e->excused = w->refused || (!fine && c->why != KA_WHY_LIMIT);
	e->waits = sleeps;
	if (o->class == TRACE_TYPE)
		e->units = c->ret != 0 ? bytes : c->size;
	w->refused = outer_refused;
	if (c->ret == 0)
		return (0);
	(void)atomic_fetch_add(&o->held, 1);
	check_fresh(w, o, c, bytes);
	return (bytes);
}

/* The register's object is there, alive since. */
static void
born(struct reg *r, struct owner *o, const struct call *c, uint64_t bytes,
    uint64_t since)
{
	r->owner = o;
	r->addr = c->ret;
	r->bytes = bytes;
	r->units = o != NULL && o->class == TRACE_TYPE ? bytes : 1;
	r->born = since;
	r->seed = stress__seed();
	if (o == NULL || !o->tokens)
		stress__fill(r->addr, r->bytes, r->seed);
	atomic_store_explicit(&r->live, true, memory_order_release);
}

/* It ends now, if nobody ended it before. */
static bool
dies(struct caller *w, struct reg *r)
{
	struct history_event *e;

	if (!atomic_exchange_explicit(&r->live, false, memory_order_acq_rel))
		return (false);
	if ((r->owner == NULL || !r->owner->tokens) &&
	    !stress__holds(r->addr, r->bytes, r->seed))
		stress__fail(w->op, "G-2", "an object as it was written",
		    "its contents have changed");
	e = stress__event(w, HISTORY_LIFE, NULL, r->born, stress__stamp());
	e->addr = r->addr;
	e->bytes = r->bytes;
	return (true);
}

enum trace_opcode stress__giver(enum trace_class class)
{
	static const enum trace_opcode give[TRACE_CLASS_COUNT] = {
		[TRACE_TYPE] = TRACE_OP_KFREE,
		[TRACE_CACHE] = TRACE_OP_OBJCACHE_PUT,
		[TRACE_PIPE] = TRACE_OP_MPIPE_FREE,
		[TRACE_ZONE] = TRACE_OP_UMA_ZFREE,
		[TRACE_VMZONE] = TRACE_OP_ZFREE,
	};

	return (give[class]);
}

static void
give_back(struct caller *w, struct owner *o, struct call *c, uint64_t units)
{
	struct history_event *e;
	uint64_t from = stress__stamp();

	if (o->class == TRACE_TYPE)
		c->type = o->reg;
	else
		c->handle = o->reg;
	(void)atomic_fetch_sub(&o->held, 1);
	if (!stress__exec(w, c))
		stress__fail(w->op, "G-3", "no panic: it is held",
		    ka_why_name((enum ka_why)c->why));
	e = stress__event(w, HISTORY_GIVE, o, from, stress__stamp());
	e->units = units;
}

bool
stress__give(struct caller *w, struct reg *r, enum trace_opcode code)
{
	struct call c = { .code = code,
		.type = TRACE_NOREG,
		.handle = TRACE_NOREG,
		.handle2 = TRACE_NOREG };

	if (!dies(w, r))
		return (false);
	c.addr = r->addr;
	if (r->owner != NULL) {
		give_back(w, r->owner, &c, r->units);
	} else {
		c.pages = r->bytes / KA_PAGE_SIZE;
		(void)stress__exec(w, &c);
	}
	return (true);
}

void
stress__take_and_give(
    struct caller *w, struct owner *o, uint64_t size, uint32_t flags)
{
	static const enum trace_opcode takes[TRACE_CLASS_COUNT] = {
		[TRACE_TYPE] = TRACE_OP_KMALLOC,
		[TRACE_CACHE] = TRACE_OP_OBJCACHE_GET,
		[TRACE_PIPE] = TRACE_OP_MPIPE_ALLOC_NOWAIT,
		[TRACE_ZONE] = TRACE_OP_UMA_ZALLOC,
	};
	struct call c = { .code = takes[o->class],
		.size = size,
		.flags = flags,
		.type = o->class == TRACE_TYPE ? o->reg : TRACE_NOREG,
		.handle = o->reg,
		.handle2 = TRACE_NOREG };
	struct history_event *e;
	uint64_t since, bytes = take(w, o, &c, &since);

	if (bytes == 0)
		return;
	e = stress__event(w, HISTORY_LIFE, NULL, since, stress__stamp());
	e->addr = c.addr = c.ret;
	e->bytes = bytes;
	c.code = stress__giver(o->class);
	c.flags = 0;
	c.ret = 0;
	give_back(w, o, &c, o->class == TRACE_TYPE ? bytes : 1);
}

/* They are an item's events as any; its life is told by who has the object. */
void
stress__nested(void *arg, struct call *c)
{
	struct owner *o = stress__owner(TRACE_ZONE, c->handle);
	struct caller *w = stress__self();
	uint64_t since;

	(void)arg;
	if (c->code != TRACE_OP_UMA_ZALLOC)
		give_back(w, o, c, 1);
	else if (take(w, o, c, &since) != 0)
		stress__fill(c->ret, o->size, stress__seed());
}

bool
stress__reclaim(struct caller *w, struct owner *o)
{
	struct call c = { .code = TRACE_OP_OBJCACHE_RECLAIMLIST,
		.type = TRACE_NOREG,
		.handle = o->reg,
		.handle2 = TRACE_NOREG,
		.flags = M_NOWAIT };
	uint64_t from = stress__stamp();

	if (!stress__exec(w, &c))
		stress__fail(w->op, "G-3", "no panic: it is no misuse",
		    ka_why_name((enum ka_why)c.why));
	(void)stress__event(w, HISTORY_OTHER, o, from, stress__stamp());
	return (c.ret != 0);
}

static void
do_take(struct caller *w, const struct trace_op *op, struct call *c)
{
	struct owner *o = NULL;
	uint64_t since, bytes;
	unsigned i;

	for (i = 0; i < trace_ops[op->code].nargs && o == NULL; i++)
		o = stress__named(op, i, c);
	if (o == NULL || atomic_load(&stress.regs[TRACE_OBJ][op->out].live) ||
	    c->size > SIZE_MAX_B)
		return;
	if (op->code == TRACE_OP_KMALLOC ||
	    op->code == TRACE_OP_KMALLOC_CACHEALIGN ||
	    op->code == TRACE_OP_KMALLOC_POWEROF2)
		c->flags |= M_NULLOK;
	if (op->code == TRACE_OP_MPIPE_ALLOC_CALLBACK)
		(void)atomic_fetch_add(&o->asked, 1);
	bytes = take(w, o, c, &since);
	if (op->code == TRACE_OP_MPIPE_ALLOC_CALLBACK &&
	    (c->ret != 0 || c->why != 0))
		(void)atomic_fetch_sub(&o->asked, 1);
	if (bytes != 0)
		born(&stress.regs[TRACE_OBJ][op->out], o, c, bytes, since);
}

/* Of an object that another owner gave out, or none: left out. */
static void
do_give(struct caller *w, const struct trace_op *op, struct call *c)
{
	unsigned at = op->code == TRACE_OP_KFREE ? 0 : 1;
	struct owner *o = NULL;
	struct reg *r;

	if (op->arg[at] == TRACE_NOREG)
		return;
	r = &stress.regs[TRACE_OBJ][op->arg[at]];
	if (op->code != TRACE_OP_KFREE) {
		o = stress__named(op, 0, c);
		if (o == NULL || r->owner != o)
			return;
	} else if (r->owner == NULL || r->owner != stress__named(op, 1, c)) {
		return;
	}
	(void)stress__give(w, r, (enum trace_opcode)op->code);
}

/* Both sizes count while it runs. */
static void
do_krealloc(struct caller *w, const struct trace_op *op, struct call *c)
{
	struct reg *r = &stress.regs[TRACE_OBJ][op->arg[0]], was;
	struct history_event *e;
	struct owner *o;
	uint64_t from, to;

	if (op->arg[0] == TRACE_NOREG || r->owner == NULL ||
	    r->owner != stress__named(op, 2, c) || c->size == 0 ||
	    c->size > SIZE_MAX_B || (c->flags & M_ZERO) != 0 || !dies(w, r))
		return;
	was = *r;
	o = r->owner;
	c->type = o->reg;
	c->flags |= M_NULLOK;
	c->addr = r->addr;
	from = stress__stamp();
	(void)stress__exec(w, c);
	to = stress__stamp();
	if (c->ret == 0) { /* it is as it was */
		r->born = to;
		atomic_store_explicit(&r->live, true, memory_order_release);
		e = stress__event(w, HISTORY_REFUSED, o, from, to);
		e->units = c->size;
		e->excused = c->why != 0;
		return;
	}
	r->bytes = kmalloc_usable_size((void *)c->ret);
	if (!stress__holds(c->ret,
		(r->bytes < was.bytes ? r->bytes : was.bytes) & ~UINT64_C(7),
		was.seed))
		stress__fail(
		    op, "KM-11", "the common prefix", "it is not kept");
	e = stress__event(w, HISTORY_TAKE, o, from, to);
	e->units = r->bytes;
	e = stress__event(w, HISTORY_GIVE, o, from, to);
	e->units = was.units;
	born(r, o, c, r->bytes, to);
}

static void
do_pages(struct caller *w, const struct trace_op *op, struct call *c)
{
	struct reg *r;

	if (op->code == TRACE_OP_VM_PAGE_FREE) {
		if (op->arg[0] != TRACE_NOREG)
			(void)stress__give(w,
			    &stress.regs[TRACE_RUN][op->arg[0]],
			    TRACE_OP_VM_PAGE_FREE);
		return;
	}
	r = &stress.regs[TRACE_RUN][op->out];
	if (atomic_load(&r->live) || c->num > 1024)
		return;
	(void)stress__exec(w, c);
	if (c->ret != 0 && (c->flags & VM_ALLOC_ZERO) != 0 &&
	    !stress__is_zero(c->ret, c->num * KA_PAGE_SIZE))
		stress__fail(op, "VM-4", "zeroes", "a byte that is not zero");
	if (c->ret != 0)
		born(r, NULL, c, c->num * KA_PAGE_SIZE, stress__stamp());
}

/* ---- What changes limits, and the rest --------------------------------- */

static pthread_mutex_t limits_lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * Of calls that overlap any may have been the last: the least of their limits
 * is what may be slept at. One that ended before another began was not.
 */
static uint64_t
last_limit(struct owner *o, const struct limit_call *call)
{
	uint64_t least = HISTORY_NO_LIMIT;
	bool is_last = true;
	uint32_t i, n = 0;

	for (i = 0; i < o->nlimits; i++) {
		is_last &= o->limits[i].from < call->to;
		if (o->limits[i].to > call->from)
			o->limits[n++] = o->limits[i];
	}
	if (is_last && n == LIMITS_AT_ONCE) {
		n--; /* more at once: of two it is the lesser one's */
		if (o->limits[n].least > call->least)
			o->limits[n] = *call;
		n++;
	} else if (is_last) {
		o->limits[n++] = *call;
	}
	o->nlimits = n;
	for (i = 0; i < n; i++)
		if (o->limits[i].least < least)
			least = o->limits[i].least;
	return (least);
}

static void
note_limit(struct caller *w, struct owner *o, uint64_t from, uint64_t least,
    uint64_t most)
{
	const struct limit_call call = { from, stress__stamp(), least };
	struct history_event *e =
	    stress__event(w, HISTORY_LIMIT, o, from, call.to);

	e->least = least;
	e->most = most;
	(void)pthread_mutex_lock(&limits_lock);
	least = last_limit(o, &call);
	if (least < atomic_exchange(&o->sleeps_at, least) || o->nlimits > 1)
		atomic_store(&o->lowered, true);
	(void)pthread_mutex_unlock(&limits_lock);
	stress__slack(o);
}

/* The new limit in effect, as the call's arguments and its owner say. */
static void
limit_now(
    struct caller *w, struct owner *o, const struct call *c, uint64_t from)
{
	uint64_t n = c->n[0] == 0 ? HISTORY_NO_LIMIT : (uint64_t)c->n[0];
	struct subject_type_stats ts;
	struct owner_stats st;

	switch (c->code) {
	case TRACE_OP_UMA_ZONE_SET_MAX:
		note_limit(w, o, from, n, n);
		break;
	case TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT:
		(void)stress.subject->owner_stats(o->class, o->reg, &st);
		note_limit(w, o, from, n,
		    n == HISTORY_NO_LIMIT ?
			n :
			n + 2 * st.capacity * (stress.ncpus + 1));
		break;
	case TRACE_OP_ZINITNA:
		(void)stress.subject->owner_stats(o->class, o->reg, &st);
		n = st.limit == 0 ? HISTORY_NO_LIMIT : st.limit;
		note_limit(w, o, from, n, n);
		break;
	default: /* kmalloc: there is no way down */
		if (!stress.subject->type_stats(o->reg, &ts))
			return;
		note_limit(w, o, from, ts.limit,
		    ts.limit + ts.limit / 16 +
			2ull * SIZE_MAX_B * (stress.ncpus + 1));
		break;
	}
}

static void
do_limit(struct caller *w, const struct trace_op *op, struct call *c)
{
	struct owner *o = stress__named(op, 0, c);
	uint64_t from;

	if (o == NULL || (o->boot && o->class == TRACE_ZONE))
		return;
	if (op->code == TRACE_OP_ZINITNA) {
		if (!o->boot)
			return;
		c->size = o->size;
	}
	from = stress__stamp();
	if (stress__exec(w, c))
		limit_now(w, o, c, from);
}

/* Calls that move what is cached, of the owners that they name, or of all. */
static void
do_other(struct caller *w, const struct trace_op *op, struct call *c)
{
	struct owner *o[2] = { NULL, NULL };
	uint32_t i, n = atomic_load(&stress.nowners);
	uint64_t from, to;

	if (op->code != TRACE_OP_UMA_RECLAIM &&
	    op->code != TRACE_OP_KMALLOC_TRIM) {
		o[0] = stress__named(op, 0, c);
		if (op->code == TRACE_OP_OBJCACHE_RECLAIMLIST)
			o[1] = stress__named(op, 1, c);
		if (o[0] == NULL || (o[0]->boot && o[0]->class == TRACE_ZONE))
			return;
	}
	if ((op->code == TRACE_OP_UMA_PREALLOC ||
		op->code == TRACE_OP_UMA_ZONE_RESERVE) &&
	    (c->n[0] < 0 || (uint64_t)c->n[0] * o[0]->size > BYTES_MAX_B))
		return;
	/* Nobody else may use the zone then, and who calls the cache does. */
	if (op->code == TRACE_OP_UMA_ZONE_SET_SOURCE && o[0]->users != 0)
		return;
	if (op->code == TRACE_OP_MPIPE_WAIT)
		w->waits = o[0];
	from = stress__stamp();
	(void)stress__exec(w, c);
	to = stress__stamp();
	w->waits = NULL;
	for (i = 0; i < 2; i++)
		if (o[i] != NULL)
			(void)stress__event(w, HISTORY_OTHER, o[i], from, to);
	/* By number: some are just being made. */
	for (i = 0; i < n && op->code == TRACE_OP_UMA_RECLAIM; i++)
		stress__event(w, HISTORY_OTHER, NULL, from, to)->owner = i;
	if (o[0] != NULL)
		stress__slack(o[0]);
}

/* Questions; an answer is only looked at where there is one right one. */
static void
do_ask(struct caller *w, const struct trace_op *op, struct call *c)
{
	if (op->code == TRACE_OP_KMALLOC_USABLE_SIZE) {
		struct reg *r;

		if (op->arg[0] == TRACE_NOREG)
			return;
		r = &stress.regs[TRACE_OBJ][op->arg[0]];
		if (!atomic_load(&r->live) || r->owner == NULL ||
		    r->owner->class != TRACE_TYPE)
			return;
		c->addr = r->addr;
		(void)stress__exec(w, c);
		if (c->ret != r->bytes)
			stress__fail(
			    op, "KM-3", "the size that it had", "another one");
		return;
	}
	if (stress__named(op, 0, c) != NULL)
		(void)stress__exec(w, c);
}

MALLOC_DEFINE(M_EXITS, "exits", "of threads that exit");

/* Another's, which has had a CPU, if there was one: the caller goes on. */
static void *
exits(void *arg)
{
	void *p = kmalloc(64, M_EXITS, M_NOWAIT);

	(void)arg;
	if (p != NULL) /* it may be refused, and has had its CPU */
		kfree(p, M_EXITS);
	return (NULL);
}

static void
do_exit(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, exits, NULL) == 0)
		(void)pthread_join(t, NULL);
}

void
stress__op(struct caller *w, const struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	struct call c;

	w->op = op;
	fill_call(op, &c);
	switch (op->code) {
	case TRACE_OP_MIGRATE:
		stress__pin((uint32_t)op->arg[0]);
		return;
	case TRACE_OP_THREAD_EXIT:
		do_exit();
		return;
	case TRACE_OP_QUIESCE: /* the others go on */
	case TRACE_OP_KFREE_INTERIOR:
	case TRACE_OP_KFREE_WILD:
	case TRACE_OP_UMA_ZFREE_INTERIOR:
	case TRACE_OP_UMA_ZFREE_WILD:
		return;
	case TRACE_OP_OBJCACHE_HOOK:
	case TRACE_OP_MPIPE_HOOK:
	case TRACE_OP_UMA_HOOK:
		stress__hook_arm(op);
		return;
	case TRACE_OP_KREALLOC:
		do_krealloc(w, op, &c);
		return;
	case TRACE_OP_KMALLOC_USABLE_SIZE:
	case TRACE_OP_KMALLOC_LIMIT:
	case TRACE_OP_UMA_ZONE_GET_MAX:
	case TRACE_OP_UMA_ZONE_GET_CUR:
		do_ask(w, op, &c);
		return;
	case TRACE_OP_KMALLOC_RAISE_LIMIT:
	case TRACE_OP_KMALLOC_SET_UNLIMITED:
	case TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT:
	case TRACE_OP_UMA_ZONE_SET_MAX:
	case TRACE_OP_ZINITNA:
		do_limit(w, op, &c);
		return;
	default:
		break;
	}
	if (def->group == TRACE_G_VM)
		do_pages(w, op, &c);
	else if (def->out == TRACE_OBJ)
		do_take(w, op, &c);
	else if (def->out >= 0)
		stress__make(w, op, &c);
	else if (trace_kind_ends(def->arg[0]) && def->arg[0] != TRACE_K_OBJ_END)
		stress__unmake(w, op, &c);
	else if (trace_kind_ends(def->arg[0]) || trace_kind_ends(def->arg[1]))
		do_give(w, op, &c);
	else
		do_other(w, op, &c);
}
