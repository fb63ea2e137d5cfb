# SPDX-License-Identifier: BSD-2-Clause
# A finding becomes a C program that needs nothing but the library: with the
# defect it fails, without it does not. One defect of each allocator, and a
# lost wake-up; a fault of the page layer is among them.
. "$ROOT/harness/test/cli/lib-defect.sh"
reproduce() { # NAME SEED|TRACE
	defective "$1"
	library "$1"
	if [ -f "$2" ]; then
		cp "$2" "$1/seed-0.trace"
	else
		"$1/kalab" run --quiet --ops 2000 --seed "$2" --runs 200 \
		    --keep "$1" > out
	fi
	"$1/kalab" finding -o "$1.out" "$1"/seed-*.trace > "$1.txt"
	echo "== $1: status $?"
	grep -E '^  (contract|operation|signature)' "$1.txt"
	compile "$1.out/repro.c" "$1.bad" "$1.lib/libkalloc.a"
	"./$1.bad"
	echo "with the defect: status $?"
	compile "$1.out/repro.c" "$1.good" "$BUILD/lib/libkalloc.a"
	"./$1.good" > good
	status=$?
	# Threads are real: which of two goes on is theirs.
	if [ -n "${either:-}" ] && { [ $status -eq 0 ] || [ $status -eq 3 ]; }; then
		echo "without: no finding"
		return
	fi
	cat good
	echo "without: status $status"
}
reproduce km-zero-elided-large 10
reproduce oc-failed-backend-keeps-quota \
    "$ROOT/corpus/regressions/oc6-failed-backend-keeps-quota.trace"
cat > growth.trace <<'EOT'
kalab-trace 1
cpus 1
threads 1
pages 256
reserve 0 0
keep 0
debug 0
schedule recorded
fault page once 2
0 m0 = kmalloc_create "a"
0 q0 = mpipe_init m0 16384 1 2 0 0
0 p0 = mpipe_alloc_nowait q0
0 p1 = mpipe_alloc_nowait q0
0 mpipe_free q0 p0
0 mpipe_done q0
EOT
reproduce mp-failed-growth-keeps-room growth.trace
cat > lowered.trace <<'EOT'
kalab-trace 1
cpus 1
threads 1
pages 256
reserve 0 0
keep 0
debug 0
schedule recorded
0 z0 = uma_zcreate "a" 8 7 0 0
0 p0 = uma_zalloc z0 NOWAIT
0 p1 = uma_zalloc z0 NOWAIT
0 p2 = uma_zalloc z0 NOWAIT
0 p3 = uma_zalloc z0 NOWAIT
0 uma_zfree z0 p3
0 uma_zone_set_max z0 2
0 p4 = uma_zalloc z0 NOWAIT
EOT
reproduce zn-lowered-maximum-not-drained lowered.trace
reproduce km-interior-accepted 1
reproduce km-wrong-type-accepted 1
echo "== a caller that sleeps for ever: threads that take turns"
reproduce km-hoarded-slabs-stay 1
echo "== a lost wake-up; that there is none nobody can claim"
cat > lost.trace <<'EOT'
kalab-trace 1
cpus 2
threads 2
pages 256
reserve 0 0
keep 2
debug 0
schedule recorded
0 m0 = kmalloc_create "a"
0 p0 = kmalloc 1 m0 RNOWAIT
0 p1 = kmalloc 9 m0 RNOWAIT
0 p2 = kmalloc 17 m0 RNOWAIT
0 p3 = kmalloc 25 m0 WAITOK
0 p4 = kmalloc 33 m0 RNOWAIT
0 p5 = kmalloc_powerof2 33 m0 RNOWAIT
0 p6 = kmalloc 129 m0 RNOWAIT
0 p7 = kmalloc 81 m0 RNOWAIT
0 p8 = kmalloc 145 m0 RNOWAIT
0 p9 = kmalloc 89 m0 RNOWAIT
0 p10 = kmalloc 97 m0 RNOWAIT
0 p11 = kmalloc_powerof2 65 m0 RNOWAIT
0 p12 = kmalloc 65 m0 RNOWAIT
0 p13 = kmalloc 105 m0 RNOWAIT
1 p14 = kmalloc 1 m0 RNOWAIT
0 p15 = kmalloc 73 m0 RNOWAIT
1 p9 = kmalloc 113 m0 WAITOK
0 kfree p14 m0
EOT
reproduce km-free-does-not-tell lost.trace
echo "== a cache over a zone: an item that is marked when the zone has it"
over_zone() { # OPERATION
	cat > zone.trace <<EOT
kalab-trace 1
0 z0 = uma_zcreate "a" 8 7 0 0
0 c0 = objcache_create_zone "a" z0 0 0 0
0 p0 = objcache_get c0 RNOWAIT
0 objcache_dtor c0 p0
$1
EOT
	rm -rf oc-ended-object-marked*
	reproduce oc-ended-object-marked zone.trace
}
over_zone "0 p1 = uma_zalloc z0 RNOWAIT"
echo "== where nothing looks at the item, that all is well is not claimed"
over_zone ""
cat > zero.trace <<'EOT'
kalab-trace 1
0 z0 = uma_zcreate_static "a" 1 0 ctor 0 1
0 p0 = uma_zalloc_arg z0 RNOWAIT|ZERO 0
EOT
reproduce zn-zero-after-ctor zero.trace
echo "== of two sleepers one goes on, whichever: that the other sleeps is right"
cat > two.trace <<'EOT'
kalab-trace 1
threads 3
pages 32
reserve 0 0
0 z0 = uma_zcreate "a" 1 0 0 0
0 uma_zone_set_max z0 1
0 c0 = objcache_create_zone "a" z0 0 0 0
0 p0 = uma_zalloc z0 RNOWAIT
1 p1 = objcache_get c0 WAITOK
2 p2 = objcache_get c0 WAITOK
0 uma_zfree z0 p0
EOT
either=1
reproduce zn-sleeper-not-woken-by-reclaim two.trace
either=
echo "== what only a schedule shows is not claimed"
reproduce km-adopted-slab-not-needed 300
echo "== what is written is read again, and fails again"
cd km-zero-elided-large.out
ls
../km-zero-elided-large/kalab replay finding.trace km8-*.trace > out
echo "status $?"
grep -c 'KM-8 is broken' out
"$KALAB" replay km8-*.trace
echo "== the lines that replay it do"
sed -n 's/^  plain *//p; s/^  this *//p; s/^  Valgrind *//p' ../km-zero-elided-large.txt > lines
cd ..
while read -r line; do
	sh -c "$line" > out 2>&1 < /dev/null
	echo "status $?, $(grep -c 'clause KM-8 is broken' out) finding"
done < km-zero-elided-large.out/lines | sort -u
