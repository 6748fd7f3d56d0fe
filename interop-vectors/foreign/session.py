"""Sessions: derivation, hello, windows, answers, and what HTTP brings back."""

from . import frame, payload
from .cbor import Refused, ensure, write
from .crypto import derive, mac, sha256, shared
from .envelope import parse, verify_envelope

CODES = {
    90: "token-unknown", 94: "enrol-pending", 95: "knock-unknown", 116: "session-role", 102: "session-unknown", 108: "challenge-unknown", 111: "not-admitted", 112: "need-limited", 113: "quota", 114: "overloaded", 118: "retention-expired",
}


def transcript(thumbprint, challenge, device, mailbox, channel):
    """Returns the transcript hash."""
    return sha256(write(["postern/1 session", thumbprint, challenge, device, mailbox, channel]))


def keys(secret, hashed):
    """Returns key_up and key_down."""
    return derive(hashed, secret, b"postern/1 up"), derive(hashed, secret, b"postern/1 down")


def aad(kind, *parts):
    """Returns an external aad."""
    return write(["postern/1", kind, *parts])


class Window:
    """What one receiver knows of one session."""

    def __init__(self, session_id, key_up, key_down):
        self.session_id, self.key_up, self.key_down = session_id, key_up, key_down
        self.seen, self.highest = set(), 0

    def authenticate(self, data, direction):
        """Checks direction and tag; the session id has been matched."""
        kind = data[0]
        ensure((kind in frame.UP) == (direction == "up"), "frame-direction")
        key = self.key_up if direction == "up" else self.key_down
        ensure(mac(key, data[:-8])[:8] == data[-8:], "session-mac")
        return frame.parse(data, direction)[1][0] if direction == "down" else frame.counted(data)

    def admit(self, data):
        """Checks tag and replay window, then the body: a counter is spent also by a body that is refused."""
        counter = self.authenticate(data, "up")
        if counter is not None:
            ensure(counter not in self.seen and counter > self.highest - 64, "session-replay")
            self.seen.add(counter)
            self.highest = max(self.highest, counter)
        frame.parse(data, "up")


def unhex(row):
    """Returns (session id, key up, key down)."""
    return [bytes.fromhex(row[name]) for name in ("session_id", "key_up", "key_down")]


def steps(rows, action):
    """Runs steps, compares each with its expectation, and raises the first reject."""
    first = None
    for index, row in enumerate(rows):
        found = None
        try:
            action(row)
        except Refused as refused:
            found = str(refused)
            first = first or refused
        if found != row.get("error"):
            raise Refused(f"step {index}: {found}")
    if first:
        raise first


def up(test):
    """Judges frames that a mailbox receives."""
    window = Window(*unhex(test))

    def action(row):
        data = bytes.fromhex(row["frame"])
        ensure(data[1:5] == window.session_id, "session-unknown")
        window.admit(data)

    steps(test["steps"], action)


def down(test):
    """Judges frames that a device receives."""
    window = Window(*unhex(test))

    def action(row):
        data = bytes.fromhex(row["frame"])
        ensure(data[1:5] == window.session_id, "session-unknown")
        ensure(window.authenticate(data, "down") == row["request"], "answer-mismatch")

    steps(test["steps"], action)


def stream(test):
    """Judges the answers of one stream, as a device takes them."""
    window = Window(*unhex(test))
    awaited = iter(range(test["frames"]))

    def action(row):
        data = bytes.fromhex(row["frame"])
        ensure(data[1:5] == window.session_id, "session-unknown")
        ensure(window.authenticate(data, "down") == test["request"] and data[0] == 15, "answer-mismatch")
        ensure(frame.parse(data, "down")[1][1] == next(awaited, None), "stream-order")

    steps(test["steps"], action)


def switch(test):
    """Judges two sessions of one channel."""
    live = [Window(*unhex(test["older"])), Window(*unhex(test["newer"]))]

    def action(row):
        data = bytes.fromhex(row["frame"])
        found = [window for window in live if window.session_id == data[1:5]]
        ensure(found, "session-unknown")
        found[0].admit(data)
        if found[0] is live[-1]:
            del live[:-1]

    steps(test["steps"], action)


def need(test):
    """Judges needs over time."""
    served = {}

    def action(row):
        last = served.get(row["plane"])
        ensure(last is None or row["at_ms"] - last >= 5000, "need-limited")
        served[row["plane"]] = row["at_ms"]

    steps(test["steps"], action)


def exchange(test):
    """Judges an HTTP answer."""
    body = bytes.fromhex(test["body"])
    ensure(test["status"] == 200, "not-postern")
    try:
        kind, items = frame.parse(body, "down")
    except Refused:
        raise Refused("not-postern") from None
    if kind == 22:
        raise Refused(CODES[items[0]])


def derivation(test):
    """Judges a derivation."""
    raw = {name: bytes.fromhex(value) for name, value in test.items() if isinstance(value, str) and name.split("_")[0] in ("device", "mailbox", "challenge", "channel", "key", "shared", "transcript", "preimage")}
    secret = shared(raw["mailbox_seed"], raw["device_ephemeral"])
    parts = ["postern/1 session", raw["mailbox_thumbprint"], raw["challenge"], raw["device_ephemeral"], raw["mailbox_ephemeral"], raw["channel_id"]]
    hashed = sha256(write(parts))
    assert raw["preimage"] == write(parts) and raw["transcript"] == hashed and raw["shared"] == secret
    assert (raw["key_up"], raw["key_down"]) == keys(secret, hashed)
    assert secret == shared(raw["device_seed"], raw["mailbox_ephemeral"])


def challenge(test):
    """Judges a challenge."""
    _, items = frame.parse(bytes.fromhex(test["frame"]), "down")
    ensure(items[2].hex() in test["mailboxes"], "mailbox-mismatch")


def unproven_hello(items):
    """Returns what a hello says before its signature is verified: it selects the ephemeral key."""
    opened = parse(write(items))
    ensure(opened.kind == 9, "signer-role")
    return payload.decode(opened)


def hello(test):
    """Judges a hello as a mailbox."""
    from nacl.bindings import crypto_scalarmult_base

    _, (channel, items) = frame.parse(bytes.fromhex(test["frame"]), "up")
    found = [row for row in test["channels"] if row["channel_id"] == channel.hex()]
    ensure(found, "not-admitted")
    row = found[0]
    place = [bytes.fromhex(row["root"]), row["tenant"], row["device"], bytes.fromhex(row["incarnation"])]
    sent, ephemeral = unproven_hello(items)
    issued = [entry for entry in test["issued"] if entry["challenge"] == sent.hex()]
    ensure(issued, "challenge-unknown")
    opened, _, _, _ = verify_envelope(write(items), "device", None, aad(9, *place), [bytes.fromhex(row["public_key"])])
    seed = bytes.fromhex(issued[0]["mailbox_seed"])
    hashed = transcript(bytes.fromhex(test["mailbox_thumbprint"]), sent, ephemeral, crypto_scalarmult_base(seed), channel)
    ensure(opened.digest == hashed, "digest-mismatch")
    pair = keys(shared(seed, ephemeral), hashed)
    assert [key.hex() for key in pair] == [test["key_up"], test["key_down"]]


def welcome(test):
    """Judges a welcome as a device."""
    from nacl.bindings import crypto_scalarmult_base

    _, (sent, ephemeral, thumbprint) = frame.parse(bytes.fromhex(test["challenge_frame"]), "down")
    place = [bytes.fromhex(test["root"]), test["tenant"], test["device"], bytes.fromhex(test["incarnation"])]
    seed = bytes.fromhex(test["device_seed"])
    channel = sha256(write(["postern-channel", *place[:3]]))[:16]
    hashed = transcript(thumbprint, sent, crypto_scalarmult_base(seed), ephemeral, channel)
    _, (items,) = frame.parse(bytes.fromhex(test["frame"]), "down")
    ensure(parse(write(items)).kind == 10, "signer-role")
    opened, content, _, _ = verify_envelope(write(items), "mailbox", None, aad(10, *place), [bytes.fromhex(test["mailbox_key"])])
    ensure(opened.digest == hashed, "digest-mismatch")
    pair = keys(shared(seed, ephemeral), hashed)
    assert [content[0].hex(), *(key.hex() for key in pair)] == [test["session_id"], test["key_up"], test["key_down"]]
    assert content[3:] == ([test["unix_s"]] if "unix_s" in test else [])
