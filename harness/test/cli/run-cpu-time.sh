# SPDX-License-Identifier: BSD-2-Clause
# A second of a processor is one, also if another has half of the processor.
cpu=$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')
taskset -c "$cpu" sh -c 'while :; do :; done' &
other=$!
taskset -c "$cpu" "$KALAB" run --cpu-time 1 --ops 50 --quiet | cut -d : -f 1
# The second line of times is what the children have run, that have ended: the
# other one has not.
times > spent
tail -1 spent | tr 'ms' '  ' | awk '{
	print ($1 * 60 + $2 + $3 * 60 + $4 >= 0.9 ? "a second" : "less: " $0)
}'
kill "$other"
t run --cpu-time 0
