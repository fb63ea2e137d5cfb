#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""Makes a C table of what the contract says in short, by clause.

usage: contract_text.py docs/contract.md > contract_text.c
"""
import re
import sys

print("/* Made of docs/contract.md by contract_text.py. */")
print('#include "cli.h"\n')
print("const struct cli_clause cli_clauses[] = {")
with open(sys.argv[1], encoding="ascii") as f:
    rows = re.findall(r"^\| ([A-Z]+-\d+) \| ([^|]+?) \|", f.read(), re.M)
if len(rows) < 20:
    sys.exit("contract_text.py: no table of clauses in " + sys.argv[1])
for clause, text in rows:
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("`", "")
    print('\t{ "%s", "%s" },' % (clause, text))
print("\t{ NULL, NULL },\n};")
