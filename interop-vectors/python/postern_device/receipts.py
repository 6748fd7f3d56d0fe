"""Receipts: what mailboxes did with messages of this device. They acknowledge nothing.

Implements spec/relays.md#receipt, the device's part.
"""

from .cose import Verified
from .rejects import require

PLACES_MAX = 128  # mailbox and store epoch of which the newest receipt is known; arbitrary


class Receipts:
    """The newest receipt of each mailbox, and the one to name in the polls of this session."""

    def __init__(self, channel_id: bytes):
        self._channel_id = channel_id
        self._newest: dict[tuple[bytes, int], tuple[int, bytes]] = {}
        self._to_name: list | None = None

    def begin_session(self) -> None:
        """A receipt is named in the session that gave it, and in no other."""
        self._to_name = None

    def take(self, verified: Verified) -> bool:
        """Takes a verified receipt and tells whether it is news."""
        position, key_id = verified.position, verified.envelope.key_id
        require(verified.content.channel_id == self._channel_id, "not-admitted")
        self._to_name = [position.epoch, position.seq]
        where = key_id, position.epoch
        number, message_id = self._newest.get(where, (0, b""))
        require(position.seq != number or verified.message_id == message_id, "equivocation")
        if position.seq <= number:
            return False
        self._newest[where] = position.seq, verified.message_id
        while len(self._newest) > PLACES_MAX:
            del self._newest[next(iter(self._newest))]
        return True

    def to_name(self) -> list:
        """What a poll names: nothing, or [store epoch, number]."""
        return [] if self._to_name is None else [self._to_name]

    def named(self) -> None:
        """A poll that named it was answered."""
        self._to_name = None
