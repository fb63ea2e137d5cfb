/*
 * What every reproducer has in front of its steps. Objects are filled when
 * they are handed out and looked at when they are given back; what they may be
 * is checked as far as the calls alone tell it.
 */
#define _GNU_SOURCE /* recursive mutexes that need no call; gettid() */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <kalloc/kalloc.h>
#include <kalloc/kmalloc.h>
#include <kalloc/mpipe.h>
#include <kalloc/objcache.h>
#include <kalloc/uma.h>
#include <kalloc/vm_page.h>
#include <kalloc/zone.h>

enum {
	STATUS_CLEAN = 0,
	STATUS_SHOWN = 1,
	STATUS_CANNOT = 2,
	STATUS_NOT_SHOWN = 3
};

static const char *doing = "before the first step";

static void shown(const char *, ...)
    __attribute__((noreturn, format(printf, 1, 2)));
static void
shown(const char *fmt, ...)
{
	va_list ap;

	(void)printf("shown: %s\n  ", doing);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n  finding: " FINDING "\n");
	(void)fflush(stdout);
	_exit(STATUS_SHOWN);
}

/* ---- Threads ------------------------------------------------------------- */

/*
 * Are all other threads asleep? Counts how often each was switched: who wakes
 * another and goes to sleep behind our back is seen by that.
 */
static bool
all_asleep(unsigned long *ret_switches)
{
	const pid_t self = gettid();
	DIR *tasks = opendir("/proc/self/task");
	bool asleep = tasks != NULL;

	*ret_switches = 0;
	for (struct dirent *e; asleep && (e = readdir(tasks)) != NULL;) {
		unsigned long times;
		char line[300], state = 0;
		FILE *f;

		if (e->d_name[0] == '.' || atoi(e->d_name) == self)
			continue;
		(void)snprintf(line, sizeof(line),
		    "/proc/self/task/%.20s/status", e->d_name);
		f = fopen(line, "r");
		if (f == NULL)
			continue; /* it has ended */
		while (fgets(line, sizeof(line), f) != NULL) {
			(void)sscanf(line, "State: %c", &state);
			if (sscanf(line, "voluntary_ctxt_switches: %lu",
				&times) == 1 ||
			    sscanf(line, "nonvoluntary_ctxt_switches: %lu",
				&times) == 1)
				*ret_switches += times;
		}
		(void)fclose(f);
		asleep = state == 'S';
	}
	if (tasks != NULL)
		(void)closedir(tasks);
	return (asleep);
}

/* Waits until no other thread goes on by itself, or so many milliseconds. */
static bool
settle(unsigned ms)
{
	for (unsigned i = 0; i <= ms; i++) {
		unsigned long before, after;

		if (all_asleep(&before) && all_asleep(&after) &&
		    before == after)
			return (true);
		(void)usleep(i < 50 ? 20 : 1000);
	}
	return (false);
}

/* ---- Objects ------------------------------------------------------------- */

enum owner {
	OWNER_KMALLOC,
	OWNER_RUN,
	OWNER_CACHE,
	OWNER_PIPE,
	OWNER_ZONE,
	OWNER_VMZONE
};

struct object {
	unsigned char *addr; /* stays when it was given back */
	size_t size;
	unsigned char fill;
	bool held;
	enum owner owner;
	unsigned of; /* which type, cache, pipe or zone */
};

/* Callbacks that do something: from their from-th call on, count times. */
struct hook {
	int action;
	unsigned long calls, from, count;
};

enum {
	HOOK_CTOR,
	HOOK_DTOR,
	HOOK_INIT,
	HOOK_FINI,
	HOOK_ALLOC,
	HOOK_FREE,
	HOOK_IMPORT,
	HOOK_RELEASE,
	HOOK_CALLBACK,
	HOOK_MAXACTION,
	HOOK_ZERO,
	HOOK_EMPTY,
	HOOKS
};

enum {
	ACTION_NONE,
	ACTION_REFUSE,
	ACTION_KMALLOC,
	ACTION_SELF
};

/* A cache, pipe or zone, and what was counted of it. */
struct owned {
	struct objcache *cache;
	struct malloc_pipe pipe;
	uma_zone_t zone;
	vm_zone_t vmzone;
	struct vm_zone storage;
	bool alive, zeroed;
	bool *out;   /* of a zone of tokens: which are; NULL: no such zone */
	bool selfed; /* its callbacks use it, too: counts are not ours alone */
	unsigned number, hooks, type, tokens;
	struct owned *over; /* of a cache: whose items its objects are */
	size_t size, align; /* align: a mask */
	int max;
	unsigned long held, calls, nulls;
	struct hook hook[HOOKS];
};

struct type {
	struct malloc_type *type, storage;
	bool shared; /* with caches or pipes: not ours alone */
	bool moved;  /* by krealloc: how many calls that is, is its affair */
	unsigned long calls;
};

/* Contents that were given back: what is there is that, until it is gone. */
struct past {
	unsigned char *addr, fill;
	size_t size;
};

/* Behind those that have a register: one for the null register, and those
 * whose register was named again while they were held. */
#define SPARE OBJECTS
static struct object p[OBJECTS + STEPS + 1], g[RUNS + STEPS + 1];
static unsigned objects = OBJECTS + 1, runs = RUNS;
static struct type m[TYPES + 1];
static struct owned c[CACHES + 1], q[PIPES + 1], z[ZONES + 1], b[VMZONES + 1];
static struct past past[4096];
static unsigned serial, pasts, panicked;
static size_t free_at_boot;
static __thread uint64_t returned; /* by the step: an address or a number */
static __thread struct object *giving;
static __thread bool stale; /* the step names what was given back */
static bool lost; /* of something that is held nobody knows the name */

/*
 * A step that was asleep goes on beside the one that woke it: what is kept of
 * objects is changed by one at a time. "LOCKED;" holds to the end of the block.
 */
static pthread_mutex_t objects_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static int
lock_objects(void)
{
	return (pthread_mutex_lock(&objects_lock));
}

static void
unlock_objects(const int *unused)
{
	(void)unused;
	(void)pthread_mutex_unlock(&objects_lock);
}

#define LOCKED                                                                 \
	const int locked __attribute__((cleanup(unlock_objects), unused)) =    \
	    lock_objects()

static struct owned *
owner_of(enum owner owner, unsigned of)
{
	switch (owner) {
	case OWNER_CACHE:
		return (&c[of]);
	case OWNER_PIPE:
		return (&q[of]);
	case OWNER_ZONE:
		return (&z[of]);
	case OWNER_VMZONE:
		return (&b[of]);
	default:
		return (NULL);
	}
}

/* One that is not declared is none of them. */
static struct malloc_type *
type_of(unsigned n)
{
	return (m[n].type != NULL ? m[n].type : &m[TYPES].storage);
}

static bool
all_are(const unsigned char *at, unsigned char byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (at[i] != byte)
			return (false);
	return (true);
}

static struct past *
past_of(const unsigned char *addr)
{
	for (unsigned i = 0; i < pasts; i++)
		if (past[i].addr == addr)
			return (&past[i]);
	return (NULL);
}

static void
forget(const void *addr)
{
	LOCKED;
	struct past *old = past_of(addr);

	if (old != NULL)
		*old = past[--pasts];
}

static void
check_apart(const struct object *o, const struct object *from, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (&from[i] != o && from[i].held && from[i].size != 0 &&
		    from[i].addr < o->addr + o->size &&
		    o->addr < from[i].addr + from[i].size)
			shown("%zu bytes overlap %zu that are held (G-2)",
			    o->size, from[i].size);
}

static void
check_contents(const struct object *o)
{
	if (!all_are(o->addr, o->fill, o->size))
		shown("the contents of %zu bytes changed while they were held "
		      "(G-2)",
		    o->size);
}

/* Its register is named again: what it held stays held. */
static void
set_aside(const struct object *o)
{
	if (!o->held)
		return;
	if (o >= g && o < g + RUNS)
		g[runs++] = *o;
	else
		p[objects++] = *o;
}

/* It is about to be made: a call that ends in a panic makes nothing. */
static void
empties(struct object *o)
{
	LOCKED;
	set_aside(o);
	*o = (struct object) { .addr = NULL };
}

/* An object was handed out: apart from all others, and filled from now on. */
static void
take(struct object *o, void *addr, size_t size, enum owner owner, unsigned of)
{
	returned = (uintptr_t)addr;
	set_aside(o);
	*o = (struct object) { .addr = addr,
		.size = size,
		.owner = owner,
		.of = of,
		.held = true };
	check_apart(o, p, objects);
	check_apart(o, g, runs);
	o->fill = (unsigned char)(++serial * 37 % 255 + 1);
	(void)memset(o->addr, o->fill, size);
}

/* Nothing, or the pointer that owns nothing. */
static bool
is_nothing(struct object *o, void *addr)
{
	LOCKED;
	returned = (uintptr_t)addr;
	if (addr != NULL && addr != ZERO_LENGTH_PTR)
		return (false);
	set_aside(o);
	*o = (struct object) { .addr = addr };
	return (true);
}

static void
check_align(const void *addr, size_t align, const char *clause)
{
	if (align > 1 && ((uintptr_t)addr & (align - 1)) != 0)
		shown("the address is no multiple of %zu (%s)", align, clause);
}

/* kmalloc and its kin: the type, the size that was asked for, the flags. */
static void
took(struct object *o, void *addr, unsigned type, size_t size, int flags)
{
	LOCKED;
	size_t usable, power = 1;

	m[type].calls++;
	if (is_nothing(o, addr)) {
		if (addr == NULL && size == 0)
			shown("size 0 gave NULL (KM-9)");
		return;
	}
	usable = kmalloc_usable_size(addr);
	if (usable < size)
		shown("%zu bytes may be used of %zu (KM-3)", usable, size);
	while (power < size && power < KA_SLAB_SIZE)
		power *= 2;
	if ((flags & M_POWEROF2) != 0)
		check_align(addr, power, "KM-4");
	if ((flags & M_CACHEALIGN) != 0)
		check_align(addr, KA_CACHE_LINE, "KM-4");
	if ((flags & M_ZERO) != 0 && !all_are(addr, 0, usable))
		shown("%zu bytes that were to be zero are not (KM-8)", usable);
	take(o, addr, usable, OWNER_KMALLOC, type);
}

static void
took_string(
    struct object *o, char *copy, unsigned type, const char *text, size_t most)
{
	size_t n = strlen(text);

	if (n > most)
		n = most;
	if (copy != NULL && copy != ZERO_LENGTH_PTR &&
	    (strncmp(copy, text, n) != 0 || copy[n] != '\0'))
		shown("the copy of a string is another one (KM-11)");
	took(o, copy, type, n + 1, M_WAITOK);
}

static void
took_run(
    struct object *o, void *addr, size_t npages, size_t align, unsigned flags)
{
	LOCKED;
	struct vm_page_stats s;

	if (is_nothing(o, addr))
		return;
	vm_page_stats(&s);
	check_align(addr, align > KA_PAGE_SIZE ? align : KA_PAGE_SIZE, "VM-1");
	if ((char *)addr < (char *)s.base ||
	    (char *)addr + npages * KA_PAGE_SIZE >
		(char *)s.base + s.pages * KA_PAGE_SIZE)
		shown("the run is outside of the budget (VM-1)");
	if ((flags & VM_ALLOC_ZERO) != 0 &&
	    !all_are(addr, 0, npages * KA_PAGE_SIZE))
		shown("pages that were to be zero are not (VM-4)");
	take(o, addr, npages * KA_PAGE_SIZE, OWNER_RUN, 0);
}

/* Contents of what was free before: those of the last time, or as fresh. */
static void
check_reused(
    const struct owned *w, enum owner owner, const void *addr, int flags)
{
	const struct past *old = past_of(addr);
	const bool zero = all_are(addr, 0, w->size);
	const bool as_before = old != NULL && all_are(addr, old->fill, w->size);

	if (owner == OWNER_PIPE && w->zeroed && !zero)
		shown("a buffer that was to be zero is not (MP-5)");
	if (owner == OWNER_CACHE && old != NULL && !as_before)
		shown("an object is not what its last put left (OC-4)");
	if ((owner == OWNER_ZONE || owner == OWNER_VMZONE) &&
	    (flags & M_ZERO) != 0 && !zero)
		shown("an item that was to be zero is not (ZN-9)");
	if ((owner == OWNER_ZONE || owner == OWNER_VMZONE) && !zero &&
	    !as_before)
		shown("an item is neither zero nor as it was freed (ZN-1)");
}

/* One more is held. */
static void
took_unit(struct owned *w)
{
	w->held++;
	if (w->max > 0 && w->held > (unsigned long)w->max)
		shown("%lu are held, at a maximum of %d (ZN-5, ZN-8)", w->held,
		    w->max);
}

/* Objects, buffers and items. */
static void
took_item(
    struct object *o, void *addr, enum owner owner, unsigned of, int flags)
{
	LOCKED;
	struct owned *w = owner_of(owner, of);

	w->calls++;
	if (is_nothing(o, addr)) {
		w->nulls++;
		return;
	}
	took_unit(w);
	if (w->out != NULL) {
		set_aside(o);
		*o = (struct object) {
			.addr = addr, .owner = owner, .of = of, .held = true
		};
		return;
	}
	check_align(addr, w->align + 1, "ZN-13");
	check_reused(w, owner, addr, flags);
	forget(addr);
	take(o, addr, w->size, owner, of);
}

static bool
is_in(const unsigned char *addr, const struct object *o)
{
	return (o->held &&
	    (addr == o->addr || (addr > o->addr && addr < o->addr + o->size)));
}

/* It was given back, and what is there now is another's. */
static bool
is_anothers(const struct object *o)
{
	stale |= !o->held;
	for (unsigned i = 0; i < objects && !o->held; i++)
		if (is_in(o->addr, &p[i]))
			return (true);
	for (unsigned i = 0; i < runs && !o->held; i++)
		if (is_in(o->addr, &g[i]))
			return (true);
	return (false);
}

static bool
is_null(const struct object *o)
{
	stale |= !o->held;
	return (o->addr == NULL);
}

/* It cannot be named: the call that was to bring it brought nothing. */
static bool
lacks(const struct object *o)
{
	return (o->addr == NULL || is_anothers(o));
}

/* It is about to be given back. A stale one is given back again: misuse. */
static void
gives(struct object *o)
{
	LOCKED;
	giving = o->held ? o : NULL;
	if (!o->held)
		return;
	check_contents(o);
	o->held = false;
	if (owner_of(o->owner, o->of) != NULL)
		owner_of(o->owner, o->of)->held--;
	forget(o->addr);
	if (o->owner >= OWNER_CACHE && o->size != 0 &&
	    pasts < sizeof(past) / sizeof(*past))
		past[pasts++] = (struct past) { o->addr, o->fill, o->size };
}

/*
 * So far behind the object's beginning: misuse on purpose. What is behind its
 * end depends on where things are; if it is another object it is that one that
 * is given back.
 */
static void *
inside(void *object, uintptr_t offset)
{
	unsigned char *addr = (unsigned char *)((uintptr_t)object + offset);

	for (unsigned i = 0; i < objects; i++)
		if (p[i].held && p[i].addr == object && offset < p[i].size)
			return (addr);
	for (unsigned i = 0; i < objects; i++)
		if (p[i].held && p[i].addr == addr) {
			gives(&p[i]);
			break;
		}
	stale |= object != NULL;
	return (addr);
}

/* The call ended in a panic: nothing was changed. */
static void
gives_not(void)
{
	LOCKED;
	if (giving == NULL)
		return;
	giving->held = true;
	if (owner_of(giving->owner, giving->of) != NULL)
		owner_of(giving->owner, giving->of)->held++;
	forget(giving->addr);
	giving = NULL;
}

static void
resize(struct object *o, size_t size, unsigned type, int flags)
{
	struct object old;
	size_t least;
	void *addr;

	if (o == &p[SPARE])
		empties(o);
	if (is_anothers(o))
		return;
	old = *o;
	if (o->held)
		check_contents(o);
	o->held = false;
	giving = old.held ? o : NULL;
	addr = krealloc(old.addr, size, type_of(type), flags);
	giving = NULL;
	m[type].moved = true;
	returned = (uintptr_t)addr;
	if (addr == NULL) {
		*o = old;
		o->held = old.held && size != 0;
		if (o->held)
			check_contents(o);
		return;
	}
	if (is_nothing(o, addr))
		return;
	least = old.held && old.size < size ? old.size : size;
	if (old.held && !all_are(addr, old.fill, least))
		shown("krealloc did not keep %zu bytes (KM-11)", least);
	took(o, addr, type, size, flags);
}

static void *
wild(int which)
{
	static char in_static[64];
	char here;

	switch (which) {
	case 0:
		return (NULL);
	case 1:
		return ((void *)((uintptr_t)&here & ~(uintptr_t)15));
	case 2:
		return (in_static);
	case 3:
		return ((void *)0x10000);
	case 4: {
		struct vm_page_stats s; /* the last page: the least used */

		vm_page_stats(&s);
		return ((char *)s.base + (s.pages - 1) * KA_PAGE_SIZE);
	}
	default:
		return ((void *)UINT64_C(0xfffffffffffff000));
	}
}
