# SPDX-License-Identifier: BSD-2-Clause
# Errors of the text form, with line and column.
try() {
	printf 'kalab-trace 1\n%s\n' "$1" > bad
	t replay bad
}
try '0 p0 = kmaloc 1 m0 WAITOK'
try 'cpus 70'
try 'cpus 1000000000000000000000'
try 'threads 2
2 quiesce'
try '0 kfree p7 null'
try '0 m0 = kmalloc_create "'
try '0 m0 = kmalloc_create ""'
try '0 quiesce
cpus 2'
try '0 quiesce 1'
try '0 migrate 1'
try '0 p0 = kmalloc 1 null WAITOK|BOGUS'
try '0 m0 = kfree null null'
try 'fault page prob 2/1 1'
