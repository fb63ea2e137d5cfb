/* SPDX-License-Identifier: BSD-2-Clause */
/* A public header compiles alone; twice, too. In C and in C++. */
#include HEADER
#include HEADER

int
main(void)
{
	return (0);
}
