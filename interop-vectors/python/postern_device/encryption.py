"""Encrypted content: COSE_Encrypt0, and the plane-keys that a writer seals to one device.

Implements spec/encryption.md#agreement-key, #plane-key, #encrypted, #keyed-digest and #switching-on.
"""

import hmac
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from . import cbor
from .rejects import Reject, require

_CHACHA20_POLY1305 = 24
_SUITE = b"HPKE\x00\x20\x00\x01\x00\x03"  # DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305
_KEM_SUITE = b"KEM\x00\x20"
_INFO = b"postern/1 plane-key"


@dataclass(frozen=True)
class Encrypt0:
    """An untagged COSE_Encrypt0 whose form is right."""

    protected: bytes
    generation: int
    iv: bytes
    ciphertext: bytes

    @staticmethod
    def from_item(item) -> "Encrypt0":
        """Checks the form of the decoded array."""
        require(cbor.is_array(item, 3, 3), "shape")
        protected, unprotected, ciphertext = item
        require(isinstance(protected, bytes) and isinstance(unprotected, dict), "shape")
        require(isinstance(ciphertext, bytes), "shape")
        header = cbor.decode(protected)
        require(not unprotected, "unprotected-not-empty")
        require(isinstance(header, dict) and set(header) == {1, 4, 5}, "shape")
        require(cbor.is_uint(header[1], _CHACHA20_POLY1305, _CHACHA20_POLY1305), "shape")
        generation, iv = header[4], header[5]
        require(isinstance(generation, bytes) and 1 <= len(generation) <= 8, "shape")
        require(generation[0] != 0 and cbor.is_bytes(iv, 12), "shape")
        return Encrypt0(protected, int.from_bytes(generation, "big"), iv, ciphertext)

    def to_item(self) -> list:
        """Gives the array."""
        return [self.protected, {}, self.ciphertext]

    def open(self, key: bytes, aad: bytes) -> bytes:
        """Decrypts it for one place."""
        try:
            return ChaCha20Poly1305(key).decrypt(self.iv, self.ciphertext, _enc_structure(self.protected, aad))
        except InvalidTag:
            raise Reject("decryption-failed") from None


def seal(key: bytes, generation: int, plaintext: bytes, aad: bytes) -> Encrypt0:
    """Encrypts for one place under a fresh random IV."""
    iv = os.urandom(12)
    named = generation.to_bytes((generation.bit_length() + 7) // 8, "big")
    protected = cbor.encode({1: _CHACHA20_POLY1305, 4: named, 5: iv})
    sealed = ChaCha20Poly1305(key).encrypt(iv, plaintext, _enc_structure(protected, aad))
    return Encrypt0(protected, generation, iv, sealed)


def _enc_structure(protected: bytes, aad: bytes) -> bytes:
    return cbor.encode(["Encrypt0", protected, aad])


def aad_of_payload(place, plane: int, position) -> bytes:
    """The external_aad of a delta's payload and of a report's lists."""
    members = [place.genesis, place.tenant, place.device, place.incarnation, plane, position.to_item()]
    return cbor.encode(["postern/1 encrypted", *members])


def aad_of_body(place, plane: int, section: str, keyed_digest: bytes) -> bytes:
    """The external_aad of a section body."""
    members = [place.genesis, place.tenant, place.device, place.incarnation, plane, section, keyed_digest]
    return cbor.encode(["postern/1 encrypted body", *members])


@dataclass(frozen=True)
class Generation:
    """The keys of one generation."""

    number: int
    desired: bytes
    actual: bytes

    def of(self, plane: int) -> bytes:
        """The key of one plane."""
        return self.actual if plane else self.desired


@dataclass
class PlaneKeys:
    """The keys that an end holds: one digest key for the whole life, and the newest generations."""

    digest_key: bytes
    generations: list[Generation]

    def find(self, number: int) -> Generation:
        """The generation that a message names."""
        for generation in self.generations:
            if generation.number == number:
                return generation
        raise Reject("plane-key-missing")


@dataclass(frozen=True)
class PlaneKeyPlace:
    """What orders plane-keys: the generation of the writer's key, its epoch, the generation of the keys."""

    writer: int
    epoch: int
    generation: int

    @property
    def order(self) -> tuple[int, int, int]:
        """What they compare by."""
        return self.writer, self.epoch, self.generation


def open_plane_key(secret: bytes, place, generation: int, encapsulated: bytes, ciphertext: bytes) -> list[bytes]:
    """Opens the sealed keys: digest key, key of desired, key of actual."""
    aad = cbor.encode(["postern/1 plane-key", place.genesis, place.tenant, place.device, place.incarnation, generation])
    try:
        plaintext = _hpke_open(secret, encapsulated, ciphertext, aad)
    except (InvalidTag, ValueError):
        raise Reject("decryption-failed") from None
    opened = cbor.decode(plaintext)
    require(cbor.is_array(opened, 3, 3) and all(cbor.is_bytes(key, 32) for key in opened), "shape")
    return opened


def agreement_public(secret: bytes) -> bytes:
    """The public half of an agreement key."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def check_agreement_key(public: bytes) -> None:
    """Refuses an agreement key of small order."""
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Reject("key-refused") from None


def _hpke_open(secret: bytes, encapsulated: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    """RFC 9180, base mode, one message."""
    shared = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(encapsulated))
    context = encapsulated + agreement_public(secret)
    prk = _extract(_KEM_SUITE, b"", b"eae_prk", shared)
    shared_secret = _expand(_KEM_SUITE, prk, b"shared_secret", context, 32)
    psk_id_hash = _extract(_SUITE, b"", b"psk_id_hash", b"")
    info_hash = _extract(_SUITE, b"", b"info_hash", _INFO)
    schedule = b"\x00" + psk_id_hash + info_hash
    secret_of_context = _extract(_SUITE, shared_secret, b"secret", b"")
    key = _expand(_SUITE, secret_of_context, b"key", schedule, 32)
    nonce = _expand(_SUITE, secret_of_context, b"base_nonce", schedule, 12)
    return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, aad)


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labelled + b"\x01", "sha256")[:length]  # one block is enough for 32 bytes
