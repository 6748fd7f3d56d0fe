"""Deterministic CBOR: a strict reader and a writer, both of our own.

The strictness is the point: a general reader accepts long forms, repeated keys and indefinite lengths, and
then two readers can be shown two things under one signature. `read_item` works through the bytes once and
reports the first error in reading order. Arrays become lists, maps dicts, null None.

Implements spec/postern.md#cbor-profile.
"""

import math
import struct

from .limits import CBOR_DEPTH_MAX, CBOR_ITEM_BYTES_MAX, U64_MAX
from .rejects import Reject, require


def decode(data: bytes):
    """Reads exactly one free-standing item."""
    require(len(data) <= CBOR_ITEM_BYTES_MAX, "oversize")
    item, end = read_item(data, 0)
    require(end == len(data), "cbor-trailing")
    return item


def read_item(data: bytes, at: int, depth: int = 0):
    """Reads the item at `at` and tells where it ends; `depth` counts the containers around it."""
    require(at < len(data), "cbor-truncated")
    _check_first_byte(data[at], depth)
    major, info, argument, at = _read_head(data, at)
    if major == 0:
        return argument, at
    if major == 1:
        require(argument < 2**63, "cbor-integer-range")
        return -1 - argument, at
    if major in (2, 3):
        return _read_string(data, at, major, argument)
    if major in (4, 5):
        require(argument * (major - 3) <= len(data) - at, "cbor-truncated")
        return (_read_array if major == 4 else _read_map)(data, at, argument, depth + 1)
    return _simple_or_float(info, argument), at


def _check_first_byte(first: int, depth: int) -> None:
    """Refuses what is wrong whatever its head says further."""
    major, info = first >> 5, first & 31
    require(major != 6, "cbor-tag")
    require(major not in (4, 5) or depth < CBOR_DEPTH_MAX, "cbor-depth")
    require(major != 7 or info > 24 or info in (20, 21, 22), "cbor-simple")


def _read_head(data: bytes, at: int):
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info < 24:
        return major, info, info, at
    require(info != 31, "cbor-indefinite")
    require(info < 28, "cbor-reserved")
    size = 1 << (info - 24)
    require(at + size <= len(data), "cbor-truncated")
    argument = int.from_bytes(data[at : at + size], "big")
    if major != 7:
        require(argument >= (24 if size == 1 else 1 << (4 * size)), "cbor-not-shortest")
    return major, info, argument, at + size


def _read_string(data: bytes, at: int, major: int, length: int):
    require(length <= len(data) - at, "cbor-truncated")
    raw = data[at : at + length]
    if major == 2:
        return raw, at + length
    try:
        return raw.decode("utf-8"), at + length
    except UnicodeDecodeError:
        raise Reject("cbor-utf8") from None


def _read_array(data: bytes, at: int, length: int, depth: int):
    items = []
    for _ in range(length):  # grows item by item: a length alone reserves nothing
        item, at = read_item(data, at, depth)
        items.append(item)
    return items, at


def _read_map(data: bytes, at: int, length: int, depth: int):
    pairs = {}
    before = b""
    for _ in range(length):
        start = at
        require(start < len(data), "cbor-truncated")
        require(data[start] >> 5 in (0, 1, 2, 3, 6), "cbor-map-key")
        key, at = read_item(data, at, depth)
        encoded = data[start:at]
        require(encoded != before, "cbor-duplicate-key")
        require(encoded > before, "cbor-unsorted-key")
        before = encoded
        pairs[key], at = read_item(data, at, depth)
    return pairs, at


def _simple_or_float(info: int, argument: int):
    if info in (20, 21, 22):
        return {20: False, 21: True, 22: None}[info]
    size = 1 << (info - 24)
    raw = argument.to_bytes(size, "big")
    number = struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], raw)[0]
    require(math.isfinite(number), "cbor-float")
    require(_float_bytes(number) == raw, "cbor-float")
    return number


def _float_bytes(number: float) -> bytes:
    for form in (">e", ">f"):
        try:
            raw = struct.pack(form, number)
        except OverflowError:
            continue
        if struct.unpack(form, raw)[0] == number:
            return raw
    return struct.pack(">d", number)


def encode(item) -> bytes:
    """Writes one item in the only form that `decode` accepts."""
    if item is None or isinstance(item, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[item]
    if isinstance(item, int):
        return _head(0, item) if item >= 0 else _head(1, -1 - item)
    if isinstance(item, float):
        raw = _float_bytes(item)
        return bytes([{2: 0xF9, 4: 0xFA, 8: 0xFB}[len(raw)]]) + raw
    if isinstance(item, bytes):
        return _head(2, len(item)) + item
    if isinstance(item, str):
        raw = item.encode("utf-8")
        return _head(3, len(raw)) + raw
    if isinstance(item, list):
        return _head(4, len(item)) + b"".join(encode(member) for member in item)
    pairs = sorted((encode(key), encode(value)) for key, value in item.items())
    return _head(5, len(pairs)) + b"".join(key + value for key, value in pairs)


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise OverflowError("an integer beyond 64 bits")


def is_uint(item, low: int = 0, high: int = U64_MAX) -> bool:
    """Tells whether an item is an unsigned integer within the bounds; true and 1.0 are none."""
    return type(item) is int and low <= item <= high


def is_bytes(item, length: int) -> bool:
    """Tells whether an item is a byte string of exactly this length."""
    return isinstance(item, bytes) and len(item) == length


def is_array(item, low: int, high: int) -> bool:
    """Tells whether an item is an array with this many members."""
    return isinstance(item, list) and low <= len(item) <= high
