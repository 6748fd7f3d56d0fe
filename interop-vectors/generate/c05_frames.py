"""05-frames: every frame type, its direction, its form and its limits. Tags are right, keys as in 06."""

from . import envelope as e
from .c03_lives import evidences, heartbeats
from .c03_valid import STATE, others, reports
from .collection import Collection
from .encoding import Raw, encode, sequence
from .hashing import sha256
from .keys import blob
from .session import CHANNEL, TOKEN, Session, challenge_frame, enrol_mac, item, plain, raw

SESSION = Session()
HEAD = (e.EPOCH, e.SEQ)
DELTA = e.delta({e.PATH: "hall-B"})
SNAPSHOT = e.snapshot(STATE)
REPORT = reports()[0][2]
OTHERS = {name: message for name, _, message in others()}
REQUEST = OTHERS["enrol-request"]
BODY = e.section_bodies(STATE)["net"]
CHUNK = [sha256(BODY), len(BODY), 0, BODY]
WANT = [sha256(BODY), 0]
LIVES = {name: message for name, _, message in (*heartbeats(), *evidences())}
ACTUAL = e.actual(e.snapshot, STATE)


def frames_up():
    """Returns honest frames that go up."""
    frame = SESSION.frame
    return (
        ("poll-one-plane", frame(0, 300, 25, 1, 7, *HEAD), "the poll of the byte budget is alike"),
        ("poll-two-planes", frame(0, 300, 25, 1, 7, *HEAD, e.EPOCH, 3), "with the head of an actual plane"),
        ("poll-nothing-stored", frame(0, 1, 0, 1, None, 0, 0), "no revision, no report outstanding"),
        ("poll-acked-nothing", frame(0, 2, 0, 1, 0, 0, 0), "a report is outstanding, none is acknowledged"),
        ("poll-longest-hold", frame(0, 3, 300, 1, None, *HEAD), "300 s"),
        ("poll-receipt", frame(0, 4, 25, 1, None, *HEAD, [77, 5]), "names the receipt that the session gave"),
        ("poll-two-planes-receipt", frame(0, 5, 25, 1, 7, *HEAD, e.EPOCH, 3, [2**64 - 1, 2**64 - 1]), "behind the head of an actual plane"),
        ("poll-largest-counter", frame(0, 65535, 0, 1, None, *HEAD), "65535"),
        ("stream-usual", frame(13, 6, 15000, 80, 0, 1, 7, *HEAD), "an answer each 15 s"), ("stream-longest", frame(13, 6, 60000, 1024, 4096, 1, None, 0, 0), "the most of everything"), ("stream-shortest", frame(13, 6, 5000, 9, 0, 1, None, *HEAD), "no probe any more"),
        ("stream-probe", frame(13, 6, 500, 4, 1024, 1, None, *HEAD), "a probe"), ("stream-probe-most", frame(13, 6, 250, 8, 16384, 1, None, *HEAD), "the shortest interval, the most bytes"),
        ("stream-two-planes-receipt", frame(13, 65535, 15000, 80, 512, 1, 7, *HEAD, e.EPOCH, 3, [77, 5]), "all that a poll may say"),
        ("post-report", frame(2, 4, item(REPORT)), "one report"), ("post-two", frame(2, 5, item(REPORT), item(REPORT)), "two items"),
        ("need-nothing", frame(3, 6, 0, 0, 0), "holds nothing"), ("need-head", frame(3, 7, 0, *HEAD), "holds a head"),
        ("fetch-one", frame(4, 8, 0, WANT), "one body"), ("fetch-sixteen", frame(4, 9, 0, *[WANT] * 16), "the most"),
        ("fetch-offset", frame(4, 10, 0, [WANT[0], 32768]), "from an offset"),
        ("enrol", plain(16, TOKEN, enrol_mac(REQUEST), raw(REQUEST)), "a request with its mac"),
        ("post-actual", frame(2, 4, item(ACTUAL)), "a snapshot of actual"), ("post-lives", frame(2, 4, item(LIVES["heartbeat-of-device"]), item(LIVES["evidence-writer-behind"]), item(REPORT)), "a heartbeat, evidence about desired, a report"),
        ("put-one", frame(6, 4, 1, CHUNK), "one whole body of actual"), ("put-desired", frame(6, 4, 0, CHUNK), "a body of desired, for evidence"), ("put-two", frame(6, 65535, 1, [CHUNK[0], len(BODY), 0, BODY[:5]], [CHUNK[0], len(BODY), 5, BODY[5:]]), "a body in two pieces"),
        ("put-largest-chunk", frame(6, 4, 1, [blob("large body", 32), 65536, 32768, bytes(32768)]), "32768 bytes"),
        ("need-actual", frame(3, 7, 1, *HEAD), "of actual"), ("fetch-actual", frame(4, 8, 1, WANT), "a body of actual"),
        ("ask", plain(18, 1), "version 1"), ("ask-with-bundle", plain(18, 1, 7), "the bundle that the device holds"), ("ask-first-bundle", plain(18, 1, 1), "bundle 1"), ("ask-largest-bundle", plain(18, 1, 2**64 - 1), "2^64-1"), ("hello", plain(20, CHANNEL, raw(SESSION.hello())), "a hello"),
    )


def frames_down():
    """Returns honest frames that go down."""
    frame = SESSION.frame
    hints = {1: 1000, 2: 60, 3: "https://box.example/", 4: [[0, 52], [3, 40000]]}
    return (
        ("answer-idle", frame(1, 300), "nothing new"), ("answer-delta", frame(1, 300, item(DELTA)), "one item"),
        ("answer-hints", frame(1, 300, hints), "every hint, an unknown reject code among them"), ("answer-hint-and-item", frame(1, 300, {1: 0}, item(DELTA)), "a hint and an item"),
        ("answer-many", frame(1, 300, item(OTHERS["bundle-second"]), item(SNAPSHOT), item(DELTA), item(OTHERS["report-ack"])), "all that is collected"),
        ("answer-wanted", frame(1, 300, {5: [WANT]}), "one body to put"), ("answer-wanted-sixteen", frame(1, 300, {5: [[WANT[0], offset] for offset in range(16)]}), "the most"), ("answer-wanted-offset", frame(1, 300, {5: [[WANT[0], 2**64 - 1]]}), "an offset is judged by who has the body"),
        ("answer-need-desired", frame(1, 300, {6: [0]}), "a snapshot of desired"), ("answer-need-actual", frame(1, 300, {6: [1]}), "a snapshot of actual"), ("answer-need-both", frame(1, 300, {6: [0, 1]}), "of both planes, ascending"),
        ("answer-all-hints", frame(1, 300, {**hints, 5: [WANT], 6: [0, 1]}, item(DELTA)), "hints 1 to 6"),
        *((f"answer-{name}", frame(1, 300, {4: [[0, code]]}), f"the first item needs a snapshot: {name}") for name, code in (("nothing-stored", 60), ("epoch-needs-snapshot", 63), ("base-older", 67), ("base-newer", 68))),
        ("answer-need-and-refusals", frame(1, 300, {4: [[0, 60], [2, 64], [3, 66]], 6: [1]}), "three of four items are refused"),
        ("answer-lives", frame(1, 300, item(LIVES["heartbeat-echo"]), item(LIVES["evidence-of-controller"]), item(OTHERS["enrol-answer"])), "a heartbeat, evidence about actual, and the answer about a next key"),
        ("answer-receipt", frame(1, 300, item(e.receipt(LIVES["evidence-writer-behind"].message_id, 118))), "the mailbox put evidence of this device aside"),
        ("stream-answer-idle", frame(15, 6, 0, 0, b""), "the first, nothing new"), ("stream-answer-delta", frame(15, 6, 1, 14999, b"", item(DELTA)), "one item"), ("stream-answer-last", frame(15, 6, 1023, 2**64 - 1, b""), "the largest index and age"),
        ("stream-answer-padded", frame(15, 6, 3, 1500, bytes(1000)), "padding"), ("stream-answer-most-padding", frame(15, 6, 3, 1500, bytes(16384)), "the most"), ("stream-answer-padding-of-anything", frame(15, 6, 3, 1500, b"\xf6" * 250, item(DELTA)), "the padding means nothing"), ("stream-answer-hints-and-item", frame(15, 6, 2, 30000, bytes(9), {1: 0, 6: [1]}, item(DELTA)), "padding, hints, an item"),
        ("bodies-one", frame(5, 8, CHUNK), "one whole body"), ("bodies-none", frame(5, 8), "no digest is held"), ("bodies-middle", frame(5, 8, [CHUNK[0], len(BODY), 1, BODY[1:3]]), "a part"),
        ("bodies-largest-chunk", frame(5, 8, [blob("large body", 32), 65536, 32768, bytes(32768)]), "32768 bytes"),
        ("enrolled", plain(17, [raw(OTHERS["bundle-first"]), raw(OTHERS["bundle-second"])], raw(OTHERS["enrol-answer"])), "two bundles and the answer"),
        ("challenge", challenge_frame(SESSION), "a challenge"), ("welcome", plain(21, raw(SESSION.welcome())), "a welcome"),
        ("refused", plain(22, 114), "overloaded"), ("refused-retry", plain(22, 113, 60000), "quota, again in a minute"), ("refused-unknown-code", plain(22, 60000), "an unknown reason"),
    )


def frames_file():
    """Returns honest frames of a file."""
    return (
        ("posted-delta", plain(23, CHANNEL, 0, Raw(DELTA.tagged)), "the posted frame of the byte budget"),
        ("posted-report", plain(23, CHANNEL, 1, Raw(REPORT.tagged)), "plane actual"),
        *((f"posted-{message.kind}-{message.role}", plain(23, CHANNEL, message.plane, Raw(message.tagged)), f"kind {message.kind} of the {message.role}") for message in (
            SNAPSHOT, ACTUAL, OTHERS["report-ack"], LIVES["heartbeat-echo"], LIVES["heartbeat-of-device"], LIVES["evidence-writer-behind"], LIVES["evidence-of-controller"], OTHERS["enrol-answer"],
        )),
        ("filed-body", plain(14, CHANNEL, 0, CHUNK), "a whole body of desired"), ("filed-body-actual", plain(14, CHANNEL, 1, [CHUNK[0], len(BODY), 1, BODY[1:3]]), "a piece of a body of actual"),
        ("filed-body-largest", plain(14, CHANNEL, 0, [blob("large body", 32), 65536, 32768, bytes(32768)]), "32768 bytes"),
        ("filed-enrol", plain(16, TOKEN, enrol_mac(REQUEST), raw(REQUEST)), "an enrolment carried by hand"),
        ("filed-enrolled", plain(17, [raw(OTHERS["bundle-first"])], raw(OTHERS["enrol-answer"])), "its answer"),
        ("posted-bundle", plain(23, CHANNEL, None, Raw(OTHERS["bundle-first"].tagged)), "no plane"),
    )


def valid():
    """Returns the file of honest frames."""
    file = Collection("05-frames/valid.json", "frame.parse", "frames that parse; the tags verify under the keys of 06-sessions")
    for direction, rows in (("up", frames_up()), ("down", frames_down()), ("file", frames_file())):
        for name, frame, comment in rows:
            file.valid(f"frame-{name}", "#frames", comment, [direction], input=frame, direction=direction, type=frame[0], bytes=len(frame))
    return file


def directions(file):
    """Adds each type in the directions in which it does not travel."""
    rows = (("up", frames_up(), ("down", "file")), ("down", frames_down(), ("up", "file")), ("file", frames_file(), ("up", "down")))
    for right, frames, others_ways in rows:
        seen = set()
        for name, frame, _ in frames:
            # Enrolments travel as frames and in files.
            wrong_ways = [way for way in others_ways if not (frame[0] in (16, 17) and (way == "file" or right == "file"))]
            for wrong in wrong_ways if frame[0] not in seen else ():
                file.invalid(f"frame-{name}-sent-{wrong}", "frame-direction", "#frames", f"does not travel {wrong}", [wrong], input=frame, direction=wrong)
            seen.add(frame[0])
    for number in (24, 31):
        file.invalid(f"frame-type-{number}-filed", "frame-unknown", "#file-binding", "no such type", ["type"], input=plain(number, CHANNEL, 0, CHUNK), direction="file")
    for number in (24, 31, 128, 255):
        file.invalid(f"frame-type-{number}", "frame-unknown", "#frames", "no such type", ["type"], input=plain(number, 1), direction="up")


def bodies_up():
    """Returns wrong frames that go up."""
    frame, h = SESSION.frame, HEAD
    return (
        ("poll-counter-0", "counter-exhausted", frame(0, 0, 0, 1, None, *h)), ("poll-counter-65536", "counter-exhausted", frame(0, 65536, 0, 1, None, *h)),
        ("post-counter-largest", "counter-exhausted", frame(2, 2**64 - 1, item(REPORT))), ("need-counter-0", "counter-exhausted", frame(3, 0, 0, *h)),
        ("poll-hold-301", "hold-range", frame(0, 1, 301, 1, None, *h)), ("poll-hold-largest", "hold-range", frame(0, 1, 2**64 - 1, 1, None, *h)),
        ("poll-hold-65536", "hold-range", frame(0, 1, 65536, 1, None, *h)), ("poll-counter-null", "shape", frame(0, None, 0, 1, None, *h)),
        ("poll-hold-text", "shape", frame(0, 1, "25", 1, None, *h)), ("poll-acked-text", "shape", frame(0, 1, 25, 1, "7", *h)), ("poll-epoch-null", "shape", frame(0, 1, 25, 1, 7, None, 1)),
        ("poll-negative-seq", "shape", frame(0, 1, 25, 1, 7, 1, -1)), ("poll-array-body", "shape", frame(0, [1, 0, 1, None, 1, 1])), ("poll-bundle-null", "shape", frame(0, 1, 0, None, None, *h)),
        ("stream-counter-0", "counter-exhausted", frame(13, 0, 15000, 40, 0, 1, None, *h)), ("stream-counter-65536", "counter-exhausted", frame(13, 65536, 15000, 40, 0, 1, None, *h)),
        *((f"stream-{name}", "shape", frame(13, 1, interval, frames, pad, 1, None, *h)) for name, interval, frames, pad in (
            ("interval-249", 249, 4, 0), ("interval-0", 0, 4, 0), ("interval-60001", 60001, 40, 0), ("interval-65536", 65536, 40, 0), ("interval-text", "500", 4, 0), ("frames-0", 15000, 0, 0), ("frames-1025", 15000, 1025, 0), ("frames-null", 15000, None, 0),
            ("pad-16385", 500, 4, 16385), ("pad-largest", 500, 4, 2**64 - 1), ("pad-negative", 500, 4, -1), ("nine-interval-4999", 4999, 9, 0), ("nine-pad-4097", 15000, 9, 4097), ("most-probing", 250, 1024, 16384),
        )),
        ("stream-epoch-alone", "shape", frame(13, 1, 15000, 40, 0, 1, None, 5, 0)), ("stream-acked-text", "shape", frame(13, 1, 15000, 40, 0, 1, "7", *h)), ("stream-receipt-null", "shape", frame(13, 1, 15000, 40, 0, 1, None, *h, None)), ("stream-receipt-number-0", "shape", frame(13, 1, 15000, 40, 0, 1, None, *h, [5, 0])),
        ("post-item-not-array", "shape", frame(2, 1, {})), ("post-item-three-fields", "shape", frame(2, 1, [*item(REPORT), 0])), ("post-plane-2", "shape", frame(2, 1, [2, raw(REPORT)])),
        ("post-envelope-bytes", "shape", frame(2, 1, [1, REPORT.untagged])), ("post-envelope-tagged", "cbor-tag", frame(2, 1, [1, Raw(REPORT.tagged)])),
        ("need-plane-2", "shape", frame(3, 1, 2, *h)), ("need-plane-null", "shape", frame(3, 1, None, *h)), ("fetch-plane-2", "shape", frame(4, 1, 2, WANT)),
        ("fetch-17", "shape", frame(4, 1, 0, *[WANT] * 17)), ("fetch-short-digest", "shape", frame(4, 1, 0, [bytes(31), 0])), ("fetch-without-offset", "shape", frame(4, 1, 0, [bytes(32)])),
        ("fetch-negative-offset", "shape", frame(4, 1, 0, [bytes(32), -1])), ("enrol-token-7", "shape", plain(16, bytes(7), enrol_mac(REQUEST), raw(REQUEST))),
        ("enrol-mac-8", "shape", plain(16, TOKEN, enrol_mac(REQUEST)[:8], raw(REQUEST))), ("enrol-request-tagged", "cbor-tag", plain(16, TOKEN, enrol_mac(REQUEST), Raw(REQUEST.tagged))),
        ("put-counter-0", "counter-exhausted", frame(6, 0, 1, CHUNK)), ("put-counter-65536", "counter-exhausted", frame(6, 65536, 1, CHUNK)), ("put-plane-2", "shape", frame(6, 1, 2, CHUNK)), ("put-plane-null", "shape", frame(6, 1, None, CHUNK)),
        ("put-short-digest", "shape", frame(6, 1, 1, [CHUNK[0][:31], *CHUNK[1:]])), ("put-empty-chunk", "shape", frame(6, 1, 1, [CHUNK[0], len(BODY), 0, b""])), ("put-large-chunk", "shape", frame(6, 1, 1, [CHUNK[0], 65536, 0, bytes(32769)])),
        ("put-beyond-size", "shape", frame(6, 1, 1, [CHUNK[0], len(BODY), 1, BODY])), ("put-offset-largest", "shape", frame(6, 1, 1, [CHUNK[0], len(BODY), 2**64 - 1, BODY])), ("put-size-65537", "section-oversize", frame(6, 1, 1, [CHUNK[0], 65537, 0, BODY])),
        ("put-three-fields", "shape", frame(6, 1, 1, CHUNK[:3])), ("put-text", "shape", frame(6, 1, 1, [CHUNK[0], len(BODY), 0, "text"])), ("put-second-chunk-null", "shape", frame(6, 1, 1, CHUNK, None)), ("put-chunks-wrapped", "shape", frame(6, 1, 1, [CHUNK])),
        ("poll-desired-epoch-alone", "shape", frame(0, 1, 25, 1, 7, 5, 0)), ("poll-desired-seq-alone", "shape", frame(0, 1, 25, 1, 7, 0, 5)), ("poll-actual-epoch-alone", "shape", frame(0, 1, 25, 1, 7, *h, 5, 0)), ("poll-actual-seq-alone", "shape", frame(0, 1, 25, 1, 7, *h, 0, 5)),
        ("poll-receipt-store-0", "shape", frame(0, 1, 25, 1, 7, *h, [0, 5])), ("poll-receipt-number-0", "shape", frame(0, 1, 25, 1, 7, *h, [5, 0])), ("poll-receipt-one-member", "shape", frame(0, 1, 25, 1, 7, *h, [5])), ("poll-receipt-three-members", "shape", frame(0, 1, 25, 1, 7, *h, [5, 5, 5])), ("poll-receipt-text", "shape", frame(0, 1, 25, 1, 7, *h, [5, "5"])), ("poll-receipt-null", "shape", frame(0, 1, 25, 1, 7, *h, None)),
        ("need-epoch-alone", "shape", frame(3, 1, 1, 5, 0)), ("need-seq-alone", "shape", frame(3, 1, 0, 0, 5)),
        ("ask-bundle-0", "shape", plain(18, 1, 0)), ("ask-bundle-null", "shape", plain(18, 1, None)), ("ask-bundle-text", "shape", plain(18, 1, "1")), ("ask-bundle-negative", "shape", plain(18, 1, -1)), ("ask-version-2-with-bundle", "shape", plain(18, 2, 7)),
        ("ask-version-2", "shape", plain(18, 2)), ("ask-text", "shape", plain(18, "1")), ("hello-channel-15", "shape", plain(20, bytes(15), raw(SESSION.hello()))),
        ("hello-envelope-tagged", "cbor-tag", plain(20, CHANNEL, Raw(SESSION.hello().tagged))), ("hello-envelope-null", "shape", plain(20, CHANNEL, None)),
    )


def bodies_down():
    """Returns wrong frames that go down."""
    frame = SESSION.frame
    digest, size, offset, content = CHUNK
    return (
        ("answer-counter-0", "counter-exhausted", frame(1, 0)), ("bodies-counter-65536", "counter-exhausted", frame(5, 65536)),
        ("stream-answer-counter-0", "counter-exhausted", frame(15, 0, 0, 0, b"")), ("stream-answer-index-1024", "shape", frame(15, 1, 1024, 0, b"")), ("stream-answer-index-largest", "shape", frame(15, 1, 2**64 - 1, 0, b"")), ("stream-answer-index-null", "shape", frame(15, 1, None, 0, b"")),
        ("stream-answer-age-negative", "shape", frame(15, 1, 0, -1, b"")), ("stream-answer-age-text", "shape", frame(15, 1, 0, "5", b"")), ("stream-answer-padding-text", "shape", frame(15, 1, 0, 0, "")), ("stream-answer-padding-null", "shape", frame(15, 1, 0, 0, None)), ("stream-answer-padding-16385", "shape", frame(15, 1, 0, 0, bytes(16385))),
        ("stream-answer-empty-hints", "shape", frame(15, 1, 0, 0, b"", {})), ("stream-answer-hints-twice", "shape", frame(15, 1, 0, 0, b"", {1: 0}, {1: 0})), ("stream-answer-item-null", "shape", frame(15, 1, 0, 0, b"", None)), ("stream-answer-without-padding", "shape", frame(15, 1, 0, 0, item(DELTA))),
        ("answer-empty-hints", "shape", frame(1, 1, {})), ("answer-hint-5", "shape", frame(1, 1, {5: 1})), ("answer-hint-0", "shape", frame(1, 1, {0: 1})),
        ("answer-hint-7", "shape", frame(1, 1, {7: [1]})), ("answer-wanted-empty", "shape", frame(1, 1, {5: []})), ("answer-wanted-17", "shape", frame(1, 1, {5: [WANT] * 17})), ("answer-wanted-short-digest", "shape", frame(1, 1, {5: [[bytes(31), 0]]})),
        ("answer-wanted-no-offset", "shape", frame(1, 1, {5: [[WANT[0]]]})), ("answer-wanted-negative-offset", "shape", frame(1, 1, {5: [[WANT[0], -1]]})), ("answer-wanted-bare", "shape", frame(1, 1, {5: WANT})), ("answer-wanted-with-size", "shape", frame(1, 1, {5: [[*WANT, 1]]})),
        ("answer-need-empty", "shape", frame(1, 1, {6: []})), ("answer-need-descending", "shape", frame(1, 1, {6: [1, 0]})), ("answer-need-twice", "shape", frame(1, 1, {6: [1, 1]})), ("answer-need-plane-2", "shape", frame(1, 1, {6: [2]})),
        ("answer-need-null", "shape", frame(1, 1, {6: [None]})), ("answer-need-bare", "shape", frame(1, 1, {6: 1})), ("answer-need-three", "shape", frame(1, 1, {6: [0, 1, 1]})), ("answer-refused-code-0", "shape", frame(1, 1, {4: [[0, 0]]})),
        ("answer-refused-code-65536", "shape", frame(1, 1, {4: [[0, 65536]]})), ("answer-move-empty", "shape", frame(1, 1, {3: ""})), ("answer-move-513", "shape", frame(1, 1, {3: "https://" + "b" * 505})),
        ("answer-hints-last", "shape", frame(1, 1, item(DELTA), {1: 1})), ("answer-hints-twice", "shape", frame(1, 1, {1: 1}, {2: 1})),
        ("answer-retry-text", "shape", frame(1, 1, {1: "1"})), ("answer-move-bytes", "shape", frame(1, 1, {3: b"https://box.example/"})),
        ("answer-refused-empty", "shape", frame(1, 1, {4: []})), ("answer-refused-short", "shape", frame(1, 1, {4: [[0]]})),
        ("answer-item-integer", "shape", frame(1, 1, 5)), ("answer-item-tagged", "cbor-tag", frame(1, 1, [0, Raw(DELTA.tagged)])),
        ("bodies-short-digest", "shape", frame(5, 1, [digest[:31], size, offset, content])), ("bodies-empty-chunk", "shape", frame(5, 1, [digest, size, 0, b""])),
        ("bodies-large-chunk", "shape", frame(5, 1, [digest, 65536, 0, bytes(32769)])), ("bodies-beyond-size", "shape", frame(5, 1, [digest, size, 1, content])),
        ("bodies-offset-largest", "shape", frame(5, 1, [digest, size, 2**64 - 1, content])), ("bodies-size-65537", "section-oversize", frame(5, 1, [digest, 65537, 0, content])),
        ("bodies-text", "shape", frame(5, 1, [digest, size, 0, "text"])), ("enrolled-no-bundle", "shape", plain(17, [], raw(OTHERS["enrol-answer"]))),
        ("enrolled-bundle-not-array", "shape", plain(17, raw(OTHERS["bundle-first"]), raw(OTHERS["enrol-answer"]))),
        ("challenge-15", "shape", plain(19, bytes(15), bytes(32), bytes(32))), ("challenge-ephemeral-31", "shape", plain(19, bytes(16), bytes(31), bytes(32))),
        ("challenge-thumbprint-8", "shape", plain(19, bytes(16), bytes(32), bytes(8))), ("welcome-null", "shape", plain(21, None)),
        ("welcome-tagged", "cbor-tag", plain(21, Raw(SESSION.welcome().tagged))), ("refused-negative", "shape", plain(22, -1)), ("refused-text", "shape", plain(22, "quota")),
        ("refused-retry-null", "shape", plain(22, 113, None)),
    )


def outer_forms(file):
    """Adds envelopes that have the outer form and nothing more, and such that have not even that."""
    frame = SESSION.frame
    header, payload, signature = DELTA.protected, DELTA.payload, DELTA.signature
    bare = [b"", {}, b"", b""]
    honest = (
        ("post-envelope-of-nothing", frame(2, 1, [0, bare]), "up", "four members of the right types"),
        ("answer-envelope-of-nothing", frame(1, 1, [0, bare]), "down", "four members of the right types"),
        ("answer-envelope-unprotected", frame(1, 1, [0, [header, {1: 1}, payload, signature]]), "down", "who verifies the envelope refuses what nobody signed"),
        ("answer-envelope-signature-63", frame(1, 1, [0, [header, {}, payload, signature[:63]]]), "down", "who verifies the envelope refuses the length"),
        ("welcome-of-nothing", plain(21, bare), "down", "four members of the right types"),
        ("posted-of-nothing", plain(23, CHANNEL, 0, Raw(b"\xd2" + encode(bare))), "file", "four members of the right types"),
    )
    for name, data, direction, comment in honest:
        file[0].valid(f"frame-{name}", "#frames", comment, [direction, "outer"], input=data, direction=direction, type=data[0], bytes=len(data))
    forms = (
        ("empty", [], "an empty array"), ("three", [header, {}, payload], "no signature"), ("five", [header, {}, payload, signature, 0], "one member more"),
        ("header-null", [None, {}, payload, signature], "null for the header"), ("header-map", [{1: -19}, {}, payload, signature], "the header is not wrapped"),
        ("unprotected-null", [header, None, payload, signature], "null for the map"), ("unprotected-array", [header, [], payload, signature], "an array for the map"),
        ("payload-null", [header, {}, None, signature], "a detached payload"), ("payload-text", [header, {}, "text", signature], "text for bytes"), ("signature-null", [header, {}, payload, None], "null for the signature"),
    )
    for name, form, comment in forms:
        file[1].invalid(f"frame-answer-envelope-{name}", "shape", "#frames", comment, ["down", "outer"], input=frame(1, 1, [0, form]), direction="down")
    three = [header, {}, payload]
    for name, data, direction in (
        ("post-second-envelope", frame(2, 1, item(REPORT), [1, three]), "up"), ("stream-answer-envelope", frame(15, 1, 0, 0, b"", [0, three]), "down"), ("enrol-request", plain(16, TOKEN, enrol_mac(REQUEST), three), "up"),
        ("enrolled-bundle", plain(17, [three], raw(OTHERS["enrol-answer"])), "down"), ("enrolled-answer", plain(17, [raw(OTHERS["bundle-first"])], three), "down"), ("hello", plain(20, CHANNEL, three), "up"), ("welcome", plain(21, three), "down"),
        ("posted", plain(23, CHANNEL, 0, Raw(b"\xd2" + encode(three))), "file"), ("deliver", frame(9, 1, [CHANNEL, 0, three]), "up"), ("collected", frame(8, 1, 77, [1, CHANNEL, 1, three]), "down"),
    ):
        file[1].invalid(f"frame-{name}-three-members", "shape", "#frames", "an envelope without a signature", [direction, "outer"], input=data, direction=direction)


def encodings(file):
    """Adds bodies outside the CBOR profile."""
    frame = SESSION.frame
    poll = sequence(1, 25, 1, None, *HEAD)
    rows = (
        ("counter-long", "cbor-not-shortest", frame(0, body=b"\x18\x01" + poll[1:]), "up"), ("poll-cut", "cbor-truncated", frame(0, body=poll[:-1]), "up"),
        ("poll-undefined", "cbor-simple", frame(0, body=sequence(1, 25, 1) + b"\xf7" + sequence(*HEAD)), "up"),
        ("answer-indefinite-hints", "cbor-indefinite", frame(1, body=b"\x01\xbf\x01\x01\xff"), "down"),
        ("answer-unsorted-hints", "cbor-unsorted-key", frame(1, body=b"\x01\xa2\x02\x01\x01\x01"), "down"),
        ("answer-duplicate-hint", "cbor-duplicate-key", frame(1, body=b"\x01\xa2\x01\x01\x01\x02"), "down"),
        ("answer-bad-utf8", "cbor-utf8", frame(1, body=b"\x01\xa1\x03\x61\xff"), "down"), ("answer-cut", "cbor-truncated", frame(1, body=b"\x01" + encode(item(DELTA))[:-1]), "down"),
        ("ask-long", "cbor-not-shortest", plain(18) + b"\x18\x01", "up"), ("refused-long", "cbor-not-shortest", plain(22) + b"\x19\x00\x72", "down"),
        ("challenge-cut", "cbor-truncated", challenge_frame(SESSION)[:-1], "down"), ("post-reserved", "cbor-reserved", frame(2, body=b"\x01\x1c"), "up"),
        ("ask-tagged", "cbor-tag", plain(18) + b"\xc1\x01", "up"),
    )
    for name, error, data, direction in rows:
        file.invalid(f"frame-{name}", error, "#frames", "outside the CBOR profile", [direction], input=data, direction=direction)
    cut, long = b"\x19\x01", b"\x18\x17"
    whole = (
        ("poll-hold-301-then-cut", "cbor-truncated", frame(0, body=sequence(1, 301) + cut), "up"), ("need-plane-2-then-long", "cbor-not-shortest", frame(3, body=sequence(1, 2) + long), "up"),
        ("poll-counter-null-then-cut", "cbor-truncated", frame(0, body=sequence(None, 25) + cut), "up"), ("answer-empty-hints-then-tag", "cbor-tag", frame(1, body=sequence(1, {}) + b"\xc1\x01"), "down"),
        ("poll-complete-then-cut", "cbor-truncated", frame(0, body=sequence(1, 25, 1, None, *HEAD, [5, 5]) + cut), "up"), ("refused-code-0-then-simple", "cbor-simple", plain(22, 0) + b"\xf7", "down"),
        ("ask-version-2-then-cut", "cbor-truncated", plain(18, 2) + cut, "up"), ("challenge-15-then-cut", "cbor-truncated", challenge_frame(SESSION)[:1] + sequence(bytes(15), bytes(32)) + b"\x58\x20", "down"),
        ("posted-channel-15-then-cut", "cbor-truncated", plain(23, bytes(15), 0, Raw(DELTA.tagged[:-1])), "file"), ("posted-untagged-then-cut", "cbor-truncated", plain(23, CHANNEL, 0, Raw(DELTA.untagged[:-1])), "file"),
        ("filed-body-channel-15-then-cut", "cbor-truncated", plain(14, bytes(15), 0) + encode(CHUNK)[:-1], "file"),
    )
    for name, error, data, direction in whole:
        file.invalid(f"frame-{name}", error, "#frames", "a body is in the profile to its end before an item is judged", [direction, "order"], input=data, direction=direction)
    for name, counter in (("0", 0), ("65536", 65536)):
        file.invalid(f"frame-poll-counter-{name}-then-cut", "counter-exhausted", "#frames", "a counter is judged before what stands behind it", ["up", "order"], input=frame(0, body=sequence(counter) + cut), direction="up")


def lengths(file):
    """Adds frames that are too short, too long, or hold too few or too many items."""
    frame = SESSION.frame
    rows = (
        ("empty", "shape", b"", "up", "no type byte"), ("type-only", "shape", b"\0", "up", "no session id and no tag"),
        ("without-tag", "shape", b"\0" + SESSION.session_id + bytes(7), "up", "seven bytes where the tag is"),
        ("answer-without-tag", "shape", b"\1" + SESSION.session_id, "down", "no tag"),
        ("no-counter", "cbor-truncated", frame(0), "up", "no item where the counter is"), ("ask-no-version", "cbor-truncated", plain(18), "up", "no item where the version is"),
        ("poll-five-items", "cbor-truncated", frame(0, 1, 25, 1, None, e.EPOCH), "up", "no desired seq"), ("need-three-items", "cbor-truncated", frame(3, 1, 0, e.EPOCH), "up", "no seq"),
        ("poll-seven-items", "cbor-truncated", frame(0, 1, 25, 1, None, *HEAD, e.EPOCH), "up", "no actual seq"),
        ("refused-no-code", "cbor-truncated", plain(22), "down", "no code"), ("hello-no-envelope", "cbor-truncated", plain(20, CHANNEL), "up", "no envelope"),
        ("poll-two-receipts", "cbor-trailing", frame(0, 1, 25, 1, None, *HEAD, [5, 5], [5, 5]), "up", "one item more"), ("poll-receipt-first", "cbor-trailing", frame(0, 1, 25, 1, None, *HEAD, [5, 5], *HEAD), "up", "the head of actual behind it"),
        ("poll-nine-items", "cbor-trailing", frame(0, 1, 25, 1, None, *HEAD, *HEAD, 0), "up", "one item more"), ("need-five-items", "cbor-trailing", frame(3, 1, 0, *HEAD, 0), "up", "one item more"),
        ("put-no-plane", "cbor-truncated", frame(6, 1), "up", "no plane"), ("posted-no-envelope", "cbor-truncated", plain(23, CHANNEL, 0), "file", "no envelope"), ("posted-tag-alone", "cbor-truncated", plain(23, CHANNEL, 0, Raw(b"\xd2")), "file", "no envelope"),
        ("ask-three-items", "cbor-trailing", plain(18, 1, 1, 1), "up", "one item more"), ("welcome-two-items", "cbor-trailing", plain(21, raw(SESSION.welcome()), 0), "down", "one item more"),
        ("refused-three-items", "cbor-trailing", plain(22, 113, 1, 1), "down", "one item more"), ("challenge-four-items", "cbor-trailing", challenge_frame(SESSION) + b"\0", "down", "one item more"),
        ("enrol-four-items", "cbor-trailing", plain(16, TOKEN, enrol_mac(REQUEST), raw(REQUEST), 0), "up", "one item more"),
    )
    for name, error, data, direction, comment in rows:
        file.invalid(f"frame-{name}", error, "#frames", comment, [direction, "decision"], input=data, direction=direction)
    file.invalid("frame-post-no-item", "shape", "#frames", "at least one item", ["up", "decision"], input=frame(2, 1), direction="up")
    file.invalid("frame-put-no-chunk", "shape", "#bodies", "at least one chunk", ["up", "decision"], input=frame(6, 1, 1), direction="up")
    file.invalid("frame-fetch-no-item", "shape", "#fetch", "at least one digest", ["up", "decision"], input=frame(4, 1, 0), direction="up")
    large = frame(5, 1, [blob("large body", 32), 65536, 0, bytes(32768)], [blob("large body", 32), 65536, 32768, bytes(49153 - 32768 - 104)])
    assert len(large) == 49153, len(large)
    file.invalid("frame-oversize", "oversize", "#frames", "49153 bytes", ["limit"], input=large, direction="down")


def invalid():
    """Returns the file of refused frames."""
    file = Collection("05-frames/invalid.json", "frame.parse", "frames that are refused, one failure each")
    directions(file)
    for direction, rows in (("up", bodies_up()), ("down", bodies_down())):
        for name, error, frame in rows:
            file.invalid(f"frame-{name}", error, "#frames", "a field breaks its rule", [direction], input=frame, direction=direction)
    for name, error, frame in (
        ("posted-channel-15", "shape", plain(23, bytes(15), 0, Raw(DELTA.tagged))), ("posted-plane-2", "shape", plain(23, CHANNEL, 2, Raw(DELTA.tagged))),
        ("posted-other-tag", "cbor-tag", plain(23, CHANNEL, 0, Raw(b"\xd1" + DELTA.untagged))), ("posted-tag-twice", "cbor-tag", plain(23, CHANNEL, 0, Raw(b"\xd2" + DELTA.tagged))),
        ("posted-trailing", "cbor-trailing", plain(23, CHANNEL, 0, Raw(DELTA.tagged), 0)),
        ("filed-body-channel-15", "shape", plain(14, bytes(15), 0, CHUNK)), ("filed-body-plane-null", "shape", plain(14, CHANNEL, None, CHUNK)), ("filed-body-plane-2", "shape", plain(14, CHANNEL, 2, CHUNK)), ("filed-body-two-chunks", "cbor-trailing", plain(14, CHANNEL, 0, CHUNK, CHUNK)),
        ("filed-body-no-chunk", "cbor-truncated", plain(14, CHANNEL, 0)), ("filed-body-empty-chunk", "shape", plain(14, CHANNEL, 0, [CHUNK[0], len(BODY), 0, b""])), ("filed-body-size-65537", "section-oversize", plain(14, CHANNEL, 0, [CHUNK[0], 65537, 0, BODY])),
        ("filed-body-beyond-size", "shape", plain(14, CHANNEL, 0, [CHUNK[0], len(BODY), 1, BODY])), ("filed-body-flat", "shape", plain(14, CHANNEL, 0, *CHUNK)),
        ("filed-enrol-tagged", "cbor-tag", plain(16, TOKEN, enrol_mac(REQUEST), Raw(REQUEST.tagged))), ("filed-enrolled-tagged", "cbor-tag", plain(17, [Raw(OTHERS["bundle-first"].tagged)], raw(OTHERS["enrol-answer"]))),
    ):
        file.invalid(f"frame-{name}", error, "#file-binding", "a field breaks its rule", ["file"], input=frame, direction="file")
    encodings(file)
    lengths(file)
    return file


def build():
    """Returns the two files."""
    files = [valid(), invalid()]
    outer_forms(files)
    return files
