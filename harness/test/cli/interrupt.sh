# SPDX-License-Identifier: BSD-2-Clause
# SIGINT: status 2, and says so.
timeout --preserve-status -k 30 -s INT 1 \
    "$KALAB" run --runs 100000000 --ops 100 > out
echo "status $?"
cut -d : -f 1 out
timeout --preserve-status -k 30 -s INT 1 \
    "$KALAB" run --runs 100000000 --ops 100 --jobs 2 > out
echo "status $?"
cut -d : -f 1 out
d=$ROOT/corpus/traces
timeout --preserve-status -k 30 -s INT 1 "$KALAB" replay --twice \
    $d $d $d $d $d $d $d $d $d $d $d $d $d $d $d $d > out 2> err
echo "status $?"
cat err
# The second one ends a program that waits for its input.
mkfifo fifo
sleep 60 > fifo 2> /dev/null &
writer=$!
"$KALAB" replay - < fifo &
reader=$!
sleep 1
kill -INT $reader
sleep 1
kill -INT $reader
wait $reader
echo "status $?"
kill $writer
exit 0
