"""Bundles and enrolment."""

from . import frame
from .cbor import Refused, ensure, write
from .crypto import mac, sha256, thumbprint
from .envelope import parse, untag, verify_envelope
from .payload import bare_key, cose_key
from .session import aad


class Held:
    """The bundles accepted so far."""

    def __init__(self, genesis, recovery):
        self.genesis, self.recovery = genesis, recovery
        self.number, self.content, self.message_id = 0, None, b""

    def accept(self, data):
        """Accepts a higher bundle or refuses it."""
        opened = parse(data)
        ensure(opened.seq > self.number, "bundle-stale")
        went = opened.seq - self.number
        ensure(went == 1 or (self.content is not None and went <= 4096), "bundle-gap")
        missing = "bundle-root" if went == 1 else "bundle-gap"
        roots = self.roots(opened)
        try:
            opened, content, message_id, _ = verify_envelope(data, "root", None, aad(7, self.genesis), roots)
        except Refused as refused:
            raise Refused(missing if str(refused) == "key-unknown" else str(refused)) from None
        if self.content is None:
            pins = [thumbprint(bare_key(content[label])) for label in (1, 2)]
            ensure(pins == [self.genesis, self.recovery], "bundle-root")
        else:
            ensure(went > 1 or opened.digest == self.message_id, "bundle-chain")
            self.follow(content, went)
        self.number, self.content, self.message_id = opened.seq, content, message_id

    def roots(self, opened):
        """Returns the keys that may sign the next bundle."""
        from .cbor import read

        if self.content is None:
            public = bare_key(read(opened.payload)[1])
            ensure(thumbprint(public) == self.genesis, "bundle-root")
            return [public]
        return [bare_key(self.content[label]) for label in (1, 2)]

    def follow(self, content, went):
        """Checks what may change over so many numbers."""
        for tenant, (generation, key) in content[3].items():
            before = self.content[3].get(tenant)
            if before:
                least = int(key != before[1])
                ensure(generation - before[0] in range(least, (least if went == 1 else went) + 1), "bundle-generation")
        ensure(set(self.content[5]) <= set(content[5]), "bundle-revocation")


def bundle(test):
    """Judges a bundle after the held ones."""
    held = Held(bytes.fromhex(test["genesis"]), bytes.fromhex(test["recovery"]))
    for data in test["held"]:
        held.accept(untag(bytes.fromhex(data)))
    held.accept(untag(bytes.fromhex(test["incoming"])))
    assert held.message_id.hex() == test["message_id"]


def request(test):
    """Judges an enrolment request as the controller."""
    _, (token, sent_mac, items) = frame.parse(bytes.fromhex(test["frame"]), "up")
    found = [row for row in test["invitations"] if row["token"] == token.hex()]
    ensure(found, "token-unknown")
    row = found[0]
    opened = parse(write(items))
    place = aad(5, bytes.fromhex(test["root"]), row["tenant"])
    secret = bytes.fromhex(row["secret"])
    ensure(mac(secret, b"postern/1 enrol" + sha256(opened.structure(place))) == sent_mac, "enrol-mac")
    from .cbor import read

    inner_token, device, key, _, _ = read(opened.payload)
    public = cose_key(key)
    verify_envelope(write(items), "enrolling", None, place, [public])
    ensure(inner_token == token and device == row["device"], "token-unknown")
    ensure(row["used_by"] in (None, thumbprint(public).hex()), "token-used")


def answer(test):
    """Judges an enrolment answer as the device."""
    raw = {name: bytes.fromhex(test[name]) for name in ("genesis", "recovery", "public_key", "request", "incarnation")}
    _, (bundles, items) = frame.parse(bytes.fromhex(test["frame"]), "down")
    held = Held(raw["genesis"], raw["recovery"])
    for entry in bundles:
        held.accept(write(entry))
    place = [raw["genesis"], test["tenant"], test["device"], raw["incarnation"]]
    writer = bare_key(held.content[3][test["tenant"]][1])
    opened, content, _, _ = verify_envelope(write(items), "writer", None, aad(6, *place), [writer])
    sent = sha256(parse(untag(raw["request"])).structure(aad(5, *place[:2])))
    ensure(opened.digest == sent, "enrol-answer-mismatch")
    ensure(content[:2] == [held.number, thumbprint(raw["public_key"])], "enrol-answer-mismatch")
    assert content[2:] == ([test["unix_s"]] if "unix_s" in test else [])
    assert held.number == test["bundle_number"]
