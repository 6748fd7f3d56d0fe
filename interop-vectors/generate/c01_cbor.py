"""01-cbor: the strict profile, rule by rule."""

from .collection import Collection
from .encoding import encode

SPEC = "#cbor-profile"

VALID_INTEGERS = (0, 1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1)
VALID_NEGATIVE = (-1, -24, -25, -256, -257, -65536, -65537, -(2**32), -(2**32) - 1, -(2**63))
VALID = (
    ("false", "f4", "false"),
    ("true", "f5", "true"),
    ("null", "f6", "null"),
    ("empty-bytes", "40", "h''"),
    ("bytes-23", "57" + "00" * 23, "23 bytes"),
    ("bytes-24", "5818" + "00" * 24, "24 bytes"),
    ("bytes-256", "590100" + "00" * 256, "256 bytes"),
    ("empty-text", "60", '""'),
    ("text-two-byte-character", "62c3bc", '"\\u00fc"'),
    ("text-four-byte-character", "64f0908591", '"\\ud800\\udd51"'),
    ("text-with-nul", "6100", '"\\u0000"'),
    ("text-not-normalised", "6375cc88", "no normalisation form is asked for"),
    ("empty-array", "80", "[]"),
    ("array-of-24", "9818" + "00" * 24, "24 zeros"),
    ("empty-map", "a0", "{}"),
    ("map-header-labels", "a30132044800010203040506073a0001000080", "{1: -19, 4: kid, -65537: []}"),
    ("map-integer-before-negative", "a21864002000", "100 sorts before -1 (length does not come first)"),
    ("map-negative-before-bytes", "a220004000", "-1 before h''"),
    ("map-bytes-before-text", "a240006000", "h'' before the empty text"),
    ("map-shorter-text-first", "a2617a0062616100", '"z" before "aa": the head carries the length'),
    ("map-all-key-types", "a40100200040006000", "uint, nint, bytes, text"),
    ("float-zero", "f90000", "0.0"),
    ("float-negative-zero", "f98000", "-0.0 is allowed"),
    ("float-half", "f93e00", "1.5"),
    ("float-half-largest", "f97bff", "65504.0"),
    ("float-half-smallest", "f90001", "2^-24"),
    ("float-single", "fa47800000", "65536.0"),
    ("float-single-smallest", "fa00000001", "2^-149"),
    ("float-single-largest", "fa7f7fffff", "the largest single"),
    ("float-double", "fb3fb999999999999a", "0.1"),
    ("float-double-smallest", "fb0000000000000001", "5e-324"),
    ("float-integral-stays-float", "f94a00", "12.0 is not reduced to 12"),
    ("depth-8-arrays", "8181818181818180", "eight arrays"),
    ("depth-8-maps", "a100" * 7 + "a0", "eight maps"),
    ("depth-8-mixed", "81a100" * 3 + "81a0", "arrays and maps alternate, eight in all"),
    ("depth-8-twice", "82" + "81818181818180" + "81818181818180", "two branches of depth eight"),
)

INVALID = {
    "cbor-truncated": (
        ("empty-input", "", "no byte at all"),
        ("uint8-missing", "18", "the byte after the head is missing"),
        ("uint16-short", "1901", "one of two bytes"),
        ("uint64-short", "1b01000000000000", "seven of eight bytes"),
        ("bytes-short", "4200", "one of two bytes"),
        ("text-missing", "61", "no byte of one"),
        ("array-short", "8200", "one of two items"),
        ("map-without-value", "a101", "a key without a value"),
        ("map-short", "a2010002", "the second value is missing"),
        ("float-short", "f93e", "one of two bytes"),
        ("bytes-huge-length", "5bffffffffffffffff00", "a length of 2^64-1"),
        ("array-huge-length", "9bffffffffffffffff00", "2^64-1 items: nothing may be reserved for them"),
        ("map-huge-length", "bb7fffffffffffffff", "2^63-1 pairs"),
        ("text-huge-length", "7affffffff61", "a length of 2^32-1"),
        ("array-counts-too-far", "93f97e01", "19 members in three bytes, told before the NaN"),
        ("array-within-counts-too-far", "82831817", "three members in two bytes, told before the long 23"),
        ("map-counts-too-far", "a2404000", "two entries in three bytes, told before the keys that descend"),
    ),
    "cbor-trailing": (
        ("second-item", "0000", "two items"),
        ("break-after-item", "80ff", "a byte after the array"),
        ("map-then-byte", "a000", "a byte after the map"),
        ("text-then-text", "61616161", "two texts"),
    ),
    "cbor-not-shortest": (
        ("uint-in-one-byte", "1817", "23 in two bytes"),
        ("uint-in-two-bytes", "1900ff", "255 in three bytes"),
        ("uint-in-four-bytes", "1a0000ffff", "65535 in five bytes"),
        ("uint-in-eight-bytes", "1b00000000ffffffff", "2^32-1 in nine bytes"),
        ("nint-in-one-byte", "3800", "-1 in two bytes"),
        ("bytes-length", "580100", "length 1 in two bytes"),
        ("text-length", "780161", "length 1 in two bytes"),
        ("array-length", "980100", "length 1 in two bytes"),
        ("map-length", "b8010000", "length 1 in two bytes"),
        ("key-long-duplicate", "a20100180100", "key 1 again in a longer form"),
        ("length-zero-long", "590000", "length 0 in three bytes"),
        ("array-counts-just-enough", "8283181700", "three members in three bytes: the long 23 is told"),
        ("map-counts-just-enough", "a200011817", "two entries in four bytes: the long 23 is told"),
    ),
    "cbor-indefinite": (
        ("array", "9fff", "an open array"),
        ("map", "bfff", "an open map"),
        ("bytes", "5f4100ff", "chunked bytes"),
        ("text", "7f6161ff", "chunked text"),
        ("nested", "819f00ff", "inside a definite array"),
        ("bare-break", "ff", "a break without anything open"),
        ("uint-info-31", "1f", "additional information 31 on an integer"),
    ),
    "cbor-duplicate-key": (
        ("integers", "a201000100", "1 twice"),
        ("texts", "a2616100616101", '"a" twice'),
        ("bytes", "a240004000", "h'' twice"),
        ("nested", "a101a220002000", "in an inner map"),
        ("after-others", "a3010002000200", "2 twice"),
    ),
    "cbor-unsorted-key": (
        ("integers", "a202000100", "2 before 1"),
        ("negatives", "a221002000", "-2 before -1"),
        ("text-before-integer", "a26161000100", '"a" before 1'),
        ("longer-text-first", "a262616100617a00", '"aa" before "z": the order of a plain string sort'),
        ("length-first-rule", "a22000186400", "-1 before 100: the order of RFC 7049"),
        ("text-before-bytes", "a260004000", "text before bytes"),
        ("nested", "81a202000100", "in an inner map"),
        ("third-key", "a3010003000200", "only the last key is out of place"),
    ),
    "cbor-tag": (
        ("sign1", "d28440a04040", "tag 18 belongs to files, not to messages"),
        ("sign", "d8628440a04080", "tag 98"),
        ("epoch-time", "c11a514b67b0", "tag 1"),
        ("bignum", "c2420100", "tag 2"),
        ("negative-bignum", "c3420100", "tag 3"),
        ("self-described", "d9d9f700", "tag 55799"),
        ("typed-array", "d84043010203", "tag 64, as some writers tag bytes"),
        ("inside-array", "81c100", "not on the outside either"),
        ("as-map-value", "a101c100", "as a value"),
        ("cut-one", "d8", "told by its first byte"), ("cut-four", "da00", "told by its first byte"), ("long", "d800", "told by its first byte"),
        ("reserved", "dce3", "told by its first byte"), ("indefinite", "df", "told by its first byte"),
    ),
    "cbor-simple": (
        ("undefined", "f7", "undefined is not null"),
        ("zero", "e0", "simple 0"),
        ("nineteen", "f3", "simple 19"),
        ("two-bytes", "f8ff", "simple 255"),
        ("two-bytes-true", "f815", "true in two bytes"),
        ("in-array", "81f7", "inside an array"),
        ("cut", "f8", "told by its first byte"),
    ),
    "cbor-float": (
        ("nan-half", "f97e00", "NaN"),
        ("nan-half-payload", "f97e01", "NaN with a payload"),
        ("nan-single", "fa7fc00000", "NaN"),
        ("nan-double", "fb7ff8000000000000", "NaN"),
        ("infinity-half", "f97c00", "infinity"),
        ("minus-infinity-half", "f9fc00", "-infinity"),
        ("infinity-single", "fa7f800000", "infinity"),
        ("infinity-double", "fbfff0000000000000", "-infinity"),
        ("single-for-half", "fa3fc00000", "1.5 as single"),
        ("double-for-half", "fb3ff8000000000000", "1.5 as double"),
        ("double-for-single", "fb40f0000000000000", "65536.0 as double"),
        ("single-negative-zero", "fa80000000", "-0.0 as single"),
        ("single-for-half-subnormal", "fa33800000", "2^-24 as single"),
        ("double-for-single-subnormal", "fb36a0000000000000", "2^-149 as double"),
    ),
    "cbor-utf8": (
        ("lone-byte", "61ff", "no first byte"),
        ("overlong", "62c080", "NUL in two bytes"),
        ("surrogate", "63eda080", "a surrogate"),
        ("above-unicode", "64f4908080", "U+110000"),
        ("bad-continuation", "62c328", "the second byte continues nothing"),
        ("cut-character", "61c3", "the character is cut by the length"),
        ("map-key", "a161ff00", "in a key"),
    ),
    "cbor-depth": (
        ("nine-arrays", "818181818181818180", "nine arrays"),
        ("nine-maps", "a100" * 8 + "a0", "nine maps"),
        ("mixed", "81a100" * 4 + "80", "nine containers"),
        ("second-branch", "8200" + "8181818181818180", "the second branch is too deep"),
        ("bomb", "81" * 20000, "20000 nested arrays"),
        ("array-long", "81" * 8 + "9800", "told by the first byte, before the long length"), ("map-cut", "81" * 8 + "b9", "told by the first byte"),
        ("array-indefinite", "81" * 8 + "9f", "told by the first byte"), ("array-huge-length", "81" * 8 + "9bffffffffffffffff", "told by the first byte"),
    ),
    "cbor-reserved": (
        ("uint-28", "1c", "additional information 28"),
        ("nint-29", "3d", "additional information 29"),
        ("bytes-30", "5e", "additional information 30"),
        ("text-28", "7c", "additional information 28"),
        ("array-29", "9d", "additional information 29"),
        ("map-30", "be", "additional information 30"),
        ("simple-28", "fc", "additional information 28"),
        ("simple-30", "fe", "additional information 30"),
        ("nested", "811d", "inside an array"),
    ),
    "cbor-integer-range": (
        ("below-64-bit", "3b8000000000000000", "-2^63-1"),
        ("lowest", "3bffffffffffffffff", "-2^64"),
        ("as-key", "a13b800000000000000000", "as a map key"),
    ),
    "cbor-map-key": (
        ("false", "a1f400", "false as key"),
        ("null", "a1f600", "null as key"),
        ("float", "a1f93e0000", "a float as key"),
        ("array", "a18000", "an array as key"),
        ("map", "a1a000", "a map as key"),
    ),
}


def build():
    """Returns the two files."""
    valid = Collection("01-cbor/valid.json", "cbor.check", "items that the profile accepts")
    for value in VALID_INTEGERS + VALID_NEGATIVE:
        name = f"cbor-{'uint' if value >= 0 else 'nint'}-{abs(value)}"
        valid.valid(name, SPEC, f"{value}", ["integer"], input=encode(value))
    for name, text, comment in VALID:
        valid.valid(f"cbor-{name}", SPEC, comment, [name.split("-")[0]], input=bytes.fromhex(text))
    valid.valid("cbor-largest-item", SPEC, "65536 bytes", ["limit"], input=b"\x59\xff\xfd" + bytes(65533))
    invalid = Collection("01-cbor/invalid.json", "cbor.check", "items that the profile refuses, one failure each")
    for error, rows in INVALID.items():
        for name, text, comment in rows:
            invalid.invalid(f"{error}-{name}", error, SPEC, comment, [error], input=bytes.fromhex(text))
    invalid.invalid("cbor-oversize", "oversize", SPEC, "65537 bytes", ["limit"], input=b"\x59\xff\xfe" + bytes(65534))
    return [valid, invalid]
