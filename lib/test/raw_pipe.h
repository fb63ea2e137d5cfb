/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests read, and break, of a pipe. */
#ifndef RAW_PIPE_H
#define RAW_PIPE_H

#include "ptr_map.h"

/* The first fields of struct mpipe. */
struct raw_pipe {
	struct ka_spin spin;
	uint32_t free;
	void **array;
	uint64_t requests;
	struct ka_spin back_spin __attribute__((aligned(64)));
	uint32_t back_free, back_seen, back_at;
	struct ka_cpu *back_cpu;
	void **arrays __attribute__((aligned(64)));
	struct ptr_map map;
	bool parted, detour;
	uint32_t room, nnom, watchers, total, nmax;
};

#endif
