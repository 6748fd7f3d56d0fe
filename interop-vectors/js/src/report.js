// Reports: cursors and lists, read and written. Implements spec/postern.md#report.
import { encode } from './cbor.js';
import { utf8 } from './bytes.js';
import { isEncrypt0, readEncrypt0 } from './encrypt0.js';
import { REPORT_LIST_MAX, RESULT_OUTPUT_BYTES_MAX, ROTATION_BYTES_MAX } from './limits.js';
import { ensure } from './reject.js';
import * as shape from './shape.js';
import { checkPath } from './state.js';

/** @typedef {{epoch: bigint, seq: bigint}} Place */

/** @param {Place} a @param {Place} b */
const atLeast = (a, b) => a.epoch > b.epoch || (a.epoch === b.epoch && a.seq >= b.seq);

/** @param {Place} a @param {Place} b */
const same = (a, b) => a.epoch === b.epoch && a.seq === b.seq;

/** @param {any} value @param {{digest: Uint8Array}} position */
export function readReport(value, position) {
  const members = shape.array(value, 2, 7);
  ensure([2, 3, 6, 7].includes(members.length), 'shape');
  const long = members.length > 3;
  const numbers = members.slice(0, long ? 6 : 2).map((member) => shape.uint(member));
  const places = [0, 2, 4].map((at) => {
    const from = long ? at : 0;
    return { epoch: numbers[from], seq: numbers[from + 1] };
  });
  const [received, accepted, applied] = places;
  const listed = members.length === 3 || members.length === 7;
  const lists = listed ? readLists(members[members.length - 1]) : null;
  if (long) ensure(!(same(received, accepted) && same(accepted, applied)), 'shape');
  ensure(atLeast(received, accepted) && atLeast(accepted, applied), 'report-cursors');
  const nothing = applied.epoch === 0n && applied.seq === 0n;
  ensure(position.digest.length === (nothing ? 0 : 32), 'digest-length');
  return { received, accepted, applied, lists };
}

/** @param {any} value */
function readLists(value) {
  if (isEncrypt0(value)) return { encrypted: readEncrypt0(value) };
  const map = shape.fields(value, [], [1n, 2n, 3n, 4n, 5n, 6n, 7n]);
  ensure(map.size > 0, 'shape');
  for (const [key, entry] of map) {
    if (key === 6n) readRotation(entry);
    else if (key === 7n) ensure(entry === true, 'shape');
    else readList(key, entry);
  }
  return map;
}

/** @param {any} value */
function readRotation(value) {
  const size = shape.bytes(value).length;
  ensure(size >= 1, 'shape');
  ensure(size <= ROTATION_BYTES_MAX, 'report-list-oversize');
}

/** @param {bigint} key @param {any} value */
function readList(key, value) {
  const entries = shape.array(value, 1, Infinity);
  ensure(entries.length <= REPORT_LIST_MAX, 'report-list-oversize');
  entries.forEach(ENTRIES[Number(key) - 1]);
  if (key === 4n) entries.forEach((entry, at) => ensure(at === 0 || entries[at - 1][0] < entry[0], 'shape'));
}

/** @type {((entry: any) => void)[]} */
const ENTRIES = [
  (entry) => shape.array(entry, 4).forEach((member) => shape.uint(member)),
  (entry) => {
    const [epoch, seq, status, output] = shape.array(entry, 4);
    shape.uint(epoch);
    shape.uint(seq);
    checkResult(status, output);
  },
  (entry) => {
    const [epoch, first, last] = shape.array(entry, 3);
    shape.uint(epoch);
    ensure(shape.uint(first) <= shape.uint(last), 'shape');
  },
  (entry) => {
    const [list, count] = shape.array(entry, 2);
    ensure([1n, 2n, 3n, 5n].includes(list), 'shape');
    shape.uint(count, 1n);
  },
  (entry) => {
    const [path, value, outcome, result] = shape.array(entry, 3, 4);
    shape.text(path);
    shape.uint(value);
    shape.uint(outcome, 0n, 7n);
    checkPath(path);
    ensure((outcome === 5n) === (result !== undefined), 'shape');
    if (result !== undefined) checkResult(...shape.array(result, 2));
  },
];

/** @param {any[]} members status and output */
function checkResult(...[status, output]) {
  ensure(typeof status === 'bigint', 'shape');
  ensure(utf8(shape.text(output)).length <= RESULT_OUTPUT_BYTES_MAX, 'report-list-oversize');
}

/** The payload of a report. @param {Place} received @param {Place} accepted @param {Place} applied @param {Map<bigint, any>} lists */
export function writeReport(received, accepted, applied, lists) {
  const equal = same(received, accepted) && same(accepted, applied);
  const places = equal ? [received] : [received, accepted, applied];
  const members = places.flatMap(({ epoch, seq }) => [epoch, seq]);
  return encode(lists.size ? [...members, lists] : members);
}
