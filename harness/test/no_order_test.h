/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pipe whose answers are each right by themselves, and have no order: the
 * first free takes effect at once and ends last. Meanwhile its buffer is taken
 * by the other thread, and freed, and refused, as if that free had taken effect
 * and then again not. For tests that have a `healthy` subject.
 */
#ifndef KALAB_NO_ORDER_TEST_H
#define KALAB_NO_ORDER_TEST_H

#define NO_ORDER                                                               \
	"0 q0 = mpipe_init m0 64 1 1 NOZERO 0\n"                               \
	"0 p0 = mpipe_alloc_nowait q0\n0 mpipe_free q0 p0\n"                   \
	"1 p1 = mpipe_alloc_nowait q0\n1 mpipe_free q0 p1\n"                   \
	"1 p2 = mpipe_alloc_nowait q0\n"

static uint32_t no_order_seen; /* calls of the other thread */

static void
takes_effect_and_again_not(struct call *c)
{
	const bool first = c->code == TRACE_OP_MPIPE_FREE && c->thread == 0;

	if (c->code == TRACE_OP_MPIPE_INIT)
		no_order_seen = 0;
	if (c->code == TRACE_OP_MPIPE_ALLOC_NOWAIT && c->thread == 1 &&
	    no_order_seen == 2) {
		no_order_seen++;
		return;
	}
	healthy->exec(c);
	no_order_seen += c->thread == 1;
	/* While a trace is shrunk, nobody comes in some candidates. */
	for (uint32_t i = 0; first && no_order_seen < 3 && i < 100; i++)
		ka_pause();
}

static bool
counts_its_refusal(
    enum trace_class class, uint32_t handle, struct owner_stats *s)
{
	const bool got = healthy->owner_stats(class, handle, s);

	s->requests += no_order_seen == 3;
	s->failures += no_order_seen == 3;
	return (got);
}

#endif
