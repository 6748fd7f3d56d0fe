"""Frames: their types, the way they travel, and what stands in their bodies.

`split` takes a frame apart without a look at its body, because the tag counts first; `read_body` reads the body.
A body becomes the list of its items, except where a device has a use for more: Answer, Bodies and the like.

Implements spec/postern.md#frames, #post, #need, #fetch, #bodies and spec/files.md#file-binding;
`poll_frames` has polls and streams, `writer_frames` those of spec/relays.md#writer-sessions.
"""

from dataclasses import dataclass

from . import cbor, poll_frames, writer_frames
from .forms import Items, check_chunk, check_counter, check_envelope, check_head, check_plane, read_counter, read_wants
from .limits import FRAME_BYTES_MAX
from .poll_frames import read_item
from .rejects import Reject, require

POLL, ANSWER, POST, NEED, FETCH, BODIES, PUT = 0, 1, 2, 3, 4, 5, 6
COLLECT, COLLECTED, DELIVER, DELIVER_BODIES, FETCH_BODIES, DELIVER_ENROLLED = 7, 8, 9, 10, 11, 12
STREAM, STREAM_ANSWER = 13, 15
FILED_BODY, ENROL, ENROLLED, ASK, CHALLENGE, HELLO, WELCOME, REFUSED, POSTED = 14, 16, 17, 18, 19, 20, 21, 22, 23

_WAYS = {
    "up": {POLL, POST, NEED, FETCH, PUT, COLLECT, DELIVER, DELIVER_BODIES, FETCH_BODIES, DELIVER_ENROLLED}
    | {STREAM, ENROL, ASK, HELLO},
    "down": {ANSWER, STREAM_ANSWER, BODIES, COLLECTED, ENROLLED, CHALLENGE, WELCOME, REFUSED},
    "file": {FILED_BODY, ENROL, ENROLLED, POSTED},
}
KNOWN_TYPES = set().union(*_WAYS.values())
_SESSION_TYPES = {*range(POLL, STREAM + 1), STREAM_ANSWER}
_FILED_ITEMS = {FILED_BODY: 3, ENROL: 3, ENROLLED: 2, POSTED: 3}  # how many items end a frame of a file
_TAG_BYTES = 8
_SESSION_ID_BYTES = 4


@dataclass(frozen=True)
class Split:
    """A frame cut into its parts; a plain frame has neither session id nor tag."""

    type: int
    session_id: bytes | None
    body: bytes
    covered: bytes
    tag: bytes | None


@dataclass(frozen=True)
class Chunk:
    """A piece of a section body, from an offset."""

    digest: bytes
    size: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Bodies:
    """Frame 5."""

    counter: int
    chunks: list[Chunk]


@dataclass(frozen=True)
class Enrolled:
    """Frame 17: bundles and the answer, as untagged envelopes."""

    bundles: list[bytes]
    answer: bytes


@dataclass(frozen=True)
class Challenge:
    """Frame 19."""

    challenge: bytes
    ephemeral: bytes
    thumbprint: bytes


@dataclass(frozen=True)
class Refused:
    """Frame 22: unsigned advice."""

    code: int
    retry_ms: int | None


@dataclass(frozen=True)
class Posted:
    """Frame 23; the envelope is untagged here."""

    channel_id: bytes
    plane: int | None
    envelope: bytes


def split(frame: bytes, way: str) -> Split:
    """Cuts a frame that travels `up`, `down` or in a `file`."""
    require(len(frame) <= FRAME_BYTES_MAX, "oversize")
    require(len(frame) >= 1, "shape")
    kind = frame[0]
    require(kind in KNOWN_TYPES, "frame-unknown")
    require(kind in _WAYS[way], "frame-direction")
    if kind not in _SESSION_TYPES:
        return Split(kind, None, frame[1:], frame, None)
    require(len(frame) >= 1 + _SESSION_ID_BYTES + _TAG_BYTES, "shape")
    covered, tag = frame[:-_TAG_BYTES], frame[-_TAG_BYTES:]
    return Split(kind, frame[1 : 1 + _SESSION_ID_BYTES], covered[1 + _SESSION_ID_BYTES :], covered, tag)


def read_body(kind: int, body: bytes):
    """Reads a whole body. But for the counter, no item is judged before all of them are in the profile."""
    if kind in _SESSION_TYPES:
        check_counter(body)
    _check_profile(kind, body)
    items = Items(body)
    content = _READERS[kind](items)
    items.end()
    return content


def _check_profile(kind: int, body: bytes) -> None:
    items = Items(body)
    place = 0
    while items.more():
        if kind == POSTED and place == 2:
            items.skip_tag_18()
        items.next()
        place += 1


def parse(frame: bytes, way: str):
    """Takes a frame apart and reads its body; a session frame's tag is not checked here."""
    parts = split(frame, way)
    return read_body(parts.type, parts.body)


def plain(kind: int, items: list) -> bytes:
    """Builds a plain frame."""
    return bytes([kind]) + b"".join(cbor.encode(item) for item in items)


def read_filed(data: bytes, at: int):
    """Reads the frame of a file that begins at `at`: its type, its content, and where it ends."""
    kind = data[at]
    require(kind in KNOWN_TYPES, "frame-unknown")
    require(kind in _WAYS["file"], "frame-direction")
    items = Items(data, at + 1)
    for place in range(_FILED_ITEMS[kind]):
        if kind == POSTED and place == 2 and items.more() and not items.skip_tag_18():
            items.next()  # another tag is told as such
            raise Reject("shape")
        items.next()
    require(items.at - at <= FRAME_BYTES_MAX, "oversize")
    return kind, read_body(kind, data[at + 1 : items.at]), items.at


def _read_post(items: Items):
    counter = read_counter(items)
    require(items.more(), "shape")
    return [counter, *(read_item(item) for item in items.rest())]


def _read_need(items: Items):
    return [read_counter(items), check_plane(items.next()), *check_head(items.uint(), items.uint())]


def _read_fetch(items: Items):
    return [read_counter(items), check_plane(items.next()), read_wants(items)]


def _read_bodies(items: Items):
    counter = read_counter(items)
    return Bodies(counter, [Chunk(*check_chunk(chunk)) for chunk in items.rest()])


def _read_put(items: Items):
    put = [read_counter(items), check_plane(items.next())]
    require(items.more(), "shape")
    return [*put, [Chunk(*check_chunk(chunk)) for chunk in items.rest()]]


def _read_filed_body(items: Items):
    return [items.byte_string(16), check_plane(items.next()), Chunk(*check_chunk(items.next()))]


def _read_enrol(items: Items):
    return [items.byte_string(8), items.byte_string(32), check_envelope(items.next())]


def _read_enrolled(items: Items):
    bundles = items.next()
    require(isinstance(bundles, list) and bundles, "shape")
    return Enrolled([check_envelope(bundle) for bundle in bundles], check_envelope(items.next()))


def _read_ask(items: Items):
    require(items.uint() == 1, "shape")
    held = items.uint() if items.more() else None
    require(held is None or held >= 1, "shape")
    return [1, held]


def _read_challenge(items: Items):
    return Challenge(items.byte_string(16), items.byte_string(32), items.byte_string(32))


def _read_hello(items: Items):
    return [items.byte_string(16), check_envelope(items.next())]


def _read_welcome(items: Items):
    return check_envelope(items.next())


def _read_refused(items: Items):
    code = items.uint()
    require(1 <= code <= 65535, "shape")
    return Refused(code, items.uint() if items.more() else None)


def _read_posted(items: Items):
    channel_id = items.byte_string(16)
    plane = check_plane(items.next(), may_be_null=True)
    require(items.more(), "cbor-truncated")
    if not items.skip_tag_18():
        items.next()  # another tag is told as such
        raise Reject("shape")
    return Posted(channel_id, plane, check_envelope(items.next()))


_READERS = {
    POLL: poll_frames.read_poll,
    ANSWER: poll_frames.read_answer,
    POST: _read_post,
    NEED: _read_need,
    FETCH: _read_fetch,
    BODIES: _read_bodies,
    PUT: _read_put,
    STREAM: poll_frames.read_stream,
    STREAM_ANSWER: poll_frames.read_stream_answer,
    FILED_BODY: _read_filed_body,
    ENROL: _read_enrol,
    ENROLLED: _read_enrolled,
    ASK: _read_ask,
    CHALLENGE: _read_challenge,
    HELLO: _read_hello,
    WELCOME: _read_welcome,
    REFUSED: _read_refused,
    POSTED: _read_posted,
    **writer_frames.READERS,
}
