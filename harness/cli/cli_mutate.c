/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab mutate: of the library's mutants, how many does the laboratory see?
 *
 * This program has none: it builds one that has (ci/mutate-build) and starts it
 * with the same options. There, jobs are processes that take one mutant after
 * the other, each in a child of its own (mutate/mutate.h); verdicts are in
 * memory that they share. What survives is looked up in the file of triage.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mutate/mutate.h"

#define JOBS_MAX    64u
#define ROWS_MAX    16u
#define NAME_LENGTH 24

/* A line of the file of triage. */
struct triage {
	char *key, *reason;
	bool equivalent; /* or a gap */
	bool used;
};

/* Of mutants of one sort. */
struct row {
	char name[NAME_LENGTH];
	uint64_t mutants, killed, equivalent, gaps, open, unmet;
};

struct mutate {
	const char *build, *source, *keep, *mutants, *triage_file;
	uint64_t jobs, sample;
	bool json, quiet, no_units;
	char **words; /* NULL terminated; none: all */
	struct mutate_table table;
	struct mutate_corpus corpus;
	struct triage *triage;
	size_t ntriage;
	size_t *chosen, n; /* of the table */
	/* Shared. */
	struct mutate_verdict *verdict;
	uint64_t *next, *done;
	/* Tables. */
	struct row allocator[ROWS_MAX], operator[ROWS_MAX], all[ROWS_MAX];
	uint64_t by[MUTATE_BY_COUNT];
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab mutate [OPTION...] [WORD...]\n"
	    "  --build DIR    where this program was built; default build\n"
	    "  --jobs N       processes; default 1\n"
	    "  --json         one JSON object instead of text\n"
	    "  --keep DIR     leave the program with the mutants there\n"
	    "  --mutants DIR  use what was kept there\n"
	    "  --no-units     leave out the unit tests of the library\n"
	    "  --quiet        no progress\n"
	    "  --sample N     only N mutants, the same ones every time\n"
	    "  --source DIR   the source tree; default .\n"
	    "  --triage FILE  default SOURCE/corpus/mutants/triage\n");
}

/* ---- Triage ------------------------------------------------------------ */

/* "equivalent", or "gap", a tab, the key, a tab, the reason. */
static bool
triage_line(struct mutate *m, char *line)
{
	char *key, *reason;
	struct triage *t;

	if (*line == '#' || *line == '\0')
		return (true);
	key = strchr(line, '\t');
	reason = key != NULL ? strchr(key + 1, '\t') : NULL;
	if (reason == NULL || reason[1] == '\0')
		return (false);
	*key++ = *reason++ = '\0';
	if (strcmp(line, "equivalent") != 0 && strcmp(line, "gap") != 0)
		return (false);
	t = realloc(m->triage, (m->ntriage + 1) * sizeof(*t));
	if (t == NULL)
		return (false);
	m->triage = t;
	t = &t[m->ntriage++];
	t->key = strdup(key);
	t->reason = strdup(reason);
	t->equivalent = line[0] == 'e';
	t->used = false;
	return (t->key != NULL && t->reason != NULL);
}

static int
read_triage(struct mutate *m)
{
	char path[PATH_MAX], *line = NULL;
	uint64_t number = 0;
	size_t cap = 0;
	ssize_t n;
	FILE *f;
	bool ok = true;

	(void)snprintf(
	    path, sizeof(path), "%.3900s/corpus/mutants/triage", m->source);
	f = fopen(m->triage_file != NULL ? m->triage_file : path, "r");
	if (f == NULL)
		return (cli_usage("mutate", "%s: %s",
		    m->triage_file != NULL ? m->triage_file : path,
		    strerror(errno)));
	while (ok && (n = getline(&line, &cap, f)) >= 0) {
		number++;
		if (n > 0 && line[n - 1] == '\n')
			line[n - 1] = '\0';
		ok = triage_line(m, line);
	}
	free(line);
	(void)fclose(f);
	if (!ok)
		return (cli_usage("mutate",
		    "%s:%" PRIu64 ": expected \"equivalent\" or \"gap\", a "
		    "key and a reason, with tabs between",
		    m->triage_file != NULL ? m->triage_file : path, number));
	return (0);
}

static struct triage *
triage_of(struct mutate *m, const struct mutate_mutant *mutant)
{
	size_t i;

	for (i = 0; i < m->ntriage; i++)
		if (strcmp(m->triage[i].key, mutant->key) == 0)
			return (&m->triage[i]);
	return (NULL);
}

/* ---- What is tried ----------------------------------------------------- */

static bool
is_wanted(const struct mutate *m, const struct mutate_mutant *mutant)
{
	char **word;

	for (word = m->words; *word != NULL; word++)
		if (strcmp(*word, mutant->file) == 0 ||
		    strcmp(*word, mutant->function) == 0 ||
		    strcmp(*word, mutant->operator) == 0)
			return (true);
	return (m->words[0] == NULL);
}

static uint64_t
hash_of(const char *key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
	return (h ^ h >> 29);
}

static const struct mutate_table *sorted; /* qsort(3) has no argument */

static int
by_hash(const void *a, const void *b)
{
	const struct mutate_mutant *m = sorted->mutant;
	uint64_t x = hash_of(m[*(const size_t *)a].key);
	uint64_t y = hash_of(m[*(const size_t *)b].key);

	return (x < y ? -1 : x > y);
}

static int
by_number(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x < y ? -1 : x > y);
}

/* In an order that is by the keys: a sample is the same while the text is, and
 * what was done when it is interrupted is a sample as well. */
static int
choose(struct mutate *m)
{
	size_t i;

	m->chosen = calloc(m->table.n, sizeof(*m->chosen));
	if (m->chosen == NULL)
		return (cli_usage("mutate", "out of memory"));
	for (i = 0; i < m->table.n; i++)
		if (is_wanted(m, &m->table.mutant[i]))
			m->chosen[m->n++] = i;
	if (m->n == 0)
		return (cli_usage("mutate", "there is no such mutant"));
	sorted = &m->table;
	qsort(m->chosen, m->n, sizeof(*m->chosen), by_hash);
	if (m->sample != 0 && m->sample < m->n)
		m->n = m->sample;
	return (0);
}

struct add {
	struct mutate *m;
	bool scenario, failed;
};

static void
add_trace(void *arg, const char *name)
{
	struct add *a = arg;
	struct trace_error e;

	if (!a->failed &&
	    mutate_corpus_add(&a->m->corpus, name, a->scenario, &e) != 0) {
		(void)cli_input_error(&e);
		a->failed = true;
	}
}

static int
load_corpus(struct mutate *m)
{
	static const char *const places[] = { "seeds", "regressions",
		"scenarios" };
	struct add a = { .m = m };
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < 3 && !a.failed; i++) {
		a.scenario = i == 2;
		(void)snprintf(path, sizeof(path), "%.3900s/corpus/%s",
		    m->source, places[i]);
		if (cli_each_file("mutate", path, add_trace, &a) != 0)
			return (CLI_USAGE);
	}
	return (a.failed ? CLI_USAGE : 0);
}

/* ---- Jobs -------------------------------------------------------------- */

static void
job_loop(const struct mutate *m)
{
	char tests[PATH_MAX];
	uint64_t i;

	(void)snprintf(tests, sizeof(tests), "%.3900s/tests", m->mutants);
	while ((i = __atomic_fetch_add(m->next, 1, __ATOMIC_RELAXED)) < m->n &&
	    !cli_stop) {
		const struct mutate_mutant *mutant =
		    &m->table.mutant[m->chosen[i]];
		struct mutate_verdict *v = &m->verdict[m->chosen[i]];

		if (mutate_trial(&m->corpus, mutant, v) != 0)
			return;
		if (v->by == MUTATE_SURVIVES && !m->no_units)
			mutate_units(tests, mutant, v);
		v->tried = true;
		(void)__atomic_fetch_add(m->done, 1, __ATOMIC_RELAXED);
	}
}

static int
run_jobs(struct mutate *m)
{
	double began = cli_now();
	uint64_t i, left = 0;

	(void)fflush(stdout);
	for (i = 0; i < m->jobs; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			job_loop(m);
			_exit(0);
		}
		left += pid > 0;
	}
	if (left == 0)
		return (cli_usage("mutate", "fork: %s", strerror(errno)));
	while (left > 0) {
		if (waitpid(-1, NULL, WNOHANG) > 0)
			left--;
		else
			(void)usleep(50000);
		if (!m->quiet)
			cli_progress("%" PRIu64 " of %zu mutants, %.0f s",
			    *m->done, m->n, cli_now() - began);
	}
	cli_progress_end();
	return (*m->done == m->n ? 0 : cli_usage("mutate", "interrupted"));
}

/* ---- What came of it --------------------------------------------------- */

static struct row *
row_of(struct row rows[ROWS_MAX], const char *name)
{
	size_t i;

	for (i = 0; i < ROWS_MAX - 1 && rows[i].name[0] != '\0'; i++)
		if (strcmp(rows[i].name, name) == 0)
			break;
	(void)snprintf(rows[i].name, sizeof(rows[i].name), "%s", name);
	return (&rows[i]);
}

static void
count(struct row *r, const struct mutate_verdict *v, const struct triage *t)
{
	r->mutants++;
	if (v->by != MUTATE_SURVIVES)
		r->killed++;
	else if (t == NULL)
		r->open++;
	else if (t->equivalent)
		r->equivalent++;
	else
		r->gaps++;
	r->unmet += v->by == MUTATE_SURVIVES && !v->met;
}

/* Of what is not equivalent, in tenths of a percent. */
static double
score(const struct row *r)
{
	uint64_t n = r->mutants - r->equivalent;

	return (n == 0 ? 100.0 : 100.0 * (double)r->killed / (double)n);
}

static void
tell_survivor(const struct mutate_mutant *mutant,
    const struct mutate_verdict *v, const struct triage *t)
{
	(void)printf("%s:%u: %s, %s%s: %s\n  - %s\n  + %s\n", mutant->file,
	    mutant->line, mutant->function, mutant->operator,
	    v->met ? "" : ", not met",
	    t == NULL	      ? "survives" :
		t->equivalent ? t->reason :
				t->reason,
	    mutant->was, mutant->becomes);
}

static void
print_rows(const char *title, const struct row rows[ROWS_MAX])
{
	size_t i;

	(void)printf("%-12s %8s %8s %10s %8s %8s %8s\n", title, "mutants",
	    "killed", "equivalent", "gaps", "open", "score");
	for (i = 0; i < ROWS_MAX && rows[i].name[0] != '\0'; i++)
		(void)printf("%-12s %8" PRIu64 " %8" PRIu64 " %10" PRIu64
			     " %8" PRIu64 " %8" PRIu64 " %7.1f%%\n",
		    rows[i].name, rows[i].mutants, rows[i].killed,
		    rows[i].equivalent, rows[i].gaps, rows[i].open,
		    score(&rows[i]));
}

static json_t *
json_rows(const struct row rows[ROWS_MAX])
{
	json_t *o = json_object();
	size_t i;

	for (i = 0; i < ROWS_MAX && rows[i].name[0] != '\0'; i++)
		(void)json_object_set_new(o, rows[i].name,
		    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "mutants",
			(json_int_t)rows[i].mutants, "killed",
			(json_int_t)rows[i].killed, "equivalent",
			(json_int_t)rows[i].equivalent, "gaps",
			(json_int_t)rows[i].gaps, "open",
			(json_int_t)rows[i].open, "not_met",
			(json_int_t)rows[i].unmet, "score", score(&rows[i])));
	return (o);
}

static json_t *
json_mutant(const struct mutate_mutant *mutant, const struct mutate_verdict *v,
    const struct triage *t)
{
	return (json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, "
			  "s:s}",
	    "file", mutant->file, "line", (json_int_t)mutant->line, "function",
	    mutant->function, "operator", mutant->operator, "was", mutant->was,
	    "becomes", mutant->becomes, "verdict", mutate_by_name(v->by),
	    "stage", mutate_stage_name(v->stage), "signature", v->signature,
	    "met", v->met, "triage",
	    v->by != MUTATE_SURVIVES ? "" :
		t == NULL	     ? "open" :
		t->equivalent	     ? "equivalent" :
				       "gap"));
}

static void
print_json(struct mutate *m)
{
	json_t *list = json_array(), *by = json_object();
	size_t i;

	for (i = 0; i < m->n; i++) {
		const struct mutate_mutant *x = &m->table.mutant[m->chosen[i]];
		const struct mutate_verdict *v = &m->verdict[m->chosen[i]];

		if (v->tried)

			(void)json_array_append_new(
			    list, json_mutant(x, v, triage_of(m, x)));
	}
	for (i = 0; i < MUTATE_BY_COUNT; i++)
		(void)json_object_set_new(by, mutate_by_name((enum mutate_by)i),
		    json_integer((json_int_t)m->by[i]));
	{
		json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o}", "total",
		    json_rows(m->all), "allocators", json_rows(m->allocator),
		    "operators", json_rows(m->operator), "detectors", by,
		    "mutants", list);

		(void)json_dumpf(o, stdout, JSON_INDENT(1));
		(void)printf("\n");
		json_decref(o);
	}
}

/* What was triaged and does not survive, or is not there any more. */
static uint64_t
tell_stale(const struct mutate *m)
{
	uint64_t n = 0;
	size_t i;

	if (m->sample != 0 || m->words[0] != NULL || m->no_units || cli_stop)
		return (0);
	for (i = 0; i < m->ntriage; i++)
		if (!m->triage[i].used) {
			n++;
			(void)fprintf(stderr,
			    "kalab mutate: does not survive, or is no mutant "
			    "any more: %s\n",
			    m->triage[i].key);
		}
	return (n);
}

static int
report(struct mutate *m)
{
	size_t i;

	qsort(m->chosen, m->n, sizeof(*m->chosen), by_number);
	for (i = 0; i < m->n; i++) {
		const struct mutate_mutant *x = &m->table.mutant[m->chosen[i]];
		const struct mutate_verdict *v = &m->verdict[m->chosen[i]];
		struct triage *t =
		    v->by == MUTATE_SURVIVES ? triage_of(m, x) : NULL;

		if (!v->tried)
			continue;
		if (t != NULL)
			t->used = true;
		m->by[v->by]++;
		count(row_of(m->allocator, mutate_allocator(x->file)), v, t);
		count(row_of(m->operator, x->operator), v, t);
		count(row_of(m->all, "all"), v, t);
		if (!m->json && v->by == MUTATE_SURVIVES)
			tell_survivor(x, v, t);
	}
	if (m->json) {
		print_json(m);
	} else {
		print_rows("allocator", m->allocator);
		print_rows("operator", m->operator);
		(void)printf("%-12s %8s\n", "killed by", "mutants");
		for (i = 1; i < MUTATE_BY_COUNT; i++)
			(void)printf("%-12s %8" PRIu64 "\n",
			    mutate_by_name((enum mutate_by)i), m->by[i]);
		(void)printf("%" PRIu64 " mutants, %" PRIu64 " killed, %" PRIu64
			     " equivalent, %" PRIu64 " gaps, %" PRIu64
			     " not triaged: score %.1f%%\n",
		    m->all[0].mutants, m->all[0].killed, m->all[0].equivalent,
		    m->all[0].gaps, m->all[0].open, score(&m->all[0]));
	}
	return (tell_stale(m) != 0 || m->all[0].open != 0 ? CLI_FINDING :
							    CLI_CLEAN);
}

/* With none on, nothing is wrong: else all that follows would mean nothing. */
static int
check_healthy(const struct mutate *m)
{
	static const struct mutate_mutant none = { .operator= "lock" };

	if (mutate_trial(&m->corpus, &none, &m->verdict[0]) != 0 ||
	    m->verdict[0].by != MUTATE_SURVIVES)
		return (cli_usage("mutate",
		    "without a mutant something is wrong as well: %s",
		    m->verdict[0].signature));
	return (0);
}

/* In the program that has the mutants. */
static int
try_mutants(struct mutate *m)
{
	char path[PATH_MAX];
	size_t bytes;
	char *shared;
	int error, i;

	(void)snprintf(path, sizeof(path), "%.3900s/mutants", m->mutants);
	error = mutate_table_read(&m->table, path);
	if (error != 0)
		return (cli_usage("mutate", "%s: %s", path,
		    error == EINVAL ? "it is no table of mutants" :
				      strerror(error)));
	error = read_triage(m);
	if (error == 0)
		error = choose(m);
	if (error == 0)
		error = load_corpus(m);
	if (error != 0)
		return (error);
	bytes = m->table.n * sizeof(*m->verdict);
	shared = mmap(NULL, bytes + 2 * sizeof(uint64_t),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return (cli_usage("mutate", "out of memory"));
	m->next = (uint64_t *)(void *)shared;
	m->done = m->next + 1;
	m->verdict = (struct mutate_verdict *)(void *)(m->done + 1);
	error = check_healthy(m);
	if (error != 0)
		return (error);
	error = run_jobs(m);
	i = report(m);
	return (error != 0 ? error : i);
}

/* ---- In the ordinary program ------------------------------------------- */

/* Starts a program and waits; its status, or CLI_USAGE. */
static int
run_program(char *const argv[])
{
	bool told = false;
	int status = 0;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)execv(argv[0], argv);
		(void)cli_usage("mutate", "%s: %s", argv[0], strerror(errno));
		_exit(CLI_USAGE);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (cli_stop && !told) {
			told = true;
			(void)kill(pid, SIGTERM);
		}
	return (pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : CLI_USAGE);
}

static int
build(const struct mutate *m, const char *dir)
{
	char tool[PATH_MAX];
	char *argv[] = { tool, (char *)(uintptr_t)m->source,
		(char *)(uintptr_t)m->build, (char *)(uintptr_t)dir,
		m->no_units ? NULL : (char *)(uintptr_t) "--tests", NULL };

	(void)snprintf(
	    tool, sizeof(tool), "%.3900s/ci/mutate-build", m->source);
	if (!m->quiet)
		cli_progress("building the mutants");
	if (run_program(argv) != 0)
		return (cli_usage("mutate", "the mutants cannot be built"));
	cli_progress_end();
	return (0);
}

/* The same options again, for the program with the mutants. */
static int
start(const struct mutate *m, int argc, char **argv, const char *dir)
{
	char program[PATH_MAX];
	char **words = calloc((size_t)argc + 4, sizeof(*words));
	int i, status;

	if (words == NULL)
		return (cli_usage("mutate", "out of memory"));
	(void)snprintf(program, sizeof(program), "%.3900s/kalab", dir);
	words[0] = program;
	words[1] = (char *)(uintptr_t) "mutate";
	words[2] = (char *)(uintptr_t) "--mutants";
	words[3] = (char *)(uintptr_t)dir;
	for (i = 1; i < argc; i++)
		words[i + 3] = argv[i];
	status = run_program(words);
	free(words);
	if (m->keep == NULL && m->mutants == NULL) {
		char *rm[] = { (char *)(uintptr_t) "/bin/rm",
			(char *)(uintptr_t) "-rf", (char *)(uintptr_t)dir,
			NULL };

		(void)run_program(rm);
	}
	return (status);
}

static int
build_and_start(const struct mutate *m, int argc, char **argv)
{
	char dir[PATH_MAX];
	int error;

	if (m->mutants != NULL)
		return (start(m, argc, argv, m->mutants));
	if (m->keep != NULL) {
		(void)snprintf(dir, sizeof(dir), "%s", m->keep);
	} else if (!cli_scratch("mutate", dir, sizeof(dir))) {
		return (CLI_USAGE);
	}
	error = build(m, dir);
	return (error != 0 ? error : start(m, argc, argv, dir));
}

/* ---- Options ----------------------------------------------------------- */

static const struct option options[] = {
	{ "build", required_argument, NULL, 'b' },
	{ "help", no_argument, NULL, 'h' },
	{ "jobs", required_argument, NULL, 'j' },
	{ "json", no_argument, NULL, 'J' },
	{ "keep", required_argument, NULL, 'k' },
	{ "mutants", required_argument, NULL, 'm' },
	{ "no-units", no_argument, NULL, 'u' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "sample", required_argument, NULL, 'n' },
	{ "source", required_argument, NULL, 's' },
	{ "triage", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

/* -1 to go on, or the status to exit with. */
static int
parse_option(struct mutate *m, int opt)
{
	bool ok = true;

	switch (opt) {
	case 'b':
		m->build = optarg;
		break;
	case 'h':
		usage(stdout);
		return (CLI_CLEAN);
	case 'j':
		ok = cli_number(
		    "mutate", "--jobs", optarg, 1, JOBS_MAX, &m->jobs);
		break;
	case 'J':
		m->json = true;
		break;
	case 'k':
		m->keep = optarg;
		break;
	case 'm':
		m->mutants = optarg;
		break;
	case 'u':
		m->no_units = true;
		break;
	case 'q':
		m->quiet = true;
		break;
	case 'n':
		ok = cli_number(
		    "mutate", "--sample", optarg, 1, UINT32_MAX, &m->sample);
		break;
	case 's':
		m->source = optarg;
		break;
	case 't':
		m->triage_file = optarg;
		break;
	default:
		return (CLI_USAGE);
	}
	return (ok ? -1 : CLI_USAGE);
}

int
cli_mutate(int argc, char **argv)
{
	static struct mutate m = { .build = "build", .source = ".", .jobs = 1 };
	int opt, end;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		end = parse_option(&m, opt);
		if (end >= 0)
			return (end);
	}
	m.words = argv + optind;
	cli_catch_signals();
	if (!mutate_can())
		return (build_and_start(&m, argc, argv));
	if (m.mutants == NULL)
		return (cli_usage("mutate", "--mutants is missing"));
	return (try_mutants(&m));
}
