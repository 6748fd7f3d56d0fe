"""11-engine: conversations that go well, with loss, duplication, reordering and restarts."""

from . import envelope as e
from .c06_enrol import FIRST, SECOND
from .collection import Collection
from .encoding import Raw, sequence
from .keys import SIGNERS, blob
from .session import item, plain
from .talk import BASE_SEQ, NONCES, Talk, at, beat_of, chunks, filed, head_of, state, whole

NEXT = BASE_SEQ + 1
LATER = e.EPOCH + 7


def fresh(value=1, seq=1):
    """Returns a talk whose device holds nothing and was told of a snapshot, and that snapshot."""
    talk, snapshot = Talk(held=None).connect(), whole(seq, value)
    talk.hold()
    talk.answer(snapshot, expect={"sent": ["fetch"]})
    return talk, snapshot


def first_contact(file):
    """Adds conversations of a device that holds nothing."""
    talk, snapshot = fresh()
    talk.bodies(*chunks(state(1)), head=head_of(snapshot))
    talk.apply()
    talk.hold()
    talk.add(file, "first-snapshot", "#snapshot", "a table, its bodies, the application; the next poll says it")
    talk, snapshot = fresh()
    for place, chunk in enumerate(chunks(state(1))):
        last = place == len(chunks(state(1))) - 1
        talk.bodies(chunk, **({"head": head_of(snapshot)} if last else {"expect": {"sent": ["fetch"]}}))
    talk.add(file, "bodies-one-by-one", "#fetch", "each fetch brings one body; nothing counts before the last")
    talk, snapshot = fresh()
    body = chunks(state(1))[0]
    cut = len(body[3]) // 2
    talk.bodies([body[0], body[1], 0, body[3][:cut]], expect={"sent": ["fetch"]})
    talk.bodies([body[0], body[1], cut, body[3][cut:]], *chunks(state(1))[1:], head=head_of(snapshot))
    talk.add(file, "body-in-two-pieces", "#bodies", "the second fetch goes on where the first piece ended")
    talk, snapshot = fresh()
    talk.step("failed", to="fetch", expect={"sent": ["fetch"]})
    talk.bodies(*chunks(state(1)), head=head_of(snapshot))
    talk.add(file, "fetch-lost", "#fetch", "the answer to a fetch never comes: it is sent again")
    talk, snapshot = fresh()
    again = talk.bodies(*chunks(state(1)), head=head_of(snapshot))
    talk.step("answer", to="fetch", again=again)
    talk.add(file, "bodies-twice", "#fetch", "the same answer comes twice")
    talk = Talk(held=None).connect()
    talk.serve(at(NEXT, 2), rejects=["nothing-stored"], expect={"sent": ["need"]})
    snapshot = whole(NEXT, 2)
    talk.answer(snapshot, to="need", expect={"sent": ["fetch"]})
    talk.bodies(*chunks(state(2)), head=head_of(snapshot))
    talk.apply()
    talk.add(file, "delta-first", "#need", "a delta on nothing: the device asks for a snapshot and gets it")


def loss(file):
    """Adds conversations over a network that loses, doubles, and mixes."""
    add = lambda talk, name, spec, comment: talk.add(file, name, spec, comment, ["network"])
    talk = Talk().connect()
    talk.accept(at(NEXT, 2))
    talk.apply()
    talk.hold()
    add(talk, "one-delta", "#delta", "accepted, applied, told by the next poll")
    talk = Talk().connect()
    talk.accept(*(at(NEXT + more, 2 + more) for more in range(5)))
    talk.apply()
    add(talk, "five-deltas", "#answer", "five decisions in one answer, in order")
    talk = Talk().connect()
    talk.hold()
    talk.step("failed", to="poll")
    talk.accept(at(NEXT, 2))
    add(talk, "answer-lost", "#poll", "an answer is lost: the next poll says the same head and gets it")
    talk = Talk().connect()
    talk.hold()
    talk.step("failed", to="poll")
    lost = talk.answer(at(NEXT, 2))
    talk.accept(at(NEXT, 2))
    add(talk, "answer-after-failure", "#poll", "an answer whose exchange was given up changes nothing")
    talk = Talk().connect()
    again = talk.accept(at(NEXT, 2))
    talk.step("answer", to="poll", again=again)
    talk.step("answer", to="poll", again=again, wait=3_000)
    add(talk, "answer-doubled", "#sessions", "the same answer three times, once awaited")
    talk = Talk().connect()
    talk.accept(at(NEXT, 2))
    talk.serve(at(NEXT, 2))
    talk.serve(at(NEXT, 2), at(NEXT, 2))
    add(talk, "delta-again", "#acceptance", "a decision that is held comes again: a duplicate is no news and no error")
    talk = Talk().connect()
    talk.accept(at(NEXT, 2), at(NEXT + 1, 3))
    talk.serve(at(NEXT, 2))
    add(talk, "older-delta", "#acceptance", "a decision below the head is passed over")
    talk = Talk().connect()
    talk.refuse(at(NEXT + 1, 3), "base-newer", expect={"sent": ["need"]})
    talk.answer(at(NEXT, 2), at(NEXT + 1, 3), to="need", head=head_of(at(NEXT + 1, 3)))
    talk.apply()
    add(talk, "delta-missing", "#acceptance", "the second decision comes before the first; the answer to the need brings both")
    talk = Talk().connect()
    talk.serve(at(NEXT + 1, 3), at(NEXT, 2), rejects=["base-newer"], head=head_of(at(NEXT, 2)))
    talk.accept(at(NEXT + 1, 3))
    add(talk, "deltas-swapped", "#answer", "two decisions in the wrong order: the first that fits counts, the other comes again")
    talk = Talk().connect()
    talk.accept(whole(NEXT + 20, 1))
    talk.apply()
    add(talk, "snapshot-without-bodies", "#snapshot", "a table whose bodies are held already is whole at once")
    talk = Talk().connect()
    snapshot = whole(NEXT + 20, 9)
    talk.serve(snapshot, expect={"sent": ["fetch"]})
    talk.bodies(chunks(state(9))[0], head=head_of(snapshot))
    talk.hold()
    add(talk, "snapshot-over-a-gap", "#acceptance", "twenty decisions are skipped; only the changed body is fetched")
    talk = Talk().connect()
    talk.serve()
    talk.serve()
    talk.accept(at(NEXT, 2))
    add(talk, "nothing-new", "#answer", "holds that run out, then news")
    talk = Talk().connect()
    talk.refuse(whole(1, 9, LATER), "writer-behind")
    talk.refuse(whole(1, 9, LATER), "writer-behind")
    talk.accept(at(NEXT, 2))
    add(talk, "refused-again", "#acceptance", "what was refused comes with each poll: it is counted each time, and listed once")
    talk = Talk().connect()
    talk.serve(hints={1: 3000, 2: 20})
    talk.accept(at(NEXT, 2))
    add(talk, "hints", "#answer", "a mailbox asks for patience")


def lives(file):
    """Adds conversations over restarts, sessions, epochs, bundles and files."""
    add = lambda talk, name, spec, comment: talk.add(file, name, spec, comment, ["lives"])
    talk = Talk().connect()
    talk.accept(at(NEXT, 2))
    talk.apply()
    talk.step("restart", expect={"session": False, "applied": talk.done})
    talk.connect("-2")
    talk.accept(at(NEXT + 1, 3))
    add(talk, "restart", "#acceptance", "what was accepted is held after a restart")
    talk = Talk().connect()
    talk.accept(at(NEXT, 2), expect={"applying": [e.EPOCH, NEXT]})
    talk.step("restart", expect={"applying": [e.EPOCH, NEXT], "applied": talk.done})
    talk.apply()
    add(talk, "restart-before-applied", "#acceptance", "accepted and not applied: the application is told again")
    talk = Talk().connect()
    talk.accept(at(NEXT, 2))
    talk.apply(status=7)
    talk.accept(at(NEXT + 1, 3))
    talk.apply()
    add(talk, "application-fails", "#reports-and-acks", "a revision that was not applied stays accepted; the next one is applied")
    talk = Talk().connect()
    talk.accept(at(NEXT, 2), expect={"applying": [e.EPOCH, NEXT]})
    talk.apply(status=7)
    talk.step("restart", expect={"applying": [e.EPOCH, NEXT], "applied": talk.done})
    talk.apply()
    add(talk, "application-failed-before-restart", "#report", "what the application failed with is handed to it again after a restart")
    talk = Talk().connect()
    talk.hold()
    talk.step("answer", to="poll", frame=plain(22, 114, 1000), expect={"session": False})
    talk.connect("-2", wait=5_000)
    talk.accept(at(NEXT, 2))
    add(talk, "refused-and-back", "#frames", "an unsigned refusal ends the session and changes nothing else")
    talk = Talk().connect()
    talk.refuse(at(NEXT + 1, 3), "base-newer", expect={"sent": ["need"]})
    talk.step("answer", to="need", frame=plain(22, 65535), expect={"session": False})
    talk.connect("-2", wait=5_000)
    talk.accept(at(NEXT, 2))
    add(talk, "refused-without-known-reason", "#frames", "an unsigned refusal of a need, for a reason that nobody knows")
    talk = Talk().connect()
    talk.hold()
    talk.reply(sequence(item(at(NEXT, 2)), [0, [b"", {}, b""]]), rejects=["shape"], expect={"session": False})
    talk.connect("-2", wait=5_000)
    talk.accept(at(NEXT, 2))
    add(talk, "item-without-form", "#frames", "an item that is no envelope spoils the frame: nothing of it is taken")
    talk = Talk().connect(time=[1_780_000_000])
    talk.accept(at(NEXT, 2))
    add(talk, "time-in-welcome", "#signed-time", "a mailbox that states a time")
    talk = Talk().connect()
    lineage = [(e.EPOCH, BASE_SEQ, e.root_digest(state(1))[0])]
    talk.accept(whole(1, 1, LATER, lineage))
    talk.accept(at(2, 2, epoch=LATER))
    add(talk, "next-epoch", "#epochs", "the writer restarted: a snapshot whose lineage covers the head, then a delta")
    talk = Talk().connect()
    talk.accept(whole(1, 1, LATER, [(e.EPOCH, BASE_SEQ + 40, blob("digest of another state", 32))]))
    add(talk, "next-epoch-above", "#lineage", "the lineage ends above the head of the device, which missed the rest")
    talk = Talk().connect()
    second = e.bundle(2, FIRST.message_id)
    talk.serve([None, Raw(second.untagged)], expect={"bundle": 2})
    talk.bundle = 2
    add(talk, "bundle", "#bundle", "the next bundle counts at once and the next poll says it")
    talk = Talk().connect()
    talk.accept([None, Raw(SECOND.untagged)], whole(1, 1, e.EPOCH - 9, signer="writer-2"), generation=2, expect={"bundle": 2})
    talk.bundle = 2
    talk.hold()
    add(talk, "writer-rotated", "#bundle", "the bundle stands before the snapshot that needs it; a higher generation outranks a lower epoch")
    talk = Talk()
    talk.head = head_of(at(NEXT, 2))
    talk.step("filed", frame=filed(at(NEXT, 2)))
    talk.apply()
    add(talk, "file", "#file-binding", "a decision that is carried by hand, without a session")
    talk = Talk().connect()
    talk.serve(e.Envelope(SIGNERS["writer"], e.REPORT_ACK, (1, 1, 0), b"", b"\x80"))
    add(talk, "report-ack", "#reports-and-acks", "an acknowledgement changes no state")
    talk = Talk().connect()
    talk.serve(hints={3: "https://box.example/"}, expect={"moves": ["https://box.example/"]})
    talk.serve(hints={3: "https://box.example/"}, expect={"moves": []})
    add(talk, "move", "#answer", "a move to a URL of the bundle, and no second one within a minute")
    talk = Talk().connect(age=20)
    talk.serve(hints={1: 3_600_000, 3: "https://box.example/"}, expect={"moves": ["https://box.example/"]})
    talk.step("wait", wait=60_000)
    talk.connect("-2")
    talk.accept(at(NEXT, 2))
    add(talk, "move-and-pause", "#answer", "a draining relay sends the device away and asks for an hour: the session elsewhere begins without a pause")


def freshness(file):
    """Adds conversations in which only time passes."""
    add = lambda talk, name, comment: talk.add(file, name, "#heartbeat", comment, ["freshness"])
    talk = Talk().connect()
    talk.serve(expect={"stale": True})
    talk.serve(beat_of(1_000_000, NONCES[0]), expect={"stale": False})
    talk.step("wait", wait=80_000, expect={"stale": False})
    talk.step("wait", wait=200_000, expect={"stale": True})
    add(talk, "echo-and-silence", "an echo anchors, silence turns stale")
    talk = Talk().connect()
    talk.serve(beat_of(1_000_000, NONCES[0]), expect={"stale": False})
    for minute in range(1, 6):
        talk.step("wait", wait=60_000, expect={"stale": False})
        talk.serve(beat_of(1_000_000 + minute * 70_000), expect={"stale": False})
    add(talk, "kept-fresh", "heartbeats that keep pace keep the device fresh")


def build():
    """Returns the files of conversations."""
    from . import c11_attacks

    good = Collection("11-engine/valid.json", "engine.step", "conversations with one device engine: what it sends, accepts, applies; see CLIENT-CLI.md")
    for fill in (first_contact, loss, lives, freshness):
        fill(good)
    return [good, *c11_attacks.build()]
