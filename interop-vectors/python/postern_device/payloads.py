"""What the payload of each kind says: its form, and the digests that need no stored state.

The payloads with much inside have modules of their own: `state` (delta, snapshot), `reports`, `bundle`.

Implements the steps 15 and 16 of spec/postern.md#verification-order, #enrolment, #hello, spec/freshness.md#heartbeat
and #signed-time, spec/lives.md#evidence, spec/relays.md#admission, #receipt, #lost, spec/encryption.md#plane-key.
"""

import hashlib
from dataclasses import dataclass

from . import bundle, cbor, kinds, reports, snapshot
from .delta import Delta
from .encryption import Encrypt0, check_agreement_key
from .keys import PublicKey
from .limits import ADMISSION_KEYS_MAX, EVIDENCE_PROOFS_MAX, SESSION_AGE_S_MAX, UNIX_S_MAX
from .names import check_name
from .rejects import NUMBER_OF, require


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life of a writer: its running, the other plane's head, and nonces (None is null)."""

    start: bytes
    uptime_ms: int
    other: tuple[int, int]
    echo: bytes | None
    ask: bytes | None

    def to_payload(self) -> bytes:
        """Encodes it."""
        return cbor.encode([self.start, self.uptime_ms, *self.other, self.echo, self.ask])


@dataclass(frozen=True)
class EnrolRequest:
    """A new key that asks to be taken for a device."""

    token: bytes
    device: str
    key: PublicKey
    incarnation: bytes
    nonce: bytes
    agreement_key: bytes | None

    def to_payload(self) -> bytes:
        """Encodes it."""
        tail = [] if self.agreement_key is None else [self.agreement_key]
        key = self.key.to_item()
        return cbor.encode([self.token, self.device, key, self.incarnation, self.nonce, *tail])


@dataclass(frozen=True)
class EnrolAnswer:
    """The writer's word that a key is the device's. `time` is in seconds since 1970."""

    bundle_number: int
    thumbprint: bytes
    time: int | None


@dataclass(frozen=True)
class Hello:
    """What opens a session from below."""

    challenge: bytes
    ephemeral: bytes


@dataclass(frozen=True)
class Welcome:
    """What opens a session from above. `time` is in seconds since 1970."""

    session_id: bytes
    bundle_number: int
    age_max_s: int
    time: int | None


@dataclass(frozen=True)
class Receipt:
    """What a mailbox did with one message; 0 is stored, else a reject."""

    channel_id: bytes
    code: int


@dataclass(frozen=True)
class Evidence:
    """A reader's proof that a writer is behind or contradicts itself."""

    code: int
    table: dict | None
    proofs: list[tuple[bytes, bytes | None]]


@dataclass(frozen=True)
class PlaneKey:
    """The keys of both planes, still encrypted to one device."""

    encapsulated: bytes
    ciphertext: bytes


def decode_payload(position: kinds.Position, payload: bytes):
    """Reads the payload of a kind, and checks the digests that it can."""
    content = _DECODERS[position.kind](position, cbor.decode(payload))
    if position.kind in (kinds.ENROL_REQUEST, kinds.ADMISSION, kinds.PLANE_KEY):
        require(hashlib.sha256(payload).digest() == position.digest, "digest-mismatch")
    return content


def _delta(_position, item):
    require(isinstance(item, list), "shape")
    if item and isinstance(item[0], bytes):
        return Encrypt0.from_item(item)
    return Delta.from_item(item)


def _snapshot(position, item):
    return snapshot.Snapshot.from_item(item, position)


def _report(position, item):
    return reports.Report.from_item(item, position.digest)


def _report_ack(_position, item):
    require(item == [], "shape")


def _heartbeat(_position, item):
    require(cbor.is_array(item, 6, 6), "shape")
    start, uptime_ms, epoch, seq, echo, ask = item
    require(cbor.is_bytes(start, 8) and cbor.is_uint(uptime_ms), "shape")
    require(cbor.is_uint(epoch) and cbor.is_uint(seq) and (epoch == 0) == (seq == 0), "shape")
    require(all(nonce is None or cbor.is_bytes(nonce, 16) for nonce in (echo, ask)), "shape")
    return Heartbeat(start, uptime_ms, (epoch, seq), echo, ask)


def _enrol_request(_position, item):
    require(cbor.is_array(item, 5, 6), "shape")
    token, device, key, incarnation, nonce, *agreement = item
    require(cbor.is_bytes(token, 8), "shape")
    check_name(device)
    public_key = PublicKey.from_item(key)
    require(cbor.is_bytes(incarnation, 16) and cbor.is_bytes(nonce, 16), "shape")
    require(all(cbor.is_bytes(member, 32) for member in agreement), "shape")
    public_key.check()
    for agreement_key in agreement:
        check_agreement_key(agreement_key)
    return EnrolRequest(token, device, public_key, incarnation, nonce, agreement[0] if agreement else None)


def _time(tail: list) -> int | None:
    require(all(cbor.is_uint(time, 1, UNIX_S_MAX) for time in tail), "shape")
    return tail[0] if tail else None


def _enrol_answer(_position, item):
    require(cbor.is_array(item, 2, 3), "shape")
    require(cbor.is_uint(item[0], 1) and cbor.is_bytes(item[1], 32), "shape")
    return EnrolAnswer(item[0], item[1], _time(item[2:]))


def _bundle(_position, item):
    return bundle.Bundle.from_item(item)


def _admission(_position, item):
    require(cbor.is_array(item, 6, 6), "shape")
    device, status, incarnation, public_keys, quota_bytes, bundle_number = item
    check_name(device)
    require(cbor.is_uint(status, 0, 1) and cbor.is_bytes(incarnation, 16), "shape")
    require(cbor.is_array(public_keys, 1, ADMISSION_KEYS_MAX), "shape")
    admitted = [PublicKey.from_item(key) for key in public_keys]
    require(len(set(admitted)) == len(admitted), "shape")
    require(cbor.is_uint(quota_bytes) and cbor.is_uint(bundle_number, 1), "shape")
    for key in admitted:
        key.check()
    return item


def _hello(_position, item):
    require(cbor.is_array(item, 2, 2), "shape")
    require(cbor.is_bytes(item[0], 16) and cbor.is_bytes(item[1], 32), "shape")
    return Hello(item[0], item[1])


def _welcome(_position, item):
    require(cbor.is_array(item, 3, 4), "shape")
    require(cbor.is_bytes(item[0], 4) and cbor.is_uint(item[1]), "shape")
    require(cbor.is_uint(item[2], 0, SESSION_AGE_S_MAX), "shape")
    return Welcome(item[0], item[1], item[2], _time(item[3:]))


def _receipt(_position, item):
    require(cbor.is_array(item, 2, 2), "shape")
    require(cbor.is_bytes(item[0], 16) and cbor.is_uint(item[1], 0, 65535), "shape")
    return Receipt(item[0], item[1])


def _evidence(position, item):
    require(cbor.is_array(item, 3, 3), "shape")
    code, table, proofs = item
    require(cbor.is_uint(code), "shape")
    require(code in (NUMBER_OF["writer-behind"], NUMBER_OF["equivocation"]), "shape")
    if table is not None:
        require(code == NUMBER_OF["writer-behind"], "shape")
        snapshot.check_table(table)
    require(cbor.is_array(proofs, 1, EVIDENCE_PROOFS_MAX), "shape")
    for proof in proofs:
        require(cbor.is_array(proof, 2, 2) and cbor.is_bytes(proof[0], 32), "shape")
        require(proof[1] is None or isinstance(proof[1], bytes), "shape")
    if table is not None and not snapshot.is_stored_table(table):
        require(snapshot.root_digest(table) == position.digest, "digest-mismatch")
    return Evidence(code, table, [(proof[0], proof[1]) for proof in proofs])


def _plane_key(_position, item):
    require(cbor.is_array(item, 2, 2), "shape")
    require(cbor.is_bytes(item[0], 32) and cbor.is_bytes(item[1], 119), "shape")
    return PlaneKey(item[0], item[1])


def _lost(_position, item):
    require(cbor.is_array(item, 1, 1) and cbor.is_uint(item[0], 1, 65535), "shape")
    return item[0]


_DECODERS = {
    kinds.DELTA: _delta,
    kinds.SNAPSHOT: _snapshot,
    kinds.REPORT: _report,
    kinds.REPORT_ACK: _report_ack,
    kinds.HEARTBEAT: _heartbeat,
    kinds.ENROL_REQUEST: _enrol_request,
    kinds.ENROL_ANSWER: _enrol_answer,
    kinds.BUNDLE: _bundle,
    kinds.ADMISSION: _admission,
    kinds.HELLO: _hello,
    kinds.WELCOME: _welcome,
    kinds.RECEIPT: _receipt,
    kinds.EVIDENCE: _evidence,
    kinds.PLANE_KEY: _plane_key,
    kinds.LOST: _lost,
}
