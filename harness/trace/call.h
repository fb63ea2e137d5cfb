/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A call: one operation with its registers resolved, on its way from the
 * trace to the subject and the model, and its result on the way back.
 *
 * Addresses are the subject's, as numbers. A type is named by its register
 * number; the subject keeps what stands behind it.
 */
#ifndef KALAB_CALL_H
#define KALAB_CALL_H

#include <stdint.h>
#include <string.h>

#include "trace/trace.h"

/*
 * A thread is in one call at a time, and in a callback of that call it may be
 * in another. Each has a *frame*: thread + depth * threads, depth from 0.
 */
#define CALL_DEPTH_MAX	 3u
#define CALL_DAEMONS_MAX 8u /* support threads of mpipes, after the trace's */
#define CALL_THREADS_MAX (TRACE_THREADS_MAX + CALL_DAEMONS_MAX)
#define CALL_FRAMES_MAX	 (CALL_THREADS_MAX * CALL_DEPTH_MAX)

struct call {
	enum trace_opcode code;
	uint32_t thread;  /* the frame: see above */
	uint32_t cpu;	  /* where the thread was when the call began */
	uint64_t line;	  /* of the operation */
	uint64_t addr;	  /* OBJ, RUN: the address; 0 for null */
	uint64_t size;	  /* SIZE */
	uint64_t num;	  /* first NUM (pages; max of kstrndup) */
	uint64_t align;	  /* second NUM (vm_page_alloc) */
	uint64_t pages;	  /* RUN: pages of the run that addr names */
	uint32_t flags;	  /* FLAGS, VMFLAGS */
	uint32_t type;	  /* TYPE: register number, or TRACE_NOREG */
	uint32_t wild;	  /* WILD */
	uint32_t handle;  /* CACHE, PIPE, ZONE, VMZONE: register number, of what
	                     is made too; TRACE_NOREG for none */
	uint32_t handle2; /* the second one */
	int32_t n[2];	  /* INTs in turn */
	uint32_t nints;	  /* how many */
	uint32_t hooks;	  /* HOOKS: bits 1 << enum trace_hook */
	enum trace_reclaim reclaim; /* RECLAIM */
	uint64_t udata;		    /* NUM of the _arg calls; ordinal of an
	                               mpipe_alloc_callback */
	const char *str;
	/* Result. */
	uint64_t ret; /* address, size or limit; 0 for NULL or nothing */
	int why;      /* 0, or the KA_WHY_ number of the panic it ended in */
	/* Locks, atomic read-modify-writes, fences and sequentially consistent
	 * accesses of it; 0 where nobody counts. */
	uint32_t shared;
};

/* By parts: of more than 64 bytes compilers make a loop. */
static inline void
call_clear(struct call *c)
{
	_Static_assert(sizeof(*c) > 128 && sizeof(*c) <= 192, "three parts");
	memset(c, 0, 64);
	memset((char *)c + 64, 0, 64);
	memset((char *)c + 128, 0, sizeof(*c) - 128);
}

/*
 * The library called back, in the middle of a call or in a support thread.
 * class and handle tell whose callback it is.
 */
struct callback {
	enum trace_hook hook;
	enum trace_class class; /* CACHE, PIPE, ZONE */
	uint32_t handle;	/* its register */
	uint32_t thread;	/* the frame that it runs in */
	uint64_t addr;		/* the object; 0 for alloc, import, callback */
	uint64_t size;	 /* that it was told; of import, release: how many */
	uint64_t udata;	 /* that it was told */
	uint32_t flags;	 /* that it was told */
	uint64_t *store; /* import (filled in), release: the pointers */
	/* Result: ctor, init: 1 done, 0 refused; alloc: address or 0; import:
	 * how many. */
	uint64_t ret;
};

/* What a subject reports of a cache, pipe or zone. What it has not is 0. */
struct owner_stats {
	uint64_t used, cached, free; /* held; in caches; in slabs or array */
	uint64_t total;		     /* buffers of a pipe */
	uint64_t limit, requests, failures, sleeps, pending;
	uint64_t nnom, nmax;
	uint64_t capacity; /* of a magazine or bucket; 0: no caches */
	uint64_t rsize, ipers, ppera, slabs, reserve;
	int64_t quota, quota_total;
};

#endif
