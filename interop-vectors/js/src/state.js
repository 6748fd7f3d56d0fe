// States: paths, values, sections, digests, and what a delta does to them.
// Implements spec/postern.md#paths, #values, #digest, #delta, #bodies and spec/encryption.md#keyed-digest.
//
// A state is a Map from path to value. A digester is h(x), or HMAC under the digest key of an encrypted plane.
import { compare, equal, hmac, isBytes, sha256, utf8 } from './bytes.js';
import { decode, encode } from './cbor.js';
import { applyEdits, readEdits } from './edit.js';
import * as limits from './limits.js';
import { ensure } from './reject.js';
import * as shape from './shape.js';

/** @typedef {Map<string, any>} State */
/** @typedef {{hash: (...parts: Uint8Array[]) => Uint8Array, bodyMax: number, sectionExtra: number}} Digester */

/** @type {Digester} */
export const READABLE = { hash: sha256, bodyMax: limits.SECTION_BYTES_MAX, sectionExtra: 0 };

/** @param {Uint8Array} key @returns {Digester} */
export const keyed = (key) => ({
  hash: (...parts) => hmac(key, ...parts),
  bodyMax: limits.ENCRYPTED_SECTION_BYTES_MAX,
  sectionExtra: limits.ENCRYPTED_OVERHEAD_BYTES_MAX,
});

const SEGMENT = /^[a-z0-9._-]+$/;

/** @param {string} segment */
const isSegment = (segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..';

/** @param {unknown} path */
export function checkPath(path) {
  const valid = typeof path === 'string' && path.length <= limits.PATH_BYTES_MAX && path.split('/').every(isSegment);
  ensure(valid, 'path-invalid');
}

/** @param {string} name */
export const isSectionName = (name) => name === '' || (isSegment(name) && name.length <= limits.PATH_BYTES_MAX);

/** @param {string} path */
export const sectionOf = (path) => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '');

/** @param {any} value */
export function checkValue(value) {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint') return;
  if (typeof value === 'string') return ensure(utf8(value).length <= limits.VALUE_BYTES_MAX, 'value-oversize');
  if (isBytes(value)) return ensure(value.length <= limits.VALUE_BYTES_MAX, 'value-oversize');
  const [digest, size, type] = Array.isArray(value) && value.length === 3 ? value : [];
  const typeBytes = typeof type === 'string' ? utf8(type).length : 0;
  const whole = isBytes(digest, 32) && typeof size === 'bigint' && size >= 0n;
  ensure(whole && typeBytes >= 1 && typeBytes <= limits.MEDIA_TYPE_BYTES_MAX, 'value-invalid');
}

/** Refuses a path that is an ancestor of another. @param {State} state */
export function checkConflicts(state) {
  for (const path of state.keys()) {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      ensure(!state.has(path.slice(0, at)), 'path-conflict');
    }
  }
}

/** The bodies of a state by section. @param {State} state @returns {Map<string, Uint8Array>} */
export function bodiesOf(state) {
  const sections = new Map();
  for (const [path, value] of state) {
    const name = sectionOf(path);
    if (!sections.has(name)) sections.set(name, new Map());
    sections.get(name).set(path, value);
  }
  return new Map([...sections].map(([name, paths]) => [name, encode(paths)]));
}

/** Limits, then table and root digest. @param {State} state @param {Digester} [digester] */
export function digestOf(state, digester = READABLE) {
  const bodies = bodiesOf(state);
  let sum = 0;
  for (const body of bodies.values()) {
    ensure(body.length <= digester.bodyMax, 'section-oversize');
    sum += body.length + digester.sectionExtra;
  }
  ensure(bodies.size <= limits.SECTIONS_MAX && sum <= limits.STATE_BYTES_MAX, 'state-oversize');
  const table = new Map([...bodies].map(([name, body]) => [name, digester.hash(body)]));
  return { table, root: rootOf(table, digester), bodies };
}

/** @param {Map<string, Uint8Array>} table @param {Digester} [digester] */
export const rootOf = (table, digester = READABLE) => digester.hash(encode(['postern-state', table]));

/** A whole state that came from outside: paths and values, then conflicts. @param {State} state */
export function checkState(state) {
  for (const [path, value] of state) {
    checkPath(path);
    checkValue(value);
  }
  checkConflicts(state);
}

/**
 * The form of a delta's payload, checked member by member.
 * @param {any} payload decoded
 */
export function readDelta(payload) {
  const members = shape.array(payload, 1, 3);
  const sets = shape.map(members[0]);
  const removals = members.length > 1 ? shape.array(members[1], members.length === 2 ? 1 : 0, Infinity) : [];
  if (members.length === 3) shape.map(members[2], 1);
  for (const [path, value] of sets) {
    shape.text(path);
    checkPath(path);
    checkValue(value);
  }
  ensure(sets.size + removals.length + (members.length - 1) > 0, 'delta-empty');
  readRemovals(sets, removals);
  const edits = members.length === 3 ? readEdits(members[2], sets, removals) : new Map();
  return { sets, removals, edits };
}

/** @param {Map<any, any>} sets @param {any[]} removals */
function readRemovals(sets, removals) {
  let before = null;
  for (const path of removals) {
    shape.text(path);
    checkPath(path);
    const encoded = encode(path);
    ensure(!before || compare(before, encoded) < 0, 'delta-order');
    before = encoded;
  }
  for (const path of removals) ensure(!sets.has(path), 'delta-conflict');
}

/** A copy of `base` after the delta; the root must be `digest`. @param {State} base @param {ReturnType<typeof readDelta>} delta @param {Uint8Array} digest @param {Digester} [digester] */
export function applyDelta(base, { sets, removals, edits }, digest, digester = READABLE) {
  const state = new Map(base);
  for (const path of removals) ensure(state.delete(path), 'delta-remove-absent');
  applyEdits(state, edits);
  for (const [path, value] of sets) state.set(path, value);
  checkConflicts(state);
  const result = digestOf(state, digester);
  ensure(equal(result.root, digest), 'digest-mismatch');
  return { state, ...result };
}

/** The paths of one section body. @param {string} section @param {Uint8Array} body @param {Uint8Array} digest @param {Digester} [digester] @returns {State} */
export function readBody(section, body, digest, digester = READABLE) {
  ensure(body.length <= digester.bodyMax, 'section-oversize');
  ensure(equal(digester.hash(body), digest), 'body-mismatch');
  const paths = shape.map(decode(body), 1);
  for (const [path, value] of paths) {
    shape.text(path);
    checkPath(path);
    checkValue(value);
    ensure(sectionOf(path) === section, 'body-mismatch');
  }
  checkConflicts(paths);
  return paths;
}
