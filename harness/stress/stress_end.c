/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a run: nothing is in flight. The history is judged, everything is
 * given back, and what the library says of itself is compared with what was
 * done.
 */
#include "stress_int.h"

#include <kalloc/kalloc.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALLBACKS_MS 10000 /* a support thread has so long to be done */

static struct caller *
me(void)
{
	return (&stress.caller[STRESS_CALLER_MAIN]);
}

static void
judge_history(void)
{
	struct history_finding f;
	struct history_event *all;
	size_t i, n = 0;

	for (i = 0; i < STRESS_CALLERS; i++)
		n += stress.caller[i].nevents;
	all = calloc(n + 1, sizeof(*all));
	if (all == NULL)
		abort();
	for (i = 0, n = 0; i < STRESS_CALLERS; i++) {
		const struct caller *w = &stress.caller[i];

		if (w->nevents != 0)
			memcpy(all + n, w->event, w->nevents * sizeof(*all));
		n += w->nevents;
	}
	for (i = 0; i < stress.nowners; i++) {
		struct owner *o = &stress.owner[i];

		stress.howner[i].slack = o->slack;
		stress.howner[i].refuses_freely |= o->lenient;
		if (stress.howner[i].most == 0) /* it was never made */
			stress.howner[i].least = stress.howner[i].most =
			    HISTORY_NO_LIMIT;
	}
	if (!history_check(all, n, stress.howner, stress.nowners, &f)) {
		struct trace_op op = { .line = f.event->line,
			.thread = (uint16_t)f.event->thread };
		int code =
		    trace_op_by_name(f.event->name, strlen(f.event->name));

		op.code = (uint16_t)code;
		stress__fail(code < 0 ? NULL : &op, f.clause,
		    "an order of the calls in which this is allowed", f.found);
	}
	free(all);
}

static void
is(const char *clause, const struct owner *o, const char *what, uint64_t want,
    uint64_t got)
{
	char expected[96], found[32];

	if (want == got)
		return;
	(void)snprintf(expected, sizeof(expected),
	    "%s of %c%" PRIu32 ": %" PRIu64, what, trace_class_letter(o->class),
	    o->reg, want);
	(void)snprintf(found, sizeof(found), "%" PRIu64, got);
	stress__fail(NULL, clause, expected, found);
}

static void
check_owner(struct owner *o)
{
	struct owner_stats st;

	if (o->class == TRACE_TYPE)
		return;
	if (!stress.subject->owner_stats(o->class, o->reg, &st))
		return;
	is("G-7", o, "what is held", o->held, st.used);
	if (o->class == TRACE_CACHE && st.limit != 0)
		is("OC-7", o, "quota, held and cached",
		    (uint64_t)st.quota_total,
		    (uint64_t)st.quota + st.used + st.cached);
	if (o->class == TRACE_PIPE && st.total > st.nmax)
		is("MP-2", o, "buffers", st.nmax, st.total);
	if (o->class == TRACE_ZONE && st.limit != 0 && !o->lowered &&
	    st.used + st.cached > st.limit)
		is("ZN-5", o, "held and cached", st.limit, st.used + st.cached);
	if ((o->hooks >> TRACE_HOOK_CTOR & 1) != 0 &&
	    (o->hooks >> TRACE_HOOK_DTOR & 1) != 0 && o->class == TRACE_ZONE)
		is("ZN-2", o, "constructors less destructors", o->held,
		    (uint64_t)o->constructed);
}

/* No callback of the pipe is under way, nor is one that a buffer is there for. */
static bool
is_calm(const struct owner *o)
{
	struct owner_stats st;

	return (o->answered == o->called &&
	    (o->called == o->asked ||
		!stress.subject->owner_stats(o->class, o->reg, &st) ||
		st.total == st.used));
}

/* Support threads are at rest: they are not among those who have ended. */
static void
wait_calm(void)
{
	uint32_t i, ms;

	for (i = 0; i < stress.nowners && !stress.failed; i++) {
		struct owner *o = &stress.owner[i];

		if (o->class != TRACE_PIPE || !o->alive)
			continue;
		for (ms = 0; !is_calm(o) && ms < CALLBACKS_MS; ms++)
			(void)usleep(1000);
	}
}

/* All buffers are back: whoever asked to be called back is. */
static void
check_callbacks(void)
{
	uint32_t i;

	for (i = 0; i < stress.nowners && !stress.failed; i++)
		is("MP-4", &stress.owner[i], "callbacks", stress.owner[i].asked,
		    stress.owner[i].called);
}

static void
check_owners(void)
{
	uint32_t i;

	for (i = 0; i < stress.nowners && !stress.failed; i++)
		if (stress.owner[i].alive)
			check_owner(&stress.owner[i]);
}

static void
audit(void)
{
	const char *found = "", *id;

	if (stress.failed)
		return;
	id = stress.subject->audit(&found);
	if (id != NULL)
		stress__fail(NULL, id, "structures that are sound", found);
}

/* Objects of kmalloc last: caches and pipes charge its types. */
static void
give_all(void)
{
	size_t i;
	int pass;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < stress.trace.nops && !stress.failed; i++) {
			struct reg *r = &stress.regs[TRACE_OBJ][i];

			if (atomic_load(&r->live) &&
			    (r->owner->class == TRACE_TYPE) == (pass == 1))
				(void)stress__give(
				    me(), r, stress__giver(r->owner->class));
		}
	for (i = 0; i < stress.trace.nops && !stress.failed; i++)
		(void)stress__give(
		    me(), &stress.regs[TRACE_RUN][i], TRACE_OP_VM_PAGE_FREE);
}

void
stress__check_pairs(struct owner *o)
{
	if ((o->hooks >> TRACE_HOOK_DTOR & 1) != 0 &&
	    (o->hooks >> TRACE_HOOK_CTOR & 1) != 0)
		is(o->class == TRACE_CACHE     ? "OC-3" :
			o->class == TRACE_PIPE ? "MP-6" :
						 "ZN-2",
		    o, "constructors less destructors", 0,
		    (uint64_t)o->constructed);
	if ((o->hooks >> TRACE_HOOK_INIT & 1) != 0 &&
	    (o->hooks >> TRACE_HOOK_FINI & 1) != 0)
		is("ZN-3", o, "inits less finis", 0, (uint64_t)o->initialised);
}

static bool
end_owner(struct owner *o)
{
	static const enum trace_opcode end[TRACE_CLASS_COUNT] = {
		[TRACE_CACHE] = TRACE_OP_OBJCACHE_DESTROY,
		[TRACE_PIPE] = TRACE_OP_MPIPE_DONE,
		[TRACE_ZONE] = TRACE_OP_UMA_ZDESTROY,
		[TRACE_VMZONE] = TRACE_OP_ZDESTROY,
	};
	struct call c = { .code = end[o->class],
		.type = TRACE_NOREG,
		.handle = o->reg,
		.handle2 = TRACE_NOREG };

	if (!stress__exec(me(), &c))
		return (false);
	o->alive = false;
	stress__check_pairs(o);
	return (true);
}

/* Secondary zones before their primaries. Zones of zinit without the flag
 * cannot be ended: true if there is none. */
static bool
end_owners(void)
{
	bool none = true;
	uint32_t i;

	for (i = stress.nowners; i-- > 0 && !stress.failed;) {
		struct owner *o = &stress.owner[i];

		if (!o->alive || o->class == TRACE_TYPE)
			continue;
		if (o->class == TRACE_VMZONE)
			none &= (o->flags & ZONE_DESTROYABLE) != 0 &&
			    !o->boot && end_owner(o);
		else if (!end_owner(o))
			stress__fail(NULL, "G-3", "what is not in use ends",
			    trace_class_letter(o->class) == 'z' ? "a zone" :
								  "no zone");
	}
	return (none);
}

static void
check_types(void)
{
	uint32_t i;

	for (i = 0; i < stress.nowners && !stress.failed; i++) {
		struct owner *o = &stress.owner[i];
		struct subject_type_stats s;

		if (o->class != TRACE_TYPE || !o->alive ||
		    !stress.subject->type_stats(o->reg, &s))
			continue;
		is("G-7", o, "objects in use", 0, s.inuse);
		is("G-7", o, "bytes in use", 0, s.memuse);
	}
}

void
stress__end(void)
{
	bool none;

	me()->op = NULL;
	wait_calm();
	judge_history();
	check_owners();
	audit();
	give_all();
	wait_calm();
	check_callbacks();
	check_owners();
	none = end_owners();
	if (stress.failed)
		return;
	stress.subject->trim();
	check_types();
	audit();
	if (none && !stress.failed &&
	    stress.subject->free_pages() != KALLOC_PAGES_MAX / 4)
		stress__fail(NULL, "G-8", "all pages of the budget",
		    "some are still held");
}
