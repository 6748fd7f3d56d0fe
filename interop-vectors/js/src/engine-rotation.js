// The next key of a device: the request that its report carries, and the answer that lets it count.
// Implements spec/lives.md #rotation, from the side of the device.

import { equalBytes } from './bytes.js';
import { makeRequest } from './enrolment.js';
import { Signer } from './keys.js';
import { demand } from './reject.js';

export class Rotation {
  /** @param {import('./engine.js').Engine} engine */
  constructor(engine) {
    this.engine = engine;
  }

  /** Draws a next key, and asks for it in each report until the answer is there. */
  begin() {
    const { durable, ports, place, signer, reports } = this.engine;
    if (durable.next) return;
    const seed = ports.random('seed', 32);
    const next = new Signer(seed);
    const token = signer.thumbprint.slice(0, 8);
    const { envelope, messageId } = makeRequest(place, next, token, ports.random('request', 16));
    durable.next = { seed, request: envelope, messageId };
    reports.dirty = true;
    this.engine.changed = true;
  }

  /**
   * An enrol-answer that verified. The next key signs from here on: the store is durable before anything goes out.
   * @param {any} verified
   */
  answered(verified) {
    const { durable, reports } = this.engine;
    if (durable.rotated && equalBytes(verified.digest, durable.rotated)) return; // it came again
    const { next } = durable;
    demand(next && equalBytes(verified.digest, next.messageId), 'enrol-answer-mismatch');
    const signer = new Signer(next.seed);
    demand(equalBytes(verified.payload.thumbprint, signer.thumbprint), 'enrol-answer-mismatch');
    durable.seed = next.seed;
    durable.rotated = next.messageId;
    durable.next = null;
    this.engine.signer = signer;
    reports.dirty = true;
    this.engine.changed = true;
    this.engine.wanted.push({ kind: 'rotated' });
  }
}
