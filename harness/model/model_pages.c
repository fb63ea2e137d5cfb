/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page monitor: what the page layer may give, and to whom it gave it.
 *
 * It listens at the observable point (VM-6). A page is free, held by kmalloc,
 * or held by the trace; which, two masks a region say. What was given out at
 * once is a run, which counts the granules of live objects in it, so that a
 * wholly free one is seen at once (VM-7, KM-14). A part of a run may be given
 * back; the rest stays one run.
 */
#include <string.h>

#include "model_int.h"

#define DEPTHS (VM_ALLOC_NORMAL | VM_ALLOC_SYSTEM | VM_ALLOC_INTERRUPT)

/* Pages that an allocation with these flags must leave (VM-3). */
static uint64_t
depth_reserve(const struct model *m, uint32_t flags)
{
	if ((flags & VM_ALLOC_INTERRUPT) != 0)
		return (0);
	if ((flags & VM_ALLOC_SYSTEM) != 0)
		return (m->config.reserve_interrupt);
	return (m->config.reserve_system);
}

static const char *
depth_name(uint32_t flags)
{
	if ((flags & VM_ALLOC_INTERRUPT) != 0)
		return ("INTERRUPT");
	return ((flags & VM_ALLOC_SYSTEM) != 0 ? "SYSTEM" : "NORMAL");
}

static bool
depth_allows(const struct model *m, uint64_t npages, uint32_t flags)
{
	uint64_t free = m->config.pages - m->held;

	return (npages <= free && free - npages >= depth_reserve(m, flags));
}

/* The pages of one region, as a mask; moves at on. */
static uint16_t
region_mask(uint64_t *at, uint64_t end)
{
	unsigned first = (unsigned)(*at / PAGE % REGION_PAGES);
	uint64_t n = (end - *at) / PAGE;

	if (n > REGION_PAGES - first)
		n = REGION_PAGES - first;
	*at += n * PAGE;
	return ((uint16_t)(((1u << n) - 1) << first));
}

static bool
page_is_held(const struct model *m, uint64_t at)
{
	const struct mregion *r = model__region(m, at >> REGION_SHIFT);

	return (r != NULL &&
	    ((r->kmalloc | r->trace) >> at / PAGE % REGION_PAGES & 1) != 0);
}

/* Is a contiguous, aligned run free? Without an arena, nobody knows. */
static bool
free_run_exists(struct model *m, uint64_t npages, uint64_t align)
{
	uint64_t end = m->config.arena + m->config.pages * PAGE;
	uint64_t at, mask = (align < PAGE ? PAGE : align) - 1, i;

	if (m->config.arena == 0)
		return (npages == 1 && align <= PAGE);
	at = (m->config.arena + mask) & ~mask;
	while (at < end && npages <= (end - at) / PAGE) {
		for (i = at; i < at + npages * PAGE && !page_is_held(m, i);)
			i += PAGE;
		if (i == at + npages * PAGE)
			return (true);
		at = (i + PAGE + mask) & ~mask;
	}
	return (false);
}

uint64_t
model_free_page(struct model *m)
{
	uint64_t at = m->config.arena + m->config.pages * PAGE;

	while (m->config.arena != 0 && at > m->config.arena) {
		at -= PAGE;
		if (!page_is_held(m, at))
			return (at);
	}
	return (0);
}

bool
model_pages_are_traces(const struct model *m, uint64_t addr, uint64_t npages)
{
	uint64_t at = addr, end = addr + npages * PAGE;

	while (at < end) {
		const struct mregion *r = model__region(m, at >> REGION_SHIFT);
		unsigned mask = region_mask(&at, end);

		if (r == NULL || (r->trace & mask) != mask)
			return (false);
	}
	return (true);
}

bool
model__pages_can(
    struct model *m, uint64_t npages, uint64_t align, uint32_t flags)
{
	return (depth_allows(m, npages, flags) &&
	    free_run_exists(m, npages, align));
}

bool
model__pages_could(struct model *m, const struct mthread *th, uint32_t depth)
{
	return (model__pages_can(m, th->fail_pages, th->fail_align, depth));
}

uint32_t
model__depth_of(uint32_t flags)
{
	if ((flags & M_USE_INTERRUPT_RESERVE) != 0)
		return (VM_ALLOC_INTERRUPT);
	return (
	    (flags & M_USE_RESERVE) != 0 ? VM_ALLOC_SYSTEM : VM_ALLOC_NORMAL);
}

/* Forgets what was freed in the pages of a run. */
void
model__run_forget(struct model *m, uint32_t i)
{
	const struct mrun *run = model__run(m, i);
	uint64_t at = run->addr, end = run->addr + run->span * PAGE;

	while (at < end) {
		struct mregion *r = model__region(m, at >> REGION_SHIFT);
		unsigned mask = region_mask(&at, end) & r->dirty;

		for (; mask != 0; mask &= mask - 1) {
			unsigned page = (unsigned)__builtin_ctz(mask);

			if (r->run[page] != i)
				continue;
			model__page_forget(r, page);
		}
	}
}

void
model__page_run_release(struct model *m, uint32_t i)
{
	struct mrun *run = model__run(m, i);

	MODEL_ASSERT(run->used && run->live == 0);
	if (model__run_is_counted(run))
		m->runs_empty--;
	run->used = 0;
	run->next = m->run_free;
	m->run_free = i;
}

static uint32_t
run_new(struct model *m, uint64_t addr, uint64_t npages, enum mowner owner)
{
	uint32_t i = m->run_free;

	if (i != 0)
		m->run_free = model__run(m, i)->next;
	else if ((i = model__pool_take(&m->run)) == 0) {
		model__out_of_memory(m);
		return (0);
	}
	*model__run(m, i) = (struct mrun) { .addr = addr,
		.span = npages,
		.npages = npages,
		.owner = (uint8_t)owner,
		.used = 1 };
	if (owner == MOWNER_KMALLOC)
		m->runs_empty++;
	return (i);
}

/* Does an object in transit lie in the run? It may be live still. */
bool
model__run_has_transit(struct model *m, uint32_t i)
{
	uint32_t t;

	for (t = 0; t < m->frames; t++) {
		const struct mthread *th = &m->thread[t];
		struct mregion *r;
		uint64_t at;

		if (!th->busy || th->object == 0)
			continue;
		at = model__object(m, th->object)->addr;
		r = model__region(m, at >> REGION_SHIFT);
		if (r != NULL && r->run[at / PAGE % REGION_PAGES] == i)
			return (true);
	}
	return (false);
}

/* Of the CPU, or of all. */
static uint32_t
run_hoarded(struct model *m, uint32_t cpu)
{
	uint32_t i;

	if (MODEL_LIKELY(m->runs_empty == 0))
		return (0);
	for (i = 1; i < m->run.high; i++) {
		const struct mrun *run = model__run(m, i);

		if (run->used && model__run_is_counted(run) && run->live == 0 &&
		    (cpu == UINT32_MAX ||
			(run->cpu == cpu && run->moves == m->moves)) &&
		    !model__run_has_transit(m, i))
			return (i);
	}
	return (0);
}

uint32_t
model__run_hoarded(struct model *m)
{
	return (run_hoarded(m, UINT32_MAX));
}

/*
 * What the call's CPU keeps goes back first, and then the pages are asked for
 * once more, at the depth that the flags allow. Where the failure was injected
 * there is nothing that had to be tried again.
 */
void
model__judge_kept(struct model *m, struct mthread *th, uint32_t depth)
{
	uint32_t run = th->cpu == UINT32_MAX ? 0 : run_hoarded(m, th->cpu);

	if (run != 0) {
		model__fail(m, th, "VM-7", "hoarded-nowait");
		model__expected(m,
		    "every wholly free slab of CPU %" PRIu32
		    " given back before a call is refused for pages",
		    th->cpu);
		model__found(m,
		    "%" PRIu64 " pages at %s held, no object in them",
		    model__run(m, run)->npages,
		    model__addr_text(m, model__run(m, run)->addr).s);
	} else if (!th->fail_injected && model__pages_could(m, th, depth)) {
		bool shallow =
		    depth_reserve(m, th->fail_flags) > depth_reserve(m, depth);

		model__fail(m, th, shallow ? "VM-3" : "VM-7",
		    shallow ? "too-shallow" : "not-tried-again");
		model__expected(m,
		    "%" PRIu64 " pages: %" PRIu64 " of %" PRIu64
		    " are free, %s leaves %" PRIu64,
		    th->fail_pages, m->config.pages - m->held, m->config.pages,
		    depth_name(depth), depth_reserve(m, depth));
		model__found(m, "a refusal, and nobody else was active");
	}
}

/* --- events --- */

static enum mowner
owner_of(const struct mthread *th)
{
	if (th == NULL || !th->busy)
		return (MOWNER_BOOT);
	switch (th->code) {
	case TRACE_OP_VM_PAGE_ALLOC:
		return (MOWNER_TRACE);
	case TRACE_OP_KMALLOC_CREATE:
	case TRACE_OP_MALLOC_INIT:
		return (MOWNER_TYPE);
	default:
		return (trace_ops[th->code].group == TRACE_G_ZN ?
			MOWNER_ZONE :
			MOWNER_KMALLOC);
	}
}

static struct mthread *
event_thread(struct model *m, uint32_t thread)
{
	return (thread < CALL_FRAMES_MAX ? &m->thread[thread] : NULL);
}

/* May the call wait, or one that made it? */
static bool
may_wait(const struct model *m, const struct mthread *th)
{
	for (; th->busy; th -= m->config.threads) {
		if ((th->allocating && (th->flags & M_WAITOK) != 0) ||
		    th->code == TRACE_OP_MPIPE_ALLOC_WAITOK ||
		    th->code == TRACE_OP_MPIPE_WAIT)
			return (true);
		if (th < m->thread + m->config.threads)
			break;
	}
	return (false);
}

/* A failure without a cause (VM-3), or one that is remembered. */
static void
alloc_failed(struct model *m, struct mthread *th, uint64_t npages,
    uint64_t align, uint32_t flags, bool injected, bool hard)
{
	m->counts.page_failures++;
	if (th != NULL) {
		th->page_failed = true;
		th->page_hard = injected && hard;
		th->fail_injected = injected;
		th->fail_pages = npages;
		th->fail_align = align;
		th->fail_flags = flags;
		/* It may take slabs of other CPUs for the chunks in them. */
		m->moves += may_wait(m, th);
	}
	if (injected || m->config.arena == 0 ||
	    !model__pages_can(m, npages, align, flags))
		return;
	model__fail(m, th, "VM-3", "refused");
	model__expected(m,
	    "a run of %" PRIu64 " pages: %" PRIu64 " of %" PRIu64
	    " are free, %s leaves %" PRIu64 ", and an aligned run exists",
	    npages, m->config.pages - m->held, m->config.pages,
	    depth_name(flags), depth_reserve(m, flags));
	model__found(m, "the page layer refused");
}

/* The pages that the call's own flags let it dig to (VM-3). */
static bool
digs_too_deep(const struct model *m, const struct mthread *th, uint32_t flags)
{
	if (th != NULL && th->busy && th->code == TRACE_OP_VM_PAGE_ALLOC)
		return (depth_reserve(m, flags) < depth_reserve(m, th->flags));
	if (th != NULL && th->busy && trace_ops[th->code].group == TRACE_G_MP)
		return (depth_reserve(m, flags) <
		    depth_reserve(m, model__mp_depth(m, th)));
	if (th == NULL || !th->busy || !th->allocating)
		return (false);
	return (depth_reserve(m, flags) <
	    depth_reserve(m, model__depth_of(th->flags)));
}

static bool
alloc_arguments_hold(struct model *m, const struct mthread *th, uint64_t addr,
    uint64_t npages, uint64_t align, uint32_t flags)
{
	uint64_t mask = (align < PAGE ? PAGE : align) - 1;
	uint64_t off = addr - m->config.arena;

	if ((addr & mask) != 0 ||
	    (m->config.arena != 0 &&
		(off / PAGE >= m->config.pages ||
		    npages > m->config.pages - off / PAGE))) {
		model__fail(
		    m, th, "VM-1", (addr & mask) != 0 ? "align" : "outside");
		model__expected(m,
		    "%" PRIu64 " pages of the budget of %" PRIu64
		    ", aligned to %" PRIu64 " bytes",
		    npages, m->config.pages, mask + 1);
	} else if (!depth_allows(m, npages, flags)) {
		bool budget = npages > m->config.pages - m->held;

		model__fail(m, th, budget ? "VM-1" : "VM-3",
		    budget ? "budget" : "too-deep");
		model__expected(m,
		    "failure: %" PRIu64 " of %" PRIu64
		    " pages are free and %s leaves %" PRIu64,
		    m->config.pages - m->held, m->config.pages,
		    depth_name(flags), depth_reserve(m, flags));
	} else if (digs_too_deep(m, th, flags)) {
		model__fail(m, th, "VM-3", "flags");
		model__expected(
		    m, "no deeper than the flags of the call allow");
		model__found(m, "pages taken with %s", depth_name(flags));
		return (false);
	} else {
		return (true);
	}
	model__found(
	    m, "%" PRIu64 " pages at %s", npages, model__addr_text(m, addr).s);
	return (false);
}

/* Marks the pages as held; false, with a finding, if one is. */
static bool
pages_hold(
    struct model *m, const struct mthread *th, uint64_t addr, uint32_t run)
{
	uint64_t at = addr, end = addr + model__run(m, run)->npages * PAGE;
	bool trace = model__run(m, run)->owner == MOWNER_TRACE;

	while (at < end) {
		struct mregion *r = model__region_make(m, at >> REGION_SHIFT);
		uint64_t begin = at;
		unsigned mask = region_mask(&at, end), rest;

		if (r == NULL)
			return (false);
		if (MODEL_UNLIKELY(((r->kmalloc | r->trace) & mask) != 0)) {
			model__fail(m, th, "VM-1", "held-already");
			model__expected(m, "pages that nobody holds");
			model__found(m, "pages from %s, of which some are held",
			    model__addr_text(m, begin).s);
			return (false);
		}
		if (trace)
			r->trace = (uint16_t)(r->trace | mask);
		else
			r->kmalloc = (uint16_t)(r->kmalloc | mask);
		for (rest = mask; rest != 0; rest &= rest - 1)
			r->run[__builtin_ctz(rest)] = run;
	}
	return (true);
}

void
model_vm_alloc(struct model *m, uint32_t thread, uint64_t addr, uint64_t npages,
    uint64_t align, uint32_t flags, bool injected, bool hard)
{
	struct mthread *th = event_thread(m, thread);
	enum mowner owner = owner_of(th);
	uint32_t run;

	if (!m->judging || !model__is_kalloc(m))
		return;
	m->counts.page_allocs++;
	if (addr == 0) {
		m->hit.disturbed++; /* what CPUs keep is given back */
		alloc_failed(m, th, npages, align, flags, injected, hard);
		return;
	}
	if (!alloc_arguments_hold(m, th, addr, npages, align, flags))
		return;
	run = run_new(m, addr, npages, owner);
	if (run == 0)
		return;
	model__run(m, run)->cpu = th == NULL ? UINT32_MAX : th->cpu;
	model__run(m, run)->moves = m->moves;
	if (owner == MOWNER_ZONE) {
		model__run(m, run)->class = th->class;
		model__run(m, run)->handle = th->handle;
	}
	if (!pages_hold(m, th, addr, run))
		return;
	m->held += npages;
	if (owner != MOWNER_TRACE && owner != MOWNER_BOOT)
		m->held_kmalloc += npages;
	if (owner == MOWNER_ZONE)
		model__zn_pages(m, th, run, flags);
	if (owner != MOWNER_TRACE)
		return;
	th->got_addr = addr;
	th->got_pages = npages;
	th->got_lost = false;
}

uint32_t
model__run_static(
    struct model *m, struct mthread *th, uint64_t addr, uint64_t npages)
{
	uint32_t run = run_new(m, addr, npages, MOWNER_ZONE);

	if (run == 0)
		return (0);
	model__run(m, run)->class = th->class;
	model__run(m, run)->handle = th->handle;
	return (pages_hold(m, th, addr, run) ? run : 0);
}

void
model__run_static_end(struct model *m, uint32_t i)
{
	struct mrun *run = model__run(m, i);
	uint64_t at = run->addr, end = run->addr + run->span * PAGE;

	while (at < end) {
		struct mregion *r = model__region(m, at >> REGION_SHIFT);
		unsigned mask = region_mask(&at, end), dirty;

		for (dirty = mask & r->dirty; dirty != 0; dirty &= dirty - 1)
			model__page_forget(r, (unsigned)__builtin_ctz(dirty));
		r->kmalloc = (uint16_t)(r->kmalloc & ~mask);
	}
	model__page_run_release(m, i);
}

static void
fail_free(struct model *m, const struct mthread *th, uint64_t addr,
    uint64_t npages, const char *clause, const char *state)
{
	model__fail(m, th, clause, state);
	if (strcmp(state, "live") == 0)
		model__expected(m, "pages in which no object is live");
	else
		model__expected(m, "pages that the call itself may give back");
	model__found(m, "%" PRIu64 " pages at %s given back", npages,
	    model__addr_text(m, addr).s);
}

static bool
pages_are_dead(const struct mregion *r, unsigned mask)
{
	uint64_t any = r->full & mask;
	unsigned w;

	for (mask &= r->dirty; mask != 0; mask &= mask - 1)
		for (w = 0; w < PAGE_WORDS; w++)
			any |=
			    r->live[(unsigned)__builtin_ctz(mask) * PAGE_WORDS +
				w];
	return (any == 0);
}

/* May the pages be given back? */
static bool
pages_may_go(
    struct model *m, const struct mthread *th, uint64_t addr, uint64_t npages)
{
	bool trace =
	    th != NULL && th->busy && th->code == TRACE_OP_VM_PAGE_FREE;
	uint64_t at = addr, end = addr + npages * PAGE;

	while (at < end) {
		struct mregion *r = model__region(m, at >> REGION_SHIFT);
		unsigned mask = region_mask(&at, end);
		unsigned own = r == NULL ? 0 : trace ? r->trace : r->kmalloc;
		unsigned live;

		if ((own & mask) != mask) {
			bool held = r != NULL &&
			    ((r->kmalloc | r->trace) & mask) == mask;

			fail_free(m, th, addr, npages, held ? "G-2" : "VM-1",
			    held ? "not-own" : "not-held");
			return (false);
		}
		live = mask & (r->dirty | r->full);
		if (!pages_are_dead(r, live) &&
		    !(m->nstale > 0 && model__stale_took(m, addr, end) &&
			pages_are_dead(r, live))) {
			fail_free(m, th, addr, npages, "G-2", "live");
			return (false);
		}
	}
	return (true);
}

static void
pages_go(struct model *m, uint64_t addr, uint64_t npages)
{
	uint64_t at = addr, end = addr + npages * PAGE;

	while (at < end) {
		struct mregion *r = model__region(m, at >> REGION_SHIFT);
		unsigned mask = region_mask(&at, end), rest;

		for (rest = mask; rest != 0; rest &= rest - 1) {
			unsigned page = (unsigned)__builtin_ctz(rest);
			struct mrun *run = model__run(m, r->run[page]);

			if (run->owner != MOWNER_TRACE &&
			    run->owner != MOWNER_BOOT)
				m->held_kmalloc--;
			if ((r->dirty >> page & 1) != 0)
				model__page_forget(r, page);
			if (--run->npages == 0)
				model__page_run_release(m, r->run[page]);
			r->run[page] = 0;
		}
		r->kmalloc = (uint16_t)(r->kmalloc & ~mask);
		r->trace = (uint16_t)(r->trace & ~mask);
	}
	m->held -= npages;
}

/* The trace gave a run back: its object ends here. */
static void
trace_run_goes(struct model *m, struct mthread *th, uint64_t addr)
{
	uint32_t o = model__object_find(m, addr), t;

	th->freed_run = true;
	if (o != 0 && model__object(m, o)->run) {
		model__run_leave(m, o);
		model__object_release(m, o);
		return;
	}
	for (t = 0; t < m->frames; t++)
		if (m->thread[t].busy && m->thread[t].got_addr == addr)
			m->thread[t].got_lost = true;
}

void
model_vm_free(struct model *m, uint32_t thread, uint64_t addr, uint64_t npages)
{
	struct mthread *th = event_thread(m, thread);

	if (!m->judging || !model__is_kalloc(m))
		return;
	if (addr % PAGE != 0 || npages == 0 || npages > m->held) {
		fail_free(m, th, addr, npages, "VM-1", "not-held");
		return;
	}
	m->counts.page_frees++;
	if (!pages_may_go(m, th, addr, npages))
		return;
	model__zn_pages_go(m, th, addr, npages);
	pages_go(m, addr, npages);
	if (th != NULL && th->busy && th->code == TRACE_OP_VM_PAGE_FREE)
		trace_run_goes(m, th, addr);
}

/* --- calls of the trace --- */

void
model__page_alloc_begin(
    struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t depth = c->flags & DEPTHS;

	th->skip = !model__is_kalloc(m);
	th->requested = c->num;
	th->flags = c->flags;
	th->got_pages = 0;
	if (c->num == 0 || (c->flags & ~(DEPTHS | VM_ALLOC_ZERO)) != 0 ||
	    depth == 0 || (depth & (depth - 1)) != 0 ||
	    (c->align & (c->align - 1)) != 0 || c->align > KA_SLAB_SIZE) {
		th->expect = WHY(BAD_ARG);
		th->misuse = true;
	}
}

static void
page_alloc_refused(struct model *m, const struct mthread *th)
{
	if (th->got_addr != 0 && !th->got_lost) {
		model__fail(m, th, "G-6", "pages-lost");
		model__expected(m, "the pages that the page layer gave");
		model__found(
		    m, "NULL, and %" PRIu64 " pages still held", th->got_pages);
	} else if (!th->page_failed && th->requested <= m->config.pages) {
		model__fail(m, th, "VM-6", "no-cause");
		model__expected(m,
		    "%" PRIu64 " pages: no page allocation "
		    "failed",
		    th->requested);
		model__found(m, "NULL");
	} else {
		m->counts.refusals++;
	}
}

static void
page_run_born(struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t i = model__object_new(m);
	struct mobject *o = model__object(m, i);
	uint64_t at;

	if (i == 0)
		return;
	o->addr = c->ret;
	o->usable = o->requested = c->num * PAGE;
	o->line = c->line;
	o->thread = th->id;
	o->type = 0;
	if (!model__run_enter(m, i))
		return;
	m->counts.allocs++;
	if ((c->flags & VM_ALLOC_ZERO) != 0) {
		at = model__nonzero(
		    m, (const void *)(uintptr_t)c->ret, o->usable, o->seed);
		if (at != UINT64_MAX) {
			model__fail(m, th, "VM-4", "nonzero");
			model__expected(m, "%" PRIu64 " zero bytes", o->usable);
			model__found(m, "byte %" PRIu64 " is 0x%02x", at,
			    ((const uint8_t *)(uintptr_t)c->ret)[at]);
			return;
		}
	}
	model__fill(m, (void *)(uintptr_t)c->ret, o->usable, o->seed);
}

void
model__page_alloc_end(struct model *m, struct mthread *th, const struct call *c)
{
	uint64_t mask = (c->align < PAGE ? PAGE : c->align) - 1;

	if (th->misuse || c->why != 0) {
		model__misuse_return(m, th, c);
		return;
	}
	if (c->ret == 0) {
		page_alloc_refused(m, th);
		return;
	}
	if (c->ret != th->got_addr || c->num != th->got_pages ||
	    (c->ret & mask) != 0) {
		bool seen = c->ret == th->got_addr;

		model__fail(m, th, seen ? "VM-1" : "VM-6",
		    seen ? "run" : "not-observed");
		model__expected(m,
		    "the run of %" PRIu64 " pages, aligned to %" PRIu64
		    ", that passed the observable point",
		    c->num, mask + 1);
		model__found(m, "%s; observed: %" PRIu64 " pages",
		    model__addr_text(m, c->ret).s, th->got_pages);
		return;
	}
	if (!th->got_lost)
		page_run_born(m, th, c);
}

/* The live run that the call names, or 0. */
static uint32_t
run_named(const struct model *m, const struct call *c)
{
	uint32_t o = c->addr == 0 ? 0 : model__object_find(m, c->addr);

	if (o == 0 || !model__object(m, o)->run ||
	    model__object(m, o)->usable != c->pages * PAGE)
		return (0);
	return (o);
}

void
model__page_free_begin(
    struct model *m, struct mthread *th, const struct call *c)
{
	uint32_t o;

	th->addr = c->addr;
	th->skip = !model__is_kalloc(m);
	if (th->skip)
		return;
	o = run_named(m, c);
	if (o == 0) {
		th->expect = WHY(FOREIGN) | WHY(BAD_ARG) | WHY(DOUBLE_FREE);
		th->misuse = true;
	} else {
		th->seed = model__object(m, o)->seed;
		(void)model__contents_kept(m, th, o);
	}
}

/* A panic is legal if another call freed the run meanwhile, or is at it. */
static bool
page_free_lost(struct model *m, const struct mthread *th, const struct call *c)
{
	uint32_t o = run_named(m, c), t;

	uint32_t why = UINT32_C(1) << (unsigned)c->why % 32;

	if (((WHY(FOREIGN) | WHY(BAD_ARG) | WHY(DOUBLE_FREE)) & why) == 0)
		return (false);
	if (o == 0 || model__object(m, o)->seed != th->seed)
		return (true);
	for (t = 0; t < m->frames; t++)
		if (&m->thread[t] != th && m->thread[t].busy &&
		    m->thread[t].code == TRACE_OP_VM_PAGE_FREE &&
		    m->thread[t].addr == c->addr)
			return (true);
	return (false);
}

void
model__page_free_end(struct model *m, struct mthread *th, const struct call *c)
{
	if (c->why == 0 && th->freed_run &&
	    !(th->misuse && model__was_alone(m, th))) {
		m->counts.frees++;
		return;
	}
	if (c->why != 0 && !th->freed_run && !th->misuse &&
	    page_free_lost(m, th, c)) {
		m->counts.panics++;
		return;
	}
	if (c->why != 0 || th->misuse) {
		model__misuse_return(m, th, c);
		return;
	}
	model__fail(m, th, "VM-6", "not-observed");
	model__expected(m,
	    "the run of %" PRIu64 " pages at %s to pass the "
	    "observable point when it is given back",
	    c->pages, model__addr_text(m, c->addr).s);
	model__found(m, "a normal return, and the pages still held");
}
