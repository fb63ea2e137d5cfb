# SPDX-License-Identifier: BSD-2-Clause
# The same events in two runs, under any schedule (G-10).
for f in "$ROOT"/corpus/regressions/*.trace; do
	for seed in 1 2 3; do
		status replay --twice --perturb $seed "$f"
	done
done | sort -u
t replay --twice --ops 1000 "$ROOT/corpus/traces/compile-kmalloc.kt"
# What comes from a pipe is not there again: it is kept, and compared as well.
printf 'kalab-trace 1\n0 m0 = kmalloc_create "a"\n' > a.trace
mkfifo fifo
cat a.trace > fifo &
t replay --twice fifo
"$KALAB" replay --twice --story - < a.trace
echo 'bad' | "$KALAB" replay --twice - 2>&1
echo "status $?"
