/* SPDX-License-Identifier: BSD-2-Clause */
/* kmalloc's auditor and picture: walks over all slabs at quiescence. */
#include "kmalloc_int.h"

#include <stdio.h>
#include <string.h>

static char audit_text[160];

#define AUDIT(cond, id, ...)                                                   \
	do {                                                                   \
		if (!(cond)) {                                                 \
			(void)snprintf(                                        \
			    audit_text, sizeof(audit_text), __VA_ARGS__);      \
			return (id);                                           \
		}                                                              \
	} while (0)

static const char *const state_names[] = { "none", "current", "partial", "full",
	"free", "moving" };

static struct ka_slab *
audit_slab(size_t slot)
{
	uintptr_t base = (uintptr_t)vm__base() + slot * KA_SLAB_SIZE;
	struct ka_slab *slab = km_slab_at((void *)base);

	return (
	    slab->s_base == base && slab->s_state != SLAB_NONE ? slab : NULL);
}

static bool
list_has(const struct ka_slab *at, const struct ka_slab *slab)
{
	for (; at != NULL; at = at->s_next)
		if (at == slab)
			return (true);
	return (false);
}

/* I-KM-1, I-KM-5: where the slab is, is where its state says. */
static const char *
audit_place(const struct ka_slab *slab)
{
	const struct ka_cpu *cpu = cpu_at(slab->s_cpu);
	bool current = cpu->c_slab[slab->s_class] == slab;
	bool partial = list_has(cpu->c_partial[slab->s_class].first, slab);
	bool kept = list_has(cpu->c_free, slab);

	AUDIT(current == (slab->s_state == SLAB_CURRENT), "I-KM-1",
	    "a %s slab of class %u is%s its cpu's current one",
	    state_names[slab->s_state], slab->s_class, current ? "" : " not");
	AUDIT(partial == (slab->s_state == SLAB_PARTIAL), "I-KM-1",
	    "a %s slab of class %u is%s on its cpu's partial list",
	    state_names[slab->s_state], slab->s_class, partial ? "" : " not");
	AUDIT(kept == (slab->s_state == SLAB_FREE), "I-KM-1",
	    "a %s slab of class %u is%s among the kept ones",
	    state_names[slab->s_state], slab->s_class, kept ? "" : " not");
	AUDIT(slab->s_state != SLAB_FULL || slab->s_nfree == 0, "I-KM-5",
	    "a full slab of class %u has %u free chunks on no list",
	    slab->s_class, (unsigned)slab->s_nfree);
	return (NULL);
}

/* I-KM-2, I-KM-3: the entries and the stack agree. */
static const char *
audit_entries(const struct ka_slab *slab, uint64_t *owned)
{
	static uint64_t seen[SLAB_CHUNKS_MAX / 64];
	uint32_t i, free = 0;

	AUDIT(slab->s_nfree <= slab->s_carved && slab->s_carved <= slab->s_max,
	    "I-KM-2", "%u free of %u carved of %u chunks",
	    (unsigned)slab->s_nfree, slab->s_carved, slab->s_max);
	memset(seen, 0, (slab->s_carved + 63) / 64 * sizeof(*seen));
	for (i = 0; i < slab->s_nfree; i++) {
		uintptr_t off = slab->s_stack[i] - slab->s_base;
		uint32_t index = (uint32_t)(off / slab->s_size);
		uint64_t bit = UINT64_C(1) << index % 64;

		AUDIT(off / slab->s_size < slab->s_carved, "I-KM-2",
		    "chunk %u on the stack was never carved", index);
		AUDIT(off % slab->s_size == 0, "I-KM-2",
		    "what is on the stack is within chunk %u", index);
		AUDIT((seen[index / 64] & bit) == 0, "I-KM-2",
		    "chunk %u is on the stack twice", index);
		seen[index / 64] |= bit;
		AUDIT(slab->s_entry[index].e_owner == OWNER_FREE, "I-KM-2",
		    "chunk %u on the stack is not free", index);
	}
	for (i = 0; i < slab->s_carved; i++) {
		uint32_t owner = slab->s_entry[i].e_owner;

		if (owner == OWNER_FREE) {
			free++;
			continue;
		}
		if ((owner & OWNER_REMOTE) != 0)
			continue;
		AUDIT((owner & 0xffff) == i * slab->s_size, "I-KM-3",
		    "chunk %u is owned at another offset", i);
		AUDIT(km__type_is_id(owner >> 16), "I-KM-3",
		    "chunk %u is owned by no type", i);
		(*owned)++;
	}
	AUDIT(free == slab->s_nfree, "I-KM-2",
	    "%u chunks are free, %u on the stack", free,
	    (unsigned)slab->s_nfree);
	return (NULL);
}

/* I-KM-6: what a CPU keeps is as many as it says, and not too many. */
static const char *
audit_kept(unsigned index)
{
	const struct ka_cpu *cpu = cpu_at(index);
	const struct ka_slab *slab;
	unsigned n = 0;

	for (slab = cpu->c_free; slab != NULL; slab = slab->s_next)
		n++;
	AUDIT(cpu->c_free_count == n, "I-KM-6",
	    "cpu %u keeps %u free slabs and counts %u", index, n,
	    cpu->c_free_count);
	AUDIT(n <= km_slabs_keep, "I-KM-6",
	    "cpu %u keeps %u free slabs, of at most %u", index, n,
	    km_slabs_keep);
	return (NULL);
}

struct audit_types {
	uint64_t inuse, watched;
};

static void
audit_sum(void *arg, struct malloc_type *type)
{
	struct audit_types *types = arg;
	struct kmalloc_stats s;

	kmalloc_type_stats(type, &s);
	types->inuse += s.inuse;
	types->watched += KM_READ(type->ks_watched);
}

const char *
kmalloc_audit(const char **ret_found)
{
	struct audit_types types = { 0 };
	uint64_t owned = 0;
	const char *id;
	unsigned i;
	size_t slot, slots = vm__bytes() / KA_SLAB_SIZE;

	*ret_found = audit_text;
	if (!kalloc_is_up())
		return (NULL);
	for (slot = 0; slot < slots; slot++) {
		const struct ka_slab *slab = audit_slab(slot);

		if (slab == NULL)
			continue;
		id = audit_place(slab);
		if (id == NULL)
			id = audit_entries(slab, &owned);
		if (id != NULL)
			return (id);
	}
	for (i = 0; i <= cpu_count; i++) {
		id = audit_kept(i);
		if (id != NULL)
			return (id);
	}
	for (slot = vm__info_next(0); slot < vm__bytes() / KA_PAGE_SIZE;
	     slot = vm__info_next(slot + 1))
		owned += (vm__info(vm__base() + slot * KA_PAGE_SIZE)->owner &
			     VM_OWNER_RUN) == 0;
	km__type_each(audit_sum, &types);
	types.inuse += km__type_stale_objects();
	AUDIT(types.inuse == owned, "I-KM-4",
	    "types count %llu objects in use, %llu chunks are owned",
	    (unsigned long long)types.inuse, (unsigned long long)owned);
	AUDIT(vm__waiters() != 0 ||
		(KM_READ(cpu_shortage) == 0 && types.watched == 0),
	    "I-KM-7",
	    "nobody waits, pages are short for %u and limits watched by %llu",
	    KM_READ(cpu_shortage), (unsigned long long)types.watched);
	return (NULL);
}

void
kmalloc_map(void (*put)(void *arg, const char *line), void *arg)
{
	size_t slot, slots = vm__bytes() / KA_SLAB_SIZE;

	for (slot = 0; slot < slots; slot++) {
		const struct ka_slab *slab = audit_slab(slot);
		char line[160], cells[65];
		uint32_t i, cell, per;

		if (slab == NULL)
			continue;
		per = (slab->s_max + 63) / 64;
		memset(cells, 0, sizeof(cells));
		for (cell = 0; cell * per < slab->s_max; cell++) {
			uint32_t used = 0, n = 0;

			for (i = cell * per;
			     i < (cell + 1) * per && i < slab->s_carved;
			     i++, n++)
				used += slab->s_entry[i].e_owner != OWNER_FREE;
			cells[cell] = n == 0 ? ' ' :
			    used == 0	     ? '.' :
			    used == n	     ? '#' :
					       '+';
		}
		(void)snprintf(line, sizeof(line),
		    "slab %4zu cpu %2u %5u bytes %-7s %4u/%-4u |%s|", slot,
		    slab->s_cpu, slab->s_size, state_names[slab->s_state],
		    slab->s_carved - (unsigned)slab->s_nfree, slab->s_max,
		    cells);
		put(arg, line);
	}
}
