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
# What came of it is kept from one time to the next.
status defects --build no/where --database a.db
status defects --build no/where --database a.db --seed 7
python3 - <<'EOT'
import sqlite3
db = sqlite3.connect("a.db")
for table in "select id, engine, budget, seed from search", \
        "select search, id, verdict from defect":
    for row in db.execute(table):
        print(*row)
EOT
t defects --build no/where --database no/where/a.db
