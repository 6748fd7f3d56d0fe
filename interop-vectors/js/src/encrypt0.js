// COSE_Encrypt0 with ChaCha20/Poly1305: its form, and opening it. Implements spec/encryption.md#encrypted.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { concat, isBytes, toHex } from './bytes.js';
import { decode, encode } from './cbor.js';
import { ensure, Reject } from './reject.js';
import * as shape from './shape.js';

const TAG_BYTES = 16;

/** @typedef {{protected: Uint8Array, ciphertext: Uint8Array, generation: bigint, iv: Uint8Array}} Encrypt0 */

/** Encrypted content is an array whose first member is a byte string. @param {any} value */
export const isEncrypt0 = (value) => Array.isArray(value) && isBytes(value[0]);

/** @param {any} value @returns {Encrypt0} */
export function readEncrypt0(value) {
  const [header, unprotected, ciphertext] = shape.array(value, 3);
  shape.bytes(header);
  shape.map(unprotected);
  shape.bytes(ciphertext);
  const labels = shape.fields(decode(header), [1n, 4n, 5n]);
  ensure(unprotected.size === 0, 'unprotected-not-empty');
  ensure(labels.get(1n) === 24n, 'shape');
  const generation = shape.bytes(labels.get(4n));
  ensure(generation.length >= 1 && generation.length <= 8 && generation[0] !== 0, 'shape');
  const iv = shape.bytes(labels.get(5n), 12);
  return { protected: header, ciphertext, generation: BigInt('0x' + toHex(generation)), iv };
}

/** @param {Uint8Array} key @param {Uint8Array} iv @param {Uint8Array} aad @param {Uint8Array} sealed */
export function openSealed(key, iv, aad, sealed) {
  ensure(sealed.length >= TAG_BYTES, 'decryption-failed');
  try {
    const cipher = createDecipheriv('chacha20-poly1305', key, iv, { authTagLength: TAG_BYTES });
    const end = sealed.length - TAG_BYTES;
    cipher.setAAD(aad, { plaintextLength: end });
    cipher.setAuthTag(sealed.subarray(end));
    return concat(cipher.update(sealed.subarray(0, end)), cipher.final());
  } catch {
    throw new Reject('decryption-failed');
  }
}

/** @param {Encrypt0} box @param {Uint8Array} key @param {any[]} externalAad */
export function open(box, key, externalAad) {
  const aad = encode(['Encrypt0', box.protected, encode(externalAad)]);
  return openSealed(key, box.iv, aad, box.ciphertext);
}

/** @param {bigint} generation @param {Uint8Array} key @param {any[]} externalAad @param {Uint8Array} plaintext */
export function seal(generation, key, externalAad, plaintext) {
  const iv = new Uint8Array(randomBytes(12));
  const digits = generation.toString(16);
  const label = new Uint8Array(Buffer.from(digits.length % 2 ? `0${digits}` : digits, 'hex'));
  const header = encode(new Map(/** @type {[bigint, any][]} */ ([[1n, 24n], [4n, label], [5n, iv]])));
  const cipher = createCipheriv('chacha20-poly1305', key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(encode(['Encrypt0', header, encode(externalAad)]), { plaintextLength: plaintext.length });
  const ciphertext = concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
  return [header, new Map(), ciphertext];
}
