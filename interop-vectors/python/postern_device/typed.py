"""Values of a state as JSON, which cannot tell types apart that Postern does.

Source: interop-vectors/README.md#values-of-a-state.
"""

import struct

from .rejects import Reject


def from_typed(value):
    """Reads one typed value; what is none is refused as the value that it would be."""
    if not isinstance(value, dict):
        if isinstance(value, (list, float)):
            raise Reject("value-invalid")
        return value
    if set(value) == {"int"}:
        return int(value["int"])
    if set(value) == {"float"}:
        return struct.unpack(">d", bytes.fromhex(value["float"]))[0]
    if set(value) == {"bytes"}:
        return bytes.fromhex(value["bytes"])
    if set(value) == {"reference"}:
        reference = value["reference"]
        return [bytes.fromhex(reference["digest"]), from_typed(reference["size"]), reference["media_type"]]
    raise Reject("value-invalid")


def to_typed(value):
    """Writes one typed value."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= 2**53 else {"int": str(value)}
    if isinstance(value, float):
        return {"float": struct.pack(">d", value).hex()}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return {"reference": {"digest": value[0].hex(), "size": to_typed(value[1]), "media_type": value[2]}}
