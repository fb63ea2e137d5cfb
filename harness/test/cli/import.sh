# SPDX-License-Identifier: BSD-2-Clause
# The importer, and its trace replayed.
f=$ROOT/harness/test/data/import-excerpt.txt.xz
t import --from ftrace --output a.kt "$f"
"$KALAB" replay --twice a.kt | grep -o 'clean: [0-9]* operations'
xz -dc "$f" > a.txt
"$KALAB" import --from ftrace --output b.kt - < a.txt 2> report
"$KALAB" import --from ftrace --output c.kt - < "$f" 2> report
"$KALAB" import --from ftrace a.txt > d.trace 2> report
"$KALAB" import --from ftrace --text --output e.trace a.txt 2> report
cmp a.kt b.kt && cmp a.kt c.kt && cmp d.trace e.trace && echo the same
"$KALAB" show --bare a.kt | cmp - d.trace && echo one trace in two forms
t import --from ftrace --cpus 1 --threads 2 --pages 64 -o small.kt "$f"
head -7 d.trace
ls
