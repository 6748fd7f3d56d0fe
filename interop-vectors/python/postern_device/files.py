"""Files: the same messages, carried by hand.

Implements spec/files.md#file-binding.
"""

from . import frames
from .rejects import Reject


def read_frames(data: bytes) -> tuple[list, Reject | None]:
    """Reads frame after frame up to the end, or to the first that is refused; nothing behind it is read.

    Gives the frames as (type, content), and the reject that ended the reading. Nothing is verified here.
    """
    read, at = [], 0
    while at < len(data):
        try:
            kind, content, at = frames.read_filed(data, at)
        except Reject as reject:
            return read, reject
        read.append((kind, content))
    return read, None
