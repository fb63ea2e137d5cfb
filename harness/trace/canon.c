/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What makes an operation canonical: arguments in their ranges, registers
 * dense in order of first definition, nothing in the fields that it does not
 * have. The writer, the encoder and trace_canonicalize() share these.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_int.h"

#define REGMAP_CAP_MIN 64u

void
trace__regmap_fini(struct trace__regmap *m)
{
	free(m->dense);
	*m = (struct trace__regmap) { 0 };
}

/*
 * A fresh zeroed array rather than realloc(): of a large one only the pages
 * that are used get memory, so a sparse number costs address space only.
 */
static int
regmap_grow(struct trace__regmap *m, uint32_t number)
{
	uint32_t cap = m->cap == 0 ? REGMAP_CAP_MIN : m->cap;

	while (cap <= number)
		cap *= 2;
	uint32_t *dense = calloc(cap, sizeof(*dense));
	if (dense == NULL)
		return (ENOMEM);
	if (m->cap > 0)
		memcpy(dense, m->dense, m->cap * sizeof(*dense));
	free(m->dense);
	m->dense = dense;
	m->cap = cap;
	return (0);
}

int
trace__regmap_define(
    struct trace__regmap *m, uint32_t number, uint32_t *ret_dense)
{
	TRACE__ASSERT(number < TRACE_REGS_MAX);
	if (number >= m->cap && regmap_grow(m, number) != 0)
		return (ENOMEM);
	if (m->dense[number] == 0)
		m->dense[number] = ++m->count;
	*ret_dense = m->dense[number] - 1;
	return (0);
}

static bool
arg_is_valid(const struct trace_header *h, enum trace_kind kind, uint64_t value)
{
	enum trace__names set;

	if (trace__kind_flags(kind, &set))
		return (value <= TRACE__FLAGS_MASK);
	if (trace__word_count(kind) != 0)
		return (value < trace__word_count(kind));
	switch (kind) {
	case TRACE_K_STR:
		return (value < h->nstrs);
	case TRACE_K_CPU:
		return (value < h->cpus);
	case TRACE_K_INT:
		return (value <= UINT32_MAX);
	default:
		return (true);
	}
}

int
trace__op_check(const struct trace_header *h, const struct trace_op *op)
{
	if (op->code >= TRACE_OP_COUNT || op->thread >= h->threads)
		return (EINVAL);
	const struct trace_opdef *def = &trace_ops[op->code];
	for (unsigned i = 0; i < def->nargs; i++) {
		if (!arg_is_valid(h, def->arg[i], op->arg[i]))
			return (EINVAL);
	}
	return (0);
}

int
trace__op_rename(
    struct trace__regmap map[TRACE_CLASS_COUNT], struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	unsigned i;

	for (i = 0; i < def->nargs; i++) {
		const int class = trace_kind_class(def->arg[i]);

		if (class < 0 || op->arg[i] == TRACE_NOREG)
			continue;
		if (op->arg[i] >= TRACE_REGS_MAX)
			return (EINVAL);
		op->arg[i] =
		    trace__regmap_get(&map[class], (uint32_t)op->arg[i]);
		if (op->arg[i] == TRACE_NOREG)
			return (EINVAL);
	}
	for (; i < TRACE_ARGS_MAX; i++)
		op->arg[i] = 0;
	if (def->out < 0) {
		op->out = TRACE_NOREG;
		return (0);
	}
	if (op->out >= TRACE_REGS_MAX)
		return (EINVAL);
	return (trace__regmap_define(&map[def->out], op->out, &op->out));
}
