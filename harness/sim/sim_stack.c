/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread's stack is too small: what it does is recursive without end, or it
 * has large arrays. Below each stack is a page that nobody may touch. Who does
 * is no crash but a finding of his run: the handler, on a stack of its own,
 * leaves the fiber for ever. Any other fault is the next handler's.
 */
#include <signal.h>
#include <stdio.h>

#include "fiber.h"
#include "sim_int.h"

bool sim__watched;

#if defined(SIM_ASAN) || defined(SIM_TSAN) || defined(SIM_MSAN)
/* Sanitizers have handlers of their own, which tell it as well. */
void
sim_watch_stacks(void)
{
	sim__watched = true;
}
#else

#define HANDLER_BYTES 65536u

static struct sigaction before[2]; /* of SIGSEGV, of SIGBUS */

static void
overflowed(const struct sim_thread *t)
{
	char found[160];

	(void)snprintf(found, sizeof(found),
	    "the stack of thread %u overflows, after %s:%u in %s",
	    (unsigned)(t - sim.thread), t->site == NULL ? "?" : t->site->file,
	    t->site == NULL ? 0 : t->site->line,
	    t->site == NULL ? "?" : t->site->function);
	sim__wrong("G-3", "stack-overflow",
	    "64 KiB of stack, as much as a thread of a kernel has, suffice",
	    found);
}

static void
on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (ka_sim_self != SIM_NONE &&
	    fiber_is_guard(sim.thread[ka_sim_self].fiber, info->si_addr)) {
		overflowed(&sim.thread[ka_sim_self]);
		sim_abandon();
	}
	/* It happens again, to whom it belongs; if it was sent, it is sent
	 * again. */
	(void)sigaction(sig, &before[sig == SIGBUS], NULL);
	if (info->si_code <= 0)
		(void)raise(sig);
}

static void
watch(int sig, const struct sigaction *sa)
{
	struct sigaction old;

	(void)sigaction(sig, sa, &old);
	if (old.sa_sigaction != on_fault)
		before[sig == SIGBUS] = old;
}

void
sim_watch_stacks(void)
{
	static char stack[HANDLER_BYTES];
	struct sigaction sa = { .sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };

	(void)sigemptyset(&sa.sa_mask);
	(void)sigaltstack(&ss, NULL);
	watch(SIGSEGV, &sa);
	watch(SIGBUS, &sa);
	sim__watched = true;
}
#endif
