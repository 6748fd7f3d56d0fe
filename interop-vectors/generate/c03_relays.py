"""03-sign1: admissions, receipts and lost markers, and hellos of those who are no device."""

from . import envelope as e
from .c03_header import Refused
from .c03_valid import fields
from .collection import Collection
from .encoding import encode
from .hashing import sha256
from .keys import SIGNERS, blob
from .session import CHANNEL

LARGEST = 2**64 - 1
MESSAGE = e.delta({e.PATH: "hall-B"}).message_id
KEY, NEXT = SIGNERS["device-a"].cose, SIGNERS["device-b"].cose
TRANSCRIPT = blob("transcript", 32)
HELLO = encode([blob("challenge", 16), blob("device ephemeral", 32)])
WELCOME = encode([blob("session", 4), 2, 86400])


def admissions():
    """Returns admissions."""
    return (
        ("admission", "one key, a quota of 1 MiB", e.admission()),
        ("admission-during-rotation", "the present key and the next", e.admission([KEY, NEXT], 4)),
        ("admission-p256-key", "a key of the other type", e.admission([SIGNERS["device-p256"].cose])),
        ("admission-withdrawn", "no longer served", e.admission(status=1, number=5)),
        ("admission-no-room", "a quota of nothing", e.admission(quota=0)),
        ("admission-largest-numbers", "2^64-1 in each place", e.admission(number=LARGEST, epoch=LARGEST, quota=LARGEST, bundle_number=LARGEST)),
        ("admission-smallest-numbers", "1 in each place", e.admission(number=1, epoch=1, quota=1)),
        ("admission-longest-name", "63 bytes", e.admission(device="d" * 63)),
        ("admission-p256-writer", "signed by a writer of the other type", e.admission(signer="writer-p256")),
    )


def receipts():
    """Returns receipts."""
    return (
        ("receipt-stored", "the message is stored", e.receipt(MESSAGE)),
        ("receipt-quota", "put aside for want of room", e.receipt(MESSAGE, 113)),
        ("receipt-unknown-reason", "a reject of a later registry", e.receipt(MESSAGE, 65535)),
        ("receipt-largest-numbers", "2^64-1 in each place", e.receipt(MESSAGE, numbers=(LARGEST, LARGEST, 0))),
        ("receipt-other-mailbox", "signed by the other mailbox", e.receipt(MESSAGE, signer="mailbox-2")),
    )


def losses():
    """Returns lost markers."""
    return (
        ("lost-desired", "three decisions of the controller", e.lost(8, 10)),
        ("lost-one", "first is last", e.lost(8, 8)),
        ("lost-actual", "reports of the device", e.lost(1, 5, plane=1)),
        ("lost-from-first", "the base is 0", e.lost(1, LARGEST, epoch=LARGEST)),
        ("lost-unknown-reason", "a reject of a later registry", e.lost(2, 3, 60000)),
    )


def greetings():
    """Returns hellos and welcomes between those who are no device and a mailbox."""
    writer, mailbox, other = (SIGNERS[name] for name in ("writer", "mailbox", "mailbox-2"))
    return (
        ("hello-of-writer", "profile tenant", e.Envelope(writer, e.HELLO, (0, 0, 0), TRANSCRIPT, HELLO, role="writer")),
        ("hello-of-mailbox", "profile trust", e.Envelope(other, e.HELLO, (0, 0, 0), TRANSCRIPT, HELLO, role="mailbox")),
        ("welcome-to-writer", "the profile of the hello: tenant", e.Envelope(mailbox, e.WELCOME, (0, 0, 0), TRANSCRIPT, WELCOME, greeter="writer")),
        ("welcome-to-mailbox", "the profile of the hello: trust", e.Envelope(mailbox, e.WELCOME, (0, 0, 0), TRANSCRIPT, WELCOME, greeter="mailbox")),
    )


def wrong_places(add):
    """Adds honest messages that are expected from another role, plane or place."""
    rows = {name: message for part in (admissions, receipts, losses, greetings) for name, _, message in part()}
    for name in ("admission", "receipt-stored", "lost-desired"):
        message = rows[name]
        for role in ("writer", "device", "root", "mailbox", "enrolling"):
            if role != message.role:
                add(f"{name}-from-{role}", "signer-role", f"this kind is not signed by {role}", message, ["cross-kind"], spec="#kinds", role=role)
    for name, plane in (("admission", 0), ("receipt-stored", 1), ("lost-desired", None)):
        add(f"{name}-on-another-plane", "plane-mismatch", "not on this plane", rows[name], ["cross-plane"], spec="#kinds", plane=plane)
    add("lost-desired-as-actual", "signature-invalid", "the marker of one plane shown for the other", rows["lost-desired"], ["cross-plane"], spec="#lost", plane=1, aad=e.aad(e.LOST, plane=1))
    for name, kind in (("admission", e.ADMISSION), ("receipt-stored", e.RECEIPT)):
        add(f"{name}-of-other-tenant", "signature-invalid", "for another tenant", rows[name], ["cross-tenant"], spec="#aad", aad=e.aad(kind, tenant="other"))
        add(f"{name}-of-other-domain", "signature-invalid", "for another trust domain", rows[name], ["cross-tenant"], spec="#aad", aad=e.aad(kind, root=SIGNERS["other"].thumbprint))
    add("lost-of-other-device", "signature-invalid", "for another device", rows["lost-desired"], ["cross-tenant"], spec="#aad", aad=e.aad(e.LOST, plane=0, device="press-8"))
    add("lost-of-old-incarnation", "signature-invalid", "of the life before the reset", rows["lost-desired"], ["cross-tenant"], spec="#aad", aad=e.aad(e.LOST, plane=0, incarnation=e.OTHER_INCARNATION))
    for name, depth, error in (("hello-of-writer", 4, "device"), ("hello-of-writer", 1, "mailbox"), ("hello-of-mailbox", 2, "writer"), ("hello-of-mailbox", 4, "device")):
        add(f"{name}-as-{error}", "signature-invalid", f"shown as the hello of a {error}", rows[name], ["cross-kind"], spec="#writer-sessions", role=error, aad=e.aad(e.HELLO, depth=depth))
    for name, depth, word in (("welcome-to-writer", 4, "device"), ("welcome-to-writer", 1, "mailbox"), ("welcome-to-mailbox", 2, "writer"), ("welcome-to-mailbox", 4, "device")):
        add(f"{name}-as-to-{word}", "signature-invalid", f"shown to a {word}", rows[name], ["cross-kind"], spec="#writer-sessions", aad=e.aad(e.WELCOME, depth=depth))
    add("hello-of-writer-other-tenant", "signature-invalid", "for another tenant", rows["hello-of-writer"], ["cross-tenant"], spec="#writer-sessions", aad=e.aad(e.HELLO, tenant="other", depth=2))


def numbers(add):
    """Adds header numbers and digests that are not those of the kind."""
    writer, mailbox, digest = SIGNERS["writer"], SIGNERS["mailbox"], blob("message", 32)
    for name, error, signer, kind, values in (
        ("admission-epoch-0", "epoch-zero", writer, 8, (0, 1, 0)), ("admission-number-0", "seq-zero", writer, 8, (1, 0, 0)), ("admission-base", "header-numbers", writer, 8, (1, 2, 1)),
        ("receipt-epoch-0", "epoch-zero", mailbox, 11, (0, 1, 0)), ("receipt-number-0", "seq-zero", mailbox, 11, (1, 0, 0)), ("receipt-base", "header-numbers", mailbox, 11, (1, 2, 1)),
        ("lost-epoch-0", "epoch-zero", mailbox, 14, (0, 1, 0)), ("lost-last-0", "seq-zero", mailbox, 14, (1, 0, 0)), ("lost-nothing", "base-not-below", mailbox, 14, (1, 5, 5)), ("lost-backwards", "base-not-below", mailbox, 14, (1, 5, 9)),
    ):
        message = e.Envelope(signer, kind, values, b"" if kind == 14 else digest, b"\x80")
        add(f"numbers-{name}", error, f"epoch, seq, base = {values}", message, ["numbers"])
    for name, signer, kind, values, found in (
        ("admission-empty", writer, 8, (1, 1, 0), b""), ("admission-31", writer, 8, (1, 1, 0), digest[:31]), ("receipt-empty", mailbox, 11, (1, 1, 0), b""), ("receipt-16", mailbox, 11, (1, 1, 0), digest[:16]), ("lost-32", mailbox, 14, (1, 1, 0), digest), ("lost-1", mailbox, 14, (1, 1, 0), b"x"),
    ):
        add(f"digest-{name}", "digest-length", f"{len(found)} bytes", e.Envelope(signer, kind, values, found, b"\x80"), ["digest"])


def bad_admissions(add):
    """Adds admissions whose payload breaks one rule."""
    good = [e.DEVICE, 0, e.INCARNATION, [KEY], 1 << 20, 1]
    rows = [
        ("device-null", "shape", 0, None, "null for the name"), ("device-empty", "name-invalid", 0, "", "no name"), ("device-capital", "name-invalid", 0, "Press", "a capital letter"), ("device-64", "name-invalid", 0, "d" * 64, "64 bytes"),
        ("status-2", "shape", 1, 2, "no such status"), ("status-true", "shape", 1, True, "true for a number"), ("status-largest", "shape", 1, LARGEST, "no such status"),
        ("incarnation-15", "shape", 2, bytes(15), "15 bytes"), ("incarnation-null", "shape", 2, None, "null for the incarnation"), ("no-keys", "shape", 3, [], "at least one key"), ("three-keys", "shape", 3, [KEY, NEXT, SIGNERS["other"].cose], "at most two keys"),
        ("same-key-twice", "shape", 3, [KEY, KEY], "two keys that are one"), ("key-bare", "shape", 3, KEY, "the key is not wrapped"), ("key-of-small-order", "key-refused", 3, [{1: 1, -1: 6, -2: b"\x01" + bytes(31)}], "the neutral point"), ("second-key-refused", "key-refused", 3, [KEY, {1: 1, -1: 6, -2: bytes(32)}], "of small order"),
        ("quota-null", "shape", 4, None, "null for the quota"), ("quota-negative", "shape", 4, -1, "a negative quota"), ("bundle-0", "shape", 5, 0, "bundles begin with 1"), ("bundle-null", "shape", 5, None, "null for the bundle"),
    ]
    for name, error, place, value, comment in rows:
        payload = encode([*good[:place], value, *good[place + 1:]])
        add(f"admission-{name}", error, comment, e.admission(payload=payload), ["payload"], spec="#admission")
    whole = encode(good)
    for name, error, payload, comment in (
        ("five-members", "shape", encode(good[:5]), "no bundle number"), ("seven-members", "shape", encode([*good, 0]), "one member more"), ("map-payload", "shape", encode({1: 2}), "a map"),
        ("empty-payload", "cbor-truncated", b"", "no byte at all"), ("trailing", "cbor-trailing", whole + b"\0", "one byte more"), ("long-status", "cbor-not-shortest", whole.replace(b"press-7\0", b"press-7\x18\0"), "0 in two bytes"),
    ):
        add(f"admission-{name}", error, comment, e.admission(payload=payload), ["payload"], spec="#admission")
    for name, digest in (("other-digest", blob("another digest", 32)), ("digest-of-envelope", sha256(e.admission().untagged))):
        add(f"admission-{name}", "digest-mismatch", "not the hash of the payload", e.admission(digest=digest), ["payload"], spec="#admission")
    add("admission-revoked-writer", "key-revoked", "the key of its writer is revoked", e.admission(), ["revoked"], spec="#admission", revoked=[SIGNERS["writer"].thumbprint])
    add("admission-by-mailbox-key", "key-unknown", "a mailbox admits nobody", e.admission(signer="mailbox"), ["key"], spec="#admission", public_key=SIGNERS["writer"].public)


def bad_facts(add):
    """Adds receipts and lost markers whose payload breaks one rule."""
    for name, value, comment in (
        ("code-65536", [CHANNEL, 65536], "above 65535"), ("code-null", [CHANNEL, None], "null for the code"), ("code-negative", [CHANNEL, -1], "a negative code"), ("channel-15", [CHANNEL[:15], 0], "15 bytes"), ("channel-null", [None, 0], "null for the channel"),
        ("one-member", [CHANNEL], "no code"), ("three-members", [CHANNEL, 0, 0], "one member more"), ("map-payload", {1: 0}, "a map"),
    ):
        add(f"receipt-{name}", "shape", comment, e.receipt(MESSAGE, payload=encode(value)), ["payload"], spec="#receipt")
    add("receipt-trailing", "cbor-trailing", "one byte more", e.receipt(MESSAGE, payload=encode([CHANNEL, 0]) + b"\0"), ["payload"], spec="#receipt")
    add("receipt-by-writer-key", "key-unknown", "the writer confirms nothing for a mailbox", e.receipt(MESSAGE, signer="writer"), ["key"], spec="#receipt", public_key=SIGNERS["mailbox"].public)
    for name, value, comment in (
        ("code-0", [0], "nothing is lost for no reason"), ("code-65536", [65536], "above 65535"), ("code-text", ["quota"], "a name for the number"), ("no-members", [], "no code"), ("two-members", [113, 1], "one member more"), ("bare", 113, "not wrapped"),
    ):
        add(f"lost-{name}", "shape", comment, e.lost(8, 10, payload=encode(value)), ["payload"], spec="#lost")
    add("lost-empty-payload", "cbor-truncated", "no byte at all", e.lost(8, 10, payload=b""), ["payload"], spec="#lost")
    add("lost-by-writer-key", "key-unknown", "the writer loses nothing for a mailbox", e.lost(8, 10, signer="writer"), ["key"], spec="#lost", public_key=SIGNERS["mailbox"].public)


def build():
    """Returns the file."""
    file = Collection("03-sign1/relays.json", "sign1.verify", "what is signed around a mailbox of its own: admissions, receipts, lost markers, greetings")
    for part, spec in ((admissions, "#admission"), (receipts, "#receipt"), (losses, "#lost"), (greetings, "#writer-sessions")):
        for name, comment, message in part():
            file.valid(f"sign1-{name}", spec, comment, [part.__name__], **fields(message))
    add = Refused(file)
    for part in (wrong_places, numbers, bad_admissions, bad_facts):
        part(add)
    return [file]
