/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: every misuse of the zone allocator ends in the panic that the header
 * names, and changes nothing (G-3, ZN-12, ZN-13).
 * Method: each case between two looks at statistics, pages and auditors, for
 * zones of all kinds of slabs, and followed by normal operation.
 */
#include "kalloc_test.h"

#include "zone_int.h"

static const struct kalloc_config two_cpus = { .ncpus = 2, .pages = 2048 };

struct look {
	struct vm_page_stats vm;
	struct uma_zone_stats zone[2];
};

static uma_zone_t mine, other;

static struct look
look(void)
{
	struct look l;

	memset(&l, 0, sizeof(l));
	l.vm = vm_stats();
	uma_zone_get_stats(mine, &l.zone[0]);
	uma_zone_get_stats(other, &l.zone[1]);
	audit();
	return (l);
}

#define assert_misuse(id, expr)                                                \
	do {                                                                   \
		const struct look look_before = look();                        \
		struct look look_after;                                        \
		assert_why(id, expr);                                          \
		look_after = look();                                           \
		assert_memory_equal(                                           \
		    &look_before, &look_after, sizeof(look_after));            \
	} while (0)

/* Of an item that is held, and one that is free. */
static void
try_frees(size_t size)
{
	char *p = uma_zalloc(mine, M_WAITOK), *q = uma_zalloc(mine, M_WAITOK);
	char *o = uma_zalloc(other, M_WAITOK);
	size_t step = size > 64 ? size / 7 : 1, i;

	assert_misuse(WRONG_ZONE, uma_zfree(other, p));
	assert_misuse(WRONG_ZONE, uma_zfree(mine, o));
	for (i = 1; i < size; i += step)
		assert_misuse(INTERIOR, uma_zfree(mine, p + i));
	assert_misuse(INTERIOR, uma_zfree(other, p + size - (size > 1)));
	uma_zfree(mine, q);
	assert_misuse(DOUBLE_FREE, uma_zfree(mine, q));
	assert_misuse(DOUBLE_FREE, uma_zfree(other, q));
	/* Also when it is in its slab again, or that is gone. */
	uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
	if (look().zone[0].ipers > 1)
		assert_misuse(DOUBLE_FREE, uma_zfree(mine, q));
	else
		assert_misuse(FOREIGN, uma_zfree(mine, q));
	assert_misuse(FOREIGN, kfree(p, M_TEMP));
	assert_misuse(FOREIGN, kfree(p + 4096, M_TEMP));
	assert_misuse(FOREIGN, sink = krealloc(p, 5, M_TEMP, M_WAITOK));
	assert_misuse(FOREIGN, vm_page_free(p, 1));
	assert_misuse(FOREIGN,
	    vm_page_free((void *)((uintptr_t)p & ~(uintptr_t)4095), 1));
	uma_zfree(other, o);
	uma_zfree(mine, p);
	uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
	/* Its slab is gone. */
	assert_misuse(FOREIGN, uma_zfree(mine, p));
	p = uma_zalloc(mine, M_WAITOK);
	assert_true(all_are(p, 0, size));
	uma_zfree(mine, p);
}

static void
bad_frees_are_told_apart(void **state)
{
	static const size_t sizes[] = { 2, 8, 100, 2049, 5000, 70000 };
	static const uint32_t flags[] = { 0, UMA_ZONE_NOBUCKET };
	unsigned i, f;

	(void)state;
	boot(&two_cpus);
	for (i = 0; i < COUNT_OF(sizes); i++)
		for (f = 0; f < COUNT_OF(flags); f++) {
			mine = uma_zcreate("mine", sizes[i], NULL, NULL, NULL,
			    NULL, 0, flags[f]);
			other = uma_zcreate(
			    "other", sizes[i], NULL, NULL, NULL, NULL, 0, 0);
			try_frees(sizes[i]);
			uma_zdestroy(mine);
			uma_zdestroy(other);
		}
	halt();
}

static char in_data[64];

static void
what_is_no_item_is_foreign(void **state)
{
	char on_stack[64], *chunk, *pages, *p;

	(void)state;
	boot(&two_cpus);
	mine = uma_zcreate("mine", 3000, NULL, NULL, NULL, NULL, 0, 0);
	other = uma_zcreate("other", 8, NULL, NULL, NULL, NULL, 0, 0);
	chunk = kmalloc(100, M_TEMP, M_WAITOK);
	pages = vm_page_alloc(3, 0, VM_ALLOC_NORMAL);
	p = uma_zalloc(mine, M_WAITOK);
	assert_misuse(FOREIGN, uma_zfree(mine, on_stack));
	assert_misuse(FOREIGN, uma_zfree(mine, in_data));
	assert_misuse(FOREIGN, uma_zfree(mine, chunk));
	assert_misuse(FOREIGN, uma_zfree(mine, chunk + 3));
	assert_misuse(FOREIGN, uma_zfree(mine, pages));
	assert_misuse(FOREIGN, uma_zfree(mine, pages + 4096));
	assert_misuse(FOREIGN, uma_zfree(mine, (void *)8));
	assert_misuse(FOREIGN, uma_zfree(mine, (void *)-8));
	/* The waste behind the last item, of four in three pages. */
	assert_misuse(INTERIOR, uma_zfree(mine, p + 11999));
	assert_misuse(FOREIGN, uma_zfree(mine, p + 12000));
	assert_misuse(FOREIGN, uma_zfree(mine, p + 12287));
	uma_zfree(mine, NULL); /* nothing happens */
	uma_zfree_arg(mine, NULL, NULL);
	uma_zfree(mine, p);
	kfree(chunk, M_TEMP);
	vm_page_free(pages, 3);
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

static unsigned dtors;

static void
count_dtor(void *item, size_t size, void *udata)
{
	(void)item;
	(void)size;
	(void)udata;
	dtors++;
}

/* A free that is misuse runs no destructor. */
static void
misuse_calls_nothing(void **state)
{
	void *p;

	(void)state;
	boot(&two_cpus);
	dtors = 0;
	mine = uma_zcreate("mine", 100, NULL, count_dtor, NULL, NULL, 0, 0);
	other = uma_zcreate("other", 100, NULL, count_dtor, NULL, NULL, 0, 0);
	p = uma_zalloc(mine, M_WAITOK);
	assert_misuse(WRONG_ZONE, uma_zfree(other, p));
	assert_misuse(INTERIOR, uma_zfree(mine, (char *)p + 8));
	uma_zfree(mine, NULL);
	assert_int_equal(dtors, 0);
	uma_zfree(mine, p);
	assert_int_equal(dtors, 1);
	assert_misuse(DOUBLE_FREE, uma_zfree(mine, p));
	assert_int_equal(dtors, 1);
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

static void
flags_must_be_of_one_family(void **state)
{
	static const int bad[] = { 0, M_ZERO, M_NULLOK, M_USE_RESERVE,
		M_WAITOK | M_RNOWAIT, M_WAITOK | M_NOWAIT, M_INTWAIT | M_NOWAIT,
		M_WAITOK | M_PASSIVE_ZERO, M_NOWAIT | M_POWEROF2,
		M_WAITOK | M_CACHEALIGN, M_WAITOK | 0x0004, M_NOWAIT | 0x10000,
		M_WAITOK | 1 << 30, (int)0x80000002u, (int)0x80000001u, -1 };
	static const int good[] = { M_WAITOK, M_RNOWAIT, M_NOWAIT, M_INTWAIT,
		M_INTNOWAIT, M_SYSWAIT, M_SYSNOWAIT, M_WAITOK | M_NULLOK };
	unsigned f, zero;
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = uma_zcreate("mine", 100, NULL, NULL, NULL, NULL, 0, 0);
	other = uma_zcreate("other", 100, NULL, count_dtor, NULL, NULL, 0, 0);
	uma_zfree(mine, uma_zalloc(mine, M_WAITOK));
	for (f = 0; f < COUNT_OF(bad); f++) {
		assert_misuse(BAD_FLAGS, sink = uma_zalloc(mine, bad[f]));
		assert_misuse(BAD_FLAGS, sink = uma_zalloc(other, bad[f]));
		assert_misuse(
		    BAD_FLAGS, sink = uma_zalloc_arg(mine, NULL, bad[f]));
	}
	for (f = 0; f < COUNT_OF(good); f++)
		for (zero = 0; zero < 2; zero++) {
			p = uma_zalloc(mine, good[f] | (zero ? M_ZERO : 0));
			assert_non_null(p);
			uma_zfree(mine, p);
		}
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

static void *
make(size_t size, size_t align, uint32_t flags)
{
	return (uma_zcreate("bad", size, NULL, NULL, NULL, NULL, align, flags));
}

static int
no_import(void *arg, void **store, int count, int flags)
{
	(void)arg;
	(void)store;
	(void)flags;
	return (count + 1);
}

static void
no_release(void *arg, void **store, int count)
{
	(void)arg;
	(void)store;
	(void)count;
}

static void *
odd_alloc(uma_zone_t zone, size_t bytes, int flags)
{
	(void)zone;
	(void)bytes;
	(void)flags;
	return (in_data + 1);
}

static void
arguments_have_ranges(void **state)
{
	uma_zone_t cache, odd;

	(void)state;
	boot(&two_cpus);
	mine = make(8, 0, 0);
	other = make(UMA_SIZE_MAX, 65535, UMA_ZONE_VALID);
	assert_misuse(BAD_ARG, sink = make(0, 0, 0));
	assert_misuse(BAD_ARG, sink = make(UMA_SIZE_MAX + 1, 0, 0));
	assert_misuse(BAD_ARG, sink = make(SIZE_MAX, 0, 0));
	assert_misuse(BAD_ARG, sink = make(8, 2, 0));
	assert_misuse(BAD_ARG, sink = make(8, 5, 0));
	assert_misuse(BAD_ARG, sink = make(8, 131071, 0));
	assert_misuse(BAD_ARG, sink = make(8, SIZE_MAX, 0));
	assert_misuse(BAD_ARG, sink = make(8, 0, 1));
	assert_misuse(BAD_ARG, sink = make(8, 0, 0x80000000u));
	assert_misuse(BAD_ARG,
	    sink = uma_zcache_create(
		"bad", 8, NULL, NULL, NULL, NULL, NULL, no_release, NULL, 0));
	assert_misuse(BAD_ARG,
	    sink = uma_zcache_create("bad", 8, NULL, NULL, NULL, NULL,
		no_import, no_release, NULL, 1));
	cache = uma_zcache_create(
	    "cache", 8, NULL, NULL, NULL, NULL, no_import, no_release, NULL, 0);
	assert_misuse(BAD_ARG,
	    sink = uma_zsecond_create("bad", NULL, NULL, NULL, NULL, cache));
	assert_misuse(BAD_ARG, uma_prealloc(cache, 1));
	assert_misuse(BAD_ARG, uma_zone_reserve(cache, 1));
	assert_misuse(BAD_ARG, uma_zone_set_allocf(cache, odd_alloc));
	assert_misuse(BAD_ARG, sink = uma_zalloc(cache, M_NOWAIT));
	assert_misuse(BAD_ARG, uma_zone_reserve(mine, -1));
	assert_int_equal(uma_zone_get_cur(cache), 0);
	odd = make(8, 0, 0);
	uma_zone_set_allocf(odd, odd_alloc);
	assert_why(BAD_ARG, sink = uma_zalloc(odd, M_NOWAIT));
	uma_zdestroy(cache);
	uma_zdestroy(mine);
	uma_zdestroy(other);
	(void)kalloc_halt(true, NULL, NULL);
}

static void
handles_are_checked(void **state)
{
	static char nothing[8192] __attribute__((aligned(64)));
	uma_zone_t bad[5];
	struct uma_zone_stats s;
	unsigned i;
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = make(8, 0, 0);
	other = make(8, 0, 0);
	bad[0] = NULL;
	bad[1] = (uma_zone_t)(void *)nothing;
	bad[2] = (uma_zone_t)(void *)((char *)mine + 8);
	bad[3] = make(16, 0, 0);
	bad[4] = mine + 1000; /* no zone yet */
	p = uma_zalloc(mine, M_WAITOK);
	uma_zdestroy(bad[3]);
	for (i = 0; i < COUNT_OF(bad); i++) {
		uma_zone_t z = bad[i];

		if (i != 2) /* an address inside may look like anything */
			assert_misuse(
			    BAD_HANDLE, sink = uma_zalloc(z, M_WAITOK));
		if (i != 2)
			assert_misuse(BAD_HANDLE, uma_zfree(z, p));
		assert_misuse(BAD_HANDLE, uma_zdestroy(z));
		assert_misuse(BAD_HANDLE, uma_zone_set_max(z, 5));
		assert_misuse(BAD_HANDLE, uma_zone_get_max(z));
		assert_misuse(BAD_HANDLE, uma_zone_get_cur(z));
		assert_misuse(BAD_HANDLE, uma_zone_set_maxcache(z, 1));
		assert_misuse(BAD_HANDLE, uma_prealloc(z, 1));
		assert_misuse(BAD_HANDLE, uma_zone_reserve(z, 1));
		assert_misuse(BAD_HANDLE, uma_zone_reclaim(z, 1));
		assert_misuse(BAD_HANDLE, uma_zone_set_allocf(z, NULL));
		assert_misuse(BAD_HANDLE, uma_zone_set_freef(z, NULL));
		assert_misuse(BAD_HANDLE, uma_zone_set_warning(z, NULL));
		assert_misuse(BAD_HANDLE, uma_zone_set_maxaction(z, NULL));
		assert_misuse(BAD_HANDLE, uma_zone_get_stats(z, &s));
		assert_misuse(BAD_HANDLE,
		    sink =
			uma_zsecond_create("bad", NULL, NULL, NULL, NULL, z));
	}
	uma_zfree(mine, p);
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

/*
 * Two CPUs that free an item at one time may put it into two magazines. It is
 * found when it is had the second time; here it is put there by hand.
 */
static void
an_item_in_two_magazines_is_found(void **state)
{
	void *p, *q;

	(void)state;
	boot(&two_cpus);
	mine = make(64, 0, 0);
	p = uma_zalloc(mine, M_WAITOK);
	uma_zfree(mine, p);
	assert_int_equal(mag__put(&mine->z_cache, p), MAG_DONE);
	q = uma_zalloc(mine, M_WAITOK);
	assert_ptr_equal(p, q);
	assert_why(DOUBLE_FREE, sink = uma_zalloc(mine, M_WAITOK));
	assert_non_null(sink = uma_zalloc(mine, M_WAITOK));
	/* The same with the slow path, and on the way to the slab. */
	uma_zfree(mine, p);
	assert_int_equal(mag__put(&mine->z_cache, p), MAG_DONE);
	assert_why(DOUBLE_FREE, uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU));
	(void)kalloc_halt(true, NULL, NULL);
}

static void *
free_chunk(void *p)
{
	kfree(p, M_TEMP);
	return (NULL);
}

/*
 * A caller that is refused pages collects what kmalloc has on its CPU, and may
 * find there a chunk that two CPUs freed at one time; here it is marked by
 * hand. The zone is as it was, and nothing of it is locked.
 */
static void
a_zone_outlives_what_its_caller_collects(void **state)
{
	struct uma_zone_stats before, after;
	struct ka_slab *slab;
	void *p, *q, *chunk, *all[64];
	unsigned n;

	(void)state;
	boot(&(struct kalloc_config) { .ncpus = 2, .pages = 64 });
	mine = make(4096, 0, 0);
	uma_zone_set_max(mine, 100);
	chunk = kmalloc(64, M_TEMP, M_WAITOK);
	p = uma_zalloc(mine, M_WAITOK);
	for (n = 0; (all[n] = vm_page_alloc(1, 0, VM_ALLOC_INTERRUPT)) != NULL;)
		n++;
	thread_run(free_chunk, chunk);
	slab = km_slab_at(chunk);
	ka_store(&slab->s_entry[km_index(slab, (uintptr_t)chunk)].e_owner,
	    OWNER_FREE, RELAXED);
	uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
	uma_zone_get_stats(mine, &before);
	assert_why(DOUBLE_FREE, sink = uma_zalloc(mine, M_NOWAIT));
	assert_ptr_equal(caught.addr, chunk);
	uma_zone_get_stats(mine, &after);
	assert_memory_equal(&before, &after, sizeof(after));
	assert_null(uma_audit(&(const char *) { NULL }));
	vm_page_free(all[--n], 1);
	q = uma_zalloc(mine, M_NOWAIT);
	assert_non_null(q);
	uma_zfree(mine, q);
	uma_zfree(mine, p);
	uma_zdestroy(mine);
	while (n > 0)
		vm_page_free(all[--n], 1);
	(void)kalloc_halt(true, NULL, NULL);
}

/* The auditor sees what it says that it sees. */
static void
the_auditor_can_fail(void **state)
{
	const char *found;
	uint16_t *word;
	void *p;

	(void)state;
	boot(&two_cpus);
	mine = make(64, 0, 0);
	p = uma_zalloc(mine, M_WAITOK);
	word = zone_word(p);
	audit();
	*word = ZONE_WORD_NONE;
	assert_string_equal(uma_audit(&found), "I-ZN-1");
	*word = ZONE_WORD_FREE;
	assert_string_equal(uma_audit(&found), "I-ZN-5");
	*word = mine->z_id;
	mine->z_keg->k_free++;
	assert_string_equal(uma_audit(&found), "I-ZN-2");
	mine->z_keg->k_free--;
	mine->z_count++;
	assert_string_equal(uma_audit(&found), "I-ZN-4");
	mine->z_count--;
	uma_zfree(mine, p);
	*word = mine->z_id;
	assert_string_equal(uma_audit(&found), "I-ZN-3");
	*word = ZONE_WORD_FREE;
	uma_zdestroy(mine);
	audit();
	vm__info(p)->owner = VM_OWNER_ZONE; /* its page, which is free */
	assert_string_equal(uma_audit(&found), "I-ZN-7");
	vm__info(p)->owner = VM_OWNER_NONE;
	mine = make(3 * KA_PAGE_SIZE, 0, 0);
	p = uma_zalloc(mine, M_WAITOK);
	audit();
	vm__info((char *)p + KA_PAGE_SIZE)->owner = VM_OWNER_NONE;
	assert_string_equal(uma_audit(&found), "I-ZN-7");
	vm__info((char *)p + KA_PAGE_SIZE)->owner = VM_OWNER_ZONE;
	uma_zfree(mine, p);
	uma_zdestroy(mine);
	halt();
}

/* I-ZN-1, I-ZN-2: what slabs and kegs count. */
static void
the_auditor_sees_slabs(void **state)
{
	struct zone_slab *slab;
	struct zone_keg *keg;
	const char *found;
	uint16_t *word;
	void *p[3], *o;
	unsigned i;

	(void)state;
	boot(&two_cpus);
	mine = make(1024, 0, UMA_ZONE_NOBUCKET);
	other = make(1024, 0, UMA_ZONE_NOBUCKET);
	for (i = 0; i < 3; i++)
		p[i] = uma_zalloc(mine, M_WAITOK);
	o = uma_zalloc(other, M_WAITOK);
	uma_zfree(mine, p[2]);
	keg = mine->z_keg;
	slab = zone__find(p[0]);
	assert_int_equal(slab->sl_nfree, 2);
	word = zone_word(p[2]);
	*word = mine->z_id; /* it is free */
	assert_string_equal(uma_audit(&found), "I-ZN-1");
	*word = ZONE_WORD_FREE;
	word = zone_word(p[0]);
	*word = other->z_id;
	assert_string_equal(uma_audit(&found), "I-ZN-1");
	*word = ZONES_MAX + 1;
	assert_string_equal(uma_audit(&found), "I-ZN-1");
	*word = ZONES_MAX; /* no zone, now */
	assert_string_equal(uma_audit(&found), "I-ZN-1");
	*word = mine->z_id;
	slab->sl_nfree++;
	assert_string_equal(uma_audit(&found), "I-ZN-1");
	slab->sl_nfree = 0;
	assert_string_equal(uma_audit(&found), "I-ZN-2");
	slab->sl_nfree = 2;
	slab->sl_state = ZONE_SLAB_WHOLE;
	assert_string_equal(uma_audit(&found), "I-ZN-2");
	slab->sl_state = ZONE_SLAB_PARTIAL;
	slab->sl_keg = other->z_keg;
	assert_string_equal(uma_audit(&found), "I-ZN-2");
	slab->sl_keg = keg;
	keg->k_slabs++;
	assert_string_equal(uma_audit(&found), "I-ZN-2");
	keg->k_slabs--;
	keg->k_items++;
	assert_string_equal(uma_audit(&found), "I-ZN-2");
	keg->k_items--;
	audit();
	uma_zfree(other, o);
	uma_zfree(mine, p[0]);
	uma_zfree(mine, p[1]);
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

/* The first slab of several that is broken is told. */
static void
the_auditor_stops_at_the_first(void **state)
{
	struct zone_slab *slab;
	const char *found;
	void *p[9];
	unsigned i;

	(void)state;
	boot(&two_cpus);
	mine = make(1024, 0, UMA_ZONE_NOBUCKET);
	other = make(64, 0, 0);
	for (i = 0; i < 9; i++)
		p[i] = uma_zalloc(mine, M_WAITOK);
	uma_zfree(mine, p[1]);
	uma_zfree(mine, p[5]);
	slab = mine->z_keg->k_list[ZONE_SLAB_PARTIAL];
	assert_non_null(slab->sl_next);
	slab->sl_nfree++;
	assert_string_equal(uma_audit(&found), "I-ZN-1");
	assert_non_null(strstr(found, "zone bad: a slab counts"));
	slab->sl_nfree--;
	audit();
	for (i = 0; i < 9; i++)
		if (i != 1 && i != 5)
			uma_zfree(mine, p[i]);
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

/* I-ZN-3: what is cached, and I-MG-3 where it is. */
static void
the_auditor_sees_caches(void **state)
{
	struct magazine *m;
	const char *found;
	void *p, *q, *o, *in_slab, *bad[6];
	unsigned i;

	(void)state;
	boot(&two_cpus);
	mine = make(3000, 0, 0);
	other = make(64, 0, 0);
	p = uma_zalloc(mine, M_WAITOK);
	q = uma_zalloc(mine, M_WAITOK);
	o = uma_zalloc(other, M_WAITOK);
	uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
	uma_zfree(mine, p);
	in_slab = (char *)zone__find(q)->sl_base +
	    (unsigned)__builtin_ctzll(zone__find(q)->sl_bits[0]) *
		zone__find(q)->sl_stride;
	m = mag_slot(&mine->z_cache, ka_cpu_self())->s_loaded;
	assert_ptr_equal(m->m_object[m->m_rounds - 1], p);
	bad[0] = &found; /* of no slab */
	bad[1] = o;	 /* of another keg's */
	bad[2] = (char *)p + 1;
	bad[3] = zone__find(p)->sl_base + 12000; /* behind the last item */
	bad[4] = in_slab;
	bad[5] = q; /* held */
	for (i = 0; i < COUNT_OF(bad); i++) {
		m->m_object[m->m_rounds - 1] = bad[i];
		assert_string_equal(uma_audit(&found), "I-ZN-3");
	}
	m->m_object[m->m_rounds - 1] = NULL;
	assert_string_equal(uma_audit(&found), "I-MG-3");
	m->m_object[m->m_rounds - 1] = p;
	audit();
	uma_zfree(mine, q);
	uma_zfree(other, o);
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

/* I-ZN-4: a maximum that was exceeded, not lowered. */
static void
the_auditor_sees_maxima(void **state)
{
	const char *found;
	void *p[3], *o[2];

	(void)state;
	boot(&two_cpus);
	mine = make(64, 0, 0);
	other = make(64, 0, UMA_ZONE_NOBUCKET);
	p[0] = uma_zalloc(mine, M_WAITOK);
	p[1] = uma_zalloc(mine, M_WAITOK);
	o[0] = uma_zalloc(other, M_WAITOK);
	o[1] = uma_zalloc(other, M_WAITOK);
	mine->z_max = 1; /* with what is cached */
	assert_string_equal(uma_audit(&found), "I-ZN-4");
	mine->z_max = 0;
	uma_zone_reclaim(mine, UMA_RECLAIM_DRAIN_CPU);
	mine->z_max = 1;
	assert_string_equal(uma_audit(&found), "I-ZN-4");
	mine->z_max = 0;
	uma_zone_set_max(mine, 1);
	audit();
	other->z_max = 1; /* without caches nothing is closed */
	audit();
	other->z_max = 0;
	uma_zfree(mine, p[0]);
	uma_zfree(mine, p[1]);
	uma_zfree(other, o[0]);
	uma_zfree(other, o[1]);
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

/* I-ZN-6 */
static void
the_auditor_sees_overlaps(void **state)
{
	static char arena[1280] __attribute__((aligned(64)));
	struct zone_slab *slab;
	const char *found;

	(void)state;
	boot(&two_cpus);
	mine = uma_zcreate_static(
	    "low", 64, NULL, NULL, NULL, NULL, 63, 0, arena, 640);
	other = uma_zcreate_static(
	    "high", 64, NULL, NULL, NULL, NULL, 63, 0, arena + 640, 640);
	slab = zone__find(arena);
	zone__unfind(slab);
	assert_null(uma_audit(&found));
	slab->sl_bytes++;
	assert_string_equal(uma_audit(&found), "I-ZN-6");
	slab->sl_bytes--;
	uma_zdestroy(mine);
	uma_zdestroy(other);
	halt();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_frees_are_told_apart),
		cmocka_unit_test(what_is_no_item_is_foreign),
		cmocka_unit_test(misuse_calls_nothing),
		cmocka_unit_test(flags_must_be_of_one_family),
		cmocka_unit_test(arguments_have_ranges),
		cmocka_unit_test(handles_are_checked),
		cmocka_unit_test(an_item_in_two_magazines_is_found),
		cmocka_unit_test(a_zone_outlives_what_its_caller_collects),
		cmocka_unit_test(the_auditor_can_fail),
		cmocka_unit_test(the_auditor_sees_slabs),
		cmocka_unit_test(the_auditor_stops_at_the_first),
		cmocka_unit_test(the_auditor_sees_caches),
		cmocka_unit_test(the_auditor_sees_maxima),
		cmocka_unit_test(the_auditor_sees_overlaps),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
