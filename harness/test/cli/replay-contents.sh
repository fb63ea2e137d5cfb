# SPDX-License-Identifier: BSD-2-Clause
# How much of the contents is checked changes no result.
f=$ROOT/corpus/traces/compile.kt
for how in full sampled none; do
	"$KALAB" replay --contents $how --ops 5000 "$f" |
	    grep -o 'clean.*hash [0-9a-f]*'
done | sort -u | wc -l
