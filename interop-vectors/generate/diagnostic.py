"""Short diagnostic notation of envelopes (RFC 8949, 8)."""

import cbor2


def diagnose(value):
    """Returns the notation of a decoded value; long bytes are cut."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, bytes):
        return f"h'{value.hex()}'" if len(value) <= 32 else f"h'{value[:8].hex()}...' / {len(value)} bytes /"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(diagnose(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{diagnose(key)}: {diagnose(item)}" for key, item in value.items()) + "}"
    return repr(value)


def envelope(message):
    """Returns the notation of a Sign1 with its header and payload opened."""
    header = diagnose(cbor2.loads(message.protected))
    payload = diagnose(cbor2.loads(message.payload))
    return f"18([<< {header} >>, {{}}, << {payload} >>, h'{message.signature[:8].hex()}...'])"
