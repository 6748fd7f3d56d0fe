"""08-bytes: the exact size of each message of the byte budget."""

from . import envelope as e
from .collection import Collection
from .encoding import Raw
from .session import CHANNEL, Session, plain, raw

COUNTER = 300
BUNDLE = 1
STATEMENT = "epoch of 9 bytes, seq 2^20, a 13-character path, a counter of 3 bytes, Ed25519"


def build():
    """Returns the file of sizes."""
    file = Collection("08-bytes/sizes.json", "bytes", STATEMENT)
    session = Session()
    delta = e.delta({e.PATH: "hall-B"})
    state = {e.PATH: "hall-B"}
    report = e.report([e.EPOCH, e.SEQ], e.root_digest(state)[0], numbers=(e.EPOCH, e.SEQ, 0))
    head = (e.EPOCH, e.SEQ)
    digest, table = e.root_digest(state)
    beat = lambda echo: e.heartbeat(head, digest, uptime=2**32 - 1, echo=echo)
    evidence = e.evidence(head, digest, 64, table, [(delta.message_id, None)])
    poll = lambda acked, *heads: session.frame(0, COUNTER, 25, BUNDLE, acked, *heads)
    rows = (
        ("delta", "envelope", delta.untagged, 172, "one key, as envelope"), ("posted", "frame", plain(23, CHANNEL, 0, Raw(delta.tagged)), 190, "the same delta posted"),
        ("report", "envelope", report.untagged, 165, "equal cursors, no lists"), ("poll-one-plane", "frame", poll(None, *head), 40, "MACed, one plane, no report outstanding"),
        ("poll-two-planes", "frame", poll(None, *head, *head), 52, "MACed, two planes, no report outstanding"),
        ("poll-one-plane-outstanding", "frame", poll(e.SEQ, *head), 40, "MACed, one plane, a report is outstanding"),
        ("poll-two-planes-outstanding", "frame", poll(e.SEQ, *head, *head), 52, "MACed, two planes, a report is outstanding"), ("idle-answer", "frame", session.frame(1, COUNTER), 16, "nothing new"),
        ("heartbeat", "envelope", beat(None).untagged, 190, "no nonce"), ("heartbeat-echo", "envelope", beat(e.ECHO).untagged, 190, "with the echo of a nonce"),
        ("evidence", "envelope", evidence.untagged, 300, "writer-behind: a table of one section, one message named"),
        ("hello", "frame", plain(20, CHANNEL, raw(session.hello())), 250, "the hello frame"),
    )
    for name, form, data, budget, comment in rows:
        assert len(data) <= budget, (name, len(data))
        file.valid(f"bytes-{name}", "#limits", comment, ["bytes"], form=form, input=data, bytes=len(data), budget=budget)
    return [file]
