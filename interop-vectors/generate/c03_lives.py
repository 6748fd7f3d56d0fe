"""03-sign1: heartbeats and evidence, honest and with one rule broken, and what a device signs of its own plane."""

from . import envelope as e
from .c03_header import Refused
from .c03_valid import STATE, fields
from .collection import Collection
from .encoding import Raw, encode
from .hashing import sha256
from .keys import SIGNERS, blob

ROOT, TABLE = e.root_digest(STATE)
HEAD = (e.EPOCH, e.SEQ)
NONE = (0, 0)
LARGEST = 2**64 - 1
# What a writer signed that a reader holds against it: two contents of one revision, and a snapshot without a past.
ACCEPTED = e.delta({e.PATH: "hall-B"})
OTHER = e.delta({e.PATH: "hall-C"})
RESTORED = e.snapshot({e.PATH: "hall-A"}, numbers=(e.EPOCH + 9, 1, 0))
ACTUAL = [e.actual(e.delta, {"line/speed": speed}) for speed in (40, 41)]


def heartbeats():
    """Returns heartbeats of both writers."""
    device = dict(signer="device-a", role="device")
    return (
        ("heartbeat", "no nonce", e.heartbeat(HEAD, ROOT)),
        ("heartbeat-echo", "answers a nonce", e.heartbeat(HEAD, ROOT, echo=e.ECHO)),
        ("heartbeat-ask", "asks for an answer", e.heartbeat(HEAD, ROOT, ask=e.ASK)),
        ("heartbeat-echo-and-ask", "both", e.heartbeat(HEAD, ROOT, echo=e.ECHO, ask=e.ASK)),
        ("heartbeat-nothing-written", "no head: (0, 0) and no digest", e.heartbeat(NONE, b"", ask=e.ASK)),
        ("heartbeat-nothing-accepted", "nothing of the other plane", e.heartbeat(HEAD, ROOT, NONE)),
        ("heartbeat-nothing-at-all", "neither written nor accepted", e.heartbeat(NONE, b"", NONE, 0)),
        ("heartbeat-largest-numbers", "2^64-1 in each place", e.heartbeat((LARGEST, LARGEST), ROOT, (LARGEST, LARGEST), LARGEST, base=LARGEST)),
        ("heartbeat-smallest-numbers", "1 in each place", e.heartbeat((1, 1), ROOT, (1, 1), 1)),
        ("heartbeat-zero-nonce", "any 16 bytes are a nonce", e.heartbeat(HEAD, ROOT, echo=bytes(16))),
        ("heartbeat-of-device", "the head of actual; the other plane is desired", e.heartbeat(HEAD, ROOT, ask=e.ASK, **device)),
        ("heartbeat-of-device-echo", "answers the controller", e.heartbeat(HEAD, ROOT, echo=e.ECHO, **device)),
        ("heartbeat-of-device-nothing-written", "never wrote, accepted a head", e.heartbeat(NONE, b"", **device)),
    )


def proof(message, is_kept=True):
    """Returns a message id and the envelope, if it is kept."""
    return message.message_id, message.untagged if is_kept else None


def evidences():
    """Returns evidence of both readers."""
    controller = dict(signer="writer", role="writer")
    first = e.root_digest({"line/speed": 40})[0]
    return (
        ("evidence-writer-behind", "table, newest accepted and refused envelope", e.evidence(HEAD, ROOT, 64, TABLE, [proof(ACCEPTED), proof(RESTORED)])),
        ("evidence-one-message", "only what was refused", e.evidence(HEAD, ROOT, 64, TABLE, [proof(RESTORED)])),
        ("evidence-envelopes-left-out", "messages are named, their envelopes did not fit", e.evidence(HEAD, ROOT, 64, TABLE, [proof(ACCEPTED, False), proof(RESTORED, False)])),
        ("evidence-without-table", "null for the table", e.evidence(HEAD, ROOT, 64, None, [proof(RESTORED)])),
        ("evidence-of-empty-state", "an empty table", e.evidence(HEAD, e.root_digest({})[0], 64, {}, [proof(RESTORED)])),
        ("evidence-equivocation", "two contents of one revision", e.evidence(HEAD, e.root_digest({e.PATH: "hall-B"})[0], 66, None, [proof(ACCEPTED), proof(OTHER)])),
        ("evidence-equivocation-one-left-out", "the accepted one did not fit", e.evidence(HEAD, ROOT, 66, None, [proof(ACCEPTED, False), proof(OTHER)])),
        ("evidence-envelope-is-no-envelope", "what is inside is judged when it is used", e.evidence(HEAD, ROOT, 66, None, [(blob("message", 32), b"")])),
        ("evidence-of-controller", "the controller about actual", e.evidence(HEAD, first, 66, None, [proof(message) for message in ACTUAL], **controller)),
        ("evidence-of-controller-behind", "the device forgot what it wrote", e.evidence(HEAD, ROOT, 64, TABLE, [proof(ACTUAL[0])], **controller)),
    )


def actuals():
    """Returns what a device signs of its own plane."""
    lineage = [(5, 10, blob("head 5", 32)), (9, 2, blob("head 9", 32))]
    return (
        ("actual-delta", "the device sets one value", e.actual(e.delta, {"line/speed": 40})),
        ("actual-delta-both-forms", "a set and a removal", e.actual(e.delta, {"intent/run": 8}, ["line/speed"], {"intent/run": 8})),
        ("actual-delta-spans", "base far below seq: later writes joined", e.actual(e.delta, {"k": 1}, numbers=(e.EPOCH, e.SEQ, 1))),
        ("actual-delta-edit", "an edit", e.actual(e.delta, {}, payload=encode([{}, [], {"log/last": [[12, 0, b"!"]]}]), digest=ROOT)),
        ("actual-snapshot-first", "a first epoch", e.actual(e.snapshot, STATE, numbers=(1, 1, 0))),
        ("actual-snapshot-lineage", "two earlier starts", e.actual(e.snapshot, STATE, lineage)),
        ("actual-snapshot-empty", "the empty state", e.actual(e.snapshot, {}, numbers=(e.EPOCH, 1, 0))),
    )


def bad_heartbeats(add):
    """Adds heartbeats whose payload breaks one rule."""
    def bad(name, error, comment, payload, **change):
        add(f"heartbeat-{name}", error, comment, e.heartbeat(HEAD, ROOT, payload=payload if isinstance(payload, bytes) else encode(payload), **change), ["payload"], spec="#heartbeat")

    good = [e.START, 5, *HEAD, None, None]
    for name, place, value, comment in (
        ("start-7", 0, bytes(7), "the start id is 8 bytes"), ("start-16", 0, bytes(16), "the start id is 8 bytes"), ("start-null", 0, None, "null for the start id"), ("start-text", 0, "12345678", "text for the start id"),
        ("uptime-null", 1, None, "null for the uptime"), ("uptime-negative", 1, -1, "a negative uptime"), ("uptime-float", 1, 1.5, "a float for the uptime"), ("uptime-text", 1, "5", "text for the uptime"),
        ("other-epoch-alone", 3, 0, "an epoch without a seq"), ("other-seq-alone", 2, 0, "a seq without an epoch"), ("other-null", 2, None, "null for the epoch"), ("other-negative", 3, -1, "a negative seq"),
        ("echo-15", 4, bytes(15), "a nonce is 16 bytes"), ("echo-17", 4, bytes(17), "a nonce is 16 bytes"), ("echo-empty", 4, b"", "a nonce is 16 bytes"), ("echo-text", 4, "x" * 16, "text for a nonce"),
        ("echo-false", 4, False, "false for a nonce"), ("ask-15", 5, bytes(15), "a nonce is 16 bytes"), ("ask-32", 5, bytes(32), "a nonce is 16 bytes"), ("ask-zero", 5, 0, "a number for a nonce"), ("ask-array", 5, [], "an array for a nonce"),
    ):
        bad(name, "shape", comment, [*good[:place], value, *good[place + 1:]])
    for name, payload, comment in (
        ("five-members", good[:5], "no ask"), ("seven-members", [*good, None], "one member more"), ("no-members", [], "an empty array"), ("map-payload", {1: 5}, "a map"), ("null-payload", None, "null"),
        ("nested-head", [e.START, 5, list(HEAD), None, None], "the head is not wrapped"),
    ):
        bad(name, "shape", comment, payload)
    whole = encode(good)
    for name, error, payload, comment in (
        ("empty-payload", "cbor-truncated", b"", "no byte at all"), ("cut", "cbor-truncated", whole[:-1], "the last byte is missing"), ("trailing", "cbor-trailing", whole + b"\xf6", "one item more"),
        ("undefined-nonce", "cbor-simple", whole[:-1] + b"\xf7", "undefined for null"), ("long-uptime", "cbor-not-shortest", whole.replace(b"\x05", b"\x18\x05", 1), "5 in two bytes"),
        ("tagged-start", "cbor-tag", b"\x86\xd8\x40" + whole[1:], "a tag before the start id"),
    ):
        bad(name, error, comment, payload)
    bad("of-device-other-alone", "shape", "an epoch without a seq", [e.START, 5, 7, 0, None, None], signer="device-a", role="device")


def bad_evidences(add):
    """Adds evidence whose payload breaks one rule."""
    named = [list(proof(ACCEPTED)), list(proof(RESTORED))]

    def bad(name, error, comment, payload, digest=ROOT, **change):
        payload = payload if isinstance(payload, bytes) else encode(payload)
        add(f"evidence-{name}", error, comment, e.evidence(HEAD, digest, 0, None, [], payload=payload, **change), ["payload"], spec="#evidence")

    for name, payload, comment in (
        ("code-65", [65, None, named], "another reject"), ("code-0", [0, None, named], "no reject"), ("code-largest", [LARGEST, None, named], "no reject"), ("code-text", ["equivocation", None, named], "a name for the number"),
        ("code-null", [None, None, named], "null for the code"), ("table-with-equivocation", [66, TABLE, named], "a table with equivocation"), ("empty-table-with-equivocation", [66, {}, named], "a table with equivocation"),
        ("table-array", [64, [], named], "an array for the table"), ("table-short-digest", [64, {"net": bytes(31)}, named], "31 bytes"), ("table-integer-section", [64, {1: bytes(32)}, named], "an integer for a name"),
        ("no-messages", [64, TABLE, []], "at least one message"), ("three-messages", [66, None, [*named, named[0]]], "at most two messages"), ("messages-null", [66, None, None], "null for the messages"),
        ("message-bare", [66, None, [named[0][0]]], "an id alone"), ("message-one-member", [66, None, [named[0][:1]]], "no envelope and no null"), ("message-three-members", [66, None, [[*named[0], 0]]], "one member more"),
        ("message-id-31", [66, None, [[bytes(31), None]]], "31 bytes"), ("message-id-null", [66, None, [[None, None]]], "null for an id"), ("envelope-array", [66, None, [[named[0][0], Raw(ACCEPTED.untagged)]]], "the envelope is not wrapped"),
        ("envelope-text", [66, None, [[named[0][0], "x"]]], "text for an envelope"), ("two-members", [64, named], "no table and no null"), ("four-members", [64, TABLE, named, 0], "one member more"), ("map-payload", {64: named}, "a map"),
    ):
        bad(name, "shape", comment, payload)
    for name, section in (("capital", "Net"), ("two-segments", "net/wifi"), ("dots", "..")):
        table = {section: bytes(32)}
        bad(f"section-{name}", "section-invalid", "not empty and no segment", [64, table, named], sha256(encode(["postern-state", table])))
    table = {f"s{index}": bytes(32) for index in range(513)}
    bad("513-sections", "state-oversize", "one section too many", [64, table, named], sha256(encode(["postern-state", table])))
    for name, digest, comment in (("other-digest", blob("another root", 32), "the header signs another root"), ("digest-of-table", sha256(encode(TABLE)), "the hash of the table without its context"), ("digest-of-empty", e.root_digest({})[0], "the root of the empty state")):
        bad(name, "digest-mismatch", comment, [64, TABLE, named], digest)
    bad("empty-table-other-digest", "digest-mismatch", "an empty table under another root", [64, {}, named])
    whole = encode([66, None, named])
    for name, error, payload, comment in (
        ("empty-payload", "cbor-truncated", b"", "no byte at all"), ("cut", "cbor-truncated", whole[:-1], "the last byte is missing"), ("trailing", "cbor-trailing", whole + b"\0", "one byte more"),
        ("unsorted-table", "cbor-unsorted-key", b"\x83\x18\x40\xa2\x62aa\x58\x20" + bytes(32) + b"\x61z\x58\x20" + bytes(32) + encode(named), "the order of a plain string sort"),
        ("long-code", "cbor-not-shortest", b"\x83\x19\x00\x42" + whole[3:], "66 in three bytes"), ("undefined-table", "cbor-simple", whole[:3] + b"\xf7" + whole[4:], "undefined for null"),
    ):
        bad(name, error, comment, payload)
    bad("of-controller-no-messages", "shape", "at least one message", [66, None, []], signer="writer", role="writer")


def bad_actuals(add):
    """Adds what a device signs of its own plane with one rule broken."""
    rows = (
        ("delta-base-equal", "base-not-below", e.actual(e.delta, {"k": 1}, numbers=(1, 2, 2)), "base is seq"), ("delta-epoch-0", "epoch-zero", e.actual(e.delta, {"k": 1}, numbers=(0, 2, 1)), "epoch 0"),
        ("snapshot-base", "header-numbers", e.actual(e.snapshot, {"k": 1}, numbers=(1, 2, 1)), "a snapshot has base 0"), ("snapshot-seq-0", "seq-zero", e.actual(e.snapshot, {"k": 1}, numbers=(1, 0, 0)), "seq 0"),
        ("delta-empty", "delta-empty", e.actual(e.delta, {}, digest=ROOT), "no set and no removal"), ("delta-path", "path-invalid", e.actual(e.delta, {"K": 1}), "a path that is none"),
        ("snapshot-other-digest", "digest-mismatch", e.actual(e.snapshot, STATE, digest=blob("another root", 32)), "the header signs another root"),
        ("snapshot-own-epoch", "lineage-invalid", e.actual(e.snapshot, STATE, [(e.EPOCH, 1, bytes(32))]), "the epoch of the snapshot itself"),
        ("delta-other-incarnation", "signature-invalid", e.actual(e.delta, {"k": 1}, signed_aad=e.aad(0, plane=1, incarnation=e.OTHER_INCARNATION)), "the incarnation before the reset"),
        ("delta-of-other-device", "signature-invalid", e.actual(e.delta, {"k": 1}, signed_aad=e.aad(0, plane=1, device="press-8")), "of another device"),
        ("delta-as-snapshot", "signature-invalid", e.actual(e.delta, {"k": 1}, signed_aad=e.aad(1, plane=1)), "signed as another kind"),
    )
    for name, error, message, comment in rows:
        add(f"actual-{name}", error, comment, message, ["actual"], spec="#actual")
    writer = e.Envelope(SIGNERS["writer"], e.DELTA, (e.EPOCH, e.SEQ, e.SEQ - 1), ROOT, encode([{"k": 1}]), role="device")
    add("actual-delta-of-controller", "key-unknown", "the writer's key signs for actual", writer, ["actual"], spec="#actual", public_key=SIGNERS["device-a"].public)


def build():
    """Returns the three files."""
    files = []
    for name, spec, honest, refused, description in (
        ("heartbeat", "#heartbeat", heartbeats, bad_heartbeats, "heartbeats of both writers"), ("evidence", "#evidence", evidences, bad_evidences, "evidence of both readers; envelopes inside are bytes here"),
        ("actual", "#actual", actuals, bad_actuals, "deltas and snapshots that a device signs"),
    ):
        file = Collection(f"03-sign1/{name}.json", "sign1.verify", description)
        for title, comment, message in honest():
            file.valid(f"sign1-{title}", spec, comment, [name], **fields(message))
        refused(Refused(file))
        files.append(file)
    return files
