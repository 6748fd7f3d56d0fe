"""Evidence with what is inside, requests for a next key, and files."""

from . import frame
from .cbor import Reader, Refused, ensure, read
from .crypto import thumbprint
from .envelope import parse, untag, verify_envelope
from .payload import cose_key
from .session import aad

PLANES = {"device": (0, "writer"), "writer": (1, "device")}
ITEMS = {14: 3, 16: 3, 17: 2, 23: 3}


def raw(test, *names):
    """Returns members of a test as bytes."""
    return [bytes.fromhex(test[name]) for name in names]


def evidence(test):
    """Judges evidence and each envelope in it."""
    cose, reader, accused, root, incarnation = raw(test, "cose", "reader_key", "accused_key", "root", "incarnation")
    plane, role = PLANES[test["role"]]
    place = (root, test["tenant"], test["device"], incarnation, plane)
    _, (_, _, proofs), _, _ = verify_envelope(untag(cose), test["role"], plane, aad(12, *place), [reader])
    proved = []
    for message_id, data in proofs:
        proved.append(data is not None)
        if data is not None:
            kind = parse(data).kind
            ensure(verify_envelope(data, role, plane, aad(kind, *place), [accused])[2] == message_id, "digest-mismatch")
    assert proved == test["proved"], test["name"]


def rotation(test):
    """Judges a request for a next key."""
    data, current, root, incarnation = raw(test, "request", "current", "root", "incarnation")
    opened = parse(data)
    ensure(opened.kind == 5, "signer-role")
    token, device, key, life, _ = read(opened.payload)
    public = cose_key(key)
    verify_envelope(data, "enrolling", None, aad(5, root, test["tenant"]), [public])
    ensure(token == current[:8] and device == test["device"] and life == incarnation, "token-unknown")
    ensure(thumbprint(public) != current, "token-used")


def file(test):
    """Judges a file frame by frame."""
    (data,) = raw(test, "input")
    at, count = 0, 0
    try:
        while at < len(data):
            end = length(data[at:])
            frame.parse(data[at:at + end], "file")
            at, count = at + end, count + 1
    except Refused:
        assert count == test["frames"], test["name"]
        raise
    assert count == test["frames"], test["name"]


def length(data):
    """Returns the length of the first frame of what is left of a file."""
    ensure(data[0] in frame.UP + frame.DOWN + frame.FILE, "frame-unknown")
    ensure(data[0] in ITEMS, "frame-direction")
    reader = Reader(data)
    reader.at = 1
    for place in range(ITEMS[data[0]]):
        if data[0] == 23 and place == 2 and not reader.done:
            if data[reader.at] != 0xD2:
                reader.item()
                raise Refused("shape")
            reader.at += 1
        reader.item()
    return reader.at
