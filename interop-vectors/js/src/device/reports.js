// The device's reports: numbered, cumulative, repeated until acknowledged. Implements spec/postern.md#reports-and-acks,
// #report and #epochs for the device's own numbers.
import { randomBytes } from 'node:crypto';
import { aadPlane } from '../channel.js';
import { sealEnvelope } from '../cose.js';
import { ACTUAL, KIND } from '../kinds.js';
import { REPORT_LIST_MAX } from '../limits.js';
import { writeReport } from '../report.js';

const EPOCH_SHOWN_MAX = (1n << 63n) - 1n;
const NONE = { epoch: 0n, seq: 0n };

/** A new epoch: later than the highest known and the clock, and random within its second. @param {bigint} highest */
export function openEpoch(highest) {
  const shown = highest > EPOCH_SHOWN_MAX ? EPOCH_SHOWN_MAX : highest;
  const random = BigInt(randomBytes(3).readUIntBE(0, 3) & 0xfffff);
  const [above, clock] = [(shown >> 20n) + 1n, BigInt(Math.floor(Date.now() / 1000))];
  return ((above > clock ? above : clock) << 20n) + random;
}

/** What a fresh record holds. */
export const NO_REPORTS = () => ({ epoch: 0n, rseq: 0n, acked: 0n, payload: null, entries: [], dropped: [] });

/** The book of reports inside the record of the store; the caller commits. */
export class Reports {
  /** @param {any} record the device's whole record */
  constructor(record) {
    this.record = record;
    // Nothing proves that this store is the newest, so each start opens an epoch.
    /** Refusals that were acknowledged in this session. @type {string[]} */
    this.told = [];
    Object.assign(record.reports, { epoch: openEpoch(record.reports.epoch), rseq: 0n, acked: 0n, payload: null });
  }

  get book() {
    return this.record.reports;
  }

  get outstanding() {
    return this.book.rseq > this.book.acked;
  }

  /** `acked rseq` of a poll. @returns {bigint | null} */
  get acked() {
    return this.outstanding ? this.book.acked : null;
  }

  /** Adds an entry to list 1, 2 or 3, once. @param {number} list @param {any[]} value */
  list(list, value) {
    const { entries, dropped } = this.book;
    const same = (/** @type {any} */ entry) => entry.list === BigInt(list) && entry.value.join() === value.join();
    if (entries.some(same) || (list === 1 && this.told.includes(value.join()))) return;
    const full = entries.filter((/** @type {any} */ entry) => entry.list === BigInt(list));
    if (full.length >= REPORT_LIST_MAX) {
      entries.splice(entries.indexOf(full[0]), 1);
      const count = dropped.find((/** @type {any} */ row) => row[0] === BigInt(list));
      if (count) count[1] += 1n;
      else dropped.push([BigInt(list), 1n]);
    }
    entries.push({ list: BigInt(list), value, epoch: 0n, rseq: 0n });
  }

  /** Another mailbox may lead to a controller that was told nothing. */
  beginSession() {
    this.told = [];
  }

  /** The lists of the next report. @param {Uint8Array | null} rotation */
  lists(rotation) {
    /** @type {Map<bigint, any>} */
    const lists = new Map();
    for (const { list, value } of this.book.entries) lists.set(list, [...(lists.get(list) ?? []), value]);
    const dropped = [...this.book.dropped].sort((a, b) => Number(a[0] - b[0]));
    if (dropped.length) lists.set(4n, dropped);
    if (rotation) lists.set(6n, rotation);
    return lists;
  }

  /** Takes the next number for the present content. */
  next() {
    const { received, head, applied, rotation } = this.record;
    const { book } = this;
    book.rseq += 1n;
    book.payload = writeReport(received ?? NONE, head ?? NONE, applied ?? NONE, this.lists(rotation?.request ?? null));
    for (const entry of book.entries) if (entry.rseq === 0n) Object.assign(entry, { epoch: book.epoch, rseq: book.rseq });
  }

  /** The outstanding report, signed. @param {any} key @param {import('../channel.js').Channel} channel */
  seal(key, channel) {
    const { epoch, rseq, payload } = this.book;
    const digest = this.record.applied?.digest ?? new Uint8Array(0);
    return sealEnvelope(key, { kind: KIND.report, epoch, seq: rseq, base: 0n, digest }, aadPlane(KIND.report, channel, ACTUAL), payload).bytes;
  }

  /** A verified report-ack; false when it is no news. @param {{epoch: bigint, seq: bigint}} place */
  acknowledge({ epoch, seq }) {
    const { book } = this;
    if (epoch !== book.epoch || seq <= book.acked || seq > book.rseq) return false;
    book.acked = seq;
    const covered = (/** @type {any} */ entry) => entry.rseq !== 0n && (entry.epoch < epoch || entry.rseq <= seq);
    const rejects = book.entries.filter((/** @type {any} */ entry) => covered(entry) && entry.list === 1n);
    this.told = [...this.told, ...rejects.map((/** @type {any} */ entry) => entry.value.join())].slice(-REPORT_LIST_MAX);
    book.entries = book.entries.filter((/** @type {any} */ entry) => !covered(entry));
    if (seq === book.rseq) book.dropped = [];
    return true;
  }
}
