# SPDX-License-Identifier: BSD-2-Clause
# SARIF and JUnit of findings: what the standards require is there, and what
# it says is what was found.
. "$ROOT/harness/test/cli/lib-defect.sh"
defective km-zero-elided-large
bad=km-zero-elided-large/kalab
cat > 'a b%.trace' <<'END'
kalab-trace 1
0 m0 = kmalloc_create "a"
0 p0 = kmalloc 40000 m0 WAITOK
0 kfree p0 m0
0 p1 = kmalloc 20000 m0 WAITOK|ZERO
END
printf 'kalab-trace 1\n0 m0 = kmalloc_create "a"\n' > good.trace
echo 'no <trace> "&"' > bad.trace
check() {
	python3 -B "$ROOT/harness/test/cli/sarif_check.py" "$1" || echo bad
}
$bad replay --sarif 'a b%.trace' good.trace > a.sarif
echo "status $?"
check a.sarif
$bad replay --sarif good.trace bad.trace > b.sarif
echo "status $?"
check b.sarif
$bad triage --quiet --sarif --keep dir 'a b%.trace' > c.sarif
echo "status $?"
check c.sarif
$bad triage --sarif missing 2>&1
echo "status $?"
$bad replay --junit 'a b%.trace' good.trace bad.trace > j.xml
echo "status $?"
sed 's/time="[^"]*"/time="T"/' j.xml
python3 -c 'import xml.etree.ElementTree as E
s = E.parse("j.xml").getroot()[0]
assert s.tag == "testsuite" and int(s.get("tests")) == len(s) == 3
print([[f.tag for f in c] for c in s])'
