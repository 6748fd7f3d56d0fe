"""Public and secret keys: their two forms on the wire, thumbprints, checks, and strict signatures.

The libraries verify equations; what they leave open (small and mixed order, a key that is not canonical) is
checked here in plain integers.

Implements spec/postern.md#keys.
"""

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from . import cbor
from .rejects import Reject, require

ED25519 = -19
ESP256 = -9

_ED_P = 2**255 - 19
_ED_L = 2**252 + 27742317777372353535851937790883648493
_ED_D = -121665 * pow(121666, -1, _ED_P) % _ED_P
_ED_NEUTRAL = (1).to_bytes(32, "little")
_P256_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class PublicKey:
    """A public key: 32 bytes of Ed25519, or 65 bytes (04, x, y) of P-256."""

    algorithm: int
    raw: bytes

    @staticmethod
    def from_raw(raw: bytes) -> "PublicKey":
        """Takes the bare bytes; their number tells the algorithm."""
        if len(raw) == 65 and raw[0] == 4:
            return PublicKey(ESP256, raw)
        require(len(raw) == 32, "shape")
        return PublicKey(ED25519, raw)

    @staticmethod
    def from_item(item) -> "PublicKey":
        """Takes the decoded COSE_Key map."""
        require(isinstance(item, dict), "shape")
        if set(item) == {1, -1, -2} and item[1] == 1 and item[-1] == 6:
            require(cbor.is_uint(item[1]) and cbor.is_uint(item[-1]) and cbor.is_bytes(item[-2], 32), "shape")
            return PublicKey(ED25519, item[-2])
        require(set(item) == {1, -1, -2, -3}, "shape")
        require(cbor.is_uint(item[1], 2, 2) and cbor.is_uint(item[-1], 1, 1), "shape")
        require(cbor.is_bytes(item[-2], 32) and cbor.is_bytes(item[-3], 32), "shape")
        return PublicKey(ESP256, b"\x04" + item[-2] + item[-3])

    def to_item(self) -> dict:
        """Gives the COSE_Key map."""
        if self.algorithm == ED25519:
            return {1: 1, -1: 6, -2: self.raw}
        return {1: 2, -1: 1, -2: self.raw[1:33], -3: self.raw[33:]}

    @property
    def thumbprint(self) -> bytes:
        """The hash of the COSE_Key, RFC 9679."""
        return hashlib.sha256(cbor.encode(self.to_item())).digest()

    @property
    def key_id(self) -> bytes:
        """Eight bytes that select candidates and prove nothing."""
        return self.thumbprint[:8]

    def check(self) -> None:
        """Refuses a key that is no canonical point of the prime-order group."""
        sound = _is_sound_ed25519(self.raw) if self.algorithm == ED25519 else _is_on_p256(self.raw)
        require(sound, "key-refused")

    def verify(self, message: bytes, signature: bytes) -> None:
        """Verifies one signature strictly."""
        require(len(signature) == 64, "signature-length")
        try:
            if self.algorithm == ED25519:
                # The library refuses S >= L and compares R bytewise. Beside a key of prime order the only R
                # of small order that satisfies the equation is the neutral element.
                require(signature[:32] != _ED_NEUTRAL, "signature-invalid")
                Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
            else:
                _verify_esp256(self.raw, message, signature)
        except (InvalidSignature, ValueError):
            raise Reject("signature-invalid") from None


def generate_secret() -> bytes:
    """Makes a new Ed25519 key, as its 32 bytes of seed."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_of(seed: bytes) -> PublicKey:
    """The public half of an Ed25519 seed."""
    return PublicKey(ED25519, Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def sign(seed: bytes, message: bytes) -> bytes:
    """Signs with an Ed25519 seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def _verify_esp256(raw: bytes, message: bytes, signature: bytes) -> None:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    require(0 < r < _P256_N and 0 < s < _P256_N, "signature-invalid")
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


def _is_on_p256(raw: bytes) -> bool:
    x, y = int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:], "big")
    return x < _P256_P and y < _P256_P and (y * y - (x * x * x - 3 * x + _P256_B)) % _P256_P == 0


def _is_sound_ed25519(raw: bytes) -> bool:
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    sign_bit = raw[31] >> 7
    if y >= _ED_P:
        return False
    square = (y * y - 1) * pow(_ED_D * y * y + 1, -1, _ED_P) % _ED_P
    x = pow(square, (_ED_P + 3) // 8, _ED_P)
    if (x * x - square) % _ED_P:
        x = x * pow(2, (_ED_P - 1) // 4, _ED_P) % _ED_P
    if (x * x - square) % _ED_P or (x == 0 and sign_bit):
        return False
    if x % 2 != sign_bit:
        x = _ED_P - x
    # In the prime-order group, and not the neutral element, which alone has x = 0 there.
    return x != 0 and _multiply((x, y), _ED_L) == (0, 1)


def _multiply(point, factor: int):
    """Double and add in extended coordinates (RFC 8032, 5.1.4); the numbers are public, so time may vary."""
    total, step = (0, 1, 1, 0), (point[0], point[1], 1, point[0] * point[1] % _ED_P)
    while factor:
        if factor & 1:
            total = _add(total, step)
        step = _add(step, step)
        factor >>= 1
    inverse = pow(total[2], -1, _ED_P)
    return total[0] * inverse % _ED_P, total[1] * inverse % _ED_P


def _add(left, right):
    a = (left[1] - left[0]) * (right[1] - right[0]) % _ED_P
    b = (left[1] + left[0]) * (right[1] + right[0]) % _ED_P
    c = 2 * left[3] * right[3] * _ED_D % _ED_P
    d = 2 * left[2] * right[2] % _ED_P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _ED_P, g * h % _ED_P, f * g % _ED_P, e * h % _ED_P
