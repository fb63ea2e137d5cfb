# SPDX-License-Identifier: BSD-2-Clause
# What each verb says of itself.
for verb in run replay import show list; do
	t $verb --help
done
