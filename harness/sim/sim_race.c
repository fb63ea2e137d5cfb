/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data races, as ThreadSanitizer sees them: it is told what orders threads
 * (sim_sync.h) and that switches do not, so that a race is seen under every
 * schedule that runs both accesses, not only where they meet. What it reports
 * is a finding of the run, with its text on standard error.
 */
#include "sim_int.h"

bool sim__raced;

#ifdef SIM_TSAN
void __tsan_on_report(void *report);
const char *__tsan_default_options(void);

void
__tsan_on_report(void *report)
{
	(void)report;
	sim__raced = true; /* its runtime may not be called from here */
}

/* The same race again and again is wanted: that is how a trace of it is made
 * smaller. */
const char *
__tsan_default_options(void)
{
	return ("suppress_equal_stacks=0:suppress_equal_addresses=0:"
		"report_signal_unsafe=0:exitcode=0");
}
#endif
