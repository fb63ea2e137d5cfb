# SPDX-License-Identifier: BSD-2-Clause
# Any malloc by LD_PRELOAD.
n=0
for name in libmimalloc.so.2 libjemalloc.so.2 libtcmalloc_minimal.so.4; do
	so=$(ls /usr/lib/*/$name /usr/lib64/$name /usr/lib/$name \
	    2> /dev/null | head -1)
	[ -n "$so" ] || continue
	LD_PRELOAD=$so "$KALAB" --version > version 2>&1 || continue
	grep -q '^kalab [0-9.]*$' version || continue
	[ "$(wc -l < version)" -eq 1 ] || continue
	n=$((n + 1))
	LD_PRELOAD=$so "$KALAB" replay --subject malloc \
	    "$ROOT/corpus/traces/compile-kmalloc.kt" || exit 1
done > out
[ $n -gt 0 ] || skip "no other malloc is installed"
grep -v -e ': clean: ' -e 'operations skipped' out
exit 0
