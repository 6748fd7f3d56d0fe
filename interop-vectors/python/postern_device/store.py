"""What a device keeps: one file, replaced atomically, so that a kill at any instant leaves the old or the new one.

Everything that has to be true together (state, head, cursors, marks, the number of the next report) stands in one
`Record` and is committed together. The file holds secrets; its mode is 0600.

Implements the persistence rules of spec/postern.md#acceptance, #reports-and-acks, #bundle and #enrolment.
"""

import dataclasses
import fcntl
import os
import pathlib
import types
import typing
from dataclasses import dataclass, field

from . import cbor
from .acceptance import Head
from .encryption import PlaneKeys
from .intents import Marks


@dataclass
class Identity:
    """Who the device is in this life, and whom it believed first."""

    tenant: str
    device: str
    genesis: bytes
    recovery: bytes
    incarnation: bytes
    seed: bytes = field(repr=False)
    agreement: bytes = field(repr=False)
    urls: list[str]
    tls_ca: bytes | None


@dataclass
class Enrolment:
    """A request that waits for its answer; it goes away with the answer, and the secret with it."""

    token: bytes
    secret: bytes = field(repr=False)
    envelope: bytes
    message_id: bytes
    mailbox: bytes | None


@dataclass
class Desired:
    """The plane that the device reads."""

    head: Head | None = None
    frozen: int | None = None  # an epoch
    state: dict = field(default_factory=dict)
    received: Head | None = None
    newest: bytes | None = None  # the newest envelope that was accepted, for evidence
    applied: Head | None = None
    is_recorded: bool = False  # the intents of the first snapshot are

    @property
    def is_frozen(self) -> bool:
        return self.head is not None and self.frozen == self.head.epoch


@dataclass
class Entry:
    """An entry of a list; it is repeated until the report `since`, or a later one, is acknowledged (0: not sent)."""

    number: int
    value: list
    since: int = 0


@dataclass
class Reporting:
    """Numbers and entries of reports."""

    epoch: int = 0
    rseq: int = 0
    acked: int = 0
    newest: bytes | None = None
    summary: bytes = b""  # what the newest one said of cursors, to see when another is due
    entries: list[Entry] = field(default_factory=list)


@dataclass
class Actual:
    """The plane that the device writes. `known` is the newest head that the controller named, with its state."""

    head: Head | None = None
    state: dict = field(default_factory=dict)
    lineage: list = field(default_factory=list)
    known: Head | None = None
    known_state: dict = field(default_factory=dict)
    message: bytes | None = None  # the change that is outstanding
    bodies: dict = field(default_factory=dict)  # of the newest snapshot, by wanted digest


@dataclass
class Evidence:
    """A proof that the controller has not settled yet, and the bodies of its table."""

    message: bytes
    bodies: dict


@dataclass
class HeldKeys:
    """Plane keys and the place of the plane-key that brought them."""

    writer: int
    epoch: int
    generation: int
    digest: bytes
    keys: PlaneKeys = field(repr=False)


@dataclass
class NextKey:
    """A next key that waits for the controller's answer. The present one signs until that is durable."""

    seed: bytes = field(repr=False)
    envelope: bytes
    message_id: bytes


@dataclass
class Record:
    """All that a device keeps."""

    identity: Identity
    enrolment: Enrolment | None
    bundles: list[bytes] = field(default_factory=list)
    desired: Desired = field(default_factory=Desired)
    reporting: Reporting = field(default_factory=Reporting)
    actual: Actual = field(default_factory=Actual)
    marks: Marks = field(default_factory=Marks)
    evidence: Evidence | None = None
    held_keys: HeldKeys | None = None
    next_key: NextKey | None = None


class Store:
    """A device's folder. One process at a time has it."""

    def __init__(self, folder: str | pathlib.Path):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = open(self.folder / "lock", "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Lets another process have the folder."""
        self._lock.close()

    def load(self) -> Record | None:
        """Reads what was committed last."""
        try:
            data = (self.folder / "device.cbor").read_bytes()
        except FileNotFoundError:
            return None
        item, end = cbor.read_item(data, 0)
        if end != len(data):
            raise ValueError("device.cbor is damaged")
        return from_item(Record, item)

    def commit(self, record: Record) -> None:
        """Replaces what is kept; after it returned, a power cut does not take it back."""
        replace_file(self.folder / "device.cbor", cbor.encode(to_item(record)), 0o600)


def replace_file(path: pathlib.Path, data: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Writes a file beside the old one and puts it in its place; a durable one outlives a power cut."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.replace(beside, path)
    if not durable:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def to_item(value):
    """Turns dataclasses into maps of their fields."""
    if dataclasses.is_dataclass(value):
        return {member.name: to_item(getattr(value, member.name)) for member in dataclasses.fields(value)}
    if isinstance(value, list):
        return [to_item(member) for member in value]
    return value


def from_item(kind, item):
    """Turns maps back into the dataclasses that their place asks for."""
    if isinstance(kind, types.UnionType):
        inner = next(one for one in typing.get_args(kind) if one is not type(None))
        return None if item is None else from_item(inner, item)
    if typing.get_origin(kind) is list:
        return [from_item(typing.get_args(kind)[0], member) for member in item]
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: from_item(hints[name], value) for name, value in item.items()})
    return item
