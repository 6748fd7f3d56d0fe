// The desired plane as a device reads it: judge, fetch bodies, commit, apply. Implements spec/postern.md#acceptance,
// #snapshot, #bodies and spec/lives.md#recovery.
import { join } from 'node:path';
import { judge } from '../acceptance.js';
import { equal, sha256, toHex } from '../bytes.js';
import { encode } from '../cbor.js';
import { aadPlane } from '../channel.js';
import { comparePlaces, sealEnvelope } from '../cose.js';
import { writeValue } from '../values.js';
import { DESIRED, KIND } from '../kinds.js';
import { ENVELOPE_BYTES_MAX } from '../limits.js';
import { ensure } from '../reject.js';
import { applyDelta, checkConflicts, digestOf, readBody } from '../state.js';
import { replaceFile } from './store.js';

/** @typedef {(wants: Uint8Array[]) => Promise<Uint8Array[]>} Fetch complete bodies, in the order of their digests */

/** The state that the record holds. @param {any} record */
export function stateOf(record) {
  const state = new Map();
  for (const [section, body] of record.bodies) {
    for (const [path, value] of readBody(section, body, sha256(body))) state.set(path, value);
  }
  return state;
}

/**
 * Judges a verified delta or snapshot and changes the record; the caller commits.
 * @param {any} record @param {import('../cose.js').Verified} message @param {bigint} generation of the signer @param {Fetch} fetch
 * @returns {Promise<import('../acceptance.js').Judgement>}
 */
export async function takeRevision(record, message, generation, fetch) {
  const { kind, epoch, seq, base, digest } = message.position;
  const delta = kind === KIND.delta;
  if (message.content.encrypted) return { row: 0, outcome: 'need', reject: 'plane-key-missing' };
  if (!record.received || comparePlaces({ epoch, seq }, record.received) > 0) record.received = { epoch, seq };
  const frozen = record.frozen !== null && record.head && record.frozen.epoch === record.head.epoch && record.frozen.generation === record.head.generation;
  const lineage = delta ? [] : message.content.lineage;
  const judgement = judge(record.head, frozen, { kind: delta ? 'delta' : 'snapshot', generation, epoch, seq, base, digest, lineage });
  if (judgement.outcome === 'apply') {
    const { bodies } = applyDelta(stateOf(record), message.content, digest);
    accept(record, message, generation, bodies);
  } else if (judgement.outcome === 'accept') {
    accept(record, message, generation, await assemble(record, message, fetch));
  } else if (judgement.freezes) {
    record.frozen = { generation, epoch };
  }
  return judgement;
}

/** Every body of a snapshot, checked alone and together. @param {any} record @param {import('../cose.js').Verified} message @param {Fetch} fetch */
async function assemble(record, message, fetch) {
  const held = new Map(record.bodies.map((/** @type {any} */ [, body]) => [toHex(sha256(body)), body]));
  /** @type {[string, Uint8Array][]} */
  const rows = [...message.content.table];
  const missing = rows.map(([, digest]) => digest).filter((digest) => !held.has(toHex(digest)));
  const fetched = missing.length ? await fetch(missing) : [];
  missing.forEach((digest, at) => held.set(toHex(digest), fetched[at]));
  const state = new Map();
  for (const [section, digest] of rows) {
    for (const [path, value] of readBody(section, held.get(toHex(digest)), digest)) state.set(path, value);
  }
  checkConflicts(state);
  const { root, bodies } = digestOf(state);
  ensure(equal(root, message.position.digest), 'digest-mismatch');
  return bodies;
}

/** @param {any} record @param {import('../cose.js').Verified} message @param {bigint} generation @param {Map<string, Uint8Array>} bodies */
function accept(record, message, generation, bodies) {
  const { epoch, seq, digest } = message.position;
  const higher = record.head && generation > record.head.generation;
  record.head = { generation, epoch, seq, digest };
  // A higher generation may begin in a lower epoch, and a report's cursors must not run ahead of what was received.
  if (higher) record.received = { epoch, seq };
  record.bodies = [...bodies];
  record.accepted = { id: message.messageId, envelope: message.bytes };
  record.evidence = null;
}

/** Writes the state for the application, whole or not at all. @param {string} folder @param {any} record */
export function applyState(folder, record) {
  const { epoch, seq, digest } = record.head;
  const values = Object.fromEntries([...stateOf(record)].sort().map(([path, value]) => [path, writeValue(value)]));
  const text = JSON.stringify({ epoch: String(epoch), seq: String(seq), digest: toHex(digest), values }, null, 1);
  replaceFile(join(folder, 'desired.json'), `${text}\n`);
  record.applied = { epoch, seq, digest };
}

/**
 * Evidence against the writer, signed; envelopes that do not fit are left out.
 * @param {any} record @param {any} key @param {import('../channel.js').Channel} channel @param {64n | 66n} code
 * @param {import('../cose.js').Verified} message the one that was refused
 */
export function sealEvidence(record, key, channel, code, message) {
  const { epoch, seq, digest } = record.head;
  const table = code === 64n ? new Map(record.bodies.map((/** @type {any} */ [name, body]) => [name, sha256(body)])) : null;
  const proofs = [[record.accepted.id, record.accepted.envelope]];
  if (code === 66n) proofs.push([message.messageId, message.bytes]);
  const position = { kind: KIND.evidence, epoch, seq, base: 0n, digest };
  const aad = aadPlane(KIND.evidence, channel, DESIRED);
  for (;;) {
    const { bytes } = sealEnvelope(key, position, aad, encode([code, table, proofs]));
    const large = proofs.find((proof) => proof[1] !== null);
    if (bytes.length <= ENVELOPE_BYTES_MAX || !large) return bytes;
    large[1] = /** @type {any} */ (null);
  }
}

