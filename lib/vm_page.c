/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_page: runs of pages out of a budget.
 *
 * 1. Lineage. vm_page_alloc(9) of DragonFly gives single pages of physical
 *    memory and takes three depths; kernel address space comes from elsewhere.
 *    Here one call gives contiguous runs. Areas of divergence: runs instead of
 *    pages; ZERO is honoured, not a preference (VM-4); one observable point
 *    (VM-6).
 *
 * 2. Nouns. The *budget* is a contiguous *arena* of pages, aligned to a slab.
 *    A *run* is npages contiguous pages. A *slot* is a slab's worth of pages,
 *    aligned to a slab; slabs take whole slots, so a bitmap of wholly free
 *    slots finds one at once. A page is *dirty* if it may not be zero.
 *
 * 3. States of a page: 0 free, 1 held by vm_page_alloc(), 2 held by an
 *    allocator. vm_used tells 0 from the rest, vm_info 1 from 2.
 *
 * 4. Paths. Allocation: depth, then first fit, from the lowest page that may
 *    be free. Free: bits, count, event.
 *
 * 5. Concurrency. vm_lock protects everything but vm_info, whose entries
 *    belong to the holder of the run. It is the last lock in the order.
 *
 * 6. Invariants, checked by vm_page_audit():
 *    I-VM-1  vm_free is the number of zero bits in vm_used
 *    I-VM-2  a bit of vm_slot is set exactly if its slot's pages are free
 *    I-VM-3  no page below vm_low is free
 *    I-VM-4  the pages of runs held by vm_page_alloc() are used
 *    I-VM-5  no page from vm_top on is used
 *
 * 7. Failure: allocation only. Waiting is vm__wait(): an event count that
 *    every free moves while anybody waits (VM-5), so that no wake-up is lost
 *    between trying and sleeping.
 *
 * 8. Observability: the observer, vm_page_stats().
 */
#include "vm_page_int.h"

#include <errno.h>
#include <string.h>

#define WORD_PAGES 64u
#define SLOT_BITS  ((UINT64_C(1) << VM_SLAB_PAGES) - 1)

KA_STATIC_ASSERT(WORD_PAGES % VM_SLAB_PAGES == 0, "slots do not cross words");
KA_STATIC_ASSERT(sizeof(struct vm_info) == 8, "is looked at as one word");

static char *vm_base;
static struct vm_info *vm_info;
static uint64_t *vm_used, *vm_slot, *vm_dirty;
static uint8_t *vm_poison; /* one a page; NULL until any is poisoned */
static size_t vm_pages, vm_free, vm_low, vm_reserve[8];
static size_t vm_top; /* no page from here on was ever given out */
static size_t vm_arena_bytes, vm_pages_bytes, vm_dirty_bytes, vm_bitmap_bytes;
static struct vm_page_stats vm_counts;
static struct vm_observer vm_observer;
static struct ka_mutex vm_lock;
static struct ka_chan vm_chan;
static uint64_t vm_events;
static uint32_t vm_waiters;

static size_t
words(size_t bits)
{
	return ((bits + WORD_PAGES - 1) / WORD_PAGES);
}

static int
vm_reserve_all(size_t pages)
{
	bool fresh_arena, fresh_pages, fresh_dirty, fresh_bitmaps;
	size_t slots = (pages + VM_SLAB_PAGES - 1) / VM_SLAB_PAGES;

	vm_arena_bytes = slots * KA_SLAB_SIZE;
	vm_pages_bytes = pages * sizeof(struct vm_info);
	vm_bitmap_bytes = (words(pages) + words(slots)) * 8;
	vm_dirty_bytes = words(pages) * 8;
	vm_base = ka_os_reserve(
	    KA_OS_ARENA, vm_arena_bytes, KA_SLAB_SIZE, &fresh_arena);
	vm_info = ka_os_reserve(
	    KA_OS_PAGES, vm_pages_bytes, KA_PAGE_SIZE, &fresh_pages);
	vm_dirty = ka_os_reserve(
	    KA_OS_DIRTY, vm_dirty_bytes, KA_PAGE_SIZE, &fresh_dirty);
	vm_used = ka_os_reserve(
	    KA_OS_BITMAPS, vm_bitmap_bytes, KA_PAGE_SIZE, &fresh_bitmaps);
	if (vm_base == NULL || vm_info == NULL || vm_dirty == NULL ||
	    vm_used == NULL)
		return (ENOMEM);
	vm_slot = vm_used + words(pages);
	if (!fresh_bitmaps)
		memset(vm_used, 0, vm_bitmap_bytes);
	/* unreached: where both are kept, the arena grows with it. */
	if (!fresh_arena && fresh_dirty)
		memset(vm_dirty, 0xff, vm_dirty_bytes);
	return (0);
}

int
vm__boot(size_t pages, size_t reserve_system, size_t reserve_interrupt)
{
	size_t slots = pages / VM_SLAB_PAGES;

	if (vm_reserve_all(pages) != 0) {
		vm__halt();
		return (ENOMEM);
	}
	vm_pages = vm_free = pages;
	vm_low = vm_top = 0;
	vm_reserve[VM_ALLOC_NORMAL] = reserve_system;
	vm_reserve[VM_ALLOC_SYSTEM] = reserve_interrupt;
	vm_reserve[VM_ALLOC_INTERRUPT] = 0;
	memset(&vm_counts, 0, sizeof(vm_counts));
	memset(vm_slot, 0xff, slots / WORD_PAGES * 8);
	if (slots % WORD_PAGES != 0)
		vm_slot[slots / WORD_PAGES] =
		    (UINT64_C(1) << slots % WORD_PAGES) - 1;
	/* What is beyond the budget is used for ever. */
	if (pages % WORD_PAGES != 0)
		vm_used[pages / WORD_PAGES] = ~UINT64_C(0)
		    << pages % WORD_PAGES;
	ka_mutex_init(&vm_lock, "vm");
	ka_chan_init(&vm_chan, "pages");
	vm_events = 0;
	vm_waiters = 0;
	return (0);
}

/* First page at or after `at` whose bit in vm_used is `used`, or vm_pages. */
static size_t
vm_scan(size_t at, bool used)
{
	size_t w = at / WORD_PAGES;
	uint64_t bits;

	if (at >= vm_pages)
		return (vm_pages);
	bits =
	    (used ? vm_used[w] : ~vm_used[w]) & ~UINT64_C(0) << at % WORD_PAGES;
	while (bits == 0) {
		if (++w >= words(vm_pages))
			return (vm_pages);
		bits = used ? vm_used[w] : ~vm_used[w];
	}
	at = w * WORD_PAGES + (unsigned)__builtin_ctzll(bits);
	return (at < vm_pages ? at : vm_pages);
}

/* vm_info is zero where nothing is held, also for the next system. */
static void
vm_clear_info(void)
{
	size_t at = 0, end;

	for (;;) {
		at = vm_scan(at, true);
		if (at >= vm_pages)
			return;
		end = vm_scan(at, false);
		memset(&vm_info[at], 0, (end - at) * sizeof(*vm_info));
		at = end;
	}
}

void
vm__halt(void)
{
	if (vm_pages != 0)
		vm_clear_info();
	if (vm_used != NULL)
		ka_os_release(KA_OS_BITMAPS, vm_used, vm_bitmap_bytes);
	vm_used = NULL;
	if (vm_base != NULL)
		ka_os_release(KA_OS_ARENA, vm_base, vm_arena_bytes);
	if (vm_info != NULL)
		ka_os_release(KA_OS_PAGES, vm_info, vm_pages_bytes);
	if (vm_dirty != NULL)
		ka_os_release(KA_OS_DIRTY, vm_dirty, vm_dirty_bytes);
	if (vm_poison != NULL)
		ka_os_unmap(vm_poison, vm_pages);
	vm_base = NULL;
	vm_info = NULL;
	vm_dirty = NULL;
	vm_poison = NULL;
	vm_pages = vm_free = 0;
	memset(&vm_observer, 0, sizeof(vm_observer));
	ka_mutex_fini(&vm_lock);
	ka_chan_fini(&vm_chan);
}

uint64_t
vm__bytes(void)
{
	return ((uint64_t)vm_pages * KA_PAGE_SIZE);
}

char *
vm__base(void)
{
	return (vm_base);
}

struct vm_info *
vm__info(const void *addr)
{
	uintptr_t off = (uintptr_t)addr - (uintptr_t)vm_base;

	if (off / KA_PAGE_SIZE >= vm_pages)
		return (NULL);
	return (&vm_info[off / KA_PAGE_SIZE]);
}

static size_t
vm_find_slot(void)
{
	size_t w, n = words(vm_pages / VM_SLAB_PAGES);

	for (w = vm_low / VM_SLAB_PAGES / WORD_PAGES; w < n; w++)
		if (vm_slot[w] != 0)
			return ((w * WORD_PAGES +
				    (unsigned)__builtin_ctzll(vm_slot[w])) *
			    VM_SLAB_PAGES);
	return (vm_pages);
}

/* First page of a free run, or vm_pages. align in pages. */
static size_t
vm_find(size_t npages, size_t align)
{
	size_t at, end;

	vm_low = vm_scan(vm_low, false);
	if (npages == VM_SLAB_PAGES && align == VM_SLAB_PAGES)
		return (vm_find_slot());
	at = vm_low;
	for (;;) {
		at = vm_scan(at, false);
		at = (at + align - 1) / align * align;
		if (at >= vm_pages || npages > vm_pages - at)
			return (vm_pages);
		end = vm_scan(at, true);
		if (end - at >= npages)
			return (at);
		at = end;
	}
}

/* Sets or clears a run's bits, and keeps vm_slot in step. */
static void
vm_mark(size_t at, size_t npages, bool used)
{
	size_t slot, last = (at + npages - 1) / VM_SLAB_PAGES;
	size_t i = at, end = at + npages;

	while (i < end) {
		size_t n = WORD_PAGES - i % WORD_PAGES;
		uint64_t mask;

		if (n > end - i)
			n = end - i;
		mask = (n == WORD_PAGES ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1)
		    << i % WORD_PAGES;
		KA_ASSERT(
		    (vm_used[i / WORD_PAGES] & mask) == (used ? 0 : mask));
		vm_used[i / WORD_PAGES] ^= mask;
		if (used)
			vm_dirty[i / WORD_PAGES] |= mask;
		i += n;
	}
	for (slot = at / VM_SLAB_PAGES; slot <= last; slot++) {
		size_t page = slot * VM_SLAB_PAGES;
		bool free = ((vm_used[page / WORD_PAGES] >> page % WORD_PAGES) &
				SLOT_BITS) == 0;
		uint64_t bit = UINT64_C(1) << slot % WORD_PAGES;

		if (free)
			vm_slot[slot / WORD_PAGES] |= bit;
		else
			vm_slot[slot / WORD_PAGES] &= ~bit;
	}
}

static bool
vm_is_dirty(size_t at, size_t npages)
{
	size_t i;

	for (i = at; i < at + npages; i++)
		if ((vm_dirty[i / WORD_PAGES] >> i % WORD_PAGES & 1) != 0)
			return (true);
	return (false);
}

/* May so many pages be taken at this depth? (VM-3) */
static bool
vm_depth_allows(size_t npages, unsigned flags)
{
	size_t reserve = vm_reserve[flags & VM_DEPTHS];

	return (npages <= vm_free && vm_free - npages >= reserve);
}

void *
vm__alloc(
    size_t npages, size_t align, unsigned flags, enum vm_observe *ret_verdict)
{
	enum vm_observe verdict = VM_OBSERVE_PASS;
	size_t at,
	    align_pages = align <= KA_PAGE_SIZE ? 1 : align / KA_PAGE_SIZE;
	bool dirty = false;
	char *addr = NULL;

	KA_ASSERT(npages > 0);
	ka_mutex_lock(&vm_lock);
	if (vm_observer.ask != NULL)
		verdict =
		    vm_observer.ask(vm_observer.arg, npages, align, flags);
	if (verdict == VM_OBSERVE_PASS && vm_depth_allows(npages, flags)) {
		at = vm_find(npages, align_pages);
		if (at < vm_pages) {
			addr = vm_base + at * KA_PAGE_SIZE;
			dirty = (flags & VM_ALLOC_ZERO) != 0 &&
			    vm_is_dirty(at, npages);
			vm_mark(at, npages, true);
			if (vm_top < at + npages)
				vm_top = at + npages;
			vm_free -= npages;
			vm_counts.allocs++;
		}
	}
	if (addr == NULL)
		vm_counts.failures++;
	if (vm_observer.alloc != NULL)
		vm_observer.alloc(
		    vm_observer.arg, addr, npages, align, flags, verdict);
	ka_mutex_unlock(&vm_lock);
	if (dirty)
		memset(addr, 0, npages * KA_PAGE_SIZE);
	if (ret_verdict != NULL)
		*ret_verdict = verdict;
	return (addr);
}

static void
vm_event(void)
{
	vm_events++;
	if (vm_waiters != 0)
		ka_chan_wake_all(&vm_chan);
}

static void
vm_free_run(void *addr, size_t npages, bool poisoned)
{
	size_t at = (size_t)((char *)addr - vm_base) / KA_PAGE_SIZE;
	uint8_t *poison;

	KA_ASSERT(at + npages <= vm_pages);
	ka_mutex_lock(&vm_lock);
	poison = __atomic_load_n(&vm_poison, __ATOMIC_ACQUIRE);
	if (KA_UNLIKELY(poison != NULL)) {
		memset(poison + at, poisoned ? 2 : 0, npages);
		if (poisoned)
			poison[at] = 1;
	}
	if (vm_observer.free != NULL)
		vm_observer.free(vm_observer.arg, addr, npages);
	vm_mark(at, npages, false);
	vm_free += npages;
	vm_counts.frees++;
	if (at < vm_low)
		vm_low = at;
	vm_event();
	ka_mutex_unlock(&vm_lock);
}

void
vm__free(void *addr, size_t npages)
{
	vm_free_run(addr, npages, false);
}

/* Without memory for the marks nobody can tell, and nothing is found. */
void
vm__free_poisoned(void *addr, size_t npages)
{
	uint8_t *none = NULL, *map;

	if (__atomic_load_n(&vm_poison, __ATOMIC_ACQUIRE) == NULL) {
		map = ka_os_map(vm_pages);
		if (map != NULL &&
		    !__atomic_compare_exchange_n(&vm_poison, &none, map, false,
			__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			ka_os_unmap(map, vm_pages);
	}
	vm_free_run(addr, npages, true);
}

unsigned
vm__poison(const void *addr)
{
	size_t at = (size_t)((const char *)addr - vm_base) / KA_PAGE_SIZE;
	const uint8_t *poison = __atomic_load_n(&vm_poison, __ATOMIC_ACQUIRE);

	KA_ASSERT(at < vm_pages);
	return (poison == NULL ? 0 : poison[at]);
}

uint64_t
vm__event(void)
{
	uint64_t event;

	ka_mutex_lock(&vm_lock);
	event = vm_events;
	ka_mutex_unlock(&vm_lock);
	return (event);
}

uint32_t
vm__waiters(void)
{
	uint32_t n;

	ka_mutex_lock(&vm_lock);
	n = vm_waiters;
	ka_mutex_unlock(&vm_lock);
	return (n);
}

void
vm__kick(void)
{
	ka_mutex_lock(&vm_lock);
	vm_event();
	ka_mutex_unlock(&vm_lock);
}

/* Could such a run be had now? */
static bool
vm_could_locked(size_t npages, size_t align, unsigned flags)
{
	size_t align_pages = align <= KA_PAGE_SIZE ? 1 : align / KA_PAGE_SIZE;

	return (vm_depth_allows(npages, flags) &&
	    vm_find(npages, align_pages) < vm_pages);
}

/*
 * Sleeps until the event count moves, unless it has moved, or what was asked
 * for could be had after all: an injected failure that will not last must not
 * become a sleep that does.
 */
void
vm__wait(uint64_t event, size_t npages, size_t align, unsigned flags,
    enum vm_observe verdict)
{
	ka_mutex_lock(&vm_lock);
	if (verdict != VM_OBSERVE_FAIL_HARD &&
	    vm_could_locked(npages, align, flags))
		event = vm_events - 1;
	if (vm_events == event)
		vm_counts.waits++;
	vm_waiters++;
	while (vm_events == event)
		ka_chan_sleep(&vm_chan, &vm_lock);
	vm_waiters--;
	ka_mutex_unlock(&vm_lock);
}

static bool
vm_could(size_t npages, size_t align, unsigned flags)
{
	bool could;

	ka_mutex_lock(&vm_lock);
	could = vm_could_locked(npages, align, flags);
	ka_mutex_unlock(&vm_lock);
	return (could);
}

static void
vm_check_args(const char *caller, size_t npages, size_t align, unsigned flags)
{
	unsigned depth = flags & VM_DEPTHS;

	if (npages == 0)
		ka_misuse(KA_WHY_BAD_ARG, NULL, "%s: no pages", caller);
	if ((flags & ~(unsigned)(VM_DEPTHS | VM_ALLOC_ZERO)) != 0 ||
	    depth == 0 || (depth & (depth - 1)) != 0)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "%s: flags %#x, expected one depth", caller, flags);
	if ((align & (align - 1)) != 0 || align > KA_SLAB_SIZE)
		ka_misuse(KA_WHY_BAD_ARG, NULL,
		    "%s: alignment %zu, expected a power of two up to %u",
		    caller, align, KA_SLAB_SIZE);
}

void *
vm_page_alloc(size_t npages, size_t align, unsigned flags)
{
	struct vm_info *info;
	void *addr;

	vm_check_args("vm_page_alloc", npages, align, flags);
	if (!kalloc_is_up())
		return (NULL);
	addr = vm__alloc(npages, align, flags, NULL);
	if (addr == NULL)
		return (NULL);
	info = vm__info(addr);
	ka_store(&info->npages, (uint32_t)npages, RELAXED);
	ka_store(&info->owner, VM_OWNER_RUN, RELEASE);
	return (addr);
}

void
vm_page_free(void *addr, size_t npages)
{
	struct vm_info *info = vm__info(addr);
	uint32_t owner = VM_OWNER_RUN;

	if (info == NULL || (uintptr_t)addr % KA_PAGE_SIZE != 0 ||
	    ka_load(&info->owner, ACQUIRE) != VM_OWNER_RUN)
		ka_misuse(KA_WHY_FOREIGN, addr,
		    "vm_page_free: %p is not the start of a run", addr);
	if (ka_load(&info->npages, RELAXED) != npages)
		ka_misuse(KA_WHY_BAD_ARG, addr,
		    "vm_page_free: %zu pages of a run of %u", npages,
		    info->npages);
	/* unreached: two would have to free it at one time. */
	if (!ka_cas(&info->owner, &owner, VM_OWNER_NONE))
		ka_misuse(KA_WHY_DOUBLE_FREE, addr,
		    "vm_page_free: %p is free already", addr);
	vm__free(addr, npages);
}

void
vm_wait(size_t npages, size_t align, unsigned flags)
{
	vm_check_args("vm_wait", npages, align, flags);
	if (!kalloc_is_up())
		return;
	if (!vm_could(npages, align, flags))
		km__wait(npages, align, flags);
}

void
vm_page_stats(struct vm_page_stats *ret_s)
{
	memset(ret_s, 0, sizeof(*ret_s));
	if (!kalloc_is_up()) /* nor is there a lock */
		return;
	ka_mutex_lock(&vm_lock);
	*ret_s = vm_counts;
	ret_s->base = vm_base;
	ret_s->pages = vm_pages;
	ret_s->free = vm_free;
	ret_s->reserve_system = vm_reserve[VM_ALLOC_NORMAL];
	ret_s->reserve_interrupt = vm_reserve[VM_ALLOC_SYSTEM];
	ka_mutex_unlock(&vm_lock);
}

void
vm_page_observe(const struct vm_observer *o)
{
	static const struct vm_observer none;

	vm_observer = o != NULL ? *o : none;
}

void
vm__held(uint64_t *ret_runs, uint64_t *ret_pages)
{
	uint64_t runs = 0, pages = 0;
	size_t i;

	for (i = vm__info_next(0); i < vm_pages; i = vm__info_next(i + 1)) {
		if (vm_info[i].owner != VM_OWNER_RUN)
			continue;
		runs++;
		pages += vm_info[i].npages;
	}
	*ret_runs = runs;
	*ret_pages = pages;
}

static bool
none_used(size_t from, size_t to)
{
	uint64_t any = 0;
	size_t at;

	for (at = from; at < to; at += WORD_PAGES)
		any |= vm_used[at / WORD_PAGES];
	return (any == 0);
}

static const char *
vm_audit_slots(const char **ret_found)
{
	size_t slot;

	for (slot = 0; slot < vm_pages / VM_SLAB_PAGES; slot++) {
		size_t at = slot * VM_SLAB_PAGES;
		bool free;

		/* Mostly 64 slots are free, and their bits say so. */
		if (slot % WORD_PAGES == 0 &&
		    vm_slot[slot / WORD_PAGES] == ~UINT64_C(0) &&
		    none_used(at, at + WORD_PAGES * VM_SLAB_PAGES)) {
			slot += WORD_PAGES - 1;
			continue;
		}
		free = (vm_used[at / WORD_PAGES] >> at % WORD_PAGES &
			   SLOT_BITS) == 0;

		if (free !=
		    (vm_slot[slot / WORD_PAGES] >> slot % WORD_PAGES & 1)) {
			*ret_found = "a slot's bit is not what its pages say";
			return ("I-VM-2");
		}
	}
	return (NULL);
}

/* Bits of the pages from .. to of a word, which begins at page `at`, and with
 * or before which they begin. */
static uint64_t
word_bits(size_t at, size_t from, size_t to)
{
	uint64_t bits = ~UINT64_C(0);

	if (to <= at)
		return (0);
	if (from > at)
		bits <<= from - at;
	if (to < at + WORD_PAGES)
		bits &= ~UINT64_C(0) >> (at + WORD_PAGES - to);
	return (bits);
}

/* Are all pages from .. to used, and of the budget? */
static bool
all_used(size_t from, size_t to)
{
	size_t at;

	if (to > vm_pages)
		return (false);
	for (at = from / WORD_PAGES * WORD_PAGES; at < to; at += WORD_PAGES)
		if ((~vm_used[at / WORD_PAGES] & word_bits(at, from, to)) != 0)
			return (false);
	return (true);
}

size_t
vm__info_next(size_t at)
{
	size_t i;

	while (at < vm_top) {
		const uint64_t *raw = (const void *)&vm_info[at];
		uint64_t any = 0;

		if (vm_info[at].owner != VM_OWNER_NONE)
			return (at);
		if (at % WORD_PAGES != 0 || vm_pages - at < WORD_PAGES) {
			at++;
			continue;
		}
		/* Mostly there is nothing: 64 pages at once. */
		for (i = 0; i < WORD_PAGES; i++)
			any |= raw[i];
		at += any == 0 ? WORD_PAGES : 1;
	}
	return (vm_pages);
}

const char *
vm_page_audit(const char **ret_found)
{
	size_t at, free = 0;

	if (!kalloc_is_up())
		return (NULL);
	for (at = 0; at < vm_pages; at += WORD_PAGES) {
		uint64_t unused =
		    ~vm_used[at / WORD_PAGES] & word_bits(at, 0, vm_pages);

		free += unused == ~UINT64_C(0) ?
		    WORD_PAGES :
		    (size_t)__builtin_popcountll(unused);
		if ((unused & word_bits(at, 0, vm_low)) != 0) {
			*ret_found = "a page below vm_low is free";
			return ("I-VM-3");
		}
		if (at + WORD_PAGES > vm_top &&
		    (~unused & word_bits(at, vm_top, vm_pages)) != 0) {
			*ret_found = "a page from vm_top on is used";
			return ("I-VM-5");
		}
	}
	for (at = vm__info_next(0); at < vm_pages; at = vm__info_next(at + 1))
		if (vm_info[at].owner == VM_OWNER_RUN &&
		    !all_used(at, at + vm_info[at].npages)) {
			*ret_found = "a page of a held run is free";
			return ("I-VM-4");
		}
	if (free != vm_free) {
		*ret_found = "the count of free pages is not that of the bits";
		return ("I-VM-1");
	}
	return (vm_audit_slots(ret_found));
}
