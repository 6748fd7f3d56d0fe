"""Writes the seed corpora of the fuzz targets from the interoperability vectors.

At most 45 files a target and 4 KiB a file, named after their vectors and chosen by the digest of the name, so that
a new vector displaces at most one other. What is no longer chosen goes; what a run has found stays beside the seeds,
because no vector has its name.
"""

import base64
import hashlib
import json
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "interop-vectors" / "v1"
FILES_MAX = 45
BYTES_MAX = 4096

SOURCES = {
    "cbor": [("01-cbor/valid.json", "input"), ("01-cbor/invalid.json", "input")],
    "envelope": [("03-sign1/valid.json", "cose"), ("03-sign1/invalid-header.json", "cose")],
    "differential": [("01-cbor/valid.json", "input"), ("03-sign1/valid.json", "cose"), ("03-sign1/invalid-header.json", "cose")],
    "frame": [("05-frames/valid.json", "input"), ("05-frames/invalid.json", "input")],
    "snapshot": [("03-sign1/valid.json", "cose"), ("03-sign1/invalid-payload.json", "cose")],
    "report": [("03-sign1/valid.json", "cose"), ("03-sign1/invalid-payload.json", "cose")],
    "heartbeat": [("03-sign1/heartbeat.json", "cose")],
    "evidence": [("03-sign1/evidence.json", "cose")],
    "file": [("06-sessions/files.json", "input")],
    "delta_apply": [("04-state/apply-valid.json", "delta"), ("04-state/apply-invalid.json", "delta")],
    "bundle": [("06-sessions/bundles.json", "incoming")],
    "controller_engine": [("03-sign1/valid.json", "cose"), ("03-sign1/heartbeat.json", "cose")],
    "writer_link": [("05-frames/valid.json", "input"), ("05-frames/relays-valid.json", "input"), ("03-sign1/valid.json", "cose")],
    "device_engine": [("03-sign1/valid.json", "cose"), ("05-frames/valid.json", "input")],
}


def rows(file, member):
    """Returns the vectors of a file as (name, bytes)."""
    tests = json.loads((VECTORS / file).read_text())["tests"]
    return [(test["name"], bytes.fromhex(test[member])) for test in tests if test.get(member)]


def byte_string(content, at):
    """Reads the CBOR byte string at an offset; returns it with the offset behind it."""
    info = content[at] & 0x1F
    width = {24: 1, 25: 2, 26: 4}.get(info, 0)
    length = int.from_bytes(content[at + 1 : at + 1 + width]) if width else info
    start = at + 1 + width
    return content[start : start + length], start + length


def payload(content):
    """Returns the payload of a tagged COSE_Sign1, whose unprotected header is one empty map."""
    _, end = byte_string(content, 2)
    return byte_string(content, end + 1)[0]


def join_lines():
    """Builds join lines by hand: the shortest one, and each way in which copying breaks it."""
    text = lambda value: bytes([0x60 + len(value)]) + value
    root, secret = b"\x58\x20" + bytes(range(32)), b"\x58\x20" + bytes(32)
    token = b"\x48" + bytes(8)
    head = b"\x01\x81" + text(b"https://a.example/") + b"\x02" + root + b"\x03" + root
    tail = b"\x04" + text(b"acme") + b"\x05" + text(b"press-7") + b"\x06" + token + b"\x07" + secret
    line = lambda content: b"postern1:" + base64.urlsafe_b64encode(content).rstrip(b"=")
    least = b"\xa7" + head + tail
    return [
        ("line-least", line(least)),
        ("line-with-anchor", line(b"\xa8" + head + tail + b"\x08\x44" + bytes(4))),
        ("line-with-mailbox", line(b"\xa8" + head + tail + b"\x09" + root)),
        ("line-between-spaces", b" \t" + line(least) + b"\r\n"),
        ("line-empty", b"postern1:"),
        ("line-of-version-2", line(least).replace(b"postern1", b"postern2")),
        ("line-cut", line(least)[:-5]),
        ("line-padded", line(least) + b"="),
        ("line-broken-in-two", line(least)[:60] + b"\n" + line(least)[60:]),
        ("line-unsorted", line(b"\xa7" + tail + head)),
        ("line-field-unknown", line(b"\xa8" + head + tail + b"\x0a\x00")),
        ("line-field-missing", line(b"\xa6" + head + tail[:-35])),
        ("line-trailing", line(least + b"\x00")),
    ]


def edits():
    """Builds pairs of texts from the edits that apply: what stood there, then what is made of it, equally long."""
    found = []
    for test in json.loads((VECTORS / "04-state/edit-valid.json").read_text())["tests"]:
        before, after = (test.get(member, {}).get("t") for member in ("state", "after"))
        if isinstance(before, str) and isinstance(after, str) and before != after:
            halves = [text.encode() for text in (before, after)]
            length = max(map(len, halves))
            found.append((test["name"], b"".join(half.ljust(length, b".") for half in halves)))
    return found


def proxy_answers():
    """Builds answers of proxies by hand; the first byte chooses the reader, the second a cut."""
    text = lambda value: value.encode("utf-16-le")
    head = lambda value: b"\x00\x14" + value.replace("\n", "\r\n").encode()
    pair = lambda name, value: struct.pack("<HH", name, len(value)) + value

    def challenge(info, offset=64, flags=0x00888205):
        start = b"NTLMSSP\0" + struct.pack("<IHHII", 2, 8, 8, 56, flags) + bytes(range(8)) + bytes(8)
        return b"\x01\x00" + start + struct.pack("<HHI", len(info), len(info), offset) + bytes(8) + text("CORP") + info

    domain, time, end = pair(2, text("CORP")), pair(7, bytes(8)), bytes(4)
    digest = 'Digest realm="r", nonce="n", qop="auth"'
    return [
        ("head-200", head("HTTP/1.1 200 Connection established\n\n\x16\x03")),
        ("head-201-old", head("HTTP/1.0 201 Created\nX: y\n\nearly")),
        ("head-interim", head("HTTP/1.1 100 c\n\nHTTP/1.1 200 ok\n\nx")),
        ("head-403", head("HTTP/1.1 403 Forbidden\nContent-Length: 4\n\nbody")),
        ("head-407-body", head("HTTP/1.1 407 x\nProxy-Authenticate: Basic realm=\"a, b\"\nContent-Length: 5\n\nhello")),
        ("head-407-all", head(f"HTTP/1.1 407 x\nProxy-Authenticate: Negotiate\nProxy-Authenticate: NTLM TlRM==, {digest}\n\n")),
        ("head-407-closes", head("HTTP/1.0 407 x\nProxy-Authenticate: Basic\nConnection: close\n\n<html>")),
        ("head-garbage", head("SSH-2.0-OpenSSH\n")),
        ("head-cut", head("HTTP/1.1 407 x\nProxy-Auth")),
        ("ntlm-domain", challenge(domain + end)),
        ("ntlm-timestamp", challenge(domain + time + pair(6, b"\x01\0\0\0") + end)),
        ("ntlm-without-end", challenge(domain)),
        ("ntlm-outside", challenge(domain + end, offset=0xFFFFFFF0)),
        ("ntlm-without-target", challenge(b"", flags=0x00088205)),
        ("ntlm-8-bit", challenge(domain + end, flags=0x00888204)),
        ("digest-md5", b"\x02\x00" + digest.encode()),
        ("digest-two", b"\x02\x00" + f"{digest}, algorithm=MD5\n{digest}, algorithm=SHA-256, stale=true".encode()),
        ("digest-escapes", b"\x02\x00" + rb'Digest realm="a, \"b\" \\ c", nonce=n, qop="auth-int,auth", opaque="\\"'),
        ("digest-session", b"\x02\x00" + f"{digest}, algorithm=MD5-sess".encode()),
        ("socks-open", b"\x03\x02\x05\x00\x05\x00\x00\x01" + bytes(6) + b"\x16\x03"),
        ("socks-name", b"\x03\x02\x05\x00\x05\x00\x00\x03\x02ab\x00\x50x"),
        ("socks-password", b"\x03\x02\x05\x02\x01\x00"),
        ("socks-refused", b"\x03\x02\x05\x00\x05\x02"),
        ("socks-http", b"\x03\x02HTTP/1.1 400 Bad Request"),
    ]


def candidates(target, file, member):
    """Returns the vectors of a file that a target can start from as (name, bytes)."""
    found = rows(file, member)
    if target in ("snapshot", "report", "heartbeat", "evidence"):
        return [(name, payload(content)) for name, content in found if f"-{target}-" in name]
    if target in ("envelope", "bundle", "differential"):
        return [(name, content.removeprefix(b"\xd2")) for name, content in found]
    if target in AS_STEPS:
        return [(name, AS_STEPS[target](content)) for name, content in found]
    return found


def by_digest(items, count):
    """Chooses `count` of the items that are small enough, whatever the others are."""
    small = [item for item in items if len(item[1]) <= BYTES_MAX]
    return sorted(small, key=lambda item: hashlib.sha256(item[0].encode()).digest())[:count]


def steps(*parts):
    """Writes steps of an engine's target from pairs of selector and bytes."""
    return b"".join(bytes([selector]) + len(content).to_bytes(2, "big") + content for selector, content in parts)


def as_answers(content):
    """Wraps bytes as answers to a device: raw, then as an item of each plane."""
    content = content.removeprefix(b"\xd2")
    return steps((1, content), (3, content), (4, content), (8, content))


def as_words(content):
    """Wraps an envelope as words to a controller: unsigned, then its payload signed by the device as each kind."""
    content = content.removeprefix(b"\xd2")
    said = payload(b"\xd2" + content)
    signed = [(9 + kind % 3, bytes([kind, 3, 1 + kind, 1]) + said) for kind in range(5)]
    return steps((7, content), (6, b"\x03\x01\x07"), *signed, (0, b""), (2, b""), (1, b""))


def as_mail(content):
    """Wraps bytes as the life of a writer's link: delivered where they are an envelope, else answered to a collect."""
    if content[:1] == b"\xd2":
        return steps((3, content[1:]), (8, b""), (9, b""), (6, b""), (0, b""))
    return steps((8, b""), (9, content), (4, b""), (5, content), (10, content), (2, b""), (1, content))


AS_STEPS = {"device_engine": as_answers, "controller_engine": as_words, "writer_link": as_mail}


def records():
    """Builds damage to the rows of two stores: a row replaced, a byte changed, inserted, removed."""
    damages = {"null": b"\xf6", "array": b"\x82\x01\x01", "changed": b"\x00\x01\x17", "inserted": b"\x01\x01\x00", "removed": b"\x02\x00\x00"}
    return [
        (f"{role}-{row}-{name}", bytes([number + (0 if name in ("null", "array") else 2), row]) + damage)
        for number, role in enumerate(("device", "controller"))
        for row in (0, 1, 3, 5, 8)
        for name, damage in damages.items()
    ]


def trust_lines():
    """Reads trust lines and relay lines, whole and broken."""
    tests = json.loads((VECTORS / "06-sessions/lines.json").read_text())["tests"]
    return [(test["name"], test["text"].encode()) for test in tests]


def write(target, found, seeds):
    """Makes the corpus of a target hold these seeds, none of the others that were found, and whatever else it holds."""
    folder = Path(__file__).resolve().parent / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name in {name for name, _ in found} - {name for name, _ in seeds}:
        (folder / name).unlink(missing_ok=True)
    for name, content in seeds:
        (folder / name).write_bytes(content)


def main():
    for target, sources in SOURCES.items():
        found = [candidates(target, *source) for source in sources]
        seeds = [row for of_file in found for row in by_digest(of_file, FILES_MAX // len(sources))]
        write(target, [row for of_file in found for row in of_file], seeds)
    for target, found in {"edit_between": edits(), "trust_line": trust_lines()}.items():
        write(target, found, by_digest(found, FILES_MAX))
    for target, seeds in BY_HAND.items():
        write(target, [], seeds())


BY_HAND = {"join_line": join_lines, "records": records, "proxy_answers": proxy_answers}


if __name__ == "__main__":
    main()
