"""A snapshot: the table of section digests, and the lineage of earlier epochs.

Implements spec/postern.md#snapshot and #lineage, and spec/encryption.md#encrypted-snapshot.
"""

from dataclasses import dataclass

from . import cbor
from .kinds import Position
from .limits import LINEAGE_MAX, SECTIONS_MAX
from .rejects import require
from .state import is_segment, root_digest

__all__ = ["Snapshot", "check_table", "is_stored_table", "root_digest", "covers"]


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot says. Rows of an encrypted table are [keyed digest, stored digest]."""

    table: dict
    lineage: list
    key_generation: int | None = None

    @staticmethod
    def from_item(item, position: Position) -> "Snapshot":
        """Checks the form, and the root digest where no key is needed for it."""
        require(cbor.is_array(item, 2, 3), "shape")
        table, lineage = item[:2]
        check_table(table)
        _check_lineage(lineage, position.epoch)
        if len(item) == 2:
            require(not is_stored_table(table), "shape")
            require(root_digest(table) == position.digest, "digest-mismatch")
            return Snapshot(table, lineage)
        require(cbor.is_uint(item[2], 1), "shape")
        require(is_stored_table(table) or not table, "shape")
        return Snapshot(table, lineage, item[2])

    def to_payload(self) -> bytes:
        """Encodes it."""
        tail = [] if self.key_generation is None else [self.key_generation]
        return cbor.encode([self.table, self.lineage, *tail])


def check_table(table) -> None:
    """Refuses what is no table of sections; all rows have one form."""
    require(isinstance(table, dict), "shape")
    require(len(table) <= SECTIONS_MAX, "state-oversize")
    for section, row in table.items():
        require(isinstance(section, str), "shape")
        require(section == "" or is_segment(section), "section-invalid")
        if isinstance(row, list):
            require(len(row) == 2 and all(cbor.is_bytes(digest, 32) for digest in row), "shape")
        else:
            require(cbor.is_bytes(row, 32), "shape")
    require(len({type(row) for row in table.values()}) <= 1, "shape")


def is_stored_table(table: dict) -> bool:
    """Tells whether the rows name stored, that is encrypted, bodies."""
    return any(isinstance(row, list) for row in table.values())


def covers(lineage: list, epoch: int, seq: int, digest: bytes) -> bool:
    """Tells whether a writer with this lineage knows the head."""
    return any(entry[0] == epoch and (entry[1] > seq or (entry[1] == seq and entry[2] == digest)) for entry in lineage)


def _check_lineage(lineage, own_epoch: int) -> None:
    require(isinstance(lineage, list), "shape")
    require(len(lineage) <= LINEAGE_MAX, "lineage-invalid")
    before = 0
    for entry in lineage:
        require(cbor.is_array(entry, 3, 3) and cbor.is_bytes(entry[2], 32), "shape")
        require(cbor.is_uint(entry[0]) and cbor.is_uint(entry[1]), "shape")
        require(before < entry[0] < own_epoch and entry[1] >= 1, "lineage-invalid")
        before = entry[0]
