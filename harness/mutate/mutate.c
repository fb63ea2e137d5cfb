/* SPDX-License-Identifier: BSD-2-Clause */
/* Trials: see mutate.h. */
#include "mutate/mutate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "explore/explore.h"
#include "gen/gen.h"
#include "run/run.h"

#define RUN_SECONDS   2u       /* of CPU for one run: it does not end */
#define POINTS_MAX    2000000u /* schedule points without an end */
#define AUDIT_EVERY   10u
#define SWEEP_OPS     70u /* longer traces are not swept */
#define RANDOM_TRACES 150u
#define RANDOM_OPS    400u
#define EXPLORE_RUNS  400u  /* of each scenario, kind and memory */
#define UNIT_SECONDS  10u   /* of CPU */
#define UNIT_POLLS    12000 /* of 5 ms: of all */

/* Of the mutated library (ci/mutate-build). */
extern int ka_mutant __attribute__((weak));
extern int ka_mutant_met __attribute__((weak));

const char *
mutate_by_name(enum mutate_by by)
{
	static const char *const names[MUTATE_BY_COUNT] = { "survives",
		"clause", "audit", "hang", "died", "unit test" };

	return (names[by]);
}

const char *
mutate_stage_name(enum mutate_stage stage)
{
	static const char *const names[MUTATE_STAGE_COUNT] = { "replay",
		"sweep", "random", "explore", "unit" };

	return (names[stage]);
}

bool
mutate_can(void)
{
	return (&ka_mutant != NULL);
}

/* ---- In the child ------------------------------------------------------ */

/* A run may use so much time. */
static void
clock_set(unsigned seconds)
{
	struct itimerval it = { .it_value.tv_sec = seconds };

	(void)setitimer(ITIMER_PROF, &it, NULL);
}

/* True: something is wrong, and is told. */
static bool
judge(struct mutate_verdict *v, const struct run_result *r)
{
	v->met = ka_mutant_met != 0;
	if (r->status != RUN_FINDING)
		return (false);
	v->by = MUTATE_CLAUSE;
	if (strcmp(r->finding.operation, "audit") == 0)
		v->by = MUTATE_AUDIT;
	else if (strcmp(r->finding.operation, "livelock") == 0)
		v->by = MUTATE_HANG;
	memcpy(v->signature, r->finding.signature, sizeof(v->signature));
	v->done = true;
	return (true);
}

static bool
run_one(struct mutate_verdict *v, const struct trace *t,
    const struct run_options *o, struct run_result *r)
{
	struct run_source source;
	struct run_mem mem;

	source = run_source_mem(&mem, t);
	clock_set(RUN_SECONDS);
	run(&source, o, r);
	clock_set(0);
	return (judge(v, r));
}

static bool
sweep_one(struct mutate_verdict *v, const struct trace *t,
    const struct run_options *options)
{
	struct run_sweep sweep = { .at = { .k = 0 } };
	struct run_options o = *options;
	struct run_result r;

	o.inject = &sweep.at;
	do {
		if (run_one(v, t, &o, &r))
			return (true);
	} while (run_sweep_next(&sweep, &r.injected));
	return (false);
}

static bool
random_one(struct mutate_verdict *v, uint64_t seed, const struct run_options *o)
{
	struct gen_options g = { .seed = seed, .ops = RANDOM_OPS };
	struct run_result r;
	struct trace t;
	bool seen = false;

	if (gen_trace(&g, &t) == 0)
		seen = run_one(v, &t, o, &r);
	trace_fini(&t);
	return (seen);
}

static double
no_clock(void)
{
	return (0);
}

static bool
explore_one(struct mutate_verdict *v, const struct trace *t,
    const struct run_options *o, enum explore_kind kind,
    enum trace_memory memory)
{
	struct explore_options e = { .kind = kind,
		.bound = 2,
		.depth = 5,
		.seed = 1,
		.memory = memory,
		.may = t->header.may,
		.runs = EXPLORE_RUNS,
		.jobs = 1,
		.points_max = 100000,
		.now = no_clock };
	struct explore_trace world;
	struct explore x;
	bool seen = false;

	explore_trace_world(&world, t, o);
	if (explore_init(&x, &world.world, &e) != 0)
		return (false);
	clock_set(5 * RUN_SECONDS);
	(void)explore_go(&x);
	clock_set(0);
	seen = judge(v, &x.result);
	explore_fini(&x);
	return (seen);
}

/* Has it to do with other threads? */
static bool
is_concurrent(const struct mutate_mutant *m)
{
	static const char *const operators[] = { "lock", "unlock", "wake",
		"barrier", "section", "order" };
	size_t i;

	for (i = 0; i < sizeof(operators) / sizeof(*operators); i++)
		if (strcmp(m->operator, operators[i]) == 0)
			return (true);
	return (false);
}

static void
explore_all(const struct mutate_corpus *c, struct mutate_verdict *v,
    const struct run_options *o)
{
	size_t i;

	for (i = c->n - c->scenarios; i < c->n; i++)
		if (explore_one(
			v, &c->trace[i], o, EXPLORE_BOUND, TRACE_MEMORY_TSO) ||
		    explore_one(
			v, &c->trace[i], o, EXPLORE_STICKY, TRACE_MEMORY_C11))
			return;
}

static void
try_all(const struct mutate_corpus *c, const struct mutate_mutant *m,
    struct mutate_verdict *v)
{
	struct run_options o = { .subject = subjects[0],
		.audit_every = AUDIT_EVERY,
		.points_max = POINTS_MAX };
	struct run_result r;
	size_t i;

	for (i = 0; i < c->n; i++)
		if (run_one(v, &c->trace[i], &o, &r))
			return;
	v->stage = MUTATE_SWEEP;
	for (i = 0; i < c->n; i++)
		if (c->trace[i].nops <= SWEEP_OPS &&
		    sweep_one(v, &c->trace[i], &o))
			return;
	v->stage = MUTATE_RANDOM;
	for (i = 0; i < RANDOM_TRACES; i++)
		if (random_one(v, i + 1, &o))
			return;
	if (is_concurrent(m)) {
		v->stage = MUTATE_EXPLORE;
		explore_all(c, v, &o);
	}
	v->done = true;
}

/* What it says on the way is of no interest. */
static void
be_quiet(void)
{
	int fd = open("/dev/null", O_WRONLY);

	if (fd >= 0) {
		(void)dup2(fd, STDOUT_FILENO);
		(void)dup2(fd, STDERR_FILENO);
	}
}

/* ---- In the parent ----------------------------------------------------- */

static int
wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return (-1);
	return (status);
}

int
mutate_trial(const struct mutate_corpus *c, const struct mutate_mutant *m,
    struct mutate_verdict *v)
{
	pid_t pid;
	int status;

	memset(v, 0, sizeof(*v));
	pid = fork();
	if (pid < 0)
		return (errno);
	if (pid == 0) {
		be_quiet();
		(void)signal(SIGPROF, SIG_DFL);
		ka_mutant = (int)m->number;
		try_all(c, m, v);
		_exit(0);
	}
	status = wait_for(pid);
	if (v->done || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return (0);
	v->met = true;
	v->done = true;
	v->by = WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF ?
	    MUTATE_HANG :
	    MUTATE_DIED;
	(void)snprintf(v->signature, sizeof(v->signature), "%s %d",
	    WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return (0);
}

/* Waits for so long; what has not ended then is ended. False: it failed. */
static bool
ends_well(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	int status = 0, polls = 0;
	pid_t got;

	while ((got = waitpid(pid, &status, WNOHANG)) == 0 ||
	    (got < 0 && errno == EINTR)) {
		if (++polls == UNIT_POLLS)
			(void)kill(pid, SIGKILL);
		(void)nanosleep(&pause, NULL);
	}
	return (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* False: it failed, or did not end. A test that waits for ever uses no CPU, and
 * one that has much to wait for is not to be blamed for a busy machine. */
static bool
unit_passes(const char *path, uint32_t number)
{
	const struct rlimit cpu = { UNIT_SECONDS, UNIT_SECONDS };
	char text[16];
	pid_t pid;

	(void)snprintf(text, sizeof(text), "%u", number);
	pid = fork();
	if (pid == 0) {
		char *argv[] = { (char *)(uintptr_t)path, NULL };

		be_quiet();
		(void)setrlimit(RLIMIT_CPU, &cpu);
		(void)setenv("KA_MUTANT", text, 1);
		(void)execv(path, argv);
		_exit(0); /* that it cannot be started says nothing */
	}
	return (pid < 0 || ends_well(pid));
}

/* Whose a source is, and the letters of the tests below that it has. */
static const struct {
	const char *prefix, *allocator, *letters;
} sources[] = { { "km", "kmalloc", "k" }, { "malloc_type", "kmalloc", "k" },
	{ "vm_page", "vm_page", "v" }, { "objcache", "objcache", "o" },
	{ "magazine", "magazines", "oz" }, { "mpipe", "mpipe", "m" },
	{ "ptr_map", "mpipe", "m" }, { "zone", "zones", "z" },
	{ "uma", "zones", "z" }, { "zinit", "zones", "z" },
	{ "", "common", "ckvomz" } };

/* Unit tests, the quick ones first; others say little of a source. */
static const char *const units[][2] = {
	{ "zone", "z" },
	{ "uma_misuse", "z" },
	{ "uma_limits", "z" },
	{ "uma_edges", "z" },
	{ "uma_threads", "z" },
	{ "uma", "z" },
	{ "vm_page", "vk" },
	{ "kmalloc", "k" },
	{ "misuse", "kv" },
	{ "sleep", "kv" },
	{ "objcache", "o" },
	{ "mpipe", "mk" },
	{ "mpipe_parted", "m" },
	{ "threads", "kom" },
	{ "debug", "kv" },
	{ "kalloc", "kvc" },
};

static size_t
source_of(const char *file)
{
	size_t i = 0;

	/* The last one has no prefix: it is everybody's. */
	while (strncmp(file, sources[i].prefix, strlen(sources[i].prefix)) != 0)
		i++;
	return (i);
}

const char *
mutate_allocator(const char *file)
{
	return (sources[source_of(file)].allocator);
}

void
mutate_units(
    const char *dir, const struct mutate_mutant *m, struct mutate_verdict *v)
{
	const char *letters = sources[source_of(m->file)].letters;
	char path[4096];
	size_t i;

	v->stage = MUTATE_UNITS;
	for (i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strpbrk(units[i][1], letters) == NULL)
			continue;
		(void)snprintf(
		    path, sizeof(path), "%.3900s/test_%s", dir, units[i][0]);
		if (access(path, X_OK) != 0 || unit_passes(path, m->number))
			continue;
		v->by = MUTATE_UNIT;
		(void)snprintf(
		    v->signature, sizeof(v->signature), "test_%s", units[i][0]);
		return;
	}
}
