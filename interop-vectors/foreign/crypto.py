"""Keys, hashes and signatures: Ed25519 and X25519 by libsodium, P-256 by OpenSSL."""

import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from nacl import bindings
from nacl.exceptions import CryptoError

from .cbor import Refused, ensure, write

P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def sha256(data):
    """Returns SHA-256."""
    return hashlib.sha256(data).digest()


def mac(key, data):
    """Returns HMAC-SHA256."""
    return hmac.digest(key, data, "sha256")


def derive(salt, secret, info):
    """Returns HKDF-SHA256 of 32 bytes."""
    return mac(mac(salt, secret), info + b"\x01")


def cose_key(public):
    """Returns the encoded COSE_Key of 32 bytes of Ed25519 or 65 of P-256."""
    if len(public) == 65:
        return write({1: 2, -1: 1, -2: public[1:33], -3: public[33:]})
    return write({1: 1, -1: 6, -2: public})


def thumbprint(public):
    """Returns the thumbprint of a public key."""
    return sha256(cose_key(public))


def point(public):
    """Returns the P-256 key of 65 bytes, refused unless it is one."""
    ensure(len(public) == 65 and public[0] == 4, "key-refused")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    except ValueError:
        raise Refused("key-refused") from None


def check_key(public):
    """Refuses a key that is no canonical point of the prime-order group."""
    if len(public) == 65:
        point(public)
    else:
        ensure(len(public) == 32 and bindings.crypto_core_ed25519_is_valid_point(public), "key-refused")


def verify_p256(public, message, signature):
    """Verifies r and s, each in 1..n-1."""
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    ensure(0 < r < P256_N and 0 < s < P256_N, "signature-invalid")
    try:
        point(public).verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise Refused("signature-invalid") from None


def verify(public, message, signature):
    """Verifies strictly; the key is checked elsewhere."""
    ensure(len(signature) == 64, "signature-length")
    if len(public) == 65:
        verify_p256(public, message, signature)
        return
    try:
        bindings.crypto_sign_open(signature + message, public)
    except (CryptoError, ValueError):
        raise Refused("signature-invalid") from None


def shared(seed, public):
    """Returns the X25519 secret."""
    try:
        return bindings.crypto_scalarmult(seed, public)
    except (CryptoError, RuntimeError):
        raise Refused("ephemeral-invalid") from None
