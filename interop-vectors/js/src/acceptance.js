// What a reader does with a verified delta or snapshot: the table, row by row. Implements spec/postern.md#acceptance and
// the orders of #reports-and-acks and spec/relays.md#admission.
import { equal } from './bytes.js';

/**
 * @typedef {{generation: bigint, epoch: bigint, seq: bigint, digest: Uint8Array}} Head
 * @typedef {Head & {kind: 'delta' | 'snapshot', base: bigint, lineage: {epoch: bigint, seq: bigint, digest: Uint8Array}[]}} Incoming
 * @typedef {{row: number, outcome: 'accept' | 'apply' | 'need' | 'refuse' | 'older' | 'duplicate', reject?: any,
 *   freezes?: boolean, superseded?: [bigint, bigint] | null}} Judgement
 */

/** Whether a lineage knows `head`. @param {Incoming['lineage']} lineage @param {Head} head */
export function covers(lineage, head) {
  return lineage.some(({ epoch, seq, digest }) =>
    epoch === head.epoch && (seq > head.seq || (seq === head.seq && equal(digest, head.digest))));
}

/** The first row that fits. @param {Head | null} stored @param {boolean} frozen whether the stored epoch is frozen @param {Incoming} incoming @returns {Judgement} */
export function judge(stored, frozen, incoming) {
  const delta = incoming.kind === 'delta';
  if (!stored) return delta ? { row: 1, outcome: 'need', reject: 'nothing-stored' } : { row: 2, outcome: 'accept' };
  if (incoming.generation < stored.generation) return { row: 3, outcome: 'refuse', reject: 'generation-stale' };
  if (incoming.generation > stored.generation) {
    return delta ? { row: 5, outcome: 'need', reject: 'epoch-needs-snapshot' } : { row: 4, outcome: 'accept' };
  }
  if (incoming.epoch < stored.epoch) return { row: 6, outcome: 'refuse', reject: 'epoch-stale' };
  if (incoming.epoch > stored.epoch) {
    if (delta) return { row: 7, outcome: 'need', reject: 'epoch-needs-snapshot' };
    return covers(incoming.lineage, stored) ? { row: 8, outcome: 'accept' } : { row: 9, outcome: 'refuse', reject: 'writer-behind' };
  }
  return judgeSameEpoch(stored, frozen, incoming);
}

/** @param {Head} stored @param {boolean} frozen @param {Incoming} incoming @returns {Judgement} */
function judgeSameEpoch(stored, frozen, incoming) {
  if (frozen) return { row: 10, outcome: 'refuse', reject: 'epoch-frozen' };
  if (incoming.seq < stored.seq) return { row: 11, outcome: 'older' };
  if (incoming.seq === stored.seq) {
    if (equal(incoming.digest, stored.digest)) return { row: 12, outcome: 'duplicate' };
    return { row: 13, outcome: 'refuse', reject: 'equivocation', freezes: true };
  }
  if (incoming.kind === 'snapshot') {
    const [first, last] = [stored.seq + 1n, incoming.seq - 1n];
    return { row: 17, outcome: 'accept', superseded: first <= last ? [first, last] : null };
  }
  if (incoming.base === stored.seq) return { row: 14, outcome: 'apply' };
  if (incoming.base < stored.seq) return { row: 15, outcome: 'need', reject: 'base-older' };
  return { row: 16, outcome: 'need', reject: 'base-newer' };
}

/**
 * Messages of which the highest number wins. @param {bigint[] | null} stored @param {bigint[]} incoming
 * @param {boolean} same whether both are the same message @param {string} stale the reject of a lower one
 */
export function judgeHighest(stored, incoming, same, stale) {
  if (!stored) return { outcome: 'accept' };
  const at = incoming.findIndex((number, index) => number !== stored[index]);
  if (at >= 0) return incoming[at] > stored[at] ? { outcome: 'accept' } : { outcome: 'refuse', reject: stale };
  return same ? { outcome: 'duplicate' } : { outcome: 'refuse', reject: 'equivocation' };
}
