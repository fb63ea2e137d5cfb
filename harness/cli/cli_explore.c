/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab explore: one trace under many schedules. Jobs are processes; each does
 * its part of a search, or every so-manieth seed. What they count is in memory
 * that they share with the parent, and so is the way to a finding: also when it
 * is the death of the job.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli_explore.h"
#include "explore/explore.h"
#include "protocol/protocol.h"
#include "util/distinct.h"

#define JOBS_MAX       64u
#define DEVIATIONS_MAX 4096u /* that a trace may have */
#define PROTOCOL       "protocol:"

/* One a job. */
struct job {
	struct explore_count count;
	uint64_t before; /* executions of earlier times */
	struct trace_error error;
	struct finding finding;
	char waits[1024];
	bool found, unsaved;
	int signal; /* that it died of */
	uint32_t ndeviations;
	struct trace_deviation deviation[DEVIATIONS_MAX];
};

struct explorer {
	struct explore_options options;
	struct run_options run;
	uint64_t seconds;
	bool quiet, may_given, memory_given;
	bool bound_given, depth_given, seed_given;
	const char *keep, *state, *file, *may_list;
	const struct protocol *protocol; /* instead of a trace */
	struct protocol_world protocol_world;
	struct trace trace;
	struct explore_trace trace_world;
	struct explore_world *world; /* one of the two */
	struct job *job;
	uint8_t *states, *schedules;
	pid_t pid[JOBS_MAX];
	double began;
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab explore [OPTION...] FILE|protocol:NAME\n"
	    "  --audit N         audit the structures every N operations\n"
	    "  --bound N         bound: deviations at most; default 2\n"
	    "  --check wgl       search an order of overlapping calls, too\n"
	    "  --contents HOW    full (default), sampled or none\n"
	    "  --depth N         pct: changes of priority, and one, at most;\n"
	    "                    default 5\n"
	    "  --jobs N          processes; default 1\n"
	    "  --keep DIR        where the trace of a finding goes; default .\n"
	    "  --may LIST        what else may happen: migrate, wake, fail, "
	    "solo,\n"
	    "                    joined by commas, or nothing; default: the "
	    "trace's\n"
	    "  --memory MODEL    sc, tso or c11; default: the trace's if that\n"
	    "                    is c11, otherwise tso\n"
	    "  --points N        of a run without an operation's end; "
	    "default 100000\n"
	    "  --quiet           no progress\n"
	    "  --runs N          executions at most, of each job\n"
	    "  --seed N          of the random strategies; default 1\n"
	    "  --state FILE      go on from there, and be able to again\n"
	    "  --strategy NAME   bound (default), exhaustive, random, sticky,\n"
	    "                    pct or recorded\n"
	    "  --subject NAME    kalloc (default) or malloc\n"
	    "  --time SECONDS    stop after so long\n");
}

/* ---- Jobs -------------------------------------------------------------- */

static struct explorer *self; /* of a job, for when it dies */
static uint32_t self_index;

static void
on_state(void *arg, uint64_t state)
{
	struct explorer *x = arg;

	distinct_add(x->states, state);
}

static void
on_schedule(void *arg, uint64_t schedule)
{
	struct explorer *x = arg;

	distinct_add(x->schedules, schedule);
}

static struct explore *job_explore;

static void
on_progress(void *arg)
{
	struct explorer *x = arg;

	x->job[self_index].count = job_explore->count;
}

/* The schedule so far is all that is needed to see it again. */
static void
on_death(int sig)
{
	struct job *j = &self->job[self_index];

	j->count = job_explore->count;
	j->ndeviations = run_recorded(j->deviation, DEVIATIONS_MAX);
	j->signal = sig;
	j->found = true;
	_exit(0);
}

static void
catch_death(void)
{
	static char stack[65536];
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE,
		SIGILL };
	struct sigaction sa = { .sa_handler = on_death,
		.sa_flags = SA_ONSTACK | SA_NODEFER };
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	size_t i;

	(void)sigaltstack(&ss, NULL);
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		(void)sigaction(signals[i], &sa, NULL);
}

static void
state_name(const struct explorer *x, uint32_t index, char *name, size_t size)
{
	(void)snprintf(name, size, "%s.%u", x->state, index);
}

/* What the state is of. With another trace, or other options, its schedules were
 * not tried; but for the bound, which says how far to go. */
static uint64_t
fingerprint(const struct explorer *x)
{
	const struct explore_options *o = &x->options;
	uint64_t h = 0;
	uint64_t part[] = { o->kind, o->depth, o->seed, o->memory, o->may,
		o->jobs, o->points_max, x->run.audit_every, x->run.contents,
		x->run.orders, sizeof(struct explore_count) };
	const char *subject = x->run.subject->name;
	uint8_t *bytes = NULL;
	size_t i, n = 0;

	for (i = 0; x->file[i] != '\0' && x->protocol != NULL; i++)
		h = (h ^ (uint8_t)x->file[i]) * UINT64_C(0x100000001b3);
	for (i = 0; subject[i] != '\0'; i++)
		h = (h ^ (uint8_t)subject[i]) * UINT64_C(0x100000001b3);
	if (x->protocol == NULL && trace_encode(&x->trace, &bytes, &n) == 0)
		for (i = 0; i < n; i++)
			h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
	free(bytes);
	for (i = 0; i < sizeof(part) / sizeof(*part); i++)
		h = (h ^ part[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ h >> 31;
	return (h);
}

/* The state is written at the end; that it can be is found out before. */
static bool
load(const struct explorer *x, struct explore *e)
{
	char name[4096];

	if (x->state == NULL)
		return (true);
	state_name(x, e->options.index, name, sizeof(name));
	return (explore_state_load(name, fingerprint(x), e) &&
	    explore_state_check(name));
}

static bool
save(const struct explorer *x, const struct explore *e)
{
	char name[4096];

	/* Where nothing was done the state is what it was. */
	if (x->state == NULL ||
	    e->count.executions == x->job[self_index].before)
		return (true);
	state_name(x, e->options.index, name, sizeof(name));
	return (explore_state_save(name, fingerprint(x), e));
}

static int
job_main(struct explorer *x, uint32_t index)
{
	struct job *j = &x->job[index];
	struct explore_options o = x->options;
	enum run_status status;
	struct explore e;

	o.index = index;
	self = x;
	self_index = index;
	job_explore = &e;
	if (explore_init(&e, x->world, &o) != 0)
		return (cli_usage("explore", "out of memory"));
	if (!load(x, &e))
		return (CLI_USAGE);
	j->before = e.count.executions;
	if (e.options.runs != 0)
		e.options.runs += j->before;
	catch_death();
	status = explore_go(&e);
	j->count = e.count;
	if (status == RUN_FINDING) {
		j->found = true;
		j->finding = e.result.finding;
		memcpy(j->waits, e.result.waits, sizeof(j->waits));
		j->ndeviations = e.ndeviations < DEVIATIONS_MAX ?
		    e.ndeviations :
		    DEVIATIONS_MAX;
		memcpy(j->deviation, e.deviation,
		    j->ndeviations * sizeof(*j->deviation));
	} else if (status == RUN_BAD_INPUT || status == RUN_FAILED) {
		j->error = e.result.error;
		return (cli_input_error(&j->error));
	}
	j->unsaved = !save(x, &e);
	return (0);
}

/* Executions a second, of this time. */
static double
rate(const struct explorer *x, const struct explore_count *c, double seconds)
{
	uint64_t before = 0;
	uint32_t i;

	for (i = 0; i < x->options.jobs; i++)
		before += x->job[i].before;
	return (seconds > 0 ? (double)(c->executions - before) / seconds : 0.0);
}

static void
sum(const struct explorer *x, struct explore_count *ret_c)
{
	uint32_t i;

	memset(ret_c, 0, sizeof(*ret_c));
	ret_c->complete = true;
	ret_c->level = UINT32_MAX;
	for (i = 0; i < x->options.jobs; i++) {
		const struct explore_count *c = &x->job[i].count;

		ret_c->executions += c->executions;
		ret_c->schedules += c->schedules;
		ret_c->pruned += c->pruned;
		ret_c->points += c->points;
		ret_c->ops += c->ops;
		ret_c->blocked += c->blocked;
		ret_c->windows += c->windows;
		ret_c->windows_long += c->windows_long;
		if (c->slack_used > ret_c->slack_used)
			ret_c->slack_used = c->slack_used;
		if (c->slack_declared > ret_c->slack_declared)
			ret_c->slack_declared = c->slack_declared;
		ret_c->done += c->done / x->options.jobs;
		ret_c->complete &= c->complete;
		if (c->level < ret_c->level)
			ret_c->level = c->level;
	}
}

static void
progress(const struct explorer *x)
{
	double s = cli_now() - x->began;
	struct explore_count c;

	if (x->quiet)
		return;
	sum(x, &c);
	if (x->options.kind == EXPLORE_BOUND)
		cli_progress("%" PRIu32 " deviations, about %.0f %%, %" PRIu64
			     " executions, %.0f/s, %.0f s",
		    c.level, c.done * 100, c.executions, rate(x, &c, s), s);
	else
		cli_progress("%" PRIu64 " executions, %.0f/s, %.0f s",
		    c.executions, rate(x, &c, s), s);
}

static void
kill_jobs(struct explorer *x)
{
	uint32_t i;

	for (i = 0; i < x->options.jobs; i++)
		if (x->pid[i] > 0)
			(void)kill(x->pid[i], SIGTERM);
}

static bool
any_found(const struct explorer *x)
{
	uint32_t i;

	for (i = 0; i < x->options.jobs; i++)
		if (x->job[i].found)
			return (true);
	return (false);
}

/* Waits for all; the worst status. */
static int
wait_jobs(struct explorer *x)
{
	uint32_t i, left = x->options.jobs;
	int status, worst = 0;

	while (left > 0) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid <= 0) {
			progress(x);
			if (any_found(x) || cli_stop)
				kill_jobs(x);
			(void)usleep(20000);
			continue;
		}
		for (i = 0; i < x->options.jobs && x->pid[i] != pid; i++)
			continue;
		if (i == x->options.jobs)
			continue;
		x->pid[i] = 0;
		left--;
		if (WIFSIGNALED(status)) {
			x->job[i].found = true;
			x->job[i].signal = WTERMSIG(status);
		} else if (WEXITSTATUS(status) > worst) {
			worst = WEXITSTATUS(status);
		}
	}
	return (worst);
}

static int
start_jobs(struct explorer *x)
{
	uint32_t i;

	for (i = 0; i < x->options.jobs; i++) {
		x->pid[i] = fork();
		if (x->pid[i] < 0) {
			kill_jobs(x);
			return (
			    cli_usage("explore", "fork: %s", strerror(errno)));
		}
		if (x->pid[i] == 0)
			_exit(job_main(x, i));
	}
	return (0);
}

/* ---- What was found ---------------------------------------------------- */

/* Is the state of a job not where it was to be? */
static bool
unsaved(const struct explorer *x)
{
	uint32_t i;

	for (i = 0; i < x->options.jobs; i++)
		if (x->job[i].unsaved)
			return (true);
	return (false);
}

/* The finding with the fewest deviations. */
static struct job *
best_job(struct explorer *x)
{
	struct job *best = NULL;
	uint32_t i;

	for (i = 0; i < x->options.jobs; i++) {
		struct job *j = &x->job[i];

		if (j->found &&
		    (best == NULL || j->ndeviations < best->ndeviations))
			best = j;
	}
	return (best);
}

/* Writes the trace with the deviations to where findings are kept, or, without
 * a name, to standard output. */
static int
save_finding(struct explorer *x, const struct trace_deviation *d, uint32_t n,
    char *name, size_t size, struct trace_error *ret_err)
{
	const char *base = strrchr(x->file, '/');
	struct trace_header *h = &x->trace.header;
	struct trace_header old = *h;
	size_t len;
	int error;

	base = base == NULL ? x->file : base + 1;
	len = strcspn(base, ".");
	if (name != NULL)
		(void)snprintf(
		    name, size, "%s/%.*s-found.trace", x->keep, (int)len, base);
	h->sched = TRACE_SCHED_RECORDED;
	h->sched_seed = 0;
	h->sticky = 1;
	h->memory = x->options.memory;
	h->may = x->options.may;
	h->deviation = (struct trace_deviation *)(uintptr_t)d;
	h->ndeviations = n;
	error = name != NULL ?
	    trace_save(&x->trace, name, TRACE_TEXT, ret_err) :
	    trace_print(&x->trace, stdout, ret_err);
	h->sched = old.sched;
	h->sched_seed = old.sched_seed;
	h->sticky = old.sticky;
	h->deviation = old.deviation;
	h->ndeviations = old.ndeviations;
	return (error);
}

static void
print_found(struct explorer *x, const struct job *j, const char *name,
    uint32_t n, const struct explore_fewest *fewest)
{
	struct cli_command command = { .n = 0 };
	struct run_result r = { .finding = j->finding };

	memcpy(r.waits, j->waits, sizeof(r.waits));
	if (x->protocol != NULL) {
		cli_command_add(&command,
		    "kalab explore --memory %s --bound %" PRIu32,
		    trace_memory_name(x->options.memory), n);
		if (x->may_list != NULL)
			cli_command_add(&command, " --may '%s'", x->may_list);
		if (x->run.points_max != 0)
			cli_command_add(&command, " --points %llu",
			    (unsigned long long)x->run.points_max);
		cli_command_add(&command, " %s", x->file);
	} else {
		cli_command_add(&command, "kalab replay --story");
		cli_command_options(&command, &x->run);
		cli_command_file(&command, name);
	}
	if (j->signal != 0)
		(void)printf("%s: finding: the run was killed by signal %d\n"
			     "  replay     %s\n",
		    x->file, j->signal, command.s);
	else
		cli_print_finding(stdout, &r, x->file, command.s);
	(void)printf("  deviations %" PRIu32 "%s\n", n,
	    fewest == NULL     ? "" :
		!fewest->shown ? ", which alone do not show it" :
		fewest->proven ? ", no fewer show it" :
				 ", fewer may show it");
}

/* A protocol is no trace: its story is told at once. */
static void
tell(struct explorer *x, const struct trace_deviation *d, uint32_t n)
{
	struct explore_how how = { .memory = x->options.memory,
		.may = x->options.may,
		.deviation = d,
		.ndeviations = n,
		.story = cli_story };
	struct run_result r;

	(void)printf("  story\n");
	x->world->execute(x->world, &how, &r);
}

static int
report(struct explorer *x, struct job *j)
{
	struct trace_deviation *d =
	    calloc((size_t)j->ndeviations + 1, sizeof(*d));
	struct explore_options o = x->options;
	struct explore_fewest fewest;
	bool proven = j->signal == 0, kept = true;
	uint32_t n = j->ndeviations;
	struct trace_error error;
	char name[4096] = "";

	if (d == NULL)
		return (cli_usage("explore", "out of memory"));
	memcpy(d, j->deviation, n * sizeof(*d));
	if (x->protocol == NULL)
		kept = save_finding(x, d, n, name, sizeof(name), &error) == 0;
	/* What kills a process is not tried again in this one. */
	o.until = cli_now() + 20;
	if (proven &&
	    explore_fewest(
		x->world, &o, j->finding.signature, &d, &n, &fewest) == 0 &&
	    x->protocol == NULL && kept)
		kept = save_finding(x, d, n, name, sizeof(name), &error) == 0;
	print_found(x, j, kept ? name : "-", n, proven ? &fewest : NULL);
	if (x->protocol != NULL)
		tell(x, d, n);
	if (!kept) { /* here it is not lost */
		(void)cli_input_error(&error);
		(void)printf("  trace      of standard input\n");
		(void)save_finding(x, d, n, NULL, 0, &error);
	}
	free(d);
	return (CLI_FINDING);
}

static int
conclude(struct explorer *x)
{
	const struct explore_options *o = &x->options;
	double s = cli_now() - x->began;
	struct explore_count c;
	struct job *j = best_job(x);
	int status = CLI_CLEAN;

	cli_progress_end();
	sum(x, &c);
	if (j != NULL)
		status = report(x, j);
	(void)printf("%s: %s: %s", x->file,
	    j != NULL	   ? "ended by the finding" :
		c.complete ? "complete, clean" :
		cli_stop   ? "interrupted, clean so far" :
			     "clean so far",
	    explore_kind_name(o->kind));
	if (o->kind == EXPLORE_BOUND)
		(void)printf(" %" PRIu32, c.complete ? o->bound : c.level);
	(void)printf(", %s: %" PRIu64 " executions, %" PRIu64
		     " schedules, about %" PRIu64 " of them and %" PRIu64
		     " states different, %.1f s, %.0f/s\n",
	    trace_memory_name(o->memory), c.executions, c.schedules,
	    distinct_count(x->schedules), distinct_count(x->states), s,
	    rate(x, &c, s));
	if (c.blocked != 0)
		(void)printf("  %" PRIu64 " ended with a thread blocked, "
			     "rightly\n",
		    c.blocked);
	cli_print_slack(stdout, c.slack_used, c.slack_declared);
	cli_print_orders(stdout, c.windows, c.windows_long);
	return (status != CLI_CLEAN    ? status :
		cli_stop || unsaved(x) ? CLI_USAGE :
					 CLI_CLEAN);
}

static int
explore(struct explorer *x)
{
	size_t jobs = x->options.jobs * sizeof(*x->job);
	int status;

	x->job = mmap(NULL, jobs, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	x->states = mmap(NULL, 2 * DISTINCT_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (x->job == MAP_FAILED || x->states == MAP_FAILED)
		return (cli_usage("explore", "out of memory"));
	x->schedules = x->states + DISTINCT_BYTES;
	x->began = cli_now();
	x->options.now = cli_now;
	x->options.stop = &cli_stop;
	x->options.state = on_state;
	x->options.schedule = on_schedule;
	x->options.progress = on_progress;
	x->options.arg = x;
	if (x->seconds != 0)
		x->options.until = x->began + (double)x->seconds;
	if (x->protocol != NULL) {
		protocol_world(&x->protocol_world, x->protocol);
		x->world = &x->protocol_world.world;
	} else {
		explore_trace_world(&x->trace_world, &x->trace, &x->run);
		x->world = &x->trace_world.world;
	}
	status = start_jobs(x);
	if (status != 0)
		return (status);
	status = wait_jobs(x);
	if (status != 0 && !any_found(x))
		return (CLI_USAGE);
	return (conclude(x));
}

/* ---- Options ----------------------------------------------------------- */

enum {
	OPT_AUDIT,
	OPT_BOUND,
	OPT_CHECK,
	OPT_CONTENTS,
	OPT_DEPTH,
	OPT_HELP,
	OPT_JOBS,
	OPT_KEEP,
	OPT_MAY,
	OPT_MEMORY,
	OPT_POINTS,
	OPT_QUIET,
	OPT_RUNS,
	OPT_SEED,
	OPT_STATE,
	OPT_STRATEGY,
	OPT_SUBJECT,
	OPT_TIME
};

static const struct option options[] = {
	{ "audit", required_argument, NULL, OPT_AUDIT },
	{ "bound", required_argument, NULL, OPT_BOUND },
	{ "check", required_argument, NULL, OPT_CHECK },
	{ "contents", required_argument, NULL, OPT_CONTENTS },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "may", required_argument, NULL, OPT_MAY },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "points", required_argument, NULL, OPT_POINTS },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "runs", required_argument, NULL, OPT_RUNS },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "strategy", required_argument, NULL, OPT_STRATEGY },
	{ "subject", required_argument, NULL, OPT_SUBJECT },
	{ "time", required_argument, NULL, OPT_TIME },
	{ NULL, 0, NULL, 0 },
};

static bool
parse_number(struct explorer *x, int opt, const char *name)
{
	uint64_t n = 0, min = 1, max = UINT32_MAX;
	char option[32];

	if (opt == OPT_JOBS)
		max = JOBS_MAX;
	else if (opt == OPT_DEPTH)
		max = STRATEGY_DEPTH_MAX;
	else if (opt == OPT_BOUND || opt == OPT_SEED)
		min = 0;
	(void)snprintf(option, sizeof(option), "--%s", name);
	if (!cli_number("explore", option, optarg, min, max, &n))
		return (false);
	switch (opt) {
	case OPT_AUDIT:
		x->run.audit_every = n;
		break;
	case OPT_BOUND:
		x->options.bound = (uint32_t)n;
		x->bound_given = true;
		break;
	case OPT_DEPTH:
		x->options.depth = (uint32_t)n;
		x->depth_given = true;
		break;
	case OPT_JOBS:
		x->options.jobs = (uint32_t)n;
		break;
	case OPT_POINTS:
		x->options.points_max = x->run.points_max = n;
		break;
	case OPT_RUNS:
		x->options.runs = n;
		break;
	case OPT_SEED:
		x->options.seed = n;
		x->seed_given = true;
		break;
	default:
		x->seconds = n;
	}
	return (true);
}

static bool
parse_strategy(struct explorer *x)
{
	int kind = explore_kind_by_name(optarg);

	if (kind < 0) {
		(void)cli_usage("explore",
		    "--strategy: \"%s\", expected bound, exhaustive, random, "
		    "sticky, pct or recorded",
		    optarg);
		return (false);
	}
	x->options.kind = (enum explore_kind)kind;
	return (true);
}

static bool
parse_memory(struct explorer *x)
{
	int i;

	for (i = 0; i < TRACE_MEMORY_COUNT; i++)
		if (strcmp(optarg, trace_memory_name((enum trace_memory)i)) ==
		    0) {
			x->options.memory = (enum trace_memory)i;
			x->memory_given = true;
			return (true);
		}
	(void)cli_usage(
	    "explore", "--memory: \"%s\", expected sc, tso or c11", optarg);
	return (false);
}

static bool
parse_may(struct explorer *x)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} names[] = { { "migrate", TRACE_MAY_MIGRATE },
		{ "wake", TRACE_MAY_WAKE }, { "fail", TRACE_MAY_FAIL },
		{ "solo", TRACE_MAY_SOLO }, { "nothing", 0 } };
	const char *at = optarg;
	bool nothing = false;
	size_t i;

	x->may_given = true;
	x->may_list = optarg;
	x->options.may = 0;
	for (;;) {
		size_t len = strcspn(at, ",|");

		for (i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (strlen(names[i].name) == len &&
			    memcmp(at, names[i].name, len) == 0)
				break;
		if (i == sizeof(names) / sizeof(*names)) {
			(void)cli_usage("explore",
			    "--may: \"%.*s\", expected migrate, wake, fail, "
			    "solo or nothing",
			    (int)len, at);
			return (false);
		}
		nothing |= names[i].bit == 0;
		x->options.may |= names[i].bit;
		if (at[len] == '\0')
			break;
		at += len + 1;
	}
	if (!nothing || strcmp(optarg, "nothing") == 0)
		return (true);
	(void)cli_usage("explore",
	    "--may: \"%s\", expected nothing alone, or what else may happen",
	    optarg);
	return (false);
}

/* What the strategy would not look at is not what was meant. */
static bool
strategy_has_its_options(const struct explorer *x)
{
	const enum explore_kind kind = x->options.kind;
	const char *name = NULL, *whose = NULL;

	if (x->bound_given && kind != EXPLORE_BOUND) {
		name = "bound";
		whose = "bound";
	} else if (x->depth_given && kind != EXPLORE_PCT) {
		name = "depth";
		whose = "pct";
	} else if (x->seed_given && kind != EXPLORE_RANDOM &&
	    kind != EXPLORE_STICKY && kind != EXPLORE_PCT) {
		name = "seed";
		whose = "random, sticky or pct";
	}
	if (name != NULL)
		(void)cli_usage("explore",
		    "--%s: strategy %s has none, expected --strategy %s", name,
		    explore_kind_name(kind), whose);
	return (name == NULL);
}

/* 0, or the status to exit with plus one. */
static int
parse(struct explorer *x, int argc, char **argv)
{
	bool ok = true;
	int opt, at = 0;

	while (ok && (opt = getopt_long(argc, argv, "", options, &at)) != -1)
		switch (opt) {
		case '?':
			return (CLI_USAGE + 1);
		case OPT_CONTENTS:
			ok = cli_contents("explore", optarg, &x->run.contents);
			break;
		case OPT_CHECK:
			ok = cli_check("explore", optarg, &x->run);
			break;
		case OPT_HELP:
			usage(stdout);
			return (CLI_CLEAN + 1);
		case OPT_KEEP:
			x->keep = optarg;
			break;
		case OPT_MAY:
			ok = parse_may(x);
			break;
		case OPT_MEMORY:
			ok = parse_memory(x);
			break;
		case OPT_QUIET:
			x->quiet = true;
			break;
		case OPT_STATE:
			x->state = optarg;
			break;
		case OPT_STRATEGY:
			ok = parse_strategy(x);
			break;
		case OPT_SUBJECT:
			ok = cli_subject("explore", optarg, &x->run.subject);
			break;
		default:
			ok = parse_number(x, opt, options[at].name);
		}
	if (!ok)
		return (CLI_USAGE + 1);
	if (!strategy_has_its_options(x))
		return (CLI_USAGE + 1);
	if (optind + 1 != argc)
		return (cli_usage("explore", "expected one trace, not %d",
			    argc - optind) +
		    1);
	x->file = argv[optind];
	return (0);
}

int
cli_explore(int argc, char **argv)
{
	struct explorer x = { .options = { .kind = EXPLORE_BOUND,
				  .bound = 2,
				  .depth = 5,
				  .seed = 1,
				  .jobs = 1,
				  .points_max = 100000,
				  .memory = TRACE_MEMORY_TSO },
		.run = { .subject = subjects[0] },
		.keep = "." };
	struct trace_error error;
	int status, end = parse(&x, argc, argv);

	if (end != 0)
		return (end - 1);
	if (strncmp(x.file, PROTOCOL, strlen(PROTOCOL)) == 0) {
		x.protocol = protocol_by_name(x.file + strlen(PROTOCOL));
		if (x.protocol == NULL)
			return (cli_usage("explore",
			    "%s: no such protocol, see kalab list protocols",
			    x.file));
		if (x.run.audit_every != 0 || x.run.orders ||
		    x.run.contents != MODEL_CONTENTS_FULL ||
		    x.run.subject != subjects[0])
			return (cli_usage("explore",
			    "%s: a protocol has no --audit, --check, "
			    "--contents or --subject",
			    x.file));
		trace_init(&x.trace);
	} else if (cli_load(&x.trace, x.file, &error) != 0) {
		return (cli_input_error(&error));
	}
	if (x.protocol == NULL && !cli_directory("explore", "--keep", x.keep))
		return (CLI_USAGE);
	if (!x.may_given)
		x.options.may =
		    x.protocol != NULL ? x.protocol->may : x.trace.header.may;
	if (!x.memory_given && x.trace.header.memory == TRACE_MEMORY_C11)
		x.options.memory = TRACE_MEMORY_C11;
	cli_catch_signals();
	status = explore(&x);
	protocol_world_fini(&x.protocol_world);
	trace_fini(&x.trace);
	return (status);
}
