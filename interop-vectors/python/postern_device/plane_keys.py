"""Reading with plane keys: which of two plane-keys counts, and opening payloads and bodies.

Implements spec/encryption.md#plane-key, #encrypted-snapshot and #switching-on, the reader's part.
"""

import hmac

from . import cbor, encryption
from .encryption import Encrypt0, PlaneKeyPlace, PlaneKeys
from .rejects import require
from .state import keyed_hash

NEW, AGAIN, KNOWN = "new", "again", "known"


def compare(held: tuple[PlaneKeyPlace, bytes] | None, place: PlaneKeyPlace, digest: bytes) -> str:
    """Orders a plane-key after the one held, each with the digest of its payload."""
    if held is None:
        return NEW
    held_place, held_digest = held
    if digest == held_digest and place.generation == held_place.generation:
        return AGAIN if place.order > held_place.order else KNOWN
    require(place.order >= held_place.order, "plane-key-stale")
    require(place.order > held_place.order, "equivocation")
    return NEW


def open_payload(keys: PlaneKeys | None, place, plane: int, position, payload: bytes) -> bytes:
    """Gives the readable payload of a delta."""
    item = cbor.decode(payload)
    is_encrypted = isinstance(item, list) and bool(item) and isinstance(item[0], bytes)
    if not is_encrypted:
        require(keys is None, "not-encrypted")
        return payload
    sealed = Encrypt0.from_item(item)
    require(keys is not None, "plane-key-missing")
    key = keys.find(sealed.generation).of(plane)
    return sealed.open(key, encryption.aad_of_payload(place, plane, position))


def open_body(keys: PlaneKeys | None, place, plane: int, section: str, digest: bytes, stored: bytes) -> bytes:
    """Decrypts a stored body and checks it against its keyed digest."""
    sealed = Encrypt0.from_item(cbor.decode(stored))
    require(keys is not None, "plane-key-missing")
    key = keys.find(sealed.generation).of(plane)
    body = sealed.open(key, encryption.aad_of_body(place, plane, section, digest))
    require(hmac.compare_digest(keyed_hash(keys.digest_key)(body), digest), "body-mismatch")
    return body
