// How old the newest word of a writer may be, without a clock. Implements spec/freshness.md#heartbeat.
import { equal } from './bytes.js';
import { MAX_AGE_MS } from './limits.js';

const ASKS_MAX = 16; // nonces that still wait for an echo; arbitrary

/** Watches the heartbeats of one writer. Times are milliseconds of the own clock since boot. */
export class Freshness {
  /** @param {number} [maxAgeMs] */
  constructor(maxAgeMs = MAX_AGE_MS) {
    this.maxAgeMs = maxAgeMs;
    /** @type {{nonce: Uint8Array, atMs: number}[]} */
    this.asks = [];
    /** @type {{start: Uint8Array, uptime: bigint, atMs: number, elapsedMs: bigint, last: bigint} | null} */
    this.anchor = null;
    /** Whether another process of the writer was heard since. */
    this.restarted = false;
  }

  /** A nonce was sent. @param {number} atMs @param {Uint8Array} nonce */
  asked(atMs, nonce) {
    this.asks = [...this.asks.slice(1 - ASKS_MAX), { nonce, atMs }];
  }

  /** A verified heartbeat. @param {number} atMs @param {{start: Uint8Array, uptime: bigint, echo: Uint8Array | null}} beat @returns {'anchored' | 'later' | 'unproven'} */
  heard(atMs, { start, uptime, echo }) {
    const at = echo ? this.asks.findIndex(({ nonce }) => equal(nonce, echo)) : -1;
    if (at >= 0) {
      this.anchor = { start, uptime, atMs: this.asks[at].atMs, elapsedMs: 0n, last: uptime };
      this.asks = this.asks.slice(at + 1);
      this.restarted = false;
      return 'anchored';
    }
    const { anchor } = this;
    this.restarted = anchor !== null && !equal(anchor.start, start);
    if (!anchor || !equal(anchor.start, start) || uptime <= anchor.last) return 'unproven';
    anchor.last = uptime;
    const own = BigInt(Math.floor(atMs - anchor.atMs));
    const writers = uptime - anchor.uptime;
    // A writer's clock that runs ahead does not pay for a later silence.
    const elapsed = writers < own ? writers : own;
    if (elapsed > anchor.elapsedMs) anchor.elapsedMs = elapsed;
    return 'later';
  }

  /** Milliseconds by which the writer may be behind; null without an anchor. @param {number} atMs */
  ageMs(atMs) {
    return this.anchor ? atMs - this.anchor.atMs - Number(this.anchor.elapsedMs) : null;
  }

  /** @param {number} atMs */
  stale(atMs) {
    const age = this.ageMs(atMs);
    return age === null || age > this.maxAgeMs;
  }

  /** When a nonce is due: at once without an anchor or after a restart, else when less than a third of the maximal age is left. */
  wantsEchoAtMs() {
    if (!this.anchor || this.restarted) return -Infinity;
    return this.anchor.atMs + Number(this.anchor.elapsedMs) + Math.floor((this.maxAgeMs * 2) / 3) + 1;
  }

  /** Whether a nonce is due. @param {number} atMs */
  wantsEcho(atMs) {
    return atMs >= this.wantsEchoAtMs();
  }
}
