# SPDX-License-Identifier: BSD-2-Clause
# The first operations only; more than there are is all.
f=$ROOT/corpus/traces/compile-kmalloc.kt
for n in 1 10 100 26232 26233 18446744073709551615; do
	"$KALAB" replay --ops $n "$f" | grep -o '[0-9]* operations'
done
