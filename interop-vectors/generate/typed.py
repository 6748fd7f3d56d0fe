"""Values of a state in JSON: what JSON cannot tell apart is wrapped in an object."""

import struct

SAFE = 2**53


class Reference:
    """A reference to an artefact."""

    def __init__(self, digest, size, media_type):
        self.fields = [digest, size, media_type]


def typed(value):
    """Returns the JSON form of one value."""
    if isinstance(value, Reference):
        digest, size, media_type = value.fields
        return {"reference": {"digest": digest.hex(), "size": typed(size), "media_type": media_type}}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, float):
        return {"float": struct.pack(">d", value).hex()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > SAFE:
        return {"int": str(value)}
    return value


def typed_state(state):
    """Returns the JSON form of a state."""
    return {path: typed(value) for path, value in state.items()}


def encodable(state):
    """Returns a state whose references are arrays, ready to encode."""
    return {path: value.fields if isinstance(value, Reference) else value for path, value in state.items()}
