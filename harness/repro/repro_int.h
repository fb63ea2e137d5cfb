/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to harness/repro/.
 *
 *   repro_record.c  the order of a run
 *   repro_write.c   the program
 *   repro_calls.c   an operation as a call in C, by the table
 *   runtime.c, runtime_owners.c  what is in front of its steps
 *   runtime_end.c   and behind: text of the program, no part of kalab
 */
#ifndef KALAB_REPRO_INT_H
#define KALAB_REPRO_INT_H

#include "repro/repro.h"

/* Lines, with NULL behind the last. */
extern const char *const repro__runtime[], *const repro__runtime_owners[],
					       *const repro__runtime_end[];

/* The operation's statements, each on a line with a tab before it. failing:
 * it is done also through a pointer to what is another's by now. */
void repro__put_call(
    FILE *, const struct trace_header *, const struct trace_op *, bool failing);

#endif
