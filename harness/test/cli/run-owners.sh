# SPDX-License-Identifier: BSD-2-Clause
# A fixed range of random traces of all four allocators is clean, each run
# twice; so are the traces that were made for three of them by hand.
"$KALAB" run --seed 1 --runs 300 --ops 400 --twice --audit 100 --quiet |
    cut -d , -f 1
cd "$ROOT" || exit
for f in corpus/regressions/oc*.trace corpus/regressions/mp*.trace \
    corpus/regressions/zn*.trace; do
	t replay --twice "$f"
done
