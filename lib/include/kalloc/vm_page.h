/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page layer, after vm_page_alloc(9): runs of pages out of a budget.
 *
 * All allocators take their memory here. Nothing in this header blocks but
 * vm_wait() (VM-2).
 */
#ifndef KALLOC_VM_PAGE_H
#define KALLOC_VM_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kalloc/flags.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * Takes a run of npages contiguous pages.
 *
 *   npages  1 or more
 *   align   of the address, in bytes: 0 or a power of two up to KA_SLAB_SIZE;
 *           less than a page means a page (VM-1)
 *   flags   exactly one of VM_ALLOC_NORMAL (leaves the system reserve),
 *           VM_ALLOC_SYSTEM (leaves the interrupt reserve) and
 *           VM_ALLOC_INTERRUPT (may take the last page) (VM-3), and
 *           VM_ALLOC_ZERO if the pages are to be zero (VM-4)
 *
 * Returns the address, or NULL when the depth is reached or no such run is
 * free. Never blocks (VM-2).
 * Misuse: anything else in the arguments: KA_WHY_BAD_ARG.
 */
void *vm_page_alloc(size_t npages, size_t align, unsigned flags);

/*
 * Gives a whole run back, as it was taken, and wakes who waits for pages
 * (VM-5). Never blocks.
 * Misuse: an address that is not the start of a run that vm_page_alloc()
 * gave out, or another number of pages: KA_WHY_FOREIGN, KA_WHY_BAD_ARG.
 */
void vm_page_free(void *addr, size_t npages);

/*
 * Waits until an allocation like this could succeed, or something was freed
 * since the call began, or no system runs. What other allocators keep wholly
 * free is given back first (VM-7). Wakes are hints: try again after it.
 * Context: blocks; no lock may be held.
 */
void vm_wait(size_t npages, size_t align, unsigned flags);

struct vm_page_stats {
	void *base; /* first page of the budget; the others follow it */
	size_t pages, free, reserve_system, reserve_interrupt;
	uint64_t allocs, frees, failures, waits;
};
void vm_page_stats(struct vm_page_stats *ret_s);

/*
 * The one observable point (VM-6): every allocation and free of pages passes
 * here, under the page layer's lock, in the order in which they take effect.
 *
 *   ask    before an allocation is made: VM_OBSERVE_PASS; VM_OBSERVE_FAIL
 *          makes it fail although pages may exist; VM_OBSERVE_FAIL_HARD the
 *          same, and a waiter sleeps until pages were freed
 *   alloc  after it: addr NULL if it failed; verdict is what ask returned
 *   free   before the pages are free
 *
 * Functions may be NULL. They must not call the library.
 */
enum vm_observe {
	VM_OBSERVE_PASS,
	VM_OBSERVE_FAIL,
	VM_OBSERVE_FAIL_HARD
};
struct vm_observer {
	enum vm_observe (*ask)(
	    void *arg, size_t npages, size_t align, unsigned flags);
	void (*alloc)(void *arg, void *addr, size_t npages, size_t align,
	    unsigned flags, enum vm_observe verdict);
	void (*free)(void *arg, void *addr, size_t npages);
	void *arg;
};
/* Sets the observer, NULL for none. It is copied; halt removes it. Context:
 * no other thread may be inside of the library. */
void vm_page_observe(const struct vm_observer *);

/* Checks the layer's invariants: NULL, or the id of the first broken one and
 * what was found. Context: no other thread may be inside of the library. */
const char *vm_page_audit(const char **ret_found);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
