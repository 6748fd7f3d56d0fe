// How old the newest word of a writer may be.
// Implements spec/freshness.md #heartbeat for a reader.
//
// All moments are milliseconds of one clock of the reader that does not jump and counts suspension.

import { equalBytes, toHex } from './bytes.js';

export const MAX_AGE_MS = 900000;

const ASK_AGAIN_MS = 5000;
const ASK_AGAIN_MS_MAX = 60000;
const QUESTIONS_MAX = 64;

/** @typedef {{start: Uint8Array, uptime: bigint, echo: Uint8Array | null}} Heard of a verified heartbeat */

export class Watch {
  #maxAgeMs;
  /** Questions that no answer ended, oldest first. @type {Map<string, number>} */
  #questions = new Map();
  /**
   * The start that was anchored, the highest uptime heard of it, and the moment from which that word is at the latest.
   * @type {{start: Uint8Array, uptime: bigint, provenMs: number} | null}
   */
  #anchor = null;
  #unknownStart = false;
  #askedMs = -Infinity;
  /** The pause behind the newest question; it grows while none is answered. */
  #pauseMs = 0;

  /** @param {number} [maxAgeMs] */
  constructor(maxAgeMs = MAX_AGE_MS) {
    this.#maxAgeMs = maxAgeMs;
  }

  /** A question goes out. @param {Uint8Array} nonce 16 fresh random bytes @param {number} atMs */
  asked(nonce, atMs) {
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, ASK_AGAIN_MS), ASK_AGAIN_MS_MAX);
    this.#askedMs = atMs;
    this.#questions.set(toHex(nonce), atMs);
    if (this.#questions.size > QUESTIONS_MAX) this.#questions.delete(this.#questions.keys().next().value ?? '');
  }

  /**
   * Hears a verified heartbeat.
   * @param {Heard} heartbeat
   * @param {number} atMs
   * @returns {'anchored' | 'later' | 'unproven'}
   */
  hear({ start, uptime, echo }, atMs) {
    const question = echo ? toHex(echo) : '';
    const askedMs = this.#questions.get(question);
    if (askedMs !== undefined) {
      this.#endQuestions(question);
      this.#anchor = { start, uptime, provenMs: askedMs };
      this.#unknownStart = false;
      return 'anchored';
    }
    if (!this.#anchor) return 'unproven';
    if (!equalBytes(this.#anchor.start, start)) {
      this.#unknownStart = true;
      return 'unproven';
    }
    if (uptime <= this.#anchor.uptime) return 'unproven';
    // A clock of the writer that runs ahead saves nothing up: its word is never from later than now.
    const provenMs = Math.min(atMs, this.#anchor.provenMs + Number(uptime - this.#anchor.uptime));
    this.#anchor = { start, uptime, provenMs };
    return 'later';
  }

  /** An answer ends its question and all older ones. @param {string} question */
  #endQuestions(question) {
    for (const older of [...this.#questions.keys()]) {
      this.#questions.delete(older);
      if (older === question) break;
    }
    this.#pauseMs = 0;
  }

  /** @param {number} atMs */
  isStale(atMs) {
    return !this.#anchor || atMs - this.#anchor.provenMs > this.#maxAgeMs;
  }

  /** Whether an echo of this boot was heard. */
  get isAnchored() {
    return this.#anchor !== null;
  }

  /**
   * When the next question is due: at once without an anchor or after a start that is not anchored, else when less than
   * a third of the maximal age is left; and never sooner than the pause behind the question before.
   * @returns {number} may be in the past
   */
  askDueMs() {
    const wantedMs = !this.#anchor || this.#unknownStart
      ? -Infinity : this.#anchor.provenMs + Math.floor(this.#maxAgeMs * 2 / 3) + 1;
    return Math.max(wantedMs, this.#askedMs + Math.max(this.#pauseMs, ASK_AGAIN_MS));
  }
}
