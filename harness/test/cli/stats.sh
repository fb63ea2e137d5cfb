# SPDX-License-Identifier: BSD-2-Clause
# Statistics at the end of a trace, of every allocator; the figures here are
# those that only the trace decides.
cat > a.trace <<'EOF'
kalab-trace 1
0 m0 = kmalloc_create "temp"
0 p0 = kmalloc 100 m0 WAITOK
0 p1 = kmalloc 100 m0 WAITOK
0 kfree p1 m0
0 z0 = uma_zcreate "items" 100 7 0 0
0 p1 = uma_zalloc z0 WAITOK
0 p2 = uma_zalloc z0 WAITOK
0 p3 = uma_zalloc z0 WAITOK
0 uma_zfree z0 p2
0 b0 = zinit "old" 50 8 DESTROYABLE
0 p2 = zalloc b0
0 m1 = kmalloc_create "made"
0 c0 = objcache_create "made" m1 32 0 0 0
0 p4 = objcache_get c0 WAITOK
0 p5 = objcache_get c0 WAITOK
0 objcache_put c0 p4
0 m2 = kmalloc_create "sure"
0 q0 = mpipe_init m2 64 4 -1 NOZERO 0
0 p4 = mpipe_alloc_nowait q0
EOF
t stats a.trace | sed -E -e 's/ +/ /g' \
    -e 's/^(items|old) ([0-9]+ [0-9]+ [0-9]+) [0-9]+ /\1 \2 N /'
t stats --ops 3 a.trace | sed 's/  */ /g'
"$KALAB" stats --perturb 1 - < a.trace | grep -c .
"$KALAB" stats "$ROOT/corpus/traces/git.kt" |
    grep -o -e '^ *Type' -e ^ITEM -e ^OBJCACHE -e ^MPIPE
# What cannot be replayed.
echo 'kalab-trace 1
0 kfree p0 m0' > bad.trace
t stats bad.trace
t stats missing
t stats
t stats a.trace a.trace
t stats --ops x a.trace
t stats --json a.trace
