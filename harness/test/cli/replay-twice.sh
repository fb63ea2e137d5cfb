# SPDX-License-Identifier: BSD-2-Clause
# The same events in two runs, under any schedule (G-10).
for f in "$ROOT"/corpus/regressions/*.trace; do
	for seed in 1 2 3; do
		status replay --twice --perturb $seed "$f"
	done
done | sort -u
t replay --twice --ops 1000 "$ROOT/corpus/traces/compile-kmalloc.kt"
