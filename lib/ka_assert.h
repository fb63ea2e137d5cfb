/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Assertions of the library. Four mechanisms, never interchanged:
 *
 *   KA_STATIC_ASSERT  a relation of constants or of layout
 *   ka_misuse()       the *caller* broke the contract; always compiled in,
 *                     O(1); reported with nothing locked and nothing changed
 *   KA_ASSERT         *we* broke an invariant, O(1); compiled in when
 *                     KA_INVARIANTS is set (all builds but release)
 *   x_audit()         a walk over a whole structure, on request
 */
#ifndef KA_ASSERT_H
#define KA_ASSERT_H

#include <kalloc/kalloc.h>

#define KA_STATIC_ASSERT(e, why) _Static_assert(e, why)

void ka_misuse(enum ka_why, const void *addr, const char *fmt, ...)
    __attribute__((noreturn, cold, format(printf, 3, 4)));
void ka_panic(const struct ka_panic_info *) __attribute__((noreturn, cold));
void ka_assert_failed(const char *expr, const char *file, int line)
    __attribute__((noreturn, cold));

#ifdef KA_INVARIANTS
#define KA_ASSERT(e)                                                           \
	do {                                                                   \
		/* unreached: an invariant holds. */                           \
		if (__builtin_expect(!(e), 0))                                 \
			ka_assert_failed(#e, __FILE__, __LINE__);              \
	} while (0)
#else
#define KA_ASSERT(e) ((void)sizeof(e))
#endif

#endif
