// What comes down: every item of an answer is verified as if it had come over an untrusted way, in order. Implements
// spec/postern.md#answer for a device, #need, spec/relays.md#receipt, and the device's half of spec/lives.md#rotation.
import { equal, toHex } from '../bytes.js';
import { aadPlane, aadTenant } from '../channel.js';
import { readEnvelope, verifyEnvelope } from '../cose.js';
import { verifyAnswer } from '../enrolment.js';
import { TYPE } from '../frames.js';
import { signingKey, thumbprint } from '../keys.js';
import { DESIRED, KIND } from '../kinds.js';
import { FETCH_DIGESTS_MAX } from '../limits.js';
import { ensure, Reject, REJECTS, REPORTED } from '../reject.js';
import { acceptBundle } from '../trust.js';
import { sealEvidence, takeRevision } from './desired.js';

const RECEIPT_REPOST_MS = 60000; // milliseconds between two posts of evidence because of receipts
const ROUNDS_MAX = 4096; // bodies frames for one snapshot: 1 MiB in pieces of 256 bytes; arbitrary

/** Handles items for a device. */
export class Inbox {
  /** @param {import('./device.js').Device} device */
  constructor(device) {
    this.device = device;
    this.needs = false;
    this.repostedMs = -Infinity;
  }

  /** Every item of an answer; a refused one changes nothing. @param {{plane: bigint | null, envelope: Uint8Array}[]} items */
  async handleItems(items) {
    for (const { plane, envelope } of items) {
      try {
        await this.handleItem(plane, envelope);
      } catch (error) {
        if (!(error instanceof Reject)) throw error;
        this.refuse(error, envelope);
      }
    }
  }

  /** Counts a reject, and lists it in the report where the registry says so. @param {Reject} error @param {Uint8Array} bytes */
  refuse(error, bytes) {
    this.device.count(error.reject);
    if (!error.verified || !REPORTED.has(error.reject)) return;
    const { kind, epoch, seq } = readEnvelope(bytes).position;
    if (kind === KIND.delta || kind === KIND.snapshot) this.list(kind, epoch, seq, error.reject);
  }

  /** @param {bigint} kind @param {bigint} epoch @param {bigint} seq @param {keyof typeof REJECTS} reject */
  list(kind, epoch, seq, reject) {
    this.device.reports.list(1, [kind, epoch, seq, BigInt(REJECTS[reject])]);
    this.device.reportDue = true;
  }

  /** @param {bigint | null} plane @param {Uint8Array} envelope */
  async handleItem(plane, envelope) {
    const { kind } = readEnvelope(envelope).position;
    if (plane === null) return this.handleLoose(kind, envelope);
    const { device } = this;
    const { key, generation } = device.writer;
    const aad = (/** @type {bigint} */ at) => aadPlane(at, device.channel, plane);
    const message = verifyEnvelope(envelope, { role: 'writer', plane, keys: [key], aad, revoked: device.bundle.revoked });
    if (kind === KIND.heartbeat) return device.handleHeartbeat(message);
    if (kind === KIND.reportAck) return void (device.reports.acknowledge(message.position) && (device.dirty = true));
    if (plane === DESIRED && (kind === KIND.delta || kind === KIND.snapshot)) await this.handleRevision(message, generation);
  }

  /** @param {import('../cose.js').Verified} message @param {bigint} generation */
  async handleRevision(message, generation) {
    const { device } = this;
    const { record } = device;
    let judgement;
    try {
      judgement = await takeRevision(record, message, generation, (wants) => this.fetchBodies(wants));
    } catch (error) {
      if (error instanceof Reject) error.verified = true;
      throw error;
    }
    const { outcome, reject, superseded } = judgement;
    const { kind, epoch, seq } = message.position;
    device.dirty = true;
    device.tell({ event: outcome, epoch: String(epoch), seq: String(seq), ...(reject && { reason: reject }) });
    if (superseded) device.reports.list(3, [epoch, ...superseded]);
    if (reject) device.count(reject);
    if (outcome === 'need') this.needs = true;
    if (outcome === 'refuse') this.list(kind, epoch, seq, reject);
    if (reject === 'writer-behind' || reject === 'equivocation') {
      record.evidence = sealEvidence(record, device.key, device.channel, reject === 'equivocation' ? 66n : 64n, message);
      device.evidenceDue = true;
    }
  }

  /** @param {bigint} kind @param {Uint8Array} envelope */
  handleLoose(kind, envelope) {
    if (kind === KIND.bundle) return this.handleBundle(envelope);
    if (kind === KIND.enrolAnswer) return this.handleRotation(envelope);
    if (kind === KIND.receipt) return this.handleReceipt(envelope);
    if (kind === KIND.planeKey) throw new Reject('plane-key-missing');
    throw new Reject('signer-role');
  }

  /** @param {Uint8Array} envelope */
  handleBundle(envelope) {
    const { device } = this;
    device.bundle = acceptBundle({ genesis: device.record.genesis, recovery: device.record.recovery }, device.bundle, envelope);
    device.record.bundles.push(envelope);
    device.commit();
    device.tell({ event: 'bundle', bundle: String(device.bundle.number) });
  }

  /** The answer to a request for a next key. @param {Uint8Array} envelope */
  handleRotation(envelope) {
    const { device } = this;
    const answer = verifyAnswer(envelope, device.channel, device.bundle);
    const { rotation } = device.record;
    const asked = rotation && equal(answer.position.digest, rotation.requestId);
    const next = rotation && signingKey(rotation.seed);
    ensure(asked && equal(answer.content.thumbprint, thumbprint(next.publicKey)), 'enrol-answer-mismatch');
    Object.assign(device.record, { seed: rotation.seed, rotation: null });
    device.commit();
    device.key = next;
    device.endSession();
    device.reportDue = true;
    device.tell({ event: 'rotated', key: toHex(thumbprint(next.publicKey)) });
  }

  /** A receipt acknowledges nothing; a refusal makes open evidence go out again. @param {Uint8Array} envelope */
  handleReceipt(envelope) {
    const { device } = this;
    const aad = aadTenant(KIND.receipt, device.channel.genesis, device.channel.tenant);
    const keys = device.bundle.mailboxes.map(({ key }) => key);
    const receipt = verifyEnvelope(envelope, { role: 'mailbox', kind: KIND.receipt, plane: null, keys, aad: () => aad });
    ensure(equal(receipt.content.channel, device.record.place), 'not-admitted');
    const { epoch, seq } = receipt.position;
    const rows = device.record.receipts;
    let row = rows.find((/** @type {any} */ other) => equal(other.mailbox, receipt.keyId) && other.store === epoch);
    if (row && seq === row.number) ensure(equal(receipt.messageId, row.id), 'equivocation');
    device.receipt = [epoch, seq];
    if (row && seq <= row.number) return;
    if (!row) rows.push((row = { mailbox: receipt.keyId, store: epoch }));
    Object.assign(row, { number: seq, id: receipt.messageId });
    if (rows.length > 16) rows.shift();
    device.dirty = true;
    const nowMs = performance.now();
    if (receipt.content.code === 0n || nowMs - this.repostedMs < RECEIPT_REPOST_MS) return;
    this.repostedMs = nowMs;
    device.evidenceDue = true;
  }

  /** Complete bodies for digests, piece by piece. @param {Uint8Array[]} wants @returns {Promise<Uint8Array[]>} */
  async fetchBodies(wants) {
    const parts = wants.map((digest) => ({ digest, size: -1, bytes: new Uint8Array(0) }));
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const open = parts.filter(({ size, bytes }) => bytes.length !== size).slice(0, FETCH_DIGESTS_MAX);
      if (open.length === 0) return parts.map(({ bytes }) => bytes);
      const asked = open.map(({ digest, bytes }) => [digest, BigInt(bytes.length)]);
      const { chunks } = await this.device.way.exchange(TYPE.fetch, [DESIRED, ...asked], TYPE.bodies);
      if (!this.take(parts, chunks)) break;
    }
    throw new Reject('body-mismatch');
  }

  /** Whether a chunk was of use. @param {{digest: Uint8Array, size: number, bytes: Uint8Array}[]} parts @param {any[]} chunks */
  take(parts, chunks) {
    let used = false;
    for (const { digest, size, offset, bytes } of chunks) {
      const part = parts.find((other) => equal(other.digest, digest) && other.bytes.length === offset);
      if (!part) continue;
      part.size = size;
      part.bytes = new Uint8Array(Buffer.concat([part.bytes, bytes]));
      used = true;
    }
    return used;
  }
}

