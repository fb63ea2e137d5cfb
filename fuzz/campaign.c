/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The campaign driver.
 *
 * A campaign is a directory: campaign.db, the lock, and a directory for each
 * target (campaign_files.c). It may be stopped, killed, and started again
 * with other options, as often as one likes: what was found stays.
 *
 * Each job is a *slot* with a process of one engine on one target. If there
 * are more combinations of targets and engines than jobs, a slot goes on to
 * the next one when its slice of time is over. A process that ends by itself
 * has found something (libFuzzer stops then), or is at fault: one that ends
 * FAILURES_MAX times in a row at once, and leaves no finding, is given up.
 *
 * Everything is polled: a loop of TICK looks at processes, and does a sweep
 * of the files every SWEEP_EVERY seconds.
 */
#include "campaign.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "campaign_int.h"

#define TICK	       100000u /* microseconds */
#define SWEEP_EVERY    3.0     /* seconds */
#define SLICE	       60.0
#define FAILURES_MAX   5u
#define FAILURE_WITHIN 3.0

const char *campaign_verb = "fuzz";

int
campaign_fail(const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "kalab %s: ", campaign_verb);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\n");
	return (2);
}

double
campaign_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec * 1e-9);
}

/* ---- Status -------------------------------------------------------------- */

struct totals {
	uint64_t executions, species, singles, doubles, newest, edges;
};

static struct totals
totals(const struct campaign *c)
{
	struct totals n = { 0 };

	for (uint32_t i = 0; i < c->options->targets; i++) {
		const struct fuzz_shared *s = c->target[i].shared;
		uint64_t edges = 0;

		n.executions += s->executions;
		n.species += s->species;
		n.singles += s->singles;
		n.doubles += s->doubles;
		if (s->newest > n.newest)
			n.newest = s->newest;
		for (uint32_t k = 0; k < c->slots; k++)
			if (c->slot[k].target == &c->target[i] &&
			    c->slot[k].edges > edges)
				edges = c->slot[k].edges;
		n.edges += edges;
	}
	return (n);
}

/* "3.1 k", "2.70 M" */
static const char *
short_number(char buf[16], double n)
{
	if (n >= 1e6)
		(void)snprintf(buf, 16, "%.2f M", n / 1e6);
	else if (n >= 1e4)
		(void)snprintf(buf, 16, "%.1f k", n / 1e3);
	else
		(void)snprintf(buf, 16, "%.0f", n);
	return (buf);
}

static void
print_status(const struct campaign *c, FILE *f)
{
	const struct totals n = totals(c);
	const struct campaign_estimate e =
	    campaign_estimate(n.executions, n.singles, n.doubles);
	const double s = campaign_now() - c->began;
	const uint64_t now = (uint64_t)time(NULL);
	const uint64_t here = n.executions - c->executions_before;
	char executions[16], rate[16];

	(void)fprintf(f,
	    "%.0f s, %s executions, %s/s, coverage %" PRIu64 ", states %" PRIu64
	    ", corpus %" PRIu64 ", findings %" PRIu64 " (%" PRIu64
	    " signatures), last new %" PRIu64
	    " s ago, chance of new %.2g (%.2g..%.2g)",
	    s, short_number(executions, (double)here),
	    short_number(rate, s > 0 ? (double)here / s : 0), n.edges,
	    n.species, c->entries, c->findings, c->signatures,
	    n.newest != 0 && now > n.newest ? now - n.newest : 0, e.chance,
	    e.low, e.high);
}

static void
show_status(const struct campaign *c)
{
	if (c->options->quiet || !isatty(STDERR_FILENO))
		return;
	(void)fprintf(stderr, "\r\033[K");
	print_status(c, stderr);
	(void)fflush(stderr);
}

/* ---- Slots --------------------------------------------------------------- */

/* The next combination of target and engine. */
static void
next_combination(struct campaign *c, struct campaign_slot *s)
{
	const struct campaign_options *o = c->options;

	do {
		const uint32_t n =
		    c->combination++ % (o->targets * CAMPAIGN_ENGINES);

		s->engine = (enum campaign_engine)(n % CAMPAIGN_ENGINES);
		s->target = &c->target[n / CAMPAIGN_ENGINES];
	} while (!o->engine[s->engine]);
}

static uint32_t
combinations(const struct campaign *c)
{
	return (c->options->targets *
	    ((uint32_t)c->options->engine[CAMPAIGN_LIBFUZZER] +
		(uint32_t)c->options->engine[CAMPAIGN_AFL]));
}

/* The lowest number that no other job has of the same kind. */
static void
number(struct campaign *c, struct campaign_slot *s)
{
	bool used = true;

	for (s->index = 0; used; s->index += used) {
		used = false;
		for (uint32_t i = 0; i < c->slots; i++) {
			const struct campaign_slot *o = &c->slot[i];

			used |= o != s && o->pid != 0 &&
			    o->engine == s->engine && o->target == s->target &&
			    o->index == s->index;
		}
	}
}

static bool
start(struct campaign *c, struct campaign_slot *s, bool go_on)
{
	if (s->target == NULL || go_on) {
		next_combination(c, s);
		s->edges = s->features = s->corpus = 0;
	}
	number(c, s);
	return (campaign_engine_start(c, s));
}

/* A process ended by itself. False: it is no use going on. */
static bool
ended(struct campaign *c, struct campaign_slot *s, int status)
{
	const uint64_t before = c->findings;
	char words[512];

	if (!campaign_sweep(c))
		return (false);
	if (c->findings != before ||
	    campaign_now() - s->started > FAILURE_WITHIN)
		s->failures = 0;
	else
		s->failures++;
	if (s->failures < FAILURES_MAX)
		return (start(c, s, false));
	campaign_engine_last_words(s, words, sizeof(words));
	(void)campaign_fail("%s on target %s ends at its start (%s %d): %s",
	    campaign_engine_name(s->engine), s->target->name,
	    WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
	    words);
	s->dead = true;
	return (true);
}

/* One look at all jobs. False: the campaign is over, with a message. */
static bool
look(struct campaign *c)
{
	const bool turns = combinations(c) > c->slots;
	uint32_t alive = 0;
	int status;

	for (uint32_t i = 0; i < c->slots; i++) {
		struct campaign_slot *s = &c->slot[i];

		if (campaign_engine_ended(c, s, &status)) {
			const bool over =
			    turns && campaign_now() - s->started > SLICE;

			if (!(over ? start(c, s, true) : ended(c, s, status)))
				return (false);
		} else if (turns && s->pid != 0 &&
		    campaign_now() - s->started > SLICE) {
			(void)kill(-s->pid, SIGINT);
		}
		alive += !s->dead;
	}
	return (alive != 0);
}

static bool
loop(struct campaign *c)
{
	double swept = campaign_now();

	for (uint32_t i = 0; i < c->slots; i++)
		if (!start(c, &c->slot[i], false))
			return (false);
	while (!*c->options->stop) {
		const double now = campaign_now();

		if (c->options->seconds != 0 &&
		    now - c->began > (double)c->options->seconds)
			break;
		if (!look(c))
			return (false);
		if (now - swept > SWEEP_EVERY) {
			for (uint32_t i = 0; i < c->slots; i++)
				campaign_engine_figures(&c->slot[i]);
			if (!campaign_sweep(c))
				return (false);
			swept = campaign_now();
		}
		show_status(c);
		(void)usleep(TICK);
	}
	return (true);
}

/* ---- Beginning and end --------------------------------------------------- */

/* One campaign of a directory at a time. */
static bool
lock(struct campaign *c)
{
	char name[CAMPAIGN_PATH];

	if (mkdir(c->options->directory, 0777) != 0 && errno != EEXIST) {
		(void)campaign_fail(
		    "%s: %s", c->options->directory, strerror(errno));
		return (false);
	}
	if (!campaign_path(name, "%s/lock", c->options->directory))
		return (false);
	c->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (c->lock < 0) {
		(void)campaign_fail("%s: %s", name, strerror(errno));
		return (false);
	}
	if (flock(c->lock, LOCK_EX | LOCK_NB) == 0)
		return (true);
	(void)campaign_fail(
	    "%s: another kalab fuzz is at it", c->options->directory);
	return (false);
}

static bool
prepare(struct campaign *c)
{
	const struct campaign_options *o = c->options;
	char name[CAMPAIGN_PATH];

	for (uint32_t i = 0; i < o->targets; i++) {
		c->target[i].name = o->target[i];
		if (!campaign_path(c->target[i].directory, "%s/%s",
			o->directory, o->target[i]))
			return (false);
	}
	if (!lock(c) || !campaign_path(name, "%s/campaign.db", o->directory) ||
	    !campaign_db_open(&c->db, name, true))
		return (false);
	campaign_orphans_end(c);
	if (!campaign_directories(c) || !campaign_engines_find(c))
		return (false);
	/* What a run that was killed has left unnoticed. */
	return (campaign_sweep(c));
}

static int
conclude(struct campaign *c, bool ok, uint64_t findings_before)
{
	int status;

	campaign_engines_stop(c);
	for (uint32_t i = 0; i < c->slots; i++)
		campaign_engine_figures(&c->slot[i]);
	ok = campaign_sweep(c) && ok;
	status = !ok ? 2 : c->findings != findings_before;
	ok = campaign_db_run_ended(c->db, status) && ok;
	if (!c->options->quiet && isatty(STDERR_FILENO))
		(void)fprintf(stderr, "\r\033[K");
	print_status(c, stdout);
	(void)printf("\n");
	return (ok ? status : 2);
}

int
campaign_run(const struct campaign_options *o, bool *ret_ran)
{
	static struct campaign c;
	uint64_t before;
	int status = 2;

	*ret_ran = false;
	memset(&c, 0, sizeof(c));
	c.options = o;
	c.lock = -1;
	c.slots = o->jobs;
	c.began = campaign_now();
	if (prepare(&c) && campaign_db_run_began(c.db, o->bin)) {
		c.began = campaign_now();
		c.executions_before = totals(&c).executions;
		before = c.findings;
		status = conclude(&c, loop(&c), before);
		*ret_ran = true;
	}
	campaign_db_close(c.db);
	if (c.lock >= 0)
		(void)close(c.lock);
	return (status);
}
