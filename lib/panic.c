/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Panics (G-3): one place where misuse and broken invariants end.
 *
 * Formats without allocating. The handler is replaceable; the default writes
 * one line, the stacks that the audit trail has, and aborts.
 */
#include "ka_assert.h"
#include "port/port.h"

#include <stdarg.h>
#include <stdio.h>

static ka_panic_handler *panic_handler;

#define KA_WHY_NAME(id, name, text) name,
static const char *const why_names[] = { KA_WHY_TABLE(KA_WHY_NAME) };
#define KA_WHY_TEXT(id, name, text) text,
static const char *const why_texts[] = { KA_WHY_TABLE(KA_WHY_TEXT) };

KA_STATIC_ASSERT(sizeof(why_names) / sizeof(*why_names) == KA_WHY_COUNT,
    "a name for every reason");

const char *
ka_why_name(enum ka_why why)
{
	return ((unsigned)why < KA_WHY_COUNT ? why_names[why] : "unknown");
}

const char *
ka_why_text(enum ka_why why)
{
	return ((unsigned)why < KA_WHY_COUNT ? why_texts[why] : "unknown");
}

const char *
kalloc_version(void)
{
	return (KALLOC_VERSION);
}

ka_panic_handler *
ka_panic_set_handler(ka_panic_handler *fn)
{
	return (__atomic_exchange_n(&panic_handler, fn, __ATOMIC_ACQ_REL));
}

static void
panic_print_event(const char *what, const struct ka_trail_event *e)
{
	char line[160];
	unsigned i;

	if (e->serial == 0)
		return;
	(void)snprintf(line, sizeof(line),
	    "kalloc: %s on cpu %u (event %llu)\n", what, e->cpu,
	    (unsigned long long)e->serial);
	ka_os_write_error(line);
	for (i = 0; i < e->nframes; i++) {
		(void)snprintf(
		    line, sizeof(line), "kalloc:   #%u %p\n", i, e->frame[i]);
		ka_os_write_error(line);
	}
}

static void
panic_default(const struct ka_panic_info *info)
{
	char line[320];

	(void)snprintf(line, sizeof(line), "kalloc: panic: %s: %s\n",
	    ka_why_name(info->why), info->message);
	ka_os_write_error(line);
	if (info->trail == NULL)
		return;
	panic_print_event("last allocated", &info->trail->alloc);
	panic_print_event("last freed", &info->trail->free);
}

void
ka_panic(const struct ka_panic_info *info)
{
	ka_panic_handler *fn =
	    __atomic_load_n(&panic_handler, __ATOMIC_ACQUIRE);

	(fn != NULL ? fn : panic_default)(info);
	ka_os_abort();
}

void
ka_misuse(enum ka_why why, const void *addr, const char *fmt, ...)
{
	struct ka_panic_info info = { .why = why, .addr = addr };
	char message[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	info.message = message;
	ka_panic(&info);
}

void
ka_assert_failed(const char *expr, const char *file, int line)
{
	ka_misuse(KA_WHY_ASSERT, NULL, "assertion \"%s\" failed at %s:%d", expr,
	    file, line);
}
