"""The driver: the only part that waits. It chooses among mailboxes and gives the flow its network and its clock.

Implements the choice among mailboxes of spec/postern.md#hello and #answer.
"""

import random
import time

from .application import Application
from .engine import Engine
from .exchange import Refusal, TransportError
from .flow import Flow, Move, Pause, Send
from .limits import HOLD_S_MAX, RETRY_MS_MAX
from .rejects import Reject
from .transport import Transport

BACKOFF_S = (0.5, 30.0)  # shortest and longest wait after all ways failed; arbitrary


def now_ms() -> int:
    """Milliseconds of a clock that never jumps and counts suspension."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Device:
    """Runs until it is ended; everything that counts is in the store at every instant."""

    def __init__(
        self, engine: Engine, transport: Transport, application: Application, hold_s: int, say, sleep=time.sleep
    ):
        self._engine = engine
        self._transport = transport
        self._application = application
        self._say = say
        self._sleep = sleep
        self._flow = Flow(engine, self._settle, now_ms, hold_s, say)

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
        flow = self._flow
        try:
            if flow.is_link_good():
                self._run(flow.serve())
                return
            flow.link = None
            self._greet_any()
        except Refusal as refusal:
            self._say(f"refused: {refusal.name}")
            flow.link = None
            self._wait(refusal.retry_ms)
        except Reject as reject:
            self._say(f"refused what came: {reject.name}")
            flow.link = None
            self._wait(None)
        except TransportError as error:
            self._say(f"the way failed: {error}")
            flow.link = None
            self._wait(None)
        self._show()

    def _run(self, flow) -> None:
        """Gives a flow what it wants, until it ends."""
        give, given = flow.send, None
        while True:
            try:
                want = give(given)
            except StopIteration:
                return
            try:
                give, given = flow.send, self._give(want)
            except (Reject, TransportError) as error:
                give, given = flow.throw, error

    def _give(self, want):
        if isinstance(want, Send):
            return self._transport.exchange(want.url, want.frame, want.hold_s)
        if isinstance(want, Pause):
            self._sleep(want.seconds)
            return None
        return True if isinstance(want, Move) else HOLD_S_MAX

    def _wait(self, retry_ms: int | None) -> None:
        """Waits before the next attempt, longer each time, unless told how long."""
        self._flow.failures += 1
        failures = self._flow.failures
        wait_s = min(BACKOFF_S[0] * 2 ** min(failures - 1, 10), BACKOFF_S[1]) * random.uniform(0.5, 1)
        if retry_ms is not None:
            wait_s = max(wait_s, min(retry_ms, RETRY_MS_MAX) / 1000)
        self._sleep(wait_s if failures > 1 or retry_ms else 0)

    def _greet_any(self) -> None:
        """Tries the mailboxes in the order of the bundle."""
        failure: Exception = TransportError("the bundle lists no mailbox")
        for rank, mailbox in enumerate(self._engine.trust.bundle.mailboxes):
            for url in mailbox.urls:
                try:
                    self._run(self._flow.greet(url, rank > 0))
                    return
                except (Reject, TransportError) as error:
                    if isinstance(error, Reject) and not isinstance(error, Refusal):
                        self._engine.reporter.count(error.name)
                    self._say(f"{url}: {error}")
                    failure = error
        raise failure

    def _settle(self) -> None:
        self._engine.settle(self._application.apply, self._application.say_actual)
        self._show()

    def _show(self) -> None:
        link = self._flow.link
        self._application.show(self._engine.status(now_ms(), link.url if link else None))
