# SPDX-License-Identifier: BSD-2-Clause
# A binary trace that is cut anywhere, or has a changed byte, is refused with
# the place; so is what is packed.
"$KALAB" import --from ftrace --map '*=kmalloc' -o a.kt \
    "$ROOT/harness/test/data/import-excerpt.txt.xz" 2> report
size=$(wc -c < a.kt)
n=0
while [ $n -lt "$size" ]; do
	head -c $n a.kt > cut
	status replay cut
	n=$((n + 29))
done | sort -u
n=0
while [ $n -lt "$size" ]; do
	byte=$(od -An -tu1 -j $n -N 1 a.kt)
	{
		head -c $n a.kt
		# shellcheck disable=SC2059
		printf "\\$(printf %o $((byte ^ 64)))"
		tail -c +$((n + 2)) a.kt
	} > changed
	status replay changed
	n=$((n + 37))
done | sort -u
for n in 4 8 12 16 100 $((size - 1)); do
	head -c $n a.kt > cut
	t replay cut
done
cat a.kt a.kt > two
t replay two
xz -k a.kt
head -c 500 a.kt.xz > cut.xz
t replay cut.xz
