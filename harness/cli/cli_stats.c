/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab stats: a trace is replayed, and where it ends, with all that it left
 * in use, the allocators' own tables are printed as the kernel's tools print
 * them: malloc types as vmstat -m, zones as vmstat -z, objcaches, mpipes.
 *
 * A table is only worth reading if the run was clean: until that is known the
 * lines are kept. A finding is told as kalab replay tells it.
 */
#include "cli.h"

#include <stdlib.h>

struct stats {
	struct run_options run;
	char *text; /* the tables */
	size_t size;
	FILE *fp; /* that collects them, or NULL: no memory */
	const char *file;
	double began;
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab stats [OPTION...] FILE\n"
	    "  --ops N           only the first N operations\n"
	    "  --perturb SEED    another schedule than the trace's\n");
}

static void
put_line(void *arg, const char *line)
{
	const struct stats *s = arg;

	(void)fprintf(s->fp, "%s\n", line);
}

static void
on_end(void *arg, const struct subject *subject)
{
	subject->tables(put_line, arg);
}

static void
on_progress(void *arg, uint64_t ops)
{
	const struct stats *s = arg;

	cli_progress("%s: %llu operations, %.0f s", s->file,
	    (unsigned long long)ops, cli_now() - s->began);
}

static int
verdict(struct stats *s, const struct run_result *r)
{
	struct cli_command command = { .n = 0 };

	switch (r->status) {
	case RUN_CLEAN:
		if (s->text == NULL)
			return (cli_usage("stats", "out of memory"));
		(void)fwrite(s->text, 1, s->size, stdout);
		cli_print_waits(stdout, r, "# ");
		return (CLI_CLEAN);
	case RUN_FINDING:
		cli_command_add(&command, "kalab replay");
		cli_command_options(&command, &s->run);
		cli_command_file(&command, s->file);
		cli_print_finding(stdout, r, s->file, command.s);
		return (CLI_FINDING);
	case RUN_INTERRUPTED:
		return (cli_usage("stats", "interrupted"));
	case RUN_BAD_INPUT: /* as far as it goes; stats() tells the error */
		if (s->text != NULL && r->ops != 0)
			(void)fwrite(s->text, 1, s->size, stdout);
		return (CLI_USAGE);
	default:
		return (cli_input_error(&r->error));
	}
}

static int
stats(struct stats *s)
{
	struct run_result result = { 0 };
	struct trace_reader *r;
	struct run_source source;
	struct trace_error e;
	int status;

	if (trace_reader_open(&r, s->file, &e) != 0)
		return (cli_input_error(&e));
	s->fp = open_memstream(&s->text, &s->size);
	if (s->fp == NULL) {
		trace_reader_close(r);
		return (cli_usage("stats", "out of memory"));
	}
	source = run_source_reader(r);
	run(&source, &s->run, &result);
	cli_progress_end();
	if (fclose(s->fp) != 0) {
		free(s->text);
		s->text = NULL;
	}
	status = verdict(s, &result);
	if (result.cut) {
		(void)fflush(stdout);
		status = cli_input_error(&result.error);
	}
	free(s->text);
	trace_reader_close(r);
	return (status);
}

int
cli_stats(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "ops", required_argument, NULL, 'o' },
		{ "perturb", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	struct stats s = { .run = { .subject = subjects[0],
			       .progress = on_progress,
			       .at_end = on_end,
			       .stop = &cli_stop } };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'h':
			usage(stdout);
			return (CLI_CLEAN);
		case 'o':
			if (!cli_number("stats", "--ops", optarg, 1, UINT64_MAX,
				&s.run.ops_max))
				return (CLI_USAGE);
			break;
		case 'p':
			s.run.perturb = true;
			if (!cli_number("stats", "--perturb", optarg, 0,
				UINT64_MAX, &s.run.perturb_seed))
				return (CLI_USAGE);
			break;
		default:
			return (CLI_USAGE);
		}
	if (optind + 1 != argc)
		return (cli_usage("stats", "expected one file"));
	s.file = argv[optind];
	s.began = cli_now();
	s.run.arg = &s;
	cli_catch_signals();
	return (stats(&s));
}
