// States: paths, values, section bodies and digests.
// Implements spec/postern.md #state, #paths, #values and #digest, the rules of a body in #snapshot, and
// spec/encryption.md #keyed-digest.
//
// A state is a Map from path to value, with the values of src/cbor.js; a reference is an array.

import { equalBytes, h, hmac, isBytes, isUint, utf8 } from './bytes.js';
import { decode, encode } from './cbor.js';
import {
  ENCRYPTED_OVERHEAD_BYTES_MAX, ENCRYPTED_SECTION_BYTES_MAX, MEDIA_TYPE_BYTES_MAX, PATH_BYTES_MAX, SECTIONS_MAX,
  SECTION_BYTES_MAX, STATE_BYTES_MAX, VALUE_BYTES_MAX,
} from './limits.js';
import { Reject, demand } from './reject.js';

/** @typedef {Map<string, any>} State */

const SEGMENT = /^[a-z0-9._-]+$/;

/** @param {string} segment */
function isSegment(segment) {
  return SEGMENT.test(segment) && segment !== '.' && segment !== '..';
}

/** @param {unknown} path @returns {asserts path is string} */
export function checkPath(path) {
  demand(typeof path === 'string', 'shape');
  demand(path.length <= PATH_BYTES_MAX && path.split('/').every(isSegment), 'path-invalid');
}

/** @param {unknown} section @returns {asserts section is string} */
export function checkSection(section) {
  demand(typeof section === 'string', 'shape');
  demand(section === '' || (section.length <= PATH_BYTES_MAX && isSegment(section)), 'section-invalid');
}

/** The text before the first `/`, and the empty text when there is none. @param {string} path */
export function sectionOf(path) {
  const slash = path.indexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** @param {any} value */
export function checkValue(value) {
  if (typeof value === 'string') demand(utf8(value).length <= VALUE_BYTES_MAX, 'value-oversize');
  else if (isBytes(value)) demand(value.length <= VALUE_BYTES_MAX, 'value-oversize');
  else if (Array.isArray(value)) demand(isReference(value), 'value-invalid');
  else demand(value === null || ['boolean', 'bigint', 'number'].includes(typeof value), 'value-invalid');
}

/** @param {any[]} value */
function isReference([digest, size, mediaType, ...more]) {
  if (!isBytes(digest, 32) || !isUint(size) || typeof mediaType !== 'string' || more.length > 0) return false;
  const length = utf8(mediaType).length;
  return length >= 1 && length <= MEDIA_TYPE_BYTES_MAX;
}

/** Refuses a state in which one path is an ancestor of another. @param {State} state */
function checkConflicts(state) {
  for (const path of state.keys()) {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      demand(!state.has(path.slice(0, slash)), 'path-conflict');
    }
  }
}

/** `h`, or the HMAC of an encrypted plane. @param {Uint8Array} bytes @param {Uint8Array} [digestKey] */
export function digestOfBytes(bytes, digestKey) {
  return digestKey ? hmac(digestKey, bytes) : h(bytes);
}

/**
 * The root digest over a section table.
 * @param {Map<string, Uint8Array>} digests of the bodies
 * @param {Uint8Array} [digestKey] of an encrypted plane
 * @returns {Uint8Array}
 */
export function rootDigest(digests, digestKey) {
  return digestOfBytes(encode(['postern-state', digests]), digestKey);
}

/**
 * The bodies of a state by section.
 * @param {State} state
 * @returns {Map<string, Uint8Array>}
 */
function bodiesOf(state) {
  /** @type {Map<string, State>} */
  const sections = new Map();
  for (const [path, value] of state) {
    const section = sectionOf(path);
    const entries = sections.get(section) ?? new Map();
    sections.set(section, entries.set(path, value));
  }
  return new Map([...sections].map(([section, entries]) => [section, encode(entries)]));
}

/**
 * Checks a whole state, paths against each other and then limits, and gives its bodies.
 * @param {State} state
 * @param {boolean} [encrypted]
 * @returns {Map<string, Uint8Array>}
 */
function checkState(state, encrypted = false) {
  checkConflicts(state);
  const bodies = bodiesOf(state);
  const most = encrypted ? ENCRYPTED_SECTION_BYTES_MAX : SECTION_BYTES_MAX;
  const overhead = encrypted ? ENCRYPTED_OVERHEAD_BYTES_MAX : 0;
  let sum = 0;
  for (const body of bodies.values()) {
    demand(body.length <= most, 'section-oversize');
    sum += body.length + overhead;
  }
  demand(bodies.size <= SECTIONS_MAX && sum <= STATE_BYTES_MAX, 'state-oversize');
  return bodies;
}

/**
 * Checks a whole state and gives its digests.
 * @param {State} state
 * @param {Uint8Array} [digestKey] of an encrypted plane
 * @returns {{digest: Uint8Array, sections: Map<string, Uint8Array>, bodies: Map<string, Uint8Array>}}
 */
export function digestState(state, digestKey) {
  const bodies = checkState(state, digestKey !== undefined);
  const sections = new Map([...bodies].map(([section, body]) => [section, digestOfBytes(body, digestKey)]));
  return { digest: rootDigest(sections, digestKey), sections, bodies };
}

/**
 * Checks a readable body against its row of the table and gives its entries.
 * @param {string} section
 * @param {Uint8Array} digest of the table
 * @param {Uint8Array} body
 * @param {Uint8Array} [digestKey] of an encrypted plane
 * @returns {State}
 */
export function readBody(section, digest, body, digestKey) {
  demand(body.length <= (digestKey ? ENCRYPTED_SECTION_BYTES_MAX : SECTION_BYTES_MAX), 'section-oversize');
  demand(equalBytes(digestOfBytes(body, digestKey), digest), 'body-mismatch');
  const entries = decode(body);
  demand(entries instanceof Map && entries.size > 0, 'shape');
  for (const [path, value] of entries) {
    checkPath(path);
    if (sectionOf(path) !== section) throw new Reject('body-mismatch');
    checkValue(value);
  }
  checkConflicts(entries);
  return entries;
}
