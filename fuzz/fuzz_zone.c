/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: zones of the UMA interface and of zinit. */
#include "fuzz_target.h"

const struct fuzz_target fuzz_target = {
	.name = "zone",
	.groups = FUZZ_GROUPS_BASE | FUZZ_GROUP(ZN),
};
