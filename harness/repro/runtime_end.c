/* ---- When nothing is under way ------------------------------------------- */

static void
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
		shown("invariant %s is broken: %s", id, found);
}

static void
compare(const char *what, unsigned n, uint64_t told, uint64_t counted)
{
	if (told != counted)
		shown("%s %u: the library says %llu, there are %llu (G-7)",
		    what, n, (unsigned long long)told,
		    (unsigned long long)counted);
}

static void
compare_type(unsigned n)
{
	struct kmalloc_stats s;
	uint64_t held = 0, bytes = 0;

	if (m[n].type == NULL || m[n].shared)
		return;
	for (unsigned i = 0; i < objects; i++)
		if (p[i].held && p[i].owner == OWNER_KMALLOC && p[i].of == n) {
			held++;
			bytes += p[i].size;
		}
	kmalloc_type_stats(m[n].type, &s);
	compare("objects of type", n, s.inuse, held);
	if (DEBUG == 0)
		compare("bytes of type", n, s.memuse, bytes);
	if (panicked == 0 && !m[n].moved)
		compare("calls of type", n, s.calls, m[n].calls);
}

static void
compare_owners(void)
{
	struct objcache_stats cache;
	struct uma_zone_stats zone;
	struct mpipe_stats pipe;

	for (unsigned i = 0; i < CACHES; i++)
		if (c[i].alive) {
			objcache_get_stats(c[i].cache, &cache);
			compare(
			    "objects held of cache", i, cache.used, c[i].held);
			if (!c[i].selfed)
				compare("failures of cache", i, cache.failed,
				    c[i].nulls);
		}
	for (unsigned i = 0; i < PIPES; i++)
		if (q[i].alive && q[i].pipe.mp_private != NULL) {
			mpipe_get_stats(&q[i].pipe, &pipe);
			compare("buffers held of pipe", i,
			    pipe.total - pipe.free, q[i].held);
		}
	for (unsigned i = 0; i < ZONES; i++)
		if (z[i].alive) {
			uma_zone_get_stats(z[i].zone, &zone);
			compare("items held of zone", i, zone.used, z[i].held);
			compare("maximum of zone", i,
			    (uint64_t)uma_zone_get_max(z[i].zone),
			    (uint64_t)z[i].max);
			if (!z[i].selfed) {
				compare("requests of zone", i, zone.requests,
				    z[i].calls);
				compare("failures of zone", i, zone.failures,
				    z[i].nulls);
			}
		}
}

/* Every earlier step has ended: what is told is what was counted. */
static void
quiesce(void)
{
	audit();
	for (unsigned i = 0; i < TYPES; i++)
		compare_type(i);
	compare_owners();
	for (unsigned i = 0; i < objects; i++)
		if (p[i].held)
			check_contents(&p[i]);
	for (unsigned i = 0; i < runs; i++)
		if (g[i].held)
			check_contents(&g[i]);
}

static void
give_back(struct object *o)
{
	if (!o->held)
		return;
	gives(o);
	if (o->owner == OWNER_KMALLOC)
		kfree(o->addr, m[o->of].type);
	else if (o->owner == OWNER_CACHE)
		objcache_put(c[o->of].cache, o->addr);
	else if (o->owner == OWNER_PIPE)
		mpipe_free(&q[o->of].pipe, o->addr);
	else if (o->owner == OWNER_ZONE)
		uma_zfree(z[o->of].zone, o->addr);
	else if (o->owner == OWNER_VMZONE)
		zfree(b[o->of].vmzone, o->addr);
	else
		vm_page_free(o->addr, o->size / KA_PAGE_SIZE);
}

/*
 * Buffers came back: who is to be called back is. Nobody sleeps meanwhile, so
 * that the step is not taken for one that does.
 */
static void
await_callbacks(struct owned *w)
{
	const time_t end = time(NULL) + 10;
	struct mpipe_stats s;

	while (w->pipe.mp_private != NULL && time(NULL) < end) {
		mpipe_get_stats(&w->pipe, &s);
		if (s.pending == 0)
			return;
		(void)sched_yield();
	}
}

/* All is given back and ended: no page may be missing (G-8). */
static void
drain(void)
{
	struct vm_page_stats s;

	doing = "when all is given back";
	for (unsigned i = 0; i < objects; i++)
		if (p[i].held &&
		    (p[i].owner != OWNER_KMALLOC || m[p[i].of].type != NULL))
			give_back(&p[i]);
	for (unsigned i = 0; i < runs; i++)
		give_back(&g[i]);
	for (unsigned i = 0; i < CACHES; i++)
		if (c[i].alive)
			objcache_destroy(c[i].cache);
	for (unsigned i = 0; i < PIPES; i++) {
		await_callbacks(&q[i]);
		mpipe_done(&q[i].pipe);
	}
	for (unsigned i = ZONES; i-- > 0;) /* secondary ones first */
		if (z[i].alive)
			uma_zdestroy(z[i].zone);
	uma_reclaim(UMA_RECLAIM_DRAIN_CPU);
	(void)kmalloc_trim();
	audit();
	vm_page_stats(&s);
	if (VMZONES == 0 && ENDED_TYPES == 0 && !lost && s.free != free_at_boot)
		shown("%zu pages are free, %zu were after boot (G-8)", s.free,
		    free_at_boot);
}

/* ---- Pages that fail ----------------------------------------------------- */

#if FAULTS
static unsigned long page_calls;
static bool drained;

/* splitmix64 */
static __attribute__((unused)) uint64_t
draw(uint64_t *state)
{
	uint64_t r = (*state += UINT64_C(0x9e3779b97f4a7c15));

	r = (r ^ r >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	r = (r ^ r >> 27) * UINT64_C(0x94d049bb133111eb);
	return (r ^ r >> 31);
}

static enum vm_observe
page_try(void *arg, size_t npages, size_t align, unsigned flags)
{
	enum vm_observe verdict = VM_OBSERVE_PASS;

	(void)arg;
	(void)npages;
	(void)align;
	(void)flags;
	page_calls++;
	if (drained)
		return (verdict);
	FAULT_LINES
	return (verdict);
}
#endif

/* ---- Steps --------------------------------------------------------------- */

enum expect {
	EXPECT_ANY,	 /* what the checks above say */
	EXPECT_NOT_NULL, /* an address */
	EXPECT_REFUSED,	 /* NULL, a panic, or it sleeps */
	EXPECT_PANIC,	 /* one of `panics`, bits 1 << why */
	EXPECT_RETURN,	 /* it does not stay asleep */
	EXPECT_NO_PANIC	 /* none of `panics` */
};

static const struct step {
	void (*run)(void);
	const char *line; /* of the trace */
	unsigned thread, cpu;
	bool sleeps; /* others go on while it sleeps */
	bool stays;  /* it was asleep at the end, when it was recorded */
	enum expect expect;
	uint32_t panics;
} steps[STEPS];

static __thread jmp_buf panic_to;
static __thread bool panic_armed;
static __thread enum ka_why panic_why;

static void
on_panic(const struct ka_panic_info *info)
{
	if (!panic_armed || info->why == KA_WHY_ASSERT)
		shown("panic %s: %s", ka_why_name(info->why), info->message);
	panic_why = info->why;
	longjmp(panic_to, 1);
}

static void
on_signal(int sig)
{
	(void)dprintf(STDOUT_FILENO,
	    "shown: %s\n  %s %d\n  finding: " FINDING "\n", doing,
	    sig == SIGALRM ? "no end: signal" : "the process dies of signal",
	    sig);
	_exit(STATUS_SHOWN);
}

static void
catch_signals(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP,
		SIGABRT, SIGALRM };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		(void)signal(signals[i], on_signal);
	(void)alarm(SECONDS);
}

/* What a pointer to what was given back is refused for; or not, if the memory
 * is another's by then. */
#define STALE                                                                  \
	(1u << KA_WHY_DOUBLE_FREE | 1u << KA_WHY_FOREIGN |                     \
	    1u << KA_WHY_INTERIOR | 1u << KA_WHY_WRONG_TYPE |                  \
	    1u << KA_WHY_NULL_FREE | 1u << KA_WHY_WRONG_ZONE)

static void __attribute__((noreturn)) not_shown(const char *why)
{
	(void)printf("not shown: %s\n  %s\n", doing, why);
	(void)fflush(stdout);
	_exit(STATUS_NOT_SHOWN);
}

/* A request of it may be refused, also by a sound library. */
static bool
some_type_is_full(void)
{
	struct kmalloc_stats s;

	for (unsigned i = 0; i < TYPES; i++) {
		if (m[i].type == NULL)
			continue;
		kmalloc_type_stats(m[i].type, &s);
		if (s.memuse >= s.limit)
			return (true);
	}
	return (false);
}

static void
judge(const struct step *s, enum ka_why why)
{
	if (s->expect == EXPECT_PANIC) {
		if ((s->panics >> why & 1) == 0)
			shown("%s%s, where the call is misuse",
			    why == 0 ? "a normal return" : "panic ",
			    why == 0 ? "" : ka_why_name(why));
	} else if (s->expect == EXPECT_NO_PANIC) {
		if (why != KA_WHY_NONE && (s->panics >> why & 1) != 0)
			shown("panic %s, where the call is legal",
			    ka_why_name(why));
	} else if (why != KA_WHY_NONE && (s->panics >> why & 1) == 0 &&
	    why != KA_WHY_LIMIT && why != KA_WHY_OVERFLOW &&
	    !(stale && (STALE >> why & 1) != 0) &&
	    s->expect != EXPECT_REFUSED) {
		/* What failed when it was recorded may be held here. */
		if (INSIDE && why == KA_WHY_BUSY)
			not_shown("something is in use that was not");
		shown("panic %s, where the call is legal", ka_why_name(why));
	} else if (s->expect == EXPECT_NOT_NULL && returned == 0) {
		if (some_type_is_full())
			not_shown("NULL, and a type is at its limit");
		shown("NULL, where none is allowed");
	} else if (s->expect == EXPECT_REFUSED && why == 0 && returned != 0) {
		shown("it succeeds, where it is to be refused");
	}
}

static void
do_step(const struct step *s)
{
	enum ka_why why = KA_WHY_NONE;

	returned = 0;
	giving = NULL;
	stale = false;
	panic_armed = true;
	if (setjmp(panic_to) == 0) {
		s->run();
	} else {
		why = panic_why;
		panicked++;
		gives_not();
	}
	panic_armed = false;
	judge(s, why);
}

#if THREADED
/*
 * A thread for each virtual CPU, since a thread of the host keeps its CPU; and
 * one for each thread of the trace, for when that is asleep. One step is done
 * at a time: the next begins when it has ended, or is asleep.
 */
#define WORKERS (CPUS + THREADS)

static struct worker {
	pthread_t thread;
	const struct step *step; /* NULL: it has nothing to do */
	bool started;
} worker[WORKERS];
static unsigned went_on; /* steps that stayed asleep, and now do not */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;

static void *
work(void *arg)
{
	struct worker *w = arg;

	(void)pthread_mutex_lock(&turn);
	for (;;) {
		const struct step *s = w->step;

		if (s == NULL) {
			(void)pthread_cond_wait(&turned, &turn);
			continue;
		}
		(void)pthread_mutex_unlock(&turn);
		do_step(s);
		(void)pthread_mutex_lock(&turn);
		w->step = NULL;
		went_on += s->stays;
		(void)pthread_cond_broadcast(&turned);
	}
	return (NULL);
}

static bool
has_ended(struct worker *w)
{
	bool ended;

	(void)pthread_mutex_lock(&turn);
	ended = w->step == NULL;
	(void)pthread_mutex_unlock(&turn);
	return (ended);
}

static bool
is_quiet(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (worker[i].started && !has_ended(&worker[i]))
			return (false);
	return (true);
}

static void
turn_of(const struct step *s)
{
	struct worker *w = &worker[s->cpu];

	if (w->started && !has_ended(w))
		w = &worker[CPUS + s->thread];
	if (w->started && !has_ended(w))
		not_shown("a step of its thread before it is still asleep");
	(void)pthread_mutex_lock(&turn);
	w->step = s;
	if (!w->started && pthread_create(&w->thread, NULL, work, w) != 0) {
		(void)fprintf(stderr, "no thread can be made\n");
		_exit(STATUS_CANNOT);
	}
	w->started = true;
	(void)pthread_cond_broadcast(&turned);
	(void)pthread_mutex_unlock(&turn);
	(void)settle(s->sleeps ? 500 : 10000);
	if (!has_ended(w) && !s->sleeps && s->expect != EXPECT_RETURN &&
	    s->expect != EXPECT_REFUSED)
		not_shown("it sleeps, which it did not when it was recorded");
}

/* Who was to return has. */
static void
await_all(void)
{
	(void)settle(10000);
	for (unsigned i = 0; i < WORKERS; i++) {
		const struct step *s = worker[i].step;

		if (worker[i].started && !has_ended(&worker[i]) && s != NULL &&
		    s->expect == EXPECT_RETURN) {
			doing = s->line;
			/* Which sleeper is woken is not promised. */
			if (went_on != 0)
				not_shown("another one that slept goes on");
			shown("it is still asleep, although it can go on");
		}
	}
}
#else
static bool
is_quiet(void)
{
	return (true);
}

static void
turn_of(const struct step *s)
{
	do_step(s);
}

static void
await_all(void)
{
}
#endif

static void
last_step(void)
{
	quiesce();
#if FAULTS
	drained = true;
#endif
	drain();
}

int
main(void)
{
	static const struct step end = { .run = last_step,
		.line = "at the end" };
	struct vm_page_stats s;
	const int error = kalloc_boot(&config);

	if (error != 0) {
		(void)fprintf(stderr, "kalloc_boot: %s\n", strerror(error));
		return (STATUS_CANNOT);
	}
	catch_signals();
	vm_page_stats(&s);
	free_at_boot = s.free;
	(void)ka_panic_set_handler(on_panic);
#if FAULTS
	vm_page_observe(&(struct vm_observer) { .ask = page_try });
#endif
	for (unsigned i = 0; i < STEPS; i++) {
		doing = steps[i].line;
		turn_of(&steps[i]);
		if (SUPPORT_THREADS)
			(void)settle(10000);
		if (AUDIT_STEPS && is_quiet())
			audit();
	}
	await_all();
	doing = "at the end";
	if (is_quiet())
		turn_of(&end);
	if (INSIDE) {
		(void)printf("not shown: " INSIDE_WHY "\n");
		return (STATUS_NOT_SHOWN);
	}
	(void)printf("clean: all is as it is to be\n");
	return (STATUS_CLEAN);
}
