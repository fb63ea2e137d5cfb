/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab shrink: of a trace that fails, the smallest that fails the same way.
 */
#include "cli.h"

#include <string.h>

#include "shrink/shrink.h"

struct shrink_cli {
	struct shrink_options options;
	const char *file, *output;
	bool quiet, valgrind;
	struct shrink_deviations deviations;
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab shrink [OPTION...] FILE\n"
	    "  FILE              a trace that fails; - for standard input\n"
	    "  --audit N         audit the structures every N operations\n"
	    "  --check wgl       search an order of calls that overlap\n"
	    "  --contents HOW    full (default), sampled or none\n"
	    "  -o, --output FILE where the trace goes; default: standard "
	    "output\n"
	    "  --points N        of a run without an operation's end\n"
	    "  --quiet           no progress and no summary\n"
	    "  --subject NAME    kalloc (default) or malloc\n"
	    "  --time SECONDS    stop after so long, with the best so far\n"
	    "  --twice           run each candidate twice and compare\n"
	    "  --valgrind        under valgrind: what it reports is a "
	    "finding\n");
}

static void
on_progress(void *arg, const struct shrink_progress *p)
{
	const struct shrink_cli *c = arg;

	if (!c->quiet)
		cli_progress("%zu of %zu operations, %llu runs, %s", p->ops_now,
		    p->ops_before, (unsigned long long)p->runs, p->doing);
}

static void
summary(const struct shrink_cli *c, const struct trace *t,
    const struct shrink_result *r, enum shrink_status status)
{
	if (c->quiet)
		return;
	(void)fprintf(stderr,
	    "%s: %zu operations of %zu, %u threads, %u cpus, %llu runs, "
	    "%.1f s%s\n"
	    "  signature  %s\n",
	    c->file, r->ops_after, r->ops_before, t->header.threads,
	    t->header.cpus, (unsigned long long)r->runs, r->seconds,
	    status == SHRINK_STOPPED ? ", stopped" : "", r->signature);
	if (t->header.ndeviations != 0)
		(void)fprintf(stderr, "  deviations %u%s\n",
		    t->header.ndeviations,
		    c->deviations.proven ? ", no fewer show it" : "");
}

static int
report(const struct shrink_cli *c, const struct trace *t,
    const struct shrink_result *r, enum shrink_status status)
{
	const bool named = strcmp(c->output, "-") != 0;
	struct cli_command command = { .n = 0 };
	struct trace_error e;

	if (status == SHRINK_FAILED)
		return (cli_input_error(&r->verdict.error));
	if (status == SHRINK_CLEAN)
		return (cli_usage("shrink",
		    cli_stop ? "%s: interrupted before it failed" :
			       "%s: the trace does not fail",
		    c->file));
	cli_command_add(&command, "kalab replay");
	cli_command_options(&command, &c->options.run);
	if (c->options.twice)
		cli_command_add(&command, " --twice");
	cli_command_file(&command, named ? c->output : "-");
	if (!named)
		cli_command_add(&command, " < this");
	if (shrink_write(t, r, c->output, command.s, &e) != 0) {
		(void)cli_input_error(&e);
		if (named) /* here it is not lost */
			(void)shrink_write(t, r, "-", command.s, &e);
		return (CLI_USAGE);
	}
	summary(c, t, r, status);
	return (CLI_CLEAN);
}

enum {
	OPT_AUDIT,
	OPT_CHECK,
	OPT_CONTENTS,
	OPT_HELP,
	OPT_POINTS,
	OPT_QUIET,
	OPT_SUBJECT,
	OPT_TIME,
	OPT_TWICE,
	OPT_VALGRIND
};

static const struct option options[] = {
	{ "audit", required_argument, NULL, OPT_AUDIT },
	{ "check", required_argument, NULL, OPT_CHECK },
	{ "contents", required_argument, NULL, OPT_CONTENTS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "output", required_argument, NULL, 'o' },
	{ "points", required_argument, NULL, OPT_POINTS },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "subject", required_argument, NULL, OPT_SUBJECT },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "twice", no_argument, NULL, OPT_TWICE },
	{ "valgrind", no_argument, NULL, OPT_VALGRIND },
	{ NULL, 0, NULL, 0 },
};

/* An option: -1 to go on, or the status to exit with. */
static int
parse_option(struct shrink_cli *c, int opt)
{
	struct run_options *run = &c->options.run;
	uint64_t n = 0;
	bool ok = true;

	switch (opt) {
	case OPT_AUDIT:
		ok = cli_number("shrink", "--audit", optarg, 1, UINT32_MAX,
		    &run->audit_every);
		break;
	case OPT_CHECK:
		ok = cli_check("shrink", optarg, run);
		break;
	case OPT_CONTENTS:
		ok = cli_contents("shrink", optarg, &run->contents);
		break;
	case OPT_HELP:
		usage(stdout);
		return (CLI_CLEAN);
	case 'o':
		c->output = optarg;
		break;
	case OPT_POINTS:
		ok = cli_number("shrink", "--points", optarg, 1, UINT32_MAX,
		    &run->points_max);
		run->counts = true;
		break;
	case OPT_QUIET:
		c->quiet = true;
		break;
	case OPT_SUBJECT:
		ok = cli_subject("shrink", optarg, &run->subject);
		break;
	case OPT_TIME:
		ok = cli_number("shrink", "--time", optarg, 1, UINT32_MAX, &n);
		c->options.seconds = (double)n;
		break;
	case OPT_TWICE:
		c->options.twice = true;
		break;
	case OPT_VALGRIND:
		c->valgrind = true;
		break;
	default:
		return (CLI_USAGE);
	}
	return (ok ? -1 : CLI_USAGE);
}

int
cli_shrink(int argc, char **argv)
{
	struct shrink_cli c = { .options = { .run = { .subject = subjects[0] },
				    .stop = &cli_stop,
				    .progress = on_progress },
		.output = "-" };
	static struct shrink_result r;
	enum shrink_status status;
	struct trace_error e;
	struct trace t;
	int opt, end;

	c.options.arg = &c;
	while ((opt = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		end = parse_option(&c, opt);
		if (end >= 0)
			return (end);
	}
	if (optind + 1 != argc)
		return (cli_usage("shrink", "expected one file"));
	if (c.valgrind && cli_under_valgrind("shrink", argc, argv, &end))
		return (end);
	c.options.log = c.valgrind ? cli_valgrind_log() : NULL;
	c.file = argv[optind];
	if (!cli_output("shrink", c.output))
		return (CLI_USAGE);
	if (cli_load(&t, c.file, &e) != 0)
		return (cli_input_error(&e));
	cli_catch_signals();
	status = shrink_pinned(&t, &c.options, &r, &c.deviations);
	cli_progress_end();
	end = report(&c, &t, &r, status);
	trace_fini(&t);
	return (end);
}
