/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole of what is done to a trace that fails; and one run of a trace. */
#include <errno.h>
#include <string.h>

#include "shrink_int.h"

#define PIN_SECONDS 20 /* for the fewest deviations, at most */

/*
 * A schedule that is drawn moves whenever an operation goes; deviations do not.
 * So the trace, small as it is, gets its schedule as deviations, and then there
 * may be more to leave out.
 */
static enum shrink_status
pin(struct trace *t, const struct shrink_options *options,
    struct shrink_result *r, struct shrink_deviations *ret_d)
{
	struct shrink_options o = *options;
	struct shrink_deviations d;
	static struct shrink_result again;
	enum shrink_status status;
	char signature[sizeof(r->signature)];

	memcpy(signature, r->signature, sizeof(signature));
	if (o.seconds == 0 || o.seconds > PIN_SECONDS)
		o.seconds = PIN_SECONDS;
	if (o.twice || !shrink_fewest(t, &o, signature, &d))
		return (SHRINK_DONE);
	status = shrink(t, options, &again);
	if (status != SHRINK_DONE && status != SHRINK_STOPPED)
		return (status);
	again.ops_before = r->ops_before;
	again.runs += r->runs + d.executions;
	again.seconds += r->seconds;
	*r = again;
	if (status == SHRINK_DONE && t->header.ndeviations != 0 &&
	    shrink_fewest(t, &o, signature, ret_d))
		r->runs += ret_d->executions;
	return (status);
}

enum shrink_status
shrink_pinned(struct trace *t, const struct shrink_options *o,
    struct shrink_result *ret_r, struct shrink_deviations *ret_d)
{
	enum shrink_status status;

	memset(ret_d, 0, sizeof(*ret_d));
	status = shrink(t, o, ret_r);
	if (status == SHRINK_DONE && t->header.sched != TRACE_SCHED_RECORDED)
		status = pin(t, o, ret_r, ret_d);
	return (status);
}

void
shrink_judge(const struct trace *t, const struct shrink_options *o,
    struct shrink_verdict *ret_v)
{
	struct shrink__variant variant;
	struct shrink__server s;
	uint32_t which;
	int error;

	memset(ret_v, 0, sizeof(*ret_v));
	error = shrink__server_open(&s, o, t);
	if (error != 0) {
		ret_v->outcome = SHRINK_CANNOT;
		trace_error_set(
		    &ret_v->error, "kalab", 0, 0, "%s", strerror(error));
		return;
	}
	s.cold = s.told = true;
	shrink__variant_of(&t->header, &variant);
	(void)shrink__server_run(
	    &s, &t->header, t->op, t->nops, &variant, 1, NULL, ret_v, &which);
	shrink__server_close(&s);
}
