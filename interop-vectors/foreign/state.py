"""Paths, values, digests, deltas and bodies."""

import re

from .cbor import Refused, ensure, read, write
from .crypto import sha256

SEGMENT = re.compile(r"[a-z0-9._-]+")
VALUE_BYTES_MAX = 32768
EDIT_RUNS_MAX = 256
SECTION_BYTES_MAX = 65536
SECTIONS_MAX = 512
STATE_BYTES_MAX = 1 << 20


def segment(text):
    """Tells whether a text is one path segment."""
    return SEGMENT.fullmatch(text) is not None and text not in (".", "..")


def check_path(path):
    """Checks one path."""
    ensure(len(path.encode()) <= 255 and all(segment(part) for part in path.split("/")), "path-invalid")


def check_value(value):
    """Checks one value."""
    if isinstance(value, (str, bytes)):
        ensure(len(value.encode() if isinstance(value, str) else value) <= VALUE_BYTES_MAX, "value-oversize")
    elif isinstance(value, list):
        shaped = [type(field) for field in value] == [bytes, int, str]
        ensure(shaped and len(value[0]) == 32 and value[1] >= 0 and 1 <= len(value[2].encode()) <= 127, "value-invalid")
    elif isinstance(value, dict):
        raise Refused("value-invalid")


def section_of(path):
    """Returns the section of a path."""
    return path.split("/")[0] if "/" in path else ""


def check_conflicts(paths):
    """Refuses a path that is an ancestor of another."""
    paths = set(paths)
    for path in paths:
        parts = path.split("/")
        for count in range(1, len(parts)):
            ensure("/".join(parts[:count]) not in paths, "path-conflict")


def digest(state):
    """Returns (root, sections) of a state after all checks."""
    for path, value in state.items():
        check_path(path)
        check_value(value)
    check_conflicts(state)
    sections = {}
    for path, value in state.items():
        sections.setdefault(section_of(path), {})[path] = value
    bodies = {name: write(body) for name, body in sections.items()}
    ensure(all(len(body) <= SECTION_BYTES_MAX for body in bodies.values()), "section-oversize")
    ensure(len(bodies) <= SECTIONS_MAX and sum(map(len, bodies.values())) <= STATE_BYTES_MAX, "state-oversize")
    table = {name: sha256(body) for name, body in bodies.items()}
    return root(table), table


def root(table):
    """Returns the root digest of a section table."""
    return sha256(write(["postern-state", table]))


def decode_delta(payload):
    """Returns (sets, removals, edits) of a delta payload."""
    items = read(payload)
    ensure(isinstance(items, list) and len(items) in (1, 2, 3) and isinstance(items[0], dict), "shape")
    ensure(all(isinstance(path, str) for path in items[0]), "shape")
    removals, edits = (items[1:] + [[], {}])[:2] if len(items) < 3 else items[1:]
    if len(items) > 1:
        ensure(isinstance(removals, list) and all(isinstance(path, str) for path in removals), "shape")
        ensure(removals or len(items) == 3, "shape")
    for path, value in items[0].items():
        check_path(path)
        check_value(value)
    for path in removals:
        check_path(path)
    ensure(items[0] or removals or len(items) == 3, "delta-empty")
    encoded = [write(path) for path in removals]
    ensure(all(a < b for a, b in zip(encoded, encoded[1:])), "delta-order")
    ensure(not set(removals) & set(items[0]), "delta-conflict")
    if len(items) == 3:
        check_edits(edits)
        ensure(not set(edits) & (set(items[0]) | set(removals)), "delta-conflict")
    return items[0], removals, edits if len(items) == 3 else {}


def check_edits(edits):
    """Checks the form of edits."""
    ensure(isinstance(edits, dict) and edits and all(isinstance(path, str) for path in edits), "shape")
    for path, runs in edits.items():
        check_path(path)
        ensure(isinstance(runs, list) and runs, "shape")
        ensure(len(runs) <= EDIT_RUNS_MAX, "edit-runs")
        for place, run in enumerate(runs):
            ensure(isinstance(run, list) and [type(field) for field in run] == [int, int, bytes] and min(run[:2]) >= 0, "shape")
            ensure((run[1] or run[2]) and (run[0] or not place), "edit-empty")


def edited(base, runs):
    """Returns a value after an edit."""
    ensure(isinstance(base, (str, bytes)), "edit-base")
    old = base.encode() if isinstance(base, str) else base
    at, parts = 0, []
    for skip, delete, insert in runs:
        ensure(at + skip + delete <= len(old), "edit-range")
        parts += [old[at:at + skip], insert]
        at += skip + delete
    new = b"".join(parts) + old[at:]
    ensure(len(new) <= VALUE_BYTES_MAX, "value-oversize")
    if isinstance(base, bytes):
        return new
    try:
        return new.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Refused("edit-utf8") from None


def apply(state, payload, expected):
    """Returns the state after a delta."""
    sets, removals, edits = decode_delta(payload)
    after = dict(state)
    for path in removals:
        ensure(path in after, "delta-remove-absent")
        del after[path]
    for path, runs in edits.items():
        after[path] = edited(after.get(path), runs)
    after.update(sets)
    found, _ = digest(after)
    ensure(found == expected, "digest-mismatch")
    return after


def check_body(section, expected, body):
    """Checks a fetched body."""
    ensure(sha256(body) == expected, "body-mismatch")
    ensure(len(body) <= SECTION_BYTES_MAX, "section-oversize")
    paths = read(body)
    ensure(isinstance(paths, dict) and paths and all(isinstance(path, str) for path in paths), "shape")
    for path, value in paths.items():
        check_path(path)
        check_value(value)
        ensure(section_of(path) == section, "body-mismatch")
    check_conflicts(paths)
