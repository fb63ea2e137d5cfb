# SPDX-License-Identifier: BSD-2-Clause
# What each verb says of itself.
for verb in run replay explore import fuzz triage finding corpus show stats \
    shrink defects sweep mutate list; do
	t $verb --help
done
