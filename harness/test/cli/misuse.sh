# SPDX-License-Identifier: BSD-2-Clause
# Misuse on purpose ends in the right panic, and the system goes on (G-3,
# KM-7, KM-10, KM-11, KM-15, KM-16).
cat > misuse.trace <<'EOF'
kalab-trace 1
pages 256
0 m0 = kmalloc_create "temp"
0 m1 = kmalloc_create "other"
0 p0 = kmalloc 100 m0 WAITOK
0 kfree p0 m1
0 kfree_interior p0 8 m0
0 kfree p0 m0
0 kfree p0 m0
0 kfree null m0
0 kfree_wild null m0
0 kfree_wild stack m0
0 kfree_wild static m0
0 kfree_wild unmapped m0
0 kfree_wild page m0
0 kfree_wild high m0
0 p1 = kmalloc 16 m0 0
0 p1 = kmalloc 16 m0 WAITOK|RNOWAIT
0 p1 = kmalloc 16 m0 WAITOK|0x8000
0 p1 = kmalloc 0xffffffffffffff00 m0 WAITOK
0 p1 = kmalloc 0xffffffffffffff00 m0 NOWAIT
0 p1 = kmalloc 16 null WAITOK
0 p2 = kmalloc 16 m0 WAITOK
0 krealloc p2 32 m0 WAITOK|ZERO
0 krealloc p2 32 m1 WAITOK
0 p3 = kmalloc 100000 m0 WAITOK
0 p3 = kmalloc 100000 m0 WAITOK
0 g0 = vm_page_alloc 0 0 NORMAL
0 g0 = vm_page_alloc 1 3 NORMAL
0 g0 = vm_page_alloc 1 0 0
0 g0 = vm_page_alloc 1 0 NORMAL
0 vm_page_free g0
0 vm_page_free g0
0 kfree p2 m0
0 kmalloc_destroy m0
0 quiesce
EOF
t replay misuse.trace
t show misuse.trace
