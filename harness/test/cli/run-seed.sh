# SPDX-License-Identifier: BSD-2-Clause
# A seed is a trace: the same one always, with any number of jobs.
"$KALAB" run --seed 7 --runs 20 --ops 200 --twice > one
"$KALAB" run --seed 7 --runs 20 --ops 200 > two
"$KALAB" run --seed 7 --runs 20 --ops 200 --jobs 3 --quiet > three
"$KALAB" run --seed 0x8 --runs 20 --ops 200 > four
for f in one two three four; do
	sed 's/, [0-9.]* s, [0-9]* runs.s$//' $f > $f.cut
done
cmp one.cut two.cut
cmp one.cut three.cut
cmp one.cut four.cut > /dev/null || echo another seed is another trace
cut -d , -f 1 one
t run --cpus 1 --threads 1 --ops 5 --audit 1 --contents sampled
