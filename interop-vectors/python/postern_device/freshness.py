"""How old the newest word of a writer may be, for a reader that trusts no wall clock.

All times are milliseconds of the reader's own clock since boot, which counts suspension.

Implements spec/freshness.md#heartbeat.
"""

from .payloads import Heartbeat

MAX_AGE_MS = 900_000  # the maximal age unless set
ASK_INTERVAL_MS_MIN = 5_000  # between two nonces
ASK_INTERVAL_MS_MAX = 60_000  # the same, while none is answered

ANCHORED, LATER, UNPROVEN = "anchored", "later", "unproven"


class Watch:
    """A reader's view of one writer."""

    def __init__(self, max_age_ms: int = MAX_AGE_MS):
        self._max_age_ms = max_age_ms
        self._asked: dict[bytes, int] = {}
        self._start: bytes | None = None
        self._anchor_ms = 0  # when the answered nonce was sent
        self._anchor_uptime_ms = 0
        self._uptime_ms = 0
        self._foreign_start: bytes | None = None
        self._next_ask_ms = 0
        self._interval_ms = ASK_INTERVAL_MS_MIN

    def ask(self, nonce: bytes, now_ms: int) -> None:
        """Notes that an own nonce is sent now."""
        self._asked[nonce] = now_ms
        while len(self._asked) > 16:  # arbitrary: more than are sent within the maximal age's last third
            del self._asked[next(iter(self._asked))]
        self._next_ask_ms = now_ms + self._interval_ms
        self._interval_ms = min(self._interval_ms * 2, ASK_INTERVAL_MS_MAX)

    def hear(self, heartbeat: Heartbeat, now_ms: int) -> str:
        """Takes a verified heartbeat and tells what it proves."""
        if heartbeat.echo in self._asked:
            self._anchor(heartbeat, self._asked[heartbeat.echo])
            return ANCHORED
        if heartbeat.start == self._start and heartbeat.uptime_ms > self._uptime_ms:
            self._uptime_ms = heartbeat.uptime_ms
            # A writer's clock that runs ahead of ours must not save up time for a later silence.
            self._anchor_ms += min(0, self.age_ms(now_ms) or 0)
            return LATER
        if heartbeat.start != self._start:
            self._foreign_start = heartbeat.start
        return UNPROVEN

    def _anchor(self, heartbeat: Heartbeat, sent_ms: int) -> None:
        # What was asked before is answered by this too: it is forgotten.
        self._asked = {nonce: at_ms for nonce, at_ms in self._asked.items() if at_ms > sent_ms}
        self._start, self._foreign_start = heartbeat.start, None
        self._anchor_ms, self._anchor_uptime_ms = sent_ms, heartbeat.uptime_ms
        self._uptime_ms = heartbeat.uptime_ms
        self._interval_ms = ASK_INTERVAL_MS_MIN

    def age_ms(self, now_ms: int) -> int | None:
        """Own time since the anchor less the writer's; None without an anchor."""
        if self._start is None:
            return None
        return (now_ms - self._anchor_ms) - (self._uptime_ms - self._anchor_uptime_ms)

    def is_stale(self, now_ms: int) -> bool:
        """Tells whether the writer is shown as stale. It blocks nothing."""
        age_ms = self.age_ms(now_ms)
        return age_ms is None or age_ms > self._max_age_ms

    def wants_to_ask(self, now_ms: int) -> bool:
        """Tells whether a nonce is due."""
        age_ms = self.age_ms(now_ms)
        has_reason = age_ms is None or self._foreign_start is not None or age_ms * 3 > self._max_age_ms * 2
        return has_reason and now_ms >= self._next_ask_ms

    def quiet_ms(self, now_ms: int) -> int:
        """How long no nonce is due, as far as that is known now."""
        age_ms = self.age_ms(now_ms)
        if age_ms is None or self._foreign_start is not None or age_ms * 3 > self._max_age_ms * 2:
            return self._next_ask_ms - now_ms
        return max(self._max_age_ms * 2 // 3 - age_ms, self._next_ask_ms - now_ms)
