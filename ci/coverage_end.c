/* SPDX-License-Identifier: BSD-2-Clause */
/* Linked into what ci/coverage builds, with --wrap=abort and --wrap=_exit: a
 * program that aborts, as one with a panic does, and a child that ends without
 * its parent's exit functions, as those of the explorer do, leave their profile
 * too. */

int __llvm_profile_write_file(void);
void __real_abort(void) __attribute__((noreturn));
void __wrap_abort(void) __attribute__((noreturn));
void __real__exit(int) __attribute__((noreturn));
void __wrap__exit(int) __attribute__((noreturn));

void
__wrap_abort(void)
{
	(void)__llvm_profile_write_file();
	__real_abort();
}

void
__wrap__exit(int status)
{
	(void)__llvm_profile_write_file();
	__real__exit(status);
}
