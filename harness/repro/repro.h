/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A trace that fails, as a C program against libkalloc alone.
 *
 * First the run is *recorded*: which operation ran when, on which CPU, who
 * slept, what the model said. Then it is written as *steps*, in that order; the
 * program does one after the other, each virtual CPU being a thread, and
 * checks what it gets by itself. What a schedule does inside of operations it
 * cannot do: it says so, and ends with a status of its own.
 */
#ifndef KALAB_REPRO_H
#define KALAB_REPRO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "model/model.h"
#include "run/run.h"
#include "trace/trace.h"

struct repro_event {
	uint32_t op;	/* index in the trace */
	uint32_t cpu;	/* where it began */
	uint32_t began; /* 1, 2, ...: order of beginnings and ends */
	uint32_t ended; /* 0: it did not */
	int why;	/* the panic it ended in, or 0 */
	bool slept;
};

enum repro_end {
	REPRO_CLEAN,
	REPRO_FINDING,
	REPRO_DIED, /* or hung: what was recorded until then is there */
	REPRO_CANNOT
};

struct repro_record {
	enum repro_end end;
	struct finding finding; /* line: of the trace as it is */
	bool preempted;		/* a thread was, in the middle */
	uint32_t failing;	/* index of the operation; UINT32_MAX: none */
	struct repro_event *event; /* in the order of beginnings */
	uint32_t n;
	/* Private. */
	void *shared;
	size_t shared_size;
};

/*
 * Runs the trace in a process of its own. True, or false after errno: it could
 * not be tried. The record is to be given back by repro_record_fini().
 */
bool repro_record(
    const struct trace *, const struct subject *, struct repro_record *ret_r);
void repro_record_fini(struct repro_record *);

/* Why the program cannot do all that the trace does, or NULL. */
const char *repro_cannot(const struct trace *, const struct repro_record *);

/*
 * Writes the program. about is the name of the trace and what its clause says,
 * for the comment at its head. 0, or -1 and errno.
 */
struct repro_about {
	const char *trace, *clause_text;
	const struct finding *finding; /* of a death: what can be said of it */
};
int repro_write(FILE *, const struct trace *, const struct repro_record *,
    const struct repro_about *);

#endif
