"""A session: from ask and challenge to two keys, and the tags and counters of its frames.

Implements spec/postern.md#hello, #sessions and #stream, as far as a device takes part.
"""

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from . import cbor, cose, frames, kinds
from .forms import check_counter
from .keys import PublicKey
from .limits import COUNTER_MAX
from .payloads import Welcome
from .poll_frames import StreamAnswer
from .rejects import Reject, require


@dataclass(frozen=True)
class Exchange:
    """The public values of a key agreement."""

    challenge: bytes
    device_ephemeral: bytes
    mailbox_ephemeral: bytes
    mailbox_thumbprint: bytes
    channel_id: bytes

    def preimage(self) -> bytes:
        """What the transcript is the hash of."""
        ephemerals = [self.device_ephemeral, self.mailbox_ephemeral]
        return cbor.encode(["postern/1 session", self.mailbox_thumbprint, self.challenge, *ephemerals, self.channel_id])

    def transcript(self) -> bytes:
        """What both ends sign."""
        return hashlib.sha256(self.preimage()).digest()


@dataclass(frozen=True)
class Keys:
    """The keys of one session."""

    up: bytes
    down: bytes


def agree(secret: bytes, public: bytes) -> bytes:
    """X25519; an all-zero secret is refused."""
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Reject("ephemeral-invalid") from None


def derive_keys(shared: bytes, transcript: bytes) -> Keys:
    """The keys of both ways."""

    def expand(info: bytes) -> bytes:
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=transcript, info=info).derive(shared)

    return Keys(expand(b"postern/1 up"), expand(b"postern/1 down"))


def tag_of(key: bytes, covered: bytes) -> bytes:
    """The tag of a frame."""
    return hmac.digest(key, covered, "sha256")[:8]


def check_tag(parts: frames.Split, session_id: bytes, key: bytes) -> None:
    """Refuses a frame of another session, then one whose tag does not verify."""
    require(parts.session_id == session_id, "session-unknown")
    require(hmac.compare_digest(tag_of(key, parts.covered), parts.tag), "session-mac")


def check_challenge(frame: bytes, thumbprints) -> frames.Challenge:
    """Reads a challenge and refuses one of a mailbox that the bundle does not list."""
    parts = frames.split(frame, "down")
    require(parts.type == frames.CHALLENGE, "shape")
    challenge = frames.read_body(parts.type, parts.body)
    require(challenge.thumbprint in thumbprints, "mailbox-mismatch")
    return challenge


class Greeting:
    """The device's half of a session that is being opened."""

    def __init__(self, challenge: frames.Challenge, channel_id: bytes, secret: bytes):
        self._secret = secret
        self._mailbox_ephemeral = challenge.ephemeral
        ephemeral = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        self.exchange = Exchange(challenge.challenge, ephemeral, challenge.ephemeral, challenge.thumbprint, channel_id)

    def hello(self, seed: bytes, place: cose.Place) -> bytes:
        """The frame that answers the challenge."""
        payload = cbor.encode([self.exchange.challenge, self.exchange.device_ephemeral])
        position = kinds.Position(kinds.HELLO, 0, 0, 0, self.exchange.transcript())
        envelope = cose.seal(seed, position, payload, place.of_device(kinds.HELLO))
        return frames.plain(frames.HELLO, [self.exchange.channel_id, cbor.decode(envelope)])

    def welcome(self, frame: bytes, mailbox_key: PublicKey, place: cose.Place) -> tuple["Session", Welcome]:
        """Verifies the welcome and opens the session."""
        parts = frames.split(frame, "down")
        require(parts.type == frames.WELCOME, "shape")
        envelope = cose.Envelope.parse(frames.read_body(parts.type, parts.body))
        cose.expect(envelope, "mailbox", None)
        cose.expect_kind(envelope, kinds.WELCOME)
        verified = cose.verify(envelope, "mailbox", None, place.of_device(kinds.WELCOME), [mailbox_key])
        transcript = self.exchange.transcript()
        require(hmac.compare_digest(verified.position.digest, transcript), "digest-mismatch")
        shared = agree(self._secret, self._mailbox_ephemeral)
        welcome = verified.content
        return Session(welcome.session_id, derive_keys(shared, transcript)), welcome


class Session:
    """An open session of a device. It holds one request at a time."""

    def __init__(self, session_id: bytes, keys: Keys):
        self.session_id = session_id
        self.keys = keys
        self.counter = 0

    @property
    def is_used_up(self) -> bool:
        """Tells whether no counter is left."""
        return self.counter >= COUNTER_MAX

    def request(self, kind: int, items: list) -> bytes:
        """Builds the next frame that goes up; `items` are those behind the counter."""
        require(not self.is_used_up, "counter-exhausted")
        self.counter += 1
        body = b"".join(cbor.encode(item) for item in [self.counter, *items])
        covered = bytes([kind]) + self.session_id + body
        return covered + tag_of(self.keys.up, covered)

    def answer(self, frame: bytes, request: int | None = None):
        """Verifies a frame that came down for the newest request and reads it."""
        parts = frames.split(frame, "down")
        require(parts.session_id is not None, "frame-direction")
        check_tag(parts, self.session_id, self.keys.down)
        counter = check_counter(parts.body)
        require(counter in (None, self.counter if request is None else request), "answer-mismatch")
        return frames.read_body(parts.type, parts.body)


class Stream:
    """The answers of one stream request, in their order. After one that was refused it takes nothing more."""

    def __init__(self, session: Session, request: int, count: int):
        self._session = session
        self._request = request
        self._count = count
        self._next = 0
        self.is_ended = False

    def answer(self, frame: bytes) -> StreamAnswer:
        """Verifies the next answer; it changes nothing where it is refused."""
        require(not self.is_ended, "stream-order")
        try:
            content = self._session.answer(frame, self._request)
            require(isinstance(content, StreamAnswer), "answer-mismatch")
            require(content.index == self._next and self._next < self._count, "stream-order")
        except Reject:
            self.is_ended = True
            raise
        self._next += 1
        return content
