# SPDX-License-Identifier: BSD-2-Clause
# JSON: one array, valid whatever happens.
printf 'kalab-trace 1\n0 m0 = kmalloc_create "t"\n0 kmaloc\n' > bad.trace
printf 'kalab-trace 1\n0 m0 = kmalloc_create "t"\n' > good.trace
t replay --json good.trace bad.trace missing.trace
cp good.trace "$(printf 'a\377"b')"
"$KALAB" replay --json a* good.trace > out.json
python3 - <<'EOF'
import json
for r in json.load(open("out.json")):
    print(r["file"], r["status"], r["operations"])
EOF
mkdir empty
t replay --json empty
