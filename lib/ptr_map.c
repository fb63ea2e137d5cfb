/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps from addresses to numbers. See ptr_map.h. */
#include "ptr_map.h"

#include <errno.h>
#include <string.h>

#include "ka_assert.h"

static uint64_t
map_slots(const struct ptr_map *map)
{
	return (UINT64_C(1) << (32 - map->shift));
}

int
ptr_map__init(struct ptr_map *map, uint32_t room)
{
	unsigned log = 4;

	if (room > PTR_MAP_ROOM_MAX)
		return (ENOMEM);
	while ((UINT64_C(1) << (log - 1)) < room)
		log++;
	map->shift = 32 - log;
	map->count = 0;
	map->room = (uint32_t)(map_slots(map) / 2);
	map->slot = ka_os_map(map_slots(map) * sizeof(*map->slot));
	return (map->slot == NULL ? ENOMEM : 0);
}

void
ptr_map__fini(struct ptr_map *map)
{
	if (map->slot != NULL)
		ka_os_unmap(map->slot, map_slots(map) * sizeof(*map->slot));
	map->slot = NULL;
}

struct ptr_map_slot *
ptr_map__find(const struct ptr_map *map, const void *p)
{
	uint64_t i = ptr_map_home(map, (uintptr_t)p);
	uint64_t mask = map_slots(map) - 1;

	for (; map->slot[i].key != 0; i = (i + 1) & mask)
		if (map->slot[i].key == (uintptr_t)p)
			return (&map->slot[i]);
	return (NULL);
}

void
ptr_map__insert(struct ptr_map *map, const void *p, uint64_t value)
{
	uint64_t i = ptr_map_home(map, (uintptr_t)p);
	uint64_t mask = map_slots(map) - 1;

	KA_ASSERT(map->count < map->room);
	while (map->slot[i].key != 0)
		i = (i + 1) & mask;
	map->slot[i].key = (uintptr_t)p;
	map->slot[i].value = value;
	map->count++;
}

/* What was put behind the hole because of what was there moves up. */
void
ptr_map__remove(struct ptr_map *map, struct ptr_map_slot *slot)
{
	uint64_t mask = map_slots(map) - 1;
	uint64_t hole = (uint64_t)(slot - map->slot), i = hole;

	for (;;) {
		i = (i + 1) & mask;
		if (map->slot[i].key == 0)
			break;
		/* Is its home at or before the hole, going around? */
		if (((i - ptr_map_home(map, map->slot[i].key)) & mask) >=
		    ((i - hole) & mask)) {
			map->slot[hole] = map->slot[i];
			hole = i;
		}
	}
	map->slot[hole].key = 0;
	map->count--;
}

void
ptr_map__copy(struct ptr_map *to, const struct ptr_map *from)
{
	uint64_t i;

	for (i = 0; i < map_slots(from); i++)
		if (from->slot[i].key != 0)
			ptr_map__insert(
			    to, (void *)from->slot[i].key, from->slot[i].value);
}
