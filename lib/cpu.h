/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual CPUs: what every allocator's per-CPU part hangs on.
 *
 * *Owner*: the thread (host) or threads (simulation) that run on the CPU. The
 * fast paths run in the CPU's section, without a lock, and only while the CPU
 * is *open*: c_key is the CPU's own key and c_slabs its own table. A *closed*
 * CPU has a key that matches nothing and a table of empty slabs, so that every
 * fast path falls through to the slow one without a test of its own.
 *
 * *Visitor*: anybody who needs another CPU's data (drain, trim, exact
 * statistics). It takes c_lock, closes the CPU, passes a heavy fence, and
 * waits until the section is free: from then on the owner is excluded, since
 * slow paths take c_lock as well. The owner's next slow path opens the CPU
 * again; visitors never do. While pages are short (cpu_shortage) CPUs stay
 * closed, so that every free looks for waiters.
 *
 * Lock order: 1. the depot's of one cache (magazine.h)  2. c_lock of one CPU
 * 3. the page layer's. Two c_locks are never held together. In a section no
 * lock is taken and nothing blocks.
 */
#ifndef KA_CPU_H
#define KA_CPU_H

#include "ka_assert.h"
#include "port/port.h"

#define KM_CLASSES	 64u /* size classes up to KA_KMALLOC_MAX */
#define KM_CLASS_NONE	 64u /* size 0: always the empty slab */
#define KM_CLASSES_DEBUG 65u /* first class of debug slabs */
#define KM_CLASSES_ALL	 (KM_CLASSES_DEBUG + KM_CLASSES)

#define CPU_SLOT_STRIDE 64u /* of the CPUs' parts of a cache */
#define CPU_SLOT_NONE	0u  /* always closed */

#define CPU_KEY_CLOSED 0xffffu /* matches no slab */
#define SLAB_KEY_SLOW  0xfffeu /* matches no CPU */

struct ka_slab;

/*
 * A type's statistics on one CPU, written by the owner only. The address of a
 * counter is the CPU's part plus the type's cookie (km_use()): one addition
 * with what the fast paths hold already.
 */
struct km_use {
	int64_t u_left[KM_CLASSES]; /* allocations until the next test */
	uint64_t u_freed[KM_CLASSES];
	uint64_t u_granted[KM_CLASSES]; /* so far; minus u_left: allocated */
	uint64_t u_calls;		/* attempts not counted above */
	uint64_t u_large;	/* objects of whole pages, allocated ... */
	uint64_t u_large_freed; /* ... and freed here */
	uint64_t u_large_pages; /* the same in pages */
	uint64_t u_large_pages_freed;
};
#define KM_USE_STRIDE 2048u /* of CPUs */
#define KM_USE_CPUS   32u   /* whose parts share 64 KiB, a type's share */
#define KM_USE_FREED  (sizeof(int64_t) * KM_CLASSES)
KA_STATIC_ASSERT(sizeof(struct km_use) <= KM_USE_STRIDE, "fits its stride");
KA_STATIC_ASSERT(KM_USE_STRIDE *KM_USE_CPUS == 1u << 16, "cookies are << 16");

struct km_slab_list {
	struct ka_slab *first;
};

struct ka_cpu {
	/* Hot: the owner's fast paths. */
	/* c_slab while open, otherwise the empty slab; last: size 0. */
	struct ka_slab *c_fast[KM_CLASSES + 1];
	struct ka_section c_section;
	uint8_t c_spare; /* the CPU of threads without one */
	uint16_t c_key;	 /* own index, or CPU_KEY_CLOSED */
	uint16_t c_index;
	/* Its part of every cache of pointers, in bytes (magazine.h), or
	 * CPU_SLOT_NONE: of no system. */
	uint32_t c_slot;
	/* Owner under c_lock, and visitors. */
	struct ka_slab *c_slab[KM_CLASSES_ALL]; /* current one of each class */
	char *c_use;				/* its part of the statistics */
	struct km_slab_list c_partial[KM_CLASSES_ALL];
	struct ka_slab *c_free; /* wholly free slabs kept */
	unsigned c_free_count;
	struct ka_mutex c_lock;
	uint8_t c_owned;       /* a thread has it; under cpu_lock */
	struct ka_cpu **c_tls; /* where that thread has it; the same */
	/* Shared: chunks that others freed, linked through their owners. */
	uint32_t c_remote __attribute__((aligned(64)));
};

KA_STATIC_ASSERT(offsetof(struct ka_cpu, c_section) == KA_SECTION_AT,
    "the port finds the section");

#define CPU_REMOTE_NONE 0x7fffffffu

/* All CPUs of the system; index cpu_count is the spare one. */
extern unsigned cpu_count;
extern uint32_t cpu_shortage; /* callers wait for pages */
extern uint32_t cpu_parked;   /* CPUs without owner that may hold chunks */

#define CPU_STRIDE ((sizeof(struct ka_cpu) + 4095) / 4096 * 4096)
extern char *cpu_base;

KA_INLINE struct ka_cpu *
cpu_at(unsigned index)
{
	return (
	    (struct ka_cpu *)(void *)(cpu_base + (size_t)index * CPU_STRIDE));
}

KA_INLINE struct km_use *
cpu_use(struct ka_cpu *cpu, uint32_t cookie)
{
	return ((struct km_use *)(void *)(cpu->c_use + cookie));
}

/* Makes a slab the current one of a class. Under c_lock. */
void cpu__set_slab(struct ka_cpu *, unsigned class, struct ka_slab *);
int cpu__boot(unsigned ncpus);
void cpu__halt(void);

/* Gives the calling thread a CPU if it has none and one is free. */
void cpu__attach(void);
#ifdef KA_PORT_SIM
/* The calling thread's CPU has no owner any more, as after a thread's exit. */
void cpu__exit(void);
#endif
/* The CPU one is on, locked, opened if it may be, and in its section if it is
 * not the spare one. cpu__unlock undoes both. */
struct ka_cpu *cpu__lock_self(void);
void cpu__unlock_self(struct ka_cpu *);
/* Another CPU: closed and its owner excluded, until cpu__leave. */
void cpu__visit(struct ka_cpu *);
void cpu__leave(struct ka_cpu *);
/* The second half of a visit that closes something else of the CPU: the caller
 * holds c_lock and has made the store that the fast paths look at. */
void cpu__exclude(struct ka_cpu *);
/* Every section that was entered before has ended when it returns. */
void cpu__rendezvous(void);

/* Callers that wait for pages: while there are any, CPUs are closed. */
void cpu__shortage_begin(void);
void cpu__shortage_end(void);

#endif
