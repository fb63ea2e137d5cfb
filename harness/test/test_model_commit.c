/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the model makes of commit points: counts that are exact at every
 * instant, and whose they are. Synthetic events, see model_zone_test.h.
 */
#include "model_zone_test.h"

#define ZONE_AT	 UINT64_C(0x1000) /* where the library has the zone */
#define CACHE_AT UINT64_C(0x2000)
#define PIPE_AT	 UINT64_C(0x3000)
#define NO_LIMIT UINT64_MAX
#define NOBODY	 UINT32_MAX

/* Clauses that the tests of this file must break. */
static bool
is_mine(const char *clause)
{
	static const char *const mine[] = { "ZN-6", "OC-6", "MP-2" };
	size_t i;

	for (i = 0; i < sizeof(mine) / sizeof(mine[0]); i++)
		if (strcmp(clause, mine[i]) == 0)
			return (true);
	return (false);
}

static void
units(uint32_t thread, enum model_commit_what what, uint64_t n)
{
	model_commit(m, thread, MODEL_COMMIT_ZONE, what, ZONE_AT, n);
}

/* A zone that is counted, with this maximum. */
static void
counted_zone(int32_t max)
{
	struct call c = zcall(TRACE_OP_UMA_ZCREATE, 0, 0);

	c.str = "zone";
	c.size = ITEM;
	c.num = 7;
	invoke(&c);
	units(0, MODEL_COMMIT_BEGIN, NO_LIMIT);
	returns(&c, 1);
	describe(0, ITEM, 4);
	c = begin_op(TRACE_OP_UMA_ZONE_SET_MAX, 0, 0, max);
	units(0, MODEL_COMMIT_LIMIT, (uint64_t)max);
	returns(&c, (uint64_t)max);
}

static void
get(uint64_t addr, bool new_slab)
{
	struct call c = begin_zalloc(0, 0, M_WAITOK);

	units(0, MODEL_COMMIT_TAKE, 1);
	if (new_slab)
		zpages(0, addr, 1);
	returns(&c, addr);
}

static void
put(uint64_t addr)
{
	struct call c = begin_zfree(0, 0, addr);

	units(0, MODEL_COMMIT_GIVE, 1);
	returns(&c, 0);
}

/* Two items of two: nothing is wrong, and the third is refused. */
static void
what_is_counted_is_clean(void **state)
{
	struct call c;

	(void)state;
	counted_zone(2);
	get(arena, true);
	get(arena + ITEM, false);
	c = begin_zalloc(0, 0, M_NOWAIT);
	units(0, MODEL_COMMIT_FULL, 0);
	returns(&c, 0);
	put(arena);
	get(arena, false);
	CLEAN();
	/* A lower maximum leaves what there is. */
	c = begin_op(TRACE_OP_UMA_ZONE_SET_MAX, 0, 0, 1);
	units(0, MODEL_COMMIT_LIMIT, 1);
	returns(&c, 1);
	c = begin_zalloc(0, 0, M_NOWAIT);
	units(0, MODEL_COMMIT_FULL, 0);
	returns(&c, 0);
	put(arena);
	put(arena + ITEM);
	get(arena, false);
	CLEAN();
}

/* Whoever else is in flight, and whatever intervals would allow. */
static void
nothing_is_taken_beyond(void **state)
{
	struct call a, b;

	(void)state;
	counted_zone(1);
	a = begin_zalloc(0, 0, M_WAITOK);
	b = begin_zalloc(1, 0, M_WAITOK);
	units(0, MODEL_COMMIT_TAKE, 1);
	CLEAN();
	units(1, MODEL_COMMIT_TAKE, 1);
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/taken-beyond");
	(void)a;
	(void)b;
	counted_zone(4);
	a = begin_zalloc(0, 0, M_WAITOK);
	units(0, MODEL_COMMIT_TAKE, 5);
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/taken-beyond");
}

static void
nothing_is_given_twice(void **state)
{
	struct call c;

	(void)state;
	counted_zone(4);
	get(arena, true);
	c = begin_zfree(0, 0, arena);
	units(0, MODEL_COMMIT_GIVE, 2);
	BROKEN("ZN-6", "zone/ZN-6/uma_zfree/given-twice");
	(void)c;
}

static void
nobody_is_refused_below(void **state)
{
	struct call a, b;

	(void)state;
	counted_zone(2);
	get(arena, true);
	a = begin_zalloc(0, 0, M_WAITOK);
	b = begin_zalloc(1, 0, M_NOWAIT);
	units(0, MODEL_COMMIT_TAKE, 1);
	units(0, MODEL_COMMIT_GIVE, 1);
	units(1, MODEL_COMMIT_FULL, 0); /* a moment ago it was right */
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/refused-below");
	(void)a;
	(void)b;
}

/* A refusal is by a limit that was found used up in this call. */
static void
a_refusal_has_its_own_cause(void **state)
{
	struct call a, b, c;

	(void)state;
	counted_zone(1);
	a = begin_zalloc(0, 0, M_WAITOK);
	units(0, MODEL_COMMIT_TAKE, 1);
	b = begin_zalloc(1, 0, M_NOWAIT);
	returns(&b, 0); /* it has not asked */
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/no-cause");
	(void)a;
	/* The same, asked. */
	counted_zone(1);
	a = begin_zalloc(0, 0, M_WAITOK);
	units(0, MODEL_COMMIT_TAKE, 1);
	b = begin_zalloc(1, 0, M_NOWAIT);
	units(1, MODEL_COMMIT_FULL, 0);
	returns(&b, 0);
	CLEAN();
	/* No room for a slab is a cause to be judged as ever. */
	c = begin_zalloc(2, 0, M_NOWAIT);
	units(2, MODEL_COMMIT_ROOM, 0);
	returns(&c, 0);
	CLEAN();
	zpages(0, arena, 1);
	returns(&a, arena);
	/* Without commit points it is not known. */
	zcreate(1, ITEM, 0, 0, 4);
	set_max(1, 1);
	a = begin_zalloc(2, 1, M_WAITOK);
	b = begin_zalloc(1, 1, M_NOWAIT);
	returns(&b, 0);
	CLEAN();
}

/* The points are where they belong: what is held is counted. */
static void
what_is_held_is_counted(void **state)
{
	struct call c;

	(void)state;
	counted_zone(8);
	get(arena, true);
	c = begin_zalloc(0, 0, M_WAITOK);
	returns(&c, arena + ITEM); /* nothing was taken for it */
	BROKEN("ZN-6", "zone/ZN-6/uma_zalloc/uncounted");
}

/* Each kind has its clause, also outside of calls. */
static void
caches_and_pipes_are_counted(void **state)
{
	(void)state;
	model_commit(
	    m, NOBODY, MODEL_COMMIT_CACHE, MODEL_COMMIT_BEGIN, CACHE_AT, 3);
	model_commit(
	    m, NOBODY, MODEL_COMMIT_CACHE, MODEL_COMMIT_TAKE, CACHE_AT, 3);
	CLEAN();
	model_commit(
	    m, NOBODY, MODEL_COMMIT_CACHE, MODEL_COMMIT_TAKE, CACHE_AT, 1);
	BROKEN("OC-6", "objcache/OC-6/cache/taken-beyond");
	model_commit(
	    m, NOBODY, MODEL_COMMIT_PIPE, MODEL_COMMIT_BEGIN, PIPE_AT, 2);
	model_commit(
	    m, NOBODY, MODEL_COMMIT_PIPE, MODEL_COMMIT_TAKE, PIPE_AT, 1);
	model_commit(
	    m, NOBODY, MODEL_COMMIT_PIPE, MODEL_COMMIT_FULL, PIPE_AT, 0);
	BROKEN("MP-2", "mpipe/MP-2/pipe/refused-below");
}

/* What the model does not know has no count; what begins again has a new. */
static void
counts_begin_and_are_forgotten(void **state)
{
	uint64_t i;

	(void)state;
	units(0, MODEL_COMMIT_TAKE, 5);
	units(0, MODEL_COMMIT_FULL, 0);
	units(0, MODEL_COMMIT_GIVE, 9);
	CLEAN();
	units(0, MODEL_COMMIT_BEGIN, 1);
	units(0, MODEL_COMMIT_TAKE, 1);
	units(0, MODEL_COMMIT_BEGIN, 1);
	units(0, MODEL_COMMIT_TAKE, 1);
	CLEAN();
	/* More than there is room for: those have none, others keep theirs. */
	for (i = 1; i <= 2000; i++)
		model_commit(m, NOBODY, MODEL_COMMIT_ZONE, MODEL_COMMIT_BEGIN,
		    ZONE_AT + 64 * i, 1);
	for (i = 1; i <= 2000; i++)
		model_commit(m, NOBODY, MODEL_COMMIT_ZONE, MODEL_COMMIT_TAKE,
		    ZONE_AT + 64 * i, 1);
	CLEAN();
	units(0, MODEL_COMMIT_GIVE, 1);
	units(0, MODEL_COMMIT_TAKE, 1);
	CLEAN();
	units(0, MODEL_COMMIT_TAKE, 1);
	BROKEN("ZN-6", "zone/ZN-6/zone/taken-beyond");
	/* BROKEN began anew. */
	units(0, MODEL_COMMIT_TAKE, 5);
	CLEAN();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_counted_is_clean),
		T(nothing_is_taken_beyond),
		T(nothing_is_given_twice),
		T(nobody_is_refused_below),
		T(a_refusal_has_its_own_cause),
		T(what_is_held_is_counted),
		T(caches_and_pipes_are_counted),
		T(counts_begin_and_are_forgotten),
		T(every_clause_was_broken),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
