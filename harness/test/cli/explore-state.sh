# SPDX-License-Identifier: BSD-2-Clause
# The state of an exploration: with more deviations it goes on, with fewer all
# is done; and it is of no other exploration, nor taken if it is damaged.
explore() {
	"$KALAB" explore --quiet "$@" a.trace > out 2> err
	rc=$?
	sed -e 's/, about .*//' out
	sed 's/^/2| /' err
	[ $rc -eq 0 ] || echo "status $rc"
}
cat > a.trace <<'EOT'
kalab-trace 1
cpus 2
threads 2
pages 32
reserve 0 0
keep 0
0 m0 = kmalloc_create "a"
0 p0 = kmalloc 4096 m0 WAITOK
1 kfree p0 m0
0 p1 = kmalloc 4096 m0 NOWAIT
EOT
explore --bound 2
explore --bound 1 --state s
explore --bound 1 --state s
explore --bound 2 --state s
explore --bound 1 --state s
explore --bound 2 --state s
echo "== in the middle of two deviations, one is done, and two are not"
explore --bound 2 --state t --runs 100
explore --bound 1 --state t
explore --bound 2 --state t
echo "== the runs are those of this time"
explore --state u --runs 10
explore --state u --runs 10
echo "== other checks than then are another exploration"
explore --state s --audit 1
explore --state s --check wgl
explore --state s --contents none
explore --state s --points 1000
explore --state s --subject malloc
echo "== damaged"
size=$(wc -c < s.0)
for at in 1 20 60 $((size - 1)); do
	cp s.0 v.0
	byte=$(od -An -tu1 -j $at -N 1 s.0)
	# shellcheck disable=SC2059
	printf "\\$(printf %o $((byte ^ 64)))" |
	    dd of=v.0 bs=1 seek=$at conv=notrunc 2> dd
	explore --state v
done
head -c $((size - 1)) s.0 > v.0
explore --state v
head -c 10 s.0 > v.0
explore --state v
: > v.0
explore --state v
echo "== it cannot be written: said before anything is done"
explore --state none/s
explore --state /proc/self/s | sed 's/: [^:]*$//'
echo "== a finding that cannot be kept is not lost"
mkdir keep keep/a-found.trace
explore --points 1 --keep keep
