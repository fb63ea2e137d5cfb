/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fibers: their stacks, and what sanitizers are told. This file and sim.c are
 * compiled without sanitizers, which are told of every switch instead.
 */
#include "fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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
/*
 * Stacks begin at different lines of their first page: at the same one the
 * frames of many threads, which are alike, would fall on the same few sets of
 * the cache and push each other out.
 */
#define COLOURS	     16u
#define COLOUR_BYTES 192u

struct fiber *fiber__from, *fiber__to;

#if defined(__x86_64__)
#define FRAME_WORDS 2 /* the entry, a return address of 0 */
#define FRAME_ENTRY 0
#elif defined(__aarch64__)
__asm__(".text\n"
	".p2align 4\n"
	".globl fiber_swap\n"
	".hidden fiber_swap\n"
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
	if (fiber__from->stack == NULL) {
		fiber__from->bottom = bottom;
		fiber__from->stack_bytes = size;
	}
#endif
#ifdef SIM_MSAN
	const void *bottom;
	size_t size;

	__msan_finish_switch_fiber(&bottom, &size);
	if (fiber__from->stack == NULL) {
		fiber__from->bottom = bottom;
		fiber__from->stack_bytes = size;
	}
#endif
}

static void
fiber_entry(void)
{
	struct fiber *self = fiber__to;

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
#ifdef SIM_TSAN
	/* What it abandoned is on ThreadSanitizer's own stack of calls, which
	 * would grow until there is no room. */
	if (f->tsan != NULL)
		__tsan_destroy_fiber(f->tsan);
	f->tsan = __tsan_create_fiber(0);
#endif
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
		uintptr_t top = (uintptr_t)f->stack + f->stack_bytes - 64 -
		    f->colour * COLOUR_BYTES;
		uintptr_t *frame = (uintptr_t *)top - FRAME_WORDS;

		memset(frame, 0, FRAME_WORDS * sizeof(*frame));
		frame[FRAME_ENTRY] = (uintptr_t)fiber_entry;
		f->sp = frame;
	}
#endif
}

struct fiber *
fiber_create(void (*fn)(void *), void *arg)
{
	static unsigned created;
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
	f->colour = created++ % COLOURS;
	(void)VALGRIND_STACK_REGISTER(f->stack, f->stack + STACK_BYTES);
	fiber_restart(f, fn, arg);
	return (f);
}

#ifdef FIBER_TOLD
void *
fiber__leave(struct fiber *to)
{
	void *fake = NULL;

#ifdef SIM_ASAN
	__sanitizer_start_switch_fiber(&fake, to->bottom, to->stack_bytes);
#endif
#ifdef SIM_MSAN
	__msan_start_switch_fiber(to->bottom, to->stack_bytes);
#endif
#ifdef SIM_TSAN
	__tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
	return (fake);
}

void
fiber__back(void *fake)
{
#ifdef SIM_ASAN
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(fake, &bottom, &size);
#endif
#ifdef SIM_MSAN
	const void *bottom;
	size_t size;

	__msan_finish_switch_fiber(&bottom, &size);
#endif
	(void)fake;
}
#endif

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

bool
fiber_is_guard(const struct fiber *f, const void *addr)
{
	const char *p = addr;

	return (f != NULL && f->stack != NULL && p < f->stack &&
	    p >= f->stack - GUARD_BYTES);
}
