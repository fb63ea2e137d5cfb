/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One input of an engine: decoded, run with all oracles on, judged.
 *
 * One input in DETERMINISM, chosen by its hash so that a replay chooses the
 * same, is run a second time without feedback: the event hash and the verdict
 * must be equal (G-10), and watching must not change what is watched. The plain
 * driver does so with every input. For one in HALTS the system is asked to end
 * (G-1), which a short run would feel.
 */
#include "fuzz_target.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define DETERMINISM 64u
#define HALTS	    16u

static struct fuzz_trace input;
static const struct subject *watched;
bool fuzz_always_twice;

/*
 * AddressSanitizer keeps freed memory from use, 256 MB of it by default: no
 * execution had a page twice. The laboratory's own memory is little.
 */
const char *__asan_default_options(void);
__attribute__((used, visibility("default"))) const char *
__asan_default_options(void)
{
	return ("quarantine_size_mb=8");
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (watched == NULL)
		watched = fuzz_feedback_subject(subjects[0]);
	return (0);
}

/* All lines of a finding begin alike: campaigns read them. */
void
fuzz_fail(const char *signature, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "fuzz_%s: ", fuzz_target.name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\n  signature  %s\n", signature);
	(void)fflush(stderr);
	abort();
}

/* The trace goes to the directory that the environment names, if any. */
static void
keep_trace(uint64_t hash)
{
	const char *dir = getenv("KALAB_FUZZ_TRACES");
	struct trace_error e;
	struct trace t;
	char name[4096], line[768];

	if (dir == NULL || fuzz_trace_copy(&input, &t) != 0)
		return;
	(void)snprintf(name, sizeof(name), "%s/%s-%016" PRIx64 ".trace", dir,
	    fuzz_target.name, hash);
	if (trace_save(&t, name, TRACE_TEXT, &e) == 0) {
		(void)fprintf(stderr, "  trace      %s\n", name);
	} else {
		trace_error_format(&e, line, sizeof(line));
		(void)fprintf(stderr, "  trace      not kept: %s\n", line);
	}
	trace_fini(&t);
}

static void
judge(const struct run_result *r, uint64_t hash)
{
	const struct finding *x = &r->finding;

	if (r->status == RUN_CLEAN)
		return;
	keep_trace(hash);
	if (r->status != RUN_FINDING)
		fuzz_fail("run/failed", "the run failed: %s", r->error.what);
	fuzz_fail(x->signature,
	    "finding: clause %s is broken\n"
	    "  operation  %s, operation %" PRIu64 ", thread %u\n"
	    "  expected   %s\n"
	    "  found      %s%s%s",
	    x->clause, x->operation, x->line, x->thread, x->expected, x->found,
	    r->waits[0] != '\0' ? "\n  waiting\n" : "", r->waits);
}

static void
run_again(const struct run_result *first, uint64_t hash)
{
	const struct run_options options = { .subject = subjects[0],
		.contents = MODEL_CONTENTS_FULL,
		.no_halt = hash % HALTS != 0 };
	const struct run_source source = fuzz_trace_source(&input);
	static struct run_result r;

	run(&source, &options, &r);
	if (r.status == first->status && r.hash == first->hash)
		return;
	keep_trace(hash);
	fuzz_fail("run/G-10/run/hash",
	    "finding: clause G-10 is broken\n"
	    "  operation  run\n"
	    "  expected   hash %016" PRIx64 ", status %d\n"
	    "  found      hash %016" PRIx64 ", status %d in the second run",
	    first->hash, (int)first->status, r.hash, (int)r.status);
}

static void
one_trace(const uint8_t *data, size_t size)
{
	const uint64_t hash = XXH64(data, size, 0);
	const struct run_options options = { .subject = watched,
		.contents = MODEL_CONTENTS_FULL,
		.no_halt = hash % HALTS != 0,
		.state = fuzz_feedback_state,
		.result = fuzz_feedback_result };
	static struct run_result r;
	struct run_source source;

	if (fuzz_trace_decode(&input, fuzz_target.groups, data, size) != 0)
		return; /* out of memory is no finding */
	source = fuzz_trace_source(&input);
	fuzz_feedback_begin();
	run(&source, &options, &r);
	fuzz_feedback_end(&r);
	judge(&r, hash);
	if (fuzz_always_twice || hash % DETERMINISM == 0)
		run_again(&r, hash);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (watched == NULL)
		(void)LLVMFuzzerInitialize(NULL, NULL);
	if (fuzz_target.groups != 0) {
		one_trace(data, size);
	} else {
		fuzz_target.bytes(data, size);
		fuzz_feedback_execution();
	}
	return (0);
}

int
fuzz_show(FILE *f, const uint8_t *data, size_t size)
{
	struct trace_writer *w;
	struct trace_error e;
	struct trace t;
	int error;

	if (fuzz_target.groups == 0)
		return (fwrite(data, 1, size, f) == size ? 0 : -1);
	if (fuzz_trace_decode(&input, fuzz_target.groups, data, size) != 0 ||
	    fuzz_trace_copy(&input, &t) != 0)
		return (-1);
	error = trace_writer_open_stream(&w, f, TRACE_TEXT, &t.header, &e);
	if (error == 0) {
		for (size_t i = 0; error == 0 && i < t.nops; i++)
			error = trace_writer_op(w, &t.op[i]);
		error = trace_writer_close(w, &e); /* tells of both */
	}
	trace_fini(&t);
	return (error != 0 ? -1 : 0);
}
