"""The driver: the only part that waits. It greets mailboxes, exchanges frames, and lets the engine decide.

    ask -> challenge -> hello -> welcome -> ( post | need | fetch | put | poll ) -> ...

Implements spec/postern.md#hello, #poll, #answer and #need as a sequence, and the choice among mailboxes.
"""

import os
import random
import time
from dataclasses import dataclass

from . import cbor, frames, hints, session
from .application import Application
from .bundle import Mailbox
from .engine import Engine, Post
from .exchange import Refusal
from .limits import FRAME_BYTES_MAX, HOLD_S_MAX, NEED_INTERVAL_MS, RETRY_MS_MAX
from .poll_frames import Answer
from .publish import chunks_for
from .rejects import Reject, require
from .transport import Transport, TransportError

BACKOFF_S = (0.5, 30.0)  # shortest and longest wait after all ways failed; arbitrary
RETURN_MS = 120_000  # milliseconds after which a device on a lesser mailbox tries the better ones; arbitrary
MOVE_MS_MIN = 60_000  # milliseconds between two moves, spec/postern.md#answer
POST_BYTES_MAX = FRAME_BYTES_MAX - 64  # bytes of the items of one post: a frame less its head and tag
KEEPS_SESSION = ("overloaded", "quota", "need-limited")  # refusals that say nothing about the session


def now_ms() -> int:
    """Milliseconds of a clock that never jumps and counts suspension."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


@dataclass
class Link:
    """A session at a mailbox."""

    url: str
    mailbox: Mailbox
    session: session.Session
    ends_ms: int


class Device:
    """Runs until it is ended; everything that counts is in the store at every instant."""

    def __init__(
        self, engine: Engine, transport: Transport, application: Application, hold_s: int, say, sleep=time.sleep
    ):
        self._engine = engine
        self._transport = transport
        self._application = application
        self._hold_s = min(hold_s, HOLD_S_MAX)
        self._say = say
        self._sleep = sleep
        self._link: Link | None = None
        self._moved_ms: int | None = None
        self._needed_ms: int | None = None
        self._failures = 0

    def run(self) -> None:
        """Greets and serves, for ever."""
        self.start()
        while True:
            self.step()

    def start(self) -> None:
        """Applies what was accepted before the last end, and shows where the device stands."""
        self._settle()

    def step(self) -> None:
        """Greets when no session is good, else sends what is due and polls once; then waits if it has to."""
        try:
            if self._is_link_good():
                self._serve()
                return
            self._link = self._greet_any()
            self._engine.begin_session()
        except Refusal as refusal:
            self._say(f"refused: {refusal.name}")
            self._link = self._link if refusal.name in KEEPS_SESSION else None
            self._wait(refusal.retry_ms)
        except Reject as reject:
            self._say(f"refused what came: {reject.name}")
            self._link = None
            self._wait(None)
        except TransportError as error:
            self._say(f"the way failed: {error}")
            self._link = None
            self._wait(None)
        self._show()

    def _wait(self, retry_ms: int | None) -> None:
        """Waits before the next attempt, longer each time, unless told how long."""
        self._failures += 1
        wait_s = min(BACKOFF_S[0] * 2 ** min(self._failures - 1, 10), BACKOFF_S[1]) * random.uniform(0.5, 1)
        if retry_ms is not None:
            wait_s = max(wait_s, min(retry_ms, RETRY_MS_MAX) / 1000)
        self._sleep(wait_s if self._failures > 1 or retry_ms else 0)

    # --- sessions ---------------------------------------------------------------------------------

    def _greet_any(self) -> Link:
        """Tries the mailboxes in the order of the bundle."""
        failure: Exception = TransportError("the bundle lists no mailbox")
        for rank, mailbox in enumerate(self._engine.trust.bundle.mailboxes):
            for url in mailbox.urls:
                try:
                    return self._greet(url, rank > 0)
                except Reject as reject:
                    self._engine.reporter.count(reject.name)
                    self._say(f"{url}: {reject.name}")
                    failure = reject
                except TransportError as error:
                    self._say(f"{url}: {error}")
                    failure = error
        raise failure

    def _greet(self, url: str, is_lesser: bool) -> Link:
        engine = self._engine
        bundle = engine.trust.bundle
        ask = frames.plain(frames.ASK, [1, engine.trust.number])
        listed = [mailbox.key.thumbprint for mailbox in bundle.mailboxes]
        challenge = session.check_challenge(self._transport.exchange(url, ask), listed)
        greeting = session.Greeting(challenge, engine.channel_id, os.urandom(32))
        hello = greeting.hello(engine.record.identity.seed, engine.place)
        mailbox = bundle.mailbox_of(challenge.thumbprint)
        opened, welcome = greeting.welcome(self._transport.exchange(url, hello), mailbox.key, engine.place)
        age_ms = welcome.age_max_s * 1000
        self._say(f"{url}: session open")
        return Link(url, mailbox, opened, now_ms() + (min(age_ms, RETURN_MS) if is_lesser else age_ms))

    def _is_link_good(self) -> bool:
        link = self._link
        if link is None or link.session.is_used_up or now_ms() >= link.ends_ms:
            return False
        return self._engine.trust.bundle.mailbox_of(link.mailbox.key.thumbprint) is not None

    def _move(self, url: str) -> bool:
        """Goes where the mailbox says, when the bundle lists it, once in a minute. True when it is there."""
        listed = [one for mailbox in self._engine.trust.bundle.mailboxes for one in mailbox.urls]
        is_soon = self._moved_ms is not None and now_ms() - self._moved_ms < MOVE_MS_MIN
        if url not in listed or url == self._link.url or is_soon:
            return False
        self._moved_ms = now_ms()
        try:
            self._link = self._greet(url, True)
            self._engine.begin_session()
            self._show()
        except (Reject, TransportError) as error:
            self._say(f"move to {url} failed: {error}")
            return False
        return True

    # --- exchanges --------------------------------------------------------------------------------

    def _exchange(self, kind: int, items: list, hold_s: int = 0):
        """Sends one frame and gives the verified answer. A way that broke once is tried again with a new counter."""
        opened = self._link.session
        for attempt in (1, 2):
            frame = opened.request(kind, items)
            try:
                answer = opened.answer(self._transport.exchange(self._link.url, frame, hold_s))
                self._failures = 0
                return answer
            except Reject as reject:
                self._engine.reporter.count(reject.name)
                raise
            except TransportError:
                if attempt == 2 or opened.is_used_up:
                    raise
        raise TransportError("no attempt left")

    def _serve(self) -> None:
        """Sends what is due, then polls once."""
        engine = self._engine
        self._post(engine.posts(now_ms()))
        if engine.wanted:
            self._put()
        if self._is_need_due():
            self._need()
        while engine.desired.waiting is not None and self._fetch():
            pass
        if self._is_link_good() and not engine.posts_are_due(now_ms()):
            self._poll()

    def _take(self, answer: Answer, posts: list[Post] = ()) -> None:
        """Takes an answer: items, then hints, then the application."""
        require(isinstance(answer, Answer), "answer-mismatch")
        engine = self._engine
        engine.handle(answer.items, now_ms())
        engine.take_refusals(posts, answer.hints.get(hints.REFUSED, []))
        engine.take_hints(answer.hints)
        self._settle()
        if hints.MOVE in answer.hints and self._move(answer.hints[hints.MOVE]):
            return  # the pause was about the mailbox that is left
        retry_ms = min(answer.hints.get(hints.RETRY_MS, 0), RETRY_MS_MAX)
        if retry_ms:
            self._sleep(retry_ms / 1000)

    def _settle(self) -> None:
        self._engine.settle(self._application.apply, self._application.say_actual)
        self._show()

    def _show(self) -> None:
        self._application.show(self._engine.status(now_ms(), self._link.url if self._link else None))

    def _post(self, posts: list[Post]) -> None:
        while posts:
            batch, size = [], 0
            while posts and (not batch or size + len(posts[0].envelope) + 3 <= POST_BYTES_MAX):
                size += len(posts[0].envelope) + 3
                batch.append(posts.pop(0))
            items = [[post.plane, cbor.decode(post.envelope)] for post in batch]
            answer = self._exchange(frames.POST, items)
            self._engine.posted(batch, now_ms())
            self._take(answer, batch)

    def _put(self) -> None:
        """Puts the bodies that were asked for, chunk by chunk, until nothing is missing or held here."""
        engine = self._engine
        while chunk := next(chunks_for(engine.wanted, engine.bodies()), None):
            answer = self._exchange(frames.PUT, [engine.plane_of_body(chunk[0]), chunk])
            engine.wanted = []  # the answer says what is still missing
            self._take(answer)
        engine.wanted = []

    def _is_need_due(self) -> bool:
        is_soon = self._needed_ms is not None and now_ms() - self._needed_ms < NEED_INTERVAL_MS
        return self._engine.desired.wants_need and not is_soon

    def _need(self) -> None:
        self._needed_ms = now_ms()
        self._engine.desired.wants_need = False
        head = self._engine.record.desired.head
        self._take(self._exchange(frames.NEED, [0, *((head.epoch, head.seq) if head else (0, 0))]))

    def _fetch(self) -> bool:
        """Fetches missing bodies. False when nothing came: another poll may bring another snapshot."""
        wants = self._engine.desired.waiting.wants()
        bodies = self._exchange(frames.FETCH, [0, *wants])
        require(isinstance(bodies, frames.Bodies), "answer-mismatch")
        self._engine.take_chunks(bodies.chunks)
        self._settle()
        return bool(bodies.chunks)

    def _poll(self) -> None:
        engine = self._engine
        hold_s = max(0, min(self._hold_s, engine.quiet_ms(now_ms()) // 1000))
        began_ms = now_ms()
        items = engine.poll_items(hold_s)
        try:
            answer = self._exchange(frames.POLL, items, hold_s)
        except TransportError:
            self._hold_s = max(1, self._hold_s // 2)  # something on the way may not bear the silence
            raise
        engine.receipts.named()
        self._hold_s = min(self._hold_s, answer.hints.get(hints.HOLD_S_MAX, HOLD_S_MAX))
        link = self._link
        self._take(answer)
        is_idle = self._link is link and engine.poll_items(hold_s) == items and not engine.posts_are_due(now_ms())
        if is_idle and hold_s and now_ms() - began_ms < 1000:
            self._sleep(1)  # what came at once changed nothing, and would come again
