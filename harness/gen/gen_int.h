/* SPDX-License-Identifier: BSD-2-Clause */
/* What the generator's files share; see gen.h. */
#ifndef KALAB_GEN_INT_H
#define KALAB_GEN_INT_H

#include "gen/gen.h"

/* gen_value.c */
/* How often which amounts are drawn, of a run with so many pages. */
void gen__amounts(struct gen_mix *);
/* An argument that is no register. */
uint64_t gen__value(struct gen_mix *, enum trace_opcode, unsigned i);
/* A pipe's flags, such that its hooks are legal. */
uint64_t gen__mpflags(struct gen_mix *, uint64_t hooks);

#endif
