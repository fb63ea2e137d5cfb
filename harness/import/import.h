/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The importer: what a real kernel recorded, as a trace.
 *
 * It reads the text of Linux' kmem events as ftrace and trace-cmd report write
 * it (plain, .xz, or standard input), and hands out the operations of a trace
 * one by one, as a trace_reader does:
 *
 *	allocations of a call site     a malloc type named after the function
 *	objects of a kmem_cache        items of a UMA zone named after the cache,
 *	                               or what a map says: see enum import_kind
 *	pages                          runs of pages
 *	tasks, and the interrupt       threads; a task on another CPU than
 *	contexts of each CPU           before is a migrate
 *	GFP flags                      M_ flags
 *
 * What a trace cannot say is dropped and counted: frees of objects that were
 * allocated before the recording began, frees of NULL, allocations that
 * failed. What must have happened unseen is added and counted: the free of an
 * object whose address is allocated again.
 *
 * The result is a function of the input and the options alone. Memory grows
 * with the objects that are live at one time and with the distinct names, not
 * with the length of the input; long inputs use a temporary file in TMPDIR.
 */
#ifndef KALAB_IMPORT_H
#define KALAB_IMPORT_H

#include <signal.h>

#include "trace/trace.h"

#define IMPORT_THREADS_DEFAULT 64u   /* threads for tasks */
#define IMPORT_TYPES_MAX       900u  /* names, "other" among them */
#define IMPORT_LINE_MAX	       8192u /* longer lines are not parsed */
#define IMPORT_MAPS_MAX	       64u
#define IMPORT_PATTERN_MAX     63u /* characters of a pattern */

/* What a cache of the kernel becomes. */
enum import_kind {
	IMPORT_UMA,	 /* a zone of the UMA interface */
	IMPORT_OBJCACHE, /* an objcache without limit, over kmalloc */
	IMPORT_MPIPE,	 /* an mpipe that guarantees a quarter of the peak */
	IMPORT_ZINIT,	 /* a zone of zinit: it never waits */
	IMPORT_KMALLOC,	 /* a malloc type */
	IMPORT_KIND_COUNT
};
/* Caches whose name matches, as fnmatch(3) without flags tells. */
struct import_map {
	char pattern[IMPORT_PATTERN_MAX + 1];
	enum import_kind kind;
};
/* "PATTERN=KIND", split at the last '=': NULL, or what is wrong with it, a
 * phrase that lives for ever. */
const char *import_map_parse(const char *text, struct import_map *ret_map);

/* Zeroed is: all defaults. */
struct import_options {
	const char *from;     /* format; NULL: "ftrace", the only one so far */
	uint32_t threads_max; /* threads for tasks, 1..256; 0: the default */
	/* CPUs of the trace. 0: as many as were seen. Events of a CPU beyond
	 * go to that number modulo the CPUs. */
	uint32_t cpus;
	uint32_t pages; /* budget of pages; 0: enough that none are short */
	/* The first that matches counts; none: UMA. Must outlive the import. */
	const struct import_map *map;
	uint32_t nmaps; /* 0..IMPORT_MAPS_MAX */
	/* Called now and then; total is 0 if it is not known. */
	void (*progress)(void *cookie, uint64_t done, uint64_t total);
	void *cookie;
	/* Set from a signal handler: the import ends with an error. */
	const volatile sig_atomic_t *stop;
};

/* X(field, "what it counts") */
#define IMPORT_REPORT(X)                                                       \
	X(lines, "lines read")                                                 \
	X(unparsed, "lines not understood")                                    \
	X(ignored, "events of other kinds")                                    \
	X(events, "allocation events")                                         \
	X(lost_gaps, "places where the recorder lost events")                  \
	X(lost_events, "events that the recorder says it lost")                \
	X(allocs, "objects allocated")                                         \
	X(allocs_failed, "failed allocations, dropped")                        \
	X(frees, "objects freed")                                              \
	X(frees_null, "frees of NULL, dropped")                                \
	X(frees_unknown, "frees of what was never allocated, dropped")         \
	X(frees_lost, "frees added, as the address was allocated again")       \
	X(page_allocs, "runs of pages allocated")                              \
	X(page_frees, "runs of pages freed")                                   \
	X(gfp_unknown, "allocations with unknown GFP flags")                   \
	X(live, "objects and runs live at the end")                            \
	X(live_peak, "objects and runs live at once, at most")                 \
	X(bytes_peak, "bytes requested and live at once, at most")             \
	X(call_sites, "functions that called kmalloc")                         \
	X(caches, "named caches")                                              \
	X(types, "malloc types")                                               \
	X(zones, "zones of UMA")                                               \
	X(objcaches, "objcaches")                                              \
	X(pipes, "mpipes")                                                     \
	X(vmzones, "zones of zinit")                                           \
	X(constructed, "caches with a constructor")                            \
	X(types_folded, "names folded into the type \"other\"")                \
	X(size_classes, "size classes used")                                   \
	X(cpus, "CPUs")                                                        \
	X(threads, "threads")                                                  \
	X(threads_recycled, "threads given from one task to another")          \
	X(migrations, "migrations")                                            \
	X(pages, "pages of the budget")                                        \
	X(ops, "operations of the trace")

struct import_report {
#define X(field, help) uint64_t field;
	IMPORT_REPORT(X)
#undef X
	uint64_t unparsed_line; /* the first one, or 0; and where in it */
	uint64_t unparsed_column;
};

/*
 * Opens and reads all of the input: 0, or -1 and *ret_err. The header and the
 * report are complete on return. name "-" is standard input. From memory: name
 * is for errors, the bytes must outlive the import. options may be NULL.
 */
struct import;
int import_open(struct import **ret_im, const char *name,
    const struct import_options *options, struct trace_error *ret_err);
int import_open_mem(struct import **ret_im, const char *name, const void *bytes,
    size_t size, const struct import_options *options,
    struct trace_error *ret_err);
const struct trace_header *import_header(const struct import *);
const struct import_report *import_report(const struct import *);
/* 1 and an operation, 0 at the end, -1 with *ret_err set. */
int import_next(
    struct import *, struct trace_op *ret_op, struct trace_error *ret_err);
void import_close(struct import *);

/*
 * Imports the file `name` to the trace `out`: 0, or -1 with *ret_err set, and
 * then `out` is as it was before. ret_report may be NULL.
 */
int import_run(const char *name, const struct import_options *options,
    const char *out, enum trace_form, struct import_report *ret_report,
    struct trace_error *ret_err);

/* The report for people: a line for each figure that is not 0. */
void import_report_print(const struct import_report *, FILE *);

#endif
