/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subject malloc: whatever malloc the process has, by LD_PRELOAD any. It
 * has no pages, types, limits or blocking, and misuse of it is undefined: the
 * clauses about contents, overlap, zeroing and resizing remain.
 */
#include "subject/subject.h"

#include <kalloc/flags.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static uint64_t size_max; /* the budget: larger requests are refused */

static int
malloc_boot(const struct subject_config *c)
{
	size_max = c->pages * KA_PAGE_SIZE;
	return (0);
}

static void
malloc_halt(void)
{
}

/* Size and alignment as M_POWEROF2 and M_CACHEALIGN ask for. */
static uint64_t
malloc_align(const struct call *c, uint64_t flags, uint64_t *size)
{
	uint64_t align = 0;

	(void)c;
	if ((flags & M_POWEROF2) != 0 && *size > 1) {
		align = UINT64_C(1) << (64 - __builtin_clzll(*size - 1));
		*size = align;
		if (align > KA_SLAB_SIZE)
			align = KA_SLAB_SIZE;
	}
	if ((flags & M_CACHEALIGN) != 0) {
		*size = (*size + KA_CACHE_LINE - 1) &
		    ~(uint64_t)(KA_CACHE_LINE - 1);
		if (align < KA_CACHE_LINE)
			align = KA_CACHE_LINE;
	}
	return (align);
}

static void *
malloc_get(const struct call *c, uint64_t size, uint64_t flags)
{
	uint64_t align;
	void *p;

	if (size > size_max)
		return (NULL);
	align = malloc_align(c, flags, &size);
	if (align <= 16)
		return ((flags & M_ZERO) != 0 ? calloc(1, size) : malloc(size));
	p = aligned_alloc(align, (size + align - 1) / align * align);
	if (p != NULL && (flags & M_ZERO) != 0)
		memset(p, 0, size);
	return (p);
}

static void
malloc_krealloc(struct call *c)
{
	uint64_t flags = c->flags & (M_POWEROF2 | M_CACHEALIGN);
	uint64_t size = c->size;
	void *p = (void *)c->addr;

	if (size == 0) {
		free(p);
		return;
	}
	if (size > size_max)
		return;
	(void)malloc_align(c, flags, &size);
	if (flags != 0 && p != NULL) {
		void *q = malloc_get(c, c->size, flags);
		size_t old = malloc_usable_size(p);

		if (q == NULL)
			return;
		memcpy(q, p, old < size ? old : size);
		free(p);
		c->ret = (uintptr_t)q;
	} else {
		c->ret = (uintptr_t)(p == NULL ? malloc_get(c, c->size, flags) :
						 realloc(p, size));
	}
}

static void
malloc_exec(struct call *c)
{
	switch (c->code) {
	case TRACE_OP_KMALLOC:
		c->ret = (uintptr_t)malloc_get(c, c->size, c->flags);
		break;
	case TRACE_OP_KMALLOC_CACHEALIGN:
		c->ret =
		    (uintptr_t)malloc_get(c, c->size, c->flags | M_CACHEALIGN);
		break;
	case TRACE_OP_KMALLOC_POWEROF2:
		c->ret =
		    (uintptr_t)malloc_get(c, c->size, c->flags | M_POWEROF2);
		break;
	case TRACE_OP_KFREE:
		free((void *)c->addr);
		break;
	case TRACE_OP_KREALLOC:
		malloc_krealloc(c);
		break;
	case TRACE_OP_KSTRDUP:
		c->ret = (uintptr_t)strdup(c->str);
		break;
	case TRACE_OP_KSTRNDUP:
		c->ret = (uintptr_t)strndup(c->str, c->num);
		break;
	case TRACE_OP_KMALLOC_USABLE_SIZE:
		c->ret = malloc_usable_size((void *)c->addr);
		break;
	default:
		break;
	}
}

const struct subject subject_malloc = {
	.name = "malloc",
	.about = "the malloc of the process",
	.caps = 0,
	.boot = malloc_boot,
	.halt = malloc_halt,
	.exec = malloc_exec,
};
