# SPDX-License-Identifier: BSD-2-Clause
# Triage that cannot be: one line, status 2, nothing lost.
t triage missing
mkdir empty
t triage empty
echo 'no trace' > bad.trace
printf 'kalab-trace 1\n0 m0 = kmalloc_create "a"\n' > good.trace
t triage --keep new bad.trace
ls -d new 2>&1
t triage --keep new good.trace missing.trace
t triage --keep bad.trace/dir good.trace
t triage --keep /proc/self/campaign good.trace
TMPDIR=/proc/self t triage good.trace | sed 's/kalab-[^:]*/kalab-X/'
echo "== a database that is none"
mkdir -p other/file/findings
echo "this is no database, and longer than the sixteen bytes of one" \
    > other/campaign.db
t triage other
cat other/campaign.db
echo "== an entry that is none: the others are looked at"
t triage --keep mixed good.trace
echo junk > mixed/file/findings/0000000000000001
t triage mixed
echo "== two at one directory"
flock mixed/triage/lock "$KALAB" triage mixed 2>&1
echo "status $?"
echo "== a full disk"
[ -c /dev/full ] || skip "no /dev/full"
rm mixed/file/findings/0000000000000001
rm mixed/campaign.db
"$KALAB" triage mixed --json 2>&1 > /dev/full
echo "status $?"
