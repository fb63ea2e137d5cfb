# SPDX-License-Identifier: BSD-2-Clause
"""Tests of a build, with another program in the place of theirs."""
import json
import os
import re
import subprocess


def header(path):
    """The "key: value" lines before the first "---" of a patch."""
    found = {}
    with open(path, encoding="ascii") as f:
        for line in f:
            m = re.match(r"([a-z]+): (.+)$", line)
            if line.startswith("--- "):
                break
            if m:
                found[m.group(1)] = m.group(2)
    return found


class Test:
    """A test of the build that runs one of its programs."""

    def __init__(self, build, entry, target):
        self.build = build
        self.entry = entry
        self.target = target  # the program, relative to the build

    def run(self, program):
        """The status, with the given program instead."""
        own = os.path.join(self.build, self.target)

        def instead(text):
            return text.replace(own, program)

        env = dict(os.environ)
        env.update({k: instead(v) for k, v in self.entry["env"].items()})
        try:
            done = subprocess.run([instead(c) for c in self.entry["cmd"]],
                                  env=env, cwd=self.build,
                                  stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, check=False,
                                  timeout=self.entry["timeout"])
        except subprocess.TimeoutExpired:
            return 124
        return done.returncode


def find(build, name):
    """The test of that name, or None. A program that it is given through the
    environment, as KALAB is, counts as its own."""
    with open(os.path.join(build, "meson-info", "intro-tests.json"),
              encoding="utf-8") as f:
        entries = json.load(f)
    for entry in entries:
        if entry["name"] != name:
            continue
        for word in entry["cmd"][:1] + [entry["env"].get("KALAB", "")]:
            if word.startswith(build + os.sep):
                return Test(build, entry, os.path.relpath(word, build))
    return None
