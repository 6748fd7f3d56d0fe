// Plane keys: HPKE in base mode to the agreement key, and what they open. Implements spec/encryption.md#plane-key,
// #encrypted and #encrypted-snapshot. HPKE is RFC 9180 with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305.
import { agree, agreementPublic } from './agreement.js';
import { concat, equal, hmac, sha256, utf8 } from './bytes.js';
import { decode, encode } from './cbor.js';
import { isEncrypt0, open, openSealed, readEncrypt0 } from './encrypt0.js';
import { planeKeyForm } from './payload.js';
import { ensure, Reject } from './reject.js';
import * as shape from './shape.js';

const KEM_SUITE = concat(utf8('KEM'), Uint8Array.of(0, 0x20));
const SUITE = concat(utf8('HPKE'), Uint8Array.of(0, 0x20, 0, 1, 0, 3));
const VERSION = utf8('HPKE-v1');
const EMPTY = new Uint8Array(0);

/** @param {Uint8Array} suite @param {Uint8Array} salt @param {string} label @param {Uint8Array} ikm */
const extract = (suite, salt, label, ikm) => hmac(salt, VERSION, suite, utf8(label), ikm);

/** One block of HKDF-Expand is enough for 32 bytes. @param {Uint8Array} suite @param {Uint8Array} prk @param {string} label @param {Uint8Array} info @param {number} length */
function expand(suite, prk, label, info, length) {
  const labelled = concat(Uint8Array.of(length >> 8, length & 255), VERSION, suite, utf8(label), info);
  return hmac(prk, labelled, Uint8Array.of(1)).slice(0, length);
}

/** @param {Uint8Array} secret @param {Uint8Array} encapsulated @param {Uint8Array} info @param {Uint8Array} aad @param {Uint8Array} ciphertext */
function hpkeOpen(secret, encapsulated, info, aad, ciphertext) {
  const dh = agree(secret, encapsulated, 'decryption-failed');
  const context = concat(encapsulated, agreementPublic(secret));
  const shared = expand(KEM_SUITE, extract(KEM_SUITE, EMPTY, 'eae_prk', dh), 'shared_secret', context, 32);
  const pskId = extract(SUITE, EMPTY, 'psk_id_hash', EMPTY);
  const schedule = concat(Uint8Array.of(0), pskId, extract(SUITE, EMPTY, 'info_hash', info));
  const prk = extract(SUITE, shared, 'secret', EMPTY);
  return openSealed(expand(SUITE, prk, 'key', schedule, 32), expand(SUITE, prk, 'base_nonce', schedule, 12), aad, ciphertext);
}

/**
 * @typedef {{writer: bigint, epoch: bigint, generation: bigint}} KeyPlace
 * @typedef {{digestKey: Uint8Array, desired: Uint8Array, actual: Uint8Array}} PlaneKeys
 */

/** @param {KeyPlace} a @param {KeyPlace} b */
function order(a, b) {
  for (const member of /** @type {const} */ (['writer', 'epoch', 'generation'])) {
    if (a[member] !== b[member]) return a[member] < b[member] ? -1 : 1;
  }
  return 0;
}

/**
 * A plane-key in its place, after the one that is held.
 * @param {Uint8Array} secret of the agreement key @param {import('./channel.js').Channel} channel @param {KeyPlace} place
 * @param {(KeyPlace & {payload: Uint8Array, digestKey: Uint8Array}) | null} held `payload` is its hash
 * @param {Uint8Array} payload @returns {{outcome: 'new' | 'again' | 'known', keys: PlaneKeys | null}}
 */
export function takePlaneKey(secret, channel, place, held, payload) {
  const form = planeKeyForm(decode(payload));
  const ranks = held ? order(place, held) : 1;
  if (held && equal(sha256(payload), held.payload) && place.generation === held.generation) {
    return { outcome: ranks > 0 ? 'again' : 'known', keys: null };
  }
  ensure(ranks >= 0, 'plane-key-stale');
  ensure(ranks > 0, 'equivocation');
  const { genesis, tenant, device, incarnation } = channel;
  const aad = encode(['postern/1 plane-key', genesis, tenant, device, incarnation, place.generation]);
  const plain = hpkeOpen(secret, form.encapsulated, utf8('postern/1 plane-key'), aad, form.ciphertext);
  const [digestKey, desired, actual] = shape.array(decode(plain), 3).map((key) => shape.bytes(key, 32));
  ensure(!held || equal(held.digestKey, digestKey), 'plane-key-conflict');
  return { outcome: 'new', keys: { digestKey, desired, actual } };
}

/** The key of a generation. @param {Map<bigint, Uint8Array>} keys @param {bigint} generation */
function keyFor(keys, generation) {
  const key = keys.get(generation);
  if (!key) throw new Reject('plane-key-missing');
  return key;
}

/**
 * The plaintext of an encrypted payload of a delta; a reader without keys holds an empty map.
 * @param {Map<bigint, Uint8Array>} keys by generation @param {import('./channel.js').Channel} channel @param {bigint} plane
 * @param {any[]} position @param {any} value decoded payload
 */
export function openDelta(keys, channel, plane, position, value) {
  ensure(isEncrypt0(value) || keys.size === 0, 'not-encrypted');
  if (!isEncrypt0(value)) return encode(value);
  const box = readEncrypt0(value);
  const { genesis, tenant, device, incarnation } = channel;
  const aad = ['postern/1 encrypted', genesis, tenant, device, incarnation, plane, position];
  return open(box, keyFor(keys, box.generation), aad);
}

/** @param {Map<bigint, Uint8Array>} keys @param {import('./channel.js').Channel} channel @param {bigint} plane @param {string} section @param {Uint8Array} keyedDigest @param {Uint8Array} stored @param {Uint8Array} digestKey */
export function openBody(keys, channel, plane, section, keyedDigest, stored, digestKey) {
  const box = readEncrypt0(decode(stored));
  const { genesis, tenant, device, incarnation } = channel;
  const aad = ['postern/1 encrypted body', genesis, tenant, device, incarnation, plane, section, keyedDigest];
  const body = open(box, keyFor(keys, box.generation), aad);
  ensure(equal(hmac(digestKey, body), keyedDigest), 'body-mismatch');
  return body;
}
