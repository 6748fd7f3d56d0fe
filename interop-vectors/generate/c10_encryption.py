"""10-encryption: keyed digests, what decrypts at which place, plane-keys, and their envelopes."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from . import envelope as e
from .c03_valid import fields
from .collection import Collection
from .encoding import Raw, encode
from .hashing import hmac256, sha256
from .keys import SIGNERS, blob, raw_public, seed
from .typed import typed_state

STATE = {"net/mtu": 1500, "net/wifi/ssid": "hall-B", "name": "press"}
DIGEST_KEY = blob("digest key", 32)
KEYS = {number: (blob(f"key of desired {number}", 32), blob(f"key of actual {number}", 32)) for number in (1, 2, 258)}
PLACE = {"root": e.ROOT, "tenant": e.TENANT, "device": e.DEVICE, "incarnation": e.INCARNATION}
SUITE = b"HPKE" + b"\x00\x20" + b"\x00\x01" + b"\x00\x03"


def held(*numbers):
    """Returns the keys that a reader holds."""
    rows = [{"generation": number, "desired": KEYS[number][0], "actual": KEYS[number][1]} for number in numbers]
    return {"digest_key": DIGEST_KEY, "keys": rows}


def root_digest(state):
    """Returns (root digest, {section: digest}) under the digest key."""
    table = {name: hmac256(DIGEST_KEY, body) for name, body in e.section_bodies(state).items()}
    return hmac256(DIGEST_KEY, encode(["postern-state", table])), table


def generation_bytes(number):
    """Returns a key generation as it stands in label 4."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def message_aad(position, plane=0, **other):
    """Returns the external aad of a payload or of lists."""
    place = {**PLACE, **other}
    return encode(["postern/1 encrypted", place["root"], place["tenant"], place["device"], place["incarnation"], plane, list(position)])


def body_aad(section, digest, plane=0, **other):
    """Returns the external aad of a section body."""
    place = {**PLACE, **other}
    return encode(["postern/1 encrypted body", place["root"], place["tenant"], place["device"], place["incarnation"], plane, section, digest])


def encrypt(aad, plaintext, plane=0, number=1, **change):
    """Returns a COSE_Encrypt0, honest or with one part changed."""
    iv = change.get("iv", sha256(b"iv" + aad + plaintext)[:12])
    protected = change.get("protected") or encode({1: 24, 4: generation_bytes(number), 5: iv})
    structure = encode(["Encrypt0", protected, change.get("signed_aad", aad)])
    key = change.get("key", KEYS[number][plane])
    ciphertext = ChaCha20Poly1305(key).encrypt(iv, plaintext, structure)
    return encode([protected, change.get("unprotected", {}), change.get("ciphertext", lambda it: it)(ciphertext)])


def extract(salt, label, secret, suite=SUITE):
    """Returns LabeledExtract of RFC 9180."""
    return hmac256(salt or bytes(32), b"HPKE-v1" + suite + label + secret)


def expand(secret, label, info, size, suite=SUITE):
    """Returns LabeledExpand of RFC 9180, one block."""
    return hmac256(secret, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01")[:size]


def hpke(recipient, ephemeral, info, aad, plaintext):
    """Returns (encapsulated key, ciphertext) of HPKE in base mode."""
    private = X25519PrivateKey.from_private_bytes(ephemeral)
    shared = private.exchange(X25519PublicKey.from_public_bytes(recipient))
    encapsulated = raw_public(private)
    kem = b"KEM\x00\x20"
    secret = expand(extract(b"", b"eae_prk", shared, kem), b"shared_secret", encapsulated + recipient, 32, kem)
    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    schedule = extract(secret, b"secret", b"")
    key, nonce = expand(schedule, b"key", context, 32), expand(schedule, b"base_nonce", context, 12)
    return encapsulated, ChaCha20Poly1305(key).encrypt(nonce, plaintext, aad)


def plane_key_payload(number, secrets=None, **other):
    """Returns the payload of a plane-key for the device of the tests."""
    place = {**PLACE, **other}
    aad = encode(["postern/1 plane-key", place["root"], place["tenant"], place["device"], place["incarnation"], other.get("aad_number", number)])
    recipient = raw_public(X25519PrivateKey.from_private_bytes(seed(other.get("recipient", "agreement-device"))))
    plaintext = encode(secrets if secrets is not None else [DIGEST_KEY, *KEYS[number]])
    return encode(list(hpke(recipient, sha256(b"ephemeral" + aad), other.get("info", b"postern/1 plane-key"), aad, plaintext)))


def digests():
    """Returns the file of keyed digests."""
    file = Collection("10-encryption/digest.json", "encryption.digest", "digests of an encrypted plane: HMAC-SHA256 under `digest_key` over the bytes that a readable one hashes")
    for name, state, comment in (
        ("empty", {}, "the root over an empty table"), ("one-value", {"k": 1}, "the section without a name"),
        ("sections", STATE, "two sections"), ("integer", {"k": 12}, "12 and 12.0 differ"), ("float", {"k": 12.0}, "12 and 12.0 differ"),
    ):
        root, table = root_digest(state)
        file.valid(f"keyed-digest-{name}", "#keyed-digest", comment, ["digest"], digest_key=DIGEST_KEY, state=typed_state(state), digest=root, sections=table)
    for name, state, error, spec in (
        ("path", {"a//b": 1}, "path-invalid", "#paths"), ("conflict", {"a": 1, "a/b": 2}, "path-conflict", "#paths"),
    ):
        file.invalid(f"keyed-digest-bad-{name}", error, spec, "the rules of a state hold", ["digest"], digest_key=DIGEST_KEY, state=typed_state(state))
    for count, error in ((21808, None), (21809, "section-oversize")):
        form = {"sections": 1, "keys": 3, "bytes": count}
        state = {f"s0000/k{key:04}": b"\x5a" * form["bytes"] for key in range(3)}
        size = len(next(iter(e.section_bodies(state).values())))
        assert (size > 65472) is bool(error), size
        add = file.invalid if error else file.valid
        args = (f"keyed-digest-section-{size}", *([error] if error else []), "#encrypted-snapshot", "64 bytes stay free for the encryption", ["limit"])
        add(*args, digest_key=DIGEST_KEY, fill=form, **({} if error else {"digest": root_digest(state)[0]}))
    return file


def opened():
    """Returns the file of what decrypts."""
    file = Collection("10-encryption/open.json", "encryption.open", "a reader that holds `keys` (none: a readable channel) gets `input`: the payload of a delta with its `position`, or the stored body of a `section` with its keyed digest")
    position = (0, e.EPOCH, e.SEQ, e.SEQ - 1, root_digest(STATE)[0])
    plain = encode([{e.PATH: "hall-B"}])
    honest = {**held(1), **PLACE, "plane": 0, "position": position}

    def good(name, comment, data, plaintext, **change):
        file.valid(f"open-{name}", "#encrypted", comment, ["encryption"], **{**honest, **change}, input=data, plaintext=plaintext)

    def bad(name, error, comment, data, spec="#encrypted", **change):
        file.invalid(f"open-{name}", error, spec, comment, ["encryption"], **{**honest, **change}, input=data)

    made = encrypt(message_aad(position), plain)
    good("delta", "an encrypted delta", made, plain)
    good("delta-older-generation", "the key that is named counts, not the newest", made, plain, **held(1, 2))
    good("delta-two-bytes", "generation 258 is two bytes", encrypt(message_aad(position), plain, number=258), plain, **held(258))
    good("delta-of-device", "the key of the other plane", encrypt(message_aad(position, 1), plain, 1), plain, plane=1)
    good("delta-other-iv", "another IV, the same meaning", encrypt(message_aad(position), plain, iv=blob("iv", 12)), plain)
    good("readable-without-keys", "a channel that was never encrypted", plain, plain, keys=[])
    bad("readable-with-keys", "not-encrypted", "nobody goes back", plain, "#switching-on")
    bad("without-keys", "plane-key-missing", "no key is held", made, "#switching-on", keys=[])
    bad("unknown-generation", "plane-key-missing", "another generation is held", made, **held(2))
    for name, change in (
        ("epoch", {"position": (0, e.EPOCH + 1, *position[2:])}), ("seq", {"position": (0, e.EPOCH, e.SEQ + 1, *position[3:])}),
        ("base", {"position": (*position[:3], 1, position[4])}), ("digest", {"position": (*position[:4], blob("other", 32))}),
        ("plane", {"plane": 1}), ("device", {"device": "press-8"}), ("tenant", {"tenant": "other"}), ("incarnation", {"incarnation": e.OTHER_INCARNATION}),
        ("root", {"root": blob("other root", 32)}),
    ):
        bad(f"at-another-{name}", "decryption-failed", "it belongs elsewhere", made, **change)
    bad("changed", "decryption-failed", "one bit of the ciphertext", encrypt(message_aad(position), plain, ciphertext=lambda it: bytes([it[0] ^ 1]) + it[1:]))
    bad("tag-cut", "decryption-failed", "no room for a tag", encrypt(message_aad(position), plain, ciphertext=lambda it: it[:15]))
    bad("another-key", "decryption-failed", "the generation is right, the key is not", encrypt(message_aad(position), plain, key=blob("no key", 32)))
    bad("as-body", "decryption-failed", "a payload is no body", encrypt(body_aad("net", position[4]), plain))
    iv = blob("iv", 12)
    for name, protected, comment in (
        ("algorithm", {1: 3, 4: b"\x01", 5: iv}, "A256GCM"), ("no-generation", {1: 24, 5: iv}, "two labels"),
        ("empty-generation", {1: 24, 4: b"", 5: iv}, "no byte"), ("leading-zero", {1: 24, 4: b"\x00\x01", 5: iv}, "two forms of one number"),
        ("long-generation", {1: 24, 4: b"\x01" + bytes(8), 5: iv}, "nine bytes"), ("number", {1: 24, 4: 1, 5: iv}, "a number"),
        ("short-iv", {1: 24, 4: b"\x01", 5: iv[:11]}, "eleven bytes"), ("partial-iv", {1: 24, 4: b"\x01", 6: iv}, "a partial IV"),
        ("fourth-label", {1: 24, 4: b"\x01", 5: iv, 6: b""}, "one too many"),
    ):
        bad(f"header-{name}", "shape", comment, encrypt(message_aad(position), plain, protected=encode(protected), iv=iv))
    bad("unprotected", "unprotected-not-empty", "the IV where everybody writes", encrypt(message_aad(position), plain, unprotected={5: iv}))
    bad("unprotected-before-protected", "unprotected-not-empty", "both headers are wrong", encrypt(message_aad(position), plain, protected=b"\xa0", unprotected={5: iv}, iv=iv))
    bad("profile-before-unprotected", "cbor-truncated", "both headers are wrong", encrypt(message_aad(position), plain, protected=b"\xa1\x01", unprotected={5: iv}, iv=iv))
    bad("two-members", "shape", "no ciphertext", encode([b"\xa0", {}]))
    body = e.section_bodies(STATE)["net"]
    digest = hmac256(DIGEST_KEY, body)
    section = {"position": None, "section": "net", "digest": digest}
    stored = encrypt(body_aad("net", digest), body)
    good("body", "a stored body", stored, body, **section)
    for name, change in (("section", {"section": "name"}), ("digest", {"digest": blob("other", 32)}), ("plane", {"plane": 1})):
        bad(f"body-of-another-{name}", "decryption-failed", "it belongs elsewhere", stored, "#encrypted", **{**section, **change})
    other = encode({"net/mtu": 9000})
    bad("body-of-other-content", "body-mismatch", "what decrypts has not the digest of the row", encrypt(body_aad("net", digest), other), "#encrypted-snapshot", **section)
    for test in file.tests:
        if test["position"] is None:
            del test["position"]
    return file


def plane_keys():
    """Returns the file of plane-keys."""
    file = Collection("10-encryption/plane-key.json", "plane-key.open", "a device with the agreement key of `secret` gets the payload of a plane-key in its place, after the one that is `held`")
    secret = seed("agreement-device")
    incoming = {"secret": secret, **PLACE, "writer": 1, "epoch": e.EPOCH, "generation": 2}

    def before(payload, digest_key=DIGEST_KEY, **place):
        return {"writer": 1, "epoch": e.EPOCH, "generation": 1, **place, "payload": sha256(payload), "digest_key": digest_key}

    one, two = plane_key_payload(1), plane_key_payload(2)

    def good(name, comment, payload, outcome="new", **change):
        outputs = dict(digest_key=DIGEST_KEY, desired=KEYS[2][0], actual=KEYS[2][1]) if outcome == "new" else {}
        file.valid(f"plane-key-{name}", "#plane-key", comment, ["encryption"], **{**incoming, "held": None, **change}, input=payload, outcome=outcome, **outputs)

    def bad(name, error, comment, payload, **change):
        file.invalid(f"plane-key-{name}", error, "#plane-key", comment, ["encryption"], **{**incoming, "held": None, **change}, input=payload)

    good("first", "nothing is held", two)
    good("next", "after generation 1", two, held=before(one))
    good("later-epoch", "a restored controller drew the number again", two, held=before(one, generation=2, epoch=e.EPOCH - 1))
    good("other-writer", "the generation of the writer key ranks first", two, held=before(one, generation=9, epoch=e.EPOCH + 5), writer=2)
    good("again", "the same keys in the same place", two, "known", held=before(two, generation=2))
    good("again-in-later-epoch", "signed again after a restart", two, "again", held=before(two, generation=2, epoch=e.EPOCH - 1))
    good("again-from-earlier-epoch", "a copy of what was taken", two, "known", held=before(two, generation=2, epoch=e.EPOCH + 1))
    bad("lower-generation", "plane-key-stale", "replayed after a rotation", two, held=before(one, generation=3))
    bad("lower-epoch", "plane-key-stale", "of an earlier life of the writer", two, held=before(one, epoch=e.EPOCH + 1))
    bad("lower-writer", "plane-key-stale", "of a replaced writer key", two, held=before(one, writer=2))
    bad("same-number", "equivocation", "one number, two contents", two, held=before(one, generation=2))
    bad("other-digest-key", "plane-key-conflict", "digests would change", two, held=before(one, blob("another digest key", 32)))
    bad("other-secret", "decryption-failed", "for another device", two, secret=seed("other"))
    bad("other-incarnation", "decryption-failed", "of an earlier life", two, incarnation=e.OTHER_INCARNATION)
    bad("other-device", "decryption-failed", "for another name", two, device="press-8")
    bad("other-number", "decryption-failed", "the number is part of the aad", plane_key_payload(2, aad_number=3))
    bad("other-info", "decryption-failed", "another protocol", plane_key_payload(2, info=b"postern/2 plane-key"))
    bad("changed", "decryption-failed", "one bit", two[:-1] + bytes([two[-1] ^ 1]))
    bad("low-order", "decryption-failed", "an encapsulated key that gives no secret", encode([bytes(32), blob("c", 32) * 3 + bytes(23)]))
    bad("short", "shape", "118 bytes", encode([blob("k", 32), bytes(118)]))
    bad("form-before-place", "shape", "118 bytes, and of an earlier life of the writer", encode([blob("k", 32), bytes(118)]), held=before(one, epoch=e.EPOCH + 1))
    bad("long", "shape", "120 bytes", encode([blob("k", 32), bytes(120)]))
    bad("three-members", "shape", "one too many", encode([blob("k", 32), bytes(119), 0]))
    bad("not-keys", "shape", "what decrypts are not three keys", plane_key_payload(2, [DIGEST_KEY, KEYS[2][0], [KEYS[2][1][:31]]]))
    return file


def plane_key(number=2, numbers=None, **change):
    """Returns the envelope of a plane-key."""
    payload = change.pop("payload", plane_key_payload(number))
    digest = change.pop("digest", sha256(payload))
    return e.Envelope(SIGNERS["writer"], e.PLANE_KEY, numbers or (e.EPOCH, number, 0), digest, payload, **change)


def snapshot(state, build=lambda it: it, **change):
    """Returns an encrypted snapshot."""
    root, table = root_digest(state)
    rows = {name: [digest, sha256(encrypt(body_aad(name, digest), e.section_bodies(state)[name]))] for name, digest in table.items()}
    return e.snapshot(state, payload=encode(build([rows, [], 1])), digest=root, **change)


def enrol_request(*more, **change):
    """Returns an enrol-request with further members."""
    base = [blob("token", 8), e.DEVICE, SIGNERS["device-a"].cose, e.INCARNATION, blob("enrol nonce", 16)]
    return e.enrol_request(SIGNERS["device-a"].cose, "device-a", payload=encode([*base, *more]), **change)


def envelopes():
    """Returns the file of envelopes, as whoever holds no key judges them."""
    file = Collection("10-encryption/envelopes.json", "sign1.verify", "envelopes with encrypted content: a reader without keys, a mailbox among them, checks form and signature")
    root = root_digest(STATE)[0]
    position = (0, e.EPOCH, e.SEQ, e.SEQ - 1, root)
    encrypted = encrypt(message_aad(position), encode([{e.PATH: "hall-B"}]))
    lists = encrypt(message_aad((2, e.EPOCH, 7, 0, root), 1), encode({2: [[1, 2, 0, "done"]]}), 1)
    agreement = raw_public(X25519PrivateKey.from_private_bytes(seed("agreement-device")))
    report = e.report([e.EPOCH, e.SEQ, Raw(lists)], root)
    for name, message, comment in (
        ("plane-key", plane_key(), "keys of generation 2"), ("delta", e.delta({}, payload=encrypted, digest=root), "the payload is a COSE_Encrypt0"),
        ("snapshot", snapshot(STATE), "the table names stored bodies"), ("snapshot-empty", snapshot({}), "the key generation tells"),
        ("report", report, "the lists are a COSE_Encrypt0"), ("enrol-request", enrol_request(agreement), "the sixth member binds the agreement key"),
    ):
        file.valid(f"encrypted-{name}", "#kinds", comment, ["encryption"], **fields(message))
    cut = encode([b"\xa0", {}, b""])
    for name, error, message, comment, spec in (
        ("plane-key-digest", "digest-mismatch", plane_key(digest=blob("other", 32)), "not the hash of the payload", "#plane-key"),
        ("plane-key-base", "header-numbers", plane_key(numbers=(e.EPOCH, 2, 1)), "base is 0", "#kinds"),
        ("plane-key-number", "seq-zero", plane_key(numbers=(e.EPOCH, 0, 0)), "generations begin at 1", "#kinds"),
        ("plane-key-epoch", "epoch-zero", plane_key(numbers=(0, 2, 0)), "an epoch of the writer", "#kinds"),
        ("plane-key-payload", "shape", plane_key(payload=encode([blob("k", 32)])), "no ciphertext", "#plane-key"),
        ("agreement-zero", "key-refused", enrol_request(bytes(32)), "gives no shared secret", "#agreement-key"),
        ("agreement-one", "key-refused", enrol_request(b"\x01" + bytes(31)), "of small order", "#agreement-key"),
        ("agreement-short", "shape", enrol_request(agreement[:31]), "31 bytes", "#agreement-key"),
        ("agreement-and-more", "shape", enrol_request(agreement, 0), "seven members", "#agreement-key"),
        ("delta-header", "shape", e.delta({}, payload=cut, digest=root), "no labels", "#encrypted"),
        ("report-header", "shape", e.report([e.EPOCH, e.SEQ, [b"\xa0", {}, b""]], root), "no labels", "#encrypted"),
        ("snapshot-generation", "shape", snapshot(STATE, lambda it: [*it[:2], 0]), "generation 0", "#encrypted-snapshot"),
        ("snapshot-readable-row", "shape", snapshot(STATE, lambda it: [{**it[0], "": blob("d", 32)}, *it[1:]]), "two forms in one table", "#encrypted-snapshot"),
        ("snapshot-readable-rows", "shape", snapshot(STATE, lambda it: [e.root_digest(STATE)[1], *it[1:]]), "a generation and readable rows", "#encrypted-snapshot"),
        ("snapshot-no-generation", "shape", snapshot(STATE, lambda it: it[:2]), "encrypted rows without a generation", "#encrypted-snapshot"),
        ("snapshot-four-members", "shape", snapshot(STATE, lambda it: [*it, 0]), "one too many", "#encrypted-snapshot"),
    ):
        file.invalid(f"encrypted-bad-{name}", error, spec, comment, ["encryption"], **message.expected, cose=message.tagged)
    return file


def build():
    """Returns the files."""
    return [digests(), opened(), plane_keys(), envelopes()]
