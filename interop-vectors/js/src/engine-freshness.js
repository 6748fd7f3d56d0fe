// The heartbeats of a device: when it asks, what it answers, and what it reads of the writer's.
// Implements spec/freshness.md #heartbeat, with the reader's rules of freshness.js.

import { equalBytes } from './bytes.js';
import { encode } from './cbor.js';
import { externalAad } from './channel.js';
import { seal } from './cose.js';
import { Watch } from './freshness.js';
import { ACTUAL, KIND } from './kinds.js';

export class Heartbeats {
  /** @param {number} maxAgeMs @param {Uint8Array} start 8 random bytes of this start @param {number} now */
  constructor(maxAgeMs, start, now) {
    this.watch = new Watch(maxAgeMs);
    this.start = start;
    this.startedAt = now;
    /** A nonce of the writer that waits for its echo. @type {Uint8Array | null} */
    this.echo = null;
    /** The last one that was echoed in this session. @type {Uint8Array | null} */
    this.echoed = null;
  }

  sessionBegins() {
    this.echoed = null;
  }

  /** When the next question is due. */
  get askAt() {
    return this.watch.askDueMs();
  }

  /** A heartbeat of the writer that verified. @param {any} verified @param {number} now */
  hear(verified, now) {
    const { ask } = verified.payload;
    if (ask && !(this.echoed && equalBytes(this.echoed, ask))) this.echo = ask;
    return this.watch.hear(verified.payload, now);
  }

  /** @param {number} now */
  stale(now) {
    return this.watch.isStale(now);
  }

  /**
   * A heartbeat of the device.
   * @param {import('./channel.js').Place} place @param {import('./keys.js').Signer} signer @param {bigint} bundle
   * @param {{own: import('./snapshot.js').LineageEntry | null, other: {epoch: bigint, seq: bigint} | null}} heads of `actual`, and
   *   accepted of `desired` @param {Uint8Array | null} nonce @param {number} now
   */
  seal(place, signer, bundle, { own, other }, nonce, now) {
    const { epoch, seq, digest } = own ?? { epoch: 0n, seq: 0n, digest: new Uint8Array() };
    const position = { kind: KIND.heartbeat, epoch, seq, base: bundle, digest };
    const uptime = BigInt(Math.max(0, Math.floor(now - this.startedAt)));
    const payload = encode([this.start, uptime, other?.epoch ?? 0n, other?.seq ?? 0n, this.echo, nonce]);
    if (this.echo) this.echoed = this.echo;
    this.echo = null;
    return seal(position, payload, externalAad('plane', KIND.heartbeat, place, ACTUAL), signer).envelope;
  }
}
