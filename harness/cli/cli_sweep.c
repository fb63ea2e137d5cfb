/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab sweep: traces, with each thing that may fail made to fail.
 *
 * A trace runs once as it is, which tells its points (run.h: run_fault); then
 * with the first point of a kind failing, and with the first and all after it;
 * the second; and so on until the run does not come to a k-th point any more.
 * Each run is audited after every operation, what failed is tried again, and
 * all is given back at its end.
 *
 * Jobs are processes that take one trace after the other. What they find is in
 * memory that they share with the parent, so that a job that dies is a finding
 * of the point that it was at; another takes its place.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX   64u
#define TRACES_MAX 4096u
#define FOUND_MAX  8u  /* different findings of a trace that are kept */
#define HANGS	   60u /* seconds: a run that takes so long does not end */

enum swept_state {
	SWEPT_WAITING,
	SWEPT_DONE,
	SWEPT_LONG, /* it has more operations than are wanted */
	SWEPT_BAD,
	SWEPT_INTERRUPTED
};

struct found {
	struct run_inject at;
	struct finding finding;
	char waits[sizeof(((struct run_result *)NULL)->waits)];
	uint64_t times; /* runs with the same signature */
};

/* What came of a trace. */
struct swept {
	enum swept_state state;
	struct run_inject now;	/* being run */
	struct run_injected as; /* of the run without a failure */
	uint64_t runs, fired, retries, refused, helped, blocked, findings;
	uint32_t nfound;
	struct found found[FOUND_MAX];
	struct trace_error error;
};

struct sweep {
	struct run_options run;
	struct run_inject only; /* k != 0: just this run */
	uint64_t jobs, longest;
	bool json, quiet;
	char *name[TRACES_MAX];
	uint64_t n;
	/* Shared. */
	struct swept *swept;
	uint64_t *next; /* to be taken by a job */
	uint64_t *at;	/* of each job: the trace it is at, plus one */
	pid_t pid[JOBS_MAX];
	json_t *results;
	uint64_t printed, findings, bad;
	struct swept sum;
	uint64_t traces, lengthy;
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab sweep [OPTION...] FILE...\n"
	    "  --at KIND:K[+]    only the K-th point of a kind, + and all after "
	    "it;\n"
	    "                    kinds are page, backend, ctor and init\n"
	    "  --contents HOW    full (default), sampled or none\n"
	    "  --jobs N          processes; default 1\n"
	    "  --json            one JSON array instead of text\n"
	    "  --longest N       leave out traces of more than N operations\n"
	    "  --quiet           no progress\n");
}

/* ---- One trace --------------------------------------------------------- */

static void
keep(struct swept *w, const struct run_result *r)
{
	uint32_t i;

	w->findings++;
	for (i = 0; i < w->nfound; i++)
		if (strcmp(w->found[i].finding.signature,
			r->finding.signature) == 0) {
			w->found[i].times++;
			return;
		}
	if (w->nfound == FOUND_MAX)
		return;
	w->found[i].at = w->now;
	w->found[i].finding = r->finding;
	memcpy(w->found[i].waits, r->waits, sizeof(r->waits));
	w->found[i].times = 1;
	w->nfound++;
}

/* A run with what is to fail. False: stopped, or the lab could not. */
static bool
sweep_run(const struct sweep *s, struct swept *w, const struct trace *t,
    struct run_inject at, struct run_injected *ret_did)
{
	struct run_options o = s->run;
	struct run_source source;
	struct run_result r;
	struct run_mem mem;

	w->now = at;
	o.inject = &w->now;
	source = run_source_mem(&mem, t);
	(void)alarm(HANGS);
	run(&source, &o, &r);
	(void)alarm(0);
	*ret_did = r.injected;
	w->runs++;
	w->fired += r.injected.fired;
	w->retries += r.injected.retries;
	w->refused += r.injected.refused;
	w->helped += r.injected.helped;
	w->blocked += r.status == RUN_CLEAN && r.blocked != 0;
	if (r.status == RUN_FINDING)
		keep(w, &r);
	if (r.status == RUN_FAILED || r.status == RUN_BAD_INPUT) {
		w->error = r.error;
		w->state = SWEPT_BAD;
	}
	return (r.status == RUN_CLEAN || r.status == RUN_FINDING);
}

/* What is wrong anyhow says nothing about failures. */
static bool
sweep_all(const struct sweep *s, struct swept *w, const struct trace *t)
{
	struct run_sweep sweep = { .at = s->only };
	struct run_injected did;

	if (!sweep_run(s, w, t, sweep.at, &w->as))
		return (false);
	did = w->as;
	while (s->only.k == 0 && (w->nfound == 0 || w->found[0].at.k != 0) &&
	    run_sweep_next(&sweep, &did))
		if (!sweep_run(s, w, t, sweep.at, &did))
			return (false);
	return (true);
}

/* A thread for the run itself, after those of the trace. */
static void
add_thread(struct trace *t)
{
	if (t->header.threads == TRACE_THREADS_MAX)
		return;
	t->header.thread_cpu[t->header.threads++] = 0;
}

static void
sweep_trace(const struct sweep *s, struct swept *w, const char *name)
{
	struct trace t;

	if (cli_load(&t, name, &w->error) != 0) {
		w->state = SWEPT_BAD;
		return;
	}
	add_thread(&t);
	if (s->longest != 0 && t.nops > s->longest)
		w->state = SWEPT_LONG;
	else if (!sweep_all(s, w, &t) && w->state == SWEPT_WAITING)
		w->state = SWEPT_INTERRUPTED;
	trace_fini(&t);
}

/* ---- Jobs -------------------------------------------------------------- */

static void
job_loop(const struct sweep *s, uint64_t job)
{
	uint64_t i;

	while ((i = __atomic_fetch_add(s->next, 1, __ATOMIC_RELAXED)) < s->n &&
	    !cli_stop) {
		struct swept *w = &s->swept[i];
		enum swept_state state;

		s->at[job] = i + 1;
		sweep_trace(s, w, s->name[i]);
		state = w->state == SWEPT_WAITING ? SWEPT_DONE : w->state;
		s->at[job] = 0;
		/* The state last: the parent looks at it. */
		__atomic_store_n(&w->state, state, __ATOMIC_RELEASE);
	}
}

static bool
start_job(struct sweep *s, uint64_t job)
{
	s->at[job] = 0;
	s->pid[job] = fork();
	if (s->pid[job] == 0) {
		job_loop(s, job);
		_exit(0);
	}
	return (s->pid[job] > 0);
}

/* A job died: of the point that it was at. */
static void
job_died(struct sweep *s, uint64_t job, int status)
{
	struct swept *w;
	struct run_result r;

	if (s->at[job] == 0)
		return;
	w = &s->swept[s->at[job] - 1];
	memset(&r, 0, sizeof(r));
	(void)snprintf(r.finding.clause, sizeof(r.finding.clause), "died");
	(void)snprintf(
	    r.finding.operation, sizeof(r.finding.operation), "the process");
	(void)snprintf(
	    r.finding.expected, sizeof(r.finding.expected), "a run that ends");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		(void)snprintf(r.finding.found, sizeof(r.finding.found),
		    "did not end in %u s", HANGS);
	else
		(void)snprintf(r.finding.found, sizeof(r.finding.found),
		    "%s %d",
		    WIFSIGNALED(status) ? "was killed by signal" :
					  "ended with status",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
					  WEXITSTATUS(status));
	(void)snprintf(
	    r.finding.signature, sizeof(r.finding.signature), "process/died");
	keep(w, &r);
	__atomic_store_n(&w->state, SWEPT_DONE, __ATOMIC_RELEASE);
}

/* ---- What is told ------------------------------------------------------ */

static void
at_text(const struct run_inject *at, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s:%" PRIu64 "%s", run_fault_name(at->kind),
	    at->k, at->on ? "+" : "");
}

static void
replay_command(const struct sweep *s, const struct run_inject *at,
    const char *name, struct cli_command *c)
{
	struct run_options o = s->run;
	char text[48];

	o.audit_every = at->k == 0; /* sweep does it always */
	cli_command_add(c, at->k == 0 ? "kalab replay" : "kalab sweep");
	cli_command_options(c, &o);
	at_text(at, text, sizeof(text));
	if (at->k != 0)
		cli_command_add(c, " --at %s", text);
	cli_command_file(c, name);
}

static void
print_found(const struct sweep *s, const struct swept *w, const char *name)
{
	static struct run_result r;
	uint32_t i;

	for (i = 0; i < w->nfound; i++) {
		struct cli_command c = { .n = 0 };

		r.finding = w->found[i].finding;
		memcpy(r.waits, w->found[i].waits, sizeof(r.waits));
		replay_command(s, &w->found[i].at, name, &c);
		if (strcmp(r.finding.clause, "died") == 0)
			(void)printf("%s: finding: the run %s\n"
				     "  replay     %s\n",
			    name, r.finding.found, c.s);
		else
			cli_print_finding(stdout, &r, name, c.s);
		if (w->found[i].times > 1)
			(void)printf("  runs       %" PRIu64
				     " with this signature\n",
			    w->found[i].times);
	}
}

static void
print_counts(const char *title, const char *verdict, const struct swept *w)
{
	int kind;

	(void)printf("%s: %s: points", title, verdict);
	for (kind = 0; kind < RUN_FAULT_COUNT; kind++)
		(void)printf("%s %" PRIu64 " %s", kind == 0 ? "" : ",",
		    w->as.points[kind], run_fault_name((enum run_fault)kind));
	(void)printf("; %" PRIu64 " runs, %" PRIu64 " failures, %" PRIu64
		     " retries of which %" PRIu64 " rightly in vain, %" PRIu64
		     " helped, %" PRIu64 " rightly blocked\n",
	    w->runs, w->fired, w->retries, w->refused, w->helped, w->blocked);
}

static json_t *
json_counts(const struct swept *w)
{
	json_t *points = json_object();
	int kind;

	for (kind = 0; kind < RUN_FAULT_COUNT; kind++)
		(void)json_object_set_new(points,
		    run_fault_name((enum run_fault)kind),
		    json_integer((json_int_t)w->as.points[kind]));
	return (json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "points",
	    points, "runs", (json_int_t)w->runs, "failures",
	    (json_int_t)w->fired, "retries", (json_int_t)w->retries, "in_vain",
	    (json_int_t)w->refused, "helped", (json_int_t)w->helped, "blocked",
	    (json_int_t)w->blocked));
}

static void
add_json(struct sweep *s, const struct swept *w, const char *name)
{
	static const char *const names[] = { "interrupted", "swept", "long",
		"bad-input", "interrupted" };
	json_t *o = json_counts(w), *list = json_array();
	char line[768], at[48];
	uint32_t i;

	for (i = 0; i < w->nfound; i++) {
		const struct found *f = &w->found[i];

		at_text(&f->at, at, sizeof(at));
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:I}", "at",
			at, "clause", f->finding.clause, "operation",
			f->finding.operation, "line",
			(json_int_t)f->finding.line, "expected",
			f->finding.expected, "found", f->finding.found,
			"signature", f->finding.signature, "runs",
			(json_int_t)f->times));
	}
	(void)json_object_set_new(o, "file", cli_json_text(name));
	(void)json_object_set_new(o, "status", json_string(names[w->state]));
	(void)json_object_set_new(o, "findings", list);
	if (w->state == SWEPT_BAD) {
		trace_error_format(&w->error, line, sizeof(line));
		(void)json_object_set_new(o, "error", cli_json_text(line));
	}
	(void)json_array_append_new(s->results, o);
}

static void
add_to_sum(struct sweep *s, const struct swept *w)
{
	int kind;

	for (kind = 0; kind < RUN_FAULT_COUNT; kind++)
		s->sum.as.points[kind] += w->as.points[kind];
	s->sum.runs += w->runs;
	s->sum.fired += w->fired;
	s->sum.retries += w->retries;
	s->sum.refused += w->refused;
	s->sum.helped += w->helped;
	s->sum.blocked += w->blocked;
	s->findings += w->nfound;
	s->bad += w->state == SWEPT_BAD;
	s->traces += w->state == SWEPT_DONE;
	s->lengthy += w->state == SWEPT_LONG;
}

/* Traces that are done, in order. */
static void
print_ready(struct sweep *s, bool all)
{
	for (; s->printed < s->n; s->printed++) {
		const struct swept *w = &s->swept[s->printed];
		const char *name = s->name[s->printed];
		enum swept_state state =
		    __atomic_load_n(&w->state, __ATOMIC_ACQUIRE);

		if (state == SWEPT_WAITING && !all)
			return;
		cli_progress_end();
		add_to_sum(s, w);
		if (s->json)
			add_json(s, w, name);
		else if (state == SWEPT_BAD)
			(void)cli_input_error(&w->error);
		else if (state == SWEPT_DONE)
			print_counts(
			    name, w->nfound == 0 ? "clean" : "findings", w);
		if (!s->json)
			print_found(s, w, name);
		(void)fflush(stdout);
	}
}

static void
progress(const struct sweep *s, double began)
{
	uint64_t i, runs = 0, done = 0;

	if (s->quiet)
		return;
	for (i = 0; i < s->n; i++) {
		runs += s->swept[i].runs;
		done += s->swept[i].state != SWEPT_WAITING;
	}
	cli_progress("%" PRIu64 " of %" PRIu64 " traces, %" PRIu64
		     " runs, %.0f s",
	    done, s->n, runs, cli_now() - began);
}

/* ---- The whole --------------------------------------------------------- */

static int
conclude(struct sweep *s)
{
	char title[96];

	cli_progress_end();
	print_ready(s, true);
	if (s->json) {
		(void)json_dumpf(s->results, stdout, JSON_INDENT(2));
		(void)printf("\n");
		json_decref(s->results);
	} else if (s->n > 1 || s->lengthy != 0) {
		(void)snprintf(title, sizeof(title),
		    "%" PRIu64 " traces, %" PRIu64 " left out", s->traces,
		    s->lengthy);
		print_counts(title,
		    s->findings != 0		? "findings" :
			s->bad != 0 || cli_stop ? "incomplete" :
						  "clean",
		    &s->sum);
	}
	if (cli_stop)
		return (cli_usage("sweep", "interrupted"));
	if (s->bad != 0)
		return (CLI_USAGE);
	if (s->only.k != 0 && s->sum.fired == 0 && s->findings == 0) {
		at_text(&s->only, title, sizeof(title));
		return (
		    cli_usage("sweep", "--at: no run has a point %s", title));
	}
	return (s->findings != 0 ? CLI_FINDING : CLI_CLEAN);
}

/* A job has ended. False: none is left in its place. */
static bool
job_ended(struct sweep *s, uint64_t job, int status)
{
	s->pid[job] = 0;
	if (status == 0 || cli_stop)
		return (false);
	job_died(s, job, status);
	return (start_job(s, job));
}

static int
run_jobs(struct sweep *s)
{
	double began = cli_now();
	uint64_t i, left = 0;
	int status;

	(void)fflush(stdout);
	for (i = 0; i < s->jobs; i++)
		left += start_job(s, i);
	if (left == 0)
		return (cli_usage("sweep", "fork: %s", strerror(errno)));
	while (left > 0) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		for (i = 0; pid > 0 && i < s->jobs; i++)
			if (s->pid[i] == pid) {
				left -= !job_ended(s, i, status);
				break;
			}
		print_ready(s, false);
		if (pid <= 0) {
			progress(s, began);
			(void)usleep(20000);
		}
		for (i = 0; cli_stop && i < s->jobs; i++)
			if (s->pid[i] > 0)
				(void)kill(s->pid[i], SIGTERM);
	}
	return (conclude(s));
}

static int
sweep(struct sweep *s)
{
	size_t bytes = TRACES_MAX * sizeof(*s->swept);
	char *shared = mmap(NULL, bytes + (JOBS_MAX + 1) * sizeof(*s->at),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
	    -1, 0);

	if (shared == MAP_FAILED)
		return (cli_usage("sweep", "out of memory"));
	s->swept = (struct swept *)(void *)shared;
	s->next = (uint64_t *)(void *)(shared + bytes);
	s->at = s->next + 1;
	s->results = s->json ? json_array() : NULL;
	return (run_jobs(s));
}

static void
add_file(void *arg, const char *name)
{
	struct sweep *s = arg;

	if (s->n < TRACES_MAX)
		s->name[s->n] = strdup(name);
	s->n++;
}

/* "page:7+" */
static bool
parse_at(struct run_inject *at, const char *text)
{
	const char *colon = strchr(text, ':');
	size_t n = colon != NULL ? (size_t)(colon - text) : 0;
	char number[32];
	int kind;

	for (kind = 0; kind < RUN_FAULT_COUNT; kind++)
		if (strncmp(text, run_fault_name((enum run_fault)kind), n) ==
			0 &&
		    strlen(run_fault_name((enum run_fault)kind)) == n)
			break;
	if (n == 0 || kind == RUN_FAULT_COUNT) {
		(void)cli_usage("sweep",
		    "--at: \"%s\", expected page, backend, ctor or init, a "
		    "colon and a number",
		    text);
		return (false);
	}
	at->kind = (enum run_fault)kind;
	(void)snprintf(number, sizeof(number), "%s", colon + 1);
	n = strlen(number);
	at->on = n != 0 && number[n - 1] == '+';
	if (at->on)
		number[n - 1] = '\0';
	return (cli_number("sweep", "--at", number, 1, UINT32_MAX, &at->k));
}

static const struct option options[] = {
	{ "at", required_argument, NULL, 'a' },
	{ "contents", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ "jobs", required_argument, NULL, 'j' },
	{ "json", no_argument, NULL, 'J' },
	{ "longest", required_argument, NULL, 'l' },
	{ "quiet", no_argument, NULL, 'q' },
	{ NULL, 0, NULL, 0 },
};

/* 0, or the status to exit with plus one. */
static int
parse(struct sweep *s, int argc, char **argv)
{
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'a':
			ok = parse_at(&s->only, optarg);
			break;
		case 'c':
			ok = cli_contents("sweep", optarg, &s->run.contents);
			break;
		case 'h':
			usage(stdout);
			return (CLI_CLEAN + 1);
		case 'j':
			ok = cli_number(
			    "sweep", "--jobs", optarg, 1, JOBS_MAX, &s->jobs);
			break;
		case 'J':
			s->json = true;
			break;
		case 'l':
			ok = cli_number("sweep", "--longest", optarg, 1,
			    UINT32_MAX, &s->longest);
			break;
		case 'q':
			s->quiet = true;
			break;
		default:
			ok = false;
		}
	if (!ok)
		return (CLI_USAGE + 1);
	if (optind == argc)
		return (cli_usage("sweep",
			    "no file; expected a trace or a directory") +
		    1);
	return (0);
}

int
cli_sweep(int argc, char **argv)
{
	static struct sweep s = {
		.run = { .audit_every = 1, .stop = &cli_stop }, .jobs = 1
	};
	int i, end = parse(&s, argc, argv), status = 0;

	if (end != 0)
		return (end - 1);
	s.run.subject = subjects[0];
	cli_catch_signals();
	for (i = optind; i < argc; i++)
		if (cli_each_file("sweep", argv[i], add_file, &s) != 0)
			status = CLI_USAGE;
	if (status != 0)
		return (status);
	if (s.n > TRACES_MAX)
		return (cli_usage("sweep",
		    "%" PRIu64 " traces are too many, expected %u at most", s.n,
		    TRACES_MAX));
	return (sweep(&s));
}
