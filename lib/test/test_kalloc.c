/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: systems begin and end as G-1 says, types as KM-17 does.
 * Method: every limit of the configuration; leaks of each kind, by name and
 * count; types declared before, in and between systems. mmap(2) and munmap(2)
 * of the library are wrapped: boot is run with each mapping refused in turn,
 * and what is mapped before must be mapped after.
 */
#include "kalloc_test.h"

#include <errno.h>
#include <sys/mman.h>

#include "cpu.h"

MALLOC_DEFINE(M_ONE, "one", "the type of most tests");
MALLOC_DEFINE(M_TWO, "two", "another type");

static const struct kalloc_config one_cpu = { .ncpus = 1, .pages = 4096 };

#define LIMIT_OF(config) ((uint64_t)(config).pages * 4096 / 10)

/* ---- What the library maps -------------------------------------------- */

static _Atomic(int64_t) mapped;
static atomic_uint unmaps_failed;
static atomic_uint maps, refuse_at, refuse_to; /* calls, from 1 */
static bool nothing_held;

static void
no_pipe(void *arg, const struct kalloc_leak *leak)
{
	(void)arg;
	if (strcmp(leak->name, "mpipe") == 0)
		nothing_held = false;
}

/* Which of the two names it is depends on the size of off_t. */
void *__real_mmap64(void *, size_t, int, int, int, off_t);
void *__wrap_mmap64(void *, size_t, int, int, int, off_t);
void *__wrap_mmap(void *, size_t, int, int, int, off_t);
int __real_munmap(void *, size_t);
int __wrap_munmap(void *, size_t);

void *
__wrap_mmap64(void *addr, size_t bytes, int prot, int flags, int fd, off_t off)
{
	maps++;
	if (maps >= refuse_at && maps <= refuse_to) {
		errno = ENOMEM;
		return (MAP_FAILED);
	}
	mapped += (int64_t)bytes;
	return (__real_mmap64(addr, bytes, prot, flags, fd, off));
}

void *
__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t off)
{
	return (__wrap_mmap64(addr, bytes, prot, flags, fd, off));
}

static void (*unmap_hook)(void); /* called when something is unmapped */

int
__wrap_munmap(void *addr, size_t bytes)
{
	int error;

	if (unmap_hook != NULL)
		unmap_hook();
	mapped -= (int64_t)bytes;
	error = __real_munmap(addr, bytes);
	if (error != 0)
		unmaps_failed++;
	return (error);
}

static void
refuse_maps(unsigned from, unsigned to)
{
	maps = 0;
	refuse_at = from;
	refuse_to = to;
}

static void
failed_boot_leaves_nothing_behind(void **state)
{
	static const struct kalloc_config configs[] = {
		{ .ncpus = 1, .pages = 64 },
		{ .ncpus = 256, .pages = 100000 },
	};
	int64_t before;
	unsigned c, k;
	int error;

	(void)state;
	/* What is mapped once for ever is so by now. */
	boot(&one_cpu);
	(void)kmalloc_trim();
	halt();
	before = mapped;
	for (c = 0; c < COUNT_OF(configs); c++) {
		for (k = 1;; k++) {
			refuse_maps(k, c == 0 ? k : UINT32_MAX);
			error = kalloc_boot(&configs[c]);
			if (maps < k)
				break;
			refuse_maps(0, 0);
			assert_int_equal(error, ENOMEM);
			assert_false(kalloc_is_up());
			assert_int_equal(mapped, before);
			boot(&configs[c]);
			kfree(kmalloc(100, M_ONE, M_WAITOK), M_ONE);
			halt();
			assert_int_equal(mapped, before);
		}
		refuse_maps(0, 0);
		assert_int_equal(error, 0);
		assert_true(k > 5);
		halt();
		assert_int_equal(mapped, before);
		assert_int_equal(unmaps_failed, 0);
	}
}

/* The trail is a service: without memory for it there is none. */
static void
forced_halt_unmaps_everything(void **state)
{
	struct kalloc_config config = one_cpu;
	struct ka_trail trail;
	int64_t before = mapped;
	unsigned i;

	(void)state;
	config.debug = KA_DEBUG_ALL;
	boot(&config);
	for (i = 0; i < 100; i++)
		sink = kmalloc(8 + i * 50, M_ONE, M_WAITOK);
	assert_true(kmalloc_trail(sink, &trail));
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
	assert_int_equal(mapped, before);
	boot(&config);
	refuse_maps(1, UINT32_MAX);
	sink = kmalloc(64, M_ONE, M_WAITOK);
	assert_false(kmalloc_trail(sink, &trail));
	refuse_maps(0, 0);
	kfree(sink, M_ONE);
	assert_true(kmalloc_trail(sink, &trail));
	assert_int_equal(trail.alloc.serial, 0);
	halt();
	assert_int_equal(mapped, before);
}

/* ---- Types (KM-17) ---------------------------------------------------- */

struct leaks {
	unsigned n;
	struct {
		char name[40];
		uint64_t count, bytes;
	} leak[8];
};

static void
put_leak(void *arg, const struct kalloc_leak *leak)
{
	struct leaks *l = arg;

	assert_true(l->n < 8);
	(void)snprintf(
	    l->leak[l->n].name, sizeof(l->leak[0].name), "%s", leak->name);
	l->leak[l->n].count = leak->count;
	l->leak[l->n++].bytes = leak->bytes;
}

static bool
has_leak(
    const struct leaks *l, const char *name, uint64_t count, uint64_t bytes)
{
	unsigned i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->leak[i].name, name) == 0 &&
		    l->leak[i].count == count && l->leak[i].bytes == bytes)
			return (true);
	return (false);
}

static void
types_come_and_go(void **state)
{
	struct malloc_type *a = NULL, *b = NULL, *same;
	struct malloc_type own = { .ks_shortdesc = "own" };
	unsigned i;
	void *p;

	(void)state;
	boot(&one_cpu);
	kmalloc_create(&a, "a name that is longer than what has room");
	assert_string_equal(a->ks_shortdesc, "a name that is longer than what");
	same = a;
	kmalloc_create(&a, "again");
	assert_ptr_equal(a, same);
	kmalloc_create(&b, "b");
	assert_ptr_not_equal(a, b);
	p = kmalloc(10, a, M_WAITOK);
	kfree(p, a);
	assert_int_equal(kmalloc_destroy(&a), 0);
	assert_null(a);
	assert_int_equal(kmalloc_destroy(&a), 0);
	malloc_init(&own);
	malloc_init(&own);
	p = kmalloc(20000, &own, M_WAITOK);
	kfree(p, &own);
	assert_int_equal(malloc_uninit(&own), 0);
	malloc_init(&own);
	assert_int_equal(stats(&own).calls, 0);
	assert_int_equal(malloc_uninit(&own), 0);
	for (i = 0; i < 3000; i++) {
		kmalloc_create(&a, "short-lived");
		p = kmalloc(100, a, M_WAITOK);
		assert_int_equal(stats(a).calls, 1);
		kfree(p, a);
		assert_int_equal(kmalloc_destroy(&a), 0);
	}
	assert_int_equal(kmalloc_destroy(&b), 0);
	halt();
}

/* What a type leaves behind is reported, and is not the next type's. */
static void
ended_types_leave_their_objects(void **state)
{
	struct malloc_type *a = NULL, *b = NULL;
	struct leaks l = { 0 };
	void *p, *q;
	unsigned i;

	(void)state;
	boot(&one_cpu);
	kmalloc_create(&a, "leaky");
	p = kmalloc(100, a, M_WAITOK);
	q = kmalloc(10000, a, M_WAITOK);
	memset(p, 7, 104);
	assert_int_equal(kmalloc_destroy(&a), 2);
	assert_null(a);
	for (i = 0; i < 4; i++) {
		kmalloc_create(&b, "next");
		assert_int_equal(stats(b).inuse, 0);
		assert_why(WRONG_TYPE, kfree(p, b));
		assert_why(WRONG_TYPE, kfree(q, b));
		assert_int_equal(kmalloc_destroy(&b), 0);
	}
	audit();
	assert_true(all_are(p, 7, 104));
	assert_int_equal(kmalloc_usable_size(q), 12288);
	assert_int_equal(kalloc_halt(false, put_leak, &l), EBUSY);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.leak[0].count, 2);
	assert_int_equal(l.leak[0].bytes, 104 + 12288);
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
	boot(&one_cpu);
	halt();
}

/* The id of a type that has ended is the next one's; what is counted under
 * another is not touched, on however many CPUs. */
static void
counts_of_other_types_are_kept(void **state)
{
	const struct kalloc_config config = { .ncpus = 31, .pages = 256 };
	struct malloc_type *a = NULL, *b = NULL;
	void *p;

	(void)state;
	boot(&config);
	kmalloc_create(&a, "a");
	kmalloc_create(&b, "b");
	p = kmalloc(64, b, M_WAITOK);
	assert_int_equal(kmalloc_destroy(&a), 0);
	kmalloc_create(&a, "again");
	assert_int_equal(stats(b).calls, 1);
	assert_int_equal(stats(b).inuse, 1);
	assert_int_equal(stats(b).memuse, 64);
	audit();
	kfree(p, b);
	assert_int_equal(kmalloc_destroy(&a), 0);
	assert_int_equal(kmalloc_destroy(&b), 0);
	halt();
}

/* Objects of a type that has ended cannot be freed any more, nor can there be
 * more; also if the caller asks where the type was. */
static void
an_ended_type_is_none(void **state)
{
	struct malloc_type own = { .ks_shortdesc = "own" };
	char *p, *q;

	(void)state;
	boot(&one_cpu);
	malloc_init(&own);
	p = kmalloc(100, &own, M_WAITOK);
	q = kmalloc(100, &own, M_WAITOK);
	kfree(q, &own);
	assert_int_equal(malloc_uninit(&own), 1);
	kfree(kmalloc(3000, M_ONE, M_WAITOK), M_ONE); /* fast paths again */
	assert_why(BAD_TYPE, kfree(p, &own));
	assert_why(BAD_TYPE, sink = kmalloc(100, &own, M_NOWAIT));
	assert_int_equal(kmalloc_usable_size(p), 104);
	audit();
	assert_int_equal(kalloc_halt(false, NULL, NULL), EBUSY);
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
}

static void
count_line(void *arg, const char *line)
{
	(void)line;
	(*(unsigned *)arg)++;
}

/* Also the first of all: in audits, in the table, and among leaks. The first
 * test, so that it is also of the first system. */
static void
every_declared_type_counts(void **state)
{
	struct malloc_type *const types[] = { M_ONE, M_TWO, M_TEMP, M_CACHE,
		M_DEVBUF };
	struct leaks l = { 0 };
	unsigned i, lines = 0, first = 0;

	(void)state;
	boot(&one_cpu);
	for (i = 0; i < COUNT_OF(types); i++) {
		sink = kmalloc(64, types[i], M_WAITOK);
		first += types[i]->ks_cookie == 1u << 16;
		audit();
	}
	assert_int_equal(first, 1);
	kmalloc_vmstat(count_line, &lines);
	assert_int_equal(lines, 1 + COUNT_OF(types) + 1);
	for (i = 0; i < COUNT_OF(types); i++) {
		assert_int_equal(malloc_uninit(types[i]), 1);
		audit();
	}
	assert_int_equal(kalloc_halt(false, put_leak, &l), EBUSY);
	assert_int_equal(l.n, COUNT_OF(types));
	for (i = 0; i < l.n; i++)
		assert_int_equal(l.leak[i].bytes, 64);
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
	for (i = 0; i < COUNT_OF(types); i++)
		malloc_init(types[i]);
	boot(&one_cpu);
	halt();
}

/* ---- Systems (G-1) ---------------------------------------------------- */

static void
boot_checks_its_configuration(void **state)
{
	static const struct kalloc_config bad[] = {
		{ .ncpus = 257 },
		{ .ncpus = UINT32_MAX },
		{ .pages = 31 },
		{ .pages = KALLOC_PAGES_MAX + 1 },
		{ .pages = SIZE_MAX },
		{ .pages = 100, .reserve_system = 51 },
		{ .pages = 100, .reserve_system = SIZE_MAX },
		{ .pages = 100, .reserve_system = 10, .reserve_interrupt = 11 },
		{ .pages = 100, .reserve_interrupt = 1 },
		{ .slabs_keep = 256 },
		{ .debug = KA_DEBUG_ALL + 1 },
	};
	static const struct kalloc_config good[] = {
		{ 0 },
		{ .ncpus = 256, .pages = KALLOC_PAGES_MIN },
		{ .ncpus = 32, .pages = KALLOC_PAGES_MAX },
		{ .ncpus = 33,
		    .pages = 100,
		    .reserve_system = 50,
		    .reserve_interrupt = 50 },
		{ .ncpus = 1, .slabs_keep = 255, .debug = KA_DEBUG_ALL },
	};
	const unsigned long online =
	    (unsigned long)sysconf(_SC_NPROCESSORS_ONLN);
	unsigned i;

	(void)state;
	assert_false(kalloc_is_up());
	assert_int_equal(kalloc_halt(false, NULL, NULL), EINVAL);
	assert_int_equal(kalloc_halt(true, NULL, NULL), EINVAL);
	for (i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(kalloc_boot(&bad[i]), EINVAL);
		assert_false(kalloc_is_up());
	}
	for (i = 0; i < COUNT_OF(good); i++) {
		boot(&good[i]);
		assert_int_equal(kalloc_boot(&good[i]), EBUSY);
		assert_int_equal(kalloc_boot(&bad[0]), EBUSY);
		if (good[i].pages != 0)
			assert_int_equal(vm_stats().pages, good[i].pages);
		else
			assert_int_equal(vm_stats().pages, 65536);
		if (good[i].ncpus != 0)
			assert_int_equal(cpu_count, good[i].ncpus);
		else
			assert_int_equal(cpu_count,
			    2 * online < KALLOC_CPUS_MAX ? 2 * online :
							   KALLOC_CPUS_MAX);
		kfree(kmalloc(100, M_ONE, M_WAITOK), M_ONE);
		halt();
	}
	assert_int_equal(kalloc_halt(false, NULL, NULL), EINVAL);
	assert_true(strlen(kalloc_version()) > 0);
}

static void
halt_reports_leaks_and_changes_nothing(void **state)
{
	struct malloc_type *type = NULL;
	struct leaks l = { 0 };
	struct vm_page_stats before, after;
	char *p[3], *q, *run;

	(void)state;
	boot(&one_cpu);
	kmalloc_create(&type, "made");
	p[0] = kmalloc(100, M_ONE, M_WAITOK);
	p[1] = kmalloc(200, M_ONE, M_WAITOK);
	p[2] = kmalloc(20000, M_ONE, M_WAITOK);
	q = kmalloc(1, type, M_WAITOK);
	run = vm_page_alloc(3, 0, VM_ALLOC_NORMAL);
	memset(p[2], 9, 20000);
	*q = 3;
	*run = 4;
	before = vm_stats();
	assert_int_equal(kalloc_halt(false, put_leak, &l), EBUSY);
	assert_int_equal(l.n, 3);
	assert_true(has_leak(&l, "one", 3, 104 + 208 + 20480));
	assert_true(has_leak(&l, "made", 1, 8));
	assert_true(has_leak(&l, "pages", 1, 12288));
	assert_int_equal(kalloc_halt(false, NULL, NULL), EBUSY);
	assert_true(kalloc_is_up());
	after = vm_stats();
	assert_memory_equal(&before, &after, sizeof(after));
	audit();
	assert_true(all_are(p[2], 9, 20000));
	assert_int_equal(stats(M_ONE).inuse, 3);
	kfree(p[0], M_ONE);
	kfree(p[1], M_ONE);
	kfree(p[2], M_ONE);
	vm_page_free(run, 3);
	memset(&l, 0, sizeof(l));
	assert_int_equal(kalloc_halt(false, put_leak, &l), EBUSY);
	assert_int_equal(l.n, 1);
	kfree(q, type);
	/* A declared type without objects is no leak. */
	assert_int_equal(kalloc_halt(false, put_leak, &l), 0);
	assert_int_equal(l.n, 1);
}

static void
forced_halt_leaves_a_fresh_system(void **state)
{
	struct leaks l;
	unsigned round, i;

	(void)state;
	for (round = 0; round < 5; round++) {
		struct kalloc_config config = one_cpu;

		config.debug = round % 2 != 0 ? KA_DEBUG_ALL : 0;
		boot(&config);
		assert_int_equal(vm_free_pages(), one_cpu.pages);
		assert_int_equal(stats(M_ONE).calls, 0);
		assert_int_equal(stats(M_ONE).memuse, 0);
		assert_int_equal(kmalloc_limit(M_ONE), LIMIT_OF(one_cpu));
		kmalloc_set_unlimited(M_ONE);
		for (i = 0; i < 1000; i++)
			memset(kmalloc(8 + i * 10, M_ONE, M_WAITOK), 0xff, 8);
		for (i = 0; i < 10; i++)
			sink = vm_page_alloc(2, 0, VM_ALLOC_NORMAL);
		memset(&l, 0, sizeof(l));
		assert_int_equal(kalloc_halt(true, put_leak, &l), 0);
		assert_int_equal(l.n, 2);
		assert_int_equal(l.leak[0].count, 1000);
		assert_true(has_leak(&l, "pages", 10, 20 * 4096));
		assert_false(kalloc_is_up());
	}
	boot(&one_cpu);
	sink = kmalloc(8000, M_ONE, M_WAITOK | M_ZERO);
	assert_true(all_are(sink, 0, 8000));
	kfree(sink, M_ONE);
	halt();
}

/* Static types live through boots; made ones end with their system. */
static void
declared_types_survive_a_reboot(void **state)
{
	static struct malloc_type early = { .ks_shortdesc = "early" };
	struct malloc_type *made = NULL, *before = NULL, *other = NULL;
	unsigned i;

	(void)state;
	malloc_init(&early);
	malloc_init(&early);
	kmalloc_create(&before, "before boot");
	for (i = 0; i < 3; i++) {
		boot(&one_cpu);
		kfree(kmalloc(10, &early, M_WAITOK), &early);
		kfree(kmalloc(10, M_TWO, M_WAITOK), M_TWO);
		kfree(kmalloc(10, M_TEMP, M_WAITOK), M_TEMP);
		kfree(kmalloc(10, M_CACHE, M_WAITOK), M_CACHE);
		kfree(kmalloc(10, M_DEVBUF, M_WAITOK), M_DEVBUF);
		kfree(kmalloc(10, before, M_WAITOK), before);
		made = NULL;
		kmalloc_create(&made, "made");
		assert_ptr_not_equal(made, before);
		kfree(kmalloc(10, made, M_WAITOK), made);
		halt();
		assert_why(BAD_TYPE, sink = kmalloc(10, made, M_WAITOK));
	}
	/* Its storage may go away now, or serve another. */
	boot(&one_cpu);
	assert_int_equal(kmalloc_destroy(&before), 0);
	assert_int_equal(malloc_uninit(&early), 0);
	kmalloc_create(&other, "other");
	kfree(kmalloc(10, other, M_WAITOK), other);
	halt();
	memset(&early, 0xff, sizeof(early));
	boot(&one_cpu);
	assert_int_equal(stats(M_ONE).calls, 0);
	assert_int_equal(stats(M_TEMP).calls, 0);
	assert_true(all_are(&early, 0xff, sizeof(early)));
	kfree(kmalloc(10, M_ONE, M_WAITOK), M_ONE);
	halt();
}

/* Whether anything is held can be asked without a list of it. */
static void
halt_needs_no_report(void **state)
{
	struct malloc_pipe pipe = { NULL };
	struct malloc_type *ended = NULL;
	struct objcache *oc;
	uma_zone_t zone;
	void *p;

	(void)state;
	boot(&one_cpu);
	kmalloc_create(&ended, "ended");
	p = kmalloc(64, M_ONE, M_WAITOK);
	assert_int_equal(kalloc_halt(false, NULL, NULL), EBUSY);
	kfree(p, M_ONE);
	oc = objcache_create_simple(M_ONE, 64);
	p = objcache_get(oc, M_WAITOK);
	assert_int_equal(kalloc_halt(false, NULL, NULL), EBUSY);
	objcache_put(oc, p);
	objcache_destroy(oc);
	zone = uma_zcreate("zone", 64, NULL, NULL, NULL, NULL, 0, 0);
	p = uma_zalloc(zone, M_WAITOK);
	assert_int_equal(kalloc_halt(false, NULL, NULL), EBUSY);
	uma_zfree(zone, p);
	uma_zdestroy(zone);
	mpipe_init(&pipe, M_ONE, 64, 1, 1, 0, NULL, NULL, NULL);
	assert_int_equal(kalloc_halt(false, NULL, NULL), EBUSY);
	nothing_held = true;
	assert_int_equal(kalloc_halt(false, no_pipe, NULL), EBUSY);
	assert_true(nothing_held);
	mpipe_done(&pipe);
	sink = kmalloc(64, ended, M_WAITOK);
	assert_int_equal(kmalloc_destroy(&ended), 1);
	assert_int_equal(kalloc_halt(false, NULL, NULL), EBUSY);
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
}

static void
no_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
	fail();
}

static void
nothing_is_there(void)
{
	const char *found;
	struct vm_page_stats pages;
	struct objcache_stats caches;
	struct mpipe_stats pipes;
	struct uma_zone_stats zones;

	assert_int_equal(kmalloc_trim(), 0);
	uma_reclaim(UMA_RECLAIM_DRAIN_CPU);
	vm_wait(1, 0, VM_ALLOC_NORMAL);
	assert_null(vm_page_alloc(1, 0, VM_ALLOC_NORMAL));
	assert_null(kmalloc_audit(&found));
	assert_null(objcache_audit(&found));
	assert_null(mpipe_audit(&found));
	assert_null(uma_audit(&found));
	assert_null(vm_page_audit(&found));
	vm_page_stats(&pages);
	assert_int_equal(pages.pages, 0);
	assert_int_equal(pages.free, 0);
	assert_false(objcache_stats(0, &caches));
	assert_false(mpipe_stats(0, &pipes));
	assert_false(uma_stats(0, &zones));
	kmalloc_map(no_line, NULL);
	assert_null(objcache_create("none", 1, 1, NULL, NULL, NULL,
	    objcache_nop_alloc, objcache_nop_free, NULL));
	assert_null(uma_zcreate("none", 64, NULL, NULL, NULL, NULL, 0, 0));
	assert_null(zinit("none", 64, 1, 0));
	assert_why(BAD_TYPE, sink = kmalloc(64, M_ONE, M_NOWAIT));
}

/* Before a system and after it, what needs none can be called. */
static void
without_a_system_there_is_nothing(void **state)
{
	(void)state;
	(void)ka_panic_set_handler(catch_panic);
	nothing_is_there();
	boot(&one_cpu);
	sink = kmalloc(64, M_ONE, M_WAITOK);
	assert_non_null(uma_zcreate("zone", 64, NULL, NULL, NULL, NULL, 0, 0));
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
	nothing_is_there();
}

static pthread_t leaver;
static pthread_barrier_t may_leave;
static unsigned leavers;

static void *
leave_late(void *arg)
{
	(void)arg;
	kfree(kmalloc(64, M_ONE, M_WAITOK), M_ONE);
	(void)pthread_barrier_wait(&may_leave); /* it has a CPU */
	(void)pthread_barrier_wait(&may_leave);
	return (NULL);
}

static void
let_it_leave(void)
{
	if (kalloc_is_up())
		return;
	unmap_hook = NULL;
	(void)pthread_barrier_wait(&may_leave);
	thread_join(leaver);
	leavers++;
}

/* A thread that exits while its system ends has nothing to give back to. */
static void
a_thread_may_exit_during_a_halt(void **state)
{
	int64_t before;

	(void)state;
	boot(&one_cpu);
	halt();
	before = mapped;
	assert_int_equal(pthread_barrier_init(&may_leave, NULL, 2), 0);
	boot(&(struct kalloc_config) { .ncpus = 2, .pages = 256 });
	leaver = thread_start(leave_late, NULL);
	(void)pthread_barrier_wait(&may_leave);
	unmap_hook = let_it_leave;
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
	assert_null(unmap_hook);
	assert_int_equal(leavers, 1);
	assert_int_equal(mapped, before);
	(void)pthread_barrier_destroy(&may_leave);
	boot(&one_cpu);
	sink = kmalloc(64, M_ONE, M_WAITOK);
	kfree(sink, M_ONE);
	halt();
}

/* Types may be more than there are before a system is up, too. The last test:
 * they stay for ever. */
static void
too_many_types_before_boot(void **state)
{
	static struct malloc_type *type[KA_TYPES_MAX + 1];
	unsigned i;

	(void)state;
	(void)ka_panic_set_handler(catch_panic);
	assert_false(kalloc_is_up());
	for (i = 0; i < KA_TYPES_MAX; i++) {
		kmalloc_create(&type[i], "early");
		assert_non_null(type[i]);
	}
	assert_why(BAD_ARG, kmalloc_create(&type[i], "one too many"));
	assert_null(type[i]);
	/* Those that were declared before them have no place. */
	boot(&one_cpu);
	assert_why(BAD_TYPE, sink = kmalloc(1, M_ONE, M_WAITOK));
	assert_non_null(sink = kmalloc(1, type[0], M_WAITOK));
	kfree(sink, type[0]);
	halt();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_declared_type_counts),
		cmocka_unit_test(boot_checks_its_configuration),
		cmocka_unit_test(failed_boot_leaves_nothing_behind),
		cmocka_unit_test(forced_halt_unmaps_everything),
		cmocka_unit_test(types_come_and_go),
		cmocka_unit_test(ended_types_leave_their_objects),
		cmocka_unit_test(counts_of_other_types_are_kept),
		cmocka_unit_test(an_ended_type_is_none),
		cmocka_unit_test(halt_reports_leaks_and_changes_nothing),
		cmocka_unit_test(forced_halt_leaves_a_fresh_system),
		cmocka_unit_test(declared_types_survive_a_reboot),
		cmocka_unit_test(halt_needs_no_report),
		cmocka_unit_test(without_a_system_there_is_nothing),
		cmocka_unit_test(a_thread_may_exit_during_a_halt),
		cmocka_unit_test(too_many_types_before_boot),
	};

	return (cmocka_run_group_tests_name("kalloc", tests, NULL, NULL));
}
