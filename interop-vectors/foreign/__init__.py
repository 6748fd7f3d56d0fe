"""A second opinion on every vector: shares no code with `generate`, only the specification.

Uses PyNaCl for curves and `hashlib` for hashes; reads CBOR with its own strict reader.
Refuses to repair or skip: a vector that it judges differently is an error.
"""
