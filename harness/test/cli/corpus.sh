# SPDX-License-Identifier: BSD-2-Clause
# What a corpus reaches; the least of it reaches as much, is the same each time,
# and has every finding.
. "$ROOT/harness/test/cli/lib-defect.sh"
mkdir a b
cp "$ROOT"/corpus/seeds/km-*.trace "$ROOT"/corpus/seeds/zn-*.trace a
# The same again, in another form; a part of it; an input of an engine.
xz < a/km-limit.trace > b/packed.trace.xz
head -20 a/zn-maximum.trace > b/part.trace
cp a/km-limit.trace b/km-limit.trace
printf '\001\002\003\004' > b/input
t corpus stats a
t corpus stats a b
"$KALAB" corpus minimize a b > kept
grep ^b kept
"$KALAB" corpus minimize -o c a b | cmp - kept
"$KALAB" corpus minimize -o d a b | cmp - kept
diff -r c d
features() {
	"$KALAB" corpus stats "$@" | grep ^features
}
features a b > before
features c > after
cmp before after
echo "again: $("$KALAB" corpus minimize c | wc -l) of $(ls c | wc -l)"
"$KALAB" corpus stats --json a b | python3 -c 'import json, sys
d = json.load(sys.stdin)
print(len(d["entries"]), d["duplicates"], sum(e["kept"] for e in d["entries"]))
print([(e["path"], e["form"], e.get("duplicate_of"))
	for e in d["entries"] if e["path"].startswith("b")])'
echo "== findings are kept, each once, however little they show"
defective km-zero-elided-large
cat > a/bad.trace <<'END'
kalab-trace 1
0 m0 = kmalloc_create "a"
0 p0 = kmalloc 40000 m0 WAITOK
0 kfree p0 m0
0 p1 = kmalloc 20000 m0 WAITOK|ZERO
END
sed 's/20000/20001/; 3i 0 p7 = kmalloc 8 m0 WAITOK' a/bad.trace > b/bad.trace
km-zero-elided-large/kalab corpus minimize a b > kept
echo "status $?"
grep bad kept
km-zero-elided-large/kalab corpus stats a b | grep ^findings
