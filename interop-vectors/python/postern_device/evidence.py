"""Evidence: a device's proof that its writer is behind or contradicts itself.

Implements spec/lives.md#evidence and #recovery, the device's part.
"""

import hashlib

from . import cbor, cose, kinds
from .limits import ENVELOPE_BYTES_MAX
from .publish import publish
from .rejects import NUMBER_OF, Reject
from .store import Evidence, Record


def seal(record: Record, place: cose.Place, reject: str, refused: bytes, hash_with, first=None) -> Evidence:
    """Signs what proves it: the newest accepted message, or `first` and its head, and the one that was refused."""
    desired = record.desired
    newest, head = first or (desired.newest, desired.head)
    messages = [newest, refused]
    table, bodies = None, {}
    if reject == "writer-behind":
        table, bodies = publish(desired.state, record.held_keys, place, kinds.DESIRED, hash_with)
    position = kinds.Position(kinds.EVIDENCE, head.epoch, head.seq, 0, head.digest)
    aad = place.of_plane(kinds.EVIDENCE, kinds.DESIRED)
    for kept in (2, 1, 0):  # an envelope that does not fit is named only
        proofs = [[_message_id(data, place), data if at < kept else None] for at, data in enumerate(messages)]
        payload = cbor.encode([NUMBER_OF[reject], table, proofs])
        if len(payload) > ENVELOPE_BYTES_MAX:
            continue
        try:
            return Evidence(cose.seal(record.identity.seed, position, payload, aad), bodies)
        except Reject:
            continue
    raise Reject("oversize")


def _message_id(data: bytes, place: cose.Place) -> bytes:
    envelope = cose.Envelope.parse(data)
    aad = place.of_plane(envelope.position.kind, kinds.DESIRED)
    return hashlib.sha256(envelope.signed_bytes(aad)).digest()
