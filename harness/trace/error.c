/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors of input, and the two small containers that the other files build
 * their results in. A message is one line whatever the input: control
 * characters become '?', so that a hostile file name or token cannot move a
 * terminal's cursor or fake a second message.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "trace_int.h"

#define BYTES_CAP_MIN 256u

void
trace__assert_fail(const char *expr, const char *file, int line)
{
	fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expr);
	abort();
}

/* One line: no control characters. Bytes above ASCII stay (UTF-8 names). */
static void
one_line(char *s)
{
	for (; *s != '\0'; s++) {
		const unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f)
			*s = '?';
	}
}

void
trace__name_cut(char *buf, size_t size, const char *name)
{
	const size_t length = strlen(name);

	/* The end of a long name tells more than its beginning. */
	if (length < size)
		memcpy(buf, name, length + 1);
	else
		snprintf(buf, size, "...%s", name + length - (size - 4));
}

void
trace_error_set(struct trace_error *err, const char *file, uint64_t line,
    uint64_t column, const char *fmt, ...)
{
	if (err == NULL)
		return;
	trace__name_cut(err->file, sizeof(err->file), file);
	one_line(err->file);
	err->line = line;
	err->column = column;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(err->what, sizeof(err->what), fmt, ap);
	va_end(ap);
	one_line(err->what);
}

void
trace__error_errno(
    struct trace_error *err, const char *file, const char *doing, int error)
{
	trace_error_set(err, file, 0, TRACE__NOPOS, "cannot %s: %s", doing,
	    strerror(error));
}

void
trace__error_memory(struct trace_error *err, const char *file)
{
	trace_error_set(err, file, 0, TRACE__NOPOS, "out of memory");
}

void
trace_error_format(const struct trace_error *err, char *buf, size_t size)
{
	if (size == 0)
		return;
	if (err->line != 0)
		snprintf(buf, size, "%s:%llu:%llu: %s", err->file,
		    (unsigned long long)err->line,
		    (unsigned long long)err->column, err->what);
	else if (err->column != TRACE__NOPOS)
		snprintf(buf, size, "%s: byte %llu: %s", err->file,
		    (unsigned long long)err->column, err->what);
	else
		snprintf(buf, size, "%s: %s", err->file, err->what);
}

int
trace__bytes_reserve(struct trace__bytes *b, size_t size)
{
	size_t cap = b->cap == 0 ? BYTES_CAP_MIN : b->cap;

	if (b->cap - b->size >= size)
		return (0);
	while (cap - b->size < size) {
		if (cap > SIZE_MAX / 2)
			return (ENOMEM);
		cap *= 2;
	}
	uint8_t *at = realloc(b->at, cap);
	if (at == NULL)
		return (ENOMEM);
	b->at = at;
	b->cap = cap;
	return (0);
}

int
trace__bytes_append(struct trace__bytes *b, const void *bytes, size_t size)
{
	if (trace__bytes_reserve(b, size) != 0)
		return (ENOMEM);
	if (size > 0)
		memcpy(b->at + b->size, bytes, size);
	b->size += size;
	return (0);
}

void
trace__bytes_fini(struct trace__bytes *b)
{
	free(b->at);
	*b = (struct trace__bytes) { 0 };
}

void
trace__out_init(struct trace__out *o, char *buf, size_t size)
{
	TRACE__ASSERT(size > 0);
	o->p = buf;
	o->last = buf + size - 1;
	*o->p = '\0';
}

void
trace__out_chars(struct trace__out *o, const char *s, size_t size)
{
	const size_t room = (size_t)(o->last - o->p);

	if (size > room)
		size = room;
	memcpy(o->p, s, size);
	o->p += size;
	*o->p = '\0';
}

void
trace__out_str(struct trace__out *o, const char *s)
{
	trace__out_chars(o, s, strlen(s));
}

static void
out_base(struct trace__out *o, uint64_t value, unsigned base)
{
	char digits[24];
	char *p = digits + sizeof(digits);

	do {
		*--p = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	trace__out_chars(o, p, (size_t)(digits + sizeof(digits) - p));
}

void
trace__out_num(struct trace__out *o, uint64_t value)
{
	out_base(o, value, 10);
}

void
trace__out_hex(struct trace__out *o, uint64_t value)
{
	trace__out_chars(o, "0x", 2);
	out_base(o, value, 16);
}

void
trace__out_value(struct trace__out *o, uint64_t value)
{
	if (value <= UINT32_MAX)
		trace__out_num(o, value);
	else
		trace__out_hex(o, value);
}
