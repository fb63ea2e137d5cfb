/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the engines of a campaign count together, in a file that each of them
 * maps: the environment's KALAB_FUZZ_SHARED names it. Numbers are of this
 * machine; every access is atomic and relaxed, and a process that is killed
 * leaves a file that is as good as before.
 *
 * A *species* is a kind of thing that an execution may show: a state of the
 * model, an outcome of an operation, a pair of operations that overlapped, the
 * looks of a cache, pipe or zone. What is kept of each is in how many
 * executions it was seen: none, one, two, more. From these counts follows how
 * likely the next execution is to show something new (campaign_estimate.c).
 * Species are told apart by a hash: two may share a slot, which makes the
 * numbers a little too small.
 */
#ifndef KALAB_FUZZ_SHARED_H
#define KALAB_FUZZ_SHARED_H

#include <stdint.h>

#define FUZZ_SHARED_MAGIC   UINT64_C(0x31646572616873)
#define FUZZ_SHARED_SPECIES (UINT32_C(1) << 22)

struct fuzz_shared {
	uint64_t magic;
	uint64_t executions;
	uint64_t species; /* seen at all */
	uint64_t singles; /* seen in one execution */
	uint64_t doubles; /* seen in two */
	uint64_t newest;  /* when one was seen first: seconds since 1970 */
	uint64_t spare[2];
	uint8_t seen[FUZZ_SHARED_SPECIES]; /* 0, 1, 2, 3 for more */
};

#endif
