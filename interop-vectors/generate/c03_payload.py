"""03-sign1: honestly signed envelopes whose payload breaks one rule."""

from . import envelope as e
from . import curve
from .c03_header import Refused
from .c03_valid import STATE
from .collection import Collection
from .encoding import encode
from .hashing import sha256
from .keys import SIGNERS, blob, cose_key

DIGEST = e.root_digest(STATE)[0]
HEAD = [e.EPOCH, e.SEQ]
KEY = SIGNERS["device-a"].cose
BAD_PATHS = (
    ("empty", ""), ("slash-first", "/a"), ("slash-last", "a/"), ("two-slashes", "a//b"), ("dot", "a/./b"), ("two-dots", "../a"),
    ("only-dots", ".."), ("capital", "A/b"), ("space", "a b"), ("umlaut", "stra\u00dfe"), ("nul", "a\u0000b"), ("too-long", "p" * 256),
    ("backslash", "a\\b"), ("star", "a/*"),
)


def delta_payloads(add):
    """Adds payloads of a delta."""
    def bad(name, error, comment, payload, flags=(), spec="#delta"):
        message = e.delta({"k": 1}, payload=payload if isinstance(payload, bytes) else encode(payload))
        add(f"delta-{name}", error, comment, message, ["payload", *flags], spec=spec)

    for name, path in BAD_PATHS:
        bad(f"path-{name}", "path-invalid", "a path that is none", [{path: 1}], spec="#paths")
    bad("removal-path-capital", "path-invalid", "a removal that is no path", [{"k": 1}, ["A"]], spec="#paths")
    for name, value in (
        ("array", [1]), ("empty-array", []), ("map", {"x": 1}), ("short-digest", [bytes(31), 1, "a/b"]), ("negative-size", [bytes(32), -1, "a/b"]),
        ("no-media-type", [bytes(32), 1]), ("empty-media-type", [bytes(32), 1, ""]), ("long-media-type", [bytes(32), 1, "a/" + "b" * 126]),
        ("digest-text", ["x" * 32, 1, "a/b"]), ("four-fields", [bytes(32), 1, "a/b", 0]),
    ):
        bad(f"value-{name}", "value-invalid", "neither scalar nor reference", [{"k": value}], spec="#values")
    bad("value-long-text", "value-oversize", "32769 bytes", [{"k": "x" * 32769}], ["limit"], "#values")
    bad("value-long-bytes", "value-oversize", "32769 bytes", [{"k": bytes(32769)}], ["limit"], "#values")
    bad("changes-nothing", "delta-empty", "no set and no removal", [{}])
    bad("removals-descending", "delta-order", '"b" before "a"', [{}, ["b", "a"]])
    bad("removals-twice", "delta-order", "the same removal twice", [{}, ["a", "a"]])
    bad("removals-by-letters", "delta-order", '"aa" before "z": the order of a plain string sort', [{}, ["aa", "z"]])
    bad("set-and-removed", "delta-conflict", "the same path in both", [{"k": 1}, ["k"]])
    bad("no-removal", "shape", "an empty list of removals", [{"k": 1}, []])
    bad("three-items", "shape", "one item more", [{"k": 1}, ["a"], 0])
    bad("no-items", "shape", "an empty array", [])
    bad("map-payload", "shape", "a map alone", {"k": 1})
    bad("integer-path", "shape", "an integer for a path", [{1: 1}])
    bad("removals-map", "shape", "a map of removals", [{"k": 1}, {"a": 1}])
    bad("removal-integer", "shape", "an integer for a path", [{"k": 1}, [1]])
    bad("empty-payload", "cbor-truncated", "no byte at all", b"")
    bad("trailing", "cbor-trailing", "one byte more", b"\x81\xa1\x61k\x01\x00", ["pitfall-13"])
    bad("unsorted-paths", "cbor-unsorted-key", "the order of a plain string sort", b"\x81\xa2\x62aa\x01\x61z\x01", ["pitfall-13"])
    bad("duplicate-path", "cbor-duplicate-key", "the same path twice", b"\x81\xa2\x61k\x01\x61k\x02")
    bad("long-integer", "cbor-not-shortest", "1 in two bytes", b"\x81\xa1\x61k\x18\x01", ["pitfall-13"])
    bad("undefined", "cbor-simple", "undefined is no tombstone", b"\x81\xa1\x61k\xf7")
    bad("nan", "cbor-float", "NaN", b"\x81\xa1\x61k\xf9\x7e\x00")
    bad("bignum", "cbor-tag", "an integer of arbitrary length", b"\x81\xa1\x61k\xc2\x42\x01\x00")
    bad("below-64-bit", "cbor-integer-range", "-2^63-1", b"\x81\xa1\x61k\x3b\x80\0\0\0\0\0\0\0")
    bad("indefinite-text", "cbor-indefinite", "chunked text", b"\x81\xa1\x61k\x7f\x61a\xff")
    bad("bad-utf8", "cbor-utf8", "a lone byte", b"\x81\xa1\x61k\x61\xff")


def snapshot_payloads(add):
    """Adds payloads of a snapshot."""
    def bad(name, error, comment, spec="#snapshot", **change):
        add(f"snapshot-{name}", error, comment, e.snapshot(STATE, **change), ["payload"], spec=spec)

    for name, section in (("capital", "Net"), ("two-segments", "net/wifi"), ("dots", ".."), ("dot", "."), ("space", "a b"), ("umlaut", "\u00fc")):
        table = {section: blob("body", 32)}
        payload = encode([table, []])
        bad(f"section-{name}", "section-invalid", "not empty and no segment", payload=payload, digest=sha256(encode(["postern-state", table])))
    table = {f"s{index}": bytes(32) for index in range(513)}
    bad("513-sections", "state-oversize", "one section too many", payload=encode([table, []]), digest=sha256(encode(["postern-state", table])))
    bad("other-digest", "digest-mismatch", "the header signs another root", digest=blob("another root", 32), spec="#digest")
    bad("digest-of-table", "digest-mismatch", "the hash of the table without its context", digest=sha256(encode(e.root_digest(STATE)[1])), spec="#digest")
    rows = (
        ("descending", [(9, 1), (5, 1)], "epochs descend"), ("epoch-twice", [(5, 1), (5, 2)], "the same epoch twice"),
        ("own-epoch", [(e.EPOCH, 1)], "the epoch of the snapshot itself"), ("later-epoch", [(e.EPOCH + 1, 1)], "an epoch that has not begun"),
        ("65-entries", [(index + 1, 1) for index in range(65)], "one entry too many"),
    )
    for name, entries, comment in rows:
        lineage = [(epoch, seq, blob("head", 32)) for epoch, seq in entries]
        add(f"snapshot-lineage-{name}", "lineage-invalid", comment, e.snapshot(STATE, lineage), ["payload"], spec="#lineage")
    for name, entry in (("epoch-0", (0, 1)), ("seq-0", (5, 0))):
        lineage = [(*entry, blob("head", 32))]
        add(f"snapshot-lineage-{name}", "lineage-invalid", "an entry starts at 1", e.snapshot(STATE, lineage), ["payload"], spec="#lineage")
    table = e.root_digest(STATE)[1]
    for name, payload, comment in (
        ("no-lineage", [table], "the lineage is missing"), ("three-items", [table, [], 0], "one item more"), ("table-array", [[], []], "an array for the table"),
        ("short-digest", [{"net": bytes(31)}, []], "31 bytes"), ("integer-section", [{1: bytes(32)}, []], "an integer for a name"),
        ("lineage-null", [table, None], "null for the lineage"), ("lineage-two-fields", [table, [[1, 1]]], "no digest"),
        ("lineage-short-digest", [table, [[1, 1, bytes(31)]]], "31 bytes"), ("map-payload", table, "the table alone"),
    ):
        bad(name, "shape", comment, payload=encode(payload))


def report_payloads(add):
    """Adds payloads of a report and of its acknowledgement."""
    def bad(name, error, comment, payload, digest=DIGEST):
        add(f"report-{name}", error, comment, e.report(payload, digest), ["payload"], spec="#report")

    epoch, seq = HEAD
    bad("accepted-above-received", "report-cursors", "accepted has the higher seq", [epoch, seq, epoch, seq + 1, epoch, seq])
    bad("applied-above-accepted", "report-cursors", "applied has the higher seq", [epoch, seq, epoch, seq - 2, epoch, seq - 1])
    bad("accepted-higher-epoch", "report-cursors", "the epoch counts first", [8, 500, 9, 1, 8, 400])
    bad("applied-higher-epoch", "report-cursors", "the epoch counts first", [9, 1, 8, 5, 9, 1])
    lists = {
        1: ("rejects", [0, epoch, seq, 52]), 2: ("results", [epoch, seq, 0, ""]), 3: ("superseded", [epoch, 1, 2]),
        4: ("lost", [1, 1]), 5: ("intents", ["intent/run", 1, 0]),
    }
    for label, (name, entry) in lists.items():
        bad(f"17-{name}", "report-list-oversize", "one entry too many", [*HEAD, {label: [entry] * 17}])
        bad(f"no-{name}", "shape", "an empty list", [*HEAD, {label: []}])
        bad(f"short-{name}", "shape", "a field is missing", [*HEAD, {label: [entry[:-1]]}])
    bad("digest-of-nothing", "digest-length", "a digest although nothing is applied", [0, 0])
    bad("digest-of-unapplied", "digest-length", "a digest although the applied cursor is none", [*HEAD, *HEAD, 0, 0])
    bad("without-digest", "digest-length", "no digest although a revision is applied", HEAD, b"")
    bad("long-output", "report-list-oversize", "513 bytes", [*HEAD, {2: [[epoch, seq, 0, "x" * 513]]}])
    for name, payload, comment in (
        ("long-form-all-equal", HEAD * 3, "three equal cursors in the long form"), ("no-lists", [*HEAD, {}], "an empty map of lists"),
        ("list-8", [*HEAD, {8: [[1]]}], "an unknown list"), ("list-0", [*HEAD, {0: [[1]]}], "an unknown list"), ("one-field", [epoch], "no seq"),
        ("four-fields", [*HEAD, *HEAD], "two cursors"), ("eight-fields", [*HEAD, *HEAD, epoch, 1, {1: [lists[1][1]]}, 0], "one item more"),
        ("map-payload", {1: 1}, "a map"), ("negative-seq", [epoch, -1], "a negative number"), ("text-lists", [*HEAD, "none"], "text for the lists"),
        ("status-text", [*HEAD, {2: [[epoch, 1, "0", ""]]}], "text for a status"), ("lost-list-4", [*HEAD, {4: [[4, 1]]}], "lost names lists 1, 2, 3 and 5"), ("lost-list-0", [*HEAD, {4: [[0, 1]]}], "lost names lists 1, 2, 3 and 5"),
    ):
        bad(name, "shape", comment, payload)
    lists_of_lives(bad)
    for name, payload in (("null", None), ("text", "x"), ("map", {}), ("one-item", [0])):
        ack = e.Envelope(SIGNERS["writer"], e.REPORT_ACK, (e.EPOCH, 7, 0), b"", encode(payload))
        add(f"report-ack-{name}", "shape", "the payload is an empty array", ack, ["payload"], spec="#report")


def lists_of_lives(bad):
    """Adds lists 3 to 7 in forms that they do not have."""
    ended = ["intent/run", 7, 5, [0, "done"]]
    for name, error, lists, comment in (
        ("superseded-backwards", "shape", {3: [[9, 5, 4]]}, "the last is below the first"), ("lost-count-0", "shape", {4: [[1, 0]]}, "a count is at least 1"),
        ("lost-descending", "shape", {4: [[2, 1], [1, 1]]}, "entries ascend by list"), ("lost-twice", "shape", {4: [[5, 1], [5, 2]]}, "one entry for a list"),
        ("lost-list-6", "shape", {4: [[6, 1]]}, "list 6 loses nothing"), ("lost-list-7", "shape", {4: [[7, 1]]}, "list 7 loses nothing"),
        ("intent-outcome-8", "shape", {5: [["intent/run", 7, 8]]}, "an unknown outcome"), ("intent-outcome-text", "shape", {5: [["intent/run", 7, "fired"]]}, "text for an outcome"),
        ("intent-end-missing", "shape", {5: [ended[:3]]}, "outcome 5 without its end"), ("intent-end-with-fired", "shape", {5: [["intent/run", 7, 1, [0, ""]]]}, "an end with outcome 1"),
        ("intent-end-with-interrupted", "shape", {5: [["intent/run", 7, 7, [0, ""]]]}, "an end with outcome 7"), ("intent-empty", "shape", {5: [[]]}, "no member at all"), ("intent-end-null", "shape", {5: [["intent/run", 7, 5, None]]}, "null for the end"),
        ("intent-end-short", "shape", {5: [["intent/run", 7, 5, [0]]]}, "no output"), ("intent-end-flat", "shape", {5: [["intent/run", 7, 5, 0, "done"]]}, "the end is not wrapped"),
        ("intent-status-text", "shape", {5: [["intent/run", 7, 5, ["0", ""]]]}, "text for a status"), ("intent-output-bytes", "shape", {5: [["intent/run", 7, 5, [0, b""]]]}, "bytes for the output"),
        ("intent-output-513", "report-list-oversize", {5: [["intent/run", 7, 5, [0, "x" * 513]]]}, "513 bytes"), ("intent-path-capital", "path-invalid", {5: [["intent/Run", 7, 0]]}, "a path that is none"),
        ("intent-path-bytes", "shape", {5: [[b"intent/run", 7, 0]]}, "bytes for a path"), ("intent-value-negative", "shape", {5: [["intent/run", -1, 4]]}, "0 stands for what is no unsigned integer"),
        ("intent-value-null", "shape", {5: [["intent/run", None, 4]]}, "0 stands for what is no unsigned integer"), ("intent-map", "shape", {5: {"intent/run": 7}}, "a map for the list"),
        ("rotation-empty", "shape", {6: b""}, "no byte"), ("rotation-513", "report-list-oversize", {6: bytes(513)}, "513 bytes"), ("rotation-array", "shape", {6: [b"x"]}, "list 6 is bytes"),
        ("rotation-text", "shape", {6: "x"}, "list 6 is bytes"), ("leaving-false", "shape", {7: False}, "it is left out instead"), ("leaving-number", "shape", {7: 1}, "list 7 is true"),
        ("leaving-null", "shape", {7: None}, "list 7 is true"), ("leaving-array", "shape", {7: [True]}, "list 7 is true"),
    ):
        bad(name, error, comment, [*HEAD, lists])


def enrolments(add):
    """Adds payloads of requests, answers and sessions."""
    def bad(name, error, comment, message, spec="#enrolment"):
        add(name, error, comment, message, ["payload"], spec=spec)

    bad("enrol-request-other-digest", "digest-mismatch", "the hash of another payload", e.enrol_request(KEY, "device-a", digest=blob("other", 32)))
    for name, device in (("capital", "Press"), ("empty", ""), ("long", "d" * 64), ("dash-first", "-a"), ("slash", "a/b")):
        bad(f"enrol-request-name-{name}", "name-invalid", "no device name", e.enrol_request(KEY, "device-a", device=device))
    bad("enrol-request-token-7", "shape", "the token id is 8 bytes", e.enrol_request(KEY, "device-a", token=bytes(7)))
    small = cose_key(curve.compress(curve.torsion()[4]))
    mixed = cose_key(curve.compress(curve.add(curve.decompress(SIGNERS["device-a"].public), curve.torsion()[1])))
    twisted = cose_key((curve.P + 3).to_bytes(32, "little"))
    for name, key in (("small-order", small), ("mixed-order", mixed), ("not-canonical", twisted)):
        bad(f"enrol-request-key-{name}", "key-refused", "the key check refuses the key", e.enrol_request(key, "device-a"), "#keys")
    for name, key in (("ec2", {1: 2, -1: 1, -2: bytes(32)}), ("31-bytes", {1: 1, -1: 6, -2: bytes(31)}), ("with-private", {**KEY, -4: bytes(32)}), ("bytes", b"x" * 32), ("x25519", {**KEY, -1: 4})):
        bad(f"enrol-request-key-{name}", "shape", "not {1: 1, -1: 6, -2: 32 bytes}", e.enrol_request(key, "device-a"), "#keys")
    request = e.enrol_request(KEY, "device-a").message_id
    thumbprint = SIGNERS["device-a"].thumbprint
    for name, payload in (("number-0", [0, thumbprint]), ("short", [1]), ("long", [1, thumbprint, 0]), ("31-bytes", [1, thumbprint[:31]]), ("text-number", ["1", thumbprint]), ("time-beyond", [1, thumbprint, 253402300800]), ("time-null", [1, thumbprint, None]), ("time-twice", [1, thumbprint, 1795000000, 1795000000])):
        bad(f"enrol-answer-{name}", "shape", "[bundle number, thumbprint, ? time]", e.Envelope(SIGNERS["writer"], 6, (e.EPOCH, 1, 0), request, encode(payload)))
    hello, welcome = [blob("challenge", 16), blob("device ephemeral", 32)], [blob("session", 4), 1, 86400]
    for name, payload in (("short", hello[:1]), ("challenge-15", [bytes(15), hello[1]]), ("ephemeral-31", [hello[0], bytes(31)]), ("long", hello + [0])):
        bad(f"session-hello-{name}", "shape", "[challenge, ephemeral]", e.Envelope(SIGNERS["device-a"], 9, (0, 0, 0), DIGEST, encode(payload)), "#sessions")
    for name, payload in (("short", welcome[:2]), ("id-5", [bytes(5), 1, 1]), ("negative-age", [welcome[0], 1, -1]), ("age-86401", [welcome[0], 1, 86401]), ("age-largest", [welcome[0], 1, 2**64 - 1]), ("age-null", [welcome[0], 1, None]), ("long", welcome + [0]), ("time-beyond", welcome + [253402300800]), ("time-null", welcome + [None]), ("time-text", welcome + ["1795000000"]), ("time-twice", welcome + [1795000000, 1795000000])):
        bad(f"session-welcome-{name}", "shape", "[session id, bundle number, age, ? time]", e.Envelope(SIGNERS["mailbox"], 10, (0, 0, 0), DIGEST, encode(payload)), "#sessions")


def bundles(add):
    """Adds payloads of a bundle."""
    writer, mailbox = SIGNERS["writer"], SIGNERS["mailbox"]

    def bad(name, error, comment, fields, **change):
        add(f"bundle-{name}", error, comment, e.bundle(1, b"", fields=fields, **change), ["payload"], spec="#bundle")

    full = e.bundle_fields()
    for label in full:
        payload = encode({key: value for key, value in full.items() if key != label})
        bad(f"without-{label}", "shape", f"field {label} is missing", {}, payload=payload)
    small = cose_key(curve.compress(curve.torsion()[2]))
    for name, fields, error in (
        ("field-6", {6: 0}, "shape"), ("no-tenant", {3: {}}, "shape"), ("no-url", {4: [[mailbox.cose, []]]}, "shape"), ("revoked-31", {5: [bytes(31)]}, "shape"),
        ("tenant-capital", {3: {"Acme": [1, writer.cose]}}, "name-invalid"), ("tenant-empty", {3: {"": [1, writer.cose]}}, "name-invalid"),
        ("writer-small-order", {3: {e.TENANT: [1, small]}}, "key-refused"), ("mailbox-small-order", {4: [[small, ["https://box.example/"]]]}, "key-refused"),
        ("recovery-small-order", {2: small}, "key-refused"), ("writer-revoked", {5: [writer.thumbprint]}, "key-revoked"),
        ("mailbox-revoked", {5: [mailbox.thumbprint]}, "key-revoked"), ("root-revoked", {5: [SIGNERS["root"].thumbprint]}, "key-revoked"),
        ("recovery-revoked", {5: [SIGNERS["recovery"].thumbprint]}, "key-revoked"), ("revoked-twice", {5: [bytes(32)] * 2}, "shape"),
        ("revoked-descending", {5: [b"\2" * 32, b"\1" * 32]}, "shape"), ("generation-0", {3: {e.TENANT: [0, writer.cose]}}, "bundle-generation"),
        ("257-revoked", {5: [number.to_bytes(32, "big") for number in range(257)]}, "oversize"),
        ("9-urls", {4: [[mailbox.cose, ["https://box.example/"] * 9]]}, "oversize"), ("long-url", {4: [[mailbox.cose, ["https://" + "b" * 505]]]}, "oversize"),
        ("tenant-no-key", {3: {e.TENANT: [1]}}, "shape"), ("root-bytes", {1: SIGNERS["root"].public}, "shape"),
    ):
        bad(name, error, "a field breaks its rule", fields)


def build():
    """Returns the file of refused payloads."""
    file = Collection("03-sign1/invalid-payload.json", "sign1.verify", "correctly signed, refused for their payload")
    add = Refused(file)
    for part in (delta_payloads, snapshot_payloads, report_payloads, enrolments, bundles):
        part(add)
    return [file]
