"""The device side of Postern, written from `spec/` alone: small enough to be read in an afternoon.

Read in this order: `cbor`, `keys`, `cose`, `payloads`, `state`, `acceptance`, `trust`, `frames`, `session`, `device`.
"""
