// Keys of planes: how a device opens a plane-key and which of them it holds.
// Implements spec/encryption.md #plane-key, with HPKE in base mode (RFC 9180).

import { concat, equalBytes, h, hmac, isBytes, utf8 } from './bytes.js';
import { decode, encode } from './cbor.js';
import { openBytes } from './encrypted.js';
import { Agreement } from './keys.js';
import { readPlaneKeyForm } from './payloads.js';
import { Reject, demand } from './reject.js';

// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305
const KEM_SUITE = concat(utf8('KEM'), Uint8Array.of(0x00, 0x20));
const HPKE_SUITE = concat(utf8('HPKE'), Uint8Array.of(0x00, 0x20, 0x00, 0x01, 0x00, 0x03));
const VERSION = utf8('HPKE-v1');
const NOTHING = new Uint8Array();
const INFO = utf8('postern/1 plane-key');

/** @typedef {{writer: bigint, epoch: bigint, generation: bigint}} KeyPlace how plane-keys compare */
/** @typedef {KeyPlace & {payload: Uint8Array, digestKey: Uint8Array}} HeldKey `payload` is the hash of the payload */
/** @typedef {import('./encrypted.js').PlaneKeys & {digestKey: Uint8Array}} OpenedKeys */

/**
 * Judges the payload of a plane-key whose signature has verified.
 * @param {Uint8Array} payload
 * @param {KeyPlace} at
 * @param {HeldKey | null} held
 * @param {Agreement} agreement
 * @param {Required<import('./channel.js').Place>} place
 * @returns {{outcome: 'new', keys: OpenedKeys} | {outcome: 'again' | 'known'}} `again`: the held one moves to this place
 */
export function takePlaneKey(payload, at, held, agreement, place) {
  const { encapsulated, ciphertext } = readPlaneKeyForm(decode(payload));
  const order = held ? compareKeyPlaces(at, held) : 1;
  if (held && equalBytes(h(payload), held.payload) && (order <= 0 || at.generation === held.generation)) {
    return { outcome: order > 0 ? 'again' : 'known' };
  }
  demand(order >= 0, 'plane-key-stale');
  demand(order > 0, 'equivocation');
  const { genesis, tenant, device, incarnation } = place;
  const aad = encode(['postern/1 plane-key', genesis, tenant, device, incarnation, at.generation]);
  const keys = readKeys(openHpke(agreement, encapsulated, ciphertext, INFO, aad));
  if (held) demand(equalBytes(keys.digestKey, held.digestKey), 'plane-key-conflict');
  return { outcome: 'new', keys: { ...keys, generation: at.generation } };
}

/** @param {KeyPlace} a @param {KeyPlace} b @returns {number} */
function compareKeyPlaces(a, b) {
  for (const part of /** @type {const} */ (['writer', 'epoch', 'generation'])) {
    if (a[part] !== b[part]) return a[part] < b[part] ? -1 : 1;
  }
  return 0;
}

/** @param {Uint8Array} plaintext */
function readKeys(plaintext) {
  const keys = decode(plaintext);
  demand(Array.isArray(keys) && keys.length === 3 && keys.every((key) => isBytes(key, 32)), 'shape');
  const [digestKey, desired, actual] = keys;
  return { digestKey, desired, actual };
}

/**
 * Opens one message of HPKE in base mode.
 * @param {Agreement} agreement @param {Uint8Array} encapsulated @param {Uint8Array} ciphertext
 * @param {Uint8Array} info @param {Uint8Array} aad
 * @returns {Uint8Array}
 */
function openHpke(agreement, encapsulated, ciphertext, info, aad) {
  const dh = agreement.shared(encapsulated);
  if (!dh) throw new Reject('decryption-failed');
  const context = concat(encapsulated, agreement.publicKey);
  const shared = labeledExpand(KEM_SUITE, labeledExtract(KEM_SUITE, NOTHING, 'eae_prk', dh), 'shared_secret', context, 32);
  const schedule = concat(
    Uint8Array.of(0), // base mode
    labeledExtract(HPKE_SUITE, NOTHING, 'psk_id_hash', NOTHING),
    labeledExtract(HPKE_SUITE, NOTHING, 'info_hash', info),
  );
  const secret = labeledExtract(HPKE_SUITE, shared, 'secret', NOTHING);
  const key = labeledExpand(HPKE_SUITE, secret, 'key', schedule, 32);
  const nonce = labeledExpand(HPKE_SUITE, secret, 'base_nonce', schedule, 12);
  return openBytes(key, nonce, ciphertext, aad);
}

/** @param {Uint8Array} suite @param {Uint8Array} salt @param {string} label @param {Uint8Array} material */
function labeledExtract(suite, salt, label, material) {
  return hmac(salt, VERSION, suite, utf8(label), material);
}

/**
 * One block of HKDF-Expand is enough here.
 * @param {Uint8Array} suite @param {Uint8Array} secret @param {string} label @param {Uint8Array} info
 * @param {number} length at most 32
 */
function labeledExpand(suite, secret, label, info, length) {
  const block = hmac(secret, Uint8Array.of(0, length), VERSION, suite, utf8(label), info, Uint8Array.of(1));
  return block.slice(0, length);
}
