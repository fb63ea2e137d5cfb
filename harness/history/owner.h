/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef KALAB_HISTORY_OWNER_H
#define KALAB_HISTORY_OWNER_H

#include "history/history.h"
#include "trace/call.h"

/* boot_items: of a zone on static memory that has not been completed, so many;
 * else 0. */
void history_owner_of(struct history_owner *ret_h, enum trace_class,
    uint64_t boot_items, const struct owner_stats *);

#endif
