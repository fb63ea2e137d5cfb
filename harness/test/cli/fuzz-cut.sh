# SPDX-License-Identifier: BSD-2-Clause
# An engine reads the beginning of a seed only, and dies of it: the seed goes,
# and the campaign goes on; what was found is triaged at its end.
mkdir -p bin/seeds-cut
cat > bin/fuzz_cut_libfuzzer <<'END'
#!/bin/sh
case $1 in
-*) ;;
*)
	grep -q bad "$1" || exit 0
	printf 'fuzz_cut: finding\n  signature  fake/X-1/op/state\n'
	kill -ABRT $$ ;;
esac
for a in "$@"; do
	case $a in
	-artifact_prefix=*) artifacts=${a#*=} ;;
	-*) ;;
	*) corpus=$a ;;
	esac
done
for f in "$corpus"/*; do
	if grep -q bad "$f"; then
		head -c 1024 "$f" > "$artifacts/crash-1"
		exit 77
	fi
done
exec sleep 300
END
chmod +x bin/fuzz_cut_libfuzzer
(echo bad; head -c 2000 /dev/zero) > bin/seeds-cut/long
echo good > bin/seeds-cut/short
"$KALAB" fuzz --target cut --bin bin --jobs 1 --time 2 camp > out
echo "status $?"
sed 's/.*\(corpus\)/\1/; s/, last new.*//' out
ls camp/cut/corpus | wc -l
"$KALAB" fuzz --no-triage --target cut --bin bin --jobs 1 --time 1 again > out
echo "status $?"
ls again
