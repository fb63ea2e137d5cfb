/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the trace language share: traces to bytes and back, and
 * comparing them. Include after cmocka.h.
 */
#ifndef KALAB_TRACE_TEST_H
#define KALAB_TRACE_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/trace_int.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Every operation, header line, kind of wild pointer; canonical. */
static const char all_ops[] __attribute__((unused)) =
    "kalab-trace 1\n"
    "cpus 2\n"
    "threads 3\n"
    "pages 256\n"
    "reserve 32 8\n"
    "keep 5\n"
    "debug redzone|audit\n"
    "schedule sticky 8 17\n"
    "memory tso\n"
    "may migrate|wake\n"
    "fault page once 3\n"
    "fault page from 0xffffffffffffffff\n"
    "fault page prob 1/64 17\n"
    "thread 0 cpu 1\n"
    "thread 2 cpu 1\n"
    "deviate 0 5 1 run 2\n"
    "deviate 0 4294967295 4294967295 delay\n"
    "deviate 2 0 4294967295 insert 65535\n"
    "deviate 263 0 1 solo\n"
    "0 m0 = kmalloc_create \"temp\"\n"
    "0 m1 = malloc_init \"a \\\"quoted\\\" \\\\ # name\"\n"
    "1 p0 = kmalloc 0xffffffffffffffff m0 WAITOK|ZERO\n"
    "1 p1 = kmalloc_cachealign 64 m1 NOWAIT\n"
    "2 p2 = kmalloc_powerof2 65 m1 INTWAIT|POWEROF2|0x8\n"
    "2 kfree p0 m0\n"
    "0 kfree null null\n"
    "0 krealloc p1 4294967295 m1 0\n"
    "0 krealloc p1 0x100000000 m1 0x8000\n"
    "0 p0 = kstrdup \"temp\" m0\n"
    "0 p3 = kstrndup \"other\" 3 m0\n"
    "0 kmalloc_usable_size p3\n"
    "0 kmalloc_limit m0\n"
    "0 kmalloc_raise_limit m0 1048576\n"
    "0 kmalloc_set_unlimited m1\n"
    "1 kmalloc_trim\n"
    "1 kfree_interior p3 8 m0\n"
    "1 kfree_wild null m0\n"
    "1 kfree_wild stack m0\n"
    "1 kfree_wild static m0\n"
    "1 kfree_wild unmapped m0\n"
    "1 kfree_wild page m0\n"
    "1 kfree_wild high m0\n"
    "2 g0 = vm_page_alloc 4 65536 SYSTEM|ZERO\n"
    "2 vm_page_free g0\n"
    "2 migrate 1\n"
    "2 thread_exit\n"
    "0 kmalloc_destroy m0\n"
    "0 malloc_uninit m1\n"
    "0 m0 = kmalloc_create \"again\"\n"
    "0 c0 = objcache_create \"cache\" m0 96 40 -1 ctor|dtor\n"
    "1 p0 = objcache_get c0 NOWAIT\n"
    "1 objcache_put c0 p0\n"
    "1 objcache_dtor c0 null\n"
    "0 objcache_reclaimlist c0 null WAITOK\n"
    "0 objcache_set_cluster_limit c0 -2147483648\n"
    "0 objcache_hook c0 alloc refuse 3 2\n"
    "0 objcache_destroy c0\n"
    "0 q0 = mpipe_init m0 512 4 2147483647 NOZERO|CALLBACK ctor\n"
    "0 p0 = mpipe_alloc_nowait q0\n"
    "1 p1 = mpipe_alloc_waitok q0\n"
    "1 p2 = mpipe_alloc_callback q0\n"
    "1 mpipe_wait q0\n"
    "1 mpipe_free q0 p1\n"
    "1 mpipe_hook q0 callback self 1 4294967295\n"
    "0 mpipe_done q0\n"
    "0 z0 = uma_zcreate \"zone\" 64 7 ctor|init|maxaction NOFREE\n"
    "0 z1 = uma_zsecond_create \"second\" z0 dtor|fini\n"
    "0 z2 = uma_zcache_create \"tokens\" 8 100 0 NOBUCKET\n"
    "0 z3 = uma_zcreate_static \"early\" 40 7 ctor 0 12\n"
    "0 uma_zone_set_source z3\n"
    "0 c1 = objcache_create_zone \"over\" z1 16 4 ctor|dtor|zero\n"
    "1 p0 = uma_zalloc z0 WAITOK|ZERO\n"
    "1 p1 = uma_zalloc_arg z1 NOWAIT 77\n"
    "1 uma_zfree z0 p0\n"
    "1 uma_zfree_arg z1 p1 78\n"
    "1 uma_zfree_interior z0 p2 4\n"
    "1 uma_zfree_wild z0 page\n"
    "0 uma_zone_set_max z0 17\n"
    "0 uma_zone_get_max z0\n"
    "0 uma_zone_get_cur z0\n"
    "0 uma_zone_set_maxcache z0 0\n"
    "0 uma_prealloc z0 9\n"
    "0 uma_zone_reserve z0 3\n"
    "0 uma_zone_reclaim z0 drain_cpu\n"
    "0 uma_reclaim trim\n"
    "0 uma_hook z0 ctor kmalloc 1 2\n"
    "0 uma_zdestroy z1\n"
    "0 b0 = zbootinit \"boot\" 40 16\n"
    "0 b1 = zinit \"zinit\" 96 200 INTERRUPT|PANICFAIL\n"
    "0 zinitna b0 \"boot\" 50 USE_RESERVE\n"
    "1 p0 = zalloc b0\n"
    "1 zfree b0 p0\n"
    "0 zdestroy b1\n"
    "0 quiesce\n";

/* A trace as a file of this form, in memory to be freed. */
static inline char *
trace_test_bytes(const struct trace *t, enum trace_form form, size_t *ret_size)
{
	struct trace_error error;
	struct trace_writer *w;
	char *bytes;
	FILE *fp = open_memstream(&bytes, ret_size);

	assert_non_null(fp);
	assert_int_equal(
	    trace_writer_open_stream(&w, fp, form, &t->header, &error), 0);
	for (size_t i = 0; i < t->nops; i++)
		assert_int_equal(trace_writer_op(w, &t->op[i]), 0);
	assert_int_equal(trace_writer_close(w, &error), 0);
	assert_int_equal(fclose(fp), 0);
	return (bytes);
}

/* A trace from a file's bytes: 0, or -1 and *ret_error. */
static inline int
trace_test_parse(const void *bytes, size_t size, struct trace *ret_t,
    struct trace_error *ret_error)
{
	struct trace_reader *r;

	if (trace_reader_open_mem(&r, "test", bytes, size, ret_error) != 0)
		return (-1);
	const int error = trace_load(ret_t, r, ret_error);
	trace_reader_close(r);
	return (error);
}

/* A trace from a payload; cannot fail. */
static inline void
trace_test_decode(const void *bytes, size_t size, struct trace *ret_t)
{
	struct trace_error error;
	struct trace_reader *r;

	assert_int_equal(trace_reader_open_payload(&r, bytes, size, &error), 0);
	assert_int_equal(trace_load(ret_t, r, &error), 0);
	trace_reader_close(r);
}

static inline bool
trace_test_headers_equal(
    const struct trace_header *a, const struct trace_header *b)
{
	if (a->cpus != b->cpus || a->threads != b->threads ||
	    a->pages != b->pages || a->reserve_system != b->reserve_system ||
	    a->reserve_interrupt != b->reserve_interrupt ||
	    a->slabs_keep != b->slabs_keep || a->debug != b->debug ||
	    a->sched != b->sched || a->sched_seed != b->sched_seed ||
	    a->sticky != b->sticky || a->nfaults != b->nfaults ||
	    a->ndeviations != b->ndeviations || a->nstrs != b->nstrs)
		return (false);
	for (uint32_t i = 0; i < a->threads; i++) {
		if (a->thread_cpu[i] != b->thread_cpu[i])
			return (false);
	}
	for (uint32_t i = 0; i < a->nfaults; i++) {
		const struct trace_fault *x = &a->fault[i], *y = &b->fault[i];

		if (x->mode != y->mode || x->k != y->k || x->num != y->num ||
		    x->den != y->den || x->seed != y->seed)
			return (false);
	}
	for (uint32_t i = 0; i < a->ndeviations; i++) {
		const struct trace_deviation *x = &a->deviation[i];
		const struct trace_deviation *y = &b->deviation[i];

		if (x->thread != y->thread || x->point != y->point ||
		    x->op != y->op || x->what != y->what || x->n != y->n)
			return (false);
	}
	for (uint32_t i = 0; i < a->nstrs; i++) {
		if (strcmp(trace_str(a, i), trace_str(b, i)) != 0)
			return (false);
	}
	return (true);
}

/* All but the line numbers. */
static inline bool
trace_test_equal(const struct trace *a, const struct trace *b)
{
	if (!trace_test_headers_equal(&a->header, &b->header) ||
	    a->nops != b->nops)
		return (false);
	for (size_t i = 0; i < a->nops; i++) {
		const struct trace_op *x = &a->op[i], *y = &b->op[i];

		if (x->code != y->code || x->thread != y->thread ||
		    x->out != y->out ||
		    memcmp(x->arg, y->arg, sizeof(x->arg)) != 0)
			return (false);
	}
	return (true);
}

/* How many values a kind of words has; 0 for other kinds. */
static inline uint64_t
trace_test_words(enum trace_kind kind)
{
	switch (kind) {
	case TRACE_K_WILD:
		return (TRACE_WILD_COUNT);
	case TRACE_K_HOOK:
		return (TRACE_HOOK_ZERO);
	case TRACE_K_ACTION:
		return (TRACE_ACTION_COUNT);
	case TRACE_K_RECLAIM:
		return (TRACE_RECLAIM_COUNT);
	default:
		return (0);
	}
}

static inline bool
trace_test_is_flags(enum trace_kind kind)
{
	return (kind == TRACE_K_FLAGS || kind == TRACE_K_VMFLAGS ||
	    kind == TRACE_K_MPFLAGS || kind == TRACE_K_UMAFLAGS ||
	    kind == TRACE_K_ZONEFLAGS || kind == TRACE_K_HOOKS);
}

/*
 * Every promise that a reader makes of its operations, checked independently
 * of the code that makes it true.
 */
static inline void
trace_test_assert_valid(const struct trace *t)
{
	const struct trace_header *const h = &t->header;
	uint64_t count[TRACE_CLASS_COUNT] = { 0 };

	assert_in_range(h->cpus, 1, TRACE_CPUS_MAX);
	assert_in_range(h->threads, 1, TRACE_THREADS_MAX);
	assert_in_range(h->pages, TRACE_PAGES_MIN, TRACE_PAGES_MAX);
	assert_in_range(h->reserve_system, 0, h->pages / 2);
	assert_in_range(h->reserve_interrupt, 0, h->reserve_system);
	assert_in_range(h->slabs_keep, 0, 255);
	assert_in_range(h->debug, 0, 7);
	assert_in_range(h->sched, 0, TRACE_SCHED_MODE_COUNT - 1);
	assert_in_range(h->sticky, 1, 1024);
	assert_in_range(h->nfaults, 0, TRACE_FAULTS_MAX);
	assert_in_range(h->ndeviations, 0, 4096);
	for (uint32_t i = 0; i < h->threads; i++)
		assert_in_range(h->thread_cpu[i], 0, h->cpus - 1);
	for (uint32_t i = 0; i < h->nfaults; i++) {
		const struct trace_fault *f = &h->fault[i];

		assert_in_range(f->mode, 0, TRACE_FAULT_MODE_COUNT - 1);
		if (f->mode == TRACE_FAULT_PROB) {
			assert_in_range(f->den, 1, 65536);
			assert_in_range(f->num, 1, f->den);
		} else {
			assert_true(f->k >= 1);
		}
	}
	for (uint32_t i = 0; i < h->ndeviations; i++) {
		const struct trace_deviation *d = &h->deviation[i];

		assert_true(trace__deviation_thread(h, d->thread));
		assert_true(i == 0 || trace__deviation_compare(d - 1, d) < 0);
		assert_in_range(d->what, 0, TRACE_DEVIATE_COUNT - 1);
		assert_in_range(d->n, 0, 65535);
	}
	for (uint32_t i = 0; i < h->nstrs; i++)
		assert_in_range(strlen(trace_str(h, i)), 1, TRACE_STR_MAX);
	for (size_t i = 0; i < t->nops; i++) {
		const struct trace_op *op = &t->op[i];

		assert_in_range(op->code, 0, TRACE_OP_COUNT - 1);
		assert_in_range(op->thread, 0, h->threads - 1);
		const struct trace_opdef *def = &trace_ops[op->code];
		for (unsigned j = 0; j < TRACE_ARGS_MAX; j++) {
			const int class = trace_kind_class(def->arg[j]);
			const uint64_t arg = op->arg[j];

			if (class >= 0)
				assert_true(
				    arg == TRACE_NOREG || arg < count[class]);
			else if (def->arg[j] == TRACE_K_STR)
				assert_true(arg < h->nstrs);
			else if (def->arg[j] == TRACE_K_CPU)
				assert_true(arg < h->cpus);
			else if (trace_test_words(def->arg[j]) != 0)
				assert_true(
				    arg < trace_test_words(def->arg[j]));
			else if (trace_test_is_flags(def->arg[j]))
				assert_true(arg <= 0xffff);
			else if (def->arg[j] == TRACE_K_INT)
				assert_true(arg <= UINT32_MAX);
			else if (def->arg[j] == TRACE_K_NONE)
				assert_true(arg == 0);
		}
		if (def->out < 0) {
			assert_true(op->out == TRACE_NOREG);
		} else {
			assert_true(op->out <= count[def->out]);
			count[def->out] += op->out == count[def->out];
		}
	}
}

/* For text that has no error. */
static inline void
trace_test_must_parse(const char *text, struct trace *ret_t)
{
	struct trace_error error;
	char line[600];

	if (trace_test_parse(text, strlen(text), ret_t, &error) != 0) {
		trace_error_format(&error, line, sizeof(line));
		fail_msg("%s", line);
	}
	trace_test_assert_valid(ret_t);
}

static inline void
trace_test_assert_prints(const struct trace *t, const char *expected)
{
	size_t size;
	char *text = trace_test_bytes(t, TRACE_TEXT, &size);

	assert_string_equal(text, expected);
	free(text);
}

#endif
