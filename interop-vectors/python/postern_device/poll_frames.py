"""The frames by which a device asks for what is new, and their answers: poll and answer, stream and stream-answer.

Implements spec/postern.md#poll, #answer and #stream, as far as it is about the form of frames.
"""

from dataclasses import dataclass

from . import cbor
from .forms import Items, check_envelope, check_head, check_plane, read_counter
from .hints import read_hints
from .limits import (
    HOLD_S_MAX,
    STREAM_FRAMES_MAX,
    STREAM_INTERVAL_MS_MAX,
    STREAM_INTERVAL_MS_MIN,
    STREAM_PAD_BYTES_MAX,
    STREAM_PROBE_FRAMES_MAX,
    STREAM_PROBE_INTERVAL_MS_MIN,
    STREAM_PROBE_PAD_BYTES_MAX,
)
from .rejects import require


@dataclass(frozen=True)
class Answer:
    """Frame 1. Each item is (plane or None, untagged envelope)."""

    counter: int
    hints: dict
    items: list[tuple[int | None, bytes]]


@dataclass(frozen=True)
class StreamAnswer:
    """Frame 15. `index` counts from 0; `age_ms` are milliseconds since the request. It answers no poll."""

    counter: int
    index: int
    age_ms: int
    hints: dict
    items: list[tuple[int | None, bytes]]


def read_item(item) -> tuple[int | None, bytes]:
    """Reads [plane or null, envelope]."""
    require(cbor.is_array(item, 2, 2), "shape")
    check_plane(item[0], may_be_null=True)
    return item[0], check_envelope(item[1])


def _read_standing(items: Items) -> list:
    """Where a device stands: its bundle, what was acknowledged, heads, and the receipt that it names."""
    standing = [items.uint(), items.next()]
    require(standing[1] is None or cbor.is_uint(standing[1]), "shape")
    standing += check_head(items.uint(), items.uint())
    if items.more() and not items.is_array():
        standing += check_head(items.uint(), items.uint())
        if not items.is_array():
            return standing
    if items.more():
        item = items.next()
        require(cbor.is_array(item, 2, 2), "shape")
        require(cbor.is_uint(item[0], 1) and cbor.is_uint(item[1], 1), "shape")
        standing.append(item)
    return standing


def _read_news(items: Items) -> tuple[dict, list]:
    """Hints, where there are any, and items."""
    hints, first = {}, []
    if items.more():
        item = items.next()
        if isinstance(item, dict):
            hints = read_hints(item)
        else:
            first = [read_item(item)]
    return hints, first + [read_item(item) for item in items.rest()]


def read_poll(items: Items) -> list:
    """Reads frame 0."""
    poll = [read_counter(items), items.uint()]
    require(poll[1] <= HOLD_S_MAX, "hold-range")
    return poll + _read_standing(items)


def read_answer(items: Items) -> Answer:
    """Reads frame 1."""
    return Answer(read_counter(items), *_read_news(items))


def read_stream(items: Items) -> list:
    """Reads frame 13. Few answers may be a probe, which may ask for more."""
    counter, interval_ms, count, pad = read_counter(items), items.uint(), items.uint(), items.uint()
    require(1 <= count <= STREAM_FRAMES_MAX, "shape")
    is_probe = count <= STREAM_PROBE_FRAMES_MAX
    interval_ms_min = STREAM_PROBE_INTERVAL_MS_MIN if is_probe else STREAM_INTERVAL_MS_MIN
    require(interval_ms_min <= interval_ms <= STREAM_INTERVAL_MS_MAX, "shape")
    require(pad <= (STREAM_PROBE_PAD_BYTES_MAX if is_probe else STREAM_PAD_BYTES_MAX), "shape")
    return [counter, interval_ms, count, pad, *_read_standing(items)]


def read_stream_answer(items: Items) -> StreamAnswer:
    """Reads frame 15; its padding means nothing."""
    counter, index, age_ms, padding = read_counter(items), items.uint(), items.uint(), items.next()
    require(index < STREAM_FRAMES_MAX, "shape")
    require(isinstance(padding, bytes) and len(padding) <= STREAM_PROBE_PAD_BYTES_MAX, "shape")
    return StreamAnswer(counter, index, age_ms, *_read_news(items))
