// The bundle that counts: how a higher one is accepted.
// Implements spec/postern.md #bundle against the bundle that is held.

import { equalBytes } from './bytes.js';
import { readBundle } from './bundle.js';
import { externalAad } from './channel.js';
import { decode } from './cbor.js';
import { messageIdOf, openEnvelope, verifySigned } from './cose.js';
import { keyId, readCoseKey, thumbprint } from './keys.js';
import { KIND } from './kinds.js';
import { BUNDLE_SKIP_MAX } from './limits.js';
import { demand } from './reject.js';

/** @typedef {{genesis: Uint8Array, recovery: Uint8Array}} Pins the thumbprints that an operator brought */

/** @typedef {import('./bundle.js').BundleContent & {number: bigint, envelope: Uint8Array, messageId: Uint8Array}} Bundle */

/**
 * Judges a bundle in the order number, signer, signature, predecessor, content.
 * @param {Pins} pins
 * @param {Bundle | null} held
 * @param {Uint8Array} envelope untagged
 * @returns {Bundle}
 */
export function acceptBundle(pins, held, envelope) {
  const opened = openEnvelope(envelope);
  demand(opened.position.kind === KIND.bundle, 'signer-role');
  const number = opened.position.seq;
  checkNumber(held, number);
  const isNext = number === (held?.number ?? 0n) + 1n;
  const signers = held ? [held.root, held.recovery].map(keyId) : [pins.genesis.slice(0, 8)];
  demand(signers.some((id) => equalBytes(id, opened.kid)), isNext ? 'bundle-root' : 'bundle-gap');
  const keys = held ? [held.root, held.recovery] : firstRoot(pins, opened.payloadBytes);
  const signed = verifySigned(opened, { role: 'root', plane: null, place: { genesis: pins.genesis }, keys });
  if (held && isNext) demand(equalBytes(signed.digest, held.messageId), 'bundle-chain');
  const content = readBundle(decode(signed.payloadBytes));
  if (held) checkSuccession(held, content, number - held.number);
  else demand(equalBytes(thumbprint(content.recovery), pins.recovery), 'bundle-root');
  return { ...content, number, envelope, messageId: signed.messageId };
}

/**
 * Judges bundles one after the other, from bundle 1 on.
 * @param {Pins} pins
 * @param {Uint8Array[]} envelopes untagged
 * @returns {Bundle} the last one
 */
export function acceptBundles(pins, envelopes) {
  /** @type {Bundle | null} */
  let held = null;
  for (const envelope of envelopes) held = acceptBundle(pins, held, envelope);
  return /** @type {any} */ (held);
}

/**
 * A bundle out of the own store, which was accepted before it was written there.
 * @param {Uint8Array} genesis
 * @param {Uint8Array} envelope untagged
 * @returns {Bundle}
 */
export function storedBundle(genesis, envelope) {
  const opened = openEnvelope(envelope);
  const messageId = messageIdOf(opened, externalAad('trust', KIND.bundle, { genesis }, null));
  return { ...readBundle(decode(opened.payloadBytes)), number: opened.position.seq, envelope, messageId };
}

/** @param {Bundle | null} held @param {bigint} number */
function checkNumber(held, number) {
  if (!held) {
    demand(number === 1n, 'bundle-gap');
    return;
  }
  demand(number > held.number, 'bundle-stale');
  demand(number - held.number <= BigInt(BUNDLE_SKIP_MAX), 'bundle-gap');
}

/** Bundle 1 names its own key, which is believed only as the pinned one. @param {Pins} pins @param {Uint8Array} payload */
function firstRoot({ genesis }, payload) {
  const fields = decode(payload);
  demand(fields instanceof Map && fields.has(1n), 'shape');
  const root = readCoseKey(fields.get(1n));
  demand(equalBytes(thumbprint(root), genesis), 'bundle-root');
  return [root];
}

/**
 * Generations, then revocations.
 * @param {Bundle} held
 * @param {import('./bundle.js').BundleContent} next
 * @param {bigint} steps how far the number went up
 */
function checkSuccession(held, next, steps) {
  for (const [tenant, { generation, key }] of next.tenants) {
    const before = held.tenants.get(tenant);
    if (!before) continue;
    const isSame = equalBytes(before.key, key);
    const rise = generation - before.generation;
    const fits = steps === 1n ? rise === (isSame ? 0n : 1n) : rise >= (isSame ? 0n : 1n) && rise <= steps;
    demand(fits, 'bundle-generation');
  }
  for (const print of held.revokedHex) demand(next.revokedHex.has(print), 'bundle-revocation');
}
