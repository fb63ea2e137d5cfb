/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the importer. The input is what ftrace writes. An import fails
 * with an error that says what and where; or it gives a trace that is valid,
 * as long as its report says.
 */
#include "fuzz_target.h"
#include "import/import.h"

static void
broken(const char *what)
{
	fuzz_fail(what, "finding: an import is wrong: %s", what);
}

static void
bytes(const uint8_t *data, size_t size)
{
	struct trace_error e = { .file = "" };
	struct trace_op op;
	struct import *im;
	struct trace t;
	int got;

	if (import_open_mem(&im, "input", data, size, NULL, &e) != 0) {
		if (e.what[0] == '\0')
			broken("import/error");
		return;
	}
	trace_init(&t);
	while ((got = import_next(im, &op, &e)) > 0)
		if (trace_append(&t, &op) != 0)
			break;
	if (got < 0)
		broken("import/next");
	if (t.nops != import_report(im)->ops)
		broken("import/report");
	trace_header_fini(&t.header);
	if (trace_header_copy(&t.header, import_header(im)) != 0)
		trace_init(&t);
	else if (trace_canonicalize(&t) != 0)
		broken("import/canonical");
	trace_fini(&t);
	import_close(im);
}

const struct fuzz_target fuzz_target = { .name = "import", .bytes = bytes };
