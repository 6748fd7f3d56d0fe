// Small tests of the form of decoded items; each refuses with `shape`. Source: spec/postern.md#cbor-profile.
import { ensure } from './reject.js';
import { isBytes } from './bytes.js';

/** An array of `least` to `most` members. @param {unknown} value @param {number} least @param {number} [most] @returns {any[]} */
export function array(value, least = 0, most = least) {
  ensure(Array.isArray(value) && value.length >= least && value.length <= most, 'shape');
  return /** @type {any[]} */ (value);
}

/** A map of at least `least` members. @param {unknown} value @param {number} [least] @returns {Map<any, any>} */
export function map(value, least = 0) {
  ensure(value instanceof Map && value.size >= least, 'shape');
  return /** @type {Map<any, any>} */ (value);
}

/** A byte string of `length` bytes. @param {unknown} value @param {number} [length] @returns {Uint8Array} */
export function bytes(value, length) {
  ensure(isBytes(value, length), 'shape');
  return /** @type {Uint8Array} */ (value);
}

/** An unsigned integer of `least` to `most`. @param {unknown} value @param {bigint} [least] @param {bigint} [most] @returns {bigint} */
export function uint(value, least = 0n, most = (1n << 64n) - 1n) {
  ensure(typeof value === 'bigint' && value >= least && value <= most, 'shape');
  return /** @type {bigint} */ (value);
}

/** A text. @param {unknown} value @returns {string} */
export function text(value) {
  ensure(typeof value === 'string', 'shape');
  return /** @type {string} */ (value);
}

/** A map with exactly the integer keys `required`, and any of `optional`. @param {unknown} value @param {bigint[]} required @param {bigint[]} [optional] */
export function fields(value, required, optional = []) {
  const found = map(value);
  for (const key of required) ensure(found.has(key), 'shape');
  for (const key of found.keys()) ensure(required.includes(key) || optional.includes(key), 'shape');
  return found;
}
