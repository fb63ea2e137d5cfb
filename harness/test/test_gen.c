/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The generator makes what bugs need: in some hundred traces there is every
 * operation, frees by another thread than the one that allocated, in every
 * group, misuse, faults and schedules of each mode, callbacks that refuse, and
 * worlds in which somebody soon has to wait; and the same seed gives the same
 * trace. What is counted here is what a change of
 * weights must not lose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gen/gen.h"

#define SEEDS	 300u
#define OPS	 600u
#define REGS_MAX 4096u

static struct seen {
	uint64_t ops[TRACE_OP_COUNT], actions[TRACE_ACTION_COUNT];
	uint64_t faults[TRACE_FAULT_MODE_COUNT], scheds[TRACE_SCHED_MODE_COUNT];
	uint64_t frees[TRACE_GROUP_COUNT], remote[TRACE_GROUP_COUNT];
	uint64_t again; /* of a register that has ended */
	/* Traces: pages were short from the beginning; a zone had its maximum
	 * before its first item; threads had parts; much was over soon. */
	uint64_t starved, bounded, parts, brief;
	uint64_t layered; /* a cache asks a zone that has a maximum */
} seen;

static uint16_t maker[REGS_MAX];
static uint8_t ended[REGS_MAX];

static void
look_at_op(const struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	unsigned i;

	seen.ops[op->code]++;
	for (i = 0; i < def->nargs; i++) {
		uint64_t reg = op->arg[i];

		if (def->arg[i] == TRACE_K_ACTION)
			seen.actions[op->arg[i]]++;
		if (def->arg[i] != TRACE_K_OBJ_END || reg >= REGS_MAX)
			continue;
		seen.frees[def->group]++;
		seen.remote[def->group] += maker[reg] != op->thread;
		seen.again += ended[reg];
		ended[reg] = 1;
	}
	if (def->out == TRACE_OBJ && op->out < REGS_MAX) {
		maker[op->out] = op->thread;
		ended[op->out] = 0;
	}
}

/* Pages that were taken before any came back. */
static bool
is_starved(const struct trace *t)
{
	uint64_t taken = 0;
	size_t i;

	for (i = 0; i < t->nops; i++) {
		if (t->op[i].code == TRACE_OP_VM_PAGE_FREE)
			break;
		if (t->op[i].code == TRACE_OP_VM_PAGE_ALLOC)
			taken += t->op[i].arg[0];
	}
	return (taken >= t->header.pages / 2 && t->header.threads > 1);
}

/* A zone has its maximum right from the beginning. */
static bool
is_bounded(const struct trace *t)
{
	size_t i;

	for (i = 1; i < t->nops; i++)
		if (t->op[i].code == TRACE_OP_UMA_ZONE_SET_MAX &&
		    t->op[i - 1].code == TRACE_OP_UMA_ZCREATE &&
		    t->op[i].arg[0] == t->op[i - 1].out &&
		    (int32_t)t->op[i].arg[1] > 0)
			return (true);
	return (false);
}

/* A cache over a zone, then the zone's maximum, then a get. */
static bool
is_layered(const struct trace *t)
{
	uint64_t cache = TRACE_NOREG, zone = TRACE_NOREG;
	bool limited = false;
	size_t i;

	for (i = 0; i < t->nops; i++) {
		const struct trace_op *op = &t->op[i];

		if (op->code == TRACE_OP_OBJCACHE_CREATE_ZONE) {
			cache = op->out;
			zone = op->arg[1];
			limited = false;
		}
		limited |= op->code == TRACE_OP_UMA_ZONE_SET_MAX &&
		    op->arg[0] == zone && (int32_t)op->arg[1] > 0;
		if (op->code == TRACE_OP_OBJCACHE_GET && limited &&
		    op->arg[0] == cache)
			return (true);
	}
	return (false);
}

/* One thread takes twice what it gives back, another does the reverse. */
static bool
has_parts(const struct trace *t)
{
	uint32_t takes[TRACE_THREADS_MAX] = { 0 }, i;
	uint32_t gives[TRACE_THREADS_MAX] = { 0 };
	bool taker = false, giver = false;

	for (i = 0; i < t->nops; i++) {
		const struct trace_opdef *def = &trace_ops[t->op[i].code];

		if (def->out == TRACE_OBJ)
			takes[t->op[i].thread]++;
		if (def->nargs > 1 && def->arg[1] == TRACE_K_OBJ_END)
			gives[t->op[i].thread]++;
	}
	for (i = 0; i < t->header.threads; i++) {
		taker |= takes[i] >= 4 && takes[i] > 2 * gives[i];
		giver |= gives[i] >= 4 && gives[i] > 2 * takes[i];
	}
	return (taker && giver);
}

static void
look_at(const struct trace *t)
{
	size_t i;

	memset(maker, 0, sizeof(maker));
	memset(ended, 0, sizeof(ended));
	seen.scheds[t->header.sched]++;
	seen.starved += is_starved(t);
	seen.bounded += is_bounded(t);
	seen.parts += has_parts(t);
	seen.layered += is_layered(t);
	seen.brief += t->nops < OPS / 4;
	for (i = 0; i < t->header.nfaults; i++)
		seen.faults[t->header.fault[i].mode]++;
	for (i = 0; i < t->nops; i++)
		look_at_op(&t->op[i]);
}

static int
look_at_all(void **state)
{
	struct gen_options o = { .ops = OPS };
	struct trace t;

	(void)state;
	for (o.seed = 1; o.seed <= SEEDS; o.seed++) {
		if (gen_trace(&o, &t) != 0)
			return (1);
		look_at(&t);
		trace_fini(&t);
	}
	return (0);
}

static void
every_operation_is_made(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < TRACE_OP_COUNT; i++)
		if (seen.ops[i] < 20)
			fail_msg("%s: %u times", trace_ops[i].name,
			    (unsigned)seen.ops[i]);
}

/* At least a third of all frees. */
static void
others_free_what_one_has_allocated(void **state)
{
	static const enum trace_group groups[] = { TRACE_G_KM, TRACE_G_OC,
		TRACE_G_MP, TRACE_G_ZN };
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		uint64_t frees = seen.frees[groups[i]];

		assert_true(frees > 500);
		if (seen.remote[groups[i]] < frees / 3)
			fail_msg("%s: %u of %u frees are remote",
			    trace_group_name(groups[i]),
			    (unsigned)seen.remote[groups[i]], (unsigned)frees);
	}
}

static void
failure_and_misuse_are_made(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < TRACE_FAULT_MODE_COUNT; i++)
		assert_true(seen.faults[i] >= SEEDS / 30);
	for (i = TRACE_ACTION_REFUSE; i < TRACE_ACTION_COUNT; i++)
		assert_true(seen.actions[i] >= 50);
	assert_true(seen.again >= 200);
}

static void
every_schedule_is_made(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < TRACE_SCHED_MODE_COUNT; i++)
		assert_true(
		    seen.scheds[i] >= SEEDS / TRACE_SCHED_MODE_COUNT / 2);
}

static void
somebody_soon_has_to_wait(void **state)
{
	(void)state;
	assert_true(seen.starved >= SEEDS / 20);
	assert_true(seen.bounded >= SEEDS / 60);
	assert_true(seen.parts >= SEEDS / 20);
	assert_true(seen.brief >= SEEDS / 5);
	assert_true(seen.layered >= SEEDS / 30);
}

static void
a_seed_is_a_trace(void **state)
{
	struct gen_options o = { .ops = OPS, .seed = 77 };
	struct trace a, b;

	(void)state;
	assert_int_equal(gen_trace(&o, &a), 0);
	assert_int_equal(gen_trace(&o, &b), 0);
	assert_int_equal(a.nops, b.nops);
	assert_memory_equal(a.op, b.op, a.nops * sizeof(*a.op));
	trace_fini(&b);
	o.seed++;
	assert_int_equal(gen_trace(&o, &b), 0);
	assert_true(a.nops != b.nops ||
	    memcmp(a.op, b.op, a.nops * sizeof(*a.op)) != 0);
	trace_fini(&a);
	trace_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_is_made),
		cmocka_unit_test(others_free_what_one_has_allocated),
		cmocka_unit_test(failure_and_misuse_are_made),
		cmocka_unit_test(every_schedule_is_made),
		cmocka_unit_test(somebody_soon_has_to_wait),
		cmocka_unit_test(a_seed_is_a_trace),
	};

	return (cmocka_run_group_tests(tests, look_at_all, NULL));
}
