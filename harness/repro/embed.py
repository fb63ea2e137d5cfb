#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""Makes C strings of files, a line each.

usage: embed.py NAME=FILE... > embedded.c
"""
import sys

print("/* Made by embed.py. */")
print('#include "repro_int.h"')
for word in sys.argv[1:]:
    name, file = word.split("=")
    print("\nconst char *const %s[] = {" % name)
    with open(file, encoding="ascii") as f:
        for line in f.read().split("\n")[:-1]:
            print('\t"%s",' % line.replace("\\", "\\\\").replace('"', '\\"')
                  .replace("\t", "\\t"))
    print("\tNULL,\n};")
