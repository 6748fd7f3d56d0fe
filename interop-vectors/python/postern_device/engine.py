"""The device itself, without network, files or clock: what comes in changes the record, what is due goes out.

    items of answers --> handle --> record --> commit --> apply --> posts --> frames that go up

Whoever drives it (`device`) passes the time in, sends what `posts` gives, and calls `settle` before anything that
acknowledges. Nothing here waits.

Implements the device's part of spec/postern.md#answer, spec/freshness.md#heartbeat, spec/lives.md#rotation,
spec/relays.md#receipt and spec/encryption.md#switching-on; `desired`, `actual` and `reporter` have the rest.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from . import cose, enrol, files, frames, hints, intents, keys, kinds, names, plane_keys
from .acceptance import Head
from .actual import ActualWriter
from .cose import Envelope
from .desired import DesiredReader
from .encryption import Generation, PlaneKeyPlace, PlaneKeys, open_plane_key
from .freshness import ANCHORED, LATER, MAX_AGE_MS, Watch
from .join import place_of
from .limits import KEY_GENERATIONS_MAX
from .payloads import EnrolRequest, Heartbeat
from .receipts import Receipts
from .rejects import NUMBER_OF, Reject, require
from .reporter import Reporter
from .store import HeldKeys, NextKey, Record
from .trust import Trust

POST_AGAIN_MS = 60_000  # milliseconds after which a report or evidence that nobody answered is posted again
NEEDS_SNAPSHOT = {NUMBER_OF[name] for name in ("nothing-stored", "epoch-needs-snapshot", "base-older", "base-newer")}


@dataclass(frozen=True)
class Post:
    """One item to post, and what it is for this program."""

    what: str
    plane: int
    envelope: bytes


@dataclass(frozen=True)
class Draws:
    """Where the random values come from that a peer sees."""

    ephemeral: Callable[[], bytes] = lambda: os.urandom(32)
    nonce: Callable[[], bytes] = lambda: os.urandom(16)


class Engine:
    """A device's protocol. `on_reject` is told the name of each reject that is counted."""

    def __init__(
        self, record: Record, commit, now_ms: int, max_age_ms: int = MAX_AGE_MS, draws: Draws = Draws(), on_reject=None
    ):
        identity = record.identity
        self.record = record
        self.draws = draws
        self._commit = commit
        self.place = place_of(identity)
        self.channel_id = names.short_id(names.channel_preimage(identity.genesis, identity.tenant, identity.device))
        self.trust = Trust(identity.genesis, identity.recovery)
        for bundle in record.bundles:
            self.trust.accept(bundle)
        self.reporter = Reporter(record, self.place, on_reject)
        self.desired = DesiredReader(record, self.place, self.reporter)
        self.actual = ActualWriter(record, self.place)
        self.watch = Watch(max_age_ms)
        self.receipts = Receipts(self.channel_id)
        self.is_bundle_behind = False
        self.wanted: list = []
        self.applying: Head | None = None  # the newest head that the application was handed and has not ended
        self._failed: Head | None = None  # the head with which it failed: it is handed again after a restart only
        self._start = (os.urandom(8), now_ms)
        self._echo: bytes | None = None  # the controller's nonce that waits for its answer
        self._is_evidence_lost = False  # a receipt said that nobody read it
        self._posted_ms: dict[str, int] = {}
        self._is_changed = True
        self.reporter.open_epoch()
        self.reporter.intents(record.marks.interrupted())
        self.actual.open_epoch()

    # --- in ---------------------------------------------------------------------------------------

    def begin_session(self) -> None:
        """A new session: what is outstanding goes out again, and a receipt is named in its own session only."""
        self._posted_ms.clear()
        self.actual.posted(None)
        self.receipts.begin_session()
        self.reporter.begin_session()

    def handle(self, items: list, now_ms: int) -> None:
        """Takes the items of an answer, in order, as if each had come over an untrusted way."""
        for plane, data in items:
            try:
                self._handle_item(plane, data, now_ms)
            except Reject as reject:
                self.reporter.count(reject.name)

    def _handle_item(self, plane: int | None, data: bytes, now_ms: int) -> None:
        envelope = Envelope.parse(data)
        kind = envelope.position.kind
        handlers = {
            (None, kinds.BUNDLE): self._handle_bundle,
            (None, kinds.ENROL_ANSWER): self._handle_next_key,
            (None, kinds.PLANE_KEY): self._handle_plane_key,
            (None, kinds.RECEIPT): self._handle_receipt,
            (kinds.DESIRED, kinds.DELTA): self._handle_desired,
            (kinds.DESIRED, kinds.SNAPSHOT): self._handle_desired,
            (kinds.DESIRED, kinds.REPORT_ACK): self._handle_report_ack,
            (kinds.DESIRED, kinds.HEARTBEAT): self._handle_heartbeat,
            (kinds.ACTUAL, kinds.EVIDENCE): self._handle_evidence,
        }
        handler = handlers.get((plane, kind))
        if handler is None:
            cose.expect(envelope, "writer", plane)
            raise Reject("plane-mismatch")
        handler(data, envelope, now_ms)

    def _verify(self, envelope: Envelope, plane: int | None) -> cose.Verified:
        """Verifies what the tenant's writer signs for a plane of this device, or for the device."""
        kind = envelope.position.kind
        aad = self.place.of_device(kind) if plane is None else self.place.of_plane(kind, plane)
        writer = self.trust.writer(self.place.tenant)
        return cose.verify(envelope, "writer", plane, aad, [writer.key], self.trust.revoked)

    def _handle_bundle(self, data: bytes, _envelope: Envelope, _now_ms: int) -> None:
        self.trust.accept(data)
        self.record.bundles = list(self.trust.envelopes)
        self.is_bundle_behind = False
        self._is_changed = True

    def _handle_desired(self, data: bytes, envelope: Envelope, _now_ms: int) -> None:
        writer = self.trust.writer(self.place.tenant)
        self._is_changed |= self.desired.handle(data, envelope, writer, self.trust.revoked)

    def _handle_report_ack(self, _data: bytes, envelope: Envelope, _now_ms: int) -> None:
        ack = self._verify(envelope, kinds.DESIRED).position
        self._is_changed |= self.reporter.acknowledge(ack.epoch, ack.seq)

    def _handle_heartbeat(self, _data: bytes, envelope: Envelope, now_ms: int) -> None:
        verified = self._verify(envelope, kinds.DESIRED)
        heartbeat: Heartbeat = verified.content
        heard = self.watch.hear(heartbeat, now_ms)
        if heartbeat.ask is not None:
            self._echo = heartbeat.ask
        if heard in (ANCHORED, LATER):
            self.is_bundle_behind = verified.position.base > self.trust.number
        self._is_changed |= self.actual.hear(*heartbeat.other)

    def _handle_evidence(self, _data: bytes, envelope: Envelope, _now_ms: int) -> None:
        verified = self._verify(envelope, kinds.ACTUAL)
        head, known = verified.position, self.record.actual.head
        if known is not None and (head.epoch, head.seq) > (0, 0) and head.epoch >= known.epoch:
            self.actual.accused(head)
            self._is_changed = True

    def _handle_next_key(self, data: bytes, _envelope: Envelope, _now_ms: int) -> None:
        waiting = self.record.next_key
        require(waiting is not None, "enrol-answer-mismatch")
        key = keys.public_of(waiting.seed)
        enrol.verify_answer(data, self.trust, self.place, waiting.message_id, key, None)
        self.record.identity.seed, self.record.next_key = waiting.seed, None
        self._is_changed = True

    def _handle_plane_key(self, _data: bytes, envelope: Envelope, _now_ms: int) -> None:
        content, position = self._verify(envelope, None).content, envelope.position
        generation = self.trust.writer(self.place.tenant).generation
        where = PlaneKeyPlace(generation, position.epoch, position.seq)
        held = self.record.held_keys
        before = held and (PlaneKeyPlace(held.writer, held.epoch, held.generation), held.digest)
        outcome = plane_keys.compare(before, where, position.digest)
        if outcome == plane_keys.AGAIN:
            held.writer, held.epoch = where.writer, where.epoch
        if outcome == plane_keys.NEW:
            secret = self.record.identity.agreement
            opened = open_plane_key(secret, self.place, where.generation, content.encapsulated, content.ciphertext)
            self._take_keys(where, position.digest, *opened)
        self._is_changed |= outcome != plane_keys.KNOWN

    def _take_keys(self, where: PlaneKeyPlace, digest: bytes, digest_key: bytes, desired: bytes, actual: bytes):
        held = self.record.held_keys
        require(held is None or held.keys.digest_key == digest_key, "plane-key-conflict")
        older = held.keys.generations if held else []
        generations = [*older, Generation(where.generation, desired, actual)][-KEY_GENERATIONS_MAX:]
        place = where.writer, where.epoch, where.generation
        self.record.held_keys = HeldKeys(*place, digest, PlaneKeys(digest_key, generations))
        if held is None:
            self.actual.open_epoch()

    def _handle_receipt(self, _data: bytes, envelope: Envelope, _now_ms: int) -> None:
        mailboxes = [mailbox.key for mailbox in self.trust.bundle.mailboxes]
        aad = self.place.of_tenant(kinds.RECEIPT)
        verified = cose.verify(envelope, "mailbox", None, aad, mailboxes, self.trust.revoked)
        if self.receipts.take(verified) and verified.content.code > 0:
            self._is_evidence_lost = True

    def take_chunks(self, chunks: list) -> bool:
        """Takes pieces of bodies that were fetched. False when one is refused; nothing behind it is taken then."""
        try:
            for chunk in self.desired.asked(chunks):
                self._is_changed |= self.desired.take_chunk(chunk)
        except Reject as reject:
            self.reporter.count(reject.name)
            return False
        return True

    def take_file(self, data: bytes, now_ms: int) -> None:
        """Takes what was carried by hand, frame after frame, up to the first that is none."""
        read, end = files.read_frames(data)
        for content in read:
            try:
                self._take_filed(content, now_ms)
            except Reject as reject:
                self.reporter.count(reject.name)
        if end is not None:
            self.reporter.count(end.name)

    def _take_filed(self, content, now_ms: int) -> None:
        kind, content = content
        if kind == frames.POSTED:
            require(content.channel_id == self.channel_id, "not-admitted")
            self._handle_item(content.plane, content.envelope, now_ms)
        elif kind == frames.FILED_BODY:
            channel_id, plane, chunk = content
            require(channel_id == self.channel_id, "not-admitted")
            require(plane == kinds.DESIRED, "plane-mismatch")
            self._is_changed |= self.desired.take_chunk(chunk)

    def take_refusals(self, posts: list[Post], refused: list) -> None:
        """Takes hint 4: what a mailbox did not store of a post."""
        for index, code in refused:
            if index < len(posts) and posts[index].what == "actual" and code in NEEDS_SNAPSHOT:
                self._wants_actual_snapshot()

    def take_hints(self, answer_hints: dict) -> None:
        """Takes the hints 5 and 6."""
        self.wanted = answer_hints.get(hints.WANTED, self.wanted)
        if kinds.ACTUAL in answer_hints.get(hints.NEED, []):
            self._wants_actual_snapshot()

    def _wants_actual_snapshot(self) -> None:
        self.actual.snapshot_again()
        self._is_changed = True

    # --- the application --------------------------------------------------------------------------

    def settle(self, apply, say_actual) -> None:
        """Commits, hands the application what is new, and commits what became of it.

        `apply(state, actions)` acts and gives status and output when it has ended, or None for a state that is still
        being applied: then `ended` tells. `say_actual()` gives what the device is now.
        """
        self.save()
        desired = self.record.desired
        if desired.head is not None and desired.head not in (desired.applied, self.applying, self._failed):
            self.applying = desired.head
            ended = apply(desired.state, [])
            if ended is not None:
                self.ended(*ended, apply)
        self._is_changed |= self._write_actual(say_actual() | self.record.marks.ended)
        if self.reporter.is_due():
            self.reporter.seal()
            self._posted_ms.pop("report", None)
            self._is_changed = True
        self.save()

    def ended(self, status: int, output: str, apply) -> None:
        """Takes how the application ended with the newest revision that it was handed; 0 is success."""
        head, self.applying = self.applying, None
        if head is None:
            return
        self._is_changed = True
        if status == 0:
            self._applied(head)
        else:
            self._failed = head
            self.reporter.result(head.epoch, head.seq, status, output)
        actions = self._judge_intents()
        self.save()
        if actions:
            self._act(apply, actions)

    def _applied(self, head: Head) -> None:
        """Raises the applied cursor; a further head was accepted, so a dispute is settled."""
        self.record.desired.applied, self.record.evidence = head, None

    def _judge_intents(self) -> list:
        """Marks intents as taken, in the commit of the attempt that ended, before any action starts."""
        desired, marks = self.record.desired, self.record.marks
        asked = intents.of_state(desired.state)
        actions: list = []
        if desired.is_recorded:
            actions, notes = marks.take(asked)
        else:
            notes, desired.is_recorded = marks.record(asked), True
        self.reporter.intents(notes)
        return actions

    def _act(self, apply, actions: list) -> None:
        for path, value in actions:
            status, output = apply(self.record.desired.state, [(path, value)])
            self.record.marks.done[path] = self.record.marks.ended[path] = value
            self.reporter.intents([[path, value, intents.FINISHED, [status, output]]])
        self._is_changed = True

    def _write_actual(self, state: dict) -> bool:
        try:
            return self.actual.write(state)
        except Reject as reject:  # what the application said, beside the intents, is no state
            self.reporter.count(reject.name)
            return False

    def save(self) -> None:
        """Commits when something changed."""
        if self._is_changed:
            self._commit(self.record)
            self._is_changed = False

    # --- out --------------------------------------------------------------------------------------

    def poll_items(self, hold_s: int) -> list:
        """What a poll says behind its counter."""
        desired, actual = self.record.desired.head, self.record.actual.head
        acked = self.record.reporting.acked if self.reporter.is_outstanding else None
        items = [hold_s, self.trust.number, acked, *((desired.epoch, desired.seq) if desired else (0, 0))]
        if actual is not None:
            items += [actual.epoch, actual.seq]
        return items + self.receipts.to_name()

    def posts(self, now_ms: int) -> list[Post]:
        """What is due. Everything that it gives is committed already, but heartbeats, which never are."""
        due = []
        if self.reporter_is_due(now_ms):
            due.append(Post("report", kinds.ACTUAL, self.record.reporting.newest))
        change = self.actual.due(now_ms)
        if change is not None:
            due.append(Post("actual", kinds.ACTUAL, change))
        if self.record.evidence is not None and self._is_evidence_due(now_ms):
            due.append(Post("evidence", kinds.DESIRED, self.record.evidence.message))
        if self._echo is not None or self.watch.wants_to_ask(now_ms):
            due.append(Post("heartbeat", kinds.ACTUAL, self._heartbeat(now_ms)))
        return due

    def _has_report(self) -> bool:
        return self.record.reporting.newest is not None and (
            self.reporter.is_outstanding or self.desired.acknowledges_again
        )

    def _is_post_due(self, what: str, now_ms: int) -> bool:
        posted_ms = self._posted_ms.get(what)
        is_again = what == "report" and self.desired.acknowledges_again
        return posted_ms is None or now_ms - posted_ms >= POST_AGAIN_MS or is_again

    def _is_evidence_due(self, now_ms: int) -> bool:
        posted_ms = self._posted_ms.get("evidence")
        return posted_ms is None or (self._is_evidence_lost and now_ms - posted_ms >= POST_AGAIN_MS)

    def posted(self, posts: list[Post], now_ms: int) -> None:
        """Notes that they went out."""
        for post in posts:
            self._posted_ms[post.what] = now_ms
            if post.what == "actual":
                self.actual.posted(now_ms)
            if post.what == "report":
                self.desired.acknowledges_again = False
            if post.what == "heartbeat":
                self._echo = None
            if post.what == "evidence":
                self._is_evidence_lost = False

    def _heartbeat(self, now_ms: int) -> bytes:
        ask = None
        if self.watch.wants_to_ask(now_ms):
            ask = self.draws.nonce()
            self.watch.ask(ask, now_ms)
        actual, desired = self.record.actual.head, self.record.desired.head
        epoch, seq, digest = (actual.epoch, actual.seq, actual.digest) if actual else (0, 0, b"")
        position = kinds.Position(kinds.HEARTBEAT, epoch, seq, self.trust.number, digest)
        other = (desired.epoch, desired.seq) if desired else (0, 0)
        start, started_ms = self._start
        payload = Heartbeat(start, now_ms - started_ms, other, self._echo, ask).to_payload()
        aad = self.place.of_plane(kinds.HEARTBEAT, kinds.ACTUAL)
        return cose.seal(self.record.identity.seed, position, payload, aad)

    def posts_are_due(self, now_ms: int) -> bool:
        """Tells whether a post should go before the next poll."""
        return self.reporter_is_due(now_ms) or self.actual.due(now_ms) is not None or self._echo is not None

    def reporter_is_due(self, now_ms: int) -> bool:
        """Tells whether the newest report is to be posted now."""
        return self._is_post_due("report", now_ms) and self._has_report()

    def quiet_ms(self, now_ms: int) -> int:
        """How long a poll may be held without keeping anything from going out."""
        until = [self.watch.quiet_ms(now_ms)]
        outstanding = {
            "report": self._has_report(),
            "actual": self.record.actual.message is not None,
            "evidence": self._is_evidence_lost,
        }
        for what, is_outstanding in outstanding.items():
            if is_outstanding and what in self._posted_ms:
                until.append(self._posted_ms[what] + POST_AGAIN_MS - now_ms)
        return max(1000, min(until))

    def plane_of_body(self, digest: bytes) -> int:
        """The plane of a message that names the body: evidence is about desired."""
        return kinds.ACTUAL if digest in self.record.actual.bodies else kinds.DESIRED

    def bodies(self) -> dict[bytes, bytes]:
        """Every body that a mailbox may want."""
        evidence = self.record.evidence
        return {**self.record.actual.bodies, **(evidence.bodies if evidence else {})}

    def status(self, now_ms: int, url: str | None) -> dict:
        """Where the device stands, for people."""

        def shown(head: Head | None):
            return head and {"epoch": head.epoch, "seq": head.seq, "digest": head.digest.hex()}

        record = self.record
        return {
            "device": f"{self.place.tenant}/{self.place.device}",
            "mailbox": url,
            "bundle": self.trust.number,
            "bundle_behind": self.is_bundle_behind,
            "accepted": shown(record.desired.head),
            "applied": shown(record.desired.applied),
            "actual": shown(record.actual.head),
            "actual_known": shown(record.actual.known),
            "frozen": record.desired.is_frozen,
            "report": [record.reporting.epoch, record.reporting.rseq, record.reporting.acked],
            "stale": self.watch.is_stale(now_ms),
            "encrypted": record.held_keys is not None,
            "rotating": record.next_key is not None,
            "rejects": dict(self.reporter.rejects),
        }

    def ask_for_next_key(self) -> None:
        """Begins a rotation of the device's key."""
        if self.record.next_key is not None:
            return
        identity, seed = self.record.identity, keys.generate_secret()
        token = keys.public_of(identity.seed).thumbprint[:8]
        key, incarnation = keys.public_of(seed), identity.incarnation
        request = EnrolRequest(token, identity.device, key, incarnation, os.urandom(16), None)
        self.record.next_key = NextKey(seed, *enrol.seal_request(seed, request, self.place))
        self._is_changed = True
