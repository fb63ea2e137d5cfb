/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The protocols. Each is told as the original has it; what is left out does
 * not matter to it. Where a line is the mistake, or its cure, the comment says
 * so. docs/protocols.md has the schedules that break them.
 */
#include <string.h>

#include "port/port.h"
#include "protocol.h"

static bool mended;
static struct ka_mutex token;
static struct ka_chan chan;

static void
begin(bool is_mended)
{
	mended = is_mended;
	ka_mutex_init(&token, "token");
	ka_chan_init(&chan, "waiters");
}

/* ---- DragonFly's slab: the signal of remote frees (X1) ------------------ */

/*
 * A zone (slab) whose chunks are all out is unlinked by its owner; a remote
 * free that finds z_RSignal set sends an IPI, whose handler links it again. The
 * signal is read before the chunk is pushed.
 */
static struct {
	uint32_t signal, chunks, linked, ipi;
} x1;

static void
x1_setup(bool is_mended)
{
	begin(is_mended);
	memset(&x1, 0, sizeof(x1));
	x1.linked = 1;
}

static void
x1_owner(void)
{
	ka_store(&x1.signal, 1, RELAXED);
	ka_fence();
	if (ka_load(&x1.chunks, RELAXED) == 0)
		ka_store(&x1.linked, 0, RELAXED);
}

static void
x1_remote(void)
{
	uint32_t signal = ka_load(&x1.signal, RELAXED); /* the mistake */
	uint32_t before = ka_add(&x1.chunks, 1);

	if (mended) {
		ka_fence();
		signal = ka_load(&x1.signal, RELAXED);
	}
	if (before == 0 && signal != 0)
		ka_store(&x1.ipi, 1, RELAXED);
}

static const char *
x1_check(uint32_t asleep)
{
	(void)asleep;
	if (x1.linked == 0 && x1.chunks != 0 && x1.ipi == 0)
		return ("a zone with a free chunk is on no list, and no IPI "
			"is on its way");
	return (NULL);
}

/* ---- DragonFly's mpipe: pending (X2) ------------------------------------ */

/*
 * mpipe_free gives the buffer back under the token, and looks at and clears
 * pending after it. A waiter sets pending and sleeps with the token held, but
 * for a clear and a wake-up that do not take the token there is a gap between
 * the two.
 */
static struct {
	uint32_t free, pending;
} x2;

static void
x2_setup(bool is_mended)
{
	begin(is_mended);
	memset(&x2, 0, sizeof(x2));
}

static void
x2_take(void)
{
	ka_mutex_lock(&token);
	while (x2.free == 0) {
		ka_store(&x2.pending, 1, RELAXED);
		ka_chan_sleep(&chan, &token);
	}
	x2.free--;
	ka_mutex_unlock(&token);
}

static void
x2_wake(void)
{
	if (ka_load(&x2.pending, RELAXED) == 0)
		return;
	ka_store(&x2.pending, 0, RELAXED);
	ka_chan_wake_all(&chan);
}

static void
x2_give(void)
{
	ka_mutex_lock(&token);
	x2.free++;
	if (mended)
		x2_wake();
	ka_mutex_unlock(&token);
	if (!mended)
		x2_wake(); /* the mistake: outside of the token */
}

static void
x2_giver(void)
{
	x2_give();
}

static void
x2_taker(void)
{
	x2_take();
	x2_give();
}

static const char *
x2_check(uint32_t asleep)
{
	if (asleep != 0 && x2.free != 0)
		return ("lost wake-up: a thread sleeps, a buffer is free");
	return (NULL);
}

/* ---- UMA: a constructor that fails on the bucket's path (B25) ----------- */

/*
 * An item that comes past the buckets has a unit of the limit. If its
 * constructor refuses it goes back as one that was never counted, and so the
 * unit stays taken.
 */
static struct {
	uint32_t units, limit, refuse;
} b25;

static void
b25_setup(bool is_mended)
{
	begin(is_mended);
	b25.units = 0;
	b25.limit = 1;
	b25.refuse = 1;
}

static bool
b25_alloc(bool may_sleep)
{
	ka_mutex_lock(&token);
	while (b25.units == b25.limit) {
		if (!may_sleep) {
			ka_mutex_unlock(&token);
			return (false);
		}
		ka_chan_sleep(&chan, &token);
	}
	b25.units++;
	ka_mutex_unlock(&token);
	if (ka_xchg(&b25.refuse, 0) == 0)
		return (true);
	if (mended) {
		ka_mutex_lock(&token);
		b25.units--;
		ka_chan_wake_all(&chan);
		ka_mutex_unlock(&token);
	}
	return (false);
}

static uint32_t b25_held;

static void
b25_nowait(void)
{
	if (b25_alloc(false))
		(void)ka_add(&b25_held, 1);
}

static void
b25_waitok(void)
{
	if (b25_alloc(true))
		(void)ka_add(&b25_held, 1);
}

static void
b25_begin(bool is_mended)
{
	b25_held = 0;
	b25_setup(is_mended);
}

static const char *
b25_check(uint32_t asleep)
{
	if (b25.units != b25_held)
		return (asleep != 0 ?
			"a thread sleeps at the limit and no item is out" :
			"a unit of the limit is taken and no item is out");
	return (NULL);
}

/* ---- DragonFly's slab: a zone destroyed under an IPI (H1) --------------- */

/*
 * A remote free pushes the chunk and sends an IPI for it. The owner may take
 * the chunk off the list before, find the zone wholly free and destroy it: then
 * the handler works on a zone that is no more. z_RCount counts the IPIs that
 * are on their way (df9daea899a8).
 */
static struct {
	uint32_t chunks, ipi, count, dead;
} h1;

static void
h1_setup(bool is_mended)
{
	begin(is_mended);
	memset(&h1, 0, sizeof(h1));
}

static void
h1_remote(void)
{
	if (mended)
		(void)ka_add(&h1.count, 1);
	(void)ka_add(&h1.chunks, 1);
	ka_store(&h1.ipi, 1, RELEASE);
}

static void
h1_clean(void)
{
	if (ka_xchg(&h1.chunks, 0) != 0 &&
	    (!mended || ka_load(&h1.count, ACQUIRE) == 0))
		ka_store(&h1.dead, 1, RELAXED);
}

static void
h1_handler(void)
{
	if (ka_xchg(&h1.ipi, 0) == 0)
		return;
	if (ka_load(&h1.dead, RELAXED) != 0)
		protocol_fail("the IPI's handler works on a zone that was "
			      "destroyed");
	(void)ka_xchg(&h1.chunks, 0);
	if (mended)
		(void)ka_add(&h1.count, (uint32_t)-1);
}

/* The owner's CPU: an IPI is handled before or after what it does. */
static void
h1_owner(void)
{
	h1_clean();
	h1_handler();
	h1_clean();
}

static const char *
h1_check(uint32_t asleep)
{
	(void)asleep;
	return (NULL);
}

/* ---- objcache: freed to a magazine, waited for at the depot (H2) -------- */

static struct {
	uint32_t magazine[2], depot, waiting;
} h2;

static void
h2_setup(bool is_mended)
{
	begin(is_mended);
	memset(&h2, 0, sizeof(h2));
}

static void
h2_put(void)
{
	uint32_t cpu = protocol_cpu();

	if (mended && ka_load(&h2.waiting, RELAXED) != 0) {
		ka_mutex_lock(&token);
		h2.depot++;
		ka_chan_wake_all(&chan);
		ka_mutex_unlock(&token);
		return;
	}
	/* The mistake: nobody looks for those who wait. */
	(void)ka_add(&h2.magazine[cpu], 1);
	if (!mended)
		return;
	ka_fence();
	if (ka_load(&h2.waiting, RELAXED) == 0)
		return;
	ka_mutex_lock(&token);
	h2.depot += ka_xchg(&h2.magazine[cpu], 0);
	ka_chan_wake_all(&chan);
	ka_mutex_unlock(&token);
}

static void
h2_get(void)
{
	uint32_t *own = &h2.magazine[protocol_cpu()];

	ka_mutex_lock(&token);
	(void)ka_add(&h2.waiting, 1);
	if (mended)
		ka_fence();
	for (;;) {
		if (ka_load(own, RELAXED) != 0) {
			(void)ka_add(own, (uint32_t)-1);
			break;
		}
		if (h2.depot != 0) {
			h2.depot--;
			break;
		}
		/* Others' are looked at once it is known that one waits. */
		if (mended && ka_xchg(&h2.magazine[1 - protocol_cpu()], 0))
			break;
		ka_chan_sleep(&chan, &token);
	}
	(void)ka_add(&h2.waiting, (uint32_t)-1);
	ka_mutex_unlock(&token);
}

static const char *
h2_check(uint32_t asleep)
{
	if (asleep != 0 && h2.magazine[0] + h2.magazine[1] + h2.depot != 0)
		return ("a thread sleeps while an object is in another CPU's "
			"magazine");
	return (NULL);
}

/* ---- A fence that is missing (Dekker) ----------------------------------- */

static struct {
	uint32_t cache, waiters;
} dekker;

static void
dekker_setup(bool is_mended)
{
	begin(is_mended);
	memset(&dekker, 0, sizeof(dekker));
}

static void
dekker_free(void)
{
	ka_store(&dekker.cache, 1, RELEASE);
	if (mended)
		ka_fence(); /* without it the load may come first */
	if (ka_load(&dekker.waiters, ACQUIRE) == 0)
		return;
	ka_mutex_lock(&token);
	ka_chan_wake_all(&chan);
	ka_mutex_unlock(&token);
}

static void
dekker_alloc(void)
{
	ka_mutex_lock(&token);
	ka_store(&dekker.waiters, 1, RELEASE);
	if (mended)
		ka_fence();
	while (ka_load(&dekker.cache, ACQUIRE) == 0)
		ka_chan_sleep(&chan, &token);
	ka_mutex_unlock(&token);
}

static const char *
dekker_check(uint32_t asleep)
{
	if (asleep != 0 && dekker.cache != 0)
		return ("lost wake-up: the store of the one was not seen by "
			"the other, nor the other's by the one");
	return (NULL);
}

/* ---- The CPU that one was on (stale CPU) -------------------------------- */

/*
 * The CPU is read, then its section is entered: between the two the thread may
 * have gone to another CPU, and works on the first one's data.
 */
static struct {
	uint32_t inside[2];
} stale;

static void
stale_setup(bool is_mended)
{
	begin(is_mended);
	memset(&stale, 0, sizeof(stale));
}

static void
stale_thread(void)
{
	uint32_t cpu = protocol_cpu();
	struct ka_cpu *section = ka_section_enter();

	if (mended)
		cpu = protocol_cpu();
	if (ka_load(&stale.inside[cpu], RELAXED) != 0)
		protocol_fail("two threads are in one CPU's section");
	ka_store(&stale.inside[cpu], 1, RELAXED);
	ka_store(&stale.inside[cpu], 0, RELAXED);
	ka_section_exit(section);
}

static const char *
stale_check(uint32_t asleep)
{
	(void)asleep;
	return (NULL);
}

/* ---- One is woken for many (B3) ----------------------------------------- */

/*
 * At the maximum waiters set a flag and sleep. A free clears it and wakes one:
 * with two waiters and two frees the second finds no flag.
 */
static struct {
	uint32_t free, full;
} b3;

static void
b3_setup(bool is_mended)
{
	begin(is_mended);
	memset(&b3, 0, sizeof(b3));
}

static void
b3_alloc(void)
{
	ka_mutex_lock(&token);
	while (b3.free == 0) {
		b3.full = 1;
		ka_chan_sleep(&chan, &token);
	}
	b3.free--;
	ka_mutex_unlock(&token);
}

static void
b3_free(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		ka_mutex_lock(&token);
		b3.free++;
		if (b3.full != 0) {
			b3.full = 0;
			ka_sim_wake(&chan, !mended, KA_HERE);
		}
		ka_mutex_unlock(&token);
	}
}

static const char *
b3_check(uint32_t asleep)
{
	if (asleep != 0 && b3.free != 0)
		return ("a thread sleeps, an item is free");
	return (NULL);
}

/* ---- The table ---------------------------------------------------------- */

#define BOTH(id, about, source, clause, memory, may, fewest, threads, cpus,    \
    setup, check, ...)                                                         \
	{ id, about, source, clause, false, memory, may, fewest, threads,      \
		cpus, setup, { __VA_ARGS__ }, check },                         \
	{                                                                      \
		id "-mended", about, source, clause, true, memory, may, 0,     \
		    threads, cpus, setup, { __VA_ARGS__ }, check               \
	}

const struct protocol protocols[] = {
	BOTH("slab-signal",
	    "a zone that chunks are freed to is on a list, or an IPI comes",
	    "DragonFly kern_slaballoc.c, lineage X1", "G-5", TRACE_MEMORY_SC, 0,
	    2, 2, 2, x1_setup, x1_check, x1_owner, x1_remote),
	BOTH("mpipe-pending", "whoever waits for a buffer is woken",
	    "DragonFly kern_mpipe.c, lineage X2", "MP-3", TRACE_MEMORY_SC, 0, 3,
	    3, 3, x2_setup, x2_check, x2_giver, x2_taker, x2_taker),
	BOTH("uma-constructor",
	    "a constructor that refuses gives the unit of the limit back",
	    "FreeBSD uma_core.c 13.0, lineage B25", "ZN-6", TRACE_MEMORY_SC, 0,
	    0, 2, 2, b25_begin, b25_check, b25_nowait, b25_waitok),
	BOTH("slab-destroy", "an IPI's handler finds its zone",
	    "DragonFly df9daea899a8, lineage H1", "KM-11", TRACE_MEMORY_SC, 0,
	    1, 2, 2, h1_setup, h1_check, h1_owner, h1_remote),
	BOTH("objcache-magazine",
	    "whoever waits for an object gets what is put",
	    "DragonFly bugs list 2007-05, lineage H2", "OC-6", TRACE_MEMORY_SC,
	    0, 0, 2, 2, h2_setup, h2_check, h2_get, h2_put),
	BOTH("fence", "whoever waits sees what came, or is seen",
	    "Dekker; simulation of per-CPU caches", "G-5", TRACE_MEMORY_TSO, 0,
	    2, 2, 2, dekker_setup, dekker_check, dekker_free, dekker_alloc),
	BOTH("stale-cpu", "a CPU's data is its section's owner's",
	    "Linux 2180da7ea70a is of the kind, lineage B57", "G-3",
	    TRACE_MEMORY_SC, TRACE_MAY_MIGRATE, 2, 3, 2, stale_setup,
	    stale_check, stale_thread, stale_thread, stale_thread),
	BOTH("wake-one", "every waiter is served in the end",
	    "FreeBSD uma_core.c 2007, lineage B3", "ZN-7", TRACE_MEMORY_SC, 0,
	    0, 3, 3, b3_setup, b3_check, b3_alloc, b3_alloc, b3_free),
};
const uint32_t protocols_count = sizeof(protocols) / sizeof(protocols[0]);
