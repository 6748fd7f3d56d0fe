"""06-sessions: what is inside evidence, requests for a next key, and files read frame by frame."""

from . import curve
from . import envelope as e
from .c03_lives import ACCEPTED, ACTUAL, HEAD, OTHER, RESTORED, ROOT, TABLE, proof
from .c03_valid import STATE, others, reports
from .c05_frames import CHUNK, LIVES
from .collection import Collection
from .encoding import Raw, encode
from .keys import SIGNERS, blob, cose_key
from .session import CHANNEL, TOKEN, Session, challenge_frame, enrol_mac, plain, raw

PLACE = {"root": e.ROOT, "tenant": e.TENANT, "device": e.DEVICE, "incarnation": e.INCARNATION}
OTHERS = {name: message for name, _, message in others()}
CURRENT, NEXT = SIGNERS["device-a"], SIGNERS["device-b"]


def evidence():
    """Returns the file of evidence whose envelopes are verified."""
    file = Collection("06-sessions/evidence.json", "evidence.verify", "evidence, then each envelope in it as its receiver verifies it: role of the accused, plane of the evidence")

    def fields(proofs, code=66, table=None, reader="device-a", accused="writer", role="device"):
        digest = ROOT if table else e.root_digest({e.PATH: "hall-B"})[0]
        message = e.evidence(HEAD, digest, code, table, proofs, signer=reader, role=role)
        return {"cose": message.tagged, "role": role, "reader_key": SIGNERS[reader].public, "accused_key": SIGNERS[accused].public, **PLACE}

    def valid(name, comment, proofs, proved, **change):
        file.valid(f"evidence-{name}", "#evidence", comment, ["evidence"], **fields(proofs, **change), proved=proved)

    def bad(name, error, comment, proofs, **change):
        file.invalid(f"evidence-{name}", error, "#evidence", comment, ["evidence"], **fields(proofs, **change))

    controller = dict(reader="writer", accused="device-a", role="writer")
    valid("proves-equivocation", "both contents of one revision", [proof(ACCEPTED), proof(OTHER)], [True, True])
    valid("proves-writer-behind", "what was accepted and what was refused", [proof(ACCEPTED), proof(RESTORED)], [True, True], code=64, table=TABLE)
    valid("proves-half", "an envelope that did not fit proves nothing", [proof(ACCEPTED, False), proof(OTHER)], [False, True])
    valid("proves-nothing", "both are only named", [proof(ACCEPTED, False), proof(OTHER, False)], [False, False])
    valid("proves-for-actual", "the controller accuses the device", [proof(message) for message in ACTUAL], [True, True], **controller)
    p256 = [e.delta({e.PATH: value}, signer="writer-p256") for value in ("hall-B", "hall-C")]
    valid("proves-p256", "a writer and a reader with P-256 keys", [proof(message) for message in p256], [True, True], reader="device-p256", accused="writer-p256")
    swapped = [(OTHER.message_id, ACCEPTED.untagged), (ACCEPTED.message_id, OTHER.untagged)]
    bad("ids-swapped", "digest-mismatch", "each id stands beside the other envelope", swapped)
    bad("id-of-another", "digest-mismatch", "the id of no envelope here", [(blob("message", 32), ACCEPTED.untagged)])
    bad("id-of-wire-bytes", "digest-mismatch", "the hash of the envelope", [(e.sha256(ACCEPTED.untagged), ACCEPTED.untagged)])
    bad("second-id-of-another", "digest-mismatch", "the first fits, the second does not", [proof(ACCEPTED), (blob("message", 32), OTHER.untagged)])
    bad("of-another-writer", "key-unknown", "another key signed the envelope", [proof(e.delta({e.PATH: "hall-B"}, signer="other"))])
    bad("forged", "signature-invalid", "another key under the id of the accused", [proof(e.delta({e.PATH: "hall-B"}, signer="other", labels={4: SIGNERS["writer"].kid}))])
    for name, change in (("device", {"device": "press-8"}), ("incarnation", {"incarnation": e.OTHER_INCARNATION}), ("plane", {"plane": 1})):
        bad(f"of-another-{name}", "signature-invalid", f"signed for another {name}", [proof(e.delta({e.PATH: "hall-B"}, signed_aad=e.aad(0, **change)))])
    bad("report-inside", "signer-role", "the accused signs no reports", [proof(reports()[0][2])])
    bad("bundle-inside", "signer-role", "the accused signs no bundles", [proof(OTHERS["bundle-first"])])
    bad("answer-inside", "plane-mismatch", "a kind without a plane", [proof(OTHERS["enrol-answer"])])
    bad("evidence-inside", "plane-mismatch", "the accused accuses for the other plane only", [proof(LIVES["evidence-of-controller"])])
    for name, error, envelope, comment in (
        ("empty", "cbor-truncated", b"", "no byte at all"), ("cut", "cbor-truncated", ACCEPTED.untagged[:-1], "the last byte is missing"), ("trailing", "cbor-trailing", ACCEPTED.untagged + b"\0", "one byte more"),
        ("tagged", "cbor-tag", ACCEPTED.tagged, "an envelope inside has no tag"), ("no-envelope", "shape", b"\x80", "an empty array"),
    ):
        bad(f"envelope-{name}", error, comment, [(ACCEPTED.message_id, envelope)])
    return file


def rotation():
    """Returns the file of requests for a next key."""
    file = Collection("06-sessions/rotation.json", "enrol.rotation", "the request of list 6, untagged, as both ends verify it; `current` is the thumbprint of the present key")

    def request(signer="device-b", key=None, **change):
        return e.enrol_request(SIGNERS[signer].cose if key is None else key, signer, token=change.pop("token", CURRENT.kid), **change)

    def fields(message, **change):
        return {"request": message.untagged, "current": CURRENT.thumbprint, **PLACE, **change}

    for name, message, current, comment in (
        ("honest", request(), CURRENT, "another Ed25519 key"), ("to-p256", request("device-p256"), CURRENT, "from Ed25519 to P-256"), ("from-p256", request(token=SIGNERS["device-p256"].kid), SIGNERS["device-p256"], "from P-256 to Ed25519"),
    ):
        file.valid(f"rotation-{name}", "#rotation", comment, ["rotation"], **fields(message, current=current.thumbprint), message_id=message.message_id, next=message.signer.thumbprint)
    small = cose_key(curve.compress(curve.torsion()[4]))
    off = {**SIGNERS["device-p256"].cose, -3: SIGNERS["other-p256"].cose[-3]}
    payload = lambda **change: encode([change.get("token", CURRENT.kid), change.get("device", e.DEVICE), NEXT.cose, change.get("incarnation", e.INCARNATION), blob("enrol nonce", 16)])
    rows = (
        ("token-of-next", "token-unknown", request(token=NEXT.kid), "the id of the next key itself"), ("token-of-invitation", "token-unknown", request(token=TOKEN), "the token of an invitation"), ("token-zero", "token-unknown", request(token=bytes(8)), "eight zeros"),
        ("other-name", "token-unknown", request(payload=payload(device="press-8")), "for another device"), ("other-incarnation", "token-unknown", request(payload=payload(incarnation=e.OTHER_INCARNATION)), "the incarnation before the reset"),
        ("present-key", "token-used", request("device-a"), "the present key once more"), ("forged", "signature-invalid", request("other", key=NEXT.cose, labels={4: NEXT.kid}), "another key under the id of the next one"),
        ("by-present-key", "key-unknown", request("device-a", key=NEXT.cose), "the present key signs for the next one"), ("other-tenant", "signature-invalid", request(signed_aad=e.aad(5, tenant="acne")), "signed for another tenant"),
        ("other-root", "signature-invalid", request(signed_aad=e.aad(5, root=SIGNERS["other"].thumbprint)), "signed for another trust domain"), ("other-digest", "digest-mismatch", request(digest=blob("other", 32)), "the hash of another payload"),
        ("small-order", "key-refused", request(key=small, labels={4: e.sha256(encode(small))[:8]}), "the key check refuses the next key"), ("p256-off-curve", "key-refused", request("device-p256", key=off, labels={4: e.sha256(encode(off))[:8]}), "the next key is no point"),
        ("p256-as-ed25519", "algorithm-mismatch", request("device-p256", labels={1: -19}), "alg -19 with a P-256 key"), ("a-hello", "signer-role", Session().hello(), "another kind"), ("an-answer", "signer-role", OTHERS["enrol-answer"], "another kind"),
        ("numbers", "header-numbers", request(numbers=(1, 0, 0)), "an epoch"), ("name-invalid", "name-invalid", request(payload=payload(device="Press")), "no device name"),
        *((f"signature-before-{what}", "signature-invalid", request("other", payload=payload(**change), labels={4: NEXT.kid}), "of the payload its key alone counts before the signature") for what, change in (("token", {"token": TOKEN}), ("name", {"device": "press-8"}), ("form", {"device": "Press"}), ("incarnation", {"incarnation": e.OTHER_INCARNATION}))),
    )
    for name, error, message, comment in rows:
        file.invalid(f"rotation-{name}", error, "#rotation", comment, ["rotation"], **fields(message))
    file.invalid("rotation-tagged", "cbor-tag", "#rotation", "a request in a report has no tag", ["rotation"], **fields(request(), request=request().tagged))
    return file


def files():
    """Returns the file of files."""
    file = Collection("06-sessions/files.json", "file.read", "files, read frame by frame; `frames` counts those before the end or the first that is refused")
    posted = lambda message: plain(23, CHANNEL, message.plane, Raw(message.tagged))
    delta, snapshot, bundle = posted(e.delta({e.PATH: "hall-B"})), posted(e.snapshot(STATE)), posted(OTHERS["bundle-first"])
    body = plain(14, CHANNEL, 0, CHUNK)
    enrol = plain(16, TOKEN, enrol_mac(OTHERS["enrol-request"]), raw(OTHERS["enrol-request"]))
    enrolled = plain(17, [raw(OTHERS["bundle-first"]), raw(OTHERS["bundle-second"])], raw(OTHERS["enrol-answer"]))
    report = posted(reports()[0][2])

    def add(name, comment, frames, error=None, rest=b""):
        given = {"input": b"".join(frames) + rest, "frames": len(frames)}
        if error:
            file.invalid(f"file-{name}", error, "#file-binding", comment, ["file"], **given)
        else:
            file.valid(f"file-{name}", "#file-binding", comment, ["file"], **given)

    add("empty", "no frame at all", [])
    add("bundle-and-snapshot", "what a device needs to begin", [bundle, snapshot, body])
    add("delta", "one delta", [delta])
    add("enrol", "a request carried by hand", [enrol])
    add("enrolled-and-more", "the answer, then what follows", [enrolled, snapshot, body, delta])
    add("from-device", "report, evidence, heartbeat, actual and its body", [report, posted(LIVES["evidence-writer-behind"]), posted(LIVES["heartbeat-of-device"]), posted(e.actual(e.snapshot, STATE)), plain(14, CHANNEL, 1, CHUNK)])
    add("same-twice", "a frame twice is two frames", [delta, delta])
    session = Session()
    for name, frame in (("poll", session.frame(0, 1, 25, 1, None, *HEAD)), ("answer", session.frame(1, 1)), ("put", session.frame(6, 1, 1, CHUNK)), ("stream", session.frame(13, 1, 15000, 40, 0, 1, None, *HEAD)), ("stream-answer", session.frame(15, 1, 0, 0, b"")), ("ask", plain(18, 1)), ("challenge", challenge_frame(session)), ("hello", plain(20, CHANNEL, raw(session.hello()))), ("refused", plain(22, 114))):
        add(f"with-{name}", "this type does not travel in files", [bundle, delta], "frame-direction", frame + delta)
    for number in (24, 31):
        add(f"type-{number}", "no frame has this type", [bundle], "frame-unknown", bytes([number]) + delta)
    for first in (0x83, 0xd2, 0xff):
        add(f"byte-{first}", "no frame begins so", [delta], "frame-unknown", bytes([first]) + delta)
    for name, frame in (("posted", delta), ("body", body), ("enrol", enrol), ("enrolled", enrolled)):
        add(f"cut-{name}", "the last byte is missing", [bundle], "cbor-truncated", frame[:-1])
    add("type-alone", "a type and nothing else", [bundle, delta], "cbor-truncated", b"\x17")
    add("untagged", "an envelope in type 23 has tag 18", [bundle], "shape", plain(23, CHANNEL, 0, raw(e.delta({"k": 1}))) + delta)
    add("other-tag", "another tag is told as one", [bundle], "cbor-tag", plain(23, CHANNEL, 0, Raw(b"\xd1" + e.delta({"k": 1}).untagged)) + delta)
    add("plane-2-then-cut", "every item is in the profile before one is judged", [delta], "cbor-truncated", plain(23, CHANNEL, 2, Raw(e.delta({"k": 1}).tagged))[:-1])
    add("body-beyond-size", "a piece beyond the size", [bundle], "shape", plain(14, CHANNEL, 0, [CHUNK[0], CHUNK[1], 1, CHUNK[3]]) + delta)
    add("body-size-65537", "a body above its limit", [bundle], "section-oversize", plain(14, CHANNEL, 0, [CHUNK[0], 65537, 0, CHUNK[3]]))
    add("plane-2", "no such plane", [delta], "shape", plain(23, CHANNEL, 2, Raw(e.delta({"k": 1}).tagged)))
    add("long-item", "an item that is not in its shortest form", [delta], "cbor-not-shortest", b"\x17\x58\x10" + CHANNEL)
    return file


def build():
    """Returns the three files."""
    return [evidence(), rotation(), files()]
