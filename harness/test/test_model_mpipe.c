/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: mpipes. Synthetic events, see model_test.h. Thread SUPPORT is the
 * support thread of the pipe that is played, the others are the trace's.
 */
#include "model_test.h"

#define SIZE	 60u /* a chunk of 64: what lies behind is nobody's */
#define CHUNK	 64u
#define BIT(h)	 (1u << TRACE_HOOK_##h)
#define BOTH	 (BIT(CTOR) | BIT(DTOR))
#define ABOVE(t) ((t) + THREADS) /* the frame of nested calls */
#define SUPPORT	 (THREADS - 1)

/* Clauses that the tests of this file must break. */
static bool
is_mine(const char *clause)
{
	return (strncmp(clause, "MP-", 3) == 0);
}

static uint64_t base; /* buffers are slots of CHUNK bytes from here */
static uint32_t mpf;  /* flags and callbacks of the pipe */
static uint32_t hooks;

static uint64_t
at(unsigned i)
{
	return (base + i * CHUNK);
}

/* --- the pipe that is played --- */

static void
restart(void)
{
	const struct model_config config = {
		.kind = MODEL_KALLOC,
		.contents = MODEL_CONTENTS_FULL,
		.cpus = 2,
		.threads = THREADS,
		.trace_threads = SUPPORT,
		.pages = PAGES,
		.reserve_system = 8,
		.reserve_interrupt = 2,
		.arena = arena,
	};

	memset((void *)(uintptr_t)arena, 0, BUDGET);
	line = 0;
	model_reset(m, &config);
	type_make(0);
	type_make(1);
}

static uint32_t
growth_flags(uint32_t family)
{
	uint32_t flags = family;

	if ((mpf & MPF_NOZERO) == 0)
		flags |= M_ZERO;
	if ((mpf & MPF_INT) != 0)
		flags |= M_USE_INTERRUPT_RESERVE;
	return (flags);
}

/* kmalloc gives memory to the call of a thread. */
static void
gains_with(uint32_t thread, uint64_t addr, uint32_t flags)
{
	struct call c = begin_kmalloc(ABOVE(thread), SIZE, 0, flags);

	if (addr != 0 && (flags & M_ZERO) != 0)
		memset(bytes(addr), 0, CHUNK);
	returns(&c, addr);
}

static struct callback
calls_back(enum trace_hook hook, uint32_t thread, uint64_t addr)
{
	struct callback cb;

	memset(&cb, 0, sizeof(cb));
	cb.hook = hook;
	cb.class = TRACE_PIPE;
	cb.thread = thread;
	cb.addr = addr;
	model_callback(m, &cb);
	return (cb);
}

static void
constructs(uint32_t thread, uint64_t addr)
{
	struct callback cb = calls_back(TRACE_HOOK_CTOR, thread, addr);

	model_callback_done(m, &cb);
}

static void
gains(uint32_t thread, uint64_t addr, uint32_t family)
{
	gains_with(thread, addr, growth_flags(family));
	if (addr != 0 && (hooks & BIT(CTOR)) != 0)
		constructs(thread, addr);
}

/* Growth that fails for lack of pages. */
static void
starves(uint32_t thread, bool hard)
{
	struct call c =
	    begin_kmalloc(ABOVE(thread), SIZE, 0, growth_flags(M_NOWAIT));

	model_vm_alloc(
	    m, ABOVE(thread), 0, 16, SLAB, VM_ALLOC_SYSTEM, true, hard);
	returns(&c, 0);
}

static void
loses(uint32_t thread, uint64_t addr)
{
	struct callback cb;
	struct call c;

	if ((hooks & BIT(DTOR)) != 0) {
		cb = calls_back(TRACE_HOOK_DTOR, thread, addr);
		model_callback_done(m, &cb);
	}
	c = begin_kfree(ABOVE(thread), addr, 0);
	returns(&c, 0);
}

static struct call
begin_mp(enum trace_opcode code, uint32_t thread)
{
	struct call c = call(code, thread);

	invoke(&c);
	return (c);
}

static struct call
begin_init(int32_t nnom, int32_t nmax, uint32_t flags, uint32_t with)
{
	struct call c = call(TRACE_OP_MPIPE_INIT, 0);

	mpf = flags;
	hooks = with;
	c.type = 0;
	c.size = SIZE;
	c.n[0] = nnom;
	c.n[1] = nmax;
	c.flags = flags;
	c.hooks = with;
	invoke(&c);
	return (c);
}

/* A slab, and a pipe with buffers at(0) .. at(nnom - 1). */
static void
pipe_of(int32_t nnom, int32_t nmax, uint32_t flags, uint32_t with)
{
	struct call c;
	int32_t i;

	restart();
	base = slab(0);
	c = begin_init(nnom, nmax, flags, with);
	for (i = 0; i < nnom; i++)
		gains(0, at((unsigned)i), M_WAITOK);
	returns(&c, 0);
}

static void
alloc(uint64_t addr)
{
	struct call c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);

	returns(&c, addr);
}

static struct call
begin_free(uint32_t thread, uint64_t addr)
{
	struct call c = call(TRACE_OP_MPIPE_FREE, thread);

	c.addr = addr;
	invoke(&c);
	return (c);
}

/* A free that keeps the buffer, and zeroes it if the pipe does. */
static void
give(uint64_t addr)
{
	struct call c = begin_free(0, addr);

	if ((mpf & (MPF_NOZERO | MPF_CACHEDATA)) == 0)
		memset(bytes(addr), 0, SIZE);
	returns(&c, 0);
}

static struct call
begin_ask(uint32_t thread, uint64_t udata)
{
	struct call c = call(TRACE_OP_MPIPE_ALLOC_CALLBACK, thread);

	c.udata = udata;
	invoke(&c);
	return (c);
}

/* An alloc_callback that gets nothing. */
static void
ask(uint64_t udata)
{
	struct call c = begin_ask(0, udata);

	returns(&c, 0);
}

static struct callback
begin_callback(uint32_t thread, uint64_t udata)
{
	struct callback cb;

	memset(&cb, 0, sizeof(cb));
	cb.hook = TRACE_HOOK_CALLBACK;
	cb.class = TRACE_PIPE;
	cb.thread = thread;
	cb.udata = udata;
	model_callback(m, &cb);
	return (cb);
}

static void
answer(uint64_t udata)
{
	struct callback cb = begin_callback(SUPPORT, udata);

	model_callback_done(m, &cb);
}

static struct owner_stats
stats_of(uint64_t nnom, uint64_t nmax, uint64_t total, uint64_t free)
{
	return ((struct owner_stats) {
	    .nnom = nnom, .nmax = nmax, .total = total, .free = free });
}

static void
check(struct owner_stats st)
{
	model_check_owner(m, TRACE_PIPE, 0, &st);
}

/* --- the clauses --- */

static void
life_of_a_pipe(void **state)
{
	struct owner_stats st;
	struct call c;

	(void)state;
	pipe_of(2, 3, MPF_CACHEDATA, BOTH);
	alloc(at(0));
	alloc(at(1));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 0);
	gains(0, at(2), M_NOWAIT);
	returns(&c, at(2));
	alloc(0);
	give(at(1));
	give(at(0));
	c = begin_free(0, at(2));
	loses(0, at(2));
	returns(&c, 0);
	c = begin_free(0, 0);
	returns(&c, 0);
	st = stats_of(2, 3, 2, 2);
	st.requests = 4;
	st.failures = 1;
	check(st);
	model_end(m);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	loses(0, at(1));
	loses(0, at(0));
	returns(&c, 0);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	returns(&c, 0);
	CLEAN();
	st.failures = 0;
	pipe_of(2, 3, 0, 0);
	check(stats_of(2, 3, 2, 1));
	BROKEN("G-7", "kmalloc/G-7/end of run/free");
	pipe_of(2, 3, 0, 0);
	check(stats_of(2, 3, 3, 2));
	BROKEN("G-7", "kmalloc/G-7/end of run/total");
}

static void
mp1_the_guarantee(void **state)
{
	struct call c;

	(void)state;
	pipe_of(2, 2, 0, 0);
	alloc(at(0));
	CLEAN();
	alloc(0);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_nowait/null");

	/* Not all buffers at the start; not all constructed. */
	pipe_of(1, 2, 0, 0);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	loses(0, at(0));
	returns(&c, 0);
	CLEAN();
	c = begin_init(2, 2, 0, 0);
	gains(0, at(0), M_WAITOK);
	returns(&c, 0);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_init/filled");

	/* A failed growth is no excuse below nnom. */
	pipe_of(2, -1, 0, 0);
	alloc(at(1));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	starves(0, true);
	returns(&c, 0);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_nowait/null");

	/* Nor may it sleep, or panic. */
	pipe_of(2, 2, 0, 0);
	alloc(at(1));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 0);
	model_sleep(m, 0);
	model_wake(m, 0);
	returns(&c, at(0));
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_waitok/slept");
	pipe_of(2, 2, 0, 0);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 0);
	model_sleep(m, 0);
	model_idle(m);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_waitok/free");
	pipe_of(2, 2, 0, 0);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	model_sleep(m, 0);
	BROKEN("G-4", "mpipe/G-4/mpipe_alloc_nowait/sleeps");
	pipe_of(2, 2, 0, 0);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	panics(&c, W_ASSERT);
	BROKEN("G-3", "mpipe/G-3/mpipe_alloc_nowait/assert");
}

static void
mp1_others_may_hold(void **state)
{
	struct call c, other;

	(void)state;
	/* Another allocation may have the last one. */
	pipe_of(2, 2, 0, 0);
	alloc(at(0));
	other = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 1);
	alloc(0);
	returns(&other, at(1));
	/* A free may not have got there. */
	other = begin_free(1, at(1));
	alloc(0);
	memset(bytes(at(1)), 0, SIZE);
	returns(&other, 0);
	CLEAN();
	/* It was so at some time of the call. */
	alloc(at(1));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 1);
	give(at(1));
	give(at(0));
	returns(&c, 0);
	CLEAN();
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 1);
	returns(&c, 0);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_nowait/null");
}

/* Growth that fails is an excuse only while, or before, all are held. */
static void
mp1_growth_fails_meanwhile(void **state)
{
	struct call c;

	(void)state;
	/* The buffer comes back after growth failed. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 1);
	starves(1, true);
	give(at(0));
	returns(&c, 0);
	CLEAN();
	/* Before, but another has taken it again. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 1);
	give(at(0));
	starves(1, true);
	alloc(at(0));
	returns(&c, 0);
	CLEAN();
	/* Before, and it stays. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 1);
	give(at(0));
	starves(1, true);
	returns(&c, 0);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_nowait/null");
}

static void
mp2_the_maximum(void **state)
{
	struct owner_stats st;
	struct call c;

	(void)state;
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	starves(0, false);
	returns(&c, 0);
	CLEAN();
	alloc(0); /* and did not try */
	BROKEN("MP-2", "mpipe/MP-2/mpipe_alloc_nowait/null");

	pipe_of(1, 1, 0, 0);
	alloc(at(0));
	alloc(0);
	CLEAN();
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	gains(0, at(1), M_NOWAIT);
	BROKEN("MP-2", "mpipe/MP-2/mpipe_alloc_nowait/too-many");

	/* A free buffer, though nnom are held. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_WAIT, 0);
	gains(0, at(1), M_NOWAIT);
	returns(&c, 0);
	CLEAN();
	alloc(0);
	BROKEN("MP-2", "mpipe/MP-2/mpipe_alloc_nowait/null");

	pipe_of(1, 2, 0, 0);
	alloc(at(5));
	BROKEN("MP-2", "mpipe/MP-2/mpipe_alloc_nowait/not-ready");
	pipe_of(2, 2, 0, 0);
	alloc(at(0));
	alloc(at(0));
	BROKEN("G-2", "mpipe/G-2/mpipe_alloc_nowait/overlap");

	/* nnom and nmax as asked for make sense of any numbers. */
	restart();
	base = slab(0);
	c = begin_init(-5, 0, 0, 0);
	gains(0, at(0), M_WAITOK);
	returns(&c, 0);
	st = stats_of(1, 1, 1, 1);
	model_describe(m, TRACE_PIPE, 0, &st);
	CLEAN();
	st.nmax = 0;
	model_describe(m, TRACE_PIPE, 0, &st);
	BROKEN("MP-2", "mpipe/MP-2/end of run/nmax");
	pipe_of(1, -1, 0, 0);
	st = stats_of(1, UINT64_MAX, 1, 1);
	model_describe(m, TRACE_PIPE, 0, &st);
	CLEAN();

	/* Growth in the wrong call, of the wrong size, that waits. */
	c = begin_free(0, 0);
	gains(0, at(1), M_NOWAIT);
	BROKEN("MP-2", "mpipe/MP-2/mpipe_free/allocates");
	pipe_of(1, -1, 0, 0);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	(void)begin_kmalloc(ABOVE(0), SIZE + 1, 0, M_NOWAIT | M_ZERO);
	BROKEN("MP-2", "mpipe/MP-2/mpipe_alloc_nowait/size");
	pipe_of(1, -1, 0, 0);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	gains(0, at(1), M_WAITOK);
	BROKEN("G-4", "mpipe/G-4/mpipe_alloc_nowait/growth-waits");
}

static void
mp3_waitok(void **state)
{
	struct call c, g;

	(void)state;
	pipe_of(1, 1, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
	model_sleep(m, 1);
	model_idle(m);
	g = begin_free(0, at(0));
	memset(bytes(at(0)), 0, SIZE);
	model_wake(m, 1);
	returns(&g, 0);
	model_idle(m);
	returns(&c, at(0));
	CLEAN();
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
	returns(&c, 0);
	BROKEN("MP-3", "mpipe/MP-3/mpipe_alloc_waitok/null");

	/* A lost wake-up: of a sleeper, also in mpipe_wait. */
	pipe_of(1, 1, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
	model_sleep(m, 1);
	give(at(0));
	model_idle(m);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_waitok/free");
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_WAIT, 1);
	model_sleep(m, 1);
	model_idle(m);
	BROKEN("MP-3", "mpipe/MP-3/mpipe_wait/growth");

	(void)c, (void)g;
}

static void
mp3_waitok_grows(void **state)
{
	struct call c, g;

	(void)state;
	/* Pages were short, and are no more. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
	starves(1, true);
	model_sleep(m, 1);
	model_idle(m);
	CLEAN();
	model_wake(m, 1);
	starves(1, false);
	model_sleep(m, 1);
	model_idle(m);
	BROKEN("MP-3", "mpipe/MP-3/mpipe_alloc_waitok/growth");

	/* It slept for pages, and then grew. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
	starves(1, true);
	model_sleep(m, 1);
	model_wake(m, 1);
	gains(1, at(1), M_NOWAIT);
	returns(&c, at(1));
	CLEAN();

	/* It slept, and there was no need to. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 0);
	model_sleep(m, 0);
	model_wake(m, 0);
	gains(0, at(1), M_NOWAIT);
	returns(&c, at(1));
	BROKEN("MP-3", "mpipe/MP-3/mpipe_alloc_waitok/slept");

	/* Asleep in kmalloc, while a buffer has come back. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
	g = begin_kmalloc(ABOVE(1), SIZE, 0, M_WAITOK | M_ZERO);
	model_vm_alloc(m, ABOVE(1), 0, 16, SLAB, VM_ALLOC_NORMAL, true, true);
	model_sleep(m, ABOVE(1));
	CLEAN();
	give(at(0));
	model_idle(m);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_waitok/free");
	(void)c, (void)g;
}

/* The room is claimed by a call that waits to grow the pipe: the other sleeps,
 * until the claim is over. */
static void
mp3_waitok_beside_a_claim(void **state)
{
	struct call c, d, g;

	(void)state;
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
	starves(1, true);
	model_sleep(m, 1);
	d = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 2);
	model_sleep(m, 2);
	model_idle(m);
	CLEAN();
	g = begin_free(0, at(0));
	memset(bytes(at(0)), 0, SIZE);
	returns(&g, 0);
	model_wake(m, 1);
	returns(&c, at(0));
	CLEAN();
	model_idle(m);
	BROKEN("MP-3", "mpipe/MP-3/mpipe_alloc_waitok/growth");

	/* The claim has become a buffer, which the other may have. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_WAIT, 1);
	starves(1, true);
	model_sleep(m, 1);
	d = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 2);
	model_sleep(m, 2);
	model_wake(m, 1);
	gains(1, at(1), M_NOWAIT);
	returns(&c, 0);
	model_idle(m);
	BROKEN("MP-3", "mpipe/MP-3/mpipe_alloc_waitok/free");
	(void)d;
}

static void
raise_limit(uint64_t to)
{
	struct call c = call(TRACE_OP_KMALLOC_RAISE_LIMIT, 0);

	c.type = 0;
	c.size = to;
	invoke(&c);
	returns(&c, 0);
}

/* Asleep at the limit of the pipe's type: until there is room below it, and
 * pages. */
static void
mp3_waitok_grows_below_the_limit(void **state)
{
	struct call c, g;
	unsigned i, k;

	(void)state;
	for (i = 0; i < 3; i++) {
		pipe_of(1, 2, 0, 0);
		alloc(at(0));
		for (k = 1; k <= 2; k++) {
			g = begin_kmalloc(0, SLAB, 0, M_WAITOK);
			pages(0, arena + k * SLAB, SLAB / PAGE);
			returns(&g, arena + k * SLAB);
		}
		c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
		gains(1, 0, M_NOWAIT);
		model_sleep(m, 1);
		model_idle(m);
		CLEAN();
		if (i == 1)
			page_alloc_at(arena + 3 * SLAB, PAGES - 3 * SLAB / PAGE,
			    0, VM_ALLOC_INTERRUPT);
		raise_limit(i == 2 ? LIMIT + 1 : BUDGET);
		model_idle(m);
		if (i == 0)
			BROKEN("MP-3", "mpipe/MP-3/mpipe_alloc_waitok/growth");
		CLEAN();
	}
	(void)c;
}

static void
mp4_callbacks(void **state)
{
	struct callback cb;
	struct call c;

	(void)state;
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	ask(1);
	ask(2);
	model_end(m); /* none is free: they may wait */
	give(at(0));
	cb = begin_callback(SUPPORT, 1);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, SUPPORT);
	returns(&c, at(0));
	c = begin_free(SUPPORT, at(0));
	memset(bytes(at(0)), 0, SIZE);
	returns(&c, 0);
	model_callback_done(m, &cb);
	answer(2);
	c = begin_ask(0, 3);
	returns(&c, at(0));
	model_end(m);
	CLEAN();
	answer(3); /* it got a buffer */
	BROKEN("MP-4", "mpipe/MP-4/callback/unasked");

	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	ask(1);
	answer(1);
	answer(1);
	BROKEN("MP-4", "mpipe/MP-4/callback/unasked");
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	ask(1);
	ask(2);
	answer(2);
	BROKEN("MP-4", "mpipe/MP-4/callback/order");
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	ask(1);
	(void)begin_callback(0, 1);
	BROKEN("MP-4", "mpipe/MP-4/callback/thread");
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	ask(1);
	give(at(0));
	CLEAN();
	model_end(m);
	BROKEN("MP-4", "mpipe/MP-4/end of run/lost");
	pipe_of(1, 1, 0, 0);
	c = begin_ask(0, 1);
	panics(&c, W_BAD_FLAGS);
	CLEAN();
	c = begin_ask(0, 1);
	returns(&c, at(0));
	BROKEN("MP-4", "mpipe/MP-4/mpipe_alloc_callback/undetected");
}

/* Two calls at one time have no order; a callback may be early. */
static void
mp4_callbacks_and_others(void **state)
{
	struct callback cb;
	struct call c, d;

	(void)state;
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	c = begin_ask(0, 1);
	d = begin_ask(1, 2);
	returns(&c, 0);
	answer(2);
	returns(&d, 0);
	answer(1);
	CLEAN();
	c = begin_ask(0, 3);
	answer(3);
	answer(3);
	BROKEN("MP-4", "mpipe/MP-4/callback/unasked");
	pipe_of(1, 1, MPF_CALLBACK, 0);
	c = begin_ask(0, 3);
	answer(3);
	returns(&c, at(0));
	BROKEN("MP-4", "mpipe/MP-4/callback/got-one");

	/* A sleeper may wait for the callback's turn. */
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	ask(1);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
	model_sleep(m, 1);
	give(at(0));
	model_idle(m);
	cb = begin_callback(SUPPORT, 1);
	model_idle(m);
	CLEAN();
	model_callback_done(m, &cb);
	model_idle(m);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_waitok/free");
}

static void
mp5_contents(void **state)
{
	struct call c;

	(void)state;
	/* No flag: zero at first and on reuse, and no more than was asked. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	give(at(0));
	bytes(at(0))[SIZE] = 1; /* what lies behind */
	alloc(at(0));
	CLEAN();
	c = begin_free(0, at(0));
	returns(&c, 0); /* not zeroed */
	alloc(at(0));
	BROKEN("MP-5", "mpipe/MP-5/mpipe_alloc_nowait/nonzero");
	pipe_of(1, 2, 0, 0);
	bytes(at(0))[3] = 1;
	alloc(at(0));
	BROKEN("MP-5", "mpipe/MP-5/mpipe_alloc_nowait/nonzero");

	/* CACHEDATA: zero to the constructor, then kept. */
	pipe_of(1, 2, MPF_CACHEDATA, BOTH);
	alloc(at(0));
	give(at(0));
	alloc(at(0));
	CLEAN();
	give(at(0));
	bytes(at(0))[3] ^= 1;
	alloc(at(0));
	BROKEN("MP-5", "mpipe/MP-5/mpipe_alloc_nowait/contents");
	restart();
	base = slab(0);
	c = begin_init(1, 1, MPF_CACHEDATA, BIT(CTOR));
	gains_with(0, at(0), M_WAITOK | M_ZERO);
	bytes(at(0))[7] = 1;
	constructs(0, at(0));
	BROKEN("MP-5", "mpipe/MP-5/mpipe_init/nonzero");
	/* And it must have been asked for. */
	restart();
	base = slab(0);
	c = begin_init(1, 1, MPF_CACHEDATA, BIT(CTOR));
	gains_with(0, at(0), M_WAITOK);
	constructs(0, at(0));
	BROKEN("MP-5", "mpipe/MP-5/mpipe_init/nonzero");

	(void)c;
}

static void
mp5_nozero(void **state)
{
	struct call c;

	(void)state;
	/* NOZERO: anything, then kept. */
	pipe_of(1, 2, MPF_NOZERO, 0);
	bytes(at(0))[3] ^= 1;
	alloc(at(0));
	give(at(0));
	alloc(at(0));
	CLEAN();
	give(at(0));
	bytes(at(0))[SIZE - 1] ^= 1;
	model_end(m);
	BROKEN("MP-5", "mpipe/MP-5/end of run/contents");
	pipe_of(1, 2, MPF_NOZERO, 0);
	alloc(at(0));
	bytes(at(0))[0] ^= 1;
	give(at(0));
	BROKEN("G-2", "mpipe/G-2/mpipe_free/contents");

	/* A constructor whose work would be zeroed away. */
	restart();
	c = begin_init(1, 1, 0, BIT(CTOR));
	panics(&c, W_BAD_FLAGS);
	c = begin_init(1, 1, 0x8, 0);
	panics(&c, W_BAD_FLAGS);
	CLEAN();
	c = begin_init(1, 1, 0, BIT(CTOR));
	returns(&c, 0);
	BROKEN("MP-5", "mpipe/MP-5/mpipe_init/undetected");
}

static void
mp6_pairs(void **state)
{
	struct call c;

	(void)state;
	pipe_of(1, 2, MPF_NOZERO, BOTH);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	gains_with(0, at(1), growth_flags(M_NOWAIT));
	returns(&c, at(1));
	BROKEN("MP-6", "mpipe/MP-6/mpipe_alloc_nowait/not-ready");
	pipe_of(1, 2, MPF_NOZERO, BOTH);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	constructs(0, at(0));
	BROKEN("MP-6", "mpipe/MP-6/mpipe_alloc_nowait/constructs");
	pipe_of(1, 2, MPF_NOZERO, BOTH);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	hooks = 0;
	loses(0, at(0));
	BROKEN("MP-6", "mpipe/MP-6/mpipe_done/frees");
	pipe_of(1, 2, MPF_NOZERO, BOTH);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	(void)calls_back(TRACE_HOOK_DTOR, 0, at(0));
	(void)calls_back(TRACE_HOOK_DTOR, 0, at(0));
	BROKEN("MP-6", "mpipe/MP-6/mpipe_done/deconstructs");
	pipe_of(1, 2, MPF_NOZERO, BOTH);
	alloc(at(0));
	c = begin_free(0, 0);
	(void)calls_back(TRACE_HOOK_DTOR, 0, at(0));
	BROKEN("MP-6", "mpipe/MP-6/mpipe_free/deconstructs");
	pipe_of(2, 2, MPF_NOZERO, BOTH);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	loses(0, at(0));
	returns(&c, 0);
	BROKEN("MP-6", "mpipe/MP-6/mpipe_done/left");
	pipe_of(1, 2, MPF_NOZERO, BOTH);
	(void)calls_back(TRACE_HOOK_DTOR, 1, at(0));
	BROKEN("MP-6", "mpipe/MP-6/callback/outside");
}

static void
mp7_frees(void **state)
{
	struct call c;

	(void)state;
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_free(0, at(0));
	loses(0, at(0));
	returns(&c, 0);
	BROKEN("MP-7", "mpipe/MP-7/mpipe_free/freed");
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	gains(0, at(1), M_NOWAIT);
	returns(&c, at(1));
	give(at(0));
	CLEAN();
	give(at(1));
	BROKEN("MP-7", "mpipe/MP-7/mpipe_free/kept");

	pipe_of(1, 2, 0, 0);
	c = begin_free(0, at(0));
	panics(&c, W_DOUBLE_FREE);
	c = begin_free(0, at(9));
	panics(&c, W_FOREIGN);
	CLEAN();
	c = begin_free(0, at(0));
	returns(&c, 0);
	BROKEN("MP-7", "mpipe/MP-7/mpipe_free/undetected");
	pipe_of(1, 2, 0, 0);
	c = begin_free(0, at(9));
	panics(&c, W_DOUBLE_FREE);
	BROKEN("MP-7", "mpipe/MP-7/mpipe_free/wrong-panic");
	pipe_of(1, 2, 0, 0);
	c = begin_free(0, 0);
	panics(&c, W_NULL_FREE);
	BROKEN("G-3", "mpipe/G-3/mpipe_free/null-free");
}

static void
mp8_reserves(void **state)
{
	struct call c;

	(void)state;
	pipe_of(1, 3, MPF_INT, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	gains(0, at(1), M_NOWAIT);
	returns(&c, at(1));
	CLEAN();
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	gains_with(0, at(2), M_NOWAIT | M_ZERO);
	BROKEN("MP-8", "mpipe/MP-8/mpipe_alloc_nowait/reserve");
	pipe_of(1, 3, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	gains_with(0, at(1), M_INTNOWAIT | M_ZERO);
	BROKEN("MP-8", "mpipe/MP-8/mpipe_alloc_nowait/reserve");
}

static void
mp9_done(void **state)
{
	struct call c;

	(void)state;
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	panics(&c, W_BUSY);
	ask(1);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	panics(&c, W_BUSY);
	CLEAN();
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	returns(&c, 0);
	BROKEN("MP-9", "mpipe/MP-9/mpipe_done/undetected");
	pipe_of(1, 1, 0, 0);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	panics(&c, W_BUSY);
	BROKEN("MP-9", "mpipe/MP-9/mpipe_done/busy");
	/* Misuse is told first. */
	pipe_of(2, 2, MPF_NOZERO, BOTH);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	(void)calls_back(TRACE_HOOK_DTOR, 0, at(1));
	BROKEN("MP-9", "mpipe/MP-9/mpipe_done/callback");
	pipe_of(2, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	loses(0, at(1));
	BROKEN("MP-9", "mpipe/MP-9/mpipe_done/frees");
	/* The callback's buffer is free: it may be called meanwhile, or not,
	 * but not be forgotten. */
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	ask(1);
	give(at(0));
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	panics(&c, W_BUSY);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	answer(1);
	loses(0, at(0));
	returns(&c, 0);
	CLEAN();
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	ask(1);
	give(at(0));
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	loses(0, at(0));
	returns(&c, 0);
	BROKEN("MP-4", "mpipe/MP-4/mpipe_done/left");
}

/* Begins to make a pipe of three buffers that the type's limit is below. */
static struct call
begin_too_large(void)
{
	struct call c, k;
	unsigned i;

	restart();
	mpf = hooks = 0;
	c = call(TRACE_OP_MPIPE_INIT, 0);
	c.type = 0;
	c.size = SLAB;
	c.n[0] = 3;
	invoke(&c);
	for (i = 0; i < 3; i++) {
		k = begin_kmalloc(
		    ABOVE(0), SLAB, 0, M_WAITOK | M_NULLOK | M_ZERO);
		if (i < 2)
			pages(ABOVE(0), arena + i * SLAB, SLAB / PAGE);
		returns(&k, i < 2 ? arena + i * SLAB : 0);
	}
	return (c);
}

static void
g6_a_pipe_that_cannot_be_made(void **state)
{
	struct call c;

	(void)state;
	c = begin_too_large();
	loses(0, arena + SLAB);
	loses(0, arena);
	panics(&c, W_LIMIT);
	CLEAN();
	c = begin_too_large();
	panics(&c, W_LIMIT);
	BROKEN("G-6", "mpipe/G-6/mpipe_init/buffers-kept");
	restart();
	c = begin_init(2, 2, 0, 0);
	panics(&c, W_LIMIT);
	BROKEN("KM-6", "mpipe/KM-6/mpipe_init/limit");
}

static void
g3_handles_and_arguments(void **state)
{
	static const enum trace_opcode op[] = { TRACE_OP_MPIPE_ALLOC_NOWAIT,
		TRACE_OP_MPIPE_ALLOC_WAITOK, TRACE_OP_MPIPE_ALLOC_CALLBACK,
		TRACE_OP_MPIPE_WAIT, TRACE_OP_MPIPE_FREE };
	struct call c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(op) / sizeof(op[0]); i++) {
		restart();
		c = begin_mp(op[i], 0);
		panics(&c, W_BAD_HANDLE);
		CLEAN();
		invoke(&c);
		returns(&c, 0);
		assert_non_null(model_finding(m));
		assert_string_equal(model_finding(m)->clause, "G-3");
	}
	restart();
	c = call(TRACE_OP_MPIPE_INIT, 0);
	c.type = 0;
	invoke(&c);
	panics(&c, W_BAD_ARG);
	CLEAN();
	c.type = 7;
	c.size = SIZE;
	invoke(&c);
	panics(&c, W_BAD_TYPE);
	CLEAN();
	invoke(&c);
	returns(&c, 0);
	BROKEN("G-3", "mpipe/G-3/mpipe_init/undetected");
}

/* Growth, frees and constructors of several threads at one time. */
static void
two_threads(void **state)
{
	struct call a, b, k;
	struct callback cb;

	(void)state;
	pipe_of(1, 3, MPF_CACHEDATA, BOTH);
	alloc(at(0));
	a = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	b = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 1);
	gains_with(0, at(1), growth_flags(M_NOWAIT));
	gains(1, at(2), M_NOWAIT);
	/* A constructor that uses kmalloc, and the pipe: no room is left. */
	cb = calls_back(TRACE_HOOK_CTOR, 0, at(1));
	k = begin_kmalloc(ABOVE(0), SIZE, 0, M_NOWAIT | M_ZERO);
	memset(bytes(at(7)), 0, CHUNK);
	returns(&k, at(7));
	k = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, ABOVE(0));
	returns(&k, 0);
	k = begin_kfree(ABOVE(0), at(7), 0);
	returns(&k, 0);
	model_callback_done(m, &cb);
	returns(&a, at(1));
	returns(&b, at(2));
	CLEAN();
	/* Two frees: one is kept, the other goes back, whichever is first. */
	a = begin_free(0, at(1));
	b = begin_free(1, at(2));
	loses(0, at(1));
	returns(&a, 0);
	returns(&b, 0);
	/* A free whose buffer another allocation takes at once. */
	a = begin_free(0, at(0));
	b = begin_mp(TRACE_OP_MPIPE_ALLOC_WAITOK, 1);
	returns(&b, at(2));
	returns(&a, 0);
	model_end(m);
	CLEAN();
}

/* The type ends under the pipe: growth, and what goes back, panics. */
static void
a_type_that_ended(void **state)
{
	struct call c, k;

	(void)state;
	pipe_of(1, 2, MPF_NOZERO, 0);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	gains(0, at(1), M_NOWAIT);
	returns(&c, at(1));
	alloc(at(0));
	give(at(0));
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 0);
	returns(&c, 3);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	returns(&c, 0);
	give(at(0));
	CLEAN();
	c = begin_free(0, at(1));
	k = begin_kfree(ABOVE(0), at(1), 0);
	panics(&k, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	alloc(at(7)); /* it is not judged any more */
	model_end(m);
	CLEAN();

	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 0);
	returns(&c, 2);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	k = begin_kmalloc(ABOVE(0), SIZE, 0, growth_flags(M_NOWAIT));
	panics(&k, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	CLEAN();
	give(at(0));
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	k = begin_kmalloc(ABOVE(0), SIZE, 0, growth_flags(M_NOWAIT));
	panics(&k, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	BROKEN("MP-1", "mpipe/MP-1/mpipe_alloc_nowait/panic");

	pipe_of(1, 2, 0, 0);
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 0);
	returns(&c, 2);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	k = begin_kfree(ABOVE(0), at(0), 0);
	panics(&k, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	CLEAN();
}

static void
odds_and_ends(void **state)
{
	struct owner_stats st;
	struct call a, b, c;

	(void)state;
	/* More held than the maximum, by way of a free in flight. */
	pipe_of(1, 1, MPF_NOZERO, 0);
	alloc(at(0));
	a = begin_free(0, at(0));
	b = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 1);
	gains(1, at(1), M_NOWAIT);
	returns(&b, at(1));
	b = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 1);
	returns(&b, at(0));
	BROKEN("MP-2", "mpipe/MP-2/mpipe_alloc_nowait/too-many");

	/* What is kept is kept until the end of the buffer. */
	pipe_of(1, 2, MPF_NOZERO, 0);
	bytes(at(0))[1] ^= 1; /* nobody has written yet */
	alloc(at(0));
	give(at(0));
	bytes(at(0))[1] ^= 1;
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	loses(0, at(0));
	BROKEN("MP-5", "mpipe/MP-5/mpipe_done/contents");

	pipe_of(1, 2, 0, 0);
	c = begin_init(1, 1, 0, 0);
	panics(&c, W_BUSY);
	st = stats_of(1, 2, 1, 1);
	st.pending = 1;
	CLEAN();
	check(st);
	BROKEN("G-7", "kmalloc/G-7/end of run/pending");
	/* kfree of a buffer: nothing can be told any more. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	kfree_at(at(0));
	alloc(at(0));
	CLEAN();
	/* The support thread is in a callback: done may find it or not. */
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	ask(1);
	give(at(0));
	{
		struct callback cb = begin_callback(SUPPORT, 1);

		c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
		panics(&c, W_BUSY);
		c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
		model_callback_done(m, &cb);
		loses(0, at(0));
		returns(&c, 0);
	}
	CLEAN();
	(void)a;
}

/* A mpipe_wait in flight may have room, or a buffer, in its hand. */
static void
waits_in_flight(void **state)
{
	struct call c;

	(void)state;
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_WAIT, 1);
	alloc(0); /* room */
	gains(1, at(1), M_NOWAIT);
	alloc(0); /* the buffer */
	CLEAN();
	returns(&c, 0);
	alloc(0);
	BROKEN("MP-2", "mpipe/MP-2/mpipe_alloc_nowait/null");
	pipe_of(1, 3, 0, 0);
	alloc(at(0));
	c = begin_mp(TRACE_OP_MPIPE_WAIT, 1);
	gains(1, at(1), M_NOWAIT);
	returns(&c, 0);
	alloc(at(1));
	CLEAN();
	alloc(0); /* there is room for one more */
	BROKEN("MP-2", "mpipe/MP-2/mpipe_alloc_nowait/null");
	pipe_of(1, 3, 0, 0);
	c = begin_mp(TRACE_OP_MPIPE_WAIT, 1);
	panics(&c, W_ASSERT);
	BROKEN("G-3", "mpipe/G-3/mpipe_wait/assert");
}

static void
more_misuse(void **state)
{
	struct call c, d, k;

	(void)state;
	restart();
	c = begin_mp(TRACE_OP_MPIPE_HOOK, 0);
	returns(&c, 0);
	c = call(TRACE_OP_MPIPE_DONE, 0);
	c.handle = TRACE_NOREG;
	invoke(&c);
	returns(&c, 0);
	CLEAN();
	pipe_of(1, 1, 0, 0);
	c = begin_free(0, at(0));
	panics(&c, W_FOREIGN);
	BROKEN("MP-7", "mpipe/MP-7/mpipe_free/wrong-panic");
	pipe_of(1, 2, 0, 0);
	c = begin_ask(0, 1);
	gains(0, at(1), M_NOWAIT);
	BROKEN("G-3", "mpipe/G-3/mpipe_alloc_callback/allocates");

	/* The last of two callbacks is taken off first. */
	pipe_of(1, 1, MPF_CALLBACK, 0);
	alloc(at(0));
	c = begin_ask(0, 1);
	d = begin_ask(1, 2);
	returns(&c, 0);
	returns(&d, 0);
	answer(2);
	ask(3);
	answer(1);
	answer(3);
	CLEAN();

	/* Who fills a pipe may sleep for pages. */
	pipe_of(1, 1, MPF_CALLBACK, 0);
	c = begin_mp(TRACE_OP_MPIPE_DONE, 0);
	loses(0, at(0));
	returns(&c, 0);
	c = begin_init(2, 2, 0, 0);
	k = begin_kmalloc(ABOVE(0), SIZE, 0, growth_flags(M_WAITOK));
	model_vm_alloc(m, ABOVE(0), 0, 16, SLAB, VM_ALLOC_NORMAL, true, true);
	model_sleep(m, ABOVE(0));
	model_end(m);
	CLEAN();
	/* Room that a growth lost in a panic is not had again. */
	pipe_of(1, 2, 0, 0);
	alloc(at(0));
	c = begin_type_op(TRACE_OP_KMALLOC_DESTROY, 0, 0);
	returns(&c, 2);
	c = begin_mp(TRACE_OP_MPIPE_ALLOC_NOWAIT, 0);
	k = begin_kmalloc(ABOVE(0), SIZE, 0, growth_flags(M_NOWAIT));
	panics(&k, W_BAD_TYPE);
	panics(&c, W_BAD_TYPE);
	alloc(0);
	CLEAN();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(life_of_a_pipe),
		T(mp1_the_guarantee),
		T(mp1_others_may_hold),
		T(mp1_growth_fails_meanwhile),
		T(mp2_the_maximum),
		T(mp3_waitok),
		T(mp3_waitok_grows),
		T(mp3_waitok_beside_a_claim),
		T(mp3_waitok_grows_below_the_limit),
		T(mp4_callbacks),
		T(mp4_callbacks_and_others),
		T(mp5_contents),
		T(mp5_nozero),
		T(mp6_pairs),
		T(mp7_frees),
		T(mp8_reserves),
		T(mp9_done),
		T(g6_a_pipe_that_cannot_be_made),
		T(g3_handles_and_arguments),
		T(two_threads),
		T(a_type_that_ended),
		T(odds_and_ends),
		T(waits_in_flight),
		T(more_misuse),
		T(every_clause_was_broken),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
