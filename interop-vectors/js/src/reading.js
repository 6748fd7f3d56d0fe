// What a device makes of one envelope, whichever way it came: who signs it, what it changes, which bodies it still wants.
// Implements the device's part of spec/postern.md#acceptance, #snapshot, #bodies, #bundle and #reports-and-acks.
import { judge } from './acceptance.js';
import { equal, sha256, toHex } from './bytes.js';
import { aadPlane, aadTenant } from './channel.js';
import { readEnvelope, verifyEnvelope } from './cose.js';
import { KIND } from './kinds.js';
import { FETCH_DIGESTS_MAX } from './limits.js';
import { ensure, REJECTS, Reject } from './reject.js';
import { applyDelta, bodiesOf, checkConflicts, digestOf, readBody } from './state.js';
import { acceptBundle } from './trust.js';

/** @typedef {{digest: Uint8Array, size: number, bytes: Uint8Array}} Part a body of which a snapshot has not everything */

export class Reading {
  /** @param {import('./engine.js').Engine} engine */
  constructor(engine) {
    this.engine = engine;
    /** Whether a snapshot is to be asked for. */
    this.needs = false;
    /** @type {{message: import('./cose.js').Verified, generation: bigint, superseded: [bigint, bigint] | null,
     *   bodies: Map<string, Uint8Array>, parts: Part[]} | null} */
    this.snapshot = null;
  }

  /** The writer that the bundle names for this tenant. */
  get writer() {
    const writer = this.engine.bundle.writers.get(this.engine.who.channel.tenant);
    if (!writer) throw new Reject('key-unknown');
    return writer;
  }

  /** Judges one envelope. @param {bigint | null} plane @param {Uint8Array} bytes */
  take(plane, bytes) {
    const { kind } = readEnvelope(bytes).position;
    if (plane === null && kind === KIND.bundle) return this.takeBundle(bytes);
    if (plane === null && kind === KIND.receipt) return void this.verify(plane, bytes, 'mailbox', this.engine.bundle.mailboxes.map(({ key }) => key));
    const message = this.verify(plane, bytes, 'writer', [this.writer.key]);
    if (kind === KIND.delta || kind === KIND.snapshot) return this.takeRevision(message);
    if (kind === KIND.heartbeat) return this.engine.hear(message.content);
    if (kind === KIND.reportAck && this.engine.reports.acknowledge(message.position)) this.engine.commit();
    // This device asked for no next key and has no agreement key.
    ensure(kind !== KIND.enrolAnswer, 'enrol-answer-mismatch');
    ensure(kind !== KIND.planeKey, 'decryption-failed');
  }

  /** @param {bigint | null} plane @param {Uint8Array} bytes @param {import('./kinds.js').Role} role @param {Uint8Array[]} keys */
  verify(plane, bytes, role, keys) {
    const { channel } = this.engine.who;
    const aad = (/** @type {bigint} */ kind) => (plane === null ? aadTenant(kind, channel.genesis, channel.tenant) : aadPlane(kind, channel, plane));
    return verifyEnvelope(bytes, { role, plane, keys, aad, revoked: this.engine.bundle.revoked });
  }

  /** @param {Uint8Array} bytes */
  takeBundle(bytes) {
    const { engine } = this;
    engine.bundle = acceptBundle(engine.who.pins, engine.bundle, bytes);
    engine.record.bundles.push(bytes);
    engine.commit();
  }

  /** @param {import('./cose.js').Verified} message */
  takeRevision(message) {
    const { engine } = this;
    const { record } = engine;
    const { position, content } = message;
    ensure(!content.encrypted, 'plane-key-missing');
    const { generation } = this.writer;
    const kind = position.kind === KIND.delta ? 'delta' : 'snapshot';
    const judgement = judge(record.head, record.frozen, { ...position, generation, kind, lineage: content.lineage ?? [] });
    record.received = { epoch: position.epoch, seq: position.seq };
    if (judgement.outcome === 'need') {
      this.needs = true;
      throw new Reject(judgement.reject);
    }
    if (judgement.outcome === 'refuse') return this.refuse(position, judgement);
    if (judgement.outcome === 'apply') return this.apply(message, generation);
    if (judgement.outcome === 'accept') return this.begin(message, generation, judgement.superseded ?? null);
    engine.reportDue = true; // older or a duplicate: acknowledged again
  }

  /** A delta on the head. One that does not apply leaves a snapshot as the only way on. @param {import('./cose.js').Verified} message @param {bigint} generation */
  apply({ position, content }, generation) {
    let next;
    try {
      next = applyDelta(this.engine.record.state, content, position.digest);
    } catch (error) {
      if (!(error instanceof Reject)) throw error;
      this.needs = true;
      return this.refuse(position, { reject: error.reject });
    }
    this.accept(position, generation, next.state);
  }

  /** Lists what was refused behind a signature that holds. @param {import('./cose.js').Position} position @param {{reject?: any, freezes?: boolean}} judgement @returns {never} */
  refuse({ kind, epoch, seq }, { reject, freezes }) {
    const { engine } = this;
    if (freezes) engine.record.frozen = true;
    engine.reports.list(1, [kind, epoch, seq, BigInt(REJECTS[/** @type {keyof typeof REJECTS} */ (reject)])]);
    engine.say();
    throw new Reject(reject);
  }

  /** The head and its state count, in one commit. @param {import('./cose.js').Position} position @param {bigint} generation @param {Map<string, any>} state */
  accept({ epoch, seq, digest }, generation, state) {
    const { engine } = this;
    const { head } = engine.record;
    const isSameEpoch = head !== null && head.epoch === epoch && head.generation === generation;
    Object.assign(engine.record, { state, head: { generation, epoch, seq, digest }, frozen: engine.record.frozen && isSameEpoch });
    this.snapshot = null;
    this.needs = false;
    engine.say();
  }

  // --- snapshots ----------------------------------------------------------------------------------

  /** Holds what is held already, and wants the rest. @param {import('./cose.js').Verified} message @param {bigint} generation @param {[bigint, bigint] | null} superseded */
  begin(message, generation, superseded) {
    const held = new Map([...bodiesOf(this.engine.record.state).values()].map((body) => [toHex(sha256(body)), body]));
    const digests = [...message.content.table.values()];
    const missing = new Map(digests.filter((digest) => !held.has(toHex(digest))).map((digest) => [toHex(digest), digest]));
    const parts = [...missing.values()].map((digest) => ({ digest, size: -1, bytes: new Uint8Array(0) }));
    this.snapshot = { message, generation, superseded, bodies: held, parts };
    this.finish();
  }

  /** Digests and offsets to fetch. @returns {[Uint8Array, bigint][]} */
  wants() {
    const parts = this.snapshot?.parts ?? [];
    return parts.slice(0, FETCH_DIGESTS_MAX).map(({ digest, bytes }) => [digest, BigInt(bytes.length)]);
  }

  /** Pieces of bodies. What brings nothing on, or is wrong, ends the attempt: another poll brings another. @param {any[]} chunks @param {boolean} isFetched */
  takeChunks(chunks, isFetched) {
    let used = false;
    try {
      for (const chunk of chunks) used = this.takeChunk(chunk) || used;
      if (isFetched && !used) this.snapshot = null;
      this.finish();
    } catch (error) {
      this.snapshot = null;
      this.engine.count(error);
    }
  }

  /** @param {{digest: Uint8Array, size: number, offset: number, bytes: Uint8Array}} chunk */
  takeChunk({ digest, size, offset, bytes }) {
    const part = this.snapshot?.parts.find((other) => equal(other.digest, digest));
    ensure(part, 'body-mismatch');
    if (!this.snapshot || !part || part.bytes.length !== offset) return false;
    part.bytes = new Uint8Array(Buffer.concat([part.bytes, bytes]));
    if (part.bytes.length < size) return true;
    ensure(equal(sha256(part.bytes), digest), 'body-mismatch');
    this.snapshot.bodies.set(toHex(digest), part.bytes);
    this.snapshot.parts = this.snapshot.parts.filter((other) => other !== part);
    return true;
  }

  /** Every body is there: the whole state is judged and counts. */
  finish() {
    if (!this.snapshot || this.snapshot.parts.length > 0) return;
    const { message, generation, superseded, bodies } = this.snapshot;
    this.snapshot = null;
    const state = new Map();
    for (const [section, digest] of message.content.table) {
      const body = bodies.get(toHex(digest)) ?? new Uint8Array(0);
      for (const [path, value] of readBody(section, body, digest)) state.set(path, value);
    }
    checkConflicts(state);
    digestOf(state);
    if (superseded) this.engine.reports.list(3, [message.position.epoch, ...superseded]);
    this.accept(message.position, generation, state);
  }
}

