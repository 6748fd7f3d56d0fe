// The kinds of envelopes: who signs them, for which plane, and which header numbers they have.
// Implements spec/postern.md #kinds and #planes.

export const DESIRED = 0n;
export const ACTUAL = 1n;

/** @typedef {'writer' | 'device' | 'root' | 'mailbox' | 'enrolling'} Role */
/** @typedef {'trust' | 'tenant' | 'device' | 'plane'} Profile */

/**
 * @typedef {object} Signing a role that signs a kind
 * @property {Role} role
 * @property {(bigint | null)[]} planes
 * @property {Profile} profile
 */

/**
 * @typedef {object} Kind
 * @property {string} name
 * @property {Signing[]} signed
 * @property {'zero' | 'one' | 'head'} epoch what epoch is: 0, at least 1, or both of epoch and seq in one of these ways
 * @property {'zero' | 'one' | 'head'} seq
 * @property {'zero' | 'below' | 'predecessor' | 'one' | 'start'} base
 *   0; 1 to seq - 1; seq - 1; at least 1; or 0 to seq - 1
 * @property {'full' | 'empty' | 'any' | 'head' | 'predecessor'} digest
 *   32 bytes; none; either; 32 where there is a head; 32 where there is a predecessor
 */

/** @param {Profile} profile @param {...[Role, ...(bigint | null)[]]} rows @returns {Signing[]} */
function by(profile, ...rows) {
  return rows.map(([role, ...planes]) => ({ role, planes, profile }));
}

const BOTH_PLANES = by('plane', ['writer', DESIRED], ['device', ACTUAL]);
const GREETERS = [...by('device', ['device', null]), ...by('tenant', ['writer', null]), ...by('trust', ['mailbox', null])];

/** Rows of the table. @type {[bigint, string, Signing[], Kind['epoch'], Kind['seq'], Kind['base'], Kind['digest']][]} */
const TABLE = [
  [0n, 'delta', BOTH_PLANES, 'one', 'one', 'below', 'full'],
  [1n, 'snapshot', BOTH_PLANES, 'one', 'one', 'zero', 'full'],
  [2n, 'report', by('plane', ['device', ACTUAL]), 'one', 'one', 'zero', 'any'],
  [3n, 'report-ack', by('plane', ['writer', DESIRED]), 'one', 'one', 'zero', 'empty'],
  [4n, 'heartbeat', BOTH_PLANES, 'head', 'head', 'one', 'head'],
  [5n, 'enrol-request', by('tenant', ['enrolling', null]), 'zero', 'zero', 'zero', 'full'],
  [6n, 'enrol-answer', by('device', ['writer', null]), 'one', 'one', 'zero', 'full'],
  [7n, 'bundle', by('trust', ['root', null]), 'zero', 'one', 'predecessor', 'predecessor'],
  [8n, 'admission', by('tenant', ['writer', null]), 'one', 'one', 'zero', 'full'],
  [9n, 'session-hello', GREETERS, 'zero', 'zero', 'zero', 'full'],
  [10n, 'session-welcome', by('device', ['mailbox', null]), 'zero', 'zero', 'zero', 'full'],
  [11n, 'receipt', by('tenant', ['mailbox', null]), 'one', 'one', 'zero', 'full'],
  [12n, 'evidence', by('plane', ['device', DESIRED], ['writer', ACTUAL]), 'one', 'one', 'zero', 'full'],
  [13n, 'plane-key', by('device', ['writer', null]), 'one', 'one', 'zero', 'full'],
  [14n, 'lost', by('plane', ['mailbox', DESIRED, ACTUAL]), 'one', 'one', 'start', 'empty'],
];

/** @type {Map<bigint, Kind>} */
export const KINDS = new Map(
  TABLE.map(([number, name, signed, epoch, seq, base, digest]) => [number, { name, signed, epoch, seq, base, digest }]),
);

/** The number of each kind by its name. @type {Record<string, bigint>} */
export const KIND = Object.freeze(Object.fromEntries(TABLE.map(([number, name]) => [name, number])));
