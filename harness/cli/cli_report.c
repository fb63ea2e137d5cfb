/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Findings for other programs: SARIF 2.1.0 (OASIS, 2020) for what shows
 * findings beside source text, and JUnit's XML for what counts tests.
 *
 * Rules of SARIF are the clauses of the contract. What no clause names, an
 * invariant of an audit, say, becomes a rule when it is met first. The
 * signature is the fingerprint by which results of two runs are matched.
 */
#include "cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA                                                                 \
	"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/"          \
	"schemas/sarif-schema-2.1.0.json"

json_t *
cli_json_text(const char *text)
{
	char clean[CLI_COMMAND_MAX];
	json_t *j = json_string(text);
	size_t i;

	if (j != NULL)
		return (j);
	(void)snprintf(clean, sizeof(clean), "%s", text);
	for (i = 0; clean[i] != '\0'; i++)
		if ((unsigned char)clean[i] >= 0x80)
			clean[i] = '?';
	return (json_string(clean));
}

const char *
cli_clause_text(const char *id)
{
	const struct cli_clause *c;
	const struct model_clause *m;

	for (c = cli_clauses; c->id != NULL; c++)
		if (strcmp(c->id, id) == 0)
			return (c->text);
	for (m = model_clauses; m->id != NULL; m++)
		if (strcmp(m->id, id) == 0)
			return (m->check);
	return (NULL);
}

/* ---- SARIF --------------------------------------------------------------- */

static void
add_rule(struct cli_sarif *s, const char *id)
{
	const char *text = cli_clause_text(id);
	char help[640];

	if (text == NULL)
		text = "an invariant of the library, which its audit checks";
	(void)snprintf(help, sizeof(help),
	    "%s: %s. See docs/contract.md; \"kalab list clauses\" says how it "
	    "is checked.",
	    id, text);
	(void)json_array_append_new(s->rules,
	    json_pack("{s:s, s:{s:s}, s:{s:s}, s:{s:s}}", "id", id,
		"shortDescription", "text", text, "help", "text", help,
		"defaultConfiguration", "level", "error"));
}

void
cli_sarif_init(struct cli_sarif *s)
{
	const struct cli_clause *c;

	s->rules = json_array();
	s->results = json_array();
	s->notes = json_array();
	for (c = cli_clauses; c->id != NULL; c++)
		add_rule(s, c->id);
}

static size_t
rule_of(struct cli_sarif *s, const char *id)
{
	size_t i, n = json_array_size(s->rules);

	for (i = 0; i < n; i++)
		if (strcmp(json_string_value(json_object_get(
			       json_array_get(s->rules, i), "id")),
			id) == 0)
			return (i);
	add_rule(s, id);
	return (n);
}

/* A path as a relative reference: what a URI has not is escaped. */
static json_t *
uri(const char *path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~/";
	char text[4096];
	size_t n = 0;

	for (; *path != '\0' && n + 4 < sizeof(text); path++) {
		if (strchr(plain, *path) != NULL)
			text[n++] = *path;
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    "%%%02X", (unsigned char)*path);
	}
	text[n] = '\0';
	return (json_string(text));
}

static json_t *
place(const char *path, uint64_t line)
{
	json_t *p =
	    json_pack("{s:{s:o}}", "artifactLocation", "uri", uri(path));

	if (line != 0)
		(void)json_object_set_new(p, "region",
		    json_pack("{s:I}", "startLine", (json_int_t)line));
	return (json_pack("{s:o}", "physicalLocation", p));
}

/* "lib/kmalloc.c:120": where the thread was interrupted last. */
static void
add_source(json_t *result, const char *source)
{
	const char *colon = strrchr(source, ':');
	char file[256];
	json_t *p;

	if (colon == NULL)
		return;
	(void)snprintf(
	    file, sizeof(file), "%.*s", (int)(colon - source), source);
	p = place(file, strtoull(colon + 1, NULL, 10));
	(void)json_object_set_new(p, "message",
	    json_pack("{s:s}", "text", "where the thread stood last"));
	(void)json_object_set_new(
	    result, "relatedLocations", json_pack("[o]", p));
}

void
cli_sarif_add(struct cli_sarif *s, const struct cli_sarif_finding *f)
{
	const char *id = f->clause[0] != '\0' ? f->clause : "G-3";
	char text[1024];
	json_t *r;

	(void)snprintf(text, sizeof(text),
	    "%s: expected %s; found %s. Replay: kalab replay %.400s",
	    f->operation, f->expected, f->found, f->file);
	r = json_pack("{s:s, s:I, s:s, s:{s:o}, s:[o], s:{s:o}}", "ruleId", id,
	    "ruleIndex", (json_int_t)rule_of(s, id), "level", "error",
	    "message", "text", cli_json_text(text), "locations",
	    place(f->file, f->line), "partialFingerprints", "kalabSignature/v1",
	    cli_json_text(f->signature));
	if (f->source != NULL)
		add_source(r, f->source);
	(void)json_array_append_new(s->results, r);
}

void
cli_sarif_error(struct cli_sarif *s, const char *text)
{
	(void)json_array_append_new(s->notes,
	    json_pack("{s:s, s:{s:o}}", "level", "error", "message", "text",
		cli_json_text(text)));
}

void
cli_sarif_print(struct cli_sarif *s)
{
	const bool well = json_array_size(s->notes) == 0;
	json_t *log = json_pack("{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}},"
				" s:[{s:b, s:o}], s:o}]}",
	    "$schema", SCHEMA, "version", "2.1.0", "runs", "tool", "driver",
	    "name", "kalab", "version", KALLOC_VERSION, "rules", s->rules,
	    "invocations", "executionSuccessful", well,
	    "toolExecutionNotifications", s->notes, "results", s->results);

	(void)json_dumpf(log, stdout, JSON_INDENT(2));
	(void)printf("\n");
	json_decref(log);
}

/* ---- JUnit --------------------------------------------------------------- */

void
cli_junit_init(struct cli_junit *j)
{
	memset(j, 0, sizeof(*j));
	j->cases = open_memstream(&j->text, &j->size);
}

static void
put_xml(FILE *f, const char *text)
{
	for (; *text != '\0'; text++) {
		const unsigned char c = (unsigned char)*text;

		if (c == '<')
			(void)fputs("&lt;", f);
		else if (c == '>')
			(void)fputs("&gt;", f);
		else if (c == '&')
			(void)fputs("&amp;", f);
		else if (c == '"')
			(void)fputs("&quot;", f);
		else if (c == '\n')
			(void)fputs("&#10;", f);
		else
			(void)fputc(c < 0x20 || c >= 0x7f ? '?' : c, f);
	}
}

void
cli_junit_add(struct cli_junit *j, const char *file, double seconds,
    const char *kind, const char *type, const char *text)
{
	FILE *f = j->cases;

	if (f == NULL)
		return;
	j->tests++;
	j->seconds += seconds;
	(void)fprintf(f, "    <testcase classname=\"kalab.replay\" name=\"");
	put_xml(f, file);
	(void)fprintf(f, "\" time=\"%.3f\"", seconds);
	if (kind == NULL) {
		(void)fprintf(f, "/>\n");
		return;
	}
	if (strcmp(kind, "failure") == 0)
		j->failures++;
	else
		j->errors++;
	(void)fprintf(f, ">\n      <%s type=\"", kind);
	put_xml(f, type);
	(void)fprintf(f, "\" message=\"");
	put_xml(f, text);
	(void)fprintf(f, "\"/>\n    </testcase>\n");
}

bool
cli_junit_print(struct cli_junit *j)
{
	if (j->cases == NULL || fclose(j->cases) != 0) {
		free(j->text);
		return (false);
	}
	(void)printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		     "<testsuites>\n"
		     "  <testsuite name=\"kalab replay\" tests=\"%llu\" "
		     "failures=\"%llu\" errors=\"%llu\" time=\"%.3f\">\n"
		     "%s  </testsuite>\n</testsuites>\n",
	    (unsigned long long)j->tests, (unsigned long long)j->failures,
	    (unsigned long long)j->errors, j->seconds, j->text);
	free(j->text);
	return (true);
}
