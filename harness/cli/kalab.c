/* SPDX-License-Identifier: BSD-2-Clause */
/* kalab: the kernel-allocator laboratory. The table of verbs. */
#include "cli.h"

#include <errno.h>
#include <string.h>

static const struct verb {
	const char *name;
	int (*fn)(int, char **);
	const char *args, *about;
} verbs[] = {
	{ "run", cli_run, "[OPTION...]",
	    "make traces from a seed and check them" },
	{ "replay", cli_replay, "[OPTION...] FILE...",
	    "check traces: files, directories, - for standard input" },
	{ "explore", cli_explore, "[OPTION...] FILE",
	    "check a trace under many schedules" },
	{ "import", cli_import, "--from ftrace [OPTION...] FILE",
	    "make a trace of a kernel's" },
	{ "fuzz", cli_fuzz, "[OPTION...] DIR",
	    "run fuzzing engines, in a directory that keeps what they find" },
	{ "triage", cli_triage, "[OPTION...] DIR|FILE...",
	    "confirm, sort and shrink what a campaign found" },
	{ "finding", cli_finding, "[OPTION...] N|FILE",
	    "explain a finding, and write what reproduces it" },
	{ "corpus", cli_corpus, "stats|minimize [OPTION...] DIR...",
	    "count what corpora reach, or find the least that does" },
	{ "show", cli_show, "[OPTION...] FILE",
	    "print a trace with results and a map of the memory" },
	{ "shrink", cli_shrink, "[OPTION...] FILE",
	    "make a trace that fails as small as can be" },
	{ "defects", cli_defects, "[OPTION...] [NAME...]",
	    "search for real bugs that are put into the library" },
	{ "sweep", cli_sweep, "[OPTION...] FILE...",
	    "check traces with each thing that may fail made to fail" },
	{ "mutate", cli_mutate, "[OPTION...] [WORD...]",
	    "count the mutants of the library that are seen" },
	{ "stats", cli_stats, "[OPTION...] FILE",
	    "print the statistics of all allocators at the end of a trace" },
	{ "list", cli_list, "[operations|clauses|subjects|protocols]",
	    "print what there is, and who checks it" },
};

static void
help(FILE *f)
{
	size_t i;

	(void)fprintf(f, "kalab: the kernel-allocator laboratory\n\nusage:\n");
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		(void)fprintf(f, "  kalab %-7s %-32s %s\n", verbs[i].name,
		    verbs[i].args, verbs[i].about);
	(void)fprintf(f,
	    "  kalab VERB --help\n  kalab --version\n\n"
	    "Exit status: 0 clean, 1 a finding, 2 bad usage or input. "
	    "See kalab(1).\n");
}

/* Data that could not be written is no success. */
static int
finish(int status)
{
	int failed = fflush(stdout) != 0 ? errno : 0;

	/* An earlier write failed: its reason is lost, and one more tells it. */
	if (failed == 0 && ferror(stdout))
		failed =
		    putchar('\n') == EOF || fflush(stdout) != 0 ? errno : EIO;
	if (failed == 0)
		return (status);
	if (status != CLI_USAGE)
		(void)fprintf(stderr,
		    "kalab: cannot write to standard output: "
		    "%s\n",
		    strerror(failed));
	return (CLI_USAGE);
}

static int
dispatch(int argc, char **argv)
{
	static char name[16];
	size_t i;

	if (argc < 2) {
		help(stderr);
		return (CLI_USAGE);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		help(stdout);
		return (CLI_CLEAN);
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("kalab %s\n", KALLOC_VERSION);
		return (CLI_CLEAN);
	}
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0) {
			(void)snprintf(
			    name, sizeof(name), "kalab %s", verbs[i].name);
			argv[1] = name; /* as getopt_long(3) tells it */
			return (verbs[i].fn(argc - 1, argv + 1));
		}
	(void)fprintf(stderr, "kalab: unknown verb \"%s\", expected %s",
	    argv[1], verbs[0].name);
	for (i = 1; i < sizeof(verbs) / sizeof(*verbs); i++)
		(void)fprintf(stderr, "%s %s",
		    i + 1 == sizeof(verbs) / sizeof(*verbs) ? " or" : ",",
		    verbs[i].name);
	(void)fprintf(stderr, "\n");
	return (CLI_USAGE);
}

int
main(int argc, char **argv)
{
	return (finish(dispatch(argc, argv)));
}
