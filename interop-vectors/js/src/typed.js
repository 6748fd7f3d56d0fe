// Values of a state in JSON, as interop-vectors/README.md #values-of-a-state writes them.

import { fromHex, toHex } from './bytes.js';
import { U64_MAX } from './limits.js';
import { Reject, demand } from './reject.js';
import { checkPath, checkValue } from './state.js';

const PLAIN_MAX = 2n ** 53n;

/**
 * @param {Record<string, any>} object a state in JSON, its integers as bigint
 * @returns {import('./state.js').State}
 */
export function readState(object) {
  const state = new Map();
  for (const [path, typed] of Object.entries(object)) {
    checkPath(path);
    const value = readTyped(typed);
    checkValue(value);
    state.set(path, value);
  }
  return state;
}

/** @param {any} typed @returns {any} */
function readTyped(typed) {
  if (typed === null || ['boolean', 'string', 'bigint'].includes(typeof typed)) return inRange(typed);
  if (typeof typed !== 'object' || Array.isArray(typed)) throw new Reject('value-invalid');
  const [form, ...more] = Object.keys(typed);
  demand(form !== undefined && more.length === 0, 'value-invalid');
  if (form === 'int') return inRange(readInteger(typed.int));
  if (form === 'float') return readFloat(typed.float);
  if (form === 'bytes') return readHex(typed.bytes);
  demand(form === 'reference', 'value-invalid');
  const { digest, size, media_type: mediaType } = typed.reference ?? {};
  return [readHex(digest), typeof size === 'bigint' ? size : readInteger(size?.int), mediaType];
}

/** @param {any} hex */
function readHex(hex) {
  demand(typeof hex === 'string' && /^(?:[0-9a-f]{2})*$/.test(hex), 'value-invalid');
  return fromHex(hex);
}

/** @param {any} digits */
function readInteger(digits) {
  demand(typeof digits === 'string' && /^-?\d+$/.test(digits), 'value-invalid');
  return BigInt(digits);
}

/** @param {any} value */
function inRange(value) {
  if (typeof value === 'bigint') demand(value >= -(2n ** 63n) && value <= U64_MAX, 'value-invalid');
  return value;
}

/** @param {any} bits */
function readFloat(bits) {
  const bytes = readHex(bits);
  demand(bytes.length === 8, 'value-invalid');
  const value = new DataView(bytes.buffer).getFloat64(0);
  demand(Number.isFinite(value), 'value-invalid');
  return value;
}

/** @param {import('./state.js').State} state @returns {Record<string, any>} */
export function typedState(state) {
  return Object.fromEntries([...state].map(([path, value]) => [path, typedValue(value)]));
}

/** @param {any} value @returns {any} */
export function typedValue(value) {
  if (typeof value === 'bigint') return value > PLAIN_MAX || value < -PLAIN_MAX ? { int: value.toString() } : value;
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (Array.isArray(value)) {
    const [digest, size, mediaType] = value;
    return { reference: { digest: toHex(digest), size: typedValue(size), media_type: mediaType } };
  }
  if (typeof value !== 'number') return value;
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return { float: toHex(bytes) };
}

/** A table of digests in JSON. @param {Map<string, Uint8Array>} digests */
export function hexTable(digests) {
  return Object.fromEntries([...digests].map(([section, digest]) => [section, toHex(digest)]));
}
