/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc types: declaration, limits, statistics (KM-5, KM-6, KM-17).
 *
 * A type has an id while it is declared and a system is up; its *cookie*, the
 * id << 16, is what allocated chunks carry and where its counters are. Types
 * declared before boot, by MALLOC_DEFINE, wait on a list. The id of a type
 * that ended with objects in use is not used again until halt: those objects
 * must not become another's.
 *
 * Limit. ks_loose is at least the usage that grants allow; while it is below
 * the limit a grant is one addition. At the limit the counters of all CPUs are
 * summed, twice, and ks_loose is based anew on what is really in use. Grants of
 * a type add up to at most a sixteenth of its limit, so that usage exceeds the
 * limit by that and one request a CPU, no more.
 *
 * Invariants: I-MT-1 a declared type's slot refers to it; I-MT-2 the counters
 * of a type sum to no negative number (kmalloc_audit()).
 */
#include "kmalloc_int.h"

#include <stdio.h>
#include <string.h>

#define GRANT_MAX 4096

MALLOC_DEFINE(M_CACHE, "cache", "Various Dynamically allocated caches");
MALLOC_DEFINE(M_DEVBUF, "devbuf", "device driver memory");
MALLOC_DEFINE(M_TEMP, "temp", "misc temporary data buffers");

static struct ka_mutex type_lock = KA_MUTEX_INITIALIZER;
static struct malloc_type *type_slot[KA_TYPES_MAX + 1]; /* by id; 0: none */
static uint8_t type_stale[KA_TYPES_MAX + 1]; /* ended with objects in use */
static struct malloc_type *type_static;	     /* declared before boot */
static struct malloc_type type_heap[KA_TYPES_MAX]; /* kmalloc_create() */
static unsigned type_top; /* ids used since boot are up to here */

/*
 * By id: classes in which a counter may not be zero. To clear those of all
 * classes and CPUs for each type would be most of a boot.
 */
static uint64_t type_used[KA_TYPES_MAX + 1];

void
km__type_touch(uint32_t cookie, unsigned class)
{
	uint64_t *used = &type_used[cookie >> 16], bit = UINT64_C(1) << class;

	if ((__atomic_load_n(used, __ATOMIC_RELAXED) & bit) == 0)
		(void)__atomic_fetch_or(used, bit, __ATOMIC_RELAXED);
}

/* Counters of an id that no type has are zero, also between two systems. */
static void
type_clear_use(unsigned id)
{
	const size_t tail = offsetof(struct km_use, u_calls);
	uint64_t classes;
	unsigned i;

	for (i = 0; i <= cpu_count; i++) {
		struct km_use *use = cpu_use(cpu_at(i), (uint32_t)id << 16);

		memset((char *)use + tail, 0, sizeof(*use) - tail);
		for (classes = type_used[id]; classes != 0;
		     classes &= classes - 1) {
			unsigned c = (unsigned)__builtin_ctzll(classes);

			use->u_left[c] = 0;
			use->u_freed[c] = use->u_granted[c] = 0;
		}
	}
	type_used[id] = 0;
}

static bool
type_register(struct malloc_type *type)
{
	unsigned id;

	for (id = 1; id <= KA_TYPES_MAX; id++)
		if (type_slot[id] == NULL && !type_stale[id])
			break;
	if (id > KA_TYPES_MAX)
		return (false);
	if (id > type_top)
		ka_init(&type_top, id);
	type_slot[id] = type;
	type->ks_limit = vm__bytes() / 10;
	type->ks_loose = 0;
	type->ks_large = 0;
	type->ks_waiting = 0;
	type->ks_watched = 0;
	type->ks_classes = 0;
	type->ks_debug = km_debug;
	type_clear_use(id);
	ka_store(&type->ks_cookie, id << 16, RELAXED);
	ka_store(&type->ks_magic, KA_TYPE_MAGIC, RELEASE);
	return (true);
}

/* Where the list of types declared before boot refers to one, or its end. */
static struct malloc_type **
type_static_link(const struct malloc_type *type)
{
	struct malloc_type **at = &type_static;

	while (*at != NULL && *at != type)
		at = &(*at)->ks_next;
	return (at);
}

/* The system is up when its types are declared, and not before: others may be
 * declaring theirs, and either it is this that does it or they do. */
void
km__type_boot(bool *up)
{
	struct malloc_type *type;

	ka_mutex_lock(&type_lock);
	for (type = type_static; type != NULL; type = type->ks_next)
		(void)type_register(type);
	__atomic_store_n(up, true, __ATOMIC_RELEASE);
	ka_mutex_unlock(&type_lock);
}

void
km__type_halt(void)
{
	unsigned id;

	type_clear_use(0); /* who was late found no type */
	for (id = 1; id <= type_top; id++) {
		struct malloc_type *type = type_slot[id];

		type_clear_use(id);
		type_slot[id] = NULL;
		type_stale[id] = 0;
		if (type == NULL)
			continue;
		type->ks_cookie = 0;
		type->ks_magic = 0;
		if (*type_static_link(type) == NULL)
			type->ks_heap = 0; /* it ends with its system */
	}
	type_top = 0;
	ka_mutex_init(&type_lock, "types"); /* who had it may be no more */
}

void
km__type_check(const struct malloc_type *type, const char *caller)
{
	if (type == NULL || ka_load(&type->ks_magic, ACQUIRE) != KA_TYPE_MAGIC)
		ka_misuse(KA_WHY_BAD_TYPE, NULL, "%s: the type is not declared",
		    caller);
}

/* Under type_lock. False: there are too many. */
static bool
type_declare(struct malloc_type *type)
{
	if (kalloc_is_up())
		return (ka_load(&type->ks_magic, RELAXED) == KA_TYPE_MAGIC ||
		    type_register(type));
	if (*type_static_link(type) == NULL) {
		type->ks_next = type_static;
		type_static = type;
	}
	return (true);
}

void
malloc_init(struct malloc_type *type)
{
	bool done;

	ka_mutex_lock(&type_lock);
	done = type_declare(type);
	ka_mutex_unlock(&type_lock);
	if (!done)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "malloc_init: more than %u malloc types", KA_TYPES_MAX);
}

/*
 * Chunks of a class that a CPU ever took: what it was granted, less what of that
 * is left. A grant moves both, and so does one that is given back: who reads one
 * before and the other after that sees what nobody ever took.
 */
static int64_t
use_taken(
    struct ka_cpu *cpu, uint32_t cookie, unsigned class, int64_t *ret_left)
{
	const struct km_use *u = cpu_use(cpu, cookie);
	uint64_t granted, before;

	granted = KM_READ_FIRST(u->u_granted[class]);
	do {
		before = granted;
		*ret_left = KM_READ_FIRST(u->u_left[class]);
		ka_look(cpu);
		granted = KM_READ_FIRST(u->u_granted[class]);
	} while (granted != before);
	return ((int64_t)granted - *ret_left);
}

struct type_sum {
	int64_t allocs, frees, calls, bytes;
};

static void
type_sum_frees(struct type_sum *s, const struct km_use *u, uint64_t classes)
{
	for (; classes != 0; classes &= classes - 1) {
		unsigned i = (unsigned)__builtin_ctzll(classes);
		int64_t frees = (int64_t)KM_READ_FIRST(u->u_freed[i]);

		s->frees += frees;
		s->bytes -= frees * km_class_size[i];
	}
	s->frees += (int64_t)KM_READ_FIRST(u->u_large_freed);
	s->bytes -=
	    (int64_t)KM_READ_FIRST(u->u_large_pages_freed) * KA_PAGE_SIZE;
}

static void
type_sum_allocs(
    struct type_sum *s, struct ka_cpu *cpu, uint32_t cookie, uint64_t classes)
{
	const struct km_use *u = cpu_use(cpu, cookie);

	for (; classes != 0; classes &= classes - 1) {
		unsigned i = (unsigned)__builtin_ctzll(classes);
		int64_t left, allocs = use_taken(cpu, cookie, i, &left);

		s->allocs += allocs;
		s->bytes += allocs * km_class_size[i];
	}
	s->calls += (int64_t)KM_READ(u->u_calls);
	s->allocs += (int64_t)KM_READ(u->u_large);
	s->bytes += (int64_t)KM_READ(u->u_large_pages) * KA_PAGE_SIZE;
}

/* Frees first: while others are at it the sum is no less than what was in use
 * at some instant of it. */
static void
type_sum_id(struct type_sum *s, uint32_t cookie, uint64_t classes)
{
	unsigned i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i <= cpu_count; i++)
		type_sum_frees(s, cpu_use(cpu_at(i), cookie), classes);
	for (i = 0; i <= cpu_count; i++) {
		ka_look(cpu_at(i));
		type_sum_allocs(s, cpu_at(i), cookie, classes);
	}
}

static void
type_sum(struct type_sum *s, const struct malloc_type *type)
{
	type_sum_id(s, type->ks_cookie, ka_load(&type->ks_classes, ACQUIRE));
}

void
kmalloc_type_stats(struct malloc_type *type, struct kmalloc_stats *ret_s)
{
	struct type_sum s;

	km__type_check(type, "kmalloc_type_stats");
	type_sum(&s, type);
	ret_s->calls = (uint64_t)(s.allocs + s.calls);
	ret_s->inuse = s.allocs > s.frees ? (uint64_t)(s.allocs - s.frees) : 0;
	ret_s->memuse = s.bytes > 0 ? (uint64_t)s.bytes : 0;
	ret_s->limit = ka_load(&type->ks_limit, RELAXED);
}

/* What a CPU's grants of a type still allow, in bytes. */
static uint64_t
type_left_cpu(const struct km_use *u, uint64_t classes)
{
	uint64_t left = 0;

	for (; classes != 0; classes &= classes - 1) {
		unsigned c = (unsigned)__builtin_ctzll(classes);
		int64_t n = KM_READ(u->u_left[c]);

		if (n > 0)
			left += (uint64_t)n * km_class_size[c];
	}
	return (left);
}

/* Bytes that were ever freed, as each CPU had it when it was looked at. */
static int64_t
type_freed(const struct malloc_type *type)
{
	struct type_sum s = { 0 };
	unsigned i;

	for (i = 0; i <= cpu_count; i++) {
		ka_look(cpu_at(i));
		type_sum_frees(&s, cpu_use(cpu_at(i), type->ks_cookie),
		    KM_READ(type->ks_classes));
	}
	return (-s.bytes);
}

/* Bytes of chunks that were ever taken, and that grants still allow. */
static int64_t
type_taken(const struct malloc_type *type, int64_t *ret_left)
{
	uint64_t classes, all = ka_load(&type->ks_classes, RELAXED);
	int64_t bytes = 0;
	unsigned i;

	*ret_left = 0;
	for (i = 0; i <= cpu_count; i++) {
		struct ka_cpu *cpu = cpu_at(i);
		int64_t left;

		for (classes = all; classes != 0; classes &= classes - 1) {
			unsigned c = (unsigned)__builtin_ctzll(classes);

			bytes += use_taken(cpu, type->ks_cookie, c, &left) *
			    km_class_size[c];
			if (left > 0)
				*ret_left += left * km_class_size[c];
		}
	}
	return (bytes);
}

/* A read-modify-write sees what is newest; of a load only time can tell. Nobody
 * is refused by what was, whenever that was. */
static uint64_t
type_newest(uint64_t *at)
{
	return (ka_add(at, 0));
}

/*
 * Is the type's usage at its limit? Counters are summed while others run. What
 * was taken and what was freed only grow; so what had been taken, less what had
 * been freed *before*, is at least what usage was between the two, and less what
 * had been freed *after*, at most. The first below the limit: there is room. The
 * second at the limit: there is none. Otherwise others freed what decides, and
 * it is looked at again: again and again only if others come and are served.
 *
 * Large objects are counted in ks_large, from the moment they are admitted;
 * `own` bytes of it are the caller's. A CPU that is between the two steps of a
 * grant counts for less by it, which is no more than grants may exceed the limit
 * by.
 * The limit is one that ks_loose has reached.
 *
 * *ret_most: without `own`, no more was in use or granted.
 */
static bool
type_is_full(
    struct malloc_type *type, uint64_t limit, uint64_t own, uint64_t *ret_most)
{
	int64_t freed = type_freed(type), taken, left, bound = (int64_t)limit;

	for (;;) {
		taken = type_taken(type, &left);
		taken += (int64_t)(type_newest(&type->ks_large) - own);
		*ret_most = (uint64_t)(taken - freed + left);
		if (taken - freed < bound)
			return (false);
		freed = type_freed(type);
		if (taken - freed >= bound)
			return (true);
	}
}

/*
 * ks_loose is bytes and, above them, a count of changes: who based it anew on
 * what he summed would otherwise not see that others did so meanwhile, and were
 * granted what makes it as it was. More bytes than fit are more than there are.
 */
static uint64_t
type_loose(uint64_t before, uint64_t bytes, uint64_t more)
{
	uint64_t changes = (before | KM_LOOSE_BYTES) + 1;

	if (more > KM_LOOSE_BYTES - bytes)
		return (changes | KM_LOOSE_BYTES);
	return (changes | (bytes + more));
}

/*
 * May bytes be added? Tested before they are (KM-6). The compare-and-swap
 * makes test and addition one, so that of callers that race only one exceeds
 * the limit. Nobody is refused by a limit that was raised meanwhile: what made
 * the type full may have come after that, and within the new one. ks_loose comes
 * before what is summed: the grants that are in it are to be seen, and the
 * classes that they are of.
 */
static bool
type_admit(struct malloc_type *type, uint64_t bytes, uint64_t own)
{
	uint64_t limit = ka_load(&type->ks_limit, RELAXED), used, before;
	uint64_t loose = ka_load(&type->ks_loose, ACQUIRE);

	for (;;) {
		used = loose & KM_LOOSE_BYTES;
		if (used >= limit && type_is_full(type, limit, own, &used)) {
			before = limit;
			limit = type_newest(&type->ks_limit);
			if (limit == before)
				return (false);
			continue;
		}
		if (!ka_cas(&type->ks_loose, &loose,
			type_loose(loose, used, bytes)))
			continue;
		if (own == 0 && used + bytes >= limit) /* counted nowhere yet */
			ka_look(ka_cpu_self());
		return (true);
	}
}

/*
 * Would a request be refused now? Unlike one that is, asking moves nothing. What
 * others are granted, and have in hand, counts.
 */
bool
km__type_refuses(struct malloc_type *type)
{
	uint64_t limit = ka_load(&type->ks_limit, RELAXED), most;

	return ((ka_load(&type->ks_loose, RELAXED) & KM_LOOSE_BYTES) >= limit &&
	    type_is_full(type, limit, 0, &most) &&
	    type_newest(&type->ks_limit) == limit);
}

/* A large object; km__type_forget() if it is not to be had after all. */
bool
km__type_admit(struct malloc_type *type, uint64_t bytes)
{
	(void)ka_add(&type->ks_large, bytes);
	if (type_admit(type, bytes, bytes))
		return (true);
	km__type_forget(type, bytes);
	return (false);
}

void
km__type_forget(struct malloc_type *type, uint64_t bytes)
{
	(void)ka_add(&type->ks_large, -bytes);
	if (ka_load(&type->ks_watched, SEQ_CST) != 0)
		vm__kick();
}

/* Before the event count is read, and until nobody waits for it any more: what
 * one of several requests has told must not be lost on the next. */
void
km__type_watch(struct malloc_type *type)
{
	(void)ka_add(&type->ks_watched, 1);
}

void
km__type_unwatch(struct malloc_type *type)
{
	(void)ka_add(&type->ks_watched, (uint32_t)-1);
}

/*
 * Is the limit reached until something is freed, or the limit raised? What is
 * only admitted may be forgotten again, but for requests that wait until they
 * are served. They are read last: on its way to the counters a request is
 * counted nowhere, and never twice.
 */
bool
km__type_is_full(struct malloc_type *type)
{
	struct kmalloc_stats s;

	kmalloc_type_stats(type, &s);
	return (s.memuse + type_newest(&type->ks_waiting) >= s.limit);
}

/* A CPU's part of the sixteenth that grants may exceed the limit by. */
static uint64_t
type_part(uint64_t limit)
{
	return (limit / 16 / (cpu_count + 1));
}

/*
 * Allocations of a class that may pass before the next test: half of what is
 * left of the CPU's part, one when the limit comes near, and for debug types,
 * which must not find the fast path.
 */
static uint64_t
type_grant_size(const struct km_use *use, const struct malloc_type *type,
    uint64_t limit, unsigned class)
{
	uint64_t n, bytes = type_part(limit), out;

	if (type->ks_debug != 0)
		return (1);
	out = type_left_cpu(use, KM_READ(type->ks_classes));
	n = out < bytes ? (bytes - out) / 2 / km_class_size[class] : 0;
	if (n > GRANT_MAX)
		n = GRANT_MAX;
	if (n == 0 ||
	    (ka_load(&type->ks_loose, RELAXED) & KM_LOOSE_BYTES) +
		    n * km_class_size[class] >
		limit)
		n = 1;
	return (n);
}

/* Makes u_left[class] of a locked CPU at least one, if the limit allows it. */
bool
km__type_grant(struct ka_cpu *cpu, struct malloc_type *type, unsigned class)
{
	uint32_t cookie = type->ks_cookie;
	struct km_use *use = cpu_use(cpu, cookie);
	uint64_t n, classes = KM_READ(type->ks_classes);

	if (KM_READ(use->u_left[class]) > 0)
		return (true);
	while ((classes & UINT64_C(1) << class) == 0)
		if (ka_cas(&type->ks_classes, &classes,
			classes | UINT64_C(1) << class))
			break;
	n = type_grant_size(
	    use, type, ka_load(&type->ks_limit, RELAXED), class);
	if (!type_admit(type, n * km_class_size[class], 0))
		return (false);
	km__type_touch(cookie, class);
	ka_tell(cpu);
	KM_ADD(use->u_left[class], n);
	ka_look(cpu); /* others may, between the two */
	ka_tell(cpu);
	KM_ADD(use->u_granted[class], n);
	return (true);
}

/*
 * What was granted to the one request may be more than the CPU's part. ks_loose
 * keeps it until it is based anew. In this order nobody who sums between the
 * two steps sees too much.
 */
void
km__type_revoke(struct ka_cpu *cpu, struct malloc_type *type, unsigned class)
{
	struct km_use *use = cpu_use(cpu, type->ks_cookie);
	int64_t left = KM_READ(use->u_left[class]);

	if (left <= 0 ||
	    (type->ks_debug == 0 &&
		type_left_cpu(use, KM_READ(type->ks_classes)) <=
		    type_part(KM_READ(type->ks_limit))))
		return;
	ka_tell(cpu);
	KM_ADD(use->u_granted[class], -left);
	ka_look(cpu); /* others may, between the two */
	ka_tell(cpu);
	KM_ADD(use->u_left[class], -left);
}

uint64_t
kmalloc_limit(struct malloc_type *type)
{
	km__type_check(type, "kmalloc_limit");
	return (ka_load(&type->ks_limit, RELAXED));
}

void
kmalloc_raise_limit(struct malloc_type *type, uint64_t bytes)
{
	km__type_check(type, "kmalloc_raise_limit");
	if (bytes == 0)
		bytes = vm__bytes();
	ka_mutex_lock(&type_lock);
	if (bytes > KM_READ(type->ks_limit))
		ka_store(&type->ks_limit, bytes, RELAXED);
	ka_mutex_unlock(&type_lock);
	if (ka_load(&cpu_shortage, SEQ_CST) != 0)
		vm__kick();
}

void
kmalloc_set_unlimited(struct malloc_type *type)
{
	kmalloc_raise_limit(type, 0);
}

/*
 * Ends a type. Remote frees charge their CPU in the same section in which
 * they claim the chunk: after a rendezvous none is half done.
 */
size_t
malloc_uninit(struct malloc_type *type)
{
	struct malloc_type **link;
	struct type_sum s;
	uint32_t cookie;
	size_t inuse;

	km__type_check(type, "malloc_uninit");
	cpu__rendezvous();
	ka_mutex_lock(&type_lock);
	cookie = type->ks_cookie;
	type_sum(&s, type);
	inuse = s.allocs > s.frees ? (size_t)(s.allocs - s.frees) : 0;
	type_slot[cookie >> 16] = NULL;
	type_stale[cookie >> 16] = inuse != 0;
	/* Its storage may serve another, or go away; with the slot, since a
	 * system that ends by force in between looks there. */
	type->ks_heap = 0;
	ka_store(&type->ks_magic, 0, RELEASE);
	ka_store(&type->ks_cookie, 0, RELAXED);
	link = type_static_link(type);
	if (*link != NULL)
		*link = type->ks_next;
	ka_mutex_unlock(&type_lock);
	return (inuse);
}

void
kmalloc_create(struct malloc_type **ret_type, const char *descr)
{
	struct malloc_type *type = NULL;
	unsigned i;

	if (*ret_type != NULL)
		return;
	ka_mutex_lock(&type_lock);
	for (i = 0; i < KA_TYPES_MAX && type == NULL; i++)
		if (!type_heap[i].ks_heap)
			type = &type_heap[i];
	if (type != NULL) {
		memset(type, 0, sizeof(*type));
		(void)snprintf(
		    type->ks_name, sizeof(type->ks_name), "%s", descr);
		type->ks_shortdesc = type->ks_name;
		type->ks_longdesc = type->ks_name;
		type->ks_heap = type_declare(type);
		if (!type->ks_heap)
			type = NULL;
	}
	ka_mutex_unlock(&type_lock);
	if (type == NULL)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "kmalloc_create: more than %u malloc types", KA_TYPES_MAX);
	*ret_type = type;
}

size_t
kmalloc_destroy(struct malloc_type **type)
{
	size_t inuse;

	if (*type == NULL)
		return (0);
	inuse = malloc_uninit(*type);
	*type = NULL;
	return (inuse);
}

void
kmalloc_set_debug(struct malloc_type *type, unsigned debug)
{
	struct kmalloc_stats s;
	unsigned i, class;

	km__type_check(type, "kmalloc_set_debug");
	kmalloc_type_stats(type, &s);
	if (s.inuse != 0)
		ka_misuse(KA_WHY_BUSY, NULL,
		    "kmalloc_set_debug: type \"%s\" has %llu objects in use",
		    type->ks_shortdesc, (unsigned long long)s.inuse);
	type->ks_debug = debug & KA_DEBUG_ALL;
	/* What was granted before would go by the fast path. */
	for (i = 0; i <= cpu_count; i++) {
		cpu__visit(cpu_at(i));
		for (class = 0; class < KM_CLASSES; class ++)
			km__type_revoke(cpu_at(i), type, class);
		cpu__leave(cpu_at(i));
	}
}

void
km__type_each(void (*fn)(void *, struct malloc_type *), void *arg)
{
	unsigned id;

	for (id = 1; id <= type_top; id++)
		if (type_slot[id] != NULL)
			fn(arg, type_slot[id]);
}

bool
km__type_is_id(uint32_t id)
{
	return (id >= 1 && id <= type_top &&
	    (type_slot[id] != NULL || type_stale[id]));
}

uint64_t
km__type_stale_objects(void)
{
	struct type_sum s;
	uint64_t n = 0;
	unsigned id;

	for (id = 1; id <= type_top; id++) {
		if (!type_stale[id])
			continue;
		type_sum_id(&s, id << 16, ~UINT64_C(0));
		n += (uint64_t)(s.allocs - s.frees);
	}
	return (n);
}

/* Objects and bytes of what ended types left behind, for halt. */
static void
type_report_stale(
    void (*report)(void *, const struct kalloc_leak *), void *arg, bool *any)
{
	unsigned id;

	for (id = 1; id <= type_top; id++) {
		struct kalloc_leak leak = { .name = "(ended type)" };
		struct type_sum s;

		if (!type_stale[id])
			continue;
		type_sum_id(&s, id << 16, ~UINT64_C(0));
		leak.count = (uint64_t)(s.allocs - s.frees);
		leak.bytes = (uint64_t)s.bytes;
		*any = true;
		if (report != NULL)
			report(arg, &leak);
	}
}

bool
kmalloc__report(void (*report)(void *, const struct kalloc_leak *), void *arg)
{
	bool any = false;
	unsigned id;

	for (id = 1; id <= type_top; id++) {
		struct kmalloc_stats s;
		struct kalloc_leak leak;

		if (type_slot[id] == NULL)
			continue;
		kmalloc_type_stats(type_slot[id], &s);
		if (s.inuse == 0)
			continue;
		leak.name = type_slot[id]->ks_shortdesc;
		leak.count = s.inuse;
		leak.bytes = s.memuse;
		any = true;
		if (report != NULL)
			report(arg, &leak);
	}
	type_report_stale(report, arg, &any);
	return (any);
}

/*
 * The line of one id's type, if it has one that was used. Another may be ending
 * it just now: its name is its owner's, and is read while it cannot.
 */
static bool
vmstat_line(
    unsigned id, char *line, size_t size, struct kmalloc_stats *ret_total)
{
	struct kmalloc_stats s = { 0 };
	struct malloc_type *type;

	ka_mutex_lock(&type_lock);
	type = type_slot[id];
	if (type != NULL)
		kmalloc_type_stats(type, &s);
	if (s.calls != 0)
		(void)snprintf(line, size, "%20s %10llu %9lluK %9lluK %12llu",
		    type->ks_shortdesc, (unsigned long long)s.inuse,
		    (unsigned long long)(s.memuse + 1023) / 1024,
		    (unsigned long long)s.limit / 1024,
		    (unsigned long long)s.calls);
	ka_mutex_unlock(&type_lock);
	ret_total->inuse += s.inuse;
	ret_total->memuse += s.memuse;
	ret_total->calls += s.calls;
	return (s.calls != 0);
}

void
kmalloc_vmstat(void (*put)(void *arg, const char *line), void *arg)
{
	struct kmalloc_stats total = { 0 };
	char line[128];
	unsigned id;

	(void)snprintf(line, sizeof(line), "%20s %10s %10s %10s %12s", "Type",
	    "InUse", "MemUse", "Limit", "Requests");
	put(arg, line);
	for (id = 1; id <= KM_READ(type_top); id++)
		if (vmstat_line(id, line, sizeof(line), &total))
			put(arg, line);
	(void)snprintf(line, sizeof(line), "%20s %10llu %9lluK %10s %12llu",
	    "Total", (unsigned long long)total.inuse,
	    (unsigned long long)(total.memuse + 1023) / 1024, "",
	    (unsigned long long)total.calls);
	put(arg, line);
}
