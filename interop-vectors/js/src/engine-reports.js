// The reports of a device: their numbers, their cursors and lists, and the acknowledgements.
// Implements spec/postern.md #reports-and-acks, #report and #epochs, from the side that signs reports.

import { encode } from './cbor.js';
import { externalAad } from './channel.js';
import { seal } from './cose.js';
import { ACTUAL, KIND } from './kinds.js';
import { REPORT_LIST_MAX } from './limits.js';
import { REJECTS } from './reject.js';
import { compareCursors, reportPayload } from './report.js';

const NONE = { epoch: 0n, seq: 0n };
const EPOCH_SHOWN_MAX = 2n ** 63n - 1n;
const ACKNOWLEDGED_MAX = 16;

/** The lists of a report that hold entries, by their number. */
export const LIST = Object.freeze({ rejects: 1, results: 2, superseded: 3, lost: 4, intents: 5 });

/**
 * A further epoch: above every one that is stored or was shown, and above the clock where there is one.
 * @param {bigint} highest @param {bigint} unixS 0 without a clock @param {Uint8Array} random
 */
export function openEpoch(highest, unixS, random) {
  const shown = highest > EPOCH_SHOWN_MAX ? EPOCH_SHOWN_MAX : highest;
  const least = (shown >> 20n) + 1n;
  const s = unixS > least ? unixS : least;
  const bits = ((BigInt(random[0]) << 16n) | (BigInt(random[1]) << 8n) | BigInt(random[2])) & 0xfffffn;
  return (s << 20n) | bits;
}

export class Reports {
  /**
   * @param {import('./engine-store.js').Durable} durable
   * @param {bigint} epoch opened at this start
   */
  constructor(durable, epoch) {
    this.durable = durable;
    durable.report = { epoch, seq: 0n };
    /** The highest number of this epoch that a report-ack covers. */
    this.acked = 0n;
    /** Whether the next report would say something else than the newest. */
    this.dirty = true;
    /** The first report that held an entry, by the entry. @type {Map<any[], bigint>} */
    this.since = new Map();
    /** Refusals that were acknowledged in this session. @type {string[]} */
    this.acknowledged = [];
    /** @type {Uint8Array | undefined} */
    this.envelope = undefined;
  }

  get outstanding() {
    return this.durable.report.seq > this.acked;
  }

  /** What a poll says: the highest rseq that is acknowledged, or null when no report is outstanding. */
  get ackedInPoll() {
    return this.outstanding ? this.acked : null;
  }

  /** @param {number} list @param {any[]} entry */
  add(list, entry) {
    const entries = this.durable.lists[list - 1];
    entries.push(entry);
    if (entries.length > REPORT_LIST_MAX) {
      const dropped = /** @type {any[]} */ (entries.shift());
      this.since.delete(dropped);
      this.#countLost(BigInt(list));
    }
    this.dirty = true;
  }

  /** @param {bigint} list */
  #countLost(list) {
    const lost = this.durable.lists[LIST.lost - 1];
    const before = lost.find(([of]) => of === list);
    if (before) {
      lost.splice(lost.indexOf(before), 1);
      this.since.delete(before);
    }
    lost.push([list, (before?.[1] ?? 0n) + 1n]);
    lost.sort(([a], [b]) => Number(a - b));
  }

  /**
   * Lists a refusal, unless the report holds it or it was acknowledged in this session.
   * @param {bigint} kind @param {bigint} epoch @param {bigint} seq @param {string} reason
   */
  refuse(kind, epoch, seq, reason) {
    const entry = [kind, epoch, seq, BigInt(REJECTS[reason])];
    const text = entry.join(' ');
    const held = this.durable.lists[LIST.rejects - 1].some((other) => other.join(' ') === text);
    if (!held && !this.acknowledged.includes(text)) this.add(LIST.rejects, entry);
  }

  /** Another session: what was acknowledged in the one before may be listed again. */
  sessionBegins() {
    this.acknowledged = [];
  }

  /**
   * A report-ack that verified.
   * @param {import('./engine-store.js').Cursor} ack @param {(highest: bigint) => bigint} open
   */
  acknowledge({ epoch, seq }, open) {
    const { report } = this.durable;
    if (epoch > report.epoch) return this.#goAbove(open(epoch));
    if (epoch < report.epoch || seq <= this.acked || seq > report.seq) return;
    this.acked = seq;
    this.durable.lists.forEach((entries, at) => {
      const covered = entries.filter((entry) => (this.since.get(entry) ?? seq + 1n) <= seq);
      if (at === LIST.rejects - 1) this.acknowledged.push(...covered.map((entry) => entry.join(' ')));
      covered.forEach((entry) => this.since.delete(entry));
      this.durable.lists[at] = entries.filter((entry) => !covered.includes(entry));
    });
    this.acknowledged = this.acknowledged.slice(-ACKNOWLEDGED_MAX);
  }

  /** The controller knows reports of a later life of this store than we do. @param {bigint} epoch */
  #goAbove(epoch) {
    this.durable.report = { epoch, seq: 0n };
    this.acked = 0n;
    this.since.clear();
    this.dirty = true;
  }

  /** Takes the next number. The record has to be durable before the report is sealed. */
  number() {
    const { epoch, seq } = this.durable.report;
    this.durable.report = { epoch, seq: seq + 1n };
    this.dirty = false;
    for (const entry of this.durable.lists.flat()) if (!this.since.has(entry)) this.since.set(entry, seq + 1n);
  }

  /** The report under the present number. @param {import('./channel.js').Place} place @param {import('./keys.js').Signer} signer */
  seal(place, signer) {
    const { head, received, applied, report } = this.durable;
    const accepted = head ?? NONE;
    const payload = reportPayload({ received, accepted, applied: applied ?? NONE, lists: this.#lists() });
    const position = { kind: KIND.report, ...report, base: 0n, digest: applied?.digest ?? new Uint8Array() };
    this.envelope = seal(position, encode(payload), externalAad('plane', KIND.report, place, ACTUAL), signer).envelope;
    return this.envelope;
  }

  #lists() {
    const lists = new Map();
    this.durable.lists.forEach((entries, at) => {
      if (entries.length > 0) lists.set(BigInt(at + 1), entries);
    });
    if (this.durable.next) lists.set(6n, this.durable.next.request);
    return lists;
  }
}

/**
 * Keeps the cursors of a report in their order when a head was accepted.
 * @param {import('./engine-store.js').Durable} durable @param {boolean} otherGeneration
 */
export function moveCursors(durable, otherGeneration) {
  const head = /** @type {import('./engine-store.js').Head} */ (durable.head);
  const { epoch, seq } = head;
  if (otherGeneration || compareCursors(durable.received, head) < 0) durable.received = { epoch, seq };
  const { applied } = durable;
  if (applied && (otherGeneration ? compareCursors(applied, head) >= 0 : compareCursors(applied, head) > 0)) durable.applied = null;
}

