/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mutator as a library of AFL++'s: AFL_CUSTOM_MUTATOR_LIBRARY names it.
 * KALAB_FUZZ_GROUPS in the environment is the target's groups of operations,
 * as a number; without it all are used.
 */
#include <stdlib.h>

#include "fuzz_target.h"
#include "mutator.h"
#include "util/random.h"

/*
 * Mutations of an input in a row. AFL++'s own thousands, of the first seeds at
 * the beginning, show the same again and again.
 */
#define IN_A_ROW 64u

#define EXPORT __attribute__((visibility("default")))

struct afl_mutator {
	uint64_t random;
	uint32_t groups;
	uint8_t out[FUZZ_INPUT_MAX];
};

void *afl_custom_init(void *afl, unsigned seed);
size_t afl_custom_fuzz(void *data, uint8_t *buf, size_t size, uint8_t **ret_out,
    uint8_t *add, size_t add_size, size_t max);
uint32_t afl_custom_fuzz_count(void *data, const uint8_t *buf, size_t size);
void afl_custom_deinit(void *data);

EXPORT void *
afl_custom_init(void *afl, unsigned seed)
{
	const char *groups = getenv("KALAB_FUZZ_GROUPS");
	struct afl_mutator *m = calloc(1, sizeof(*m));

	(void)afl;
	if (m == NULL)
		return (NULL);
	m->random = seed;
	m->groups = groups != NULL ? (uint32_t)strtoul(groups, NULL, 0) : 0;
	if (m->groups == 0)
		m->groups = FUZZ_GROUPS_ALL;
	return (m);
}

EXPORT size_t
afl_custom_fuzz(void *data, uint8_t *buf, size_t size, uint8_t **ret_out,
    uint8_t *add, size_t add_size, size_t max)
{
	struct afl_mutator *m = data;
	const uint64_t seed = random_next(&m->random);
	size_t n;

	if (max > sizeof(m->out))
		max = sizeof(m->out);
	if (add != NULL && add_size != 0 && seed % 4 == 0)
		n = mutator_cross(buf, size, add, add_size, m->out, max, seed,
		    m->groups, NULL);
	else
		n = mutator_mutate(
		    buf, size, m->out, max, seed, m->groups, NULL);
	*ret_out = m->out;
	return (n);
}

EXPORT uint32_t
afl_custom_fuzz_count(void *data, const uint8_t *buf, size_t size)
{
	(void)data;
	(void)buf;
	(void)size;
	return (IN_A_ROW);
}

EXPORT void
afl_custom_deinit(void *data)
{
	free(data);
}
