"""07-acceptance: every row of the acceptance table, and the comparison of reports."""

from . import envelope as e
from .collection import Collection
from .keys import blob

GENERATION = 3
HELD = blob("held digest", 32)
OTHER = blob("another digest", 32)
STORED = {"generation": GENERATION, "epoch": 100, "seq": 50, "digest": HELD}
OUTCOMES = {"accept": True, "apply": True, "duplicate": True, "older": True, "need": False, "refuse": False}


def incoming(kind, epoch=100, seq=51, base=None, digest=OTHER, generation=GENERATION, lineage=()):
    """Returns an envelope as the table sees it."""
    row = {"kind": kind, "generation": generation, "epoch": epoch, "seq": seq}
    row["base"] = (seq - 1 if kind == "delta" else 0) if base is None else base
    row["digest"] = digest
    row["lineage"] = [list(entry) for entry in lineage]
    return row


class Table:
    """Adds rows of the table."""

    def __init__(self, file):
        self.file = file

    def __call__(self, row, name, outcome, comment, envelope, error=None, **more):
        fields = {
            "row": row, "stored": more.pop("stored", STORED), "frozen": more.pop("frozen", False),
            "incoming": envelope, "outcome": outcome, **more,
        }
        name = f"row-{row:02}-{name}"
        assert bool(error) is not OUTCOMES[outcome], name
        if error:
            self.file.invalid(name, error, "#acceptance", comment, [outcome], **fields)
        else:
            self.file.valid(name, "#acceptance", comment, [outcome], **fields)


def nothing_stored(add):
    """Rows 1 and 2."""
    add(1, "first-delta", "need", "a delta came first", incoming("delta", 1, 2), "nothing-stored", stored=None)
    add(1, "late-delta", "need", "a delta of a long history", incoming("delta", 2**60, 2**40), "nothing-stored", stored=None)
    add(2, "first-snapshot", "accept", "the beginning", incoming("snapshot", 1, 1), stored=None)
    add(2, "late-snapshot", "accept", "joins in the middle", incoming("snapshot", e.EPOCH, e.SEQ), stored=None)
    lineage = [(7, 9, blob("head", 32))]
    add(2, "snapshot-with-past", "accept", "the lineage does not matter", incoming("snapshot", 100, 1, lineage=lineage), stored=None)


def generations(add):
    """Rows 3 to 5."""
    stale = "generation-stale"
    add(3, "snapshot", "refuse", "a revived old primary", incoming("snapshot", generation=2), stale)
    add(3, "delta", "refuse", "its deltas too", incoming("delta", generation=2), stale)
    add(3, "higher-epoch", "refuse", "however far it ran ahead", incoming("snapshot", 10**9, 1, generation=2, lineage=[(100, 50, HELD)]), stale)
    add(3, "same-revision", "refuse", "not even a duplicate", incoming("snapshot", seq=50, digest=HELD, generation=1), stale)
    add(3, "frozen", "refuse", "generation counts before the frozen epoch", incoming("delta", generation=2), stale, frozen=True)
    add(4, "same-epoch", "accept", "a new writer key", incoming("snapshot", generation=4))
    add(4, "lower-epoch", "accept", "outranks a stolen key that ran ahead", incoming("snapshot", 5, 1, generation=4))
    add(4, "lower-seq", "accept", "the number does not count", incoming("snapshot", seq=1, generation=4))
    add(4, "frozen", "accept", "ends the freeze", incoming("snapshot", 101, 1, generation=4), frozen=True)
    add(4, "lineage-elsewhere", "accept", "the lineage does not count", incoming("snapshot", 101, 1, generation=9, lineage=[(100, 1, OTHER)]))
    add(5, "same-epoch", "need", "must begin with a snapshot", incoming("delta", base=50, generation=4), "epoch-needs-snapshot")
    add(5, "higher-epoch", "need", "must begin with a snapshot", incoming("delta", 101, 2, generation=4), "epoch-needs-snapshot")


def epochs(add):
    """Rows 6 to 9."""
    add(6, "snapshot", "refuse", "an old snapshot", incoming("snapshot", 99, 1000), "epoch-stale")
    add(6, "delta", "refuse", "an old delta", incoming("delta", 99, 51, 50), "epoch-stale")
    add(6, "one-below", "refuse", "same seq and digest", incoming("snapshot", 99, 50, digest=HELD), "epoch-stale")
    add(6, "frozen", "refuse", "the frozen epoch is the stored one", incoming("snapshot", 99, 51), "epoch-stale", frozen=True)
    add(7, "delta", "need", "a new epoch must begin with a snapshot", incoming("delta", 101, 2), "epoch-needs-snapshot")
    add(7, "fitting-base", "need", "a base of another epoch is none", incoming("delta", 101, 51, 50), "epoch-needs-snapshot")
    add(7, "frozen", "need", "higher than the frozen epoch", incoming("delta", 101, 2), "epoch-needs-snapshot", frozen=True)
    covering = (
        ("equal-head", [(100, 50, HELD)]), ("beyond-head", [(100, 60, OTHER)]), ("one-of-three", [(90, 5, OTHER), (100, 51, OTHER), (101, 3, OTHER)]),
    )
    for name, lineage in covering:
        add(8, name, "accept", "the head lies on the lineage", incoming("snapshot", 102, 1, lineage=lineage))
    add(8, "frozen", "accept", "a higher epoch ends the freeze", incoming("snapshot", 102, 1, lineage=[(100, 60, OTHER)]), frozen=True)
    missing = (
        ("no-lineage", []), ("shorter", [(100, 49, HELD)]), ("equal-seq-other-digest", [(100, 50, OTHER)]),
        ("other-epochs", [(99, 50, HELD), (101, 50, HELD)]), ("restored-to-100", [(100, 1, HELD)]),
    )
    for name, lineage in missing:
        add(9, name, "refuse", "the writer does not know this head", incoming("snapshot", 102, 1, lineage=lineage), "writer-behind")
    add(9, "frozen", "refuse", "also in a frozen epoch", incoming("snapshot", 102, 1), "writer-behind", frozen=True)


def sequences(add):
    """Rows 10 to 17."""
    for name, envelope in (
        ("next-delta", incoming("delta", base=50)), ("snapshot", incoming("snapshot", seq=60)), ("older", incoming("delta", seq=40)),
        ("duplicate", incoming("delta", seq=50, digest=HELD)), ("again-other", incoming("snapshot", seq=50)),
    ):
        add(10, name, "refuse", "nothing more of this epoch", envelope, "epoch-frozen", frozen=True)
    add(11, "delta", "older", "an old delta is acknowledged again", incoming("delta", seq=40))
    add(11, "snapshot", "older", "an old snapshot is acknowledged again", incoming("snapshot", seq=49))
    add(11, "first", "older", "the first of the epoch", incoming("snapshot", seq=1))
    add(12, "delta", "duplicate", "again with another signature or base", incoming("delta", seq=50, base=3, digest=HELD))
    add(12, "snapshot", "duplicate", "as a snapshot", incoming("snapshot", seq=50, digest=HELD))
    add(13, "delta", "refuse", "another content under one number", incoming("delta", seq=50), "equivocation", freezes=True)
    add(13, "snapshot", "refuse", "another content under one number", incoming("snapshot", seq=50), "equivocation", freezes=True)
    add(14, "next", "apply", "one decision", incoming("delta", base=50))
    add(14, "spans-ten", "apply", "ten decisions in one", incoming("delta", seq=60, base=50))
    add(14, "same-digest", "apply", "a change and its revert", incoming("delta", seq=52, base=50, digest=HELD))
    for name, base in (("one-below", 49), ("first", 1)):
        add(15, name, "need", "the delta starts before the held state", incoming("delta", seq=60, base=base), "base-older")
    for name, base, seq in (("one-above", 51, 52), ("far-above", 2**40, 2**40 + 1)):
        add(16, name, "need", "a delta in between is missing", incoming("delta", seq=seq, base=base), "base-newer")
    add(17, "next", "accept", "nothing was skipped", incoming("snapshot", seq=51))
    add(17, "skips-one", "accept", "51 is superseded", incoming("snapshot", seq=52), superseded=[51, 51])
    add(17, "skips-many", "accept", "51 to 999 are superseded", incoming("snapshot", seq=1000), superseded=[51, 999])


def acceptance():
    """Returns the file of the table."""
    file = Collection("07-acceptance/revisions.json", "revision.accept", "the acceptance table, row by row; envelopes are verified already")
    add = Table(file)
    for part in (nothing_stored, generations, epochs, sequences):
        part(add)
    return file


def reports():
    """Returns the file of the controller's comparison of reports."""
    file = Collection("07-acceptance/reports.json", "report.accept", "the highest report of an incarnation wins; gaps are allowed")
    stored = {"epoch": 20, "rseq": 7, "message_id": HELD}

    def add(name, outcome, comment, epoch, rseq, message_id=OTHER, error=None, held=stored):
        fields = {"stored": held, "incoming": {"epoch": epoch, "rseq": rseq, "message_id": message_id}, "outcome": outcome}
        if error:
            file.invalid(f"report-order-{name}", error, "#reports-and-acks", comment, [outcome], **fields)
        else:
            file.valid(f"report-order-{name}", "#reports-and-acks", comment, [outcome], **fields)

    add("first", "accept", "nothing stored", 20, 1, held=None)
    add("first-late", "accept", "a gap before the first is allowed", 20, 9, held=None)
    add("next", "accept", "the next", 20, 8)
    add("gap", "accept", "a gap is allowed", 20, 100)
    add("higher-epoch", "accept", "a new device epoch begins at 1", 21, 1)
    add("again", "duplicate", "the same message: acknowledge again", 20, 7, HELD)
    add("lower", "refuse", "an older report", 20, 6, error="report-stale")
    add("lower-same-id", "refuse", "the number counts first", 20, 6, HELD, "report-stale")
    add("first-again", "refuse", "the first again", 20, 1, error="report-stale")
    add("lower-epoch", "refuse", "a higher number of an older epoch", 19, 500, error="report-stale")
    add("equivocation", "refuse", "another message under one number", 20, 7, error="equivocation")
    return file


def build():
    """Returns the two files."""
    return [acceptance(), reports()]
