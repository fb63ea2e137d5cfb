/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of operations as data, and every word of the language: names of
 * operations, kinds, flags, and what to suggest for a misspelt one.
 */
#include <kalloc/flags.h>

#include <string.h>

#include "trace_int.h"

#define NARGS(a0, a1, a2, a3, a4, a5)                                          \
	((TRACE_K_##a0 != TRACE_K_NONE) + (TRACE_K_##a1 != TRACE_K_NONE) +     \
	    (TRACE_K_##a2 != TRACE_K_NONE) + (TRACE_K_##a3 != TRACE_K_NONE) +  \
	    (TRACE_K_##a4 != TRACE_K_NONE) + (TRACE_K_##a5 != TRACE_K_NONE))

const struct trace_opdef trace_ops[TRACE_OP_COUNT] = {
#define OP(id, opname, opgroup, opout, a0, a1, a2, a3, a4, a5, ophelp)         \
	{ .name = opname,                                                      \
		.group = TRACE_G_##opgroup,                                    \
		.out = OUT_##opout,                                            \
		.nargs = NARGS(a0, a1, a2, a3, a4, a5),                        \
		.arg = { TRACE_K_##a0, TRACE_K_##a1, TRACE_K_##a2,             \
		    TRACE_K_##a3, TRACE_K_##a4, TRACE_K_##a5 },                \
		.help = ophelp },
#include "ops.def"
#undef OP
};

/* Lengths apart from the names: a look-up compares these first. */
static const uint8_t op_length[TRACE_OP_COUNT] = {
#define OP(id, opname, opgroup, opout, a0, a1, a2, a3, a4, a5, ophelp)         \
	sizeof(opname) - 1,
#include "ops.def"
#undef OP
};

/* The opcode is seven bits of a byte of the binary form. */
_Static_assert(TRACE_OP_COUNT <= 128, "opcodes do not fit the binary form");

struct kind {
	const char *name;
	const char *expected;
	int class;
	bool writes, ends;
};

#define EXPECT_OBJ    "an object (p0, p1, ...) or null"
#define EXPECT_TYPE   "a malloc type (m0, m1, ...) or null"
#define EXPECT_RUN    "a run of pages (g0, g1, ...) or null"
#define EXPECT_CACHE  "an objcache (c0, c1, ...) or null"
#define EXPECT_PIPE   "an mpipe (q0, q1, ...) or null"
#define EXPECT_ZONE   "a zone (z0, z1, ...) or null"
#define EXPECT_VMZONE "a zone of zinit (b0, b1, ...) or null"

/* The rows of a class of registers that can be read, changed and ended. */
#define CLASS_KINDS(cls, kname)                                                \
	[TRACE_K_##cls##                                                       \
	    _USE] = { kname, EXPECT_##cls, TRACE_##cls, false, false },        \
     [TRACE_K_##cls##                                                          \
	 _MOD] = { kname, EXPECT_##cls, TRACE_##cls, true, false },            \
     [TRACE_K_##cls##_END] = { kname, EXPECT_##cls, TRACE_##cls, true, true }

static const struct kind kinds[] = {
	[TRACE_K_NONE] = { "none", "nothing", -1, false, false },
	CLASS_KINDS(OBJ, "object"),
	CLASS_KINDS(TYPE, "type"),
	CLASS_KINDS(CACHE, "cache"),
	CLASS_KINDS(PIPE, "pipe"),
	CLASS_KINDS(ZONE, "zone"),
	CLASS_KINDS(VMZONE, "vmzone"),
	[TRACE_K_RUN_USE] = { "run", EXPECT_RUN, TRACE_RUN, false, false },
	[TRACE_K_RUN_END] = { "run", EXPECT_RUN, TRACE_RUN, true, true },
	[TRACE_K_SIZE] = { "size", "a size in bytes", -1, false, false },
	[TRACE_K_NUM] = { "number", "a number", -1, false, false },
	[TRACE_K_FLAGS] = { "flags", "flags such as WAITOK|ZERO, or 0", -1,
	    false, false },
	[TRACE_K_VMFLAGS] = { "vmflags", "page flags such as NORMAL|ZERO, or 0",
	    -1, false, false },
	[TRACE_K_STR] = { "string", "a string in double quotes", -1, false,
	    false },
	[TRACE_K_CPU] = { "cpu", "a virtual CPU", -1, false, false },
	[TRACE_K_WILD] = { "pointer",
	    "one of null, stack, static, unmapped, page, high", -1, false,
	    false },
	[TRACE_K_INT] = { "integer", "an integer of 32 bits", -1, false,
	    false },
	[TRACE_K_MPFLAGS] = { "mpflags", "pipe flags such as NOZERO|INT, or 0",
	    -1, false, false },
	[TRACE_K_UMAFLAGS] = { "umaflags", "zone flags such as NOFREE, or 0",
	    -1, false, false },
	[TRACE_K_ZONEFLAGS] = { "zoneflags",
	    "zone flags such as INTERRUPT|PANICFAIL, or 0", -1, false, false },
	[TRACE_K_HOOKS] = { "hooks", "callbacks such as ctor|dtor, or 0", -1,
	    false, false },
	[TRACE_K_HOOK] = { "hook",
	    "one of ctor, dtor, init, fini, alloc, free, import, release, "
	    "callback, maxaction",
	    -1, false, false },
	[TRACE_K_ACTION] = { "action", "one of none, refuse, kmalloc, self", -1,
	    false, false },
	[TRACE_K_RECLAIM] = { "request", "one of none, drain, drain_cpu, trim",
	    -1, false, false },
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == TRACE_KIND_COUNT,
    "a kind of arguments has no row");

static const char *const wild_names[] = {
	[TRACE_WILD_NULL] = "null",
	[TRACE_WILD_STACK] = "stack",
	[TRACE_WILD_STATIC] = "static",
	[TRACE_WILD_UNMAPPED] = "unmapped",
	[TRACE_WILD_PAGE] = "page",
	[TRACE_WILD_HIGH] = "high",
};
_Static_assert(sizeof(wild_names) / sizeof(wild_names[0]) == TRACE_WILD_COUNT,
    "a wild pointer has no name");

static const char *const hook_names[] = {
	[TRACE_HOOK_CTOR] = "ctor",
	[TRACE_HOOK_DTOR] = "dtor",
	[TRACE_HOOK_INIT] = "init",
	[TRACE_HOOK_FINI] = "fini",
	[TRACE_HOOK_ALLOC] = "alloc",
	[TRACE_HOOK_FREE] = "free",
	[TRACE_HOOK_IMPORT] = "import",
	[TRACE_HOOK_RELEASE] = "release",
	[TRACE_HOOK_CALLBACK] = "callback",
	[TRACE_HOOK_MAXACTION] = "maxaction",
	[TRACE_HOOK_ZERO] = "zero",
	[TRACE_HOOK_EMPTY] = "empty",
};
_Static_assert(sizeof(hook_names) / sizeof(hook_names[0]) == TRACE_HOOK_COUNT,
    "a callback has no name");

static const char *const action_names[] = {
	[TRACE_ACTION_NONE] = "none",
	[TRACE_ACTION_REFUSE] = "refuse",
	[TRACE_ACTION_KMALLOC] = "kmalloc",
	[TRACE_ACTION_SELF] = "self",
};
_Static_assert(
    sizeof(action_names) / sizeof(action_names[0]) == TRACE_ACTION_COUNT,
    "an action has no name");

static const char *const reclaim_names[] = {
	[TRACE_RECLAIM_NONE] = "none",
	[TRACE_RECLAIM_DRAIN] = "drain",
	[TRACE_RECLAIM_DRAIN_CPU] = "drain_cpu",
	[TRACE_RECLAIM_TRIM] = "trim",
};
_Static_assert(
    sizeof(reclaim_names) / sizeof(reclaim_names[0]) == TRACE_RECLAIM_COUNT,
    "a request has no name");

static const char *const sched_names[] = {
	[TRACE_SCHED_RECORDED] = "recorded",
	[TRACE_SCHED_RANDOM] = "random",
	[TRACE_SCHED_STICKY] = "sticky",
	[TRACE_SCHED_PCT] = "pct",
};
_Static_assert(
    sizeof(sched_names) / sizeof(sched_names[0]) == TRACE_SCHED_MODE_COUNT,
    "a schedule has no name");

static const char *const memory_names[] = {
	[TRACE_MEMORY_SC] = "sc",
	[TRACE_MEMORY_TSO] = "tso",
	[TRACE_MEMORY_C11] = "c11",
};
_Static_assert(
    sizeof(memory_names) / sizeof(memory_names[0]) == TRACE_MEMORY_COUNT,
    "a memory model has no name");

static const char *const deviate_names[] = {
	[TRACE_DEVIATE_RUN] = "run",
	[TRACE_DEVIATE_FLUSH] = "flush",
	[TRACE_DEVIATE_MIGRATE] = "migrate",
	[TRACE_DEVIATE_WAKE] = "wake",
	[TRACE_DEVIATE_DELAY] = "delay",
	[TRACE_DEVIATE_READ] = "read",
	[TRACE_DEVIATE_INSERT] = "insert",
	[TRACE_DEVIATE_FAIL] = "fail",
	[TRACE_DEVIATE_SOLO] = "solo",
};
_Static_assert(
    sizeof(deviate_names) / sizeof(deviate_names[0]) == TRACE_DEVIATE_COUNT,
    "a deviation has no name");

static const char *const group_names[] = {
	[TRACE_G_KM] = "kmalloc",
	[TRACE_G_VM] = "vm_page",
	[TRACE_G_TH] = "thread",
	[TRACE_G_OC] = "objcache",
	[TRACE_G_MP] = "mpipe",
	[TRACE_G_ZN] = "zone",
};
_Static_assert(
    sizeof(group_names) / sizeof(group_names[0]) == TRACE_GROUP_COUNT,
    "a group has no name");

/*
 * Flags in the order in which they are printed: the first name whose bits are
 * all set is printed and its bits are taken away. So composites stand before
 * what they consist of, and a second name for the same bits after the first.
 */
static const struct trace__name m_flags[] = {
	{ "INTNOWAIT", M_INTNOWAIT },
	{ "INTWAIT", M_INTWAIT },
	{ "NOWAIT", M_NOWAIT },
	{ "SYSNOWAIT", M_SYSNOWAIT },
	{ "SYSWAIT", M_SYSWAIT },
	{ "RNOWAIT", M_RNOWAIT },
	{ "WAITOK", M_WAITOK },
	{ "ZERO", M_ZERO },
	{ "USE_RESERVE", M_USE_RESERVE },
	{ "NULLOK", M_NULLOK },
	{ "PASSIVE_ZERO", M_PASSIVE_ZERO },
	{ "USE_INTERRUPT_RESERVE", M_USE_INTERRUPT_RESERVE },
	{ "POWEROF2", M_POWEROF2 },
	{ "CACHEALIGN", M_CACHEALIGN },
};

static const struct trace__name vm_flags[] = {
	{ "NORMAL", VM_ALLOC_NORMAL },
	{ "SYSTEM", VM_ALLOC_SYSTEM },
	{ "INTERRUPT", VM_ALLOC_INTERRUPT },
	{ "ZERO", VM_ALLOC_ZERO },
};

static const struct trace__name debug_flags[] = {
	{ "redzone", KA_DEBUG_REDZONE },
	{ "poison", KA_DEBUG_POISON },
	{ "audit", KA_DEBUG_AUDIT },
};

static const struct trace__name may_flags[] = {
	{ "migrate", TRACE_MAY_MIGRATE },
	{ "wake", TRACE_MAY_WAKE },
	{ "fail", TRACE_MAY_FAIL },
	{ "solo", TRACE_MAY_SOLO },
};

static const struct trace__name mp_flags[] = {
	{ "CACHEDATA", MPF_CACHEDATA },
	{ "NOZERO", MPF_NOZERO },
	{ "INT", MPF_INT },
	{ "CALLBACK", MPF_CALLBACK },
};

static const struct trace__name uma_flags[] = {
	{ "ZINIT", UMA_ZONE_ZINIT },
	{ "NOFREE", UMA_ZONE_NOFREE },
	{ "NOBUCKET", UMA_ZONE_NOBUCKET },
};

static const struct trace__name zone_flags[] = {
	{ "INTERRUPT", ZONE_INTERRUPT },
	{ "PANICFAIL", ZONE_PANICFAIL },
	{ "USE_RESERVE", ZONE_USE_RESERVE },
	{ "DESTROYABLE", ZONE_DESTROYABLE },
};

static const struct trace__name hook_flags[] = {
	{ "ctor", 1u << TRACE_HOOK_CTOR },
	{ "dtor", 1u << TRACE_HOOK_DTOR },
	{ "init", 1u << TRACE_HOOK_INIT },
	{ "fini", 1u << TRACE_HOOK_FINI },
	{ "maxaction", 1u << TRACE_HOOK_MAXACTION },
	{ "zero", 1u << TRACE_HOOK_ZERO },
	{ "empty", 1u << TRACE_HOOK_EMPTY },
};

static bool
same(const char *name, const char *word, size_t len)
{
	return (strncmp(name, word, len) == 0 && name[len] == '\0');
}

static int
index_by_name(
    const char *const *names, size_t count, const char *word, size_t len)
{
	for (size_t i = 0; i < count; i++) {
		if (same(names[i], word, len))
			return ((int)i);
	}
	return (-1);
}

int
trace_op_by_name(const char *word, size_t len)
{
	for (unsigned i = 0; i < TRACE_OP_COUNT; i++) {
		if (op_length[i] == len &&
		    memcmp(trace_ops[i].name, word, len) == 0)
			return ((int)i);
	}
	return (-1);
}

const char *
trace_wild_name(enum trace_wild wild)
{
	return ((unsigned)wild < TRACE_WILD_COUNT ? wild_names[wild] : "?");
}

const char *
trace_hook_name(enum trace_hook hook)
{
	return ((unsigned)hook < TRACE_HOOK_COUNT ? hook_names[hook] : "?");
}

const char *
trace_action_name(enum trace_action action)
{
	return (
	    (unsigned)action < TRACE_ACTION_COUNT ? action_names[action] : "?");
}

/* The words of a kind; NULL if its values are none. */
static const char *const *
words_of(enum trace_kind kind, uint32_t *ret_count)
{
	switch (kind) {
	case TRACE_K_WILD:
		*ret_count = TRACE_WILD_COUNT;
		return (wild_names);
	case TRACE_K_HOOK: /* what is a set only is no callback */
		*ret_count = TRACE_HOOK_ZERO;
		return (hook_names);
	case TRACE_K_ACTION:
		*ret_count = TRACE_ACTION_COUNT;
		return (action_names);
	case TRACE_K_RECLAIM:
		*ret_count = TRACE_RECLAIM_COUNT;
		return (reclaim_names);
	default:
		*ret_count = 0;
		return (NULL);
	}
}

uint32_t
trace__word_count(enum trace_kind kind)
{
	uint32_t count;

	(void)words_of(kind, &count);
	return (count);
}

const char *
trace__word_name(enum trace_kind kind, uint64_t value)
{
	uint32_t count;
	const char *const *words = words_of(kind, &count);

	return (value < count ? words[value] : "?");
}

int
trace__word_by_name(enum trace_kind kind, const char *word, size_t len)
{
	uint32_t count;
	const char *const *words = words_of(kind, &count);

	return (index_by_name(words, count, word, len));
}

bool
trace__kind_flags(enum trace_kind kind, enum trace__names *ret_set)
{
	switch (kind) {
	case TRACE_K_FLAGS:
		*ret_set = TRACE__M_FLAGS;
		return (true);
	case TRACE_K_VMFLAGS:
		*ret_set = TRACE__VM_FLAGS;
		return (true);
	case TRACE_K_MPFLAGS:
		*ret_set = TRACE__MP_FLAGS;
		return (true);
	case TRACE_K_UMAFLAGS:
		*ret_set = TRACE__UMA_FLAGS;
		return (true);
	case TRACE_K_ZONEFLAGS:
		*ret_set = TRACE__ZONE_FLAGS;
		return (true);
	case TRACE_K_HOOKS:
		*ret_set = TRACE__HOOKS;
		return (true);
	default:
		return (false);
	}
}

const char *
trace_sched_name(enum trace_sched_mode mode)
{
	return (
	    (unsigned)mode < TRACE_SCHED_MODE_COUNT ? sched_names[mode] : "?");
}

int
trace__sched_by_name(const char *word, size_t len)
{
	return (index_by_name(sched_names, TRACE_SCHED_MODE_COUNT, word, len));
}

const char *
trace_memory_name(enum trace_memory memory)
{
	return (
	    (unsigned)memory < TRACE_MEMORY_COUNT ? memory_names[memory] : "?");
}

int
trace__memory_by_name(const char *word, size_t len)
{
	return (index_by_name(memory_names, TRACE_MEMORY_COUNT, word, len));
}

const char *
trace_deviate_name(enum trace_deviate what)
{
	return (
	    (unsigned)what < TRACE_DEVIATE_COUNT ? deviate_names[what] : "?");
}

bool
trace_deviate_has_number(enum trace_deviate what)
{
	return (what != TRACE_DEVIATE_DELAY && what != TRACE_DEVIATE_FAIL &&
	    what != TRACE_DEVIATE_SOLO);
}

int
trace__deviate_by_name(const char *word, size_t len)
{
	return (index_by_name(deviate_names, TRACE_DEVIATE_COUNT, word, len));
}

const char *
trace_group_name(enum trace_group group)
{
	return ((unsigned)group < TRACE_GROUP_COUNT ? group_names[group] : "?");
}

const char *
trace_kind_name(enum trace_kind kind)
{
	return ((unsigned)kind < TRACE_KIND_COUNT ? kinds[kind].name : "?");
}

const char *
trace__kind_expected(enum trace_kind kind)
{
	return (kinds[kind].expected);
}

int
trace_kind_class(enum trace_kind kind)
{
	return ((unsigned)kind < TRACE_KIND_COUNT ? kinds[kind].class : -1);
}

bool
trace_kind_writes(enum trace_kind kind)
{
	return ((unsigned)kind < TRACE_KIND_COUNT && kinds[kind].writes);
}

bool
trace_kind_ends(enum trace_kind kind)
{
	return ((unsigned)kind < TRACE_KIND_COUNT && kinds[kind].ends);
}

static const char class_letters[] = "pmgcqzb";
_Static_assert(sizeof(class_letters) - 1 == TRACE_CLASS_COUNT,
    "a class of registers has no letter");

char
trace_class_letter(int class)
{
	return (class_letters[class]);
}

int
trace__class_by_letter(char letter)
{
	const char *at = letter == 0 ? NULL : strchr(class_letters, letter);

	return (at == NULL ? -1 : (int)(at - class_letters));
}

const struct trace__name *
trace__flag_names(enum trace__names set, size_t *ret_count)
{
#define NAMES(table)                                                           \
	{                                                                      \
		table, sizeof(table) / sizeof((table)[0])                      \
	}
	static const struct {
		const struct trace__name *names;
		size_t count;
	} sets[] = {
		[TRACE__M_FLAGS] = NAMES(m_flags),
		[TRACE__VM_FLAGS] = NAMES(vm_flags),
		[TRACE__DEBUG_FLAGS] = NAMES(debug_flags),
		[TRACE__MAY] = NAMES(may_flags),
		[TRACE__MP_FLAGS] = NAMES(mp_flags),
		[TRACE__UMA_FLAGS] = NAMES(uma_flags),
		[TRACE__ZONE_FLAGS] = NAMES(zone_flags),
		[TRACE__HOOKS] = NAMES(hook_flags),
	};
#undef NAMES

	*ret_count = sets[set].count;
	return (sets[set].names);
}

bool
trace__flag_by_name(
    enum trace__names set, const char *word, size_t len, uint32_t *ret_bits)
{
	size_t count;
	const struct trace__name *names = trace__flag_names(set, &count);

	for (size_t i = 0; i < count; i++) {
		if (same(names[i].name, word, len)) {
			*ret_bits = names[i].bits;
			return (true);
		}
	}
	return (false);
}

void
trace__flags_put(struct trace__out *o, enum trace__names set, uint64_t flags)
{
	size_t count;
	const struct trace__name *names = trace__flag_names(set, &count);
	const char *separator = "";

	if (flags == 0)
		trace__out_str(o, "0");
	for (size_t i = 0; i < count && flags != 0; i++) {
		if ((flags & names[i].bits) != names[i].bits)
			continue;
		trace__out_str(o, separator);
		trace__out_str(o, names[i].name);
		separator = "|";
		flags &= ~(uint64_t)names[i].bits;
	}
	if (flags != 0) {
		trace__out_str(o, separator);
		trace__out_hex(o, flags);
	}
}

const char *
trace_flags_format(uint64_t flags, char *buf, size_t size)
{
	struct trace__out o;

	if (size == 0)
		return (buf);
	trace__out_init(&o, buf, size);
	trace__flags_put(&o, TRACE__M_FLAGS, flags);
	return (buf);
}

const char *
trace_vmflags_format(uint64_t flags, char *buf, size_t size)
{
	struct trace__out o;

	if (size == 0)
		return (buf);
	trace__out_init(&o, buf, size);
	trace__flags_put(&o, TRACE__VM_FLAGS, flags);
	return (buf);
}

#define WORD_MAX 32u /* longer words are like nothing */

static char
lower(char c)
{
	return (c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
}

/*
 * How many insertions, deletions, changes and exchanges of neighbours lead
 * from one word to the other, whatever the case of letters.
 */
static unsigned
distance(const char *a, size_t alen, const char *b, size_t blen)
{
	unsigned row[3][WORD_MAX + 1];
	unsigned *before = row[0], *prev = row[1], *now = row[2];

	for (unsigned j = 0; j <= blen; j++)
		prev[j] = j;
	for (unsigned i = 1; i <= alen; i++) {
		now[0] = i;
		for (unsigned j = 1; j <= blen; j++) {
			const char x = lower(a[i - 1]), y = lower(b[j - 1]);
			unsigned d = prev[j - 1] + (x != y);

			if (prev[j] + 1 < d)
				d = prev[j] + 1;
			if (now[j - 1] + 1 < d)
				d = now[j - 1] + 1;
			if (i > 1 && j > 1 && x == lower(b[j - 2]) &&
			    lower(a[i - 2]) == y && before[j - 2] + 1 < d)
				d = before[j - 2] + 1;
			now[j] = d;
		}
		unsigned *const oldest = before;
		before = prev;
		prev = now;
		now = oldest;
	}
	return (prev[blen]);
}

/* Remembers the best candidate; near enough is a third of the word. */
static void
consider(const char *candidate, const char *word, size_t len, const char **best,
    unsigned *best_distance)
{
	const size_t clen = strlen(candidate);

	if (len == 0 || len > WORD_MAX || clen > WORD_MAX)
		return;
	const unsigned d = distance(word, len, candidate, clen);
	if (d <= (len + 2) / 3 && d < clen && d < *best_distance) {
		*best = candidate;
		*best_distance = d;
	}
}

const char *
trace__suggest_op(const char *word, size_t len)
{
	const char *best = NULL;
	unsigned best_distance = WORD_MAX;

	for (unsigned i = 0; i < TRACE_OP_COUNT; i++)
		consider(trace_ops[i].name, word, len, &best, &best_distance);
	return (best);
}

const char *
trace__suggest_flag(enum trace__names set, const char *word, size_t len)
{
	size_t count;
	const struct trace__name *names = trace__flag_names(set, &count);
	const char *best = NULL;
	unsigned best_distance = WORD_MAX;

	/* Kernel sources have the prefix, the language does not. */
	if (len > 2 && memcmp(word, "M_", 2) == 0) {
		word += 2;
		len -= 2;
	} else if (len > 9 && memcmp(word, "VM_ALLOC_", 9) == 0) {
		word += 9;
		len -= 9;
	}
	for (size_t i = 0; i < count; i++)
		consider(names[i].name, word, len, &best, &best_distance);
	return (best);
}

const char *
trace__suggest(
    const char *const *candidates, size_t count, const char *word, size_t len)
{
	const char *best = NULL;
	unsigned best_distance = WORD_MAX;

	for (size_t i = 0; i < count; i++)
		consider(candidates[i], word, len, &best, &best_distance);
	return (best);
}

size_t
trace__utf8_length(const char *at, const char *end)
{
	const unsigned char *p = (const unsigned char *)at;
	const size_t room = (size_t)(end - at);
	size_t length;
	uint32_t code, least;

	if (room < 2)
		return (0);
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		length = 2;
		least = 0xa0; /* below are the C1 controls */
		code = p[0] & 0x1fu;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		length = 3;
		least = 0x800;
		code = p[0] & 0x0fu;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		length = 4;
		least = 0x10000;
		code = p[0] & 0x07u;
	} else {
		return (0);
	}
	if (room < length)
		return (0);
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return (0);
		code = code << 6 | (p[i] & 0x3fu);
	}
	if (code < least || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return (0);
	return (length);
}
