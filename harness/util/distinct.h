/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * About how many different hashes were seen: a bitmap that processes may
 * share, of which one bit is set for each. How many are clear tells (Whang and
 * others, A linear-time probabilistic counting algorithm, 1990).
 */
#ifndef KALAB_DISTINCT_H
#define KALAB_DISTINCT_H

#include <math.h>
#include <stdint.h>

#define DISTINCT_BITS  (UINT64_C(1) << 26)
#define DISTINCT_BYTES (DISTINCT_BITS / 8)

static inline void
distinct_add(uint8_t *bitmap, uint64_t hash)
{
	uint64_t bit = (hash * UINT64_C(0x9e3779b97f4a7c15)) >> 38;
	uint8_t mask = (uint8_t)(1u << bit % 8);

	if ((__atomic_load_n(&bitmap[bit / 8], __ATOMIC_RELAXED) & mask) == 0)
		(void)__atomic_fetch_or(
		    &bitmap[bit / 8], mask, __ATOMIC_RELAXED);
}

static inline uint64_t
distinct_count(const uint8_t *bitmap)
{
	const uint64_t *word = (const uint64_t *)(const void *)bitmap;
	uint64_t i, clear = DISTINCT_BITS;

	for (i = 0; i < DISTINCT_BYTES / 8; i++) /* nearly all are 0 */
		if (word[i] != 0)
			clear -= (unsigned)__builtin_popcountll(word[i]);
	if (clear == 0)
		clear = 1;
	return ((uint64_t)((double)DISTINCT_BITS *
		log((double)DISTINCT_BITS / (double)clear) +
	    0.5));
}

#endif
