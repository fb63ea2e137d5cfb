/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What came of defects, in a database of SQLite, from one time to the next:
 *
 *   search  one for each time that kalab defects was run
 *   defect  what came of each in it
 */
#include "cli_defects.h"

#include <sqlite3.h>
#include <time.h>

static const char schema[] =
    "create table if not exists search (id integer primary key,"
    " began integer not null, engine text not null, budget integer not null,"
    " seed integer not null);"
    "create table if not exists defect (search integer not null,"
    " id text not null, allocator text not null, kind text not null,"
    " needs text not null, expected text not null, verdict text not null,"
    " clause text not null, executions integer not null,"
    " seconds real not null, shrunk integer not null,"
    " primary key (search, id)) without rowid;";

static bool
add_one(sqlite3 *db, sqlite3_int64 search, const struct defect *d)
{
	sqlite3_stmt *st;
	const char *text[] = { d->id, d->allocator, d->kind, d->needs,
		d->clauses, defects_verdict(d), d->clause };
	int i, done;

	if (sqlite3_prepare_v2(db,
		"insert into defect values (?,?,?,?,?,?,?,?,?,?,?)", -1, &st,
		NULL) != SQLITE_OK)
		return (false);
	(void)sqlite3_bind_int64(st, 1, search);
	for (i = 0; i < 7; i++)
		(void)sqlite3_bind_text(
		    st, i + 2, text[i], -1, SQLITE_TRANSIENT);
	(void)sqlite3_bind_int64(st, 9, (sqlite3_int64)d->executions);
	(void)sqlite3_bind_double(st, 10, d->seconds);
	(void)sqlite3_bind_int64(st, 11, (sqlite3_int64)d->shrunk);
	done = sqlite3_step(st);
	(void)sqlite3_finalize(st);
	return (done == SQLITE_DONE);
}

static bool
add_all(sqlite3 *db, const struct defects *c)
{
	sqlite3_int64 search;
	sqlite3_stmt *st;
	uint64_t i;
	int done;

	if (sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db, "begin immediate", NULL, NULL, NULL) !=
		SQLITE_OK ||
	    sqlite3_prepare_v2(db,
		"insert into search (began, engine, budget, seed)"
		" values (?,?,?,?)",
		-1, &st, NULL) != SQLITE_OK)
		return (false);
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)time(NULL));
	(void)sqlite3_bind_text(st, 2, c->engine, -1, SQLITE_TRANSIENT);
	(void)sqlite3_bind_int64(st, 3, (sqlite3_int64)c->budget);
	(void)sqlite3_bind_int64(st, 4, (sqlite3_int64)c->first_seed);
	done = sqlite3_step(st);
	(void)sqlite3_finalize(st);
	search = sqlite3_last_insert_rowid(db);
	for (i = 0; i < c->n && done == SQLITE_DONE; i++)
		if (c->defect[i].state != DEFECT_WAITING &&
		    !add_one(db, search, &c->defect[i]))
			done = SQLITE_ERROR;
	return (done == SQLITE_DONE &&
	    sqlite3_exec(db, "commit", NULL, NULL, NULL) == SQLITE_OK);
}

bool
defects_save(const struct defects *c)
{
	sqlite3 *db = NULL;
	bool saved = sqlite3_open(c->database, &db) == SQLITE_OK;

	if (saved) {
		(void)sqlite3_busy_timeout(db, 5000);
		saved = add_all(db, c);
	}
	if (!saved)
		(void)cli_usage("defects", "%s: %s", c->database,
		    db != NULL ? sqlite3_errmsg(db) : "out of memory");
	(void)sqlite3_close(db);
	return (saved);
}
