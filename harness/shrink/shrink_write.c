/* SPDX-License-Identifier: BSD-2-Clause */
/* The shrunk trace as text, with what it shows before its operations. */
#include <stdio.h>

#include "shrink/shrink.h"

int
shrink_write(const struct trace *t, const struct shrink_result *r,
    const char *name, const char *replay, struct trace_error *ret_err)
{
	const struct finding *f = &r->verdict.finding;
	struct trace_writer *w;
	char text[640];
	size_t i;

	if (trace_writer_open(&w, name, TRACE_TEXT, &t->header, ret_err) != 0)
		return (-1);
	(void)snprintf(text, sizeof(text),
	    "Clause %s is broken in %s.\nexpected: %s\nfound: %s\n"
	    "signature: %s\nreplay: %s",
	    f->clause, f->operation, f->expected, f->found, f->signature,
	    replay);
	if (trace_writer_comment(w, text) == 0)
		for (i = 0; i < t->nops; i++)
			if (trace_writer_op(w, &t->op[i]) != 0)
				break;
	return (trace_writer_close(w, ret_err));
}
