// The ways to the mailboxes of a bundle, in their order, and the pauses between attempts.
// Implements spec/postern.md #answer about moves and pauses, and the order of #bundle field 4.

import { randomInt } from 'node:crypto';

/** A session that stood so long was a good one. */
const STOOD_MS = 10000;
const PAUSE_MS = 1000;
const PAUSE_MS_MAX = 60000;
/** Frame 22 is unsigned advice: nobody silences a device with it for long. */
const ADVICE_MS_MAX = 300000;

export class Ways {
  /** @param {import('../bundle.js').BundleContent} bundle @param {string[]} first URLs of the join line, until a bundle lists some */
  constructor(bundle, first) {
    this.first = first;
    this.at = 0;
    /** Attempts since a way stood. */
    this.failures = 0;
    this.worked = false;
    /** @type {string | null} */
    this.moved = null;
    this.urls = this.#listed(bundle);
  }

  /** @param {import('../bundle.js').BundleContent} bundle */
  #listed(bundle) {
    const urls = bundle.mailboxes.flatMap((mailbox) => mailbox.urls);
    return urls.length > 0 ? urls : this.first;
  }

  /** The URL of the present way. */
  get url() {
    return this.moved ?? this.urls[this.at];
  }

  /** A new bundle: the present way stays while it is listed. @param {import('../bundle.js').BundleContent} bundle */
  follow(bundle) {
    const present = this.url;
    this.urls = this.#listed(bundle);
    this.moved = null;
    this.at = Math.max(0, this.urls.indexOf(present));
  }

  /** A mailbox of the bundle that the device was asked to go to. @param {string} url */
  moveTo(url) {
    this.moved = url;
  }

  /** An answer verified. */
  works() {
    this.worked = true;
  }

  /**
   * The next way, and how many milliseconds to wait for it: nothing inside a round of all ways, and longer behind each
   * round in which none worked for a while.
   * @param {number} livedMs how long the session stood
   * @param {boolean} aged it ended by its age: nothing is wrong with this way
   * @param {bigint} [retryMs] unsigned advice
   */
  next(livedMs, aged, retryMs) {
    const stood = this.worked && livedMs >= STOOD_MS;
    this.worked = false;
    if (stood) this.failures = 0;
    if (stood && aged) return 0;
    this.at = this.moved === null ? (this.at + 1) % this.urls.length : 0;
    this.moved = null;
    this.failures += 1;
    if (this.failures % this.urls.length !== 0) return 0;
    const rounds = Math.min(this.failures / this.urls.length - 1, 10);
    const wholeMs = Math.min(PAUSE_MS * 2 ** rounds, PAUSE_MS_MAX);
    const pauseMs = wholeMs / 2 + randomInt(Math.ceil(wholeMs / 2) + 1);
    return Math.max(pauseMs, Math.min(Number(retryMs ?? 0n), ADVICE_MS_MAX));
  }
}
