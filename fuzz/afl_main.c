/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AFL++'s build of a target: persistent, inputs in shared memory. With
 * arguments it is the replay driver. LOOP executions are of one process; the
 * next one begins with memory that is new.
 *
 * AFL++'s runtime forks a process that executes inputs, the *worker*, and
 * relays: the word to go on is a signal to the worker, and the worker's stop is
 * a status that the *server* waited for. Of an execution of 60 us, 25 went into
 * these. Here the worker speaks with afl-fuzz itself, over the server's pipes:
 * it reads the word, and writes what the server would write, while the server
 * waits. The server is the one who speaks when the worker has ended: it says how,
 * and forks another.
 *
 * What is said, four bytes each (AFL++'s afl-forkserver.c): the word; the
 * worker's number; its status. The number of the next execution is written
 * along with the status of the one before, so that afl-fuzz is woken once.
 *
 * afl-fuzz kills a worker that takes too long, 20 ms at least, and the server
 * says so. If the worker had come to an end just then, there would be a status
 * too many, and every later one be taken for that of another input: of an
 * execution that took LONG the end is relayed.
 */
#include "fuzz_target.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOP	   1000000u
#define LONG	   UINT64_C(5000000) /* nanoseconds */
#define FORKSRV_FD 198		     /* AFL++'s: words; the next one: answers */

__AFL_FUZZ_INIT();

/* AFL++'s runtime: the map, and how much of it is used. */
extern uint8_t *__afl_area_ptr;
extern uint32_t __afl_map_size;

static int words = -1, answers = -1; /* the worker's own; -1: none */

/* That an edge was taken counts, not how often: how much there is to be cleared
 * when the library begins, for one, follows the input before. */
static void
forget_counts(void)
{
	uint8_t *const map = __afl_area_ptr;
	const uint32_t n = __afl_map_size;

	for (uint32_t i = 0; i < n; i++)
		map[i] = map[i] != 0;
}

/* Before the server starts: the worker closes what it inherits. */
static void
keep_pipes(void)
{
	words = fcntl(FORKSRV_FD, F_DUPFD_CLOEXEC, FORKSRV_FD + 2);
	answers = fcntl(FORKSRV_FD + 1, F_DUPFD_CLOEXEC, FORKSRV_FD + 2);
}

/*
 * The first execution is announced by the server, which may not have come to it
 * when the worker has done it. After that it sleeps. False: nobody can tell.
 */
static bool
server_sleeps(void)
{
	char name[64], line[512], *at;
	ssize_t n;
	int fd;

	(void)snprintf(name, sizeof(name), "/proc/%ld/stat", (long)getppid());
	fd = open(name, O_RDONLY | O_CLOEXEC);
	for (;;) {
		n = pread(fd, line, sizeof(line) - 1, 0);
		line[n > 0 ? n : 0] = '\0';
		at = strrchr(line, ')'); /* a name may have anything in it */
		if (at == NULL || strncmp(at, ") S", 3) == 0)
			break;
		(void)sched_yield();
	}
	if (fd >= 0)
		(void)close(fd);
	return (at != NULL);
}

/* The execution has ended, and there is another one to be done. */
static bool
next_of_worker(void)
{
	static uint32_t done;
	const int32_t said[2] = { 0, (int32_t)getpid() };
	uint32_t word;

	if (++done == LOOP)
		return (false); /* how it ended is the server's to say */
	if (write(answers, said, sizeof(said)) != sizeof(said) ||
	    read(words, &word, sizeof(word)) != sizeof(word))
		_exit(0);      /* afl-fuzz is gone */
	__afl_area_ptr[0] = 1; /* as its runtime does: the map is alive */
	return (true);
}

static uint64_t
nanoseconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
}

static bool
next(void)
{
	static enum {
		NONE,
		FIRST, /* the server has announced the execution */
		RELAYED,
		OWN
	} way;
	static uint64_t began;
	const bool is_long = nanoseconds() - began >= LONG;
	bool more;

	if (way == NONE || (way == OWN && is_long))
		way = FIRST;
	else if (way == FIRST && !is_long)
		way = words >= 0 && answers >= 0 && server_sleeps() ? OWN :
								      RELAYED;
	more = way == OWN ? next_of_worker() : __AFL_LOOP(LOOP) != 0;
	began = nanoseconds();
	return (more);
}

int
main(int argc, char **argv)
{
	const uint8_t *data;

	if (argc > 1)
		return (fuzz_replay_main(argc, argv));
	keep_pipes();
	__AFL_INIT();
	(void)LLVMFuzzerInitialize(&argc, &argv);
	data = __AFL_FUZZ_TESTCASE_BUF;
	while (next()) {
		const ssize_t size = __AFL_FUZZ_TESTCASE_LEN;

		(void)LLVMFuzzerTestOneInput(data, (size_t)size);
		forget_counts();
	}
	return (0);
}
