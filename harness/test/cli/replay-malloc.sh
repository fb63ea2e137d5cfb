# SPDX-License-Identifier: BSD-2-Clause
# The malloc of the process as the subject: what it does not have is skipped.
t replay --subject malloc --ops 1000 "$ROOT/corpus/traces/compile-kmalloc.kt"
cat > misuse.trace <<'EOF'
kalab-trace 1
0 m0 = kmalloc_create "temp"
0 p0 = kmalloc 64 m0 WAITOK|ZERO
0 kfree p0 m0
0 kfree p0 m0
0 kfree_wild stack m0
0 g0 = vm_page_alloc 1 0 NORMAL
0 p1 = kmalloc_powerof2 5000 m0 WAITOK
0 krealloc p1 100 m0 NOWAIT|CACHEALIGN
EOF
t replay --subject malloc misuse.trace
