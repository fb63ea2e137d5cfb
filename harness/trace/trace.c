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

int
trace_append(struct trace *t, const struct trace_op *op)
{
	if (t->nops == t->cap) {
		const size_t cap = t->cap == 0 ? OPS_CAP_MIN : 2 * t->cap;
		struct trace_op *grown;

		if (cap > SIZE_MAX / sizeof(*grown))
			return (ENOMEM);
		grown = realloc(t->op, cap * sizeof(*grown));
		if (grown == NULL)
			return (ENOMEM);
		t->op = grown;
		t->cap = cap;
	}
	t->op[t->nops++] = *op;
	return (0);
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

int
trace_save(const struct trace *t, const char *name, enum trace_form form,
    struct trace_error *err)
{
	struct trace_writer *w;

	if (trace_writer_open(&w, name, form, &t->header, err) != 0)
		return (-1);
	for (size_t i = 0; i < t->nops; i++) {
		if (trace_writer_op(w, &t->op[i]) != 0)
			break;
	}
	return (trace_writer_close(w, err)); /* tells what failed */
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

/*
 * Brings arguments of small ranges into them, as the decoder does; strings
 * move to the new header. 0 or ENOMEM.
 */
static int
settle(const struct trace_header *old, struct trace_header *new,
    struct trace_op *op)
{
	const struct trace_opdef *const def = &trace_ops[op->code];

	op->thread = (uint16_t)(op->thread % new->threads);
	for (unsigned i = 0; i < def->nargs; i++) {
		uint64_t *const arg = &op->arg[i];
		const uint32_t words = trace__word_count(def->arg[i]);
		enum trace__names set;
		const char *s;

		if (words != 0)
			*arg %= words;
		else if (trace__kind_flags(def->arg[i], &set))
			*arg &= TRACE__FLAGS_MASK;
		switch (def->arg[i]) {
		case TRACE_K_INT:
			*arg &= UINT32_MAX;
			break;
		case TRACE_K_CPU:
			*arg %= new->cpus;
			break;
		case TRACE_K_STR:
			s = trace_str(old, *arg);
			*arg = trace_str_intern(new, s, strlen(s));
			if (*arg == UINT32_MAX)
				return (ENOMEM);
			break;
		default:
			break;
		}
	}
	return (0);
}

/* The operations that can be kept, canonical, to op: 0 or ENOMEM. */
static int
canonical_ops(const struct trace *t, struct trace_header *new,
    struct trace_op *op, size_t *ret_kept)
{
	struct trace__regmap map[TRACE_CLASS_COUNT] = { { 0 } };
	size_t kept = 0;
	int error = 0;

	for (size_t i = 0; i < t->nops && error == 0; i++) {
		op[kept] = t->op[i];
		if (!can_be_kept(&t->header, &op[kept]))
			continue;
		error = trace__op_rename(map, &op[kept]);
		if (error == EINVAL) {
			error = 0;
			continue;
		}
		if (error == 0)
			error = settle(&t->header, new, &op[kept]);
		kept++;
	}
	for (unsigned i = 0; i < TRACE_CLASS_COUNT; i++)
		trace__regmap_fini(&map[i]);
	*ret_kept = kept;
	return (error);
}

/* Out of memory is SIZE_MAX, and the trace is as it was. */
size_t
trace_canonicalize(struct trace *t)
{
	struct trace_header header;
	size_t kept;

	if (trace_header_copy(&header, &t->header) != 0)
		return (SIZE_MAX);
	trace__header_repair(&header);
	trace__header_forget_strs(&header); /* they return in order of use */
	struct trace_op *op = malloc((t->nops + 1) * sizeof(*op));
	if (op == NULL || canonical_ops(t, &header, op, &kept) != 0) {
		trace_header_fini(&header);
		free(op);
		return (SIZE_MAX);
	}
	const size_t dropped = t->nops - kept;
	const size_t cap = t->nops + 1;
	trace_fini(t);
	*t = (struct trace) {
		.header = header, .op = op, .nops = kept, .cap = cap
	};
	return (dropped);
}
