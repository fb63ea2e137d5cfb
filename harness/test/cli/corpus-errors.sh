# SPDX-License-Identifier: BSD-2-Clause
# Corpora that cannot be: one line, status 2, nothing lost.
mkdir empty good bad cut
cp "$ROOT/corpus/seeds/km-limit.trace" good
cp "$ROOT/corpus/seeds/README.md" empty
t corpus stats empty
t corpus stats missing
echo junk > bad/a.trace
t corpus stats good bad
head -c 300 "$ROOT/corpus/traces/git.kt" > cut/a.kt
t corpus minimize -o new cut
ls -d new 2>&1
t corpus minimize -o good good
ls good
t corpus minimize -o bad/a.trace good
t corpus minimize -o /proc/self good | sed 's,/self/[^:]*:,/self/X:,'
mkdir bin
t corpus minimize --bin bin --target nothing good | sed 's, in bin:[^ ]*:, in BIN:,'
echo "== a full disk"
[ -c /dev/full ] || skip "no /dev/full"
mkdir full
ln -s /dev/full full/km-limit.trace.tmp
t corpus minimize -o full good | sed 's/: [^:]*$/: WHY/'
ls full
"$KALAB" corpus stats good 2>&1 > /dev/full
echo "status $?"
