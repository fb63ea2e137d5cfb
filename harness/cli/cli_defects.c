/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab defects: can the laboratory see what it is for?
 *
 * The corpus has real bugs of allocators as patches against the library. For
 * each, a kalab with the defective library is built and searches from seeds
 * that know nothing of the defect; its finding is shrunk, and its trace must
 * pass on the healthy library, which is this program's. A defect that is not
 * found in its time, or under a clause that it does not break, is a failure of
 * the laboratory.
 *
 * Everything that may crash, hang or spoil memory is another process. Jobs are
 * processes that take one defect after the other; results are in memory that
 * they share with the parent, which prints them in the order of their names.
 */
#include "cli_defects.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFECTS_MAX 1024u
#define JOBS_MAX    64u
#define SHRINK_TIME "20" /* seconds */

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab defects [OPTION...] [NAME...]\n"
	    "  --budget SECONDS  to search for each; default 10\n"
	    "  --build DIR       where this program was built; default build\n"
	    "  --database FILE   add what came of it to this database\n"
	    "  --engine NAME     what searches: run (default), explore,\n"
	    "                    libfuzzer, afl\n"
	    "  --fuzzing DIR     where the engine's targets were built; "
	    "default\n"
	    "                    build-libfuzzer or build-afl\n"
	    "  --jobs N          processes; default 1\n"
	    "  --json            one JSON object instead of a table\n"
	    "  --keep DIR        leave programs and traces there\n"
	    "  --seed N          of the first trace; default 1\n"
	    "  --source DIR      the source tree; default .\n");
}

/* ---- The corpus -------------------------------------------------------- */

/* A "key: value" line of the header, into buf; "" if there is none. */
static void
header_value(const char *text, const char *key, char *buf, size_t size)
{
	size_t n = strlen(key);

	buf[0] = '\0';
	while (*text != '\0' && strncmp(text, "--- ", 4) != 0) {
		size_t line = strcspn(text, "\n");

		if (strncmp(text, key, n) == 0 && text[n] == ':') {
			const char *value = text + n + 1;

			value += strspn(value, " ");
			(void)snprintf(buf, size, "%.*s",
			    (int)(line - (size_t)(value - text)), value);
			return;
		}
		text += line + (text[line] == '\n');
	}
}

static bool
read_header(struct defect *d)
{
	char text[4096];
	FILE *f = fopen(d->path, "r");
	size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f == NULL)
		return (false);
	(void)fclose(f);
	text[n] = '\0';
	header_value(text, "id", d->id, sizeof(d->id));
	header_value(text, "allocator", d->allocator, sizeof(d->allocator));
	header_value(text, "kind", d->kind, sizeof(d->kind));
	header_value(text, "needs", d->needs, sizeof(d->needs));
	header_value(text, "clause", d->clauses, sizeof(d->clauses));
	return (d->id[0] != '\0' && d->clauses[0] != '\0');
}

static bool
is_wanted(const struct defects *c, const char *id)
{
	char **name;

	for (name = c->names; *name != NULL; name++)
		if (strcmp(*name, id) == 0)
			return (true);
	return (c->names[0] == NULL);
}

static int
is_patch(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return (dot != NULL && strcmp(dot, ".patch") == 0);
}

/* 0, or a status to exit with. */
static int
read_corpus(struct defects *c)
{
	struct dirent **list;
	char dir[PATH_MAX];
	char **name;
	bool bad = false;
	int i, n;

	(void)snprintf(dir, sizeof(dir), "%s/corpus/defects", c->source);
	n = scandir(dir, &list, is_patch, alphasort);
	if (n < 0)
		return (cli_usage("defects", "%s: %s", dir, strerror(errno)));
	for (i = 0; i < n; i++) {
		struct defect *d = &c->defect[c->n];

		(void)snprintf(d->path, sizeof(d->path), "%.3800s/%s", dir,
		    list[i]->d_name);
		free(list[i]);
		if (bad)
			continue;
		bad = !read_header(d);
		if (bad)
			(void)cli_usage(
			    "defects", "%s: no id or clause", d->path);
		else if (is_wanted(c, d->id) && c->n < DEFECTS_MAX - 1)
			c->n++;
	}
	free(list);
	if (bad)
		return (CLI_USAGE);
	for (name = c->names; *name != NULL; name++) {
		uint64_t at = 0;

		while (at < c->n && strcmp(c->defect[at].id, *name) != 0)
			at++;
		if (at == c->n)
			return (cli_usage("defects",
			    "there is no defect \"%s\" in %s", *name, dir));
	}
	return (0);
}

/* ---- One defect -------------------------------------------------------- */

int
defects_program(char *const argv[], char *const environment[], const char *out)
{
	int fd, status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return (-1);
	if (pid == 0) {
		fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
		if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
			_exit(127);
		while (environment != NULL && *environment != NULL)
			(void)putenv(*environment++);
		(void)execv(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return (-1);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

void
defects_text(const char *name, char *buf, size_t size)
{
	FILE *f = fopen(name, "r");
	size_t n = f != NULL ? fread(buf, 1, size - 1, f) : 0;

	buf[n] = '\0';
	if (f != NULL)
		(void)fclose(f);
}

bool
defects_has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	while (*words != '\0') {
		size_t len = strcspn(words, " ");

		if (len == n && strncmp(words, word, n) == 0)
			return (true);
		words += len + strspn(words + len, " ");
	}
	return (false);
}

bool
defects_clause(struct defect *d, const char *text)
{
	const char *at = strstr(text, ": finding: ");

	if (at == NULL)
		return (false);
	if (sscanf(at, ": finding: clause %15s", d->clause) != 1)
		(void)snprintf(d->clause, sizeof(d->clause), "died");
	return (true);
}

/* What the search says: the seed, and the clause. */
static bool
parse_finding(struct defect *d, const char *out)
{
	const char *at = strstr(out, "seed ");

	if (at == NULL)
		return (false);
	d->seed = strtoull(at + 5, NULL, 10);
	return (defects_clause(d, at));
}

bool
defects_build(const struct defects *c, struct defect *d, const char *build,
    const char *dir, const char *target)
{
	char tool[PATH_MAX], out[PATH_MAX + 8];
	char *argv[] = { tool, (char *)(uintptr_t)c->source,
		(char *)(uintptr_t)build, d->path, (char *)(uintptr_t)dir,
		(char *)(uintptr_t)target, NULL };

	(void)snprintf(tool, sizeof(tool), "%s/ci/defect-build", c->source);
	(void)snprintf(out, sizeof(out), "%s.log", dir);
	if (defects_program(argv, NULL, out) == 0) {
		(void)unlink(out);
		return (true);
	}
	defects_text(out, d->why, sizeof(d->why));
	(void)unlink(out);
	if (d->why[0] == '\0')
		(void)snprintf(
		    d->why, sizeof(d->why), "%.200s cannot be run", tool);
	d->state = DEFECT_NOT_BUILT;
	return (false);
}

/* For a part of the budget, with traces of one length. */
static void
search_part(const struct defects *c, struct defect *d, char *dir,
    uint64_t seconds, const char *ops)
{
	char program[PATH_MAX + 16], out[PATH_MAX + 16], text[4096];
	char seed[32], budget[32], length[16];
	char *argv[] = { program, (char[]) { "run" }, (char[]) { "--audit" },
		(char[]) { AUDIT_EVERY }, (char[]) { "--quiet" },
		(char[]) { "--seed" }, seed, (char[]) { "--cpu-time" }, budget,
		(char[]) { "--ops" }, length, (char[]) { "--keep" }, dir,
		NULL };
	uint64_t runs;

	(void)snprintf(program, sizeof(program), "%s/kalab", dir);
	(void)snprintf(out, sizeof(out), "%s/run.out", dir);
	(void)snprintf(seed, sizeof(seed), "%" PRIu64, c->first_seed);
	(void)snprintf(budget, sizeof(budget), "%" PRIu64, seconds);
	(void)snprintf(length, sizeof(length), "%s", ops);
	(void)defects_program(argv, NULL, out);
	defects_text(out, text, sizeof(text));
	if (parse_finding(d, text)) {
		d->state = DEFECT_FOUND;
		d->executions += d->seed - c->first_seed + 1;
		(void)snprintf(d->trace, sizeof(d->trace),
		    "%.3900s/seed-%" PRIu64 ".trace", dir, d->seed);
		return;
	}
	d->state = DEFECT_NOT_FOUND;
	(void)snprintf(
	    d->why, sizeof(d->why), "%.*s", (int)strcspn(text, "\n"), text);
	if (sscanf(text, "clean: %" SCNu64, &runs) == 1)
		d->executions += runs;
	else
		d->state = DEFECT_INTERRUPTED;
}

/* What the children that have ended have run. */
static double
children_ran(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_CHILDREN, &u);
	return ((double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6);
}

/* Short traces try more schedules, long ones get further: half of the time
 * for each. The time is a processor's, so that what is found is not a matter
 * of what else the machine does. */
static void
search(const struct defects *c, struct defect *d, char *dir)
{
	double began = children_ran();

	search_part(c, d, dir, (c->budget + 1) / 2, "200");
	if (d->state == DEFECT_NOT_FOUND && c->budget > 1)
		search_part(c, d, dir, c->budget / 2, "1000");
	d->seconds = children_ran() - began;
}

/* What is found by an order that calls cannot have is looked for so again. */
static void
examine(const struct defects *c, struct defect *d, char *dir)
{
	const bool orders = strcmp(c->engine, "explore") == 0;
	char program[PATH_MAX + 16];
	char least[PATH_MAX + 16], out[PATH_MAX + 16], text[4096];
	char self[PATH_MAX] = "";
	char *shrink[] = { program, (char[]) { "shrink" },
		(char[]) { "--audit" }, (char[]) { AUDIT_EVERY },
		(char[]) { "--time" }, (char[]) { SHRINK_TIME },
		(char[]) { "--output" }, least, d->trace,
		orders ? (char[]) { "--check" } : NULL, (char[]) { "wgl" },
		NULL };
	char *replay[] = { (char[]) { "/usr/bin/env" }, (char[]) { "timeout" },
		(char[]) { "60" }, self, (char[]) { "replay" },
		(char[]) { "--audit" }, (char[]) { AUDIT_EVERY }, d->trace,
		orders ? (char[]) { "--check" } : NULL, (char[]) { "wgl" },
		NULL };
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *at;

	self[n < 0 ? 0 : n] = '\0';
	(void)snprintf(program, sizeof(program), "%s/kalab", dir);
	(void)snprintf(least, sizeof(least), "%s/least.trace", dir);
	(void)snprintf(out, sizeof(out), "%s/shrink.out", dir);
	if (defects_program(shrink, NULL, out) == 0) {
		defects_text(out, text, sizeof(text));
		at = strstr(text, ".trace: ");
		if (at != NULL)
			d->shrunk = strtoull(at + 8, NULL, 10);
	}
	(void)snprintf(out, sizeof(out), "%s/healthy.out", dir);
	d->healthy = defects_program(replay, NULL, out) == 0;
}

static void
one(const struct defects *c, struct defect *d)
{
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%.3900s/%s", c->scratch, d->id);
	if (!defects_build(c, d, c->build, dir, "harness/cli/kalab"))
		return;
	if (strcmp(c->engine, "run") == 0)
		search(c, d, dir);
	else if (strcmp(c->engine, "explore") == 0)
		defects_explore(c, d, dir);
	else
		defects_engine(c, d, dir);
	d->right = defects_has_word(d->clauses, d->clause);
	if (d->state == DEFECT_FOUND)
		examine(c, d, dir);
	if (!c->keep) {
		char *argv[] = { (char[]) { "/bin/rm" }, (char[]) { "-rf" },
			dir, NULL };

		(void)defects_program(argv, NULL, "/dev/null");
	}
}

/* ---- The report -------------------------------------------------------- */

static bool
is_good(const struct defect *d)
{
	return (d->state == DEFECT_FOUND && d->right && d->healthy);
}

const char *
defects_verdict(const struct defect *d)
{
	switch (d->state) {
	case DEFECT_NOT_BUILT:
		return ("not built");
	case DEFECT_NOT_FOUND:
		return ("not found");
	case DEFECT_FOUND:
		return (!d->right   ? "other clause" :
			!d->healthy ? "not its own" :
				      "found");
	default:
		return ("interrupted");
	}
}

static void
print_row(const struct defect *d)
{
	char shrunk[24] = "-";

	if (d->shrunk != 0)
		(void)snprintf(shrunk, sizeof(shrunk), "%" PRIu64, d->shrunk);
	(void)printf("%-34s %-8s %-13s %-8s %8" PRIu64 " %8.1f %6s\n", d->id,
	    d->allocator, defects_verdict(d),
	    d->clause[0] != '\0' ? d->clause : "-", d->executions, d->seconds,
	    shrunk);
	if (d->state == DEFECT_NOT_BUILT)
		(void)printf("  %.*s\n", (int)strcspn(d->why, "\n"), d->why);
	(void)fflush(stdout);
}

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x < *y ? -1 : *x > *y);
}

static double
median(double *v, uint64_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return (n == 0 ? 0 : v[n / 2]);
}

struct figures {
	uint64_t found, right, healthy;
	double seconds, shrunk; /* medians */
};

static void
sum(const struct defects *c, struct figures *ret_f)
{
	static double seconds[DEFECTS_MAX], shrunk[DEFECTS_MAX];
	uint64_t i, n = 0;

	memset(ret_f, 0, sizeof(*ret_f));
	for (i = 0; i < c->n; i++) {
		const struct defect *d = &c->defect[i];

		if (d->state != DEFECT_FOUND)
			continue;
		seconds[ret_f->found++] = d->seconds;
		ret_f->right += d->right;
		ret_f->healthy += d->healthy;
		if (d->shrunk != 0)
			shrunk[n++] = (double)d->shrunk;
	}
	ret_f->seconds = median(seconds, ret_f->found);
	ret_f->shrunk = median(shrunk, n);
}

static void
print_json(const struct defects *c, const struct figures *f)
{
	json_t *list = json_array();
	json_t *all;
	uint64_t i;

	for (i = 0; i < c->n; i++) {
		const struct defect *d = &c->defect[i];

		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:f, "
			      "s:I, s:b, s:b}",
			"id", d->id, "allocator", d->allocator, "kind", d->kind,
			"needs", d->needs, "expected", d->clauses, "verdict",
			defects_verdict(d), "clause", d->clause, "executions",
			(json_int_t)d->executions, "seconds", d->seconds,
			"shrunk", (json_int_t)d->shrunk, "right", (int)d->right,
			"healthy", (int)d->healthy));
	}
	all = json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:o}", "engine",
	    c->engine, "budget", (json_int_t)c->budget, "found",
	    (json_int_t)f->found, "right", (json_int_t)f->right, "healthy",
	    (json_int_t)f->healthy, "median_seconds", f->seconds,
	    "median_shrunk", f->shrunk, "defects", list);
	(void)json_dumpf(all, stdout, JSON_INDENT(2));
	(void)printf("\n");
	json_decref(all);
}

static int
report(const struct defects *c)
{
	int status = CLI_CLEAN;
	struct figures f;
	uint64_t i;

	sum(c, &f);
	for (i = 0; i < c->n; i++)
		if (!is_good(&c->defect[i]))
			status = CLI_FINDING;
	if (c->json)
		print_json(c, &f);
	else
		(void)printf("%" PRIu64 " of %" PRIu64 " found, %" PRIu64
			     " under a clause that they break, %" PRIu64
			     " pass without the defect; medians: %.1f s, "
			     "%.0f operations\n",
		    f.found, c->n, f.right, f.healthy, f.seconds, f.shrunk);
	if (c->database != NULL && !defects_save(c))
		return (CLI_USAGE);
	return (cli_stop ? CLI_USAGE : status);
}

/* ---- Jobs -------------------------------------------------------------- */

static void
job(const struct defects *c)
{
	for (;;) {
		uint64_t i = __atomic_fetch_add(c->next, 1, __ATOMIC_RELAXED);

		struct defect d;
		enum defect_state state;

		if (i >= c->n || cli_stop)
			return;
		d = c->defect[i];
		one(c, &d);
		/* The state last: the parent looks at it. */
		state =
		    d.state != DEFECT_WAITING ? d.state : DEFECT_INTERRUPTED;
		d.state = DEFECT_WAITING;
		c->defect[i] = d;
		__atomic_store_n(&c->defect[i].state, state, __ATOMIC_RELEASE);
	}
}

/* Rows as they come, in order. */
static void
print_ready(const struct defects *c, uint64_t *at, bool all)
{
	for (; *at < c->n; (*at)++) {
		const struct defect *d = &c->defect[*at];

		if (!all &&
		    __atomic_load_n(&d->state, __ATOMIC_ACQUIRE) ==
			DEFECT_WAITING)
			return;
		if (!c->json)
			print_row(d);
	}
}

static int
run_jobs(struct defects *c)
{
	uint64_t i, left = 0, at = 0;

	(void)fflush(stdout);
	for (i = 0; i < c->jobs; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			job(c);
			_exit(0);
		}
		left += pid > 0;
	}
	if (left == 0)
		return (cli_usage("defects", "fork: %s", strerror(errno)));
	while (left > 0) {
		if (waitpid(-1, NULL, WNOHANG) > 0)
			left--;
		else
			(void)usleep(100000);
		print_ready(c, &at, false);
		cli_progress("%" PRIu64 " of %" PRIu64 " defects",
		    __atomic_load_n(c->next, __ATOMIC_RELAXED), c->n);
	}
	cli_progress_end();
	print_ready(c, &at, true);
	return (report(c));
}

static int
defects(struct defects *c)
{
	void *shared;
	int status;

	shared = mmap(NULL, DEFECTS_MAX * sizeof(*c->defect) + 64,
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return (cli_usage("defects", "out of memory"));
	c->next = shared;
	c->defect = (struct defect *)(void *)((char *)shared + 64);
	status = read_corpus(c);
	if (status != 0)
		return (status);
	if (!c->keep) {
		if (!cli_scratch("defects", c->scratch, sizeof(c->scratch)))
			return (CLI_USAGE);
	} else if (mkdir(c->scratch, 0777) != 0 && errno != EEXIST) {
		return (cli_usage(
		    "defects", "%s: %s", c->scratch, strerror(errno)));
	}
	if (!c->json)
		(void)printf("%-34s %-8s %-13s %-8s %8s %8s %6s\n", "defect",
		    "in", "verdict", "clause", "runs", "seconds", "shrunk");
	status = run_jobs(c);
	if (!c->keep)
		(void)rmdir(c->scratch);
	return (status);
}

/* ---- Options ----------------------------------------------------------- */

enum {
	OPT_BUDGET,
	OPT_BUILD,
	OPT_DATABASE,
	OPT_ENGINE,
	OPT_FUZZING,
	OPT_HELP,
	OPT_JOBS,
	OPT_JSON,
	OPT_KEEP,
	OPT_SEED,
	OPT_SOURCE
};

static const struct option options[] = {
	{ "budget", required_argument, NULL, OPT_BUDGET },
	{ "build", required_argument, NULL, OPT_BUILD },
	{ "database", required_argument, NULL, OPT_DATABASE },
	{ "engine", required_argument, NULL, OPT_ENGINE },
	{ "fuzzing", required_argument, NULL, OPT_FUZZING },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "source", required_argument, NULL, OPT_SOURCE },
	{ NULL, 0, NULL, 0 },
};

/* -1 to go on, or the status to exit with. */
static int
parse_option(struct defects *c, int opt)
{
	bool ok = true;

	switch (opt) {
	case OPT_BUDGET:
		ok = cli_number(
		    "defects", "--budget", optarg, 1, 86400, &c->budget);
		break;
	case OPT_BUILD:
		c->build = optarg;
		break;
	case OPT_ENGINE:
		c->engine = optarg;
		if (strcmp(optarg, "run") != 0 &&
		    strcmp(optarg, "explore") != 0 &&
		    strcmp(optarg, "libfuzzer") != 0 &&
		    strcmp(optarg, "afl") != 0)
			return (cli_usage("defects",
			    "--engine: \"%s\", expected run, explore, "
			    "libfuzzer or afl",
			    optarg));
		break;
	case OPT_DATABASE:
		c->database = optarg;
		break;
	case OPT_FUZZING:
		c->fuzzing = optarg;
		break;
	case OPT_HELP:
		usage(stdout);
		return (CLI_CLEAN);
	case OPT_JOBS:
		ok = cli_number(
		    "defects", "--jobs", optarg, 1, JOBS_MAX, &c->jobs);
		break;
	case OPT_JSON:
		c->json = true;
		break;
	case OPT_KEEP:
		c->keep = true;
		(void)snprintf(c->scratch, sizeof(c->scratch), "%s", optarg);
		break;
	case OPT_SEED:
		ok = cli_number("defects", "--seed", optarg, 0, UINT64_MAX / 2,
		    &c->first_seed);
		break;
	case OPT_SOURCE:
		c->source = optarg;
		break;
	default:
		return (CLI_USAGE);
	}
	return (ok ? -1 : CLI_USAGE);
}

int
cli_defects(int argc, char **argv)
{
	struct defects c = { .jobs = 1,
		.budget = 10,
		.first_seed = 1,
		.build = "build",
		.source = ".",
		.engine = "run" };
	int opt, end;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		end = parse_option(&c, opt);
		if (end >= 0)
			return (end);
	}
	if (c.fuzzing == NULL)
		c.fuzzing = strcmp(c.engine, "afl") == 0 ? "build-afl" :
							   "build-libfuzzer";
	c.names = argv + optind;
	cli_catch_signals();
	return (defects(&c));
}
