/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A schedule that was drawn, as the fewest deviations from the ordinary one.
 * Done in a child, as everything that runs a failing trace is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "explore/explore.h"
#include "shrink_int.h"

#define DEVIATIONS_MAX 4096u /* that a trace may have */
#define POINTS_MAX     1000000u

struct answer {
	bool done;
	uint32_t n;
	struct explore_fewest fewest;
	struct trace_deviation deviation[DEVIATIONS_MAX];
};

/* The deviations of the trace's own schedule, if that shows the signature. */
static struct trace_deviation *
own(const struct trace *t, const struct run_options *options,
    const char *signature, uint32_t *ret_n)
{
	struct run_options o = { .subject = options->subject,
		.contents = options->contents,
		.audit_every = options->audit_every,
		.orders = options->orders,
		.record = true };
	static struct run_result r;
	struct trace_deviation *d;
	struct run_source source;
	struct run_mem mem;

	source = run_source_mem(&mem, t);
	run(&source, &o, &r);
	if (r.status != RUN_FINDING ||
	    strcmp(r.finding.signature, signature) != 0 ||
	    r.ndeviations > DEVIATIONS_MAX)
		return (NULL);
	d = calloc((size_t)r.ndeviations + 1, sizeof(*d));
	if (d != NULL && r.ndeviations != 0)
		memcpy(d, r.deviation, r.ndeviations * sizeof(*d));
	*ret_n = r.ndeviations;
	return (d);
}

static void
child(const struct trace *t, const struct shrink_options *options,
    const char *signature, struct answer *a)
{
	struct run_options run = { .subject = options->run.subject,
		.contents = options->run.contents,
		.audit_every = options->run.audit_every,
		.orders = options->run.orders,
		.points_max = options->run.points_max };
	struct explore_options o = { .memory = t->header.memory,
		.may = t->header.may,
		.jobs = 1,
		.points_max = run.points_max != 0 ? run.points_max : POINTS_MAX,
		.stop = options->stop,
		.now = shrink__now };
	struct explore_trace w;
	struct trace_deviation *d;
	uint32_t n = 0;

	d = own(t, &run, signature, &n);
	if (d == NULL)
		return;
	if (options->seconds > 0)
		o.until = shrink__now() + options->seconds;
	explore_trace_world(&w, t, &run);
	if (explore_fewest(&w.world, &o, signature, &d, &n, &a->fewest) != 0 ||
	    n > DEVIATIONS_MAX)
		return;
	memcpy(a->deviation, d, n * sizeof(*d));
	a->n = n;
	a->done = true;
}

static bool
take(struct trace *t, const struct answer *a)
{
	struct trace_header *h = &t->header;
	struct trace_deviation *d = NULL;

	if (a->n != 0) {
		d = malloc(a->n * sizeof(*d));
		if (d == NULL)
			return (false);
		memcpy(d, a->deviation, a->n * sizeof(*d));
	}
	free(h->deviation);
	h->deviation = d;
	h->ndeviations = a->n;
	h->sched = TRACE_SCHED_RECORDED;
	h->sched_seed = 0;
	h->sticky = 1;
	return (true);
}

bool
shrink_fewest(struct trace *t, const struct shrink_options *options,
    const char *signature, struct shrink_deviations *ret_d)
{
	struct answer *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool done = false;
	int status;
	pid_t pid;

	memset(ret_d, 0, sizeof(*ret_d));
	if (a == MAP_FAILED)
		return (false);
	pid = fork();
	if (pid == 0) {
		child(t, options, signature, a);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (pid > 0 && a->done && a->n <= DEVIATIONS_MAX)
		done = take(t, a);
	if (done) {
		ret_d->n = a->n;
		ret_d->proven = a->fewest.proven;
		ret_d->executions = a->fewest.executions;
	}
	(void)munmap(a, sizeof(*a));
	return (done);
}
