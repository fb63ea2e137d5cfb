# SPDX-License-Identifier: BSD-2-Clause
"""Checks a SARIF log against what the schema of 2.1.0 requires of the objects
that kalab writes, and prints its results.

The schema's own words: "required", "enum", "minimum", "additionalProperties":
false for every object.
"""
import json
import re
import sys

TEXT = {"text": str}
SHAPES = {
    "log": ({"version": str, "runs": ["run"]}, {"$schema": str}),
    "run": ({"tool": "tool"},
            {"results": ["result"], "invocations": ["invocation"]}),
    "tool": ({"driver": "component"}, {}),
    "component": ({"name": str}, {"version": str, "rules": ["rule"]}),
    "rule": ({"id": str}, {"shortDescription": "message", "help": "message",
                           "defaultConfiguration": "configuration"}),
    "configuration": ({}, {"level": str}),
    "message": ({"text": str}, {}),
    "invocation": ({"executionSuccessful": bool},
                   {"toolExecutionNotifications": ["notification"]}),
    "notification": ({"message": "message"}, {"level": str}),
    "result": ({"message": "message"},
               {"ruleId": str, "ruleIndex": int, "level": str,
                "locations": ["location"], "relatedLocations": ["location"],
                "partialFingerprints": dict}),
    "location": ({}, {"physicalLocation": "physical", "message": "message"}),
    "physical": ({"artifactLocation": "artifact"}, {"region": "region"}),
    "artifact": ({}, {"uri": str}),
    "region": ({}, {"startLine": int}),
}


def check(value, shape, path):
    if isinstance(shape, list):
        assert isinstance(value, list), path
        for i, v in enumerate(value):
            check(v, shape[0], "%s[%d]" % (path, i))
    elif isinstance(shape, str):
        required, optional = SHAPES[shape]
        assert isinstance(value, dict), path
        for key in required:
            assert key in value, "%s has no %s" % (path, key)
        for key, v in value.items():
            known = {**required, **optional}
            assert key in known, "%s.%s is not known" % (path, key)
            check(v, known[key], path + "." + key)
    else:
        assert isinstance(value, shape), path
        assert shape is not int or (value >= 0 and value is not True), path


with open(sys.argv[1], encoding="utf-8") as f:
    log = json.load(f)
check(log, "log", "log")
assert log["version"] == "2.1.0"
run = log["runs"][0]
rules = run["tool"]["driver"]["rules"]
ids = [r["id"] for r in rules]
assert len(set(ids)) == len(ids) > 50
for r in run["results"]:
    assert r["level"] in ("none", "note", "warning", "error")
    assert ids[r["ruleIndex"]] == r["ruleId"]
    assert all(isinstance(v, str) for v in r["partialFingerprints"].values())
    for where in r["locations"] + r.get("relatedLocations", []):
        place = where["physicalLocation"]
        uri = place["artifactLocation"]["uri"]
        assert re.fullmatch(r"([A-Za-z0-9._~/-]|%[0-9A-F]{2})+", uri), uri
        assert place.get("region", {}).get("startLine", 1) >= 1
        print(r["ruleId"], uri, place.get("region"),
              r["partialFingerprints"])
print("successful", run["invocations"][0]["executionSuccessful"],
      [n["message"]["text"] for n in
       run["invocations"][0]["toolExecutionNotifications"]])
