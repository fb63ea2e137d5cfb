# SPDX-License-Identifier: BSD-2-Clause
# What only Valgrind sees: each kind of report at each place is a finding of its
# own, shrunk and replayed like any other; nothing is left behind.
. "$ROOT/harness/test/cli/lib-defect.sh"
command -v valgrind > /dev/null || skip "no valgrind"
"$KALAB" shrink --valgrind /dev/null 2>&1 | grep -q "has a sanitizer" &&
    skip "valgrind runs no sanitizer"
mkdir -p a/lib b/lib tmp
cp "$ROOT/lib/kmalloc.c" a/lib
# A byte behind a block is written in kstrdup; one that was freed is read in
# krealloc.
awk '{ print }
    /^kstrdup\(/ { f = "volatile char *x = __builtin_malloc(5); x[5] = 1; __builtin_free((void *)x);" }
    /^krealloc\(/ { f = "char *volatile x = __builtin_malloc(5); __builtin_free(x); if (x[1] == 77) flags++;" }
    f && /^\{/ { print "\t" f; f = 0 }' a/lib/kmalloc.c > b/lib/kmalloc.c
diff -u a/lib/kmalloc.c b/lib/kmalloc.c > heap.patch
defective heap
trace() { # NAME OPERATION
	{
		echo 'kalab-trace 1'
		echo 'pages 64'
		echo '0 m0 = kmalloc_create "a"'
		echo '0 p0 = kmalloc 100 m0 WAITOK'
		echo '0 p1 = kmalloc 100 m0 WAITOK'
		echo '0 kfree p1 m0'
		echo "$2"
	} > "$1.trace"
}
trace write '0 p2 = kstrdup "text" m0'
trace read '0 krealloc p0 200 m0 WAITOK'
export TMPDIR="$PWD/tmp"
heap/kalab replay write.trace read.trace > out || cat out
echo "== without it nothing is seen: status $?"
heap/kalab triage --valgrind --jobs 1 --replays 1 --keep camp read.trace write.trace
echo "status $?"
grep -h '^[0-9]' camp/triage/*.trace | sort
ls tmp
echo "== shrunk by itself"
heap/kalab shrink --valgrind -o small.trace write.trace 2>&1 |
    sed 's/, [0-9]* runs.*//'
grep '^[0-9]' small.trace
echo "== a sound library shows nothing"
"$KALAB" triage --valgrind --jobs 1 --replays 1 read.trace write.trace
echo "status $?"
ls tmp
echo "== its errors are those of the verb"
t triage --valgrind nothing.there
t shrink --valgrind nothing.there
ls tmp
