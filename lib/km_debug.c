/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc's debug options: redzone, poison, audit trail.
 *
 * Chunks of types with debug options come from slabs of their own classes
 * (KM_CLASSES_DEBUG and up), so that the fast paths never meet one. Such a
 * chunk is *charged* and reported as of the class that the request has without
 * debugging (G-11), kept in e_debug; the bytes beyond are the redzone. A class
 * has room for one if there is a larger class of the same alignment: all but
 * 8192.
 *
 * Objects of whole pages have a page behind them as redzone (km_large.c), and
 * are poisoned when they are freed. The page layer keeps which free pages are:
 * kmalloc looks at them when it gets them again, for whatever. Pages that
 * others got meanwhile are nobody's poison any more. The trail of a large
 * object is that of its first page, in an array beside the arena.
 *
 * Poison is distinct for each state, so that a dump tells which: 0xa5 was
 * never written by its owner, 0xdf was freed, 0xbd is a redzone.
 */
#include "kmalloc_int.h"

#include <string.h>

#define FILL_UNINIT  0xa5
#define FILL_FREED   0xdf
#define FILL_REDZONE 0xbd

static uint64_t debug_serial;

static unsigned
class_align(unsigned class)
{
	unsigned size = km_class_size[class], align = size & -size;

	return (align < KA_PAGE_SIZE ? align : KA_PAGE_SIZE);
}

unsigned
km__debug_class(unsigned class, unsigned debug)
{
	unsigned c;

	if (KA_LIKELY(debug == 0))
		return (class);
	if ((debug & KA_DEBUG_REDZONE) == 0)
		return (KM_CLASSES_DEBUG + class);
	/* Any larger class has eight bytes more at least. */
	for (c = class + 1; c < KM_CLASSES; c++)
		if (class_align(c) >= class_align(class))
			return (KM_CLASSES_DEBUG + c);
	return (KM_CLASSES_DEBUG + class);
}

/*
 * Of chunks that were never given out nothing is remembered. A slot keeps its
 * trail until halt: whoever asks for that of an object which is free already
 * may be reading it while the slab goes.
 */
void
km__debug_carve(struct ka_slab *slab, uint32_t first, uint32_t n)
{
	memset(&slab->s_trail[first], 0, n * sizeof(*slab->s_trail));
}

void
km__debug_slab_halt(struct ka_slab *slab)
{
	if (slab->s_trail == NULL)
		return;
	ka_os_unmap(slab->s_trail, SLAB_CHUNKS_MAX * sizeof(*slab->s_trail));
	slab->s_trail = NULL;
}

static struct ka_trail *page_trail; /* one a page of the arena, or NULL */

static size_t
page_trail_bytes(void)
{
	return (vm__bytes() / KA_PAGE_SIZE * sizeof(*page_trail));
}

static struct ka_trail *
page_trail_of(const void *p)
{
	struct ka_trail *trail = __atomic_load_n(&page_trail, __ATOMIC_ACQUIRE);

	if (trail == NULL)
		return (NULL);
	return (&trail[(size_t)((const char *)p - vm__base()) / KA_PAGE_SIZE]);
}

static struct ka_trail *
page_trail_make(const void *p)
{
	struct ka_trail *none = NULL, *trail;

	if (page_trail_of(p) == NULL) {
		trail = ka_os_map(page_trail_bytes());
		if (trail == NULL)
			return (NULL);
		if (!__atomic_compare_exchange_n(&page_trail, &none, trail,
			false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			ka_os_unmap(trail, page_trail_bytes());
	}
	return (page_trail_of(p));
}

void
km__debug_halt(void)
{
	if (page_trail != NULL)
		ka_os_unmap(page_trail, page_trail_bytes());
	page_trail = NULL;
}

static void
record(struct ka_trail_event *e, unsigned cpu)
{
	e->serial = __atomic_add_fetch(&debug_serial, 1, __ATOMIC_RELAXED);
	e->cpu = cpu;
	e->nframes = ka_os_backtrace(e->frame, KA_TRAIL_FRAMES);
}

static void
debug_record(struct ka_slab *slab, uint32_t index, unsigned cpu, bool alloc)
{
	struct ka_trail *trail = ka_load(&slab->s_trail, ACQUIRE);

	if (trail == NULL) {
		struct ka_trail *none = NULL;
		size_t bytes = SLAB_CHUNKS_MAX * sizeof(*trail);

		trail = ka_os_map(bytes);
		if (trail == NULL)
			return;
		/*
		 * unreached: the slab's first allocation has made it, under
		 * the CPU's lock; unless there was no memory then, and two
		 * free at one time when there is.
		 */
		if (!ka_cas(&slab->s_trail, &none, trail)) {
			ka_os_unmap(trail, bytes);
			trail = none;
		}
	}
	record(alloc ? &trail[index].alloc : &trail[index].free, cpu);
}

static bool
all_bytes(const unsigned char *p, size_t n, unsigned char value)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != value)
			return (false);
	return (true);
}

static unsigned char *
debug_chunk(const struct ka_slab *slab, uint32_t index)
{
	return ((unsigned char *)slab->s_base + (size_t)index * slab->s_size);
}

/* A chunk goes out; KA_WHY_POISON if it was written while it was free. */
enum ka_why
km__debug_alloc(struct ka_slab *slab, uint32_t index, unsigned class,
    unsigned debug, unsigned cpu)
{
	struct slab_entry *e = &slab->s_entry[index];
	unsigned char *p = debug_chunk(slab, index);
	unsigned size = km_class_size[class];
	bool poisoned = (e->e_debug & ENTRY_POISONED) != 0;

	e->e_debug = 0;
	if (poisoned && !all_bytes(p, slab->s_size, FILL_FREED))
		return (KA_WHY_POISON);
	e->e_debug = (uint16_t)(class + 1);
	if ((debug & KA_DEBUG_POISON) != 0)
		memset(p, FILL_UNINIT, size);
	if ((debug & KA_DEBUG_REDZONE) != 0)
		memset(p + size, FILL_REDZONE, slab->s_size - size);
	if ((debug & KA_DEBUG_AUDIT) != 0)
		debug_record(slab, index, cpu, true);
	return (KA_WHY_NONE);
}

/* A chunk comes back; KA_WHY_REDZONE if bytes behind it were written. */
enum ka_why
km__debug_free(
    struct ka_slab *slab, uint32_t index, unsigned debug, unsigned cpu)
{
	struct slab_entry *e = &slab->s_entry[index];
	unsigned char *p = debug_chunk(slab, index);
	unsigned size = km__debug_usable(slab, index);

	if ((debug & KA_DEBUG_REDZONE) != 0 &&
	    !all_bytes(p + size, slab->s_size - size, FILL_REDZONE))
		return (KA_WHY_REDZONE);
	if ((debug & KA_DEBUG_POISON) != 0) {
		memset(p, FILL_FREED, slab->s_size);
		e->e_debug |= ENTRY_POISONED;
	}
	if ((debug & KA_DEBUG_AUDIT) != 0)
		debug_record(slab, index, cpu, false);
	return (KA_WHY_NONE);
}

unsigned
km__debug_usable(const struct ka_slab *slab, uint32_t index)
{
	unsigned class = slab->s_entry[index].e_debug & ~ENTRY_POISONED;

	KA_ASSERT(class >= 1 && class <= KM_CLASSES);
	return (km_class_size[class - 1]);
}

/* ---- Large objects ---------------------------------------------------- */

void
km__debug_large_alloc(char *p, size_t npages, bool guarded, unsigned debug)
{
	struct ka_trail *trail;

	if ((debug & KA_DEBUG_POISON) != 0)
		memset(p, FILL_UNINIT, npages * KA_PAGE_SIZE);
	if (guarded)
		memset(p + npages * KA_PAGE_SIZE, FILL_REDZONE, KA_PAGE_SIZE);
	trail = (debug & KA_DEBUG_AUDIT) != 0 ? page_trail_make(p) : NULL;
	cpu__attach();
	if (trail != NULL)
		record(&trail->alloc, ka_cpu_self()->c_index);
}

void
km__debug_large_free(char *p, size_t npages, unsigned debug)
{
	struct ka_trail *trail;

	if ((debug & KA_DEBUG_POISON) != 0)
		memset(p, FILL_FREED, npages * KA_PAGE_SIZE);
	trail = (debug & KA_DEBUG_AUDIT) != 0 ? page_trail_make(p) : NULL;
	if (trail != NULL)
		record(&trail->free, ka_cpu_self()->c_index);
}

bool
km__debug_guard_holds(const char *p, size_t npages)
{
	return (all_bytes((const unsigned char *)p + npages * KA_PAGE_SIZE,
	    KA_PAGE_SIZE, FILL_REDZONE));
}

/* The first page that was poisoned and has been written since, or NULL. */
static const char *
bad_page(const char *p, size_t npages)
{
	size_t i;

	for (i = 0; i < npages; i++)
		if (vm__poison(p + i * KA_PAGE_SIZE) != 0 &&
		    !all_bytes((const unsigned char *)p + i * KA_PAGE_SIZE,
			KA_PAGE_SIZE, FILL_FREED))
			return (p + i * KA_PAGE_SIZE);
	return (NULL);
}

bool
km__debug_pages(const char *p, size_t npages)
{
	return (bad_page(p, npages) == NULL);
}

/* The object is the one that the page was of. */
void
km__debug_pages_panic(char *p, size_t npages)
{
	const char *bad = bad_page(p, npages);
	struct ka_trail *at, trail;

	/* unreached: the arena's first page is the first of its run, but while
	 * somebody is marking it. */
	while (vm__poison(bad) == 2 && bad != vm__base())
		bad -= KA_PAGE_SIZE;
	at = page_trail_of(bad);
	if (at != NULL)
		trail = *at;
	vm__free(p, npages);
	km__panic(KA_WHY_POISON, bad, "kmalloc",
	    at != NULL && trail.free.serial != 0 ? &trail : NULL);
}

/* Of a page that is no slab's: of the large object that it is, or was, of. */
static bool
large_trail(const char *p, struct ka_trail *ret_trail)
{
	const struct vm_info *info = vm__info(p);
	const struct ka_trail *trail;
	uint32_t owner;

	for (; info != NULL; p -= KA_PAGE_SIZE, info = vm__info(p)) {
		owner = __atomic_load_n(&info->owner, __ATOMIC_RELAXED);
		if (owner != VM_OWNER_TAIL)
			break;
	}
	if (info == NULL || owner == VM_OWNER_RUN || owner == VM_OWNER_ZONE)
		return (false);
	trail = page_trail_of(p);
	if (trail == NULL || trail->alloc.serial == 0)
		return (false);
	*ret_trail = *trail;
	return (true);
}

bool
km__debug_trail(const void *addr, struct ka_trail *ret_trail)
{
	struct ka_slab *slab = km_slab_at(addr);
	const struct ka_trail *trail = ka_load(&slab->s_trail, ACQUIRE);
	uint32_t index;

	if (slab->s_base != ((uintptr_t)addr & ~(uintptr_t)(KA_SLAB_SIZE - 1)))
		return (large_trail(addr, ret_trail));
	index = km_index(slab, (uintptr_t)addr);
	if (trail == NULL || slab->s_class < KM_CLASSES_DEBUG ||
	    index >= ka_load(&slab->s_carved, RELAXED))
		return (false);
	*ret_trail = trail[index];
	return (true);
}

bool
kmalloc_trail(const void *p, struct ka_trail *ret_trail)
{
	return (vm__info(p) != NULL && km__debug_trail(p, ret_trail));
}
