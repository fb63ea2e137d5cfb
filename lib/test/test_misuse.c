/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: every misuse ends in the panic that the headers name, at once, and
 * changes nothing (G-3).
 * Method: a handler that jumps back. Each case is run between two looks at
 * everything that can be observed: statistics, pages, auditors, contents; and
 * is followed by normal operation.
 */
#include "kalloc_test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmalloc_int.h"

MALLOC_DEFINE(M_MINE, "mine", "the type of what is misused");
MALLOC_DEFINE(M_OTHER, "other", "another type");
MALLOC_DEFINE(M_GONE, "gone", "a type that ends");

static const struct kalloc_config two_cpus = { .ncpus = 2, .pages = 2048 };

/* Sizes of all kinds: chunks with and without waste, whole pages. */
static const size_t sizes[] = { 1, 8, 24, 100, 1000, 3000, 8192, 8193, 50000 };

struct look {
	struct vm_page_stats vm;
	struct kmalloc_stats mine, other;
};

static struct look
look(void)
{
	struct look l = {
		.vm = vm_stats(), .mine = stats(M_MINE), .other = stats(M_OTHER)
	};

	audit();
	return (l);
}

static void
nothing_changed(const struct look *before, unsigned calls)
{
	static const size_t used[] = { 8, 500, 8192, 12000 };
	struct look after = look();
	unsigned i;

	assert_int_equal(after.mine.calls, before->mine.calls + calls);
	after.mine.calls -= calls;
	assert_memory_equal(before, &after, sizeof(after));
	for (i = 0; i < COUNT_OF(used); i++) {
		char *p = kmalloc(used[i], M_OTHER, M_WAITOK | M_ZERO);

		assert_true(all_are(p, 0, used[i]));
		memset(p, 0xee, used[i]);
		kfree(p, M_OTHER);
	}
	audit();
}

#define assert_misuse_calls(id, ncalls, expr)                                  \
	do {                                                                   \
		const struct look look_before = look();                        \
		assert_why(id, expr);                                          \
		nothing_changed(&look_before, ncalls);                         \
	} while (0)
#define assert_misuse(id, expr) assert_misuse_calls(id, 0, expr)

/* ---- Flags (KM-7) ----------------------------------------------------- */

static void
flags_must_be_of_one_family(void **state)
{
	static const int bad[] = { 0, M_ZERO, M_NULLOK, M_USE_RESERVE,
		M_WAITOK | M_RNOWAIT, M_WAITOK | M_NOWAIT, M_INTWAIT | M_NOWAIT,
		M_WAITOK | M_PASSIVE_ZERO, M_NOWAIT | M_PASSIVE_ZERO,
		M_WAITOK | 0x0004, M_WAITOK | 0x0008, M_WAITOK | 0x0010,
		M_WAITOK | 0x8000, M_NOWAIT | 0x10000, M_WAITOK | 1 << 30,
		(int)0x80000002u, -1 };
	static const size_t of[] = { 0, 1, 64, 8192, 8193, 100000, SIZE_MAX };
	unsigned f, i;
	char *p;

	(void)state;
	boot(&two_cpus);
	p = kmalloc(100, M_MINE, M_WAITOK);
	/* The fast path would have chunks for some of them. */
	for (i = 1; i < 4; i++)
		kfree(kmalloc(of[i], M_MINE, M_WAITOK), M_MINE);
	for (f = 0; f < COUNT_OF(bad); f++)
		for (i = 0; i < COUNT_OF(of); i++) {
			assert_misuse(
			    BAD_FLAGS, sink = kmalloc(of[i], M_MINE, bad[f]));
			assert_misuse(BAD_FLAGS,
			    sink = kmalloc_cachealign(of[i], M_MINE, bad[f]));
			assert_misuse(BAD_FLAGS,
			    sink = kmalloc_powerof2(of[i], M_MINE, bad[f]));
			assert_misuse(BAD_FLAGS,
			    sink = krealloc(p, of[i], M_MINE, bad[f]));
			assert_misuse(BAD_FLAGS,
			    sink = krealloc(NULL, of[i], M_MINE, bad[f]));
		}
	assert_misuse(
	    BAD_FLAGS, sink = krealloc(p, 200, M_MINE, M_WAITOK | M_ZERO));
	assert_misuse(
	    BAD_FLAGS, sink = krealloc(NULL, 200, M_MINE, M_NOWAIT | M_ZERO));
	assert_misuse(
	    BAD_FLAGS, sink = krealloc(p, 0, M_MINE, M_WAITOK | M_ZERO));
	kfree(p, M_MINE);
	halt();
}

/* ---- Types (KM-5, KM-10) ---------------------------------------------- */

/* Who was called is who is named. */
static void
assert_caller(const char *name)
{
	assert_int_equal(strncmp(caught.message, name, strlen(name)), 0);
	assert_int_equal(caught.message[strlen(name)], ':');
}

static void
use_undeclared_type(struct malloc_type *type, void *p)
{
	struct kmalloc_stats s;

	assert_why(BAD_TYPE, sink = kmalloc(0, type, M_WAITOK));
	assert_why(BAD_TYPE, sink = kmalloc(8, type, M_WAITOK));
	assert_why(BAD_TYPE, sink = kmalloc(8192, type, M_NOWAIT));
	assert_why(BAD_TYPE, sink = kmalloc(10000, type, M_WAITOK));
	assert_why(BAD_TYPE, sink = kmalloc_powerof2(9, type, M_WAITOK));
	assert_why(BAD_TYPE, sink = kmalloc_cachealign(9, type, M_WAITOK));
	assert_why(BAD_TYPE, sink = krealloc(NULL, 9, type, M_WAITOK));
	assert_why(BAD_TYPE, sink = krealloc(p, 9, type, M_WAITOK));
	assert_why(BAD_TYPE, sink = kstrdup("text", type));
	assert_caller("kstrdup");
	assert_why(BAD_TYPE, sink = kstrndup("text", 2, type));
	assert_caller("kstrndup");
	assert_why(BAD_TYPE, kfree(p, type));
	assert_why(BAD_TYPE, kfree(NULL, type));
	assert_why(BAD_TYPE, kmalloc_type_stats(type, &s));
	assert_why(BAD_TYPE, (void)kmalloc_limit(type));
	assert_why(BAD_TYPE, kmalloc_raise_limit(type, 1));
	assert_why(BAD_TYPE, kmalloc_set_unlimited(type));
	assert_why(BAD_TYPE, kmalloc_set_debug(type, 1));
	assert_caller("kmalloc_set_debug");
	assert_why(BAD_TYPE, (void)malloc_uninit(type));
}

static void
types_must_be_declared(void **state)
{
	struct malloc_type zeroed = { .ks_shortdesc = "never declared" };
	struct malloc_type ended = { .ks_shortdesc = "ended" };
	struct malloc_type *made = NULL, *was;
	struct look before;
	void *p, *large, *run;

	(void)state;
	(void)ka_panic_set_handler(catch_panic);
	use_undeclared_type(M_MINE, ZERO_LENGTH_PTR); /* no system */
	boot(&two_cpus);
	p = kmalloc(10, M_MINE, M_WAITOK);
	large = kmalloc(20000, M_MINE, M_WAITOK);
	run = vm_page_alloc(1, 0, VM_ALLOC_NORMAL | VM_ALLOC_ZERO);
	malloc_init(&ended);
	assert_int_equal(malloc_uninit(&ended), 0);
	kmalloc_create(&made, "made");
	was = made;
	(void)kmalloc_destroy(&made);
	before = look();
	use_undeclared_type(&zeroed, p);
	use_undeclared_type(&zeroed, large);
	use_undeclared_type(&ended, p);
	use_undeclared_type(&ended, run);
	use_undeclared_type(was, large);
	assert_why(BAD_TYPE, sink = kmalloc(8, NULL, M_NOWAIT | M_ZERO));
	nothing_changed(&before, 0);
	kfree(p, M_MINE);
	kfree(large, M_MINE);
	vm_page_free(run, 1);
	halt();
	use_undeclared_type(M_MINE, p);
}

static void
objects_are_freed_under_their_type(void **state)
{
	unsigned i;
	char *p;

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		p = kmalloc(sizes[i], M_MINE, M_WAITOK);
		memset(p, 0x11, sizes[i]);
		assert_misuse(WRONG_TYPE, kfree(p, M_OTHER));
		assert_misuse(
		    WRONG_TYPE, sink = krealloc(p, 20000, M_OTHER, M_WAITOK));
		assert_misuse(WRONG_TYPE,
		    sink = krealloc(p, sizes[i], M_OTHER, M_NOWAIT));
		assert_misuse(
		    WRONG_TYPE, sink = krealloc(p, 0, M_OTHER, M_WAITOK));
		assert_true(all_are(p, 0x11, sizes[i]));
		kfree(p, M_MINE);
	}
	assert_misuse(NULL_FREE, kfree(NULL, M_MINE));
	halt();
}

static void
no_more_types_than_there_are(void **state)
{
	static struct malloc_type *type[KA_TYPES_MAX + 1];
	struct malloc_type own = { .ks_shortdesc = "own" }, *none = NULL;
	unsigned i, n, round, attempt;

	(void)state;
	boot(&two_cpus);
	for (round = 0; round < 3; round++) {
		for (n = 0; n <= KA_TYPES_MAX; n++) {
			const char *why = why_of(kmalloc_create(&type[n], "t"));

			if (strcmp(why, ka_why_name(KA_WHY_NONE)) == 0)
				continue;
			assert_string_equal(why, ka_why_name(KA_WHY_BAD_ARG));
			break;
		}
		/* All but the six static ones. */
		assert_int_equal(n, KA_TYPES_MAX - 6);
		for (attempt = 0; attempt < 20; attempt++) {
			assert_misuse(BAD_ARG, kmalloc_create(&none, "x"));
			assert_null(none);
		}
		assert_misuse(BAD_ARG, malloc_init(&own));
		assert_why(BAD_TYPE, sink = kmalloc(8, &own, M_WAITOK));
		sink = kmalloc(100, type[n - 1], M_WAITOK);
		kfree(sink, type[n - 1]);
		/* With the static ones gone all ids are for made ones. */
		assert_int_equal(malloc_uninit(M_GONE), 0);
		kmalloc_create(&type[n], "one more");
		assert_why(BAD_ARG, malloc_init(&own));
		for (i = 0; i <= n; i++)
			assert_int_equal(kmalloc_destroy(&type[i]), 0);
		malloc_init(M_GONE);
	}
	halt();
	boot(&two_cpus);
	assert_why(BAD_TYPE, sink = kmalloc(8, M_GONE, M_WAITOK));
	halt();
}

/* ---- Double free (KM-16) ---------------------------------------------- */

static void *
free_mine(void *p)
{
	kfree(p, M_MINE);
	return (NULL);
}

static void *
double_free_mine(void *p)
{
	must(strcmp(why_of(kfree(p, M_MINE)), "double-free") == 0);
	must(strcmp(why_of(kfree(p, M_OTHER)), "double-free") == 0);
	return (NULL);
}

/* p is free; its neighbour is not, so that the slab stays. */
static void
all_ways_to_use_it_again(void *p)
{
	assert_misuse(DOUBLE_FREE, kfree(p, M_MINE));
	assert_misuse(DOUBLE_FREE, kfree(p, M_OTHER));
	assert_misuse(DOUBLE_FREE, sink = krealloc(p, 10, M_MINE, M_WAITOK));
	assert_misuse(DOUBLE_FREE, sink = krealloc(p, 0, M_MINE, M_WAITOK));
	assert_misuse(DOUBLE_FREE, (void)kmalloc_usable_size(p));
}

static void
double_free_is_seen_on_the_owner_cpu(void **state)
{
	unsigned i;
	void *p, *q, *r;

	(void)state;
	boot(&two_cpus);
	for (i = 0; sizes[i] <= 8192; i++) {
		p = kmalloc(sizes[i], M_MINE, M_WAITOK);
		q = kmalloc(sizes[i], M_MINE, M_WAITOK);
		kfree(p, M_MINE);
		all_ways_to_use_it_again(p);
		r = kmalloc(sizes[i], M_MINE, M_WAITOK);
		assert_ptr_equal(r, p);
		kfree(q, M_MINE);
		all_ways_to_use_it_again(q);
		kfree(r, M_MINE);
		all_ways_to_use_it_again(r);
	}
	halt();
}

static void
double_free_is_seen_when_the_first_was_remote(void **state)
{
	unsigned i;
	void *p, *q;

	(void)state;
	boot(&two_cpus);
	for (i = 0; sizes[i] <= 8192; i++) {
		p = kmalloc(sizes[i], M_MINE, M_WAITOK);
		q = kmalloc(sizes[i], M_MINE, M_WAITOK);
		thread_run(free_mine, p);
		all_ways_to_use_it_again(p);
		thread_run(double_free_mine, p);
		thread_run(free_mine, q);
		all_ways_to_use_it_again(p);
		all_ways_to_use_it_again(q);
		kfree(kmalloc(sizes[i], M_MINE, M_WAITOK), M_MINE);
		all_ways_to_use_it_again(q);
	}
	halt();
}

static void
double_free_is_seen_on_a_remote_cpu(void **state)
{
	struct look before;
	unsigned i;
	void *p, *q;

	(void)state;
	boot(&two_cpus);
	for (i = 0; sizes[i] <= 8192; i++) {
		p = kmalloc(sizes[i], M_MINE, M_WAITOK);
		q = kmalloc(sizes[i], M_MINE, M_WAITOK);
		kfree(p, M_MINE);
		before = look();
		thread_run(double_free_mine, p);
		nothing_changed(&before, 0);
		kfree(q, M_MINE);
	}
	halt();
}

/* The memory went back to the page layer: no chunk is there any more. */
static void
freed_pages_are_free_or_foreign(void **state)
{
	unsigned i, round;
	const char *why;
	struct look before;
	void *p;

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		p = kmalloc(sizes[i], M_MINE, M_WAITOK);
		kfree(p, M_MINE);
		(void)kmalloc_trim();
		before = look();
		for (round = 0; round < 4; round++) {
			/* Large objects had pages of which each is told. */
			char *last = (char *)p + (sizes[i] - 1) / 4096 * 4096;

			why = round == 0 ? why_of(kfree(p, M_MINE)) :
			    round == 1	 ? why_of(kfree(p, M_OTHER)) :
			    round == 2	 ? why_of(kfree(last, M_MINE)) :
					   why_of((void)kmalloc_usable_size(p));
			assert_true(strcmp(why, "foreign") == 0 ||
			    strcmp(why, "double-free") == 0);
		}
		nothing_changed(&before, 0);
		(void)kmalloc_trim();
	}
	halt();
}

/*
 * The owner's plain store may bury the claim of a remote free that happens at
 * the same time. Both succeed, the chunk is on the stack and on the remote
 * list; draining that list tells.
 */
static void
simultaneous_double_free_is_seen_at_the_drain(void **state)
{
	struct ka_slab *slab;
	unsigned i;
	char *p[2];

	(void)state;
	for (i = 0; i < 2; i++) {
		boot(&two_cpus);
		p[0] = kmalloc(8192, M_MINE, M_WAITOK);
		p[1] = kmalloc(8192, M_MINE, M_WAITOK);
		slab = km_slab_at(p[i]);
		thread_run(free_mine, p[i]);
		slab->s_entry[i].e_owner = OWNER_FREE;
		slab->s_stack[slab->s_nfree++] = (uintptr_t)p[i];
		assert_why(DOUBLE_FREE, (void)kmalloc_trim());
		assert_ptr_equal(caught.addr, p[i]);
		kfree(p[1 - i], M_MINE);
		halt();
	}
}

/*
 * Two others free a chunk at one time: one claim buries the other, and the
 * remote list has a loop. Also when the slab has moved meanwhile, so that what
 * is on the list is sent on.
 */
static void
simultaneous_remote_frees_are_seen_at_the_drain(void **state)
{
	struct ka_slab *slab;
	uint32_t owner;
	char *p, *q, *r;
	unsigned to;

	(void)state;
	for (to = 0; to < 2; to++) {
		boot(&two_cpus);
		p = kmalloc(8192, M_MINE, M_WAITOK);
		q = kmalloc(8192, M_MINE, M_WAITOK);
		r = kmalloc(8192, M_MINE, M_WAITOK);
		slab = km_slab_at(p);
		owner = slab->s_entry[0].e_owner;
		thread_run(free_mine, p);
		slab->s_entry[0].e_owner = owner;
		thread_run(free_mine, p);
		slab->s_cpu = (uint16_t)to;
		assert_why(DOUBLE_FREE, (void)kmalloc_trim());
		assert_ptr_equal(caught.addr, p);
		slab->s_cpu = 0;
		/* One free too many was counted: r goes uncounted. */
		slab->s_entry[2].e_owner = OWNER_FREE;
		slab->s_stack[slab->s_nfree++] = (uintptr_t)r;
		kfree(q, M_MINE);
		halt();
	}
}

/* ---- Interior and foreign pointers ------------------------------------ */

static void
name_it(enum ka_why why, void *p)
{
	const char *name = ka_why_name(why);
	struct look before = look();

	assert_string_equal(why_of(kfree(p, M_MINE)), name);
	assert_ptr_equal(caught.addr, p);
	assert_string_equal(why_of(kfree(p, M_OTHER)), name);
	assert_string_equal(
	    why_of(sink = krealloc(p, 10, M_MINE, M_WAITOK)), name);
	assert_string_equal(
	    why_of(sink = krealloc(p, 0, M_MINE, M_WAITOK)), name);
	assert_string_equal(why_of((void)kmalloc_usable_size(p)), name);
	nothing_changed(&before, 0);
}

static void *
name_interior(void *p)
{
	must(strcmp(why_of(kfree(p, M_MINE)), "interior") == 0);
	return (NULL);
}

static void
pointers_into_objects_are_interior(void **state)
{
	unsigned i;
	size_t usable, k;
	char *p;

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		/* Also the second chunk: its offset is not zero. */
		char *first = kmalloc(sizes[i], M_MINE, M_WAITOK);

		p = kmalloc(sizes[i], M_MINE, M_WAITOK);
		usable = kmalloc_usable_size(p);
		name_it(KA_WHY_INTERIOR, p + 1);
		name_it(KA_WHY_INTERIOR, p + usable / 2);
		name_it(KA_WHY_INTERIOR, p + usable - 1);
		name_it(KA_WHY_INTERIOR, first + usable - 1);
		for (k = 4096; k < usable; k += 4096) {
			name_it(KA_WHY_INTERIOR, p + k);
			name_it(KA_WHY_INTERIOR, p + k + 8);
		}
		thread_run(name_interior, p + 1);
		kfree(p, M_MINE);
		kfree(first, M_MINE);
	}
	halt();
}

static void
pointers_from_elsewhere_are_foreign(void **state)
{
	static char in_data[8192];
	char on_stack[64], *heap, *page, *p, *large, *run, *gap;
	uint64_t high;
	unsigned bit;

	(void)state;
	boot(&two_cpus);
	p = kmalloc(3000, M_MINE, M_WAITOK);
	large = kmalloc(20000, M_MINE, M_WAITOK);
	run = vm_page_alloc(4, 0, VM_ALLOC_NORMAL);
	heap = malloc(100);
	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	name_it(KA_WHY_FOREIGN, on_stack);
	name_it(KA_WHY_FOREIGN, on_stack + 1);
	name_it(KA_WHY_FOREIGN, in_data);
	name_it(KA_WHY_FOREIGN, heap);
	name_it(KA_WHY_FOREIGN, page);
	assert_int_equal(munmap(page, 4096), 0);
	name_it(KA_WHY_FOREIGN, page);
	name_it(KA_WHY_FOREIGN, run);
	name_it(KA_WHY_FOREIGN, run + 4096);
	name_it(KA_WHY_FOREIGN, run + 17);
	/* Uncarved chunks, and what is too small for one. */
	gap = (char *)((uintptr_t)p & ~(uintptr_t)65535) + 21 * 3072;
	name_it(KA_WHY_FOREIGN, gap);
	/* Free pages, the ends of the arena, and beyond. */
	name_it(KA_WHY_FOREIGN, vm__base() + (two_cpus.pages - 1) * 4096);
	name_it(KA_WHY_FOREIGN, vm__base() + two_cpus.pages * 4096);
	name_it(KA_WHY_FOREIGN, vm__base() - 8);
	/* Aliases in the table of slabs. */
	for (bit = 32; bit < 64; bit++) {
		high = UINT64_C(1) << bit;
		name_it(KA_WHY_FOREIGN, (void *)((uintptr_t)p ^ high));
		name_it(KA_WHY_FOREIGN, (void *)((uintptr_t)large ^ high));
	}
	for (high = 1; high <= 4096; high *= 2) {
		name_it(KA_WHY_FOREIGN, (void *)(uintptr_t)high);
		if (high != 8)
			name_it(KA_WHY_FOREIGN, (void *)-(uintptr_t)high);
	}
	name_it(KA_WHY_FOREIGN, (void *)UINT64_C(0xffff800000000000));
	free(heap);
	kfree(p, M_MINE);
	kfree(large, M_MINE);
	vm_page_free(run, 4);
	halt();
}

static void
a_chunk_never_given_out_is_foreign(void **state)
{
	char *p, *next;

	(void)state;
	boot(&two_cpus);
	p = kmalloc(8, M_MINE, M_WAITOK);
	next = p + 64 * 8 * 4; /* of a later batch */
	name_it(KA_WHY_FOREIGN, next);
	next = p + 65528;
	name_it(KA_WHY_FOREIGN, next);
	kfree(p, M_MINE);
	halt();
}

/* ---- The rest of the reasons ------------------------------------------ */

static void
limits_and_overflow_count_the_attempt(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	assert_misuse_calls(
	    OVERFLOW, 1, sink = kmalloc(SIZE_MAX, M_MINE, M_WAITOK));
	assert_misuse_calls(OVERFLOW, 1,
	    sink = kmalloc(two_cpus.pages * 4096 + 1, M_MINE, M_SYSWAIT));
	p = kmalloc(two_cpus.pages * 2048, M_MINE, M_WAITOK);
	assert_misuse_calls(LIMIT, 1, sink = kmalloc(9000, M_MINE, M_WAITOK));
	assert_misuse_calls(LIMIT, 1, sink = kmalloc(90, M_MINE, M_RNOWAIT));
	assert_misuse_calls(LIMIT, 1, sink = kstrdup("text", M_MINE));
	assert_non_null(strstr(caught.message, "\"mine\""));
	kfree(p, M_MINE);
	halt();
}

static void
debug_options_are_not_changed_in_use(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	p = kmalloc(10, M_MINE, M_WAITOK);
	assert_misuse(BUSY, kmalloc_set_debug(M_MINE, KA_DEBUG_POISON));
	kfree(p, M_MINE);
	kmalloc_set_debug(M_MINE, KA_DEBUG_POISON);
	halt();
}

/* ---- Handlers --------------------------------------------------------- */

static void
handler_that_returns(const struct ka_panic_info *info)
{
	(void)info;
	ka_panic_set_handler(NULL);
}

static void
handlers_are_replaced_and_given_back(void **state)
{
	unsigned i;

	(void)state;
	(void)ka_panic_set_handler(NULL);
	assert_null(ka_panic_set_handler(catch_panic));
	assert_ptr_equal(
	    ka_panic_set_handler(handler_that_returns), catch_panic);
	assert_ptr_equal(ka_panic_set_handler(NULL), handler_that_returns);
	for (i = 0; i < KA_WHY_COUNT; i++) {
		assert_true(strlen(ka_why_name(i)) > 0);
		assert_true(strlen(ka_why_text(i)) > 0);
	}
	assert_string_equal(ka_why_name(KA_WHY_DOUBLE_FREE), "double-free");
	assert_string_equal(ka_why_name(KA_WHY_COUNT), "unknown");
	assert_string_equal(ka_why_text((enum ka_why) - 1), "unknown");
}

static void (*child_does)(void); /* or it frees twice */

static void
child_panics(int fd, ka_panic_handler *handler, unsigned debug)
{
	const struct kalloc_config config = {
		.ncpus = 1, .pages = 64, .debug = debug
	};
	void *p, *q;

	(void)dup2(fd, STDERR_FILENO);
	(void)ka_panic_set_handler(handler);
	(void)signal(SIGABRT, SIG_DFL);
	must(kalloc_boot(&config) == 0);
	if (child_does != NULL)
		child_does();
	p = kmalloc(10, M_MINE, M_WAITOK);
	q = kmalloc(10, M_MINE, M_WAITOK);
	kfree(p, M_MINE);
	kfree(p, M_MINE);
	(void)q;
}

/* A free under another type: the object was never free. */
static void
child_panics_of_type(void)
{
	void *p = kmalloc(10, M_MINE, M_WAITOK);

	kfree(p, M_TEMP);
}

/* Returns what the child wrote; it must have died of SIGABRT. */
static void
run_child(ka_panic_handler *handler, unsigned debug, char *text, size_t size)
{
	size_t len = 0;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		child_panics(fd[1], handler, debug);
		_exit(3);
	}
	(void)close(fd[1]);
	while ((n = read(fd[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	(void)close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void
default_handler_tells_and_aborts(void **state)
{
	static const char says[] = "kalloc: panic: double-free: kfree: 0x";
	static char text[16384];

	(void)state;
	run_child(NULL, 0, text, sizeof(text));
	assert_memory_equal(text, says, sizeof(says) - 1);
	assert_non_null(strstr(text, ": the object is free already\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	run_child(NULL, KA_DEBUG_AUDIT, text, sizeof(text));
	assert_memory_equal(text, says, sizeof(says) - 1);
	assert_non_null(strstr(text, "kalloc: last allocated on cpu 0"));
	assert_non_null(strstr(text, "kalloc: last freed on cpu 0"));
	assert_non_null(strstr(text, "kalloc:   #0 0x"));
	child_does = child_panics_of_type;
	run_child(NULL, KA_DEBUG_AUDIT, text, sizeof(text));
	child_does = NULL;
	assert_non_null(strstr(text, "kalloc: last allocated on cpu 0"));
	assert_null(strstr(text, "kalloc: last freed"));
	run_child(handler_that_returns, 0, text, sizeof(text));
	assert_string_equal(text, "");
}

static void
broken_invariants_say_where(void **state)
{
	(void)state;
	(void)ka_panic_set_handler(catch_panic);
	assert_why(ASSERT, ka_assert_failed("n > 0", "slab.c", 12));
	assert_string_equal(
	    caught.message, "assertion \"n > 0\" failed at slab.c:12");
	assert_null(caught.addr);
}

static void *
free_under_none(void *p)
{
	kfree(kmalloc(8, M_MINE, M_WAITOK), M_MINE); /* a CPU of its own */
	must(strcmp(why_of(kfree(p, NULL)), ka_why_name(KA_WHY_BAD_TYPE)) == 0);
	return (NULL);
}

/* Also where the chunk is another CPU's. */
static void
no_type_is_told_from_any_cpu(void **state)
{
	void *p;

	(void)state;
	boot(&(struct kalloc_config) { .ncpus = 2, .pages = 256 });
	p = kmalloc(64, M_MINE, M_WAITOK);
	thread_run(free_under_none, p);
	assert_int_equal(stats(M_MINE).inuse, 1);
	audit();
	kfree(p, M_MINE);
	halt();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handlers_are_replaced_and_given_back),
		cmocka_unit_test(default_handler_tells_and_aborts),
		cmocka_unit_test(flags_must_be_of_one_family),
		cmocka_unit_test(types_must_be_declared),
		cmocka_unit_test(objects_are_freed_under_their_type),
		cmocka_unit_test(no_more_types_than_there_are),
		cmocka_unit_test(double_free_is_seen_on_the_owner_cpu),
		cmocka_unit_test(double_free_is_seen_when_the_first_was_remote),
		cmocka_unit_test(double_free_is_seen_on_a_remote_cpu),
		cmocka_unit_test(freed_pages_are_free_or_foreign),
		cmocka_unit_test(simultaneous_double_free_is_seen_at_the_drain),
		cmocka_unit_test(
		    simultaneous_remote_frees_are_seen_at_the_drain),
		cmocka_unit_test(pointers_into_objects_are_interior),
		cmocka_unit_test(pointers_from_elsewhere_are_foreign),
		cmocka_unit_test(a_chunk_never_given_out_is_foreign),
		cmocka_unit_test(limits_and_overflow_count_the_attempt),
		cmocka_unit_test(debug_options_are_not_changed_in_use),
		cmocka_unit_test(broken_invariants_say_where),
		cmocka_unit_test(no_type_is_told_from_any_cpu),
	};

	return (cmocka_run_group_tests_name("misuse", tests, NULL, NULL));
}
