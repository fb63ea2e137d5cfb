# SPDX-License-Identifier: BSD-2-Clause
# Importing what cannot be, to where it cannot go; what was there stays.
f=$ROOT/harness/test/data/import-excerpt.txt.xz
echo before > there
: > empty
t import --from ftrace missing
t import --from ftrace -o there empty
t import --from ftrace -o there "$ROOT/meson.build"
head -c 300 "$f" > cut.xz
t import --from ftrace -o there cut.xz
t import --from ftrace -o no/where "$f"
mkdir directory
t import --from ftrace -o directory "$f"
t import --from ftrace directory
cat there
ls
