"""What a device says to a mailbox, and in which order; it waits for nothing itself.

    ask -> challenge -> hello -> welcome -> ( post | put | need | fetch | poll ) -> ...

`greet` and `serve` are generators: each yields what it wants from the outside, and is sent what became of it. `device`
gives it the network and the clock of a machine, `child.conversation` gives it what a vector says.

Implements spec/postern.md#hello, #poll, #answer, #post, #need and #fetch as a sequence.
"""

from dataclasses import dataclass

from . import cbor, frames, hints, session
from .bundle import Mailbox
from .engine import Engine, Post
from .exchange import Refusal, TransportError
from .limits import FRAME_BYTES_MAX, HOLD_S_MAX, NEED_INTERVAL_MS, RETRY_MS_MAX
from .poll_frames import Answer
from .publish import chunks_for
from .rejects import Reject, require

RETURN_MS = 120_000  # milliseconds after which a device on a lesser mailbox tries the better ones; arbitrary
MOVE_MS_MIN = 60_000  # milliseconds between two moves, spec/postern.md#answer
POST_BYTES_MAX = FRAME_BYTES_MAX - 64  # bytes of the items of one post: a frame less its head and tag
POLL_FAILURES_MAX = 2  # polls that may fail one after another before the session is given up; arbitrary


@dataclass(frozen=True)
class Send:
    """Send this frame. What comes back is the frame of the answer; it is thrown where there is none."""

    url: str
    frame: bytes
    hold_s: int = 0


@dataclass(frozen=True)
class MayPoll:
    """Tell for how many seconds a poll may be held; None when something else may be due."""


@dataclass(frozen=True)
class Pause:
    """Come back after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Move:
    """The mailbox asks to go to this URL. Tell whether to try at once."""

    url: str


@dataclass
class Link:
    """A session at a mailbox."""

    url: str
    mailbox: Mailbox
    session: session.Session
    ends_ms: int


class Flow:
    """Greets and serves. `settle` lets the application see what came, `now_ms` is the clock."""

    def __init__(self, engine: Engine, settle, now_ms, hold_s: int, say):
        self._engine = engine
        self._settle = settle
        self._now_ms = now_ms
        self._hold_s = min(hold_s, HOLD_S_MAX)
        self._say = say
        self.link: Link | None = None
        self.failures = 0  # attempts since the last answer that verified; whoever makes them counts them
        self._moved_ms: int | None = None
        self._needed_ms: int | None = None
        self._failed_polls = 0

    # --- sessions ---------------------------------------------------------------------------------

    def greet(self, url: str, is_lesser: bool):
        """Opens a session; an older one is kept until the new one is open."""
        engine = self._engine
        bundle = engine.trust.bundle
        ask = frames.plain(frames.ASK, [1, engine.trust.number])
        listed = [mailbox.key.thumbprint for mailbox in bundle.mailboxes]
        challenge = session.check_challenge((yield Send(url, ask)), listed)
        greeting = session.Greeting(challenge, engine.channel_id, engine.draws.ephemeral())
        hello = greeting.hello(engine.record.identity.seed, engine.place)
        mailbox = bundle.mailbox_of(challenge.thumbprint)
        opened, welcome = greeting.welcome((yield Send(url, hello)), mailbox.key, engine.place)
        age_ms = welcome.age_max_s * 1000
        self._say(f"{url}: session open")
        self.link = Link(url, mailbox, opened, self._now_ms() + (min(age_ms, RETURN_MS) if is_lesser else age_ms))
        self._failed_polls = 0
        engine.begin_session()

    def is_link_good(self) -> bool:
        """Tells whether a session is open that may go on."""
        link = self.link
        if link is None or link.session.is_used_up or self._now_ms() >= link.ends_ms:
            return False
        return self._engine.trust.bundle.mailbox_of(link.mailbox.key.thumbprint) is not None

    def _move(self, url: str):
        """Goes where the mailbox says, when the bundle lists it, once in a minute. True when it is there."""
        listed = [one for mailbox in self._engine.trust.bundle.mailboxes for one in mailbox.urls]
        is_soon = self._moved_ms is not None and self._now_ms() - self._moved_ms < MOVE_MS_MIN
        if url not in listed or url == self.link.url or is_soon:
            return False
        self._moved_ms = self._now_ms()
        if not (yield Move(url)):
            return False
        try:
            yield from self.greet(url, True)
        except (Reject, TransportError) as error:
            self._say(f"move to {url} failed: {error}")
            return False
        return True

    # --- exchanges --------------------------------------------------------------------------------

    def _exchange(self, kind: int, items: list, hold_s: int = 0, attempts: int = 2):
        """Sends one frame and gives the verified answer. A way that broke is tried again with a new counter."""
        opened = self.link.session
        while True:
            attempts -= 1
            frame = opened.request(kind, items)
            try:
                answer = opened.answer((yield Send(self.link.url, frame, hold_s)))
                require(isinstance(answer, frames.Bodies if kind == frames.FETCH else Answer), "answer-mismatch")
                self.failures = 0
                return answer
            except Refusal:
                raise  # unsigned, and so nothing to count
            except Reject as reject:
                self._engine.reporter.count(reject.name)
                raise
            except TransportError:
                if attempts == 0 or opened.is_used_up:
                    raise

    def serve(self):
        """Sends what is due, then polls once."""
        engine = self._engine
        yield from self._post(engine.posts(self._now_ms()))
        if engine.wanted:
            yield from self._put()
        if self._is_need_due():
            yield from self._need()
        while engine.desired.waiting is not None and (yield from self._fetch()):
            pass
        if self.is_link_good() and not engine.posts_are_due(self._now_ms()):
            yield from self._poll()

    def _take(self, answer: Answer, posts: list[Post] = ()):
        """Takes an answer: items, then hints, then the application."""
        engine = self._engine
        engine.handle(answer.items, self._now_ms())
        engine.take_refusals(posts, answer.hints.get(hints.REFUSED, []))
        engine.take_hints(answer.hints)
        self._settle()
        if hints.MOVE in answer.hints and (yield from self._move(answer.hints[hints.MOVE])):
            return  # the pause was about the mailbox that is left
        retry_ms = min(answer.hints.get(hints.RETRY_MS, 0), RETRY_MS_MAX)
        if retry_ms:
            yield Pause(retry_ms / 1000)

    def _post(self, posts: list[Post]):
        while posts:
            batch, size = [], 0
            while posts and (not batch or size + len(posts[0].envelope) + 3 <= POST_BYTES_MAX):
                size += len(posts[0].envelope) + 3
                batch.append(posts.pop(0))
            items = [[post.plane, cbor.decode(post.envelope)] for post in batch]
            answer = yield from self._exchange(frames.POST, items)
            self._engine.posted(batch, self._now_ms())
            yield from self._take(answer, batch)

    def _put(self):
        """Puts the bodies that were asked for, chunk by chunk, until nothing is missing or held here."""
        engine = self._engine
        while chunk := next(chunks_for(engine.wanted, engine.bodies()), None):
            answer = yield from self._exchange(frames.PUT, [engine.plane_of_body(chunk[0]), chunk])
            engine.wanted = []  # the answer says what is still missing
            yield from self._take(answer)
        engine.wanted = []

    def _is_need_due(self) -> bool:
        is_soon = self._needed_ms is not None and self._now_ms() - self._needed_ms < NEED_INTERVAL_MS
        return self._engine.desired.wants_need and not is_soon

    def _need(self):
        self._needed_ms = self._now_ms()
        self._engine.desired.wants_need = False
        head = self._engine.record.desired.head
        answer = yield from self._exchange(frames.NEED, [0, *((head.epoch, head.seq) if head else (0, 0))])
        yield from self._take(answer)

    def _fetch(self):
        """Fetches missing bodies. False when nothing came of it: another poll may bring another snapshot."""
        wants = self._engine.desired.waiting.wants()
        bodies = yield from self._exchange(frames.FETCH, [0, *wants])
        is_good = self._engine.take_chunks(bodies.chunks)
        self._settle()
        return is_good and bool(bodies.chunks)

    def _poll(self):
        engine = self._engine
        may_hold_s = yield MayPoll()
        if may_hold_s is None:
            return
        hold_s = max(0, min(may_hold_s, self._hold_s, engine.quiet_ms(self._now_ms()) // 1000))
        began_ms = self._now_ms()
        items = engine.poll_items(hold_s)
        try:
            answer = yield from self._exchange(frames.POLL, items, hold_s, attempts=1)
        except TransportError:
            self._hold_s = max(1, self._hold_s // 2)  # something on the way may not bear the silence
            self._failed_polls += 1
            if self._failed_polls == POLL_FAILURES_MAX or self.link.session.is_used_up:
                raise
            return
        self._failed_polls = 0
        engine.receipts.named()
        self._hold_s = min(self._hold_s, answer.hints.get(hints.HOLD_S_MAX, HOLD_S_MAX))
        link = self.link
        yield from self._take(answer)
        is_idle = self.link is link and engine.poll_items(hold_s) == items and not engine.posts_are_due(self._now_ms())
        if is_idle and hold_s and self._now_ms() - began_ms < 1000:
            yield Pause(1)  # what came at once changed nothing, and would come again
