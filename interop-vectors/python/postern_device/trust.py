"""The chain of bundles: whom a reader believes, from the pinned thumbprints on.

Implements the rules between bundles of spec/postern.md#bundle.
"""

from dataclasses import dataclass, field

from . import cbor, cose, kinds
from .bundle import Bundle, Writer
from .cose import Envelope, Place
from .keys import PublicKey
from .limits import BUNDLE_SKIP_MAX
from .payloads import decode_payload
from .rejects import Reject, require


@dataclass
class Trust:
    """The pinned thumbprints and the bundles accepted, ascending from number 1, as untagged envelopes."""

    genesis: bytes
    recovery: bytes
    envelopes: list[bytes] = field(default_factory=list)
    _newest: Bundle | None = None
    number: int = 0  # of the highest bundle held, 0 for none
    _message_id: bytes = b""

    @property
    def bundle(self) -> Bundle:
        """The highest bundle held."""
        if self._newest is None:
            raise Reject("key-unknown")
        return self._newest

    @property
    def revoked(self) -> frozenset:
        """Thumbprints of keys that may not sign any more."""
        return frozenset(self._newest.revoked if self._newest else ())

    def writer(self, tenant: str) -> Writer:
        """The writer of a tenant."""
        writer = self.bundle.writers.get(tenant)
        if writer is None:
            raise Reject("key-unknown")
        return writer

    def accept(self, data: bytes) -> bytes:
        """Accepts a higher bundle and gives its message id, or refuses it and changes nothing."""
        envelope = Envelope.parse(data)
        cose.expect(envelope, "root", None)
        number = envelope.position.seq
        require(number > self.number, "bundle-stale")
        require(number == 1 if self.number == 0 else number - self.number <= BUNDLE_SKIP_MAX, "bundle-gap")
        candidates = [self._first_root(envelope)] if number == 1 else [self.bundle.root, self.bundle.recovery]
        is_next = number == self.number + 1
        require(any(key.key_id == envelope.key_id for key in candidates), "bundle-root" if is_next else "bundle-gap")
        message_id = cose.authenticate(envelope, "root", None, Place(self.genesis).trust(kinds.BUNDLE), candidates)
        require(number == 1 or not is_next or envelope.position.digest == self._message_id, "bundle-chain")
        content = decode_payload(envelope.position, envelope.payload)
        if number == 1:
            require(content.recovery.thumbprint == self.recovery, "bundle-root")
        else:
            self._check_succession(content, number - self.number)
        self.envelopes.append(data)
        self.number, self._newest, self._message_id = number, content, message_id
        return message_id

    def _first_root(self, envelope: Envelope):
        """The key that bundle 1 names itself, which counts only by the pinned thumbprint."""
        payload = cbor.decode(envelope.payload)
        require(isinstance(payload, dict) and 1 in payload, "shape")
        root = PublicKey.from_item(payload[1])
        require(root.thumbprint == self.genesis, "bundle-root")
        return root

    def _check_succession(self, content: Bundle, went: int) -> None:
        for tenant, writer in content.writers.items():
            before = self.bundle.writers.get(tenant)
            if before is not None:
                least = 0 if before.key == writer.key else 1
                most = least if went == 1 else went
                require(least <= writer.generation - before.generation <= most, "bundle-generation")
        require(set(self.bundle.revoked) <= set(content.revoked), "bundle-revocation")
