"""The kinds of envelopes: who signs them for which plane, and which numbers their header may hold.

Implements spec/postern.md#planes and #kinds, and the steps 9 and 10 of #verification-order.
"""

from dataclasses import dataclass

from .rejects import require

DESIRED, ACTUAL = 0, 1

DELTA, SNAPSHOT, REPORT, REPORT_ACK, HEARTBEAT = 0, 1, 2, 3, 4
ENROL_REQUEST, ENROL_ANSWER, BUNDLE, ADMISSION = 5, 6, 7, 8
HELLO, WELCOME, RECEIPT, EVIDENCE, PLANE_KEY, LOST = 9, 10, 11, 12, 13, 14

_BOTH_WRITERS = {("writer", DESIRED), ("device", ACTUAL)}

# kind: the pairs of signing role and plane
SIGNERS = {
    DELTA: _BOTH_WRITERS,
    SNAPSHOT: _BOTH_WRITERS,
    REPORT: {("device", ACTUAL)},
    REPORT_ACK: {("writer", DESIRED)},
    HEARTBEAT: _BOTH_WRITERS,
    ENROL_REQUEST: {("enrolling", None)},
    ENROL_ANSWER: {("writer", None)},
    BUNDLE: {("root", None)},
    ADMISSION: {("writer", None)},
    HELLO: {("device", None), ("writer", None), ("mailbox", None)},
    WELCOME: {("mailbox", None)},
    RECEIPT: {("mailbox", None)},
    EVIDENCE: {("device", DESIRED), ("writer", ACTUAL)},
    PLANE_KEY: {("writer", None)},
    LOST: {("mailbox", DESIRED), ("mailbox", ACTUAL)},
}


@dataclass(frozen=True)
class Position:
    """What label -65537 says: the place of a message among those of its kind."""

    kind: int
    epoch: int
    seq: int
    base: int
    digest: bytes

    def to_item(self) -> list:
        """Gives the array of the header."""
        return [self.kind, self.epoch, self.seq, self.base, self.digest]

    @property
    def head(self) -> tuple[int, int]:
        """The revision without its digest."""
        return self.epoch, self.seq

    def check(self) -> None:
        """Refuses numbers, then a digest, that the kind does not have."""
        self._check_numbers()
        require(len(self.digest) in self._digest_lengths(), "digest-length")

    def _check_numbers(self) -> None:
        kind, epoch, seq, base = self.kind, self.epoch, self.seq, self.base
        if kind in (ENROL_REQUEST, HELLO, WELCOME):
            require(epoch == seq == base == 0, "header-numbers")
        elif kind == HEARTBEAT:
            require((epoch == 0) == (seq == 0) and base >= 1, "header-numbers")
        elif kind == BUNDLE:
            require(epoch == 0, "header-numbers")
            require(seq >= 1, "seq-zero")
            require(base == seq - 1, "header-numbers")
        else:
            require(epoch >= 1, "epoch-zero")
            require(seq >= 1, "seq-zero")
            if kind in (DELTA, LOST):
                require(base < seq, "base-not-below")
                require(base >= 1 or kind == LOST, "header-numbers")
            else:
                require(base == 0, "header-numbers")

    def _digest_lengths(self) -> tuple[int, ...]:
        if self.kind in (REPORT_ACK, LOST):
            return (0,)
        if self.kind == REPORT:
            return (0, 32)
        if self.kind == HEARTBEAT:
            return (32,) if self.epoch else (0,)
        if self.kind == BUNDLE and self.seq == 1:
            return (0,)
        return (32,)
