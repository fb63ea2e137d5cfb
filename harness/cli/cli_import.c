/* SPDX-License-Identifier: BSD-2-Clause */
/* kalab import: a kernel's trace becomes one of ours. */
#include "cli.h"

#include <string.h>

#include "import/import.h"

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab import --from ftrace [OPTION...] FILE\n"
	    "  FILE              ftrace or trace-cmd text, plain or .xz; - for "
	    "standard input\n"
	    "  --cpus N          virtual CPUs; default: as many as were seen\n"
	    "  --from FORMAT     ftrace\n"
	    "  --map PATTERN=KIND  what caches of such names become: uma "
	    "(default),\n"
	    "                    objcache, mpipe, zinit or kmalloc; may be "
	    "repeated\n"
	    "  -o, --output FILE where the trace goes; default: standard "
	    "output, as text\n"
	    "  --pages N         page budget; default: enough\n"
	    "  --text            text, not the binary form\n"
	    "  --threads N       threads for tasks, 1..%u; default %u\n",
	    TRACE_THREADS_MAX, IMPORT_THREADS_DEFAULT);
}

static void
on_progress(void *cookie, uint64_t done, uint64_t total)
{
	(void)cookie;
	if (total != 0)
		cli_progress("%.0f%%", 100.0 * (double)done / (double)total);
	else
		cli_progress("%.1f MB", (double)done / 1e6);
}

static const struct option options[] = {
	{ "cpus", required_argument, NULL, 'c' },
	{ "from", required_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "map", required_argument, NULL, 'm' },
	{ "output", required_argument, NULL, 'o' },
	{ "pages", required_argument, NULL, 'p' },
	{ "text", no_argument, NULL, 't' },
	{ "threads", required_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 },
};

struct import_cli {
	struct import_options options;
	struct import_map map[IMPORT_MAPS_MAX];
	const char *output;
	enum trace_form form;
};

static bool
add_map(struct import_cli *cli, const char *text)
{
	const uint32_t n = cli->options.nmaps;
	const char *why;

	if (n == IMPORT_MAPS_MAX)
		why = "too many maps, expected at most 64";
	else
		why = import_map_parse(text, &cli->map[n]);
	if (why != NULL) {
		(void)cli_usage("import", "--map: \"%s\": %s", text, why);
		return (false);
	}
	cli->options.map = cli->map;
	cli->options.nmaps = n + 1;
	return (true);
}

/* 0, or the status to exit with plus one. */
static int
parse(struct import_cli *cli, int argc, char **argv)
{
	uint64_t n = 0;
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "o:", options, NULL)) != -1)
		switch (c) {
		case 'c':
			ok = cli_number(
			    "import", "--cpus", optarg, 1, TRACE_CPUS_MAX, &n);
			cli->options.cpus = (uint32_t)n;
			break;
		case 'f':
			cli->options.from = optarg;
			break;
		case 'h':
			usage(stdout);
			return (CLI_CLEAN + 1);
		case 'm':
			ok = add_map(cli, optarg);
			break;
		case 'n':
			ok = cli_number("import", "--threads", optarg, 1,
			    TRACE_THREADS_MAX, &n);
			cli->options.threads_max = (uint32_t)n;
			break;
		case 'o':
			cli->output = optarg;
			break;
		case 'p':
			ok = cli_number("import", "--pages", optarg,
			    TRACE_PAGES_MIN, TRACE_PAGES_MAX, &n);
			cli->options.pages = (uint32_t)n;
			break;
		case 't':
			cli->form = TRACE_TEXT;
			break;
		default:
			ok = false;
		}
	if (!ok)
		return (CLI_USAGE + 1);
	if (cli->options.from == NULL ||
	    strcmp(cli->options.from, "ftrace") != 0)
		return (cli_usage("import", "--from: expected ftrace") + 1);
	if (optind + 1 != argc)
		return (cli_usage("import", "expected one file") + 1);
	return (0);
}

/* To standard output: text. */
static int
import_stdout(const char *name, const struct import_options *o,
    struct import_report *ret_report, struct trace_error *e)
{
	struct trace_writer *w;
	struct import *im;
	struct trace_op op;
	int got;

	if (import_open(&im, name, o, e) != 0)
		return (-1);
	if (trace_writer_open_stream(
		&w, stdout, TRACE_TEXT, import_header(im), e) != 0) {
		import_close(im);
		return (-1);
	}
	while ((got = import_next(im, &op, e)) > 0)
		if (trace_writer_op(w, &op) != 0)
			break;
	*ret_report = *import_report(im);
	if (got < 0) {
		struct trace_error ignored;

		(void)trace_writer_close(w, &ignored);
	} else {
		got = trace_writer_close(w, e);
	}
	import_close(im);
	return (got);
}

int
cli_import(int argc, char **argv)
{
	struct import_cli cli = { .form = TRACE_BINARY };
	struct import_report report;
	struct trace_error e;
	int end = parse(&cli, argc, argv), error;

	if (end != 0)
		return (end - 1);
	cli.options.progress = on_progress;
	cli.options.stop = &cli_stop;
	cli_catch_signals();
	if (cli.output == NULL)
		error = import_stdout(argv[optind], &cli.options, &report, &e);
	else
		error = import_run(argv[optind], &cli.options, cli.output,
		    cli.form, &report, &e);
	cli_progress_end();
	if (error != 0)
		return (cli_input_error(&e));
	import_report_print(&report, stderr);
	return (CLI_CLEAN);
}
