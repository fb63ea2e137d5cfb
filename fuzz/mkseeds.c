/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Binary seeds out of text traces: mkseeds KIND DIRECTORY FILE...
 *
 *   trace   a file DIRECTORY/NAME for each trace NAME.trace: its payload
 *   parser  two files each, text and payload, as fuzz_parser.c reads them
 *   copy    the file as it is, what is packed unpacked
 *   random  payloads of generated traces of so many operations as FILE says
 *
 * and mkseeds dict FILE: the words of the text form, as a dictionary of
 * libFuzzer and AFL++.
 *
 * Names in the directory that are of no FILE are removed: the seeds are what
 * the sources say.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gen/gen.h"
#include "trace/trace_int.h"

#define COPY_MAX 16384u /* of a file that is copied: its beginning */
#define RANDOM	 64u	/* generated traces */

static const char *directory;

static int
fail(const char *name, const char *what)
{
	(void)fprintf(stderr, "mkseeds: %s: %s\n", name, what);
	return (2);
}

/* DIRECTORY/STEM.SUFFIX, of a prefix byte (or -1) and bytes. */
static int
put(const char *source, const char *suffix, int prefix, const void *bytes,
    size_t size)
{
	const char *base = strrchr(source, '/');
	char name[4096];
	FILE *f;
	int failed;

	base = base == NULL ? source : base + 1;
	(void)snprintf(name, sizeof(name), "%s/%.*s%s", directory,
	    (int)strcspn(base, "."), base, suffix);
	f = fopen(name, "wb");
	if (f == NULL)
		return (fail(name, strerror(errno)));
	if (prefix >= 0)
		(void)putc(prefix, f);
	(void)fwrite(bytes, 1, size, f);
	failed = ferror(f);
	failed |= fclose(f);
	return (failed ? fail(name, "cannot be written") : 0);
}

/* Unpacked, as the readers do; whole lines. */
static int
copy(const char *source, const char *suffix, int prefix, size_t max)
{
	struct trace__input in;
	struct trace_error e;
	size_t size;
	int status;

	if (trace__input_open(&in, source, &e) != 0 ||
	    trace__input_need(&in, max, &e) < 0)
		return (fail(source, e.what));
	size = (size_t)(in.end - in.p);
	if (size > max)
		size = max;
	status = put(source, suffix, prefix, in.p, size);
	trace__input_fini(&in);
	return (status);
}

/* The trace's payload goes to DIRECTORY; ends the trace. */
static int
put_payload(struct trace *t, const char *source, const char *suffix, int prefix)
{
	uint8_t *bytes;
	size_t size;
	int status;

	if (trace_encode(t, &bytes, &size) != 0)
		return (fail(source, "cannot be encoded"));
	status = put(source, suffix, prefix, bytes, size);
	free(bytes);
	trace_fini(t);
	return (status);
}

static int
payload(const char *source, const char *suffix, int prefix)
{
	struct trace_reader *r;
	struct trace_error e;
	struct trace t;

	if (trace_reader_open(&r, source, &e) != 0)
		return (fail(source, e.what));
	if (trace_load(&t, r, &e) != 0)
		return (fail(source, e.what));
	trace_reader_close(r);
	return (put_payload(&t, source, suffix, prefix));
}

static int
generate(const char *ops)
{
	int status = 0;

	for (unsigned i = 0; i < RANDOM && status == 0; i++) {
		const struct gen_options g = { .seed = i + 1,
			.ops = (uint32_t)strtoul(ops, NULL, 10) };
		struct trace t;
		char name[32];

		(void)snprintf(name, sizeof(name), "random-%u", i);
		if (gen_trace(&g, &t) != 0)
			return (fail(name, "out of memory"));
		status = put_payload(&t, name, "", -1);
	}
	return (status);
}

static int
empty_directory(void)
{
	DIR *d;
	struct dirent *e;
	char name[4096];

	if (mkdir(directory, 0777) != 0 && errno != EEXIST)
		return (fail(directory, strerror(errno)));
	d = opendir(directory);
	if (d == NULL)
		return (fail(directory, strerror(errno)));
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(
		    name, sizeof(name), "%s/%s", directory, e->d_name);
		(void)unlink(name);
	}
	(void)closedir(d);
	return (0);
}

static void
word(FILE *f, const char *name, const char *behind)
{
	(void)fprintf(f, "\"%s%s\"\n", name, behind);
}

/* What the table and the header know. */
static int
dictionary(const char *name)
{
	static const char *const header[] = { "kalab-trace 1\\x0a", "cpus ",
		"threads ", "pages ", "reserve ", "keep ", "debug ",
		"schedule ", "memory ", "may ", "thread ", "fault page ",
		"deviate " };
	FILE *f = fopen(name, "w");
	int failed;

	if (f == NULL)
		return (fail(name, strerror(errno)));
	for (size_t i = 0; i < sizeof(header) / sizeof(*header); i++)
		word(f, header[i], "");
	for (int i = 0; i < TRACE_OP_COUNT; i++)
		word(f, trace_ops[i].name, " ");
	for (int i = 0; i <= TRACE__HOOKS; i++) {
		size_t n;
		const struct trace__name *flag =
		    trace__flag_names((enum trace__names)i, &n);

		while (n-- > 0)
			word(f, flag[n].name, "");
	}
	for (int i = 0; i < TRACE_SCHED_MODE_COUNT; i++)
		word(f, trace_sched_name((enum trace_sched_mode)i), " ");
	failed = ferror(f);
	failed |= fclose(f);
	return (failed ? fail(name, "cannot be written") : 0);
}

int
main(int argc, char **argv)
{
	int status = 0;

	if (argc == 3 && strcmp(argv[1], "dict") == 0)
		return (dictionary(argv[2]));
	if (argc < 4)
		return (fail("usage",
		    "mkseeds KIND DIRECTORY FILE... | mkseeds dict FILE"));
	directory = argv[2];
	status = empty_directory();
	for (int i = 3; i < argc && status == 0; i++) {
		if (strcmp(argv[1], "trace") == 0) {
			status = payload(argv[i], "", -1);
		} else if (strcmp(argv[1], "copy") == 0) {
			status = copy(argv[i], "", -1, COPY_MAX);
		} else if (strcmp(argv[1], "random") == 0) {
			status = generate(argv[i]);
		} else {
			status = copy(argv[i], "-text", 0, COPY_MAX);
			if (status == 0)
				status = payload(argv[i], "-payload", 1);
		}
	}
	return (status);
}
