/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: mpipe, with the kmalloc that it lies over. */
#include "fuzz_target.h"

const struct fuzz_target fuzz_target = {
	.name = "mpipe",
	.groups = FUZZ_GROUPS_BASE | FUZZ_GROUP(MP),
};
