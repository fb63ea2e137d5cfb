/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab run: a campaign of generated traces. Each seed is one trace and one
 * verdict; seeds count up from --seed. Jobs are processes that take every
 * so-manieth seed; what a job finds, the parent runs again by its seed and
 * reports, so that the report does not depend on who was faster.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kalloc/flags.h>

#include "gen/gen.h"
#include "util/distinct.h"

#define JOBS_MAX    64u
#define DEBUG_PAGES 8192u
#define TWICE	    64u /* one seed in so many is run twice, asked or not */

/* One a job, in memory that parent and jobs share. */
struct job {
	uint64_t seed; /* being run */
	uint64_t runs, ops, points, blocked, skipped;
	uint64_t hash;	/* of all its runs, whatever their order */
	uint64_t found; /* seed of a finding, plus one */
	struct finding finding;
	double until, cpu_until; /* 0: without end */
	int failed;		 /* errno */
};

struct campaign {
	struct gen_options gen;
	struct run_options run;
	uint64_t runs, jobs, seconds, cpu_seconds;
	bool twice, quiet;
	const char *keep;
	struct job *job;
	/* Bitmaps by hash, shared by the jobs: how many different ones were
	 * seen follows from how many bits are clear (linear counting). */
	uint8_t *states, *schedules;
	pid_t pid[JOBS_MAX];
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab run [OPTION...]\n"
	    "  --audit N         audit the structures every N operations\n"
	    "  --contents HOW    full (default), sampled or none\n"
	    "  --cpu-time SECONDS  stop each process when it has run so long\n"
	    "  --cpus N          virtual CPUs, 1..64; default: drawn\n"
	    "  --jobs N          processes; default 1\n"
	    "  --keep DIR        where the trace of a finding goes; default .\n"
	    "  --ops N           operations of a trace; default 1000\n"
	    "  --quiet           no progress\n"
	    "  --runs N          traces; default 1, without end with a time\n"
	    "  --seed N          of the first trace; default 1\n"
	    "  --subject NAME    kalloc (default) or malloc\n"
	    "  --threads N       1..256; default: drawn\n"
	    "  --time SECONDS    stop after so long\n"
	    "  --twice           run each twice and compare, not one in 64\n");
}

static void
on_state(void *arg, uint64_t state)
{
	distinct_add(arg, state);
}

/* A second time: the same events (G-10). */
static void
run_again(const struct campaign *c, const struct trace *t, struct run_result *r)
{
	struct finding *f = &r->finding;
	struct run_result again;
	struct run_source source;
	struct run_mem mem;

	source = run_source_mem(&mem, t);
	run(&source, &c->run, &again);
	if (again.status == RUN_INTERRUPTED) {
		r->status = again.status;
		return;
	}
	if (again.hash == r->hash && again.status == r->status)
		return;
	r->status = RUN_FINDING;
	(void)snprintf(f->clause, sizeof(f->clause), "G-10");
	(void)snprintf(f->operation, sizeof(f->operation), "run");
	(void)snprintf(
	    f->expected, sizeof(f->expected), "hash %016" PRIx64, r->hash);
	(void)snprintf(f->found, sizeof(f->found),
	    "hash %016" PRIx64 " in the second run", again.hash);
	(void)snprintf(f->signature, sizeof(f->signature), "run/G-10/run/hash");
}

/* ---- With debug options and without (G-11) ----------------------------- */

/* One order of operations, no failures, and pages enough for all. */
static void
without_chance(struct trace_header *h)
{
	h->sched = TRACE_SCHED_RECORDED;
	h->memory = TRACE_MEMORY_SC;
	h->may = h->ndeviations = h->nfaults = 0;
	if (h->pages < DEBUG_PAGES)
		h->pages = DEBUG_PAGES;
}

/*
 * Does the run show what any other would, whatever the layout of memory? Not if
 * pages were short, a limit near, or where the trace frees by addresses that
 * may be another's by then.
 */
static bool
is_determined(const struct run_result *r)
{
	const struct model_counts *c = &r->counts;

	return (r->strays == 0 && r->blocked == 0 && c->page_failures == 0 &&
	    c->sleeps == 0 && c->limits == 0 && c->slack_used == 0);
}

static void
run_debug(const struct campaign *c, const struct trace *t, uint32_t debug,
    struct run_result *r)
{
	struct trace_header h = t->header;
	struct run_options o = c->run;
	struct run_source source;
	struct run_mem mem;

	without_chance(&h);
	h.debug = debug;
	source = run_source_mem(&mem, t);
	source.header = &h;
	o.state = NULL;
	run(&source, &o, r);
}

/* A CPU without owner has one again when a call there does not take the fast
 * path, which with debug options none does: until then anybody may take what it
 * caches. */
static bool
has_exits(const struct trace *t)
{
	size_t i;

	for (i = 0; i < t->nops; i++)
		if (t->op[i].code == TRACE_OP_THREAD_EXIT)
			return (true);
	return (false);
}

/* The same trace without debug options and with all of them. */
static void
compare_debug(
    const struct campaign *c, const struct trace *t, struct run_result *r)
{
	struct finding *f = &r->finding;
	struct run_result plain, debug;

	if (has_exits(t))
		return;
	run_debug(c, t, 0, &plain);
	if (plain.status != RUN_CLEAN || !is_determined(&plain))
		return;
	run_debug(c, t, KA_DEBUG_ALL, &debug);
	if (!is_determined(&debug) ||
	    (debug.status == RUN_CLEAN && debug.visible == plain.visible) ||
	    (debug.status != RUN_CLEAN && debug.status != RUN_FINDING))
		return;
	r->status = RUN_FINDING;
	(void)snprintf(f->clause, sizeof(f->clause), "G-11");
	(void)snprintf(f->operation, sizeof(f->operation), "run");
	(void)snprintf(f->expected, sizeof(f->expected),
	    "what the interface shows without debug options: %016" PRIx64,
	    plain.visible);
	if (debug.status == RUN_FINDING)
		(void)snprintf(f->found, sizeof(f->found),
		    "%.90s with all of them", debug.finding.signature);
	else
		(void)snprintf(f->found, sizeof(f->found),
		    "%016" PRIx64 " with all of them", debug.visible);
	(void)snprintf(
	    f->signature, sizeof(f->signature), "run/G-11/run/visible");
}

/* One seed. */
static void
run_seed(const struct campaign *c, uint64_t seed, struct trace *t,
    struct run_result *r)
{
	struct gen_options g = c->gen;
	struct run_source source;
	struct run_mem mem;

	g.seed = seed;
	memset(r, 0, sizeof(*r));
	if (gen_trace(&g, t) != 0) {
		r->status = RUN_FAILED;
		trace_error_set(&r->error, "kalab", 0, 0, "out of memory");
		return;
	}
	source = run_source_mem(&mem, t);
	run(&source, &c->run, r);
	if (r->status == RUN_CLEAN && (c->twice || seed % TWICE == 0))
		run_again(c, t, r);
	if (r->status == RUN_CLEAN && seed % TWICE == TWICE / 2)
		compare_debug(c, t, r);
}

static bool
is_over(const struct job *j)
{
	return (cli_stop || (j->until > 0 && cli_now() > j->until) ||
	    (j->cpu_until > 0 && cli_cpu_now() > j->cpu_until));
}

static void
job_loop(const struct campaign *c, uint64_t index)
{
	struct job *j = &c->job[index];
	uint64_t i;

	for (i = index; c->runs == 0 || i < c->runs; i += c->jobs) {
		struct run_result r;
		struct trace t;

		if (is_over(j))
			return;
		__atomic_store_n(&j->seed, c->gen.seed + i, __ATOMIC_RELAXED);
		run_seed(c, c->gen.seed + i, &t, &r);
		trace_fini(&t);
		if (r.status == RUN_FINDING || r.status == RUN_FAILED) {
			j->finding = r.finding;
			j->found = c->gen.seed + i + 1;
			return;
		}
		if (r.status != RUN_CLEAN)
			return;
		distinct_add(c->schedules, r.schedule);
		j->ops += r.ops;
		j->hash += r.hash;
		j->points += r.points;
		j->blocked += r.blocked;
		j->skipped += r.skipped;
		__atomic_store_n(&j->runs, j->runs + 1, __ATOMIC_RELAXED);
	}
}

static void
sum(const struct campaign *c, struct job *ret_j)
{
	uint64_t i;

	memset(ret_j, 0, sizeof(*ret_j));
	for (i = 0; i < c->jobs; i++) {
		const struct job *j = &c->job[i];

		ret_j->runs += __atomic_load_n(&j->runs, __ATOMIC_RELAXED);
		ret_j->ops += j->ops;
		ret_j->hash += j->hash;
		ret_j->points += j->points;
		ret_j->blocked += j->blocked;
		ret_j->skipped += j->skipped;
		if (j->found != 0 &&
		    (ret_j->found == 0 || j->found < ret_j->found)) {
			ret_j->found = j->found;
			ret_j->finding = j->finding;
		}
	}
}

/* The command that does one seed again. */
static void
seed_command(const struct campaign *c, uint64_t seed, struct cli_command *cmd)
{
	cli_command_add(
	    cmd, "kalab run --seed %" PRIu64 " --ops %u", seed, c->gen.ops);
	if (c->gen.cpus != 0)
		cli_command_add(cmd, " --cpus %u", c->gen.cpus);
	if (c->gen.threads != 0)
		cli_command_add(cmd, " --threads %u", c->gen.threads);
	if (c->twice)
		cli_command_add(cmd, " --twice");
	cli_command_options(cmd, &c->run);
}

/* A job had a finding that does not come again. */
static void
not_again(struct finding *f, const struct finding *first)
{
	(void)snprintf(f->clause, sizeof(f->clause), "G-10");
	(void)snprintf(f->operation, sizeof(f->operation), "run");
	(void)snprintf(f->expected, sizeof(f->expected),
	    "the same finding when the seed is run again: %.100s",
	    first->signature);
	(void)snprintf(f->found, sizeof(f->found), "a clean run");
	(void)snprintf(
	    f->signature, sizeof(f->signature), "run/G-10/run/not-again");
}

/* The seed's trace goes to where findings are kept. */
static void
keep_seed(const struct campaign *c, uint64_t seed)
{
	struct gen_options g = c->gen;
	struct trace_error e;
	struct trace t;
	char name[4096];

	g.seed = seed;
	(void)snprintf(
	    name, sizeof(name), "%s/seed-%" PRIu64 ".trace", c->keep, seed);
	if (gen_trace(&g, &t) == 0)
		(void)trace_save(&t, name, TRACE_TEXT, &e);
	trace_fini(&t);
}

/* Prints the finding of a seed and keeps its trace. */
static int
report_finding(
    const struct campaign *c, uint64_t seed, const struct finding *first)
{
	struct cli_command command = { .n = 0 };
	struct campaign again = *c;
	char name[4096], title[64];
	struct trace_error e;
	struct run_result r;
	struct trace t;

	again.run.stop = NULL;
	keep_seed(c, seed); /* first: it may be what kills the run again */
	run_seed(&again, seed, &t, &r);
	(void)snprintf(title, sizeof(title), "seed %" PRIu64, seed);
	if (r.status == RUN_FAILED) {
		trace_fini(&t);
		return (cli_input_error(&r.error));
	}
	if (r.status != RUN_FINDING)
		not_again(&r.finding, first);
	(void)snprintf(
	    name, sizeof(name), "%s/seed-%" PRIu64 ".trace", c->keep, seed);
	if (strcmp(r.finding.clause, "G-11") == 0) {
		seed_command(c, seed, &command); /* it is two runs */
	} else if (trace_save(&t, name, TRACE_TEXT, &e) == 0) {
		cli_command_add(&command, "kalab replay");
		cli_command_options(&command, &c->run);
		/* Also one that was run twice unasked. */
		if (c->twice || strcmp(r.finding.clause, "G-10") == 0)
			cli_command_add(&command, " --twice");
		cli_command_file(&command, name);
	} else {
		(void)cli_input_error(&e);
		seed_command(c, seed, &command);
	}
	trace_fini(&t);
	cli_print_finding(stdout, &r, title, command.s);
	return (CLI_FINDING);
}

/* A job died: that is a finding too, of the seed it was at. */
static int
report_death(const struct campaign *c, uint64_t job, int status)
{
	struct cli_command command = { .n = 0 };
	struct gen_options g = c->gen;
	struct trace_error e;
	struct trace t;
	char name[4096];

	g.seed = c->job[job].seed;
	(void)snprintf(
	    name, sizeof(name), "%s/seed-%" PRIu64 ".trace", c->keep, g.seed);
	if (gen_trace(&g, &t) == 0 &&
	    trace_save(&t, name, TRACE_TEXT, &e) == 0) {
		cli_command_add(&command, "kalab replay");
		cli_command_options(&command, &c->run);
		cli_command_file(&command, name);
	} else {
		seed_command(c, g.seed, &command);
	}
	trace_fini(&t);
	(void)printf("seed %" PRIu64 ": finding: the run %s %d\n"
		     "  replay     %s\n",
	    c->job[job].seed,
	    WIFSIGNALED(status) ? "was killed by signal" : "ended with status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
	    command.s);
	return (CLI_FINDING);
}

static void
progress(const struct campaign *c, double began)
{
	double s = cli_now() - began;
	struct job j;

	sum(c, &j);
	if (!c->quiet)
		cli_progress("%" PRIu64 " runs, %.0f/s, %.1f M operations, "
			     "%.0f s",
		    j.runs, s > 0 ? (double)j.runs / s : 0.0,
		    (double)j.ops / 1e6, s);
}

static void
kill_jobs(struct campaign *c)
{
	uint64_t i;

	for (i = 0; i < c->jobs; i++)
		if (c->pid[i] > 0)
			(void)kill(c->pid[i], SIGTERM);
}

/* Waits for all jobs; the status of the first that died, or 0. */
static int
wait_jobs(struct campaign *c, double began, uint64_t *ret_job)
{
	uint64_t i, left = c->jobs;
	int status, died = 0;

	while (left > 0) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid <= 0) {
			struct job j;

			progress(c, began);
			sum(c, &j);
			if (j.found != 0 || cli_stop)
				kill_jobs(c);
			(void)usleep(50000);
			continue;
		}
		for (i = 0; i < c->jobs && c->pid[i] != pid; i++)
			continue;
		if (i == c->jobs)
			continue;
		c->pid[i] = 0;
		left--;
		if (status != 0 && died == 0 && !cli_stop) {
			died = status;
			*ret_job = i;
			kill_jobs(c);
		}
	}
	return (died);
}

static int
start_jobs(struct campaign *c)
{
	uint64_t i;

	for (i = 0; i < c->jobs; i++) {
		c->pid[i] = fork();
		if (c->pid[i] < 0) {
			kill_jobs(c);
			return (cli_usage("run", "fork: %s", strerror(errno)));
		}
		if (c->pid[i] == 0) {
			job_loop(c, i);
			_exit(0);
		}
	}
	return (0);
}

static int
conclude(const struct campaign *c, double began)
{
	double s = cli_now() - began;
	struct job j;

	cli_progress_end();
	sum(c, &j);
	if (j.found != 0)
		return (report_finding(c, j.found - 1, &j.finding));
	(void)printf("%s: %" PRIu64 " runs from seed %" PRIu64 ", %" PRIu64
		     " operations, about %" PRIu64 " schedules and %" PRIu64
		     " states, %" PRIu64 " schedule points, %" PRIu64
		     " threads rightly blocked at an end, hash %016" PRIx64
		     ", %.1f s, %.0f runs/s\n",
	    cli_stop ? "interrupted, clean so far" : "clean", j.runs,
	    c->gen.seed, j.ops, distinct_count(c->schedules),
	    distinct_count(c->states), j.points, j.blocked, j.hash, s,
	    s > 0 ? (double)j.runs / s : 0.0);
	return (cli_stop ? CLI_USAGE : CLI_CLEAN);
}

static int
campaign(struct campaign *c)
{
	double began = cli_now();
	uint64_t i, job = 0;
	int status;

	c->job = mmap(NULL, JOBS_MAX * sizeof(*c->job), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	c->states = mmap(NULL, 2 * DISTINCT_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->job == MAP_FAILED || c->states == MAP_FAILED)
		return (cli_usage("run", "out of memory"));
	c->schedules = c->states + DISTINCT_BYTES;
	c->run.state = on_state;
	c->run.arg = c->states;
	for (i = 0; i < c->jobs; i++) {
		c->job[i].until =
		    c->seconds != 0 ? began + (double)c->seconds : 0;
		c->job[i].cpu_until = (double)c->cpu_seconds;
	}
	status = start_jobs(c);
	if (status != 0)
		return (status);
	status = wait_jobs(c, began, &job);
	if (status != 0) {
		cli_progress_end();
		return (report_death(c, job, status));
	}
	return (conclude(c, began));
}

enum {
	OPT_AUDIT,
	OPT_CONTENTS,
	OPT_CPUS,
	OPT_CPU_TIME,
	OPT_HELP,
	OPT_JOBS,
	OPT_KEEP,
	OPT_OPS,
	OPT_QUIET,
	OPT_RUNS,
	OPT_SEED,
	OPT_SUBJECT,
	OPT_THREADS,
	OPT_TIME,
	OPT_TWICE
};

static const struct option options[] = {
	{ "audit", required_argument, NULL, OPT_AUDIT },
	{ "contents", required_argument, NULL, OPT_CONTENTS },
	{ "cpu-time", required_argument, NULL, OPT_CPU_TIME },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "ops", required_argument, NULL, OPT_OPS },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "runs", required_argument, NULL, OPT_RUNS },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "subject", required_argument, NULL, OPT_SUBJECT },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "twice", no_argument, NULL, OPT_TWICE },
	{ NULL, 0, NULL, 0 },
};

/* Options that are a number: where it goes. */
static bool
parse_number(struct campaign *c, int opt, const char *name)
{
	uint64_t n = 0, min = 1, max = UINT32_MAX;
	char option[32];

	if (opt == OPT_CPUS)
		max = TRACE_CPUS_MAX;
	else if (opt == OPT_THREADS)
		max = TRACE_THREADS_MAX;
	else if (opt == OPT_JOBS)
		max = JOBS_MAX;
	else if (opt == OPT_SEED) {
		min = 0;
		max = UINT64_MAX / 2;
	}
	(void)snprintf(option, sizeof(option), "--%s", name);
	if (!cli_number("run", option, optarg, min, max, &n))
		return (false);
	switch (opt) {
	case OPT_AUDIT:
		c->run.audit_every = n;
		break;
	case OPT_CPUS:
		c->gen.cpus = (uint32_t)n;
		break;
	case OPT_CPU_TIME:
		c->cpu_seconds = n;
		break;
	case OPT_JOBS:
		c->jobs = n;
		break;
	case OPT_OPS:
		c->gen.ops = (uint32_t)n;
		break;
	case OPT_RUNS:
		c->runs = n;
		break;
	case OPT_SEED:
		c->gen.seed = n;
		break;
	case OPT_THREADS:
		c->gen.threads = (uint32_t)n;
		break;
	default:
		c->seconds = n;
	}
	return (true);
}

/* 0, or the status to exit with plus one. */
static int
parse(struct campaign *c, int argc, char **argv)
{
	bool ok = true;
	int opt, at = 0;

	while (ok && (opt = getopt_long(argc, argv, "", options, &at)) != -1)
		switch (opt) {
		case '?':
			return (CLI_USAGE + 1);
		case OPT_CONTENTS:
			ok = cli_contents("run", optarg, &c->run.contents);
			break;
		case OPT_HELP:
			usage(stdout);
			return (CLI_CLEAN + 1);
		case OPT_KEEP:
			c->keep = optarg;
			break;
		case OPT_QUIET:
			c->quiet = true;
			break;
		case OPT_SUBJECT:
			ok = cli_subject("run", optarg, &c->run.subject);
			break;
		case OPT_TWICE:
			c->twice = true;
			break;
		default:
			ok = parse_number(c, opt, options[at].name);
		}
	if (!ok)
		return (CLI_USAGE + 1);
	if (optind < argc)
		return (
		    cli_usage("run", "\"%s\" is no option", argv[optind]) + 1);
	return (0);
}

int
cli_run(int argc, char **argv)
{
	struct campaign c = { .gen = { .seed = 1, .ops = 1000 },
		.run = { .subject = subjects[0], .stop = &cli_stop },
		.jobs = 1,
		.keep = "." };
	int end = parse(&c, argc, argv);

	if (end != 0)
		return (end - 1);
	if (!cli_directory("run", "--keep", c.keep))
		return (CLI_USAGE);
	if (c.runs == 0 && c.seconds == 0 && c.cpu_seconds == 0)
		c.runs = 1;
	cli_catch_signals();
	return (campaign(&c));
}
