"""Writes the seed corpora of the fuzz targets from the interoperability vectors.

At most 40 files a target, chosen evenly, named after their vectors: the same vectors give the same files.
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "interop-vectors" / "v1"
FILES_MAX = 40

SOURCES = {
    "cbor": [("01-cbor/valid.json", "input"), ("01-cbor/invalid.json", "input")],
    "envelope": [("03-sign1/valid.json", "cose"), ("03-sign1/invalid-header.json", "cose")],
    "frame": [("05-frames/valid.json", "input"), ("05-frames/invalid.json", "input")],
    "delta_apply": [("04-state/apply-valid.json", "delta"), ("04-state/apply-invalid.json", "delta")],
    "bundle": [("06-sessions/bundles.json", "incoming")],
    "device_engine": [("03-sign1/valid.json", "cose"), ("05-frames/valid.json", "input")],
}


def rows(file, member):
    """Returns the vectors of a file as (name, bytes)."""
    tests = json.loads((VECTORS / file).read_text())["tests"]
    return [(test["name"], bytes.fromhex(test[member])) for test in tests if test.get(member)]


def evenly(items, count):
    """Chooses `count` items, the first and every further one at the same distance."""
    step = max(1, -(-len(items) // count))
    return items[::step]


def as_answers(content):
    """Wraps bytes as steps of the engine's target: raw, then as an item of each plane."""
    content = content[1:] if content[:1] == b"\xd2" else content
    length = len(content).to_bytes(2, "big")
    return b"".join(bytes([step]) + length + content for step in (1, 3, 4, 8))


def main():
    for target, sources in SOURCES.items():
        folder = Path(__file__).resolve().parent / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for file, member in sources:
            for name, content in evenly(rows(file, member), FILES_MAX // len(sources)):
                if target in ("envelope", "bundle") and content[:1] == b"\xd2":
                    content = content[1:]
                if target == "device_engine":
                    content = as_answers(content)
                (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
