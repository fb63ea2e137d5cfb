/* SPDX-License-Identifier: BSD-2-Clause */
/* What is left of an exploration in files, to go on later. */
#ifndef KALAB_CLI_EXPLORE_H
#define KALAB_CLI_EXPLORE_H

#include "explore/explore.h"

/* Can the state be written there? False after a message. */
bool explore_state_check(const char *name);
/* False after a message: there is a state, and it is of something else or not
 * as it was written. */
bool explore_state_load(const char *name, uint64_t of, struct explore *);
/* False after a message; the state before stays. */
bool explore_state_save(const char *name, uint64_t of, const struct explore *);

#endif
