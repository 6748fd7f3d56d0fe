"""Conversations with one device engine: the steps of a transcript, and what each must show.

A talk knows what the device should hold; whoever writes a transcript says when that changes. Refuses to
run anything: no engine takes part.
"""

from . import envelope as e
from .encoding import Raw, sequence
from .hashing import sha256
from .keys import AGREEMENTS, SIGNERS, blob
from .session import CHANNEL, Session, challenge_frame, item, plain, raw

BASE_SEQ = 5
MAX_AGE_MS = 120_000
NONCES = [blob(f"nonce {number}", 16) for number in range(8)]
FIRST_BUNDLE = e.bundle(1, b"")


def state(value):
    """Returns a small state."""
    return {"a/x": value, e.PATH: "hall-A"}


def at(seq, value, base=None, epoch=e.EPOCH, before=None, **change):
    """Returns the delta that brings `a/x` to a value; `before` is the state it starts from."""
    base = seq - 1 if base is None else base
    return e.delta({"a/x": value}, state={**(before or state(0)), "a/x": value}, numbers=(epoch, seq, base), **change)


def whole(seq, value, epoch=e.EPOCH, lineage=(), **change):
    """Returns a snapshot."""
    return e.snapshot(state(value), lineage, numbers=(epoch, seq, 0), **change)


def chunks(content):
    """Returns the bodies of a state, each in one piece."""
    return [[sha256(body), len(body), 0, body] for body in e.section_bodies(content).values()]


def filed(message):
    """Returns a posted frame of a file."""
    return plain(23, CHANNEL, message.plane, Raw(message.tagged))


def beat_of(uptime, echo=None, **change):
    """Returns a heartbeat of the writer at the head that talks begin with."""
    return e.heartbeat((e.EPOCH, BASE_SEQ), e.root_digest(state(1))[0], other=(0, 0), uptime=uptime, echo=echo, **change)


class Talk:
    """One transcript."""

    def __init__(self, held=1, bundles=(FIRST_BUNDLE,), max_age_ms=MAX_AGE_MS):
        self.steps, self.time, self.session = [], 10_000, None
        self.bundle = len(bundles)
        self.head = self.done = None
        frames = []
        if held is not None:
            message = whole(BASE_SEQ, held)
            frames = [filed(message), *(plain(14, CHANNEL, 0, chunk) for chunk in chunks(state(held)))]
            self.head = [1, e.EPOCH, BASE_SEQ, e.root_digest(state(held))[0]]
            self.done = self.head[1:]
        self.config = {
            "root": e.ROOT, "recovery": SIGNERS["recovery"].thumbprint, "tenant": e.TENANT, "device": e.DEVICE, "incarnation": e.INCARNATION,
            "seed": SIGNERS["device-a"].seed, "bundles": [bundle.tagged for bundle in bundles], "held": frames, "max_age_ms": max_age_ms,
            "mailbox_seeds": [AGREEMENTS["ephemeral-mailbox" + suffix].seed for suffix in ("", "-2")],
            "random": {"ephemerals": [AGREEMENTS["ephemeral-device" + suffix].seed for suffix in ("", "-2")], "nonces": NONCES},
        }

    def step(self, kind, rejects=(), wait=1, **change):
        """Adds a step; `expect` names what is compared beside head and rejects."""
        self.time += wait
        expect = {"head": self.head, "rejects": list(rejects), **change.pop("expect", {})}
        row = {"at_ms": self.time, "input": {"kind": kind, **change}, "expect": expect, "result": "invalid" if rejects else "valid"}
        if rejects:
            row["error"] = rejects[0]
        self.steps.append(row)
        return len(self.steps) - 1

    def connect(self, suffix="", **change):
        """Opens a session: ask, challenge, hello, welcome."""
        self.session = Session(suffix, session_id=blob("session" + suffix, 4), challenge=blob("challenge" + suffix, 16))
        begun = {"sent": ["ask"], "frames": [plain(18, 1, self.bundle)], "session": False}
        self.step("connect", expect=begun, wait=change.pop("wait", 1))
        greeting = plain(20, CHANNEL, raw(self.session.hello()))
        greeted = {"sent": ["hello"], "frames": [greeting], "session": False}
        self.step("answer", to="ask", frame=challenge_frame(self.session), expect=greeted)
        self.step("answer", to="hello", frame=plain(21, raw(self.session.welcome(**change))), expect={"session": True})
        return self

    def hold(self, wait=10_000, shown=None):
        """Grants a poll, which must say what is held; `shown` is a revision that counts as held while its bodies come."""
        seen = shown or (self.head[1:3] if self.head else [0, 0])
        self.step("hold", seconds=55, wait=wait, expect={"poll": [self.bundle, *seen]})

    def reply(self, body, to="poll", kind=1, rejects=(), head=None, wait=1, **change):
        """Answers a request; `head` is the one that the device holds afterwards."""
        if head is not None:
            self.head = head
        return self.step("answer", rejects, wait, to=to, type=kind, body=body, **change)

    def answer(self, *messages, hints=None, **change):
        """Answers a poll with envelopes; `items` of other messages are given as they are."""
        items = [message if isinstance(message, list) else item(message) for message in messages]
        return self.reply(sequence(*([hints] if hints else []), *items), **change)

    def serve(self, *messages, **change):
        """Grants a poll and answers it."""
        self.hold()
        return self.answer(*messages, **change)

    def accept(self, *messages, generation=1, **change):
        """Serves messages of which the last counts afterwards."""
        last = messages[-1]
        return self.serve(*messages, head=head_of(last, generation), **change)

    def refuse(self, message, reject, **change):
        """Serves a message that is refused and changes nothing."""
        return self.serve(message, rejects=[reject], **change)

    def bodies(self, *pieces, **change):
        """Answers a fetch."""
        return self.reply(sequence(*pieces), to="fetch", kind=5, **change)

    def apply(self, status=0):
        """The application ends."""
        if status == 0:
            self.done = self.head[1:]
        self.step("applied", status=status, expect={"applied": self.done})

    def end_session(self, reject, **change):
        """Grants a poll and gives an answer after which the session counts no more."""
        self.hold()
        return self.reply(change.pop("body", b""), rejects=[reject], expect={"session": False}, **change)

    def add(self, file, name, spec, comment, flags=()):
        """Adds the transcript to a file."""
        errors = list(dict.fromkeys(reject for row in self.steps for reject in row["expect"]["rejects"]))
        fields = {"config": self.config, "steps": self.steps}
        if errors:
            file.invalid(f"engine-{name}", errors[0], spec, comment, ["engine", *flags], **fields)
        else:
            file.valid(f"engine-{name}", spec, comment, ["engine", *flags], **fields)


def head_of(message, generation=1):
    """Returns the head that a delta or snapshot brings."""
    kind, epoch, seq, _, digest = message.numbers
    assert kind in (e.DELTA, e.SNAPSHOT)
    return [generation, epoch, seq, digest]
