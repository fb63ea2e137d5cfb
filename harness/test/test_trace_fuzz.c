/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: what kalab-trace(5) promises of every input and every trace, not only
 * of examples. Method: a deterministic generator (KALAB_SEED changes the seed,
 * KALAB_ROUNDS multiplies the work) makes bytes, traces, and damaged traces.
 *
 *   P1  every payload decodes to a valid trace, of at most as many operations
 *       as bytes
 *   P2  decode(encode(t)) is t, and so is parse(print(t)) and the container
 *   P3  print(parse(print(t))) is print(t), byte by byte
 *   P4  damaged text or containers end clean or with an error that has a place
 *   P5  a container that is cut or has a bit flipped is never another trace
 *   P6  canonicalize makes a valid trace of anything and changes nothing that
 *       is canonical
 *   P7  who decodes and encodes often, with memory that is used again, gets
 *       what who does it once gets
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "trace/trace_int.h"
#include "trace_test.h"

#define BYTES_MAX 2048u
#define OPS_MAX	  200u

static uint64_t seed = 1, random_state;
static unsigned rounds = 1;

/* SplitMix64. */
static uint64_t
draw(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31);
}

static uint64_t
below(uint64_t n)
{
	return (draw() % n);
}

/* Any magnitude is as likely as any other. */
static uint64_t
any_number(void)
{
	const uint64_t bits = below(65);

	return (bits == 0 ? 0 : draw() >> (64 - bits));
}

static int
seed_tests(void **state)
{
	const char *s = getenv("KALAB_SEED"), *n = getenv("KALAB_ROUNDS");

	(void)state;
	if (s != NULL)
		seed = strtoull(s, NULL, 0);
	if (n != NULL)
		rounds = (unsigned)strtoul(n, NULL, 0);
	print_message("KALAB_SEED=%llu KALAB_ROUNDS=%u\n",
	    (unsigned long long)seed, rounds);
	return (0);
}

static int
seed_test(void **state)
{
	(void)state;
	random_state = seed;
	return (0);
}

/* Bytes of one of several tempers: even, small, all ones, repeating. */
static size_t
random_bytes(uint8_t *bytes, size_t max)
{
	const size_t size = below(below(8) == 0 ? max + 1 : max / 16);
	const uint64_t temper = below(5);

	for (size_t i = 0; i < size; i++) {
		switch (temper) {
		case 0:
			bytes[i] = (uint8_t)below(4);
			break;
		case 1:
			bytes[i] = (uint8_t)below(TRACE_OP_COUNT);
			break;
		case 2:
			bytes[i] = below(4) == 0 ? 0xff : (uint8_t)draw();
			break;
		case 3:
			bytes[i] = i >= 4 && below(2) != 0 ? bytes[i - 4] :
							     (uint8_t)draw();
			break;
		default:
			bytes[i] = (uint8_t)draw();
			break;
		}
	}
	return (size);
}

static void
random_header(struct trace_header *h)
{
	h->cpus = 1 + (uint32_t)below(below(2) == 0 ? 4 : TRACE_CPUS_MAX);
	h->threads = 1 + (uint32_t)below(below(2) == 0 ? 4 : TRACE_THREADS_MAX);
	h->pages = TRACE_PAGES_MIN +
	    (uint32_t)below(TRACE_PAGES_MAX - TRACE_PAGES_MIN + 1);
	h->reserve_system = (uint32_t)below(h->pages / 2 + 1);
	h->reserve_interrupt = (uint32_t)below(h->reserve_system + 1);
	h->slabs_keep = (uint32_t)below(256);
	h->debug = (uint32_t)below(8);
	h->sched = (enum trace_sched_mode)below(TRACE_SCHED_MODE_COUNT);
	if (h->sched != TRACE_SCHED_RECORDED)
		h->sched_seed = any_number();
	if (h->sched == TRACE_SCHED_STICKY || h->sched == TRACE_SCHED_PCT)
		h->sticky = 1 + (uint32_t)below(1024);
	h->memory = (enum trace_memory)below(TRACE_MEMORY_COUNT);
	h->may = (uint32_t)below(TRACE_MAY_ALL + 1);
	for (uint32_t t = 0; t < TRACE_THREADS_MAX; t++)
		h->thread_cpu[t] =
		    (uint16_t)(below(3) == 0 ? below(h->cpus) : t % h->cpus);
	h->nfaults = (uint32_t)below(TRACE_FAULTS_MAX + 1);
	for (uint32_t i = 0; i < h->nfaults; i++) {
		struct trace_fault *f = &h->fault[i];

		f->mode = (enum trace_fault_mode)below(TRACE_FAULT_MODE_COUNT);
		if (f->mode == TRACE_FAULT_PROB) {
			f->den = 1 + (uint32_t)below(65536);
			f->num = 1 + (uint32_t)below(f->den);
			f->seed = any_number();
		} else {
			f->k = any_number();
			f->k += f->k == 0;
		}
	}
}

static void
random_deviations(struct trace_header *h)
{
	const uint32_t n = (uint32_t)below(below(2) == 0 ? 4 : 200);
	uint32_t thread = 0, kept = 0;
	uint64_t op = 0, point = 0;

	if (n == 0)
		return;
	h->deviation = calloc(n, sizeof(*h->deviation));
	assert_non_null(h->deviation);
	for (; kept < n; kept++) {
		if (below(8) == 0 && thread + 1 < h->threads) {
			thread += 1 + (uint32_t)below(h->threads - thread - 1);
			op = point = 0;
		}
		if (below(2) == 0) {
			op += 1 + (any_number() >> (40 + below(24)));
			point = 0;
		}
		point += any_number() >> (32 + below(24));
		if (point > UINT32_MAX || op > UINT32_MAX)
			break;
		h->deviation[kept] = (struct trace_deviation) { thread,
			(uint32_t)op, (uint32_t)point,
			(enum trace_deviate)below(TRACE_DEVIATE_COUNT), 0 };
		if (trace_deviate_has_number(h->deviation[kept].what))
			h->deviation[kept].n = (uint32_t)any_number() & 0xffff;
		point++;
	}
	h->ndeviations = kept;
	if (kept == 0) {
		free(h->deviation);
		h->deviation = NULL;
	}
}

static uint64_t
random_arg(struct trace_header *h, enum trace_kind kind, const uint32_t *count)
{
	const int class = trace_kind_class(kind);
	char s[TRACE_STR_MAX];

	if (class >= 0)
		return (count[class] == 0 || below(16) == 0 ?
			TRACE_NOREG :
			below(count[class]));
	if (trace_test_is_flags(kind))
		return (any_number() & 0xffff);
	if (trace_test_words(kind) != 0)
		return (below(trace_test_words(kind)));
	switch (kind) {
	case TRACE_K_INT:
		return (any_number() & UINT32_MAX);
	case TRACE_K_CPU:
		return (below(h->cpus));
	case TRACE_K_STR:
		for (unsigned i = 0; i < sizeof(s); i++)
			s[i] = (char)(below(4) == 0 ?
				'"' + below(2) * ('\\' - '"') :
				0x20 + below(95));
		return (trace_str_intern(
		    h, s, 1 + below(below(2) == 0 ? 1 : sizeof(s))));
	case TRACE_K_NONE:
		return (0);
	default:
		return (any_number());
	}
}

/* A canonical trace by the rules of trace.h, not by way of the decoder. */
static void
random_trace(struct trace *ret_t)
{
	uint32_t count[TRACE_CLASS_COUNT] = { 0 };
	const size_t nops = below(OPS_MAX);

	trace_init(ret_t);
	if (below(4) != 0) {
		random_header(&ret_t->header);
		random_deviations(&ret_t->header);
	}
	for (size_t i = 0; i < nops; i++) {
		struct trace_op op = { .out = TRACE_NOREG };

		op.code = (uint16_t)below(TRACE_OP_COUNT);
		op.thread = (uint16_t)below(ret_t->header.threads);
		const struct trace_opdef *def = &trace_ops[op.code];
		for (unsigned j = 0; j < def->nargs; j++)
			op.arg[j] =
			    random_arg(&ret_t->header, def->arg[j], count);
		if (def->out >= 0) {
			op.out = (uint32_t)below((uint64_t)count[def->out] + 1);
			count[def->out] += op.out == count[def->out];
		}
		assert_int_equal(trace_append(ret_t, &op), 0);
	}
}

/* P2 and P3 for one trace. */
static void
assert_survives(const struct trace *t)
{
	struct trace again;
	struct trace_error error;
	char line[600];
	size_t size, size_again;
	uint8_t *payload;

	assert_int_equal(trace_encode(t, &payload, &size), 0);
	trace_test_decode(payload, size, &again);
	assert_true(trace_test_equal(t, &again));
	trace_fini(&again);
	free(payload);
	for (int form = TRACE_TEXT; form <= TRACE_BINARY; form++) {
		char *bytes = trace_test_bytes(t, (enum trace_form)form, &size);

		if (trace_test_parse(bytes, size, &again, &error) != 0) {
			trace_error_format(&error, line, sizeof(line));
			fail_msg("%s in:\n%s", line, bytes);
		}
		assert_true(trace_test_equal(t, &again));
		char *bytes_again = trace_test_bytes(
		    &again, (enum trace_form)form, &size_again);
		assert_int_equal(size, size_again);
		assert_memory_equal(bytes, bytes_again, size);
		free(bytes_again);
		free(bytes);
		trace_fini(&again);
	}
}

static void
every_payload_is_a_trace(void **state)
{
	uint8_t bytes[BYTES_MAX];

	(void)state;
	for (unsigned i = 0; i < 3000 * rounds; i++) {
		const size_t size = random_bytes(bytes, sizeof(bytes));
		struct trace t;

		trace_test_decode(bytes, size, &t);
		assert_true(t.nops <= size);
		trace_test_assert_valid(&t);
		assert_survives(&t);
		trace_fini(&t);
	}
}

static void
every_short_payload_is_a_trace(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1u << 16; i++) {
		const uint8_t bytes[2] = { (uint8_t)i, (uint8_t)(i >> 8) };
		struct trace t;

		trace_test_decode(bytes, 1 + (i >= 256), &t);
		trace_test_assert_valid(&t);
		if (i % 64 == 0)
			assert_survives(&t);
		trace_fini(&t);
	}
}

static void
every_trace_survives(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2000 * rounds; i++) {
		struct trace t;

		random_trace(&t);
		trace_test_assert_valid(&t);
		assert_survives(&t);
		trace_fini(&t);
	}
}

/* P4: reads all of it; the outcome is clean or an error with a place. */
static void
assert_ends_well(const void *bytes, size_t size)
{
	struct trace_error error;
	struct trace t;

	memset(&error, 0, sizeof(error));
	if (trace_test_parse(bytes, size, &t, &error) == 0) {
		trace_test_assert_valid(&t);
		trace_fini(&t);
		return;
	}
	assert_string_equal(error.file, "test");
	assert_true(strlen(error.what) > 0);
	if (error.line > 0) {
		assert_in_range(error.column, 1, 4097);
		return;
	}
	/* An offset in the container, or a source that is empty. */
	if (error.column > size)
		assert_string_equal(error.what, "is empty, expected a trace");
}

static size_t
damage(char *bytes, size_t size, size_t cap)
{
	static const char *const splices[] = { "\n", " ", "\"", "#", "=", "|",
		"0", "p1", "null", "\\", "18446744073709551615", "cpus 3\n",
		"thread 1 cpu 0\n", "0 quiesce\n", "\x80", "\t", "ZERO" };
	const uint64_t times = 1 + below(4);

	for (uint64_t i = 0; i < times && size > 0; i++) {
		const size_t at = below(size);
		const char *splice =
		    splices[below(sizeof(splices) / sizeof(splices[0]))];
		const size_t len = strlen(splice);
		const size_t cut = 1 + below(size - at);

		switch (below(5)) {
		case 0:
			bytes[at] = (char)draw();
			break;
		case 1:
			bytes[at] ^= (char)(1u << below(8));
			break;
		case 2:
			memmove(bytes + at, bytes + at + cut, size - at - cut);
			size -= cut;
			break;
		case 3:
			size = at;
			break;
		default:
			if (size + len > cap)
				break;
			memmove(bytes + at + len, bytes + at, size - at);
			memcpy(bytes + at, splice, len);
			size += len;
			break;
		}
	}
	return (size);
}

static void
damaged_traces_end_well(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1500 * rounds; i++) {
		struct trace t;
		size_t size;

		random_trace(&t);
		char *bytes = trace_test_bytes(
		    &t, below(3) == 0 ? TRACE_BINARY : TRACE_TEXT, &size);
		const size_t cap = size + 256;
		char *copy = malloc(cap);
		assert_non_null(copy);
		for (unsigned j = 0; j < 4; j++) {
			memcpy(copy, bytes, size);
			const size_t damaged = damage(copy, size, cap);
			/* Exactly sized, for the sanitizer to see. */
			char *exact = malloc(damaged > 0 ? damaged : 1);
			assert_non_null(exact);
			memcpy(exact, copy, damaged);
			assert_ends_well(exact, damaged);
			free(exact);
		}
		free(copy);
		free(bytes);
		trace_fini(&t);
	}
}

static void
any_bytes_end_well(void **state)
{
	static const char *const starts[] = { "", "kalab-trace 1\n",
		"kalab-trace 1\n0 ",
		"kalab-trace 1\nthreads 9\n0 p0 = kmalloc ",
		"\x89KAL\r\n\x1a\n", "\x89KAL\r\n\x1a\n\1\0\0\0\5",
		"\3757zXZ" };
	uint8_t bytes[BYTES_MAX + 64];

	(void)state;
	for (unsigned i = 0; i < 10000 * rounds; i++) {
		const unsigned which =
		    (unsigned)below(sizeof(starts) / sizeof(starts[0]));
		const size_t head = which == 5 ? 13 : strlen(starts[which]);

		memcpy(bytes, starts[which], head);
		assert_ends_well(
		    bytes, head + random_bytes(bytes + head, BYTES_MAX));
	}
}

/* A container of several blocks' worth of damage; small, but all of it. */
static void
damaged_containers_are_never_other_traces(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8 * rounds; i++) {
		struct trace_error error;
		struct trace t, other;
		size_t size;

		do {
			random_trace(&t);
			if (t.nops <= 20)
				break;
			trace_fini(&t);
		} while (true);
		char *bytes = trace_test_bytes(&t, TRACE_BINARY, &size);
		for (size_t cut = 0; cut < size; cut++) {
			if (trace_test_parse(bytes, cut, &other, &error) == 0)
				fail_msg("cut at %zu is not noticed", cut);
			assert_true(cut == 0 || error.column <= cut);
		}
		for (size_t bit = 0; bit < 8 * size; bit++) {
			bytes[bit / 8] ^= (char)(1u << bit % 8);
			if (trace_test_parse(bytes, size, &other, &error) == 0)
				fail_msg("bit %zu is not noticed", bit);
			bytes[bit / 8] ^= (char)(1u << bit % 8);
		}
		free(bytes);
		trace_fini(&t);
	}
}

static void
canonicalize_makes_anything_valid(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2000 * rounds; i++) {
		struct trace t, before;

		random_trace(&t);
		uint8_t *payload;
		size_t size;
		assert_int_equal(trace_encode(&t, &payload, &size), 0);
		trace_test_decode(payload, size, &before);
		free(payload);
		assert_int_equal(trace_canonicalize(&t), 0);
		assert_true(trace_test_equal(&t, &before));
		trace_fini(&before);
		/* Drop and spoil some. */
		size_t kept = 0;
		for (size_t j = 0; j < t.nops; j++) {
			if (below(5) == 0)
				continue;
			t.op[kept] = t.op[j];
			if (below(8) == 0)
				t.op[kept].arg[below(TRACE_ARGS_MAX)] =
				    any_number();
			if (below(16) == 0)
				t.op[kept].out = (uint32_t)any_number();
			if (below(32) == 0)
				t.op[kept].code = (uint16_t)any_number();
			if (below(32) == 0)
				t.op[kept].thread = (uint16_t)any_number();
			kept++;
		}
		t.nops = kept;
		t.header.cpus = (uint32_t)any_number();
		t.header.pages = (uint32_t)any_number();
		t.header.threads = (uint32_t)below(300);
		const size_t dropped = trace_canonicalize(&t);
		assert_int_equal(dropped + t.nops, kept);
		trace_test_assert_valid(&t);
		assert_survives(&t);
		trace_fini(&t);
	}
}

/* What is spoilt loses strings, and others change places. */
static void
memory_used_again_is_as_new(void **state)
{
	struct trace__bytes bytes = { 0 };
	uint8_t any[BYTES_MAX], *payload;
	struct trace t, once;
	size_t size;

	(void)state;
	trace_init(&t);
	for (unsigned i = 0; i < 2000 * rounds; i++) {
		size = random_bytes(any, sizeof(any));
		trace_test_decode(any, size, &once);
		assert_int_equal(trace__decode(&t, any, size), 0);
		for (size_t kept = 0; kept < once.nops; kept++)
			assert_int_equal(t.op[kept].line, once.op[kept].line);
		assert_true(trace_test_equal(&t, &once));
		for (size_t j = 0; j < t.nops; j++) {
			const size_t from = below(t.nops);

			if (below(3) == 0)
				t.op[j] = once.op[j] = once.op[from];
		}
		assert_int_equal(
		    trace_canonicalize(&t), trace_canonicalize(&once));
		assert_true(trace_test_equal(&t, &once));
		trace_test_assert_valid(&t);
		assert_int_equal(trace_encode(&once, &payload, &size), 0);
		assert_int_equal(trace__encode_canonical(&t, &bytes), 0);
		assert_int_equal(bytes.size, size);
		assert_memory_equal(bytes.at, payload, size);
		free(payload);
		trace_fini(&once);
	}
	trace__bytes_fini(&bytes);
	trace_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_payload_is_a_trace, seed_test),
		cmocka_unit_test_setup(
		    every_short_payload_is_a_trace, seed_test),
		cmocka_unit_test_setup(every_trace_survives, seed_test),
		cmocka_unit_test_setup(damaged_traces_end_well, seed_test),
		cmocka_unit_test_setup(any_bytes_end_well, seed_test),
		cmocka_unit_test_setup(
		    damaged_containers_are_never_other_traces, seed_test),
		cmocka_unit_test_setup(
		    canonicalize_makes_anything_valid, seed_test),
		cmocka_unit_test_setup(memory_used_again_is_as_new, seed_test),
	};

	return (
	    cmocka_run_group_tests_name("trace_fuzz", tests, seed_tests, NULL));
}
