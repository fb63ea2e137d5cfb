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
	}
	return (0);
}
