# SPDX-License-Identifier: BSD-2-Clause
# A clean text trace, with each schedule.
cat > head <<'EOF'
kalab-trace 1
cpus 2
threads 2
EOF
cat > body <<'EOF'
0 m0 = kmalloc_create "temp"
0 p0 = kmalloc 100 m0 WAITOK|ZERO
1 p1 = kmalloc 9000 m0 NOWAIT
1 kfree p0 m0
0 krealloc p1 200 m0 WAITOK
1 migrate 0
1 p2 = kstrdup "text" m0
0 quiesce
0 kfree p1 m0
EOF
cat head body > recorded.trace
{ cat head; echo schedule random 7; cat body; } > random.trace
{ cat head; echo schedule sticky 4 7; cat body; } > sticky.trace
t replay recorded.trace random.trace sticky.trace
t replay --audit 1 recorded.trace
