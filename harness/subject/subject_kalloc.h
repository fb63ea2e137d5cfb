/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two files of the subject libkalloc share. */
#ifndef KALAB_SUBJECT_KALLOC_H
#define KALAB_SUBJECT_KALLOC_H

#include <kalloc/kmalloc.h>

#include "subject/subject.h"

extern struct subject_config subject_kalloc_config;

/* What stands behind a type's register, never NULL; and the reverse, or
 * TRACE_NOREG. */
struct malloc_type *subject_kalloc_type(uint32_t reg);
uint32_t subject_kalloc_type_reg(const struct malloc_type *);

/* Makes a count of registers that are used n, if it was less. On the host
 * several threads do it at once. */
void subject_kalloc_reach(uint32_t *count, uint32_t n);

/* A panic of a nested call is one of the call around it. */
void subject_kalloc_panic(int why) __attribute__((noreturn));

/* subject_owners.c: objcaches, mpipes, zones. NULL where it has none. */
typedef void subject_op(struct call *);
subject_op *subject_owners_op(enum trace_opcode);
/* The call ended in a panic: what it was to make is not there. */
void subject_owners_panicked(const struct call *);
void subject_owners_boot(void);
void subject_owners_halt(void);
bool subject_owners_stats(
    enum trace_class, uint32_t handle, struct owner_stats *ret_s);
const char *subject_owners_name(enum trace_class, uint32_t handle);
uint64_t subject_owners_memory(const struct call *);
const char *subject_owners_audit(const char **ret_found);
void subject_owners_tables(void (*put)(void *arg, const char *line), void *arg);

#endif
