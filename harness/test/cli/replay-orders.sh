# SPDX-License-Identifier: BSD-2-Clause
# Of what the contract allows an order is found, where one is promised: no false
# alarm of the search in any trace that is kept.
for d in regressions scenarios seeds; do
	"$KALAB" replay --check wgl "$ROOT/corpus/$d" > out 2>&1
	echo "$d: status $?, $(grep -c ': clean: ' out) clean" |
	    sed 's/ [1-9][0-9][0-9]* clean/ many clean/'
	grep -A 4 ': finding: ' out
done
# A maximum of a zone on static memory, and the zone's items.
cat > a.trace <<'EOT'
kalab-trace 1
cpus 2
threads 2
0 z0 = uma_zcreate_static "items" 64 7 0 0 4
0 p0 = uma_zalloc z0 NOWAIT
0 uma_zone_set_max z0 2
1 p1 = uma_zalloc z0 NOWAIT
0 p2 = uma_zalloc z0 NOWAIT
1 uma_zone_set_max z0 0
0 p3 = uma_zalloc z0 NOWAIT
1 p4 = uma_zalloc z0 NOWAIT
0 p5 = uma_zalloc z0 NOWAIT
EOT
for seed in 1 2 3 4 5 6 7 8; do
	status replay --check wgl --perturb $seed a.trace
done | sort -u
