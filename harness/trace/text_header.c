/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header lines of the text form: one function a line, one table of them.
 */
#include <string.h>

#include "text_int.h"

static int
header_cpus(struct trace__text *t)
{
	if (text__next_u32(t, 1, TRACE_CPUS_MAX, &t->header->cpus) != 0)
		return (-1);
	trace__header_thread_cpus(t->header);
	return (0);
}

static int
header_threads(struct trace__text *t)
{
	return (text__next_u32(t, 1, TRACE_THREADS_MAX, &t->header->threads));
}

static int
header_pages(struct trace__text *t)
{
	if (text__next_u32(
		t, TRACE_PAGES_MIN, TRACE_PAGES_MAX, &t->header->pages))
		return (-1);
	trace__header_reserves(t->header);
	return (0);
}

static int
header_reserve(struct trace__text *t)
{
	struct trace_header *const h = t->header;
	uint32_t system, interrupt;

	if (text__next_u32(t, 0, h->pages / 2, &system) != 0 ||
	    text__next_u32(t, 0, system, &interrupt) != 0)
		return (-1);
	h->reserve_system = system;
	h->reserve_interrupt = interrupt;
	return (0);
}

static int
header_keep(struct trace__text *t)
{
	return (text__next_u32(t, 0, TRACE__KEEP_MAX, &t->header->slabs_keep));
}

static int
header_debug(struct trace__text *t)
{
	const struct word w = text__next_word(t);
	uint64_t flags;

	if (w.len == 0)
		return (text__unknown(t, w, "debug options",
		    "redzone, poison, audit joined by |, or 0"));
	if (text__word_flags(t, w, TRACE__DEBUG_FLAGS, 7, &flags) != 0)
		return (-1);
	t->header->debug = (uint32_t)flags;
	return (0);
}

static int
header_thread(struct trace__text *t)
{
	struct trace_header *const h = t->header;
	const struct word w = text__next_word(t);
	uint64_t thread, cpu;

	if (text__word_number(t, w,
		(struct range) { "thread", 0, h->threads - 1 }, &thread) != 0)
		return (-1);
	if (t->thread_seen[thread])
		return (text__fail(t, w.s,
		    "thread %s has a CPU already, expected one line a thread",
		    text__show(w).s));
	const struct word key = text__next_word(t);
	if (!text__word_is(key, "cpu"))
		return (text__unknown(t, key, "word", "cpu"));
	if (text__next_number(
		t, (struct range) { "cpu", 0, h->cpus - 1 }, &cpu))
		return (-1);
	t->thread_seen[thread] = true;
	h->thread_cpu[thread] = (uint16_t)cpu;
	return (0);
}

static int
header_schedule(struct trace__text *t)
{
	struct trace_header *const h = t->header;
	const struct word w = text__next_word(t);
	const int mode = trace__sched_by_name(w.s, w.len);

	if (mode < 0)
		return (text__unknown(
		    t, w, "schedule", "recorded, random, sticky or pct"));
	h->sched = (enum trace_sched_mode)mode;
	if (trace__sched_has_n(h->sched) &&
	    text__next_u32(t, 1, TRACE__STICKY_MAX, &h->sticky) != 0)
		return (-1);
	if (mode == TRACE_SCHED_RECORDED)
		return (0);
	return (text__next_number(
	    t, (struct range) { "seed", 0, UINT64_MAX }, &h->sched_seed));
}

static int
header_memory(struct trace__text *t)
{
	const struct word w = text__next_word(t);
	const int memory = trace__memory_by_name(w.s, w.len);

	if (memory < 0)
		return (text__unknown(t, w, "memory model", "sc, tso or c11"));
	t->header->memory = (enum trace_memory)memory;
	return (0);
}

static int
header_may(struct trace__text *t)
{
	const struct word w = text__next_word(t);
	uint64_t flags;

	if (w.len == 0)
		return (text__unknown(t, w, "choices",
		    "migrate, wake, fail, solo joined by |, or 0"));
	if (text__word_flags(t, w, TRACE__MAY, TRACE_MAY_ALL, &flags) != 0)
		return (-1);
	t->header->may = (uint32_t)flags;
	return (0);
}

/* "1/64 17": probability and seed. */
static int
fault_prob(struct trace__text *t, struct trace_fault *f)
{
	const struct word w = text__next_word(t);
	const char *slash = w.len == 0 ? NULL : memchr(w.s, '/', w.len);
	uint64_t num, den;

	if (slash == NULL)
		return (text__unknown(t, w, "probability", "one such as 1/64"));
	const struct word over = { w.s, (size_t)(slash - w.s) };
	const struct word under = { slash + 1, w.len - over.len - 1 };
	if (text__word_number(t, under,
		(struct range) { "number", 1, TRACE__PROB_MAX }, &den) != 0 ||
	    text__word_number(
		t, over, (struct range) { "number", 1, den }, &num))
		return (-1);
	f->num = (uint32_t)num;
	f->den = (uint32_t)den;
	return (text__next_number(
	    t, (struct range) { "seed", 0, UINT64_MAX }, &f->seed));
}

static int
header_fault(struct trace__text *t)
{
	struct trace_header *const h = t->header;
	struct trace_fault f = { 0 };
	const struct word what = text__next_word(t);

	if (!text__word_is(what, "page"))
		return (text__unknown(t, what, "fault", "page"));
	if (h->nfaults == TRACE_FAULTS_MAX)
		return (text__fail(t, what.s,
		    "too many faults, expected at most %d", TRACE_FAULTS_MAX));
	const struct word mode = text__next_word(t);
	int error;
	if (text__word_is(mode, "prob")) {
		f.mode = TRACE_FAULT_PROB;
		error = fault_prob(t, &f);
	} else if (text__word_is(mode, "once") || text__word_is(mode, "from")) {
		f.mode = text__word_is(mode, "once") ? TRACE_FAULT_ONCE :
						       TRACE_FAULT_FROM;
		error = text__next_number(
		    t, (struct range) { "number", 1, UINT64_MAX }, &f.k);
	} else {
		error =
		    text__unknown(t, mode, "fault mode", "once, from or prob");
	}
	if (error == 0)
		h->fault[h->nfaults++] = f;
	return (error);
}

/* "run 2", "delay": what a deviation does. */
static int
deviate_what(struct trace__text *t, struct trace_deviation *d)
{
	const struct word w = text__next_word(t);
	const int what = trace__deviate_by_name(w.s, w.len);

	if (what < 0)
		return (text__unknown(t, w, "deviation",
		    "run, flush, migrate, wake, delay, read, insert, fail or "
		    "solo"));
	d->what = (enum trace_deviate)what;
	d->n = 0;
	if (!trace_deviate_has_number(d->what))
		return (0);
	return (text__next_u32(t, 0, UINT16_MAX, &d->n));
}

static int
deviate_thread(struct trace__text *t, struct word w, uint32_t *ret_thread)
{
	const uint64_t most = TRACE_THREADS_MAX + TRACE_DAEMONS_MAX - 1;
	uint64_t thread;

	if (text__word_number(
		t, w, (struct range) { "thread", 0, most }, &thread) != 0)
		return (-1);
	if (!trace__deviation_thread(t->header, thread))
		return (text__fail(t, w.s,
		    "thread %llu is out of range, expected 0..%u, or %u..%llu "
		    "for the library's",
		    (unsigned long long)thread, t->header->threads - 1,
		    TRACE_THREADS_MAX, (unsigned long long)most));
	*ret_thread = (uint32_t)thread;
	return (0);
}

static int
header_deviate(struct trace__text *t)
{
	struct trace_header *const h = t->header;
	struct trace_deviation d;
	const struct word first = text__next_word(t);
	const char *const at = first.s;

	if (deviate_thread(t, first, &d.thread) != 0 ||
	    text__next_u32(t, 0, UINT32_MAX, &d.op) != 0 ||
	    text__next_u32(t, 0, UINT32_MAX, &d.point) != 0 ||
	    deviate_what(t, &d) != 0)
		return (-1);
	if (h->ndeviations == TRACE__DEVIATIONS_MAX)
		return (text__fail(t, at,
		    "too many deviations, expected at most %u",
		    TRACE__DEVIATIONS_MAX));
	if (h->ndeviations > 0) {
		const struct trace_deviation *before =
		    &h->deviation[h->ndeviations - 1];

		if (trace__deviation_compare(before, &d) >= 0)
			return (text__fail(t, at,
			    "deviation out of order, expected one after "
			    "thread %u operation %u point %u",
			    before->thread, before->op, before->point));
	}
	return (trace__header_deviation(h, &d) != 0 ? text__fail_memory(t) : 0);
}

/*
 * The rows' order is that of dependence: where a later row's values are
 * checked against an earlier row's, the earlier line must come first. `before`
 * is the set of rows that may not have been seen.
 */
static const struct header_line {
	const char *name;
	int (*parse)(struct trace__text *);
	bool repeats;
	unsigned before;
} header_lines[] = {
#define BIT(i) (1u << (i))
	{ "cpus", header_cpus, false, BIT(6) },
	{ "threads", header_threads, false, BIT(6) | BIT(11) },
	{ "pages", header_pages, false, BIT(3) },
	{ "reserve", header_reserve, false, 0 },
	{ "keep", header_keep, false, 0 },
	{ "debug", header_debug, false, 0 },
	{ "thread", header_thread, true, 0 },
	{ "schedule", header_schedule, false, 0 },
	{ "memory", header_memory, false, 0 },
	{ "may", header_may, false, 0 },
	{ "fault", header_fault, true, 0 },
	{ "deviate", header_deviate, true, 0 },
#undef BIT
};
#define HEADER_LINES (sizeof(header_lines) / sizeof(header_lines[0]))

int
text__header_line_by_name(struct word w)
{
	for (unsigned i = 0; i < HEADER_LINES; i++) {
		if (text__word_is(w, header_lines[i].name))
			return ((int)i);
	}
	return (-1);
}

int
text__unknown_line(struct trace__text *t, struct word w)
{
	const char *names[HEADER_LINES];

	for (unsigned i = 0; i < HEADER_LINES; i++)
		names[i] = header_lines[i].name;
	const char *near = trace__suggest(names, HEADER_LINES, w.s, w.len);
	if (trace_op_by_name(w.s, w.len) >= 0)
		return (text__fail(t, w.s,
		    "\"%s\" without a thread, expected the thread's number "
		    "first",
		    text__show(w).s));
	if (near != NULL)
		return (text__fail(t, w.s,
		    "unknown header line \"%s\" (did you mean \"%s\"?)",
		    text__show(w).s, near));
	return (text__fail(t, w.s,
	    "unknown header line \"%s\", expected a header line or a thread",
	    text__show(w).s));
}

int
text__parse_header_line(struct trace__text *t)
{
	const struct word w = text__next_word(t);
	const int row = text__header_line_by_name(w);

	if (row < 0)
		return (text__unknown_line(t, w));
	const struct header_line *const line = &header_lines[row];
	if (!line->repeats && (t->seen & 1u << row) != 0)
		return (text__fail(t, w.s,
		    "a second \"%s\" line, expected at most one", line->name));
	const unsigned late = t->seen & line->before;
	if (late != 0)
		return (
		    text__fail(t, w.s, "\"%s\" is late, expected before \"%s\"",
			line->name, header_lines[__builtin_ctz(late)].name));
	t->seen |= 1u << row;
	return (line->parse(t) != 0 ? -1 : text__expect_end(t, line->name));
}

/*
 * Told from the first bytes, not the first line: what is no trace at all has
 * no lines to speak of.
 */
int
text__parse_first_line(struct trace__text *t)
{
	static const char magic[] = "kalab-trace";
	const size_t size = sizeof(magic) - 1;
	const int have = trace__input_need(t->in, size, t->err);
	uint64_t version;

	if (have < 0)
		return (-1);
	if (t->in->p == t->in->end) {
		trace_error_set(t->err, t->in->name, 0, TRACE__NOPOS,
		    "is empty, expected a trace");
		return (-1);
	}
	if (have == 0 || memcmp(t->in->p, magic, size) != 0) {
		trace_error_set(t->err, t->in->name, 1, 1,
		    "not a trace, expected \"%s %d\" in the first line", magic,
		    TRACE_VERSION);
		return (-1);
	}
	if (text__next_line(t) < 0)
		return (-1);
	const struct word w = text__next_word(t);
	if (!text__word_is(w, magic))
		return (text__unknown(t, w, "word", magic));
	const struct word v = text__next_word(t);
	if (text__word_number(t, v, (struct range) { "version", 1, UINT32_MAX },
		&version) != 0)
		return (-1);
	if (version != TRACE_VERSION)
		return (text__fail(t, v.s,
		    "version %llu is not supported, expected %d",
		    (unsigned long long)version, TRACE_VERSION));
	return (text__expect_end(t, magic));
}
