/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kalab show: a trace as text, each operation with its result, and a map of
 * the memory after operation N. Addresses are relative to the arena, so that
 * two runs print the same.
 */
#include "cli.h"

#include <kalloc/kalloc.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW_SECONDS 20 /* of one that may hang */

struct show {
	struct run_options run;
	const struct trace_header *header;
	bool map, bare;
};

static void
usage(FILE *f)
{
	(void)fprintf(f,
	    "usage: kalab show [OPTION...] FILE\n"
	    "  --bare            the trace alone, in canonical form\n"
	    "  --map             a map of the memory at the end\n"
	    "  --ops N           only the first N operations\n"
	    "  --perturb SEED    another schedule than the trace's\n");
}

static void
show_result(const struct show *s, const struct trace_op *op,
    const struct call *c, char *buf, size_t size)
{
	uint64_t arena = s->run.subject->arena();

	if (c->why != 0)
		(void)snprintf(
		    buf, size, "panic %s", ka_why_name((enum ka_why)c->why));
	else if (op->code == TRACE_OP_KMALLOC_USABLE_SIZE ||
	    op->code == TRACE_OP_KMALLOC_LIMIT ||
	    op->code == TRACE_OP_KMALLOC_TRIM ||
	    op->code == TRACE_OP_UMA_ZONE_GET_MAX ||
	    op->code == TRACE_OP_UMA_ZONE_GET_CUR ||
	    op->code == TRACE_OP_OBJCACHE_RECLAIMLIST)
		(void)snprintf(buf, size, "%llu", (unsigned long long)c->ret);
	else if (trace_ops[op->code].out == TRACE_TYPE)
		(void)snprintf(buf, size, "declared");
	else if (trace_ops[op->code].out > TRACE_RUN)
		(void)snprintf(buf, size, c->ret != 0 ? "made" : "NULL");
	else if (trace_ops[op->code].out < 0 && op->code != TRACE_OP_KREALLOC)
		(void)snprintf(buf, size, "done");
	else if (c->ret == 0)
		(void)snprintf(buf, size, "NULL");
	else if (c->ret == (uint64_t)(uintptr_t)ZERO_LENGTH_PTR)
		(void)snprintf(buf, size, "ZERO_LENGTH_PTR");
	else if (c->ret - arena < (uint64_t)TRACE_PAGES_MAX * KA_PAGE_SIZE)
		(void)snprintf(buf, size, "arena+0x%llx",
		    (unsigned long long)(c->ret - arena));
	else
		(void)snprintf(buf, size, "an address outside of the budget");
}

static void
on_result(void *arg, const struct trace_op *op, const struct call *c)
{
	const struct show *s = arg;
	char line[256], result[64];

	trace_op_format(s->header, op, line, sizeof(line));
	show_result(s, op, c, result, sizeof(result));
	(void)printf("%-60s # cpu %u: %s\n", line, c->cpu, result);
}

static void
put_line(void *arg, const char *line)
{
	(void)arg;
	(void)printf("# %s\n", line);
}

static void
on_end(void *arg, const struct subject *subject)
{
	struct show *s = arg;

	if (!s->map || subject->map == NULL)
		return;
	(void)printf("# memory: . free, # in use, + both; pages free: %llu\n",
	    (unsigned long long)subject->free_pages());
	subject->map(put_line, NULL);
}

/* The canonical text, without running it. */
static int
show_bare(struct trace_reader *r, uint64_t ops_max)
{
	struct trace_writer *w;
	struct trace_error e;
	struct trace_op op;
	uint64_t n = 0;
	int got = 0;

	if (trace_writer_open_stream(
		&w, stdout, TRACE_TEXT, trace_reader_header(r), &e) != 0)
		return (cli_input_error(&e));
	while ((ops_max == 0 || n++ < ops_max) &&
	    (got = trace_reader_next(r, &op, &e)) > 0)
		(void)trace_writer_op(w, &op);
	if (got < 0) {
		struct trace_error ignored;

		(void)trace_writer_close(w, &ignored);
		return (cli_input_error(&e));
	}
	if (trace_writer_close(w, &e) != 0)
		return (cli_input_error(&e));
	return (CLI_CLEAN);
}

static int
show(struct show *s, const char *name)
{
	struct trace_reader *r;
	struct run_source source;
	struct run_result result;
	struct trace_error e;
	struct cli_command command = { .n = 0 };
	int status = CLI_CLEAN;

	if (trace_reader_open(&r, name, &e) != 0)
		return (cli_input_error(&e));
	if (s->bare) {
		status = show_bare(r, s->run.ops_max);
		trace_reader_close(r);
		return (status);
	}
	s->header = trace_reader_header(r);
	source = run_source_reader(r);
	run(&source, &s->run, &result);
	if (result.status == RUN_FINDING) {
		cli_command_add(&command, "kalab replay");
		cli_command_options(&command, &s->run);
		cli_command_file(&command, name);
		cli_print_finding(stdout, &result, name, command.s);
		status = CLI_FINDING;
	} else if (result.status == RUN_CLEAN || result.cut) {
		cli_print_waits(stdout, &result, "# ");
	} else {
		status = cli_input_error(&result.error);
	}
	if (result.cut) { /* what was shown comes first */
		(void)fflush(stdout);
		status = cli_input_error(&result.error);
	}
	trace_reader_close(r);
	return (status);
}

bool
cli_show_apart(const struct trace *t)
{
	struct show s = { .run = { .subject = subjects[0],
			      .result = on_result,
			      .at_end = on_end,
			      .no_drain = true },
		.header = &t->header,
		.map = true };
	static struct run_result result;
	struct run_source source;
	struct run_mem mem;
	int status = -1;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		s.run.arg = &s;
		(void)alarm(SHOW_SECONDS);
		(void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
		source = run_source_mem(&mem, t);
		run(&source, &s.run, &result);
		(void)fflush(stdout);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return (pid > 0 && status == 0);
}

int
cli_show(int argc, char **argv)
{
	static const struct option options[] = {
		{ "bare", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ "map", no_argument, NULL, 'm' },
		{ "ops", required_argument, NULL, 'o' },
		{ "perturb", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	struct show s = { .run = { .subject = subjects[0],
			      .result = on_result,
			      .at_end = on_end,
			      .no_drain = true } };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'b':
			s.bare = true;
			break;
		case 'h':
			usage(stdout);
			return (CLI_CLEAN);
		case 'm':
			s.map = true;
			break;
		case 'o':
			if (!cli_number("show", "--ops", optarg, 1, UINT64_MAX,
				&s.run.ops_max))
				return (CLI_USAGE);
			break;
		case 'p':
			s.run.perturb = true;
			if (!cli_number("show", "--perturb", optarg, 0,
				UINT64_MAX, &s.run.perturb_seed))
				return (CLI_USAGE);
			break;
		default:
			return (CLI_USAGE);
		}
	if (optind + 1 != argc)
		return (cli_usage("show", "expected one file"));
	if (s.bare && (s.map || s.run.perturb))
		return (cli_usage("show",
		    "--bare runs nothing: expected no --map and no "
		    "--perturb with it"));
	s.run.arg = &s;
	return (show(&s, argv[optind]));
}
