"""04-state: digests, applying of deltas, and bodies of sections."""

from . import envelope as e
from .c03_payload import BAD_PATHS
from .collection import Collection
from .encoding import encode
from .hashing import sha256
from .keys import blob
from .typed import Reference, encodable, typed_state

IMAGE = Reference(blob("artefact", 32), 1 << 40, "application/octet-stream")


def digests(state):
    """Returns the expected digest and section digests."""
    root, table = e.root_digest(encodable(state))
    return {"digest": root, "sections": table}


def filled(sections, keys, size):
    """Returns the state that `fill` describes."""
    return {f"s{s:04}/k{k:04}": b"\x5a" * size for s in range(sections) for k in range(keys)}


def fill(sections, keys, size):
    """Returns the description of a large state."""
    return {"sections": sections, "keys": keys, "bytes": size}


def digest_valid(file):
    """Adds states and their digests."""
    rows = (
        ("empty", {}, "the root over an empty table"),
        ("one-value", {"k": 1}, "the section without a name"),
        ("one-section", {"net/mtu": 1500}, "a section of one path"),
        ("shorter-first", {"aa": 1, "z": 2, "b": 3}, "the body is ordered by encoding: b, z, aa"),
        ("shorter-section-first", {"aa/x": 1, "z/x": 2}, "the table is ordered by encoding: z, aa"),
        ("sections-and-none", {"a": 1, "b/c": 2, "b/d/e": 3}, "three paths, two sections"),
        ("null", {"k": None}, "null is a value"), ("false", {"k": False}, "false is not 0"), ("zero", {"k": 0}, "0 is not false"),
        ("integer-12", {"k": 12}, "the integer"), ("float-12", {"k": 12.0}, "the float of the same number is another state"),
        ("float-zero", {"k": 0.0}, "0.0"), ("float-negative-zero", {"k": -0.0}, "-0.0 is another state"),
        ("text", {"k": "a"}, "text"), ("bytes", {"k": b"a"}, "bytes with the same content are another state"),
        ("integers", {"a": 2**53, "b": 2**53 + 1, "c": 2**64 - 1, "d": -(2**63), "e": -1}, "integers that JSON numbers do not carry"),
        ("floats", {"a": 1.5, "b": 0.1, "c": 5e-324, "d": 1e300, "e": 2.0**-24, "f": 65504.0, "g": 65536.0, "h": 3.4e38}, "three widths"),
        ("reference", {"fw/image": IMAGE}, "a reference"), ("empty-text-and-bytes", {"a": "", "b": b""}, "empty values"),
        ("text-not-normalised", {"a": "\u00fc", "b": "u\u0308"}, "the same letter in two forms"),
        ("longest-path", {"p" * 127 + "/" + "q" * 127: 1}, "255 bytes"), ("longest-value", {"k": "x" * 32768}, "32768 bytes"),
        ("prefix-of-letters", {"ab": 1, "a": 2, "abc/d": 3}, "no path is an ancestor: segments count, not letters"),
        ("dots-inside", {"a.b/c-d/e_f": 1, "...": 2}, "dots in a segment"),
        ("media-type-longest", {"k": Reference(blob("m", 32), 0, "a/" + "b" * 125)}, "127 bytes"),
    )
    for name, state, comment in rows:
        file.valid(f"digest-{name}", "#digest", comment, ["digest"], state=typed_state(state), **digests(state))
    wide = {f"{'s' * 247}{place:03}/k": 1 for place in range(169)}
    file.valid("digest-table-beyond-an-envelope", "#digest", "no snapshot can carry this table; a reader has no bound for it", ["limit"], state=wide, **digests(wide))
    for name, sections, keys, size, comment in (
        ("section-65536", 1, 3, 21830, "a body of exactly 65536 bytes"), ("512-sections", 512, 1, 1, "the most sections"),
        ("state-1-mib", 16, 3, 21830, "16 bodies of 65536 bytes"),
    ):
        root = digests(filled(sections, keys, size))["digest"]
        file.valid(f"digest-{name}", "#digest", comment, ["limit"], fill=fill(sections, keys, size), digest=root)


def digest_invalid(file):
    """Adds states that are none."""
    for name, path in BAD_PATHS:
        file.invalid(f"digest-path-{name}", "path-invalid", "#paths", "a path that is none", ["path"], state={path: 1})
    for name, state in (
        ("parent", {"a": 1, "a/b": 2}), ("grandparent", {"a": 1, "a/b/c": 2}), ("in-section", {"net/wifi": 1, "net/wifi/ssid": 2}),
        ("not-adjacent", {"a": 1, "a.b": 2, "a/b": 3}), ("longer-between", {"net/w": 1, "net/wa": 2, "net/w/x": 3}),
        ("section-name", {"net": 1, "net/mtu": 2}),
    ):
        file.invalid(f"digest-conflict-{name}", "path-conflict", "#paths", "one path is an ancestor of another", ["path"], state=state)
    for name, value in (("text", "x" * 32769), ("bytes", {"bytes": "00" * 32769}), ("multi-byte-text", "\u00fc" * 16385)):
        file.invalid(f"digest-value-{name}", "value-oversize", "#values", "more than 32768 bytes", ["limit"], state={"k": value})
    for name, media_type in (("empty", ""), ("128", "a/" + "b" * 126)):
        reference = {"reference": {"digest": "00" * 32, "size": 1, "media_type": media_type}}
        file.invalid(f"digest-media-type-{name}", "value-invalid", "#values", "1 to 127 bytes", ["value"], state={"k": reference})
    for name, error, sections, keys, size in (
        ("section", "section-oversize", 1, 3, 21831), ("sections", "state-oversize", 513, 1, 1), ("state", "state-oversize", 17, 3, 21830),
    ):
        file.invalid(f"digest-oversize-{name}", error, "#digest", "one step above the limit", ["limit"], fill=fill(sections, keys, size))


BEFORE = {"net/mtu": 1500, "net/wifi/ssid": "hall-A", "line/speed": 40, "note": "x", "old": None}


def apply_valid(file):
    """Adds deltas that apply."""
    rows = (
        ("set-existing", {"net/wifi/ssid": "hall-B"}, None, "one value changes"), ("set-new", {"net/lan/mtu": 9000}, None, "a path is added"),
        ("set-equal", {"net/mtu": 1500}, None, "an equal value is allowed"), ("set-null", {"note": None}, None, "null does not remove"),
        ("set-float-for-integer", {"line/speed": 40.0}, None, "another type is another value"), ("remove", {}, ["old"], "a path goes"),
        ("remove-null-value", {"k": 1}, ["old"], "a path that holds null can be removed"), ("remove-last-of-section", {}, ["line/speed"], "the section goes"),
        ("remove-all", {}, sorted(BEFORE, key=encode), "the empty state"), ("move-to-child", {"note/first": 1}, ["note"], "removals happen first: note, then note/first"),
        ("move-to-parent", {"net/wifi": 1}, ["net/wifi/ssid"], "removals happen first: net/wifi/ssid, then net/wifi"),
        ("removals-by-encoding", {}, ["old", "note", "net/mtu"], "old (3 bytes) before note (4) before net/mtu (7)"),
        ("reference", {"fw/image": IMAGE}, None, "a reference"), ("many", {f"n/{index}": index for index in range(300)}, None, "300 paths"),
    )
    for name, sets, removes, comment in rows:
        after = {path: value for path, value in BEFORE.items() if path not in (removes or ())}
        after.update(sets)
        payload = encode([encodable(sets)] if removes is None else [encodable(sets), removes])
        result = digests(after)
        file.valid(f"apply-{name}", "#delta", comment, ["delta"], state=typed_state(BEFORE), delta=payload, **result, after=typed_state(after))
    for name, sets, removes, edit, value, comment in (
        ("edit", {}, [], [[1, 0, b"yz"]], "xyz", "bytes behind the end"), ("edit-to-nothing", {}, [], [[0, 1, b""]], "", "all bytes go"),
        ("edit-and-others", {"k": 1}, ["old"], [[0, 1, "\u00fc".encode()]], "\u00fc", "beside a set and a removal"), ("edit-equal", {}, [], [[0, 1, b"x"]], "x", "equal bytes are allowed"),
    ):
        after = {path: held for path, held in {**BEFORE, **sets, "note": value}.items() if path not in removes}
        file.valid(f"apply-{name}", "#delta", comment, ["delta"], state=typed_state(BEFORE), delta=encode([sets, removes, {"note": edit}]), **digests(after), after=typed_state(after))
    after = {"k": 1}
    file.valid("apply-to-empty", "#delta", "onto the empty state", ["delta"], state={}, delta=encode([after]), **digests(after), after=after)


def apply_invalid(file):
    """Adds deltas that do not apply."""
    def bad(name, error, comment, payload, after, spec="#delta", state=None):
        encoded = payload if isinstance(payload, bytes) else encode(payload)
        before = BEFORE if state is None else state
        file.invalid(f"apply-{name}", error, spec, comment, ["delta"], state=typed_state(before), delta=encoded, digest=e.root_digest(after)[0])

    bad("remove-absent", "delta-remove-absent", "the base does not hold the path", [{}, ["absent"]], BEFORE)
    bad("remove-section", "delta-remove-absent", "a section is no path", [{}, ["net"]], BEFORE)
    bad("remove-from-empty", "delta-remove-absent", "nothing is held", [{}, ["k"]], {}, state={})
    bad("remove-prefix-of-letters", "delta-remove-absent", "a shorter name", [{"k": 1}, ["not"]], {**BEFORE, "k": 1})
    for name, sets in (("child", {"note/x": 1}), ("parent", {"net/wifi": 1}), ("section", {"net": 1}), ("grandchild", {"old/a/b": 1}), ("both-new", {"m": 1, "m/n": 2})):
        bad(f"conflict-{name}", "path-conflict", "one path is an ancestor of another", [sets], {**BEFORE, **sets}, "#paths")
    changed = {**BEFORE, "net/mtu": 1400}
    set_mtu = [{"net/mtu": 1400}]
    bad("digest-of-base", "digest-mismatch", "the digest before the delta", set_mtu, BEFORE, "#digest")
    bad("digest-of-float", "digest-mismatch", "the float of the same number", set_mtu, {**changed, "net/mtu": 1400.0}, "#digest")
    bad("digest-of-other-base", "digest-mismatch", "the writer stood on another base", set_mtu, {**changed, "note": "y"}, "#digest")
    bad("digest-null-as-removal", "digest-mismatch", "null removes nothing", [{"old": None, "note": None}], {k: v for k, v in BEFORE.items() if k != "note"}, "#digest")
    bad("set-and-remove", "delta-conflict", "the same path in both", [{"note": 1}, ["note"]], {**BEFORE, "note": 1})
    bad("order", "delta-order", "net/mtu before old", [{}, ["net/mtu", "old"]], {})
    bad("twice", "delta-order", "the same removal twice", [{}, ["old", "old"]], {})
    bad("conflict-then-order", "delta-order", "all removals are read before a conflict is told", [{"old": 2}, ["old", "old"]], {})
    bad("conflict-then-path", "path-invalid", "all removals are read before a conflict is told", [{"old": 2}, ["old", "no//path"]], {})
    bad("nothing", "delta-empty", "neither set nor removal", [{}], BEFORE)
    bad("empty-removals", "shape", "an empty list of removals", [{"k": 1}, []], {**BEFORE, "k": 1})
    bad("not-an-array", "shape", "a map alone", {"k": 1}, {**BEFORE, "k": 1})
    bad("path", "path-invalid", "a capital", [{"K": 1}], BEFORE, "#paths")
    bad("removal-path", "path-invalid", "two slashes", [{}, ["a//b"]], BEFORE, "#paths")
    bad("value", "value-invalid", "a map", [{"k": {"x": 1}}], BEFORE, "#values")
    bad("value-oversize", "value-oversize", "32769 bytes", [{"k": bytes(32769)}], BEFORE, "#values")
    bad("truncated", "cbor-truncated", "the last byte is missing", encode(set_mtu)[:-1], changed)
    bad("unsorted", "cbor-unsorted-key", "z before b", b"\x81\xa2\x61z\x01\x61b\x01", BEFORE)
    edits(bad)
    large = {"s/a": b"\x5a" * 32768, "s/b": b"\x5a" * 32700}
    bad("section-oversize", "section-oversize", "the body passes 65536 bytes", [{"s/c": bytes(100)}], {**large, "s/c": bytes(100)}, "#digest", large)
    apply_limits(file)


def edits(bad):
    """Adds edits that cannot be made; `note` holds the one byte x."""
    changed = {**BEFORE, "note": "xy"}
    run = [1, 0, b"y"]
    for name, error, comment, runs in (
        ("runs-257", "edit-runs", "257 runs", [[0, 0, b"y"]] + [[1, 0, b"y"]] * 256), ("run-empty", "edit-empty", "neither deletes nor inserts", [[1, 0, b""]]),
        ("run-adjacent", "edit-empty", "the second run skips nothing", [[0, 0, b"y"], [0, 1, b"z"]]), ("skip-beyond", "edit-range", "skips two of one byte", [[2, 0, b"y"]]),
        ("delete-beyond", "edit-range", "deletes two of one byte", [[0, 2, b"y"]]), ("skip-largest", "edit-range", "the sum passes 2^64", [[2**64 - 1, 1, b"y"]]),
        ("half-character", "edit-utf8", "half a character is left", [[1, 0, b"\xc3"]]), ("result-oversize", "value-oversize", "the result has 32769 bytes", [[1, 0, bytes(32768)]]),
        ("no-runs", "shape", "an edit without runs", []), ("two-members", "shape", "a run without its insert", [[1, 1]]),
    ):
        bad(f"edit-{name}", error, comment, [{}, [], {"note": runs}], changed, "#delta")
    for name, path in (("absent", "absent"), ("integer", "net/mtu"), ("null", "old")):
        bad(f"edit-base-{name}", "edit-base", "neither text nor bytes is there", [{}, [], {path: [run]}], changed, "#delta")
    bad("edit-and-set", "delta-conflict", "the same path in both", [{"note": "xy"}, [], {"note": [run]}], changed)
    bad("edit-and-remove", "delta-conflict", "the same path in both", [{}, ["note"], {"note": [run]}], changed)
    bad("edit-none", "shape", "an empty map of edits", [{"note": "xy"}, [], {}], changed)
    bad("edit-path", "path-invalid", "a capital", [{}, [], {"Note": [run]}], changed, "#paths")


def apply_limits(file):
    """Adds deltas that pass a limit of the whole state."""
    for name, sections, keys, size, sets in (("sections", 512, 1, 1, {"new/k": 1}), ("state", 16, 3, 21830, {"k": 1})):
        after = {**filled(sections, keys, size), **sets}
        file.invalid(f"apply-oversize-{name}", "state-oversize", "#digest", "the result passes the limit", ["limit"],
                     fill=fill(sections, keys, size), delta=encode([sets]), digest=e.root_digest(after)[0])


def bodies(file):
    """Adds bodies fetched for a row of the section table."""
    honest = {"net/mtu": 1500, "net/wifi/ssid": "hall-A"}
    body = encode(honest)
    file.valid("body-honest", "#bodies", "hash, form, paths and section fit", ["body"], section="net", digest=sha256(body), body=body)
    body = encode({"k": 1, "note": None})
    file.valid("body-section-without-name", "#bodies", "paths of one segment", ["body"], section="", digest=sha256(body), body=body)
    rows = (
        ("trailing", "cbor-trailing", "net", encode(honest) + b"\0", "one byte more"),
        ("unsorted", "cbor-unsorted-key", "s", b"\xa2\x64s/aa\x01\x63s/z\x01", "a longer path first"),
        ("duplicate", "cbor-duplicate-key", "s", b"\xa2\x63s/z\x01\x63s/z\x01", "a path twice"),
        ("array", "shape", "net", encode([1]), "an array"), ("integer-path", "shape", "net", encode({1: 1}), "an integer for a path"),
        ("path", "path-invalid", "net", encode({"net//a": 1}), "two slashes"), ("value", "value-invalid", "net", encode({"net/a": [1]}), "an array of one"),
        ("value-oversize", "value-oversize", "net", encode({"net/a": bytes(32769)}), "32769 bytes"),
        ("conflict", "path-conflict", "net", encode({"net/a": 1, "net/a/b": 2}), "an ancestor"),
        ("oversize", "section-oversize", "net", encode({"net/a": bytes(32768), "net/b": bytes(32750)}), "more than 65536 bytes"),
    )
    for name, error, section, content, comment in rows:
        file.invalid(f"body-{name}", error, "#bodies", comment, ["body"], section=section, digest=sha256(content), body=content)
    for name, content in (("changed", encode({**honest, "net/mtu": 1501})), ("cut", encode(honest)[:-1]), ("empty", b""), ("other", encode({"k": 1}))):
        file.invalid(f"body-{name}", "body-mismatch", "#bodies", "the hash differs", ["body"], section="net", digest=sha256(encode(honest)), body=content)
    for name, section, content in (("wrong-section", "net", {"line/speed": 40}), ("no-section", "net", {"net": 1}), ("one-too-many", "net", {"net/a": 1, "line/speed": 40}), ("named", "", {"net/a": 1})):
        file.invalid(f"body-{name}", "body-mismatch", "#bodies", "a path of another section", ["body", "decision"],
                     section=section, digest=sha256(encode(content)), body=encode(content))


def build():
    """Returns the five files."""
    files = [
        Collection("04-state/digest-valid.json", "state.digest", "states and their digests"),
        Collection("04-state/digest-invalid.json", "state.digest", "states that are none"),
        Collection("04-state/apply-valid.json", "state.apply", "deltas that apply"),
        Collection("04-state/apply-invalid.json", "state.apply", "deltas that do not apply"),
        Collection("04-state/bodies.json", "body.check", "bodies for a row of the section table"),
    ]
    for part, file in zip((digest_valid, digest_invalid, apply_valid, apply_invalid, bodies), files):
        part(file)
    return files
