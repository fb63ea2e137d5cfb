# SPDX-License-Identifier: BSD-2-Clause
# A campaign with an engine of a few lines: what is found is judged, counted
# once for each signature, and kept; kalab that is killed loses nothing, and
# when it begins again it ends what it left running, and that only.
mkdir bin
cat > bin/fuzz_fake_libfuzzer <<'END'
#!/bin/sh
case $1 in
-*) ;;
*)
	if grep -q bad "$1"; then
		printf 'fuzz_fake: finding\n  signature  fake/X-1/op/state\n'
		kill -ABRT $$
	fi
	exit 0 ;;
esac
for a in "$@"; do
	case $a in
	-artifact_prefix=*) artifacts=${a#*=} ;;
	-*) ;;
	*) corpus=$a ;;
	esac
done
echo "#1 NEW    cov: 12 ft: 34 corp: 5/6Kb"
echo entry > "$corpus/entry"
if [ ! -f "$artifacts/crash-2" ]; then
	echo bad one > "$artifacts/crash-1"
	echo bad two > "$artifacts/crash-2"
	exit 77
fi
echo $$ > ../engine.pid
exec sleep 300
END
chmod +x bin/fuzz_fake_libfuzzer
mkdir bin/seeds-fake work
echo seed > bin/seeds-fake/one
ask() {
	python3 -c 'import sqlite3, sys
for row in sqlite3.connect("campaign.db").execute(sys.argv[1]):
	print(*row)' "$1"
}
cd work
"$KALAB" fuzz --target fake --bin ../bin --jobs 1 . > out 2> err &
kalab=$!
n=0
until [ -s ../engine.pid ] || [ $n -eq 300 ]; do
	n=$((n + 1))
	sleep 0.1
done
kill -KILL $kalab
wait $kalab 2> /dev/null
engine=$(cat ../engine.pid)
kill -0 "$engine" && echo "the engine goes on"
cat out err
# Somebody else's process, under a number that an engine had.
sleep 300 &
python3 -c 'import sqlite3, sys
d = sqlite3.connect("campaign.db")
d.execute("insert into engine (run, engine, target, slot, pid, ticks, began)"
	" values (1, \"libfuzzer\", \"fake\", 0, ?, 12345, 0)", (sys.argv[1],))
d.commit()' $!
"$KALAB" fuzz --target fake --bin ../bin --jobs 1 --time 2 . > out 2> err
echo "status $?"
sed 's/.*\(coverage\)/\1/; s/, last new.*//' out
cat err
kill -0 "$engine" 2> /dev/null || echo "the engine was ended"
kill -0 $! && echo "the other process was not"
kill $!
kill -0 "$(cat ../engine.pid)" 2> /dev/null || echo "so was its successor"
ask "select name, engine from entry order by engine, name"
ask "select target, engine, signature from finding"
ask "select count(*) from engine where ended is null"
ls fake fake/findings
# Stopped by a signal: clean, and at once.
timeout -s TERM 2 "$KALAB" fuzz --target fake --bin ../bin --jobs 2 . > out
echo "status $?"
ask "select count(*) from engine where ended is null"
