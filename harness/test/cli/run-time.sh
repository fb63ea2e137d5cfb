# SPDX-License-Identifier: BSD-2-Clause
# A campaign by time, in several processes.
"$KALAB" run --time 1 --jobs 2 --ops 5 --quiet > out
echo "status $?"
cut -d : -f 1 out
runs=$(sed 's/clean: \([0-9]*\) runs.*/\1/' out)
[ "$runs" -gt 1 ] && echo several runs
"$KALAB" run --time 60 --runs 4 --ops 100 | cut -d , -f 1
