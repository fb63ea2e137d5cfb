/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Zones: items, their contents, and the callbacks that are told of them.
 *
 * An item of memory is recorded by its address, a token by its number and the
 * cache zone that it is of; both in one hash, those with equal numbers in a
 * chain. Contents are judged whenever somebody is given the item: its holder,
 * its constructor and destructor, init and fini (ZN-1). Whoever is done with
 * it without refusing has written it.
 *
 * Which callback a callback is depends on the zone: init and fini of a
 * primary are those of the slab, of a secondary those of moving from and to
 * it, of a cache zone those of moving from and to the source.
 */
#include "model_zone.h"

bool
zn__items_init(struct mzn *zn)
{
	return (model__pool_init(&zn->item, sizeof(struct mitem), 1024) &&
	    model__hash_init(&zn->by_item, 10));
}

void
zn__items_fini(struct mzn *zn)
{
	if (zn->item.base != NULL)
		model__pool_fini(&zn->item);
	if (zn->by_item.slot != NULL)
		model__hash_fini(&zn->by_item);
}

void
zn__items_reset(struct model *m)
{
	m->zn->item.high = 1;
	m->zn->item_free = 0;
	m->zn->by_item.used = 0;
	if (m->epoch == 1)
		model__hash_clear(&m->zn->by_item);
}

uint32_t
zn__item_find(const struct model *m, uint64_t addr, uint32_t space)
{
	uint32_t i = model__hash_find(&m->zn->by_item, m->epoch, addr);

	while (i != 0 && zn_item(m, i)->space != space)
		i = zn_item(m, i)->chain;
	return (i);
}

/* A record that is in no table yet; 0: no memory. */
static uint32_t
item_new(struct model *m)
{
	uint32_t i = m->zn->item_free;

	if (i != 0)
		m->zn->item_free = zn_item(m, i)->next;
	else if ((i = model__pool_take(&m->zn->item)) == 0)
		model__out_of_memory(m);
	return (i);
}

uint32_t
zn__item_make(struct model *m, uint64_t addr, uint32_t space, uint32_t run)
{
	uint32_t head = model__hash_find(&m->zn->by_item, m->epoch, addr);
	uint32_t i = item_new(m);
	struct mslab *slab;

	if (i == 0)
		return (0);
	*zn_item(m, i) = (struct mitem) { .addr = addr,
		.space = space,
		.run = run,
		.state = MITEM_FREE,
		.bytes = space == 0 ? MBYTES_ZERO : MBYTES_OPEN,
		.used = true };
	if (head != 0) {
		zn_item(m, i)->chain = zn_item(m, head)->chain;
		zn_item(m, head)->chain = i;
	} else if (!model__hash_insert(&m->zn->by_item, m->epoch, addr, i)) {
		model__out_of_memory(m);
		return (0);
	}
	if (space != 0)
		return (i);
	slab = zn_slab(m, run);
	zn_item(m, i)->next = slab->first;
	if (slab->first != 0)
		zn_item(m, slab->first)->prev = i;
	slab->first = i;
	return (i);
}

void
zn__item_drop(struct model *m, uint32_t i)
{
	struct mitem *it = zn_item(m, i);
	uint32_t head = model__hash_find(&m->zn->by_item, m->epoch, it->addr);
	uint32_t at;

	if (head == i) {
		(void)model__hash_remove(&m->zn->by_item, m->epoch, it->addr);
		if (it->chain != 0)
			(void)model__hash_insert(
			    &m->zn->by_item, m->epoch, it->addr, it->chain);
	} else {
		for (at = head; zn_item(m, at)->chain != i;)
			at = zn_item(m, at)->chain;
		zn_item(m, at)->chain = it->chain;
	}
	if (it->space == 0) {
		if (it->prev != 0)
			zn_item(m, it->prev)->next = it->next;
		else
			zn_slab(m, it->run)->first = it->next;
		if (it->next != 0)
			zn_item(m, it->next)->prev = it->prev;
	}
	it->used = false;
	it->next = m->zn->item_free;
	m->zn->item_free = i;
}

/* --- judging an item --- */

/* "arena+0x40", or that it is a pointer which is not named. */
static struct mtext
item_text(const struct model *m, const struct mitem *it)
{
	if (it->space == 0)
		return (model__addr_text(m, it->addr));
	return ((struct mtext) { "a pointer" });
}

static void
fail_item(struct model *m, struct mthread *th, const char *clause,
    const char *state, const char *expected, const struct mitem *it)
{
	model__fail(m, th, clause, state);
	model__expected(m, "%s", expected);
	model__found(m, "%s", item_text(m, it).s);
}

/* Its slab is one of the zone's, and it lies in that as a whole. */
static uint32_t
own_run(
    struct model *m, struct mthread *th, const struct mzone *z, uint64_t addr)
{
	uint32_t run = zn__run_at(m, addr);

	if (run != 0 && zn_slab(m, run)->keg == z->keg &&
	    zn__run_at(m, addr + z->size - 1) == run)
		return (run);
	model__fail(m, th, "G-2", "not-own-slab");
	model__expected(m, "an item in a slab of %s", zn__text(m, z).s);
	model__found(m, "%s", model__addr_text(m, addr).s);
	return (0);
}

uint32_t
zn__item_at(
    struct model *m, struct mthread *th, const struct mzone *z, uint64_t addr)
{
	uint32_t space =
	    z->kind == MZONE_CACHE ? (uint32_t)(z - zn_zone(m, 0)) : 0;
	uint32_t run = 0, i;

	if (space == 0 && (run = own_run(m, th, z, addr)) == 0)
		return (0);
	i = zn__item_find(m, addr, space);
	if (i != 0)
		return (i);
	if (space == 0)
		return (zn__item_make(m, addr, 0, run));
	model__fail(m, th, "ZN-15", "not-imported");
	model__expected(m,
	    "a pointer that %s has of its source and has not released",
	    zn__text(m, z).s);
	model__found(m, "another");
	return (0);
}

/* Nobody has it. False: finding of the clause. */
static bool
is_free(struct model *m, struct mthread *th, const struct mzone *z,
    const struct mitem *it, const char *clause, const char *state)
{
	bool live = it->space == 0 &&
	    (model__granule_is_live(m, it->addr) ||
		model__granule_is_live(m, it->addr + z->size - 1));

	if (it->state == MITEM_FREE && !live)
		return (true);
	fail_item(m, th, clause, state, "an item that nobody has", it);
	return (false);
}

/* Another zone initialised it and has not finalised it. */
static bool
is_anothers(
    const struct model *m, const struct mzone *z, const struct mitem *it)
{
	const struct mzone *other = zn_zone(m, it->zinit);

	return (it->zinit != 0 && other != z && zn_has(other, TRACE_HOOK_FINI));
}

bool
zn__item_is_ready(struct model *m, struct mthread *th, const struct mzone *z,
    const struct mitem *it)
{
	const struct mzone *keg = zn_keg(m, z);
	bool second = z->kind != MZONE_UMA && zn_has(z, TRACE_HOOK_INIT);

	if (!is_free(m, th, z, it, z->kind == MZONE_CACHE ? "ZN-15" : "G-2",
		"overlap"))
		return (false);
	if (z->keg != 0 &&
	    (it->finied || (zn_has(keg, TRACE_HOOK_INIT) && !it->inited))) {
		fail_item(m, th, "ZN-3",
		    it->finied ? "finalised" : "not-initialised",
		    "an item that is initialised", it);
		return (false);
	}
	if ((second && zn_zone(m, it->zinit) != z) || is_anothers(m, z, it)) {
		fail_item(m, th, "ZN-15", "not-initialised",
		    "an item that the zone's own init was given", it);
		return (false);
	}
	return (true);
}

bool
zn__item_kept(struct model *m, struct mthread *th, const struct mzone *z,
    const struct mitem *it, bool zeroed)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)it->addr;
	bool zero = zeroed || it->bytes == MBYTES_ZERO;
	uint64_t at = UINT64_MAX;

	if (it->space != 0)
		return (true);
	if (zero)
		at = model__nonzero(m, p, z->size, it->seed);
	else if (it->bytes == MBYTES_PATTERN)
		at = model__verify(m, p, z->size, it->seed, UINT64_MAX);
	if (at == UINT64_MAX)
		return (true);
	model__fail(
	    m, th, zeroed ? "ZN-9" : "ZN-1", zero ? "nonzero" : "contents");
	model__expected(m, "%" PRIu64 " bytes at %s %s", z->size,
	    model__addr_text(m, it->addr).s,
	    zero ? "that are zero" : "as they were left");
	model__found(m, "byte %" PRIu64 " is 0x%02x, not 0x%02x", at, p[at],
	    zero ? 0 : model__pattern_byte(it->seed, at));
	return (false);
}

/* A callback wrote it. */
static void
item_fill(struct model *m, const struct mzone *z, struct mitem *it)
{
	if (it->space != 0)
		return;
	it->seed = ++m->allocs * MODEL_SEED_STEP;
	it->bytes = MBYTES_PATTERN;
	model__fill(m, (void *)(uintptr_t)it->addr, z->size, it->seed);
}

/* What the callback was told of the call. */
static bool
arguments_hold(struct model *m, struct mthread *th, const struct mzone *z,
    const struct callback *cb)
{
	const struct mzframe *f = zn_frame(m, th);
	bool user = cb->hook == TRACE_HOOK_CTOR || cb->hook == TRACE_HOOK_DTOR;
	uint32_t family = M_WAITOK | M_RNOWAIT;

	if (cb->size != z->size) {
		model__fail(m, th, "ZN-2", "size");
		model__expected(m, "size %" PRIu64, z->size);
		model__found(m, "%" PRIu64, cb->size);
	} else if (user && cb->udata != f->udata) {
		model__fail(m, th, "ZN-2", "argument");
		model__expected(
		    m, "the argument of the call, %" PRIu64, f->udata);
		model__found(m, "%" PRIu64, cb->udata);
	} else if (cb->hook == TRACE_HOOK_CTOR &&
	    (cb->flags & family) != (th->flags & family)) {
		model__fail(m, th, "ZN-2", "flags");
		model__expected(
		    m, "flags 0x%" PRIx32 " of the call", th->flags);
		model__found(m, "0x%" PRIx32, cb->flags);
	} else {
		return (true);
	}
	return (false);
}

/* --- ctor, dtor --- */

/* The frame is in a call of a zone; its struct mzframe is of that. */
static bool
is_call(const struct mthread *th)
{
	return (th->busy && trace_ops[th->code].group == TRACE_G_ZN);
}

static void
ctor_begin(struct model *m, struct mthread *th, const struct mzone *z,
    const struct callback *cb)
{
	struct mzframe *f = zn_frame(m, th);
	bool zeroed = (th->flags & M_ZERO) != 0;
	struct mitem *it;
	uint32_t i;

	if (!is_call(th) || !f->joined || zn_zone(m, f->zone) != z ||
	    f->item != 0 || f->ctor_refused) {
		model__fail(
		    m, th, f->ctor_refused ? "ZN-10" : "ZN-2", "ctor-again");
		model__expected(m, "one constructor call an allocation");
		model__found(m, "another, at %s",
		    z->kind == MZONE_CACHE ? "a pointer" :
					     model__addr_text(m, cb->addr).s);
		return;
	}
	i = z->spoiled ? 0 : zn__item_at(m, th, z, cb->addr);
	if (i == 0)
		return;
	it = zn_item(m, i);
	if (!zn__item_is_ready(m, th, z, it) || !arguments_hold(m, th, z, cb) ||
	    !zn__item_kept(m, th, z, it, zeroed))
		return;
	if (it->ctored) {
		fail_item(m, th, "ZN-2", "ctor-twice",
		    "a destructor between two constructors", it);
		return;
	}
	if (zeroed && it->space == 0)
		it->bytes = MBYTES_ZERO;
	it->state = MITEM_OUT;
	it->frame = th->id;
	it->zone = f->zone;
	f->item = f->callitem = i;
}

static void
ctor_done(struct model *m, struct mthread *th, const struct mzone *z,
    const struct callback *cb)
{
	struct mzframe *f = zn_frame(m, th);
	struct mitem *it = zn_item(m, f->callitem);

	if (cb->ret == 0) {
		f->refused = f->ctor_refused = true;
		f->item = 0;
	}
	if (f->callitem == 0)
		return;
	f->ctor_ran = cb->ret != 0;
	it->ctored = cb->ret != 0 && zn_has(z, TRACE_HOOK_DTOR);
	if (cb->ret != 0)
		item_fill(m, z, it);
	else
		it->state = MITEM_FREE;
}

static void
dtor_begin(struct model *m, struct mthread *th, const struct mzone *z,
    const struct callback *cb)
{
	struct mzframe *f = zn_frame(m, th);
	struct mitem *it = zn_item(m, f->item);

	if (z->spoiled)
		return;
	if (!is_call(th) || !f->taken || zn_zone(m, f->zone) != z ||
	    f->item == 0 || it->state != MITEM_DYING || it->addr != cb->addr) {
		model__fail(
		    m, th, f->ctor_refused ? "ZN-10" : "ZN-2", "dtor-again");
		model__expected(
		    m, "the destructor once, for the item that the call frees");
		model__found(m, "it is called for %s",
		    z->kind == MZONE_CACHE ? "a pointer" :
					     model__addr_text(m, cb->addr).s);
		return;
	}
	if (arguments_hold(m, th, z, cb) && zn__item_kept(m, th, z, it, false))
		f->callitem = f->item;
}

static void
dtor_done(struct model *m, struct mthread *th, const struct mzone *z)
{
	struct mzframe *f = zn_frame(m, th);
	struct mitem *it = zn_item(m, f->callitem);

	if (f->callitem == 0)
		return;
	item_fill(m, z, it);
	it->ctored = false;
	it->state = MITEM_FREE;
	f->item = 0;
}

/* --- init, fini --- */

static void
init_begin(struct model *m, struct mthread *th, const struct mzone *z,
    const struct callback *cb)
{
	struct mzframe *f = zn_frame(m, th);
	bool slab = z->kind == MZONE_UMA;
	const char *clause = slab ? "ZN-3" : "ZN-15";
	uint32_t i = z->spoiled ? 0 : zn__item_at(m, th, z, cb->addr);
	struct mitem *it = zn_item(m, i);

	if (i == 0 || !is_free(m, th, z, it, clause, "init-held") ||
	    !arguments_hold(m, th, z, cb))
		return;
	if (slab ? it->inited || it->finied :
		   it->zinit != 0 &&
		    zn_has(zn_zone(m, it->zinit), TRACE_HOOK_FINI)) {
		fail_item(m, th, clause, "init-twice",
		    "an item that is not initialised", it);
		return;
	}
	if (!slab && z->keg != 0 && zn_has(zn_keg(m, z), TRACE_HOOK_INIT) &&
	    !it->inited) {
		fail_item(m, th, "ZN-15", "before-keg",
		    "an item that the primary initialised", it);
		return;
	}
	if (!zn__item_kept(m, th, z, it, false))
		return;
	it->state = MITEM_CALL;
	f->callitem = i;
}

static void
init_done(struct model *m, struct mthread *th, struct mzone *z,
    const struct callback *cb)
{
	struct mzframe *f = zn_frame(m, th);
	struct mitem *it = zn_item(m, f->callitem);

	if (cb->ret == 0)
		f->refused = true;
	if (f->callitem == 0)
		return;
	it->state = MITEM_FREE;
	if (cb->ret == 0 && z->kind == MZONE_UMA) {
		zn_slab(m, it->run)->failed = true;
		zn__item_drop(m, f->callitem);
		return;
	}
	if (cb->ret == 0)
		return;
	item_fill(m, z, it);
	if (z->kind == MZONE_UMA) {
		it->inited = true;
	} else {
		it->zinit = (uint32_t)(z - zn_zone(m, 0));
		z->zinited++;
	}
}

/* Of a slab of which init failed, the latest comes first (ZN-10). */
static bool
fini_in_order(
    struct model *m, struct mthread *th, uint32_t item, const struct mzone *z)
{
	const struct mitem *it = zn_item(m, item);
	const struct mslab *slab = zn_slab(m, it->run);

	if (!zn_has(z, TRACE_HOOK_INIT) || !slab->failed || slab->first == item)
		return (true);
	fail_item(
	    m, th, "ZN-10", "order", "fini in the reverse order of init", it);
	return (false);
}

static void
fini_begin(struct model *m, struct mthread *th, const struct mzone *z,
    const struct callback *cb)
{
	struct mzframe *f = zn_frame(m, th);
	bool slab = z->kind == MZONE_UMA;
	const char *clause = slab ? "ZN-3" : "ZN-15";
	bool paired = zn_has(z, TRACE_HOOK_INIT);
	uint32_t i = z->spoiled ? 0 : zn__item_at(m, th, z, cb->addr);
	struct mitem *it = zn_item(m, i);

	if (i == 0 || !is_free(m, th, z, it, clause, "fini-held") ||
	    !arguments_hold(m, th, z, cb))
		return;
	if (slab ? it->finied || (paired && !it->inited) :
		   paired && zn_zone(m, it->zinit) != z) {
		fail_item(m, th, clause, "fini-unpaired",
		    "an item that is initialised", it);
		return;
	}
	if (slab && is_anothers(m, z, it)) {
		fail_item(m, th, "ZN-15", "fini-order",
		    "fini of the secondary zone before that of the primary",
		    it);
		return;
	}
	if ((slab && !fini_in_order(m, th, i, z)) ||
	    !zn__item_kept(m, th, z, it, false))
		return;
	it->state = MITEM_CALL;
	f->callitem = i;
}

static void
fini_done(struct model *m, struct mthread *th, struct mzone *z)
{
	struct mzframe *f = zn_frame(m, th);
	struct mitem *it = zn_item(m, f->callitem);

	if (f->callitem == 0)
		return;
	it->state = MITEM_FREE;
	if (z->kind != MZONE_UMA) {
		if (zn_zone(m, it->zinit) == z) {
			it->zinit = 0;
			z->zinited--;
		}
		item_fill(m, z, it);
		return;
	}
	it->inited = false;
	it->finied = true;
	it->bytes = MBYTES_OPEN;
	if (zn_slab(m, it->run)->failed)
		zn__item_drop(m, f->callitem);
}

/* --- import, release --- */

static void
import_done(struct model *m, struct mthread *th, struct mzone *z,
    const struct callback *cb)
{
	uint32_t space = (uint32_t)(z - zn_zone(m, 0));
	uint64_t k;

	if (cb->ret == 0)
		zn_frame(m, th)->refused = true;
	for (k = 0; k < cb->ret && !z->spoiled; k++) {
		if (zn__item_find(m, cb->store[k], space) != 0) {
			model__fail(m, th, "ZN-15", "import");
			model__expected(m, "pointers that the source has");
			model__found(m, "one that was not released");
			return;
		}
		if (zn__item_make(m, cb->store[k], space, 0) == 0)
			return;
		z->tokens++;
	}
}

static void
release_begin(struct model *m, struct mthread *th, struct mzone *z,
    const struct callback *cb)
{
	uint64_t k;
	uint32_t i;

	for (k = 0; k < cb->size && !z->spoiled; k++) {
		const struct mitem *it;

		i = zn__item_at(m, th, z, cb->store[k]);
		it = zn_item(m, i);
		if (i == 0 || !is_free(m, th, z, it, "ZN-15", "release-held"))
			return;
		if (it->zinit != 0 && zn_has(z, TRACE_HOOK_FINI)) {
			fail_item(m, th, "ZN-15", "release-order",
			    "fini before release", it);
			return;
		}
		zn__item_drop(m, i);
		MODEL_ASSERT(z->tokens > 0);
		z->tokens--;
	}
}

/* --- callbacks --- */

static void
maxaction_begin(struct model *m, struct mthread *th, struct mzone *z)
{
	struct mzframe *f = zn_frame(m, th);

	if (f->told) {
		model__fail(m, th, "ZN-5", "maxaction-again");
		model__expected(
		    m, "maxaction of %s once a call at most", zn__text(m, z).s);
		model__found(m, "a second time");
		return;
	}
	f->told = true;
	z->told = true;
	if (z->max_lo != ZN_NO_LIMIT || z->op_until != 0)
		return;
	model__fail(m, th, "ZN-5", "maxaction");
	model__expected(m, "no call: %s has no maximum", zn__text(m, z).s);
	model__found(m, "maxaction called");
}

void
model__zn_callback(
    struct model *m, struct mthread *th, const struct callback *cb)
{
	struct mzframe *f = zn_frame(m, th);
	uint32_t i = zn__zone_of(m, cb->class, cb->handle);
	struct mzone *z = zn_zone(m, i);

	if (!model__is_kalloc(m) || i == 0)
		return;
	f->calling = (uint8_t)(cb->hook + 1);
	f->callitem = 0;
	if (!z->alive) {
		model__fail(m, th, "ZN-11", "callback");
		model__expected(
		    m, "no callback: %s has ended", zn__text(m, z).s);
		model__found(m, "%s", trace_hook_name(cb->hook));
		return;
	}
	switch (cb->hook) {
	case TRACE_HOOK_CTOR:
		ctor_begin(m, th, z, cb);
		break;
	case TRACE_HOOK_DTOR:
		dtor_begin(m, th, z, cb);
		break;
	case TRACE_HOOK_INIT:
		init_begin(m, th, z, cb);
		break;
	case TRACE_HOOK_FINI:
		fini_begin(m, th, z, cb);
		break;
	case TRACE_HOOK_RELEASE:
		release_begin(m, th, z, cb);
		break;
	case TRACE_HOOK_MAXACTION:
		maxaction_begin(m, th, z);
		break;
	default:
		break;
	}
}

void
model__zn_callback_done(
    struct model *m, struct mthread *th, const struct callback *cb)
{
	struct mzframe *f = zn_frame(m, th);
	uint32_t i = zn__zone_of(m, cb->class, cb->handle);
	struct mzone *z = zn_zone(m, i);

	if (!model__is_kalloc(m) || i == 0)
		return;
	f->calling = 0;
	switch (cb->hook) {
	case TRACE_HOOK_CTOR:
		ctor_done(m, th, z, cb);
		break;
	case TRACE_HOOK_DTOR:
		dtor_done(m, th, z);
		break;
	case TRACE_HOOK_INIT:
		init_done(m, th, z, cb);
		break;
	case TRACE_HOOK_FINI:
		fini_done(m, th, z);
		break;
	case TRACE_HOOK_IMPORT:
		import_done(m, th, z, cb);
		break;
	case TRACE_HOOK_ALLOC: /* the source of slabs */
		f->refused |= cb->ret == 0;
		break;
	default:
		break;
	}
	f->callitem = 0;
}
