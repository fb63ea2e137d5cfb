/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits, exactly: the library's commit points (port.h) say when a unit of a
 * zone's maximum, of a cache's limit or of a pipe's nmax is taken, given back,
 * or found to be used up. The counts that are kept here from what they say are
 * what nothing between a call and its return can blur:
 *
 *   - nothing is taken beyond the limit, at any instant;
 *   - nobody is refused for want of a unit while there is one;
 *   - whoever holds something has had a unit taken for it, so that the points
 *     cannot be put where they please: what is held the model knows by itself;
 *   - a refusal that only a limit explains was one, in this very call: of the
 *     maximum, or of the slabs that a keg may have, which others may have in
 *     the making: whether they had, intervals say.
 *
 * Where there is no count, of what was made before the model was there or of a
 * subject without commit points, intervals judge as ever.
 */
#include "model_int.h"

#define COUNTS_MAX 1024u /* a power of two; whatever is more has no count */

struct mcount {
	uint64_t object; /* the library's; 0: none */
	uint64_t count, limit;
	enum model_commit_kind kind;
};
struct mcommit {
	struct mcount count[COUNTS_MAX];
	uint32_t used[COUNTS_MAX / 2]; /* to forget them by */
	uint32_t nused;
};

/* Who says how many there may be. */
static const char *const clause_of[MODEL_COMMIT_KIND_COUNT] = {
	[MODEL_COMMIT_ZONE] = "ZN-6",
	[MODEL_COMMIT_CACHE] = "OC-6",
	[MODEL_COMMIT_PIPE] = "MP-2",
};
static const char *const noun_of[MODEL_COMMIT_KIND_COUNT] = {
	[MODEL_COMMIT_ZONE] = "zone",
	[MODEL_COMMIT_CACHE] = "cache",
	[MODEL_COMMIT_PIPE] = "pipe",
};

bool
model__commit_init(struct model *m)
{
	m->commit = model__map(sizeof(*m->commit));
	return (m->commit != NULL);
}

void
model__commit_fini(struct model *m)
{
	if (m->commit != NULL)
		model__unmap(m->commit, sizeof(*m->commit));
}

void
model__commit_reset(struct model *m)
{
	struct mcommit *k = m->commit;
	uint32_t i;

	for (i = 0; i < k->nused; i++)
		k->count[k->used[i]].object = 0;
	k->nused = 0;
}

/* Where it is, or the empty one where it would be. */
static struct mcount *
count_at(struct mcommit *k, uint64_t object)
{
	uint32_t i = (uint32_t)(object * UINT64_C(0x9e3779b97f4a7c15) >> 32);

	for (;; i++) {
		struct mcount *c = &k->count[i % COUNTS_MAX];

		if (c->object == object || c->object == 0)
			return (c);
	}
}

static void
begin(struct model *m, struct mthread *th, enum model_commit_kind kind,
    uint64_t object, uint64_t limit)
{
	struct mcommit *k = m->commit;
	struct mcount *c = count_at(k, object);

	if (c->object == 0) {
		if (k->nused == COUNTS_MAX / 2)
			return;
		k->used[k->nused++] = (uint32_t)(c - k->count);
	}
	*c = (struct mcount) { .object = object, .limit = limit, .kind = kind };
	if (th != NULL)
		th->counted = (uint32_t)(c - k->count) + 1;
}

static void
fail_count(struct model *m, const struct mthread *th, const struct mcount *c,
    const char *state, const char *expected, uint64_t n, const char *done)
{
	if (th != NULL)
		model__fail(m, th, clause_of[c->kind], state);
	else
		model__fail_outside(
		    m, clause_of[c->kind], noun_of[c->kind], state);
	model__expected(m, expected, noun_of[c->kind], c->limit);
	model__found(
	    m, "%" PRIu64 " are taken, and %" PRIu64 " %s", c->count, n, done);
}

/* The limit counts when something is taken: one that was lowered leaves more. */
static void
change(struct model *m, struct mthread *th, struct mcount *c,
    enum model_commit_what what, uint64_t n)
{
	switch (what) {
	case MODEL_COMMIT_LIMIT:
		c->limit = n;
		break;
	case MODEL_COMMIT_TAKE:
		if (n > c->limit || c->count > c->limit - n)
			fail_count(m, th, c, "taken-beyond",
			    "no more than the limit of the %s, %" PRIu64, n,
			    "more are");
		c->count += n;
		break;
	case MODEL_COMMIT_GIVE:
		if (n > c->count)
			fail_count(m, th, c, "given-twice",
			    "what was taken of the %s, whose limit is %" PRIu64
			    ", to be given back once",
			    n, "are given back");
		c->count -= n;
		break;
	case MODEL_COMMIT_FULL:
		if (c->count < c->limit)
			fail_count(m, th, c, "refused-below",
			    "no refusal below the limit of the %s, %" PRIu64, n,
			    "are had by the call that is refused");
		else if (th != NULL)
			th->full = (uint32_t)(c - m->commit->count) + 1;
		break;
	case MODEL_COMMIT_ROOM:
		if (th != NULL)
			th->no_room = true;
		break;
	case MODEL_COMMIT_BEGIN:
	case MODEL_COMMIT_WHAT_COUNT:
		break;
	}
}

void
model_commit(struct model *m, uint32_t thread, enum model_commit_kind kind,
    enum model_commit_what what, uint64_t object, uint64_t n)
{
	struct mthread *th = NULL;
	struct mcount *c;

	if (!m->judging)
		return;
	if (thread < CALL_FRAMES_MAX && m->thread[thread].busy)
		th = &m->thread[thread];
	if (what == MODEL_COMMIT_BEGIN) {
		begin(m, th, kind, object, n);
		return;
	}
	c = count_at(m->commit, object);
	if (c->object != 0)
		change(m, th, c, what, n);
}

uint32_t
model__counted(
    const struct model *m, struct mthread *th, enum model_commit_kind kind)
{
	uint32_t i = th->counted;

	th->counted = 0;
	return (i != 0 && m->commit->count[i - 1].kind == kind ? i : 0);
}

void
model__count_covers(struct model *m, const struct mthread *th, uint32_t counted,
    uint64_t held, const char *of)
{
	const struct mcount *c;

	if (counted == 0)
		return;
	c = &m->commit->count[counted - 1];
	if (held <= c->count)
		return;
	model__fail(m, th, clause_of[c->kind], "uncounted");
	model__expected(
	    m, "%" PRIu64 " of %s, which are held, to be counted", held, of);
	model__found(m, "%" PRIu64 " are", c->count);
}
