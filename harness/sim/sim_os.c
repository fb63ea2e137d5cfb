/* SPDX-License-Identifier: BSD-2-Clause */
/* What the port asks of the system, kept from run to run. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim_int.h"
#include "sim_sync.h"

static struct {
	void *p;
	size_t bytes;
} sim_kept[KA_OS_USE_COUNT];

#define SIM_ARENA_ALIGN ((size_t)1 << 32)

static void *
sim_map(size_t bytes, size_t align)
{
	const size_t more = align <= 4096 ? 0 : align;
	char *p = mmap(NULL, bytes + more, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t head;

	if (p == MAP_FAILED)
		return (NULL);
	if (more == 0)
		return (p);
	head = (align - ((uintptr_t)p & (align - 1))) & (align - 1);
	if (head != 0)
		(void)munmap(p, head);
	if (head != align)
		(void)munmap(p + head + bytes, align - head);
	return (p + head);
}

void *
ka_os_reserve(enum ka_os_use use, size_t bytes, size_t align, bool *ret_fresh)
{
	*ret_fresh = false;
	if (sim_kept[use].bytes >= bytes)
		return (sim_kept[use].p);
	if (sim_kept[use].p != NULL)
		(void)munmap(sim_kept[use].p, sim_kept[use].bytes);
	/* Addresses in the budget are alike in their low halves in every
	 * process: the library hashes them (ptr_map.h). */
	if (use == KA_OS_ARENA && align < SIM_ARENA_ALIGN)
		align = SIM_ARENA_ALIGN;
	sim_kept[use].p = sim_map(bytes, align);
	sim_kept[use].bytes = sim_kept[use].p == NULL ? 0 : bytes;
	*ret_fresh = true;
	return (sim_kept[use].p);
}

void
ka_os_release(enum ka_os_use use, void *p, size_t bytes)
{
	(void)use;
	(void)p;
	(void)bytes;
}

/*
 * Small mappings are kept by their number of pages and given out again: to ask
 * the system for each would be most of a short run. A block's first word links
 * it; what is given out is zero. As with the system's, what was done with it
 * before comes before what is done with it now.
 *
 * Some large ones, of which few pages are ever touched, are kept as well: the
 * system is told that these pages are not needed.
 */
#define SIM_BLOCK_PAGES 64u
#define SIM_LARGE_MAX	16u
static void *sim_block[SIM_BLOCK_PAGES + 1];
static struct {
	void *p;
	size_t pages;
} sim_large[SIM_LARGE_MAX];

static void *
sim_large_get(size_t pages)
{
	for (unsigned i = 0; i < SIM_LARGE_MAX; i++) {
		void *const p = sim_large[i].p;

		if (p == NULL || sim_large[i].pages != pages)
			continue;
		sim_large[i].p = NULL;
		sim_sync_acquire(p);
		return (p);
	}
	return (NULL);
}

static void
sim_large_put(void *p, size_t pages)
{
	static unsigned turn;
	const unsigned i = turn++ % SIM_LARGE_MAX;

	if (madvise(p, pages * 4096, MADV_DONTNEED) != 0) {
		(void)munmap(p, pages * 4096);
		return;
	}
	if (sim_large[i].p != NULL)
		(void)munmap(sim_large[i].p, sim_large[i].pages * 4096);
	sim_sync_release(p);
	sim_large[i].p = p;
	sim_large[i].pages = pages;
}

static uint64_t sim_pages_mapped;

uint64_t
sim_mapped(void)
{
	return (sim_pages_mapped);
}

void *
ka_os_map(size_t bytes)
{
	size_t pages = (bytes + 4095) / 4096;
	void *p;

	p = pages > SIM_BLOCK_PAGES ? sim_large_get(pages) : sim_block[pages];
	if (p == NULL) {
		p = sim_map(pages * 4096, 4096);
		sim_pages_mapped += p != NULL ? pages : 0;
		return (p);
	}
	sim_pages_mapped += pages;
	if (pages > SIM_BLOCK_PAGES)
		return (p);
	sim_sync_acquire(p);
	sim_block[pages] = *(void **)p;
	memset(p, 0, pages * 4096);
	return (p);
}

void
ka_os_unmap(void *p, size_t bytes)
{
	size_t pages = (bytes + 4095) / 4096;

	sim_pages_mapped -= pages;
	if (pages > SIM_BLOCK_PAGES) {
		sim_large_put(p, pages);
		return;
	}
	*(void **)p = sim_block[pages];
	sim_block[pages] = p;
	sim_sync_release(p);
}

unsigned
ka_os_cpus(void)
{
	return (1);
}

/* A fiber's frames end at its entry; the harness's own are of no use. */
unsigned
ka_os_backtrace(void **frames, unsigned max)
{
	frames[0] = __builtin_return_address(0);
	return (max > 0 ? 1 : 0);
}

void
ka_os_write_error(const char *line)
{
	(void)!write(STDERR_FILENO, line, strlen(line));
}

void
ka_os_abort(void)
{
	abort();
}
