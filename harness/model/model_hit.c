/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that need nothing that is shared (KM-1, OC-2): *hits*.
 *
 * How many locks, atomic read-modify-writes, fences and sequentially consistent
 * accesses a call made, the simulation counts (call.shared). Which calls may
 * make none is to be known from outside, and without an allocator's reasons:
 *
 *   free         of a chunk in the slab that the CPU's last allocation of the
 *                size came from: the CPU takes chunks from that slab
 *   allocation   of a size of which a chunk was given back to that slab since,
 *                for a type that certainly has some left of its grant
 *   get          of a cache into whose magazine the CPU has put
 *   put          into a cache from whose magazine the CPU has got
 *
 * What is known of a CPU holds until something *disturbs* it: calls that
 * overlap or lie in one another, a thread that moves, a page allocation that
 * fails (CPUs are closed while somebody waits, and drained), and every call
 * that may visit CPUs: all but those that model.c lists. Then nothing is known
 * any more, of nobody; debug options close the fast paths for good. Counts are
 * at least what is there: a call that made what it need not have been without
 * leaves what it has certainly left.
 *
 * A limit is not looked at for each allocation: a CPU's part of a sixteenth of
 * it may pass without (KM-6, kmalloc(3)). So many allocations of a type are
 * granted at once: of half of what is left of that part, since other sizes of
 * the type have some of it; and one, when all that was ever granted comes near
 * the limit. So a type whose grants are known is one all of whose allocations
 * were seen as they were: none overlapped, failed, or was another call's.
 */
#include "model_int.h"

#define GRANT_DIV    16u /* of the limit, for all CPUs */
#define GRANTS_KNOWN 64u /* of more it is not counted on */

/* Its number among the sizes of chunks; see model_kmalloc.c. */
static unsigned
number_of(uint64_t size)
{
	unsigned power;

	if (size <= 128)
		return ((unsigned)(size / 8 - 1));
	power = 63 - (unsigned)__builtin_clzll(size - 1);
	return (8 + (power - 7) * 8 + (unsigned)((size - 1) >> (power - 3)));
}

static void
judge(struct model *m, const struct mthread *th, const struct call *c,
    const char *clause, const char *expected)
{
	m->counts.hits++;
	if (MODEL_LIKELY(c->shared == 0))
		return;
	model__fail(m, th, clause, "shared");
	model__expected(
	    m, "%s: no lock, no atomic read-modify-write, no fence", expected);
	model__found(m, "%" PRIu32 " of them", c->shared);
}

/* ---- kmalloc ----------------------------------------------------------- */

static struct mhot *
hot_of(struct model *m, uint32_t cpu, uint64_t size)
{
	return (&m->hit.hot[cpu][number_of(size) % HIT_SIZES]);
}

static bool
hot_is_known(const struct model *m, const struct mhot *hot, uint64_t size)
{
	return (hot->since == m->hit.disturbed && hot->size == size);
}

/* What the call does to the type's grants is not known. */
static void
type_is_opaque(struct model *m, uint32_t type)
{
	if (type == 0)
		return;
	model__type(m, type)->hit_opaque = true;
	model__type(m, type)->hit_left = 0;
}

/*
 * An allocation of the type had to ask for a grant, or may have. How many more
 * it has certainly got, if it has.
 */
static uint32_t
grants(const struct model *m, struct mtype *t, uint64_t size)
{
	uint64_t part = t->limit_lo / GRANT_DIV / (m->config.cpus + 1), n;
	uint64_t before = t->hit_granted, bit = UINT64_C(1) << number_of(size);

	t->hit_classes |= bit;
	t->hit_granted += part / 2 + 2 * size;
	if (t->hit_opaque || t->limit_lo != t->limit_hi ||
	    before + part / 2 > t->limit_lo)
		return (0);
	/* Each other size may have half of what there was before. */
	n = (part >> __builtin_popcountll(t->hit_classes & ~bit)) / 2 / size;
	if (n > GRANTS_KNOWN)
		n = GRANTS_KNOWN;
	return (n < 2 ? 0 : (uint32_t)n - 1);
}

/* Has it been alone, and was what it did what it was to do? */
static bool
is_clean(const struct model *m, const struct mthread *th, const struct call *c)
{
	return (th->disturbed == m->hit.disturbed && c->why == 0);
}

static void
allocated_chunk(struct model *m, const struct mthread *th, const struct call *c)
{
	struct mtype *t = model__type(m, th->type);
	struct mhot *hot = hot_of(m, th->cpu, th->charge);
	bool known = hot_is_known(m, hot, th->charge);
	bool has = known && hot->chunks != 0;
	bool mine = t->hit_cpu == th->cpu && t->hit_size == th->charge;
	bool first = (t->hit_classes >> number_of(th->charge) & 1) == 0;
	uint32_t got;

	if (has && mine && t->hit_left != 0)
		judge(m, th, c, "KM-1",
		    "an allocation of what its CPU has freed");
	if (mine && t->hit_left != 0)
		t->hit_left--;
	if (c->shared != 0) {
		got = grants(m, t, th->charge);
		/* It had a chunk, or the type never had a grant: that is what
		 * it needed. */
		if (has || first) {
			t->hit_cpu = (uint8_t)th->cpu;
			t->hit_size = (uint32_t)th->charge;
			t->hit_left = got;
		}
	}
	if (!known || c->shared != 0 || hot->region != c->ret >> REGION_SHIFT)
		hot->chunks = 0;
	else if (has)
		hot->chunks--;
	hot->since = m->hit.disturbed;
	hot->region = c->ret >> REGION_SHIFT;
	hot->size = (uint32_t)th->charge;
}

static void
allocated(struct model *m, const struct mthread *th, const struct call *c)
{
	if (!is_clean(m, th, c) || c->ret == 0) {
		type_is_opaque(m, th->type);
		m->hit.disturbed++;
	} else if (th->requested == 0) {
		return;
	} else if (th->charge <= PAGE) {
		allocated_chunk(m, th, c);
	} else {
		/* Whole pages, or a chunk: on the way to the limit. */
		model__type(m, th->type)->hit_granted += th->charge;
		if (th->charge <= KA_KMALLOC_MAX)
			(void)grants(m, model__type(m, th->type), th->charge);
	}
}

static void
freed(struct model *m, const struct mthread *th, const struct call *c)
{
	struct mhot *hot;

	if (th->hit_size == 0 || th->hit_size > PAGE)
		return;
	hot = hot_of(m, th->cpu, th->hit_size);
	if (!hot_is_known(m, hot, th->hit_size) ||
	    hot->region != c->addr >> REGION_SHIFT)
		return;
	judge(m, th, c, "KM-1", "a free to the slab that its CPU allocates of");
	hot->chunks++;
}

/* ---- objcache ---------------------------------------------------------- */

/* The magazine that the CPU uses; what is not known of it is nothing. */
static struct mmag *
mag_of(struct model *m, const struct mthread *th, const struct call *c)
{
	struct mmag *mag =
	    &m->hit.mag[(c->handle * TRACE_CPUS_MAX / 4 + th->cpu) % HIT_MAGS];

	if (mag->since != m->hit.disturbed || mag->handle != c->handle ||
	    mag->cpu != th->cpu)
		*mag = (struct mmag) {
			.since = m->hit.disturbed,
			.handle = c->handle,
			.cpu = th->cpu,
		};
	return (mag);
}

static void
got(struct model *m, const struct mthread *th, const struct call *c)
{
	struct mmag *mag = mag_of(m, th, c);

	if (mag->rounds != 0)
		judge(m, th, c, "OC-2", "a get of what was put on its CPU");
	if (c->shared == 0 && c->ret != 0) {
		mag->rounds -= mag->rounds != 0;
		mag->room++;
		return;
	}
	mag->rounds = 0;
	mag->room = c->ret != 0;
	/* At the limit, one that may wait closes the cache and looks for what
	 * any CPU has in it. */
	m->hit.disturbed += (c->flags & (M_WAITOK | M_NULLOK)) == M_WAITOK;
}

static void
put(struct model *m, const struct mthread *th, const struct call *c)
{
	struct mmag *mag = mag_of(m, th, c);

	if (mag->room != 0)
		judge(m, th, c, "OC-2", "a put where its CPU has got one");
	if (c->shared == 0) {
		mag->room -= mag->room != 0;
		mag->rounds++;
	} else {
		mag->room = 0;
		mag->rounds = 1;
	}
}

/* ---- A call has ended -------------------------------------------------- */

void
model__hit_end(struct model *m, struct mthread *th, const struct call *c)
{
	if (!m->judging || !model__is_kalloc(m) || m->config.debug != 0)
		return;
	switch (th->code) {
	case TRACE_OP_KMALLOC:
	case TRACE_OP_KMALLOC_CACHEALIGN:
	case TRACE_OP_KMALLOC_POWEROF2:
		allocated(m, th, c);
		return;
	case TRACE_OP_KSTRDUP:
	case TRACE_OP_KSTRNDUP:
	case TRACE_OP_KREALLOC:
		type_is_opaque(m, th->type);
		return;
	case TRACE_OP_KFREE:
	case TRACE_OP_OBJCACHE_GET:
	case TRACE_OP_OBJCACHE_PUT:
		break;
	default:
		return;
	}
	if (!is_clean(m, th, c)) {
		m->hit.disturbed++;
		return;
	}
	if (th->code == TRACE_OP_KFREE)
		freed(m, th, c);
	else if (th->code == TRACE_OP_OBJCACHE_GET)
		got(m, th, c);
	else
		put(m, th, c);
}
