/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc's slabs: where chunks come from and where they go when the fast
 * paths of kmalloc.c have nothing. The theory is in kmalloc.c.
 */
#include "kmalloc_int.h"

#include <string.h>

#include "zone_int.h"

#define CARVE_BATCH 32u

struct ka_slab *km_slab_of[65536];
unsigned km_slabs_keep;

struct ka_slab kmalloc_no_slab = { .s_key = SLAB_KEY_SLOW,
	.s_full = SLAB_NOT_FULL,
	.s_class = KM_CLASSES_ALL };
#define no_slab kmalloc_no_slab

static char *slab_base; /* of the headers */
static size_t slab_bytes;
static size_t slab_top; /* slots that ever had a slab are below */

__attribute__((constructor)) static void
slab_init(void)
{
	unsigned i;

	for (i = 0; i < 65536; i++)
		km_slab_of[i] = &no_slab;
}

int
km__slab_reserve(size_t slots)
{
	bool fresh;

	slab_top = 0;
	slab_bytes = slots * KM_SLAB_STRIDE;
	slab_base =
	    ka_os_reserve(KA_OS_SLABS, slab_bytes, KA_PAGE_SIZE, &fresh);
	return (slab_base == NULL ? -1 : 0);
}

static struct ka_slab *
slab_of_slot(size_t slot)
{
	return ((struct ka_slab *)(void *)(slab_base + slot * KM_SLAB_STRIDE));
}

static void
slab_map(uintptr_t base, struct ka_slab *slab)
{
	ka_store(&km_slab_of[(uint32_t)base >> 16], slab, RELEASE);
}

/* Before a slab is mapped. */
static void
slab_reach(uintptr_t at)
{
	size_t slot = (at - (uintptr_t)vm__base()) / KA_SLAB_SIZE;
	size_t top = __atomic_load_n(&slab_top, __ATOMIC_RELAXED);

	/* seldom: two CPUs reach for a slot at one time. */
	while (slot >= top &&
	    !__atomic_compare_exchange_n(&slab_top, &top, slot + 1, false,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
}

/* At a forced halt: the next system finds every entry free. */
void
km__slab_halt(void)
{
	uintptr_t base = (uintptr_t)vm__base();
	size_t slot;
	uint32_t i;

	for (slot = 0; slot < slab_top; slot++) {
		uintptr_t at = base + slot * KA_SLAB_SIZE;
		struct ka_slab *slab = km_slab_at((void *)at);

		km__debug_slab_halt(slab_of_slot(slot));
		if (slab == &no_slab)
			continue;
		for (i = 0; i < slab->s_carved; i++)
			slab->s_entry[i] =
			    (struct slab_entry) { .e_owner = OWNER_FREE };
		slab->s_state = SLAB_NONE;
		slab->s_key = SLAB_KEY_SLOW;
		slab_map(at, &no_slab);
	}
	ka_os_release(KA_OS_SLABS, slab_base, slab_bytes);
	km__debug_halt();
}

unsigned
km__chunk_size(unsigned class)
{
	return (
	    km_class_size[class < KM_CLASSES_DEBUG ? class :
						     class - KM_CLASSES_DEBUG]);
}

/* Keys: with the owner's, its fast paths may use the slab. */
static void
slab_key(struct ka_slab *slab, bool fast)
{
	uint64_t low =
	    fast && slab->s_class < KM_CLASSES ? slab->s_cpu : SLAB_KEY_SLOW;

	ka_store(&slab->s_key, slab->s_base + low, RELAXED);
}

static void
slab_state(struct ka_slab *slab, enum slab_state state)
{
	if (slab->s_class < KM_CLASSES)
		slab->s_use = cpu_at(slab->s_cpu)->c_use +
		    slab->s_class * sizeof(int64_t);
	ka_store(&slab->s_state, (uint8_t)state, RELAXED);
	slab_key(slab, state == SLAB_CURRENT || state == SLAB_PARTIAL);
	slab->s_full = state == SLAB_PARTIAL ? slab->s_carved : SLAB_NOT_FULL;
}

/* Heads are peeked at without the lock. */
#define LIST_SET(head, slab) __atomic_store_n((head), (slab), __ATOMIC_RELAXED)

static void
list_insert(struct ka_slab **head, struct ka_slab *slab)
{
	slab->s_next = *head;
	slab->s_prev = head;
	if (slab->s_next != NULL)
		slab->s_next->s_prev = &slab->s_next;
	LIST_SET(head, slab);
}

static void
list_remove(struct ka_slab *slab)
{
	LIST_SET(slab->s_prev, slab->s_next);
	if (slab->s_next != NULL)
		slab->s_next->s_prev = slab->s_prev;
	slab->s_next = NULL;
	slab->s_prev = NULL;
}

/* Lays a slab out for a class; all its chunks are free and uncarved. */
static void
slab_layout(struct ka_slab *slab, unsigned class)
{
	unsigned size = km__chunk_size(class);

	slab->s_class = (uint16_t) class;
	slab->s_size = size;
	slab->s_recip = (uint32_t)(((UINT64_C(1) << 32) + size - 1) / size);
	slab->s_max = KA_SLAB_SIZE / size;
	slab->s_nfree = 0;
	slab->s_carved = 0;
}

static struct ka_slab *
slab_create(void *addr)
{
	size_t slot = (size_t)((char *)addr - vm__base()) / KA_SLAB_SIZE;
	struct ka_slab *slab = slab_of_slot(slot);

	KA_ASSERT(slab->s_state == SLAB_NONE);
	slab->s_base = (uintptr_t)addr;
	slab->s_handle = (uint32_t)slot * SLAB_CHUNKS_MAX;
	ka_init(&slab->s_key, slab->s_base + SLAB_KEY_SLOW);
	slab->s_size = 0;
	slab->s_carved = 0;
	return (slab);
}

static void
slab_destroy(struct ka_slab *slab, struct km_todo *todo)
{
	ka_store(&slab->s_state, (uint8_t)SLAB_NONE, RELAXED);
	slab_map(slab->s_base, &no_slab);
	slab->s_next = todo->dead;
	todo->dead = slab;
	todo->ndead++;
}

void
km__todo(struct km_todo *todo)
{
	struct ka_slab *slab;

	while ((slab = todo->dead) != NULL) {
		todo->dead = slab->s_next;
		vm__free((void *)slab->s_base, VM_SLAB_PAGES);
	}
	/* Who looked everywhere meanwhile and found nothing looks again. */
	if (todo->moved && ka_load(&cpu_shortage, SEQ_CST) != 0)
		vm__kick();
	if (KA_UNLIKELY(todo->bad != 0))
		ka_misuse(KA_WHY_DOUBLE_FREE, (void *)todo->bad,
		    "%p was freed on two CPUs", (void *)todo->bad);
}

static bool
slab_is_whole(const struct ka_slab *slab)
{
	return (slab->s_nfree == slab->s_carved);
}

/* Puts untouched chunks on the stack, so that the lowest comes off first. */
static bool
slab_carve(struct ka_slab *slab)
{
	uint32_t i, n = slab->s_max - slab->s_carved;
	uintptr_t *stack = &slab->s_stack[slab->s_nfree];
	struct slab_entry *e;
	uint32_t size = slab->s_size;
	uintptr_t addr;

	if (n == 0)
		return (false);
	if (n > CARVE_BATCH)
		n = CARVE_BATCH;
	e = &slab->s_entry[slab->s_carved + n];
	addr = slab->s_base + (slab->s_carved + n) * size;
	for (i = 0; i < n; i++) {
		e--;
		addr -= size;
		ka_init(&e->e_owner, OWNER_FREE);
		e->e_debug = 0;
		stack[i] = addr;
	}
	if (slab->s_class >= KM_CLASSES_DEBUG && slab->s_trail != NULL)
		km__debug_carve(slab, slab->s_carved, n);
	ka_store(&slab->s_carved, slab->s_carved + n, RELAXED);
	slab->s_nfree += n;
	return (true);
}

/* A wholly free slab leaves its class: kept, or given back (KM-14, VM-7). */
static void
slab_retire(struct ka_cpu *cpu, struct ka_slab *slab, struct km_todo *todo)
{
	if (cpu->c_free_count < km_slabs_keep &&
	    ka_load(&cpu_shortage, RELAXED) == 0 &&
	    slab->s_class < KM_CLASSES) {
		slab_state(slab, SLAB_FREE);
		list_insert(&cpu->c_free, slab);
		cpu->c_free_count++;
	} else {
		slab_destroy(slab, todo);
	}
}

/* A chunk goes on the stack; its entry is free already. */
void
km__push(struct ka_cpu *cpu, struct ka_slab *slab, uint32_t index,
    struct km_todo *todo)
{
	KA_ASSERT(slab->s_nfree < slab->s_carved);
	slab->s_stack[slab->s_nfree] = slab->s_base + index * slab->s_size;
	slab->s_nfree++;
	if (slab->s_state == SLAB_FULL) {
		slab_state(slab, SLAB_PARTIAL);
		list_insert(&cpu->c_partial[slab->s_class].first, slab);
	}
	if (!slab_is_whole(slab))
		return;
	if (slab->s_state == SLAB_PARTIAL) {
		list_remove(slab);
		slab_retire(cpu, slab, todo);
	} else if (slab->s_state == SLAB_CURRENT &&
	    ka_load(&cpu_shortage, RELAXED) != 0) {
		cpu__set_slab(cpu, slab->s_class, &no_slab);
		slab_destroy(slab, todo);
	}
}

void
km__unused(struct ka_cpu *cpu, unsigned class, struct km_todo *todo)
{
	struct ka_slab *slab = cpu->c_slab[class];

	if (slab == &no_slab || !slab_is_whole(slab) ||
	    ka_load(&cpu_shortage, RELAXED) == 0)
		return;
	cpu__set_slab(cpu, class, &no_slab);
	slab_destroy(slab, todo);
}

/*
 * Takes the whole remote list at once. A chunk whose slab has moved to another
 * CPU since is sent on. A chunk that was freed twice at one time may be on the
 * list and elsewhere, or twice on it, so that it is not marked when it is met
 * the second time: the rest of the list is lost with it. Nor does this go round
 * for ever if such chunks are sent on: the links that they get lead to what was
 * sent before them.
 */
void
km__drain(struct ka_cpu *cpu, struct km_todo *todo)
{
	uint32_t handle, next;

	if (ka_load(&cpu->c_remote, RELAXED) == CPU_REMOTE_NONE)
		return;
	handle = ka_xchg(&cpu->c_remote, CPU_REMOTE_NONE);
	while (handle != CPU_REMOTE_NONE) {
		struct ka_slab *slab = slab_of_slot(handle / SLAB_CHUNKS_MAX);
		uint32_t index = handle & (SLAB_CHUNKS_MAX - 1);
		struct slab_entry *e = &slab->s_entry[index];

		next = ka_load(&e->e_owner, ACQUIRE);
		if ((next & OWNER_REMOTE) == 0) {
			todo->bad = slab->s_base + index * slab->s_size;
			return;
		}
		next &= ~OWNER_REMOTE;
		if (ka_load(&slab->s_cpu, ACQUIRE) != cpu->c_index) {
			struct ka_cpu *to = cpu_at(slab->s_cpu);
			uint32_t head = ka_load(&to->c_remote, ACQUIRE);

			ka_store(&e->e_owner, OWNER_REMOTE | head, RELAXED);
			km_remote_push(to, slab, index, head);
			todo->moved = true;
		} else {
			ka_store(&e->e_owner, OWNER_FREE, RELAXED);
			km__push(cpu, slab, index, todo);
		}
		handle = next;
	}
}

static void
slab_make_current(struct ka_cpu *cpu, struct ka_slab *slab)
{
	struct ka_slab *old = cpu->c_slab[slab->s_class];

	if (old != &no_slab) {
		KA_ASSERT(old->s_nfree == 0);
		/* Chunks that were never carved must not be forgotten. */
		if (slab_carve(old)) {
			slab_state(old, SLAB_PARTIAL);
			list_insert(&cpu->c_partial[old->s_class].first, old);
		} else {
			slab_state(old, SLAB_FULL);
		}
	}
	slab_state(slab, SLAB_CURRENT);
	cpu__set_slab(cpu, slab->s_class, slab);
}

/*
 * Makes c_slab[class] have a free chunk, out of what the CPU has. Draining the
 * remote list takes its line away from those who free here: it comes after
 * partial slabs, and when it has brought little a batch is carved as well, so
 * that next time there is more of it.
 */
bool
km__fill(struct ka_cpu *cpu, unsigned class, struct km_todo *todo)
{
	struct ka_slab *slab = cpu->c_slab[class];

	if (slab->s_nfree != 0)
		return (true);
	slab = cpu->c_partial[class].first;
	if (slab == NULL) {
		km__drain(cpu, todo);
		slab = cpu->c_slab[class];
		if (slab->s_nfree < CARVE_BATCH && slab != &no_slab)
			(void)slab_carve(slab);
		if (slab->s_nfree != 0)
			return (true);
		slab = cpu->c_partial[class].first;
	}
	if (slab != NULL) {
		list_remove(slab);
		slab_make_current(cpu, slab);
		return (true);
	}
	slab = cpu->c_free;
	if (slab == NULL)
		return (false);
	list_remove(slab);
	cpu->c_free_count--;
	km__adopt(cpu, slab, class, todo);
	return (true);
}

/* A slab without chunks in use becomes the current one of a class; if others
 * on this CPU were faster and theirs has chunks, it is not needed. */
void
km__adopt(struct ka_cpu *cpu, struct ka_slab *slab, unsigned class,
    struct km_todo *todo)
{
	ka_store(&slab->s_cpu, cpu->c_index, RELEASE);
	if (slab->s_size == 0 || slab->s_class != class) {
		slab_layout(slab, class);
		(void)slab_carve(slab);
	}
	slab_reach(slab->s_base);
	slab_map(slab->s_base, slab);
	todo->moved = true;
	if (cpu->c_slab[class]->s_nfree != 0)
		slab_retire(cpu, slab, todo);
	else
		slab_make_current(cpu, slab);
}

/*
 * A fast free made a partial slab wholly free and has left the section since:
 * look again.
 */
void
km__whole(struct ka_slab *slab)
{
	struct ka_cpu *cpu = cpu__lock_self();
	struct km_todo todo = { 0 };

	if (ka_load(&slab->s_state, RELAXED) == SLAB_PARTIAL &&
	    ka_load(&slab->s_cpu, ACQUIRE) == cpu->c_index &&
	    slab_is_whole(slab)) {
		list_remove(slab);
		slab_retire(cpu, slab, &todo);
	}
	cpu__unlock_self(cpu);
	km__todo(&todo);
}

/* Gives every wholly free slab of a visited CPU back. */
static void
slab_reclaim_locked(struct ka_cpu *cpu, struct km_todo *todo)
{
	struct ka_slab *slab, *next;
	unsigned i;

	for (i = 0; i < KM_CLASSES_ALL; i++) {
		slab = cpu->c_slab[i];
		if (slab != &no_slab && slab_is_whole(slab)) {
			cpu__set_slab(cpu, i, &no_slab);
			slab_destroy(slab, todo);
		}
		for (slab = cpu->c_partial[i].first; slab != NULL;
		     slab = next) {
			next = slab->s_next;
			if (!slab_is_whole(slab))
				continue;
			list_remove(slab);
			slab_destroy(slab, todo);
		}
	}
	while ((slab = cpu->c_free) != NULL) {
		list_remove(slab);
		slab_destroy(slab, todo);
	}
	cpu->c_free_count = 0;
}

/* Returns how many slabs go, also those that the remote list made wholly
 * free. */
size_t
km__reclaim(struct ka_cpu *cpu, struct km_todo *todo)
{
	size_t before = todo->ndead;

	cpu__visit(cpu);
	km__drain(cpu, todo);
	slab_reclaim_locked(cpu, todo);
	cpu__leave(cpu);
	return (todo->ndead - before);
}

/*
 * Of all CPUs. A chunk whose slab has moved to another CPU while it was being
 * freed is sent on when the list is drained that it came to; that may be to a
 * CPU that was visited before, and be the last chunk of its slab. Then once
 * more: a slab moves when somebody looks for chunks, not of itself.
 */
static size_t
slab_reclaim_all(void)
{
	struct km_todo todo = { 0 };
	unsigned i, pass = 0;
	size_t n = 0;
	bool moved;

	/* seldom: at each of so many passes a slab moves. */
	do {
		moved = false;
		for (i = 0; i <= cpu_count; i++) {
			todo.moved = false;
			n += km__reclaim(cpu_at(i), &todo);
			moved |= todo.moved;
		}
		todo.moved = moved;
		km__todo(&todo);
		todo = (struct km_todo) { 0 };
	} while (moved && ++pass <= cpu_count);
	return (n);
}

size_t
kmalloc_trim(void)
{
	return (kalloc_is_up() ? slab_reclaim_all() : 0);
}

/* The owner is gone: nothing is current any more. */
void
kmalloc__flush(struct ka_cpu *cpu)
{
	struct km_todo todo = { 0 };
	struct ka_slab *slab;
	unsigned i;

	(void)km__reclaim(cpu, &todo);
	cpu__visit(cpu);
	for (i = 0; i < KM_CLASSES_ALL; i++) {
		slab = cpu->c_slab[i];
		if (slab == &no_slab)
			continue;
		cpu__set_slab(cpu, i, &no_slab);
		if (slab->s_nfree == 0 && !slab_carve(slab)) {
			slab_state(slab, SLAB_FULL);
			continue;
		}
		slab_state(slab, SLAB_PARTIAL);
		list_insert(&cpu->c_partial[i].first, slab);
	}
	cpu__leave(cpu);
	km__todo(&todo);
}

/* Takes a slab with a free chunk of the class away from a CPU. */
static struct ka_slab *
slab_detach(
    struct ka_cpu *cpu, unsigned class, unsigned to, struct km_todo *todo)
{
	struct ka_slab *slab;

	cpu__visit(cpu);
	km__drain(cpu, todo);
	slab = cpu->c_partial[class].first;
	if (slab != NULL) {
		list_remove(slab);
	} else {
		slab = cpu->c_slab[class];
		if (slab == &no_slab ||
		    (slab->s_nfree == 0 && !slab_carve(slab))) {
			cpu__leave(cpu);
			return (NULL);
		}
		cpu__set_slab(cpu, class, &no_slab);
	}
	slab_state(slab, SLAB_MOVING);
	/* Who frees a chunk of it from now on must see all of the above. */
	ka_store(&slab->s_cpu, (uint16_t)to, RELEASE);
	cpu__leave(cpu);
	return (slab);
}

/* ... and puts it on another's list. Frees go there from now on. */
static void
slab_attach(struct ka_slab *slab, struct km_todo *todo)
{
	struct ka_cpu *cpu = cpu_at(slab->s_cpu);

	todo->moved = true;
	cpu__visit(cpu);
	slab_state(slab, SLAB_PARTIAL);
	list_insert(&cpu->c_partial[slab->s_class].first, slab);
	if (slab_is_whole(slab)) {
		list_remove(slab);
		slab_retire(cpu, slab, todo);
	}
	cpu__leave(cpu);
}

/*
 * Looks for chunks of the class on other CPUs: on those without owner before
 * new pages are taken, on all before a caller sleeps. Then also on its own: a
 * chunk may have come there since the caller looked, and before anybody knew
 * that it would wait.
 */
static bool
slab_steal(unsigned class, bool all)
{
	struct km_todo todo = { 0 };
	unsigned i, self = ka_cpu_self()->c_index;
	struct ka_slab *slab = NULL;

	for (i = 0; i <= cpu_count && slab == NULL; i++) {
		struct ka_cpu *cpu = cpu_at(i);

		if (!all && i == self)
			continue;
		if (!all && (ka_load(&cpu->c_owned, RELAXED) || cpu->c_spare))
			continue;
		if (!all &&
		    ka_load(&cpu->c_remote, RELAXED) == CPU_REMOTE_NONE &&
		    ka_load(&cpu->c_partial[class].first, RELAXED) == NULL)
			continue;
		slab = slab_detach(cpu, class, self, &todo);
	}
	if (slab != NULL)
		slab_attach(slab, &todo);
	km__todo(&todo);
	return (slab != NULL);
}

bool
km__collect(size_t size, const struct malloc_type *type)
{
	return (size <= KA_KMALLOC_MAX &&
	    slab_steal(
		km__debug_class(km_class_of[size], type->ks_debug), true));
}

unsigned
km__depth(int flags)
{
	if ((flags & M_USE_INTERRUPT_RESERVE) != 0)
		return (VM_ALLOC_INTERRUPT);
	return (
	    (flags & M_USE_RESERVE) != 0 ? VM_ALLOC_SYSTEM : VM_ALLOC_NORMAL);
}

/*
 * Pages are short and the caller may wait: from here on every free looks for
 * waiters. What could be had is tried after the event count was read, so that
 * no free falls between trying and sleeping. With a class, chunks on any CPU
 * will do as well as pages: NULL and *ret_again.
 */
static void *
km_pages_wait(
    size_t npages, size_t align, int flags, unsigned class, bool *ret_again)
{
	unsigned depth = km__depth(flags);
	enum vm_observe verdict;
	uint64_t event;
	void *addr;

	cpu__shortage_begin();
	for (;;) {
		event = vm__event();
		(void)slab_reclaim_all();
		zone__reclaim_all();
		addr = vm__alloc(npages, align, depth, &verdict);
		if (addr != NULL)
			break;
		if (class < KM_CLASSES_ALL && slab_steal(class, true)) {
			*ret_again = true;
			break;
		}
		vm__wait(event, npages, align, depth, verdict);
		if (class < KM_CLASSES_ALL) {
			/* Chunks may have come to this CPU meanwhile. */
			*ret_again = true;
			break;
		}
	}
	cpu__shortage_end();
	return (addr);
}

/* For who waits for pages without kmalloc: what was taken back has moved the
 * count, and he tries again. */
void
km__wait(size_t npages, size_t align, unsigned depth)
{
	uint64_t event;

	cpu__shortage_begin();
	event = vm__event();
	(void)slab_reclaim_all();
	zone__reclaim_all();
	vm__wait(event, npages, align, depth, VM_OBSERVE_PASS);
	cpu__shortage_end();
}

/*
 * Pages for a large object, or for a slab. A caller that may not wait gives
 * back what its own CPU keeps, and tries once more (VM-7).
 */
static void *
km_pages(
    size_t npages, size_t align, int flags, unsigned class, bool *ret_again)
{
	unsigned depth = km__depth(flags);
	struct km_todo todo = { 0 };
	size_t reclaimed;
	void *addr;

	addr = vm__alloc(npages, align, depth, NULL);
	if (addr != NULL)
		return (addr);
	if ((flags & M_WAITOK) != 0)
		return (km_pages_wait(npages, align, flags, class, ret_again));
	reclaimed = km__reclaim(ka_cpu_self(), &todo);
	km__todo(&todo);
	if (reclaimed != 0)
		addr = vm__alloc(npages, align, depth, NULL);
	return (addr);
}

void *
km__pages(size_t npages, size_t align, int flags)
{
	bool again;

	return (km_pages(npages, align, flags, KM_CLASSES_ALL, &again));
}

struct ka_slab *
km__slab_get(unsigned class, int flags, bool *ret_again)
{
	void *addr;

	*ret_again = false;
	if (ka_load(&cpu_parked, RELAXED) != 0 && slab_steal(class, false)) {
		*ret_again = true;
		return (NULL);
	}
	addr = km_pages(VM_SLAB_PAGES, KA_SLAB_SIZE, flags, class, ret_again);
	if (addr == NULL)
		return (NULL);
	if (KA_UNLIKELY(!km__debug_pages(addr, VM_SLAB_PAGES)))
		km__debug_pages_panic(addr, VM_SLAB_PAGES);
	return (slab_create(addr));
}
