"""03-sign1: envelopes and keys of ESP256: every kind once, then headers, signatures and COSE_Keys that are refused."""

from . import envelope as e
from . import p256
from .c03_header import Refused
from .c03_lives import HEAD, ROOT, proof
from .c03_valid import STATE, fields
from .collection import Collection
from .encoding import encode
from .hashing import sha256
from .keys import SIGNERS, blob, cose_key

SETS = {"k": 1}
WRITER, DEVICE = SIGNERS["writer-p256"], SIGNERS["device-p256"]
X, Y = (int.from_bytes(half, "big") for half in (DEVICE.public[1:33], DEVICE.public[33:]))


def bundle_fields():
    """Returns the content of a first bundle in which every key is of P-256."""
    return {
        1: SIGNERS["root-p256"].cose, 2: SIGNERS["recovery-p256"].cose, 3: {e.TENANT: [1, WRITER.cose]},
        4: [[SIGNERS["mailbox-p256"].cose, ["https://box.example/"]]], 5: [],
    }


def negated(signature):
    """Returns the signature with the other s, which holds as well."""
    return signature[:32] + p256.octets(p256.N - int.from_bytes(signature[32:], "big"))


def honest():
    """Returns each kind under a P-256 key."""
    device, writer = dict(signer="device-p256", role="device"), dict(signer="writer-p256")
    request = e.enrol_request(DEVICE.cose, "device-p256")
    hello = encode([blob("challenge", 16), blob("device ephemeral", 32)])
    transcript = blob("transcript", 32)
    mixed = {**e.bundle_fields(), 3: {e.TENANT: [1, WRITER.cose]}, 4: [[SIGNERS["mailbox"].cose, ["https://box.example/"]], [SIGNERS["mailbox-p256"].cose, ["https://other.example/"]]]}
    return (
        ("delta", "of a writer", e.delta(SETS, **writer)), ("snapshot", "of a writer", e.snapshot(STATE, **writer)), ("actual-delta", "of a device", e.delta(SETS, **device)), ("actual-snapshot", "of a device", e.snapshot(STATE, **device)),
        ("report", "of a device", e.report([*HEAD], ROOT, signer="device-p256")), ("report-ack", "of a writer", e.Envelope(WRITER, e.REPORT_ACK, (e.EPOCH, 7, 0), b"", b"\x80")),
        ("heartbeat", "of a writer", e.heartbeat(HEAD, ROOT, echo=e.ECHO, **writer)), ("heartbeat-of-device", "of a device", e.heartbeat(HEAD, ROOT, **device)),
        ("evidence", "of a device", e.evidence(HEAD, ROOT, 66, None, [proof(e.delta(SETS, **writer))], signer="device-p256")), ("enrol-request", "signed by the P-256 key that it carries", request),
        ("enrol-answer", "names the thumbprint of a P-256 key", e.Envelope(WRITER, e.ENROL_ANSWER, (e.EPOCH, 1, 0), request.message_id, encode([1, DEVICE.thumbprint]))),
        ("bundle", "every key is of P-256", e.bundle(1, b"", signer="root-p256", fields=bundle_fields())), ("bundle-mixed", "an Ed25519 root names keys of both types", e.bundle(1, b"", fields=mixed)),
        ("session-hello", "of a device", e.Envelope(DEVICE, e.HELLO, (0, 0, 0), transcript, hello)),
        ("session-welcome", "of a mailbox", e.Envelope(SIGNERS["mailbox-p256"], e.WELCOME, (0, 0, 0), transcript, encode([blob("session", 4), 2, 86400]))),
    )


def headers(add):
    """Adds headers and key ids that do not fit the key."""
    def bad(name, error, comment, flags=(), public_key=WRITER.public, **change):
        add(f"esp256-{name}", error, comment, e.delta(SETS, signer=change.pop("signer", "writer-p256"), **{key: value for key, value in change.items() if key != "revoked"}), ["esp256", *flags],
            public_key=public_key, **{key: value for key, value in change.items() if key == "revoked"})

    bad("as-ed25519", "algorithm-mismatch", "alg -19 with a P-256 key", labels={1: -19})
    bad("key-of-ed25519", "algorithm-mismatch", "alg -9 and the key id of an Ed25519 key", signer="writer", labels={1: -9}, public_key=SIGNERS["writer"].public)
    bad("as-ed25519-revoked", "algorithm-mismatch", "the algorithm counts before the revocation", labels={1: -19}, revoked=[WRITER.thumbprint])
    for number, name in ((-7, "es256"), (-35, "es384"), (-51, "esp384"), (-47, "es256k"), (9, "positive")):
        bad(f"algorithm-{name}", "algorithm-unknown", f"alg {number}", labels={1: number})
    bad("revoked", "key-revoked", "the bundle revokes the key", revoked=[WRITER.thumbprint])
    compressed = bytes([2 | WRITER.public[-1] & 1]) + WRITER.public[1:33]
    for name, kid, comment in (
        ("of-point", sha256(WRITER.public)[:8], "the hash of 04, x, y"), ("of-compressed", sha256(compressed)[:8], "the hash of the compressed point"), ("of-x-and-y", sha256(WRITER.public[1:])[:8], "the hash of x, y"),
        ("of-bool-y", sha256(encode({1: 2, -1: 1, -2: WRITER.public[1:33], -3: bool(WRITER.public[-1] & 1)}))[:8], "the thumbprint of the form with a sign for y"),
        ("of-okp", sha256(encode({1: 1, -1: 6, -2: WRITER.public[1:33]}))[:8], "x as if it were an Ed25519 key"), ("of-another", SIGNERS["other-p256"].kid, "the key id of another"),
    ):
        bad(f"kid-{name}", "key-unknown", comment, ["key"], labels={4: kid})
    bad("forged-kid", "signature-invalid", "another key under the id of the writer", ["key"], signer="other-p256", labels={4: WRITER.kid})


def signatures(add):
    """Adds signatures that do not hold."""
    def bad(name, comment, change, error="signature-invalid"):
        add(f"esp256-signature-{name}", error, comment, e.delta(SETS, signer="writer-p256", signature=change), ["esp256"])

    zero = bytes(32)
    for name, change, comment in (
        ("r-zero", lambda s: zero + s[32:], "r is 0"), ("s-zero", lambda s: s[:32] + zero, "s is 0"), ("zero", lambda s: bytes(64), "both are 0"), ("r-n", lambda s: p256.octets(p256.N) + s[32:], "r is n"),
        ("s-n", lambda s: s[:32] + p256.octets(p256.N), "s is n"), ("s-all-ones", lambda s: s[:32] + b"\xff" * 32, "s is above n"), ("swapped", lambda s: s[32:] + s[:32], "s before r"),
        ("bit-0", lambda s: s[:-1] + bytes([s[-1] ^ 1]), "the last bit of s"), ("bit-511", lambda s: bytes([s[0] ^ 128]) + s[1:], "the first bit of r"), ("of-ed25519", lambda s: SIGNERS["writer"].sign(b""), "a signature of Ed25519"),
    ):
        bad(name, comment, change)
    for size in (0, 63, 65, 70, 72):
        bad(f"{size}-bytes", "64 bytes are asked for", lambda s, size=size: (s * 2)[:size], "signature-length")
    for name, other in (("plane", {"plane": 1}), ("device", {"device": "press-8"}), ("incarnation", {"incarnation": e.OTHER_INCARNATION})):
        add(f"esp256-aad-other-{name}", "signature-invalid", "signed for another place", e.delta(SETS, signer="writer-p256", signed_aad=e.aad(0, **other)), ["esp256", f"cross-{name}"])


def keys(add):
    """Adds COSE_Keys that are refused, in a request and in a bundle."""
    good = DEVICE.cose
    x = next(x for x in range(1, 99) if p256.recover_y(x) is not None)
    rows = (
        ("y-missing", "shape", {1: 2, -1: 1, -2: good[-2]}, "no y"), ("y-sign", "shape", {**good, -3: bool(Y & 1)}, "a sign for y"), ("y-null", "shape", {**good, -3: None}, "null for y"), ("y-31", "shape", {**good, -3: good[-3][1:]}, "31 bytes"),
        ("x-33", "shape", {**good, -2: b"\0" + good[-2]}, "33 bytes"), ("x-31", "shape", {**good, -2: good[-2][1:]}, "31 bytes"), ("x-compressed", "shape", {1: 2, -1: 1, -2: b"\2" + good[-2]}, "a compressed point"),
        ("point-for-x", "shape", {1: 2, -1: 1, -2: DEVICE.public}, "04, x, y in one member"), ("curve-p384", "shape", {**good, -1: 2}, "another curve"), ("curve-ed25519", "shape", {**good, -1: 6}, "the curve of the other type"),
        ("type-okp", "shape", {**good, 1: 1}, "the type of Ed25519 with two coordinates"), ("okp-curve-p256", "shape", {1: 1, -1: 1, -2: good[-2]}, "P-256 as the other type"), ("with-algorithm", "shape", {**good, 3: -9}, "a label more"),
        ("with-key-id", "shape", {**good, 2: b"k"}, "a label more"), ("with-private", "shape", {**good, -4: bytes(32)}, "the secret too"), ("off-curve", "key-refused", {**good, -3: p256.octets(Y ^ 1)}, "no point"),
        ("zero", "key-refused", {**good, -2: bytes(32), -3: bytes(32)}, "x and y are 0"), ("swapped", "key-refused", {**good, -2: good[-3], -3: good[-2]}, "y before x"), ("all-ones", "key-refused", {**good, -2: b"\xff" * 32, -3: b"\xff" * 32}, "not below p"),
        ("x-not-reduced", "key-refused", {**good, -2: p256.octets(x + p256.P), -3: p256.octets(p256.recover_y(x))}, "x + p"), ("little-endian", "key-refused", {**good, -2: good[-2][::-1], -3: good[-3][::-1]}, "least significant byte first"),
    )
    for name, error, key, comment in rows:
        add(f"esp256-enrol-request-key-{name}", error, comment, e.enrol_request(key, "device-p256"), ["esp256", "payload"], spec="#keys")
    off = cose_key(DEVICE.public[:-1] + bytes([DEVICE.public[-1] ^ 1]))
    for name, change in (
        ("writer", {3: {e.TENANT: [1, off]}}), ("mailbox", {4: [[off, ["https://box.example/"]]]}), ("recovery", {2: off}),
    ):
        add(f"esp256-bundle-{name}-off-curve", "key-refused", "no point", e.bundle(1, b"", signer="root-p256", fields={**bundle_fields(), **change}), ["esp256", "payload"], spec="#keys")
    revoked = e.bundle(1, b"", signer="root-p256", fields={**bundle_fields(), 5: [WRITER.thumbprint]})
    add("esp256-bundle-writer-revoked", "key-revoked", "revoked and listed", revoked, ["esp256", "payload"], spec="#bundle")
    sign = {**bundle_fields(), 3: {e.TENANT: [1, {**WRITER.cose, -3: True}]}}
    add("esp256-bundle-writer-y-sign", "shape", "a sign for y", e.bundle(1, b"", signer="root-p256", fields=sign), ["esp256", "payload"], spec="#keys")


def build():
    """Returns the file of ESP256 envelopes."""
    file = Collection("03-sign1/esp256.json", "sign1.verify", "envelopes under P-256 keys; `other-signature` marks one that no deterministic signer makes")
    for name, comment, message in honest():
        file.valid(f"sign1-esp256-{name}", "#keys", comment, ["esp256"], **fields(message))
    for name, high in (("low", False), ("high", True)):
        fit = lambda signature, high=high: signature if (signature[32:] > p256.octets(p256.N // 2)) is high else negated(signature)
        message = e.delta(SETS, signer="writer-p256", signature=fit)
        file.valid(f"sign1-esp256-s-{name}", "#keys", f"the {name}er of the two s; the message id is the same", ["esp256", "malleability", "other-signature"], **fields(message))
    add = Refused(file)
    for part in (headers, signatures, keys):
        part(add)
    return [file]
