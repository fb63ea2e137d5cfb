/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulation: virtual CPUs and threads, one step at a time.
 *
 * Threads are fibers of one OS thread. A thread is given a function to do
 * (sim_start) and resumed until it *stops*: it has done it, it was preempted
 * at a schedule point, it spins, or it blocks. Who is resumed next is the
 * caller's choice; what the simulation decides by itself (to preempt or not at
 * a point) goes through sim_choose(), as does every other choice: one place
 * for every strategy to come.
 *
 * What a thread is on a virtual CPU: threads of one CPU share its per-CPU
 * data; while one of them is in the CPU's section the others do not run. A
 * thread that sleeps or waits for a lock is really not runnable, so that a
 * lost wake-up and a deadlock are facts.
 *
 * One simulation in a process. Resetting it costs what was used.
 */
#ifndef KALAB_SIM_H
#define KALAB_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_THREADS_MAX 256u
#define SIM_DAEMONS_MAX 8u /* threads that the library starts */
#define SIM_NONE	UINT32_MAX

enum sim_mode {
	SIM_NO_PREEMPTION, /* a thread stops only when it must */
	SIM_RANDOM,	   /* stops at every point */
	SIM_STICKY	   /* stops at a point with probability 1/n */
};

struct sim_deviation {
	uint32_t thread, point, choice;
};

struct sim_config {
	uint32_t cpus, threads;
	enum sim_mode mode;
	uint64_t seed;
	uint32_t sticky;
	const uint16_t *thread_cpu; /* where threads begin */
	/* Deviations from the default choice, sorted by thread and point: at
	 * the thread's so-manieth point (from 1) others run, choice of them. */
	const struct sim_deviation *deviation;
	uint32_t ndeviations;
	/* Told before a thread sleeps on a channel, and when it is woken. */
	void (*on_sleep)(void *arg, uint32_t thread);
	void (*on_wake)(void *arg, uint32_t thread);
	void *arg;
};

enum sim_stop {
	SIM_DONE,      /* the function returned */
	SIM_PREEMPTED, /* at a schedule point */
	SIM_SPINNING,  /* waits in a loop for others to do something */
	SIM_BLOCKED    /* for a lock, or asleep */
};

enum sim_state {
	SIM_IDLE,  /* nothing to do */
	SIM_READY, /* in the middle of something, runnable */
	SIM_SPIN,  /* the same, but better after others */
	SIM_LOCK,  /* waits for a lock */
	SIM_ASLEEP /* on a channel */
};

/* What a choice is about: for strategies, deviations and stories. */
enum sim_choice {
	SIM_CHOOSE_STAY,   /* at a point: 0 go on, 1 let others run */
	SIM_CHOOSE_THREAD, /* which candidate runs */
	SIM_CHOICE_COUNT
};

/*
 * Threads that the library starts (ka_thread_start) have the numbers
 * config.threads .. sim_threads() - 1; those that have ended are IDLE.
 */
uint32_t sim_threads(void);

/* Ends the run before, if any, and begins one. 0 or ENOMEM. */
int sim_reset(const struct sim_config *);

void sim_start(uint32_t thread, void (*fn)(void *), void *arg);
enum sim_stop sim_resume(uint32_t thread);

enum sim_state sim_state(uint32_t thread);
/* May it be resumed now? READY or SPIN, and no other is in its CPU's section;
 * for an idle thread: could it be started? */
bool sim_may_run(uint32_t thread);
uint32_t sim_cpu(uint32_t thread);
void sim_migrate(uint32_t thread, uint32_t cpu);
/* The running thread, or SIM_NONE. */
uint32_t sim_current(void);

/* While held, the running thread is not preempted at points: for questions of
 * the laboratory, whose answer is to be of one moment. It may still block. */
void sim_hold(bool);

/* The running thread never goes on: its run is over. Does not return. */
void sim_abandon(void) __attribute__((noreturn));

/* A deviation preempted the thread that stopped last: the choice it asks for
 * among the others, from 1; 0 otherwise. Asking forgets it. */
uint32_t sim_forced(void);

/* The one choice point: a number in 0 .. n-1. */
uint32_t sim_choose(enum sim_choice, uint32_t n);

/* Schedule points passed so far in the run, and switches. */
uint64_t sim_points(void);
uint64_t sim_switches(void);

/* Who waits for what, as text: "thread 2 waits for lock "vm" of thread 1".
 * One thread; false if it does not wait. */
bool sim_describe(uint32_t thread, char *buf, size_t size);
/* The owner of the lock that the thread waits for, or SIM_NONE. */
uint32_t sim_waits_for(uint32_t thread);

#endif
