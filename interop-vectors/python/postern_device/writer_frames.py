"""The frames of writer sessions, which a device never sends: only their forms, for the vectors.

Implements spec/relays.md#writer-sessions, #collect, #deliver and #knocks.
"""

from . import cbor
from .forms import Items, check_chunk, check_envelope, check_plane, read_counter, read_wants
from .hints import read_hints
from .limits import HOLD_S_MAX
from .rejects import require


def _read_collect(items: Items):
    counter, hold_s = read_counter(items), items.uint()
    require(hold_s <= HOLD_S_MAX, "hold-range")
    store, cursor = items.uint(), items.uint()
    require(store >= 1 or cursor == 0, "shape")
    return [counter, hold_s, store, cursor]


def _check_address(channel, plane) -> None:
    require(channel is None or cbor.is_bytes(channel, 16), "shape")
    check_plane(plane, may_be_null=True)
    require(channel is not None or plane is None, "shape")


def _read_collected(items: Items):
    counter, first = read_counter(items), items.next()
    if isinstance(first, dict):
        read_hints(first)
        first = items.next()
    require(cbor.is_uint(first, 1), "shape")
    entries, before = [], 0
    for entry in items.rest():
        require(isinstance(entry, list) and len(entry) in (3, 4) and cbor.is_uint(entry[0]), "shape")
        require(entry[0] > before, "shape")
        before = entry[0]
        if len(entry) == 3:
            require(cbor.is_uint(entry[1]) and isinstance(entry[2], bytes), "shape")
        else:
            _check_address(entry[1], entry[2])
            check_envelope(entry[3])
        entries.append(entry)
    return [counter, first, entries]


def _read_deliver(items: Items):
    counter = read_counter(items)
    require(items.more(), "shape")
    letters = []
    for letter in items.rest():
        require(cbor.is_array(letter, 3, 3), "shape")
        _check_address(letter[0], letter[1])
        check_envelope(letter[2])
        letters.append(letter)
    return [counter, letters]


def _read_deliver_bodies(items: Items):
    head = [read_counter(items), items.byte_string(16), check_plane(items.next())]
    require(items.more(), "shape")
    return [*head, [check_chunk(chunk) for chunk in items.rest()]]


def _read_fetch_bodies(items: Items):
    return [read_counter(items), items.byte_string(16), check_plane(items.next()), read_wants(items)]


def _read_deliver_enrolled(items: Items):
    counter, knock, frame = read_counter(items), items.uint(), items.next()
    require(isinstance(frame, bytes), "shape")
    return [counter, knock, frame]


READERS = {
    7: _read_collect,
    8: _read_collected,
    9: _read_deliver,
    10: _read_deliver_bodies,
    11: _read_fetch_bodies,
    12: _read_deliver_enrolled,
}
