/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slabs of the zone allocator: where items are, and who holds them. The theory
 * is in zone.c.
 *
 * All bookkeeping is outside of the items' pages (ZN-33). For the arena it is
 * two reservations, as large as the budget asks and touched as far as it is
 * used: owner words, and a header for each page. A page of a slab is found in
 * vm_info, which tells the way to the slab's first page.
 *
 * Slabs outside of the arena, in the caller's static memory or from its own
 * source, have their bookkeeping in a block: of a pool in the library's data,
 * since a zone on static memory works before anything else does, or mapped.
 * They are found through a treap, a search tree by address whose shape follows
 * from a hash of the addresses (Seidel and Aragon, 1996).
 *
 * I-ZN-6  slabs in the treap are ordered and disjoint; those of the arena have
 *         no word beyond their items that is not zero
 */
#include <string.h>

#include "zone_int.h"

struct zone_arena zone_arena;
static struct zone_slab *slab_headers; /* one a page */
static size_t slab_words_bytes, slab_headers_bytes;

/* ---- Blocks for what is outside of the arena --------------------------- */

#define POOL_CHUNK  1024u
#define POOL_CHUNKS 64u

static struct ka_mutex outside_lock = KA_MUTEX_INITIALIZER; /* all of this */
static struct zone_slab *outside_root;
static uint64_t pool_used; /* a bit a chunk */
static char pool[POOL_CHUNKS * POOL_CHUNK] __attribute__((aligned(16)));

static uint64_t
pool_mask(size_t bytes)
{
	size_t n = (bytes + POOL_CHUNK - 1) / POOL_CHUNK;

	return (n >= POOL_CHUNKS ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1);
}

static void *
block_get(size_t bytes)
{
	uint64_t mask = pool_mask(bytes);
	void *p = NULL;
	unsigned i;

	ka_mutex_lock(&outside_lock);
	for (i = 0; bytes <= sizeof(pool) - i * POOL_CHUNK; i++) {
		if ((pool_used & mask << i) != 0)
			continue;
		pool_used |= mask << i;
		p = pool + i * POOL_CHUNK;
		break;
	}
	ka_mutex_unlock(&outside_lock);
	if (p == NULL)
		return (ka_os_map(bytes));
	memset(p, 0, bytes);
	return (p);
}

static void
block_put(void *p, size_t bytes)
{
	size_t off = (size_t)((uintptr_t)p - (uintptr_t)pool);

	if (off >= sizeof(pool)) {
		ka_os_unmap(p, bytes);
		return;
	}
	ka_mutex_lock(&outside_lock);
	pool_used &= ~(pool_mask(bytes) << off / POOL_CHUNK);
	ka_mutex_unlock(&outside_lock);
}

/* ---- The treap, under outside_lock -------------------------------------- */

static uint64_t
treap_rank(const struct zone_slab *slab)
{
	uint64_t x = (uintptr_t)slab->sl_base;

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31);
}

/* Parts a tree into what is below an address and what is not. */
static void
treap_split(struct zone_slab *at, const char *base, struct zone_slab **ret_low,
    struct zone_slab **ret_high)
{
	if (at == NULL) {
		*ret_low = NULL;
		*ret_high = NULL;
	} else if (at->sl_base < base) {
		*ret_low = at;
		treap_split(at->sl_right, base, &at->sl_right, ret_high);
	} else {
		*ret_high = at;
		treap_split(at->sl_left, base, ret_low, &at->sl_left);
	}
}

static struct zone_slab *
treap_join(struct zone_slab *low, struct zone_slab *high)
{
	if (low == NULL || high == NULL)
		return (low == NULL ? high : low);
	if (treap_rank(low) > treap_rank(high)) {
		low->sl_right = treap_join(low->sl_right, high);
		return (low);
	}
	high->sl_left = treap_join(low, high->sl_left);
	return (high);
}

/* The slab with the greatest address that is not beyond p. */
static struct zone_slab *
treap_before(const char *p)
{
	struct zone_slab *at = outside_root, *best = NULL;

	while (at != NULL) {
		if (at->sl_base <= p) {
			best = at;
			at = at->sl_right;
		} else {
			at = at->sl_left;
		}
	}
	return (best);
}

/* False: it would overlap another one. */
static bool
outside_insert(struct zone_slab *slab)
{
	struct zone_slab *low, *high, *before;
	bool fits;

	ka_mutex_lock(&outside_lock);
	before = treap_before(slab->sl_base + slab->sl_bytes - 1);
	fits = before == NULL ||
	    before->sl_base + before->sl_bytes <= slab->sl_base;
	if (fits) {
		treap_split(outside_root, slab->sl_base, &low, &high);
		outside_root = treap_join(treap_join(low, slab), high);
	}
	ka_mutex_unlock(&outside_lock);
	return (fits);
}

static void
outside_remove(struct zone_slab *slab)
{
	struct zone_slab *low, *high, *self;

	ka_mutex_lock(&outside_lock);
	treap_split(outside_root, slab->sl_base, &low, &high);
	treap_split(high, slab->sl_base + 1, &self, &high);
	KA_ASSERT(self == slab);
	outside_root = treap_join(low, high);
	ka_mutex_unlock(&outside_lock);
	slab->sl_left = NULL;
	slab->sl_right = NULL;
}

/* ---- The arena ---------------------------------------------------------- */

int
zone__slab_boot(size_t pages)
{
	uint16_t *words;
	bool fresh;

	slab_words_bytes = pages * (KA_PAGE_SIZE / ZONE_GRANULE) * 2;
	slab_headers_bytes = pages * sizeof(struct zone_slab);
	words = ka_os_reserve(
	    KA_OS_ZONE_WORDS, slab_words_bytes, KA_PAGE_SIZE, &fresh);
	if (words == NULL)
		return (-1);
	slab_headers = ka_os_reserve(
	    KA_OS_ZONE_SLABS, slab_headers_bytes, KA_PAGE_SIZE, &fresh);
	if (slab_headers == NULL) {
		ka_os_release(KA_OS_ZONE_WORDS, words, slab_words_bytes);
		return (-1);
	}
	ka_mutex_init(&outside_lock, "zone outside");
	zone_arena.a_base = (uintptr_t)vm__base();
	zone_arena.a_words = words;
	zone_arena.a_word_0 =
	    (uintptr_t)words - zone_arena.a_base / ZONE_GRANULE * 2;
	zone_arena.a_granules = pages * (KA_PAGE_SIZE / ZONE_GRANULE);
	return (0);
}

/* Keeps what is static, of zones that live. */
static void
outside_forget(struct zone_slab *at)
{
	struct zone_slab *left, *right;

	if (at == NULL)
		return;
	left = at->sl_left;
	right = at->sl_right;
	at->sl_left = NULL;
	at->sl_right = NULL;
	outside_forget(left);
	if ((at->sl_flags & ZONE_SLAB_STATIC) != 0 &&
	    at->sl_keg->k_zone->z_state == ZONE_LIVE)
		outside_root = treap_join(outside_root, at);
	else
		block_put(at, at->sl_block);
	outside_forget(right);
}

/* Owner words are zero by now. */
void
zone__slab_halt(void)
{
	struct zone_slab *all = outside_root;

	/* At a forced halt it may be held by a thread that is no more. */
	ka_mutex_init(&outside_lock, "zone outside");
	outside_root = NULL;
	outside_forget(all);
	ka_os_release(KA_OS_ZONE_WORDS, zone_arena.a_words, slab_words_bytes);
	ka_os_release(KA_OS_ZONE_SLABS, slab_headers, slab_headers_bytes);
	memset(&zone_arena, 0, sizeof(zone_arena));
	slab_headers = NULL;
}

/* ---- Looking up ---------------------------------------------------------- */

struct zone_slab *
zone__find(const void *p)
{
	struct vm_info *info = vm__info(p);
	struct zone_slab *slab;

	if (info != NULL && ka_load(&info->owner, ACQUIRE) == VM_OWNER_ZONE) {
		size_t page = ((uintptr_t)p - zone_arena.a_base) / KA_PAGE_SIZE;

		return (&slab_headers[page - ka_load(&info->npages, RELAXED)]);
	}
	ka_mutex_lock(&outside_lock);
	slab = treap_before(p);
	if (slab == NULL ||
	    (size_t)((const char *)p - slab->sl_base) >= slab->sl_bytes) {
		ka_mutex_unlock(&outside_lock);
		return (NULL);
	}
	return (slab);
}

void
zone__unfind(const struct zone_slab *slab)
{
	if ((slab->sl_flags & ZONE_SLAB_OUTSIDE) != 0)
		ka_mutex_unlock(&outside_lock);
}

bool
zone__index(const struct zone_slab *slab, const void *p, size_t *ret_index,
    bool *ret_start)
{
	size_t off = (size_t)((const char *)p - slab->sl_base);

	*ret_index = off / slab->sl_stride;
	*ret_start = off % slab->sl_stride == 0;
	return (*ret_index < slab->sl_items);
}

bool
zone__claim(const void *item, uint16_t from, uint16_t to)
{
	uint16_t *word = zone_word(item), expect = from;
	struct zone_slab *slab;
	bool start, done = false;
	size_t index;

	if (word != NULL && ka_cas(word, &expect, to))
		return (true);
	slab = zone__find(item);
	if (slab == NULL)
		return (false);
	if ((slab->sl_flags & ZONE_SLAB_OUTSIDE) != 0 &&
	    zone__index(slab, item, &index, &start) && start) {
		word = zone_item_word(slab, index);
		done = ka_load(word, RELAXED) == from;
		if (done)
			ka_store(word, to, RELAXED);
	}
	zone__unfind(slab);
	return (done);
}

/* ---- Making and ending --------------------------------------------------- */

unsigned
zone__depth(int flags)
{
	if ((flags & M_USE_INTERRUPT_RESERVE) != 0)
		return (VM_ALLOC_INTERRUPT);
	return (
	    (flags & M_USE_RESERVE) != 0 ? VM_ALLOC_SYSTEM : VM_ALLOC_NORMAL);
}

static void
slab_fill(struct zone_slab *slab, struct zone_keg *keg, char *base,
    size_t items, size_t stride)
{
	size_t i;

	slab->sl_keg = keg;
	slab->sl_base = base;
	slab->sl_stride = (uint32_t)stride;
	slab->sl_items = (uint32_t)items;
	slab->sl_nfree = (uint32_t)items;
	slab->sl_hint = 0;
	slab->sl_state = ZONE_SLAB_NONE;
	slab->sl_unused = 0;
	for (i = 0; i < items / 64; i++)
		slab->sl_bits[i] = ~UINT64_C(0);
	if (items % 64 != 0)
		slab->sl_bits[i] = (UINT64_C(1) << items % 64) - 1;
}

/* A block of bookkeeping for so many items. */
static struct zone_slab *
outside_make(struct zone_keg *keg, char *base, size_t items, size_t stride,
    size_t bytes, unsigned flags)
{
	size_t bits = (items + 63) / 64 * sizeof(uint64_t);
	size_t block = sizeof(struct zone_slab) + bits + items * 2;
	struct zone_slab *slab;

	slab = (flags & ZONE_SLAB_STATIC) != 0 ? block_get(block) :
						 ka_os_map(block);
	if (slab == NULL)
		return (NULL);
	slab->sl_block = block;
	slab->sl_flags = (uint8_t)(flags | ZONE_SLAB_OUTSIDE);
	slab->sl_bytes = bytes;
	slab->sl_bits = (uint64_t *)(void *)(slab + 1);
	slab->sl_words = (uint16_t *)(void *)((char *)(slab + 1) + bits);
	slab->sl_step = 1;
	slab_fill(slab, keg, base, items, stride);
	return (slab);
}

static struct zone_slab *
inside_make(struct zone_keg *keg, int flags, enum vm_observe *ret_verdict)
{
	size_t align = keg->k_align > KA_PAGE_SIZE ? keg->k_align : 0, i;
	char *p = vm__alloc(keg->k_ppera, align,
	    zone__depth(flags) | VM_ALLOC_ZERO, ret_verdict);
	struct zone_slab *slab;

	if (p == NULL)
		return (NULL);
	slab = &slab_headers[((uintptr_t)p - zone_arena.a_base) / KA_PAGE_SIZE];
	slab->sl_flags = 0;
	slab->sl_bits = slab->sl_own_bits;
	slab->sl_words = zone_word(p);
	slab->sl_step = (uint32_t)(keg->k_rsize / ZONE_GRANULE);
	slab_fill(slab, keg, p, keg->k_ipers, keg->k_rsize);
	for (i = 0; i < keg->k_ppera; i++) {
		struct vm_info *info = vm__info(p + i * KA_PAGE_SIZE);

		ka_store(&info->npages, (uint32_t)i, RELAXED);
		ka_store(&info->owner, VM_OWNER_ZONE, RELEASE);
	}
	return (slab);
}

static void
inside_free(struct zone_keg *keg, char *p)
{
	size_t i;

	for (i = 0; i < keg->k_ppera; i++) {
		struct vm_info *info = vm__info(p + i * KA_PAGE_SIZE);

		ka_store(&info->owner, VM_OWNER_NONE, RELAXED);
		ka_store(&info->npages, 0, RELAXED);
	}
	vm__free(p, keg->k_ppera);
}

/* From the keg's own source. */
static struct zone_slab *
source_make(struct zone_keg *keg, int flags)
{
	size_t bytes = (size_t)keg->k_ppera * KA_PAGE_SIZE;
	size_t align =
	    keg->k_align > KA_PAGE_SIZE ? keg->k_align : KA_PAGE_SIZE;
	char *p = keg->k_allocf(keg->k_zone, bytes, flags | M_ZERO);
	struct zone_slab *slab = NULL;
	bool bad = false;

	if (p == NULL)
		return (NULL);
	if ((uintptr_t)p % align == 0) {
		slab =
		    outside_make(keg, p, keg->k_ipers, keg->k_rsize, bytes, 0);
		bad = slab != NULL && !outside_insert(slab);
	}
	if (slab != NULL && !bad)
		return (slab);
	if (slab != NULL)
		block_put(slab, slab->sl_block);
	if (keg->k_freef != NULL && !bad)
		keg->k_freef(p, bytes);
	if (slab == NULL && (uintptr_t)p % align == 0)
		return (NULL);
	ka_misuse(KA_WHY_BAD_ARG, p,
	    "uma: %s: allocf gave %p, which is in use or not aligned to %zu",
	    keg->k_zone->z_name, (void *)p, align);
}

static void
slab_free(struct zone_slab *slab)
{
	struct zone_keg *keg = slab->sl_keg;
	size_t bytes = slab->sl_bytes;
	char *p = slab->sl_base;
	bool is_static = (slab->sl_flags & ZONE_SLAB_STATIC) != 0;

	if ((slab->sl_flags & ZONE_SLAB_OUTSIDE) == 0) {
		inside_free(keg, p);
		return;
	}
	outside_remove(slab);
	block_put(slab, slab->sl_block);
	if (!is_static && keg->k_freef != NULL)
		keg->k_freef(p, bytes);
}

/* Items in ascending order; when one refuses, those before it are finalised in
 * reverse (ZN-10). */
static bool
slab_init_items(struct zone_slab *slab, int flags)
{
	struct zone_keg *keg = slab->sl_keg;
	size_t i;

	if (keg->k_init == NULL)
		return (true);
	for (i = 0; i < slab->sl_items; i++)
		if (keg->k_init(zone_item(slab, i), keg->k_size, flags) != 0)
			break;
	if (i == slab->sl_items)
		return (true);
	while (i-- > 0 && keg->k_fini != NULL)
		keg->k_fini(zone_item(slab, i), keg->k_size);
	return (false);
}

enum zone_result
zone__slab_make(struct zone_keg *keg, int flags, struct zone_slab **ret_slab,
    enum vm_observe *ret_verdict)
{
	struct zone_slab *slab;

	if (keg->k_allocf != NULL) {
		slab = source_make(keg, flags);
		if (slab == NULL)
			return (ZONE_REFUSED);
	} else {
		slab = inside_make(keg, flags, ret_verdict);
		if (slab == NULL)
			return (ZONE_NO_PAGES);
	}
	if (!slab_init_items(slab, flags)) {
		slab_free(slab);
		return (ZONE_REFUSED);
	}
	*ret_slab = slab;
	return (ZONE_GOT);
}

struct zone_slab *
zone__slab_static(struct zone_keg *keg, char *base, size_t items, size_t stride,
    bool *ret_overlap)
{
	struct zone_slab *slab = outside_make(
	    keg, base, items, stride, items * stride, ZONE_SLAB_STATIC);

	*ret_overlap = false;
	if (slab == NULL)
		return (NULL);
	if (!outside_insert(slab)) {
		block_put(slab, slab->sl_block);
		*ret_overlap = true;
		return (NULL);
	}
	if (!slab_init_items(slab, M_RNOWAIT)) {
		slab_free(slab);
		return (NULL);
	}
	return (slab);
}

void
zone__slab_end(struct zone_slab *slab)
{
	struct zone_keg *keg = slab->sl_keg;
	size_t i = slab->sl_items;

	while (i-- > 0 && keg->k_fini != NULL)
		keg->k_fini(zone_item(slab, i), keg->k_size);
	slab_free(slab);
}

const char *
zone__slab_audit(const char **ret_found)
{
	const struct zone_slab *slab;
	const char *at = NULL;

	/* From the greatest address downwards. */
	for (slab = treap_before((const char *)UINTPTR_MAX); slab != NULL;
	     slab = treap_before(slab->sl_base - 1)) {
		if (at != NULL && slab->sl_base + slab->sl_bytes > at) {
			*ret_found = "two slabs outside of the arena overlap";
			return ("I-ZN-6");
		}
		at = slab->sl_base;
	}
	return (NULL);
}
