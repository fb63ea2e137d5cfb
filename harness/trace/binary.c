/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The payload codec: a trace as few bytes, and any bytes as a trace.
 *
 * 1. Totality. Every byte string decodes. A value out of its range is brought
 *    into it by a modulus; bytes that are missing count as zeros; the trace
 *    ends where the bytes end between two operations. Every operation takes
 *    a byte at least, and so does every element of a list in the header, so
 *    the decoded trace is bounded by the input's length.
 *
 * 2. Numbers are LEB128: seven bits a byte, low ones first, the top bit of a
 *    byte says that more follow. The tenth byte is the last one whatever its
 *    top bit, and only its lowest bit counts.
 *
 * 3. The header is a byte of H_ bits, one for each group that differs from the
 *    defaults, then these groups in the order of the bits. An empty input is
 *    the default header and no operations.
 *
 * 4. An operation is: the opcode in the low seven bits of a byte, whose top
 *    bit says that the thread differs from the one before (thread 0 before the
 *    first) and follows; the arguments in the order of the table; the register
 *    defined, if the operation defines one.
 *
 *    Registers count back from the one of the class that was defined last,
 *    around the circle of those known. In a definition 0 is a new register
 *    and 1 the last one; in a use 0 is null and 1 the last one. A use differs
 *    from a definition in its modulus too: only 0 is null, so that random
 *    bytes rarely are. A string is its distance from the newest, from 1, or 0
 *    and the characters.
 *
 * 5. decode(encode(t)) is t for every canonical t. Not the reverse: many byte
 *    strings decode to one trace.
 */
#include <errno.h>
#include <kalloc/flags.h>
#include <stdlib.h>
#include <string.h>

#include "trace_int.h"

/* Groups of the header. */
#define H_CPUS	    0x01u
#define H_THREADS   0x02u
#define H_PAGES	    0x04u
#define H_RESERVES  0x08u
#define H_OPTIONS   0x10u /* slabs kept, debug */
#define H_PLACES    0x20u /* start CPUs of threads */
#define H_SCHEDULE  0x40u
#define H_INJECTION 0x80u /* faults, deviations */

#define THREAD_BIT 0x80u /* of the opcode's byte */
#define VARINT_MAX 10u	 /* bytes of 2^64 - 1 */
#define CHAR_LEAST 0x20u
#define CHAR_COUNT 95u /* 0x20 .. 0x7e */

_Static_assert(1 + VARINT_MAX + VARINT_MAX +
	    TRACE_ARGS_MAX * (VARINT_MAX + 1 + TRACE_STR_MAX) <=
	TRACE__OP_BYTES_MAX,
    "an operation may be longer than TRACE__OP_BYTES_MAX");

/*
 * The unread bytes. In the decoder of operations this is a local that lives in
 * machine registers: out-of-line helpers take and return its parts by value,
 * and all others are inline, whatever a profile makes of their size.
 */
struct window {
	const uint8_t *p, *end;
	bool whole; /* a constant: what is being read is in it to its end */
};
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* A number and where its bytes end. */
struct got {
	uint64_t value;
	const uint8_t *p;
};

static __attribute__((noinline)) struct got
get_long(const uint8_t *p, const uint8_t *end)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < VARINT_MAX && p < end; i++) {
		const uint8_t byte = *p++;

		value |= (uint64_t)(byte & 0x7f) << 7 * i;
		if (byte < 0x80)
			break;
	}
	return ((struct got) { value, p });
}

/* One byte or two is nearly every number, so these are inline. */
static ALWAYS_INLINE uint64_t
get(struct window *w)
{
	const uint8_t *const p = w->p;

	if (w->whole || __builtin_expect(w->end - p >= 2, 1)) {
		if (p[0] < 0x80) {
			w->p = p + 1;
			return (p[0]);
		}
		if (p[1] < 0x80) {
			w->p = p + 2;
			return ((p[0] & 0x7fu) | (uint64_t)p[1] << 7);
		}
	}
	const struct got got = get_long(p, w->end);
	w->p = got.p;
	return (got.value);
}

/* The value modulo count; the division is for wild values only. */
static ALWAYS_INLINE uint64_t
get_below(struct window *w, uint64_t count)
{
	const uint64_t value = get(w);

	return (__builtin_expect(value < count, 1) ? value : value % count);
}

/* The same for the header, where speed does not matter. */

static uint64_t
header_get(struct trace__decoder *d)
{
	const struct got got = get_long(d->p, d->end);

	d->p = got.p;
	return (got.value);
}

static uint64_t
header_below(struct trace__decoder *d, uint64_t count)
{
	return (header_get(d) % count);
}

/*
 * Whether a byte is left; sees to it that the next element of the payload is
 * in the window as far as it exists. 1, 0 at the end, -1 if refill failed.
 */
static inline int
more(struct trace__decoder *d)
{
	while (
	    !d->eof && (size_t)(d->end - d->p) < (size_t)TRACE__OP_BYTES_MAX) {
		const int got = d->refill == NULL ? 0 : d->refill(d, d->cookie);

		if (got < 0)
			return (-1);
		if (got == 0)
			d->eof = true;
	}
	return (d->p < d->end);
}

/* Schedule, memory model and what may be chosen, in one number. */
#define SCHED_CODES                                                            \
	(TRACE_SCHED_MODE_COUNT * TRACE_MEMORY_COUNT * (TRACE_MAY_ALL + 1))

static void
get_schedule(struct trace__decoder *d, struct trace_header *h)
{
	uint64_t n = header_below(d, SCHED_CODES);

	h->sched = (enum trace_sched_mode)(n % TRACE_SCHED_MODE_COUNT);
	n /= TRACE_SCHED_MODE_COUNT;
	h->memory = (enum trace_memory)(n % TRACE_MEMORY_COUNT);
	h->may = (uint32_t)(n / TRACE_MEMORY_COUNT);
	if (h->sched == TRACE_SCHED_RECORDED)
		return;
	h->sched_seed = header_get(d);
	if (trace__sched_has_n(h->sched))
		h->sticky = 1 + (uint32_t)header_below(d, TRACE__STICKY_MAX);
}

static int
get_places(struct trace__decoder *d, struct trace_header *h)
{
	const uint64_t n = header_below(d, TRACE_THREADS_MAX + 1);
	int left = 1;

	for (uint64_t i = 0; i < n && (left = more(d)) > 0; i++) {
		const uint64_t thread = header_below(d, h->threads);

		h->thread_cpu[thread] = (uint16_t)header_below(d, h->cpus);
	}
	return (left < 0 ? -1 : 0);
}

static int
get_faults(struct trace__decoder *d, struct trace_header *h)
{
	const uint64_t n = header_below(d, TRACE_FAULTS_MAX + 1);
	int left = 1;

	for (uint64_t i = 0; i < n && (left = more(d)) > 0; i++) {
		struct trace_fault f = { 0 };

		f.mode = (enum trace_fault_mode)header_below(
		    d, TRACE_FAULT_MODE_COUNT);
		if (f.mode == TRACE_FAULT_PROB) {
			f.den = 1 + (uint32_t)header_below(d, TRACE__PROB_MAX);
			f.num = 1 + (uint32_t)header_below(d, f.den);
			f.seed = header_get(d);
		} else {
			f.k = 1 + header_below(d, UINT64_MAX);
		}
		h->fault[h->nfaults++] = f;
	}
	return (left < 0 ? -1 : 0);
}

/* Threads that deviate are coded without the gap before the library's. */
static uint32_t
dense(const struct trace_header *h, uint32_t thread)
{
	return (thread < h->threads ? thread :
				      thread - TRACE_THREADS_MAX + h->threads);
}

static uint32_t
sparse(const struct trace_header *h, uint32_t thread)
{
	return (thread < h->threads ? thread :
				      thread - h->threads + TRACE_THREADS_MAX);
}

/*
 * Deviations are sorted by construction: a thread is coded as its distance
 * from the one before; in the same thread, so is an operation, and in the same
 * operation a point. Where an operation has no point left the list ends.
 */
static int
get_deviations(struct trace__decoder *d, struct trace_header *h)
{
	const uint64_t n = header_below(d, TRACE__DEVIATIONS_MAX + 1);
	struct trace_deviation v = { 0 };
	uint32_t thread = 0;
	int left = 1;

	for (uint64_t i = 0; i < n && (left = more(d)) > 0; i++) {
		const uint32_t step = (uint32_t)header_below(
		    d, h->threads + TRACE_DAEMONS_MAX - thread);
		const uint32_t op = step == 0 ? v.op : 0;
		uint32_t least = 0;

		v.op = op + (uint32_t)header_below(d, (1ull << 32) - op);
		if (i > 0 && step == 0 && v.op == op) {
			if (v.point == UINT32_MAX)
				break;
			least = v.point + 1;
		}
		thread += step;
		v.thread = sparse(h, thread);
		v.point =
		    least + (uint32_t)header_below(d, (1ull << 32) - least);
		v.what =
		    (enum trace_deviate)header_below(d, TRACE_DEVIATE_COUNT);
		v.n = 0;
		if (trace_deviate_has_number(v.what))
			v.n = (uint32_t)header_below(d, UINT16_MAX + 1);
		if (trace__header_deviation(h, &v) != 0)
			return (ENOMEM);
	}
	return (left < 0 ? -1 : 0);
}

int
trace__decode_header(struct trace__decoder *d)
{
	struct trace_header *const h = d->header;
	int error = 0;

	if (more(d) < 0)
		return (-1);
	const unsigned groups = d->p < d->end ? *d->p++ : 0;
	if ((groups & H_CPUS) != 0)
		h->cpus = 1 + (uint32_t)header_below(d, TRACE_CPUS_MAX);
	if ((groups & H_THREADS) != 0)
		h->threads = 1 + (uint32_t)header_below(d, TRACE_THREADS_MAX);
	if ((groups & H_PAGES) != 0)
		h->pages = TRACE_PAGES_MIN +
		    (uint32_t)header_below(
			d, TRACE_PAGES_MAX - TRACE_PAGES_MIN + 1);
	trace__header_reserves(h);
	trace__header_thread_cpus(h);
	if ((groups & H_RESERVES) != 0) {
		h->reserve_system = (uint32_t)header_below(d, h->pages / 2 + 1);
		h->reserve_interrupt =
		    (uint32_t)header_below(d, h->reserve_system + 1);
	}
	if ((groups & H_OPTIONS) != 0) {
		h->slabs_keep = (uint32_t)header_below(d, TRACE__KEEP_MAX + 1);
		h->debug = (uint32_t)header_below(d, KA_DEBUG_ALL + 1);
	}
	if ((groups & H_PLACES) != 0)
		error = get_places(d, h);
	if (error == 0 && more(d) < 0)
		error = -1;
	if (error == 0 && (groups & H_SCHEDULE) != 0)
		get_schedule(d, h);
	if (error == 0 && (groups & H_INJECTION) != 0) {
		error = get_faults(d, h);
		if (error == 0 && more(d) < 0)
			error = -1;
		if (error == 0)
			error = get_deviations(d, h);
	}
	return (error);
}

/* The register `back` places before the last defined one, on the circle. */
static inline uint32_t
back_from_last(const struct trace__decoder *d, int class, uint64_t back)
{
	const uint32_t last = d->last[class];

	return (back <= last ? last - (uint32_t)back :
			       last + d->count[class] - (uint32_t)back);
}

static ALWAYS_INLINE uint64_t
get_use(const struct trace__decoder *d, struct window *w, int class)
{
	const uint32_t count = d->count[class];
	uint64_t value = get(w);

	if (value == 0 || count == 0)
		return (TRACE_NOREG);
	value--;
	if (__builtin_expect(value >= count, 0))
		value %= count;
	return (back_from_last(d, class, value));
}

static ALWAYS_INLINE uint32_t
get_definition(struct trace__decoder *d, struct window *w, int class)
{
	const uint32_t count = d->count[class];
	uint64_t back;

	if (__builtin_expect(count == TRACE_REGS_MAX, 0)) {
		back = get(w); /* no new one: 1 .. count only */
		back = back == 0 ? 0 : (back - 1) % count;
		d->last[class] = back_from_last(d, class, back);
		return (d->last[class]);
	}
	back = get_below(w, (uint64_t)count + 1);
	if (back == 0) {
		d->count[class] = count + 1;
		d->last[class] = count;
	} else {
		d->last[class] = back_from_last(d, class, back - 1);
	}
	return (d->last[class]);
}

/* A string's index as value, UINT32_MAX if out of memory. */
static __attribute__((noinline)) struct got
get_string(struct trace_header *h, const uint8_t *p, const uint8_t *end)
{
	char s[TRACE_STR_MAX];
	struct window w = { p, end, false };
	uint64_t value = get(&w);

	if (h->nstrs == TRACE__STRS_MAX)
		value = value == 0 ? 1 : 1 + (value - 1) % h->nstrs;
	else if (value > h->nstrs)
		value %= (uint64_t)h->nstrs + 1;
	if (value > 0)
		return ((struct got) { h->nstrs - value, w.p });
	uint8_t byte = w.p < end ? *w.p++ : 0;
	const size_t length = 1 + byte % TRACE_STR_MAX;
	for (size_t i = 0; i < length && i < TRACE_STR_MAX; i++) {
		byte = w.p < end ? *w.p++ : 0;
		if (byte < CHAR_LEAST || byte >= CHAR_LEAST + CHAR_COUNT)
			byte = (uint8_t)(CHAR_LEAST + byte % CHAR_COUNT);
		s[i] = (char)byte;
	}
	return ((struct got) { trace_str_intern(h, s, length), w.p });
}

/*
 * How a kind is decoded. Registers of all classes and numbers of all widths
 * share a case each, so that a decoder of mixed operations has few jumps that
 * are hard to predict.
 */
enum coding {
	CODE_NONE,
	CODE_NUMBER,
	CODE_REGISTER,
	CODE_STRING,
	CODE_SMALL
};

static const struct {
	enum coding coding;
	int class;     /* REGISTER */
	uint64_t mask; /* NUMBER: the bits that count */
} codings[TRACE_KIND_COUNT] = {
	[TRACE_K_NONE] = { CODE_NONE, -1, 0 },
	[TRACE_K_OBJ_USE] = { CODE_REGISTER, TRACE_OBJ, 0 },
	[TRACE_K_OBJ_MOD] = { CODE_REGISTER, TRACE_OBJ, 0 },
	[TRACE_K_OBJ_END] = { CODE_REGISTER, TRACE_OBJ, 0 },
	[TRACE_K_TYPE_USE] = { CODE_REGISTER, TRACE_TYPE, 0 },
	[TRACE_K_TYPE_MOD] = { CODE_REGISTER, TRACE_TYPE, 0 },
	[TRACE_K_TYPE_END] = { CODE_REGISTER, TRACE_TYPE, 0 },
	[TRACE_K_RUN_USE] = { CODE_REGISTER, TRACE_RUN, 0 },
	[TRACE_K_RUN_END] = { CODE_REGISTER, TRACE_RUN, 0 },
	[TRACE_K_SIZE] = { CODE_NUMBER, -1, UINT64_MAX },
	[TRACE_K_NUM] = { CODE_NUMBER, -1, UINT64_MAX },
	[TRACE_K_FLAGS] = { CODE_NUMBER, -1, TRACE__FLAGS_MASK },
	[TRACE_K_VMFLAGS] = { CODE_NUMBER, -1, TRACE__FLAGS_MASK },
	[TRACE_K_STR] = { CODE_STRING, -1, 0 },
	[TRACE_K_CPU] = { CODE_SMALL, -1, 0 },
	[TRACE_K_WILD] = { CODE_SMALL, -1, 0 },
	[TRACE_K_CACHE_USE] = { CODE_REGISTER, TRACE_CACHE, 0 },
	[TRACE_K_CACHE_MOD] = { CODE_REGISTER, TRACE_CACHE, 0 },
	[TRACE_K_CACHE_END] = { CODE_REGISTER, TRACE_CACHE, 0 },
	[TRACE_K_PIPE_USE] = { CODE_REGISTER, TRACE_PIPE, 0 },
	[TRACE_K_PIPE_MOD] = { CODE_REGISTER, TRACE_PIPE, 0 },
	[TRACE_K_PIPE_END] = { CODE_REGISTER, TRACE_PIPE, 0 },
	[TRACE_K_ZONE_USE] = { CODE_REGISTER, TRACE_ZONE, 0 },
	[TRACE_K_ZONE_MOD] = { CODE_REGISTER, TRACE_ZONE, 0 },
	[TRACE_K_ZONE_END] = { CODE_REGISTER, TRACE_ZONE, 0 },
	[TRACE_K_VMZONE_USE] = { CODE_REGISTER, TRACE_VMZONE, 0 },
	[TRACE_K_VMZONE_MOD] = { CODE_REGISTER, TRACE_VMZONE, 0 },
	[TRACE_K_VMZONE_END] = { CODE_REGISTER, TRACE_VMZONE, 0 },
	[TRACE_K_INT] = { CODE_NUMBER, -1, UINT32_MAX },
	[TRACE_K_MPFLAGS] = { CODE_NUMBER, -1, TRACE__FLAGS_MASK },
	[TRACE_K_UMAFLAGS] = { CODE_NUMBER, -1, TRACE__FLAGS_MASK },
	[TRACE_K_ZONEFLAGS] = { CODE_NUMBER, -1, TRACE__FLAGS_MASK },
	[TRACE_K_HOOKS] = { CODE_NUMBER, -1, TRACE__FLAGS_MASK },
	[TRACE_K_HOOK] = { CODE_SMALL, -1, 0 },
	[TRACE_K_ACTION] = { CODE_SMALL, -1, 0 },
	[TRACE_K_RECLAIM] = { CODE_SMALL, -1, 0 },
};

static ALWAYS_INLINE uint64_t
get_arg(const struct trace__decoder *d, struct window *w, enum trace_kind kind)
{
	struct got got;

	switch (codings[kind].coding) {
	case CODE_REGISTER:
		return (get_use(d, w, codings[kind].class));
	case CODE_NUMBER:
		return (get(w) & codings[kind].mask);
	case CODE_STRING:
		got = get_string(d->header, w->p, w->end);
		w->p = got.p;
		return (got.value);
	case CODE_SMALL:
		return (get_below(w,
		    kind == TRACE_K_CPU ? d->header->cpus :
					  trace__word_count(kind)));
	case CODE_NONE:
		break;
	}
	return (0);
}

#define GET_ARG(i, kind)                                                       \
	do {                                                                   \
		op->arg[i] = get_arg(d, w, TRACE_K_##kind);                    \
		if (TRACE_K_##kind == TRACE_K_STR && op->arg[i] == UINT32_MAX) \
			return (false);                                        \
	} while (0)

/*
 * Arguments and the register defined; false if out of memory. A case for each
 * row of the table, so that how an operation is decoded is one jump and no
 * look-up.
 */
static ALWAYS_INLINE bool
get_args(struct trace__decoder *d, struct window *w, struct trace_op *op)
{
	switch (op->code) {
#define OP(id, opname, opgroup, opout, a0, a1, a2, a3, a4, a5, ophelp)         \
	case TRACE_OP_##id:                                                    \
		GET_ARG(0, a0);                                                \
		GET_ARG(1, a1);                                                \
		GET_ARG(2, a2);                                                \
		GET_ARG(3, a3);                                                \
		GET_ARG(4, a4);                                                \
		GET_ARG(5, a5);                                                \
		op->out = OUT_##opout == OUT_NONE ?                            \
		    TRACE_NOREG :                                              \
		    get_definition(d, w, OUT_##opout);                         \
		break;
#include "ops.def"
#undef OP
	default:
		__builtin_unreachable();
	}
	return (true);
}

static ALWAYS_INLINE int
decode_op(struct trace__decoder *d, struct trace_op *op, bool whole)
{
	struct window w = { d->p, d->end, whole };
	const unsigned byte = *w.p++;
	unsigned code = byte & ~THREAD_BIT;
	if (__builtin_expect(code >= TRACE_OP_COUNT, 0))
		code %= TRACE_OP_COUNT;
	if ((byte & THREAD_BIT) != 0)
		d->thread = (uint16_t)get_below(&w, d->header->threads);
	op->code = (uint16_t)code;
	op->thread = d->thread;
	if (__builtin_expect(!get_args(d, &w, op), 0))
		return (-2);
	op->line = ++d->nops;
	d->p = w.p;
	return (1);
}

/* Of all operations but a file's last few the bytes are there to the end, and
 * need not be counted one by one. */
int
trace__decode_op(struct trace__decoder *d, struct trace_op *op)
{
	const int left = more(d);

	if (__builtin_expect(left <= 0, 0))
		return (left);
	if ((size_t)(d->end - d->p) >= (size_t)TRACE__OP_BYTES_MAX)
		return (decode_op(d, op, true));
	return (decode_op(d, op, false));
}

static size_t
put(uint8_t *p, uint64_t value)
{
	size_t n = 0;

	while (value >= 0x80) {
		p[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	p[n++] = (uint8_t)value;
	return (n);
}

/* Is every thread on the CPU thread % cpus? */
static bool
places_are_default(const struct trace_header *h)
{
	for (uint32_t t = 0; t < h->threads && t < h->cpus; t++)
		if (h->thread_cpu[t] != t)
			return (false);
	return (h->threads <= h->cpus ||
	    memcmp(&h->thread_cpu[h->cpus], h->thread_cpu,
		(h->threads - h->cpus) * sizeof(*h->thread_cpu)) == 0);
}

/* How many are not. */
static unsigned
places_count(const struct trace_header *h)
{
	uint32_t cpu = 0;
	unsigned n = 0;

	for (uint32_t t = 0; t < h->threads; t++) {
		n += h->thread_cpu[t] != cpu;
		if (++cpu == h->cpus)
			cpu = 0;
	}
	return (n);
}

static bool
reserves_are_default(const struct trace_header *h)
{
	struct trace_header defaults;

	defaults.pages = h->pages;
	trace__header_reserves(&defaults);
	return (h->reserve_system == defaults.reserve_system &&
	    h->reserve_interrupt == defaults.reserve_interrupt);
}

static unsigned
header_groups(const struct trace_header *h)
{
	unsigned groups = 0;

	if (h->cpus != 1)
		groups |= H_CPUS;
	if (h->threads != 1)
		groups |= H_THREADS;
	if (h->pages != TRACE__PAGES_DEFAULT)
		groups |= H_PAGES;
	if (!reserves_are_default(h))
		groups |= H_RESERVES;
	if (h->slabs_keep != TRACE__KEEP_DEFAULT || h->debug != 0)
		groups |= H_OPTIONS;
	if (!places_are_default(h))
		groups |= H_PLACES;
	if (h->sched != TRACE_SCHED_RECORDED || h->memory != TRACE_MEMORY_SC ||
	    h->may != 0)
		groups |= H_SCHEDULE;
	if (h->nfaults > 0 || h->ndeviations > 0)
		groups |= H_INJECTION;
	return (groups);
}

static int
put_fault(const struct trace_fault *f, struct trace__bytes *b)
{
	uint8_t buf[4 * VARINT_MAX];
	size_t n = put(buf, f->mode);

	if (f->mode == TRACE_FAULT_PROB) {
		n += put(buf + n, f->den - 1);
		n += put(buf + n, f->num - 1);
		n += put(buf + n, f->seed);
	} else {
		n += put(buf + n, f->k - 1);
	}
	return (trace__bytes_append(b, buf, n));
}

static int
put_injection(const struct trace_header *h, struct trace__bytes *b)
{
	struct trace_deviation before = { 0 };
	uint8_t buf[5 * VARINT_MAX];
	int error = trace__bytes_append(b, buf, put(buf, h->nfaults));

	for (uint32_t i = 0; i < h->nfaults && error == 0; i++)
		error = put_fault(&h->fault[i], b);
	if (error == 0)
		error = trace__bytes_append(b, buf, put(buf, h->ndeviations));
	for (uint32_t i = 0; i < h->ndeviations && error == 0; i++) {
		const struct trace_deviation v = h->deviation[i];
		const uint32_t step =
		    dense(h, v.thread) - dense(h, before.thread);
		const uint32_t op = step == 0 ? before.op : 0;
		const bool same = i > 0 && step == 0 && v.op == op;
		size_t n = put(buf, step);

		n += put(buf + n, v.op - op);
		n += put(buf + n, same ? v.point - before.point - 1 : v.point);
		n += put(buf + n, v.what);
		if (trace_deviate_has_number(v.what))
			n += put(buf + n, v.n);
		error = trace__bytes_append(b, buf, n);
		before = v;
	}
	return (error);
}

static int
put_places(const struct trace_header *h, struct trace__bytes *b)
{
	uint8_t buf[2 * VARINT_MAX];
	int error = trace__bytes_append(b, buf, put(buf, places_count(h)));

	for (uint32_t t = 0, cpu = 0; t < h->threads && error == 0; t++) {
		const bool same = h->thread_cpu[t] == cpu;

		if (++cpu == h->cpus)
			cpu = 0;
		if (same)
			continue;
		size_t n = put(buf, t);
		n += put(buf + n, h->thread_cpu[t]);
		error = trace__bytes_append(b, buf, n);
	}
	return (error);
}

int
trace__encode_header(const struct trace_header *h, struct trace__bytes *b)
{
	const unsigned groups = header_groups(h);
	uint8_t buf[1 + 8 * VARINT_MAX];
	size_t n = 0;
	int error;

	TRACE__ASSERT(trace__header_check(h) == NULL);
	buf[n++] = (uint8_t)groups;
	if ((groups & H_CPUS) != 0)
		n += put(buf + n, h->cpus - 1);
	if ((groups & H_THREADS) != 0)
		n += put(buf + n, h->threads - 1);
	if ((groups & H_PAGES) != 0)
		n += put(buf + n, h->pages - TRACE_PAGES_MIN);
	if ((groups & H_RESERVES) != 0) {
		n += put(buf + n, h->reserve_system);
		n += put(buf + n, h->reserve_interrupt);
	}
	if ((groups & H_OPTIONS) != 0) {
		n += put(buf + n, h->slabs_keep);
		n += put(buf + n, h->debug);
	}
	error = trace__bytes_append(b, buf, n);
	if (error == 0 && (groups & H_PLACES) != 0)
		error = put_places(h, b);
	if (error == 0 && (groups & H_SCHEDULE) != 0) {
		n = put(buf,
		    h->sched +
			TRACE_SCHED_MODE_COUNT *
			    (h->memory + TRACE_MEMORY_COUNT * h->may));
		if (h->sched != TRACE_SCHED_RECORDED)
			n += put(buf + n, h->sched_seed);
		if (trace__sched_has_n(h->sched))
			n += put(buf + n, h->sticky - 1);
		error = trace__bytes_append(b, buf, n);
	}
	if (error == 0 && (groups & H_INJECTION) != 0)
		error = put_injection(h, b);
	return (error);
}

/* Places from the last defined register back to this one, on the circle. */
static uint64_t
distance_back(const struct trace__encoder *e, int class, uint32_t reg)
{
	const uint32_t last = e->last[class];

	TRACE__ASSERT(reg < e->count[class]);
	return (reg <= last ? last - reg : last + e->count[class] - reg);
}

static int
strmap_grow(struct trace__encoder *e, uint64_t index)
{
	uint32_t cap = e->strmap_cap == 0 ? 16 : e->strmap_cap;

	while (cap <= index)
		cap *= 2;
	uint32_t *map = realloc(e->strmap, cap * sizeof(*map));
	if (map == NULL)
		return (ENOMEM);
	memset(map + e->strmap_cap, 0, (cap - e->strmap_cap) * sizeof(*map));
	e->strmap = map;
	e->strmap_cap = cap;
	return (0);
}

/* Bytes, or 0 if out of memory. */
static size_t
put_string(struct trace__encoder *e, uint64_t index, uint8_t *p)
{
	if (e->ordered) {
		if (index < e->nstrs)
			return (put(p, e->nstrs - index));
		TRACE__ASSERT(index == e->nstrs);
		e->nstrs++;
	} else {
		if (index >= e->strmap_cap && strmap_grow(e, index) != 0)
			return (0);
		if (e->strmap[index] != 0)
			return (put(p, e->nstrs + 1 - e->strmap[index]));
		e->strmap[index] = ++e->nstrs;
	}
	const char *s = trace_str(e->header, index);
	const size_t length = strlen(s);
	TRACE__ASSERT(length >= 1);
	TRACE__ASSERT(length <= TRACE_STR_MAX);
	size_t n = put(p, 0);
	p[n++] = (uint8_t)(length - 1);
	memcpy(p + n, s, length);
	return (n + length);
}

size_t
trace__encode_op(struct trace__encoder *e, const struct trace_op *op,
    uint8_t buf[TRACE__OP_BYTES_MAX])
{
	const struct trace_opdef *const def = &trace_ops[op->code];
	const bool is_new = def->out >= 0 && op->out == e->count[def->out];
	size_t n = 0;

	buf[n++] =
	    (uint8_t)(op->code | (op->thread != e->thread ? THREAD_BIT : 0));
	if (op->thread != e->thread)
		n += put(buf + n, op->thread);
	e->thread = op->thread;
	for (unsigned i = 0; i < def->nargs; i++) {
		const int class = trace_kind_class(def->arg[i]);
		size_t size;

		if (def->arg[i] == TRACE_K_STR)
			size = put_string(e, op->arg[i], buf + n);
		else if (class < 0)
			size = put(buf + n, op->arg[i]);
		else if (op->arg[i] == TRACE_NOREG)
			size = put(buf + n, 0);
		else
			size = put(buf + n,
			    1 + distance_back(e, class, (uint32_t)op->arg[i]));
		if (size == 0)
			return (0);
		n += size;
	}
	if (def->out >= 0) {
		n += put(buf + n,
		    is_new ? 0 : 1 + distance_back(e, def->out, op->out));
		e->count[def->out] += is_new;
		e->last[def->out] = op->out;
	}
	TRACE__ASSERT(n <= TRACE__OP_BYTES_MAX);
	return (n);
}

void
trace__encoder_fini(struct trace__encoder *e)
{
	free(e->strmap);
	*e = (struct trace__encoder) { 0 };
}
