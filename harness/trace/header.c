/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header of a trace: defaults, ownership, ranges, and its strings.
 *
 * Strings are interned: equal strings have one index. The array of pointers
 * and the hash index over it are one allocation, so that the header needs no
 * field for the index:
 *
 *	str ->  [ char * x strs_cap | uint32_t x 2 strs_cap ]
 *
 * A slot of the index is 0 (free) or a string's index + 1; probing is linear.
 * strs_cap is a power of two and the index is at most half full. Pointers
 * behind the last string are NULL, or memory of strings that are no more, for
 * those to come.
 */
#include <errno.h>
#include <kalloc/flags.h>
#include <stdlib.h>
#include <string.h>

#include "trace_int.h"

#define STRS_CAP_MIN 16u

/* The first n places are there: they are those of all others in turn. */
static void
thread_cpus_repeat(struct trace_header *h, uint32_t n)
{
	while (n < TRACE_THREADS_MAX) {
		const uint32_t left = TRACE_THREADS_MAX - n;

		memcpy(&h->thread_cpu[n], h->thread_cpu,
		    (n < left ? n : left) * sizeof(*h->thread_cpu));
		n *= 2;
	}
}

void
trace__header_thread_cpus(struct trace_header *h)
{
	for (uint32_t t = 0; t < h->cpus; t++)
		h->thread_cpu[t] = (uint16_t)t;
	thread_cpus_repeat(h, h->cpus);
}

void
trace__header_reserves(struct trace_header *h)
{
	h->reserve_system = h->pages / 4 < 32 ? h->pages / 4 : 32;
	h->reserve_interrupt = h->reserve_system / 4;
}

void
trace_header_init(struct trace_header *h)
{
	*h = (struct trace_header) {
		.cpus = 1,
		.threads = 1,
		.pages = TRACE__PAGES_DEFAULT,
		.slabs_keep = TRACE__KEEP_DEFAULT,
		.sched = TRACE_SCHED_RECORDED,
		.sticky = 1,
	};
	trace__header_reserves(h);
}

void
trace_header_fini(struct trace_header *h)
{
	for (uint32_t i = 0; i < h->strs_cap; i++)
		free(h->str[i]);
	free(h->str);
	h->str = NULL;
	h->nstrs = h->strs_cap = 0;
	free(h->deviation);
	h->deviation = NULL;
	h->ndeviations = 0;
}

int
trace_header_copy(struct trace_header *ret_dst, const struct trace_header *src)
{
	struct trace_header h = *src;

	h.str = NULL;
	h.nstrs = h.strs_cap = 0;
	h.deviation = NULL;
	if (h.ndeviations > 0) {
		size_t cap = 1;

		while (cap < h.ndeviations)
			cap *= 2; /* as trace__header_deviation() expects */
		h.deviation = malloc(cap * sizeof(*h.deviation));
		if (h.deviation == NULL)
			return (ENOMEM);
		memcpy(h.deviation, src->deviation,
		    h.ndeviations * sizeof(*h.deviation));
	}
	for (uint32_t i = 0; i < src->nstrs; i++) {
		if (trace_str_intern(&h, src->str[i], strlen(src->str[i])) ==
		    UINT32_MAX) {
			trace_header_fini(&h);
			return (ENOMEM);
		}
	}
	TRACE__ASSERT(h.nstrs == src->nstrs);
	*ret_dst = h;
	return (0);
}

/* The hash index behind the pointers. */
static uint32_t *
str_slots(const struct trace_header *h)
{
	return ((uint32_t *)(void *)(h->str + h->strs_cap));
}

static uint32_t
str_hash(const char *s, size_t len)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)s[i]) * 16777619u;
	return (hash);
}

/* The slot of an equal string, or the free slot where it belongs. */
static uint32_t *
str_find(const struct trace_header *h, const char *s, size_t len)
{
	const uint32_t mask = 2 * h->strs_cap - 1;
	uint32_t *const slots = str_slots(h);
	uint32_t i = str_hash(s, len) & mask;

	while (slots[i] != 0) {
		const char *known = h->str[slots[i] - 1];

		if (memcmp(known, s, len) == 0 && known[len] == '\0')
			break;
		i = (i + 1) & mask;
	}
	return (&slots[i]);
}

/* Empties the index. */
static void
str_forget(struct trace_header *h)
{
	if (h->strs_cap != 0)
		memset(str_slots(h), 0, 2 * h->strs_cap * sizeof(uint32_t));
}

void
trace__header_reset(struct trace_header *h)
{
	char **const str = h->str;
	const uint32_t cap = h->strs_cap;

	free(h->deviation);
	trace_header_init(h);
	h->str = str;
	h->strs_cap = cap;
	str_forget(h);
}

void
trace__header_strs_moved(struct trace_header *h, uint32_t n)
{
	h->nstrs = n;
	str_forget(h);
	for (uint32_t i = 0; i < n; i++)
		*str_find(h, h->str[i], strlen(h->str[i])) = i + 1;
}

static int
str_grow(struct trace_header *h)
{
	const struct trace_header old = *h;
	const uint32_t cap =
	    old.strs_cap == 0 ? STRS_CAP_MIN : 2 * old.strs_cap;

	h->str = calloc(cap, sizeof(char *) + 2 * sizeof(uint32_t));
	if (h->str == NULL) {
		h->str = old.str;
		return (ENOMEM);
	}
	h->strs_cap = cap;
	for (uint32_t i = 0; i < old.nstrs; i++) {
		h->str[i] = old.str[i];
		*str_find(h, h->str[i], strlen(h->str[i])) = i + 1;
	}
	free(old.str);
	return (0);
}

uint32_t
trace_str_intern(struct trace_header *h, const char *s, size_t len)
{
	/* Zeroed to its end, so that comparing len bytes of it is in bounds. */
	char clean[TRACE_STR_MAX + 1] = { 0 };

	if (len > TRACE_STR_MAX)
		len = TRACE_STR_MAX;
	for (size_t i = 0; i < len; i++)
		clean[i] = s[i] < 0x20 || s[i] > 0x7e ? '?' : s[i];
	if (len == 0)
		clean[len++] = '?';
	if (h->nstrs == h->strs_cap && str_grow(h) != 0)
		return (UINT32_MAX);
	uint32_t *const slot = str_find(h, clean, len);
	if (*slot != 0)
		return (*slot - 1);
	if (h->nstrs == TRACE__STRS_MAX)
		return (UINT32_MAX);
	/* Full size: known[len] and memcmp() above stay inside. */
	char *copy = h->str[h->nstrs];
	if (copy == NULL && (copy = malloc(sizeof(clean))) == NULL)
		return (UINT32_MAX);
	memcpy(copy, clean, sizeof(clean));
	h->str[h->nstrs] = copy;
	*slot = ++h->nstrs;
	return (*slot - 1);
}

const char *
trace_str(const struct trace_header *h, uint64_t index)
{
	return (index < h->nstrs ? h->str[index] : "?");
}

int
trace__header_deviation(
    struct trace_header *h, const struct trace_deviation *deviation)
{
	const uint32_t n = h->ndeviations;

	/* The capacity is the power of two that holds n: grow when n is one. */
	if (h->deviation == NULL || (n & (n - 1)) == 0) {
		const size_t cap = n == 0 ? 1 : 2 * (size_t)n;
		struct trace_deviation *grown =
		    realloc(h->deviation, cap * sizeof(*grown));

		if (grown == NULL)
			return (ENOMEM);
		h->deviation = grown;
	}
	h->deviation[h->ndeviations++] = *deviation;
	return (0);
}

int
trace__deviation_compare(
    const struct trace_deviation *x, const struct trace_deviation *y)
{
	if (x->thread != y->thread)
		return (x->thread < y->thread ? -1 : 1);
	if (x->op != y->op)
		return (x->op < y->op ? -1 : 1);
	if (x->point != y->point)
		return (x->point < y->point ? -1 : 1);
	return (0);
}

bool
trace__deviation_thread(const struct trace_header *h, uint64_t thread)
{
	return (thread < h->threads ||
	    (thread >= TRACE_THREADS_MAX &&
		thread < TRACE_THREADS_MAX + TRACE_DAEMONS_MAX));
}

static int
by_place(const void *a, const void *b)
{
	return (trace__deviation_compare(a, b));
}

static const char *
deviations_check(const struct trace_header *h)
{
	if (h->ndeviations > TRACE__DEVIATIONS_MAX)
		return ("more deviations than 4096");
	for (uint32_t i = 0; i < h->ndeviations; i++) {
		const struct trace_deviation *d = &h->deviation[i];

		if (!trace__deviation_thread(h, d->thread))
			return ("deviation of an unknown thread");
		if (i > 0 && trace__deviation_compare(d - 1, d) >= 0)
			return ("deviations are not sorted");
		if ((unsigned)d->what >= TRACE_DEVIATE_COUNT)
			return ("deviation is unknown");
		if (d->n > UINT16_MAX ||
		    (d->n != 0 && !trace_deviate_has_number(d->what)))
			return ("number of a deviation is out of range");
	}
	return (NULL);
}

static const char *
lists_check(const struct trace_header *h)
{
	if (h->nfaults > TRACE_FAULTS_MAX)
		return ("more faults than 8");
	for (uint32_t i = 0; i < h->nfaults; i++) {
		const struct trace_fault *f = &h->fault[i];

		if ((unsigned)f->mode >= TRACE_FAULT_MODE_COUNT)
			return ("fault mode is unknown");
		if (f->mode == TRACE_FAULT_PROB) {
			if (f->num == 0 || f->num > f->den ||
			    f->den > TRACE__PROB_MAX)
				return ("fault probability is out of range");
		} else if (f->k == 0) {
			return ("fault number is out of range");
		}
	}
	return (deviations_check(h));
}

bool
trace__sched_has_n(enum trace_sched_mode sched)
{
	return (sched == TRACE_SCHED_STICKY || sched == TRACE_SCHED_PCT);
}

const char *
trace__header_check(const struct trace_header *h)
{
	uint16_t place = 0; /* the highest */

	if (h->cpus < 1 || h->cpus > TRACE_CPUS_MAX)
		return ("cpus is out of range");
	if (h->threads < 1 || h->threads > TRACE_THREADS_MAX)
		return ("threads is out of range");
	if (h->pages < TRACE_PAGES_MIN || h->pages > TRACE_PAGES_MAX)
		return ("pages is out of range");
	if (h->reserve_system > h->pages / 2)
		return ("system reserve is more than half of the pages");
	if (h->reserve_interrupt > h->reserve_system)
		return ("interrupt reserve is more than the system reserve");
	if (h->slabs_keep > TRACE__KEEP_MAX)
		return ("keep is out of range");
	if ((h->debug & ~(uint32_t)KA_DEBUG_ALL) != 0)
		return ("debug has unknown bits");
	if ((unsigned)h->sched >= TRACE_SCHED_MODE_COUNT)
		return ("schedule is unknown");
	if (trace__sched_has_n(h->sched) &&
	    (h->sticky < 1 || h->sticky > TRACE__STICKY_MAX))
		return ("sticky is out of range");
	if ((unsigned)h->memory >= TRACE_MEMORY_COUNT)
		return ("memory model is unknown");
	if ((h->may & ~TRACE_MAY_ALL) != 0)
		return ("may has unknown bits");
	for (uint32_t t = 0; t < h->threads; t++)
		place = h->thread_cpu[t] > place ? h->thread_cpu[t] : place;
	if (place >= h->cpus)
		return ("start CPU of a thread is out of range");
	return (lists_check(h));
}

static uint32_t
clamp(uint32_t value, uint32_t least, uint32_t most)
{
	return (value < least ? least : value > most ? most : value);
}

static void
faults_repair(struct trace_header *h)
{
	uint32_t kept = 0;

	if (h->nfaults > TRACE_FAULTS_MAX)
		h->nfaults = TRACE_FAULTS_MAX;
	for (uint32_t i = 0; i < h->nfaults; i++) {
		struct trace_fault f = h->fault[i];

		if ((unsigned)f.mode >= TRACE_FAULT_MODE_COUNT)
			continue;
		if (f.mode == TRACE_FAULT_PROB) {
			f.k = 0;
			f.den = clamp(f.den, 1, TRACE__PROB_MAX);
			f.num = clamp(f.num, 1, f.den);
		} else {
			f.num = f.den = 0;
			f.seed = 0;
			if (f.k == 0)
				continue;
		}
		h->fault[kept++] = f;
	}
	h->nfaults = kept;
}

/* Threads that are, on CPUs that are; threads that are not, as by default. */
static void
places_repair(struct trace_header *h)
{
	uint16_t place[TRACE_THREADS_MAX];

	memcpy(place, h->thread_cpu, h->threads * sizeof(*place));
	trace__header_thread_cpus(h);
	for (uint32_t t = 0; t < h->threads; t++)
		h->thread_cpu[t] =
		    place[t] < h->cpus ? place[t] : h->thread_cpu[t];
}

static void
deviations_repair(struct trace_header *h)
{
	uint32_t kept = 0;

	if (h->ndeviations == 0)
		return;
	qsort(h->deviation, h->ndeviations, sizeof(*h->deviation), by_place);
	for (uint32_t i = 0; i < h->ndeviations; i++) {
		struct trace_deviation d = h->deviation[i];

		if (kept == TRACE__DEVIATIONS_MAX)
			break;
		if (!trace__deviation_thread(h, d.thread) ||
		    (unsigned)d.what >= TRACE_DEVIATE_COUNT)
			continue;
		d.n &= UINT16_MAX;
		if (!trace_deviate_has_number(d.what))
			d.n = 0;
		if (kept > 0 &&
		    trace__deviation_compare(&h->deviation[kept - 1], &d) == 0)
			continue;
		h->deviation[kept++] = d;
	}
	h->ndeviations = kept;
	if (kept == 0) {
		free(h->deviation);
		h->deviation = NULL;
	}
}

void
trace__header_repair(struct trace_header *h)
{
	h->cpus = clamp(h->cpus, 1, TRACE_CPUS_MAX);
	h->threads = clamp(h->threads, 1, TRACE_THREADS_MAX);
	h->pages = clamp(h->pages, TRACE_PAGES_MIN, TRACE_PAGES_MAX);
	h->reserve_system = clamp(h->reserve_system, 0, h->pages / 2);
	h->reserve_interrupt =
	    clamp(h->reserve_interrupt, 0, h->reserve_system);
	h->slabs_keep = clamp(h->slabs_keep, 0, TRACE__KEEP_MAX);
	h->debug &= KA_DEBUG_ALL;
	if ((unsigned)h->sched >= TRACE_SCHED_MODE_COUNT)
		h->sched = TRACE_SCHED_RECORDED;
	if (h->sched == TRACE_SCHED_RECORDED)
		h->sched_seed = 0;
	if ((unsigned)h->memory >= TRACE_MEMORY_COUNT)
		h->memory = TRACE_MEMORY_SC;
	h->may &= TRACE_MAY_ALL;
	h->sticky = trace__sched_has_n(h->sched) ?
	    clamp(h->sticky, 1, TRACE__STICKY_MAX) :
	    1;
	places_repair(h);
	faults_repair(h);
	deviations_repair(h);
	TRACE__ASSERT(trace__header_check(h) == NULL);
}
