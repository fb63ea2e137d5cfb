/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: MPIPE keeps MP-1 .. MP-9, and G-1, G-3, G-5, G-9 where they concern
 * it, on real threads.
 * Method: pages are refused by the observer, used up, or denied by the type's
 * limit, and the nominal buffers must be had all the same. Sleepers are seen to
 * sleep, then one of the things that must wake them is done; a time limit
 * stands for "never".
 */
#define KALLOC_TEST_MAPS
#define KALLOC_TEST_UNMAPS
#include "kalloc_test.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "kmalloc_int.h"
#include "ptr_map.h"
#include "raw_pipe.h"

MALLOC_DEFINE(M_PIPE, "pipe", "buffers of pipes");
MALLOC_DEFINE(M_REST, "rest", "all other memory");

static struct malloc_pipe pipe_a, pipe_b;

/* ---- Systems ---------------------------------------------------------- */

static atomic_int refuse_pages;
static void (*meanwhile)(void); /* while somebody asks for pages, once */

static enum vm_observe
try_pages(void *arg, size_t npages, size_t align, unsigned flags)
{
	void (*fn)(void) = meanwhile;

	meanwhile = NULL;
	if (fn != NULL) {
		fn();
		return (VM_OBSERVE_FAIL);
	}
	(void)arg;
	(void)npages;
	(void)align;
	(void)flags;
	return (atomic_load(&refuse_pages) != 0 ? VM_OBSERVE_FAIL_HARD :
						  VM_OBSERVE_PASS);
}

static void
boot_pages(unsigned ncpus, size_t pages)
{
	const struct kalloc_config config = { .ncpus = ncpus, .pages = pages };
	const struct vm_observer observer = { .ask = try_pages };

	atomic_store(&refuse_pages, 0);
	boot(&config);
	vm_page_observe(&observer);
	kmalloc_raise_limit(M_PIPE, 0);
	kmalloc_raise_limit(M_REST, 0);
	memset(&pipe_a, 0, sizeof(pipe_a));
	memset(&pipe_b, 0, sizeof(pipe_b));
}

static struct mpipe_stats
mp_stats(malloc_pipe_t mp)
{
	struct mpipe_stats s;

	mpipe_get_stats(mp, &s);
	return (s);
}

static void
end(void)
{
	atomic_store(&refuse_pages, 0);
	audit();
	mpipe_done(&pipe_a);
	assert_null(pipe_a.mp_private);
	assert_int_equal(stats(M_PIPE).inuse, 0);
	halt();
}

static void
plain(int nnom, int nmax, int flags)
{
	mpipe_init(&pipe_a, M_PIPE, 256, nnom, nmax, flags, NULL, NULL, NULL);
}

/* ---- One thread ------------------------------------------------------- */

/* MP-1: nothing of this can break it. */
static void
nominal_buffers_can_always_be_had(void **state)
{
	unsigned i, mode, round, n;
	void *p[8], *rest[64];

	(void)state;
	for (mode = 0; mode < 4; mode++) {
		boot_pages(2, 64);
		plain(8, -1, mode % 2 ? MPF_NOZERO : 0);
		assert_int_equal(stats(M_PIPE).inuse, 8);
		n = 0;
		if (mode < 2)
			while ((rest[n] = kmalloc(8192, M_REST, M_INTNOWAIT)) !=
			    NULL)
				n++;
		atomic_store(&refuse_pages, 1);
		for (round = 0; round < 100; round++) {
			for (i = 0; i < 8; i++) {
				p[i] = mpipe_alloc_nowait(&pipe_a);
				assert_non_null(p[i]);
				memset(p[i], 0xa5, 256);
			}
			audit();
			for (i = 0; i < 8; i++)
				mpipe_free(&pipe_a, p[(i + round) % 8]);
			audit();
		}
		assert_int_equal(mp_stats(&pipe_a).requests, 800);
		assert_int_equal(mp_stats(&pipe_a).failures, 0);
		assert_int_equal(mp_stats(&pipe_a).free, 8);
		while (n > 0)
			kfree(rest[--n], M_REST);
		end();
	}
}

/* MP-2 */
static void
a_pipe_grows_up_to_its_maximum(void **state)
{
	static const struct {
		int nnom, nmax;
		uint64_t is_nnom, is_nmax;
	} rows[] = {
		{ 3, 10, 3, 10 },
		{ 3, 0, 3, 3 },
		{ 3, 2, 3, 3 },
		{ 0, 0, 1, 1 },
		{ -5, 4, 1, 4 },
		{ 2, -1, 2, UINT64_MAX },
		{ 1, 1, 1, 1 },
	};
	unsigned i, n, most;
	void *p[300];

	(void)state;
	for (i = 0; i < COUNT_OF(rows); i++) {
		boot_pages(2, 4096);
		plain(rows[i].nnom, rows[i].nmax, 0);
		assert_int_equal(mp_stats(&pipe_a).nnom, rows[i].is_nnom);
		assert_int_equal(mp_stats(&pipe_a).nmax, rows[i].is_nmax);
		assert_int_equal(mp_stats(&pipe_a).total, rows[i].is_nnom);
		assert_int_equal(mp_stats(&pipe_a).bytes, 256);
		assert_string_equal(mp_stats(&pipe_a).type, "pipe");
		most = rows[i].is_nmax < 300 ? (unsigned)rows[i].is_nmax : 300;
		for (n = 0; n < most; n++) {
			p[n] = mpipe_alloc_nowait(&pipe_a);
			assert_non_null(p[n]);
		}
		if (most < 300)
			assert_null(mpipe_alloc_nowait(&pipe_a));
		assert_int_equal(mp_stats(&pipe_a).total, most);
		audit();
		while (n > 0)
			mpipe_free(&pipe_a, p[--n]);
		/* MP-7: the array has room for nnom, the rest went back. */
		assert_int_equal(stats(M_PIPE).inuse, rows[i].is_nnom);
		assert_int_equal(mp_stats(&pipe_a).total, rows[i].is_nnom);
		end();
	}
}

static atomic_int constructed, deconstructed;

static void
construct(void *buf, void *priv)
{
	must(priv == &constructed);
	(void)atomic_fetch_add(&constructed, 1);
	must(*(unsigned char *)buf != 0xc0 || ((unsigned char *)buf)[1] == 0);
	*(unsigned char *)buf = 0xc0;
}

static void
deconstruct(void *buf, void *priv)
{
	must(priv == &constructed);
	must(*(unsigned char *)buf == 0xc0);
	(void)atomic_fetch_add(&deconstructed, 1);
	*(unsigned char *)buf = 0xdc;
}

/* MP-5, MP-6. */
static void
contents_are_as_the_flags_say(void **state)
{
	static const int flags[] = { 0, MPF_NOZERO, MPF_CACHEDATA,
		MPF_NOZERO | MPF_CACHEDATA };
	unsigned i, n, ctor;
	unsigned char *p[6];

	(void)state;
	for (i = 0; i < COUNT_OF(flags); i++)
		for (ctor = 0; ctor < (i == 0 ? 1 : 2); ctor++) {
			bool zero = flags[i] != MPF_NOZERO;

			boot_pages(2, 256);
			p[0] = kmalloc(100, M_PIPE, M_WAITOK);
			memset(p[0], 0xff, 104);
			kfree(p[0], M_PIPE);
			atomic_store(&constructed, 0);
			atomic_store(&deconstructed, 0);
			mpipe_init(&pipe_a, M_PIPE, 100, 2, 6, flags[i],
			    ctor ? construct : NULL, ctor ? deconstruct : NULL,
			    &constructed);
			assert_int_equal(constructed, ctor ? 2 : 0);
			for (n = 0; n < 6; n++) {
				p[n] = mpipe_alloc_nowait(&pipe_a);
				if (zero)
					assert_true(all_are(
					    p[n] + ctor, 0, 100 - ctor));
				if (ctor)
					assert_int_equal(p[n][0], 0xc0);
				memset(p[n] + ctor, (int)n + 1, 100 - ctor);
			}
			assert_int_equal(constructed, ctor ? 6 : 0);
			for (n = 6; n > 0; n--)
				mpipe_free(&pipe_a, p[n - 1]);
			assert_int_equal(deconstructed, ctor ? 4 : 0);
			/* Last in, first out: the last freed but those that
			 * went back. */
			p[0] = mpipe_alloc_nowait(&pipe_a);
			assert_true(all_are(
			    p[0] + ctor, flags[i] == 0 ? 0 : 5, 100 - ctor));
			mpipe_free(&pipe_a, p[0]);
			end();
			assert_int_equal(constructed, deconstructed);
		}
}

/* MP-8 */
static void
growth_may_use_the_reserves(void **state)
{
	static const int depth[] = { 0, MPF_INT };
	const struct kalloc_config config = { .ncpus = 1,
		.pages = 256,
		.reserve_system = 64,
		.reserve_interrupt = 32 };
	unsigned i, n;
	void *p[40];

	(void)state;
	for (i = 0; i < COUNT_OF(depth); i++) {
		boot(&config);
		kmalloc_raise_limit(M_PIPE, 0);
		memset(&pipe_a, 0, sizeof(pipe_a));
		mpipe_init(&pipe_a, M_PIPE, 8 * 4096, 1, -1,
		    MPF_NOZERO | depth[i], NULL, NULL, NULL);
		for (n = 0; n < 40; n++)
			if ((p[n] = mpipe_alloc_nowait(&pipe_a)) == NULL)
				break;
		assert_int_equal(n, i == 0 ? 28 : 32);
		while (n > 0)
			mpipe_free(&pipe_a, p[--n]);
		end();
	}
}

/* MP-9 */
static void
a_pipe_ends_when_all_is_back(void **state)
{
	static struct malloc_pipe zeroed;
	void *p, *q;

	(void)state;
	mpipe_done(&zeroed);
	boot_pages(2, 256);
	mpipe_done(&zeroed);
	plain(2, 4, 0);
	p = mpipe_alloc_nowait(&pipe_a);
	assert_why(BUSY, mpipe_done(&pipe_a));
	q = mpipe_alloc_nowait(&pipe_a);
	assert_non_null(q);
	assert_why(BUSY, mpipe_done(&pipe_a));
	mpipe_free(&pipe_a, q);
	mpipe_free(&pipe_a, NULL); /* MP-7 */
	mpipe_free(&pipe_a, p);
	mpipe_done(&pipe_a);
	mpipe_done(&pipe_a);
	assert_int_equal(stats(M_PIPE).inuse, 0);
	plain(2, 4, 0);
	end();
}

/* G-3: what may not be asked for at all. */
static void
misuse_is_told(void **state)
{
	struct malloc_type undeclared = { .ks_shortdesc = "never" };
	struct mpipe_stats s;

	(void)state;
	boot_pages(2, 256);
	assert_why(BAD_HANDLE, sink = mpipe_alloc_nowait(&pipe_a));
	assert_why(BAD_HANDLE, sink = mpipe_alloc_waitok(&pipe_a));
	assert_why(
	    BAD_HANDLE, sink = mpipe_alloc_callback(&pipe_a, NULL, NULL, NULL));
	assert_why(BAD_HANDLE, mpipe_wait(&pipe_a));
	assert_why(BAD_HANDLE, mpipe_free(&pipe_a, &s));
	assert_why(BAD_HANDLE, mpipe_get_stats(&pipe_a, &s));
	assert_why(BAD_FLAGS, plain(1, 1, 8));
	assert_why(BAD_FLAGS, plain(1, 1, 0x100));
	assert_why(BAD_FLAGS,
	    mpipe_init(&pipe_a, M_PIPE, 8, 1, 1, 0, construct, NULL, NULL));
	assert_why(
	    BAD_ARG, mpipe_init(&pipe_a, M_PIPE, 0, 1, 1, 0, NULL, NULL, NULL));
	assert_why(BAD_TYPE,
	    mpipe_init(&pipe_a, &undeclared, 8, 1, 1, 0, NULL, NULL, NULL));
	assert_null(pipe_a.mp_private);
	plain(1, 1, 0);
	assert_why(BUSY, plain(1, 1, 0));
	assert_why(
	    BAD_FLAGS, sink = mpipe_alloc_callback(&pipe_a, NULL, NULL, NULL));
	assert_true(mpipe_stats(0, &s));
	assert_false(mpipe_stats(1, &s));
	end();
}

/* G-3: buffers that are none, or free; each while the array has room and has
 * not, and for either way of the free. */
static void
wrong_frees_are_told(void **state)
{
	unsigned flags, i, n;
	char *p[100], other;

	(void)state;
	for (flags = 0; flags <= MPF_NOZERO; flags += MPF_NOZERO) {
		boot_pages(2, 256);
		plain(4, 100, (int)flags);
		mpipe_init(&pipe_b, M_PIPE, 256, 1, 1, 0, NULL, NULL, NULL);
		for (n = 0; n < 100; n++)
			p[n] = mpipe_alloc_nowait(&pipe_a);
		for (i = 0; i < 5; i++) {
			assert_why(FOREIGN, mpipe_free(&pipe_a, &other));
			assert_why(FOREIGN, mpipe_free(&pipe_a, p[50] + 8));
			assert_why(FOREIGN, mpipe_free(&pipe_b, p[50]));
			mpipe_free(&pipe_a, p[i]);
			/* The fifth is kmalloc's again. */
			if (i < 4)
				assert_why(
				    DOUBLE_FREE, mpipe_free(&pipe_a, p[i]));
			else
				assert_why(FOREIGN, mpipe_free(&pipe_a, p[i]));
			assert_why(DOUBLE_FREE, mpipe_free(&pipe_a, p[0]));
			audit();
		}
		for (i = 5; i < n; i++)
			mpipe_free(&pipe_a, p[i]);
		/* What was free and is held again may be freed again. */
		p[0] = mpipe_alloc_nowait(&pipe_a);
		mpipe_free(&pipe_a, p[0]);
		assert_why(DOUBLE_FREE, mpipe_free(&pipe_a, p[0]));
		mpipe_done(&pipe_b);
		end();
	}
}

/* G-6: initialisation that cannot be. */
static void
init_that_fails_leaves_nothing(void **state)
{
	unsigned n, callbacks;

	(void)state;
	boot_pages(2, 4096);
	assert_why(LIMIT,
	    mpipe_init(
		&pipe_a, M_TEMP, 64 * 1024, 100, 100, 0, NULL, NULL, NULL));
	assert_null(pipe_a.mp_private);
	assert_int_equal(stats(M_TEMP).inuse, 0);
	assert_why(LIMIT,
	    mpipe_init(
		&pipe_a, M_TEMP, (size_t)1 << 40, 1, 1, 0, NULL, NULL, NULL));
	for (callbacks = 0; callbacks < 2; callbacks++) {
		for (n = 1;; n++) {
			maps = 0;
			refuse_map = n;
			if (strcmp(why_of(plain(
				       2, 4, callbacks ? MPF_CALLBACK : 0)),
				ka_why_name(KA_WHY_LIMIT)) != 0)
				break;
			refuse_map = 0;
			assert_int_equal(stats(M_PIPE).inuse, 0);
			assert_null(pipe_a.mp_private);
		}
		refuse_map = 0;
		assert_int_equal(n, callbacks ? 5 : 4);
		mpipe_done(&pipe_a);
	}
	plain(2, 4, 0);
	end();
}

/* In the order in which they were made. */
static void
all_pipes_are_told_in_turn(void **state)
{
	struct mpipe_stats s;

	(void)state;
	boot_pages(1, 256);
	assert_false(mpipe_stats(0, &s));
	plain(3, 4, 0);
	mpipe_init(&pipe_b, M_REST, 100, 5, 6, 0, NULL, NULL, NULL);
	assert_true(mpipe_stats(0, &s));
	assert_int_equal(s.nnom, 3);
	assert_string_equal(s.type, "pipe");
	assert_true(mpipe_stats(1, &s));
	assert_int_equal(s.nnom, 5);
	assert_string_equal(s.type, "rest");
	assert_false(mpipe_stats(2, &s));
	mpipe_done(&pipe_b);
	assert_false(mpipe_stats(1, &s));
	end();
}

/* Growth for which the map of buffers has no memory is no growth. */
static void
growth_needs_memory_to_know_buffers_by(void **state)
{
	void *p[50];
	unsigned n;

	(void)state;
	boot_pages(2, 4096);
	plain(8, -1, 0);
	maps = 0;
	refuse_map = 1;
	for (n = 0; n < 50; n++)
		if ((p[n] = mpipe_alloc_nowait(&pipe_a)) == NULL)
			break;
	refuse_map = 0;
	assert_int_equal(n, 8);
	audit();
	for (; n < 50; n++) {
		p[n] = mpipe_alloc_nowait(&pipe_a);
		assert_non_null(p[n]);
	}
	while (n > 0)
		mpipe_free(&pipe_a, p[--n]);
	end();
}

static void *grown_meanwhile;

static void
grow_meanwhile(void)
{
	grown_meanwhile = mpipe_alloc_nowait(&pipe_a);
}

/* Two who need a larger map make two; one of them is used. */
static void
the_map_may_grow_twice_at_one_time(void **state)
{
	void *p[10];
	unsigned n;

	(void)state;
	boot_pages(2, 4096);
	plain(8, -1, 0);
	for (n = 0; n < 8; n++)
		p[n] = mpipe_alloc_nowait(&pipe_a);
	map_hook = grow_meanwhile;
	for (; n < 10 && map_hook != NULL; n++)
		p[n] = mpipe_alloc_nowait(&pipe_a);
	assert_null(map_hook);
	assert_non_null(grown_meanwhile);
	assert_non_null(p[n - 1]);
	assert_int_equal(mp_stats(&pipe_a).total, n + 1);
	audit();
	mpipe_free(&pipe_a, grown_meanwhile);
	while (n > 0)
		mpipe_free(&pipe_a, p[--n]);
	end();
}

static struct kalloc_leak leaks[4];
static unsigned nleaks;

static void
note_leak(void *arg, const struct kalloc_leak *leak)
{
	(void)arg;
	if (nleaks < COUNT_OF(leaks))
		leaks[nleaks] = *leak;
	nleaks++;
}

/* G-1: also with a support thread. */
static void
halt_tells_what_is_held(void **state)
{
	struct mpipe_stats s;
	unsigned flags;
	void *p;

	(void)state;
	for (flags = 0; flags <= MPF_CALLBACK; flags += MPF_CALLBACK) {
		boot_pages(2, 256);
		plain(3, 4, (int)flags);
		p = mpipe_alloc_nowait(&pipe_a);
		assert_non_null(p);
		nleaks = 0;
		assert_int_equal(kalloc_halt(false, note_leak, NULL), EBUSY);
		assert_int_equal(nleaks, 2);
		assert_string_equal(leaks[0].name, "mpipe");
		assert_int_equal(leaks[0].count, 1);
		assert_int_equal(leaks[0].bytes, 256);
		assert_string_equal(leaks[1].name, "pipe");
		assert_int_equal(leaks[1].count, 3);
		assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
		boot(&(struct kalloc_config) { .ncpus = 1, .pages = 64 });
		assert_false(mpipe_stats(0, &s));
		/* Of the system before: not of this one. */
		mpipe_done(&pipe_a);
		assert_null(pipe_a.mp_private);
		halt();
	}
}

static void
audits_see_what_is_broken(void **state)
{
	struct raw_pipe *raw;
	const char *found;
	void *p;

	(void)state;
	boot_pages(1, 256);
	plain(3, 4, 0);
	raw = pipe_a.mp_private;
	assert_int_equal(raw->free, 3);
	assert_int_equal(raw->nnom, 3);
	audit();
	raw->free = 5;
	assert_string_equal(mpipe_audit(&found), "I-MP-1");
	raw->free = 3;
	assert_int_equal(raw->total, 3);
	assert_int_equal(raw->nmax, 4);
	raw->total = 2; /* fewer than nnom */
	assert_string_equal(mpipe_audit(&found), "I-MP-1");
	raw->total = 5;
	assert_string_equal(mpipe_audit(&found), "I-MP-1");
	raw->total = 4; /* one more than the map knows */
	assert_string_equal(mpipe_audit(&found), "I-MP-2");
	raw->total = 3;
	p = raw->array[0];
	raw->array[0] = raw;
	assert_string_equal(mpipe_audit(&found), "I-MP-2");
	raw->array[0] = raw->array[1];
	assert_string_equal(mpipe_audit(&found), "I-MP-2");
	mpipe_init(&pipe_b, M_PIPE, 64, 1, 1, 0, NULL, NULL, NULL);
	assert_string_equal(mpipe_audit(&found), "I-MP-2"); /* the first */
	mpipe_done(&pipe_b);
	raw->array[0] = p;
	raw->watchers = 1;
	assert_string_equal(mpipe_audit(&found), "I-MP-3");
	raw->free = 0;
	assert_string_equal(mpipe_audit(&found), "I-MP-4");
	raw->free = 3;
	raw->watchers = 0;
	end();
}

/*
 * Who frees a buffer that another is giving back has freed it twice. Here the
 * other is in the middle of it: with both paths of a free.
 */
static void
a_buffer_on_its_way_back_is_not_held(void **state)
{
	static const int flags[] = { 0, MPF_NOZERO };
	struct ptr_map_slot *slot;
	unsigned i;
	void *p;

	(void)state;
	for (i = 0; i < 2; i++) {
		uint64_t held;

		boot_pages(1, 256);
		plain(2, 2, flags[i]);
		p = mpipe_alloc_nowait(&pipe_a);
		slot = ptr_map__find(
		    &((struct raw_pipe *)pipe_a.mp_private)->map, p);
		held = slot->value;
		slot->value = UINT64_MAX; /* MP_BUSY */
		assert_why(DOUBLE_FREE, mpipe_free(&pipe_a, p));
		assert_ptr_equal(caught.addr, p);
		assert_int_equal(mp_stats(&pipe_a).free, 1);
		slot->value = held;
		mpipe_free(&pipe_a, p);
		end();
	}
}

/* One of twice the size is a number, or there is no memory for it. */
static void
a_map_that_cannot_grow_is_no_memory(void **state)
{
	struct ptr_map map = { 0 };

	(void)state;
	assert_int_equal(ptr_map__init(&map, PTR_MAP_ROOM_MAX + 1), ENOMEM);
	assert_int_equal(ptr_map__init(&map, UINT32_MAX), ENOMEM);
	assert_null(map.slot);
}

static atomic_uint fault_step;
static void *fault_page;
static __thread bool may_fault;

/* The free waits where it zeroes the buffer. */
static void
fault_waits(int sig)
{
	(void)sig;
	must(may_fault);
	atomic_store(&fault_step, 1);
	while (atomic_load(&fault_step) == 1)
		(void)sched_yield();
	must(mprotect(fault_page, 4096, PROT_READ | PROT_WRITE) == 0);
}

static void *
fault_main(void *p)
{
	may_fault = true;
	mpipe_free(&pipe_a, p);
	return (NULL);
}

/* The same, with another who is really there: zeroing the buffer. */
static void
a_buffer_that_is_zeroed_is_not_held(void **state)
{
	const struct sigaction wait = { .sa_handler = fault_waits };
	struct sigaction old;
	pthread_t t;

	(void)state;
	boot_pages(2, 256);
	mpipe_init(&pipe_a, M_PIPE, 12288, 2, 2, 0, NULL, NULL, NULL);
	fault_page = mpipe_alloc_nowait(&pipe_a);
	assert_int_equal(sigaction(SIGSEGV, &wait, &old), 0);
	assert_int_equal(mprotect(fault_page, 4096, PROT_READ), 0);
	atomic_store(&fault_step, 0);
	t = thread_start(fault_main, fault_page);
	assert_true(wait_until(atomic_load(&fault_step) == 1));
	assert_why(DOUBLE_FREE, mpipe_free(&pipe_a, fault_page));
	assert_int_equal(mp_stats(&pipe_a).free, 1);
	atomic_store(&fault_step, 2);
	thread_join(t);
	assert_int_equal(sigaction(SIGSEGV, &old, NULL), 0);
	assert_int_equal(mp_stats(&pipe_a).free, 2);
	end();
}

static bool refuse_thread;
int __real_pthread_create(
    pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(
    pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int
__wrap_pthread_create(
    pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	return (
	    refuse_thread ? EAGAIN : __real_pthread_create(t, attr, fn, arg));
}

/* G-6, MP-9: no thread, no pipe; and what is left of a pipe is none. */
static void
a_pipe_needs_its_thread(void **state)
{
	struct malloc_pipe stale;
	void *p;

	(void)state;
	boot_pages(1, 256);
	refuse_thread = true;
	assert_why(LIMIT, plain(2, 4, MPF_CALLBACK));
	refuse_thread = false;
	assert_null(pipe_a.mp_private);
	assert_int_equal(stats(M_PIPE).inuse, 0);
	audit();
	plain(2, 4, MPF_CALLBACK);
	stale = pipe_a;
	assert_why(BUSY, plain(2, 4, 0));
	mpipe_done(&pipe_a);
	pipe_a = stale;
	plain(2, 4, 0);
	p = mpipe_alloc_nowait(&pipe_a);
	assert_non_null(p);
	mpipe_free(&pipe_a, p);
	end();
}

/* ---- Sleeping --------------------------------------------------------- */

struct sleeper {
	bool only_wait;
	void *p;
};

static void *
sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	if (s->only_wait)
		mpipe_wait(&pipe_a);
	else
		s->p = mpipe_alloc_waitok(&pipe_a);
	return (NULL);
}

static void *
free_pipe(void *p)
{
	mpipe_free(&pipe_a, p);
	return (NULL);
}

static void *
free_rest(void *p)
{
	kfree(p, M_REST);
	return (NULL);
}

/* MP-3, MP-7, G-5: the pipe has all it may have. */
static void
sleepers_are_woken_by_a_free(void **state)
{
	unsigned mode, i;
	void *p[4];

	(void)state;
	for (mode = 0; mode < 8; mode++) {
		struct sleeper s[2] = { { mode % 2, NULL },
			{ mode % 2, NULL } };
		pthread_t t[2];

		boot_pages(3, 256);
		plain(2, mode & 4 ? 4 : 2, mode & 2 ? MPF_NOZERO : 0);
		for (i = 0; i < (mode & 4 ? 4 : 2); i++)
			p[i] = mpipe_alloc_waitok(&pipe_a);
		for (i = 0; i < 2; i++)
			t[i] = thread_start(sleeper_main, &s[i]);
		assert_true(wait_until(mp_stats(&pipe_a).sleeps == 2));
		sleep_ms(2);
		for (i = 0; i < (mode & 4 ? 4 : 2); i++)
			thread_run(free_pipe, p[i]);
		for (i = 0; i < 2; i++) {
			thread_join(t[i]);
			if (s[i].only_wait)
				assert_null(s[i].p);
			else
				assert_non_null(s[i].p);
			mpipe_free(&pipe_a, s[i].p);
		}
		end();
	}
}

/* Takes all memory that a pipe could grow by. */
static unsigned
take_all_memory(void **rest)
{
	unsigned n = 0;

	while ((rest[n] = kmalloc(8192, M_REST, M_INTNOWAIT)) != NULL)
		n++;
	return (n);
}

/* MP-3, G-5: it could have more, but there are no pages. A buffer, pages, or a
 * chunk on another CPU will do, and a failure that was only injected. */
static void
sleepers_are_woken_by_memory(void **state)
{
	enum {
		BY_BUFFER,
		BY_REST,
		BY_REST_ELSEWHERE,
		BY_END_OF_REFUSAL,
		WAYS
	};
	unsigned way, mode, i, n;
	void *p[2], *rest[64];

	(void)state;
	for (way = 0; way < WAYS; way++)
		for (mode = 0; mode < 4; mode++) {
			bool only_wait = (mode & 1) != 0;
			struct sleeper s = { only_wait, NULL };
			pthread_t t;

			boot_pages(3, 64);
			mpipe_init(&pipe_a, M_PIPE, 8192, 2, -1,
			    mode & 2 ? MPF_INT : 0, NULL, NULL, NULL);
			n = take_all_memory(rest);
			if (way == BY_END_OF_REFUSAL)
				atomic_store(&refuse_pages, 1);
			for (i = 0; i < 2; i++)
				p[i] = mpipe_alloc_waitok(&pipe_a);
			t = thread_start(sleeper_main, &s);
			assert_true(wait_until(vm_stats().waits >= 1));
			if (way == BY_BUFFER)
				mpipe_free(&pipe_a, p[--i]);
			else if (way == BY_REST)
				kfree(rest[--n], M_REST);
			else if (way == BY_REST_ELSEWHERE)
				thread_run(free_rest, rest[--n]);
			atomic_store(&refuse_pages, 0);
			if (way == BY_END_OF_REFUSAL)
				kfree(rest[--n], M_REST);
			thread_join(t);
			assert_true(only_wait || s.p != NULL);
			mpipe_free(&pipe_a, s.p);
			audit();
			while (i > 0)
				mpipe_free(&pipe_a, p[--i]);
			while (n > 0)
				kfree(rest[--n], M_REST);
			end();
		}
}

/* The same, but it is the type's limit that kmalloc refuses for. */
static void
sleepers_are_woken_below_the_limit(void **state)
{
	struct sleeper s = { false, NULL };
	void *p, *rest[64];
	unsigned n, way;
	pthread_t t;

	(void)state;
	for (way = 0; way < 2; way++) {
		boot_pages(3, 4096);
		mpipe_init(
		    &pipe_a, M_TEMP, 32 * 1024, 1, -1, 0, NULL, NULL, NULL);
		p = mpipe_alloc_waitok(&pipe_a);
		for (n = 0; n < 64; n++)
			if ((rest[n] = kmalloc(32 * 1024, M_TEMP, M_NOWAIT)) ==
			    NULL)
				break;
		assert_in_range(n, 10, 63);
		t = thread_start(sleeper_main, &s);
		assert_true(wait_until(vm_stats().waits >= 1));
		if (way == 0) {
			kfree(rest[--n], M_TEMP);
			while (n > 48)
				kfree(rest[--n], M_TEMP);
		} else {
			mpipe_free(&pipe_a, p);
			p = NULL;
		}
		thread_join(t);
		assert_non_null(s.p);
		mpipe_free(&pipe_a, s.p);
		mpipe_free(&pipe_a, p);
		while (n > 0)
			kfree(rest[--n], M_TEMP);
		end();
	}
}

static atomic_uint limit_step;
static unsigned limit_held;
static void *limit_object[4096];

/* Has what the type may have, in chunks; then frees some, the last first: its
 * fast path does, while it knows of nobody who waits. */
static void *
limit_main(void *arg)
{
	(void)arg;
	while (
	    (limit_object[limit_held] = kmalloc(256, M_TEMP, M_NOWAIT)) != NULL)
		must(++limit_held < COUNT_OF(limit_object));
	atomic_store(&limit_step, 1);
	while (atomic_load(&limit_step) == 1)
		(void)sched_yield();
	while (stats(M_TEMP).memuse >= stats(M_TEMP).limit)
		kfree(limit_object[--limit_held], M_TEMP);
	atomic_store(&limit_step, 3);
	while (atomic_load(&limit_step) == 3)
		(void)sched_yield();
	while (limit_held != 0)
		kfree(limit_object[--limit_held], M_TEMP);
	return (NULL);
}

/* The same, of chunks that are freed where they were had, until usage is just
 * below the limit. */
static void
sleepers_at_the_limit_are_seen_by_fast_frees(void **state)
{
	struct sleeper s = { false, NULL };
	pthread_t t, u;
	void *p;

	(void)state;
	boot_pages(3, 1024);
	mpipe_init(&pipe_a, M_TEMP, 256, 1, 2, 0, NULL, NULL, NULL);
	p = mpipe_alloc_nowait(&pipe_a);
	limit_held = 0;
	atomic_store(&limit_step, 0);
	t = thread_start(limit_main, NULL);
	assert_true(wait_until(atomic_load(&limit_step) == 1));
	u = thread_start(sleeper_main, &s);
	assert_true(wait_until(vm_stats().waits >= 1));
	atomic_store(&limit_step, 2);
	assert_true(wait_until(atomic_load(&limit_step) == 3));
	thread_join(u);
	assert_non_null(s.p);
	atomic_store(&limit_step, 4);
	thread_join(t);
	mpipe_free(&pipe_a, s.p);
	mpipe_free(&pipe_a, p);
	end();
}

/* A few pages are no chunk: of 8192 bytes neither, which are two pages but come
 * from a slab. */
static void
pages_that_are_no_slab_are_slept_beside(void **state)
{
	struct sleeper s = { false, NULL };
	void *p, *rest[64];
	uint64_t allocs;
	pthread_t t;
	unsigned n;

	(void)state;
	boot_pages(2, 66);
	mpipe_init(&pipe_a, M_PIPE, 8192, 1, 2, 0, NULL, NULL, NULL);
	p = mpipe_alloc_nowait(&pipe_a);
	n = take_all_memory(rest);
	assert_int_equal(vm_free_pages(), 2);
	allocs = vm_stats().allocs;
	t = thread_start(sleeper_main, &s);
	assert_true(wait_until(vm_stats().waits >= 1));
	assert_int_equal(vm_stats().allocs, allocs); /* not even tried */
	kfree(rest[--n], M_REST);
	thread_join(t);
	assert_non_null(s.p);
	mpipe_free(&pipe_a, s.p);
	mpipe_free(&pipe_a, p);
	while (n > 0)
		kfree(rest[--n], M_REST);
	end();
}

static unsigned refusals;

static void
refuse_again(void)
{
	if (--refusals != 0)
		meanwhile = refuse_again;
}

/* MP-3, VM-6: growth was refused, and not for want of pages. There are as many
 * as the buffer needs, though not on a slab's boundary: no reason to sleep. */
static void
pages_anywhere_are_enough_for_large_buffers(void **state)
{
	struct sleeper s = { false, NULL };
	char *page[64];
	unsigned i, n;
	void *p;

	(void)state;
	boot_pages(2, 64);
	mpipe_init(&pipe_a, M_PIPE, 3 * 4096, 1, 2, 0, NULL, NULL, NULL);
	p = mpipe_alloc_nowait(&pipe_a);
	for (n = 0;
	     (page[n] = vm_page_alloc(1, 0, VM_ALLOC_INTERRUPT)) != NULL;)
		n++;
	assert_true(((uintptr_t)page[8] & (KA_SLAB_SIZE - 1)) != 0);
	for (i = 8; i < 11; i++)
		vm_page_free(page[i], 1);
	refusals = 2; /* of kmalloc; not of who looks whether to wait */
	meanwhile = refuse_again;
	thread_run(sleeper_main, &s);
	assert_ptr_equal(s.p, page[8]);
	assert_int_equal(vm_stats().waits, 0);
	mpipe_free(&pipe_a, s.p);
	mpipe_free(&pipe_a, p);
	for (i = 0; i < n; i++)
		if (i < 8 || i >= 11)
			vm_page_free(page[i], 1);
	end();
}

/* MP-3: a sleeper takes room that another gives up. V17. */
static void
a_sleeper_may_grow_again(void **state)
{
	struct sleeper s[2] = { { false, NULL }, { false, NULL } };
	void *p, *rest[64];
	pthread_t t[2];
	unsigned i, n;

	(void)state;
	boot_pages(3, 64);
	mpipe_init(&pipe_a, M_PIPE, 8192, 1, 2, 0, NULL, NULL, NULL);
	n = take_all_memory(rest);
	p = mpipe_alloc_waitok(&pipe_a);
	for (i = 0; i < 2; i++)
		t[i] = thread_start(sleeper_main, &s[i]);
	assert_true(wait_until(mp_stats(&pipe_a).sleeps == 2));
	sleep_ms(2);
	mpipe_free(&pipe_a, p);	  /* for one of them */
	kfree(rest[--n], M_REST); /* for the other to grow by */
	for (i = 0; i < 2; i++) {
		thread_join(t[i]);
		assert_non_null(s[i].p);
	}
	assert_int_equal(mp_stats(&pipe_a).total, 2);
	for (i = 0; i < 2; i++)
		mpipe_free(&pipe_a, s[i].p);
	while (n > 0)
		kfree(rest[--n], M_REST);
	end();
}

static pthread_t meanwhile_thread;
static struct sleeper meanwhile_sleeper;
static void *meanwhile_free;

static void
somebody_sleeps(void)
{
	meanwhile_thread = thread_start(sleeper_main, &meanwhile_sleeper);
	must(wait_until(mp_stats(&pipe_a).sleeps == 1));
	sleep_ms(2);
}

static void
somebody_frees(void)
{
	thread_run(free_pipe, meanwhile_free);
}

/* The last room is claimed by growth that fails then: who sleeps for want of
 * room is told. */
static void
growth_that_fails_gives_room(void **state)
{
	void *p;

	(void)state;
	boot_pages(3, 256);
	/* Of whole pages: growth asks for them each time. */
	mpipe_init(&pipe_a, M_PIPE, 9000, 1, 2, 0, NULL, NULL, NULL);
	p = mpipe_alloc_nowait(&pipe_a);
	meanwhile_sleeper = (struct sleeper) { false, NULL };
	meanwhile = somebody_sleeps;
	assert_null(mpipe_alloc_nowait(&pipe_a));
	thread_join(meanwhile_thread);
	assert_non_null(meanwhile_sleeper.p);
	mpipe_free(&pipe_a, meanwhile_sleeper.p);
	mpipe_free(&pipe_a, p);
	assert_int_equal(mp_stats(&pipe_a).total, 1);
	end();
}

/* ---- Callbacks -------------------------------------------------------- */

static pthread_t main_thread;
static atomic_uint called, order_broken, got_buffer;
static atomic_bool hold_callback, in_callback;

/* In the order of their numbers, from another thread, with nothing locked. */
static void
note_callback(void *arg1, void *arg2)
{
	uintptr_t number = (uintptr_t)arg1;
	struct mpipe_stats s;
	void *p;

	must(arg2 == &pipe_a);
	must(!pthread_equal(pthread_self(), main_thread));
	if (atomic_load(&called) != number)
		(void)atomic_fetch_add(&order_broken, 1);
	must(mpipe_stats(0, &s));
	p = kmalloc(64, M_REST, M_WAITOK);
	must(p != NULL);
	kfree(p, M_REST);
	p = mpipe_alloc_nowait(&pipe_a);
	if (p != NULL)
		(void)atomic_fetch_add(&got_buffer, 1);
	mpipe_free(&pipe_a, p);
	while (atomic_load(&hold_callback)) {
		atomic_store(&in_callback, true);
		sleep_ms(1);
	}
	(void)atomic_fetch_add(&called, 1);
}

static void
callbacks_begin(int nnom, int nmax)
{
	boot_pages(3, 256);
	plain(nnom, nmax, MPF_CALLBACK);
	main_thread = pthread_self();
	atomic_store(&called, 0);
	atomic_store(&order_broken, 0);
	atomic_store(&got_buffer, 0);
	atomic_store(&hold_callback, false);
	atomic_store(&in_callback, false);
}

/* MP-4: once, in order, from the support thread, also very many. */
static void
callbacks_run_in_order(void **state)
{
	uintptr_t i;
	void *p[2];

	(void)state;
	callbacks_begin(2, 2);
	for (i = 0; i < 2; i++) {
		p[i] = mpipe_alloc_callback(
		    &pipe_a, note_callback, (void *)99, &pipe_a);
		assert_non_null(p[i]);
	}
	for (i = 0; i < 100; i++)
		assert_null(mpipe_alloc_callback(
		    &pipe_a, note_callback, (void *)i, &pipe_a));
	assert_int_equal(mp_stats(&pipe_a).pending, 100);
	sleep_ms(5);
	assert_int_equal(called, 0);
	assert_why(BUSY, mpipe_done(&pipe_a));
	audit();
	mpipe_free(&pipe_a, p[0]);
	assert_true(wait_until(atomic_load(&called) == 100));
	assert_int_equal(order_broken, 0);
	assert_int_equal(got_buffer, 100);
	assert_int_equal(mp_stats(&pipe_a).callbacks, 100);
	assert_int_equal(mp_stats(&pipe_a).pending, 0);
	/* With a buffer free none is queued. */
	assert_true(wait_until(mp_stats(&pipe_a).free == 1));
	p[0] = mpipe_alloc_callback(&pipe_a, note_callback, NULL, &pipe_a);
	assert_non_null(p[0]);
	for (i = 0; i < 2; i++)
		mpipe_free(&pipe_a, p[i]);
	end();
	assert_int_equal(called, 100);
}

/* MP-1, MP-4: a buffer that comes back while growth fails is found. */
static void
a_free_during_growth_is_found(void **state)
{
	unsigned way;
	void *p;

	(void)state;
	for (way = 0; way < 2; way++) {
		boot_pages(3, 256);
		mpipe_init(&pipe_a, M_PIPE, 9000, 1, 2, MPF_CALLBACK, NULL,
		    NULL, NULL);
		meanwhile_free = mpipe_alloc_nowait(&pipe_a);
		meanwhile = somebody_frees;
		p = way == 0 ?
		    mpipe_alloc_nowait(&pipe_a) :
		    mpipe_alloc_callback(&pipe_a, note_callback, NULL, NULL);
		assert_ptr_equal(p, meanwhile_free);
		assert_int_equal(mp_stats(&pipe_a).pending, 0);
		mpipe_free(&pipe_a, p);
		end();
	}
}

/* MP-9: pending while everything is back, since another one still runs. */
static void
a_pending_callback_keeps_the_pipe(void **state)
{
	void *p;

	(void)state;
	callbacks_begin(1, 1);
	atomic_store(&hold_callback, true);
	p = mpipe_alloc_nowait(&pipe_a);
	assert_null(
	    mpipe_alloc_callback(&pipe_a, note_callback, (void *)0, &pipe_a));
	assert_null(
	    mpipe_alloc_callback(&pipe_a, note_callback, (void *)1, &pipe_a));
	mpipe_free(&pipe_a, p);
	assert_true(wait_until(atomic_load(&in_callback)));
	assert_int_equal(mp_stats(&pipe_a).free, 1);
	assert_why(BUSY, mpipe_done(&pipe_a));
	atomic_store(&hold_callback, false);
	assert_true(wait_until(atomic_load(&called) == 2));
	end();
}

static _Atomic(void *) kept;

static void
keep_in_callback(void *arg1, void *arg2)
{
	(void)arg1;
	(void)arg2;
	atomic_store(&in_callback, true);
	while (atomic_load(&hold_callback))
		sleep_ms(1);
	sleep_ms(20);
	atomic_store(&kept, mpipe_alloc_nowait(&pipe_a));
	(void)atomic_fetch_add(&called, 1);
}

/* MP-9: a callback that runs when the pipe is to end takes a buffer for itself,
 * as it is there for. */
static void
a_callback_may_come_to_hold_a_buffer(void **state)
{
	void *p;

	(void)state;
	callbacks_begin(1, 1);
	atomic_store(&hold_callback, true);
	p = mpipe_alloc_nowait(&pipe_a);
	assert_null(
	    mpipe_alloc_callback(&pipe_a, keep_in_callback, NULL, NULL));
	mpipe_free(&pipe_a, p);
	assert_true(wait_until(atomic_load(&in_callback)));
	assert_int_equal(mp_stats(&pipe_a).pending, 0);
	atomic_store(&hold_callback, false);
	assert_why(BUSY, mpipe_done(&pipe_a));
	assert_int_equal(atomic_load(&called), 1);
	mpipe_free(&pipe_a, atomic_load(&kept));
	/* And the pipe is as it was. */
	p = mpipe_alloc_nowait(&pipe_a);
	assert_null(
	    mpipe_alloc_callback(&pipe_a, note_callback, (void *)1, &pipe_a));
	mpipe_free(&pipe_a, p);
	assert_true(wait_until(atomic_load(&called) == 2));
	end();
}

static const char *callback_why;

static void
end_in_callback(void *arg1, void *arg2)
{
	(void)arg1;
	(void)arg2;
	callback_why = why_of(mpipe_done(&pipe_a));
	(void)atomic_fetch_add(&called, 1);
}

static void
a_callback_cannot_end_its_pipe(void **state)
{
	void *p;

	(void)state;
	callbacks_begin(1, 1);
	p = mpipe_alloc_nowait(&pipe_a);
	assert_null(mpipe_alloc_callback(&pipe_a, end_in_callback, NULL, NULL));
	mpipe_free(&pipe_a, p);
	assert_true(wait_until(atomic_load(&called) == 1));
	assert_string_equal(callback_why, "busy");
	end();
}

static void
callbacks_need_memory_to_be_queued(void **state)
{
	uintptr_t i;
	void *p;

	(void)state;
	callbacks_begin(1, 1);
	p = mpipe_alloc_nowait(&pipe_a);
	for (i = 0; i < 16; i++)
		assert_null(mpipe_alloc_callback(
		    &pipe_a, note_callback, (void *)i, &pipe_a));
	maps = 0;
	refuse_map = 1;
	assert_why(BUSY,
	    sink = mpipe_alloc_callback(
		&pipe_a, note_callback, (void *)16, &pipe_a));
	refuse_map = 0;
	assert_int_equal(mp_stats(&pipe_a).pending, 16);
	mpipe_free(&pipe_a, p);
	assert_true(wait_until(atomic_load(&called) == 16));
	assert_int_equal(order_broken, 0);
	end();
}

static void
queue_meanwhile(void)
{
	sink =
	    mpipe_alloc_callback(&pipe_a, note_callback, (void *)16, &pipe_a);
}

/* Whatever the pipe had of the system is given back, also of what has grown,
 * and of what turned out not to be needed. */
static void
a_pipe_leaves_nothing_mapped(void **state)
{
	uintptr_t i;
	int64_t before;
	void *p;

	(void)state;
	boot_pages(3, 4096);
	halt();
	before = mapped_bytes;
	callbacks_begin(2000, 2000);
	mpipe_done(&pipe_a);
	plain(1, 1, MPF_CALLBACK);
	p = mpipe_alloc_nowait(&pipe_a);
	for (i = 0; i < 16; i++)
		assert_null(mpipe_alloc_callback(
		    &pipe_a, note_callback, (void *)i, &pipe_a));
	/* Two make a larger queue; one of them is used. */
	map_hook = queue_meanwhile;
	for (i = 17; i < 600; i++)
		assert_null(mpipe_alloc_callback(
		    &pipe_a, note_callback, (void *)i, &pipe_a));
	assert_null(map_hook);
	mpipe_free(&pipe_a, p);
	assert_true(wait_until(atomic_load(&called) == 600));
	assert_int_equal(order_broken, 0);
	end();
	assert_int_equal(mapped_bytes, before);
}

/* ---- Several threads -------------------------------------------------- */

static atomic_uint in_use, callbacks_due;

static void
count_callback(void *arg1, void *arg2)
{
	(void)arg1;
	(void)arg2;
	(void)atomic_fetch_sub(&callbacks_due, 1);
}

struct mill {
	unsigned rounds, nnom;
	bool callbacks, waits;
	uint32_t seed;
	uint64_t mark;
};

/* Asks for a buffer in a random way; MP-1: not in vain, while fewer than nnom
 * can be held. */
static uint64_t *
mill_get(struct mill *m, uint32_t r)
{
	uint64_t *p;
	unsigned before;

	if (m->waits && r % 4 == 0)
		return (mpipe_alloc_waitok(&pipe_a));
	if (m->callbacks && r % 4 == 1) {
		(void)atomic_fetch_add(&callbacks_due, 1);
		p = mpipe_alloc_callback(&pipe_a, count_callback, NULL, NULL);
		if (p != NULL)
			(void)atomic_fetch_sub(&callbacks_due, 1);
		return (p);
	}
	before = atomic_fetch_add(&in_use, 1);
	p = mpipe_alloc_nowait(&pipe_a);
	must(p != NULL || before >= m->nnom || m->waits || m->callbacks);
	if (p == NULL || m->waits || m->callbacks)
		(void)atomic_fetch_sub(&in_use, 1);
	return (p);
}

static void *
mill_main(void *arg)
{
	struct mill *m = arg;
	uint64_t *p;
	unsigned i;

	for (i = 0; i < m->rounds; i++) {
		uint32_t r = next_random(&m->seed);

		p = mill_get(m, r);
		if (p == NULL)
			continue;
		must(p[0] == 0 && p[7] == 0);
		p[0] = m->mark;
		p[7] = m->mark;
		if (r % 8 == 0)
			(void)sched_yield();
		must(p[0] == m->mark && p[7] == m->mark);
		mpipe_free(&pipe_a, p);
		if (!m->waits && !m->callbacks)
			(void)atomic_fetch_sub(&in_use, 1);
	}
	return (NULL);
}

/* MP-1, MP-3, MP-4, MP-5, MP-7, G-5. Modes: nobody waits, and as many threads
 * as nominal buffers; more threads than buffers that wait; and callbacks; and
 * no pages at all. */
static void
threads_share_a_pipe(void **state)
{
	enum {
		N = 5
	};
	unsigned i, mode;

	(void)state;
	for (mode = 0; mode < 8; mode++) {
		struct mill m[N];
		pthread_t t[N];
		unsigned nnom = mode % 4 < 2 ? N : 2;

		boot_pages(mode % 2 ? 2 : 6, 256);
		mpipe_init(&pipe_a, M_PIPE, 64, (int)nnom,
		    mode % 4 == 3 ? (int)nnom : (int)nnom + 2,
		    mode >= 4 ? MPF_CALLBACK : 0, NULL, NULL, NULL);
		atomic_store(&in_use, 0);
		atomic_store(&callbacks_due, 0);
		if (mode % 2)
			atomic_store(&refuse_pages, 1);
		for (i = 0; i < N; i++) {
			m[i] = (struct mill) { .rounds = 3000,
				.nnom = nnom,
				.waits = mode % 4 >= 2,
				.callbacks = mode >= 4,
				.seed = 99 + i + mode * 100,
				.mark = i + 1 };
			t[i] = thread_start(mill_main, &m[i]);
		}
		for (i = 0; i < N; i++)
			thread_join(t[i]);
		assert_true(wait_until(atomic_load(&callbacks_due) == 0));
		assert_int_equal(in_use, 0);
		assert_int_equal(
		    mp_stats(&pipe_a).total, mp_stats(&pipe_a).free);
		end();
	}
}

static atomic_int hoarder_step;

/* Has a slab of its own that is wholly free, and stays. */
static void *
hoard_slab(void *arg)
{
	(void)arg;
	kfree(kmalloc(64, M_REST, M_WAITOK), M_REST);
	atomic_store(&hoarder_step, 1);
	must(wait_until(atomic_load(&hoarder_step) == 2));
	return (NULL);
}

/* VM-7: before it sleeps it takes what others hoard. */
static void
hoarded_slabs_are_taken_before_sleeping(void **state)
{
	void *p[3], *rest[64];
	unsigned i, n;
	pthread_t t;

	(void)state;
	boot_pages(3, 64);
	mpipe_init(&pipe_a, M_PIPE, 8192, 2, -1, 0, NULL, NULL, NULL);
	/* Requests that may wait and are over are not in anybody's way. */
	for (i = 0; i < 4; i++)
		kfree(kmalloc(100000, M_PIPE, M_WAITOK), M_PIPE);
	assert_int_equal(M_PIPE->ks_waiting, 0);
	atomic_store(&hoarder_step, 0);
	t = thread_start(hoard_slab, NULL);
	assert_true(wait_until(atomic_load(&hoarder_step) == 1));
	n = take_all_memory(rest);
	assert_int_equal(vm_free_pages(), 0);
	for (i = 0; i < 3; i++) {
		p[i] = mpipe_alloc_waitok(&pipe_a);
		assert_non_null(p[i]);
	}
	assert_int_equal(vm_stats().waits, 0);
	atomic_store(&hoarder_step, 2);
	thread_join(t);
	for (i = 0; i < 3; i++)
		mpipe_free(&pipe_a, p[i]);
	while (n > 0)
		kfree(rest[--n], M_REST);
	end();
}

/*
 * Pages are there, and the type is not at its limit, but somebody has the rest
 * of it in hand: a request that is on its way, here by hand. Who waits for a
 * chunk or for whole pages does not spin; he is told when the request is given
 * up.
 */
static void
a_request_on_its_way_is_waited_for(void **state)
{
	static const size_t sizes[] = { 20000, 256 };
	uint64_t limit;
	unsigned i;
	pthread_t t;
	void *p;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct sleeper s = { false, NULL };

		boot_pages(2, 1024);
		/* Nothing is granted to it in advance. */
		kmalloc_set_debug(M_TEMP, KA_DEBUG_AUDIT);
		mpipe_init(
		    &pipe_a, M_TEMP, sizes[i], 1, 2, 0, NULL, NULL, NULL);
		limit = kmalloc_limit(M_TEMP);
		p = mpipe_alloc_nowait(&pipe_a);
		assert_true(km__type_admit(M_TEMP, limit));
		assert_null(mpipe_alloc_nowait(&pipe_a));
		t = thread_start(sleeper_main, &s);
		assert_true(wait_until(vm_stats().waits == 1));
		sleep_ms(2);
		assert_int_equal(vm_stats().waits, 1);
		assert_int_equal(M_TEMP->ks_watched, 1);
		km__type_forget(M_TEMP, limit);
		thread_join(t);
		assert_non_null(s.p);
		assert_int_equal(mp_stats(&pipe_a).sleeps, 1);
		mpipe_free(&pipe_a, s.p);
		mpipe_free(&pipe_a, p);
		mpipe_done(&pipe_a);
		assert_int_equal(stats(M_TEMP).inuse, 0);
		halt();
	}
}

/* When the sleeper watches, and may not have looked for the last time. */
static void *
give_up_main(void *bytes)
{
	must(wait_until(KM_READ(M_TEMP->ks_watched) != 0));
	km__type_forget(M_TEMP, *(uint64_t *)bytes);
	return (NULL);
}

/*
 * Two requests are on their way. The first is given up when the sleeper has
 * said that he watches, and before he has looked for the last time: then he
 * still has to be told of the second.
 */
static void
given_up_one_by_one(void)
{
	struct sleeper s = { false, NULL };
	uint64_t limit = kmalloc_limit(M_TEMP), half = limit / 2;
	pthread_t t, u;

	assert_true(km__type_admit(M_TEMP, half));
	assert_true(km__type_admit(M_TEMP, limit));
	u = thread_start(give_up_main, &half);
	t = thread_start(sleeper_main, &s);
	thread_join(u);
	sleep_ms(5);
	km__type_forget(M_TEMP, limit);
	thread_join(t);
	assert_non_null(s.p);
	mpipe_free(&pipe_a, s.p);
	assert_int_equal(M_TEMP->ks_watched, 0);
}

/*
 * Two requests are on their way. The first is given up when the sleeper has
 * said that he watches, and before he has looked for the last time: then he
 * still has to be told of the second. Which of the two comes first after that
 * is chance: several times.
 */
static void
every_request_that_is_given_up_is_told(void **state)
{
	unsigned round, i;
	void *p, *rest[7];

	(void)state;
	for (round = 0; round < 10; round++) {
		boot_pages(2, 1024);
		kmalloc_set_debug(M_TEMP, KA_DEBUG_AUDIT);
		kmalloc_set_debug(M_REST, KA_DEBUG_AUDIT);
		mpipe_init(&pipe_a, M_TEMP, 8192, 1, 2, 0, NULL, NULL, NULL);
		p = mpipe_alloc_nowait(&pipe_a);
		/* No chunk of the slab is free: who waits looks for pages. */
		for (i = 0; i < 7; i++)
			rest[i] = kmalloc(8192, M_REST, M_WAITOK);
		assert_int_equal(vm_free_pages(), 1024 - 16);
		given_up_one_by_one();
		mpipe_free(&pipe_a, p);
		mpipe_done(&pipe_a);
		for (i = 0; i < 7; i++)
			kfree(rest[i], M_REST);
		assert_int_equal(stats(M_TEMP).inuse, 0);
		halt();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nominal_buffers_can_always_be_had),
		cmocka_unit_test(a_pipe_grows_up_to_its_maximum),
		cmocka_unit_test(contents_are_as_the_flags_say),
		cmocka_unit_test(growth_may_use_the_reserves),
		cmocka_unit_test(a_pipe_ends_when_all_is_back),
		cmocka_unit_test(misuse_is_told),
		cmocka_unit_test(wrong_frees_are_told),
		cmocka_unit_test(init_that_fails_leaves_nothing),
		cmocka_unit_test(all_pipes_are_told_in_turn),
		cmocka_unit_test(growth_needs_memory_to_know_buffers_by),
		cmocka_unit_test(halt_tells_what_is_held),
		cmocka_unit_test(audits_see_what_is_broken),
		cmocka_unit_test(sleepers_are_woken_by_a_free),
		cmocka_unit_test(sleepers_are_woken_by_memory),
		cmocka_unit_test(sleepers_are_woken_below_the_limit),
		cmocka_unit_test(sleepers_at_the_limit_are_seen_by_fast_frees),
		cmocka_unit_test(pages_that_are_no_slab_are_slept_beside),
		cmocka_unit_test(pages_anywhere_are_enough_for_large_buffers),
		cmocka_unit_test(a_sleeper_may_grow_again),
		cmocka_unit_test(growth_that_fails_gives_room),
		cmocka_unit_test(callbacks_run_in_order),
		cmocka_unit_test(a_free_during_growth_is_found),
		cmocka_unit_test(a_pending_callback_keeps_the_pipe),
		cmocka_unit_test(a_callback_may_come_to_hold_a_buffer),
		cmocka_unit_test(a_callback_cannot_end_its_pipe),
		cmocka_unit_test(callbacks_need_memory_to_be_queued),
		cmocka_unit_test(a_pipe_leaves_nothing_mapped),
		cmocka_unit_test(threads_share_a_pipe),
		cmocka_unit_test(the_map_may_grow_twice_at_one_time),
		cmocka_unit_test(a_buffer_on_its_way_back_is_not_held),
		cmocka_unit_test(a_map_that_cannot_grow_is_no_memory),
		cmocka_unit_test(a_buffer_that_is_zeroed_is_not_held),
		cmocka_unit_test(a_pipe_needs_its_thread),
		cmocka_unit_test(hoarded_slabs_are_taken_before_sleeping),
		cmocka_unit_test(a_request_on_its_way_is_waited_for),
		cmocka_unit_test(every_request_that_is_given_up_is_told),
	};

	return (cmocka_run_group_tests_name("mpipe", tests, NULL, NULL));
}
