/* SPDX-License-Identifier: BSD-2-Clause */
/* kalab fuzz: the command line of campaigns; see fuzz/campaign.c. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/campaign.h"
#include "fuzz/triage.h"

#define TRIAGE_SECONDS 60 /* at the end of a campaign, at most */

enum {
	OPT_BIN,
	OPT_ENGINE,
	OPT_HELP,
	OPT_JOBS,
	OPT_NAME,
	OPT_NO_TRIAGE,
	OPT_QUIET,
	OPT_TARGET,
	OPT_TIME
};

static const struct option options[] = {
	{ "bin", required_argument, NULL, OPT_BIN },
	{ "engine", required_argument, NULL, OPT_ENGINE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "no-triage", no_argument, NULL, OPT_NO_TRIAGE },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "target", required_argument, NULL, OPT_TARGET },
	{ "time", required_argument, NULL, OPT_TIME },
	{ NULL, 0, NULL, 0 },
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab fuzz [OPTION...] DIR\n"
	    "  --bin DIRS        where targets are, separated by colons,\n"
	    "                    before those beside kalab\n"
	    "  --engine NAME     libfuzzer (default), afl or both\n"
	    "  --jobs N          processes; default: one for each CPU\n"
	    "  --name NAME       of this machine, if several share what they\n"
	    "                    find; default: job\n"
	    "  --no-triage       what is found is not made small at the end\n"
	    "  --quiet           no status line\n"
	    "  --target NAME     default: all; may be given up to 8 times\n"
	    "  --time SECONDS    stop after so long; default: go on\n");
}

static bool
parse_engine(struct campaign_options *o, const char *text)
{
	const bool both = strcmp(text, "both") == 0;

	o->engine[CAMPAIGN_LIBFUZZER] = both || strcmp(text, "libfuzzer") == 0;
	o->engine[CAMPAIGN_AFL] = both || strcmp(text, "afl") == 0;
	if (o->engine[CAMPAIGN_LIBFUZZER] || o->engine[CAMPAIGN_AFL])
		return (true);
	(void)cli_usage(
	    "fuzz", "--engine: \"%s\", expected libfuzzer, afl or both", text);
	return (false);
}

/* A target, or a machine, is a part of file names. */
static bool
is_name(const char *text, size_t max)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

	return (*text != '\0' && text[strspn(text, letters)] == '\0' &&
	    strlen(text) <= max);
}

/* A number follows it. */
static bool
parse_name(struct campaign_options *o, const char *text)
{
	if (!is_name(text, 24) || strchr("0123456789-", *text) != NULL ||
	    strchr("0123456789", text[strlen(text) - 1]) != NULL) {
		(void)cli_usage("fuzz",
		    "--name: \"%s\", expected up to 24 small letters, digits "
		    "and '-', a letter first and no digit last",
		    text);
		return (false);
	}
	o->name = text;
	return (true);
}

static bool
parse_target(struct campaign_options *o, const char *text)
{
	if (o->targets == CAMPAIGN_TARGETS_MAX) {
		(void)cli_usage("fuzz", "--target: more than %u targets",
		    CAMPAIGN_TARGETS_MAX);
		return (false);
	}
	if (!is_name(text, 32)) {
		(void)cli_usage(
		    "fuzz", "--target: \"%s\" is no name of a target", text);
		return (false);
	}
	o->target[o->targets++] = text;
	return (true);
}

/* 0, or the status to exit with plus one. */
static int
parse(struct campaign_options *o, bool *triage, int argc, char **argv)
{
	uint64_t n = 0;
	bool ok = true;
	int opt;

	while (ok && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (opt) {
		case OPT_BIN:
			o->bin = optarg;
			break;
		case OPT_ENGINE:
			ok = parse_engine(o, optarg);
			break;
		case OPT_HELP:
			usage(stdout);
			return (CLI_CLEAN + 1);
		case OPT_JOBS:
			ok = cli_number(
			    "fuzz", "--jobs", optarg, 1, CAMPAIGN_JOBS_MAX, &n);
			o->jobs = (uint32_t)n;
			break;
		case OPT_NAME:
			ok = parse_name(o, optarg);
			break;
		case OPT_NO_TRIAGE:
			*triage = false;
			break;
		case OPT_QUIET:
			o->quiet = true;
			break;
		case OPT_TARGET:
			ok = parse_target(o, optarg);
			break;
		case OPT_TIME:
			ok = cli_number("fuzz", "--time", optarg, 1, UINT32_MAX,
			    &o->seconds);
			break;
		default:
			return (CLI_USAGE + 1);
		}
	if (!ok)
		return (CLI_USAGE + 1);
	if (optind + 1 == argc) {
		o->directory = argv[optind];
		return (0);
	}
	return (cli_usage("fuzz",
		    optind == argc ? "no directory of a campaign is named" :
				     "more than one directory is named") +
	    1);
}

/* What was found is made small; a message says what is left of it. */
static void
triage_new(const struct campaign_options *o)
{
	const struct triage_options t = { .directory = o->directory,
		.bin = o->bin,
		.jobs = o->jobs,
		.seconds = TRIAGE_SECONDS,
		.quiet = o->quiet,
		.stop = &cli_stop };
	struct triage_list l;
	size_t i;

	if (triage_run(&t, &l) == 0) {
		for (i = 0; i < l.n; i++)
			(void)printf("triaged %lld: %s, %llu operations, %s\n",
			    (long long)l.row[i].id, l.row[i].signature,
			    (unsigned long long)l.row[i].ops_after,
			    l.row[i].trace);
		if (l.left != 0)
			(void)printf(
			    "%llu findings are left for kalab triage %s\n",
			    (unsigned long long)l.left, o->directory);
	}
	triage_list_fini(&l);
}

int
cli_fuzz(int argc, char **argv)
{
	bool triage = true, ran;
	struct campaign_options o = { .stop = &cli_stop,
		.name = "job",
		.engine = { [CAMPAIGN_LIBFUZZER] = true } };
	const int end = parse(&o, &triage, argc, argv);
	int status;

	if (end != 0)
		return (end - 1);
	o.jobs = cli_jobs(o.jobs, CAMPAIGN_JOBS_MAX);
	if (o.targets == 0)
		o.target[o.targets++] = "all";
	o.bin = cli_targets(o.bin);
	cli_catch_signals();
	status = campaign_run(&o, &ran);
	/* Who stops it wants it to stop. */
	if (triage && !cli_stop && ran)
		triage_new(&o);
	return (status);
}
