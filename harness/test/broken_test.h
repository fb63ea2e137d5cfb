/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests share that show that the laboratory sees: a subject that is
 * broken in one way, and a trace on which it must be reported, under exactly
 * the clause that it breaks. The same trace is clean on the healthy subject, so
 * that the report is for the breakage and for nothing else.
 */
#ifndef KALAB_BROKEN_TEST_H
#define KALAB_BROKEN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <kalloc/flags.h>

#define KA_PORT_SIM
#include "port/port.h"
#include "run/run.h"

/* The numbers of reasons, from the one table of them. */
enum why {
#define WHY(id, name, text) WHY_##id,
	KA_WHY_TABLE(WHY)
#undef WHY
};

#define HELPER static __attribute__((unused))

#define HEAD "kalab-trace 1\ncpus 2\nthreads 2\npages 256\n"

/* What is not NULL takes the healthy subject's place. */
struct breakage {
	const char *name, *clause, *trace;
	const char *signature; /* which check it is that sees; NULL: any */
	void (*exec)(struct call *);
	uint64_t (*free_pages)(void);
	bool (*type_stats)(uint32_t, struct subject_type_stats *);
	bool (*owner_stats)(enum trace_class, uint32_t, struct owner_stats *);
	const char *(*audit)(const char **);
	void (*trim)(void);
	int (*leave)(
	    void (*)(void *, const char *, uint64_t, uint64_t), void *);
	bool (*callback)(struct callback *); /* for who boots the subject */
};

static const struct subject *healthy;
static bool orders;   /* are orders of overlapping calls searched for? */
static uint32_t seen; /* calls that a breakage has seen */
HELPER uint64_t first_addr;

static struct ka_mutex mutex[2] = { KA_MUTEX_INITIALIZER,
	KA_MUTEX_INITIALIZER };
static struct ka_chan chan;

/* Does another call than it was asked for; the model sees the question. */
HELPER void
exec_instead(struct call *c, struct call other)
{
	healthy->exec(&other);
	c->ret = other.ret;
	c->why = other.why;
}

/* Nobody wakes it. */
HELPER void
sleep_for_ever(void)
{
	ka_mutex_lock(&mutex[0]);
	ka_chan_sleep(&chan, &mutex[0]);
	ka_mutex_unlock(&mutex[0]);
}

HELPER void
sleep_in(struct call *c, enum trace_opcode code)
{
	if (c->code == code)
		sleep_for_ever();
	healthy->exec(c);
}

HELPER void
replay(const struct subject *subject, const char *text, struct run_result *r)
{
	struct run_options o = { .subject = subject, .orders = orders };
	struct trace_reader *reader;
	struct run_source source;
	struct trace_error e;

	sim_enter(); /* what a test does is no access of the library */
	seen = 0;
	memset(mutex, 0, sizeof(mutex));
	mutex[0].name = "a";
	mutex[1].name = "b";
	ka_chan_init(&chan, "broken");
	assert_int_equal(
	    trace_reader_open_mem(&reader, "test", text, strlen(text), &e), 0);
	source = run_source_reader(reader);
	run(&source, &o, r);
	sim_enter();
	trace_reader_close(reader);
}

HELPER struct subject
broken_subject(const struct breakage *b)
{
	struct subject broken = *healthy;

	if (b->exec != NULL)
		broken.exec = b->exec;
	if (b->free_pages != NULL)
		broken.free_pages = b->free_pages;
	if (b->type_stats != NULL)
		broken.type_stats = b->type_stats;
	if (b->owner_stats != NULL)
		broken.owner_stats = b->owner_stats;
	if (b->audit != NULL)
		broken.audit = b->audit;
	if (b->trim != NULL)
		broken.trim = b->trim;
	if (b->leave != NULL)
		broken.leave = b->leave;
	return (broken);
}

HELPER void
must_be_reported(const struct breakage *b, const struct subject *broken)
{
	struct run_result r;

	print_message("# %s\n", b->name);
	replay(healthy, b->trace, &r);
	if (r.status == RUN_FINDING)
		print_message("healthy: %s: %s; %s\n", r.finding.clause,
		    r.finding.expected, r.finding.found);
	assert_int_equal(r.status, RUN_CLEAN);
	replay(broken, b->trace, &r);
	assert_int_equal(r.status, RUN_FINDING);
	assert_string_equal(r.finding.clause, b->clause);
	assert_true(r.finding.expected[0] != '\0');
	assert_true(r.finding.found[0] != '\0');
	assert_true(r.finding.signature[0] != '\0');
	if (b->signature != NULL)
		assert_string_equal(r.finding.signature, b->signature);
}

HELPER int
setup(void **state)
{
	(void)state;
	healthy = subject_by_name("kalloc");
	sim_enter();
	return (healthy == NULL);
}

HELPER int
teardown(void **state)
{
	(void)state;
	sim_leave();
	return (0);
}

#endif
