/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: the host backend, where the host is another than this one: without
 * membarrier(2), with many CPUs or an unknown number, without standard error.
 * Method: what the library calls is wrapped. Started with an argument the first
 * call of membarrier(2) fails as well, the one that registers.
 */
#include "kalloc_test.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cpu.h"

MALLOC_DEFINE(M_PORT, "port-test", "the type of these tests");

/* ---- What is wrapped -------------------------------------------------- */

static atomic_bool no_membarrier;
static long cpus_online; /* 0: as it is */

long __real_syscall(long, ...);
long __wrap_syscall(long, ...);
long __real_sysconf(int);
long __wrap_sysconf(int);

long
__wrap_syscall(long number, ...)
{
	va_list ap;
	long a, b, c;

	va_start(ap, number);
	a = va_arg(ap, int);
	b = va_arg(ap, int);
	c = va_arg(ap, int);
	va_end(ap);
	if (number == SYS_membarrier && no_membarrier) {
		errno = ENOSYS;
		return (-1);
	}
	return (__real_syscall(number, a, b, c));
}

long
__wrap_sysconf(int name)
{
	return (name == _SC_NPROCESSORS_ONLN && cpus_online != 0 ?
		cpus_online :
		__real_sysconf(name));
}

/* ---- Fences ----------------------------------------------------------- */

static atomic_bool stop;

static void *
use_own_cpu(void *arg)
{
	atomic_uint *turns = arg;
	void *p;

	while (!stop) {
		p = kmalloc(64, M_PORT, M_WAITOK);
		must(p != NULL);
		memset(p, 0x5a, 64);
		kfree(p, M_PORT);
		(*turns)++;
	}
	return (NULL);
}

/* Visitors exclude owners: two who are at a CPU would take one chunk twice. */
static void
visits(void)
{
	atomic_uint turns = 0;
	pthread_t t;
	unsigned i;

	boot_for(M_PORT, 2, 256, 0);
	stop = false;
	t = thread_start(use_own_cpu, &turns);
	assert_true(wait_until(turns > 0));
	for (i = 0; i < 2000; i++)
		(void)kmalloc_trim();
	stop = true;
	thread_join(t);
	assert_int_equal(stats(M_PORT).calls, turns);
	halt_unused(M_PORT);
}

static void
visitors_exclude_owners_without_membarrier(void **state)
{
	(void)state;
	no_membarrier = true;
	visits();
	no_membarrier = false;
}

static void
visitors_exclude_owners(void **state)
{
	(void)state;
	visits();
}

static unsigned dekker_flag[2], dekker_saw[2];
static pthread_barrier_t dekker_barrier;

static void *
dekker_main(void *arg)
{
	unsigned me = arg != NULL, i;

	for (i = 0; i < 2000; i++) {
		(void)pthread_barrier_wait(&dekker_barrier);
		ka_store(&dekker_flag[me], 1, RELAXED);
		ka_fence();
		dekker_saw[me] = ka_load(&dekker_flag[!me], RELAXED);
		(void)pthread_barrier_wait(&dekker_barrier);
		if (me == 0) {
			must(dekker_saw[0] + dekker_saw[1] != 0);
			dekker_flag[0] = dekker_flag[1] = 0;
		}
	}
	return (NULL);
}

/* Store, fence, load: one of two sees the other (Dekker). */
static void
fences_are_full(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_barrier_init(&dekker_barrier, NULL, 2), 0);
	t = thread_start(dekker_main, &stop);
	(void)dekker_main(NULL);
	thread_join(t);
	(void)pthread_barrier_destroy(&dekker_barrier);
}

/* ---- The machine ------------------------------------------------------ */

static void
cpus_follow_the_machine(void **state)
{
	static const struct {
		long online;
		unsigned cpus;
	} of[] = { { -1, 2 }, { 1, 2 }, { 3, 6 }, { 128, 256 }, { 129, 256 },
		{ 100000, 256 } };
	const struct kalloc_config config = { .pages = 256 };
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT_OF(of); i++) {
		cpus_online = of[i].online;
		boot(&config);
		assert_int_equal(cpu_count, of[i].cpus);
		halt();
	}
	cpus_online = 0;
}

/* A panic that nobody can be told of still aborts. */
static void
panics_end_without_standard_error(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		(void)close(STDERR_FILENO);
		(void)ka_panic_set_handler(NULL);
		malloc_init(M_PORT);
		kfree(NULL, M_PORT);
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(visitors_exclude_owners),
		cmocka_unit_test(visitors_exclude_owners_without_membarrier),
		cmocka_unit_test(fences_are_full),
		cmocka_unit_test(cpus_follow_the_machine),
		cmocka_unit_test(panics_end_without_standard_error),
	};

	(void)argv;
	no_membarrier = argc > 1;
	return (cmocka_run_group_tests_name("port", tests, NULL, NULL));
}
