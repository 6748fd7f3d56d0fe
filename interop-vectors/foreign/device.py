"""A small model of a device: what it holds, and what it makes of one envelope, body or heartbeat.

It keeps no session and sends nothing; `engine` does. Encryption, evidence and intents are left out.
"""

from . import state as states
from .cbor import Refused, ensure, read, write
from .crypto import sha256
from .envelope import parse, verify_envelope
from .overtime import Watch
from .session import aad
from .trust import Held


class Device:
    """What a device holds of the desired plane."""

    def __init__(self, config, acceptance):
        raw = {name: bytes.fromhex(config[name]) for name in ("root", "recovery", "incarnation")}
        self.place = [raw["root"], config["tenant"], config["device"], raw["incarnation"]]
        self.tenant, self.acceptance, self.max_age = config["tenant"], acceptance, config["max_age_ms"]
        self.trust = Held(raw["root"], raw["recovery"])
        self.state, self.head, self.frozen = {}, None, None
        self.boot()

    def boot(self):
        """Forgets what no store keeps."""
        self.pending, self.watch = None, Watch(self.max_age)

    @property
    def channel(self):
        """The id of the channel."""
        return sha256(write(["postern-channel", *self.place[:3]]))[:16]

    @property
    def seen(self):
        """The revision that polls name."""
        head = self.pending["head"] if self.pending else self.head
        return [head["epoch"], head["seq"]] if head else [0, 0]

    def take(self, now, plane, data):
        """Takes one envelope."""
        opened = parse(data)
        if plane is None:
            self.trust.accept(data)
            return
        generation, key = self.trust.content[3][self.tenant]
        public = key[-2] if key[1] == 1 else b"\x04" + key[-2] + key[-3]
        revoked = self.trust.content[5]
        opened, content, _, _ = verify_envelope(data, "writer", plane, aad(opened.kind, *self.place, plane), [public], revoked)
        if opened.kind == 4:
            self.watch.hear(now, content[0], content[1], content[4])
        elif opened.kind in (0, 1):
            self.decide(opened, generation)

    def decide(self, opened, generation):
        """Takes a delta or a snapshot."""
        value = read(opened.payload)
        new = {"kind": ("delta", "snapshot")[opened.kind], "generation": generation, "epoch": opened.epoch, "seq": opened.seq, "base": opened.base, "digest": opened.digest, "lineage": value[1] if opened.kind == 1 else []}
        is_frozen = self.head is not None and self.frozen == self.head["epoch"]
        outcome, reject = self.acceptance(self.head, is_frozen, new)
        if reject:
            if reject == "equivocation":
                self.frozen = opened.epoch
            raise Refused(reject)
        if outcome not in ("accept", "apply"):
            return
        if opened.kind == 0:
            self.adopt(new, states.apply(self.state, opened.payload, opened.digest))
        else:
            rank = lambda head: [head[name] for name in ("generation", "epoch", "seq")]
            waiting = self.pending["head"] if self.pending else None
            if waiting and rank(new) < rank(waiting):
                return
            if waiting and rank(new) == rank(waiting) and new["digest"] != waiting["digest"]:
                self.pending, self.frozen = None, opened.epoch
                raise Refused("equivocation")
            self.pending = {"head": new, "table": value[0], "got": {}}
            self.finish()

    def adopt(self, head, state):
        """Moves to an accepted revision."""
        self.head, self.state, self.frozen = head, state, None

    def bodies(self):
        """Returns the bodies that are here, by digest."""
        sections = {}
        for path, value in self.state.items():
            sections.setdefault(states.section_of(path), {})[path] = value
        held = {sha256(write(body)): write(body) for body in sections.values()}
        return {**held, **{digest: data for digest, (size, data) in self.pending["got"].items() if len(data) == size}}

    def chunk(self, digest, size, offset, data):
        """Takes a piece of a body."""
        if not self.pending:
            return
        ensure(digest in self.pending["table"].values(), "body-mismatch")
        got = self.pending["got"].get(digest, (size, b""))
        if digest in self.bodies() or offset != len(got[1]):
            return
        whole = got[1] + data
        ensure(size == got[0] and (len(whole) < size or sha256(whole) == digest), "body-mismatch")
        self.pending["got"][digest] = (size, whole)

    def finish(self):
        """Commits the snapshot when every body is here."""
        bodies, table = self.bodies(), self.pending["table"]
        if not set(table.values()) <= set(bodies):
            return
        head, state = self.pending["head"], {}
        self.pending = None
        for section, digest in table.items():
            states.check_body(section, digest, bodies[digest])
            state.update(read(bodies[digest]))
        ensure(states.digest(state)[0] == head["digest"], "digest-mismatch")
        self.adopt(head, state)
