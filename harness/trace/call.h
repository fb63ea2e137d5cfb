/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A call: one operation with its registers resolved, on its way from the
 * trace to the subject and the model, and its result on the way back.
 *
 * Addresses are the subject's, as numbers. A type is named by its register
 * number; the subject keeps what stands behind it.
 */
#ifndef KALAB_CALL_H
#define KALAB_CALL_H

#include <stdint.h>

#include "trace/trace.h"

struct call {
	enum trace_opcode code;
	uint32_t thread;
	uint32_t cpu;	/* where the thread was when the call began */
	uint64_t line;	/* of the operation */
	uint64_t addr;	/* OBJ, RUN: the address; 0 for null */
	uint64_t size;	/* SIZE */
	uint64_t num;	/* first NUM (pages; max of kstrndup) */
	uint64_t align; /* second NUM (vm_page_alloc) */
	uint64_t pages; /* RUN: pages of the run that addr names */
	uint32_t flags; /* FLAGS, VMFLAGS */
	uint32_t type;	/* TYPE: register number, or TRACE_NOREG */
	uint32_t wild;	/* WILD */
	const char *str;
	/* Result. */
	uint64_t ret; /* address, size or limit; 0 for NULL or nothing */
	int why;      /* 0, or the KA_WHY_ number of the panic it ended in */
};

#endif
