"""03-sign1: one honest envelope for every kind and form, with all intermediates."""

from . import envelope as e
from .collection import Collection
from .diagnostic import envelope as diagnose
from .encoding import encode
from .keys import SIGNERS, blob

STATE = {"net/wifi/ssid": "hall-B", "line/speed": 40, "line/enabled": True, "note": None}


def fields(message, large=False):
    """Returns the inputs and intermediates of one envelope."""
    row = dict(message.expected)
    row["cose"] = message.tagged
    row["message_id"] = message.message_id
    if not large:
        row.update(
            protected=message.protected, payload=message.payload, tbs=message.to_be_signed(),
            signature=message.signature, diag=diagnose(message),
        )
    return row


def deltas():
    """Returns deltas in both forms."""
    moved = {"line/speed": 40, "net/lan/mtu": 1500}
    return (
        ("delta-one-key", "the delta of the byte budget", e.delta({e.PATH: "hall-B"})),
        ("delta-two-keys", "two sets", e.delta({"a": 1, "b/c": -1.5})),
        ("delta-remove", "a removal only", e.delta({}, ["line/enabled"], {"line/speed": 40})),
        ("delta-set-and-remove", "both", e.delta({"net/lan/mtu": 1500}, ["b", "net/lan"], moved)),
        ("delta-removals-shorter-first", "ascending by encoding, not by letters", e.delta({}, ["z", "aa"], {"k": 1})),
        ("delta-null-is-a-value", "null is stored", e.delta({"k": None})),
        ("delta-reference", "a reference", e.delta({"fw/image": [blob("artefact", 32), 1 << 20, "application/octet-stream"]})),
        ("delta-smallest-numbers", "epoch 1, seq 2, base 1", e.delta({"k": 1}, numbers=(1, 2, 1))),
        ("delta-largest-numbers", "2^64-1", e.delta({"k": 1}, numbers=(2**64 - 1, 2**64 - 1, 2**64 - 2))),
        ("delta-spans-decisions", "base far below seq", e.delta({"k": 1}, numbers=(e.EPOCH, e.SEQ, 1))),
        ("delta-longest-path", "255 bytes", e.delta({"p" * 127 + "/" + "q" * 127: 1})),
    )


def snapshots():
    """Returns snapshots with and without a past."""
    lineage = [(5, 10, blob("head 5", 32)), (9, 2, blob("head 9", 32))]
    many = [(index + 1, 1, blob(f"head {index}", 32)) for index in range(64)]
    return (
        ("snapshot-empty", "the empty state", e.snapshot({}, numbers=(e.EPOCH, 1, 0))),
        ("snapshot-three-sections", "sections net, line and the one without a name", e.snapshot(STATE)),
        ("snapshot-lineage", "two earlier epochs", e.snapshot(STATE, lineage)),
        ("snapshot-lineage-longest", "64 earlier epochs", e.snapshot({"k": 1}, many)),
        ("snapshot-of-second-writer", "another writer key", e.snapshot({"k": 1}, signer="writer-2")),
    )


def reports():
    """Returns reports in all four forms."""
    digest = e.root_digest(STATE)[0]
    head = [e.EPOCH, e.SEQ]
    rejects = {1: [[0, e.EPOCH, e.SEQ + 1, 68]]}
    full = {
        1: [[0, e.EPOCH, e.SEQ + 1, 68], [1, 1, 5, 62]], 2: [[e.EPOCH, 4, -1, "no such unit"]],
        3: [[e.EPOCH, 2, 9]], 4: [[1, 12], [2, 1]],
    }
    next_key = e.enrol_request(SIGNERS["device-b"].cose, "device-b", token=SIGNERS["device-a"].kid).untagged
    intents = [
        ["intent/boot", 3, 0], ["intent/run", 8, 1], ["intent/run", 7, 2], ["intent/run", 2**40, 3], ["intent/run", 0, 4], ["intent/run", 8, 5, [-1, "no paper"]],
        ["intent/many/words", 1, 6], ["intent/boot", 2**64 - 1, 7], ["intent/run", 9, 5, [0, ""]],
    ]
    later = {5: intents, 6: next_key, 7: True}
    sixteen = {1: [[0, e.EPOCH, index + 1, 52] for index in range(16)]}
    return (
        ("report-equal-cursors", "the report of the byte budget", e.report(head, digest)),
        ("report-nothing-applied", "no revision yet, empty digest", e.report([0, 0], b"")),
        ("report-with-lists", "equal cursors and one reject", e.report([*head, rejects], digest)),
        ("report-apart", "three cursors", e.report([*head, e.EPOCH, e.SEQ - 1, e.EPOCH, e.SEQ - 2], digest)),
        ("report-apart-epochs", "a higher epoch with a lower seq", e.report([9, 1, 8, 500, 8, 400], digest)),
        ("report-applied-nothing", "received and accepted, applied none", e.report([*head, *head, 0, 0], b"")),
        ("report-all-lists", "apart, with every list", e.report([*head, *head, e.EPOCH, 3, full], digest)),
        ("report-intents", "every outcome, the end of an action twice", e.report([*head, {5: intents}], digest)),
        ("report-intent-longest-output", "512 bytes", e.report([*head, {5: [["intent/run", 9, 5, [2**31, "x" * 512]]]}], digest)),
        ("report-lost-intents", "list 4 names list 5", e.report([*head, {4: [[1, 1], [2, 2], [3, 3], [5, 2**64 - 1]]}], digest)),
        ("report-rotation", "the request of the next key", e.report([*head, {6: next_key}], digest)),
        ("report-rotation-longest", "512 bytes; what they are is judged later", e.report([*head, {6: bytes(512)}], digest)),
        ("report-leaving", "the device leaves", e.report([*head, {7: True}], digest)),
        ("report-lists-1-to-7", "all at once", e.report([*head, *head, e.EPOCH, 3, {**full, 4: [[1, 12], [5, 1]], **later}], digest)),
        ("report-longest-list", "16 entries", e.report([*head, sixteen], digest)),
        ("report-longest-output", "512 bytes", e.report([*head, {2: [[e.EPOCH, 1, 0, "x" * 512]]}], digest)),
    )


def others():
    """Returns the kinds outside the planes."""
    device = SIGNERS["device-a"]
    request = e.enrol_request(device.cose, "device-a")
    first = e.bundle(1, b"")
    second = e.bundle(2, first.message_id, fields={3: {e.TENANT: [2, SIGNERS["writer-2"].cose]}, 5: [SIGNERS["writer"].thumbprint]})
    hello = encode([blob("challenge", 16), blob("device ephemeral", 32)])
    transcript = blob("transcript", 32)
    ack = e.Envelope(SIGNERS["writer"], e.REPORT_ACK, (e.EPOCH, 7, 0), b"", b"\x80")
    answer = e.Envelope(SIGNERS["writer"], e.ENROL_ANSWER, (e.EPOCH, 1, 0), request.message_id, encode([1, device.thumbprint]))
    return (
        ("report-ack", "an acknowledgement of report 7", ack),
        ("enrol-request", "signed by the key it carries", request),
        ("enrol-answer", "confirms the request by its id", answer),
        ("bundle-first", "signed by the root it carries", first),
        ("bundle-second", "a new writer key, the old one revoked", second),
        ("session-hello", "the digest is the transcript", e.Envelope(device, e.HELLO, (0, 0, 0), transcript, hello)),
        ("session-welcome", "signed by the mailbox", e.Envelope(SIGNERS["mailbox"], e.WELCOME, (0, 0, 0), transcript, encode([blob("session", 4), 2, 86400]))),
    )


def largest():
    """Returns a delta whose envelope has exactly 48128 bytes."""
    size = 15000
    message = e.delta({"a": bytes(32768), "b": bytes(size)})
    size += 48128 - len(message.untagged)
    message = e.delta({"a": bytes(32768), "b": bytes(size)})
    assert len(message.untagged) == 48128
    return message


def build():
    """Returns the file of honest envelopes."""
    file = Collection("03-sign1/valid.json", "sign1.verify", "honest envelopes with their intermediates")
    for name, comment, message in (*deltas(), *snapshots(), *reports(), *others()):
        file.valid(f"sign1-{name}", "#envelope", comment, [name.split("-")[0]], **fields(message))
    file.valid("sign1-largest-envelope", "#envelope", "48128 bytes without the tag", ["limit"], **fields(largest(), large=True))
    revoked = dict(fields(e.delta({"k": 2})), revoked=[SIGNERS["writer-2"].thumbprint])
    file.valid("sign1-other-key-revoked", "#keys", "the revocation of another key changes nothing", ["revoked"], **revoked)
    return [file]
