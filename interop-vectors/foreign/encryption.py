"""Encrypted planes: keyed digests, COSE_Encrypt0 and plane-keys, by libsodium."""

import struct

from nacl import bindings
from nacl.exceptions import CryptoError

from . import state
from .cbor import Refused, ensure, read, write
from .crypto import mac, sha256

OVERHEAD = 64


def place(test):
    """Returns the names of a life as they stand in an aad."""
    return [bytes.fromhex(test["root"]), test["tenant"], test["device"], bytes.fromhex(test["incarnation"])]


def keyed(key, content):
    """Returns (root, sections) of a state under a digest key, after all checks."""
    state.digest(content)
    bodies = {}
    for path, value in content.items():
        bodies.setdefault(state.section_of(path), {})[path] = value
    bodies = {name: write(body) for name, body in bodies.items()}
    ensure(all(len(body) <= state.SECTION_BYTES_MAX - OVERHEAD for body in bodies.values()), "section-oversize")
    ensure(sum(len(body) + OVERHEAD for body in bodies.values()) <= state.STATE_BYTES_MAX, "state-oversize")
    table = {name: mac(key, body) for name, body in bodies.items()}
    return mac(key, write(["postern-state", table])), table


def check_form(items):
    """Refuses what is no COSE_Encrypt0; returns (generation, iv)."""
    ensure(isinstance(items, list) and len(items) == 3, "shape")
    ensure(isinstance(items[0], bytes) and isinstance(items[1], dict), "shape")
    ensure(isinstance(items[2], bytes), "shape")
    header = read(items[0])
    ensure(items[1] == {}, "unprotected-not-empty")
    ensure(isinstance(header, dict) and set(header) == {1, 4, 5}, "shape")
    ensure(type(header[1]) is int and header[1] == 24, "shape")
    ensure(isinstance(header[5], bytes) and len(header[5]) == 12, "shape")
    number = header[4]
    ensure(isinstance(number, bytes) and 0 < len(number) <= 8 and number[0] != 0, "shape")
    return int.from_bytes(number, "big"), header[5]


def unlock(ciphertext, aad, nonce, key):
    """Returns what decrypts."""
    try:
        ensure(len(ciphertext) >= 16, "decryption-failed")
        return bindings.crypto_aead_chacha20poly1305_ietf_decrypt(ciphertext, aad, nonce, key)
    except CryptoError:
        raise Refused("decryption-failed") from None


def judge_digest(test, content):
    """Judges keyed digests."""
    root, table = keyed(bytes.fromhex(test["digest_key"]), content)
    assert root.hex() == test["digest"], test["name"]
    if "sections" in test:
        assert {name: digest.hex() for name, digest in table.items()} == test["sections"], test["name"]


def judge_open(test):
    """Judges what a reader gets out of a payload or a stored body."""
    data, keys = bytes.fromhex(test["input"]), test["keys"]
    items = read(data)
    if "position" in test:
        if not (isinstance(items, list) and items and isinstance(items[0], bytes)):
            ensure(not keys, "not-encrypted")
            assert data.hex() == test["plaintext"]
            return
        position = test["position"][:4] + [bytes.fromhex(test["position"][4])]
        aad = write(["postern/1 encrypted", *place(test), test["plane"], position])
    else:
        aad = write(["postern/1 encrypted body", *place(test), test["plane"], test["section"], bytes.fromhex(test["digest"])])
    ensure(keys, "plane-key-missing")
    generation, iv = check_form(items)
    rows = [row for row in keys if row["generation"] == generation]
    ensure(rows, "plane-key-missing")
    key = bytes.fromhex(rows[0][("desired", "actual")[test["plane"]]])
    plaintext = unlock(items[2], write(["Encrypt0", items[0], aad]), iv, key)
    if "section" in test:
        ensure(mac(bytes.fromhex(test["digest_key"]), plaintext).hex() == test["digest"], "body-mismatch")
    assert plaintext.hex() == test["plaintext"]


def labeled_extract(suite, salt, label, material):
    """Returns LabeledExtract (RFC 9180, 4)."""
    return mac(salt, b"HPKE-v1" + suite + label + material)


def labeled_expand(suite, secret, label, info, length):
    """Returns LabeledExpand (RFC 9180, 4) of at most 32 bytes."""
    return mac(secret, struct.pack(">H", length) + b"HPKE-v1" + suite + label + info + b"\x01")[:length]


def hpke_open(secret, encapsulated, info, aad, ciphertext):
    """Returns the plaintext of HPKE in base mode (RFC 9180, 6.1)."""
    try:
        shared = bindings.crypto_scalarmult(secret, encapsulated)
    except (CryptoError, RuntimeError):
        raise Refused("decryption-failed") from None
    ensure(any(shared), "decryption-failed")
    kem, suite, zeros = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03", bytes(32)
    public = bindings.crypto_scalarmult_base(secret)
    prk = labeled_extract(kem, zeros, b"eae_prk", shared)
    shared = labeled_expand(kem, prk, b"shared_secret", encapsulated + public, 32)
    context = b"\x00" + labeled_extract(suite, zeros, b"psk_id_hash", b"") + labeled_extract(suite, zeros, b"info_hash", info)
    prk = labeled_extract(suite, shared, b"secret", b"")
    key, nonce = (labeled_expand(suite, prk, label, context, length) for label, length in ((b"key", 32), (b"base_nonce", 12)))
    return unlock(ciphertext, aad, nonce, key)


def check_agreement(public):
    """Refuses a key that gives no shared secret."""
    try:
        ensure(any(bindings.crypto_scalarmult(bytes([9]) * 32, public)), "key-refused")
    except (CryptoError, RuntimeError):
        raise Refused("key-refused") from None


def check_payload(value):
    """Refuses what is no payload of a plane-key."""
    ensure(isinstance(value, list) and [type(part) for part in value] == [bytes, bytes], "shape")
    ensure([len(part) for part in value] == [32, 119], "shape")


def judge_plane_key(test):
    """Judges a plane-key after the one that is held."""
    data, held = bytes.fromhex(test["input"]), test["held"]
    outcome, value = "new", read(data)
    check_payload(value)
    if held:
        order, before = ([row[name] for name in ("writer", "epoch", "generation")] for row in (test, held))
        same = held["generation"] == test["generation"] and held["payload"] == sha256(data).hex()
        if same:
            outcome = "again" if order > before else "known"
        else:
            ensure(order >= before, "plane-key-stale")
            ensure(order > before, "equivocation")
    if outcome == "new":
        aad = write(["postern/1 plane-key", *place(test), test["generation"]])
        keys = read(hpke_open(bytes.fromhex(test["secret"]), value[0], b"postern/1 plane-key", aad, value[1]))
        ensure(isinstance(keys, list) and len(keys) == 3 and all(isinstance(key, bytes) and len(key) == 32 for key in keys), "shape")
        ensure(not held or held["digest_key"] == keys[0].hex(), "plane-key-conflict")
        assert [key.hex() for key in keys] == [test["digest_key"], test["desired"], test["actual"]]
    assert outcome == test["outcome"], test["name"]
