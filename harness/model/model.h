/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference model of pages (VM) and kmalloc (KM, G): what is allowed.
 *
 * The model is a monitor. It is told, in the order in which the simulation
 * lets things happen, which calls begin and end, which pages move, which
 * faults are injected, who sleeps and who wakes; and answers *allowed* or
 * *clause X broken, because ...*. It shares no code with the library and
 * includes nothing of it but flag values. The subject chooses addresses and
 * batching; the model holds sets and intervals:
 *
 *   held       an object is certainly live from the return of its allocation
 *              to the beginning of its free; no two may overlap (G-2);
 *   usage      between a lower and an upper bound while calls are in flight;
 *   refusal    legal if at some instant of its call a recorded cause existed;
 *   sleep      legal while nothing the sleeper could take exists (G-5).
 *
 * The first broken clause is kept as a *finding*; after it the model stops
 * judging. Cost: O(log n) or better a call, plus the bytes of the contents.
 */
#ifndef KALAB_MODEL_H
#define KALAB_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/call.h"

/* Which promises apply to the subject. */
enum model_kind {
	MODEL_KALLOC, /* libkalloc: all of them */
	MODEL_MALLOC  /* a process's malloc: G-2, KM-8, KM-11, retention, ... */
};

enum model_contents {
	MODEL_CONTENTS_FULL,	/* every usable byte, written and verified */
	MODEL_CONTENTS_SAMPLED, /* first and last 16 bytes and one line between */
	MODEL_CONTENTS_NONE
};

struct model_config {
	enum model_kind kind;
	enum model_contents contents;
	uint32_t cpus;
	uint32_t threads;	/* support threads too; frames are so many times
	                     CALL_DEPTH_MAX */
	uint32_t trace_threads; /* of them the trace's; 0: nobody knows */
	uint64_t pages;		/* budget */
	uint64_t reserve_system, reserve_interrupt;
	uint32_t debug; /* KA_DEBUG_ bits of all types */
	uint64_t
	    arena; /* address of the first page of the budget; 0: unknown */
	/* Threads have views (C11): a call that another call makes may see what
	 * was so when that one had begun. Only calls of the trace are ordered
	 * by their ends and beginnings. */
	bool views;
};

/* A broken clause. Strings are owned by the finding. */
struct finding {
	char clause[12];    /* "KM-8" */
	char operation[32]; /* "kmalloc", or "end of run" */
	uint64_t line;	    /* of the operation; 0: the end of the run */
	uint32_t thread;
	char expected[192];
	char found[192];
	char signature[96]; /* allocator/clause/operation/state class */
};

/* What the subject reports of a type, for comparison (KM-5, G-7). */
struct model_type_stats {
	uint64_t calls, inuse, memuse, limit;
};

struct model;

/* NULL if out of memory. */
struct model *model_create(void);
void model_destroy(struct model *);
/* Forget everything and begin a run. Cheap: costs what the last run used. */
void model_reset(struct model *, const struct model_config *);

/* A call begins and ends. A call whose thread still sleeps at the end of the
 * run never gets its return. Contents are filled and verified in here. */
void model_invoke(struct model *, const struct call *);
void model_return(struct model *, const struct call *);

/*

 * Callbacks, between the invocation and the return of their call, or in a
 * support thread: one begins, does nested calls (which have frames of their
 * own and are told as any call), and is done with its result. Contents are
 * filled and verified in here.
 */
void model_callback(struct model *, const struct callback *);
void model_callback_done(struct model *, const struct callback *);

/* What the subject says of a cache, pipe or zone that was just made: its
 * geometry, which the contract leaves to it. */
void model_describe(struct model *, enum trace_class, uint32_t handle,
    const struct owner_stats *);
/* At quiescence: what it reports must be what was computed. */
void model_check_owner(struct model *, enum trace_class, uint32_t handle,
    const struct owner_stats *);

/*
 * The page layer's observable point (VM-6), in the order of its commits.
 * addr 0: the allocation failed; injected says that the laboratory made it
 * fail (hard: and will go on, so that waiting for it is legal).
 */
void model_vm_alloc(struct model *, uint32_t thread, uint64_t addr,
    uint64_t npages, uint64_t align, uint32_t flags, bool injected, bool hard);
void model_vm_free(
    struct model *, uint32_t thread, uint64_t addr, uint64_t npages);

/*
 * A commit point of the library: something is taken of a limit, or given back,
 * at this instant. The object is known by its address; thread may be any number
 * that is none.
 */
enum model_commit_kind {
	MODEL_COMMIT_ZONE,
	MODEL_COMMIT_CACHE,
	MODEL_COMMIT_PIPE,
	MODEL_COMMIT_KIND_COUNT
};
enum model_commit_what {
	MODEL_COMMIT_BEGIN,
	MODEL_COMMIT_LIMIT,
	MODEL_COMMIT_TAKE,
	MODEL_COMMIT_GIVE,
	MODEL_COMMIT_FULL,
	MODEL_COMMIT_ROOM,
	MODEL_COMMIT_WHAT_COUNT
};
void model_commit(struct model *, uint32_t thread, enum model_commit_kind,
    enum model_commit_what, uint64_t object, uint64_t n);

/* The thread is about to sleep in its call; it was woken. */
void model_sleep(struct model *, uint32_t thread);
void model_wake(struct model *, uint32_t thread);
/* The thread has come to another CPU, in the middle of a call or not. */
void model_migrate(struct model *, uint32_t thread, uint32_t cpu);

/*
 * Nothing is in flight but the sleepers (if any): checks that each sleeper is
 * justified (G-5, VM-7: a lost wake-up otherwise). Called when calls end.
 * Must be cheap when nobody sleeps.
 */
void model_idle(struct model *);
bool model_may_be_idle(const struct model *); /* would it look? */

/* Quiescence: what the subject reports of a type must be what was computed. */
void model_check_type(
    struct model *, uint32_t type, const struct model_type_stats *);
/* Pages the subject says are free. */
void model_check_pages(struct model *, uint64_t free_pages);
/* The same of what was asked for since boot: runs got, refused, given back. */
void model_check_page_counts(
    struct model *, uint64_t allocs, uint64_t failures, uint64_t frees);
/* The subject says that its own audit failed: clause, and what it found. */
void model_report(struct model *, const char *clause, const char *operation,
    const char *expected, const char *found);

/* End of run: verifies the contents of all that is live, the sleepers. */
void model_end(struct model *);
/* Everything was freed, trimmed and destroyed: G-8, no page is held but the
 * runs that the trace itself holds. */
void model_check_empty(struct model *);

/* The address of some page that nobody holds, or 0: for misuse. */
uint64_t model_free_page(struct model *);

/* Is it the address of memory of kmalloc that a cache or a pipe has? A free of
 * it by the trace is misuse that nobody can tell. */
bool model_is_owned(const struct model *, uint64_t addr);
/* Is it an item of the zone that a cache has? The same of the zone. */
bool model_is_cached(const struct model *, uint64_t addr, uint32_t zone);
/* Were the pages all given to the trace itself, and are they held? */
bool model_pages_are_traces(
    const struct model *, uint64_t addr, uint64_t npages);

/* The live objects and runs, for the run's end and for pictures. Order is by
 * address. Stops when fn returns false. */
struct model_object {
	uint64_t addr, bytes, requested;
	uint32_t type;	 /* register; TRACE_NOREG for runs and ended types */
	uint32_t thread; /* that allocated */
	uint64_t line;
	bool run; /* a run of pages of vm_page_alloc */
	/* Who it is to be given back to: TRACE_OBJ is kmalloc; TRACE_CACHE,
	 * TRACE_PIPE, TRACE_ZONE, TRACE_VMZONE with the register. Objects that
	 * a cache or pipe keeps for itself are left out. */
	enum trace_class owner;
	uint32_t handle;
};
void model_each_live(
    struct model *, bool (*fn)(void *, const struct model_object *), void *arg);

/* What is in use, for the system's end: of each type, TRACE_NOREG if it has
 * ended, objects and bytes; and as TRACE_RUN the runs of the trace. */
void model_each_use(struct model *,
    void (*fn)(
	void *, enum trace_class, uint32_t reg, uint64_t count, uint64_t bytes),
    void *arg);

/* What was seen: for reports. */
struct model_counts {
	uint64_t calls, allocs, frees, refusals, panics, sleeps, page_allocs,
	    page_frees, page_failures, live, live_bytes, live_max,
	    live_bytes_max;
	/* Near a limit caches of other CPUs may keep objects from a caller
	 * (OC-6, ZN-6): so many were seen to at most, where only that
	 * explains the answer; and so many may. */
	uint64_t slack_used, slack_declared;
	uint64_t limits; /* allocations that may have met their type's limit */
	uint64_t hits;	 /* calls that were judged as such: KM-1, OC-2 */
};
void model_counts(const struct model *, struct model_counts *ret_c);

/*
 * The state that things are in, for counting how many were seen: the calls in
 * flight, each with whether it sleeps and what failed in it, and the orders of
 * magnitude of what is held. Equal states have equal numbers.
 */
uint64_t model_state(const struct model *);

/* NULL while every clause held. */
const struct finding *model_finding(const struct model *);

/* Which clauses have a check here, for `kalab list` and the coverage test:
 * a NULL terminated table of { clause id, what is checked, how }. */
struct model_clause {
	const char *id, *check;
	char how; /* 'D', 'S' or 'P' as in the contract */
};
extern const struct model_clause model_clauses[];

#endif
