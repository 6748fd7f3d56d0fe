// Reports: their payload, and how a reader compares them.
// Implements spec/postern.md #report and the table of #reports-and-acks.

import { equalBytes, isBytes, isUint, utf8 } from './bytes.js';
import { readEncrypt0 } from './encrypted.js';
import { REPORT_LIST_MAX, RESULT_OUTPUT_BYTES_MAX, ROTATION_BYTES_MAX } from './limits.js';
import { Reject, demand } from './reject.js';
import { checkPath } from './state.js';

/** @typedef {{epoch: bigint, seq: bigint}} Cursor (0, 0) is none */

/**
 * @typedef {object} Report
 * @property {Cursor} received
 * @property {Cursor} accepted
 * @property {Cursor} applied
 * @property {Map<bigint, any>} [lists]
 * @property {import('./encrypted.js').Encrypt0} [encrypted] lists that are not decrypted yet
 */

/** @param {Cursor} a @param {Cursor} b @returns {number} below, equal to or above 0 */
export function compareCursors(a, b) {
  if (a.epoch !== b.epoch) return a.epoch < b.epoch ? -1 : 1;
  return a.seq === b.seq ? 0 : a.seq < b.seq ? -1 : 1;
}

/**
 * The members of a payload in their shortest form.
 * @param {Report} report
 * @param {any} [lists] in the place of those of the report, such as encrypted ones
 * @returns {any[]}
 */
export function reportPayload({ received, accepted, applied, lists: readable }, lists = readable) {
  const areEqual = compareCursors(received, accepted) === 0 && compareCursors(accepted, applied) === 0;
  const cursors = areEqual ? [received] : [received, accepted, applied];
  const members = cursors.flatMap(({ epoch, seq }) => [epoch, seq]);
  const isEmpty = lists === undefined || (lists instanceof Map && lists.size === 0);
  return isEmpty ? members : [...members, lists];
}

/**
 * Checks the form of a payload, and that the header has a digest where something is applied.
 * @param {{digest: Uint8Array}} position
 * @param {any} payload decoded
 * @returns {Report}
 */
export function readReport(position, payload) {
  demand(Array.isArray(payload) && [2, 3, 6, 7].includes(payload.length), 'shape');
  const isLong = payload.length >= 6;
  const numbers = payload.slice(0, isLong ? 6 : 2);
  demand(numbers.every((number) => isUint(number)), 'shape');
  const [received, accepted, applied] = [0, 2, 4].map((at) =>
    (isLong ? { epoch: numbers[at], seq: numbers[at + 1] } : { epoch: numbers[0], seq: numbers[1] }));
  const down = [compareCursors(received, accepted), compareCursors(accepted, applied)];
  if (isLong) demand(down.some((order) => order !== 0), 'shape');
  demand(down.every((order) => order >= 0), 'report-cursors');
  const lists = payload.length % 2 === 1 ? readLists(payload.at(-1)) : {};
  const isApplied = applied.epoch !== 0n || applied.seq !== 0n;
  demand((position.digest.length === 32) === isApplied, 'digest-length');
  return { received, accepted, applied, ...lists };
}

/** @param {any} lists */
function readLists(lists) {
  if (Array.isArray(lists)) return { encrypted: readEncrypt0(lists) };
  checkLists(lists);
  return { lists };
}

/** Checks readable lists. @param {any} lists */
function checkLists(lists) {
  demand(lists instanceof Map && lists.size > 0, 'shape');
  for (const [number, list] of lists) {
    if (number === 6n) checkRotation(list);
    else if (number === 7n) demand(list === true, 'shape');
    else checkList(number, list);
  }
}

/** @param {any} rotation */
function checkRotation(rotation) {
  demand(isBytes(rotation) && rotation.length > 0, 'shape');
  demand(rotation.length <= ROTATION_BYTES_MAX, 'report-list-oversize');
}

/** @param {any} number @param {any} list */
function checkList(number, list) {
  const checkEntry = ENTRIES.get(number);
  if (!checkEntry) throw new Reject('shape');
  demand(Array.isArray(list) && list.length > 0, 'shape');
  demand(list.length <= REPORT_LIST_MAX, 'report-list-oversize');
  list.forEach((entry, at) => {
    demand(Array.isArray(entry), 'shape');
    checkEntry(entry, list[at - 1]);
  });
}

/** How an entry of each list is checked. @type {Map<any, (entry: any[], before?: any[]) => void>} */
const ENTRIES = new Map([
  [1n, (entry) => demand(entry.length === 4 && areUints(entry), 'shape')],
  [2n, ([epoch, seq, ...end]) => {
    demand(areUints([epoch, seq]), 'shape');
    checkEnd(end);
  }],
  [3n, (entry) => demand(entry.length === 3 && areUints(entry) && entry[1] <= entry[2], 'shape')],
  [4n, (entry, before) => {
    demand(entry.length === 2 && [1n, 2n, 3n, 5n].includes(entry[0]) && isUint(entry[1], 1n), 'shape');
    demand(before === undefined || before[0] < entry[0], 'shape');
  }],
  [5n, checkIntent],
]);

/** @param {any[]} numbers */
function areUints(numbers) {
  return numbers.every((number) => isUint(number));
}

/** @param {any[]} entry */
function checkIntent(entry) {
  demand(entry.length === 3 || entry.length === 4, 'shape');
  const [path, value, outcome, end] = entry;
  checkPath(path);
  demand(isUint(value) && isUint(outcome, 0n, 7n) && (outcome === 5n) === (entry.length === 4), 'shape');
  if (entry.length === 4) checkEnd(end);
}

/** A status and an output. @param {any} end */
function checkEnd(end) {
  demand(Array.isArray(end) && end.length === 2 && typeof end[0] === 'bigint' && typeof end[1] === 'string', 'shape');
  demand(utf8(end[1]).length <= RESULT_OUTPUT_BYTES_MAX, 'report-list-oversize');
}

/**
 * Compares a report with the highest that is held of its incarnation.
 * @param {{epoch: bigint, seq: bigint, messageId: Uint8Array} | null} stored
 * @param {{epoch: bigint, seq: bigint, messageId: Uint8Array}} incoming
 * @returns {'accept' | 'duplicate'}
 */
export function compareReports(stored, incoming) {
  if (!stored) return 'accept';
  const order = compareCursors(incoming, stored);
  demand(order >= 0, 'report-stale');
  if (order > 0) return 'accept';
  demand(equalBytes(stored.messageId, incoming.messageId), 'equivocation');
  return 'duplicate';
}
