# SPDX-License-Identifier: BSD-2-Clause
# A directory is its files, by name; no file, or one that cannot be read, is
# an error.
mkdir traces traces/sub empty
printf 'kalab-trace 1\n' > traces/b.trace
printf 'kalab-trace 1\n0 m0 = kmalloc_create "t"\n' > traces/a.trace
printf 'not a trace\n' > traces/README.md
printf 'not a trace\n' > traces/.hidden
t replay traces
ln -s nowhere traces/c.trace
t replay traces
t replay empty
t replay traces/sub traces/b.trace
