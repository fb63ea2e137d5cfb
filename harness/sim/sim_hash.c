/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has happened, as one number: equal for two runs whose events differ
 * only in the order of independent ones (Mazurkiewicz's traces).
 *
 * A thread's hash is that of all it did and saw. To see an object takes in the
 * hash of whoever changed it last; to change it, also those of all who saw it
 * since. The hash of the run is the sum over threads, with where they are, and
 * over what stands in store buffers: from there on the runs are the same, and
 * one of them need not be gone on with (Musuvathi and Qadeer, Fair stateless
 * model checking, 2008, has the idea as happens-before caching).
 *
 * It is as good as what is told: everything by which threads influence each
 * other is an event on the same object for both. Locks, channels, sections and
 * atomics are; plain memory is under one of them, or it is a data race, which
 * is a finding of its own. What the model is told is an object too; under C11
 * so are what a fence has seen, and each CPU, whose threads share a view.
 */
#include <stdlib.h>
#include <string.h>

#include "sim_int.h"

#define OBJECTS_MAX 16384u /* a power of two; more is no more a small world */

static struct object {
	uintptr_t addr;
	uint64_t changed, seen; /* hashes; seen by how many, in any order */
	uint32_t run;
} object[OBJECTS_MAX];

static uint32_t hash_run;
static uint32_t hash_objects;
static struct sim_thread *hash_ran[SIM_THREADS_MAX + 1]; /* last, on a CPU */
/* Of what has left each CPU's store buffer, in its order. */
static uint64_t hash_flushed[SIM_THREADS_MAX + 1];

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return (h ^ h >> 32);
}

void
sim__hash_reset(void)
{
	hash_run++;
	hash_objects = 0;
	memset(hash_flushed, 0, sizeof(hash_flushed[0]) * sim.config.cpus);
	memset(hash_ran, 0, sizeof(hash_ran[0]) * sim.config.cpus);
}

static struct object *
object_of(const volatile void *addr)
{
	uintptr_t key = (uintptr_t)addr >> 3;
	uint32_t i = (uint32_t)(mix(0, key) >> 20) % OBJECTS_MAX;

	for (;; i = (i + 1) % OBJECTS_MAX) {
		struct object *o = &object[i];

		if (o->run == hash_run && o->addr == key)
			return (o);
		if (o->run == hash_run)
			continue;
		/* A full table: all that is new is one object, which makes
		 * more runs differ than do. */
		if (hash_objects >= OBJECTS_MAX / 2)
			return (&object[0]);
		hash_objects++;
		o->run = hash_run;
		o->addr = key;
		o->changed = mix(1, key); /* the same in every run */
		o->seen = 0;
		return (o);
	}
}

void
sim__event(
    struct sim_thread *t, enum sim_event event, const volatile void *addr)
{
	struct object *o;

	if (addr == NULL) { /* a fence: the thread's own business */
		t->hash = mix(t->hash, 2);
		return;
	}
	o = object_of(addr);
	if (event == SIM_SEES) {
		t->hash = mix(mix(t->hash, 3), o->changed);
		o->seen += t->hash;
		return;
	}
	t->hash = mix(mix(mix(t->hash, 4), o->changed), o->seen);
	o->changed = t->hash;
	o->seen = 0;
}

void
sim__event_flush(uint32_t cpu, const volatile void *addr)
{
	struct object *o = object_of(addr);

	hash_flushed[cpu] =
	    mix(mix(mix(hash_flushed[cpu], cpu + 5), o->changed), o->seen);
	o->changed = hash_flushed[cpu];
	o->seen = 0;
}

void
sim__event_delay(struct sim_thread *t, const volatile void *addr)
{
	t->hash = mix(mix(t->hash, 6), (uintptr_t)addr);
}

void
sim__event_chose(struct sim_thread *t, enum sim_do what, uint32_t n)
{
	t->hash = mix(mix(t->hash, 7), (uint64_t)what << 32 | n);
}

/* Who goes on after himself has changed nothing. */
void
sim__event_cpu(struct sim_thread *t)
{
	struct sim_thread *before = hash_ran[t->cpu];

	hash_ran[t->cpu] = t;
	if (before == NULL || before == t)
		return;
	sim__event(before, SIM_CHANGES, sim.on[t->cpu]);
	sim__event(t, SIM_CHANGES, sim.on[t->cpu]);
}

uint64_t
sim_hash(void)
{
	uint64_t h = 0;
	uint32_t i;

	for (i = 0; i < sim.total; i++) {
		const struct sim_thread *t = &sim.thread[i];

		h += mix(mix(t->hash, i),
		    (uint64_t)t->cpu << 32 | (uint64_t)t->state << 24 |
			t->in_section << 8 |
			(ka_sim_self == i ? ka_sim_in_section : 0));
	}
	for (i = 0; ka_sim_weak && i < sim.config.cpus; i++)
		h = mix(h, sim__buffered(i) ^ hash_flushed[i]);
	return (h);
}
