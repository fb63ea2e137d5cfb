/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subject libkalloc: calls of the trace become calls of the library.
 *
 * Compiled twice, against the library on the simulation and on the host. A
 * panic ends the call: the handler leaves by longjmp, which the library allows
 * (kalloc.h), and the reason becomes the call's result.
 */
#include "subject/subject_kalloc.h"

#include <kalloc/vm_page.h>

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPES_MAX KA_TYPES_MAX

/* A type register: storage for malloc_init, a pointer for kmalloc_create. */
struct subject_type {
	struct malloc_type storage;
	struct malloc_type *type; /* NULL: not declared */
	char name[TRACE_STR_MAX + 1];
	bool heap;
	bool ending; /* its storage may be another's already */
};

static struct subject_type types[TYPES_MAX];
static uint32_t types_top;
static struct malloc_type undeclared; /* what stands for no type */
struct subject_config subject_kalloc_config;
#define config subject_kalloc_config
static char wild_static[64];
static uint64_t arena; /* address of the budget's first page */

/*
 * Leaving a call by a jump. The compiler's own saves two registers where the
 * library's makes a call, and mangles; sanitizers know only the library's.
 */
#if defined(__x86_64__) && !defined(SUBJECT_SANITIZED)
typedef void *panic_jump[5];
#define PANIC_SET(jump) __builtin_setjmp(jump)
#define PANIC_GO(jump)	__builtin_longjmp(jump, 1)
#else
typedef jmp_buf panic_jump;
#define PANIC_SET(jump) setjmp(jump)
#define PANIC_GO(jump)	longjmp(jump, 1)
#endif
static uint32_t
types_used(void)
{
	return (__atomic_load_n(&types_top, __ATOMIC_RELAXED));
}

/* Where a panic of the running call goes; threads of the host have their own,
 * fibers one each by number, since a call may be left in the middle. */
static panic_jump panic_to[CALL_FRAMES_MAX + 1];
static uint32_t (*panic_thread)(void); /* the fiber that runs */
#ifndef KA_PORT_SIM
static __thread uint32_t panic_thread_self = CALL_FRAMES_MAX;
#endif
static enum ka_why panic_why[CALL_FRAMES_MAX + 1];
static bool panic_armed[CALL_FRAMES_MAX + 1];

static uint32_t
panic_frame(void)
{
#ifdef KA_PORT_SIM
	return (panic_thread != NULL ? panic_thread() : CALL_FRAMES_MAX);
#else
	return (panic_thread != NULL ? panic_thread() : panic_thread_self);
#endif
}

/* Not inline: the compiler's jump may not be in the function of its target. */
static __attribute__((noinline)) void
on_panic(const struct ka_panic_info *info)
{
	uint32_t t = panic_frame();

	if (!panic_armed[t]) {
		/* In the laboratory's own questions: nobody could go on. */
		(void)fprintf(stderr, "kalab: panic outside of a call: %s\n",
		    info->message);
		abort();
	}
	panic_why[t] = info->why;
	PANIC_GO(panic_to[t]);
}

__attribute__((noinline)) void
subject_kalloc_panic(int why)
{
	uint32_t t = panic_frame();

	panic_why[t] = (enum ka_why)why;
	PANIC_GO(panic_to[t]);
}

void
subject_kalloc_set_thread(uint32_t (*fn)(void))
{
	panic_thread = fn;
}

static enum vm_observe
on_try(void *arg, size_t npages, size_t align, unsigned flags)
{
	(void)arg;
	return (
	    (enum vm_observe)config.page_try(config.arg, npages, align, flags));
}

static void
on_alloc(void *arg, void *addr, size_t npages, size_t align, unsigned flags,
    enum vm_observe verdict)
{
	(void)arg;
	config.page_alloc(
	    config.arg, (uintptr_t)addr, npages, align, flags, (int)verdict);
}

static void
on_free(void *arg, void *addr, size_t npages)
{
	(void)arg;
	config.page_free(config.arg, (uintptr_t)addr, npages);
}

static void
observe(void)
{
	const struct vm_observer o = { on_try, on_alloc, on_free, NULL };

	if (config.page_try != NULL)
		vm_page_observe(&o);
}

static int
kalloc_subject_boot(const struct subject_config *c)
{
	struct kalloc_config k = {
		.ncpus = c->cpus,
		.pages = c->pages,
		.reserve_system = c->reserve_system,
		.reserve_interrupt = c->reserve_interrupt,
		.slabs_keep = c->slabs_keep,
		.debug = c->debug,
	};
	struct vm_page_stats vm;
	int error;

	config = *c;
	error = kalloc_boot(&k);
	if (error != 0)
		return (error);
	observe();
	vm_page_stats(&vm);
	arena = (uintptr_t)vm.base;
	(void)ka_panic_set_handler(on_panic);
	subject_owners_boot();
	return (0);
}

static void
kalloc_subject_halt(void)
{
	uint32_t i;

	/* Also from the middle of calls: nothing that locks. */
	vm_page_observe(NULL);
	(void)kalloc_halt(true, NULL, NULL);
	subject_owners_halt();
	(void)ka_panic_set_handler(NULL);
	for (i = 0; i < types_used(); i++) {
		memset(&types[i].storage, 0, sizeof(types[i].storage));
		types[i].type = NULL;
	}
	types_top = 0;
}

/* Who is told what is in use. */
struct teller {
	void (*told)(void *, const char *, uint64_t, uint64_t);
	void *arg;
};

static void
on_leak(void *arg, const struct kalloc_leak *leak)
{
	const struct teller *t = arg;

	t->told(t->arg, leak->name, leak->count, leak->bytes);
}

static int
kalloc_subject_leave(
    void (*told)(void *, const char *, uint64_t, uint64_t), void *arg)
{
	struct teller t = { told, arg };
	int error;

	vm_page_observe(NULL); /* it has no part in the end */
	error = kalloc_halt(false, on_leak, &t);
	if (error != 0)
		observe();
	return (error);
}

static const char *
kalloc_subject_name(enum trace_class class, uint32_t handle)
{
	return (class == TRACE_TYPE ? types[handle].name :
				      subject_owners_name(class, handle));
}

void
subject_kalloc_reach(uint32_t *count, uint32_t n)
{
	uint32_t now = __atomic_load_n(count, __ATOMIC_RELAXED);

	while (now < n &&
	    !__atomic_compare_exchange_n(
		count, &now, n, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
}

struct malloc_type *
subject_kalloc_type(uint32_t reg)
{
	if (reg >= types_used() || types[reg].type == NULL)
		return (&undeclared);
	return (types[reg].type);
}

uint32_t
subject_kalloc_type_reg(const struct malloc_type *type)
{
	uint32_t i;

	for (i = 0; i < types_used(); i++)
		if (types[i].type == type && !types[i].ending)
			return (i);
	return (TRACE_NOREG);
}

static struct malloc_type *
type_of(const struct call *c)
{
	return (subject_kalloc_type(c->type));
}

static void
do_type_make(struct call *c)
{
	struct subject_type *t;

	if (c->type >= TYPES_MAX) {
		c->why = KA_WHY_BAD_ARG;
		return;
	}
	subject_kalloc_reach(&types_top, c->type + 1);
	t = &types[c->type];
	t->ending = false;
	t->heap = c->code == TRACE_OP_KMALLOC_CREATE;
	(void)strncpy(t->name, c->str, sizeof(t->name) - 1);
	if (t->heap) {
		kmalloc_create(&t->type, c->str);
		return;
	}
	t->storage.ks_shortdesc = t->name;
	malloc_init(&t->storage);
	t->type = &t->storage;
}

static void
do_type_end(struct call *c)
{
	struct malloc_type *type = type_of(c);

	if (c->type < types_used())
		types[c->type].ending = type != &undeclared;
	if (type != &undeclared && types[c->type].heap &&
	    c->code == TRACE_OP_KMALLOC_DESTROY) {
		c->ret = kmalloc_destroy(&types[c->type].type);
		return;
	}
	c->ret = malloc_uninit(type);
	if (c->type < types_used())
		types[c->type].type = NULL;
}

static void
do_kmalloc(struct call *c)
{
	c->ret = (uintptr_t)kmalloc(c->size, type_of(c), (int)c->flags);
}

static void
do_kmalloc_cachealign(struct call *c)
{
	c->ret =
	    (uintptr_t)kmalloc_cachealign(c->size, type_of(c), (int)c->flags);
}

static void
do_kmalloc_powerof2(struct call *c)
{
	c->ret =
	    (uintptr_t)kmalloc_powerof2(c->size, type_of(c), (int)c->flags);
}

static void
do_kfree(struct call *c)
{
	kfree((void *)c->addr, type_of(c));
}

static void
do_krealloc(struct call *c)
{
	c->ret = (uintptr_t)krealloc(
	    (void *)c->addr, c->size, type_of(c), (int)c->flags);
}

static void
do_kstrdup(struct call *c)
{
	c->ret = (uintptr_t)kstrdup(c->str, type_of(c));
}

static void
do_kstrndup(struct call *c)
{
	c->ret = (uintptr_t)kstrndup(c->str, c->num, type_of(c));
}

static void
do_usable_size(struct call *c)
{
	c->ret = kmalloc_usable_size((void *)c->addr);
}

static void
do_limit(struct call *c)
{
	c->ret = kmalloc_limit(type_of(c));
}

static void
do_raise_limit(struct call *c)
{
	kmalloc_raise_limit(type_of(c), c->size);
}

static void
do_set_unlimited(struct call *c)
{
	kmalloc_set_unlimited(type_of(c));
}

static void
do_trim(struct call *c)
{
	c->ret = kmalloc_trim();
}

#ifdef KA_PORT_SIM
extern void cpu__exit(void);
#endif

/* Where threads are real they exit by themselves. */
static void
do_exit(struct call *c)
{
	(void)c;
#ifdef KA_PORT_SIM
	cpu__exit();
#endif
}

static void
do_kfree_interior(struct call *c)
{
	kfree((void *)(c->addr + c->size), type_of(c));
}

static void
do_kfree_wild(struct call *c)
{
	kfree((void *)c->addr, type_of(c));
}

static void
do_page_alloc(struct call *c)
{
	c->ret = (uintptr_t)vm_page_alloc(c->num, c->align, c->flags);
}

static void
do_page_free(struct call *c)
{
	vm_page_free((void *)c->addr, c->pages);
}

static void (*const ops[TRACE_OP_COUNT])(struct call *) = {
	[TRACE_OP_KMALLOC_CREATE] = do_type_make,
	[TRACE_OP_KMALLOC_DESTROY] = do_type_end,
	[TRACE_OP_MALLOC_INIT] = do_type_make,
	[TRACE_OP_MALLOC_UNINIT] = do_type_end,
	[TRACE_OP_KMALLOC] = do_kmalloc,
	[TRACE_OP_KMALLOC_CACHEALIGN] = do_kmalloc_cachealign,
	[TRACE_OP_KMALLOC_POWEROF2] = do_kmalloc_powerof2,
	[TRACE_OP_KFREE] = do_kfree,
	[TRACE_OP_KREALLOC] = do_krealloc,
	[TRACE_OP_KSTRDUP] = do_kstrdup,
	[TRACE_OP_KSTRNDUP] = do_kstrndup,
	[TRACE_OP_KMALLOC_USABLE_SIZE] = do_usable_size,
	[TRACE_OP_KMALLOC_LIMIT] = do_limit,
	[TRACE_OP_KMALLOC_RAISE_LIMIT] = do_raise_limit,
	[TRACE_OP_KMALLOC_SET_UNLIMITED] = do_set_unlimited,
	[TRACE_OP_KMALLOC_TRIM] = do_trim,
	[TRACE_OP_THREAD_EXIT] = do_exit,
	[TRACE_OP_KFREE_INTERIOR] = do_kfree_interior,
	[TRACE_OP_KFREE_WILD] = do_kfree_wild,
	[TRACE_OP_VM_PAGE_ALLOC] = do_page_alloc,
	[TRACE_OP_VM_PAGE_FREE] = do_page_free,
};

/* An address that was never allocated. */
static uint64_t
kalloc_subject_wild(enum trace_wild wild)
{
	char here;

	switch (wild) {
	case TRACE_WILD_NULL:
		return (0);
	case TRACE_WILD_STACK:
		return ((uintptr_t)&here & ~(uintptr_t)15);
	case TRACE_WILD_STATIC:
		return ((uintptr_t)wild_static);
	case TRACE_WILD_UNMAPPED:
		return (UINT64_C(0x10000));
	default:
		return (UINT64_C(0xfffffffffffff000));
	}
}

static subject_op *
op_of(enum trace_opcode code)
{
	return (ops[code] != NULL ? ops[code] : subject_owners_op(code));
}

static void
kalloc_subject_exec(struct call *c)
{
	const uint32_t t = c->thread;
#ifndef KA_PORT_SIM
	const uint32_t outer = panic_thread_self;

	panic_thread_self = t;
#endif
	panic_armed[t] = true;
	if (PANIC_SET(panic_to[t]) == 0) {
		op_of(c->code)(c);
	} else {
		c->why = panic_why[c->thread];
		c->ret = 0;
		subject_owners_panicked(c);
	}
	panic_armed[c->thread] = false;
#ifndef KA_PORT_SIM
	panic_thread_self = outer;
#endif
}

static bool
kalloc_subject_type_stats(uint32_t type, struct subject_type_stats *ret_s)
{
	struct kmalloc_stats s;

	if (type >= types_used() || types[type].type == NULL)
		return (false);
	kmalloc_type_stats(types[type].type, &s);
	ret_s->calls = s.calls;
	ret_s->inuse = s.inuse;
	ret_s->memuse = s.memuse;
	ret_s->limit = s.limit;
	return (true);
}

static uint64_t
kalloc_subject_free_pages(void)
{
	struct vm_page_stats s;

	vm_page_stats(&s);
	return (s.free);
}

static void
kalloc_subject_page_counts(
    uint64_t *ret_allocs, uint64_t *ret_failures, uint64_t *ret_frees)
{
	struct vm_page_stats s;

	vm_page_stats(&s);
	*ret_allocs = s.allocs;
	*ret_failures = s.failures;
	*ret_frees = s.frees;
}

static uint64_t
kalloc_subject_arena(void)
{
	return (arena);
}

static const char *
kalloc_subject_audit(const char **ret_found)
{
	const char *id = vm_page_audit(ret_found);

	if (id == NULL)
		id = kmalloc_audit(ret_found);
	return (id != NULL ? id : subject_owners_audit(ret_found));
}

static void
kalloc_subject_trim(void)
{
	(void)kmalloc_trim();
}

const struct subject subject_kalloc = {
	.name = "kalloc",
	.about = "libkalloc",
#ifdef KA_PORT_SIM
	.caps = SUBJECT_PAGES | SUBJECT_STATS | SUBJECT_MISUSE | SUBJECT_AUDIT |
	    SUBJECT_MAP | SUBJECT_SIM | SUBJECT_OWNERS | SUBJECT_COMMITS,
#else
	.caps = SUBJECT_PAGES | SUBJECT_STATS | SUBJECT_MISUSE | SUBJECT_AUDIT |
	    SUBJECT_MAP | SUBJECT_OWNERS,
#endif
	.boot = kalloc_subject_boot,
	.halt = kalloc_subject_halt,
	.exec = kalloc_subject_exec,
	.wild = kalloc_subject_wild,
	.type_stats = kalloc_subject_type_stats,
	.free_pages = kalloc_subject_free_pages,
	.page_counts = kalloc_subject_page_counts,
	.arena = kalloc_subject_arena,
	.audit = kalloc_subject_audit,
	.trim = kalloc_subject_trim,
	.leave = kalloc_subject_leave,
	.name_of = kalloc_subject_name,
	.map = kmalloc_map,
	.owner_stats = subject_owners_stats,
	.static_memory = subject_owners_memory,
	.tables = subject_owners_tables,
};
