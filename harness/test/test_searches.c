/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an exhaustive search leaves out is nothing that the model could see: of
 * two executions with the same sim_hash() the model was told the same, in the
 * same order. All scenarios, all schedules of a few deviations.
 */
#include "broken_test.h"

#include <dirent.h>
#include <stdlib.h>

#include "explore/explore.h"

struct seen {
	uint64_t happened, told; /* sim_hash(), run_result.hash */
};

/* A trace's world, with the hash of what happens in every execution. */
struct world {
	struct explore_world base;
	struct explore_trace trace;
	struct seen *seen;
	size_t n, cap;
};

static void
execute(struct explore_world *base, const struct explore_how *how,
    struct run_result *ret_r)
{
	struct world *w = (struct world *)(void *)base;
	struct explore_how with = *how;

	with.hash = true;
	w->trace.world.execute(&w->trace.world, &with, ret_r);
	if (ret_r->status != RUN_CLEAN)
		return;
	if (w->n == w->cap) {
		w->cap = w->cap == 0 ? 4096 : w->cap * 2;
		w->seen = realloc(w->seen, w->cap * sizeof(*w->seen));
		assert_non_null(w->seen);
	}
	w->seen[w->n++] = (struct seen) { sim_hash(), ret_r->hash };
}

static int
by_happened(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return (x->happened != y->happened ?
		(x->happened < y->happened ? -1 : 1) :
		(x->told > y->told) - (x->told < y->told));
}

/* How many are equal to another in what happened. */
static size_t
compare(struct world *w, const char *name, enum trace_memory memory)
{
	size_t i, same = 0;

	qsort(w->seen, w->n, sizeof(*w->seen), by_happened);
	for (i = 1; i < w->n; i++) {
		if (w->seen[i].happened != w->seen[i - 1].happened)
			continue;
		same++;
		if (w->seen[i].told != w->seen[i - 1].told)
			fail_msg("%s, %s: the same has happened, and the model "
				 "was told something else",
			    name, trace_memory_name(memory));
	}
	return (same);
}

static size_t
explore_file(const char *path, const char *name, enum trace_memory memory)
{
	struct run_options run = { .subject = healthy };
	struct explore_options o = { .kind = EXPLORE_BOUND,
		.memory = memory,
		.jobs = 1,
		.runs = 2500,
		.bound = 2,
		.points_max = 100000 };
	struct world w = { .base = { execute } };
	struct trace_reader *reader;
	struct trace_error error;
	struct explore e;
	struct trace t;
	size_t same;

	assert_int_equal(trace_reader_open(&reader, path, &error), 0);
	assert_int_equal(trace_load(&t, reader, &error), 0);
	o.may = t.header.may;
	explore_trace_world(&w.trace, &t, &run);
	assert_int_equal(explore_init(&e, &w.base, &o), 0);
	if (explore_go(&e) != RUN_CLEAN)
		fail_msg("%s: %s", name, e.result.finding.signature);
	same = compare(&w, name, memory);
	explore_fini(&e);
	trace_fini(&t);
	trace_reader_close(reader);
	free(w.seen);
	return (same);
}

static void
what_has_happened_is_what_was_told(void **state)
{
	static const enum trace_memory memories[] = { TRACE_MEMORY_SC,
		TRACE_MEMORY_TSO, TRACE_MEMORY_C11 };
	const char *root = getenv("KALAB_SOURCE_ROOT");
	size_t same = 0, files = 0, i;
	char folder[4096], path[4500];
	struct dirent *entry;
	DIR *dir;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/corpus/scenarios",
	    root == NULL ? "." : root);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(
		    path, sizeof(path), "%s/%s", folder, entry->d_name);
		for (i = 0; i < TRACE_MEMORY_COUNT; i++)
			same += explore_file(path, entry->d_name, memories[i]);
		files++;
	}
	(void)closedir(dir);
	assert_true(files > 40);
	assert_true(same > 1000); /* else nothing was compared */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_happened_is_what_was_told),
	};

	return (cmocka_run_group_tests(tests, setup, NULL));
}
