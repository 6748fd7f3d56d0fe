"""Mailboxes of their own: who greets them, which admission counts, and the lines between their operators."""

import base64

from . import envelope as e
from .collection import Collection
from .encoding import Raw, encode
from .hashing import sha256
from .keys import SIGNERS, blob
from .session import CHANNEL, MAILBOX_ID, TENANT_ID, Session, plain, raw

RECOVERY = SIGNERS["recovery"].thumbprint
LARGEST = 2**64 - 1
URL = "https://relay.example/"


def ids():
    """Returns the file of ids of tenants and mailboxes."""
    file = Collection("02-keys/greeter.json", "greeter.id", "what stands in a hello where a device has its channel id")

    def add(name, comment, label, root, **who):
        (part,) = who.values()
        preimage = encode([label, root, part])
        file.valid(f"greeter-{name}", "#writer-sessions", comment, ["greeter"], root=root, **who, preimage=preimage, id=sha256(preimage)[:16])

    other = SIGNERS["other"].thumbprint
    add("tenant", "the tenant of the tests", "postern-tenant", e.ROOT, tenant=e.TENANT)
    add("tenant-other-domain", "another trust domain", "postern-tenant", other, tenant=e.TENANT)
    add("tenant-longest", "63 bytes", "postern-tenant", e.ROOT, tenant="t" * 63)
    add("mailbox", "another mailbox of the bundle", "postern-mailbox", e.ROOT, mailbox=SIGNERS["mailbox-2"].thumbprint)
    add("mailbox-p256", "a key of the other type", "postern-mailbox", e.ROOT, mailbox=SIGNERS["mailbox-p256"].thumbprint)
    assert file.tests[0]["id"] == TENANT_ID.hex() and file.tests[3]["id"] == MAILBOX_ID.hex()
    for name, tenant in (("empty", ""), ("capital", "Acme"), ("long", "t" * 64), ("slash", "a/b"), ("dash-first", "-acme")):
        file.invalid(f"greeter-tenant-{name}", "name-invalid", "#names", "outside the names", ["greeter"], root=e.ROOT, tenant=tenant)
    return file


WRITER, MAILBOX = Session(channel=TENANT_ID), Session(channel=MAILBOX_ID)


def known():
    """Returns whom the mailbox serves: the tenant's writer and another mailbox."""
    return [
        {"role": "writer", "id": TENANT_ID, "root": e.ROOT, "tenant": e.TENANT, "public_key": SIGNERS["writer"].public},
        {"role": "mailbox", "id": MAILBOX_ID, "root": e.ROOT, "tenant": "", "public_key": SIGNERS["mailbox-2"].public},
    ]


def greetings():
    """Returns the file of hellos of writers and mailboxes."""
    file = Collection("06-sessions/greeting.json", "session.greeting", "a mailbox accepts or refuses the hello of a writer or of another mailbox")
    issued = [{"challenge": WRITER.challenge, "mailbox_seed": WRITER.mailbox.seed}]
    receiver = {"issued": issued, "mailbox_thumbprint": SIGNERS["mailbox"].thumbprint, "greeters": known()}
    for role, session, signer in (("writer", WRITER, "writer"), ("mailbox", MAILBOX, "mailbox-2")):
        hello = session.hello(signer=signer, role=role)
        file.valid(
            f"greeting-of-{role}", "#writer-sessions", f"the {role} opens a session", ["greeting"], frame=plain(20, session.channel, raw(hello)), greeter=role,
            transcript=session.transcript, key_up=session.key_up, key_down=session.key_down, **receiver,
        )
    writer = dict(signer="writer", role="writer")
    unknown = Session(channel=TENANT_ID, challenge=blob("never issued", 16))
    elsewhere = Session(channel=TENANT_ID, mailbox="mailbox-2")
    rows = (
        ("of-other-tenant", "not-admitted", blob("another tenant", 16), WRITER.hello(**writer), "the tenant is not served here"),
        ("of-a-channel", "not-admitted", CHANNEL, Session().hello(), "a device that is not admitted here"),
        ("unknown-challenge", "challenge-unknown", TENANT_ID, unknown.hello(**writer), "a challenge that was not issued here"),
        ("for-another-mailbox", "digest-mismatch", TENANT_ID, elsewhere.hello(**writer), "the transcript names another mailbox"),
        ("other-transcript", "digest-mismatch", TENANT_ID, WRITER.hello(digest=blob("transcript", 32), **writer), "the digest is another"),
        ("transcript-of-channel", "digest-mismatch", TENANT_ID, Session().hello(**writer), "the transcript names the channel of a device"),
        ("old-writer", "key-unknown", TENANT_ID, WRITER.hello(signer="writer-2", role="writer"), "a key that the bundle does not name"),
        ("forged", "signature-invalid", TENANT_ID, WRITER.hello(signer="writer-2", role="writer", labels={4: SIGNERS["writer"].kid}), "another key under the id of the writer"),
        ("profile-device", "signature-invalid", TENANT_ID, WRITER.hello(aad=e.aad(9), **writer), "signed with the profile of a device"),
        ("profile-trust", "signature-invalid", TENANT_ID, WRITER.hello(aad=e.aad(9, depth=1), **writer), "signed with the profile of a mailbox"),
        ("mailbox-profile-tenant", "signature-invalid", MAILBOX_ID, MAILBOX.hello(signer="mailbox-2", role="mailbox", aad=e.aad(9, depth=2)), "signed with the profile of a writer"),
        ("writer-as-mailbox", "key-unknown", MAILBOX_ID, MAILBOX.hello(signer="writer", role="mailbox"), "a writer greets as a mailbox"),
        ("welcome-back", "signer-role", TENANT_ID, WRITER.welcome(greeter="writer"), "a welcome sent back as hello"),
    )
    for name, error, where, message, comment in rows:
        file.invalid(f"greeting-{name}", error, "#writer-sessions", comment, ["greeting"], frame=plain(20, where, raw(message)), **receiver)
    return file


def admissions():
    """Returns the file of the comparison of admissions."""
    file = Collection("07-acceptance/admissions.json", "admission.compare", "the highest admission of a channel wins: by generation, epoch and number")
    held, other = blob("held admission", 32), blob("other admission", 32)
    stored = {"generation": 2, "epoch": 20, "number": 7, "digest": held}

    def add(name, outcome, comment, place, digest=other, error=None, against=stored):
        incoming = dict(zip(("generation", "epoch", "number"), place), digest=digest)
        fields = {"stored": against, "incoming": incoming, "outcome": outcome}
        if error:
            file.invalid(f"admission-order-{name}", error, "#admission", comment, [outcome], **fields)
        else:
            file.valid(f"admission-order-{name}", "#admission", comment, [outcome], **fields)

    add("first", "accept", "nothing stored", (1, 1, 1), against=None)
    add("next", "accept", "the next number", (2, 20, 8))
    add("gap", "accept", "a gap is allowed", (2, 20, LARGEST))
    add("higher-epoch", "accept", "a later start of the controller", (2, 21, 1))
    add("higher-generation", "accept", "a new writer key ranks above every epoch", (3, 1, 1))
    add("again", "duplicate", "what is held already", (2, 20, 7), held)
    for name, place, digest in (
        ("lower", (2, 20, 6), other), ("lower-same-digest", (2, 20, 6), held), ("lower-epoch", (2, 19, 500), other), ("epoch-1", (2, 1, LARGEST), other),
        ("lower-generation", (1, LARGEST, LARGEST), other), ("lower-generation-same-place", (1, 20, 7), held),
    ):
        add(name, "refuse", "an older admission", place, digest, "admission-stale")
    add("equivocation", "refuse", "another content under one number", (2, 20, 7), error="equivocation")
    return file


def line(prefix, content):
    """Returns the text of a line."""
    return prefix + base64.urlsafe_b64encode(content).decode().rstrip("=")


def lines():
    """Returns the file of trust lines and relay lines."""
    file = Collection("06-sessions/lines.json", "line.read", "the lines between the operators of a controller and of a mailbox of its own")
    first = e.bundle(1, b"")
    second = e.bundle(2, first.message_id, fields={3: {e.TENANT: [2, SIGNERS["writer-2"].cose]}, 5: [SIGNERS["writer"].thumbprint]})
    bundles = [raw(first), raw(second)]
    key, thumb = SIGNERS["mailbox"].cose, SIGNERS["mailbox"].thumbprint

    def trust(content):
        return line("postern-trust1:", content if isinstance(content, bytes) else encode(content))

    def relay(content):
        return line("postern-relay1:", content if isinstance(content, bytes) else encode(content))

    good = {1: e.ROOT, 2: RECOVERY, 3: bundles}
    pins = dict(root=e.ROOT, recovery=RECOVERY)
    file.valid("line-trust", "#trust-line", "two bundles", ["trust"], form="trust", text=trust(good), bundles=2, **pins)
    file.valid("line-trust-one-bundle", "#trust-line", "bundle 1", ["trust"], form="trust", text=trust({**good, 3: bundles[:1]}), bundles=1, **pins)
    skips = [raw(first), raw(e.bundle(9, blob("a predecessor that is left out", 32)))]
    file.valid("line-trust-skips", "#trust-line", "bundle 1 and the newest", ["trust"], form="trust", text=trust({**good, 3: skips}), bundles=9, **pins)
    file.valid("line-trust-white-space", "#trust-line", "white space around the line", ["trust"], form="trust", text="\n  " + trust(good) + "\r\n", bundles=2, **pins)
    file.valid("line-relay", "#trust-line", "a key and its URL", ["relay"], form="relay", text=relay({1: key, 2: [URL]}), thumbprint=thumb, urls=[URL])
    file.valid("line-relay-certificate", "#trust-line", "with a TLS certificate", ["relay"], form="relay", text=relay({1: key, 2: [URL], 3: b"der"}), thumbprint=thumb, urls=[URL])
    file.valid("line-relay-white-space", "#trust-line", "white space around the line", ["relay"], form="relay", text="\n  " + relay({1: key, 2: [URL]}) + "\r\n", thumbprint=thumb, urls=[URL])
    p256 = SIGNERS["mailbox-p256"]
    file.valid("line-relay-p256", "#trust-line", "a key of the other type, eight URLs", ["relay"], form="relay", text=relay({1: p256.cose, 2: [URL] * 8}), thumbprint=p256.thumbprint, urls=[URL] * 8)
    forked = [raw(first), raw(e.bundle(2, blob("another predecessor", 32)))]
    for name, error, content, comment in (
        ("no-bundles", "shape", {**good, 3: []}, "at least one bundle"), ("bundles-null", "shape", {**good, 3: None}, "null for the bundles"), ("two-fields", "shape", {1: e.ROOT, 3: bundles}, "no recovery thumbprint"), ("four-fields", "shape", {**good, 4: 0}, "an unknown field"),
        ("field-0", "shape", {0: e.ROOT, 2: RECOVERY, 3: bundles}, "an unknown field for a known one"), ("root-31", "shape", {**good, 1: e.ROOT[:31]}, "31 bytes"), ("array", "shape", [e.ROOT, RECOVERY, bundles], "an array"), ("bundle-bytes", "shape", {**good, 3: [first.untagged]}, "a bundle in a byte string"),
        ("bundle-tagged", "cbor-tag", {**good, 3: [Raw(first.tagged)]}, "a bundle with its tag"), ("trailing", "cbor-trailing", encode(good) + b"\0", "one byte more"), ("cut", "cbor-truncated", encode(good)[:-1], "the last byte is missing"), ("empty", "cbor-truncated", b"", "nothing behind the prefix"),
        ("unsorted", "cbor-unsorted-key", b"\xa3\x02" + encode(RECOVERY) + b"\x01" + encode(e.ROOT) + b"\x03" + encode(bundles), "field 2 first"), ("other-root", "bundle-root", {**good, 1: SIGNERS["other"].thumbprint}, "a root that signed nothing here"), ("other-recovery", "bundle-root", {**good, 2: SIGNERS["other"].thumbprint}, "not the recovery key of bundle 1"),
        ("from-bundle-2", "bundle-gap", {**good, 3: bundles[1:]}, "bundle 1 is missing"), ("twice", "bundle-stale", {**good, 3: [bundles[0], bundles[0]]}, "bundle 1 twice"), ("forked", "bundle-chain", {**good, 3: forked}, "bundle 2 of another chain"),
    ):
        file.invalid(f"line-trust-{name}", error, "#trust-line", comment, ["trust"], form="trust", text=trust(content))
    for name, error, content, comment in (
        ("no-urls", "shape", {1: key, 2: []}, "at least one URL"), ("empty-url", "shape", {1: key, 2: [""]}, "an empty URL"), ("nine-urls", "oversize", {1: key, 2: [URL] * 9}, "at most eight"), ("long-url", "oversize", {1: key, 2: ["h" * 513]}, "513 bytes"), ("one-field", "shape", {1: key}, "no URLs"),
        ("field-4", "shape", {1: key, 2: [URL], 4: b"der"}, "an unknown field"), ("certificate-text", "shape", {1: key, 2: [URL], 3: "der"}, "text for the certificate"), ("key-bytes", "shape", {1: SIGNERS["mailbox"].public, 2: [URL]}, "the key is no COSE_Key"), ("key-of-small-order", "key-refused", {1: {1: 1, -1: 6, -2: b"\x01" + bytes(31)}, 2: [URL]}, "the neutral point"),
        ("url-null", "shape", {1: key, 2: [None]}, "null for a URL"), ("four-fields", "shape", {1: key, 2: [URL], 3: b"", 4: 0}, "one field more"), ("trailing", "cbor-trailing", encode({1: key, 2: [URL]}) + b"\xf6", "one item more"),
    ):
        file.invalid(f"line-relay-{name}", error, "#trust-line", comment, ["relay"], form="relay", text=relay(content))
    return file


def build():
    """Returns the four files."""
    return [ids(), greetings(), admissions(), lines()]
