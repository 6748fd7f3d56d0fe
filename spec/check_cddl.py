"""Checks postern.cddl against samples of its own and against every published vector.

Needs zcbor 0.9 and a cbor2 below 6 (spec/requirements.txt). Says loudly when it is skipped.
Refuses to judge what CDDL cannot say: deterministic encoding, order, digests, signatures.
"""

import base64
import contextlib
import io
import json
import pathlib
import sys

SPEC = pathlib.Path(__file__).resolve().parent
VECTORS = SPEC.parent / "interop-vectors" / "v1"
QUANTITY_MAX = 100_000
KINDS = {
    0: "delta", 1: "snapshot", 2: "report", 3: "report-ack", 4: "heartbeat", 5: "enrol-request",
    6: "enrol-answer", 7: "bundle", 8: "admission",
    9: "session-hello", 10: "session-welcome", 11: "receipt", 12: "evidence", 13: "plane-key", 14: "lost",
}
SESSION_FRAMES = {
    0: "poll", 1: "answer", 2: "post", 3: "need", 4: "fetch", 5: "bodies", 6: "put", 7: "collect", 8: "collected",
    9: "deliver", 10: "deliver-bodies", 11: "fetch-bodies", 12: "deliver-enrolled", 13: "stream", 15: "stream-answer",
}
PLAIN_FRAMES = {
    14: "filed-body", 16: "enrol", 17: "enrolled", 18: "ask", 19: "challenge-frame",
    20: "hello", 21: "welcome", 22: "refused-frame", 23: "posted",
}
# Rejects that the grammar alone can find; the others need order, arithmetic or state.
GRAMMATICAL = {"shape", "algorithm-unknown", "unprotected-not-empty", "signature-length", "epoch-zero", "seq-zero", "report-list-oversize", "hold-range", "counter-exhausted"}

# Rejects of conversations that may lie in the form of what was said; behind every other one stands a message in its form.
OF_FORM = {"shape", "oversize", "frame-unknown", "section-oversize", "value-oversize", "signer-role"}
DIGEST = bytes(32)
KEY = {1: 1, -1: 6, -2: DIGEST}
# (rule, item, whether it belongs): twice as many refusals as acceptances are in the vectors.
SAMPLES = [
    ("value", None, True), ("value", -5, True), ("value", 1.5, True), ("value", "x", True),
    ("value", [DIGEST, 5, "text/plain"], True), ("value", [1], False), ("value", {}, False),
    ("value", [DIGEST, 5, ""], False), ("value", "x" * 32769, False), ("value", -(2**63) - 1, False),
    ("delta", [{"a/b": 1}], True), ("delta", [{}, ["a"]], True), ("delta", [{}], False),
    ("delta", [{"a": 1}, []], False), ("delta", [{"": 1}], False), ("delta", [{"a": 1}, ["b"], 0], False),
    ("snapshot", [{"": DIGEST}, []], True), ("snapshot", [{}, [[1, 1, DIGEST]]], True),
    ("snapshot", [{"net": DIGEST[:31]}, []], False), ("snapshot", [{}, [[0, 1, DIGEST]]], False), ("snapshot", [{}], False),
    ("report", [1, 2], True), ("report", [1, 2, {1: [[0, 1, 2, 3]]}], True), ("report", [1, 2, 1, 2, 1, 1], True),
    ("report", [1, 2, 3, 4], False), ("report", [1, 2, {5: [[1, 2]]}], False), ("report", [1, 2, {2: []}], False),
    ("report", [1, 2, {2: [[1, 2, 0, "x" * 513]]}], False), ("report", [1, 2, {4: [[4, 1]]}], False),
    ("bundle", {1: KEY, 2: KEY, 3: {"t": [1, KEY]}, 4: [[KEY, ["https://m.example"]]], 5: [DIGEST]}, True),
    ("bundle", {1: KEY, 2: KEY, 3: {}, 4: [], 5: []}, False), ("bundle", {1: KEY, 2: KEY, 3: {"t": [0, KEY]}, 4: [], 5: []}, False),
    ("bundle", {1: KEY, 2: KEY, 3: {"t": [1, KEY]}, 4: [[KEY, []]], 5: []}, False),
    ("join-line", {1: ["https://m"], 2: DIGEST, 3: DIGEST, 4: "t", 5: "d", 6: bytes(8), 7: DIGEST}, True),
    ("join-line", {1: [], 2: DIGEST, 3: DIGEST, 4: "t", 5: "d", 6: bytes(8), 7: DIGEST}, False),
    ("join-line", {1: ["https://m"], 2: DIGEST, 3: DIGEST, 4: "t", 5: "d", 6: bytes(7), 7: DIGEST}, False),
    ("poll-body", [1, 25, 1, None, 5, 6], True), ("poll-body", [65535, 0, 0, 3, 5, 6, 7, 8], True),
    ("poll-body", [0, 25, 1, None, 5, 6], False), ("poll-body", [1, 301, 1, None, 5, 6], False), ("poll-body", [1, 25, 1, None, 5, 6, 7], False), ("poll-body", [1, 25, 1, None, 5, 6, [7, 8]], True), ("poll-body", [1, 25, 1, None, 5, 6, 7, 8, [7, 8]], True), ("poll-body", [1, 25, 1, None, 5, 6, [0, 8]], False), ("poll-body", [1, 25, 1, None, 5, 6, [7]], False),
    ("answer-body", [1], True), ("answer-body", [1, {1: 500, 4: [[0, 72]]}], True), ("answer-body", [1, {5: 1}], False), ("answer-body", [1, [0, 1]], False),
    ("need-body", [1, 0, 0, 0], True), ("need-body", [1, 2, 0, 0], False), ("need-body", [1, 0, 0], False),
    ("fetch-body", [1, 0, [DIGEST, 0]], True), ("fetch-body", [1, 0], False), ("fetch-body", [1, 0] + [[DIGEST, 0]] * 17, False),
    ("bodies-body", [1], True), ("bodies-body", [1, [DIGEST, 3, 0, b"abc"]], True), ("bodies-body", [1, [DIGEST, 3, 0, b""]], False),
    ("ask", [18, 1], True), ("ask", [18, 2], False), ("refused-frame", [22, 114], True), ("refused-frame", [22, 114, 500], True), ("refused-frame", [22], False),
    ("ask", [18, 1, 7], True), ("ask", [18, 1, 0], False), ("put-body", [1, 1, [DIGEST, 3, 0, b"abc"]], True), ("put-body", [1, 1], False),
    ("filed-body", [14, bytes(16), 1, [DIGEST, 3, 0, b"abc"]], True), ("filed-body", [14, bytes(16), None, [DIGEST, 3, 0, b"abc"]], False),
    ("cose-key", {1: 2, -1: 1, -2: DIGEST, -3: DIGEST}, True), ("cose-key", {1: 2, -1: 1, -2: DIGEST, -3: True}, False), ("cose-key", {1: 2, -1: 1, -2: DIGEST}, False),
    ("delta", [{}, [], {"a": [[0, 1, b"x"]]}], True), ("delta", [{}, [], {}], False), ("delta", [{}, [], {"a": []}], False), ("delta", [{}, [], {"a": [[0, 1, "x"]]}], False),
    ("heartbeat", [bytes(8), 5, 0, 0, None, bytes(16)], True), ("heartbeat", [bytes(8), 5, 0, 0, None], False), ("heartbeat", [bytes(8), 5, 0, 0, None, bytes(15)], False),
    ("evidence", [64, {"": DIGEST}, [[DIGEST, None]]], True), ("evidence", [66, None, []], False), ("evidence", [65, None, [[DIGEST, b"x"]]], False),
    ("report", [1, 2, {5: [["intent/a", 1, 0], ["intent/a", 1, 5, [0, "ok"]]], 6: b"x", 7: True}], True), ("report", [1, 2, {5: [["intent/a", 1, 5]]}], False),
    ("report", [1, 2, {7: False}], False), ("answer-body", [1, {5: [[DIGEST, 0]], 6: [0, 1]}], True), ("answer-body", [1, {6: []}], False),
    ("admission", ["d", 0, bytes(16), [KEY], 5, 1], True), ("admission", ["d", 2, bytes(16), [KEY], 5, 1], False), ("admission", ["d", 0, bytes(16), [], 5, 1], False),
    ("receipt", [bytes(16), 0], True), ("receipt", [bytes(16), 65536], False), ("receipt", [bytes(15), 0], False), ("lost-marker", [113], True), ("lost-marker", [0], False), ("lost-marker", [], False),
    ("collect-body", [1, 25, 0, 0], True), ("collect-body", [1, 25, 7, 9], True), ("collect-body", [1, 25, 0, 9], False), ("collect-body", [1, 301, 7, 9], False), ("collect-body", [1, 25, 7], False),
    ("collected-body", [1, 7], True), ("collected-body", [1, {1: 5}, 7, [1, 2, b"x"]], True), ("collected-body", [1, 0], False), ("collected-body", [1, 7, [0, 2, b"x"]], False), ("collected-body", [1, 7, [1, 2]], False),
    ("answer-body", [1, {7: [[bytes(16), 0]], 8: [[bytes(16), 1, DIGEST, 5]]}], True), ("answer-body", [1, {7: []}], False), ("answer-body", [1, {8: [[bytes(16), 1, DIGEST]]}], False),
    ("relay-line", {1: KEY, 2: ["https://m"]}, True), ("relay-line", {1: KEY, 2: []}, False), ("relay-line", {1: KEY}, False), ("trust-line", {1: DIGEST, 2: DIGEST, 3: []}, False),
    ("deliver-body", [1], False), ("deliver-enrolled-body", [1, 5, b"x"], True), ("deliver-enrolled-body", [1, 5], False), ("fetch-bodies-body", [1, bytes(16), 1, [DIGEST, 0]], True), ("fetch-bodies-body", [1, bytes(16), 1], False),
    ("stream-body", [1, 15000, 1024, 0, 1, None, 0, 0], True), ("stream-body", [1, 15000, 0, 0, 1, None, 0, 0], False), ("stream-body", [1, 249, 4, 0, 1, None, 0, 0], False),
    ("stream-answer-body", [1, 0, 0, b""], True), ("stream-answer-body", [1, 1024, 0, b""], False), ("stream-answer-body", [1, 0, 0], False), ("stream-answer-body", [1, 0, 5, bytes(9), {1: 5}], True),
    ("challenge-frame", [19, bytes(16), DIGEST, DIGEST], True), ("challenge-frame", [19, bytes(15), DIGEST, DIGEST], False),
]


def decode_sequence(cbor2, data):
    """Returns the items of a CBOR sequence."""
    stream, items = io.BytesIO(data), []
    while stream.tell() < len(data):
        items.append(cbor2.load(stream))
    return items


class Grammar:
    """The rules of postern.cddl, each as a yes-or-no question."""

    def __init__(self, zcbor, cbor2):
        text = (SPEC / "postern.cddl").read_text(encoding="utf-8")
        self.rules = zcbor.DataTranslator.from_cddl(text, QUANTITY_MAX).my_types
        self.refusal = zcbor.CddlValidationError
        self.cbor2 = cbor2

    def accepts(self, rule, item):
        """Tells whether an item, given as bytes or as a value, fits a rule."""
        data = item if isinstance(item, bytes) else self.cbor2.dumps(item, canonical=True)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                self.rules[rule].validate_str(data)
            except (self.refusal, self.cbor2.CBORDecodeError):
                return False
        return True

    def accepts_envelope(self, data):
        """Tells whether an envelope, tagged or not, fits the rule of the kind it names."""
        data = data.removeprefix(b"\xd2")
        try:
            outer = self.cbor2.loads(data)
            kind = self.cbor2.loads(outer[0])[-65537][0]
            rule = KINDS[kind]
        except (self.cbor2.CBORDecodeError, LookupError, TypeError):
            return False
        return self.accepts(f"{rule}-envelope", data)

    def accepts_posted(self, data):
        """Tells whether a frame of a file fits, and the envelope in it fits the rule of its kind."""
        if data[:1] != b"\x17":
            return self.accepts_frame(data)
        try:
            envelope = decode_sequence(self.cbor2, data)[3]
        except (self.cbor2.CBORDecodeError, LookupError):
            return False
        return self.accepts_frame(data) and self.accepts_envelope(self.cbor2.dumps(envelope))

    def accepts_frame(self, data):
        """Tells whether a frame fits the rule of its type."""
        try:
            if data[0] in SESSION_FRAMES:
                rule = f"{SESSION_FRAMES[data[0]]}-body"
                items = decode_sequence(self.cbor2, data[5:-8])
            else:
                rule = PLAIN_FRAMES[data[0]]
                items = decode_sequence(self.cbor2, data)
        except (self.cbor2.CBORDecodeError, LookupError):
            return False
        return self.accepts(rule, items)


def check_samples(grammar):
    """Returns the samples on which the grammar is wrong."""
    return [f"sample {rule} {item!r:.60}" for rule, item, fits in SAMPLES if grammar.accepts(rule, item) != fits]


# What else vectors hold, by operation and field: rules, any of which may fit.
FIELDS = {
    ("sign1.verify", "aad"): ("aad-trust", "aad-tenant", "aad-device", "aad-plane"),
    ("sign1.verify", "tbs"): ("sig-structure",),
    ("state.apply", "delta"): ("delta",),
    ("body.check", "body"): ("section-body",),
    ("channel.id", "preimage"): ("channel-preimage",),
    ("greeter.id", "preimage"): ("tenant-preimage", "mailbox-preimage"),
    ("key.thumbprint", "cose_key"): ("cose-key",),
    ("session.derive", "preimage"): ("transcript-preimage",),
    ("plane-key.open", "input"): ("plane-key",),
    ("encryption.open", "input"): ("encrypt0", "delta", "section-body"),
    ("bundle.accept", "incoming"): ("bundle-envelope",),
    ("enrol.rotation", "request"): ("enrol-request-envelope",),
}
LINES = {"postern1:": "join-line", "postern-trust1:": "trust-line", "postern-relay1:": "relay-line"}


def other_parts(grammar, operation, test):
    """Yields (question, bytes) for what a valid vector holds beside its envelope and its frame."""
    for (of, field), rules in FIELDS.items():
        if of == operation and isinstance(test.get(field), str):
            data = bytes.fromhex(test[field]).removeprefix(b"\xd2")
            yield lambda it, rules=rules: any(grammar.accepts(rule, it) for rule in rules), data
    for step in test.get("steps", []):
        if operation != "engine.step" and isinstance(step.get("frame"), str) and step.get("result") == "valid":
            yield grammar.accepts_frame, bytes.fromhex(step["frame"])
    if operation == "line.read":
        prefix, _, encoded = test["text"].strip().partition(":")
        data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        yield lambda it: grammar.accepts(LINES[prefix + ":"], it), data


def conversation_parts(grammar, test):
    """Yields (where, question, bytes, whether its form may be what was refused) for all that is said in a conversation."""
    config = test["config"]
    for place, data in enumerate(config["bundles"]):
        yield f"bundle {place}", grammar.accepts_envelope, bytes.fromhex(data), False
    for place, data in enumerate(config["held"]):
        yield f"held {place}", grammar.accepts_posted, bytes.fromhex(data), False
    for place, step in enumerate(test["steps"]):
        given = step["input"]
        may_be_wrong = any(reject in OF_FORM or reject.startswith("cbor-") for reject in step["expect"]["rejects"])
        if "frame" in given:
            yield f"step {place}", grammar.accepts_posted, bytes.fromhex(given["frame"]), may_be_wrong
        if "body" in given:
            # The child puts session, counter and tag around it.
            frame = bytes([given["type"]]) + bytes(4) + b"\x01" + bytes.fromhex(given["body"]) + bytes(8)
            yield f"step {place}", grammar.accepts_frame, frame, may_be_wrong
        for data in step["expect"].get("frames", ()):
            yield f"step {place}, sent", grammar.accepts_frame, bytes.fromhex(data), False


def check_conversations(grammar):
    """Returns (how many frames, bodies and envelopes of conversations were checked, those that are wrong)."""
    checked, wrong = 0, []
    for path in sorted(VECTORS.glob("11-engine/*.json")):
        for test in json.loads(path.read_text(encoding="utf-8"))["tests"]:
            parts = list(conversation_parts(grammar, test))
            checked += len(parts)
            refused = [(where, may_be_wrong) for where, accepts, data, may_be_wrong in parts if not accepts(data)]
            wrong += [f"{path.relative_to(VECTORS)} {test['name']} ({where})" for where, may_be_wrong in refused if not may_be_wrong]
    return checked, wrong


def check_vectors(grammar):
    """Returns (how many envelopes, frames and other parts were checked, valid ones refused, invalid ones accepted)."""
    checked, wrong, lax = 0, [], []
    for path in sorted(VECTORS.glob("**/*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for test in document.get("tests", []) if isinstance(document, dict) else []:
            if test["result"] == "valid":
                for accepts, data in other_parts(grammar, document["operation"], test):
                    checked += 1
                    if not accepts(data):
                        wrong.append(f"{path.relative_to(VECTORS)} {test['name']} (part)")
            frame_field = "input" if document.get("operation") == "frame.parse" else "frame"
            for field, accepts in (("cose", grammar.accepts_envelope), (frame_field, grammar.accepts_frame)):
                if not isinstance(test.get(field), str):
                    continue
                is_valid = test["result"] == "valid"
                if not is_valid and test.get("error") not in GRAMMATICAL:
                    continue
                if is_valid and "outer" in test["flags"]:
                    continue  # the outer form alone is right, and the grammar knows the kinds
                checked += 1
                if accepts(bytes.fromhex(test[field])) != is_valid:
                    (wrong if is_valid else lax).append(f"{path.relative_to(VECTORS)} {test['name']} ({test.get('error', 'valid')})")
    return checked, wrong, lax


def main():
    """Checks everything; returns the exit status."""
    try:
        import cbor2
        import zcbor
    except ImportError as error:
        print(f"SKIPPED: the CDDL check needs `pip install -r spec/requirements.txt` ({error})")
        return 0
    grammar = Grammar(zcbor, cbor2)
    wrong = check_samples(grammar)
    checked, wrong_vectors, lax = check_vectors(grammar)
    said, wrong_said = check_conversations(grammar)
    wrong += wrong_vectors + wrong_said
    for line in wrong:
        print(f"WRONG: {line}")
    for line in lax:
        print(f"beyond the grammar: {line}")
    print(f"{len(grammar.rules)} rules, {len(SAMPLES)} samples, {checked} vectors, {said} parts of conversations, {len(lax)} beyond the grammar, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
