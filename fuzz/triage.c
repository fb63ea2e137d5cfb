/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Triage, in two passes over the database of a campaign:
 *
 *   1. every finding that has no *verdict* is run again: what it shows, if it
 *      shows anything, is its signature from now on;
 *   2. of every signature without a finished triage the least input is
 *      replayed, shrunk, replayed again, and kept as triage/N.trace.
 *
 * Each input is looked at by a process of its own, since it may kill it; the
 * parent alone writes to the database, a row when a process has ended. Files
 * are complete when they appear under their names. So triage may be killed at
 * any time, and goes on where it was.
 *
 * The database learns of findings from the directories: one that was lost is
 * built again from them.
 */
#include "triage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trace/trace.h"
#include "triage_int.h"

#define TICK	    2000 /* microseconds */
#define LEAST_SHARE 2.0	 /* seconds for one input */

/* ---- The campaign -------------------------------------------------------- */

/* One triage of a campaign at a time. */
static bool
lock(struct triage *t)
{
	char name[CAMPAIGN_PATH];

	if (!campaign_path(name, "%s/triage", t->options->directory) ||
	    !campaign_make_directory(name) ||
	    !campaign_path(name, "%s/triage/lock", t->options->directory))
		return (false);
	t->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (t->lock < 0)
		(void)campaign_fail("%s: %s", name, strerror(errno));
	else if (flock(t->lock, LOCK_EX | LOCK_NB) == 0)
		return (true);
	else
		(void)campaign_fail(
		    "%s: another triage is at it", t->options->directory);
	return (false);
}

static int
visible(const struct dirent *e)
{
	return (e->d_name[0] != '.');
}

/* Calls for each visible name in the directory, in the order of bytes; false
 * stops. One that is not there has none. */
static bool
each_name(struct triage *t, const char *directory, const char *arg,
    bool (*fn)(struct triage *, const char *arg, const char *name))
{
	struct dirent **list;
	const int n = scandir(directory, &list, visible, alphasort);
	bool ok = true;

	if (n < 0)
		return (true);
	for (int i = 0; i < n; i++) {
		ok = ok && fn(t, arg, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return (ok);
}

/* What is in TARGET/findings, and not in the database. */
static bool
learn_file(struct triage *t, const char *target, const char *file)
{
	bool known, first;

	if (strchr(file, '.') != NULL) /* half written */
		return (true);
	if (!campaign_db_finding_known(t->db, target, file, &known))
		return (false);
	return (
	    known || campaign_db_finding(t->db, target, "-", file, "", &first));
}

static bool
learn_target(struct triage *t, const char *directory, const char *target)
{
	char path[CAMPAIGN_PATH];

	return (campaign_path(path, "%s/%s/findings", directory, target) &&
	    each_name(t, path, target, learn_file));
}

static bool
learn(struct triage *t)
{
	const char *directory = t->options->directory;

	return (campaign_db_begin(t->db) &&
	    each_name(t, directory, directory, learn_target) &&
	    campaign_db_commit(t->db));
}

/* It is a trace, all of it: otherwise nothing is kept of it. */
static bool
is_trace(const char *name)
{
	struct trace_reader *r;
	struct trace_error e;
	struct trace_op op;
	char line[768];
	int got = trace_reader_open(&r, name, &e);

	if (got == 0) {
		while ((got = trace_reader_next(r, &op, &e)) > 0)
			continue;
		trace_reader_close(r);
	}
	if (got == 0)
		return (true);
	trace_error_format(&e, line, sizeof(line));
	(void)fprintf(stderr, "%s\n", line);
	return (false);
}

static bool
take_files(struct triage *t)
{
	const struct triage_options *o = t->options;
	char path[CAMPAIGN_PATH], hash[17];

	if (o->files == 0)
		return (true);
	if (!campaign_path(path, "%s/file", o->directory) ||
	    !campaign_make_directory(path) ||
	    !campaign_path(path, "%s/file/findings", o->directory) ||
	    !campaign_make_directory(path))
		return (false);
	for (uint32_t i = 0; i < o->files; i++)
		if (!campaign_adopt(o->file[i], path, hash))
			return (false);
	return (true);
}

static bool
has_no_findings(struct triage *t, const char *directory, const char *name)
{
	char path[CAMPAIGN_PATH];
	struct stat st;

	(void)t;
	return (!campaign_path(path, "%s/%s/findings", directory, name) ||
	    stat(path, &st) != 0);
}

/* Is there a campaign, or what is left of one? */
static bool
is_campaign(const char *directory)
{
	char name[CAMPAIGN_PATH];
	struct stat st;
	bool is;

	if (stat(directory, &st) != 0) {
		(void)campaign_fail("%s: %s", directory, strerror(errno));
		return (false);
	}
	is = (campaign_path(name, "%s/campaign.db", directory) &&
		 stat(name, &st) == 0) ||
	    !each_name(NULL, directory, directory, has_no_findings);
	if (!is)
		(void)campaign_fail(
		    "%s: no campaign is in this directory", directory);
	return (is);
}

static bool
begin(struct triage *t)
{
	const struct triage_options *o = t->options;
	char name[CAMPAIGN_PATH];

	for (uint32_t i = 0; i < o->files; i++)
		if (!is_trace(o->file[i]))
			return (false);
	if (o->make) {
		if (!campaign_make_directory(o->directory))
			return (false);
	} else if (!is_campaign(o->directory)) {
		return (false);
	}
	return (lock(t) &&
	    campaign_path(name, "%s/campaign.db", o->directory) &&
	    campaign_db_open(&t->db, name, true) && take_files(t) && learn(t));
}

/* ---- Processes ----------------------------------------------------------- */

struct pool {
	struct triage *triage;
	struct triage_item *item;
	size_t n, cap, next, done;
	const char *doing;
	/* In the child; and in the parent when it has ended. */
	void (*work)(const struct triage *, const struct triage_item *,
	    double seconds, struct triage_outcome *);
	bool (*take)(struct triage *, const struct triage_item *,
	    const struct triage_outcome *);
	struct triage_outcome *outcome; /* shared, one a slot */
	pid_t pid[TRIAGE_JOBS_MAX];
	size_t at[TRIAGE_JOBS_MAX];
};

static bool
pool_add(void *arg, const struct triage_item *i)
{
	struct pool *p = arg;

	if (p->n == p->cap) {
		const size_t cap = p->cap == 0 ? 64 : p->cap * 2;
		struct triage_item *grown =
		    realloc(p->item, cap * sizeof(*grown));

		if (grown == NULL) {
			(void)campaign_fail("out of memory");
			return (false);
		}
		p->item = grown;
		p->cap = cap;
	}
	p->item[p->n++] = *i;
	return (true);
}

static bool
goes_on(const struct triage *t)
{
	return (
	    !*t->options->stop && (t->until <= 0 || campaign_now() < t->until));
}

/* Of the time that is left, an equal part for each input. */
static double
share(const struct pool *p)
{
	const struct triage *t = p->triage;
	const double left = t->until - campaign_now();
	const size_t turns = (p->n - p->next) / t->options->jobs + 1;
	const double mine = left / (double)turns;

	if (t->until <= 0)
		return (0);
	return (mine > LEAST_SHARE ? mine : LEAST_SHARE);
}

static bool
start(struct pool *p, uint32_t slot)
{
	struct triage_outcome *o = &p->outcome[slot];
	const double seconds = share(p);

	memset(o, 0, sizeof(*o));
	p->at[slot] = p->next++;
	p->pid[slot] = fork();
	if (p->pid[slot] == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		p->work(p->triage, &p->item[p->at[slot]], seconds, o);
		_exit(0);
	}
	if (p->pid[slot] > 0)
		return (true);
	p->pid[slot] = 0;
	(void)campaign_fail("fork: %s", strerror(errno));
	return (false);
}

static bool
ended(struct pool *p, uint32_t slot)
{
	struct triage_outcome *o = &p->outcome[slot];

	p->pid[slot] = 0;
	p->done++;
	if (o->done == TRIAGE_NOTHING) {
		o->done = TRIAGE_CANNOT;
		(void)snprintf(
		    o->error, sizeof(o->error), "the process of triage died");
	}
	return (p->take(p->triage, &p->item[p->at[slot]], o));
}

static void
tell(const struct pool *p)
{
	if (p->triage->options->quiet || !isatty(STDERR_FILENO))
		return;
	(void)fprintf(stderr, "\r\033[K%s: %zu of %zu, %.0f s", p->doing,
	    p->done, p->n, campaign_now() - p->triage->began);
	(void)fflush(stderr);
}

static void
kill_all(struct pool *p, int signal)
{
	for (uint32_t i = 0; i < p->triage->options->jobs; i++)
		if (p->pid[i] > 0)
			(void)kill(p->pid[i], signal);
}

/* All items, so many at a time. False after a message. */
static bool
pool_loop(struct pool *p)
{
	const uint32_t jobs = p->triage->options->jobs;
	bool ok = true, told = false;
	uint32_t busy = 1;

	while (busy != 0) {
		busy = 0;
		for (uint32_t i = 0; i < jobs; i++) {
			int status;

			if (p->pid[i] != 0 &&
			    waitpid(p->pid[i], &status, WNOHANG) == p->pid[i])
				ok = ended(p, i) && ok;
			if (p->pid[i] == 0 && ok && p->next < p->n &&
			    goes_on(p->triage))
				ok = start(p, i);
			busy += p->pid[i] != 0;
		}
		if ((*p->triage->options->stop || !ok) && !told) {
			kill_all(p, SIGTERM); /* each keeps what it has */
			told = true;
		}
		tell(p);
		(void)usleep(TICK);
	}
	return (ok);
}

static bool
pool_run(struct pool *p)
{
	const size_t size =
	    p->triage->options->jobs * sizeof(struct triage_outcome);
	bool ok;

	p->outcome = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->outcome == MAP_FAILED) {
		(void)campaign_fail("out of memory");
		return (false);
	}
	ok = pool_loop(p);
	if (!p->triage->options->quiet && isatty(STDERR_FILENO))
		(void)fprintf(stderr, "\r\033[K");
	(void)munmap(p->outcome, size);
	return (ok);
}

/* ---- The passes ---------------------------------------------------------- */

static bool
cannot(struct triage *t, const struct triage_item *i, const char *why)
{
	t->failed++;
	(void)campaign_fail("%s/%s/findings/%s: %s", t->options->directory,
	    i->target, i->file, why);
	return (true);
}

static void
judge_work(const struct triage *t, const struct triage_item *i, double seconds,
    struct triage_outcome *o)
{
	(void)seconds;
	triage_judge(t, i, o);
}

static bool
judge_take(struct triage *t, const struct triage_item *i,
    const struct triage_outcome *o)
{
	if (o->done == TRIAGE_CANNOT)
		return (*t->options->stop || cannot(t, i, o->error));
	return (campaign_db_judged(t->db, i->finding,
	    o->done == TRIAGE_SHOWN ? o->row.signature : "", o->row.program,
	    o->ops));
}

/* Where the process leaves what it keeps, until it is done. */
static bool
scratch_name(const struct triage *t, int64_t id, char path[CAMPAIGN_PATH])
{
	return (campaign_path(
	    path, "%s/triage/%" PRId64 ".tmp", t->options->directory, id));
}

static void
shrink_work(const struct triage *t, const struct triage_item *i, double seconds,
    struct triage_outcome *o)
{
	char path[CAMPAIGN_PATH];

	if (scratch_name(t, i->row.id, path))
		triage_shrink(t, i, path, seconds, o);
}

static bool
shrink_take(struct triage *t, const struct triage_item *i,
    const struct triage_outcome *o)
{
	struct triage_row row = o->row;
	char from[CAMPAIGN_PATH], to[CAMPAIGN_PATH];

	if (o->done == TRIAGE_CANNOT)
		return (*t->options->stop || cannot(t, i, o->error));
	row.id = i->row.id;
	(void)snprintf(row.trace, sizeof(row.trace), "triage/%" PRId64 ".%s",
	    row.id, row.ops_after != 0 ? "trace" : "input");
	if (!scratch_name(t, row.id, from) ||
	    !campaign_path(to, "%s/%s", t->options->directory, row.trace))
		return (false);
	if (rename(from, to) != 0) {
		(void)campaign_fail("%s: %s", to, strerror(errno));
		return (false);
	}
	return (campaign_db_triaged(t->db, i->finding, &row));
}

/* Numbers are given before the work begins, in the order of the inputs: who
 * is done first does not matter. */
static bool
give_numbers(struct triage *t, struct pool *p)
{
	static struct triage_row none;
	bool ok = campaign_db_begin(t->db);

	for (size_t i = 0; i < p->n && ok; i++) {
		struct triage_item *item = &p->item[i];

		if (item->row.id != 0)
			continue;
		ok = campaign_db_triage_next(t->db, &item->row.id);
		none.id = item->row.id;
		(void)snprintf(none.signature, sizeof(none.signature), "%s",
		    item->signature);
		ok = ok && campaign_db_triaged(t->db, item->finding, &none);
	}
	return (ok && campaign_db_commit(t->db));
}

static bool
passes(struct triage *t)
{
	struct pool judge = { .triage = t,
		.doing = "replay",
		.work = judge_work,
		.take = judge_take };
	struct pool shrink = { .triage = t,
		.doing = "shrink",
		.work = shrink_work,
		.take = shrink_take };
	bool ok;

	ok = campaign_db_unjudged(t->db, pool_add, &judge) && pool_run(&judge);
	free(judge.item);
	ok = ok && campaign_db_untriaged(t->db, pool_add, &shrink) &&
	    give_numbers(t, &shrink) && pool_run(&shrink);
	free(shrink.item);
	return (ok);
}

/* ---- The list ------------------------------------------------------------ */

struct listing {
	struct triage_list *list;
	const char *directory;
	size_t cap;
};

static bool
list_add(void *arg, const struct triage_row *r)
{
	struct listing *g = arg;
	struct triage_list *l = g->list;

	if (l->n == g->cap) {
		const size_t cap = g->cap == 0 ? 16 : g->cap * 2;
		struct triage_row *grown =
		    realloc(l->row, cap * sizeof(*grown));

		if (grown == NULL) {
			(void)campaign_fail("out of memory");
			return (false);
		}
		l->row = grown;
		g->cap = cap;
	}
	l->row[l->n] = *r;
	(void)snprintf(l->row[l->n].trace, sizeof(l->row[l->n].trace),
	    "%.900s/%.180s", g->directory, r->trace);
	(void)snprintf(l->row[l->n].input, sizeof(l->row[l->n].input),
	    "%.900s/%.180s", g->directory, r->input);
	l->n++;
	return (true);
}

static bool
list(struct campaign_db *db, const char *directory, struct triage_list *l)
{
	struct listing g = { .list = l, .directory = directory };

	return (campaign_db_triage_list(db, list_add, &g) &&
	    campaign_db_triage_counts(db, &l->not_again, &l->left));
}

void
triage_list_fini(struct triage_list *l)
{
	free(l->row);
	memset(l, 0, sizeof(*l));
}

int
triage_list(const char *directory, struct triage_list *ret_l)
{
	struct campaign_db *db = NULL;
	char name[CAMPAIGN_PATH];
	bool ok;

	memset(ret_l, 0, sizeof(*ret_l));
	if (!campaign_path(name, "%s/campaign.db", directory))
		return (2);
	if (access(name, F_OK) != 0)
		return (campaign_fail(
		    "%s: no campaign is in this directory", directory));
	ok = campaign_db_open(&db, name, false) && list(db, directory, ret_l);
	campaign_db_close(db);
	return (ok ? 0 : 2);
}

int
triage_run(const struct triage_options *options, struct triage_list *ret_l)
{
	struct triage_options o = *options;
	struct triage t = { .options = &o, .lock = -1 };
	bool ok;

	memset(ret_l, 0, sizeof(*ret_l));
	if (o.replays == 0)
		o.replays = TRIAGE_REPLAYS;
	t.began = campaign_now();
	t.until = o.seconds > 0 ? t.began + o.seconds : 0;
	ok = begin(&t) && passes(&t) && list(t.db, o.directory, ret_l);
	campaign_db_close(t.db);
	if (t.lock >= 0)
		(void)close(t.lock);
	return (ok && t.failed == 0 ? 0 : 2);
}
