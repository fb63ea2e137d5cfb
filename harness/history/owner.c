/* SPDX-License-Identifier: BSD-2-Clause */
/* By what the history of a cache, pipe or zone is judged: what it says of
 * itself, and the contract. */
#include "history/owner.h"

#include <string.h>

void
history_owner_of(struct history_owner *ret_h, enum trace_class class,
    uint64_t boot_items, const struct owner_stats *st)
{
	struct history_owner *h = ret_h;

	memset(h, 0, sizeof(*h));
	h->least = h->most = HISTORY_NO_LIMIT;
	switch (class) {
	case TRACE_CACHE:
		h->over = h->refused = "OC-6";
		h->shy_of_waiters = h->shy_of_others = h->hands = true;
		if (st->limit != 0) {
			h->least = st->limit;
			h->most = (uint64_t)st->quota_total;
		}
		break;
	case TRACE_PIPE:
		h->over = "MP-2";
		h->refused = "MP-1";
		h->least = st->nnom;
		h->most =
		    st->nmax > HISTORY_NO_LIMIT ? HISTORY_NO_LIMIT : st->nmax;
		break;
	default:
		h->over = boot_items != 0 ? "ZN-30" : "ZN-5";
		h->refused = boot_items != 0 ? "ZN-30" : "ZN-6";
		h->shy = h->hands = true;
		if (boot_items != 0)
			h->least = h->most = boot_items;
		else if (st->limit != 0)
			h->least = h->most = st->limit;
		break;
	}
}
