/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to the text parser: text_lex.c, text_header.c and text_parse.c.
 */
#ifndef KALAB_TEXT_INT_H
#define KALAB_TEXT_INT_H

#include "trace_int.h"

#define TEXT__QUOTE_MAX 40u /* characters of a word that a message shows */

/* text_lex.c */

struct word {
	const char *s;
	size_t len;
};

/* A word as a message shows it: long ones are cut. */
struct shown {
	char s[TEXT__QUOTE_MAX + 4];
};
struct shown text__show(struct word);

/* Sets the error at a place of the line; always -1. */
int text__fail(struct trace__text *, const char *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));
int text__fail_memory(struct trace__text *);

/*
 * The next line in [bol, eol), checked: 1, 0 at the end, -1. Its bytes stay
 * until the next call.
 */
int text__next_line(struct trace__text *);
/* Whether nothing but a comment is left; skips blanks. */
bool text__at_end(struct trace__text *);
/* The next word; of length 0, at its place, if there is none. */
struct word text__next_word(struct trace__text *);
bool text__word_is(struct word, const char *);
int text__expect_end(struct trace__text *, const char *after);

/* The error for a word that should be one of few, or is missing. */
int text__unknown(
    struct trace__text *, struct word, const char *what, const char *expected);

/* 0, EINVAL for what is no number, ERANGE above 2^64 - 1. */
int text__number(const char *, size_t len, uint64_t *ret_value);

struct range {
	const char *what; /* "number", "thread", ... */
	uint64_t least, most;
};
int text__word_number(
    struct trace__text *, struct word, struct range, uint64_t *ret_value);
int text__next_number(struct trace__text *, struct range, uint64_t *ret_value);
int text__next_u32(
    struct trace__text *, uint32_t least, uint32_t most, uint32_t *ret_value);
/* Names and numbers joined by '|'. */
int text__word_flags(struct trace__text *, struct word, enum trace__names,
    uint32_t mask, uint64_t *ret_flags);

/* text_header.c */

int text__parse_first_line(struct trace__text *);
int text__parse_header_line(struct trace__text *);
int text__header_line_by_name(struct word); /* row or -1 */
/* The error for a line that begins with neither a thread nor a known word. */
int text__unknown_line(struct trace__text *, struct word);

#endif
