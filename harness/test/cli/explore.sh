# SPDX-License-Identifier: BSD-2-Clause
# What an exploration prints; that it can be ended and gone on with; and the
# story of what it found. Times and rates are no part of the test.
timeless() {
	"$@" | sed -e 's/, [0-9.]* s, [0-9]*\/s$//'
}
cat > a.trace <<'EOF'
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
1 p2 = kmalloc 4096 m0 NOWAIT
EOF
t explore --strategy recorded --help > /dev/null
timeless "$KALAB" explore --quiet --bound 1 a.trace
timeless "$KALAB" explore --quiet --bound 1 --jobs 2 a.trace
timeless "$KALAB" explore --quiet --bound 1 --memory sc --may migrate a.trace
for strategy in recorded random sticky pct; do
	timeless "$KALAB" explore --quiet --strategy $strategy --runs 50 a.trace |
	    sed 's/about .* different/many/'
done
# In pieces it is the same.
timeless "$KALAB" explore --quiet --state s --runs 7 a.trace
timeless "$KALAB" explore --quiet --state s --runs 20 a.trace
timeless "$KALAB" explore --quiet --state s a.trace |
    sed 's/about .* different/many/'
timeless "$KALAB" explore --quiet a.trace | sed 's/about .* different/many/'
t explore --quiet --state s --bound 1 --memory sc a.trace
# A leak of the malloc subject does not depend on the schedule.
cat > b.trace <<'EOF'
kalab-trace 1
cpus 2
threads 2
memory tso
may migrate
deviate 0 2 2 migrate 1
deviate 0 2 4 run 1
deviate 1 1 1 run 0
0 m0 = kmalloc_create "a"
0 p0 = kmalloc 64 m0 WAITOK
1 p1 = kmalloc 64 m0 WAITOK
EOF
"$KALAB" replay --story b.trace | sed -e 's/:[0-9]* (/:N (/' \
    -e 's/hash .*//'
# The command of a protocol's finding shows it again, whatever showed it first.
"$KALAB" explore --quiet --memory sc --bound 3 protocol:mpipe-pending > out
grep replay out
command=$(sed -n 's/^  replay     kalab //p' out)
# shellcheck disable=SC2086
"$KALAB" $command | grep signature
# What a strategy would not look at is refused.
t explore --strategy pct --bound 2 a.trace
t explore --depth 2 a.trace
t explore --strategy exhaustive --seed 2 a.trace
t explore --seed 3 --strategy sticky --runs 3 --depth 2 a.trace
# So few points are a livelock, also when it is replayed, and made smaller.
"$KALAB" explore --quiet --points 3 a.trace > out
grep -e signature -e replay out
command=$(sed -n 's/^  replay     kalab //p' out)
# shellcheck disable=SC2086
"$KALAB" $command | grep signature
"$KALAB" shrink --quiet --points 3 a-found.trace | grep -v '^#'
"$KALAB" replay a-found.trace | sed 's/hash .*//'
