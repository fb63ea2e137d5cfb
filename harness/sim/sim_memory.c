/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stores and loads see under total store order (Sewell and others,
 * x86-TSO, 2010): each CPU has a queue of stores that have not reached memory.
 * Its own loads see the newest of them, others see memory; an atomic
 * read-modify-write, a fence, a lock and a CPU's switch empty it; otherwise its
 * oldest store reaches memory whenever the schedule says so.
 *
 * By default a store goes straight to memory; that it stays in the buffer is a
 * deviation. Those that follow it queue behind it, and it leaves by a
 * deviation (SIM_FLUSH), or when the CPU must, or when the operation ends: an
 * operation's return is an event that the laboratory orders, so that what it
 * stored is in memory by then.
 *
 * A CPU reads its own stores also by plain loads, which nobody tells of. So
 * memory is at any time as the running thread's CPU sees it: its buffer is
 * laid over what all see (applied) when it gets the word, and taken off again.
 */
#include <string.h>

#include "sim_int.h"
#include "sim_sync.h"

#define BUFFER_MAX 8u

struct store {
	volatile void *addr;
	uint64_t value, under; /* what all see, while it is applied */
	size_t size;
};

static struct buffer {
	uint32_t n;
	struct store store[BUFFER_MAX];
} buffer[SIM_THREADS_MAX + 1];

uint32_t sim__applied = SIM_NONE;

/* One thread of the system does all this: no order is needed. */
static void
put(const struct store *s, uint64_t value)
{
	switch (s->size) {
	case 1:
		__atomic_store_n((volatile uint8_t *)s->addr, (uint8_t)value,
		    __ATOMIC_RELAXED);
		break;
	case 2:
		__atomic_store_n((volatile uint16_t *)s->addr, (uint16_t)value,
		    __ATOMIC_RELAXED);
		break;
	case 4:
		__atomic_store_n((volatile uint32_t *)s->addr, (uint32_t)value,
		    __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n(
		    (volatile uint64_t *)s->addr, value, __ATOMIC_RELAXED);
	}
}

static uint64_t
get(const struct store *s)
{
	switch (s->size) {
	case 1:
		return (*(const volatile uint8_t *)s->addr);
	case 2:
		return (*(const volatile uint16_t *)s->addr);
	case 4:
		return (*(const volatile uint32_t *)s->addr);
	default:
		return (*(const volatile uint64_t *)s->addr);
	}
}

void
sim__memory_reset(void)
{
	uint32_t i;

	for (i = 0; i <= sim.config.cpus; i++)
		buffer[i].n = 0;
	sim__applied = SIM_NONE;
	if (sim.config.memory == SIM_C11)
		sim__c11_reset();
}

uint32_t
sim__buffered(uint32_t cpu)
{
	return (buffer[cpu].n);
}

static void
has_some(uint32_t cpu)
{
	sim.buffered[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

static void
has_none(uint32_t cpu)
{
	sim.buffered[cpu / 64] &= ~(UINT64_C(1) << cpu % 64);
}

void
sim__memory_apply(void)
{
	struct buffer *b = &buffer[sim__applied];
	uint32_t i;

	for (i = 0; i < b->n; i++) {
		b->store[i].under = get(&b->store[i]);
		put(&b->store[i], b->store[i].value);
	}
}

/* Is it the newest of its address? */
static bool
is_newest(const struct buffer *b, uint32_t i)
{
	uint32_t j;

	for (j = i + 1; j < b->n; j++)
		if (b->store[j].addr == b->store[i].addr)
			return (false);
	return (true);
}

void
sim__memory_unapply(void)
{
	const uint32_t cpu = sim__applied;
	struct buffer *b = &buffer[cpu];
	uint32_t i;

	for (i = 0; i < b->n; i++)
		if (is_newest(b, i) && get(&b->store[i]) != b->store[i].value) {
			/* A plain store has come after it: the place is the
			 * CPU's own by now, whoever sees it. */
			b->n = 0;
			has_none(cpu);
			return;
		}
	for (i = b->n; i-- > 0;)
		put(&b->store[i], b->store[i].under);
}

/* A store reaches memory while another CPU's buffer may be over it. */
static void
arrive(const struct store *s)
{
	struct buffer *b;
	uint32_t i;

	if (sim__applied != SIM_NONE) {
		b = &buffer[sim__applied];
		for (i = 0; i < b->n; i++)
			if (b->store[i].addr == s->addr) {
				b->store[i].under = s->value;
				return;
			}
	}
	put(s, s->value);
}

void
sim__flush_one(uint32_t cpu)
{
	struct buffer *b = &buffer[cpu];

	if (sim__applied != cpu)
		arrive(&b->store[0]);
	if (sim.config.hash)
		sim__event_flush(cpu, b->store[0].addr);
	if (--b->n == 0)
		has_none(cpu);
	sim_sync_move(&b->store[0], &b->store[1], b->n * sizeof(b->store[0]));
}

void
sim__flush_cpu(uint32_t cpu)
{
	while (buffer[cpu].n != 0)
		sim__flush_one(cpu);
}

bool
ka_sim_load(const volatile void *addr, size_t size, int order)
{
	return (ka_sim_self != SIM_NONE && sim.config.memory == SIM_C11 &&
	    sim__c11_load(addr, size, order));
}

/* Into the CPU's buffer, behind what is there. */
static void
delay(uint32_t cpu, volatile void *addr, size_t size, uint64_t value)
{
	struct buffer *b = &buffer[cpu];
	struct store *s;

	if (b->n == BUFFER_MAX)
		sim__flush_one(cpu);
	s = &b->store[b->n++];
	has_some(cpu);
	s->addr = addr;
	s->size = size;
	s->value = value;
	s->under = get(s);
	put(s, value);
	if (sim.config.hash)
		sim__event_delay(&sim.thread[ka_sim_self], addr);
}

/*
 * A store that is done here is not one that ThreadSanitizer sees. It is told
 * that whoever loads from there is ordered after what came before the store,
 * from now on: when what is delayed becomes visible another thread has the word,
 * and what would be told is its own past. A load that sees an older value is
 * thought to be ordered, too.
 */
static void
publish(const volatile void *addr, int order)
{
	if (order != __ATOMIC_RELAXED)
		sim_sync_release(addr);
}

bool
ka_sim_store(volatile void *addr, size_t size, uint64_t value, int order)
{
	uint32_t cpu;

	if (ka_sim_self == SIM_NONE)
		return (false);
	if (sim.config.memory == SIM_C11) {
		publish(addr, order);
		return (sim__c11_store(addr, size, value, order));
	}
	cpu = sim.thread[ka_sim_self].cpu;
	if (order == __ATOMIC_SEQ_CST)
		sim__flush_cpu(cpu);
	if (order == __ATOMIC_SEQ_CST ||
	    (buffer[cpu].n == 0 && (sim.held || !sim__ask_one(SIM_DELAY, 0)))) {
		if (sim.config.hash)
			sim__event(&sim.thread[ka_sim_self], SIM_CHANGES, addr);
		return (false);
	}
	publish(addr, order);
	delay(cpu, addr, size, value);
	return (true);
}

static bool
is_buffered(const struct buffer *b, const volatile void *addr)
{
	uint32_t i;

	for (i = 0; i < b->n; i++)
		if (b->store[i].addr == addr)
			return (true);
	return (false);
}

/* That it is in memory before what the buffer has nobody can tell: nobody looks
 * at it before something that is stored later. */
bool
ka_sim_init(volatile void *addr, size_t size, uint64_t value)
{
	uint32_t cpu;

	if (ka_sim_self == SIM_NONE)
		return (false);
	cpu = sim.thread[ka_sim_self].cpu;
	if (ka_sim_weak && sim.config.memory == SIM_C11)
		return (sim__c11_store(addr, size, value, __ATOMIC_RELAXED));
	if (ka_sim_weak && is_buffered(&buffer[cpu], addr)) {
		delay(cpu, addr, size, value);
		return (true);
	}
	if (sim.config.hash)
		sim__event(&sim.thread[ka_sim_self], SIM_CHANGES, addr);
	return (false);
}

void
ka_sim_rmw(volatile void *addr, size_t size)
{
	if (ka_sim_self == SIM_NONE)
		return;
	if (sim.config.memory == SIM_C11)
		sim__c11_rmw(addr, size);
	else
		sim__flush_cpu(sim.thread[ka_sim_self].cpu);
}

void
ka_sim_rmw_done(volatile void *addr, size_t size, bool wrote)
{
	if (wrote && ka_sim_self != SIM_NONE && sim.config.memory == SIM_C11)
		sim__c11_rmw_done(addr, size);
}

void
ka_sim_fence(bool all)
{
	uint32_t i;

	if (ka_sim_self == SIM_NONE)
		return;
	if (sim.config.memory == SIM_C11)
		sim__c11_fence(all);
	else if (!all)
		sim__flush_cpu(sim.thread[ka_sim_self].cpu);
	else
		for (i = 0; i < sim.config.cpus; i++)
			sim__flush_cpu(i);
}
