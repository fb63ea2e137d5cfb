# SPDX-License-Identifier: BSD-2-Clause
# A finding explained: by its number, and of a trace; and what cannot be.
. "$ROOT/harness/test/cli/lib-defect.sh"
defective km-zero-elided-large
cp km-zero-elided-large/kalab bad
cat > x.trace <<'END'
kalab-trace 1
cpus 2
threads 2
pages 64
0 m0 = kmalloc_create "a"
1 m1 = kmalloc_create "b"
1 p0 = kmalloc 100 m1 WAITOK
0 p1 = kmalloc 40000 m0 WAITOK
0 kfree p1 m0
0 p2 = kmalloc 20000 m0 WAITOK|ZERO
END
./bad triage --keep dir x.trace
# Builds and programs of this machine are not told of.
told() {
	sed '/^replay/,$d'
}
./bad finding --campaign dir 1 > out
echo "status $?"
told < out
./bad finding x.trace | told
echo "== written"
(cd dir && ../bad finding -o ../new 1) | told
cat new/km8-*.trace
sed -n '1,/^ \*\//p' new/repro.c
printf 'kalab-trace 1\n0 m0 = kmalloc_create "a"\n' > good.trace
echo "== not"
"$KALAB" finding --campaign dir 1 2>&1
echo "status $?"
t finding good.trace
t finding --campaign dir 2
t finding --campaign . 1
./bad finding -o good.trace/dir --campaign dir 1 2>&1
echo "status $?"
./bad finding -o /proc/self --campaign dir 1 2>&1 | sed 's,/self/.*:,/self/X:,'
echo "== the database is not sound"
echo "this is no database, and longer than the sixteen bytes of one" \
    > dir/campaign.db
t finding --campaign dir 1
echo "== a full disk: what was there stays"
[ -c /dev/full ] || skip "no /dev/full"
./bad finding x.trace > /dev/full 2> err
echo "status $?"
cat err
cp new/repro.c before
ln -s /dev/full new/repro.c.tmp
./bad finding -o new x.trace 2>&1 | sed 's/: [^:]*$/: WHY/'
cmp new/repro.c before && ls new
