/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model: what is allowed.
 *
 * 1. Lineage
 *
 *    A monitor in the sense of runtime verification: it does not compute what
 *    the subject must answer, it decides whether the answer is one of those
 *    that the contract allows. Concurrency is judged as in linearisability
 *    checking of sets: with intervals instead of a search for an order, since
 *    allocations are told apart by their addresses. It shares nothing with
 *    the library but the numbers of kalloc/flags.h; size classes, alignments
 *    and limits are computed here again, from the contract.
 *
 * 2. Nouns
 *
 *    A *call* is *in flight* from model_invoke() to model_return(). It is
 *    *active* unless its thread sleeps, and was *alone* if no other call was
 *    active at any time of it. An *object* is *certainly live* from the
 *    return of its allocation to the invocation of its free; then it is *in
 *    transit* until that call returns. Its *usable* bytes, the chunk or the
 *    pages, are what is filled, verified and *charged* to its type. A *run*
 *    is what the page layer gave out at once; it is *held* by kmalloc or by
 *    the trace. A call is *stale* if it frees what is not certainly live.
 *
 *      address --hash--> object: address, usable, seed, type, line
 *      address >> 16 --hash--> region: pages held, runs,
 *                                granules that are live
 *                                granules where a freed object began
 *      register --table--> type: charges certain and in flight, limit
 *      thread --table--> the call that it is in, and what may come of it
 *
 * 3. States of an object
 *
 *      1 free      no record
 *      2 live      1 -> 2 at the return of an allocation
 *      3 transit   2 -> 3 at the invocation of kfree or krealloc
 *                  3 -> 1 at its return; 3 -> 2 if krealloc left it in place,
 *                  failed, or the free ended in a legal panic
 *
 *    Memory of an object in transit may be handed out again at any time: the
 *    call may have freed it already. If it returns to live, whatever became
 *    live there meanwhile is an overlap.
 *
 * 4. Paths
 *
 *    kmalloc: at the invocation the request is rounded, its charge joins the
 *    upper end of the type's usage. At the return the result must have a
 *    cause (NULL, panic) or a place: aligned, inside of held pages, not live,
 *    zero if asked for. The object is filled with a pattern of its own.
 *    kfree: at the invocation the object is found by its address, never by
 *    the register, verified, and leaves. At the return its charge leaves the
 *    upper end of usage.
 *
 * 5. Concurrency
 *
 *    None here: the run tells events in the order in which the simulation
 *    lets them happen. What calls in flight may or may not have done yet
 *    makes sets: of usage (model_type.c), of what a misuse ends in
 *    (model_free.c). A refusal is legal if at some instant of its call a
 *    cause existed. Never is a call judged by what another thread did
 *    between its last event and the return.
 *
 * 6. Invariants, asserted where they could break
 *
 *    I-MO-1  the hash holds exactly the live objects and runs
 *    I-MO-2  a granule is live exactly if a live object covers it
 *    I-MO-3  a run counts the live granules of its pages; runs_empty counts
 *            the runs of kmalloc where that is zero
 *    I-MO-4  memuse and inuse of a type sum its live objects; alloc_* and
 *            free_* sum its calls in flight
 *    I-MO-5  what reset leaves behind is zero: bitmaps, masks, counters
 *    I-MO-6  after the first finding nothing is judged or changed
 *
 * 7. Failure
 *
 *    Out of memory, the model stops judging and says so with a finding of
 *    the clause LAB: that is the laboratory's failure, not the subject's. If
 *    the trace races with itself beyond what can be told (krealloc against a
 *    free of the same object), it stops judging without a finding. No memory
 *    of the subject is touched before its place has been judged.
 *
 * 8. Observability
 *
 *    model_counts() for reports, model_each_live() for pictures, and the
 *    finding: clause, what was expected, what was found. Texts and signature
 *    contain no raw address; addresses are offsets from the arena, or from
 *    the first address seen.
 *
 * References: Herlihy and Wing, Linearizability, 1990; Leucker and
 * Schallhart, A brief account of runtime verification, 2009; Knuth, The Art
 * of Computer Programming, vol. 3, section 6.4 (hashing, algorithm R).
 */
#include <string.h>

#include "model_int.h"
#include "util/kept.h"

bool
model__was_alone(const struct model *m, const struct mthread *th)
{
	return (th->quiet && th->activity == m->activity);
}

/* What the table of operations says of a call, laid out for every call. */
static struct {
	uint8_t class;
	bool is_call;  /* operations on threads and the run are none */
	bool disturbs; /* what is known for KM-1 and OC-2: model_hit.c */
} MODEL_INDEXED(4) plan[TRACE_OP_COUNT];

static uint8_t
call_class(unsigned code)
{
	const struct trace_opdef *def = &trace_ops[code];
	unsigned i;

	if (def->out > TRACE_RUN)
		return ((uint8_t)def->out);
	for (i = 0; i < def->nargs; i++)
		if (trace_kind_class(def->arg[i]) > TRACE_RUN)
			return ((uint8_t)trace_kind_class(def->arg[i]));
	return (TRACE_ZONE); /* uma_reclaim */
}

static void
plan_calls(void)
{
	static const uint8_t calm[] = { TRACE_OP_KMALLOC,
		TRACE_OP_KMALLOC_CACHEALIGN, TRACE_OP_KMALLOC_POWEROF2,
		TRACE_OP_KFREE, TRACE_OP_KMALLOC_USABLE_SIZE,
		TRACE_OP_KMALLOC_LIMIT, TRACE_OP_VM_PAGE_ALLOC,
		TRACE_OP_VM_PAGE_FREE, TRACE_OP_OBJCACHE_GET,
		TRACE_OP_OBJCACHE_PUT, TRACE_OP_MPIPE_ALLOC_NOWAIT,
		TRACE_OP_MPIPE_FREE };
	unsigned code, i;

	for (code = 0; code < TRACE_OP_COUNT; code++) {
		plan[code].class = call_class(code);
		plan[code].is_call = trace_ops[code].group != TRACE_G_TH ||
		    code == TRACE_OP_THREAD_EXIT;
		plan[code].disturbs = true;
	}
	for (i = 0; i < sizeof(calm); i++)
		plan[calm[i]].disturbs = false;
}

/* --- life cycle --- */

struct model *
model_create(void)
{
	struct model *m = model__map(sizeof(*m));

	if (m == NULL)
		return (NULL);
	plan_calls();
	if (!model__pool_init(&m->object, sizeof(struct mobject), 1024) ||
	    !model__pool_init(&m->run, sizeof(struct mrun), 256) ||
	    !model__pool_init(&m->region, sizeof(struct mregion), 64) ||
	    !model__pool_init(&m->type, sizeof(struct mtype), 64) ||
	    !model__pool_init(&m->typereg, sizeof(uint32_t), 1024) ||
	    !model__pool_init(&m->sort, sizeof(uint32_t), 1024) ||
	    !model__hash_init(&m->by_addr, 10) ||
	    !model__hash_init(&m->by_region, 8) || !model__oc_init(m) ||
	    !model__mp_init(m) || !model__zn_init(m) ||
	    !model__commit_init(m)) {
		model_destroy(m);
		return (NULL);
	}
	return (m);
}

void
model_destroy(struct model *m)
{
	if (m == NULL)
		return;
	model__pool_fini(&m->object);
	model__pool_fini(&m->run);
	model__pool_fini(&m->region);
	model__pool_fini(&m->type);
	model__pool_fini(&m->typereg);
	model__pool_fini(&m->sort);
	model__hash_fini(&m->by_addr);
	model__hash_fini(&m->by_region);
	model__oc_fini(m);
	model__mp_fini(m);
	model__zn_fini(m);
	model__commit_fini(m);
	model__unmap(m, sizeof(*m));
}

void
model_reset(struct model *m, const struct model_config *config)
{
	uint32_t t;

	MODEL_ASSERT(config->threads <= CALL_THREADS_MAX);
	MODEL_ASSERT(config->pages <= UINT64_MAX / PAGE);
	for (t = 0; t < m->frames; t++)
		m->thread[t].busy = m->thread[t].asleep = false;
	model__live_reset(m);
	model__commit_reset(m);
	m->run.high = m->type.high = 1;
	m->typereg.high = 0;
	m->run_free = 0;
	if (++m->epoch == 0) {
		model__hash_clear(&m->by_addr);
		model__hash_clear(&m->by_region);
		m->epoch = 1;
	}
	m->config = *config;
	m->base = config->arena;
	m->judging = true;
	m->has_finding = m->writing = false;
	m->allocs = m->activity = 0;
	m->exited = false;
	m->inflight = m->sleeping = m->nstale = m->nstolen = 0;
	m->types_used = 0;
	m->held = m->held_kmalloc = m->runs_empty = 0;
	memset(&m->counts, 0, sizeof(m->counts));
	m->frames = 0;
	m->hit.disturbed++;
	model__oc_reset(m);
	model__mp_reset(m);
	model__zn_reset(m);
}

void
model_counts(const struct model *m, struct model_counts *ret_c)
{
	*ret_c = m->counts;
}

static uint64_t
state_mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * MODEL_FIBONACCI;
	return (hash ^ hash >> 29);
}

static unsigned
magnitude(uint64_t n)
{
	return (n == 0 ? 0 : 64 - (unsigned)__builtin_clzll(n));
}

uint64_t
model_state(const struct model *m)
{
	uint64_t hash = 0;
	uint32_t t;

	/* The order of threads is no part of a state: a sum. */
	for (t = 0; t < m->frames && m->inflight > 0; t++) {
		const struct mthread *th = &m->thread[t];

		if (th->busy)
			hash += state_mix(th->code,
			    (uint64_t)th->asleep |
				(uint64_t)th->suspended << 1 |
				(uint64_t)th->page_failed << 2 |
				(uint64_t)th->limit_seen << 3 |
				(uint64_t)th->misuse << 4);
	}
	hash = state_mix(hash, magnitude(m->held));
	hash = state_mix(hash, magnitude(m->config.pages - m->held));
	hash = state_mix(hash, magnitude(m->counts.live));
	hash = state_mix(hash, magnitude(m->runs_empty));
	return (state_mix(hash, m->sleeping));
}

/* --- calls --- */

/* Calls of the allocators that have a file of their own. */
static void
other_begins(struct model *m, struct mthread *th, const struct call *c)
{
	enum trace_group group = trace_ops[c->code].group;

	if (group == TRACE_G_OC)
		model__oc_begin(m, th, c);
	else if (group == TRACE_G_MP)
		model__mp_begin(m, th, c);
	else if (group == TRACE_G_ZN)
		model__zn_begin(m, th, c);
}

static void
other_ends(struct model *m, struct mthread *th, const struct call *c)
{
	enum trace_group group = trace_ops[c->code].group;

	if (group == TRACE_G_OC)
		model__oc_end(m, th, c);
	else if (group == TRACE_G_MP)
		model__mp_end(m, th, c);
	else if (group == TRACE_G_ZN)
		model__zn_end(m, th, c);
}

static void
call_begins(struct model *m, struct mthread *th, const struct call *c)
{
	switch (c->code) {
	case TRACE_OP_KMALLOC:
	case TRACE_OP_KMALLOC_CACHEALIGN:
	case TRACE_OP_KMALLOC_POWEROF2:
	case TRACE_OP_KSTRDUP:
	case TRACE_OP_KSTRNDUP:
		model__kmalloc_begin(m, th, c);
		break;
	case TRACE_OP_KFREE:
	case TRACE_OP_KFREE_INTERIOR:
	case TRACE_OP_KFREE_WILD:
		model__kfree_begin(m, th, c);
		break;
	case TRACE_OP_KREALLOC:
		model__krealloc_begin(m, th, c);
		break;
	case TRACE_OP_KMALLOC_USABLE_SIZE:
		model__usable_begin(m, th, c);
		break;
	case TRACE_OP_KMALLOC_DESTROY:
	case TRACE_OP_MALLOC_UNINIT:
		model__type_destroy_begin(m, th);
		break;
	case TRACE_OP_KMALLOC_LIMIT:
	case TRACE_OP_KMALLOC_RAISE_LIMIT:
	case TRACE_OP_KMALLOC_SET_UNLIMITED:
		model__limit_begin(m, th, c);
		break;
	case TRACE_OP_VM_PAGE_ALLOC:
		model__page_alloc_begin(m, th, c);
		break;
	case TRACE_OP_VM_PAGE_FREE:
		model__page_free_begin(m, th, c);
		break;
	case TRACE_OP_KMALLOC_CREATE:
	case TRACE_OP_MALLOC_INIT:
	case TRACE_OP_KMALLOC_TRIM:
		th->held = m->held;
		break;
	case TRACE_OP_THREAD_EXIT:
		m->exited = true;
		break;
	case TRACE_OP_QUIESCE:
	case TRACE_OP_MIGRATE:
	case TRACE_OP_COUNT:
		break;
	default:
		other_begins(m, th, c);
		break;
	}
}

static void
trim_ends(struct model *m, struct mthread *th, const struct call *c)
{
	uint64_t slabs = (th->held - m->held) / REGION_PAGES;
	uint32_t run;

	if (c->why != 0) {
		model__wrong_panic(m, th, c);
		return;
	}
	if (m->inflight != 1 || !model__was_alone(m, th) ||
	    !model__is_kalloc(m))
		return;
	run = model__run_hoarded(m);
	if (run == 0 && c->ret != slabs) {
		model__fail(m, th, "KM-14", "count");
		model__expected(m, "%" PRIu64 " slabs were given back", slabs);
		model__found(m, "%" PRIu64, c->ret);
	}
	if (run == 0)
		return;
	model__fail(m, th, "KM-14", "hoarded");
	model__expected(m, "every wholly free slab given back");
	model__found(m, "%" PRIu64 " pages at %s held, no object in them",
	    model__run(m, run)->npages,
	    model__addr_text(m, model__run(m, run)->addr).s);
}

static void
call_ends(struct model *m, struct mthread *th, const struct call *c)
{
	switch (c->code) {
	case TRACE_OP_KMALLOC:
	case TRACE_OP_KMALLOC_CACHEALIGN:
	case TRACE_OP_KMALLOC_POWEROF2:
	case TRACE_OP_KSTRDUP:
	case TRACE_OP_KSTRNDUP:
		model__kmalloc_end(m, th, c);
		break;
	case TRACE_OP_KFREE:
	case TRACE_OP_KFREE_INTERIOR:
	case TRACE_OP_KFREE_WILD:
		model__kfree_end(m, th, c);
		break;
	case TRACE_OP_KREALLOC:
		model__krealloc_end(m, th, c);
		break;
	case TRACE_OP_KMALLOC_USABLE_SIZE:
		model__usable_end(m, th, c);
		break;
	case TRACE_OP_KMALLOC_CREATE:
	case TRACE_OP_MALLOC_INIT:
		model__type_create_end(m, th, c);
		break;
	case TRACE_OP_KMALLOC_DESTROY:
	case TRACE_OP_MALLOC_UNINIT:
		model__type_destroy_end(m, th, c);
		break;
	case TRACE_OP_KMALLOC_LIMIT:
	case TRACE_OP_KMALLOC_RAISE_LIMIT:
	case TRACE_OP_KMALLOC_SET_UNLIMITED:
		model__limit_end(m, th, c);
		break;
	case TRACE_OP_VM_PAGE_ALLOC:
		model__page_alloc_end(m, th, c);
		break;
	case TRACE_OP_VM_PAGE_FREE:
		model__page_free_end(m, th, c);
		break;
	case TRACE_OP_KMALLOC_TRIM:
		trim_ends(m, th, c);
		break;
	case TRACE_OP_THREAD_EXIT:
		break;
	case TRACE_OP_QUIESCE:
	case TRACE_OP_MIGRATE:
	case TRACE_OP_COUNT:
		break;
	default:
		other_ends(m, th, c);
		break;
	}
}

/* The call that waits for a call of a frame above; NULL: there is none. */
static struct mthread *
call_below(const struct model *m, struct mthread *th)
{
	struct mthread *below = th - m->config.threads;

	return (below->busy ? below : NULL);
}

/* Calls of caches below one of a zone; 0 if there are others besides. */
static uint8_t
caches_below(const struct model *m, struct mthread *th)
{
	const struct mthread *u = th;
	uint8_t n = 0;

	if (trace_ops[th->code].group != TRACE_G_ZN)
		return (0);
	while (u >= m->thread + m->config.threads) {
		u -= m->config.threads;
		if (!u->busy || trace_ops[u->code].group != TRACE_G_OC)
			return (0);
		n++;
	}
	return (n);
}

/* A call in a frame above that of another call, or of a support thread. */
static void
nested_begins(struct model *m, struct mthread *th, const struct call *c)
{
	struct mthread *below = call_below(m, th);

	th->caches_below = caches_below(m, th);
	th->quiet = m->inflight - m->sleeping == 1u + th->caches_below;
	th[-(ptrdiff_t)m->config.threads].suspended = true;
	if (below != NULL && trace_ops[below->code].group == TRACE_G_MP)
		model__mp_nested_begin(m, below, c);
}

static void
nested_ends(struct model *m, struct mthread *th, const struct call *c)
{
	struct mthread *below = call_below(m, th);

	th[-(ptrdiff_t)m->config.threads].suspended = false;
	if (below == NULL)
		return;
	if (c->why != 0)
		below->nested_why |= UINT32_C(1) << (unsigned)c->why % 32;
	if (m->judging && trace_ops[below->code].group == TRACE_G_MP)
		model__mp_nested_end(m, below, th, c);
}

void
model_invoke(struct model *m, const struct call *c)
{
	struct mthread *th = kept(&m->thread[c->thread]);

	MODEL_ASSERT(c->code < TRACE_OP_COUNT);
	m->counts.calls++;
	if (MODEL_UNLIKELY(!m->judging) || !plan[c->code].is_call)
		return;
	MODEL_ASSERT(c->thread < m->config.threads * CALL_DEPTH_MAX);
	MODEL_ASSERT(!th->busy);
	memset(th, 0, MTHREAD_ZEROED);
	if (c->thread >= m->frames)
		m->frames = c->thread + 1;
	th->busy = true;
	th->class = plan[c->code].class;
	th->handle = c->handle;
	th->code = (uint16_t)c->code;
	th->id = (uint16_t)c->thread;
	th->expect = WHY(NONE);
	th->type = model__type_of(m, c->type);
	th->line = c->line;
	th->cpu = c->cpu;
	m->inflight++;
	th->quiet = m->inflight - m->sleeping == 1;
	th->activity = ++m->activity;
	if (MODEL_UNLIKELY(c->thread >= m->config.threads))
		nested_begins(m, th, c);
	if (MODEL_LIKELY(m->judging))
		call_begins(m, th, c);
	m->moves += m->exited;
	model__hit_begin(m, th, plan[c->code].disturbs || m->exited);
}

/* Nothing is in flight any more that could return what was freed. */
static void
stolen_remains(struct model *m, const struct mthread *th)
{
	const struct mstolen *s = &m->stolen[0];

	model__fail(m, th, "KM-16", "undetected");
	model__expected(m,
	    "panic double-free: nothing was live at %s when "
	    "line %" PRIu64 " freed it",
	    model__addr_text(m, s->addr).s, s->line);
	model__found(m, "a normal return");
}

void
model_return(struct model *m, const struct call *c)
{
	struct mthread *th = kept(&m->thread[c->thread]);

	if (MODEL_UNLIKELY(!m->judging) || !plan[c->code].is_call)
		return;
	MODEL_ASSERT(th->busy);
	MODEL_ASSERT(th->code == c->code);
	if (MODEL_LIKELY(!th->skip))
		call_ends(m, th, c);
	model__hit_end(m, th, c);
	/* A pipe's waiter collects chunks whatever kmalloc refused for; another
	 * what others' CPUs have, from when its pages failed until its end. */
	m->moves += c->code == TRACE_OP_MPIPE_ALLOC_WAITOK ||
	    c->code == TRACE_OP_MPIPE_WAIT || m->exited ||
	    (th->page_failed && (th->flags & M_WAITOK) != 0);
	if (th->asleep) {
		th->asleep = false;
		m->sleeping--;
	}
	if (MODEL_UNLIKELY(c->thread >= m->config.threads))
		nested_ends(m, th, c);
	m->inflight--;
	if (MODEL_UNLIKELY(m->nstolen > 0) && m->inflight == 0)
		stolen_remains(m, th);
	th->busy = false;
}

/* --- sleepers --- */

/* The call of a frame sleeps, and with it those that wait for its return. */
static void
falls_asleep(struct model *m, struct mthread *th)
{
	for (; th->busy && !th->asleep; th -= m->config.threads) {
		th->asleep = true;
		m->sleeping++;
		if (th < m->thread + m->config.threads)
			return;
	}
}

void
model_sleep(struct model *m, uint32_t thread)
{
	struct mthread *th;
	bool page;

	if (!m->judging)
		return;
	th = &m->thread[thread];
	if (!th->busy || th->asleep)
		return;
	m->counts.sleeps++;
	m->hit.disturbed++;
	th->slept = true;
	falls_asleep(m, th);
	if (th->may_sleep || th->skip || !model__is_kalloc(m))
		return;
	page = th->code == TRACE_OP_VM_PAGE_ALLOC ||
	    th->code == TRACE_OP_VM_PAGE_FREE;
	model__fail(m, th, page ? "VM-2" : "G-4", "sleeps");
	model__expected(m, "a call that never blocks");
	model__found(m, "its thread is about to sleep");
}

void
model_migrate(struct model *m, uint32_t thread, uint32_t cpu)
{
	struct mthread *th = &m->thread[thread];

	/* What it has got so far may become another CPU's. */
	m->moves += th->busy;
	m->hit.disturbed++;
	for (; m->judging && th->busy; th -= m->config.threads) {
		th->cpu = UINT32_MAX;
		if (th->class == TRACE_ZONE || th->class == TRACE_VMZONE)
			model__zn_migrate(m, th, cpu);
		if (th < m->thread + m->config.threads)
			break;
	}
}

void
model_wake(struct model *m, uint32_t thread)
{
	struct mthread *th = &m->thread[thread];

	if (!m->judging || !th->asleep)
		return;
	for (; th->busy && th->asleep; th -= m->config.threads) {
		th->asleep = false;
		MODEL_ASSERT(m->sleeping > 0);
		m->sleeping--;
		if (th < m->thread + m->config.threads)
			break;
	}
	m->activity++;
}

/* Calls in flight have slept, or are about to. */
void
model__sleeps_hold(struct model *m, enum trace_class class, uint32_t handle,
    const struct msleeps *s, uint64_t found)
{
	uint64_t least = s->slept, most = s->slept + s->vague;
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		const struct mthread *th = &m->thread[t];

		if (!th->busy || th->class != class || th->handle != handle ||
		    !th->may_sleep)
			continue;
		most++;
		least += th->slept;
	}
	if (!m->judging || (found >= least && found <= most))
		return;
	model__fail(m, NULL, class == TRACE_ZONE ? "ZN-17" : "G-7", "sleeps");
	model__expected(
	    m, "%" PRIu64 " to %" PRIu64 " calls that slept", least, most);
	model__found(m, "%" PRIu64, found);
}

static void
fail_sleeper(struct model *m, const struct mthread *th, const char *state,
    const char *found)
{
	model__fail(m, th, "G-5", state);
	model__expected(m,
	    "to go on: nothing else runs, and %" PRIu64 " of %" PRIu64
	    " pages are free",
	    m->config.pages - m->held, m->config.pages);
	model__found(m, "%s", found);
}

/* Is the slab's run certainly one of the call's CPU? In a simulation every CPU
 * has an owner until a thread exits: nobody takes another's unless he may wait. */
static bool
run_is_near(
    const struct model *m, const struct mthread *th, const struct mrun *run)
{
	return (run->cpu == th->cpu && run->moves == m->moves &&
	    th->cpu != UINT32_MAX);
}

/*
 * Is there a chunk of the size that the call asks for? Objects of one size
 * share slabs, so that a slab's run with room beside such an object has one. To
 * who sleeps it does not matter whose CPU's it is (G-5). With debug options
 * chunks are larger than what is charged: nobody knows.
 */
bool
model__chunk_could_be_had(struct model *m, const struct mthread *th, bool near)
{
	uint64_t charge = th->charge, granules = charge / GRANULE;
	uint32_t i;

	if (m->config.debug != 0 || charge == 0 || charge > KA_KMALLOC_MAX ||
	    th->fail_align != KA_SLAB_SIZE ||
	    th->fail_pages != KA_SLAB_SIZE / KA_PAGE_SIZE)
		return (false);
	for (i = 1; i < m->object.high; i++) {
		const struct mobject *o = model__object(m, i);
		const struct mregion *r;
		const struct mrun *run;

		if (o->state != MOBJECT_LIVE || o->run || o->usable != charge)
			continue;
		r = model__region(m, o->addr >> REGION_SHIFT);
		run = model__run(
		    m, r->run[o->addr / KA_PAGE_SIZE % REGION_PAGES]);
		if (run->span == th->fail_pages && run->npages == run->span &&
		    run->owner == MOWNER_KMALLOC &&
		    (!near || run_is_near(m, th, run)) &&
		    run->live + granules <= KA_SLAB_SIZE / charge * granules &&
		    !model__run_has_transit(
			m, r->run[o->addr / KA_PAGE_SIZE % REGION_PAGES]))
			return (true);
	}
	return (false);
}

/* Who sleeps for pages has seen to it that nobody keeps what he does not need
 * (VM-7). */
void
model__hoarded(struct model *m, struct mthread *th, uint64_t npages)
{
	uint32_t run = model__run_hoarded(m);

	if (run == 0) {
		model__zn_hoarded(m, th, npages);
		return;
	}
	model__fail(m, th, "VM-7", "hoarded");
	model__expected(m,
	    "no wholly free slab kept while a caller sleeps for "
	    "%" PRIu64 " pages",
	    npages);
	model__found(m, "%" PRIu64 " pages at %s held, no object in them",
	    model__run(m, run)->npages,
	    model__addr_text(m, model__run(m, run)->addr).s);
}

/* The thread sleeps and nothing else runs: what does it wait for? */
static void
sleeper_is_justified(struct model *m, struct mthread *th)
{
	/* A pipe's call may sleep in the kmalloc that it makes. */
	if (th->skip ||
	    (th->suspended && trace_ops[th->code].group != TRACE_G_MP))
		return;
	switch (trace_ops[th->code].group) {
	case TRACE_G_OC:
		model__oc_sleeper(m, th);
		return;
	case TRACE_G_MP:
		model__mp_sleeper(m, th);
		return;
	case TRACE_G_ZN:
		model__zn_sleeper(m, th);
		return;
	default:
		break;
	}
	if (!th->allocating || !th->page_failed) {
		fail_sleeper(m, th, "no-cause",
		    "asleep, and no page allocation of the call failed");
		return;
	}
	if (model__chunk_could_be_had(m, th, false)) {
		fail_sleeper(
		    m, th, "chunk", "asleep for a chunk that could be had");
		return;
	}
	if (th->page_hard)
		return;
	if (model__pages_could(m, th, model__depth_of(th->flags))) {
		fail_sleeper(
		    m, th, "lost-wakeup", "asleep for pages that could be had");
		return;
	}
	model__hoarded(m, th, th->fail_pages);
}

bool
model_may_be_idle(const struct model *m)
{
	return (MODEL_UNLIKELY(m->sleeping != 0) &&
	    m->inflight == m->sleeping && m->judging && model__is_kalloc(m));
}

void
model_idle(struct model *m)
{
	uint32_t t;

	if (!model_may_be_idle(m))
		return;
	for (t = 0; t < m->frames && m->judging; t++)
		if (m->thread[t].busy && m->thread[t].asleep)
			sleeper_is_justified(m, &m->thread[t]);
}

/* --- callbacks --- */

void
model_callback(struct model *m, const struct callback *cb)
{
	struct mthread *th = &m->thread[cb->thread];

	if (!m->judging)
		return;
	if (cb->class == TRACE_CACHE)
		model__oc_callback(m, th, cb);
	else if (cb->class == TRACE_PIPE)
		model__mp_callback(m, th, cb);
	else
		model__zn_callback(m, th, cb);
}

void
model_callback_done(struct model *m, const struct callback *cb)
{
	struct mthread *th = &m->thread[cb->thread];

	if (!m->judging)
		return;
	if (cb->class == TRACE_CACHE)
		model__oc_callback_done(m, th, cb);
	else if (cb->class == TRACE_PIPE)
		model__mp_callback_done(m, th, cb);
	else
		model__zn_callback_done(m, th, cb);
}

void
model_describe(struct model *m, enum trace_class class, uint32_t handle,
    const struct owner_stats *st)
{
	m->hit.disturbed++;
	if (!m->judging)
		return;
	if (class == TRACE_CACHE)
		model__oc_describe(m, class, handle, st);
	else if (class == TRACE_PIPE)
		model__mp_describe(m, class, handle, st);
	else
		model__zn_describe(m, class, handle, st);
}

void
model_check_owner(struct model *m, enum trace_class class, uint32_t handle,
    const struct owner_stats *st)
{
	if (!m->judging)
		return;
	if (class == TRACE_CACHE)
		model__oc_check(m, class, handle, st);
	else if (class == TRACE_PIPE)
		model__mp_check(m, class, handle, st);
	else
		model__zn_check(m, class, handle, st);
}

/* --- the end of a run --- */

void
model_check_pages(struct model *m, uint64_t free_pages)
{
	m->hit.disturbed++;
	if (!m->judging || !model__is_kalloc(m) ||
	    free_pages == m->config.pages - m->held)
		return;
	model__fail(m, NULL, "G-7", "free-pages");
	model__expected(m, "%" PRIu64 " of %" PRIu64 " pages free",
	    m->config.pages - m->held, m->config.pages);
	model__found(m, "%" PRIu64, free_pages);
}

static void
page_count_is(struct model *m, const char *what, uint64_t want, uint64_t found)
{
	if (!m->judging || want == found)
		return;
	model__fail(m, NULL, "G-7", what);
	model__expected(m, "%" PRIu64 " %s", want, what);
	model__found(m, "%" PRIu64, found);
}

void
model_check_page_counts(
    struct model *m, uint64_t allocs, uint64_t failures, uint64_t frees)
{
	const struct model_counts *c = &m->counts;

	if (!model__is_kalloc(m))
		return;
	page_count_is(
	    m, "page-allocs", c->page_allocs - c->page_failures, allocs);
	page_count_is(m, "page-failures", c->page_failures, failures);
	page_count_is(m, "page-frees", c->page_frees, frees);
}

void
model_end(struct model *m)
{
	uint32_t i;

	model_idle(m);
	model__oc_at_end(m);
	model__mp_at_end(m);
	model__zn_at_end(m);
	for (i = 1; i < m->object.high && m->judging; i++)
		if (model__object(m, i)->state == MOBJECT_LIVE)
			(void)model__contents_kept(m, NULL, i);
}

void
model_check_empty(struct model *m)
{
	const struct mrun *run = NULL;
	uint32_t i;

	if (!m->judging || !model__is_kalloc(m) ||
	    m->held_kmalloc == model__zn_kept(m))
		return;
	for (i = 1; i < m->run.high; i++) {
		run = model__run(m, i);
		if (run->used && run->owner != MOWNER_TRACE &&
		    run->owner != MOWNER_BOOT)
			break;
	}
	model__fail(m, NULL, "G-8", "pages-held");
	model__expected(m, "no page held by kmalloc after all was given back");
	model__found(m, "%" PRIu64 " pages held, of them %" PRIu64 " at %s",
	    m->held_kmalloc, run->npages, model__addr_text(m, run->addr).s);
}

/* Heap sort of the indices by address: no memory but the table's own. */
static void
sift(const struct model *m, uint32_t *v, size_t root, size_t n)
{
	for (;;) {
		size_t child = 2 * root + 1;
		uint32_t swap;

		if (child >= n)
			return;
		if (child + 1 < n &&
		    model__object(m, v[child])->addr <
			model__object(m, v[child + 1])->addr)
			child++;
		if (model__object(m, v[root])->addr >=
		    model__object(m, v[child])->addr)
			return;
		swap = v[root];
		v[root] = v[child];
		v[child] = swap;
		root = child;
	}
}

static void
sort_by_address(const struct model *m, uint32_t *v, size_t n)
{
	size_t i;

	for (i = n / 2; i > 0; i--)
		sift(m, v, i - 1, n);
	for (i = n; i > 1; i--) {
		uint32_t swap = v[0];

		v[0] = v[i - 1];
		v[i - 1] = swap;
		sift(m, v, 0, i - 1);
	}
}

void
model_each_live(
    struct model *m, bool (*fn)(void *, const struct model_object *), void *arg)
{
	uint32_t *v, i;
	size_t n = 0, k;

	if (m->object.high > m->sort.cap &&
	    !model__pool_grow(&m->sort, m->object.high))
		return;
	v = m->sort.base;
	for (i = 1; i < m->object.high; i++)
		if (model__object(m, i)->state == MOBJECT_LIVE &&
		    !model__object(m, i)->kept)
			v[n++] = i;
	sort_by_address(m, v, n);
	for (k = 0; k < n; k++) {
		const struct mobject *o = model__object(m, v[k]);
		const struct model_object live = {
			.addr = o->addr,
			.bytes = o->usable,
			.requested = o->requested,
			.type = o->run || !model__type(m, o->type)->alive ?
			    TRACE_NOREG :
			    model__type(m, o->type)->reg,
			.thread = o->thread,
			.line = o->line,
			.run = o->run,
			.owner = (enum trace_class)o->owner,
			.handle = o->handle,
		};

		if (!fn(arg, &live))
			return;
	}
}

void
model_each_use(struct model *m,
    void (*fn)(
	void *, enum trace_class, uint32_t reg, uint64_t count, uint64_t bytes),
    void *arg)
{
	uint64_t runs = 0, run_bytes = 0;
	uint32_t i;

	for (i = 1; i < m->type.high; i++) {
		const struct mtype *t = model__type(m, i);

		if (t->inuse != 0)
			fn(arg, TRACE_TYPE, t->alive ? t->reg : TRACE_NOREG,
			    t->inuse, t->memuse);
	}
	for (i = 1; i < m->object.high; i++) {
		const struct mobject *o = model__object(m, i);

		if (o->state == MOBJECT_LIVE && o->run) {
			runs++;
			run_bytes += o->usable;
		}
	}
	if (runs != 0)
		fn(arg, TRACE_RUN, TRACE_NOREG, runs, run_bytes);
}

bool
model_is_owned(const struct model *m, uint64_t addr)
{
	uint32_t i = model__object_find(m, addr);

	return (i != 0 &&
	    (model__object(m, i)->owner == TRACE_CACHE ||
		model__object(m, i)->owner == TRACE_PIPE));
}

bool
model_is_cached(const struct model *m, uint64_t addr, uint32_t zone)
{
	uint32_t i = model__object_find(m, addr);

	return (i != 0 && model__object(m, i)->owner == TRACE_CACHE &&
	    zone != TRACE_NOREG &&
	    model__oc_zone(m, model__object(m, i)->handle) == zone);
}

/* --- clauses --- */

const struct model_clause model_clauses[] = {
	{ "G-1",
	    "through the run: all pages are free at boot; an end that is asked "
	    "for is refused while anything is in use, each told by name and "
	    "count and nothing changed, and granted when all was given back",
	    'D' },
	{ "G-2",
	    "live objects lie in held pages, apart from each other, and "
	    "keep their bytes; freed pages hold none",
	    'D' },
	{ "G-3", "misuse ends in the right panic and nothing else does", 'D' },
	{ "G-4", "only calls that may block sleep", 'D' },
	{ "G-5", "who sleeps while nothing runs waits for what does not exist",
	    'P' },
	{ "G-6", "a failed call changes neither usage, pages nor contents",
	    'D' },
	{ "G-7", "the page layer's counts; sleeps of caches, pipes and zones",
	    'D' },
	{ "G-8", "after everything was given back no page is held", 'D' },
	{ "G-9",
	    "through the simulation: callbacks begin with no lock held and "
	    "outside of sections",
	    'D' },
	{ "G-10",
	    "through runs that are done again, one in 64 of kalab run, of kalab "
	    "explore by the deviations alone and of fuzzing engines, and all "
	    "that are asked for: the same events",
	    'D' },
	{ "G-11",
	    "through runs with all debug options and without, of one seed of "
	    "64 of kalab run: the same results, reasons and callbacks",
	    'D' },
	{ "VM-1", "runs are of the budget, contiguous, aligned, held once",
	    'D' },
	{ "VM-2", "vm_page_alloc and vm_page_free do not sleep", 'D' },
	{ "VM-3",
	    "depths: what succeeds leaves the reserve, what is refused "
	    "would not have; as deep as the call's flags, and no deeper",
	    'D' },
	{ "VM-4", "runs asked for with ZERO are zero", 'D' },
	{ "VM-5", "through G-5: a free of pages wakes who could take them",
	    'P' },
	{ "VM-6", "pages pass the observable point; refusals have a cause",
	    'D' },
	{ "VM-7",
	    "no run of kmalloc is wholly free while a caller sleeps, nor of "
	    "its own CPU when M_NOWAIT is refused, nor could that be had",
	    'S' },
	{ "KM-1",
	    "through the simulation: a free to the slab that the CPU takes "
	    "chunks from, and an allocation of what was freed to it within a "
	    "grant, take no lock and make no atomic read-modify-write, fence "
	    "or sequentially consistent access",
	    'P' },
	{ "KM-2", "through KM-4 and KM-5: above 8 KiB pages are charged", 'D' },
	{ "KM-3", "kmalloc_usable_size; all of it is written and kept", 'D' },
	{ "KM-4", "addresses are aligned as size and flags demand", 'D' },
	{ "KM-5", "calls, objects and bytes of a type; undeclared types", 'D' },
	{ "KM-6", "refusals at the limit and successes beyond it", 'S' },
	{ "KM-7", "M_WAITOK gives no NULL; flags without a family", 'D' },
	{ "KM-8", "M_ZERO: all usable bytes are zero", 'D' },
	{ "KM-9", "size 0 gives the one pointer, free and usable size of it",
	    'D' },
	{ "KM-10", "free of NULL and under another type", 'D' },
	{ "KM-11",
	    "krealloc: prefix, staying, moving, failing; copies of "
	    "strings",
	    'D' },
	{ "KM-12",
	    "M_NOWAIT is not refused beside a chunk of its CPU; through "
	    "KM-14, VM-7 and G-8: remote frees strand nothing",
	    'P' },
	{ "KM-13", "through KM-5: the sum over CPUs", 'D' },
	{ "KM-14", "after kmalloc_trim no run is wholly free; its count", 'S' },
	{ "KM-15", "sizes that cannot be had fail as the flags say", 'D' },
	{ "KM-16", "double free, interior and foreign pointers", 'D' },
	{ "KM-17", "ending a type reports what is in use", 'D' },
	{ "OC-1",
	    "what is got comes from the backend, which is asked as the get "
	    "was and gets everything back",
	    'D' },
	{ "OC-2",
	    "through the simulation: a get of what was put on its CPU, and a "
	    "put where one was got, take no lock and make no atomic "
	    "read-modify-write, fence or sequentially consistent access",
	    'P' },
	{ "OC-3",
	    "constructor and destructor once for each object, in order, in "
	    "calls on their cache, never on a cached get; told their argument",
	    'P' },
	{ "OC-4", "objects keep their bytes from put to get and destructor",
	    'S' },
	{ "OC-5",
	    "NULL has a cause; what a constructor refused goes back; M_ZERO",
	    'D' },
	{ "OC-6",
	    "refusals and sleeps below the limit; objects beyond limit and "
	    "slack",
	    'S' },
	{ "OC-7", "quota, held and cached objects sum to the total", 'D' },
	{ "OC-8",
	    "who sleeps while nothing runs finds neither object nor quota",
	    'P' },
	{ "OC-9", "a put never panics; through G-4: nor sleeps", 'D' },
	{ "OC-10",
	    "objcache_dtor and objcache_destroy destroy and free; destroy "
	    "with held objects",
	    'D' },
	{ "OC-11", "reclaim: all that one cache has; returned; capacity stays",
	    'D' },
	{ "OC-12", "put of NULL, and with debug options of what is not held",
	    'D' },
	{ "MP-1",
	    "all buffers are there at first; no refusal, sleep or panic while "
	    "fewer than nnom are held",
	    'D' },
	{ "MP-2",
	    "refusals beyond nnom; never more than nmax; what is asked of "
	    "kmalloc",
	    'D' },
	{ "MP-3",
	    "waitok gives no NULL; who sleeps could not have a buffer, who has waited can",
	    'D' },
	{ "MP-4", "callbacks: once, in order, in the support thread, not lost",
	    'D' },
	{ "MP-5", "contents as the flags promise", 'D' },
	{ "MP-6", "constructor and deconstructor once for each buffer", 'P' },
	{ "MP-7",
	    "frees go to the array while it has room; double and foreign ones",
	    'P' },
	{ "MP-8", "growth uses the reserves exactly with MPF_INT", 'D' },
	{ "MP-9", "mpipe_done with buffers held", 'D' },
	{ "ZN-1",
	    "items are zero at first, then as they were left, by "
	    "address and epoch; pages are asked for with ZERO",
	    'S' },
	{ "ZN-2",
	    "ctor and dtor: once a call, alternating, with the call's "
	    "argument",
	    'D' },
	{ "ZN-3", "init and fini: paired by item and epoch, never while held",
	    'P' },
	{ "ZN-4", "NULL has a cause; with M_WAITOK only a refusal; flags",
	    'D' },
	{ "ZN-5",
	    "held and cached items and slabs within the maximum; its "
	    "value returned; maxaction",
	    'D' },
	{ "ZN-6",
	    "refusals at the maximum: what other CPUs may cache; maxcache",
	    'S' },
	{ "ZN-7", "who sleeps in zalloc waits for what does not exist", 'P' },
	{ "ZN-8", "nothing handed out above a maximum that was lowered", 'D' },
	{ "ZN-9", "M_ZERO: zero when the ctor begins", 'D' },
	{ "ZN-10", "refused ctor and init: NULL, no dtor, fini in reverse",
	    'D' },
	{ "ZN-11", "an ended zone has given all back; BUSY while in use", 'D' },
	{ "ZN-12", "double free, wrong zone, interior, foreign, NULL", 'D' },
	{ "ZN-13", "alignment; sizes, masks and flags of a new zone", 'D' },
	{ "ZN-14",
	    "preallocation, reserve, which stay; no pages after a full "
	    "drain, none taken by reclaim",
	    'D' },
	{ "ZN-15",
	    "secondary zones' init and fini; pointers of cache zones "
	    "are conserved",
	    'D' },
	{ "ZN-16", "uma_zone_get_cur and uma_zone_get_max", 'D' },
	{ "ZN-17", "geometry, use, requests, failures, sleeps, items and pages",
	    'D' },
	{ "ZN-30", "static memory: exactly its items, and no page", 'D' },
	{ "ZN-31", "completed, the zone grows by pages; not completed again",
	    'D' },
	{ "ZN-32", "zinit's flags: maximum, panic, destruction", 'D' },
	{ "ZN-33", "free items of live slabs are unwritten at the end", 'D' },
	{ NULL, NULL, 0 },
};
