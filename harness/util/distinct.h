/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * About how many different hashes were seen: a bitmap that processes may
 * share, of which one bit is set for each. How many are clear tells (Whang and
 * others, A linear-time probabilistic counting algorithm, 1990). A byte for each
 * page of it tells whether any is set, so that to count few touches little.
 */
#ifndef KALAB_DISTINCT_H
#define KALAB_DISTINCT_H

#include <math.h>
#include <stdint.h>

#define DISTINCT_BITS  (UINT64_C(1) << 26)
#define DISTINCT_PAGE  4096u
#define DISTINCT_PAGES (DISTINCT_BITS / 8 / DISTINCT_PAGE)
#define DISTINCT_BYTES (DISTINCT_BITS / 8 + DISTINCT_PAGES)

static inline void
distinct_add(uint8_t *bitmap, uint64_t hash)
{
	uint64_t bit = (hash * UINT64_C(0x9e3779b97f4a7c15)) >> 38;
	uint8_t mask = (uint8_t)(1u << bit % 8);

	if ((__atomic_load_n(&bitmap[bit / 8], __ATOMIC_RELAXED) & mask) != 0)
		return;
	__atomic_store_n(&bitmap[DISTINCT_BITS / 8 + bit / 8 / DISTINCT_PAGE],
	    (uint8_t)1, __ATOMIC_RELAXED);
	(void)__atomic_fetch_or(&bitmap[bit / 8], mask, __ATOMIC_RELAXED);
}

static inline uint64_t
distinct_set(const uint8_t *page)
{
	const uint64_t *word = (const uint64_t *)(const void *)page;
	uint64_t i, n = 0;

	for (i = 0; i < DISTINCT_PAGE / 8; i++)
		if (word[i] != 0) /* nearly all are 0 */
			n += (unsigned)__builtin_popcountll(word[i]);
	return (n);
}

static inline uint64_t
distinct_count(const uint8_t *bitmap)
{
	uint64_t i, clear = DISTINCT_BITS;

	for (i = 0; i < DISTINCT_PAGES; i++)
		if (bitmap[DISTINCT_BITS / 8 + i] != 0)
			clear -= distinct_set(bitmap + i * DISTINCT_PAGE);
	if (clear == 0)
		clear = 1;
	return ((uint64_t)((double)DISTINCT_BITS *
		log((double)DISTINCT_BITS / (double)clear) +
	    0.5));
}

#endif
