/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fuzzing engines as searchers of kalab defects: the target of all
 * allocators is built with the defect, and runs from the neutral seeds alone,
 * for the budget or until something is wrong. What it finds is an input; the
 * healthy build tells the trace that it is, and kalab with the defect the
 * clause.
 */
#include "cli_defects.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEEDS_MAX   512
#define REPLAY_TIME "60" /* seconds */
#define REPLAY_OVER 124	 /* the status of timeout(1) */
#define WORD(s)	    ((char *)(uintptr_t)(s))

static bool
is_afl(const struct defects *c)
{
	return (strcmp(c->engine, "afl") == 0);
}

static bool
cannot(struct defect *d, const char *what)
{
	(void)snprintf(d->why, sizeof(d->why), "%s", what);
	d->state = DEFECT_NOT_BUILT;
	return (false);
}

/* The first file of a pattern; false: there is none. */
static bool
first_of(const char *pattern, char *path, size_t size)
{
	glob_t g;
	bool found = glob(pattern, 0, NULL, &g) == 0 && g.gl_pathc > 0;

	if (found)
		(void)snprintf(path, size, "%s", g.gl_pathv[0]);
	globfree(&g);
	return (found);
}

/* Only corpus/seeds: regressions may know of the defect. */
static bool
make_seeds(const struct defects *c, struct defect *d, const char *dir)
{
	char tool[PATH_MAX], seeds[PATH_MAX], pattern[PATH_MAX];
	char *argv[SEEDS_MAX + 4];
	glob_t g;
	size_t i;
	bool made;

	(void)snprintf(tool, sizeof(tool), "%.3900s/fuzz/mkseeds", c->build);
	(void)snprintf(seeds, sizeof(seeds), "%.3900s/seeds", dir);
	(void)snprintf(pattern, sizeof(pattern), "%.3900s/corpus/seeds/*.trace",
	    c->source);
	if (mkdir(seeds, 0777) != 0 && errno != EEXIST)
		return (cannot(d, strerror(errno)));
	if (glob(pattern, 0, NULL, &g) != 0 || g.gl_pathc > SEEDS_MAX) {
		globfree(&g);
		return (cannot(d, "there are no seeds"));
	}
	argv[0] = tool;
	argv[1] = WORD("trace");
	argv[2] = seeds;
	for (i = 0; i < g.gl_pathc; i++)
		argv[i + 3] = g.gl_pathv[i];
	argv[i + 3] = NULL;
	made = defects_program(argv, NULL, "/dev/null") == 0;
	globfree(&g);
	return (made || cannot(d, "fuzz/mkseeds cannot be run"));
}

static uint64_t
number_after(const char *text, const char *word)
{
	const char *at = strstr(text, word);

	return (at == NULL ?
		0 :
		strtoull(at + strlen(word) + strspn(at + strlen(word), " :"),
		    NULL, 10));
}

/* The end of what an engine says: its figures. */
static void
last_words(const char *name, char *buf, size_t size)
{
	FILE *f = fopen(name, "r");
	size_t n = 0;

	if (f != NULL) {
		if (fseek(f, -(long)(size - 1), SEEK_END) != 0)
			rewind(f);
		n = fread(buf, 1, size - 1, f);
		(void)fclose(f);
	}
	buf[n] = '\0';
}

/* Until the first finding, or for the budget. The input is in input. */
static bool
run_libfuzzer(
    const struct defects *c, struct defect *d, const char *dir, char *input)
{
	char program[PATH_MAX], corpus[PATH_MAX], seeds[PATH_MAX];
	char out[PATH_MAX], budget[64], seed[64], prefix[PATH_MAX + 32];
	char text[4096];
	char *argv[] = { program, WORD("-max_len=1024"), WORD("-timeout=25"),
		WORD("-rss_limit_mb=2048"), WORD("-entropic=0"),
		WORD("-use_counters=0"), WORD("-print_funcs=0"),
		WORD("-detect_leaks=0"), WORD("-print_final_stats=1"), budget,
		seed, prefix, corpus, seeds, NULL };

	(void)snprintf(
	    program, sizeof(program), "%.3900s/engine/fuzz_all_libfuzzer", dir);
	(void)snprintf(corpus, sizeof(corpus), "%.3900s/corpus", dir);
	(void)snprintf(seeds, sizeof(seeds), "%.3900s/seeds", dir);
	(void)snprintf(out, sizeof(out), "%.3900s/engine.out", dir);
	(void)snprintf(
	    budget, sizeof(budget), "-max_total_time=%" PRIu64, c->budget);
	(void)snprintf(
	    seed, sizeof(seed), "-seed=%" PRIu64, c->first_seed % UINT32_MAX);
	(void)snprintf(
	    prefix, sizeof(prefix), "-artifact_prefix=%.3900s/found-", dir);
	(void)mkdir(corpus, 0777);
	if (defects_program(argv, NULL, out) == 127)
		return (cannot(d, "the target cannot be run"));
	last_words(out, text, sizeof(text));
	(void)snprintf(out, sizeof(out), "%.3900s/found-*", dir);
	d->executions = number_after(text, "stat::number_of_executed_units");
	return (first_of(out, input, PATH_MAX));
}

static bool
run_afl(const struct defects *c, struct defect *d, const char *dir, char *input)
{
	char program[PATH_MAX], afl[PATH_MAX], seeds[PATH_MAX], out[PATH_MAX];
	char budget[32], mutator[PATH_MAX + 64], text[8192];
	char *argv[] = { WORD("/usr/bin/env"), WORD("afl-fuzz"), WORD("-i"),
		seeds, WORD("-o"), afl, WORD("-V"), budget, WORD("-t"),
		WORD("2000+"), WORD("-G"), WORD("1024"), WORD("--"), program,
		NULL };
	char *environment[] = { mutator, WORD("AFL_CUSTOM_MUTATOR_ONLY=1"),
		WORD("AFL_DISABLE_TRIM=1"), WORD("AFL_NO_UI=1"),
		WORD("AFL_BENCH_UNTIL_CRASH=1"), WORD("AFL_SKIP_CPUFREQ=1"),
		WORD("AFL_NO_AFFINITY=1"),
		WORD("AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1"), NULL };

	(void)snprintf(
	    program, sizeof(program), "%.3900s/engine/fuzz_all_afl", dir);
	(void)snprintf(afl, sizeof(afl), "%.3900s/afl", dir);
	(void)snprintf(seeds, sizeof(seeds), "%.3900s/seeds", dir);
	(void)snprintf(out, sizeof(out), "%.3900s/engine.out", dir);
	(void)snprintf(budget, sizeof(budget), "%" PRIu64, c->budget);
	(void)snprintf(mutator, sizeof(mutator),
	    "AFL_CUSTOM_MUTATOR_LIBRARY=%.3900s/fuzz/libkalab_mutator_afl.so",
	    c->build);
	if (defects_program(argv, environment, out) == 127)
		return (cannot(d, "afl-fuzz cannot be run"));
	(void)snprintf(
	    out, sizeof(out), "%.3900s/afl/default/fuzzer_stats", dir);
	defects_text(out, text, sizeof(text));
	d->executions = number_after(text, "execs_done");
	(void)snprintf(
	    out, sizeof(out), "%.3900s/afl/default/crashes/id*", dir);
	return (first_of(out, input, PATH_MAX));
}

/* A seed that fails as it is: AFL++ does not count it. */
static bool
seeds_fail(const struct defects *c, struct defect *d, const char *dir)
{
	char program[PATH_MAX], pattern[PATH_MAX], out[PATH_MAX], text[4096];
	char *argv[] = { program, WORD("replay"), NULL, NULL };
	bool found = false;
	glob_t g;
	size_t i;

	(void)snprintf(program, sizeof(program), "%.3900s/kalab", dir);
	(void)snprintf(out, sizeof(out), "%.3900s/seeds.out", dir);
	(void)snprintf(pattern, sizeof(pattern), "%.3900s/corpus/seeds/*.trace",
	    c->source);
	if (glob(pattern, 0, NULL, &g) != 0)
		return (false);
	for (i = 0; i < g.gl_pathc && !found; i++) {
		argv[2] = g.gl_pathv[i];
		found = defects_program(argv, NULL, out) != 0;
		if (!found)
			continue;
		d->executions = i + 1;
		(void)snprintf(d->trace, sizeof(d->trace), "%s", argv[2]);
		defects_text(out, text, sizeof(text));
		if (!defects_clause(d, text))
			(void)snprintf(d->clause, sizeof(d->clause), "died");
	}
	globfree(&g);
	return (found);
}

/* The input as a trace, and the clause that it breaks. */
static void
look_at_input(
    const struct defects *c, struct defect *d, const char *dir, char *input)
{
	char show[PATH_MAX], program[PATH_MAX], out[PATH_MAX], text[4096];
	char *as_trace[] = { show, WORD("--show"), input, NULL };
	/* What an engine has stopped because it took too long may not end. */
	char *replay[] = { WORD("/usr/bin/env"), WORD("timeout"),
		WORD(REPLAY_TIME), program, WORD("replay"), WORD("--audit"),
		WORD(AUDIT_EVERY), d->trace, NULL };
	int status;

	(void)snprintf(show, sizeof(show), "%.3900s/fuzz/fuzz_all", c->build);
	(void)snprintf(program, sizeof(program), "%.3900s/kalab", dir);
	(void)snprintf(d->trace, sizeof(d->trace), "%.3900s/found.trace", dir);
	if (defects_program(as_trace, NULL, d->trace) != 0)
		return;
	(void)snprintf(out, sizeof(out), "%.3900s/replay.out", dir);
	status = defects_program(replay, NULL, out);
	if (status == 0)
		return;
	defects_text(out, text, sizeof(text));
	if (!defects_clause(d, text))
		(void)snprintf(d->clause, sizeof(d->clause), "%s",
		    status == REPLAY_OVER ? "hang" : "died");
}

void
defects_engine(const struct defects *c, struct defect *d, const char *dir)
{
	char engine[PATH_MAX], target[64], input[PATH_MAX] = "";
	double began;
	bool found;

	(void)snprintf(engine, sizeof(engine), "%.3900s/engine", dir);
	(void)snprintf(target, sizeof(target), "fuzz/fuzz_all_%s", c->engine);
	if (!defects_build(c, d, c->fuzzing, engine, target) ||
	    !make_seeds(c, d, dir))
		return;
	began = cli_now();
	found = is_afl(c) && seeds_fail(c, d, dir);
	if (!found)
		found = is_afl(c) ? run_afl(c, d, dir, input) :
				    run_libfuzzer(c, d, dir, input);
	d->seconds = cli_now() - began;
	if (d->state == DEFECT_NOT_BUILT)
		return;
	d->state = found ? DEFECT_FOUND : DEFECT_NOT_FOUND;
	if (found && input[0] != '\0')
		look_at_input(c, d, dir, input);
}
