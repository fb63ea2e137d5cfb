/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mutation of traces: bytes to other bytes, both payloads of binary traces.
 *
 * The mutator knows what the table of operations says (trace.h) and nothing of
 * any one operation: an operation, its kinds of arguments, which register it
 * makes, uses, ends. What it gives is canonical: it decodes to a trace that
 * encodes to the same bytes. The same arguments give the same result, always.
 */
#ifndef KALAB_MUTATOR_H
#define KALAB_MUTATOR_H

#include <stddef.h>
#include <stdint.h>

/* X(ID, "what it does") */
#define MUTATOR_KINDS(X)                                                       \
	X(INSERT,                                                              \
	    "insert an operation, and what makes the registers it needs")      \
	X(PAIR, "insert an allocation and, later, its free")                   \
	X(REMOVE, "remove some operations")                                    \
	X(DUPLICATE, "do some operations again, on the same registers")        \
	X(SWAP, "exchange two operations")                                     \
	X(THREAD, "let another thread do some operations")                     \
	X(VALUE, "change a size, a number, a word, a string")                  \
	X(FLAGS, "toggle flags")                                               \
	X(REGISTER, "point to another register")                               \
	X(CONFIG, "change CPUs, threads, pages, reserves, slabs kept, debug")  \
	X(FAULT, "add, change or remove a fault")                              \
	X(SCHEDULE, "change the kind of schedule, its seed, its stickiness")   \
	X(SPLICE, "operations of another trace, registers renamed")

enum mutator_kind {
#define X(id, what) MUTATOR_##id,
	MUTATOR_KINDS(X)
#undef X
	MUTATOR_COUNT
};

/*
 * Changes the payload [data, data + size): writes at most max bytes to out,
 * which may be data, and returns how many. groups are the groups of operations
 * that are inserted (bits 1 << enum trace_group), seed draws everything.
 * done, unless it is NULL, is added to: how often each kind was done. 0: out
 * of memory, or max is too small for any trace (32 bytes suffice); then
 * nothing was written.
 */
size_t mutator_mutate(const uint8_t *data, size_t size, uint8_t *out,
    size_t max, uint64_t seed, uint32_t groups, uint64_t done[MUTATOR_COUNT]);

/* The same of two payloads: a splice, and now and then a mutation of it. */
size_t mutator_cross(const uint8_t *data, size_t size, const uint8_t *other,
    size_t other_size, uint8_t *out, size_t max, uint64_t seed, uint32_t groups,
    uint64_t done[MUTATOR_COUNT]);

#endif
