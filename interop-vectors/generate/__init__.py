"""The second writer: makes every file of `interop-vectors/v1` without any code of Postern.

Keys, signatures and hashes come from `cryptography`, scalars from `cbor2`, edge cases of the
curve from `curve.py`. Refuses to guess: what a vector expects is written by hand beside its input,
and `check_foreign.py` judges it again with other code.
"""
