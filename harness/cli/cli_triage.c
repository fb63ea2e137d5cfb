/* SPDX-License-Identifier: BSD-2-Clause */
/* kalab triage: the command line of triage, and its table; see fuzz/triage.c. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/campaign.h"
#include "fuzz/triage.h"

enum form {
	FORM_TABLE,
	FORM_JSON,
	FORM_SARIF
};

struct triage_cli {
	struct triage_options options;
	const char *bin, *keep;
	enum form form;
	bool valgrind;
};

enum {
	OPT_BIN,
	OPT_HELP,
	OPT_JOBS,
	OPT_JSON,
	OPT_KEEP,
	OPT_QUIET,
	OPT_REPLAYS,
	OPT_SARIF,
	OPT_TIME,
	OPT_VALGRIND
};

static const struct option options[] = {
	{ "bin", required_argument, NULL, OPT_BIN },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "replays", required_argument, NULL, OPT_REPLAYS },
	{ "sarif", no_argument, NULL, OPT_SARIF },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "valgrind", no_argument, NULL, OPT_VALGRIND },
	{ NULL, 0, NULL, 0 },
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab triage [OPTION...] DIRECTORY\n"
	    "       kalab triage [OPTION...] FILE...\n"
	    "  --bin DIRS        where targets are, separated by colons,\n"
	    "                    before those beside kalab\n"
	    "  --jobs N          processes; default: one for each CPU\n"
	    "  --json            one JSON object instead of a table\n"
	    "  --keep DIRECTORY  of FILEs: a campaign that they are put into\n"
	    "  --quiet           no progress line\n"
	    "  --replays N       of each finding; default: 5\n"
	    "  --sarif           findings as SARIF 2.1.0\n"
	    "  --time SECONDS    stop after so long; what is left is for the\n"
	    "                    next time\n"
	    "  --valgrind        under valgrind: what it reports is a "
	    "finding\n");
}

static bool
set_form(struct triage_cli *c, int form)
{
	const bool other = c->form != FORM_TABLE && (int)c->form != form;

	c->form = form;
	if (other)
		(void)cli_usage(
		    "triage", "expected one of --json and --sarif, not both");
	return (!other);
}

/* An option: -1 to go on, or the status to exit with. */
static int
parse_option(struct triage_cli *c, int opt)
{
	struct triage_options *o = &c->options;
	uint64_t n = 0;
	bool ok = true;

	switch (opt) {
	case OPT_BIN:
		c->bin = optarg;
		break;
	case OPT_HELP:
		usage(stdout);
		return (CLI_CLEAN);
	case OPT_JOBS:
		ok = cli_number(
		    "triage", "--jobs", optarg, 1, TRIAGE_JOBS_MAX, &n);
		o->jobs = (uint32_t)n;
		break;
	case OPT_JSON:
		ok = set_form(c, FORM_JSON);
		break;
	case OPT_KEEP:
		c->keep = optarg;
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	case OPT_REPLAYS:
		ok = cli_number(
		    "triage", "--replays", optarg, 1, TRIAGE_REPLAYS_MAX, &n);
		o->replays = (uint32_t)n;
		break;
	case OPT_SARIF:
		ok = set_form(c, FORM_SARIF);
		break;
	case OPT_TIME:
		ok = cli_number("triage", "--time", optarg, 1, UINT32_MAX, &n);
		o->seconds = (double)n;
		break;
	case OPT_VALGRIND:
		c->valgrind = true;
		break;
	default:
		return (CLI_USAGE);
	}
	return (ok ? -1 : CLI_USAGE);
}

/* One directory of a campaign, or traces. 0, or CLI_USAGE. */
static int
parse_names(struct triage_cli *c, int argc, char **argv)
{
	struct stat st = { 0 };
	int i;

	if (optind == argc)
		return (cli_usage("triage",
		    "expected the directory of a campaign, or traces"));
	c->options.directory = argv[optind];
	/* What is not there is taken for a directory, which says so. */
	if (optind + 1 == argc &&
	    ((stat(argv[optind], &st) == 0) == S_ISDIR(st.st_mode)))
		return (c->keep == NULL ?
			0 :
			cli_usage("triage", "--keep is for traces"));
	for (i = optind; i < argc; i++)
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			return (cli_usage("triage",
			    "%s: expected one directory, or traces", argv[i]));
	c->options.file = &argv[optind];
	c->options.files = (uint32_t)(argc - optind);
	c->options.make = true;
	c->options.directory = c->keep;
	return (0);
}

/* ---- What is printed ----------------------------------------------------- */

static void
print_table(const struct triage_list *l)
{
	size_t i;

	if (l->n != 0)
		(void)printf("%4s %8s %7s %12s  %s\n", "N", "FINDINGS", "AGAIN",
		    "OPERATIONS", "SIGNATURE");
	for (i = 0; i < l->n; i++) {
		const struct triage_row *r = &l->row[i];
		const bool bytes = r->ops_after == 0;
		char again[24], ops[48];

		(void)snprintf(
		    again, sizeof(again), "%u/%u", r->shown, r->replays);
		(void)snprintf(ops, sizeof(ops), "%llu>%llu%s%s",
		    (unsigned long long)(bytes ? cli_file_size(r->input) :
						 r->ops_before),
		    (unsigned long long)(bytes ? cli_file_size(r->trace) :
						 r->ops_after),
		    bytes ? " B" : "", r->complete ? "" : "+");
		(void)printf("%4lld %8llu %7s %12s  %s\n", (long long)r->id,
		    (unsigned long long)r->findings, again, ops, r->signature);
	}
	if (l->n == 0 && l->left == 0)
		(void)printf("no finding\n");
	if (l->not_again != 0)
		(void)printf(
		    "%llu findings did not show anything when run again\n",
		    (unsigned long long)l->not_again);
	if (l->left != 0)
		(void)printf("%llu findings are left for the next time\n",
		    (unsigned long long)l->left);
}

static json_t *
row_json(const struct triage_row *r, bool kept)
{
	json_t *o = json_pack("{s:I, s:o, s:s, s:s, s:s, s:o, s:o, s:I, s:i,"
			      " s:I, s:I, s:I, s:i, s:i, s:i, s:b, s:f}",
	    "id", (json_int_t)r->id, "signature", cli_json_text(r->signature),
	    "target", r->target, "clause", r->clause, "operation", r->operation,
	    "expected", cli_json_text(r->expected), "found",
	    cli_json_text(r->found), "line", (json_int_t)r->line, "thread",
	    (int)r->thread, "findings", (json_int_t)r->findings, "ops_before",
	    (json_int_t)r->ops_before, "ops_after", (json_int_t)r->ops_after,
	    "replays", (int)r->replays, "shown_first", (int)r->shown_first,
	    "shown", (int)r->shown, "complete", r->complete, "seconds",
	    r->seconds);

	if (r->ops_after == 0)
		(void)json_object_set_new(o, "bytes_after",
		    json_integer((json_int_t)cli_file_size(r->trace)));
	if (kept) {
		(void)json_object_set_new(o, "trace", cli_json_text(r->trace));
		(void)json_object_set_new(o, "input", cli_json_text(r->input));
	}
	if (r->source[0] != '\0')
		(void)json_object_set_new(
		    o, "source", cli_json_text(r->source));
	if (r->program[0] != '\0')
		(void)json_object_set_new(
		    o, "program", cli_json_text(r->program));
	return (o);
}

static void
print_json(const struct triage_list *l, bool kept)
{
	json_t *rows = json_array(), *all;
	size_t i;

	for (i = 0; i < l->n; i++)
		(void)json_array_append_new(rows, row_json(&l->row[i], kept));
	all = json_pack("{s:o, s:I, s:I}", "findings", rows, "not_again",
	    (json_int_t)l->not_again, "left", (json_int_t)l->left);
	(void)json_dumpf(all, stdout, JSON_INDENT(2));
	(void)printf("\n");
	json_decref(all);
}

static void
print_sarif(const struct triage_list *l, int status)
{
	struct cli_sarif s;
	size_t i;

	cli_sarif_init(&s);
	for (i = 0; i < l->n; i++) {
		const struct triage_row *r = &l->row[i];
		const struct cli_sarif_finding f = { r->clause, r->operation,
			r->expected, r->found, r->signature, r->trace, r->line,
			r->source };

		cli_sarif_add(&s, &f);
	}
	if (status != 0)
		cli_sarif_error(&s, "not all findings could be looked at");
	cli_sarif_print(&s);
}

/* ---- Running it ---------------------------------------------------------- */

static int
triage(struct triage_cli *c)
{
	const bool kept = c->options.directory != NULL;
	char scratch[4096];
	struct triage_list l;
	int status;

	if (!kept) {
		if (!cli_scratch("triage", scratch, sizeof(scratch)))
			return (CLI_USAGE);
		c->options.directory = scratch;
	}
	status = triage_run(&c->options, &l);
	/* What is known is told even if something could not be looked at. */
	if (status == 0 || l.n != 0) {
		if (c->form == FORM_JSON)
			print_json(&l, kept);
		else if (c->form == FORM_SARIF)
			print_sarif(&l, status);
		else
			print_table(&l);
	}
	if (status == 0)
		status = l.n != 0 ? CLI_FINDING : CLI_CLEAN;
	triage_list_fini(&l);
	if (!kept)
		cli_remove(scratch);
	return (status);
}

int
cli_triage(int argc, char **argv)
{
	struct triage_cli c = { .options = { .stop = &cli_stop } };
	int opt, end;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		end = parse_option(&c, opt);
		if (end >= 0)
			return (end);
	}
	end = parse_names(&c, argc, argv);
	if (end != 0)
		return (end);
	if (c.valgrind && cli_under_valgrind("triage", argc, argv, &end))
		return (end);
	c.options.log = c.valgrind ? cli_valgrind_log() : NULL;
	c.options.jobs = cli_jobs(c.options.jobs, TRIAGE_JOBS_MAX);
	c.options.bin = cli_targets(c.bin);
	campaign_verb = "triage";
	cli_catch_signals();
	return (triage(&c));
}
