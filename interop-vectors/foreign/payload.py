"""The typed form of each kind's payload."""

import re

from . import encryption, state
from .cbor import ensure, read
from .crypto import check_key, sha256, thumbprint

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def decode(opened):
    """Returns the decoded payload of an envelope."""
    value = read(opened.payload)
    if opened.kind == 0 and isinstance(value, list) and value and isinstance(value[0], bytes):
        encryption.check_form(value)
        return value
    if opened.kind == 0:
        return state.decode_delta(opened.payload)
    forms = {1: snapshot, 2: report, 3: acknowledgement, 4: heartbeat, 12: evidence, 5: request, 6: answer, 7: bundle, 9: hello, 10: welcome, 8: admission, 11: receipt, 13: plane_key, 14: lost}
    forms[opened.kind](opened, value)
    return value


def uints(*values):
    """Tells whether all values are unsigned integers."""
    return all(type(value) is int and value >= 0 for value in values)


def sized(value, size):
    """Tells whether a value is bytes of a size."""
    return isinstance(value, bytes) and len(value) == size


def tuple_of(value, count):
    """Tells whether a value is an array of a length."""
    return isinstance(value, list) and len(value) == count


def check_name(text):
    """Checks a tenant or device name."""
    ensure(NAME.fullmatch(text) is not None, "name-invalid")


def cose_key(value):
    """Returns the public key of a COSE_Key map."""
    public = bare_key(value)
    check_key(public)
    return public


def bare_key(value):
    """Returns the bytes of a COSE_Key map of either type, unchecked."""
    ensure(isinstance(value, dict) and uints(value.get(1)), "shape")
    labels, curve = {1: ((-2,), 6), 2: ((-2, -3), 1)}.get(value[1], ((), None))
    ensure(set(value) == {1, -1, *labels} and type(value[-1]) is int and value[-1] == curve, "shape")
    ensure(all(sized(value[label], 32) for label in labels), "shape")
    return b"\x04" * (len(labels) - 1) + b"".join(value[label] for label in labels)


def snapshot(opened, value):
    """Checks a snapshot."""
    ensure(tuple_of(value, 2) or tuple_of(value, 3), "shape")
    table, lineage = value[:2]
    ensure(isinstance(table, dict) and isinstance(lineage, list), "shape")
    check_table(table, len(value) == 3)
    previous = 0
    for entry in lineage:
        ensure(tuple_of(entry, 3) and uints(*entry[:2]) and sized(entry[2], 32), "shape")
        ensure(previous < entry[0] < opened.epoch and entry[1] > 0, "lineage-invalid")
        previous = entry[0]
    ensure(len(lineage) <= 64, "lineage-invalid")
    if len(value) == 3:
        ensure(uints(value[2]) and value[2] > 0, "shape")
    else:
        ensure(state.root(table) == opened.digest, "digest-mismatch")


def check_table(table, encrypted=False):
    """Checks a section table, of which an encrypted plane has a form of its own."""
    ensure(isinstance(table, dict), "shape")
    for name, body in table.items():
        digests = body if encrypted else [body]
        ensure(isinstance(name, str) and tuple_of(digests, 1 + encrypted) and all(sized(one, 32) for one in digests), "shape")
        ensure(name == "" or state.segment(name), "section-invalid")
    ensure(len(table) <= state.SECTIONS_MAX, "state-oversize")


def heartbeat(_, value):
    """Checks a heartbeat."""
    ensure(tuple_of(value, 6) and sized(value[0], 8) and uints(*value[1:4]), "shape")
    ensure((value[2] == 0) == (value[3] == 0), "shape")
    ensure(all(nonce is None or sized(nonce, 16) for nonce in value[4:]), "shape")


def evidence(opened, value):
    """Checks evidence."""
    ensure(tuple_of(value, 3) and type(value[0]) is int and value[0] in (64, 66), "shape")
    code, table, proofs = value
    if table is not None:
        check_table(table)
        ensure(code == 64, "shape")
    ensure(isinstance(proofs, list) and len(proofs) in (1, 2), "shape")
    for entry in proofs:
        ensure(tuple_of(entry, 2) and sized(entry[0], 32) and (entry[1] is None or isinstance(entry[1], bytes)), "shape")
    ensure(table is None or state.root(table) == opened.digest, "digest-mismatch")


def report(opened, value):
    """Checks a report."""
    ensure(isinstance(value, list) and len(value) in (2, 3, 6, 7), "shape")
    cursors, lists = (value[:2], value[2:]) if len(value) < 6 else (value[:6], value[6:])
    ensure(uints(*cursors), "shape")
    if len(cursors) == 6:
        received, accepted, applied = cursors[:2], cursors[2:4], cursors[4:]
        ensure(not received == accepted == applied, "shape")
        ensure(received >= accepted >= applied, "report-cursors")
    for content in lists:
        if isinstance(content, list):
            encryption.check_form(content)
            continue
        ensure(isinstance(content, dict) and content and set(content) <= {1, 2, 3, 4, 5, 6, 7}, "shape")
        for label, entries in content.items():
            if label < 6:
                report_list(label, entries)
        ensure(isinstance(content.get(6, b"x"), bytes) and content.get(6) != b"" and content.get(7, True) is True, "shape")
        ensure(len(content.get(6, b"x")) <= 512, "report-list-oversize")
    ensure((len(opened.digest) == 32) == any(cursors[-2:]), "digest-length")


def report_list(label, entries):
    """Checks one list of a report."""
    ensure(isinstance(entries, list) and entries, "shape")
    ensure(len(entries) <= 16, "report-list-oversize")
    for entry in entries if label == 5 else ():
        intent(entry)
    for entry in entries if label != 5 else ():
        ensure(tuple_of(entry, {1: 4, 2: 4, 3: 3, 4: 2}[label]), "shape")
        if label == 2:
            ensure(uints(*entry[:2]) and type(entry[2]) is int and isinstance(entry[3], str), "shape")
            ensure(len(entry[3].encode()) <= 512, "report-list-oversize")
        else:
            ensure(uints(*entry), "shape")
        ensure(label != 4 or entry[0] in (1, 2, 3, 5) and entry[1] > 0, "shape")
        ensure(label != 3 or entry[1] <= entry[2], "shape")
    if label == 4:
        ensure(all(a[0] < b[0] for a, b in zip(entries, entries[1:])), "shape")


def intent(entry):
    """Checks one entry of list 5."""
    ensure(isinstance(entry, list) and len(entry) in (3, 4) and isinstance(entry[0], str) and uints(*entry[1:3]), "shape")
    state.check_path(entry[0])
    ensure(entry[2] <= 7 and (entry[2] == 5) == (len(entry) == 4), "shape")
    for end in entry[3:]:
        ensure(tuple_of(end, 2) and type(end[0]) is int and isinstance(end[1], str), "shape")
        ensure(len(end[1].encode()) <= 512, "report-list-oversize")


def acknowledgement(_, value):
    """Checks a report-ack."""
    ensure(value == [], "shape")


def request(opened, value):
    """Checks an enrolment request."""
    ensure((tuple_of(value, 5) or tuple_of(value, 6)) and sized(value[0], 8) and isinstance(value[1], str), "shape")
    check_name(value[1])
    cose_key(value[2])
    ensure(sized(value[3], 16) and sized(value[4], 16), "shape")
    for agreement in value[5:]:
        ensure(sized(agreement, 32), "shape")
        encryption.check_agreement(agreement)
    ensure(sha256(opened.payload) == opened.digest, "digest-mismatch")


def plane_key(opened, value):
    """Checks a plane-key."""
    encryption.check_payload(value)
    ensure(sha256(opened.payload) == opened.digest, "digest-mismatch")


def answer(_, value):
    """Checks an enrolment answer."""
    ensure(isinstance(value, list) and tuple_of(value[:2], 2) and uints(value[0]) and value[0] > 0 and sized(value[1], 32), "shape")
    ensure(stated(value[2:]), "shape")


def stated(rest):
    """Tells whether this is no time, or one that may be stated."""
    return not rest or (len(rest) == 1 and uints(*rest) and 1 <= rest[0] <= 253402300799)


def admission(opened, value):
    """Checks an admission."""
    ensure(tuple_of(value, 6) and isinstance(value[0], str), "shape")
    check_name(value[0])
    ensure(type(value[1]) is int and value[1] in (0, 1) and sized(value[2], 16) and isinstance(value[3], list) and len(value[3]) in (1, 2), "shape")
    keys = [cose_key(key) for key in value[3]]
    ensure(len(set(keys)) == len(keys) and uints(*value[4:]) and value[5] > 0, "shape")
    ensure(sha256(opened.payload) == opened.digest, "digest-mismatch")


def receipt(_, value):
    """Checks a receipt."""
    ensure(tuple_of(value, 2) and sized(value[0], 16) and uints(value[1]) and value[1] <= 65535, "shape")


def lost(_, value):
    """Checks a lost marker."""
    ensure(tuple_of(value, 1) and uints(value[0]) and 1 <= value[0] <= 65535, "shape")


def hello(_, value):
    """Checks a hello."""
    ensure(tuple_of(value, 2) and sized(value[0], 16) and sized(value[1], 32), "shape")


def welcome(_, value):
    """Checks a welcome."""
    ensure(isinstance(value, list) and tuple_of(value[:3], 3) and sized(value[0], 4) and uints(*value[1:3]) and value[2] <= 86400 and stated(value[3:]), "shape")


def bundle(_, value):
    """Checks the content of a bundle."""
    ensure(isinstance(value, dict) and len(value) == 5, "shape")
    members = iter(value.items())

    def member(label):
        found, content = next(members)
        ensure(uints(found) and found == label, "shape")
        return content

    def bounded(content, form, least):
        ensure(isinstance(content, form) and len(content) >= least, "shape")
        ensure(len(content) <= 256, "oversize")

    keys = [cose_key(member(1)), cose_key(member(2))]
    bounded(member(3), dict, 1)
    for tenant, row in value[3].items():
        ensure(isinstance(tenant, str), "shape")
        check_name(tenant)
        ensure(tuple_of(row, 2) and uints(row[0]), "shape")
        ensure(row[0] > 0, "bundle-generation")
        keys.append(cose_key(row[1]))
    bounded(member(4), list, 0)
    for row in value[4]:
        ensure(tuple_of(row, 2), "shape")
        keys.append(cose_key(row[0]))
        ensure(isinstance(row[1], list) and row[1], "shape")
        ensure(len(row[1]) <= 8, "oversize")
        for url in row[1]:
            ensure(isinstance(url, str) and url, "shape")
            ensure(len(url.encode()) <= 512, "oversize")
    bounded(member(5), list, 0)
    ensure(all(sized(revoked, 32) for revoked in value[5]), "shape")
    ensure(all(a < b for a, b in zip(value[5], value[5][1:])), "shape")
    ensure(not {thumbprint(key) for key in keys} & set(value[5]), "key-revoked")
