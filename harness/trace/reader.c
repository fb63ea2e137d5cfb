/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader: finds out what a source is and hands out operations, whichever
 * form they are in. Memory is bounded by the registers, the strings and a few
 * buffers, never by the length of the trace.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_int.h"

/* What is left of an element, and a block behind it. */
#define JOINED_SIZE (TRACE__OP_BYTES_MAX + TRACE__BLOCK_MAX)

enum form {
	FORM_TEXT,
	FORM_BINARY,
	FORM_PAYLOAD
};

struct trace_reader {
	enum form form;
	struct trace_header header;
	struct trace__input input;
	struct trace__text text;
	struct trace__blocks blocks;
	struct trace__decoder decoder;
	uint8_t *joined;	/* FORM_BINARY: window of the decoder */
	const uint8_t *payload; /* FORM_PAYLOAD: where it begins */
	int failed;		/* -1 once an error was returned */
	struct trace_error error;
};

/* The decoder's refill: the next block behind what is left of the last. */
static int
refill(struct trace__decoder *d, void *cookie)
{
	struct trace_reader *const r = cookie;
	const size_t kept = (size_t)(d->end - d->p);
	const uint8_t *payload;
	size_t size;

	const int got =
	    trace__blocks_next(&r->blocks, &payload, &size, &r->error);
	if (got <= 0)
		return (got);
	TRACE__ASSERT(kept + size <= JOINED_SIZE);
	if (kept > 0)
		memmove(r->joined, d->p, kept);
	memcpy(r->joined + kept, payload, size);
	d->p = r->joined;
	d->end = r->joined + kept + size;
	return (1);
}

static int
open_binary(struct trace_reader *r, struct trace_error *err)
{
	r->form = FORM_BINARY;
	if (trace__blocks_open(&r->blocks, &r->input, err) != 0)
		return (-1);
	r->joined = malloc(JOINED_SIZE);
	if (r->joined == NULL) {
		trace__error_memory(err, r->input.name);
		return (-1);
	}
	r->decoder = (struct trace__decoder) {
		.p = r->joined,
		.end = r->joined,
		.refill = refill,
		.cookie = r,
		.header = &r->header,
	};
	const int error = trace__decode_header(&r->decoder);
	if (error == ENOMEM)
		trace__error_memory(err, r->input.name);
	else if (error != 0 && err != NULL)
		*err = r->error;
	return (error != 0 ? -1 : 0);
}

/* After the input is open: text or binary. Takes the reader if it fails. */
static int
open_any(struct trace_reader *r, struct trace_reader **ret_r,
    struct trace_error *err)
{
	const int have = trace__input_need(&r->input, 1, err);
	int error = -1;

	if (have > 0 && *r->input.p == (uint8_t)TRACE__MAGIC[0])
		error = open_binary(r, err);
	else if (have >= 0)
		error = trace__text_open(&r->text, &r->input, &r->header, err);
	if (error != 0) {
		trace_reader_close(r);
		return (-1);
	}
	*ret_r = r;
	return (0);
}

static struct trace_reader *
reader_new(const char *name, struct trace_error *err)
{
	struct trace_reader *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		trace__error_memory(err, name);
		return (NULL);
	}
	r->input.fd = -1;
	trace_header_init(&r->header);
	return (r);
}

int
trace_reader_open(
    struct trace_reader **ret_r, const char *name, struct trace_error *err)
{
	struct trace_reader *r = reader_new(name, err);

	if (r == NULL)
		return (-1);
	if (trace__input_open(&r->input, name, err) != 0) {
		trace_reader_close(r);
		return (-1);
	}
	return (open_any(r, ret_r, err));
}

int
trace_reader_open_mem(struct trace_reader **ret_r, const char *name,
    const void *bytes, size_t size, struct trace_error *err)
{
	struct trace_reader *r = reader_new(name, err);

	if (r == NULL)
		return (-1);
	if (trace__input_open_mem(&r->input, name, bytes, size, err) != 0) {
		trace_reader_close(r);
		return (-1);
	}
	return (open_any(r, ret_r, err));
}

int
trace_reader_open_payload(struct trace_reader **ret_r, const void *bytes,
    size_t size, struct trace_error *err)
{
	struct trace_reader *r = reader_new("payload", err);

	if (r == NULL)
		return (-1);
	r->form = FORM_PAYLOAD;
	r->payload = bytes != NULL ? bytes : (const uint8_t *)"";
	r->decoder = (struct trace__decoder) {
		.p = r->payload,
		.end = r->payload + size,
		.header = &r->header,
		.eof = true,
	};
	if (trace__decode_header(&r->decoder) != 0) {
		trace__error_memory(err, "payload");
		trace_reader_close(r);
		return (-1);
	}
	*ret_r = r;
	return (0);
}

struct trace_header *
trace_reader_header(struct trace_reader *r)
{
	return (&r->header);
}

/* An error is final: the same one again, however often it is asked for. */
static int
fail_for_good(struct trace_reader *r, struct trace_error *err)
{
	r->failed = -1;
	if (err != NULL)
		*err = r->error;
	return (-1);
}

int
trace_reader_next(
    struct trace_reader *r, struct trace_op *ret_op, struct trace_error *err)
{
	int got;

	if (__builtin_expect(r->failed != 0, 0))
		return (fail_for_good(r, err));
	if (r->form == FORM_TEXT)
		got = trace__text_next(&r->text, ret_op, &r->error);
	else
		got = trace__decode_op(&r->decoder, ret_op);
	if (__builtin_expect(got >= 0, 1))
		return (got);
	if (got == -2)
		trace__error_memory(&r->error,
		    r->form == FORM_PAYLOAD ? "payload" : r->input.name);
	return (fail_for_good(r, err));
}

void
trace_reader_progress(
    const struct trace_reader *r, uint64_t *ret_done, uint64_t *ret_total)
{
	if (r->form == FORM_PAYLOAD) {
		*ret_done = (uint64_t)(r->decoder.p - r->payload);
		*ret_total = (uint64_t)(r->decoder.end - r->payload);
		return;
	}
	/* Of what is not packed, the window is still to be consumed. */
	*ret_done = r->input.xz != NULL ?
	    r->input.raw_done :
	    r->input.raw_done - (uint64_t)(r->input.end - r->input.p);
	*ret_total = r->input.raw_total;
}

void
trace_reader_close(struct trace_reader *r)
{
	if (r == NULL)
		return;
	trace__text_fini(&r->text);
	trace__input_fini(&r->input);
	trace_header_fini(&r->header);
	free(r->joined);
	free(r);
}
