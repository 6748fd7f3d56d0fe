"""04-state: edits inside texts and byte strings, applied to a base; every value before and after stands in the test."""

from . import envelope as e
from .c03_payload import BAD_PATHS
from .c04_state import digests
from .collection import Collection
from .encoding import Raw, encode
from .typed import typed_state

SPEC = "#edit"
ABC = b"abcdefghij"
BASE = {"b": ABC, "t": "abcdefghij", "u": "stra\u00dfe \U0001d11e \u20ac", "n": 5, "z": None, "f": 1.5, "empty": "", "none": b""}
UMLAUT = BASE["u"].encode()


def unit_file():
    """Returns a document of 2.4 KB and the same with one parameter changed."""
    lines = ["[Service]", "ExecStart=/usr/bin/press --line 7"]
    lines += [f"Environment=PARAMETER_{number:02}={number * 37 % 1000:03} # width of roller {number}" for number in range(47)]
    text = "\n".join(lines) + "\n"
    return text, text.replace("PARAMETER_23=851", "PARAMETER_23=900")


def edited(value, runs):
    """Returns a value after runs, by slices."""
    old = value.encode() if isinstance(value, str) else value
    new, at = b"", 0
    for skip, delete, insert in runs:
        new += old[at:at + skip] + insert
        at += skip + delete
    new += old[at:]
    return new.decode() if isinstance(value, str) else new


def one_run():
    """Returns edits of one run: (name, path, runs, comment)."""
    return (
        ("at-start", "t", [[0, 0, b"X"]], "before the first byte"), ("at-end", "t", [[10, 0, b"X"]], "behind the last byte"), ("in-the-middle", "t", [[5, 0, b"XY"]], "between two bytes"),
        ("delete-first", "t", [[0, 1, b""]], "the first byte goes"), ("delete-last", "t", [[9, 1, b""]], "the last byte goes"), ("delete-all", "t", [[0, 10, b""]], "the text is empty then"),
        ("replace-all", "t", [[0, 10, b"other"]], "every byte is another"), ("replace-one", "t", [[4, 1, b"E"]], "one byte for another"), ("same-bytes", "t", [[4, 1, b"e"]], "the same byte again is allowed"),
        ("of-bytes", "b", [[4, 1, b"\xff\x00"]], "bytes that are no text"), ("of-bytes-to-no-text", "b", [[0, 10, b"\xc3"]], "bytes need no characters"), ("of-empty-text", "empty", [[0, 0, b"new"]], "an empty text is a base"),
        ("of-empty-bytes", "none", [[0, 0, b"\x80"]], "an empty byte string is a base"), ("skip-all", "b", [[10, 0, b"\x00"]], "skips the whole base"), ("two-byte-character", "u", [[4, 2, b"ss"]], "a character of two bytes goes"),
        ("nul", "t", [[3, 0, b"\x00"]], "a text may hold NUL"), ("insert-character", "t", [[3, 0, "\u20ac".encode()]], "three bytes come"),
    )


def many_runs():
    """Returns edits of several runs, among them ones whose inserts are only text together with what is copied."""
    alternate = [[0, 1, b"A"]] + [[1, 1, bytes([65 + at])] for at in range(2, 10, 2)]
    return (
        ("two-runs", "t", [[1, 1, b"B"], [6, 1, b"I"]], "two places"), ("alternate-bytes", "t", alternate, "every second byte"), ("first-run-skips-nothing", "b", [[0, 2, b""], [3, 2, b"X"], [3, 0, b"end"]], "begins at 0, ends behind the last byte"),
        ("only-deletes", "t", [[1, 1, b""], [1, 1, b""], [1, 1, b""]], "three bytes go"), ("only-inserts", "t", [[2, 0, b"1"], [2, 0, b"2"], [6, 0, b"3"]], "the last one behind the end"),
        ("long-inserts", "b", [[1, 0, bytes(30)], [1, 0, b"\x5a" * 300]], "heads of two and three bytes"),
        ("half-character-kept", "u", [[5, 1, b"\xbf"]], "the second byte of a character changes"), 
        ("utf8-across-runs", "u", [[4, 1, b"\xc3"], [1, 1, b"-"]], "the first byte is replaced by itself, then a letter goes"), ("utf8-first-byte", "u", [[8, 1, b"\xf0"], [3, 0, b"+"]], "the head of a character of four bytes"),
        ("utf8-part-replaced", "u", [[10, 2, b"\x85\xa0"]], "two bytes within a character of four"),
    )


def utf8_joined():
    """Returns a base whose characters are split by one run and completed by the next."""
    return (
        ("character-completed-by-the-next-run", "\u00df\u00df", [[1, 1, b"\xa4"], [1, 1, b"\xb6"]], "each run ends inside a character"),
        ("character-built-of-three-runs", "a\u20acb", [[1, 1, b"\xe2"], [1, 1, b"\xac"]], "two bytes of a character are replaced by themselves, the one between is copied"),
        ("two-halves-make-one", "\u00c3\u00a9", [[1, 2, b""]], "what is left of two characters is one"),
    )


def valid():
    """Returns the file of edits that apply."""
    file = Collection("04-state/edit-valid.json", "state.apply", "edits that apply; `sections` and `digest` are those after the edit, `before` those of the base")

    def add(name, comment, before, edits, sets=None, removes=(), flags=()):
        after = {path: value for path, value in before.items() if path not in removes}
        after.update({path: edited(before[path], runs) for path, runs in edits.items()})
        after.update(sets or {})
        payload = encode([sets or {}, list(removes), edits])
        file.valid(f"edit-{name}", SPEC, comment, ["edit", *flags], state=typed_state(before), before=digests(before)["digest"], delta=payload, **digests(after), after=typed_state(after))

    for name, path, runs, comment in (*one_run(), *many_runs()):
        add(name, comment, BASE, {path: runs})
    for name, text, runs, comment in utf8_joined():
        add(name, comment, {"t": text}, {"t": runs}, flags=["utf8"])
    add("two-paths", "ascending by encoding", BASE, {"t": [[0, 1, b"A"]], "u": [[0, 1, b"S"]], "empty": [[0, 0, b"x"]]})
    add("with-sets-and-removals", "all three members", BASE, {"t": [[0, 1, b"A"]]}, {"n": 6, "new/path": b"\x00"}, ["f", "z"])
    add("frees-room-for-a-child", "a removal, an edit, and a set below the removed path", {"a": 1, "t": "x"}, {"t": [[1, 0, b"y"]]}, {"a/b": "x"}, ["a"])
    add("in-a-section", "paths of several sections", {"net/a": "one", "net/b": "two", "line/x": b"\1\2"}, {"net/a": [[3, 0, b"!"]], "line/x": [[0, 1, b""]]})
    add("256-runs", "the most runs", {"t": "ab" * 256}, {"t": [[0, 1, b"A"]] + [[1, 1, b"A"]] * 255}, flags=["limit"])
    add("result-32768", "the largest result", {"b": bytes(32767)}, {"b": [[32767, 0, b"\1"]]}, flags=["limit"])
    add("result-32768-of-more", "deletes before it inserts", {"b": bytes(32768)}, {"b": [[0, 32768, b"\1" * 32768]]}, flags=["limit"])
    add("passes-the-limit-within", "only the result counts: an insert first, a removal later", {"b": bytes(32768)}, {"b": [[0, 0, b"\1"], [32767, 1, b""]]}, flags=["limit"])
    before, after = unit_file()
    place = before.index("PARAMETER_23=851") + len("PARAMETER_23=")
    assert 2350 < len(before) < 2450 and edited(before, [[place, 3, b"900"]]) == after, len(before)
    add("document", "one parameter of a document of 2.4 KB", {"unit/press.service": before}, {"unit/press.service": [[place, 3, b"900"]]}, flags=["document"])
    second = before.index("--line 7") + len("--line ")
    add("document-two-lines", "two lines of it", {"unit/press.service": before, "note": "x"}, {"unit/press.service": [[second, 1, b"9"], [place - second - 1, 3, b"900"]]}, flags=["document"])
    add("document-as-bytes", "the same document as bytes is another state", {"unit/press.service": before.encode()}, {"unit/press.service": [[place, 3, b"900"]]}, flags=["document"])
    return file


def forms(bad):
    """Adds edits whose form is wrong, whatever the base."""
    good = [1, 0, b"y"]
    for name, runs, comment in (
        ("no-runs", [], "an edit without runs"), ("runs-null", None, "null for the runs"), ("runs-map", {0: good}, "a map for the runs"), ("run-flat", good, "the run is not wrapped"), ("run-of-two", [good[:2]], "no insert"), ("run-of-four", [[*good, 0]], "one member more"),
        ("run-empty-array", [[]], "a run without members"), ("skip-null", [[None, 0, b"y"]], "null for skip"), ("skip-negative", [[-1, 0, b"y"]], "a negative skip"), ("delete-negative", [[0, -1, b"y"]], "a negative delete"),
        ("skip-float", [[1.0, 0, b"y"]], "a float for skip"), ("skip-text", [["1", 0, b"y"]], "text for skip"), ("insert-text", [[1, 0, "y"]], "text for the insert"), ("insert-null", [[1, 1, None]], "null for the insert"), ("insert-array", [[1, 0, [b"y"]]], "an array for the insert"),
        ("run-null", [None], "null for a run"), ("second-run-of-two", [good, [1, 1]], "no insert in the second run"),
    ):
        bad(f"form-{name}", "shape", comment, {"t": runs})
    for name, count, comment in (("257", 257, "one run too many"), ("300", 300, "far too many"), ("1000", 1000, "far too many")):
        bad(f"runs-of-{name}", "edit-runs", comment, {"t": [[0, 0, b"y"]] + [[1, 0, b"y"]] * (count - 1)})
    bad("runs-of-257-empty", "edit-runs", "the number counts before the runs", {"t": [[0, 0, b""]] * 257})
    bad("runs-of-257-short", "cbor-truncated", "the number is above what the input can hold", Raw(b"\xa1\x61t\x99\x01\x01"), cut=True)
    for name, runs, comment in (
        ("says-nothing", [[0, 0, b""]], "skips, deletes and inserts nothing"), ("only-skips", [[3, 0, b""]], "a skip alone"), ("last-only-skips", [[1, 1, b"x"], [3, 0, b""]], "a skip at the end"), ("first-only-skips", [[1, 0, b""], [2, 1, b""]], "a skip in front"),
        ("touches", [[1, 1, b"x"], [0, 1, b"y"]], "the second run begins where the first ended"), ("inserts-twice", [[1, 0, b"x"], [0, 0, b"y"]], "two inserts in one place"), ("third-touches", [[1, 1, b""], [1, 1, b""], [0, 1, b""]], "the third run touches the second"),
        ("beyond-the-base-too", [[2**64 - 1, 0, b""]], "the form counts before the base"),
    ):
        bad(f"empty-{name}", "edit-empty", comment, {"t": runs})
    for name, path in BAD_PATHS:
        bad(f"path-{name}", "path-invalid", "a path that is none", {path: [good]})


def conflicts(bad):
    """Adds edits that meet sets, removals or one another, and orders that are none."""
    run = [[1, 0, b"y"]]
    bad("also-set", "delta-conflict", "set and edited", {"t": run}, sets={"t": "x"})
    bad("also-removed", "delta-conflict", "removed and edited", {"t": run}, removes=["t"])
    bad("also-set-among-others", "delta-conflict", "one of three paths", {"b": run, "t": run, "u": run}, sets={"a": 1, "n": 2, "u": "x"})
    bad("also-removed-among-others", "delta-conflict", "one of three paths", {"b": run, "t": run, "u": run}, removes=["b", "n", "z"])
    bad("conflict-after-bad-run", "edit-empty", "every edit has its form before conflicts count", {"t": run, "u": [[1, 0, b""]]}, sets={"t": "x"})
    bad("removals-before-edits", "delta-order", "removals are checked before edits", {"t": [[1, 0, b""]]}, removes=["z", "b"])
    bad("sets-before-edits", "value-invalid", "sets are checked before edits", {"t": [[1, 0, b""]]}, sets={"n": [1]})
    bad("set-and-removed", "delta-conflict", "set and removed counts before a wrong run", {"t": [[1, 0, b""]]}, sets={"n": 1}, removes=["n"])
    entry = lambda path: encode(path) + encode(run)
    bad("paths-descending", "cbor-unsorted-key", "u before t", Raw(b"\xa2" + entry("u") + entry("t")))
    bad("paths-by-letters", "cbor-unsorted-key", "the order of a plain string sort", Raw(b"\xa2" + entry("empty") + entry("t")))
    bad("path-twice", "cbor-duplicate-key", "the same path twice", Raw(b"\xa2" + entry("t") + entry("t")))
    bad("path-integer", "shape", "an integer for a path", Raw(b"\xa1\x01" + encode(run)))
    bad("path-bytes", "shape", "bytes for a path", Raw(b"\xa1\x41t" + encode(run)))
    for name, edits, comment in (("empty-map", {}, "no edit"), ("null", None, "null for the edits"), ("array", [["t", run]], "an array for the edits")):
        bad(f"edits-{name}", "shape", comment, edits, sets={"n": 6})
    bad("removals-null", "shape", "null for the removals", {"t": run}, removes=None)
    bad("four-members", "shape", "one member more", {"t": run}, more=[0])
    bad("parent-of-edited", "path-conflict", "sets a path below the edited one", {"t": run}, sets={"t/x": 1})
    bad("long-skip", "cbor-not-shortest", "1 in two bytes", Raw(b"\xa1\x61t\x81\x83\x18\x01\x00\x41y"))
    bad("long-insert", "cbor-not-shortest", "the length of the insert in two bytes", Raw(b"\xa1\x61t\x81\x83\x01\x00\x58\x01y"))
    bad("indefinite-runs", "cbor-indefinite", "an open array of runs", Raw(b"\xa1\x61t\x9f\x83\x01\x00\x41y\xff"))
    bad("tagged-insert", "cbor-tag", "a tag before the insert", Raw(b"\xa1\x61t\x81\x83\x01\x00\xd8\x40\x41y"))
    bad("insert-beyond-input", "cbor-truncated", "a length of 2^32-1: nothing may be reserved for it", Raw(b"\xa1\x61t\x81\x83\x01\x00\x5a\xff\xff\xff\xff"), cut=True)
    bad("runs-beyond-input", "cbor-truncated", "2^31 runs: nothing may be reserved for them", Raw(b"\xa1\x61t\x9a\x80\x00\x00\x00" + b"\x83\x01\x00\x40" * 3), cut=True)


def bases(bad):
    """Adds edits that do not fit their base."""
    run = [[1, 0, b"y"]]
    for name, path in (("integer", "n"), ("null", "z"), ("float", "f"), ("absent", "absent"), ("section", "s"), ("below", "t/x")):
        bad(f"base-{name}", "edit-base", "neither text nor bytes is there", {path: run})
    bad("base-reference", "edit-base", "a reference is an array", {"r": run}, state={"r": [bytes(32), 1, "a/b"]})
    bad("base-boolean", "edit-base", "true is no text", {"r": run}, state={"r": True})
    bad("base-only-set-here", "edit-base", "sets come after edits: the base counts", {"k": run}, sets={"m": "abc"})
    bad("base-second", "edit-base", "the first edit fits, the second does not", {"t": run, "zz": run})
    for name, runs, comment in (
        ("skip-11", [[11, 0, b"y"]], "skips 11 of 10 bytes"), ("delete-11", [[0, 11, b""]], "deletes 11 of 10 bytes"), ("together", [[5, 6, b""]], "5 and 6 are 11"), ("second-run", [[5, 1, b""], [3, 2, b""]], "the second run passes the end"),
        ("after-the-end", [[10, 0, b"y"], [1, 0, b"z"]], "skips a byte that was inserted"), ("inserted-bytes", [[10, 0, b"yyyy"], [1, 1, b""]], "deletes bytes that were inserted"), ("largest-skip", [[2**64 - 1, 0, b"y"]], "2^64-1"),
        ("largest-delete", [[0, 2**64 - 1, b"y"]], "2^64-1"), ("sum-wraps", [[2**64 - 1, 1, b"y"]], "the sum is 2^64"), ("sum-wraps-to-two", [[2**63, 2**63 + 2, b"y"]], "the sum wraps to 2"), ("sum-of-runs-wraps", [[4, 4, b"y"], [2**64 - 8, 1, b"z"]], "the sum of two runs wraps"),
        ("2-to-32", [[2**32, 0, b"y"]], "2^32: wraps in 32 bits"),
    ):
        bad(f"range-{name}", "edit-range", comment, {"t": runs}, flags=["limit"] if "11" in name else [])
    bad("range-of-empty", "edit-range", "deletes from an empty text", {"empty": [[0, 1, b"x"]]})
    bad("range-in-characters", "edit-range", "17 bytes are 10 characters: bytes count", {"u": [[18, 0, b"y"]]})
    for name, state, runs, comment in (
        ("by-one", {"b": bytes(32768)}, [[0, 0, b"\1"]], "32769 bytes"), ("by-insert", {"b": b"x"}, [[1, 0, bytes(32768)]], "32769 bytes"), ("of-text", {"b": "x" * 32768}, [[32768, 0, b"y"]], "32769 bytes"),
        ("by-runs", {"b": bytes(16384)}, [[0, 0, bytes(8192)], [1, 0, bytes(8193)]], "32769 bytes in two inserts"), ("before-utf8", {"b": "x" * 32768}, [[0, 0, b"\xff"]], "the length counts before the characters"),
    ):
        bad(f"oversize-{name}", "value-oversize", comment, {"b": runs}, state=state, flags=["limit"])
    bad("range-before-oversize", "edit-range", "the range counts before the length", {"b": [[0, 0, bytes(32768)], [32768, 1, b"x"]]})
    utf8(bad)


def utf8(bad):
    """Adds results that are no text."""
    for name, path, runs, comment in (
        ("lone-byte", "t", [[3, 0, b"\xff"]], "no first byte"), ("half-inserted", "t", [[3, 0, b"\xc3"]], "a first byte alone"), ("half-deleted", "u", [[4, 1, b""]], "a continuation is left"), ("second-half-deleted", "u", [[5, 1, b""]], "a first byte is left"),
        ("into-a-character", "u", [[5, 0, b"x"]], "between the two bytes of a character"), ("surrogate", "t", [[0, 0, b"\xed\xa0\x80"]], "a surrogate"), ("overlong", "t", [[0, 0, b"\xc0\x80"]], "NUL in two bytes"),
        ("above-unicode", "t", [[0, 0, b"\xf4\x90\x80\x80"]], "U+110000"), ("split-over-two-places", "t", [[2, 0, b"\xc3"], [2, 0, b"\xa4"]], "two halves that do not meet"), ("end-cut", "u", [[len(UMLAUT) - 1, 1, b""]], "the last character loses a byte"),
        ("second-path", "u", [[0, 1, b"\x80"]], "a continuation first"),
    ):
        edits = {path: runs, **({"t": [[0, 1, b"A"]]} if name == "second-path" else {})}
        bad(f"utf8-{name}", "edit-utf8", comment, edits, flags=["utf8"])


def digest_rows(file):
    """Adds edits that apply to a state of another digest."""
    before, after = unit_file()
    place = before.index("PARAMETER_23=851") + len("PARAMETER_23=")
    payload = encode([{}, [], {"unit/press.service": [[place, 3, b"900"]]}])
    for name, state, signed, comment in (
        ("of-base", before, before, "the digest before the edit"), ("other-base", before.replace("_07=", "_08="), after, "the writer stood on another base"), ("type", before.encode(), after, "the base is bytes here and text there"),
        ("one-byte-off", " " + before, " " + after, "the edit hits another place"),
    ):
        file.invalid(f"edit-digest-{name}", "digest-mismatch", "#digest", comment, ["edit", "document"], state=typed_state({"unit/press.service": state}), delta=payload, digest=e.root_digest({"unit/press.service": signed})[0])


def invalid():
    """Returns the file of edits that are refused."""
    file = Collection("04-state/edit-invalid.json", "state.apply", "edits that are refused, one failure each")
    expected = e.root_digest({"t": "whatever an implementation makes of it"})[0]

    def bad(name, error, comment, edits, sets=None, removes=(), flags=(), state=None, more=(), cut=False):
        payload = encode([sets or {}, None if removes is None else list(removes), edits, *more])
        before = BASE if state is None else state
        typed = {path: {"reference": {"digest": "00" * 32, "size": 1, "media_type": "a/b"}} if isinstance(value, list) else value for path, value in before.items()}
        assert cut == (error == "cbor-truncated"), name
        file.invalid(f"edit-{name}", error, SPEC, comment, ["edit", *flags], state=typed_state(typed) if typed == before else typed, delta=payload, digest=expected)

    for part in (forms, conflicts, bases):
        part(bad)
    digest_rows(file)
    return file


def build():
    """Returns the two files."""
    return [valid(), invalid()]
