"""What a reader does with a verified delta or snapshot, and in which order other things stand.

Implements spec/postern.md#acceptance, and the order of reports (#reports-and-acks) and of admissions
(spec/relays.md#admission) for the vectors.
"""

from dataclasses import dataclass

from .snapshot import covers

ACCEPT, APPLY, DUPLICATE, OLDER, NEED, REFUSE = "accept", "apply", "duplicate", "older", "need", "refuse"


@dataclass(frozen=True)
class Head:
    """An accepted head: where a reader stands."""

    generation: int
    epoch: int
    seq: int
    digest: bytes


@dataclass(frozen=True)
class Incoming:
    """What counts of a verified delta or snapshot."""

    is_snapshot: bool
    generation: int
    epoch: int
    seq: int
    base: int
    digest: bytes
    lineage: list


@dataclass(frozen=True)
class Outcome:
    """The row that fits. `superseded` is the first and the last number that were skipped."""

    row: int
    outcome: str
    reject: str | None = None
    superseded: tuple[int, int] | None = None
    freezes: bool = False


def judge(stored: Head | None, is_frozen: bool, incoming: Incoming) -> Outcome:
    """Finds the first row of the acceptance table that fits."""
    if stored is None:
        return Outcome(2, ACCEPT) if incoming.is_snapshot else Outcome(1, NEED, "nothing-stored")
    if incoming.generation < stored.generation:
        return Outcome(3, REFUSE, "generation-stale")
    if incoming.generation > stored.generation:
        return Outcome(4, ACCEPT) if incoming.is_snapshot else Outcome(5, NEED, "epoch-needs-snapshot")
    if incoming.epoch < stored.epoch:
        return Outcome(6, REFUSE, "epoch-stale")
    if incoming.epoch > stored.epoch:
        return _judge_higher_epoch(stored, incoming)
    if is_frozen:
        return Outcome(10, REFUSE, "epoch-frozen")
    return _judge_same_epoch(stored, incoming)


def _judge_higher_epoch(stored: Head, incoming: Incoming) -> Outcome:
    if not incoming.is_snapshot:
        return Outcome(7, NEED, "epoch-needs-snapshot")
    if covers(incoming.lineage, stored.epoch, stored.seq, stored.digest):
        return Outcome(8, ACCEPT)
    return Outcome(9, REFUSE, "writer-behind")


def _judge_same_epoch(stored: Head, incoming: Incoming) -> Outcome:
    if incoming.seq < stored.seq:
        return Outcome(11, OLDER)
    if incoming.seq == stored.seq:
        if incoming.digest == stored.digest:
            return Outcome(12, DUPLICATE)
        return Outcome(13, REFUSE, "equivocation", freezes=True)
    if incoming.is_snapshot:
        skipped = (stored.seq + 1, incoming.seq - 1)
        return Outcome(17, ACCEPT, superseded=skipped if skipped[0] <= skipped[1] else None)
    if incoming.base == stored.seq:
        return Outcome(14, APPLY)
    if incoming.base < stored.seq:
        return Outcome(15, NEED, "base-older")
    return Outcome(16, NEED, "base-newer")


def compare(stored, incoming, same: bool, stale: str) -> tuple[str, str | None]:
    """Orders what replaces an older one of its kind: outcome and reject. `same` tells equal content."""
    if stored is None or incoming > stored:
        return ACCEPT, None
    if incoming < stored:
        return REFUSE, stale
    return (DUPLICATE, None) if same else (REFUSE, "equivocation")
