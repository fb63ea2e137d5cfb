/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MPIPE: buffers that are guaranteed without blocking, over kmalloc.
 *
 * 1. Lineage. DragonFly's kern_mpipe.c. Areas of divergence:
 *    a. No token: a spin lock for a few instructions, never across kmalloc,
 *       a callback or a sleep; a sleep lock only for those who wait.
 *    b. A free wakes whoever it helps; there is no flag that is cleared outside
 *       of the lock and loses a wake-up (defect X2).
 *    c. A waiter may grow the pipe again after it has slept (MP-3).
 *    d. Double and foreign frees are found, always.
 *    e. A constructor whose work would be zeroed away is misuse (defect X5).
 *    f. Callbacks run with nothing locked; those pending at the end are misuse.
 *
 * 2. Nouns. A *buffer* of the pipe is *held* or *free*, in the *array*, a
 *    stack, or, of a pipe that is *parted*, in a second one, the *back*: both
 *    together have room for nnom; for a moment it is *busy*: being zeroed by
 *    the free that gives it back. *total* counts buffers, and room that growth has
 *    *claimed* for one. *Watchers* are all who want to be told of a free buffer:
 *    sleepers, those who wait for pages, and queued callbacks.
 *
 * 3. States of a buffer. The map tells of every buffer where in the arrays it
 *    was last put: it is free exactly if it is still there. So an allocation
 *    need not tell the map anything.
 *      none -> 1 held (growth)    1 -> 2 free       1 -> 3 busy -> 2 free
 *      2 -> 1 held                1, 3 -> none (the array is full: kfree)
 *
 * 4. Paths. Allocation: the array; else, below nmax, claim room and kmalloc.
 *    Free: the map, then the array, or kfree if it is full.
 *    waitok that finds neither sleeps on the pipe, if it has nmax buffers. If
 *    it has fewer, kmalloc has refused: then it waits as kmalloc's own callers
 *    do for pages (km_slab.c): what CPUs and zones keep goes back, and while
 *    it waits every kfree on any CPU, every free of pages or of a zone's item
 *    moves the event count, and so does a free of this pipe. That
 *    covers a type that is at its limit as well: only a kfree lowers its usage.
 *    Who waits so keeps the room that it has claimed until it has a buffer. If
 *    it gave the room up, others would be told of it who find just what it has
 *    found; and of two that claim it by turns each would see the other's claim,
 *    sleep, and be woken when that is given up, for ever. Those who find all
 *    room claimed sleep on the pipe: they are told when a claim is given up,
 *    since then a call has ended.
 *
 *    Where one thread allocates and another frees, each would wait for the
 *    other's lock, which costs more than all else that they do. So a free that
 *    finds the lock taken parts the pipe: frees go to the back, under a lock of
 *    their own, and an allocation that finds the array empty exchanges the two.
 *    The pipe is joined again by an exchange on the CPU that freed last, where
 *    a buffer that was freed last is best used first. Such a free may not look
 *    at the array, and knows only how many buffers it had at most: if the
 *    buffer's place is above, it is held; otherwise the free takes both locks,
 *    and knows for sure. So do all rarer things. A pipe whose frees zero is
 *    never parted.
 *
 * 5. MP-1. Free plus held there are always nnom buffers at least: at first
 *    nnom are free; an allocation and a free move one; growth adds to what is
 *    held; and a buffer goes back to kmalloc only while nnom are free. So when
 *    none is free, which an allocation knows under both locks, nnom are held,
 *    or in the middle of a call that frees them. What growth has claimed
 *    and not got is not counted on by anybody.
 *
 * 6. Concurrency. mp_spin protects the array, the map and all counts; of a
 *    parted pipe mp_back_spin protects the back, and what both have to know is
 *    written under both. A watcher is counted so, together with having found
 *    nothing; whoever makes something available reads the count under either.
 *    A sleeper holds mp_lock from there until it sleeps, and the waker takes
 *    mp_lock: so no wake-up falls between. Lock order: registry, mp_lock,
 *    mp_spin, mp_back_spin.
 *
 * 7. Invariants, checked by mpipe_audit(), at quiescence:
 *    I-MP-1  what is free and what is held are nnom at least, nmax at most
 *    I-MP-2  every buffer is in the map, and those that are free at their place
 *    I-MP-3  nobody waits while a buffer is free
 *    I-MP-4  watchers are sleepers, waiters for pages and queued callbacks
 *    I-MP-5  a pipe that is not parted has nothing in the back, and the fast
 *            path of frees is open unless somebody watches
 *
 * 8. Failure. Growth: kmalloc, or memory for a bigger map. Nothing is changed
 *    then.
 *
 * 9. Observability: mpipe_stats().
 *
 * References: memory(9), mpipe(9) of DragonFly BSD.
 */
#include <kalloc/mpipe.h>

#include <limits.h>
#include <string.h>

#include "backend.h"
#include "kmalloc_int.h"
#include "ptr_map.h"
#include "system_int.h"
#include "zone_int.h"

#define MP_UNLIMITED  UINT32_MAX
#define MP_BUSY	      UINT64_MAX /* in the map: being given back */
#define MP_HELD	      (UINT64_MAX - 1)
#define MP_LINE	      64 /* bytes that processors hand to each other */
#define MP_QUEUE_ROOM 16u

struct mp_callback {
	mpipe_callback_fn *fn;
	void *arg1, *arg2;
};

struct mpipe {
	/* Under mp_spin: allocations, and frees of a pipe that is not parted. */
	struct ka_spin mp_spin;
	uint32_t mp_free; /* in the array */
	void **mp_array;
	uint64_t mp_requests;
	/* Under mp_back_spin: frees of a pipe that is parted. */
	struct ka_spin mp_back_spin __attribute__((aligned(MP_LINE)));
	uint32_t mp_back_free;	    /* in the back */
	uint32_t mp_back_seen;	    /* mp_free is no more than that */
	uint32_t mp_back_at;	    /* the back's place in mp_arrays */
	struct ka_cpu *mp_back_cpu; /* the last that freed */
	/*
	 * Written under both locks, or under mp_spin alone while the pipe is
	 * not parted; read under either.
	 */
	void **mp_arrays __attribute__((aligned(MP_LINE))); /* both */
	struct ptr_map mp_map;
	bool mp_parted;
	bool mp_detour;	  /* parted, or zeroes: for frees, before a lock */
	uint32_t mp_room; /* mp_simple_room() */
	uint32_t mp_nnom;
	uint32_t mp_watchers;
	uint32_t mp_total, mp_nmax;
	size_t mp_zero;	      /* bytes that a free zeroes, or 0 */
	uint32_t mp_sleepers; /* on mp_chan */
	uint32_t mp_starved;  /* wait for pages, each with room of its own */
	uint32_t mp_claimed;  /* of mp_total: room without a buffer */
	uint64_t mp_failures, mp_sleeps, mp_callbacks;
	struct mp_callback *mp_queue; /* a ring */
	uint32_t mp_queue_first, mp_pending, mp_queue_room;
	bool mp_ending;
	bool mp_calling; /* the thread is in a callback; under mp_lock */
	bool mp_closing; /* somebody waits for the end of that; the same */
	/* Constant. */
	struct malloc_type *mp_type;
	size_t mp_bytes;
	int mp_flags, mp_malloc_flags;
	mpipe_construct_fn *mp_construct;
	mpipe_deconstruct_fn *mp_deconstruct;
	void *mp_priv;
	/* For those who sleep. */
	struct ka_mutex mp_lock;
	struct ka_chan mp_chan;
	struct ka_thread mp_thread;
	bool mp_has_thread;
	struct mpipe *mp_next; /* under mp_registry */
};

#ifdef KA_PORT_SIM
void *(*ka_backend_kmalloc)(size_t, struct malloc_type *, int) = kmalloc;
void (*ka_backend_kfree)(void *, struct malloc_type *) = kfree;
#endif

static struct ka_mutex mp_registry = KA_MUTEX_INITIALIZER;
static struct mpipe *mp_list; /* in the order of creation */

static void *mp_alloc_slow(struct mpipe *) KA_NOINLINE;
static void mp_free_slow(struct mpipe *, void *) KA_NOINLINE;

/* ---- The arrays ------------------------------------------------------- */

/* To look, and change nothing. */
static void
mp_enter_to_look(struct mpipe *p)
{
	ka_spin_lock(&p->mp_spin);
	if (p->mp_parted)
		ka_spin_lock(&p->mp_back_spin);
}

/* For all but the fast paths and statistics. */
static void
mp_enter(struct mpipe *p)
{
	mp_enter_to_look(p);
	if (p->mp_parted)
		p->mp_back_seen = p->mp_free;
}

/* How full a free on the fast path may make the array. */
KA_INLINE uint32_t
mp_simple_room(const struct mpipe *p)
{
	return (p->mp_parted || p->mp_watchers != 0 ? 0 : p->mp_nnom);
}

static void
mp_leave_as_it_is(struct mpipe *p)
{
	if (p->mp_parted)
		ka_spin_unlock(&p->mp_back_spin);
	ka_spin_unlock(&p->mp_spin);
}

static void
mp_leave(struct mpipe *p)
{
	uint32_t room = mp_simple_room(p);

	if (p->mp_room != room) /* others read that line */
		p->mp_room = room;
	mp_leave_as_it_is(p);
}

/* From here on the functions of this section are under mp_enter(). */

/* From now on frees have an array of their own. */
static void
mp_part(struct mpipe *p)
{
	ka_spin_lock(&p->mp_back_spin);
	p->mp_parted = true;
	p->mp_back_at = p->mp_nnom;
	p->mp_back_seen = p->mp_free;
	ka_store(&p->mp_detour, true, RELAXED);
}

static void
mp_join(struct mpipe *p)
{
	p->mp_parted = false;
	ka_store(&p->mp_detour, false, RELAXED);
	ka_spin_unlock(&p->mp_back_spin);
}

/*
 * The array is empty: the back takes its place. Who allocates what they freed
 * themselves needs no second lock, and is better off with the buffer that they
 * freed last.
 */
static void
mp_turn(struct mpipe *p)
{
	p->mp_array = p->mp_arrays + p->mp_back_at;
	p->mp_free = p->mp_back_seen = p->mp_back_free;
	p->mp_back_at = p->mp_nnom - p->mp_back_at;
	p->mp_back_free = 0;
	if (p->mp_array == p->mp_arrays && p->mp_back_cpu == ka_cpu_self())
		mp_join(p);
}

KA_INLINE uint32_t
mp_count_free(const struct mpipe *p)
{
	return (p->mp_free + p->mp_back_free);
}

static void *
mp_pop(struct mpipe *p)
{
	if (p->mp_free == 0 && p->mp_back_free != 0)
		mp_turn(p);
	return (p->mp_free != 0 ? p->mp_array[--p->mp_free] : NULL);
}

/* There must be room. */
KA_INLINE void
mp_push_front(struct mpipe *p, struct ptr_map_slot *slot, void *buf)
{
	uint32_t n = p->mp_free;

	p->mp_array[n] = buf;
	slot->value = n;
	p->mp_free = n + 1;
}

KA_INLINE void
mp_push_back(struct mpipe *p, struct ptr_map_slot *slot, void *buf)
{
	uint32_t n = p->mp_back_at + p->mp_back_free;

	p->mp_arrays[n] = buf;
	slot->value = n;
	p->mp_back_free++;
	p->mp_back_cpu = ka_cpu_self();
}

static void
mp_push(struct mpipe *p, struct ptr_map_slot *slot, void *buf)
{
	if (p->mp_parted)
		mp_push_back(p, slot, buf);
	else
		mp_push_front(p, slot, buf);
}

static bool
mp_is_free(const struct mpipe *p, const struct ptr_map_slot *slot)
{
	uint64_t front = slot->value - (uint64_t)(p->mp_array - p->mp_arrays);
	uint64_t back = slot->value - p->mp_back_at;

	return ((front < p->mp_free || back < p->mp_back_free) &&
	    p->mp_arrays[slot->value] == (void *)slot->key);
}

/*
 * Of a pipe that is not parted, under mp_spin. With one comparison for a
 * buffer that is held: MP_BUSY + 1 is 0.
 */
KA_INLINE bool
mp_is_busy_or_free(const struct mpipe *p, const struct ptr_map_slot *slot)
{
	return (KA_UNLIKELY(slot->value + 1 <= p->mp_free) &&
	    (slot->value == MP_BUSY ||
		p->mp_array[slot->value] == (void *)slot->key));
}
KA_STATIC_ASSERT(MP_BUSY + 1 == 0, "less than any place in the array");

/*
 * Of a parted pipe, under mp_back_spin: held, or not known, since the array
 * has it perhaps.
 */
static bool
mp_is_surely_held(const struct mpipe *p, const struct ptr_map_slot *slot)
{
	uint64_t front = slot->value - (p->mp_nnom - p->mp_back_at);
	uint64_t back = slot->value - p->mp_back_at;

	return (slot->value != MP_BUSY && front >= p->mp_back_seen &&
	    (back >= p->mp_back_free ||
		p->mp_arrays[slot->value] != (void *)slot->key));
}

/* ---- Telling those who wait ------------------------------------------- */

/* A buffer has become free, and there are watchers. */
static void KA_NOINLINE
mp_tell(struct mpipe *p)
{
	bool starved;

	ka_mutex_lock(&p->mp_lock);
	mp_enter(p);
	starved = p->mp_starved != 0;
	mp_leave(p);
	ka_chan_wake_all(&p->mp_chan);
	ka_mutex_unlock(&p->mp_lock);
	if (starved)
		vm__kick();
}

/*
 * Gives up room that growth had claimed. Those who sleep since the pipe had all
 * it may have can try now. Those who wait for pages have room, and are not told.
 */
static void
mp_unclaim(struct mpipe *p)
{
	bool tell;

	mp_enter(p);
	ka_commit(KA_COMMIT_PIPE, KA_COMMIT_GIVE, p, 1);
	p->mp_total--;
	p->mp_claimed--;
	tell = p->mp_sleepers != 0;
	mp_leave(p);
	if (!tell)
		return;
	ka_mutex_lock(&p->mp_lock);
	ka_chan_wake_all(&p->mp_chan);
	ka_mutex_unlock(&p->mp_lock);
}

/* ---- Fast paths ------------------------------------------------------- */

/*
 * Everything that is not usual is for the slow paths, and to wait for the lock
 * is for a function of its own: no call but the last.
 */

/* Under mp_spin, which it gives up. */
KA_INLINE void *
mp_alloc_locked(struct mpipe *p)
{
	uint32_t n = p->mp_free;
	void *buf;

	if (KA_UNLIKELY(n == 0)) {
		ka_spin_unlock(&p->mp_spin);
		return (mp_alloc_slow(p));
	}
	p->mp_requests++;
	p->mp_free = n - 1;
	buf = p->mp_array[n - 1];
	ka_spin_unlock(&p->mp_spin);
	return (buf);
}

static void *KA_NOINLINE
mp_alloc_wait(struct mpipe *p)
{
	ka_spin_lock(&p->mp_spin);
	return (mp_alloc_locked(p));
}

void *
mpipe_alloc_nowait(malloc_pipe_t mp)
{
	struct mpipe *p = mp->mp_private;

	if (KA_UNLIKELY(p == NULL))
		return (mp_alloc_slow(p));
	if (KA_UNLIKELY(!ka_spin_try(&p->mp_spin)))
		return (mp_alloc_wait(p));
	return (mp_alloc_locked(p));
}

/* The same. */
KA_INLINE void
mp_free_locked(struct mpipe *p, void *buf)
{
	struct ptr_map_slot *slot = ptr_map_look(&p->mp_map, buf);

	if (KA_UNLIKELY(slot->key == 0 || mp_is_busy_or_free(p, slot) ||
		p->mp_free >= p->mp_room)) {
		ka_spin_unlock(&p->mp_spin);
		mp_free_slow(p, buf);
		return;
	}
	mp_push_front(p, slot, buf);
	ka_spin_unlock(&p->mp_spin);
}

/* Of a pipe that is parted; it may be no more. */
static void
mp_free_apart(struct mpipe *p, void *buf)
{
	struct ptr_map_slot *slot;

	ka_spin_lock(&p->mp_back_spin);
	slot = ptr_map_look(&p->mp_map, buf);
	if (!p->mp_parted || slot->key == 0 || !mp_is_surely_held(p, slot) ||
	    p->mp_total > p->mp_nnom || p->mp_watchers != 0) {
		ka_spin_unlock(&p->mp_back_spin);
		mp_free_slow(p, buf);
		return;
	}
	mp_push_back(p, slot, buf);
	ka_spin_unlock(&p->mp_back_spin);
}

/* Somebody else has the lock: there are two at work. */
static void KA_NOINLINE
mp_free_wait(struct mpipe *p, void *buf)
{
	mp_enter(p);
	if (!p->mp_parted)
		mp_part(p);
	mp_leave(p);
	mp_free_apart(p, buf);
}

static void KA_NOINLINE
mp_free_detour(struct mpipe *p, void *buf)
{
	if (p == NULL || p->mp_zero != 0)
		mp_free_slow(p, buf);
	else
		mp_free_apart(p, buf);
}

void
mpipe_free(malloc_pipe_t mp, void *buf)
{
	struct mpipe *p = mp->mp_private;

	if (KA_UNLIKELY(p == NULL || ka_load(&p->mp_detour, RELAXED))) {
		mp_free_detour(p, buf);
		return;
	}
	if (KA_UNLIKELY(!ka_spin_try(&p->mp_spin)))
		mp_free_wait(p, buf);
	else
		mp_free_locked(p, buf);
}

/* ---- Growth ----------------------------------------------------------- */

/* What an attempt came to. */
enum mp_outcome {
	MP_GOT,	     /* a buffer of the array; or there is one, to a peek */
	MP_MAY_GROW, /* room is claimed */
	MP_AT_MAX
};

/* Under mp_spin. A peek does not take. False: the array is empty. */
static bool
mp_look(struct mpipe *p, bool peek, void **ret_buf)
{
	*ret_buf = peek ? NULL : mp_pop(p);
	return (*ret_buf != NULL || (peek && mp_count_free(p) != 0));
}

/* Under mp_spin. */
static enum mp_outcome
mp_try(struct mpipe *p, bool peek, void **ret_buf)
{
	if (mp_look(p, peek, ret_buf))
		return (MP_GOT);
	if (p->mp_total >= p->mp_nmax) {
		ka_commit(KA_COMMIT_PIPE, KA_COMMIT_FULL, p, 0);
		return (MP_AT_MAX);
	}
	ka_commit(KA_COMMIT_PIPE, KA_COMMIT_TAKE, p, 1);
	p->mp_total++;
	p->mp_claimed++;
	return (MP_MAY_GROW);
}

/* The map must have room for all that is claimed. */
static bool
mp_map_grow(struct mpipe *p)
{
	struct ptr_map more, old;
	uint32_t room;

	for (;;) {
		mp_enter(p);
		room = p->mp_map.room;
		if (p->mp_total <= room) {
			mp_leave(p);
			return (true);
		}
		mp_leave(p);
		if (ptr_map__init(&more, 2 * room) != 0)
			return (false);
		mp_enter(p);
		old = more; /* others were faster: not needed */
		if (p->mp_map.room == room) {
			old = p->mp_map;
			ptr_map__copy(&more, &old);
			p->mp_map = more;
		}
		mp_leave(p);
		ptr_map__fini(&old);
	}
}

/* A buffer from kmalloc for claimed room; NULL: the room stays claimed. */
static void *
mp_fill_room(struct mpipe *p)
{
	void *buf;

	if (!mp_map_grow(p))
		return (NULL);
	buf = ka_backend_kmalloc(
	    p->mp_bytes, p->mp_type, M_NOWAIT | p->mp_malloc_flags);
	if (buf == NULL)
		return (NULL);
	if (p->mp_construct != NULL)
		p->mp_construct(buf, p->mp_priv);
	mp_enter(p);
	ptr_map__insert(&p->mp_map, buf, MP_HELD);
	p->mp_claimed--;
	mp_leave(p);
	return (buf);
}

/* The same for who may not wait; NULL: the room is given up. */
static void *
mp_grow(struct mpipe *p)
{
	void *buf = mp_fill_room(p);

	if (buf == NULL)
		mp_unclaim(p);
	return (buf);
}

/* Of no pipe any more. */
static void
mp_discard(struct mpipe *p, void *buf)
{
	if (p->mp_deconstruct != NULL)
		p->mp_deconstruct(buf, p->mp_priv);
	ka_backend_kfree(buf, p->mp_type);
}

/* Puts a buffer that is held, or busy, where it belongs. Under mp_enter(), and
 * leaves. */
static void
mp_put(struct mpipe *p, void *buf)
{
	struct ptr_map_slot *slot = ptr_map__find(&p->mp_map, buf);
	bool full = mp_count_free(p) >= p->mp_nnom;
	bool tell;

	if (full) {
		ptr_map__remove(&p->mp_map, slot);
		ka_commit(KA_COMMIT_PIPE, KA_COMMIT_GIVE, p, 1);
		p->mp_total--;
	} else {
		mp_push(p, slot, buf);
	}
	tell = p->mp_watchers != 0;
	mp_leave(p);
	if (full)
		mp_discard(p, buf);
	if (tell)
		mp_tell(p);
}

static void __attribute__((noreturn, cold)) mp_bad_handle(const char *caller)
{
	ka_misuse(
	    KA_WHY_BAD_HANDLE, NULL, "%s: the pipe is not initialised", caller);
}

static void *
mp_alloc_slow(struct mpipe *p)
{
	enum mp_outcome outcome;
	void *buf = NULL;

	if (p == NULL)
		mp_bad_handle("mpipe_alloc_nowait");
	mp_enter(p);
	p->mp_requests++;
	outcome = mp_try(p, false, &buf);
	mp_leave(p);
	if (outcome == MP_MAY_GROW) {
		buf = mp_grow(p);
		/* Meanwhile one may have come back: MP-1. */
		if (buf == NULL) {
			mp_enter(p);
			buf = mp_pop(p);
			mp_leave(p);
		}
	}
	if (buf == NULL) {
		mp_enter(p);
		p->mp_failures++;
		mp_leave(p);
	}
	return (buf);
}

/* What is wrong with a free. Under mp_enter(). */
static enum ka_why
mp_free_check(const struct mpipe *p, const struct ptr_map_slot *slot)
{
	if (slot == NULL)
		return (KA_WHY_FOREIGN);
	if (slot->value == MP_BUSY || mp_is_free(p, slot))
		return (KA_WHY_DOUBLE_FREE);
	return (KA_WHY_NONE);
}

static void
mp_free_slow(struct mpipe *p, void *buf)
{
	struct ptr_map_slot *slot;
	enum ka_why why;

	if (p == NULL)
		mp_bad_handle("mpipe_free");
	if (buf == NULL)
		return;
	mp_enter(p);
	slot = ptr_map__find(&p->mp_map, buf);
	why = mp_free_check(p, slot);
	if (why != KA_WHY_NONE) {
		mp_leave(p);
		ka_misuse(
		    why, buf, "mpipe_free: %p: %s", buf, ka_why_text(why));
	}
	if (p->mp_zero != 0) {
		slot->value = MP_BUSY;
		mp_leave(p);
		memset(buf, 0, p->mp_zero);
		mp_enter(p);
	}
	mp_put(p, buf);
}

/* ---- Waiting ---------------------------------------------------------- */

/* After each sleep: of two that go on watching each would wake the other for
 * ever by what it is refused. */
static void
mp_unwatch_type(struct mpipe *p, bool *watches)
{
	if (*watches)
		km__type_unwatch(p->mp_type);
	*watches = false;
}

/*
 * kmalloc has refused. Pages, or a chunk, for one more buffer might be had by
 * now, or by a little work: then there is no reason to sleep. Otherwise sleeps
 * until the event count moves. Pages are asked for as kmalloc would, so that an
 * injected failure that lasts, or does not, is known as such. If it refuses
 * since somebody has the rest of the type's limit in hand, he tells when he
 * gives it up, from when he is watched on: the first time it is tried once
 * more. Nor is there reason to spin at the limit, also if who waits for pages
 * has claimed what is left of it: of two waiters that move chunks to their CPUs
 * each would wake the other for ever. True: there is what kmalloc needs.
 */
static bool
mp_wait_pages(struct mpipe *p, uint64_t event, bool *watches)
{
	size_t npages = VM_SLAB_PAGES, align = KA_SLAB_SIZE;
	unsigned depth =
	    (p->mp_flags & MPF_INT) != 0 ? VM_ALLOC_INTERRUPT : VM_ALLOC_SYSTEM;
	enum vm_observe verdict = VM_OBSERVE_FAIL_HARD;
	void *pages;

	if (p->mp_bytes > KA_KMALLOC_MAX) {
		npages = (p->mp_bytes + KA_PAGE_SIZE - 1) / KA_PAGE_SIZE;
		align = KA_PAGE_SIZE;
	}
	if (km__type_is_full(p->mp_type)) {
		/* Who makes room moves the event count. */
	} else if (km__type_refuses(p->mp_type)) {
		if (!*watches) {
			km__type_watch(p->mp_type);
			*watches = true;
			return (false);
		}
	} else {
		if (kmalloc_trim() != 0 || km__collect(p->mp_bytes, p->mp_type))
			return (true);
		zone__reclaim_all();
		pages = vm__alloc(npages, align, depth, &verdict);
		if (pages != NULL) {
			vm__free(pages, npages);
			ka_pause();
			return (true);
		}
	}
	vm__wait(event, npages, align, depth, verdict);
	mp_unwatch_type(p, watches);
	return (false);
}

/* Once for each call that sleeps. */
static void
mp_count_sleep(struct mpipe *p, bool *slept)
{
	mp_enter(p);
	if (!*slept)
		p->mp_sleeps++;
	*slept = true;
	mp_leave(p);
}

static void
mp_watch_pages(struct mpipe *p, uint32_t more)
{
	mp_enter(p);
	p->mp_watchers += more;
	p->mp_starved += more;
	mp_leave(p);
}

/*
 * Room is claimed, and kmalloc has refused. From here on every free looks for
 * waiters; the event count is read before anything is tried. A buffer, a new
 * one to a peek; or NULL to a peek, which has seen one in the array. A request
 * for whole pages that is in vain is one that is given up, and tells those who
 * watch: it is made when it is likely not to be.
 */
static void *
mp_starve(struct mpipe *p, bool peek, bool *slept)
{
	const bool tells = p->mp_bytes > KA_KMALLOC_MAX;
	bool got, watches = false, likely = !tells;
	uint64_t event;
	void *buf;

	cpu__shortage_begin();
	mp_watch_pages(p, 1);
	for (;;) {
		event = vm__event();
		mp_enter(p);
		got = mp_look(p, peek, &buf);
		mp_leave(p);
		if (got)
			break;
		buf = likely ? mp_fill_room(p) : NULL;
		if (buf != NULL)
			break;
		mp_count_sleep(p, slept);
		likely = mp_wait_pages(p, event, &watches) || !tells;
	}
	mp_unwatch_type(p, &watches);
	mp_watch_pages(p, (uint32_t)-1);
	cpu__shortage_end();
	if (got)
		mp_unclaim(p);
	return (buf);
}

/* Sleeps while no buffer is free and the pipe has all that it may have. */
static void
mp_sleep(struct mpipe *p, bool *slept)
{
	ka_mutex_lock(&p->mp_lock);
	for (;;) {
		mp_enter(p);
		if (mp_count_free(p) != 0 || p->mp_total < p->mp_nmax)
			break;
		p->mp_watchers++;
		p->mp_sleepers++;
		mp_leave(p);
		mp_count_sleep(p, slept);
		ka_chan_sleep(&p->mp_chan, &p->mp_lock);
		mp_enter(p);
		p->mp_watchers--;
		p->mp_sleepers--;
		mp_leave(p);
	}
	mp_leave(p);
	ka_mutex_unlock(&p->mp_lock);
}

/* A buffer; or, to a peek, that there is one in the array, which may be a new
 * one. */
static void *
mp_wait(struct mpipe *p, bool peek)
{
	enum mp_outcome outcome;
	bool slept = false;
	void *buf = NULL;

	for (;;) {
		mp_enter(p);
		outcome = mp_try(p, peek, &buf);
		mp_leave(p);
		if (outcome != MP_AT_MAX)
			break;
		mp_sleep(p, &slept);
	}
	if (outcome == MP_GOT)
		return (buf);
	buf = mp_fill_room(p);
	if (buf == NULL)
		buf = mp_starve(p, peek, &slept);
	if (peek && buf != NULL) {
		mp_enter(p);
		mp_put(p, buf);
	}
	return (buf);
}

void *
mpipe_alloc_waitok(malloc_pipe_t mp)
{
	struct mpipe *p = mp->mp_private;

	if (p == NULL)
		mp_bad_handle("mpipe_alloc_waitok");
	mp_enter(p);
	p->mp_requests++;
	mp_leave(p);
	return (mp_wait(p, false));
}

void
mpipe_wait(malloc_pipe_t mp)
{
	struct mpipe *p = mp->mp_private;

	if (p == NULL)
		mp_bad_handle("mpipe_wait");
	(void)mp_wait(p, true);
}

/* ---- Callbacks -------------------------------------------------------- */

/* Under mp_spin. */
static void
mp_enqueue(struct mpipe *p, const struct mp_callback *cb)
{
	uint32_t at = p->mp_queue_first + p->mp_pending;

	KA_ASSERT(p->mp_pending < p->mp_queue_room);
	p->mp_queue[at % p->mp_queue_room] = *cb;
	p->mp_pending++;
	p->mp_watchers++;
}

static void
mp_dequeue(struct mpipe *p, struct mp_callback *ret_cb)
{
	*ret_cb = p->mp_queue[p->mp_queue_first];
	p->mp_queue_first = (p->mp_queue_first + 1) % p->mp_queue_room;
	p->mp_pending--;
	p->mp_watchers--;
	p->mp_callbacks++;
}

static bool
mp_queue_grow(struct mpipe *p, uint32_t room)
{
	struct mp_callback *more, *old;
	uint32_t i;

	more = ka_os_map((size_t)2 * room * sizeof(*more));
	if (more == NULL)
		return (false);
	mp_enter(p);
	old = more;
	if (p->mp_queue_room == room) {
		old = p->mp_queue;
		for (i = 0; i < p->mp_pending; i++)
			more[i] = old[(p->mp_queue_first + i) % room];
		p->mp_queue = more;
		p->mp_queue_first = 0;
		p->mp_queue_room = 2 * room;
	}
	mp_leave(p);
	ka_os_unmap(
	    old, (size_t)(old == more ? 2 * room : room) * sizeof(*old));
	return (true);
}

/*
 * Queues the callback unless a buffer is free after all: the two are one step,
 * so that the next free sees the callback. Growth was tried before.
 */
static void *
mp_take_or_queue(struct mpipe *p, const struct mp_callback *cb)
{
	uint32_t room;
	void *buf;

	for (;;) {
		mp_enter(p);
		buf = mp_pop(p);
		room = p->mp_queue_room;
		if (buf != NULL || p->mp_pending < room)
			break;
		mp_leave(p);
		/* unreached: a thousand million callbacks. */
		if (room > UINT32_MAX / 4 || !mp_queue_grow(p, room))
			ka_misuse(KA_WHY_BUSY, NULL,
			    "mpipe_alloc_callback: no memory to queue %u "
			    "callbacks",
			    room + 1);
	}
	if (buf == NULL) {
		mp_enqueue(p, cb);
		p->mp_failures++;
	}
	mp_leave(p);
	return (buf);
}

void *
mpipe_alloc_callback(
    malloc_pipe_t mp, mpipe_callback_fn *func, void *arg1, void *arg2)
{
	struct mp_callback cb = { .fn = func, .arg1 = arg1, .arg2 = arg2 };
	struct mpipe *p = mp->mp_private;
	enum mp_outcome outcome;
	void *buf = NULL;

	if (p == NULL)
		mp_bad_handle("mpipe_alloc_callback");
	if ((p->mp_flags & MPF_CALLBACK) == 0)
		ka_misuse(KA_WHY_BAD_FLAGS, NULL,
		    "mpipe_alloc_callback: the pipe was initialised without "
		    "MPF_CALLBACK");
	mp_enter(p);
	p->mp_requests++;
	outcome = mp_try(p, false, &buf);
	mp_leave(p);
	if (outcome == MP_MAY_GROW)
		buf = mp_grow(p);
	return (buf != NULL ? buf : mp_take_or_queue(p, &cb));
}

/* The support thread: callbacks, one after the other, while a buffer is free
 * (MP-4). */
static void
mp_thread_main(void *arg)
{
	struct mpipe *p = arg;
	struct mp_callback cb = { 0 };
	bool ending;

	ka_mutex_lock(&p->mp_lock);
	for (;;) {
		cb.fn = NULL;
		mp_enter(p);
		if (p->mp_pending != 0 && mp_count_free(p) != 0)
			mp_dequeue(p, &cb);
		ending = p->mp_ending;
		mp_leave(p);
		if (ending)
			break;
		if (cb.fn != NULL) {
			p->mp_calling = true;
			ka_mutex_unlock(&p->mp_lock);
			cb.fn(cb.arg1, cb.arg2);
			ka_mutex_lock(&p->mp_lock);
			p->mp_calling = false;
			if (p->mp_closing)
				ka_chan_wake_all(&p->mp_chan);
		} else {
			ka_chan_sleep(&p->mp_chan, &p->mp_lock);
		}
	}
	ka_mutex_unlock(&p->mp_lock);
}

static bool
mp_thread_run(struct mpipe *p)
{
	if ((p->mp_flags & MPF_CALLBACK) != 0)
		p->mp_has_thread = ka_thread_start(&p->mp_thread, "mpipe",
				       mp_thread_main, p) == 0;
	return (p->mp_has_thread || (p->mp_flags & MPF_CALLBACK) == 0);
}

/*
 * No callback is called from now on: true, if nothing is held and none is
 * pending. One that runs is waited for: it may come to have a buffer.
 */
static bool
mp_close(struct mpipe *p, uint32_t *ret_held, uint32_t *ret_pending)
{
	bool idle;

	ka_mutex_lock(&p->mp_lock);
	for (;;) {
		mp_enter(p);
		*ret_held = p->mp_total - mp_count_free(p);
		*ret_pending = p->mp_pending;
		idle = *ret_held == 0 && *ret_pending == 0;
		p->mp_ending = idle && !p->mp_calling;
		mp_leave(p);
		if (!idle || !p->mp_calling)
			break;
		p->mp_closing = true;
		ka_chan_sleep(&p->mp_chan, &p->mp_lock);
		p->mp_closing = false;
	}
	ka_mutex_unlock(&p->mp_lock);
	return (idle);
}

static void
mp_thread_stop(struct mpipe *p)
{
	if (!p->mp_has_thread)
		return;
	ka_mutex_lock(&p->mp_lock);
	mp_enter(p);
	p->mp_ending = true;
	mp_leave(p);
	ka_chan_wake_all(&p->mp_chan);
	ka_mutex_unlock(&p->mp_lock);
	ka_thread_join(&p->mp_thread);
	p->mp_has_thread = false;
}

/* ---- Life ------------------------------------------------------------- */

static bool
mp_is_registered(const struct mpipe *p)
{
	struct mpipe *q;

	ka_mutex_lock(&mp_registry);
	for (q = mp_list; q != NULL && q != p; q = q->mp_next)
		continue;
	ka_mutex_unlock(&mp_registry);
	return (q != NULL);
}

static void
mp_register(struct mpipe *p)
{
	struct mpipe **link;

	ka_mutex_lock(&mp_registry);
	for (link = &mp_list; *link != NULL; link = &(*link)->mp_next)
		continue;
	*link = p;
	ka_mutex_unlock(&mp_registry);
}

static void
mp_unregister(struct mpipe *p)
{
	struct mpipe **link;

	ka_mutex_lock(&mp_registry);
	for (link = &mp_list; *link != p; link = &(*link)->mp_next)
		continue;
	*link = p->mp_next;
	ka_mutex_unlock(&mp_registry);
}

static void
mp_free_memory(struct mpipe *p)
{
	ptr_map__fini(&p->mp_map);
	if (p->mp_arrays != NULL)
		ka_os_unmap(p->mp_arrays,
		    (size_t)2 * p->mp_nnom * sizeof(*p->mp_arrays));
	if (p->mp_queue != NULL)
		ka_os_unmap(p->mp_queue,
		    (size_t)p->mp_queue_room * sizeof(*p->mp_queue));
	ka_mutex_fini(&p->mp_lock);
	ka_chan_fini(&p->mp_chan);
	ka_os_unmap(p, sizeof(*p));
}

/* Everything but buffers and the thread; NULL: the outside has no memory. */
static struct mpipe *
mp_make(uint32_t nnom, int mpflags)
{
	struct mpipe *p = ka_os_map(sizeof(*p));

	if (p == NULL)
		return (NULL);
	ka_spin_init(&p->mp_spin, "mpipe spin");
	ka_spin_init(&p->mp_back_spin, "mpipe back");
	ka_mutex_init(&p->mp_lock, "mpipe");
	ka_chan_init(&p->mp_chan, "mpipe");
	p->mp_nnom = nnom;
	p->mp_flags = mpflags;
	p->mp_queue_room = MP_QUEUE_ROOM;
	p->mp_arrays = ka_os_map((size_t)2 * nnom * sizeof(*p->mp_arrays));
	p->mp_array = p->mp_arrays;
	if (p->mp_arrays == NULL || ptr_map__init(&p->mp_map, nnom) != 0)
		goto fail;
	if ((mpflags & MPF_CALLBACK) != 0) {
		p->mp_queue = ka_os_map(MP_QUEUE_ROOM * sizeof(*p->mp_queue));
		if (p->mp_queue == NULL)
			goto fail;
	}
	return (p);
fail:
	mp_free_memory(p);
	return (NULL);
}

/* Back to kmalloc; the last first, as they were got. */
static void
mp_empty(struct mpipe *p)
{
	void *buf;

	for (;;) {
		mp_enter(p);
		buf = mp_pop(p);
		mp_leave(p);
		if (buf == NULL)
			break;
		mp_discard(p, buf);
	}
}

/* All nnom buffers; false: the type's limit is below them. */
static bool
mp_fill(struct mpipe *p)
{
	struct ptr_map_slot *slot;
	void *buf;

	while (p->mp_free < p->mp_nnom) {
		buf = ka_backend_kmalloc(p->mp_bytes, p->mp_type,
		    M_WAITOK | M_NULLOK | p->mp_malloc_flags);
		if (buf == NULL)
			return (false);
		if (p->mp_construct != NULL)
			p->mp_construct(buf, p->mp_priv);
		ptr_map__insert(&p->mp_map, buf, MP_HELD);
		slot = ptr_map__find(&p->mp_map, buf);
		mp_push_front(p, slot, buf);
		p->mp_total++;
	}
	return (true);
}

static void
mp_init_check(malloc_pipe_t mp, struct malloc_type *type, size_t bytes,
    int mpflags, mpipe_construct_fn *construct)
{
	km__type_check(type, "mpipe_init");
	if ((mpflags & ~MPF_VALID) != 0)
		ka_misuse(KA_WHY_BAD_FLAGS, NULL, "mpipe_init: flags %#x",
		    (unsigned)mpflags);
	if (construct != NULL && (mpflags & (MPF_NOZERO | MPF_CACHEDATA)) == 0)
		ka_misuse(KA_WHY_BAD_FLAGS, NULL,
		    "mpipe_init: a constructor needs MPF_NOZERO or "
		    "MPF_CACHEDATA");
	if (bytes == 0)
		ka_misuse(KA_WHY_BAD_ARG, NULL, "mpipe_init: 0 bytes");
	if (mp->mp_private != NULL && mp_is_registered(mp->mp_private))
		ka_misuse(KA_WHY_BUSY, mp,
		    "mpipe_init: the pipe is initialised already");
}

void
mpipe_init(malloc_pipe_t mp, struct malloc_type *type, size_t bytes, int nnom,
    int nmax, int mpflags, mpipe_construct_fn *construct,
    mpipe_deconstruct_fn *deconstruct, void *priv)
{
	struct mpipe *p;

	mp_init_check(mp, type, bytes, mpflags, construct);
	p = mp_make(nnom < 1 ? 1u : (uint32_t)nnom, mpflags);
	if (p == NULL)
		ka_misuse(KA_WHY_LIMIT, NULL,
		    "mpipe_init: no memory for the pipe itself");
	p->mp_nmax = nmax < 0 ? MP_UNLIMITED : (uint32_t)nmax;
	if (p->mp_nmax < p->mp_nnom)
		p->mp_nmax = p->mp_nnom;
	p->mp_type = type;
	p->mp_bytes = bytes;
	p->mp_zero = (mpflags & (MPF_NOZERO | MPF_CACHEDATA)) == 0 ? bytes : 0;
	p->mp_detour = p->mp_zero != 0;
	p->mp_room = mp_simple_room(p);
	if ((mpflags & (MPF_NOZERO | MPF_CACHEDATA)) != MPF_NOZERO)
		p->mp_malloc_flags |= M_ZERO;
	if ((mpflags & MPF_INT) != 0)
		p->mp_malloc_flags |= M_USE_RESERVE | M_USE_INTERRUPT_RESERVE;
	p->mp_construct = construct;
	p->mp_deconstruct = deconstruct;
	p->mp_priv = priv;
	if (!mp_fill(p) || !mp_thread_run(p)) {
		mp_empty(p);
		mp_free_memory(p);
		ka_misuse(KA_WHY_LIMIT, NULL,
		    "mpipe_init: %d buffers of %zu bytes of type \"%s\", or "
		    "a thread, cannot be had",
		    nnom, bytes, type->ks_shortdesc);
	}
	ka_commit(KA_COMMIT_PIPE, KA_COMMIT_BEGIN, p,
	    p->mp_nmax == MP_UNLIMITED ? UINT64_MAX : p->mp_nmax);
	ka_commit(KA_COMMIT_PIPE, KA_COMMIT_TAKE, p, p->mp_nnom);
	mp_register(p);
	mp->mp_private = p;
}

void
mpipe_done(malloc_pipe_t mp)
{
	struct mpipe *p = mp->mp_private;
	uint32_t held, pending;

	if (p == NULL || !mp_is_registered(p)) {
		mp->mp_private = NULL;
		return;
	}
	if (p->mp_has_thread && ka_thread_is_self(&p->mp_thread))
		ka_misuse(
		    KA_WHY_BUSY, mp, "mpipe_done: in a callback of the pipe");
	if (!mp_close(p, &held, &pending))
		ka_misuse(KA_WHY_BUSY, mp,
		    "mpipe_done: %u buffers are held, %u callbacks pending",
		    held, pending);
	mp_thread_stop(p);
	mp_unregister(p);
	mp->mp_private = NULL;
	mp_empty(p);
	mp_free_memory(p);
}

/* ---- Looking ---------------------------------------------------------- */

static void
mp_stats(struct mpipe *p, struct mpipe_stats *ret_s)
{
	memset(ret_s, 0, sizeof(*ret_s));
	mp_enter_to_look(p);
	ret_s->type = p->mp_type->ks_shortdesc;
	ret_s->bytes = p->mp_bytes;
	ret_s->nnom = p->mp_nnom;
	ret_s->nmax = p->mp_nmax == MP_UNLIMITED ? UINT64_MAX : p->mp_nmax;
	ret_s->total = p->mp_total - p->mp_claimed;
	ret_s->free = mp_count_free(p);
	ret_s->requests = p->mp_requests;
	ret_s->failures = p->mp_failures;
	ret_s->sleeps = p->mp_sleeps;
	ret_s->callbacks = p->mp_callbacks;
	ret_s->pending = p->mp_pending;
	mp_leave(p);
}

void
mpipe_get_stats(malloc_pipe_t mp, struct mpipe_stats *ret_s)
{
	if (mp->mp_private == NULL)
		mp_bad_handle("mpipe_get_stats");
	mp_stats(mp->mp_private, ret_s);
}

bool
mpipe_stats(unsigned n, struct mpipe_stats *ret_s)
{
	struct mpipe *p;

	ka_mutex_lock(&mp_registry);
	for (p = mp_list; p != NULL && n > 0; p = p->mp_next)
		n--;
	if (p != NULL)
		mp_stats(p, ret_s);
	ka_mutex_unlock(&mp_registry);
	return (p != NULL);
}

static bool
mp_audit_array(const struct mpipe *p, ptrdiff_t at, uint32_t n)
{
	const struct ptr_map_slot *slot;
	uint32_t i;

	for (i = 0; i < n; i++) {
		slot = ptr_map__find(&p->mp_map, p->mp_arrays[at + i]);
		if (slot == NULL || slot->value != (uint64_t)at + i)
			return (false);
	}
	return (true);
}

static const char *
mp_audit(struct mpipe *p, const char **ret_found)
{
	uint32_t n = mp_count_free(p);

	if (n > p->mp_nnom || p->mp_total < p->mp_nnom ||
	    p->mp_total > p->mp_nmax) {
		*ret_found = "the pipe has not between nnom and nmax buffers";
		return ("I-MP-1");
	}
	if (p->mp_map.count + p->mp_claimed != p->mp_total) {
		*ret_found = "the map knows another number of buffers";
		return ("I-MP-2");
	}
	if (!mp_audit_array(p, p->mp_array - p->mp_arrays, p->mp_free) ||
	    !mp_audit_array(p, p->mp_back_at, p->mp_back_free)) {
		*ret_found = "a free buffer is not where the map says";
		return ("I-MP-2");
	}
	if (!p->mp_parted &&
	    (p->mp_array != p->mp_arrays || p->mp_back_free != 0)) {
		*ret_found = "the pipe is not parted, and has a back";
		return ("I-MP-5");
	}
	if (n != 0 && p->mp_watchers != 0) {
		*ret_found = "somebody waits, and a buffer is free";
		return ("I-MP-3");
	}
	if (p->mp_watchers != p->mp_sleepers + p->mp_starved + p->mp_pending) {
		*ret_found = "the count of watchers is wrong";
		return ("I-MP-4");
	}
	if (p->mp_room != mp_simple_room(p)) {
		*ret_found = "frees take the wrong path";
		return ("I-MP-5");
	}
	return (NULL);
}

const char *
mpipe_audit(const char **ret_found)
{
	const char *id = NULL;
	struct mpipe *p;

	ka_mutex_lock(&mp_registry);
	for (p = mp_list; p != NULL && id == NULL; p = p->mp_next) {
		mp_enter_to_look(p); /* not from the support thread's side */
		id = mp_audit(p, ret_found);
		mp_leave_as_it_is(p);
	}
	ka_mutex_unlock(&mp_registry);
	return (id);
}

/* Held buffers; the type reports all, with those that are free. */
bool
mpipe__report(void (*report)(void *, const struct kalloc_leak *), void *arg)
{
	struct mpipe_stats s;
	struct mpipe *p;
	bool any = false;

	ka_mutex_lock(&mp_registry);
	for (p = mp_list; p != NULL; p = p->mp_next) {
		struct kalloc_leak leak = { .name = "mpipe" };

		mp_stats(p, &s);
		any = true;
		leak.count = s.total - s.free;
		leak.bytes = leak.count * s.bytes;
		if (report != NULL && leak.count != 0)
			report(arg, &leak);
	}
	ka_mutex_unlock(&mp_registry);
	return (any);
}

void
mpipe__halt(void)
{
	struct mpipe *p;

	ka_mutex_init(&mp_registry, "mpipes");
	while ((p = mp_list) != NULL) {
		mp_list = p->mp_next;
		mp_thread_stop(p);
		mp_free_memory(p);
	}
}
