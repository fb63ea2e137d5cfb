/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory models by litmus tests: for each program all outcomes that an
 * exhaustive search finds must be exactly those that the model allows.
 *
 * The allowed sets are those of the literature: TSO after Sewell and others,
 * x86-TSO (2010); C11 as RC11 (Lahav and others, Repairing sequential
 * consistency in C/C++11, 2017), which forbids load buffering. The counts of
 * programs of relaxed accesses were worked out apart from the simulation, too:
 * by a machine with queues, and from RC11's axioms over all candidates.
 *
 * Each thread is a short program over shared x, y and its own registers, as a
 * string: one word an access.
 *
 *   Wx1   store 1 to x          suffix r: relaxed (no suffix), .rel, .acq, .sc
 *   Ix1   the same, of what nobody can look at yet (ka_init)
 *   Rx    load x to the thread's next register
 *   F     fence (seq_cst)
 *   U x1  exchange x with 1, the old value to the next register: "Ux1"
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explore/search.h"
#include "port/port.h"
#include "sim/sim.h"
#include "util/random.h"

#define THREADS_MAX  4u
#define REGS_MAX     3u
#define OUTCOMES_MAX 256u
#define PROGRAMS     20u

static uint32_t loc_x, loc_y;
static uint32_t reg[THREADS_MAX][REGS_MAX];
static const char *program[THREADS_MAX];

static int
order_of(const char *word)
{
	const char *dot = strchr(word, '.');

	if (dot == NULL)
		return (__ATOMIC_RELAXED);
	if (strcmp(dot, ".rel") == 0)
		return (__ATOMIC_RELEASE);
	if (strcmp(dot, ".acq") == 0)
		return (__ATOMIC_ACQUIRE);
	assert_string_equal(dot, ".sc");
	return (__ATOMIC_SEQ_CST);
}

static void
do_store(uint32_t *p, uint32_t v, int order)
{
	switch (order) {
	case __ATOMIC_RELAXED:
		ka_store(p, v, __ATOMIC_RELAXED);
		break;
	case __ATOMIC_RELEASE:
		ka_store(p, v, __ATOMIC_RELEASE);
		break;
	default:
		ka_store(p, v, __ATOMIC_SEQ_CST);
	}
}

static uint32_t
do_load(uint32_t *p, int order)
{
	switch (order) {
	case __ATOMIC_RELAXED:
		return (ka_load(p, __ATOMIC_RELAXED));
	case __ATOMIC_ACQUIRE:
		return (ka_load(p, __ATOMIC_ACQUIRE));
	default:
		return (ka_load(p, __ATOMIC_SEQ_CST));
	}
}

static void
thread_main(void *arg)
{
	const uint32_t self = (uint32_t)(uintptr_t)arg;
	const char *at = program[self];
	uint32_t r = 0;
	char word[16];
	int n;

	for (; sscanf(at, "%15s%n", word, &n) == 1; at += n) {
		uint32_t *p = word[1] == 'x' ? &loc_x : &loc_y;

		switch (word[0]) {
		case 'W':
			do_store(p, (uint32_t)(word[2] - '0'), order_of(word));
			break;
		case 'I':
			ka_init(p, (uint32_t)(word[2] - '0'));
			break;
		case 'R':
			reg[self][r++] = do_load(p, order_of(word));
			break;
		case 'U':
			reg[self][r++] = ka_xchg(p, (uint32_t)(word[2] - '0'));
			break;
		default:
			ka_fence();
		}
	}
}

static uint32_t nthreads;
static uint16_t cpus[THREADS_MAX] = { 0, 1, 2, 3 };

static void
others(void *arg, uint64_t *set)
{
	(void)arg;
	set[0] = sim_runnable(0, false);
}

/* One execution; false: it was ended early. */
static bool
execute(struct sim_strategy *strategy, enum sim_memory memory, bool hash)
{
	struct sim_config c = { .cpus = nthreads,
		.threads = nthreads,
		.memory = memory,
		.thread_cpu = cpus,
		.strategy = strategy,
		.hash = hash,
		.others = others };
	uint32_t i, list[THREADS_MAX], n;
	static char cpu_area[4096 * THREADS_MAX];

	ka_sim_cpus((struct ka_cpu *)(void *)cpu_area, 4096, THREADS_MAX);
	loc_x = loc_y = 0;
	memset(reg, 0, sizeof(reg));
	assert_int_equal(sim_reset(&c), 0);
	for (i = 0; i < nthreads; i++)
		sim_start(i, 1, thread_main, (void *)(uintptr_t)i);
	while (!sim_pruned()) {
		uint32_t next = sim_next();

		for (i = n = 0; i < nthreads; i++)
			if (sim_state(i) == SIM_READY)
				list[n++] = i;
		if (n == 0)
			return (true);
		if (next == SIM_NONE)
			next = sim_pick(list, n, list[0]);
		if (next != SIM_NONE)
			(void)sim_resume(next);
	}
	return (false);
}

/* "1 0 | 2 1": registers in order of threads, then x and y. */
static void
outcome(char *buf, size_t size)
{
	uint32_t i, r;
	size_t at = 0;

	buf[0] = '\0';
	for (i = 0; i < nthreads; i++) {
		const char *p = program[i];

		for (r = 0; *p != '\0'; p++)
			if (*p == 'R' || *p == 'U')
				at += (size_t)snprintf(
				    buf + at, size - at, "%u", reg[i][r++]);
	}
	(void)snprintf(buf + at, size - at, "|%u%u", loc_x, loc_y);
}

struct outcomes {
	char o[OUTCOMES_MAX][32];
	uint32_t n;
	uint64_t executions;
};

static void
add(struct outcomes *o, const char *text)
{
	uint32_t i;

	for (i = 0; i < o->n; i++)
		if (strcmp(o->o[i], text) == 0)
			return;
	assert_true(o->n < OUTCOMES_MAX);
	(void)snprintf(o->o[o->n++], sizeof(o->o[0]), "%s", text);
}

static void
search(struct outcomes *o, enum sim_memory memory, bool prune)
{
	struct search s;
	char text[32];

	memset(o, 0, sizeof(*o));
	assert_int_equal(
	    search_init(&s, prune, prune ? 0 : UINT32_MAX, 1, 0), 0);
	do {
		search_begin(&s);
		if (execute(&s.base, memory, prune)) {
			outcome(text, sizeof(text));
			add(o, text);
		}
		o->executions++;
	} while (search_next(&s));
	assert_false(search_strayed(&s));
	search_fini(&s);
}

static int
by_text(const void *a, const void *b)
{
	return (strcmp(a, b));
}

static void
join(struct outcomes *o, char *buf, size_t size)
{
	uint32_t i;

	qsort(o->o, o->n, sizeof(o->o[0]), by_text);
	buf[0] = '\0';
	for (i = 0; i < o->n; i++)
		(void)snprintf(buf + strlen(buf), size - strlen(buf), "%s%s",
		    i == 0 ? "" : " ", o->o[i]);
}

/* An outcome that is asked about: allowed in these models. */
struct litmus {
	const char *name;
	const char *program[THREADS_MAX];
	const char *asked;		  /* as outcome() prints it */
	const char *models;		  /* of s, t, c: where it is allowed */
	uint32_t count[SIM_MEMORY_COUNT]; /* of all allowed outcomes */
};

static const struct litmus tests[] = {
	{ "SB", { "Wx1 Ry", "Wy1 Rx" }, "00|11", "tc", { 3, 4, 4 } },
	{ "SB+fences", { "Wx1 F Ry", "Wy1 F Rx" }, "00|11", "", { 3, 3, 3 } },
	{ "SB+one-fence", { "Wx1 F Ry", "Wy1 Rx" }, "00|11", "tc",
	    { 3, 4, 4 } },
	{ "SB+sc", { "Wx1.sc Ry.sc", "Wy1.sc Rx.sc" }, "00|11", "",
	    { 3, 3, 3 } },
	{ "SB+rel-acq", { "Wx1.rel Ry.acq", "Wy1.rel Rx.acq" }, "00|11", "tc",
	    { 3, 4, 4 } },
	{ "SB+rmw", { "Ux1 Ry", "Uy1 Rx" }, "0000|11", "c", { 3, 3, 4 } },
	/* A read-modify-write that changes nothing is one. */
	{ "SB+rmw-of-what-is-there", { "Wx1 Uy0", "Uy1 Rx" }, "000|11", "",
	    { 3, 3, 3 } },
	{ "MP", { "Wx1 Wy1", "Ry Rx" }, "10|11", "c", { 3, 3, 4 } },
	{ "MP+rel-acq", { "Wx1 Wy1.rel", "Ry.acq Rx" }, "10|11", "",
	    { 3, 3, 3 } },
	{ "MP+rel", { "Wx1 Wy1.rel", "Ry Rx" }, "10|11", "c", { 3, 3, 4 } },
	{ "MP+acq", { "Wx1 Wy1", "Ry.acq Rx" }, "10|11", "c", { 3, 3, 4 } },
	{ "MP+fences", { "Wx1 F Wy1", "Ry F Rx" }, "10|11", "", { 3, 3, 3 } },
	{ "MP+fence-acq", { "Wx1 F Wy1", "Ry.acq Rx" }, "10|11", "",
	    { 3, 3, 3 } },
	/* What was seen of old is followed by what is new. */
	{ "MP+more", { "Wy1 Wx1 Wx2", "Rx Ry Rx" }, "102|21", "c",
	    { 9, 9, 12 } },
	{ "LB", { "Rx Wy1", "Ry Wx1" }, "11|11", "", { 3, 3, 3 } },
	{ "CoRR", { "Wx1 Wx2", "Rx Rx" }, "21|20", "", { 6, 6, 6 } },
	{ "CoRR+two-writers", { "Wx1", "Wx2", "Rx Rx", "Rx Rx" }, "1221|10", "",
	    { 72, 72, 72 } },
	{ "CoWR", { "Wx1 Rx", "Wx2" }, "2|10", "", { 3, 3, 3 } },
	{ "2+2W", { "Wx1 Wy2", "Wy1 Wx2" }, "|11", "c", { 3, 3, 4 } },
	{ "2+2W+fences", { "Wx1 F Wy2", "Wy1 F Wx2" }, "|11", "", { 3, 3, 3 } },
	{ "IRIW", { "Wx1", "Wy1", "Rx Ry", "Ry Rx" }, "1010|11", "c",
	    { 15, 15, 16 } },
	{ "IRIW+acq",
	    { "Wx1.rel", "Wy1.rel", "Rx.acq Ry.acq", "Ry.acq Rx.acq" },
	    "1010|11", "c", { 15, 15, 16 } },
	{ "IRIW+fences", { "Wx1", "Wy1", "Rx F Ry", "Ry F Rx" }, "1010|11", "",
	    { 15, 15, 15 } },
	{ "IRIW+sc", { "Wx1.sc", "Wy1.sc", "Rx.sc Ry.sc", "Ry.sc Rx.sc" },
	    "1010|11", "", { 15, 15, 15 } },
	{ "WRC", { "Wx1", "Rx Wy1", "Ry Rx" }, "110|11", "c", { 7, 7, 8 } },
	{ "WRC+rel-acq", { "Wx1", "Rx Wy1.rel", "Ry.acq Rx" }, "110|11", "",
	    { 7, 7, 7 } },
	/* What is made ready and then published; and, against its rule, what
	 * others look at: it is behind what the thread stored before. */
	{ "INIT+rel-acq", { "Ix1 Wy1.rel", "Ry.acq Rx" }, "10|11", "",
	    { 3, 3, 3 } },
	{ "INIT+acq", { "Ix1 Wy1", "Ry.acq Rx" }, "10|11", "c", { 3, 3, 4 } },
	{ "INIT+own", { "Wx1 Ix2", "Rx Rx" }, "21|20", "", { 3, 6, 6 } },
	{ "n6", { "Wx1 Rx Ry", "Wy1 Wx2" }, "10|11", "tc", { 4, 5, 6 } },
};

static bool
has(const struct outcomes *o, const char *text)
{
	uint32_t i;

	for (i = 0; i < o->n; i++)
		if (strcmp(o->o[i], text) == 0)
			return (true);
	return (false);
}

static void
check(const struct litmus *l, enum sim_memory memory)
{
	const bool allowed = strchr(l->models, "stc"[memory]) != NULL;
	static struct outcomes all, pruned;
	static char a[8192], b[8192];

	for (nthreads = 0;
	     nthreads < THREADS_MAX && l->program[nthreads] != NULL; nthreads++)
		program[nthreads] = l->program[nthreads];
	search(&pruned, memory, true);
	join(&pruned, b, sizeof(b));
	if (has(&pruned, l->asked) != allowed)
		fail_msg("%s, model %u: %s is %s; found %s", l->name, memory,
		    l->asked, allowed ? "allowed, not found" : "forbidden", b);
	if (pruned.n != l->count[memory])
		fail_msg("%s, model %u: %u outcomes, expected %u: %s", l->name,
		    memory, pruned.n, l->count[memory], b);
	/* What is pruned hides nothing. */
	if (nthreads > 2)
		return;
	search(&all, memory, false);
	join(&all, a, sizeof(a));
	assert_string_equal(a, b);
	assert_true(all.executions >= pruned.executions);
}

static void
exactly_the_allowed_outcomes(void **state)
{
	size_t i;
	int m;

	(void)state;
	for (m = 0; m < SIM_MEMORY_COUNT; m++)
		for (i = 0; i < sizeof(tests) / sizeof(*tests); i++)
			check(&tests[i], (enum sim_memory)m);
}

/* A program of so many words, of all there are. */
static void
draw_program(uint64_t *rng, char *buf, size_t size, uint32_t words)
{
	static const char *const order[3][3] = { { "", ".rel", ".sc" },
		{ "", ".acq", ".sc" }, { "", "", "" } };
	uint32_t regs = 0, i, kind;

	buf[0] = '\0';
	for (i = 0; i < words; i++) {
		char word[16] = "F";
		char at = random_below(rng, 2) == 0 ? 'x' : 'y';
		uint32_t how = (uint32_t)random_below(rng, 3);

		kind = (uint32_t)random_below(rng, 8);
		if (kind < 3)
			(void)snprintf(word, sizeof(word), "W%c%u%s", at,
			    1 + (uint32_t)random_below(rng, 2), order[0][how]);
		else if (kind < 6 && regs++ < REGS_MAX)
			(void)snprintf(
			    word, sizeof(word), "R%c%s", at, order[1][how]);
		else if (kind == 6 && regs++ < REGS_MAX)
			(void)snprintf(word, sizeof(word), "U%c%u", at,
			    1 + (uint32_t)random_below(rng, 2));
		(void)snprintf(buf + strlen(buf), size - strlen(buf), "%s%s",
		    i == 0 ? "" : " ", word);
	}
}

/* Of the programs that there are: the same outcomes. */
static void
hides_nothing(enum sim_memory memory)
{
	static struct outcomes all, pruned;
	static char a[8192], b[8192];

	search(&pruned, memory, true);
	search(&all, memory, false);
	join(&all, a, sizeof(a));
	join(&pruned, b, sizeof(b));
	if (strcmp(a, b) != 0)
		fail_msg("%s || %s || %s, model %d: %s, of %s", program[0],
		    program[1], nthreads > 2 ? program[2] : "", memory, b, a);
	assert_true(all.executions >= pruned.executions);
}

/* What is in nobody's registers is a state, too: which of several stores was met,
 * and the order of fences. */
static void
what_is_pruned_hides_nothing(void **state)
{
	static const struct {
		const char *program[THREADS_MAX];
		uint32_t threads;
	} chosen[] = {
		{ { "Wy1 F Wx1", "F Rx Ry", "F Ry" }, 3 },
		{ { "Uy2 Rx.sc Wy1.sc", "Ux1 Ry Ry.acq Wy2.rel" }, 2 },
	};
	uint32_t i, t;

	(void)state;
	for (i = 0; i < sizeof(chosen) / sizeof(*chosen); i++) {
		nthreads = chosen[i].threads;
		for (t = 0; t < nthreads; t++)
			program[t] = chosen[i].program[t];
		hides_nothing(SIM_C11);
	}
}

static void
whatever_the_program(void **state)
{
	static char text[THREADS_MAX][64];
	uint64_t rng = 1;
	uint32_t i, t;
	int m;

	(void)state;
	for (i = 0; i < PROGRAMS; i++) {
		nthreads = 2;
		for (t = 0; t < nthreads; t++) {
			draw_program(&rng, text[t], sizeof(text[t]),
			    nthreads == 3 ? 2 : 2 + (i + t) % 2);
			program[t] = text[t];
			cpus[t] = (uint16_t)(i % 8 == 1 ? 0 : t);
		}
		for (m = 0; m < SIM_MEMORY_COUNT; m++)
			hides_nothing((enum sim_memory)m);
	}
}

int
main(void)
{
	const struct CMUnitTest list[] = {
		cmocka_unit_test(exactly_the_allowed_outcomes),
		cmocka_unit_test(what_is_pruned_hides_nothing),
		cmocka_unit_test(whatever_the_program),
	};

	return (cmocka_run_group_tests(list, NULL, NULL));
}
