# SPDX-License-Identifier: BSD-2-Clause
# What only the target's program sees, as a report of a sanitizer: confirmed by
# the program, and shrunk by the kalab of its build, if that can.
mkdir -p camp/fake/findings build/fuzz build/harness/cli
printf 'abc' > camp/fake/findings/0000000000000001
printf 'abcd' > camp/fake/findings/0000000000000002
printf 'clean' > camp/fake/findings/0000000000000003
cat > build/fuzz/fuzz_fake <<'END'
#!/bin/sh
case $1 in
--groups) echo 63; exit 0 ;;
--show)
	printf 'kalab-trace 1\n0 m0 = kmalloc_create "a"\n'
	printf '0 p0 = kmalloc %d m0 WAITOK\n' "$(wc -c < "$2")"
	exit 0 ;;
esac
grep -q abc "$1" || exit 0
echo "SUMMARY: AddressSanitizer: heap-use-after-free lib/x.c:1 in f" >&2
exit 1
END
chmod +x build/fuzz/fuzz_fake
cp -r camp camp2
cp -r camp camp3
echo "== no kalab beside it: kept whole"
t triage --bin build/fuzz camp
cat camp/triage/1.trace
t finding --campaign camp 1 | sed '/^replay/,/target/!d'
echo "== one that shrinks"
cat > build/harness/cli/kalab <<'END'
#!/bin/sh
while [ "$1" != -o ]; do shift; done
printf 'kalab-trace 1\n0 m0 = kmalloc_create "small"\n' > "$2"
END
chmod +x build/harness/cli/kalab
t triage --bin build/fuzz camp2
tail -1 camp2/triage/1.trace
ls camp2/triage
echo "== an input that is no trace: its bytes are shrunk"
sed -i 's/63/0/' build/fuzz/fuzz_fake
rm camp3/fake/findings/*
printf '%s' "$(seq 1 40)abc$(seq 1 60)" > camp3/fake/findings/0000000000000001
t triage --bin build/fuzz camp3
t triage --bin build/fuzz --json camp3 | grep -E 'signature|_after|program|trace|complete'
cat camp3/triage/1.input
echo
ls camp3/triage
t finding --campaign camp3 1
t finding --campaign camp3 -o new 1
echo "== what does not matter is made plain"
sed -i 's/^grep -q abc/grep -q "a.*b....c"/' build/fuzz/fuzz_fake
rm -r camp3/triage camp3/campaign.db*
printf '(a;b+-*/c)' > camp3/fake/findings/0000000000000001
t triage --bin build/fuzz camp3
cat camp3/triage/1.input
echo
