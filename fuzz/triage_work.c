/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What triage does to one input, in a process of its own.
 *
 * An input is a trace, or the bytes of a target. Of a target of operations
 * "fuzz_NAME --show" tells which trace it ran. A trace is judged by this
 * kalab first; what kalab does not see, as a report of a sanitizer that it is
 * not built with, is judged by the target's programs, in the order of
 * `programs`. Such a trace is shrunk by the kalab of that program's build, if
 * there is one; bytes of other targets by these programs themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/corpus.h"
#include "shrink/shrink.h"
#include "triage_int.h"

#define SAID_MAX  (1u << 18)
#define SHOW_TIME 20u

/* What their names have behind that of the target. */
static const char *const programs[] = { "", "_libfuzzer", "_afl" };
#define PROGRAMS (sizeof(programs) / sizeof(*programs))

static char said[SAID_MAX];

static void
cannot(struct triage_outcome *o, const char *what)
{
	o->done = TRIAGE_CANNOT;
	(void)snprintf(o->error, sizeof(o->error), "%.300s", what);
}

static bool
input_name(const struct triage *t, const struct triage_item *i,
    char path[CAMPAIGN_PATH])
{
	return (campaign_path(path, "%s/%s/findings/%s", t->options->directory,
	    i->target, i->file));
}

static void
find_program(const struct triage *t, const struct triage_item *i, unsigned n,
    char path[CAMPAIGN_PATH])
{
	char name[64];

	(void)snprintf(name, sizeof(name), "fuzz_%s%s", i->target, programs[n]);
	campaign_find(t->options->bin, name, path);
}

/* ---- The trace ----------------------------------------------------------- */

enum kind {
	KIND_TRACE,
	KIND_BYTES, /* the target is over bytes */
	KIND_NONE   /* after cannot() */
};

static enum kind
load_file(const char *name, struct trace *ret_t, struct triage_outcome *o)
{
	struct trace_reader *r;
	struct trace_error e;
	char line[768];
	int error = trace_reader_open(&r, name, &e);

	if (error == 0) {
		error = trace_load(ret_t, r, &e);
		trace_reader_close(r);
	}
	if (error == 0)
		return (KIND_TRACE);
	trace_error_format(&e, line, sizeof(line));
	cannot(o, line);
	return (KIND_NONE);
}

/* What the target says that it runs for the input. */
static enum kind
load_shown(const struct triage *t, const struct triage_item *i,
    const char *input, struct trace *ret_t, struct triage_outcome *o)
{
	char exe[CAMPAIGN_PATH] = "", why[320];
	struct trace_reader *r;
	struct trace_error e;
	int status = -1;

	for (unsigned n = 0; n < PROGRAMS && exe[0] == '\0'; n++)
		if (n != 1) /* libFuzzer's has no such options */
			find_program(t, i, n, exe);
	if (exe[0] == '\0') /* nobody knows what it means */
		return (KIND_BYTES);
	status = campaign_run_quietly(
	    exe, "--groups", NULL, SHOW_TIME, said, sizeof(said));
	if (status == 0 && strtoul(said, NULL, 0) == 0)
		return (KIND_BYTES);
	if (status == 0)
		status = campaign_run_quietly(
		    exe, "--show", input, SHOW_TIME, said, sizeof(said));
	if (status == 0 &&
	    trace_reader_open_mem(&r, input, said, strlen(said), &e) == 0) {
		status = trace_load(ret_t, r, &e);
		trace_reader_close(r);
		if (status == 0)
			return (KIND_TRACE);
	}
	said[strcspn(said, "\n")] = '\0';
	(void)snprintf(
	    why, sizeof(why), "%.150s cannot show it: %.150s", exe, said);
	cannot(o, why);
	return (KIND_NONE);
}

static enum kind
load(const struct triage *t, const struct triage_item *i, struct trace *ret_t,
    struct triage_outcome *o)
{
	char input[CAMPAIGN_PATH], text[CAMPAIGN_PATH];

	if (!input_name(t, i, input))
		return (KIND_NONE);
	if (strcmp(i->target, "file") == 0)
		return (load_file(input, ret_t, o));
	if (!campaign_path(text, "%s/%s/traces/%s-%s.trace",
		t->options->directory, i->target, i->target, i->file))
		return (KIND_NONE);
	/* The target wrote it when it broke. */
	if (access(text, R_OK) == 0)
		return (load_file(text, ret_t, o));
	return (load_shown(t, i, input, ret_t, o));
}

/* ---- The first pass ------------------------------------------------------ */

static const struct shrink_options *
options(const struct triage *t)
{
	static struct shrink_options o;

	o = (struct shrink_options) { .run = { .subject = subjects[0] },
		.log = t->options->log,
		.stop = t->options->stop };
	return (&o);
}

static bool
shows(const struct trace *trace, const struct shrink_options *o,
    struct shrink_verdict *ret_v)
{
	shrink_judge(trace, o, ret_v);
	return (ret_v->outcome == SHRINK_FINDS ||
	    ret_v->outcome == SHRINK_DIES || ret_v->outcome == SHRINK_HANGS);
}

/* Asks the target's programs. */
static void
judge_by_program(const struct triage *t, const struct triage_item *i,
    struct triage_outcome *o)
{
	char input[CAMPAIGN_PATH], exe[CAMPAIGN_PATH];

	o->done = TRIAGE_CLEAN;
	if (strcmp(i->target, "file") == 0 || !input_name(t, i, input))
		return;
	for (unsigned n = 0; n < PROGRAMS; n++) {
		find_program(t, i, n, exe);
		if (exe[0] == '\0' ||
		    !campaign_engine_judge(
			exe, input, TRIAGE_PROGRAM_TIME, o->row.signature))
			continue;
		o->done = TRIAGE_SHOWN;
		(void)snprintf(
		    o->row.program, sizeof(o->row.program), "%s", exe);
		return;
	}
}

void
triage_judge(const struct triage *t, const struct triage_item *i,
    struct triage_outcome *o)
{
	struct shrink_verdict v = { .outcome = SHRINK_RUNS_CLEAN };
	struct trace trace;
	enum kind kind;

	trace_init(&trace);
	kind = load(t, i, &trace, o);
	if (kind == KIND_NONE)
		return;
	o->ops = trace.nops;
	if (kind == KIND_TRACE && shows(&trace, options(t), &v)) {
		o->done = TRIAGE_SHOWN;
		(void)snprintf(o->row.signature, sizeof(o->row.signature), "%s",
		    v.finding.signature);
	} else if (v.outcome == SHRINK_CANNOT) {
		cannot(o, v.error.what);
	} else {
		judge_by_program(t, i, o);
	}
	trace_fini(&trace);
}

/* ---- The second pass ----------------------------------------------------- */

/* How many of so many runs of the trace show the signature. */
static uint32_t
count_shown(const struct triage *t, const struct triage_item *i,
    const struct trace *trace, struct shrink_verdict *ret_v)
{
	const uint32_t replays = t->options->replays;
	char input[CAMPAIGN_PATH], signature[160];
	struct shrink_verdict v;
	uint32_t n = 0;

	for (uint32_t k = 0; k < replays; k++) {
		bool same;

		if (i->program[0] != '\0') {
			same = input_name(t, i, input) &&
			    campaign_engine_judge(i->program, input,
				TRIAGE_PROGRAM_TIME, signature) &&
			    strcmp(signature, i->signature) == 0;
		} else {
			same = shows(trace, options(t), &v) &&
			    strcmp(v.finding.signature, i->signature) == 0;
			if (same)
				*ret_v = v;
		}
		n += same;
	}
	return (n);
}

static void
describe(struct triage_row *r, const struct shrink_verdict *v)
{
	const struct finding *f = &v->finding;

	(void)snprintf(r->clause, sizeof(r->clause), "%s", f->clause);
	(void)snprintf(r->operation, sizeof(r->operation), "%s", f->operation);
	(void)snprintf(r->expected, sizeof(r->expected), "%s", f->expected);
	(void)snprintf(r->found, sizeof(r->found), "%s", f->found);
	(void)snprintf(r->source, sizeof(r->source), "%s", v->source);
	r->line = f->line;
	r->thread = f->thread;
}

/* The trace is shrunk and written; then read again and replayed, as whoever
 * gets the file will do. */
static void
shrink_trace(const struct triage *t, const struct triage_item *i,
    const char *kept, double seconds, struct trace *trace,
    struct triage_outcome *o)
{
	struct shrink_options so = *options(t);
	struct triage_row *r = &o->row;
	static struct shrink_result result;
	struct shrink_deviations d;
	struct shrink_verdict v = { 0 };
	enum shrink_status status;
	const bool again = i->kept[0] != '\0';
	struct trace_error e;
	char line[768], replay[64];

	(void)snprintf(replay, sizeof(replay), "kalab replay %" PRId64 ".trace",
	    i->row.id);
	r->ops_before = again ? i->row.ops_before : trace->nops;
	r->shown_first =
	    again ? i->row.shown_first : count_shown(t, i, trace, &v);
	so.seconds = seconds;
	status = shrink_pinned(trace, &so, &result, &d);
	if (status == SHRINK_FAILED || status == SHRINK_CLEAN) {
		cannot(o,
		    status == SHRINK_CLEAN ? "it does not show it any more" :
					     result.verdict.error.what);
		return;
	}
	if (shrink_write(trace, &result, kept, replay, &e) != 0) {
		trace_error_format(&e, line, sizeof(line));
		cannot(o, line);
		return;
	}
	trace_fini(trace);
	if (load_file(kept, trace, o) == KIND_NONE)
		return;
	v = result.verdict;
	r->shown = count_shown(t, i, trace, &v);
	describe(r, &v);
	r->ops_after = trace->nops;
	r->seconds = i->row.seconds + result.seconds;
	r->complete = status == SHRINK_DONE;
	o->done = TRIAGE_SHOWN;
}

/* "DIRECTORY/fuzz/PROGRAM": the kalab of the same build, if it is another. */
static bool
kalab_beside(const char *program, char path[CAMPAIGN_PATH])
{
	const char *slash = strrchr(program, '/');
	struct stat own, other;

	return (slash != NULL &&
	    campaign_path(path, "%.*s/../harness/cli/kalab",
		(int)(slash - program), program) &&
	    stat(path, &other) == 0 && stat("/proc/self/exe", &own) == 0 &&
	    (own.st_dev != other.st_dev || own.st_ino != other.st_ino));
}

/* Seconds for what could go on for very long. */
static double
of_some(double seconds)
{
	return (seconds > 1 ? seconds : 60.0);
}

/* Only a program shows it: its build's kalab shrinks it, if it can. True: the
 * file is there. */
static bool
shrink_beside(const struct triage *t, const struct triage_item *i,
    const char *from, const char *kept, double seconds)
{
	char kalab[CAMPAIGN_PATH], time[32];
	int status = -1;
	pid_t pid;

	(void)t;
	if (!kalab_beside(i->program, kalab))
		return (false);
	(void)snprintf(time, sizeof(time), "%.0f", of_some(seconds));
	pid = fork();
	if (pid == 0) {
		const int null = open("/dev/null", O_WRONLY);

		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)execl(kalab, kalab, "shrink", "--quiet", "--time", time,
		    "-o", kept, from, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return (pid > 0 && status == 0);
}

static void
describe_program(const struct triage_item *i, struct triage_row *r)
{
	(void)snprintf(r->operation, sizeof(r->operation), "run");
	(void)snprintf(
	    r->expected, sizeof(r->expected), "the run ends, with a verdict");
	(void)snprintf(r->found, sizeof(r->found), "%.120s", i->signature);
	(void)snprintf(r->program, sizeof(r->program), "%.1000s", i->program);
}

static void
keep_for_program(const struct triage *t, const struct triage_item *i,
    const char *kept, double seconds, struct trace *trace,
    struct triage_outcome *o)
{
	struct triage_row *r = &o->row;
	char from[CAMPAIGN_PATH];
	struct shrink_verdict v;
	struct trace_error e;
	bool smaller;

	describe_program(i, r);
	r->shown_first = r->shown = count_shown(t, i, trace, &v);
	r->complete = true;
	r->ops_before = r->ops_after = trace->nops;
	if (trace->nops == 0) {
		if (!input_name(t, i, from) ||
		    !triage_shrink_bytes(
			t, i, from, kept, of_some(seconds), &r->complete))
			cannot(o, strerror(errno));
		else
			o->done = TRIAGE_SHOWN;
		return;
	}
	if (!campaign_path(from, "%s.whole", kept) ||
	    trace_save(trace, from, TRACE_TEXT, &e) != 0) {
		cannot(o, e.what);
		return;
	}
	smaller = shrink_beside(t, i, from, kept, seconds);
	if (!smaller && rename(from, kept) != 0) {
		cannot(o, strerror(errno));
		return;
	}
	(void)unlink(from);
	trace_fini(trace);
	if (load_file(kept, trace, o) == KIND_NONE)
		return;
	r->ops_after = trace->nops;
	o->done = TRIAGE_SHOWN;
}

void
triage_shrink(const struct triage *t, const struct triage_item *i,
    const char *kept, double seconds, struct triage_outcome *o)
{
	char before[CAMPAIGN_PATH];
	struct trace trace;
	enum kind kind;

	(void)snprintf(
	    o->row.signature, sizeof(o->row.signature), "%s", i->signature);
	o->row.replays = t->options->replays;
	trace_init(&trace);
	/* What an earlier triage had no time for goes on where it was. */
	if (i->kept[0] != '\0' && i->program[0] == '\0' &&
	    campaign_path(before, "%s/%s", t->options->directory, i->kept) &&
	    access(before, R_OK) == 0)
		kind = load_file(before, &trace, o);
	else
		kind = load(t, i, &trace, o);
	if (kind == KIND_NONE)
		return;
	if (i->program[0] != '\0')
		keep_for_program(t, i, kept, seconds, &trace, o);
	else
		shrink_trace(t, i, kept, seconds, &trace, o);
	trace_fini(&trace);
}
