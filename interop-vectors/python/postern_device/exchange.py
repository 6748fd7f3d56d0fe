"""What an HTTP answer means: a frame, a named refusal, or no Postern at all.

Implements spec/postern.md#http-binding, the client's part.
"""

from . import frames
from .frames import KNOWN_TYPES, REFUSED
from .limits import FRAME_BYTES_MAX
from .rejects import REJECTS, Reject, require


class TransportError(Exception):
    """The way failed; that is no news about anything else."""


class Refusal(Reject):
    """A frame 22: advice about when to try again, from nobody in particular."""

    def __init__(self, code: int, retry_ms: int | None):
        super().__init__(REJECTS[code][0] if code in REJECTS else "overloaded")
        self.code = code
        self.retry_ms = retry_ms


def read_exchange(status: int, body: bytes) -> bytes:
    """Gives the frame of an answer; whatever stands in front of a server may have written the rest."""
    is_frame = status == 200 and 1 <= len(body) <= FRAME_BYTES_MAX and body[0] in KNOWN_TYPES
    require(is_frame, "not-postern")
    if body[0] != REFUSED:
        return body
    try:
        refused = frames.parse(body, "down")
    except Reject:
        raise Reject("not-postern") from None
    raise Refusal(refused.code, refused.retry_ms)
