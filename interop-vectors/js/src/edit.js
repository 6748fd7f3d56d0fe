// Edits inside a text or a byte string.
// Implements spec/planes.md #edit.

import { isBytes, isUint, utf8 } from './bytes.js';
import { EDIT_RUNS_MAX, VALUE_BYTES_MAX } from './limits.js';
import { Reject, demand } from './reject.js';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @typedef {{skip: bigint, remove: bigint, insert: Uint8Array}} Run */

/**
 * Checks the form of one edit.
 * @param {any} runs
 * @returns {Run[]}
 */
export function readEdit(runs) {
  demand(Array.isArray(runs) && runs.length > 0, 'shape');
  demand(runs.length <= EDIT_RUNS_MAX, 'edit-runs');
  return runs.map((run, at) => {
    demand(Array.isArray(run) && run.length === 3, 'shape');
    const [skip, remove, insert] = run;
    demand(isUint(skip) && isUint(remove) && isBytes(insert), 'shape');
    demand(remove > 0n || insert.length > 0, 'edit-empty');
    demand(skip > 0n || at === 0, 'edit-empty');
    return { skip, remove, insert };
  });
}

/**
 * Applies an edit to the value of the base.
 * @param {any} base undefined where the base holds nothing
 * @param {Run[]} runs
 * @returns {string | Uint8Array}
 */
export function applyEdit(base, runs) {
  const isText = typeof base === 'string';
  if (!isText && !isBytes(base)) throw new Reject('edit-base');
  const bytes = isText ? utf8(base) : base;
  const result = new Uint8Array(lengthAfter(bytes.length, runs));
  let from = 0;
  let to = 0;
  for (const { skip, remove, insert } of runs) {
    result.set(bytes.subarray(from, from + Number(skip)), to);
    from += Number(skip);
    to += Number(skip);
    result.set(insert, to);
    to += insert.length;
    from += Number(remove);
  }
  result.set(bytes.subarray(from), to);
  if (!isText) return result;
  try {
    return UTF8.decode(result);
  } catch {
    throw new Reject('edit-utf8');
  }
}

/** The length of the result, before memory is taken for it. @param {number} length @param {Run[]} runs */
function lengthAfter(length, runs) {
  let used = 0n;
  let after = BigInt(length);
  for (const { skip, remove, insert } of runs) {
    used += skip + remove;
    demand(used <= BigInt(length), 'edit-range');
    after += BigInt(insert.length) - remove;
  }
  demand(after <= BigInt(VALUE_BYTES_MAX), 'value-oversize');
  return Number(after);
}
