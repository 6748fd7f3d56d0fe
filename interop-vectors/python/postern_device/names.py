"""Names of tenants and devices, and the ids that select a channel or a greeter.

Implements spec/postern.md#names and #channel, and the ids of spec/relays.md#writer-sessions.
"""

import hashlib
import re

from . import cbor
from .rejects import require

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")  # NAME_BYTES_MAX is 63


def check_name(name) -> None:
    """Refuses what is no name of a tenant or device."""
    require(isinstance(name, str), "shape")
    require(_NAME.fullmatch(name) is not None, "name-invalid")


def channel_preimage(genesis: bytes, tenant: str, device: str) -> bytes:
    """What a channel id is the hash of."""
    check_name(tenant)
    check_name(device)
    return cbor.encode(["postern-channel", genesis, tenant, device])


def tenant_preimage(genesis: bytes, tenant: str) -> bytes:
    """What a tenant id is the hash of."""
    check_name(tenant)
    return cbor.encode(["postern-tenant", genesis, tenant])


def mailbox_preimage(genesis: bytes, thumbprint: bytes) -> bytes:
    """What a mailbox id is the hash of."""
    return cbor.encode(["postern-mailbox", genesis, thumbprint])


def short_id(preimage: bytes) -> bytes:
    """The first 16 bytes of the hash: it selects, and proves nothing."""
    return hashlib.sha256(preimage).digest()[:16]
