/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The allocators that are measured, each as setup(size), GET and PUT: ours
 * linked statically, others as their users link them. Exactly one USE_ is
 * defined.
 */
#ifndef BENCH_ALLOCATOR_H
#define BENCH_ALLOCATOR_H

#include <stdlib.h>

#if defined(USE_MALLOC)
/* The malloc of the process, through the dynamic linker. */
#define GET(size) malloc(size)
#define PUT(p)	  free(p)
static void
setup(size_t size)
{
	(void)size;
}
#elif defined(USE_GSLICE)
#include <glib.h>
static size_t slice_size;
#define GET(size) g_slice_alloc(size)
#define PUT(p)	  g_slice_free1(slice_size, (p))
static void
setup(size_t size)
{
	slice_size = size;
}
#elif defined(USE_RTE)
#include <rte_eal.h>
#include <rte_mempool.h>
/* With its cache of each core. */
static struct rte_mempool *rte_pool;
static inline void *
rte_get(void)
{
	void *p = NULL;

	(void)rte_mempool_get(rte_pool, &p);
	return (p);
}
#define GET(size) rte_get()
#define PUT(p)	  rte_mempool_put(rte_pool, (p))
static void
setup(size_t size)
{
	char *args[] = { "bench", "--no-huge", "--no-pci", "-m", "64",
		"--no-telemetry", "--no-shconf", "--log-level=1", "-l", "0" };

	if (rte_eal_init(sizeof(args) / sizeof(*args), args) < 0)
		exit(1);
	rte_pool = rte_mempool_create("bench", 8191, (unsigned)size, 256, 0,
	    NULL, NULL, NULL, NULL, SOCKET_ID_ANY, 0);
	if (rte_pool == NULL)
		exit(1);
}
#else
#include <kalloc/kmalloc.h>
MALLOC_DEFINE(M_BENCH, "bench", "benchmark");
static void
setup_system(void)
{
	struct kalloc_config config = { 0 };

	if (kalloc_boot(&config) != 0)
		exit(1);
}
#if defined(USE_KMALLOC)
#define GET(size) kmalloc((size), M_BENCH, M_WAITOK)
#define PUT(p)	  kfree((p), M_BENCH)
static void
setup(size_t size)
{
	(void)size;
	setup_system();
}
#elif defined(USE_OBJCACHE)
#include <kalloc/objcache.h>
static struct objcache *cache;
#define GET(size) objcache_get(cache, M_WAITOK)
#define PUT(p)	  objcache_put(cache, (p))
static void
setup(size_t size)
{
	setup_system();
	cache = objcache_create_simple(M_BENCH, size);
}
#elif defined(USE_UMA)
#include <kalloc/uma.h>
static uma_zone_t zone;
#define GET(size) uma_zalloc(zone, M_WAITOK)
#define PUT(p)	  uma_zfree(zone, (p))
static void
setup(size_t size)
{
	setup_system();
	zone = uma_zcreate(
	    "bench", size, NULL, NULL, NULL, NULL, UMA_ALIGN_PTR, 0);
}
#elif defined(USE_ZINIT)
#include <kalloc/zone.h>
static vm_zone_t zone;
#define GET(size) zalloc(zone)
#define PUT(p)	  zfree(zone, (p))
static void
setup(size_t size)
{
	setup_system();
	zone = zinit("bench", size, 0, 0);
}
#elif defined(USE_MPIPE)
#include <kalloc/mpipe.h>
static struct malloc_pipe bench_pipe;
#define GET(size) mpipe_alloc_nowait(&bench_pipe)
#define PUT(p)	  mpipe_free(&bench_pipe, (p))
static void
setup(size_t size)
{
	setup_system();
	mpipe_init(
	    &bench_pipe, M_BENCH, size, 4096, -1, MPF_NOZERO, NULL, NULL, NULL);
}
#endif
#endif

#endif
