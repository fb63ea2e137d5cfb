/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a small history of one owner linearizable? Exact, unlike the sweep: each
 * call takes effect at one instant between its beginning and its end, and there
 * either is an order of these instants in which a pool with that limit gives
 * these answers, or there is none. After J. Wing and C. Gong, Testing and
 * Verifying Concurrent Objects, JPDC 1993, with the memory of what was tried
 * of G. Lowe, Testing for Linearizability, 2017.
 *
 * The pool: a take needs fewer than the most to be held, a refusal that at
 * least the least are (less the slack), a give ends one, a change of the limit
 * sets both. What a call that is refused had in hand for a while, others may
 * have missed: it is a take and a give within the call, if that explains
 * anything.
 */
#ifndef KALAB_WGL_H
#define KALAB_WGL_H

#include "history/history.h"

#define WGL_CALLS_MAX 24u

enum wgl_verdict {
	WGL_LINEARIZABLE,
	WGL_NOT,
	WGL_TOO_LONG /* more calls than WGL_CALLS_MAX, or more states than
	                WGL_STATES_MAX */
};
#define WGL_STATES_MAX (1u << 20)

/* Calls that have not ended have to == UINT64_MAX: they may have taken effect.
 * held: how many were before. *ret_last: the call that no order reaches past,
 * if there is none; NULL if the caller does not care. */
enum wgl_verdict wgl_check(const struct history_event *, size_t n,
    const struct history_owner *, uint64_t held,
    const struct history_event **ret_last);

#endif
