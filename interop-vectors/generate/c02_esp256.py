"""02-keys: the edge cases of ESP256. OpenSSL judges each signature too, wherever its rule and ours must agree."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from . import p256
from .c02_keys import MESSAGE
from .collection import Collection
from .hashing import sha256
from .keys import SIGNERS, SIGNING_P256

KEY = SIGNERS["device-p256"]
GOOD = KEY.sign(MESSAGE)
R, S = int.from_bytes(GOOD[:32], "big"), int.from_bytes(GOOD[32:], "big")


def openssl(public, message, signature):
    """Returns what OpenSSL says."""
    numbers = [int.from_bytes(part, "big") for part in (signature[:32], signature[32:])]
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        key.verify(utils.encode_dss_signature(*numbers), message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def pair(r, s):
    """Returns r and s behind one another."""
    return p256.octets(r) + p256.octets(s)


class Edge:
    """Adds signature tests and has OpenSSL judge them."""

    def __init__(self, file):
        self.file = file

    def valid(self, name, comment, signature, message=MESSAGE, public=KEY.public, flags=()):
        """Adds a signature that everyone accepts."""
        assert openssl(public, message, signature), name
        self.file.valid(f"esp256-{name}", "#keys", comment, ["esp256", *flags], public_key=public, message=message, signature=signature)

    def invalid(self, name, error, comment, signature=GOOD, message=MESSAGE, public=KEY.public, flags=(), openssl_agrees=True):
        """Adds a signature that we refuse."""
        if len(signature) == 64:
            assert openssl(public, message, signature) is not openssl_agrees, name
        self.file.invalid(f"esp256-{name}", error, "#keys", comment, ["esp256", *flags], public_key=public, message=message, signature=signature)


def honest(edge):
    """Adds signatures that hold, the rare ones too."""
    for name, _ in SIGNING_P256:
        edge.valid(f"valid-{name}", "an honest signature", SIGNERS[name].sign(MESSAGE), public=SIGNERS[name].public)
    for size in (0, 1, 55, 56, 64, 1023):
        message = bytes(index % 251 for index in range(size))
        edge.valid(f"valid-length-{size}", f"{size} bytes", KEY.sign(message), message)
    low, high = sorted((S, p256.N - S))
    edge.valid("s-low", "the lower of the two s", pair(R, low), flags=["malleability"])
    edge.valid("s-high", "the higher of the two s counts too", pair(R, high), flags=["malleability"])
    point, nonce = p256.BASE, 1
    while point[0] >> 248:
        point, nonce = p256.add(point, p256.BASE), nonce + 1
    edge.valid("r-begins-with-zero", "r has 31 bytes; it stands in 32", pair(*p256.sign_with(KEY.secret, MESSAGE, nonce)))
    for number in range(10_000):
        r, s = p256.BASE[0] % p256.N, (p256.digest_number(b"%d" % number) + p256.BASE[0] * KEY.secret) % p256.N
        if not s >> 248:
            edge.valid("s-begins-with-zero", "the nonce is 1 and s has 31 bytes", pair(r, s), b"%d" % number)
            break
    crafted(edge)


def crafted(edge):
    """Adds signatures under keys that are made for them: nobody knows the secret."""
    x = next(x for x in range(p256.N, p256.P) if p256.recover_y(x) is not None)
    point = (x, p256.recover_y(x))
    public = p256.public_bytes(p256.recovered(MESSAGE, point, x - p256.N, 7))
    edge.valid("x-above-n", "x of the point is above n; r is x - n", pair(x - p256.N, 7), public=public, flags=["crafted"])
    edge.invalid("r-above-n-as-x", "signature-invalid", "r is the x itself, not below n", pair(x, 7), public=public, flags=["crafted", "range"])
    edge.invalid("s-plus-n", "signature-invalid", "s + n, which fits 32 bytes as s is 7", pair(x - p256.N, 7 + p256.N), public=public, flags=["crafted", "range"])
    for name, point in (("one", p256.BASE), ("two", p256.multiply(2, p256.BASE))):
        r = point[0] % p256.N
        public = p256.public_bytes(p256.recovered(MESSAGE, point, r, 1))
        edge.valid(f"s-one-nonce-{name}", f"s is 1, the nonce {name}", pair(r, 1), public=public, flags=["crafted"])
        edge.valid(f"s-largest-nonce-{name}", "s is n - 1", pair(r, p256.N - 1), public=public, flags=["crafted"])
    r = p256.multiply(5, p256.BASE)[0] % p256.N
    number = p256.digest_number(MESSAGE)
    secret = number * pow(r, -1, p256.N) % p256.N
    public = p256.public_bytes(p256.multiply(secret, p256.BASE))
    edge.valid("sum-of-equal-points", "both summands of the equation are one point", pair(r, 2 * number * pow(5, -1, p256.N) % p256.N), public=public, flags=["crafted"])
    r = -number * pow(KEY.secret, -1, p256.N) % p256.N
    edge.invalid("sum-at-infinity", "signature-invalid", "the equation gives the point at infinity", pair(r, 9), flags=["crafted"])


def bad_signatures(edge):
    """Adds wrong lengths, wrong ranges and wrong bytes."""
    der = utils.encode_dss_signature(R, S)
    for name, signature in (("empty", b""), ("63", GOOD[:63]), ("65", GOOD + b"\0"), ("twice", GOOD * 2), ("half", GOOD[:32]), ("der", der)):
        edge.invalid(f"signature-length-{name}", "signature-length", f"{len(signature)} bytes", signature)
    for name, r, s in (
        ("r-zero", 0, S), ("s-zero", R, 0), ("both-zero", 0, 0), ("r-equals-n", p256.N, S), ("s-equals-n", R, p256.N), ("r-above-n", p256.N + 1, S),
        ("s-above-n", R, p256.N + 1), ("r-all-ones", 2**256 - 1, S), ("s-all-ones", R, 2**256 - 1), ("r-equals-p", p256.P, S), ("zero-and-n", 0, p256.N), ("n-and-zero", p256.N, 0),
    ):
        edge.invalid(name, "signature-invalid", "outside 1..n-1", pair(r, s), flags=["range"])
    for name, signature, comment in (
        ("swapped", pair(S, R), "s before r"), ("little-endian", GOOD[:32][::-1] + GOOD[32:][::-1], "least significant byte first"), ("ones", pair(1, 1), "r and s are 1"),
        ("r-negated", pair(p256.N - R, S), "n - r"), ("hashed-twice", KEY.sign(sha256(MESSAGE)), "over the hash of the message"), ("of-ed25519", SIGNERS["device-a"].sign(MESSAGE), "a signature of Ed25519"),
    ):
        edge.invalid(name, "signature-invalid", comment, signature)
    edge.invalid("wrong-message", "signature-invalid", "one more byte", message=MESSAGE + b"\0")
    edge.invalid("wrong-key", "signature-invalid", "the key of another", public=SIGNERS["other-p256"].public)
    negated = KEY.public[:33] + p256.octets(p256.P - int.from_bytes(KEY.public[33:], "big"))
    edge.invalid("negated-key", "signature-invalid", "the other point of this x", public=negated)
    for bit in (0, 255, 256, 511):
        flipped = (int.from_bytes(GOOD, "big") ^ 1 << bit).to_bytes(64, "big")
        edge.invalid(f"flipped-bit-{bit}", "signature-invalid", f"bit {bit} of the signature", flipped)


def bad_publics(edge):
    """Adds public keys that are refused at the door."""
    x, y = KEY.public[1:33], KEY.public[33:]
    rows = (
        ("empty", b"", "no key"), ("64", x + y, "without the first byte"), ("66", KEY.public + b"\0", "one byte more"), ("ed25519", SIGNERS["device-a"].public, "the key of the other algorithm"),
        ("infinity", b"\0", "the point at infinity"), ("infinity-padded", bytes(65), "65 zeros"), ("zero-point", b"\x04" + bytes(64), "x and y are 0"), ("swapped", b"\x04" + y + x, "y before x"),
        ("y-plus-one", KEY.public[:-1] + bytes([KEY.public[-1] ^ 1]), "off the curve"), ("x-changed", b"\x04" + p256.octets(int.from_bytes(x, "big") ^ 1) + y, "off the curve"),
        ("all-ones", b"\x04" + b"\xff" * 64, "neither coordinate is below p"), ("p-and-p", b"\x04" + p256.octets(p256.P) * 2, "zero, not reduced"), ("first-byte-5", b"\x05" + x + y, "no form of a point"),
    )
    for name, public, comment in rows:
        edge.invalid(f"key-{name}", "key-refused", comment, public=public, flags=["key"])
    parity = KEY.public[-1] & 1
    for name, public, agrees in (
        ("compressed", bytes([2 | parity]) + x, False), ("compressed-other", bytes([3 - parity]) + x, True), ("hybrid", bytes([6 | parity]) + x + y, True), ("hybrid-other", bytes([7 - parity]) + x + y, True),
    ):
        edge.invalid(f"key-{name}", "key-refused", "one key has one form", public=public, flags=["key", "key-check-only"], openssl_agrees=agrees)
    small = next(x for x in range(1, 99) if p256.recover_y(x) is not None)
    edge.invalid("key-x-not-reduced", "key-refused", "x + p, which fits 32 bytes", public=b"\x04" + p256.octets(small + p256.P) + p256.octets(p256.recover_y(small)), flags=["key"])
    y = next(y for y in range(1, 99) if p256.recover_x(y) is not None)
    x = p256.recover_x(y)
    assert p256.is_on_curve(x, y)
    edge.invalid("key-y-not-reduced", "key-refused", "y + p, which fits 32 bytes", public=b"\x04" + p256.octets(x) + p256.octets(y + p256.P), flags=["key"])


def build():
    """Returns the file of esp256.verify."""
    file = Collection("02-keys/esp256.json", "esp256.verify", "the key check, then r and s in 1..n-1, then the equation over SHA-256")
    edge = Edge(file)
    for part in (honest, bad_signatures, bad_publics):
        part(edge)
    return [file]
