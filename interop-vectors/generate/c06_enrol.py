"""06-sessions: enrolment from both sides, and chains of bundles."""

from . import curve
from . import envelope as e
from .c03_esp256 import bundle_fields as all_p256
from .collection import Collection
from .encoding import Raw, encode
from .hashing import hmac256
from .keys import SIGNERS, blob, cose_key
from .session import SECRET, TOKEN, enrol_mac, plain, raw

DEVICE_KEY = SIGNERS["device-a"]
PINS = {"genesis": e.ROOT, "recovery": SIGNERS["recovery"].thumbprint}


def second_fields():
    """Returns the changes of bundle 2: a new writer, the old one revoked."""
    return {3: {e.TENANT: [2, SIGNERS["writer-2"].cose]}, 5: [SIGNERS["writer"].thumbprint]}


FIRST = e.bundle(1, b"")
SECOND = e.bundle(2, FIRST.message_id, fields=second_fields())
THIRD = e.bundle(3, SECOND.message_id, signer="recovery", fields={**second_fields(), 1: SIGNERS["root-2"].cose})
FOURTH = e.bundle(4, THIRD.message_id, signer="root-2", fields={
    1: SIGNERS["root-2"].cose, 3: {e.TENANT: [2, SIGNERS["writer-2"].cose], "second": [7, SIGNERS["other"].cose]}, 5: [SIGNERS["writer"].thumbprint],
})


def bundles():
    """Returns the file of bundle chains."""
    file = Collection("06-sessions/bundles.json", "bundle.accept", "a bundle after those that are held; `held` ascends and is valid")
    add = Chain(file)
    add.valid("first", "signed by the root it names", [], FIRST)
    add.valid("second", "a new writer one generation up", [FIRST], SECOND)
    add.valid("third-by-recovery", "the recovery key names a new root", [FIRST, SECOND], THIRD)
    add.valid("fourth-by-new-root", "the new root signs and adds a tenant at generation 7", [FIRST, SECOND, THIRD], FOURTH)
    dropped = e.bundle(5, FOURTH.message_id, signer="root-2", fields={**second_fields(), 1: SIGNERS["root-2"].cose})
    add.valid("tenant-dropped", "a tenant may go", [FIRST, SECOND, THIRD, FOURTH], dropped)
    bundles_p256(add)
    add.valid("second-unchanged", "nothing changes but the number", [FIRST], e.bundle(2, FIRST.message_id))
    bundle_signers(add)
    bundle_numbers(add)
    bundle_skips(add)
    bundle_contents(add)
    return file


def bundles_p256(add):
    """Adds bundles with keys of P-256."""
    pins = {"genesis": SIGNERS["root-p256"].thumbprint, "recovery": SIGNERS["recovery-p256"].thumbprint}
    genesis = {"aad": e.aad(7, root=pins["genesis"])}
    first = e.bundle(1, b"", signer="root-p256", fields=all_p256(), **genesis)
    add.valid("p256-first", "every key is of P-256", [], first, **pins)
    second = e.bundle(2, first.message_id, signer="recovery-p256", fields={**all_p256(), 3: {e.TENANT: [2, SIGNERS["writer"].cose]}}, **genesis)
    add.valid("p256-second-by-recovery", "the writer moves to Ed25519, one generation up", [first], second, **pins)
    moved = {**second_fields(), 1: SIGNERS["root-p256"].cose, 3: {e.TENANT: [2, SIGNERS["writer-p256"].cose]}}
    mixed = e.bundle(2, FIRST.message_id, fields=moved)
    add.valid("p256-root-and-writer", "root and writer move to P-256", [FIRST], mixed)
    third = e.bundle(3, mixed.message_id, signer="root-p256", fields=moved)
    add.valid("p256-third-by-new-root", "the new root signs", [FIRST, mixed], third)
    add.invalid("p256-third-by-old-root", "bundle-root", "the Ed25519 root is no longer one", [FIRST, mixed], e.bundle(3, mixed.message_id, fields=moved))
    add.invalid("p256-third-by-another", "bundle-root", "no root of bundle 2", [FIRST, mixed], e.bundle(3, mixed.message_id, signer="other-p256", fields=moved))
    forged = e.bundle(3, mixed.message_id, signer="other-p256", fields=moved, labels={4: SIGNERS["root-p256"].kid})
    add.invalid("p256-forged-kid", "signature-invalid", "another key under the id of the root", [FIRST, mixed], forged)
    wrong = e.bundle(3, mixed.message_id, signer="root-p256", fields=moved, labels={1: -19})
    add.invalid("p256-as-ed25519", "algorithm-mismatch", "alg -19 with a P-256 root", [FIRST, mixed], wrong)
    stays = e.bundle(2, FIRST.message_id, fields={3: {e.TENANT: [1, SIGNERS["writer-p256"].cose]}})
    add.invalid("p256-generation-same", "bundle-generation", "another type is another key", [FIRST], stays)
    off = {**SIGNERS["writer-p256"].cose, -3: SIGNERS["other-p256"].cose[-3]}
    add.invalid("p256-off-curve-writer", "key-refused", "no point", [FIRST], e.bundle(2, FIRST.message_id, fields={3: {e.TENANT: [2, off]}}))
    revoked = e.bundle(2, FIRST.message_id, fields={**moved, 5: [SIGNERS["writer-p256"].thumbprint]})
    add.invalid("p256-revoked-writer-listed", "key-revoked", "revoked and listed", [FIRST], revoked)


class Chain:
    """Adds bundles to their file."""

    def __init__(self, file):
        self.file = file

    def valid(self, name, comment, held, incoming, **pins):
        """Adds a bundle that is accepted."""
        self.file.valid(f"chain-{name}", "#bundle", comment, ["bundle"], **{**self.fields(held, incoming), **pins})

    def invalid(self, name, error, comment, held, incoming, **pins):
        """Adds a bundle that is refused."""
        self.file.invalid(f"chain-{name}", error, "#bundle", comment, ["bundle"], **{**self.fields(held, incoming), **pins})

    @staticmethod
    def fields(held, incoming):
        """Returns the inputs."""
        return {**PINS, "held": [message.tagged for message in held], "incoming": incoming.tagged, "message_id": incoming.message_id}


def bundle_signers(add):
    """Adds bundles that a wrong key signed."""
    add.invalid("other-genesis", "bundle-root", "the pinned root is another", [], FIRST, genesis=SIGNERS["other"].thumbprint)
    foreign = e.bundle(1, b"", signer="other", fields={1: SIGNERS["other"].cose})
    add.invalid("foreign-first", "bundle-root", "a whole foreign trust domain", [], foreign)
    add.invalid("other-recovery", "bundle-root", "the pinned recovery key is another", [], FIRST, recovery=SIGNERS["other"].thumbprint)
    add.invalid("first-by-recovery", "bundle-root", "bundle 1 is signed by its root only", [], e.bundle(1, b"", signer="recovery"))
    for name in ("other", "writer", "mailbox", "root-2"):
        message = e.bundle(2, FIRST.message_id, signer=name, fields={1: SIGNERS["root-2"].cose})
        add.invalid(f"second-by-{name}", "bundle-root", "not a root of bundle 1", [FIRST], message)
    old = e.bundle(4, THIRD.message_id, fields={**second_fields(), 1: SIGNERS["root-2"].cose})
    add.invalid("fourth-by-old-root", "bundle-root", "the root of bundle 2 is no longer one", [FIRST, SECOND, THIRD], old)
    forged = e.bundle(2, FIRST.message_id, signer="other", labels={4: SIGNERS["root"].kid})
    add.invalid("forged-kid", "signature-invalid", "another key under the id of the root", [FIRST], forged)
    small = cose_key(curve.compress(curve.torsion()[4]))
    for name, fields in (("key", {4: [[small, ["https://box.example/"]]]}), ("form", {4: None}), ("recovery", {2: SIGNERS["other"].cose})):
        message = e.bundle(1, b"", signer="other", labels={4: SIGNERS["root"].kid}, fields=fields)
        add.invalid(f"first-signature-before-{name}", "signature-invalid", "of bundle 1 its root key alone counts before its signature", [], message)
    cut = e.bundle(1, b"", signer="other", labels={4: SIGNERS["root"].kid}, payload=encode(e.bundle_fields()) + b"\0")
    add.invalid("first-profile-before-signature", "cbor-trailing", "no part of what is outside the profile is used", [], cut)
    unread = e.bundle(1, b"", fields={1: None, 4: None})
    add.invalid("first-root-unread", "shape", "without the key in field 1 there is nothing to verify with", [], unread)
    domain = e.bundle(2, FIRST.message_id, aad=e.aad(7, root=SIGNERS["other"].thumbprint))
    add.invalid("other-domain", "signature-invalid", "signed for another trust domain", [FIRST], domain)


def bundle_numbers(add):
    """Adds bundles with a wrong number or predecessor."""
    add.invalid("again", "bundle-stale", "the held one again", [FIRST, SECOND], SECOND)
    add.invalid("older", "bundle-stale", "one below", [FIRST, SECOND], FIRST)
    add.invalid("much-older", "bundle-stale", "three below", [FIRST, SECOND, THIRD, FOURTH], FIRST)
    add.invalid("skips-root-change", "bundle-gap", "4 after 1: bundle 3 names the root that signed it", [FIRST], FOURTH)
    add.invalid("skips-by-another", "bundle-gap", "9 after 1, and no root signed it", [FIRST], e.bundle(9, FIRST.message_id, signer="other"))
    add.invalid("skips-by-old-root", "bundle-gap", "9 after 3 by the root before it", [FIRST, SECOND, THIRD], e.bundle(9, FIRST.message_id))
    add.invalid("skips-4097", "bundle-gap", "4098 after 1", [FIRST], e.bundle(4098, FIRST.message_id))
    add.invalid("skips-to-the-last", "bundle-gap", "2^64 - 1 after 1", [FIRST], e.bundle(2**64 - 1, FIRST.message_id))
    add.invalid("skips-forged-kid", "signature-invalid", "9 after 1: another key under the id of the root", [FIRST], e.bundle(9, FIRST.message_id, signer="other", labels={4: SIGNERS["root"].kid}))
    add.invalid("begins-with-two", "bundle-gap", "2 after nothing", [], e.bundle(2, FIRST.message_id))
    for name, digest in (("other", blob("other", 32)), ("zero", bytes(32)), ("of-wire-bytes", e.sha256(FIRST.untagged))):
        add.invalid(f"predecessor-{name}", "bundle-chain", "the digest is not the message id of bundle 1", [FIRST], e.bundle(2, digest))
    fork = e.bundle(3, e.bundle(2, FIRST.message_id).message_id, fields=second_fields())
    add.invalid("fork", "bundle-chain", "after another bundle 2", [FIRST, SECOND], fork)


def bundle_skips(add):
    """Adds bundles over numbers that the receiver does not hold."""
    any_digest = blob("of a bundle that is not held", 32)
    add.valid("skips-one", "3 after 1 by the recovery key", [FIRST], THIRD)
    add.valid("skips-many", "9 after 1, the digest names a bundle that is not held", [FIRST], e.bundle(9, any_digest))
    add.valid("skips-4096", "4097 after 1", [FIRST], e.bundle(4097, any_digest, fields=second_fields()))
    new, held = SIGNERS["writer-2"].cose, SIGNERS["writer"].cose
    for name, row, comment in (("twice", [3, new], "two changes over eight numbers"), ("and-back", [3, held], "to another key and back"), ("eight-times", [9, new], "as often as the numbers went")):
        add.valid(f"skips-generation-{name}", comment, [FIRST], e.bundle(9, any_digest, fields={3: {e.TENANT: row}}))
    for name, row, comment in (("same-for-new-key", [1, new], "a new key in the old generation"), ("more-than-numbers", [10, new], "nine up over eight numbers"), ("last", [2**64 - 1, new], "all generations at once")):
        add.invalid(f"skips-generation-{name}", "bundle-generation", comment, [FIRST], e.bundle(9, any_digest, fields={3: {e.TENANT: row}}))
    down = e.bundle(9, any_digest, fields={3: {e.TENANT: [1, held]}})
    add.invalid("skips-generation-down", "bundle-generation", "back to the writer of bundle 1", [FIRST, SECOND], down)
    add.invalid("skips-revocation-withdrawn", "bundle-revocation", "the list is empty again", [FIRST, SECOND], e.bundle(9, any_digest, fields={3: {e.TENANT: [2, new]}, 5: []}))
    listed = e.bundle(9, any_digest, fields={5: [SIGNERS["mailbox"].thumbprint]})
    add.invalid("skips-revoked-mailbox-listed", "key-revoked", "revoked and listed", [FIRST], listed)


def bundle_contents(add):
    """Adds bundles whose content may not follow."""
    new, old = SIGNERS["writer-2"].cose, SIGNERS["writer"].cose
    for name, row in (("same-for-new-key", [1, new]), ("up-for-same-key", [2, old]), ("up-by-two", [3, new])):
        message = e.bundle(2, FIRST.message_id, fields={3: {e.TENANT: row}})
        add.invalid(f"generation-{name}", "bundle-generation", "another key goes up by one, the same key stays", [FIRST], message)
    down = e.bundle(3, SECOND.message_id, fields={**second_fields(), 3: {e.TENANT: [1, new]}})
    add.invalid("generation-down", "bundle-generation", "the generation goes down", [FIRST, SECOND], down)
    back = e.bundle(3, SECOND.message_id, fields={3: {e.TENANT: [3, SIGNERS["other"].cose]}, 5: []})
    add.invalid("revocation-withdrawn", "bundle-revocation", "the list is empty again", [FIRST, SECOND], back)
    swapped = e.bundle(3, SECOND.message_id, fields={**second_fields(), 5: [SIGNERS["other"].thumbprint]})
    add.invalid("revocation-swapped", "bundle-revocation", "another key instead", [FIRST, SECOND], swapped)
    listed = e.bundle(2, FIRST.message_id, fields={5: [SIGNERS["mailbox"].thumbprint]})
    add.invalid("revoked-mailbox-listed", "key-revoked", "revoked and listed", [FIRST], listed)
    small = cose_key(curve.compress(curve.torsion()[4]))
    refused = e.bundle(2, FIRST.message_id, fields={3: {e.TENANT: [2, small]}})
    add.invalid("small-order-writer", "key-refused", "the key check refuses the writer", [FIRST], refused)
    url, revoked = ["https://box.example/"], [SIGNERS["mailbox"].thumbprint]
    for name, error, comment, fields in (
        ("key-before-generation", "key-refused", "a key is checked where it stands", {1: small, 3: {e.TENANT: [0, old]}}),
        ("generation-before-key", "bundle-generation", "the generation stands before its key", {3: {e.TENANT: [0, small]}}),
        ("key-before-form", "key-refused", "a key is checked where it stands", {3: {e.TENANT: [2, small]}, 4: None}),
        ("form-before-key", "shape", "fields are read in their order", {3: None, 4: [[small, url]]}),
        ("key-before-urls", "key-refused", "the key stands before its URLs", {4: [[small, []]]}),
        ("key-before-list", "key-refused", "the list of revocations comes last", {4: [[small, url]], 5: [bytes(32), bytes(32)]}),
        ("form-before-revoked", "shape", "what is revoked and listed is looked for behind all forms", {5: [*revoked, *revoked]}),
        ("revoked-before-generation", "key-revoked", "what the bundle says alone comes before what it changes", {3: {e.TENANT: [3, new]}, 5: revoked}),
    ):
        add.invalid(f"order-{name}", error, comment, [FIRST], e.bundle(2, FIRST.message_id, fields=fields))
    follows = e.bundle(3, SECOND.message_id, fields={3: {e.TENANT: [3, new]}, 5: []})
    add.invalid("order-generation-before-revocation", "bundle-generation", "generations come before revocations", [FIRST, SECOND], follows)


def invitation(**change):
    """Returns one invitation as the controller holds it."""
    row = {"token": TOKEN, "secret": SECRET, "tenant": e.TENANT, "device": e.DEVICE, "used_by": None}
    row.update(change)
    return row


def requests():
    """Returns the file of requests as the controller sees them."""
    file = Collection("06-sessions/enrol-request.json", "enrol.request", "token, then mac, then signature, then payload; `used_by` is a thumbprint")
    request = e.enrol_request(DEVICE_KEY.cose, "device-a")
    honest = plain(16, TOKEN, enrol_mac(request), raw(request))
    known = {"root": e.ROOT, "invitations": [invitation()]}
    file.valid("enrol-honest", "#enrolment", "an open invitation", ["enrolment"], frame=honest, mac=enrol_mac(request), message_id=request.message_id, **known)
    again = {**known, "invitations": [invitation(used_by=DEVICE_KEY.thumbprint)]}
    file.valid("enrol-again", "#enrolment", "the same key may ask again", ["enrolment"], frame=honest, mac=enrol_mac(request), message_id=request.message_id, **again)

    other = e.enrol_request(SIGNERS["device-p256"].cose, "device-p256")
    file.valid("enrol-p256", "#enrolment", "a key of P-256", ["enrolment", "esp256"], frame=plain(16, TOKEN, enrol_mac(other), raw(other)), mac=enrol_mac(other), message_id=other.message_id, **known)

    def bad(name, error, comment, message=request, token=TOKEN, mac=None, **change):
        frame = plain(16, token, enrol_mac(message) if mac is None else mac, raw(message))
        file.invalid(f"enrol-{name}", error, "#enrolment", comment, ["enrolment"], frame=frame, root=e.ROOT, invitations=change.get("invitations", [invitation()]))

    stranger = e.enrol_request(DEVICE_KEY.cose, "device-a", token=blob("stranger", 8))
    bad("no-invitation", "token-unknown", "nothing is open", invitations=[])
    bad("other-token", "token-unknown", "no invitation has this token", stranger, token=blob("stranger", 8))
    bad("token-of-payload", "token-unknown", "frame and payload name two tokens", stranger)
    bad("other-name", "token-unknown", "the invitation is for another device", e.enrol_request(DEVICE_KEY.cose, "device-a", device="press-8"))
    bad("used", "token-used", "another key was first", invitations=[invitation(used_by=SIGNERS["device-b"].thumbprint)])
    wrong = (
        ("secret", enrol_mac(request, bytes(32))), ("zero", bytes(32)), ("no-context", hmac256(SECRET, request.message_id)),
        ("wire-bytes", hmac256(SECRET, b"postern/1 enrol" + request.untagged)), ("bit", enrol_mac(request)[:-1] + bytes([enrol_mac(request)[-1] ^ 1])),
    )
    for name, mac in wrong:
        bad(f"mac-{name}", "enrol-mac", "the mac is not the one of secret and message id", mac=mac)
    taken = e.enrol_request(SIGNERS["device-b"].cose, "device-b")
    bad("mac-of-another-request", "enrol-mac", "an inspector took the mac for its own key", taken, mac=enrol_mac(request))
    bad("other-signer", "key-unknown", "signed by a key that the payload does not carry", e.enrol_request(DEVICE_KEY.cose, "device-b"))
    forged = e.enrol_request(DEVICE_KEY.cose, "device-b", labels={4: DEVICE_KEY.kid})
    bad("forged", "signature-invalid", "another key under the id of the carried one", forged)
    for name, change in (("token", {"token": blob("stranger", 8)}), ("name", {"device": "press-8"}), ("form", {"device": "Press"})):
        forged = e.enrol_request(DEVICE_KEY.cose, "device-b", labels={4: DEVICE_KEY.kid}, **change)
        bad(f"signature-before-{name}", "signature-invalid", "of the payload its key alone counts before the signature", forged)
    longer = e.enrol_request(None, "device-b", labels={4: DEVICE_KEY.kid}, payload=request.payload + b"\0")
    bad("profile-before-signature", "cbor-trailing", "no part of what is outside the profile is used", longer)
    off = {**SIGNERS["device-p256"].cose, -3: SIGNERS["other-p256"].cose[-3]}
    bad("p256-off-curve", "key-refused", "the carried key is no point", e.enrol_request(off, "device-p256", labels={4: e.sha256(encode(off))[:8]}))
    bad("p256-as-ed25519", "algorithm-mismatch", "alg -19 with a P-256 key", e.enrol_request(SIGNERS["device-p256"].cose, "device-p256", labels={1: -19}))
    bad("p256-used", "token-used", "another key was first", other, invitations=[invitation(used_by=DEVICE_KEY.thumbprint)])
    small = curve.compress(curve.torsion()[4])
    kid = e.sha256(encode(cose_key(small)))[:8]
    bad("small-order", "key-refused", "the key check refuses the carried key", e.enrol_request(cose_key(small), "device-a", labels={4: kid}))
    return file


def answers():
    """Returns the file of answers as the device sees them."""
    file = Collection("06-sessions/enrol-answer.json", "enrol.answer", "bundles from 1 on, then the answer of the writer of the last one")
    request = e.enrol_request(DEVICE_KEY.cose, "device-a")
    known = {**PINS, "tenant": e.TENANT, "device": e.DEVICE, "incarnation": e.INCARNATION, "public_key": DEVICE_KEY.public, "request": request.tagged}

    def answer(signer="writer-2", digest=request.message_id, number=2, thumbprint=DEVICE_KEY.thumbprint, **change):
        return e.Envelope(SIGNERS[signer], e.ENROL_ANSWER, (e.EPOCH, 1, 0), digest, encode([number, thumbprint, *change.pop("time", [])]), **change)

    def frame(message, chain=(FIRST, SECOND)):
        return plain(17, [Raw(bundle.untagged) for bundle in chain], raw(message))

    file.valid("answer-honest", "#enrolment", "two bundles", ["enrolment"], frame=frame(answer()), bundle_number=2, **known)
    file.valid("answer-skips", "#enrolment", "bundle 1 and what leads to number 4", ["enrolment"], frame=frame(answer(number=4), [FIRST, THIRD, FOURTH]), bundle_number=4, **known)
    file.valid("answer-one-bundle", "#enrolment", "one bundle", ["enrolment"], frame=frame(answer("writer", number=1), [FIRST]), bundle_number=1, **known)
    file.valid("answer-time", "#signed-time", "states the time", ["enrolment"], frame=frame(answer(time=[1795000000])), bundle_number=2, unix_s=1795000000, **known)
    other = SIGNERS["device-p256"]
    asked = e.enrol_request(other.cose, "device-p256")
    theirs = {**known, "public_key": other.public, "request": asked.tagged}
    honest = answer(digest=asked.message_id, thumbprint=other.thumbprint)
    file.valid("answer-p256", "#enrolment", "a device with a P-256 key", ["enrolment", "esp256"], frame=frame(honest), bundle_number=2, **theirs)
    moved = e.bundle(2, FIRST.message_id, fields={**second_fields(), 3: {e.TENANT: [2, SIGNERS["writer-p256"].cose]}})
    by_p256 = answer("writer-p256", asked.message_id, 2, other.thumbprint)
    file.valid("answer-p256-writer", "#enrolment", "the writer of bundle 2 has a P-256 key", ["enrolment", "esp256"], frame=frame(by_p256, [FIRST, moved]), bundle_number=2, **theirs)
    file.invalid("answer-p256-other-key", "enrol-answer-mismatch", "#enrolment", "for another key", ["enrolment", "esp256"], frame=frame(answer(digest=asked.message_id)), **theirs)
    third = e.bundle(2, blob("other", 32))
    foreign = e.bundle(1, b"", signer="other", fields={1: SIGNERS["other"].cose})
    rows = (
        ("time-0", "shape", frame(answer(time=[0])), "1970 is no time"), ("time-of-other-request", "enrol-answer-mismatch", frame(answer(digest=blob("other", 32), time=[1795000000])), "the time for another request"),
        ("other-request", "enrol-answer-mismatch", frame(answer(digest=blob("other", 32))), "for another request"),
        ("other-key", "enrol-answer-mismatch", frame(answer(thumbprint=SIGNERS["device-b"].thumbprint)), "for another key"),
        ("lower-number", "enrol-answer-mismatch", frame(answer(number=1)), "not the number of the last bundle"), ("higher-number", "enrol-answer-mismatch", frame(answer(number=3)), "not the number of the last bundle"),
        ("old-writer", "key-unknown", frame(answer("writer")), "the writer of bundle 1 signs"), ("by-mailbox", "key-unknown", frame(answer("mailbox")), "the mailbox signs"),
        ("forged", "signature-invalid", frame(answer("other", labels={4: SIGNERS["writer-2"].kid})), "another key under the id of the writer"),
        ("other-device", "signature-invalid", frame(answer(aad=e.aad(6, device="press-8"))), "for another device"),
        ("other-incarnation", "signature-invalid", frame(answer(aad=e.aad(6, incarnation=e.OTHER_INCARNATION))), "for the incarnation before"),
        ("gap", "bundle-gap", frame(answer(number=4), [FIRST, FOURTH]), "bundle 3, which names the root of bundle 4, is missing"), ("begins-with-two", "bundle-gap", frame(answer(), [SECOND]), "bundle 1 is missing"),
        ("descending", "bundle-gap", frame(answer(), [SECOND, FIRST]), "bundles must ascend"), ("twice", "bundle-stale", frame(answer("writer", number=1), [FIRST, FIRST]), "bundle 1 twice"),
        ("foreign-root", "bundle-root", frame(answer("writer", number=1), [foreign]), "another trust domain"), ("broken-chain", "bundle-chain", frame(answer("writer"), [FIRST, third]), "bundle 2 follows another 1"),
    )
    for name, error, data, comment in rows:
        file.invalid(f"answer-{name}", error, "#enrolment", comment, ["enrolment"], frame=data, **known)
    return file


def build():
    """Returns the three files."""
    return [bundles(), requests(), answers()]
