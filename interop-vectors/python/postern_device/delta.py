"""A delta: what is set, removed and edited, and how that makes the next state.

Implements spec/postern.md#delta and spec/planes.md#edit.
"""

from dataclasses import dataclass, field

from . import cbor
from .limits import EDIT_RUNS_MAX, VALUE_BYTES_MAX
from .rejects import Reject, require
from .state import (
    Hash,
    bodies_of,
    check_conflicts,
    check_limits,
    check_pairs,
    check_path,
    plain_hash,
    root_digest,
    table_of,
)


@dataclass(frozen=True)
class Delta:
    """One change. `edits` maps a path to its runs of (skip, delete, insert)."""

    sets: dict
    removals: list[str] = field(default_factory=list)
    edits: dict[str, list] = field(default_factory=dict)

    @staticmethod
    def from_item(item) -> "Delta":
        """Checks the form, member by member in reading order."""
        require(cbor.is_array(item, 1, 3), "shape")
        sets = item[0]
        check_pairs(sets)
        if len(item) == 1:
            require(len(sets) > 0, "delta-empty")
            return Delta(sets)
        removals = item[1]
        _check_removals(removals, sets)
        if len(item) == 2:
            require(len(removals) > 0, "shape")
            return Delta(sets, removals)
        edits = item[2]
        _check_edits(edits)
        require(not any(path in sets or path in removals for path in edits), "delta-conflict")
        return Delta(sets, removals, edits)

    def to_payload(self) -> bytes:
        """Encodes it in the shortest of its forms."""
        members: list = [self.sets]
        if self.removals or self.edits:
            members.append(sorted(self.removals, key=cbor.encode))
        if self.edits:
            members.append(self.edits)
        return cbor.encode(members)

    def apply(self, base: dict, digest: bytes, hash_with: Hash = plain_hash, encrypted: bool = False) -> dict:
        """Makes the next state out of a copy of the base; `digest` is the one that the header signs."""
        state = dict(base)
        for path in self.removals:
            require(path in state, "delta-remove-absent")
            del state[path]
        for path, runs in self.edits.items():
            state[path] = _edit(state.get(path), runs)
        state.update(self.sets)
        check_conflicts(state)
        bodies = bodies_of(state)
        check_limits(bodies, encrypted)
        require(root_digest(table_of(bodies, hash_with), hash_with) == digest, "digest-mismatch")
        return state


def difference(base: dict, state: dict) -> Delta:
    """The delta that leads from one state to another; an equal one sets nothing."""
    changed = {
        path: value
        for path, value in state.items()
        if path not in base or cbor.encode(base[path]) != cbor.encode(value)
    }
    return Delta(changed, [path for path in base if path not in state])


def _check_removals(removals, sets: dict) -> None:
    require(isinstance(removals, list), "shape")
    before = b""
    for path in removals:
        check_path(path)
        encoded = cbor.encode(path)
        require(encoded > before, "delta-order")
        before = encoded
    require(not any(path in sets for path in removals), "delta-conflict")


def _check_edits(edits) -> None:
    require(isinstance(edits, dict) and len(edits) > 0, "shape")
    for path, runs in edits.items():
        check_path(path)
        require(isinstance(runs, list) and len(runs) > 0, "shape")
        require(len(runs) <= EDIT_RUNS_MAX, "edit-runs")
        for number, run in enumerate(runs):
            require(cbor.is_array(run, 3, 3), "shape")
            skip, delete, insert = run
            require(cbor.is_uint(skip) and cbor.is_uint(delete) and isinstance(insert, bytes), "shape")
            require(delete > 0 or len(insert) > 0, "edit-empty")
            require(skip > 0 or number == 0, "edit-empty")


def _edit(value, runs: list):
    require(isinstance(value, (str, bytes)), "edit-base")
    base = value.encode("utf-8") if isinstance(value, str) else value
    taken = sum(skip + delete for skip, delete, _ in runs)
    require(taken <= len(base), "edit-range")
    grown = sum(len(insert) - delete for _, delete, insert in runs)
    require(len(base) + grown <= VALUE_BYTES_MAX, "value-oversize")
    parts, at = [], 0
    for skip, delete, insert in runs:
        parts += [base[at : at + skip], insert]
        at += skip + delete
    after = b"".join(parts) + base[at:]
    if isinstance(value, bytes):
        return after
    try:
        return after.decode("utf-8")
    except UnicodeDecodeError:
        raise Reject("edit-utf8") from None
