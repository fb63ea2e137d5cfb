/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Canaries of the laboratory's own detectors: for each a fault that it alone
 * can see, and the signature that only its report has. What test_broken.c and
 * test_broken_owners.c have for the clauses of single calls is here for what
 * watches over many: sleepers, locks, threads, what is left. docs/canaries.md
 * has the table of all.
 */
#include "broken_test.h"

#define MAKE HEAD "0 m0 = kmalloc_create \"t\"\n"

/* ---- Sleepers ---------------------------------------------------------- */

/* Pages were short when it began to sleep; nobody tells it that they came. */
static void
sleeps_on(struct call *c)
{
	struct call other = *c;

	if (c->code != TRACE_OP_KMALLOC || c->thread != 1) {
		healthy->exec(c);
		return;
	}
	other.flags = M_NOWAIT;
	healthy->exec(&other);
	sleep_for_ever();
}

/* Asks for more than there is, again and again. */
static void
asks_for_ever(struct call *c)
{
	struct call other = *c;

	if (c->code != TRACE_OP_KMALLOC || c->thread != 1) {
		healthy->exec(c);
		return;
	}
	other.flags = M_NOWAIT;
	do
		healthy->exec(&other);
	while (other.ret == 0);
	c->ret = other.ret;
}

/* Waits in a call that does not block until the other thread has come by. */
static uint32_t came_by;

static void
waits_for_other(struct call *c)
{
	if (c->code == TRACE_OP_KMALLOC && c->thread == 1)
		ka_store(&came_by, 1, SEQ_CST);
	while (c->code == TRACE_OP_KFREE && ka_load(&came_by, SEQ_CST) == 0)
		ka_pause();
	healthy->exec(c);
}

/* ---- Locks ------------------------------------------------------------- */

/* Two orders, at different times: nobody ever waits. */
static void
locks_both_ways(struct call *c)
{
	if (c->code == TRACE_OP_KFREE) {
		/* Threads are not ordered here: it is no race that is meant. */
		uint32_t first =
		    __atomic_fetch_add(&seen, 1, __ATOMIC_RELAXED) & 1;

		ka_mutex_lock(&mutex[first]);
		ka_mutex_lock(&mutex[!first]);
		ka_mutex_unlock(&mutex[!first]);
		ka_mutex_unlock(&mutex[first]);
	}
	healthy->exec(c);
}

/* Gives up what it does not have; alone, nobody is hurt. */
static void
unlocks_only(struct call *c)
{
	if (c->code == TRACE_OP_KFREE)
		ka_mutex_unlock(&mutex[0]);
	healthy->exec(c);
}

/* Takes a lock that has ended. */
static void
locks_what_ended(struct call *c)
{
	struct ka_mutex m;

	ka_mutex_init(&m, "canary");
	ka_mutex_fini(&m);
	if (c->code == TRACE_OP_KFREE) {
		ka_mutex_lock(&m);
		ka_mutex_unlock(&m);
	}
	healthy->exec(c);
}

/* ---- What is left ------------------------------------------------------ */

/* Takes a page in a call of kmalloc, and forgets it. */
static void
loses_a_page(struct call *c)
{
	struct call page = { .code = TRACE_OP_VM_PAGE_ALLOC,
		.thread = c->thread,
		.num = 1,
		.flags = VM_ALLOC_NORMAL };

	if (c->code == TRACE_OP_KMALLOC)
		healthy->exec(&page);
	healthy->exec(c);
}

/* A failed call keeps what it took. */
static void
fails_and_keeps(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_VM_PAGE_ALLOC)
		c->ret = 0;
}

/* ---- Clauses that no broken subject has ------------------------------- */

static void
refuses_pages(struct call *c)
{
	if (c->code != TRACE_OP_VM_PAGE_ALLOC)
		healthy->exec(c);
}

static void
asks_otherwise(struct call *c)
{
	struct call other = *c;

	if (c->code == TRACE_OP_OBJCACHE_GET)
		other.flags = M_WAITOK;
	exec_instead(c, other);
}

static void
panics_in_put(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_OBJCACHE_PUT)
		c->why = WHY_BUSY;
}

/* ---- Threads ----------------------------------------------------------- */

/* Nothing is lost, and nobody waits: only the order of accesses is missing. */
static volatile uint64_t plain;

static void
races(struct call *c)
{
	if (c->code == TRACE_OP_KFREE) {
		plain++;
		ka_pause(); /* the other's call begins before this one ends */
	}
	healthy->exec(c);
}

/* ---- The table --------------------------------------------------------- */

static const struct breakage canaries[] = {
	{ .name = "lost wake-up",
	    .clause = "G-5",
	    .signature = "kmalloc/G-5/kmalloc/lost-wakeup",
	    .exec = sleeps_on,
	    .trace = MAKE "0 g0 = vm_page_alloc 250 0 INTERRUPT\n"
			  "0 kmalloc_set_unlimited m0\n"
			  "1 p0 = kmalloc 40000 m0 WAITOK\n"
			  "0 vm_page_free g0\n" },
	{ .name = "livelock over pages",
	    .clause = "G-4",
	    .signature = "kmalloc/G-4/livelock/reported",
	    .exec = asks_for_ever,
	    .trace = MAKE "0 g0 = vm_page_alloc 250 0 INTERRUPT\n"
			  "0 kmalloc_set_unlimited m0\n"
			  "1 p0 = kmalloc 40000 m0 WAITOK\n"
			  "0 vm_page_free g0\n" },
	{ .name = "not alone",
	    .clause = "G-4",
	    .signature = "kmalloc/G-4/not-alone/reported",
	    .exec = waits_for_other,
	    .trace = HEAD "may solo\ndeviate 0 3 1 solo\n"
			  "0 m0 = kmalloc_create \"t\"\n"
			  "0 p0 = kmalloc 64 m0 WAITOK\n"
			  "0 kfree p0 m0\n1 p1 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "lock order",
	    .clause = "G-5",
	    .signature = "kmalloc/G-5/lock-order/reported",
	    .exec = locks_both_ways,
	    .trace = HEAD "schedule random 1\n"
			  "0 m0 = kmalloc_create \"t\"\n"
			  "0 p0 = kmalloc 64 m0 WAITOK\n"
			  "0 p1 = kmalloc 64 m0 WAITOK\n"
			  "1 kfree p0 m0\n1 kfree p1 m0\n" },
	{ .name = "unlocks only",
	    .clause = "G-5",
	    .signature = "kmalloc/G-5/not-owned/reported",
	    .exec = unlocks_only,
	    .trace = HEAD "schedule random 1\n"
			  "0 m0 = kmalloc_create \"t\"\n"
			  "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n" },
	{ .name = "locks what ended",
	    .clause = "G-5",
	    .signature = "kmalloc/G-5/lock-ended/reported",
	    .exec = locks_what_ended,
	    .trace = HEAD "schedule random 1\n"
			  "0 m0 = kmalloc_create \"t\"\n"
			  "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n" },
	{ .name = "leak at halt",
	    .clause = "G-8",
	    .signature = "kmalloc/G-8/end of run/pages-held",
	    .exec = loses_a_page,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n" },
	{ .name = "failure that keeps",
	    .clause = "G-6",
	    .signature = "vm_page/G-6/vm_page_alloc/pages-lost",
	    .exec = fails_and_keeps,
	    .trace = HEAD "0 g0 = vm_page_alloc 4 0 NORMAL\n" },
	{ .name = "refuses pages",
	    .clause = "VM-6",
	    .signature = "vm_page/VM-6/vm_page_alloc/no-cause",
	    .exec = refuses_pages,
	    .trace = HEAD "0 g0 = vm_page_alloc 4 0 NORMAL\n" },
	{ .name = "asks the backend otherwise",
	    .clause = "OC-1",
	    .signature = "objcache/OC-1/objcache_get/flags",
	    .exec = asks_otherwise,
	    .trace = MAKE "0 c0 = objcache_create \"c\" m0 64 0 0 0\n"
			  "0 p0 = objcache_get c0 NOWAIT\n" },
	{ .name = "panics in a put",
	    .clause = "OC-9",
	    .signature = "objcache/OC-9/objcache_put/busy",
	    .exec = panics_in_put,
	    .trace = MAKE "0 c0 = objcache_create \"c\" m0 64 0 0 0\n"
			  "0 p0 = objcache_get c0 NOWAIT\n"
			  "0 objcache_put c0 p0\n" },
};

static const struct breakage race = { .name = "data race",
	.clause = "G-3",
	.signature = "kmalloc/G-3/data-race/reported",
	.exec = races,
	.trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n"
		      "1 p1 = kmalloc 64 m0 WAITOK\n"
		      "0 kfree p0 m0\n1 kfree p1 m0\n" };

/* ---- The tests --------------------------------------------------------- */

static void
each_detector_sees_its_canary(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(canaries) / sizeof(*canaries); i++) {
		struct subject broken = broken_subject(&canaries[i]);

		came_by = 0;
		must_be_reported(&canaries[i], &broken);
	}
}

/* Elsewhere than under ThreadSanitizer nobody sees it. */
static void
races_are_seen_where_they_can_be(void **state)
{
	struct subject broken = broken_subject(&race);

	(void)state;
#ifdef SIM_TSAN
	must_be_reported(&race, &broken);
#else
	{
		struct run_result r;

		replay(&broken, race.trace, &r);
		assert_int_equal(r.status, RUN_CLEAN);
	}
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(races_are_seen_where_they_can_be),
		cmocka_unit_test(each_detector_sees_its_canary),
		cmocka_unit_test(races_are_seen_where_they_can_be),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
