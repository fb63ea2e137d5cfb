# SPDX-License-Identifier: BSD-2-Clause
# The program's own options, and what is refused before a verb begins.
t
t --help
t --version
t bogus
t --bogus
