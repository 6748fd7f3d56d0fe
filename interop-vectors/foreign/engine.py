"""Conversations with a device: every frame is checked, every step is played by the model.

Only what a step names is compared. Requests that nobody sees in the vectors, posts and puts, are not modelled.
"""

from nacl.bindings import crypto_scalarmult_base
from nacl.signing import SigningKey

from . import frame
from .cbor import Refused, ensure, write
from .crypto import thumbprint
from .device import Device
from .envelope import untag, verify_envelope
from .payload import bare_key
from .session import aad, transcript

OPEN, DOWN = "open", "down"


class Talk:
    """One transcript on its way."""

    def __init__(self, config, acceptance):
        self.device = Device(config, acceptance)
        self.public = bytes(SigningKey(bytes.fromhex(config["seed"])).verify_key)
        self.ephemerals = [crypto_scalarmult_base(bytes.fromhex(seed)) for seed in config["random"]["ephemerals"]]
        self.mailboxes = [crypto_scalarmult_base(bytes.fromhex(seed)) for seed in config["mailbox_seeds"]]
        self.nonces = [bytes.fromhex(nonce) for nonce in config["random"]["nonces"]]
        self.link, self.awaited, self.sessions, self.given, self.asked, self.ends = DOWN, set(), 0, {}, False, 0
        for bundle in config["bundles"]:
            self.device.trust.accept(untag(bytes.fromhex(bundle)))
        for data in config["held"]:
            self.filed(0, bytes.fromhex(data))
        self.applied = self.place()

    def place(self):
        """Returns the head as [epoch, seq, digest]."""
        head = self.device.head
        return [head["epoch"], head["seq"], head["digest"].hex()] if head else None

    def filed(self, now, data):
        """Takes a frame of a file."""
        kind, items = frame.parse(data, "file")
        ensure(items[0] == self.device.channel, "not-admitted")
        if kind == 23:
            self.device.take(now, items[1], write(items[2]))
        elif self.device.pending:
            self.device.chunk(*items[2])
            self.device.finish()

    def disconnect(self):
        """The session counts no more."""
        self.link, self.awaited = DOWN, set()

    def answer(self, index, now, row):
        """Takes an answer; returns its rejects."""
        to = row["to"]
        known = self.given[row["again"]] if "again" in row else None
        self.given[index] = (self.sessions, row)
        if to not in self.awaited and not (to == "need" and self.link == OPEN):
            return []
        self.awaited.discard(to)
        try:
            if known:
                ensure(known[0] == self.sessions, "session-unknown")
                raise Refused("answer-mismatch")
            if "frame" in row:
                self.raw(now, to, bytes.fromhex(row["frame"]))
                return []
            return self.sealed(now, row)
        except Refused as refused:
            self.disconnect()
            return [str(refused)]

    def raw(self, now, to, data):
        """Takes bytes that are no answer of the session."""
        if data[:1] == b"\x16":
            frame.parse(data, "down")
            self.disconnect()
            return
        kind, items = frame.parse(data, "down")
        if to == "ask":
            ensure(kind == 19, "shape")
            listed = [thumbprint(bare_key(key)) for key, _ in self.device.trust.content[4]]
            ensure(items[2] in listed, "mailbox-mismatch")
            self.challenge = items
            self.ephemeral = self.ephemerals.pop(0)
            self.hashed = transcript(items[2], items[0], self.ephemeral, items[1], self.device.channel)
            self.link, self.awaited = "greeting", {"hello"}
        elif to == "hello":
            self.welcome(now, items)
        else:
            raise Refused("answer-mismatch")

    def welcome(self, now, items):
        """Takes a welcome."""
        keys = [bare_key(key) for key, _ in self.device.trust.content[4]]
        opened, content, _, _ = verify_envelope(write(items[0]), "mailbox", None, aad(10, *self.device.place), keys)
        ensure(opened.digest == self.hashed, "digest-mismatch")
        self.link, self.awaited, self.sessions, self.ends = OPEN, set(), self.sessions + 1, now + 1000 * content[2]
        if not self.asked:
            self.asked = True
            self.device.watch.asked.append((self.nonces.pop(0), now))

    def sealed(self, now, row):
        """Takes an answer of the session; returns the rejects of its parts."""
        change = row.get("change", {})
        ensure("session" not in change, "session-unknown")
        ensure("flip" not in change, "session-mac")
        ensure(not {"earlier", "later"} & set(change), "answer-mismatch")
        ensure(row["type"] == 1 or row["to"] == "fetch", "answer-mismatch")
        _, items = frame.parse(bytes([row["type"]]) + bytes(4) + b"\x01" + bytes.fromhex(row["body"]) + bytes(8), "down")
        rejects = []
        for item in items[1:]:
            try:
                if row["type"] == 5:
                    self.device.chunk(*item)
                elif isinstance(item, list):
                    self.device.take(now, item[0], write(item[1]))
            except Refused as refused:
                rejects.append(str(refused))
        if row["type"] == 5 and self.device.pending:
            self.device.finish()
        return rejects

    def input(self, index, now, row):
        """Takes one input; returns its rejects."""
        kind = row["kind"]
        if self.link == OPEN and now >= self.ends:
            self.disconnect()
        if kind == "answer":
            return self.answer(index, now, row)
        if kind == "connect" and self.link == DOWN:
            self.link, self.awaited = "asking", {"ask"}
        elif kind == "hold" and self.link == OPEN:
            self.awaited.add("poll")
        elif kind == "failed":
            self.awaited.discard(row["to"])
        elif kind == "applied" and row.get("status", 0) == 0:
            self.applied = self.place()
        elif kind == "restart":
            self.disconnect()
            self.device.boot()
            self.asked = False
        elif kind == "filed":
            try:
                self.filed(now, bytes.fromhex(row["frame"]))
            except Refused as refused:
                return [str(refused)]
        return []

    def check_frames(self, frames):
        """Checks asks and hellos that the device must send."""
        for data in map(bytes.fromhex, frames):
            kind, items = frame.parse(data, "up")
            if kind == 18:
                assert items == [1, self.device.trust.number]
            else:
                assert kind == 20 and items[0] == self.device.channel
                opened, content, _, _ = verify_envelope(write(items[1]), "device", None, aad(9, *self.device.place), [self.public])
                assert opened.digest == self.hashed and content == [self.challenge[0], self.ephemeral]
                assert self.challenge[1] in self.mailboxes

    def check(self, now, row, rejects):
        """Compares a step with what it names."""
        expect, device = row["expect"], self.device
        assert rejects == expect["rejects"], rejects
        head = device.head
        found = {
            "head": [head["generation"], *self.place()] if head else None, "poll": [device.trust.number, *device.seen], "frozen": device.frozen,
            "bundle": device.trust.number, "session": self.link == OPEN, "stale": device.watch.stale(now), "applied": self.applied,
        }
        for name, value in found.items():
            assert name not in expect or expect[name] == value, (name, value)
        self.check_frames(expect.get("frames", ()))
        sent = expect.get("sent", ())
        assert "fetch" not in sent or device.pending, "a fetch of nothing"
        assert "need" not in sent or rejects, "a need without a reason"
        self.awaited |= {name for name in sent if name in ("fetch", "need")}


def step(test, acceptance):
    """Judges a conversation."""
    talk, first = Talk(test["config"], acceptance), None
    for index, row in enumerate(test["steps"]):
        try:
            rejects = talk.input(index, row["at_ms"], row["input"])
            talk.check(row["at_ms"], row, rejects)
        except AssertionError as wrong:
            raise Refused(f"step {index}: {wrong}") from None
        assert (row["result"], row.get("error")) == (("invalid", rejects[0]) if rejects else ("valid", None))
        first = first or row.get("error")
    if first:
        raise Refused(first)
