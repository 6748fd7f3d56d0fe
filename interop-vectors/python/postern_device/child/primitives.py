"""Operations on CBOR, keys, names and lines."""

from .. import cbor, lines, names
from ..keys import ED25519, ESP256, PublicKey
from ..limits import ENVELOPE_BYTES_MAX, FRAME_BYTES_MAX
from ..rejects import Reject, require
from .members import Members, RunnerFault, hexed


def _cbor_check(request: Members) -> dict:
    cbor.decode(request.hex("input"))
    return {}


def _thumbprint(request: Members) -> dict:
    key = request.key()
    return hexed(cose_key=cbor.encode(key.to_item()), thumbprint=key.thumbprint, kid=key.key_id)


def _verify(algorithm: int, length: int):
    def verify(request: Members) -> dict:
        raw = request.hex("public_key")
        require(len(raw) == length and (length == 32 or raw[0] == 4), "key-refused")
        key = PublicKey(algorithm, raw)
        key.check()
        key.verify(request.hex("message"), request.hex("signature"))
        return {}

    return verify


def _channel_id(request: Members) -> dict:
    preimage = names.channel_preimage(request.hex("root"), request["tenant"], request["device"])
    return hexed(preimage=preimage, channel_id=names.short_id(preimage))


def _greeter_id(request: Members) -> dict:
    if "mailbox" in request:
        preimage = names.mailbox_preimage(request.hex("root"), request.hex("mailbox"))
    else:
        preimage = names.tenant_preimage(request.hex("root"), request["tenant"])
    return hexed(preimage=preimage, greeter_id=names.short_id(preimage))  # `id` is the request's


def _bytes(request: Members) -> dict:
    data = request.hex("input")
    limit = {"envelope": ENVELOPE_BYTES_MAX, "frame": FRAME_BYTES_MAX}[request["form"]]
    if len(data) != request["bytes"] or len(data) > request["budget"] or len(data) > limit:
        raise Reject("oversize")
    return {}


def _line_read(request: Members) -> dict:
    if request["form"] == "trust":
        trust = lines.read_trust(request["text"])
        return {"bundles": trust.number, **hexed(root=trust.genesis, recovery=trust.recovery)}
    if request["form"] != "relay":
        raise RunnerFault
    key, urls = lines.read_relay(request["text"])
    return {"urls": list(urls), **hexed(thumbprint=key.thumbprint)}


OPERATIONS = {
    "cbor.check": _cbor_check,
    "key.thumbprint": _thumbprint,
    "ed25519.verify": _verify(ED25519, 32),
    "esp256.verify": _verify(ESP256, 65),
    "channel.id": _channel_id,
    "greeter.id": _greeter_id,
    "bytes": _bytes,
    "line.read": _line_read,
}
