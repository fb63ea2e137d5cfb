/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libkalloc: the four kernel allocators of DragonFly's memory(9) in userland.
 *
 * This header: life cycle, panics. The allocators have their own:
 *
 *   kalloc/kmalloc.h   any size, charged to a declared malloc type
 *   kalloc/objcache.h  objects that stay constructed while they are free
 *   kalloc/mpipe.h     buffers that are guaranteed without blocking
 *   kalloc/uma.h       zones of items of one size: UMA
 *   kalloc/zone.h      the same zones: zinit() and its family
 *   kalloc/vm_page.h   whole pages, the layer below all allocators
 *
 * There is one system in a process. kalloc_boot() makes it from a budget of
 * pages, kalloc_halt() ends it. Every thread may call everything, except where
 * a function says otherwise. A thread gets one of the system's virtual CPUs at
 * its first allocation and gives it back when it exits; threads beyond the
 * number of CPUs share one more, more slowly. A thread that is cancelled while it
 * sleeps in a call ends when the call has. Where no system runs there is
 * nothing: no page, no cache, no type is declared; who asks for memory of a type
 * is told so (KA_WHY_BAD_TYPE), who asks for a page, a cache or a zone gets NULL,
 * and audits, statistics and reclaims find nothing but zones on static memory.
 */
#ifndef KALLOC_KALLOC_H
#define KALLOC_KALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kalloc/flags.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define KALLOC_CPUS_MAX	 256u
#define KALLOC_PAGES_MIN 32u
#define KALLOC_PAGES_MAX (1u << 20) /* 4 GiB */

/* Version of the library, as in pkg-config: "0.1.0". */
const char *kalloc_version(void);

/*
 * Configuration of a system. Zero-initialise, then set what matters: a zero
 * means the default that is named.
 */
struct kalloc_config {
	unsigned ncpus;	       /* virtual CPUs, 1..256; 0: twice those online */
	size_t pages;	       /* budget in pages of 4096 bytes; 0: 65536 */
	size_t reserve_system; /* pages that VM_ALLOC_NORMAL leaves (VM-3);
	                             at most half of the budget; 0: none */
	size_t reserve_interrupt; /* pages that VM_ALLOC_SYSTEM leaves; at most
	                             reserve_system; 0: none */
	unsigned slabs_keep; /* wholly free slabs that a CPU keeps beyond one
	                        for each size class in use (KM-14), 0..255 */
	unsigned debug;	     /* KA_DEBUG_ bits for every malloc type */
};

/*
 * Starts the system (G-1).
 *
 * Returns 0; EINVAL if the configuration is out of range, EBUSY if a system
 * runs already, ENOMEM if address space for the budget cannot be had.
 * Context: not from two threads at once.
 */
int kalloc_boot(const struct kalloc_config *);

/* What is still in use of one pipe, cache, zone or malloc type, or of the page
 * layer. */
struct kalloc_leak {
	const char *name; /* of it, or "pages" */
	uint64_t count;	  /* objects, or runs of pages */
	uint64_t bytes;
};

/*
 * Ends the system (G-1). If something is still in use, reports each by name
 * and count through report (which may be NULL), changes nothing and returns
 * EBUSY; with force, reports the same and ends it all the same. Returns
 * EINVAL if no system runs.
 *
 * Context: no other thread may be inside of the library.
 */
int kalloc_halt(bool force,
    void (*report)(void *arg, const struct kalloc_leak *), void *arg);

/* Is a system running? */
bool kalloc_is_up(void);

/* Why ka_panic() was called: KA_WHY_DOUBLE_FREE, ... see kalloc/flags.h. */
enum ka_why {
#define KA_WHY_ENUM(id, name, text) KA_WHY_##id,
	KA_WHY_TABLE(KA_WHY_ENUM)
#undef KA_WHY_ENUM
	KA_WHY_COUNT
};

const char *ka_why_name(enum ka_why); /* "double-free" */
const char *ka_why_text(enum ka_why); /* "the object is free already" */

/* One remembered event of an object, with KA_DEBUG_AUDIT. */
#define KA_TRAIL_FRAMES 8
struct ka_trail_event {
	uint64_t serial; /* order of events in the system; 0: none */
	unsigned cpu;
	unsigned nframes;
	void *frame[KA_TRAIL_FRAMES]; /* innermost first */
};
struct ka_trail {
	struct ka_trail_event alloc, free;
};

struct ka_panic_info {
	enum ka_why why;
	const char *message;	      /* one line, no newline */
	const void *addr;	      /* the object concerned, or NULL */
	const struct ka_trail *trail; /* with KA_DEBUG_AUDIT, or NULL */
};

/*
 * Replaces the panic handler and returns the one before; NULL restores the
 * default, which writes the message to standard error and aborts. A handler
 * may leave by longjmp(3): misuse is detected before anything was changed and
 * with nothing locked (G-3), so that the system goes on. If it returns, the
 * process aborts.
 */
typedef void ka_panic_handler(const struct ka_panic_info *);
ka_panic_handler *ka_panic_set_handler(ka_panic_handler *);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
