// What comes to a device, item by item: who has to have signed it, and who takes it.
// Implements spec/postern.md #answer and #verification-order for items, #bundle, spec/relays.md #receipt and
// spec/files.md #file-binding, from the side of the device.

import { equalBytes, toHex } from './bytes.js';
import { channelId } from './channel.js';
import { encode } from './cbor.js';
import { openEnvelope, verifyEnvelope } from './cose.js';
import { FRAME } from './frames.js';
import { DESIRED, KIND } from './kinds.js';
import { Reject, demand, isReported } from './reject.js';
import { acceptBundle } from './trust.js';

/** Who signs what an item without a plane may be; every other kind there is expected of a role that does not sign it. */
const LOOSE_ROLES = new Map(/** @type {[bigint, import('./kinds.js').Role][]} */ ([
  [KIND.bundle, 'root'], [KIND.receipt, 'mailbox'], [KIND['enrol-answer'], 'writer'], [KIND['plane-key'], 'writer'],
]));
/** The stores of mailboxes whose newest receipt is known. */
const RECEIPTS_MAX = 64;

export class Inbox {
  /** @param {import('./engine.js').Engine} engine */
  constructor(engine) {
    this.engine = engine;
    const { genesis, tenant, device } = engine.place;
    this.channel = channelId(genesis, tenant, device);
    /** The newest receipt of each store of a mailbox. @type {Map<string, {seq: bigint, digest: Uint8Array, code: bigint}>} */
    this.receipts = new Map();
  }

  /** A frame of a file. @param {any} frame */
  takeFiled(frame) {
    const { engine } = this;
    if (frame.channel) demand(equalBytes(frame.channel, this.channel), 'not-admitted');
    if (frame.type === FRAME.posted) this.takeItem(frame);
    if (frame.type === FRAME.filedBody && frame.plane === DESIRED) {
      engine.changed = true;
      engine.desired.takeChunk(frame.chunk);
    }
    if (frame.type === FRAME.enrolled) {
      for (const bundle of frame.bundles) {
        const envelope = encode(bundle);
        if (openEnvelope(envelope).position.seq > engine.bundle.number) this.takeItem({ plane: null, envelope });
      }
      this.takeItem({ plane: null, envelope: frame.answer });
    }
  }

  /** One item of an answer or a file. @param {{plane: bigint | null, envelope: Uint8Array}} item */
  takeItem({ plane, envelope }) {
    const { bundle, place } = this.engine;
    const { position } = openEnvelope(envelope);
    const { kind } = position;
    if (plane === null && kind === KIND.bundle) return this.#takeBundle(envelope);
    const writer = bundle.tenants.get(place.tenant);
    const role = plane === null ? LOOSE_ROLES.get(kind) ?? 'root' : 'writer';
    const keys = role === 'mailbox' ? bundle.mailboxes.map(({ key }) => key) : writer ? [writer.key] : [];
    const generation = writer?.generation ?? 0n;
    let verified;
    try {
      verified = verifyEnvelope(envelope, { role, plane, place, keys, revoked: bundle.revokedHex });
    } catch (error) {
      // Behind a signature that held, a payload that is refused is listed.
      if (error instanceof Reject && error.position) this.#contentRefused(position, generation, error.reason);
      throw error;
    }
    this.engine.changed = kind !== KIND.heartbeat || this.engine.changed;
    return this.#takeVerified(verified, envelope, generation);
  }

  /** @param {import('./cose.js').Position} position @param {bigint} generation @param {string} reason */
  #contentRefused(position, generation, reason) {
    const { kind, epoch, seq } = position;
    if (kind !== KIND.delta && kind !== KIND.snapshot) return;
    if (isReported(reason)) this.engine.reports.refuse(kind, epoch, seq, reason);
    if (kind === KIND.delta) this.engine.desired.contentRefused(position, generation);
    this.engine.changed = true;
  }

  /** @param {any} verified @param {Uint8Array} envelope @param {bigint} generation */
  #takeVerified(verified, envelope, generation) {
    const { engine } = this;
    switch (verified.kind) {
      case KIND.delta:
      case KIND.snapshot:
        return engine.desired.take(verified, envelope, generation);
      case KIND['report-ack']:
        return engine.reports.acknowledge(verified, (highest) => engine.openEpoch(highest));
      case KIND.heartbeat:
        return this.#takeHeartbeat(verified);
      case KIND['enrol-answer']:
        return engine.rotation.answered(verified);
      case KIND.receipt:
        return this.#takeReceipt(verified);
      case KIND['plane-key']:
        throw new Reject('plane-key-missing'); // this device bound no agreement key
      default:
        return verified.kind === KIND.evidence ? engine.actual.takeEvidence(verified) : undefined;
    }
  }

  /** @param {any} verified */
  #takeHeartbeat(verified) {
    const { engine } = this;
    const isProven = engine.heartbeats.hear(verified, engine.now) !== 'unproven';
    engine.actual.acknowledge(verified.payload.other);
    if (isProven && verified.base > engine.bundle.number) engine.wanted.push({ kind: 'bundle-withheld', number: verified.base });
  }

  /** @param {Uint8Array} envelope */
  #takeBundle(envelope) {
    const { engine } = this;
    const { genesis, recovery } = engine.durable;
    engine.bundle = acceptBundle({ genesis, recovery }, engine.bundle, envelope);
    engine.durable.bundle = Uint8Array.from(envelope);
    engine.changed = true;
    engine.wanted.push({ kind: 'bundle', number: engine.bundle.number });
  }

  /** A receipt acknowledges nothing. @param {any} verified */
  #takeReceipt({ key, epoch, seq, digest, payload }) {
    demand(equalBytes(payload.channel, this.channel), 'not-admitted');
    const store = `${toHex(key)} ${epoch}`;
    const newest = this.receipts.get(store);
    if (newest && seq === newest.seq) demand(equalBytes(digest, newest.digest) && payload.code === newest.code, 'equivocation');
    this.engine.receipt = { store: epoch, number: seq };
    if (newest && seq <= newest.seq) return;
    this.receipts.delete(store);
    this.receipts.set(store, { seq, digest, code: payload.code });
    if (this.receipts.size > RECEIPTS_MAX) this.receipts.delete([...this.receipts.keys()][0]);
    if (payload.code > 0n) this.engine.posts.evidenceAgain();
  }
}
