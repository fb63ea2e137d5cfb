/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: kmalloc keeps its promises among real threads: remote frees (KM-12,
 * KM-13), threads that come and go, statistics while others run (G-7), the end
 * of a type (KM-17). Sleepers are in test_sleep.c.
 * Method: contents are checked by whoever frees; after everything was freed
 * the auditors, the statistics and the page layer must say so. Where an order
 * of events matters it is forced, and a time limit stands for "never". Made to
 * be run under ThreadSanitizer as well.
 */
#include "kalloc_test.h"

#include <stdatomic.h>

#include "cpu.h"

MALLOC_DEFINE(M_SHARE, "share", "what threads hand to each other");

/* An object knows its size, and is filled with a byte that follows of it. */
struct object {
	uint32_t size, seed;
	struct object *next;
};

static unsigned char
object_byte(const struct object *o)
{
	return ((unsigned char)(o->seed * 31 + o->size));
}

static struct object *
object_alloc(uint32_t *seed, int flags)
{
	uint32_t r = next_random(seed), size;
	struct object *o;

	size = (uint32_t)sizeof(*o) +
	    (r % 64 == 0 ? r / 64 % 20000 : r / 64 % 600);
	o = kmalloc(size, M_SHARE, flags);
	if (o == NULL)
		return (NULL);
	o->size = size;
	o->seed = r;
	o->next = NULL;
	memset(o + 1, object_byte(o), size - sizeof(*o));
	return (o);
}

static void
object_free(struct object *o)
{
	must(all_are(o + 1, object_byte(o), o->size - sizeof(*o)));
	kfree(o, M_SHARE);
}

/* ---- Producers and consumers (KM-12) ---------------------------------- */

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct object *head;
	unsigned length, producers;
};

static struct queue queue = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER };

static void
queue_put(struct object *o)
{
	(void)pthread_mutex_lock(&queue.lock);
	while (queue.length >= 500)
		(void)pthread_cond_wait(&queue.changed, &queue.lock);
	o->next = queue.head;
	queue.head = o;
	queue.length++;
	(void)pthread_cond_broadcast(&queue.changed);
	(void)pthread_mutex_unlock(&queue.lock);
}

static struct object *
queue_take_all(void)
{
	struct object *list;

	(void)pthread_mutex_lock(&queue.lock);
	while (queue.head == NULL && queue.producers != 0)
		(void)pthread_cond_wait(&queue.changed, &queue.lock);
	list = queue.head;
	queue.head = NULL;
	queue.length = 0;
	(void)pthread_cond_broadcast(&queue.changed);
	(void)pthread_mutex_unlock(&queue.lock);
	return (list);
}

static void *
producer_main(void *arg)
{
	uint32_t seed = 1 + *(unsigned *)arg;
	unsigned i;

	for (i = 0; i < 4000; i++)
		queue_put(object_alloc(&seed, M_WAITOK));
	(void)pthread_mutex_lock(&queue.lock);
	queue.producers--;
	(void)pthread_cond_broadcast(&queue.changed);
	(void)pthread_mutex_unlock(&queue.lock);
	return (NULL);
}

static void *
consumer_main(void *arg)
{
	struct object *list, *next;

	(void)arg;
	while ((list = queue_take_all()) != NULL)
		for (; list != NULL; list = next) {
			next = list->next;
			object_free(list);
		}
	return (NULL);
}

static void
remote_frees_come_back(void **state)
{
	static const struct {
		unsigned ncpus, debug;
	} run[] = { { 4, 0 }, { 2, 0 }, { 1, 0 }, { 3, KA_DEBUG_ALL } };
	unsigned i, r, id[4] = { 1, 2, 3, 4 };
	pthread_t t[4];

	(void)state;
	for (r = 0; r < COUNT_OF(run); r++) {
		boot_for(M_SHARE, run[r].ncpus, 4096, run[r].debug);
		queue.producers = 2;
		for (i = 0; i < 4; i++)
			t[i] = thread_start(
			    i < 2 ? producer_main : consumer_main, &id[i]);
		for (i = 0; i < 4; i++)
			thread_join(t[i]);
		assert_int_equal(stats(M_SHARE).calls, 8000);
		halt_unused(M_SHARE);
	}
}

/* The steady state of a producer and a consumer needs no more and more. */
static void *
free_list_main(void *arg)
{
	struct object *list = arg, *next;

	for (; list != NULL; list = next) {
		next = list->next;
		object_free(list);
	}
	return (NULL);
}

static void
remotely_freed_chunks_are_used_again(void **state)
{
	size_t after_first = 0;
	unsigned round, i;

	(void)state;
	boot_for(M_SHARE, 2, 4096, 0);
	for (round = 0; round < 50; round++) {
		struct object *list = NULL, *o;
		uint32_t seed = 77;

		for (i = 0; i < 500; i++) {
			o = object_alloc(&seed, M_NOWAIT);
			assert_non_null(o);
			o->next = list;
			list = o;
		}
		if (round == 0)
			after_first = vm_free_pages();
		else
			assert_true(vm_free_pages() >= after_first);
		thread_run(free_list_main, list);
		assert_int_equal(stats(M_SHARE).inuse, 0);
	}
	halt_unused(M_SHARE);
}

/* ---- More threads than CPUs ------------------------------------------- */

#define SLOTS 64
static struct object *_Atomic slot[SLOTS];

static void *
exchange_main(void *arg)
{
	uint32_t seed = 100 + *(unsigned *)arg;
	unsigned i;

	for (i = 0; i < 2500; i++) {
		struct object *o =
		    object_alloc(&seed, i % 2 == 0 ? M_WAITOK : M_NOWAIT);

		must(o != NULL);
		o = atomic_exchange(&slot[next_random(&seed) % SLOTS], o);
		if (o != NULL)
			object_free(o);
	}
	return (NULL);
}

static void
clear_slots(void)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++) {
		struct object *o = atomic_exchange(&slot[i], NULL);

		if (o != NULL)
			object_free(o);
	}
}

static void
more_threads_than_cpus_share_one(void **state)
{
	enum {
		N = 8
	};
	unsigned ncpus, i, id[N];
	pthread_t t[N];

	(void)state;
	for (ncpus = 1; ncpus <= 3; ncpus++) {
		boot_for(
		    M_SHARE, ncpus, 4096, ncpus == 3 ? KA_DEBUG_REDZONE : 0);
		for (i = 0; i < N; i++) {
			id[i] = i;
			t[i] = thread_start(exchange_main, &id[i]);
		}
		for (i = 0; i < N; i++)
			thread_join(t[i]);
		audit();
		clear_slots();
		assert_int_equal(stats(M_SHARE).calls, N * 2500);
		halt_unused(M_SHARE);
	}
}

/* ---- Threads that exit ------------------------------------------------ */

static void *
leave_objects_main(void *arg)
{
	struct object **ret_list = arg, *o;
	uint32_t seed = 5;
	unsigned i;

	for (i = 0; i < 300; i++) {
		o = object_alloc(&seed, M_WAITOK);
		o->next = *ret_list;
		*ret_list = o;
	}
	return (NULL);
}

static void
threads_that_exit_leave_nothing_behind(void **state)
{
	enum {
		N = 6
	};
	struct object *list[N] = { NULL };
	pthread_t t[N];
	unsigned i;

	(void)state;
	boot_for(M_SHARE, 3, 4096, 0);
	for (i = 0; i < N; i++)
		t[i] = thread_start(leave_objects_main, &list[i]);
	for (i = 0; i < N; i++)
		thread_join(t[i]);
	assert_int_equal(stats(M_SHARE).inuse, N * 300);
	audit();
	for (i = 0; i < N; i++)
		(void)free_list_main(list[i]);
	(void)kmalloc_trim();
	assert_int_equal(vm_free_pages(), 4096);
	halt_unused(M_SHARE);
}

/* An object stays of each, so that no slab of theirs gets wholly free. */
static void *
short_life_main(void *arg)
{
	struct object *mine[40];
	uint32_t seed = 1 + *(unsigned *)arg;
	unsigned i;

	for (i = 0; i < 40; i++)
		mine[i] = object_alloc(&seed, M_NOWAIT);
	for (i = 1; i < 40; i++) {
		must(mine[i] != NULL);
		object_free(mine[i]);
	}
	must(mine[0] != NULL);
	mine[0] = atomic_exchange(&slot[seed % 16], mine[0]);
	if (mine[0] != NULL)
		object_free(mine[0]);
	return (NULL);
}

static void
a_thousand_threads_need_no_more_than_a_hundred(void **state)
{
	enum {
		N = 1000,
		TOGETHER = 3
	};
	size_t used, used_early = 0, used_late = 0;
	unsigned i, k, id[TOGETHER];
	pthread_t t[TOGETHER];

	(void)state;
	boot_for(M_SHARE, 4, 16384, 0);
	for (i = 0; i < N / TOGETHER; i++) {
		for (k = 0; k < TOGETHER; k++) {
			id[k] = (i * TOGETHER + k) % 90;
			t[k] = thread_start(short_life_main, &id[k]);
		}
		for (k = 0; k < TOGETHER; k++)
			thread_join(t[k]);
		used = 16384 - vm_free_pages();
		if (i < 100 / TOGETHER && used > used_early)
			used_early = used;
		if (i >= 100 / TOGETHER && used > used_late)
			used_late = used;
	}
	/* Which CPU a thread gets is chance; what matters is the trend. */
	assert_true(used_late <= used_early * 2);
	clear_slots();
	halt_unused(M_SHARE);
}

struct half {
	unsigned n;
	void **p;
};

static void *
alloc_main(void *arg)
{
	struct half *h = arg;
	unsigned i;

	for (i = 0; i < h->n; i++)
		h->p[i] = kmalloc(64, M_SHARE, M_WAITOK);
	return (NULL);
}

static void *
alloc_and_free_half_main(void *arg)
{
	struct half *h = arg;
	unsigned i;

	(void)alloc_main(arg);
	for (i = 0; i < h->n; i += 2) {
		kfree(h->p[i], M_SHARE);
		h->p[i] = NULL;
	}
	return (NULL);
}

/* The chunks of a thread that is gone are allocated by others. */
static void
partial_slabs_of_the_dead_are_adopted(void **state)
{
	enum {
		N = 8 * 1024
	}; /* 8 slabs */
	static void *theirs[N], *ours[N];
	struct half h = { N, theirs };
	unsigned i, mode;
	size_t used;

	(void)state;
	for (mode = 0; mode < 3; mode++) {
		boot_for(M_SHARE, 2, 4096, 0);
		kfree(kmalloc(8, M_SHARE, M_WAITOK), M_SHARE); /* cpu 0 */
		if (mode == 0) { /* freed by itself */
			thread_run(alloc_and_free_half_main, &h);
		} else { /* after it was gone, by another */
			thread_run(alloc_main, &h);
			for (i = 0; i < N; i += 2) {
				kfree(theirs[i], M_SHARE);
				theirs[i] = NULL;
			}
		}
		audit();
		used = vm_free_pages();
		if (mode == 2) { /* a successor gets the CPU */
			struct half again = { N / 2, ours };

			thread_run(alloc_main, &again);
		} else {
			for (i = 0; i < N / 2; i++)
				ours[i] = kmalloc(64, M_SHARE, M_WAITOK);
		}
		assert_true(used - vm_free_pages() <= 16);
		for (i = 0; i < N; i++)
			if (theirs[i] != NULL)
				kfree(theirs[i], M_SHARE);
		for (i = 0; i < N / 2; i++)
			kfree(ours[i], M_SHARE);
		halt_unused(M_SHARE);
	}
}

/* Takes all 64 pages as chunks of 8192 bytes, on the calling thread's CPU;
 * the last of 33 is NULL. */
static unsigned
take_all_pages(void **p)
{
	unsigned n = 0;

	while ((p[n] = kmalloc(8192, M_SHARE, M_INTNOWAIT)) != NULL)
		n++;
	assert_int_equal(vm_free_pages(), 0);
	return (n);
}

static void *
alloc_and_free_main(void *arg)
{
	struct half *h = arg;
	unsigned i;

	(void)alloc_main(arg);
	for (i = 0; i < h->n; i++)
		kfree(h->p[i], M_SHARE);
	return (NULL);
}

/* What its CPU kept goes back; where its slab has room, others find it. */
static void
an_exit_gives_back_what_is_whole(void **state)
{
	void *p[33], *theirs[10];
	struct half h = { 10, theirs };
	unsigned n;

	(void)state;
	boot_for(M_SHARE, 2, 64, 0);
	kfree(kmalloc(0, M_SHARE, M_WAITOK), M_SHARE); /* cpu 0 */
	thread_run(alloc_and_free_main, &h);
	assert_int_equal(vm_free_pages(), 64);
	thread_run(alloc_main, &h);
	n = take_all_pages(p);
	sink = kmalloc(64, M_SHARE, M_NOWAIT);
	assert_non_null(sink);
	kfree(sink, M_SHARE);
	while (n-- > 0)
		kfree(p[n], M_SHARE);
	for (n = 0; n < 10; n++)
		kfree(theirs[n], M_SHARE);
	halt_unused(M_SHARE);
}

static atomic_uint exit_step;

/* The only CPU is its own, and room is left in a slab there when it exits. */
static void *
only_cpu_main(void *arg)
{
	(void)alloc_main(arg);
	atomic_store(&exit_step, 1);
	while (atomic_load(&exit_step) == 1)
		(void)sched_yield();
	return (NULL);
}

/*
 * Who has no CPU of its own finds that room as well. The first test: the count
 * of CPUs that may have some must not be what a system before has left.
 */
static void
room_of_the_dead_is_found_without_a_cpu(void **state)
{
	void *p[33], *theirs[10];
	struct half h = { 10, theirs };
	pthread_t t;
	unsigned n;

	(void)state;
	boot_for(M_SHARE, 1, 64, 0);
	t = thread_start(only_cpu_main, &h);
	assert_true(wait_until(atomic_load(&exit_step) == 1));
	kfree(kmalloc(16, M_SHARE, M_WAITOK), M_SHARE);
	assert_int_equal(ka_cpu_self()->c_index, cpu_count);
	atomic_store(&exit_step, 2);
	thread_join(t);
	n = take_all_pages(p);
	sink = kmalloc(64, M_SHARE, M_NOWAIT);
	assert_non_null(sink);
	kfree(sink, M_SHARE);
	while (n-- > 0)
		kfree(p[n], M_SHARE);
	for (n = 0; n < 10; n++)
		kfree(theirs[n], M_SHARE);
	halt_unused(M_SHARE);
}

static pthread_key_t late_key;
static void *late_object;

static void
late_use(void *arg)
{
	(void)arg;
	late_object = kmalloc(64, M_SHARE, M_WAITOK);
}

static void *
late_main(void *arg)
{
	kfree(kmalloc(64, M_SHARE, M_WAITOK), M_SHARE);
	must(ka_cpu_self()->c_index == 1);
	must(pthread_setspecific(late_key, arg) == 0);
	return (NULL);
}

/* A destructor of the program's may come after the library's: the CPU is given
 * back by then, and may be another's. */
static void
a_thread_that_has_left_its_cpu_does_without(void **state)
{
	struct ka_trail trail;

	(void)state;
	boot_for(M_SHARE, 2, 256, KA_DEBUG_AUDIT);
	kfree(kmalloc(64, M_SHARE, M_WAITOK), M_SHARE); /* cpu 0 */
	/* Destructors run in the order of keys: this one is younger. */
	assert_int_equal(pthread_key_create(&late_key, late_use), 0);
	thread_run(late_main, &late_key);
	assert_true(kmalloc_trail(late_object, &trail));
	assert_int_equal(trail.alloc.cpu, cpu_count);
	kfree(late_object, M_SHARE);
	(void)pthread_key_delete(late_key);
	halt_unused(M_SHARE);
}

/* ---- Visitors (cpu.h) ------------------------------------------------- */

static atomic_uint visit_step, visit_done;

static void
stay(void)
{
	atomic_store(&visit_step, 1);
	while (atomic_load(&visit_step) == 1)
		(void)sched_yield();
}

/* In the middle of a fast path. */
static void *
section_main(void *arg)
{
	struct ka_cpu *cpu;

	(void)arg;
	kfree(kmalloc(64, M_SHARE, M_WAITOK), M_SHARE);
	cpu = ka_section_enter();
	stay();
	ka_section_exit(cpu);
	return (NULL);
}

/* In the middle of a call without a CPU of its own. */
static void *
spare_main(void *arg)
{
	struct ka_cpu *cpu = cpu__lock_self();

	(void)arg;
	must(cpu->c_spare);
	stay();
	cpu__unlock_self(cpu);
	return (NULL);
}

static void *
trim_main(void *arg)
{
	(void)arg;
	(void)kmalloc_trim();
	atomic_store(&visit_done, 1);
	return (NULL);
}

static void *
uninit_main(void *type)
{
	must(malloc_uninit(type) == 0);
	atomic_store(&visit_done, 1);
	return (NULL);
}

static void
must_wait(void *(*here)(void *), void *(*visitor)(void *), void *arg)
{
	pthread_t t, v;

	atomic_store(&visit_step, 0);
	atomic_store(&visit_done, 0);
	t = thread_start(here, NULL);
	assert_true(wait_until(atomic_load(&visit_step) == 1));
	v = thread_start(visitor, arg);
	sleep_ms(20);
	assert_int_equal(visit_done, 0);
	atomic_store(&visit_step, 2);
	thread_join(v);
	thread_join(t);
	assert_int_equal(visit_done, 1);
}

/* Who visits a CPU waits for its owner; who ends a type waits for calls on
 * every CPU, also on that of those who have none (KM-17). */
static void
visitors_wait_for_calls(void **state)
{
	struct malloc_type own = { .ks_shortdesc = "own" };

	(void)state;
	boot_for(M_SHARE, 2, 256, 0);
	kfree(kmalloc(64, M_SHARE, M_WAITOK), M_SHARE); /* cpu 0 */
	must_wait(section_main, trim_main, NULL);
	malloc_init(&own);
	must_wait(section_main, uninit_main, &own);
	halt_unused(M_SHARE);
	boot_for(M_SHARE, 1, 256, 0);
	kfree(kmalloc(64, M_SHARE, M_WAITOK), M_SHARE);
	must_wait(spare_main, trim_main, NULL);
	malloc_init(&own);
	must_wait(spare_main, uninit_main, &own);
	halt_unused(M_SHARE);
}

/* ---- While others run (G-7, KM-14) ------------------------------------ */

static void
trim_and_statistics_run_beside_others(void **state)
{
	enum {
		N = 4
	};
	unsigned i, id[N];
	struct kmalloc_stats s;
	pthread_t t[N];

	(void)state;
	boot_for(M_SHARE, 3, 4096, 0);
	for (i = 0; i < N; i++) {
		id[i] = i + 50;
		t[i] = thread_start(exchange_main, &id[i]);
	}
	do {
		(void)kmalloc_trim();
		s = stats(M_SHARE);
		/* What may be held, and what one collect may miss. */
		assert_true(s.inuse <= N * 2500);
		assert_true(s.memuse <= 4096 * 4096);
		assert_true(s.calls <= N * 2500);
		sleep_ms(1);
	} while (s.calls < N * 2500);
	for (i = 0; i < N; i++)
		thread_join(t[i]);
	clear_slots();
	halt_unused(M_SHARE);
}

/* ---- The end of a type (KM-17) ---------------------------------------- */

struct handover {
	struct malloc_type *type;
	void *p[40];
	unsigned n;
};
static struct handover *_Atomic handover;

static void *
handover_main(void *arg)
{
	unsigned i;

	(void)arg;
	for (;;) {
		struct handover *h = atomic_exchange(&handover, NULL);

		if (h == NULL) {
			(void)sched_yield();
			continue;
		}
		if (h->n == 0)
			return (NULL);
		for (i = 0; i < h->n; i++)
			kfree(h->p[i], h->type);
	}
}

/*
 * The type ends when its statistics say that nothing is in use: the last free
 * may still be on its way. Its id is in use again at once.
 */
static void
types_end_while_frees_are_in_flight(void **state)
{
	static struct handover h[2];
	struct handover end = { .n = 0 };
	unsigned round, i;
	pthread_t t;

	(void)state;
	boot_for(M_SHARE, 2, 1024, 0);
	t = thread_start(handover_main, NULL);
	for (round = 0; round < 1000; round++) {
		struct handover *to = &h[round % 2];

		to->type = NULL;
		kmalloc_create(&to->type, "ends");
		assert_int_equal(stats(to->type).calls, 0);
		to->n = 1 + round % 40;
		for (i = 0; i < to->n; i++)
			to->p[i] = kmalloc(
			    i % 10 == 9 ? 9000 : 8 + i * 8, to->type, M_WAITOK);
		atomic_store(&handover, to);
		while (stats(to->type).inuse != 0)
			(void)sched_yield();
		assert_int_equal(kmalloc_destroy(&to->type), 0);
	}
	while (atomic_load(&handover) != NULL)
		(void)sched_yield();
	atomic_store(&handover, &end);
	thread_join(t);
	halt_unused(M_SHARE);
}

/* ---- Threads that outlive a system (G-1) ------------------------------ */

/* ---- What looks at all types (G-7) ------------------------------------ */

static atomic_bool looked;

/* Types come, are used, and end; of each a table has a line, or none. */
static void *
short_types_main(void *arg)
{
	struct malloc_type own, *type;
	void *p;

	(void)arg;
	while (!atomic_load(&looked)) {
		type = NULL;
		kmalloc_create(&type, "short");
		memset(&own, 0, sizeof(own));
		own.ks_shortdesc = "shorter";
		malloc_init(&own);
		p = kmalloc(16, type, M_WAITOK);
		kfree(p, type);
		kfree(kmalloc(16, &own, M_WAITOK), &own);
		must(malloc_uninit(&own) == 0);
		own.ks_shortdesc = NULL;
		must(kmalloc_destroy(&type) == 0);
	}
	return (NULL);
}

static void
count_short(void *arg, const char *line)
{
	if (strstr(line, "short") != NULL)
		(*(unsigned *)arg)++;
}

static void
tables_are_made_while_types_end(void **state)
{
	unsigned lines = 0, i;
	pthread_t t;

	(void)state;
	boot_for(M_SHARE, 2, 64, 0);
	atomic_store(&looked, false);
	t = thread_start(short_types_main, NULL);
	for (i = 0; i < 20000 || (lines == 0 && i < 2000000); i++)
		kmalloc_vmstat(count_short, &lines);
	atomic_store(&looked, true);
	thread_join(t);
	assert_true(lines != 0);
	halt_unused(M_SHARE);
}

static atomic_uint booted; /* so many times, and once more */

/* A type that is declared while a system begins is declared in it, once. */
static void *
declare_main(void *arg)
{
	struct malloc_type own[8];
	unsigned round, i;

	(void)arg;
	for (round = 1; round <= 500; round++) {
		memset(own, 0, sizeof(own));
		while (atomic_load(&booted) != round * 2 - 1)
			;
		for (i = 0; i < COUNT_OF(own); i++) {
			own[i].ks_shortdesc = "own";
			malloc_init(&own[i]);
		}
		while (!kalloc_is_up())
			;
		for (i = 0; i < COUNT_OF(own); i++)
			kfree(kmalloc(8, &own[i], M_WAITOK), &own[i]);
		for (i = 0; i < COUNT_OF(own); i++)
			must(malloc_uninit(&own[i]) == 0);
		atomic_store(&booted, round * 2);
	}
	return (NULL);
}

static void
types_are_declared_while_a_system_begins(void **state)
{
	const struct kalloc_config config = { .ncpus = 2, .pages = 64 };
	unsigned round;
	pthread_t t;

	(void)state;
	atomic_store(&booted, 0);
	t = thread_start(declare_main, NULL);
	for (round = 1; round <= 500; round++) {
		atomic_store(&booted, round * 2 - 1);
		assert_int_equal(kalloc_boot(&config), 0);
		while (atomic_load(&booted) != round * 2)
			;
		if (round == 500) /* it exits in the last one */
			thread_join(t);
		halt();
	}
}

static atomic_uint life_phase;

static void *
long_life_main(void *arg)
{
	uint32_t seed = 4;
	unsigned phase, i;

	(void)arg;
	for (phase = 0; phase < 5; phase++) {
		while (atomic_load(&life_phase) != phase * 2)
			(void)sched_yield();
		for (i = 0; i < 100; i++)
			object_free(object_alloc(&seed, M_WAITOK));
		atomic_store(&life_phase, phase * 2 + 1);
	}
	while (atomic_load(&life_phase) != 10)
		(void)sched_yield();
	return (NULL);
}

/* Memory of the last system must not be touched, nor the new one's spoilt. */
static void
threads_outlive_their_system(void **state)
{
	enum {
		N = 2
	};
	unsigned phase, ncpus;
	pthread_t t;

	(void)state;
	for (ncpus = 1; ncpus <= 2; ncpus++) {
		atomic_store(&life_phase, 1);
		t = thread_start(long_life_main, NULL);
		for (phase = 0; phase < 5; phase++) {
			boot_for(M_SHARE, ncpus + phase * 40, 1024, 0);
			kfree(kmalloc(10, M_SHARE, M_WAITOK), M_SHARE);
			atomic_store(&life_phase, phase * 2);
			assert_true(wait_until(
			    atomic_load(&life_phase) == phase * 2 + 1));
			assert_int_equal(stats(M_SHARE).calls, 101);
			halt_unused(M_SHARE);
			/* Nothing of it is mapped any more. */
			if (phase % 2 == 0) {
				boot_for(M_SHARE, 1, 64, 0);
				halt_unused(M_SHARE);
			}
		}
		/* It exits without a system, or in one that it never used. */
		if (ncpus == 2)
			boot_for(M_SHARE, 2, 64, 0);
		atomic_store(&life_phase, 10);
		thread_join(t);
		if (ncpus == 2)
			halt_unused(M_SHARE);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_of_the_dead_is_found_without_a_cpu),
		cmocka_unit_test(remote_frees_come_back),
		cmocka_unit_test(remotely_freed_chunks_are_used_again),
		cmocka_unit_test(more_threads_than_cpus_share_one),
		cmocka_unit_test(threads_that_exit_leave_nothing_behind),
		cmocka_unit_test(
		    a_thousand_threads_need_no_more_than_a_hundred),
		cmocka_unit_test(partial_slabs_of_the_dead_are_adopted),
		cmocka_unit_test(an_exit_gives_back_what_is_whole),
		cmocka_unit_test(a_thread_that_has_left_its_cpu_does_without),
		cmocka_unit_test(visitors_wait_for_calls),
		cmocka_unit_test(trim_and_statistics_run_beside_others),
		cmocka_unit_test(types_end_while_frees_are_in_flight),
		cmocka_unit_test(tables_are_made_while_types_end),
		cmocka_unit_test(types_are_declared_while_a_system_begins),
		cmocka_unit_test(threads_outlive_their_system),
	};

	return (cmocka_run_group_tests_name("threads", tests, NULL, NULL));
}
