/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names to malloc types. A cache and a function may have one name and are two
 * types all the same. When there are no more types than IMPORT_TYPES_MAX - 1,
 * each name has its own; the last one is "other", for all names after that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "import_int.h"

#define TYPES_CAP_MIN 512u
#define OTHER	      (IMPORT_TYPES_MAX - 1)

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

/* A type for a name that is new. */
static int
type_new(struct import__types *t, struct trace_header *h,
    struct import__span name, uint32_t *ret_type)
{
	uint32_t str;

	if (t->ntypes < OTHER) {
		str = trace_str_intern(h, name.at, name.size);
	} else {
		t->folded++;
		*ret_type = OTHER;
		if (t->ntypes == IMPORT_TYPES_MAX)
			return (0);
		str = trace_str_intern(h, "other", 5);
	}
	if (str == UINT32_MAX)
		return (ENOMEM);
	t->str[t->ntypes] = str;
	*ret_type = t->ntypes++;
	return (0);
}

static int
name_add(struct import__types *t, struct trace_header *h,
    struct import__name *slot, struct import__span name)
{
	char *copy = malloc(name.size + 1);

	if (copy == NULL)
		return (ENOMEM);
	if (type_new(t, h, name, &slot->type) != 0) {
		free(copy);
		return (ENOMEM);
	}
	memcpy(copy, name.at, name.size);
	copy[name.size] = '\0';
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
import__types_find(struct import__types *t, struct trace_header *h,
    const struct import__event *ev, uint32_t *ret_type)
{
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
			*ret_type = n->type;
			return (0);
		}
	}
	t->slot[i].hash = hash;
	t->slot[i].cache = cache;
	if (name_add(t, h, &t->slot[i], name) != 0)
		return (ENOMEM);
	*ret_type = t->slot[i].type;
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
