/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab replay: checks traces, one verdict each.
 *
 * A directory stands for the traces in it, by name; one without any is an
 * error, so that a renamed corpus does not pass silently.
 */
#include "cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct replay {
	struct run_options run;
	bool twice;
	enum {
		TEXT,
		JSON,
		SARIF,
		JUNIT
	} form;
	json_t *results;
	struct cli_sarif sarif;
	struct cli_junit junit;
	const char *file;
	double began;
	int status;
	uint64_t files;
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab replay [OPTION...] FILE...\n"
	    "  --audit N         audit the subject's structures every N "
	    "operations\n"
	    "  --check wgl       search an order of overlapping calls\n"
	    "  --contents HOW    full (default), sampled or none\n"
	    "  --json            one JSON array instead of text\n"
	    "  --junit           JUnit's XML, a test for each trace\n"
	    "  --ops N           only the first N operations\n"
	    "  --perturb SEED    another schedule than the trace's\n"
	    "  --points N        of a run without an operation's end\n"
	    "  --sarif           findings as SARIF 2.1.0\n"
	    "  --story           tell every change of thread\n"
	    "  --subject NAME    kalloc (default) or malloc\n"
	    "  --twice           replay each twice and compare\n");
}

static void
on_progress(void *arg, uint64_t ops)
{
	struct replay *p = arg;
	double s = cli_now() - p->began;

	cli_progress("%s: %llu operations, %.1f M/s", p->file,
	    (unsigned long long)ops, s > 0 ? (double)ops / s / 1e6 : 0.0);
}

static const char *
status_name(enum run_status status)
{
	static const char *const names[] = { "clean", "finding", "bad-input",
		"interrupted", "failed" };

	return (names[status]);
}

static void
replay_command(const struct replay *p, struct cli_command *c)
{
	cli_command_add(c, "kalab replay");
	cli_command_options(c, &p->run);
	if (p->twice)
		cli_command_add(c, " --twice");
	cli_command_file(c, p->file);
}

static void
print_json(struct replay *p, const struct run_result *r, double seconds)
{
	struct cli_command command = { .n = 0 };
	char hash[32], error[768] = "";
	json_t *o;

	replay_command(p, &command);
	(void)snprintf(
	    hash, sizeof(hash), "%016llx", (unsigned long long)r->hash);
	o = json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, "
		      "s:f}",
	    "file", cli_json_text(p->file), "status", status_name(r->status),
	    "subject", p->run.subject->name, "operations", (json_int_t)r->ops,
	    "skipped", (json_int_t)r->skipped, "left", (json_int_t)r->left,
	    "blocked", (json_int_t)r->blocked, "not_run",
	    (json_int_t)r->not_run, "live_max", (json_int_t)r->counts.live_max,
	    "refusals", (json_int_t)r->counts.refusals, "hash", hash, "seconds",
	    seconds);
	(void)json_object_set_new(
	    o, "slack_used", json_integer((json_int_t)r->counts.slack_used));
	(void)json_object_set_new(o, "slack_declared",
	    json_integer((json_int_t)r->counts.slack_declared));
	(void)json_object_set_new(
	    o, "hits", json_integer((json_int_t)r->counts.hits));
	if (r->status == RUN_FINDING)
		(void)json_object_set_new(o, "finding",
		    json_pack("{s:s, s:s, s:I, s:i, s:s, s:s, s:s, s:s, s:o}",
			"clause", r->finding.clause, "operation",
			r->finding.operation, "line",
			(json_int_t)r->finding.line, "thread",
			(int)r->finding.thread, "expected", r->finding.expected,
			"found", r->finding.found, "signature",
			r->finding.signature, "waiting", r->waits, "replay",
			cli_json_text(command.s)));
	if (r->status == RUN_BAD_INPUT && r->ops != 0)
		(void)json_object_set_new(o, "before", json_string("clean"));
	if (r->status == RUN_BAD_INPUT || r->status == RUN_FAILED || r->cut) {
		trace_error_format(&r->error, error, sizeof(error));
		(void)json_object_set_new(o, "error", cli_json_text(error));
	}
	(void)json_array_append_new(p->results, o);
}

static bool
is_error(const struct run_result *r)
{
	return ((r->status != RUN_CLEAN && r->status != RUN_FINDING) || r->cut);
}

static void
error_text(const struct run_result *r, char *buf, size_t size)
{
	if (r->status == RUN_BAD_INPUT || r->status == RUN_FAILED || r->cut)
		trace_error_format(&r->error, buf, size);
	else
		(void)snprintf(buf, size, "%s", status_name(r->status));
}

static void
add_sarif(struct replay *p, const struct run_result *r)
{
	const struct finding *f = &r->finding;
	const struct cli_sarif_finding x = { f->clause, f->operation,
		f->expected, f->found, f->signature, p->file, f->line, NULL };
	char error[768];

	if (r->status == RUN_FINDING)
		cli_sarif_add(&p->sarif, &x);
	if (!is_error(r))
		return;
	error_text(r, error, sizeof(error));
	cli_sarif_error(&p->sarif, error);
}

static void
add_junit(struct replay *p, const struct run_result *r, double seconds)
{
	const struct finding *f = &r->finding;
	char text[1024];

	if (is_error(r)) {
		error_text(r, text, sizeof(text));
		cli_junit_add(&p->junit, p->file, seconds, "error",
		    status_name(r->status), text);
		return;
	}
	(void)snprintf(text, sizeof(text),
	    "%s, line %llu: expected %s; found %s; signature %s", f->operation,
	    (unsigned long long)f->line, f->expected, f->found, f->signature);
	cli_junit_add(&p->junit, p->file, seconds,
	    r->status == RUN_FINDING ? "failure" : NULL, f->clause, text);
}

static void
print_text(struct replay *p, const struct run_result *r, double seconds)
{
	struct cli_command command = { .n = 0 };

	if (r->status == RUN_FINDING) {
		replay_command(p, &command);
		cli_print_finding(stdout, r, p->file, command.s);
		return;
	}
	if (r->status == RUN_FAILED ||
	    (r->status == RUN_BAD_INPUT && r->ops == 0))
		return;
	(void)printf("%s: %s: %llu operations, %llu objects at once, "
		     "%llu left at the end, hash %016llx, %.2f M/s\n",
	    p->file, r->cut ? "clean up to the error" : status_name(r->status),
	    (unsigned long long)r->ops, (unsigned long long)r->counts.live_max,
	    (unsigned long long)r->left, (unsigned long long)r->hash,
	    seconds > 0 ? (double)r->ops / seconds / 1e6 : 0.0);
	if (r->skipped != 0)
		(void)printf("  %llu operations skipped: what they name was "
			     "never had\n",
		    (unsigned long long)r->skipped);
	if (r->blocked != 0)
		(void)printf("  %llu threads blocked at the end, rightly; "
			     "%llu operations after them\n",
		    (unsigned long long)r->blocked,
		    (unsigned long long)r->not_run);
	cli_print_slack(stdout, r->counts.slack_used, r->counts.slack_declared);
	cli_print_orders(stdout, r->windows, r->windows_long);
	cli_print_waits(stdout, r, "    ");
}

static void
raise_status(struct replay *p, int status)
{
	if (status > p->status)
		p->status = status;
}

/* What is read again for --twice. A pipe is not there again: it is kept. */
struct input {
	const char *name;
	bool kept;
	struct trace trace;
};

static bool
open_input(const struct replay *p, const char *name, struct input *ret_in,
    struct trace_error *ret_err)
{
	struct stat st = { 0 };

	*ret_in = (struct input) { .name = name };
	if (!p->twice ||
	    (strcmp(name, "-") != 0 &&
		(stat(name, &st) != 0 || S_ISREG(st.st_mode))))
		return (true);
	ret_in->kept = cli_load(&ret_in->trace, name, ret_err) == 0;
	return (ret_in->kept);
}

static bool
run_once(struct replay *p, const struct input *in, struct run_result *r)
{
	struct trace_reader *reader;
	struct run_source source;
	struct run_mem mem;

	if (in->kept) {
		source = run_source_mem(&mem, &in->trace);
		run(&source, &p->run, r);
	} else if (trace_reader_open(&reader, in->name, &r->error) == 0) {
		source = run_source_reader(reader);
		run(&source, &p->run, r);
		trace_reader_close(reader);
	} else {
		r->status = RUN_BAD_INPUT;
	}
	return (r->status == RUN_CLEAN || r->status == RUN_FINDING);
}

/* --twice: the other run, whose story is the same. */
static void
compare(const struct replay *p, const struct input *in, struct run_result *r)
{
	struct replay quiet = *p;
	struct finding *f = &r->finding;
	struct run_result again = { 0 };

	quiet.run.story = NULL;
	if (!run_once(&quiet, in, &again)) {
		*r = again;
		return;
	}
	if (again.hash == r->hash && again.ops == r->ops &&
	    again.status == r->status)
		return;
	r->status = RUN_FINDING;
	(void)snprintf(f->clause, sizeof(f->clause), "G-10");
	(void)snprintf(f->operation, sizeof(f->operation), "replay");
	(void)snprintf(f->expected, sizeof(f->expected),
	    "the same events in both runs: hash %016llx",
	    (unsigned long long)r->hash);
	(void)snprintf(f->found, sizeof(f->found), "hash %016llx",
	    (unsigned long long)again.hash);
	(void)snprintf(
	    f->signature, sizeof(f->signature), "run/G-10/replay/hash");
}

static void
replay_file(void *arg, const char *name)
{
	struct replay *p = arg;
	struct run_result r = { 0 };
	struct input in;
	double seconds;

	p->file = name;
	p->files++;
	p->began = cli_now();
	if (open_input(p, name, &in, &r.error))
		(void)run_once(p, &in, &r);
	else
		r.status = RUN_BAD_INPUT;
	seconds = cli_now() - p->began;
	if (p->twice && r.status != RUN_BAD_INPUT)
		compare(p, &in, &r);
	if (in.kept)
		trace_fini(&in.trace);
	cli_progress_end();
	if (p->form == JSON)
		print_json(p, &r, seconds);
	else if (p->form == SARIF)
		add_sarif(p, &r);
	else if (p->form == JUNIT)
		add_junit(p, &r, seconds);
	else
		print_text(p, &r, seconds);
	if (r.status == RUN_FINDING)
		raise_status(p, CLI_FINDING);
	else if (r.status != RUN_CLEAN)
		raise_status(p, CLI_USAGE);
	if (r.status != RUN_BAD_INPUT && r.status != RUN_FAILED && !r.cut)
		return;
	(void)fflush(stdout);
	if (p->form == TEXT)
		(void)cli_input_error(&r.error);
	raise_status(p, CLI_USAGE);
}

static const struct option options[] = {
	{ "audit", required_argument, NULL, 'a' },
	{ "check", required_argument, NULL, 'w' },
	{ "contents", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "junit", no_argument, NULL, 'u' },
	{ "ops", required_argument, NULL, 'o' },
	{ "perturb", required_argument, NULL, 'p' },
	{ "points", required_argument, NULL, 'x' },
	{ "sarif", no_argument, NULL, 'f' },
	{ "story", no_argument, NULL, 'y' },
	{ "subject", required_argument, NULL, 's' },
	{ "twice", no_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

static bool
set_form(struct replay *p, int form)
{
	if (p->form != TEXT && (int)p->form != form) {
		(void)cli_usage("replay",
		    "expected one of --json, --junit and --sarif, not two");
		return (false);
	}
	p->form = form;
	return (true);
}

/* 0, or the status to exit with plus one. */
static int
parse(struct replay *p, int argc, char **argv)
{
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'a':
			ok = cli_number("replay", "--audit", optarg, 1,
			    UINT64_MAX, &p->run.audit_every);
			break;
		case 'c':
			ok = cli_contents("replay", optarg, &p->run.contents);
			break;
		case 'w':
			ok = cli_check("replay", optarg, &p->run);
			break;
		case 'h':
			usage(stdout);
			return (CLI_CLEAN + 1);
		case 'f':
			ok = set_form(p, SARIF);
			break;
		case 'j':
			ok = set_form(p, JSON);
			break;
		case 'u':
			ok = set_form(p, JUNIT);
			break;
		case 'o':
			ok = cli_number("replay", "--ops", optarg, 1,
			    UINT64_MAX, &p->run.ops_max);
			break;
		case 'p':
			p->run.perturb = true;
			ok = cli_number("replay", "--perturb", optarg, 0,
			    UINT64_MAX, &p->run.perturb_seed);
			break;
		case 'x':
			ok = cli_number("replay", "--points", optarg, 1,
			    UINT32_MAX, &p->run.points_max);
			p->run.counts = true;
			break;
		case 's':
			ok = cli_subject("replay", optarg, &p->run.subject);
			break;
		case 'y':
			p->run.story = cli_story;
			break;
		case 't':
			p->twice = true;
			break;
		default:
			ok = false;
		}
	if (!ok)
		return (CLI_USAGE + 1);
	if (p->form != TEXT && p->run.story != NULL)
		return (cli_usage("replay", "--story is text") + 1);
	if (optind == argc)
		return (cli_usage("replay",
			    "no file; expected a trace, a "
			    "directory, or - for standard "
			    "input") +
		    1);
	return (0);
}

static void
begin_report(struct replay *p)
{
	if (p->form == JSON)
		p->results = json_array();
	else if (p->form == SARIF)
		cli_sarif_init(&p->sarif);
	else if (p->form == JUNIT)
		cli_junit_init(&p->junit);
}

static void
end_report(struct replay *p)
{
	if (p->form == JSON) {
		(void)json_dumpf(p->results, stdout, JSON_INDENT(2));
		(void)printf("\n");
		json_decref(p->results);
	} else if (p->form == SARIF) {
		cli_sarif_print(&p->sarif);
	} else if (p->form == JUNIT && !cli_junit_print(&p->junit)) {
		raise_status(p, cli_usage("replay", "out of memory"));
	}
}

int
cli_replay(int argc, char **argv)
{
	struct replay p = { .run = { .subject = subjects[0],
				.progress = on_progress,
				.stop = &cli_stop } };
	int i, end = parse(&p, argc, argv);

	if (end != 0)
		return (end - 1);
	p.run.arg = &p;
	begin_report(&p);
	cli_catch_signals();
	for (i = optind; i < argc && !cli_stop; i++)
		raise_status(
		    &p, cli_each_file("replay", argv[i], replay_file, &p));
	end_report(&p);
	if (cli_stop)
		p.status = cli_usage("replay", "interrupted");
	return (p.status);
}
