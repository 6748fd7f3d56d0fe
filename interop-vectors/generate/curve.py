"""Edwards25519 in plain integers: only for inputs that no honest library will make.

Slow and not constant-time. Refuses nothing: callers build points of small and mixed order,
encodings that are not canonical, and signatures outside the usual ranges.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    """Returns x for a y (reduced) and a sign, or None for no point."""
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    if (x * x - square) % P:
        return None
    return P - x if x and x & 1 != sign else x


def add(a, b):
    """Returns the sum of two points."""
    product = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, P - 2, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, P - 2, P)
    return x % P, y % P


def multiply(scalar, point):
    """Returns a multiple of a point."""
    total = (0, 1)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def compress(point):
    """Returns the canonical encoding of a point."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decompress(data):
    """Returns the point of an encoding, canonical or not, or None."""
    number = int.from_bytes(data, "little")
    y = number & (1 << 255) - 1
    x = recover_x(y % P, number >> 255)
    return None if x is None else (x, y % P)


BASE = (recover_x(4 * pow(5, P - 2, P) % P, 0), 4 * pow(5, P - 2, P) % P)


def torsion():
    """Returns the eight points of small order, as multiples of one of order eight."""
    for y in range(2, 1000):
        x = recover_x(y, 0)
        point = multiply(L, (x, y)) if x is not None else (0, 1)
        if multiply(4, point) != (0, 1):
            return [multiply(step, point) for step in range(8)]
    raise AssertionError("no point of order eight")


def expand(seed):
    """Returns (scalar, prefix) of a seed (RFC 8032)."""
    digest = bytearray(hashlib.sha512(seed).digest())
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return int.from_bytes(digest[:32], "little"), bytes(digest[32:])


def challenge(r_bytes, public, message):
    """Returns the reduced hash of a signature equation."""
    return int.from_bytes(hashlib.sha512(r_bytes + public + message).digest(), "little") % L


def nonce(prefix, message):
    """Returns the deterministic nonce."""
    return int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
