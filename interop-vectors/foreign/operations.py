"""Every operation of the vector files, judged from its inputs alone."""

import struct

from . import cbor, encryption, engine, frame, lives, overtime, payload, relays, session, state, trust
from .cbor import Refused, ensure, write
from .crypto import check_key, cose_key, sha256, thumbprint, verify
from .envelope import untag, verify_envelope


def untyped(value):
    """Returns the value of its JSON form."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "bytes":
        return bytes.fromhex(content)
    if kind == "float":
        return struct.unpack(">d", bytes.fromhex(content))[0]
    if kind == "int":
        return int(content)
    assert kind == "reference"
    return [bytes.fromhex(content["digest"]), untyped(content["size"]), content["media_type"]]


def state_of(test, name="state"):
    """Returns the state of a test, filled or listed."""
    if "fill" in test:
        form = test["fill"]
        return {f"s{s:04}/k{k:04}": b"\x5a" * form["bytes"] for s in range(form["sections"]) for k in range(form["keys"])}
    return {path: untyped(value) for path, value in test[name].items()}


def check_digest(test, found):
    """Compares digest and sections with a test."""
    root, sections = found
    assert root.hex() == test["digest"], test["name"]
    if "sections" in test:
        assert {name: digest.hex() for name, digest in sections.items()} == test["sections"], test["name"]


def cbor_check(test):
    """Judges one item and reads it back."""
    data = bytes.fromhex(test["input"])
    assert write(cbor.check(data)) == data


def key_thumbprint(test):
    """Judges a thumbprint."""
    public = bytes.fromhex(test["public_key"])
    check_key(public)
    assert cose_key(public).hex() == test["cose_key"]
    assert thumbprint(public).hex() == test["thumbprint"] and test["thumbprint"].startswith(test["kid"])


def channel_id(test):
    """Judges a channel id."""
    payload.check_name(test["tenant"])
    payload.check_name(test["device"])
    preimage = write(["postern-channel", bytes.fromhex(test["root"]), test["tenant"], test["device"]])
    assert preimage.hex() == test["preimage"] and sha256(preimage)[:16].hex() == test["channel_id"]


def signature_of(size):
    """Returns the judge of signatures under keys of a size."""
    def judge(test):
        public, message, signature = (bytes.fromhex(test[name]) for name in ("public_key", "message", "signature"))
        ensure(len(public) == size, "key-refused")
        check_key(public)
        verify(public, message, signature)
    return judge


def sign1_verify(test):
    """Judges an envelope and compares its intermediates."""
    raw = {name: bytes.fromhex(test[name]) for name in ("cose", "aad", "public_key")}
    revoked = [bytes.fromhex(value) for value in test.get("revoked", ())]
    opened, _, message_id, _ = verify_envelope(untag(raw["cose"]), test["role"], test["plane"], raw["aad"], [raw["public_key"]], revoked)
    assert message_id.hex() == test["message_id"]
    if "tbs" in test:
        assert opened.structure(raw["aad"]).hex() == test["tbs"] and sha256(bytes.fromhex(test["tbs"])) == message_id
        assert [opened.protected.hex(), opened.payload.hex()] == [test["protected"], test["payload"]]


def state_digest(test):
    """Judges a state."""
    check_digest(test, state.digest(state_of(test)))


def keyed_digest(test):
    """Judges the digests of an encrypted plane."""
    encryption.judge_digest(test, state_of(test))


def state_apply(test):
    """Judges a delta on a state."""
    after = state.apply(state_of(test), bytes.fromhex(test["delta"]), bytes.fromhex(test["digest"]))
    check_digest(test, state.digest(after))
    assert write(after) == write(state_of(test, "after"))


def body_check(test):
    """Judges a body."""
    state.check_body(test["section"], bytes.fromhex(test["digest"]), bytes.fromhex(test["body"]))


def frame_parse(test):
    """Judges a frame."""
    kind, _ = frame.parse(bytes.fromhex(test["input"]), test["direction"])
    assert kind == test["type"] and len(test["input"]) == 2 * test["bytes"]


def sizes(test):
    """Judges a size."""
    data = bytes.fromhex(test["input"])
    assert len(data) == test["bytes"] <= test["budget"]


def covers(lineage, stored):
    """Tells whether a lineage covers a head."""
    return any(
        epoch == stored["epoch"] and (stored["seq"] < seq or stored["seq"] == seq and stored["digest"] == digest)
        for epoch, seq, digest in lineage
    )


def table(stored, frozen, new):
    """Returns (outcome, reject) of the acceptance table."""
    delta = new["kind"] == "delta"
    if stored is None:
        return ("need", "nothing-stored") if delta else ("accept", None)
    if new["generation"] != stored["generation"]:
        if new["generation"] < stored["generation"]:
            return "refuse", "generation-stale"
        return ("need", "epoch-needs-snapshot") if delta else ("accept", None)
    if new["epoch"] != stored["epoch"]:
        if new["epoch"] < stored["epoch"]:
            return "refuse", "epoch-stale"
        if delta:
            return "need", "epoch-needs-snapshot"
        return ("accept", None) if covers(new["lineage"], stored) else ("refuse", "writer-behind")
    if frozen:
        return "refuse", "epoch-frozen"
    if new["seq"] <= stored["seq"]:
        if new["seq"] < stored["seq"]:
            return "older", None
        return ("duplicate", None) if new["digest"] == stored["digest"] else ("refuse", "equivocation")
    if not delta:
        return "accept", None
    if new["base"] == stored["seq"]:
        return "apply", None
    return "need", "base-older" if new["base"] < stored["seq"] else "base-newer"


def revision_accept(test):
    """Judges a row of the acceptance table."""
    outcome, error = table(test["stored"], test["frozen"], test["incoming"])
    assert outcome == test["outcome"], test["name"]
    if error:
        raise Refused(error)
    if "superseded" in test:
        assert test["superseded"] == [test["stored"]["seq"] + 1, test["incoming"]["seq"] - 1]


def report_accept(test):
    """Judges the comparison of two reports."""
    stored, new = test["stored"], test["incoming"]
    if stored:
        old_number, number = ([row["epoch"], row["rseq"]] for row in (stored, new))
        ensure(number >= old_number, "report-stale")
        ensure(number > old_number or new["message_id"] == stored["message_id"], "equivocation")


TABLE = {
    "cbor.check": cbor_check, "key.thumbprint": key_thumbprint, "channel.id": channel_id, "ed25519.verify": signature_of(32), "esp256.verify": signature_of(65),
    "sign1.verify": sign1_verify, "state.digest": state_digest, "state.apply": state_apply, "body.check": body_check,
    "frame.parse": frame_parse, "evidence.verify": lives.evidence, "enrol.rotation": lives.rotation, "file.read": lives.file, "bytes": sizes, "session.derive": session.derivation, "session.challenge": session.challenge,
    "session.hello": session.hello, "session.welcome": session.welcome, "session.up": session.up, "session.down": session.down,
    "session.stream": session.stream, "session.switch": session.switch, "need.limit": session.need, "exchange.answer": session.exchange, "bundle.accept": trust.bundle,
    "greeter.id": relays.greeter_id, "session.greeting": relays.greeting, "admission.compare": relays.admission, "line.read": relays.line,
    "enrol.request": trust.request, "enrol.answer": trust.answer, "revision.accept": revision_accept, "report.accept": report_accept,
    "encryption.digest": keyed_digest, "encryption.open": encryption.judge_open, "plane-key.open": encryption.judge_plane_key,
    "engine.step": lambda test: engine.step(test, table),
    "freshness.watch": overtime.freshness, "intent.take": overtime.intents, "clone.show": overtime.clones,
}
