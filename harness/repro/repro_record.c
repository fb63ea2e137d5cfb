/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of a run. A subject that notes when calls begin and end; what is
 * no call of the subject's, a hook, say, is noted when it has ended. All of it
 * is in memory that the process shares with its parent: a run that dies leaves
 * what it noted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repro_int.h"

#define SECONDS 20u /* for the run; then it hangs */

struct shared {
	struct run_result result;
	bool done, preempted;
	uint32_t n, clock;
	struct repro_event event[];
};

/* Of the process that runs it. */
static const struct subject *real;
static struct subject watched;
static struct shared *notes;
static const struct trace *watched_trace;
static uint32_t *event_of; /* by operation: its event, from 1 */

static struct repro_event *
event_for(uint64_t line, uint32_t cpu)
{
	struct repro_event *e;

	if (line == 0 || line > watched_trace->nops)
		return (NULL);
	if (event_of[line - 1] != 0)
		return (&notes->event[event_of[line - 1] - 1]);
	e = &notes->event[notes->n++];
	event_of[line - 1] = notes->n;
	*e = (struct repro_event) {
		.op = (uint32_t)line - 1, .cpu = cpu, .began = ++notes->clock
	};
	return (e);
}

static void
watched_exec(struct call *c)
{
	struct repro_event *e = NULL;

	if (c->thread < watched_trace->header.threads)
		e = event_for(c->line, c->cpu);
	real->exec(c);
	if (e == NULL)
		return;
	e->ended = ++notes->clock;
	e->why = c->why;
}

/* Operations that are no calls of the subject. Others that were not seen to
 * begin were skipped: what they name was never had. */
static bool
is_no_call(uint16_t code)
{
	return (trace_ops[code].group == TRACE_G_TH ||
	    code == TRACE_OP_OBJCACHE_HOOK || code == TRACE_OP_MPIPE_HOOK ||
	    code == TRACE_OP_UMA_HOOK);
}

static void
on_result(void *arg, const struct trace_op *op, const struct call *c)
{
	struct repro_event *e =
	    is_no_call(op->code) ? event_for(op->line, c->cpu) : NULL;

	(void)arg;
	if (e != NULL && e->ended == 0)
		e->ended = ++notes->clock;
}

/* Who stopped in the middle of an operation, and why. */
static void
on_step(void *arg, const struct run_step *s)
{
	(void)arg;
	if (s->kind != RUN_STEP_RUNS ||
	    s->before >= watched_trace->header.threads)
		return;
	if (s->why == RUN_WHY_PREEMPTED || s->why == RUN_WHY_SPINS ||
	    s->why == RUN_WHY_LOCK)
		notes->preempted = true;
	if (s->why != RUN_WHY_SLEEPS)
		return;
	for (uint32_t i = 0; i < notes->n; i++) {
		struct repro_event *e = &notes->event[i];

		if (e->ended == 0 &&
		    watched_trace->op[e->op].thread == s->before)
			e->slept = true;
	}
}

static void
child(const struct trace *t, const struct subject *subject)
{
	const struct run_options o = { .subject = &watched,
		.contents = MODEL_CONTENTS_FULL,
		.story = on_step,
		.result = on_result };
	struct run_mem mem;
	struct run_source source = run_source_mem(&mem, t);

	real = subject;
	watched = *subject;
	watched.exec = watched_exec;
	watched_trace = t;
	event_of = calloc(t->nops + 1, sizeof(*event_of));
	if (event_of == NULL)
		return;
	(void)alarm(SECONDS);
	run(&source, &o, &notes->result);
	notes->done = true;
}

static void
take(const struct trace *t, struct repro_record *r)
{
	const struct run_result *x = &notes->result;

	r->event = notes->event;
	r->n = notes->n;
	r->preempted = notes->preempted;
	r->failing = UINT32_MAX;
	r->end = !notes->done	     ? REPRO_DIED :
	    x->status == RUN_FINDING ? REPRO_FINDING :
	    x->status == RUN_CLEAN   ? REPRO_CLEAN :
				       REPRO_CANNOT;
	/* What kills it is what began last. */
	if (r->end == REPRO_DIED && r->n != 0)
		r->failing = r->event[r->n - 1].op;
	if (r->end != REPRO_FINDING)
		return;
	r->finding = x->finding;
	if (x->finding.line == 0 || x->finding.line > t->nops)
		return;
	r->failing = (uint32_t)x->finding.line - 1;
}

bool
repro_record(const struct trace *t, const struct subject *subject,
    struct repro_record *ret_r)
{
	struct trace numbered = *t; /* lines are places in the array */
	const size_t size =
	    sizeof(*notes) + (t->nops + 1) * sizeof(*notes->event);
	pid_t pid;
	int status;

	memset(ret_r, 0, sizeof(*ret_r));
	numbered.op = malloc((t->nops + 1) * sizeof(*t->op));
	notes = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (numbered.op == NULL || notes == MAP_FAILED) {
		free(numbered.op);
		return (false);
	}
	for (size_t i = 0; i < t->nops; i++) {
		numbered.op[i] = t->op[i];
		numbered.op[i].line = i + 1;
	}
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		child(&numbered, subject);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	free(numbered.op);
	ret_r->shared = notes;
	ret_r->shared_size = size;
	if (pid < 0) {
		repro_record_fini(ret_r);
		return (false);
	}
	take(t, ret_r);
	if (ret_r->failing != UINT32_MAX)
		ret_r->finding.line = t->op[ret_r->failing].line;
	return (true);
}

void
repro_record_fini(struct repro_record *r)
{
	if (r->shared != NULL)
		(void)munmap(r->shared, r->shared_size);
	memset(r, 0, sizeof(*r));
}
