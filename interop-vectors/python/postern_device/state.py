"""A state: a flat map from path to value, cut into sections, with one digest.

A state is a dict here. `hash_with` is SHA-256 of a readable plane and a keyed HMAC of an encrypted one; only an
encrypted state counts its sections' overhead.

Implements spec/postern.md#state, #paths, #values and #digest, the body rules of #snapshot, and the limits of
spec/encryption.md#encrypted-snapshot.
"""

import hashlib
import hmac
import math
import re
from collections.abc import Callable

from . import cbor
from .limits import (
    ENCRYPTED_OVERHEAD_BYTES_MAX,
    ENCRYPTED_SECTION_BYTES_MAX,
    MEDIA_TYPE_BYTES_MAX,
    PATH_BYTES_MAX,
    SECTION_BYTES_MAX,
    SECTIONS_MAX,
    STATE_BYTES_MAX,
    U64_MAX,
    VALUE_BYTES_MAX,
)
from .rejects import require

Hash = Callable[[bytes], bytes]

_SEGMENT = re.compile(r"[a-z0-9._-]+")


def plain_hash(data: bytes) -> bytes:
    """The digest of a readable plane."""
    return hashlib.sha256(data).digest()


def keyed_hash(digest_key: bytes) -> Hash:
    """The digest of an encrypted plane."""
    return lambda data: hmac.digest(digest_key, data, "sha256")


def is_segment(text: str) -> bool:
    """Tells whether a text is one segment of a path."""
    return _SEGMENT.fullmatch(text) is not None and text not in (".", "..")


def check_path(path) -> None:
    """Refuses what is no path."""
    require(isinstance(path, str), "shape")
    require(len(path.encode("utf-8")) <= PATH_BYTES_MAX, "path-invalid")
    require(all(is_segment(segment) for segment in path.split("/")), "path-invalid")


def check_value(value) -> None:
    """Refuses what is neither a scalar nor a reference."""
    if isinstance(value, str):
        require(len(value.encode("utf-8")) <= VALUE_BYTES_MAX, "value-oversize")
    elif isinstance(value, bytes):
        require(len(value) <= VALUE_BYTES_MAX, "value-oversize")
    elif isinstance(value, list):
        require(len(value) == 3 and cbor.is_bytes(value[0], 32) and cbor.is_uint(value[1]), "value-invalid")
        media_type = value[2]
        require(isinstance(media_type, str), "value-invalid")
        require(1 <= len(media_type.encode("utf-8")) <= MEDIA_TYPE_BYTES_MAX, "value-invalid")
    else:
        require(not isinstance(value, dict), "value-invalid")
        require(type(value) is not int or -(2**63) <= value <= U64_MAX, "value-invalid")
        require(not isinstance(value, float) or math.isfinite(value), "value-invalid")


def check_pairs(pairs) -> None:
    """Refuses a map that is not one of paths and values, pair by pair."""
    require(isinstance(pairs, dict), "shape")
    for path, value in pairs.items():
        check_path(path)
        check_value(value)


def check_conflicts(state: dict) -> None:
    """Refuses a path that is an ancestor of another."""
    for path in state:
        segments = path.split("/")
        for length in range(1, len(segments)):
            require("/".join(segments[:length]) not in state, "path-conflict")


def section_of(path: str) -> str:
    """The text before the first slash, and the empty text when there is none."""
    head, slash, _ = path.partition("/")
    return head if slash else ""


def bodies_of(state: dict) -> dict[str, bytes]:
    """Cuts a state into the bodies of its sections."""
    sections: dict[str, dict] = {}
    for path, value in state.items():
        sections.setdefault(section_of(path), {})[path] = value
    return {section: cbor.encode(pairs) for section, pairs in sections.items()}


def check_limits(bodies: dict[str, bytes], encrypted: bool = False) -> None:
    """Refuses bodies, then a state, beyond the limits."""
    overhead = ENCRYPTED_OVERHEAD_BYTES_MAX if encrypted else 0
    body_max = ENCRYPTED_SECTION_BYTES_MAX if encrypted else SECTION_BYTES_MAX
    require(all(len(body) <= body_max for body in bodies.values()), "section-oversize")
    require(len(bodies) <= SECTIONS_MAX, "state-oversize")
    require(sum(len(body) + overhead for body in bodies.values()) <= STATE_BYTES_MAX, "state-oversize")


def check_state(state: dict, encrypted: bool = False) -> dict[str, bytes]:
    """Checks a whole state and gives its bodies."""
    check_pairs(state)
    check_conflicts(state)
    bodies = bodies_of(state)
    check_limits(bodies, encrypted)
    return bodies


def table_of(bodies: dict[str, bytes], hash_with: Hash = plain_hash) -> dict[str, bytes]:
    """The digest of each section's body."""
    return {section: hash_with(body) for section, body in bodies.items()}


def root_digest(table: dict[str, bytes], hash_with: Hash = plain_hash) -> bytes:
    """The digest of a state, from its table of body digests."""
    return hash_with(cbor.encode(["postern-state", table]))


def digest_of(state: dict, hash_with: Hash = plain_hash) -> bytes:
    """The digest of a state that is known to be valid."""
    return root_digest(table_of(bodies_of(state), hash_with), hash_with)


def read_body(section: str, digest: bytes, body: bytes, hash_with: Hash = plain_hash) -> dict:
    """Checks a complete body against its row of the table and gives its paths and values."""
    require(len(body) <= SECTION_BYTES_MAX, "section-oversize")
    require(hmac.compare_digest(hash_with(body), digest), "body-mismatch")
    pairs = cbor.decode(body)
    require(isinstance(pairs, dict) and len(pairs) > 0, "shape")
    check_pairs(pairs)
    require(all(section_of(path) == section for path in pairs), "body-mismatch")
    check_conflicts(pairs)
    return pairs
