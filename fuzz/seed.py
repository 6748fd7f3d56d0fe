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
    "exchange": [("05-frames/valid.json", "input"), ("05-frames/relays-valid.json", "input")],
    "http": [("05-frames/invalid.json", "input")],
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


def as_requests(content):
    """Wraps a frame as requests to a mailbox: of the device, of the writer, of a mailbox, of nobody; twice over time."""
    return steps((4, content), (5, content), (6, content), (2, content), (0, b""), (1, b""), (4, content))


def as_bodies(content):
    """Wraps a frame as a client of the HTTP binding would, whole and after a pause."""
    return steps((2, content), (3, b""), (2, content))


AS_STEPS = {"device_engine": as_answers, "controller_engine": as_words, "writer_link": as_mail, "exchange": as_requests, "http": as_bodies}


def records():
    """Builds damage to the rows of two stores: a row replaced, a byte changed, inserted, removed."""
    damages = {"null": b"\xf6", "array": b"\x82\x01\x01", "changed": b"\x00\x01\x17", "inserted": b"\x01\x01\x00", "removed": b"\x02\x00\x00"}
    return [
        (f"{role}-{row}-{name}", bytes([number + (0 if name in ("null", "array") else 2), row]) + damage)
        for number, role in enumerate(("device", "controller"))
        for row in (0, 1, 3, 5, 8)
        for name, damage in damages.items()
    ]


def requests():
    """Builds connections of HTTP clients by hand: good ones, bad heads, bad lengths, slow and broken bodies."""
    head = lambda method, path, *more: "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", *more, "", "")).encode()
    post = lambda *more: head("POST", "/gate/postern/1", *more)
    return [
        ("get", steps((0, head("GET", "/gate/postern/1")))),
        ("head", steps((0, head("HEAD", "/gate/postern/1")), (0, head("HEAD", "/")))),
        ("path-unknown", steps((0, head("POST", "/postern/1", "Content-Length: 0")))),
        ("path-query", steps((0, head("POST", "/gate/postern/1?x=1", "Content-Length: 0")))),
        ("absolute-form", steps((0, head("POST", "http://x/gate/postern/1", "Content-Length: 2") + b"\x12\x01"))),
        ("connect", steps((0, head("CONNECT", "x:443")))),
        ("ask", steps((0, post("Content-Length: 1") + b"\x12"))),
        ("ask-in-pieces", steps((0, post("Content-Length: 2")), (3, b""), (0, b"\x12"), (3, b""), (1, b"\x01"))),
        ("pipelined", steps((0, (post("Content-Length: 2") + b"\x12\x01") * 3))),
        ("without-length", steps((0, post()))),
        ("chunked", steps((0, post("Transfer-Encoding: chunked") + b"1\r\n\x12\r\n0\r\n\r\n"))),
        ("length-doubled", steps((0, post("Content-Length: 1", "Content-Length: 1") + b"\x12"))),
        ("length-differs", steps((0, post("Content-Length: 1", "Content-Length: 2") + b"\x12\x01"))),
        ("length-signed", steps((0, post("Content-Length: +1") + b"\x12"))),
        ("length-beyond", steps((0, post("Content-Length: 49153")))),
        ("length-endless", steps((0, post("Content-Length: 99999999999999999999")))),
        ("length-and-chunked", steps((0, post("Content-Length: 1", "Transfer-Encoding: chunked") + b"0\r\n\r\n"))),
        ("body-broken-off", steps((0, post("Content-Length: 90") + b"\x12\x01"))),
        ("body-slow", steps((0, post("Content-Length: 90")), *[(255, b""), (0, b"\x12")] * 6)),
        ("continue", steps((0, post("Content-Length: 2", "Expect: 100-continue")), (3, b""), (0, b"\x12\x01"))),
        ("close", steps((0, post("Content-Length: 2", "Connection: close") + b"\x12\x01"))),
        ("upgrade", steps((0, post("Content-Length: 0", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")))),
        ("old-version", steps((0, b"POST /gate/postern/1 HTTP/1.0\r\nContent-Length: 2\r\n\r\n\x12\x01"))),
        ("version-2-preface", steps((0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])))),
        ("header-folded", steps((0, b"POST /gate/postern/1 HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"))),
        ("header-without-name", steps((0, b"POST /gate/postern/1 HTTP/1.1\r\n: x\r\n\r\n"))),
        ("header-bare-lf", steps((0, b"POST /gate/postern/1 HTTP/1.1\nHost: x\nContent-Length: 0\n\n"))),
        ("headers-many", steps((0, post(*[f"X{number}: y" for number in range(120)])))),
        ("header-long", steps((0, post("X: " + "y" * 3900)))),
        ("head-slow", steps((0, b"POST /gate"), (255, b""), (1, b"/postern"))),
        ("head-slow-open", steps((0, b"POST /gate"), (3, b"\x01"))),
        ("nothing-open", steps((3, b"\x01"))),
        ("tls", steps((0, bytes.fromhex("160301002e0100002a0303") + bytes(32)))),
    ]


def mailboxes():
    """Builds lives of two mailboxes by hand: generation, epoch, seq, base, mark, size of each post."""
    snapshot = lambda *numbers: (0, bytes(numbers))
    delta = lambda *numbers: (2, bytes(numbers))
    ack = lambda *numbers: (4, bytes(numbers))
    bundle = lambda seq, size=1: (5, bytes((0, 0, seq, 0, 0, size)))
    need = lambda wait=0: (6, bytes((0, 0, 0, 0, wait)))
    other = lambda post: (post[0] | 0x80, post[1])
    first = snapshot(1, 1, 1, 0, 1, 9)
    return [
        ("chain", steps(first, delta(1, 1, 2, 1, 1, 1), delta(1, 1, 5, 2, 1, 1), need(), need(1), need(3))),
        ("chain-long", steps(first, *[delta(1, 1, seq + 1, seq, 0, 1) for seq in range(1, 9)])),
        ("chain-large", steps(first, *[delta(1, 1, seq + 1, seq, 0, 90) for seq in range(1, 5)])),
        ("gap", steps(first, delta(1, 1, 5, 4, 0, 1), delta(1, 1, 2, 1, 0, 1))),
        ("other-epoch", steps(first, delta(1, 2, 2, 1, 0, 1), snapshot(1, 2, 1, 0, 2, 1), snapshot(1, 1, 9, 0, 0, 1))),
        ("other-generation", steps(first, snapshot(2, 1, 1, 0, 0, 1), snapshot(0, 3, 9, 0, 0, 1), delta(1, 1, 2, 1, 0, 1))),
        ("equivocation", steps(first, snapshot(1, 1, 1, 0, 2, 9), delta(1, 1, 2, 1, 1, 1), delta(1, 1, 2, 1, 2, 1))),
        ("compaction", steps(first, delta(1, 1, 2, 1, 1, 1), snapshot(1, 1, 2, 0, 1, 1), delta(1, 1, 3, 2, 1, 1))),
        ("acknowledged", steps(ack(0, 1, 1), ack(0, 1, 1), ack(0, 1, 3), ack(0, 1, 2), ack(0, 2, 1))),
        ("bundles", steps(bundle(1), bundle(2), bundle(2), bundle(4), bundle(3), bundle(4, 200))),
        ("full", steps(*[snapshot(1, 1, seq, 0, seq % 3 + 1, 250) for seq in range(1, 5)])),
        ("both-full", steps(snapshot(1, 1, 1, 0, 1, 250), other(snapshot(1, 1, 1, 0, 1, 250)), other(snapshot(1, 1, 2, 0, 2, 255)), snapshot(1, 1, 2, 0, 3, 255))),
        ("removed", steps(first, delta(1, 1, 2, 1, 1, 1), (7, b""), delta(1, 1, 3, 2, 1, 1), first)),
        ("bytes", steps(first, (7, b"\x00\x84"), (7, b"\x01\x80"), (7, b"\x02"), (7, b"\x03\xf6"))),
    ]


def proxy_headers():
    """Builds headers of fronts by hand."""
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    header = lambda command, family, rest: signature + bytes([command, family]) + struct.pack(">H", len(rest)) + rest
    v4, v6 = bytes([203, 0, 113, 7, 10, 0, 0, 1]) + bytes(4), b"\x20\x01\x0d\xb8" + bytes(12) + bytes(16) + bytes(4)
    addition = lambda kind, value: bytes([kind]) + struct.pack(">H", len(value)) + value
    return [
        ("v4", header(0x21, 0x11, v4) + b"\x16\x03\x01"),
        ("v6", header(0x21, 0x21, v6)),
        ("v4-in-v6", header(0x21, 0x21, bytes(10) + b"\xff\xff" + v4[:4] + bytes(20))),
        ("local", header(0x20, 0x00, b"")),
        ("local-with-more", header(0x20, 0x11, v4 + addition(4, b"noop"))),
        ("additions", header(0x21, 0x11, v4 + addition(1, b"h2") + addition(2, b"x.example") + addition(4, b""))),
        ("addition-beyond", header(0x21, 0x11, v4 + b"\x01\x00\x09h2")),
        ("checksum-wrong", header(0x21, 0x11, v4 + addition(3, bytes(4)))),
        ("unspecified-address", header(0x21, 0x11, bytes(12))),
        ("unix", header(0x21, 0x31, bytes(216))),
        ("udp", header(0x21, 0x12, v4)),
        ("short", header(0x21, 0x11, v4[:8])),
        ("cut", header(0x21, 0x11, v4)[:20]),
        ("version-1", b"PROXY TCP4 203.0.113.7 10.0.0.1 40000 443\r\n"),
        ("tls", bytes.fromhex("160301002e0100002a0303") + bytes(32)),
    ]


def stored_records():
    """Builds frames of values, and records of lanes, admissions and accounts, whole and cut."""
    number = lambda value: value.to_bytes(8, "big")
    counted = lambda value: number(len(value)) + value
    stamp, place = number(3) + number(9), bytes(16) + b"\x00"
    snapshots = [content[1:] for name, content in rows("03-sign1/valid.json", "cose") if "-snapshot-" in name][:3]
    deltas = [content[1:] for name, content in rows("03-sign1/valid.json", "cose") if "-delta-" in name][:2]
    link = lambda envelope: number(2) + bytes(32) + stamp + number(1) + counted(envelope)
    base = lambda envelope: number(1) + number(1) + link(envelope)
    letter = number(1) + number(2) + bytes(32) + stamp
    lane = lambda key, value: (2 * len(key), key + value)
    found = [
        ("frame-empty", b"\x00\x00"),
        ("frame-value", b"\x00\x03key\x01\x00\x00\x00\x05\x00\x00\x00\x00value"),
        ("frame-long", b"\x00\x10" + bytes(range(64))),
        ("mark", b"\x01" + steps(lane(place + b"\x00", number(1) + number(1) + number(2) + bytes(32) + stamp + number(0)))),
        ("letter", b"\x01" + steps(lane(place + b"\x04\x00", letter + number(1) + counted(b"\x84")))),
        ("letter-mark", b"\x01" + steps(lane(place + b"\x04\x03", letter + number(0)))),
        ("slot-unknown", b"\x01" + steps(lane(place + b"\x04\x09", letter + number(0)))),
        ("account", b"\x01" + steps(lane(bytes(16), number(9) + number(4) + number(60) + number(0)))),
        ("account-cut", b"\x01" + steps(lane(bytes(16), number(9) + number(4)))),
        ("admission", b"\x01" + steps((1, counted(b"acme") + counted(b"press-7") + bytes(16) + number(1 << 20) + number(0) + number(1) * 4 + bytes(32) + counted(b"\x84") + number(0)))),
        ("handover-empty", b"\x01" + steps((1, b"postern-handover/1" + bytes(32) + number(1) + number(1) + bytes(32) + number(0)))),
        ("delta-alone", b"\x01" + steps(lane(place + b"\x01" + number(2), link(deltas[0])))),
    ]
    for index, envelope in enumerate(snapshots):
        pending = lane(place + b"\x03", number(1) + stamp + counted(envelope))
        chain = [lane(place + b"\x00", base(envelope)), lane(place + b"\x01" + number(2), link(deltas[0]))]
        found += [(f"pending-{index}", b"\x01" + steps(pending)), (f"chain-{index}", b"\x01" + steps(*chain))]
    return found


def configurations():
    """Builds configuration files by hand: whole, misspelt, of wrong types, with a secret, too deep."""
    proxy = '[proxy]\nurl = "http://proxy.example:3128"\nmode = "require"\nno_proxy = "localhost,.x.example,10.0.0.0/8"\n'
    files = {
        "empty": "",
        "log": '[log]\nlevel = "info,postern_egress=debug"\njson = true\n',
        "log-level-unknown": '[log]\nlevel = "loud"\n',
        "proxy": proxy + 'schemes = ["negotiate", "ntlm", "digest", "basic"]\ncredentials_for = ["*.corp.example"]\n',
        "proxy-with-password": '[proxy]\nurl = "http://alice:hunter2hunter2@proxy.example:3128"\n',
        "proxy-with-password-and-typo": '[proxy]\nurl = "http://alice:hunter2hunter2@proxy.example:3128"\nmod = "off"\n',
        "proxy-scheme-unknown": '[proxy]\nurl = "ftp://proxy.example"\n',
        "proxy-and-script": proxy + 'pac = "http://pac.example/proxy.pac"\n',
        "script": '[proxy]\npac = "https://pac.example/p"\nmode = "prefer"\npac_dns = "deny"\nwpad = false\n',
        "script-file": '[proxy]\npac = "proxy.pac"\n',
        "secret-file": proxy + 'secret_file = ""\n',
        "transport": '[transport]\nquic = false\npush = "stream"\nuser_agent = "x"\n',
        "transport-types": '[transport]\nquic = "no"\npush = 1\nuser_agent = [1]\n',
        "key-misspelt": '[transport]\nqiuc = true\n[prxy]\nurl = 1\n',
        "key-twice": '[log]\njson = true\njson = false\n',
        "key-dotted": 'log.level = "warn"\nproxy.mode = "off"\n',
        "table-is-text": 'log = "x"\nproxy = 3\ntransport = [1]\n',
        "table-array": '[[proxy]]\nurl = "x"\n',
        "ca-files": 'extra_ca_files = ["ca.pem", "", 3]\n',
        "text-of-lines": '[log]\nlevel = """\ninfo"""\n',
        "escapes": '[proxy]\nurl = "\\u0068ttp://\\U0001F600"\n',
        "numbers": 'a = 0x_1\nb = 1e400\nc = -nan\nd = 1979-05-27T07:32:00Z\ne = 99999999999999999999\n',
        "deep-array": "a = " + "[" * 200 + "]" * 200,
        "deep-table": "a = " + "{b = " * 100 + "1" + "}" * 100,
        "deep-dotted": ".".join("a" * 400) + " = 1\n",
        "open-text": '[log]\nlevel = "info',
        "carriage-return": '[log]\r\njson = true\r\n',
        "byte-order-mark": '\ufeff[log]\njson = true\n',
    }
    return [(name, text.encode()) for name, text in files.items()]


def scripts():
    """Builds PAC scripts by hand: what sites write, and what no engine should fall for."""
    find = lambda body: "function FindProxyForURL(url, host) {\n" + body + "\n}\n"
    files = {
        "direct": find('return "DIRECT";'),
        "usual": find('if (isPlainHostName(host) || dnsDomainIs(host, ".test")) return "DIRECT";\nif (shExpMatch(url, "*/ads/*")) return "PROXY a:1";\nreturn "PROXY p.example:3128; SOCKS5 s:1080; DIRECT";'),
        "networks": find('return isInNet(dnsResolve(host), "10.0.0.0", "255.0.0.0") && isInNet(myIpAddress(), "10.1.0.0", "255.255.0.0") ? "DIRECT" : "PROXY p:1";'),
        "addresses-ex": find('return isInNetEx(dnsResolveEx(host), "10.0.0.0/8") ? sortIpAddressList(myIpAddressEx() + ";::1") : "PROXY p:1";'),
        "times": find('return weekdayRange("MON", "FRI", "GMT") || dateRange(1, "JAN", 2000, 31, "DEC", 2099) || timeRange(8, 0, 0, 18, 30, 0) ? "PROXY p:1" : "DIRECT";'),
        "levels": find('return dnsDomainLevels(host) + localHostOrDomainIs(host, "www.x.test") + isResolvable("none.test");'),
        "hash-of-hosts": "var hosts = {};\nfor (var i = 0; i < 50; i++) hosts['h' + i + '.test'] = 1;\n" + find('return host in hosts ? "DIRECT" : "PROXY p:1";'),
        "undeclared": find('x = host; return "PROXY " + x + ":1";'),
        "no-function": "var a = 1;",
        "not-text": find("return 7;"),
        "throws": find('throw new Error("no\\u0007");'),
        "throws-text": find('throw "x\\ny";'),
        "syntax": "function FindProxyForURL(url, host) { return",
        "endless": find("for (;;) {}"),
        "endless-recursion": find("return FindProxyForURL(url, host);"),
        "memory": find('var a = []; for (;;) a.push("x".repeat(1000));'),
        "long-text": find('return "PROXY p:1; ".repeat(5000);'),
        "lookups": find('for (var i = 0; i < 40; i++) dnsResolve("h" + i + ".test"); return "DIRECT";'),
        "getter": "Object.defineProperty(this, 'FindProxyForURL', {get: function () { throw 1; }});",
        "proxy-object": "var FindProxyForURL = new Proxy(function () { return 'DIRECT'; }, {apply: function () { return 'PROXY p:1'; }});",
        "prototype": 'String.prototype.toString = function () { return FindProxyForURL; };\n' + find("return new String('DIRECT');"),
        "regular-expression": find('return /^(a+)+$/.test("a".repeat(28) + "b") ? "DIRECT" : "PROXY p:1";'),
        "eval": find('return eval("\'DIRECT\'");'),
        "promise": find('Promise.resolve().then(function () { for (;;) {} }); return "DIRECT";'),
        "surrogate": find('return "PROXY \\ud800:1";'),
        "nul": find('return "PROXY a\\0b:1";'),
    }
    return [(name, text.encode()) for name, text in files.items()]


def pipes():
    """Builds words of a process that evaluates, and of its parent."""
    lines = {
        "ready": "ready\n", "text": "text 6\nDIRECT", "text-empty": "text 0\n", "text-long": "text 18446744073709551616\n",
        "threw": "threw 2\nno", "threw-control": "threw 2\n\x07\n", "slow": "slow\n", "memory": "memory\n", "nothing": "nothing\n", "kind": "kind\n",
        "lookup": "lookup a.test\n", "lookup-none": "lookup \n", "unknown": "exec /bin/sh\n", "found": "found 10.0.0.1,::1\n", "found-none": "found -\n",
        "ask": "ask 10.0.0.1,::1 1790000000000 https://a.test/ a.test 7\nscripts", "ask-none": "ask - - u h 0\n", "ask-more": "ask - - u h 0 0\n",
    }
    return [(name, text.encode()) for name, text in lines.items()]


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
        by_hand = BESIDE.get(target, list)()
        found = [candidates(target, *source) for source in sources]
        count = (FILES_MAX - len(by_hand)) // len(sources)
        seeds = [row for of_file in found for row in by_digest(of_file, count)]
        write(target, [row for of_file in found for row in of_file], seeds + by_hand)
    for target, found in {"edit_between": edits(), "trust_line": trust_lines()}.items():
        write(target, found, by_digest(found, FILES_MAX))
    for target, seeds in BY_HAND.items():
        write(target, [], seeds())


BESIDE = {"http": requests}
BY_HAND = {
    "join_line": join_lines,
    "records": records,
    "mailbox": mailboxes,
    "proxy_header": proxy_headers,
    "stored": stored_records,
    "config": configurations,
    "pac_script": scripts,
    "pac_pipe": pipes,
    "proxy_answers": proxy_answers,
}


if __name__ == "__main__":
    main()
