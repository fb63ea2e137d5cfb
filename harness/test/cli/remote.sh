# SPDX-License-Identifier: BSD-2-Clause
# Chunks freed on another CPU: charged at once in the sum over CPUs (KM-13),
# allocated again without help (KM-12), under every schedule.
cat > remote.trace <<'EOF'
kalab-trace 1
cpus 2
threads 2
pages 64
0 m0 = kmalloc_create "temp"
0 kmalloc_set_unlimited m0
0 p0 = kmalloc 8192 m0 WAITOK
0 p1 = kmalloc 8192 m0 WAITOK
0 p2 = kmalloc 8192 m0 WAITOK
0 p3 = kmalloc 8192 m0 WAITOK
0 p4 = kmalloc 8192 m0 WAITOK
0 p5 = kmalloc 8192 m0 WAITOK
0 p6 = kmalloc 8192 m0 WAITOK
0 p7 = kmalloc 8192 m0 WAITOK
0 quiesce
1 kfree p0 m0
0 quiesce
1 kfree p5 m0
1 kfree p3 m0
0 quiesce
0 p0 = kmalloc 8192 m0 WAITOK
0 p5 = kmalloc 8192 m0 WAITOK
0 p3 = kmalloc 8192 m0 WAITOK
0 quiesce
1 kmalloc_trim
0 kfree p0 m0
1 kfree p1 m0
1 kfree p2 m0
0 kfree p3 m0
0 kfree p4 m0
1 kfree p5 m0
1 kfree p6 m0
1 kfree p7 m0
1 kmalloc_trim
0 quiesce
EOF
t replay --audit 1 remote.trace
"$KALAB" show --ops 21 remote.trace > shown
# The three chunks are those that were freed, of the one slab.
sed -n 's/.*m0 WAITOK *# cpu 0: //p' shown | sort | uniq | wc -l
for seed in 1 2 3 4 5 6 7 8; do
	status replay --perturb $seed --audit 1 --twice remote.trace
done | sort -u
