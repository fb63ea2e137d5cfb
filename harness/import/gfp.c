/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GFP flags as Linux prints them: names joined by '|', with what has no name
 * as a number. Names are looked up without their underscores, since old
 * kernels print GFP_ZERO for __GFP_ZERO; no two names differ by them alone in
 * what matters here.
 *
 *	direct reclaim      M_WAITOK; with NORETRY or RETRY_MAYFAIL |M_NULLOK
 *	NOFAIL              M_WAITOK
 *	neither, with HIGH  M_INTNOWAIT (that is GFP_ATOMIC)
 *	neither             M_NOWAIT
 *	ZERO                |M_ZERO
 *
 * In an interrupt nobody waits, whatever the flags say: M_INTNOWAIT.
 *
 * The bits of numbers are those of Linux 4.4 and later.
 */
#include <kalloc/flags.h>
#include <string.h>

#include "import_int.h"

#define G_HIGH	  0x00020u
#define G_ZERO	  0x00100u
#define G_DIRECT  0x00400u
#define G_MAYFAIL 0x04000u
#define G_NOFAIL  0x08000u
#define G_NORETRY 0x10000u

#define NAME(s, bits)                                                          \
	{                                                                      \
		s, sizeof(s) - 1, bits                                         \
	}

/* Without "GFP_". Those that mean nothing here have no bits. */
static const struct gfp_name {
	const char *name;
	uint32_t size, bits;
} gfp_names[] = {
	/* The frequent ones first. */
	NAME("KERNEL", G_DIRECT),
	NAME("ZERO", G_ZERO),
	NAME("ATOMIC", G_HIGH),
	NAME("NOWARN", 0),
	NAME("NOWAIT", 0),
	NAME("NOMEMALLOC", 0),
	NAME("KERNEL_ACCOUNT", G_DIRECT),
	NAME("NOFS", G_DIRECT),
	NAME("NORETRY", G_NORETRY),
	NAME("COMP", 0),
	NAME("ACCOUNT", 0),
	NAME("NOFAIL", G_NOFAIL),
	NAME("HARDWALL", 0),
	NAME("RECLAIMABLE", 0),
	NAME("MOVABLE", 0),
	/* Composites. */
	NAME("NOIO", G_DIRECT),
	NAME("USER", G_DIRECT),
	NAME("HIGHUSER", G_DIRECT),
	NAME("HIGHUSER_MOVABLE", G_DIRECT),
	NAME("TEMPORARY", G_DIRECT),
	NAME("IOFS", 0),
	NAME("TRANSHUGE", G_DIRECT),
	NAME("TRANSHUGE_LIGHT", 0),
	/* Single flags. */
	NAME("RECLAIM", G_DIRECT),
	NAME("DIRECT_RECLAIM", G_DIRECT),
	NAME("WAIT", G_DIRECT),
	NAME("KSWAPD_RECLAIM", 0),
	NAME("NO_KSWAPD", 0),
	NAME("HIGH", G_HIGH),
	NAME("RETRY_MAYFAIL", G_MAYFAIL),
	NAME("REPEAT", G_MAYFAIL),
	NAME("IO", 0),
	NAME("FS", 0),
	NAME("DMA", 0),
	NAME("DMA32", 0),
	NAME("HIGHMEM", 0),
	NAME("WRITE", 0),
	NAME("COLD", 0),
	NAME("MEMALLOC", 0),
	NAME("THISNODE", 0),
	NAME("NOTRACK", 0),
	NAME("OTHER_NODE", 0),
	NAME("NOLOCKDEP", 0),
	NAME("NO_OBJ_EXT", 0),
	NAME("ZEROTAGS", 0),
	NAME("SKIP_ZERO", 0),
	NAME("SKIP_KASAN", 0),
	NAME("SKIP_KASAN_POISON", 0),
	NAME("SKIP_KASAN_UNPOISON", 0),
};

static bool
gfp_number(const char *s, size_t size, uint32_t *ret_bits)
{
	uint64_t value = 0;
	unsigned base = 10;

	if (size > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
		size -= 2;
	}
	for (size_t i = 0; i < size; i++) {
		const unsigned char c = (unsigned char)s[i];
		unsigned digit = 16;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (c | 0x20u) - 'a' + 10;
		if (digit >= base || value > UINT32_MAX)
			return (false);
		value = value * base + digit;
	}
	*ret_bits = (uint32_t)value;
	return (size > 0 && value <= UINT32_MAX);
}

static bool
gfp_word(const char *s, size_t size, uint32_t *ret_bits)
{
	if (size > 0 && s[0] >= '0' && s[0] <= '9')
		return (gfp_number(s, size, ret_bits));
	while (size > 0 && *s == '_') {
		s++;
		size--;
	}
	*ret_bits = 0;
	if (size == 4 && memcmp(s, "none", 4) == 0)
		return (true);
	if (size < 4 || memcmp(s, "GFP_", 4) != 0)
		return (false);
	s += 4;
	size -= 4;
	for (size_t i = 0; i < sizeof(gfp_names) / sizeof(*gfp_names); i++) {
		const struct gfp_name *const g = &gfp_names[i];

		if (g->size == size && memcmp(g->name, s, size) == 0) {
			*ret_bits = g->bits;
			return (true);
		}
	}
	return (false);
}

uint16_t
import__gfp_flags(const char *gfp, size_t size, bool *ret_known)
{
	const char *const end = gfp + size;
	uint32_t all = 0, bits;
	unsigned flags;

	*ret_known = size > 0;
	while (gfp < end) {
		const char *bar = memchr(gfp, '|', (size_t)(end - gfp));
		const char *const stop = bar != NULL ? bar : end;

		if (gfp_word(gfp, (size_t)(stop - gfp), &bits))
			all |= bits;
		else
			*ret_known = false;
		gfp = stop + 1;
	}
	if ((all & G_NOFAIL) != 0)
		flags = M_WAITOK;
	else if ((all & G_DIRECT) != 0)
		flags = (all & (G_NORETRY | G_MAYFAIL)) != 0 ?
		    M_WAITOK | M_NULLOK :
		    M_WAITOK;
	else
		flags = (all & G_HIGH) != 0 ? M_INTNOWAIT : M_NOWAIT;
	if ((all & G_ZERO) != 0)
		flags |= M_ZERO;
	return ((uint16_t)flags);
}

uint16_t
import__nowait_flags(uint16_t m_flags)
{
	if ((m_flags & M_WAITOK) == 0)
		return (m_flags);
	return ((uint16_t)(M_INTNOWAIT | (m_flags & M_ZERO)));
}

uint16_t
import__vm_flags(uint16_t m_flags)
{
	unsigned flags = VM_ALLOC_NORMAL;

	if ((m_flags & M_USE_INTERRUPT_RESERVE) != 0)
		flags = VM_ALLOC_INTERRUPT;
	else if ((m_flags & M_USE_RESERVE) != 0)
		flags = VM_ALLOC_SYSTEM;
	if ((m_flags & M_ZERO) != 0)
		flags |= VM_ALLOC_ZERO;
	return ((uint16_t)flags);
}
