/* SPDX-License-Identifier: BSD-2-Clause */
/* What kalloc_halt() asks of the allocators above kmalloc (G-1). */
#ifndef KA_SYSTEM_INT_H
#define KA_SYSTEM_INT_H

#include <kalloc/kalloc.h>

/* Reports what is held; false if nothing is. report may be NULL. */
bool objcache__report(
    void (*report)(void *, const struct kalloc_leak *), void *arg);
bool mpipe__report(
    void (*report)(void *, const struct kalloc_leak *), void *arg);

/* Forgets everything, while the system is still up: what its objects are made
 * of ends with the pages. */
void objcache__halt(void);
void mpipe__halt(void);

#endif
