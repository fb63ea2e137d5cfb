# SPDX-License-Identifier: BSD-2-Clause
# Programs made of traces that show nothing compile without a warning, whatever
# operations they have, and show nothing on a sound library: no false alarm.
[ -n "${MKREPRO:-}" ] || skip "no MKREPRO"
. "$ROOT/harness/test/cli/lib-defect.sh"
all=0
bad=0
# What a failure had left free when it was recorded is held here.
cat > held.trace <<'EOT'
kalab-trace 1
may fail
deviate 0 2 25 fail
0 z0 = uma_zcreate "a" 8 7 0 0
0 p0 = uma_zalloc z0 NOWAIT
0 uma_zdestroy z0
EOT
"$KALAB" show held.trace
for f in held.trace "$ROOT"/corpus/seeds/*.trace \
    "$ROOT"/corpus/regressions/*.trace; do
	all=$((all + 1))
	"$MKREPRO" "$f" > repro.c || echo "$f: not written"
	compile repro.c repro "$BUILD/lib/libkalloc.a" || echo "$f"
	timeout 100 ./repro > out 2>&1
	rc=$?
	[ $rc -eq 3 ] && continue
	bad=$((bad + 1))
	echo "$(basename "$f"): status $rc"
	cat out
done
echo "$bad of them show something"
[ $all -gt 50 ] && echo "of more than 50"
