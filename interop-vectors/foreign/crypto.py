"""Keys, hashes and signatures, by libsodium."""

import hashlib
import hmac

from nacl import bindings
from nacl.exceptions import CryptoError

from .cbor import Refused, ensure, write


def sha256(data):
    """Returns SHA-256."""
    return hashlib.sha256(data).digest()


def mac(key, data):
    """Returns HMAC-SHA256."""
    return hmac.digest(key, data, "sha256")


def derive(salt, secret, info):
    """Returns HKDF-SHA256 of 32 bytes."""
    return mac(mac(salt, secret), info + b"\x01")


def thumbprint(public):
    """Returns the thumbprint of a public key."""
    return sha256(write({1: 1, -1: 6, -2: public}))


def check_key(public):
    """Refuses a key that is no canonical point of the prime-order group."""
    ensure(len(public) == 32 and bindings.crypto_core_ed25519_is_valid_point(public), "key-refused")


def verify(public, message, signature):
    """Verifies strictly; the key is checked elsewhere."""
    ensure(len(signature) == 64, "signature-length")
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
