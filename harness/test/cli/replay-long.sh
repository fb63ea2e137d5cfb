# SPDX-License-Identifier: BSD-2-Clause
# More changes of thread than a run without an operation's end may have: in a
# run in which operations do end, there may be any number.
awk 'BEGIN {
	print "kalab-trace 1\nthreads 2\n0 m0 = kmalloc_create \"a\""
	for (i = 0; i < 1100000; i++)
		print i % 2, "kmalloc_limit m0"
}' > long.trace
"$KALAB" replay --contents none long.trace | sed 's/, hash.*//'
