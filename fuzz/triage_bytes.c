/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shrinks an input of a target over bytes: what shows the same signature with
 * fewer of them, and with '0' for those that do not matter. One program is run
 * for each try; what is left cannot lose any one byte, unless time was short.
 *
 * Delta debugging: A. Zeller and R. Hildebrandt, Simplifying and Isolating
 * Failure-Inducing Input, IEEE TSE 28(2), 2002; here from the largest pieces
 * down to single bytes, and again as long as a byte went.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_target.h"
#include "triage_int.h"

#define USUAL '0'

struct bytes {
	const struct triage *t;
	const struct triage_item *item;
	const char *file; /* of tries */
	double until;
	size_t n;
	uint8_t *now, *next;
};

static bool
is_over(const struct bytes *b)
{
	return (*b->t->options->stop || campaign_now() > b->until);
}

static bool
put_file(const char *file, const uint8_t *data, size_t n)
{
	FILE *f = fopen(file, "wb");
	bool ok = f != NULL && fwrite(data, 1, n, f) == n;

	if (f != NULL && fclose(f) != 0)
		ok = false;
	return (ok);
}

/* Does `next`, of so many bytes, show the same? Then it is what we have. */
static bool
takes(struct bytes *b, size_t n)
{
	char signature[160];

	if (!put_file(b->file, b->next, n) ||
	    !campaign_engine_judge(
		b->item->program, b->file, TRIAGE_PROGRAM_TIME, signature) ||
	    strcmp(signature, b->item->signature) != 0)
		return (false);
	memcpy(b->now, b->next, n);
	b->n = n;
	return (true);
}

/* Pieces of a size, from the end to the front; whether any could go. */
static bool
drop_pieces(struct bytes *b, size_t size)
{
	bool any = false;

	for (size_t end = b->n; end > 0 && !is_over(b);) {
		const size_t at = end > size ? end - size : 0;

		memcpy(b->next, b->now, at);
		memcpy(b->next + at, b->now + end, b->n - end);
		if (takes(b, b->n - (end - at)))
			any = true;
		end = at;
	}
	return (any);
}

static void
make_usual(struct bytes *b)
{
	for (size_t i = 0; i < b->n && !is_over(b); i++) {
		if (b->now[i] == USUAL)
			continue;
		memcpy(b->next, b->now, b->n);
		b->next[i] = USUAL;
		(void)takes(b, b->n);
	}
}

static void
make_few(struct bytes *b)
{
	size_t size = b->n;

	while (size > 1 && !is_over(b)) {
		size = (size + 1) / 2;
		(void)drop_pieces(b, size);
		if (size > b->n)
			size = b->n;
	}
	while (drop_pieces(b, 1))
		continue;
}

static bool
read_input(struct bytes *b, const char *from)
{
	FILE *f = fopen(from, "rb");
	bool ok = f != NULL;

	if (ok)
		b->n = fread(b->now, 1, FUZZ_INPUT_MAX, f);
	/* The drivers read no more of it either. */
	if (f != NULL && (ferror(f) != 0 || fclose(f) != 0))
		ok = false;
	return (ok);
}

bool
triage_shrink_bytes(const struct triage *t, const struct triage_item *i,
    const char *from, const char *kept, double seconds, bool *ret_complete)
{
	char try[CAMPAIGN_PATH];
	struct bytes b = { .t = t,
		.item = i,
		.file = try,
		.until = campaign_now() + seconds,
		.now = malloc(FUZZ_INPUT_MAX),
		.next = malloc(FUZZ_INPUT_MAX) };
	bool ok = b.now != NULL && b.next != NULL &&
	    campaign_path(try, "%s.try", kept) && read_input(&b, from);

	if (ok) {
		make_few(&b);
		make_usual(&b);
		*ret_complete = !is_over(&b);
		(void)unlink(try);
		ok = put_file(kept, b.now, b.n);
	}
	free(b.now);
	free(b.next);
	return (ok);
}
