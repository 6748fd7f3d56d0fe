// Edits inside values. Implements spec/planes.md#edit.
import { compare, isBytes, utf8 } from './bytes.js';
import { encode } from './cbor.js';
import { EDIT_RUNS_MAX, VALUE_BYTES_MAX } from './limits.js';
import { ensure, Reject } from './reject.js';
import * as shape from './shape.js';
import { checkPath } from './state.js';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @typedef {{skip: bigint, remove: bigint, insert: Uint8Array}} Run */

/** Checks the form of all edits, then that no path is set or removed too. @param {unknown} value @param {Map<any, any>} sets @param {any[]} removals @returns {Map<string, Run[]>} */
export function readEdits(value, sets, removals) {
  const edits = new Map();
  for (const [path, runs] of shape.map(value, 1)) {
    shape.text(path);
    checkPath(path);
    edits.set(path, readRuns(runs));
  }
  for (const path of edits.keys()) ensure(!sets.has(path) && !removals.includes(path), 'delta-conflict');
  return edits;
}

/** @param {unknown} value @returns {Run[]} */
function readRuns(value) {
  const runs = shape.array(value, 1, Infinity);
  ensure(runs.length <= EDIT_RUNS_MAX, 'edit-runs');
  return runs.map((run, at) => {
    const [skip, remove, insert] = shape.array(run, 3);
    shape.uint(skip);
    shape.uint(remove);
    shape.bytes(insert);
    ensure((remove > 0n || insert.length > 0) && (skip > 0n || at === 0), 'edit-empty');
    return { skip, remove, insert };
  });
}

/** Applies edits in the order of their paths. @param {Map<string, any>} state @param {Map<string, Run[]>} edits */
export function applyEdits(state, edits) {
  const paths = [...edits.keys()].sort((a, b) => compare(encode(a), encode(b)));
  for (const path of paths) state.set(path, editValue(state.get(path), edits.get(path) ?? []));
}

/** @param {any} value @param {Run[]} runs */
function editValue(value, runs) {
  const isText = typeof value === 'string';
  ensure(isText || isBytes(value), 'edit-base');
  const base = isText ? utf8(value) : value;
  const used = runs.reduce((sum, { skip, remove }) => sum + skip + remove, 0n);
  ensure(used <= BigInt(base.length), 'edit-range');
  const grown = runs.reduce((sum, { remove, insert }) => sum + BigInt(insert.length) - remove, BigInt(base.length));
  ensure(grown <= BigInt(VALUE_BYTES_MAX), 'value-oversize');
  const parts = [];
  let at = 0;
  for (const { skip, remove, insert } of runs) {
    parts.push(base.subarray(at, at + Number(skip)), insert);
    at += Number(skip + remove);
  }
  parts.push(base.subarray(at));
  const result = new Uint8Array(Buffer.concat(parts));
  return isText ? decodeText(result) : result;
}

/** @param {Uint8Array} bytes */
function decodeText(bytes) {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new Reject('edit-utf8');
  }
}
