// Rejects: the named refusals of what a peer sent. Source: spec/registry.md#rejects.

/** Number and name of each reject, as registered. */
export const REJECTS = /** @type {const} */ ({
  'cbor-truncated': 1,
  'cbor-trailing': 2,
  'cbor-not-shortest': 3,
  'cbor-indefinite': 4,
  'cbor-duplicate-key': 5,
  'cbor-unsorted-key': 6,
  'cbor-tag': 7,
  'cbor-simple': 8,
  'cbor-float': 9,
  'cbor-utf8': 10,
  'cbor-depth': 11,
  'cbor-reserved': 12,
  'cbor-integer-range': 13,
  'cbor-map-key': 14,
  'oversize': 15,
  'shape': 16,
  'unprotected-not-empty': 20,
  'crit-unknown': 21,
  'header-label-unknown': 22,
  'algorithm-unknown': 23,
  'kind-unknown': 24,
  'signer-role': 25,
  'plane-mismatch': 26,
  'header-numbers': 27,
  'epoch-zero': 28,
  'seq-zero': 29,
  'base-not-below': 30,
  'digest-length': 31,
  'signature-length': 32,
  'key-unknown': 33,
  'key-revoked': 34,
  'key-refused': 35,
  'signature-invalid': 36,
  'algorithm-mismatch': 37,
  'name-invalid': 40,
  'path-invalid': 41,
  'path-conflict': 42,
  'value-invalid': 43,
  'value-oversize': 44,
  'section-invalid': 45,
  'section-oversize': 46,
  'state-oversize': 47,
  'delta-empty': 48,
  'delta-order': 49,
  'delta-conflict': 50,
  'delta-remove-absent': 51,
  'digest-mismatch': 52,
  'lineage-invalid': 53,
  'body-mismatch': 54,
  'edit-runs': 55,
  'edit-empty': 56,
  'edit-range': 57,
  'edit-base': 58,
  'edit-utf8': 59,
  'nothing-stored': 60,
  'generation-stale': 61,
  'epoch-stale': 62,
  'epoch-needs-snapshot': 63,
  'writer-behind': 64,
  'epoch-frozen': 65,
  'equivocation': 66,
  'base-older': 67,
  'base-newer': 68,
  'report-cursors': 70,
  'report-list-oversize': 71,
  'report-stale': 72,
  'bundle-root': 80,
  'bundle-gap': 81,
  'bundle-stale': 82,
  'bundle-chain': 83,
  'bundle-generation': 84,
  'bundle-revocation': 85,
  'token-unknown': 90,
  'token-used': 91,
  'enrol-mac': 92,
  'enrol-answer-mismatch': 93,
  'enrol-pending': 94,
  'knock-unknown': 95,
  'frame-unknown': 100,
  'frame-direction': 101,
  'session-unknown': 102,
  'session-mac': 103,
  'session-replay': 104,
  'counter-exhausted': 105,
  'answer-mismatch': 106,
  'hold-range': 107,
  'challenge-unknown': 108,
  'mailbox-mismatch': 109,
  'ephemeral-invalid': 110,
  'not-admitted': 111,
  'need-limited': 112,
  'quota': 113,
  'overloaded': 114,
  'not-postern': 115,
  'session-role': 116,
  'admission-stale': 117,
  'retention-expired': 118,
  'stream-order': 119,
  'not-encrypted': 120,
  'plane-key-missing': 121,
  'decryption-failed': 122,
  'plane-key-stale': 123,
  'plane-key-conflict': 124,
});

/** Rejects that a device lists in its report; `cbor-*`, `oversize` and `shape` only for a payload whose signature verified. */
export const REPORTED = new Set([
  'path-invalid', 'path-conflict', 'value-invalid', 'value-oversize', 'section-invalid', 'section-oversize',
  'state-oversize', 'delta-empty', 'delta-order', 'delta-conflict', 'delta-remove-absent', 'digest-mismatch',
  'lineage-invalid', 'edit-runs', 'edit-empty', 'edit-range', 'edit-base', 'edit-utf8', 'generation-stale',
  'epoch-stale', 'writer-behind', 'epoch-frozen', 'equivocation', 'not-encrypted', 'decryption-failed',
  'cbor-truncated', 'cbor-trailing', 'cbor-not-shortest', 'cbor-indefinite', 'cbor-duplicate-key',
  'cbor-unsorted-key', 'cbor-tag', 'cbor-simple', 'cbor-float', 'cbor-utf8', 'cbor-depth', 'cbor-reserved',
  'cbor-integer-range', 'cbor-map-key', 'oversize', 'shape',
]);

/** @type {Map<number, string>} */
const NAMES = new Map(Object.entries(REJECTS).map(([name, number]) => [number, name]));

/** A named refusal. Nothing that a peer sent is in its text. */
export class Reject extends Error {
  /** @param {keyof typeof REJECTS} name */
  constructor(name) {
    super(name);
    this.name = 'Reject';
    this.reject = name;
    this.number = REJECTS[name];
    /** Whether the signature of what is refused had verified. */
    this.verified = false;
  }
}

/** Throws the reject `name` unless `condition` holds. @param {unknown} condition @param {keyof typeof REJECTS} name */
export function ensure(condition, name) {
  if (!condition) throw new Reject(name);
}

/** The name of a reject number; null for one that this version does not know. @param {number | bigint} number */
export function rejectName(number) {
  return NAMES.get(Number(number)) ?? null;
}
