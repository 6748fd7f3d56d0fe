#!/usr/bin/env python3
"""Judges every vector below a directory with code that shares nothing with the generator.

Usage: check_foreign.py v1. Prints how many vectors of each operation agree; exits 1 on one
that does not, on a reject of the registry without a vector, on an anchor that the specification lacks,
and on a manifest that does not fit.
"""

import collections
import hashlib
import json
import pathlib
import re
import sys

from foreign import operations
from foreign.cbor import Refused


def judge(operation, test):
    """Returns (result, error) as the foreign path sees it."""
    try:
        operations.TABLE[operation](test)
    except Refused as refused:
        return "invalid", str(refused)
    return "valid", None


def check_manifest(base):
    """Checks hashes and counts, and that no file is left out."""
    manifest = json.loads((base / "manifest.json").read_text())
    listed = {row["file"]: row for row in manifest["files"]}
    found = {str(path.relative_to(base)) for path in base.glob("*/*.json")} | {"keys.json"}
    assert {name for name in found if not name.startswith("schema/")} == set(listed), "manifest and files differ"
    for name, row in listed.items():
        assert hashlib.sha256((base / name).read_bytes()).hexdigest() == row["sha256"], name
    return [name for name in listed if name != "keys.json"]


def registry(base):
    """Returns the reject names of the registry beside the vectors."""
    text = (base.parent.parent / "spec" / "registry.md").read_text().split("## Rejects")[1].split("\n## ")[0]
    return re.findall(r"^\| \d+ \| `([a-z0-9-]+)` \|", text, re.MULTILINE)


def anchors(base):
    """Returns the anchors of the pages of the specification."""
    pages = sorted((base.parent.parent / "spec").glob("*.md"))
    lines = [line for page in pages for line in page.read_text().splitlines()]
    return {"#" + line[3:].strip().lower().replace(" ", "-") for line in lines if line.startswith("## ")}


def main(directory):
    """Checks everything."""
    base = pathlib.Path(directory).resolve()
    counts, errors, cited, wrong = collections.Counter(), set(), set(), 0
    for name in check_manifest(base):
        document = json.loads((base / name).read_text())
        for test in document["tests"]:
            expected = (test["result"], test.get("error"))
            seen = judge(document["operation"], test)
            counts[document["operation"]] += 1
            errors.add(test.get("error"))
            errors.update(step.get("error") for step in test.get("steps", ()))
            cited.add(test["spec"])
            if seen != expected:
                wrong += 1
                print(f"{name}: {test['name']}: expected {expected}, found {seen}", file=sys.stderr)
    missing = [name for name in registry(base) if name not in errors]
    astray = sorted(cited - anchors(base))
    for operation, count in sorted(counts.items()):
        print(f"{count:5} {operation}")
    print(f"{sum(counts.values()):5} judged by the foreign path, {wrong} differ, rejects without a vector: {missing or 'none'}")
    if astray:
        print(f"anchors that the specification lacks: {astray}", file=sys.stderr)
    return 1 if wrong or missing or astray else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "v1"))
