/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AFL++'s build of a target: persistent, inputs in shared memory. With
 * arguments it is the replay driver. LOOP executions are of one process; the
 * next one begins with memory that is new.
 */
#include "fuzz_target.h"

#include <unistd.h>

#define LOOP 1000000

__AFL_FUZZ_INIT();

/* AFL++'s runtime: the map, and how much of it is used. */
extern uint8_t *__afl_area_ptr;
extern uint32_t __afl_map_size;

/* That an edge was taken counts, not how often: how much there is to be cleared
 * when the library begins, for one, follows the input before. */
static void
forget_counts(void)
{
	uint8_t *const map = __afl_area_ptr;
	const uint32_t n = __afl_map_size;

	for (uint32_t i = 0; i < n; i++)
		map[i] = map[i] != 0;
}

int
main(int argc, char **argv)
{
	const uint8_t *data;

	if (argc > 1)
		return (fuzz_replay_main(argc, argv));
	__AFL_INIT();
	(void)LLVMFuzzerInitialize(&argc, &argv);
	data = __AFL_FUZZ_TESTCASE_BUF;
	while (__AFL_LOOP(LOOP)) {
		const ssize_t size = __AFL_FUZZ_TESTCASE_LEN;

		(void)LLVMFuzzerTestOneInput(data, (size_t)size);
		forget_counts();
	}
	return (0);
}
