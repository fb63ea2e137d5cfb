/* SPDX-License-Identifier: BSD-2-Clause */
/* Linked into what ci/coverage builds, with --wrap=abort: a program that aborts,
 * as one with a panic does, leaves its profile too. */

int __llvm_profile_write_file(void);
void __real_abort(void) __attribute__((noreturn));
void __wrap_abort(void) __attribute__((noreturn));

void
__wrap_abort(void)
{
	(void)__llvm_profile_write_file();
	__real_abort();
}
