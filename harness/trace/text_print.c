/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The canonical text: one blank between words, registers as they are, flags
 * in the table's order, numbers decimal below 2^32 and hexadecimal above. All
 * lines of the header are printed that have one value, so that a trace keeps
 * its meaning when a default changes.
 */
#include "trace_int.h"

static void
put_register(struct trace__out *o, int class, uint64_t reg)
{
	const char letter = trace_class_letter(class);

	if (reg == TRACE_NOREG) {
		trace__out_str(o, "null");
		return;
	}
	trace__out_chars(o, &letter, 1);
	trace__out_num(o, reg);
}

static void
put_string(struct trace__out *o, const char *s)
{
	trace__out_chars(o, "\"", 1);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			trace__out_chars(o, "\\", 1);
		trace__out_chars(o, s, 1);
	}
	trace__out_chars(o, "\"", 1);
}

static void
put_int(struct trace__out *o, int32_t value)
{
	if (value < 0)
		trace__out_chars(o, "-", 1);
	trace__out_num(o, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void
put_arg(struct trace__out *o, const struct trace_header *h,
    enum trace_kind kind, uint64_t value)
{
	const int class = trace_kind_class(kind);
	enum trace__names set;

	if (class >= 0) {
		put_register(o, class, value);
		return;
	}
	if (trace__kind_flags(kind, &set))
		trace__flags_put(o, set, value);
	else if (trace__word_count(kind) != 0)
		trace__out_str(o, trace__word_name(kind, value));
	else if (kind == TRACE_K_STR)
		put_string(o, trace_str(h, value));
	else if (kind == TRACE_K_INT)
		put_int(o, (int32_t)(uint32_t)value);
	else
		trace__out_value(o, value);
}

size_t
trace__print_op(const struct trace_header *h, const struct trace_op *op,
    char *buf, size_t size)
{
	struct trace__out o;

	trace__out_init(&o, buf, size);
	trace__out_num(&o, op->thread);
	if (op->code >= TRACE_OP_COUNT) {
		trace__out_str(&o, " ?");
		return ((size_t)(o.p - buf));
	}
	const struct trace_opdef *const def = &trace_ops[op->code];
	if (def->out >= 0) {
		trace__out_chars(&o, " ", 1);
		put_register(&o, def->out, op->out);
		trace__out_chars(&o, " =", 2);
	}
	trace__out_chars(&o, " ", 1);
	trace__out_str(&o, def->name);
	for (unsigned i = 0; i < def->nargs; i++) {
		trace__out_chars(&o, " ", 1);
		put_arg(&o, h, def->arg[i], op->arg[i]);
	}
	return ((size_t)(o.p - buf));
}

void
trace_op_format(const struct trace_header *h, const struct trace_op *op,
    char *buf, size_t size)
{
	if (size > 0)
		(void)trace__print_op(h, op, buf, size);
}

/* A word followed by numbers, e.g. "thread 2 cpu 1" without the words. */
static void
put_word(struct trace__out *o, const char *word, uint64_t value)
{
	trace__out_str(o, word);
	trace__out_chars(o, " ", 1);
	trace__out_value(o, value);
}

static void
put_schedule(struct trace__out *o, const struct trace_header *h)
{
	trace__out_str(o, "schedule ");
	trace__out_str(o, trace_sched_name(h->sched));
	if (trace__sched_has_n(h->sched))
		put_word(o, "", h->sticky);
	if (h->sched != TRACE_SCHED_RECORDED)
		put_word(o, "", h->sched_seed);
	trace__out_chars(o, "\n", 1);
	if (h->memory != TRACE_MEMORY_SC) {
		trace__out_str(o, "memory ");
		trace__out_str(o, trace_memory_name(h->memory));
		trace__out_chars(o, "\n", 1);
	}
	if (h->may != 0) {
		trace__out_str(o, "may ");
		trace__flags_put(o, TRACE__MAY, h->may);
		trace__out_chars(o, "\n", 1);
	}
}

static void
put_fault(struct trace__out *o, const struct trace_fault *f)
{
	switch (f->mode) {
	case TRACE_FAULT_ONCE:
		put_word(o, "fault page once", f->k);
		break;
	case TRACE_FAULT_FROM:
		put_word(o, "fault page from", f->k);
		break;
	default:
		put_word(o, "fault page prob", f->num);
		trace__out_chars(o, "/", 1);
		trace__out_num(o, f->den);
		put_word(o, "", f->seed);
		break;
	}
	trace__out_chars(o, "\n", 1);
}

/* The lines that stand once. */
static void
put_scalars(struct trace__out *o, const struct trace_header *h)
{
	put_word(o, "kalab-trace", TRACE_VERSION);
	put_word(o, "\ncpus", h->cpus);
	put_word(o, "\nthreads", h->threads);
	put_word(o, "\npages", h->pages);
	put_word(o, "\nreserve", h->reserve_system);
	put_word(o, "", h->reserve_interrupt);
	put_word(o, "\nkeep", h->slabs_keep);
	trace__out_str(o, "\ndebug ");
	trace__flags_put(o, TRACE__DEBUG_FLAGS, h->debug);
	trace__out_chars(o, "\n", 1);
	put_schedule(o, h);
}

int
trace__print_header(const struct trace_header *h, struct trace__bytes *b)
{
	char line[512];
	struct trace__out o;
	int error;

	trace__out_init(&o, line, sizeof(line));
	put_scalars(&o, h);
	for (uint32_t i = 0; i < h->nfaults; i++)
		put_fault(&o, &h->fault[i]);
	TRACE__ASSERT(o.p < o.last);
	error = trace__bytes_append(b, line, (size_t)(o.p - line));
	for (uint32_t t = 0; t < h->threads && error == 0; t++) {
		if (h->thread_cpu[t] == t % h->cpus)
			continue;
		trace__out_init(&o, line, sizeof(line));
		put_word(&o, "thread", t);
		put_word(&o, " cpu", h->thread_cpu[t]);
		trace__out_chars(&o, "\n", 1);
		error = trace__bytes_append(b, line, (size_t)(o.p - line));
	}
	for (uint32_t i = 0; i < h->ndeviations && error == 0; i++) {
		const struct trace_deviation *d = &h->deviation[i];

		trace__out_init(&o, line, sizeof(line));
		put_word(&o, "deviate", d->thread);
		put_word(&o, "", d->op);
		put_word(&o, "", d->point);
		trace__out_chars(&o, " ", 1);
		trace__out_str(&o, trace_deviate_name(d->what));
		if (trace_deviate_has_number(d->what))
			put_word(&o, "", d->n);
		trace__out_chars(&o, "\n", 1);
		error = trace__bytes_append(b, line, (size_t)(o.p - line));
	}
	return (error);
}
