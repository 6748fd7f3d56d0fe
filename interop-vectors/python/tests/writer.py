"""The other end for unit tests: keys, a bundle and a writer that signs for one device, out of this package's parts."""

import hashlib
import os
import pathlib
import shutil
import tempfile
import unittest

from postern_device import cbor, cose, keys, kinds
from postern_device.cose import Place
from postern_device.delta import Delta
from postern_device.engine import Engine
from postern_device.frames import Chunk
from postern_device.kinds import DESIRED, Position
from postern_device.payloads import Heartbeat
from postern_device.snapshot import Snapshot
from postern_device.state import bodies_of, digest_of, table_of
from postern_device.store import Identity, Record, Store

MAILBOX_URL = "https://box.example"


class Writer:
    """Root, writer and mailbox of one tenant, and a device that has joined."""

    def __init__(self):
        self.root, self.recovery, self.seed, self.mailbox = (keys.generate_secret() for _ in range(4))
        self.device_seed, self.agreement = keys.generate_secret(), os.urandom(32)
        genesis = keys.public_of(self.root).thumbprint
        self.place = Place(genesis, "acme", "press-7", os.urandom(16))
        recovery = keys.public_of(self.recovery)
        identity = Identity(
            "acme",
            "press-7",
            genesis,
            recovery.thumbprint,
            self.place.incarnation,
            self.device_seed,
            self.agreement,
            [],
            None,
        )
        writers = {"acme": [1, keys.public_of(self.seed).to_item()]}
        boxes = [[keys.public_of(self.mailbox).to_item(), [MAILBOX_URL]]]
        content = {1: keys.public_of(self.root).to_item(), 2: recovery.to_item(), 3: writers, 4: boxes, 5: []}
        bundle = cose.seal(
            self.root, Position(kinds.BUNDLE, 0, 1, 0, b""), cbor.encode(content), self.place.trust(kinds.BUNDLE)
        )
        self.record = Record(identity, None, [bundle])
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-unit-"))
        self.store = Store(self.folder)
        self.applied: list = []

    def engine(self) -> Engine:
        """A device as it starts, from what its store holds."""
        self.record = self.store.load() or self.record
        engine = Engine(self.record, self.store.commit, 0)
        self.settle(engine)
        return engine

    def settle(self, engine: Engine, actual: dict | None = None) -> None:
        """Lets the application apply; it writes down what it was asked for."""

        def apply(state: dict, actions: list):
            self.applied.append(actions or dict(state))
            return 0, "done"

        engine.settle(apply, lambda: actual or {})

    def give(self, engine: Engine, *items, now_ms: int = 0) -> None:
        """Gives items to a device and settles."""
        engine.handle(list(items), now_ms)
        self.settle(engine)

    def seal(self, position: Position, payload: bytes, plane: int | None = DESIRED, place=None, seed=None):
        """Signs anything: an item of an answer."""
        place = place or self.place
        aad = place.of_device(position.kind) if plane is None else place.of_plane(position.kind, plane)
        return plane, cose.seal(seed or self.seed, position, payload, aad)

    def snapshot(self, state: dict, epoch: int = 5, seq: int = 1, lineage: list = (), place=None):
        """A snapshot of a state."""
        payload = Snapshot(table_of(bodies_of(state)), list(lineage)).to_payload()
        return self.seal(Position(kinds.SNAPSHOT, epoch, seq, 0, digest_of(state)), payload, place=place)

    def delta(self, sets: dict, after: dict, seq: int, base: int, epoch: int = 5):
        """A delta that leads to a state."""
        position = Position(kinds.DELTA, epoch, seq, base, digest_of(after))
        return self.seal(position, Delta(sets).to_payload())

    def bring(self, engine: Engine, state: dict, **numbers) -> None:
        """A snapshot and its bodies."""
        self.give(engine, self.snapshot(state, **numbers))
        engine.take_chunks([chunk_of(body) for body in bodies_of(state).values()])
        self.settle(engine)

    def ack(self, engine: Engine, epoch: int | None = None):
        """A report-ack of the newest report."""
        reporting = engine.record.reporting
        position = Position(kinds.REPORT_ACK, epoch or reporting.epoch, reporting.rseq, 0, b"")
        return self.seal(position, cbor.encode([]))

    def heartbeat(self, echo=None, ask=None, other=(0, 0), uptime_ms: int = 0):
        """A heartbeat of a writer that never wrote."""
        payload = Heartbeat(b"startsat", uptime_ms, other, echo, ask).to_payload()
        return self.seal(Position(kinds.HEARTBEAT, 0, 0, 1, b""), payload)

    def receipt(self, number: int, channel_id: bytes, code: int = 0, message: bytes = bytes(32)):
        """A receipt of the mailbox."""
        position = Position(kinds.RECEIPT, 9, number, 0, message)
        payload = cbor.encode([channel_id, code])
        return None, cose.seal(self.mailbox, position, payload, self.place.of_tenant(kinds.RECEIPT))

    def report(self, engine: Engine):
        """The newest report, as the controller verifies it."""
        envelope = cose.Envelope.parse(engine.record.reporting.newest)
        aad = self.place.of_plane(kinds.REPORT, kinds.ACTUAL)
        return cose.verify(envelope, "device", kinds.ACTUAL, aad, [keys.public_of(self.device_seed)])

    def lists(self, engine: Engine) -> dict:
        """The lists of the newest report."""
        return self.report(engine).content.lists


def begin(test: unittest.TestCase) -> tuple[Writer, Engine]:
    """A writer and the engine of its device for one test, gone after it."""
    writer = Writer()
    test.addCleanup(shutil.rmtree, writer.folder)
    test.addCleanup(writer.store.close)
    return writer, writer.engine()


def chunk_of(body: bytes) -> Chunk:
    """A small body in one piece."""
    return Chunk(hashlib.sha256(body).digest(), len(body), 0, body)
