// What a device holds durably, and its bytes.
// Implements what the specification asks to persist: spec/postern.md #acceptance, #reports-and-acks, #bundle and
// #enrolment, spec/lives.md #recovery and #rotation.
//
// The bytes are one array in CBOR. They are written whole, so that no half of a change is ever found at a start.

import { decodeAt, encode } from './cbor.js';

const FORM = 'postern-device-store-1';

/**
 * @typedef {object} Durable
 * @property {Uint8Array} genesis @property {Uint8Array} recovery the pinned thumbprints
 * @property {string} tenant @property {string} device @property {Uint8Array} incarnation
 * @property {Uint8Array} seed of the present device key
 * @property {{seed: Uint8Array, request: Uint8Array, messageId: Uint8Array} | null} next a key that was asked for
 * @property {Uint8Array | null} rotated message id of the last request that was answered
 * @property {Uint8Array} bundle the highest bundle that was accepted, an envelope
 * @property {Head | null} head accepted of `desired`
 * @property {bigint | null} frozen the epoch of which nothing is believed any more
 * @property {Map<string, Uint8Array>} bodies of the accepted state, by section
 * @property {Cursor} received the highest revision received and verified
 * @property {(Cursor & {digest: Uint8Array}) | null} applied
 * @property {Cursor} report the number of the newest report: device epoch and rseq
 * @property {any[][]} lists the lists 1 to 5 of the report
 * @property {Evidence | null} evidence that is open
 * @property {import('./engine-actual.js').Written | null} actual the plane that the device writes
 * @property {any} intents the marks of intents.js; null before the first revision was judged
 * @property {any} site what the driver keeps beside: any CBOR value
 */
/** @typedef {{epoch: bigint, seq: bigint}} Cursor */
/** @typedef {{generation: bigint, epoch: bigint, seq: bigint, digest: Uint8Array, envelope: Uint8Array, messageId: Uint8Array}} Head */
/** @typedef {Cursor & {code: bigint, digest: Uint8Array, table: Map<string, Uint8Array> | null,
 *   proofs: {messageId: Uint8Array, envelope: Uint8Array | null}[]}} Evidence */

/**
 * The record of a device that has just been enrolled.
 * @param {{genesis: Uint8Array, recovery: Uint8Array, tenant: string, device: string, incarnation: Uint8Array,
 *   seed: Uint8Array, bundle: Uint8Array, site?: any}} life
 * @returns {Durable}
 */
export function newDurable(life) {
  return {
    ...life, next: null, rotated: null, head: null, frozen: null, bodies: new Map(), received: { epoch: 0n, seq: 0n },
    applied: null, report: { epoch: 0n, seq: 0n }, lists: [[], [], [], [], []], evidence: null, actual: null, intents: null, site: life.site ?? null,
  };
}

/** @param {any} value @param {string[]} names the members of an object, or null */
function pack(value, names) {
  return value === null ? null : names.map((name) => value[name]);
}

/** @param {any[] | null} members @param {string[]} names */
function unpack(members, names) {
  return members === null ? null : Object.fromEntries(names.map((name, at) => [name, members[at]]));
}

const CURSOR = ['epoch', 'seq'];
const NEXT = ['seed', 'request', 'messageId'];
const HEAD = ['generation', 'epoch', 'seq', 'digest', 'envelope', 'messageId'];
const APPLIED = ['epoch', 'seq', 'digest'];
const EVIDENCE = ['epoch', 'seq', 'code', 'digest', 'table', 'proofs'];
const PROOF = ['messageId', 'envelope'];
const PLAIN = ['genesis', 'recovery', 'tenant', 'device', 'incarnation', 'seed', 'rotated', 'bundle', 'frozen', 'bodies', 'lists', 'intents', 'site'];
const ACTUAL = ['epoch', 'seq', 'state', 'lineage', 'seen'];
const LINEAGE = ['epoch', 'seq', 'digest'];

/** @param {Durable} durable @returns {Uint8Array} */
export function encodeDurable(durable) {
  const evidence = durable.evidence && { ...durable.evidence, proofs: durable.evidence.proofs.map((proof) => pack(proof, PROOF)) };
  const actual = durable.actual && { ...durable.actual, lineage: durable.actual.lineage.map((entry) => pack(entry, LINEAGE)) };
  return encode([
    FORM,
    pack(durable, PLAIN),
    pack(durable.next, NEXT),
    pack(durable.head, HEAD),
    pack(durable.received, CURSOR),
    pack(durable.applied, APPLIED),
    pack(durable.report, CURSOR),
    pack(evidence, EVIDENCE),
    pack(actual, ACTUAL),
  ]);
}

/** @param {Uint8Array} bytes @returns {Durable} */
export function decodeDurable(bytes) {
  const [store] = decodeAt(bytes, 0);
  if (!Array.isArray(store) || store[0] !== FORM) throw new Error('the store is of another form');
  const [, plain, next, head, received, applied, report, evidenceMembers, actualMembers] = store;
  const evidence = /** @type {any} */ (unpack(evidenceMembers, EVIDENCE));
  if (evidence) evidence.proofs = evidence.proofs.map((/** @type {any} */ proof) => unpack(proof, PROOF));
  const actual = /** @type {any} */ (unpack(actualMembers, ACTUAL));
  if (actual) actual.lineage = actual.lineage.map((/** @type {any} */ entry) => unpack(entry, LINEAGE));
  return /** @type {any} */ ({
    ...unpack(plain, PLAIN),
    next: unpack(next, NEXT),
    head: unpack(head, HEAD),
    received: unpack(received, CURSOR),
    applied: unpack(applied, APPLIED),
    report: unpack(report, CURSOR),
    evidence,
    actual,
  });
}
