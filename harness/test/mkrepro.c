/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the reproducer of any trace, also of one that shows nothing, to
 * standard output: for tests of what such programs do on a sound library.
 *
 * usage: mkrepro FILE
 */
#include <stdio.h>

#include "repro/repro.h"

int
main(int argc, char **argv)
{
	struct repro_record r;
	struct trace_reader *reader;
	struct trace_error e;
	struct trace t;
	char line[768];
	int error = -1;

	if (argc != 2)
		return (2);
	if (trace_reader_open(&reader, argv[1], &e) == 0) {
		error = trace_load(&t, reader, &e);
		trace_reader_close(reader);
	}
	if (error != 0) {
		trace_error_format(&e, line, sizeof(line));
		(void)fprintf(stderr, "%s\n", line);
		return (2);
	}
	if (!repro_record(&t, subjects[0], &r)) {
		perror("mkrepro");
		return (2);
	}
	error = repro_write(stdout, &t, &r,
	    &(struct repro_about) { .trace = argv[1], .finding = &r.finding });
	repro_record_fini(&r);
	trace_fini(&t);
	return (error != 0 ? 2 : 0);
}
