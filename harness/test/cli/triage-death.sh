# SPDX-License-Identifier: BSD-2-Clause
# Triage of what kills the process, and of what does not end.
. "$ROOT/harness/test/cli/lib-defect.sh"
make_patch() { # NAME STATEMENT: at the beginning of kstrdup
	mkdir -p a/lib b/lib
	cp "$ROOT/lib/kmalloc.c" a/lib
	awk -v s="$2" '{ print } /^kstrdup\(/ { f = 1 }
	    f && /^\{/ { print "\t" s; f = 0 }' a/lib/kmalloc.c > b/lib/kmalloc.c
	diff -u a/lib/kmalloc.c b/lib/kmalloc.c > "$1.patch"
	defective "$1"
}
make_patch dies '__builtin_trap();'
make_patch hangs 'for (;;) __asm__ volatile("");'
cat > x.trace <<'END'
kalab-trace 1
cpus 2
0 m0 = kmalloc_create "a"
0 p0 = kmalloc 100 m0 WAITOK
0 p1 = kstrdup "text" m0
0 kfree p0 m0
END
# What hangs costs a second at each try: nearly as small as it gets.
cat > y.trace <<'END'
kalab-trace 1
pages 32
0 m0 = kmalloc_create "a"
0 p0 = kstrdup "text" m0
END
for kind in dies hangs; do
	$kind/kalab triage --replays 1 --keep $kind.dir \
	    $([ $kind = dies ] && echo x || echo y).trace
	echo "status $?"
	sed -n '/^#/p; /^[0-9]/p' $kind.dir/triage/1.trace
done
