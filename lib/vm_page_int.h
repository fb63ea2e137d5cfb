/* SPDX-License-Identifier: BSD-2-Clause */
/* The page layer, for the allocators above it. */
#ifndef KA_VM_PAGE_INT_H
#define KA_VM_PAGE_INT_H

#include <kalloc/vm_page.h>

#include "ka_assert.h"
#include "port/port.h"

#define VM_SLAB_PAGES (KA_SLAB_SIZE / KA_PAGE_SIZE)
#define VM_DEPTHS     (VM_ALLOC_NORMAL | VM_ALLOC_SYSTEM | VM_ALLOC_INTERRUPT)

/* Who holds the run that begins at a page, or that a page is inside of. */
#define VM_OWNER_NONE  0u
#define VM_OWNER_RUN   0x80000000u /* vm_page_alloc() */
#define VM_OWNER_TAIL  0x80000001u /* not the first page of a large object */
#define VM_OWNER_ZONE  0x80000002u /* a page of a zone's slab */
#define VM_OWNER_GUARD 0x80000003u /* behind a large object: its redzone */

struct vm_info {
	uint32_t npages; /* of the run that begins here; of a zone's slab: pages
	                    from its first to this one */
	uint32_t owner;	 /* VM_OWNER_, or a large object's type (kmalloc) */
};

int vm__boot(size_t pages, size_t reserve_system, size_t reserve_interrupt);
void vm__halt(void);
/* Runs that vm_page_alloc() gave out and that are held. */
void vm__held(uint64_t *ret_runs, uint64_t *ret_pages);

/* As vm_page_alloc() with valid arguments; for allocators. */
void *vm__alloc(
    size_t npages, size_t align, unsigned flags, enum vm_observe *ret_verdict);
void vm__free(void *addr, size_t npages);
/*
 * The same, of pages that were filled with a pattern (km_debug.c): until they
 * are held and freed again, vm__poison() of each is not 0, but 1 of the first
 * and 2 of those behind it. Whoever has just got a page may ask.
 */
void vm__free_poisoned(void *addr, size_t npages);
unsigned vm__poison(const void *addr);

/* Bytes of the budget; first page. NULL info: not in the budget. */
uint64_t vm__bytes(void);
char *vm__base(void);
struct vm_info *vm__info(const void *addr);
/* The first page from `at` on that has an owner, by number; or, if there is
 * none, a number not below the budget. For audits. */
size_t vm__info_next(size_t at);

/*
 * Waiting, as an event count: take the count, try everything, then wait for
 * the count to move. vm__kick() moves it: something may be had that was not.
 */
uint64_t vm__event(void);
/* How many wait. For audits. */
uint32_t vm__waiters(void);
void vm__wait(uint64_t event, size_t npages, size_t align, unsigned flags,
    enum vm_observe verdict);
void vm__kick(void);

/* km_slab.c: waits once, as a caller of kmalloc does; what allocators keep is
 * taken back before (VM-7). */
void km__wait(size_t npages, size_t align, unsigned depth);

#endif
