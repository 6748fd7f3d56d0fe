"""03-sign1: envelopes that fail before or at the signature, in the order of verification."""

from . import envelope as e
from .collection import Collection
from .encoding import Raw, encode
from .keys import SIGNERS

SETS = {"k": 1}
WRITER = SIGNERS["writer"]
NUMBERS = (e.EPOCH, e.SEQ, e.SEQ - 1)
DIGEST = e.root_digest(SETS)[0]
HEADER = [e.DELTA, *NUMBERS, DIGEST]


class Refused:
    """Adds envelopes that must be refused."""

    def __init__(self, file):
        self.file = file

    def __call__(self, name, error, comment, message, flags=(), spec="#verification-order", **change):
        fields = dict(message.expected, cose=message.tagged)
        fields.update(change)
        self.file.invalid(f"sign1-{name}", error, spec, comment, flags, **fields)


def delta(**change):
    """Returns a delta that breaks what `change` says."""
    return e.delta(SETS, **change)


def outer_as(*items, tag=b""):
    """Returns a builder of another outer array; the names are parts of the message."""
    def build(message):
        parts = [getattr(message, item) if isinstance(item, str) else item for item in items]
        return tag + encode(parts)
    return build


def outers(add):
    """Adds wrong outer arrays."""
    empty = Raw(b"\xa0")
    whole = ("protected", empty, "payload", "signature")
    rows = (
        ("outer-three-items", "shape", "no signature", ("protected", empty, "payload"), b""),
        ("outer-five-items", "shape", "one item more", (*whole, 0), b""),
        ("outer-empty", "shape", "an empty array", (), b""),
        ("protected-null", "shape", "null for the header", (None, *whole[1:]), b""),
        ("protected-as-map", "shape", "the header is not wrapped", ({1: -19}, *whole[1:]), b""),
        ("unprotected-null", "shape", "null for the map", ("protected", None, *whole[2:]), b""),
        ("unprotected-array", "shape", "an array for the map", ("protected", [], *whole[2:]), b""),
        ("payload-nil", "shape", "detached payloads do not exist here", ("protected", empty, None, "signature"), b""),
        ("payload-text", "shape", "text for bytes", ("protected", empty, "text of the payload", "signature"), b""),
        ("signature-nil", "shape", "null for the signature", (*whole[:3], None), b""),
        ("tag-98", "cbor-tag", "the tag of COSE_Sign", whole, b"\xd8\x62"),
        ("tag-18-twice", "cbor-tag", "only one tag is stripped", whole, b"\xd2"),
        ("tag-17", "cbor-tag", "the tag of COSE_Mac0", whole, b"\xd1"),
    )
    for name, error, comment, items, tag in rows:
        items = [Raw(encode(item)) if item == "text of the payload" else item for item in items]
        add(name, error, comment, delta(outer=outer_as(*items, tag=tag)), ["outer"])
    add("untagged", "shape", "a vector has tag 18", delta(), ["outer"], cose=delta().untagged)
    add("untagged-empty", "cbor-truncated", "not even a tag", delta(), ["outer"], cose=b"")
    add("outer-map", "shape", "a map", delta(outer=lambda message: b"\xa0"), ["outer"])
    add("outer-truncated", "cbor-truncated", "the last byte is missing", delta(outer=lambda m: encode(list_of(m))[:-1]), ["outer"])
    add("outer-trailing", "cbor-trailing", "one byte more", delta(outer=lambda m: encode(list_of(m)) + b"\0"), ["outer"])
    add("outer-indefinite", "cbor-indefinite", "an open array", delta(outer=lambda m: b"\x9f" + encode(list_of(m))[1:] + b"\xff"), ["outer"])
    long_payload = lambda m: encode([m.protected, empty, Raw(b"\x59" + len(m.payload).to_bytes(2, "big") + m.payload), m.signature])
    add("payload-long-length", "cbor-not-shortest", "the length of the payload in three bytes", delta(outer=long_payload), ["pitfall-3"])
    typed = lambda m: encode([m.protected, empty, Raw(b"\xd8\x40" + encode(m.payload)), m.signature])
    add("payload-tag-64", "cbor-tag", "bytes tagged as typed array", delta(outer=typed), ["pitfall-12"])
    add("oversize", "oversize", "48129 bytes without the tag", delta(outer=oversize), ["limit"])


def list_of(message):
    """Returns the honest outer array."""
    return [message.protected, {}, message.payload, message.signature]


def oversize(message):
    """Returns an array of 48129 bytes."""
    room = 48129 - 1 - len(encode(message.protected)) - 1 - len(encode(message.signature)) - 3
    return encode([message.protected, {}, bytes(room), message.signature])


def buckets(add):
    """Adds wrong header buckets and labels."""
    for name, content in (("alg", {1: -19}), ("kid", {4: WRITER.kid}), ("crit", {2: [1]}), ("private", {-65537: []}), ("text", {"x": 1})):
        add(f"unprotected-{name}", "unprotected-not-empty", "a label in the bucket that anyone can change",
            delta(unprotected=encode(content)), ["pitfall-7", "pitfall-11"])
    moved = delta(without=[1], unprotected=encode({1: -19}))
    add("alg-only-unprotected", "unprotected-not-empty", "alg moved out of the signature", moved, ["pitfall-7"])
    for label in (1, 4, -65537):
        add(f"without-label-{abs(label)}", "shape", f"label {label} is missing", delta(without=[label]), ["header"])
    add("protected-empty-map", "shape", "an encoded empty map", delta(protected=b"\xa0"), ["pitfall-2"])
    add("protected-empty", "cbor-truncated", "no byte at all", delta(protected=b""), ["pitfall-2"])
    add("protected-array", "shape", "an array", delta(protected=encode([1, -19])), ["header"])
    for name, value in (("private", [-70001]), ("known", [1]), ("text", ["x"])):
        add(f"crit-{name}", "crit-unknown", "no extension is defined", delta(labels={2: value}), ["pitfall-8"])
    for label, value in ((3, 0), (5, b"iv"), (15, {1: "issuer"}), (16, "postern"), (-65536, 1), (-65538, 1), ("x", 1), (258, -16), (0, 0)):
        name = f"label-{str(label).replace('-', 'minus-')}"
        add(name, "header-label-unknown", f"label {label}", delta(labels={label: value}), ["header"])
    for algorithm, name in ((-8, "eddsa"), (-7, "es256"), (-53, "ed448"), (-49, "ml-dsa-65"), (19, "positive"), (0, "reserved")):
        add(f"algorithm-{name}", "algorithm-unknown", f"alg {algorithm}", delta(labels={1: algorithm}), ["pitfall-9"])
    add("algorithm-esp256", "algorithm-mismatch", "alg -9 with an Ed25519 key", delta(labels={1: -9}), ["pitfall-9"])


def encodings(add):
    """Adds protected headers that are not in the profile, honestly signed."""
    honest = e.protected(WRITER, 0, NUMBERS, DIGEST)
    rows = (
        ("trailing", "cbor-trailing", "one byte more", honest + b"\0"),
        ("cut", "cbor-truncated", "one byte less", honest[:-1]),
        ("unsorted", "cbor-unsorted-key", "kid before alg", b"\xa3\x04" + encode(WRITER.kid) + b"\x01\x32" + honest[13:]),
        ("duplicate", "cbor-duplicate-key", "alg twice", b"\xa4\x01\x32" + honest[1:]),
        ("long-alg", "cbor-not-shortest", "-19 in two bytes", b"\xa3\x01\x38\x12" + honest[3:]),
        ("long-label", "cbor-not-shortest", "label 1 in two bytes", b"\xa3\x18\x01" + honest[2:]),
        ("indefinite", "cbor-indefinite", "an open map", b"\xbf" + honest[1:] + b"\xff"),
        ("float-number", "shape", "a float for the epoch", encode({1: -19, 4: WRITER.kid, -65537: [0, 1.5, 2, 1, DIGEST]})),
        ("tagged", "cbor-tag", "a tag around the map", b"\xc1" + honest),
        ("undefined", "cbor-simple", "undefined for the digest", encode({1: -19, 4: WRITER.kid, -65537: [0, 3, 2, 1, Raw(b"\xf7")]})),
    )
    for name, error, comment, protected in rows:
        add(f"protected-{name}", error, comment, delta(protected=protected), ["pitfall-1", "pitfall-3"])
    for name, value in (("short", WRITER.kid[:7]), ("long", WRITER.thumbprint), ("text", "12345678"), ("empty", b"")):
        add(f"kid-{name}", "shape", "the key id is 8 bytes", delta(labels={4: value}), ["header"])
    rows = (
        ("four-items", HEADER[:4]), ("six-items", HEADER + [0]), ("map", {}), ("negative-epoch", [0, -1, 2, 1, DIGEST]),
        ("negative-kind", [-1, *HEADER[1:]]), ("text-kind", ["delta", *HEADER[1:]]), ("null-digest", [*HEADER[:4], None]), ("text-digest", [*HEADER[:4], "x" * 32]),
    )
    for name, value in rows:
        add(f"numbers-{name}", "shape", "label -65537 is [kind, epoch, seq, base, digest]", delta(labels={-65537: value}), ["header"])


def kinds(add):
    """Adds unknown kinds, wrong roles and wrong planes."""
    for kind in (15, 16, 255, 2**32):
        message = e.Envelope(WRITER, kind, (e.EPOCH, e.SEQ, 0), DIGEST, b"\x80")
        add(f"kind-{kind}", "kind-unknown", "a reserved or unassigned kind", message, ["kind"], plane=0)
    from .c03_lives import evidences, heartbeats
    from .c03_valid import others, reports, snapshots
    honest = {"delta": delta(), "snapshot": snapshots()[0][2], "report": reports()[0][2]}
    honest.update((name, message) for name, _, message in others())
    honest.update({"delta-of-device": e.actual(e.delta, SETS), "snapshot-of-device": e.actual(e.snapshot, SETS)})
    new = {name: message for name, _, message in (*heartbeats(), *evidences())}
    honest.update((name, new[name]) for name in ("heartbeat", "heartbeat-of-device", "evidence-writer-behind", "evidence-of-controller"))
    for name, message in honest.items():
        for role in ("writer", "device", "root", "mailbox", "enrolling"):
            if role != message.role:
                # Two roles sign some kinds, each for its own plane only; those that sign a hello bind another place.
                if message.kind == e.HELLO and role in e.GREETERS:
                    place = e.aad(e.HELLO, depth=e.GREETERS[role])
                    add(f"{name}-from-{role}", "signature-invalid", f"a {role} binds another place", message, ["cross-kind"], role=role, aad=place)
                    continue
                error = "plane-mismatch" if role in e.SIGNED[message.kind] else "signer-role"
                add(f"{name}-from-{role}", error, f"this kind is not signed by {role}", message, ["cross-kind"], role=role)
        for plane in (None, 0, 1):
            if plane != message.expected["plane"]:
                text = "none" if plane is None else str(plane)
                add(f"{name}-on-plane-{text}", "plane-mismatch", f"not on plane {text}", message, ["cross-plane"], plane=plane)


def numbers(add):
    """Adds header numbers and digests that are not those of the kind."""
    device, mailbox, root = SIGNERS["device-a"], SIGNERS["mailbox"], SIGNERS["root"]
    rows = (
        ("delta-epoch-0", "epoch-zero", WRITER, 0, (0, 2, 1)), ("delta-seq-0", "seq-zero", WRITER, 0, (1, 0, 0)),
        ("delta-base-0", "header-numbers", WRITER, 0, (1, 2, 0)), ("delta-base-equal", "base-not-below", WRITER, 0, (1, 2, 2)),
        ("delta-base-above", "base-not-below", WRITER, 0, (1, 2, 3)), ("delta-seq-1-base-1", "base-not-below", WRITER, 0, (1, 1, 1)),
        ("snapshot-epoch-0", "epoch-zero", WRITER, 1, (0, 1, 0)), ("snapshot-seq-0", "seq-zero", WRITER, 1, (1, 0, 0)),
        ("snapshot-base", "header-numbers", WRITER, 1, (1, 2, 1)), ("report-epoch-0", "epoch-zero", device, 2, (0, 1, 0)),
        ("report-seq-0", "seq-zero", device, 2, (1, 0, 0)), ("report-base", "header-numbers", device, 2, (1, 2, 1)),
        ("report-ack-epoch-0", "epoch-zero", WRITER, 3, (0, 1, 0)), ("report-ack-seq-0", "seq-zero", WRITER, 3, (1, 0, 0)),
        ("report-ack-base", "header-numbers", WRITER, 3, (1, 2, 1)), ("enrol-request-epoch", "header-numbers", device, 5, (1, 0, 0)),
        ("enrol-request-seq", "header-numbers", device, 5, (0, 1, 0)), ("enrol-request-base", "header-numbers", device, 5, (0, 0, 1)),
        ("enrol-answer-epoch-0", "epoch-zero", WRITER, 6, (0, 1, 0)), ("enrol-answer-seq-0", "seq-zero", WRITER, 6, (1, 0, 0)),
        ("enrol-answer-base", "header-numbers", WRITER, 6, (1, 2, 1)), ("bundle-epoch", "header-numbers", root, 7, (1, 2, 1)),
        ("bundle-number-0", "seq-zero", root, 7, (0, 0, 0)), ("bundle-base", "header-numbers", root, 7, (0, 3, 1)),
        ("hello-epoch", "header-numbers", device, 9, (1, 0, 0)), ("hello-seq", "header-numbers", device, 9, (0, 1, 0)),
        ("welcome-epoch", "header-numbers", mailbox, 10, (1, 0, 0)), ("welcome-base", "header-numbers", mailbox, 10, (0, 0, 1)),
        ("heartbeat-epoch-0", "header-numbers", WRITER, 4, (0, 1, 1)), ("heartbeat-seq-0", "header-numbers", WRITER, 4, (1, 0, 1)),
        ("heartbeat-base-0", "header-numbers", WRITER, 4, (1, 1, 0)), ("heartbeat-all-0", "header-numbers", WRITER, 4, (0, 0, 0)),
        ("heartbeat-largest-epoch-alone", "header-numbers", WRITER, 4, (2**64 - 1, 0, 1)), ("evidence-epoch-0", "epoch-zero", device, 12, (0, 1, 0)),
        ("evidence-seq-0", "seq-zero", device, 12, (1, 0, 0)), ("evidence-base", "header-numbers", device, 12, (1, 2, 1)),
    )
    for name, error, signer, kind, values in rows:
        digest = b"" if kind == 3 else DIGEST
        message = e.Envelope(signer, kind, values, digest, b"\x80")
        add(f"numbers-{name}", error, f"epoch, seq, base = {values}", message, ["numbers"])
    lengths(add)


def lengths(add):
    """Adds digests of a wrong length."""
    device, mailbox, root = SIGNERS["device-a"], SIGNERS["mailbox"], SIGNERS["root"]
    rows = (
        ("delta-empty", WRITER, 0, NUMBERS, b""), ("delta-31", WRITER, 0, NUMBERS, DIGEST[:31]), ("delta-33", WRITER, 0, NUMBERS, DIGEST + b"\0"),
        ("snapshot-empty", WRITER, 1, (1, 1, 0), b""), ("report-16", device, 2, (1, 1, 0), DIGEST[:16]), ("report-ack-32", WRITER, 3, (1, 1, 0), DIGEST),
        ("enrol-request-empty", device, 5, (0, 0, 0), b""), ("enrol-answer-empty", WRITER, 6, (1, 1, 0), b""), ("bundle-1-with-32", root, 7, (0, 1, 0), DIGEST),
        ("bundle-2-empty", root, 7, (0, 2, 1), b""), ("hello-empty", device, 9, (0, 0, 0), b""), ("welcome-8", mailbox, 10, (0, 0, 0), DIGEST[:8]),
        ("heartbeat-empty-with-head", WRITER, 4, (1, 1, 1), b""), ("heartbeat-32-without-head", WRITER, 4, (0, 0, 1), DIGEST), ("heartbeat-31", WRITER, 4, (1, 1, 1), DIGEST[:31]),
        ("evidence-empty", device, 12, (1, 1, 0), b""), ("evidence-8", device, 12, (1, 1, 0), DIGEST[:8]),
    )
    for name, signer, kind, values, digest in rows:
        add(f"digest-{name}", "digest-length", f"{len(digest)} bytes", e.Envelope(signer, kind, values, digest, b"\x80"), ["digest"])


def signatures(add):
    """Adds wrong keys, lengths and signatures."""
    for size in (0, 32, 63, 65, 70, 128):
        cut = lambda signature, size=size: (signature * 2)[:size]
        add(f"signature-{size}-bytes", "signature-length", "64 bytes are asked for", delta(signature=cut), ["pitfall-10"])
    unknown = e.delta(SETS, signer="other")
    add("key-of-nobody", "key-unknown", "a key that may not sign this", unknown, ["key"], public_key=WRITER.public)
    add("kid-of-another", "key-unknown", "the key signs under another id", delta(labels={4: SIGNERS["other"].kid}), ["key"])
    add("kid-zero", "key-unknown", "eight zeros", delta(labels={4: bytes(8)}), ["key"])
    add("key-revoked", "key-revoked", "the bundle revokes the key", delta(), ["key"], revoked=[WRITER.thumbprint])
    two = sorted([WRITER.thumbprint, SIGNERS["other"].thumbprint])
    add("key-revoked-among-two", "key-revoked", "one of two revoked keys", delta(), ["key"], revoked=two)
    forged = e.delta(SETS, signer="other", labels={4: WRITER.kid})
    add("forged-kid", "signature-invalid", "another key under the id of the writer", forged, ["key"], public_key=WRITER.public)
    for bit in (0, 200, 300, 511):
        flip = lambda signature, bit=bit: (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")
        add(f"signature-bit-{bit}", "signature-invalid", f"bit {bit} is flipped", delta(signature=flip), ["signature"])
    order = 2**252 + 27742317777372353535851937790883648493
    add_l = lambda s: s[:32] + (int.from_bytes(s[32:], "little") + order).to_bytes(32, "little")
    add("signature-s-plus-l", "signature-invalid", "S must be below L", delta(signature=add_l), ["malleability"])
    other_payload = delta(outer=lambda m: encode([m.protected, {}, encode([{"k": 2}]), m.signature]))
    add("payload-changed", "signature-invalid", "another value under the signature", other_payload, ["signature"])
    cross = e.protected(WRITER, 0, (e.EPOCH, e.SEQ + 1, e.SEQ), DIGEST)
    renumbered = delta(outer=lambda m: encode([cross, {}, m.payload, m.signature]))
    add("header-renumbered", "signature-invalid", "another seq under the signature", renumbered, ["signature"])


def orders(add):
    """Adds envelopes that break two steps of verification: the earlier one is told."""
    full = encode({4: WRITER.kid})
    long_alg = b"\xa3\x01\x38\x12" + e.protected(WRITER, 0, NUMBERS, DIGEST)[3:]
    short_kid = WRITER.kid[:7]
    cut = lambda signature: signature[:63]
    numbers_of = lambda *values: {-65537: list(values)}
    unsigned = lambda m: encode([m.protected, Raw(full), None, m.signature])
    rows = (
        ("payload-nil-and-full-map", "shape", delta(outer=unsigned), {}),
        ("long-alg-and-full-map", "cbor-not-shortest", delta(protected=long_alg, unprotected=full), {}),
        ("full-map-and-no-kid", "unprotected-not-empty", delta(without=[4], unprotected=full), {}),
        ("no-kid-and-crit", "shape", delta(without=[4], labels={2: [1]}), {}),
        ("label-0-and-crit", "crit-unknown", delta(labels={0: 0, 2: [1]}), {}),
        ("crit-and-algorithm", "crit-unknown", delta(labels={1: -8, 2: [1]}), {}),
        ("label-and-algorithm", "header-label-unknown", delta(labels={1: -8, 3: 0}), {}),
        ("algorithm-and-kid", "algorithm-unknown", delta(labels={1: -8, 4: short_kid}), {}),
        ("text-algorithm-and-kid", "algorithm-unknown", delta(labels={1: "x", 4: short_kid}), {}),
        ("kid-and-kind", "shape", delta(labels={4: short_kid, **numbers_of(255, *HEADER[1:])}), {}),
        ("kind-and-digest", "kind-unknown", delta(labels=numbers_of(255, *HEADER[1:4], b"x")), {}),
        ("numbers-and-digest", "header-numbers", delta(labels=numbers_of(1, *HEADER[1:4], b"")), {}),
        ("numbers-and-plane", "epoch-zero", delta(labels=numbers_of(0, 0, 2, 1, DIGEST)), {"plane": 1}),
        ("digest-and-role", "digest-length", delta(labels=numbers_of(*HEADER[:4], DIGEST[:31])), {"role": "root"}),
        ("role-and-signature", "signer-role", delta(signature=cut), {"role": "root"}),
        ("plane-and-signature", "plane-mismatch", delta(signature=cut), {"plane": 1}),
        ("signature-and-key", "signature-length", delta(labels={4: bytes(8)}, signature=cut), {}),
    )
    for name, error, message, change in rows:
        add(f"order-{name}", error, "two steps are broken, the earlier one is told", message, ["order"], **change)


def structures(add):
    """Adds signatures over another structure or another place."""
    honest = e.protected(WRITER, 0, NUMBERS, DIGEST)
    payload = encode([SETS])
    aad = e.aad(0)
    structure = lambda *parts: encode(["Signature1", *parts])
    long = Raw(b"\x59" + len(payload).to_bytes(2, "big") + payload)
    rows = (
        ("context-signature", "the context of COSE_Sign", "pitfall-6", encode(["Signature", honest, aad, payload])),
        ("context-sign-body", "the five parts of COSE_Sign", "pitfall-6", encode(["Signature", honest, b"", aad, payload])),
        ("aad-nil", "nil for the aad", "pitfall-4", structure(honest, None, payload)),
        ("aad-empty", "an empty aad", "pitfall-4", structure(honest, b"", payload)),
        ("aad-left-out", "no aad", "pitfall-4", structure(honest, payload)),
        ("aad-unwrapped", "the array itself, not bytes", "pitfall-4", structure(honest, Raw(aad), payload)),
        ("payload-nil-signed", "nil for the payload", "pitfall-5", structure(honest, aad, None)),
        ("payload-empty-signed", "an empty payload", "pitfall-5", structure(honest, aad, b"")),
        ("protected-empty-signed", "an empty header", "pitfall-2", structure(b"", aad, payload)),
        ("protected-unwrapped-signed", "the map itself, not bytes", "pitfall-1", structure(Raw(honest), aad, payload)),
        ("length-not-shortest-signed", "the length of the payload in three bytes", "pitfall-3", structure(honest, aad, long)),
        ("payload-only-signed", "no structure at all", "pitfall-13", payload),
        ("hash-signed", "the hash of the structure", "pitfall-13", e.sha256(structure(honest, aad, payload))),
    )
    for name, comment, flag, tbs in rows:
        add(f"signed-{name}", "signature-invalid", comment, delta(tbs=tbs), [flag])
    places = (
        ("other-root", {"root": SIGNERS["other"].thumbprint}), ("other-tenant", {"tenant": "acne"}), ("other-device", {"device": "press-8"}),
        ("other-incarnation", {"incarnation": e.OTHER_INCARNATION}), ("other-plane", {"plane": 1}), ("other-kind", {"kind": 1}),
        ("other-protocol", {"protocol": "postern/2"}), ("shorter-by-plane", {"depth": 4}), ("only-root", {"depth": 1}),
    )
    for name, other in places:
        add(f"aad-{name}", "signature-invalid", "signed for another place", delta(signed_aad=e.aad(0, **other)), ["cross-" + name.split("-")[-1]])
    others(add)


def others(add):
    """Adds replays of the other kinds into another place."""
    from .c03_valid import others as honest, reports
    rows = {name: message for name, _, message in honest()}
    rows["report"] = reports()[0][2]
    from .c03_lives import evidences, heartbeats
    rows.update((name, message) for name, _, message in (*heartbeats(), *evidences()))
    rows.update({"delta-of-device": e.actual(e.delta, SETS), "snapshot-of-device": e.actual(e.snapshot, SETS)})
    for name, change in (
        ("heartbeat", {"incarnation": e.OTHER_INCARNATION}), ("heartbeat-of-device", {"device": "press-8"}), ("evidence-writer-behind", {"incarnation": e.OTHER_INCARNATION}),
        ("evidence-of-controller", {"tenant": "acne"}), ("delta-of-device", {"device": "press-8"}), ("snapshot-of-device", {"incarnation": e.OTHER_INCARNATION}),
        ("report", {"incarnation": e.OTHER_INCARNATION}), ("report-ack", {"device": "press-8"}), ("enrol-request", {"tenant": "acne"}),
        ("enrol-answer", {"incarnation": e.OTHER_INCARNATION}), ("bundle-first", {"root": SIGNERS["other"].thumbprint}),
        ("session-hello", {"device": "press-8"}), ("session-welcome", {"device": "press-8"}),
    ):
        message = rows[name]
        add(f"replay-{name}", "signature-invalid", f"expected with another {next(iter(change))}", message, ["replay"],
            aad=e.aad(message.kind, **{"plane": message.plane, **change}))
    for name, build in (("delta", e.delta), ("snapshot", e.snapshot)):
        crossed = build(SETS, signer="device-a", role="device", signed_aad=e.aad(getattr(e, name.upper()), plane=0))
        add(f"aad-{name}-of-device-for-desired", "signature-invalid", "a device signs for the plane of the controller", crossed, ["cross-plane"], spec="#actual")
    ack = e.protected(WRITER, e.REPORT_ACK, (e.EPOCH, 7, 0), b"")
    moved = delta(outer=lambda m: encode([ack, {}, m.payload, m.signature]))
    add("replay-delta-as-ack", "signature-invalid", "the header of another kind before a signed payload", moved, ["cross-kind"],
        aad=e.aad(e.REPORT_ACK))


def build():
    """Returns the file of refused headers and signatures."""
    file = Collection("03-sign1/invalid-header.json", "sign1.verify", "refused before the payload is read")
    add = Refused(file)
    for part in (outers, buckets, encodings, kinds, numbers, signatures, orders, structures):
        part(add)
    return [file]
