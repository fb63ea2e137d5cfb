# SPDX-License-Identifier: BSD-2-Clause
# Findings of libraries with defects: each signature once, small, replayed; what
# is done is not done again; and what is killed goes on where it was.
. "$ROOT/harness/test/cli/lib-defect.sh"
defective km-zero-elided-large
bad=km-zero-elided-large/kalab
# Large memory that was used before is asked for, zeroed, after so many pairs
# that do not matter.
find_me() { # FILE OPERATION PAIRS
	{
		printf '%s\n' 'kalab-trace 1' 'cpus 2' 'threads 2' \
		    'pages 256' 'reserve 0 0' 'keep 2' 'debug 0' \
		    'schedule random 7' '0 m0 = kmalloc_create "a"'
		pairs=0
		while [ $pairs -lt "$3" ]; do
			pairs=$((pairs + 1))
			echo "0 p1 = kmalloc $((pairs * 8)) m0 WAITOK"
			echo "1 kfree p1 m0"
		done
		echo '0 p0 = kmalloc 9000 m0 WAITOK'
		echo '0 kfree p0 m0'
		echo "0 p0 = $2 9000 m0 WAITOK|ZERO"
	} > "$1"
}
for i in 1 2 3 4 5; do
	find_me f$i.trace kmalloc $((100 * i))
done
for i in 6 7 8; do
	find_me f$i.trace kmalloc_powerof2 $((20 * i))
done
echo "== new, again, and on a library that is sound"
$bad triage --keep one f1.trace
echo "status $?"
$bad replay one/triage/1.trace | sed 's,[^ ]*/one,one,'
stat -c %i one/triage/1.trace > inode
$bad triage one
stat -c %i one/triage/1.trace | cmp - inode
$bad triage f1.trace > table
grep KM-8 table
t triage --keep sound f1.trace
ls sound/triage
echo "== eight at once; killed, and gone on"
$bad triage --jobs 2 --keep all f?.trace > straight
sed 's/[0-9]*>[0-9]*/N>N/' straight
ask() {
	python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]):
	print(*row)' "$1" "$2" 2> /dev/null
}
$bad triage --jobs 1 --replays 1000 --keep killed f?.trace > out 2> err &
pid=$!
n=0
until [ "$(ask killed/campaign.db 'select count(*) from triage')" = 2 ] ||
    [ $n -eq 300 ]; do
	n=$((n + 1))
	sleep 0.05
done
kill -KILL $pid
wait $pid 2> /dev/null
ask killed/campaign.db "select count(*) from verdict"
[ "$(ask killed/campaign.db 'select count(*) from triage where complete')" \
    -lt 2 ] && echo "not all was done"
$bad triage --jobs 2 killed > after
# Less how often each was replayed.
awk '{ $3 = "" } 1' straight > a && awk '{ $3 = "" } 1' after > b && cmp a b
cmp all/triage/1.trace killed/triage/1.trace
echo "== a database that was lost is built again from the files"
rm -f all/campaign.db*
$bad triage all > after
cmp straight after
echo "== one of an older kalab; of a newer one"
python3 -c 'import sqlite3
d = sqlite3.connect("all/campaign.db")
d.executescript("drop table verdict; drop table triage; "
	"pragma user_version = 0")'
$bad triage all > after
cmp straight after
ask all/campaign.db "pragma user_version"
python3 -c 'import sqlite3
sqlite3.connect("all/campaign.db").executescript("pragma user_version = 99")'
$bad triage all 2>&1
echo "status $?"
echo "== a full disk: one line, and the next time it is done"
[ -c /dev/full ] || skip "no /dev/full"
mkdir -p full/triage
ln -s /dev/full full/triage/1.tmp
$bad triage --keep full f1.trace 2>&1
echo "status $?"
rm full/triage/1.tmp
$bad triage full
