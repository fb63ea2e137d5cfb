/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulation backend of port.h. Threads are fibers of one OS thread; the
 * functions declared here are the simulation's (harness/sim). Every primitive
 * is a schedule point *before* it acts. While the schedule preempts nobody
 * (ka_sim_armed is 0) a point costs one test.
 */
#ifndef KA_PORT_SIM_H
#define KA_PORT_SIM_H

#define RELAXED __ATOMIC_RELAXED
#define ACQUIRE __ATOMIC_ACQUIRE
#define RELEASE __ATOMIC_RELEASE
#define SEQ_CST __ATOMIC_SEQ_CST

enum ka_sim_point {
	KA_SIM_SECTION,
	KA_SIM_LOAD,
	KA_SIM_STORE,
	KA_SIM_RMW,
	KA_SIM_FENCE,
	KA_SIM_PAUSE,
	KA_SIM_LOCK,
	KA_SIM_UNLOCK,
	KA_SIM_SLEEP,
	KA_SIM_WAKE,
	KA_SIM_OP,
	KA_SIM_POINT_COUNT
};

extern int ka_sim_armed;	  /* may the schedule preempt? */
extern struct ka_cpu *ka_sim_cpu; /* of the running fiber */
extern uint8_t ka_sim_in_section; /* the running fiber is in a section */
void ka_sim_point(enum ka_sim_point, const volatile void *obj);

#define KA_SIM_AT(kind, obj)                                                   \
	do {                                                                   \
		if (KA_UNLIKELY(ka_sim_armed))                                 \
			ka_sim_point((kind), (obj));                           \
	} while (0)

#define ka_load(p, order)                                                      \
	({                                                                     \
		KA_SIM_AT(KA_SIM_LOAD, (p));                                   \
		__atomic_load_n((p), order);                                   \
	})
#define ka_store(p, v, order)                                                  \
	do {                                                                   \
		KA_SIM_AT(KA_SIM_STORE, (p));                                  \
		__atomic_store_n((p), (v), order);                             \
	} while (0)
#define ka_cas(p, old, new)                                                    \
	({                                                                     \
		KA_SIM_AT(KA_SIM_RMW, (p));                                    \
		__atomic_compare_exchange_n((p), (old), (new), false,          \
		    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);                       \
	})
#define ka_xchg(p, v)                                                          \
	({                                                                     \
		KA_SIM_AT(KA_SIM_RMW, (p));                                    \
		__atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL);               \
	})
#define ka_add(p, v)                                                           \
	({                                                                     \
		KA_SIM_AT(KA_SIM_RMW, (p));                                    \
		__atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL);                \
	})

KA_INLINE void
ka_fence(void)
{
	KA_SIM_AT(KA_SIM_FENCE, NULL);
}

/* Whoever waits in a loop can go on only when somebody else has run. */
void ka_sim_pause(void);
KA_INLINE void
ka_pause(void)
{
	ka_sim_pause();
}

struct ka_section {
	uint8_t busy;
};

KA_INLINE struct ka_section *
ka_section_of(struct ka_cpu *cpu)
{
	return ((struct ka_section *)(void *)((char *)cpu + KA_SECTION_AT));
}

KA_INLINE struct ka_cpu *
ka_section_enter(void)
{
	KA_SIM_AT(KA_SIM_SECTION, NULL);
	ka_sim_in_section = 1;
	ka_section_of(ka_sim_cpu)->busy = 1;
	return (ka_sim_cpu);
}

KA_INLINE void
ka_section_exit(struct ka_cpu *cpu)
{
	ka_section_of(cpu)->busy = 0;
	ka_sim_in_section = 0;
	KA_SIM_AT(KA_SIM_SECTION, cpu);
}

KA_INLINE bool
ka_section_busy(struct ka_cpu *cpu)
{
	KA_SIM_AT(KA_SIM_LOAD, cpu);
	return (ka_section_of(cpu)->busy != 0);
}

KA_INLINE struct ka_cpu *
ka_cpu_self(void)
{
	return (ka_sim_cpu);
}

KA_INLINE void
ka_fence_heavy(void)
{
	KA_SIM_AT(KA_SIM_FENCE, NULL);
}

struct ka_mutex {
	uint32_t owner; /* thread + 1, 0: free */
	uint32_t waiters;
	const char *name;
};
struct ka_chan {
	uint32_t sleepers;
	const char *name;
};

#define KA_MUTEX_INITIALIZER                                                   \
	{                                                                      \
		0, 0, "static"                                                 \
	}

void ka_sim_lock_slow(struct ka_mutex *);
void ka_sim_unlock_slow(struct ka_mutex *);
extern uint32_t ka_sim_self; /* running thread; UINT32_MAX: none */

KA_INLINE void
ka_mutex_init(struct ka_mutex *m, const char *name)
{
	m->owner = 0;
	m->waiters = 0;
	m->name = name;
}

KA_INLINE void
ka_mutex_fini(struct ka_mutex *m)
{
	(void)m;
}

KA_INLINE void
ka_mutex_lock(struct ka_mutex *m)
{
	KA_SIM_AT(KA_SIM_LOCK, m);
	if (KA_UNLIKELY(m->owner != 0))
		ka_sim_lock_slow(m);
	m->owner = ka_sim_self + 1;
}

KA_INLINE void
ka_mutex_unlock(struct ka_mutex *m)
{
	m->owner = 0;
	if (KA_UNLIKELY(m->waiters != 0))
		ka_sim_unlock_slow(m);
	KA_SIM_AT(KA_SIM_UNLOCK, m);
}

KA_INLINE bool
ka_mutex_owned(struct ka_mutex *m)
{
	return (m->owner == ka_sim_self + 1);
}

KA_INLINE void
ka_chan_init(struct ka_chan *c, const char *name)
{
	c->sleepers = 0;
	c->name = name;
}

KA_INLINE void
ka_chan_fini(struct ka_chan *c)
{
	(void)c;
}

void ka_chan_sleep(struct ka_chan *, struct ka_mutex *);
void ka_chan_wake_all(struct ka_chan *);

/* Who spins is not runnable either. */
struct ka_spin {
	struct ka_mutex m;
};

KA_INLINE void
ka_spin_init(struct ka_spin *s, const char *name)
{
	ka_mutex_init(&s->m, name);
}

KA_INLINE void
ka_spin_lock(struct ka_spin *s)
{
	ka_mutex_lock(&s->m);
}

KA_INLINE bool
ka_spin_try(struct ka_spin *s)
{
	ka_mutex_lock(&s->m);
	return (true);
}

KA_INLINE void
ka_spin_unlock(struct ka_spin *s)
{
	ka_mutex_unlock(&s->m);
}

/* A thread of the library is one more fiber. Outside of any, joining forgets
 * it: it goes with the run. */
struct ka_thread {
	uint32_t id;
};

int ka_thread_start(
    struct ka_thread *, const char *name, void (*fn)(void *), void *arg);
void ka_thread_join(struct ka_thread *);

KA_INLINE bool
ka_thread_is_self(const struct ka_thread *t)
{
	return (t->id >> 16 == ka_sim_self);
}

/* Virtual CPUs are the simulation's: nothing to bind, no thread exits. */
void ka_sim_cpus(struct ka_cpu *first, size_t stride, unsigned n);

void *ka_os_reserve(
    enum ka_os_use, size_t bytes, size_t align, bool *ret_fresh);
void ka_os_release(enum ka_os_use, void *p, size_t bytes);
void *ka_os_map(size_t bytes);
void ka_os_unmap(void *p, size_t bytes);
unsigned ka_os_cpus(void);
KA_INLINE uint64_t
ka_os_seconds(void)
{
	return (0);
}
unsigned ka_os_backtrace(void **frames, unsigned max);
void ka_os_write_error(const char *line);
void ka_os_abort(void) __attribute__((noreturn));

#endif
