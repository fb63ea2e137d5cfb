/* SPDX-License-Identifier: BSD-2-Clause */
/* The plain build of a target: the replay driver and nothing else. */
#include "fuzz_target.h"

int
main(int argc, char **argv)
{
	return (fuzz_replay_main(argc, argv));
}
