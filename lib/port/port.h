/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port layer: the only seam between the library and the outside.
 *
 * The library is written once against this header. The backend is chosen at
 * compile time and is all inline or direct calls, so that production pays
 * nothing for the laboratory:
 *
 *   port_host.h  POSIX threads; one virtual CPU a thread, from a TLS pointer
 *   port_sim.h   fibers of the simulation; every primitive is a schedule point
 *
 * What a backend provides (names are the same in both):
 *
 * Sections. Per-CPU data belongs to whoever is in the CPU's section: the
 * userland image of the kernel's critical section. Two plain stores on the
 * owner. Nothing in a section may block or take a lock.
 *   struct ka_cpu *ka_section_enter(void)   of the CPU one is on
 *   void ka_section_exit(struct ka_cpu *)
 *   bool ka_section_busy(cpu)               for a visitor, see cpu.h
 *   void ka_fence_heavy(void)               all CPUs have passed a full fence:
 *                                           the other half of a section's
 *                                           compiler barrier (membarrier(2))
 *   struct ka_cpu *ka_cpu_self(void)        where one is; may be stale at once
 *
 * Shared memory. Every access to something that another CPU may access at
 * the same time is one of these; anything else is plain C.
 *   ka_load(p, order) ka_store(p, v, order) ka_cas(p, old, new) (acq_rel,
 *   returns bool, *old updated) ka_xchg(p, v) ka_add(p, v) (all acq_rel)
 *   ka_fence() (seq_cst); order is RELAXED, ACQUIRE, RELEASE or SEQ_CST
 *   ka_init(p, v)                           a relaxed store to what nobody can
 *                                           look at before a later store of
 *                                           the caller publishes it
 *   ka_pause()                              in every loop that waits
 *   ka_tell(cpu)  ka_look(cpu)              counters that a CPU adds to by plain
 *                                           instructions while others may read
 *                                           them: before they are added to, and
 *                                           before they are read. Nothing in
 *                                           production; the simulation notes
 *                                           both, and who looks is at a schedule
 *                                           point
 *
 * Locks and sleeping.
 *   struct ka_mutex  ka_mutex_init ka_mutex_fini ka_mutex_lock
 *                    ka_mutex_unlock
 *   struct ka_chan   ka_chan_init ka_chan_fini
 *   ka_chan_sleep(chan, mutex)  atomically unlocks, sleeps, locks again; may
 *                               wake for no reason
 *   ka_chan_wake_all(chan)      with the mutex held
 *   struct ka_spin   ka_spin_init ka_spin_lock ka_spin_unlock: for a few
 *                    instructions, where a mutex would cost more than they do;
 *                    nothing else is locked and nobody sleeps under it
 *   bool ka_spin_try(spin)      false only if somebody else has it
 *
 * Commit points: where what a limit is about changes, or is found used up,
 * with the lock held that protects it.
 *   ka_commit(kind, what, object, n)  nothing in production, whose arguments
 *                               are not evaluated; the simulation tells the
 *                               model, which need not bound what it is told
 *
 * Threads of the library itself.
 *   struct ka_thread
 *   int ka_thread_start(thread, name, fn, arg)  0 or an errno; ends when fn
 *                               returns
 *   ka_thread_join(thread)      waits for that; once for each start
 *   bool ka_thread_is_self(thread)
 *
 * Memory and the rest.
 *   void *ka_os_reserve(use, bytes, align, bool *fresh)  address space; NULL
 *                               if none. *fresh: it is zero; otherwise it is
 *                               as the last reservation for that use left it
 *   ka_os_release(use, p, bytes)
 *   ka_os_map(bytes), ka_os_unmap(p, bytes)  zeroed memory, any number of times
 *   unsigned ka_os_cpus(void)   CPUs online
 *   uint64_t ka_os_seconds(void)  since some time in the past; in the
 *                               simulation time stands still
 *   unsigned ka_os_backtrace(void **frames, unsigned max)
 *   void ka_os_write_error(const char *line)        to standard error
 *   void ka_os_abort(void)
 */
#ifndef KA_PORT_H
#define KA_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ka_cpu;

/* Where struct ka_cpu has its section: behind what the fastest path reads. */
#define KA_SECTION_AT 520

/* What address space is reserved for: one reservation of each at a time. */
enum ka_os_use {
	KA_OS_CPUS,
	KA_OS_STATS,
	KA_OS_ARENA,
	KA_OS_PAGES,
	KA_OS_BITMAPS,
	KA_OS_DIRTY,
	KA_OS_SLABS,
	KA_OS_ZONE_WORDS,
	KA_OS_ZONE_SLABS,
	KA_OS_USE_COUNT
};

/* Whose limit: a zone's maximum, a cache's limit, a pipe's nmax. */
enum ka_commit_kind {
	KA_COMMIT_ZONE,
	KA_COMMIT_CACHE,
	KA_COMMIT_PIPE,
	KA_COMMIT_KIND_COUNT
};
enum ka_commit_what {
	KA_COMMIT_BEGIN, /* the object is new, nothing is used: the limit is n */
	KA_COMMIT_LIMIT, /* it is n from now on; UINT64_MAX: there is none */
	KA_COMMIT_TAKE,	 /* n more are used */
	KA_COMMIT_GIVE,	 /* n fewer */
	KA_COMMIT_FULL,	 /* none was left for a caller */
	KA_COMMIT_ROOM, /* there are n slabs, no more may be made for a caller */
	KA_COMMIT_WHAT_COUNT
};

#define KA_LIKELY(x)   __builtin_expect(!!(x), 1)
#define KA_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define KA_COLD	       __attribute__((noinline, cold))
#define KA_NOINLINE    __attribute__((noinline))
#define KA_INLINE      static inline __attribute__((always_inline))

#ifdef KA_PORT_SIM
#include "port_sim.h"
#else
#include "port_host.h"
#endif

#endif
