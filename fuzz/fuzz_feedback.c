/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Feedback beyond edges: what kinds of things an execution showed.
 *
 * Lineage: IJON (Aschermann and others, 2020) for states as coverage; STADS
 * (Boehme, 2018) for counting species.
 *
 * Kinds of species:
 *
 *   state     model_state() when an operation has ended: who is in what, who
 *             sleeps, what failed in it, and how much is held
 *   outcome   an operation and what became of it: done, refused, which panic
 *   overlap   two operations of which one began while the other was under way
 *   owner     a cache, pipe or zone after an operation on it, when nothing
 *             else is under way: which of its slabs and its caches are empty,
 *             part full, full; hits and misses of what is cached; whether it
 *             ever refused, ever let a thread sleep, or has one waiting
 *   run       orders of magnitude of sleeps, refusals and failures of a run
 *
 * Each goes, by its hash, to one of COUNTERS counters that the engine takes
 * for coverage; that it was seen counts, not how often, as nearly every input
 * would be new otherwise. libFuzzer finds them by their section; for AFL++ they are so
 * many more guards, for which its runtime reserves places in its map. In a
 * campaign they are counted in the shared file as well.
 *
 * Watching is from outside: a subject that notes when calls begin and end, and
 * the callbacks of run(). It changes nothing of the run (fuzz_target.c checks
 * that, now and then).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_shared.h"
#include "fuzz_target.h"
#include "sim/sim.h"

/*
 * As few as tell inputs apart: with four times as many, nearly every input
 * that was longer than others was new, and the corpus was of long ones.
 */
#define COUNTERS 1024u
#define STATES	 256u /* of them for states, of which there are many */
#define RECENT	 4096u
#define NO_CALL	 0xffu

#ifdef FUZZ_LIBFUZZER
/*
 * Nobody here reads them: but for "used" the compiler would leave them out, and
 * libFuzzer, which looks for their section, would do without. Its bounds are
 * named so that a program that has none cannot be linked.
 */
__attribute__((section("__libfuzzer_extra_counters"),
    used)) static uint8_t counters[COUNTERS];
extern uint8_t __start___libfuzzer_extra_counters[];
extern uint8_t __stop___libfuzzer_extra_counters[];
__attribute__((used)) static const uint8_t *const bounds[] = {
	__start___libfuzzer_extra_counters, __stop___libfuzzer_extra_counters
};
#endif

#ifdef FUZZ_AFL
/* AFL++'s runtime: numbers guards, and has the map that they index. */
extern uint8_t *__afl_area_ptr;
void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop);
static uint32_t guards[COUNTERS];

static __attribute__((constructor)) void
reserve_guards(void)
{
	__sanitizer_cov_trace_pc_guard_init(guards, guards + COUNTERS);
}
#endif

static struct fuzz_shared *shared;
static uint64_t recent[RECENT]; /* seen in this execution, as far as known */
static uint64_t execution;	/* its number, from 1 */
static const struct subject *real;
static struct subject watched;
static uint8_t under_way[CALL_FRAMES_MAX];
static uint32_t calls, threads;
static void (*listener)(void *arg, enum fuzz_species, uint64_t hash);
static void *listener_arg;
static uint64_t sleeps; /* of the owner at the operation before */

static uint64_t
mix(uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ b * UINT64_C(0xff51afd7ed558ccd)) *
	    UINT64_C(0x9e3779b97f4a7c15);

	return (h ^ h >> 29);
}

/* 0, 1, 2, 3..4, 5..8, ...: what one more or less matters for. */
static unsigned
magnitude(uint64_t n)
{
	return (n < 3 ? (unsigned)n : 66u - (unsigned)__builtin_clzll(n - 1));
}

static void
attach(void)
{
	const char *name = getenv("KALAB_FUZZ_SHARED");
	struct fuzz_shared *s;
	int fd;

	if (name == NULL)
		return;
	fd = open(name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (s != MAP_FAILED && s->magic == FUZZ_SHARED_MAGIC)
		shared = s;
}

static void
add(uint64_t *n, int64_t delta)
{
	(void)__atomic_fetch_add(n, (uint64_t)delta, __ATOMIC_RELAXED);
}

/* One more execution that shows the species: the counts of counts. */
static void
count_species(uint64_t hash)
{
	uint8_t *const slot =
	    &shared->seen[hash >> 32 & (FUZZ_SHARED_SPECIES - 1)];
	const uint8_t before = __atomic_load_n(slot, __ATOMIC_RELAXED);

	if (before == 3)
		return;
	__atomic_store_n(slot, (uint8_t)(before + 1), __ATOMIC_RELAXED);
	if (before == 0) {
		add(&shared->species, 1);
		add(&shared->singles, 1);
		__atomic_store_n(
		    &shared->newest, (uint64_t)time(NULL), __ATOMIC_RELAXED);
	} else if (before == 1) {
		add(&shared->singles, -1);
		add(&shared->doubles, 1);
	} else {
		add(&shared->doubles, -1);
	}
}

/* For the engine. */
static inline void
count(uint32_t at)
{
#ifdef FUZZ_LIBFUZZER
	counters[at] = 1;
#elif defined(FUZZ_AFL)
	__afl_area_ptr[guards[at]] = 1;
#else
	(void)at;
#endif
}

static void
show(enum fuzz_species kind, uint64_t what)
{
	const uint64_t hash = mix(what + 1, (uint64_t)kind + 1);
	uint64_t *const known = &recent[hash >> 16 & (RECENT - 1)];

	count(kind == FUZZ_SPECIES_STATE ?
		(uint32_t)hash % STATES :
		STATES + (uint32_t)hash % (COUNTERS - STATES));
	if (listener != NULL)
		listener(listener_arg, kind, hash);
	if (*known == (hash ^ execution))
		return;
	*known = hash ^ execution;
	if (shared != NULL)
		count_species(hash);
}

void
fuzz_feedback_listen(
    void (*fn)(void *arg, enum fuzz_species, uint64_t hash), void *arg)
{
	listener = fn;
	listener_arg = arg;
}

/* ---- The subject, watched ---------------------------------------------- */

static int
watched_boot(const struct subject_config *config)
{
	memset(under_way, NO_CALL, sizeof(under_way));
	calls = 0;
	threads = config->threads;
	return (real->boot(config));
}

static void
watched_exec(struct call *c)
{
	const uint32_t frame = c->thread % CALL_FRAMES_MAX;

	if (calls != 0) {
		for (uint32_t i = 0; i < threads; i++)
			if (under_way[i] != NO_CALL && i != frame)
				show(FUZZ_SPECIES_OVERLAP,
				    (uint64_t)under_way[i] << 8 | c->code);
	}
	under_way[frame] = (uint8_t)c->code;
	calls++;
	real->exec(c);
	calls--;
	under_way[frame] = NO_CALL;
}

_Static_assert(TRACE_OP_COUNT < NO_CALL, "operations fit into a byte");

const struct subject *
fuzz_feedback_subject(const struct subject *subject)
{
	real = subject;
	watched = *subject;
	watched.boot = watched_boot;
	watched.exec = watched_exec;
	attach();
	return (&watched);
}

/* ---- Callbacks of run() ------------------------------------------------ */

void
fuzz_feedback_begin(void)
{
	execution++;
	sleeps = 0;
	fuzz_feedback_execution();
}

void
fuzz_feedback_execution(void)
{
	if (shared != NULL)
		add(&shared->executions, 1);
}

void
fuzz_feedback_state(void *arg, uint64_t state)
{
	(void)arg;
	show(FUZZ_SPECIES_STATE, state);
}

/*
 * Nothing is under way, not even in a thread that the library started. Nor waits
 * a thread for a lock: who looks at an object after its call, for the model,
 * has locks, too, and to take and give back one of these would wake it.
 */
static bool
is_quiet(void)
{
	if (calls != 0)
		return (false);
	for (uint32_t i = 0; i < sim_threads(); i++) {
		const enum sim_state state = sim_state(i);

		if (state == SIM_LOCK ||
		    (i >= threads && state != SIM_IDLE && state != SIM_ASLEEP))
			return (false);
	}
	return (true);
}

/* none, some, or all of it */
static unsigned
share(uint64_t part, uint64_t whole)
{
	return (part == 0 ? 0 : part < whole ? 1 : 2);
}

static void
show_owner(const struct trace_opdef *def, const struct call *c)
{
	struct owner_stats s;
	uint64_t looks;
	int class = def->out > TRACE_RUN ? def->out : -1;

	for (unsigned i = 0; class < 0 && i < def->nargs; i++) {
		const int of = trace_kind_class(def->arg[i]);

		if (of > TRACE_RUN)
			class = of;
	}
	if (class < 0 || c->handle == TRACE_NOREG || !is_quiet() ||
	    !real->owner_stats((enum trace_class) class, c->handle, &s))
		return;
	looks = (uint64_t)c->code << 48 | (uint64_t) class << 44;
	looks |= share(s.free, s.slabs * s.ipers) | share(s.used, s.total) << 2;
	looks |= share(s.used, s.limit) << 4 | share(s.cached, s.capacity) << 6;
	looks |= share(s.cached, 2 * s.capacity) << 8;
	looks |= (uint64_t)(s.failures != 0) << 10;
	looks |= (uint64_t)(s.sleeps != 0) << 11;
	looks |= (uint64_t)(s.pending != 0) << 12;
	looks |= (uint64_t)(s.sleeps > sleeps) << 13; /* woken just now */
	looks |= (uint64_t)(c->ret != 0) << 14;
	looks |= (uint64_t)magnitude(s.slabs) << 16;
	looks |= (uint64_t)magnitude(s.cached) << 24;
	sleeps = s.sleeps;
	show(FUZZ_SPECIES_OWNER, looks);
}

void
fuzz_feedback_result(void *arg, const struct trace_op *op, const struct call *c)
{
	const struct trace_opdef *const def = &trace_ops[op->code];

	(void)arg;
	show(FUZZ_SPECIES_OUTCOME,
	    (uint64_t)op->code << 16 | (uint64_t)(uint16_t)c->why << 1 |
		(c->ret != 0));
	show_owner(def, c);
}

void
fuzz_feedback_end(const struct run_result *r)
{
	const struct model_counts *const n = &r->counts;

	show(FUZZ_SPECIES_RUN,
	    (uint64_t)magnitude(n->sleeps) << 32 |
		(uint64_t)magnitude(n->refusals) << 24 |
		(uint64_t)magnitude(n->page_failures) << 16 |
		(uint64_t)magnitude(n->panics) << 8 | magnitude(r->blocked));
}
