/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: kmalloc and pages. */
#include "fuzz_target.h"

const struct fuzz_target fuzz_target = {
	.name = "kmalloc",
	.groups = FUZZ_GROUPS_BASE,
};
