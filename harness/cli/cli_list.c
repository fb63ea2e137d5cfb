/* SPDX-License-Identifier: BSD-2-Clause */
/* kalab list: operations, clauses with who checks them, subjects, protocols. */
#include "cli.h"
#include "protocol/protocol.h"

#include <string.h>

static void
list_operations(void)
{
	unsigned i, j;

	for (i = 0; i < TRACE_OP_COUNT; i++) {
		const struct trace_opdef *def = &trace_ops[i];

		(void)printf(
		    "%s\t%s\t", def->name, trace_group_name(def->group));
		if (def->out >= 0)
			(void)printf("%c = ", trace_class_letter(def->out));
		(void)printf("%s", def->name);
		for (j = 0; j < def->nargs; j++)
			(void)printf(" %s", trace_kind_name(def->arg[j]));
		(void)printf("\t%s\n", def->help);
	}
}

static void
list_clauses(void)
{
	const struct model_clause *c;

	for (c = model_clauses; c->id != NULL; c++)
		(void)printf("%s\t%c\t%s\n", c->id, c->how, c->check);
}

static void
list_subjects(void)
{
	const struct subject *const *s;

	for (s = subjects; *s != NULL; s++)
		(void)printf("%s\t%s%s%s%s\t%s\n", (*s)->name,
		    ((*s)->caps & SUBJECT_SIM) != 0 ? "simulated " : "",
		    ((*s)->caps & SUBJECT_PAGES) != 0 ? "pages " : "",
		    ((*s)->caps & SUBJECT_STATS) != 0 ? "statistics " : "",
		    ((*s)->caps & SUBJECT_MISUSE) != 0 ? "misuse" : "",
		    (*s)->about);
}

static void
list_protocols(void)
{
	uint32_t i;

	for (i = 0; i < protocols_count; i++)
		(void)printf("protocol:%s\t%s\t%s\t%s\n", protocols[i].name,
		    protocols[i].clause,
		    protocols[i].holds ? "holds" : "broken",
		    protocols[i].source);
}

int
cli_list(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} what[] = { { "operations", list_operations },
		{ "clauses", list_clauses }, { "subjects", list_subjects },
		{ "protocols", list_protocols } };
	size_t i;
	bool done = false;

	if (argc > 2)
		return (
		    cli_usage("list", "\"%s\" is one word too many", argv[2]));
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		(void)printf("usage: kalab list "
			     "[operations|clauses|subjects|protocols]\n");
		return (CLI_CLEAN);
	}
	for (i = 0; i < sizeof(what) / sizeof(*what); i++)
		if (argc < 2 || strcmp(argv[1], what[i].name) == 0) {
			if (argc < 2)
				(void)printf("%s# %s\n", i > 0 ? "\n" : "",
				    what[i].name);
			what[i].fn();
			done = true;
		}
	if (!done)
		return (cli_usage("list",
		    "\"%s\" is unknown, expected "
		    "operations, clauses, subjects or protocols",
		    argv[1]));
	return (CLI_CLEAN);
}
