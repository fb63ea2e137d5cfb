/* SPDX-License-Identifier: BSD-2-Clause */
/* Magazines: all that is not a fast path. The theory is in magazine.h. */
#include "magazine.h"

#include <errno.h>
#include <string.h>

struct magazine mag_none;

static void
slot_set_fast(struct mag_slot *slot, struct magazine *m)
{
	__atomic_store_n(&slot->s_fast, m, __ATOMIC_RELAXED);
}

static struct magazine *
mag_at(const struct mag_cache *cache, uint32_t index)
{
	return ((struct magazine *)(void *)(cache->c_magazines +
	    (size_t)index * cache->c_bytes_each));
}

/* ---- Life ------------------------------------------------------------- */

static void
mag_list_push(struct magazine **head, struct magazine *m)
{
	m->m_next = *head;
	*head = m;
}

static struct magazine *
mag_list_pop(struct magazine **head)
{
	struct magazine *m = *head;

	*head = m->m_next;
	m->m_next = NULL;
	return (m);
}

uint32_t
mag__capacity_of(size_t size)
{
	static const struct {
		size_t size;
		uint32_t capacity;
	} of[] = { { 128, 126 }, { 256, 62 }, { 512, 30 }, { 1024, 16 },
		{ 2048, 8 }, { 3072, 4 }, { 4096, 2 }, { 8192, 1 } };
	unsigned i;

	for (i = 0; i < sizeof(of) / sizeof(*of); i++)
		if (size <= of[i].size)
			return (of[i].capacity);
	return (1);
}

int
mag__init(
    struct mag_cache *cache, uint32_t capacity, uint32_t depot, unsigned flags)
{
	size_t slots = (size_t)(cpu_count + 2) * MAG_SLOT_STRIDE;
	uint32_t i, each = sizeof(struct magazine);

	each += capacity * (uint32_t)sizeof(void *);
	memset(cache, 0, sizeof(*cache));
	cache->c_bytes_each =
	    (each + KA_CACHE_LINE - 1) / KA_CACHE_LINE * KA_CACHE_LINE;
	cache->c_count = 2 * (cpu_count + 1) + depot;
	cache->c_bytes = slots + (size_t)cache->c_count * cache->c_bytes_each;
	cache->c_slots = ka_os_map(cache->c_bytes);
	if (cache->c_slots == NULL)
		return (ENOMEM);
	cache->c_magazines = cache->c_slots + slots;
	cache->c_capacity = capacity;
	cache->c_made_for = capacity;
	cache->c_shortage = (flags & MAG_SHORTAGE) != 0;
	cache->c_slow = (flags & MAG_SLOW) != 0;
	ka_mutex_init(&cache->c_lock, "depot");
	for (i = 0; i < cache->c_count; i++)
		mag_at(cache, i)->m_capacity = capacity;
	((struct mag_slot *)(void *)cache->c_slots)->s_fast = &mag_none;
	for (i = 0; i <= cpu_count; i++) {
		struct mag_slot *slot = mag_slot(cache, cpu_at(i));

		slot->s_fast = &mag_none;
		slot->s_loaded = mag_at(cache, 2 * i);
		slot->s_previous = mag_at(cache, 2 * i + 1);
	}
	for (i = cache->c_count; i-- > 2 * (cpu_count + 1);)
		mag_list_push(&cache->c_empty, mag_at(cache, i));
	return (0);
}

void
mag__fini(struct mag_cache *cache)
{
	ka_mutex_fini(&cache->c_lock);
	ka_os_unmap(cache->c_slots, cache->c_bytes);
	memset(cache, 0, sizeof(*cache));
}

/* ---- Open and closed -------------------------------------------------- */

bool
mag__is_closed(struct mag_cache *cache)
{
	return (ka_load(&cache->c_closed, SEQ_CST) != 0 ||
	    (cache->c_closed_too != NULL &&
		ka_load(cache->c_closed_too, SEQ_CST) != 0) ||
	    (cache->c_shortage && ka_load(&cpu_shortage, SEQ_CST) != 0));
}

/* Of the CPU that the caller has locked as its own: the slot is opened again,
 * or, when its loaded magazine has changed, stays what it was. */
static void
slot_open(struct mag_cache *cache, struct ka_cpu *cpu, bool closed)
{
	struct mag_slot *slot = mag_slot(cache, cpu);

	if (closed || cpu->c_spare || cache->c_slow)
		slot_set_fast(slot, &mag_none);
	else
		slot_set_fast(slot, slot->s_loaded);
}

/* Locks another CPU and excludes its owner from the slot; cpu__leave(). */
static struct mag_slot *
slot_visit(struct mag_cache *cache, struct ka_cpu *cpu)
{
	struct mag_slot *slot = mag_slot(cache, cpu);

	ka_mutex_lock(&cpu->c_lock);
	/* Only its owner opens a slot, under this lock. */
	if (slot->s_fast != &mag_none) {
		slot_set_fast(slot, &mag_none);
		cpu__exclude(cpu);
	}
	return (slot);
}

void
mag__close_slots(struct mag_cache *cache)
{
	unsigned i;

	for (i = 0; i <= cpu_count; i++) {
		(void)slot_visit(cache, cpu_at(i));
		cpu__leave(cpu_at(i));
	}
}

void
mag__close(struct mag_cache *cache)
{
	(void)ka_add(&cache->c_closed, 1);
	mag__close_slots(cache);
}

void
mag__reopen(struct mag_cache *cache)
{
	uint32_t was = ka_add(&cache->c_closed, (uint32_t)-1);

	KA_ASSERT(was != 0);
	(void)was;
}

void
mag__set_capacity(struct mag_cache *cache, uint32_t capacity)
{
	struct mag_slot *slot;
	struct magazine *m;
	unsigned i;

	KA_ASSERT(capacity <= cache->c_made_for);
	ka_mutex_lock(&cache->c_lock);
	cache->c_capacity = capacity;
	for (m = cache->c_full; m != NULL; m = m->m_next)
		m->m_capacity = capacity;
	for (m = cache->c_empty; m != NULL; m = m->m_next)
		m->m_capacity = capacity;
	for (i = 0; i <= cpu_count; i++) {
		slot = slot_visit(cache, cpu_at(i));
		slot->s_loaded->m_capacity = capacity;
		slot->s_previous->m_capacity = capacity;
		cpu__leave(cpu_at(i));
	}
	ka_mutex_unlock(&cache->c_lock);
}

/* ---- The depot -------------------------------------------------------- */

void
mag__lock(struct mag_cache *cache)
{
	ka_mutex_lock(&cache->c_lock);
}

void
mag__unlock(struct mag_cache *cache)
{
	ka_mutex_unlock(&cache->c_lock);
}

static void *
mag_pop_round(struct magazine *m)
{
	uint32_t n = m->m_rounds - 1;

	mag_set_rounds(m, n);
	return (m->m_object[n]);
}

static void
mag_push_round(struct magazine *m, void *object)
{
	m->m_object[m->m_rounds] = object;
	mag_set_rounds(m, m->m_rounds + 1);
}

bool
mag__depot_put(struct mag_cache *cache, void *object)
{
	struct magazine *m = cache->c_full;

	if (m == NULL || m->m_rounds >= m->m_capacity) {
		if (cache->c_empty == NULL || cache->c_capacity == 0)
			return (false);
		m = mag_list_pop(&cache->c_empty);
		mag_list_push(&cache->c_full, m);
	}
	mag_push_round(m, object);
	return (true);
}

void *
mag__depot_get(struct mag_cache *cache)
{
	struct magazine *m = cache->c_full;
	void *object;

	if (m == NULL)
		return (NULL);
	object = mag_pop_round(m);
	if (m->m_rounds == 0)
		mag_list_push(&cache->c_empty, mag_list_pop(&cache->c_full));
	return (object);
}

/* Of a slot that is closed, or the caller's own in its section. */
static void *
slot_take(struct mag_slot *slot)
{
	if (slot->s_loaded->m_rounds != 0)
		return (mag_pop_round(slot->s_loaded));
	if (slot->s_previous->m_rounds != 0)
		return (mag_pop_round(slot->s_previous));
	return (NULL);
}

/* Something may be in it: a hint, without lock. */
static bool
slot_peek(const struct mag_slot *slot)
{
	return (KM_READ(KM_READ(slot->s_loaded)->m_rounds) != 0 ||
	    KM_READ(KM_READ(slot->s_previous)->m_rounds) != 0);
}

unsigned
mag__take(
    struct mag_cache *cache, struct ka_cpu *cpu, void **objects, unsigned max)
{
	struct mag_slot *slot;
	unsigned n = 0;

	if (cpu == NULL) {
		ka_mutex_lock(&cache->c_lock);
		while (n < max && (objects[n] = mag__depot_get(cache)) != NULL)
			n++;
		ka_mutex_unlock(&cache->c_lock);
		return (n);
	}
	slot = slot_visit(cache, cpu);
	while (n < max && (objects[n] = slot_take(slot)) != NULL)
		n++;
	cpu__leave(cpu);
	return (n);
}

void *
mag__take_any(struct mag_cache *cache)
{
	void *object = mag__depot_get(cache);
	unsigned i;

	for (i = 0; i <= cpu_count && object == NULL; i++) {
		object = slot_take(slot_visit(cache, cpu_at(i)));
		cpu__leave(cpu_at(i));
	}
	return (object);
}

/* ---- Slow paths ------------------------------------------------------- */

static void
slot_set_magazines(
    struct mag_slot *slot, struct magazine *loaded, struct magazine *previous)
{
	__atomic_store_n(&slot->s_loaded, loaded, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->s_previous, previous, __ATOMIC_RELAXED);
}

/* Pops of the caller's CPU, which is locked. */
static void *
slot_get(struct mag_slot *slot)
{
	if (slot->s_loaded->m_rounds == 0) {
		if (slot->s_previous->m_rounds == 0)
			return (NULL);
		slot_set_magazines(slot, slot->s_previous, slot->s_loaded);
	}
	KM_ADD(slot->s_gets, 1);
	return (mag_pop_round(slot->s_loaded));
}

static bool
slot_put(struct mag_slot *slot, void *object)
{
	if (slot->s_loaded->m_rounds >= slot->s_loaded->m_capacity) {
		if (slot->s_previous->m_rounds >= slot->s_previous->m_capacity)
			return (false);
		slot_set_magazines(slot, slot->s_previous, slot->s_loaded);
	}
	mag_push_round(slot->s_loaded, object);
	KM_ADD(slot->s_puts, 1);
	return (true);
}

/* Is there a CPU without owner that may have something? The spare one never has
 * one: whoever uses it keeps nothing from others by that. */
static bool
may_collect(struct mag_cache *cache)
{
	return (ka_load(&cpu_parked, RELAXED) != 0 ||
	    slot_peek(mag_slot(cache, cpu_at(cpu_count))));
}

/* Moves what CPUs without owner have to the depot; under its lock. */
static void
depot_collect(struct mag_cache *cache)
{
	struct magazine *m;
	unsigned i, j;

	for (i = 0; i <= cpu_count && cache->c_empty != NULL; i++) {
		struct ka_cpu *cpu = cpu_at(i);
		struct mag_slot *slot = mag_slot(cache, cpu);

		if (ka_load(&cpu->c_owned, RELAXED) || !slot_peek(slot))
			continue;
		(void)slot_visit(cache, cpu);
		for (j = 0; j < 2 && cache->c_empty != NULL; j++) {
			m = slot->s_loaded;
			if (m->m_rounds == 0) {
				slot_set_magazines(slot, slot->s_previous, m);
				continue;
			}
			mag_list_push(&cache->c_full, m);
			m = mag_list_pop(&cache->c_empty);
			slot_set_magazines(slot, slot->s_previous, m);
		}
		cpu__leave(cpu);
	}
}

/* An empty magazine of the CPU for one of the depot that has rounds. */
static void *
depot_exchange_get(struct mag_cache *cache)
{
	struct ka_cpu *cpu = cpu__lock_self();
	struct mag_slot *slot = mag_slot(cache, cpu);
	void *object = slot_get(slot); /* we may be elsewhere by now */

	if (object == NULL && cache->c_full != NULL) {
		mag_list_push(&cache->c_empty, slot->s_previous);
		slot_set_magazines(
		    slot, mag_list_pop(&cache->c_full), slot->s_loaded);
		object = slot_get(slot);
	}
	slot_open(cache, cpu, mag__is_closed(cache));
	cpu__unlock_self(cpu);
	return (object);
}

void *
mag__get(struct mag_cache *cache)
{
	struct ka_cpu *cpu = cpu__lock_self();
	void *object = slot_get(mag_slot(cache, cpu));

	if (object != NULL)
		slot_open(cache, cpu, mag__is_closed(cache));
	cpu__unlock_self(cpu);
	if (object != NULL)
		return (object);
	ka_mutex_lock(&cache->c_lock);
	if (cache->c_full == NULL && may_collect(cache))
		depot_collect(cache);
	object = depot_exchange_get(cache);
	ka_mutex_unlock(&cache->c_lock);
	return (object);
}

/* A full magazine of the CPU for an empty one of the depot. */
static enum mag_outcome
depot_exchange_put(struct mag_cache *cache, void *object)
{
	struct ka_cpu *cpu = cpu__lock_self();
	struct mag_slot *slot = mag_slot(cache, cpu);
	enum mag_outcome outcome = MAG_FULL;
	bool closed = mag__is_closed(cache);

	if (closed) {
		outcome = MAG_CLOSED;
	} else if (slot_put(slot, object)) {
		outcome = MAG_DONE;
	} else if (cache->c_empty != NULL && cache->c_capacity != 0) {
		mag_list_push(&cache->c_full, slot->s_previous);
		slot_set_magazines(
		    slot, mag_list_pop(&cache->c_empty), slot->s_loaded);
		(void)slot_put(slot, object);
		outcome = MAG_DONE;
	}
	slot_open(cache, cpu, closed);
	cpu__unlock_self(cpu);
	return (outcome);
}

enum mag_outcome
mag__put(struct mag_cache *cache, void *object)
{
	struct ka_cpu *cpu = cpu__lock_self();
	bool closed = mag__is_closed(cache);
	bool done = !closed && slot_put(mag_slot(cache, cpu), object);
	enum mag_outcome outcome;

	slot_open(cache, cpu, closed);
	cpu__unlock_self(cpu);
	if (done || closed)
		return (done ? MAG_DONE : MAG_CLOSED);
	ka_mutex_lock(&cache->c_lock);
	outcome = depot_exchange_put(cache, object);
	ka_mutex_unlock(&cache->c_lock);
	return (outcome);
}

/* ---- Looking ---------------------------------------------------------- */

/* Puts first, then gets: of an object that was put in between the get would
 * otherwise be missed, and another that is held would not show. */
void
mag__sum_locked(struct mag_cache *cache, struct mag_sum *ret_sum)
{
	struct magazine *m;
	unsigned i;

	memset(ret_sum, 0, sizeof(*ret_sum));
	for (i = 0; i <= cpu_count; i++)
		ret_sum->puts +=
		    KM_READ_FIRST(mag_slot(cache, cpu_at(i))->s_puts);
	for (m = cache->c_full; m != NULL; m = m->m_next)
		ret_sum->cached += m->m_rounds;
	for (i = 0; i <= cpu_count; i++) {
		struct ka_cpu *cpu = cpu_at(i);
		struct mag_slot *slot = mag_slot(cache, cpu);

		ka_mutex_lock(&cpu->c_lock);
		ret_sum->gets += KM_READ(slot->s_gets);
		ret_sum->cached += KM_READ(slot->s_loaded->m_rounds);
		ret_sum->cached += KM_READ(slot->s_previous->m_rounds);
		ka_mutex_unlock(&cpu->c_lock);
	}
}

void
mag__sum(struct mag_cache *cache, struct mag_sum *ret_sum)
{
	ka_mutex_lock(&cache->c_lock);
	mag__sum_locked(cache, ret_sum);
	ka_mutex_unlock(&cache->c_lock);
}

void
mag__each(
    struct mag_cache *cache, void (*fn)(void *arg, void *object), void *arg)
{
	uint32_t i, j;

	for (i = 0; i < cache->c_count; i++) {
		struct magazine *m = mag_at(cache, i);

		for (j = 0; j < m->m_rounds; j++)
			fn(arg, m->m_object[j]);
	}
}

static const char *
audit_rounds(struct mag_cache *cache, const char **ret_found)
{
	uint32_t i, j;

	for (i = 0; i < cache->c_count; i++) {
		struct magazine *m = mag_at(cache, i);

		if (m->m_rounds > cache->c_made_for) {
			*ret_found = "a magazine has more than it can hold";
			return ("I-MG-1");
		}
		for (j = 0; j < m->m_rounds; j++) {
			if (m->m_object[j] != NULL)
				continue;
			*ret_found = "a magazine has a round that is NULL";
			return ("I-MG-3");
		}
	}
	return (NULL);
}

/* Length of a depot's list, whose magazines have rounds or not; UINT32_MAX if
 * one is not as it should be. */
static uint32_t
audit_list(struct mag_cache *cache, const struct magazine *m, bool rounds)
{
	uint32_t n = 0;

	for (; m != NULL; m = m->m_next)
		if ((m->m_rounds != 0) != rounds || n++ > cache->c_count)
			return (UINT32_MAX);
	return (n);
}

const char *
mag__audit(struct mag_cache *cache, const char **ret_found)
{
	const char *id = audit_rounds(cache, ret_found);
	uint32_t i, full = audit_list(cache, cache->c_full, true);
	uint32_t empty = audit_list(cache, cache->c_empty, false);

	if (id != NULL)
		return (id);
	if (full == UINT32_MAX || empty == UINT32_MAX) {
		*ret_found = "a magazine of the depot is on the wrong list";
		return ("I-MG-3");
	}
	if (full + empty + 2 * (cpu_count + 1) != cache->c_count) {
		*ret_found = "a magazine is neither in a slot nor in the depot";
		return ("I-MG-2");
	}
	for (i = 0; i <= cpu_count; i++) {
		struct mag_slot *slot = mag_slot(cache, cpu_at(i));

		if (slot->s_loaded == slot->s_previous) {
			*ret_found = "a slot has the same magazine twice";
			return ("I-MG-2");
		}
		if (slot->s_fast != &mag_none &&
		    slot->s_fast != slot->s_loaded) {
			*ret_found = "a slot is open on another magazine";
			return ("I-MG-4");
		}
	}
	return (NULL);
}
