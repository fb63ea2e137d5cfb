# SPDX-License-Identifier: BSD-2-Clause
"""Programs of a build with other sources in the place of some, and tests of a
build with another program in the place of theirs."""
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess

ROOMS = ("lib", "harness", "fuzz")
SOURCE = re.compile(r"\.[ch]$|\.def$")


class Failure(Exception):
    """It cannot be built: why."""


def fail(what, text=""):
    raise Failure("%s%s" % (what, "\n" + text if text else ""))


def run(command, cwd, what, **more):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          **more)
    if done.returncode != 0:
        fail(what, done.stdout)
    return done.stdout


def concerned(build, changed):
    """Objects of the build that a change of these files concerns."""
    found, at = set(), None
    for line in run(["ninja", "-t", "deps"], build, "ninja -t deps"
                    ).split("\n"):
        if line and not line.startswith(" "):
            at = line.split(":")[0]
        elif line and os.path.normpath(os.path.join(build, line.strip())) in \
                changed:
            found.add(at)
    return found


def moved(path, build, root, scratch):
    """The scratch's path of what is in a room of the tree, or the same."""
    full = os.path.normpath(os.path.join(build, path))
    for room in ROOMS:
        top = os.path.join(root, room)
        if full == top or full.startswith(top + os.sep):
            return os.path.join(scratch, os.path.relpath(full, root))
    return path


def compile_command(words, out, build, root, scratch):
    made, skip = [], False
    for w in words:
        if skip or w in ("-MD", "-g"):
            skip = False
            continue
        if w in ("-MQ", "-MF", "-o"):
            skip = True
            continue
        if w.startswith("-I"):
            w = "-I" + moved(w[2:], build, root, scratch)
        elif SOURCE.search(w):
            w = moved(w, build, root, scratch)
        made.append(w)
    return made + ["-w", "-o", out]


def output_of(words):
    return words[words.index("-o") + 1] if "-o" in words else None


def archive_of(words):
    """rm -f X.a && ar csrDT X.a MEMBER..."""
    if "&&" not in words or words[0] != "rm":
        return None
    at = words.index("&&") + 1
    return words[at + 2], words[at + 3:]


def build_target(build, root, scratch, target, objects, made=None, jobs=1):
    """The commands of the target again, for those of the objects that are its
    own, and for what is made of them. False: none is. What made tells to be
    compiled already, by an earlier call for the same scratch, is not again, and
    what is compiled now is told there."""
    made = {} if made is None else made
    instead, wanted = {}, {}
    told = run(["ninja", "-t", "commands", target], build,
               "ninja -t commands " + target)
    commands = [shlex.split(line) for line in told.strip().split("\n")]
    for words in commands:
        out = output_of(words)
        if out in objects and "-c" in words:
            instead[out] = os.path.join(scratch, out.replace("/", "_"))
            if out not in made:
                wanted[out] = words
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in [pool.submit(run, compile_command(
                words, instead[out], build, root, scratch), build,
                out + " does not compile") for out, words in wanted.items()]:
            done.result()
    made.update({out: instead[out] for out in wanted})
    for words in commands:
        out, archive = output_of(words), archive_of(words)
        if archive and set(archive[1]) & set(instead):
            name = os.path.basename(target) if archive[0] == target else \
                archive[0].replace("/", "_")
            linked = os.path.join(scratch, name)
            if archive[0] not in made:
                run(["ar", "csrT", linked] +
                    [instead.get(m, os.path.join(build, m))
                     for m in archive[1]], build, "ar")
            instead[archive[0]] = made[archive[0]] = linked
        elif out == target:
            instead[out] = os.path.join(scratch, os.path.basename(target))
            run([instead.get(w, w) for w in words], build, "it does not link")
    return len(instead) > 1


def copy_rooms(root, scratch):
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    for room in ROOMS:
        shutil.copytree(os.path.join(root, room), os.path.join(scratch, room))


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
