# SPDX-License-Identifier: BSD-2-Clause
# Another seed is another schedule, the same seed the same one.
f=$ROOT/corpus/regressions/run-stray-free-hits-allocation-in-flight.trace
for seed in 0 1 2 1; do
	"$KALAB" replay --perturb $seed "$f" | grep -o 'hash [0-9a-f]*' ||
	    echo none
done > hashes
[ "$(sed -n 2p hashes)" = "$(sed -n 4p hashes)" ] && echo same
[ "$(sort -u hashes | wc -l)" -eq 3 ] && echo three
