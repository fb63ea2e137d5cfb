/* SPDX-License-Identifier: BSD-2-Clause */
/* The program: its head, its steps, and what is expected of each. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <kalloc/flags.h>

#include "repro_int.h"

#define WIDTH 74 /* of the head's text */

enum expect {
	EXPECT_ANY,
	EXPECT_NOT_NULL,
	EXPECT_REFUSED,
	EXPECT_PANIC,
	EXPECT_RETURN,
	EXPECT_NO_PANIC
};

static const char *const expect_names[] = { "EXPECT_ANY", "EXPECT_NOT_NULL",
	"EXPECT_REFUSED", "EXPECT_PANIC", "EXPECT_RETURN", "EXPECT_NO_PANIC" };

static const char *
why_name(unsigned why)
{
	static const char *const names[] = {
#define WHY_NAME(id, name, text) (name),
		KA_WHY_TABLE(WHY_NAME)
#undef WHY_NAME
	};

	return (why < sizeof(names) / sizeof(*names) ? names[why] : NULL);
}

/* ---- What is expected ---------------------------------------------------- */

/* "panic wrong-type or panic bad-type: ..." as bits; "a normal return" is that
 * of no panic. */
static uint32_t
panics_of(const char *expected)
{
	const size_t end = strcspn(expected, ":");
	uint32_t bits = 0;
	char text[200];
	unsigned why;

	(void)snprintf(text, sizeof(text), "%.*s ", (int)end, expected);
	for (why = 1; why_name(why) != NULL; why++) {
		char word[64];

		(void)snprintf(word, sizeof(word), "panic %s ", why_name(why));
		if (strstr(text, word) != NULL)
			bits |= 1u << why;
	}
	if (strstr(text, "a normal return") != NULL)
		bits |= 1;
	return (bits);
}

static bool
is_one_of(const char *state, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(state, *list) == 0)
			return (true);
	return (false);
}

/* What the model missed at the operation that it stopped at. */
static enum expect
expect_of(const struct repro_record *r, const struct repro_event *e,
    uint32_t *ret_panics)
{
	static const char *const refused[] = { "success", "over-limit",
		"too-many", "limit", "ctor-ignored", "too-deep", "budget",
		NULL };
	const struct finding *f = &r->finding;
	const char *state = strrchr(f->signature, '/');

	*ret_panics = e->why != 0 ? 1u << e->why : 0;
	if (r->end == REPRO_DIED && e->op == r->failing)
		*ret_panics = UINT32_MAX; /* a sound library may refuse it */
	if (r->end != REPRO_FINDING || e->op != r->failing || state == NULL)
		return (EXPECT_ANY);
	state++;
	if (strcmp(state, "undetected") == 0 ||
	    strcmp(state, "wrong-panic") == 0) {
		*ret_panics = panics_of(f->expected);
		return (EXPECT_PANIC);
	}
	if (strncmp(f->found, "panic ", 6) == 0)
		return (EXPECT_NO_PANIC); /* not that one */
	if (e->ended == 0 || e->slept)
		return (EXPECT_RETURN);
	if (strncmp(f->found, "NULL", 4) == 0)
		return (EXPECT_NOT_NULL);
	if (is_one_of(state, refused))
		return (EXPECT_REFUSED);
	*ret_panics = UINT32_MAX; /* a panic may be what it should have done */
	return (EXPECT_ANY);
}

static bool
names_object(const struct trace_opdef *def)
{
	bool does = def->out == TRACE_OBJ || def->out == TRACE_RUN;

	for (unsigned i = 0; i < def->nargs; i++)
		does |= trace_kind_class(def->arg[i]) == TRACE_OBJ;
	return (does);
}

/* Has the program a check that sees this? */
static bool
is_checked(const struct trace *t, const struct repro_record *r)
{
	/* As the runtime has them. */
	static const char *const states[] = { "nonzero", "contents", "align",
		"overlap", "not-held", "prefix", "string", "usable-size",
		"zero-size", "not-zero-size", "null", "memuse", "inuse",
		"calls", "failures", "requests", "used", "current", "max",
		"pages-held", "free-pages", "pages-lost", "too-many", "outside",
		"written", "not-zeroed", "busy", NULL };
	const char *state = strrchr(r->finding.signature, '/');
	uint32_t panics;

	if (r->end == REPRO_DIED)
		return (true);
	if (state == NULL)
		return (false);
	/* An item may be zero, whatever was in it, as far as the program knows:
	 * its constructors write nothing. */
	if (strcmp(state, "/contents") == 0 &&
	    strcmp(r->finding.clause, "ZN-1") == 0 &&
	    strstr(r->finding.found, "is 0x00") != NULL)
		return (false);
	/* A free item is looked at where it comes again. */
	if (strcmp(state, "/written") == 0 && r->failing == UINT32_MAX)
		return (false);
	for (uint32_t i = 0; i < r->n; i++)
		if (r->event[i].op == r->failing &&
		    expect_of(r, &r->event[i], &panics) != EXPECT_ANY)
			return (true);
	state++;
	/* Contents are looked at where an object comes or goes. */
	if (strcmp(state, "contents") == 0 && r->failing != UINT32_MAX &&
	    !names_object(&trace_ops[t->op[r->failing].code]))
		return (false);
	return (strncmp(state, "I-", 2) == 0 ||
	    strncmp(state, "panic-", 6) == 0 || is_one_of(state, states));
}

/* ---- What cannot be done ------------------------------------------------- */

const char *
repro_cannot(const struct trace *t, const struct repro_record *r)
{
	const struct trace_header *h = &t->header;

	if (r->end == REPRO_CLEAN || r->end == REPRO_CANNOT)
		return ("the trace shows nothing when it is run");
	if (h->memory != TRACE_MEMORY_SC)
		return (
		    "it needs a store that is seen late, which no interface "
		    "can ask for");
	for (uint32_t i = 0; i < h->ndeviations; i++)
		if (h->deviation[i].what == TRACE_DEVIATE_FAIL)
			return ("it needs a page allocation to fail at one "
				"place of a schedule");
		else if (h->deviation[i].what != TRACE_DEVIATE_RUN)
			return ("it needs a thread to be moved or woken in the "
				"middle of a call");
	if (!is_checked(t, r))
		return ("it has no check for what this clause says there");
	if (r->preempted)
		return ("it needs threads to change in the middle of calls, "
			"which no interface can ask for");
	return (NULL);
}

/* ---- The head ------------------------------------------------------------ */

/* " * words words", as many to a line as there is room for. */
static void
put_words(FILE *f, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		const size_t n = strcspn(text, " \n");

		if (column == 0)
			column = (size_t)fprintf(f, " *");
		else if (column + n > WIDTH)
			column = (size_t)fprintf(f, "\n *") - 1;
		(void)fputc(' ', f);
		for (size_t i = 0; i < n; i++) /* no end of the comment */
			(void)fputc(
			    text[i] == '/' && i > 0 && text[i - 1] == '*' ?
				'|' :
				text[i],
			    f);
		column += n + 1;
		text += n + strspn(text + n, " \n");
	}
	(void)fprintf(f, "\n");
}

static void
put_head(FILE *f, const struct trace *t, const struct repro_record *r,
    const struct repro_about *a)
{
	const char *cannot = repro_cannot(t, r);
	const struct finding *x = a->finding;
	char text[1400];

	(void)fprintf(f, "/* SPDX-License-Identifier: BSD-2-Clause */\n/*\n");
	(void)snprintf(text, sizeof(text),
	    "Shows a finding of kalab with libkalloc alone. Clause %s%s%s. "
	    "Operation: %s. Expected: %s. Found: %s. Made from %s.",
	    x->clause, a->clause_text != NULL ? ": " : "",
	    a->clause_text != NULL ? a->clause_text : "", x->operation,
	    x->expected, x->found, a->trace);
	put_words(f, text);
	(void)fprintf(f,
	    " *\n"
	    " *   cc -g repro.c -o repro $(pkg-config --cflags --libs kalloc) "
	    "-pthread\n"
	    " *   ./repro\n"
	    " *\n"
	    " * Exit status: 0 all is as it is to be, 1 shown, 2 it cannot be "
	    "tried,\n"
	    " * 3 not shown, which proves nothing.\n");
	if (cannot != NULL) {
		(void)snprintf(text, sizeof(text),
		    "What this program does not do: %s. It does the "
		    "operations one after the other, in the order in which "
		    "they ended. Where that does not show the finding it ends "
		    "with status 3: what shows it is the trace, under kalab.",
		    cannot);
		(void)fprintf(f, " *\n");
		put_words(f, text);
	}
	(void)fprintf(f, " */\n");
}

/* As a string of C; of a format of printf(3), or not. */
static void
put_string(FILE *f, const char *text, bool format)
{
	(void)fputc('"', f);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			(void)fputc('\\', f);
		if (*text == '%' && format)
			(void)fputc('%', f);
		(void)fputc((unsigned char)*text < 0x20 ? ' ' : *text, f);
	}
	(void)fputc('"', f);
}

/* ---- Configuration ------------------------------------------------------- */

static void
put_faults(FILE *f, const struct trace_header *h)
{
	(void)fprintf(f, "#define FAULTS %u\n#define FAULT_LINES", h->nfaults);
	for (uint32_t i = 0; i < h->nfaults; i++) {
		const struct trace_fault *x = &h->fault[i];

		(void)fprintf(f, " \\\n\t");
		if (x->mode == TRACE_FAULT_ONCE)
			(void)fprintf(f,
			    "if (page_calls == %" PRIu64
			    " && verdict == VM_OBSERVE_PASS) "
			    "verdict = VM_OBSERVE_FAIL;",
			    x->k);
		else if (x->mode == TRACE_FAULT_FROM)
			(void)fprintf(f,
			    "if (page_calls >= %" PRIu64
			    ") verdict = VM_OBSERVE_FAIL_HARD;",
			    x->k);
		else
			(void)fprintf(f,
			    "{ static uint64_t seed = UINT64_C(%" PRIu64 "); "
			    "if (draw(&seed) %% %" PRIu32 " < %" PRIu32
			    " && verdict != VM_OBSERVE_FAIL_HARD) "
			    "verdict = %s; }",
			    x->seed, x->den, x->num,
			    x->num == x->den ? "VM_OBSERVE_FAIL_HARD" :
					       "VM_OBSERVE_FAIL");
	}
	(void)fprintf(f, "\n");
}

/* Numbers that the rest is made by. */
struct sizes {
	uint64_t regs[TRACE_CLASS_COUNT];
	unsigned ended_types, sleepers;
	bool support, threaded;
};

static bool
may_wait(const struct trace_op *op)
{
	const struct trace_opdef *const def = &trace_ops[op->code];

	for (unsigned i = 0; i < def->nargs; i++)
		if (def->arg[i] == TRACE_K_FLAGS &&
		    (op->arg[i] & M_WAITOK) != 0)
			return (true);
	return (op->code == TRACE_OP_MPIPE_ALLOC_WAITOK);
}

static void
count(const struct trace *t, const struct repro_record *r, struct sizes *z)
{
	uint32_t unused;

	memset(z, 0, sizeof(*z));
	for (uint32_t i = 0; i < r->n; i++) {
		const struct repro_event *e = &r->event[i];
		const struct trace_op *op = &t->op[e->op];

		z->sleepers += e->slept || e->ended == 0;
		z->threaded |= e->cpu != r->event[0].cpu || e->slept ||
		    (e->ended == 0 && r->end != REPRO_DIED);
		/* A sound library lets it sleep; or it does so one after the
		 * other, where it had been beside others. */
		z->threaded |= may_wait(op) &&
		    (r->preempted ||
			expect_of(r, e, &unused) == EXPECT_REFUSED);
		z->ended_types += op->code == TRACE_OP_KMALLOC_DESTROY ||
		    op->code == TRACE_OP_MALLOC_UNINIT;
		z->support |= op->code == TRACE_OP_MPIPE_INIT &&
		    (op->arg[4] & MPF_CALLBACK) != 0;
	}
	/* A register may be named that no step defines. */
	for (size_t i = 0; i < t->nops; i++) {
		const struct trace_op *op = &t->op[i];
		const int out = trace_ops[op->code].out;

		if (out >= 0 && op->out >= z->regs[out])
			z->regs[out] = op->out + 1;
	}
}

static void
put_config(FILE *f, const struct trace *t, const struct repro_record *r,
    const struct sizes *z, const struct finding *x)
{
	static const char *const names[TRACE_CLASS_COUNT] = { "OBJECTS",
		"TYPES", "RUNS", "CACHES", "PIPES", "ZONES", "VMZONES" };
	const struct trace_header *h = &t->header;
	const char *cannot = repro_cannot(t, r);

	(void)fprintf(f, "\n#define FINDING ");
	put_string(f, x->signature, true);
	for (unsigned i = 0; i < TRACE_CLASS_COUNT; i++)
		(void)fprintf(f, "\n#define %s %" PRIu64, names[i], z->regs[i]);
	(void)fprintf(f,
	    "\n#define STEPS %u\n#define CPUS %u\n#define THREADS %u\n"
	    "#define THREADED %d\n#define ENDED_TYPES %u\n"
	    "#define SUPPORT_THREADS %d\n#define SECONDS %u\n"
	    "#define DEBUG %u\n#define AUDIT_STEPS %d\n#define INSIDE %d\n#define INSIDE_WHY ",
	    r->n, h->cpus, h->threads, z->threaded, z->ended_types, z->support,
	    30 + r->n / 20 + 3 * z->sleepers, h->debug,
	    strcmp(x->operation, "audit") == 0, cannot != NULL);
	put_string(f, cannot != NULL ? cannot : "", true);
	(void)fprintf(f, "\n");
	put_faults(f, h);
	(void)fprintf(f,
	    "\n/* Each reproducer has all that any needs. */\n"
	    "#pragma GCC diagnostic ignored \"-Wunused-function\"\n"
	    "#pragma GCC diagnostic ignored \"-Wtype-limits\"\n\n");
}

static void
put_boot(FILE *f, const struct trace_header *h)
{
	(void)fprintf(f,
	    "\nstatic const struct kalloc_config config = {\n"
	    "\t.ncpus = %u,\n\t.pages = %u,\n\t.reserve_system = %u,\n"
	    "\t.reserve_interrupt = %u,\n\t.slabs_keep = %u,\n"
	    "\t.debug = %u,\n};\n\n",
	    h->cpus, h->pages, h->reserve_system, h->reserve_interrupt,
	    h->slabs_keep, h->debug);
}

/* ---- Text and steps ------------------------------------------------------ */

static void
put_zones(FILE *f, uint64_t zones)
{
	for (uint64_t i = 0; i < zones; i++)
		(void)fprintf(f, "ZONE_CALLBACKS(%" PRIu64 ")\n", i);
	(void)fprintf(
	    f, "\nstatic const struct zone_callbacks zone_callbacks[] = {\n");
	for (uint64_t i = 0; i < zones; i++)
		(void)fprintf(f, "\tZONE_ROW(%" PRIu64 ")\n", i);
	(void)fprintf(f, "\t{ NULL, NULL, NULL, NULL, NULL },\n};\n");
}

static void
put_text(FILE *f, const char *const *line, uint64_t zones)
{
	for (; *line != NULL; line++)
		if (strcmp(*line, "/* @ZONES@ */") == 0)
			put_zones(f, zones);
		else
			(void)fprintf(f, "%s\n", *line);
}

/* Where a step comes: when it ended, or, if others go on meanwhile, began. */
static uint32_t
turn(const struct repro_event *e)
{
	return (e->slept || e->ended == 0 ? e->began : e->ended);
}

static int
by_turn(const void *a, const void *b)
{
	const uint32_t x = turn(a), y = turn(b);

	return (x < y ? -1 : x > y);
}

static void
put_steps(FILE *f, const struct trace *t, const struct repro_record *r,
    const struct repro_event *event)
{
	char line[256];

	(void)fprintf(f, "/* ---- The steps %s */\n",
	    "---------------------------------------------------------");
	for (uint32_t i = 0; i < r->n; i++) {
		const struct trace_op *op = &t->op[event[i].op];

		trace_op_format(&t->header, op, line, sizeof(line));
		(void)fprintf(f, "\n/* %s */\nstatic void\nstep_%u(void)\n{\n",
		    line, i + 1);
		(void)fprintf(f, "\treturned = 1;\n");
		repro__put_call(f, &t->header, op, event[i].op == r->failing);
		(void)fprintf(f, "}\n");
	}
}

static void
put_table(FILE *f, const struct trace *t, const struct repro_record *r,
    const struct repro_event *event, const struct sizes *z)
{
	char line[256];

	(void)fprintf(f, "\nstatic const struct step steps[STEPS] = {\n");
	for (uint32_t i = 0; i < r->n; i++) {
		const struct repro_event *e = &event[i];
		const struct trace_op *op = &t->op[e->op];
		uint32_t panics;
		const enum expect x = expect_of(r, e, &panics);

		trace_op_format(&t->header, op, line, sizeof(line));
		(void)fprintf(f, "\t{ step_%u, ", i + 1);
		put_string(f, line, false);
		(void)fprintf(f,
		    ",\n\t    %u, %" PRIu32 ", %s, %s, %s, 0x%" PRIx32 " },\n",
		    op->thread, z->threaded ? e->cpu : 0,
		    e->slept || e->ended == 0 ? "true" : "false",
		    e->ended == 0 ? "true" : "false", expect_names[x], panics);
	}
	(void)fprintf(f, "};\n");
}

int
repro_write(FILE *f, const struct trace *t, const struct repro_record *r,
    const struct repro_about *a)
{
	struct repro_event *event = malloc((r->n + 1) * sizeof(*event));
	struct sizes z;

	if (event == NULL) {
		errno = ENOMEM;
		return (-1);
	}
	if (r->n != 0)
		memcpy(event, r->event, r->n * sizeof(*event));
	qsort(event, r->n, sizeof(*event), by_turn);
	count(t, r, &z);
	put_head(f, t, r, a);
	put_config(f, t, r, &z, a->finding);
	put_text(f, repro__runtime, 0);
	(void)fprintf(f, "\n");
	put_text(f, repro__runtime_owners, z.regs[TRACE_ZONE]);
	put_boot(f, &t->header);
	put_text(f, repro__runtime_end, 0);
	put_steps(f, t, r, event);
	put_table(f, t, r, event, &z);
	free(event);
	return (ferror(f) ? -1 : 0);
}
