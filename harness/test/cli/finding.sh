# SPDX-License-Identifier: BSD-2-Clause
# Findings, as people and programs read them, of a malloc that is broken: its
# calloc leaves some sizes of memory not zero.
[ -n "${BAD_CALLOC:-}" ] || skip "no BAD_CALLOC"
bad() {
	LD_PRELOAD=$BAD_CALLOC "$KALAB" "$@"
}
bad --version > version 2>&1 && grep -q '^kalab [0-9.]*$' version ||
    skip "nothing can be preloaded"
cat > "it's.trace" <<'EOF'
kalab-trace 1
0 m0 = kmalloc_create "temp"
0 p0 = kmalloc 4240 m0 WAITOK|ZERO
0 p1 = kmalloc 4242 m0 WAITOK|ZERO
EOF
cp "it's.trace" a.trace
bad replay --subject malloc a.trace
echo "status $?"
bad replay --subject malloc --twice --ops 100 --audit 3 --perturb 5 \
    --contents sampled "it's.trace"
echo "status $?"
bad replay --subject malloc --json a.trace
echo "status $?"
# With bad input the worse status wins.
bad replay --subject malloc a.trace missing > out 2> err
echo "status $?"
# A campaign: the trace is kept, and the command in the report shows the same
# finding again; where it cannot be kept, the command makes it again.
BAD_CALLOC_ODD=1
export BAD_CALLOC_ODD
n=0
while [ $((n += 1)) -le 50 ]; do
	mkdir -p "no/where/seed-$n.trace"
done
for keep in . no/where; do
	bad run --subject malloc --contents sampled --cpus 2 --runs 50 \
	    --keep $keep > out 2> err
	echo "status $?"
	sed "s/seed.[0-9]*/seed-N/" err | cut -d " " -f 1-6
	sed 's/^seed [0-9]*: //;s/seed.[0-9]*/seed-N/' out |
	    grep -e clause -e replay
	command=$(sed -n 's/^  replay     kalab //p' out)
	# shellcheck disable=SC2086
	bad $command > again 2> err
	echo "status $?"
	[ "$(grep found out)" = "$(grep found again)" ] && echo the same
done
