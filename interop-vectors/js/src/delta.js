// Deltas: what is set, removed and edited.
// Implements spec/postern.md #delta and the form of a delta in spec/planes.md #edit.

import { compareBytes, equalBytes, isBytes } from './bytes.js';
import { encode } from './cbor.js';
import { applyEdit, readEdit } from './edit.js';
import { readEncrypt0 } from './encrypted.js';
import { Reject, demand } from './reject.js';
import { checkPath, checkValue, digestState } from './state.js';

/**
 * @typedef {object} Delta
 * @property {Map<string, any>} sets
 * @property {string[]} removals
 * @property {Map<string, import('./edit.js').Run[]>} edits
 */

/**
 * Checks the form of a payload, member by member in reading order.
 * @param {any} payload decoded
 * @returns {Delta | {encrypted: import('./encrypted.js').Encrypt0}}
 */
export function readDelta(payload) {
  demand(Array.isArray(payload), 'shape');
  if (isBytes(payload[0])) return { encrypted: readEncrypt0(payload) };
  return readReadableDelta(payload);
}

/**
 * @param {any} payload decoded, and decrypted where it was encrypted
 * @returns {Delta}
 */
export function readReadableDelta(payload) {
  demand(Array.isArray(payload) && payload.length >= 1 && payload.length <= 3, 'shape');
  const [sets, removals, edits] = payload;
  readSets(sets);
  if (payload.length === 1) demand(sets.size > 0, 'delta-empty');
  if (payload.length >= 2) readRemovals(removals, sets);
  if (payload.length === 2) demand(removals.length > 0, 'shape');
  return { sets, removals: removals ?? [], edits: payload.length === 3 ? readEdits(edits, sets, removals) : new Map() };
}

/** @param {any} sets */
function readSets(sets) {
  demand(sets instanceof Map, 'shape');
  for (const [path, value] of sets) {
    checkPath(path);
    checkValue(value);
  }
}

/** @param {any} removals @param {Map<string, any>} sets */
function readRemovals(removals, sets) {
  demand(Array.isArray(removals), 'shape');
  removals.forEach((path, at) => {
    checkPath(path);
    if (at > 0) demand(compareBytes(encode(removals[at - 1]), encode(path)) < 0, 'delta-order');
  });
  demand(!removals.some((path) => sets.has(path)), 'delta-conflict');
}

/** @param {any} edits @param {Map<string, any>} sets @param {string[]} removals */
function readEdits(edits, sets, removals) {
  demand(edits instanceof Map && edits.size > 0, 'shape');
  const removed = new Set(removals);
  const read = new Map();
  for (const [path, runs] of edits) {
    checkPath(path);
    read.set(path, readEdit(runs));
  }
  for (const path of read.keys()) demand(!sets.has(path) && !removed.has(path), 'delta-conflict');
  return read;
}

/**
 * Applies a delta to a copy of the base, and checks the result against the digest that the header signs.
 * @param {import('./state.js').State} base
 * @param {Delta} delta
 * @param {Uint8Array} digest
 * @param {Uint8Array} [digestKey] of an encrypted plane
 * @returns {{state: import('./state.js').State, sections: Map<string, Uint8Array>, bodies: Map<string, Uint8Array>}}
 */
export function applyDelta(base, { sets, removals, edits }, digest, digestKey) {
  const state = new Map(base);
  for (const path of removals) if (!state.delete(path)) throw new Reject('delta-remove-absent');
  for (const [path, runs] of edits) state.set(path, applyEdit(state.get(path), runs));
  for (const [path, value] of sets) state.set(path, value);
  const { digest: after, sections, bodies } = digestState(state, digestKey);
  demand(equalBytes(after, digest), 'digest-mismatch');
  return { state, sections, bodies };
}
