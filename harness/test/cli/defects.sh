# SPDX-License-Identifier: BSD-2-Clause
# What kalab defects refuses, and how it tells that a defect cannot be built.
t defects --source "$ROOT" no-such-defect
t defects --source no/where
t defects --engine other
t defects --budget 0
mkdir -p corpus/defects
echo 'no header' > corpus/defects/a.patch
t defects
printf 'id: a\nallocator: kmalloc\nclause: KM-8\n\n--- a\n' > corpus/defects/a.patch
t defects --build no/where
t defects --build no/where --json
