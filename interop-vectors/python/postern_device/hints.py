"""The hints of an answer.

Implements spec/postern.md#answer and the hints of spec/relays.md#deliver.
"""

from . import cbor
from .forms import check_plane, check_want
from .limits import FETCH_DIGESTS_MAX, SNAPSHOTS_WANTED_MAX, URL_BYTES_MAX
from .rejects import require

RETRY_MS, HOLD_S_MAX, MOVE, REFUSED, WANTED, NEED, SNAPSHOTS_WANTED, BODIES_WANTED = 1, 2, 3, 4, 5, 6, 7, 8


def read_hints(item: dict) -> dict:
    """Checks all hints; values stay as decoded."""
    require(len(item) > 0, "shape")
    for key, value in item.items():
        require(cbor.is_uint(key, 1, 8), "shape")
        _CHECKS[key](value)
    return item


def _check_uint(value) -> None:
    require(cbor.is_uint(value), "shape")


def _check_move(value) -> None:
    require(isinstance(value, str) and 1 <= len(value.encode("utf-8")) <= URL_BYTES_MAX, "shape")


def _check_refused(value) -> None:
    require(isinstance(value, list) and value, "shape")
    for entry in value:
        require(cbor.is_array(entry, 2, 2), "shape")
        require(cbor.is_uint(entry[0]) and cbor.is_uint(entry[1], 1, 65535), "shape")


def _check_wanted(value) -> None:
    require(cbor.is_array(value, 1, FETCH_DIGESTS_MAX), "shape")
    for want in value:
        check_want(want)


def _check_need(value) -> None:
    require(isinstance(value, list) and value, "shape")
    for plane in value:
        check_plane(plane)
    require(value in ([0], [1], [0, 1]), "shape")


def _check_snapshots_wanted(value) -> None:
    require(cbor.is_array(value, 1, SNAPSHOTS_WANTED_MAX), "shape")
    before = None
    for place in value:
        require(cbor.is_array(place, 2, 2) and cbor.is_bytes(place[0], 16), "shape")
        check_plane(place[1])
        require(before is None or (place[0], place[1]) > before, "shape")
        before = (place[0], place[1])


def _check_bodies_wanted(value) -> None:
    require(cbor.is_array(value, 1, FETCH_DIGESTS_MAX), "shape")
    for body in value:
        require(cbor.is_array(body, 4, 4) and cbor.is_bytes(body[0], 16), "shape")
        check_plane(body[1])
        check_want(body[2:])


_CHECKS = {
    RETRY_MS: _check_uint,
    HOLD_S_MAX: _check_uint,
    MOVE: _check_move,
    REFUSED: _check_refused,
    WANTED: _check_wanted,
    NEED: _check_need,
    SNAPSHOTS_WANTED: _check_snapshots_wanted,
    BODIES_WANTED: _check_bodies_wanted,
}
