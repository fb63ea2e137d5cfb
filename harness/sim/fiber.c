/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fibers. The switch saves what the ABI says a callee keeps and nothing else:
 * no signal mask (glibc's swapcontext makes two system calls for it), no
 * floating-point control words. This file and sim.c are compiled without
 * sanitizers, which are told of every switch instead.
 */
#include "fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#define FIBER_UCONTEXT 1
#endif

#if defined(SIM_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(SIM_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(SIM_MSAN)
#include <sanitizer/msan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(a, b) (0u)
#endif

#if defined(SIM_ASAN) || defined(SIM_TSAN) || defined(SIM_MSAN)
#define STACK_BYTES (256u * 1024)
#else
#define STACK_BYTES (64u * 1024)
#endif
#define GUARD_BYTES 4096u

struct fiber {
	void *sp;
	char *stack; /* NULL: the thread's own */
	size_t stack_bytes;
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

static struct fiber *fiber_from; /* of the switch that is being made */

#if defined(__x86_64__)
/* fiber_swap(save, load): rdi = where to save sp, rsi = sp to load. */
__asm__(".text\n"
	".p2align 4\n"
	".type fiber_swap, @function\n"
	"fiber_swap:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size fiber_swap, . - fiber_swap\n");
void fiber_swap(void **save, void *load);
#define FRAME_WORDS 8 /* six registers, the entry, a return address of 0 */
#define FRAME_ENTRY 6
#elif defined(__aarch64__)
__asm__(".text\n"
	".p2align 4\n"
	".type fiber_swap, %function\n"
	"fiber_swap:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp, #0]\n"
	"	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n"
	"	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	mov sp, x1\n"
	"	ldp x19, x20, [sp, #0]\n"
	"	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n"
	"	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	ret\n"
	".size fiber_swap, . - fiber_swap\n");
void fiber_swap(void **save, void *load);
#define FRAME_WORDS 20
#define FRAME_ENTRY 11 /* x30 */
#endif

static void
fiber_arrived(void)
{
#ifdef SIM_ASAN
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(NULL, &bottom, &size);
	/* The thread's own stack is known only now. */
	if (fiber_from->stack == NULL) {
		fiber_from->bottom = bottom;
		fiber_from->stack_bytes = size;
	}
#endif
#ifdef SIM_MSAN
	const void *bottom;
	size_t size;

	__msan_finish_switch_fiber(&bottom, &size);
	if (fiber_from->stack == NULL) {
		fiber_from->bottom = bottom;
		fiber_from->stack_bytes = size;
	}
#endif
}

static struct fiber *fiber_to; /* of the switch that is being made */

static void
fiber_entry(void)
{
	struct fiber *self = fiber_to;

	fiber_arrived();
	self->fn(self->arg);
	abort();
}

struct fiber *
fiber_main(void)
{
	struct fiber *f = calloc(1, sizeof(*f));

#ifdef SIM_TSAN
	if (f != NULL)
		f->tsan = __tsan_get_current_fiber();
#endif
	return (f);
}

void
fiber_restart(struct fiber *f, void (*fn)(void *), void *arg)
{
	f->fn = fn;
	f->arg = arg;
#ifdef SIM_ASAN
	/* What it abandoned has left its redzones there. */
	__asan_unpoison_memory_region(f->stack, f->stack_bytes);
#endif
#ifdef FIBER_UCONTEXT
	(void)getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = f->stack_bytes;
	f->context.uc_link = NULL;
	makecontext(&f->context, fiber_entry, 0);
#else
	{
		uintptr_t top = (uintptr_t)f->stack + f->stack_bytes;
		uintptr_t *frame = (uintptr_t *)(top - 64) - FRAME_WORDS;

		memset(frame, 0, FRAME_WORDS * sizeof(*frame));
		frame[FRAME_ENTRY] = (uintptr_t)fiber_entry;
		f->sp = frame;
	}
#endif
}

struct fiber *
fiber_create(void (*fn)(void *), void *arg)
{
	struct fiber *f = calloc(1, sizeof(*f));
	char *map;

	if (f == NULL)
		return (NULL);
	map = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		free(f);
		return (NULL);
	}
	(void)mprotect(map, GUARD_BYTES, PROT_NONE);
	f->stack = map + GUARD_BYTES;
	f->stack_bytes = STACK_BYTES;
	f->bottom = f->stack;
	(void)VALGRIND_STACK_REGISTER(f->stack, f->stack + STACK_BYTES);
#ifdef SIM_TSAN
	f->tsan = __tsan_create_fiber(0);
#endif
	fiber_restart(f, fn, arg);
	return (f);
}

void
fiber_switch(struct fiber *from, struct fiber *to)
{
#ifdef SIM_ASAN
	void *fake;

	__sanitizer_start_switch_fiber(&fake, to->bottom, to->stack_bytes);
#endif
#ifdef SIM_MSAN
	__msan_start_switch_fiber(to->bottom, to->stack_bytes);
#endif
#ifdef SIM_TSAN
	__tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
	fiber_from = from;
	fiber_to = to;
#ifdef FIBER_UCONTEXT
	(void)swapcontext(&from->context, &to->context);
#else
	fiber_swap(&from->sp, to->sp);
#endif
#ifdef SIM_ASAN
	{
		const void *bottom;
		size_t size;

		__sanitizer_finish_switch_fiber(fake, &bottom, &size);
	}
#endif
#ifdef SIM_MSAN
	{
		const void *bottom;
		size_t size;

		__msan_finish_switch_fiber(&bottom, &size);
	}
#endif
}

void
fiber_visit(struct fiber *from, struct fiber *to, void (*fn)(void *), void *arg)
{
#ifdef SIM_TSAN
	__tsan_switch_to_fiber(to->tsan, 0);
	fn(arg);
	__tsan_switch_to_fiber(from->tsan, 0);
#else
	(void)from;
	(void)to;
	fn(arg);
#endif
}
