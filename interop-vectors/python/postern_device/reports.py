"""A report: what a device received, accepted and applied, and lists of what happened on the way.

Implements spec/postern.md#report.
"""

from dataclasses import dataclass, field

from . import cbor
from .encryption import Encrypt0
from .limits import REPORT_LIST_MAX, RESULT_OUTPUT_BYTES_MAX, ROTATION_BYTES_MAX
from .rejects import require
from .state import check_path

Head = tuple[int, int]

REJECTS, RESULTS, SUPERSEDED, LOST, INTENTS, ROTATION, LEAVING = 1, 2, 3, 4, 5, 6, 7


@dataclass(frozen=True)
class Report:
    """Three cursors as (epoch, seq), and lists by their number, or what encrypts them."""

    received: Head
    accepted: Head
    applied: Head
    lists: dict | Encrypt0 = field(default_factory=dict)

    @staticmethod
    def from_item(item, digest: bytes) -> "Report":
        """Checks the form, the cursors and the lists; `digest` is the one of the header."""
        require(isinstance(item, list) and len(item) in (2, 3, 6, 7), "shape")
        cursors = item[:2] if len(item) < 6 else item[:6]
        require(all(cbor.is_uint(number) for number in cursors), "shape")
        heads = [(cursors[at], cursors[at + 1]) for at in range(0, len(cursors), 2)]
        received, accepted, applied = heads if len(heads) == 3 else heads * 3
        require(len(heads) == 1 or not received == accepted == applied, "shape")
        require(received >= accepted >= applied, "report-cursors")
        lists = read_lists(item[-1]) if len(item) in (3, 7) else {}
        require(len(digest) == (0 if applied == (0, 0) else 32), "digest-length")
        return Report(received, accepted, applied, lists)

    def to_payload(self) -> bytes:
        """Encodes it in the form that its cursors demand."""
        heads = [self.received, self.accepted, self.applied]
        members: list = list(heads[0]) if len(set(heads)) == 1 else [number for head in heads for number in head]
        if isinstance(self.lists, Encrypt0):
            members.append(self.lists.to_item())
        elif self.lists:
            members.append(self.lists)
        return cbor.encode(members)


def read_lists(item):
    """Reads the lists of a report, readable or encrypted."""
    if isinstance(item, list):
        return Encrypt0.from_item(item)
    require(isinstance(item, dict) and len(item) > 0, "shape")
    for number, entries in item.items():
        require(cbor.is_uint(number, 1, 7), "shape")
        _CHECKS[number](entries)
    return item


def _entries(entries) -> list:
    require(isinstance(entries, list) and len(entries) > 0, "shape")
    require(len(entries) <= REPORT_LIST_MAX, "report-list-oversize")
    return entries


def _check_rejects(entries) -> None:
    for entry in _entries(entries):
        require(cbor.is_array(entry, 4, 4) and all(cbor.is_uint(number) for number in entry), "shape")


def _check_end(status, output) -> None:
    require(type(status) is int and isinstance(output, str), "shape")
    require(len(output.encode("utf-8")) <= RESULT_OUTPUT_BYTES_MAX, "report-list-oversize")


def _check_results(entries) -> None:
    for entry in _entries(entries):
        require(cbor.is_array(entry, 4, 4) and cbor.is_uint(entry[0]) and cbor.is_uint(entry[1]), "shape")
        _check_end(entry[2], entry[3])


def _check_superseded(entries) -> None:
    for entry in _entries(entries):
        require(cbor.is_array(entry, 3, 3) and all(cbor.is_uint(number) for number in entry), "shape")
        require(entry[1] <= entry[2], "shape")


def _check_lost(entries) -> None:
    before = 0
    for entry in _entries(entries):
        require(cbor.is_array(entry, 2, 2), "shape")
        require(cbor.is_uint(entry[0]) and entry[0] in (1, 2, 3, 5) and cbor.is_uint(entry[1], 1), "shape")
        require(entry[0] > before, "shape")
        before = entry[0]


def _check_intents(entries) -> None:
    for entry in _entries(entries):
        require(cbor.is_array(entry, 3, 4), "shape")
        check_path(entry[0])
        require(cbor.is_uint(entry[1]) and cbor.is_uint(entry[2], 0, 7), "shape")
        require((len(entry) == 4) == (entry[2] == 5), "shape")
        if len(entry) == 4:
            require(cbor.is_array(entry[3], 2, 2), "shape")
            _check_end(*entry[3])


def _check_rotation(request) -> None:
    require(isinstance(request, bytes) and len(request) > 0, "shape")
    require(len(request) <= ROTATION_BYTES_MAX, "report-list-oversize")


def _check_leaving(leaving) -> None:
    require(leaving is True, "shape")


_CHECKS = {
    REJECTS: _check_rejects,
    RESULTS: _check_results,
    SUPERSEDED: _check_superseded,
    LOST: _check_lost,
    INTENTS: _check_intents,
    ROTATION: _check_rotation,
    LEAVING: _check_leaving,
}
