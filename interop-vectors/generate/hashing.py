"""SHA-256, HMAC and HKDF, as the wire uses them."""

import hashlib
import hmac


def sha256(data):
    """Returns the 32 bytes of SHA-256."""
    return hashlib.sha256(data).digest()


def hmac256(key, data):
    """Returns the 32 bytes of HMAC-SHA256."""
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf256(salt, secret, info):
    """Returns 32 bytes of HKDF-SHA256 (one block, RFC 5869)."""
    return hmac256(hmac256(salt, secret), info + b"\x01")
