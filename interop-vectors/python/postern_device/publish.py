"""Showing a state: its table, and its bodies under the digests by which they are asked for.

Of an encrypted plane the bodies are encrypted first, and kept as they are: each encryption is another one.

Implements spec/postern.md#bodies and spec/encryption.md#encrypted-snapshot, the writer's part.
"""

from . import cbor, encryption
from .cose import Place
from .limits import BODY_CHUNK_BYTES_MAX
from .state import Hash, bodies_of, plain_hash, table_of
from .store import HeldKeys


def publish(state: dict, held: HeldKeys | None, place: Place, plane: int, hash_with: Hash):
    """Gives the table of a state, and its bodies by wanted digest."""
    bodies = bodies_of(state)
    table = table_of(bodies, hash_with)
    if held is None:
        return table, {table[section]: body for section, body in bodies.items()}
    newest = held.keys.generations[-1]
    rows, stored_bodies = {}, {}
    for section, body in bodies.items():
        aad = encryption.aad_of_body(place, plane, section, table[section])
        stored = cbor.encode(encryption.seal(newest.of(plane), newest.number, body, aad).to_item())
        rows[section] = [table[section], plain_hash(stored)]
        stored_bodies[rows[section][1]] = stored
    return rows, stored_bodies


def chunks_for(wanted: list, bodies: dict[bytes, bytes]):
    """The next piece of each body that is wanted and held."""
    for digest, offset in wanted:
        body = bodies.get(digest, b"")
        if offset < len(body):
            yield [digest, len(body), offset, body[offset : offset + BODY_CHUNK_BYTES_MAX]]
