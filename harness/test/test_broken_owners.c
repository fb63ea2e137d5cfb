/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The laboratory sees, second part: objcaches, mpipes and zones that are
 * broken in one way each, and a trace on which that must be reported, under
 * exactly the clause that it breaks. The same traces are clean on the healthy
 * subject.
 *
 * A broken subject is libkalloc behind functions that spoil a result, leave a
 * call out, or stand between the library and the callbacks that it is given.
 */
#include "broken_test.h"
#include "no_order_test.h"

static struct subject_config given; /* what the run gave to the subject */

/* ---- Calls ------------------------------------------------------------- */

/* Says that it was done, and does nothing. */
static void
pretend(struct call *c, enum trace_opcode code, uint64_t ret)
{
	if (c->code == code)
		c->ret = ret;
	else
		healthy->exec(c);
}

static void
null_from(struct call *c, enum trace_opcode code)
{
	pretend(c, code, 0);
}

static void
forgive(struct call *c, enum why why)
{
	healthy->exec(c);
	if (c->why == (int)why)
		c->why = 0;
}

static bool
takes(const struct call *c)
{
	return (c->code == TRACE_OP_OBJCACHE_GET ||
	    c->code == TRACE_OP_MPIPE_ALLOC_NOWAIT ||
	    c->code == TRACE_OP_UMA_ZALLOC || c->code == TRACE_OP_ZALLOC);
}

/* ---- Breakages of any of them ------------------------------------------ */

static void
held_again(struct call *c)
{
	healthy->exec(c);
	if (!takes(c))
		return;
	if (seen++ == 0)
		first_addr = c->ret;
	else
		c->ret = first_addr;
}

static void
changes_kept_contents(struct call *c)
{
	healthy->exec(c);
	if (takes(c) && seen++ != 0)
		((char *)c->ret)[9] ^= 4;
}

static void
silent_double_free(struct call *c)
{
	forgive(c, WHY_DOUBLE_FREE);
}

static void
wrong_reason(struct call *c)
{
	healthy->exec(c);
	if (c->why == WHY_WRONG_ZONE)
		c->why = WHY_FOREIGN;
}

static void
ends_what_is_held(struct call *c)
{
	forgive(c, WHY_BUSY);
}

static bool
one_more_used(enum trace_class class, uint32_t handle, struct owner_stats *s)
{
	bool got = healthy->owner_stats(class, handle, s);

	s->used++;
	return (got);
}

static bool
one_more_request(enum trace_class class, uint32_t handle, struct owner_stats *s)
{
	bool got = healthy->owner_stats(class, handle, s);

	s->requests++;
	return (got);
}

/* ---- objcache ---------------------------------------------------------- */

static void
null_below_limit(struct call *c)
{
	null_from(c, TRACE_OP_OBJCACHE_GET);
}

static void
ignores_cache_limit(struct call *c)
{
	struct call raise = *c;

	if (c->code == TRACE_OP_OBJCACHE_GET) {
		raise.code = TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT;
		raise.n[0] = 1000;
		healthy->exec(&raise);
	}
	healthy->exec(c);
}

static void
accepts_zero(struct call *c)
{
	struct call other = *c;

	if (c->code == TRACE_OP_OBJCACHE_GET)
		other.flags &= ~(uint32_t)M_ZERO;
	exec_instead(c, other);
}

static void
put_accepts_null(struct call *c)
{
	forgive(c, WHY_NULL_FREE);
}

static void
put_locks(struct call *c)
{
	if (c->code == TRACE_OP_OBJCACHE_PUT) {
		ka_mutex_lock(&mutex[0]);
		ka_mutex_unlock(&mutex[0]);
	}
	healthy->exec(c);
}

static void
put_sleeps(struct call *c)
{
	sleep_in(c, TRACE_OP_OBJCACHE_PUT);
}

static void
reclaims_in_secret(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_OBJCACHE_RECLAIMLIST)
		c->ret = 0;
}

static void
caches_instead_of_destroying(struct call *c)
{
	struct call other = *c;

	if (c->code == TRACE_OP_OBJCACHE_DTOR)
		other.code = TRACE_OP_OBJCACHE_PUT;
	exec_instead(c, other);
}

static void
get_waits_for_nothing(struct call *c)
{
	sleep_in(c, TRACE_OP_OBJCACHE_GET);
}

static bool
loses_quota(enum trace_class class, uint32_t handle, struct owner_stats *s)
{
	bool got = healthy->owner_stats(class, handle, s);

	s->quota--;
	return (got);
}

/* ---- mpipe ------------------------------------------------------------- */

static void
nowait_gives_null(struct call *c)
{
	null_from(c, TRACE_OP_MPIPE_ALLOC_NOWAIT);
}

static void
never_grows(struct call *c)
{
	if (c->code == TRACE_OP_MPIPE_ALLOC_NOWAIT && seen++ != 0)
		c->ret = 0;
	else
		healthy->exec(c);
}

static void
waitok_gives_null(struct call *c)
{
	null_from(c, TRACE_OP_MPIPE_ALLOC_WAITOK);
}

static void
waitok_waits_for_nothing(struct call *c)
{
	sleep_in(c, TRACE_OP_MPIPE_ALLOC_WAITOK);
}

static void
nowait_sleeps(struct call *c)
{
	sleep_in(c, TRACE_OP_MPIPE_ALLOC_NOWAIT);
}

static void
ignores_pipe_maximum(struct call *c)
{
	struct call other = *c;

	if (c->code == TRACE_OP_MPIPE_INIT)
		other.n[1] = -1;
	exec_instead(c, other);
}

static void
leaves_buffer_dirty(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_MPIPE_ALLOC_NOWAIT)
		((char *)c->ret)[c->size] = 1;
}

static void
callback_without_flag(struct call *c)
{
	forgive(c, WHY_BAD_FLAGS);
}

static void
stays_in_secret(struct call *c)
{
	struct call other = *c;

	if (c->code == TRACE_OP_MPIPE_INIT)
		other.flags &= ~(uint32_t)MPF_INT;
	exec_instead(c, other);
}

/* ---- zones ------------------------------------------------------------- */

static void
zalloc_gives_null(struct call *c)
{
	null_from(c, TRACE_OP_UMA_ZALLOC);
}

static void
first_contents_not_zero(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_UMA_ZALLOC)
		((char *)c->ret)[40] = 1;
}

static void
sets_no_maximum(struct call *c)
{
	pretend(c, TRACE_OP_UMA_ZONE_SET_MAX, (uint64_t)c->n[0]);
}

static void
lowers_no_maximum(struct call *c)
{
	if (c->code == TRACE_OP_UMA_ZONE_SET_MAX && seen++ != 0)
		c->ret = (uint64_t)c->n[0];
	else
		healthy->exec(c);
}

static void
rounds_maximum(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_UMA_ZONE_SET_MAX)
		c->ret += 3;
}

static void
lies_about_maximum(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_UMA_ZONE_GET_MAX)
		c->ret++;
}

static void
lies_about_use(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_UMA_ZONE_GET_CUR)
		c->ret++;
}

static void
waits_below_maximum(struct call *c)
{
	sleep_in(c, TRACE_OP_UMA_ZALLOC);
}

static void
misaligns_items(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_UMA_ZALLOC)
		c->ret += 8;
}

static void
preallocates_nothing(struct call *c)
{
	pretend(c, TRACE_OP_UMA_PREALLOC, 0);
}

static void
reserves_nothing(struct call *c)
{
	pretend(c, TRACE_OP_UMA_ZONE_RESERVE, 0);
}

static void
reclaims_nothing(struct call *c)
{
	pretend(c, TRACE_OP_UMA_ZONE_RECLAIM, 0);
}

static void
accepts_interior(struct call *c)
{
	forgive(c, WHY_INTERIOR);
}

static void
writes_on_free_item(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_UMA_ZFREE)
		((uint64_t *)c->addr)[0] = 0x12342378;
}

static void
frees_nothing(struct call *c)
{
	pretend(c, TRACE_OP_UMA_ZFREE, 0);
}

static void
not_what_was_imported(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_UMA_ZALLOC)
		c->ret += 4096;
}

static void
boot_zone_gives_null(struct call *c)
{
	null_from(c, TRACE_OP_ZALLOC);
}

static void
null_instead_of_panic(struct call *c)
{
	forgive(c, WHY_LIMIT);
}

static void
ignores_nentries(struct call *c)
{
	struct call other = *c;

	if (c->code == TRACE_OP_ZINIT)
		other.n[0] += 100;
	exec_instead(c, other);
}

static void
completes_nothing(struct call *c)
{
	pretend(c, TRACE_OP_ZINITNA, 1);
}

static bool
more_items_a_slab(
    enum trace_class class, uint32_t handle, struct owner_stats *s)
{
	bool got = healthy->owner_stats(class, handle, s);

	s->ipers = s->ppera * 4096 / s->rsize + 1;
	return (got);
}

/* ---- Callbacks --------------------------------------------------------- */

static const struct callback *kept_back; /* of which the run is not told */
static const struct callback *overruled; /* told, but not the library */

static bool
pass(struct callback *cb)
{
	return (given.callback(given.arg, cb));
}

static bool
keep_back(struct callback *cb, enum trace_hook hook)
{
	if (cb->hook != hook)
		return (pass(cb));
	kept_back = cb;
	return (true);
}

static bool
no_ctor(struct callback *cb)
{
	return (keep_back(cb, TRACE_HOOK_CTOR));
}

static bool
no_dtor(struct callback *cb)
{
	return (keep_back(cb, TRACE_HOOK_DTOR));
}

static bool
no_init(struct callback *cb)
{
	return (keep_back(cb, TRACE_HOOK_INIT));
}

static bool
no_fini(struct callback *cb)
{
	return (keep_back(cb, TRACE_HOOK_FINI));
}

static bool
no_callback(struct callback *cb)
{
	seen++;
	return (keep_back(cb, TRACE_HOOK_CALLBACK));
}

/* What was not called is pending, it says. */
static bool
still_pending(enum trace_class class, uint32_t handle, struct owner_stats *s)
{
	bool got = healthy->owner_stats(class, handle, s);

	s->pending += seen;
	return (got);
}

static bool
twice(struct callback *cb, enum trace_hook hook)
{
	struct callback again = *cb;

	if (cb->hook == hook) {
		(void)pass(&again);
		again.ret = 1;
		given.callback_done(given.arg, &again);
	}
	return (pass(cb));
}

static bool
two_ctors(struct callback *cb)
{
	return (twice(cb, TRACE_HOOK_CTOR));
}

static bool
two_callbacks(struct callback *cb)
{
	return (twice(cb, TRACE_HOOK_CALLBACK));
}

static bool
locked_callback(struct callback *cb)
{
	bool go;

	ka_mutex_lock(&mutex[1]);
	go = pass(cb);
	ka_mutex_unlock(&mutex[1]);
	return (go);
}

static bool
callback_in_section(struct callback *cb)
{
	struct ka_cpu *cpu = ka_section_enter();
	bool go = pass(cb);

	ka_section_exit(cpu);
	return (go);
}

static bool
loses_argument(struct callback *cb)
{
	cb->udata = 0;
	return (pass(cb));
}

static bool
goes_on_when_refused(struct callback *cb)
{
	if (!pass(cb))
		overruled = cb;
	return (true);
}

static bool
dirty_before_ctor(struct callback *cb)
{
	if (cb->hook == TRACE_HOOK_CTOR)
		((char *)cb->addr)[5] = 1;
	return (pass(cb));
}

static void
takes_a_page(struct call *c)
{
	struct call other = *c;

	healthy->exec(c);
	if (c->code != TRACE_OP_UMA_ZALLOC)
		return;
	other.code = TRACE_OP_VM_PAGE_ALLOC;
	other.num = 1;
	other.align = 0;
	other.flags = VM_ALLOC_NORMAL | VM_ALLOC_ZERO;
	healthy->exec(&other);
}

static void
waits_for_static(struct call *c)
{
	if (c->code == TRACE_OP_UMA_ZALLOC && (c->flags & M_WAITOK) != 0)
		sleep_for_ever();
	healthy->exec(c);
}

static void
takes_source_late(struct call *c)
{
	if (c->code != TRACE_OP_UMA_ZONE_SET_SOURCE)
		healthy->exec(c);
}

/* ---- The table --------------------------------------------------------- */

#define TYPE  HEAD "0 m0 = kmalloc_create \"t\"\n"
#define CACHE TYPE "0 c0 = objcache_create \"c\" m0 64 4 0 ctor|dtor\n"
#define GET1  "0 p0 = objcache_get c0 NOWAIT\n"
#define GET2  GET1 "0 p1 = objcache_get c0 NOWAIT\n"
#define GETS4                                                                  \
	GET2 "0 p2 = objcache_get c0 NOWAIT\n0 p3 = objcache_get c0 NOWAIT\n"
#define PUT1	"0 objcache_put c0 p0\n"
#define PIPE1	TYPE "0 q0 = mpipe_init m0 64 1 2 CACHEDATA ctor|dtor\n"
#define PIPEC	TYPE "0 q0 = mpipe_init m0 64 1 1 CALLBACK 0\n"
#define NOW1	"0 p0 = mpipe_alloc_nowait q0\n"
#define NOW2	NOW1 "0 p1 = mpipe_alloc_nowait q0\n"
#define ZONE	HEAD "0 z0 = uma_zcreate \"z\" 64 7 0 0\n"
#define ZONEC	HEAD "0 z0 = uma_zcreate \"z\" 64 7 ctor|dtor 0\n"
#define ZONEI	HEAD "0 z0 = uma_zcreate \"z\" 2048 7 init|fini 0\n"
#define OVER	ZONE "0 c0 = objcache_create_zone \"c\" z0 8 0 ctor|dtor\n"
#define STATICS HEAD "0 z0 = uma_zcreate_static \"z\" 64 7 0 0 2\n"
#define ZA1	"0 p0 = uma_zalloc z0 NOWAIT\n"
#define ZA2	ZA1 "0 p1 = uma_zalloc z0 NOWAIT\n"
#define ZF1	"0 uma_zfree z0 p0\n"

static const struct breakage objcaches[] = {
	{ .name = "constructs with a lock held",
	    .clause = "G-9",
	    .callback = locked_callback,
	    .trace = CACHE GET1 },
	{ .name = "constructs in a section",
	    .clause = "G-9",
	    .callback = callback_in_section,
	    .trace = CACHE GET1 },
	{ .name = "returns what is held",
	    .clause = "G-2",
	    .exec = held_again,
	    .trace = CACHE GET2 },
	{ .name = "changes what it caches",
	    .clause = "OC-4",
	    .exec = changes_kept_contents,
	    .trace = CACHE GET1 PUT1 GET1 },
	{ .name = "NULL below the limit",
	    .clause = "OC-6",
	    .exec = null_below_limit,
	    .trace = CACHE GET1 },
	{ .name = "ignores the limit",
	    .clause = "OC-6",
	    .exec = ignores_cache_limit,
	    .trace = CACHE GETS4
	    "0 p4 = objcache_get c0 NOWAIT\n0 p5 = objcache_get c0 NOWAIT\n"
	    "0 p6 = objcache_get c0 NOWAIT\n0 p7 = objcache_get c0 NOWAIT\n"
	    "0 p8 = objcache_get c0 NOWAIT\n0 p9 = objcache_get c0 NOWAIT\n"
	    "0 p10 = objcache_get c0 NOWAIT\n0 p11 = objcache_get c0 NOWAIT\n"
	    "0 p12 = objcache_get c0 NOWAIT\n0 p13 = objcache_get c0 NOWAIT\n"
	    "0 p14 = objcache_get c0 NOWAIT\n0 p15 = objcache_get c0 NOWAIT\n"
	    "0 p16 = objcache_get c0 NOWAIT\n0 p17 = objcache_get c0 NOWAIT\n"
	    "0 p18 = objcache_get c0 NOWAIT\n0 p19 = objcache_get c0 NOWAIT\n"
	    "0 p20 = objcache_get c0 NOWAIT\n" },
	{ .name = "accepts M_ZERO",
	    .clause = "OC-5",
	    .exec = accepts_zero,
	    .trace = CACHE GET1 PUT1 "0 p0 = objcache_get c0 NOWAIT|ZERO\n" },
	{ .name = "accepts a put of NULL",
	    .clause = "OC-12",
	    .exec = put_accepts_null,
	    .trace = CACHE "0 objcache_put c0 null\n" },
	{ .name = "takes a lock in a put",
	    .clause = "OC-2",
	    .signature = "objcache/OC-2/objcache_put/shared",
	    .exec = put_locks,
	    .trace = CACHE GET1 PUT1 GET1 PUT1 },
	{ .name = "sleeps in a put",
	    .clause = "G-4",
	    .exec = put_sleeps,
	    .trace = CACHE GET1 PUT1 },
	{ .name = "sleeps below the limit",
	    .clause = "OC-8",
	    .exec = get_waits_for_nothing,
	    .trace = CACHE "0 p0 = objcache_get c0 WAITOK\n" },
	{ .name = "ends a cache of which objects are held",
	    .clause = "OC-10",
	    .exec = ends_what_is_held,
	    .trace = CACHE GET1 "0 objcache_destroy c0\n" },
	{ .name = "caches what is to be destroyed",
	    .clause = "OC-10",
	    .exec = caches_instead_of_destroying,
	    .trace = CACHE GET1 "0 objcache_dtor c0 p0\n" },
	{ .name = "tells of nothing that it reclaims",
	    .clause = "OC-11",
	    .exec = reclaims_in_secret,
	    .trace =
		CACHE GET1 PUT1 "0 objcache_reclaimlist c0 null WAITOK\n" },
	{ .name = "constructs nothing",
	    .clause = "OC-3",
	    .callback = no_ctor,
	    .trace = CACHE GET1 },
	{ .name = "constructs twice",
	    .clause = "OC-3",
	    .callback = two_ctors,
	    .trace = CACHE GET1 },
	{ .name = "frees without destructor",
	    .clause = "OC-3",
	    .callback = no_dtor,
	    .trace = CACHE GET1 "0 objcache_dtor c0 p0\n" },
	{ .name = "returns what was refused",
	    .clause = "OC-5",
	    .callback = goes_on_when_refused,
	    .trace = CACHE "0 objcache_hook c0 ctor refuse 1 1\n" GET1 },
	{ .name = "gives its zone nothing back",
	    .clause = "ZN-17",
	    .exec = frees_nothing,
	    .trace = OVER GET1 "0 objcache_dtor c0 p0\n0 quiesce\n" },
	{ .name = "writes on what its zone has again",
	    .clause = "ZN-1",
	    .exec = writes_on_free_item,
	    .trace = OVER GET1 "0 objcache_dtor c0 p0\n" ZA1 },
	{ .name = "changes the items that it caches",
	    .clause = "OC-4",
	    .exec = changes_kept_contents,
	    .trace = OVER GET1 PUT1 GET1 },
	{ .name = "is refused by a zone that has items",
	    .clause = "ZN-6",
	    .exec = zalloc_gives_null,
	    .trace = OVER "0 uma_zone_set_max z0 4\n" GET1 },
	{ .name = "sleeps in a zone that has items",
	    .clause = "ZN-7",
	    .exec = waits_below_maximum,
	    .trace = OVER "0 p0 = objcache_get c0 WAITOK\n" },
	{ .name = "asks its zone with a lock held",
	    .clause = "G-9",
	    .callback = locked_callback,
	    .trace = OVER GET1 },
	{ .name = "loses quota",
	    .clause = "OC-7",
	    .owner_stats = loses_quota,
	    .trace = CACHE GET1 "0 quiesce\n" },
	{ .name = "miscounts objects",
	    .clause = "G-7",
	    .owner_stats = one_more_used,
	    .trace = CACHE GET1 "0 quiesce\n" },
};

static const struct breakage mpipes[] = {
	{ .name = "constructs with a lock held",
	    .clause = "G-9",
	    .callback = locked_callback,
	    .trace = PIPE1 },
	{ .name = "calls back with a lock held",
	    .clause = "G-9",
	    .callback = locked_callback,
	    .trace = PIPEC NOW1 "0 p1 = mpipe_alloc_callback q0\n"
				"0 mpipe_free q0 p0\n" },
	{ .name = "returns what is held",
	    .clause = "G-2",
	    .exec = held_again,
	    .trace = PIPE1 NOW2 },
	{ .name = "changes what it keeps",
	    .clause = "MP-5",
	    .exec = changes_kept_contents,
	    .trace = PIPE1 NOW1 "0 mpipe_free q0 p0\n" NOW1 },
	{ .name = "gives what is not zero",
	    .clause = "MP-5",
	    .exec = leaves_buffer_dirty,
	    .trace = TYPE "0 q0 = mpipe_init m0 64 1 1 0 0\n" NOW1 },
	{ .name = "NULL for a guaranteed buffer",
	    .clause = "MP-1",
	    .exec = nowait_gives_null,
	    .trace = PIPE1 NOW1 },
	{ .name = "never grows",
	    .clause = "MP-2",
	    .exec = never_grows,
	    .trace = PIPE1 NOW2 },
	{ .name = "ignores its maximum",
	    .clause = "MP-2",
	    .exec = ignores_pipe_maximum,
	    .trace = TYPE "0 q0 = mpipe_init m0 64 1 1 CACHEDATA 0\n" NOW2 },
	{ .name = "NULL to who may wait",
	    .clause = "MP-3",
	    .exec = waitok_gives_null,
	    .trace = PIPE1 "0 p0 = mpipe_alloc_waitok q0\n" },
	{ .name = "sleeps while a buffer is free",
	    .clause = "MP-1",
	    .exec = waitok_waits_for_nothing,
	    .trace = PIPE1 "0 p0 = mpipe_alloc_waitok q0\n" },
	{ .name = "sleeps where nobody may",
	    .clause = "G-4",
	    .exec = nowait_sleeps,
	    .trace = PIPE1 NOW1 },
	{ .name = "grows without its reserve",
	    .clause = "MP-8",
	    .exec = stays_in_secret,
	    .trace = TYPE "0 q0 = mpipe_init m0 9000 1 2 INT 0\n" NOW2 },
	{ .name = "takes callbacks without thread",
	    .clause = "MP-4",
	    .exec = callback_without_flag,
	    .trace = PIPE1 "0 p0 = mpipe_alloc_callback q0\n" },
	{ .name = "never calls back",
	    .clause = "MP-4",
	    .callback = no_callback,
	    .owner_stats = still_pending,
	    .trace = PIPEC NOW1 "0 p1 = mpipe_alloc_callback q0\n"
				"0 mpipe_free q0 p0\n0 quiesce\n" },
	{ .name = "calls back twice",
	    .clause = "MP-4",
	    .callback = two_callbacks,
	    .trace = PIPEC NOW1 "0 p1 = mpipe_alloc_callback q0\n"
				"0 mpipe_free q0 p0\n0 quiesce\n" },
	{ .name = "constructs nothing",
	    .clause = "MP-6",
	    .callback = no_ctor,
	    .trace = PIPE1 NOW1 },
	{ .name = "frees without deconstructor",
	    .clause = "MP-6",
	    .callback = no_dtor,
	    .trace = PIPE1 "0 mpipe_done q0\n" },
	{ .name = "silent double free",
	    .clause = "MP-7",
	    .exec = silent_double_free,
	    .trace = PIPE1 NOW1 "0 mpipe_free q0 p0\n0 mpipe_free q0 p0\n" },
	{ .name = "ends a pipe of which buffers are held",
	    .clause = "MP-9",
	    .exec = ends_what_is_held,
	    .trace = PIPE1 NOW1 "0 mpipe_done q0\n" },
	{ .name = "miscounts requests",
	    .clause = "G-7",
	    .owner_stats = one_more_request,
	    .trace = PIPE1 NOW1 "0 quiesce\n" },
};

static const struct breakage zones[] = {
	{ .name = "constructs with a lock held",
	    .clause = "G-9",
	    .callback = locked_callback,
	    .trace = ZONEC ZA1 },
	{ .name = "initialises in a section",
	    .clause = "G-9",
	    .callback = callback_in_section,
	    .trace = ZONEI ZA1 },
	{ .name = "returns what is held",
	    .clause = "G-2",
	    .exec = held_again,
	    .trace = ZONE ZA2 },
	{ .name = "changes what it caches",
	    .clause = "ZN-1",
	    .exec = changes_kept_contents,
	    .trace = ZONE ZA1 ZF1 ZA1 },
	{ .name = "first contents are not zero",
	    .clause = "ZN-1",
	    .exec = first_contents_not_zero,
	    .trace = ZONE ZA1 },
	{ .name = "constructs nothing",
	    .clause = "ZN-2",
	    .callback = no_ctor,
	    .trace = ZONEC ZA1 },
	{ .name = "destroys nothing",
	    .clause = "ZN-2",
	    .callback = no_dtor,
	    .trace = ZONEC ZA1 ZF1 },
	{ .name = "loses the argument",
	    .clause = "ZN-2",
	    .callback = loses_argument,
	    .trace = ZONEC "0 p0 = uma_zalloc_arg z0 NOWAIT 17\n" },
	{ .name = "initialises nothing",
	    .clause = "ZN-3",
	    .callback = no_init,
	    .trace = ZONEI ZA1 },
	{ .name = "finalises nothing",
	    .clause = "ZN-3",
	    .callback = no_fini,
	    .trace = ZONEI ZA1 ZF1 "0 uma_zone_reclaim z0 drain_cpu\n" },
	{ .name = "NULL without a cause",
	    .clause = "ZN-4",
	    .exec = zalloc_gives_null,
	    .trace = ZONE ZA1 },
	{ .name = "NULL below the maximum",
	    .clause = "ZN-6",
	    .exec = zalloc_gives_null,
	    .trace = ZONE "0 uma_zone_set_max z0 40\n" ZA1 },
	{ .name = "NULL to who may wait",
	    .clause = "ZN-4",
	    .exec = zalloc_gives_null,
	    .trace = ZONE "0 p0 = uma_zalloc z0 WAITOK\n" },
	{ .name = "sets no maximum",
	    .clause = "ZN-5",
	    .exec = sets_no_maximum,
	    .trace = ZONE "0 uma_zone_set_max z0 4\n" ZA2
			  "0 p2 = uma_zalloc z0 NOWAIT\n"
			  "0 p3 = uma_zalloc z0 NOWAIT\n"
			  "0 p4 = uma_zalloc z0 NOWAIT\n" },
	{ .name = "rounds the maximum",
	    .clause = "ZN-5",
	    .exec = rounds_maximum,
	    .trace = ZONE "0 uma_zone_set_max z0 5\n" },
	{ .name = "lowers no maximum",
	    .clause = "ZN-8",
	    .exec = lowers_no_maximum,
	    .trace =
		ZONE "0 uma_zone_set_max z0 3\n" ZA1 "0 uma_zone_set_max z0 1\n"
		     "0 p1 = uma_zalloc z0 NOWAIT\n" },
	{ .name = "sleeps below the maximum",
	    .clause = "ZN-7",
	    .exec = waits_below_maximum,
	    .trace = ZONE "0 uma_zone_set_max z0 5\n"
			  "0 p0 = uma_zalloc z0 WAITOK\n" },
	{ .name = "dirty before the constructor",
	    .clause = "ZN-9",
	    .callback = dirty_before_ctor,
	    .trace = ZONEC "0 p0 = uma_zalloc z0 NOWAIT|ZERO\n" },
	{ .name = "returns what was refused",
	    .clause = "ZN-10",
	    .callback = goes_on_when_refused,
	    .trace = ZONEC "0 uma_hook z0 ctor refuse 1 1\n" ZA1 },
	{ .name = "ends a zone of which items are held",
	    .clause = "ZN-11",
	    .exec = ends_what_is_held,
	    .trace = ZONE ZA1 "0 uma_zdestroy z0\n" },
	{ .name = "silent double free",
	    .clause = "ZN-12",
	    .exec = silent_double_free,
	    .trace = ZONE ZA1 ZF1 ZF1 },
	{ .name = "accepts interior pointers",
	    .clause = "ZN-12",
	    .exec = accepts_interior,
	    .trace = ZONE ZA1 "0 uma_zfree_interior z0 p0 8\n" },
	{ .name = "wrong reason",
	    .clause = "ZN-12",
	    .exec = wrong_reason,
	    .trace = ZONE "0 z1 = uma_zcreate \"y\" 64 7 0 0\n" ZA1
			  "0 uma_zfree z1 p0\n" },
	{ .name = "misaligns",
	    .clause = "ZN-13",
	    .exec = misaligns_items,
	    .trace = HEAD "0 z0 = uma_zcreate \"z\" 64 63 0 0\n" ZA1 },
	{ .name = "preallocates nothing",
	    .clause = "ZN-14",
	    .exec = preallocates_nothing,
	    .trace = ZONE "0 uma_prealloc z0 10\n" },
	{ .name = "reserves nothing",
	    .clause = "ZN-14",
	    .exec = reserves_nothing,
	    .trace = HEAD "0 z0 = uma_zcreate \"z\" 4096 4095 0 0\n"
			  "0 uma_zone_reserve z0 1\n"
			  "0 p0 = uma_zalloc z0 RNOWAIT\n" },
	{ .name = "reclaims nothing",
	    .clause = "ZN-14",
	    .exec = reclaims_nothing,
	    .trace = ZONE ZA1 ZF1 "0 uma_zone_reclaim z0 drain_cpu\n" },
	{ .name = "another pointer than was imported",
	    .clause = "ZN-15",
	    .exec = not_what_was_imported,
	    .trace = HEAD "0 z0 = uma_zcache_create \"z\" 64 4 0 0\n" ZA1 },
	{ .name = "lies about its maximum",
	    .clause = "ZN-16",
	    .exec = lies_about_maximum,
	    .trace = ZONE "0 uma_zone_set_max z0 5\n"
			  "0 uma_zone_get_max z0\n" },
	{ .name = "lies about what is held",
	    .clause = "ZN-16",
	    .exec = lies_about_use,
	    .trace = ZONE ZA1 "0 uma_zone_get_cur z0\n" },
	{ .name = "miscounts items",
	    .clause = "ZN-17",
	    .owner_stats = one_more_used,
	    .trace = ZONE ZA1 "0 quiesce\n" },
	{ .name = "puts more items into a slab than fit",
	    .clause = "ZN-17",
	    .owner_stats = more_items_a_slab,
	    .trace = ZONE },
	{ .name = "writes on free items",
	    .clause = "ZN-33",
	    .exec = writes_on_free_item,
	    .trace = ZONE ZA2 ZF1 },
	{ .name = "NULL with static items left",
	    .clause = "ZN-30",
	    .exec = boot_zone_gives_null,
	    .trace = HEAD "0 b0 = zbootinit \"b\" 64 4\n0 p0 = zalloc b0\n" },
	{ .name = "NULL with static items left",
	    .clause = "ZN-30",
	    .exec = zalloc_gives_null,
	    .trace = STATICS "0 p0 = uma_zalloc z0 WAITOK\n" },
	{ .name = "gives more than its static items",
	    .clause = "G-2",
	    .exec = held_again,
	    .trace = STATICS ZA2 },
	{ .name = "takes pages beside static memory",
	    .clause = "ZN-30",
	    .exec = takes_a_page,
	    .trace = STATICS ZA1 },
	{ .name = "sleeps for a static item",
	    .clause = "G-4",
	    .exec = waits_for_static,
	    .trace = STATICS ZA2 "0 p2 = uma_zalloc z0 WAITOK\n" },
	{ .name = "refuses who could wait for a static item at the maximum",
	    .clause = "ZN-30",
	    .exec = zalloc_gives_null,
	    .trace = STATICS "0 uma_zone_set_max z0 1\n"
			     "0 p0 = uma_zalloc z0 WAITOK\n" },
	{ .name = "ignores the maximum of static items",
	    .clause = "ZN-5",
	    .exec = sets_no_maximum,
	    .trace = STATICS "0 uma_zone_set_max z0 1\n" ZA2 },
	{ .name = "sleeps below the maximum of static items",
	    .clause = "ZN-7",
	    .exec = waits_below_maximum,
	    .trace = STATICS "0 uma_zone_set_max z0 2\n"
			     "0 p0 = uma_zalloc z0 WAITOK\n" },
	{ .name = "refuses who waits, and its source did not",
	    .clause = "ZN-4",
	    .exec = zalloc_gives_null,
	    .trace = ZONE "0 uma_zone_set_source z0\n"
			  "0 p0 = uma_zalloc z0 WAITOK\n" },
	{ .name = "keeps its source's slabs",
	    .clause = "ZN-14",
	    .exec = reclaims_nothing,
	    .trace = ZONE "0 uma_zone_set_source z0\n" ZA1 ZF1
			  "0 uma_zone_reclaim z0 drain_cpu\n" },
	{ .name = "takes a source too late",
	    .clause = "G-3",
	    .exec = takes_source_late,
	    .trace = ZONE ZA1 "0 uma_zone_set_source z0\n" },
	{ .name = "does not grow once complete",
	    .clause = "ZN-31",
	    .exec = completes_nothing,
	    .trace = HEAD "0 b0 = zbootinit \"b\" 64 1\n"
			  "0 zinitna b0 \"b\" 0 0\n"
			  "0 p0 = zalloc b0\n0 p1 = zalloc b0\n" },
	{ .name = "NULL instead of a panic",
	    .clause = "ZN-32",
	    .exec = null_instead_of_panic,
	    .trace = HEAD "0 b0 = zinit \"b\" 64 1 INTERRUPT|PANICFAIL\n"
			  "0 p0 = zalloc b0\n0 p1 = zalloc b0\n" },
	{ .name = "ignores nentries",
	    .clause = "ZN-32",
	    .exec = ignores_nentries,
	    .trace = HEAD "0 b0 = zinit \"b\" 64 1 INTERRUPT\n"
			  "0 p0 = zalloc b0\n0 p1 = zalloc b0\n" },
};

/* ---- The test ---------------------------------------------------------- */

static const struct breakage *broken_by;

static bool
on_callback(void *arg, struct callback *cb)
{
	(void)arg;
	kept_back = overruled = NULL;
	return (broken_by->callback(cb));
}

static void
on_callback_done(void *arg, struct callback *cb)
{
	if (cb == overruled)
		cb->ret = 0;
	if (cb != kept_back)
		given.callback_done(arg, cb);
}

static int
boot(const struct subject_config *config)
{
	struct subject_config c = *config;

	given = *config;
	if (broken_by->callback != NULL) {
		c.callback = on_callback;
		c.callback_done = on_callback_done;
	}
	return (healthy->boot(&c));
}

static void
check(const struct breakage *b)
{
	struct subject broken = broken_subject(b);

	broken_by = b;
	broken.boot = boot;
	must_be_reported(b, &broken);
}

#define CHECK_ALL(table)                                                       \
	for (i = 0; i < sizeof(table) / sizeof(*(table)); i++)                 \
	check(&(table)[i])

static void
broken_objcaches_are_reported(void **state)
{
	size_t i;

	(void)state;
	CHECK_ALL(objcaches);
}

static void
broken_mpipes_are_reported(void **state)
{
	size_t i;

	(void)state;
	CHECK_ALL(mpipes);
}

static void
broken_zones_are_reported(void **state)
{
	size_t i;

	(void)state;
	CHECK_ALL(zones);
}

/* ---- Orders ------------------------------------------------------------ */

static const struct breakage no_order = { .name = "takes effect and again not",
	.clause = "MP-1",
	.exec = takes_effect_and_again_not,
	.owner_stats = counts_its_refusal,
	.trace = TYPE NO_ORDER };

static void
what_has_no_order_is_reported(void **state)
{
	struct subject broken = broken_subject(&no_order);
	struct run_result r;

	(void)state;
	/* With commit points it needs no search: the call did not ask. */
	replay(&broken, no_order.trace, &r);
	assert_int_equal(r.status, RUN_FINDING);
	assert_string_equal(r.finding.clause, "MP-2");
	broken.caps &= ~(unsigned)SUBJECT_COMMITS;
	replay(&broken, no_order.trace, &r);
	assert_int_equal(r.status, RUN_CLEAN); /* by intervals */
	assert_int_equal(r.windows, 0);
	orders = true;
	must_be_reported(&no_order, &broken);
	replay(healthy, no_order.trace, &r);
	assert_int_equal(r.windows, 6); /* with the last free */
	assert_int_equal(r.windows_long, 0);
	orders = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_objcaches_are_reported),
		cmocka_unit_test(broken_mpipes_are_reported),
		cmocka_unit_test(broken_zones_are_reported),
		cmocka_unit_test(what_has_no_order_is_reported),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
