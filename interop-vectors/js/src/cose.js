// Envelopes: how they are sealed, and the order in which they are verified.
// Implements spec/postern.md #envelope, #message-id and #verification-order.

import { equalBytes, h, isBytes, isUint, toHex } from './bytes.js';
import { externalAad } from './channel.js';
import { decode, encode } from './cbor.js';
import { algorithmOf, keyId, thumbprint, verifies, ED25519, ESP256 } from './keys.js';
import { KINDS } from './kinds.js';
import { ENVELOPE_BYTES_MAX, KEY_CANDIDATES_MAX } from './limits.js';
import { readPayload } from './payloads.js';
import { Reject, demand } from './reject.js';

const ALGORITHM = 1n;
const CRIT = 2n;
const KID = 4n;
const POSITION = -65537n;
const TAG_18 = 0xd2;

/**
 * @typedef {object} Position
 * @property {bigint} kind
 * @property {bigint} epoch
 * @property {bigint} seq
 * @property {bigint} base
 * @property {Uint8Array} digest
 */

/**
 * What a caller expects of an envelope before it is read.
 * @typedef {object} Expected
 * @property {import('./kinds.js').Role} role
 * @property {bigint | null} plane
 * @property {import('./channel.js').Place} [place] for the external_aad
 * @property {Uint8Array} [aad] the external_aad itself, in the place of `place`
 * @property {bigint} [kind] the only kind that this place holds
 * @property {import('./kinds.js').Profile} [profile] of a welcome: that of the hello
 * @property {Uint8Array[]} keys public keys that may sign this
 * @property {Set<string>} [revoked] thumbprints in hexadecimal
 */

/** @typedef {{protectedBytes: Uint8Array, payloadBytes: Uint8Array, signature: Uint8Array, algorithm: bigint,
 *   kid: Uint8Array, position: Position}} Opened steps 1 to 10 passed, and nothing is proven */

/** @typedef {Position & {payload: any, payloadBytes: Uint8Array, protected: Uint8Array, tbs: Uint8Array,
 *   messageId: Uint8Array, signature: Uint8Array, key: Uint8Array}} Verified */

/**
 * Strips tag 18, which an envelope carries in a posted frame and in a vector. Bytes without it are refused as the strict
 * reader refuses them, and else for the tag that is missing.
 * @param {Uint8Array} tagged
 * @returns {Uint8Array}
 */
export function untag(tagged) {
  if (tagged[0] === TAG_18) return tagged.subarray(1);
  decode(tagged);
  throw new Reject('shape');
}

/**
 * Signs a payload.
 * @param {Position} position
 * @param {Uint8Array} payload
 * @param {Uint8Array} aad
 * @param {import('./keys.js').Signer} signer
 * @returns {{envelope: Uint8Array, messageId: Uint8Array}} the untagged envelope
 */
export function seal(position, payload, aad, signer) {
  const { kind, epoch, seq, base, digest } = position;
  /** @type {[bigint, any][]} */
  const header = [[ALGORITHM, ED25519], [KID, signer.thumbprint.slice(0, 8)], [POSITION, [kind, epoch, seq, base, digest]]];
  const protectedBytes = encode(new Map(header));
  const tbs = sigStructure(protectedBytes, aad, payload);
  return { envelope: encode([protectedBytes, new Map(), payload, signer.sign(tbs)]), messageId: h(tbs) };
}

/** @param {Uint8Array} protectedBytes @param {Uint8Array} aad @param {Uint8Array} payload */
function sigStructure(protectedBytes, aad, payload) {
  return encode(['Signature1', protectedBytes, aad, payload]);
}

/**
 * Verifies an untagged envelope in the order of #verification-order. A reject of the payload, behind a signature that
 * holds, has the position of the envelope: only such a refusal may be listed in a report.
 * @param {Uint8Array} envelope
 * @param {Expected} expected
 * @returns {Verified}
 */
export function verifyEnvelope(envelope, expected) {
  const signed = verifySigned(openEnvelope(envelope), expected);
  try {
    return { ...signed, payload: readPayload(signed, signed.payloadBytes) }; // steps 15 and 16
  } catch (error) {
    if (error instanceof Reject) error.position = signed;
    throw error;
  }
}

/**
 * Steps 11 to 14 of an opened envelope. Its payload is proven, and not read yet.
 * @param {Opened} opened
 * @param {Expected} expected
 * @returns {Omit<Verified, 'payload'>}
 */
export function verifySigned(opened, expected) {
  const signing = expectedSigning(opened, expected);
  demand(opened.signature.length === 64, 'signature-length');
  const candidates = selectKeys(expected, opened);
  const { position, payloadBytes, signature, protectedBytes } = opened;
  const aad = expected.aad
    ?? externalAad(expected.profile ?? signing.profile, position.kind, /** @type {any} */ (expected.place), expected.plane);
  const tbs = sigStructure(protectedBytes, aad, payloadBytes);
  const key = candidates.find((candidate) => verifies(candidate, tbs, signature));
  if (!key) throw new Reject('signature-invalid');
  return { ...position, payloadBytes, protected: protectedBytes, tbs, messageId: h(tbs), signature, key };
}

/**
 * The message id that an opened envelope has at a place, whoever signed it.
 * @param {Opened} opened
 * @param {Uint8Array} aad
 * @returns {Uint8Array}
 */
export function messageIdOf({ protectedBytes, payloadBytes }, aad) {
  return h(sigStructure(protectedBytes, aad, payloadBytes));
}

/**
 * The outer form and the header of an envelope, steps 1 to 10. Nothing of it is proven yet.
 * @param {Uint8Array} envelope
 * @returns {Opened}
 */
export function openEnvelope(envelope) {
  demand(envelope.length <= ENVELOPE_BYTES_MAX, 'oversize');
  const outer = decode(envelope);
  demand(Array.isArray(outer) && outer.length === 4, 'shape');
  const [protectedBytes, unprotected, payloadBytes, signature] = outer;
  demand(isBytes(protectedBytes) && unprotected instanceof Map && isBytes(payloadBytes) && isBytes(signature), 'shape');
  const header = decode(protectedBytes);
  demand(unprotected.size === 0, 'unprotected-not-empty');
  return { protectedBytes, payloadBytes, signature, ...readHeader(header) };
}

/** Steps 5 to 10. @param {any} header */
function readHeader(header) {
  demand(header instanceof Map && [ALGORITHM, KID, POSITION].every((label) => header.has(label)), 'shape');
  demand(!header.has(CRIT), 'crit-unknown');
  demand(header.size === 3, 'header-label-unknown');
  const algorithm = header.get(ALGORITHM);
  demand(algorithm === ED25519 || algorithm === ESP256, 'algorithm-unknown');
  const kid = header.get(KID);
  demand(isBytes(kid, 8), 'shape');
  const position = readPosition(header.get(POSITION));
  checkPosition(position);
  return { algorithm, kid, position };
}

/** @param {any} members @returns {Position} */
function readPosition(members) {
  demand(Array.isArray(members) && members.length === 5, 'shape');
  const [kind, epoch, seq, base, digest] = members;
  demand([kind, epoch, seq, base].every((number) => isUint(number)) && isBytes(digest), 'shape');
  return { kind, epoch, seq, base, digest };
}

/** Steps 8 to 10. @param {Position} position */
function checkPosition({ kind: number, epoch, seq, base, digest }) {
  const kind = KINDS.get(number);
  if (!kind) throw new Reject('kind-unknown');
  if (kind.epoch === 'one') demand(epoch > 0n, 'epoch-zero');
  if (kind.seq === 'one') demand(seq > 0n, 'seq-zero');
  if (kind.epoch === 'zero') demand(epoch === 0n, 'header-numbers');
  if (kind.seq === 'zero') demand(seq === 0n, 'header-numbers');
  if (kind.epoch === 'head') demand(epoch === 0n === (seq === 0n), 'header-numbers');
  checkBase(kind.base, seq, base);
  const lengths = {
    full: [32],
    empty: [0],
    any: [0, 32],
    head: [seq > 0n ? 32 : 0],
    predecessor: [base > 0n ? 32 : 0],
  }[kind.digest];
  demand(lengths.includes(digest.length), 'digest-length');
}

/** @param {import('./kinds.js').Kind['base']} rule @param {bigint} seq @param {bigint} base */
function checkBase(rule, seq, base) {
  if (rule === 'below' || rule === 'start') demand(base < seq, 'base-not-below');
  if (rule === 'below' || rule === 'one') demand(base > 0n, 'header-numbers');
  if (rule === 'zero') demand(base === 0n, 'header-numbers');
  if (rule === 'predecessor') demand(base === seq - 1n, 'header-numbers');
}

/**
 * Step 11: the kind comes from the role and for the plane that are expected.
 * @param {Opened} opened
 * @param {Expected} expected
 */
export function expectedSigning({ position }, { role, plane, kind }) {
  demand(kind === undefined || kind === position.kind, 'signer-role');
  const signing = KINDS.get(position.kind)?.signed.find((row) => row.role === role);
  if (!signing) throw new Reject('signer-role');
  demand(signing.planes.includes(plane), 'plane-mismatch');
  return signing;
}

/** Step 13. @param {Expected} expected @param {Opened} opened */
function selectKeys({ keys, revoked }, { kid, algorithm }) {
  const named = keys.filter((key) => equalBytes(keyId(key), kid)).slice(0, KEY_CANDIDATES_MAX);
  demand(named.length > 0, 'key-unknown');
  const fitting = named.filter((key) => algorithmOf(key) === algorithm);
  demand(fitting.length > 0, 'algorithm-mismatch');
  const standing = fitting.filter((key) => !revoked?.has(toHex(thumbprint(key))));
  demand(standing.length > 0, 'key-revoked');
  return standing;
}
