/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines, words, numbers and flags of the text form.
 *
 * A line is checked for bytes that the language does not have, then cut into
 * words: runs of characters other than blanks, '=', '"' and '#'. '=' is a
 * word of its own, '"' starts a string, '#' a comment.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "text_int.h"

struct shown
text__show(struct word w)
{
	struct shown shown;

	snprintf(shown.s, sizeof(shown.s), "%.*s%s",
	    (int)(w.len > TEXT__QUOTE_MAX ? TEXT__QUOTE_MAX : w.len), w.s,
	    w.len > TEXT__QUOTE_MAX ? "..." : "");
	return (shown);
}

/* Sets the error at a place of the line; always -1. */
int
text__fail(struct trace__text *t, const char *at, const char *fmt, ...)
{
	char what[sizeof(t->err->what)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	trace_error_set(t->err, t->in->name, t->line,
	    (uint64_t)(at - t->bol) + 1, "%s", what);
	return (-1);
}

int
text__fail_memory(struct trace__text *t)
{
	trace__error_memory(t->err, t->in->name);
	return (-1);
}

/* Bytes and lines. */

static bool
is_plain(unsigned char c)
{
	return ((c >= 0x20 && c <= 0x7e) || c == '\t');
}

/*
 * Finds the byte that is_plain() did not like. Printable UTF-8 is welcome in
 * comments and nowhere else.
 */
static int __attribute__((cold)) check_bytes(struct trace__text *t)
{
	bool in_comment = false, in_string = false;

	for (const char *p = t->bol; p < t->eol; p++) {
		const unsigned char c = (unsigned char)*p;

		if (is_plain(c)) {
			if (in_string && c == '\\' && p + 1 < t->eol &&
			    is_plain((unsigned char)p[1]))
				p++;
			else if (c == '"' && !in_comment)
				in_string = !in_string;
			else if (c == '#' && !in_string)
				in_comment = true;
			continue;
		}
		const size_t utf8 =
		    in_comment ? trace__utf8_length(p, t->eol) : 0;
		if (utf8 == 0)
			return (text__fail(t, p,
			    "byte 0x%02x is not allowed here, expected %s", c,
			    in_comment ? "printable UTF-8" :
					 "printable ASCII"));
		p += utf8 - 1;
	}
	return (0);
}

/*
 * The next line in [bol, eol), checked: 1, 0 at the end, -1. Its bytes stay
 * until the next call.
 */
int
text__next_line(struct trace__text *t)
{
	struct trace__input *const in = t->in;
	const uint8_t *newline;
	size_t searched = 0;
	unsigned odd = 0;

	for (;;) {
		const size_t have = (size_t)(in->end - in->p);

		newline = memchr(in->p + searched, '\n', have - searched);
		if (newline != NULL || have > TRACE__LINE_MAX)
			break;
		searched = have;
		const int got = trace__input_fill(in, t->err);
		if (got < 0)
			return (-1);
		if (got == 0) {
			if (have == 0)
				return (0);
			newline = in->end;
			break;
		}
	}
	t->line++;
	t->bol = t->p = (const char *)in->p;
	if (newline == NULL || newline - in->p > (ptrdiff_t)TRACE__LINE_MAX)
		return (text__fail(t, t->bol + TRACE__LINE_MAX,
		    "line is too long, expected at most %u bytes",
		    TRACE__LINE_MAX));
	t->eol = (const char *)newline;
	in->p = newline < in->end ? newline + 1 : newline;
	for (const char *p = t->bol; p < t->eol; p++)
		odd |= !is_plain((unsigned char)*p);
	return (odd != 0 && check_bytes(t) != 0 ? -1 : 1);
}

/* Words. */

static void
skip_blanks(struct trace__text *t)
{
	while (t->p < t->eol && (*t->p == ' ' || *t->p == '\t'))
		t->p++;
}

/* Whether nothing but a comment is left; skips blanks. */
bool
text__at_end(struct trace__text *t)
{
	skip_blanks(t);
	return (t->p == t->eol || *t->p == '#');
}

static bool
ends_word(char c)
{
	return (c == ' ' || c == '\t' || c == '=' || c == '"' || c == '#');
}

/* The next word; of length 0, at its place, if there is none. */
struct word
text__next_word(struct trace__text *t)
{
	skip_blanks(t);
	const char *const s = t->p;
	const char *p = s;
	while (p < t->eol && !ends_word(*p))
		p++;
	if (p == s && p < t->eol && *p != '#') {
		/* '=', or a whole string where none may stand. */
		const char *quote = *p == '"' ?
		    memchr(p + 1, '"', (size_t)(t->eol - p - 1)) :
		    NULL;

		p = quote != NULL ? quote + 1 : p + 1;
	}
	t->p = p;
	return ((struct word) { s, (size_t)(p - s) });
}

bool
text__word_is(struct word w, const char *s)
{
	return (strlen(s) == w.len && memcmp(w.s, s, w.len) == 0);
}

int
text__expect_end(struct trace__text *t, const char *after)
{
	if (text__at_end(t))
		return (0);
	const struct word w = text__next_word(t);
	return (text__fail(t, w.s,
	    "unexpected \"%s\" after \"%s\", expected the end of the line",
	    text__show(w).s, after));
}

int
text__unknown(struct trace__text *t, struct word w, const char *what,
    const char *expected)
{
	if (w.len == 0)
		return (text__fail(
		    t, w.s, "missing %s, expected %s", what, expected));
	return (text__fail(t, w.s, "unknown %s \"%s\", expected %s", what,
	    text__show(w).s, expected));
}

/* Numbers. */

static unsigned
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return ((unsigned)(c - '0'));
	if (c >= 'a' && c <= 'f')
		return ((unsigned)(c - 'a') + 10);
	if (c >= 'A' && c <= 'F')
		return ((unsigned)(c - 'A') + 10);
	return (16);
}

/* 0, EINVAL for what is no number, ERANGE above 2^64 - 1. */
int
text__number(const char *s, size_t len, uint64_t *ret_value)
{
	unsigned base = 10;
	uint64_t value = 0;
	bool overflow = false;

	if (len > 2 && s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
		len -= 2;
	} else if (len > 1 && s[0] == '0') {
		return (EINVAL); /* not octal, so not at all */
	}
	if (len == 0)
		return (EINVAL);
	for (size_t i = 0; i < len; i++) {
		const unsigned digit = digit_value(s[i]);

		if (digit >= base)
			return (EINVAL);
		overflow |= __builtin_mul_overflow(value, base, &value);
		overflow |= __builtin_add_overflow(value, digit, &value);
	}
	*ret_value = value;
	return (overflow ? ERANGE : 0);
}

int
text__word_number(struct trace__text *t, struct word w, struct range range,
    uint64_t *ret_value)
{
	uint64_t value = 0;

	if (w.len == 0)
		return (text__fail(t, w.s, "missing %s, expected %llu..%llu",
		    range.what, (unsigned long long)range.least,
		    (unsigned long long)range.most));
	const int error = text__number(w.s, w.len, &value);
	if (error == EINVAL)
		return (text__fail(t, w.s,
		    "\"%s\" is not a number, expected decimal or 0x "
		    "hexadecimal",
		    text__show(w).s));
	if (error == ERANGE || value < range.least || value > range.most)
		return (text__fail(t, w.s,
		    "%s %s is out of range, expected %llu..%llu", range.what,
		    text__show(w).s, (unsigned long long)range.least,
		    (unsigned long long)range.most));
	*ret_value = value;
	return (0);
}

int
text__next_number(
    struct trace__text *t, struct range range, uint64_t *ret_value)
{
	return (text__word_number(t, text__next_word(t), range, ret_value));
}

int
text__next_u32(
    struct trace__text *t, uint32_t least, uint32_t most, uint32_t *ret_value)
{
	uint64_t value = 0;

	if (text__next_number(
		t, (struct range) { "number", least, most }, &value))
		return (-1);
	*ret_value = (uint32_t)value;
	return (0);
}

/* Flags: names and numbers joined by '|'. */

static int
one_flag(struct trace__text *t, enum trace__names set, struct word w,
    uint32_t mask, uint64_t *flags)
{
	uint32_t bits;
	uint64_t value;

	if (w.len > 0 && w.s[0] >= '0' && w.s[0] <= '9') {
		const struct range range = { "number", 0, mask };

		if (text__word_number(t, w, range, &value) != 0)
			return (-1);
		*flags |= value;
		return (0);
	}
	if (trace__flag_by_name(set, w.s, w.len, &bits)) {
		*flags |= bits;
		return (0);
	}
	const char *near = trace__suggest_flag(set, w.s, w.len);
	if (near != NULL)
		return (text__fail(t, w.s,
		    "unknown flag \"%s\" (did you mean \"%s\"?)",
		    text__show(w).s, near));
	size_t count;
	const struct trace__name *names = trace__flag_names(set, &count);
	char expected[64];
	snprintf(expected, sizeof(expected), "names such as %s|%s, or a number",
	    names[count - 2].name, names[count - 1].name);
	return (text__unknown(t, w, "flag", expected));
}

int
text__word_flags(struct trace__text *t, struct word w, enum trace__names set,
    uint32_t mask, uint64_t *ret_flags)
{
	const char *const end = w.s + w.len;
	uint64_t flags = 0;

	for (const char *p = w.s;; p++) {
		const char *bar = memchr(p, '|', (size_t)(end - p));
		const struct word part = { p,
			(size_t)((bar != NULL ? bar : end) - p) };

		if (one_flag(t, set, part, mask, &flags) != 0)
			return (-1);
		if (bar == NULL)
			break;
		p = bar;
	}
	*ret_flags = flags;
	return (0);
}
