"""06-sessions: frames of an open session, replays, answers, limits, and what HTTP brings back."""

from .c05_frames import CHUNK, HEAD, REPORT, item
from .collection import Collection
from .encoding import sequence
from .keys import blob
from .session import Session, plain

SESSION = Session()
NEWER = Session("-2", challenge=blob("challenge 2", 16), session_id=blob("session 2", 4))
OTHER = Session("-2", challenge=blob("challenge 2", 16))


def poll(counter, session=SESSION):
    """Returns a poll with a counter."""
    return session.frame(0, counter, 25, 1, None, *HEAD)


def answer(counter, session=SESSION):
    """Returns an idle answer."""
    return session.frame(1, counter)


def step(frame, error=None, **more):
    """Returns one step with its expectation."""
    row = {"frame": frame, **more, "result": "invalid" if error else "valid"}
    if error:
        row["error"] = error
    return row


def keys(session=SESSION):
    """Returns what a receiver holds of a session."""
    return {"session_id": session.session_id, "key_up": session.key_up, "key_down": session.key_down}


def scenario(file, name, comment, spec, steps, **fields):
    """Adds a scenario: valid when every step is, else invalid with the first reject of its steps."""
    errors = [row["error"] for row in steps if "error" in row]
    if errors:
        file.invalid(name, errors[0], spec, comment, ["scenario"], steps=steps, **fields)
    else:
        file.valid(name, spec, comment, ["scenario"], steps=steps, **fields)


def counters():
    """Returns the file of what a mailbox receives in a session."""
    file = Collection("06-sessions/up.json", "session.up", "a mailbox checks session id, tag, counter and window, in this order")
    def add(name, comment, *steps):
        scenario(file, f"up-{name}", comment, "#sessions", list(steps), **keys())

    replay = lambda counter: step(poll(counter), "session-replay")
    add("ascending", "counters 1 to 5", *[step(poll(counter)) for counter in range(1, 6)])
    add("gap", "a gap is allowed", step(poll(1)), step(poll(1000)), step(poll(65535)))
    add("out-of-order", "inside the window", *[step(poll(counter)) for counter in (5, 3, 4, 1, 2)])
    add("window-edge", "63 below the highest", step(poll(100)), step(poll(37)))
    add("all-types", "poll, post, need and fetch share one counter", step(poll(1)), step(SESSION.frame(2, 2, item(REPORT))),
        step(SESSION.frame(3, 3, 0, *HEAD)), step(SESSION.frame(4, 4, 0, [blob("body", 32), 0])))
    add("put", "a put shares the counter", step(poll(1)), step(SESSION.frame(6, 2, 1, CHUNK)), step(SESSION.frame(6, 2, 1, CHUNK), "session-replay"))
    add("put-unknown-session", "a put of another session", step(NEWER.frame(6, 1, 1, CHUNK), "session-unknown"))
    add("put-bit", "one bit of the body", step(SESSION.frame(6, 2, 1, CHUNK)[:40] + b"\0" + SESSION.frame(6, 2, 1, CHUNK)[41:], "session-mac"))
    add("replay", "the same frame again", step(poll(1)), replay(1))
    add("replay-of-first", "after others", step(poll(1)), step(poll(2)), step(poll(3)), replay(1))
    add("replay-in-window", "a late one twice", step(poll(100)), step(poll(37)), replay(37))
    add("replay-below-window", "64 below the highest", step(poll(100)), replay(36))
    add("replay-far-below", "far below the highest", step(poll(65535)), replay(1))
    add("replay-other-content", "the counter of another frame", step(poll(9)), step(SESSION.frame(3, 9, 0, *HEAD), "session-replay"))
    for counter in (9, 65535):
        refused = SESSION.frame(0, counter, 0, 1, None, "5", 1)
        add(f"replay-of-refused-{counter}", "the counter of a frame whose body was refused", step(poll(8)), step(refused, "shape"), replay(counter))
    add("replay-below-refused", "a frame whose body was refused moves the window", step(SESSION.frame(0, 100, 0, 1, None, "5", 1), "shape"), replay(36), step(poll(37)))
    add("replay-then-on", "a replay ends nothing", step(poll(1)), replay(1), step(poll(2)))
    for counter in (0, 65536, 2**32, 2**64 - 1):
        add(f"counter-{counter}", "outside 1..65535", step(poll(counter), "counter-exhausted"))
    bad = lambda frame: step(frame, "session-mac")
    good = poll(7)
    for place, name in ((0, "type"), (6, "counter"), (8, "hold"), (len(good) - 9, "last-byte"), (len(good) - 8, "tag"), (len(good) - 1, "last-tag-byte")):
        flipped = bytearray(good)
        flipped[place] ^= 2 if place == 0 else 1
        add(f"flipped-{name}", f"one bit of byte {place}", bad(bytes(flipped)))
    add("zero-tag", "eight zeros", bad(good[:-8] + bytes(8)))
    add("other-session-key", "the key of another session under this id", bad(poll(7, OTHER)))
    add("own-direction", "tagged with the key that goes down", bad(good[:-8] + SESSION.sealed(b"\1" + good[1:-8])[-8:]))
    add("tampered-then-honest", "a forged counter does not move the window", bad(poll(65535)[:-8] + bytes(8)), step(poll(1)))
    add("longer-tag", "one byte more", bad(good + b"\0"))
    unknown = Session(session_id=b"\xff" * 4)
    add("unknown-session", "an id that nobody gave", step(poll(1, unknown), "session-unknown"))
    add("unknown-before-mac", "the id counts before the tag", step(b"\0" + b"\xff" * 4 + sequence(1, 25, 1, None, *HEAD) + bytes(8), "session-unknown"))
    return file


def answers():
    """Returns the file of what a device receives in a session."""
    file = Collection("06-sessions/down.json", "session.down", "a device checks session id, tag, and the counter of its request")
    def add(name, comment, *steps):
        scenario(file, f"down-{name}", comment, "#sessions", list(steps), **keys())

    add("matching", "the counter of the request", step(answer(7), request=7))
    add("large-counter", "65535", step(answer(65535), request=65535))
    add("bodies", "an answer to a fetch", step(SESSION.frame(5, 8), request=8))
    for name, got, request in (("older", 6, 7), ("newer", 8, 7), ("swapped-bytes", 0x0102, 0x0201), ("first-for-last", 1, 65535)):
        add(f"mismatch-{name}", "an answer to another request", step(answer(got), "answer-mismatch", request=request))
    add("bodies-mismatch", "bodies for another request", step(SESSION.frame(5, 9), "answer-mismatch", request=8))
    add("cached", "an old answer from a cache", step(answer(1), request=1), step(answer(1), "answer-mismatch", request=2))
    tampered = answer(7)[:-1] + bytes([answer(7)[-1] ^ 1])
    add("tampered", "one bit of the tag", step(tampered, "session-mac", request=7))
    add("hint-inserted", "a hint that the mailbox did not send", step(answer(7)[:-8] + b"\xa1\x01\x19\xff\xff" + answer(7)[-8:], "session-mac", request=7))
    add("up-key", "tagged with the key that goes up", step(answer(7)[:-8] + SESSION.sealed(b"\0" + answer(7)[1:-8])[-8:], "session-mac", request=7))
    add("other-session", "an answer of another session", step(answer(7, NEWER), "session-unknown", request=7))
    add("reflected", "the poll itself sent back", step(poll(7), "frame-direction", request=7))
    return file


def stream_answer(index, request=7, session=SESSION, *items):
    """Returns one answer of a stream."""
    return session.frame(15, request, index, index * 500, b"", *items)


def streams():
    """Returns the file of what a device receives on a stream."""
    file = Collection("06-sessions/stream.json", "session.stream", "a device takes the answers of a stream in their order, and nothing behind the first that it refuses")
    def add(name, comment, *steps, frames=4, request=7):
        scenario(file, f"stream-{name}", comment, "#stream", list(steps), request=request, frames=frames, **keys())

    a = stream_answer
    add("whole", "from 0 to the last", *(step(a(index)) for index in range(4)))
    add("cut", "a stream may end anywhere", step(a(0)), step(a(1)))
    add("one", "of one answer", step(a(0)), frames=1)
    add("hints", "an answer with a hint", step(a(0)), step(a(1, 7, SESSION, {1: 1000})))
    add("gap", "the second is missing", step(a(0)), step(a(2), "stream-order"))
    add("first-missing", "begins with 1", step(a(1), "stream-order"))
    add("repeat", "the first again", step(a(0)), step(a(0), "stream-order"))
    add("replayed-later", "the first again after others", step(a(0)), step(a(1)), step(a(2)), step(a(0), "stream-order"))
    add("behind-the-last", "a fifth of four", *(step(a(index)) for index in range(4)), step(a(4), "stream-order"))
    add("of-another-request", "an answer to an older stream", step(a(0)), step(a(1, 6), "answer-mismatch"))
    add("answer-to-a-poll", "frame 1 with the counter", step(a(0)), step(SESSION.frame(1, 7), "answer-mismatch"))
    add("of-another-session", "the session before", step(a(0, 7, NEWER), "session-unknown"))
    tampered = a(1)[:-1] + bytes([a(1)[-1] ^ 1])
    add("tampered", "one bit of the tag", step(a(0)), step(tampered, "session-mac"))
    add("renumbered", "the index of one that was seen, made the next", step(a(0)), step(a(0)[:6] + b"\x01" + a(0)[7:], "session-mac"))
    add("reflected", "the stream itself sent back", step(SESSION.frame(13, 7, 500, 4, 0, 1, None, *HEAD), "frame-direction"))
    return file


def switches():
    """Returns the file of two sessions of one channel."""
    file = Collection("06-sessions/switch.json", "session.switch", "the older session lives until the first frame that verifies under the newer one")
    both = {"older": keys(), "newer": keys(NEWER)}
    def add(name, comment, *steps):
        scenario(file, f"switch-{name}", comment, "#sessions", list(steps), **both)

    add("older-goes-on", "a welcome alone displaces nothing", step(poll(1)), step(poll(2)))
    add("newer-begins", "old, then new", step(poll(1)), step(poll(1, NEWER)), step(poll(2, NEWER)))
    add("older-ended", "a frame under the newer session ends the older", step(poll(1)), step(poll(1, NEWER)), step(poll(2), "session-unknown"))
    forged = poll(1, NEWER)[:-8] + bytes(8)
    add("forged-newer", "a forged frame displaces nothing", step(poll(1)), step(forged, "session-mac"), step(poll(2)))
    return file


def needs():
    """Returns the file of needs over time."""
    file = Collection("06-sessions/need.json", "need.limit", "one need per plane in 5 s; a limited one does not move the window")
    def add(name, comment, *rows):
        steps = []
        for at_ms, plane, limited in rows:
            steps.append({"at_ms": at_ms, "plane": plane, "result": "invalid" if limited else "valid"})
            if limited:
                steps[-1]["error"] = "need-limited"
        scenario(file, f"need-{name}", comment, "#need", steps)

    add("once", "the first", (0, 0, False))
    add("after-5-s", "5000 ms later", (100, 0, False), (5100, 0, False))
    add("two-planes", "each plane counts alone", (0, 0, False), (1, 1, False))
    add("at-once", "twice in one instant", (0, 0, False), (0, 0, True))
    add("after-4999-ms", "one millisecond early", (0, 0, False), (4999, 0, True), (5000, 0, False))
    add("limited-does-not-extend", "the window begins with the served one", (0, 0, False), (3000, 0, True), (5000, 0, False), (7000, 0, True))
    add("flood", "one in each window", (0, 0, False), (1, 0, True), (2, 0, True), (4998, 0, True), (5001, 0, False))
    add("one-plane-limited", "the other is free", (0, 0, False), (10, 1, False), (20, 0, True), (30, 1, True))
    return file


def exchanges():
    """Returns the file of HTTP answers."""
    file = Collection("06-sessions/exchange.json", "exchange.answer", "what an HTTP answer means: a frame, a named refusal, or no Postern")
    frame, kind = answer(7), "application/octet-stream"
    file.valid("exchange-frame", "#http-binding", "one frame", ["http"], status=200, content_type=kind, body=frame)
    file.valid("exchange-frame-as-text", "#http-binding", "a proxy changed the content type", ["http", "decision"], status=200, content_type="text/plain", body=frame)
    for name, code, error, retry in (
        ("quota", 113, "quota", ()), ("quota-retry", 113, "quota", (60000,)), ("overloaded", 114, "overloaded", ()), ("overloaded-retry", 114, "overloaded", (1000,)),
        ("session-unknown", 102, "session-unknown", ()), ("challenge-unknown", 108, "challenge-unknown", ()), ("not-admitted", 111, "not-admitted", ()),
        ("enrol-pending", 94, "enrol-pending", (10000,)), ("enrol-pending-at-once", 94, "enrol-pending", (0,)), ("knock-unknown", 95, "knock-unknown", ()), ("session-role", 116, "session-role", ()), ("retention-expired", 118, "retention-expired", ()),
        ("token-unknown", 90, "token-unknown", ()), ("need-limited", 112, "need-limited", (5000,)),
    ):
        file.invalid(f"exchange-refused-{name}", error, "#frames", "frame 22 names the reject by its number", ["refused"], status=200, content_type=kind, body=plain(22, code, *retry))
    page = b"<!doctype html><title>Sign in</title>"
    for name, status, content_type, body, comment in (
        ("login-page", 200, "text/html", page, "a captive portal"), ("empty-200", 200, kind, b"", "an empty answer"), ("not-modified", 304, kind, b"", "304 from a cache"),
        ("no-content", 204, kind, b"", "no content"), ("json", 200, "application/json", b"{}", "somebody's interface"), ("redirect", 302, "text/html", b"", "302"),
        ("proxy-wants-password", 407, "text/html", page, "407"), ("not-found-page", 404, "text/html", page, "404"), ("bad-gateway", 502, "text/html", page, "502"),
        ("text", 200, "text/plain", b"OK", "some text"), ("frame-with-304", 304, kind, frame, "a frame with another status"), ("frame-with-500", 500, kind, frame, "a frame with another status"),
    ):
        file.invalid(f"exchange-{name}", "not-postern", "#http-binding", comment, ["http"], status=status, content_type=content_type, body=body)
    return file


def build():
    """Returns the six files."""
    return [counters(), answers(), streams(), switches(), needs(), exchanges()]
