// Byte strings: the `‖`, `h(x)` and hexadecimal of spec/postern.md #conventions.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

const UTF8 = new TextEncoder();

/** @param {string} hex @returns {Uint8Array} */
export function fromHex(hex) {
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) throw new TypeError('no hexadecimal');
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** @param {Uint8Array} bytes @returns {string} */
export function toHex(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** @param {string} text @returns {Uint8Array} */
export function utf8(text) {
  return UTF8.encode(text);
}

/** `‖`. @param {...Uint8Array} parts @returns {Uint8Array} */
export function concat(...parts) {
  return join(parts);
}

/** @param {Uint8Array[]} parts @returns {Uint8Array} */
export function join(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Bytewise order; a prefix comes first.
 * @param {Uint8Array} a @param {Uint8Array} b @returns {number} below, equal to or above 0
 */
export function compareBytes(a, b) {
  return Buffer.compare(a, b);
}

/** Equality of public bytes. @param {Uint8Array} a @param {Uint8Array} b @returns {boolean} */
export function equalBytes(a, b) {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** Equality of tags and macs, in constant time. @param {Uint8Array} a @param {Uint8Array} b @returns {boolean} */
export function equalSecret(a, b) {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** `h(x)`: SHA-256. @param {...Uint8Array} parts @returns {Uint8Array} */
export function h(...parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** HMAC-SHA256. @param {Uint8Array} key @param {...Uint8Array} parts @returns {Uint8Array} */
export function hmac(key, ...parts) {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
}

/** @param {unknown} value @param {number} [length] @returns {value is Uint8Array} */
export function isBytes(value, length) {
  return value instanceof Uint8Array && (length === undefined || value.length === length);
}

/** An unsigned integer of the wire. @param {unknown} value @param {bigint} [least] @param {bigint} [most] @returns {value is bigint} */
export function isUint(value, least = 0n, most = 0xffff_ffff_ffff_ffffn) {
  return typeof value === 'bigint' && value >= least && value <= most;
}
