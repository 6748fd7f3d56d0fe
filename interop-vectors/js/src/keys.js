// Public keys, their check, thumbprints, and strict signatures. Implements spec/postern.md#keys.
//
// A key is held as the bytes that its algorithm knows: 32 bytes of Ed25519, or 65 (04, x, y) of P-256.
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign as signWith, verify as verifyWith } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { compare, concat, equal, sha256, toHex } from './bytes.js';
import { encode } from './cbor.js';
import { ensure } from './reject.js';
import * as shape from './shape.js';

export const ED25519 = -19n;
export const ESP256 = -9n;

const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const ED25519_PKCS8 = Uint8Array.from(Buffer.from('302e020100300506032b657004220420', 'hex'));

/** @param {Uint8Array} bytes */
const toInteger = (bytes) => BigInt('0x' + (toHex(bytes) || '0'));
/** @param {Uint8Array} bytes */
const url64 = (bytes) => Buffer.from(bytes).toString('base64url');

/** The algorithm that a key is for. @param {Uint8Array} key */
export const algorithmOf = (key) => (key.length === 32 ? ED25519 : ESP256);

/** The COSE_Key of a key. @param {Uint8Array} key @returns {Map<bigint, any>} */
export function toCoseKey(key) {
  /** @type {[bigint, any][]} */
  const members = key.length === 32
    ? [[1n, 1n], [-1n, 6n], [-2n, key]]
    : [[1n, 2n], [-1n, 1n], [-2n, key.slice(1, 33)], [-3n, key.slice(33)]];
  return new Map(members);
}

/** The key of a decoded COSE_Key, `shape` for another form. Its point is not checked. @param {unknown} value */
export function fromCoseKey(value) {
  const map = shape.map(value);
  if (map.get(1n) === 1n) {
    shape.fields(map, [1n, -1n, -2n]);
    ensure(map.get(-1n) === 6n, 'shape');
    return shape.bytes(map.get(-2n), 32);
  }
  shape.fields(map, [1n, -1n, -2n, -3n]);
  ensure(map.get(1n) === 2n && map.get(-1n) === 1n, 'shape');
  return concat(Uint8Array.of(4), shape.bytes(map.get(-2n), 32), shape.bytes(map.get(-3n), 32));
}

/** SHA-256 of the COSE_Key (RFC 9679). @param {Uint8Array} key */
export const thumbprint = (key) => sha256(encode(toCoseKey(key)));

/** The 8 bytes that select a key and prove nothing. @param {Uint8Array} key */
export const keyId = (key) => thumbprint(key).slice(0, 8);

/** Refuses with `key-refused` what is no canonical point of the prime-order group. @param {Uint8Array} key */
export function checkKey(key) {
  if (key.length === 65) {
    const [x, y] = [toInteger(key.slice(1, 33)), toInteger(key.slice(33))];
    const onCurve = (y * y - (x * x * x - 3n * x + B)) % P === 0n;
    ensure(key[0] === 4 && x < P && y < P && onCurve, 'key-refused');
    return;
  }
  ensure(key.length === 32, 'key-refused');
  const point = edwardsPoint(key);
  ensure(point && !point.isSmallOrder() && point.isTorsionFree(), 'key-refused');
}

/** The point of a canonical encoding, or null. @param {Uint8Array} bytes */
function edwardsPoint(bytes) {
  try {
    return ed25519.Point.fromHex(bytes, false);
  } catch {
    return null;
  }
}

/** Strict, cofactorless verification; `signature-length` or `signature-invalid`. @param {Uint8Array} key @param {Uint8Array} message @param {Uint8Array} signature */
export function verify(key, message, signature) {
  ensure(signature.length === 64, 'signature-length');
  const valid = key.length === 32 ? verifyEd25519(key, message, signature) : verifyEsp256(key, message, signature);
  ensure(valid, 'signature-invalid');
}

/** @param {Uint8Array} key @param {Uint8Array} message @param {Uint8Array} signature */
function verifyEd25519(key, message, signature) {
  const commitment = edwardsPoint(signature.slice(0, 32));
  if (!commitment || commitment.isSmallOrder()) return false;
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: url64(key) };
  // OpenSSL checks S < L and compares the encoding of R: the cofactorless equation.
  return verifyWith(null, message, createPublicKey({ key: jwk, format: 'jwk' }), signature);
}

/** @param {Uint8Array} key @param {Uint8Array} message @param {Uint8Array} signature */
function verifyEsp256(key, message, signature) {
  for (const part of [signature.slice(0, 32), signature.slice(32)]) {
    const value = toInteger(part);
    if (value === 0n || value >= N) return false;
  }
  const jwk = { kty: 'EC', crv: 'P-256', x: url64(key.slice(1, 33)), y: url64(key.slice(33)) };
  const options = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: /** @type {const} */ ('ieee-p1363') };
  return verifyWith('sha256', message, options, signature);
}

/** An Ed25519 signing key from its seed of 32 bytes. @param {Uint8Array} seed */
export function signingKey(seed) {
  const secret = createPrivateKey({ key: Buffer.from(concat(ED25519_PKCS8, seed)), format: 'der', type: 'pkcs8' });
  const jwk = createPublicKey(secret).export({ format: 'jwk' });
  const publicKey = new Uint8Array(Buffer.from(String(jwk.x), 'base64url'));
  return {
    publicKey,
    /** @param {Uint8Array} message */
    sign: (message) => new Uint8Array(signWith(null, message, secret)),
  };
}

/** A fresh Ed25519 seed. */
export function newSeed() {
  const { privateKey } = generateKeyPairSync('ed25519');
  return new Uint8Array(Buffer.from(String(privateKey.export({ format: 'jwk' }).d), 'base64url'));
}

/** Whether thumbprints ascend strictly. @param {Uint8Array[]} prints */
export const ascends = (prints) => prints.every((print, at) => at === 0 || compare(prints[at - 1], print) < 0);

/** Whether `print` is one of `prints`. @param {Uint8Array[]} prints @param {Uint8Array} print */
export const holds = (prints, print) => prints.some((other) => equal(other, print));
