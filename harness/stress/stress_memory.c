/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Contents and events.
 *
 * What is written into an object is a sequence of words that says of itself
 * where it begins: each is the one before plus a constant. So whoever gets an
 * object that is to have kept its contents can tell without knowing who had it
 * before. The bytes behind the last word are those of the first.
 */
#include "stress_int.h"

#include <stdlib.h>
#include <string.h>

#include "util/random.h"

uint64_t
stress__seed(void)
{
	uint64_t n =
	    atomic_fetch_add_explicit(&stress.seeds, 1, memory_order_relaxed);

	return (random_next(&n) | 1);
}

void
stress__fill(uint64_t addr, uint64_t bytes, uint64_t seed)
{
	char *p = (char *)addr;
	uint64_t i, word = seed;

	for (i = 0; i + 8 <= bytes; i += 8, word += PATTERN_K)
		memcpy(p + i, &word, 8);
	memcpy(p + i, &seed, bytes - i);
}

bool
stress__holds(uint64_t addr, uint64_t bytes, uint64_t seed)
{
	const char *p = (const char *)addr;
	uint64_t i, word, want = seed, bad = 0;

	for (i = 0; i + 8 <= bytes; i += 8, want += PATTERN_K) {
		memcpy(&word, p + i, 8);
		bad |= word ^ want;
	}
	return (bad == 0 && memcmp(p + i, &seed, bytes - i) == 0);
}

bool
stress__is_filled(uint64_t addr, uint64_t bytes)
{
	uint64_t seed;

	if (bytes < 8)
		return (true); /* too short to tell */
	memcpy(&seed, (const void *)addr, 8);
	return (stress__holds(addr, bytes, seed));
}

bool
stress__is_zero(uint64_t addr, uint64_t bytes)
{
	const char *p = (const char *)addr;
	uint64_t i, word, bad = 0;

	for (i = 0; i + 8 <= bytes; i += 8) {
		memcpy(&word, p + i, 8);
		bad |= word;
	}
	for (; i < bytes; i++)
		bad |= (uint8_t)p[i];
	return (bad == 0);
}

/* A new event of the caller; valid until the next one. */
struct history_event *
stress__event(struct caller *w, enum history_kind kind, const struct owner *o,
    uint64_t from, uint64_t to)
{
	struct history_event *e;

	if (w->nevents == w->cap) {
		w->cap = w->cap == 0 ? 1024 : w->cap * 2;
		w->event = realloc(w->event, w->cap * sizeof(*w->event));
		if (w->event == NULL)
			abort();
	}
	e = &w->event[w->nevents++];
	*e = (struct history_event) { .from = from,
		.to = to,
		.kind = kind,
		.owner = o == NULL ? HISTORY_NOBODY : o->id,
		.units = 1,
		.line = w->op == NULL ? 0 : w->op->line,
		.thread = w->index,
		.name = w->op == NULL ? "end of run" :
					trace_ops[w->op->code].name };
	return (e);
}
