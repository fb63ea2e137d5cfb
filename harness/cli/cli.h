/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab's command line: what the verbs share. Each verb is one file.
 *
 * Standard output is data, stable and fit for scripts; standard error is
 * talk. Exit status: 0 clean, 1 a finding, 2 bad usage or input.
 */
#ifndef KALAB_CLI_H
#define KALAB_CLI_H

#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "run/run.h"

enum cli_status {
	CLI_CLEAN = 0,
	CLI_FINDING = 1,
	CLI_USAGE = 2
};

int cli_run(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_defects(int argc, char **argv);
int cli_corpus(int argc, char **argv);
int cli_finding(int argc, char **argv);
int cli_fuzz(int argc, char **argv);
int cli_triage(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_mutate(int argc, char **argv);
int cli_show(int argc, char **argv);
int cli_list(int argc, char **argv);
int cli_shrink(int argc, char **argv);
int cli_stats(int argc, char **argv);
int cli_sweep(int argc, char **argv);
int cli_explore(int argc, char **argv);

/* "kalab VERB: message" and a hint; returns CLI_USAGE. */
int cli_usage(const char *verb, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The line of a trace error (where a stream is standard output); returns
 * CLI_USAGE. */
int cli_input_error(const struct trace_error *);

/* Valgrind does not run what has a sanitizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CLI_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||     \
    __has_feature(memory_sanitizer)
#define CLI_SANITIZED true
#endif
#endif
#ifndef CLI_SANITIZED
#define CLI_SANITIZED false
#endif

/*
 * For --valgrind: runs the verb again under valgrind(1) and waits for it.
 * True: it has ended with that status. False: this is the one under it; each
 * process's reports are in the file of the prefix, a dot and its number.
 */
bool cli_under_valgrind(
    const char *verb, int argc, char **argv, int *ret_status);
const char *cli_valgrind_log(void); /* the prefix; NULL: not under it */

/* Makes a directory of our own, in TMPDIR; false after a message. */
bool cli_scratch(const char *verb, char *ret_name, size_t size);
/* With all that is in it. */
void cli_remove(const char *directory);
/* Is what an option names a directory that can be written? False, and a
 * message, if not: better now than when there is something to write. */
bool cli_directory(const char *verb, const char *option, const char *name);
/* The same of the directory of an output file; "-" is standard output. */
bool cli_output(const char *verb, const char *name);
/* In bytes; 0 if there is none. */
uint64_t cli_file_size(const char *name);
/* Reads a trace whole. 0, or -1 with *ret_err set. */
int cli_load(
    struct trace *ret_t, const char *name, struct trace_error *ret_err);

/*
 * Calls fn for the file, or for each file of the directory by name, without
 * those that begin with '.' or end in ".md". 0, or CLI_USAGE with a message: a
 * directory that cannot be read, or without a trace.
 */
int cli_each_file(const char *verb, const char *name,
    void (*fn)(void *arg, const char *name), void *arg);

/* A number within bounds. False, and a message, if it is none. */
bool cli_number(const char *verb, const char *option, const char *text,
    uint64_t min, uint64_t max, uint64_t *ret_n);
bool cli_contents(
    const char *verb, const char *text, enum model_contents *ret_c);
bool cli_check(const char *verb, const char *text, struct run_options *);
bool cli_subject(
    const char *verb, const char *text, const struct subject **ret_s);

/* Set by SIGINT and SIGTERM once cli_catch_signals was called; a second
 * SIGINT ends the program at once. */
extern volatile sig_atomic_t cli_stop;
void cli_catch_signals(void);

/* A progress line on standard error, if that is a terminal. */
void cli_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_progress_end(void);
double cli_now(void);	  /* seconds, monotonic */
double cli_cpu_now(void); /* seconds that this process has run */

/* The finding as people read it; replay is the command that shows it again. */
/* Lines of a report, if there is something to tell: what of the slack near
 * limits was used; what became of --check. */
void cli_print_slack(FILE *, uint64_t used, uint64_t declared);
void cli_print_orders(FILE *, uint64_t n, uint64_t too_long);
void cli_print_finding(
    FILE *, const struct run_result *, const char *file, const char *replay);
/* Who waited for what at the end, a line each after the prefix. */
void cli_print_waits(FILE *, const struct run_result *, const char *prefix);

/* What kalab show --map prints of the trace; by a process of its own. False: it
 * died or hung, and what it printed ends there. */
bool cli_show_apart(const struct trace *);

/* One line of a run's story, on standard output (run_options.story). */
void cli_story(void *, const struct run_step *);

/* Jobs: as many as asked for; 0: one for each CPU. */
uint32_t cli_jobs(uint32_t asked, uint32_t max);
/* Where programs of fuzz targets are: the directories asked for, then that of
 * this program, then what is theirs where it was built. */
const char *cli_targets(const char *asked);

/* A command that is put together word by word. */
#define CLI_COMMAND_MAX 8192
struct cli_command {
	char s[CLI_COMMAND_MAX];
	size_t n;
};
void cli_command_add(struct cli_command *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A file name, quoted if a shell needs it. */
void cli_command_file(struct cli_command *, const char *name);
/* The options of a run that differ from the defaults. */
void cli_command_options(struct cli_command *, const struct run_options *);

/* ---- Reports for other programs: cli_report.c ---------------------------- */

/* What the contract says in short: made of docs/contract.md. */
struct cli_clause {
	const char *id, *text;
};
extern const struct cli_clause cli_clauses[]; /* ends with NULL */
/* NULL: no clause of that name. */
const char *cli_clause_text(const char *id);

/* Names of files are bytes, JSON is UTF-8: what is none becomes '?'. */
json_t *cli_json_text(const char *text);

struct cli_sarif {
	json_t *rules, *results, *notes;
};
struct cli_sarif_finding {
	const char *clause, *operation, *expected, *found, *signature;
	const char *file;   /* a trace */
	uint64_t line;	    /* in it; 0: all of it */
	const char *source; /* "lib/FILE.c:LINE", "" or NULL: unknown */
};
void cli_sarif_init(struct cli_sarif *);
void cli_sarif_add(struct cli_sarif *, const struct cli_sarif_finding *);
/* Something could not be looked at. */
void cli_sarif_error(struct cli_sarif *, const char *text);
/* To standard output; it is given back. */
void cli_sarif_print(struct cli_sarif *);

struct cli_junit {
	FILE *cases;
	char *text;
	size_t size;
	uint64_t tests, failures, errors;
	double seconds;
};
void cli_junit_init(struct cli_junit *);
/* kind "failure", "error" or NULL: it passed. */
void cli_junit_add(struct cli_junit *, const char *file, double seconds,
    const char *kind, const char *type, const char *text);
/* To standard output; it is given back. False: out of memory. */
bool cli_junit_print(struct cli_junit *);

#endif
