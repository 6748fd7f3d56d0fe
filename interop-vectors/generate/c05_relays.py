"""05-frames: the frames of a writer session, and hints 7 and 8. Tags are right, keys as in 06."""

from . import envelope as e
from .c05_frames import ACTUAL, BODY, CHUNK, DELTA, OTHERS, REPORT, REQUEST, WANT
from .collection import Collection
from .encoding import Raw, encode, sequence
from .session import CHANNEL, TOKEN, Session, enrol_mac, plain, raw

SESSION = Session()
FRAME = SESSION.frame
STORE, CURSOR, KNOCK = 77, 1000, 12
LARGEST = 2**64 - 1
ADMISSION = e.admission()
RECEIPT = e.receipt(DELTA.message_id)
ENROL = plain(16, TOKEN, enrol_mac(REQUEST), raw(REQUEST))
ENROLLED = plain(17, [raw(OTHERS["bundle-first"])], raw(OTHERS["enrol-answer"]))
REFUSED = plain(22, 91)
OTHER_CHANNEL = bytes([255] * 16)
PLACE = [CHANNEL, 0]
BODY_WANTED = [CHANNEL, 1, *WANT]


def letter(message, channel=CHANNEL):
    """Returns [channel or null, plane or null, envelope]."""
    return [channel, message.plane, raw(message)]


def entry(arrival, message, channel=CHANNEL):
    """Returns one entry of a collected frame."""
    return [arrival, *letter(message, channel)]


def frames_up():
    """Returns honest frames that go up."""
    many = [letter(message) for message in (OTHERS["enrol-answer"], e.snapshot({"k": 1}), DELTA, OTHERS["report-ack"], e.heartbeat((e.EPOCH, e.SEQ), e.root_digest({"k": 1})[0]))]
    return (
        ("collect-first", "#collect", FRAME(7, 1, 25, 0, 0), "nothing is known of the store"), ("collect-cursor", "#collect", FRAME(7, 300, 25, STORE, CURSOR), "behind a cursor"),
        ("collect-from-start", "#collect", FRAME(7, 2, 0, STORE, 0), "the store is known, nothing collected"), ("collect-longest-hold", "#collect", FRAME(7, 3, 300, STORE, CURSOR), "300 s"), ("collect-largest", "#collect", FRAME(7, 65535, 300, LARGEST, LARGEST), "2^64-1"),
        ("deliver-admission", "#deliver", FRAME(9, 4, letter(ADMISSION)), "an admission"), ("deliver-bundle", "#deliver", FRAME(9, 5, letter(OTHERS["bundle-second"], None)), "a bundle has no channel"),
        ("deliver-many", "#deliver", FRAME(9, 6, letter(ADMISSION), *many), "all that a device may want"), ("deliver-two-channels", "#deliver", FRAME(9, 7, letter(DELTA), letter(ADMISSION, OTHER_CHANNEL)), "two channels"),
        ("deliver-bodies", "#deliver", FRAME(10, 8, CHANNEL, 0, CHUNK), "one whole body"), ("deliver-bodies-two", "#deliver", FRAME(10, 9, CHANNEL, 0, [CHUNK[0], len(BODY), 0, BODY[:5]], [CHUNK[0], len(BODY), 5, BODY[5:]]), "in two pieces"),
        ("fetch-bodies", "#deliver", FRAME(11, 10, CHANNEL, 1, WANT), "a body of actual"), ("fetch-bodies-sixteen", "#deliver", FRAME(11, 11, CHANNEL, 1, *[WANT] * 16), "the most"),
        ("deliver-enrolled", "#knocks", FRAME(12, 12, KNOCK, ENROLLED), "the answer to an enrolment"), ("deliver-enrolled-refused", "#knocks", FRAME(12, 12, KNOCK, REFUSED), "its refusal"), ("deliver-enrolled-any-bytes", "#knocks", FRAME(12, 13, LARGEST, b""), "what is inside is judged where it is taken"),
    )


def frames_down():
    """Returns honest frames that go down."""
    return (
        ("collected-nothing", "#collect", FRAME(8, 1, STORE), "nothing arrived"), ("collected-report", "#collect", FRAME(8, 300, STORE, entry(1001, REPORT)), "one report"),
        ("collected-many", "#collect", FRAME(8, 300, STORE, entry(1001, REPORT), entry(1002, ACTUAL), [1005, KNOCK, ENROL], entry(1010, RECEIPT)), "gaps are allowed"),
        ("collected-knock", "#collect", FRAME(8, 1, STORE, [1, KNOCK, ENROL]), "somebody asks to be enrolled"), ("collected-bundle", "#collect", FRAME(8, 1, STORE, entry(1, OTHERS["bundle-second"], None), [2, KNOCK, ENROLLED]), "what goes down a chain"),
        ("collected-hints", "#collect", FRAME(8, 1, {1: 1000, 2: 60}, STORE), "hints first"), ("collected-wants", "#collect", FRAME(8, 1, {7: [PLACE]}, STORE, entry(1, REPORT)), "hints and an entry"), ("collected-largest", "#collect", FRAME(8, 65535, LARGEST, entry(LARGEST, REPORT)), "2^64-1"),
        ("answer-snapshots-wanted", "#deliver", FRAME(1, 4, {7: [PLACE]}), "a snapshot of desired"), ("answer-snapshots-wanted-many", "#deliver", FRAME(1, 4, {7: [[bytes(16), 1], PLACE, [CHANNEL, 1], [OTHER_CHANNEL, 0]]}), "ascending by channel and plane"),
        ("answer-snapshots-wanted-64", "#deliver", FRAME(1, 4, {7: [[bytes(15) + bytes([index]), 0] for index in range(64)]}), "the most"), ("answer-bodies-wanted", "#deliver", FRAME(1, 4, {8: [BODY_WANTED]}), "one body"),
        ("answer-bodies-wanted-16", "#deliver", FRAME(1, 4, {8: [[CHANNEL, 0, WANT[0], offset] for offset in range(16)]}), "the most"), ("answer-writer-hints", "#deliver", FRAME(1, 4, {1: 5000, 4: [[0, 62], [2, 117]], 7: [PLACE], 8: [BODY_WANTED]}), "two of three refused"),
    )


def bad_up():
    """Returns wrong frames that go up."""
    good = letter(ADMISSION)
    return (
        ("collect-counter-0", "#sessions", "counter-exhausted", FRAME(7, 0, 0, STORE, 0)), ("collect-hold-301", "#collect", "hold-range", FRAME(7, 1, 301, STORE, 0)), ("collect-hold-largest", "#collect", "hold-range", FRAME(7, 1, LARGEST, STORE, 0)), ("collect-hold-null", "#collect", "shape", FRAME(7, 1, None, STORE, 0)),
        ("collect-cursor-alone", "#collect", "shape", FRAME(7, 1, 0, 0, 1)), ("collect-cursor-largest-alone", "#collect", "shape", FRAME(7, 1, 0, 0, LARGEST)), ("collect-store-null", "#collect", "shape", FRAME(7, 1, 0, None, 0)), ("collect-cursor-negative", "#collect", "shape", FRAME(7, 1, 0, STORE, -1)),
        ("collect-three-items", "#frames", "cbor-truncated", FRAME(7, 1, 0, STORE)), ("collect-five-items", "#frames", "cbor-trailing", FRAME(7, 1, 0, STORE, 0, 0)), ("collect-array", "#collect", "shape", FRAME(7, 1, [0, STORE, 0])),
        ("deliver-nothing", "#deliver", "shape", FRAME(9, 1)), ("deliver-counter-65536", "#sessions", "counter-exhausted", FRAME(9, 65536, good)), ("deliver-two-members", "#deliver", "shape", FRAME(9, 1, good[1:])), ("deliver-four-members", "#deliver", "shape", FRAME(9, 1, [*good, 0])),
        ("deliver-channel-15", "#deliver", "shape", FRAME(9, 1, [CHANNEL[:15], *good[1:]])), ("deliver-channel-text", "#deliver", "shape", FRAME(9, 1, ["acme", *good[1:]])), ("deliver-plane-2", "#deliver", "shape", FRAME(9, 1, [CHANNEL, 2, raw(DELTA)])), ("deliver-plane-without-channel", "#deliver", "shape", FRAME(9, 1, [None, 0, raw(DELTA)])),
        ("deliver-envelope-bytes", "#deliver", "shape", FRAME(9, 1, [CHANNEL, 0, DELTA.untagged])), ("deliver-envelope-null", "#deliver", "shape", FRAME(9, 1, [CHANNEL, 0, None])), ("deliver-envelope-tagged", "#envelope", "cbor-tag", FRAME(9, 1, [CHANNEL, 0, Raw(DELTA.tagged)])), ("deliver-second-wrong", "#deliver", "shape", FRAME(9, 1, good, 5)), ("deliver-flat", "#deliver", "shape", FRAME(9, 1, *good)),
        ("deliver-bodies-nothing", "#deliver", "shape", FRAME(10, 1, CHANNEL, 0)), ("deliver-bodies-channel-null", "#deliver", "shape", FRAME(10, 1, None, 0, CHUNK)), ("deliver-bodies-plane-null", "#deliver", "shape", FRAME(10, 1, CHANNEL, None, CHUNK)), ("deliver-bodies-plane-2", "#deliver", "shape", FRAME(10, 1, CHANNEL, 2, CHUNK)),
        ("deliver-bodies-empty-chunk", "#bodies", "shape", FRAME(10, 1, CHANNEL, 0, [CHUNK[0], len(BODY), 0, b""])), ("deliver-bodies-beyond-size", "#bodies", "shape", FRAME(10, 1, CHANNEL, 0, [CHUNK[0], len(BODY), 1, BODY])), ("deliver-bodies-size-65537", "#bodies", "section-oversize", FRAME(10, 1, CHANNEL, 0, [CHUNK[0], 65537, 0, BODY])),
        ("fetch-bodies-nothing", "#fetch", "shape", FRAME(11, 1, CHANNEL, 1)), ("fetch-bodies-17", "#fetch", "shape", FRAME(11, 1, CHANNEL, 1, *[WANT] * 17)), ("fetch-bodies-channel-17", "#deliver", "shape", FRAME(11, 1, CHANNEL + b"x", 1, WANT)), ("fetch-bodies-plane-2", "#deliver", "shape", FRAME(11, 1, CHANNEL, 2, WANT)), ("fetch-bodies-no-offset", "#fetch", "shape", FRAME(11, 1, CHANNEL, 1, WANT[:1])),
        ("deliver-enrolled-null-knock", "#knocks", "shape", FRAME(12, 1, None, ENROLLED)), ("deliver-enrolled-bare", "#knocks", "shape", FRAME(12, 1, KNOCK, raw(OTHERS["enrol-answer"]))), ("deliver-enrolled-no-frame", "#frames", "cbor-truncated", FRAME(12, 1, KNOCK)), ("deliver-enrolled-two-frames", "#frames", "cbor-trailing", FRAME(12, 1, KNOCK, ENROLLED, ENROLLED)),
        ("collect-long-store", "#cbor-profile", "cbor-not-shortest", FRAME(7, body=sequence(1, 0) + b"\x18\x05\0")), ("deliver-indefinite", "#cbor-profile", "cbor-indefinite", FRAME(9, body=b"\x01\x9f" + encode(good)[1:] + b"\xff")),
    )


def bad_down():
    """Returns wrong frames that go down."""
    good = entry(1001, REPORT)
    return (
        ("collected-counter-0", "#sessions", "counter-exhausted", FRAME(8, 0, STORE)), ("collected-store-0", "#collect", "shape", FRAME(8, 1, 0)), ("collected-store-null", "#collect", "shape", FRAME(8, 1, None)), ("collected-no-store", "#frames", "cbor-truncated", FRAME(8, 1)), ("collected-only-hints", "#frames", "cbor-truncated", FRAME(8, 1, {1: 5})),
        ("collected-empty-hints", "#answer", "shape", FRAME(8, 1, {}, STORE)), ("collected-hint-9", "#answer", "shape", FRAME(8, 1, {9: 1}, STORE)), ("collected-hints-late", "#collect", "shape", FRAME(8, 1, STORE, {1: 5})), ("collected-arrival-0", "#collect", "shape", FRAME(8, 1, STORE, entry(0, REPORT))),
        ("collected-arrival-twice", "#collect", "shape", FRAME(8, 1, STORE, good, good)), ("collected-arrival-descending", "#collect", "shape", FRAME(8, 1, STORE, good, entry(1000, ACTUAL))), ("collected-knock-descending", "#collect", "shape", FRAME(8, 1, STORE, good, [7, KNOCK, ENROL])), ("collected-two-members", "#collect", "shape", FRAME(8, 1, STORE, [1001, KNOCK])),
        ("collected-five-members", "#collect", "shape", FRAME(8, 1, STORE, [*good, 0])), ("collected-knock-text", "#collect", "shape", FRAME(8, 1, STORE, [1, KNOCK, "frame"])), ("collected-knock-null", "#collect", "shape", FRAME(8, 1, STORE, [1, None, ENROL])), ("collected-arrival-null", "#collect", "shape", FRAME(8, 1, STORE, [None, *good[1:]])), ("collected-channel-15", "#collect", "shape", FRAME(8, 1, STORE, entry(1, REPORT, CHANNEL[:15]))),
        ("collected-plane-without-channel", "#collect", "shape", FRAME(8, 1, STORE, entry(1, REPORT, None))), ("collected-envelope-tagged", "#envelope", "cbor-tag", FRAME(8, 1, STORE, [1, CHANNEL, 1, Raw(REPORT.tagged)])), ("collected-envelope-bytes", "#collect", "shape", FRAME(8, 1, STORE, [1, CHANNEL, 1, REPORT.untagged])), ("collected-integer", "#collect", "shape", FRAME(8, 1, STORE, 5)),
        ("answer-snapshots-wanted-empty", "#deliver", "shape", FRAME(1, 1, {7: []})), ("answer-snapshots-wanted-65", "#deliver", "shape", FRAME(1, 1, {7: [[bytes(15) + bytes([index]), 0] for index in range(65)]})), ("answer-snapshots-wanted-twice", "#deliver", "shape", FRAME(1, 1, {7: [PLACE, PLACE]})), ("answer-snapshots-wanted-descending", "#deliver", "shape", FRAME(1, 1, {7: [[CHANNEL, 1], PLACE]})),
        ("answer-snapshots-wanted-plane-2", "#deliver", "shape", FRAME(1, 1, {7: [[CHANNEL, 2]]})), ("answer-snapshots-wanted-null-plane", "#deliver", "shape", FRAME(1, 1, {7: [[CHANNEL, None]]})), ("answer-snapshots-wanted-bare", "#deliver", "shape", FRAME(1, 1, {7: PLACE})), ("answer-snapshots-wanted-channel-8", "#deliver", "shape", FRAME(1, 1, {7: [[CHANNEL[:8], 0]]})),
        ("answer-bodies-wanted-empty", "#deliver", "shape", FRAME(1, 1, {8: []})), ("answer-bodies-wanted-17", "#deliver", "shape", FRAME(1, 1, {8: [BODY_WANTED] * 17})), ("answer-bodies-wanted-no-offset", "#deliver", "shape", FRAME(1, 1, {8: [BODY_WANTED[:3]]})), ("answer-bodies-wanted-no-plane", "#deliver", "shape", FRAME(1, 1, {8: [[CHANNEL, None, *WANT]]})), ("answer-bodies-wanted-short-digest", "#deliver", "shape", FRAME(1, 1, {8: [[CHANNEL, 0, WANT[0][:31], 0]]})), ("answer-hint-9", "#answer", "shape", FRAME(1, 1, {9: [PLACE]})),
        ("collected-cut", "#cbor-profile", "cbor-truncated", FRAME(8, body=sequence(1, STORE) + encode(good)[:-1])), ("collected-unsorted-hints", "#cbor-profile", "cbor-unsorted-key", FRAME(8, body=b"\x01\xa2\x02\x01\x01\x01" + encode(STORE))),
    )


def build():
    """Returns the two files."""
    valid = Collection("05-frames/relays-valid.json", "frame.parse", "frames of writer sessions that parse; the tags verify under the keys of 06-sessions")
    for direction, rows in (("up", frames_up()), ("down", frames_down())):
        for name, spec, frame, comment in rows:
            valid.valid(f"frame-{name}", spec, comment, [direction, "relay"], input=frame, direction=direction, type=frame[0], bytes=len(frame))
    invalid = Collection("05-frames/relays-invalid.json", "frame.parse", "frames of writer sessions that are refused, one failure each")
    for direction, rows, others in (("up", frames_up(), ("down", "file")), ("down", frames_down(), ("up", "file"))):
        seen = {1}
        for name, _, frame, _ in rows:
            for wrong in others if frame[0] not in seen else ():
                invalid.invalid(f"frame-{name}-sent-{wrong}", "frame-direction", "#frames", f"does not travel {wrong}", [wrong, "relay"], input=frame, direction=wrong)
            seen.add(frame[0])
    for direction, rows in (("up", bad_up()), ("down", bad_down())):
        for name, spec, error, frame in rows:
            invalid.invalid(f"frame-{name}", error, spec, "a field breaks its rule", [direction, "relay"], input=frame, direction=direction)
    return [valid, invalid]
