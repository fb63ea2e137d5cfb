/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strategies that draw: they answer the simulation's questions from a seed.
 * Those that search in order keep what they have done (explore/).
 *
 *   random  every alternative is as likely as any
 *   sticky  the default with probability 1 - 1/n, else any of the others
 *   pct     threads have random priorities; the highest runs; at depth - 1
 *           random places the running one's becomes the lowest (Burckhardt and
 *           others, A randomized scheduler with probabilistic guarantees of
 *           finding bugs, 2010), and at as many others something else than a
 *           change of thread is done, where there is something
 */
#ifndef KALAB_STRATEGY_H
#define KALAB_STRATEGY_H

#include "sim/sim.h"

enum strategy_kind {
	STRATEGY_RECORDED,
	STRATEGY_RANDOM,
	STRATEGY_STICKY,
	STRATEGY_PCT,
	STRATEGY_KIND_COUNT
};

#define STRATEGY_DEPTH_MAX 64u

struct strategy {
	struct sim_strategy base;
	enum strategy_kind kind;
	uint32_t n; /* sticky: 1/n; pct: depth */
	/* pct */
	uint64_t priority[SIM_THREADS_MAX + SIM_DAEMONS_MAX];
	uint64_t asked, lowest;
	uint64_t drop[STRATEGY_DEPTH_MAX], other[STRATEGY_DEPTH_MAX];
};

/*
 * Begins a run. Points is how many questions a run asks, about (pct places its
 * changes among them; 0: not known). Returns the strategy for sim_config, NULL
 * for the recorded order.
 */
struct sim_strategy *strategy_begin(struct strategy *, enum strategy_kind,
    uint64_t seed, uint32_t n, uint64_t points);

#endif
