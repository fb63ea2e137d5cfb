/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Findings: the first broken clause, in words.
 *
 * A finding is said in three steps: model__fail() decides whether it counts,
 * then what was expected, then what was found. After the first one the model
 * judges no more, and what is said later goes nowhere.
 *
 * Words are the same in every run of the same trace: addresses are offsets
 * from the arena, or from the page of the first object; offsets too large to
 * be of the same mapping are not named.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "model_int.h"

#define NEAR (INT64_C(1) << 30) /* offsets beyond are not deterministic */

const char *const model__op_name[TRACE_OP_COUNT] = {
#define OP(id, name, group, out, a0, a1, a2, a3, a4, a5, help)                 \
	[TRACE_OP_##id] = (name),
#include "trace/ops.def"
#undef OP
};

void
model__assert_failed(const char *what, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: the model broke: %s\n", file, line, what);
	abort();
}

const char *
model__why_name(unsigned why)
{
	static const char *const names[MODEL_WHY_COUNT] = {
#define MODEL_WHY_NAME(id, name, text) (name),
		KA_WHY_TABLE(MODEL_WHY_NAME)
#undef MODEL_WHY_NAME
	};

	return (why < MODEL_WHY_COUNT ? names[why] : "unknown");
}

static const char *
allocator_of(
    const struct model *m, const struct mthread *th, const char *clause)
{
	if (!model__is_kalloc(m))
		return ("malloc");
	if (strncmp(clause, "VM-", 3) == 0)
		return ("vm_page");
	if (strncmp(clause, "OC-", 3) == 0)
		return ("objcache");
	if (strncmp(clause, "MP-", 3) == 0)
		return ("mpipe");
	if (strncmp(clause, "ZN-", 3) == 0)
		return ("zone");
	if (th != NULL && th->busy && trace_ops[th->code].group >= TRACE_G_OC)
		return (trace_group_name(trace_ops[th->code].group));
	if (th != NULL && th->busy &&
	    (th->code == TRACE_OP_VM_PAGE_ALLOC ||
		th->code == TRACE_OP_VM_PAGE_FREE) &&
	    strncmp(clause, "KM-", 3) != 0)
		return ("vm_page");
	return ("kmalloc");
}

static void
fail_named(struct model *m, const struct mthread *th, const char *clause,
    const char *operation, const char *state)
{
	struct finding *f = &m->finding;

	m->writing = m->judging;
	if (!m->judging)
		return;
	m->judging = false;
	m->has_finding = true;
	(void)snprintf(f->clause, sizeof(f->clause), "%s", clause);
	(void)snprintf(f->operation, sizeof(f->operation), "%s", operation);
	f->line = th != NULL ? th->line : 0;
	f->thread = th != NULL ? th->id % m->config.threads : 0;
	f->expected[0] = f->found[0] = '\0';
	(void)snprintf(f->signature, sizeof(f->signature), "%s/%s/%s/%s",
	    allocator_of(m, th, clause), clause, operation, state);
}

void
model__fail(struct model *m, const struct mthread *th, const char *clause,
    const char *state)
{
	if (th != NULL && !th->busy)
		th = NULL;
	fail_named(m, th, clause,
	    th != NULL ? model__op_name[th->code] : "end of run", state);
}

void
model__fail_outside(struct model *m, const char *clause, const char *operation,
    const char *state)
{
	fail_named(m, NULL, clause, operation, state);
}

void
model__expected(struct model *m, const char *fmt, ...)
{
	va_list ap;

	if (!m->writing)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(
	    m->finding.expected, sizeof(m->finding.expected), fmt, ap);
	va_end(ap);
}

void
model__found(struct model *m, const char *fmt, ...)
{
	va_list ap;

	if (!m->writing)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(m->finding.found, sizeof(m->finding.found), fmt, ap);
	va_end(ap);
	m->writing = false;
}

void
model__out_of_memory(struct model *m)
{
	model__fail(m, NULL, "LAB", "memory");
	model__expected(m, "memory for the model's tables");
	model__found(m, "the system has none");
}

struct mtext
model__addr_text(const struct model *m, uint64_t addr)
{
	int64_t off = (int64_t)(addr - m->base);
	const char *base = m->config.arena != 0 ? "arena" : "heap";
	struct mtext t;

	if (addr == 0)
		(void)snprintf(t.s, sizeof(t.s), "NULL");
	else if (addr == ZERO_PTR)
		(void)snprintf(t.s, sizeof(t.s), "ZERO_LENGTH_PTR");
	else if (m->base == 0 || off > NEAR * 8 || off < -NEAR)
		(void)snprintf(
		    t.s, sizeof(t.s), "an address far from the %s", base);
	else if (off < 0)
		(void)snprintf(
		    t.s, sizeof(t.s), "%s-0x%" PRIx64, base, (uint64_t)-off);
	else
		(void)snprintf(
		    t.s, sizeof(t.s), "%s+0x%" PRIx64, base, (uint64_t)off);
	return (t);
}

struct mtext
model__object_text(const struct model *m, const struct mobject *o)
{
	const struct mtext at = model__addr_text(m, o->addr);
	struct mtext t;

	(void)snprintf(t.s, sizeof(t.s),
	    "%s of %" PRIu64 " bytes at %.60s (line %" PRIu64 ")",
	    o->run ? "the run" : "the object", o->usable, at.s, o->line);
	return (t);
}

/* The same for caches and pipes; NULL: as for all others. */
static const char *
clause_of_owner(const struct mthread *th)
{
	uint32_t stale = WHY_STALE | WHY(NULL_FREE);

	if ((th->expect & WHY(BAD_HANDLE)) != 0)
		return ("G-3");
	switch (th->code) {
	case TRACE_OP_OBJCACHE_GET:
		return ("OC-5");
	case TRACE_OP_OBJCACHE_PUT:
	case TRACE_OP_OBJCACHE_DTOR:
		return ((th->expect & stale) != 0 ? "OC-12" : "G-3");
	case TRACE_OP_OBJCACHE_DESTROY:
		return ("OC-10");
	case TRACE_OP_MPIPE_INIT:
		return ((th->expect & WHY(BAD_FLAGS)) != 0 ? "MP-5" : "G-3");
	case TRACE_OP_MPIPE_ALLOC_CALLBACK:
		return ("MP-4");
	case TRACE_OP_MPIPE_DONE:
		return ("MP-9");
	case TRACE_OP_MPIPE_FREE:
		return ("MP-7");
	default:
		return (NULL);
	}
}

/* The clause that demands one of a set of panics. */
static const char *
clause_of(const struct mthread *th)
{
	const char *clause = clause_of_owner(th);

	if (clause != NULL)
		return (clause);
	if (trace_ops[th->code].group == TRACE_G_ZN)
		return (model__zn_clause(th, 0));
	if (th->code == TRACE_OP_VM_PAGE_ALLOC ||
	    th->code == TRACE_OP_VM_PAGE_FREE)
		return ("G-3");
	if ((th->expect & (WHY(NULL_FREE) | WHY(WRONG_TYPE))) != 0)
		return ("KM-10");
	if ((th->expect & WHY(BAD_FLAGS)) != 0)
		return (
		    th->code == TRACE_OP_KREALLOC && (th->flags & M_ZERO) != 0 ?
			"KM-11" :
			"KM-7");
	if ((th->expect & WHY(BAD_TYPE)) != 0)
		return ("KM-5");
	return ((th->expect & WHY_STALE) != 0 ? "KM-16" : "G-3");
}

/* "panic wrong-type or bad-type" */
static void
expect_text(const struct mthread *th, char *buf, size_t size)
{
	size_t n = 0;
	unsigned w;

	buf[0] = '\0';
	for (w = 0; w < MODEL_WHY_COUNT; w++) {
		const char *sep = n == 0 ? "" : " or ";

		if ((th->expect >> w & 1) == 0 || n >= size)
			continue;
		n += (size_t)snprintf(buf + n, size - n, "%s%s%s", sep,
		    w == 0 ? "a normal return" : "panic ",
		    w == 0 ? "" : model__why_name(w));
	}
}

/* "64 bytes for m1 with flags 0x102", "arena+0x40 under m0" */
static struct mtext
call_text(const struct model *m, const struct mthread *th, const struct call *c)
{
	const struct mtext at = model__addr_text(m, th->addr);
	char type[16] = "no type";
	struct mtext t;
	uint32_t o;

	if (trace_ops[c->code].group == TRACE_G_OC ||
	    trace_ops[c->code].group == TRACE_G_MP) {
		(void)snprintf(t.s, sizeof(t.s), "%.60s%s%c%" PRId32,
		    th->addr != 0 ? at.s : "", th->addr != 0 ? ", " : "",
		    trace_ops[c->code].group == TRACE_G_OC ? 'c' : 'q',
		    (int32_t)c->handle);
		return (t);
	}
	if (trace_ops[c->code].group == TRACE_G_ZN)
		return (model__zn_call_text(m, th, c));
	if (c->type != TRACE_NOREG)
		(void)snprintf(type, sizeof(type), "m%" PRIu32, c->type);
	switch (c->code) {
	case TRACE_OP_KMALLOC:
	case TRACE_OP_KMALLOC_CACHEALIGN:
	case TRACE_OP_KMALLOC_POWEROF2:
		(void)snprintf(t.s, sizeof(t.s),
		    "%" PRIu64 " bytes for %s with flags 0x%" PRIx32, c->size,
		    type, c->flags);
		break;
	case TRACE_OP_KREALLOC:
		(void)snprintf(t.s, sizeof(t.s),
		    "%" PRIu64
		    " bytes instead of %.60s for %s with flags 0x%" PRIx32,
		    c->size, at.s, type, c->flags);
		break;
	case TRACE_OP_VM_PAGE_ALLOC:
		(void)snprintf(t.s, sizeof(t.s),
		    "%" PRIu64 " pages aligned to %" PRIu64
		    " with flags 0x%" PRIx32,
		    c->num, c->align, c->flags);
		break;
	case TRACE_OP_VM_PAGE_FREE:
		(void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " pages at %.60s",
		    c->pages, at.s);
		break;
	case TRACE_OP_KFREE:
	case TRACE_OP_KFREE_INTERIOR:
	case TRACE_OP_KFREE_WILD:
		o = th->object;
		if (o == 0)
			o = model__object_find(m, th->addr);
		if (o != 0)
			(void)snprintf(t.s, sizeof(t.s), "%.100s under %s",
			    model__object_text(m, model__object(m, o)).s, type);
		else
			(void)snprintf(
			    t.s, sizeof(t.s), "%.60s under %s", at.s, type);
		break;
	default:
		(void)snprintf(t.s, sizeof(t.s), "%s",
		    c->type != TRACE_NOREG ? type : at.s);
		break;
	}
	return (t);
}

void
model__wrong_panic(
    struct model *m, const struct mthread *th, const struct call *c)
{
	const char *clause = "G-3";

	if (c->code == TRACE_OP_OBJCACHE_DESTROY)
		clause = "OC-10";
	else if (c->code == TRACE_OP_MPIPE_DONE)
		clause = "MP-9";
	if (trace_ops[c->code].group == TRACE_G_ZN)
		clause = model__zn_clause(th, c->why);
	else if (c->code == TRACE_OP_OBJCACHE_PUT &&
	    c->why != MODEL_WHY_SLEEP) /* it takes no memory */
		clause = "OC-9";
	else if (c->why == MODEL_WHY_LIMIT)
		clause = "KM-6";
	else if (c->why == MODEL_WHY_OVERFLOW)
		clause = "KM-15";
	else if (c->why == MODEL_WHY_SLEEP)
		clause = "G-4";
	else if (c->why == MODEL_WHY_BUSY &&
	    (c->code == TRACE_OP_MALLOC_UNINIT ||
		c->code == TRACE_OP_KMALLOC_DESTROY))
		clause = "KM-17";
	model__fail(m, th, clause, model__why_name((unsigned)c->why));
	model__expected(
	    m, "no panic, the call is legal: %s", call_text(m, th, c).s);
	model__found(m, "panic %s", model__why_name((unsigned)c->why));
}

void
model__misuse_return(struct model *m, struct mthread *th, const struct call *c)
{
	char text[100];

	if ((th->expect & WHY(NONE)) != 0 && !th->misuse) {
		model__wrong_panic(m, th, c);
		return;
	}
	if ((th->expect >> (unsigned)c->why % 32 & 1) != 0 && c->why != 0) {
		m->counts.panics++;
		return;
	}
	expect_text(th, text, sizeof(text));
	model__fail(
	    m, th, clause_of(th), c->why == 0 ? "undetected" : "wrong-panic");
	model__expected(m, "%s: %.90s", text, call_text(m, th, c).s);
	if (c->why == 0)
		model__found(m, "a normal return");
	else
		model__found(m, "panic %s", model__why_name((unsigned)c->why));
}

const struct finding *
model_finding(const struct model *m)
{
	return (m->has_finding ? &m->finding : NULL);
}

void
model_report(struct model *m, const char *clause, const char *operation,
    const char *expected, const char *found)
{
	static const char invariant[] = "invariant ";
	const char *state = "reported";

	if (!m->judging)
		return;
	/* Two invariants of one audit are two things. */
	if (strncmp(expected, invariant, strlen(invariant)) == 0)
		state = expected + strlen(invariant);
	fail_named(m, NULL, clause, operation, state);
	model__expected(m, "%s", expected);
	model__found(m, "%s", found);
}
