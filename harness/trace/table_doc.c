/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The OPERATIONS section of kalab-trace(5) from the table of operations.
 *
 *	table_doc               prints the section
 *	table_doc --check PAGE  compares it with the page's: exit status 1 and
 *	                        the first line that differs if they do
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace_int.h"

#define SECTION	   ".Sh OPERATIONS\n"
#define NEXT	   ".Sh "
#define LINE_WIDTH 72

/* Words of a sentence in lines, from capital letter to full stop. */
static void
print_sentence(FILE *fp, const char *s)
{
	const size_t length = strlen(s);
	int column = 0;

	for (size_t i = 0; i < length; i++) {
		const char c =
		    i == 0 ? (char)toupper((unsigned char)s[i]) : s[i];
		const char *space = strchr(s + i + 1, ' ');
		const size_t word =
		    space != NULL ? (size_t)(space - s) - i : length - i;

		if (c == ' ' && (size_t)column + word > LINE_WIDTH) {
			fputc('\n', fp);
			column = 0;
			continue;
		}
		fputc(c, fp);
		column++;
	}
	fputs(".\n", fp);
}

static void
print_access(FILE *fp, const struct trace_opdef *def)
{
	for (unsigned i = 0; i < def->nargs; i++) {
		const enum trace_kind kind = def->arg[i];

		if (trace_kind_class(kind) < 0 || !trace_kind_writes(kind))
			continue;
		fprintf(fp, "The %s is %s.\n", trace_kind_name(kind),
		    trace_kind_ends(kind) ? "ended" : "changed");
	}
}

static void
print_op(FILE *fp, unsigned code)
{
	const struct trace_opdef *const def = &trace_ops[code];

	fputs(".It ", fp);
	if (def->out >= 0)
		fprintf(fp, "Ar %c No = ", trace_class_letter(def->out));
	fprintf(fp, "Ic %s", def->name);
	for (unsigned i = 0; i < def->nargs; i++)
		fprintf(fp, "%s %s", i == 0 ? " Ar" : "",
		    trace_kind_name(def->arg[i]));
	fprintf(fp, " No (%u)\n", code);
	print_sentence(fp, def->help);
	print_access(fp, def);
}

static void
print_section(FILE *fp)
{
	fputs(SECTION, fp);
	fputs(".\\\" Printed by table_doc; the table is ops.def.\n", fp);
	fputs("The number in parentheses is the opcode of the binary form.\n",
	    fp);
	for (unsigned group = 0; group < TRACE_GROUP_COUNT; group++) {
		fprintf(fp, ".Ss Group %s\n",
		    trace_group_name((enum trace_group)group));
		fputs(".Bl -tag -width Ds\n", fp);
		for (unsigned i = 0; i < TRACE_OP_COUNT; i++) {
			if (trace_ops[i].group != group)
				continue;
			print_op(fp, i);
		}
		fputs(".El\n", fp);
	}
}

/* 0 if the lines of the page from SECTION to the next are those expected. */
static int
check(FILE *page, FILE *expected)
{
	char want[1024], have[1024];
	bool found = false;

	while (fgets(have, sizeof(have), page) != NULL) {
		if (strcmp(have, SECTION) == 0) {
			found = true;
			break;
		}
	}
	if (!found) {
		fputs("table_doc: the page has no OPERATIONS\n", stderr);
		return (1);
	}
	(void)fgets(want, sizeof(want), expected);
	for (;;) {
		const char *w = fgets(want, sizeof(want), expected);
		const char *h = fgets(have, sizeof(have), page);

		if (h != NULL && strncmp(h, NEXT, strlen(NEXT)) == 0)
			h = NULL;
		if (w == NULL && h == NULL)
			return (0);
		if (w == NULL || h == NULL || strcmp(w, h) != 0) {
			fprintf(stderr,
			    "table_doc: the page is not up to date\n"
			    "page:  %stable: %s",
			    h != NULL ? h : "(end)\n",
			    w != NULL ? w : "(end)\n");
			return (1);
		}
	}
}

int
main(int argc, char **argv)
{
	int status = 2;

	if (argc == 1) {
		print_section(stdout);
		return (fflush(stdout) == 0 ? 0 : 2);
	}
	if (argc != 3 || strcmp(argv[1], "--check") != 0) {
		fputs("usage: table_doc [--check page]\n", stderr);
		return (2);
	}
	FILE *const page = fopen(argv[2], "r");
	FILE *const expected = tmpfile();
	if (page == NULL || expected == NULL) {
		perror(page == NULL ? argv[2] : "table_doc");
	} else {
		print_section(expected);
		rewind(expected);
		status = check(page, expected);
	}
	if (page != NULL)
		(void)fclose(page);
	if (expected != NULL)
		(void)fclose(expected);
	return (status);
}
