/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc's large objects: whole pages (KM-2).
 *
 * The first page's owner is the type, those behind it are its tail. With a
 * redzone there is one page more, the guard, which is neither usable nor
 * charged (G-11); without pages for it the object has none.
 */
#include "kmalloc_int.h"

static bool
large_is_guarded(const char *p, size_t npages)
{
	const struct vm_info *behind = vm__info(p + npages * KA_PAGE_SIZE);

	return (behind != NULL && KM_READ(behind->owner) == VM_OWNER_GUARD);
}

static void
large_own(char *p, size_t npages, bool guarded, struct malloc_type *type)
{
	struct ka_cpu *cpu;
	struct km_use *use;
	size_t i;

	for (i = 1; i < npages; i++)
		ka_store(&vm__info(p + i * KA_PAGE_SIZE)->owner, VM_OWNER_TAIL,
		    RELAXED);
	if (guarded)
		ka_store(&vm__info(p + npages * KA_PAGE_SIZE)->owner,
		    VM_OWNER_GUARD, RELAXED);
	vm__info(p)->npages = (uint32_t)npages;
	ka_store(&vm__info(p)->owner, type->ks_cookie, RELEASE);
	cpu = cpu__lock_self();
	use = cpu_use(cpu, type->ks_cookie);
	ka_tell(cpu);
	KM_ADD(use->u_large, 1);
	KM_ADD(use->u_large_pages, npages);
	cpu__unlock_self(cpu);
}

/* The pages, and one more if there is one; NULL as kmalloc(). */
static char *
large_pages(
    size_t npages, size_t align, int flags, unsigned debug, bool *ret_guarded)
{
	char *p = NULL;

	*ret_guarded = false;
	if (KA_UNLIKELY((debug & KA_DEBUG_REDZONE) != 0))
		p = vm__alloc(npages + 1, align, km__depth(flags), NULL);
	if (p != NULL)
		*ret_guarded = true;
	else
		p = km__pages(npages, align, flags);
	return (p);
}

void *
km__large_alloc(
    size_t npages, size_t align, struct malloc_type *type, int flags)
{
	uint64_t bytes = (uint64_t)npages * KA_PAGE_SIZE;
	bool waits = (flags & M_WAITOK) != 0, guarded;
	char *p;

	if (!km__type_admit(type, bytes))
		return (km__refuse(type, flags));
	if (waits)
		(void)ka_add(&type->ks_waiting, bytes);
	p = large_pages(npages, align, flags, type->ks_debug, &guarded);
	if (waits)
		(void)ka_add(&type->ks_waiting, -bytes);
	if (p == NULL || KA_UNLIKELY(!km__debug_pages(p, npages + guarded))) {
		km__type_forget(type, bytes);
		km__count_call(type);
		if (p != NULL)
			km__debug_pages_panic(p, npages + guarded);
		return (NULL);
	}
	if (KA_UNLIKELY(type->ks_debug != 0))
		km__debug_large_alloc(p, npages, guarded, type->ks_debug);
	large_own(p, npages, guarded, type);
	return (p);
}

void
km__large_free(void *p, struct malloc_type *type, struct vm_info *info)
{
	/* The type may end as soon as the free is counted (KM-17). */
	const unsigned debug = type->ks_debug;
	uint32_t cookie = type->ks_cookie;
	size_t i, npages = info->npages;
	bool guarded =
	    (debug & KA_DEBUG_REDZONE) != 0 && large_is_guarded(p, npages);
	struct ka_trail trail;
	struct ka_cpu *cpu;
	struct km_use *use;

	if (guarded &&
	    !km__debug_guard_holds(p, npages)) /* still the caller's */
		km__panic(KA_WHY_REDZONE, p, "kfree",
		    km__debug_trail(p, &trail) ? &trail : NULL);
	if (!ka_cas(&info->owner, &cookie, VM_OWNER_NONE))
		km__misused(p, "kfree");
	for (i = 1; i < npages + guarded; i++)
		ka_store(&info[i].owner, VM_OWNER_NONE, RELAXED);
	cpu = cpu__lock_self();
	/* If the type has ended before, still to its id: another may be there. */
	use = cpu_use(cpu, cookie);
	ka_tell(cpu);
	KM_ADD(use->u_large_freed, 1);
	KM_ADD(use->u_large_pages_freed, npages);
	cpu__unlock_self(cpu);
	if (KA_UNLIKELY(debug != 0))
		km__debug_large_free(p, npages + guarded, debug);
	if (KA_UNLIKELY((debug & KA_DEBUG_POISON) != 0))
		vm__free_poisoned(p, npages + guarded);
	else
		vm__free(p, npages + guarded);
}
