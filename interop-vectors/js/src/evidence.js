// Evidence: what a reader shows when a writer contradicts itself or forgot.
// Implements spec/lives.md #evidence; its payload is read in src/payloads.js.

import { equalBytes } from './bytes.js';
import { encode } from './cbor.js';
import { verifyEnvelope } from './cose.js';
import { ACTUAL, DESIRED, KIND } from './kinds.js';
import { REJECTS, demand } from './reject.js';

/**
 * The payload of an evidence, encoded.
 * @param {'writer-behind' | 'equivocation'} reason
 * @param {Map<string, import('./snapshot.js').Row> | null} table of the state at the head, with `writer-behind`
 * @param {boolean} encrypted whether the plane is
 * @param {{messageId: Uint8Array, envelope: Uint8Array | null}[]} proofs one or two messages
 * @returns {Uint8Array}
 */
export function evidencePayload(reason, table, encrypted, proofs) {
  const rows = table && new Map([...table].map(([section, { digest, stored }]) => [section, encrypted ? [digest, stored] : digest]));
  return encode([BigInt(REJECTS[reason]), rows, proofs.map(({ messageId, envelope }) => [messageId, envelope])]);
}

/**
 * Verifies evidence and the envelopes inside.
 * @param {Uint8Array} envelope untagged
 * @param {'device' | 'writer'} role of the reader who signed it
 * @param {Uint8Array} readerKey
 * @param {Uint8Array} accusedKey
 * @param {import('./channel.js').Place} place
 * @returns {{evidence: import('./cose.js').Verified, proved: boolean[]}} which messages are there and verified
 */
export function verifyEvidence(envelope, role, readerKey, accusedKey, place) {
  const plane = role === 'device' ? DESIRED : ACTUAL;
  const evidence = verifyEnvelope(envelope, { role, plane, kind: KIND.evidence, place, keys: [readerKey] });
  const accused = role === 'device' ? 'writer' : 'device';
  const proved = evidence.payload.proofs.map((/** @type {any} */ proof) => {
    if (proof.envelope === null) return false;
    const { messageId } = verifyEnvelope(proof.envelope, { role: accused, plane, place, keys: [accusedKey] });
    demand(equalBytes(messageId, proof.messageId), 'digest-mismatch');
    return true;
  });
  return { evidence, proved };
}
