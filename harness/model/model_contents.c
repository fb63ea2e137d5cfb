/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Contents: fill, verify, zero.
 *
 * Word i of an object is seed + i * STEP; lowest byte
 * first, and the last word is cut. The seed is of the allocation, so that two
 * objects never have equal contents at equal places, and what a byte should
 * be can be computed again when the memory is gone.
 *
 * The loops are plain: no exits inside, one induction, so that a compiler
 * turns them into vectors. Which byte is wrong is found in a second pass.
 *
 * Sampled contents are the first 16 bytes, one line of 64 at a place drawn
 * from the seed, and the last 16. What fill() wrote is what verify() reads.
 */
#include <string.h>

#include "model_int.h"

#define STEP	  UINT64_C(0x9e3779b97f4a7c15)
#define LINE	  64u
#define END_BYTES 16u
#define SMALL	  (2 * END_BYTES + LINE) /* up to here sampled is full */
#define BLOCK	  4096u			 /* words between early exits */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    "the first byte of a word is its lowest");

typedef uint64_t word __attribute__((aligned(1), may_alias));

/* Bytes from .. to; from is a multiple of 8. */
struct range {
	uint64_t from, to;
};

static unsigned
ranges(enum model_contents how, uint64_t bytes, uint64_t seed,
    struct range ret_r[3])
{
	uint64_t lines, at;

	if (bytes == 0)
		return (0);
	if (how == MODEL_CONTENTS_FULL || bytes <= SMALL) {
		ret_r[0] = (struct range) { 0, bytes };
		return (1);
	}
	lines = (bytes - 2 * END_BYTES) / LINE;
	at = END_BYTES + ((seed >> 32) * (lines & UINT32_MAX) >> 32) * LINE;
	ret_r[0] = (struct range) { 0, END_BYTES };
	ret_r[1] = (struct range) { at, at + LINE };
	ret_r[2] = (struct range) { (bytes - END_BYTES) & ~UINT64_C(7), bytes };
	return (3);
}

static void
fill_range(char *p, struct range r, uint64_t seed)
{
	word *w = (word *)(void *)(p + r.from);
	uint64_t n = (r.to - r.from) / 8, i;
	uint64_t x = seed + r.from / 8 * STEP;

	for (i = 0; i < n; i++) {
		w[i] = x;
		x += STEP;
	}
	if ((r.to - r.from) % 8 != 0)
		memcpy(p + r.from + n * 8, &x, (r.to - r.from) % 8);
}

/* Not zero if a byte differs from seed + i * step. */
static uint64_t
differs(const char *p, struct range r, uint64_t seed, uint64_t step)
{
	const word *w = (const word *)(const void *)(p + r.from);
	uint64_t n = (r.to - r.from) / 8, i;
	uint64_t x = seed + r.from / 8 * step, bad = 0, last = 0;

	for (i = 0; i < n; i++) {
		bad |= w[i] ^ x;
		x += step;
	}
	if ((r.to - r.from) % 8 != 0) {
		memcpy(&last, p + r.from + n * 8, (r.to - r.from) % 8);
		bad |=
		    (last ^ x) & ((UINT64_C(1) << (r.to - r.from) % 8 * 8) - 1);
	}
	return (bad);
}

static uint8_t
byte_of(uint64_t seed, uint64_t step, uint64_t at)
{
	uint64_t x = seed + at / 8 * step;

	return ((uint8_t)(x >> at % 8 * 8));
}

static uint64_t
first_difference(const char *p, struct range r, uint64_t seed, uint64_t step)
{
	uint64_t i;

	for (i = r.from; i < r.to; i++)
		if ((uint8_t)p[i] != byte_of(seed, step, i))
			return (i);
	MODEL_ASSERT(!"a difference vanished");
	return (UINT64_MAX);
}

static uint64_t
compare(const char *p, struct range r, uint64_t seed, uint64_t step)
{
	struct range part = { r.from, r.from };

	while (part.from < r.to) {
		part.to =
		    r.to - part.from > BLOCK * 8 ? part.from + BLOCK * 8 : r.to;
		if (MODEL_UNLIKELY(differs(p, part, seed, step) != 0))
			return (first_difference(p, part, seed, step));
		part.from = part.to;
	}
	return (UINT64_MAX);
}

uint8_t
model__pattern_byte(uint64_t seed, uint64_t at)
{
	return (byte_of(seed, STEP, at));
}

void
model__fill_bytes(
    enum model_contents how, void *p, uint64_t bytes, uint64_t seed)
{
	struct range r[3];
	unsigned i, n = ranges(how, bytes, seed, r);

	for (i = 0; i < n; i++)
		fill_range(p, r[i], seed);
}

uint64_t
model__verify_bytes(enum model_contents how, const void *p, uint64_t bytes,
    uint64_t seed, uint64_t limit)
{
	struct range r[3];
	unsigned i, n = ranges(how, bytes, seed, r);
	uint64_t at;

	for (i = 0; i < n; i++) {
		if (r[i].to > limit)
			r[i].to = limit;
		if (r[i].from >= r[i].to)
			continue;
		at = compare(p, r[i], seed, STEP);
		if (MODEL_UNLIKELY(at != UINT64_MAX))
			return (at);
	}
	return (UINT64_MAX);
}

uint64_t
model__nonzero_bytes(
    enum model_contents how, const void *p, uint64_t bytes, uint64_t seed)
{
	struct range r[3];
	unsigned i, n = ranges(how, bytes, seed, r);
	uint64_t at;

	for (i = 0; i < n; i++) {
		at = compare(p, r[i], 0, 0);
		if (MODEL_UNLIKELY(at != UINT64_MAX))
			return (at);
	}
	return (UINT64_MAX);
}
