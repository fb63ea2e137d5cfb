# SPDX-License-Identifier: BSD-2-Clause
# The same trace in every form, from a file, a pipe, and packed.
f=$ROOT/harness/test/data/import-excerpt.txt.xz
"$KALAB" import --from ftrace --map '*=kmalloc' --text -o a.trace "$f" 2> report
"$KALAB" import --from ftrace --map '*=kmalloc' -o a.kt "$f" 2> report
xz -k a.trace a.kt
t replay a.trace a.kt a.trace.xz a.kt.xz
t replay - < a.trace
t replay - < a.kt
xz -dc a.kt.xz | t replay -
t replay - < a.trace.xz
# Packed or not, file or pipe: the same run.
for f in a.kt a.kt.xz -; do
	"$KALAB" replay "$f" < a.kt | grep -o 'hash [0-9a-f]*'
done | sort -u | wc -l
