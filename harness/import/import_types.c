/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names to owners: a malloc type for each function that called kmalloc, and
 * for each cache what the map says. A cache and a function may have one name
 * and are two owners all the same. When there are no more names than
 * IMPORT_TYPES_MAX - 1, each has its own; the last one is "other", a malloc
 * type for all names after that.
 *
 * What an owner is made with is known when all of the input was seen: the size
 * of its objects is the largest of its events, what it guarantees or expects
 * follows from the largest number of them that was live.
 */
#include <errno.h>
#include <kalloc/flags.h>
#include <stdlib.h>
#include <string.h>

#include "import_int.h"

#define TYPES_CAP_MIN 512u
#define OTHER	      (IMPORT_TYPES_MAX - 1)
/* Zones that the laboratory gives callbacks; a zone is told nothing by which
 * its callbacks could know it, so each needs functions of its own. */
#define CALLED_MAX 16u
#define NNOM_MIN   4u
#define NNOM_MAX   1024u

static uint32_t
hash_of(struct import__span s, bool cache)
{
	uint32_t hash = cache ? 0x9747b28cu : 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < s.size; i++)
		hash = (hash ^ (unsigned char)s.at[i]) * 16777619u;
	return (hash);
}

static int
grow(struct import__types *t)
{
	const size_t cap = t->cap == 0 ? TYPES_CAP_MIN : 2 * t->cap;
	struct import__name *slot = calloc(cap, sizeof(*slot));

	if (slot == NULL)
		return (ENOMEM);
	for (size_t i = 0; i < t->cap; i++) {
		size_t j = t->slot[i].hash & (cap - 1);

		if (t->slot[i].name == NULL)
			continue;
		while (slot[j].name != NULL)
			j = (j + 1) & (cap - 1);
		slot[j] = t->slot[i];
	}
	free(t->slot);
	t->slot = slot;
	t->cap = cap;
	return (0);
}

/* An owner for a name that is new. */
static int
owner_new(struct import *im, const char *name, size_t size, bool cache,
    uint32_t *ret_owner)
{
	struct import__types *const t = &im->types;
	struct import__owner *const o = &t->owner[t->nowners];
	uint32_t str;

	if (t->nowners < OTHER) {
		str = trace_str_intern(&im->header, name, size);
	} else {
		t->folded++;
		*ret_owner = OTHER;
		if (t->nowners == IMPORT_TYPES_MAX)
			return (0);
		str = trace_str_intern(&im->header, "other", 5);
		cache = false;
	}
	if (str == UINT32_MAX)
		return (ENOMEM);
	*o = (struct import__owner) {
		.str = str,
		.kind = (uint8_t)(cache ? import__map_kind(&im->options, name) :
					  IMPORT_KMALLOC),
		.constructed = cache && import__is_constructed(name),
	};
	*ret_owner = t->nowners++;
	return (0);
}

static int
name_add(struct import *im, struct import__name *slot, struct import__span name)
{
	struct import__types *const t = &im->types;
	char *copy = malloc(name.size + 1);

	if (copy == NULL)
		return (ENOMEM);
	memcpy(copy, name.at, name.size);
	copy[name.size] = '\0';
	if (owner_new(im, copy, name.size, slot->cache, &slot->owner) != 0) {
		free(copy);
		return (ENOMEM);
	}
	slot->name = copy;
	slot->size = (uint32_t)name.size;
	t->count++;
	if (slot->cache)
		t->caches++;
	else
		t->sites++;
	return (0);
}

int
import__types_find(
    struct import *im, const struct import__event *ev, uint32_t *ret_owner)
{
	struct import__types *const t = &im->types;
	const bool cache = ev->cache.size > 0;
	struct import__span name = cache ? ev->cache : ev->site;
	if (name.size == 0)
		name = (struct import__span) { "?", 1 };
	const uint32_t hash = hash_of(name, cache);
	if (2 * (t->count + 1) > t->cap && grow(t) != 0)
		return (ENOMEM);
	size_t i = hash & (t->cap - 1);
	for (; t->slot[i].name != NULL; i = (i + 1) & (t->cap - 1)) {
		const struct import__name *const n = &t->slot[i];

		if (n->hash == hash && n->cache == cache &&
		    n->size == name.size &&
		    memcmp(n->name, name.at, name.size) == 0) {
			*ret_owner = n->owner;
			return (0);
		}
	}
	t->slot[i].hash = hash;
	t->slot[i].cache = cache;
	if (name_add(im, &t->slot[i], name) != 0)
		return (ENOMEM);
	*ret_owner = t->slot[i].owner;
	return (0);
}

void
import__types_fini(struct import__types *t)
{
	for (size_t i = 0; i < t->cap; i++)
		free(t->slot[i].name);
	free(t->slot);
	*t = (struct import__types) { 0 };
}

void
import__owner_add(struct import__owner *o, uint64_t size, uint16_t flags)
{
	if (size > o->size)
		o->size = size;
	o->flags |= flags;
	if (++o->live > o->live_peak)
		o->live_peak = o->live;
}

void
import__owner_remove(struct import__owner *o)
{
	TRACE__ASSERT(o->live > 0);
	o->live--;
}

uint32_t
import__pipe_nnom(const struct import__owner *o)
{
	const uint32_t nnom = o->live_peak / 4;

	return (nnom < NNOM_MIN ? NNOM_MIN : nnom > NNOM_MAX ? NNOM_MAX : nnom);
}

/*
 * A constructor of Linux runs when a slab is made, as init of a zone does, as
 * ctor of an objcache does for an object that comes from its backend, and as
 * the construct of a pipe. zinit has none.
 */
static uint32_t
hooks_of(const struct import__owner *o, uint32_t *called)
{
	const uint32_t pair = 1u << TRACE_HOOK_CTOR | 1u << TRACE_HOOK_DTOR;
	uint32_t hooks = 0;

	switch ((enum import_kind)o->kind) {
	case IMPORT_UMA:
		if (o->constructed && (*called)++ < CALLED_MAX)
			hooks = 1u << TRACE_HOOK_INIT | 1u << TRACE_HOOK_FINI;
		break;
	case IMPORT_OBJCACHE:
		/* A get cannot ask for zeroes, so the backend is asked. */
		if ((o->flags & M_ZERO) != 0)
			hooks = 1u << TRACE_HOOK_ZERO;
		if (o->constructed)
			hooks |= pair;
		break;
	case IMPORT_MPIPE:
		if (o->constructed)
			hooks = pair;
		break;
	default:
		break;
	}
	return (hooks);
}

void
import__types_conclude(struct import *im)
{
	struct import_report *const rep = &im->report;
	uint32_t called = 0;

	for (uint32_t i = 0; i < im->types.nowners; i++) {
		struct import__owner *const o = &im->types.owner[i];

		/* Such sizes only kmalloc has. */
		if (o->size == 0 || o->size > UMA_SIZE_MAX)
			o->kind = IMPORT_KMALLOC;
		o->hooks = hooks_of(o, &called);
		rep->constructed += (o->hooks & ~(1u << TRACE_HOOK_ZERO)) != 0;
		switch ((enum import_kind)o->kind) {
		case IMPORT_UMA:
			o->reg = (uint32_t)rep->zones++;
			break;
		case IMPORT_ZINIT:
			o->reg = (uint32_t)rep->vmzones++;
			break;
		case IMPORT_OBJCACHE:
			o->reg = (uint32_t)rep->objcaches++;
			o->type = (uint32_t)rep->types++;
			break;
		case IMPORT_MPIPE:
			o->reg = (uint32_t)rep->pipes++;
			o->type = (uint32_t)rep->types++;
			break;
		default:
			o->type = (uint32_t)rep->types++;
			break;
		}
	}
}
