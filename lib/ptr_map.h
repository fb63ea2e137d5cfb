/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A map from addresses to numbers, for what must be known of an object that
 * is not the library's to write to: is it ours, and is it free?
 *
 * Open addressing with linear probing, at most half full, in memory of its
 * own. Whoever uses it locks it. It never grows by itself: a bigger one is made
 * with nothing locked, and everything is moved there.
 */
#ifndef KA_PTR_MAP_H
#define KA_PTR_MAP_H

#include "port/port.h"

/* So that twice as many is a number. */
#define PTR_MAP_ROOM_MAX (UINT32_C(1) << 30)

struct ptr_map_slot {
	uintptr_t key; /* 0: none */
	uint64_t value;
};

struct ptr_map {
	struct ptr_map_slot *slot;
	unsigned shift; /* 32 less the logarithm of the number of slots */
	uint32_t count, room;
};

/* By the low half of the address: the budget is no larger, and where the system
 * has its first page is nobody's choice (G-10). */
KA_INLINE uint64_t
ptr_map_home(const struct ptr_map *map, uintptr_t key)
{
	return ((uint32_t)((uint32_t)key * 0x9e3779b9u) >> map->shift);
}

/* Where it is, or the empty slot where it would be; never NULL. */
KA_INLINE struct ptr_map_slot *
ptr_map_look(const struct ptr_map *map, const void *p)
{
	uint64_t i = ptr_map_home(map, (uintptr_t)p);
	struct ptr_map_slot *slot;

	for (;;) {
		slot = &map->slot[i];
		if (KA_LIKELY(slot->key == (uintptr_t)p) || slot->key == 0)
			return (slot);
		i = (i + 1) & (UINT32_MAX >> map->shift);
	}
}

/* NULL if it is not there. p is not NULL. */
struct ptr_map_slot *ptr_map__find(const struct ptr_map *, const void *p);

/* Room for so many. 0 or ENOMEM, also for more than PTR_MAP_ROOM_MAX. */
int ptr_map__init(struct ptr_map *, uint32_t room);
void ptr_map__fini(struct ptr_map *);
/* What is not there yet; there must be room. */
void ptr_map__insert(struct ptr_map *, const void *p, uint64_t value);
void ptr_map__remove(struct ptr_map *, struct ptr_map_slot *);
/* Everything into another, which has room for it. */
void ptr_map__copy(struct ptr_map *to, const struct ptr_map *from);

#endif
