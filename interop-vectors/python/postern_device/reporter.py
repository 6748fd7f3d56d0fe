"""The device's reports: what happened, repeated until the controller acknowledged it.

Implements spec/postern.md#reports-and-acks and #epochs, the device's part.
"""

import collections
import secrets
import time

from . import cbor, cose, encryption, kinds
from .limits import REPORT_LIST_MAX
from .rejects import Reject
from .reports import INTENTS, LOST, REJECTS, RESULTS, ROTATION, SUPERSEDED, Report
from .store import Entry, Record

REFUSALS_REMEMBERED = REPORT_LIST_MAX  # refusals acknowledged in a session that are not listed again in it


def next_epoch(highest: int) -> int:
    """A further epoch: above all that is known, and unlikely to be drawn by anybody else."""
    second = max(int(time.time()), (highest >> 20) + 1)
    return (second << 20) | secrets.randbits(20)


class Reporter:
    """Collects entries, signs reports and forgets what is acknowledged. Changes the record; never commits."""

    def __init__(self, record: Record, place: cose.Place, on_reject=None):
        self._record = record
        self._place = place
        self._on_reject = on_reject
        self.rejects: collections.Counter[str] = collections.Counter()
        self._is_first = True
        self._told: collections.deque[list] = collections.deque(maxlen=REFUSALS_REMEMBERED)

    @property
    def _reporting(self):
        return self._record.reporting

    @property
    def is_outstanding(self) -> bool:
        """Tells whether the newest report is not acknowledged yet."""
        return self._reporting.rseq > self._reporting.acked

    def open_epoch(self) -> None:
        """Begins a device epoch; at each start, because nothing proves that the store is the newest copy."""
        reporting = self._reporting
        reporting.epoch = next_epoch(reporting.epoch)
        reporting.rseq = reporting.acked = 0
        reporting.newest = None
        for entry in reporting.entries:
            entry.since = 0

    def count(self, name: str) -> None:
        """Counts a reject."""
        self.rejects[name] += 1
        if self._on_reject is not None:
            self._on_reject(name)

    def refuse(self, position: kinds.Position, reject: Reject, payload_verified: bool) -> bool:
        """Counts a reject and lists it where the registry says so. True when the record changed."""
        self.count(reject.name)
        if not reject.is_reported(payload_verified):
            return False
        value = [position.kind, position.epoch, position.seq, reject.number]
        # A mailbox offers the same message with each poll: listed again after its acknowledgement it would make
        # report after report.
        if value in self._told or any(one.number == REJECTS and one.value == value for one in self._reporting.entries):
            return False
        self._add(REJECTS, value)
        return True

    def superseded(self, epoch: int, first: int, last: int) -> None:
        """Lists revisions that were skipped."""
        self._add(SUPERSEDED, [epoch, first, last])

    def result(self, epoch: int, seq: int, status: int, output: str) -> None:
        """Lists how the application ended; of its output the last 512 bytes count."""
        self._add(RESULTS, [epoch, seq, status, output.encode()[-512:].decode(errors="ignore")])

    def intents(self, notes: list) -> None:
        """Lists what became of intents."""
        for note in notes:
            self._add(INTENTS, note)

    def _add(self, number: int, value: list) -> None:
        entries = self._reporting.entries
        entries.append(Entry(number, value))
        of_list = [entry for entry in entries if entry.number == number]
        if len(of_list) > REPORT_LIST_MAX:
            entries.remove(of_list[0])
            lost = next((one for one in entries if one.number == LOST and one.value[0] == number), None)
            if lost is None:
                entries.append(Entry(LOST, [number, 1]))
            else:
                lost.value[1], lost.since = lost.value[1] + 1, 0

    def acknowledge(self, epoch: int, rseq: int) -> bool:
        """Takes a report-ack of this device epoch. True when the record changed."""
        reporting = self._reporting
        if epoch != reporting.epoch or not reporting.acked < rseq <= reporting.rseq:
            return False
        reporting.acked = rseq
        covered = [one for one in reporting.entries if 0 < one.since <= rseq]
        self._told.extend(one.value for one in covered if one.number == REJECTS)
        reporting.entries = [one for one in reporting.entries if one not in covered]
        return True

    def begin_session(self) -> None:
        """Another mailbox may lead to a controller that was told nothing."""
        self._told.clear()

    def is_due(self) -> bool:
        """Tells whether something is to be said that no report said."""
        is_new = any(entry.since == 0 for entry in self._reporting.entries)
        return self._is_first or is_new or self._summary() != self._reporting.summary

    def seal(self) -> None:
        """Signs the next report into the record, where it stays until a newer one replaces it."""
        reporting = self._reporting
        reporting.rseq += 1
        for entry in reporting.entries:
            entry.since = entry.since or reporting.rseq
        received, accepted, applied = self._cursors()
        digest = self._record.desired.applied.digest if applied != (0, 0) else b""
        position = kinds.Position(kinds.REPORT, reporting.epoch, reporting.rseq, 0, digest)
        report = Report(received, accepted, applied, self._lists(position))
        aad = self._place.of_plane(kinds.REPORT, kinds.ACTUAL)
        reporting.newest = cose.seal(self._record.identity.seed, position, report.to_payload(), aad)
        reporting.summary = self._summary()
        self._is_first = False

    def _lists(self, position: kinds.Position):
        lists: dict = {}
        for entry in self._reporting.entries:
            lists.setdefault(entry.number, []).append(entry.value)
        if LOST in lists:
            lists[LOST].sort()
        if self._record.next_key is not None:
            lists[ROTATION] = self._record.next_key.envelope
        held = self._record.held_keys
        if not lists or held is None:
            return lists
        newest = held.keys.generations[-1]
        aad = encryption.aad_of_payload(self._place, kinds.ACTUAL, position)
        return encryption.seal(newest.actual, newest.number, cbor.encode(lists), aad)

    def _cursors(self) -> list[tuple[int, int]]:
        """Received, accepted, applied. A higher generation may begin at a lower epoch, which cursors cannot say:
        what was applied under the old one counts as nothing then."""
        desired = self._record.desired
        heads = [(head.epoch, head.seq) if head else (0, 0) for head in (desired.received, desired.head)]
        applied = (desired.applied.epoch, desired.applied.seq) if desired.applied else (0, 0)
        return [max(heads), heads[1], applied if applied <= heads[1] else (0, 0)]

    def _summary(self) -> bytes:
        is_rotating = self._record.next_key is not None
        return cbor.encode([[*cursor] for cursor in self._cursors()] + [is_rotating])
