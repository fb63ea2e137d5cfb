/* SPDX-License-Identifier: BSD-2-Clause */
/* kalab-stress of libkalloc. */
#include "stress/stress.h"

extern const struct subject subject_kalloc;

int
main(int argc, char **argv)
{
	return (stress_main(&subject_kalloc, argc, argv));
}
