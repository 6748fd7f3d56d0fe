// Bytes: joining, comparing, hexadecimal, and the hash of the protocol. Source: spec/postern.md#conventions.
import { createHash, createHmac } from 'node:crypto';

/** @param {string} hex @returns {Uint8Array} */
export function fromHex(hex) {
  if (typeof hex !== 'string' || !/^([0-9a-f]{2})*$/.test(hex)) throw new TypeError('not lower-case hexadecimal');
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** @param {Uint8Array} bytes */
export const toHex = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

/** @param {...Uint8Array} parts */
export const concat = (...parts) => new Uint8Array(Buffer.concat(parts));

/** Bytewise order. @param {Uint8Array} a @param {Uint8Array} b */
export const compare = (a, b) => Buffer.compare(a, b);

/** @param {Uint8Array} a @param {Uint8Array} b */
export const equal = (a, b) => Buffer.compare(a, b) === 0;

/** SHA-256, `h(x)` of the specification. @param {...Uint8Array} parts */
export function sha256(...parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** HMAC-SHA256. @param {Uint8Array} key @param {...Uint8Array} parts */
export function hmac(key, ...parts) {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
}

/** UTF-8 of a text. @param {string} text */
export const utf8 = (text) => new Uint8Array(Buffer.from(text, 'utf8'));

/** Whether `value` is a byte string, of `length` bytes if that is given. @param {unknown} value @param {number} [length] */
export const isBytes = (value, length) =>
  value instanceof Uint8Array && (length === undefined || value.length === length);
