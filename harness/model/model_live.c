/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is live: objects by address, and a bitmap against overlap.
 *
 * The bitmap has a bit for 8 bytes, in regions of 64 KiB that exist only
 * where something was. A page that is live as a whole has one bit in `full`
 * instead of 512. A second bitmap remembers where freed objects began, so
 * that a free of such an address must be called a double free; it forgets
 * when the run of pages that contains it is wholly free, because then the
 * subject may have cut it anew.
 */
#include <string.h>

#include "model_int.h"

enum span_state {
	SPAN_OK,
	SPAN_NOT_HELD,
	SPAN_LIVE
};

/* The part of an object that lies in one page: granules of its region. */
struct part {
	unsigned page;
	unsigned first, n;
};

static inline struct part
part_of(uint64_t at, uint64_t end)
{
	uint64_t n = PAGE - at % PAGE;

	if (n > end - at)
		n = end - at;
	return ((struct part) { (unsigned)(at / PAGE % REGION_PAGES),
	    (unsigned)(at / GRANULE % REGION_GRANULES),
	    (unsigned)(n / GRANULE) });
}

/*
 * Bits first .. first+n of a row of words. The first two words are masked
 * without a branch, since nobody can predict how many there are; what is
 * beyond them is whole but for the last.
 */
struct bits {
	unsigned w, last;
	uint64_t mask[2], tail;
};

static inline struct bits
bits_of(unsigned first, unsigned n)
{
	unsigned end = first + n - 1;
	struct bits b = { .w = first / 64,
		.last = end / 64,
		.tail = ~UINT64_C(0) >> (63 - end % 64) };
	uint64_t one = b.w == b.last ? b.tail : ~UINT64_C(0);

	b.mask[0] = ~UINT64_C(0) << first % 64 & one;
	b.mask[1] = b.w + 1 < b.last ? ~UINT64_C(0) : b.tail;
	b.mask[1] = b.w == b.last ? 0 : b.mask[1];
	return (b);
}

static inline bool
bits_any(const uint64_t *bits, struct bits b)
{
	uint64_t any = (bits[b.w] & b.mask[0]) | (bits[b.w + 1] & b.mask[1]);
	unsigned w;

	for (w = b.w + 2; w < b.last; w++)
		any |= bits[w];
	if (w == b.last)
		any |= bits[w] & b.tail;
	return (any != 0);
}

static inline void
bits_flip(uint64_t *bits, struct bits b)
{
	unsigned w;

	bits[b.w] ^= b.mask[0];
	bits[b.w + 1] ^= b.mask[1];
	for (w = b.w + 2; w < b.last; w++)
		bits[w] ^= ~UINT64_C(0);
	if (w == b.last)
		bits[w] ^= b.tail;
}

void
model__page_forget(struct mregion *r, unsigned page)
{
	memset(&r->live[page * PAGE_WORDS], 0, PAGE_WORDS * 8);
	memset(&r->freed[page * PAGE_WORDS], 0, PAGE_WORDS * 8);
	r->dirty = (uint16_t)(r->dirty & ~(1u << page));
}

struct mregion *
model__region_make(struct model *m, uint64_t key)
{
	struct mregion *r = model__region(m, key);
	uint32_t i;

	if (MODEL_LIKELY(r != NULL))
		return (r);
	i = model__pool_take(&m->region);
	if (i == 0 || !model__hash_insert(&m->by_region, m->epoch, key, i)) {
		model__out_of_memory(m);
		return (NULL);
	}
	r = model__region_at(m, i);
	MODEL_ASSERT(r->dirty == 0);
	r->key = key;
	return (r);
}

/* Clears what the last run used, and nothing else. */
void
model__live_reset(struct model *m)
{
	uint32_t i;

	for (i = 1; i < m->region.high; i++) {
		struct mregion *r = model__region_at(m, i);

		while (r->dirty != 0)
			model__page_forget(
			    r, (unsigned)__builtin_ctz(r->dirty));
		r->kmalloc = r->trace = r->full = 0;
	}
	m->region.high = 1;
	m->object.high = 1;
	m->object_free = 0;
	m->by_addr.used = 0;
	m->by_region.used = 0;
}

/* One past the last granule that the object keeps others from. */
static inline uint64_t
object_end(const struct mobject *o)
{
	uint64_t bytes = o->usable + (o->usable == 0);

	return (o->addr + ((bytes + GRANULE - 1) & ~(uint64_t)(GRANULE - 1)));
}

static inline bool
part_is_live(const struct mregion *r, struct part p)
{
	if ((r->full >> p.page & 1) != 0)
		return (true);
	if ((r->dirty >> p.page & 1) == 0)
		return (false);
	return (bits_any(r->live, bits_of(p.first, p.n)));
}

static enum span_state
span_check(struct model *m, uint64_t at, uint64_t end)
{
	bool pages = model__is_kalloc(m);

	while (at < end) {
		struct mregion *r = model__region(m, at >> REGION_SHIFT);
		struct part p = part_of(at, end);

		if (r != NULL && part_is_live(r, p))
			return (SPAN_LIVE);
		if (pages && (r == NULL || (r->kmalloc >> p.page & 1) == 0))
			return (SPAN_NOT_HELD);
		at += (uint64_t)p.n * GRANULE;
	}
	return (SPAN_OK);
}

static bool
span_set(struct model *m, uint64_t at, uint64_t end)
{
	bool pages = model__is_kalloc(m);

	while (at < end) {
		struct mregion *r = model__region_make(m, at >> REGION_SHIFT);
		struct part p = part_of(at, end);

		if (r == NULL)
			return (false);
		if (p.n == PAGE / GRANULE) {
			r->full = (uint16_t)(r->full | 1u << p.page);
		} else {
			r->dirty = (uint16_t)(r->dirty | 1u << p.page);
			bits_flip(r->live, bits_of(p.first, p.n));
		}
		if (pages)
			model__run_gains(m, r->run[p.page], p.n);
		at += (uint64_t)p.n * GRANULE;
	}
	return (true);
}

/* An object began here and was freed; its run is not wholly free. */
static void
remember_freed(struct model *m, uint64_t addr)
{
	struct mregion *r = model__region(m, addr >> REGION_SHIFT);
	unsigned page = (unsigned)(addr / PAGE % REGION_PAGES);

	if (model__run(m, r->run[page])->live == 0)
		return;
	r->dirty = (uint16_t)(r->dirty | 1u << page);
	r->freed[addr / GRANULE % REGION_GRANULES / 64] |= UINT64_C(1)
	    << addr / GRANULE % 64;
}

static void
span_clear(struct model *m, uint64_t at, uint64_t end)
{
	bool pages = model__is_kalloc(m);
	uint64_t start = at;
	struct mregion *r;

	while (at < end) {
		struct part p = part_of(at, end);

		r = model__region(m, at >> REGION_SHIFT);
		MODEL_ASSERT(r != NULL);
		if (p.n == PAGE / GRANULE) {
			MODEL_ASSERT((r->full >> p.page & 1) != 0);
			r->full = (uint16_t)(r->full & ~(1u << p.page));
		} else {
			bits_flip(r->live, bits_of(p.first, p.n));
		}
		if (pages)
			model__run_loses(m, r->run[p.page], p.n);
		at += (uint64_t)p.n * GRANULE;
	}
	if (pages)
		remember_freed(m, start);
}

/* The live object, or run, that lies at an address or across it. */
static uint32_t
object_at(const struct model *m, uint64_t lo, uint64_t hi)
{
	uint32_t i;

	for (i = 1; i < m->object.high; i++) {
		const struct mobject *o = model__object(m, i);

		if (o->state == MOBJECT_LIVE && o->addr < hi &&
		    lo < (o->run ? o->addr + o->usable : object_end(o)))
			return (i);
	}
	return (0);
}

static void
fail_place(struct model *m, const struct mthread *th, const struct mobject *o,
    enum span_state state)
{
	uint32_t other = object_at(m, o->addr, object_end(o));

	model__fail(m, th, "G-2", state == SPAN_LIVE ? "overlap" : "not-held");
	if (state == SPAN_LIVE)
		model__expected(m, "memory that no live object lies in");
	else
		model__expected(m,
		    "memory inside of pages that the page "
		    "layer gave out to kmalloc");
	if (other != 0)
		model__found(m, "%" PRIu64 " bytes at %s, in which %s lies",
		    o->usable, model__addr_text(m, o->addr).s,
		    model__object_text(m, model__object(m, other)).s);
	else
		model__found(m, "%" PRIu64 " bytes at %s", o->usable,
		    model__addr_text(m, o->addr).s);
}

/*
 * Is the object a usual one: a chunk inside of one region and run? Its bits
 * are all set, also in pages that it fills.
 */
static inline bool
is_usual(
    const struct model *m, const struct mregion *r, uint64_t at, uint64_t end)
{
	unsigned first = (unsigned)(at / PAGE % REGION_PAGES);
	unsigned last = (unsigned)((end - 1) / PAGE % REGION_PAGES);

	if (end - at > KA_KMALLOC_MAX || (at ^ (end - 1)) >> REGION_SHIFT != 0)
		return (false);
	return (r != NULL &&
	    (first == last || !model__is_kalloc(m) ||
		r->run[first] == r->run[last]));
}

/* The pages of a usual object, as a mask. */
static inline uint16_t
usual_pages(uint64_t at, uint64_t end)
{
	unsigned first = (unsigned)(at / PAGE % REGION_PAGES);
	unsigned last = (unsigned)((end - 1) / PAGE % REGION_PAGES);

	return ((uint16_t)((2u << last) - (1u << first)));
}

/* False if a usual object may not lie there: the slow path tells why. */
static inline bool
enter_usual(struct model *m, struct mregion *r, uint64_t at, uint64_t end)
{
	uint16_t pages = usual_pages(at, end);
	unsigned first = (unsigned)(at / GRANULE % REGION_GRANULES);
	unsigned n = (unsigned)((end - at) / GRANULE);
	struct bits b = bits_of(first, n);

	if ((r->full & pages) != 0 || bits_any(r->live, b))
		return (false);
	if (model__is_kalloc(m)) {
		if ((r->kmalloc & pages) != pages)
			return (false);
		model__run_gains(m, r->run[at / PAGE % REGION_PAGES], n);
	}
	r->dirty = (uint16_t)(r->dirty | pages);
	bits_flip(r->live, b);
	return (true);
}

/* May an object lie there? If not, that is a finding, unless a race of the
 * trace explains that it is gone already. */
static bool
place_is_free(
    struct model *m, const struct mthread *th, uint32_t object, uint64_t end)
{
	const struct mobject *o = model__object(m, object);
	enum span_state state = SPAN_NOT_HELD;

	if (end > o->addr)
		state = span_check(m, o->addr, end);
	if (state == SPAN_LIVE && m->nstale > 0 &&
	    model__stale_took(m, o->addr, end))
		state = span_check(m, o->addr, end);
	if (state == SPAN_OK)
		return (true);
	if (m->nstale > 0 && model__stale_takes(m, th, object))
		return (false);
	fail_place(m, th, o, state);
	return (false);
}

bool
model__object_enter(struct model *m, struct mthread *th, uint32_t object)
{
	struct mobject *o = model__object(m, object);
	uint64_t end = object_end(o), key = o->addr >> REGION_SHIFT;
	struct mregion *r = NULL;
	bool usual;

	if (model__is_kalloc(m) || model__region_make(m, key) != NULL)
		o->link = model__region_find(m, key);
	else
		o->link = 0;
	if (o->link != 0)
		r = model__region_at(m, o->link);
	usual = is_usual(m, r, o->addr, end);
	while (!usual || !enter_usual(m, r, o->addr, end)) {
		if (!place_is_free(m, th, object, end))
			return (false);
		if (!usual && !span_set(m, o->addr, end))
			return (false);
		if (!usual)
			break;
	}
	if (!model__hash_insert(&m->by_addr, m->epoch, o->addr, object)) {
		model__out_of_memory(m);
		return (false);
	}
	o->state = MOBJECT_LIVE;
	o->run = 0;
	m->counts.live_bytes += o->usable;
	if (++m->counts.live > m->counts.live_max)
		m->counts.live_max = m->counts.live;
	if (m->counts.live_bytes > m->counts.live_bytes_max)
		m->counts.live_bytes_max = m->counts.live_bytes;
	return (true);
}

static inline void
leave_usual(struct model *m, struct mregion *r, uint64_t at, uint64_t end)
{
	unsigned first = (unsigned)(at / GRANULE % REGION_GRANULES);
	unsigned n = (unsigned)((end - at) / GRANULE);

	bits_flip(r->live, bits_of(first, n));
	if (!model__is_kalloc(m))
		return;
	/* Forgotten again if the run is wholly free now. */
	r->freed[first / 64] |= UINT64_C(1) << first % 64;
	model__run_loses(m, r->run[at / PAGE % REGION_PAGES], n);
}

void
model__object_leave(struct model *m, uint32_t object)
{
	struct mobject *o = model__object(m, object);
	uint64_t end = object_end(o);
	struct mregion *r = o->link == 0 ? NULL : model__region_at(m, o->link);
	bool known;

	MODEL_ASSERT(o->state == MOBJECT_LIVE && !o->run);
	known = model__hash_remove(&m->by_addr, m->epoch, o->addr);
	MODEL_ASSERT(known);
	if (MODEL_LIKELY(is_usual(m, r, o->addr, end)))
		leave_usual(m, r, o->addr, end);
	else
		span_clear(m, o->addr, end);
	o->state = MOBJECT_TRANSIT;
	m->counts.live--;
	m->counts.live_bytes -= o->usable;
}

bool
model__run_enter(struct model *m, uint32_t object)
{
	struct mobject *o = model__object(m, object);

	if (!model__hash_insert(&m->by_addr, m->epoch, o->addr, object)) {
		model__out_of_memory(m);
		return (false);
	}
	o->state = MOBJECT_LIVE;
	o->run = 1;
	return (true);
}

void
model__run_leave(struct model *m, uint32_t object)
{
	struct mobject *o = model__object(m, object);
	bool known;

	MODEL_ASSERT(o->state == MOBJECT_LIVE && o->run);
	known = model__hash_remove(&m->by_addr, m->epoch, o->addr);
	MODEL_ASSERT(known);
	o->state = MOBJECT_TRANSIT;
}

bool
model__granule_is_live(struct model *m, uint64_t addr)
{
	struct mregion *r = model__region(m, addr >> REGION_SHIFT);
	uint64_t at = addr & ~(uint64_t)(GRANULE - 1);

	return (r != NULL && part_is_live(r, part_of(at, at + GRANULE)));
}

bool
model__was_freed(struct model *m, uint64_t addr)
{
	struct mregion *r = model__region(m, addr >> REGION_SHIFT);
	struct part p = part_of(addr, addr + GRANULE);

	return (r != NULL && addr % GRANULE == 0 &&
	    (r->dirty >> p.page & 1) != 0 &&
	    (r->freed[p.first / 64] >> p.first % 64 & 1) != 0);
}

bool
model__is_kmalloc_page(struct model *m, uint64_t addr)
{
	struct mregion *r = model__region(m, addr >> REGION_SHIFT);

	return (
	    r != NULL && (r->kmalloc >> addr / PAGE % REGION_PAGES & 1) != 0);
}

bool
model__is_zone_page(const struct model *m, uint64_t addr)
{
	struct mregion *r = model__region(m, addr >> REGION_SHIFT);
	unsigned page = (unsigned)(addr / PAGE % REGION_PAGES);

	return (r != NULL && (r->kmalloc >> page & 1) != 0 &&
	    model__run(m, r->run[page])->owner == MOWNER_ZONE);
}

/* The object's bytes are what was written. False: finding. */
bool
model__contents_kept(struct model *m, const struct mthread *th, uint32_t object)
{
	const struct mobject *o = model__object(m, object);
	const uint8_t *p = (const uint8_t *)(uintptr_t)o->addr;
	uint64_t at = UINT64_MAX;

	if (MODEL_LIKELY(o->bytes == MBYTES_PATTERN))
		at = model__verify(m, p, o->usable, o->seed, UINT64_MAX);
	else if (o->bytes == MBYTES_ZERO)
		at = model__nonzero(m, p, o->usable, o->seed);
	if (MODEL_LIKELY(at == UINT64_MAX))
		return (true);
	model__fail(m, th, "G-2", "contents");
	model__expected(m, "the bytes of %s as its owner wrote them",
	    model__object_text(m, o).s);
	model__found(m, "byte %" PRIu64 " is 0x%02x, not 0x%02x", at, p[at],
	    o->bytes == MBYTES_ZERO ? 0 : model__pattern_byte(o->seed, at));
	return (false);
}

void
model__object_fill(struct model *m, struct mobject *o)
{
	o->seed = ++m->allocs * MODEL_SEED_STEP;
	o->bytes = MBYTES_PATTERN;
	model__fill(m, (void *)(uintptr_t)o->addr, o->usable, o->seed);
}
