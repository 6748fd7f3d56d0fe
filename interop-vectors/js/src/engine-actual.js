// The actual plane, which a device writes: its numbers, what of it is posted, and what the controller acknowledged.
// Implements spec/planes.md #actual and, for a writer, spec/postern.md #revisions, #epochs, #delta, #snapshot and #lineage.
//
// Each start opens a further epoch, so that only the newest state, its number and its lineage are durable.

import { toHex } from './bytes.js';
import { externalAad } from './channel.js';
import { encode } from './cbor.js';
import { seal } from './cose.js';
import { openEpoch } from './engine-reports.js';
import { writeItem } from './frames.js';
import { ACTUAL, KIND } from './kinds.js';
import { LINEAGE_MAX } from './limits.js';
import { rejectName } from './reject.js';
import { compareCursors } from './report.js';
import { covers } from './snapshot.js';
import { digestState } from './state.js';

const AGAIN_MS = 60000;
/** A mailbox that wants one snapshot after the other gets no more than this. */
const SNAPSHOT_MS = 5000;
/** A mailbox or a controller that says this of a change needs a snapshot. */
const NEEDS_SNAPSHOT = new Set(['nothing-stored', 'epoch-needs-snapshot', 'base-older', 'base-newer', 'quota']);

/**
 * What is durable of the plane.
 * @typedef {object} Written
 * @property {bigint} epoch @property {bigint} seq of the newest revision
 * @property {import('./state.js').State} state
 * @property {import('./snapshot.js').LineageEntry[]} lineage ascending
 * @property {bigint} seen the epoch in which the reader was last seen, or 0
 */

/** @typedef {{seq: bigint, state: import('./state.js').State, isSnapshot: boolean, item: Uint8Array}} Change a change on its way */

export class Actual {
  /** @param {import('./engine.js').Engine} engine */
  constructor(engine) {
    this.engine = engine;
    /** The one change that is not acknowledged. @type {Change | null} */
    this.outstanding = null;
    /** The newest revision that a heartbeat of the controller named. @type {Change | null} */
    this.acked = null;
    /** The key that sealed the outstanding change. @type {import('./keys.js').Signer | null} */
    this.sealedBy = null;
    this.snapshotIsWanted = false;
    this.snapshotAt = -Infinity;
    this.postAt = -Infinity;
    if (this.written) this.#openEpoch([]);
  }

  /** @returns {Written | null} */
  get written() {
    return this.engine.durable.actual;
  }

  /** The head of the plane; null where nothing was ever written. */
  get head() {
    const { written } = this;
    return written && { epoch: written.epoch, seq: written.seq, digest: digestState(written.state).digest };
  }

  sessionBegins() {
    this.postAt = -Infinity;
  }

  /** When there is something to post again. */
  get at() {
    return Math.min(this.outstanding ? this.postAt : Infinity, this.snapshotIsWanted ? this.snapshotAt : Infinity);
  }

  /** Writes values; those that are there already are no decision. @param {Map<string, any>} values */
  write(values) {
    const { engine } = this;
    const state = new Map(this.written?.state ?? []);
    for (const [path, value] of values) state.set(path, value);
    const before = this.head;
    if (before && toHex(digestState(state).digest) === toHex(before.digest)) return;
    if (before) engine.durable.actual = { .../** @type {Written} */ (this.written), seq: before.seq + 1n, state };
    else engine.durable.actual = { epoch: this.#further(0n), seq: 1n, state, lineage: [], seen: 0n };
    engine.changed = true;
  }

  /** @param {bigint} highest */
  #further(highest) {
    const { ports } = this.engine;
    return openEpoch(highest, ports.unixS(), ports.random('epoch', 3));
  }

  /**
   * A further epoch, which a snapshot begins.
   * @param {import('./snapshot.js').LineageEntry[]} shown heads that the reader proved
   * @param {bigint} [highest] epoch that the reader named
   */
  #openEpoch(shown, highest = 0n) {
    const written = /** @type {Written} */ (this.written);
    const heads = new Map(written.lineage.map((entry) => [entry.epoch, entry]));
    heads.set(written.epoch, /** @type {import('./snapshot.js').LineageEntry} */ (this.head));
    for (const head of shown) heads.set(head.epoch, head);
    const above = [highest, ...heads.keys()].reduce((most, epoch) => (epoch > most ? epoch : most));
    const epoch = this.#further(above);
    const lineage = [...heads.values()].filter((head) => head.epoch < epoch).sort(compareCursors);
    // Where the reader was last seen has to stay. Epochs that it left stay while there is room: it may be restored.
    const seen = shown[0]?.epoch ?? written.seen; // a head that the reader proves is where it is now
    const needed = lineage.find((head) => head.epoch === seen) ?? lineage[0];
    while (lineage.length > LINEAGE_MAX) lineage.splice(lineage[0] === needed ? 1 : 0, 1);
    this.engine.durable.actual = { ...written, epoch, seq: 1n, lineage, seen };
    this.engine.changed = true;
    this.outstanding = null;
    this.acked = null;
    this.postAt = -Infinity;
  }

  /**
   * What a verified heartbeat of the controller names of this plane: the only acknowledgement.
   * @param {import('./report.js').Cursor} named
   */
  acknowledge({ epoch, seq }) {
    const { written, outstanding } = this;
    if (!written) return;
    if (epoch > written.epoch) this.#openEpoch([], epoch); // what stood there, its evidence says
    if (epoch !== written.epoch || !outstanding || seq < outstanding.seq || seq > written.seq) return;
    this.acked = outstanding;
    this.outstanding = null;
    this.postAt = -Infinity;
    this.snapshotIsWanted = false;
    if (written.seen === epoch) return;
    written.seen = epoch;
    this.engine.changed = true;
  }

  /** The controller proved that it holds another history: its head is named from here on. @param {any} evidence verified */
  takeEvidence({ epoch, seq, digest }) {
    const { written } = this;
    const shown = { epoch, seq, digest };
    if (!written || (written.epoch > epoch && covers(written.lineage, shown))) return;
    this.#openEpoch([shown]);
  }

  /** The reader or the mailbox wants a snapshot. */
  wantSnapshot() {
    this.snapshotIsWanted = this.written !== null;
  }

  /** A posted change was refused. @param {bigint} code */
  refused(code) {
    const needs = NEEDS_SNAPSHOT.has(rejectName(code) ?? '');
    if (needs && this.outstanding && !this.outstanding.isSnapshot) this.wantSnapshot();
  }

  /** A post got no answer. @param {number} atMs when it may go out again */
  failed(atMs) {
    if (this.outstanding) this.postAt = atMs;
  }

  /** The item to post now, if there is one. @returns {Uint8Array | undefined} */
  item() {
    const { written, acked, outstanding } = this;
    const { now } = this.engine;
    if (!written) return undefined;
    // Behind a rotation the old key counts no more: what is outstanding is said again under the next one.
    if (outstanding && this.sealedBy !== this.engine.signer && now >= this.postAt) {
      this.outstanding = this.acked ? this.#delta(this.acked) : this.#snapshot();
    } else if ((this.snapshotIsWanted && now >= this.snapshotAt) || (!outstanding && !acked)) {
      this.snapshotIsWanted = false;
      this.outstanding = this.#snapshot();
    } else if (!outstanding && acked) {
      if (acked.seq === written.seq) return undefined;
      this.outstanding = this.#delta(acked);
    } else if (now < this.postAt) return undefined;
    return this.outstanding?.item;
  }

  /** The item went out. */
  posted() {
    this.postAt = this.engine.now + AGAIN_MS;
    if (this.outstanding?.isSnapshot) this.snapshotAt = this.engine.now + SNAPSHOT_MS;
  }

  /** From the newest head that the controller named. @param {Change} base @returns {Change} */
  #delta(base) {
    const { state } = /** @type {Written} */ (this.written);
    const before = new Map([...base.state].map(([path, value]) => [path, toHex(encode(value))]));
    const sets = new Map([...state].filter(([path, value]) => before.get(path) !== toHex(encode(value))));
    // Only what was written since differs; a change and its way back leave nothing to set but the value itself.
    return this.#seal(KIND.delta, base.seq, [sets.size > 0 ? sets : new Map([...state].slice(0, 1))]);
  }

  /** @returns {Change} */
  #snapshot() {
    const { state, lineage } = /** @type {Written} */ (this.written);
    const entries = lineage.map(({ epoch, seq, digest }) => [epoch, seq, digest]);
    return this.#seal(KIND.snapshot, 0n, [digestState(state).sections, entries]);
  }

  /** @param {bigint} kind @param {bigint} base @param {any[]} payload @returns {Change} */
  #seal(kind, base, payload) {
    const { place, signer } = this.engine;
    this.sealedBy = signer;
    const { state } = /** @type {Written} */ (this.written);
    const { epoch, seq, digest } = /** @type {import('./snapshot.js').LineageEntry} */ (this.head);
    const position = { kind, epoch, seq, base, digest };
    const { envelope } = seal(position, encode(payload), externalAad('plane', kind, place, ACTUAL), signer);
    return { seq, state: new Map(state), isSnapshot: kind === KIND.snapshot, item: writeItem(ACTUAL, envelope) };
  }

  /** A body of a posted snapshot that a mailbox lacks. @param {Uint8Array} digest @returns {Uint8Array | undefined} */
  bodyOf(digest) {
    if (!this.outstanding?.isSnapshot) return undefined;
    const { sections, bodies } = digestState(this.outstanding.state);
    const section = [...sections].find(([, held]) => toHex(held) === toHex(digest))?.[0];
    return section === undefined ? undefined : bodies.get(section);
  }
}
