/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: objcache keeps OC-1 .. OC-12, and G-1, G-3, G-5, G-6, G-9 where they
 * concern it, on real threads; and magazine.h what it says.
 * Method: a backend that counts, refuses when told to, and looks at what it
 * gets back; callbacks that come back into the library, so that a lock held
 * would stop them. Sleepers are seen to sleep, then one of the things that must
 * wake them is done; a time limit stands for "never".
 */
#define KALLOC_TEST_MAPS
#include "kalloc_test.h"

#include <errno.h>
#include <stdatomic.h>

#include "magazine.h"

MALLOC_DEFINE(M_OBJ, "obj", "objects of caches");

/* ---- A backend that counts -------------------------------------------- */

#define OBJ_CONSTRUCTED 0x600dc0deu
#define OBJ_DESTROYED	0xdeadc0deu

struct obj {
	atomic_uint state;
	atomic_uint holders; /* who thinks that it is his */
	uint64_t payload[4];
};

struct world {
	struct objcache *oc;
	atomic_int allocs, frees, ctors, dtors;
	atomic_int refuse_alloc, refuse_ctor; /* so many times */
	bool nest; /* callbacks come back into the library */
};
static struct world world;

/* Everything that takes a lock of the library, while it calls us (G-9). */
static void
come_back(struct world *w)
{
	struct objcache_stats s;
	void *p;

	if (!w->nest)
		return;
	p = kmalloc(100, M_OBJ, M_WAITOK);
	must(p != NULL);
	kfree(p, M_OBJ);
	if (w->oc == NULL)
		return;
	must(objcache_stats(0, &s));
	objcache_set_cluster_limit(w->oc, (int)s.limit);
	w->nest = false;
	p = objcache_get(w->oc, M_NOWAIT);
	if (p != NULL)
		objcache_put(w->oc, p);
	w->nest = true;
}

static bool
refuses(atomic_int *times)
{
	int n = atomic_load(times);

	while (n > 0)
		if (atomic_compare_exchange_weak(times, &n, n - 1))
			return (true);
	return (false);
}

static void *
count_alloc(void *args, int ocflags)
{
	struct world *w = args;
	struct obj *o;

	must((ocflags & (M_WAITOK | M_RNOWAIT)) != 0);
	come_back(w);
	if (refuses(&w->refuse_alloc))
		return (NULL);
	o = calloc(1, sizeof(*o));
	must(o != NULL);
	(void)atomic_fetch_add(&w->allocs, 1);
	return (o);
}

static void
count_free(void *obj, void *args)
{
	struct world *w = args;
	struct obj *o = obj;

	must(atomic_load(&o->state) != OBJ_CONSTRUCTED);
	come_back(w);
	(void)atomic_fetch_add(&w->frees, 1);
	free(obj);
}

static bool
count_ctor(void *obj, void *priv, int ocflags)
{
	struct world *w = priv;
	struct obj *o = obj;

	(void)ocflags;
	must(atomic_load(&o->state) == 0);
	come_back(w);
	if (refuses(&w->refuse_ctor))
		return (false);
	atomic_store(&o->state, OBJ_CONSTRUCTED);
	(void)atomic_fetch_add(&w->ctors, 1);
	return (true);
}

static void
count_dtor(void *obj, void *priv)
{
	struct world *w = priv;
	struct obj *o = obj;

	must(atomic_load(&o->state) == OBJ_CONSTRUCTED);
	must(atomic_load(&o->holders) == 0);
	come_back(w);
	atomic_store(&o->state, OBJ_DESTROYED);
	(void)atomic_fetch_add(&w->dtors, 1);
}

static void
boot_debug(unsigned ncpus, unsigned debug)
{
	const struct kalloc_config config = {
		.ncpus = ncpus, .pages = 4096, .debug = debug
	};

	boot(&config);
	memset(&world, 0, sizeof(world));
}

static void
boot_cpus(unsigned ncpus)
{
	boot_debug(ncpus, 0);
}

static struct objcache *
make(int limit, int nom)
{
	world.oc = objcache_create("counted", limit, nom, count_ctor,
	    count_dtor, &world, count_alloc, count_free, &world);
	assert_non_null(world.oc);
	return (world.oc);
}

static struct objcache_stats
oc_stats(struct objcache *oc)
{
	struct objcache_stats s;

	objcache_get_stats(oc, &s);
	return (s);
}

/* OC-7, with nothing under construction. */
static void
check_balance(struct objcache *oc)
{
	struct objcache_stats s = oc_stats(oc);

	audit();
	if (s.limit != 0)
		assert_int_equal(
		    s.quota + (int64_t)(s.used + s.cached), s.quota_total);
}

/* Ends the cache and the system; every object went back (OC-3). */
static void
end(void)
{
	world.nest = false;
	check_balance(world.oc);
	objcache_destroy(world.oc);
	assert_int_equal(world.allocs, world.frees);
	assert_int_equal(world.ctors, world.dtors);
	halt();
}

static struct obj *
get(int flags)
{
	struct obj *o = objcache_get(world.oc, flags);

	if (o == NULL)
		return (NULL);
	must(atomic_load(&o->state) == OBJ_CONSTRUCTED);
	must(atomic_fetch_add(&o->holders, 1) == 0);
	return (o);
}

static void
put(struct obj *o)
{
	must(atomic_fetch_sub(&o->holders, 1) == 1);
	objcache_put(world.oc, o);
}

#define OBJECTS_MAX 4096
static struct obj *held[OBJECTS_MAX];

/* Do fast paths work on the calling thread's CPU? */
static bool
is_open(void)
{
	put(get(M_WAITOK));
	return (mag_slot((struct mag_cache *)(void *)world.oc, ka_cpu_self())
		    ->s_fast != &mag_none);
}

static unsigned
get_all(unsigned max)
{
	unsigned n;

	for (n = 0; n < max; n++) {
		held[n] = get(M_NOWAIT);
		if (held[n] == NULL)
			break;
	}
	return (n);
}

static void
put_all(unsigned n)
{
	while (n > 0)
		put(held[--n]);
}

#define OC_MOST 64

/* ---- One thread ------------------------------------------------------- */

/* OC-1, OC-3, OC-4. */
static void
objects_are_constructed_once_and_keep_what_they_hold(void **state)
{
	unsigned i, round, debug;

	(void)state;
	for (debug = 0; debug < 2; debug++) {
		boot_debug(2, debug ? KA_DEBUG_POISON | KA_DEBUG_REDZONE : 0);
		(void)make(0, 64);
		for (round = 0; round < 5; round++) {
			for (i = 0; i < 40; i++) {
				struct obj *o = get(M_WAITOK);

				if (o->payload[0] != 0)
					assert_true(all_are(o->payload,
					    (int)(o->payload[0] & 0xff),
					    sizeof(o->payload)));
				memset(o->payload, (int)(round * 40 + i + 1),
				    sizeof(o->payload));
				held[i] = o;
			}
			assert_int_equal(world.allocs, 40);
			assert_int_equal(world.ctors, 40);
			assert_int_equal(oc_stats(world.oc).used, 40);
			put_all(40);
			assert_int_equal(world.dtors, 0);
			assert_int_equal(oc_stats(world.oc).cached, 40);
			check_balance(world.oc);
		}
		assert_int_equal(oc_stats(world.oc).allocated, 40);
		assert_int_equal(oc_stats(world.oc).requested, 200);
		end();
	}
}

/* OC-2: magazines and depot are as large as the lineage's. OC-6: the quota. */
static void
sizes_are_those_of_the_lineage(void **state)
{
	static const struct {
		int limit, nom;
		unsigned ncpus, capacity, depot;
		int64_t quota;
	} rows[] = {
		{ 16, 0, 4, 4, 3, 48 },
		{ 1, 0, 1, 33, 4, 67 },
		{ 1000, 200, 4, 21, 10, 1168 },
		{ 0, 0, 4, 13, 10, 0 },
		{ 3, 100, 2, 4, 2, 19 },
		{ 100000, 100000, 1, 128, 513, 100256 },
		{ 0, 0x7fffffff, 1, 128, 513, 0 },
	};
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT_OF(rows); i++) {
		struct mag_cache *mags;

		boot_cpus(rows[i].ncpus);
		mags = (struct mag_cache *)(void *)make(
		    rows[i].limit, rows[i].nom);
		assert_int_equal(oc_stats(world.oc).magazine, rows[i].capacity);
		assert_int_equal(oc_stats(world.oc).quota_total, rows[i].quota);
		assert_int_equal(oc_stats(world.oc).quota, rows[i].quota);
		assert_int_equal(
		    mags->c_count, 2 * (rows[i].ncpus + 1) + rows[i].depot);
		end();
	}
}

/* Without limit, and of a size that is known, they are as large as a zone's. */
static void
sizes_follow_from_the_objects(void **state)
{
	struct objcache_stats s;
	struct objcache *oc;
	unsigned ncpus;

	(void)state;
	for (ncpus = 1; ncpus <= 4; ncpus++) {
		boot_cpus(ncpus);
		oc = objcache_create_simple(M_OBJ, 200);
		s = oc_stats(oc);
		assert_int_equal(s.limit, 0);
		assert_int_equal(s.quota_total, 0);
		assert_int_equal(s.magazine, 62);
		objcache_destroy(oc);
		halt();
	}
}

/* OC-5, OC-6, OC-7. */
static void
the_limit_refuses_who_may_not_sleep(void **state)
{
	static const int flags[] = { M_NOWAIT, M_RNOWAIT, M_WAITOK | M_NULLOK,
		M_INTNOWAIT };
	struct objcache_stats s;
	unsigned i, n, debug;

	(void)state;
	for (debug = 0; debug < 2; debug++) {
		boot_debug(3, debug ? KA_DEBUG_POISON : 0);
		(void)make(20, 0);
		n = get_all(OBJECTS_MAX);
		assert_int_equal(n, 20 + 2 * 3 * 4);
		for (i = 0; i < COUNT_OF(flags); i++)
			assert_null(get(flags[i]));
		s = oc_stats(world.oc);
		assert_int_equal(s.exhausted, 1 + COUNT_OF(flags));
		assert_int_equal(s.failed, 1 + COUNT_OF(flags));
		assert_int_equal(s.requested, n);
		assert_int_equal(s.quota, 0);
		assert_int_equal(s.sleeps, 0);
		check_balance(world.oc);
		put(held[--n]);
		held[n] = get(M_NOWAIT);
		assert_non_null(held[n]);
		put_all(n + 1);
		end();
	}
}

/* OC-5, G-6: V1 and X10 of the lineage. */
static void
failures_change_nothing(void **state)
{
	struct objcache_stats before, after;
	unsigned i;

	(void)state;
	boot_cpus(2);
	(void)make(4, 0);
	put(get(M_WAITOK));
	(void)objcache_reclaimlist(&world.oc, 1, M_WAITOK);
	before = oc_stats(world.oc);
	for (i = 0; i < 1000; i++) {
		int flags = i % 2 == 0 ? M_WAITOK : M_NOWAIT;

		if (i % 4 < 2)
			atomic_store(&world.refuse_alloc, 1);
		else
			atomic_store(&world.refuse_ctor, 1);
		assert_null(get(flags));
	}
	after = oc_stats(world.oc);
	assert_int_equal(after.failed, before.failed + 1000);
	after.failed = before.failed;
	assert_memory_equal(&after, &before, sizeof(after));
	/* The memory went back, and not through the destructor. */
	assert_int_equal(world.allocs, world.frees);
	assert_int_equal(world.ctors, world.dtors);
	i = get_all(OBJECTS_MAX);
	assert_int_equal(i, before.quota_total);
	put_all(i);
	end();
}

/* OC-9, OC-10. */
static void
put_never_fails_and_dtor_does_not_cache(void **state)
{
	struct objcache_stats s;
	unsigned i, n;

	(void)state;
	boot_cpus(2);
	(void)make(0, 8);
	n = get_all(1000);
	assert_int_equal(n, 1000);
	put_all(n);
	/* Two magazines of the CPU, all of the depot; the rest went. */
	s = oc_stats(world.oc);
	assert_int_equal(s.magazine, 4);
	assert_int_equal(s.cached, 2 * 4 + 3 * 4);
	assert_int_equal(world.frees, (int)(1000 - s.cached));
	assert_int_equal(world.dtors, world.frees);
	check_balance(world.oc);
	for (i = 0; i < 5; i++) {
		struct obj *o = get(M_WAITOK);

		atomic_store(&o->holders, 0);
		objcache_dtor(world.oc, o);
	}
	assert_int_equal(oc_stats(world.oc).cached, s.cached - 5);
	assert_int_equal(world.dtors, (int)(1000 - s.cached + 5));
	assert_int_equal(oc_stats(world.oc).used, 0);
	end();
}

/* OC-11. */
static void
reclaim_frees_and_leaves_the_capacity(void **state)
{
	struct objcache *list[3];
	unsigned i, n, round;
	uint64_t cached = 0;

	(void)state;
	boot_cpus(2);
	list[0] = objcache_create_simple(M_OBJ, 64);
	list[1] = make(0, 50);
	list[2] = objcache_create_simple(M_OBJ, 64);
	assert_false(objcache_reclaimlist(list, 3, M_WAITOK));
	assert_false(objcache_reclaimlist(list, 0, M_WAITOK));
	for (round = 0; round < 4; round++) {
		void *p = objcache_get(list[2], M_WAITOK);

		objcache_put(list[2], p);
		n = get_all(500);
		put_all(n);
		if (round == 0)
			cached = oc_stats(list[1]).cached;
		assert_true(cached > 50);
		assert_int_equal(oc_stats(list[1]).cached, cached);
		/* It stops after the first that had any. */
		assert_true(objcache_reclaimlist(list, 3, M_NOWAIT));
		assert_int_equal(oc_stats(list[1]).cached, 0);
		assert_int_equal(world.allocs, world.frees);
		assert_int_equal(oc_stats(list[2]).cached, 1);
		audit();
	}
	assert_true(objcache_reclaimlist(list, 3, M_NOWAIT));
	assert_false(objcache_reclaimlist(list, 3, M_NOWAIT));
	for (i = 0; i < 3; i += 2)
		objcache_destroy(list[i]);
	end();
}

/* Objects that only the depot has are some. */
static void
reclaim_tells_of_the_depot(void **state)
{
	struct objcache *oc;
	unsigned n, cap;

	(void)state;
	boot_cpus(2);
	oc = make(0, 50);
	cap = (unsigned)oc_stats(oc).magazine;
	n = get_all(2 * cap + 1);
	put_all(n);
	/* The CPU's own go first. */
	assert_int_equal(get_all(cap + 1), cap + 1);
	assert_int_equal(oc_stats(oc).cached, cap);
	assert_true(objcache_reclaimlist(&oc, 1, M_WAITOK));
	assert_int_equal(oc_stats(oc).cached, 0);
	assert_false(objcache_reclaimlist(&oc, 1, M_WAITOK));
	put_all(cap + 1);
	end();
}

static unsigned put_again; /* objects that are still held */

static void
dtor_puts(void *obj, void *priv)
{
	count_dtor(obj, priv);
	if (put_again > 0)
		put(held[--put_again]);
}

/* Nor does a destructor that puts others keep it for ever: from each CPU it
 * takes what the CPU can have. */
static void
reclaim_is_over_although_others_put(void **state)
{
	unsigned n, cap;

	(void)state;
	boot_cpus(2);
	world.oc = objcache_create("puts", 0, 50, count_ctor, dtor_puts, &world,
	    count_alloc, count_free, &world);
	cap = (unsigned)oc_stats(world.oc).magazine;
	n = get_all(100 + 2 * cap);
	put_again = 100;
	while (n > put_again)
		put(held[--n]);
	assert_true(objcache_reclaimlist(&world.oc, 1, M_WAITOK));
	assert_int_equal(world.dtors, 2 * cap);
	assert_int_equal(oc_stats(world.oc).cached, 2 * cap);
	n = put_again;
	put_again = 0;
	put_all(n);
	end();
}

/* OC-10: after a destroy that is misuse the cache is as it was, and open. */
static void
a_refused_destroy_changes_nothing(void **state)
{
	struct mag_cache *c;
	unsigned room;

	(void)state;
	boot_cpus(1);
	c = (struct mag_cache *)(void *)make(0, 8);
	room = (c->c_count - 2) * c->c_capacity;
	assert_int_equal(get_all(room), room);
	assert_why(BUSY, objcache_destroy(world.oc));
	put_all(room);
	assert_int_equal(world.dtors, 0);
	assert_int_equal(oc_stats(world.oc).cached, room);
	end();
}

static void
another_limit_counts_at_once(void **state)
{
	unsigned n;

	(void)state;
	boot_cpus(2);
	(void)make(10, 0);
	n = get_all(OBJECTS_MAX);
	assert_int_equal(n, 10 + 16);
	objcache_set_cluster_limit(world.oc, 30);
	assert_int_equal(oc_stats(world.oc).limit, 30);
	held[n] = get(M_NOWAIT);
	assert_non_null(held[n++]);
	check_balance(world.oc);
	/* Lowered below use: nothing is taken away, nothing new is made. */
	objcache_set_cluster_limit(world.oc, 1);
	assert_true(oc_stats(world.oc).quota < 0);
	check_balance(world.oc);
	assert_null(get(M_NOWAIT));
	while (oc_stats(world.oc).quota <= 0) {
		atomic_store(&held[--n]->holders, 0);
		objcache_dtor(world.oc, held[n]);
	}
	held[n] = get(M_NOWAIT);
	assert_non_null(held[n++]);
	assert_null(get(M_NOWAIT));
	objcache_set_cluster_limit(world.oc, 0);
	put_all(n);
	n = get_all(1000);
	assert_int_equal(n, 1000);
	put_all(n);
	end();
}

/* G-3, OC-5, OC-10, OC-12. */
static void
misuse_is_told(void **state)
{
	struct obj *o;

	(void)state;
	boot_cpus(2);
	(void)make(4, 0);
	assert_why(BAD_FLAGS, sink = objcache_get(world.oc, 0));
	assert_why(
	    BAD_FLAGS, sink = objcache_get(world.oc, M_WAITOK | M_RNOWAIT));
	assert_why(BAD_FLAGS, sink = objcache_get(world.oc, M_WAITOK | M_ZERO));
	assert_why(
	    BAD_FLAGS, sink = objcache_get(world.oc, M_WAITOK | 0x10000));
	assert_why(BAD_FLAGS, (void)objcache_reclaimlist(&world.oc, 1, 0));
	/* Also when an object is cached, and the fast path would have it. */
	put(get(M_WAITOK));
	assert_why(BAD_FLAGS, sink = objcache_get(world.oc, M_NOWAIT | M_ZERO));
	assert_why(BAD_FLAGS, sink = objcache_get(world.oc, 0));
	assert_why(NULL_FREE, objcache_put(world.oc, NULL));
	assert_why(NULL_FREE, objcache_dtor(world.oc, NULL));
	assert_why(BAD_ARG, objcache_set_cluster_limit(world.oc, -1));
	assert_why(BAD_ARG,
	    sink = objcache_create(
		"x", -1, 0, NULL, NULL, NULL, count_alloc, count_free, NULL));
	assert_why(BAD_ARG,
	    sink = objcache_create(
		"x", 0, -1, NULL, NULL, NULL, count_alloc, count_free, NULL));
	assert_why(BAD_ARG,
	    sink = objcache_create(
		"x", 0, 0, NULL, NULL, NULL, NULL, count_free, NULL));
	assert_why(BAD_ARG,
	    sink = objcache_create(
		"x", 0, 0, NULL, NULL, NULL, count_alloc, NULL, NULL));
	assert_why(BAD_TYPE, sink = objcache_create_simple(NULL, 64));
	o = get(M_WAITOK);
	assert_why(BUSY, objcache_destroy(world.oc));
	assert_int_equal(oc_stats(world.oc).used, 1);
	/* And it is as it was: fast paths, too. */
	put(o);
	assert_true(is_open());
	end();
}

/* OC-12: with debug options. */
static void
debug_knows_every_object(void **state)
{
	struct obj *o, *p;
	char other;
	unsigned n;

	(void)state;
	boot_debug(2, KA_DEBUG_AUDIT);
	(void)make(0, 8);
	o = get(M_WAITOK);
	p = get(M_WAITOK);
	assert_why(FOREIGN, objcache_put(world.oc, &other));
	assert_why(FOREIGN, objcache_dtor(world.oc, &other));
	put(o);
	assert_why(DOUBLE_FREE, objcache_put(world.oc, o));
	assert_why(DOUBLE_FREE, objcache_dtor(world.oc, o));
	put(p);
	assert_why(DOUBLE_FREE, objcache_put(world.oc, o));
	assert_int_equal(oc_stats(world.oc).cached, 2);
	/* More than the map had room for at first. */
	n = get_all(1000);
	audit();
	put_all(n);
	audit();
	assert_why(DOUBLE_FREE, objcache_put(world.oc, held[999]));
	assert_why(FOREIGN, objcache_put(world.oc, held[0])); /* destroyed */
	end();
}

static void
a_cache_may_have_no_backend(void **state)
{
	struct objcache *oc;
	struct obj mine[3];
	unsigned i, debug;

	(void)state;
	for (debug = 0; debug < 2; debug++) {
		boot_debug(2, debug ? KA_DEBUG_AUDIT : 0);
		oc = objcache_create("donated", 0, 0, NULL, NULL, NULL,
		    objcache_nop_alloc, objcache_nop_free, NULL);
		assert_null(objcache_get(oc, M_WAITOK));
		for (i = 0; i < 3; i++)
			objcache_put(oc, &mine[i]);
		audit();
		for (i = 0; i < 3; i++)
			assert_ptr_equal(
			    objcache_get(oc, M_NOWAIT), &mine[2 - i]);
		assert_null(objcache_get(oc, M_NOWAIT));
		for (i = 0; i < 3; i++)
			objcache_put(oc, &mine[i]);
		audit();
		objcache_destroy(oc);
		halt();
	}
}

static void
kmalloc_is_a_backend(void **state)
{
	struct objcache_malloc_args args = { 200, M_OBJ };
	struct objcache *oc;
	char *p;

	(void)state;
	boot_cpus(2);
	oc = objcache_create_mbacked(M_OBJ, 100, 4, 0, NULL, NULL, NULL);
	assert_string_equal(oc_stats(oc).name, "obj");
	p = objcache_get(oc, M_WAITOK);
	assert_int_equal(kmalloc_usable_size(p), 104);
	assert_int_equal(stats(M_OBJ).inuse, 1);
	objcache_put(oc, p);
	objcache_destroy(oc);
	assert_int_equal(stats(M_OBJ).inuse, 0);
	oc = objcache_create("zero", 0, 0, NULL, NULL, NULL,
	    objcache_malloc_alloc_zero, objcache_malloc_free, &args);
	p = kmalloc(200, M_OBJ, M_WAITOK);
	memset(p, 0xa5, 200);
	kfree(p, M_OBJ);
	p = objcache_get(oc, M_WAITOK);
	assert_true(all_are(p, 0, 200));
	objcache_dtor(oc, p);
	objcache_destroy(oc);
	/* NULL of kmalloc is NULL of the cache (OC-5). */
	oc = objcache_create_simple(M_OBJ, (size_t)1 << 40);
	assert_null(objcache_get(oc, M_NOWAIT));
	assert_int_equal(oc_stats(oc).failed, 1);
	objcache_destroy(oc);
	halt();
}

/* G-9. */
static void
callbacks_run_with_nothing_locked(void **state)
{
	unsigned n, debug;

	(void)state;
	for (debug = 0; debug < 2; debug++) {
		boot_debug(2, debug ? KA_DEBUG_AUDIT : 0);
		(void)make(100, 0);
		world.nest = true;
		n = get_all(60);
		assert_int_equal(n, 60);
		put_all(n);
		atomic_store(&world.refuse_ctor, 1);
		n = get_all(100);
		put_all(n);
		assert_true(objcache_reclaimlist(&world.oc, 1, M_WAITOK));
		n = get_all(100);
		for (; n > 0; n--) {
			atomic_store(&held[n - 1]->holders, 0);
			objcache_dtor(world.oc, held[n - 1]);
		}
		check_balance(world.oc);
		end();
	}
}

static struct kalloc_leak leaks[4];
static unsigned nleaks;

static void
note_leak(void *arg, const struct kalloc_leak *leak)
{
	(void)arg;
	if (nleaks < COUNT_OF(leaks))
		leaks[nleaks] = *leak;
	nleaks++;
}

/* G-1. */
static void
halt_tells_what_is_held(void **state)
{
	struct objcache *oc, *other;
	struct objcache_stats s;
	unsigned n;
	void *p;

	(void)state;
	boot_cpus(2);
	oc = objcache_create(
	    "held", 0, 0, NULL, NULL, NULL, count_alloc, count_free, &world);
	other = objcache_create_simple(M_OBJ, 64);
	assert_non_null(other);
	assert_true(objcache_stats(0, &s));
	assert_string_equal(s.name, "held");
	assert_true(objcache_stats(1, &s));
	assert_string_equal(s.name, "obj");
	assert_false(objcache_stats(2, &s));
	assert_false(objcache_stats(5, &s));
	p = objcache_get(oc, M_WAITOK);
	nleaks = 0;
	assert_int_equal(kalloc_halt(false, note_leak, NULL), EBUSY);
	assert_int_equal(nleaks, 1);
	assert_string_equal(leaks[0].name, "held");
	assert_int_equal(leaks[0].count, 1);
	/* Cached objects of a backend that nobody else watches. */
	objcache_put(oc, p);
	nleaks = 0;
	assert_int_equal(kalloc_halt(false, note_leak, NULL), EBUSY);
	assert_int_equal(leaks[0].count, 1);
	assert_ptr_equal(objcache_get(oc, M_WAITOK), p);
	/* Held ones of kmalloc: how much they are is known. */
	sink = objcache_get(other, M_WAITOK);
	nleaks = 0;
	assert_int_equal(kalloc_halt(false, note_leak, NULL), EBUSY);
	assert_true(nleaks >= 2 && nleaks <= COUNT_OF(leaks));
	for (n = 0; n < nleaks; n++)
		if (strcmp(leaks[n].name, "obj") == 0)
			assert_int_equal(leaks[n].bytes, 64);
	assert_int_equal(kalloc_halt(true, NULL, NULL), 0);
	free(p);
	assert_null(objcache_create("no system", 0, 0, NULL, NULL, NULL,
	    count_alloc, count_free, &world));
	boot_cpus(2);
	assert_false(objcache_stats(0, &s));
	/* A cache in which nothing is, is nothing outstanding. */
	(void)make(0, 0);
	halt();
}

/* G-6: creation without memory. */
static void
creation_needs_memory(void **state)
{
	unsigned n, debug;

	(void)state;
	for (debug = 0; debug < 2; debug++) {
		boot_debug(2, debug ? KA_DEBUG_AUDIT : 0);
		for (n = 1;; n++) {
			maps = 0;
			refuse_map = n;
			world.oc = objcache_create("x", 0, 0, NULL, NULL, NULL,
			    count_alloc, count_free, &world);
			refuse_map = 0;
			if (world.oc != NULL)
				break;
		}
		assert_int_equal(n, debug ? 4 : 3);
		objcache_destroy(world.oc);
		maps = 0;
		refuse_map = 1;
		assert_null(objcache_create_simple(M_TEMP, 64));
		refuse_map = 0;
		halt();
	}
}

/* Objects cannot be known any more: nothing is checked, everything works. */
static void
debug_without_memory_checks_nothing(void **state)
{
	unsigned n;

	(void)state;
	boot_debug(1, KA_DEBUG_AUDIT);
	(void)make(0, 8);
	maps = 0;
	refuse_map = 1;
	n = get_all(1000);
	refuse_map = 0;
	assert_int_equal(n, 1000);
	put_all(n);
	end();
}

/* ---- Magazines -------------------------------------------------------- */

static void
magazines_hold_less_of_what_is_large(void **state)
{
	static const struct {
		size_t size;
		uint32_t capacity;
	} rows[] = { { 1, 126 }, { 128, 126 }, { 129, 62 }, { 256, 62 },
		{ 512, 30 }, { 1024, 16 }, { 2048, 8 }, { 3072, 4 },
		{ 4096, 2 }, { 4097, 1 }, { 8192, 1 }, { 100000, 1 } };
	unsigned i;

	(void)state;
	for (i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(
		    mag__capacity_of(rows[i].size), rows[i].capacity);
}

static void *
count_puts(void *arg)
{
	uintptr_t n = 0;

	while (mag__put(arg, (void *)((n + 1) * 8)) == MAG_DONE)
		n++;
	return ((void *)n);
}

static void
count_object(void *arg, void *object)
{
	(void)object;
	(*(unsigned *)arg)++;
}

/* Also what those without a CPU have may be made smaller; all of it can be had
 * from anywhere; and what others wait for closes only who says so. */
static void
magazines_are_of_every_cpu(void **state)
{
	struct mag_cache c;
	void *n = NULL;
	unsigned i, all = 0;
	pthread_t t;

	(void)state;
	boot_cpus(1);
	assert_int_equal(mag__init(&c, 8, 1, 0), 0);
	mag__set_capacity(&c, 3);
	cpu__shortage_begin();
	assert_false(mag__is_closed(&c));
	assert_int_equal(mag__put(&c, &c), MAG_DONE); /* cpu 0 */
	cpu__shortage_end();
	t = thread_start(count_puts, &c);
	must(pthread_join(t, &n) == 0);
	assert_int_equal((uintptr_t)n, 3 * 3); /* two, and the depot's */
	mag__each(&c, count_object, &all);
	assert_int_equal(all, 1 + 9);
	all = 0;
	c.c_count--; /* without the depot's: what is behind is no magazine */
	mag__each(&c, count_object, &all);
	assert_int_equal(all, 1 + 6);
	c.c_count++;
	mag__close(&c);
	mag__lock(&c);
	for (i = 0; i < 10; i++)
		assert_non_null(mag__take_any(&c));
	assert_null(mag__take_any(&c));
	mag__unlock(&c);
	mag__fini(&c);
	halt();
}

static void
magazines_can_be_made_smaller(void **state)
{
	struct mag_cache c;
	struct mag_sum sum;
	const char *found;
	uintptr_t i;
	void *p[64];

	(void)state;
	boot_cpus(2);
	assert_int_equal(mag__init(&c, 8, 2, MAG_SHORTAGE), 0);
	for (i = 1; mag__put(&c, (void *)(i * 8)) == MAG_DONE; i++)
		continue;
	assert_int_equal(i - 1, 4 * 8);
	mag__set_capacity(&c, 3);
	assert_int_equal(mag__take(&c, NULL, p, 64), 16);
	assert_int_equal(mag__take(&c, ka_cpu_self(), p, 64), 16);
	for (i = 1; mag__put(&c, (void *)(i * 8)) == MAG_DONE; i++)
		continue;
	assert_int_equal(i - 1, 4 * 3);
	assert_null(mag__audit(&c, &found));
	while (mag__get(&c) != NULL)
		continue;
	mag__set_capacity(&c, 0);
	assert_int_equal(mag__put(&c, &c), MAG_FULL);
	mag__lock(&c);
	assert_false(mag__depot_put(&c, &c));
	mag__unlock(&c);
	mag__set_capacity(&c, 8);
	assert_int_equal(mag__put(&c, &c), MAG_DONE);
	assert_true(mag_slot(&c, ka_cpu_self())->s_fast != &mag_none);
	/* Closed, for two reasons: nothing gets in, what is in can be had. */
	mag__close(&c);
	assert_ptr_equal(mag_slot(&c, ka_cpu_self())->s_fast, &mag_none);
	assert_int_equal(mag__put(&c, &c), MAG_CLOSED);
	mag__reopen(&c);
	cpu__shortage_begin();
	assert_int_equal(mag__put(&c, &c), MAG_CLOSED);
	assert_ptr_equal(mag__get(&c), &c);
	cpu__shortage_end();
	assert_int_equal(mag__put(&c, &c), MAG_DONE);
	mag__sum(&c, &sum);
	assert_int_equal(sum.cached, 1);
	assert_int_equal(sum.puts, sum.gets + 1 + 32);
	assert_null(mag__audit(&c, &found));
	mag__fini(&c);
	halt();
}

static void
audits_see_what_is_broken(void **state)
{
	struct mag_slot *slot;
	struct mag_cache *c;
	struct magazine *m;
	struct objcache *second_cache;
	const char *found;
	void *second;

	(void)state;
	boot_cpus(2);
	c = (struct mag_cache *)(void *)make(10, 0);
	put_all(get_all(8));
	slot = mag_slot(c, ka_cpu_self());
	audit();
	m = slot->s_previous;
	slot->s_previous = slot->s_loaded;
	assert_string_equal(objcache_audit(&found), "I-MG-2");
	slot->s_previous = m;
	m = slot->s_fast;
	slot->s_fast = slot->s_previous;
	assert_string_equal(objcache_audit(&found), "I-MG-4");
	slot->s_fast = m;
	slot->s_gets++;
	assert_string_equal(objcache_audit(&found), "I-OC-1");
	slot->s_gets--;
	m = slot->s_loaded;
	second = m->m_object[1];
	m->m_object[1] = m->m_object[0];
	assert_string_equal(objcache_audit(&found), "I-OC-2");
	m->m_object[1] = NULL;
	assert_string_equal(objcache_audit(&found), "I-MG-3");
	m->m_object[1] = second;
	m->m_rounds += 99;
	assert_string_equal(objcache_audit(&found), "I-MG-1");
	m->m_rounds -= 99;
	/* The first that is broken is told; without memory none is. */
	m->m_object[1] = m->m_object[0];
	second_cache = objcache_create_simple(M_TEMP, 64);
	assert_string_equal(objcache_audit(&found), "I-OC-2");
	maps = 0;
	refuse_map = 1;
	assert_null(objcache_audit(&found));
	refuse_map = 0;
	m->m_object[1] = second;
	objcache_destroy(second_cache);
	end();
}

/* The lists of the depot. */
static void
audits_see_a_broken_depot(void **state)
{
	struct magazine *full, *next, *empty;
	struct mag_cache c;
	const char *found;
	uint32_t rounds;
	uintptr_t i;

	(void)state;
	boot_cpus(1);
	assert_int_equal(mag__init(&c, 4, 3, 0), 0);
	for (i = 1; i <= 14; i++)
		assert_int_equal(mag__put(&c, (void *)(i * 8)), MAG_DONE);
	assert_null(mag__audit(&c, &found));
	full = c.c_full;
	empty = c.c_empty;
	rounds = full->m_rounds;
	full->m_rounds = 0;
	assert_string_equal(mag__audit(&c, &found), "I-MG-3");
	full->m_rounds = rounds;
	empty->m_object[0] = &c;
	empty->m_rounds = 1;
	assert_string_equal(mag__audit(&c, &found), "I-MG-3");
	empty->m_rounds = 0;
	next = full->m_next;
	full->m_next = full; /* a ring */
	assert_string_equal(mag__audit(&c, &found), "I-MG-3");
	full->m_next = next;
	c.c_full = next;
	assert_string_equal(mag__audit(&c, &found), "I-MG-2");
	c.c_full = full;
	assert_null(mag__audit(&c, &found));
	mag__fini(&c);
	halt();
}

/* I-OC-3: an object that got into a magazine past the cache. */
static void
audits_see_what_is_not_known(void **state)
{
	struct mag_cache *c;
	struct mag_slot *slot;
	struct obj *o;
	const char *found;
	char other;

	(void)state;
	boot_debug(1, KA_DEBUG_AUDIT);
	c = (struct mag_cache *)(void *)make(0, 8);
	o = get(M_WAITOK);
	slot = mag_slot(c, ka_cpu_self());
	slot->s_puts++;
	mag__lock(c);
	assert_true(mag__depot_put(c, &other));
	mag__unlock(c);
	assert_string_equal(objcache_audit(&found), "I-OC-3");
	mag__lock(c);
	assert_ptr_equal(mag__depot_get(c), &other);
	assert_true(mag__depot_put(c, o)); /* it is held */
	mag__unlock(c);
	assert_string_equal(objcache_audit(&found), "I-OC-3");
	mag__lock(c);
	assert_ptr_equal(mag__depot_get(c), o);
	mag__unlock(c);
	slot->s_puts--;
	put(o);
	end();
}

/* A closed cache whose depot is full gives back what is put. */
static void
a_full_depot_of_a_closed_cache_overflows(void **state)
{
	struct mag_cache *c;
	unsigned n, room;

	(void)state;
	boot_cpus(1);
	c = (struct mag_cache *)(void *)make(0, 8);
	n = get_all(100);
	assert_int_equal(n, 100);
	room = (c->c_count - 2 * (cpu_count + 1)) * c->c_capacity;
	mag__close(c);
	put_all(n);
	mag__reopen(c);
	assert_true(room < n);
	assert_int_equal(oc_stats(world.oc).cached, room);
	assert_int_equal(world.frees, n - room);
	end();
}

/* An object that a cache without backend never saw may be ended by it. */
static void
a_donated_object_may_be_ended(void **state)
{
	struct objcache *oc;
	const char *found;
	char o;

	(void)state;
	boot_debug(1, KA_DEBUG_AUDIT);
	oc = objcache_create("nop", 0, 0, NULL, NULL, NULL, objcache_nop_alloc,
	    objcache_nop_free, NULL);
	objcache_dtor(oc, &o);
	assert_int_equal(oc_stats(oc).cached, 0);
	assert_null(objcache_audit(&found));
	objcache_destroy(oc);
	halt();
}

/* ---- Several threads -------------------------------------------------- */

struct hoard {
	unsigned n;
	atomic_int step;
	struct obj *o[256];
};

/* Fills the magazines of a CPU of its own, and stays. */
static void *
hoard_main(void *arg)
{
	struct hoard *h = arg;
	unsigned i;

	for (i = 0; i < h->n; i++) {
		h->o[i] = get(M_NOWAIT);
		must(h->o[i] != NULL);
	}
	for (i = 0; i < h->n; i++)
		put(h->o[i]);
	atomic_store(&h->step, 1);
	while (atomic_load(&h->step) == 1)
		sleep_ms(1);
	return (NULL);
}

static atomic_bool dtor_stops;

static void *
dtor_main(void *arg)
{
	void *p;

	(void)arg;
	while (!atomic_load(&dtor_stops)) {
		put(get(M_WAITOK));
		p = get(M_WAITOK);
		must(atomic_fetch_sub(&((struct obj *)p)->holders, 1) == 1);
		objcache_dtor(world.oc, p);
	}
	return (NULL);
}

/* G-7: who looks at a cache sees what is held, whatever else goes by. */
static void
what_is_held_shows(void **state)
{
	struct obj *o;
	pthread_t t;
	unsigned i;

	(void)state;
	boot_cpus(2);
	(void)make(0, 0);
	o = get(M_WAITOK);
	atomic_store(&dtor_stops, false);
	t = thread_start(dtor_main, NULL);
	for (i = 0; i < 1000000; i++) {
		const uint64_t used = oc_stats(world.oc).used;

		if (used < 1)
			break;
	}
	atomic_store(&dtor_stops, true);
	thread_join(t);
	assert_int_equal(i, 1000000);
	put(o);
	end();
}

/* OC-6: whatever other CPUs have in their magazines. */
static void
the_limit_can_be_held_from_any_cpu(void **state)
{
	struct hoard h[3];
	pthread_t t[3];
	unsigned i, n, over;

	(void)state;
	/* With one CPU less than threads: the spare CPU hoards as well. */
	for (over = 0; over < 2; over++) {
		boot_cpus(4 - over);
		(void)make(20, 0);
		put(get(M_WAITOK)); /* the first CPU is ours */
		for (i = 0; i < 3; i++) {
			h[i].n = 8;
			atomic_store(&h[i].step, 0);
			t[i] = thread_start(hoard_main, &h[i]);
			assert_true(wait_until(atomic_load(&h[i].step) == 1));
		}
		n = get_all(OBJECTS_MAX);
		assert_true(n >= 20);
		assert_true(world.allocs - world.frees <= 20 + 2 * 4 * 4);
		put_all(n);
		for (i = 0; i < 3; i++) {
			atomic_store(&h[i].step, 2);
			thread_join(t[i]);
		}
		end();
	}
}

/* A get that may sleep takes what other CPUs have before it does (OC-8). */
static void
a_sleeper_takes_what_others_cache(void **state)
{
	struct hoard h = { .n = 8 };
	pthread_t t;
	unsigned n;

	(void)state;
	boot_cpus(2);
	(void)make(10, 0);
	put(get(M_WAITOK));
	t = thread_start(hoard_main, &h);
	assert_true(wait_until(atomic_load(&h.step) == 1));
	n = get_all(OBJECTS_MAX);
	assert_int_equal(n, 10 + 16 - 8);
	for (; n < 10 + 16; n++) {
		held[n] = get(M_WAITOK);
		assert_non_null(held[n]);
	}
	assert_int_equal(oc_stats(world.oc).sleeps, 0);
	assert_int_equal(oc_stats(world.oc).cached, 0);
	atomic_store(&h.step, 2);
	thread_join(t);
	put_all(n);
	end();
}

/* Objects of a thread that has ended are had before the backend is asked. */
static void
the_dead_leave_their_objects(void **state)
{
	struct hoard h = { .n = 8 };
	pthread_t t;
	unsigned n;

	(void)state;
	boot_cpus(2);
	(void)make(0, 20);
	put(get(M_WAITOK));
	t = thread_start(hoard_main, &h);
	assert_true(wait_until(atomic_load(&h.step) == 1));
	atomic_store(&h.step, 2);
	thread_join(t);
	assert_int_equal(world.allocs, 9);
	n = get_all(9);
	assert_int_equal(n, 9);
	assert_int_equal(world.allocs, 9);
	put_all(n);
	end();
}

static void *
sleeper_main(void *arg)
{
	struct obj **ret_o = arg;

	*ret_o = get(M_WAITOK);
	return (NULL);
}

enum wake {
	WAKE_PUT,
	WAKE_DTOR,
	WAKE_RAISE,
	WAKE_UNLIMIT,
	WAKE_COUNT
};

static void *
wake_main(void *arg)
{
	unsigned n = 0, how = *(unsigned *)arg;

	switch (how) {
	case WAKE_PUT:
		put(held[n]);
		break;
	case WAKE_DTOR:
		atomic_store(&held[n]->holders, 0);
		objcache_dtor(world.oc, held[n]);
		break;
	case WAKE_RAISE:
		objcache_set_cluster_limit(world.oc, 11);
		break;
	default:
		objcache_set_cluster_limit(world.oc, 0);
		break;
	}
	return (NULL);
}

/* OC-8, G-5: by every path, on the sleeper's CPU or another. H2. */
static void
sleepers_are_woken(void **state)
{
	unsigned how, debug, n, i;
	struct obj *o;
	pthread_t t;

	(void)state;
	for (debug = 0; debug < 2; debug++)
		for (how = 0; how < WAKE_COUNT; how++) {
			boot_debug(3, debug ? KA_DEBUG_AUDIT : 0);
			(void)make(10, 0);
			n = get_all(OBJECTS_MAX);
			o = NULL;
			t = thread_start(sleeper_main, &o);
			assert_true(wait_until(oc_stats(world.oc).sleeps == 1));
			sleep_ms(2);
			/* For nothing: the call sleeps on, and that counts as
			 * one sleep. */
			objcache_set_cluster_limit(world.oc, 10);
			sleep_ms(10);
			thread_run(wake_main, &how);
			thread_join(t);
			assert_non_null(o);
			assert_int_equal(oc_stats(world.oc).sleeps, 1);
			put(o);
			for (i = how <= WAKE_DTOR ? 1 : 0; i < n; i++)
				put(held[i]);
			/* Nobody sleeps: caches are used again. */
			assert_int_equal(is_open(), debug == 0);
			end();
		}
}

/* A sleeper whose quota comes from a constructor that refuses, and who is
 * refused himself, gets NULL (OC-5); the next is woken by that. */
static void
refused_construction_wakes_the_next(void **state)
{
	struct obj *o[3] = { 0 };
	pthread_t t[3];
	unsigned i, n;

	(void)state;
	boot_cpus(4);
	(void)make(4, 0);
	n = get_all(OBJECTS_MAX);
	for (i = 0; i < 3; i++)
		t[i] = thread_start(sleeper_main, &o[i]);
	assert_true(wait_until(oc_stats(world.oc).sleeps == 3));
	atomic_store(&world.refuse_ctor, 2);
	atomic_store(&held[--n]->holders, 0);
	objcache_dtor(world.oc, held[n]);
	for (i = 0; i < 3; i++)
		thread_join(t[i]);
	for (i = 0; i < 3; i++)
		if (o[i] != NULL)
			held[n++] = o[i];
	assert_int_equal(n, 4 + 2 * 4 * 4);
	assert_int_equal(oc_stats(world.oc).failed, 1 + 2);
	put_all(n);
	end();
}

struct mill {
	unsigned rounds, keep;
	bool wait, reclaims;
	uint32_t seed;
};

static void *
mill_main(void *arg)
{
	struct mill *m = arg;
	struct obj *mine[16];
	unsigned i, n = 0;

	for (i = 0; i < m->rounds; i++) {
		uint32_t r = next_random(&m->seed);

		if (m->reclaims && r % 256 == 0) {
			(void)objcache_reclaimlist(&world.oc, 1, M_WAITOK);
		} else if (n < m->keep && r % 2 == 0) {
			mine[n] = get(m->wait && n == 0 ? M_WAITOK : M_NOWAIT);
			if (mine[n] != NULL)
				mine[n++]->payload[0] = r;
		} else if (n > 0 && r % 64 == 1) {
			atomic_store(&mine[--n]->holders, 0);
			objcache_dtor(world.oc, mine[n]);
		} else if (n > 0) {
			put(mine[--n]);
		}
	}
	while (n > 0)
		put(mine[--n]);
	return (NULL);
}

/* OC-6, OC-7, G-5, G-7: more threads than CPUs, all sleeping now and then. */
static void
threads_share_a_cache(void **state)
{
	enum {
		N = 5
	};
	unsigned i, mode;

	(void)state;
	for (mode = 0; mode < 6; mode++) {
		struct mill m[N];
		pthread_t t[N];

		boot_debug(mode % 2 ? 2 : 6, mode == 5 ? KA_DEBUG_AUDIT : 0);
		(void)make(mode < 2 ? 0 : 1, 4);
		/* At the limit from the beginning. */
		if (mode >= 2)
			objcache_set_cluster_limit(world.oc, 1);
		for (i = 0; i < N; i++) {
			m[i] = (struct mill) { .rounds = 4000,
				.keep = 16,
				.wait = true,
				.reclaims = i == 0 && mode % 3,
				.seed = 77 + i + mode * 100 };
			t[i] = thread_start(mill_main, &m[i]);
		}
		for (i = 0; i < N; i++)
			thread_join(t[i]);
		check_balance(world.oc);
		assert_int_equal(oc_stats(world.oc).used, 0);
		end();
	}
}

static void *
one_at_a_time_main(void *arg)
{
	unsigned i, *rounds = arg;

	for (i = 0; i < *rounds; i++) {
		struct obj *o = get(M_WAITOK);

		must(o != NULL);
		put(o);
	}
	return (NULL);
}

/* OC-8: everybody sleeps for a handful of objects, with all else held. */
static void
everybody_who_sleeps_goes_on(void **state)
{
	unsigned i, n, rounds = 300;
	pthread_t t[4];

	(void)state;
	boot_cpus(3);
	(void)make(5, 0);
	n = get_all(OBJECTS_MAX);
	for (i = 0; i < 4; i++)
		t[i] = thread_start(one_at_a_time_main, &rounds);
	assert_true(wait_until(oc_stats(world.oc).sleeps >= 4));
	put(held[--n]);
	for (i = 0; i < 4; i++)
		thread_join(t[i]);
	put_all(n);
	end();
}

/* One magazine is empty, and is the first that is looked into. */
static struct obj *held_by_the_dead;

static void *
leave_previous(void *arg)
{
	unsigned n = *(unsigned *)arg, i;
	struct obj *o[OC_MOST];

	for (i = 0; i <= n; i++)
		must((o[i] = get(M_WAITOK)) != NULL);
	for (i = 0; i <= n; i++)
		put(o[i]);
	must((o[0] = get(M_WAITOK)) != NULL);
	must(mag_slot((struct mag_cache *)(void *)world.oc, ka_cpu_self())
		 ->s_loaded->m_rounds == 0);
	held_by_the_dead = o[0];
	return (NULL);
}

static void
the_dead_leave_their_other_magazine(void **state)
{
	unsigned n, allocs;

	(void)state;
	boot_cpus(2);
	(void)make(0, 8);
	n = oc_stats(world.oc).magazine;
	assert_true(n < OC_MOST);
	put(get(M_WAITOK));
	thread_run(leave_previous, &n);
	allocs = world.allocs;
	assert_int_equal(get_all(1 + n), 1 + n);
	assert_int_equal(world.allocs, allocs);
	put_all(1 + n);
	put(held_by_the_dead);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    objects_are_constructed_once_and_keep_what_they_hold),
		cmocka_unit_test(sizes_are_those_of_the_lineage),
		cmocka_unit_test(sizes_follow_from_the_objects),
		cmocka_unit_test(the_limit_refuses_who_may_not_sleep),
		cmocka_unit_test(failures_change_nothing),
		cmocka_unit_test(put_never_fails_and_dtor_does_not_cache),
		cmocka_unit_test(reclaim_frees_and_leaves_the_capacity),
		cmocka_unit_test(reclaim_tells_of_the_depot),
		cmocka_unit_test(reclaim_is_over_although_others_put),
		cmocka_unit_test(a_refused_destroy_changes_nothing),
		cmocka_unit_test(another_limit_counts_at_once),
		cmocka_unit_test(misuse_is_told),
		cmocka_unit_test(debug_knows_every_object),
		cmocka_unit_test(a_cache_may_have_no_backend),
		cmocka_unit_test(kmalloc_is_a_backend),
		cmocka_unit_test(callbacks_run_with_nothing_locked),
		cmocka_unit_test(halt_tells_what_is_held),
		cmocka_unit_test(creation_needs_memory),
		cmocka_unit_test(debug_without_memory_checks_nothing),
		cmocka_unit_test(magazines_hold_less_of_what_is_large),
		cmocka_unit_test(magazines_are_of_every_cpu),
		cmocka_unit_test(magazines_can_be_made_smaller),
		cmocka_unit_test(audits_see_what_is_broken),
		cmocka_unit_test(what_is_held_shows),
		cmocka_unit_test(the_limit_can_be_held_from_any_cpu),
		cmocka_unit_test(a_sleeper_takes_what_others_cache),
		cmocka_unit_test(the_dead_leave_their_objects),
		cmocka_unit_test(sleepers_are_woken),
		cmocka_unit_test(refused_construction_wakes_the_next),
		cmocka_unit_test(threads_share_a_cache),
		cmocka_unit_test(everybody_who_sleeps_goes_on),
		cmocka_unit_test(audits_see_a_broken_depot),
		cmocka_unit_test(audits_see_what_is_not_known),
		cmocka_unit_test(a_full_depot_of_a_closed_cache_overflows),
		cmocka_unit_test(a_donated_object_may_be_ended),
		cmocka_unit_test(the_dead_leave_their_other_magazine),
	};

	return (cmocka_run_group_tests_name("objcache", tests, NULL, NULL));
}
