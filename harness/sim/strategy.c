/* SPDX-License-Identifier: BSD-2-Clause */
#include "strategy.h"

#include "sim_draw.h"

/* About as many questions as a run of a small world asks. */
#define POINTS_USUAL 256u

static inline bool
is_single(const struct sim_question *q)
{
	uint16_t what = q->alternative[1].what;

	return (q->runs == 0 &&
	    (what == SIM_DELAY || what == SIM_READ || what == SIM_INSERT ||
		what == SIM_FAIL));
}

static inline uint32_t
choose_single(struct sim_strategy *s, const struct sim_question *q)
{
	return (sim__draw_single(
	    s, q->alternative[1].what == SIM_FAIL ? 1 : s->delay, q->n - 1));
}

static uint32_t
random_choose(struct sim_strategy *s, const struct sim_question *q)
{
	if (is_single(q))
		return (choose_single(s, q));
	return (sim__draw_any(s, q->runs, q->n - 1 - q->runs));
}

/* At a point the coin was thrown before (sim__stays); who runs next when
 * nobody does is anybody. */
static uint32_t
sticky_choose(struct sim_strategy *s, const struct sim_question *q)
{
	if (is_single(q))
		return (choose_single(s, q));
	if (q->stopped && random_below(&s->rng, q->n) == 0)
		return (0);
	return (sim__draw_other(s, q->runs, q->n - 1 - q->runs));
}

/* The thread that an alternative lets run; SIM_NONE: it is about something
 * else. */
static uint32_t
runs(const struct sim_question *q, uint32_t i)
{
	if (q->alternative[i].what == SIM_GO)
		return (q->running);
	if (q->alternative[i].what == SIM_RUN)
		return (q->alternative[i].n);
	return (SIM_NONE);
}

static bool
is_at(const uint64_t *list, uint32_t n, uint64_t at)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (list[i] == at)
			return (true);
	return (false);
}

static uint32_t
pct_choose(struct sim_strategy *base, const struct sim_question *q)
{
	struct strategy *s = (struct strategy *)(void *)base;
	uint32_t i, best = 0, others = 0;
	uint64_t at = s->asked++;

	if (is_single(q))
		return (choose_single(base, q));
	for (i = 1; i < q->n; i++)
		others += runs(q, i) == SIM_NONE;
	if (others != 0 && is_at(s->other, s->n, at)) {
		uint32_t k = random_below(&base->rng, others);

		for (i = 1; i < q->n; i++)
			if (runs(q, i) == SIM_NONE && k-- == 0)
				return (i);
	}
	if (is_at(s->drop, s->n - 1, at))
		s->priority[q->running] = --s->lowest;
	for (i = 1; i < q->n; i++) {
		uint32_t t = runs(q, i), b = runs(q, best);

		if (t != SIM_NONE &&
		    (b == SIM_NONE || s->priority[t] > s->priority[b]))
			best = i;
	}
	return (best);
}

struct sim_strategy *
strategy_begin(struct strategy *s, enum strategy_kind kind, uint64_t seed,
    uint32_t n, uint64_t points)
{
	static const uint32_t delays[] = { 1, 4, 7, 1 };
	uint32_t i;

	s->kind = kind;
	s->base.rng = seed;
	s->n = n == 0 ? 1 : n;
	s->base.draws = kind != STRATEGY_PCT;
	s->base.sticks = s->base.skips = 0;
	s->base.ends = false;
	s->base.delay = delays[random_below(&s->base.rng, 4)];
	switch (kind) {
	case STRATEGY_RECORDED:
		return (NULL);
	case STRATEGY_RANDOM:
		s->base.choose = random_choose;
		break;
	case STRATEGY_STICKY:
		s->base.choose = sticky_choose;
		s->base.sticks = s->n;
		break;
	default:
		s->base.choose = pct_choose;
		s->asked = 0;
		s->lowest = UINT64_C(1) << 32;
		if (s->n > STRATEGY_DEPTH_MAX)
			s->n = STRATEGY_DEPTH_MAX;
		if (points == 0)
			points = POINTS_USUAL;
		for (i = 0; i < SIM_THREADS_MAX + SIM_DAEMONS_MAX; i++)
			s->priority[i] =
			    s->lowest + random_next(&s->base.rng) / 2;
		for (i = 0; i < s->n; i++) {
			s->drop[i] = random_next(&s->base.rng) % points;
			s->other[i] = random_next(&s->base.rng) % points;
		}
		break;
	}
	return (&s->base);
}
