"""02-keys: thumbprints, channel ids, and the edge cases of Ed25519.

PyNaCl (libsodium) judges each signature too, wherever its rule and ours must agree.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from . import curve
from .collection import Collection
from .encoding import encode
from .envelope import DEVICE, ROOT, TENANT
from .hashing import sha256
from .keys import SIGNERS, SIGNING

MESSAGE = b"the bytes that are signed"
NAMES_VALID = (
    ("one-character", "a", "0"), ("dots-and-dashes", "plant.north-1_x", "press-7"),
    ("longest", "t" * 63, "d" * 63), ("digit-first", "7-up", "9.9"),
)
NAMES_INVALID = (
    ("empty-tenant", "", "press-7"), ("empty-device", "acme", ""), ("long-tenant", "t" * 64, "press-7"),
    ("long-device", "acme", "d" * 64), ("capital", "Acme", "press-7"), ("space", "acme", "press 7"),
    ("slash", "acme", "press/7"), ("dash-first", "acme", "-press"), ("dot-first", ".acme", "press-7"),
    ("underscore-first", "acme", "_press"), ("umlaut", "acme", "pr\u00fcfer"), ("nul", "acme", "press\u0000"),
    ("two-dots", "acme", ".."),
)


def channel_preimage(root, tenant, device):
    """Returns the encoding whose hash begins with the channel id."""
    return encode(["postern-channel", root, tenant, device])


def names():
    """Returns the files of thumbprints and channel ids."""
    prints = Collection("02-keys/thumbprint.json", "key.thumbprint", "COSE_Key, RFC 9679 thumbprint and kid of a public key")
    for key in SIGNERS.values():
        prints.valid(
            f"thumbprint-{key.name}", "#keys", f"{len(encode(key.cose))} bytes of preimage", public_key=key.public,
            cose_key=encode(key.cose), thumbprint=key.thumbprint, kid=key.kid,
        )
    channels = Collection("02-keys/channel.json", "channel.id", "channel ids and names")
    for name, tenant, device in (("tests", TENANT, DEVICE),) + NAMES_VALID:
        preimage = channel_preimage(ROOT, tenant, device)
        channels.valid(
            f"channel-{name}", "#names", "16 bytes of the hash", root=ROOT, tenant=tenant, device=device,
            preimage=preimage, channel_id=sha256(preimage)[:16],
        )
    other = channel_preimage(SIGNERS["other"].thumbprint, TENANT, DEVICE)
    channels.valid(
        "channel-other-root", "#names", "another trust domain", root=SIGNERS["other"].thumbprint, tenant=TENANT,
        device=DEVICE, preimage=other, channel_id=sha256(other)[:16],
    )
    for name, tenant, device in NAMES_INVALID:
        channels.invalid(f"name-{name}", "name-invalid", "#names", "outside the names", root=ROOT, tenant=tenant, device=device)
    return [prints, channels]


def sodium(public, message, signature):
    """Returns what libsodium says."""
    try:
        crypto_sign_open(signature + message, public)
    except (BadSignatureError, ValueError):
        return False
    return True


def openssl(public, message, signature):
    """Returns what OpenSSL says."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Edge:
    """Adds signature tests and has libsodium judge them."""

    def __init__(self, file):
        self.file = file

    def valid(self, name, comment, public, message, signature):
        """Adds a signature that everyone accepts."""
        assert sodium(public, message, signature) and openssl(public, message, signature), name
        self.file.valid(f"ed25519-{name}", "#keys", comment, ["ed25519"], public_key=public, message=message, signature=signature)

    def invalid(self, name, error, comment, public, message, signature, flags=(), sodium_agrees=True):
        """Adds a signature that we refuse."""
        if len(signature) == 64 and len(public) == 32:
            assert sodium(public, message, signature) is not sodium_agrees, name
        self.file.invalid(
            f"ed25519-{name}", error, "#keys", comment, ["ed25519", *flags],
            public_key=public, message=message, signature=signature,
        )


def assemble(key, public, r_bytes, r, message):
    """Returns R and S = r + k a for a chosen R."""
    scalar, _ = curve.expand(key.seed)
    s = (r + curve.challenge(r_bytes, public, message) * scalar) % curve.L
    return r_bytes + s.to_bytes(32, "little")


def bad_lengths(edge, key):
    """Adds wrong lengths, wrong keys and flipped bits."""
    good = key.sign(MESSAGE)
    for name, signature in (("empty", b""), ("63", good[:63]), ("65", good + b"\0"), ("twice", good * 2), ("half", good[:32])):
        edge.invalid(f"signature-length-{name}", "signature-length", f"{len(signature)} bytes", key.public, MESSAGE, signature)
    edge.invalid("wrong-message", "signature-invalid", "one more byte", key.public, MESSAGE + b"\0", good)
    edge.invalid("wrong-key", "signature-invalid", "the key of another device", SIGNERS["other"].public, MESSAGE, good)
    for bit in (0, 255, 256, 400):
        flipped = (int.from_bytes(good, "little") ^ 1 << bit).to_bytes(64, "little")
        edge.invalid(f"flipped-bit-{bit}", "signature-invalid", f"bit {bit} of the signature", key.public, MESSAGE, flipped)
    edge.invalid("zero-signature", "signature-invalid", "64 zeros", key.public, MESSAGE, bytes(64))
    edge.invalid("public-key-empty", "key-refused", "no key", b"", MESSAGE, good)
    edge.invalid("public-key-31", "key-refused", "31 bytes", key.public[:31], MESSAGE, good)
    edge.invalid("public-key-of-p256", "key-refused", "the key of the other algorithm", SIGNERS["device-p256"].public, MESSAGE, good)
    edge.invalid("public-key-33", "key-refused", "33 bytes", key.public + b"\0", MESSAGE, good)


def bad_scalars(edge, key):
    """Adds S outside 0..L."""
    good = key.sign(MESSAGE)
    s = int.from_bytes(good[32:], "little")
    for name, changed in (
        ("s-plus-l", s + curve.L), ("s-plus-2l", s + 2 * curve.L), ("s-plus-7l", s + 7 * curve.L),
        ("s-equals-l", curve.L), ("s-top-bit", s | 1 << 255), ("s-all-ones", 2**256 - 1),
    ):
        signature = good[:32] + changed.to_bytes(32, "little")
        edge.invalid(name, "signature-invalid", "S must be below L", key.public, MESSAGE, signature, ["malleability"])


def bad_nonces(edge, key):
    """Adds R of small and mixed order, and encodings of R that are not canonical."""
    torsion = curve.torsion()
    _, prefix = curve.expand(key.seed)
    r = curve.nonce(prefix, MESSAGE)
    for step, point in enumerate(torsion):
        encoded = curve.compress(point)
        signature = assemble(key, key.public, encoded, 0, MESSAGE)
        edge.invalid(f"small-order-r-{step}", "signature-invalid", f"R is {step} times the point of order 8", key.public, MESSAGE, signature, ["small-order"])
    for step in (1, 2, 4):
        mixed = curve.compress(curve.add(curve.multiply(r, curve.BASE), torsion[step]))
        signature = assemble(key, key.public, mixed, r, MESSAGE)
        edge.invalid(f"mixed-order-r-{step}", "signature-invalid", "a cofactored verifier would accept", key.public, MESSAGE, signature, ["mixed-order"])
    for name, number in (("identity", curve.P + 1), ("identity-negative", 1 | 1 << 255), ("order-4", curve.P), ("both", curve.P + 1 | 1 << 255)):
        signature = assemble(key, key.public, number.to_bytes(32, "little"), 0, MESSAGE)
        edge.invalid(f"non-canonical-r-{name}", "signature-invalid", "y is not reduced, or x = 0 with a sign", key.public, MESSAGE, signature, ["non-canonical"])
    off = next(y for y in range(2, 99) if curve.recover_x(y, 0) is None).to_bytes(32, "little")
    edge.invalid("r-off-curve", "signature-invalid", "R is no point", key.public, MESSAGE, assemble(key, key.public, off, 0, MESSAGE))


def bad_publics(edge, key):
    """Adds public keys that the key check refuses."""
    torsion = curve.torsion()
    good = key.sign(MESSAGE)
    for step, point in enumerate(torsion):
        public = curve.compress(point)
        signature = curve.compress(curve.BASE) + (1).to_bytes(32, "little")
        edge.invalid(f"small-order-a-{step}", "key-refused", f"A is {step} times the point of order 8", public, MESSAGE, signature, ["small-order"])
    for step in (1, 2, 4):
        public, message, signature = mixed_signature(key, torsion[step])
        edge.invalid(
            f"mixed-order-a-{step}", "key-refused", "the equation holds and libsodium accepts; the key check refuses",
            public, message, signature, ["mixed-order", "key-check-only"], sodium_agrees=False,
        )
    for offset in range(19):
        for sign in (0, 1):
            bad_reduction(edge, offset, sign, good)
    negative = (1 | 1 << 255).to_bytes(32, "little")
    edge.invalid("non-canonical-a-negative-zero", "key-refused", "x = 0 with a sign", negative, MESSAGE, good, ["non-canonical"])
    off = [y for y in range(2, 99) if curve.recover_x(y, 0) is None][:3]
    for y in off:
        edge.invalid(f"a-off-curve-{y}", "key-refused", "A is no point", y.to_bytes(32, "little"), MESSAGE, good, ["off-curve"])


def bad_reduction(edge, offset, sign, signature):
    """Adds y = p + offset, where that is a point."""
    if curve.recover_x(offset, 0) is None:
        return
    public = (curve.P + offset | sign << 255).to_bytes(32, "little")
    name = f"non-canonical-a-p-plus-{offset}" + ("-negative" if sign else "")
    edge.invalid(name, "key-refused", "y is not reduced", public, MESSAGE, signature, ["non-canonical"])


def mixed_signature(key, torsion):
    """Returns a key of mixed order and a signature whose equation holds without the cofactor."""
    scalar, prefix = curve.expand(key.seed)
    point = curve.add(curve.multiply(scalar, curve.BASE), torsion)
    public = curve.compress(point)
    for attempt in range(1000):
        message = b"message %d" % attempt
        r = curve.nonce(prefix, message)
        r_bytes = curve.compress(curve.multiply(r, curve.BASE))
        if curve.challenge(r_bytes, public, message) % 8 == 0:
            return public, message, assemble(key, public, r_bytes, r, message)
    raise AssertionError("no message found")


def signatures():
    """Returns the file of ed25519.verify."""
    file = Collection("02-keys/ed25519.json", "ed25519.verify", "the key check, then the strict signature check")
    edge = Edge(file)
    for name, _ in SIGNING:
        key = SIGNERS[name]
        edge.valid(f"valid-{name}", "an honest signature", key.public, MESSAGE, key.sign(MESSAGE))
    key = SIGNERS["device-a"]
    for size in (0, 1, 63, 64, 128, 1023):
        message = bytes(index % 251 for index in range(size))
        edge.valid(f"valid-length-{size}", f"{size} bytes", key.public, message, key.sign(message))
    bad_lengths(edge, key)
    bad_scalars(edge, key)
    bad_nonces(edge, key)
    bad_publics(edge, key)
    return file


def build():
    """Returns the three files."""
    return [*names(), signatures()]
