/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The database of a campaign: one file of SQLite. All SQL is here.
 *
 *   run       one for each time that kalab fuzz was started
 *   engine    one for each process of an engine
 *   progress  figures of a target at a time
 *   entry     files of corpora
 *   finding   files that break something, with their signatures
 *   verdict   what a finding showed when triage ran it again
 *   triage    what triage made of each signature
 *
 * The version of the schema is the pragma user_version. Each version only ever
 * added tables: what is older is brought up to date when it is opened, what is
 * newer is refused.
 *
 * Files are the truth for corpora and findings: what the database does not
 * know of them it learns from the directories, so that a campaign that was
 * killed loses nothing. Writes go into one transaction a sweep.
 */
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "triage_int.h"

#define APPLICATION "1263813722" /* "KTFZ" */
#define VERSION	    "2"

struct campaign_db {
	sqlite3 *db;
	char file[CAMPAIGN_PATH];
	int64_t run;
};

static const char schema[] =
    "pragma busy_timeout = 30000;"
    "pragma journal_mode = wal;"
    "pragma synchronous = normal;"
    "create table if not exists run (id integer primary key,"
    " began integer not null, ended integer, status integer, what text);"
    "create table if not exists engine (id integer primary key,"
    " run integer not null, engine text not null, target text not null,"
    " slot integer not null, pid integer not null, ticks integer not null,"
    " began integer not null, ended integer, status integer);"
    "create table if not exists progress (time integer not null,"
    " target text not null, executions integer not null,"
    " species integer not null, singles integer not null,"
    " doubles integer not null, edges integer not null,"
    " features integer not null);"
    "create table if not exists entry (target text not null,"
    " name text not null, size integer not null, engine text not null,"
    " seen integer not null, primary key (target, name)) without rowid;"
    "create table if not exists finding (id integer primary key,"
    " target text not null, engine text not null, file text not null,"
    " signature text not null, seen integer not null,"
    " unique (target, file));"
    "create index if not exists finding_signature on finding (signature);"
    "create table if not exists verdict (finding integer primary key,"
    " signature text not null, program text not null,"
    " operations integer not null, judged integer not null);"
    "create table if not exists triage (id integer primary key,"
    " signature text not null unique, finding integer not null,"
    " clause text not null, operation text not null,"
    " expected text not null, found text not null, source text not null,"
    " program text not null, trace text not null, line integer not null,"
    " thread integer not null, ops_before integer not null,"
    " ops_after integer not null, replays integer not null,"
    " shown_first integer not null, shown integer not null,"
    " seconds real not null, complete integer not null,"
    " done integer not null);"
    "pragma application_id = " APPLICATION ";"
    "pragma user_version = " VERSION ";";

static bool
failed(struct campaign_db *d)
{
	(void)campaign_fail("%s: %s", d->file, sqlite3_errmsg(d->db));
	return (false);
}

/* The statement with its parameters: s a string, i a number, f one with a
 * point. */
static sqlite3_stmt *
prepare(struct campaign_db *d, const char *sql, const char *types, va_list ap)
{
	sqlite3_stmt *st;
	int at = 1, error = SQLITE_OK;

	if (sqlite3_prepare_v2(d->db, sql, -1, &st, NULL) != SQLITE_OK) {
		(void)failed(d);
		return (NULL);
	}
	for (; *types != '\0' && error == SQLITE_OK; types++, at++) {
		if (*types == 's')
			error = sqlite3_bind_text(st, at,
			    va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
		else if (*types == 'f')
			error = sqlite3_bind_double(st, at, va_arg(ap, double));
		else
			error = sqlite3_bind_int64(st, at, va_arg(ap, int64_t));
	}
	if (error == SQLITE_OK)
		return (st);
	(void)failed(d);
	(void)sqlite3_finalize(st);
	return (NULL);
}

/* A statement that gives nothing back. */
static bool
execute(struct campaign_db *d, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	bool ok;

	va_start(ap, types);
	st = prepare(d, sql, types, ap);
	va_end(ap);
	if (st == NULL)
		return (false);
	ok = sqlite3_step(st) == SQLITE_DONE;
	if (!ok)
		(void)failed(d);
	(void)sqlite3_finalize(st);
	return (ok);
}

/* A statement that gives one number. */
static bool
ask(struct campaign_db *d, int64_t *ret_n, const char *sql, const char *types,
    ...)
{
	sqlite3_stmt *st;
	va_list ap;
	bool ok;

	va_start(ap, types);
	st = prepare(d, sql, types, ap);
	va_end(ap);
	if (st == NULL)
		return (false);
	ok = sqlite3_step(st) == SQLITE_ROW;
	if (ok)
		*ret_n = sqlite3_column_int64(st, 0);
	else
		(void)failed(d);
	(void)sqlite3_finalize(st);
	return (ok);
}

/* It is sound, and a campaign's or new: NULL, or what it is instead. */
static const char *
check(sqlite3 *db)
{
	static char text[256];
	const char *said = "it cannot be read";
	int64_t application = 0, tables = 0, version = 0;
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(db,
		"select quick_check, application_id, (select count(*) from "
		"sqlite_schema), user_version from pragma_quick_check, "
		"pragma_application_id, pragma_user_version",
		-1, &st, NULL) != SQLITE_OK)
		return (sqlite3_errmsg(db));
	if (sqlite3_step(st) == SQLITE_ROW) {
		said = (const char *)sqlite3_column_text(st, 0);
		application = sqlite3_column_int64(st, 1);
		tables = sqlite3_column_int64(st, 2);
		version = sqlite3_column_int64(st, 3);
	} else {
		said = sqlite3_errmsg(db);
	}
	(void)snprintf(text, sizeof(text), "%s", said != NULL ? said : "?");
	(void)sqlite3_finalize(st);
	if (strcmp(text, "ok") != 0)
		return (text);
	if (tables != 0 && application != atoi(APPLICATION))
		return ("it is of something else");
	if (version <= atoi(VERSION))
		return (NULL);
	(void)snprintf(text, sizeof(text), "a newer kalab wrote it: version %d",
	    (int)version);
	return (text);
}

bool
campaign_db_open(struct campaign_db **ret_db, const char *file, bool make)
{
	struct campaign_db *d = calloc(1, sizeof(*d));
	const char *wrong;
	char *text = NULL;

	if (d == NULL) {
		(void)campaign_fail("out of memory");
		return (false);
	}
	(void)snprintf(d->file, sizeof(d->file), "%s", file);
	if (sqlite3_open_v2(file, &d->db,
		SQLITE_OPEN_READWRITE | (make ? SQLITE_OPEN_CREATE : 0),
		NULL) != SQLITE_OK) {
		(void)failed(d);
		campaign_db_close(d);
		return (false);
	}
	wrong = check(d->db);
	if (wrong == NULL &&
	    sqlite3_exec(d->db, schema, NULL, NULL, &text) != SQLITE_OK)
		wrong = text;
	if (wrong != NULL) {
		(void)campaign_fail(
		    "%s: no sound database of a campaign: %s; corpora and "
		    "findings are files beside it: moved away, it is built "
		    "again from them",
		    file, wrong);
		sqlite3_free(text);
		campaign_db_close(d);
		return (false);
	}
	*ret_db = d;
	return (true);
}

void
campaign_db_close(struct campaign_db *d)
{
	if (d == NULL)
		return;
	(void)sqlite3_close(d->db);
	free(d);
}

bool
campaign_db_begin(struct campaign_db *d)
{
	return (execute(d, "begin", ""));
}

bool
campaign_db_commit(struct campaign_db *d)
{
	return (execute(d, "commit", ""));
}

bool
campaign_db_run_began(struct campaign_db *d, const char *what)
{
	if (!execute(d, "insert into run (began, what) values (?, ?)", "is",
		(int64_t)time(NULL), what))
		return (false);
	d->run = sqlite3_last_insert_rowid(d->db);
	return (true);
}

bool
campaign_db_run_ended(struct campaign_db *d, int status)
{
	return (execute(d, "update run set ended = ?, status = ? where id = ?",
	    "iii", (int64_t)time(NULL), (int64_t)status, d->run));
}

bool
campaign_db_engine_began(struct campaign_db *d, const struct campaign_slot *s,
    uint64_t ticks, int64_t *ret_row)
{
	if (!execute(d,
		"insert into engine (run, engine, target, slot, pid, ticks,"
		" began) values (?, ?, ?, ?, ?, ?, ?)",
		"issiiii", d->run, campaign_engine_name(s->engine),
		s->target->name, (int64_t)s->index, (int64_t)s->pid,
		(int64_t)ticks, (int64_t)time(NULL)))
		return (false);
	*ret_row = sqlite3_last_insert_rowid(d->db);
	return (true);
}

bool
campaign_db_engine_ended(struct campaign_db *d, int64_t row, int status)
{
	return (
	    execute(d, "update engine set ended = ?, status = ? where id = ?",
		"iii", (int64_t)time(NULL), (int64_t)status, row));
}

bool
campaign_db_orphans(struct campaign_db *d,
    void (*fn)(void *arg, int64_t row, pid_t pid, uint64_t ticks), void *arg)
{
	sqlite3_stmt *st;
	int got;

	if (sqlite3_prepare_v2(d->db,
		"select id, pid, ticks from engine where ended is null", -1,
		&st, NULL) != SQLITE_OK)
		return (failed(d));
	while ((got = sqlite3_step(st)) == SQLITE_ROW)
		fn(arg, sqlite3_column_int64(st, 0),
		    (pid_t)sqlite3_column_int64(st, 1),
		    (uint64_t)sqlite3_column_int64(st, 2));
	(void)sqlite3_finalize(st);
	if (got != SQLITE_DONE)
		return (failed(d));
	return (execute(d,
	    "update engine set ended = ?, status = -1 where ended is null", "i",
	    (int64_t)time(NULL)));
}

bool
campaign_db_entry(struct campaign_db *d, const char *target, const char *name,
    uint64_t size, const char *engine, bool *ret_new)
{
	if (!execute(d,
		"insert or ignore into entry (target, name, size, engine, seen)"
		" values (?, ?, ?, ?, ?)",
		"ssisi", target, name, (int64_t)size, engine,
		(int64_t)time(NULL)))
		return (false);
	*ret_new = sqlite3_changes(d->db) != 0;
	return (true);
}

bool
campaign_db_finding(struct campaign_db *d, const char *target,
    const char *engine, const char *file, const char *signature,
    bool *ret_first)
{
	int64_t n = 0;

	if (!ask(d, &n, "select count(*) from finding where signature = ?", "s",
		signature))
		return (false);
	*ret_first = n == 0;
	return (execute(d,
	    "insert or ignore into finding (target, engine, file, signature,"
	    " seen) values (?, ?, ?, ?, ?)",
	    "ssssi", target, engine, file, signature, (int64_t)time(NULL)));
}

bool
campaign_db_finding_known(struct campaign_db *d, const char *target,
    const char *file, bool *ret_known)
{
	int64_t n = 0;

	if (!ask(d, &n,
		"select count(*) from finding where target = ? and file = ?",
		"ss", target, file))
		return (false);
	*ret_known = n != 0;
	return (true);
}

bool
campaign_db_counts(struct campaign_db *d, uint64_t *ret_entries,
    uint64_t *ret_findings, uint64_t *ret_signatures)
{
	int64_t entries = 0, findings = 0, signatures = 0;

	if (!ask(d, &entries, "select count(*) from entry", "") ||
	    !ask(d, &findings, "select count(*) from finding", "") ||
	    !ask(d, &signatures,
		"select count(distinct signature) from finding", ""))
		return (false);
	*ret_entries = (uint64_t)entries;
	*ret_findings = (uint64_t)findings;
	*ret_signatures = (uint64_t)signatures;
	return (true);
}

bool
campaign_db_progress(struct campaign_db *d, const struct campaign_target *t,
    uint64_t edges, uint64_t features)
{
	return (execute(d,
	    "insert into progress (time, target, executions, species, singles,"
	    " doubles, edges, features) values (?, ?, ?, ?, ?, ?, ?, ?)",
	    "isiiiiii", (int64_t)time(NULL), t->name,
	    (int64_t)t->shared->executions, (int64_t)t->shared->species,
	    (int64_t)t->shared->singles, (int64_t)t->shared->doubles,
	    (int64_t)edges, (int64_t)features));
}

/* ---- Triage -------------------------------------------------------------- */

static void
text_of(sqlite3_stmt *st, int column, char *buf, size_t size)
{
	const unsigned char *text = sqlite3_column_text(st, column);

	(void)snprintf(buf, size, "%s", text != NULL ? (const char *)text : "");
}

/* Steps through the rows; the statement is ended. */
static bool
each_row(struct campaign_db *d, const char *sql,
    bool (*fn)(sqlite3_stmt *, void *), void *arg)
{
	sqlite3_stmt *st;
	bool go_on = true;
	int got = SQLITE_DONE;

	if (sqlite3_prepare_v2(d->db, sql, -1, &st, NULL) != SQLITE_OK)
		return (failed(d));
	while (go_on && (got = sqlite3_step(st)) == SQLITE_ROW)
		go_on = fn(st, arg);
	(void)sqlite3_finalize(st);
	if (go_on && got != SQLITE_DONE)
		return (failed(d));
	return (go_on);
}

struct to_items {
	bool (*fn)(void *arg, const struct triage_item *);
	void *arg;
};

static bool
give_item(sqlite3_stmt *st, void *arg)
{
	const struct to_items *to = arg;
	struct triage_item i = { .finding = sqlite3_column_int64(st, 0) };

	text_of(st, 1, i.target, sizeof(i.target));
	text_of(st, 2, i.file, sizeof(i.file));
	if (sqlite3_column_count(st) == 3)
		return (to->fn(to->arg, &i));
	text_of(st, 3, i.signature, sizeof(i.signature));
	text_of(st, 4, i.program, sizeof(i.program));
	text_of(st, 5, i.kept, sizeof(i.kept));
	i.row.id = sqlite3_column_int64(st, 6);
	i.row.ops_before = (uint64_t)sqlite3_column_int64(st, 7);
	i.row.shown_first = (uint32_t)sqlite3_column_int64(st, 8);
	i.row.replays = (uint32_t)sqlite3_column_int64(st, 9);
	i.row.seconds = sqlite3_column_double(st, 10);
	return (to->fn(to->arg, &i));
}

bool
campaign_db_unjudged(struct campaign_db *d,
    bool (*fn)(void *arg, const struct triage_item *), void *arg)
{
	struct to_items to = { fn, arg };

	return (each_row(d,
	    "select id, target, file from finding where id not in"
	    " (select finding from verdict) order by id",
	    give_item, &to));
}

bool
campaign_db_judged(struct campaign_db *d, int64_t finding,
    const char *signature, const char *program, uint64_t ops)
{
	return (execute(d,
	    "insert or replace into verdict (finding, signature, program,"
	    " operations, judged) values (?, ?, ?, ?, ?)",
	    "issii", finding, signature, program, (int64_t)ops,
	    (int64_t)time(NULL)));
}

bool
campaign_db_untriaged(struct campaign_db *d,
    bool (*fn)(void *arg, const struct triage_item *), void *arg)
{
	struct to_items to = { fn, arg };

	/* Of the least operations, and of them the one that came first. */
	return (each_row(d,
	    "select f.id, f.target, f.file, v.signature, v.program,"
	    " coalesce(t.trace, ''), coalesce(t.id, 0),"
	    " coalesce(t.ops_before, 0), coalesce(t.shown_first, 0),"
	    " coalesce(t.replays, 0), coalesce(t.seconds, 0)"
	    " from finding f join verdict v on v.finding = f.id"
	    " left join triage t on t.signature = v.signature"
	    " where v.signature != '' and coalesce(t.complete, 0) = 0"
	    " and f.id = (select w.finding from verdict w"
	    "  where w.signature = v.signature"
	    "  order by w.operations, w.finding limit 1) order by f.id",
	    give_item, &to));
}

bool
campaign_db_triage_next(struct campaign_db *d, int64_t *ret_id)
{
	return (
	    ask(d, ret_id, "select coalesce(max(id), 0) + 1 from triage", ""));
}

bool
campaign_db_triaged(
    struct campaign_db *d, int64_t finding, const struct triage_row *r)
{
	return (execute(d,
	    "insert or replace into triage (id, signature, finding, clause,"
	    " operation, expected, found, source, program, trace, line, thread,"
	    " ops_before, ops_after, replays, shown_first, shown, seconds,"
	    " complete, done) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
	    " ?, ?, ?, ?, ?, ?)",
	    "isisssssssiiiiiiifii", r->id, r->signature, finding, r->clause,
	    r->operation, r->expected, r->found, r->source, r->program,
	    r->trace, (int64_t)r->line, (int64_t)r->thread,
	    (int64_t)r->ops_before, (int64_t)r->ops_after, (int64_t)r->replays,
	    (int64_t)r->shown_first, (int64_t)r->shown, r->seconds,
	    (int64_t)r->complete, (int64_t)time(NULL)));
}

struct to_rows {
	bool (*fn)(void *arg, const struct triage_row *);
	void *arg;
};

static bool
give_row(sqlite3_stmt *st, void *arg)
{
	static struct triage_row r;
	const struct to_rows *to = arg;

	r.id = sqlite3_column_int64(st, 0);
	r.findings = (uint64_t)sqlite3_column_int64(st, 1);
	text_of(st, 2, r.signature, sizeof(r.signature));
	text_of(st, 3, r.target, sizeof(r.target));
	text_of(st, 4, r.clause, sizeof(r.clause));
	text_of(st, 5, r.operation, sizeof(r.operation));
	text_of(st, 6, r.expected, sizeof(r.expected));
	text_of(st, 7, r.found, sizeof(r.found));
	text_of(st, 8, r.source, sizeof(r.source));
	text_of(st, 9, r.program, sizeof(r.program));
	text_of(st, 10, r.trace, sizeof(r.trace));
	r.line = (uint64_t)sqlite3_column_int64(st, 11);
	r.thread = (uint32_t)sqlite3_column_int64(st, 12);
	r.ops_before = (uint64_t)sqlite3_column_int64(st, 13);
	r.ops_after = (uint64_t)sqlite3_column_int64(st, 14);
	r.replays = (uint32_t)sqlite3_column_int64(st, 15);
	r.shown_first = (uint32_t)sqlite3_column_int64(st, 16);
	r.shown = (uint32_t)sqlite3_column_int64(st, 17);
	r.seconds = sqlite3_column_double(st, 18);
	r.complete = sqlite3_column_int64(st, 19) != 0;
	(void)snprintf(r.input, sizeof(r.input), "%s/findings/", r.target);
	text_of(st, 20, r.input + strlen(r.input), 32);
	return (to->fn(to->arg, &r));
}

bool
campaign_db_triage_list(struct campaign_db *d,
    bool (*fn)(void *arg, const struct triage_row *), void *arg)
{
	struct to_rows to = { fn, arg };

	return (each_row(d,
	    "select t.id, (select count(*) from verdict v"
	    "  where v.signature = t.signature), t.signature, f.target,"
	    " t.clause, t.operation, t.expected, t.found, t.source, t.program,"
	    " t.trace, t.line, t.thread, t.ops_before, t.ops_after, t.replays,"
	    " t.shown_first, t.shown, t.seconds, t.complete, f.file"
	    " from triage t join finding f on f.id = t.finding"
	    " where t.trace != '' order by t.id",
	    give_row, &to));
}

bool
campaign_db_triage_counts(
    struct campaign_db *d, uint64_t *ret_not_again, uint64_t *ret_left)
{
	int64_t not_again = 0, unjudged = 0, untriaged = 0;

	if (!ask(d, &not_again,
		"select count(*) from verdict where signature = ''", "") ||
	    !ask(d, &unjudged,
		"select count(*) from finding where id not in"
		" (select finding from verdict)",
		"") ||
	    !ask(d, &untriaged,
		"select count(distinct signature) from verdict where"
		" signature != '' and signature not in"
		" (select signature from triage where trace != '')",
		""))
		return (false);
	*ret_not_again = (uint64_t)not_again;
	*ret_left = (uint64_t)(unjudged + untriaged);
	return (true);
}
