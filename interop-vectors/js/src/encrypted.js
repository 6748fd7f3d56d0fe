// What is encrypted: COSE_Encrypt0 with ChaCha20/Poly1305.
// Implements spec/encryption.md #encrypted and #switching-on for a reader. The running device binds no agreement key, so
// that nobody encrypts for it; this is for the vectors, and for a device that does.

import { createDecipheriv } from 'node:crypto';
import { isBytes } from './bytes.js';
import { decode, encode } from './cbor.js';
import { Reject, demand } from './reject.js';

const ALGORITHM = 1n;
const GENERATION = 4n;
const IV = 5n;
const CHACHA20_POLY1305 = 24n;
const TAG_BYTES = 16;

/** @typedef {{protectedBytes: Uint8Array, generation: bigint, iv: Uint8Array, ciphertext: Uint8Array}} Encrypt0 */

/**
 * The keys of one generation; the digest key is the same in all of them.
 * @typedef {{generation: bigint, desired: Uint8Array, actual: Uint8Array}} PlaneKeys
 */

/** @typedef {Required<import('./channel.js').Place> & {plane: bigint}} EncryptedPlace */

/**
 * Checks the form of a COSE_Encrypt0.
 * @param {any} members decoded
 * @returns {Encrypt0}
 */
export function readEncrypt0(members) {
  demand(Array.isArray(members) && members.length === 3, 'shape');
  const [protectedBytes, unprotected, ciphertext] = members;
  demand(isBytes(protectedBytes) && unprotected instanceof Map && isBytes(ciphertext), 'shape');
  const header = decode(protectedBytes);
  demand(unprotected.size === 0, 'unprotected-not-empty');
  demand(header instanceof Map && header.size === 3 && header.get(ALGORITHM) === CHACHA20_POLY1305, 'shape');
  const number = header.get(GENERATION);
  const iv = header.get(IV);
  demand(isBytes(number) && number.length >= 1 && number.length <= 8 && number[0] !== 0 && isBytes(iv, 12), 'shape');
  const generation = number.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { protectedBytes, generation, iv, ciphertext };
}

/** The external_aad of a delta's payload or of the lists of a report. @param {EncryptedPlace} place @param {import('./cose.js').Position} position */
function payloadAad(place, { kind, epoch, seq, base, digest }) {
  const { genesis, tenant, device, incarnation, plane } = place;
  return encode(['postern/1 encrypted', genesis, tenant, device, incarnation, plane, [kind, epoch, seq, base, digest]]);
}

/** The external_aad of a section body. @param {EncryptedPlace} place @param {string} section @param {Uint8Array} digest keyed */
export function bodyAad(place, section, digest) {
  const { genesis, tenant, device, incarnation, plane } = place;
  return encode(['postern/1 encrypted body', genesis, tenant, device, incarnation, plane, section, digest]);
}

/** @param {Uint8Array} protectedBytes @param {Uint8Array} aad */
function encStructure(protectedBytes, aad) {
  return encode(['Encrypt0', protectedBytes, aad]);
}

/** The key of a plane. @param {PlaneKeys} keys @param {bigint} plane */
function keyOf(keys, plane) {
  return plane === 0n ? keys.desired : keys.actual;
}

/**
 * Decrypts.
 * @param {Encrypt0} encrypted
 * @param {PlaneKeys[]} held
 * @param {bigint} plane
 * @param {Uint8Array} aad
 * @returns {Uint8Array}
 */
export function open({ protectedBytes, generation, iv, ciphertext }, held, plane, aad) {
  const keys = held.find((each) => each.generation === generation);
  if (!keys) throw new Reject('plane-key-missing');
  demand(ciphertext.length >= TAG_BYTES, 'decryption-failed');
  return openBytes(keyOf(keys, plane), iv, ciphertext, encStructure(protectedBytes, aad));
}

/**
 * ChaCha20/Poly1305 with the tag behind the ciphertext.
 * @param {Uint8Array} key @param {Uint8Array} iv @param {Uint8Array} ciphertext of at least 16 bytes @param {Uint8Array} aad
 * @returns {Uint8Array}
 */
export function openBytes(key, iv, ciphertext, aad) {
  const end = ciphertext.length - TAG_BYTES;
  const cipher = createDecipheriv('chacha20-poly1305', key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad, { plaintextLength: end });
  cipher.setAuthTag(ciphertext.subarray(end));
  try {
    return new Uint8Array(Buffer.concat([cipher.update(ciphertext.subarray(0, end)), cipher.final()]));
  } catch {
    throw new Reject('decryption-failed');
  }
}

/**
 * What an encrypted payload of a delta holds. A readable one is refused where keys are held.
 * @param {any} payload decoded, readable or encrypted
 * @param {PlaneKeys[]} held
 * @param {EncryptedPlace} place
 * @param {import('./cose.js').Position} position
 * @returns {Uint8Array | undefined} what was decrypted; undefined where the payload is readable and may be
 */
export function openPayload(payload, held, place, position) {
  if (!Array.isArray(payload) || !isBytes(payload[0])) {
    demand(held.length === 0, 'not-encrypted');
    return undefined;
  }
  return open(readEncrypt0(payload), held, place.plane, payloadAad(place, position));
}
