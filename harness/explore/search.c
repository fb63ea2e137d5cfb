/* SPDX-License-Identifier: BSD-2-Clause */
#include "search.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_MIN 4096u /* a power of two */

/* ---- What was seen ----------------------------------------------------- */

static int
seen_grow(struct search *s)
{
	uint64_t cap = s->seen_cap * 2, i, *to = calloc(cap, sizeof(*to));

	if (to == NULL)
		return (ENOMEM);
	for (i = 0; i < s->seen_cap; i++) {
		uint64_t at = s->seen[i] & (cap - 1);

		if (s->seen[i] == 0)
			continue;
		while (to[at] != 0)
			at = (at + 1) & (cap - 1);
		to[at] = s->seen[i];
	}
	free(s->seen);
	s->seen = to;
	s->seen_cap = cap;
	return (0);
}

/* Was it there before? Without memory for more, what is new is just not kept:
 * the search takes longer. */
static bool
seen_add(struct search *s, uint64_t hash)
{
	uint64_t at;

	hash += hash == 0;
	if (s->nseen * 2 >= s->seen_cap && seen_grow(s) != 0)
		return (false);
	at = hash & (s->seen_cap - 1);
	while (s->seen[at] != 0) {
		if (s->seen[at] == hash)
			return (true);
		at = (at + 1) & (s->seen_cap - 1);
	}
	s->seen[at] = hash;
	s->nseen++;
	return (false);
}

/*
 * Where the question stands. That a thread is about to store, load or wake
 * someone is not in what has happened; nor is who it is that may migrate.
 */
static uint64_t
place(const struct sim_question *q)
{
	uint64_t h = sim_hash();
	uint32_t i;

	for (i = 1; i < q->n; i++)
		if (q->alternative[i].what != SIM_RUN &&
		    q->alternative[i].what != SIM_FLUSH)
			h = (h ^ (q->alternative[i].what << 16 | q->thread) ^
				(uint64_t)q->alternative[i].n << 32) *
			    UINT64_C(0x9e3779b97f4a7c15);
	return (h);
}

/* ---- The walk ---------------------------------------------------------- */

/* What is known of the answers that follow. */
static void
foresee(struct search *s)
{
	uint32_t i = s->at;

	if (s->exhaustive)
		return;
	while (i < s->repeat && s->node[i].chosen == 0)
		i++;
	s->base.skips = i - s->at;
	s->at = i;
	s->base.ends = i == s->repeat && s->deviations >= s->bound;
}

static uint32_t
search_choose(struct sim_strategy *base, const struct sim_question *q)
{
	struct search *s = (struct search *)(void *)base;
	struct search_node *node;
	uint64_t before = s->place;
	bool same;

	/* Nothing has happened since the last question: what could be done
	 * instead could be done there. */
	s->place = s->exhaustive ? place(q) : 0;
	same = s->exhaustive && s->at != 0 && s->place == before;
	if (s->at < s->repeat) {
		node = &s->node[s->at++];
		/* Where no deviation was left to make, n is not kept. */
		if (node->chosen >= q->n ||
		    (node->n != 1 && node->n != (uint16_t)q->n))
			s->strayed = true;
		if (node->chosen >= q->n)
			return (0);
		s->deviations += node->chosen != 0;
		foresee(s);
		return (node->chosen);
	}
	if (s->exhaustive && !same && seen_add(s, s->place))
		return (SIM_PRUNE);
	if (s->n == s->cap) {
		uint32_t cap = s->cap * 2;

		node = realloc(s->node, cap * sizeof(*node));
		if (node == NULL)
			return (SIM_PRUNE);
		s->node = node;
		s->cap = cap;
	}
	node = &s->node[s->n++];
	s->at++;
	*node = (struct search_node) { (uint16_t)q->n, 0 };
	return (0);
}

int
search_init(struct search *s, bool exhaustive, uint32_t bound, uint32_t jobs,
    uint32_t index)
{
	memset(s, 0, sizeof(*s));
	s->base.choose = search_choose;
	s->exhaustive = exhaustive;
	s->bound = bound;
	s->jobs = jobs;
	s->index = index;
	s->cap = 256;
	s->node = calloc(s->cap, sizeof(*s->node));
	s->seen_cap = SEEN_MIN;
	s->seen = calloc(s->seen_cap, sizeof(*s->seen));
	return (s->node == NULL || s->seen == NULL ? ENOMEM : 0);
}

void
search_fini(struct search *s)
{
	free(s->node);
	free(s->seen);
	memset(s, 0, sizeof(*s));
}

void
search_begin(struct search *s)
{
	s->at = 0;
	s->deviations = 0;
	s->n = s->repeat;
	foresee(s);
}

bool
search_strayed(const struct search *s)
{
	return (s->strayed || s->base.skips != 0);
}

bool
search_next(struct search *s)
{
	uint32_t i, before = 0; /* deviations before question i */

	if (s->n > s->length)
		s->length = s->n;
	for (i = 0; i < s->n; i++)
		before += s->node[i].chosen != 0;
	for (i = s->n; i-- > 0;) {
		struct search_node *node = &s->node[i];

		before -= node->chosen != 0;
		if (node->chosen + 1 >= node->n)
			continue;
		/* The first deviation says whose path it is. */
		if (before == 0 && i % s->jobs != s->index)
			continue;
		node->chosen++;
		s->repeat = i + 1;
		return (true);
	}
	return (false);
}

/*
 * Paths are walked from the last question on: what is left is what begins to
 * deviate earlier. There are about as many paths of k deviations that begin
 * after a question as there are ways to choose k of the questions after it.
 */
double
search_done(const struct search *s)
{
	double part = 0, width = 1;
	uint32_t i, k = s->bound == 0 ? 1 : s->bound;

	if (s->n == 0)
		return (0);
	if (s->exhaustive) { /* as if every answer had as many below it */
		for (i = 0; i < s->repeat && width > 1e-9; i++) {
			width /= s->node[i].n;
			part += width * s->node[i].chosen;
		}
		return (part);
	}
	for (i = 0; i < s->n && s->node[i].chosen == 0; i++)
		continue;
	return (pow((double)(s->length - i) / s->length, k));
}

/* ---- To go on later ---------------------------------------------------- */

bool
search_save(const struct search *s, FILE *f)
{
	uint64_t head[4] = { s->repeat, s->exhaustive ? s->seen_cap : 0,
		s->nseen, s->bound | (uint64_t)s->length << 32 };

	return (fwrite(head, sizeof(head), 1, f) == 1 &&
	    fwrite(s->node, sizeof(*s->node), s->repeat, f) == s->repeat &&
	    fwrite(s->seen, sizeof(*s->seen), head[1], f) == head[1]);
}

bool
search_load(struct search *s, FILE *f)
{
	struct search_node *node;
	uint64_t head[4], *seen;

	if (fread(head, sizeof(head), 1, f) != 1 || head[0] > UINT32_MAX / 8 ||
	    head[1] > UINT64_C(1) << 32 || (head[1] & (head[1] - 1)) != 0 ||
	    head[2] > head[1])
		return (false);
	node = calloc(head[0] + 256, sizeof(*node));
	seen = calloc(head[1] + SEEN_MIN, sizeof(*seen));
	if (node == NULL || seen == NULL ||
	    fread(node, sizeof(*node), head[0], f) != head[0] ||
	    fread(seen, sizeof(*seen), head[1], f) != head[1]) {
		free(node);
		free(seen);
		return (false);
	}
	free(s->node);
	s->node = node;
	s->cap = (uint32_t)head[0] + 256;
	s->repeat = s->n = (uint32_t)head[0];
	s->bound = (uint32_t)head[3];
	s->length = (uint32_t)(head[3] >> 32);
	if (s->length < s->n)
		s->length = s->n; /* a file that does not say */
	if (head[1] != 0) {
		free(s->seen);
		s->seen = seen;
		s->seen_cap = head[1];
		s->nseen = head[2];
	} else {
		free(seen);
	}
	return (true);
}
