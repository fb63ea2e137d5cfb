/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulation backend of port.h. Threads are fibers of one OS thread; the
 * functions declared here are the simulation's (harness/sim). Every primitive
 * is a schedule point *before* it acts; what only gives something up (leaving
 * a section, unlocking) is none, since nobody could tell. While the schedule
 * is the plain one (ka_sim_armed is 0) a point costs one test.
 *
 * Who calls is known to the source line (struct ka_site): it is what the story
 * of a run tells.
 *
 * What is stored may stay in the CPU's store buffer for a while (TSO), and a
 * load may see an older value (C11): the simulation's part is then to say what
 * is seen, and the plain access here is not used.
 */
#ifndef KA_PORT_SIM_H
#define KA_PORT_SIM_H

#if defined(__SANITIZE_THREAD__)
#define KA_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KA_TSAN 1
#endif
#endif

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
	KA_SIM_HELD,
	KA_SIM_SLEEP,
	KA_SIM_WAKE,
	KA_SIM_POINT_COUNT
};

/* What the port keeps for itself is not the library's: ThreadSanitizer is told
 * of locks and sections (sim_sync.h), and these are no races. */
#define KA_SIM_RARE(x)	 __builtin_expect(KA_SIM_GET(x) != 0, 0)
#define KA_SIM_GET(x)	 __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define KA_SIM_SET(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

struct ka_site {
	const char *file, *function;
	unsigned line;
};

#define KA_HERE                                                                \
	({                                                                     \
		static const struct ka_site ka_here = { __FILE__, __func__,    \
			__LINE__ };                                            \
		&ka_here;                                                      \
	})

extern int ka_sim_armed; /* may the schedule be another than the plain one? */
extern int ka_sim_weak; /* may memory be weaker than sequentially consistent? */
extern struct ka_cpu *ka_sim_cpu; /* of the running fiber */
extern uint8_t ka_sim_in_section; /* the running fiber is in a section */
extern uint32_t ka_sim_locks;	  /* locks that it holds */
struct ka_mutex;
extern const struct ka_mutex *ka_sim_lock_last; /* that it took last */
extern uint64_t ka_sim_value; /* what ka_sim_load says that is seen */
/* Of the running fiber: locks that it took, atomic read-modify-writes, fences
 * and sequentially consistent accesses: what a fast path does without. */
extern uint32_t ka_sim_shared;

void ka_sim_point(
    enum ka_sim_point, const volatile void *obj, const struct ka_site *);
/* True: the load sees ka_sim_value. */
bool ka_sim_load(const volatile void *, size_t, int order);
/* True: it was stored, or will be. */
bool ka_sim_store(volatile void *, size_t, uint64_t value, int order);
/* The same, of what nobody else can look at yet: no schedule point. */
bool ka_sim_init(volatile void *, size_t, uint64_t value);
/* Before and after an atomic read-modify-write; wrote: it was no
 * compare-and-swap that failed, which is a load. */
void ka_sim_rmw(volatile void *, size_t);
void ka_sim_rmw_done(volatile void *, size_t, bool wrote);
void ka_sim_fence(bool all); /* of the CPU, or of all CPUs */

#define KA_SIM_AT(kind, obj, site)                                             \
	do {                                                                   \
		if (KA_SIM_RARE(ka_sim_armed))                                 \
			ka_sim_point((kind), (obj), (site));                   \
	} while (0)

#define KA_SIM_SHARES() KA_SIM_SET(ka_sim_shared, KA_SIM_GET(ka_sim_shared) + 1)

#define ka_load(p, order)                                                      \
	({                                                                     \
		KA_SIM_AT(KA_SIM_LOAD, (p), KA_HERE);                          \
		if ((order) == SEQ_CST)                                        \
			KA_SIM_SHARES();                                       \
		__auto_type ka_loaded = __atomic_load_n((p), (order));         \
		if (KA_SIM_RARE(ka_sim_weak) &&                                \
		    ka_sim_load((p), sizeof(*(p)), (order)))                   \
			__builtin_memcpy(                                      \
			    &ka_loaded, &ka_sim_value, sizeof(*(p)));          \
		ka_loaded;                                                     \
	})
#define ka_store(p, v, order)                                                  \
	do {                                                                   \
		__typeof__(*(p) + 0) ka_stored = (v);                          \
		uint64_t ka_bits = 0;                                          \
		KA_SIM_AT(KA_SIM_STORE, (p), KA_HERE);                         \
		if ((order) == SEQ_CST)                                        \
			KA_SIM_SHARES();                                       \
		__builtin_memcpy(&ka_bits, &ka_stored, sizeof(*(p)));          \
		if (!KA_SIM_RARE(ka_sim_weak) ||                               \
		    !ka_sim_store((p), sizeof(*(p)), ka_bits, (order)))        \
			__atomic_store_n((p), ka_stored, (order));             \
	} while (0)
#define ka_init(p, v)                                                          \
	do {                                                                   \
		__typeof__(*(p) + 0) ka_stored = (v);                          \
		uint64_t ka_bits = 0;                                          \
		__builtin_memcpy(&ka_bits, &ka_stored, sizeof(*(p)));          \
		if (!KA_SIM_RARE(ka_sim_armed) ||                              \
		    !ka_sim_init((p), sizeof(*(p)), ka_bits))                  \
			__atomic_store_n((p), ka_stored, __ATOMIC_RELAXED);    \
	} while (0)
#define KA_SIM_RMW_OF(p, expr, wrote)                                          \
	({                                                                     \
		KA_SIM_AT(KA_SIM_RMW, (p), KA_HERE);                           \
		KA_SIM_SHARES();                                               \
		if (KA_SIM_RARE(ka_sim_weak))                                  \
			ka_sim_rmw((p), sizeof(*(p)));                         \
		__auto_type ka_result = (expr);                                \
		if (KA_SIM_RARE(ka_sim_weak))                                  \
			ka_sim_rmw_done((p), sizeof(*(p)), (wrote));           \
		ka_result;                                                     \
	})
#define ka_cas(p, old, new)                                                    \
	KA_SIM_RMW_OF((p),                                                     \
	    __atomic_compare_exchange_n(                                       \
		(p), (old), (new), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE), \
	    ka_result)
#define ka_xchg(p, v)                                                          \
	KA_SIM_RMW_OF(                                                         \
	    (p), __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL), true)
#define ka_add(p, v)                                                           \
	KA_SIM_RMW_OF((p), __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL), true)

#define ka_fence()                                                             \
	do {                                                                   \
		KA_SIM_AT(KA_SIM_FENCE, NULL, KA_HERE);                        \
		KA_SIM_SHARES();                                               \
		if (KA_SIM_RARE(ka_sim_weak))                                  \
			ka_sim_fence(false);                                   \
	} while (0)
#define ka_fence_heavy()                                                       \
	do {                                                                   \
		KA_SIM_AT(KA_SIM_FENCE, NULL, KA_HERE);                        \
		KA_SIM_SHARES();                                               \
		if (KA_SIM_RARE(ka_sim_weak))                                  \
			ka_sim_fence(true);                                    \
	} while (0)

/* Whoever waits in a loop can go on only when somebody else has run. */
void ka_sim_pause(const struct ka_site *);
/* What is told is seen at once: no store buffer or history holds it. */
void ka_sim_tell(const struct ka_cpu *);
#define ka_tell(cpu)                                                           \
	do {                                                                   \
		if (KA_SIM_RARE(ka_sim_armed))                                 \
			ka_sim_tell(cpu);                                      \
	} while (0)
#define ka_look(cpu) KA_SIM_AT(KA_SIM_LOAD, (cpu), KA_HERE)

#define ka_pause() ka_sim_pause(KA_HERE)

struct ka_section {
	uint8_t busy;
};

KA_INLINE struct ka_section *
ka_section_of(struct ka_cpu *cpu)
{
	return ((struct ka_section *)(void *)((char *)cpu + KA_SECTION_AT));
}

/* A section's own store and load are in the memory model like any other. */
#define ka_section_enter() ka_sim_section_enter(KA_HERE)
KA_INLINE struct ka_cpu *
ka_sim_section_enter(const struct ka_site *site)
{
	KA_SIM_AT(KA_SIM_SECTION, NULL, site);
	KA_SIM_SET(ka_sim_in_section, 1);
	if (!KA_SIM_RARE(ka_sim_weak) ||
	    !ka_sim_store(&ka_section_of(KA_SIM_GET(ka_sim_cpu))->busy, 1, 1,
		__ATOMIC_RELAXED))
		__atomic_store_n(&ka_section_of(KA_SIM_GET(ka_sim_cpu))->busy,
		    1, __ATOMIC_RELAXED);
	return (KA_SIM_GET(ka_sim_cpu));
}

KA_INLINE void
ka_section_exit(struct ka_cpu *cpu)
{
	if (!KA_SIM_RARE(ka_sim_weak) ||
	    !ka_sim_store(&ka_section_of(cpu)->busy, 1, 0, __ATOMIC_RELEASE))
		__atomic_store_n(
		    &ka_section_of(cpu)->busy, 0, __ATOMIC_RELEASE);
	KA_SIM_SET(ka_sim_in_section, 0);
}

#define ka_section_busy(cpu)                                                   \
	(ka_load(&ka_section_of(cpu)->busy, __ATOMIC_ACQUIRE) != 0)

KA_INLINE struct ka_cpu *
ka_cpu_self(void)
{
	return (KA_SIM_GET(ka_sim_cpu));
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

extern uint32_t ka_sim_self; /* running thread; UINT32_MAX: none */
void ka_sim_lock_slow(struct ka_mutex *, const struct ka_site *);
void ka_sim_unlock_slow(struct ka_mutex *);
/* While armed: a lock was taken, or is about to be given back. */
void ka_sim_locked(struct ka_mutex *, const struct ka_site *);
void ka_sim_unlocking(struct ka_mutex *);

KA_INLINE void
ka_mutex_init(struct ka_mutex *m, const char *name)
{
	m->owner = 0;
	m->waiters = 0;
	m->name = name;
}

/* The name of one that is no more, until it is made again. */
extern const char ka_sim_ended[];

KA_INLINE void
ka_mutex_fini(struct ka_mutex *m)
{
	m->name = ka_sim_ended;
}

#define ka_mutex_lock(m) ka_sim_mutex_lock((m), KA_HERE)
KA_INLINE void
ka_sim_mutex_take(struct ka_mutex *m, const struct ka_site *site)
{
	/* Who is no thread looks on, and leaves a thread its lock. */
	KA_SIM_SET(
	    m->owner, KA_SIM_GET(m->owner) | (KA_SIM_GET(ka_sim_self) + 1));
	KA_SIM_SET(ka_sim_locks, KA_SIM_GET(ka_sim_locks) + 1);
	KA_SIM_SET(ka_sim_lock_last, m);
	if (KA_SIM_RARE(ka_sim_armed))
		ka_sim_locked(m, site);
}

KA_INLINE void
ka_sim_mutex_lock(struct ka_mutex *m, const struct ka_site *site)
{
	KA_SIM_AT(KA_SIM_LOCK, m, site);
	KA_SIM_SHARES();
	if (KA_UNLIKELY(KA_SIM_GET(m->owner) != 0))
		ka_sim_lock_slow(m, site);
	ka_sim_mutex_take(m, site);
}

KA_INLINE void
ka_mutex_unlock(struct ka_mutex *m)
{
	if (KA_SIM_RARE(ka_sim_armed))
		ka_sim_unlocking(m);
	if (KA_LIKELY(KA_SIM_GET(m->owner) == KA_SIM_GET(ka_sim_self) + 1))
		KA_SIM_SET(m->owner, 0);
	KA_SIM_SET(ka_sim_locks, KA_SIM_GET(ka_sim_locks) - 1);
	if (KA_UNLIKELY(KA_SIM_GET(m->waiters) != 0))
		ka_sim_unlock_slow(m);
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

void ka_sim_sleep(struct ka_chan *, struct ka_mutex *, const struct ka_site *);
void ka_sim_wake(struct ka_chan *, bool one, const struct ka_site *);
#define ka_chan_sleep(c, m) ka_sim_sleep((c), (m), KA_HERE)
#define ka_chan_wake_all(c) ka_sim_wake((c), false, KA_HERE)

/* Who spins is not runnable either. */
struct ka_spin {
	struct ka_mutex m;
};

KA_INLINE void
ka_spin_init(struct ka_spin *s, const char *name)
{
	ka_mutex_init(&s->m, name);
}

#define ka_spin_lock(s) ka_sim_mutex_lock(&(s)->m, KA_HERE)
#define ka_spin_try(s)	ka_sim_mutex_try(&(s)->m, KA_HERE)

/* Whoever waits for a lock need not see it held; who tries it has to: so there
 * is a point where it is. */
KA_INLINE bool
ka_sim_mutex_try(struct ka_mutex *m, const struct ka_site *site)
{
	KA_SIM_AT(KA_SIM_LOCK, m, site);
	KA_SIM_SHARES();
	if (KA_UNLIKELY(KA_SIM_GET(m->owner) != 0))
		return (false);
	ka_sim_mutex_take(m, site);
	KA_SIM_AT(KA_SIM_HELD, NULL, site);
	return (true);
}

KA_INLINE void
ka_spin_unlock(struct ka_spin *s)
{
	ka_mutex_unlock(&s->m);
}

/* No schedule point, and no event: what it tells of is under a lock. */
extern int ka_sim_commits; /* is anybody told? */
void ka_sim_commit(
    enum ka_commit_kind, enum ka_commit_what, const void *object, uint64_t n);
#define ka_commit(kind, what, object, n)                                       \
	do {                                                                   \
		if (KA_SIM_RARE(ka_sim_commits))                               \
			ka_sim_commit((kind), (what), (object), (n));          \
	} while (0)

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
	return (t->id >> 16 == KA_SIM_GET(ka_sim_self));
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
