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
 */
#define SIM_BLOCK_PAGES 64u
static void *sim_block[SIM_BLOCK_PAGES + 1];

void *
ka_os_map(size_t bytes)
{
	size_t pages = (bytes + 4095) / 4096;
	void *p;

	if (pages > SIM_BLOCK_PAGES || sim_block[pages] == NULL)
		return (sim_map(pages * 4096, 4096));
	p = sim_block[pages];
	sim_sync_acquire(p);
	sim_block[pages] = *(void **)p;
	memset(p, 0, pages * 4096);
	return (p);
}

void
ka_os_unmap(void *p, size_t bytes)
{
	size_t pages = (bytes + 4095) / 4096;

	if (pages > SIM_BLOCK_PAGES) {
		(void)munmap(p, pages * 4096);
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
