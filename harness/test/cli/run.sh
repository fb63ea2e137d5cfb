#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs one command line test: NAME.sh in an empty directory, and compares what
# it writes with NAME.out, NAME.err and NAME.rc. A missing .err is an empty
# one, a missing .rc is 0. UPDATE=1 writes what was seen instead.
#
#   KALAB=build/harness/cli/kalab run.sh NAME.sh
#
# A test has $KALAB, $ROOT (the source tree) and the functions below. What
# differs from run to run is replaced: directories, rates, times, hashes and
# the figures of a schedule. Status 77 skips.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$here/../../.." && pwd)
test=$here/$(basename "$1")
base=${test%.sh}
: "${KALAB:?the program under test}"
case $KALAB in
/*) ;;
*) KALAB=$PWD/$KALAB ;;
esac
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$scratch/dir" || exit 1

# kalab with arguments: the command, what it writes (on standard error after
# "2| "), and the status if it is not 0.
t() {
	echo "\$ kalab${*:+ $*}"
	"$KALAB" "$@" > "$scratch/t.out" 2> "$scratch/t.err"
	t_rc=$?
	cat "$scratch/t.out"
	sed -e 's/^/2| /' -e 's/ *$//' "$scratch/t.err"
	[ "$t_rc" -eq 0 ] || echo "status $t_rc"
	return 0
}

# The status alone.
status() {
	"$KALAB" "$@" > "$scratch/t.out" 2> "$scratch/t.err"
	echo $?
}

skip() {
	echo "skipped: $*"
	exit 77
}

normal() {
	sed -E \
	    -e "s,$scratch/dir,SCRATCH,g" \
	    -e "s,$ROOT,ROOT,g" \
	    -e 's/[0-9.]+ M\/s/N M\/s/g' \
	    -e 's/[0-9.]+ s, [0-9]+ runs\/s/N s, N runs\/s/' \
	    -e 's/[0-9]+ schedule points/N schedule points/' \
	    -e 's/hash [0-9a-f]{16}/hash HASH/g' \
	    -e 's/heap\+0x[0-9a-f]+/heap+ADDR/g' \
	    -e 's/"hash": "[0-9a-f]{16}"/"hash": "HASH"/' \
	    -e 's/"seconds": [-+.0-9e]+/"seconds": N/'
}

cd "$scratch/dir" || exit 1
(
	# shellcheck disable=SC1090
	. "$test"
) > "$scratch/out" 2> "$scratch/err" < /dev/null
rc=$?
if [ "$rc" -eq 77 ]; then
	tail -1 "$scratch/out"
	exit 77
fi
for kind in out err; do
	normal < "$scratch/$kind" > "$scratch/$kind.normal"
done
echo "$rc" > "$scratch/rc.normal"

if [ "${UPDATE:-0}" = 1 ]; then
	cp "$scratch/out.normal" "$base.out"
	rm -f "$base.err" "$base.rc"
	[ ! -s "$scratch/err.normal" ] || cp "$scratch/err.normal" "$base.err"
	[ "$rc" -eq 0 ] || cp "$scratch/rc.normal" "$base.rc"
	exit 0
fi

failed=0
for kind in out err rc; do
	expected=$base.$kind
	if [ ! -f "$expected" ]; then
		expected=$scratch/expected
		: > "$expected"
		[ "$kind" != rc ] || echo 0 > "$expected"
	fi
	diff -u "$expected" "$scratch/$kind.normal" || failed=1
done
exit "$failed"
