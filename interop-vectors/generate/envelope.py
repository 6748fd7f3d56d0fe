"""Builds COSE_Sign1 envelopes, honest ones and ones that break exactly one rule."""

from .encoding import Raw, encode
from .hashing import sha256
from .keys import SIGNERS, blob

ROOT = SIGNERS["root"].thumbprint
TENANT = "acme"
DEVICE = "press-7"
INCARNATION = blob("incarnation", 16)
OTHER_INCARNATION = blob("incarnation before the reset", 16)
EPOCH = (1_780_000_000 << 20) | 0x5_4321
SEQ = 1 << 20
PATH = "net/wifi/ssid"

DELTA, SNAPSHOT, REPORT, REPORT_ACK, HEARTBEAT, EVIDENCE = 0, 1, 2, 3, 4, 12
ENROL_REQUEST, ENROL_ANSWER, BUNDLE, HELLO, WELCOME = 5, 6, 7, 9, 10
ADMISSION, RECEIPT, PLANE_KEY, LOST = 8, 11, 13, 14
DEPTHS = {0: 5, 1: 5, 2: 5, 3: 5, 4: 5, 5: 2, 6: 4, 7: 1, 8: 2, 9: 4, 10: 4, 11: 2, 12: 5, 13: 4, 14: 5}
# How much of the channel each greeter binds: its hello, and the welcome that answers it.
GREETERS = {"device": 4, "writer": 2, "mailbox": 1}
# Who signs each kind for which plane; the first row is the one that tests mean unless they say otherwise.
SIGNED = {
    DELTA: {"writer": 0, "device": 1}, SNAPSHOT: {"writer": 0, "device": 1}, REPORT: {"device": 1}, REPORT_ACK: {"writer": 0},
    HEARTBEAT: {"writer": 0, "device": 1}, ENROL_REQUEST: {"enrolling": None}, ENROL_ANSWER: {"writer": None}, BUNDLE: {"root": None},
    HELLO: {"device": None, "writer": None, "mailbox": None}, WELCOME: {"mailbox": None}, EVIDENCE: {"device": 0, "writer": 1},
    ADMISSION: {"writer": None}, RECEIPT: {"mailbox": None}, PLANE_KEY: {"writer": None}, LOST: {"mailbox": 0},
}
ROLES = {kind: next(iter(rows)) for kind, rows in SIGNED.items()}
PLANES = {kind: rows[ROLES[kind]] for kind, rows in SIGNED.items()}
START = blob("start id", 8)
ECHO, ASK = blob("echoed nonce", 16), blob("asked nonce", 16)


def aad(kind, /, **other):
    """Returns the external aad of a kind on the channel of the tests, or on another one."""
    parts = [
        other.get("root", ROOT), other.get("tenant", TENANT), other.get("device", DEVICE),
        other.get("incarnation", INCARNATION), other.get("plane", PLANES.get(kind)),
    ]
    depth = other.get("depth", DEPTHS.get(kind, 5))
    protocol = other.get("protocol", "postern/1")
    return encode([protocol, other.get("kind", kind)] + parts[:depth])


def protected(signer, kind, numbers, digest, **change):
    """Returns the protected header, honest or with the named parts changed."""
    labels = {1: signer.algorithm, 4: signer.kid, -65537: [kind, *numbers, digest]}
    labels.update(change.get("labels", {}))
    for label in change.get("without", ()):
        del labels[label]
    return encode(labels)


class Envelope:
    """A signed message with everything an implementer needs to find where he diverges."""

    def __init__(self, signer, kind, numbers, digest, payload, **change):
        self.kind = kind
        self.numbers = (kind, *numbers, digest)
        self.signer = signer
        self.payload = payload
        self.role = change.get("role", ROLES.get(kind, "writer"))
        self.plane = change.get("plane", SIGNED.get(kind, {}).get(self.role))
        greeter = change.get("greeter", self.role if kind == HELLO else None)
        self.depth = GREETERS.get(greeter, DEPTHS.get(kind, 5))
        self.aad = change.get("aad", aad(kind, plane=self.plane, depth=self.depth))
        if "protected" in change:
            self.protected = change["protected"]
        else:
            self.protected = protected(signer, kind, numbers, digest, **change)
        self.unprotected = change.get("unprotected", b"\xa0")
        self.outer = change.get("outer")
        self.signed_payload = change.get("signed_payload", payload)
        self.signature = signer.sign(self.to_be_signed(**change))
        if "signature" in change:
            self.signature = change["signature"](self.signature)

    def to_be_signed(self, **change):
        """Returns the Sig_structure."""
        if "tbs" in change:
            return change["tbs"]
        context = change.get("context", "Signature1")
        parts = [context, self.protected, change.get("signed_aad", self.aad), self.signed_payload]
        return encode(parts)

    @property
    def message_id(self):
        """Returns the identity of the message."""
        return sha256(self.to_be_signed())

    @property
    def expected(self):
        """Returns what a receiver on the channel of the tests expects: key, aad, role, plane."""
        return {
            "public_key": self.signer.public, "aad": aad(self.kind, plane=self.plane, depth=self.depth), "role": self.role, "plane": self.plane,
        }

    @property
    def untagged(self):
        """Returns the array as it travels."""
        if self.outer:
            return self.outer(self)
        return encode([self.protected, Raw(self.unprotected), self.payload, self.signature])

    @property
    def tagged(self):
        """Returns the array as it lies in files."""
        return b"\xd2" + self.untagged


def root_digest(state):
    """Returns (root digest, {section: digest}) of a state of encodable values."""
    bodies = section_bodies(state)
    table = {name: sha256(body) for name, body in bodies.items()}
    return sha256(encode(["postern-state", table])), table


def section_bodies(state):
    """Returns the encoded body of each section."""
    sections = {}
    for path, value in state.items():
        name = path.split("/")[0] if "/" in path else ""
        sections.setdefault(name, {})[path] = value
    return {name: encode(body) for name, body in sections.items()}


def delta(sets, removes=None, state=None, numbers=(EPOCH, SEQ, SEQ - 1), signer="writer", **change):
    """Returns a delta; `state` is the state after it."""
    digest = change.pop("digest", root_digest(state if state is not None else sets)[0])
    payload = change.pop("payload", encode([sets] if removes is None else [sets, removes]))
    return Envelope(SIGNERS[signer], DELTA, numbers, digest, payload, **change)


def snapshot(state, lineage=(), numbers=(EPOCH, SEQ, 0), signer="writer", **change):
    """Returns a snapshot of a state."""
    root, table = root_digest(state)
    payload = change.pop("payload", encode([table, [list(row) for row in lineage]]))
    return Envelope(SIGNERS[signer], SNAPSHOT, numbers, change.pop("digest", root), payload, **change)


def report(payload, digest, numbers=(EPOCH, 7, 0), signer="device-a", **change):
    """Returns a report."""
    return Envelope(SIGNERS[signer], REPORT, numbers, digest, encode(payload), **change)


def actual(build, *args, **change):
    """Returns what a device signs of its own plane, where `build` makes what a writer signs."""
    return build(*args, signer=change.pop("signer", "device-a"), role="device", **change)


def heartbeat(head, digest, other=(EPOCH, SEQ), uptime=86_400_000, echo=None, ask=None, base=1, signer="writer", **change):
    """Returns a heartbeat; `other` is the head of the other plane."""
    payload = change.pop("payload", encode([START, uptime, *other, echo, ask]))
    return Envelope(SIGNERS[signer], HEARTBEAT, (*head, base), digest, payload, **change)


def evidence(head, digest, code, table, proofs, signer="device-a", **change):
    """Returns evidence; `proofs` are pairs of a message id and an envelope or None."""
    payload = change.pop("payload", encode([code, table, [list(proof) for proof in proofs]]))
    return Envelope(SIGNERS[signer], EVIDENCE, change.pop("numbers", (*head, 0)), digest, payload, **change)


def enrol_request(key, signer, device=DEVICE, token=blob("token", 8), **change):
    """Returns a request; `key` is the encodable key of the payload."""
    payload = change.pop("payload", None) or encode([token, device, key, INCARNATION, blob("enrol nonce", 16)])
    digest = change.pop("digest", sha256(payload))
    return Envelope(SIGNERS[signer], ENROL_REQUEST, change.pop("numbers", (0, 0, 0)), digest, payload, **change)


def admission(keys=None, number=3, epoch=EPOCH, status=0, quota=1 << 20, device=DEVICE, bundle_number=1, signer="writer", **change):
    """Returns an admission; `keys` are encodable keys."""
    content = [device, status, INCARNATION, keys if keys is not None else [SIGNERS["device-a"].cose], quota, bundle_number]
    payload = change.pop("payload", encode(content))
    digest = change.pop("digest", sha256(payload))
    return Envelope(SIGNERS[signer], ADMISSION, change.pop("numbers", (epoch, number, 0)), digest, payload, **change)


def receipt(message_id, code=0, channel=None, numbers=(77, 5, 0), signer="mailbox", **change):
    """Returns a receipt of a mailbox."""
    payload = change.pop("payload", encode([channel or sha256(encode(["postern-channel", ROOT, TENANT, DEVICE]))[:16], code]))
    return Envelope(SIGNERS[signer], RECEIPT, numbers, message_id, payload, **change)


def lost(first, last, code=113, plane=0, epoch=EPOCH, signer="mailbox", **change):
    """Returns a marker of what a mailbox lost of a plane."""
    payload = change.pop("payload", encode([code]))
    numbers = change.pop("numbers", (epoch, last, first - 1))
    return Envelope(SIGNERS[signer], LOST, numbers, change.pop("digest", b""), payload, plane=plane, **change)


def bundle(number, previous, signer="root", fields=None, **change):
    """Returns a bundle; `previous` is the message id of the one before, or empty."""
    content = bundle_fields()
    content.update(fields or {})
    numbers = change.pop("numbers", (0, number, number - 1))
    payload = change.pop("payload", encode(content))
    return Envelope(SIGNERS[signer], BUNDLE, numbers, previous, payload, **change)


def bundle_fields():
    """Returns the content of the first bundle."""
    return {
        1: SIGNERS["root"].cose,
        2: SIGNERS["recovery"].cose,
        3: {TENANT: [1, SIGNERS["writer"].cose]},
        4: [[SIGNERS["mailbox"].cose, ["https://box.example/"]]],
        5: [],
    }
