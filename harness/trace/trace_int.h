/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to harness/trace/. What the files here share, by defining file:
 *
 *   table.c       names, flags, suggestions for misspelt words
 *   error.c       errors of input, failed assertions, byte vectors
 *   header.c      the header: defaults, check, repair, interned strings
 *   canon.c       renaming registers densely, checking an operation
 *   input.c       bytes of a file, of memory, of an .xz stream
 *   container.c   blocks with checksums around a binary payload
 *   binary.c      the payload codec
 *   text_lex.c text_header.c text_parse.c   text -> operations
 *   text_print.c  operations -> text
 *   reader.c writer.c trace.c   the public functions over these
 *
 * Calls go down this list only in the sense that the last line calls all
 * others; nothing here keeps static state, and nothing recurses.
 */
#ifndef KALAB_TRACE_INT_H
#define KALAB_TRACE_INT_H

#include "trace.h"

#define TRACE__STRS_MAX	      65536u  /* distinct strings of a trace */
#define TRACE__DEVIATIONS_MAX 4096u   /* deviations of a header */
#define TRACE__LINE_MAX	      4096u   /* bytes of a line */
#define TRACE__FLAGS_MASK     0xffffu /* flags are 16 bits */
#define TRACE__PROB_MAX	      65536u  /* largest denominator */
#define TRACE__STICKY_MAX     1024u
#define TRACE__KEEP_MAX	      255u
#define TRACE__PAGES_DEFAULT  4096u
#define TRACE__KEEP_DEFAULT   2u
#define TRACE__NOPOS	      UINT64_MAX /* a column: no place */
#define TRACE__BLOCK_MAX      65536u	 /* payload bytes of a block */

/*
 * Longest encoding of an operation: opcode, thread and register varints, and
 * six arguments of which each is at most a new string (varint, length byte,
 * characters). Rounded up; binary.c asserts it.
 */
#define TRACE__OP_BYTES_MAX 320u

/*
 * Longest operation as text: thread, "p16777215 = ", name, and six arguments
 * of at most 96 characters (flags) each. Rounded up.
 */
#define TRACE__OP_TEXT_MAX 1024u

#define TRACE__ASSERT(e)                                                       \
	((e) ? (void)0 : trace__assert_fail(#e, __FILE__, __LINE__))

/* error.c */

void trace__assert_fail(const char *expr, const char *file, int line)
    __attribute__((noreturn, cold));
/* Copies a name, of a long one its end. */
void trace__name_cut(char *buf, size_t size, const char *name);
void trace__error_errno(
    struct trace_error *, const char *file, const char *doing, int error);
void trace__error_memory(struct trace_error *, const char *file);

/* A vector of bytes. Zeroed is empty. */
struct trace__bytes {
	uint8_t *at;
	size_t size, cap;
};
int trace__bytes_append(struct trace__bytes *, const void *, size_t);
int trace__bytes_reserve(struct trace__bytes *, size_t);
void trace__bytes_fini(struct trace__bytes *);

/* A string being built in a fixed buffer: cut, but always terminated. */
struct trace__out {
	char *p, *last; /* last: the place kept for the final NUL */
};
void trace__out_init(struct trace__out *, char *buf, size_t size);
void trace__out_chars(struct trace__out *, const char *, size_t);
void trace__out_str(struct trace__out *, const char *);
void trace__out_num(struct trace__out *, uint64_t); /* decimal */
void trace__out_hex(struct trace__out *, uint64_t); /* 0x... */
/* As the text form has numbers: decimal below 2^32, hexadecimal above. */
void trace__out_value(struct trace__out *, uint64_t);

/* table.c */

struct trace__name {
	const char *name;
	uint32_t bits;
};
enum trace__names {
	TRACE__M_FLAGS,
	TRACE__VM_FLAGS,
	TRACE__DEBUG_FLAGS,
	TRACE__MAY,
	TRACE__MP_FLAGS,
	TRACE__UMA_FLAGS,
	TRACE__ZONE_FLAGS,
	TRACE__HOOKS
};
/* Value of a flag's name: true and *ret_bits. */
bool trace__flag_by_name(
    enum trace__names, const char *, size_t len, uint32_t *ret_bits);
/* The names of a set, composites first; *ret_count is how many. */
const struct trace__name *trace__flag_names(
    enum trace__names, size_t *ret_count);
void trace__flags_put(struct trace__out *, enum trace__names, uint64_t);
/* Kinds whose values are a few words: how many; 0 for other kinds. */
uint32_t trace__word_count(enum trace_kind);
const char *trace__word_name(enum trace_kind, uint64_t);
int trace__word_by_name(enum trace_kind, const char *, size_t len); /* or -1 */
/* Kinds that are flags: true and their set. */
bool trace__kind_flags(enum trace_kind, enum trace__names *ret_set);
int trace__sched_by_name(const char *, size_t len); /* or -1 */
int trace__memory_by_name(const char *, size_t len);
int trace__deviate_by_name(const char *, size_t len);
/* Order by place; 0: the same. */
int trace__deviation_compare(
    const struct trace_deviation *, const struct trace_deviation *);
/* Sticky and pct have one. */
bool trace__sched_has_n(enum trace_sched_mode);
bool trace__deviation_thread(const struct trace_header *, uint64_t thread);
int trace__class_by_letter(char);		   /* or -1 */
const char *trace__kind_expected(enum trace_kind); /* for messages */
/* The candidate most like the word if it is near enough, else NULL. */
const char *trace__suggest_op(const char *, size_t len);
const char *trace__suggest_flag(enum trace__names, const char *, size_t len);
const char *trace__suggest(
    const char *const *candidates, size_t count, const char *, size_t len);
/* Bytes (2..4) of a well-formed, printable UTF-8 sequence, or 0. */
size_t trace__utf8_length(const char *p, const char *end);

/* header.c */

void trace__header_thread_cpus(struct trace_header *); /* thread % cpus */
void trace__header_reserves(struct trace_header *);    /* by pages */
int trace__header_deviation(
    struct trace_header *, const struct trace_deviation *);
/* NULL, or what is wrong with the header. */
const char *trace__header_check(const struct trace_header *);
/* Defaults again, in a header that was used: strings' memory stays. */
void trace__header_reset(struct trace_header *);
/* Strings have other places now, and n are left. Pointers behind them stay. */
void trace__header_strs_moved(struct trace_header *, uint32_t n);
/* Moves every value into its range; drops what cannot be. */
void trace__header_repair(struct trace_header *);

/* canon.c */

/* Register numbers to dense ones, by order of definition. */
struct trace__regmap {
	uint32_t *dense; /* by number: dense + 1, or 0 if undefined */
	uint32_t cap, count;
};
void trace__regmap_fini(struct trace__regmap *);
int trace__regmap_define(
    struct trace__regmap *, uint32_t number, uint32_t *ret_dense);

static inline uint32_t
trace__regmap_get(const struct trace__regmap *m, uint32_t number)
{
	if (number >= m->cap)
		return (TRACE_NOREG);
	return (m->dense[number] - 1); /* undefined: 0 - 1 is TRACE_NOREG */
}

/* Whether all but the registers is valid: 0 or EINVAL. */
int trace__op_check(const struct trace_header *, const struct trace_op *);
/*
 * Renames the registers of a checked operation in place, defining its out
 * register, and clears what the operation does not have. 0, EINVAL if it
 * names an undefined register (then nothing is defined), or ENOMEM.
 */
int trace__op_rename(
    struct trace__regmap[TRACE_CLASS_COUNT], struct trace_op *);

/* input.c */

/*
 * A source of bytes with a window on them: [p, end) is read and not consumed.
 * Consumers advance p. Filling may move the window.
 */
struct trace__xz;
struct trace__input {
	const uint8_t *p, *end;
	bool eof;	   /* nothing follows the window */
	uint64_t end_at;   /* offset of end in the unpacked bytes */
	uint64_t raw_done; /* bytes read from the source */
	uint64_t raw_total;
	int fd; /* or -1 for memory */
	bool fd_owned;
	uint8_t *buf;
	struct trace__xz *xz; /* NULL unless compressed */
	char name[256];
};
int trace__input_open(
    struct trace__input *, const char *name, struct trace_error *);
int trace__input_open_mem(struct trace__input *, const char *name, const void *,
    size_t, struct trace_error *);
void trace__input_fini(struct trace__input *);
/* More bytes in the window: 1; the end: 0; -1 and an error. */
int trace__input_fill(struct trace__input *, struct trace_error *);
/* Fills until the window has size bytes: 1, 0 if the end comes first, -1. */
int trace__input_need(struct trace__input *, size_t size, struct trace_error *);

static inline uint64_t
trace__input_offset(const struct trace__input *in)
{
	return (in->end_at - (uint64_t)(in->end - in->p));
}

/* container.c */

#define TRACE__MAGIC	  "\x89KAL\r\n\x1a\n"
#define TRACE__MAGIC_SIZE 8u
#define TRACE__FRAME_MAX  (TRACE__BLOCK_MAX + 12u) /* length, payload, hash */

struct trace__blocks {
	struct trace__input *in;
	uint64_t index, total;
	bool ended;
};
int trace__blocks_open(
    struct trace__blocks *, struct trace__input *, struct trace_error *);
/* 1 and a payload that lives until the next call, 0 at the end, -1. */
int trace__blocks_next(struct trace__blocks *, const uint8_t **ret_payload,
    size_t *ret_size, struct trace_error *);
/* Framing for the writer; each returns how many bytes it put in buf. */
size_t trace__frame_start(uint8_t buf[16]);
size_t trace__frame_head(uint8_t buf[4], size_t size);
size_t trace__frame_tail(
    uint8_t buf[8], const void *payload, size_t size, uint64_t index);
size_t trace__frame_end(uint8_t buf[20], uint64_t total, uint64_t index);

/* binary.c */

struct trace__decoder {
	const uint8_t *p, *end;
	/* More bytes, keeping [p, end): 1, 0 at the end, -1. NULL: none. */
	int (*refill)(struct trace__decoder *, void *cookie);
	void *cookie;
	struct trace_header *header;
	uint32_t count[TRACE_CLASS_COUNT]; /* registers defined */
	uint32_t last[TRACE_CLASS_COUNT];  /* the one defined last */
	uint16_t thread;
	uint64_t nops;
	bool eof;
};
/* 0, ENOMEM, or -1 if refill failed. The header must be initialised. */
int trace__decode_header(struct trace__decoder *);
/* 1 and an operation, 0 at the end, -1 if refill failed, -2 no memory. */
int trace__decode_op(struct trace__decoder *, struct trace_op *);

struct trace__encoder {
	const struct trace_header *header;
	uint32_t count[TRACE_CLASS_COUNT], last[TRACE_CLASS_COUNT];
	uint16_t thread;
	bool ordered;	  /* strings come in the order of the header's */
	uint32_t *strmap; /* by the header's index: encoded index + 1, or 0 */
	uint32_t strmap_cap, nstrs;
};
int trace__encode_header(const struct trace_header *, struct trace__bytes *);
/* Of a checked and renamed operation: bytes put in buf, 0 if out of memory. */
size_t trace__encode_op(struct trace__encoder *, const struct trace_op *,
    uint8_t buf[TRACE__OP_BYTES_MAX]);
void trace__encoder_fini(struct trace__encoder *);

/* trace.c, for who does it often: with memory that is used again. */

/* The payload instead of what the trace had. 0 or ENOMEM. */
int trace__decode(struct trace *, const uint8_t *, size_t);
/* A canonical trace instead of what the bytes were. 0 or ENOMEM. */
int trace__encode_canonical(const struct trace *, struct trace__bytes *);

/* text_parse.c, text_lex.c, text_header.c */

struct trace__text {
	struct trace__input *in;
	struct trace_header *header;
	struct trace__regmap map[TRACE_CLASS_COUNT];
	struct trace_error *err;   /* of the call that is under way */
	const char *bol, *p, *eol; /* the line and the place in it */
	uint64_t line;		   /* its number */
	bool held;		   /* the line is to be parsed again */
	unsigned seen;		   /* header lines, by row of the table */
	bool thread_seen[TRACE_THREADS_MAX];
};
int trace__text_open(struct trace__text *, struct trace__input *,
    struct trace_header *, struct trace_error *);
int trace__text_next(
    struct trace__text *, struct trace_op *, struct trace_error *);
void trace__text_fini(struct trace__text *);

/* text_print.c */

int trace__print_header(const struct trace_header *, struct trace__bytes *);
/* Without newline; the length. buf is terminated. */
size_t trace__print_op(const struct trace_header *, const struct trace_op *,
    char *buf, size_t size);

/* What a row of ops.def says of what an operation defines. */
#define OUT_NONE   (-1)
#define OUT_OBJ	   TRACE_OBJ
#define OUT_TYPE   TRACE_TYPE
#define OUT_RUN	   TRACE_RUN
#define OUT_CACHE  TRACE_CACHE
#define OUT_PIPE   TRACE_PIPE
#define OUT_ZONE   TRACE_ZONE
#define OUT_VMZONE TRACE_VMZONE

#endif
