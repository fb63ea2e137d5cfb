/* ---- Types, caches, pipes, zones ----------------------------------------- */

/* A register of these is named again; what it named lives on. */
static void
renamed(struct owned *w)
{
	lost |= w->alive;
}

/* Its objects are nobody's: they cannot be given back any more. */
static void
disown(unsigned n)
{
	for (unsigned i = 0; i < objects; i++)
		if (p[i].held && p[i].owner == OWNER_KMALLOC && p[i].of == n)
			p[i].of = TYPES;
}

static void
make_type(unsigned n, const char *name, bool heap)
{
	disown(n);
	lost |= m[n].type != NULL;
	(void)memset(&m[n], 0, sizeof(m[n]));
	if (heap) {
		kmalloc_create(&m[n].type, name);
		return;
	}
	m[n].storage.ks_shortdesc = name;
	m[n].type = &m[n].storage;
	malloc_init(m[n].type);
}

static void
end_type(unsigned n)
{
	struct malloc_type *const type = type_of(n);

	disown(n);
	if (type == &m[n].storage || m[n].type == NULL)
		returned = malloc_uninit(type);
	else
		returned = kmalloc_destroy(&m[n].type);
	m[n].type = NULL;
}

static void
set_hook(struct owned *w, int hook, int action, unsigned long from,
    unsigned long count)
{
	struct hook *h = &w->hook[hook];

	h->action = action;
	h->from = h->calls + (from == 0 ? 1 : from);
	h->count = count;
	w->selfed |= action == ACTION_SELF;
}

static void
act_kmalloc(const struct owned *w, int flags)
{
	struct type *t = &m[w->type];
	void *addr;

	for (unsigned i = 0; i < TYPES && t->type == NULL; i++)
		t = &m[i];
	if (t->type == NULL)
		return;
	t->shared = true;
	addr = kmalloc(48, t->type, flags);
	if (addr != NULL)
		kfree(addr, t->type);
}

static void
act_self(struct owned *w)
{
	void *addr;

	if (!w->alive)
		return;
	if (w->cache != NULL) {
		addr = objcache_get(w->cache, M_NOWAIT);
		if (addr != NULL)
			objcache_put(w->cache, addr);
	} else if (w->zone != NULL) {
		addr = uma_zalloc(w->zone, M_NOWAIT);
		if (addr != NULL)
			uma_zfree(w->zone, addr);
	} else {
		addr = mpipe_alloc_nowait(&w->pipe);
		if (addr != NULL)
			mpipe_free(&w->pipe, addr);
	}
}

/* A callback of it is called: true, it does what it is for. */
static bool
called(struct owned *w, int which, int flags)
{
	static __thread unsigned depth;
	struct hook *h = &w->hook[which];
	int action = ACTION_NONE;

	h->calls++;
	if (h->calls >= h->from && h->calls - h->from < h->count)
		action = h->action;
	if (which == HOOK_CALLBACK && action == ACTION_NONE)
		action = ACTION_SELF;
	if (depth == 0) {
		depth++;
		if (action == ACTION_KMALLOC)
			act_kmalloc(w,
			    (flags & M_WAITOK) != 0 ? M_WAITOK | M_NULLOK :
						      M_NOWAIT);
		else if (action == ACTION_SELF)
			act_self(w);
		depth--;
	}
	return (action != ACTION_REFUSE);
}

static bool
cache_ctor(void *obj, void *w, int flags)
{
	(void)obj;
	return (called(w, HOOK_CTOR, flags));
}

static void
cache_dtor(void *obj, void *w)
{
	(void)obj;
	(void)called(w, HOOK_DTOR, 0);
}

#define FRESH 0x95 /* what an item is filled with when it is initialised */

/* It is filled, and nobody holds it. */
static void
refill(void *item, size_t size)
{
	(void)memset(item, FRESH, size);
	forget(item);
	if (pasts < sizeof(past) / sizeof(*past))
		past[pasts++] = (struct past) { item, FRESH, size };
}

/* To the zone an item is held by who has a cache over it. */
static void *
item_alloc(struct owned *zone, int flags)
{
	void *addr = uma_zalloc(zone->zone, flags);
	LOCKED;

	zone->calls++;
	if (addr == NULL) {
		zone->nulls++;
		return (NULL);
	}
	took_unit(zone);
	check_align(addr, zone->align + 1, "ZN-13");
	check_reused(zone, OWNER_ZONE, addr, flags);
	refill(addr, zone->size);
	return (addr);
}

static void
item_free(struct owned *zone, void *addr)
{
	{
		LOCKED;
		zone->held--;
	}
	uma_zfree(zone->zone, addr);
}

static void *
cache_alloc(void *args, int flags)
{
	struct owned *w = args;
	void *addr;

	if (!called(w, HOOK_ALLOC, flags) || (w->hooks >> HOOK_EMPTY & 1) != 0)
		return (NULL);
	if (w->over != NULL)
		flags &= M_RNOWAIT | M_WAITOK | M_USE_RESERVE |
		    M_USE_INTERRUPT_RESERVE;
	if ((w->hooks >> HOOK_ZERO & 1) != 0)
		flags |= M_ZERO;
	if (w->over != NULL)
		return (item_alloc(w->over, flags));
	addr = kmalloc(w->size, type_of(w->type), flags | M_NULLOK);
	if (addr != NULL)
		forget(addr);
	return (addr);
}

static void
cache_free(void *obj, void *args)
{
	struct owned *w = args;

	(void)called(w, HOOK_FREE, 0);
	if ((w->hooks >> HOOK_EMPTY & 1) == 0 && w->over != NULL) {
		item_free(w->over, obj); /* what is in it stays known */
		return;
	}
	forget(obj);
	if ((w->hooks >> HOOK_EMPTY & 1) == 0)
		kfree(obj, type_of(w->type));
}

static void
create_cache(
    unsigned n, const char *name, int limit, int nominal, unsigned hooks)
{
	c[n].cache = objcache_create(name, limit, nominal,
	    (hooks >> HOOK_CTOR & 1) != 0 ? cache_ctor : NULL,
	    (hooks >> HOOK_DTOR & 1) != 0 ? cache_dtor : NULL, &c[n],
	    cache_alloc, cache_free, &c[n]);
	returned = c[n].alive = c[n].cache != NULL;
}

static void
make_cache(unsigned n, const char *name, unsigned type, size_t size, int limit,
    int nominal, unsigned hooks)
{
	renamed(&c[n]);
	c[n] = (struct owned) {
		.number = n, .hooks = hooks, .type = type, .size = size
	};
	m[type].shared = true;
	create_cache(n, name, limit, nominal, hooks);
}

static void
make_zone_cache(unsigned n, const char *name, unsigned zone, int limit,
    int nominal, unsigned hooks)
{
	renamed(&c[n]);
	c[n] = (struct owned) { .number = n,
		.hooks = hooks,
		.type = TYPES,
		.over = &z[zone],
		.size = z[zone].size };
	create_cache(n, name, limit, nominal, hooks);
}

static void
reclaim_caches(struct objcache *first, struct objcache *second, int flags)
{
	struct objcache *list[2] = { first, second };

	returned = objcache_reclaimlist(
	    list, second == NULL || second == first ? 1 : 2, flags);
}

static void
pipe_construct(void *buf, void *w)
{
	(void)buf;
	(void)called(w, HOOK_CTOR, 0);
}

static void
pipe_deconstruct(void *buf, void *w)
{
	(void)buf;
	(void)called(w, HOOK_DTOR, 0);
}

static void
pipe_callback(void *w, void *unused)
{
	(void)unused;
	(void)called(w, HOOK_CALLBACK, 0);
}

static void
make_pipe(unsigned n, unsigned type, size_t size, int nnom, int nmax, int flags,
    unsigned hooks)
{
	renamed(&q[n]);
	q[n] = (struct owned) { .number = n,
		.hooks = hooks,
		.type = type,
		.size = size,
		.zeroed = (flags & (MPF_NOZERO | MPF_CACHEDATA)) == 0 };
	m[type].shared = true;
	mpipe_init(&q[n].pipe, type_of(type), size, nnom, nmax, flags,
	    (hooks >> HOOK_CTOR & 1) != 0 ? pipe_construct : NULL,
	    (hooks >> HOOK_DTOR & 1) != 0 ? pipe_deconstruct : NULL, &q[n]);
	q[n].alive = true;
	returned = 1;
}

/* Callbacks of zones are told nothing of their own: a set for each. */
struct zone_callbacks {
	uma_ctor *ctor;
	uma_dtor *dtor;
	uma_init *init;
	uma_fini *fini;
	uma_maxaction *maxaction;
};

static int
zone_ctor(struct owned *w, void *item, size_t size, int flags)
{
	if (w->out == NULL && (flags & M_ZERO) != 0 && !all_are(item, 0, size))
		shown("an item is not zero when its constructor runs (ZN-9)");
	return (!called(w, HOOK_CTOR, flags));
}

static int
zone_init(struct owned *w, void *item, size_t size, int flags)
{
	LOCKED;
	if (!called(w, HOOK_INIT, flags))
		return (1);
	if (w->out != NULL)
		return (0);
	refill(item, size);
	return (0);
}

static void
zone_fini(struct owned *w, void *item, size_t size)
{
	const struct past *old = past_of(item);

	if (w->out == NULL && old != NULL && !all_are(item, old->fill, size) &&
	    !all_are(item, 0, size))
		shown("a free item was written to (ZN-1, ZN-33)");
	(void)called(w, HOOK_FINI, 0);
	forget(item);
}

#define ZONE_CALLBACKS(n)                                                      \
	static int ctor_##n(void *i, size_t size, void *u, int flags)          \
	{                                                                      \
		(void)u;                                                       \
		return (zone_ctor(&z[n], i, size, flags));                     \
	}                                                                      \
	static void dtor_##n(void *i, size_t size, void *u)                    \
	{                                                                      \
		(void)i, (void)size, (void)u;                                  \
		(void)called(&z[n], HOOK_DTOR, 0);                             \
	}                                                                      \
	static int init_##n(void *i, size_t size, int flags)                   \
	{                                                                      \
		return (zone_init(&z[n], i, size, flags));                     \
	}                                                                      \
	static void fini_##n(void *i, size_t size)                             \
	{                                                                      \
		zone_fini(&z[n], i, size);                                     \
	}                                                                      \
	static void maxaction_##n(uma_zone_t zone)                             \
	{                                                                      \
		(void)zone;                                                    \
		(void)called(&z[n], HOOK_MAXACTION, 0);                        \
	}
#define ZONE_ROW(n) { ctor_##n, dtor_##n, init_##n, fini_##n, maxaction_##n },
/* @ZONES@ */

static struct zone_callbacks
begin_zone(unsigned n, size_t size, unsigned hooks)
{
	struct zone_callbacks k = zone_callbacks[n];

	renamed(&z[n]);
	z[n] = (struct owned) { .number = n, .hooks = hooks, .size = size };
	if ((hooks >> HOOK_CTOR & 1) == 0)
		k.ctor = NULL;
	if ((hooks >> HOOK_DTOR & 1) == 0)
		k.dtor = NULL;
	if ((hooks >> HOOK_INIT & 1) == 0)
		k.init = NULL;
	if ((hooks >> HOOK_FINI & 1) == 0)
		k.fini = NULL;
	if ((hooks >> HOOK_MAXACTION & 1) == 0)
		k.maxaction = NULL;
	return (k);
}

static void
zone_made(unsigned n, uma_zone_t zone, const struct zone_callbacks *k)
{
	z[n].zone = zone;
	returned = z[n].alive = zone != NULL;
	if (zone != NULL && k->maxaction != NULL)
		uma_zone_set_maxaction(zone, k->maxaction);
}

static void
make_zone(unsigned n, const char *name, size_t size, size_t align,
    unsigned hooks, uint32_t flags)
{
	const struct zone_callbacks k = begin_zone(n, size, hooks);

	z[n].align = align;
	zone_made(n,
	    uma_zcreate(
		name, size, k.ctor, k.dtor, k.init, k.fini, align, flags),
	    &k);
}

static void
make_second_zone(unsigned n, const char *name, unsigned primary, unsigned hooks)
{
	const struct zone_callbacks k = begin_zone(n, z[primary].size, hooks);

	z[n].align = z[primary].align;
	zone_made(n,
	    uma_zsecond_create(
		name, k.ctor, k.dtor, k.init, k.fini, z[primary].zone),
	    &k);
}

/* Pointers to nothing; which are out is known. */
#define TOKEN(i) ((uintptr_t)0x700000000000 + 64 * (uintptr_t)(i))

static int
zone_import(void *arg, void **store, int count, int flags)
{
	struct owned *w = arg;
	int n = 0;

	if (!called(w, HOOK_IMPORT, flags))
		return (0);
	for (unsigned i = 0; i < w->tokens && n < count; i++) {
		if (w->out[i])
			continue;
		w->out[i] = true;
		store[n++] = (void *)TOKEN(i);
	}
	return (n);
}

static void
zone_release(void *arg, void **store, int count)
{
	struct owned *w = arg;

	(void)called(w, HOOK_RELEASE, 0);
	for (int n = 0; n < count; n++) {
		const uintptr_t i = ((uintptr_t)store[n] - TOKEN(0)) / 64;

		if (i < w->tokens)
			w->out[i] = false;
	}
}

static void
make_token_zone(unsigned n, const char *name, size_t size, unsigned tokens,
    unsigned hooks, uint32_t flags)
{
	const struct zone_callbacks k = begin_zone(n, size, hooks);

	z[n].tokens = tokens;
	z[n].out = calloc(tokens + 1, sizeof(*z[n].out));
	zone_made(n,
	    uma_zcache_create(name, size, k.ctor, k.dtor, k.init, k.fini,
		zone_import, zone_release, &z[n], flags),
	    &k);
}

static void
set_max(unsigned n, int max)
{
	/* Who is woken by a raise may be done before the call is. */
	if (max == 0 || (z[n].max != 0 && max > z[n].max))
		z[n].max = max;
	returned = (uint64_t)uma_zone_set_max(z[n].zone, max);
	z[n].max = max;
}

/* Exact if nothing else is under way. */
static void
check_current(unsigned n)
{
	returned = (uint64_t)uma_zone_get_cur(z[n].zone);
	if (!THREADED && z[n].alive && returned != z[n].held)
		shown("%lu items are held of %llu that are told of (ZN-16)",
		    z[n].held, (unsigned long long)returned);
}

/* Static memory that nothing has used, from a multiple of unit on. */
static void *
static_memory(size_t bytes, size_t unit)
{
	static char memory[1 << 20] __attribute__((aligned(1 << 17)));
	static size_t used;
	const size_t at = (used + unit - 1) / unit * unit;

	if (at > sizeof(memory) || bytes > sizeof(memory) - at) {
		(void)printf("not shown: there is no static memory left\n");
		(void)fflush(stdout);
		_exit(STATUS_NOT_SHOWN);
	}
	used = (at + bytes + 4095) / 4096 * 4096;
	return (memory + at);
}

static void
make_static_zone(unsigned n, const char *name, size_t size, size_t align,
    unsigned hooks, uint32_t flags, int items)
{
	const struct zone_callbacks k = begin_zone(n, size, hooks);
	const size_t unit = align + 1 < 8 ? 8 : align + 1;
	const size_t bytes = (size + unit - 1) / unit * unit * (size_t)items;

	z[n].align = align;
	zone_made(n,
	    uma_zcreate_static(name, size, k.ctor, k.dtor, NULL, NULL, align,
		flags, static_memory(bytes, unit), bytes),
	    &k);
}

/* Slabs are pages, if the callback gives any. */
static void *
source_alloc(uma_zone_t zone, size_t bytes, int flags)
{
	const uint32_t depth = (flags & M_USE_INTERRUPT_RESERVE) != 0 ?
	    VM_ALLOC_INTERRUPT :
	    (flags & M_USE_RESERVE) != 0 ? VM_ALLOC_SYSTEM :
					   VM_ALLOC_NORMAL;
	unsigned n = 0;

	while (!z[n].alive || z[n].zone != zone)
		n++;
	if (!called(&z[n], HOOK_ALLOC, flags))
		return (NULL);
	return (vm_page_alloc(
	    bytes / KA_PAGE_SIZE, z[n].align + 1, depth | VM_ALLOC_ZERO));
}

static void
source_free(void *slab, size_t bytes)
{
	vm_page_free(slab, bytes / KA_PAGE_SIZE);
}

static void
set_source(unsigned n)
{
	uma_zone_set_freef(z[n].zone, source_free);
	uma_zone_set_allocf(z[n].zone, source_alloc);
}

static void
make_boot_zone(unsigned n, const char *name, size_t size, int items)
{
	renamed(&b[n]);
	b[n] = (struct owned) { .number = n, .size = size };
	b[n].vmzone = &b[n].storage;
	zbootinit(b[n].vmzone, name, size,
	    static_memory(size * (size_t)items, 4096), items);
	b[n].alive = true;
	returned = 1;
}

static void
make_vm_zone(
    unsigned n, const char *name, size_t size, int entries, uint32_t flags)
{
	renamed(&b[n]);
	b[n] = (struct owned) { .number = n, .size = size };
	b[n].vmzone = zinit(name, size, entries, flags);
	returned = b[n].alive = b[n].vmzone != NULL;
}
