/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab-stress: a trace on real threads, for the races that a simulation of
 * sequentially consistent steps cannot show, and for ThreadSanitizer.
 *
 * Every thread of the trace is an OS thread that does its operations in order;
 * operations that name the same register keep the order of the trace (the same
 * tickets as in run.h), everything else overlaps as it likes. Threads pause at
 * random. There is no model in lockstep; what is checked is:
 *
 *   contents   a pattern, written after the allocation, verified before the
 *              free (G-2), zeroes with M_ZERO (KM-8)
 *   intervals  an object is certainly live from the return of its allocation
 *              to the beginning of its free: no two such spans of the same
 *              bytes overlap, checked by a sweep over the recorded history
 *   the end    statistics are the sums of what was done (G-7), the audits are
 *              clean, all pages are back (G-8), nobody is stuck (G-5)
 *
 * Misuse and faults of the trace are left out; the page budget is made large
 * enough that nobody has to wait.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <kalloc/kmalloc.h>
#include <kalloc/vm_page.h>

#include "gen/gen.h"
#include "trace/trace.h"
#include "util/random.h"

#define USES_MAX   (TRACE_ARGS_MAX + 1)
#define STUCK_S	   60
#define SIZE_MAX_B (1u << 20) /* larger ones could wait for others' frees */
#define PATTERN_K  UINT64_C(0x9e3779b97f4a7c15)

struct reg {
	_Atomic uint32_t reads_done, writes_done;
	uint32_t reads, writes; /* issued, when tickets are made */
	uint64_t addr, bytes, seed;
	struct malloc_type *type;
	bool live;
};

struct use {
	struct reg *reg;
	uint32_t need_reads, need_writes;
	bool writes;
};

/* A certain life: bytes at addr, between two instants. */
struct life {
	uint64_t addr, bytes, from, to;
};

struct job {
	const struct trace_op *op;
	struct use use[USES_MAX];
	uint32_t nuses;
	struct job *next; /* of the same thread */
};

struct worker {
	pthread_t thread;
	struct job *first, **last;
	uint64_t rng;
	struct life *life;
	size_t nlives, cap;
};

static struct trace trace;
static struct reg *regs[TRACE_CLASS_COUNT];
static struct worker workers[TRACE_THREADS_MAX];
static struct malloc_type *types[KA_TYPES_MAX];
static _Atomic uint64_t now, ended, next_seed;
static _Atomic bool failed;

static void
fail(const struct trace_op *op, const char *clause, const char *what)
{
	if (!atomic_exchange(&failed, true))
		(void)printf("finding: clause %s is broken\n  operation  %s, "
			     "line %llu, thread %u\n  found      %s\n",
		    clause,
		    op == NULL ? "end of run" : trace_ops[op->code].name,
		    op == NULL ? 0ull : (unsigned long long)op->line,
		    op == NULL ? 0u : op->thread, what);
}

static uint64_t
stamp(void)
{
	return (atomic_fetch_add_explicit(&now, 1, memory_order_relaxed) + 1);
}

/* ---- Contents ---------------------------------------------------------- */

static void
fill(const struct reg *r)
{
	uint64_t *p = (uint64_t *)r->addr, i;

	for (i = 0; i < r->bytes / 8; i++)
		p[i] = r->seed + i * PATTERN_K;
}

static bool
holds(const struct reg *r, uint64_t bytes)
{
	const uint64_t *p = (const uint64_t *)r->addr;
	uint64_t i, bad = 0;

	for (i = 0; i < bytes / 8; i++)
		bad |= p[i] ^ (r->seed + i * PATTERN_K);
	return (bad == 0);
}

static bool
is_zero(uint64_t addr, uint64_t bytes)
{
	const uint64_t *p = (const uint64_t *)addr;
	uint64_t i, bad = 0;

	for (i = 0; i < bytes / 8; i++)
		bad |= p[i];
	return (bad == 0);
}

/* ---- Lives ------------------------------------------------------------- */

/* The register's object is there: from is now. */
static void
born(struct worker *w, struct reg *r, uint64_t addr, uint64_t bytes)
{
	(void)w;
	r->addr = addr;
	r->bytes = bytes;
	r->seed = atomic_fetch_add_explicit(
	    &next_seed, PATTERN_K, memory_order_relaxed);
	r->live = true;
	fill(r);
}

static void
note_life(struct worker *w, const struct life *l)
{
	if (w->nlives == w->cap) {
		w->cap = w->cap == 0 ? 1024 : w->cap * 2;
		w->life = realloc(w->life, w->cap * sizeof(*w->life));
		if (w->life == NULL)
			abort();
	}
	w->life[w->nlives++] = *l;
}

/* ---- Operations -------------------------------------------------------- */

static uint64_t
random_of(struct worker *w)
{
	return (random_next(&w->rng));
}

static bool
flags_are_legal(uint64_t flags)
{
	uint64_t family = flags & (M_RNOWAIT | M_WAITOK);

	return ((flags & ~(uint64_t)M_VALID) == 0 && family != 0 &&
	    family != (M_RNOWAIT | M_WAITOK));
}

/* The life's start is kept in the register's neighbour array. */
static uint64_t *born_at;

static void
do_alloc(struct worker *w, const struct trace_op *op, void *p, int flags)
{
	struct reg *r = &regs[TRACE_OBJ][op->out];

	r->live = false;
	if (p == NULL || p == ZERO_LENGTH_PTR)
		return;
	if ((flags & M_ZERO) != 0 &&
	    !is_zero((uintptr_t)p, kmalloc_usable_size(p)))
		fail(op, "KM-8", "a byte that is not zero");
	born_at[op->out] = stamp();
	born(w, r, (uintptr_t)p, kmalloc_usable_size(p));
}

static void
do_kmalloc(struct worker *w, const struct trace_op *op)
{
	struct malloc_type *type =
	    op->arg[1] < KA_TYPES_MAX ? types[op->arg[1]] : NULL;
	int flags = (int)op->arg[2] | M_NULLOK;

	if (type == NULL || op->arg[0] > SIZE_MAX_B ||
	    !flags_are_legal((uint64_t)flags))
		return;
	if (op->code == TRACE_OP_KMALLOC_CACHEALIGN)
		flags |= M_CACHEALIGN;
	if (op->code == TRACE_OP_KMALLOC_POWEROF2)
		flags |= M_POWEROF2;
	do_alloc(w, op, kmalloc(op->arg[0], type, flags), flags);
	regs[TRACE_OBJ][op->out].type = type;
}

static void
do_kfree(struct worker *w, const struct trace_op *op)
{
	struct reg *r = &regs[TRACE_OBJ][op->arg[0]];
	struct life l;

	if (op->arg[0] == TRACE_NOREG || !r->live)
		return;
	if (!holds(r, r->bytes))
		fail(op, "G-2", "the object's contents have changed");
	l = (struct life) { r->addr, r->bytes, born_at[op->arg[0]], stamp() };
	note_life(w, &l);
	r->live = false;
	kfree((void *)r->addr, r->type);
}

static void
do_krealloc(struct worker *w, const struct trace_op *op)
{
	struct reg *r = &regs[TRACE_OBJ][op->arg[0]];
	int flags = ((int)op->arg[3] & ~M_ZERO) | M_NULLOK;
	struct life l;
	struct reg was;
	void *p;

	if (op->arg[0] == TRACE_NOREG || !r->live || op->arg[1] == 0 ||
	    op->arg[1] > SIZE_MAX_B || !flags_are_legal((uint64_t)flags))
		return;
	was = *r;
	l = (struct life) { r->addr, r->bytes, born_at[op->arg[0]], stamp() };
	p = krealloc((void *)r->addr, op->arg[1], r->type, flags);
	if (p == NULL)
		return;
	note_life(w, &l);
	r->addr = (uintptr_t)p;
	r->bytes = kmalloc_usable_size(p);
	if (!holds(r, r->bytes < was.bytes ? r->bytes : was.bytes))
		fail(op, "KM-11", "the common prefix is not kept");
	born_at[op->arg[0]] = stamp();
	born(w, r, r->addr, r->bytes);
}

static void
do_pages(struct worker *w, const struct trace_op *op)
{
	unsigned depth = op->arg[2] & 7;
	struct reg *r;
	void *p;

	(void)w;
	if (op->code == TRACE_OP_VM_PAGE_FREE) {
		if (op->arg[0] == TRACE_NOREG ||
		    !regs[TRACE_RUN][op->arg[0]].live)
			return;
		r = &regs[TRACE_RUN][op->arg[0]];
		if (!holds(r, r->bytes))
			fail(op, "G-2", "the pages' contents have changed");
		r->live = false;
		vm_page_free((void *)r->addr, r->bytes / KA_PAGE_SIZE);
		return;
	}
	r = &regs[TRACE_RUN][op->out];
	r->live = false;
	if (op->arg[0] == 0 || op->arg[0] > 1024 || op->arg[1] > KA_SLAB_SIZE ||
	    (op->arg[1] & (op->arg[1] - 1)) != 0 || depth == 0 ||
	    (depth & (depth - 1)) != 0)
		return;
	p = vm_page_alloc(op->arg[0], op->arg[1], op->arg[2] & 15);
	if (p != NULL)
		born(w, r, (uintptr_t)p, op->arg[0] * KA_PAGE_SIZE);
}

static void
do_op(struct worker *w, const struct trace_op *op)
{
	switch (op->code) {
	case TRACE_OP_KMALLOC_CREATE:
	case TRACE_OP_MALLOC_INIT:
		if (op->out < KA_TYPES_MAX)
			kmalloc_create(&types[op->out],
			    trace_str(&trace.header, op->arg[0]));
		break;
	case TRACE_OP_KMALLOC_SET_UNLIMITED:
		if (op->arg[0] < KA_TYPES_MAX && types[op->arg[0]] != NULL)
			kmalloc_set_unlimited(types[op->arg[0]]);
		break;
	case TRACE_OP_KMALLOC:
	case TRACE_OP_KMALLOC_CACHEALIGN:
	case TRACE_OP_KMALLOC_POWEROF2:
		do_kmalloc(w, op);
		break;
	case TRACE_OP_KFREE:
		do_kfree(w, op);
		break;
	case TRACE_OP_KREALLOC:
		do_krealloc(w, op);
		break;
	case TRACE_OP_VM_PAGE_ALLOC:
	case TRACE_OP_VM_PAGE_FREE:
		do_pages(w, op);
		break;
	case TRACE_OP_KMALLOC_TRIM:
		(void)kmalloc_trim();
		break;
	default:
		break; /* misuse, questions, and what ends types */
	}
}

/* ---- Threads ----------------------------------------------------------- */

static bool
ready(const struct job *j)
{
	uint32_t i;

	for (i = 0; i < j->nuses; i++) {
		const struct use *u = &j->use[i];

		if (atomic_load_explicit(&u->reg->writes_done,
			memory_order_acquire) != u->need_writes)
			return (false);
		if (u->writes &&
		    atomic_load_explicit(&u->reg->reads_done,
			memory_order_acquire) != u->need_reads)
			return (false);
	}
	return (true);
}

static void
leave(const struct job *j)
{
	uint32_t i;

	for (i = 0; i < j->nuses; i++)
		(void)atomic_fetch_add_explicit(j->use[i].writes ?
			&j->use[i].reg->writes_done :
			&j->use[i].reg->reads_done,
		    1, memory_order_acq_rel);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct job *j;

	for (j = w->first; j != NULL; j = j->next) {
		uint64_t r = random_of(w);

		while (!ready(j) && !failed)
			(void)sched_yield();
		if (failed)
			return (NULL);
		if ((r & 63) == 0)
			(void)sched_yield();
		else if ((r & 4095) == 1)
			(void)usleep(50);
		do_op(w, j->op);
		leave(j);
		(void)atomic_fetch_add_explicit(
		    &ended, 1, memory_order_relaxed);
	}
	return (NULL);
}

/* ---- Preparing --------------------------------------------------------- */

static void
add_use(struct job *j, struct reg *r, bool writes)
{
	struct use *u = &j->use[j->nuses++];

	u->reg = r;
	u->writes = writes;
	u->need_writes = r->writes;
	u->need_reads = r->reads;
	if (writes)
		r->writes++;
	else
		r->reads++;
}

static struct job *
make_job(const struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	struct job *j = calloc(1, sizeof(*j));
	unsigned i;

	if (j == NULL)
		abort();
	j->op = op;
	for (i = 0; i < def->nargs; i++) {
		int class = trace_kind_class(def->arg[i]);

		if (class >= 0 && op->arg[i] != TRACE_NOREG)
			add_use(j, &regs[class][op->arg[i]],
			    trace_kind_writes(def->arg[i]));
	}
	if (def->out >= 0)
		add_use(j, &regs[def->out][op->out], true);
	return (j);
}

static void
prepare(uint64_t seed)
{
	uint32_t i, class;
	size_t n;

	for (class = 0; class < TRACE_CLASS_COUNT; class ++) {
		free(regs[class]);
		regs[class] = calloc(trace.nops + 1, sizeof(struct reg));
		if (regs[class] == NULL)
			abort();
	}
	free(born_at);
	born_at = calloc(trace.nops + 1, sizeof(*born_at));
	memset(types, 0, sizeof(types));
	for (i = 0; i < trace.header.threads; i++) {
		free(workers[i].life);
		memset(&workers[i], 0, sizeof(workers[i]));
		workers[i].last = &workers[i].first;
		workers[i].rng = seed * 1000003 + i;
	}
	for (n = 0; n < trace.nops; n++) {
		struct worker *w = &workers[trace.op[n].thread];
		struct job *j = make_job(&trace.op[n]);

		*w->last = j;
		w->last = &j->next;
	}
}

static void
free_jobs(void)
{
	uint32_t i;

	for (i = 0; i < trace.header.threads; i++)
		while (workers[i].first != NULL) {
			struct job *j = workers[i].first;

			workers[i].first = j->next;
			free(j);
		}
}

/* ---- The history ------------------------------------------------------- */

struct event {
	uint64_t at;
	const struct life *life;
	bool end;
};

static int
by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return (x->at < y->at ? -1 : x->at > y->at);
}

/*
 * Sweep over time. Objects are at least 8 bytes and aligned to 8, so that a
 * bit for every 8 bytes of the arena tells what is certainly live.
 */
static void
check_history(uint64_t base, uint64_t bytes)
{
	uint8_t *bits = calloc(1, bytes / 64 + 1);
	struct event *e;
	size_t i, k, n = 0;

	for (i = 0; i < trace.header.threads; i++)
		n += workers[i].nlives * 2;
	e = calloc(n + 1, sizeof(*e));
	if (bits == NULL || e == NULL)
		abort();
	n = 0;
	for (i = 0; i < trace.header.threads; i++)
		for (k = 0; k < workers[i].nlives; k++) {
			const struct life *l = &workers[i].life[k];

			e[n++] = (struct event) { l->from, l, false };
			e[n++] = (struct event) { l->to, l, true };
		}
	qsort(e, n, sizeof(*e), by_time);
	for (i = 0; i < n && !failed; i++) {
		uint64_t at = (e[i].life->addr - base) / 8;
		uint64_t end = at + e[i].life->bytes / 8;

		for (; at < end; at++) {
			uint8_t bit = (uint8_t)(1u << at % 8);

			if (!e[i].end && (bits[at / 8] & bit) != 0)
				fail(NULL, "G-2",
				    "two objects were live in the same bytes");
			bits[at / 8] ^= bit;
		}
	}
	free(bits);
	free(e);
}

/* ---- One run ----------------------------------------------------------- */

static void
check_end(void)
{
	struct vm_page_stats vm;
	const char *found = "", *id;
	uint64_t i;

	for (i = 0; i < trace.nops && !failed; i++) {
		struct reg *r = &regs[TRACE_OBJ][i];

		if (r->live) {
			if (!holds(r, r->bytes))
				fail(NULL, "G-2", "contents have changed");
			kfree((void *)r->addr, r->type);
		}
		r = &regs[TRACE_RUN][i];
		if (r->live)
			vm_page_free((void *)r->addr, r->bytes / KA_PAGE_SIZE);
	}
	for (i = 0; i < KA_TYPES_MAX && !failed; i++) {
		struct kmalloc_stats s;

		if (types[i] == NULL)
			continue;
		kmalloc_type_stats(types[i], &s);
		if (s.inuse != 0 || s.memuse != 0)
			fail(NULL, "G-7",
			    "a type counts objects that are freed");
	}
	if (failed)
		return;
	(void)kmalloc_trim();
	id = kmalloc_audit(&found);
	if (id == NULL)
		id = vm_page_audit(&found);
	if (id != NULL)
		fail(NULL, id, found);
	vm_page_stats(&vm);
	if (vm.free != vm.pages)
		fail(NULL, "G-8", "pages are still held");
}

/* False, and a finding, if nothing ended for long. */
static void
watch(void)
{
	uint64_t last = 0, seen;
	time_t since = time(NULL);

	for (;;) {
		seen = ended;
		if (seen == trace.nops || failed)
			return;
		if (seen != last) {
			last = seen;
			since = time(NULL);
		} else if (time(NULL) - since > STUCK_S) {
			fail(NULL, "G-5", "no operation ended for a minute");
			(void)fflush(stdout);
			_exit(1);
		}
		(void)usleep(2000);
	}
}

static void
stress(const char *name, uint64_t seed)
{
	struct kalloc_config c = { .pages = KALLOC_PAGES_MAX / 4,
		.slabs_keep = trace.header.slabs_keep,
		.debug = trace.header.debug };
	uint32_t i, n = trace.header.threads;
	uint64_t base;
	void *first;

	/* Fewer CPUs than threads: the spare one is used too. */
	c.ncpus = n > 2 ? (n + 1) / 2 : n;
	if (kalloc_boot(&c) != 0)
		abort();
	first = vm_page_alloc(1, 0, VM_ALLOC_INTERRUPT);
	base = (uintptr_t)first;
	vm_page_free(first, 1);
	prepare(seed);
	ended = 0;
	for (i = 0; i < n; i++)
		if (pthread_create(
			&workers[i].thread, NULL, work, &workers[i]) != 0)
			abort();
	watch();
	for (i = 0; i < n; i++)
		(void)pthread_join(workers[i].thread, NULL);
	check_history(base, (uint64_t)c.pages * KA_PAGE_SIZE);
	check_end();
	free_jobs();
	(void)kalloc_halt(true, NULL, NULL);
	if (failed)
		(void)printf("  replay     kalab-stress --seed %llu %s\n",
		    (unsigned long long)seed, name);
}

static int
load(const char *name)
{
	struct trace_reader *r;
	struct trace_error e;
	char line[768];

	if (trace_reader_open(&r, name, &e) == 0) {
		if (trace_load(&trace, r, &e) == 0) {
			trace_reader_close(r);
			return (0);
		}
		trace_reader_close(r);
	}
	trace_error_format(&e, line, sizeof(line));
	(void)fprintf(stderr, "%s\n", line);
	return (2);
}

static int
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab-stress [--seed N] [--runs N] [FILE…]\n"
	    "  traces on real threads; without a file, generated ones\n");
	return (f == stdout ? 0 : 2);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "runs", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t seed = 1, runs = 1, i;
	uint64_t ops = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'h':
			return (usage(stdout));
		case 'r':
			runs = strtoull(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			return (usage(stderr));
		}
	for (i = 0; i < runs && !failed; i++) {
		int at = optind;

		if (at == argc) {
			struct gen_options g = { .seed = seed + i,
				.ops = 4000,
				.threads = 8,
				.cpus = 4,
				.kmalloc_only = true };

			if (gen_trace(&g, &trace) != 0)
				abort();
			stress("", seed + i);
			ops += trace.nops;
			trace_fini(&trace);
		}
		for (; at < argc && !failed; at++) {
			if (load(argv[at]) != 0)
				return (2);
			stress(argv[at], seed + i);
			ops += trace.nops;
			trace_fini(&trace);
		}
	}
	if (!failed)
		(void)printf("clean: %llu operations on real threads\n",
		    (unsigned long long)ops);
	return (failed ? 1 : 0);
}
