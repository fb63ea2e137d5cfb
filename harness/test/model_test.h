/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the model share: the subject that they play.
 *
 * A test owns an arena and says, call by call, which addresses came out of a
 * subject that does not exist. CLEAN() demands that no clause is broken so
 * far; BROKEN() demands clause and signature exactly, words without a raw
 * address, and begins anew. TEST_MODEL_WORDS=1 in the environment prints the
 * words of every finding.
 *
 * every_clause_was_broken() is the last test of each program: it demands that
 * each clause of the model's table for which the program is responsible was
 * broken by one of its tests. is_mine() is the program's own.
 */
#ifndef KALAB_MODEL_TEST_H
#define KALAB_MODEL_TEST_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <kalloc/flags.h>

#include "model/model.h"

#define HELPER static __attribute__((unused))

#define PAGES	 256u
#define PAGE	 ((uint64_t)KA_PAGE_SIZE)
#define SLAB	 ((uint64_t)KA_SLAB_SIZE)
#define BUDGET	 (PAGES * PAGE)
#define ZERO_PTR ((uint64_t)(uintptr_t)ZERO_LENGTH_PTR)
#define LIMIT	 (BUDGET / 10)
#define THREADS	 4u

#define BROKEN_MAX 512u

enum why {
#define WHY(id, name, text) W_##id,
	KA_WHY_TABLE(WHY)
#undef WHY
};

static struct model *m;
static uint64_t arena; /* of the subject that the tests play */
static uint64_t line;
static char broken[BROKEN_MAX][12]; /* clauses that tests have seen broken */
static unsigned nbroken;

/* --- the events, in short --- */

HELPER struct call
call(enum trace_opcode code, uint32_t thread)
{
	struct call c;

	memset(&c, 0, sizeof(c));
	c.code = code;
	c.thread = thread;
	c.line = ++line;
	c.type = TRACE_NOREG;
	return (c);
}

HELPER void
invoke(struct call *c)
{
	model_invoke(m, c);
}

HELPER void
returns(struct call *c, uint64_t ret)
{
	c->ret = ret;
	c->why = W_NONE;
	model_return(m, c);
}

/* With so many locks and atomic accesses on the way. */
HELPER void
returns_sharing(struct call *c, uint64_t ret, uint32_t shared)
{
	c->shared = shared;
	returns(c, ret);
}

HELPER void
panics(struct call *c, enum why why)
{
	c->ret = 0;
	c->why = (int)why;
	model_return(m, c);
}

HELPER struct call
begin_kmalloc(uint32_t thread, uint64_t size, uint32_t type, uint32_t flags)
{
	struct call c = call(TRACE_OP_KMALLOC, thread);

	c.size = size;
	c.type = type;
	c.flags = flags;
	invoke(&c);
	return (c);
}

HELPER uint64_t
kmalloc_at(uint64_t addr, uint64_t size, uint32_t flags)
{
	struct call c = begin_kmalloc(0, size, 0, flags);

	returns(&c, addr);
	return (addr);
}

HELPER struct call
begin_kfree(uint32_t thread, uint64_t addr, uint32_t type)
{
	struct call c = call(TRACE_OP_KFREE, thread);

	c.addr = addr;
	c.type = type;
	invoke(&c);
	return (c);
}

HELPER void
kfree_at(uint64_t addr)
{
	struct call c = begin_kfree(0, addr, 0);

	returns(&c, 0);
}

HELPER struct call
begin_krealloc(uint32_t thread, uint64_t addr, uint64_t size, uint32_t flags)
{
	struct call c = call(TRACE_OP_KREALLOC, thread);

	c.addr = addr;
	c.size = size;
	c.type = 0;
	c.flags = flags;
	invoke(&c);
	return (c);
}

HELPER void
krealloc_to(uint64_t addr, uint64_t size, uint64_t to)
{
	struct call c = begin_krealloc(0, addr, size, M_WAITOK);

	returns(&c, to);
}

HELPER void
pages(uint32_t thread, uint64_t addr, uint64_t n)
{
	model_vm_alloc(m, thread, addr, n, 0, VM_ALLOC_NORMAL, false, false);
}

HELPER void
pages_fail(uint32_t thread, uint64_t n, bool injected, bool hard)
{
	model_vm_alloc(m, thread, 0, n, 0, VM_ALLOC_NORMAL, injected, hard);
}

HELPER void
type_make(uint32_t reg)
{
	struct call c = call(TRACE_OP_KMALLOC_CREATE, 0);

	c.str = "test";
	c.type = reg;
	invoke(&c);
	returns(&c, 0);
}

HELPER struct call
begin_type_op(enum trace_opcode code, uint32_t thread, uint32_t reg)
{
	struct call c = call(code, thread);

	c.type = reg;
	invoke(&c);
	return (c);
}

/* A slab of kmalloc at the arena's slab number i, taken during a call. */
HELPER uint64_t
slab(unsigned i)
{
	struct call c = begin_kmalloc(0, 8, 0, M_WAITOK);
	uint64_t at = arena + i * SLAB;

	pages(0, at, SLAB / PAGE);
	returns(&c, at + SLAB - 8);
	return (at);
}

/* --- outcomes --- */

HELPER void
fresh(enum model_kind kind, enum model_contents contents)
{
	const struct model_config config = {
		.kind = kind,
		.contents = contents,
		.cpus = 2,
		.threads = THREADS,
		.pages = PAGES,
		.reserve_system = 8,
		.reserve_interrupt = 2,
		.arena = kind == MODEL_KALLOC ? arena : 0,
	};

	memset((void *)(uintptr_t)arena, 0, BUDGET);
	line = 0;
	model_reset(m, &config);
	if (kind == MODEL_KALLOC) {
		type_make(0);
		type_make(1);
	}
}

HELPER void
kalloc(void)
{
	fresh(MODEL_KALLOC, MODEL_CONTENTS_FULL);
}

HELPER void
is_clean(const char *file, int at)
{
	const struct finding *f = model_finding(m);

	if (f == NULL)
		return;
	print_error(
	    "%s: expected %s; found %s\n", f->signature, f->expected, f->found);
	_fail(file, at);
}

HELPER void
is_broken(const char *clause, const char *signature, const char *file, int at)
{
	const struct finding *f = model_finding(m);
	char raw[24];

	if (f == NULL) {
		print_error("%s: nothing was found\n", signature);
		_fail(file, at);
		return;
	}
	_assert_string_equal(f->signature, signature, file, at);
	_assert_string_equal(f->clause, clause, file, at);
	if (f->expected[0] == '\0' || f->found[0] == '\0') {
		print_error("%s: no words\n", signature);
		_fail(file, at);
	}
	/* No raw address in the words. */
	(void)snprintf(raw, sizeof(raw), "%" PRIx64, arena >> 20);
	if (strstr(f->expected, raw) != NULL || strstr(f->found, raw) != NULL) {
		print_error("%s: raw address: %s; %s\n", signature, f->expected,
		    f->found);
		_fail(file, at);
	}
	if (getenv("TEST_MODEL_WORDS") != NULL)
		print_message("%s\n  line %" PRIu64 ", expected %s\n"
			      "  found %s\n",
		    f->signature, f->line, f->expected, f->found);
	(void)snprintf(
	    broken[nbroken++ % BROKEN_MAX], sizeof(broken[0]), "%s", clause);
	kalloc();
}

#define CLEAN()		     is_clean(__FILE__, __LINE__)
#define BROKEN(clause, rest) is_broken(clause, rest, __FILE__, __LINE__)

HELPER int
setup(void **state)
{
	void *p = mmap(NULL, BUDGET + SLAB, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	if (p == MAP_FAILED)
		return (-1);
	arena = ((uint64_t)(uintptr_t)p + SLAB - 1) & ~(SLAB - 1);
	m = model_create();
	return (m == NULL ? -1 : 0);
}

HELPER int
teardown(void **state)
{
	(void)state;
	model_destroy(m);
	return (0);
}

HELPER int
begin(void **state)
{
	(void)state;
	kalloc();
	return (0);
}

HELPER char *
bytes(uint64_t addr)
{
	return ((char *)(uintptr_t)addr);
}

HELPER struct call
begin_page_alloc(uint32_t thread, uint64_t n, uint64_t align, uint32_t flags)
{
	struct call c = call(TRACE_OP_VM_PAGE_ALLOC, thread);

	c.num = n;
	c.align = align;
	c.flags = flags;
	invoke(&c);
	return (c);
}

HELPER void
page_alloc_at(uint64_t addr, uint64_t n, uint64_t align, uint32_t flags)
{
	struct call c = begin_page_alloc(0, n, align, flags);

	model_vm_alloc(m, 0, addr, n, align, flags, false, false);
	returns(&c, addr);
}

HELPER struct call
begin_page_free(uint32_t thread, uint64_t addr, uint64_t n)
{
	struct call c = call(TRACE_OP_VM_PAGE_FREE, thread);

	c.addr = addr;
	c.pages = n;
	invoke(&c);
	return (c);
}

HELPER void
page_free_at(uint64_t addr, uint64_t n)
{
	struct call c = begin_page_free(0, addr, n);

	model_vm_free(m, 0, addr, n);
	returns(&c, 0);
}

/* Calls that were judged as those that nothing shared has a part in. */
HELPER uint64_t
hits(void)
{
	struct model_counts c;

	model_counts(m, &c);
	return (c.hits);
}

/* Takes all pages but so many for the trace, in one run. */
HELPER void
leave_free(uint64_t n)
{
	page_alloc_at(arena + n * PAGE, PAGES - n, 0, VM_ALLOC_INTERRUPT);
}

HELPER void
usable(uint64_t addr, uint64_t found)
{
	struct call c = call(TRACE_OP_KMALLOC_USABLE_SIZE, 0);

	c.addr = addr;
	invoke(&c);
	returns(&c, found);
}

HELPER void
stats(uint32_t type, uint64_t calls, uint64_t inuse, uint64_t memuse)
{
	const struct model_type_stats s = { calls, inuse, memuse, LIMIT };

	model_check_type(m, type, &s);
}

/* Charges type 0 with n slabs' worth of pages, each in one object. */
HELPER void
use(unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		struct call c = begin_kmalloc(0, SLAB, 0, M_WAITOK);

		pages(0, arena + i * SLAB, 16);
		returns(&c, arena + i * SLAB);
	}
}

static bool is_mine(const char *clause);

/* Clauses that are checked through others, as the table says. */
HELPER bool
is_indirect(const char *check)
{
	return (strncmp(check, "through ", 8) == 0);
}

HELPER void
every_clause_was_broken(void **state)
{
	const struct model_clause *c;
	unsigned i;

	(void)state;
	for (c = model_clauses; c->id != NULL; c++) {
		bool seen = is_indirect(c->check) || !is_mine(c->id);

		assert_non_null(strchr("DSP", c->how));
		for (i = 0; i < BROKEN_MAX; i++)
			seen = seen || strcmp(broken[i], c->id) == 0;
		if (!seen)
			print_error("%s: no test breaks it\n", c->id);
		assert_true(seen);
	}
}

#define T(name) cmocka_unit_test_setup(name, begin)

#endif
