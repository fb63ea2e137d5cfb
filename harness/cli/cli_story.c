/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The story of a run: a line for each change of thread and for each thing else
 * that the schedule did, with the place in the library's source.
 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

/* "lib/kmalloc.c:412", wherever it was compiled from. */
static void
put_place(const char *file, const char *function, uint32_t line)
{
	const char *at;

	if (file == NULL) {
		(void)printf("its beginning");
		return;
	}
	at = file;
	while (strncmp(at, "../", 3) == 0)
		at += 3;
	(void)printf("%s", at);
	if (line != 0)
		(void)printf(":%" PRIu32 " (%s)", line, function);
}

static void
put_thread(uint32_t thread)
{
	if (thread < TRACE_THREADS_MAX)
		(void)printf("thread %" PRIu32, thread);
	else
		(void)printf(
		    "support thread %" PRIu32, thread - TRACE_THREADS_MAX);
}

static void
put_op(const struct run_step *s)
{
	char text[256];

	if (s->op == NULL)
		return;
	trace_op_format(s->header, s->op, text, sizeof(text));
	(void)printf(", line %" PRIu64 ": %s", s->op->line, text);
}

/* What became of the one that ran before. */
static void
put_before(const struct run_step *s)
{
	static const char *const whys[] = {
		[RUN_WHY_FIRST] = "",
		[RUN_WHY_DONE] = " has ended its operation",
		[RUN_WHY_PREEMPTED] = " is preempted at ",
		[RUN_WHY_SPINS] = " waits in a loop at ",
		[RUN_WHY_LOCK] = " waits for a lock at ",
		[RUN_WHY_SLEEPS] = " sleeps at ",
	};

	if (s->why == RUN_WHY_FIRST)
		return;
	put_thread(s->before);
	(void)printf("%s", whys[s->why]);
	if (s->why != RUN_WHY_DONE)
		put_place(s->before_file, s->before_function, s->before_line);
	(void)printf("; ");
}

static void
put_deviation(const struct run_step *s)
{
	const uint32_t n = s->deviation.n;

	switch (s->deviation.what) {
	case TRACE_DEVIATE_FLUSH:
		(void)printf(
		    "the oldest store of CPU %" PRIu32 " reaches memory", n);
		break;
	case TRACE_DEVIATE_MIGRATE:
		put_thread(s->thread);
		(void)printf(" goes to CPU %" PRIu32, n);
		break;
	case TRACE_DEVIATE_WAKE:
		put_thread(n);
		(void)printf(" wakes for no reason");
		break;
	case TRACE_DEVIATE_DELAY:
		(void)printf("the store stays in the CPU's buffer");
		break;
	case TRACE_DEVIATE_READ:
		(void)printf(
		    "the load sees a store %" PRIu32 " before the newest", n);
		break;
	case TRACE_DEVIATE_INSERT:
		(void)printf(
		    "the store comes before the %" PRIu32 " newest", n);
		break;
	case TRACE_DEVIATE_FAIL:
		(void)printf("the page allocation fails");
		break;
	case TRACE_DEVIATE_SOLO:
		put_thread(s->thread);
		(void)printf(" runs alone to its operation's end");
		break;
	default:
		put_thread(n);
		(void)printf(" is to run");
	}
	(void)printf(", ");
	put_thread(s->thread);
	(void)printf(" at ");
	put_place(s->file, s->function, s->file_line);
	(void)printf("\n");
}

void
cli_story(void *arg, const struct run_step *s)
{
	(void)arg;
	(void)printf("  ");
	if (s->kind == RUN_STEP_DEVIATION) {
		put_deviation(s);
		return;
	}
	put_before(s);
	put_thread(s->thread);
	if (s->file == NULL) {
		(void)printf(" begins");
		put_op(s);
	} else {
		(void)printf(" goes on at ");
		put_place(s->file, s->function, s->file_line);
	}
	(void)printf("\n");
}
