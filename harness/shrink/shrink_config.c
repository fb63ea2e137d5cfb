/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A smaller header: fewer faults with smaller numbers, fewer CPUs, pages and
 * options; and fewer threads, whose operations another thread does.
 */
#include <string.h>

#include "shrink_int.h"

#define PAGES_DEFAULT 4096u
#define KEEP_DEFAULT  2u
#define FAULT_K_MAX   64u
#define MOVES_MAX     64u /* operations that are moved one by one */

/* The header with what must fit fitted. */
static bool
try_header(struct shrink *s, struct trace_header h)
{
	size_t i;
	uint32_t t;

	if (h.reserve_system > h.pages / 2)
		h.reserve_system = h.pages / 2;
	if (h.reserve_interrupt > h.reserve_system)
		h.reserve_interrupt = h.reserve_system;
	for (t = 0; t < TRACE_THREADS_MAX; t++)
		h.thread_cpu[t] = (uint16_t)(h.thread_cpu[t] % h.cpus);
	memcpy(s->op, s->best.op, s->best.nops * sizeof(*s->op));
	for (i = 0; i < s->best.nops; i++)
		if (s->op[i].code == TRACE_OP_MIGRATE)
			s->op[i].arg[0] %= h.cpus;
	return (shrink__goes_on(s) && shrink__try(s, &h, s->op, s->best.nops));
}

/* ---- Threads ----------------------------------------------------------- */

/* Threads numbered without gaps; those that do nothing are not there. */
static bool
renumber_threads(struct shrink *s)
{
	struct trace_header h = s->best.header;
	uint16_t to[TRACE_THREADS_MAX];
	bool used[TRACE_THREADS_MAX] = { false };
	uint32_t t, n = 0;
	size_t i;

	for (i = 0; i < s->best.nops; i++)
		used[s->best.op[i].thread] = true;
	for (i = 0; i < h.ndeviations; i++)
		used[h.deviation[i].thread] = true;
	for (t = 0; t < h.threads; t++) {
		to[t] = (uint16_t)n;
		if (!used[t])
			continue;
		h.thread_cpu[n++] = s->best.header.thread_cpu[t];
	}
	if (n == h.threads || n == 0)
		return (false);
	h.threads = n;
	for (i = 0; i < h.ndeviations; i++) {
		s->deviation[i] = h.deviation[i];
		s->deviation[i].thread = to[h.deviation[i].thread];
	}
	h.deviation = s->deviation;
	memcpy(s->op, s->best.op, s->best.nops * sizeof(*s->op));
	for (i = 0; i < s->best.nops; i++)
		s->op[i].thread = to[s->op[i].thread];
	return (shrink__try(s, &h, s->op, s->best.nops));
}

static bool
move_thread(struct shrink *s, uint32_t from, uint32_t to)
{
	size_t i, moved = 0;

	memcpy(s->op, s->best.op, s->best.nops * sizeof(*s->op));
	for (i = 0; i < s->best.nops; i++)
		if (s->op[i].thread == from) {
			s->op[i].thread = (uint16_t)to;
			moved++;
		}
	return (
	    moved != 0 && shrink__try(s, &s->best.header, s->op, s->best.nops));
}

static bool
move_one(struct shrink *s, size_t i, uint32_t to)
{
	memcpy(s->op, s->best.op, s->best.nops * sizeof(*s->op));
	s->op[i].thread = (uint16_t)to;
	return (shrink__try(s, &s->best.header, s->op, s->best.nops));
}

bool
shrink__threads(struct shrink *s)
{
	bool any = false;
	uint32_t from, to;
	size_t i;

	s->doing = "threads";
	for (from = s->best.header.threads; from-- > 1;)
		for (to = 0; to < from && shrink__goes_on(s); to++)
			if (move_thread(s, from, to)) {
				any = true;
				break;
			}
	any |= renumber_threads(s);
	for (i = 0; i < s->best.nops && s->best.nops <= MOVES_MAX; i++)
		for (to = 0; to < s->best.op[i].thread && shrink__goes_on(s);
		     to++)
			if (move_one(s, i, to)) {
				any = true;
				break;
			}
	any |= renumber_threads(s);
	return (any);
}

/* ---- Faults ------------------------------------------------------------ */

static bool
drop_fault(struct shrink *s, uint32_t i)
{
	struct trace_header h = s->best.header;

	h.nfaults--;
	memmove(
	    &h.fault[i], &h.fault[i + 1], (h.nfaults - i) * sizeof(h.fault[0]));
	memset(&h.fault[h.nfaults], 0, sizeof(h.fault[0]));
	return (try_header(s, h));
}

/* One failure, as early as it can be, rather than many or by chance. */
static bool
simpler_fault(struct shrink *s, uint32_t i)
{
	const struct trace_fault f = s->best.header.fault[i];
	struct trace_header h = s->best.header;
	unsigned mode;
	uint64_t k;

	for (mode = TRACE_FAULT_ONCE;
	     mode <= f.mode && mode <= TRACE_FAULT_FROM; mode++) {
		uint64_t most = mode == f.mode ? f.k - 1 : FAULT_K_MAX;

		if (most > FAULT_K_MAX)
			most = FAULT_K_MAX;
		for (k = 1; k <= most && shrink__goes_on(s); k++) {
			h.fault[i] = (struct trace_fault) {
				.mode = (enum trace_fault_mode)mode, .k = k
			};
			if (try_header(s, h))
				return (true);
		}
	}
	return (false);
}

static bool
faults(struct shrink *s)
{
	bool any = false;
	uint32_t i;

	for (i = s->best.header.nfaults; i-- > 0;)
		any |= drop_fault(s, i);
	for (i = 0; i < s->best.header.nfaults; i++)
		any |= simpler_fault(s, i);
	return (any);
}

/* ---- Numbers ----------------------------------------------------------- */

static bool
fewer_cpus(struct shrink *s)
{
	struct trace_header h = s->best.header;
	uint32_t n, t;

	for (n = 1; n < s->best.header.cpus; n++) {
		h.cpus = n;
		if (try_header(s, h))
			return (true);
	}
	h = s->best.header;
	for (t = 0; t < TRACE_THREADS_MAX; t++)
		h.thread_cpu[t] = (uint16_t)(t % h.cpus);
	return (memcmp(h.thread_cpu, s->best.header.thread_cpu,
		    sizeof(h.thread_cpu)) != 0 &&
	    try_header(s, h));
}

static bool
fewer_pages(struct shrink *s)
{
	struct trace_header h = s->best.header;
	uint32_t n;

	for (n = TRACE_PAGES_MIN; n < s->best.header.pages; n *= 2) {
		h = s->best.header;
		h.pages = n;
		if (try_header(s, h))
			return (true);
		h.reserve_system = h.reserve_interrupt = 0;
		if (try_header(s, h))
			return (true);
	}
	return (false);
}

static bool
no_reserve(struct shrink *s)
{
	struct trace_header h = s->best.header;

	if (h.reserve_system == 0)
		return (false);
	h.reserve_system = h.reserve_interrupt = 0;
	if (try_header(s, h))
		return (true);
	h = s->best.header;
	if (h.reserve_interrupt == 0)
		return (false);
	h.reserve_interrupt = 0;
	return (try_header(s, h));
}

static bool
options(struct shrink *s)
{
	struct trace_header h = s->best.header;
	bool any = false;
	uint32_t bit;

	if (h.slabs_keep != KEEP_DEFAULT) {
		h.slabs_keep = KEEP_DEFAULT;
		any |= try_header(s, h);
	}
	for (bit = 1; bit <= s->best.header.debug; bit <<= 1) {
		h = s->best.header;
		h.debug &= ~bit;
		if (h.debug != s->best.header.debug)
			any |= try_header(s, h);
	}
	return (any);
}

bool
shrink__config(struct shrink *s)
{
	bool any;

	s->doing = "configuration";
	any = faults(s);
	any |= fewer_cpus(s);
	any |= fewer_pages(s);
	any |= no_reserve(s);
	any |= options(s);
	return (any);
}
