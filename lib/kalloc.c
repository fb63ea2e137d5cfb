/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a system (G-1): configuration, boot, halt.
 *
 * Order of boot: CPUs, pages, slabs, zones, types; halt is the reverse, but
 * pipes, caches and zones end first: their callbacks may free what is
 * kmalloc's. A failed boot leaves nothing behind.
 */
#include <kalloc/kalloc.h>

#include <errno.h>

#include "kmalloc_int.h"
#include "system_int.h"
#include "zone_int.h"

static bool kalloc_up;

bool
kalloc_is_up(void)
{
	return (__atomic_load_n(&kalloc_up, __ATOMIC_ACQUIRE));
}

static int
config_check(
    const struct kalloc_config *c, unsigned *ret_ncpus, size_t *ret_pages)
{
	unsigned ncpus = c->ncpus != 0 ? c->ncpus : 2 * ka_os_cpus();
	size_t pages = c->pages != 0 ? c->pages : 65536;

	if (c->ncpus == 0 && ncpus > KALLOC_CPUS_MAX)
		ncpus = KALLOC_CPUS_MAX;
	if (ncpus > KALLOC_CPUS_MAX || pages < KALLOC_PAGES_MIN ||
	    pages > KALLOC_PAGES_MAX)
		return (EINVAL);
	if (c->reserve_system > pages / 2 ||
	    c->reserve_interrupt > c->reserve_system)
		return (EINVAL);
	if (c->slabs_keep > 255 || (c->debug & ~(unsigned)KA_DEBUG_ALL) != 0)
		return (EINVAL);
	*ret_ncpus = ncpus;
	*ret_pages = pages;
	return (0);
}

int
kalloc_boot(const struct kalloc_config *config)
{
	size_t pages;
	unsigned ncpus;
	int error;

	if (kalloc_is_up())
		return (EBUSY);
	error = config_check(config, &ncpus, &pages);
	if (error != 0)
		return (error);
	error = cpu__boot(ncpus);
	if (error != 0)
		return (error);
	error =
	    vm__boot(pages, config->reserve_system, config->reserve_interrupt);
	if (error == 0 &&
	    km__slab_reserve((pages + VM_SLAB_PAGES - 1) / VM_SLAB_PAGES) != 0)
		error = ENOMEM;
	if (error == 0 && zone__boot(pages) != 0) {
		km__slab_halt();
		error = ENOMEM;
	}
	if (error != 0) {
		vm__halt();
		cpu__halt();
		return (error);
	}
	km_slabs_keep = config->slabs_keep;
	km_debug = config->debug;
	km__type_boot(&kalloc_up);
	return (0);
}

/* Reports what is still in use; false if nothing is. */
static bool
halt_report(void (*report)(void *, const struct kalloc_leak *), void *arg)
{
	struct kalloc_leak leak = { .name = "pages" };
	bool any = mpipe__report(report, arg);
	uint64_t pages;

	any |= objcache__report(report, arg);
	any |= zone__report(report, arg);
	any |= kmalloc__report(report, arg);
	vm__held(&leak.count, &pages);
	leak.bytes = pages * KA_PAGE_SIZE;
	if (leak.count == 0)
		return (any);
	if (report != NULL)
		report(arg, &leak);
	return (true);
}

int
kalloc_halt(
    bool force, void (*report)(void *, const struct kalloc_leak *), void *arg)
{
	if (!kalloc_is_up())
		return (EINVAL);
	/* To count what nobody asks for would cost the whole budget. */
	if ((!force || report != NULL) && halt_report(report, arg) && !force)
		return (EBUSY);
	mpipe__halt(); /* its threads end as threads of the system */
	objcache__halt();
	zone__halt(force);
	__atomic_store_n(&kalloc_up, false, __ATOMIC_RELEASE);
	km__type_halt();
	km__slab_halt();
	vm__halt();
	cpu__halt();
	return (0);
}
