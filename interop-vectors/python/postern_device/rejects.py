"""The closed list of rejects: number, name, and whether a device reports it.

Source: spec/registry.md#rejects. "verified" is reported only for the payload of a delta or snapshot
whose signature has verified.
"""

REJECTS = {
    1: ("cbor-truncated", "verified"),
    2: ("cbor-trailing", "verified"),
    3: ("cbor-not-shortest", "verified"),
    4: ("cbor-indefinite", "verified"),
    5: ("cbor-duplicate-key", "verified"),
    6: ("cbor-unsorted-key", "verified"),
    7: ("cbor-tag", "verified"),
    8: ("cbor-simple", "verified"),
    9: ("cbor-float", "verified"),
    10: ("cbor-utf8", "verified"),
    11: ("cbor-depth", "verified"),
    12: ("cbor-reserved", "verified"),
    13: ("cbor-integer-range", "verified"),
    14: ("cbor-map-key", "verified"),
    15: ("oversize", "verified"),
    16: ("shape", "verified"),
    20: ("unprotected-not-empty", "no"),
    21: ("crit-unknown", "no"),
    22: ("header-label-unknown", "no"),
    23: ("algorithm-unknown", "no"),
    24: ("kind-unknown", "no"),
    25: ("signer-role", "no"),
    26: ("plane-mismatch", "no"),
    27: ("header-numbers", "no"),
    28: ("epoch-zero", "no"),
    29: ("seq-zero", "no"),
    30: ("base-not-below", "no"),
    31: ("digest-length", "no"),
    32: ("signature-length", "no"),
    33: ("key-unknown", "no"),
    34: ("key-revoked", "no"),
    35: ("key-refused", "no"),
    36: ("signature-invalid", "no"),
    37: ("algorithm-mismatch", "no"),
    40: ("name-invalid", "no"),
    41: ("path-invalid", "yes"),
    42: ("path-conflict", "yes"),
    43: ("value-invalid", "yes"),
    44: ("value-oversize", "yes"),
    45: ("section-invalid", "yes"),
    46: ("section-oversize", "yes"),
    47: ("state-oversize", "yes"),
    48: ("delta-empty", "yes"),
    49: ("delta-order", "yes"),
    50: ("delta-conflict", "yes"),
    51: ("delta-remove-absent", "yes"),
    52: ("digest-mismatch", "yes"),
    53: ("lineage-invalid", "yes"),
    54: ("body-mismatch", "no"),
    55: ("edit-runs", "yes"),
    56: ("edit-empty", "yes"),
    57: ("edit-range", "yes"),
    58: ("edit-base", "yes"),
    59: ("edit-utf8", "yes"),
    60: ("nothing-stored", "no"),
    61: ("generation-stale", "yes"),
    62: ("epoch-stale", "yes"),
    63: ("epoch-needs-snapshot", "no"),
    64: ("writer-behind", "yes"),
    65: ("epoch-frozen", "yes"),
    66: ("equivocation", "yes"),
    67: ("base-older", "no"),
    68: ("base-newer", "no"),
    70: ("report-cursors", "no"),
    71: ("report-list-oversize", "no"),
    72: ("report-stale", "no"),
    80: ("bundle-root", "no"),
    81: ("bundle-gap", "no"),
    82: ("bundle-stale", "no"),
    83: ("bundle-chain", "no"),
    84: ("bundle-generation", "no"),
    85: ("bundle-revocation", "no"),
    90: ("token-unknown", "no"),
    91: ("token-used", "no"),
    92: ("enrol-mac", "no"),
    93: ("enrol-answer-mismatch", "no"),
    94: ("enrol-pending", "no"),
    95: ("knock-unknown", "no"),
    100: ("frame-unknown", "no"),
    101: ("frame-direction", "no"),
    102: ("session-unknown", "no"),
    103: ("session-mac", "no"),
    104: ("session-replay", "no"),
    105: ("counter-exhausted", "no"),
    106: ("answer-mismatch", "no"),
    107: ("hold-range", "no"),
    108: ("challenge-unknown", "no"),
    109: ("mailbox-mismatch", "no"),
    110: ("ephemeral-invalid", "no"),
    111: ("not-admitted", "no"),
    112: ("need-limited", "no"),
    113: ("quota", "no"),
    114: ("overloaded", "no"),
    115: ("not-postern", "no"),
    116: ("session-role", "no"),
    117: ("admission-stale", "no"),
    118: ("retention-expired", "no"),
    119: ("stream-order", "no"),
    120: ("not-encrypted", "yes"),
    121: ("plane-key-missing", "no"),
    122: ("decryption-failed", "yes"),
    123: ("plane-key-stale", "no"),
    124: ("plane-key-conflict", "no"),
}

NUMBER_OF = {name: number for number, (name, _) in REJECTS.items()}


class Reject(Exception):
    """A named refusal of something that a peer sent. It changes no state, and holds no text of a peer."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name
        self.number = NUMBER_OF[name]

    def is_reported(self, payload_verified: bool) -> bool:
        """Tells whether list 1 of a report names this reject."""
        reported = REJECTS[self.number][1]
        return reported == "yes" or (reported == "verified" and payload_verified)


def name_of(number: int) -> str:
    """Names a reject for people; a number of a later version is an unknown reason."""
    return REJECTS[number][0] if number in REJECTS else f"unknown-{number}"


def require(condition: bool, name: str) -> None:
    """Refuses with `name` unless the condition holds."""
    if not condition:
        raise Reject(name)
