"""Mailboxes of their own: who greets them, which admission counts, the lines of their operators."""

import base64

from . import frame
from .cbor import ensure, read, write
from .crypto import sha256, shared, thumbprint
from .envelope import verify_envelope
from .payload import check_name, cose_key, sized
from .session import aad, keys, transcript, unproven_hello
from .trust import Held


def greeter_id(test):
    """Judges the id of a tenant or a mailbox."""
    root = bytes.fromhex(test["root"])
    if "tenant" in test:
        check_name(test["tenant"])
        preimage = write(["postern-tenant", root, test["tenant"]])
    else:
        preimage = write(["postern-mailbox", root, bytes.fromhex(test["mailbox"])])
    assert preimage.hex() == test["preimage"] and sha256(preimage)[:16].hex() == test["id"]


def greeting(test):
    """Judges the hello of a writer or a mailbox."""
    from nacl.bindings import crypto_scalarmult_base

    _, (where, items) = frame.parse(bytes.fromhex(test["frame"]), "up")
    found = [row for row in test["greeters"] if row["id"] == where.hex()]
    ensure(found, "not-admitted")
    row = found[0]
    root = bytes.fromhex(row["root"])
    place = [root, row["tenant"]] if row["role"] == "writer" else [root]
    sent, ephemeral = unproven_hello(items)
    issued = [entry for entry in test["issued"] if entry["challenge"] == sent.hex()]
    ensure(issued, "challenge-unknown")
    opened, _, _, _ = verify_envelope(write(items), row["role"], None, aad(9, *place), [bytes.fromhex(row["public_key"])])
    seed = bytes.fromhex(issued[0]["mailbox_seed"])
    hashed = transcript(bytes.fromhex(test["mailbox_thumbprint"]), sent, ephemeral, crypto_scalarmult_base(seed), where)
    ensure(opened.digest == hashed, "digest-mismatch")
    pair = keys(shared(seed, ephemeral), hashed)
    assert [key.hex() for key in pair] == [test["key_up"], test["key_down"]] and row["role"] == test["greeter"]


def admission(test):
    """Judges the comparison of two admissions."""
    stored, new = test["stored"], test["incoming"]
    if stored:
        old_place, place = ([row["generation"], row["epoch"], row["number"]] for row in (stored, new))
        ensure(place >= old_place, "admission-stale")
        ensure(place > old_place or new["digest"] == stored["digest"], "equivocation")


def line(test):
    """Judges a trust line or a relay line."""
    prefix, text = f"postern-{test['form']}1:", test["text"].strip()
    assert text.startswith(prefix)
    text = text.removeprefix(prefix)
    content = read(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    ensure(isinstance(content, dict), "shape")
    {"trust": trust_line, "relay": relay_line}[test["form"]](test, content)


def trust_line(test, content):
    """Judges the content of a trust line."""
    ensure(set(content) == {1, 2, 3} and sized(content[1], 32) and sized(content[2], 32), "shape")
    ensure(isinstance(content[3], list) and content[3] and all(isinstance(row, list) for row in content[3]), "shape")
    held = Held(content[1], content[2])
    for row in content[3]:
        held.accept(write(row))
    assert [content[1].hex(), content[2].hex(), held.number] == [test["root"], test["recovery"], test["bundles"]]


def relay_line(test, content):
    """Judges the content of a relay line."""
    ensure(set(content) in ({1, 2}, {1, 2, 3}) and isinstance(content.get(3, b""), bytes), "shape")
    key, urls = cose_key(content[1]), content[2]
    ensure(isinstance(urls, list) and urls and all(isinstance(url, str) and url for url in urls), "shape")
    ensure(len(urls) <= 8 and all(len(url.encode()) <= 512 for url in urls), "oversize")
    assert thumbprint(key).hex() == test["thumbprint"] and urls == test["urls"]
