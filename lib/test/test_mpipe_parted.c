/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: a pipe whose frees have an array of their own keeps MP-1, MP-2, MP-4,
 * MP-5, MP-7 and G-3 as any other, is joined again when one thread is left, and
 * is never made of one whose frees zero.
 * Method: the pipe's lock is held by hand until a free of another thread has
 * found it taken. Which array has what is read from the pipe itself. Then two
 * threads that hand buffers to each other.
 */
#include "kalloc_test.h"

#include <stdatomic.h>

#include "kmalloc_int.h"
#include "ptr_map.h"
#include "raw_pipe.h"

MALLOC_DEFINE(M_PIPE, "pipe", "buffers of pipes");

enum {
	NNOM = 4
};

static struct malloc_pipe pipe_a;
static struct raw_pipe *raw;

static void
begin(int nmax, int flags)
{
	const struct kalloc_config config = { .ncpus = 3, .pages = 256 };

	boot(&config);
	kmalloc_raise_limit(M_PIPE, 0);
	memset(&pipe_a, 0, sizeof(pipe_a));
	mpipe_init(&pipe_a, M_PIPE, 256, NNOM, nmax, flags, NULL, NULL, NULL);
	raw = pipe_a.mp_private;
	assert_int_equal(raw->nnom, NNOM);
}

static void
end(void)
{
	audit();
	mpipe_done(&pipe_a);
	assert_int_equal(stats(M_PIPE).inuse, 0);
	halt();
}

static struct mpipe_stats
pipe_stats(void)
{
	struct mpipe_stats s;

	mpipe_get_stats(&pipe_a, &s);
	return (s);
}

static void *
free_main(void *buf)
{
	mpipe_free(&pipe_a, buf);
	return (NULL);
}

/* Is that thread, the only other, where it finds the lock taken? It gives the
 * processor away there, so it is not said when. */
static void
free_while_taken(void *buf)
{
	pthread_t t;

	ka_spin_lock(&raw->spin);
	t = thread_start(free_main, buf);
	sleep_ms(5);
	ka_spin_unlock(&raw->spin);
	thread_join(t);
}

static void *
get(void)
{
	void *buf = mpipe_alloc_nowait(&pipe_a);

	assert_non_null(buf);
	return (buf);
}

/* A free of another thread has parted the pipe: one buffer is in the back. */
static void
part(void)
{
	while (!raw->parted)
		free_while_taken(get());
	assert_true(raw->detour);
	assert_int_equal(raw->free, NNOM - 1);
	assert_int_equal(raw->back_free, 1);
	assert_int_equal(pipe_stats().free, NNOM);
	audit();
}

/* ---- One thread at a time --------------------------------------------- */

/* MP-1, MP-7: all nominal buffers can be had, from wherever they are; and what
 * one thread frees and gets is in one array again. */
static void
a_pipe_is_parted_and_joined(void **state)
{
	void *p[NNOM], *last;
	unsigned i;

	(void)state;
	begin(NNOM, MPF_NOZERO);
	assert_false(raw->parted);
	part();
	for (i = 0; i < NNOM; i++)
		p[i] = get();
	assert_null(mpipe_alloc_nowait(&pipe_a));
	assert_int_equal(pipe_stats().free, 0);
	/* One exchange was needed: the upper half is the array. */
	assert_ptr_equal(raw->array, raw->arrays + NNOM);
	for (i = 0; i < NNOM; i++) {
		mpipe_free(&pipe_a, p[i]);
		assert_int_equal(raw->back_free, i + 1);
		audit();
	}
	/* The second exchange joins: the lower half is the array again. */
	last = get();
	assert_ptr_equal(last, p[NNOM - 1]);
	assert_false(raw->parted);
	assert_false(raw->detour);
	assert_ptr_equal(raw->array, raw->arrays);
	mpipe_free(&pipe_a, last);
	assert_int_equal(raw->free, NNOM);
	assert_int_equal(raw->back_free, 0);
	assert_int_equal(pipe_stats().failures, 1);
	end();
}

/* Exchanges of what another CPU has freed leave the pipe parted. */
static void
two_threads_keep_a_pipe_parted(void **state)
{
	void *p[NNOM];
	unsigned i, turn;

	(void)state;
	begin(NNOM, MPF_CACHEDATA);
	part();
	for (turn = 0; turn < 5; turn++) {
		for (i = 0; i < NNOM; i++)
			p[i] = get();
		for (i = 0; i < NNOM; i++)
			thread_run(free_main, p[i]);
		assert_true(raw->parted);
		assert_int_equal(raw->back_free, NNOM);
		assert_int_equal(pipe_stats().free, NNOM);
		audit();
	}
	end();
}

/* G-3: wherever the buffer is, or was. */
static void
wrong_frees_are_told_of_a_parted_pipe(void **state)
{
	struct ptr_map_slot *slot;
	void *p[NNOM], *q, *foreign;
	uint64_t at;
	unsigned i;

	(void)state;
	begin(NNOM, MPF_NOZERO);
	part();
	foreign = kmalloc(256, M_PIPE, M_WAITOK);
	assert_why(FOREIGN, mpipe_free(&pipe_a, foreign));
	kfree(foreign, M_PIPE);
	for (i = 0; i < raw->free; i++) /* in the array */
		assert_why(DOUBLE_FREE, mpipe_free(&pipe_a, raw->array[i]));
	q = raw->arrays[raw->back_at]; /* in the back */
	assert_why(DOUBLE_FREE, mpipe_free(&pipe_a, q));
	mpipe_free(&pipe_a, NULL);
	for (i = 0; i < NNOM; i++)
		p[i] = get();
	slot = ptr_map__find(&raw->map, p[0]); /* in another's hands */
	at = slot->value;
	slot->value = UINT64_MAX;
	assert_why(DOUBLE_FREE, mpipe_free(&pipe_a, p[0]));
	slot->value = at;
	for (i = 0; i < NNOM; i++) {
		mpipe_free(&pipe_a, p[i]);
		assert_why(DOUBLE_FREE, mpipe_free(&pipe_a, p[i]));
	}
	assert_int_equal(pipe_stats().free, NNOM);
	/* Parted anew, and exchanged: the array is the upper half, and the back
	 * is empty. */
	p[0] = get();
	mpipe_free(&pipe_a, p[0]);
	assert_false(raw->parted);
	part();
	for (i = 0; i < NNOM - 1; i++)
		p[i] = get();
	for (i = 0; i < NNOM - 1; i++)
		mpipe_free(&pipe_a, p[i]);
	p[0] = get();
	assert_ptr_equal(raw->array, raw->arrays + NNOM);
	assert_int_equal(raw->free, NNOM - 1);
	assert_int_equal(raw->back_free, 0);
	foreign = kmalloc(256, M_PIPE, M_WAITOK);
	assert_why(FOREIGN, mpipe_free(&pipe_a, foreign));
	kfree(foreign, M_PIPE);
	for (i = 0; i < raw->free; i++)
		assert_why(DOUBLE_FREE, mpipe_free(&pipe_a, raw->array[i]));
	assert_int_equal(raw->back_free, 0);
	mpipe_free(&pipe_a, p[0]);
	end();
}

/* The way of a free is chosen without a lock, and may be the wrong one by the
 * time that it has one. */
static void
a_stale_hint_does_no_harm(void **state)
{
	void *p;

	(void)state;
	begin(NNOM, MPF_NOZERO);
	p = get();
	raw->detour = true; /* it was parted a moment ago */
	mpipe_free(&pipe_a, p);
	assert_int_equal(raw->free, NNOM);
	assert_int_equal(raw->back_free, 0);
	raw->detour = false;
	part();
	p = get();
	raw->detour = false; /* it was not */
	mpipe_free(&pipe_a, p);
	assert_int_equal(raw->back_free, 2);
	raw->detour = true;
	end();
}

/* A free looks at the array only if the buffer's place there says nothing. */
static void
places_above_are_held(void **state)
{
	void *p[NNOM];
	unsigned i;

	(void)state;
	begin(NNOM, MPF_NOZERO);
	part(); /* NNOM - 1 in the array, one in the back */
	for (i = 0; i < NNOM - 1; i++)
		p[i] = get();
	assert_int_equal(raw->free, 0);
	assert_int_equal(raw->back_seen, NNOM - 1);
	mpipe_free(&pipe_a, p[0]); /* it had the uppermost place */
	assert_int_equal(raw->back_seen, 0);
	raw->back_seen = 1; /* so that a look would be seen */
	mpipe_free(&pipe_a, p[1]);
	assert_int_equal(raw->back_seen, 1);
	mpipe_free(&pipe_a, p[2]); /* the lowest: not known */
	assert_int_equal(raw->back_seen, 0);
	assert_int_equal(raw->back_free, NNOM);
	end();
}

/* MP-2, MP-7: beyond nnom; what is too many goes back to kmalloc. */
static void
a_parted_pipe_grows_and_shrinks(void **state)
{
	void *p[NNOM + 2];
	unsigned i;

	(void)state;
	begin(NNOM + 2, MPF_NOZERO);
	part();
	for (i = 0; i < NNOM + 2; i++)
		p[i] = get();
	assert_null(mpipe_alloc_nowait(&pipe_a));
	assert_int_equal(pipe_stats().total, NNOM + 2);
	for (i = 0; i < NNOM + 2; i++) {
		mpipe_free(&pipe_a, p[i]);
		assert_int_equal(
		    pipe_stats().free, i < NNOM ? i + 1 : (unsigned)NNOM);
		audit();
	}
	assert_int_equal(pipe_stats().total, NNOM);
	assert_int_equal(stats(M_PIPE).inuse, NNOM);
	end();
}

/* MP-5: a pipe that zeroes is as it always was. */
static void
a_pipe_that_zeroes_is_not_parted(void **state)
{
	unsigned i;

	(void)state;
	begin(NNOM, 0);
	for (i = 0; i < 3; i++) {
		uint64_t *p = get();

		assert_true(all_are(p, 0, 256));
		p[0] = 1;
		free_while_taken(p);
		assert_false(raw->parted);
		assert_true(raw->detour);
	}
	assert_int_equal(raw->free, NNOM);
	end();
}

/* ---- Who waits -------------------------------------------------------- */

static void *
wait_main(void *arg)
{
	(void)arg;
	mpipe_free(&pipe_a, mpipe_alloc_waitok(&pipe_a));
	return (NULL);
}

static atomic_uint called;

static void
count_callback(void *arg1, void *arg2)
{
	(void)arg1;
	(void)arg2;
	(void)atomic_fetch_add(&called, 1);
}

/* MP-3, MP-4, MP-7: a sleeper, and a callback, are told by the free of a parted
 * pipe. */
static void
who_waits_is_told_by_a_parted_pipe(void **state)
{
	void *p[NNOM];
	unsigned i;
	pthread_t t;

	(void)state;
	begin(NNOM, MPF_NOZERO | MPF_CALLBACK);
	part();
	for (i = 0; i < NNOM; i++)
		p[i] = get();
	assert_true(raw->parted);
	t = thread_start(wait_main, NULL);
	assert_true(wait_until(pipe_stats().sleeps == 1));
	mpipe_free(&pipe_a, p[0]);
	thread_join(t);
	p[0] = get();
	atomic_store(&called, 0);
	assert_null(mpipe_alloc_callback(&pipe_a, count_callback, NULL, NULL));
	mpipe_free(&pipe_a, p[0]);
	assert_true(wait_until(atomic_load(&called) == 1));
	for (i = 1; i < NNOM; i++)
		mpipe_free(&pipe_a, p[i]);
	end();
}

static void
audits_see_what_is_broken_in_the_back(void **state)
{
	const char *found;
	void *q, *p[NNOM];
	unsigned i;

	(void)state;
	begin(NNOM, MPF_NOZERO);
	part();
	q = raw->arrays[raw->back_at];
	raw->arrays[raw->back_at] = raw->array[0];
	assert_string_equal(mpipe_audit(&found), "I-MP-2");
	raw->arrays[raw->back_at] = q;
	raw->parted = false;
	assert_string_equal(mpipe_audit(&found), "I-MP-5");
	raw->parted = true;
	raw->room = NNOM;
	assert_string_equal(mpipe_audit(&found), "I-MP-5");
	raw->room = 0;
	for (i = 0; i < NNOM; i++)
		p[i] = get(); /* the last is had by an exchange */
	raw->parted = false;
	assert_string_equal(mpipe_audit(&found), "I-MP-5");
	raw->parted = true;
	for (i = 0; i < NNOM; i++)
		mpipe_free(&pipe_a, p[i]);
	raw->back_free = NNOM + 1; /* more than nnom */
	assert_string_equal(mpipe_audit(&found), "I-MP-1");
	raw->back_free = NNOM;
	end();
}

/* ---- Two threads at one time ------------------------------------------ */

enum {
	BELT = 16,
	HANDED = 40000
};
static uint64_t *_Atomic belt[BELT];

/* Buffers come with a number that nobody else writes. */
static void *
belt_main(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < HANDED; i++) {
		uint64_t *p;

		while ((p = atomic_exchange(&belt[i % BELT], NULL)) == NULL)
			(void)sched_yield();
		must(p[0] == i && p[31] == i);
		p[0] = p[31] = UINT64_MAX;
		mpipe_free(&pipe_a, p);
	}
	return (NULL);
}

/* MP-1, MP-5: one allocates, the other frees. Half of the buffers are on the
 * belt at most: nowait never fails. */
static void
threads_hand_buffers_to_each_other(void **state)
{
	const struct kalloc_config config = { .ncpus = 3, .pages = 256 };
	uint64_t *all[BELT + 2];
	unsigned i, round;
	pthread_t t;

	(void)state;
	for (round = 0; round < 3; round++) {
		boot(&config);
		kmalloc_raise_limit(M_PIPE, 0);
		memset(&pipe_a, 0, sizeof(pipe_a));
		mpipe_init(&pipe_a, M_PIPE, 256, BELT + 2,
		    round == 2 ? BELT + 4 : BELT + 2,
		    round == 1 ? MPF_CACHEDATA : MPF_NOZERO, NULL, NULL, NULL);
		for (i = 0; i < BELT + 2; i++) {
			all[i] = get();
			all[i][0] = UINT64_MAX;
		}
		for (i = 0; i < BELT + 2; i++)
			mpipe_free(&pipe_a, all[i]);
		t = thread_start(belt_main, NULL);
		for (i = 0; i < HANDED; i++) {
			uint64_t *p = mpipe_alloc_nowait(&pipe_a);

			must(p != NULL);
			must(p[0] == UINT64_MAX);
			p[0] = p[31] = i;
			while (atomic_load(&belt[i % BELT]) != NULL)
				(void)sched_yield();
			atomic_store(&belt[i % BELT], p);
		}
		thread_join(t);
		assert_int_equal(pipe_stats().free, BELT + 2);
		assert_int_equal(pipe_stats().failures, 0);
		assert_int_equal(pipe_stats().requests, HANDED + BELT + 2);
		end();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pipe_is_parted_and_joined),
		cmocka_unit_test(two_threads_keep_a_pipe_parted),
		cmocka_unit_test(wrong_frees_are_told_of_a_parted_pipe),
		cmocka_unit_test(a_stale_hint_does_no_harm),
		cmocka_unit_test(places_above_are_held),
		cmocka_unit_test(a_parted_pipe_grows_and_shrinks),
		cmocka_unit_test(a_pipe_that_zeroes_is_not_parted),
		cmocka_unit_test(who_waits_is_told_by_a_parted_pipe),
		cmocka_unit_test(audits_see_what_is_broken_in_the_back),
		cmocka_unit_test(threads_hand_buffers_to_each_other),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
