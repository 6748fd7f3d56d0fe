"""Operations on envelopes, and on what comes inside evidence."""

from .. import cose
from ..cose import Envelope
from ..kinds import ACTUAL, DESIRED
from ..rejects import require
from .members import Members, from_hex, hexed


def _sign1_verify(request: Members) -> dict:
    envelope = Envelope.parse(cose.untag(request.hex("cose")))
    aad, plane = request.hex("aad"), request["plane"]
    revoked = frozenset(from_hex(thumbprint) for thumbprint in request.get("revoked", []))
    verified = cose.verify(envelope, request["role"], plane, aad, [request.key()], revoked)
    return hexed(
        message_id=verified.message_id,
        protected=envelope.protected,
        payload=envelope.payload,
        tbs=envelope.signed_bytes(aad),
        signature=envelope.signature,
    )


def _evidence_verify(request: Members) -> dict:
    """The reader of a plane accuses its writer."""
    place, reader = request.place(), request["role"]
    plane = DESIRED if reader == "device" else ACTUAL
    accused = "writer" if reader == "device" else "device"
    envelope = Envelope.parse(cose.untag(request.hex("cose")))
    kind = envelope.position.kind
    evidence = cose.verify(envelope, reader, plane, place.of_plane(kind, plane), [request.key("reader_key")])
    proved = []
    for message_id, data in evidence.content.proofs:
        proved.append(data is not None)
        if data is None:
            continue
        inner = Envelope.parse(data)
        aad = place.of_plane(inner.position.kind, plane)
        verified = cose.verify(inner, accused, plane, aad, [request.key("accused_key")])
        require(verified.message_id == message_id, "digest-mismatch")
    return {"proved": proved}


OPERATIONS = {"sign1.verify": _sign1_verify, "evidence.verify": _evidence_verify}
