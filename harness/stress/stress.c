/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab-stress: a trace on real threads, for what the simulation cannot show:
 * the host's port, the hardware's memory, and ThreadSanitizer's opinion.
 *
 * Every thread of the trace is an OS thread; the library is delayed at the
 * points at which the simulation would choose. There is no model in lockstep.
 * What is checked is:
 *
 *   contents   a pattern, written after the allocation, verified before the
 *              free; zeroes where they are promised; what a cache, pipe or
 *              zone has kept is as it was left
 *   history    no two objects were certainly live in the same bytes; no limit
 *              was certainly exceeded; no refusal was without a cause
 *   the end    statistics are what was done, callbacks pair, audits are clean,
 *              all pages are back, nobody is stuck
 *
 * Misuse of objects and faults of the trace are left out; the page budget is
 * made large enough that nobody has to wait for pages.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kalloc/kalloc.h>

#include "gen/gen.h"
#include "stress_int.h"

struct stress stress;

static bool delays = true;

uint64_t
stress__stamp(void)
{
	return (
	    atomic_fetch_add_explicit(&stress.now, 1, memory_order_relaxed) +
	    1);
}

void
stress__fail(const struct trace_op *op, const char *clause,
    const char *expected, const char *found)
{
	if (atomic_exchange(&stress.failed, true))
		return;
	(void)printf("finding: clause %s is broken\n", clause);
	if (op == NULL)
		(void)printf("  operation  end of run\n");
	else
		(void)printf("  operation  %s, line %llu, thread %u\n",
		    trace_ops[op->code].name, (unsigned long long)op->line,
		    op->thread);
	(void)printf("  expected   %s\n  found      %s\n", expected, found);
	(void)fflush(stdout);
}

/* What callbacks charge that have no type of their own. */
static void
make_action_type(void)
{
	struct call c = { .code = TRACE_OP_KMALLOC_CREATE,
		.type = ACTION_TYPE,
		.str = "callbacks" };
	struct owner *o = &stress.owner[stress.nowners++];

	o->class = TRACE_TYPE;
	o->reg = ACTION_TYPE;
	o->root = o;
	o->lenient = true;
	o->alive = true;
	if (!stress__exec(&stress.caller[STRESS_CALLER_MAIN], &c))
		abort();
	stress.howner[o->id] =
	    (struct history_owner) { .least = HISTORY_NO_LIMIT,
		    .most = HISTORY_NO_LIMIT,
		    .over = "KM-6",
		    .refused = "KM-7" };
	stress.action_type = o;
}

/* False: threads are left behind, and nothing can be done any more. */
static bool
run(uint64_t seed)
{
	const struct trace_header *h = &stress.trace.header;
	struct subject_config c = { .threads = h->threads,
		.pages = KALLOC_PAGES_MAX / 4,
		.slabs_keep = h->slabs_keep,
		.debug = h->debug,
		.callback = stress__callback,
		.callback_done = stress__callback_done,
		.nested = stress__nested };

	/* Fewer CPUs than threads: the spare one is used too. */
	c.cpus = h->threads > 2 ? (h->threads + 1) / 2 : h->threads;
	stress.ncpus = c.cpus;
	stress__delays(seed, delays);
	if (stress.subject->boot(&c) != 0)
		abort();
	stress__prepare(seed);
	stress__set_self(&stress.caller[STRESS_CALLER_MAIN]);
	make_action_type();
	if (!stress__threads())
		return (false);
	stress__end();
	stress__free_jobs();
	if (!stress.failed)
		stress.subject->halt();
	return (!stress.failed);
}

static int
load(const char *name)
{
	struct trace_reader *r;
	struct trace_error e;
	char line[768];

	if (trace_reader_open(&r, name, &e) == 0) {
		if (trace_load(&stress.trace, r, &e) == 0) {
			trace_reader_close(r);
			return (0);
		}
		trace_reader_close(r);
	}
	trace_error_format(&e, line, sizeof(line));
	(void)fprintf(stderr, "%s\n", line);
	return (2);
}

static void
generate(uint64_t seed)
{
	/* Every other one on kmalloc alone, as deep as that goes. */
	struct gen_options g = { .seed = seed,
		.ops = 4000,
		.threads = 8,
		.cpus = 4,
		.kmalloc_only = seed % 2 == 0 };

	if (gen_trace(&g, &stress.trace) != 0)
		abort();
}

static int
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab-stress [--no-delays] [--runs n] [--seed n] [file ...]\n"
	    "  traces on real threads; without a file, generated ones\n");
	return (f == stdout ? 0 : 2);
}

static bool
number(const char *option, const char *text, uint64_t *ret)
{
	char *end;

	if (*text >= '0' && *text <= '9') {
		*ret = strtoull(text, &end, 0);
		if (*end == '\0')
			return (true);
	}
	(void)fprintf(
	    stderr, "kalab-stress: --%s: not a number: %s\n", option, text);
	return (false);
}

/* All runs; the exit status. */
static int
run_all(int nfiles, char **file, uint64_t runs, uint64_t seed)
{
	uint64_t i, ops = 0, delayed = 0;
	int at;

	for (i = 0; i < runs; i++)
		for (at = 0; at < nfiles || (at == 0 && nfiles == 0); at++) {
			const char *name = nfiles == 0 ? "" : file[at];

			if (nfiles == 0)
				generate(seed + i);
			else if (load(name) != 0)
				return (2);
			if (!run(seed + i)) {
				(void)printf(
				    "  replay     kalab-stress --seed %llu %s\n",
				    (unsigned long long)(seed + i), name);
				(void)fflush(stdout);
				/* Threads that sleep for ever do not keep it. */
				_exit(1);
			}
			ops += stress.trace.nops;
			delayed += stress__delayed();
			trace_fini(&stress.trace);
		}
	(void)printf("clean: %llu operations on real threads, %llu delays, "
		     "%llu sleepers helped\n",
	    (unsigned long long)ops, (unsigned long long)delayed,
	    (unsigned long long)stress.rescues);
	return (0);
}

int
stress_main(const struct subject *subject, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "no-delays", no_argument, NULL, 'n' },
		{ "runs", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t seed = 1, runs = 1;
	int c;

	stress.subject = subject;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'h':
			return (usage(stdout));
		case 'n':
			delays = false;
			break;
		case 'r':
			if (!number("runs", optarg, &runs))
				return (2);
			break;
		case 's':
			if (!number("seed", optarg, &seed))
				return (2);
			break;
		default:
			return (usage(stderr));
		}
	return (run_all(argc - optind, argv + optind, runs, seed));
}
