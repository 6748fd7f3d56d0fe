// What a reader does with a verified delta or snapshot.
// Implements the table of spec/postern.md #acceptance.

import { equalBytes } from './bytes.js';
import { covers } from './snapshot.js';

/** @typedef {{generation: bigint, epoch: bigint, seq: bigint, digest: Uint8Array}} Head */

/**
 * @typedef {object} Incoming
 * @property {boolean} isSnapshot
 * @property {bigint} generation
 * @property {bigint} epoch
 * @property {bigint} seq
 * @property {bigint} base
 * @property {Uint8Array} digest
 * @property {import('./snapshot.js').LineageEntry[]} lineage
 */

/**
 * @typedef {object} Judgement
 * @property {number} row of the table
 * @property {'accept' | 'apply' | 'duplicate' | 'older' | 'need' | 'refuse'} outcome
 * @property {string} [reject] of the outcomes need and refuse
 * @property {boolean} [freezes] the epoch
 * @property {[bigint, bigint]} [superseded] first and last
 */

/**
 * The first row that fits.
 * @param {Head | null} stored
 * @param {boolean} frozen whether the stored epoch is
 * @param {Incoming} incoming
 * @returns {Judgement}
 */
export function judge(stored, frozen, incoming) {
  const { isSnapshot, generation, epoch } = incoming;
  if (!stored) {
    return isSnapshot ? { row: 2, outcome: 'accept' } : { row: 1, outcome: 'need', reject: 'nothing-stored' };
  }
  if (generation < stored.generation) return { row: 3, outcome: 'refuse', reject: 'generation-stale' };
  if (generation > stored.generation) {
    return isSnapshot ? { row: 4, outcome: 'accept' } : { row: 5, outcome: 'need', reject: 'epoch-needs-snapshot' };
  }
  if (epoch < stored.epoch) return { row: 6, outcome: 'refuse', reject: 'epoch-stale' };
  if (epoch > stored.epoch) {
    if (!isSnapshot) return { row: 7, outcome: 'need', reject: 'epoch-needs-snapshot' };
    return covers(incoming.lineage, stored)
      ? { row: 8, outcome: 'accept' } : { row: 9, outcome: 'refuse', reject: 'writer-behind' };
  }
  if (frozen) return { row: 10, outcome: 'refuse', reject: 'epoch-frozen' };
  return judgeInEpoch(stored, incoming);
}

/** Rows 11 to 17. @param {Head} stored @param {Incoming} incoming @returns {Judgement} */
function judgeInEpoch(stored, { isSnapshot, seq, base, digest }) {
  if (seq < stored.seq) return { row: 11, outcome: 'older' };
  if (seq === stored.seq) {
    if (equalBytes(digest, stored.digest)) return { row: 12, outcome: 'duplicate' };
    return { row: 13, outcome: 'refuse', reject: 'equivocation', freezes: true };
  }
  if (isSnapshot) {
    const skipped = seq - stored.seq > 1n;
    return { row: 17, outcome: 'accept', ...(skipped && { superseded: [stored.seq + 1n, seq - 1n] }) };
  }
  if (base === stored.seq) return { row: 14, outcome: 'apply' };
  if (base < stored.seq) return { row: 15, outcome: 'need', reject: 'base-older' };
  return { row: 16, outcome: 'need', reject: 'base-newer' };
}
