"""11-engine: conversations with an adversary on the way, at the mailbox, or with a key.

The comment names the row of spec/attacks.md, by its section and what goes wrong.
"""

from . import envelope as e
from .c06_enrol import FIRST, SECOND
from .collection import Collection
from .encoding import Raw, encode, sequence
from .hashing import sha256
from .keys import SIGNERS, blob
from .session import CHANNEL, Session, challenge_frame, item, plain, raw
from .talk import BASE_SEQ, NONCES, Talk, at, beat_of, chunks, filed, head_of, state, whole

NEXT = BASE_SEQ + 1
LATER = e.EPOCH + 7
HELD = (e.EPOCH, BASE_SEQ, e.root_digest(state(1))[0])
SECOND_ITEM = [None, Raw(SECOND.untagged)]


def told(section, what):
    """Names a row of the page of attacks."""
    return f"attacks.md {section}: {what}"


def places(file):
    """Adds envelopes that were signed for another place, or by somebody else."""
    section = "names and keys"

    def add(name, spec, reject, message, what):
        talk = Talk().connect()
        talk.refuse(message, reject)
        talk.accept(at(NEXT, 2))
        talk.add(file, name, spec, told(section, what), ["attack"])

    elsewhere = "an envelope is used in another place"
    for name, change in (("device", {"device": "press-8"}), ("tenant", {"tenant": "acne"}), ("trust-domain", {"root": SIGNERS["other"].thumbprint})):
        add(f"cross-channel-{name}", "#aad", "signature-invalid", at(NEXT, 9, signed_aad=e.aad(0, **change)), f"{elsewhere}: a delta for another {name}")
        add(f"cross-channel-snapshot-{name}", "#aad", "signature-invalid", whole(NEXT, 9, signed_aad=e.aad(1, **change)), f"{elsewhere}: a snapshot for another {name}")
    for kind, message in (("delta", at(NEXT, 9, signed_aad=e.aad(0, incarnation=e.OTHER_INCARNATION))), ("snapshot", whole(NEXT, 9, signed_aad=e.aad(1, incarnation=e.OTHER_INCARNATION)))):
        add(f"earlier-incarnation-{kind}", "#incarnation", "signature-invalid", message, f"after a reset an old {kind} of the device is played to it again")
    add("cross-plane", "#aad", "signature-invalid", at(NEXT, 9, signed_aad=e.aad(0, plane=1)), f"{elsewhere}: signed for actual")
    add("cross-plane-by-device", "#planes", "key-unknown", at(NEXT, 9, signer="device-a", role="device", plane=0), "who may sign something else signs desired state: the device itself")
    for signer in ("mailbox", "root", "recovery", "other", "writer-2"):
        add(f"signed-by-{signer}", "#kinds", "key-unknown", whole(NEXT, 9, signer=signer), f"who may sign something else signs desired state: {signer}")
    add("forged-key-id", "#keys", "signature-invalid", at(NEXT, 9, signer="other", labels={4: SIGNERS["writer"].kid}), "keys whose ids collide stand for each other")
    add("algorithm-mismatch", "#verification-order", "algorithm-mismatch", at(NEXT, 9, labels={1: -9}), "an Ed25519 writer under alg -9")
    kind = e.Envelope(SIGNERS["writer"], e.SNAPSHOT, (e.EPOCH, NEXT, 0), e.root_digest(state(9))[0], whole(NEXT, 9).payload, signed_aad=e.aad(0))
    add("kind-changed", "#aad", "signature-invalid", kind, f"{elsewhere}: the kind is another one")
    add("report-as-desired", "#kinds", "signer-role", [0, raw(e.report([e.EPOCH, 1, e.EPOCH, 1, e.EPOCH, 1], b""))], f"{elsewhere}: a report where desired state belongs")


def bundles(file):
    """Adds wrong bundles and writers that are no more."""
    add = lambda talk, name, spec, what: talk.add(file, name, spec, told("names and keys", what), ["attack"])
    thief = "a thief of the writer key makes a bundle of his own before the owner does"
    for name, reject, bundle in (
        ("by-writer", "bundle-root", e.bundle(2, FIRST.message_id, signer="writer")), ("by-other", "bundle-root", e.bundle(2, FIRST.message_id, signer="other")),
        ("gap", "bundle-gap", e.bundle(3, FIRST.message_id, signer="root-2", fields={1: SIGNERS["root-2"].cose})),
        ("all-numbers", "bundle-gap", e.bundle(2**64 - 1, FIRST.message_id)), ("skips-by-writer", "bundle-gap", e.bundle(9, FIRST.message_id, signer="writer")), ("fork", "bundle-chain", e.bundle(2, SECOND.message_id)), ("stale", "bundle-stale", FIRST),
    ):
        talk = Talk().connect()
        talk.refuse([None, raw(bundle)], reject, expect={"bundle": 1})
        talk.accept(at(NEXT, 2))
        add(talk, f"bundle-{name}", "#bundle", thief)
    talk = Talk().connect()
    talk.serve([None, raw(e.bundle(9, blob("never seen", 32)))], expect={"bundle": 9})
    talk.bundle = 9
    talk.refuse(SECOND_ITEM, "bundle-stale", expect={"bundle": 9})
    talk.accept(at(NEXT, 2))
    add(talk, "bundle-newest-at-once", "#bundle", "a relay keeps a revocation back")
    talk = Talk().connect()
    talk.serve(SECOND_ITEM, expect={"bundle": 2})
    talk.bundle = 2
    talk.refuse(at(NEXT, 2), "key-unknown")
    talk.refuse(whole(1, 2, LATER, [HELD]), "key-unknown")
    add(talk, "revoked-writer-writes-on", "#bundle", "a former controller comes to life again and writes on")
    talk = Talk().connect()
    snapshot = whole(1, 1, e.EPOCH - 9, signer="writer-2")
    talk.accept(SECOND_ITEM, snapshot, generation=2, expect={"bundle": 2})
    talk.bundle = 2
    talk.step("restart", expect={"bundle": 2})
    talk.connect("-2")
    talk.refuse(at(NEXT, 2), "key-unknown")
    add(talk, "revoked-writer-after-restart", "#bundle", "a relay keeps a revocation back: after a restart the old bundle does not come back")


def revisions(file):
    """Adds rollbacks, equivocation, frozen and reused epochs."""
    add = lambda talk, name, spec, what: talk.add(file, name, spec, told("revisions", what), ["attack"])
    rollback = "a database goes back"
    talk = Talk().connect()
    talk.accept(at(NEXT, 2), at(NEXT + 1, 3))
    talk.serve(whole(BASE_SEQ, 1))
    talk.serve(whole(NEXT, 2), at(NEXT, 2))
    talk.hold()
    add(talk, "rollback-within-the-epoch", "#acceptance", f"{rollback}: what is below the head changes nothing, whoever signed it")
    talk = Talk().connect()
    talk.refuse(whole(90, 9, e.EPOCH - 1), "epoch-stale")
    talk.refuse(at(91, 9, epoch=e.EPOCH - 1), "epoch-stale")
    add(talk, "rollback-to-an-epoch", "#acceptance", f"{rollback}: a lower epoch")
    talk = Talk().connect()
    talk.accept(SECOND_ITEM, whole(1, 1, LATER, signer="writer-2"), generation=2)
    talk.bundle = 2
    talk.step("restart")
    talk.connect("-2")
    talk.serve(whole(BASE_SEQ, 1, signer="writer-2"), rejects=["epoch-stale"])
    add(talk, "rollback-after-restart", "#acceptance", f"{rollback}, and the device restarts in between")
    talk = Talk().connect()
    talk.refuse(whole(1, 9, LATER), "writer-behind")
    talk.accept(whole(1, 1, LATER, [HELD]))
    add(talk, "epoch-without-lineage", "#lineage", "a restored controller writes before it meets its devices")
    talk = Talk().connect()
    talk.accept(at(NEXT, 2), at(NEXT + 1, 3))
    talk.refuse(whole(1, 9, LATER, [HELD]), "writer-behind")
    talk.serve(at(NEXT + 2, 4), head=head_of(at(NEXT + 2, 4)))
    add(talk, "lineage-below-the-head", "#lineage", f"{rollback} from {NEXT + 1} to {BASE_SEQ}")
    talk = Talk().connect()
    talk.refuse(whole(1, 9, LATER, [(e.EPOCH, BASE_SEQ, blob("digest of another state", 32))]), "writer-behind")
    add(talk, "lineage-of-another-state", "#lineage", "a controller that knows the number and not the content")
    talk = Talk().connect()
    talk.refuse(at(2, 9, 1, LATER), "epoch-needs-snapshot", expect={"sent": ["need"]})
    add(talk, "epoch-begun-by-a-delta", "#epochs", "an epoch is opened without a snapshot")
    for name, message in (("delta", at(BASE_SEQ, 9)), ("snapshot", whole(BASE_SEQ, 9))):
        talk = Talk().connect()
        talk.refuse(message, "equivocation", expect={"frozen": e.EPOCH})
        talk.serve(at(NEXT, 2), rejects=["epoch-frozen"], expect={"frozen": e.EPOCH})
        talk.step("restart", expect={"frozen": e.EPOCH})
        talk.connect("-2")
        talk.serve(at(NEXT, 2), rejects=["epoch-frozen"])
        talk.accept(whole(1, 1, LATER, [HELD]), expect={"frozen": None})
        add(talk, f"equivocation-by-{name}", "#acceptance", "two controllers write in one epoch: it freezes, over a restart, and the next one counts")
    talk = Talk().connect()
    talk.serve(whole(NEXT, 9), whole(NEXT, 8), rejects=["equivocation"], expect={"frozen": e.EPOCH})
    talk.step("restart", expect={"frozen": e.EPOCH})
    talk.connect("-2")
    talk.serve(at(NEXT, 2), rejects=["epoch-frozen"])
    add(talk, "equivocation-of-snapshots-that-wait", "#acceptance", "two controllers write in one epoch, and of neither content the bodies are there")
    talk = Talk().connect()
    newest = whole(NEXT + 1, 9)
    talk.serve(newest, whole(NEXT, 8), expect={"sent": ["fetch"]})
    talk.bodies(chunks(state(9))[0], head=head_of(newest))
    add(talk, "older-than-what-waits", "#acceptance", f"{rollback}: a snapshot below one whose bodies are not there yet")
    talk = Talk().connect()
    talk.refuse(at(BASE_SEQ, 9, signed_aad=e.aad(0, device="press-8")), "signature-invalid", expect={"frozen": None})
    talk.accept(at(NEXT, 2))
    add(talk, "equivocation-unsigned", "#acceptance", "a contradiction that the writer did not sign freezes nothing")
    talk = Talk().connect()
    talk.accept(SECOND_ITEM, whole(1, 1, e.EPOCH, signer="writer-2"), generation=2)
    talk.bundle = 2
    talk.accept(at(2, 2, signer="writer-2"), generation=2)
    add(talk, "epoch-reused-by-the-next-writer", "#acceptance", "a stolen key signs numbers that no honest writer could pass: the generation comes first")
    talk = Talk().connect()
    top = whole(2**64 - 1, 1, 2**64 - 1, [HELD])
    talk.accept(top)
    talk.accept(SECOND_ITEM, whole(1, 1, 1, signer="writer-2"), generation=2)
    add(talk, "last-number-then-next-writer", "#revisions", "a stolen key signs numbers that no honest writer could pass: the next writer may go below")


def contents(file):
    """Adds payloads that are wrong or too large."""
    section = "state and messages"

    def add(name, spec, reject, message, what, **change):
        talk = Talk().connect()
        talk.refuse(message, reject, **change)
        talk.add(file, name, spec, told(section, what), ["attack"])

    deep = "a large or deep state exhausts its reader before anything is verified"
    need = {"expect": {"sent": ["need"]}}
    add("delta-of-another-digest", "#state", "digest-mismatch", at(NEXT, 2, digest=blob("another digest", 32)), "an edit is made to write more than its writer meant", **need)
    add("delta-removes-what-is-not-there", "#delta", "delta-remove-absent", e.delta({"a/x": 2}, ["a/y"], state=state(2), numbers=(e.EPOCH, NEXT, BASE_SEQ)), "an edit is made to write elsewhere than its writer meant", **need)
    add("delta-path-conflict", "#paths", "path-conflict", e.delta({"a/x/y": 2}, state={**state(1), "a/x/y": 2}, numbers=(e.EPOCH, NEXT, BASE_SEQ)), "a path below a value", **need)
    nested = bytes([0x81]) * 64 + b"\x00"
    add("payload-too-deep", "#cbor-profile", "cbor-depth", at(NEXT, 2, payload=encode([{"a/x": Raw(nested)}])), deep)
    add("payload-cut", "#cbor-profile", "cbor-truncated", at(NEXT, 2, payload=encode([{"a/x": 2}])[:-1]), deep)
    add("length-of-exabytes", "#cbor-profile", "cbor-truncated", at(NEXT, 2, payload=b"\x81\xbb" + b"\x7f" * 8), f"{deep}: a map that says it has 2^63 pairs")
    add("value-oversize", "#values", "value-oversize", e.delta({"a/x": bytes(32769)}, state={**state(1), "a/x": bytes(32769)}, numbers=(e.EPOCH, NEXT, BASE_SEQ)), deep)
    table = {f"s{number:04}": sha256(b"%d" % number) for number in range(513)}
    add("table-of-513-sections", "#limits", "state-oversize", whole(NEXT, 9, payload=encode([table, []])), deep)
    add("lineage-too-long", "#lineage", "lineage-invalid", whole(1, 9, LATER, [(epoch, 1, blob("digest", 32)) for epoch in range(1, 66)]), deep)
    add("payload-of-another-shape", "#delta", "path-invalid", at(NEXT, 2, payload=encode([{"/": 1}])), f"{deep}, or a path that is none")


def bodies(file):
    """Adds bodies that are not those of the table."""
    what = "a large or deep state exhausts its reader before anything is verified"
    digest, size, _, body = chunks(state(9))[0]
    other = bytes([body[0] ^ 1]) + body[1:]
    for name, reject, piece in (
        ("of-other-bytes", "body-mismatch", [digest, size, 0, other]), ("shorter-than-said", "body-mismatch", [digest, size - 1, 0, body[:-1]]),
    ):
        talk = Talk().connect()
        talk.serve(whole(NEXT, 9), expect={"sent": ["fetch"]})
        talk.bodies(piece, rejects=[reject])
        talk.add(file, f"body-{name}", "#bodies", told("state and messages", what), ["attack"])
    talk = Talk().connect()
    talk.serve(whole(NEXT, 9), expect={"sent": ["fetch"]})
    talk.bodies([blob("a body that nobody asked for", 32), 65536, 0, bytes(32768)], rejects=["body-mismatch"])
    talk.add(file, "body-that-nobody-asked-for", "#bodies", told("state and messages", what), ["attack"])
    talk = Talk().connect()
    talk.serve(whole(NEXT, 9), expect={"sent": ["fetch"]})
    talk.bodies([digest, 65537, 0, body], rejects=["section-oversize"], expect={"session": False})
    talk.add(file, "body-of-65537-bytes", "#bodies", told("state and messages", what), ["attack"])
    talk = Talk().connect()
    snapshot = whole(NEXT, 9)
    talk.serve(snapshot, expect={"sent": ["fetch"]})
    talk.step("restart")
    talk.connect("-2")
    talk.hold()
    talk.add(file, "restart-between-table-and-bodies", "#snapshot", told("state and messages", "a table without its bodies counts for nothing"), ["attack"])


def ways(file):
    """Adds answers that come from a cache, from another session, from another mailbox, or from nowhere."""
    add = lambda talk, name, spec, what: talk.add(file, name, spec, told("sessions and frames", what), ["attack"])
    cache = "answers come from a cache"
    talk = Talk().connect()
    talk.hold()
    kept = talk.answer()
    talk.hold()
    talk.step("answer", ["answer-mismatch"], to="poll", again=kept, expect={"session": False})
    add(talk, "cached-answer", "#sessions", f"{cache}: the idle answer to the poll before freezes the device no longer than one session")
    talk = Talk().connect()
    kept = talk.accept(at(NEXT, 2))
    talk.step("restart")
    talk.connect("-2")
    talk.hold()
    talk.step("answer", ["session-unknown"], to="poll", again=kept, expect={"session": False})
    add(talk, "answer-of-an-earlier-session", "#sessions", f"{cache}: of the session before")
    for name, change in (("earlier", {"earlier": 1}), ("later", {"later": 1})):
        talk = Talk().connect()
        talk.end_session("answer-mismatch", change=change)
        add(talk, f"answer-to-{name}-counter", "#sessions", f"{cache}: the counter of another request, under the right key")
    talk = Talk().connect()
    talk.hold()
    talk.reply(sequence(item(at(NEXT, 2))), rejects=["session-mac"], change={"flip": True}, expect={"session": False})
    talk.connect("-2", wait=5_000)
    talk.accept(at(NEXT, 2))
    add(talk, "answer-forged", "#sessions", "hints are forged to silence a device: one bit of the tag")
    talk = Talk().connect()
    talk.end_session("session-unknown", change={"session": blob("session of another", 4)})
    add(talk, "answer-of-another-session", "#sessions", "an inspector answers for a session that is not this one")
    for name, reject, frame in (
        ("page-of-a-portal", "frame-unknown", b"<html><body>Please log in</body></html>"), ("empty-body", "shape", b""), ("unknown-type", "frame-unknown", b"\x63" + bytes(40)), ("49153-bytes", "oversize", b"\x01" + bytes(49152)),
        ("own-poll", "frame-direction", Session(session_id=blob("session", 4), challenge=blob("challenge", 16)).frame(0, 1, 0, 1, None, 0, 0)),
    ):
        talk = Talk().connect()
        talk.hold()
        talk.step("answer", [reject], to="poll", frame=frame, expect={"session": False})
        talk.connect("-2", wait=5_000)
        talk.accept(at(NEXT, 2))
        add(talk, f"answered-by-{name}", "#frames", "garbage, oversized or misdirected frames")
    talk = Talk().connect()
    talk.end_session("answer-mismatch", kind=5)
    add(talk, "bodies-to-a-poll", "#answer", "garbage, oversized or misdirected frames: bodies that nobody asked for")
    for name, reject, body in (("cut", "cbor-truncated", b"\x82"), ("of-another-shape", "shape", encode("an envelope")), ("with-unknown-hint", "shape", encode({99: 1}))):
        talk = Talk().connect()
        talk.end_session(reject, body=body)
        talk.connect("-2", wait=5_000)
        talk.accept(at(NEXT, 2))
        add(talk, f"answer-{name}", "#answer", "garbage, oversized or misdirected frames, under the right tag")
    talk = Talk().connect()
    talk.refuse(at(NEXT, 2, payload=bytes(48128)), "oversize", expect={"session": True})
    talk.accept(at(NEXT, 2))
    add(talk, "envelope-oversize", "#limits", "garbage, oversized or misdirected frames: an envelope above its limit spoils no other")
    handshakes(file, add)
    hints(file, add)


def handshakes(file, add):
    """Adds mailboxes that are not the one of the bundle."""
    what = "a challenge of one mailbox is relayed to another"
    talk = Talk()
    talk.step("connect", expect={"sent": ["ask"]})
    talk.step("answer", ["mailbox-mismatch"], to="ask", frame=challenge_frame(Session(mailbox="mailbox-2")), expect={"sent": [], "session": False})
    add(talk, "challenge-of-another-mailbox", "#hello", what)
    session = Session()
    for name, reject, welcome in (
        ("of-another-key", "key-unknown", session.welcome(signer="mailbox-2")), ("of-another-handshake", "digest-mismatch", Session("-2").welcome()),
        ("forged", "signature-invalid", session.welcome(signer="other", labels={4: SIGNERS["mailbox"].kid})),
        ("for-another-device", "signature-invalid", session.welcome(signed_aad=e.aad(10, device="press-8"))),
    ):
        talk = Talk()
        talk.step("connect", expect={"sent": ["ask"]})
        talk.step("answer", to="ask", frame=challenge_frame(session), expect={"sent": ["hello"], "frames": [plain(20, CHANNEL, raw(session.hello()))]})
        talk.step("answer", [reject], to="hello", frame=plain(21, raw(welcome)), expect={"session": False})
        talk.connect("-2", wait=5_000)
        talk.accept(at(NEXT, 2))
        add(talk, f"welcome-{name}", "#hello", what)


def hints(file, add):
    """Adds hints that are forged by a mailbox, and files for others."""
    what = "hints are forged to silence a device or to move it away"
    talk = Talk().connect()
    talk.serve(hints={3: "https://evil.example/"}, expect={"moves": []})
    talk.accept(at(NEXT, 2), expect={"session": True})
    add(talk, "move-to-a-stranger", "#answer", what)
    talk = Talk().connect()
    talk.serve(hints={4: [[0, 60000]]})
    talk.accept(at(NEXT, 2))
    add(talk, "refusal-of-nothing", "#answer", f"{what}: a code that no registry has")
    talk = Talk().connect()
    talk.refuse(at(NEXT + 1, 3), "base-newer", expect={"sent": ["need"]})
    talk.answer(to="need")
    talk.step("wait", wait=1, expect={"sent": []})
    add(talk, "need-once-in-five-seconds", "#need", "ten unsigned bytes make a controller sign a snapshot: a device that is lied to asks no more often than once in 5 s")
    elsewhere = plain(23, blob("channel of another", 16), 0, Raw(at(NEXT, 2).tagged))
    talk = Talk()
    talk.step("filed", ["not-admitted"], frame=elsewhere)
    add(talk, "file-of-another-channel", "#file-binding", "a file is changed, reordered, or meant for somebody else")
    talk = Talk()
    talk.step("filed", ["signature-invalid"], frame=filed(at(NEXT, 2, signed_aad=e.aad(0, device="press-8"))))
    add(talk, "file-for-another-device", "#file-binding", "a file is changed, reordered, or meant for somebody else")
    talk = Talk()
    talk.step("filed", ["base-newer"], frame=filed(at(NEXT + 1, 3)))
    talk.head = head_of(at(NEXT, 2))
    talk.step("filed", frame=filed(at(NEXT, 2)))
    add(talk, "file-reordered", "#file-binding", "a file is changed, reordered, or meant for somebody else")


def freshness(file):
    """Adds heartbeats that are kept back and dripped slowly."""
    add = lambda talk, name, what: talk.add(file, name, "#heartbeat", told("state and messages", what), ["attack"])
    slow = "heartbeats are dripped slowly and freeze a device for days"
    talk = Talk().connect()
    talk.serve(beat_of(1_000_000, NONCES[0]), expect={"stale": False})
    for minute in range(1, 8):
        talk.step("wait", wait=60_000)
        talk.serve(beat_of(1_000_000 + minute * 5_000), expect={"stale": minute >= 2})
    add(talk, "slow-drip", f"{slow}: a minute here, five seconds there")
    talk = Talk().connect()
    for minute in range(1, 4):
        talk.serve(beat_of(1_000_000 + minute * 60_000), expect={"stale": True})
    add(talk, "heartbeats-without-echo", f"{slow}: without an echo nothing is fresh")
    talk = Talk().connect()
    kept = beat_of(1_000_000, NONCES[0])
    talk.serve(kept, expect={"stale": False})
    talk.step("wait", wait=200_000, expect={"stale": True})
    talk.serve(kept, expect={"stale": True})
    add(talk, "echo-again", "an echo that was kept back anchors freshness: the nonce counts once")
    talk = Talk().connect()
    talk.step("wait", wait=200_000)
    talk.serve(beat_of(1_000_000, NONCES[0]), expect={"stale": True})
    add(talk, "echo-kept-back", "an echo that was kept back anchors at the moment of the question, not of its arrival")
    talk = Talk().connect()
    talk.serve(beat_of(1_000_000, NONCES[0]), expect={"stale": False})
    talk.step("restart", expect={"stale": True})
    talk.connect("-2")
    talk.serve(beat_of(1_010_000, NONCES[0]), expect={"stale": True})
    add(talk, "echo-of-an-earlier-boot", "a heartbeat of an earlier boot anchors freshness")
    talk = Talk().connect()
    talk.refuse(beat_of(1_000_000, NONCES[0], signer="mailbox"), "key-unknown", expect={"stale": True})
    add(talk, "heartbeat-of-the-mailbox", "who may sign something else speaks for the writer")


def build():
    """Returns the file of adversaries, by what they attack."""
    files = []
    for name, fill in (("places", places), ("bundles", bundles), ("revisions", revisions), ("contents", contents), ("bodies", bodies), ("ways", ways), ("freshness", freshness)):
        file = Collection(f"11-engine/attack-{name}.json", "engine.step", f"conversations with an adversary: {name}; what is refused changes nothing, and the device goes on")
        fill(file)
        files.append(file)
    return files
