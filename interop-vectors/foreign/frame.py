"""Frames: type, direction, and the form of every body. Tags are judged by `session`."""

from .cbor import Reader, Refused, ensure
from .payload import sized, tuple_of, uints

BYTES_MAX = 49152
UP, DOWN, FILE = (0, 2, 3, 4, 6, 7, 9, 10, 11, 12, 13, 16, 18, 20), (1, 5, 8, 15, 17, 19, 21, 22), (14, 16, 17, 23)
CHUNK_BYTES_MAX = 32768
SECTION_BYTES_MAX = 65536


def parse(data, direction):
    """Returns (type, items) of a frame."""
    ensure(len(data) <= BYTES_MAX, "oversize")
    ensure(data, "shape")
    kind = data[0]
    ensure(kind in UP + DOWN + FILE, "frame-unknown")
    allowed = {"up": UP, "down": DOWN, "file": FILE}[direction]
    ensure(kind in allowed, "frame-direction")
    if kind < 14 or kind == 15:
        ensure(len(data) >= 13, "shape")
        body = data[5:-8]
        counted(data)
    else:
        body = data[1:]
    profile(kind, Reader(body))
    return kind, FORMS[kind](Reader(body))


def counted(data):
    """Returns the counter of a frame of a session; None when its body begins with something else."""
    body = data[5:-8]
    return counter(Reader(body)) if body and body[0] >> 5 == 0 else None


def profile(kind, reader):
    """Checks every item before one of them is judged; the envelope of a posted frame alone has a tag."""
    place = 0
    while not reader.done:
        if kind == 23 and place == 2 and reader.data[reader.at] == 0xD2:
            reader.at += 1
        reader.item()
        place += 1


def finish(reader, items):
    """Returns the items when nothing follows."""
    ensure(reader.done, "cbor-trailing")
    return items


def number(reader):
    """Returns an unsigned integer."""
    value = reader.item()
    ensure(uints(value), "shape")
    return value


def counter(reader):
    """Returns a counter."""
    value = number(reader)
    ensure(1 <= value <= 65535, "counter-exhausted")
    return value


def plane(reader):
    """Returns a plane."""
    value = number(reader)
    ensure(value in (0, 1), "shape")
    return value


def envelope(value):
    """Checks the outer form of an envelope."""
    ensure(isinstance(value, list) and [type(item) for item in value] == [bytes, dict, bytes, bytes], "shape")
    return value


def item(value):
    """Checks [plane or null, envelope]."""
    ensure(tuple_of(value, 2) and (value[0] is None or uints(value[0]) and value[0] in (0, 1)), "shape")
    return [value[0], envelope(value[1])]


def head(reader):
    """Returns epoch and seq, both 0 or neither."""
    epoch, seq = number(reader), number(reader)
    ensure((epoch == 0) == (seq == 0), "shape")
    return [epoch, seq]


def want(value):
    """Checks [digest, offset]."""
    ensure(tuple_of(value, 2) and sized(value[0], 32) and uints(value[1]), "shape")
    return value


def chunk(value):
    """Checks a piece of a body."""
    ensure(tuple_of(value, 4) and sized(value[0], 32) and uints(*value[1:3]) and isinstance(value[3], bytes), "shape")
    ensure(value[1] <= SECTION_BYTES_MAX, "section-oversize")
    ensure(1 <= len(value[3]) <= CHUNK_BYTES_MAX and value[2] + len(value[3]) <= value[1], "shape")
    return value


def poll(reader):
    """Reads a poll."""
    items = [counter(reader), number(reader)]
    ensure(items[1] <= 300, "hold-range")
    return heads(reader, items)


def stream(reader):
    """Reads a stream."""
    items = [counter(reader), number(reader), number(reader), number(reader)]
    _, interval, frames, pad = items
    ensure(250 <= interval <= 60000 and 1 <= frames <= 1024 and pad <= 16384, "shape")
    ensure(frames <= 8 or interval >= 5000 and pad <= 4096, "shape")
    return heads(reader, items)


def stream_answer(reader):
    """Reads one answer of a stream."""
    first = [counter(reader), number(reader), number(reader), reader.item()]
    ensure(isinstance(first[3], bytes) and len(first[3]) <= 16384 and first[1] < 1024, "shape")
    return first + listed(reader, [])


def heads(reader, items):
    """Reads what a poll and a stream have in common."""
    items.append(number(reader))
    acked = reader.item()
    ensure(acked is None or uints(acked), "shape")
    items += [acked, *head(reader)]
    # An array is the receipt that the session gave, which ends the poll.
    is_array = lambda: not reader.done and 0x80 <= reader.data[reader.at] <= 0x9b
    if not reader.done and not is_array():
        items += head(reader)
    if is_array():
        receipt = reader.item()
        ensure(tuple_of(receipt, 2) and uints(*receipt) and min(receipt) >= 1, "shape")
        items.append(receipt)
    return finish(reader, items)


def hints(value):
    """Checks the hints of an answer."""
    ensure(value and set(value) <= {1, 2, 3, 4, 5, 6, 7, 8}, "shape")
    ensure(uints(*(value[label] for label in (1, 2) if label in value)), "shape")
    ensure(isinstance(value.get(3, "x"), str) and 1 <= len(value.get(3, "x").encode()) <= 512, "shape")
    refused = value.get(4, [[0, 1]])
    ensure(isinstance(refused, list) and refused and all(tuple_of(row, 2) and uints(*row) and 1 <= row[1] <= 65535 for row in refused), "shape")
    wanted, planes = value.get(5, [None]), value.get(6, [0])
    ensure(isinstance(wanted, list) and 1 <= len(wanted) <= 16 and planes in ([0], [1], [0, 1]) and uints(*planes), "shape")
    for row in wanted if 5 in value else ():
        want(row)
    places, lacking = value.get(7, [None]), value.get(8, [None])
    ensure(isinstance(places, list) and 1 <= len(places) <= 64 and isinstance(lacking, list) and 1 <= len(lacking) <= 16, "shape")
    for row in places if 7 in value else ():
        ensure(tuple_of(row, 2) and placed(*row), "shape")
    ensure(7 not in value or all(a < b for a, b in zip(places, places[1:])), "shape")
    for row in lacking if 8 in value else ():
        ensure(tuple_of(row, 4) and placed(*row[:2]), "shape")
        want(row[2:])
    return value


def placed(channel, where):
    """Tells whether a channel id and a plane are named."""
    return sized(channel, 16) and uints(where) and where in (0, 1)


def letter(value):
    """Checks [channel or null, plane or null, envelope]."""
    ensure(tuple_of(value, 3) and (value[0] is None or sized(value[0], 16)), "shape")
    ensure(value[0] is not None or value[1] is None, "shape")
    return [value[0], *item(value[1:])]


def collect(reader):
    """Reads a collect."""
    items = [counter(reader), number(reader)]
    ensure(items[1] <= 300, "hold-range")
    items += [number(reader), number(reader)]
    ensure(items[2] > 0 or items[3] == 0, "shape")
    return finish(reader, items)


def collected(reader):
    """Reads what was collected."""
    items, last = [counter(reader)], 0
    value = reader.item()
    if isinstance(value, dict):
        items.append(hints(value))
        value = reader.item()
    ensure(uints(value) and value > 0, "shape")
    items.append(value)
    while not reader.done:
        value = reader.item()
        ensure(isinstance(value, list) and len(value) in (3, 4) and uints(value[0]) and value[0] > last, "shape")
        last = value[0]
        if len(value) == 4:
            letter(value[1:])
        else:
            ensure(uints(value[1]) and isinstance(value[2], bytes), "shape")
        items.append(value)
    return items


def deliver(reader):
    """Reads a deliver."""
    items = [counter(reader)]
    while not reader.done:
        items.append(letter(reader.item()))
    ensure(len(items) > 1, "shape")
    return items


def at_place(check, most):
    """Returns a reader of a channel, a plane and a list."""
    def form(reader):
        items = [counter(reader), reader.item()]
        ensure(sized(items[1], 16), "shape")
        items.append(plane(reader))
        while not reader.done:
            items.append(check(reader.item()))
        ensure(4 <= len(items) <= 3 + most, "shape")
        return items
    return form


def enrolled(reader):
    """Reads the answer to an enrolment."""
    items = [counter(reader), number(reader), reader.item()]
    ensure(isinstance(items[2], bytes), "shape")
    return finish(reader, items)


def answer(reader):
    """Reads an answer."""
    return [counter(reader), *listed(reader, [])]


def listed(reader, items):
    """Reads the hints and the items of an answer."""
    while not reader.done:
        value = reader.item()
        items.append(hints(value) if not items and isinstance(value, dict) else item(value))
    return items


def post(reader):
    """Reads a post."""
    items = [counter(reader)]
    while not reader.done:
        items.append(item(reader.item()))
    ensure(len(items) > 1, "shape")
    return items


def need(reader):
    """Reads a need."""
    return finish(reader, [counter(reader), plane(reader), *head(reader)])


def fetch(reader):
    """Reads a fetch."""
    items = [counter(reader), plane(reader)]
    while not reader.done:
        items.append(want(reader.item()))
    ensure(3 <= len(items) <= 18, "shape")
    return items


def bodies(reader):
    """Reads bodies."""
    items = [counter(reader)]
    while not reader.done:
        items.append(chunk(reader.item()))
    return items


def put(reader):
    """Reads a put."""
    items = [counter(reader), plane(reader)]
    while not reader.done:
        items.append(chunk(reader.item()))
    ensure(len(items) > 2, "shape")
    return items


def filed(reader):
    """Reads a body filed by hand."""
    channel = reader.item()
    ensure(sized(channel, 16), "shape")
    return finish(reader, [channel, plane(reader), chunk(reader.item())])


def fixed(*checks):
    """Returns a reader of a fixed sequence."""
    def form(reader):
        items = []
        for check in checks:
            value = reader.item()
            ensure(check(value), "shape")
            items.append(value)
        return finish(reader, items)
    return form


def shaped(value):
    """Tells whether a value has the outer form of an envelope."""
    envelope(value)
    return True


def bundles(value):
    """Tells whether a value is a non-empty array of envelopes."""
    ensure(isinstance(value, list) and value, "shape")
    return all(shaped(entry) for entry in value)


def ask(reader):
    """Reads an ask: the version, and the bundle that the asker holds."""
    items = [number(reader)]
    ensure(items[0] == 1, "shape")
    if not reader.done:
        items.append(number(reader))
        ensure(items[1] > 0, "shape")
    return finish(reader, items)


def refused(reader):
    """Reads a refusal."""
    items = [number(reader)]
    if not reader.done:
        items.append(number(reader))
    return finish(reader, items)


def posted(reader):
    """Reads a posted frame; its envelope is tagged."""
    channel, where = reader.item(), reader.item()
    ensure(sized(channel, 16) and (where is None or uints(where) and where in (0, 1)), "shape")
    ensure(not reader.done, "cbor-truncated")
    tag = reader.data[reader.at]
    if tag >> 5 == 6 and tag != 0xD2:
        raise Refused("cbor-tag")
    ensure(tag == 0xD2, "shape")
    reader.at += 1
    return finish(reader, [channel, where, envelope(reader.item())])


FORMS = {
    0: poll, 1: answer, 2: post, 3: need, 4: fetch, 5: bodies, 6: put, 13: stream, 14: filed, 15: stream_answer,
    7: collect, 8: collected, 9: deliver, 10: at_place(chunk, 4096), 11: at_place(want, 16), 12: enrolled,
    16: fixed(lambda v: sized(v, 8), lambda v: sized(v, 32), shaped), 17: fixed(bundles, shaped), 18: ask,
    19: fixed(lambda v: sized(v, 16), lambda v: sized(v, 32), lambda v: sized(v, 32)), 20: fixed(lambda v: sized(v, 16), shaped),
    21: fixed(shaped), 22: refused, 23: posted,
}
