// Bundles: the chain of shared keys from the pinned root on. Implements spec/postern.md#bundle.
import { equal } from './bytes.js';
import { aadTrust } from './channel.js';
import { readEnvelope, verifyEnvelope } from './cose.js';
import { holds, thumbprint } from './keys.js';
import { KIND } from './kinds.js';
import { readPayload } from './payload.js';
import { BUNDLE_SKIP_MAX } from './limits.js';
import { ensure, Reject } from './reject.js';

/**
 * @typedef {{number: bigint, messageId: Uint8Array, bytes: Uint8Array, root: Uint8Array, recovery: Uint8Array,
 *   writers: Map<string, {generation: bigint, key: Uint8Array}>, mailboxes: {key: Uint8Array, urls: string[]}[],
 *   revoked: Uint8Array[]}} Bundle
 * @typedef {{genesis: Uint8Array, recovery: Uint8Array}} Pins
 */

/** A bundle above `held`. @param {Pins} pins @param {Bundle | null} held @param {Uint8Array} bytes untagged @returns {Bundle} */
export function acceptBundle(pins, held, bytes) {
  const envelope = readEnvelope(bytes);
  const { kind, seq, digest } = envelope.position;
  ensure(kind === KIND.bundle, 'signer-role');
  const number = held?.number ?? 0n;
  ensure(seq > number, 'bundle-stale');
  const went = seq - number;
  ensure(held ? went <= BUNDLE_SKIP_MAX : went === 1n, 'bundle-gap');
  const roots = held ? [held.root, held.recovery] : firstRoot(envelope, pins);
  const verified = verifyRoot(bytes, pins, roots, went === 1n ? 'bundle-root' : 'bundle-gap');
  if (held && went === 1n) ensure(equal(digest, held.messageId), 'bundle-chain');
  const content = verified.content;
  if (!held) ensure(equal(thumbprint(content.recovery), pins.recovery), 'bundle-root');
  checkSuccession(held, content, went);
  return { number: seq, messageId: verified.messageId, bytes, ...content };
}

/** Bundle 1 names its own key, which counts only if it is the pinned one. @param {import('./cose.js').Envelope} envelope @param {Pins} pins */
function firstRoot(envelope, pins) {
  let root;
  try {
    root = readPayload(envelope).root;
  } catch (error) {
    if (error instanceof Reject) return [];
    throw error;
  }
  ensure(equal(thumbprint(root), pins.genesis), 'bundle-root');
  return [root];
}

/** @param {Uint8Array} bytes @param {Pins} pins @param {Uint8Array[]} keys @param {string} missing */
function verifyRoot(bytes, pins, keys, missing) {
  const aad = (/** @type {bigint} */ kind) => aadTrust(kind, pins.genesis);
  try {
    return verifyEnvelope(bytes, { role: 'root', kind: KIND.bundle, plane: null, keys, aad });
  } catch (error) {
    if (error instanceof Reject && error.reject === 'key-unknown') throw new Reject(missing);
    throw error;
  }
}

/** @param {Bundle | null} held @param {any} next @param {bigint} went numbers from one to the other */
function checkSuccession(held, next, went) {
  for (const [tenant, row] of next.writers) checkGeneration(held?.writers.get(tenant), row, went);
  for (const print of held?.revoked ?? []) ensure(holds(next.revoked, print), 'bundle-revocation');
}

/** @typedef {{generation: bigint, key: Uint8Array}} Writer */
/** @param {Writer | undefined} before @param {Writer} row @param {bigint} went */
function checkGeneration(before, row, went) {
  if (!before) return;
  const least = equal(before.key, row.key) ? 0n : 1n;
  const rise = row.generation - before.generation;
  ensure(rise >= least && rise <= (went === 1n ? least : went), 'bundle-generation');
}

/** Accepts bundles one after another. @param {Pins} pins @param {Bundle | null} held @param {Uint8Array[]} list */
export function acceptBundles(pins, held, list) {
  return list.reduce((/** @type {Bundle | null} */ before, bytes) => acceptBundle(pins, before, bytes), held);
}

/** Thumbprints of the mailboxes of a bundle. @param {Bundle} bundle */
export const mailboxPrints = (bundle) => bundle.mailboxes.map(({ key }) => thumbprint(key));
