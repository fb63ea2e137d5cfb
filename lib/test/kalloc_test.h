/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the unit tests of the library share: a panic handler that jumps back,
 * boot and halt with the checks that belong to them, and threads with a time
 * limit. Threads other than the first may not use cmocka's assertions: they
 * have must().
 */
#ifndef KALLOC_TEST_H
#define KALLOC_TEST_H

#define _GNU_SOURCE
#include <kalloc/kmalloc.h>
#include <kalloc/mpipe.h>
#include <kalloc/objcache.h>
#include <kalloc/uma.h>
#include <kalloc/vm_page.h>
#include <kalloc/zone.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef KALLOC_TEST_MAPS
#include <errno.h>
#include <sys/mman.h>
#endif

#include <cmocka.h>

/* No variable changes between setjmp() and longjmp() here. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wclobbered"
#endif

#define COUNT_OF(a) (sizeof(a) / sizeof(*(a)))
#define TIME_LIMIT  20 /* seconds, of what must not block for ever */

#define must(cond)                                                             \
	do {                                                                   \
		if (!(cond)) {                                                 \
			(void)fprintf(                                         \
			    stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                               \
		}                                                              \
	} while (0)

/* The last panic of this thread. */
struct caught {
	enum ka_why why;
	const void *addr;
	bool has_trail;
	struct ka_trail trail;
	char message[256];
};
static __thread struct caught caught;
static __thread jmp_buf caught_env;
static __thread bool caught_armed;

/* Where results go that nobody looks at. */
static __thread void *volatile sink;

static inline void
catch_panic(const struct ka_panic_info *info)
{
	if (!caught_armed) {
		(void)fprintf(stderr, "unexpected panic: %s: %s\n",
		    ka_why_name(info->why), info->message);
		abort();
	}
	caught.why = info->why;
	caught.addr = info->addr;
	caught.has_trail = info->trail != NULL;
	if (info->trail != NULL)
		caught.trail = *info->trail;
	(void)snprintf(
	    caught.message, sizeof(caught.message), "%s", info->message);
	longjmp(caught_env, 1);
}

/* The name of the reason of the panic that an expression ends in. */
#define why_of(expr)                                                           \
	({                                                                     \
		memset(&caught, 0, sizeof(caught));                            \
		caught_armed = true;                                           \
		if (setjmp(caught_env) == 0) {                                 \
			expr;                                                  \
		}                                                              \
		caught_armed = false;                                          \
		ka_why_name(caught.why);                                       \
	})
#define assert_why(id, expr)                                                   \
	assert_string_equal(why_of(expr), ka_why_name(KA_WHY_##id))

static inline void
audit(void)
{
	const char *found = "", *id = vm_page_audit(&found);

	if (id == NULL)
		id = kmalloc_audit(&found);
	if (id == NULL)
		id = objcache_audit(&found);
	if (id == NULL)
		id = mpipe_audit(&found);
	if (id == NULL)
		id = uma_audit(&found);
	if (id != NULL)
		fail_msg("%s: %s", id, found);
}

static inline void
boot(const struct kalloc_config *config)
{
	(void)ka_panic_set_handler(catch_panic);
	if (kalloc_is_up()) /* a test before this one failed */
		(void)kalloc_halt(true, NULL, NULL);
	assert_int_equal(kalloc_boot(config), 0);
	assert_true(kalloc_is_up());
	audit();
}

static inline struct vm_page_stats
vm_stats(void)
{
	struct vm_page_stats s;

	vm_page_stats(&s);
	return (s);
}

static inline size_t
vm_free_pages(void)
{
	return (vm_stats().free);
}

static inline struct kmalloc_stats
stats(struct malloc_type *type)
{
	struct kmalloc_stats s;

	kmalloc_type_stats(type, &s);
	return (s);
}

static inline struct uma_zone_stats
zstats(uma_zone_t zone)
{
	struct uma_zone_stats s;

	uma_zone_get_stats(zone, &s);
	return (s);
}

static inline void
report_leak(void *arg, const struct kalloc_leak *leak)
{
	(void)arg;
	print_error("leak: %s: %llu objects, %llu bytes\n", leak->name,
	    (unsigned long long)leak->count, (unsigned long long)leak->bytes);
}

/* Nothing may be left: G-1, G-8. */
static inline void
halt(void)
{
	struct vm_page_stats s;

	audit();
	(void)kmalloc_trim();
	audit();
	s = vm_stats();
	assert_int_equal(s.free, s.pages);
	assert_int_equal(kalloc_halt(false, report_leak, NULL), 0);
	assert_false(kalloc_is_up());
}

/* A system in which a type may have all memory: only pages are short. */
static inline void
boot_for(struct malloc_type *type, unsigned ncpus, size_t pages, unsigned debug)
{
	const struct kalloc_config config = {
		.ncpus = ncpus, .pages = pages, .debug = debug
	};

	boot(&config);
	kmalloc_raise_limit(type, pages * 8192);
}

static inline void
halt_unused(struct malloc_type *type)
{
	struct kmalloc_stats s = stats(type);

	assert_int_equal(s.inuse, 0);
	assert_int_equal(s.memuse, 0);
	halt();
}

static inline bool
all_are(const void *p, int value, size_t n)
{
	const unsigned char *c = p;
	size_t i;

	for (i = 0; i < n; i++)
		if (c[i] != (unsigned char)value)
			return (false);
	return (true);
}

static inline uint32_t
next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return (*state);
}

static inline pthread_t
thread_start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	must(pthread_create(&t, NULL, fn, arg) == 0);
	return (t);
}

static inline void
time_is_up(int sig)
{
	static const char says[] = "a thread does not end in time\n";

	(void)sig;
	(void)!write(STDERR_FILENO, says, sizeof(says) - 1);
	_exit(1);
}

/* A thread that does not end in time has lost a wake-up (G-5). */
static inline void
thread_join(pthread_t t)
{
	(void)signal(SIGALRM, time_is_up);
	(void)alarm(TIME_LIMIT);
	must(pthread_join(t, NULL) == 0);
	(void)alarm(0);
}

static inline void
thread_run(void *(*fn)(void *), void *arg)
{
	thread_join(thread_start(fn, arg));
}

static inline void
sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* Waits until a condition holds; false when the time limit passes first. */
#define wait_until(cond)                                                       \
	({                                                                     \
		unsigned wait_ms = 0;                                          \
		while (!(cond) && wait_ms++ < TIME_LIMIT * 1000u)              \
			sleep_ms(1);                                           \
		(cond);                                                        \
	})

#ifdef KALLOC_TEST_MAPS
/*
 * For programs that are linked with --wrap=mmap and --wrap=mmap64: what the
 * library maps. The so-manieth call from when `maps` was 0 is refused. A hook
 * is called once, when something is mapped next: what another thread does then.
 * The first from when `nmapped` was 0 are in `mapped`. With --wrap=munmap, and
 * KALLOC_TEST_UNMAPS, `mapped_bytes` is what has not been given back. Several
 * threads may map at a time.
 */
void *__real_mmap64(void *, size_t, int, int, int, off_t);
void *__wrap_mmap64(void *, size_t, int, int, int, off_t);
void *__wrap_mmap(void *, size_t, int, int, int, off_t);

static atomic_uint maps, refuse_map;
static void (*_Atomic map_hook)(void);
static void *mapped[16];
static atomic_uint nmapped;
#ifdef KALLOC_TEST_UNMAPS
static _Atomic(int64_t) mapped_bytes;
#endif

void *
__wrap_mmap64(void *addr, size_t bytes, int prot, int flags, int fd, off_t off)
{
	void (*hook)(void) = NULL;
	unsigned n;

	if (atomic_load(&map_hook) != NULL)
		hook = atomic_exchange(&map_hook, NULL);
	if (hook != NULL)
		hook();
	if (refuse_map != 0 && ++maps == refuse_map) {
		errno = ENOMEM;
		return (MAP_FAILED);
	}
	addr = __real_mmap64(addr, bytes, prot, flags, fd, off);
#ifdef KALLOC_TEST_UNMAPS
	mapped_bytes += (int64_t)bytes;
#endif
	if (nmapped < COUNT_OF(mapped)) {
		n = atomic_fetch_add(&nmapped, 1);
		if (n < COUNT_OF(mapped))
			mapped[n] = addr;
	}
	return (addr);
}

void *
__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t off)
{
	return (__wrap_mmap64(addr, bytes, prot, flags, fd, off));
}

#ifdef KALLOC_TEST_UNMAPS
int __real_munmap(void *, size_t);
int __wrap_munmap(void *, size_t);

int
__wrap_munmap(void *addr, size_t bytes)
{
	mapped_bytes -= (int64_t)bytes;
	return (__real_munmap(addr, bytes));
}
#endif
#endif

#endif
