/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: the zone allocator does what uma.h says (ZN-1 to ZN-17).
 * Method: callbacks that keep a record of every item, page failures at every
 * point, exact counts of pages and items; the auditor after each test.
 */
#include "kalloc_test.h"

static const struct kalloc_config two_cpus = { .ncpus = 2, .pages = 2048 };

static uma_zone_t
plain_zone(const char *name, size_t size)
{
	uma_zone_t zone =
	    uma_zcreate(name, size, NULL, NULL, NULL, NULL, UMA_ALIGN_PTR, 0);

	assert_non_null(zone);
	return (zone);
}

/* ---- Layout (ZN-13, B21, B34) ------------------------------------------ */

static void
try_layout(size_t size, size_t align)
{
	uma_zone_t zone =
	    uma_zcreate("layout", size, NULL, NULL, NULL, NULL, align, 0);
	struct uma_zone_stats s = zstats(zone);
	unsigned char *p[40];
	unsigned i, n = 0;

	assert_true(s.rsize >= size && s.rsize % (align + 1) == 0);
	assert_true(s.ipers * s.rsize <= s.ppera * KA_PAGE_SIZE);
	while (n < COUNT_OF(p)) {
		p[n] = uma_zalloc(zone, M_RNOWAIT);
		if (p[n] == NULL)
			break;
		assert_int_equal((uintptr_t)p[n] & align, 0);
		assert_true(all_are(p[n], 0, size));
		memset(p[n], (int)(n + 1), size);
		n++;
	}
	assert_true(n == COUNT_OF(p) || (size > 100000 && n >= 6));
	for (i = 0; i < n; i++)
		assert_true(all_are(p[i], (int)(i + 1), size));
	audit();
	for (i = 0; i < n; i++)
		uma_zfree(zone, p[i]);
	uma_zdestroy(zone);
	assert_int_equal(vm_free_pages(), 2047);
}

static void
every_size_and_alignment_works(void **state)
{
	static const size_t sizes[] = { 1, 2, 7, 8, 9, 16, 24, 63, 64, 65, 100,
		128, 129, 255, 256, 257, 500, 512, 513, 1000, 1024, 2000, 2048,
		2049, 3000, 4080, 4095, 4096, 4097, 5000, 8192, 9000, 65536,
		100000, 1 << 20 };
	unsigned i, bits;
	void *odd;

	(void)state;
	boot(&two_cpus);
	odd =
	    vm_page_alloc(1, 0, VM_ALLOC_NORMAL); /* so that none is by luck */
	for (i = 0; i < COUNT_OF(sizes); i++)
		for (bits = 0; bits <= 16; bits++)
			try_layout(sizes[i], ((size_t)1 << bits) - 1);
	vm_page_free(odd, 1);
	halt();
}

/* Small items have slabs of one page; waste is an eighth at most, with as few
 * pages as that takes. */
static void
slabs_waste_little(void **state)
{
	size_t size, less;

	(void)state;
	boot(&two_cpus);
	for (size = 8; size <= 32768; size += 8) {
		uma_zone_t zone = plain_zone("waste", size);
		struct uma_zone_stats s = zstats(zone);
		size_t bytes = s.ppera * KA_PAGE_SIZE;

		assert_true((bytes - s.ipers * s.rsize) * 8 <= bytes);
		assert_true(s.ppera <= 16);
		if (size <= 448 || (size & (size - 1)) == 0)
			assert_true(size > 4096 || s.ppera == 1);
		for (less = KA_PAGE_SIZE; less < bytes; less += KA_PAGE_SIZE)
			assert_true(
			    s.rsize > less || less % s.rsize * 8 > less);
		uma_zdestroy(zone);
	}
	halt();
}

/* ---- Contents (ZN-1, ZN-33, ZN-9) --------------------------------------- */

#define IMAGES 600
struct image {
	unsigned char *item;
	unsigned char byte;
	bool held;
};
static struct image images[IMAGES];
static unsigned nimages;

static struct image *
image_of(unsigned char *item)
{
	unsigned i;

	for (i = 0; i < nimages; i++)
		if (images[i].item == item)
			return (&images[i]);
	assert_true(nimages < IMAGES);
	images[nimages] = (struct image) { item, 0, false };
	return (&images[nimages++]);
}

static void
contents_are_kept_while_the_slab_lives(void **state)
{
	static const size_t sizes[] = { 1, 8, 40, 300, 3000 };
	unsigned i, turn;
	uint32_t r = 1;

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		uma_zone_t zone = uma_zcreate("contents", sizes[i], NULL, NULL,
		    NULL, NULL, 0, UMA_ZONE_NOFREE);

		nimages = 0;
		uma_zone_set_max(zone, 150);
		for (turn = 0; turn < 3000; turn++) {
			struct image *im = NULL;
			unsigned char *p;

			if (nimages > 0)
				im = &images[next_random(&r) % nimages];
			if (im != NULL && im->held) {
				im->byte = (unsigned char)next_random(&r);
				memset(im->item, im->byte, sizes[i]);
				im->held = false;
				uma_zfree(zone, im->item);
			} else if ((p = uma_zalloc(zone, M_NOWAIT)) != NULL) {
				im = image_of(p);
				assert_false(im->held);
				assert_true(all_are(p, im->byte, sizes[i]));
				im->held = true;
			}
			if (turn % 100 == 0)
				uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
		}
		for (turn = 0; turn < nimages; turn++)
			if (images[turn].held)
				uma_zfree(zone, images[turn].item);
		uma_zdestroy(zone);
	}
	halt();
}

/* A new epoch of a slab starts from zero, also of a page that was used. */
static void
an_epoch_begins_with_zeroes(void **state)
{
	uma_zone_t zone;
	unsigned i, epoch;
	void *p[100];

	(void)state;
	boot(&two_cpus);
	zone = plain_zone("epochs", 100);
	for (epoch = 0; epoch < 3; epoch++) {
		for (i = 0; i < COUNT_OF(p); i++) {
			p[i] = uma_zalloc(zone, M_WAITOK);
			assert_true(all_are(p[i], 0, 100));
			memset(p[i], 0xee, 100);
		}
		for (i = 0; i < COUNT_OF(p); i++)
			uma_zfree(zone, p[i]);
		uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
		assert_int_equal(zstats(zone).slabs, 0);
	}
	uma_zdestroy(zone);
	halt();
}

static int
ctor_wants_zeroes(void *item, size_t size, void *udata, int flags)
{
	assert_ptr_equal(udata, images);
	if ((flags & M_ZERO) != 0)
		assert_true(all_are(item, 0, size));
	memset(item, 0x11, size);
	return (0);
}

static void
zero_is_before_ctor(void **state)
{
	uma_zone_t zone;
	void *p;

	(void)state;
	boot(&two_cpus);
	zone = uma_zcreate(
	    "zero", 72, ctor_wants_zeroes, NULL, NULL, NULL, UMA_ALIGN_PTR, 0);
	p = uma_zalloc_arg(zone, images, M_WAITOK);
	memset(p, 0xee, 72);
	uma_zfree(zone, p);
	p = uma_zalloc_arg(zone, images, M_WAITOK | M_ZERO);
	assert_true(all_are(p, 0x11, 72));
	uma_zfree(zone, p);
	uma_zdestroy(zone);
	zone = plain_zone("zero 2", 72);
	p = uma_zalloc(zone, M_WAITOK);
	memset(p, 0xee, 72);
	uma_zfree(zone, p);
	p = uma_zalloc(zone, M_WAITOK | M_ZERO);
	assert_true(all_are(p, 0, 72));
	uma_zfree(zone, p);
	uma_zdestroy(zone);
	halt();
}

/* ---- Callbacks (ZN-2, ZN-3, ZN-4, ZN-10) ------------------------------- */

/* What happens to items: each is initialised, then constructed by turns. */
static struct {
	unsigned inits, finis, ctors, dtors, zinits, zfinis;
	unsigned fail_init, fail_ctor, fail_zinit; /* this one; 0: none */
	char *last;
} did;

/* An item's first byte: 0, 1 initialised, 2 zone-initialised, 3 constructed */
static void
step(char *item, int from, int to)
{
	must(item[0] == from);
	item[0] = (char)to;
}

static int
rec_init(void *item, size_t size, int flags)
{
	must(size == 200 && (flags & (M_WAITOK | M_RNOWAIT)) != 0);
	if (did.fail_init != 0 && did.inits + 1 == did.fail_init)
		return (5);
	did.inits++;
	step(item, 0, 1);
	did.last = item;
	return (0);
}

static void
rec_fini(void *item, size_t size)
{
	must(size == 200);
	/* In reverse, in each slab, which is a page. */
	must((uintptr_t)item / KA_PAGE_SIZE !=
		(uintptr_t)did.last / KA_PAGE_SIZE ||
	    (char *)item <= did.last);
	did.last = item;
	did.finis++;
	step(item, 1, 0);
}

static int
rec_ctor(void *item, size_t size, void *udata, int flags)
{
	must(size == 200 && udata == &did && flags != 0);
	if (did.fail_ctor != 0 && did.ctors + 1 >= did.fail_ctor)
		return (5);
	did.ctors++;
	step(item, 1, 3);
	return (0);
}

static void
rec_dtor(void *item, size_t size, void *udata)
{
	must(size == 200 && udata == &did);
	did.dtors++;
	step(item, 3, 1);
}

static int
rec_zinit(void *item, size_t size, int flags)
{
	must(size == 200 && flags != 0);
	if (did.fail_zinit != 0 && did.zinits + 1 >= did.fail_zinit)
		return (5);
	did.zinits++;
	step(item, 1, 2);
	return (0);
}

static void
rec_zfini(void *item, size_t size)
{
	must(size == 200);
	did.zfinis++;
	step(item, 2, 1);
}

static void
callbacks_are_paired(void **state)
{
	uma_zone_t zone;
	unsigned i, turn;
	void *p[50];

	(void)state;
	boot(&two_cpus);
	memset(&did, 0, sizeof(did));
	zone = uma_zcreate("pairs", 200, rec_ctor, rec_dtor, rec_init, rec_fini,
	    UMA_ALIGN_PTR, 0);
	for (turn = 1; turn <= 3; turn++) {
		for (i = 0; i < COUNT_OF(p); i++)
			p[i] = uma_zalloc_arg(
			    zone, &did, i % 2 ? M_WAITOK : M_NOWAIT);
		assert_int_equal(did.ctors, turn * 50);
		assert_int_equal(did.inits - did.finis,
		    zstats(zone).ipers * zstats(zone).slabs);
		for (i = 0; i < COUNT_OF(p); i++)
			uma_zfree_arg(zone, p[i], &did);
		assert_int_equal(did.dtors, turn * 50);
		did.last = NULL;
		if (turn == 2)
			uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
		assert_int_equal(did.finis, turn < 2 ? 0 : 60);
	}
	audit();
	did.last = NULL;
	uma_zdestroy(zone);
	assert_int_equal(did.inits, did.finis);
	halt();
}

/* B25: nothing of a refused item stays behind. */
static void
refused_ctors_cost_nothing(void **state)
{
	struct uma_zone_stats s;
	uma_zone_t zone;
	unsigned i;
	void *p[40];

	(void)state;
	boot(&two_cpus);
	memset(&did, 0, sizeof(did));
	zone = uma_zcreate("refuses", 200, rec_ctor, rec_dtor, rec_init,
	    rec_fini, UMA_ALIGN_PTR, 0);
	uma_zone_set_max(zone, 40);
	did.fail_ctor = 1;
	for (i = 0; i < 200; i++)
		assert_null(
		    uma_zalloc_arg(zone, &did, i % 2 ? M_WAITOK : M_NOWAIT));
	assert_int_equal(did.dtors, 0);
	assert_int_equal(uma_zone_get_cur(zone), 0);
	s = zstats(zone);
	assert_int_equal(s.failures, 200);
	assert_int_equal(s.requests, 200);
	audit();
	did.fail_ctor = 0;
	for (i = 0; i < COUNT_OF(p); i++)
		assert_non_null(p[i] = uma_zalloc_arg(zone, &did, M_WAITOK));
	for (i = 0; i < COUNT_OF(p); i++)
		uma_zfree_arg(zone, p[i], &did);
	did.last = NULL;
	uma_zdestroy(zone);
	halt();
}

/* B36: also with M_WAITOK the call ends. */
static void
refused_inits_give_the_slab_back(void **state)
{
	uma_zone_t zone;
	unsigned k;
	void *p;

	(void)state;
	boot(&two_cpus);
	zone = uma_zcreate(
	    "no init", 200, NULL, NULL, rec_init, rec_fini, UMA_ALIGN_PTR, 0);
	for (k = 1; k <= zstats(zone).ipers; k++) {
		memset(&did, 0, sizeof(did));
		did.fail_init = k;
		assert_null(uma_zalloc(zone, k % 2 ? M_WAITOK : M_NOWAIT));
		assert_int_equal(did.inits, k - 1);
		assert_int_equal(did.finis, k - 1);
		assert_int_equal(vm_free_pages(), 2048);
		assert_int_equal(uma_zone_get_cur(zone), 0);
		audit();
	}
	memset(&did, 0, sizeof(did));
	p = uma_zalloc(zone, M_WAITOK);
	assert_non_null(p);
	uma_zfree(zone, p);
	did.last = NULL;
	uma_zdestroy(zone);
	halt();
}

static uma_zone_t nested_zone;

static int
ctor_allocates(void *item, size_t size, void *udata, int flags)
{
	(void)size;
	(void)udata;
	*(void **)item = uma_zalloc(nested_zone, flags);
	return (*(void **)item == NULL);
}

static void
dtor_frees(void *item, size_t size, void *udata)
{
	(void)size;
	(void)udata;
	uma_zfree(nested_zone, *(void **)item);
}

static int
init_allocates(void *item, size_t size, int flags)
{
	(void)size;
	*(void **)item = kmalloc(30, M_TEMP, flags | M_NULLOK);
	return (*(void **)item == NULL);
}

static void
fini_frees(void *item, size_t size)
{
	(void)size;
	kfree(*(void **)item, M_TEMP);
}

/* G-9 */
static void
callbacks_may_allocate(void **state)
{
	uma_zone_t a, b;
	unsigned i;
	void *p[70], *q;

	(void)state;
	boot(&two_cpus);
	nested_zone = plain_zone("nested", 48);
	a = uma_zcreate("outer", 120, ctor_allocates, dtor_frees, NULL, NULL,
	    UMA_ALIGN_PTR, 0);
	b = uma_zcreate("inits", 120, NULL, NULL, init_allocates, fini_frees,
	    UMA_ALIGN_PTR, 0);
	for (i = 0; i < COUNT_OF(p); i++) {
		p[i] = uma_zalloc(a, M_WAITOK);
		q = uma_zalloc(b, M_WAITOK);
		uma_zfree(b, q);
	}
	assert_int_equal(uma_zone_get_cur(nested_zone), COUNT_OF(p));
	for (i = 0; i < COUNT_OF(p); i++)
		uma_zfree(a, p[i]);
	audit();
	uma_reclaim(UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(stats(M_TEMP).inuse, 0);
	uma_zdestroy(a);
	uma_zdestroy(b);
	uma_zdestroy(nested_zone);
	halt();
}

/* ---- Limits (ZN-5, ZN-6, ZN-8, B13, B26) -------------------------------- */

static unsigned
take_all(uma_zone_t zone, void **p, unsigned max, int flags)
{
	unsigned n = 0;

	while (n < max && (p[n] = uma_zalloc(zone, flags)) != NULL)
		n++;
	return (n);
}

static void
give_all(uma_zone_t zone, void **p, unsigned n)
{
	while (n > 0)
		uma_zfree(zone, p[--n]);
}

static void
a_maximum_is_exact(void **state)
{
	static const size_t sizes[] = { 8, 64, 1000, 5000 };
	void *p[300];
	unsigned i;
	int max;

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(sizes); i++)
		for (max = 1; max < 260; max += max < 20 ? 1 : 37) {
			uma_zone_t zone = plain_zone("max", sizes[i]);
			struct uma_zone_stats s;
			unsigned turn, n;

			assert_int_equal(uma_zone_set_max(zone, max), max);
			assert_int_equal(uma_zone_get_max(zone), max);
			for (turn = 0; turn < 3; turn++) {
				n = take_all(zone, p, COUNT_OF(p), M_NOWAIT);
				assert_int_equal(n, max);
				s = zstats(zone);
				assert_int_equal(s.used, max);
				assert_int_equal(s.slabs,
				    ((unsigned)max + s.ipers - 1) / s.ipers);
				audit();
				give_all(zone, p, n);
				s = zstats(zone);
				assert_true(s.used + s.cached <= s.limit);
				if (max < 4)
					assert_int_equal(s.cached, 0);
			}
			uma_zdestroy(zone);
		}
	halt();
}

static void
a_maximum_may_come_at_any_time(void **state)
{
	uma_zone_t zone;
	void *p[100], *q;
	unsigned n;

	(void)state;
	boot(&two_cpus);
	zone = plain_zone("warm", 64);
	n = take_all(zone, p, 20, M_NOWAIT);
	uma_zone_set_max(zone, 100);
	assert_int_equal(take_all(zone, p + n, 80, M_NOWAIT), 80);
	assert_null(uma_zalloc(zone, M_NOWAIT));
	/* Lowered: nothing new until it is below, whatever is freed. */
	uma_zone_set_max(zone, 10);
	audit();
	for (n = 100; n > 10; n--) {
		assert_null(uma_zalloc(zone, M_NOWAIT));
		uma_zfree(zone, p[n - 1]);
		assert_int_equal(uma_zone_get_cur(zone), n - 1);
	}
	assert_null(uma_zalloc(zone, M_NOWAIT));
	audit();
	uma_zfree(zone, p[9]);
	q = uma_zalloc(zone, M_NOWAIT);
	assert_non_null(q);
	uma_zfree(zone, q);
	/* With items in caches. */
	give_all(zone, p, 9);
	uma_zone_set_max(zone, 0);
	n = take_all(zone, p, 100, M_NOWAIT);
	assert_int_equal(n, 100);
	give_all(zone, p + 20, 80);
	assert_true(zstats(zone).cached >= 40);
	uma_zone_set_max(zone, 15);
	assert_int_equal(zstats(zone).cached, 0);
	assert_null(uma_zalloc(zone, M_NOWAIT));
	uma_zone_set_max(zone, 21);
	assert_non_null(p[20] = uma_zalloc(zone, M_NOWAIT));
	assert_null(uma_zalloc(zone, M_NOWAIT));
	give_all(zone, p, 21);
	audit();
	uma_zone_set_max(zone, 0);
	assert_int_equal(uma_zone_get_max(zone), 0);
	assert_int_equal(take_all(zone, p, 100, M_NOWAIT), 100);
	give_all(zone, p, 100);
	assert_why(BAD_ARG, uma_zone_set_max(zone, -1));
	uma_zdestroy(zone);
	/* Where buckets stay what they are. */
	zone = plain_zone("large", 3000);
	take_all(zone, p, 60, M_NOWAIT);
	give_all(zone, p + 40, 20);
	n = (unsigned)zstats(zone).bucket;
	assert_true(zstats(zone).cached > 0);
	uma_zone_set_max(zone, 40);
	assert_int_equal(zstats(zone).bucket, n);
	assert_int_equal(zstats(zone).cached, 0);
	assert_null(uma_zalloc(zone, M_NOWAIT));
	give_all(zone, p, 40);
	uma_zdestroy(zone);
	halt();
}

static void
maxcache_bounds_what_is_cached(void **state)
{
	static const int bounds[] = { 0, 1, 5, 9, 50, 500, 100000 };
	uma_zone_t zone;
	void *p[1500];
	unsigned i;

	(void)state;
	boot(&two_cpus);
	zone = plain_zone("maxcache", 64);
	for (i = 0; i < COUNT_OF(bounds); i++) {
		uma_zone_set_maxcache(zone, bounds[i]);
		assert_true(zstats(zone).cached <= (unsigned)bounds[i]);
		take_all(zone, p, COUNT_OF(p), M_NOWAIT);
		assert_true(zstats(zone).cached <= (unsigned)bounds[i]);
		give_all(zone, p, COUNT_OF(p));
		assert_true(zstats(zone).cached <= (unsigned)bounds[i]);
		audit();
	}
	assert_true(zstats(zone).cached > 100);
	assert_why(BAD_ARG, uma_zone_set_maxcache(zone, -1));
	uma_zdestroy(zone);
	zone = uma_zcreate(
	    "nobucket", 64, NULL, NULL, NULL, NULL, 7, UMA_ZONE_NOBUCKET);
	uma_zone_set_max(zone, 1000); /* the flag wins */
	take_all(zone, p, 100, M_NOWAIT);
	give_all(zone, p, 100);
	assert_int_equal(zstats(zone).cached, 0);
	assert_int_equal(zstats(zone).bucket, 0);
	uma_zdestroy(zone);
	halt();
}

/* ---- What is told at the maximum ---------------------------------------- */

static unsigned actions;

static void
count_action(uma_zone_t zone)
{
	actions++;
	(void)uma_zone_get_cur(zone); /* nothing is locked */
}

static void
the_maximum_is_told(void **state)
{
	int pipefd[2], saved = dup(STDERR_FILENO);
	char text[200];
	uma_zone_t zone;
	ssize_t len;
	void *p;

	(void)state;
	boot(&two_cpus);
	zone = plain_zone("tells", 64);
	uma_zone_set_max(zone, 1);
	uma_zone_set_warning(zone, "it is full");
	uma_zone_set_maxaction(zone, count_action);
	p = uma_zalloc(zone, M_NOWAIT);
	actions = 0;
	assert_int_equal(pipe(pipefd), 0);
	(void)dup2(pipefd[1], STDERR_FILENO);
	assert_null(uma_zalloc(zone, M_NOWAIT));
	assert_null(uma_zalloc(zone, M_NOWAIT));
	(void)dup2(saved, STDERR_FILENO);
	(void)close(pipefd[1]);
	len = read(pipefd[0], text, sizeof(text) - 1);
	(void)close(pipefd[0]);
	(void)close(saved);
	assert_true(len > 0);
	text[len] = '\0';
	assert_string_equal(text, "tells: it is full\n");
	assert_int_equal(actions, 2);
	uma_zone_set_maxaction(zone, NULL);
	uma_zone_set_warning(zone, NULL);
	assert_null(uma_zalloc(zone, M_NOWAIT));
	assert_int_equal(actions, 2);
	uma_zfree(zone, p);
	uma_zdestroy(zone);
	halt();
}

/* ---- Pages (ZN-14, G-6, B6) --------------------------------------------- */

static struct {
	unsigned calls, fail_at, fail_from; /* the k-th, 0: none */
} pages;

static enum vm_observe
pages_try(void *arg, size_t npages, size_t align, unsigned flags)
{
	(void)arg;
	(void)npages;
	(void)align;
	(void)flags;
	pages.calls++;
	if (pages.calls == pages.fail_at ||
	    (pages.fail_from != 0 && pages.calls >= pages.fail_from))
		return (VM_OBSERVE_FAIL);
	return (VM_OBSERVE_PASS);
}

static const struct vm_observer page_observer = { .ask = pages_try };

static void
pages_fail(unsigned at, unsigned from)
{
	memset(&pages, 0, sizeof(pages));
	pages.fail_at = at;
	pages.fail_from = from;
	vm_page_observe(&page_observer);
}

static void
a_refusal_of_pages_changes_nothing(void **state)
{
	struct uma_zone_stats before, after;
	unsigned k;

	(void)state;
	boot(&two_cpus);
	for (k = 1; k < 10; k++) {
		uma_zone_t zone = plain_zone("fails", 1000);
		void *p[40];
		unsigned n;

		pages_fail(k, 0);
		n = take_all(zone, p, COUNT_OF(p), M_NOWAIT);
		assert_int_equal(n, (k - 1) * 4);
		before = zstats(zone);
		pages_fail(0, 1);
		assert_null(uma_zalloc(zone, M_NOWAIT));
		after = zstats(zone);
		assert_int_equal(after.failures, before.failures + 1);
		assert_int_equal(after.requests, before.requests + 1);
		after.failures--;
		after.requests--;
		assert_memory_equal(&before, &after, sizeof(after));
		audit();
		vm_page_observe(NULL);
		p[n] = uma_zalloc(zone, M_NOWAIT);
		assert_non_null(p[n]);
		/* A failure that does not last is no sleep without end. */
		pages_fail(1, 0);
		give_all(zone, p, n + 1);
		n = take_all(zone, p, COUNT_OF(p), M_WAITOK);
		assert_int_equal(n, COUNT_OF(p));
		vm_page_observe(NULL);
		give_all(zone, p, n);
		uma_zdestroy(zone);
	}
	halt();
}

static void
prealloc_needs_no_page_later(void **state)
{
	uma_zone_t zone;
	void *p[300];

	(void)state;
	boot(&two_cpus);
	zone = plain_zone("prealloc", 100);
	uma_prealloc(zone, 200);
	assert_int_equal(zstats(zone).slabs, 6); /* 39 in a page */
	/* Kept by all but DRAIN_CPU, until it was used. */
	uma_zone_reclaim(zone, UMA_RECLAIM_TRIM);
	uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN);
	assert_int_equal(zstats(zone).slabs, 6);
	pages_fail(0, 1);
	assert_true(take_all(zone, p, COUNT_OF(p), M_RNOWAIT) >= 200);
	assert_int_equal(pages.calls >= 1, 1);
	vm_page_observe(NULL);
	give_all(zone, p, 6 * 39);
	uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(zstats(zone).slabs, 0);
	uma_prealloc(zone, 10);
	uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(zstats(zone).slabs, 0);
	uma_prealloc(zone, 0);
	assert_int_equal(zstats(zone).slabs, 0);
	assert_why(BAD_ARG, uma_prealloc(zone, -1));
	uma_zdestroy(zone);
	halt();
}

static void
a_reserve_is_exact(void **state)
{
	static const int reserves[] = { 1, 10, 39, 40, 100 };
	unsigned i, n, m;
	void *p[300];

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(reserves); i++) {
		uma_zone_t zone = plain_zone("reserve", 100);
		struct uma_zone_stats s;

		uma_zone_reserve(zone, reserves[i]);
		assert_int_equal(zstats(zone).slabs, 0);
		uma_prealloc(zone, 50);
		pages_fail(0, 1);
		s = zstats(zone);
		n = take_all(zone, p, COUNT_OF(p), M_RNOWAIT);
		assert_int_equal(n, s.free - (unsigned)reserves[i]);
		assert_true(n >= 50);
		assert_int_equal(zstats(zone).free, reserves[i]);
		assert_int_equal(zstats(zone).cached, 0);
		/* One at a time: the rest stays for other CPUs (B6). */
		assert_int_equal(take_all(zone, p + n, 1, M_NOWAIT), 1);
		assert_int_equal(zstats(zone).free, reserves[i] - 1);
		m = 1 +
		    take_all(zone, p + n + 1, COUNT_OF(p) - n - 1, M_NOWAIT);
		assert_int_equal(m, reserves[i]);
		vm_page_observe(NULL);
		give_all(zone, p, n + m);
		audit();
		/* Reclaim leaves it. */
		uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
		s = zstats(zone);
		assert_true(s.free >= (unsigned)reserves[i]);
		assert_true(s.free < (unsigned)reserves[i] + s.ipers);
		assert_why(BUSY, uma_zone_reserve(zone, 3));
		uma_zdestroy(zone);
	}
	assert_int_equal(vm_free_pages(), 2048);
	halt();
}

/* TRIM leaves what was in use since the last one. */
static void
trim_leaves_what_is_used(void **state)
{
	uma_zone_t zone;
	uint64_t was;
	void *p[1000];

	(void)state;
	boot(&two_cpus);
	zone = plain_zone("trim", 64);
	take_all(zone, p, COUNT_OF(p), M_NOWAIT);
	give_all(zone, p, COUNT_OF(p));
	was = zstats(zone).cached;
	assert_true(was > 3 * zstats(zone).bucket);
	uma_zone_reclaim(zone, UMA_RECLAIM_TRIM);
	assert_int_equal(zstats(zone).cached, was);
	uma_zone_reclaim(zone, UMA_RECLAIM_TRIM);
	assert_true(zstats(zone).cached < was);
	assert_true(zstats(zone).cached > 0); /* CPUs keep theirs */
	assert_true(zstats(zone).slabs < 1000 / 64);
	uma_zdestroy(zone);
	halt();
}

static void
reclaim_gives_back_what_is_free(void **state)
{
	uma_zone_t zone, nofree;
	uint64_t was;
	void *p[1000];
	int i;

	(void)state;
	boot(&two_cpus);
	zone = plain_zone("reclaim", 200);
	nofree = uma_zcreate(
	    "nofree", 200, NULL, NULL, NULL, NULL, 7, UMA_ZONE_NOFREE);
	take_all(zone, p, COUNT_OF(p), M_NOWAIT);
	for (i = 0; i < 1000; i++)
		memset(p[i], i, 200);
	give_all(zone, p + 500, 500);
	was = zstats(zone).slabs;
	for (i = 0; i < 3; i++) {
		uma_zone_reclaim(zone, UMA_RECLAIM_TRIM);
		assert_true(zstats(zone).slabs <= was);
		was = zstats(zone).slabs;
	}
	uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN);
	assert_true(zstats(zone).slabs <= was);
	uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(zstats(zone).cached, 0);
	assert_int_equal(zstats(zone).slabs, (500 + 19) / 20);
	for (i = 0; i < 500; i++)
		assert_true(all_are(p[i], i, 200));
	give_all(zone, p, 500);
	uma_reclaim(UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(vm_free_pages(), 2048);
	take_all(nofree, p, 100, M_NOWAIT);
	give_all(nofree, p, 100);
	uma_zone_reclaim(nofree, UMA_RECLAIM_DRAIN_CPU);
	assert_true(zstats(nofree).slabs >= 5);
	assert_why(BAD_ARG, uma_zone_reclaim(zone, 0));
	assert_why(BAD_ARG, uma_zone_reclaim(zone, 4));
	assert_why(BAD_ARG, uma_reclaim(99));
	uma_zdestroy(zone);
	uma_zdestroy(nofree);
	assert_int_equal(vm_free_pages(), 2048);
	halt();
}

/* ---- Secondary zones (ZN-15) --------------------------------------------- */

static int
sec_ctor(void *item, size_t size, void *udata, int flags)
{
	(void)size;
	(void)udata;
	(void)flags;
	step(item, 2, 3);
	return (0);
}

static void
sec_dtor(void *item, size_t size, void *udata)
{
	(void)size;
	(void)udata;
	step(item, 3, 2);
}

static void
secondary_zones_share_a_keg(void **state)
{
	uma_zone_t primary, second;
	void *p[60], *q[60];
	unsigned n;

	(void)state;
	boot(&two_cpus);
	memset(&did, 0, sizeof(did));
	primary = uma_zcreate(
	    "primary", 200, NULL, NULL, rec_init, rec_fini, UMA_ALIGN_PTR, 0);
	second = uma_zsecond_create(
	    "second", sec_ctor, sec_dtor, rec_zinit, rec_zfini, primary);
	uma_zone_set_max(second, 50);
	n = take_all(second, q, 60, M_NOWAIT);
	assert_int_equal(n, 50);
	assert_int_equal(take_all(primary, p, 60, M_NOWAIT), 60);
	assert_int_equal(uma_zone_get_cur(primary), 60);
	assert_int_equal(uma_zone_get_max(primary), 0);
	audit();
	assert_why(WRONG_ZONE, uma_zfree(primary, q[0]));
	assert_why(WRONG_ZONE, uma_zfree(second, p[0]));
	assert_why(BUSY, uma_zdestroy(primary));
	assert_why(BUSY, uma_zdestroy(second));
	give_all(primary, p, 60);
	assert_why(BUSY, uma_zdestroy(primary));
	give_all(second, q, 50);
	assert_true(did.zinits >= 50);
	uma_zone_reclaim(second, UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(did.zinits, did.zfinis);
	uma_zdestroy(second);
	assert_int_equal(take_all(primary, p, 60, M_NOWAIT), 60);
	give_all(primary, p, 60);
	did.last = NULL;
	uma_zone_reclaim(primary, UMA_RECLAIM_DRAIN_CPU);
	assert_int_equal(did.inits, did.finis);
	uma_zdestroy(primary);
	halt();
}

static void
a_zinit_that_fails_uses_those_before(void **state)
{
	uma_zone_t primary, second;
	unsigned k;
	void *p;

	(void)state;
	boot(&two_cpus);
	for (k = 1; k <= 12; k++) {
		memset(&did, 0, sizeof(did));
		primary = uma_zcreate("primary", 200, NULL, NULL, rec_init,
		    rec_fini, UMA_ALIGN_PTR, 0);
		second = uma_zsecond_create(
		    "second", NULL, NULL, rec_zinit, rec_zfini, primary);
		did.fail_zinit = k;
		p = uma_zalloc(second, k % 2 ? M_WAITOK : M_NOWAIT);
		assert_int_equal(p != NULL, k > 1);
		assert_int_equal(did.zinits, k - 1);
		assert_int_equal(did.zfinis, 0);
		assert_int_equal(zstats(second).cached, k > 1 ? k - 2 : 0);
		audit();
		uma_zfree(second, p);
		uma_zdestroy(second);
		assert_int_equal(did.zfinis, k - 1);
		did.last = NULL;
		uma_zdestroy(primary);
		assert_int_equal(did.inits, did.finis);
	}
	halt();
}

/* ---- Cache zones (ZN-15, B15, B54) -------------------------------------- */

static struct {
	void *stack[64];
	unsigned n, least, most; /* an import gives so many at most */
	unsigned calls;
} pool;

static int
pool_import(void *arg, void **store, int count, int flags)
{
	int n = 0;

	must(arg == &pool && count > 0 && flags != 0);
	pool.calls++;
	while (n < count && pool.n > 0 && (unsigned)n < pool.most)
		store[n++] = pool.stack[--pool.n];
	return (n);
}

static void
pool_release(void *arg, void **store, int count)
{
	must(arg == &pool && count > 0);
	while (count > 0)
		pool.stack[pool.n++] = store[--count];
}

static unsigned znumbers;

static int
number_init(void *item, size_t size, int flags)
{
	(void)flags;
	must((uintptr_t)item >= 1 && (uintptr_t)item <= 64 && size == 4);
	if ((uintptr_t)item % 7 == 0 && did.fail_zinit != 0)
		return (1);
	znumbers++;
	return (0);
}

static void
number_fini(void *item, size_t size)
{
	must((uintptr_t)item >= 1 && (uintptr_t)item <= 64 && size == 4);
	znumbers--;
}

static void
cache_zones_keep_every_pointer(void **state)
{
	static const unsigned mosts[] = { 1, 3, 64, 1000 };
	unsigned i, n, turn;
	uma_zone_t zone;
	void *p[80];

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(mosts); i++) {
		memset(&pool, 0, sizeof(pool));
		pool.most = mosts[i];
		znumbers = 0;
		for (n = 0; n < 64; n++) /* not memory */
			pool.stack[pool.n++] = (void *)(uintptr_t)(n + 1);
		zone = uma_zcache_create("numbers", 4, NULL, NULL, number_init,
		    number_fini, pool_import, pool_release, &pool, 0);
		for (turn = 0; turn < 4; turn++) {
			did.fail_zinit = turn % 2;
			n = take_all(zone, p, COUNT_OF(p),
			    turn < 2 ? M_NOWAIT : M_WAITOK);
			assert_true(turn % 2 || n == 64);
			assert_int_equal(uma_zone_get_cur(zone), n);
			audit();
			give_all(zone, p, n);
			uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
			assert_int_equal(pool.n, 64);
			assert_int_equal(znumbers, 0);
		}
		did.fail_zinit = 0;
		uma_zone_set_max(zone, 20);
		assert_int_equal(take_all(zone, p, 80, M_NOWAIT), 20);
		give_all(zone, p, 20);
		assert_true(zstats(zone).cached <= 20);
		assert_why(
		    BAD_FLAGS, sink = uma_zalloc(zone, M_WAITOK | M_ZERO));
		uma_zdestroy(zone);
		assert_int_equal(pool.n, 64);
	}
	halt();
}

/* ---- Another source of slabs ---------------------------------------------- */

static struct {
	unsigned got, freed;
	bool fail;
} source;

static void *
source_alloc(uma_zone_t zone, size_t bytes, int flags)
{
	void *p;

	must(zone != NULL && bytes % KA_PAGE_SIZE == 0 && flags != 0);
	if (source.fail)
		return (NULL);
	must(posix_memalign(&p, KA_PAGE_SIZE, bytes) == 0);
	memset(p, 0, bytes);
	source.got++;
	return (p);
}

static void
source_free(void *mem, size_t bytes)
{
	must(bytes % KA_PAGE_SIZE == 0);
	source.freed++;
	free(mem);
}

static void
slabs_may_come_from_elsewhere(void **state)
{
	static const size_t sizes[] = { 10, 500, 5000 };
	unsigned i, turn, n;
	uma_zone_t zone;
	void *p[200];

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		memset(&source, 0, sizeof(source));
		zone = plain_zone("elsewhere", sizes[i]);
		uma_zone_set_allocf(zone, source_alloc);
		uma_zone_set_freef(zone, source_free);
		for (turn = 0; turn < 3; turn++) {
			n = take_all(zone, p, COUNT_OF(p), M_NOWAIT);
			assert_int_equal(n, COUNT_OF(p));
			assert_true(turn > 0 || all_are(p[0], 0, sizes[i]));
			audit();
			assert_why(INTERIOR, uma_zfree(zone, (char *)p[3] + 4));
			uma_zfree(zone, p[5]);
			assert_why(DOUBLE_FREE, uma_zfree(zone, p[5]));
			p[5] = uma_zalloc(zone, M_NOWAIT);
			give_all(zone, p, n);
			assert_true(zstats(zone).cached > 0);
		}
		assert_int_equal(vm_free_pages(), 2048);
		assert_why(BUSY, uma_zone_set_allocf(zone, NULL));
		assert_why(BUSY, uma_zone_set_freef(zone, NULL));
		uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
		assert_int_equal(source.got, source.freed);
		source.fail = true;
		assert_null(uma_zalloc(zone, M_NOWAIT));
		assert_null(uma_zalloc(zone, M_WAITOK));
		source.fail = false;
		uma_zfree(zone, uma_zalloc(zone, M_WAITOK));
		uma_zdestroy(zone);
		assert_int_equal(source.got, source.freed);
	}
	halt();
}

/* ---- Statistics (ZN-16, ZN-17) --------------------------------------------- */

static char lines[20][160];
static unsigned nlines;

static void
keep_line(void *arg, const char *line)
{
	(void)arg;
	(void)snprintf(lines[nlines++ % 20], 160, "%s", line);
}

static void
zones_are_listed(void **state)
{
	static const char name[] = "the name is kept";
	struct uma_zone_stats s;
	char item[60];
	unsigned long long size, limit, used, nfree, req, fail, slept;
	uma_zone_t zone;
	unsigned n;
	void *p[30];

	(void)state;
	boot(&two_cpus);
	zone = plain_zone(name, 104);
	uma_zone_set_max(zone, 25);
	take_all(zone, p, 30, M_NOWAIT);
	give_all(zone, p + 20, 5);
	s = zstats(zone);
	assert_ptr_equal(s.name, name);
	assert_int_equal(s.size, 104);
	assert_int_equal(s.used, 20);
	assert_int_equal(s.cached + s.used + s.free, s.slabs * s.ipers);
	assert_int_equal(s.requests, 26);
	assert_int_equal(s.failures, 1);
	assert_int_equal(s.limit, 25);
	for (n = 0; uma_stats(n, &s); n++)
		;
	assert_int_equal(n, 1);
	nlines = 0;
	uma_vmstat(keep_line, NULL);
	assert_int_equal(nlines, 2);
	assert_int_equal(
	    sscanf(lines[1],
		"the name is %59s %llu %llu %llu %llu %llu %llu "
		"%llu",
		item, &size, &limit, &used, &nfree, &req, &fail, &slept),
	    8);
	assert_true(size == 104 && limit == 25 && used == 20 && req == 26 &&
	    fail == 1 && slept == 0 && nfree == zstats(zone).ipers - 20);
	give_all(zone, p, 20);
	uma_zdestroy(zone);
	halt();
}

/* ---- Life (G-1, ZN-11, B2) --------------------------------------------------- */

static struct kalloc_leak leaks[8];
static unsigned nleaks;

static void
keep_leak(void *arg, const struct kalloc_leak *leak)
{
	(void)arg;
	leaks[nleaks++ % 8] = *leak;
}

static void
halt_tells_what_is_held(void **state)
{
	uma_zone_t zone, other;
	void *p[30];

	(void)state;
	boot(&two_cpus);
	zone = plain_zone("left over", 104);
	other = plain_zone("empty", 104);
	take_all(zone, p, 30, M_NOWAIT);
	take_all(other, p + 20, 5, M_NOWAIT);
	give_all(other, p + 20, 5);
	give_all(zone, p, 13);
	nleaks = 0;
	assert_int_equal(kalloc_halt(false, keep_leak, NULL), 16 /* EBUSY */);
	assert_int_equal(nleaks, 1);
	assert_string_equal(leaks[0].name, "left over");
	assert_int_equal(leaks[0].count, 17);
	assert_int_equal(leaks[0].bytes, 17 * 104);
	assert_int_equal(uma_zone_get_cur(zone), 17);
	audit();
	assert_int_equal(kalloc_halt(true, keep_leak, NULL), 0);
	assert_int_equal(nleaks, 2);
	assert_why(BAD_HANDLE, sink = uma_zalloc(zone, M_NOWAIT));
	assert_null(uma_zcreate("too late", 8, NULL, NULL, NULL, NULL, 7, 0));
	boot(&two_cpus);
	assert_why(BAD_HANDLE, sink = uma_zalloc(zone, M_NOWAIT));
	assert_why(BAD_HANDLE, uma_zfree(zone, p[20]));
	zone = plain_zone("anew", 104);
	assert_why(FOREIGN, uma_zfree(zone, p[20]));
	assert_true(all_are(p[0] = uma_zalloc(zone, M_NOWAIT), 0, 104));
	uma_zfree(zone, p[0]);
	/* Zones that are empty end with the system. */
	uma_zone_reclaim(zone, UMA_RECLAIM_DRAIN_CPU);
	halt();
	assert_why(BAD_HANDLE, uma_zdestroy(zone));
}

static void
zones_come_and_go(void **state)
{
	unsigned i, j;
	void *p[20];

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < 3000; i++) {
		uma_zone_t zone = plain_zone("fly", 8 + i % 500);

		take_all(zone, p, COUNT_OF(p), M_NOWAIT);
		if (i % 50 == 0) {
			assert_why(BUSY, uma_zdestroy(zone));
			for (j = 0; j < COUNT_OF(p); j++)
				memset(p[j], 1, 8);
		}
		give_all(zone, p, COUNT_OF(p));
		uma_zdestroy(zone);
		assert_why(BAD_HANDLE, uma_zdestroy(zone));
	}
	assert_int_equal(vm_free_pages(), 2048);
	halt();
}

/* ---- Static zones (ZN-30) ------------------------------------------------------ */

static void
a_static_zone_works_before_boot(void **state)
{
	static char arena[4000] __attribute__((aligned(64)));
	static char big[200000];
	struct uma_zone_stats s;
	unsigned round, n;
	uma_zone_t zone, large;
	void *p[100], *q[4000];

	(void)state;
	(void)ka_panic_set_handler(catch_panic);
	if (kalloc_is_up())
		(void)kalloc_halt(true, NULL, NULL);
	zone = uma_zcreate_static("static", 60, NULL, NULL, NULL, NULL, 63, 0,
	    arena + 1, sizeof(arena) - 1);
	large = uma_zcreate_static(
	    "large", 50, NULL, NULL, NULL, NULL, 0, 0, big, sizeof(big));
	for (round = 0; round < 3; round++) {
		n = take_all(zone, p, COUNT_OF(p), M_NOWAIT);
		assert_int_equal(n, 61);
		assert_null(uma_zalloc(zone, M_WAITOK));
		assert_int_equal((uintptr_t)p[0] & 63, 0);
		assert_true(all_are(p[0], round ? 9 : 0, 60));
		memset(p[0], 9, 60);
		assert_int_equal(take_all(large, q, 4000, M_NOWAIT), 3571);
		s = zstats(zone);
		assert_int_equal(s.used, 61);
		if (round == 1)
			halt(); /* held items of it are no leak */
		assert_why(INTERIOR, uma_zfree(zone, (char *)p[3] + 8));
		assert_why(WRONG_ZONE, uma_zfree(large, p[3]));
		uma_zfree(zone, p[3]);
		assert_why(DOUBLE_FREE, uma_zfree(zone, p[3]));
		p[3] = uma_zalloc(zone, M_NOWAIT);
		give_all(zone, p + 1, 60);
		give_all(zone, p, 1);
		give_all(large, q, 3571);
		if (round == 0)
			boot(&two_cpus);
	}
	assert_why(FOREIGN, uma_zfree(zone, arena + 3999));
	assert_why(BAD_ARG,
	    sink = uma_zcreate_static(
		"over", 8, NULL, NULL, NULL, NULL, 7, 0, big + 8000, 800));
	assert_why(BAD_ARG,
	    sink = uma_zcreate_static(
		"none", 8, NULL, NULL, NULL, NULL, 7, 0, arena, 7));
	uma_zdestroy(zone);
	uma_zdestroy(large);
}

/* A callback works there too, and a secondary zone. */
static void
a_static_zone_has_callbacks(void **state)
{
	static char arena[2000] __attribute__((aligned(8)));
	uma_zone_t zone, second;
	void *p[20];

	(void)state;
	(void)ka_panic_set_handler(catch_panic);
	memset(&did, 0, sizeof(did));
	zone = uma_zcreate_static("static", 200, rec_ctor, rec_dtor, rec_init,
	    rec_fini, 7, 0, arena, sizeof(arena));
	assert_int_equal(did.inits, 10);
	second = uma_zsecond_create(
	    "second", sec_ctor, sec_dtor, rec_zinit, rec_zfini, zone);
	p[0] = uma_zalloc_arg(zone, &did, M_NOWAIT);
	assert_int_equal(take_all(second, p + 1, 19, M_NOWAIT), 9);
	boot(&two_cpus);
	halt();
	assert_why(BUSY, uma_zdestroy(zone));
	give_all(second, p + 1, 9);
	uma_zfree_arg(zone, p[0], &did);
	uma_zdestroy(second);
	did.last = NULL;
	uma_zdestroy(zone);
	assert_int_equal(did.finis, 10);
	/* One that refuses: no zone. */
	memset(&did, 0, sizeof(did));
	did.fail_init = 5;
	assert_null(uma_zcreate_static("static", 200, rec_ctor, rec_dtor,
	    rec_init, rec_fini, 7, 0, arena, sizeof(arena)));
	assert_int_equal(did.finis, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_and_alignment_works),
		cmocka_unit_test(slabs_waste_little),
		cmocka_unit_test(contents_are_kept_while_the_slab_lives),
		cmocka_unit_test(an_epoch_begins_with_zeroes),
		cmocka_unit_test(zero_is_before_ctor),
		cmocka_unit_test(callbacks_are_paired),
		cmocka_unit_test(refused_ctors_cost_nothing),
		cmocka_unit_test(refused_inits_give_the_slab_back),
		cmocka_unit_test(callbacks_may_allocate),
		cmocka_unit_test(a_maximum_is_exact),
		cmocka_unit_test(a_maximum_may_come_at_any_time),
		cmocka_unit_test(maxcache_bounds_what_is_cached),
		cmocka_unit_test(the_maximum_is_told),
		cmocka_unit_test(a_refusal_of_pages_changes_nothing),
		cmocka_unit_test(prealloc_needs_no_page_later),
		cmocka_unit_test(a_reserve_is_exact),
		cmocka_unit_test(trim_leaves_what_is_used),
		cmocka_unit_test(reclaim_gives_back_what_is_free),
		cmocka_unit_test(secondary_zones_share_a_keg),
		cmocka_unit_test(a_zinit_that_fails_uses_those_before),
		cmocka_unit_test(cache_zones_keep_every_pointer),
		cmocka_unit_test(slabs_may_come_from_elsewhere),
		cmocka_unit_test(zones_are_listed),
		cmocka_unit_test(halt_tells_what_is_held),
		cmocka_unit_test(zones_come_and_go),
		cmocka_unit_test(a_static_zone_works_before_boot),
		cmocka_unit_test(a_static_zone_has_callbacks),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
