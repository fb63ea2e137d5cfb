/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to harness/import/. What the files here share, by defining file:
 *
 *   ftrace.c         one line of text -> one event
 *   gfp.c            GFP flags -> M_ flags
 *   import_live.c    address -> live object; registers
 *   import_map.c     names of caches -> allocators, constructors
 *   import_types.c   names -> owners
 *   import_spool.c   the records between the two passes
 *   import_emit.c    records -> threads and operations
 *   import.c         the public functions, lines, events -> records
 *
 * The reader of bytes is that of harness/trace/ (trace__input).
 */
#ifndef KALAB_IMPORT_INT_H
#define KALAB_IMPORT_INT_H

#include "import.h"
#include "trace/trace_int.h"

/* In which context of a CPU an event happened. */
enum import__context {
	IMPORT_TASK,
	IMPORT_IDLE, /* pid 0: each CPU has its own */
	IMPORT_SOFTIRQ,
	IMPORT_HARDIRQ,
	IMPORT_NMI,
	IMPORT_CONTEXT_COUNT
};

/* ftrace.c */

enum import__line {
	IMPORT_LINE_EVENT, /* of a kind that we know */
	IMPORT_LINE_OTHER, /* an event of another kind */
	IMPORT_LINE_LOST,  /* the recorder lost events */
	IMPORT_LINE_BLANK, /* nothing, a comment, a heading */
	IMPORT_LINE_BAD
};

enum import__what {
	IMPORT_ALLOC,
	IMPORT_FREE,
	IMPORT_PAGE_ALLOC,
	IMPORT_PAGE_FREE,
	IMPORT_WHAT_COUNT
};

/* A part of the line. */
struct import__span {
	const char *at;
	size_t size;
};

struct import__event {
	enum import__what what;
	enum import__context context;
	uint32_t pid, cpu;
	uint64_t ptr;  /* 0: NULL, or the allocation failed */
	uint64_t size; /* bytes; of a page event: its order */
	struct import__span gfp;
	struct import__span site;  /* function, or an address in hex */
	struct import__span cache; /* empty unless named */
	uint64_t lost;		   /* IMPORT_LINE_LOST: events, 0: unknown */
	size_t column; /* of the CPU; IMPORT_LINE_BAD: of the fault */
};
enum import__line import__ftrace_line(
    const char *line, size_t size, struct import__event *ret_ev);

/* gfp.c */

/* M_ flags; *ret_known is whether all was understood. */
uint16_t import__gfp_flags(const char *gfp, size_t size, bool *ret_known);
uint16_t import__vm_flags(uint16_t m_flags);
/* The same request where nobody may wait: in an interrupt. */
uint16_t import__nowait_flags(uint16_t m_flags);

/* import_live.c */

struct import__object {
	uint64_t key;  /* 0: a free slot */
	uint64_t size; /* requested bytes */
	uint32_t reg;
	uint32_t owner;
};

/* What is live, and the registers of it: zeroed is empty. */
struct import__live {
	struct import__object *slot; /* open addressing, linear probing */
	size_t cap, count;	     /* cap: 0 or a power of two */
	uint32_t *heap;		     /* free registers, the lowest first */
	uint32_t nheap, heap_cap;
	uint32_t nregs; /* registers ever used */
};
/* Adds an object that is not there: its register is set. 0 or ENOMEM,
 * EOVERFLOW if there are no more registers. */
int import__live_add(struct import__live *, struct import__object *);
bool import__live_remove(
    struct import__live *, uint64_t key, struct import__object *ret_object);
void import__live_fini(struct import__live *);

/* import_map.c */

enum import_kind import__map_kind(
    const struct import_options *, const char *cache);
/* Does Linux construct the objects of this cache when it makes a slab? */
bool import__is_constructed(const char *cache);

/* import_types.c */

/* Who gives objects out: what a name of the recording becomes. */
struct import__owner {
	uint64_t size;		  /* the largest that was seen */
	uint32_t live, live_peak; /* objects */
	uint32_t str;		  /* its name in the header */
	uint16_t flags;		  /* of all its allocations, joined */
	uint8_t kind;		  /* enum import_kind */
	bool constructed;
	/* Set between the passes. */
	uint32_t reg;  /* of the zone, cache or pipe */
	uint32_t type; /* the malloc type, where it has one */
	uint32_t hooks;
};
struct import__name {
	char *name; /* NULL: a free slot */
	uint32_t size, hash;
	uint32_t owner;
	bool cache;
};
struct import__types {
	struct import__name *slot;
	size_t cap, count;
	uint32_t nowners;
	struct import__owner owner[IMPORT_TYPES_MAX];
	uint64_t caches, sites, folded;
};
struct import;
/* 0 or ENOMEM. */
int import__types_find(
    struct import *, const struct import__event *, uint32_t *ret_owner);
void import__types_fini(struct import__types *);
/* Counts an object in or out. */
void import__owner_add(struct import__owner *, uint64_t size, uint16_t flags);
void import__owner_remove(struct import__owner *);
/* When all is seen: kinds, registers and callbacks, and the report's part. */
void import__types_conclude(struct import *);

/* import_spool.c */

/* An operation whose thread is not known yet. */
struct import__record {
	uint64_t size; /* bytes; PAGE_ALLOC: order */
	uint32_t pid;
	uint32_t reg;
	uint16_t owner;
	uint16_t flags;
	uint8_t what; /* enum import__what */
	uint8_t cpu;
	uint8_t context; /* enum import__context */
	uint8_t unused;
};
_Static_assert(sizeof(struct import__record) == 24, "the spool grows");

#define IMPORT__CHUNK 65536u /* records in memory */

struct import__spool {
	struct import__record *record;
	size_t count, at; /* in memory, and the next to be read */
	bool reading;	  /* memory is part of the file */
	FILE *fp;	  /* all that memory does not hold; or NULL */
};
int import__spool_put(struct import__spool *, const struct import__record *);
/* Ends writing, or starts reading again: 0 or an errno. */
int import__spool_rewind(struct import__spool *);
/* 1, 0 at the end, -1 and errno. */
int import__spool_get(
    struct import__spool *, const struct import__record **ret_record);
void import__spool_fini(struct import__spool *);

/* import_emit.c */

struct import__slot {
	uint64_t used; /* when last: the ordinal of the record */
	uint32_t pid;
	uint16_t thread, cpu;
};
struct import__threads {
	struct import__slot task[TRACE_THREADS_MAX];
	uint32_t ntasks, tasks_max, last;
	uint16_t fixed[TRACE_CPUS_MAX][IMPORT_CONTEXT_COUNT]; /* thread + 1 */
	bool fold_nmi; /* NMIs on the hardirq's thread: threads are short */
	uint32_t count;
	uint64_t clock, recycled, migrations;
};

#define IMPORT__PENDING_MAX 5u

struct import {
	char name[256];
	struct import_options options;
	struct import_report report;
	struct trace_header header;
	struct trace__input input;
	/* First pass. */
	struct import__live objects, runs;
	struct import__types types;
	uint64_t footprint, footprint_peak; /* bytes, rounded up */
	uint64_t bytes;			    /* requested and live */
	uint64_t size_classes;		    /* a set */
	uint8_t contexts[TRACE_CPUS_MAX];   /* seen, a set for each CPU */
	uint32_t cpus_seen;
	/* Second pass. */
	struct import__spool spool;
	struct import__threads threads;
	uint32_t nowners_made;
	struct trace_op pending[IMPORT__PENDING_MAX];
	unsigned npending, pending_at;
	uint64_t nops, nrecords;
};
/* Buffers that a pipe guarantees: a quarter of what was live, so that some
 * come from kmalloc; at least 4, and what the laboratory bounds a pipe by. */
uint32_t import__pipe_nnom(const struct import__owner *);
/* Decides on the threads; completes the header and the report. 0 or errno. */
int import__emit_prepare(struct import *);
/* The operations of the next record into pending: 1, 0 at the end, -1 errno. */
int import__emit_fill(struct import *);

#endif
