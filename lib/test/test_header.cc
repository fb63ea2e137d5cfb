/* SPDX-License-Identifier: BSD-2-Clause */
/* The same in C++. */
#include "test_header.c"
