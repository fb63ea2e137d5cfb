/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MPIPE: a fixed number of buffers that are guaranteed without blocking.
 *
 * Use it where work must go on when memory is short: the path that writes
 * pages out, the interrupt handler. A pipe is made with nnom buffers. While
 * fewer than nnom are held, an allocation succeeds at once, whatever the state
 * of the system (MP-1). Beyond them buffers come from kmalloc, up to nmax.
 */
#ifndef KALLOC_MPIPE_H
#define KALLOC_MPIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kalloc/kmalloc.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * Contents (MP-5):
 *   no flag        a fresh buffer is zero, and so is a reused one: it is
 *                  zeroed when it is freed. With a constructor this is
 *                  misuse: its work would be lost.
 *   MPF_NOZERO     fresh: unspecified, then constructed; kept on reuse
 *   MPF_CACHEDATA  fresh: zero, then constructed; kept on reuse
 *   MPF_INT        growth may use the page reserves (MP-8)
 *   MPF_CALLBACK   mpipe_alloc_callback() may be used; the pipe has a support
 *                  thread
 * Values: see kalloc/flags.h.
 */

struct mpipe_waiter;
/* The caller's storage; fields are private. All zero is a pipe that is not
 * initialised. Of a pipe whose system has ended nothing is asked but
 * mpipe_init() and mpipe_done(): another call with it is not found out. */
struct malloc_pipe {
	void *mp_private;
};
typedef struct malloc_pipe *malloc_pipe_t;

/* Callbacks run without any lock of the library; they may call everything,
 * also this pipe. construct and deconstruct get mpipe_init()'s priv. */
typedef void mpipe_construct_fn(void *buf, void *priv);
typedef void mpipe_deconstruct_fn(void *buf, void *priv);
typedef void mpipe_callback_fn(void *arg1, void *arg2);

/*
 * Initialises a pipe and fills it: all nnom buffers are there when it returns.
 *
 *   type, bytes  what kmalloc is asked for; 1 or more bytes
 *   nnom         at least 1; less means 1
 *   nmax         buffers at most (MP-2); negative: no maximum; less than nnom:
 *                nnom
 *   construct    called once for each buffer obtained, deconstruct once before
 *                it goes back to kmalloc (MP-6); may be NULL
 *
 * Context: may block, while pages are short. Misuse: flags with other bits, a
 * constructor without MPF_NOZERO or MPF_CACHEDATA: KA_WHY_BAD_FLAGS; bytes 0:
 * KA_WHY_BAD_ARG; a pipe that is initialised already: KA_WHY_BUSY; a type that
 * is not declared: KA_WHY_BAD_TYPE. The type's limit is below nnom buffers, or
 * the system has no memory or thread for the pipe: KA_WHY_LIMIT, and nothing
 * is kept.
 */
void mpipe_init(malloc_pipe_t, struct malloc_type *, size_t bytes, int nnom,
    int nmax, int mpflags, mpipe_construct_fn *construct,
    mpipe_deconstruct_fn *deconstruct, void *priv);
/*
 * Ends a pipe. All buffers must be back and no callback pending (MP-4, MP-9):
 * otherwise KA_WHY_BUSY, and the pipe is as it was. If all are back while a
 * callback runs, its end is waited for first: it may have come to hold one. A
 * zeroed or ended pipe, or one of a system that has ended: nothing happens.
 * Context: may block (for the support thread); no other thread may use the
 * pipe. In a callback of the pipe: KA_WHY_BUSY.
 */
void mpipe_done(malloc_pipe_t);

/* A buffer, or NULL; NULL only when nnom or more are held. Context: never
 * blocks (MP-1). Misuse, here and below: a pipe that is not initialised:
 * KA_WHY_BAD_HANDLE; NULL is not found out, and the process dies. */
void *mpipe_alloc_nowait(malloc_pipe_t) __attribute__((warn_unused_result));
/* A buffer, never NULL. Sleeps only while none is free and the pipe cannot
 * grow (MP-3). Context: may block. */
void *mpipe_alloc_waitok(malloc_pipe_t) __attribute__((warn_unused_result));
/*
 * A buffer, or NULL, and func(arg1, arg2) is called exactly once later, from
 * the support thread, when a buffer is likely free, first in first out (MP-4).
 * It must then allocate for itself, and may fail again. Never blocks; fails to
 * queue only if memory for that cannot be had from the system: then func is
 * never called and KA_WHY_BUSY is reported.
 * Misuse: without MPF_CALLBACK: KA_WHY_BAD_FLAGS.
 */
void *mpipe_alloc_callback(malloc_pipe_t, mpipe_callback_fn *func, void *arg1,
    void *arg2) __attribute__((warn_unused_result));
/* Sleeps until a buffer is free; reserves nothing. A pipe that can grow has
 * grown by one then. */
void mpipe_wait(malloc_pipe_t);
/* Gives a buffer back; NULL: nothing happens (MP-7). Context: never blocks.
 * Misuse: not a buffer of the pipe: KA_WHY_FOREIGN; not held:
 * KA_WHY_DOUBLE_FREE. */
void mpipe_free(malloc_pipe_t, void *buf);

struct mpipe_stats {
	const char *type; /* name of the malloc type */
	size_t bytes;
	uint64_t nnom, nmax; /* UINT64_MAX: no maximum */
	uint64_t total;	     /* buffers that the pipe has */
	uint64_t free;	     /* of them in the array */
	uint64_t requests, failures, sleeps, callbacks; /* so far */
	uint64_t pending;				/* callbacks queued */
};
void mpipe_get_stats(malloc_pipe_t, struct mpipe_stats *ret_s);
/* All pipes in turn: pass n = 0, 1, ... until false. */
bool mpipe_stats(unsigned n, struct mpipe_stats *ret_s);

/* Checks the invariants of all pipes, as vm_page_audit(). */
const char *mpipe_audit(const char **ret_found);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
