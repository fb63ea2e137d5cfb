/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The threads. Each does its operations in order; those that name the same
 * register keep the order of the trace (the same tickets as in run.h), all
 * else overlaps as it likes.
 *
 * Who sleeps at a limit may do so for ever: nothing says that a trace frees
 * what others wait for. So when nothing has ended for a while and somebody
 * sleeps at a limit that really is reached, the main thread gives back one
 * object of that owner. Who sleeps although less is held than the limit is
 * not helped, and after a minute it is a finding.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stress_int.h"
#include "util/random.h"

#define STUCK_S	   60
#define PATIENCE_N 25 /* looks of LOOK_US without progress */
#define LOOK_US	   2000

static __thread struct caller *self;
static pthread_key_t daemon_key;
static pthread_once_t daemon_once = PTHREAD_ONCE_INIT;
static _Atomic uint32_t daemons; /* bits of those that are taken */

static void
daemon_exit(void *arg)
{
	const struct caller *w = arg;

	stress__delay_thread(0);
	(void)atomic_fetch_and(
	    &daemons, ~(1u << (w->index - TRACE_THREADS_MAX)));
}

static void
daemon_init(void)
{
	(void)pthread_key_create(&daemon_key, daemon_exit);
}

/* A thread of the library calls for the first time. */
static struct caller *
daemon_begin(void)
{
	uint32_t i, bit;

	(void)pthread_once(&daemon_once, daemon_init);
	for (i = TRACE_THREADS_MAX; i < STRESS_CALLER_MAIN; i++) {
		bit = 1u << (i - TRACE_THREADS_MAX);
		if ((atomic_fetch_or(&daemons, bit) & bit) != 0)
			continue;
		(void)pthread_setspecific(daemon_key, &stress.caller[i]);
		stress__delay_thread(stress.caller[i].rng | 1);
		return (&stress.caller[i]);
	}
	return (NULL);
}

struct caller *
stress__self(void)
{
	if (self == NULL)
		self = daemon_begin();
	return (self);
}

void
stress__set_self(struct caller *w)
{
	self = w;
}

/* ---- Tickets ----------------------------------------------------------- */

static void
add_use(struct job *j, struct reg *r, bool writes)
{
	struct use *u = &j->use[j->nuses++];

	u->reg = r;
	u->writes = writes;
	u->need_writes = r->writes;
	u->need_reads = r->reads;
	if (writes)
		r->writes++;
	else
		r->reads++;
}

/* One ticket for each register, for writing if any of its places writes. */
static struct job *
make_job(const struct trace_op *op)
{
	const struct trace_opdef *def = &trace_ops[op->code];
	struct job *j = calloc(1, sizeof(*j));
	struct reg *reg[USES_MAX];
	bool writes[USES_MAX];
	unsigned i, k, n = 0;

	if (j == NULL)
		abort();
	j->op = op;
	for (i = 0; i <= def->nargs; i++) {
		bool out = i == def->nargs;
		int class = out ? def->out : trace_kind_class(def->arg[i]);
		uint64_t at = out ? op->out : op->arg[i];

		if (class < 0 || at == TRACE_NOREG)
			continue;
		for (k = 0; k < n; k++)
			if (reg[k] == &stress.regs[class][at])
				break;
		if (k == n) {
			reg[n] = &stress.regs[class][at];
			writes[n++] = false;
		}
		writes[k] |= out || trace_kind_writes(def->arg[i]);
	}
	for (k = 0; k < n; k++)
		add_use(j, reg[k], writes[k]);
	return (j);
}

/* Of each class one register more than operations, so that any is there. */
static void
prepare_registers(void)
{
	size_t n = stress.trace.nops + 1;
	int class;

	for (class = 0; class < TRACE_CLASS_COUNT; class ++) {
		free(stress.regs[class]);
		stress.regs[class] = calloc(n, sizeof(struct reg));
		if (stress.regs[class] == NULL)
			abort();
	}
	free(stress.owner);
	free(stress.howner);
	stress.owner = calloc(n + 1, sizeof(*stress.owner));
	stress.howner = calloc(n + 1, sizeof(*stress.howner));
	if (stress.owner == NULL || stress.howner == NULL)
		abort();
	stress.nowners = 0;
}

void
stress__prepare(uint64_t seed)
{
	size_t n;
	uint32_t i;

	prepare_registers();
	for (i = 0; i < STRESS_CALLERS; i++) {
		struct caller *w = &stress.caller[i];
		struct history_event *event = w->event;
		size_t cap = w->cap;

		memset(w, 0, sizeof(*w));
		w->event = event;
		w->cap = cap;
		w->index = i;
		w->last = &w->first;
		w->rng = seed * 1000003 + i;
	}
	for (n = 0; n < stress.trace.nops; n++) {
		struct caller *w = &stress.caller[stress.trace.op[n].thread];
		struct job *j = make_job(&stress.trace.op[n]);

		*w->last = j;
		w->last = &j->next;
	}
	stress.ended = 0;
}

void
stress__free_jobs(void)
{
	uint32_t i;

	for (i = 0; i < stress.trace.header.threads; i++)
		while (stress.caller[i].first != NULL) {
			struct job *j = stress.caller[i].first;

			stress.caller[i].first = j->next;
			free(j);
		}
}

static bool
ready(const struct job *j)
{
	uint32_t i;

	for (i = 0; i < j->nuses; i++) {
		const struct use *u = &j->use[i];

		if (atomic_load_explicit(&u->reg->writes_done,
			memory_order_acquire) != u->need_writes)
			return (false);
		if (u->writes &&
		    atomic_load_explicit(&u->reg->reads_done,
			memory_order_acquire) != u->need_reads)
			return (false);
	}
	return (true);
}

static void
leave(const struct job *j)
{
	uint32_t i;

	for (i = 0; i < j->nuses; i++)
		(void)atomic_fetch_add_explicit(j->use[i].writes ?
			&j->use[i].reg->writes_done :
			&j->use[i].reg->reads_done,
		    1, memory_order_acq_rel);
}

/* ---- Threads ----------------------------------------------------------- */

static void *
work(void *arg)
{
	struct caller *w = arg;
	struct job *j;

	stress__set_self(w);
	stress__delay_thread(random_next(&w->rng) | 1);
	stress__pin(w->index);
	for (j = w->first; j != NULL; j = j->next) {
		uint64_t r = random_next(&w->rng);

		while (!ready(j) && !stress.failed)
			(void)sched_yield();
		if (stress.failed)
			break;
		if ((r & 63) == 0)
			(void)sched_yield();
		else if ((r & 4095) == 1)
			(void)usleep(50);
		stress__op(w, j->op);
		leave(j);
		(void)atomic_fetch_add_explicit(
		    &stress.ended, 1, memory_order_relaxed);
	}
	stress__delay_thread(0);
	return (NULL);
}

/* Gives back an object of a zone's, cache's or pipe's, or of a zone that
 * shares its slabs. */
static bool
give_one(const struct owner *o, enum trace_opcode how)
{
	size_t i;

	for (i = 0; i < stress.trace.nops; i++) {
		struct reg *r = &stress.regs[TRACE_OBJ][i];

		if (atomic_load_explicit(&r->live, memory_order_acquire) &&
		    r->owner != NULL && r->owner->root == o->root &&
		    stress__give(&stress.caller[STRESS_CALLER_MAIN], r, how))
			return (true);
	}
	return (false);
}

/* The main thread has an object of a cache destroyed, or what it keeps, of one
 * over the zone, or over a zone that shares its slabs. */
static bool
give_cached(const struct owner *zone)
{
	struct caller *w = &stress.caller[STRESS_CALLER_MAIN];
	uint32_t i, n = atomic_load(&stress.nowners);
	bool gave = false;

	for (i = 0; i < n && !gave; i++) {
		struct owner *o = &stress.owner[i];

		if (o->zone == NULL || o->zone->root != zone->root)
			continue;
		(void)atomic_fetch_add(&o->users, 1);
		gave = atomic_load(&o->alive) &&
		    (stress__reclaim(w, o) ||
			give_one(o, TRACE_OP_OBJCACHE_DTOR));
		(void)atomic_fetch_sub(&o->users, 1);
	}
	return (gave);
}

/* Helps one who sleeps where he may. */
static void
rescue(void)
{
	uint32_t i;

	for (i = 0; i < stress.trace.header.threads; i++) {
		struct owner *o = stress.caller[i].waits;

		if (o == NULL || (o->held < o->sleeps_at && !o->root->shared))
			continue;
		if (give_one(o, stress__giver(o->class)) ||
		    (o->class == TRACE_ZONE && give_cached(o))) {
			(void)atomic_fetch_add(&stress.rescues, 1);
			return;
		}
	}
}

/* What a thread that does not go on is at. */
static void
tell_stuck(void)
{
	char found[160];
	uint32_t i;

	for (i = 0; i < stress.trace.header.threads; i++) {
		const struct caller *w = &stress.caller[i];
		const struct owner *o = w->waits;

		if (o == NULL)
			continue;
		(void)snprintf(found, sizeof(found),
		    "thread %u sleeps in line %llu, while %llu of %llu are held",
		    i, (unsigned long long)w->op->line,
		    (unsigned long long)o->held,
		    (unsigned long long)o->sleeps_at);
		stress__fail(w->op, "G-5",
		    "whoever waits for what there is is woken", found);
	}
	stress__fail(
	    NULL, "G-5", "some operation ends within a minute", "none did");
}

/* Until all is done, or nothing ended for long. False: the threads are left as
 * they are. */
static bool
watch(void)
{
	uint64_t last = 0, seen;
	time_t since = time(NULL);
	uint32_t idle = 0;

	for (;;) {
		seen = stress.ended;
		if (seen == stress.trace.nops || stress.failed)
			return (true);
		if (seen != last) {
			last = seen;
			since = time(NULL);
			idle = 0;
		} else if (++idle % PATIENCE_N == 0) {
			rescue();
		}
		if (time(NULL) - since > STUCK_S) {
			tell_stuck();
			return (false);
		}
		(void)usleep(LOOK_US);
	}
}

/* After a finding whoever sleeps may sleep for ever. */
static bool
join(pthread_t thread)
{
	struct timespec t;

	if (!stress.failed)
		return (pthread_join(thread, NULL) == 0);
	(void)clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 2;
	return (pthread_timedjoin_np(thread, NULL, &t) == 0);
}

bool
stress__threads(void)
{
	uint32_t i, n = stress.trace.header.threads;
	bool all = true;

	for (i = 0; i < n; i++)
		if (pthread_create(&stress.caller[i].thread, NULL, work,
			&stress.caller[i]) != 0)
			abort();
	if (!watch())
		return (false);
	for (i = 0; i < n; i++)
		all &= join(stress.caller[i].thread);
	return (all && !stress.failed);
}
