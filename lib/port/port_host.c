/* SPDX-License-Identifier: BSD-2-Clause */
/* The host backend of port.h: what is not inline. */
#define _GNU_SOURCE
#include "port.h"

#include <execinfo.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_once_t port_once = PTHREAD_ONCE_INIT;
static pthread_key_t port_exit_key;
static void (*port_exit_fn)(struct ka_cpu *);
static bool port_have_membarrier;

#define PORT_SPIN_MAX 64u /* of port_relax(): some microseconds */

static void
port_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

static void
port_thread_exit(void *cpu)
{
	port_exit_fn(cpu);
}

static void
port_init(void)
{
	(void)pthread_key_create(&port_exit_key, port_thread_exit);
	port_have_membarrier =
	    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
		0, 0) == 0;
}

void
ka_port_on_exit(void (*fn)(struct ka_cpu *))
{
	(void)pthread_once(&port_once, port_init);
	port_exit_fn = fn;
}

void
ka_port_bind(struct ka_cpu *cpu, bool spare)
{
	(void)pthread_once(&port_once, port_init);
	ka_tls_cpu = cpu;
	(void)pthread_setspecific(port_exit_key, spare ? NULL : cpu);
}

void
ka_mutex_init(struct ka_mutex *m, const char *name)
{
	pthread_mutexattr_t attr;

	(void)name;
	(void)pthread_mutexattr_init(&attr);
	(void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	(void)pthread_mutex_init(&m->m, &attr);
	(void)pthread_mutexattr_destroy(&attr);
}

/*
 * Longer and longer pauses between looks: the holder keeps the line, and does
 * what else it has to do under the lock meanwhile. It may have been preempted,
 * so that in the end the processor is given away.
 */
void
ka_spin_wait(struct ka_spin *s)
{
	unsigned i, pauses = 1;

	do {
		while (ka_load(&s->busy, RELAXED) != 0) {
			for (i = 0; i < pauses; i++)
				port_relax();
			if (pauses < PORT_SPIN_MAX)
				pauses *= 2;
			else
				(void)sched_yield();
		}
	} while (ka_xchg(&s->busy, 1) != 0);
}

static void *
port_thread_main(void *arg)
{
	struct ka_thread *t = arg;

	t->fn(t->arg);
	return (NULL);
}

/* Signals are the program's: none is delivered here. */
int
ka_thread_start(
    struct ka_thread *t, const char *name, void (*fn)(void *), void *arg)
{
	sigset_t all, old;
	int error;

	t->fn = fn;
	t->arg = arg;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&t->t, NULL, port_thread_main, t);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error == 0)
		(void)pthread_setname_np(t->t, name);
	return (error);
}

void
ka_thread_join(struct ka_thread *t)
{
	int cancel;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	(void)pthread_join(t->t, NULL);
	(void)pthread_setcancelstate(cancel, &cancel);
}

#ifndef KA_TSAN
/*
 * Where membarrier(2) is missing, a change of protection of a page that all
 * threads map makes the kernel interrupt every CPU that runs one of them,
 * which is a full barrier there (the fallback of liburcu's early days).
 */
static void
port_fence_mprotect(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char *page;
	size_t size = (size_t)sysconf(_SC_PAGESIZE);

	(void)pthread_mutex_lock(&lock);
	if (page == NULL) {
		page = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		/* unreached: at the first fence, without which nothing goes. */
		if (page == MAP_FAILED)
			ka_os_abort();
	}
	(void)mprotect(page, size, PROT_READ | PROT_WRITE);
	*(volatile char *)page = 1;
	(void)mprotect(page, size, PROT_READ);
	(void)pthread_mutex_unlock(&lock);
}
#endif

void
ka_fence_heavy(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#ifndef KA_TSAN
	if (!port_have_membarrier ||
	    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) !=
		0)
		port_fence_mprotect();
#endif
}

/* What is not a multiple of a page cannot be cut off behind. */
static size_t
port_whole_pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return ((bytes + page - 1) & ~(page - 1));
}

void *
ka_os_reserve(enum ka_os_use use, size_t bytes, size_t align, bool *ret_fresh)
{
	size_t head;
	char *p;

	(void)use;
	bytes = port_whole_pages(bytes);
	p = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return (NULL);
	head = (align - ((uintptr_t)p & (align - 1))) & (align - 1);
	if (head != 0)
		(void)munmap(p, head);
	(void)munmap(p + head + bytes, align - head);
	*ret_fresh = true;
	return (p + head);
}

void
ka_os_release(enum ka_os_use use, void *p, size_t bytes)
{
	(void)use;
	(void)munmap(p, port_whole_pages(bytes));
}

void *
ka_os_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return (p == MAP_FAILED ? NULL : p);
}

void
ka_os_unmap(void *p, size_t bytes)
{
	(void)munmap(p, bytes);
}

unsigned
ka_os_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return (n < 1 ? 1 : (unsigned)n);
}

uint64_t
ka_os_seconds(void)
{
	struct timespec t = { 0, 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec);
}

unsigned
ka_os_backtrace(void **frames, unsigned max)
{
	return ((unsigned)backtrace(frames, (int)max));
}

void
ka_os_write_error(const char *line)
{
	size_t len = strlen(line);

	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, line, len);

		if (n <= 0)
			return;
		line += n;
		len -= (size_t)n;
	}
}

void
ka_os_abort(void)
{
	abort();
}
