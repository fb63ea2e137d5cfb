/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How allocators that are built on kmalloc call it. In the simulation through
 * pointers, so that the laboratory can judge these calls as it judges a
 * program's own.
 */
#ifndef KA_BACKEND_H
#define KA_BACKEND_H

#include <kalloc/kmalloc.h>

#ifdef KA_PORT_SIM
extern void *(*ka_backend_kmalloc)(size_t, struct malloc_type *, int);
extern void (*ka_backend_kfree)(void *, struct malloc_type *);
#else
#define ka_backend_kmalloc(size, type, flags)                                  \
	((kmalloc)((size), (type), (flags)))
#define ka_backend_kfree(p, type) (kfree((p), (type)))
#endif

#endif
