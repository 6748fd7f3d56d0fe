"""What a bundle says: the keys that may say anything, and the keys that may not any more.

Implements the content rules of spec/postern.md#bundle; `trust` has the rules between bundles.
"""

from dataclasses import dataclass

from . import cbor
from .keys import PublicKey
from .limits import BUNDLE_LIST_MAX, URL_BYTES_MAX, URLS_MAX
from .names import check_name
from .rejects import require


@dataclass(frozen=True)
class Writer:
    """The key that writes for a tenant, and its generation."""

    generation: int
    key: PublicKey


@dataclass(frozen=True)
class Mailbox:
    """A mailbox that a device may use; the first in a bundle is the preferred one."""

    key: PublicKey
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Bundle:
    """The content of one bundle."""

    root: PublicKey
    recovery: PublicKey
    writers: dict[str, Writer]
    mailboxes: list[Mailbox]
    revoked: list[bytes]

    @staticmethod
    def from_item(item) -> "Bundle":
        """Checks all that needs no other bundle, in reading order; what it revokes itself comes last."""
        require(isinstance(item, dict) and len(item) == 5, "shape")
        members = iter(item.items())
        root, recovery = _read_key(_member(members, 1)), _read_key(_member(members, 2))
        writers = _read_writers(_member(members, 3))
        mailboxes = _read_mailboxes(_member(members, 4))
        revoked = _read_revoked(_member(members, 5))
        content = Bundle(root, recovery, writers, mailboxes, revoked)
        require(not {key.thumbprint for key in content.keys()} & set(revoked), "key-revoked")
        return content

    def keys(self) -> list[PublicKey]:
        """Every key that it lists."""
        writers = [writer.key for writer in self.writers.values()]
        return [self.root, self.recovery, *writers, *(mailbox.key for mailbox in self.mailboxes)]

    def mailbox_of(self, thumbprint: bytes) -> Mailbox | None:
        """The mailbox with this key."""
        return next((mailbox for mailbox in self.mailboxes if mailbox.key.thumbprint == thumbprint), None)


def _member(members, label: int):
    found, value = next(members)
    require(cbor.is_uint(found) and found == label, "shape")
    return value


def _read_key(item) -> PublicKey:
    key = PublicKey.from_item(item)
    key.check()
    return key


def _read_writers(item) -> dict[str, Writer]:
    require(isinstance(item, dict) and len(item) > 0, "shape")
    require(len(item) <= BUNDLE_LIST_MAX, "oversize")
    writers = {}
    for tenant, pair in item.items():
        check_name(tenant)
        require(cbor.is_array(pair, 2, 2) and cbor.is_uint(pair[0]), "shape")
        require(pair[0] >= 1, "bundle-generation")
        writers[tenant] = Writer(pair[0], _read_key(pair[1]))
    return writers


def _read_mailboxes(item) -> list[Mailbox]:
    require(isinstance(item, list), "shape")
    require(len(item) <= BUNDLE_LIST_MAX, "oversize")
    mailboxes = []
    for pair in item:
        require(cbor.is_array(pair, 2, 2), "shape")
        mailboxes.append(Mailbox(_read_key(pair[0]), read_urls(pair[1])))
    return mailboxes


def read_urls(item) -> tuple[str, ...]:
    """Reads the URLs of one mailbox."""
    require(isinstance(item, list) and len(item) > 0, "shape")
    require(len(item) <= URLS_MAX, "oversize")
    for url in item:
        require(isinstance(url, str) and url != "", "shape")
        require(len(url.encode("utf-8")) <= URL_BYTES_MAX, "oversize")
    return tuple(item)


def _read_revoked(item) -> list[bytes]:
    require(isinstance(item, list), "shape")
    require(len(item) <= BUNDLE_LIST_MAX, "oversize")
    before = b""
    for thumbprint in item:
        require(cbor.is_bytes(thumbprint, 32), "shape")
        require(thumbprint > before, "shape")
        before = thumbprint
    return item
