"""P-256 in plain integers: honest deterministic signatures (RFC 6979) and inputs that no honest library will make.

Slow and not constant-time. Refuses nothing: callers build points and signatures outside the usual ranges.
The other path judges with OpenSSL; none of it takes part here.
"""

import hashlib
import hmac

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
INFINITY = None


def octets(number):
    """Returns 32 bytes, most significant first."""
    return number.to_bytes(32, "big")


def is_on_curve(x, y):
    """Tells whether the equation holds."""
    return (y * y - x * x * x + 3 * x - B) % P == 0


def recover_y(x):
    """Returns the even y of an x, or None for no point."""
    square = (x * x * x - 3 * x + B) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    return P - y if y & 1 else y


def add(a, b):
    """Returns the sum of two points; None is the point at infinity."""
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return INFINITY
    if a == b:
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(scalar, point):
    """Returns a multiple of a point."""
    total = INFINITY
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def public_bytes(point):
    """Returns 04, x, y."""
    return b"\x04" + octets(point[0]) + octets(point[1])


def digest_number(message):
    """Returns the hash of a message as the number that is signed."""
    return int.from_bytes(hashlib.sha256(message).digest(), "big")


def nonces(secret, message):
    """Yields the nonces of RFC 6979, 3.2, in their order."""
    mac = lambda key, data: hmac.new(key, data, hashlib.sha256).digest()
    seed = octets(secret) + octets(digest_number(message) % N)
    key, value = bytes(32), b"\x01" * 32
    for mark in (b"\x00", b"\x01"):
        key = mac(key, value + mark + seed)
        value = mac(key, value)
    while True:
        value = mac(key, value)
        if 0 < int.from_bytes(value, "big") < N:
            yield int.from_bytes(value, "big")
        key = mac(key, value + b"\x00")
        value = mac(key, value)


def sign_with(secret, message, nonce):
    """Returns (r, s) for a chosen nonce."""
    r = multiply(nonce, BASE)[0] % N
    return r, pow(nonce, -1, N) * (digest_number(message) + r * secret) % N


def sign(secret, message):
    """Returns the deterministic signature; s stays as it comes."""
    for nonce in nonces(secret, message):
        r, s = sign_with(secret, message, nonce)
        if r and s:
            return octets(r) + octets(s)
    raise AssertionError("nonces never end")


def recovered(message, r_point, r, s):
    """Returns the public key under which (r, s) signs the message with this point."""
    inverse = pow(r, -1, N)
    minus = multiply(-digest_number(message) * inverse % N, BASE)
    return add(multiply(s * inverse % N, r_point), minus)


def cube_times(a, b, constant):
    """Returns a * b modulo the cubic x^3 - 3 x + constant; polynomials are (c0, c1, c2)."""
    wide = [0] * 5
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            wide[i + j] += left * right
    for degree in (4, 3):
        wide[degree - 2] += 3 * wide[degree]
        wide[degree - 3] -= constant * wide[degree]
    return tuple(coefficient % P for coefficient in wide[:3])


def remainder(a, b):
    """Returns a modulo b; polynomials are lists, lowest first, without leading zeros."""
    a, inverse = list(a), pow(b[-1], -1, P)
    while len(a) >= len(b):
        factor, shift = a[-1] * inverse, len(a) - len(b)
        for place, coefficient in enumerate(b):
            a[place + shift] = (a[place + shift] - factor * coefficient) % P
        while a and not a[-1]:
            a.pop()
    return a


def recover_x(y):
    """Returns an x of a y that has exactly one, else None: gcd of the cubic and x^p - x."""
    constant = (B - y * y) % P
    power, base, exponent = (1, 0, 0), (0, 1, 0), P
    while exponent:
        if exponent & 1:
            power = cube_times(power, base, constant)
        base = cube_times(base, base, constant)
        exponent >>= 1
    a, b = [constant, P - 3, 0, 1], [power[0], (power[1] - 1) % P, power[2]]
    while b and not b[-1]:
        b.pop()
    while b:
        a, b = b, remainder(a, b)
    return -a[0] * pow(a[1], -1, P) % P if len(a) == 2 else None


def self_test():
    """Checks the known answer of RFC 6979, A.2.5, and the curve."""
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    assert sign(secret, b"sample").hex() == (
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    )
    assert is_on_curve(*BASE) and multiply(N, BASE) is INFINITY
