// Rejects: the named refusals of what a peer sent.
// Implements spec/postern.md #rejects with the closed list of spec/registry.md #rejects.

/** The number of each reject. @type {Record<string, number>} */
export const REJECTS = Object.freeze({
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

/** What a device lists in its report wherever it refuses it for good (*reported*: yes). @type {Set<string>} */
const ALWAYS_REPORTED = new Set([
  'path-invalid', 'path-conflict', 'value-invalid', 'value-oversize', 'section-invalid', 'section-oversize',
  'state-oversize', 'delta-empty', 'delta-order', 'delta-conflict', 'delta-remove-absent', 'digest-mismatch',
  'lineage-invalid', 'edit-runs', 'edit-empty', 'edit-range', 'edit-base', 'edit-utf8', 'generation-stale',
  'epoch-stale', 'writer-behind', 'epoch-frozen', 'equivocation', 'not-encrypted', 'decryption-failed',
]);

const NAMES = new Map(Object.entries(REJECTS).map(([name, number]) => [number, name]));

/** A refusal with its registered name. It never carries text that a peer sent. */
export class Reject extends Error {
  /** @param {string} reason a name of the registry */
  constructor(reason) {
    if (!Object.hasOwn(REJECTS, reason)) throw new TypeError(`no reject is called ${reason}`);
    super(reason);
    this.name = 'Reject';
    this.reason = reason;
    /** The position of a refused payload whose signature has verified. @type {import('./cose.js').Position | undefined} */
    this.position = undefined;
  }
}

/**
 * Refuses unless a condition holds.
 * @param {unknown} condition
 * @param {string} reason
 * @returns {asserts condition}
 */
export function demand(condition, reason) {
  if (!condition) throw new Reject(reason);
}

/**
 * The name of a number; undefined for an unknown reason.
 * @param {number | bigint} number
 * @returns {string | undefined}
 */
export function rejectName(number) {
  return NAMES.get(Number(number));
}

/**
 * Whether a device lists this refusal of a delta or snapshot whose signature has verified (spec/registry.md
 * #rejects, *reported* yes or verified).
 * @param {string} reason
 * @returns {boolean}
 */
export function isReported(reason) {
  return ALWAYS_REPORTED.has(reason) || REJECTS[reason] <= REJECTS.shape;
}
