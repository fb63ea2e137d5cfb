/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The zone allocator, older interface: zinit and its family, as in zone(9) of
 * DragonFly BSD. The same zones as uma.h: contents as there (ZN-1, ZN-33).
 *
 * A zone can work before anything is up: zbootinit() gives it items in static
 * memory. Once the system runs, zinitna() completes it and it grows by pages.
 */
#ifndef KALLOC_ZONE_H
#define KALLOC_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kalloc/kalloc.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The caller's storage for zbootinit() and zinitna(): all zero at first.
 * Fields are private. */
struct vm_zone {
	void *z_private;
};
typedef struct vm_zone *vm_zone_t;

/*
 * Flags (kalloc/flags.h):
 *   ZONE_INTERRUPT    never more than nentries items; may take the last page
 *   ZONE_PANICFAIL    KA_WHY_LIMIT instead of NULL
 *   ZONE_USE_RESERVE  pages down to the system depth
 *   ZONE_DESTROYABLE  zdestroy() may be called
 */

/*
 * Makes a zone. size of an item as for uma_zcreate(), rounded up to a multiple
 * of 8; nentries: with ZONE_INTERRUPT the maximum, otherwise a hint. NULL if no
 * system runs, or as uma_zcreate(). Misuse: size, flags:
 * KA_WHY_BAD_ARG; nentries below 1 with ZONE_INTERRUPT: KA_WHY_BAD_ARG.
 */
vm_zone_t zinit(const char *name, size_t size, long nentries, uint32_t flags);
/* The same in the caller's storage; or completes a zone of zbootinit(): its
 * maximum is then nentries and its static items, with ZONE_INTERRUPT; its size
 * stays, and another one is misuse: KA_WHY_BAD_ARG; so is completing it twice in
 * a system: KA_WHY_BUSY. A halt makes it what zbootinit() made it, with the
 * static items that are held. 1, or 0 as NULL above. */
int zinitna(
    vm_zone_t, const char *name, size_t size, long nentries, uint32_t flags);
/* A zone of nitems items at item, size bytes apart as the caller has them, also
 * before kalloc_boot() (ZN-30). The memory must be zero for ZN-1 to hold.
 * Misuse: no items, or memory of another zone: KA_WHY_BAD_ARG; storage of a zone
 * that lives: KA_WHY_BUSY. */
void zbootinit(
    vm_zone_t, const char *name, size_t size, void *item, long nitems);
/* Misuse: without ZONE_DESTROYABLE: KA_WHY_BAD_ARG; items held: KA_WHY_BUSY. */
void zdestroy(vm_zone_t);

/* An item, or NULL when none can be had; what other CPUs cache is looked at
 * before. Context: never blocks. */
void *zalloc(vm_zone_t) __attribute__((warn_unused_result));
/* Context: never blocks. Misuse: as uma_zfree(), but NULL is misuse:
 * KA_WHY_NULL_FREE. */
void zfree(vm_zone_t, void *item);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
