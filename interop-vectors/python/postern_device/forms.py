"""The forms that stand in several frames: a CBOR sequence, heads, planes, envelopes, chunks.

Implements parts of spec/postern.md#frames, #fetch and #bodies.
"""

from . import cbor
from .limits import BODY_CHUNK_BYTES_MAX, COUNTER_MAX, FETCH_DIGESTS_MAX, SECTION_BYTES_MAX
from .rejects import require


class Items:
    """Reads a CBOR sequence item by item."""

    def __init__(self, data: bytes, at: int = 0):
        self._data = data
        self.at = at

    def more(self) -> bool:
        """Tells whether an item is left."""
        return self.at < len(self._data)

    def is_array(self) -> bool:
        """Tells whether the next item begins as an array."""
        return self.more() and self._data[self.at] >> 5 == 4

    def next(self):
        """Reads the next item; a missing one is `cbor-truncated`."""
        item, self.at = cbor.read_item(self._data, self.at)
        return item

    def rest(self):
        """Reads what is left."""
        while self.more():
            yield self.next()

    def uint(self) -> int:
        """Reads an unsigned integer."""
        item = self.next()
        require(cbor.is_uint(item), "shape")
        return item

    def byte_string(self, length: int) -> bytes:
        """Reads a byte string of this length."""
        item = self.next()
        require(cbor.is_bytes(item, length), "shape")
        return item

    def skip_tag_18(self) -> bool:
        """Steps over tag 18, which a posted envelope has and nothing else may have."""
        tagged = self.more() and self._data[self.at] == 0xD2
        self.at += tagged
        return tagged

    def end(self) -> None:
        """Refuses what stands behind the last item."""
        require(not self.more(), "cbor-trailing")


def check_counter(body: bytes) -> int | None:
    """Judges a counter before the rest of the body is read; what is none is judged with the rest."""
    return read_counter(Items(body)) if body and body[0] >> 5 == 0 else None


def read_counter(items: Items) -> int:
    """Reads the counter of a session frame."""
    counter = items.uint()
    require(1 <= counter <= COUNTER_MAX, "counter-exhausted")
    return counter


def check_head(epoch, seq) -> list[int]:
    """Refuses a head with only one of epoch and seq 0."""
    require(cbor.is_uint(epoch) and cbor.is_uint(seq), "shape")
    require((epoch == 0) == (seq == 0), "shape")
    return [epoch, seq]


def check_plane(item, may_be_null: bool = False):
    """Refuses what is no plane."""
    require((may_be_null and item is None) or cbor.is_uint(item, 0, 1), "shape")
    return item


def check_envelope(item) -> bytes:
    """Refuses what has not the outer form of an envelope, and gives its bytes.

    They are the received ones: what the strict reader accepts has one encoding only. Its size is judged with the
    envelope, so that one above its limit spoils no other of the frame.
    """
    require(cbor.is_array(item, 4, 4), "shape")
    protected, unprotected, payload, signature = item
    require(isinstance(protected, bytes) and isinstance(unprotected, dict), "shape")
    require(isinstance(payload, bytes) and isinstance(signature, bytes), "shape")
    return cbor.encode(item)


def check_want(item) -> tuple[bytes, int]:
    """Refuses what is not [digest, offset]."""
    require(cbor.is_array(item, 2, 2) and cbor.is_bytes(item[0], 32) and cbor.is_uint(item[1]), "shape")
    return item[0], item[1]


def read_wants(items: Items) -> list[tuple[bytes, int]]:
    """Reads what a fetch asks for, up to the end: at least one body, at most so many."""
    wants = []
    for want in items.rest():
        require(len(wants) < FETCH_DIGESTS_MAX, "shape")
        wants.append(check_want(want))
    require(wants, "shape")
    return wants


def check_chunk(item) -> tuple[bytes, int, int, bytes]:
    """Refuses what is no chunk: digest, size of the body, offset, bytes."""
    require(cbor.is_array(item, 4, 4) and cbor.is_bytes(item[0], 32), "shape")
    digest, size, offset, data = item
    require(cbor.is_uint(size) and cbor.is_uint(offset) and isinstance(data, bytes), "shape")
    require(size <= SECTION_BYTES_MAX, "section-oversize")
    require(1 <= len(data) <= BODY_CHUNK_BYTES_MAX and offset + len(data) <= size, "shape")
    return digest, size, offset, data
