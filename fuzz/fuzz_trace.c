/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes to a restricted trace; see fuzz_target.h.
 *
 * This is on the path of every execution: the decoder is used without a
 * reader around it, all memory but that of strings and deviations is the
 * caller's, and that of strings is used again. Restriction is done on the way,
 * so that what is run, what is shown and what is saved are the same operations.
 */
#include <errno.h>
#include <string.h>

#include "fuzz_target.h"
#include "trace/trace_int.h"

/* Registers are dense: an operation defines one at most. All are false between
 * two inputs. */
struct defined {
	bool is[TRACE_CLASS_COUNT][FUZZ_OPS_MAX];
};

/*
 * A fault that nearly always strikes makes those who may wait for pages try
 * nearly for ever: no finding, but a waste of time. One that always strikes
 * is said as what it is, so that waiting for it is known to be of no use.
 */
static void
restrict_fault(struct trace_fault *f)
{
	if (f->mode != TRACE_FAULT_PROB)
		return;
	if (f->num == f->den)
		*f = (struct trace_fault) { .mode = TRACE_FAULT_FROM, .k = 1 };
	else if (f->num > f->den / 2)
		f->num = f->den / 2;
}

static void
restrict_header(struct trace_header *h)
{
	const uint32_t pages = FUZZ_PAGES_MAX - TRACE_PAGES_MIN + 1;

	h->cpus = 1 + (h->cpus - 1) % FUZZ_CPUS_MAX;
	h->threads = 1 + (h->threads - 1) % FUZZ_THREADS_MAX;
	if (h->pages > FUZZ_PAGES_MAX)
		h->pages = TRACE_PAGES_MIN + h->pages % pages;
	for (uint32_t i = 0; i < h->nfaults; i++)
		restrict_fault(&h->fault[i]);
	trace__header_repair(h);
}

/* Whether the operation is run; brings its arguments below the limits. */
static bool
restrict_op(const struct trace_header *h, uint32_t groups, struct defined *d,
    struct trace_op *op)
{
	const struct trace_opdef *const def = &trace_ops[op->code];

	if ((groups & 1u << def->group) == 0)
		return (false);
	for (unsigned i = 0; i < def->nargs; i++) {
		const int class = trace_kind_class(def->arg[i]);

		if (def->arg[i] == TRACE_K_CPU)
			op->arg[i] %= h->cpus;
		if (class >= 0 && op->arg[i] != TRACE_NOREG &&
		    !d->is[class][op->arg[i]])
			return (false);
	}
	op->thread = (uint16_t)(op->thread % h->threads);
	if (def->out >= 0)
		d->is[def->out][op->out] = true;
	return (true);
}

int
fuzz_trace_decode(
    struct fuzz_trace *t, uint32_t groups, const uint8_t *data, size_t size)
{
	static struct defined defined;
	struct trace__decoder d = {
		.p = data != NULL ? data : (const uint8_t *)"",
		.header = &t->header,
		.eof = true,
	};
	int got = 0;

	d.end = d.p + size;
	trace__header_reset(&t->header);
	t->nops = t->at = 0;
	if (trace__decode_header(&d) != 0)
		return (ENOMEM);
	restrict_header(&t->header);
	for (uint32_t n = 0; n < FUZZ_OPS_MAX; n++) {
		got = trace__decode_op(&d, &t->op[t->nops]);
		if (got <= 0)
			break;
		if (restrict_op(&t->header, groups, &defined, &t->op[t->nops]))
			t->nops++;
	}
	for (unsigned class = 0; class < TRACE_CLASS_COUNT; class ++)
		if (d.count[class] != 0)
			memset(defined.is[class], 0, d.count[class]);
	return (got < 0 ? ENOMEM : 0);
}

static int
next(void *arg, struct trace_op *ret_op, struct trace_error *ret_err)
{
	struct fuzz_trace *t = arg;

	(void)ret_err;
	if (t->at == t->nops)
		return (0);
	*ret_op = t->op[t->at++];
	return (1);
}

struct run_source
fuzz_trace_source(struct fuzz_trace *t)
{
	const struct run_source s = { next, t, &t->header };

	t->at = 0;
	return (s);
}

int
fuzz_trace_copy(const struct fuzz_trace *t, struct trace *ret_t)
{
	trace_init(ret_t);
	trace_header_fini(&ret_t->header);
	if (trace_header_copy(&ret_t->header, &t->header) != 0) {
		trace_init(ret_t);
		return (ENOMEM);
	}
	for (uint32_t i = 0; i < t->nops; i++) {
		if (trace_append(ret_t, &t->op[i]) != 0) {
			trace_fini(ret_t);
			return (ENOMEM);
		}
	}
	return (trace_canonicalize(ret_t) == SIZE_MAX ? ENOMEM : 0);
}
