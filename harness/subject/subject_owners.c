/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subject libkalloc, second part: objcaches, mpipes and zones.
 *
 * The library is given callbacks of the laboratory. Each tells the run what
 * it is called for, lets it do what the trace asks of the callback, and does
 * what is left. The kmalloc calls that the library makes inside of an objcache
 * or an mpipe come back here and are done as calls of their own, so that they
 * are judged as any; so are those of a zone, that a cache's backend makes.
 */
#include <kalloc/mpipe.h>
#include <kalloc/objcache.h>
#include <kalloc/uma.h>
#include <kalloc/vm_page.h>
#include <kalloc/zone.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "subject/subject_kalloc.h"

#define OWNERS_MAX 4096u	 /* registers of each class */
#define STATIC_MAX (256u * 1024) /* of boot zones */

/* What the callbacks of a cache are told it by: the constructors and the
 * backend have each their own. */
struct token {
	struct owner *owner;
	bool backend;
};

/* What a register stands for, and what its callbacks are told by. */
struct owner {
	struct token privdata, allocator;
	union {
		struct objcache *cache;
		uma_zone_t zone;
		struct malloc_pipe pipe;
		vm_zone_t vmzone;
	};
	struct vm_zone storage; /* of zbootinit */
	struct objcache_malloc_args args;
	enum trace_class class;
	uint32_t handle, hooks;
	uint32_t over;	 /* a cache: the register of its zone */
	uint64_t tokens; /* of a cache zone: so many there are */
	uint64_t align;	 /* of a zone: the mask */
	uint8_t *out;	 /* which are out */
	bool alive, boot;
	char name[TRACE_STR_MAX + 1];
};

#define CLASSES (TRACE_CLASS_COUNT - TRACE_CACHE)
static struct owner *owners[CLASSES][OWNERS_MAX];
static uint32_t owners_top[CLASSES];
static char static_memory[STATIC_MAX] __attribute__((aligned(4096)));
static uint32_t static_used, static_dirty;

/* Pointers to nothing: of each cache zone its own. */
#define TOKEN_BASE(o) (UINT64_C(0x700000000000) + ((uint64_t)(o)->handle << 24))
#define TOKEN_STEP    64u

static struct owner *
owner_at(enum trace_class class, uint32_t handle)
{
	if (handle >= OWNERS_MAX)
		return (NULL);
	return (owners[class - TRACE_CACHE][handle]);
}

static struct owner *
owner_make(enum trace_class class, const struct call *c)
{
	struct owner **at = &owners[class - TRACE_CACHE][c->handle];
	struct owner *o = *at;
	uint8_t *out = o == NULL ? NULL : o->out;

	if (o == NULL)
		o = *at = malloc(sizeof(*o));
	if (o == NULL)
		abort();
	memset(o, 0, sizeof(*o));
	free(out);
	o->class = class;
	o->handle = c->handle;
	o->over = TRACE_NOREG;
	o->hooks = c->hooks;
	if (c->str != NULL)
		(void)strncpy(o->name, c->str, sizeof(o->name) - 1);
	subject_kalloc_reach(&owners_top[class - TRACE_CACHE], c->handle + 1);
	return (o);
}

static bool
has(const struct owner *o, enum trace_hook hook)
{
	return ((o->hooks >> hook & 1) != 0);
}

/* ---- Callbacks --------------------------------------------------------- */

static struct callback
callback_of(const struct owner *o, enum trace_hook hook, const void *addr,
    uint64_t size)
{
	return ((struct callback) { .hook = hook,
	    .class = o->class == TRACE_VMZONE ? TRACE_ZONE : o->class,
	    .handle = o->handle,
	    .addr = (uintptr_t)addr,
	    .size = size });
}

/* True: it may go on. */
static bool
begin(struct callback *cb)
{
	const struct subject_config *c = &subject_kalloc_config;

	return (c->callback == NULL || c->callback(c->arg, cb));
}

static void
done(struct callback *cb, uint64_t ret)
{
	const struct subject_config *c = &subject_kalloc_config;

	cb->ret = ret;
	if (c->callback_done != NULL)
		c->callback_done(c->arg, cb);
}

/* The same of a cache: udata is 1 if it was told what is another's. */
static struct callback
cache_callback(const struct token *t, enum trace_hook hook, const void *obj)
{
	struct owner *o = t->owner;
	bool backend = hook == TRACE_HOOK_ALLOC || hook == TRACE_HOOK_FREE;
	struct callback cb = callback_of(o, hook, obj, o->args.objsize);

	cb.udata = t->backend != backend;
	return (cb);
}

static bool
cache_ctor(void *obj, void *privdata, int ocflags)
{
	struct callback cb = cache_callback(privdata, TRACE_HOOK_CTOR, obj);
	bool ok;

	cb.flags = (uint32_t)ocflags;
	ok = begin(&cb);
	done(&cb, ok);
	return (ok);
}

static void
cache_dtor(void *obj, void *privdata)
{
	struct callback cb = cache_callback(privdata, TRACE_HOOK_DTOR, obj);

	(void)begin(&cb);
	done(&cb, 1);
}

/* A call of the cache's zone, as one of its own where somebody judges it. */
static void
zone_call(const struct owner *o, struct call *c)
{
	const struct subject_config *config = &subject_kalloc_config;
	uma_zone_t zone = owner_at(TRACE_ZONE, o->over)->zone;

	c->handle = o->over;
	c->type = c->handle2 = TRACE_NOREG;
	if (config->nested == NULL) {
		if (c->code == TRACE_OP_UMA_ZALLOC)
			c->ret = (uintptr_t)uma_zalloc(zone, (int)c->flags);
		else
			uma_zfree(zone, (void *)c->addr);
		return;
	}
	config->nested(config->arg, c);
	if (c->why != 0)
		subject_kalloc_panic(c->why);
}

/* Of the flags of a get a zone has these: how long to wait, how deep to dig. */
#define ZONE_TAKES                                                             \
	(M_RNOWAIT | M_WAITOK | M_USE_RESERVE | M_USE_INTERRUPT_RESERVE)

static void *
backend_alloc(struct owner *o, int ocflags)
{
	bool zero = has(o, TRACE_HOOK_ZERO);
	struct call c = { .code = TRACE_OP_UMA_ZALLOC };

	if (has(o, TRACE_HOOK_EMPTY))
		return (objcache_nop_alloc(NULL, ocflags));
	if (o->over != TRACE_NOREG) {
		c.flags =
		    (uint32_t)((ocflags & ZONE_TAKES) | (zero ? M_ZERO : 0));
		zone_call(o, &c);
		return ((void *)c.ret);
	}
	/* The limit of a type is no panic here: it would end in the middle of a
	 * get. */
	if (zero)
		return (
		    objcache_malloc_alloc_zero(&o->args, ocflags | M_NULLOK));
	return (objcache_malloc_alloc(&o->args, ocflags | M_NULLOK));
}

static void
backend_free(struct owner *o, void *obj)
{
	struct call c = { .code = TRACE_OP_UMA_ZFREE, .addr = (uintptr_t)obj };

	if (has(o, TRACE_HOOK_EMPTY))
		objcache_nop_free(obj, NULL);
	else if (o->over != TRACE_NOREG)
		zone_call(o, &c);
	else
		objcache_malloc_free(obj, &o->args);
}

static void *
cache_alloc(void *args, int ocflags)
{
	struct owner *o = ((const struct token *)args)->owner;
	struct callback cb = cache_callback(args, TRACE_HOOK_ALLOC, NULL);
	void *obj = NULL;

	cb.flags = (uint32_t)ocflags;
	if (begin(&cb))
		obj = backend_alloc(o, ocflags);
	done(&cb, (uintptr_t)obj);
	return (obj);
}

static void
cache_free(void *obj, void *args)
{
	struct owner *o = ((const struct token *)args)->owner;
	struct callback cb = cache_callback(args, TRACE_HOOK_FREE, obj);

	(void)begin(&cb);
	backend_free(o, obj);
	done(&cb, 1);
}

static void
pipe_construct(void *buf, void *priv)
{
	struct owner *o = priv;
	struct callback cb =
	    callback_of(o, TRACE_HOOK_CTOR, buf, o->args.objsize);

	(void)begin(&cb);
	done(&cb, 1);
}

static void
pipe_deconstruct(void *buf, void *priv)
{
	struct owner *o = priv;
	struct callback cb =
	    callback_of(o, TRACE_HOOK_DTOR, buf, o->args.objsize);

	(void)begin(&cb);
	done(&cb, 1);
}

static void
pipe_callback(void *arg1, void *arg2)
{
	struct callback cb = callback_of(arg1, TRACE_HOOK_CALLBACK, NULL, 0);

	cb.udata = (uintptr_t)arg2;
	(void)begin(&cb);
	done(&cb, 1);
}

/*
 * Callbacks of zones are told no private argument: the zone is found by a
 * function for each register. There are few of them that have callbacks.
 */
#define ZONES_CALLED 64u
static struct owner *zone_called[ZONES_CALLED];

static int
zone_event(unsigned i, enum trace_hook hook, void *item, size_t size,
    const void *udata, int flags)
{
	struct callback cb =
	    callback_of(__atomic_load_n(&zone_called[i], __ATOMIC_ACQUIRE),
		hook, item, size);
	bool ok;

	cb.udata = (uintptr_t)udata;
	cb.flags = (uint32_t)flags;
	ok = begin(&cb);
	done(&cb, ok);
	return (ok ? 0 : 1);
}

#define ZONE_CALLBACKS(i)                                                      \
	static int zone_ctor_##i(void *p, size_t n, void *u, int f)            \
	{                                                                      \
		return (zone_event(i, TRACE_HOOK_CTOR, p, n, u, f));           \
	}                                                                      \
	static void zone_dtor_##i(void *p, size_t n, void *u)                  \
	{                                                                      \
		(void)zone_event(i, TRACE_HOOK_DTOR, p, n, u, 0);              \
	}                                                                      \
	static int zone_init_##i(void *p, size_t n, int f)                     \
	{                                                                      \
		return (zone_event(i, TRACE_HOOK_INIT, p, n, NULL, f));        \
	}                                                                      \
	static void zone_fini_##i(void *p, size_t n)                           \
	{                                                                      \
		(void)zone_event(i, TRACE_HOOK_FINI, p, n, NULL, 0);           \
	}                                                                      \
	static void zone_maxaction_##i(uma_zone_t z)                           \
	{                                                                      \
		(void)z;                                                       \
		(void)zone_event(i, TRACE_HOOK_MAXACTION, NULL, 0, NULL, 0);   \
	}
#define ZONE_ROW(i)                                                            \
	{                                                                      \
		zone_ctor_##i, zone_dtor_##i, zone_init_##i, zone_fini_##i,    \
		    zone_maxaction_##i                                         \
	}
/* Numbers of two octal digits: 000 to 077. */
#define ZONE_OCTET(X, a)                                                       \
	X(0##a##0)                                                             \
	X(0##a##1)                                                             \
	X(0##a##2)                                                             \
	X(0##a##3)                                                             \
	X(0##a##4)                                                             \
	X(0##a##5)                                                             \
	X(0##a##6)                                                             \
	X(0##a##7)
#define ZONE_EACH(X)                                                           \
	ZONE_OCTET(X, 0)                                                       \
	ZONE_OCTET(X, 1)                                                       \
	ZONE_OCTET(X, 2)                                                       \
	ZONE_OCTET(X, 3)                                                       \
	ZONE_OCTET(X, 4)                                                       \
	ZONE_OCTET(X, 5)                                                       \
	ZONE_OCTET(X, 6)                                                       \
	ZONE_OCTET(X, 7)
#define ZONE_ROW_COMMA(i) ZONE_ROW(i),

ZONE_EACH(ZONE_CALLBACKS)

static const struct zone_callbacks {
	uma_ctor *ctor;
	uma_dtor *dtor;
	uma_init *init;
	uma_fini *fini;
	uma_maxaction *maxaction;
} zone_callbacks[ZONES_CALLED] = { ZONE_EACH(ZONE_ROW_COMMA) };

/* The zone calls nobody any more. */
static void
zone_uncalled(const struct owner *o)
{
	unsigned i;

	for (i = 0; i < ZONES_CALLED; i++)
		if (__atomic_load_n(&zone_called[i], __ATOMIC_RELAXED) == o)
			__atomic_store_n(
			    &zone_called[i], NULL, __ATOMIC_RELEASE);
}

/* The callbacks that the zone's hooks ask for. */
static struct zone_callbacks
zone_callbacks_of(struct owner *o)
{
	struct zone_callbacks k = { NULL, NULL, NULL, NULL, NULL };
	unsigned i;

	if (o->hooks == 0)
		return (k);
	for (i = 0; i < ZONES_CALLED; i++) {
		struct owner *nobody = NULL;

		if (__atomic_compare_exchange_n(&zone_called[i], &nobody, o,
			false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			break;
	}
	if (i == ZONES_CALLED)
		return (k);
	k = zone_callbacks[i];
	if (!has(o, TRACE_HOOK_CTOR))
		k.ctor = NULL;
	if (!has(o, TRACE_HOOK_DTOR))
		k.dtor = NULL;
	if (!has(o, TRACE_HOOK_INIT))
		k.init = NULL;
	if (!has(o, TRACE_HOOK_FINI))
		k.fini = NULL;
	if (!has(o, TRACE_HOOK_MAXACTION))
		k.maxaction = NULL;
	return (k);
}

/* The owner of a zone with a source. */
static struct owner *
source_owner(uma_zone_t zone)
{
	struct owner *const *o = owners[TRACE_ZONE - TRACE_CACHE];

	while (*o == NULL || !(*o)->alive || (*o)->zone != zone)
		o++;
	return (*o);
}

static int
zone_import(void *arg, void **store, int count, int flags)
{
	struct owner *o = arg;
	struct callback cb =
	    callback_of(o, TRACE_HOOK_IMPORT, NULL, (uint64_t)count);
	uint64_t i, n = 0;

	cb.flags = (uint32_t)flags;
	cb.store = (uint64_t *)(void *)store;
	if (begin(&cb))
		for (i = 0; i < o->tokens && n < (uint64_t)count; i++) {
			if (__atomic_exchange_n(
				&o->out[i], 1, __ATOMIC_ACQ_REL) != 0)
				continue;
			store[n++] = (void *)(TOKEN_BASE(o) + i * TOKEN_STEP);
		}
	done(&cb, n);
	return ((int)n);
}

static void
zone_release(void *arg, void **store, int count)
{
	struct owner *o = arg;
	struct callback cb =
	    callback_of(o, TRACE_HOOK_RELEASE, NULL, (uint64_t)count);
	int i;

	cb.store = (uint64_t *)(void *)store;
	(void)begin(&cb);
	for (i = 0; i < count; i++) {
		uint64_t at =
		    ((uintptr_t)store[i] - TOKEN_BASE(o)) / TOKEN_STEP;

		if (at < o->tokens) /* otherwise the model knows */
			__atomic_store_n(&o->out[at], 0, __ATOMIC_RELEASE);
	}
	done(&cb, 1);
}

/* ---- kmalloc calls of the library -------------------------------------- */

#ifdef KA_PORT_SIM
extern void *(*ka_backend_kmalloc)(size_t, struct malloc_type *, int);
extern void (*ka_backend_kfree)(void *, struct malloc_type *);
extern void zone__forget(void);

static void *
nested_kmalloc(size_t size, struct malloc_type *type, int flags)
{
	struct call c = { .code = TRACE_OP_KMALLOC,
		.size = size,
		.flags = (uint32_t)flags,
		.type = subject_kalloc_type_reg(type) };

	if (subject_kalloc_config.nested == NULL || c.type == TRACE_NOREG)
		return ((kmalloc)(size, type, flags));
	subject_kalloc_config.nested(subject_kalloc_config.arg, &c);
	if (c.why != 0)
		subject_kalloc_panic(c.why);
	return ((void *)c.ret);
}

static void
nested_kfree(void *p, struct malloc_type *type)
{
	struct call c = { .code = TRACE_OP_KFREE,
		.addr = (uintptr_t)p,
		.type = subject_kalloc_type_reg(type) };

	if (subject_kalloc_config.nested == NULL || c.type == TRACE_NOREG) {
		kfree(p, type);
		return;
	}
	subject_kalloc_config.nested(subject_kalloc_config.arg, &c);
	if (c.why != 0)
		subject_kalloc_panic(c.why);
}
#endif

/* ---- objcache ---------------------------------------------------------- */

static void
do_objcache_create(struct call *c)
{
	struct owner *o = owner_make(TRACE_CACHE, c);

	o->privdata = (struct token) { o, false };
	o->allocator = (struct token) { o, true };
	o->args.objsize = c->size;
	if (c->code == TRACE_OP_OBJCACHE_CREATE_ZONE)
		o->over = c->handle2;
	else
		o->args.mtype = subject_kalloc_type(c->type);
	o->cache = objcache_create(o->name, c->n[0], c->n[1],
	    has(o, TRACE_HOOK_CTOR) ? cache_ctor : NULL,
	    has(o, TRACE_HOOK_DTOR) ? cache_dtor : NULL, &o->privdata,
	    cache_alloc, cache_free, &o->allocator);
	o->alive = o->cache != NULL;
	c->ret = o->alive;
}

static struct objcache *
cache_of(uint32_t handle)
{
	struct owner *o = owner_at(TRACE_CACHE, handle);

	return (o == NULL ? NULL : o->cache);
}

static void
do_objcache_get(struct call *c)
{
	c->ret = (uintptr_t)objcache_get(cache_of(c->handle), (int)c->flags);
}

static void
do_objcache_put(struct call *c)
{
	objcache_put(cache_of(c->handle), (void *)c->addr);
}

static void
do_objcache_dtor(struct call *c)
{
	objcache_dtor(cache_of(c->handle), (void *)c->addr);
}

static void
do_objcache_destroy(struct call *c)
{
	objcache_destroy(cache_of(c->handle));
	owner_at(TRACE_CACHE, c->handle)->alive = false;
}

static void
do_objcache_reclaimlist(struct call *c)
{
	struct objcache *list[2] = { cache_of(c->handle),
		cache_of(c->handle2) };
	int n = c->handle2 == TRACE_NOREG || c->handle2 == c->handle ? 1 : 2;

	c->ret = objcache_reclaimlist(list, n, (int)c->flags);
}

static void
do_objcache_set_cluster_limit(struct call *c)
{
	objcache_set_cluster_limit(cache_of(c->handle), c->n[0]);
}

/* ---- mpipe ------------------------------------------------------------- */

static malloc_pipe_t
pipe_of(const struct call *c)
{
	return (&owner_at(TRACE_PIPE, c->handle)->pipe);
}

static void
do_mpipe_init(struct call *c)
{
	struct owner *o = owner_make(TRACE_PIPE, c);

	o->args.objsize = c->size;
	mpipe_init(&o->pipe, subject_kalloc_type(c->type), c->size, c->n[0],
	    c->n[1], (int)c->flags,
	    has(o, TRACE_HOOK_CTOR) ? pipe_construct : NULL,
	    has(o, TRACE_HOOK_DTOR) ? pipe_deconstruct : NULL, o);
	o->alive = true;
	c->ret = 1;
}

static void
do_mpipe_done(struct call *c)
{
	mpipe_done(pipe_of(c));
	owner_at(TRACE_PIPE, c->handle)->alive = false;
}

static void
do_mpipe_alloc_nowait(struct call *c)
{
	c->ret = (uintptr_t)mpipe_alloc_nowait(pipe_of(c));
}

static void
do_mpipe_alloc_waitok(struct call *c)
{
	c->ret = (uintptr_t)mpipe_alloc_waitok(pipe_of(c));
}

static void
do_mpipe_alloc_callback(struct call *c)
{
	c->ret = (uintptr_t)mpipe_alloc_callback(pipe_of(c), pipe_callback,
	    owner_at(TRACE_PIPE, c->handle), (void *)c->udata);
}

static void
do_mpipe_wait(struct call *c)
{
	mpipe_wait(pipe_of(c));
}

static void
do_mpipe_free(struct call *c)
{
	mpipe_free(pipe_of(c), (void *)c->addr);
}

/* ---- zones ------------------------------------------------------------- */

static uma_zone_t
zone_of(uint32_t handle)
{
	struct owner *o = owner_at(TRACE_ZONE, handle);

	return (o == NULL ? NULL : o->zone);
}

static void
zone_made(struct call *c, struct owner *o, uma_maxaction *maxaction)
{
	o->alive = o->zone != NULL;
	if (!o->alive)
		zone_uncalled(o);
	if (o->alive && maxaction != NULL)
		uma_zone_set_maxaction(o->zone, maxaction);
	c->ret = o->alive;
}

static void
do_uma_zcreate(struct call *c)
{
	struct owner *o = owner_make(TRACE_ZONE, c);
	struct zone_callbacks k = zone_callbacks_of(o);

	o->align = c->num;
	o->zone = uma_zcreate(
	    o->name, c->size, k.ctor, k.dtor, k.init, k.fini, c->num, c->flags);
	zone_made(c, o, k.maxaction);
}

/* Bytes from one item of a static zone to the next. */
static uint64_t
static_unit(const struct call *c)
{
	return (c->num + 1 < 8 ? 8 : c->num + 1);
}

static uint64_t
static_stride(const struct call *c)
{
	uint64_t unit = static_unit(c);

	return ((c->size + unit - 1) / unit * unit);
}

/* What the memory begins before its first item, which is as little aligned as
 * can be: there is a page for it. */
static uint64_t
static_lead(const struct call *c)
{
	uint64_t unit = static_unit(c);

	return (unit <= KA_PAGE_SIZE ? unit - 1 : 0);
}

static void
do_uma_zcreate_static(struct call *c)
{
	struct owner *o = owner_make(TRACE_ZONE, c);
	struct zone_callbacks k = zone_callbacks_of(o);
	uint64_t lead = static_lead(c);

	o->zone = uma_zcreate_static(o->name, c->size, k.ctor, k.dtor, NULL,
	    NULL, c->num, c->flags, (void *)(c->addr - lead),
	    lead + static_stride(c) * (uint64_t)(uint32_t)c->n[0]);
	zone_made(c, o, NULL);
}

/* The source of slabs: pages, but whether there are any the trace says. */
static void *
source_alloc(uma_zone_t zone, size_t bytes, int flags)
{
	struct owner *o = source_owner(zone);
	struct callback cb = callback_of(o, TRACE_HOOK_ALLOC, NULL, bytes);
	unsigned depth = (flags & M_USE_INTERRUPT_RESERVE) != 0 ?
	    VM_ALLOC_INTERRUPT :
	    (flags & M_USE_RESERVE) != 0 ? VM_ALLOC_SYSTEM :
					   VM_ALLOC_NORMAL;
	void *p = NULL;

	cb.flags = (uint32_t)flags;
	if (begin(&cb))
		p = vm_page_alloc(bytes / KA_PAGE_SIZE, o->align + 1,
		    depth | ((flags & M_ZERO) != 0 ? VM_ALLOC_ZERO : 0));
	done(&cb, (uintptr_t)p);
	return (p);
}

static void
source_free(void *p, size_t bytes)
{
	vm_page_free(p, bytes / KA_PAGE_SIZE);
}

static void
do_uma_zone_set_source(struct call *c)
{
	uma_zone_set_freef(zone_of(c->handle), source_free);
	uma_zone_set_allocf(zone_of(c->handle), source_alloc);
}

static void
do_uma_zsecond_create(struct call *c)
{
	uma_zone_t primary = zone_of(c->handle2);
	struct owner *o = owner_make(TRACE_ZONE, c);
	struct zone_callbacks k = zone_callbacks_of(o);

	o->zone = uma_zsecond_create(
	    o->name, k.ctor, k.dtor, k.init, k.fini, primary);
	zone_made(c, o, k.maxaction);
}

static void
do_uma_zcache_create(struct call *c)
{
	struct owner *o = owner_make(TRACE_ZONE, c);
	struct zone_callbacks k = zone_callbacks_of(o);

	o->tokens = c->num;
	o->out = calloc(1, c->num + 1);
	if (o->out == NULL)
		abort();
	o->zone = uma_zcache_create(o->name, c->size, k.ctor, k.dtor, k.init,
	    k.fini, zone_import, zone_release, o, c->flags);
	zone_made(c, o, k.maxaction);
}

static void
do_uma_zdestroy(struct call *c)
{
	uma_zdestroy(zone_of(c->handle));
	owner_at(TRACE_ZONE, c->handle)->alive = false;
	zone_uncalled(owner_at(TRACE_ZONE, c->handle));
}

static void
do_uma_zalloc(struct call *c)
{
	c->ret = (uintptr_t)uma_zalloc(zone_of(c->handle), (int)c->flags);
}

static void
do_uma_zalloc_arg(struct call *c)
{
	c->ret = (uintptr_t)uma_zalloc_arg(
	    zone_of(c->handle), (void *)c->udata, (int)c->flags);
}

static void
do_uma_zfree(struct call *c)
{
	uma_zfree(zone_of(c->handle), (void *)c->addr);
}

static void
do_uma_zfree_arg(struct call *c)
{
	uma_zfree_arg(zone_of(c->handle), (void *)c->addr, (void *)c->udata);
}

static void
do_uma_zfree_interior(struct call *c)
{
	uma_zfree(zone_of(c->handle), (void *)(c->addr + c->size));
}

static void
do_uma_zone_set_max(struct call *c)
{
	c->ret = (uint64_t)uma_zone_set_max(zone_of(c->handle), c->n[0]);
}

static void
do_uma_zone_get_max(struct call *c)
{
	c->ret = (uint64_t)uma_zone_get_max(zone_of(c->handle));
}

static void
do_uma_zone_get_cur(struct call *c)
{
	c->ret = (uint64_t)uma_zone_get_cur(zone_of(c->handle));
}

static void
do_uma_zone_set_maxcache(struct call *c)
{
	uma_zone_set_maxcache(zone_of(c->handle), c->n[0]);
}

static void
do_uma_prealloc(struct call *c)
{
	uma_prealloc(zone_of(c->handle), c->n[0]);
}

static void
do_uma_zone_reserve(struct call *c)
{
	uma_zone_reserve(zone_of(c->handle), c->n[0]);
}

static int
reclaim_request(enum trace_reclaim reclaim)
{
	static const int request[TRACE_RECLAIM_COUNT] = {
		[TRACE_RECLAIM_DRAIN] = UMA_RECLAIM_DRAIN,
		[TRACE_RECLAIM_DRAIN_CPU] = UMA_RECLAIM_DRAIN_CPU,
		[TRACE_RECLAIM_TRIM] = UMA_RECLAIM_TRIM,
	};

	return (request[reclaim]);
}

static void
do_uma_zone_reclaim(struct call *c)
{
	uma_zone_reclaim(zone_of(c->handle), reclaim_request(c->reclaim));
}

static void
do_uma_reclaim(struct call *c)
{
	uma_reclaim(reclaim_request(c->reclaim));
}

static vm_zone_t
vmzone_of(const struct call *c)
{
	return (owner_at(TRACE_VMZONE, c->handle)->vmzone);
}

/* Zeroed static memory for a boot zone, or 0 if there is none left. */
uint64_t
subject_owners_memory(const struct call *c)
{
	bool uma = c->code == TRACE_OP_UMA_ZCREATE_STATIC;
	uint64_t unit = uma ? static_unit(c) : 1, bytes;
	uint32_t at = __atomic_load_n(&static_used, __ATOMIC_RELAXED), end;

	if (c->size > STATIC_MAX || c->n[0] < 0 || unit > KA_SLAB_SIZE)
		return (0);
	bytes =
	    (uma ? static_stride(c) : c->size) * (uint64_t)(uint32_t)c->n[0];
	bytes += unit > KA_PAGE_SIZE ? unit : 0;
	bytes += uma ? KA_PAGE_SIZE : 0; /* see static_lead() */
	do {
		if (bytes > STATIC_MAX - at)
			return (0);
		end = at + (uint32_t)((bytes + 4095) / 4096 * 4096);
	} while (!__atomic_compare_exchange_n(
	    &static_used, &at, end, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	subject_kalloc_reach(&static_dirty, end);
	at += uma ? KA_PAGE_SIZE : 0;
	return (((uintptr_t)static_memory + at + unit - 1) / unit * unit);
}

static void
do_zbootinit(struct call *c)
{
	struct owner *o = owner_make(TRACE_VMZONE, c);

	o->boot = true;
	o->vmzone = &o->storage;
	zbootinit(o->vmzone, o->name, c->size, (void *)c->addr, c->n[0]);
	o->alive = true;
	c->ret = 1;
}

static void
do_zinit(struct call *c)
{
	struct owner *o = owner_make(TRACE_VMZONE, c);

	o->vmzone = zinit(o->name, c->size, c->n[0], c->flags);
	o->alive = o->vmzone != NULL;
	c->ret = o->alive;
}

static void
do_zinitna(struct call *c)
{
	struct owner *o = owner_at(TRACE_VMZONE, c->handle);

	c->ret =
	    (uint64_t)zinitna(vmzone_of(c), c->str, c->size, c->n[0], c->flags);
	if (c->ret != 0 && o != NULL)
		(void)snprintf(o->name, sizeof(o->name), "%s", c->str);
}

static void
do_zdestroy(struct call *c)
{
	zdestroy(vmzone_of(c));
	owner_at(TRACE_VMZONE, c->handle)->alive = false;
}

static void
do_zalloc(struct call *c)
{
	c->ret = (uintptr_t)zalloc(vmzone_of(c));
}

static void
do_zfree(struct call *c)
{
	zfree(vmzone_of(c), (void *)c->addr);
}

static subject_op *const ops[TRACE_OP_COUNT] = {
	[TRACE_OP_OBJCACHE_CREATE] = do_objcache_create,
	[TRACE_OP_OBJCACHE_CREATE_ZONE] = do_objcache_create,
	[TRACE_OP_OBJCACHE_GET] = do_objcache_get,
	[TRACE_OP_OBJCACHE_PUT] = do_objcache_put,
	[TRACE_OP_OBJCACHE_DTOR] = do_objcache_dtor,
	[TRACE_OP_OBJCACHE_DESTROY] = do_objcache_destroy,
	[TRACE_OP_OBJCACHE_RECLAIMLIST] = do_objcache_reclaimlist,
	[TRACE_OP_OBJCACHE_SET_CLUSTER_LIMIT] = do_objcache_set_cluster_limit,
	[TRACE_OP_MPIPE_INIT] = do_mpipe_init,
	[TRACE_OP_MPIPE_DONE] = do_mpipe_done,
	[TRACE_OP_MPIPE_ALLOC_NOWAIT] = do_mpipe_alloc_nowait,
	[TRACE_OP_MPIPE_ALLOC_WAITOK] = do_mpipe_alloc_waitok,
	[TRACE_OP_MPIPE_ALLOC_CALLBACK] = do_mpipe_alloc_callback,
	[TRACE_OP_MPIPE_WAIT] = do_mpipe_wait,
	[TRACE_OP_MPIPE_FREE] = do_mpipe_free,
	[TRACE_OP_UMA_ZCREATE] = do_uma_zcreate,
	[TRACE_OP_UMA_ZCREATE_STATIC] = do_uma_zcreate_static,
	[TRACE_OP_UMA_ZONE_SET_SOURCE] = do_uma_zone_set_source,
	[TRACE_OP_UMA_ZSECOND_CREATE] = do_uma_zsecond_create,
	[TRACE_OP_UMA_ZCACHE_CREATE] = do_uma_zcache_create,
	[TRACE_OP_UMA_ZDESTROY] = do_uma_zdestroy,
	[TRACE_OP_UMA_ZALLOC] = do_uma_zalloc,
	[TRACE_OP_UMA_ZALLOC_ARG] = do_uma_zalloc_arg,
	[TRACE_OP_UMA_ZFREE] = do_uma_zfree,
	[TRACE_OP_UMA_ZFREE_ARG] = do_uma_zfree_arg,
	[TRACE_OP_UMA_ZFREE_INTERIOR] = do_uma_zfree_interior,
	[TRACE_OP_UMA_ZFREE_WILD] = do_uma_zfree,
	[TRACE_OP_UMA_ZONE_SET_MAX] = do_uma_zone_set_max,
	[TRACE_OP_UMA_ZONE_GET_MAX] = do_uma_zone_get_max,
	[TRACE_OP_UMA_ZONE_GET_CUR] = do_uma_zone_get_cur,
	[TRACE_OP_UMA_ZONE_SET_MAXCACHE] = do_uma_zone_set_maxcache,
	[TRACE_OP_UMA_PREALLOC] = do_uma_prealloc,
	[TRACE_OP_UMA_ZONE_RESERVE] = do_uma_zone_reserve,
	[TRACE_OP_UMA_ZONE_RECLAIM] = do_uma_zone_reclaim,
	[TRACE_OP_UMA_RECLAIM] = do_uma_reclaim,
	[TRACE_OP_ZBOOTINIT] = do_zbootinit,
	[TRACE_OP_ZINIT] = do_zinit,
	[TRACE_OP_ZINITNA] = do_zinitna,
	[TRACE_OP_ZDESTROY] = do_zdestroy,
	[TRACE_OP_ZALLOC] = do_zalloc,
	[TRACE_OP_ZFREE] = do_zfree,
};

void
subject_owners_panicked(const struct call *c)
{
	if (trace_ops[c->code].out == TRACE_ZONE)
		zone_uncalled(owner_at(TRACE_ZONE, c->handle));
}

subject_op *
subject_owners_op(enum trace_opcode code)
{
	return (ops[code]);
}

/* ---- Statistics, life -------------------------------------------------- */

static void
cache_stats(const struct owner *o, struct owner_stats *ret_s)
{
	struct objcache_stats s;

	objcache_get_stats(o->cache, &s);
	ret_s->used = s.used;
	ret_s->cached = s.cached;
	ret_s->limit = s.limit;
	ret_s->requests = s.requested;
	ret_s->failures = s.failed;
	ret_s->sleeps = s.sleeps;
	ret_s->capacity = s.magazine;
	ret_s->quota = s.quota;
	ret_s->quota_total = s.quota_total;
}

static void
pipe_stats(struct owner *o, struct owner_stats *ret_s)
{
	struct mpipe_stats s;

	mpipe_get_stats(&o->pipe, &s);
	ret_s->total = s.total;
	ret_s->free = s.free;
	ret_s->used = s.total - s.free;
	ret_s->nnom = s.nnom;
	ret_s->nmax = s.nmax;
	ret_s->requests = s.requests;
	ret_s->failures = s.failures;
	ret_s->sleeps = s.sleeps;
	ret_s->pending = s.pending;
}

static void
zone_stats(const struct uma_zone_stats *s, struct owner_stats *ret_s)
{
	ret_s->used = s->used;
	ret_s->cached = s->cached;
	ret_s->free = s->free;
	ret_s->limit = s->limit;
	ret_s->requests = s->requests;
	ret_s->failures = s->failures;
	ret_s->sleeps = s->sleeps;
	ret_s->capacity = s->bucket;
	ret_s->rsize = s->rsize;
	ret_s->ipers = s->ipers;
	ret_s->ppera = s->ppera;
	ret_s->slabs = s->slabs;
	ret_s->reserve = s->reserve;
}

bool
subject_owners_stats(
    enum trace_class class, uint32_t handle, struct owner_stats *ret_s)
{
	struct owner *o = owner_at(class, handle);
	struct uma_zone_stats z;

	memset(ret_s, 0, sizeof(*ret_s));
	if (o == NULL || !o->alive ||
	    (class == TRACE_PIPE && o->pipe.mp_private == NULL))
		return (false);
	switch (class) {
	case TRACE_CACHE:
		cache_stats(o, ret_s);
		break;
	case TRACE_PIPE:
		pipe_stats(o, ret_s);
		break;
	case TRACE_ZONE:
		uma_zone_get_stats(o->zone, &z);
		zone_stats(&z, ret_s);
		break;
	default:
		uma_zone_get_stats((uma_zone_t)o->vmzone->z_private, &z);
		zone_stats(&z, ret_s);
		break;
	}
	return (true);
}

const char *
subject_owners_name(enum trace_class class, uint32_t handle)
{
	const struct owner *o = owner_at(class, handle);

	if (class == TRACE_PIPE)
		return ("mpipe");
	return (o == NULL ? "" : o->name);
}

void
subject_owners_boot(void)
{
#ifdef KA_PORT_SIM
	ka_backend_kmalloc = nested_kmalloc;
	ka_backend_kfree = nested_kfree;
#endif
	memset(static_memory, 0, static_dirty);
	static_used = static_dirty = 0;
}

void
subject_owners_halt(void)
{
	uint32_t class, i;

	for (class = 0; class < CLASSES; class ++) {
		for (i = 0; i < owners_top[class]; i++)
			if (owners[class][i] != NULL)
				owners[class][i]->alive = false;
		owners_top[class] = 0;
	}
	memset(zone_called, 0, sizeof(zone_called));
#ifdef KA_PORT_SIM
	zone__forget();
#endif
}

const char *
subject_owners_audit(const char **ret_found)
{
	const char *id = objcache_audit(ret_found);

	if (id == NULL)
		id = mpipe_audit(ret_found);
	return (id != NULL ? id : uma_audit(ret_found));
}

static void
table_caches(void (*put)(void *arg, const char *line), void *arg)
{
	struct objcache_stats s;
	char line[160];
	unsigned i;

	for (i = 0; objcache_stats(i, &s); i++) {
		if (i == 0)
			put(arg, "");
		if (i == 0)
			put(arg,
			    "OBJCACHE                    LIMIT     USED   CACHED"
			    "      REQ     FAIL    SLEEP");
		(void)snprintf(line, sizeof(line),
		    "%-24.24s %8llu %8llu %8llu %8llu %8llu %8llu", s.name,
		    (unsigned long long)s.limit, (unsigned long long)s.used,
		    (unsigned long long)s.cached,
		    (unsigned long long)s.requested,
		    (unsigned long long)s.failed, (unsigned long long)s.sleeps);
		put(arg, line);
	}
}

static void
table_pipes(void (*put)(void *arg, const char *line), void *arg)
{
	struct mpipe_stats s;
	char line[160];
	unsigned i;

	for (i = 0; mpipe_stats(i, &s); i++) {
		if (i == 0)
			put(arg, "");
		if (i == 0)
			put(arg,
			    "MPIPE                  SIZE     NNOM    TOTAL     FREE"
			    "      REQ     FAIL    SLEEP");
		(void)snprintf(line, sizeof(line),
		    "%-16.16s %10llu %8llu %8llu %8llu %8llu %8llu %8llu",
		    s.type, (unsigned long long)s.bytes,
		    (unsigned long long)s.nnom, (unsigned long long)s.total,
		    (unsigned long long)s.free, (unsigned long long)s.requests,
		    (unsigned long long)s.failures,
		    (unsigned long long)s.sleeps);
		put(arg, line);
	}
}

void
subject_owners_tables(void (*put)(void *arg, const char *line), void *arg)
{
	struct uma_zone_stats z;

	kmalloc_vmstat(put, arg);
	if (uma_stats(0, &z)) {
		put(arg, "");
		uma_vmstat(put, arg);
	}
	table_caches(put, arg);
	table_pipes(put, arg);
}
