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
	"./$1.good"
	echo "without: status $?"
}
reproduce km-zero-elided-large 10
reproduce oc-failed-backend-keeps-quota \
    "$ROOT/corpus/regressions/oc6-failed-backend-keeps-quota.trace"
reproduce mp-failed-growth-keeps-room 1
reproduce zn-lowered-maximum-not-drained 1
reproduce km-interior-accepted 1
reproduce km-wrong-type-accepted 1
echo "== a caller that sleeps for ever: threads that take turns"
reproduce km-hoarded-slabs-stay 1
echo "== a lost wake-up; that there is none nobody can claim"
reproduce km-free-does-not-tell 600
echo "== what only a schedule shows is not claimed"
reproduce km-adopted-slab-not-needed 10
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
