/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pointer that is kept.
 *
 * Where an element of an array is used many times, compilers know that its
 * place is the array and an index, and rather than keep the place they compute
 * it again at each use, by three or four instructions. Of a pointer that comes
 * from here they know nothing but that it is one.
 */
#ifndef KALAB_KEPT_H
#define KALAB_KEPT_H

static inline void *
kept(void *p)
{
	__asm__("" : "+r"(p));
	return (p);
}

#endif
