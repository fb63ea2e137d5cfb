/* SPDX-License-Identifier: BSD-2-Clause */
/* The subjects that kalab has. */
#include "subject/subject.h"

#include <string.h>

extern const struct subject subject_kalloc, subject_malloc;

const struct subject *const subjects[] = { &subject_kalloc, &subject_malloc,
	NULL };

const struct subject *
subject_by_name(const char *name)
{
	const struct subject *const *s;

	for (s = subjects; *s != NULL; s++)
		if (strcmp((*s)->name, name) == 0)
			return (*s);
	return (NULL);
}
