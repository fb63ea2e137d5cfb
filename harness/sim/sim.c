/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulation, and the library's port to it (port_sim.h).
 *
 * Control goes from the caller to a thread's fiber and back: a resumption is
 * two switches. Everything here is compiled without sanitizers: what the
 * library does is checked, what the simulation does is not part of it.
 */
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fiber.h"
#include "port/port.h"
#include "util/random.h"

struct sim_thread {
	struct fiber *fiber;
	void (*fn)(void *);
	void *arg;
	enum sim_state state;
	uint32_t cpu;
	uint8_t in_section;
	uint16_t start;	    /* of a started thread: how many had the number */
	uint32_t points;    /* passed in this run */
	uint32_t deviation; /* index of its next one */
	const struct ka_mutex *lock; /* LOCK: waits for it */
	const struct ka_chan *chan;  /* ASLEEP: on it */
};

int ka_sim_armed;
struct ka_cpu *ka_sim_cpu;
uint8_t ka_sim_in_section;
uint32_t ka_sim_self = SIM_NONE;

static struct sim_config sim_config;
#define SIM_ALL_MAX (SIM_THREADS_MAX + SIM_DAEMONS_MAX)

static struct sim_thread sim_thread[SIM_ALL_MAX];
static uint32_t sim_total; /* threads of the run, started ones too */
static uint32_t
    sim_holder[SIM_THREADS_MAX + 1]; /* by CPU: who is in its section */
static struct fiber *sim_main;
static enum sim_stop sim_reason;
static uint32_t sim_forced_choice;
static bool sim_held;
static uint64_t sim_rng, sim_npoints, sim_nswitches;
static char *sim_cpu_base;
static size_t sim_cpu_stride;

/* ---- Choices ----------------------------------------------------------- */

uint32_t
sim_choose(enum sim_choice kind, uint32_t n)
{
	if (n <= 1)
		return (0);
	if (sim_config.mode == SIM_NO_PREEMPTION)
		return (0);
	if (kind == SIM_CHOOSE_STAY && sim_config.mode == SIM_STICKY)
		return (random_below(&sim_rng, sim_config.sticky) == 0);
	if (kind == SIM_CHOOSE_STAY)
		return (1);
	return (random_below(&sim_rng, n));
}

/* ---- Threads ----------------------------------------------------------- */

static void
sim_stop_with(enum sim_stop reason)
{
	struct sim_thread *t = &sim_thread[ka_sim_self];

	t->in_section = ka_sim_in_section;
	if (t->in_section)
		sim_holder[t->cpu] = ka_sim_self;
	sim_reason = reason;
	fiber_switch(t->fiber, sim_main);
}

static void
sim_body(void *arg)
{
	struct sim_thread *t = arg;

	for (;;) {
		t->fn(t->arg);
		t->state = SIM_IDLE;
		sim_stop_with(SIM_DONE);
	}
}

int
sim_reset(const struct sim_config *config)
{
	uint32_t i;

	if (sim_main == NULL)
		sim_main = fiber_main();
	if (sim_main == NULL)
		return (ENOMEM);
	for (i = 0; i < config->threads; i++) {
		struct sim_thread *t = &sim_thread[i];

		if (t->fiber == NULL) {
			t->fiber = fiber_create(sim_body, t);
			if (t->fiber == NULL)
				return (ENOMEM);
		} else if (t->state != SIM_IDLE) {
			fiber_restart(t->fiber, sim_body, t);
		}
		t->state = SIM_IDLE;
		t->in_section = 0;
		t->cpu = config->thread_cpu[i];
		t->points = 0;
		t->deviation = 0;
	}
	/* Threads of a larger run before must not come back to life. */
	for (; i < SIM_ALL_MAX; i++) {
		if (sim_thread[i].fiber != NULL &&
		    sim_thread[i].state != SIM_IDLE)
			fiber_restart(
			    sim_thread[i].fiber, sim_body, &sim_thread[i]);
		sim_thread[i].state = SIM_IDLE;
	}
	for (i = 0; i < config->cpus; i++)
		sim_holder[i] = SIM_NONE;
	for (i = config->ndeviations; i-- > 0;)
		if (config->deviation[i].thread < config->threads)
			sim_thread[config->deviation[i].thread].deviation = i;
	sim_forced_choice = 0;
	sim_held = false;
	sim_config = *config;
	sim_total = config->threads;
	sim_rng = config->seed;
	sim_npoints = 0;
	sim_nswitches = 0;
	ka_sim_armed =
	    config->mode != SIM_NO_PREEMPTION || config->ndeviations != 0;
	ka_sim_self = SIM_NONE;
	ka_sim_in_section = 0;
	return (0);
}

void
sim_start(uint32_t thread, void (*fn)(void *), void *arg)
{
	struct sim_thread *t = &sim_thread[thread];

	t->fn = fn;
	t->arg = arg;
	t->state = SIM_READY;
}

enum sim_stop
sim_resume(uint32_t thread)
{
	struct sim_thread *t = &sim_thread[thread];

	ka_sim_self = thread;
	ka_sim_cpu =
	    (struct ka_cpu *)(void *)(sim_cpu_base + t->cpu * sim_cpu_stride);
	ka_sim_in_section = t->in_section;
	sim_holder[t->cpu] = SIM_NONE;
	t->state = SIM_READY;
	sim_nswitches++;
	fiber_switch(sim_main, t->fiber);
	ka_sim_self = SIM_NONE;
	ka_sim_in_section = 0;
	return (sim_reason);
}

enum sim_state
sim_state(uint32_t thread)
{
	return (sim_thread[thread].state);
}

bool
sim_may_run(uint32_t thread)
{
	const struct sim_thread *t = &sim_thread[thread];
	uint32_t holder = sim_holder[t->cpu];

	if (t->state == SIM_LOCK || t->state == SIM_ASLEEP)
		return (false);
	return (holder == SIM_NONE || holder == thread);
}

uint32_t
sim_cpu(uint32_t thread)
{
	return (sim_thread[thread].cpu);
}

void
sim_migrate(uint32_t thread, uint32_t cpu)
{
	struct sim_thread *t = &sim_thread[thread];

	t->cpu = cpu;
	if (ka_sim_self == thread)
		ka_sim_cpu = (struct ka_cpu *)(void *)(sim_cpu_base +
		    cpu * sim_cpu_stride);
}

uint32_t
sim_current(void)
{
	return (ka_sim_self);
}

uint64_t
sim_points(void)
{
	return (sim_npoints);
}

uint64_t
sim_switches(void)
{
	return (sim_nswitches);
}

/* ---- The port ---------------------------------------------------------- */

void
ka_sim_cpus(struct ka_cpu *first, size_t stride, unsigned n)
{
	(void)n;
	sim_cpu_base = (char *)first;
	sim_cpu_stride = stride;
	ka_sim_cpu = first; /* for what boot and halt do */
}

/* Is a deviation due at the running thread's point? */
static bool
sim_deviates(struct sim_thread *t)
{
	const struct sim_deviation *d;

	t->points++;
	if (t->deviation >= sim_config.ndeviations)
		return (false);
	d = &sim_config.deviation[t->deviation];
	if (d->thread != ka_sim_self || d->point != t->points)
		return (false);
	t->deviation++;
	sim_forced_choice = d->choice;
	return (d->choice != 0);
}

uint32_t
sim_forced(void)
{
	uint32_t choice = sim_forced_choice;

	sim_forced_choice = 0;
	return (choice);
}

void
sim_hold(bool held)
{
	sim_held = held;
}

void
sim_abandon(void)
{
	static const struct ka_chan nothing = { 0, "nothing any more" };

	for (;;) {
		sim_thread[ka_sim_self].state = SIM_ASLEEP;
		sim_thread[ka_sim_self].chan = &nothing;
		sim_stop_with(SIM_BLOCKED);
	}
}

void
ka_sim_point(enum ka_sim_point kind, const volatile void *obj)
{
	(void)kind;
	(void)obj;
	if (ka_sim_self == SIM_NONE || sim_held)
		return;
	sim_npoints++;
	if (sim_deviates(&sim_thread[ka_sim_self]) ||
	    sim_choose(SIM_CHOOSE_STAY, 2) != 0)
		sim_stop_with(SIM_PREEMPTED);
}

void
ka_sim_pause(void)
{
	if (ka_sim_self == SIM_NONE)
		abort(); /* nobody else can run: it would wait for ever */
	sim_npoints++;
	sim_thread[ka_sim_self].state = SIM_SPIN;
	sim_stop_with(SIM_SPINNING);
}

void
ka_sim_lock_slow(struct ka_mutex *m)
{
	struct sim_thread *t = &sim_thread[ka_sim_self];

	if (ka_sim_self == SIM_NONE)
		return; /* halt: whoever has it will never run again */
	if (ka_sim_in_section)
		abort(); /* no lock is taken in a section: cpu.h */
	m->waiters++;
	while (m->owner != 0) {
		t->state = SIM_LOCK;
		t->lock = m;
		sim_stop_with(SIM_BLOCKED);
	}
	m->waiters--;
}

/* All who wait become runnable; the schedule says who is first. */
void
ka_sim_unlock_slow(struct ka_mutex *m)
{
	uint32_t i;

	for (i = 0; i < sim_total; i++) {
		struct sim_thread *t = &sim_thread[i];

		if (t->state == SIM_LOCK && t->lock == m)
			t->state = SIM_READY;
	}
}

void
ka_chan_sleep(struct ka_chan *c, struct ka_mutex *m)
{
	struct sim_thread *t = &sim_thread[ka_sim_self];

	if (ka_sim_self == SIM_NONE || ka_sim_in_section)
		abort();
	if (sim_config.on_sleep != NULL)
		sim_config.on_sleep(sim_config.arg, ka_sim_self);
	c->sleepers++;
	t->state = SIM_ASLEEP;
	t->chan = c;
	m->owner = 0;
	if (m->waiters != 0)
		ka_sim_unlock_slow(m);
	sim_stop_with(SIM_BLOCKED);
	ka_mutex_lock(m);
}

void
ka_chan_wake_all(struct ka_chan *c)
{
	uint32_t i;

	KA_SIM_AT(KA_SIM_WAKE, c);
	if (c->sleepers == 0)
		return;
	for (i = 0; i < sim_total; i++) {
		struct sim_thread *t = &sim_thread[i];

		if (t->state != SIM_ASLEEP || t->chan != c)
			continue;
		t->state = SIM_READY;
		if (sim_config.on_wake != NULL)
			sim_config.on_wake(sim_config.arg, i);
	}
	c->sleepers = 0;
}

uint32_t
sim_threads(void)
{
	return (sim_total);
}

/* On the first number whose thread has ended; it runs when the schedule lets
 * it. Its CPU is by its number. */
int
ka_thread_start(
    struct ka_thread *kt, const char *name, void (*fn)(void *), void *arg)
{
	uint32_t i = sim_config.threads;
	struct sim_thread *t;

	(void)name;
	while (i < sim_total && sim_thread[i].state != SIM_IDLE)
		i++;
	if (i == sim_config.threads + SIM_DAEMONS_MAX)
		return (EAGAIN);
	t = &sim_thread[i];
	if (t->fiber == NULL)
		t->fiber = fiber_create(sim_body, t);
	if (t->fiber == NULL)
		return (ENOMEM);
	t->in_section = 0;
	t->cpu = i % sim_config.cpus;
	if (i == sim_total) {
		sim_total++;
		t->points = 0;
		t->deviation = sim_config.ndeviations;
	}
	t->start++;
	kt->id = i << 16 | t->start;
	sim_start(i, fn, arg);
	return (0);
}

/* The thread ends by itself. */
void
ka_thread_join(struct ka_thread *kt)
{
	struct sim_thread *t = &sim_thread[kt->id >> 16];

	if (ka_sim_self == SIM_NONE && t->state != SIM_IDLE) {
		fiber_restart(t->fiber, sim_body, t); /* halt */
		t->state = SIM_IDLE;
	}
	/* Its number may be another's by now. */
	while (t->state != SIM_IDLE && t->start == (uint16_t)kt->id)
		ka_sim_pause();
}

uint32_t
sim_waits_for(uint32_t thread)
{
	const struct sim_thread *t = &sim_thread[thread];

	if (t->state != SIM_LOCK || t->lock->owner == 0)
		return (SIM_NONE);
	return (t->lock->owner - 1);
}

bool
sim_describe(uint32_t thread, char *buf, size_t size)
{
	const struct sim_thread *t = &sim_thread[thread];

	switch (t->state) {
	case SIM_LOCK:
		(void)snprintf(buf, size,
		    "thread %u waits for lock \"%s\", held by thread %u",
		    thread, t->lock->name, t->lock->owner - 1);
		return (true);
	case SIM_ASLEEP:
		(void)snprintf(buf, size, "thread %u sleeps on \"%s\"", thread,
		    t->chan->name);
		return (true);
	case SIM_SPIN:
		(void)snprintf(buf, size, "thread %u spins", thread);
		return (true);
	default:
		return (false);
	}
}

/* ---- Memory: kept from run to run -------------------------------------- */

static struct {
	void *p;
	size_t bytes;
} sim_kept[KA_OS_USE_COUNT];

#define SIM_ARENA_ALIGN ((size_t)1 << 32)

static void *
sim_map(size_t bytes, size_t align)
{
	char *p = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t head;

	if (p == MAP_FAILED)
		return (NULL);
	head = (align - ((uintptr_t)p & (align - 1))) & (align - 1);
	if (head != 0)
		(void)munmap(p, head);
	if (head != align)
		(void)munmap(p + head + bytes, align - head);
	return (p + head);
}

void *
ka_os_reserve(enum ka_os_use use, size_t bytes, size_t align, bool *ret_fresh)
{
	*ret_fresh = false;
	if (sim_kept[use].bytes >= bytes)
		return (sim_kept[use].p);
	if (sim_kept[use].p != NULL)
		(void)munmap(sim_kept[use].p, sim_kept[use].bytes);
	/* Addresses in the budget are alike in their low halves in every
	 * process: the library hashes them (ptr_map.h). */
	if (use == KA_OS_ARENA && align < SIM_ARENA_ALIGN)
		align = SIM_ARENA_ALIGN;
	sim_kept[use].p = sim_map(bytes, align);
	sim_kept[use].bytes = sim_kept[use].p == NULL ? 0 : bytes;
	*ret_fresh = true;
	return (sim_kept[use].p);
}

void
ka_os_release(enum ka_os_use use, void *p, size_t bytes)
{
	(void)use;
	(void)p;
	(void)bytes;
}

/*
 * Small mappings are kept by their number of pages and given out again: to ask
 * the system for each would be most of a short run. A block's first word links
 * it; what is given out is zero.
 */
#define SIM_BLOCK_PAGES 64u
static void *sim_block[SIM_BLOCK_PAGES + 1];

void *
ka_os_map(size_t bytes)
{
	size_t pages = (bytes + 4095) / 4096;
	void *p;

	if (pages > SIM_BLOCK_PAGES || sim_block[pages] == NULL)
		return (sim_map(pages * 4096, 4096));
	p = sim_block[pages];
	sim_block[pages] = *(void **)p;
	memset(p, 0, pages * 4096);
	return (p);
}

void
ka_os_unmap(void *p, size_t bytes)
{
	size_t pages = (bytes + 4095) / 4096;

	if (pages > SIM_BLOCK_PAGES) {
		(void)munmap(p, pages * 4096);
		return;
	}
	*(void **)p = sim_block[pages];
	sim_block[pages] = p;
}

unsigned
ka_os_cpus(void)
{
	return (1);
}

/* A fiber's frames end at its entry; the harness's own are of no use. */
unsigned
ka_os_backtrace(void **frames, unsigned max)
{
	frames[0] = __builtin_return_address(0);
	return (max > 0 ? 1 : 0);
}

void
ka_os_write_error(const char *line)
{
	(void)!write(STDERR_FILENO, line, strlen(line));
}

void
ka_os_abort(void)
{
	abort();
}
