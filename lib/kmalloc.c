/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc: chunks of per-CPU slabs, and whole pages above 8 KiB.
 *
 * 1. Lineage. DragonFly's kern_slaballoc.c, after Bonwick's slab allocator.
 *    Areas of divergence, each with its reason:
 *    a. A slab's bookkeeping is outside of its pages, in an entry a chunk. An
 *       overrun cannot reach it, and a chunk's address tells its entry.
 *    b. The entry says which type owns the chunk: double free, wrong type and
 *       interior pointer are one comparison, always (KM-10, KM-16).
 *    c. Remote frees go to one list of the owning CPU, not of the slab, and
 *       need no signal: whoever next needs a chunk there finds them (KM-12).
 *       The lineage's z_RSignal protocol can strand a slab.
 *    d. One slab of a class is *current*; there is no per-class scan.
 *    e. The limit is tested when a *grant* of allocations is used up, not at
 *       every call (KM-6).
 *    f. A caller that may wait first takes back what any CPU keeps (VM-7), and
 *       chunks of its class from any CPU; then every free looks for waiters.
 *
 * 2. Nouns. A *class* is a chunk size. A *slab* is 64 KiB of pages cut into
 *    chunks of one class, owned by one CPU. Chunks are *carved* in batches, so
 *    that a new slab costs nothing. Free carved chunks are on the slab's
 *    *stack* of addresses. The *remote list* of a CPU links chunks that others
 *    freed, through their entries.
 *
 *      arena  | slab 0 | slab 1 | large run ... | free | slab 2 | ...
 *      header | entry 0 | entry 1 | ... | s_key s_nfree s_recip ... | stack |
 *      entry  | e_owner: cookie + offset, FREE or REMOTE + next | e_debug |
 *
 *    A type's *cookie* is its id << 16; cookie + offset is what e_owner of an
 *    allocated chunk holds. A *grant* is a number of allocations that a type
 *    may do in a class on a CPU before the limit is tested again.
 *
 * 3. States of a slab: kmalloc_int.h. 1 CURRENT -> 3 FULL when another becomes
 *    current (2 if not all of it was carved); 3 -> 2 PARTIAL at the first free; 2 -> 1 when the current one is
 *    used up; 2 -> 4 FREE or 0 NONE when wholly free; 1 -> 0 by reclaim;
 *    1, 2 -> 5 MOVING -> 2 when another CPU takes it over.
 *
 * 4. Paths. Allocation: in the CPU's section, pop the current slab's stack,
 *    use up one of the grant, own the entry. Failing that, under the CPU's
 *    lock: the remote list, carving, a partial slab, a kept one; then, with
 *    nothing locked, CPUs without owner, pages, and waiting (km_slab.c).
 *    Free: the slab from the address, its key against the CPU's, the entry's
 *    owner, push. Another CPU's chunk: claim the entry, link it to the
 *    owner's remote list by compare-and-swap.
 *    Large: vm_info of the first page has the owner; claimed by
 *    compare-and-swap on any CPU.
 *
 * 5. Concurrency. cpu.h: a CPU's slabs belong to its section (fast) or its
 *    lock (slow); never both at once, since slow paths enter the section and
 *    visitors close the CPU. e_owner of an allocated chunk is changed with
 *    a plain store, here and there: a compare-and-swap would be half of a
 *    remote free's time. When the same chunk is freed twice at one time, one
 *    store may bury the other; then the chunk is on a stack and on a remote
 *    list, or twice on one: km__drain() finds an entry that is not marked as
 *    remote. s_cpu changes while chunks are in use; a remote free that went to the former owner is
 *    sent on when it is drained. A claimed chunk keeps its slab from being
 *    wholly free, so that no push meets a dead slab (defect H1). A slab that
 *    is new or MOVING, and a chunk that is sent on, are on no list for a while:
 *    who makes them visible while pages are short moves the event count, for
 *    those who looked meanwhile (G-5).
 *
 * 6. Invariants, checked by kmalloc_audit():
 *    I-KM-1  a slab on a CPU's lists is that CPU's, in the state of the list
 *    I-KM-2  the stack holds distinct carved chunks whose entries are FREE
 *    I-KM-3  every carved chunk is on the stack, remote, or owned by a type
 *            at its own offset
 *    I-KM-4  the sum over types of objects is the number of owned entries
 *    I-KM-5  every mapped slab is reachable, or full, or moving
 *    I-KM-6  a CPU keeps at most slabs_keep wholly free slabs, and
 *            counts them
 *    I-KM-7  pages are short, and a type's limit is watched, only while
 *            somebody waits for pages
 *
 * 7. Failure. Pages (VM-6), limits. Nothing is changed before the last thing
 *    that can fail. Misuse is reported with nothing locked.
 *
 * 8. Observability: kmalloc_type_stats(), kmalloc_vmstat(), kmalloc_map(),
 *    kmalloc_trail().
 *
 * References: J. Bonwick, The Slab Allocator, USENIX Summer 1994; J. Bonwick
 * and J. Adams, Magazines and Vmem, USENIX 2001; memory(9), kmalloc(9) of
 * DragonFly BSD.
 */
#include "kmalloc_int.h"

#include <stdio.h>
#include <string.h>

unsigned km_debug;

#define KM_FAMILY (M_RNOWAIT | M_WAITOK)
#define KM_FAST_FLAGS                                                          \
	(KM_FAMILY | M_USE_RESERVE | M_NULLOK | M_USE_INTERRUPT_RESERVE)
/*
 * For flags - 1: bit 1 is set exactly if neither or both of the two families
 * are given; the bits above are as in flags unless neither is.
 */
#define KM_NOT_FAST (2u | ~(unsigned)KM_FAST_FLAGS)

static void km_free_other(void *, struct malloc_type *, struct ka_cpu *,
    struct ka_slab *) KA_NOINLINE;
static void km_free_slow(void *, struct malloc_type *) KA_NOINLINE;
static void *km_alloc_slow(size_t, struct malloc_type *, int) KA_NOINLINE;

/* The address's slab, and the CPU's key in place of its low 16 bits. */
KA_INLINE uint64_t
km_key(const void *p, const uint16_t *key)
{
	uint64_t k = (uintptr_t)p;

#if defined(__x86_64__) && !defined(KA_TSAN) && !defined(KA_PORT_SIM)
	__asm__("movw %1, %w0" : "+r"(k) : "m"(*key));
	return (k);
#else
	return ((k & ~(uint64_t)(KA_SLAB_SIZE - 1)) + ka_load(key, RELAXED));
#endif
}

/*
 * Uses one of a grant up; false if there is none left. Written out for x86-64
 * since compilers give the counter's address a register of its own.
 */
KA_INLINE bool
km_use_up(struct ka_slab *slab, uint32_t cookie)
{
	int64_t *left = (int64_t *)(void *)(slab->s_use + cookie);
	bool some;

#if defined(__x86_64__) && !defined(KA_TSAN) && !defined(KA_PORT_SIM)
	__asm__ volatile("subq $1, (%1,%2)"
			 : "=@ccns"(some)
			 : "r"(slab->s_use), "r"((uint64_t)cookie)
			 : "memory");
#else
	some = KM_ADD(*left, -1) >= 0;
#endif
	if (KA_LIKELY(some))
		return (true);
	KM_ADD(*left, 1);
	return (false);
}

/*
 * The value has a register of its own, as it is written: else gcc keeps s_nfree
 * beside s_nfree - 1, and both for longer than registers last.
 */
#define KM_AS_IS(x) __asm__("" : "+r"(x))

/* Pops a chunk of the current slab. False: take the slow path. */
KA_INLINE bool
km_alloc_fast(unsigned class, struct malloc_type *type, void **ret_p)
{
	struct ka_cpu *cpu = ka_section_enter();
	struct ka_slab *slab = KM_PEEK(cpu->c_fast[class]);
	uint64_t n = slab->s_nfree - 1, index, off, owner;
	uint32_t cookie;
	uintptr_t p;

	if (KA_UNLIKELY((int64_t)n < 0))
		goto slow;
	cookie = type->ks_cookie;
	ka_tell(cpu);
	if (KA_UNLIKELY(!km_use_up(slab, cookie)))
		goto slow;
	KM_AS_IS(n);
	slab->s_nfree = n;
	p = slab->s_stack[n];
	off = p & (KA_SLAB_SIZE - 1);
	index = off * slab->s_recip >> 32;
	owner = off + cookie;
	KM_AS_IS(owner);
	ka_store(&slab->s_entry[index].e_owner, (uint32_t)owner, RELAXED);
	*ret_p = (void *)p;
	ka_section_exit(cpu);
	return (true);
slow:
	ka_section_exit(cpu);
	return (false);
}

void *
ka_kmalloc_plain(size_t size, struct malloc_type *type, int flags)
{
	void *p;

	if (KA_LIKELY(size <= KA_KMALLOC_MAX) &&
	    KA_LIKELY(km_alloc_fast(km_class_of[size], type, &p)))
		return (p);
	return (km_alloc_slow(size, type, flags));
}

void *(kmalloc)(size_t size, struct malloc_type *type, int flags)
{
	void *p;

	if (KA_LIKELY(size <= KA_KMALLOC_MAX) &&
	    KA_LIKELY((((unsigned)flags - 1) & KM_NOT_FAST) == 0) &&
	    KA_LIKELY(km_alloc_fast(km_class_of[size], type, &p)))
		return (p);
	return (km_alloc_slow(size, type, flags));
}

void
kfree(void *p, struct malloc_type *type)
{
	struct ka_cpu *cpu = ka_section_enter();
	struct ka_slab *slab =
	    KM_PEEK(km_slab_of[(uint32_t)(uintptr_t)p >> 16]);
	uint64_t off = (uintptr_t)p & (KA_SLAB_SIZE - 1), index, n;
	uint32_t cookie;

	if (KA_UNLIKELY(KM_PEEK(slab->s_key) != km_key(p, &cpu->c_key))) {
		km_free_other(p, type, cpu, slab);
		return;
	}
	index = off * slab->s_recip >> 32;
	cookie = type->ks_cookie;
	if (KA_UNLIKELY(KM_PEEK(slab->s_entry[index].e_owner) !=
		(uint32_t)off + cookie)) {
		ka_section_exit(cpu);
		km_free_slow(p, type);
		return;
	}
	ka_store(&slab->s_entry[index].e_owner, OWNER_FREE, RELAXED);
	ka_tell(cpu);
	KM_ADD(*(uint64_t *)(void *)(slab->s_use + KM_USE_FREED + cookie), 1);
	n = slab->s_nfree;
	slab->s_stack[n] = (uintptr_t)p;
	slab->s_nfree = ++n;
	if (KA_UNLIKELY(n == slab->s_full)) {
		ka_section_exit(cpu);
		km__whole(slab);
		return;
	}
	ka_section_exit(cpu);
}

/* ---- Slow paths ------------------------------------------------------- */

/* A request, rounded. */
struct km_request {
	size_t size;	/* of the chunk, or of the pages */
	size_t align;	/* of the pages */
	unsigned class; /* or KM_CLASSES: whole pages */
	bool overflow;	/* cannot be had at all (KM-15) */
};

static size_t
round_power(size_t size)
{
	if (size <= 1)
		return (size);
	if (size > (SIZE_MAX >> 1) + 1)
		return (0);
	return ((size_t)1 << (64 - __builtin_clzll(size - 1)));
}

/* What a size becomes (KM-3, KM-4): power of two first, then cache line. */
static void
km_round(struct km_request *r, size_t size, int flags)
{
	size_t align = KA_PAGE_SIZE, pages;

	if ((flags & M_POWEROF2) != 0) {
		size = round_power(size);
		align = size < KA_SLAB_SIZE ? size : KA_SLAB_SIZE;
	}
	if ((flags & M_CACHEALIGN) != 0 && size != 0) {
		size_t up =
		    (size + KA_CACHE_LINE - 1) & ~(size_t)(KA_CACHE_LINE - 1);

		size = up < size ? 0 : up;
	}
	r->overflow = size == 0;
	r->class = KM_CLASSES;
	r->size = size;
	r->align = align < KA_PAGE_SIZE ? KA_PAGE_SIZE : align;
	if (size <= KA_KMALLOC_MAX) {
		r->class = km_class_of[size];
		/* Of chunks only a power of two is aligned to 8192. */
		if ((flags & M_POWEROF2) == 0 || size <= KA_PAGE_SIZE)
			return;
	}
	pages = size / KA_PAGE_SIZE + (size % KA_PAGE_SIZE != 0);
	if (pages > vm__bytes() / KA_PAGE_SIZE)
		r->overflow = true;
	else if (size > KA_KMALLOC_MAX)
		r->size = pages * KA_PAGE_SIZE;
}

static void
km_check_flags(int flags, int valid, const char *caller)
{
	int family = flags & KM_FAMILY;

	if ((flags & ~valid) != 0)
		ka_misuse(KA_WHY_BAD_FLAGS, NULL, "%s: flags %#x", caller,
		    (unsigned)flags);
	if (family == 0 || family == KM_FAMILY)
		ka_misuse(KA_WHY_BAD_FLAGS, NULL,
		    "%s: flags %#x, expected one of M_WAITOK and M_NOWAIT",
		    caller, (unsigned)flags);
}

void
km__count_call(struct malloc_type *type)
{
	struct ka_cpu *cpu = cpu__lock_self();

	ka_tell(cpu);
	KM_ADD(cpu_use(cpu, type->ks_cookie)->u_calls, 1);
	cpu__unlock_self(cpu);
}

void
km__panic(enum ka_why why, const void *p, const char *caller,
    const struct ka_trail *trail)
{
	struct ka_panic_info panic = { .why = why, .addr = p, .trail = trail };
	char message[160];

	(void)snprintf(message, sizeof(message), "%s: %p: %s", caller, p,
	    ka_why_text(why));
	panic.message = message;
	ka_panic(&panic);
}

/* Takes a free chunk of the current slab, which has one. */
static uint32_t
km_take(struct ka_slab *slab, struct malloc_type *type)
{
	uintptr_t p = slab->s_stack[--slab->s_nfree];
	uint32_t off = p & (KA_SLAB_SIZE - 1), index = km_index(slab, p);

	KA_ASSERT(index < slab->s_carved);
	KA_ASSERT(KM_READ(slab->s_entry[index].e_owner) == OWNER_FREE);
	ka_store(&slab->s_entry[index].e_owner, off + type->ks_cookie, RELAXED);
	return (index);
}

/* What an attempt under the lock came to. */
enum km_outcome {
	KM_GOT,
	KM_NO_CHUNK,
	KM_AT_LIMIT
};

static enum km_outcome
km_try(struct malloc_type *type, unsigned class, struct ka_slab *fresh,
    void **ret_p)
{
	unsigned chunk_class = km__debug_class(class, type->ks_debug);
	struct ka_cpu *cpu = cpu__lock_self();
	struct km_todo todo = { 0 };
	enum km_outcome outcome = KM_NO_CHUNK;
	enum ka_why why = KA_WHY_NONE;
	struct ka_trail trail;
	bool have_trail = false;

	if (fresh != NULL)
		km__adopt(cpu, fresh, chunk_class, &todo);
	if (!km__type_grant(cpu, type, class)) {
		outcome = KM_AT_LIMIT;
	} else if (km__fill(cpu, chunk_class, &todo)) {
		struct ka_slab *slab = cpu->c_slab[chunk_class];
		uint32_t index = km_take(slab, type);

		*ret_p = (void *)(slab->s_base + index * slab->s_size);
		if (KA_UNLIKELY(type->ks_debug != 0))
			why = km__debug_alloc(
			    slab, index, class, type->ks_debug, cpu->c_index);
		if (why == KA_WHY_NONE) {
			uint32_t cookie = type->ks_cookie;

			km__type_touch(cookie, class);
			ka_tell(cpu);
			KM_ADD(cpu_use(cpu, cookie)->u_left[class], -1);
		} else {
			have_trail = km__debug_trail(*ret_p, &trail);
			ka_store(
			    &slab->s_entry[index].e_owner, OWNER_FREE, RELAXED);
			km__push(cpu, slab, index, &todo);
		}
		outcome = KM_GOT;
	}
	if (outcome == KM_NO_CHUNK || why != KA_WHY_NONE)
		km__type_revoke(cpu, type, class);
	if (outcome != KM_GOT)
		km__unused(cpu, chunk_class, &todo);
	cpu__unlock_self(cpu);
	km__todo(&todo);
	if (why != KA_WHY_NONE)
		km__panic(why, *ret_p, "kmalloc", have_trail ? &trail : NULL);
	return (outcome);
}

/* At the limit (KM-6). */
void *
km__refuse(struct malloc_type *type, int flags)
{
	km__count_call(type);
	if ((flags & M_NULLOK) == 0)
		ka_misuse(KA_WHY_LIMIT, NULL,
		    "kmalloc: type \"%s\" is at its limit of %llu bytes",
		    type->ks_shortdesc,
		    (unsigned long long)KM_READ(type->ks_limit));
	return (NULL);
}

static void *
km_alloc_chunk(unsigned class, struct malloc_type *type, int flags)
{
	struct ka_slab *fresh = NULL;
	enum km_outcome outcome;
	void *p = NULL;
	bool again;

	for (;;) {
		outcome = km_try(type, class, fresh, &p);
		if (outcome == KM_GOT)
			return (p);
		if (outcome == KM_AT_LIMIT)
			return (km__refuse(type, flags));
		fresh = km__slab_get(
		    km__debug_class(class, type->ks_debug), flags, &again);
		if (fresh == NULL && !again) {
			km__count_call(type);
			return (NULL);
		}
	}
}

static void *
km_alloc_slow(size_t size, struct malloc_type *type, int flags)
{
	struct km_request r;
	void *p;

	km__type_check(type, "kmalloc");
	km_check_flags(flags, M_VALID, "kmalloc");
	if (size == 0) {
		km__count_call(type);
		return (ZERO_LENGTH_PTR);
	}
	km_round(&r, size, flags);
	if (r.overflow) {
		km__count_call(type);
		if ((flags & (M_NULLOK | M_RNOWAIT)) == 0)
			ka_misuse(KA_WHY_OVERFLOW, NULL,
			    "kmalloc: %zu bytes cannot be had", size);
		return (NULL);
	}
	if (r.class == KM_CLASSES || r.align > KA_PAGE_SIZE) {
		p = km__large_alloc(
		    r.size / KA_PAGE_SIZE, r.align, type, flags);
	} else {
		if (!km_alloc_fast(r.class, type, &p))
			p = km_alloc_chunk(r.class, type, flags);
	}
	if (p != NULL && (flags & M_ZERO) != 0)
		memset(p, 0,
		    r.size > KA_KMALLOC_MAX ? r.size : km_class_size[r.class]);
	return (p);
}

void *
kmalloc_cachealign(size_t size, struct malloc_type *type, int flags)
{
	return ((kmalloc)(size, type, flags | M_CACHEALIGN));
}

void *
kmalloc_powerof2(size_t size, struct malloc_type *type, int flags)
{
	return ((kmalloc)(size, type, flags | M_POWEROF2));
}

/* ---- Freeing ---------------------------------------------------------- */

void
km__misused(const void *p, const char *caller)
{
	struct ka_slab *slab = km_slab_at(p);
	struct vm_info *info = vm__info(p);
	uint32_t off = (uintptr_t)p & (KA_SLAB_SIZE - 1), owner;
	enum ka_why why = KA_WHY_FOREIGN;
	struct ka_trail trail;
	bool have_trail;

	if (info != NULL && slab->s_base == (uintptr_t)p - off) {
		uint32_t index = km_index(slab, (uintptr_t)p);

		owner = ka_load(&slab->s_entry[index].e_owner, RELAXED);
		if (index * slab->s_size != off)
			why = KA_WHY_INTERIOR;
		else if (index >= ka_load(&slab->s_carved, RELAXED))
			why = KA_WHY_FOREIGN;
		else if (owner == OWNER_FREE || (owner & OWNER_REMOTE) != 0)
			why = KA_WHY_DOUBLE_FREE;
		else
			why = KA_WHY_WRONG_TYPE;
	} else if (info != NULL) {
		owner = ka_load(&info->owner, RELAXED);
		if (owner == VM_OWNER_NONE || owner == VM_OWNER_RUN ||
		    owner == VM_OWNER_ZONE || owner == VM_OWNER_GUARD)
			why = KA_WHY_FOREIGN;
		else if (owner == VM_OWNER_TAIL ||
		    (uintptr_t)p % KA_PAGE_SIZE != 0)
			why = KA_WHY_INTERIOR;
		else
			why = KA_WHY_WRONG_TYPE;
	}
	have_trail = km__debug_trail(p, &trail);
	km__panic(why, p, caller, have_trail ? &trail : NULL);
}

/* The class that a chunk is charged as. Only its holder may ask. */
static unsigned
km_charged_class(const struct ka_slab *slab, uint32_t index)
{
	if (slab->s_class < KM_CLASSES)
		return (slab->s_class);
	return ((slab->s_entry[index].e_debug & ~ENTRY_POISONED) - 1u);
}

/* Charged to the CPU that frees, at once (KM-13). */
static void
km_count_free(struct ka_cpu *cpu, struct malloc_type *type, unsigned class)
{
	uint32_t cookie = type->ks_cookie;

	km__type_touch(cookie, class);
	ka_tell(cpu);
	KM_ADD(cpu_use(cpu, cookie)->u_freed[class], 1);
}

/* The chunk is of the locked CPU. False: it is not what it should be. */
static bool
km_free_local(struct ka_cpu *cpu, struct ka_slab *slab, const void *p,
    struct malloc_type *type, enum ka_why *ret_why, struct km_todo *todo)
{
	uint32_t off = (uintptr_t)p & (KA_SLAB_SIZE - 1);
	uint32_t index = km_index(slab, (uintptr_t)p);
	struct slab_entry *e = &slab->s_entry[index];

	if (ka_load(&e->e_owner, RELAXED) != off + type->ks_cookie)
		return (false);
	if (slab->s_class >= KM_CLASSES_DEBUG)
		*ret_why =
		    km__debug_free(slab, index, type->ks_debug, cpu->c_index);
	if (*ret_why != KA_WHY_NONE)
		return (true);
	km_count_free(cpu, type, km_charged_class(slab, index));
	ka_store(&e->e_owner, OWNER_FREE, RELAXED);
	km__push(cpu, slab, index, todo);
	return (true);
}

/* The chunk is of another CPU: lock-free, unless the caller has no CPU. */
static bool
km_free_remote(struct ka_slab *slab, const void *p, struct malloc_type *type,
    enum ka_why *ret_why)
{
	bool spare = ka_cpu_self()->c_spare, done = false;
	struct ka_cpu *cpu = spare ? cpu__lock_self() : ka_section_enter();
	uint32_t off = (uintptr_t)p & (KA_SLAB_SIZE - 1);
	uint32_t index = km_index(slab, (uintptr_t)p);
	uint32_t owner = off + type->ks_cookie;
	unsigned class = slab->s_class;

	if (class < KM_CLASSES) {
		done = km_remote_free(
		    cpu_at(ka_load(&slab->s_cpu, ACQUIRE)), slab, index, owner);
	} else if (ka_load(&slab->s_entry[index].e_owner, RELAXED) == owner) {
		class = km_charged_class(slab, index);
		*ret_why =
		    km__debug_free(slab, index, type->ks_debug, cpu->c_index);
		if (*ret_why == KA_WHY_NONE)
			done = km_remote_free_debug(slab, index, owner);
	}
	if (done)
		km_count_free(cpu, type, class);
	else
		done = *ret_why != KA_WHY_NONE;
	if (spare)
		cpu__unlock_self(cpu);
	else
		ka_section_exit(cpu);
	return (done);
}

static bool
km_free_chunk(struct ka_slab *slab, void *p, struct malloc_type *type)
{
	enum ka_why why = KA_WHY_NONE;
	struct km_todo todo = { 0 };
	struct ka_trail trail;
	bool done;

	cpu__attach();
	if (ka_load(&slab->s_cpu, ACQUIRE) == ka_cpu_self()->c_index) {
		struct ka_cpu *cpu = cpu__lock_self();
		bool ours = ka_load(&slab->s_cpu, ACQUIRE) == cpu->c_index;

		done = ours && km_free_local(cpu, slab, p, type, &why, &todo);
		cpu__unlock_self(cpu);
		km__todo(&todo);
		if (!ours) /* it moved, or we did */
			done = km_free_remote(slab, p, type, &why);
	} else {
		done = km_free_remote(slab, p, type, &why);
	}
	if (why != KA_WHY_NONE) /* it is still the caller's */
		km__panic(why, p, "kfree",
		    km__debug_trail(p, &trail) ? &trail : NULL);
	return (done);
}

static void
km_free_slow(void *p, struct malloc_type *type)
{
	struct ka_slab *slab = km_slab_at(p);
	struct vm_info *info = vm__info(p);

	km__type_check(type, "kfree");
	if (p == NULL)
		ka_misuse(KA_WHY_NULL_FREE, NULL, "kfree: NULL");
	if (p == ZERO_LENGTH_PTR)
		return;
	if (info == NULL)
		km__misused(p, "kfree");
	if (slab->s_base == ((uintptr_t)p & ~(uintptr_t)(KA_SLAB_SIZE - 1))) {
		if (!km_free_chunk(slab, p, type))
			km__misused(p, "kfree");
		if (ka_load(&cpu_shortage, SEQ_CST) != 0)
			vm__kick();
		return;
	}
	if ((uintptr_t)p % KA_PAGE_SIZE != 0 ||
	    ka_load(&info->owner, ACQUIRE) != type->ks_cookie)
		km__misused(p, "kfree");
	km__large_free(p, type, info);
}

/*
 * Not for the caller's fast path, whose section this leaves. The usual remote
 * free is here: a chunk without debug options, by a caller that has a CPU.
 */
static void
km_free_other(
    void *p, struct malloc_type *type, struct ka_cpu *cpu, struct ka_slab *slab)
{
	uint32_t off = (uintptr_t)p & (KA_SLAB_SIZE - 1);
	unsigned class, at;

	/* These two have a place in the table, too, where there may be a slab
	 * that another is just making. */
	if (KA_UNLIKELY(p == NULL || p == ZERO_LENGTH_PTR)) {
		ka_section_exit(cpu);
		km_free_slow(p, type);
		return;
	}
	class = slab->s_class;
	at = ka_load(&slab->s_cpu, ACQUIRE);
	if (KA_LIKELY(cpu->c_slot != CPU_SLOT_NONE) &&
	    KA_LIKELY(slab->s_base == (uintptr_t)p - off) &&
	    KA_LIKELY(class < KM_CLASSES) && KA_LIKELY(type != NULL) &&
	    KA_LIKELY(at != cpu->c_index) &&
	    KA_LIKELY(km_remote_free(cpu_at(at), slab,
		km_index(slab, (uintptr_t)p), off + type->ks_cookie))) {
		km_count_free(cpu, type, class);
		ka_section_exit(cpu);
		if (KA_UNLIKELY(ka_load(&cpu_shortage, SEQ_CST) != 0))
			vm__kick();
		return;
	}
	ka_section_exit(cpu);
	km_free_slow(p, type);
}

/* ---- The rest of the interface ---------------------------------------- */

/* Usable bytes of a live object; misuse if it is none. */
static size_t
km_usable(const void *p, const char *caller, uint32_t *ret_cookie)
{
	struct ka_slab *slab = km_slab_at(p);
	struct vm_info *info = vm__info(p);
	uint32_t off = (uintptr_t)p & (KA_SLAB_SIZE - 1), owner;

	if (info == NULL)
		km__misused(p, caller);
	if (slab->s_base == (uintptr_t)p - off) {
		uint32_t index = km_index(slab, (uintptr_t)p);

		owner = ka_load(&slab->s_entry[index].e_owner, RELAXED);
		if (index * slab->s_size != off ||
		    index >= ka_load(&slab->s_carved, RELAXED) ||
		    owner == OWNER_FREE || (owner & OWNER_REMOTE) != 0)
			km__misused(p, caller);
		*ret_cookie = owner - off;
		return (slab->s_class < KM_CLASSES ?
			slab->s_size :
			km__debug_usable(slab, index));
	}
	owner = ka_load(&info->owner, ACQUIRE);
	if ((uintptr_t)p % KA_PAGE_SIZE != 0 || owner == VM_OWNER_NONE ||
	    (owner & VM_OWNER_RUN) != 0)
		km__misused(p, caller);
	*ret_cookie = owner;
	return ((size_t)info->npages * KA_PAGE_SIZE);
}

size_t
kmalloc_usable_size(const void *p)
{
	uint32_t cookie;

	if (p == NULL || p == ZERO_LENGTH_PTR)
		return (0);
	return (km_usable(p, "kmalloc_usable_size", &cookie));
}

/* May the object stay where it is? (KM-11) */
static bool
km_may_stay(const void *p, size_t usable, const struct km_request *r, int flags)
{
	size_t align = (flags & M_CACHEALIGN) != 0 ? KA_CACHE_LINE : 1;

	if (r->overflow)
		return (false);
	if ((flags & M_POWEROF2) != 0 && r->size > align)
		align = r->size < KA_SLAB_SIZE ? r->size : KA_SLAB_SIZE;
	if ((uintptr_t)p % align != 0)
		return (false);
	return (usable ==
	    (r->class == KM_CLASSES ? r->size : km_class_size[r->class]));
}

void *
krealloc(void *p, size_t size, struct malloc_type *type, int flags)
{
	struct km_request r;
	size_t usable, grown;
	uint32_t cookie;
	void *q;

	km__type_check(type, "krealloc");
	km_check_flags(flags, M_VALID & ~M_ZERO, "krealloc");
	if (p == NULL || p == ZERO_LENGTH_PTR)
		return ((kmalloc)(size, type, flags));
	usable = km_usable(p, "krealloc", &cookie);
	if (cookie != type->ks_cookie)
		km__misused(p, "krealloc");
	if (size == 0) {
		kfree(p, type);
		return (NULL);
	}
	km_round(&r, size, flags);
	if (km_may_stay(p, usable, &r, flags))
		return (p);
	q = (kmalloc)(size, type, flags);
	if (q == NULL)
		return (NULL);
	/* All of the old object may have been used, not only what it asked. */
	grown = km_usable(q, "krealloc", &cookie);
	memcpy(q, p, usable < grown ? usable : grown);
	kfree(p, type);
	return (q);
}

static char *
km_strdup(
    const char *str, size_t len, struct malloc_type *type, const char *caller)
{
	char *p;

	km__type_check(type, caller);
	p = kmalloc(len + 1, type, M_WAITOK);
	memcpy(p, str, len);
	p[len] = '\0';
	return (p);
}

char *
kstrdup(const char *str, struct malloc_type *type)
{
	return (
	    str == NULL ? NULL : km_strdup(str, strlen(str), type, "kstrdup"));
}

char *
kstrndup(const char *str, size_t maxlen, struct malloc_type *type)
{
	return (str == NULL ?
		NULL :
		km_strdup(str, strnlen(str, maxlen), type, "kstrndup"));
}
