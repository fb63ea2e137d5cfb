/* SPDX-License-Identifier: BSD-2-Clause */
/* The program kalab-stress, for any subject that runs on real threads. */
#ifndef KALAB_STRESS_H
#define KALAB_STRESS_H

#include "subject/subject.h"

/* The command line; returns the exit status, or ends the process after a
 * finding, since threads of it may sleep for ever. Once in a process. */
int stress_main(const struct subject *, int argc, char **argv);

#endif
