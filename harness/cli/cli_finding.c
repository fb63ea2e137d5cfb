/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab finding: one finding, explained, and what reproduces it.
 *
 * Of a triaged finding everything is there already; a trace is shrunk first.
 * Lines that replay it are printed for what there is on this machine: builds of
 * kalab beside this one, and programs in PATH.
 */
#include "cli.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/campaign.h"
#include "fuzz/triage.h"
#include "repro/repro.h"
#include "shrink/shrink.h"

#define SHRINK_SECONDS 20

struct finding_cli {
	const char *campaign, *output, *name;
	uint64_t seconds;
	/* Of a triaged one. */
	struct triage_row row;
	bool triaged;
	/* What is shown and written. */
	struct trace trace;
	struct shrink_verdict verdict;
	struct shrink_result shrunk;
	char file[PATH_MAX]; /* that replays it */
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab finding [OPTION...] N|FILE\n"
	    "  N                 a number of kalab triage\n"
	    "  FILE              a trace that fails; it is shrunk\n"
	    "  --campaign DIR    of the number; default: .\n"
	    "  -o, --output DIR  write the trace, a reproducer in C, notes, and\n"
	    "                    a regression\n"
	    "  --time SECONDS    to shrink a FILE; default: 20\n");
}

/* ---- The finding --------------------------------------------------------- */

static bool
is_number(const char *text)
{
	return (*text != '\0' && text[strspn(text, "0123456789")] == '\0');
}

/* Of the campaign. 0, or the status to exit with. */
static int
find_row(struct finding_cli *c)
{
	const long long n = strtoll(c->name, NULL, 10);
	struct triage_list l;
	size_t i;

	if (triage_list(c->campaign, &l) != 0)
		return (CLI_USAGE);
	for (i = 0; i < l.n && l.row[i].id != n; i++)
		continue;
	if (i == l.n) {
		triage_list_fini(&l);
		return (cli_usage("finding",
		    "%s: no finding has the number %s: kalab triage lists them",
		    c->campaign, c->name));
	}
	c->row = l.row[i];
	c->triaged = true;
	triage_list_fini(&l);
	(void)snprintf(c->file, sizeof(c->file), "%s", c->row.trace);
	return (0);
}

static bool
shows(const struct shrink_verdict *v)
{
	return (v->outcome == SHRINK_FINDS || v->outcome == SHRINK_DIES ||
	    v->outcome == SHRINK_HANGS);
}

static int
judge(struct finding_cli *c)
{
	const struct shrink_options o = { .run = { .subject = subjects[0] },
		.stop = &cli_stop };

	shrink_judge(&c->trace, &o, &c->verdict);
	if (c->verdict.outcome == SHRINK_CANNOT)
		return (cli_usage("finding", "%s", c->verdict.error.what));
	if (shows(&c->verdict))
		return (0);
	if (c->row.program[0] != '\0')
		return (0); /* that shows it, and not this kalab */
	return (cli_usage("finding", "%s: the trace does not fail", c->file));
}

static void
on_progress(void *arg, const struct shrink_progress *p)
{
	(void)arg;
	cli_progress(
	    "%zu of %zu operations, %s", p->ops_now, p->ops_before, p->doing);
}

/* A trace of elsewhere: what matters of it. */
static int
shrink_it(struct finding_cli *c)
{
	const struct shrink_options o = { .run = { .subject = subjects[0] },
		.seconds = (double)c->seconds,
		.stop = &cli_stop,
		.progress = on_progress };
	struct shrink_deviations d;
	const enum shrink_status status =
	    shrink_pinned(&c->trace, &o, &c->shrunk, &d);

	cli_progress_end();
	if (status == SHRINK_FAILED)
		return (
		    cli_usage("finding", "%s", c->shrunk.verdict.error.what));
	if (status == SHRINK_CLEAN)
		return (cli_usage(
		    "finding", "%s: the trace does not fail", c->file));
	c->verdict = c->shrunk.verdict;
	return (0);
}

static int
find(struct finding_cli *c)
{
	struct stat st;
	struct trace_error e;
	int status;

	if (is_number(c->name) && stat(c->name, &st) != 0) {
		status = find_row(c);
		if (status != 0)
			return (status);
	} else {
		(void)snprintf(c->file, sizeof(c->file), "%s", c->name);
	}
	if (c->triaged && c->row.ops_after == 0)
		return (0); /* bytes */
	if (cli_load(&c->trace, c->file, &e) != 0)
		return (cli_input_error(&e));
	return (c->triaged ? judge(c) : shrink_it(c));
}

/* What is said of it: by the run, or by the row. */
static struct finding
said(const struct finding_cli *c)
{
	struct finding f = c->verdict.finding;

	if (shows(&c->verdict))
		return (f);
	(void)snprintf(f.clause, sizeof(f.clause), "%s", c->row.clause);
	(void)snprintf(
	    f.operation, sizeof(f.operation), "%s", c->row.operation);
	(void)snprintf(f.expected, sizeof(f.expected), "%s", c->row.expected);
	(void)snprintf(f.found, sizeof(f.found), "%s", c->row.found);
	(void)snprintf(
	    f.signature, sizeof(f.signature), "%.95s", c->row.signature);
	return (f);
}

/* ---- The explanation ----------------------------------------------------- */

static void
explain(const struct finding_cli *c, FILE *f)
{
	const struct finding x = said(c);
	const char *text = cli_clause_text(x.clause);
	const bool bytes = c->triaged && c->row.ops_after == 0;

	if (x.clause[0] != '\0')
		(void)fprintf(
		    f, "%s: clause %s is broken\n", c->file, x.clause);
	else
		(void)fprintf(
		    f, "%s: a report of %s\n", c->file, c->row.program);
	if (text != NULL)
		(void)fprintf(f, "  contract   %s\n", text);
	(void)fprintf(f, "  operation  %s", x.operation);
	if (x.line != 0)
		(void)fprintf(f, ", line %llu, thread %u",
		    (unsigned long long)x.line, x.thread);
	(void)fprintf(
	    f, "\n  expected   %s\n  found      %s\n", x.expected, x.found);
	(void)fprintf(f, "  signature  %s\n",
	    c->triaged ? c->row.signature : x.signature);
	if (c->verdict.source[0] != '\0')
		(void)fprintf(f, "  stood at   %s\n", c->verdict.source);
	if (c->triaged)
		(void)fprintf(f,
		    "  triage     %u of %u replays, %llu inputs, %llu "
		    "%s of %llu\n",
		    c->row.shown, c->row.replays,
		    (unsigned long long)c->row.findings,
		    (unsigned long long)(bytes ? cli_file_size(c->file) :
						 c->row.ops_after),
		    bytes ? "bytes" : "operations",
		    (unsigned long long)(bytes ? cli_file_size(c->row.input) :
						 c->row.ops_before));
	else
		(void)fprintf(f, "  shrunk     %zu operations of %zu\n",
		    c->shrunk.ops_after, c->shrunk.ops_before);
	for (const char *w = c->verdict.waits; *w != '\0';) {
		const size_t n = strcspn(w, "\n");

		(void)fprintf(f, "  waiting    %.*s\n", (int)n, w);
		w += n + (w[n] == '\n');
	}
}

static void
picture(const struct finding_cli *c)
{
	(void)printf("\nthe operations that matter, and the memory at the end "
		     "of them\n");
	if (!cli_show_apart(&c->trace))
		(void)printf("# here the run dies, or does not end: there is "
			     "no picture of the memory\n");
}

/* ---- Lines that replay it ------------------------------------------------ */

/* The path as people write it here. */
static const char *
from_here(const char *path)
{
	static char cwd[PATH_MAX], here[PATH_MAX + 2];
	const size_t n = getcwd(cwd, sizeof(cwd)) != NULL ? strlen(cwd) : 0;

	if (n <= 1 || strncmp(path, cwd, n) != 0 || path[n] != '/')
		return (path);
	path += n + 1;
	(void)snprintf(here, sizeof(here), "%s%s",
	    strchr(path, '/') == NULL ? "./" : "", path);
	return (here);
}

static bool
in_path(const char *program)
{
	const char *path = getenv("PATH");
	char name[PATH_MAX];

	while (path != NULL && *path != '\0') {
		const size_t n = strcspn(path, ":");

		(void)snprintf(
		    name, sizeof(name), "%.*s/%s", (int)n, path, program);
		if (access(name, X_OK) == 0)
			return (true);
		path += n + (path[n] == ':');
	}
	return (false);
}

/* The value of an option of meson in a build directory; "" if not known. */
static void
build_option(const char *build, const char *option, char *value, size_t size)
{
	char name[PATH_MAX];
	json_t *all, *o;
	size_t i;

	value[0] = '\0';
	(void)snprintf(name, sizeof(name),
	    "%.4000s/meson-info/intro-buildoptions.json", build);
	all = json_load_file(name, 0, NULL);
	json_array_foreach(all, i, o)
	{
		const char *n = json_string_value(json_object_get(o, "name"));
		const char *v = json_string_value(json_object_get(o, "value"));

		if (n != NULL && v != NULL && strcmp(n, option) == 0)
			(void)snprintf(value, size, "%s", v);
	}
	json_decref(all);
}

static void
put_line(const struct finding_cli *c, FILE *f, const char *label,
    const char *before, const char *kalab)
{
	struct cli_command command = { .n = 0 };

	cli_command_file(&command, from_here(kalab));
	cli_command_add(&command, " replay");
	cli_command_file(&command, c->file);
	(void)fprintf(f, "  %-10s %s%s%s\n", label, before,
	    before[0] != '\0' ? " " : "",
	    command.s + 1); /* words begin with a space */
}

/* Builds beside this one that have the sanitizer. How many. */
static unsigned
put_sanitized(const struct finding_cli *c, FILE *f, const char *self,
    const char *sanitizer, const char *label)
{
	char root[PATH_MAX], build[PATH_MAX], kalab[PATH_MAX + 32], value[64];
	struct dirent **list;
	unsigned found = 0;
	int n;

	(void)snprintf(root, sizeof(root), "%s", self);
	for (int up = 0; up < 4 && strrchr(root, '/') != NULL; up++)
		*strrchr(root, '/') = '\0';
	n = scandir(root[0] != '\0' ? root : "/", &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		(void)snprintf(build, sizeof(build), "%.3000s/%.255s", root,
		    list[i]->d_name);
		free(list[i]);
		(void)snprintf(
		    kalab, sizeof(kalab), "%s/harness/cli/kalab", build);
		if (found != 0 || access(kalab, X_OK) != 0)
			continue;
		build_option(build, "b_sanitize", value, sizeof(value));
		if (strstr(value, sanitizer) == NULL)
			continue;
		put_line(c, f, label, "", kalab);
		found++;
	}
	if (n >= 0)
		free(list);
	return (found);
}

static void
put_replays(const struct finding_cli *c, FILE *f)
{
	struct cli_command command = { .n = 0 };
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const bool bytes = c->triaged && c->row.ops_after == 0;

	self[n > 0 ? n : 0] = '\0';
	if (c->row.program[0] != '\0') {
		cli_command_file(&command, from_here(c->row.program));
		cli_command_file(&command, bytes ? c->file : c->row.input);
		(void)fprintf(f, "  %-10s%s\n", "target", command.s);
	}
	if (bytes)
		return;
	put_line(c, f, CLI_SANITIZED ? "this" : "plain", "", self);
	if (put_sanitized(c, f, self, "address", "ASan") == 0)
		(void)fprintf(f,
		    "  %-10s no such build beside this one: "
		    "meson setup build-asan "
		    "-Db_sanitize=address,undefined\n",
		    "ASan");
	if (put_sanitized(c, f, self, "thread", "TSan") == 0)
		(void)fprintf(f,
		    "  %-10s no such build beside this one: "
		    "CC=clang meson setup build-tsan "
		    "-Db_sanitize=thread\n",
		    "TSan");
	if (!CLI_SANITIZED && in_path("valgrind"))
		put_line(c, f, "Valgrind", "valgrind -q", self);
	if (in_path("gdb"))
		put_line(c, f, "gdb",
		    "gdb -q -ex 'break model__fail' -ex 'break model_report' "
		    "-ex run --args",
		    self);
}

/* ---- What is written ----------------------------------------------------- */

/* "kmalloc/KM-8/end of run/nonzero" is km8-end-of-run-nonzero. */
static void
regression_name(const struct finding_cli *c, char *name, size_t size)
{
	const struct finding x = said(c);
	const char *at = strchr(x.signature, '/');
	size_t n = 0;

	at = at != NULL ? at + 1 : x.signature;
	for (bool clause = true; *at != '\0' && n + 2 < size; at++) {
		clause = clause && *at != '/';
		if (isalnum((unsigned char)*at))
			name[n++] = (char)tolower((unsigned char)*at);
		else if (!clause && n > 0 && name[n - 1] != '-')
			name[n++] = '-';
	}
	name[n > 0 && name[n - 1] == '-' ? n - 1 : n] = '\0';
}

static bool
path_in(const struct finding_cli *c, const char *name, char path[PATH_MAX])
{
	const int n = snprintf(path, PATH_MAX, "%s/%s", c->output, name);

	return (n > 0 && n < PATH_MAX);
}

static int
failed(const char *path)
{
	return (cli_usage("finding", "%s: %s", path, strerror(errno)));
}

/* A trace with a comment, at once or not at all. */
static int
write_trace(const struct finding_cli *c, const char *name, const char *comment)
{
	char path[PATH_MAX], temp[PATH_MAX + 8];
	struct trace_writer *w;
	struct trace_error e;

	if (!path_in(c, name, path))
		return (cli_usage("finding", "the name is too long"));
	(void)snprintf(temp, sizeof(temp), "%s.tmp", path);
	if (trace_writer_open(&w, temp, TRACE_TEXT, &c->trace.header, &e) != 0)
		return (cli_input_error(&e));
	(void)trace_writer_comment(w, comment);
	for (size_t i = 0; i < c->trace.nops; i++)
		(void)trace_writer_op(w, &c->trace.op[i]);
	if (trace_writer_close(w, &e) != 0) /* tells of all of them */
		return (cli_input_error(&e));
	return (rename(temp, path) == 0 ? 0 : failed(path));
}

/* A file that a function fills, at once or not at all. */
static int
write_file(const struct finding_cli *c, const char *name,
    int (*fill)(const struct finding_cli *, FILE *))
{
	char path[PATH_MAX], temp[PATH_MAX + 8];
	FILE *f;
	bool ok;

	if (!path_in(c, name, path))
		return (cli_usage("finding", "the name is too long"));
	(void)snprintf(temp, sizeof(temp), "%s.tmp", path);
	f = fopen(temp, "w");
	if (f == NULL)
		return (failed(path));
	ok = fill(c, f) == 0 && fflush(f) == 0 && !ferror(f);
	ok = fclose(f) == 0 && ok;
	if (ok && rename(temp, path) == 0)
		return (0);
	(void)failed(path);
	(void)unlink(temp);
	return (CLI_USAGE);
}

static int
fill_repro(const struct finding_cli *c, FILE *f)
{
	const struct finding x = said(c);
	const struct repro_about about = { "finding.trace",
		cli_clause_text(x.clause), &x };
	struct repro_record r;
	int error;

	if (!repro_record(&c->trace, subjects[0], &r))
		return (-1);
	if (r.end == REPRO_CLEAN || r.end == REPRO_CANNOT)
		r.failing = UINT32_MAX;
	error = repro_write(f, &c->trace, &r, &about);
	repro_record_fini(&r);
	return (error);
}

static int
fill_notes(const struct finding_cli *c, FILE *f)
{
	const struct finding x = said(c);
	char name[128];

	regression_name(c, name, sizeof(name));
	(void)fprintf(f, "# %s\n\n```\n", x.signature);
	explain(c, f);
	(void)fprintf(f, "replay\n");
	put_replays(c, f);
	(void)fprintf(f,
	    "```\n\n"
	    "| file | |\n| --- | --- |\n"
	    "| finding.trace | the trace, as small as it gets |\n"
	    "| repro.c | the same against libkalloc alone; its head says how "
	    "to compile it, and what it cannot do |\n"
	    "| %s.trace | for `corpus/regressions/`, when the bug is fixed |\n"
	    "\nIn the first table of `corpus/regressions/README.md`, with what "
	    "was wrong in place of what was seen:\n\n"
	    "    | %s | expected %s; found %s |\n",
	    name, name, x.expected, x.found);
	return (0);
}

/* Lines are those of the file from now on. */
static int
read_back(struct finding_cli *c)
{
	struct trace_error e;

	(void)snprintf(
	    c->file, sizeof(c->file), "%.4000s/finding.trace", c->output);
	trace_fini(&c->trace);
	if (cli_load(&c->trace, c->file, &e) != 0) {
		trace_init(&c->trace);
		return (cli_input_error(&e));
	}
	return (judge(c));
}

static int
write_all(struct finding_cli *c)
{
	const struct finding x = said(c);
	char comment[900], name[128], file[160];
	int status;

	if (mkdir(c->output, 0777) != 0 && errno != EEXIST)
		return (failed(c->output));
	(void)snprintf(comment, sizeof(comment),
	    "Clause %s is broken in %s.\nexpected: %s\nfound: %s\n"
	    "signature: %s\nreplay: kalab replay finding.trace",
	    x.clause, x.operation, x.expected, x.found, x.signature);
	status = write_trace(c, "finding.trace", comment);
	if (status == 0)
		status = read_back(c);
	regression_name(c, name, sizeof(name));
	(void)snprintf(file, sizeof(file), "%s.trace", name);
	(void)snprintf(comment, sizeof(comment),
	    "Was a finding of clause %s in %s:\nexpected %s,\nfound %s.",
	    x.clause, x.operation, x.expected, x.found);
	if (status == 0)
		status = write_trace(c, file, comment);
	if (status == 0)
		status = write_file(c, "repro.c", fill_repro);
	if (status == 0)
		status = write_file(c, "README.md", fill_notes);
	return (status);
}

/* ---- The command --------------------------------------------------------- */

static const struct option options[] = {
	{ "campaign", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ "output", required_argument, NULL, 'o' },
	{ "time", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

/* 0, or the status to exit with plus one. */
static int
parse(struct finding_cli *c, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "o:", options, NULL)) != -1)
		switch (opt) {
		case 'c':
			c->campaign = optarg;
			break;
		case 'h':
			usage(stdout);
			return (CLI_CLEAN + 1);
		case 'o':
			c->output = optarg;
			break;
		case 't':
			if (!cli_number("finding", "--time", optarg, 1,
				UINT32_MAX, &c->seconds))
				return (CLI_USAGE + 1);
			break;
		default:
			return (CLI_USAGE + 1);
		}
	if (optind + 1 != argc)
		return (cli_usage("finding",
			    "expected one number of a finding, or one trace") +
		    1);
	c->name = argv[optind];
	return (0);
}

static int
finding(struct finding_cli *c)
{
	const bool bytes = c->triaged && c->row.ops_after == 0;
	int status;

	if (c->output != NULL && bytes)
		return (cli_usage("finding",
		    "%s: an input that is no trace: there is nothing to write",
		    c->file));
	if (c->output != NULL) {
		status = write_all(c);
		if (status != 0)
			return (status);
	}
	explain(c, stdout);
	if (!bytes)
		picture(c);
	(void)printf("\nreplay\n");
	put_replays(c, stdout);
	if (c->output != NULL)
		(void)printf("\nwritten to %s: finding.trace, repro.c, "
			     "README.md and a regression\n",
		    c->output);
	return (CLI_FINDING);
}

int
cli_finding(int argc, char **argv)
{
	static struct finding_cli c = { .campaign = ".",
		.seconds = SHRINK_SECONDS };
	int status = parse(&c, argc, argv);

	if (status != 0)
		return (status - 1);
	campaign_verb = "finding";
	trace_init(&c.trace);
	cli_catch_signals();
	status = find(&c);
	if (status == 0)
		status = finding(&c);
	trace_fini(&c.trace);
	return (status);
}
