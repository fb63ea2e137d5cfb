/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fibers: stacks that a thread switches between, known to the sanitizers and
 * to Valgrind. Stacks have a guard page and are used again.
 */
#ifndef KALAB_FIBER_H
#define KALAB_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#define FIBER_UCONTEXT 1
#endif
#if defined(SIM_ASAN) || defined(SIM_TSAN) || defined(SIM_MSAN)
#define FIBER_TOLD 1 /* a sanitizer is told of switches */
#endif

struct fiber {
	void *sp;
	char *stack; /* NULL: the thread's own */
	size_t stack_bytes;
	unsigned colour;
	const void *bottom; /* of the stack, for the sanitizers */
	void (*fn)(void *);
	void *arg;
#ifdef FIBER_UCONTEXT
	ucontext_t context;
#endif
#ifdef SIM_TSAN
	void *tsan;
#endif
};

/* The fiber of the caller itself; one for a thread. NULL: no memory. */
struct fiber *fiber_main(void);
/* A fiber that will call fn(arg) at the first switch to it; fn never returns.
 * NULL: no memory. */
struct fiber *fiber_create(void (*fn)(void *), void *arg);
/* Abandons whatever the fiber was doing: it begins anew. */
void fiber_restart(struct fiber *, void (*fn)(void *), void *arg);
/* Calls fn(arg) as if the fiber did, for ThreadSanitizer. */
void fiber_visit(
    struct fiber *from, struct fiber *to, void (*fn)(void *), void *arg);
/* Is the address in the page below the fiber's stack? */
bool fiber_is_guard(const struct fiber *, const void *addr);

/* ---- The switch -------------------------------------------------------- */

extern struct fiber *fiber__from, *fiber__to; /* of the switch being made */
/* Sanitizers are told before a switch, and when the fiber is back. */
void *fiber__leave(struct fiber *to);
void fiber__back(void *fake);

/*
 * The switch saves what the ABI says a callee keeps and nothing else: no
 * signal mask (glibc's swapcontext makes two system calls for it), no
 * floating-point control words.
 *
 * It is inline and jumps. With call and return, what the processor predicts
 * of returns would be wrong after every switch, for as many returns as the
 * two stacks are deep.
 */
#if defined(__x86_64__)
#ifdef __AVX512F__
#define FIBER_MORE                                                             \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",       \
	    "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29",     \
	    "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define FIBER_MORE
#endif
static inline void
fiber_swap(void **save, void *load)
{
	/* What is below the stack pointer may be in use: the red zone. */
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
			 "pushq %%rbp\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "movq %%rsp, (%0)\n\t"
			 "movq %1, %%rsp\n\t"
			 "popq %%rax\n\t"
			 "jmpq *%%rax\n"
			 "1:\n\t"
			 "popq %%rbp\n\t"
			 "leaq 128(%%rsp), %%rsp"
			 : "+D"(save), "+S"(load)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11",
			 "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2",
			 "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
			 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			 "xmm15" FIBER_MORE, "cc", "memory");
}
#elif defined(__aarch64__)
/* save: where to save sp; load: the sp to load. */
void fiber_swap(void **save, void *load);
#endif

static inline void
fiber_switch(struct fiber *from, struct fiber *to)
{
#ifdef FIBER_TOLD
	void *fake = fiber__leave(to);
#endif

	fiber__from = from;
	fiber__to = to;
#ifdef FIBER_UCONTEXT
	(void)swapcontext(&from->context, &to->context);
#else
	fiber_swap(&from->sp, to->sp);
#endif
#ifdef FIBER_TOLD
	fiber__back(fake);
#endif
}

#endif
