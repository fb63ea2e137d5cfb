/* SPDX-License-Identifier: BSD-2-Clause */
/* The table that ci/mutate-build writes, and the traces of the trials. */
#include "mutate/mutate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS	 8
#define OPS_LONG 600u /* longer traces cost more than they see */

static int
read_all(const char *path, char **ret_text)
{
	FILE *f = fopen(path, "r");
	size_t size = 0, cap = 1 << 16;
	char *text = NULL;

	if (f == NULL)
		return (errno);
	for (;;) {
		char *more = realloc(text, cap + 1);
		size_t got;

		if (more == NULL) {
			free(text);
			(void)fclose(f);
			return (ENOMEM);
		}
		text = more;
		got = fread(text + size, 1, cap - size, f);
		size += got;
		if (got == 0)
			break;
		if (size == cap)
			cap *= 2;
	}
	(void)fclose(f);
	text[size] = '\0';
	*ret_text = text;
	return (0);
}

/* Cuts a line into its columns; false: it has not as many. */
static bool
cut(char *line, char *column[COLUMNS])
{
	int i;

	for (i = 0; i < COLUMNS; i++) {
		column[i] = line;
		line = strchr(line, '\t');
		if (line == NULL)
			return (i == COLUMNS - 1);
		*line++ = '\0';
	}
	return (false);
}

static int
add_line(struct mutate_table *t, char *line)
{
	char *column[COLUMNS];
	struct mutate_mutant *m;

	if (!cut(line, column))
		return (EINVAL);
	m = realloc(t->mutant, (t->n + 1) * sizeof(*m));
	if (m == NULL)
		return (ENOMEM);
	t->mutant = m;
	t->mutant[t->n++] =
	    (struct mutate_mutant) { .number =
					 (uint32_t)strtoul(column[0], NULL, 10),
		    .file = column[1],
		    .line = (uint32_t)strtoul(column[2], NULL, 10),
		    .function = column[3],
		    .operator= column[4],
		    .key = column[5],
		    .was = column[6],
		    .becomes = column[7] };
	return (0);
}

int
mutate_table_read(struct mutate_table *ret_t, const char *path)
{
	char *line, *next;
	int error;

	memset(ret_t, 0, sizeof(*ret_t));
	error = read_all(path, &ret_t->text);
	for (line = ret_t->text; error == 0 && *line != '\0'; line = next) {
		next = line + strcspn(line, "\n");
		if (*next == '\n')
			*next++ = '\0';
		error = add_line(ret_t, line);
	}
	if (error == 0 && ret_t->n == 0)
		error = EINVAL;
	if (error != 0)
		mutate_table_fini(ret_t);
	return (error);
}

void
mutate_table_fini(struct mutate_table *t)
{
	free(t->text);
	free(t->mutant);
	memset(t, 0, sizeof(*t));
}

int
mutate_corpus_add(struct mutate_corpus *c, const char *path, bool scenario,
    struct trace_error *ret_err)
{
	struct trace_reader *r;
	struct trace *t;

	if (c->n == c->cap) {
		size_t cap = c->cap == 0 ? 64 : 2 * c->cap;

		t = realloc(c->trace, cap * sizeof(*t));
		if (t == NULL) {
			trace_error_set(ret_err, path, 0, 0, "out of memory");
			return (-1);
		}
		c->trace = t;
		c->cap = cap;
	}
	t = &c->trace[c->n];
	if (trace_reader_open(&r, path, ret_err) != 0)
		return (-1);
	if (trace_load(t, r, ret_err) != 0) {
		trace_reader_close(r);
		return (-1);
	}
	trace_reader_close(r);
	if (t->nops > OPS_LONG) {
		trace_fini(t);
		return (0);
	}
	c->n++;
	c->scenarios += scenario;
	return (0);
}

void
mutate_corpus_fini(struct mutate_corpus *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		trace_fini(&c->trace[i]);
	free(c->trace);
	memset(c, 0, sizeof(*c));
}
