"""The mailbox of a conversation: it knows the keys of each session, and seals what a vector lets it say.

Implements interop-vectors/CLIENT-CLI.md#conversations, an `answer` of `type` and `body`.
"""

from dataclasses import dataclass

from .. import cbor, cose, frames, session
from ..forms import Items
from ..rejects import Reject
from .members import RunnerFault, from_hex

NAMES = {
    frames.ASK: "ask",
    frames.HELLO: "hello",
    frames.POLL: "poll",
    frames.POST: "post",
    frames.NEED: "need",
    frames.FETCH: "fetch",
    frames.PUT: "put",
}
ANSWERED_AT_ONCE = ("post", "put")


@dataclass(frozen=True)
class Request:
    """A frame that went up. `keys` are those of its session, where it belongs to one that is known."""

    name: str
    frame: bytes
    keys: session.Keys | None


class Peer:
    """Sees what goes up and down. The session keys follow from the hello and the secret of its challenge."""

    def __init__(self, secrets: list[bytes]):
        self._secrets = {session.agree(secret, (9).to_bytes(32, "little")): secret for secret in secrets}
        self._challenge: frames.Challenge | None = None
        self._keys: session.Keys | None = None

    def see_challenge(self, frame: bytes) -> None:
        """Remembers what the next hello answers."""
        try:
            challenge = frames.parse(frame, "down")
        except Reject:
            return
        self._challenge = challenge if isinstance(challenge, frames.Challenge) else None

    def see(self, frame: bytes) -> Request:
        """Sees a request of the device; a hello makes the keys."""
        if frame[0] == frames.HELLO:
            self._keys = self._agree(*frames.parse(frame, "up"))
        return Request(NAMES[frame[0]], frame, self._keys)

    def _agree(self, channel_id: bytes, hello: bytes) -> session.Keys | None:
        asked, (_, ephemeral) = self._challenge, cbor.decode(cose.Envelope.parse(hello).payload)
        secret = self._secrets.get(asked.ephemeral)
        if secret is None:
            return None
        exchange = session.Exchange(asked.challenge, ephemeral, asked.ephemeral, asked.thumbprint, channel_id)
        return session.derive_keys(session.agree(secret, ephemeral), exchange.transcript())

    @staticmethod
    def seal(request: Request, kind: int, body: bytes, change: dict) -> bytes:
        """Makes the answer to a request, or the wrong one that `change` asks for."""
        if request.keys is None:
            raise RunnerFault("a request of a session whose secret is not given")
        parts = frames.split(request.frame, "up")
        counter = Items(parts.body).uint() - change.get("earlier", 0) + change.get("later", 0)
        session_id = from_hex(change["session"]) if "session" in change else parts.session_id
        covered = bytes([kind]) + session_id + cbor.encode(counter) + body
        tag = session.tag_of(request.keys.down, covered)
        return covered + (tag[:-1] + bytes([tag[-1] ^ 1]) if change.get("flip") else tag)
