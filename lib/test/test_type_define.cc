/* SPDX-License-Identifier: BSD-2-Clause */
/* The same in C++. */
#include "test_type_define.c"
