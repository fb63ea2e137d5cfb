/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text form, a line at a time: operations, and the order of it all.
 *
 * There is no state between lines but the register maps and which header
 * lines were seen, so an error's place is always a word, or the place where
 * one is missing. Errors are found left to right; the first one ends reading.
 * A message says what is wrong and, after a comma, what was expected.
 */
#include <errno.h>
#include <string.h>

#include "text_int.h"

static bool
looks_like_register(struct word w)
{
	return (w.len >= 2 && trace__class_by_letter(w.s[0]) >= 0 &&
	    w.s[1] >= '0' && w.s[1] <= '9');
}

/* The number of a register of the class: 0, or -1 and an error. */
static int
register_number(struct trace__text *t, struct word w, int class,
    const char *expected, uint32_t *ret_number)
{
	uint64_t value;

	if (!looks_like_register(w))
		return (
		    text__fail(t, w.s, "\"%s\" is not a register, expected %s",
			text__show(w).s, expected));
	if (trace__class_by_letter(w.s[0]) != class)
		return (text__fail(t, w.s,
		    "register %s is of another kind, expected %s",
		    text__show(w).s, expected));
	const bool hex = w.len > 2 && w.s[2] == 'x';
	const int error =
	    hex ? EINVAL : text__number(w.s + 1, w.len - 1, &value);
	if (error == EINVAL)
		return (
		    text__fail(t, w.s, "\"%s\" is not a register, expected %s",
			text__show(w).s, expected));
	if (error == ERANGE || value >= TRACE_REGS_MAX)
		return (text__fail(t, w.s,
		    "register %s is out of range, expected %c0..%c%u",
		    text__show(w).s, w.s[0], w.s[0], TRACE_REGS_MAX - 1));
	*ret_number = (uint32_t)value;
	return (0);
}

static int
arg_register(struct trace__text *t, struct word w, enum trace_kind kind,
    uint64_t *ret_value)
{
	const int class = trace_kind_class(kind);
	uint32_t reg;

	if (text__word_is(w, "null")) {
		*ret_value = TRACE_NOREG;
		return (0);
	}
	if (register_number(t, w, class, trace__kind_expected(kind), &reg))
		return (-1);
	*ret_value = trace__regmap_get(&t->map[class], reg);
	if (*ret_value == TRACE_NOREG)
		return (text__fail(t, w.s,
		    "register %s is used before it is defined",
		    text__show(w).s));
	return (0);
}

/* A string; the cursor is at its opening quote. */
static int
arg_string(struct trace__text *t, uint64_t *ret_value)
{
	const char *const quote = t->p;
	char s[TRACE_STR_MAX];
	size_t len = 0;
	const char *p;

	if (p = quote, p == t->eol || *p != '"') {
		const struct word w = text__next_word(t);

		return (text__fail(t, w.s,
		    "\"%s\" is not a string, expected one in double quotes",
		    text__show(w).s));
	}
	for (p++; p < t->eol && *p != '"'; p++) {
		if (*p == '\t')
			return (text__fail(t, p,
			    "a tab in a string, expected printable ASCII"));
		if (*p == '\\') {
			if (p + 1 == t->eol)
				break;
			p++;
			if (*p != '"' && *p != '\\')
				return (text__fail(t, p - 1,
				    "unknown escape \"\\%c\", expected \\\" "
				    "or \\\\",
				    *p));
		}
		if (len < TRACE_STR_MAX)
			s[len] = *p;
		len++;
	}
	if (p >= t->eol || *p != '"')
		return (
		    text__fail(t, quote, "string is not closed, expected \""));
	if (len < 1 || len > TRACE_STR_MAX)
		return (text__fail(t, quote,
		    "string has %zu characters, expected 1..%d", len,
		    TRACE_STR_MAX));
	t->p = p + 1;
	*ret_value = trace_str_intern(t->header, s, len);
	if (*ret_value != UINT32_MAX)
		return (0);
	if (t->header->nstrs == TRACE__STRS_MAX)
		return (text__fail(t, quote,
		    "too many different strings, expected at most %u",
		    TRACE__STRS_MAX));
	return (text__fail_memory(t));
}

static int
arg_word(struct trace__text *t, struct word w, enum trace_kind kind,
    uint64_t *ret_value)
{
	const int value = trace__word_by_name(kind, w.s, w.len);

	if (value < 0)
		return (text__unknown(
		    t, w, trace_kind_name(kind), trace__kind_expected(kind)));
	*ret_value = (uint64_t)value;
	return (0);
}

/* A signed number of 32 bits. */
static int
arg_int(struct trace__text *t, struct word w, uint64_t *ret_value)
{
	const bool negative = w.len > 1 && w.s[0] == '-';
	const uint64_t most = negative ? UINT64_C(1) << 31 : INT32_MAX;
	uint64_t value;

	if (text__number(w.s + negative, w.len - negative, &value) != 0 ||
	    value > most)
		return (text__fail(t, w.s,
		    "\"%s\" is no integer of 32 bits, expected %d..%d",
		    text__show(w).s, INT32_MIN, INT32_MAX));
	*ret_value = (uint32_t)(negative ? 0 - value : value);
	return (0);
}

static int
parse_arg(struct trace__text *t, const struct trace_opdef *def, unsigned i,
    uint64_t *ret_value)
{
	const enum trace_kind kind = def->arg[i];
	const struct range any = { "number", 0, UINT64_MAX };
	const struct range cpu = { "cpu", 0, t->header->cpus - 1 };
	enum trace__names set;

	if (text__at_end(t))
		return (text__fail(t, t->p,
		    "missing argument %u of \"%s\", expected %s", i + 1,
		    def->name, trace__kind_expected(kind)));
	if (kind == TRACE_K_STR)
		return (arg_string(t, ret_value));
	const struct word w = text__next_word(t);
	if (trace__kind_flags(kind, &set))
		return (
		    text__word_flags(t, w, set, TRACE__FLAGS_MASK, ret_value));
	if (trace__word_count(kind) != 0)
		return (arg_word(t, w, kind, ret_value));
	switch (kind) {
	case TRACE_K_INT:
		return (arg_int(t, w, ret_value));
	case TRACE_K_SIZE:
	case TRACE_K_NUM:
		return (text__word_number(t, w, any, ret_value));
	case TRACE_K_CPU:
		return (text__word_number(t, w, cpu, ret_value));
	default:
		return (arg_register(t, w, kind, ret_value));
	}
}

static const char *
expected_definition(int class)
{
	static const char *const expected[TRACE_CLASS_COUNT] = {
		[TRACE_OBJ] = "p0, p1, ...",
		[TRACE_TYPE] = "m0, m1, ...",
		[TRACE_RUN] = "g0, g1, ...",
		[TRACE_CACHE] = "c0, c1, ...",
		[TRACE_PIPE] = "q0, q1, ...",
		[TRACE_ZONE] = "z0, z1, ...",
		[TRACE_VMZONE] = "b0, b1, ...",
	};

	return (expected[class]);
}

/* The operation's name, after the register that it defines. */
static int
parse_name(struct trace__text *t, struct word *ret_reg, uint16_t *ret_code)
{
	struct word w = text__next_word(t);

	*ret_reg = (struct word) { w.s, 0 };
	if (w.len == 0)
		return (
		    text__fail(t, w.s, "missing operation, expected its name"));
	const char *const first = t->p;
	const struct word equals = text__next_word(t);
	if (text__word_is(equals, "=")) {
		*ret_reg = w;
		w = text__next_word(t);
		if (w.len == 0)
			return (text__fail(
			    t, w.s, "missing operation, expected its name"));
	} else if (looks_like_register(w)) {
		return (text__fail(t, equals.s,
		    "missing \"=\" after register %s, expected \"%s = ...\"",
		    text__show(w).s, text__show(w).s));
	} else {
		t->p = first;
	}
	const int code = trace_op_by_name(w.s, w.len);
	if (code >= 0) {
		*ret_code = (uint16_t)code;
		return (0);
	}
	const char *near = trace__suggest_op(w.s, w.len);
	if (near != NULL)
		return (text__fail(t, w.s,
		    "unknown operation \"%s\" (did you mean \"%s\"?)",
		    text__show(w).s, near));
	return (text__fail(t, w.s,
	    "unknown operation \"%s\", expected one of kalab-trace(5)",
	    text__show(w).s));
}

/* Checks the register to be defined; it is defined after the arguments. */
static int
parse_definition(struct trace__text *t, const struct trace_opdef *def,
    struct word reg, uint32_t *ret_number)
{
	if (def->out < 0 && reg.len > 0)
		return (text__fail(t, reg.s,
		    "\"%s\" defines no register, expected no \"%s =\"",
		    def->name, text__show(reg).s));
	if (def->out < 0)
		return (0);
	if (reg.len == 0)
		return (text__fail(t, reg.s,
		    "\"%s\" defines a register, expected \"%c0 = %s ...\"",
		    def->name, trace_class_letter(def->out), def->name));
	return (register_number(
	    t, reg, def->out, expected_definition(def->out), ret_number));
}

static int
parse_op(struct trace__text *t, struct trace_op *op)
{
	const struct range threads = { "thread", 0, t->header->threads - 1 };
	uint64_t thread;
	uint32_t reg = 0;
	struct word reg_word;
	unsigned i;

	if (text__next_number(t, threads, &thread) != 0 ||
	    parse_name(t, &reg_word, &op->code) != 0)
		return (-1);
	const struct trace_opdef *const def = &trace_ops[op->code];
	if (parse_definition(t, def, reg_word, &reg) != 0)
		return (-1);
	for (i = 0; i < def->nargs; i++) {
		if (parse_arg(t, def, i, &op->arg[i]) != 0)
			return (-1);
	}
	for (; i < TRACE_ARGS_MAX; i++)
		op->arg[i] = 0;
	if (text__expect_end(t, def->name) != 0)
		return (-1);
	op->thread = (uint16_t)thread;
	op->line = t->line;
	op->out = TRACE_NOREG;
	if (def->out >= 0 &&
	    trace__regmap_define(&t->map[def->out], reg, &op->out) != 0)
		return (text__fail_memory(t));
	return (1);
}

static bool
starts_op(const struct trace__text *t)
{
	return (*t->p >= '0' && *t->p <= '9');
}

int
trace__text_open(struct trace__text *t, struct trace__input *in,
    struct trace_header *header, struct trace_error *err)
{
	int got;

	*t = (struct trace__text) { .in = in, .header = header, .err = err };
	if (text__parse_first_line(t) != 0)
		return (-1);
	while ((got = text__next_line(t)) > 0) {
		if (text__at_end(t))
			continue;
		if (starts_op(t)) {
			t->held = true;
			break;
		}
		if (text__parse_header_line(t) != 0)
			return (-1);
	}
	if (got < 0)
		return (-1);
	TRACE__ASSERT(trace__header_check(header) == NULL);
	return (0);
}

int
trace__text_next(
    struct trace__text *t, struct trace_op *op, struct trace_error *err)
{
	t->err = err;
	for (;;) {
		if (!t->held) {
			const int got = text__next_line(t);

			if (got <= 0)
				return (got);
		}
		t->held = false;
		t->p = t->bol;
		if (text__at_end(t))
			continue;
		if (starts_op(t))
			return (parse_op(t, op));
		const struct word w = text__next_word(t);
		if (text__header_line_by_name(w) < 0)
			return (text__unknown_line(t, w));
		return (text__fail(t, w.s,
		    "header line \"%s\" after an operation, expected it "
		    "before the first",
		    text__show(w).s));
	}
}

void
trace__text_fini(struct trace__text *t)
{
	for (unsigned i = 0; i < TRACE_CLASS_COUNT; i++)
		trace__regmap_fini(&t->map[i]);
}
