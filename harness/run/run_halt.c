/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of the system (G-1): it is fresh when it was booted, and it does not
 * end while anything is in use, unless by force.
 *
 * A run asks twice for the end, as a program does. The first time when its
 * operations have ended and something is in use: the answer must be EBUSY, and
 * a report of each thing by name and count. What follows, the giving back of
 * all that, finds out whether anything was changed. The second time when all
 * was given back: if that is so, the system ends.
 *
 * When it has ended it has no memory of its own left, unless calls were given up
 * in the middle.
 *
 * What is in use says the model; of caches, pipes and zones their statistics,
 * which are compared with the model's at the same place (run__quiesce).
 */
#include "run_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_TOLD 31u /* names may be cut */
#define ANY	      UINT64_MAX

struct in_use {
	const char *name;
	uint64_t count, bytes; /* bytes: or ANY */
	bool loose;	       /* it may be told or not, with any count */
	bool told;
};

struct halt {
	struct run_state *s;
	struct in_use *entry;
	size_t n, cap;
	uint64_t must; /* that must be told */
	uint64_t pipes;
	bool failed; /* no memory for it, or a finding */
};

static void
add(struct halt *h, const struct in_use *u)
{
	if (h->n == h->cap) {
		size_t cap = h->cap == 0 ? 16 : h->cap * 2;
		struct in_use *grown = realloc(h->entry, cap * sizeof(*grown));

		h->failed |= grown == NULL;
		if (grown == NULL)
			return;
		h->entry = grown;
		h->cap = cap;
	}
	h->entry[h->n++] = *u;
	h->must += !u->loose;
}

/* A type, or the runs of pages that the trace has. */
static void
add_use(void *arg, enum trace_class class, uint32_t reg, uint64_t count,
    uint64_t bytes)
{
	struct halt *h = arg;
	struct in_use u = { .count = count, .bytes = bytes };

	if (class == TRACE_TYPE)
		u.name = reg == TRACE_NOREG ?
		    "(ended type)" :
		    h->s->subject->name_of(TRACE_TYPE, reg);
	else
		u.name = "pages";
	if (class != TRACE_RUN || !h->s->sources)
		add(h, &u);
}

static void
add_owner(struct halt *h, enum trace_class class, uint32_t handle)
{
	const struct run_owner *o = &h->s->owner[class][handle];
	struct in_use u = { .bytes = ANY };
	struct owner_stats st;

	if (!h->s->subject->owner_stats(class, handle, &st))
		return;
	u.name = h->s->subject->name_of(class, handle);
	u.count = st.used;
	if (class == TRACE_CACHE)
		u.count += st.cached; /* the backend is the laboratory's */
	h->pipes += class == TRACE_PIPE;
	/* Items in memory that the program gave live on. */
	u.loose = o->statics || class == TRACE_VMZONE;
	if (u.count != 0 || u.loose)
		add(h, &u);
}

static void
collect(struct halt *h)
{
	/* A zone's slabs out of runs are runs as well. */
	static const struct in_use of_sources = { .name = "pages",
		.loose = true };
	struct run_state *s = h->s;
	int class;
	uint32_t i;

	if (s->sources)
		add(h, &of_sources);
	model_each_use(s->model, add_use, h);
	for (class = TRACE_CACHE; class < TRACE_CLASS_COUNT; class ++)
		for (i = 0; i < s->nregs[class]; i++)
			if (s->reg[class][i].state == REG_LIVE)
				add_owner(h, (enum trace_class) class, i);
}

static void
wrong(struct halt *h, const char *expected, const char *found)
{
	if (!h->failed)
		model_report(h->s->model, "G-1", "halt", expected, found);
	h->failed = true;
}

static bool
is_it(const struct in_use *u, const char *name, uint64_t count, uint64_t bytes)
{
	if (u->told || strncmp(u->name, name, NAME_MAX_TOLD) != 0)
		return (false);
	return (u->loose ||
	    (u->count == count && (u->bytes == ANY || u->bytes == bytes)));
}

static void
on_told(void *arg, const char *name, uint64_t count, uint64_t bytes)
{
	struct in_use *loose = NULL, *u;
	struct halt *h = arg;
	char found[128];

	for (u = h->entry; u < h->entry + h->n; u++) {
		if (!is_it(u, name, count, bytes))
			continue;
		if (u->loose) {
			loose = u; /* if there is nothing better */
			continue;
		}
		u->told = true;
		return;
	}
	if (loose != NULL) {
		loose->told = true;
		return;
	}
	(void)snprintf(found, sizeof(found),
	    "\"%.40s\" with %" PRIu64 " objects, %" PRIu64 " bytes", name,
	    count, bytes);
	wrong(h, "a report of nothing but what is in use", found);
}

static void
judge_told(struct halt *h)
{
	char expected[128];
	size_t i;

	for (i = 0; i < h->n; i++) {
		const struct in_use *u = &h->entry[i];

		if (u->loose || u->told)
			continue;
		(void)snprintf(expected, sizeof(expected),
		    "a report of \"%.40s\", of which %" PRIu64 " are in use",
		    u->name, u->count);
		wrong(h, expected, "no such report");
		return;
	}
}

/* Asks for the end of the system. At the first time only if it will refuse. */
static void
ask(struct run_state *s, bool last)
{
	struct halt h = { .s = s };
	bool busy;
	int error;

	if (s->subject->leave == NULL || s->options->no_halt)
		return;
	collect(&h);
	busy = h.must + h.pipes != 0;
	if (h.failed || (!last && !busy)) {
		free(h.entry);
		return;
	}
	error = s->subject->leave(on_told, &h);
	judge_told(&h);
	if (busy && error != EBUSY)
		wrong(&h, "EBUSY: something is in use", "the system ended");
	else if (h.n == 0 && !busy && error != 0)
		wrong(&h, "the end: nothing is in use", "a refusal");
	free(h.entry);
}

void
run__halt_refused(struct run_state *s)
{
	ask(s, false);
}

void
run__halt(struct run_state *s)
{
	ask(s, true);
}

void
run__booted(struct run_state *s)
{
	char found[64];
	uint64_t free_pages;

	if ((s->subject->caps & SUBJECT_PAGES) == 0)
		return;
	free_pages = s->subject->free_pages();
	if (free_pages == s->header->pages)
		return;
	(void)snprintf(found, sizeof(found), "%" PRIu64 " pages", free_pages);
	model_report(s->model, "G-1", "boot", "the whole budget free", found);
}

void
run__halted(struct run_state *s, uint64_t mapped_before)
{
	int64_t left = (int64_t)(sim_mapped() - mapped_before);
	char found[64];

	if (left == 0 || s->busy != 0 || s->result->status != RUN_CLEAN)
		return;
	(void)snprintf(found, sizeof(found), "%" PRId64 " pages", left);
	model_report(s->model, "G-1", "memory",
	    "nothing that the library mapped for itself is left", found);
	s->result->status = RUN_FINDING;
	s->result->finding = *model_finding(s->model);
	if (s->options->record && !s->options->record_clean)
		run__schedule_end(s);
}
