/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Traces: what an operation is, and the two forms of a sequence of them.
 *
 * A *trace* is a header (the configuration of a run) followed by operations.
 * An *operation* is one row of ops.def with arguments, done by one *thread*.
 * Objects are named by *registers*, never by addresses: an operation that
 * makes an object defines a register, later operations name it. A register
 * may be defined again; that is how a trace of any length needs only as many
 * registers as objects live at one time. An operation that ends an object
 * leaves the register *ended*; naming an ended register in a free is how a
 * trace says "double free".
 *
 * Register classes: p (objects of all allocators), m (malloc types), g (runs of
 * pages), c (objcaches), q (mpipes), z (zones of the UMA interface), b (zones
 * of zinit and zbootinit). Registers are dense: a definition names a known register or the
 * first unknown one of its class. The parser accepts any numbers and renames
 * them in order of first definition.
 *
 * The text form is for people and diffs, one operation a line. The binary
 * form (binary.h's codec) is total: every byte string decodes to some valid
 * trace. Text -> binary -> text is the identity on canonical traces, which is
 * what the printer prints. See kalab-trace(5).
 *
 * Reading is streaming: memory does not grow with the length of the trace.
 */
#ifndef KALAB_TRACE_H
#define KALAB_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TRACE_VERSION	  1
#define TRACE_ARGS_MAX	  6
#define TRACE_CPUS_MAX	  64u
#define TRACE_THREADS_MAX 256u
#define TRACE_PAGES_MIN	  32u
#define TRACE_PAGES_MAX	  (1u << 20) /* 4 GiB of pages */
#define TRACE_REGS_MAX	  (1u << 24) /* per class */
#define TRACE_FAULTS_MAX  8
#define TRACE_STR_MAX	  32
#define TRACE_NOREG	  UINT32_MAX /* "null" in a register's place */

/* Register classes. */
enum trace_class {
	TRACE_OBJ,    /* p */
	TRACE_TYPE,   /* m */
	TRACE_RUN,    /* g */
	TRACE_CACHE,  /* c */
	TRACE_PIPE,   /* q */
	TRACE_ZONE,   /* z */
	TRACE_VMZONE, /* b */
	TRACE_CLASS_COUNT
};

/* Kinds of arguments. The access (use, mod, end) is part of a register kind. */
enum trace_kind {
	TRACE_K_NONE,
	TRACE_K_OBJ_USE,
	TRACE_K_OBJ_MOD,
	TRACE_K_OBJ_END,
	TRACE_K_TYPE_USE,
	TRACE_K_TYPE_MOD,
	TRACE_K_TYPE_END,
	TRACE_K_RUN_USE,
	TRACE_K_RUN_END,
	TRACE_K_SIZE,
	TRACE_K_NUM,
	TRACE_K_FLAGS,
	TRACE_K_VMFLAGS,
	TRACE_K_STR,
	TRACE_K_CPU,
	TRACE_K_WILD,
	TRACE_K_CACHE_USE,
	TRACE_K_CACHE_MOD,
	TRACE_K_CACHE_END,
	TRACE_K_PIPE_USE,
	TRACE_K_PIPE_MOD,
	TRACE_K_PIPE_END,
	TRACE_K_ZONE_USE,
	TRACE_K_ZONE_MOD,
	TRACE_K_ZONE_END,
	TRACE_K_VMZONE_USE,
	TRACE_K_VMZONE_MOD,
	TRACE_K_VMZONE_END,
	TRACE_K_INT,
	TRACE_K_MPFLAGS,
	TRACE_K_UMAFLAGS,
	TRACE_K_ZONEFLAGS,
	TRACE_K_HOOKS,
	TRACE_K_HOOK,
	TRACE_K_ACTION,
	TRACE_K_RECLAIM,
	TRACE_KIND_COUNT
};

/* Which pointer kfree_wild frees; text names in trace_wild_name(). */
enum trace_wild {
	TRACE_WILD_NULL,     /* NULL */
	TRACE_WILD_STACK,    /* an address on the caller's stack */
	TRACE_WILD_STATIC,   /* an address in static storage */
	TRACE_WILD_UNMAPPED, /* an address that nothing is mapped at */
	TRACE_WILD_PAGE,     /* a page of the page layer that is free */
	TRACE_WILD_HIGH,     /* an address near the top of the range */
	TRACE_WILD_COUNT
};

/*
 * Callbacks of the allocators: a HOOKS argument is a set of them, bit 1 <<
 * hook, and says which the cache, pipe or zone has; a HOOK argument is one.
 */
enum trace_hook {
	TRACE_HOOK_CTOR, /* objcache ctor, mpipe construct, uma ctor */
	TRACE_HOOK_DTOR,
	TRACE_HOOK_INIT, /* uminit or zinit of a zone */
	TRACE_HOOK_FINI,
	TRACE_HOOK_ALLOC,     /* backend of an objcache; always there */
	TRACE_HOOK_FREE,      /* the same */
	TRACE_HOOK_IMPORT,    /* source of a cache zone; always there */
	TRACE_HOOK_RELEASE,   /* the same */
	TRACE_HOOK_CALLBACK,  /* of mpipe_alloc_callback; always there */
	TRACE_HOOK_MAXACTION, /* of a zone */
	TRACE_HOOK_ZERO,      /* a set only: the backend gives zeroed memory */
	TRACE_HOOK_EMPTY,     /* a set only: the backend never gives any */
	TRACE_HOOK_COUNT
};

/* What a callback does, besides what it is for. */
enum trace_action {
	TRACE_ACTION_NONE,
	TRACE_ACTION_REFUSE,  /* fails, where it can */
	TRACE_ACTION_KMALLOC, /* takes and gives back some memory of kmalloc */
	TRACE_ACTION_SELF,    /* the same, of the very cache, pipe or zone */
	TRACE_ACTION_COUNT
};

enum trace_reclaim {
	TRACE_RECLAIM_NONE, /* no such request: misuse */
	TRACE_RECLAIM_DRAIN,
	TRACE_RECLAIM_DRAIN_CPU,
	TRACE_RECLAIM_TRIM,
	TRACE_RECLAIM_COUNT
};

enum trace_group {
	TRACE_G_KM,
	TRACE_G_VM,
	TRACE_G_TH,
	TRACE_G_OC,
	TRACE_G_MP,
	TRACE_G_ZN,
	TRACE_GROUP_COUNT
};

/* Opcodes: TRACE_OP_KMALLOC, ... */
enum trace_opcode {
#define OP(id, name, group, out, a0, a1, a2, a3, a4, a5, help) TRACE_OP_##id,
#include "ops.def"
#undef OP
	TRACE_OP_COUNT
};

/* One row of the table. */
struct trace_opdef {
	const char *name;
	enum trace_group group;
	int out; /* enum trace_class, or -1 */
	uint8_t nargs;
	enum trace_kind arg[TRACE_ARGS_MAX];
	const char *help;
};

extern const struct trace_opdef trace_ops[TRACE_OP_COUNT];

/*
 * One operation. arg[i] holds, by kind: a register number or TRACE_NOREG; a
 * number (an INT as the low 32 bits); flags; for STR an index for trace_str().
 * The string's bytes live as
 * long as the header they were interned in.
 */
struct trace_op {
	uint16_t code;	 /* enum trace_opcode */
	uint16_t thread; /* 0 .. threads-1 */
	uint32_t out;	 /* register defined, or TRACE_NOREG */
	uint64_t arg[TRACE_ARGS_MAX];
	uint64_t line; /* line of the text, or ordinal (from 1) in the binary */
};

/* Injected faults (VM-6). Counted over all page allocations of the run. */
enum trace_fault_mode {
	TRACE_FAULT_ONCE, /* fail the k-th (from 1) */
	TRACE_FAULT_FROM, /* fail the k-th and all later ones */
	TRACE_FAULT_PROB, /* fail with probability num/den, drawn from seed */
	TRACE_FAULT_MODE_COUNT
};

struct trace_fault {
	enum trace_fault_mode mode;
	uint64_t k;	   /* ONCE, FROM */
	uint32_t num, den; /* PROB: 1 <= num <= den <= 65536 */
	uint64_t seed;	   /* PROB */
};

enum trace_sched_mode {
	TRACE_SCHED_RECORDED, /* the order of the trace, no preemption */
	TRACE_SCHED_RANDOM,   /* any runnable thread at every point */
	TRACE_SCHED_STICKY,   /* as random; the running one stays with 1-1/n */
	TRACE_SCHED_PCT,      /* by random priorities that change n-1 times */
	TRACE_SCHED_MODE_COUNT
};

/* What stores and loads see (sim/sim.h). */
enum trace_memory {
	TRACE_MEMORY_SC,
	TRACE_MEMORY_TSO,
	TRACE_MEMORY_C11,
	TRACE_MEMORY_COUNT
};

/* What else than who runs the schedule may choose: bits. */
#define TRACE_MAY_MIGRATE 1u /* threads go to other CPUs */
#define TRACE_MAY_WAKE	  2u /* sleepers wake for no reason */
#define TRACE_MAY_FAIL	  4u /* page allocations fail */
#define TRACE_MAY_SOLO	  8u /* calls that do not block run alone */
#define TRACE_MAY_ALL	  15u

/* What a deviation does: enum sim_do of sim/sim.h, less the default. */
enum trace_deviate {
	TRACE_DEVIATE_RUN,
	TRACE_DEVIATE_FLUSH,
	TRACE_DEVIATE_MIGRATE,
	TRACE_DEVIATE_WAKE,
	TRACE_DEVIATE_DELAY,
	TRACE_DEVIATE_READ,
	TRACE_DEVIATE_INSERT,
	TRACE_DEVIATE_FAIL,
	TRACE_DEVIATE_SOLO,
	TRACE_DEVIATE_COUNT
};

/* The library's own threads are named from TRACE_THREADS_MAX on. */
#define TRACE_DAEMONS_MAX 8u

/*
 * A deviation from the default choice: at the point-th point (from 1) of the
 * thread's op-th operation (from 1; 0: before any) do what is said. Sorted by
 * (thread, op, point). A thread of the library has a number from
 * TRACE_THREADS_MAX on.
 */
struct trace_deviation {
	uint32_t thread, op, point;
	enum trace_deviate what;
	uint32_t n; /* thread, CPU or how many; 0..65535 */
};

/* The header: everything a run depends on besides its operations. */
struct trace_header {
	uint32_t cpus;		 /* 1 .. TRACE_CPUS_MAX */
	uint32_t threads;	 /* 1 .. TRACE_THREADS_MAX */
	uint32_t pages;		 /* budget, TRACE_PAGES_MIN .. MAX */
	uint32_t reserve_system; /* NORMAL leaves so many pages */
	uint32_t
	    reserve_interrupt; /* SYSTEM leaves so many; <= reserve_system */
	uint32_t slabs_keep;   /* wholly free slabs a CPU may keep, 0..255 */
	uint32_t debug;	       /* KA_DEBUG_ bits */
	enum trace_sched_mode sched;
	uint64_t sched_seed;
	uint32_t sticky; /* STICKY: 1/n leaves; PCT: depth n; 1..1024 */
	enum trace_memory memory;
	uint32_t may; /* TRACE_MAY_ bits */
	uint32_t nfaults;
	struct trace_fault fault[TRACE_FAULTS_MAX];
	uint32_t ndeviations;
	struct trace_deviation *deviation;	/* owned; NULL if none */
	uint16_t thread_cpu[TRACE_THREADS_MAX]; /* where a thread starts */
	/* Interned strings, owned. Index 0 is the first. */
	char **str;
	uint32_t nstrs, strs_cap;
};

/*
 * An error of input: where, what, and what was expected. line and column
 * count from 1; for binary files line is 0 and column is the byte offset
 * from 0. trace_error_format() gives the one line that people see.
 */
struct trace_error {
	char file[256];
	uint64_t line, column;
	char what[256];
};

void trace_error_set(struct trace_error *, const char *file, uint64_t line,
    uint64_t column, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* "file:line:column: what" (or "file: byte N: what"); always terminated. */
void trace_error_format(const struct trace_error *, char *buf, size_t size);

/* Header: defaults (1 cpu, 1 thread, 4096 pages, ...), clean-up, copy, strings. */
void trace_header_init(struct trace_header *);
void trace_header_fini(struct trace_header *);
int trace_header_copy(struct trace_header *ret_dst,
    const struct trace_header *src); /* 0 or ENOMEM */
/* Index of an equal string, or of a new copy; UINT32_MAX if out of memory.
 * Characters that the language does not have are replaced by '?', length is
 * cut to TRACE_STR_MAX, an empty string becomes "?". */
uint32_t trace_str_intern(struct trace_header *, const char *, size_t len);
const char *trace_str(const struct trace_header *, uint64_t index);

/* Names <-> values, for parser, printer, reports and completion. */
int trace_op_by_name(const char *, size_t len); /* opcode or -1 */
const char *trace_wild_name(enum trace_wild);
const char *trace_hook_name(enum trace_hook);
const char *trace_action_name(enum trace_action);
const char *trace_sched_name(enum trace_sched_mode);
const char *trace_memory_name(enum trace_memory);
const char *trace_deviate_name(enum trace_deviate);
/* Has it a number: of a thread, a CPU, or of how many? */
bool trace_deviate_has_number(enum trace_deviate);

const char *trace_kind_name(enum trace_kind);
const char *trace_group_name(enum trace_group);
char trace_class_letter(int class);
int trace_kind_class(enum trace_kind);	 /* enum trace_class or -1 */
bool trace_kind_writes(enum trace_kind); /* MOD or END */
bool trace_kind_ends(enum trace_kind);	 /* END */
/* "WAITOK|ZERO", "0" for none, unknown bits as hex; returns buf. */
const char *trace_flags_format(uint64_t flags, char *buf, size_t size);
const char *trace_vmflags_format(uint64_t flags, char *buf, size_t size);

/*
 * Reader: text or binary, found out from the first bytes; .xz is unpacked.
 * trace_reader_open: 0, or -1 with *ret_err set; the header is complete on
 * return. name "-" is standard input. trace_reader_next: 1 and an operation,
 * 0 at the end, -1 with *ret_err set. Every operation returned is valid
 * against the table and the header.
 */
struct trace_reader;
int trace_reader_open(
    struct trace_reader **ret_r, const char *name, struct trace_error *ret_err);
/* From memory; name is for errors. The bytes must outlive the reader. */
int trace_reader_open_mem(struct trace_reader **ret_r, const char *name,
    const void *bytes, size_t size, struct trace_error *ret_err);
/* A bare payload (no container): total, cannot fail but for ENOMEM. */
int trace_reader_open_payload(struct trace_reader **ret_r, const void *bytes,
    size_t size, struct trace_error *ret_err);
struct trace_header *trace_reader_header(struct trace_reader *);
int trace_reader_next(struct trace_reader *, struct trace_op *ret_op,
    struct trace_error *ret_err);
/* Bytes of input consumed and in all (0 if unknown), for progress. */
void trace_reader_progress(
    const struct trace_reader *, uint64_t *ret_done, uint64_t *ret_total);
void trace_reader_close(struct trace_reader *);

/*
 * Writer: streaming, text or binary container. Operations must be valid;
 * register numbers are written canonically (renamed densely in order of
 * first definition). trace_writer_close reports a failed write (a full disk)
 * as -1 and errno, and removes the partial file unless it is standard output.
 */
enum trace_form {
	TRACE_TEXT,
	TRACE_BINARY
};
struct trace_writer;
int trace_writer_open(struct trace_writer **ret_w, const char *name,
    enum trace_form, const struct trace_header *, struct trace_error *ret_err);
int trace_writer_open_stream(struct trace_writer **ret_w, FILE *,
    enum trace_form, const struct trace_header *, struct trace_error *ret_err);
int trace_writer_op(struct trace_writer *, const struct trace_op *);
int trace_writer_comment(struct trace_writer *, const char *text); /* text */
int trace_writer_close(struct trace_writer *, struct trace_error *ret_err);
/* One operation as a line without newline: "0 p3 = kmalloc 64 m0 WAITOK". */
void trace_op_format(const struct trace_header *, const struct trace_op *,
    char *buf, size_t size);

/* A whole trace in memory, for the generator, the shrinker and tests. */
struct trace {
	struct trace_header header;
	struct trace_op *op;
	size_t nops, cap;
};
void trace_init(struct trace *);
void trace_fini(struct trace *);
int trace_append(struct trace *, const struct trace_op *); /* 0 or ENOMEM */
int trace_load(struct trace *ret_t, struct trace_reader *,
    struct trace_error *ret_err); /* all of it; 0 or -1 */
int trace_save(const struct trace *, const char *name, enum trace_form,
    struct trace_error *ret_err);
int trace_print(const struct trace *, FILE *, struct trace_error *ret_err);
/* The bare payload of a trace: malloc'ed bytes. 0 or ENOMEM. */
int trace_encode(const struct trace *, uint8_t **ret_bytes, size_t *ret_size);
/* Renames registers densely and drops what names an undefined register:
 * makes any edited sequence of operations a valid trace. Returns how many
 * operations were dropped. */
size_t trace_canonicalize(struct trace *);

#endif
