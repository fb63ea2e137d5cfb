/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The laboratory sees: for each group of clauses a subject that is broken in
 * one way, and a trace on which it must be reported, under exactly the clause
 * that it breaks. The same traces are clean on the healthy subject, so that
 * the report is for the breakage and for nothing else.
 *
 * A broken subject is libkalloc behind a function that spoils one result.
 */
#include "broken_test.h"

#include <errno.h>

/* ---- Breakages --------------------------------------------------------- */

static void
same_address_twice(struct call *c)
{
	healthy->exec(c);
	if (c->code != TRACE_OP_KMALLOC)
		return;
	if (seen++ == 0)
		first_addr = c->ret;
	else
		c->ret = first_addr;
}

static void
outside_of_pages(struct call *c)
{
	static uint64_t elsewhere[512] __attribute__((aligned(4096)));

	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC)
		c->ret = (uintptr_t)elsewhere;
}

static void
keeps_memory_of_its_own(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC && seen++ == 0)
		*(char *)ka_os_map(5000) = 1;
}

static void
spoils_contents(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC && seen++ == 0)
		first_addr = c->ret;
	else if (c->code == TRACE_OP_KMALLOC)
		((char *)first_addr)[17] ^= 1;
}

static void
forgets_zero(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC && (c->flags & M_ZERO) != 0)
		((char *)c->ret)[c->size - 1] = 1;
}

/* Beyond the request, within the chunk: KM-8 says all usable bytes. */
static void
zeroes_request_only(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC && (c->flags & M_ZERO) != 0)
		((char *)c->ret)[c->size] = 1;
}

static void
misaligns(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC)
		c->ret += 8;
}

static void
wrong_usable_size(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC_USABLE_SIZE)
		c->ret = c->ret - 8;
}

static void
null_for_waitok(struct call *c)
{
	if (c->code == TRACE_OP_KMALLOC)
		c->ret = 0;
	else
		healthy->exec(c);
}

static void
accepts_bad_flags(struct call *c)
{
	struct call other = *c;

	other.flags |= M_WAITOK;
	other.flags &= ~(uint32_t)M_RNOWAIT;
	exec_instead(c, other);
}

static void
ignores_limit(struct call *c)
{
	if (c->code == TRACE_OP_KMALLOC) {
		struct call raise = *c;

		raise.code = TRACE_OP_KMALLOC_SET_UNLIMITED;
		healthy->exec(&raise);
	}
	healthy->exec(c);
}

static void
refuses_below_limit(struct call *c)
{
	if (c->code == TRACE_OP_KMALLOC && (c->flags & M_NULLOK) != 0)
		c->ret = 0;
	else
		healthy->exec(c);
}

static void
loses_prefix(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KREALLOC && c->ret != 0)
		((char *)c->ret)[3] ^= 0x40;
}

static void
null_for_zero_size(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC && c->size == 0)
		c->ret = 0;
}

static void
silent_double_free(struct call *c)
{
	healthy->exec(c);
	if (c->why == WHY_DOUBLE_FREE)
		c->why = 0;
}

static void
wrong_reason(struct call *c)
{
	healthy->exec(c);
	if (c->why == WHY_WRONG_TYPE)
		c->why = WHY_DOUBLE_FREE;
}

static void
accepts_undeclared(struct call *c)
{
	healthy->exec(c);
	if (c->why == WHY_BAD_TYPE)
		c->why = 0;
}

static void
accepts_overflow(struct call *c)
{
	struct call other = *c;

	if (c->code == TRACE_OP_KMALLOC && c->size > UINT64_MAX / 2)
		other.size = 64;
	exec_instead(c, other);
}

static void
trims_nothing(struct call *c)
{
	if (c->code != TRACE_OP_KMALLOC_TRIM)
		healthy->exec(c);
}

static void
miscounts_destroy(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC_DESTROY)
		c->ret++;
}

static void
lies_about_limit(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC_LIMIT)
		c->ret /= 2;
}

static void
misaligns_pages(struct call *c)
{
	struct call other = *c;

	if (c->code == TRACE_OP_VM_PAGE_ALLOC)
		other.align = 0;
	exec_instead(c, other);
}

static void
digs_too_deep(struct call *c)
{
	struct call other = *c;

	if (c->code == TRACE_OP_VM_PAGE_ALLOC)
		other.flags = (c->flags & VM_ALLOC_ZERO) | VM_ALLOC_INTERRUPT;
	exec_instead(c, other);
}

static void
forgets_zero_pages(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_VM_PAGE_ALLOC)
		((char *)c->ret)[4095] = 7;
}

static void
sleeps_in_kfree(struct call *c)
{
	sleep_in(c, TRACE_OP_KFREE);
}

/* Sleeps although pages are free, and nobody wakes it. */
static void
loses_wakeup(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC && c->ret != 0 && c->size > 100000)
		sleep_for_ever();
}

/* Two locks in two orders, with a pause between. */
static void
deadlocks(struct call *c)
{
	int first = c->thread & 1;

	if (c->code == TRACE_OP_KFREE) {
		ka_mutex_lock(&mutex[first]);
		ka_pause();
		ka_mutex_lock(&mutex[!first]);
		ka_mutex_unlock(&mutex[!first]);
		ka_mutex_unlock(&mutex[first]);
	}
	healthy->exec(c);
}

static void
spins_for_ever(struct call *c)
{
	while (c->code == TRACE_OP_KFREE)
		ka_pause();
	healthy->exec(c);
}

static uint64_t
too_few_pages(void)
{
	/* Not at once: there must be all at boot. */
	return (healthy->free_pages() - (seen++ != 0));
}

static bool
miscounts_calls(uint32_t type, struct subject_type_stats *ret_s)
{
	bool got = healthy->type_stats(type, ret_s);

	ret_s->calls++;
	return (got);
}

static bool
miscounts_bytes(uint32_t type, struct subject_type_stats *ret_s)
{
	bool got = healthy->type_stats(type, ret_s);

	ret_s->memuse += 8;
	return (got);
}

static const char *
bad_audit(const char **ret_found)
{
	*ret_found = "something";
	return ("I-KM-2");
}

static void
keeps_slabs(void)
{
}

/* ---- The table --------------------------------------------------------- */

#define MAKE HEAD "0 m0 = kmalloc_create \"t\"\n"

/* Its pages are refused, and it does not look at what its CPU keeps. */
static void
nowait_gives_up(struct call *c)
{
	struct call other = *c;

	if (c->code != TRACE_OP_KMALLOC || c->size < 65536) {
		healthy->exec(c);
		return;
	}
	other.code = TRACE_OP_VM_PAGE_ALLOC;
	other.num = c->size / KA_PAGE_SIZE;
	other.flags = VM_ALLOC_SYSTEM;
	other.align = 0;
	healthy->exec(&other);
	assert_int_equal(other.ret, 0);
}

/* What all CPUs have one of. */
static void
locks_in_kfree(struct call *c)
{
	if (c->code == TRACE_OP_KFREE) {
		ka_mutex_lock(&mutex[0]);
		ka_mutex_unlock(&mutex[0]);
	}
	healthy->exec(c);
}

static void
counts_all_kmallocs(struct call *c)
{
	if (c->code == TRACE_OP_KMALLOC)
		(void)ka_add(&seen, 1);
	healthy->exec(c);
}

static int
ends_in_use(void (*told)(void *, const char *, uint64_t, uint64_t), void *arg)
{
	(void)healthy->leave(told, arg);
	healthy->halt();
	return (0);
}

static int
refuses_to_end(
    void (*told)(void *, const char *, uint64_t, uint64_t), void *arg)
{
	int error = healthy->leave(told, arg);

	return (error == 0 ? EBUSY : error);
}

static void (*tell_of_it)(void *, const char *, uint64_t, uint64_t);

static void
tell_less(void *arg, const char *name, uint64_t count, uint64_t bytes)
{
	tell_of_it(arg, name, count - 1, bytes);
}

static int
tells_wrong_counts(
    void (*told)(void *, const char *, uint64_t, uint64_t), void *arg)
{
	tell_of_it = told;
	return (healthy->leave(tell_less, arg));
}

static void
tell_nothing(void *arg, const char *name, uint64_t count, uint64_t bytes)
{
	(void)arg;
	(void)name;
	(void)count;
	(void)bytes;
}

static int
tells_nothing(void (*told)(void *, const char *, uint64_t, uint64_t), void *arg)
{
	(void)told;
	return (healthy->leave(tell_nothing, arg));
}

static void
tell_another(void *arg, const char *name, uint64_t count, uint64_t bytes)
{
	(void)name;
	tell_of_it(arg, "another", count, bytes);
}

static int
tells_wrong_names(
    void (*told)(void *, const char *, uint64_t, uint64_t), void *arg)
{
	tell_of_it = told;
	return (healthy->leave(tell_another, arg));
}

/* Of the first question only: that is the one after boot. */
static uint64_t
boots_used(void)
{
	return (healthy->free_pages() - (seen++ == 0));
}

static const struct breakage breakages[] = {
	{ .name = "ends while memory is in use",
	    .clause = "G-1",
	    .signature = "kmalloc/G-1/halt/reported",
	    .leave = ends_in_use,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "maps memory for itself and does not give it back",
	    .clause = "G-1",
	    .signature = "kmalloc/G-1/memory/reported",
	    .exec = keeps_memory_of_its_own,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "refuses to end when nothing is in use",
	    .clause = "G-1",
	    .leave = refuses_to_end,
	    .trace = MAKE },
	{ .name = "tells wrong counts at its end",
	    .clause = "G-1",
	    .leave = tells_wrong_counts,
	    .trace = HEAD "0 g0 = vm_page_alloc 3 0 NORMAL\n" },
	{ .name = "tells nothing at its end",
	    .clause = "G-1",
	    .leave = tells_nothing,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "tells wrong names at its end",
	    .clause = "G-1",
	    .leave = tells_wrong_names,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "is not fresh",
	    .clause = "G-1",
	    .signature = "kmalloc/G-1/boot/reported",
	    .free_pages = boots_used,
	    .trace = MAKE },
	{ .name = "takes a lock in kfree",
	    .clause = "KM-1",
	    .signature = "kmalloc/KM-1/kfree/shared",
	    .exec = locks_in_kfree,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n" },
	{ .name = "counts all allocations in one place",
	    .clause = "KM-1",
	    .signature = "kmalloc/KM-1/kmalloc/shared",
	    .exec = counts_all_kmallocs,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n"
			  "0 p1 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "refuses before it gives back",
	    .clause = "VM-7",
	    .exec = nowait_gives_up,
	    .trace = MAKE "0 kmalloc_set_unlimited m0\n"
			  "0 p0 = kmalloc 64 m0 NOWAIT\n0 kfree p0 m0\n"
			  "0 p1 = kmalloc 1044480 m0 NOWAIT\n" },
	{ .name = "same address twice",
	    .clause = "G-2",
	    .signature = "kmalloc/G-2/kmalloc/overlap",
	    .exec = same_address_twice,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n"
			  "0 p1 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "outside of its pages",
	    .clause = "G-2",
	    .signature = "kmalloc/G-2/kmalloc/not-held",
	    .exec = outside_of_pages,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "spoils contents",
	    .clause = "G-2",
	    .signature = "kmalloc/G-2/kfree/contents",
	    .exec = spoils_contents,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n"
			  "0 p1 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n" },
	{ .name = "forgets M_ZERO",
	    .clause = "KM-8",
	    .signature = "kmalloc/KM-8/kmalloc/nonzero",
	    .exec = forgets_zero,
	    .trace = MAKE "0 p0 = kmalloc 100 m0 WAITOK|ZERO\n" },
	{ .name = "zeroes the request only",
	    .clause = "KM-8",
	    .signature = "kmalloc/KM-8/kmalloc/nonzero",
	    .exec = zeroes_request_only,
	    .trace = MAKE "0 p0 = kmalloc 100 m0 WAITOK|ZERO\n" },
	{ .name = "misaligns",
	    .clause = "KM-4",
	    .signature = "kmalloc/KM-4/kmalloc/align",
	    .exec = misaligns,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "wrong usable size",
	    .clause = "KM-3",
	    .signature = "kmalloc/KM-3/kmalloc_usable_size/usable-size",
	    .exec = wrong_usable_size,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n"
			  "0 kmalloc_usable_size p0\n" },
	{ .name = "NULL for M_WAITOK",
	    .clause = "KM-7",
	    .signature = "kmalloc/KM-7/kmalloc/null-waitok",
	    .exec = null_for_waitok,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "accepts bad flags",
	    .clause = "KM-7",
	    .signature = "kmalloc/KM-7/kmalloc/undetected",
	    .exec = accepts_bad_flags,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 RNOWAIT|WAITOK\n" },
	{ .name = "ignores the limit",
	    .clause = "KM-6",
	    .signature = "kmalloc/KM-6/kmalloc/over-limit",
	    .exec = ignores_limit,
	    .trace = MAKE "0 p0 = kmalloc 90000 m0 WAITOK|NULLOK\n"
			  "0 p1 = kmalloc 90000 m0 WAITOK|NULLOK\n"
			  "0 p2 = kmalloc 90000 m0 WAITOK|NULLOK\n"
			  "0 p3 = kmalloc 90000 m0 WAITOK|NULLOK\n"
			  "0 p4 = kmalloc 90000 m0 WAITOK|NULLOK\n" },
	{ .name = "refuses below the limit",
	    .clause = "KM-6",
	    .signature = "kmalloc/KM-6/kmalloc/null-below-limit",
	    .exec = refuses_below_limit,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK|NULLOK\n" },
	{ .name = "lies about the limit",
	    .clause = "KM-6",
	    .signature = "kmalloc/KM-6/kmalloc_limit/limit",
	    .exec = lies_about_limit,
	    .trace = MAKE "0 kmalloc_limit m0\n" },
	{ .name = "loses the prefix",
	    .clause = "KM-11",
	    .signature = "kmalloc/KM-11/krealloc/prefix",
	    .exec = loses_prefix,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n"
			  "0 krealloc p0 300 m0 WAITOK\n" },
	{ .name = "NULL for size 0",
	    .clause = "KM-9",
	    .signature = "kmalloc/KM-9/kmalloc/null",
	    .exec = null_for_zero_size,
	    .trace = MAKE "0 p0 = kmalloc 0 m0 WAITOK\n" },
	{ .name = "silent double free",
	    .clause = "KM-16",
	    .signature = "kmalloc/KM-16/kfree/undetected",
	    .exec = silent_double_free,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n"
			  "0 p1 = kmalloc 64 m0 WAITOK\n"
			  "0 kfree p0 m0\n0 kfree p0 m0\n" },
	{ .name = "wrong reason",
	    .clause = "KM-10",
	    .signature = "kmalloc/KM-10/kfree/wrong-panic",
	    .exec = wrong_reason,
	    .trace = MAKE "0 m1 = kmalloc_create \"u\"\n"
			  "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m1\n" },
	{ .name = "accepts an undeclared type",
	    .clause = "KM-5",
	    .signature = "kmalloc/KM-5/kmalloc/undetected",
	    .exec = accepts_undeclared,
	    .trace = MAKE "0 kmalloc_destroy m0\n"
			  "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "accepts overflow",
	    .clause = "KM-15",
	    .signature = "kmalloc/KM-15/kmalloc/success",
	    .exec = accepts_overflow,
	    .trace = MAKE "0 p0 = kmalloc 0xfffffffffffffff0 m0 NOWAIT\n" },
	{ .name = "trims nothing",
	    .clause = "KM-14",
	    .signature = "kmalloc/KM-14/kmalloc_trim/hoarded",
	    .exec = trims_nothing,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n"
			  "0 kmalloc_trim\n" },
	{ .name = "miscounts what is left of a type",
	    .clause = "KM-17",
	    .signature = "kmalloc/KM-17/kmalloc_destroy/still-in-use",
	    .exec = miscounts_destroy,
	    .trace = MAKE "0 kmalloc_destroy m0\n" },
	{ .name = "misaligns pages",
	    .clause = "VM-1",
	    .signature = "vm_page/VM-1/vm_page_alloc/run",
	    .exec = misaligns_pages,
	    .trace = HEAD "0 g0 = vm_page_alloc 1 0 NORMAL\n"
			  "0 g1 = vm_page_alloc 2 65536 NORMAL\n" },
	{ .name = "digs too deep",
	    .clause = "VM-3",
	    .signature = "vm_page/VM-3/vm_page_alloc/flags",
	    .exec = digs_too_deep,
	    .trace = HEAD "reserve 32 8\n"
			  "0 g0 = vm_page_alloc 240 0 NORMAL\n" },
	{ .name = "forgets zero pages",
	    .clause = "VM-4",
	    .signature = "vm_page/VM-4/vm_page_alloc/nonzero",
	    .exec = forgets_zero_pages,
	    .trace = HEAD "0 g0 = vm_page_alloc 1 0 NORMAL|ZERO\n" },
	{ .name = "sleeps in kfree",
	    .clause = "G-4",
	    .signature = "kmalloc/G-4/kfree/sleeps",
	    .exec = sleeps_in_kfree,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n" },
	{ .name = "loses a wake-up",
	    .clause = "G-5",
	    .signature = "kmalloc/G-5/kmalloc/no-cause",
	    .exec = loses_wakeup,
	    .trace = MAKE "0 kmalloc_set_unlimited m0\n"
			  "0 p0 = kmalloc 600000 m0 WAITOK\n"
			  "1 p1 = kmalloc 600000 m0 WAITOK\n" },
	{ .name = "deadlocks",
	    .clause = "G-5",
	    .signature = "kmalloc/G-5/deadlock/reported",
	    .exec = deadlocks,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n"
			  "0 p1 = kmalloc 64 m0 WAITOK\n"
			  "0 kfree p0 m0\n1 kfree p1 m0\n" },
	{ .name = "spins for ever",
	    .clause = "G-4",
	    .signature = "kmalloc/G-4/livelock/reported",
	    .exec = spins_for_ever,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n0 kfree p0 m0\n" },
	{ .name = "miscounts calls",
	    .clause = "KM-5",
	    .signature = "kmalloc/KM-5/end of run/calls",
	    .type_stats = miscounts_calls,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "miscounts bytes",
	    .clause = "KM-5",
	    .signature = "kmalloc/KM-5/end of run/memuse",
	    .type_stats = miscounts_bytes,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n0 quiesce\n" },
	{ .name = "miscounts pages",
	    .clause = "G-7",
	    .signature = "kmalloc/G-7/end of run/free-pages",
	    .free_pages = too_few_pages,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "fails its audit",
	    .clause = "G-3",
	    .signature = "kmalloc/G-3/audit/I-KM-2",
	    .audit = bad_audit,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
	{ .name = "keeps pages",
	    .clause = "G-8",
	    .signature = "kmalloc/G-8/end of run/pages-held",
	    .trim = keeps_slabs,
	    .trace = MAKE "0 p0 = kmalloc 64 m0 WAITOK\n" },
};

/* ---- The test ---------------------------------------------------------- */

static void
each_breakage_is_reported_by_its_clause(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(breakages) / sizeof(*breakages); i++) {
		struct subject broken = broken_subject(&breakages[i]);

		must_be_reported(&breakages[i], &broken);
	}
}

/* A result that differs between two runs of a trace shows in the hash. */
static uint64_t unstable;

static void
unstable_exec(struct call *c)
{
	healthy->exec(c);
	if (c->code == TRACE_OP_KMALLOC_TRIM)
		c->ret = unstable++;
}

static void
hash_tells_runs_apart(void **state)
{
	static const char text[] = MAKE "0 kmalloc_trim\n";
	struct subject broken = *healthy;
	struct run_result a, b;

	(void)state;
	replay(healthy, text, &a);
	replay(healthy, text, &b);
	assert_true(a.hash == b.hash);
	broken.exec = unstable_exec;
	replay(&broken, text, &a);
	replay(&broken, text, &b);
	assert_true(a.hash != b.hash);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_breakage_is_reported_by_its_clause),
		cmocka_unit_test(hash_tells_runs_apart),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
