/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of an exploration: what it is of, a checksum, and what the search
 * knows. A bit that has changed would leave out schedules, or try them again,
 * and say nothing.
 */
#include "cli_explore.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "cli.h"

struct head {
	uint64_t of, sum;
};

/* The checksum of what follows the head. */
static bool
sum_of(FILE *f, uint64_t seed, uint64_t *ret_sum)
{
	XXH64_state_t *state = XXH64_createState();
	unsigned char bytes[16384];
	size_t n;
	bool ok;

	if (state == NULL ||
	    fseek(f, (long)sizeof(struct head), SEEK_SET) != 0) {
		(void)XXH64_freeState(state);
		return (false);
	}
	(void)XXH64_reset(state, seed);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		(void)XXH64_update(state, bytes, n);
	ok = !ferror(f);
	*ret_sum = XXH64_digest(state);
	(void)XXH64_freeState(state);
	return (ok);
}

static FILE *
open_new(const char *name, char *tmp, size_t size)
{
	(void)snprintf(tmp, size, "%s.new", name);
	return (fopen(tmp, "wb+"));
}

static bool
failed(const char *name)
{
	(void)cli_usage("explore", "%s: %s", name, strerror(errno));
	return (false);
}

bool
explore_state_check(const char *name)
{
	char tmp[4112];
	FILE *f = open_new(name, tmp, sizeof(tmp));

	if (f == NULL)
		return (failed(name));
	(void)fclose(f);
	(void)unlink(tmp);
	return (true);
}

bool
explore_state_load(const char *name, uint64_t of, struct explore *e)
{
	FILE *f = fopen(name, "rb");
	struct head head;
	uint64_t sum;
	bool ok;

	if (f == NULL)
		return (errno == ENOENT ? true : failed(name));
	ok = fread(&head, sizeof(head), 1, f) == 1 && head.of == of;
	if (!ok)
		(void)cli_usage(
		    "explore", "%s: not a state of this exploration", name);
	else if (!sum_of(f, of, &sum) || sum != head.sum ||
	    fseek(f, (long)sizeof(head), SEEK_SET) != 0 ||
	    !explore_load(e, f)) {
		ok = false;
		(void)cli_usage("explore",
		    "%s: the state is damaged, expected another checksum",
		    name);
	}
	(void)fclose(f);
	return (ok);
}

bool
explore_state_save(const char *name, uint64_t of, const struct explore *e)
{
	struct head head = { .of = of };
	char tmp[4112];
	FILE *f = open_new(name, tmp, sizeof(tmp));
	bool ok = f != NULL && fwrite(&head, sizeof(head), 1, f) == 1 &&
	    explore_save(e, f) && fflush(f) == 0 && sum_of(f, of, &head.sum) &&
	    fseek(f, 0, SEEK_SET) == 0 &&
	    fwrite(&head, sizeof(head), 1, f) == 1;

	if (f != NULL)
		ok = fclose(f) == 0 && ok;
	if (ok && rename(tmp, name) == 0)
		return (true);
	(void)failed(name);
	if (f != NULL)
		(void)unlink(tmp);
	return (false);
}
