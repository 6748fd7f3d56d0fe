// The payloads of all kinds: steps 15 and 16 of the verification.
// Implements spec/postern.md #verification-order and the payloads of #enrolment and #hello, spec/freshness.md
// #heartbeat, spec/lives.md #evidence, spec/encryption.md #plane-key and spec/relays.md #admission, #receipt and #lost.

import { equalBytes, h, isBytes, isUint } from './bytes.js';
import { readBundle, readKey } from './bundle.js';
import { checkName } from './channel.js';
import { decode } from './cbor.js';
import { readDelta } from './delta.js';
import { Agreement } from './keys.js';
import { KINDS } from './kinds.js';
import { ADMISSION_KEYS_MAX, EVIDENCE_PROOFS_MAX, SESSION_AGE_S_MAX, UNIX_S_MAX } from './limits.js';
import { REJECTS, demand } from './reject.js';
import { readReport } from './report.js';
import { checkRoot, readSnapshot, readTable } from './snapshot.js';

/** @typedef {import('./cose.js').Position} Position */

/**
 * Decodes and checks a payload as far as it needs no stored state.
 * @param {Position} position
 * @param {Uint8Array} bytes
 * @returns {any} what the reader of its kind gives
 */
export function readPayload(position, bytes) {
  const payload = decode(bytes);
  const read = READERS[/** @type {any} */ (KINDS.get(position.kind)).name];
  return read(payload, position, bytes);
}

/** @type {Record<string, (payload: any, position: Position, bytes: Uint8Array) => any>} */
const READERS = {
  'delta': readDelta,
  'snapshot': (payload, position) => readSnapshot(position, payload),
  'report': (payload, position) => readReport(position, payload),
  'report-ack': (payload) => demand(Array.isArray(payload) && payload.length === 0, 'shape'),
  'heartbeat': readHeartbeat,
  'enrol-request': readEnrolRequest,
  'enrol-answer': readEnrolAnswer,
  'bundle': readBundle,
  'admission': readAdmission,
  'session-hello': readHello,
  'session-welcome': readWelcome,
  'receipt': readReceipt,
  'evidence': readEvidence,
  'plane-key': readPlaneKey,
  'lost': readLost,
};

/**
 * The members of an array of some length.
 * @param {any} payload @param {number} least @param {number} [most]
 * @returns {any[]}
 */
function members(payload, least, most = least) {
  demand(Array.isArray(payload) && payload.length >= least && payload.length <= most, 'shape');
  return payload;
}

/** @param {Position} position @param {Uint8Array} bytes */
function checkDigestOfPayload(position, bytes) {
  demand(equalBytes(position.digest, h(bytes)), 'digest-mismatch');
}

/** @param {any} payload */
function readHeartbeat(payload) {
  const [start, uptime, epoch, seq, echo, ask] = members(payload, 6);
  demand(isBytes(start, 8) && isUint(uptime) && isUint(epoch) && isUint(seq), 'shape');
  demand((epoch === 0n) === (seq === 0n), 'shape');
  for (const nonce of [echo, ask]) demand(nonce === null || isBytes(nonce, 16), 'shape');
  return { start, uptime, other: { epoch, seq }, echo, ask };
}

/** @param {any} payload @param {Position} position @param {Uint8Array} bytes */
function readEnrolRequest(payload, position, bytes) {
  const [token, device, coseKey, incarnation, nonce, agreement] = members(payload, 5, 6);
  demand(isBytes(token, 8) && typeof device === 'string', 'shape');
  checkName(device);
  const key = readKey(coseKey);
  demand(isBytes(incarnation, 16) && isBytes(nonce, 16), 'shape');
  if (payload.length === 6) {
    demand(isBytes(agreement, 32), 'shape');
    demand(new Agreement().shared(agreement) !== undefined, 'key-refused');
  }
  checkDigestOfPayload(position, bytes);
  return { token, device, key, incarnation, nonce, agreement };
}

/** The stated time at the end of an answer. @param {any[]} read @param {number} at @returns {bigint | undefined} */
function statedTime(read, at) {
  if (read.length === at) return undefined;
  demand(isUint(read[at], 1n, BigInt(UNIX_S_MAX)), 'shape');
  return read[at];
}

/** @param {any} payload */
function readEnrolAnswer(payload) {
  const read = members(payload, 2, 3);
  demand(isUint(read[0], 1n) && isBytes(read[1], 32), 'shape');
  return { bundleNumber: read[0], thumbprint: read[1], unixS: statedTime(read, 2) };
}

/** @param {any} payload @param {Position} position @param {Uint8Array} bytes */
function readAdmission(payload, position, bytes) {
  const [device, status, incarnation, coseKeys, quota, bundleNumber] = members(payload, 6);
  demand(typeof device === 'string', 'shape');
  checkName(device);
  demand(isUint(status, 0n, 1n) && isBytes(incarnation, 16), 'shape');
  const keys = members(coseKeys, 1, ADMISSION_KEYS_MAX).map(readKey);
  demand(keys.length === 1 || !equalBytes(keys[0], keys[1]), 'shape');
  demand(isUint(quota) && isUint(bundleNumber, 1n), 'shape');
  checkDigestOfPayload(position, bytes);
  return { device, status, incarnation, keys, quota, bundleNumber };
}

/** The transcript in its digest is recomputed by the session. @param {any} payload */
function readHello(payload) {
  const [challenge, ephemeral] = members(payload, 2);
  demand(isBytes(challenge, 16) && isBytes(ephemeral, 32), 'shape');
  return { challenge, ephemeral };
}

/** @param {any} payload */
function readWelcome(payload) {
  const read = members(payload, 3, 4);
  const [sessionId, bundleNumber, ageMaxS] = read;
  demand(isBytes(sessionId, 4) && isUint(bundleNumber) && isUint(ageMaxS, 0n, BigInt(SESSION_AGE_S_MAX)), 'shape');
  return { sessionId, bundleNumber, ageMaxS, unixS: statedTime(read, 3) };
}

/** @param {any} payload */
function readReceipt(payload) {
  const [channel, code] = members(payload, 2);
  demand(isBytes(channel, 16) && isUint(code, 0n, 65535n), 'shape');
  return { channel, code };
}

/** @param {any} payload @param {Position} position */
function readEvidence(payload, position) {
  const [code, rows, list] = members(payload, 3);
  demand(code === BigInt(REJECTS['writer-behind']) || code === BigInt(REJECTS.equivocation), 'shape');
  demand(rows === null || code === BigInt(REJECTS['writer-behind']), 'shape');
  const { table, encrypted } = rows === null ? { table: null, encrypted: false } : readTable(rows);
  const proofs = members(list, 1, EVIDENCE_PROOFS_MAX).map((proof) => {
    const [messageId, envelope] = members(proof, 2);
    demand(isBytes(messageId, 32) && (envelope === null || isBytes(envelope)), 'shape');
    return { messageId, envelope };
  });
  if (table && !encrypted) checkRoot(table, position.digest);
  return { code, table, encrypted, proofs };
}

/** @param {any} payload @param {Position} position @param {Uint8Array} bytes */
function readPlaneKey(payload, position, bytes) {
  const keys = readPlaneKeyForm(payload);
  checkDigestOfPayload(position, bytes);
  return keys;
}

/** @param {any} payload decoded @returns {{encapsulated: Uint8Array, ciphertext: Uint8Array}} */
export function readPlaneKeyForm(payload) {
  const [encapsulated, ciphertext] = members(payload, 2);
  demand(isBytes(encapsulated, 32) && isBytes(ciphertext, 119), 'shape');
  return { encapsulated, ciphertext };
}

/** @param {any} payload */
function readLost(payload) {
  const [code] = members(payload, 1);
  demand(isUint(code, 1n, 65535n), 'shape');
  return { code };
}
