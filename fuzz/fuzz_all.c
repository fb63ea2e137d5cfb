/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: the four allocators together. */
#include "fuzz_target.h"

const struct fuzz_target fuzz_target = {
	.name = "all",
	.groups = FUZZ_GROUPS_ALL,
};
