# SPDX-License-Identifier: BSD-2-Clause
# A sweep: what it counts, one of its runs, traces that are left out, and what
# it refuses.
cat > a.trace <<'EOT'
kalab-trace 1
pages 64
0 m0 = kmalloc_create "a"
0 p0 = kmalloc 100 m0 NOWAIT
0 p1 = kmalloc 100 m0 WAITOK
0 c0 = objcache_create "c" m0 64 4 0 ctor|dtor
0 p2 = objcache_get c0 WAITOK
0 z0 = uma_zcreate "z" 2048 0 ctor|init 0
0 p3 = uma_zalloc z0 WAITOK
0 q0 = mpipe_init m0 64 1 2 0 0
0 p4 = mpipe_alloc_waitok q0
0 p5 = mpipe_alloc_nowait q0
EOT
cat > b.trace <<'EOT'
kalab-trace 1
0 m0 = kmalloc_create "a"
0 kmalloc_trim
0 kmalloc_trim
EOT
t sweep a.trace
t sweep --jobs 2 --longest 5 a.trace b.trace
t sweep --at page:1 a.trace
t sweep --at page:1+ a.trace
t sweep --at init:2 --json a.trace
mkdir empty
t sweep empty
t sweep
t sweep none.trace
t sweep --at page a.trace
t sweep --at disk:1 a.trace
t sweep --at page:0 a.trace
t sweep --at page:+ a.trace
t sweep --longest 0 a.trace
t sweep --jobs 0 a.trace
timeout --preserve-status -k 30 -s INT 1 "$KALAB" sweep \
    "$ROOT/corpus/traces" > out 2> err
echo "status $?"
cat err
echo "== what did not happen is no success; what was left out is told"
t sweep --at page:99 a.trace
t sweep --at page:99 a.trace b.trace
t sweep --longest 2 a.trace
