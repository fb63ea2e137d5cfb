# SPDX-License-Identifier: BSD-2-Clause
# What is left of a trace that fails on a malloc that is broken, and that it
# still fails; and what is no such trace.
[ -n "${BAD_CALLOC:-}" ] || skip "no BAD_CALLOC"
bad() {
	LD_PRELOAD=$BAD_CALLOC "$KALAB" "$@"
}
bad --version > version 2>&1 && grep -q '^kalab [0-9.]*$' version ||
    skip "nothing can be preloaded"
cat > a.trace <<'EOT'
kalab-trace 1
cpus 2
threads 2
0 m0 = kmalloc_create "temp"
1 m1 = kmalloc_create "other"
0 p0 = kmalloc 4240 m0 WAITOK|ZERO
0 p1 = kmalloc 100 m1 WAITOK|ZERO
1 p2 = kmalloc 4242 m1 WAITOK|ZERO
0 kfree p1 m1
EOT
bad shrink --subject malloc a.trace 2> err
echo "status $?"
sed 's/[0-9]* runs, [0-9.]* s/N runs, N s/' err
bad shrink --subject malloc --quiet -o b.trace a.trace
echo "status $?"
bad replay --subject malloc b.trace
echo "status $?"
# The binary form, from standard input; a text comes out.
bad shrink --subject malloc --quiet - < a.trace | head -1
t shrink a.trace
t shrink missing.trace
echo 'kalab-trace 1
0 p0 = kmalloc 1 m0 WAITOK' > c.trace
t shrink c.trace
bad shrink --subject malloc --quiet -o no/where a.trace 2>&1
echo "status $?"
