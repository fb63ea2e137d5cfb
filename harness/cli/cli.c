/* SPDX-License-Identifier: BSD-2-Clause */
/* What the verbs share; see cli.h. */
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t cli_stop;
static bool progress_shown;

int
cli_usage(const char *verb, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "kalab %s: ", verb);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\n");
	return (CLI_USAGE);
}

int
cli_input_error(const struct trace_error *e)
{
	char line[768];

	if (strcmp(e->file, "stream") == 0)
		(void)fprintf(stderr, "standard output: %s\n", e->what);
	else {
		trace_error_format(e, line, sizeof(line));
		(void)fprintf(stderr, "%s\n", line);
	}
	return (CLI_USAGE);
}

bool
cli_number(const char *verb, const char *option, const char *text, uint64_t min,
    uint64_t max, uint64_t *ret_n)
{
	const bool hexadecimal =
	    text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, hexadecimal ? 16 : 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
	    n < min || n > max) {
		(void)cli_usage(verb,
		    "%s: \"%s\" is no number from %llu to %llu", option, text,
		    (unsigned long long)min, (unsigned long long)max);
		return (false);
	}
	*ret_n = n;
	return (true);
}

bool
cli_contents(const char *verb, const char *text, enum model_contents *ret_c)
{
	if (strcmp(text, "full") == 0)
		*ret_c = MODEL_CONTENTS_FULL;
	else if (strcmp(text, "sampled") == 0)
		*ret_c = MODEL_CONTENTS_SAMPLED;
	else if (strcmp(text, "none") == 0)
		*ret_c = MODEL_CONTENTS_NONE;
	else {
		(void)cli_usage(verb,
		    "--contents: \"%s\", expected full, sampled or none", text);
		return (false);
	}
	return (true);
}

bool
cli_check(const char *verb, const char *text, struct run_options *o)
{
	o->orders = strcmp(text, "wgl") == 0;
	if (!o->orders)
		(void)cli_usage(verb, "--check: \"%s\", expected wgl", text);
	return (o->orders);
}

bool
cli_scratch(const char *verb, char *ret_name, size_t size)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(ret_name, size, "%.3800s/kalab-%s-XXXXXX",
	    tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp", verb);
	if (mkdtemp(ret_name) != NULL)
		return (true);
	(void)cli_usage(verb, "%s: no directory can be made there", ret_name);
	return (false);
}

void
cli_remove(const char *directory)
{
	struct dirent *e;
	char path[4096 + 256];
	DIR *d = opendir(directory);

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(
		    path, sizeof(path), "%.4000s/%s", directory, e->d_name);
		if (unlink(path) != 0)
			cli_remove(path);
	}
	if (d != NULL)
		(void)closedir(d);
	(void)rmdir(directory);
}

bool
cli_directory(const char *verb, const char *option, const char *name)
{
	struct stat st = { 0 };
	int error = 0;

	if (stat(name, &st) == 0 && !S_ISDIR(st.st_mode))
		error = ENOTDIR;
	else if (access(name, W_OK | X_OK) != 0)
		error = errno;
	if (error != 0)
		(void)cli_usage(
		    verb, "%s: \"%s\": %s", option, name, strerror(error));
	return (error == 0);
}

bool
cli_output(const char *verb, const char *name)
{
	const char *slash = strrchr(name, '/');
	char directory[4096] = ".";

	if (strcmp(name, "-") == 0)
		return (true);
	if (slash != NULL)
		(void)snprintf(directory, sizeof(directory), "%.*s",
		    slash == name ? 1 : (int)(slash - name), name);
	return (cli_directory(verb, "--output", directory));
}

uint64_t
cli_file_size(const char *name)
{
	struct stat st;

	return (stat(name, &st) == 0 ? (uint64_t)st.st_size : 0);
}

int
cli_load(struct trace *ret_t, const char *name, struct trace_error *ret_err)
{
	struct trace_reader *r;
	int error;

	if (trace_reader_open(&r, name, ret_err) != 0)
		return (-1);
	error = trace_load(ret_t, r, ret_err);
	trace_reader_close(r);
	return (error);
}

static int
visible(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	if (d->d_name[0] == '.')
		return (0);
	return (dot == NULL || strcmp(dot, ".md") != 0);
}

int
cli_each_file(const char *verb, const char *name,
    void (*fn)(void *arg, const char *name), void *arg)
{
	struct stat st = { 0 };
	struct dirent **list;
	uint64_t files = 0;
	int i, n;

	if (strcmp(name, "-") == 0 || stat(name, &st) != 0 ||
	    !S_ISDIR(st.st_mode)) {
		fn(arg, name);
		return (0);
	}
	n = scandir(name, &list, visible, alphasort);
	if (n < 0)
		return (cli_usage(verb, "%s: %s", name, strerror(errno)));
	for (i = 0; i < n; i++) {
		char path[4096];

		(void)snprintf(
		    path, sizeof(path), "%s/%s", name, list[i]->d_name);
		free(list[i]);
		/* What cannot be looked at is an error of that file. */
		if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
			continue;
		files++;
		if (!cli_stop)
			fn(arg, path);
	}
	free(list);
	if (files != 0)
		return (0);
	return (cli_usage(verb, "%s: no trace in this directory", name));
}

bool
cli_subject(const char *verb, const char *text, const struct subject **ret_s)
{
	*ret_s = subject_by_name(text);
	if (*ret_s != NULL)
		return (true);
	(void)cli_usage(verb,
	    "--subject: \"%s\" is unknown, see kalab list subjects", text);
	return (false);
}

/*
 * A second SIGINT ends a program that waits for its input; but not one that
 * comes with the first, as from timeout(1), which tells the process and then
 * its group.
 */
static void
on_signal(int sig)
{
	static volatile double first;

	if (cli_stop && sig == SIGINT && cli_now() - first > 0.3) {
		(void)signal(sig, SIG_DFL);
		(void)raise(sig);
	}
	if (!cli_stop)
		first = cli_now();
	cli_stop = 1;
}

void
cli_catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	(void)sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
}

void
cli_progress(const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	progress_shown = true;
	(void)fprintf(stderr, "\r\033[K");
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fflush(stderr);
}

void
cli_progress_end(void)
{
	if (progress_shown)
		(void)fprintf(stderr, "\r\033[K");
	progress_shown = false;
}

static double
read_clock(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec * 1e-9);
}

double
cli_now(void)
{
	return (read_clock(CLOCK_MONOTONIC));
}

double
cli_cpu_now(void)
{
	return (read_clock(CLOCK_PROCESS_CPUTIME_ID));
}

void
cli_print_waits(FILE *f, const struct run_result *r, const char *prefix)
{
	const char *at = r->waits;

	while (*at != '\0') {
		size_t n = strcspn(at, "\n");

		(void)fprintf(f, "%s%.*s\n", prefix, (int)n, at);
		at += n + (at[n] == '\n');
	}
}

void
cli_command_add(struct cli_command *c, const char *fmt, ...)
{
	size_t room = sizeof(c->s) - c->n;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(c->s + c->n, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		c->n += (size_t)n < room ? (size_t)n : room - 1;
}

void
cli_command_file(struct cli_command *c, const char *name)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789_./,:+@%=-";

	if (*name != '\0' && name[strspn(name, plain)] == '\0') {
		cli_command_add(c, " %s", name);
		return;
	}
	cli_command_add(c, " '");
	for (; *name != '\0'; name++)
		if (*name == '\'')
			cli_command_add(c, "'\\''");
		else
			cli_command_add(c, "%c", *name);
	cli_command_add(c, "'");
}

void
cli_command_options(struct cli_command *c, const struct run_options *o)
{
	static const char *const contents[] = { "full", "sampled", "none" };

	if (o->audit_every != 0)
		cli_command_add(
		    c, " --audit %llu", (unsigned long long)o->audit_every);
	if (o->contents != MODEL_CONTENTS_FULL)
		cli_command_add(c, " --contents %s", contents[o->contents]);
	if (o->orders)
		cli_command_add(c, " --check wgl");
	if (o->ops_max != 0)
		cli_command_add(
		    c, " --ops %llu", (unsigned long long)o->ops_max);
	if (o->perturb)
		cli_command_add(
		    c, " --perturb %llu", (unsigned long long)o->perturb_seed);
	if (o->points_max != 0)
		cli_command_add(
		    c, " --points %llu", (unsigned long long)o->points_max);
	if (strcmp(o->subject->name, "kalloc") != 0)
		cli_command_add(c, " --subject %s", o->subject->name);
}

void
cli_print_slack(FILE *f, uint64_t used, uint64_t declared)
{
	if (used != 0)
		(void)fprintf(f,
		    "  near limits %llu of a slack of %llu were used\n",
		    (unsigned long long)used, (unsigned long long)declared);
}

void
cli_print_orders(FILE *f, uint64_t n, uint64_t too_long)
{
	if (n != 0)
		(void)fprintf(f,
		    "  %llu histories have an order, %llu were too long to "
		    "tell\n",
		    (unsigned long long)(n - too_long),
		    (unsigned long long)too_long);
}

void
cli_print_finding(
    FILE *f, const struct run_result *r, const char *file, const char *replay)
{
	const struct finding *x = &r->finding;

	(void)fprintf(f, "%s: finding: clause %s is broken\n", file, x->clause);
	(void)fprintf(f, "  operation  %s", x->operation);
	if (x->line != 0)
		(void)fprintf(f, ", line %llu, thread %u",
		    (unsigned long long)x->line, x->thread);
	(void)fprintf(
	    f, "\n  expected   %s\n  found      %s\n", x->expected, x->found);
	(void)fprintf(f, "  signature  %s\n", x->signature);
	if (r->waits[0] != '\0') {
		(void)fprintf(f, "  waiting\n");
		cli_print_waits(f, r, "    ");
	}
	(void)fprintf(f, "  replay     %s\n", replay);
}

uint32_t
cli_jobs(uint32_t asked, uint32_t max)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (asked != 0)
		return (asked);
	return (cpus < 1 ? 1 : cpus > (long)max ? max : (uint32_t)cpus);
}

const char *
cli_targets(const char *asked)
{
	static char path[4096], all[4096 * 3];
	const ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL)
		*slash = '\0';
	(void)snprintf(all, sizeof(all), "%s%s%s:%s/../../fuzz",
	    asked != NULL ? asked : "", asked != NULL ? ":" : "", path, path);
	return (all);
}
