"""The strict reader: one pass, first error in reading order wins."""

import math
import struct

ITEM_BYTES_MAX = 65536
DEPTH_MAX = 8


class Refused(Exception):
    """A reject, by its registered name."""


def ensure(condition, name):
    """Refuses with a name unless the condition holds."""
    if not condition:
        raise Refused(name)


class Reader:
    """Reads items of the profile from bytes."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        """Returns the next bytes."""
        ensure(count <= len(self.data) - self.at, "cbor-truncated")
        self.at += count
        return self.data[self.at - count:self.at]

    def argument(self, info):
        """Returns the argument of a head."""
        if info < 24:
            return info
        ensure(info != 31, "cbor-indefinite")
        ensure(info < 28, "cbor-reserved")
        size = 1 << (info - 24)
        value = int.from_bytes(self.take(size), "big")
        floor = 24 if size == 1 else 1 << (4 * size)
        ensure(value >= floor, "cbor-not-shortest")
        return value

    def item(self, depth=0):
        """Returns the next item."""
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            return self.special(info)
        if major == 6:
            raise Refused("cbor-tag")
        ensure(major < 4 or depth < DEPTH_MAX, "cbor-depth")
        value = self.argument(info)
        if major == 0:
            return value
        if major == 1:
            ensure(value < 1 << 63, "cbor-integer-range")
            return -1 - value
        if major == 2:
            return self.take(value)
        if major == 3:
            try:
                return self.take(value).decode("utf-8", "strict")
            except UnicodeDecodeError:
                raise Refused("cbor-utf8") from None
        ensure(value * (major - 3) <= len(self.data) - self.at, "cbor-truncated")
        return self.array(value, depth + 1) if major == 4 else self.map(value, depth + 1)

    def special(self, info):
        """Returns a simple value or a float."""
        if info in (20, 21, 22):
            return {20: False, 21: True, 22: None}[info]
        ensure(info != 31, "cbor-indefinite")
        ensure(info < 28, "cbor-reserved")
        if info not in (25, 26, 27):
            raise Refused("cbor-simple")
        size = 1 << (info - 24)
        raw = self.take(size)
        value = struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], raw)[0]
        ensure(math.isfinite(value), "cbor-float")
        for smaller, form in ((2, ">e"), (4, ">f")):
            if smaller < size and fits(value, form):
                raise Refused("cbor-float")
        return value

    def array(self, count, depth):
        """Returns an array."""
        items = []
        while len(items) < count:
            items.append(self.item(depth))
        return items

    def map(self, count, depth):
        """Returns a map."""
        pairs, previous = {}, None
        while len(pairs) < count:
            start = self.at
            ensure(start < len(self.data), "cbor-truncated")
            major = self.data[start] >> 5
            ensure(major not in (4, 5, 7), "cbor-map-key")
            key = self.item(depth)
            encoded = self.data[start:self.at]
            ensure(encoded != previous, "cbor-duplicate-key")
            ensure(previous is None or encoded > previous, "cbor-unsorted-key")
            previous = encoded
            pairs[key] = self.item(depth)
        return pairs

    @property
    def done(self):
        """Tells whether all bytes are read."""
        return self.at == len(self.data)


def fits(value, form):
    """Tells whether a float survives a smaller form."""
    try:
        return struct.unpack(form, struct.pack(form, value))[0] == value
    except OverflowError:
        return False


def read(data):
    """Returns the one item of the data."""
    reader = Reader(data)
    value = reader.item()
    ensure(reader.done, "cbor-trailing")
    return value


def check(data):
    """Checks one free-standing item."""
    ensure(len(data) <= ITEM_BYTES_MAX, "oversize")
    return read(data)


def head(major, value):
    """Returns the shortest head."""
    if value < 24:
        return bytes([major * 32 + value])
    size = next(size for size in (1, 2, 4, 8) if value < 256**size)
    return bytes([major * 32 + 23 + size.bit_length()]) + value.to_bytes(size, "big")


def write(value):
    """Returns the encoding of a value that the reader could have returned."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        form, mark = next((form, mark) for form, mark in ((">e", 0xF9), (">f", 0xFA), (">d", 0xFB)) if fits(value, form))
        return bytes([mark]) + struct.pack(form, value)
    if isinstance(value, (bytes, str)):
        raw = value.encode() if isinstance(value, str) else value
        return head(3 if isinstance(value, str) else 2, len(raw)) + raw
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join(write(item) for item in value)
    pairs = sorted((write(key), write(item)) for key, item in value.items())
    return head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
