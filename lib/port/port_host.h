/* SPDX-License-Identifier: BSD-2-Clause */
/* The host backend of port.h: POSIX threads on Linux. */
#ifndef KA_PORT_HOST_H
#define KA_PORT_HOST_H

#include <pthread.h>

#define RELAXED __ATOMIC_RELAXED
#define ACQUIRE __ATOMIC_ACQUIRE
#define RELEASE __ATOMIC_RELEASE
#define SEQ_CST __ATOMIC_SEQ_CST

/*
 * In a stress build (harness/stress) a function is called where the simulation
 * has its schedule points: before each access to shared memory, section, lock,
 * sleep and wake-up. It delays. In any other build there is nothing.
 */
#ifdef KA_PORT_STRESS
void ka_stress_point(void);
#define KA_POINT()  ka_stress_point()
#define KA_AT(expr) (ka_stress_point(), (expr))
#else
#define KA_POINT()  ((void)0)
#define KA_AT(expr) expr
#endif

#define ka_load(p, order)     KA_AT(__atomic_load_n((p), order))
#define ka_store(p, v, order) KA_AT(__atomic_store_n((p), (v), order))
#define ka_init(p, v)	      __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ka_cas(p, old, new)                                                    \
	KA_AT(__atomic_compare_exchange_n(                                     \
	    (p), (old), (new), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
#define ka_xchg(p, v) KA_AT(__atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL))
#define ka_add(p, v)  KA_AT(__atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL))

#define ka_tell(cpu) ((void)0)
#define ka_look(cpu) KA_POINT()

KA_INLINE void
ka_fence(void)
{
	KA_POINT();
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

KA_INLINE void
ka_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
	extern int sched_yield(void);
	(void)sched_yield();
}

/*
 * The thread's CPU. Never NULL: a thread without one has one here whose key
 * opens nothing; it shares the system's spare CPU (cpu.h). A shared library
 * reaches it with one load more (initial-exec), the static one with none
 * (local-exec).
 */
#if defined(__PIC__) && !defined(__PIE__)
#define KA_TLS_MODEL __attribute__((tls_model("initial-exec")))
#else
#define KA_TLS_MODEL __attribute__((tls_model("local-exec")))
#endif
extern __thread struct ka_cpu *ka_tls_cpu KA_TLS_MODEL;

struct ka_section {
	uint8_t busy;
};

KA_INLINE struct ka_section *
ka_section_of(struct ka_cpu *cpu)
{
	return ((struct ka_section *)(void *)((char *)cpu + KA_SECTION_AT));
}

#if defined(__SANITIZE_THREAD__)
#define KA_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KA_TSAN 1
#endif
#endif

/*
 * ThreadSanitizer does not know membarrier(2): there a section is a spin
 * lock, and it checks that all else follows from sections excluding.
 */
KA_INLINE struct ka_cpu *
ka_section_enter(void)
{
	struct ka_cpu *cpu = ka_tls_cpu;
	struct ka_section *s = ka_section_of(cpu);

	KA_POINT();
#ifdef KA_TSAN
	while (__atomic_exchange_n(&s->busy, 1, __ATOMIC_ACQUIRE) != 0)
		ka_pause();
#else
	__atomic_store_n(&s->busy, 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
#endif
	return (cpu);
}

KA_INLINE void
ka_section_exit(struct ka_cpu *cpu)
{
	struct ka_section *s = ka_section_of(cpu);

	__atomic_store_n(&s->busy, 0, __ATOMIC_RELEASE);
}

KA_INLINE bool
ka_section_busy(struct ka_cpu *cpu)
{
	struct ka_section *s = ka_section_of(cpu);

	KA_POINT();
	return (__atomic_load_n(&s->busy, __ATOMIC_ACQUIRE) != 0);
}

struct ka_cpu *ka_cpu_self(void); /* cpu.c */

void ka_fence_heavy(void);

struct ka_mutex {
	pthread_mutex_t m;
};
struct ka_chan {
	pthread_cond_t c;
};

#define KA_MUTEX_INITIALIZER                                                   \
	{                                                                      \
		PTHREAD_MUTEX_INITIALIZER                                      \
	}

/* Held for less time than it takes to sleep: whoever finds it taken spins for a
 * while first. */
void ka_mutex_init(struct ka_mutex *, const char *name);

KA_INLINE void
ka_mutex_fini(struct ka_mutex *m)
{
	(void)pthread_mutex_destroy(&m->m);
}

KA_INLINE void
ka_mutex_lock(struct ka_mutex *m)
{
	KA_POINT();
	(void)pthread_mutex_lock(&m->m);
}

KA_INLINE void
ka_mutex_unlock(struct ka_mutex *m)
{
	(void)pthread_mutex_unlock(&m->m);
}

KA_INLINE void
ka_chan_init(struct ka_chan *c, const char *name)
{
	(void)name;
	(void)pthread_cond_init(&c->c, NULL);
}

KA_INLINE void
ka_chan_fini(struct ka_chan *c)
{
	(void)pthread_cond_destroy(&c->c);
}

KA_INLINE void
ka_chan_sleep(struct ka_chan *c, struct ka_mutex *m)
{
	int cancel;

	KA_POINT();
	/* It would be cancelled with the mutex held, and never give it up. */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	(void)pthread_cond_wait(&c->c, &m->m);
	(void)pthread_setcancelstate(cancel, &cancel);
}

KA_INLINE void
ka_chan_wake_all(struct ka_chan *c)
{
	KA_POINT();
	(void)pthread_cond_broadcast(&c->c);
}

struct ka_spin {
	uint32_t busy;
};

KA_INLINE void
ka_spin_init(struct ka_spin *s, const char *name)
{
	(void)name;
	s->busy = 0;
}

void ka_spin_wait(struct ka_spin *);

KA_INLINE bool
ka_spin_try(struct ka_spin *s)
{
	return (ka_xchg(&s->busy, 1) == 0);
}

KA_INLINE void
ka_spin_lock(struct ka_spin *s)
{
	if (KA_UNLIKELY(!ka_spin_try(s)))
		ka_spin_wait(s);
}

KA_INLINE void
ka_spin_unlock(struct ka_spin *s)
{
	ka_store(&s->busy, 0, RELEASE);
}

#define ka_commit(kind, what, object, n) ((void)0)

struct ka_thread {
	pthread_t t;
	void (*fn)(void *);
	void *arg;
};

int ka_thread_start(
    struct ka_thread *, const char *name, void (*fn)(void *), void *arg);
void ka_thread_join(struct ka_thread *);

KA_INLINE bool
ka_thread_is_self(const struct ka_thread *t)
{
	return (pthread_equal(t->t, pthread_self()) != 0);
}

/* Called by the backend when a thread that has a CPU exits. */
void ka_port_on_exit(void (*fn)(struct ka_cpu *));
/* Makes the calling thread's CPU cpu. The spare CPU needs no exit call. */
void ka_port_bind(struct ka_cpu *cpu, bool spare);

void *ka_os_reserve(
    enum ka_os_use, size_t bytes, size_t align, bool *ret_fresh);
void ka_os_release(enum ka_os_use, void *p, size_t bytes);
void *ka_os_map(size_t bytes);
void ka_os_unmap(void *p, size_t bytes);
unsigned ka_os_cpus(void);
uint64_t ka_os_seconds(void);
unsigned ka_os_backtrace(void **frames, unsigned max);
void ka_os_write_error(const char *line);
void ka_os_abort(void) __attribute__((noreturn));

#endif
