// Public keys, their thumbprints, and signatures.
// Implements spec/postern.md #keys.
//
// A public key is held as its bytes: 32 of Ed25519, or 65 (04, x, y) of ESP256.

import { createPrivateKey, createPublicKey, diffieHellman, hkdfSync, randomBytes, sign, verify } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519';
import { p256 } from '@noble/curves/nist';
import { concat, fromHex, h, isBytes, toHex } from './bytes.js';
import { encode } from './cbor.js';
import { demand } from './reject.js';

export const ED25519 = -19n;
export const ESP256 = -9n;

const PKCS8_ED25519 = fromHex('302e020100300506032b657004220420');
const PKCS8_X25519 = fromHex('302e020100300506032b656e04220420');
const P = 2n ** 255n - 19n;

/** The algorithm of a public key. @param {Uint8Array} publicKey @returns {bigint} */
export function algorithmOf(publicKey) {
  return publicKey.length === 32 ? ED25519 : ESP256;
}

/** The COSE_Key map of a public key. @param {Uint8Array} publicKey @returns {Map<bigint, any>} */
export function coseKey(publicKey) {
  /** @type {[bigint, any][]} */
  const ed25519Key = [[1n, 1n], [-1n, 6n], [-2n, publicKey]];
  if (publicKey.length === 32) return new Map(ed25519Key);
  /** @type {[bigint, any][]} */
  const esp256Key = [[1n, 2n], [-1n, 1n], [-2n, publicKey.slice(1, 33)], [-3n, publicKey.slice(33)]];
  return new Map(esp256Key);
}

/**
 * The public key of a decoded COSE_Key; its point is not checked yet.
 * @param {any} value
 * @returns {Uint8Array}
 */
export function readCoseKey(value) {
  demand(value instanceof Map, 'shape');
  const [type, curve, x, y] = [1n, -1n, -2n, -3n].map((label) => value.get(label));
  if (type === 1n) {
    demand(value.size === 3 && curve === 6n && isBytes(x, 32), 'shape');
    return x;
  }
  demand(value.size === 4 && type === 2n && curve === 1n && isBytes(x, 32) && isBytes(y, 32), 'shape');
  return concat(Uint8Array.of(4), x, y);
}

/** @param {Uint8Array} publicKey @returns {Uint8Array} */
export function thumbprint(publicKey) {
  return h(encode(coseKey(publicKey)));
}

/** The first 8 bytes of the thumbprint: it selects candidates and proves nothing. @param {Uint8Array} publicKey */
export function keyId(publicKey) {
  return thumbprint(publicKey).slice(0, 8);
}

/**
 * The check of a key when it becomes known, at enrolment or in a bundle.
 * @param {Uint8Array} publicKey bytes of any length
 */
export function checkKey(publicKey) {
  if (publicKey.length === 32) demand(isStrongEd25519(publicKey), 'key-refused');
  else demand(publicKey.length === 65 && publicKey[0] === 4 && isP256(publicKey), 'key-refused');
}

/** @param {Uint8Array} publicKey */
function isStrongEd25519(publicKey) {
  try {
    const point = ed25519.ExtendedPoint.fromHex(publicKey);
    return isCanonical(publicKey) && !point.isSmallOrder() && point.isTorsionFree();
  } catch {
    return false;
  }
}

/** Whether the y of an encoding is below p, and a sign of x = 0 is not set. @param {Uint8Array} encoding */
function isCanonical(encoding) {
  const bytes = Uint8Array.from(encoding).reverse();
  const negative = bytes[0] >> 7;
  bytes[0] &= 0x7f;
  const y = BigInt(`0x${toHex(bytes)}`);
  const xIsZero = y === 1n || y === P - 1n;
  return y < P && !(negative && xIsZero);
}

/** @param {Uint8Array} publicKey */
function isP256(publicKey) {
  try {
    p256.ProjectivePoint.fromHex(publicKey).assertValidity();
    return true;
  } catch {
    return false;
  }
}

/**
 * The strict, cofactorless verification. Node's compares the encoding of R, and here an R of small order is refused.
 * @param {Uint8Array} publicKey
 * @param {Uint8Array} message
 * @param {Uint8Array} signature 64 bytes
 * @returns {boolean}
 */
export function verifies(publicKey, message, signature) {
  if (signature.length !== 64) return false;
  if (publicKey.length === 32 && isSmallOrder(signature.subarray(0, 32))) return false;
  try {
    const key = createPublicKey({ key: jwk(publicKey), format: 'jwk' });
    if (publicKey.length === 32) return verify(null, message, key, signature);
    return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
  } catch {
    return false; // no point of the curve
  }
}

/** @param {Uint8Array} encoding */
function isSmallOrder(encoding) {
  try {
    return ed25519.ExtendedPoint.fromHex(encoding, true).isSmallOrder();
  } catch {
    return true; // no point: it verifies under no key
  }
}

/** @param {Uint8Array} publicKey */
function jwk(publicKey) {
  const text = (/** @type {Uint8Array} */ bytes) => Buffer.from(bytes).toString('base64url');
  if (publicKey.length === 32) return { kty: 'OKP', crv: 'Ed25519', x: text(publicKey) };
  return { kty: 'EC', crv: 'P-256', x: text(publicKey.slice(1, 33)), y: text(publicKey.slice(33)) };
}

/** Signs with Ed25519. Its seed stays inside. */
export class Signer {
  #key;

  /** @param {Uint8Array} seed 32 bytes */
  constructor(seed) {
    this.#key = createPrivateKey({ key: Buffer.from(concat(PKCS8_ED25519, seed)), format: 'der', type: 'pkcs8' });
    this.publicKey = rawPublicKey(this.#key);
    this.thumbprint = thumbprint(this.publicKey);
  }

  /** @param {Uint8Array} message @returns {Uint8Array} 64 bytes */
  sign(message) {
    return new Uint8Array(sign(null, message, this.#key));
  }
}

/** One end of a key agreement with X25519. Its secret stays inside. */
export class Agreement {
  #key;

  /** @param {Uint8Array} [secret] 32 bytes; a fresh one when it is left out */
  constructor(secret = new Uint8Array(randomBytes(32))) {
    this.#key = createPrivateKey({ key: Buffer.from(concat(PKCS8_X25519, secret)), format: 'der', type: 'pkcs8' });
    this.publicKey = rawPublicKey(this.#key);
  }

  /**
   * The shared secret, or undefined where it would be all zero.
   * @param {Uint8Array} publicKey 32 bytes of the other end
   * @returns {Uint8Array | undefined}
   */
  shared(publicKey) {
    const x = Buffer.from(publicKey).toString('base64url');
    try {
      const other = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
      const shared = new Uint8Array(diffieHellman({ privateKey: this.#key, publicKey: other }));
      return shared.some((byte) => byte !== 0) ? shared : undefined;
    } catch {
      return undefined; // OpenSSL refuses the all-zero secret itself
    }
  }
}

/** @param {import('node:crypto').KeyObject} privateKey */
function rawPublicKey(privateKey) {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(/** @type {string} */ (x), 'base64url'));
}

/**
 * HKDF-SHA256 (RFC 5869).
 * @param {Uint8Array} salt @param {Uint8Array} secret @param {Uint8Array} info @param {number} length
 * @returns {Uint8Array}
 */
export function hkdf(salt, secret, info, length) {
  return new Uint8Array(hkdfSync('sha256', secret, salt, info, length));
}
