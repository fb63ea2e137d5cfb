/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How strategies that draw answer, without a list of what could be done. It is
 * done at every schedule point: here, so that the compiler sees it there.
 */
#ifndef KALAB_SIM_DRAW_H
#define KALAB_SIM_DRAW_H

#include "sim/sim.h"
#include "util/random.h"

/* Is the default taken at this point, without a question? */
static inline bool
sim__stays(struct sim_strategy *s)
{
	return (s->sticks != 0 && random_below(&s->rng, s->sticks) != 0);
}

/* Three times in four another thread, if there is one: what else may be done
 * is more, and leads nowhere when nobody else goes on. */
static inline uint32_t
sim__draw_other(struct sim_strategy *s, uint32_t threads, uint32_t more)
{
	if (threads != 0 && (more == 0 || random_below(&s->rng, 4) != 0))
		return (1 + random_below(&s->rng, threads));
	return (1 + threads + random_below(&s->rng, more));
}

/* Every alternative is as likely as the default. */
static inline uint32_t
sim__draw_any(struct sim_strategy *s, uint32_t threads, uint32_t more)
{
	if (random_below(&s->rng, 1 + threads + more) == 0)
		return (0);
	return (sim__draw_other(s, threads, more));
}

/* At a schedule point, of which it is known that the default is not a matter
 * of course (sim__stays). */
static inline uint32_t
sim__draw(struct sim_strategy *s, uint32_t threads, uint32_t more)
{
	return (s->sticks != 0 ? sim__draw_other(s, threads, more) :
				 sim__draw_any(s, threads, more));
}

/* Stores that may be delayed, loads that may see something older and pages
 * that may fail are asked one by one: one of n that could be done; by these
 * odds in 8. */
static inline uint32_t
sim__draw_single(struct sim_strategy *s, uint32_t odds, uint32_t n)
{
	if (random_below(&s->rng, 8) >= odds)
		return (0);
	return (1 + random_below(&s->rng, n));
}

#endif
