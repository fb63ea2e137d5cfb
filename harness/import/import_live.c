/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is live: a hash table from addresses to objects, with linear probing
 * and at most half full; a removal moves back what had to probe past it, so
 * there are no tombstones. Order of the table is never observed.
 *
 * Registers: the lowest one that is free, from a heap of those given back, so
 * that a trace has as many registers as objects are live at one time.
 */
#include <errno.h>
#include <stdlib.h>

#include "import_int.h"

#define LIVE_CAP_MIN 1024u
#define HEAP_CAP_MIN 256u

static size_t
home(const struct import__live *l, uint64_t key)
{
	key ^= key >> 33; /* the finalizer of MurmurHash3 */
	key *= 0xff51afd7ed558ccdu;
	key ^= key >> 33;
	key *= 0xc4ceb9fe1a85ec53u;
	key ^= key >> 33;
	return ((size_t)key & (l->cap - 1));
}

/* The slot of the key, or the free one where it belongs. */
static size_t
find(const struct import__live *l, uint64_t key)
{
	size_t i = home(l, key);

	while (l->slot[i].key != 0 && l->slot[i].key != key)
		i = (i + 1) & (l->cap - 1);
	return (i);
}

static int
grow(struct import__live *l)
{
	const struct import__live old = *l;

	l->cap = old.cap == 0 ? LIVE_CAP_MIN : 2 * old.cap;
	l->slot = calloc(l->cap, sizeof(*l->slot));
	if (l->slot == NULL) {
		*l = old;
		return (ENOMEM);
	}
	for (size_t i = 0; i < old.cap; i++) {
		if (old.slot[i].key != 0)
			l->slot[find(l, old.slot[i].key)] = old.slot[i];
	}
	free(old.slot);
	return (0);
}

static int
register_take(struct import__live *l, uint32_t *ret_reg)
{
	uint32_t *const h = l->heap;

	if (l->nheap == 0) {
		if (l->nregs == TRACE_REGS_MAX)
			return (EOVERFLOW);
		*ret_reg = l->nregs++;
		return (0);
	}
	*ret_reg = h[0];
	const uint32_t moved = h[--l->nheap];
	uint32_t at = 0;
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= l->nheap)
			break;
		if (child + 1 < l->nheap && h[child + 1] < h[child])
			child++;
		if (h[child] >= moved)
			break;
		h[at] = h[child];
		at = child;
	}
	h[at] = moved;
	return (0);
}

/* Cannot fail: the heap has room for every register, see heap_reserve(). */
static void
register_give(struct import__live *l, uint32_t reg)
{
	uint32_t at = l->nheap++;

	TRACE__ASSERT(at < l->heap_cap);
	while (at > 0 && l->heap[(at - 1) / 2] > reg) {
		l->heap[at] = l->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	l->heap[at] = reg;
}

/* Room for one more register than there are. */
static int
heap_reserve(struct import__live *l)
{
	if (l->nregs < l->heap_cap)
		return (0);
	const uint32_t cap = l->heap_cap == 0 ? HEAP_CAP_MIN : 2 * l->heap_cap;
	uint32_t *heap = realloc(l->heap, cap * sizeof(*heap));
	if (heap == NULL)
		return (ENOMEM);
	l->heap = heap;
	l->heap_cap = cap;
	return (0);
}

int
import__live_add(struct import__live *l, struct import__object *object)
{
	TRACE__ASSERT(object->key != 0);
	if (heap_reserve(l) != 0)
		return (ENOMEM);
	if (2 * (l->count + 1) > l->cap && grow(l) != 0)
		return (ENOMEM);
	const int error = register_take(l, &object->reg);
	if (error != 0)
		return (error);
	const size_t i = find(l, object->key);
	TRACE__ASSERT(l->slot[i].key == 0);
	l->slot[i] = *object;
	l->count++;
	return (0);
}

bool
import__live_remove(
    struct import__live *l, uint64_t key, struct import__object *ret_object)
{
	const size_t mask = l->cap - 1;

	if (l->cap == 0 || key == 0)
		return (false);
	size_t hole = find(l, key);
	if (l->slot[hole].key == 0)
		return (false);
	*ret_object = l->slot[hole];
	register_give(l, ret_object->reg);
	l->count--;
	/* What is behind the hole moves into it unless it is before its home.*/
	for (size_t i = (hole + 1) & mask; l->slot[i].key != 0;
	     i = (i + 1) & mask) {
		const size_t from = home(l, l->slot[i].key);

		if (((i - from) & mask) >= ((i - hole) & mask)) {
			l->slot[hole] = l->slot[i];
			hole = i;
		}
	}
	l->slot[hole].key = 0;
	return (true);
}

void
import__live_fini(struct import__live *l)
{
	free(l->slot);
	free(l->heap);
	*l = (struct import__live) { 0 };
}
