/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual CPUs: who owns them, and how they are visited. See cpu.h.
 *
 * On the host a thread takes the lowest CPU without owner at its first slow
 * path and keeps it until it exits; a CPU whose owner is gone is *parked*: it
 * keeps its partial slabs and its magazines, which the next owner or anybody
 * in need takes over.
 * In the simulation CPUs belong to the schedule. They have an owner from the
 * beginning, until a thread is said to exit: then until the next slow path of
 * any thread on that CPU.
 */
#include "cpu.h"

#include <errno.h>
#include <string.h>

#include "kmalloc_int.h"

unsigned cpu_count;
uint32_t cpu_shortage;
uint32_t cpu_parked;
char *cpu_base;

static size_t cpu_bytes, cpu_stats_bytes;
static char *cpu_stats; /* of all types */

/* Statistics of so many CPUs: a 64 KiB share for each type. */
#define STATS_GROUP ((size_t)(KA_TYPES_MAX + 1) << 16)

static struct ka_mutex cpu_lock = KA_MUTEX_INITIALIZER; /* c_owned */

/* Its owner is gone, and anybody may take what it has; or it has one again. */
static void
cpu_set_owned(struct ka_cpu *cpu, bool owned)
{
	ka_store(&cpu->c_owned, (uint8_t)owned, RELAXED);
	(void)ka_add(&cpu_parked, owned ? (uint32_t)-1 : 1);
}

#ifndef KA_PORT_SIM
/* What threads without a CPU of their own have: closed, and of no system, so
 * that it outlives them all. */
static struct ka_cpu cpu_void = { .c_key = CPU_KEY_CLOSED,
	.c_slot = CPU_SLOT_NONE,
	.c_fast = { [0 ... KM_CLASSES] = &kmalloc_no_slab } };
__thread struct ka_cpu *ka_tls_cpu KA_TLS_MODEL = &cpu_void;
static __thread unsigned cpu_epoch_self;
static unsigned cpu_epoch; /* boots so far: a thread's CPU may be stale */

struct ka_cpu *
ka_cpu_self(void)
{
	struct ka_cpu *cpu = ka_tls_cpu;

	return (cpu == &cpu_void ? cpu_at(cpu_count) : cpu);
}

static void
cpu_exit(struct ka_cpu *cpu)
{
	if (cpu_epoch_self != cpu_epoch || !kalloc_is_up())
		return;
	ka_port_bind(&cpu_void, true);
	kmalloc__flush(cpu);
	ka_mutex_lock(&cpu_lock);
	cpu->c_tls = NULL;
	cpu_set_owned(cpu, false);
	ka_mutex_unlock(&cpu_lock);
}

void
cpu__attach(void)
{
	struct ka_cpu *cpu = NULL;
	unsigned i;

	if (cpu_epoch_self == cpu_epoch)
		return;
	cpu_epoch_self = cpu_epoch;
	ka_mutex_lock(&cpu_lock);
	for (i = 0; i < cpu_count; i++) {
		cpu = cpu_at(i);
		if (!cpu->c_owned)
			break;
	}
	if (i < cpu_count) {
		cpu->c_tls = &ka_tls_cpu;
		cpu_set_owned(cpu, true);
	}
	ka_mutex_unlock(&cpu_lock);
	ka_port_bind(i < cpu_count ? cpu : &cpu_void, i == cpu_count);
}
#else
/* A thread that needs its CPU owns it. What another does that has exited there,
 * and was moved to another CPU before it was done, comes before or after. */
void
cpu__attach(void)
{
	struct ka_cpu *cpu = ka_cpu_self();

	if (KA_LIKELY(__atomic_load_n(&cpu->c_owned, __ATOMIC_RELAXED)))
		return;
	ka_mutex_lock(&cpu_lock);
	if (!cpu->c_owned)
		cpu_set_owned(cpu, true);
	ka_mutex_unlock(&cpu_lock);
}

void
cpu__exit(void)
{
	struct ka_cpu *cpu = ka_cpu_self();

	kmalloc__flush(cpu);
	ka_mutex_lock(&cpu_lock);
	if (cpu->c_owned)
		cpu_set_owned(cpu, false);
	ka_mutex_unlock(&cpu_lock);
}
#endif

static void
cpu_init(struct ka_cpu *cpu, unsigned index)
{
	unsigned i;

	/* Whatever is not filled below. */
	memset(&cpu->c_section, 0,
	    offsetof(struct ka_cpu, c_slab) -
		offsetof(struct ka_cpu, c_section));
	memset(&cpu->c_use, 0, sizeof(*cpu) - offsetof(struct ka_cpu, c_use));
	cpu->c_index = (uint16_t)index;
	cpu->c_slot = (index + 1) * CPU_SLOT_STRIDE;
	cpu->c_spare = index == cpu_count;
	cpu->c_key = CPU_KEY_CLOSED;
	for (i = 0; i <= KM_CLASSES; i++)
		cpu->c_fast[i] = &kmalloc_no_slab;
	for (i = 0; i < KM_CLASSES_ALL; i++)
		cpu->c_slab[i] = &kmalloc_no_slab;
	cpu->c_use = cpu_stats + (size_t)(index / KM_USE_CPUS) * STATS_GROUP +
	    (size_t)(index % KM_USE_CPUS) * KM_USE_STRIDE;
	cpu->c_remote = CPU_REMOTE_NONE;
	ka_mutex_init(&cpu->c_lock, "cpu");
}

int
cpu__boot(unsigned ncpus)
{
	bool fresh;
	unsigned i;

	cpu_bytes = (size_t)(ncpus + 1) * CPU_STRIDE;
	cpu_base = ka_os_reserve(KA_OS_CPUS, cpu_bytes, KA_PAGE_SIZE, &fresh);
	if (cpu_base == NULL)
		return (ENOMEM);
	cpu_stats_bytes = (ncpus / KM_USE_CPUS + 1) * STATS_GROUP;
	cpu_stats =
	    ka_os_reserve(KA_OS_STATS, cpu_stats_bytes, KA_PAGE_SIZE, &fresh);
	if (cpu_stats == NULL) {
		ka_os_release(KA_OS_CPUS, cpu_base, cpu_bytes);
		return (ENOMEM);
	}
	cpu_count = ncpus;
	cpu_shortage = 0;
	for (i = 0; i <= ncpus; i++)
		cpu_init(cpu_at(i), i);
#ifdef KA_PORT_SIM
	cpu_parked = 0;
	ka_mutex_init(&cpu_lock, "owners");
	for (i = 0; i < ncpus; i++)
		cpu_at(i)->c_owned = 1;
	ka_sim_cpus(cpu_at(0), CPU_STRIDE, ncpus);
#else
	cpu_parked = ncpus;
	cpu_epoch++;
	ka_port_on_exit(cpu_exit);
#endif
	return (0);
}

void
cpu__halt(void)
{
	unsigned i;

#ifndef KA_PORT_SIM
	/* Also threads that live on lose their CPU. */
	for (i = 0; i < cpu_count; i++)
		if (cpu_at(i)->c_tls != NULL)
			*cpu_at(i)->c_tls = &cpu_void;
	cpu_epoch++;
#endif
	for (i = 0; i <= cpu_count; i++)
		ka_mutex_fini(&cpu_at(i)->c_lock);
	ka_os_release(KA_OS_CPUS, cpu_base, cpu_bytes);
	ka_os_release(KA_OS_STATS, cpu_stats, cpu_stats_bytes);
	cpu_base = NULL;
	cpu_count = 0;
}

/* c_fast is the owner's, but a visitor empties it: plain stores there. */
static void
cpu_set_fast(struct ka_cpu *cpu, unsigned class, struct ka_slab *slab)
{
	__atomic_store_n(&cpu->c_fast[class], slab, __ATOMIC_RELAXED);
}

void
cpu__set_slab(struct ka_cpu *cpu, unsigned class, struct ka_slab *slab)
{
	cpu->c_slab[class] = slab;
	if (cpu->c_key != CPU_KEY_CLOSED && class < KM_CLASSES)
		cpu_set_fast(cpu, class, slab);
}

static void
cpu_open(struct ka_cpu *cpu)
{
	unsigned i;

	KA_ASSERT(!cpu->c_spare);
	if (ka_load(&cpu_shortage, SEQ_CST) != 0)
		return;
	for (i = 0; i < KM_CLASSES; i++)
		cpu_set_fast(cpu, i, cpu->c_slab[i]);
	ka_store(&cpu->c_key, cpu->c_index, RELAXED);
}

struct ka_cpu *
cpu__lock_self(void)
{
	struct ka_cpu *cpu, *at;

	cpu__attach();
	for (;;) {
		cpu = ka_cpu_self();
		ka_mutex_lock(&cpu->c_lock);
		if (cpu->c_spare)
			return (cpu);
		at = ka_section_enter();
		if (at == cpu)
			break;
		ka_section_exit(at); /* moved in between */
		ka_mutex_unlock(&cpu->c_lock);
	}
	if (cpu->c_key == CPU_KEY_CLOSED)
		cpu_open(cpu);
	return (cpu);
}

void
cpu__unlock_self(struct ka_cpu *cpu)
{
	if (!cpu->c_spare)
		ka_section_exit(cpu);
	ka_mutex_unlock(&cpu->c_lock);
}

/* The other half of a section: from here on the owner's fast paths fail. */
static void
cpu_close(struct ka_cpu *cpu)
{
	unsigned i;

	if (cpu->c_key == CPU_KEY_CLOSED)
		return;
	ka_store(&cpu->c_key, (uint16_t)CPU_KEY_CLOSED, RELAXED);
	for (i = 0; i < KM_CLASSES; i++)
		cpu_set_fast(cpu, i, &kmalloc_no_slab);
}

static void
cpu_wait_section(struct ka_cpu *cpu)
{
	while (ka_section_busy(cpu))
		ka_pause();
}

void
cpu__exclude(struct ka_cpu *cpu)
{
	if (cpu->c_spare)
		return;
	ka_fence_heavy();
	cpu_wait_section(cpu);
}

void
cpu__visit(struct ka_cpu *cpu)
{
	ka_mutex_lock(&cpu->c_lock);
	cpu_close(cpu);
	cpu__exclude(cpu);
}

void
cpu__leave(struct ka_cpu *cpu)
{
	ka_mutex_unlock(&cpu->c_lock);
}

void
cpu__rendezvous(void)
{
	unsigned i;

	for (i = 0; i <= cpu_count; i++) {
		cpu__visit(cpu_at(i));
		cpu__leave(cpu_at(i));
	}
}

void
cpu__shortage_begin(void)
{
	(void)ka_add(&cpu_shortage, 1);
	cpu__rendezvous();
}

void
cpu__shortage_end(void)
{
	uint32_t was = ka_add(&cpu_shortage, (uint32_t)-1);

	KA_ASSERT(was != 0);
	(void)was;
}
