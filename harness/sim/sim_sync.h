/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What orders threads, told to ThreadSanitizer: fiber switches do not, so that
 * it sees the races of the schedule that is being run and no schedule hides
 * them. Only what the library does is looked at: the laboratory's own accesses
 * are those of one OS thread. Nothing in other builds.
 */
#ifndef KALAB_SIM_SYNC_H
#define KALAB_SIM_SYNC_H

/* It must be told even where nothing is chosen. */
#ifdef SIM_TSAN
#define SIM_ALWAYS_ARMED 1
#else
#define SIM_ALWAYS_ARMED 0
#endif

#include <stdbool.h>
#include <string.h>

#ifdef SIM_TSAN
#include <sanitizer/tsan_interface.h>
#define sim_sync_acquire(obj) __tsan_acquire((void *)(uintptr_t)(obj))
#define sim_sync_release(obj) __tsan_release((void *)(uintptr_t)(obj))
void AnnotateIgnoreReadsBegin(const char *, int);
void AnnotateIgnoreReadsEnd(const char *, int);
void AnnotateIgnoreWritesBegin(const char *, int);
void AnnotateIgnoreWritesEnd(const char *, int);
static inline void
sim_sync_look(bool look)
{
	if (look) {
		AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
	} else {
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
		AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
	}
}
#else
#define sim_sync_look(look)   ((void)(look))
#define sim_sync_acquire(obj) ((void)(obj))
#define sim_sync_release(obj) ((void)(obj))
#endif

/* memmove() of the simulation's own, which a sanitizer sees wherever it is
 * called from. */
static inline void
sim_sync_move(void *to, const void *from, size_t size)
{
	sim_sync_look(false);
	memmove(to, from, size);
	sim_sync_look(true);
}

#endif
