/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What orders threads, told to ThreadSanitizer: fiber switches do not, so that
 * it sees the races of the schedule that is being run and no schedule hides
 * them. Nothing in other builds.
 */
#ifndef KALAB_SIM_SYNC_H
#define KALAB_SIM_SYNC_H

/* It must be told even where nothing is chosen. */
#ifdef SIM_TSAN
#define SIM_ALWAYS_ARMED 1
#else
#define SIM_ALWAYS_ARMED 0
#endif

#ifdef SIM_TSAN
#include <sanitizer/tsan_interface.h>
#define sim_sync_acquire(obj) __tsan_acquire((void *)(uintptr_t)(obj))
#define sim_sync_release(obj) __tsan_release((void *)(uintptr_t)(obj))
#else
#define sim_sync_acquire(obj) ((void)(obj))
#define sim_sync_release(obj) ((void)(obj))
#endif

#endif
