/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the readers and writers of traces. The first byte says what
 * the rest is:
 *
 *   0  a file, as it is: text, a container, or neither. If it is a trace then
 *      what the writers make of it reads as the same trace, in both forms.
 *   1  a payload. It decodes; what it decodes to, encoded, is a payload that
 *      decodes to the same, and survives the text form.
 *   2  a payload in a container that is right but for one byte, which the next
 *      three bytes choose: it reads as the payload does, or not at all.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz_target.h"
#include "trace/trace_int.h"

static void
broken(const char *what)
{
	fuzz_fail(what, "finding: a trace does not survive: %s", what);
}

/* What the trace is as a payload; the trace is done with. */
static void
encode(struct trace *t, uint8_t **ret_bytes, size_t *ret_size)
{
	if (trace_encode(t, ret_bytes, ret_size) != 0)
		broken("parser/encode");
	trace_fini(t);
}

/* The writer's form, read again, is the same payload. */
static void
through(const struct trace *t, enum trace_form form, const uint8_t *bytes,
    size_t size)
{
	struct trace_reader *r;
	struct trace_writer *w;
	struct trace_error e;
	struct trace again;
	char *text = NULL;
	uint8_t *other;
	size_t length = 0, n;
	FILE *f = open_memstream(&text, &length);

	if (f == NULL)
		return;
	if (trace_writer_open_stream(&w, f, form, &t->header, &e) != 0)
		broken("parser/write");
	for (size_t i = 0; i < t->nops; i++)
		if (trace_writer_op(w, &t->op[i]) != 0)
			broken("parser/write");
	if (trace_writer_close(w, &e) != 0 || fclose(f) != 0)
		broken("parser/write");
	if (trace_reader_open_mem(&r, "again", text, length, &e) != 0 ||
	    trace_load(&again, r, &e) != 0)
		broken("parser/read-again");
	trace_reader_close(r);
	encode(&again, &other, &n);
	if (n != size || memcmp(other, bytes, n) != 0)
		broken(form == TRACE_TEXT ? "parser/text" : "parser/container");
	free(other);
	free(text);
}

/* All that is promised of a trace that was read. Ends it. */
static void
check(struct trace *t)
{
	uint8_t *bytes, *again;
	size_t size, n;
	struct trace_reader *r;
	struct trace_error e;
	struct trace copy;

	if (trace_encode(t, &bytes, &size) != 0)
		broken("parser/encode");
	through(t, TRACE_TEXT, bytes, size);
	through(t, TRACE_BINARY, bytes, size);
	trace_fini(t);
	if (trace_reader_open_payload(&r, bytes, size, &e) != 0 ||
	    trace_load(&copy, r, &e) != 0)
		broken("parser/payload");
	trace_reader_close(r);
	encode(&copy, &again, &n);
	if (n != size || memcmp(again, bytes, n) != 0)
		broken("parser/identity");
	free(again);
	free(bytes);
}

static void
file(const uint8_t *data, size_t size)
{
	struct trace_reader *r;
	struct trace_error e = { .file = "" };
	struct trace t;
	char line[768];

	if (trace_reader_open_mem(&r, "input", data, size, &e) != 0) {
		trace_error_format(&e, line, sizeof(line));
		if (e.what[0] == '\0' || strchr(line, '\n') != NULL)
			broken("parser/error");
		return;
	}
	if (trace_load(&t, r, &e) == 0)
		check(&t);
	else if (e.what[0] == '\0')
		broken("parser/error");
	trace_reader_close(r);
}

static void
payload(const uint8_t *data, size_t size)
{
	struct trace_reader *r;
	struct trace_error e;
	struct trace t;

	if (trace_reader_open_payload(&r, data, size, &e) != 0 ||
	    trace_load(&t, r, &e) != 0)
		broken("parser/total");
	trace_reader_close(r);
	check(&t);
}

/* The payload's container in buf; its length. */
static size_t
contain(uint8_t *buf, const uint8_t *data, size_t size, size_t block)
{
	size_t n = trace__frame_start(buf), at = 0;
	uint64_t blocks = 0;

	while (at < size) {
		const size_t part = size - at < block ? size - at : block;

		n += trace__frame_head(buf + n, part);
		memcpy(buf + n, data + at, part);
		n += part;
		n += trace__frame_tail(buf + n, data + at, part, blocks++);
		at += part;
	}
	return (n + trace__frame_end(buf + n, size, blocks));
}

static void
container(const uint8_t *data, size_t size)
{
	struct trace_reader *r;
	struct trace_error e;
	struct trace t;
	uint8_t *buf;
	size_t n, at;
	bool intact;

	if (size < 4)
		return;
	buf = malloc(64 + 13 * size);
	if (buf == NULL)
		return;
	n = contain(buf, data + 4, size - 4, 1 + data[3] % 64u);
	at = (data[0] | (size_t)data[1] << 8) % n;
	intact = data[2] == 0;
	buf[at] ^= data[2];
	if (trace_reader_open_mem(&r, "container", buf, n, &e) == 0) {
		if (trace_load(&t, r, &e) == 0) {
			if (!intact)
				broken("parser/damage");
			check(&t);
		} else if (intact) {
			broken("parser/intact");
		}
		trace_reader_close(r);
	} else if (intact) {
		broken("parser/intact");
	}
	free(buf);
}

static void
bytes(const uint8_t *data, size_t size)
{
	if (size == 0)
		return;
	if (data[0] % 3 == 0)
		file(data + 1, size - 1);
	else if (data[0] % 3 == 1)
		payload(data + 1, size - 1);
	else
		container(data + 1, size - 1);
}

const struct fuzz_target fuzz_target = { .name = "parser", .bytes = bytes };
