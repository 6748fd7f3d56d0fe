"""Verification of one envelope, in the order of the specification."""

from . import payload
from .cbor import Refused, ensure, read, write
from .crypto import sha256, thumbprint, verify

BYTES_MAX = 48128
# kind: plane of each role that signs it, epoch is zero, seq is zero
KINDS = {
    0: ({"writer": 0, "device": 1}, False, False), 1: ({"writer": 0, "device": 1}, False, False), 2: ({"device": 1}, False, False),
    3: ({"writer": 0}, False, False), 5: ({"enrolling": None}, True, True), 6: ({"writer": None}, False, False),
    4: ({"writer": 0, "device": 1}, False, False), 12: ({"device": 0, "writer": 1}, False, False),
    7: ({"root": None}, True, False), 9: ({"device": None, "writer": None, "mailbox": None}, True, True), 10: ({"mailbox": None}, True, True),
    8: ({"writer": None}, False, False), 11: ({"mailbox": None}, False, False), 13: ({"writer": None}, False, False), 14: ({"mailbox": (0, 1)}, False, False),
}


class Opened:
    """A parsed envelope."""

    def __init__(self, items, header):
        self.protected, _, self.payload, self.signature = items
        self.kid, self.algorithm = header[4], header[1]
        self.kind, self.epoch, self.seq, self.base, self.digest = header[-65537]

    def structure(self, aad):
        """Returns the Sig_structure."""
        return write(["Signature1", self.protected, aad, self.payload])


def parse(data):
    """Returns the parsed envelope without its tag."""
    ensure(len(data) <= BYTES_MAX, "oversize")
    items = read(data)
    shaped = isinstance(items, list) and [type(item) for item in items] == [bytes, dict, bytes, bytes]
    header = read(items[0]) if shaped else None
    ensure(shaped, "shape")
    ensure(items[1] == {}, "unprotected-not-empty")
    ensure(isinstance(header, dict) and {1, 4, -65537} <= set(header), "shape")
    ensure(2 not in header, "crit-unknown")
    ensure(len(header) == 3, "header-label-unknown")
    ensure(header[1] in (-19, -9), "algorithm-unknown")
    ensure(isinstance(header[4], bytes) and len(header[4]) == 8, "shape")
    ensure(position(header[-65537]), "shape")
    return Opened(items, header)


def position(value):
    """Tells whether a value is [kind, epoch, seq, base, digest]."""
    return (
        isinstance(value, list) and len(value) == 5 and isinstance(value[4], bytes)
        and all(type(number) is int and number >= 0 for number in value[:4])
    )


def check_numbers(opened):
    """Checks epoch, seq, base and the length of the digest."""
    if opened.kind == 4:
        ensure((opened.epoch == 0) == (opened.seq == 0) and opened.base > 0, "header-numbers")
        ensure(len(opened.digest) == (32 if opened.seq else 0), "digest-length")
        return
    _, no_epoch, no_seq = KINDS[opened.kind]
    if no_epoch:
        ensure(opened.epoch == 0, "header-numbers")
    ensure(no_epoch or opened.epoch > 0, "epoch-zero")
    if no_seq:
        ensure(opened.seq == 0, "header-numbers")
    ensure(no_seq or opened.seq > 0, "seq-zero")
    if opened.kind in (0, 14):
        ensure(opened.base < opened.seq, "base-not-below")
        ensure(opened.base > 0 or opened.kind == 14, "header-numbers")
    else:
        ensure(opened.base == (opened.seq - 1 if opened.kind == 7 else 0), "header-numbers")
    lengths = {2: (0, 32), 3: (0,), 14: (0,), 7: (0,) if opened.seq == 1 else (32,)}.get(opened.kind, (32,))
    ensure(len(opened.digest) in lengths, "digest-length")


def verify_envelope(data, role, plane, aad, publics, revoked=()):
    """Verifies and returns (envelope, payload, message id, public key)."""
    opened = parse(data)
    ensure(opened.kind in KINDS, "kind-unknown")
    check_numbers(opened)
    planes = KINDS[opened.kind][0]
    ensure(role in planes, "signer-role")
    ensure(plane in planes[role] if isinstance(planes[role], tuple) else planes[role] == plane, "plane-mismatch")
    ensure(len(opened.signature) == 64, "signature-length")
    found = [public for public in publics if thumbprint(public)[:8] == opened.kid]
    ensure(found, "key-unknown")
    ensure(opened.algorithm == (-19 if len(found[0]) == 32 else -9), "algorithm-mismatch")
    ensure(thumbprint(found[0]) not in revoked, "key-revoked")
    structure = opened.structure(aad)
    verify(found[0], structure, opened.signature)
    content = payload.decode(opened)
    return opened, content, sha256(structure), found[0]


def untag(data):
    """Returns the bytes after tag 18."""
    ensure(data != b"", "cbor-truncated")
    if data[:1] == b"\xd2":
        return data[1:]
    raise Refused("shape")
