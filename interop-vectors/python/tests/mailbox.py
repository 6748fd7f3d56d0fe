"""A mailbox in the same process: it opens real sessions and answers polls with what a test prepared."""

import os
from urllib.parse import urlsplit

from postern_device import cbor, cose, frames, kinds, session
from postern_device.exchange import TransportError, read_exchange
from postern_device.forms import Items
from postern_device.keys import public_of
from postern_device.kinds import Position
from postern_device.session import Exchange
from writer import Writer


class Mailbox:
    """Stands where a device has its transport. `answers` are hints and items, or bytes that are sent as they are."""

    def __init__(self, writer: Writer):
        self.writer = writer
        self.seed = writer.mailbox
        self.answers: list = []
        self.asked: list[tuple[str, int]] = []  # host and type of each frame
        self.holds: list[int] = []  # seconds of each poll
        self._secret = os.urandom(32)

    def exchange(self, url: str, frame: bytes, hold_s: int = 0) -> bytes:
        """What a transport does."""
        if frame[0] == frames.POLL:
            self.holds.append(hold_s)
        self.asked.append((urlsplit(url).netloc, frame[0]))
        return read_exchange(200, self._answer(frame))

    def _answer(self, frame: bytes) -> bytes:
        parts = frames.split(frame, "up")
        ephemeral = session.agree(self._secret, (9).to_bytes(32, "little"))
        if parts.type == frames.ASK:
            self._challenge = os.urandom(16)
            return frames.plain(frames.CHALLENGE, [self._challenge, ephemeral, public_of(self.seed).thumbprint])
        if parts.type == frames.HELLO:
            return self._welcome(*frames.read_body(parts.type, parts.body), ephemeral)
        counter = Items(parts.body).uint()
        answer = self.answers.pop(0) if parts.type == frames.POLL and self.answers else ({}, [])
        if isinstance(answer, TransportError):
            raise answer
        if isinstance(answer, bytes):
            return answer
        hints, items = answer
        told = [[plane, cbor.decode(envelope)] for plane, envelope in items]
        kind = hints.pop("type", frames.ANSWER)
        front = [hints.pop("counter", counter), *([0, 0, b""] if kind == frames.STREAM_ANSWER else [])]
        body = [*front, *([hints] if hints else []), *told]
        covered = bytes([kind]) + b"idid" + b"".join(map(cbor.encode, body))
        return covered + session.tag_of(self._keys.down, covered)

    def _welcome(self, channel_id: bytes, hello: bytes, ephemeral: bytes) -> bytes:
        challenge, device_ephemeral = cbor.decode(cose.Envelope.parse(hello).payload)
        thumbprint = public_of(self.seed).thumbprint
        exchange = Exchange(challenge, device_ephemeral, ephemeral, thumbprint, channel_id)
        shared = session.agree(self._secret, device_ephemeral)
        self._keys = session.derive_keys(shared, exchange.transcript())
        position = Position(kinds.WELCOME, 0, 0, 0, exchange.transcript())
        payload = cbor.encode([b"idid", 1, 3600])
        envelope = cose.seal(self.seed, position, payload, self.writer.place.of_device(kinds.WELCOME))
        return frames.plain(frames.WELCOME, [cbor.decode(envelope)])
