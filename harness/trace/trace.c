/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole trace in memory.
 */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_int.h"

#define OPS_CAP_MIN 64u

void
trace_init(struct trace *t)
{
	*t = (struct trace) { .op = NULL };
	trace_header_init(&t->header);
}

void
trace_fini(struct trace *t)
{
	trace_header_fini(&t->header);
	free(t->op);
	t->op = NULL;
	t->nops = t->cap = 0;
}

static int
grow(struct trace *t)
{
	const size_t cap = t->cap == 0 ? OPS_CAP_MIN : 2 * t->cap;
	struct trace_op *grown;

	if (cap > SIZE_MAX / sizeof(*grown))
		return (ENOMEM);
	grown = realloc(t->op, cap * sizeof(*grown));
	if (grown == NULL)
		return (ENOMEM);
	t->op = grown;
	t->cap = cap;
	return (0);
}

int
trace_append(struct trace *t, const struct trace_op *op)
{
	if (t->nops == t->cap && grow(t) != 0)
		return (ENOMEM);
	t->op[t->nops++] = *op;
	return (0);
}

int
trace__decode(struct trace *t, const uint8_t *bytes, size_t size)
{
	struct trace__decoder d = {
		.p = bytes != NULL ? bytes : (const uint8_t *)"",
		.header = &t->header,
		.eof = true,
	};
	int got;

	d.end = d.p + size;
	trace__header_reset(&t->header);
	t->nops = 0;
	if (trace__decode_header(&d) != 0)
		return (ENOMEM);
	for (;;) {
		if (t->nops == t->cap && grow(t) != 0)
			return (ENOMEM);
		got = trace__decode_op(&d, &t->op[t->nops]);
		if (got <= 0)
			return (got < 0 ? ENOMEM : 0);
		t->nops++;
	}
}

int
trace_load(struct trace *ret_t, struct trace_reader *r, struct trace_error *err)
{
	struct trace t = { .op = NULL };
	struct trace_op op;
	int got;

	while ((got = trace_reader_next(r, &op, err)) > 0) {
		if (trace_append(&t, &op) != 0) {
			trace__error_memory(err, "trace");
			got = -1;
			break;
		}
	}
	/* The header last: reading added the strings to it. */
	if (got == 0 && trace_header_copy(&t.header, trace_reader_header(r))) {
		trace__error_memory(err, "trace");
		got = -1;
	}
	if (got < 0) {
		free(t.op);
		return (-1);
	}
	*ret_t = t;
	return (0);
}

static int
write_all(
    struct trace_writer *w, const struct trace *t, struct trace_error *err)
{
	for (size_t i = 0; i < t->nops; i++) {
		if (trace_writer_op(w, &t->op[i]) != 0)
			break;
	}
	return (trace_writer_close(w, err)); /* tells what failed */
}

int
trace_save(const struct trace *t, const char *name, enum trace_form form,
    struct trace_error *err)
{
	struct trace_writer *w;

	if (trace_writer_open(&w, name, form, &t->header, err) != 0)
		return (-1);
	return (write_all(w, t, err));
}

int
trace_print(const struct trace *t, FILE *f, struct trace_error *err)
{
	struct trace_writer *w;

	if (trace_writer_open_stream(&w, f, TRACE_TEXT, &t->header, err) != 0)
		return (-1);
	return (write_all(w, t, err));
}

int
trace_encode(const struct trace *t, uint8_t **ret_bytes, size_t *ret_size)
{
	struct trace__encoder encoder = { .header = &t->header };
	struct trace__regmap map[TRACE_CLASS_COUNT] = { { 0 } };
	struct trace__bytes bytes = { 0 };
	uint8_t buf[TRACE__OP_BYTES_MAX];
	int error = EINVAL;

	if (trace__header_check(&t->header) == NULL)
		error = trace__encode_header(&t->header, &bytes);
	for (size_t i = 0; i < t->nops && error == 0; i++) {
		struct trace_op op = t->op[i];

		error = trace__op_check(&t->header, &op);
		if (error == 0)
			error = trace__op_rename(map, &op);
		if (error != 0)
			break;
		const size_t size = trace__encode_op(&encoder, &op, buf);
		error =
		    size == 0 ? ENOMEM : trace__bytes_append(&bytes, buf, size);
	}
	for (unsigned i = 0; i < TRACE_CLASS_COUNT; i++)
		trace__regmap_fini(&map[i]);
	trace__encoder_fini(&encoder);
	if (error != 0) {
		trace__bytes_fini(&bytes);
		return (error);
	}
	*ret_bytes = bytes.at;
	*ret_size = bytes.size;
	return (0);
}

int
trace__encode_canonical(const struct trace *t, struct trace__bytes *b)
{
	struct trace__encoder encoder = { .header = &t->header,
		.ordered = true };
	int error;

	b->size = 0;
	error = trace__encode_header(&t->header, b);
	for (size_t i = 0; i < t->nops && error == 0; i++) {
		error = trace__bytes_reserve(b, TRACE__OP_BYTES_MAX);
		if (error == 0)
			b->size += trace__encode_op(
			    &encoder, &t->op[i], b->at + b->size);
	}
	return (error);
}

/* ---- Canonical ----------------------------------------------------------- */

#define NUMBERS_SMALL 1024u

/*
 * What becoming canonical needs besides the trace, all of it there before
 * anything is changed. A string that is used changes places with the one that
 * is where it belongs.
 */
struct canon {
	struct trace__regmap map[TRACE_CLASS_COUNT];
	uint32_t *where;   /* of strings by their old index: their place */
	uint32_t *what;	   /* by place: the old index */
	uint32_t nstrs;	   /* used so far */
	bool moved;	   /* some are not where they were */
	uint32_t *numbers; /* memory of all the above, zeroed */
	uint32_t small[NUMBERS_SMALL];
};

static int
canon_init(struct canon *c, const struct trace *t)
{
	const uint32_t nstrs = t->header.nstrs;
	uint32_t *at;
	size_t n = 2 * (size_t)nstrs;

	for (unsigned i = 0; i < TRACE_CLASS_COUNT; i++)
		c->map[i] = (struct trace__regmap) { 0 };
	/* A register that is not defined may have any number. */
	for (size_t i = 0; i < t->nops; i++) {
		const struct trace_op *op = &t->op[i];
		const int class =
		    op->code < TRACE_OP_COUNT ? trace_ops[op->code].out : -1;

		if (class >= 0 && op->out < TRACE_REGS_MAX &&
		    op->out >= c->map[class].cap)
			c->map[class].cap = op->out + 1;
	}
	for (unsigned i = 0; i < TRACE_CLASS_COUNT; i++)
		n += c->map[i].cap;
	c->numbers = c->small;
	if (n > NUMBERS_SMALL)
		c->numbers = calloc(n, sizeof(*c->numbers));
	else
		memset(c->small, 0, n * sizeof(*c->small));
	if (c->numbers == NULL)
		return (ENOMEM);
	at = c->numbers;
	for (unsigned i = 0; i < TRACE_CLASS_COUNT; i++) {
		c->map[i].dense = at;
		at += c->map[i].cap;
	}
	c->where = at;
	c->what = at + nstrs;
	for (uint32_t i = 0; i < nstrs; i++)
		c->where[i] = c->what[i] = i;
	c->nstrs = 0;
	c->moved = false;
	return (0);
}

static void
canon_fini(struct canon *c)
{
	if (c->numbers != c->small)
		free(c->numbers);
}

/* Whether there is such an operation and its strings exist. */
static bool
can_be_kept(const struct trace_header *h, const struct trace_op *op)
{
	if (op->code >= TRACE_OP_COUNT)
		return (false);
	const struct trace_opdef *const def = &trace_ops[op->code];
	for (unsigned i = 0; i < def->nargs; i++) {
		if (def->arg[i] == TRACE_K_STR && op->arg[i] >= h->nstrs)
			return (false);
	}
	return (true);
}

/* The string's new index, by order of use. */
static uint32_t
use_string(struct canon *c, struct trace_header *h, uint64_t old)
{
	const uint32_t at = c->where[old], to = c->nstrs;
	char *const s = h->str[at];

	if (at < to)
		return (at);
	c->nstrs++;
	if (at == to)
		return (to);
	h->str[at] = h->str[to];
	h->str[to] = s;
	c->what[at] = c->what[to];
	c->what[to] = (uint32_t)old;
	c->where[c->what[at]] = at;
	c->where[old] = to;
	c->moved = true;
	return (to);
}

/* Brings arguments of small ranges into them, as the decoder does. */
static void
settle(struct canon *c, struct trace_header *h, struct trace_op *op)
{
	const struct trace_opdef *const def = &trace_ops[op->code];

	if (op->thread >= h->threads)
		op->thread = (uint16_t)(op->thread % h->threads);
	for (unsigned i = 0; i < def->nargs; i++) {
		uint64_t *const arg = &op->arg[i];
		const uint32_t words = trace__word_count(def->arg[i]);
		enum trace__names set;

		if (words != 0)
			*arg %= words;
		else if (trace__kind_flags(def->arg[i], &set))
			*arg &= TRACE__FLAGS_MASK;
		switch (def->arg[i]) {
		case TRACE_K_INT:
			*arg &= UINT32_MAX;
			break;
		case TRACE_K_CPU:
			*arg %= h->cpus;
			break;
		case TRACE_K_STR:
			*arg = use_string(c, h, *arg);
			break;
		default:
			break;
		}
	}
}

/* Out of memory is SIZE_MAX, and the trace is as it was. */
size_t
trace_canonicalize(struct trace *t)
{
	struct trace_header *const h = &t->header;
	struct canon c;
	size_t kept = 0;

	if (canon_init(&c, t) != 0)
		return (SIZE_MAX);
	trace__header_repair(h);
	for (size_t i = 0; i < t->nops; i++) {
		struct trace_op *const op = &t->op[kept];

		if (!can_be_kept(h, &t->op[i]))
			continue;
		if (kept != i)
			*op = t->op[i];
		if (trace__op_rename(c.map, op) != 0)
			continue; /* what it names is not defined */
		settle(&c, h, op);
		kept++;
	}
	if (c.moved || c.nstrs != h->nstrs)
		trace__header_strs_moved(h, c.nstrs);
	canon_fini(&c);
	const size_t dropped = t->nops - kept;
	t->nops = kept;
	return (dropped);
}
