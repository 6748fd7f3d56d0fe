"""Enrolment: how a key becomes a device's, once by a token and later by the key before it.

Implements spec/postern.md#enrolment and spec/lives.md#rotation, the device's part.
"""

import hashlib
import hmac

from . import cbor, cose, frames, kinds
from .cose import Envelope, Place
from .keys import PublicKey
from .payloads import EnrolAnswer, EnrolRequest
from .rejects import require
from .trust import Trust


def seal_request(seed: bytes, request: EnrolRequest, place: Place) -> tuple[bytes, bytes]:
    """Signs a request with its own key: the untagged envelope and its message id."""
    payload = request.to_payload()
    position = kinds.Position(kinds.ENROL_REQUEST, 0, 0, 0, hashlib.sha256(payload).digest())
    aad = place.of_tenant(kinds.ENROL_REQUEST)
    envelope = cose.seal(seed, position, payload, aad)
    signed = Envelope.parse(envelope).signed_bytes(aad)
    return envelope, hashlib.sha256(signed).digest()


def mac_of(secret: bytes, message_id: bytes) -> bytes:
    """Proves the invitation's secret, which never travels."""
    return hmac.digest(secret, b"postern/1 enrol" + message_id, "sha256")


def request_frame(token: bytes, secret: bytes, envelope: bytes, message_id: bytes) -> bytes:
    """Frame 16."""
    return frames.plain(frames.ENROL, [token, mac_of(secret, message_id), cbor.decode(envelope)])


def read_answer(frame: bytes, trust: Trust, place: Place, message_id: bytes, key: PublicKey) -> EnrolAnswer:
    """Accepts the bundles of frame 17 into `trust`, then verifies the answer."""
    parts = frames.split(frame, "down")
    require(parts.type == frames.ENROLLED, "shape")
    enrolled = frames.read_body(parts.type, parts.body)
    for data in enrolled.bundles:
        trust.accept(data)
    return verify_answer(enrolled.answer, trust, place, message_id, key, trust.number)


def verify_answer(
    data: bytes, trust: Trust, place: Place, message_id: bytes, key: PublicKey, number: int | None
) -> EnrolAnswer:
    """Verifies an answer to a request; `number` is the bundle that it has to name, None where any will do."""
    envelope = Envelope.parse(data)
    cose.expect(envelope, "writer", None)
    cose.expect_kind(envelope, kinds.ENROL_ANSWER)
    aad = place.of_device(kinds.ENROL_ANSWER)
    writer = trust.writer(place.tenant).key
    answer = cose.verify(envelope, "writer", None, aad, [writer], trust.revoked)
    require(answer.position.digest == message_id, "enrol-answer-mismatch")
    require(answer.content.thumbprint == key.thumbprint, "enrol-answer-mismatch")
    require(number is None or answer.content.bundle_number == number, "enrol-answer-mismatch")
    return answer.content
