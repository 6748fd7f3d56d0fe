// Envelopes: COSE_Sign1 with a position in the header. Implements spec/postern.md#envelope, #message-id and the order of
// #verification-order. What a payload means stands in payload.js.
import { concat, equal, sha256 } from './bytes.js';
import { decode, encode } from './cbor.js';
import { algorithmOf, ED25519, ESP256, keyId, thumbprint, verify } from './keys.js';
import { KIND, KINDS } from './kinds.js';
import { ENVELOPE_BYTES_MAX } from './limits.js';
import { readPayload } from './payload.js';
import { ensure, Reject } from './reject.js';
import * as shape from './shape.js';

const TAG_18 = 0xd2;
const POSITION = -65537n;

/**
 * @typedef {{kind: bigint, epoch: bigint, seq: bigint, base: bigint, digest: Uint8Array}} Position
 * @typedef {{protected: Uint8Array, payload: Uint8Array, signature: Uint8Array, algorithm: bigint, keyId: Uint8Array,
 *   position: Position, bytes: Uint8Array}} Envelope nothing of it is proven
 * @typedef {Envelope & {tbs: Uint8Array, messageId: Uint8Array, content: any}} Verified
 */

/** Strips tag 18, which must be there. @param {Uint8Array} bytes */
export function untag(bytes) {
  ensure(bytes.length > 0, 'cbor-truncated');
  ensure(bytes[0] === TAG_18, 'shape');
  return bytes.subarray(1);
}

/** @param {Uint8Array} bytes */
export const tag = (bytes) => concat(Uint8Array.of(TAG_18), bytes);

/** Steps 1 to 3: the outer form of an untagged envelope. @param {Uint8Array} bytes */
export function outerForm(bytes) {
  ensure(bytes.length <= ENVELOPE_BYTES_MAX, 'oversize');
  return outerMembers(decode(bytes));
}

/** Step 3 of a decoded array. @param {unknown} value */
export function outerMembers(value) {
  const [header, unprotected, payload, signature] = shape.array(value, 4);
  shape.bytes(header);
  shape.map(unprotected);
  shape.bytes(payload);
  shape.bytes(signature);
  return { header, unprotected, payload, signature };
}

/** Steps 1 to 10: reads an untagged envelope without trusting it. @param {Uint8Array} bytes @returns {Envelope} */
export function readEnvelope(bytes) {
  const { header, unprotected, payload, signature } = outerForm(bytes);
  const labels = decode(header);
  ensure(unprotected.size === 0, 'unprotected-not-empty');
  const { algorithm, kid, position } = readHeader(labels);
  return { protected: header, payload, signature, algorithm, keyId: kid, position, bytes };
}

/** Steps 5 to 10. @param {unknown} value */
function readHeader(value) {
  const labels = shape.map(value);
  for (const label of [1n, 4n, POSITION]) ensure(labels.has(label), 'shape');
  ensure(!labels.has(2n), 'crit-unknown');
  ensure(labels.size === 3, 'header-label-unknown');
  const algorithm = labels.get(1n);
  ensure(algorithm === ED25519 || algorithm === ESP256, 'algorithm-unknown');
  const kid = shape.bytes(labels.get(4n), 8);
  const members = shape.array(labels.get(POSITION), 5);
  const [kind, epoch, seq, base] = members.slice(0, 4).map((member) => shape.uint(member));
  const position = { kind, epoch, seq, base, digest: shape.bytes(members[4]) };
  ensure(kind < BigInt(KINDS.length), 'kind-unknown');
  checkNumbers(KINDS[Number(kind)].numbers, position);
  checkDigestLength(position);
  return { algorithm, kid, position };
}

/** Step 9. @param {string} rule @param {Position} position */
function checkNumbers(rule, { epoch, seq, base }) {
  if (rule === 'zero') return ensure(epoch === 0n && seq === 0n && base === 0n, 'header-numbers');
  if (rule === 'heartbeat') return ensure((epoch === 0n) === (seq === 0n) && base >= 1n, 'header-numbers');
  if (rule === 'bundle') {
    ensure(epoch === 0n, 'header-numbers');
    ensure(seq >= 1n, 'seq-zero');
    return ensure(base === seq - 1n, 'header-numbers');
  }
  ensure(epoch >= 1n, 'epoch-zero');
  ensure(seq >= 1n, 'seq-zero');
  if (rule === 'base-0') return ensure(base === 0n, 'header-numbers');
  ensure(base < seq, 'base-not-below');
  if (rule === 'delta') ensure(base >= 1n, 'header-numbers');
}

/** Step 10. @param {Position} position */
function checkDigestLength({ kind, seq, digest }) {
  let lengths = KINDS[Number(kind)].digest;
  if (kind === KIND.heartbeat) lengths = seq === 0n ? [0] : [32];
  if (kind === KIND.bundle) lengths = seq === 1n ? [0] : [32];
  ensure(lengths.includes(digest.length), 'digest-length');
}

/** Step 11. @param {bigint} kind @param {Expected} expected */
function checkSigner(kind, { role, plane, kind: wanted }) {
  ensure(wanted === undefined || kind === wanted, 'signer-role');
  const planes = KINDS[Number(kind)].signers[role];
  ensure(planes, 'signer-role');
  ensure(planes?.includes(plane), 'plane-mismatch');
}

/** The signed bytes, of the received ones. @param {Uint8Array} header @param {Uint8Array} aad @param {Uint8Array} payload */
export const signedBytes = (header, aad, payload) => encode(['Signature1', header, aad, payload]);

/**
 * What a caller expects before it verifies; `kind` where only one will do.
 * @typedef {{role: import('./kinds.js').Role, plane: bigint | null, keys: Uint8Array[], aad: (kind: bigint) => Uint8Array,
 *   kind?: bigint, revoked?: Uint8Array[]}} Expected
 */

/** All steps over an untagged envelope. @param {Uint8Array} bytes @param {Expected} expected @returns {Verified} */
export function verifyEnvelope(bytes, expected) {
  const envelope = readEnvelope(bytes);
  const { kind } = envelope.position;
  checkSigner(kind, expected);
  ensure(envelope.signature.length === 64, 'signature-length');
  const keys = expected.keys.filter((key) => equal(keyId(key), envelope.keyId)).slice(0, 4);
  ensure(keys.length > 0, 'key-unknown');
  const fitting = keys.filter((key) => algorithmOf(key) === envelope.algorithm);
  ensure(fitting.length > 0, 'algorithm-mismatch');
  const revoked = expected.revoked ?? [];
  const usable = fitting.filter((key) => !revoked.some((print) => equal(print, thumbprint(key))));
  ensure(usable.length > 0, 'key-revoked');
  const tbs = signedBytes(envelope.protected, expected.aad(kind), envelope.payload);
  verifyAny(usable, tbs, envelope.signature);
  return { ...envelope, tbs, messageId: sha256(tbs), content: readVerified(envelope) };
}

/** Marks what is refused behind a signature that holds: only that may be listed in a report. @param {Envelope} envelope */
function readVerified(envelope) {
  try {
    return readPayload(envelope);
  } catch (error) {
    if (error instanceof Reject) error.verified = true;
    throw error;
  }
}

/** @param {Uint8Array[]} keys @param {Uint8Array} tbs @param {Uint8Array} signature */
function verifyAny(keys, tbs, signature) {
  for (const key of keys) {
    try {
      return verify(key, tbs, signature);
    } catch (error) {
      if (!(error instanceof Reject)) throw error;
    }
  }
  throw new Reject('signature-invalid');
}

/**
 * Signs an envelope, untagged.
 * @param {{publicKey: Uint8Array, sign: (message: Uint8Array) => Uint8Array}} key @param {Position} position
 * @param {Uint8Array} aad @param {Uint8Array} payload
 */
export function sealEnvelope(key, { kind, epoch, seq, base, digest }, aad, payload) {
  const labels = new Map(/** @type {[bigint, any][]} */ ([
    [1n, algorithmOf(key.publicKey)], [4n, keyId(key.publicKey)], [POSITION, [kind, epoch, seq, base, digest]],
  ]));
  const header = encode(labels);
  const tbs = signedBytes(header, aad, payload);
  const bytes = encode([header, new Map(), payload, key.sign(tbs)]);
  return { bytes, tbs, messageId: sha256(tbs) };
}

/** Order of places, as (epoch, seq). @param {{epoch: bigint, seq: bigint}} a @param {{epoch: bigint, seq: bigint}} b */
export const comparePlaces = (a, b) =>
  a.epoch !== b.epoch ? (a.epoch < b.epoch ? -1 : 1) : a.seq === b.seq ? 0 : a.seq < b.seq ? -1 : 1;

