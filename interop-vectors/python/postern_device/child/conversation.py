"""The operation engine.step: a whole conversation with one device, out of the parts that run it in earnest.

`flow` yields what it wants; here a vector says when a way is there, when a poll may go and what comes back.

Implements interop-vectors/CLIENT-CLI.md#conversations.
"""

import os

from .. import cbor, cose, frames
from ..acceptance import Head
from ..engine import Draws, Engine
from ..exchange import Refusal, TransportError, read_exchange
from ..flow import Flow, MayPoll, Move, Pause, Send
from ..limits import HOLD_S_MAX
from ..rejects import Reject
from ..store import Identity, Record, from_item, to_item
from .members import Members, RunnerFault, from_hex
from .peer import ANSWERED_AT_ONCE, Peer, Request

NO_URL = ""  # the steps name no URL: a way is there, or it is not


class Conversation:
    """A device, what it keeps, and what it waits for."""

    def __init__(self, config: Members):
        self._config = config
        self._peer = Peer([from_hex(seed) for seed in config["mailbox_seeds"]])
        drawn = Members(config["random"])
        ephemerals, nonces = (iter(map(from_hex, drawn[name])) for name in ("ephemerals", "nonces"))
        self._draws = Draws(lambda: _draw(ephemerals, 32), lambda: _draw(nonces, 16))
        self._given: list[bytes | None] = []  # the frame that each step gave
        self._kept = b""
        self._now_ms = 0
        self._shown: dict = {}
        self._commit(_record_of(config))

    # --- steps ------------------------------------------------------------------------------------

    def begin(self, at_ms: int) -> None:
        """Starts the device and gives it what it holds; nothing of this is shown."""
        self._now_ms = at_ms
        self._start()
        for frame in self._config["held"]:
            self._engine.take_file(from_hex(frame), at_ms)
            self._settle()
        self._engine.ended(0, "", _apply)
        self._settle()

    def step(self, step: Members) -> dict:
        """Does what was due until then, then takes the input, and tells what was seen of it."""
        self._shown = {"rejects": [], "sent": [], "frames": [], "poll": None, "moves": []}
        self._advance(step["at_ms"])
        given = Members(step["input"])
        self._given.append(None)
        inputs = {
            "connect": self._connect,
            "hold": self._hold,
            "answer": self._answer,
            "failed": self._fail,
            "applied": self._end_application,
            "filed": self._file,
            "restart": lambda _: self._start(),
            "wait": lambda _: None,
        }
        if given["kind"] not in inputs:
            raise RunnerFault("kind of input")
        inputs[given["kind"]](given)
        self._look()
        return self._show()

    def _connect(self, _given: Members) -> None:
        waits_for_answer = isinstance(self._waits_for, Request)  # anything else is a pause of a session that is over
        if not self._flow.is_link_good() and not waits_for_answer:
            self._life = self._live()
            self._go_on(None)

    def _hold(self, given: Members) -> None:
        self._may_hold_s = given["seconds"]
        self._look()

    def _answer(self, given: Members) -> None:
        request = self._newest.get(given["to"])
        if request is None:
            return
        if "frame" in given:
            frame = given.hex("frame")
        elif "again" in given:
            frame = self._given[given["again"]]
        else:
            frame = self._peer.seal(request, given["type"], given.hex("body"), given.get("change", {}))
        self._given[-1] = frame
        if request is self._waits_for:
            self._come_back(frame)

    def _fail(self, given: Members) -> None:
        request = self._newest.get(given["to"])
        if request is not None and request is self._waits_for:
            self._go_on(TransportError("no answer"))

    def _end_application(self, given: Members) -> None:
        self._engine.ended(given["status"], "", _apply)
        self._settle()

    def _file(self, given: Members) -> None:
        self._engine.take_file(given.hex("frame"), self._now_ms)
        self._settle()

    # --- the device -------------------------------------------------------------------------------

    def _start(self) -> None:
        """A process begins with what is durable, and with nothing else."""
        record = from_item(Record, cbor.read_item(self._kept, 0)[0])
        max_age_ms, draws = self._config["max_age_ms"], self._draws
        self._engine = Engine(record, self._commit, self._now_ms, max_age_ms, draws, self._see_reject)
        self._flow = Flow(self._engine, self._settle, lambda: self._now_ms, HOLD_S_MAX, lambda _text: None)
        self._life = None  # the flow under way
        self._waits_for: Request | MayPoll | int | None = None  # an answer, a hold, or a moment
        self._may_hold_s: int | None = None
        self._newest: dict[str, Request] = {}
        self._settle()

    def _live(self):
        """From a way to the end of the session."""
        yield from self._flow.greet(NO_URL, False)
        while self._flow.is_link_good():
            yield from self._flow.serve()

    def _go_on(self, given) -> None:
        """Gives the flow what it waits for, and what follows at once, until it waits for a step."""
        while self._life is not None:
            try:
                want = self._life.throw(given) if isinstance(given, Exception) else self._life.send(given)
            except (StopIteration, Reject, TransportError) as end:
                self._end_life(end)
                return
            self._waits_for, given = self._look_at(want)
            if self._waits_for is not None:
                return

    def _end_life(self, end: Exception) -> None:
        is_greeting = self._flow.link is None
        if is_greeting and isinstance(end, Reject) and not isinstance(end, Refusal):
            self._engine.reporter.count(end.name)
        self._life, self._waits_for, self._flow.link = None, None, None

    def _look_at(self, want):
        """What the flow waits for now, else what it is given at once."""
        if isinstance(want, Send):
            request = self._see_request(want.frame)
            if request.name in ANSWERED_AT_ONCE:
                return None, self._peer.seal(request, frames.ANSWER, b"", {})
            return request, None
        if isinstance(want, MayPoll) and self._may_hold_s is not None:
            hold_s, self._may_hold_s = self._may_hold_s, None
            return None, hold_s
        if isinstance(want, Pause):
            return self._now_ms + round(want.seconds * 1000), None
        if isinstance(want, Move):
            self._shown["moves"].append(want.url)
            return None, False  # another way is there when a step says so
        return want, None

    def _come_back(self, frame: bytes) -> None:
        if self._waits_for.name == "ask":
            self._peer.see_challenge(frame)
        given: bytes | Exception = frame
        if frame[:1] == bytes([frames.REFUSED]):
            try:
                read_exchange(200, frame)
            except Reject as refusal:
                given = refusal
        self._go_on(given)

    def _look(self) -> None:
        """Lets a flow that may poll look whether something else is due."""
        if isinstance(self._waits_for, MayPoll):
            self._go_on(None)
            if isinstance(self._waits_for, MayPoll) and self._may_hold_s is not None:
                self._go_on(self._look_at(self._waits_for)[1])

    def _advance(self, at_ms: int) -> None:
        """Moves the clock from one moment at which something is due to the next."""
        while True:
            if isinstance(self._waits_for, MayPoll):
                due_ms = self._now_ms + self._engine.quiet_ms(self._now_ms)
            else:
                due_ms = self._waits_for if isinstance(self._waits_for, int) else at_ms + 1
            if due_ms > at_ms:
                break
            self._now_ms = max(due_ms, self._now_ms)
            self._go_on(None)
        self._now_ms = at_ms
        self._look()

    # --- what is seen -----------------------------------------------------------------------------

    def _commit(self, record: Record) -> None:
        self._kept = cbor.encode(to_item(record))

    def _settle(self) -> None:
        self._engine.settle(_apply, dict)

    def _see_reject(self, name: str) -> None:
        if self._shown:
            self._shown["rejects"].append(name)

    def _see_request(self, frame: bytes) -> Request:
        request = self._peer.see(frame)
        self._newest[request.name] = request
        if request.name not in ANSWERED_AT_ONCE:
            self._shown["sent"].append(request.name)
        if request.name in ("ask", "hello"):
            self._shown["frames"].append(frame.hex())
        if request.name == "poll":
            _, _, bundle, _, epoch, seq, *_ = frames.parse(frame, "up")
            self._shown["poll"] = [bundle, epoch, seq]
        return request

    def _show(self) -> dict:
        engine, desired = self._engine, self._engine.record.desired
        applying = engine.applying
        rejects = self._shown["rejects"]
        return {
            **({"result": "invalid", "error": rejects[0]} if rejects else {"result": "valid"}),
            **self._shown,
            "head": desired.head and [desired.head.generation, *_shown(desired.head)],
            "applied": desired.applied and _shown(desired.applied),
            "applying": applying and _shown(applying)[:2],
            "frozen": desired.frozen,
            "bundle": engine.trust.number,
            "session": self._flow.is_link_good(),
            "stale": engine.watch.is_stale(self._now_ms),
        }


def _shown(head: Head) -> list:
    return [head.epoch, head.seq, head.digest.hex()]


def _apply(_state: dict, actions: list):
    """An application that ends when a step says so; actions end at once."""
    return (0, "") if actions else None


def _draw(values, length: int) -> bytes:
    """The next value of a list; behind its end, where no step can know it, any."""
    return next(values, None) or os.urandom(length)


def _record_of(config: Members) -> Record:
    place, seed, recovery = config.place(), config.hex("seed"), config.hex("recovery")
    names = place.tenant, place.device
    identity = Identity(*names, place.genesis, recovery, place.incarnation, seed, bytes(32), [], None)
    return Record(identity, None, [cose.untag(from_hex(bundle)) for bundle in config["bundles"]])


def _engine_step(request: Members) -> dict:
    steps = request.objects("steps")
    conversation = Conversation(Members(request["config"]))
    conversation.begin(steps[0]["at_ms"])
    shown = [conversation.step(step) for step in steps]
    first = next((step["error"] for step in shown if "error" in step), None)
    return {"steps": shown} if first is None else {"steps": shown, "result": "invalid", "error": first}


OPERATIONS = {"engine.step": _engine_step}
