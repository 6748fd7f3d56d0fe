"""Operations on states, section bodies and encrypted content."""

import hashlib

from .. import cbor, encryption
from ..delta import Delta
from ..encryption import Generation, PlaneKeyPlace, PlaneKeys
from ..kinds import Position
from ..plane_keys import compare, open_body, open_payload
from ..rejects import require
from ..state import bodies_of, check_state, keyed_hash, plain_hash, read_body, root_digest, table_of
from ..typed import to_typed
from .members import Members, from_hex, hexed


def _digests(state: dict, hash_with=plain_hash) -> dict:
    table = table_of(bodies_of(state), hash_with)
    sections = {section: digest.hex() for section, digest in table.items()}
    return {"digest": root_digest(table, hash_with).hex(), "sections": sections}


def _state_digest(request: Members) -> dict:
    state = request.state()
    check_state(state)
    return _digests(state)


def _state_apply(request: Members) -> dict:
    base = request.state()
    before = check_state(base)
    delta = Delta.from_item(cbor.decode(request.hex("delta")))
    after = delta.apply(base, request.hex("digest"))
    typed = {path: to_typed(value) for path, value in after.items()}
    return {**_digests(after), "before": root_digest(table_of(before)).hex(), "after": typed}


def _body_check(request: Members) -> dict:
    read_body(request["section"], request.hex("digest"), request.hex("body"))
    return {}


def _encryption_digest(request: Members) -> dict:
    state = request.state()
    check_state(state, encrypted=True)
    return _digests(state, keyed_hash(request.hex("digest_key")))


def _encryption_open(request: Members) -> dict:
    generations = [
        Generation(key["generation"], key.hex("desired"), key.hex("actual")) for key in request.objects("keys")
    ]
    keys = PlaneKeys(request.hex("digest_key"), generations) if generations else None
    place, plane, data = request.place(), request["plane"], request.hex("input")
    if "position" in request:
        *numbers, digest = request["position"]
        position = Position(*numbers, from_hex(digest))
        return hexed(plaintext=open_payload(keys, place, plane, position, data))
    return hexed(plaintext=open_body(keys, place, plane, request["section"], request.hex("digest"), data))


def _plane_key_open(request: Members) -> dict:
    payload = request.hex("input")
    item = cbor.decode(payload)
    require(cbor.is_array(item, 2, 2), "shape")
    require(cbor.is_bytes(item[0], 32) and cbor.is_bytes(item[1], 119), "shape")
    place = PlaneKeyPlace(request["writer"], request["epoch"], request["generation"])
    held, held_digest_key = None, None
    if request["held"] is not None:
        stored = Members(request["held"])
        held_digest_key = stored.hex("digest_key")
        held_place = PlaneKeyPlace(stored["writer"], stored["epoch"], stored["generation"])
        held = (held_place, stored.hex("payload"))
    outcome = compare(held, place, hashlib.sha256(payload).digest())
    if outcome == "known":
        return {"outcome": outcome}
    secret = request.hex("secret")
    opened = encryption.open_plane_key(secret, request.place(), place.generation, item[0], item[1])
    require(held_digest_key in (None, opened[0]), "plane-key-conflict")
    return {"outcome": outcome, **hexed(digest_key=opened[0], desired=opened[1], actual=opened[2])}


OPERATIONS = {
    "state.digest": _state_digest,
    "state.apply": _state_apply,
    "body.check": _body_check,
    "encryption.digest": _encryption_digest,
    "encryption.open": _encryption_open,
    "plane-key.open": _plane_key_open,
}
