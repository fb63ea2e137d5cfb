/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The explorer as a searcher of kalab defects: each scenario under all
 * schedules without a deviation, then each with one, and so on, until the
 * budget is used up. Scenarios are worlds of the library's protocols; what
 * fails under the ordinary schedule is found by the first round. Large worlds
 * do not keep it from small ones: each has a second at first, and eight times
 * as many when all have had theirs.
 */
#include "cli_defects.h"

#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MAX 4u
#define WORD(s)	  ((char *)(uintptr_t)(s))

/* "...: 81 executions, ..." */
static uint64_t
executions(const char *text)
{
	const char *at = strstr(text, " executions");
	uint64_t n = 0, unit = 1;

	while (at != NULL && at > text && at[-1] >= '0' && at[-1] <= '9') {
		n += (uint64_t)(*--at - '0') * unit;
		unit *= 10;
	}
	return (n);
}

/* True: it is found, or the program cannot be run. */
static bool
explore_one(struct defect *d, const char *dir, const char *scenario,
    unsigned bound, double left, bool *ret_complete)
{
	char program[PATH_MAX], out[PATH_MAX], text[4096];
	char deviations[16], seconds[32];
	const char *base = strrchr(scenario, '/') + 1;
	char *argv[] = { program, WORD("explore"), WORD("--quiet"),
		WORD("--check"), WORD("wgl"), WORD("--audit"),
		WORD(AUDIT_EVERY), WORD("--bound"), deviations, WORD("--time"),
		seconds, WORD("--keep"), WORD(dir), WORD(scenario), NULL };
	int status;

	(void)snprintf(program, sizeof(program), "%.3900s/kalab", dir);
	(void)snprintf(out, sizeof(out), "%.3900s/explore.out", dir);
	(void)snprintf(deviations, sizeof(deviations), "%u", bound);
	(void)snprintf(
	    seconds, sizeof(seconds), "%u", left < 1 ? 1 : (unsigned)left);
	status = defects_program(argv, NULL, out);
	defects_text(out, text, sizeof(text));
	d->executions += executions(text);
	*ret_complete = strstr(text, ": complete, ") != NULL;
	if (status == 0)
		return (false);
	if (status == 2 || status == 127) {
		(void)snprintf(d->why, sizeof(d->why), "%.*s",
		    (int)strcspn(text, "\n"), text);
		d->state = DEFECT_INTERRUPTED;
		return (true);
	}
	d->state = DEFECT_FOUND;
	if (!defects_clause(d, text))
		(void)snprintf(d->clause, sizeof(d->clause), "died");
	(void)snprintf(d->trace, sizeof(d->trace), "%.3800s/%.*s-found.trace",
	    dir, (int)strcspn(base, "."), base);
	return (true);
}

void
defects_explore(const struct defects *c, struct defect *d, const char *dir)
{
	const double began = cli_now();
	char pattern[PATH_MAX];
	double left;
	bool end = false, *complete;
	unsigned bound, most = 0;
	double slice;
	glob_t g;
	size_t i;

	(void)snprintf(pattern, sizeof(pattern),
	    "%.3900s/corpus/scenarios/*.trace", c->source);
	if (glob(pattern, 0, NULL, &g) != 0) {
		(void)snprintf(
		    d->why, sizeof(d->why), "there are no scenarios");
		d->state = DEFECT_NOT_BUILT;
		return;
	}
	complete = calloc(g.gl_pathc * (BOUND_MAX + 1), sizeof(*complete));
	if (complete == NULL) {
		(void)snprintf(d->why, sizeof(d->why), "out of memory");
		d->state = DEFECT_NOT_BUILT;
		globfree(&g);
		return;
	}
	d->state = DEFECT_NOT_FOUND;
	for (slice = 1; !end; slice *= 8) {
		end = true; /* unless something is left to complete */
		for (i = 0; i < g.gl_pathc * (BOUND_MAX + 1); i++) {
			if (complete[i])
				continue;
			bound = (unsigned)(i / g.gl_pathc);
			left = (double)c->budget - (cli_now() - began);
			end = left <= 0 ||
			    explore_one(d, dir, g.gl_pathv[i % g.gl_pathc],
				bound, left < slice ? left : slice,
				&complete[i]);
			if (bound > most)
				most = bound;
			if (end)
				break;
		}
	}
	free(complete);
	globfree(&g);
	d->seconds = cli_now() - began;
	if (d->state == DEFECT_NOT_FOUND)
		(void)snprintf(
		    d->why, sizeof(d->why), "up to %u deviations", most);
}
