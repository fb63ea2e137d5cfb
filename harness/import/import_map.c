/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a cache of the kernel becomes, by its name: the user's map, and the
 * caches of Linux that have a constructor.
 */
#include <fnmatch.h>
#include <string.h>

#include "import_int.h"

static const char *const kind_names[IMPORT_KIND_COUNT] = {
	[IMPORT_UMA] = "uma",
	[IMPORT_OBJCACHE] = "objcache",
	[IMPORT_MPIPE] = "mpipe",
	[IMPORT_ZINIT] = "zinit",
	[IMPORT_KMALLOC] = "kmalloc",
};

/*
 * The caches that Linux makes with a constructor, by its sources up to 6.x:
 * nearly all that hold an inode, and few others. A recording does not tell.
 */
static const char *const constructed[] = {
	"inode_cache",
	"*_inode_cache",
	"anon_vma",
	"sighand_cache",
	"radix_tree_node",
	"bdev_cache",
	"dax_cache",
	"btrfs_inode",
	"ceph_inode_info",
	"erofs_inode",
	"fuse_inode",
	"gfs2_glock",
	"gfs2_inode",
	"jfs_ip",
	"ovl_inode",
	"pgtable-2^*",
	"ubifs_inode_slab",
	"xfs_inode",
};
/* Of these, what security modules attach to an inode, and is no inode. */
#define NOT_CONSTRUCTED "lsm_inode_cache"

/* What follows the bracket of a set of characters; NULL: it does not end. */
static const char *
skip_set(const char *p)
{
	if (*p == '!' || *p == '^')
		p++;
	if (*p == ']')
		p++;
	for (; *p != ']'; p++) {
		if (*p == '[' && (p[1] == ':' || p[1] == '.' || p[1] == '=')) {
			const char end[] = { p[1], ']', '\0' };

			p = strstr(p + 2, end);
			if (p == NULL)
				return (NULL);
			p++;
		} else if (*p == '\\' && p[1] != '\0') {
			p++;
		} else if (*p == '\0') {
			return (NULL);
		}
	}
	return (p + 1);
}

/* fnmatch(3) does not tell what is no pattern, it takes it at its letters. */
static const char *
pattern_fault(const char *p)
{
	if (*p == '\0')
		return ("empty pattern");
	while (*p != '\0') {
		if (*p == '\\' && p[1] == '\0')
			return ("pattern ends in a backslash");
		if (*p == '[') {
			p = skip_set(p + 1);
			if (p == NULL)
				return ("pattern has a [ without its ]");
			continue;
		}
		p += *p == '\\' ? 2 : 1;
	}
	return (NULL);
}

const char *
import_map_parse(const char *text, struct import_map *ret_map)
{
	const char *const at = strrchr(text, '=');
	unsigned kind = 0;

	if (at == NULL)
		return ("expected PATTERN=KIND");
	while (
	    kind < IMPORT_KIND_COUNT && strcmp(at + 1, kind_names[kind]) != 0)
		kind++;
	if (kind == IMPORT_KIND_COUNT)
		return ("unknown kind, expected uma, objcache, mpipe, zinit or "
			"kmalloc");
	if ((size_t)(at - text) > IMPORT_PATTERN_MAX)
		return ("pattern too long, expected at most 63 characters");
	memcpy(ret_map->pattern, text, (size_t)(at - text));
	ret_map->pattern[at - text] = '\0';
	ret_map->kind = (enum import_kind)kind;
	return (pattern_fault(ret_map->pattern));
}

enum import_kind
import__map_kind(const struct import_options *options, const char *cache)
{
	for (uint32_t i = 0; i < options->nmaps; i++) {
		if (fnmatch(options->map[i].pattern, cache, 0) == 0)
			return (options->map[i].kind);
	}
	return (IMPORT_UMA);
}

bool
import__is_constructed(const char *cache)
{
	if (strcmp(cache, NOT_CONSTRUCTED) == 0)
		return (false);
	for (size_t i = 0; i < sizeof(constructed) / sizeof(*constructed);
	     i++) {
		if (fnmatch(constructed[i], cache, 0) == 0)
			return (true);
	}
	return (false);
}
