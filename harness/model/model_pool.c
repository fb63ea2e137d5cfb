/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables that grow, and the hash of addresses.
 *
 * The subject may be the malloc of the process, so that the model takes its
 * memory from the system directly. Tables grow by doubling and shrink never:
 * the next run finds them warm. Index 0 is null everywhere.
 *
 * The hash is open addressing with linear probes and Fibonacci hashing, at
 * most three eighths full, and removes by shifting back, so that there are no
 * tombstones. A slot is empty if it is of another epoch: forgetting all of
 * them is an addition.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mremap() */
#endif
#include <string.h>
#include <sys/mman.h>

#include "model_int.h"

void *
model__map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return (p == MAP_FAILED ? NULL : p);
}

void
model__unmap(void *p, size_t bytes)
{
	if (p != NULL)
		(void)munmap(p, bytes);
}

bool
model__pool_init(struct mpool *p, size_t elem, size_t cap)
{
	MODEL_ASSERT(elem > 0);
	MODEL_ASSERT(cap > 1);
	p->elem = elem;
	p->cap = cap;
	p->high = 1;
	p->base = model__map(elem * cap);
	return (p->base != NULL);
}

void
model__pool_fini(struct mpool *p)
{
	model__unmap(p->base, p->elem * p->cap);
	p->base = NULL;
}

bool
model__pool_grow(struct mpool *p, size_t want)
{
	size_t cap = p->cap;
	void *base;

	while (cap < want)
		cap *= 2;
	if (cap > UINT32_MAX || cap > SIZE_MAX / p->elem)
		return (false);
	base = mremap(p->base, p->elem * p->cap, p->elem * cap, MREMAP_MAYMOVE);
	if (base == MAP_FAILED)
		return (false);
	p->base = base;
	p->cap = cap;
	return (true);
}

void *
model__by_reg_make(struct model *m, struct mpool *p, uint32_t reg)
{
	uint32_t i;

	while (p->high <= reg + 1) {
		i = model__pool_take(p);
		if (i == 0) {
			model__out_of_memory(m);
			return (NULL);
		}
		memset((char *)p->base + i * p->elem, 0, p->elem);
	}
	return (model__by_reg(p, reg));
}

bool
model__hash_init(struct mhash *h, unsigned bits)
{
	h->bits = bits;
	h->shift = 64 - bits;
	h->mask = ((size_t)1 << bits) - 1;
	h->room = (UINT32_C(3) << bits) / 8;
	h->used = 0;
	h->slot = model__map(sizeof(*h->slot) << bits);
	return (h->slot != NULL);
}

void
model__hash_fini(struct mhash *h)
{
	model__unmap(h->slot, sizeof(*h->slot) << h->bits);
	h->slot = NULL;
}

/* All slots empty in every epoch: when epochs wrap around. */
void
model__hash_clear(struct mhash *h)
{
	memset(h->slot, 0, sizeof(*h->slot) << h->bits);
	h->used = 0;
}

bool
model__hash_grow(struct mhash *h, uint32_t epoch)
{
	struct mhash larger;
	size_t i;

	if (!model__hash_init(&larger, h->bits + 1))
		return (false);
	for (i = 0; i < (size_t)1 << h->bits; i++)
		if (h->slot[i].epoch == epoch)
			larger.slot[model__hash_slot(
			    &larger, epoch, h->slot[i].key)] = h->slot[i];
	larger.used = h->used;
	model__hash_fini(h);
	*h = larger;
	return (true);
}
