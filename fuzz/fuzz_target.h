/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fuzz targets share.
 *
 * A *target* is one file fuzz_NAME.c that defines fuzz_target: either the
 * groups of operations of an allocator, or a function over bytes. An *engine*
 * (libFuzzer, AFL++, the plain replay driver) calls LLVMFuzzerTestOneInput()
 * with bytes; a target of groups reads them as the payload of a binary trace
 * (every string of bytes is one), restricts it, and runs it with all oracles
 * on. A finding is printed and ends the process by abort().
 *
 * Restricted means: operations of other groups, and what names a register
 * that is not defined then, are left out; FUZZ_OPS_MAX operations at most are
 * read; CPUs, threads and pages are brought below the limits here, so that
 * an execution takes microseconds. What was run is therefore not the input as
 * such: fuzz_NAME --show prints it as a text trace, and a finding writes it to
 * the directory that KALAB_FUZZ_TRACES names.
 */
#ifndef KALAB_FUZZ_TARGET_H
#define KALAB_FUZZ_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "run/run.h"

#define FUZZ_OPS_MAX	 512u
#define FUZZ_CPUS_MAX	 8u
#define FUZZ_THREADS_MAX 16u
#define FUZZ_PAGES_MAX	 1024u
#define FUZZ_INPUT_MAX	 65536u /* bytes that the drivers read at most */

/* All operations; those that every allocator's traces need. */
#define FUZZ_GROUP(g)	 (1u << TRACE_G_##g)
#define FUZZ_GROUPS_BASE (FUZZ_GROUP(KM) | FUZZ_GROUP(VM) | FUZZ_GROUP(TH))
#define FUZZ_GROUPS_ALL	 ((1u << TRACE_GROUP_COUNT) - 1)

struct fuzz_target {
	const char *name;
	uint32_t groups; /* bits 1 << enum trace_group; 0: over bytes */
	void (*bytes)(const uint8_t *, size_t);
};
extern const struct fuzz_target fuzz_target;

/* The engine's entry: one input. Returns 0, or does not return. */
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* fuzz_target.c */
/* Every input is run a second time, not one in so many. */
extern bool fuzz_always_twice;
/* Prints a line "fuzz_NAME: what", the signature, and aborts. */
void fuzz_fail(const char *signature, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
/* Prints what is run for an input, as a text trace. 0, or -1 and errno. */
int fuzz_show(FILE *, const uint8_t *, size_t);

/* fuzz_trace.c */
/* A decoded and restricted input: memory that is used again. */
struct fuzz_trace {
	struct trace_header header;
	struct trace_op op[FUZZ_OPS_MAX];
	uint32_t nops, at;
};
/* 0, or ENOMEM. The struct is zeroed before the first time. */
int fuzz_trace_decode(
    struct fuzz_trace *, uint32_t groups, const uint8_t *, size_t);
/* The operations from the first on; the struct must outlive the run. */
struct run_source fuzz_trace_source(struct fuzz_trace *);
/* A copy for trace_save() and its like. 0, or ENOMEM. */
int fuzz_trace_copy(const struct fuzz_trace *, struct trace *ret_t);

/* fuzz_feedback.c: feedback beyond edges. */
enum fuzz_species {
	FUZZ_SPECIES_STATE,
	FUZZ_SPECIES_OUTCOME,
	FUZZ_SPECIES_OVERLAP,
	FUZZ_SPECIES_OWNER,
	FUZZ_SPECIES_RUN,
	FUZZ_SPECIES_COUNT
};
/* Tells of everything that is shown, more than once of some; NULL: nobody. */
void fuzz_feedback_listen(
    void (*fn)(void *arg, enum fuzz_species, uint64_t hash), void *arg);
/* The subject, watched: which calls overlap, and what owners look like. */
const struct subject *fuzz_feedback_subject(const struct subject *);
void fuzz_feedback_begin(void);
void fuzz_feedback_state(void *arg, uint64_t state);
void fuzz_feedback_result(
    void *arg, const struct trace_op *, const struct call *);
void fuzz_feedback_end(const struct run_result *);
/* Counts an execution of a target over bytes. */
void fuzz_feedback_execution(void);

/* fuzz_replay.c: the plain driver, also of AFL++'s builds. */
int fuzz_replay_main(int argc, char **argv);

#endif
