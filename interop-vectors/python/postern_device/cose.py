"""The envelope: a COSE_Sign1 with a protected header of three labels, verified in a fixed order of steps.

`Envelope.parse` does what needs no expectation (steps 1 to 10), `verify` the rest. Only `verify` gives a
`Verified`; everything else in this package takes that, so that nothing unverified is believed by mistake.

Implements spec/postern.md#envelope, #message-id, #aad and #verification-order.
"""

import hashlib
from dataclasses import dataclass

from . import cbor, keys
from .kinds import SIGNERS, Position
from .limits import ENVELOPE_BYTES_MAX, KEY_CANDIDATES_MAX
from .payloads import decode_payload
from .rejects import Reject, require

_POSITION = -65537
_TAG_18 = 0xD2


@dataclass(frozen=True)
class Place:
    """What a reader expects around an envelope; it is signed and never sent."""

    genesis: bytes
    tenant: str = ""
    device: str = ""
    incarnation: bytes = b""

    def trust(self, kind: int) -> bytes:
        """The external_aad of the profile trust."""
        return cbor.encode(["postern/1", kind, self.genesis])

    def of_tenant(self, kind: int) -> bytes:
        """The external_aad of the profile tenant."""
        return cbor.encode(["postern/1", kind, self.genesis, self.tenant])

    def of_device(self, kind: int) -> bytes:
        """The external_aad of the profile device."""
        return cbor.encode(["postern/1", kind, self.genesis, self.tenant, self.device, self.incarnation])

    def of_plane(self, kind: int, plane: int) -> bytes:
        """The external_aad of the profile plane."""
        return cbor.encode(["postern/1", kind, self.genesis, self.tenant, self.device, self.incarnation, plane])


@dataclass(frozen=True)
class Envelope:
    """An envelope whose outer form and header are right, and of which nothing is proven."""

    algorithm: int
    key_id: bytes
    position: Position
    protected: bytes
    payload: bytes
    signature: bytes

    @staticmethod
    def parse(data: bytes) -> "Envelope":
        """Takes the steps 1 to 10 of the verification order on an untagged envelope."""
        protected, payload, signature = parse_outer(data)
        header = cbor.decode(protected)
        algorithm, key_id, position = _parse_header(header)
        position.check()
        return Envelope(algorithm, key_id, position, protected, payload, signature)

    def signed_bytes(self, aad: bytes) -> bytes:
        """Sig_structure, from the bytes as received."""
        return cbor.encode(["Signature1", self.protected, aad, self.payload])


@dataclass(frozen=True)
class Verified:
    """An envelope that a known key signed for this place. `content` is what its payload says."""

    envelope: Envelope
    message_id: bytes
    content: object

    @property
    def position(self) -> Position:
        """The signed position."""
        return self.envelope.position


def untag(data: bytes) -> bytes:
    """Takes tag 18 off an envelope of a file or a vector, where it must stand.

    spec/postern.md#envelope
    """
    require(data != b"", "cbor-truncated")
    require(data[0] == _TAG_18, "shape")
    return data[1:]


def parse_outer(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Takes the steps 1 to 4: protected, payload and signature."""
    require(len(data) <= ENVELOPE_BYTES_MAX, "oversize")
    outer = cbor.decode(data)
    require(cbor.is_array(outer, 4, 4), "shape")
    protected, unprotected, payload, signature = outer
    require(isinstance(protected, bytes) and isinstance(unprotected, dict), "shape")
    require(isinstance(payload, bytes) and isinstance(signature, bytes), "shape")
    cbor.decode(protected)
    require(not unprotected, "unprotected-not-empty")
    return protected, payload, signature


def _parse_header(header):
    require(isinstance(header, dict) and {1, 4, _POSITION} <= set(header), "shape")
    require(2 not in header, "crit-unknown")
    require(len(header) == 3, "header-label-unknown")
    require(type(header[1]) is int and header[1] in (keys.ED25519, keys.ESP256), "algorithm-unknown")
    require(cbor.is_bytes(header[4], 8), "shape")
    numbers = header[_POSITION]
    require(cbor.is_array(numbers, 5, 5) and isinstance(numbers[4], bytes), "shape")
    require(all(cbor.is_uint(number) for number in numbers[:4]), "shape")
    require(numbers[0] in SIGNERS, "kind-unknown")
    return header[1], header[4], Position(*numbers)


def expect(envelope: Envelope, role: str, plane: int | None) -> None:
    """Takes step 11: who the caller expects to sign, for which plane."""
    signers = SIGNERS[envelope.position.kind]
    require(any(role == signer for signer, _ in signers), "signer-role")
    require((role, plane) in signers, "plane-mismatch")


def expect_kind(envelope: Envelope, kind: int) -> None:
    """Refuses another kind than the one that belongs into this place."""
    require(envelope.position.kind == kind, "signer-role")


def authenticate(envelope: Envelope, role: str, plane, aad: bytes, candidates, revoked=frozenset()) -> bytes:
    """Takes the steps 11 to 14 and gives the message id. `candidates` are the keys that may sign this."""
    expect(envelope, role, plane)
    require(len(envelope.signature) == 64, "signature-length")
    named = [key for key in candidates if key.key_id == envelope.key_id][:KEY_CANDIDATES_MAX]
    require(named, "key-unknown")
    fitting = [key for key in named if key.algorithm == envelope.algorithm]
    require(fitting, "algorithm-mismatch")
    alive = [key for key in fitting if key.thumbprint not in revoked]
    require(alive, "key-revoked")
    signed = envelope.signed_bytes(aad)
    require(any(_holds(key, signed, envelope.signature) for key in alive), "signature-invalid")
    return message_id(envelope, aad)


def message_id(envelope: Envelope, aad: bytes) -> bytes:
    """The hash of the signed bytes: a signature can be varied, its message can not."""
    return hashlib.sha256(envelope.signed_bytes(aad)).digest()


def _holds(key: keys.PublicKey, signed: bytes, signature: bytes) -> bool:
    try:
        key.verify(signed, signature)
    except Reject:
        return False
    return True


def verify(envelope: Envelope, role: str, plane, aad: bytes, candidates, revoked=frozenset()) -> Verified:
    """Takes the steps 11 to 16."""
    proven = authenticate(envelope, role, plane, aad, candidates, revoked)
    return Verified(envelope, proven, decode_payload(envelope.position, envelope.payload))


def seal(seed: bytes, position: Position, payload: bytes, aad: bytes) -> bytes:
    """Signs a payload and gives the untagged envelope."""
    key_id = keys.public_of(seed).key_id
    protected = cbor.encode({1: keys.ED25519, 4: key_id, _POSITION: position.to_item()})
    signature = keys.sign(seed, cbor.encode(["Signature1", protected, aad, payload]))
    envelope = cbor.encode([protected, {}, payload, signature])
    require(len(envelope) <= ENVELOPE_BYTES_MAX, "oversize")
    return envelope
