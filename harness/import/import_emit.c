/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The second pass: which thread does what, and the operations themselves.
 *
 * Every CPU has a thread of its own for its idle task and for each interrupt
 * context that was seen; they never migrate. Tasks share what threads there
 * are: a task that has none takes a new one, or if there are no more, the one
 * that was not used for longest. A task's thread is where the task is: it
 * migrates when an event of it comes from another CPU.
 *
 * An owner is made by the first who allocates from it.
 *
 * Threads are numbered as they appear, and the header must say where each one
 * starts. So the assignment runs twice over the records, the first time only
 * for that.
 */
#include <errno.h>
#include <kalloc/flags.h>

#include "import_int.h"

/* Threads that are not for tasks. */
static uint32_t
count_fixed(const struct import *im, bool fold_nmi)
{
	uint32_t count = 0;

	for (uint32_t cpu = 0; cpu < TRACE_CPUS_MAX; cpu++) {
		unsigned seen = im->contexts[cpu] & ~(1u << IMPORT_TASK);

		if (fold_nmi && (seen & 1u << IMPORT_NMI) != 0) {
			seen &= ~(1u << IMPORT_NMI);
			seen |= 1u << IMPORT_HARDIRQ;
		}
		count += (uint32_t)__builtin_popcount(seen);
	}
	return (count);
}

static void
threads_reset(struct import *im)
{
	struct import__threads *const t = &im->threads;
	uint32_t fixed = count_fixed(im, false);

	*t = (struct import__threads) { 0 };
	if (fixed >= TRACE_THREADS_MAX) {
		t->fold_nmi = true;
		fixed = count_fixed(im, true);
	}
	TRACE__ASSERT(fixed < TRACE_THREADS_MAX);
	t->tasks_max = TRACE_THREADS_MAX - fixed;
	if (t->tasks_max > im->options.threads_max)
		t->tasks_max = im->options.threads_max;
}

static uint16_t
thread_new(struct import *im, uint32_t cpu)
{
	const uint32_t thread = im->threads.count++;

	TRACE__ASSERT(thread < TRACE_THREADS_MAX);
	im->header.thread_cpu[thread] = (uint16_t)cpu;
	return ((uint16_t)thread);
}

/* The slot of a task, and where there is none one that is made its own. */
static struct import__slot *
task_slot(struct import *im, const struct import__record *r)
{
	struct import__threads *const t = &im->threads;
	uint32_t oldest = 0;

	if (t->last < t->ntasks && t->task[t->last].pid == r->pid)
		return (&t->task[t->last]);
	for (uint32_t i = 0; i < t->ntasks; i++) {
		if (t->task[i].pid == r->pid) {
			t->last = i;
			return (&t->task[i]);
		}
		if (t->task[i].used < t->task[oldest].used)
			oldest = i;
	}
	if (t->ntasks < t->tasks_max) {
		t->last = t->ntasks++;
		t->task[t->last] = (struct import__slot) {
			.pid = r->pid,
			.thread = thread_new(im, r->cpu),
			.cpu = r->cpu,
		};
	} else {
		t->last = oldest;
		t->task[t->last].pid = r->pid;
		t->recycled++;
	}
	return (&t->task[t->last]);
}

/* The thread of a record; *ret_migrate is whether it must move there first. */
static uint16_t
thread_of(struct import *im, const struct import__record *r, bool *ret_migrate)
{
	struct import__threads *const t = &im->threads;
	unsigned context = r->context;

	t->clock++;
	*ret_migrate = false;
	if (context != IMPORT_TASK) {
		if (context == IMPORT_NMI && t->fold_nmi)
			context = IMPORT_HARDIRQ;
		uint16_t *const fixed = &t->fixed[r->cpu][context];
		if (*fixed == 0)
			*fixed = (uint16_t)(thread_new(im, r->cpu) + 1);
		return ((uint16_t)(*fixed - 1));
	}
	struct import__slot *const slot = task_slot(im, r);
	slot->used = t->clock;
	if (slot->cpu != r->cpu) {
		slot->cpu = r->cpu;
		t->migrations++;
		*ret_migrate = true;
	}
	return (slot->thread);
}

int
import__emit_prepare(struct import *im)
{
	const struct import__record *r;
	bool migrate;
	int got;

	int error = import__spool_rewind(&im->spool);
	if (error != 0)
		return (error);
	threads_reset(im);
	while ((got = import__spool_get(&im->spool, &r)) > 0)
		(void)thread_of(im, r, &migrate);
	if (got < 0)
		return (errno);
	im->nrecords = im->threads.clock;
	im->header.threads = im->threads.count;
	for (uint32_t i = im->threads.count; i < TRACE_THREADS_MAX; i++)
		im->header.thread_cpu[i] = (uint16_t)(i % im->header.cpus);
	im->report.threads = im->threads.count;
	im->report.threads_recycled = im->threads.recycled;
	im->report.migrations = im->threads.migrations;
	im->report.ops = im->nrecords + im->threads.migrations +
	    2 * im->report.types + im->report.objcaches + im->report.pipes +
	    im->report.zones + im->report.vmzones;
	error = import__spool_rewind(&im->spool);
	threads_reset(im);
	return (error);
}

static struct trace_op *
push(struct import *im, enum trace_opcode code, uint16_t thread)
{
	TRACE__ASSERT(im->npending < IMPORT__PENDING_MAX);
	struct trace_op *const op = &im->pending[im->npending++];

	*op = (struct trace_op) {
		.code = (uint16_t)code,
		.thread = thread,
		.out = TRACE_NOREG,
		.line = ++im->nops,
	};
	return (op);
}

/* The kernel limits no type: neither may the trace's. */
static void
push_type(struct import *im, uint16_t thread, const struct import__owner *o)
{
	struct trace_op *op = push(im, TRACE_OP_KMALLOC_CREATE, thread);

	op->out = o->type;
	op->arg[0] = o->str;
	op = push(im, TRACE_OP_KMALLOC_SET_UNLIMITED, thread);
	op->arg[0] = o->type;
}

/* Contents are kept, as the kernel's caches keep them: a buffer that is wiped
 * when it is freed would have no constructor. */
static uint32_t
pipe_flags(const struct import__owner *o)
{
	uint32_t flags = (o->flags & M_ZERO) != 0 ? MPF_CACHEDATA : MPF_NOZERO;

	if ((o->flags & M_USE_INTERRUPT_RESERVE) != 0)
		flags |= MPF_INT;
	return (flags);
}

static uint32_t
vmzone_flags(const struct import__owner *o)
{
	uint32_t flags = ZONE_DESTROYABLE;

	if ((o->flags & M_USE_RESERVE) != 0)
		flags |= ZONE_USE_RESERVE;
	return (flags);
}

/* Makes the owner of the objects that follow. */
static void
push_owner(struct import *im, uint16_t thread, const struct import__owner *o)
{
	struct trace_op *op;

	switch ((enum import_kind)o->kind) {
	case IMPORT_UMA:
		op = push(im, TRACE_OP_UMA_ZCREATE, thread);
		op->arg[0] = o->str;
		op->arg[1] = o->size;
		op->arg[2] = UMA_ALIGN_PTR;
		op->arg[3] = o->hooks;
		break;
	case IMPORT_OBJCACHE:
		push_type(im, thread, o);
		op = push(im, TRACE_OP_OBJCACHE_CREATE, thread);
		op->arg[0] = o->str;
		op->arg[1] = o->type;
		op->arg[2] = o->size;
		op->arg[5] = o->hooks;
		break;
	case IMPORT_MPIPE:
		push_type(im, thread, o);
		op = push(im, TRACE_OP_MPIPE_INIT, thread);
		op->arg[0] = o->type;
		op->arg[1] = o->size;
		op->arg[2] = import__pipe_nnom(o);
		op->arg[3] = UINT32_MAX; /* -1: no maximum */
		op->arg[4] = pipe_flags(o);
		op->arg[5] = o->hooks;
		break;
	case IMPORT_ZINIT:
		op = push(im, TRACE_OP_ZINIT, thread);
		op->arg[0] = o->str;
		op->arg[1] = o->size;
		op->arg[2] = o->live_peak;
		op->arg[3] = vmzone_flags(o);
		break;
	default:
		push_type(im, thread, o);
		return;
	}
	op->out = o->reg;
}

static void
push_alloc(struct import *im, uint16_t thread, const struct import__record *r)
{
	static const enum trace_opcode code[IMPORT_KIND_COUNT] = {
		[IMPORT_UMA] = TRACE_OP_UMA_ZALLOC,
		[IMPORT_OBJCACHE] = TRACE_OP_OBJCACHE_GET,
		[IMPORT_MPIPE] = TRACE_OP_MPIPE_ALLOC_NOWAIT,
		[IMPORT_ZINIT] = TRACE_OP_ZALLOC,
		[IMPORT_KMALLOC] = TRACE_OP_KMALLOC,
	};
	const struct import__owner *const o = &im->types.owner[r->owner];
	struct trace_op *const op = push(im, code[o->kind], thread);

	op->out = r->reg;
	op->arg[0] = o->reg;
	switch ((enum import_kind)o->kind) {
	case IMPORT_UMA:
		op->arg[1] = r->flags;
		break;
	case IMPORT_OBJCACHE:
		op->arg[1] = r->flags & ~(unsigned)M_ZERO; /* is misuse */
		break;
	case IMPORT_MPIPE:
		if ((r->flags & M_WAITOK) != 0)
			op->code = TRACE_OP_MPIPE_ALLOC_WAITOK;
		break;
	case IMPORT_ZINIT:
		break;
	default:
		op->arg[0] = r->size;
		op->arg[1] = o->type;
		op->arg[2] = r->flags;
		break;
	}
}

static void
push_free(struct import *im, uint16_t thread, const struct import__record *r)
{
	static const enum trace_opcode code[IMPORT_KIND_COUNT] = {
		[IMPORT_UMA] = TRACE_OP_UMA_ZFREE,
		[IMPORT_OBJCACHE] = TRACE_OP_OBJCACHE_PUT,
		[IMPORT_MPIPE] = TRACE_OP_MPIPE_FREE,
		[IMPORT_ZINIT] = TRACE_OP_ZFREE,
		[IMPORT_KMALLOC] = TRACE_OP_KFREE,
	};
	const struct import__owner *const o = &im->types.owner[r->owner];
	struct trace_op *const op = push(im, code[o->kind], thread);

	if (o->kind == IMPORT_KMALLOC) {
		op->arg[0] = r->reg;
		op->arg[1] = o->type;
	} else {
		op->arg[0] = o->reg;
		op->arg[1] = r->reg;
	}
}

static void
push_record(struct import *im, uint16_t thread, const struct import__record *r)
{
	const uint64_t bytes = (uint64_t)KA_PAGE_SIZE << (r->size & 63);
	struct trace_op *op;

	switch ((enum import__what)r->what) {
	case IMPORT_ALLOC:
		push_alloc(im, thread, r);
		break;
	case IMPORT_FREE:
		push_free(im, thread, r);
		break;
	case IMPORT_PAGE_ALLOC:
		op = push(im, TRACE_OP_VM_PAGE_ALLOC, thread);
		op->out = r->reg;
		op->arg[0] = bytes / KA_PAGE_SIZE;
		/* The kernel aligns a run to its size, we to a slab's. */
		if (r->size > 0)
			op->arg[1] =
			    bytes < KA_SLAB_SIZE ? bytes : KA_SLAB_SIZE;
		op->arg[2] = r->flags;
		break;
	default:
		op = push(im, TRACE_OP_VM_PAGE_FREE, thread);
		op->arg[0] = r->reg;
		break;
	}
}

int
import__emit_fill(struct import *im)
{
	const struct import__record *r;
	bool migrate;

	im->npending = im->pending_at = 0;
	const int got = import__spool_get(&im->spool, &r);
	if (got <= 0)
		return (got);
	const uint16_t thread = thread_of(im, r, &migrate);
	if (migrate)
		push(im, TRACE_OP_MIGRATE, thread)->arg[0] = r->cpu;
	if (r->what == IMPORT_ALLOC && r->owner == im->nowners_made)
		push_owner(im, thread, &im->types.owner[im->nowners_made++]);
	push_record(im, thread, r);
	return (1);
}
