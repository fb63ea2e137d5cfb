/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line of ftrace's or trace-cmd report's text.
 *
 *	TASK-PID [CPU] FLAGS TIME: event: key=value key=value ...
 *	TASK-PID (TGID) [CPU] FLAGS TIME: event: ...    (option record-tgid)
 *	TASK-PID [CPU] TIME: event: (function) key=value ...    (trace-cmd)
 *	CPU:1 [LOST 42 EVENTS]
 *
 * The name of a task may hold anything, also blanks, dashes and brackets, but
 * is short. So the anchor is the first bracket around which all of a prefix
 * fits, up to the colon behind the event's name; the name itself is not looked
 * at. The line need not be terminated and may hold any bytes.
 */
#include <string.h>

#include "import_int.h"

#define FLAGS_MAX 8  /* characters of the flags column */
#define ORDER_MAX 20 /* of a run of pages; larger ones are no real event */

/* What is left of the line. far: how far anything fitted, for messages. */
struct cursor {
	const char *p, *end;
	const char *far;
};

static bool
is_digit(char c)
{
	return (c >= '0' && c <= '9');
}

static bool
is_blank(char c)
{
	return (c == ' ' || c == '\t');
}

static bool
is_word(char c)
{
	return (is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	    c == '_');
}

static void
skip_blanks(struct cursor *c)
{
	while (c->p < c->end && is_blank(*c->p))
		c->p++;
}

/* Notes that nothing fits here. */
static bool
misfit(struct cursor *c)
{
	if (c->p > c->far)
		c->far = c->p;
	return (false);
}

static bool
take(struct cursor *c, char wanted)
{
	if (c->p == c->end || *c->p != wanted)
		return (misfit(c));
	c->p++;
	return (true);
}

/* Whether the line begins so. */
static bool
has_prefix(const struct cursor *c, const char *prefix)
{
	const size_t size = strlen(prefix);

	return (
	    (size_t)(c->end - c->p) >= size && memcmp(c->p, prefix, size) == 0);
}

/* Digits of a decimal number, all that there are. */
static bool
take_decimal(struct cursor *c, uint64_t most, uint64_t *ret_value)
{
	const char *const start = c->p;
	uint64_t value = 0;

	while (c->p < c->end && is_digit(*c->p)) {
		const uint64_t digit = (uint64_t)(*c->p - '0');

		if (value > (most - digit) / 10)
			return (false);
		value = value * 10 + digit;
		c->p++;
	}
	*ret_value = value;
	return (c->p > start);
}

static bool
take_hex(struct cursor *c, uint64_t *ret_value)
{
	const char *const start = c->p;
	uint64_t value = 0;

	for (; c->p < c->end; c->p++) {
		const unsigned char ch = (unsigned char)*c->p;
		unsigned digit;

		if (is_digit(*c->p))
			digit = ch - '0';
		else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
			digit = (ch | 0x20u) - 'a' + 10;
		else
			break;
		if (value >> 60 != 0)
			return (false);
		value = value << 4 | digit;
	}
	*ret_value = value;
	return (c->p > start);
}

static bool
take_0x(struct cursor *c)
{
	if (c->end - c->p < 2 || c->p[0] != '0' || (c->p[1] | 0x20) != 'x')
		return (false);
	c->p += 2;
	return (true);
}

/* A whole value: decimal, or hexadecimal behind 0x. */
static bool
value_number(struct import__span v, uint64_t *ret_value)
{
	struct cursor c = { v.at, v.at + v.size, v.at };
	const bool good = take_0x(&c) ? take_hex(&c, ret_value) :
					take_decimal(&c, UINT64_MAX, ret_value);

	return (good && c.p == c.end);
}

/* A whole value: hexadecimal, with or without 0x, or a null pointer. */
static bool
value_pointer(struct import__span v, uint64_t *ret_value)
{
	struct cursor c = { v.at, v.at + v.size, v.at };

	if ((v.size == 6 && memcmp(v.at, "(null)", 6) == 0) ||
	    (v.size == 5 && memcmp(v.at, "(nil)", 5) == 0)) {
		*ret_value = 0;
		return (true);
	}
	(void)take_0x(&c);
	return (take_hex(&c, ret_value) && c.p == c.end);
}

/* Behind "[CPU]": the flags if there are any, and "TIME:". */
static bool
take_flags_and_time(struct cursor *c, struct import__span *ret_flags)
{
	struct cursor time = *c;
	uint64_t number;

	*ret_flags = (struct import__span) { 0 };
	if (take_decimal(&time, UINT64_MAX, &number) && time.p < time.end &&
	    (*time.p == '.' || *time.p == ':')) {
		c->p = time.p;
	} else {
		const char *const start = c->p;

		while (c->p < c->end &&
		    (is_word(*c->p) || *c->p == '.' || *c->p == '#' ||
			*c->p == '-'))
			c->p++;
		*ret_flags =
		    (struct import__span) { start, (size_t)(c->p - start) };
		if (ret_flags->size == 0 || ret_flags->size > FLAGS_MAX ||
		    c->p == c->end || !is_blank(*c->p))
			return (misfit(c));
		skip_blanks(c);
		if (!take_decimal(c, UINT64_MAX, &number))
			return (misfit(c));
	}
	if (c->p < c->end && *c->p == '.') {
		c->p++;
		if (!take_decimal(c, UINT64_MAX, &number))
			return (misfit(c));
	}
	return (take(c, ':'));
}

/* "event:", of which perf's "kmem:event:" keeps the last part. */
static bool
take_event_name(struct cursor *c, struct import__span *ret_name)
{
	const char *start;

	skip_blanks(c);
	do {
		start = c->p;
		while (c->p < c->end && is_word(*c->p))
			c->p++;
		*ret_name =
		    (struct import__span) { start, (size_t)(c->p - start) };
		if (ret_name->size == 0 || !take(c, ':'))
			return (misfit(c));
	} while (c->p < c->end && is_word(*c->p));
	return (true);
}

/* In front of the bracket: "-PID", and perhaps "(TGID)". */
static bool
pid_before(const char *line, const char *bracket, uint32_t *ret_pid)
{
	const char *p = bracket, *stop;
	uint64_t value;

	while (p > line && is_blank(p[-1]))
		p--;
	if (p == bracket || p == line)
		return (false);
	if (p[-1] == ')') {
		while (p > line && p[-1] != '(')
			p--;
		if (p == line)
			return (false);
		p--;
		while (p > line && is_blank(p[-1]))
			p--;
	}
	stop = p;
	while (p > line && is_digit(p[-1]))
		p--;
	struct cursor c = { p, stop, p };
	if (p == line || p[-1] != '-' || !take_decimal(&c, UINT32_MAX, &value))
		return (false);
	*ret_pid = (uint32_t)value;
	return (true);
}

static enum import__context
context_of(struct import__span flags, uint32_t pid)
{
	/*
	 * The third column; the fourth where a kernel has another one before
	 * it. What else the fourth can hold are digits and a dot.
	 */
	for (size_t i = 2; i < 4 && i < flags.size; i++) {
		switch (flags.at[i]) {
		case 's':
			return (IMPORT_SOFTIRQ);
		case 'h':
		case 'H':
			return (IMPORT_HARDIRQ);
		case 'z':
		case 'Z':
			return (IMPORT_NMI);
		default:
			break;
		}
	}
	return (pid == 0 ? IMPORT_IDLE : IMPORT_TASK);
}

/* All in front of the keys. */
static bool
take_prefix(struct cursor *c, const char *line, struct import__event *ev,
    struct import__span *ret_name)
{
	struct cursor at = *c;
	struct import__span flags;
	uint64_t cpu;

	for (;;) {
		const char *bracket =
		    memchr(at.p, '[', (size_t)(at.end - at.p));

		if (bracket == NULL)
			break;
		at.p = bracket + 1;
		ev->column = (size_t)(at.p - line) + 1;
		if (pid_before(line, bracket, &ev->pid) &&
		    take_decimal(&at, UINT32_MAX, &cpu) && take(&at, ']')) {
			skip_blanks(&at);
			if (take_flags_and_time(&at, &flags) &&
			    take_event_name(&at, ret_name)) {
				ev->cpu = (uint32_t)cpu;
				ev->context = context_of(flags, ev->pid);
				*c = at;
				return (true);
			}
		}
		at.p = bracket + 1;
	}
	c->far = at.far;
	return (false);
}

/* The keys that were there. */
enum key {
	KEY_PTR = 1,
	KEY_SIZE = 2,
	KEY_ORDER = 4,
	KEY_PAGE = 8,
	KEY_PFN = 16,
	KEY_GFP = 32
};

static bool
span_is(struct import__span s, const char *text)
{
	return (strlen(text) == s.size && memcmp(s.at, text, s.size) == 0);
}

struct fields {
	unsigned seen; /* enum key */
	uint64_t page, pfn, order;
};

/* Adds one key's value: false if it cannot be a value of it. */
static bool
field_set(struct import__event *ev, struct fields *f, struct import__span key,
    struct import__span value)
{
	if (span_is(key, "ptr")) {
		f->seen |= KEY_PTR;
		return (value_pointer(value, &ev->ptr));
	}
	if (span_is(key, "call_site")) {
		if (ev->site.size == 0)
			ev->site = value;
	} else if (span_is(key, "name")) {
		ev->cache = value;
	} else if (span_is(key, "gfp_flags")) {
		f->seen |= KEY_GFP;
		ev->gfp = value;
	} else if (span_is(key, "bytes_req")) {
		f->seen |= KEY_SIZE;
		return (value_number(value, &ev->size));
	} else if (span_is(key, "order")) {
		f->seen |= KEY_ORDER;
		return (
		    value_number(value, &f->order) && f->order <= ORDER_MAX);
	} else if (span_is(key, "page")) {
		f->seen |= KEY_PAGE;
		return (value_pointer(value, &f->page));
	} else if (span_is(key, "pfn")) {
		f->seen |= KEY_PFN;
		return (value_number(value, &f->pfn));
	}
	return (true);
}

/*
 * The next "key=value". A value ends at a blank, but that of a name only where
 * the next word is a key or the line ends: names of caches may hold blanks.
 * False at the end; words that are no such pair are passed over.
 */
static bool
next_field(
    struct cursor *c, struct import__span *ret_key, struct import__span *ret_v)
{
	const char *value = NULL, *word = NULL, *stop = NULL;
	bool is_name = false;

	for (;;) {
		skip_blanks(c);
		if (c->p == c->end)
			break;
		const char *const start = c->p;
		while (c->p < c->end && !is_blank(*c->p) && *c->p != '=')
			c->p++;
		const bool pair = c->p < c->end && *c->p == '=';
		if (pair && word != NULL) {
			c->p = start; /* the next key ends the name */
			break;
		}
		if (pair) {
			word = start;
			*ret_key = (struct import__span) { start,
				(size_t)(c->p - start) };
			is_name = span_is(*ret_key, "name");
			value = c->p + 1;
		}
		while (c->p < c->end && !is_blank(*c->p))
			c->p++;
		stop = c->p;
		if (word != NULL && !is_name)
			break;
	}
	if (word == NULL)
		return (false);
	*ret_v = (struct import__span) { value, (size_t)(stop - value) };
	return (true);
}

#define KEYS_ALLOC (KEY_PTR | KEY_SIZE)
#define KEYS_PAGE  (KEY_PAGE | KEY_ORDER)

static const struct event_kind {
	const char *name;
	enum import__what what;
	unsigned needs; /* enum key */
	unsigned last;	/* nothing that matters is behind these */
} event_kinds[] = {
	{ "kmalloc", IMPORT_ALLOC, KEYS_ALLOC, KEYS_ALLOC | KEY_GFP },
	{ "kfree", IMPORT_FREE, KEY_PTR, KEY_PTR },
	{ "kmem_cache_alloc", IMPORT_ALLOC, KEYS_ALLOC, KEYS_ALLOC | KEY_GFP },
	{ "kmem_cache_free", IMPORT_FREE, KEY_PTR, KEY_PTR },
	{ "kmalloc_node", IMPORT_ALLOC, KEYS_ALLOC, KEYS_ALLOC | KEY_GFP },
	{ "kmem_cache_alloc_node", IMPORT_ALLOC, KEYS_ALLOC,
	    KEYS_ALLOC | KEY_GFP },
	{ "mm_page_alloc", IMPORT_PAGE_ALLOC, KEYS_PAGE, KEYS_PAGE | KEY_GFP },
	{ "mm_page_free", IMPORT_PAGE_FREE, KEYS_PAGE, KEYS_PAGE },
	{ "mm_page_free_direct", IMPORT_PAGE_FREE, KEYS_PAGE, KEYS_PAGE },
};

static const struct event_kind *
kind_of(struct import__span name)
{
	const size_t count = sizeof(event_kinds) / sizeof(*event_kinds);

	for (size_t i = 0; i < count; i++) {
		if (span_is(name, event_kinds[i].name))
			return (&event_kinds[i]);
	}
	return (NULL);
}

/* Drops "+0x24/0x1f0". */
static void
site_cut(struct import__span *site)
{
	const char *plus = memchr(site->at, '+', site->size);

	if (plus != NULL)
		site->size = (size_t)(plus - site->at);
}

/* trace-cmd resolves the call site by itself, in front of the keys. */
static bool
take_site(struct cursor *c, struct import__event *ev)
{
	skip_blanks(c);
	if (c->p < c->end && *c->p == '(') {
		const char *const start = ++c->p;
		const char *close =
		    memchr(start, ')', (size_t)(c->end - start));

		if (close == NULL)
			return (false);
		ev->site =
		    (struct import__span) { start, (size_t)(close - start) };
		c->p = close + 1;
		skip_blanks(c);
	}
	return (!has_prefix(c, "[FAILED"));
}

static enum import__line
take_event(
    struct cursor *c, const struct event_kind *kind, struct import__event *ev)
{
	struct import__span key = { 0 }, value = { 0 };
	struct fields f = { 0 };

	ev->what = kind->what;
	if (!take_site(c, ev)) {
		c->far = c->p;
		return (IMPORT_LINE_BAD);
	}
	while ((f.seen & kind->last) != kind->last &&
	    next_field(c, &key, &value)) {
		if (!field_set(ev, &f, key, value)) {
			c->far = value.at;
			return (IMPORT_LINE_BAD);
		}
	}
	c->far = c->end; /* if it is bad, for what the line lacks */
	if ((f.seen & kind->needs) != kind->needs)
		return (IMPORT_LINE_BAD);
	if ((kind->needs & KEY_PAGE) != 0) {
		/* The frame's number is never hashed; + 1: it may be 0. */
		ev->ptr = f.page;
		if (f.page != 0 && (f.seen & KEY_PFN) != 0)
			ev->ptr = f.pfn + 1;
		ev->size = f.order;
	}
	if (ev->site.size > 0)
		site_cut(&ev->site);
	return (IMPORT_LINE_EVENT);
}

/* "CPU:1 [LOST 42 EVENTS]", or without the number; "[42 EVENTS DROPPED]". */
static bool
take_lost(struct cursor *c, struct import__event *ev)
{
	uint64_t number;

	c->p += 4;
	if (!take_decimal(c, UINT32_MAX, &number))
		return (false);
	skip_blanks(c);
	if (!take(c, '['))
		return (false);
	if (has_prefix(c, "LOST "))
		c->p += 5;
	if (take_decimal(c, UINT64_MAX, &ev->lost))
		skip_blanks(c);
	return (has_prefix(c, "EVENTS"));
}

/* Lines that stand in front of the events, and empty ones. */
static bool
is_heading(const struct cursor *c)
{
	struct cursor at = *c;

	skip_blanks(&at);
	if (at.p == at.end || *at.p == '#')
		return (true);
	/* "CPU 1 is empty" */
	return (has_prefix(&at, "version = ") || has_prefix(&at, "cpus=") ||
	    (has_prefix(&at, "CPU ") && at.end - at.p < 32 &&
		memcmp(at.end - 4, "mpty", 4) == 0));
}

enum import__line
import__ftrace_line(const char *line, size_t size, struct import__event *ret_ev)
{
	struct cursor c = { line, line + size, line };
	enum import__line kind = IMPORT_LINE_BAD;
	struct import__span name;

	if (size > 0 && line[size - 1] == '\r')
		c.end--;
	*ret_ev = (struct import__event) {
		.gfp = { "", 0 },
		.site = { "", 0 },
		.cache = { "", 0 },
	};
	if (is_heading(&c))
		return (IMPORT_LINE_BLANK);
	if (has_prefix(&c, "CPU:")) {
		if (take_lost(&c, ret_ev))
			return (IMPORT_LINE_LOST);
		c = (struct cursor) { line, c.end, line };
	}
	if (take_prefix(&c, line, ret_ev, &name)) {
		const struct event_kind *const known = kind_of(name);

		if (known == NULL)
			return (IMPORT_LINE_OTHER);
		kind = take_event(&c, known, ret_ev);
	}
	if (kind == IMPORT_LINE_BAD)
		ret_ev->column = (size_t)(c.far - line) + 1;
	return (kind);
}
