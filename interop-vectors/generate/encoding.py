"""Deterministic CBOR (RFC 8949 4.2.1) for honest messages, and raw pieces for dishonest ones.

`cbor2` writes the scalars. Maps are ordered here: its canonical mode sorts keys by length
first (the older rule of RFC 7049), which differs as soon as integers and texts are mixed.
"""

import math

import cbor2


class Raw(bytes):
    """Bytes that are already an encoding, inserted untouched."""


def head(major, value):
    """Returns the shortest head of a major type."""
    if value < 24:
        return bytes([major << 5 | value])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << (8 * size):
            return bytes([major << 5 | info]) + value.to_bytes(size, "big")
    raise ValueError("beyond 64 bits")


def encode(value):
    """Returns the deterministic encoding of a value made of plain Python objects."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, dict):
        pairs = sorted((encode(key), encode(item)) for key, item in value.items())
        return head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join(encode(item) for item in value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not in the profile")
    return cbor2.dumps(value, canonical=True)


def sequence(*items):
    """Returns the encodings of items, one after the other."""
    return b"".join(encode(item) for item in items)


def self_test():
    """Checks the order of keys and the round trip through `cbor2`."""
    mixed = {"b": 1, "aa": 2, 100: 3, -1: 4, b"": 5, 1: 6, "": 7, -65537: 8}
    order = ["01", "1864", "20", "3a00010000", "40", "60", "6162", "626161"]
    keys = [encode(key).hex() for key in sorted(mixed, key=encode)]
    assert keys == order, keys
    assert list(cbor2.loads(encode(mixed))) == sorted(mixed, key=encode)
    assert encode({1: -19, 4: b"12345678", -65537: []}).hex().startswith("a3013204")
    for value in (0.0, -0.0, 1.5, 0.1, 1e300, 5e-324, 65504.0, 2.0**-24, 2.0**-149):
        assert repr(cbor2.loads(encode(value))) == repr(value)
    for value in (0, 23, 24, 255, 256, 65535, 65536, 2**32, 2**64 - 1, -1, -24, -25, -(2**63)):
        assert cbor2.loads(encode(value)) == value
