/* SPDX-License-Identifier: BSD-2-Clause */
/* The mutator as libFuzzer's, for targets over traces. */
#include "fuzz_target.h"
#include "mutator.h"

size_t LLVMFuzzerCustomMutator(
    uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1,
    const uint8_t *data2, size_t size2, uint8_t *out, size_t max,
    unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

#define PLAIN 32u /* one mutation in so many is of bytes */

/* An empty result is none that libFuzzer takes. */
static size_t
at_least_one(uint8_t *out, size_t max, size_t size)
{
	if (size != 0 || max == 0)
		return (size);
	out[0] = 0;
	return (1);
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	if (seed % PLAIN == 0)
		return (LLVMFuzzerMutate(data, size, max));
	return (at_least_one(data, max,
	    mutator_mutate(
		data, size, data, max, seed, fuzz_target.groups, NULL)));
}

size_t
LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1,
    const uint8_t *data2, size_t size2, uint8_t *out, size_t max, unsigned seed)
{
	return (at_least_one(out, max,
	    mutator_cross(data1, size1, data2, size2, out, max, seed,
		fuzz_target.groups, NULL)));
}
