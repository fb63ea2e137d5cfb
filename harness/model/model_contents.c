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
 * turns them into vectors: of 32 bytes where the processor has them, and there
 * are enough words. Which byte is wrong is found in a second pass.
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
#define WIDE_MIN  32u			 /* words that are worth a call */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    "the first byte of a word is its lowest");

typedef uint64_t word __attribute__((aligned(1), may_alias));

/* Two words at a time: every processor has such vectors. */
typedef uint64_t pair __attribute__((vector_size(16)));
typedef uint64_t loose_pair
    __attribute__((vector_size(16), aligned(1), may_alias));

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

static inline __attribute__((always_inline)) void
fill_words(word *w, uint64_t n, uint64_t x)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		w[i] = x;
		x += STEP;
	}
}

/* Not zero if a word differs from x + i * step. */
static inline __attribute__((always_inline)) uint64_t
words_differ(const word *w, uint64_t n, uint64_t x, uint64_t step)
{
	uint64_t bad = 0, i;

	for (i = 0; i < n; i++) {
		bad |= w[i] ^ x;
		x += step;
	}
	return (bad);
}

#ifdef __x86_64__
static __attribute__((target("avx2"), noinline)) void
fill_words_wide(word *w, uint64_t n, uint64_t x)
{
	fill_words(w, n, x);
}

static __attribute__((target("avx2"), noinline)) uint64_t
words_differ_wide(const word *w, uint64_t n, uint64_t x, uint64_t step)
{
	return (words_differ(w, n, x, step));
}

static inline bool
is_wide(uint64_t words)
{
	return (words >= WIDE_MIN && __builtin_cpu_supports("avx2"));
}
#else
#define fill_words_wide	  fill_words
#define words_differ_wide words_differ
#define is_wide(words)	  false
#endif

static void
fill_range(char *p, struct range r, uint64_t seed)
{
	word *w = (word *)(void *)(p + r.from);
	uint64_t n = (r.to - r.from) / 8;
	uint64_t x = seed + r.from / 8 * STEP;

	if (is_wide(n))
		fill_words_wide(w, n, x);
	else
		fill_words(w, n, x);
	x += n * STEP;
	if ((r.to - r.from) % 8 != 0)
		memcpy(p + r.from + n * 8, &x, (r.to - r.from) % 8);
}

/* Not zero if a byte differs from seed + i * step. */
static uint64_t
differs(const char *p, struct range r, uint64_t seed, uint64_t step)
{
	const word *w = (const word *)(const void *)(p + r.from);
	uint64_t n = (r.to - r.from) / 8;
	uint64_t x = seed + r.from / 8 * step, bad, last = 0;

	bad = is_wide(n) ? words_differ_wide(w, n, x, step) :
			   words_differ(w, n, x, step);
	x += n * step;
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

/*
 * Sampled contents, without loops: 2 words, 8 words, and the last 2 or 3, of
 * which the last is cut. With a step of 0 all words are the seed.
 */
struct sample {
	char *first, *line, *last;
	uint64_t line_at, last_at; /* in words */
	unsigned cut;		   /* bytes beyond the last two words */
};

static inline struct sample
sample_of(const void *p, uint64_t bytes, uint64_t seed)
{
	uint64_t lines = (bytes - 2 * END_BYTES) / LINE;
	uint64_t line =
	    END_BYTES + ((seed >> 32) * (lines & UINT32_MAX) >> 32) * LINE;
	uint64_t last = (bytes - END_BYTES) & ~UINT64_C(7);
	char *c = (char *)(uintptr_t)p;

	return ((struct sample) { c, c + line, c + last, line / 8, last / 8,
	    (unsigned)(bytes - END_BYTES - last) });
}

static inline void
fill_sample(struct sample s, uint64_t seed)
{
	const pair steps = { 0, STEP };
	uint64_t x = seed + s.line_at * STEP;
	pair v = steps + x;
	unsigned i;

	*(loose_pair *)(void *)s.first = steps + seed;
	for (i = 0; i < LINE / 16; i++) {
		((loose_pair *)(void *)s.line)[i] = v;
		v += 2 * STEP;
	}
	x = seed + s.last_at * STEP;
	*(loose_pair *)(void *)s.last = steps + x;
	x += 2 * STEP;
	if (s.cut != 0)
		memcpy(s.last + END_BYTES, &x, s.cut);
}

static inline uint64_t
sample_differs(struct sample s, uint64_t seed, uint64_t step)
{
	const pair steps = { 0, step };
	uint64_t x = seed + s.line_at * step, bad, last = 0;
	pair v = steps + x, differs;
	unsigned i;

	differs = *(const loose_pair *)(void *)s.first ^ (steps + seed);
	for (i = 0; i < LINE / 16; i++) {
		differs |= ((const loose_pair *)(void *)s.line)[i] ^ v;
		v += 2 * step;
	}
	x = seed + s.last_at * step;
	differs |= *(const loose_pair *)(void *)s.last ^ (steps + x);
	bad = differs[0] | differs[1];
	x += 2 * step;
	if (s.cut != 0) {
		memcpy(&last, s.last + END_BYTES, s.cut);
		bad |= (last ^ x) & ((UINT64_C(1) << s.cut * 8) - 1);
	}
	return (bad);
}

static inline bool
is_sampled(enum model_contents how, uint64_t bytes)
{
	return (how != MODEL_CONTENTS_FULL && bytes > SMALL);
}

void
model__fill_bytes(
    enum model_contents how, void *p, uint64_t bytes, uint64_t seed)
{
	if (is_sampled(how, bytes))
		fill_sample(sample_of(p, bytes, seed), seed);
	else
		fill_range(p, (struct range) { 0, bytes }, seed);
}

uint64_t
model__verify_bytes(enum model_contents how, const void *p, uint64_t bytes,
    uint64_t seed, uint64_t limit)
{
	struct range r[3];
	unsigned i, n;
	uint64_t at;

	if (is_sampled(how, bytes) && limit >= bytes &&
	    MODEL_LIKELY(
		sample_differs(sample_of(p, bytes, seed), seed, STEP) == 0))
		return (UINT64_MAX);
	n = ranges(how, bytes, seed, r);
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
	unsigned i, n;
	uint64_t at;

	if (is_sampled(how, bytes) &&
	    MODEL_LIKELY(sample_differs(sample_of(p, bytes, seed), 0, 0) == 0))
		return (UINT64_MAX);
	n = ranges(how, bytes, seed, r);
	for (i = 0; i < n; i++) {
		at = compare(p, r[i], 0, 0);
		if (MODEL_UNLIKELY(at != UINT64_MAX))
			return (at);
	}
	return (UINT64_MAX);
}
