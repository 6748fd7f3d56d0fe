"""The lines that people carry: a join line to a device, trust and relay lines to and from a relay.

Implements spec/lives.md#join-line and spec/relays.md#trust-line.
"""

import base64
import binascii
from dataclasses import dataclass

from . import cbor
from .bundle import read_urls
from .forms import check_envelope
from .keys import PublicKey
from .limits import JOIN_LINE_CHARS_MAX, TRUST_LINE_CHARS_MAX, URL_BYTES_MAX
from .names import check_name
from .rejects import Reject, require
from .trust import Trust


@dataclass(frozen=True)
class JoinLine:
    """What an operator gives to a device, once. It holds a secret."""

    urls: list[str]
    genesis: bytes
    recovery: bytes
    tenant: str
    device: str
    token: bytes
    secret: bytes
    tls_ca: bytes | None
    mailbox: bytes | None

    def __repr__(self) -> str:
        return f"JoinLine({self.tenant}/{self.device})"


def _decode(text: str, prefix: str, chars_max: int):
    text = text.strip(" \t\r\n")
    require(len(text) <= chars_max, "oversize")
    require(text.startswith(prefix), "shape")
    encoded = text[len(prefix) :]
    require(all(char.isascii() and (char.isalnum() or char in "-_") for char in encoded), "shape")
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Reject("shape") from None
    # One text for one line: base64 leaves room for bits that nobody reads.
    require(base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == encoded, "shape")
    return cbor.decode(raw)


def read_join(text: str) -> JoinLine:
    """Reads a join line."""
    item = _decode(text, "postern1:", JOIN_LINE_CHARS_MAX)
    require(isinstance(item, dict) and set(range(1, 8)) <= set(item) <= set(range(1, 10)), "shape")
    urls = item[1]
    require(isinstance(urls, list) and urls, "shape")
    require(all(isinstance(url, str) and 1 <= len(url.encode()) <= URL_BYTES_MAX for url in urls), "shape")
    require(all(cbor.is_bytes(item[key], length) for key, length in ((2, 32), (3, 32), (6, 8), (7, 32))), "shape")
    check_name(item[4])
    check_name(item[5])
    require(isinstance(item.get(8, b""), bytes), "shape")
    require(cbor.is_bytes(item.get(9, bytes(32)), 32), "shape")
    return JoinLine(urls, item[2], item[3], item[4], item[5], item[6], item[7], item.get(8), item.get(9))


def read_trust(text: str) -> Trust:
    """Reads a trust line and accepts its bundles."""
    item = _decode(text, "postern-trust1:", TRUST_LINE_CHARS_MAX)
    require(isinstance(item, dict) and set(item) == {1, 2, 3}, "shape")
    require(cbor.is_bytes(item[1], 32) and cbor.is_bytes(item[2], 32), "shape")
    require(isinstance(item[3], list) and item[3], "shape")
    envelopes = [check_envelope(envelope) for envelope in item[3]]
    trust = Trust(item[1], item[2])
    for envelope in envelopes:
        trust.accept(envelope)
    return trust


def read_relay(text: str) -> tuple[PublicKey, tuple[str, ...]]:
    """Reads a relay line: the key of a mailbox and its URLs."""
    item = _decode(text, "postern-relay1:", JOIN_LINE_CHARS_MAX)
    require(isinstance(item, dict) and {1, 2} <= set(item) <= {1, 2, 3}, "shape")
    key, urls = PublicKey.from_item(item[1]), read_urls(item[2])
    require(isinstance(item.get(3, b""), bytes), "shape")
    key.check()
    return key, urls
