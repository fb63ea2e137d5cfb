# SPDX-License-Identifier: BSD-2-Clause
"""What the lints share: the tree that is looked at, and how they report.

Every lint takes the root of a source tree as its first argument (the default
is its own), prints a line for each violation, and exits with 0 or 1, or 77 if
it cannot be done here.
"""
import os
import sys

SKIP = 77
SKIPPED_DIRS = ("build", "subprojects", "__pycache__", ".")

violations = []


def root():
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.abspath(sys.argv[1] if len(sys.argv) > 1
                           else os.path.join(here, "..", ".."))


def files(top, *ends, under=("",)):
    """Paths relative to top, sorted, of files with one of these ends."""
    found = []
    for place in under:
        for at, dirs, names in os.walk(os.path.join(top, place)):
            dirs[:] = [d for d in dirs if not d.startswith(SKIPPED_DIRS)]
            found += [os.path.relpath(os.path.join(at, name), top)
                      for name in names if name.endswith(ends)]
    return sorted(set(found))


def sources(top):
    return files(top, ".c", ".h", ".def",
                 under=("lib", "harness", "bench", "fuzz"))


def read(top, name):
    with open(os.path.join(top, name), encoding="utf-8",
              errors="surrogateescape") as f:
        return f.read()


def bad(place, what):
    violations.append((place, what))
    print("%s: %s" % (place, what))


def skip(why):
    print("SKIP: " + why)
    sys.exit(SKIP)


def end(what):
    print("%s: %d violations" % (what, len(violations)))
    sys.exit(1 if violations else 0)
