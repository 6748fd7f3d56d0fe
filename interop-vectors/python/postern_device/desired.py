"""The desired plane: what a verified delta or snapshot does to the device's state.

Everything changes a `Record` only; whoever calls commits it before anything is acknowledged.

Implements the reader's part of spec/postern.md#acceptance, #snapshot and #bodies, and of
spec/encryption.md#switching-on.
"""

import hashlib
from dataclasses import dataclass, field

from . import acceptance, cbor, cose, evidence, kinds, plane_keys
from .acceptance import Head
from .delta import Delta
from .frames import Chunk
from .payloads import decode_payload
from .rejects import Reject, require
from .snapshot import Snapshot
from .state import bodies_of, check_conflicts, check_limits, keyed_hash, plain_hash, read_body, root_digest
from .store import Record


@dataclass
class Waiting:
    """A snapshot that may be accepted as soon as all its bodies are here. `pieces` is by wanted digest."""

    envelope: bytes
    position: kinds.Position
    snapshot: Snapshot
    head: Head
    superseded: tuple[int, int] | None
    bodies: dict[str, dict] = field(default_factory=dict)
    pieces: dict[bytes, bytearray] = field(default_factory=dict)

    def wants(self) -> list[list]:
        """What is missing: digest and the offset to go on from, 16 at most."""
        missing = [row for section, row in self.snapshot.table.items() if section not in self.bodies]
        digests = dict.fromkeys(row[1] if isinstance(row, list) else row for row in missing)
        return [[digest, len(self.pieces.get(digest, b""))] for digest in list(digests)[:16]]


class DesiredReader:
    """Judges what comes for the desired plane."""

    def __init__(self, record: Record, place: cose.Place, notes):
        self._record = record
        self._place = place
        self._notes = notes  # where rejects are counted and listed
        self.waiting: Waiting | None = None
        self.wants_need = False
        self.acknowledges_again = False

    @property
    def _keys(self):
        return self._record.held_keys.keys if self._record.held_keys else None

    @property
    def hash_with(self):
        """How digests of the plane are made."""
        return keyed_hash(self._keys.digest_key) if self._keys else plain_hash

    def handle(self, data: bytes, envelope: cose.Envelope, writer, revoked) -> bool:
        """Verifies a delta or snapshot and does what the table says. True when the record changed."""
        position = envelope.position
        aad = self._place.of_plane(position.kind, kinds.DESIRED)
        cose.authenticate(envelope, "writer", kinds.DESIRED, aad, [writer.key], revoked)
        try:
            content = decode_payload(position, envelope.payload)
            return self._judge(data, envelope, content, writer.generation)
        except Reject as reject:
            return self._notes.refuse(position, reject, payload_verified=True)

    def _judge(self, data: bytes, envelope: cose.Envelope, content, generation: int) -> bool:
        position, desired = envelope.position, self._record.desired
        head = Head(generation, position.epoch, position.seq, position.digest)
        changed = self._receive(head)
        is_snapshot = position.kind == kinds.SNAPSHOT
        lineage = content.lineage if is_snapshot else []
        numbers = generation, position.epoch, position.seq, position.base, position.digest
        incoming = acceptance.Incoming(is_snapshot, *numbers, lineage)
        outcome = acceptance.judge(desired.head, desired.is_frozen, incoming)
        if outcome.outcome == acceptance.ACCEPT:
            if desired.frozen == head.epoch and (desired.head is None or desired.head.generation == generation):
                outcome = acceptance.Outcome(10, acceptance.REFUSE, "epoch-frozen")
            elif self._contradicts_waiting(head):
                outcome = acceptance.Outcome(13, acceptance.REFUSE, "equivocation", freezes=True)
                first, self.waiting = (self.waiting.envelope, self.waiting.head), None
                return self._refuse(data, envelope, outcome, first) or changed
        if outcome.outcome in (acceptance.DUPLICATE, acceptance.OLDER):
            self.acknowledges_again = True
        elif outcome.outcome == acceptance.APPLY:
            self._apply_delta(data, envelope, head)
            return True
        elif outcome.outcome == acceptance.ACCEPT:
            return self._begin_snapshot(data, position, content, head, outcome.superseded) or changed
        elif outcome.outcome == acceptance.NEED:
            self._notes.count(outcome.reject)
            self.wants_need = True
        else:
            return self._refuse(data, envelope, outcome) or changed
        return changed

    def _receive(self, head: Head) -> bool:
        received = self._record.desired.received
        if received is not None and _rank(received) >= _rank(head):
            return False
        self._record.desired.received = head
        return True

    def _contradicts_waiting(self, head: Head) -> bool:
        """Row 13, for which a snapshot that waits counts as stored."""
        waiting = self.waiting
        return waiting is not None and _rank(waiting.head) == _rank(head) and waiting.head.digest != head.digest

    def _refuse(self, data: bytes, envelope: cose.Envelope, outcome: acceptance.Outcome, first=None) -> bool:
        """`first` is the message that was there before, with its head; else the newest that was accepted."""
        is_news = self._notes.refuse(envelope.position, Reject(outcome.reject), payload_verified=True)
        if outcome.freezes:
            self._record.desired.frozen = envelope.position.epoch
        if is_news and outcome.reject in ("writer-behind", "equivocation"):
            self._record.evidence = evidence.seal(
                self._record, self._place, outcome.reject, data, self.hash_with, first
            )
        return is_news

    def _apply_delta(self, data: bytes, envelope: cose.Envelope, head: Head) -> None:
        position = envelope.position
        try:
            payload = plane_keys.open_payload(self._keys, self._place, kinds.DESIRED, position, envelope.payload)
            delta = Delta.from_item(cbor.decode(payload))
            is_encrypted = self._keys is not None
            state = delta.apply(self._record.desired.state, position.digest, self.hash_with, is_encrypted)
        except Reject:
            self.wants_need = True  # a delta that does not fit leaves nothing but the snapshot
            raise
        self._accept(data, head, state)

    def _accept(self, data: bytes, head: Head, state: dict) -> None:
        desired = self._record.desired
        desired.state, desired.head, desired.newest, desired.frozen = state, head, data, None
        self.waiting = None
        self.wants_need = False  # the next poll says the new head, and brings what comes after it

    def _begin_snapshot(self, data, position, snapshot: Snapshot, head: Head, superseded) -> bool:
        if self._keys is None:
            require(snapshot.key_generation is None, "plane-key-missing")
        else:
            require(snapshot.key_generation is not None, "not-encrypted")
            keyed = {section: row[0] for section, row in snapshot.table.items()}
            require(root_digest(keyed, self.hash_with) == position.digest, "digest-mismatch")
        if self.waiting is None or _rank(self.waiting.head) < _rank(head):
            self.waiting = Waiting(data, position, snapshot, head, superseded)
            self._take_own_bodies()
        return self._finish_snapshot()

    def _take_own_bodies(self) -> None:
        """Sections that did not change are here already."""
        waiting = self.waiting
        own = {self.hash_with(body): body for body in bodies_of(self._record.desired.state).values()}
        for section, row in waiting.snapshot.table.items():
            digest = row[0] if isinstance(row, list) else row
            if digest in own:
                waiting.bodies[section] = read_body(section, digest, own[digest], self.hash_with)

    def asked(self, chunks: list[Chunk]) -> list[Chunk]:
        """Refuses the answer to a fetch that brings what the fetch did not ask for."""
        wanted = dict(self.waiting.wants()) if self.waiting else {}
        require(all(chunk.digest in wanted for chunk in chunks), "body-mismatch")
        return chunks

    def take_chunk(self, chunk: Chunk) -> bool:
        """Takes a piece of a body that is wanted. True when the snapshot was accepted with it."""
        waiting = self.waiting
        if waiting is None:
            return False
        wanted = dict(waiting.wants())
        if wanted.get(chunk.digest) != chunk.offset:
            return False
        piece = waiting.pieces.setdefault(chunk.digest, bytearray())
        piece += chunk.data
        if len(piece) < chunk.size:
            return False
        body = bytes(waiting.pieces.pop(chunk.digest))
        try:
            require(hashlib.sha256(body).digest() == chunk.digest, "body-mismatch")
            for section, row in waiting.snapshot.table.items():
                if (row[1] if isinstance(row, list) else row) == chunk.digest:
                    waiting.bodies[section] = self._open_body(section, row, body)
            return self._finish_snapshot()
        except Reject as reject:
            if reject.name == "body-mismatch":
                raise  # the way brought other bytes: another way may bring the right ones
            self.waiting = None  # what is wrong was signed
            return self._notes.refuse(waiting.position, reject, payload_verified=True)

    def _open_body(self, section: str, row, body: bytes) -> dict:
        if not isinstance(row, list):
            return read_body(section, row, body)
        opened = plane_keys.open_body(self._keys, self._place, kinds.DESIRED, section, row[0], body)
        return read_body(section, row[0], opened, self.hash_with)

    def _finish_snapshot(self) -> bool:
        waiting = self.waiting
        if waiting.wants():
            return False
        state: dict = {}
        for pairs in waiting.bodies.values():
            state.update(pairs)
        check_conflicts(state)
        check_limits(bodies_of(state), self._keys is not None)
        self._accept(waiting.envelope, waiting.head, state)
        if waiting.superseded:
            self._notes.superseded(waiting.head.epoch, *waiting.superseded)
        if self._keys is not None:
            newest = waiting.snapshot.key_generation
            self._keys.generations = [one for one in self._keys.generations if one.number >= newest]
        return True


def _rank(head: Head) -> tuple[int, int, int]:
    return head.generation, head.epoch, head.seq
