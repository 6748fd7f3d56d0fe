"""The actual plane: what the device says that it is.

Implements spec/planes.md#actual, and #revisions, #epochs, #lineage of spec/postern.md for this writer.
"""

from . import cbor, cose, encryption, kinds
from .acceptance import Head
from .delta import difference
from .limits import ENVELOPE_BYTES_MAX, LINEAGE_MAX
from .publish import publish
from .rejects import require
from .reporter import next_epoch
from .snapshot import Snapshot
from .state import check_state, digest_of, keyed_hash, plain_hash
from .store import Record

TABLE_BYTES_MAX = ENVELOPE_BYTES_MAX - LINEAGE_MAX * 56 - 256  # what header, signature and the longest lineage leave
POST_AGAIN_MS = 60_000  # milliseconds after which an outstanding change is posted again, spec/planes.md#actual


class ActualWriter:
    """Signs changes of the plane into the record, one at a time. Whoever calls commits before it posts them."""

    def __init__(self, record: Record, place: cose.Place):
        self._record = record
        self._place = place
        self._posted_ms: int | None = None

    @property
    def _actual(self):
        return self._record.actual

    @property
    def _hash_with(self):
        held = self._record.held_keys
        return keyed_hash(held.keys.digest_key) if held else plain_hash

    def open_epoch(self, shown: int = 0) -> None:
        """Begins an epoch with a snapshot; at each start, and when a reader shows one that is unknown here."""
        actual = self._actual
        if actual.head is None:
            return
        old = actual.head
        actual.lineage = [entry for entry in actual.lineage if entry[0] != old.epoch and self._is_still_shown(entry)]
        actual.lineage = (actual.lineage + [[old.epoch, old.seq, old.digest]])[-LINEAGE_MAX:]
        epoch = next_epoch(max(old.epoch, min(shown, 2**63 - 1)))
        actual.head = Head(0, epoch, 1, digest_of(actual.state, self._hash_with))
        actual.known = None
        self._seal_snapshot()

    def _is_still_shown(self, entry: list) -> bool:
        """A reader that showed a later epoch has left the earlier ones."""
        return self._actual.known is None or entry[0] >= self._actual.known.epoch

    def write(self, state: dict) -> bool:
        """Takes what the device is now. False while an earlier change is outstanding, or when nothing changed."""
        actual = self._actual
        if actual.message is not None:
            return False
        _check_table(check_state(state, self._record.held_keys is not None), self._record.held_keys is not None)
        digest = digest_of(state, self._hash_with)
        if (actual.head is None and not state) or (actual.head is not None and actual.head.digest == digest):
            return False
        if actual.head is None:
            actual.head = Head(0, next_epoch(0), 1, digest)
        else:
            actual.head = Head(0, actual.head.epoch, actual.head.seq + 1, digest)
        actual.state = state
        self._seal_change()
        return True

    def _seal_change(self) -> None:
        actual = self._actual
        if actual.known is None or actual.known.epoch != actual.head.epoch:
            self._seal_snapshot()
            return
        payload = difference(actual.known_state, actual.state).to_payload()
        base = actual.known.seq
        position = kinds.Position(kinds.DELTA, actual.head.epoch, actual.head.seq, base, actual.head.digest)
        held = self._record.held_keys
        if held is not None:
            newest = held.keys.generations[-1]
            aad = encryption.aad_of_payload(self._place, kinds.ACTUAL, position)
            payload = cbor.encode(encryption.seal(newest.actual, newest.number, payload, aad).to_item())
        if len(payload) > ENVELOPE_BYTES_MAX - 256:  # 256: more than header and signature take
            self._seal_snapshot()
            return
        actual.message = self._seal(position, payload)
        self._posted_ms = None

    def _seal_snapshot(self) -> None:
        actual, held = self._actual, self._record.held_keys
        table, actual.bodies = publish(actual.state, held, self._place, kinds.ACTUAL, self._hash_with)
        generation = held.keys.generations[-1].number if held else None
        position = kinds.Position(kinds.SNAPSHOT, actual.head.epoch, actual.head.seq, 0, actual.head.digest)
        actual.message = self._seal(position, Snapshot(table, actual.lineage, generation).to_payload())
        self._posted_ms = None

    def _seal(self, position: kinds.Position, payload: bytes) -> bytes:
        aad = self._place.of_plane(position.kind, kinds.ACTUAL)
        return cose.seal(self._record.identity.seed, position, payload, aad)

    def hear(self, epoch: int, seq: int) -> bool:
        """Takes the head that a heartbeat of the controller names. True when the record changed."""
        actual = self._actual
        if actual.head is None or (epoch, seq) == (0, 0):
            return False
        if epoch > actual.head.epoch or (epoch == actual.head.epoch and seq > actual.head.seq):
            self.open_epoch(epoch)
            return True
        if (epoch, seq) != (actual.head.epoch, actual.head.seq) or actual.known == actual.head:
            return False
        actual.known, actual.known_state, actual.message = actual.head, actual.state, None
        return True

    def snapshot_again(self) -> None:
        """A reader needs the snapshot of the present revision: the same number, signed in another form."""
        if self._actual.head is not None:
            self._seal_snapshot()

    def accused(self, head: kinds.Position) -> None:
        """The controller holds a head that this writer does not know: the lineage names it from now on."""
        entry = [head.epoch, head.seq, head.digest]
        kept = [one for one in self._actual.lineage if one[0] != head.epoch]
        self._actual.lineage = sorted([*kept, entry])[-LINEAGE_MAX:]
        self.open_epoch(head.epoch)

    def due(self, now_ms: int) -> bytes | None:
        """The message to post now, if any."""
        message = self._actual.message
        if message is None:
            return None
        if self._posted_ms is not None and now_ms - self._posted_ms < POST_AGAIN_MS:
            return None
        return message

    def posted(self, now_ms: int | None) -> None:
        """Notes when the message went out; None when a new session begins."""
        self._posted_ms = now_ms


def _check_table(bodies: dict[str, bytes], is_encrypted: bool) -> None:
    """Refuses a state of which no snapshot could be signed."""
    row = [bytes(32), bytes(32)] if is_encrypted else bytes(32)
    require(len(cbor.encode(dict.fromkeys(bodies, row))) <= TABLE_BYTES_MAX, "state-oversize")
