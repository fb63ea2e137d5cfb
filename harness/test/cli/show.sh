# SPDX-License-Identifier: BSD-2-Clause
# Each operation with its result; what never ended is told at the end.
cat > a.trace <<'EOF'
kalab-trace 1
cpus 2
threads 2
pages 64
0 m0 = kmalloc_create "temp"
0 p0 = kmalloc 0 m0 WAITOK
0 p1 = kmalloc 100 m0 WAITOK|ZERO
1 p2 = kmalloc 100 m0 NOWAIT
1 kmalloc_usable_size p1
0 kmalloc_limit m0
0 p3 = kmalloc 40000 m0 NOWAIT
0 krealloc p1 8192 m0 NOWAIT
0 kmalloc_set_unlimited m0
0 g0 = vm_page_alloc 20 0 INTERRUPT
0 p4 = kmalloc 200000 m0 WAITOK
0 quiesce
1 kfree p2 m0
EOF
t show a.trace
# How much of a slab the picture shows is not ours to test.
t show --map --ops 6 a.trace | sed 's/|[^|]*|$/|PICTURE|/'
t show --map --perturb 1 --ops 1 a.trace
