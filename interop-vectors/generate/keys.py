"""The published test keys: every seed is SHA-256("postern test key <name>").

Refuses to make a random key: the same name gives the same key for ever.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import p256
from .encoding import encode
from .hashing import sha256

SIGNING = (
    ("root", "the genesis root of the trust domain"),
    ("root-2", "the root of bundle 3"),
    ("recovery", "the offline recovery root"),
    ("writer", "the writer of tenant acme, generation 1"),
    ("writer-2", "the writer of tenant acme, generation 2"),
    ("mailbox", "the mailbox of the bundle"),
    ("mailbox-2", "another mailbox"),
    ("device-a", "the device acme/press-7"),
    ("device-b", "another device"),
    ("other", "a key that nobody knows"),
)
SIGNING_P256 = (
    ("root-p256", "a root of the other algorithm"),
    ("recovery-p256", "a recovery root of the other algorithm"),
    ("writer-p256", "a writer of the other algorithm"),
    ("mailbox-p256", "a mailbox of the other algorithm"),
    ("device-p256", "a device of the other algorithm"),
    ("other-p256", "a key that nobody knows"),
)
AGREEMENT = ("ephemeral-device", "ephemeral-mailbox", "ephemeral-device-2", "ephemeral-mailbox-2")


def seed(name):
    """Returns the 32-byte seed of a name."""
    return sha256(b"postern test key " + name.encode())


def blob(name, size):
    """Returns deterministic filler bytes for nonces, tokens and challenges."""
    return sha256(b"postern test value " + name.encode())[:size]


def raw_public(key):
    """Returns the 32 bytes of a public key."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def cose_key(public):
    """Returns the COSE_Key of a public key of either type, as a map."""
    if len(public) == 65:
        return {1: 2, -1: 1, -2: public[1:33], -3: public[33:]}
    return {1: 1, -1: 6, -2: public}


def thumbprint(public):
    """Returns the RFC 9679 thumbprint of a public key."""
    return sha256(encode(cose_key(public)))


class Signer:
    """One Ed25519 test key."""

    type, algorithm = "ed25519", -19

    def __init__(self, name):
        self.name = name
        self.seed = seed(name)
        self.public = self.make_public()
        self.cose = cose_key(self.public)
        self.thumbprint = thumbprint(self.public)
        self.kid = self.thumbprint[:8]

    def make_public(self):
        """Returns the bytes of the public key."""
        self.private = Ed25519PrivateKey.from_private_bytes(self.seed)
        return raw_public(self.private)

    def sign(self, message):
        """Returns the 64-byte signature."""
        return self.private.sign(message)


class SignerP256(Signer):
    """One ESP256 test key: the seed is the secret number."""

    type, algorithm = "esp256", -9

    def make_public(self):
        """Returns 04, x, y."""
        self.secret = int.from_bytes(self.seed, "big")
        assert 0 < self.secret < p256.N
        return p256.public_bytes(p256.multiply(self.secret, p256.BASE))

    def sign(self, message):
        """Returns the 64-byte signature of RFC 6979."""
        return p256.sign(self.secret, message)


class Agreement:
    """One X25519 test key."""

    def __init__(self, name):
        self.name = name
        self.seed = seed(name)
        self.private = X25519PrivateKey.from_private_bytes(self.seed)
        self.public = raw_public(self.private)

    def shared(self, public):
        """Returns the shared secret with another public key."""
        return self.private.exchange(X25519PublicKey.from_public_bytes(public))


SIGNERS = {name: Signer(name) for name, _ in SIGNING}
SIGNERS.update((name, SignerP256(name)) for name, _ in SIGNING_P256)
AGREEMENTS = {name: Agreement(name) for name in AGREEMENT}


def keys_file():
    """Returns the content of keys.json."""
    rows = [
        {
            "name": name,
            "comment": comment,
            "type": SIGNERS[name].type,
            "seed": SIGNERS[name].seed.hex(),
            "public_key": SIGNERS[name].public.hex(),
            "cose_key": encode(SIGNERS[name].cose).hex(),
            "thumbprint": SIGNERS[name].thumbprint.hex(),
            "kid": SIGNERS[name].kid.hex(),
        }
        for name, comment in SIGNING + SIGNING_P256
    ]
    rows += [
        {
            "name": name,
            "comment": "an ephemeral key of a session",
            "type": "x25519",
            "seed": key.seed.hex(),
            "public_key": key.public.hex(),
        }
        for name, key in AGREEMENTS.items()
    ]
    return {"description": 'seed = SHA-256("postern test key <name>"), of esp256 the secret number, big-endian; never use these keys elsewhere', "keys": rows}
